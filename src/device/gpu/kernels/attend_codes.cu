// Attention to an 8-bit cache: a block has one query head of a row, or four that share a key head, and one span. Sums
// are of integers, so that any thread may add what it likes: positions are shared out for the scores, and then elements
// and positions for the values.
#include "attend_heads.h"

enum {
    WORDS_AHEAD = 8, // words of keys or values that are on their way at a time
    MOST_WORDS = FEW_DIM / FOUR
};

struct codes_room {
    struct span_pages page;
    uint32_t q_code[MOST_WORDS * FEW_HEADS];     // [word][head]
    uint32_t digit[SPAN / FOUR * FEW_HEADS * 2]; // [word][head][high, low]
    int32_t part[2 * FEW_HEADS * THREADS];       // sums of threads that share an element
    struct weighed w;
    float q[FEW_HEADS * FEW_DIM];
    float scale[FEW_HEADS];
    uint32_t most[FEW_HEADS * (THREADS / 32)];
};

// Stages of all heads at once: as spread_power().
FN void spread_heads(float *x, unsigned heads, unsigned dim, unsigned size) {
    for (unsigned distance = 1; distance < size; distance *= 2) {
        for (unsigned n = THREAD; n < heads * size / 2; n += THREADS) {
            unsigned h = n / (size / 2), i = n % (size / 2), k = h * dim + i / distance * 2 * distance + i % distance;
            float first = x[k], second = x[k + distance];
            x[k] = first + second;
            x[k + distance] = first - second;
        }
        barrier();
    }
    float scale = 1 / sqrtf((float)size);
    for (unsigned n = THREAD; n < heads * size; n += THREADS) x[n / size * dim + n % size] *= scale;
    barrier();
}

// The queries spread and rounded; scale[h] is what their codes are worth.
FN void open_queries(const struct few *f, unsigned heads, struct codes_room *room) {
    unsigned dim = f->a->kv.key_dim, words = (dim + FOUR - 1) / FOUR, size = 1, h = THREAD / 32;
    const float *q = f->a->q + ((size_t)f->row * f->a->heads + f->head) * dim;
    for (unsigned n = THREAD; n < heads * dim; n += THREADS) room->q[n] = n < f->heads * dim ? q[n] : 0;
    barrier();
    while (size * 2 <= dim) size *= 2;
    spread_heads(room->q, heads, dim, size);
    if (size < dim) spread_heads(room->q + dim - size, heads, dim, size);
    uint32_t most = 0;
    for (unsigned i = THREAD % 32; i < dim && h < heads; i += 32) {
        uint32_t bits = bits_of_float(room->q[h * dim + i]) & 0x7fffffffu;
        most = bits > most ? bits : most;
    }
    for (unsigned mask = 1; mask < 32; mask *= 2) {
        uint32_t other = swap_word(most, mask);
        most = other > most ? other : most;
    }
    if (THREAD % 32 == 0 && h < heads) room->scale[h] = most < 0x7f800000u ? float_of_bits(most) / 127.0f : NAN;
    barrier();
    for (unsigned n = THREAD; n < heads * words; n += THREADS) {
        unsigned k = n / heads, of = n % heads;
        uint32_t word = 0;
        for (unsigned i = 0; i < FOUR && FOUR * k + i < dim; i++)
            word |= ((uint32_t)cache_code(room->q[of * dim + FOUR * k + i], room->scale[of]) & 255) << 8 * i;
        room->q_code[n] = word;
    }
    barrier();
}

