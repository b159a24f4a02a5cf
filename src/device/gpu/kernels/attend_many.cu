// Attention of many queries to a cache of halves: a block has 32 queries that share a key head, of neighbouring rows,
// and one span. The order of every sum is given, so tensor cores cannot help; what helps is that a key or a value that
// was loaded is used by as many queries as there are registers for. A thread has the scores of eight queries and eight
// positions, and then four elements of what four queries get.
#define BLOCKS 2
#include "attend.h"

enum {
    QUERIES = 32,
    OWN = 8,    // queries, and positions, of a thread
    CHUNK = 64, // elements of the queries that are in the block's memory
    STEP = 4,   // elements of keys that are on their way
    PIECE_OF_SPAN = 64,
    PIECE_PAGES = PIECE_OF_SPAN / PAGE,
    WIDE_ROW = QUERIES + 4, // of weights: neighbouring rows lie in different banks
    MOST_VALUE = 128,
    OUT = 4, // queries, and elements, of a thread
    CHAINS = QUERIES * LANES / THREADS
};

struct many_room {
    struct span_pages page;
    uint32_t value[2][PIECE_OF_SPAN * MOST_VALUE / 2];           // of pieces in turn
    float x[PIECE_OF_SPAN * WIDE_ROW + PIECE_OF_SPAN / OWN * 4]; // queries [element][query], then weights
    float max[2][QUERIES], sum[QUERIES];
    struct seen seen[QUERIES];
    uint32_t row[QUERIES], head[QUERIES], pages[QUERIES];
    uint32_t from, to; // the queries at work: their rows are of one sequence
    struct seen all;   // by any of them
};

FN unsigned weight_at(unsigned t) { return t * WIDE_ROW + t / OWN * 4; }

// Which queries the block has: neighbours among all, or, of rows that are to be apart, some of one row.
FN void open_queries(const struct attend_args *a, struct many_room *room) {
    unsigned group = a->heads / a->kv.heads, n = BLOCK_X * QUERIES + THREAD, row = n / group, h = n % group;
    bool there = row < a->rows;
    if (THREAD >= QUERIES) return;
    if (a->apart) {
        unsigned blocks = (group + QUERIES - 1) / QUERIES, each = (group + blocks - 1) / blocks;
        row = BLOCK_X / blocks;
        h = BLOCK_X % blocks * each + THREAD;
        there = THREAD < each && h < group;
    }
    room->row[THREAD] = there ? row : a->rows;
    room->head[THREAD] = BLOCK_Z * group + h;
    room->pages[THREAD] = there ? a->row[row].pages : 0;
}

FN unsigned end_of_run(const struct attend_args *a, const struct many_room *room, unsigned from) {
    unsigned to = from + 1;
    while (to < QUERIES && room->row[to] < a->rows && room->pages[to] == room->pages[from]) to++;
    return to;
}

// From query `from` on those of a sequence: what each of them sees of the span, the others nothing, and what any of
// them sees.
FN void look(const struct attend_args *a, struct many_room *room, unsigned from) {
    unsigned to = end_of_run(a, room, from), first = SPAN, last = 0;
    barrier();
    if (THREAD < QUERIES) {
        struct seen s = {0, 0};
        if (THREAD >= from && THREAD < to) s = seen_by(a, a->row + room->row[THREAD], BLOCK_Y * SPAN);
        if (s.first < s.last)
            first = s.first, last = s.last;
        else
            s.first = s.last = 0;
        room->seen[THREAD] = s;
    }
    for (unsigned mask = 1; mask < QUERIES; mask *= 2) {
        unsigned other_first = swap_word(first, mask), other_last = swap_word(last, mask);
        first = other_first < first ? other_first : first;
        last = other_last > last ? other_last : last;
    }
    if (THREAD == 0) {
        room->from = from;
        room->to = to;
        room->all.first = first;
        room->all.last = last;
    }
    barrier();
}

FN bool is_at_work(const struct many_room *room, unsigned q) { return q >= room->from && q < room->to; }

// Whether one of n queries is.
FN bool are_at_work(const struct many_room *room, unsigned q, unsigned n) { return q + n > room->from && q < room->to; }

