// What packed weights mean: code times scale, where codes are whole numbers less their zero point, or floats of 8 bits.
#include "format/packed.h"

#include "tensor/float16.h"

#include <math.h>
#include <string.h>

enum { BLOCK = 32, CHUNK = 256 };

static float scale_at(const struct packing *p, uint64_t i) {
    size_t size = p->scale_type == TYPE_F32 ? 4 : 2;
    float x;
    type_decode(p->scale_type, p->scales + i * size, 0, 1, &x);
    return x;
}

static unsigned nibble(const uint8_t *words, uint64_t word, unsigned i) {
    return words[word * 4 + i / 2] >> 4 * (i % 2) & 15;
}

// Where row r of eight lies in a word of AWQ's.
static unsigned awq_place(uint64_t r) { return (unsigned)(r % 8 / 2 + r % 2 * 4); }

// The whole number of a weight, less 8 or its zero point.
static int code_at(const struct packing *p, uint64_t row, uint64_t col, int zero) {
    if (p->kind == PACKED_AWQ) return (int)nibble(p->codes, col * p->code_cols + row / 8, awq_place(row)) - zero;
    return (int)nibble(p->codes, row * p->code_cols + col / 8, col % 8) - zero;
}

static int zero_at(const struct packing *p, uint64_t row, uint64_t group) {
    if (!p->zeros) return 8;
    if (p->kind == PACKED_AWQ) return (int)nibble(p->zeros, group * p->code_cols + row / 8, awq_place(row));
    return (int)nibble(p->zeros, row / 8 * p->scale_cols + group, row % 8);
}

// E4M3 without infinities: the bits of the largest exponent with all of the fraction are NaN. Moved into a half's
// place, the bits are the value times 2^-8.
static float e4m3_at(const struct packing *p, uint64_t row, uint64_t col) {
    uint8_t v = p->codes[row * p->code_cols + col];
    if ((v & 127) == 127) return NAN;
    return half_to_float((uint16_t)((v & 128) << 8 | (v & 127) << 7)) * 256;
}

// Weights of one row with one scale.
struct run {
    uint64_t row, col, n;
    float scale;
    int zero;
};

static struct run run_at(const struct packing *p, uint64_t first, uint64_t n) {
    struct run r = {first / p->cols, first % p->cols, n, 0, 8};
    uint64_t group = r.col / p->wide, end = (group + 1) * p->wide < p->cols ? (group + 1) * p->wide : p->cols;
    if (r.n > end - r.col) r.n = end - r.col;
    bool across = p->kind == PACKED_AWQ; // scales lie as [group][row]
    r.scale = scale_at(p, across ? group * p->rows + r.row : r.row / p->high * p->scale_cols + group);
    if (p->kind != PACKED_FP8) r.zero = zero_at(p, r.row, group);
    return r;
}

void packed_decode(const struct tensor *t, uint64_t first, size_t n, float *out) {
    const struct packing *p = t->packing;
    for (uint64_t done = 0; done < n;) {
        struct run r = run_at(p, first + done, n - done);
        for (uint64_t i = 0; i < r.n; i++) {
            float code =
                p->kind == PACKED_FP8 ? e4m3_at(p, r.row, r.col + i) : (float)code_at(p, r.row, r.col + i, r.zero);
            out[done + i] = code * r.scale;
        }
        done += r.n;
    }
}

// A block of Q4_0 or, with zero points, of Q5_0: its scale is the run's, its codes are raised by 8 or 16.
static void block(const struct packing *p, const struct run *r, bool five, uint8_t *out) {
    uint16_t d = f32_to_f16(r->scale);
    uint8_t u[BLOCK], *nibbles = out + (five ? 6 : 2);
    uint32_t high = 0;
    memcpy(out, &d, sizeof d);
    for (unsigned i = 0; i < BLOCK; i++) {
        u[i] = (uint8_t)(code_at(p, r->row, r->col + i, r->zero) + (five ? 16 : 8));
        high |= (uint32_t)(u[i] >> 4) << i;
    }
    if (five) memcpy(out + 2, &high, sizeof high);
    for (int i = 0; i < BLOCK / 2; i++) nibbles[i] = (uint8_t)((u[i] & 15) | u[i + BLOCK / 2] << 4);
}

void packed_blocks(const struct tensor *t, uint64_t first, size_t n, uint8_t *out) {
    const struct type_info *type = type_info(t->type);
    for (size_t done = 0, k; done < n; done += k) {
        k = type->quantized ? BLOCK : n - done < CHUNK ? n - done : CHUNK;
        if (type->quantized) {
            struct run r = run_at(t->packing, first + done, BLOCK);
            block(t->packing, &r, t->type == TYPE_Q5_0, out);
        } else {
            float x[CHUNK];
            packed_decode(t, first + done, k, x);
            type->encode(x, k, out);
        }
        out += type_row_bytes(t->type, k);
    }
}

static uint64_t scales_of(const struct packing *p) {
    return (p->rows / p->high + (p->rows % p->high != 0)) * p->scale_cols;
}

bool packed_scales_are_halves(const struct packing *p) {
    bool ok = true;
    for (uint64_t i = 0; ok && i < scales_of(p); i++) {
        float x = scale_at(p, i);
        ok = isfinite(x) && f16_to_f32(f32_to_f16(x)) == x;
    }
    return ok;
}

bool packed_scales_are_powers(const struct packing *p) {
    bool ok = true;
    for (uint64_t i = 0; ok && i < scales_of(p); i++) {
        uint32_t bits = bits_of_float(scale_at(p, i));
        ok = !(bits & 0x007fffff) && bits >> 23 > 27 && bits >> 23 < 227; // positive, from 2^-99 to 2^99
    }
    return ok;
}
