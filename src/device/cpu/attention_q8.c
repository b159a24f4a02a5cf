// Attention to keys and values that are codes (TYPE_Q8_0): the scores of integers, the weights of a span as integers of
// two digits, so that all sums but those of the softmax are exact and their order free.
#include "device/cpu/codes.h"
#include "device/cpu/isa.h"
#include "device/cpu/span.h"

// Queries and vectors of sixteen elements of values whose sums, two each, fit the registers; and of one query alone.
#if defined(__AVX512VNNI__)
enum { VALUE_ROWS = 6, VALUE_COLS = 2, ALONE_COLS = 8 };
#elif defined(__AVX2__)
enum { VALUE_ROWS = 2, VALUE_COLS = 1, ALONE_COLS = 2 };
#elif defined(__ARM_FEATURE_DOTPROD)
enum { VALUE_ROWS = 3, VALUE_COLS = 1, ALONE_COLS = 2 };
#else
enum { VALUE_ROWS = 1, VALUE_COLS = 1, ALONE_COLS = 1 };
#endif
enum { ELEMENTS = 16, VECTOR = 64 };
enum { DIGIT = 256, MAX_WEIGHT = 127 * DIGIT + 127 };

void KERNEL(code_queries)(const struct attention *a, const struct queries *q, struct attend *s) {
    for (size_t i = 0; i < q->rows * q->heads; i++) {
        size_t row = q->row + i / q->heads, head = q->head + i % q->heads;
        code_query(a->q + (row * a->heads + head) * a->kv.key_dim, a->kv.key_dim, a->scale, i, &s->query);
    }
}

static void score(const struct job *j) {
    size_t room = kv_room(TYPE_Q8_0, j->a->kv.key_dim);
    for (size_t page = j->first_page; page < j->last_page; page++) {
        const uint8_t *keys = page_at(j, page, false, j->s->page), *next = page_after(j, page, false);
        size_t first = page * PAGE_TOKENS, ahead = (size_t)next - (size_t)keys;
        for (size_t i = 0; i < j->n; i += SCORE_ROWS) {
            size_t rows = least(SCORE_ROWS, j->n - i);
            if (!any_sees(j, i, rows, first, first + PAGE_TOKENS)) continue;
            score_codes(keys, room, i ? 0 : ahead, &j->s->query, i, rows, scores_of(j, i) + first);
        }
    }
}

