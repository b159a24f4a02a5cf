// Products with quantized weights. Weight rows are unpacked into the activations' order, a few steps at a time, and
// used for all rows of the call while they are in the nearest cache.
#include "device/cpu/isa.h"
#include "device/cpu/simd.h"
#include "tensor/unpack.h"

enum { CHUNK = 8, OUTPUTS = 4, BATCH = 64, AT_ONCE = 4 };

// A step of a weight row: see struct qact. The groups' scales are as in struct scales.
struct tile {
    float d[SEGMENTS], dm[SEGMENTS];
    uint16_t word[SEGMENTS];
    i32x8 q[GROUP / 4];
};

// What all rows of a weight have in common: where their segments lie, in groups; the steps and bytes of a row.
struct slice {
    size_t start[SEGMENTS + 1], steps, row_bytes;
};

// A segment that ends a step before the others.
static void blank(struct tile *t, size_t s) {
    t->d[s] = t->dm[s] = 0;
    t->word[s] = 0;
    t->q[s] = (i32x8){0};
}

// Both halves' scales and minima of eight groups.
struct parts {
    i32x8 sc[2], mn[2];
};

static inline void take_apart(enum word kind, const struct tile *t, struct parts *p) {
    uint16_t v __attribute__((vector_size(16)));
    memcpy(&v, t->word, sizeof v);
    i32x8 w = __builtin_convertvector(v, i32x8);
    if (kind == WORD_BYTES) {
        p->sc[0] = w << 24 >> 24;
        p->sc[1] = w << 16 >> 24;
    } else if (kind == WORD_NIBBLES) {
        p->sc[0] = w & 15;
        p->mn[0] = w >> 4 & 15;
        p->sc[1] = w >> 8 & 15;
        p->mn[1] = w >> 12;
    } else {
        p->sc[0] = w & 255;
        p->mn[0] = w >> 8;
    }
}

static inline i32x8 scaled(enum word kind, const i32x8 scale[2], i32x8 first, i32x8 second) {
    if (kind == WORD_NONE) return first + second;
    if (kind == WORD_PAIR) return (first + second) * scale[0];
    return first * scale[0] + second * scale[1];
}

// One step of `n` rows' sums: acc[i] += tile . x[i * stride].
static inline void step(const struct tile *t, const struct qact *x, size_t stride, size_t n, enum word kind,
                        bool offset, f32x8 *acc) {
    struct parts p;
    take_apart(kind, t, &p);
    for (size_t i = 0; i < n; i++) {
        const struct qact *a = x + i * stride;
        i32x8 sum0 = words(a->sum[0]), sum1 = words(a->sum[1]);
        i32x8 i0 = dot4_start(sum0), i1 = dot4_start(sum1);
        for (int k = 0; k < 4; k++) {
            i0 = dot4(i0, (i8x32)t->q[k], (i8x32)words(a->q[k]));
            i1 = dot4(i1, (i8x32)t->q[k + 4], (i8x32)words(a->q[k + 4]));
        }
        f32x8 d = load8(a->d), dot = __builtin_convertvector(scaled(kind, p.sc, i0, i1), f32x8);
        acc[i] = fma8(load8(t->d) * d, dot, acc[i]);
        if (!offset) continue;
        f32x8 low = __builtin_convertvector(scaled(kind, p.mn, sum0, sum1), f32x8);
        acc[i] = fma8(-(load8(t->dm) * d), low, acc[i]);
    }
}

static inline void steps(const struct tile *t, size_t count, const struct qact *x, size_t stride, size_t n,
                         enum word kind, bool offset, f32x8 *acc) {
    f32x8 a[AT_ONCE];
    for (size_t i = 0; i < n; i++) a[i] = acc[i];
    for (size_t j = 0; j < count; j++) step(t + j, x + j, stride, n, kind, offset, a);
    for (size_t i = 0; i < n; i++) acc[i] = a[i];
}

// `n` outputs' tiles, CHUNK apart, with all rows; acc is [outputs][BATCH].
static inline void chunk(const struct tile *t, size_t n, size_t count, const struct qact *x, size_t stride, size_t rows,
                         enum word kind, bool offset, f32x8 *acc) {
    size_t r = 0;
    for (; r + AT_ONCE <= rows; r += AT_ONCE)
        for (size_t o = 0; o < n; o++)
            steps(t + o * CHUNK, count, x + r * stride, stride, AT_ONCE, kind, offset, acc + o * BATCH + r);
    for (; r < rows; r++)
        for (size_t o = 0; o < n; o++)
            steps(t + o * CHUNK, count, x + r * stride, stride, 1, kind, offset, acc + o * BATCH + r);
}

static float tree(f32x8 v) { return ((v[0] + v[1]) + (v[2] + v[3])) + ((v[4] + v[5]) + (v[6] + v[7])); }

