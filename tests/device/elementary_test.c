// Our elementary functions against the machine's double precision.
#include "device/elementary.h"

#include "device/rope.h"
#include "test.h"

// Error in units of the last place of the float nearest `want`.
static double ulps(float got, double want) {
    if (isnan(want)) return isnan(got) ? 0 : INFINITY;
    float near = (float)want;
    if (isinf(near) || isinf(got)) return got == near ? 0 : fabs(want) > 3.4e38 && isinf(got) ? 0 : INFINITY;
    int e;
    frexp(want, &e);
    double unit = ldexp(1, e - 24 < -149 ? -149 : e - 24);
    return fabs((double)got - want) / unit;
}

// The worst over every 1021st float of either sign, zero and infinities included.
static double worst(float (*f)(float), double (*exact)(double), float *at) {
    double most = 0;
    for (int sign = 0; sign < 2; sign++)
        for (uint32_t bits = 0; bits <= 0x7f800000u; bits += 1021) {
            float x = float_of_bits(bits | (uint32_t)sign << 31);
            double e = ulps(f(x), exact((double)x));
            if (!(e <= most)) {
                most = e;
                *at = x;
            }
        }
    return most;
}

static void check_function(const char *name, float (*f)(float), double (*exact)(double), double bound) {
    float at = 0;
    double e = worst(f, exact, &at);
    printf("  %s: at most %.2f units in the last place, at %a\n", name, e, (double)at);
    CHECK(e <= bound);
    CHECK(isnan(f(NAN)));
}

// ln of every 1021st normal number.
static void logarithm(void) {
    double most = 0;
    float at = 0;
    for (uint32_t bits = 0x00800000u; bits < 0x7f800000u; bits += 1021) {
        float x = float_of_bits(bits);
        double e = ulps(log_f(x), log((double)x));
        if (e > most) most = e, at = x;
    }
    printf("  log: at most %.2f units in the last place, at %a\n", most, (double)at);
    CHECK(most <= 3);
    CHECK(log_f(1) == 0 && !signbit(log_f(1)));
}

static double softplus(double x) { return x > 40 ? x : log1p(exp(x)); }

static void functions(void) {
    check_function("exp", exp_f, exp, 1.2);
    check_function("tanh", tanh_f, tanh, 2);
    check_function("erf", erf_f, erf, 2);
    check_function("softplus", softplus_f, softplus, 3);
}

static void exact_values(void) {
    CHECK(exp_f(0) == 1 && exp_f(-INFINITY) == 0 && exp_f(INFINITY) == INFINITY && exp_f(-200) == 0);
    CHECK(exp_f(-103.0f) == 0x1p-149f && exp_f(89) == INFINITY);
    CHECK(tanh_f(0) == 0 && signbit(tanh_f(-0.0f)) && tanh_f(50) == 1 && tanh_f(-INFINITY) == -1);
    CHECK(erf_f(0) == 0 && signbit(erf_f(-0.0f)) && erf_f(9) == 1 && erf_f(-INFINITY) == -1);
}

static void rope(void) {
    static const struct {
        size_t dim;
        double base;
    } cases[] = {{64, 10000}, {128, 10000}, {128, 500000}, {2, 10000}, {80, 1e6}, {16, 1}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        size_t dim = cases[c].dim, positions = 3000, bad = 0, off = 0;
        float *t = malloc(positions * dim * sizeof *t);
        float frequencies[64];
        rope_frequencies(frequencies, dim, cases[c].base);
        rope_table(t, positions, dim / 2, frequencies, 1);
        for (size_t i = 0; i < dim / 2; i++) {
            float exponent = (float)(2 * i) / (float)dim;
            float frequency = 1.0f / (float)pow(cases[c].base, (double)exponent);
            for (size_t p = 0; p < positions; p++) {
                double angle = (double)((float)p * frequency);
                const float *got = t + (p * (dim / 2) + i) * 2;
                bad += fabs((double)got[0] - cos(angle)) > 6e-8 || fabs((double)got[1] - sin(angle)) > 6e-8;
                off += got[0] != (float)cos(angle) || got[1] != (float)sin(angle);
            }
        }
        CHECK_INT(bad, 0);
        CHECK(off * 100000 <= positions * dim); // ties alone may differ
        free(t);
    }
}

static void rope_far_out(void) {
    size_t positions = 200000;
    float *t = malloc(positions * 2 * sizeof *t);
    rope_table(t, positions, 1, &(float){1}, 1);
    int bad = 0;
    for (size_t p = 0; p < positions; p += 7)
        bad += t[2 * p] != (float)cos((double)p) || t[2 * p + 1] != (float)sin((double)p);
    CHECK_INT(bad, 0);
    free(t);
}

int main(void) {
    RUN(functions);
    RUN(logarithm);
    RUN(exact_values);
    RUN(rope);
    RUN(rope_far_out);
    return test_end();
}
