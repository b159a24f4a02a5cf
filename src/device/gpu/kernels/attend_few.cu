// Attention of few rows to a cache of floats or halves: a block has one query head of a row, or four that share a key
// head, and one span. What it takes time for is latency, so everything that can be asked for early is: all pages of the
// span at once, keys by the dozen, values of the first piece before the scores are known.
#include "attend_heads.h"

enum {
    QUADS = 8, // of 16 bytes that a thread has of a piece of the span's values
    KEYS = 32, // words of keys that are on their way at a time
    AHEAD = 8  // values likewise
};

struct few_room {
    struct span_pages page;
    float q[FEW_DIM * FEW_HEADS]; // [element][head]
    struct weighed w;
    uint32_t piece[QUADS * THREADS * FOUR];
};

// Keys and values come nearer while the kernel before this one ends: blocks of one key head have a share each.
FN void hint_pages(const struct few *f, unsigned room, const struct span_pages *page) {
    enum { LINE = 128 };
    const struct cache_shape *kv = &f->a->kv;
    unsigned size = kv->type == CACHE_F16 ? 2 : 4, keys = PAGE * kv->key_dim * size / LINE,
             all = keys + PAGE * kv->value_dim * size / LINE, tiles = (f->a->heads / kv->heads + room - 1) / room;
    for (unsigned n = BLOCK_Y % tiles * THREADS + THREAD; n < SPAN_PAGES * all; n += tiles * THREADS) {
        unsigned p = n / all, at = n % all;
        if (page->key[p]) hint_at(at < keys ? page->key[p] + at * LINE : page->value[p] + (at - keys) * LINE);
    }
}

FN float key_half(uint32_t word, unsigned i) { return float_of_half(word >> 16 * i & 0xffffu); }

// acc[i][h] = fma(q[h], key[t + i], acc[i][h]) for two positions t, t + 1, that `key` points to, and an element.
FN void add_pair(const float *q, unsigned heads, float first, float second, float *acc) {
    UNROLL
    for (unsigned h = 0; h < heads; h++) {
        acc[h] = fmaf(q[h], first, acc[h]);
        acc[FEW_HEADS + h] = fmaf(q[h], second, acc[FEW_HEADS + h]);
    }
}

// Four elements of the queries.
FN void four_of(const float *q, unsigned heads, float *x) {
    UNROLL
    for (unsigned h = 0; h < heads; h++) {
        struct quad four = quad_at(q + FOUR * h);
        UNROLL
        for (unsigned k = 0; k < FOUR; k++) x[FOUR * h + k] = float_of_bits(four.w[k]);
    }
}

FN void add_halves(const uint8_t *key, unsigned dim, const float *q, unsigned heads, float *acc) {
    unsigned i = 0;
    for (; i + KEYS <= dim; i += KEYS) {
        uint32_t w[KEYS];
        float x[FOUR * FEW_HEADS];
        UNROLL
        for (unsigned k = 0; k < KEYS; k++) w[k] = word_at(key + (size_t)(i + k) * PAGE * 2);
        UNROLL
        for (unsigned k = 0; k < KEYS; k++) {
            if (k % FOUR == 0) four_of(q + (i + k) * heads, heads, x);
            add_pair(x + k % FOUR * heads, heads, key_half(w[k], 0), key_half(w[k], 1), acc);
        }
    }
    for (; i < dim; i++) {
        uint32_t w = word_at(key + (size_t)i * PAGE * 2);
        add_pair(q + i * heads, heads, key_half(w, 0), key_half(w, 1), acc);
    }
}

FN void add_floats(const uint8_t *key, unsigned dim, const float *q, unsigned heads, float *acc) {
    enum { SOME = KEYS / 2 };
    unsigned i = 0;
    const float *x = (const float *)key;
    for (; i + SOME <= dim; i += SOME) {
        float w[KEYS], four[FOUR * FEW_HEADS];
        UNROLL
        for (unsigned k = 0; k < KEYS; k++) w[k] = x[(i + k / 2) * PAGE + k % 2];
        UNROLL
        for (unsigned k = 0; k < SOME; k++) {
            if (k % FOUR == 0) four_of(q + (i + k) * heads, heads, four);
            add_pair(four + k % FOUR * heads, heads, w[2 * k], w[2 * k + 1], acc);
        }
    }
    for (; i < dim; i++) add_pair(q + i * heads, heads, x[i * PAGE], x[i * PAGE + 1], acc);
}

