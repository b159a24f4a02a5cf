#include "engine/sampler.h"
#include "device/elementary.h"
#include "engine/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool sampler_init(struct sampler *s, size_t vocab, gyr_error *e) {
    s->vocab = vocab;
    s->scores = malloc(vocab * sizeof *s->scores);
    s->p = malloc(vocab * sizeof *s->p);
    s->list = malloc(vocab * sizeof *s->list);
    s->spare = malloc(vocab * sizeof *s->spare);
    s->seen = calloc(vocab, sizeof *s->seen);
    s->peak = malloc(blocks_of(vocab) * sizeof *s->peak);
    s->work = malloc(blocks_of(vocab) * sizeof *s->work);
    s->exps = host_exps_here();
    s->peaks = host_peaks_here();
    return (s->scores && s->p && s->list && s->spare && s->seen && s->peak && s->work) || fail_memory(e, "sampler");
}

void sampler_free(struct sampler *s) {
    free(s->scores);
    free(s->p);
    free(s->list);
    free(s->spare);
    free(s->seen);
    free(s->peak);
    free(s->work);
}

bool sampling_check(const gyr_sampling *o, size_t vocab, gyr_error *e) {
    const struct {
        const char *name;
        float value, low, high;
    } range[] = {
        {"temperature", o->temperature, 0, 100},
        {"top-p", o->top_p, 0, 1},
        {"min-p", o->min_p, 0, 1},
        {"repetition penalty", o->repetition_penalty, 0.01f, 100},
        {"presence penalty", o->presence_penalty, -100, 100},
        {"frequency penalty", o->frequency_penalty, -100, 100},
    };
    for (size_t i = 0; i < sizeof range / sizeof *range; i++)
        if (!(range[i].value >= range[i].low && range[i].value <= range[i].high))
            return fail(e, GYR_USAGE, "%s is %g; choose %g to %g", range[i].name, (double)range[i].value,
                        (double)range[i].low, (double)range[i].high);
    for (size_t i = 0; i < o->bias_count; i++)
        if (o->bias_ids[i] < 0 || (size_t)o->bias_ids[i] >= vocab || isnan(o->bias_values[i]))
            return fail(e, GYR_USAGE, "logit bias for token %d: ids are 0 to %zu", o->bias_ids[i], vocab - 1);
    return true;
}

static void repetition(struct sampler *s, const gyr_sampling *o, const struct history *h) {
    if (o->repetition_penalty == 1) return;
    size_t first = o->penalty_window && o->penalty_window < h->n ? h->n - o->penalty_window : 0;
    for (size_t i = first; i < h->n; i++) {
        float *x = &s->scores[h->ids[i]];
        if (s->seen[h->ids[i]]++) continue;
        *x = *x > 0 ? *x / o->repetition_penalty : *x * o->repetition_penalty;
    }
    for (size_t i = first; i < h->n; i++) s->seen[h->ids[i]] = 0;
}

static void presence_and_frequency(struct sampler *s, const gyr_sampling *o, const struct history *h) {
    if (o->presence_penalty == 0 && o->frequency_penalty == 0) return;
    for (size_t i = h->answer; i < h->n; i++) s->seen[h->ids[i]]++;
    for (size_t i = h->answer; i < h->n; i++) {
        uint32_t *times = &s->seen[h->ids[i]];
        if (*times) s->scores[h->ids[i]] -= o->presence_penalty + o->frequency_penalty * (float)*times;
        *times = 0;
    }
}

// The first of those that are allowed whose score is `top`, the highest; -1: there is none. A NaN counts as minus
// infinity.
static int32_t first_best(const struct sampler *s, const float *scores, float top, const uint32_t *allowed) {
    bool lowest = top == -INFINITY;
    for (size_t b = 0; b < blocks_of(s->vocab); b++) {
        if (s->peak[b] != top) continue;
        size_t last = s->vocab - b * BLOCK < BLOCK ? s->vocab : (b + 1) * BLOCK;
        for (size_t i = b * BLOCK; i < last; i++)
            if ((scores[i] == top || (lowest && isnan(scores[i]))) && (!allowed || in_mask(allowed, i)))
                return (int32_t)i;
    }
    return -1;
}

// Lists, in order of id, the tokens that are not worse than `last`.
static size_t list_from(struct sampler *s, struct candidate last) {
    size_t n = 0;
    for (size_t b = 0; b < blocks_of(s->vocab); b++) {
        if (s->peak[b] < last.score) continue;
        size_t end = s->vocab - b * BLOCK < BLOCK ? s->vocab : (b + 1) * BLOCK;
        for (size_t i = b * BLOCK; i < end; i++) {
            struct candidate c = {s->scores[i], (int32_t)i};
            if (!better(last, c)) s->list[n++] = c;
        }
    }
    return n;
}

// The worst of the first n.
static struct candidate worst_of(const struct candidate *c, size_t n) {
    struct candidate worst = c[0];
    for (size_t i = 1; i < n; i++)
        if (better(worst, c[i])) worst = c[i];
    return worst;
}

