#include "engine/sampler.h"
#include "device/elementary.h"
#include "engine/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool sampler_init(struct sampler *s, size_t vocab, gyr_error *e) {
    s->vocab = vocab;
    s->scores = malloc(vocab * sizeof *s->scores);
    s->list = malloc(vocab * sizeof *s->list);
    s->seen = calloc(vocab, sizeof *s->seen);
    return (s->scores && s->list && s->seen) || fail_memory(e, "sampler");
}

void sampler_free(struct sampler *s) {
    free(s->scores);
    free(s->list);
    free(s->seen);
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

static bool better(struct candidate a, struct candidate b) {
    return a.score > b.score || (a.score == b.score && a.id < b.id);
}

static int by_score(const void *a, const void *b) {
    return better(*(const struct candidate *)a, *(const struct candidate *)b) ? -1 : 1;
}

// What is not allowed is as unlikely as can be; and a NaN (a broken model) must not win, nor make comparisons
// inconsistent.
static void mask_scores(struct sampler *s, const uint32_t *allowed) {
    for (size_t i = 0; i < s->vocab; i++)
        if (isnan(s->scores[i]) || (allowed && !in_mask(allowed, i))) s->scores[i] = -INFINITY;
}

// The best of those that are allowed; -1: there is none.
static int32_t best(const struct sampler *s, const uint32_t *allowed) {
    struct candidate top = {-INFINITY, INT32_MAX};
    for (size_t i = 0; i < s->vocab; i++) {
        struct candidate c = {s->scores[i], (int32_t)i};
        if (better(c, top) && (!allowed || in_mask(allowed, i))) top = c;
    }
    return top.id == INT32_MAX ? -1 : top.id;
}

// Moves the n best to the front (Hoare's quickselect), in no order.
static void select_best(struct candidate *c, size_t size, size_t n) {
    size_t low = 0, high = size - 1;
    while (low < high) {
        struct candidate pivot = c[low + (high - low) / 2];
        size_t i = low, j = high;
        for (;;) {
            while (better(c[i], pivot)) i++;
            while (better(pivot, c[j])) j--;
            if (i >= j) break;
            struct candidate t = c[i];
            c[i++] = c[j];
            c[j--] = t;
        }
        if (n <= j)
            high = j;
        else
            low = j + 1;
        if (low >= n) return;
    }
}

// The worst of the first n.
static struct candidate worst_of(const struct candidate *c, size_t n) {
    struct candidate worst = c[0];
    for (size_t i = 1; i < n; i++)
        if (better(worst, c[i])) worst = c[i];
    return worst;
}

// Lists, in order of id, the tokens that are not worse than `last`.
static size_t list_from(struct sampler *s, struct candidate last) {
    size_t n = 0;
    for (size_t i = 0; i < s->vocab; i++) {
        struct candidate c = {s->scores[i], (int32_t)i};
        if (!better(last, c)) s->list[n++] = c;
    }
    return n;
}

// Turns scores into probabilities (times a constant: the best is 1) and keeps what top-p and min-p leave, best first.
// Returns how many; *mass is their sum. What is dropped before sorting could not have been kept: what is below
// (1 - p) of the sum, shared by all, is together less than what top-p drops.
static size_t keep(const gyr_sampling *o, struct candidate *c, size_t n, float top, double *mass) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        c[i].score = exp_f((c[i].score - top) / o->temperature);
        sum += (double)c[i].score;
    }
    double floor = (1 - (double)o->top_p) * sum / (double)n;
    if (floor < (double)o->min_p) floor = (double)o->min_p;
    size_t left = 0, kept = 0;
    for (size_t i = 0; i < n; i++)
        if (c[i].score == 1 || (double)c[i].score >= floor) c[left++] = c[i];
    qsort(c, left, sizeof *c, by_score);
    *mass = 0;
    while (kept < left && (kept == 0 || *mass < (double)o->top_p * sum)) *mass += (double)c[kept++].score;
    return kept;
}

int32_t sampler_pick(struct sampler *s, const gyr_sampling *o, const float *logits, const struct history *h,
                     const uint32_t *allowed) {
    memcpy(s->scores, logits, s->vocab * sizeof *logits);
    for (size_t i = 0; i < o->bias_count; i++) s->scores[o->bias_ids[i]] += o->bias_values[i];
    repetition(s, o, h);
    presence_and_frequency(s, o, h);
    mask_scores(s, allowed);
    int32_t greedy = best(s, allowed);
    if (greedy < 0 || o->temperature == 0 || !isfinite(s->scores[greedy])) return greedy;
    float top = s->scores[greedy];
    // exp(-80) is nothing beside 1: what is less likely is left out.
    size_t n = list_from(s, (struct candidate){top - o->temperature * 80, INT32_MAX});
    if (o->top_k && o->top_k < n) {
        select_best(s->list, n, o->top_k);
        n = list_from(s, worst_of(s->list, o->top_k));
    }
    double mass;
    n = keep(o, s->list, n, top, &mass);
    double left = random_at(o->seed, h->n) * mass;
    for (size_t i = 0; i < n; i++)
        if ((left -= (double)s->list[i].score) < 0) return s->list[i].id;
    return s->list[n - 1].id;
}
