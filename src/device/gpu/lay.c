#include "device/gpu/lay.h"

#include <string.h>

#include "device/gpu/kernels/strips.h"
#include "tensor/unpack.h"

// How the rows of a type are laid out: each type has a copy of this function, with its sizes as constants, so that a
// block is a few moves. Rows are written from their beginning to their end, and read in eight places at once.
static inline __attribute__((always_inline)) void one_row(const uint8_t *file, unsigned blocks, uint8_t *to,
                                                          uint8_t *rest_to, size_t body, size_t rest, size_t at) {
    const uint8_t *from[SEGMENTS];
    size_t bytes = body + rest, body_at = at ? 0 : rest;
    unsigned whole = blocks / SEGMENTS;
    for (unsigned s = 0; s < SEGMENTS; s++) from[s] = file + strip_start(blocks, s) * bytes;
    for (size_t j = 0; j < whole; j++, to += SEGMENTS * body, rest_to += SEGMENTS * rest)
#pragma GCC unroll 8
        for (unsigned s = 0; s < SEGMENTS; s++) {
            memcpy(to + s * body, from[s] + j * bytes + body_at, body);
            memcpy(rest_to + s * rest, from[s] + j * bytes + at, rest);
        }
    for (unsigned s = 0; s < SEGMENTS; s++) {
        if (strip_length(blocks, s) == whole) continue;
        memcpy(to, from[s] + whole * bytes + body_at, body);
        memcpy(rest_to, from[s] + whole * bytes + at, rest);
        to += body;
        rest_to += rest;
    }
}

typedef void row_fn(const uint8_t *file, unsigned blocks, uint8_t *body, uint8_t *rest);

// Of each block the bytes that keep it from lying on multiples of four, or sixteen, go elsewhere: its scale in most
// types, at the beginning or at the end. Bytes that stay, bytes that go, and where those are in the file.
#define TYPES(X)                                                                                                       \
    X(Q4_0, 16, 2, 0)                                                                                                  \
    X(Q4_1, 16, 4, 0)                                                                                                  \
    X(Q5_0, 20, 2, 0)                                                                                                  \
    X(Q5_1, 20, 4, 0)                                                                                                  \
    X(Q8_0, 32, 2, 0)                                                                                                  \
    X(IQ4_NL, 16, 2, 0)                                                                                                \
    X(MXFP4, 16, 1, 0)                                                                                                 \
    X(Q1_0, 16, 2, 0)                                                                                                  \
    X(Q2_0, 16, 2, 0)                                                                                                  \
    X(NVFP4, 36, 0, 0)                                                                                                 \
    X(Q2_K, 84, 0, 0)                                                                                                  \
    X(Q3_K, 108, 2, 108)                                                                                               \
    X(Q4_K, 144, 0, 0)                                                                                                 \
    X(Q5_K, 176, 0, 0)                                                                                                 \
    X(Q6_K, 208, 2, 208)                                                                                               \
    X(IQ4_XS, 136, 0, 0)                                                                                               \
    X(TQ1_0, 52, 2, 52)                                                                                                \
    X(TQ2_0, 64, 2, 64)                                                                                                \
    X(IQ1_S, 48, 2, 0)                                                                                                 \
    X(IQ1_M, 56, 0, 0)                                                                                                 \
    X(IQ2_XXS, 64, 2, 0)                                                                                               \
    X(IQ2_XS, 72, 2, 0)                                                                                                \
    X(IQ2_S, 80, 2, 0)                                                                                                 \
    X(IQ3_XXS, 96, 2, 0)                                                                                               \
    X(IQ3_S, 108, 2, 0)

#define ROW(type, body, rest, at)                                                                                      \
    static void row_##type(const uint8_t *file, unsigned blocks, uint8_t *to, uint8_t *rest_to) {                      \
        one_row(file, blocks, to, rest_to, body, rest, at);                                                            \
    }
TYPES(ROW)
#undef ROW

static const struct {
    uint8_t rest;
    row_fn *row;
} types[TYPE_LIMIT] = {
#define ENTRY(type, body, rest, at) [TYPE_##type] = {rest, row_##type},
    TYPES(ENTRY)
#undef ENTRY
};

struct lay lay_of(enum type type) {
    const struct type_info *info = type_info(type);
    return (struct lay){type, info->block / 32u, (size_t)info->bytes - types[type].rest, types[type].rest};
}

void lay_rows(const struct lay *l, const uint8_t *file, size_t rows, size_t blocks, uint8_t *body, uint8_t *rest) {
    for (size_t r = 0; r < rows; r++) {
        types[l->type].row(file, (unsigned)blocks, body, rest);
        file += blocks * (l->body + l->rest);
        body += blocks * l->body;
        rest += blocks * l->rest;
    }
}

// Words of a grid of eights: two an entry. Each digit stands for a byte of `bytes`.
static size_t eights(const char *grid, size_t entries, const uint8_t bytes[3], uint32_t *out) {
    for (size_t i = 0; out && i < 2 * entries; i++) {
        uint32_t digits = grid_four(grid[i]);
        out[i] = 0;
        for (int k = 0; k < 4; k++) out[i] |= (uint32_t)bytes[digits >> 8 * k & 255] << 8 * k;
    }
    return 2 * entries;
}

static size_t fours(const char *grid, size_t entries, const uint8_t bytes[8], uint32_t *out) {
    for (size_t i = 0; out && i < entries; i++) {
        uint64_t digits = grid_fours(grid, (unsigned)i, (unsigned)i);
        out[i] = 0;
        for (int k = 0; k < 4; k++) out[i] |= (uint32_t)bytes[digits >> 8 * k & 255] << 8 * k;
    }
    return entries;
}

size_t lay_grid(enum type type, uint32_t *out) {
    static const uint8_t iq1[] = {0, 8, 16}, iq2[] = {8, 25, 43}, iq3_xxs[] = {4, 12, 20, 28, 36, 44, 52, 62},
                         iq3_s[] = {1, 3, 5, 7, 9, 11, 13, 15};
    switch (type) {
    case TYPE_IQ1_S:
    case TYPE_IQ1_M: return eights(grid_iq1, 2048, iq1, out);
    case TYPE_IQ2_XXS: return eights(grid_iq2_xxs, 256, iq2, out);
    case TYPE_IQ2_XS: return eights(grid_iq2_xs, 512, iq2, out);
    case TYPE_IQ2_S: return eights(grid_iq2_s, 1024, iq2, out);
    case TYPE_IQ3_XXS: return fours(grid_iq3_xxs, 256, iq3_xxs, out);
    case TYPE_IQ3_S: return fours(grid_iq3_s, 512, iq3_s, out);
    default: return 0;
    }
}