// Lists, in order of id, the k best of those whose score is at least `least`. As many blocks as that have their highest
// element above the k-th of these, and no other needs to be looked at.
static size_t list_best(struct sampler *s, size_t k, float least) {
    size_t blocks = blocks_of(s->vocab);
    float high = k < blocks ? peak_number(s->peak, blocks, k, s->work) : -INFINITY;
    size_t n = list_from(s, (struct candidate){high > least ? high : least, INT32_MAX});
    if (k >= n) return n;
    select_best(s->list, n, k);
    return list_from(s, worst_of(s->list, k));
}

// A draw from probabilities (times a constant: the best is 1) of which top-p and min-p take the best: what is below
// (1 - p) of the sum, shared by all, is together less than what top-p drops, and need not be sorted.
struct draw {
    struct ranking rank;
    double whole, random; // how much is kept at most; the random number
    double low, high;     // what that is times the sum of what is kept, at least and at most
    bool bounded;         // these are known
};

static struct draw draw_of(const struct sampler *s, const gyr_sampling *o, double sum, size_t n, double random) {
    struct draw d = {.rank = {.list = s->list, .spare = s->spare, .work = s->work}, .random = random};
    d.rank.floor = (1 - (double)o->top_p) * sum / (double)n;
    if (d.rank.floor < (double)o->min_p) d.rank.floor = (double)o->min_p;
    d.whole = (double)o->top_p * sum;
    // Where all are kept, their sum in order of probability is that in order of id but for roundings.
    double off = (double)n * 0x1p-50;
    d.bounded = d.rank.floor == 0;
    d.low = random * sum * (1 - off);
    d.high = random * sum * (1 + off);
    return d;
}

// Takes the kept tokens off, one after the other, from the random number times their sum: the one that makes it
// negative is drawn. The sum is that in this very order, and known only when all are listed; but mostly bounds of it
// are enough.
static int32_t draw(struct draw *d) {
    const struct candidate *c = d->rank.list;
    double mass = 0;
    size_t kept = 0;
    while ((kept == 0 || mass < d->whole) && (kept < d->rank.listed || rank_more(&d->rank))) {
        double p = (double)c[kept++].score;
        mass += p;
        d->low -= p;
        d->high -= p;
        if (d->bounded && d->high < 0) return c[kept - 1].id;
        d->bounded &= d->low >= 0;
    }
    double left = d->random * mass;
    for (size_t i = 0; i < kept; i++)
        if ((left -= (double)c[i].score) < 0) return c[i].id;
    return c[kept - 1].id;
}

// Of the n tokens in the list.
static int32_t draw_of_list(struct sampler *s, const gyr_sampling *o, size_t n, float top, double random) {
    struct candidate *c = s->list;
    double sum = 0;
    size_t left = 0;
    for (size_t i = 0; i < n; i++) {
        c[i].score = exp_f((c[i].score - top) / o->temperature);
        sum += (double)c[i].score;
    }
    struct draw d = draw_of(s, o, sum, n, random);
    for (size_t i = 0; i < n; i++)
        if (c[i].score == 1 || (double)c[i].score >= d.rank.floor) c[left++] = c[i];
    sort_best(c, left, s->spare);
    d.rank.listed = left;
    return draw(&d);
}

// Of all whose score is at least `least`.
static int32_t draw_of_all(struct sampler *s, const gyr_sampling *o, float least, float top, double random) {
    double sum = 0;
    size_t n = 0;
    s->exps(s->scores, s->vocab, top, o->temperature, least, s->p);
    for (size_t i = 0; i < s->vocab; i++) {
        sum += (double)s->p[i];
        n += s->p[i] > 0;
    }
    s->peaks(s->p, s->vocab, NULL, NULL, s->peak);
    struct draw d = draw_of(s, o, sum, n, random);
    d.rank.p = s->p;
    d.rank.peak = s->peak;
    d.rank.n = s->vocab;
    d.rank.above = INFINITY;
    return draw(&d);
}

// The scores with bias and penalties; where there are none, the logits as they are.
static const float *changed(struct sampler *s, const gyr_sampling *o, const float *logits, const struct history *h) {
    bool penalties = o->repetition_penalty != 1 || o->presence_penalty != 0 || o->frequency_penalty != 0;
    if (!o->bias_count && !(penalties && h->n)) return logits;
    memcpy(s->scores, logits, s->vocab * sizeof *logits);
    for (size_t i = 0; i < o->bias_count; i++) s->scores[o->bias_ids[i]] += o->bias_values[i];
    repetition(s, o, h);
    presence_and_frequency(s, o, h);
    return s->scores;
}

int32_t sampler_pick(struct sampler *s, const gyr_sampling *o, const float *logits, const struct history *h,
                     const uint32_t *allowed) {
    const float *scores = changed(s, o, logits, h);
    // What is not allowed is as unlikely as can be; a NaN (a broken model) must not win, nor make comparisons
    // inconsistent.
    bool greedy = o->temperature == 0;
    float top = s->peaks(scores, s->vocab, allowed, greedy ? NULL : s->scores, s->peak);
    if (greedy || !isfinite(top)) return first_best(s, scores, top, allowed);
    // exp(-80) is nothing beside 1: what is less likely is left out.
    float least = top - o->temperature * 80;
    double random = random_at(o->seed, h->n);
    if (!o->top_k || o->top_k >= s->vocab) return draw_of_all(s, o, least, top, random);
    return draw_of_list(s, o, list_best(s, o->top_k, least), top, random);
}
