// Binding the layers that keep a state.
#include "model/bind.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// A vector, or what is kept as one: cols x rows x depth elements. With `across`, [rows * depth][cols] becomes
// [cols][rows * depth].
struct table {
    enum role role;
    uint64_t cols, rows, depth;
    bool across;
};

// Writes a table as the device wants it; `change` (NULL: none) is done to its elements first.
static bool bind_table(struct binder *b, dfloat **v, uint32_t layer, const struct table *w,
                       bool (*change)(const struct model *m, float *x, size_t n)) {
    struct model *m = b->m;
    const struct tensor *t = bind_find(b, (struct place){w->role, PART_WEIGHT, layer, 0}, w->cols, w->rows, w->depth);
    size_t cols = w->cols, rows = w->rows * w->depth, n = cols * rows, at = b->used;
    if (!t) return false;
    b->used += n;
    if (type_info(t->type)->quantized && cols % 32)
        return fail(b->e, GYR_UNSUPPORTED,
                    "%s: tensor '%.*s' is quantized, which gyr does not read there; convert again", m->checkpoint->path,
                    (int)(t->name.size > 60 ? 60 : t->name.size), t->name.data);
    if (b->looking) return true;
    float *host = malloc(n * sizeof *host), *out = b->host + at;
    if (!host) return fail_memory(b->e, m->checkpoint->path);
    type_decode(t->type, t->data, 0, n, host);
    bool ok = !change || change(m, host, n) ||
              fail(b->e, GYR_MALFORMED, "%s: tensor '%.*s' would make a state grow; get the file again",
                   m->checkpoint->path, (int)(t->name.size > 60 ? 60 : t->name.size), t->name.data);
    for (size_t i = 0; i < n; i++) out[w->across ? i % cols * rows + i / cols : i] = host[i];
    *v = bind_at(b, at);
    free(host);
    bind_count(m, t, 1);
    return ok;
}

// Folders have the logarithm of how fast a state decays. It must not grow.
static bool decays(const struct model *m, float *x, size_t n) {
    bool ok = true;
    for (size_t i = 0; i < n; i++) {
        if (m->checkpoint->source == CHECKPOINT_HF) x[i] = (float)-exp((double)x[i]);
        ok &= x[i] <= 0;
    }
    return ok;
}

// What multiplies the projection's values, keys and queries may as well multiply the taps: [channels][taps].
static bool multiply_taps(const struct model *m, float *x, size_t n) {
    const struct recurrence *r = &m->h.recurrence;
    size_t keys = (size_t)r->groups * r->size;
    for (size_t i = 0; i < n; i++) {
        size_t channel = i / r->taps;
        x[i] *= r->part[channel < r->inner ? 1 : channel < r->inner + keys ? 2 : 3];
    }
    return true;
}

static bool bind_conv(struct binder *b, struct recurrent *s, uint32_t i) {
    const struct recurrence *r = &b->m->h.recurrence;
    bool hf = b->m->checkpoint->source == CHECKPOINT_HF;
    struct table w = {ROLE_STATE_CONV, r->taps, hf ? 1 : r->channels, hf ? r->channels : 1, true};
    const struct hyperparameters *h = &b->m->h;
    bool multiplied = r->part[1] != 1 || r->part[2] != 1 || r->part[3] != 1;
    return bind_table(b, &s->taps, i, &w, multiplied ? multiply_taps : NULL) &&
           (!(h->biases_told ? h->biases & BIAS_CONV : bind_present(b, ROLE_STATE_CONV, PART_BIAS, i)) ||
            bind_vector(b, &s->taps_bias, ROLE_STATE_CONV, PART_BIAS, i, r->channels, 1, 0));
}

// One for each head. GGUF has Mamba-2's as columns.
static bool bind_rate(struct binder *b, dfloat **v, enum role role, uint32_t i,
                      bool (*change)(const struct model *m, float *x, size_t n)) {
    const struct recurrence *r = &b->m->h.recurrence;
    bool column = b->m->checkpoint->source == CHECKPOINT_GGUF && r->kind == RECUR_HEADS;
    struct table w = {role, column ? 1 : r->heads, column ? r->heads : 1, 1, false};
    return bind_table(b, v, i, &w, change);
}