// Sums of products of a thread's two positions, which `key` points to.
FN void add_keys(const uint8_t *key, unsigned words, const uint32_t *q, unsigned heads, int *sum) {
    unsigned k = 0;
    for (; k + WORDS_AHEAD <= words; k += WORDS_AHEAD) {
        struct pair w[WORDS_AHEAD];
        UNROLL
        for (unsigned i = 0; i < WORDS_AHEAD; i++) w[i] = pair_at(key + (size_t)(k + i) * PAGE * FOUR);
        UNROLL
        for (unsigned i = 0; i < WORDS_AHEAD; i++) {
            UNROLL
            for (unsigned h = 0; h < heads; h++) {
                uint32_t code = q[(k + i) * heads + h];
                sum[h] = dot4(code, w[i].w[0], sum[h]);
                sum[FEW_HEADS + h] = dot4(code, w[i].w[1], sum[FEW_HEADS + h]);
            }
        }
    }
    for (; k < words; k++) {
        struct pair w = pair_at(key + (size_t)k * PAGE * FOUR);
        UNROLL
        for (unsigned h = 0; h < heads; h++) {
            sum[h] = dot4(q[k * heads + h], w.w[0], sum[h]);
            sum[FEW_HEADS + h] = dot4(q[k * heads + h], w.w[1], sum[FEW_HEADS + h]);
        }
    }
}

FN void scores_of(const struct few *f, unsigned heads, struct codes_room *room, float *score) {
    const struct attend_args *a = f->a;
    unsigned t = 2 * THREAD, dim = a->kv.key_dim;
    uint8_t *key = room->page.key[t / PAGE];
    int sum[2 * FEW_HEADS] = {0, 0, 0, 0, 0, 0, 0, 0};
    if (key) add_keys(key + t % PAGE * FOUR, (dim + FOUR - 1) / FOUR, room->q_code, heads, sum);
    UNROLL
    for (unsigned i = 0; i < 2; i++) {
        bool seen = t + i >= f->seen.first && t + i < f->seen.last;
        float scale = seen ? *cache_scale(key, dim, (t + i) % PAGE) : 0;
        UNROLL
        for (unsigned h = 0; h < heads; h++) {
            float s = (float)sum[i * FEW_HEADS + h] * scale * (room->scale[h] * a->scale);
            if (a->slopes && h < f->heads) s = fmaf(alibi(a, f->head + h, f->start + t + i), a->scale, s);
            score[i * FEW_HEADS + h] = seen && h < f->heads ? capped(a, s) : -INFINITY;
        }
    }
}

// Weights times the values' scales as integers of two digits, of which the largest is MOST_WEIGHT: unit[h] becomes what
// one of them is worth, NaN where there is a NaN or an infinity.
#define MOST_WEIGHT 32639.0f
FN void make_digits(const struct few *f, unsigned heads, struct codes_room *room, float *unit) {
    unsigned t = 2 * THREAD;
    uint8_t *value = room->page.value[t / PAGE];
    float u[2 * FEW_HEADS];
    UNROLL
    for (unsigned i = 0; i < 2; i++) {
        bool seen = t + i >= f->seen.first && t + i < f->seen.last;
        float scale = seen ? *cache_scale(value, f->a->kv.value_dim, (t + i) % PAGE) : 0;
        UNROLL
        for (unsigned h = 0; h < heads; h++)
            u[i * FEW_HEADS + h] = seen ? room->w.weight[(t + i) * heads + h] * scale : 0;
    }
    UNROLL
    for (unsigned h = 0; h < heads; h++) {
        uint32_t most = bits_of_float(u[h]) & 0x7fffffffu, second = bits_of_float(u[FEW_HEADS + h]) & 0x7fffffffu;
        most = second > most ? second : most;
        for (unsigned mask = 1; mask < 32; mask *= 2) {
            uint32_t other = swap_word(most, mask);
            most = other > most ? other : most;
        }
        if (THREAD % 32 == 0) room->most[h * (THREADS / 32) + THREAD / 32] = most;
    }
    barrier();
    UNROLL
    for (unsigned h = 0; h < heads; h++) {
        uint32_t most = 0;
        UNROLL
        for (unsigned i = 0; i < THREADS / 32; i++) {
            uint32_t other = room->most[h * (THREADS / 32) + i];
            most = other > most ? other : most;
        }
        float largest = float_of_bits(most), by = MOST_WEIGHT / largest;
        bool ordinary = largest >= 0x1p-100f && largest < INFINITY;
        uint8_t *high = (uint8_t *)(room->digit + (t / FOUR * heads + h) * 2) + t % FOUR, *low = high + FOUR;
        UNROLL
        for (unsigned i = 0; i < 2; i++) {
            int n = ordinary ? integer_of_shifted(fmaf(u[i * FEW_HEADS + h], by, SHIFT)) : 0, top = (n + 128) >> 8;
            high[i] = (uint8_t)top;
            low[i] = (uint8_t)(n - 256 * top);
        }
        unit[h] = largest < INFINITY ? largest / MOST_WEIGHT : NAN;
    }
}

