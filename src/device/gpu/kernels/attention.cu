// Attention (docs/arithmetic.md, "Attention"): `attend` gives what one query head makes of one span of positions,
// `join` puts the spans together. What other programs do faster for some shapes, this one does for all.
#include "attend.h"

struct attend_room {
    float q[MOST_DIM];
    uint32_t q_code[MOST_DIM / FOUR]; // of an 8-bit cache
    float weight[SPAN];               // the scores, then what they become
    uint32_t digit[2][SPAN / FOUR];   // of an 8-bit cache: the weights as integers of two digits
    uint32_t most[THREADS / 32];
    float max[THREADS / 32];
    float sum;
};

// The block's query head, its row, and what it sees of the span.
struct job {
    const struct attend_args *a;
    unsigned row, head, start, first, last; // first and last count from the span's start
    const uint32_t *pages;
    const int32_t *chosen; // positions of the span are places in this list
};

FN struct job job_of(const struct attend_args *a) {
    struct job j = {a, BLOCK_Z, BLOCK_Y, BLOCK_X * SPAN, 0, 0, (const uint32_t *)0, (const int32_t *)0};
    const drow *row = a->row + j.row;
    bool chosen = a->chosen && row->position >= a->most;
    struct seen s = chosen ? seen_from(0, a->most, j.start) : seen_by(a, row, j.start);
    j.pages = a->pages + row->pages;
    if (chosen) j.chosen = a->chosen + (size_t)j.row * a->most;
    j.first = s.first;
    j.last = s.last;
    return j;
}

// The page of position t of the span, and the token there.
FN uint8_t *page_of(const struct job *j, bool value, unsigned t, unsigned *token) {
    const struct attend_args *a = j->a;
    unsigned position = j->chosen ? (unsigned)j->chosen[j->start + t] : j->start + t;
    unsigned kv_head = j->head / (a->heads / a->kv.heads);
    *token = position % PAGE;
    return cache_page(&a->kv, value ? a->v : a->k, value ? a->kv.value_dim : a->kv.key_dim, j->pages[position / PAGE],
                      kv_head);
}

// Where positions that lie behind each other in a page end, from t on, which is its token.
FN unsigned end_of_page(const struct job *j, unsigned t, unsigned token) {
    unsigned end = j->chosen ? t + 1 : t + PAGE - token;
    return end < j->last ? end : j->last;
}

// The query of floats in the block's memory; of an 8-bit cache spread and rounded: returns what its codes are worth.
FN float open_query(const struct job *j, struct attend_room *room) {
    const struct attend_args *a = j->a;
    unsigned dim = a->kv.key_dim, words = cache_room(CACHE_Q8, dim) / FOUR;
    const float *q = a->q + ((size_t)j->row * a->heads + j->head) * dim;
    for (unsigned i = THREAD; i < dim; i += THREADS) room->q[i] = q[i];
    barrier();
    if (a->kv.type != CACHE_Q8) return 0;
    spread_row(room->q, dim);
    float scale = scale_of_row(room->q, dim, room->most);
    for (unsigned k = THREAD; k < words; k += THREADS) {
        uint32_t word = 0;
        for (unsigned i = 0; i < FOUR && FOUR * k + i < dim; i++)
            word |= ((uint32_t)cache_code(room->q[FOUR * k + i], scale) & 255) << 8 * i;
        room->q_code[k] = word;
    }
    barrier();
    return scale * a->scale;
}

FN float score_of(const struct job *j, const struct attend_room *room, float by, unsigned t) {
    const struct attend_args *a = j->a;
    unsigned token, dim = a->kv.key_dim;
    uint8_t *page = page_of(j, false, t, &token);
    float score = 0;
    if (a->kv.type == CACHE_Q8) {
        int sum = 0;
        for (unsigned k = 0; k < cache_room(CACHE_Q8, dim) / FOUR; k++)
            sum = dot4(room->q_code[k], word_at(page + ((size_t)k * PAGE + token) * FOUR), sum);
        score = (float)sum * *cache_scale(page, dim, token) * by;
        if (a->slopes) score = fmaf(alibi(a, j->head, j->start + t), a->scale, score);
        return capped(a, score);
    }
    for (unsigned i = 0; i < dim; i++)
        score = fmaf(room->q[i], cache_float(a->kv.type, page, (size_t)i * PAGE + token), score);
    return score_of_floats(a, j->head, j->start + t, score);
}

// e^(score - max) in place of the scores, zeros where nothing is seen; their sum in sixteen lanes.
FN float weigh(const struct job *j, float max, struct attend_room *room) {
    for (unsigned t = THREAD; t < SPAN; t += THREADS)
        room->weight[t] = t >= j->first && t < j->last ? exp_f(room->weight[t] - max) : 0;
    barrier();
    float lane = 0;
    for (unsigned t = THREAD; THREAD < LANES && t < SPAN; t += LANES) lane += room->weight[t];
    lane = fold_lanes(lane);
    if (THREAD == 0) room->sum = lane;
    barrier();
    return room->sum;
}

// acc = fma(weight[t], value[t], acc) over the positions seen, for each element.
FN void add_values(const struct job *j, const struct attend_room *room, float *part) {
    const struct attend_args *a = j->a;
    for (unsigned i = THREAD; i < a->kv.value_dim; i += THREADS) {
        float acc = 0;
        for (unsigned t = j->first; t < j->last;) {
            unsigned token, end;
            uint8_t *page = page_of(j, true, t, &token);
            for (end = end_of_page(j, t, token); t < end; t++, token++) {
                float value = cache_float(a->kv.type, page, (size_t)token * a->kv.value_dim + i);
                acc = fmaf(room->weight[t], value, acc);
            }
        }
        part[i] = acc;
    }
}

