// From projections to normed, rotated queries and the KV cache (docs/arithmetic.md: "Norms of queries, keys and
// values", "Positions", "Attention"). BLOCK_X is the row, BLOCK_Y a query head or, after those, a key head with its
// value.
#include "cache.h"

struct qkv_room {
    struct norm_room norm;
    float x[MOST_DIM];
    uint32_t most[THREADS / 32];
};

// A head before rotation.
struct head {
    const float *x, *weight; // no weight: it is not normed
    struct norm_of_row norm;
};

FN float element_of(const struct head *h, unsigned i) {
    return h->weight ? (h->x[i] - h->norm.mean) * h->norm.inverse * h->weight[i] : h->x[i];
}

FN struct head head_of(const struct qkv_args *a, const float *x, const float *weight, struct norm_room *room) {
    struct head h = {x, weight, {0, 0}};
    if (weight) h.norm = norm_of(x, a->kv.key_dim, a->layer_norm, a->norm_eps, MOST_DIM / THREADS, room);
    return h;
}

// Pairs come out half a head apart however they lie, rotated or not. A thread takes a pair, or an element of the rest.
FN void rotate(const struct qkv_args *a, const struct head *h, const float *table, float *out) {
    unsigned half = a->rotary_dim / 2, rest = 2 * half;
    for (unsigned i = THREAD; i < half; i += THREADS) {
        float first = element_of(h, a->adjacent ? 2 * i : i),
              second = element_of(h, a->adjacent ? 2 * i + 1 : i + half);
        out[i] = table ? first * table[2 * i] - second * table[2 * i + 1] : first;
        out[i + half] = table ? second * table[2 * i] + first * table[2 * i + 1] : second;
    }
    for (unsigned i = rest + THREAD; i < a->kv.key_dim; i += THREADS) out[i] = element_of(h, i);
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

KERNEL(qkv, qkv_args) {
    SHARED(struct qkv_room, room);
    unsigned r = BLOCK_X, h = BLOCK_Y, dim = a.kv.key_dim, group = a.heads / a.kv.heads;
    const float *table = a.angles ? a.angles + (size_t)r * (a.rotary_dim / 2) * 2 : (const float *)0;
    if (h < a.heads) {
        const float *weight = a.q_norm ? a.q_norm + h * a.norm_step : (const float *)0;
        struct head q = head_of(&a, vector_of(&a.q_in, r, h, group, dim), weight, &room->norm);
        rotate(&a, &q, table, a.q + ((size_t)r * a.heads + h) * dim);
        return;
    }
    h -= a.heads;
    const drow *row = a.row + r;
    unsigned page = a.pages[row->pages + row->position / PAGE], token = row->position % PAGE;
    const float *weight = a.k_norm ? a.k_norm + h * a.norm_step : (const float *)0;
    struct head k = head_of(&a, vector_of(&a.k_in, r, h, 1, 0), weight, &room->norm);
    rotate(&a, &k, table, room->x);
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
