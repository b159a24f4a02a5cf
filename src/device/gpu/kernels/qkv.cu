// From projections to normed, rotated queries and the KV cache (docs/arithmetic.md: "Norms of queries, keys and
// values", "Positions", "Attention"). BLOCK_X is the row, BLOCK_Y some query heads or, after those, a key head, with
// its value or in front of all values. Where things go, and angles, are found while the kernel before this one ends.
#include "cache.h"

struct qkv_room {
    float x[MOST_DIM];
    uint32_t most[THREADS / 32];
    struct norm_of_row norm[QUERY_HEADS]; // a norm is the work of sixteen threads
};

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

// What an item needs beside its elements: which these are, where they go, their weights and their angle.
struct item {
    unsigned from[2], to[2];
    float weight[2], cosine, sine;
    bool turned;
};

FN struct item item_of(const struct qkv_args *a, const float *weight, unsigned i) {
    const float *table = a->angles ? a->angles + (size_t)BLOCK_X * (a->rotary_dim / 2) * 2 : (const float *)0;
    unsigned half = a->rotary_dim / 2, alone = i + half;
    bool pair = i < half;
    struct item it = {
        {pair ? i : alone, pair ? i + half : alone}, {pair ? i : alone, alone}, {1, 1}, 1, 0, pair && table};
    if (pair && a->adjacent) it.from[0] = 2 * i, it.from[1] = 2 * i + 1;
    if (weight) it.weight[0] = weight[it.from[0]], it.weight[1] = weight[it.from[1]];
    if (it.turned) it.cosine = table[2 * i], it.sine = table[2 * i + 1];
    return it;
}

FN void turn(const struct item *it, const float *x, bool normed, struct norm_of_row norm, float *out) {
    float first = x[it->from[0]], second = x[it->from[1]];
    if (normed) {
        first = (first - norm.mean) * norm.inverse * it->weight[0];
        second = (second - norm.mean) * norm.inverse * it->weight[1];
    }
    out[0] = it->turned ? first * it->cosine - second * it->sine : first;
    out[1] = it->turned ? second * it->cosine + first * it->sine : second;
}

FN const float *vector_of(const struct vectors *v, unsigned row, unsigned head, unsigned group, unsigned dim) {
    return v->x + row * v->row + head / group * v->step + (size_t)(head % group) * dim;
}

// Some of a row's query heads, side by side.
FN void put_queries(const struct qkv_args *a, unsigned first, struct qkv_room *room) {
    unsigned r = BLOCK_X, dim = a->kv.key_dim, group = a->heads / a->kv.heads, items = items_of(a);
    unsigned n = a->heads - first < a->each ? a->heads - first : a->each;
    unsigned h = THREAD / items, i = THREAD % items, step = THREADS / items, rest = THREADS % items;
    const float *weight = a->q_norm, *x = vector_of(&a->q_in, r, first + (h < n ? h : 0), group, dim);
    struct item it = item_of(a, weight ? weight + (first + (h < n ? h : 0)) * a->norm_step : weight, i);
    after_earlier();
    if (weight) {
        unsigned own = THREAD / LANES < n ? THREAD / LANES : n - 1;
        struct norm_of_row norm = norm_of_head(a, vector_of(&a->q_in, r, first + own, group, dim));
        if (THREAD % LANES == 0 && THREAD / LANES < n) room->norm[own] = norm;
        barrier();
    }
    ROLLED
    while (h < n) {
        struct norm_of_row norm = {0, 0};
        float *q = a->q + ((size_t)r * a->heads + first + h) * dim, out[2];
        if (weight) norm = room->norm[h];
        turn(&it, x, weight != (const float *)0, norm, out);
        q[it.to[0]] = out[0];
        q[it.to[1]] = out[1];
        h += step;
        i += rest;
        if (i >= items) i -= items, h++;
        if (h >= n) break;
        x = vector_of(&a->q_in, r, first + h, group, dim);
        it = item_of(a, weight ? weight + (first + h) * a->norm_step : weight, i);
    }
}

