// The indexer (docs/arithmetic.md, "Attention to chosen positions"): scores of positions, and the highest of them.
#include "cache.h"

enum { MOST_KEY = 256 };

struct score_room {
    float q[MOST_KEY];
    uint32_t code[MOST_KEY / FOUR];
    uint32_t most[THREADS / 32];
};

// A head's query, in an 8-bit cache as codes: returns what a product of codes is worth but for the key's scale.
FN float open_head(const struct choose_args *a, unsigned head, struct score_room *room) {
    unsigned dim = a->kv.key_dim;
    const float *q = a->q + ((size_t)BLOCK_X * a->heads + head) * dim;
    barrier(); // the head before is done with
    for (unsigned i = THREAD; i < dim; i += THREADS) room->q[i] = q[i];
    barrier();
    if (a->kv.type != CACHE_Q8) return a->scale;
    spread_row(room->q, dim);
    float scale = scale_of_row(room->q, dim, room->most);
    for (unsigned k = THREAD; k < cache_room(CACHE_Q8, dim) / FOUR; k += THREADS) {
        uint32_t word = 0;
        for (unsigned i = 0; i < FOUR && FOUR * k + i < dim; i++)
            word |= ((uint32_t)cache_code(room->q[FOUR * k + i], scale) & 255) << 8 * i;
        room->code[k] = word;
    }
    barrier();
    return scale * a->scale;
}

FN float product_of(const struct choose_args *a, const struct score_room *room, uint8_t *page, unsigned token,
                    float by) {
    unsigned dim = a->kv.key_dim;
    if (a->kv.type == CACHE_Q8) {
        int sum = 0;
        for (unsigned k = 0; k < cache_room(CACHE_Q8, dim) / FOUR; k++)
            sum = dot4(room->code[k], word_at(page + ((size_t)k * PAGE + token) * FOUR), sum);
        return (float)sum * *cache_scale(page, dim, token) * by;
    }
    float dot = 0;
    for (unsigned i = 0; i < dim; i++)
        dot = fmaf(room->q[i], cache_float(a->kv.type, page, (size_t)i * PAGE + token), dot);
    return dot * by;
}

// BLOCK_X is the row, a thread has a position. Rows that see no more than `most` choose nothing.
KERNEL(score_positions, choose_args) {
    SHARED(struct score_room, room);
    const drow *row = a.row + BLOCK_X;
    unsigned seen = row->position + 1, t = BLOCK_Y * THREADS + THREAD;
    if (seen <= a.most || BLOCK_Y * THREADS >= seen) return;
    float score = 0;
    for (unsigned h = 0; h < a.heads; h++) {
        float by = open_head(&a, h, room);
        if (t >= seen) continue;
        uint8_t *page = cache_page(&a.kv, a.k, a.kv.key_dim, a.pages[row->pages + t / PAGE], 0);
        float x = product_of(&a, room, page, t % PAGE, by);
        score = fmaf(a.weight[(size_t)BLOCK_X * a.heads + h], x < 0 ? 0 : x, score);
    }
    if (t < seen) a.score[(size_t)BLOCK_X * a.room + t] = score;
}

// A whole number in the order of scores: both zeros the same, NaN above all.
FN uint32_t rank_of(float x) {
    if (x != x) return 0xffffffffu;
    uint32_t bits = bits_of_float(x + 0.0f);
    return bits >> 31 ? ~bits : bits | 1u << 31;
}

struct rank_room {
    uint32_t sum[THREADS / 32];
    uint32_t above[THREADS], equal[THREADS]; // of each thread's positions
};

FN uint32_t sum_of_block(uint32_t x, uint32_t *room) {
    for (unsigned mask = 1; mask < 32; mask *= 2) x += swap_word(x, mask);
    if (THREAD % 32 == 0) room[THREAD / 32] = x;
    barrier();
    x = 0;
    for (unsigned i = 0; i < THREADS / 32; i++) x += room[i];
    barrier();
    return x;
}

// How many of a thread's positions [first, end) have at least this rank.
FN uint32_t count_from(const float *score, unsigned first, unsigned end, uint32_t rank) {
    uint32_t n = 0;
    for (unsigned t = first; t < end; t++) n += rank_of(score[t]) >= rank;
    return n;
}

// BLOCK_X is the row. The rank of the last one chosen is found bit by bit; then each thread writes those of its own
// positions that are above it, and of its equals the earliest.
KERNEL(choose_positions, choose_args) {
    SHARED(struct rank_room, room);
    unsigned seen = a.row[BLOCK_X].position + 1, share = (seen + THREADS - 1) / THREADS;
    if (seen <= a.most) return;
    unsigned first = THREAD * share < seen ? THREAD * share : seen, end = first + share < seen ? first + share : seen;
    const float *score = a.score + (size_t)BLOCK_X * a.room;
    uint32_t lowest = 0;
    for (int bit = 31; bit >= 0; bit--) {
        uint32_t rank = lowest | 1u << bit;
        if (sum_of_block(count_from(score, first, end, rank), room->sum) >= a.most) lowest = rank;
    }
    uint32_t least = count_from(score, first, end, lowest);
    room->above[THREAD] = lowest == 0xffffffffu ? 0 : count_from(score, first, end, lowest + 1);
    room->equal[THREAD] = least - room->above[THREAD];
    barrier();
    uint32_t above = 0, equals = a.most, taken = 0, before = 0; // equals: that may be chosen
    for (unsigned i = 0; i < THREADS; i++) {
        equals -= room->above[i];
        if (i >= THREAD) continue;
        above += room->above[i];
        before += room->equal[i];
    }
    taken = before < equals ? before : equals;
    int32_t *out = a.chosen + (size_t)BLOCK_X * a.most + above + taken;
    for (unsigned t = first; t < end; t++) {
        uint32_t rank = rank_of(score[t]);
        if (rank < lowest || (rank == lowest && taken >= equals)) continue;
        taken += rank == lowest;
        *out++ = (int32_t)t;
    }
}