static bool bind_channels(struct binder *b, struct recurrent *s, uint32_t i) {
    const struct recurrence *r = &b->m->h.recurrence;
    size_t hidden = b->m->h.hidden, widest = r->rank > r->size ? r->rank : r->size;
    struct table a = {ROLE_STATE_A, r->size, r->inner, 1, true}, d = {ROLE_STATE_D, r->inner, 1, 1, false};
    return bind_linear(b, &s->in, ROLE_STATE_IN, BIAS_STATE, i, hidden, r->columns) && bind_conv(b, s, i) &&
           bind_linear(b, &s->x, ROLE_STATE_X, 0, i, r->inner, r->rank + 2 * (size_t)r->size) &&
           bind_linear(b, &s->dt, ROLE_STATE_DT, 0, i, r->rank, r->inner) &&
           bind_vector(b, &s->dt_bias, ROLE_STATE_DT, PART_BIAS, i, r->inner, 1, 0) &&
           bind_table(b, &s->a, i, &a, decays) && bind_table(b, &s->skip, i, &d, NULL) &&
           (!b->m->family->state.norms || bind_filled(b, &s->ones, widest, 1));
}

static bool bind_heads(struct binder *b, struct recurrent *s, uint32_t i) {
    const struct recurrence *r = &b->m->h.recurrence;
    bool hf = b->m->checkpoint->source == CHECKPOINT_HF;
    struct table norm = {ROLE_STATE_NORM, hf ? r->inner : r->inner / r->groups, hf ? 1 : r->groups, 1, false};
    return bind_linear(b, &s->in, ROLE_STATE_IN, BIAS_STATE, i, b->m->h.hidden, r->columns) && bind_conv(b, s, i) &&
           bind_vector(b, &s->dt_bias, ROLE_STATE_DT, PART_BIAS, i, r->heads, 1, 0) &&
           bind_rate(b, &s->a, ROLE_STATE_A, i, decays) && bind_rate(b, &s->skip, ROLE_STATE_D, i, NULL) &&
           (!bind_present(b, ROLE_STATE_NORM, PART_WEIGHT, i) || bind_table(b, &s->norm.weight, i, &norm, NULL));
}

static bool bind_qkvz(struct binder *b, struct recurrent *s, uint32_t i) {
    const struct recurrence *r = &b->m->h.recurrence;
    size_t key = r->size, values = r->inner / r->groups;
    const struct share parts[] = {
        {&s->in, 0, key}, {&s->in, key, key}, {&s->in, 2 * key, values}, {&s->gate, 2 * key + values, values}};
    if (bind_present(b, ROLE_STATE_QKVZ, PART_WEIGHT, i))
        return bind_parts(b, ROLE_STATE_QKVZ, 0, i, r->groups, parts, 4);
    return bind_linear(b, &s->in, ROLE_STATE_IN, 0, i, b->m->h.hidden, r->columns) &&
           bind_linear(b, &s->gate, ROLE_STATE_GATE, 0, i, b->m->h.hidden, r->inner);
}

static bool bind_rates(struct binder *b, struct recurrent *s, uint32_t i) {
    const struct recurrence *r = &b->m->h.recurrence;
    size_t each = r->heads / r->groups;
    const struct share parts[] = {{&s->beta, 0, each}, {&s->alpha, each, each}};
    if (bind_present(b, ROLE_STATE_BA, PART_WEIGHT, i)) return bind_parts(b, ROLE_STATE_BA, 0, i, r->groups, parts, 2);
    return bind_linear(b, &s->beta, ROLE_STATE_BETA, 0, i, b->m->h.hidden, r->heads) &&
           bind_linear(b, &s->alpha, ROLE_STATE_ALPHA, 0, i, b->m->h.hidden, r->heads);
}

