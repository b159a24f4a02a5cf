// Attention of few rows to a cache of floats or halves: a block has one query head of a row, or four that share a key
// head, and one span. What it takes time for is latency, so everything that can be asked for early is: pages before the
// kernel before this one ends, keys by the dozen together with the queries, values of a piece before the scores are
// known, and those of the next while they are added.
#include "attend_heads.h"

enum {
    FEW_DIM_ROOM = FEW_DIM * FEW_HEADS,
    KEYS = 32,           // words of keys that are on their way at a time, twice; of four heads half of them
    AHEAD = 8,           // values likewise
    PIECE_BYTES = 16384, // of values
    PIECES = 2
};

struct few_room {
    struct span_pages page;
    float q[FEW_DIM_ROOM]; // [element][head], zeros behind the last element; then outputs
    struct weighed w;
    uint32_t piece[PIECES * PIECE_BYTES / 4];
};

// What has two sizes: elements of the cache, and heads of a block.
FN unsigned size_of(bool halves) { return halves ? 2 : 4; }
FN unsigned keys_of(unsigned heads) { return heads > 1 ? KEYS / 2 : KEYS; }
FN unsigned elements_of(bool halves, unsigned heads) { return halves ? keys_of(heads) : keys_of(heads) / 2; }
FN unsigned ahead_of(unsigned heads) { return heads > 1 ? AHEAD / 2 : AHEAD; }

// Keys and values come nearer while the kernel before this one ends: blocks of one key head have a page each in turn.
FN void hint_pages(const struct few *f, const struct span_pages *page) {
    enum { LINE = 128 };
    const struct cache_shape *kv = &f->a->kv;
    unsigned size = size_of(kv->type == CACHE_F16), keys = PAGE * kv->key_dim * size / LINE,
             all = keys + PAGE * kv->value_dim * size / LINE;
    ROLLED
    for (unsigned p = f->seen.first / PAGE + f->tile; p * PAGE < f->seen.last; p += f->tiles) {
        const uint8_t *key = page->key[p], *value = page->value[p];
        ROLLED
        for (unsigned at = THREAD; at < all; at += THREADS)
            hint_at(at < keys ? key + at * LINE : value + (at - keys) * LINE);
    }
}

// A thread's part of the queries.
FN void ask_queries(const struct few *f, unsigned heads, float *q) {
    unsigned dim = f->a->kv.key_dim;
    const float *x = f->a->q + ((size_t)f->row * f->a->heads + f->head) * dim;
    UNROLL
    for (unsigned k = 0; k < heads; k++) {
        unsigned n = k * THREADS + THREAD, i = n / heads, h = n % heads;
        q[k] = i < dim && h < f->heads ? x[h * dim + i] : 0;
    }
}

FN void put_queries(unsigned heads, const float *q, struct few_room *room) {
    UNROLL
    for (unsigned k = 0; k < heads; k++) room->q[k * THREADS + THREAD] = q[k];
}

// Which element word k of some is of, and where it lies.
FN unsigned element_of(bool halves, unsigned k) { return halves ? k : k / 2; }
FN unsigned place_of_key(bool halves, unsigned k) { return halves ? k * PAGE * 2 : k / 2 * PAGE * 4 + k % 2 * 4; }

