#include "plan/training.h"

#include <math.h>
#include <string.h>

enum { RANK = 16, MACHINE = 8, TENSOR = 8, FLIGHTS = 4 };
// Of the rated arithmetic, what products of large runs reach before they wait for anything: runs whose makers published
// both are at 0.38 to 0.45 (docs/planning.md). Of the rated links, what collectives reach, and what of them is not
// hidden behind arithmetic; between machines 400 Gbit/s for each card.
static const double share_train = 0.42, share_link = 0.7, not_hidden = 0.3, between_machines = 50e9;
// Of the most that a card draws, while it trains.
static const double share_watts_train = 0.9;

// ------------------------------------------------------------------------------- what is asked

static double forward_ops(const struct demand *d, const struct lesson *l) {
    double ops = 0;
    for (size_t i = 0; i < d->prompt.n; i++) {
        const struct counted *c = &d->prompt.ops[i];
        if (c->work == WORK_PRODUCT || c->work == WORK_ATTENTION || c->work == WORK_STATE)
            ops += c->ops * (double)c->calls;
    }
    // The pass gave the last token's scores alone.
    return ops / d->prompt.tokens + 2 * l->hidden * l->vocab * (1 - 1 / d->prompt.tokens);
}

// Numbers of the adapter: of each matrix but the output's, `rank` rows and as many columns. Experts that the counted
// token did not ask for have theirs too.
static double adapter_numbers(const struct demand *d, const struct lesson *l, double rank) {
    double numbers = 0, seen = 0;
    for (size_t i = 0; i < d->answer.n; i++) {
        const struct counted *c = &d->answer.ops[i];
        if (c->work != WORK_PRODUCT || !c->rows || !c->cols) continue;
        double out = c->ops / (2.0 * (double)c->rows * (double)c->cols);
        if (out == l->vocab) continue;
        numbers += (double)c->calls * rank * ((double)c->cols + out);
        seen += (double)c->calls * (double)c->cols * out;
    }
    double all = l->parameters - 2 * l->hidden * l->vocab;
    return seen > 0 && all > seen ? numbers * all / seen : numbers;
}

bool lesson_of(struct lesson *l, const struct checkpoint *c, const struct demand *d, const gyr_plan_options *o,
               const struct usage *u, gyr_error *e) {
    struct hyperparameters h;
    const struct family *f = family_find(c, e);
    if (!f || !hyperparameters(f, c, &h, e)) return false;
    if (d->encoder) return fail(e, GYR_UNSUPPORTED, "%s: an encoder; only models that answer are trained", c->path);
    double width = h.experts ? (double)h.experts_used * h.expert_feed_forward : h.feed_forward;
    *l = (struct lesson){.tune = o->tune, .fp8 = o->fp8, .sequence = (double)u->prompt, .hidden = h.hidden};
    l->width = width > 0 ? width : 2.0 * h.hidden;
    l->vocab = (double)d->vocab;
    l->layers = h.layers;
    l->parameters = (double)d->parameters;
    l->weight_bytes = d->layer * d->layers + d->rest;
    if (h.experts > 1) {
        l->expert_layers = h.layers;
        l->expert_parameters =
            fmin(0.99 * l->parameters, 3.0 * h.layers * h.experts * (double)h.hidden * h.expert_feed_forward);
        l->sent = h.groups_used > 1 ? fmin(h.groups_used, h.experts_used) : h.experts_used;
    }
    l->tokens = o->tune ? (o->tokens ? (double)o->tokens : 1e7) : (double)o->train;
    l->trained = o->tune ? adapter_numbers(d, l, o->rank ? o->rank : RANK) : l->parameters;
    l->forward = forward_ops(d, l);
    l->usual_batch = o->tune ? 65536 : l->parameters > 1e10 ? 4194304 : l->parameters > 1e9 ? 1048576 : 524288;
    l->batch = (double)o->batch;
    return true;
}

// ------------------------------------------------------------------------------- a layout

static double micro_batches(const struct lesson *l, const struct sharing *s) {
    return fmax(1, l->batch / l->sequence / (double)s->data);
}

// Of weights or gradients that `shards` have among them, what a card has.
static double part(const struct sharing *s, double experts, double shards) {
    double split = (double)(s->tensor * s->pipeline);
    return ((1 - experts) / shards + experts / fmax((double)s->expert, shards)) / split;
}

// Bytes of the fullest card: weights in 16 bits (or the frozen ones as they are), gradients and AdamW's states in 32.
// (Rajbhandari et al., 2020; activations: Korthikanti et al., 2022)
static void weigh(struct sharing *s, const struct lesson *l) {
    double split = (double)(s->tensor * s->pipeline), data = (double)s->data,
           experts = l->expert_parameters / l->parameters;
    double weights = s->sharded == SHARDS_WEIGHTS ? data : 1, gradients = s->sharded ? data : 1;
    s->weights = (l->tune ? l->weight_bytes : 2 * l->parameters) * part(s, experts, weights);
    s->gradients = 4 * l->trained * part(s, experts, gradients);
    s->optimizer = 12 * l->trained / split / data;
    // What enters each product of a layer, in 16 bits.
    double layer = 12 * l->hidden + 6 * l->width, flights = fmin((double)s->pipeline, micro_batches(l, s));
    double kept = (s->recompute ? 2 * l->hidden : layer) * ceil(l->layers / (double)s->pipeline) * flights;
    double once = (s->recompute ? layer : 0) + 6 * l->vocab;
    s->activations = l->sequence * (kept + once) / (double)s->tensor;
    s->bytes = s->weights + s->gradients + s->optimizer + s->activations;
}