FN unsigned own_queries(void) { return THREAD / 32 % (QUERIES / OWN) * OWN; }
FN unsigned own_half(void) { return THREAD / (32 * QUERIES / OWN); }
FN unsigned own_positions(void) { return (own_half() * 32 + THREAD % 32) * OWN; }

// Elements `from` to `to` of the queries.
FN void put_queries(const struct attend_args *a, struct many_room *room, unsigned from, unsigned to) {
    unsigned q = THREAD % QUERIES, dim = a->kv.key_dim;
    bool there = is_at_work(room, q);
    const float *x = a->q + ((size_t)room->row[q] * a->heads + room->head[q]) * dim;
    barrier();
    for (unsigned i = from + THREAD / QUERIES * STEP; i < to; i += THREADS / QUERIES * STEP) {
        UNROLL
        for (unsigned k = 0; k < STEP; k++) room->x[(i - from + k) * QUERIES + q] = there ? x[i + k] : 0;
    }
    barrier();
}

// acc[t][q] = fma(q, key[t], acc[t][q]) of one element, whose queries `q` points to.
FN void multiply(struct quad key, const float *q, float *acc) {
    struct quad low = quad_at(q), high = quad_at(q + 4);
    UNROLL
    for (unsigned t = 0; t < OWN; t++) {
        float x = float_of_half(key.w[t / 2] >> 16 * (t % 2));
        UNROLL
        for (unsigned i = 0; i < OWN; i++)
            acc[t * OWN + i] = fmaf(float_of_bits(i < 4 ? low.w[i % 4] : high.w[i % 4]), x, acc[t * OWN + i]);
    }
}

// acc[t][q] = fma(q[i], key[t][i], acc[t][q]), ascending i.
FN void multiply_all(const struct attend_args *a, struct many_room *room, float *acc) {
    unsigned dim = a->kv.key_dim, t = own_positions();
    const float *q = room->x + own_queries();
    UNROLL
    for (unsigned i = 0; i < OWN * OWN; i++) acc[i] = 0;
    for (unsigned from = 0; from < dim; from += CHUNK) {
        unsigned to = from + CHUNK < dim ? from + CHUNK : dim;
        put_queries(a, room, from, to);
        const uint8_t *at = room->page.key[t / PAGE];
        if (!at || t >= room->all.last || t + OWN <= room->all.first) continue;
        if (!are_at_work(room, own_queries(), OWN)) continue;
        at += (from * PAGE + t % PAGE) * 2;
        unsigned n = to - from;
        struct quad ring[STEP]; // what was used makes room for what is asked for
        UNROLL
        for (unsigned k = 0; k < STEP; k++) ring[k] = quad_at(at + k * PAGE * 2);
        for (unsigned i = 0; i < n; i += STEP) {
            at += i + STEP < n ? STEP * PAGE * 2 : 0;
            UNROLL
            for (unsigned k = 0; k < STEP; k++) {
                struct quad now = ring[k];
                ring[k] = quad_at(at + k * PAGE * 2);
                multiply(now, q + (i + k) * QUERIES, acc);
            }
        }
    }
}

FN bool is_seen(struct seen s, unsigned t) { return t - s.first < s.last - s.first; }

// Of products their weights; 0 where nothing is seen, as exp(-infinity) is, or NaN if what is seen has no largest
// score, all weights of which are NaN too.
FN void weigh_products(const struct attend_args *a, struct many_room *room, float *acc) {
    unsigned t = own_positions(), q = own_queries();
    UNROLL
    for (unsigned i = 0; i < OWN; i++) {
        struct seen s = room->seen[q + i];
        float max = -INFINITY;
        UNROLL
        for (unsigned k = 0; k < OWN; k++) {
            float score = acc[k * OWN + i] * a->scale;
            score = is_seen(s, t + k) ? score : -INFINITY;
            acc[k * OWN + i] = score;
            max = score > max ? score : max;
        }
        for (unsigned mask = 1; mask < 32; mask *= 2) {
            float other = swap_float(max, mask);
            max = other > max ? other : max;
        }
        if (THREAD % 32 == 0) room->max[own_half()][q + i] = max;
    }
    barrier();
    UNROLL
    for (unsigned i = 0; i < OWN; i++) {
        float max = room->max[0][q + i], other = room->max[1][q + i];
        max = other > max ? other : max;
        UNROLL
        for (unsigned k = 0; k < OWN; k++) acc[k * OWN + i] = exp_f(acc[k * OWN + i] - max);
    }
}