// Of a cache of floats or halves.
FN void put_element(uint32_t type, uint8_t *page, size_t at, float x) {
    if (type == CACHE_F32)
        ((float *)page)[at] = x;
    else
        ((uint16_t *)page)[at] = half_of_float(x);
}

// Writes the block's x to a token's place in a page of an 8-bit cache.
FN void put_codes(uint8_t *page, bool key, unsigned dim, unsigned token, struct qkv_room *room) {
    barrier();
    if (key) spread_row(room->x, dim);
    float scale = scale_of_row(room->x, dim, room->most);
    if (THREAD == 0) *cache_scale(page, dim, token) = scale;
    for (unsigned i = THREAD; i < cache_room(CACHE_Q8, dim); i += THREADS)
        page[cache_index(CACHE_Q8, key, dim, token, i)] = i < dim ? (uint8_t)cache_code(room->x[i], scale) : 0;
    barrier();
}

FN void put_key(const struct qkv_args *a, uint8_t *page, unsigned h, unsigned token, struct qkv_room *room) {
    const float *weight = a->k_norm ? a->k_norm + h * a->norm_step : a->k_norm;
    const float *x = vector_of(&a->k_in, BLOCK_X, h, 1, 0);
    struct item it = item_of(a, weight, THREAD < items_of(a) ? THREAD : 0);
    struct norm_of_row norm = {0, 0};
    bool codes = a->kv.type == CACHE_Q8;
    after_earlier();
    if (weight) norm = norm_of_head(a, x);
    ROLLED
    for (unsigned i = THREAD; i < items_of(a); i += THREADS) {
        float out[2];
        if (i != THREAD) it = item_of(a, weight, i);
        turn(&it, x, weight != (const float *)0, norm, out);
        UNROLL
        for (unsigned k = 0; k < 2; k++) {
            if (codes)
                room->x[it.to[k]] = out[k];
            else
                put_element(a->kv.type, page, cache_index(a->kv.type, true, a->kv.key_dim, token, it.to[k]), out[k]);
        }
    }
    if (codes) put_codes(page, true, a->kv.key_dim, token, room);
}

FN void put_value(const struct qkv_args *a, uint8_t *page, unsigned h, unsigned token, struct qkv_room *room) {
    const float *x = vector_of(&a->v_in, BLOCK_X, h, 1, 0);
    unsigned dim = a->kv.value_dim;
    bool codes = a->kv.type == CACHE_Q8;
    after_earlier();
    ROLLED
    for (unsigned i = THREAD; i < dim; i += THREADS) {
        if (codes)
            room->x[i] = x[i];
        else
            put_element(a->kv.type, page, cache_index(a->kv.type, false, dim, token, i), x[i]);
    }
    if (codes) put_codes(page, false, dim, token, room);
}

EARLY_KERNEL(qkv, qkv_args) {
    SHARED(struct qkv_room, room);
    unsigned blocks = (a.heads + a.each - 1) / a.each;
    if (BLOCK_Y < blocks) {
        put_queries(&a, BLOCK_Y * a.each, room);
        return;
    }
    unsigned n = BLOCK_Y - blocks, h = n < a.kv.heads ? n : n - a.kv.heads;
    const drow *row = a.row + BLOCK_X; // rows and tables of pages are older than the kernel before this one
    unsigned number = a.pages[row->pages + row->position / PAGE], token = row->position % PAGE;
    if (!a.apart || n < a.kv.heads) put_key(&a, cache_page(&a.kv, a.k, a.kv.key_dim, number, h), h, token, room);
    if (a.kv.value_dim && (!a.apart || n >= a.kv.heads))
        put_value(&a, cache_page(&a.kv, a.v, a.kv.value_dim, number, h), h, token, room);
    else
        after_earlier();
}
