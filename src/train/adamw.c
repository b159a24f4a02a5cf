#include "train/adamw.h"

#include "base/threads.h"

#include <math.h>

// As PyTorch's are.
static const double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;

static double power(double x, uint64_t n) {
    double y = 1;
    for (; n; n >>= 1, x *= x)
        if (n & 1) y *= x;
    return y;
}

void adamw_step(struct adamw *o, float *numbers, const float *gradients, double rate) {
    o->steps++;
    double by = rate / (1 - power(beta1, o->steps)), root = sqrt(1 - power(beta2, o->steps));
    float kept = (float)(1 - rate * o->decay), step = (float)by, eps = (float)epsilon, inverse = (float)(1 / root);
    float one = (float)(1 - beta1), two = (float)(1 - beta2), old = (float)beta2;
    for (size_t i = 0; i < o->n; i++) {
        float g = gradients[i];
        o->mean[i] += one * (g - o->mean[i]);
        o->square[i] = old * o->square[i] + two * g * g;
        numbers[i] = numbers[i] * kept - step * (o->mean[i] / (sqrtf(o->square[i]) * inverse + eps));
    }
}

// Gradients in so many slices, and each sum in so many lanes, whoever computes them.
enum { SLICES = 256, LANES = 8 };

struct clipping {
    float *x, by;
    size_t n;
    double sum[SLICES]; // of squares
};

static size_t slice_begin(const struct clipping *c, size_t i) { return c->n / SLICES * i + c->n % SLICES * i / SLICES; }

static void square_slice(void *arg, size_t i) {
    struct clipping *c = arg;
    size_t at = slice_begin(c, i), end = slice_begin(c, i + 1);
    double lane[LANES] = {0}, sum = 0;
    for (; at + LANES <= end; at += LANES)
        for (size_t k = 0; k < LANES; k++) lane[k] += (double)c->x[at + k] * (double)c->x[at + k];
    for (size_t k = 0; at + k < end; k++) lane[k] += (double)c->x[at + k] * (double)c->x[at + k];
    for (size_t k = 0; k < LANES; k++) sum += lane[k];
    c->sum[i] = sum;
}

static void scale_slice(void *arg, size_t i) {
    struct clipping *c = arg;
    for (size_t at = slice_begin(c, i), end = slice_begin(c, i + 1); at < end; at++) c->x[at] *= c->by;
}

double clip(struct pool *pool, float *gradients, size_t n, double most) {
    struct clipping c = {gradients, 1, n};
    double sum = 0;
    pool_run(pool, SLICES, square_slice, &c);
    for (size_t i = 0; i < SLICES; i++) sum += c.sum[i];
    double length = sqrt(sum);
    if (!isfinite(length)) return (double)NAN;
    if (most <= 0 || length <= most) return length;
    c.by = (float)(most / length);
    pool_run(pool, SLICES, scale_slice, &c);
    return length;
}

// cos(pi x) for x in [0, 1], by its series: libm's differ from one another.
static double cos_pi(double x) {
    if (x > 0.5) return -cos_pi(1 - x);
    double u = x * 0x1.921fb54442d18p1, square = u * u, term = 1, sum = 1;
    for (int i = 1; i <= 12; i++) {
        term *= -square / ((2 * i - 1) * (2 * i));
        sum += term;
    }
    return sum;
}

double schedule_at(gyr_schedule s, size_t step, size_t steps, size_t warmup) {
    if (step < warmup) return (double)(step + 1) / (double)warmup;
    double done = (double)(step - warmup) / (double)(steps > warmup ? steps - warmup : 1);
    switch (s) {
    case GYR_SCHEDULE_LINEAR: return 1 - done;
    case GYR_SCHEDULE_COSINE: return 0.5 * (1 + cos_pi(done));
    default: return 1;
    }
}