// Words of keys of two positions t, t + 1, that `key` points to, from element i on; zeros behind the last.
FN void ask_keys(bool halves, unsigned heads, const uint8_t *key, unsigned dim, unsigned i, uint32_t *w) {
    bool whole = i + elements_of(halves, heads) <= dim;
    const uint8_t *at = key + (size_t)i * PAGE * size_of(halves);
    UNROLL
    for (unsigned k = 0; k < keys_of(heads) && whole; k++) w[k] = word_at(at + place_of_key(halves, k));
    UNROLL
    for (unsigned k = 0; k < keys_of(heads) && !whole; k++)
        w[k] = i + element_of(halves, k) < dim ? word_at(at + place_of_key(halves, k)) : 0;
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

// acc[i][h] = fma(q[h], key[t + i], acc[i][h]) for the two positions and some elements.
FN void add_keys(bool halves, unsigned heads, const float *q, const uint32_t *w, float *acc) {
    float x[FOUR * FEW_HEADS];
    UNROLL
    for (unsigned k = 0; k < elements_of(halves, heads); k++) {
        if (k % FOUR == 0) four_of(q + k * heads, heads, x);
        float first = halves ? float_of_half(w[k] & 0xffffu) : float_of_bits(w[2 * k]);
        float second = halves ? float_of_half(w[k] >> 16) : float_of_bits(w[2 * k + 1]);
        UNROLL
        for (unsigned h = 0; h < heads; h++) {
            acc[h] = fmaf(x[k % FOUR * heads + h], first, acc[h]);
            acc[FEW_HEADS + h] = fmaf(x[k % FOUR * heads + h], second, acc[FEW_HEADS + h]);
        }
    }
}

// Two lots of keys.
struct lots {
    uint32_t now[KEYS], next[KEYS];
};

FN void ask_lots(bool halves, unsigned heads, const uint8_t *key, unsigned dim, struct lots *l) {
    ask_keys(halves, heads, key, dim, 0, l->now);
    ask_keys(halves, heads, key, dim, elements_of(halves, heads), l->next);
}

FN void add_lots(bool halves, unsigned heads, const uint8_t *key, unsigned dim, const float *q, struct lots *l,
                 float *acc) {
    unsigned n = elements_of(halves, heads);
    ROLLED
    for (unsigned i = 0; i < dim; i += 2 * n) {
        add_keys(halves, heads, q + i * heads, l->now, acc);
        if (i + 2 * n < dim) ask_keys(halves, heads, key, dim, i + 2 * n, l->now);
        if (i + n < dim) add_keys(halves, heads, q + (i + n) * heads, l->next, acc);
        if (i + 3 * n < dim) ask_keys(halves, heads, key, dim, i + 3 * n, l->next);
    }
}

// The keys of a thread's two positions.
FN const uint8_t *own_key(const struct few *f, const struct few_room *room) {
    unsigned t = 2 * THREAD;
    const uint8_t *key = room->page.key[t / PAGE];
    if (!key) return key;
    key += t % PAGE * size_of(f->a->kv.type == CACHE_F16);
    FORGET(key);
    return key;
}

// Most models have scores that are scaled and no more.
FN void finish_scores(const struct few *f, unsigned heads, float *score) {
    const struct attend_args *a = f->a;
    bool plain = !a->slopes && !(a->softcap > 0);
    if (!warp_sees(f)) return;
    UNROLL
    for (unsigned i = 0; i < 2; i++) {
        unsigned t = 2 * THREAD + i;
        bool seen = t >= f->seen.first && t < f->seen.last;
        UNROLL
        for (unsigned h = 0; h < heads; h++) {
            float *s = score + i * FEW_HEADS + h;
            if (plain) *s *= a->scale;
            *s = seen && h < f->heads ? *s : -INFINITY;
        }
    }
    if (plain) return;
    UNROLL
    for (unsigned i = 0; i < 2; i++) {
        unsigned t = 2 * THREAD + i;
        UNROLL
        for (unsigned h = 0; h < heads; h++) {
            float *s = score + i * FEW_HEADS + h;
            if (t >= f->seen.first && t < f->seen.last && h < f->heads)
                *s = score_of_floats(a, f->head + h, f->start + t, *s);
        }
    }
}

// How the values of the span are cut: pieces of so many pages, each of so many bytes. A page that is larger than a
// piece has the room of both.
struct cut {
    unsigned page_bytes, pages, pieces;
};
FN struct cut cut_of(const struct cache_shape *kv) {
    struct cut c = {PAGE * kv->value_dim * size_of(kv->type == CACHE_F16), 0, PIECES};
    c.pages = PIECE_BYTES / c.page_bytes;
    if (c.pages > SPAN_PAGES) c.pages = SPAN_PAGES;
    if (!c.pages) c.pages = c.pieces = 1;
    return c;
}
FN unsigned place_of_piece(const struct cut *c, unsigned piece) {
    return c->pieces > 1 ? piece % PIECES * PIECE_BYTES : 0;
}

// The values of a piece, which begins with `page`, are on their way to the block's memory.
FN void ask_piece(const struct few *f, const struct cut *c, unsigned page, unsigned piece, struct few_room *room) {
    unsigned end = (f->seen.last + PAGE - 1) / PAGE, last = page + c->pages < end ? page + c->pages : end;
    room_place to = room_of(room->piece) + place_of_piece(c, piece);
    const uint8_t *value = page < last ? room->page.value[page] : (const uint8_t *)0;
    ROLLED
    for (; page < last; page++) {
        const uint8_t *from = value;
        if (page + 1 < last) value = room->page.value[page + 1];
        ROLLED
        for (unsigned at = THREAD * 16; at < c->page_bytes; at += THREADS * 16) copy_to_room(to + at, from + at);
        to += c->page_bytes;
    }
    send_copies();
}

struct some_values {
    float weight[AHEAD * FEW_HEADS / 2];
    uint32_t value[AHEAD];
};

// Values t .. of an element; `at` points to that of position 0 of the piece, `weight` to the weights of that.
FN struct some_values ask_values(bool halves, unsigned heads, room_place weight, room_place at, unsigned t,
                                 unsigned step) {
    struct some_values s;
    UNROLL
    for (unsigned k = 0; k < ahead_of(heads) * heads; k += FOUR) {
        struct quad w = quad_in_room(weight + (t * heads + k) * 4);
        UNROLL
        for (unsigned i = 0; i < FOUR; i++) s.weight[k + i] = float_of_bits(w.w[i]);
    }
    UNROLL
    for (unsigned k = 0; k < ahead_of(heads); k++)
        s.value[k] = halves ? half_in_room(at + (t + k) * step) : word_in_room(at + (t + k) * step);
    return s;
}

FN float value_float(bool halves, uint32_t v) { return halves ? float_of_half(v) : float_of_bits(v); }

FN void add_some(bool halves, unsigned heads, const struct some_values *s, float *acc) {
    UNROLL
    for (unsigned k = 0; k < ahead_of(heads); k++) UNROLL
    for (unsigned h = 0; h < heads; h++)
        acc[h] = fmaf(s->weight[k * heads + h], value_float(halves, s->value[k]), acc[h]);
}

// The same of which only [first, last) are seen, counted from the first of some.
FN void add_seen(bool halves, unsigned heads, const struct some_values *s, unsigned first, unsigned last, float *acc) {
    UNROLL
    for (unsigned k = 0; k < ahead_of(heads); k++) UNROLL
    for (unsigned h = 0; h < heads; h++) {
        float sum = fmaf(s->weight[k * heads + h], value_float(halves, s->value[k]), acc[h]);
        acc[h] = k >= first && k < last ? sum : acc[h];
    }
}

// acc[h] = fma(weight[t][h], value[t], acc[h]) for t from first to last, of a piece in the block's memory. The next
// values are under way while some are added.
FN void add_values(bool halves, unsigned heads, room_place weight, room_place at, unsigned first, unsigned last,
                   unsigned step, float *acc) {
    unsigned n = ahead_of(heads), t = first / n * n;
    struct some_values now = ask_values(halves, heads, weight, at, t, step), next;
    if (t < first) {
        add_seen(halves, heads, &now, first - t, last - t, acc);
        t += n;
        if (t >= last) return;
        now = ask_values(halves, heads, weight, at, t, step);
    }
    ROLLED
    for (; t + 2 * n < last; t += 2 * n) {
        next = ask_values(halves, heads, weight, at, t + n, step);
        add_some(halves, heads, &now, acc);
        now = ask_values(halves, heads, weight, at, t + 2 * n, step);
        add_some(halves, heads, &next, acc);
    }
    bool more = t + n < last;
    if (more) next = ask_values(halves, heads, weight, at, t + n, step);
    add_seen(halves, heads, &now, 0, last - t, acc);
    if (more) add_seen(halves, heads, &next, 0, last - t - n, acc);
}

// A thread has an element of each head, of a piece that begins with `page`.
FN void add_outputs(const struct few *f, const struct cut *c, unsigned heads, unsigned page, unsigned piece,
                    struct few_room *room, float *acc) {
    const struct cache_shape *kv = &f->a->kv;
    bool halves = kv->type == CACHE_F16;
    unsigned start = page * PAGE, size = size_of(halves), first = f->seen.first > start ? f->seen.first - start : 0,
             last = f->seen.last - start < c->pages * PAGE ? f->seen.last - start : c->pages * PAGE;
    if (THREAD >= kv->value_dim) return;
    room_place at = room_of(room->piece) + place_of_piece(c, piece) + THREAD * size,
               weight = room_of(room->w.weight) + start * heads * 4;
    if (halves)
        add_values(true, heads, weight, at, first, last, kv->value_dim * 2, acc);
    else
        add_values(false, heads, weight, at, first, last, kv->value_dim * 4, acc);
}

FN void put_outputs(const struct few *f, unsigned heads, const float *acc, const float *max, struct few_room *room) {
    UNROLL
    for (unsigned h = 0; h < heads; h++)
        if (h < f->heads && THREAD < f->a->kv.value_dim)
            put_output(f, h, THREAD, max[h], room->w.sum[h], acc[h], room->q);
}

FN void attend_heads(const struct attend_args *a, unsigned heads, struct few_room *room) {
    struct few f = few_of(a, heads); // rows and tables of pages are older than the kernel before this one
    struct cut c = cut_of(&a->kv);
    unsigned dim = a->kv.key_dim, page = f.seen.first / PAGE, piece = 0;
    bool halves = a->kv.type == CACHE_F16;
    if (f.seen.first >= f.seen.last) {
        after_earlier();
        put_nothing(&f);
        return;
    }
    unsigned place = place_of_outputs(&f);
    find_pages(a, a->row + f.row, f.kv_head, f.start, f.seen, &room->page);
    barrier();
    hint_pages(&f, &room->page);
    const uint8_t *key = own_key(&f, room);
    after_earlier();
    struct lots l;
    float q[FEW_HEADS], score[2 * FEW_HEADS] = {0, 0, 0, 0, 0, 0, 0, 0}, max[FEW_HEADS], acc[FEW_HEADS] = {0, 0, 0, 0};
    ask_queries(&f, heads, q);
    if (key && halves) ask_lots(true, heads, key, dim, &l);
    ask_piece(&f, &c, page, piece, room);
    put_queries(heads, q, room);
    barrier();
    if (key && halves)
        add_lots(true, heads, key, dim, room->q, &l, score);
    else if (key) {
        ask_lots(false, heads, key, dim, &l);
        add_lots(false, heads, key, dim, room->q, &l, score);
    }
    finish_scores(&f, heads, score);
    weigh_scores(&f, heads, &room->w, score, max);
    for (; page * PAGE < f.seen.last; page += c.pages, piece++) {
        unsigned next = page + c.pages;
        bool more = next * PAGE < f.seen.last;
        await_copies(0);
        barrier();
        if (more && c.pieces > 1) ask_piece(&f, &c, next, piece + 1, room);
        if (!piece) sum_weights(heads, &room->w);
        add_outputs(&f, &c, heads, page, piece, room, acc);
        if (!more || c.pieces > 1) continue;
        barrier();
        ask_piece(&f, &c, next, piece + 1, room);
    }
    barrier();
    put_outputs(&f, heads, acc, max, room);
    round_outputs(&f, place, room->q);
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