// Asks for the values of a piece of the span, which are whole pages. Pages that are not seen stay as they are.
FN void ask_values(const struct attend_args *a, struct many_room *room, unsigned piece) {
    unsigned each = PAGE * a->kv.value_dim / 8;
    for (unsigned n = THREAD; n < PIECE_PAGES * each && piece < SPAN / PIECE_OF_SPAN; n += THREADS) {
        unsigned page = n >= each;
        const uint8_t *value = room->page.value[piece * PIECE_PAGES + page];
        if (value) copy_later(room->value[piece % 2] + n * FOUR, value + (size_t)(n - page * each) * 16);
    }
    send_copies();
}

FN void put_weights(struct many_room *room, unsigned piece, const float *acc) {
    unsigned t = own_positions();
    if (t / PIECE_OF_SPAN != piece) return;
    float *to = room->x + weight_at(t % PIECE_OF_SPAN) + own_queries();
    UNROLL
    for (unsigned k = 0; k < OWN; k++) {
        UNROLL
        for (unsigned i = 0; i < OWN; i += 4) {
            struct quad w;
            UNROLL
            for (unsigned m = 0; m < 4; m++) w.w[m] = bits_of_float(acc[k * OWN + i + m]);
            quad_to(to + k * WIDE_ROW + i, w);
        }
    }
}

// Lanes of the weights' sums, of two queries a thread.
FN void sum_piece(const struct many_room *room, float *lane) {
    UNROLL
    for (unsigned c = 0; c < CHAINS; c++) {
        unsigned q = THREAD / LANES + c * (THREADS / LANES);
        UNROLL
        for (unsigned k = 0; k < PIECE_OF_SPAN / LANES; k++)
            lane[c] += room->x[weight_at(k * LANES + THREAD % LANES) + q];
    }
}

FN void put_sums(struct many_room *room, const float *lane) {
    UNROLL
    for (unsigned c = 0; c < CHAINS; c++) {
        float sum = fold_lanes(lane[c]);
        if (THREAD % LANES == 0) room->sum[THREAD / LANES + c * (THREADS / LANES)] = sum;
    }
}

// Which outputs a thread has: OUT queries from `query` on, OUT elements from `element` on. Some threads have none.
struct outputs {
    unsigned query, element;
    bool there;
};

FN struct outputs outputs_of(unsigned dim) {
    struct outputs o = {THREAD / (dim / OUT) * OUT, THREAD % (dim / OUT) * OUT, THREAD < dim / OUT * (QUERIES / OUT)};
    return o;
}

// out[q][e] = fma(weight[q], value[e], out[q][e]) of position t of the piece, of the queries that see it.
FN void add_value(const float *weight, const uint8_t *value, const bool *sees, float *out) {
    struct quad w = quad_at(weight);
    struct pair v = pair_at(value);
    UNROLL
    for (unsigned e = 0; e < OUT; e++) {
        float x = float_of_half(v.w[e / 2] >> 16 * (e % 2));
        UNROLL
        for (unsigned q = 0; q < OUT; q++) {
            float sum = fmaf(float_of_bits(w.w[q]), x, out[q * OUT + e]);
            out[q * OUT + e] = sees[q] ? sum : out[q * OUT + e];
        }
    }
}