// Keys and queries are made of length 1, and queries scaled; both is a norm whose weights are all the same.
static bool bind_unit(struct binder *b, struct recurrent *s) {
    size_t n = b->m->h.recurrence.size;
    return bind_filled(b, &s->unit, n, (float)(1 / sqrt((double)n))) &&
           bind_filled(b, &s->ones, n, (float)(1 / (double)n));
}

static bool bind_delta(struct binder *b, struct recurrent *s, uint32_t i) {
    const struct recurrence *r = &b->m->h.recurrence;
    struct table norm = {ROLE_STATE_NORM, r->dim, 1, 1, false};
    return bind_qkvz(b, s, i) && bind_rates(b, s, i) && bind_conv(b, s, i) &&
           bind_vector(b, &s->dt_bias, ROLE_STATE_DT, PART_BIAS, i, r->heads, 1, 0) &&
           bind_rate(b, &s->a, ROLE_STATE_A, i, decays) && bind_table(b, &s->norm.weight, i, &norm, NULL) &&
           bind_unit(b, s);
}

// A convolution of `inner` channels by itself.
static bool bind_conv_of(struct binder *b, dfloat **taps, enum role role, uint32_t i) {
    const struct recurrence *r = &b->m->h.recurrence;
    struct table w = {role, r->taps, 1, r->inner, true};
    return bind_table(b, taps, i, &w, NULL);
}

// Queries, keys and values have matrices and convolutions of their own; gates and steps come by way of narrow vectors.
static bool bind_each(struct binder *b, struct recurrent *s, uint32_t i) {
    const struct recurrence *r = &b->m->h.recurrence;
    size_t hidden = b->m->h.hidden;
    struct table norm = {ROLE_STATE_NORM, r->dim, 1, 1, false}, a = {ROLE_STATE_A, 1, r->heads, 1, false};
    return bind_linear(b, &s->q, ROLE_STATE_Q, 0, i, hidden, r->inner) &&
           bind_linear(b, &s->k, ROLE_STATE_K, 0, i, hidden, r->inner) &&
           bind_linear(b, &s->in, ROLE_STATE_IN, 0, i, hidden, r->inner) &&
           bind_conv_of(b, &s->q_taps, ROLE_STATE_CONV_Q, i) && bind_conv_of(b, &s->k_taps, ROLE_STATE_CONV_K, i) &&
           bind_conv_of(b, &s->taps, ROLE_STATE_CONV, i) &&
           bind_linear(b, &s->low, ROLE_STATE_LOW, 0, i, hidden, r->size) &&
           bind_linear(b, &s->alpha, ROLE_STATE_ALPHA, 0, i, r->size, r->inner) &&
           bind_linear(b, &s->gate_low, ROLE_STATE_GATE_LOW, 0, i, hidden, r->size) &&
           bind_linear(b, &s->gate, ROLE_STATE_GATE, 0, i, r->size, r->inner) &&
           bind_linear(b, &s->beta, ROLE_STATE_BETA, 0, i, hidden, r->heads) &&
           bind_vector(b, &s->dt_bias, ROLE_STATE_DT, PART_BIAS, i, r->inner, 1, 0) &&
           bind_table(b, &s->a, i, &a, decays) && bind_table(b, &s->norm.weight, i, &norm, NULL) && bind_unit(b, s);
}

bool bind_state(struct binder *b, struct layer *l, uint32_t i) {
    static bool (*const kinds[])(struct binder * b, struct recurrent * s, uint32_t i) = {
        [RECUR_CHANNELS] = bind_channels, [RECUR_HEADS] = bind_heads, [RECUR_DELTA] = bind_delta};
    const struct recurrence *r = &b->m->h.recurrence;
    struct recurrent *s = &l->state;
    bool ok = r->each ? bind_each(b, s, i) : kinds[r->kind](b, s, i);
    ok = ok && bind_linear(b, &s->out, ROLE_STATE_OUT, BIAS_STATE, i, r->inner, b->m->h.hidden);
    s->out.by *= r->out;
    return ok;
}
