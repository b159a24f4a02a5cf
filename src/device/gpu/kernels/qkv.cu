// From projections to normed, rotated queries and the KV cache (docs/arithmetic.md: "Norms of queries, keys and
// values", "Positions", "Attention"). BLOCK_X is the row, BLOCK_Y some query heads or, after those, a key head with its
// value.
#include "cache.h"

// Query heads of a block: a norm is the work of sixteen threads.
enum { QUERY_HEADS = THREADS / LANES };

struct qkv_room {
    float x[MOST_DIM];
    uint32_t most[THREADS / 32];
    struct norm_of_row norm[QUERY_HEADS];
};

// A head before rotation.
struct head {
    const float *x, *weight; // no weight: it is not normed
    struct norm_of_row norm;
};

FN float element_of(const struct head *h, unsigned i) {
    return h->weight ? (h->x[i] - h->norm.mean) * h->norm.inverse * h->weight[i] : h->x[i];
}

// The sum of a head's elements, or of (x - mean)^2, by sixteen threads that are its lanes.
FN float sum_of_head(const float *x, unsigned n, bool squares, float mean) {
    float lane = 0;
    for (unsigned i = THREAD % LANES; i < (n + LANES - 1) / LANES * LANES; i += LANES)
        lane = add_element(lane, i < n ? x[i] : squares ? mean : 0, squares, mean);
    return fold_lanes(lane);
}

FN struct norm_of_row norm_of_head(const struct qkv_args *a, const float *x) {
    unsigned n = a->kv.key_dim;
    struct norm_of_row r;
    r.mean = a->layer_norm ? sum_of_head(x, n, false, 0) / (float)n : 0;
    r.inverse = 1.0f / sqrtf(sum_of_head(x, n, true, r.mean) / (float)n + a->norm_eps);
    return r;
}

// Pairs come out half a head apart however they lie, rotated or not. Item i of a head is a pair, or an element of the
// rest.
FN unsigned items_of(const struct qkv_args *a) { return a->kv.key_dim - a->rotary_dim / 2; }

FN void rotate(const struct qkv_args *a, const struct head *h, const float *table, unsigned i, float *out) {
    unsigned half = a->rotary_dim / 2;
    if (i >= half) {
        out[i + half] = element_of(h, i + half);
        return;
    }
    float first = element_of(h, a->adjacent ? 2 * i : i), second = element_of(h, a->adjacent ? 2 * i + 1 : i + half);
    out[i] = table ? first * table[2 * i] - second * table[2 * i + 1] : first;
    out[i + half] = table ? second * table[2 * i] + first * table[2 * i + 1] : second;
}

FN const float *vector_of(const struct vectors *v, unsigned row, unsigned head, unsigned group, unsigned dim) {
    return v->x + row * v->row + head / group * v->step + (size_t)(head % group) * dim;
}

// Writes the block's x to a token's place in a page.
FN void put(const struct qkv_args *a, uint8_t *page, bool key, unsigned dim, unsigned token, float *x, uint32_t *room) {
    uint32_t type = a->kv.type;
    float scale = 0;
    if (type == CACHE_Q8) {
        if (key) spread_row(x, dim);
        scale = scale_of_row(x, dim, room);
        if (THREAD == 0) *cache_scale(page, dim, token) = scale;
    }
    for (unsigned i = THREAD; i < cache_room(type, dim); i += THREADS) {
        size_t at = cache_index(type, key, dim, token, i);
        if (type == CACHE_F32)
            ((float *)page)[at] = x[i];
        else if (type == CACHE_F16)
            ((uint16_t *)page)[at] = half_of_float(x[i]);
        else
            page[at] = i < dim ? (uint8_t)cache_code(x[i], scale) : 0;
    }
}

// Some of a row's query heads, side by side.
FN void put_queries(const struct qkv_args *a, const float *table, unsigned first, struct qkv_room *room) {
    unsigned r = BLOCK_X, dim = a->kv.key_dim, group = a->heads / a->kv.heads, items = items_of(a);
    unsigned n = a->heads - first < QUERY_HEADS ? a->heads - first : QUERY_HEADS;
    if (a->q_norm) {
        unsigned h = THREAD / LANES < n ? THREAD / LANES : n - 1;
        struct norm_of_row norm = norm_of_head(a, vector_of(&a->q_in, r, first + h, group, dim));
        if (THREAD % LANES == 0) room->norm[THREAD / LANES] = norm;
        barrier();
    }
    unsigned h = THREAD / items, i = THREAD % items, step = THREADS / items, rest = THREADS % items;
    while (h < n) {
        const float *weight = a->q_norm ? a->q_norm + (first + h) * a->norm_step : (const float *)0;
        struct head q = {vector_of(&a->q_in, r, first + h, group, dim), weight, {0, 0}};
        if (weight) q.norm = room->norm[h];
        rotate(a, &q, table, i, a->q + ((size_t)r * a->heads + first + h) * dim);
        h += step;
        i += rest;
        if (i >= items) i -= items, h++;
    }
}

KERNEL(qkv, qkv_args) {
    SHARED(struct qkv_room, room);
    unsigned r = BLOCK_X, dim = a.kv.key_dim, blocks = (a.heads + QUERY_HEADS - 1) / QUERY_HEADS;
    const float *table = a.angles ? a.angles + (size_t)r * (a.rotary_dim / 2) * 2 : (const float *)0;
    if (BLOCK_Y < blocks) {
        put_queries(&a, table, BLOCK_Y * QUERY_HEADS, room);
        return;
    }
    unsigned h = BLOCK_Y - blocks;
    const drow *row = a.row + r;
    unsigned page = a.pages[row->pages + row->position / PAGE], token = row->position % PAGE;
    const float *weight = a.k_norm ? a.k_norm + h * a.norm_step : (const float *)0;
    struct head k = {vector_of(&a.k_in, r, h, 1, 0), weight, {0, 0}};
    if (weight) k.norm = norm_of_head(&a, k.x);
    for (unsigned i = THREAD; i < items_of(&a); i += THREADS) rotate(&a, &k, table, i, room->x);
    barrier();
    put(&a, cache_page(&a.kv, a.k, dim, page, h), true, dim, token, room->x, room->most);
    barrier();
    unsigned value_dim = a.kv.value_dim;
    if (!value_dim) return;
    const float *v = vector_of(&a.v_in, r, h, 1, 0);
    for (unsigned i = THREAD; i < value_dim; i += THREADS) room->x[i] = v[i];
    barrier();
    put(&a, cache_page(&a.kv, a.v, value_dim, page, h), false, value_dim, token, room->x, room->most);
}