FN void add_values(const struct attend_args *a, const struct many_room *room, unsigned piece, const struct outputs *o,
                   float *out) {
    unsigned start = piece * PIECE_OF_SPAN, t = room->all.first > start ? room->all.first - start : 0,
             end = room->all.last - start < PIECE_OF_SPAN ? room->all.last - start : PIECE_OF_SPAN,
             step = a->kv.value_dim * 2;
    const float *weight = room->x + o->query;
    const uint8_t *value = (const uint8_t *)room->value[piece % 2] + o->element * 2;
    bool all = true, sees[OUT] = {true, true, true, true};
    struct seen s[OUT];
    if (!o->there || !are_at_work(room, o->query, OUT)) return;
    UNROLL
    for (unsigned q = 0; q < OUT; q++) {
        s[q] = room->seen[o->query + q];
        all = all && (s[q].first >= s[q].last || (s[q].first <= start + t && s[q].last >= start + end));
    }
    if (all) {
        for (; t < end && t % OWN; t++) add_value(weight + weight_at(t), value + t * step, sees, out);
        for (; t + OWN <= end; t += OWN) {
            UNROLL
            for (unsigned k = 0; k < OWN; k++)
                add_value(weight + weight_at(t) + k * WIDE_ROW, value + (t + k) * step, sees, out);
        }
    }
    for (; t < end; t++) {
        UNROLL
        for (unsigned q = 0; q < OUT; q++) sees[q] = is_seen(s[q], start + t);
        add_value(weight + weight_at(t), value + t * step, sees, out);
    }
}

FN void put_results(const struct attend_args *a, const struct many_room *room, const struct outputs *o,
                    const float *out) {
    unsigned dim = a->kv.value_dim;
    UNROLL
    for (unsigned k = 0; k < OUT; k++) {
        unsigned q = o->query + k;
        if (!o->there || !is_at_work(room, q)) continue;
        unsigned row = room->row[q], head = room->head[q];
        float max = room->max[0][q], other = room->max[1][q],
              sum = room->seen[q].first < room->seen[q].last ? room->sum[q] : 0;
        max = other > max ? other : max;
        float by = a->spans > 1 ? 1 : share_of(a, head, max, sum), *to = a->out + ((size_t)row * a->heads + head) * dim;
        if (a->spans > 1) to = part_of(a, row, head, BLOCK_Y);
        UNROLL
        for (unsigned e = 0; e < OUT; e++) to[o->element + e] = a->spans > 1 ? out[k * OUT + e] : out[k * OUT + e] * by;
        if (o->element || a->spans == 1) continue;
        to[dim + PART_MAX] = max;
        to[dim + PART_SUM] = sum;
    }
}

FN void attend_run(const struct attend_args *a, struct many_room *room) {
    float acc[OWN * OWN], out[OUT * OUT], lane[CHAINS];
    find_pages(a, a->row + room->row[room->from], BLOCK_Z, BLOCK_Y * SPAN, room->all, &room->page);
    barrier();
    ask_values(a, room, room->all.first / PIECE_OF_SPAN);
    multiply_all(a, room, acc);
    weigh_products(a, room, acc);
    struct outputs o = outputs_of(a->kv.value_dim);
    UNROLL
    for (unsigned k = 0; k < OUT * OUT; k++) out[k] = 0;
    UNROLL
    for (unsigned k = 0; k < CHAINS; k++) lane[k] = 0;
    for (unsigned piece = room->all.first / PIECE_OF_SPAN; piece * PIECE_OF_SPAN < room->all.last; piece++) {
        put_weights(room, piece, acc);
        await_copies(0);
        barrier();
        ask_values(a, room, piece + 1);
        sum_piece(room, lane);
        add_values(a, room, piece, &o, out);
        barrier();
    }
    await_copies(0);
    put_sums(room, lane);
    barrier();
    put_results(a, room, &o, out);
}

// BLOCK_X is the block's queries, of those of all rows that share a key head; BLOCK_Y the span, BLOCK_Z the key head.
KERNEL(attend_many, attend_args) {
    SHARED(struct many_room, room);
    open_queries(&a, room);
    barrier();
    for (unsigned from = 0; from < QUERIES && room->row[from] < a.rows; from = room->to) {
        look(&a, room, from);
        if (room->all.first < room->all.last)
            attend_run(&a, room);
        else if (THREAD < QUERIES && is_at_work(room, THREAD) && a.spans > 1)
            part_of(&a, room->row[THREAD], room->head[THREAD], BLOCK_Y)[a.kv.value_dim + PART_SUM] = 0;
    }
}