// Seconds of a step. (Narayanan et al., 2021, for what pipelines wait and what tensors move)
static void time_step(struct sharing *s, const struct lesson *l, double rate, double link) {
    double cards = (double)(s->tensor * s->pipeline * s->data), micro = micro_batches(l, s);
    double near = link * share_link, far = (cards > MACHINE ? fmin(link, between_machines) : link) * share_link;
    double passes = (l->tune ? 2 : 3) + s->recompute;
    double tensor = (double)s->tensor, data = (double)s->data, pipeline = (double)s->pipeline;
    double mine = l->batch / data, layers = ceil(l->layers / pipeline); // tokens, and layers, of a card
    s->compute = passes * l->forward * l->batch / cards / rate * layers * pipeline / l->layers;
    s->waiting = s->compute * (pipeline - 1) / (micro * fmax(1, fmin(FLIGHTS, layers)));
    double moved = mine * layers * (passes + 1) * 2 * 2 * l->hidden * (tensor - 1) / tensor / near;
    bool shards = s->sharded == SHARDS_WEIGHTS;
    double gathers = shards ? (l->tune ? 2 : 3) * micro : l->tune ? 0 : 1;
    double weights = gathers * s->weights * (shards ? data : 1);
    double gradients = s->gradients / 2 * (s->sharded ? data * micro : 1); // they go in 16 bits
    moved += (weights + gradients) * (data - 1) / data / far;
    if (s->expert > 1)
        moved += mine * l->expert_layers / pipeline * passes * 2 * l->sent * 2 * l->hidden / tensor / far;
    s->moving = moved * not_hidden;
    s->seconds = s->compute + s->waiting + s->moving;
}

static bool better(const struct sharing *a, const struct sharing *b, double room) {
    bool fits = a->bytes <= room, there = b->bytes <= room;
    if (!b->data || fits != there) return !b->data || fits;
    if (!fits) return a->bytes < b->bytes;
    return a->seconds < b->seconds;
}

static void try_one(struct training *t, struct sharing s, const struct lesson *l, double rate, double link) {
    for (int how = 0; how < 6; how++) {
        s.sharded = (enum sharded)(how / 2);
        s.recompute = how % 2;
        if (s.sharded && s.data < 2) continue;
        weigh(&s, l);
        time_step(&s, l, rate, link);
        t->tried++;
        if (better(&s, &t->best, t->room)) t->best = s;
    }
}

// Tensors are cut within a machine; experts are shared among those that have the same layers.
static void search(struct training *t, const struct lesson *l, size_t n, double rate, double link) {
    for (size_t tensor = 1; tensor <= TENSOR && tensor <= n; tensor *= 2)
        for (size_t pipeline = 1; (double)pipeline <= l->layers && tensor * pipeline <= n; pipeline++) {
            // Cards that are left over when the number has no such divisor are idle.
            struct sharing s = {.tensor = tensor, .pipeline = pipeline, .expert = 1};
            s.data = n / (tensor * pipeline);
            if ((double)s.data > l->batch / l->sequence) s.data = (size_t)(l->batch / l->sequence);
            do {
                try_one(t, s, l, rate, link);
                s.expert *= 2;
            } while (l->expert_parameters > 0 && s.expert <= s.data && s.expert <= 256);
        }
}

// gyr trains in float32 on a processor.
static double rate_of(const struct place_for *p, const struct lesson *l) {
    if (!p->card) return p->rates.singles;
    return (l->fp8 && p->card->fp8 > 0 ? p->card->fp8 : p->card->bf16) * 1e12 * share_train;
}

void training_plan(struct training *t, struct lesson *l, const struct place_for *p) {
    double rate = rate_of(p, l), link = p->link > 0 ? p->link : 16e9;
    *t = (struct training){.room = p->room, .slow = p->card ? 1.6 : 3, .fast = p->card ? 0.7 : 0.5};
    // Many cards need many examples at once.
    if (!l->batch) l->batch = fmin(l->tokens, fmax(l->usual_batch, (double)p->n * 1024));
    l->batch = fmax(l->sequence, l->batch);
    search(t, l, p->n, rate > 0 ? rate : 1, link);
    t->fits = t->best.bytes <= t->room;
    t->flop = (l->tune ? 2 : 3) * l->forward * l->tokens;
    if (!(rate > 0)) return;
    t->seconds = t->best.seconds * l->tokens / l->batch;
    double cards = (double)p->n;
    t->joules = p->watts > 0 ? t->seconds * cards * p->watts * share_watts_train : 0;
}
