// What products on tensor cores have in common. A block has sixteen outputs and some tiles of rows of activations; each
// warp takes segments of the row (docs/arithmetic.md) in turn, and their sums are folded at the end. Of a tile's sums,
// sixteen outputs by WIDE rows, a lane has four elements k, which are of one or two outputs and as many as it takes of
// rows:
//
//     lanes   rows of a tile   its outputs               its rows                element k is of output, row
//     32      8                lane / 4, and 8 further   2 * (lane % 4) + 0, 1   k / 2, k % 2     NVIDIA's mma
//     64      16               lane % 16                 4 * (lane / 16) + 0..3  0, k             AMD's mfma
//
// It gives the weights of its outputs, and the activations of one row: of 32 bytes word `at` and word `at` + 4.
#ifndef DEVICE_GPU_KERNELS_TENSOR_H
#define DEVICE_GPU_KERNELS_TENSOR_H

#include "chip.h"

#include "args.h"
#include "strips.h"

#ifndef TENSOR // nothing is computed there
#define TENSOR_LANES 32
#endif

#ifdef WAVES // lanes have other pieces (waves.h)
#define IS_WAVE (WAVES != 0)
#else
#define IS_WAVE false
#endif

#define IS_WIDE_WARP (TENSOR_LANES == 64)
#define WIDE         (IS_WIDE_WARP ? 16u : 8u)
#define OWN_OUTPUTS  (IS_WIDE_WARP ? 1u : 2u)
#define OWN_ROWS     (IS_WIDE_WARP ? 4u : 2u)

enum { LEAST_WIDE = 8, MOST_OWN = 4 };

FN unsigned tensor_lane(void) { return THREAD % TENSOR_LANES; }

// Of element k of a tile's sums, which of the lane's outputs and rows it is of.
FN unsigned output_of_element(unsigned k) { return IS_WIDE_WARP ? 0 : k / 2; }
FN unsigned row_of_element(unsigned k) { return IS_WIDE_WARP ? k : k % 2; }

// Where the lane's output i is among the block's, and its row i among the tile's.
FN unsigned place_of_output(unsigned i) { return IS_WIDE_WARP ? tensor_lane() % 16 : tensor_lane() / 4 + 8 * i; }
FN unsigned place_of_row(unsigned i) {
    return IS_WIDE_WARP ? 4 * (tensor_lane() / 16) + i : 2 * (tensor_lane() % 4) + i;
}

// The row of the activations that the lane gives, and its word of 16 bytes.
FN unsigned row_given(void) { return IS_WIDE_WARP ? tensor_lane() % 16 : tensor_lane() / 4; }
FN unsigned word_given(void) { return IS_WIDE_WARP ? tensor_lane() / 16 : tensor_lane() % 4; }

#endif
