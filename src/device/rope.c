#include "device/rope.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

static const double LN2 = 0x1.62e42fefa39efp-1;

// Taylor series by Horner's rule: c[0] is the highest term's coefficient.
static double series(const double *c, int n, double u) {
    double p = c[0];
    for (int i = 1; i < n; i++) p = fma(p, u, c[i]);
    return p;
}

// ln x for positive normal x: x = m 2^k with m in [0.7, 1.42), ln m = 2 atanh((m - 1) / (m + 1)).
double rope_ln(double x) {
    uint64_t bits;
    memcpy(&bits, &x, 8);
    int k = (int)(bits >> 52) - 1023;
    bits = (bits & 0xfffffffffffff) | UINT64_C(1023) << 52;
    double m;
    memcpy(&m, &bits, 8);
    if (m > 0x1.6a09e667f3bcdp0) {
        m *= 0.5;
        k++;
    }
    double z = (m - 1) / (m + 1), u = z * z, p = 0;
    for (int i = 23; i >= 1; i -= 2) p = fma(p, u, 1.0 / i);
    return fma(k, LN2, 2 * z * p);
}

// e^x for |x| < 700.
static double e_to(double x) {
    double k = x / LN2;
    k = (double)(int64_t)(k < 0 ? k - 0.5 : k + 0.5);
    double r = fma(k, -LN2, x), p = 1;
    r = fma(k, -0x1.abc9e3b39803fp-56, r); // the rest of ln 2
    for (int i = 15; i >= 1; i--) p = fma(p, r / i, 1);
    uint64_t bits = (uint64_t)((int64_t)k + 1023) << 52;
    double two;
    memcpy(&two, &bits, 8);
    return p * two;
}

// Sine and cosine of x >= 0: x - n pi/2 in three parts (n stays below 2^31), then Taylor series on |r| <= pi/4.
static void sin_cos(double x, double *sine, double *cosine) {
    static const double s[] = {-0x1.2f49b46814157p-57, 0x1.952c77030ad4ap-49,  -0x1.ae7f3e733b81fp-41,
                               0x1.6124613a86d09p-33,  -0x1.ae64567f544e4p-26, 0x1.71de3a556c734p-19,
                               -0x1.a01a01a01a01ap-13, 0x1.1111111111111p-7,   -0x1.5555555555555p-3};
    static const double c[] = {-0x1.6827863b97d97p-53, 0x1.ae7f3e733b81fp-45,  -0x1.93974a8c07c9dp-37,
                               0x1.1eed8eff8d898p-29,  -0x1.27e4fb7789f5cp-22, 0x1.a01a01a01a01ap-16,
                               -0x1.6c16c16c16c17p-10, 0x1.5555555555555p-5};
    int64_t n = (int64_t)(x * 0x1.45f306dc9c883p-1 + 0.5);
    double r = fma((double)n, -0x1.921fb54442d18p0, x);
    r = fma((double)n, -0x1.1a62633145c07p-54, r);
    double u = r * r;
    double si = fma(r * u, series(s, 9, u), r), co = fma(u * u, series(c, 8, u), fma(u, -0.5, 1));
    double swap[4][2] = {{si, co}, {co, -si}, {-si, -co}, {-co, si}};
    *sine = swap[n & 3][0];
    *cosine = swap[n & 3][1];
}

void rope_frequencies(float *frequency, size_t rotary_dim, double base) {
    double log_base = rope_ln(base);
    for (size_t i = 0; i < rotary_dim / 2; i++) {
        float exponent = (float)(2 * i) / (float)rotary_dim;
        frequency[i] = 1.0f / (float)e_to(exponent * log_base);
    }
}

void rope_table(float *table, size_t positions, size_t pairs, const float *frequency, float scale) {
    for (size_t p = 0; p < positions; p++)
        for (size_t i = 0; i < pairs; i++) {
            double sine, cosine;
            sin_cos((float)p * frequency[i], &sine, &cosine);
            float *t = table + (p * pairs + i) * 2;
            t[0] = (float)cosine * scale;
            t[1] = (float)sine * scale;
        }
}
