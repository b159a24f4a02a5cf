// From projections to normed, rotated queries and the KV cache.
#include <string.h>

#include "device/cpu/cpu.h"

struct call {
    const struct kernels *kernels;
    const struct qkv *a;
    size_t rows;        // of a task
    size_t heads, cuts; // of a row: queries, then keys with their values; in how many parts tasks take them
};

// Rows of a task at most: the keys of a page's positions lie side by side, and threads that write them in turn would
// wait for each other's cache lines.
enum { TASK_ROWS = PAGE_TOKENS };

// Elements of heads that are worth a task of their own.
enum { LEAST = 128 };

// Su et al., 2021. `out` is not `x`. Pairs come out half a head apart however they lie in the file, rotated or not, so
// that a score is the same sum in the same order for either form of a model.
static void rotate(const struct qkv *a, const float *x, const float *table, float *out) {
    bool adjacent = a->pairs == PAIRS_ADJACENT;
    size_t half = a->rotary_dim / 2, rest = 2 * half;
    for (size_t i = 0; i < half; i++) {
        float first = x[adjacent ? 2 * i : i], second = x[adjacent ? 2 * i + 1 : i + half];
        out[i] = table ? first * table[2 * i] - second * table[2 * i + 1] : first;
        out[i + half] = table ? second * table[2 * i] + first * table[2 * i + 1] : second;
    }
    memcpy(out + rest, x + rest, (a->kv.key_dim - rest) * sizeof *out);
}

static void ready(const struct call *c, const float *x, const float *weight, const float *table, float *out) {
    float normed[MAX_HEAD];
    if (weight) c->kernels->norm(c->a->norm, x, weight, NULL, c->a->norm_eps, c->a->kv.key_dim, normed);
    rotate(c->a, weight ? normed : x, table, out);
}

static const float *weight_of(const struct qkv *a, const float *norm, size_t head) {
    return norm ? norm + head * a->norm_step : NULL;
}

static const float *head_of(const struct projected *in, size_t row, size_t head, size_t group, size_t dim) {
    return in->x + row * in->row + head / group * in->step + head % group * dim;
}

static void put(const struct call *c, struct kv_vector v, const float *x) {
    uint16_t half[KV_MOST_DIM];
    if (v.type != TYPE_F16) {
        kv_put(&v, x);
        return;
    }
    c->kernels->halves(x, v.dim, half);
    kv_put_halves(&v, half);
}

// Heads [first, end) of row r.
static void qkv_row(const struct call *c, size_t r, size_t first, size_t end) {
    const struct qkv *a = c->a;
    const struct kv_shape *kv = &a->kv;
    const struct attention_row *row = a->at.row + r;
    size_t group = a->heads / kv->heads, page = a->at.pages[row->pages + row->position / PAGE_TOKENS];
    size_t slot = row->position % PAGE_TOKENS;
    const float *table = a->angles ? a->angles + r * (a->rotary_dim / 2) * 2 : NULL;
    for (size_t h = first; h < end && h < a->heads; h++)
        ready(c, head_of(&a->q_in, r, h, group, kv->key_dim), weight_of(a, a->q_norm, h), table,
              a->q + (r * a->heads + h) * kv->key_dim);
    for (size_t h = first < a->heads ? a->heads : first; h < end; h++) {
        size_t g = h - a->heads;
        float key[MAX_HEAD];
        ready(c, head_of(&a->k_in, r, g, 1, 0), weight_of(a, a->k_norm, g), table, key);
        put(c, kv_key(kv, a->k, page, g, slot), key);
        if (kv->value_dim) put(c, kv_value(kv, a->v, page, g, slot), head_of(&a->v_in, r, g, 1, 0));
    }
}

static void qkv_rows(void *arg, size_t i) {
    const struct call *c = arg;
    size_t first = i / c->cuts * c->rows, cut = i % c->cuts;
    for (size_t r = first; r < first + c->rows && r < c->a->rows; r++)
        qkv_row(c, r, c->heads * cut / c->cuts, c->heads * (cut + 1) / c->cuts);
}

void cpu_qkv(struct device *d, const struct qkv *a) {
    struct pool *pool = cpu_of(d)->pool;
    size_t threads = pool_threads(pool), fair = a->rows / (threads * 4);
    struct call c = {cpu_of(d)->kernels, a, fair < 1 ? 1 : fair > TASK_ROWS ? TASK_ROWS : fair};
    c.heads = a->heads + (a->k.slab ? a->kv.heads : 0);
    c.cuts = c.heads * a->kv.key_dim / LEAST;
    if (a->rows && c.cuts > threads / a->rows) c.cuts = threads / a->rows;
    if (!c.cuts) c.cuts = 1;
    pool_run(pool, (a->rows + c.rows - 1) / c.rows * c.cuts, qkv_rows, &c);
}
