// F16 and BF16 weights, and what they are multiplied with, as integers of 16 bits in two planes: see tile_w16.h.
#include "device/cpu/isa.h"
#include "device/cpu/tile_w16.h"
#include "device/cpu/wide.h"

#include "tensor/float16.h"

enum { WEIGHTS = W16_RUN * W16_GROUP };

static const float SHIFT = 0x1.8p23f; // adding it rounds to an integer, ties to even

// Integers compare as the magnitudes they encode, infinity and NaN above all.
static uint32_t magnitude(const float *x, size_t n) {
    uint32_t most = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t a = bits_of_float(x[i]) & 0x7fffffffu;
        most = a > most ? a : most;
    }
    return most;
}

static bool is_finite(uint32_t magnitude) { return magnitude < 0x7f800000u; }

// Rounded and bounded.
static int32_t integer(float x) {
    x = x < MAX_W16 ? x : MAX_W16;
    x = (x > -MAX_W16 ? x : -MAX_W16) + SHIFT;
    return (int32_t)bits_of_float(x) - 0x4b400000; // the bits of SHIFT
}

static int32_t high(int32_t v) { return (v + 128) >> 8; }

// n elements, padded with zeros to `size`.
static void decode(enum type type, const uint8_t *from, size_t n, size_t size, float *x) {
    uint16_t h[WEIGHTS];
    memcpy(h, from, n * sizeof *h);
    if (type == TYPE_F16)
        for (size_t i = 0; i < n; i++) x[i] = half_to_float(h[i]);
    else
        for (size_t i = 0; i < n; i++) x[i] = bfloat_to_float(h[i]);
    for (size_t i = n; i < size; i++) x[i] = 0;
}

// The least e of at least -126 for which no magnitude divided by 2^e is above MAX_W16.
static int exponent(uint32_t most) {
    uint32_t bound = bits_of_float(MAX_W16) & 0x7fffffu;
    int e = (int)(most >> 23) - 127 - 14 + ((most & 0x7fffffu) > bound);
    return e > -126 ? e : -126;
}

static float power_of_two(int e) { return float_of_bits((uint32_t)(e + 127) << 23); }

// A run of row r, n weights and zeros up to whole groups.
static void pack_row(enum type type, const uint8_t *from, size_t n, size_t groups, unsigned r, uint8_t *out) {
    float x[WEIGHTS], scale = NAN, by = 0;
    uint8_t planes[2][WEIGHTS];
    size_t size = groups * W16_GROUP;
    decode(type, from, n, size, x);
    uint32_t most = magnitude(x, size);
    if (is_finite(most)) {
        int e = exponent(most);
        scale = power_of_two(e + 8);
        by = power_of_two(-e);
    } else
        memset(x, 0, sizeof x);
    for (size_t i = 0; i < size; i++) {
        int32_t v = integer(x[i] * by), h = high(v);
        planes[0][i] = (uint8_t)(h + 128);
        planes[1][i] = (uint8_t)(v - 256 * h + 128);
    }
    memcpy(out + r * sizeof scale, &scale, sizeof scale);
    out += W16_HEAD + 4 * r;
    for (size_t g = 0; g < groups; g++)
        for (int p = 0; p < 2; p++)
            for (size_t j = 0; j < W16_WORDS; j++, out += VECTOR) memcpy(out, planes[p] + g * W16_GROUP + 4 * j, 4);
}

void KERNEL(tile_w16)(const struct weight *w, size_t tile, const struct run *run, uint8_t *out) {
    size_t row = tile * TILE, rows = w->rows - row < TILE ? w->rows - row : TILE, from = run->first * W16_GROUP;
    size_t n = run->n * W16_GROUP < w->cols - from ? run->n * W16_GROUP : w->cols - from;
    if (!run->n) n = 0;
    if (rows < TILE || !n) {
        memset(out, 0, W16_HEAD);
        memset(out + W16_HEAD, 128, w16_run_bytes(run) - W16_HEAD);
    }
    const uint8_t *data = (const uint8_t *)w->data + (row * w->cols + from) * 2;
    for (size_t r = 0; n && r < rows; r++) pack_row(w->type, data + r * w->cols * 2, n, run->n, (unsigned)r, out);
}

// A run of one row: its planes to `out`.
static struct act16 round_run(const float *x, size_t groups, uint8_t *out) {
    size_t size = groups * W16_GROUP;
    uint32_t most = magnitude(x, size);
    if (!is_finite(most)) {
        memset(out, 0, groups * W16_ROW);
        return (struct act16){.d = NAN};
    }
    float d = float_of_bits(most) / MAX_W16, by = d == 0 ? INFINITY : d;
    int32_t highs = 0, lows = 0;
    for (size_t g = 0; g < groups; g++, x += W16_GROUP, out += W16_ROW)
        for (size_t i = 0; i < W16_GROUP; i++) {
            int32_t v = integer(x[i] / by), h = high(v), l = v - 256 * h;
            out[i] = (uint8_t)h;
            out[W16_GROUP + i] = (uint8_t)l;
            highs += h;
            lows += l;
        }
    return (struct act16){d, -(uint32_t)WIDE_SIGNED_ZERO * (257 * (uint32_t)highs + (uint32_t)lows)};
}

void KERNEL(round_w16)(const float *x, size_t cols, size_t rows, size_t r, struct segments s, void *batch) {
    size_t groups = w16_groups(cols);
    for (struct run run = w16_begin(); w16_next(groups, &run);) {
        if (run.segment < s.first || run.segment >= s.end) continue;
        float padded[WEIGHTS];
        const float *from = x + run.first * W16_GROUP;
        size_t size = run.n * W16_GROUP, have = cols - run.first * W16_GROUP;
        if (run.n && have < size) {
            memcpy(padded, from, have * sizeof *from);
            memset(padded + have, 0, (size - have) * sizeof *from);
            from = padded;
        }
        *w16_units(batch, cols, rows, &run, r) = round_run(from, run.n, w16_planes(batch, rows, &run, r));
    }
}