// A thread's two positions are its number's.
FN void scores_of(const struct few *f, unsigned heads, struct few_room *room, float *score) {
    const struct attend_args *a = f->a;
    unsigned t = 2 * THREAD, token = t % PAGE;
    const uint8_t *key = room->page.key[t / PAGE];
    UNROLL
    for (unsigned k = 0; k < 2 * FEW_HEADS; k++) score[k] = 0;
    if (key && a->kv.type == CACHE_F16) add_halves(key + token * 2, a->kv.key_dim, room->q, heads, score);
    if (key && a->kv.type == CACHE_F32) add_floats(key + token * 4, a->kv.key_dim, room->q, heads, score);
    UNROLL
    for (unsigned i = 0; i < 2; i++) {
        bool seen = t + i >= f->seen.first && t + i < f->seen.last;
        UNROLL
        for (unsigned h = 0; h < heads; h++) {
            float *s = score + i * FEW_HEADS + h;
            *s = seen && h < f->heads ? score_of_floats(a, f->head + h, f->start + t + i, *s) : -INFINITY;
        }
    }
}

// A thread's part of a piece, which is whole pages from `page` on, of so many quads each.
FN void ask_piece(const struct few_room *room, unsigned page, unsigned pages, unsigned each, struct quad *q) {
    unsigned p = THREAD / each, at = THREAD % each, step = THREADS / each, rest = THREADS % each;
    UNROLL
    for (unsigned k = 0; k < QUADS; k++) {
        const uint8_t *value = p < pages ? room->page.value[page + p] : (const uint8_t *)0;
        if (value) q[k] = quad_at(value + (size_t)at * 16);
        p += step;
        at += rest;
        if (at >= each) at -= each, p++;
    }
}

FN void put_piece(struct few_room *room, const struct quad *q) {
    UNROLL
    for (unsigned k = 0; k < QUADS; k++) quad_to(room->piece + (k * THREADS + THREAD) * FOUR, q[k]);
}

struct some_values {
    float weight[AHEAD];
    uint32_t value[AHEAD];
};

// Values t .. of an element; `at` points to that of position 0 of the piece, weight[0] is of it too.
FN struct some_values ask_values(bool halves, const float *weight, const uint8_t *at, unsigned t, unsigned step) {
    struct some_values s;
    UNROLL
    for (unsigned k = 0; k < AHEAD; k += FOUR) {
        struct quad w = quad_at(weight + t + k);
        UNROLL
        for (unsigned i = 0; i < FOUR; i++) s.weight[k + i] = float_of_bits(w.w[i]);
    }
    UNROLL
    for (unsigned k = 0; k < AHEAD; k++)
        s.value[k] = halves ? half_at(at + (size_t)(t + k) * step) : word_at(at + (size_t)(t + k) * step);
    return s;
}

FN float value_float(bool halves, uint32_t v) { return halves ? float_of_half(v) : float_of_bits(v); }

FN float add_some(bool halves, const struct some_values *s, float acc) {
    UNROLL
    for (unsigned k = 0; k < AHEAD; k++) acc = fmaf(s->weight[k], value_float(halves, s->value[k]), acc);
    return acc;
}

FN float add_one(bool halves, const float *weight, const uint8_t *at, unsigned t, unsigned step, float acc) {
    const uint8_t *v = at + (size_t)t * step;
    return fmaf(weight[t], value_float(halves, halves ? half_at(v) : word_at(v)), acc);
}

// acc = fma(weight[t], value[t], acc) for t from first to last, of a piece in the block's memory. The next values are
// under way while some are added.
FN float add_values(bool halves, const float *weight, const uint8_t *at, unsigned t, unsigned last, unsigned step,
                    float acc) {
    for (; t < last && t % FOUR; t++) acc = add_one(halves, weight, at, t, step, acc);
    if (t + AHEAD <= last) {
        struct some_values now = ask_values(halves, weight, at, t, step), next;
        for (; t + 3 * AHEAD <= last; t += 2 * AHEAD) {
            next = ask_values(halves, weight, at, t + AHEAD, step);
            acc = add_some(halves, &now, acc);
            now = ask_values(halves, weight, at, t + 2 * AHEAD, step);
            acc = add_some(halves, &next, acc);
        }
        acc = add_some(halves, &now, acc);
        t += AHEAD;
    }
    for (; t < last; t++) acc = add_one(halves, weight, at, t, step, acc);
    return acc;
}

