// What a card is asked for a linear map: the sums of linear.c, from the same beginnings in the same order. Weights are
// decoded some rows at a time, by the look-ups that the device has anyway.
#include "train/card_parts.h"

#include <stdlib.h>

// Floats of a matrix that are decoded at once; rows of it are taken in whole tiles of products (device/gpu/ops_sums.c).
enum { DECODED = 32 << 20, TILE = 128 };

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

static size_t rows_at_once(const struct linear_op *o) {
    size_t n = DECODED / o->in / TILE * TILE;
    return least(n ? n : TILE, o->out);
}

static bool grow(struct desk *k, void **at, size_t *have, size_t want, size_t bytes) {
    const struct device_ops *ops = k->d->ops;
    if (want <= *have) return true;
    if (*at) ops->free(k->d, *at);
    *have = 0;
    *at = ops->alloc(k->d, want * bytes, &k->failed);
    if (*at) *have = want;
    return *at;
}

static bool have_ids(struct desk *k, size_t n) {
    if (n <= k->ids_n) return true;
    int32_t *ids = malloc(n * sizeof *ids);
    for (size_t i = 0; ids && i < n; i++) ids[i] = (int32_t)i;
    bool ok = ids ? grow(k, (void **)&k->ids, &k->ids_n, n, sizeof *ids) : fail_memory(&k->failed, "training");
    if (ok) k->d->ops->write(k->d, k->ids, ids, n * sizeof *ids);
    free(ids);
    return ok;
}

static bool have_decoded(struct desk *k, const struct linear_op *o) {
    return have_ids(k, o->out) && grow(k, (void **)&k->decoded, &k->decoded_n, rows_at_once(o) * o->in, sizeof(float));
}

// Rows [first, first + n) of the matrix, as floats.
static void decode(struct desk *k, const struct linear_op *o, size_t first, size_t n) {
    k->d->ops->embed(k->d, o->bound, k->ids + first, n, k->decoded);
}

static float factor(const struct linear_op *o) { return o->by == 0 ? 1 : o->by; }

static void ask(struct desk *k, struct float_sums s) { k->d->ops->sums(k->d, &s); }

// ---------------------------------------------------------------------------------------------- forward

// y = by * (W x + bias)
static bool multiply(struct desk *k, const struct linear_op *o, const dfloat *x, dfloat *y) {
    size_t each = rows_at_once(o);
    dfloat *bias = o->bias ? desk_take(k, o->out) : NULL;
    if ((o->bias && !bias) || !have_decoded(k, o)) return false;
    if (bias) k->d->ops->write(k->d, bias, o->bias, o->out * sizeof *o->bias);
    for (size_t first = 0; first < o->out; first += each) {
        size_t n = least(each, o->out - first);
        decode(k, o, first, n);
        ask(k, (struct float_sums){.rows = o->rows,
                                   .cols = n,
                                   .n = o->in,
                                   .x = x,
                                   .x_row = o->in,
                                   .x_step = 1,
                                   .w = k->decoded,
                                   .w_col = o->in,
                                   .w_step = 1,
                                   .bias = bias ? bias + first : NULL,
                                   .y = y + first,
                                   .y_row = o->out,
                                   .by = factor(o)});
    }
    return true;
}

bool desk_map(struct desk *k, const struct linear_op *o, const dfloat *x, dfloat *y, float *kept) {
    const dfloat *a, *b;
    dfloat *narrow = o->rank ? desk_take(k, o->rows * o->rank) : NULL;
    if (!multiply(k, o, x, y)) return false;
    if (!o->rank) return true;
    a = desk_read(k, o->a, o->rank * o->in);
    b = desk_read(k, o->b, o->out * o->rank);
    if (!narrow || !a || !b) return false;
    ask(k, (struct float_sums){.rows = o->rows,
                               .cols = o->rank,
                               .n = o->in,
                               .x = x,
                               .x_row = o->in,
                               .x_step = 1,
                               .w = a,
                               .w_col = o->in,
                               .w_step = 1,
                               .y = narrow,
                               .y_row = o->rank,
                               .by = o->scale});
    ask(k, (struct float_sums){.rows = o->rows,
                               .cols = o->out,
                               .n = o->rank,
                               .x = narrow,
                               .x_row = o->rank,
                               .x_step = 1,
                               .w = b,
                               .w_col = o->rank,
                               .w_step = 1,
                               .y = y,
                               .y_row = o->out,
                               .more = true,
                               .by = 1});
    k->d->ops->read(k->d, kept, narrow, o->rows * o->rank * sizeof *kept);
    return true;
}

bool desk_forward(struct desk *k, const struct asked *m) {
    const struct linear_op *o = &m->o;
    const dfloat *x = desk_read(k, m->x, o->rows * o->in);
    dfloat *y = desk_take(k, o->rows * o->out);
    if (!x || !y || !desk_map(k, o, x, y, m->kept)) return false;
    k->d->ops->read(k->d, m->y, y, o->rows * o->out * sizeof *m->y);
    return true;
}

// ------------------------------------------------------------------------------------------------- back

