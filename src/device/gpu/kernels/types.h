// What the bytes of a block of the type TYPE (a number of tensor/type.h) mean on the card: the block's layout is the
// file's (tensor/unpack.h), less the REST bytes that lie apart (../lay.c), with GROUPS groups of 32 weights in BODY
// bytes. Codes are raised by ZERO. HALVES: scales of a group. PIECE: groups whose sum is exact where scales are
// integers, 0 where they are floats, and so is MANY_RUNS, for the preprocessor; OFFSET: there are minima
// (docs/arithmetic.md).
//
//   codes_of_group(body, i, grid, w)   the codes of group i, four to a word, in w[8]
//   scales_of_block(body, rest)        d, and minus dm
//   scale_of_half(body, i, h)          sc and mn of half h of group i
//   minimum_of_half(body, i, h)
#ifndef DEVICE_GPU_KERNELS_TYPES_H
#define DEVICE_GPU_KERNELS_TYPES_H

#if (TYPE >= 2 && TYPE <= 8) || TYPE == 20 || (TYPE >= 39 && TYPE <= 42)
#define MANY_RUNS 0
#include "types_float.h"
#elif (TYPE >= 10 && TYPE <= 14) || TYPE == 23 || TYPE == 34 || TYPE == 35
#define MANY_RUNS 1
#include "types_k.h"
#else
#define MANY_RUNS 1
#include "types_grid.h"
#endif

#endif
