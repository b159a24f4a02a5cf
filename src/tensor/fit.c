#include "tensor/fit.h"

#include <math.h>
#include <string.h>

#include "tensor/encode.h"
#include "tensor/type.h"

enum { MAX_RUN = 32, ROUNDS = 4 };

static float ratio(float a, float b) { return b == 0 ? 0 : a / b; }

// NaN gives low.
static float clamp(float x, float low, float high) {
    x = x > low ? x : low;
    return x < high ? x : high;
}

// To the nearest whole number, ties to even, for |x| < 2^22: the sum has no bits for a fraction.
static float nearest(float x) { return (x + 0x1.8p23f) - 0x1.8p23f; }

// The values nearest to x / scale.
static void values_of(const float *x, int n, const struct values *v, float scale, float *q) {
    float inverse = ratio(1, scale);
    if (!v->book) {
        for (int i = 0; i < n; i++) q[i] = nearest(clamp(x[i] * inverse, v->low, v->high));
        return;
    }
    for (int i = 0; i < n; i++) q[i] = v->low;
    for (int k = 1; k < 16; k++) {
        float step = (float)(v->book[k] - v->book[k - 1]), middle = (float)(v->book[k] + v->book[k - 1]) * 0.5f;
        for (int i = 0; i < n; i++) q[i] += x[i] * inverse > middle ? step : 0;
    }
}

// Sums over a run, from which every best scale follows.
struct sums {
    float n, q, qq, x, xq;
};

static struct sums sums_of(const float *x, const float *q, int n) {
    float s[4][4] = {{0}}; // four partial sums each: the compiler may not make them itself
    for (int i = 0; i < n; i += 4)
        for (int k = 0; k < 4; k++) {
            s[0][k] += q[i + k];
            s[1][k] += q[i + k] * q[i + k];
            s[2][k] += x[i + k];
            s[3][k] += x[i + k] * q[i + k];
        }
    struct sums r = {(float)n, 0, 0, 0, 0};
    float *out[] = {&r.q, &r.qq, &r.x, &r.xq};
    for (int j = 0; j < 4; j++) *out[j] = (s[j][0] + s[j][1]) + (s[j][2] + s[j][3]);
    return r;
}

// The squared error of scale * q - min, less the sum of x squared, which no choice changes.
static float loss(const struct sums *s, float scale, float min) {
    return scale * (scale * s->qq - 2 * s->xq) + min * (min * s->n - 2 * (scale * s->q - s->x));
}

// The scale of one run, before it is rounded.
static float best_scale(const float *x, int n, const struct values *v) {
    float peak = 0, best = 0, least = 0, q[MAX_RUN];
    for (int i = 0; i < n; i++)
        if (fabsf(x[i]) > fabsf(peak)) peak = x[i];
    if (peak == 0) return 0;
    float steps = v->book ? 8 : v->high;
    for (int i = 0; i < 16; i++) {
        // The peak goes to the longer side's end or to the other's, a little inside, or up to a third beyond.
        float end = i % 2 ? v->high : v->low, scale = peak / (end * (1 + ((float)(i / 2) - 2.5f) * 0.3f / steps));
        for (int round = 0; round < 2; round++) {
            values_of(x, n, v, scale, q);
            struct sums s = sums_of(x, q, n);
            scale = ratio(s.xq, s.qq);
            if (!(loss(&s, scale, 0) < least)) continue;
            least = loss(&s, scale, 0);
            best = scale;
        }
    }
    return best;
}

// A run's best multiple of d, near `want`; its values are left in q.
static int best_multiple(const float *x, int n, const struct values *v, float d, float want, int top, float *q) {
    int middle = bounded(rintf(ratio(want, d)), -top, top - 1), best = middle;
    float least = INFINITY;
    for (int sc = middle - 1; sc <= middle + 1; sc++) {
        float t[MAX_RUN];
        if (sc < -top || sc >= top) continue;
        values_of(x, n, v, d * (float)sc, t);
        struct sums s = sums_of(x, t, n);
        float l = loss(&s, d * (float)sc, 0);
        if (!(l < least)) continue;
        least = l;
        best = sc;
        memcpy(q, t, sizeof t);
    }
    if (least == INFINITY) values_of(x, n, v, d * (float)best, q);
    return best;
}

static uint8_t code_of(const struct values *v, float q) {
    if (!v->book) return (uint8_t)(q - v->low);
    uint8_t u = 0;
    while (u < 15 && (float)v->book[u] < q) u++;
    return u;
}

static void put_codes(const struct values *v, const float *q, int n, uint8_t *u) {
    for (int i = 0; i < n; i++) u[i] = code_of(v, q[i]);
}

static void fit_one(const float *x, int n, const struct values *v, struct fit *f) {
    float q[MAX_RUN];
    f->d = f32_to_f16(best_scale(x, n, v));
    f->sc[0] = 1;
    values_of(x, n, v, f16_to_f32(f->d), q);
    put_codes(v, q, n, f->u);
}

void fit_scaled(const float *x, int runs, int size, const struct values *v, int top, struct fit *f) {
    float want[FIT_RUNS], most = 0, least = INFINITY, q[MAX_RUN];
    memset(f, 0, sizeof *f);
    if (!top) {
        fit_one(x, size, v, f);
        return;
    }
    for (int r = 0; r < runs; r++) {
        want[r] = best_scale(x + r * size, size, v);
        if (fabsf(want[r]) > fabsf(most)) most = want[r];
    }
    uint16_t d = f32_to_f16(most / (float)-top);
    for (int round = 0; round < ROUNDS; round++) {
        struct fit t = {.d = d};
        float scale = f16_to_f32(d), total = 0, xq = 0, qq = 0;
        for (int r = 0; r < runs; r++) {
            t.sc[r] = (int8_t)best_multiple(x + r * size, size, v, scale, want[r], top, q);
            struct sums s = sums_of(x + r * size, q, size);
            float sc = t.sc[r];
            total += loss(&s, scale * sc, 0);
            xq += sc * s.xq;
            qq += sc * sc * s.qq;
            put_codes(v, q, size, t.u + r * size);
        }
        if (total < least || !round) {
            least = total;
            *f = t;
        }
        uint16_t next = f32_to_f16(ratio(xq, qq));
        if (next == d) break;
        d = next;
    }
}