// The gradients of a pair; `narrow` becomes that by a x.
static bool back_pair(struct desk *k, const struct asked *m, const dfloat *x, const dfloat *dy, dfloat *narrow) {
    const struct linear_op *o = &m->o;
    const dfloat *saved = desk_read(k, m->saved, o->rows * o->rank), *b = desk_read(k, o->b, o->out * o->rank);
    dfloat *da = desk_sum(k, m->da, o->rank * o->in), *db = desk_sum(k, m->db, o->out * o->rank);
    if (!x || !saved || !b || !da || !db) return false;
    ask(k, (struct float_sums){.rows = o->rows,
                               .cols = o->rank,
                               .n = o->out,
                               .x = dy,
                               .x_row = o->out,
                               .x_step = 1,
                               .w = b,
                               .w_col = 1,
                               .w_step = o->rank,
                               .y = narrow,
                               .y_row = o->rank,
                               .by = o->scale});
    ask(k, (struct float_sums){.rows = o->out,
                               .cols = o->rank,
                               .n = o->rows,
                               .x = dy,
                               .x_row = 1,
                               .x_step = o->out,
                               .w = saved,
                               .w_col = 1,
                               .w_step = o->rank,
                               .y = db,
                               .y_row = o->rank,
                               .more = true,
                               .by = 1});
    ask(k, (struct float_sums){.rows = o->rank,
                               .cols = o->in,
                               .n = o->rows,
                               .x = narrow,
                               .x_row = 1,
                               .x_step = o->rank,
                               .w = x,
                               .w_col = 1,
                               .w_step = o->in,
                               .y = da,
                               .y_row = o->in,
                               .more = true,
                               .by = 1});
    return true;
}

// dx = by * W' dy, outputs in ascending order.
static bool multiply_back(struct desk *k, const struct linear_op *o, const dfloat *dy, dfloat *dx) {
    size_t each = rows_at_once(o);
    if (!have_decoded(k, o)) return false;
    for (size_t first = 0; first < o->out; first += each) {
        size_t n = least(each, o->out - first);
        decode(k, o, first, n);
        ask(k, (struct float_sums){.rows = o->rows,
                                   .cols = o->in,
                                   .n = n,
                                   .x = dy + first,
                                   .x_row = o->out,
                                   .x_step = 1,
                                   .w = k->decoded,
                                   .w_col = 1,
                                   .w_step = o->in,
                                   .y = dx,
                                   .y_row = o->in,
                                   .more = first > 0,
                                   .by = first + n < o->out ? 1 : factor(o)});
    }
    return true;
}

// And of the pair: += a' narrow.
static bool add_pair(struct desk *k, const struct linear_op *o, const dfloat *narrow, dfloat *dx) {
    const dfloat *a = desk_read(k, o->a, o->rank * o->in);
    if (!a) return false;
    ask(k, (struct float_sums){.rows = o->rows,
                               .cols = o->in,
                               .n = o->rank,
                               .x = narrow,
                               .x_row = o->rank,
                               .x_step = 1,
                               .w = a,
                               .w_col = 1,
                               .w_step = o->in,
                               .y = dx,
                               .y_row = o->in,
                               .more = true,
                               .by = 1});
    return true;
}

// Sums of nothing.
static dfloat *zeros(struct desk *k, size_t rows, size_t cols) {
    dfloat *all = desk_take(k, rows * cols);
    if (all) ask(k, (struct float_sums){.rows = rows, .cols = cols, .y = all, .y_row = cols, .by = 1});
    return all;
}

dfloat *desk_map_back(struct desk *k, const struct asked *m, const dfloat *x, const dfloat *dy) {
    const struct linear_op *o = &m->o;
    dfloat *narrow = o->rank ? desk_take(k, o->rows * o->rank) : NULL, *dx = desk_take(k, o->rows * o->in);
    if (!dx || (o->rank && (!narrow || !back_pair(k, m, x, dy, narrow)))) return NULL;
    return multiply_back(k, o, dy, dx) && (!o->rank || add_pair(k, o, narrow, dx)) ? dx : NULL;
}

// Added to zeros, which a -0 does not outlive.
dfloat *desk_onto_zeros(struct desk *k, const dfloat *x, size_t rows, size_t cols) {
    dfloat *all = zeros(k, rows, cols);
    if (all) k->d->ops->add(k->d, all, x, rows * cols);
    return all;
}

bool desk_backward(struct desk *k, const struct asked *m) {
    const struct linear_op *o = &m->o;
    size_t n = o->rows * o->in;
    const dfloat *dy = desk_read(k, m->dy, o->rows * o->out), *x = o->rank ? desk_read(k, m->x, n) : NULL;
    dfloat *dx = dy && (x || !o->rank) ? desk_map_back(k, m, x, dy) : NULL, *all;
    if (!dx) return false;
    if (m->how == DX_MORE) {
        if (!(all = desk_sum(k, m->dx, n))) return false;
        k->d->ops->add(k->d, all, dx, n);
        return true;
    }
    if (m->how == DX_ONTO_ZEROS && !(dx = desk_onto_zeros(k, dx, o->rows, o->in))) return false;
    k->d->ops->read(k->d, m->dx, dx, n * sizeof *m->dx);
    return true;
}