// A whole block's groups, each number known to the compiler.
#define EIGHT_TIMES(put, b, v, s, t)                                                                                   \
    put(b, v, 0, s, t), put(b, v, 1, s, t + 1), put(b, v, 2, s, t + 2), put(b, v, 3, s, t + 3),                        \
        put(b, v, 4, s, t + 4), put(b, v, 5, s, t + 5), put(b, v, 6, s, t + 6), put(b, v, 7, s, t + 7)

// For each type: steps [first, first + n) of a row, and OUTPUTS output rows for up to BATCH activation rows.
#define TYPE_KERNELS(TYPE, name, bytes, groups, kind, offset)                                                          \
    static inline void put_##name(const uint8_t *b, const struct scales *v, unsigned i, size_t s, struct tile *t) {    \
        codes_##name(b, i, (bytes32 *)&t->q[s]);                                                                       \
        t->d[s] = v->d;                                                                                                \
        if (offset) t->dm[s] = v->dm;                                                                                  \
        if (kind != WORD_NONE) t->word[s] = v->word[i];                                                                \
    }                                                                                                                  \
                                                                                                                       \
    static inline void segment_##name(const uint8_t *row, size_t g, size_t n, size_t s, struct tile *t) {              \
        struct scales v;                                                                                               \
        for (const struct tile *end = t + n; t < end;) {                                                               \
            const uint8_t *b = row + g / groups * bytes;                                                               \
            unsigned i = g % groups;                                                                                   \
            scales_##name(b, &v);                                                                                      \
            if (groups == 8 && i == 0 && end - t >= 8) {                                                               \
                EIGHT_TIMES(put_##name, b, &v, s, t);                                                                  \
                t += 8, g += 8;                                                                                        \
                continue;                                                                                              \
            }                                                                                                          \
            for (; i < groups && t < end; i++, g++) put_##name(b, &v, i, s, t++);                                      \
        }                                                                                                              \
    }                                                                                                                  \
                                                                                                                       \
    static void fill_##name(const uint8_t *row, const struct slice *p, size_t first, size_t n, struct tile *t) {       \
        for (size_t s = 0; s < SEGMENTS; s++) {                                                                        \
            size_t g = p->start[s] + first, end = p->start[s + 1], m = g + n <= end ? n : g < end ? end - g : 0;       \
            segment_##name(row, g, m, s, t);                                                                           \
            if (m < n) blank(t + m, s);                                                                                \
        }                                                                                                              \
        for (size_t j = 0; j < n; j++) transpose8(t[j].q);                                                             \
    }                                                                                                                  \
                                                                                                                       \
    static void outputs_##name(const struct slice *p, const uint8_t *row, size_t outputs, const struct qact *x,        \
                               size_t rows, f32x8 *acc) {                                                              \
        struct tile tiles[OUTPUTS * CHUNK];                                                                            \
        for (size_t j = 0; j < p->steps; j += CHUNK) {                                                                 \
            size_t n = p->steps - j < CHUNK ? p->steps - j : CHUNK;                                                    \
            for (size_t o = 0; o < outputs; o++) fill_##name(row + o * p->row_bytes, p, j, n, tiles + o * CHUNK);      \
            chunk(tiles, outputs, n, x + j, p->steps, rows, kind, offset, acc);                                        \
        }                                                                                                              \
    }
QUANTIZED_TYPES(TYPE_KERNELS)

typedef void outputs_fn(const struct slice *p, const uint8_t *row, size_t outputs, const struct qact *x, size_t rows,
                        f32x8 *acc);

#define OUTPUTS_OF(TYPE, name, bytes, groups, kind, offset) [TYPE_##TYPE] = outputs_##name,
static outputs_fn *const table[TYPE_LIMIT] = {QUANTIZED_TYPES(OUTPUTS_OF)};

void KERNEL(matmul_q)(const struct weight *w, const struct qact *x, size_t rows, const float *bias, float *y,
                      size_t ldy, size_t first, size_t last) {
    size_t blocks = w->cols / GROUP;
    struct slice p = {.steps = act_steps(blocks), .row_bytes = type_row_bytes(w->type, w->cols)};
    for (size_t s = 0; s <= SEGMENTS; s++) p.start[s] = segment_start(blocks, s);
    for (size_t o = first; o < last; o += OUTPUTS)
        for (size_t r = 0; r < rows; r += BATCH) {
            size_t n = rows - r < BATCH ? rows - r : BATCH, m = last - o < OUTPUTS ? last - o : OUTPUTS;
            f32x8 acc[OUTPUTS * BATCH];
            for (size_t k = 0; k < m; k++) memset(acc + k * BATCH, 0, n * sizeof *acc);
            table[w->type](&p, (const uint8_t *)w->data + o * p.row_bytes, m, x + r * p.steps, n, acc);
            for (size_t i = 0; i < n; i++)
                for (size_t k = 0; k < m; k++) {
                    float v = tree(acc[k * BATCH + i]);
                    y[(r + i) * ldy + o + k] = bias ? v + bias[o + k] : v;
                }
        }
}