// A line through a run's weights: x ~ scale * q - min.
struct line {
    float scale, min;
};

static void codes_above(const float *x, int n, float high, struct line l, float *q) {
    float inverse = ratio(1, l.scale);
    for (int i = 0; i < n; i++) q[i] = nearest(clamp((x[i] + l.min) * inverse, 0, high));
}

// Least squares over scale and min, with min at least zero.
static struct line solve(const struct sums *s) {
    float det = s->n * s->qq - s->q * s->q;
    struct line l = {ratio(s->xq, s->qq), 0};
    if (!(det > 0)) return l;
    float scale = (s->n * s->xq - s->x * s->q) / det, min = (s->q * s->xq - s->qq * s->x) / det;
    return min > 0 && scale > 0 ? (struct line){scale, min} : l;
}

static struct line best_line(const float *x, int n, float high) {
    float min = x[0], max = x[0], least = INFINITY, q[MAX_RUN];
    for (int i = 1; i < n; i++) {
        min = x[i] < min ? x[i] : min;
        max = x[i] > max ? x[i] : max;
    }
    if (min > 0) min = 0;
    struct line best = {0, -min};
    if (!(max > min)) return best;
    // The codes' ends lie at the extremes, a little outside, or up to a step inside on either side.
    float step = (max - min) / high;
    for (int i = 0; i < 16; i++) {
        float low = min + step * ((float)(i % 4) - 1) * 0.35f, top = max - step * ((float)(i / 4) - 1) * 0.35f;
        struct line l = {(top - low) / high, low < 0 ? -low : 0};
        for (int round = 0; round < 3; round++) {
            codes_above(x, n, high, l, q);
            struct sums s = sums_of(x, q, n);
            l = solve(&s);
            if (!(loss(&s, l.scale, l.min) < least)) break;
            least = loss(&s, l.scale, l.min);
            best = l;
        }
    }
    return best;
}

// The block's scales as floats, and where a run's rounded ones go.
struct target {
    float d, dm, high;
    int top;
    int8_t *sc, *mn;
};

// Nine pairs of multiples around `want`, each with its best codes; those of the best are left in q.
static void best_pair(const float *x, int n, const struct target *t, struct line want, float *q) {
    int sc = bounded(rintf(ratio(want.scale, t->d)), 0, t->top), mn = bounded(rintf(ratio(want.min, t->dm)), 0, t->top);
    float least = INFINITY;
    *t->sc = (int8_t)sc;
    *t->mn = (int8_t)mn;
    for (int i = 0; i < 9; i++) {
        int a = sc + i / 3 - 1, b = mn + i % 3 - 1;
        float c[MAX_RUN];
        if (a < 0 || a > t->top || b < 0 || b > t->top) continue;
        struct line l = {t->d * (float)a, t->dm * (float)b};
        codes_above(x, n, t->high, l, c);
        struct sums s = sums_of(x, c, n);
        if (!(loss(&s, l.scale, l.min) < least)) continue;
        least = loss(&s, l.scale, l.min);
        *t->sc = (int8_t)a;
        *t->mn = (int8_t)b;
        memcpy(q, c, sizeof c);
    }
    if (least == INFINITY) codes_above(x, n, t->high, (struct line){t->d * (float)*t->sc, t->dm * (float)*t->mn}, q);
}

// Adds a run to the block's sums: the block's d and dm are a line too, over values sc * q and mn.
static void add_run(struct sums *all, const struct sums *s, float sc, float mn) {
    all->n += mn * mn * s->n;
    all->q += sc * mn * s->q;
    all->qq += sc * sc * s->qq;
    all->x += mn * s->x;
    all->xq += sc * s->xq;
}

void fit_above(const float *x, int runs, int size, int high, int top, struct fit *f) {
    const struct values v = {0, (float)high, NULL};
    struct line want[FIT_RUNS], most = {0, 0};
    float least = INFINITY, q[MAX_RUN];
    memset(f, 0, sizeof *f);
    for (int r = 0; r < runs; r++) {
        want[r] = best_line(x + r * size, size, (float)high);
        if (want[r].scale > most.scale) most.scale = want[r].scale;
        if (want[r].min > most.min) most.min = want[r].min;
    }
    uint16_t d = f32_to_f16(most.scale / (float)top), dm = f32_to_f16(most.min / (float)top);
    for (int round = 0; round < ROUNDS; round++) {
        struct fit t = {.d = d, .dm = dm};
        struct sums all = {0};
        struct target to = {f16_to_f32(d), f16_to_f32(dm), (float)high, top, t.sc, t.mn};
        for (int r = 0; r < runs; r++, to.sc++, to.mn++) {
            best_pair(x + r * size, size, &to, want[r], q);
            struct sums s = sums_of(x + r * size, q, size);
            add_run(&all, &s, *to.sc, *to.mn);
            put_codes(&v, q, size, t.u + r * size);
        }
        float total = loss(&all, to.d, to.dm);
        if (total < least || !round) {
            least = total;
            *f = t;
        }
        struct line next = solve(&all);
        if (f32_to_f16(next.scale) == d && f32_to_f16(next.min) == dm) break;
        d = f32_to_f16(next.scale);
        dm = f32_to_f16(next.min);
    }
}
