// What choosing a token begins with: a pass over the whole vocabulary's scores.
#include "device/cpu/isa.h"
#include "device/cpu/simd.h"
#include "device/elementary.h"

#include <math.h>

// Token `i` of a block, of those whose bits are set.
static inline float score(const float *x, uint64_t bits, size_t i) {
    return either((bits >> i & 1) && x[i] == x[i], x[i], -INFINITY);
}

static inline f32x8 choose8(i32x8 c, f32x8 a, f32x8 b) { return (f32x8)(((i32x8)a & c) | ((i32x8)b & ~c)); }

// The scores of eight tokens. `some`: the mask is to be looked at; known when this is compiled. A NaN is greater than
// nothing, and has to be replaced only where it is written.
static inline f32x8 scores8(const float *x, uint64_t bits, bool some, float *out) {
    const i32x8 place = {1, 2, 4, 8, 16, 32, 64, 128};
    f32x8 v = load8(x);
    if (!some && !out) return v;
    i32x8 good = v == v;
    if (some) good &= (place & (int32_t)(bits & 0xff)) != 0;
    v = choose8(good, v, fill8(-INFINITY));
    if (out) store8(out, v);
    return v;
}

// A whole block.
static inline float block(const float *x, uint64_t bits, bool some, float *out) {
    f32x8 even = fill8(-INFINITY), odd = even;
    for (size_t i = 0; i < HOST_BLOCK; i += 16) {
        f32x8 a = scores8(x + i, bits >> i, some, out ? out + i : NULL);
        f32x8 b = scores8(x + i + 8, bits >> (i + 8), some, out ? out + i + 8 : NULL);
        even = choose8(a > even, a, even);
        odd = choose8(b > odd, b, odd);
    }
    even = choose8(odd > even, odd, even);
    for (size_t half = 4; half; half /= 2)
        for (size_t l = 0; l < half; l++) even[l] = even[l + half] > even[l] ? even[l + half] : even[l];
    return even[0];
}

static float part_of_block(const float *x, uint64_t bits, size_t n, float *out) {
    float top = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        float s = score(x, bits, i);
        if (out) out[i] = s;
        top = s > top ? s : top;
    }
    return top;
}

static uint64_t bits_of(const uint32_t *allowed, size_t from, size_t n) {
    if (!allowed) return UINT64_MAX;
    uint64_t high = n > 32 ? allowed[from / 32 + 1] : 0;
    return high << 32 | allowed[from / 32];
}

static float none(float *out) {
    for (size_t i = 0; out && i < HOST_BLOCK; i++) out[i] = -INFINITY;
    return -INFINITY;
}

float KERNEL(peaks)(const float *x, size_t n, const uint32_t *allowed, float *out, float *peak) {
    float best = -INFINITY;
    for (size_t from = 0; from < n; from += HOST_BLOCK) {
        size_t size = n - from < HOST_BLOCK ? n - from : HOST_BLOCK;
        uint64_t bits = bits_of(allowed, from, size);
        float *to = out ? out + from : NULL, top;
        if (size < HOST_BLOCK)
            top = part_of_block(x + from, bits, size, to);
        else if (!bits)
            top = none(to);
        else if (bits != UINT64_MAX)
            top = to ? block(x + from, bits, true, to) : block(x + from, bits, true, NULL);
        else
            top = to ? block(x + from, bits, false, to) : block(x + from, bits, false, NULL);
        peak[from / HOST_BLOCK] = top;
        best = top > best ? top : best;
    }
    return best;
}
