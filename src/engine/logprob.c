#include "engine/logprob.h"
#include "device/elementary.h"

enum { LANES = 16 };

static inline float number(float x) { return either(x != x, -INFINITY, x); }

// x - best, also where both are the same infinity.
static inline float below(float x, float best) { return either(x == best, 0, x - best); }

static float highest(const float *x, size_t n) {
    float most[LANES], best = -INFINITY;
    size_t i = 0;
    for (size_t l = 0; l < LANES; l++) most[l] = -INFINITY;
    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++) most[l] = either(x[i + l] > most[l], x[i + l], most[l]);
    for (; i < n; i++) best = x[i] > best ? x[i] : best;
    for (size_t l = 0; l < LANES; l++) best = most[l] > best ? most[l] : best;
    return best;
}

static double fold(double v[LANES]) {
    for (size_t half = LANES / 2; half; half /= 2)
        for (size_t l = 0; l < half; l++) v[l] += v[l + half];
    return v[0];
}

static double sum(const float *x, size_t n) {
    double lane[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++) lane[l] += (double)x[i + l];
    for (size_t l = 0; i < n; i++, l++) lane[l] += (double)x[i];
    return fold(lane);
}

struct log_softmax log_softmax(host_exps *exps, const float *logits, size_t n, float *work) {
    float best = highest(logits, n);
    exps(logits, n, best, 1, -INFINITY, work); // of a NaN 0
    return (struct log_softmax){best, log_f(best > -INFINITY ? (float)sum(work, n) : (float)n)};
}

float log_softmax_at(const struct log_softmax *s, float logit) { return below(number(logit), s->best) - s->log_sum; }

void likeliest(const float *logits, size_t n, int32_t *ids, size_t k) {
    size_t have = 0;
    for (size_t i = 0; k && i < n; i++) {
        float x = number(logits[i]);
        if (have == k && x <= number(logits[ids[k - 1]])) continue;
        size_t at = have < k ? have++ : k - 1;
        for (; at && x > number(logits[ids[at - 1]]); at--) ids[at] = ids[at - 1];
        ids[at] = (int32_t)i;
    }
}
