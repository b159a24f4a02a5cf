// Vectors of 64 bytes for the matrix products: sixteen lanes, each an output row. w8 holds bytes (four of a row side by
// side), w32 integers, wf floats. Every instruction set has the same functions in a header of its own; the plain C of
// wide_scalar.h defines the bytes.
//
//   w8_load w8_store w8_or w8_field(v, right, mask)   (byte >> right) & mask; left if negative
//   w8_pair(p)            32 bytes: their low nibbles, then their high ones
//   w8_lookup(table, v)   table[v] of 16 bytes, v < 16
//   w8_signed(v)          bytes stored as value + 128, made ready for w32_dot_signed()
//   w32_zero w32_fill(p)  the int32 at p in every lane
//   w32_dot(acc, u, a)    acc + four products of bytes u < 128 and signed bytes a; all sums fit
//   w32_dot_signed        the same for bytes from w8_signed(), too high by WIDE_SIGNED_ZERO times the sum of a
//   w32_dot_low           w32_dot_signed() where bytes of a may be -128 and those of w may not
//   w32_add w32_shift8    sums, and 256 times as much, modulo 2^32
//   w8_codes(v)           bytes from -127 to 127, made ready for w32_dot_low()
//   wf_load wf_store wf_fill wf_add wf_mul wf_fma wf_neg wf_of(w32) wf_words(w32), its bits
//   wf_f16 wf_bf16 wf_u8 wf_s8 wf_e8m0   from memory: sixteen halves, bytes, signed bytes, halved powers of two
//                         (e8m0_half())
//
// WIDE_TILES x WIDE_ROWS is what the many-rows kernel keeps in registers. FEW rows at most are multiplied as a tile is
// unpacked, FEW_ROWS with each unpacking; from FETCHED rows on, weights are fetched ahead by instruction
// (docs/measurements.md). AT_ONCE tiles are best multiplied by the same activations. WIDE_CHAINS vectors hide an
// instruction's latency and fit too.
#ifndef DEVICE_CPU_WIDE_H
#define DEVICE_CPU_WIDE_H

// Before a loop whose turns, at most n, are to be written out.
#define UNROLL_TEXT(text) _Pragma(#text)
#if !defined(__AVX2__) && !defined(__ARM_FEATURE_DOTPROD)
#define UNROLL(n)
#elif defined(__clang__)
#define UNROLL(n) UNROLL_TEXT(unroll n)
#else
#define UNROLL(n) UNROLL_TEXT(GCC unroll n)
#endif

#if defined(__AVX512VNNI__)
#include "device/cpu/wide_avx512.h"
#elif defined(__AVX2__)
#include "device/cpu/wide_avx2.h"
#elif defined(__ARM_FEATURE_DOTPROD)
#include "device/cpu/wide_neon.h"
#else
#include "device/cpu/wide_scalar.h"
#endif

// What comes after is not begun before in the code: the compiler takes loads forward, where registers or the chip's own
// sight do not reach so far.
INLINE void in_turn(void) { __asm__ volatile("" : : : "memory"); }

#endif
