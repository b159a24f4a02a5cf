#include "plan/rates.h"

#include <math.h>

const size_t row_counts[ROW_COUNTS] = {1, 4, 16, 64, 256};

const char *basis_name(enum basis b) {
    static const char *const names[] = {"unknown", "estimated", "specified", "measured"};
    return names[b];
}

// Shares of what makers say, of cards that gyr was not measured on. Reading: engines with kernels of their own reach
// 0.65 to 0.8 of the rated bandwidth in decode. Arithmetic: products of quantized weights on an H200 reach 0.57 to 0.63
// of its rated fp16, and of 16-bit weights, which are computed as three products of integers, 0.3 to 0.6; an MI300X is
// reported at 0.45. Attention is computed in float, off the matrix units, at a twentieth of their rate.
static const double share_read = 0.8, share_quantized = 0.55, share_halves = 0.4, share_attend = 0.05;
static const double seconds_call = 3e-6;

struct rates rates_of_card(const struct accelerator *a) {
    double peak = a->bf16 * 1e12, read = a->read * 1e9 * share_read;
    return (struct rates){.basis = BASIS_ESTIMATED,
                          .read = read,
                          .quantized = peak * share_quantized,
                          .halves = peak * share_halves,
                          .singles = peak * share_attend,
                          .attend_one = peak * share_attend,
                          .attend = peak * share_attend,
                          .call = seconds_call,
                          .product = seconds_call,
                          .stream = read > 0 ? 1 / read : 0,
                          .activation = read > 0 ? 1 / read : 0,
                          .rotation = read > 0 ? 1 / read : 0,
                          .slow = 0.6,
                          .fast = 1.2};
}

// Between the numbers of rows that were timed: in proportion, in logarithms.
static double timed_seconds(const struct timed *t, double rows) {
    int i = 1;
    while (i < ROW_COUNTS - 1 && rows > (double)row_counts[i]) i++;
    double x0 = log((double)row_counts[i - 1]), x1 = log((double)row_counts[i]);
    double y0 = log(t->seconds[i - 1]), y1 = log(t->seconds[i]), at = (log(rows) - x0) / (x1 - x0);
    return exp(y0 + (y1 - y0) * at);
}

static const struct timed *timed_of(const struct rates *r, enum type type) {
    for (size_t i = 0; i < r->n_timed; i++)
        if (r->timed[i].type == type) return &r->timed[i];
    return NULL;
}

// Adds what overlaps: the longer of the two counts.
static void add(struct spent *s, double read, double compute, double calls) {
    if (read >= compute)
        s->read += read * calls;
    else
        s->compute += compute * calls;
}

// Where a rate is not known: of an answer, reading decides.
static double seconds_of(double ops, double rate, bool answer) { return rate > 0 ? ops / rate : answer ? 0 : INFINITY; }

// Of a timed product all that one row takes is reading.
static void add_product(struct spent *s, const struct rates *r, const struct counted *c, bool answer) {
    const struct timed *t = timed_of(r, c->type);
    double calls = (double)c->calls;
    if (t) {
        double one = t->seconds[0] * c->weights, all = timed_seconds(t, (double)c->rows) * c->weights;
        s->read += fmin(one, all) * calls;
        s->compute += fmax(0, all - one) * calls;
        return;
    }
    const struct type_info *info = type_info(c->type);
    double rate = info->quantized ? r->quantized : c->type == TYPE_F32 ? r->singles : r->halves;
    add(s, c->weights / r->read, seconds_of(c->ops, rate, answer), calls);
}

// What an operation takes beside reading weights and caches, and multiplying.
static double overhead(const struct rates *r, const struct counted *c) {
    switch (c->work) {
    case WORK_PRODUCT: return c->beside ? 0 : r->product;
    case WORK_ELEMENTS: return r->call + c->stream * r->stream;
    case WORK_ACTIVATION: return r->call + c->stream * r->activation;
    case WORK_ROTATION: return r->call + c->stream * r->rotation;
    default: return r->call;
    }
}

struct spent step_seconds(const struct rates *r, const struct step *step) {
    struct spent s = {0};
    if (!(r->read > 0)) return s;
    for (size_t i = 0; i < step->n; i++) {
        const struct counted *c = &step->ops[i];
        double calls = (double)c->calls;
        s.other += calls * overhead(r, c);
        if (c->work == WORK_PRODUCT)
            add_product(&s, r, c, step->answer);
        else if (c->work == WORK_ATTENTION || c->work == WORK_STATE)
            add(&s, c->cache / r->read, seconds_of(c->ops, step->answer ? r->attend_one : r->attend, step->answer),
                calls);
    }
    s.seconds = s.read + s.compute + s.other;
    return isfinite(s.seconds) ? s : (struct spent){0};
}
