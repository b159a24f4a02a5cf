// Weights as floats, inline: kernels include this file to compile it for their own instruction set. The floats are the
// same with each: a weight is scale * code - offset, each operation rounded.
#ifndef TENSOR_DECODE_H
#define TENSOR_DECODE_H

#include "tensor/unpack.h"

static inline void split(enum word kind, const struct scales *s, unsigned i, struct codes *c) {
    int w = s->word[i];
    for (unsigned h = 0; h < 2; h++, w >>= kind == WORD_PAIR ? 0 : 8) {
        c->sc[h] = kind == WORD_NONE      ? 1
                   : kind == WORD_BYTES   ? (int8_t)w
                   : kind == WORD_NIBBLES ? w & 15
                   : kind == WORD_E4M3    ? e4m3_steps(w & 255)
                                          : w & 255;
        c->mn[h] = kind == WORD_NIBBLES ? w >> 4 & 15 : kind == WORD_PAIR ? w >> 8 : kind == WORD_NONE;
    }
    c->d = s->d;
    c->dm = s->dm;
}

// Eight codes times scale, less `less`. (GCC takes vectors of bytes apart one by one when it converts them.)
static inline void decode_eight(const int8_t *q, float scale, float less, bool offset, float *restrict out) {
#if defined(__AVX2__)
    __m256 w = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)q)));
    w = _mm256_mul_ps(w, _mm256_set1_ps(scale));
    _mm256_storeu_ps(out, offset ? _mm256_sub_ps(w, _mm256_set1_ps(less)) : w);
#else
    for (int i = 0; i < 8; i++) {
        float w = scale * (float)q[i];
        out[i] = offset ? w - less : w;
    }
#endif
}

static inline void decode_group(const struct codes *c, bool offset, float *restrict out) {
    for (int i = 0; i < 32; i += 8) {
        int h = i / 16;
        decode_eight(c->q + i, c->d * (float)c->sc[h], c->dm * (float)c->mn[h], offset, out + i);
    }
}

#define UNPACK(TYPE, name, bytes, block_groups, kind, offset)                                                          \
    static void unpack_##name(const void *row, size_t first, size_t groups, struct codes *out) {                       \
        for (size_t g = first; g < first + groups; g++, out++) {                                                       \
            const uint8_t *b = (const uint8_t *)row + g / block_groups * bytes;                                        \
            struct scales s = {0};                                                                                     \
            bytes32 q;                                                                                                 \
            scales_##name(b, &s);                                                                                      \
            codes_##name(b, g % block_groups, &q);                                                                     \
            split(kind, &s, g % block_groups, out);                                                                    \
            memcpy(out->q, &q, sizeof out->q);                                                                         \
        }                                                                                                              \
    }
QUANTIZED_TYPES(UNPACK)
#undef UNPACK

#define DECODE(TYPE, name, bytes, block_groups, kind, offset)                                                          \
    case TYPE_##TYPE:                                                                                                  \
        for (size_t g = 0; g < n / 32; g++) {                                                                          \
            struct codes c;                                                                                            \
            unpack_##name(row, first / 32 + g, 1, &c);                                                                 \
            decode_group(&c, offset, out + 32 * g);                                                                    \
        }                                                                                                              \
        break;

static inline void decode(enum type type, const void *row, size_t first, size_t n, float *restrict out) {
    const uint8_t *halves = (const uint8_t *)row + 2 * first;
    uint16_t h;
    switch (type) {
        QUANTIZED_TYPES(DECODE)
    case TYPE_F32: memcpy(out, (const float *)row + first, n * sizeof *out); break;
    default:
        for (size_t i = 0; i < n; i++) {
            memcpy(&h, halves + 2 * i, 2);
            out[i] = type == TYPE_F16 ? half_to_float(h) : bfloat_to_float(h);
        }
    }
}
#undef DECODE

#endif
