#include "device/gpu/lay.h"

#include <string.h>

#include "device/gpu/kernels/strips.h"
#include "tensor/unpack.h"

// Of each block the bytes that keep it from lying on multiples of four, or sixteen, go elsewhere: its scale in most
// types, at the beginning or at the end.
struct lay lay_of(enum type type) {
    static const struct {
        uint8_t rest;
        uint8_t at;
    } apart[TYPE_LIMIT] = {
        [TYPE_Q4_0] = {2, 0},   [TYPE_Q4_1] = {4, 0},    [TYPE_Q5_0] = {2, 0},    [TYPE_Q5_1] = {4, 0},
        [TYPE_Q8_0] = {2, 0},   [TYPE_IQ4_NL] = {2, 0},  [TYPE_MXFP4] = {1, 0},   [TYPE_Q1_0] = {2, 0},
        [TYPE_Q2_0] = {2, 0},   [TYPE_Q3_K] = {2, 108},  [TYPE_Q6_K] = {2, 208},  [TYPE_TQ1_0] = {2, 52},
        [TYPE_TQ2_0] = {2, 64}, [TYPE_IQ1_S] = {2, 0},   [TYPE_IQ2_XXS] = {2, 0}, [TYPE_IQ2_XS] = {2, 0},
        [TYPE_IQ2_S] = {2, 0},  [TYPE_IQ3_XXS] = {2, 0}, [TYPE_IQ3_S] = {2, 0},
    };
    const struct type_info *info = type_info(type);
    return (struct lay){info->block / 32u, (size_t)info->bytes - apart[type].rest, apart[type].rest, apart[type].at};
}

void lay_rows(const struct lay *l, const uint8_t *file, size_t rows, size_t blocks, uint8_t *body, uint8_t *rest) {
    size_t bytes = l->body + l->rest, before = l->rest_at, after = l->body - before;
    for (size_t r = 0; r < rows; r++, body += blocks * l->body, rest += blocks * l->rest)
        for (size_t b = 0; b < blocks; b++, file += bytes) {
            size_t at = strip_of((unsigned)blocks, (unsigned)b);
            memcpy(body + at * l->body, file + (before ? 0 : l->rest), before ? before : after);
            memcpy(rest + at * l->rest, file + before, l->rest);
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
