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

// Writes a table where the device wants it; `change` (NULL: none) is done to its elements first.
static bool bind_table(struct binder *b, float **v, uint32_t layer, const struct table *w,
                       bool (*change)(const struct model *m, float *x, size_t n)) {
    struct model *m = b->m;
    const struct tensor *t = bind_find(b, (struct place){w->role, PART_WEIGHT, layer, 0}, w->cols, w->rows, w->depth);
    size_t cols = w->cols, rows = w->rows * w->depth, n = cols * rows, at = b->used;
    if (!t) return false;
    b->used += n;
    if (type_info(t->type)->quantized && cols % 32)
        return fail(b->e, GYR_UNSUPPORTED, "%s: tensor '%.*s' is quantized, and gyr wants it whole; convert again",
                    m->checkpoint->path, (int)(t->name.size > 60 ? 60 : t->name.size), t->name.data);
    if (b->looking) return true;
    float *host = malloc(2 * n * sizeof *host), *turned = host + n;
    if (!host) return fail_memory(b->e, m->checkpoint->path);
    type_decode(t->type, t->data, 0, n, host);
    bool ok = !change || change(m, host, n) ||
              fail(b->e, GYR_MALFORMED, "%s: tensor '%.*s' would make a state grow; get the file again",
                   m->checkpoint->path, (int)(t->name.size > 60 ? 60 : t->name.size), t->name.data);
    for (size_t i = 0; i < n; i++) turned[i % cols * rows + i / cols] = host[i];
    m->device->ops->write(m->device, m->vectors + at, w->across ? turned : host, n * sizeof *host);
    *v = m->vectors + at;
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
    bool multiplied = r->part[1] != 1 || r->part[2] != 1 || r->part[3] != 1;
    return bind_table(b, &s->taps, i, &w, multiplied ? multiply_taps : NULL) &&
           (!bind_present(b, ROLE_STATE_CONV, PART_BIAS, i) ||
            bind_vector(b, &s->taps_bias, ROLE_STATE_CONV, PART_BIAS, i, r->channels, 1, 0));
}

// One for each head. GGUF has Mamba-2's as columns.
static bool bind_rate(struct binder *b, float **v, enum role role, uint32_t i,
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
           (!b->m->family->recur_norms || bind_filled(b, &s->ones, widest, 1));
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

bool bind_state(struct binder *b, struct layer *l, uint32_t i) {
    const struct recurrence *r = &b->m->h.recurrence;
    struct recurrent *s = &l->state;
    return (r->kind == RECUR_CHANNELS ? bind_channels : bind_heads)(b, s, i) &&
           bind_linear(b, &s->out, ROLE_STATE_OUT, BIAS_STATE, i, r->inner, b->m->h.hidden);
}