// A thread's outputs of a piece of positions from `start` on, `n` of them.
FN void add_outputs(const struct few *f, const struct few_room *room, unsigned heads, unsigned start, unsigned n,
                    float *acc) {
    unsigned dim = f->a->kv.value_dim;
    bool halves = f->a->kv.type == CACHE_F16;
    unsigned size = halves ? 2 : 4, first = f->seen.first > start ? f->seen.first - start : 0,
             last = f->seen.last > start ? f->seen.last - start : 0;
    if (last > n) last = n;
    UNROLL
    for (unsigned k = 0; k < heads; k++) {
        unsigned o = k * THREADS + THREAD, h = o / dim;
        if (h >= f->heads) continue;
        const uint8_t *at = (const uint8_t *)room->piece + (size_t)(o % dim) * size;
        const float *weight = room->w.weight + h * SPAN + start;
        acc[k] = halves ? add_values(true, weight, at, first, last, dim * size, acc[k])
                        : add_values(false, weight, at, first, last, dim * size, acc[k]);
    }
}

FN void put_outputs(const struct few *f, const struct few_room *room, unsigned heads, const float *acc,
                    const float *max) {
    unsigned dim = f->a->kv.value_dim;
    UNROLL
    for (unsigned k = 0; k < heads; k++) {
        unsigned o = k * THREADS + THREAD, h = o / dim;
        if (h >= f->heads) continue;
        float most = max[0];
        UNROLL
        for (unsigned m = 1; m < heads; m++) most = h == m ? max[m] : most;
        put_output(f, h, o % dim, most, room->w.sum[h], acc[k]);
    }
}

FN void attend_heads(const struct attend_args *a, unsigned heads, struct few_room *room) {
    struct few f = few_of(a, heads); // rows and tables of pages are older than the kernel before this one
    unsigned dim = a->kv.key_dim, each = PAGE * a->kv.value_dim * (a->kv.type == CACHE_F16 ? 2 : 4) / 16;
    unsigned pages = QUADS * THREADS / each, page = f.seen.first / PAGE;
    if (f.seen.first >= f.seen.last) {
        after_earlier();
        put_nothing(&f);
        return;
    }
    find_pages(a, a->row + f.row, f.head / (a->heads / a->kv.heads), f.start, f.seen, &room->page);
    barrier();
    hint_pages(&f, heads, &room->page);
    after_earlier();
    const float *q = a->q + ((size_t)f.row * a->heads + f.head) * dim;
    for (unsigned n = THREAD; n < heads * dim; n += THREADS)
        room->q[n % dim * heads + n / dim] = n < f.heads * dim ? q[n] : 0;
    barrier();
    struct quad piece[QUADS];
    float score[2 * FEW_HEADS], max[FEW_HEADS], acc[FEW_HEADS] = {0, 0, 0, 0};
    UNROLL
    for (unsigned k = 0; k < QUADS; k++) piece[k].w[0] = piece[k].w[1] = piece[k].w[2] = piece[k].w[3] = 0;
    if (pages > SPAN_PAGES) pages = SPAN_PAGES;
    ask_piece(room, page, page + pages < SPAN_PAGES ? pages : SPAN_PAGES - page, each, piece);
    scores_of(&f, heads, room, score);
    weigh_scores(&f, heads, &room->w, score, max);
    for (bool first = true; page * PAGE < f.seen.last; page += pages, first = false) {
        unsigned next = page + pages;
        put_piece(room, piece);
        barrier();
        if (next * PAGE < f.seen.last)
            ask_piece(room, next, next + pages < SPAN_PAGES ? pages : SPAN_PAGES - next, each, piece);
        if (first) sum_weights(heads, &room->w);
        add_outputs(&f, room, heads, page * PAGE, pages * PAGE, acc);
        barrier();
    }
    put_outputs(&f, room, heads, acc, max);
    round_outputs(&f);
}

// BLOCK_X is the span, BLOCK_Y the key head and some of its query heads, BLOCK_Z the row.
EARLY_KERNEL(attend_1, attend_args) {
    SHARED(struct few_room, room);
    attend_heads(&a, 1, room);
}

EARLY_KERNEL(attend_4, attend_args) {
    SHARED(struct few_room, room);
    attend_heads(&a, 4, room);
}
