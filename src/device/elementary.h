// exp, log, tanh and erf of a float from + - * / and fma alone, so that every machine gives the same bits: libm does
// not. No branches, so that compilers vectorize loops of them. Within 2 units in the last place
// (tests/device/elementary_test.c).
//
// The polynomials are Chebyshev fits of the stated functions, made with mpmath at 40 digits and rounded to float.
#ifndef DEVICE_ELEMENTARY_H
#define DEVICE_ELEMENTARY_H

#ifndef ELEMENTARY // a compiler for GPUs has words of its own for all of this: gpu/kernels/chip.h
#include <math.h>
#include <stdbool.h>

#include "tensor/float16.h"

#define ELEMENTARY static inline
#endif

// c ? a : b by masks: given a choice, compilers compute one side behind a branch, and no longer vectorize.
ELEMENTARY float either(bool c, float a, float b) {
    uint32_t mask = -(uint32_t)c;
    return float_of_bits((bits_of_float(a) & mask) | (bits_of_float(b) & ~mask));
}

// e^x: n = round(x / ln 2), r = x - n ln 2 with ln 2 in two parts (Cody and Waite, 1980), then 1 + r + r^2 P(r) with
// P fitting (e^r - 1 - r) / r^2 on |r| <= ln 2 / 2. The power of two is applied in two halves, because 2^n alone
// leaves float's range where the result does not.
ELEMENTARY float exp_f(float x) {
    const float shift = 0x1.8p23f; // adding it leaves the rounded integer in the low bits
    float c = x < -105.0f ? -105.0f : x;
    c = c > 89.0f ? 89.0f : c;
    float s = fmaf(c, 0x1.715476p0f, shift);
    uint32_t n = bits_of_float(s) - bits_of_float(shift);
    float k = s - shift;
    float r = fmaf(k, -0x1.62e4p-1f, c);
    r = fmaf(k, -0x1.7f7d1cp-20f, r);
    float p = 0x1.6d113cp-10f;
    p = fmaf(p, r, 0x1.120ba2p-7f);
    p = fmaf(p, r, 0x1.55551ap-5f);
    p = fmaf(p, r, 0x1.5554dcp-3f);
    p = fmaf(p, r, 0.5f);
    p = fmaf(p * r, r, r) + 1.0f;
    uint32_t half = (n + 1024) / 2 - 512; // floor(n / 2); n is in [-152, 129]
    return p * float_of_bits((half + 127) << 23) * float_of_bits((n - half + 127) << 23);
}

// 2 atanh(s) = ln((1 + s) / (1 - s)) for s <= 1/3: s + s^3 P(s^2) has P fitting (atanh(s) / s - 1) / s^2.
ELEMENTARY float atanh_twice_f(float s) {
    float u = s * s;
    float p = 0x1.a9bafcp-4f;
    p = fmaf(p, u, 0x1.65ad56p-4f);
    p = fmaf(p, u, 0x1.c7fb36p-4f);
    p = fmaf(p, u, 0x1.248f58p-3f);
    p = fmaf(p, u, 0x1.9999a0p-3f);
    p = fmaf(p, u, 0x1.555556p-2f);
    return 2.0f * fmaf(p * u, s, s);
}

// ln(1 + e^x) = max(x, 0) + ln(1 + t), t = e^-|x|: with s = t / (2 + t), ln(1 + t) = 2 atanh(s).
ELEMENTARY float softplus_f(float x) {
    float t = exp_f(-fabsf(x));
    return either(x > 0, x, 0) + atanh_twice_f(t / (2.0f + t));
}

// ln x of a normal number: x = 2^n f with sqrt(1/2) <= f < sqrt(2), and ln f = 2 atanh((f - 1) / (f + 1)).
ELEMENTARY float log_f(float x) {
    const uint32_t root = 0x3f3504f3u; // of 1/2
    uint32_t bits = bits_of_float(x) - root;
    float n = (float)((int32_t)bits >> 23), f = float_of_bits((bits & 0x7fffffu) + root);
    float log = atanh_twice_f((f - 1.0f) / (f + 1.0f));
    return fmaf(n, 0x1.62e4p-1f, fmaf(n, 0x1.7f7d1cp-20f, log));
}

// tanh x: x + x^3 P(x^2) with P fitting (tanh(x) / x - 1) / x^2 on |x| <= 0.65, else 1 - 2 / (e^2|x| + 1).
ELEMENTARY float tanh_f(float x) {
    float a = fabsf(x), u = x * x;
    float p = 0x1.224fcep-9f;
    p = fmaf(p, u, -0x1.0f1266p-7f);
    p = fmaf(p, u, 0x1.644a1ep-6f);
    p = fmaf(p, u, -0x1.ba02aap-5f);
    p = fmaf(p, u, 0x1.1110d8p-3f);
    p = fmaf(p, u, -0x1.555556p-2f);
    float small = fmaf(p * u, a, a);
    float large = 1.0f - 2.0f / (exp_f(2.0f * a) + 1.0f);
    return copysignf(either(a < 0.65f, small, large), x);
}

// erf x: x + x P(x^2) with P fitting erf(x) / x - 1 on |x| <= 1; from there to 4, 1 - e^Q(x) with Q fitting
// ln(erfc(x)); then 1.
ELEMENTARY float erf_f(float x) {
    float a = fabsf(x), u = x * x;
    float p = 0x1.4a5690p-14f;
    p = fmaf(p, u, -0x1.a45088p-11f);
    p = fmaf(p, u, 0x1.541270p-8f);
    p = fmaf(p, u, -0x1.b7fabap-6f);
    p = fmaf(p, u, 0x1.ce2d10p-4f);
    p = fmaf(p, u, -0x1.81273ep-2f);
    p = fmaf(p, u, 0x1.06eba8p-3f);
    float b = a > 4.0f ? 4.0f : a;
    float q = 0x1.b77830p-20f;
    q = fmaf(q, b, -0x1.825ce4p-15f);
    q = fmaf(q, b, 0x1.38e5e6p-11f);
    q = fmaf(q, b, -0x1.37ecc6p-8f);
    q = fmaf(q, b, 0x1.b0e246p-6f);
    q = fmaf(q, b, -0x1.c2e356p-4f);
    q = fmaf(q, b, -0x1.437eb4p-1f);
    q = fmaf(q, b, -0x1.2156fap+0f);
    q = fmaf(q, b, 0x1.4fb068p-12f);
    float large = 1.0f - exp_f(q);
    return copysignf(either(a < 1.0f, fmaf(p, a, a), large), x);
}

#endif
