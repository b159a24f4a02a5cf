// Tiles: sixteen rows of a matrix, interleaved so that a vector lane is a row. A tile is a run of blocks as the file's
// rows are, and has as many bytes as they, but for types with a grid (IQ1 to IQ3) and TQ1_0, whose tiles are larger
// (docs/formats.md says how large); rows that the matrix lacks are zeros. The layout does not depend on the instruction
// set.
//
// Quantized types. A block is a head (for each of its scales, those of the sixteen rows side by side) and its groups of
// 32 weights. A group stands for eight vectors w[0..7] of 64 bytes: byte 4 r + i of w[j] is the code of row r, weight
// 4 j + i, raised by the type's zero point so that none is negative. They are packed so that few operations take them
// out again, by the bits that a code has, bytes beside bytes:
//   1  w[0] | w[1] << 1 | .. | w[7] << 7
//   2  w[i] | w[i + 2] << 2 | w[i + 4] << 4 | w[i + 6] << 6, i = 0, 1
//   3  a = w[0] | w[1] << 3, b = w[2] | w[3] << 3, c = w[4] | w[5] << 3; of w[6] the low two bits above a, the third in
//      b's bit 6; of w[7] above c and in b's bit 7
//   4  w[i] | w[i + 4] << 4, i = 0 .. 3
//   5  w[0] .. w[4], and above them, in three bits each, the low three bits of w[5] (above w[0]), w[6] (w[2]) and
//      w[7] (w[4]); above w[1] and w[3] in two bits the high ones of w[5] and w[6], in their bits 7 those of w[7]
//   6  w[0] .. w[5], and above them in two bits each w[6] (three vectors, its low bits first) and w[7]
//
// Codes of types with a grid are its entries, resolved: the index of each weight's value, three or four bits. Those of
// Q1_0 count by twos.
//
// Head: d, then dm, as halves (MXFP4: its byte; NVFP4: none). Then
//   Q2_K          for each half group sixteen bytes, a nibble for the scale and one for the minimum
//   Q3_K          sixteen scales of 6 bits: 128 bytes of low nibbles (half h with h + 8), 64 bytes of high
//                 pairs (halves h, h + 4, h + 8, h + 12)
//   Q4_K Q5_K     eight scales, then eight minima, of 6 bits: 64 bytes with groups 0 to 3 and above them the high pairs
//                 of groups 4 to 7, 32 bytes with the low nibbles of those (group g with g + 2)
//   IQ4_XS        eight scales, the same way
//   Q6_K          for each half group sixteen signed bytes
//   NVFP4         for each half group sixteen bytes
//   IQ1_S IQ2_XXS IQ3_XXS IQ3_S   eight scales in nibbles (group g with g + 4), 64 bytes
//   IQ1_M IQ2_XS IQ2_S            sixteen scales in nibbles (half h with h + 8), 128 bytes
//
// F32: for each weight of a row, padded with zeros to a multiple of 32, those of the sixteen rows. F16 and BF16:
// tile_w16.h.
#ifndef DEVICE_CPU_TILE_H
#define DEVICE_CPU_TILE_H

#include "device/cpu/kernels.h"

// Raised with every change of the layout: files of tiles are kept.
enum { TILE_FORM = 3 };

enum { TILE = 16, WORDS = 8, VECTOR = 64 };

// X(TYPE, name, groups of a block, scales of a group, groups of a piece, has an offset, zero point, bytes of the head,
// of a group). A piece is so many groups that the sum of codes times activations times integer scales stays below 2^24;
// 0: the type's scales are floats; of the others, whose scales are integers, a block is two runs.
#define FLOAT_TYPES(X)                                                                                                 \
    X(Q4_0, q4_0, 1, 1, 0, false, 8, 32, 256)                                                                          \
    X(Q4_1, q4_1, 1, 1, 0, true, 0, 64, 256)                                                                           \
    X(Q5_0, q5_0, 1, 1, 0, false, 16, 32, 320)                                                                         \
    X(Q5_1, q5_1, 1, 1, 0, true, 0, 64, 320)                                                                           \
    X(Q8_0, q8_0, 1, 1, 0, false, 128, 32, 512)                                                                        \
    X(IQ4_NL, iq4_nl, 1, 1, 0, false, 128, 32, 256)                                                                    \
    X(MXFP4, mxfp4, 1, 1, 0, false, 12, 16, 256)                                                                       \
    X(NVFP4, nvfp4, 2, 2, 0, false, 12, 64, 256)                                                                       \
    X(Q1_0, q1_0, 4, 1, 0, false, 1, 32, 64)                                                                           \
    X(Q2_0, q2_0, 2, 1, 0, false, 1, 32, 128)
#define INTEGER_TYPES(X)                                                                                               \
    X(Q2_K, q2_k, 8, 2, 4, true, 0, 320, 128)                                                                          \
    X(Q3_K, q3_k, 8, 2, 4, false, 4, 224, 192)                                                                         \
    X(Q4_K, q4_k, 8, 1, 4, true, 0, 256, 256)                                                                          \
    X(Q5_K, q5_k, 8, 1, 2, true, 0, 256, 320)                                                                          \
    X(Q6_K, q6_k, 8, 2, 1, false, 32, 288, 384)                                                                        \
    X(IQ4_XS, iq4_xs, 8, 1, 1, false, 128, 128, 256)                                                                   \
    X(IQ1_S, iq1_s, 8, 1, 4, false, 9, 96, 192)                                                                        \
    X(IQ1_M, iq1_m, 8, 2, 4, false, 9, 160, 192)                                                                       \
    X(IQ2_XXS, iq2_xxs, 8, 1, 2, false, 43, 96, 192)                                                                   \
    X(IQ2_XS, iq2_xs, 8, 2, 2, false, 43, 160, 192)                                                                    \
    X(IQ2_S, iq2_s, 8, 2, 2, false, 43, 160, 192)                                                                      \
    X(IQ3_XXS, iq3_xxs, 8, 1, 2, false, 62, 96, 256)                                                                   \
    X(IQ3_S, iq3_s, 8, 1, 4, false, 15, 96, 256)                                                                       \
    X(TQ1_0, tq1_0, 8, 1, 4, false, 1, 32, 128)                                                                        \
    X(TQ2_0, tq2_0, 8, 1, 4, false, 1, 32, 128)
#define TILE_TYPES(X) FLOAT_TYPES(X) INTEGER_TYPES(X)

struct form {
    size_t groups, halves, piece;
    bool offset;
    int zero;           // 128: the codes are signed bytes
    size_t head, group; // bytes
};

// NULL for a type that is not quantized.
const struct form *tile_form(enum type type);

// Bytes of a tile of a matrix bound to the CPU. (Of an F32 matrix whose elements are exact in 16 bits: these, column by
// column, without those that would fill up the last group.)
size_t tile_bytes(const struct weight *w);
static inline size_t tile_count(const struct weight *w) { return w->rows / TILE + (w->rows % TILE != 0); }

// Of such a matrix: tile `t`, whole.
void tile_pack_exact(const struct weight *w, size_t t, uint8_t *out);

// Writes units [first, first + n) of tile `t`: blocks of a quantized type, groups of 32 weights of
// F32.
void tile_pack(const struct weight *w, size_t t, size_t first, size_t n, uint8_t *out);

#endif