// Weights times the values' scales as integers of two digits, of which the largest is MOST_WEIGHT: returns what one of
// them is worth, NaN where there is a NaN or an infinity.
#define MOST_WEIGHT 32639.0f
FN float make_digits(const struct job *j, struct attend_room *room) {
    uint32_t most = 0;
    for (unsigned t = THREAD; t < SPAN; t += THREADS) {
        unsigned token;
        float u = 0;
        if (t >= j->first && t < j->last) {
            uint8_t *page = page_of(j, true, t, &token);
            u = room->weight[t] * *cache_scale(page, j->a->kv.value_dim, token);
        }
        room->weight[t] = u;
        uint32_t size = bits_of_float(u) & 0x7fffffffu;
        most = size > most ? size : most;
    }
    float largest = float_of_bits(most_of_block(most, room->most));
    bool ordinary = largest >= 0x1p-100f && largest < INFINITY;
    float by = MOST_WEIGHT / largest;
    uint8_t *high = (uint8_t *)room->digit[0], *low = (uint8_t *)room->digit[1];
    for (unsigned t = THREAD; t < SPAN; t += THREADS) {
        int n = ordinary ? integer_of_shifted(fmaf(room->weight[t], by, SHIFT)) : 0, h = (n + 128) >> 8;
        high[t] = (uint8_t)h;
        low[t] = (uint8_t)(n - 256 * h);
    }
    barrier();
    return largest < INFINITY ? largest / MOST_WEIGHT : NAN;
}

// Exact sums of digits times codes, four positions at a time where they lie side by side.
FN void add_codes(const struct job *j, const struct attend_room *room, float unit, float *part) {
    const struct attend_args *a = j->a;
    unsigned words = cache_room(CACHE_Q8, a->kv.value_dim);
    const int8_t *high = (const int8_t *)room->digit[0], *low = (const int8_t *)room->digit[1];
    for (unsigned i = THREAD; i < a->kv.value_dim; i += THREADS) {
        int sum[2] = {0, 0};
        unsigned token;
        for (unsigned t = j->first / FOUR * FOUR; t < j->last && !j->chosen;) {
            const uint8_t *page = page_of(j, true, t, &token);
            for (unsigned end = end_of_page(j, t, token); t < end; t += FOUR, token += FOUR) {
                uint32_t codes = word_at(page + ((size_t)(token / FOUR) * words + i) * FOUR);
                sum[0] = dot4(codes, room->digit[0][t / FOUR], sum[0]);
                sum[1] = dot4(codes, room->digit[1][t / FOUR], sum[1]);
            }
        }
        for (unsigned t = j->first; t < j->last && j->chosen; t++) {
            const int8_t *page = (const int8_t *)page_of(j, true, t, &token);
            int code = page[cache_index(CACHE_Q8, false, a->kv.value_dim, token, i)];
            sum[0] += high[t] * code;
            sum[1] += low[t] * code;
        }
        part[i] = fmaf((float)sum[0], 256, (float)sum[1]) * unit;
    }
}

// BLOCK_X is the span, BLOCK_Y the query head, BLOCK_Z the row.
KERNEL(attend, attend_args) {
    SHARED(struct attend_room, room);
    struct job j = job_of(&a);
    float *part = part_of(&a, j.row, j.head, BLOCK_X);
    float *end = part + a.kv.value_dim;
    if (j.first >= j.last) {
        if (THREAD == 0) end[PART_SUM] = 0;
        return;
    }
    float by = open_query(&j, room), max = -INFINITY;
    for (unsigned t = THREAD; t < SPAN; t += THREADS) {
        bool seen = t >= j.first && t < j.last;
        float score = seen ? score_of(&j, room, by, t) : -INFINITY;
        room->weight[t] = score;
        max = score > max ? score : max;
    }
    max = max_of_block(max, room->max);
    float sum = weigh(&j, max, room);
    if (a.kv.type == CACHE_Q8)
        add_codes(&j, room, make_digits(&j, room), part);
    else
        add_values(&j, room, part);
    if (THREAD) return;
    end[PART_MAX] = max;
    end[PART_SUM] = sum;
}

// BLOCK_X is the query head, BLOCK_Y the row; a thread takes elements. (Milakov and Gimelshein, 2018)
KERNEL(join, attend_args) {
    unsigned row = BLOCK_Y, head = BLOCK_X, dim = a.kv.value_dim;
    size_t step = dim + PART_MORE;
    const float *parts = a.part + ((size_t)row * a.heads + head) * a.spans * step;
    for (unsigned i = THREAD; i < dim; i += THREADS) {
        float max = 0, sum = 0, out = 0;
        for (unsigned s = 0; s < a.spans; s++) {
            const float *part = parts + s * step;
            float now_max = part[dim + PART_MAX], now_sum = part[dim + PART_SUM];
            if (now_sum == 0) continue; // the span is not seen
            if (sum == 0) {
                max = now_max;
                sum = now_sum;
                out = part[i];
                continue;
            }
            float both = now_max > max ? now_max : max, keep = exp_f(max - both), scale = exp_f(now_max - both);
            max = both;
            sum = fmaf(now_sum, scale, sum * keep);
            out = fmaf(part[i], scale, out * keep);
        }
        a.out[((size_t)row * a.heads + head) * dim + i] = out * share_of(&a, head, max, sum);
    }
    if (!a.round.codes) return;
    barrier();
    round_share(&a.round, row, head * dim, (head + 1) * dim, a.out + (size_t)row * a.heads * dim);
}