// Adds digits times codes of positions 4 * g .. + 3 of the span, for every `step`-th g from `g` on, of one element.
FN void add_values(const struct few *f, const struct codes_room *room, unsigned heads, unsigned element, unsigned g,
                   unsigned step, int *sum) {
    unsigned words = cache_room(CACHE_Q8, f->a->kv.value_dim), last = (f->seen.last + FOUR - 1) / FOUR;
    for (; g < last; g += WORDS_AHEAD * step) {
        uint32_t w[WORDS_AHEAD];
        UNROLL
        for (unsigned i = 0; i < WORDS_AHEAD; i++) {
            unsigned at = g + i * step;
            const uint8_t *value = at < last ? room->page.value[at * FOUR / PAGE] : (const uint8_t *)0;
            w[i] = value ? word_at(value + ((size_t)(at % (PAGE / FOUR)) * words + element) * FOUR) : 0;
        }
        UNROLL
        for (unsigned i = 0; i < WORDS_AHEAD; i++) {
            unsigned at = g + i * step;
            if (at >= last) continue;
            UNROLL
            for (unsigned h = 0; h < heads; h++) {
                const uint32_t *digit = room->digit + (at * heads + h) * 2;
                sum[2 * h] = dot4(w[i], digit[0], sum[2 * h]);
                sum[2 * h + 1] = dot4(w[i], digit[1], sum[2 * h + 1]);
            }
        }
    }
}

FN void put_values(const struct few *f, struct codes_room *room, unsigned heads, const float *unit, const float *max) {
    unsigned dim = f->a->kv.value_dim, parts = THREADS / dim, part = THREAD / dim;
    int sum[2 * FEW_HEADS] = {0, 0, 0, 0, 0, 0, 0, 0};
    if (part < parts) add_values(f, room, heads, THREAD % dim, f->seen.first / FOUR + part, parts, sum);
    UNROLL
    for (unsigned k = 0; k < 2 * heads; k++) room->part[k * THREADS + THREAD] = sum[k];
    barrier();
    UNROLL
    for (unsigned h = 0; h < heads; h++) {
        int high = 0, low = 0;
        if (h >= f->heads || THREAD >= dim) continue;
        for (unsigned p = 0; p < parts; p++) {
            high += room->part[2 * h * THREADS + p * dim + THREAD];
            low += room->part[(2 * h + 1) * THREADS + p * dim + THREAD];
        }
        put_output(f, h, THREAD, max[h], room->w.sum[h], fmaf((float)high, 256, (float)low) * unit[h], room->q);
    }
}

FN void attend_to_codes(const struct attend_args *a, unsigned heads, struct codes_room *room) {
    struct few f = few_of(a, heads); // rows and tables of pages are older than the kernel before this one
    float score[2 * FEW_HEADS], max[FEW_HEADS], unit[FEW_HEADS];
    if (f.seen.first >= f.seen.last) {
        after_earlier();
        put_nothing(&f);
        return;
    }
    find_pages(a, a->row + f.row, f.kv_head, f.start, f.seen, &room->page);
    unsigned place = place_of_outputs(&f);
    after_earlier();
    open_queries(&f, heads, room);
    scores_of(&f, heads, room, score);
    weigh_scores(&f, heads, &room->w, score, max);
    make_digits(&f, heads, room, unit);
    barrier();
    sum_weights(heads, &room->w);
    put_values(&f, room, heads, unit, max);
    round_outputs(&f, place, room->q);
}

// BLOCK_X is the span, BLOCK_Y the key head and some of its query heads, BLOCK_Z the row.
EARLY_KERNEL(attend_codes_1, attend_args) {
    SHARED(struct codes_room, room);
    attend_to_codes(&a, 1, room);
}

EARLY_KERNEL(attend_codes_4, attend_args) {
    SHARED(struct codes_room, room);
    attend_to_codes(&a, 4, room);
}
