// Attention as training has it: scores of some heads at a time, all of their rows and columns, by the products of
// ops_sums.c.
#include "device/gpu/work.h"

enum { MOST_SCORES = 128 << 20 }; // floats of a group of heads

static size_t group_of(const struct causal *a) {
    size_t most = MOST_SCORES / (a->rows * a->rows + 1);
    return !most ? 1 : most < a->heads ? most : a->heads;
}

// Scores and their gradients of a group; the parts of all heads in those of keys and values; sums of rows.
size_t work_causal_floats(struct device *d, const struct causal *a) {
    size_t scores = group_of(a) * a->rows * a->rows, parts = a->heads * a->rows * a->dim;
    return a->dy ? 2 * scores + 2 * parts : scores + a->rows * a->heads;
}

// A group of heads on its way.
struct group {
    struct gpu *g;
    const struct causal *a;
    size_t first, count;
    dfloat *score, *slope;
};

static size_t wide(const struct causal *a) { return a->heads * a->dim; }
static size_t narrow(const struct causal *a) { return a->kv_heads * a->dim; }

// score[head][t] = x[t] . each of the columns
static void against(const struct group *w, const dfloat *x, const dfloat *columns, dfloat *score) {
    const struct causal *a = w->a;
    struct float_sums s = {.rows = a->rows,
                           .cols = a->rows,
                           .n = a->dim,
                           .x = x + w->first * a->dim,
                           .x_row = wide(a),
                           .x_step = 1,
                           .w = columns,
                           .w_col = narrow(a),
                           .w_step = 1,
                           .y = score,
                           .y_row = a->rows,
                           .by = 1};
    struct sums_args more = {.x_each = a->dim,
                             .w_each = a->dim,
                             .y_each = a->rows * a->rows,
                             .first = (uint32_t)w->first,
                             .share = (uint32_t)(a->heads / a->kv_heads),
                             .causal = CAUSAL_SCORES};
    work_sums_of(w->g, &s, more, w->count);
}

// out[t][head] = the sum over keys of weight[head][t][key] * x[key]
static void gather(const struct group *w, const dfloat *weight, const dfloat *x, dfloat *out) {
    const struct causal *a = w->a;
    struct float_sums s = {.rows = a->rows,
                           .cols = a->dim,
                           .n = a->rows,
                           .x = weight,
                           .x_row = a->rows,
                           .x_step = 1,
                           .w = x,
                           .w_col = 1,
                           .w_step = narrow(a),
                           .y = out + w->first * a->dim,
                           .y_row = wide(a),
                           .by = 1};
    struct sums_args more = {.x_each = a->rows * a->rows,
                             .w_each = a->dim,
                             .y_each = a->dim,
                             .first = (uint32_t)w->first,
                             .share = (uint32_t)(a->heads / a->kv_heads),
                             .causal = CAUSAL_SUMS};
    work_sums_of(w->g, &s, more, w->count);
}

// own[head][key] = the sum over rows of weight[head][t][key] * x[t][head]
static void scatter(const struct group *w, const dfloat *weight, const dfloat *x, dfloat *own) {
    const struct causal *a = w->a;
    size_t part = a->rows * a->dim;
    struct float_sums s = {.rows = a->rows,
                           .cols = a->dim,
                           .n = a->rows,
                           .x = weight,
                           .x_row = 1,
                           .x_step = a->rows,
                           .w = x + w->first * a->dim,
                           .w_col = 1,
                           .w_step = wide(a),
                           .y = own + w->first * part,
                           .y_row = a->dim,
                           .by = 1};
    struct sums_args more = {
        .x_each = a->rows * a->rows, .w_each = a->dim, .y_each = part, .share = 1, .causal = CAUSAL_TURNED};
    work_sums_of(w->g, &s, more, w->count);
}

static struct weigh_args rows_of(const struct group *w, dfloat *sum) {
    const struct causal *a = w->a;
    return (struct weigh_args){
        w->score,         w->slope,           a->y,    a->dy, sum, a->saved, (uint32_t)a->rows, (uint32_t)a->heads,
        (uint32_t)a->dim, (uint32_t)w->first, a->scale};
}

static void forward(struct gpu *g, const struct causal *a) {
    size_t group = group_of(a);
    dfloat *sum = a->work + group * a->rows * a->rows;
    for (size_t first = 0; first < a->heads; first += group) {
        struct group w = {g, a, first, a->heads - first < group ? a->heads - first : group, a->work, NULL};
        against(&w, a->q, a->k, w.score);
        struct weigh_args rows = rows_of(&w, sum);
        work_launch(g, "weigh_rows", a->rows, w.count, 1, &rows, sizeof rows);
        gather(&w, w.score, a->v, a->y);
    }
    struct divide_args divide = {a->y, sum, (uint32_t)a->dim};
    work_launch(g, "divide_rows", a->rows * a->heads, 1, 1, &divide, sizeof divide);
}

static void join(struct gpu *g, const struct causal *a, const dfloat *own, dfloat *out) {
    struct join_heads_args j = {
        own, out, (uint32_t)a->rows, (uint32_t)a->kv_heads, (uint32_t)(a->heads / a->kv_heads), (uint32_t)a->dim};
    work_launch(g, "join_heads", a->rows, a->kv_heads, 1, &j, sizeof j);
}

static void backward(struct gpu *g, const struct causal *a) {
    size_t group = group_of(a), scores = group * a->rows * a->rows;
    dfloat *dk = a->work + 2 * scores, *dv = dk + a->heads * a->rows * a->dim;
    for (size_t first = 0; first < a->heads; first += group) {
        struct group w = {g, a, first, a->heads - first < group ? a->heads - first : group, a->work, a->work + scores};
        against(&w, a->q, a->k, w.score);
        against(&w, a->dy, a->v, w.slope);
        struct weigh_args rows = rows_of(&w, NULL);
        work_launch(g, "slope_rows", a->rows, w.count, 1, &rows, sizeof rows);
        gather(&w, w.slope, a->k, a->dq);
        scatter(&w, w.slope, a->q, dk);
        scatter(&w, w.score, a->dy, dv);
    }
    join(g, a, dk, a->dk);
    join(g, a, dv, a->dv);
}

void work_causal(struct device *d, const struct causal *a) {
    if (!a->rows || !work_begin(gpu_of(d))) return;
    (a->dy ? backward : forward)(gpu_of(d), a);
}
