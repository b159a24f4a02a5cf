// Recurrences (device/recur.h). Lanes are channels or elements of a head's value, which never meet, and sums over taps
// or over `size` are in ascending order: plain loops, that compilers vectorize as they like.
#include "device/cpu/isa.h"
#include "device/elementary.h"

#include <string.h>

// y += w * x
static inline void add_products(float *restrict y, const float *restrict w, const float *restrict x, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] = fmaf(w[i], x[i], y[i]);
}

// Input i of a stretch, counted from its first row; before that, as the state has it.
static const float *input_at(const struct conv *a, const struct stretch *s, const float *tail, ptrdiff_t i) {
    ptrdiff_t before = (ptrdiff_t)a->taps - 1;
    return i < 0 ? tail + (size_t)(i + before) * a->channels : a->x + (s->row + (size_t)i) * a->x_row + s->first;
}

void KERNEL(conv)(const struct conv *a, struct stretch s) {
    ptrdiff_t before = (ptrdiff_t)a->taps - 1, rows = (ptrdiff_t)s.rows;
    float *tail = a->row[s.row].state + a->state + s.first;
    if (a->row[s.row].position == 0)
        for (ptrdiff_t k = 0; k < before; k++) memset(tail + (size_t)k * a->channels, 0, s.n * sizeof *tail);
    for (ptrdiff_t r = 0; r < rows; r++) {
        float *y = a->out + (s.row + (size_t)r) * a->channels + s.first;
        for (size_t i = 0; i < s.n; i++) y[i] = a->bias ? a->bias[s.first + i] : 0;
        for (size_t j = 0; j < a->taps; j++)
            add_products(y, a->w + j * a->channels + s.first, input_at(a, &s, tail, r - before + (ptrdiff_t)j), s.n);
        KERNEL(activate)(ACT_SILU, y, s.n);
    }
    for (ptrdiff_t k = 0; k < before; k++)
        memmove(tail + (size_t)k * a->channels, input_at(a, &s, tail, rows - before + k), s.n * sizeof *tail);
}

static const float *skip_of(const struct recur *a, size_t first) { return a->skip ? a->skip + first : NULL; }

// One row of some channels: decays, what is added, and what is read.
static inline void step_channels(const struct recur *a, size_t row, struct stretch s, float *restrict state) {
    size_t all = a->heads * a->dim;
    const float *x = a->x + row * a->x_row + s.first, *dt = a->dt + row * a->dt_row + s.first;
    const float *key = a->key + row * a->size, *query = a->query + row * a->size, *skip = skip_of(a, s.first);
    float *restrict out = a->out + row * all + s.first;
    float step[CHANNELS], add[CHANNELS], sum[CHANNELS];
    for (size_t i = 0; i < s.n; i++) {
        step[i] = softplus_f(fmaf(a->dt_by, dt[i], a->dt_bias ? a->dt_bias[s.first + i] : 0));
        add[i] = step[i] * x[i];
        sum[i] = 0;
    }
    for (size_t k = 0; k < a->size; k++) {
        const float *restrict decay = a->a + k * all + s.first;
        float *restrict cell = state + k * all;
        for (size_t i = 0; i < s.n; i++) {
            cell[i] = fmaf(add[i], key[k], cell[i] * exp_f(step[i] * decay[i]));
            sum[i] = fmaf(cell[i], query[k], sum[i]);
        }
    }
    for (size_t i = 0; i < s.n; i++) out[i] = skip ? fmaf(skip[i], x[i], sum[i]) : sum[i];
}

void KERNEL(recur_channels)(const struct recur *a, struct stretch s) {
    float *state = a->row[s.row].state + a->state + s.first;
    if (a->row[s.row].position == 0)
        for (size_t k = 0; k < a->size; k++) memset(state + k * a->heads * a->dim, 0, s.n * sizeof *state);
    for (size_t r = s.row; r < s.row + s.rows; r++) step_channels(a, r, s, state);
}

// The state decays, each row by its own factor, and `read` is what it has for the key.
static inline void decay_and_read(float *restrict state, const float *restrict key, const float *restrict keep,
                                  size_t size, size_t dim, float *restrict read) {
    memset(read, 0, dim * sizeof *read);
    for (size_t k = 0; k < size; k++)
        for (size_t i = 0; i < dim; i++) {
            state[k * dim + i] *= keep[k];
            read[i] = fmaf(state[k * dim + i], key[k], read[i]);
        }
}

// state = keep * state + key (add); out = query state.
static inline void add_and_read(float *restrict state, const float *restrict key, const float *restrict query,
                                const float *restrict add, float keep, size_t size, size_t dim, float *restrict out) {
    memset(out, 0, dim * sizeof *out);
    for (size_t k = 0; k < size; k++)
        for (size_t i = 0; i < dim; i++) {
            float cell = fmaf(add[i], key[k], state[k * dim + i] * keep);
            state[k * dim + i] = cell;
            out[i] = fmaf(cell, query[k], out[i]);
        }
}

static inline float decay_of(const struct recur *a, size_t row, size_t head, size_t step, float *size) {
    float dt = fmaf(a->dt_by, a->dt[row * a->dt_row + step], a->dt_bias ? a->dt_bias[step] : 0);
    float s = softplus_f(dt);
    if (a->dt_most > 0) s = s < a->dt_least ? a->dt_least : s > a->dt_most ? a->dt_most : s;
    *size = s;
    return exp_f(s * a->a[head]);
}

// The delta rule: the state decays, and what is added is how far it is from giving x for the key.
static inline void forget(const struct recur *a, size_t row, size_t head, const float *restrict key,
                          float *restrict state, float *restrict add) {
    const float *x = a->x + row * a->x_row + head * a->dim;
    float keep[MAX_HEAD], rate = 1.0f / (1.0f + exp_f(-a->beta[row * a->heads + head])), step;
    for (size_t k = 0; k < a->size; k++)
        keep[k] = k && !a->each ? keep[0] : decay_of(a, row, head, a->each ? head * a->size + k : head, &step);
    decay_and_read(state, key, keep, a->size, a->dim, add);
    for (size_t i = 0; i < a->dim; i++) add[i] = rate * (x[i] - add[i]);
}

static inline void step_head(const struct recur *a, size_t row, size_t head, float *restrict state) {
    size_t group = a->turns ? head % a->groups : head / (a->heads / a->groups), dim = a->dim;
    const float *x = a->x + row * a->x_row + head * dim;
    const float *key = a->key + (row * a->groups + group) * a->size;
    const float *query = a->query + (row * a->groups + group) * a->size, *skip = skip_of(a, head);
    float *restrict out = a->out + (row * a->heads + head) * dim, add[MAX_HEAD];
    float step, keep = 1;
    if (a->kind == RECUR_DELTA)
        forget(a, row, head, key, state, add);
    else {
        keep = decay_of(a, row, head, head, &step);
        for (size_t i = 0; i < dim; i++) add[i] = step * x[i];
    }
    add_and_read(state, key, query, add, keep, a->size, dim, out);
    for (size_t i = 0; skip && i < dim; i++) out[i] = fmaf(*skip, x[i], out[i]);
}

void KERNEL(recur_head)(const struct recur *a, struct stretch s) {
    float *state = a->row[s.row].state + a->state + s.first * a->size * a->dim;
    if (a->row[s.row].position == 0) memset(state, 0, a->size * a->dim * sizeof *state);
    for (size_t r = s.row; r < s.row + s.rows; r++) step_head(a, r, s.first, state);
}