static ivec ivec_most(ivec a, ivec b) {
#if defined(__AVX512F__)
    return (ivec)_mm512_max_epi32((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
    return (ivec)_mm256_max_epi32((__m256i)a, (__m256i)b);
#elif defined(__ARM_FEATURE_DOTPROD)
    return (ivec)vmaxq_s32((int32x4_t)a, (int32x4_t)b);
#else
    for (int i = 0; i < VEC; i++) b[i] = a[i] > b[i] ? a[i] : b[i];
    return b;
#endif
}

static ivec ivec_fill(int32_t x) { return x - (ivec){0}; }

// All ones where a position is seen.
static ivec mask_of(struct seen s, size_t t) {
    static const int32_t count[LANES] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    ivec lane;
    memcpy(&lane, count, sizeof lane);
    lane += ivec_fill((int32_t)t);
    return (lane >= ivec_fill((int32_t)s.first)) & (lane < ivec_fill((int32_t)s.last));
}

// What becomes of a span's scores: e^(score - max) times the value's scale in their place, the largest of these by its
// bits, NaN above all.
struct weighed {
    struct softmax sum;
    float most;
};

static struct weighed weigh(struct seen s, const float *scale, float *x) {
    size_t first = s.first / LANES * LANES, last = (s.last + LANES - 1) / LANES * LANES;
    for (size_t t = first; t < s.first; t++) x[t] = -INFINITY;
    for (size_t t = s.last; t < last; t++) x[t] = -INFINITY;
    struct weighed w = {{max_of(x, first, last), 0}, 0};
    vec sum[LANES / VEC] = {{0}};
    ivec most = {0};
    struct lanes lanes;
    for (size_t t = first; t < last; t += LANES)
        for (size_t v = 0; v < LANES / VEC; v++) {
            size_t at = t + v * VEC;
            ivec mask = mask_of(s, at);
            vec p = (vec)((ivec)vec_exp(vec_load(x + at) - w.sum.max) & mask);
            vec u = (vec)((ivec)(p * vec_load(scale + at)) & mask);
            sum[v] += p;
            most = ivec_most(most, (ivec)u & 0x7fffffff);
            vec_store(x + at, u);
        }
    int32_t top = 0;
    for (int i = 0; i < VEC; i++) top = most[i] > top ? most[i] : top;
    memcpy(&lanes, sum, sizeof lanes);
    w.sum.sum = fold16(lanes);
    w.most = float_of_bits((uint32_t)top);
    return w;
}

// Weights as multiples of most / MAX_WEIGHT, high digit and low digit. Where that is no ordinary number they are
// zeros, and what they are multiples of says the rest: too small to matter, or NaN.
static void digits(const struct job *j, size_t i, float most) {
    typedef int8_t bytes __attribute__((vector_size(VEC)));
    struct attend *s = j->s;
    int8_t *high = s->digit[0] + i * SPAN, *low = s->digit[1] + i * SPAN;
    size_t begin = j->first_page * PAGE_TOKENS, end = j->last_page * PAGE_TOKENS;
    size_t first = j->seen[i].first / VEC * VEC, last = (j->seen[i].last + VEC - 1) / VEC * VEC;
    bool ordinary = most >= 0x1p-100f && most < INFINITY;
    const float *x = scores_of(j, i);
    memset(high + begin, 0, end - begin);
    memset(low + begin, 0, end - begin);
    s->unit[i] = most < INFINITY ? most / MAX_WEIGHT : NAN;
    s->start[0][i] = s->start[1][i] = 0;
    if (!ordinary) return;
    vec shift = vec_fill(0x1.8p23f), by = vec_fill(MAX_WEIGHT / most);
    ivec sum[2] = {{0}, {0}};
    for (size_t t = first; t < last; t += VEC) {
        ivec n = (ivec)vec_fma(vec_load(x + t), by, shift) - 0x4b400000, h = (n + 128) >> 8, l = n - h * DIGIT;
        bytes hb = __builtin_convertvector(h, bytes), lb = __builtin_convertvector(l, bytes);
        memcpy(high + t, &hb, sizeof hb);
        memcpy(low + t, &lb, sizeof lb);
        sum[0] += h;
        sum[1] += l;
    }
    for (int d = 0; d < 2; d++)
        for (int k = 0; k < VEC; k++) s->start[d][i] -= WIDE_SIGNED_ZERO * sum[d][k];
}

// A span's values for some queries.
struct values {
    const uint8_t *page[SPAN / PAGE_TOKENS + 1]; // and what is read after them
    size_t first, last, room;
};

INLINE void value_rows(const struct values *v, const struct attend *s, size_t i, int rows, size_t col, int cols,
                       bool ahead, float *out, size_t stride) {
    w32 acc[2][VALUE_ROWS][ALONE_COLS];
    UNROLL(6)
    for (int r = 0; r < rows; r++) UNROLL(8)
    for (int c = 0; c < cols; c++) {
        acc[0][r][c] = w32_fill(&s->start[0][i + (size_t)r]);
        acc[1][r][c] = w32_fill(&s->start[1][i + (size_t)r]);
    }
    for (size_t page = v->first; page < v->last; page++) {
        const uint8_t *b = v->page[page] + col * KV_FOUR;
        size_t next = ahead ? (size_t)v->page[page + 1] - (size_t)v->page[page] : 0;
        const int8_t *high = s->digit[0] + i * SPAN + page * PAGE_TOKENS;
        const int8_t *low = s->digit[1] + i * SPAN + page * PAGE_TOKENS;
        for (size_t t = 0; t < PAGE_TOKENS; t += KV_FOUR, b += v->room * KV_FOUR) {
            w8 value[ALONE_COLS];
            UNROLL(8)
            for (int c = 0; c < cols; c++) {
                if (next) __builtin_prefetch(b + next + c * VECTOR, 0, 2);
                value[c] = w8_codes(w8_load(b + c * VECTOR));
            }
            UNROLL(6)
            for (int r = 0; r < rows; r++) {
                w32 h = w32_fill(high + r * SPAN + t), l = w32_fill(low + r * SPAN + t);
                UNROLL(8)
                for (int c = 0; c < cols; c++) {
                    acc[0][r][c] = w32_dot_low(acc[0][r][c], value[c], h);
                    acc[1][r][c] = w32_dot_low(acc[1][r][c], value[c], l);
                }
            }
        }
    }
    UNROLL(6)
    for (int r = 0; r < rows; r++) UNROLL(8)
    for (int c = 0; c < cols; c++) {
        wf sum = wf_fma(wf_of(acc[0][r][c]), wf_fill(DIGIT), wf_of(acc[1][r][c]));
        wf_store(out + (size_t)r * stride + col + (size_t)c * ELEMENTS, wf_mul(sum, wf_fill(s->unit[i + (size_t)r])));
    }
}

// `rows` queries from i on; their parts at out.
static void value_block(const struct values *v, const struct attend *s, size_t i, size_t rows, bool ahead, size_t cols,
                        float *out, size_t stride) {
    size_t col = 0;
    for (; rows == 1 && col + (size_t)ALONE_COLS * ELEMENTS <= cols; col += (size_t)ALONE_COLS * ELEMENTS)
        value_rows(v, s, i, 1, col, ALONE_COLS, ahead, out, stride);
#define VALUE_CASE(n)                                                                                                  \
    case n: value_rows(v, s, i, n <= VALUE_ROWS ? n : 1, col, VALUE_COLS, ahead, out, stride); break;
    for (; col < cols; col += (size_t)VALUE_COLS * ELEMENTS) switch (rows) {
            VALUE_CASE(1)
            VALUE_CASE(2)
            VALUE_CASE(3)
            VALUE_CASE(4)
            VALUE_CASE(5)
            VALUE_CASE(6)
        }
#undef VALUE_CASE
}

// Where the span's values lie, and their scales together.
static struct values open_values(const struct job *j) {
    struct values v = {.room = kv_room(TYPE_Q8_0, j->a->kv.value_dim)};
    size_t bytes = kv_head_bytes(TYPE_Q8_0, j->a->kv.value_dim);
    for (size_t p = j->first_page; p < j->last_page; p++) {
        v.page[p] = page_at(j, p, true, j->s->pages + p * bytes);
        memcpy(j->s->scale + p * PAGE_TOKENS, v.page[p] + PAGE_TOKENS * v.room, PAGE_TOKENS * sizeof *j->s->scale);
    }
    v.page[j->last_page] = j->chosen ? v.page[j->last_page - 1] : page_after(j, j->last_page - 1, true);
    return v;
}

static void add_values(const struct job *j, struct values *v, float *parts) {
    size_t stride = part_floats(j->a);
    for (size_t i = 0; i < j->n; i += VALUE_ROWS) {
        size_t rows = least(VALUE_ROWS, j->n - i), first = SPAN, last = 0;
        for (size_t k = i; k < i + rows; k++) {
            if (j->seen[k].first == j->seen[k].last) continue;
            first = least(first, j->seen[k].first);
            last = most(last, j->seen[k].last);
        }
        v->first = first / PAGE_TOKENS;
        v->last = (last + PAGE_TOKENS - 1) / PAGE_TOKENS;
        if (first < last)
            value_block(v, j->s, i, rows, i == 0 && !j->chosen, part_cols(j->a), parts + i * stride, stride);
    }
}

static void put_softmax(const struct attention *a, float *parts, size_t i, struct softmax sum) {
    memcpy(parts + i * part_floats(a) + part_cols(a), &sum, sizeof sum);
}

void KERNEL(attend_q8)(const struct attention *a, const struct queries *q, size_t span, struct attend *s,
                       float *parts) {
    struct job j = {.a = a, .q = q, .s = s, .start = span * SPAN, .chosen = chosen_of(a, q->row)};
    plan(&j);
    if (j.first_page >= j.last_page) {
        for (size_t i = 0; i < j.n; i++) put_softmax(a, parts, i, (struct softmax){-INFINITY, 0});
        return;
    }
    score(&j);
    struct values v = open_values(&j);
    for (size_t i = 0; i < j.n; i++) {
        struct weighed w = {{-INFINITY, 0}, 0};
        if (j.seen[i].first < j.seen[i].last) {
            float *x = scores_of(&j, i);
            add_biases(&j, i, a->scale, x);
            cap_scores(&j, i, x);
            w = weigh(j.seen[i], s->scale, x);
        }
        digits(&j, i, w.most);
        put_softmax(a, parts, i, w.sum);
    }
    add_values(&j, &v, parts);
}
