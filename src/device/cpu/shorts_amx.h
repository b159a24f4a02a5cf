// Sums of integers of 16 bits by AMX: a number is two planes of bytes, of which the high one has its sign. A run's sum
// is 2^16 high * high + 2^8 (high * low + low * high) + low * low modulo 2^32, which it fits. Part of shorts.c.
#ifndef DEVICE_CPU_SHORTS_AMX_H
#define DEVICE_CPU_SHORTS_AMX_H

#include "device/cpu/isa.h"
#include "device/cpu/simd.h"
#include "device/cpu/wide.h"

#ifdef AMX_HERE
enum { COLS = HOST_PANEL, VECTOR = 4 * COLS, X_PLANE = HOST_ROWS * HOST_RUN, W_PLANE = COLS * HOST_RUN };
_Static_assert((int)HOST_RUN == (int)VECTOR, "a run is a row of a tile, and a panel a tile's columns");

// The low bytes, or the high ones, of two pairs in each lane.
INLINE w32 bytes_of(w32 a, w32 b, bool high) {
    w32 apart = _mm512_set4_epi32(0x0f0d0e0c, 0x0b090a08, 0x07050604, 0x03010200);
    a = _mm512_shuffle_epi8(a, apart);
    b = _mm512_shuffle_epi8(b, apart);
    if (high) return _mm512_mask_blend_epi16(0xaaaaaaaa, _mm512_srli_epi32(a, 16), b);
    return _mm512_mask_blend_epi16(0xaaaaaaaa, a, _mm512_slli_epi32(b, 16));
}

// Sixteen rows of sixteen words become columns: blocks beside the diagonal change places, of eight words and down.
INLINE void turn16(w32 v[COLS]) {
    w32 lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    UNROLL(4)
    for (int size = COLS / 2; size; size /= 2) {
        __mmask16 upper = _mm512_test_epi32_mask(lane, _mm512_set1_epi32(size));
        w32 up = _mm512_add_epi32(lane, _mm512_set1_epi32(size));
        w32 first = _mm512_mask_add_epi32(lane, upper, lane, _mm512_set1_epi32(COLS - size));
        w32 second = _mm512_mask_add_epi32(up, upper, lane, _mm512_set1_epi32(COLS));
        UNROLL(16)
        for (int i = 0; i < COLS; i++)
            if (!(i & size)) {
                w32 a = v[i], b = v[i + size];
                v[i] = _mm512_permutex2var_epi32(a, first, b);
                v[i + size] = _mm512_permutex2var_epi32(a, second, b);
            }
    }
}

// A group's run of x: pairs [HOST_RUN / 2][HOST_ROWS] become planes [2][HOST_ROWS][HOST_RUN], the high one first.
void KERNEL(arrange_x)(void *block) {
    const __mmask16 rows = (1u << HOST_ROWS) - 1;
    int32_t pairs[HOST_RUN / 2 * HOST_ROWS];
    memcpy(pairs, block, sizeof pairs);
    for (int plane = 0; plane < 2; plane++) {
        w32 v[COLS];
        UNROLL(16)
        for (int i = 0; i < COLS; i++) {
            const int32_t *two = pairs + 2 * i * HOST_ROWS;
            v[i] = bytes_of(_mm512_maskz_loadu_epi32(rows, two), _mm512_maskz_loadu_epi32(rows, two + HOST_ROWS),
                            plane == 0);
        }
        turn16(v);
        UNROLL(16)
        for (int r = 0; r < HOST_ROWS; r++) w8_store((uint8_t *)block + plane * X_PLANE + r * HOST_RUN, v[r]);
    }
}

// A panel's run of w: pairs [HOST_RUN / 2][HOST_PANEL] become planes [2][HOST_RUN / 4][HOST_PANEL], the high one first,
// of four terms of a column in a word.
void KERNEL(arrange_w)(void *block) {
    const uint8_t *pairs = block;
    uint8_t *to = block;
    w32 low[COLS];
    UNROLL(16)
    for (size_t i = 0; i < COLS; i++) {
        w32 a = w8_load(pairs + 2 * i * VECTOR), b = w8_load(pairs + (2 * i + 1) * VECTOR);
        low[i] = bytes_of(a, b, false);
        w8_store(to + i * VECTOR, bytes_of(a, b, true));
    }
    UNROLL(16)
    for (size_t i = 0; i < COLS; i++) w8_store(to + W_PLANE + i * VECTOR, low[i]);
}

// One group's sums with one panel.
struct sums_of {
    const uint8_t *x, *w;
    const float *x_scale, *w_scale;
    float *y;
    size_t runs, w_step, y_row;
    bool fresh;
};

// A run's sums: of high planes, of a high and a low one, of low ones.
struct parts {
    int32_t high[HOST_ROWS][COLS], cross[HOST_ROWS][COLS], low[HOST_ROWS][COLS];
} __attribute__((aligned(64)));

INLINE w32 shift_add(w32 high, w32 low) { return w32_add(w32_shift8(high), low); }

INLINE void add_rows(const struct parts *from, const struct sums_of *s, size_t run, wf by, int first, wf *acc) {
    const float *scale = s->x_scale + run * HOST_ROWS;
    UNROLL(16)
    for (int r = first; r < first + HOST_ROWS / 4; r++) {
        w32 all = shift_add(shift_add(w8_load(from->high[r]), w8_load(from->cross[r])), w8_load(from->low[r]));
        acc[r] = wf_fma(wf_of(all), wf_mul(wf_fill(scale[r]), by), acc[r]);
    }
}

// The products of a run, and meanwhile, in turn, the sums of the one before it. Tiles 0 to 2 are the parts, 3 and 4
// planes of x, 5 and 6 those of w.
INLINE void run_of_both(const struct sums_of *s, size_t run, bool before, struct parts parts[2], wf acc[HOST_ROWS]) {
    const uint8_t *x = s->x + run * 2 * X_PLANE, *w = s->w + run * 2 * W_PLANE;
    struct parts *to = &parts[run % 2];
    const struct parts *from = &parts[(run + 1) % 2];
    wf by = before ? wf_load(s->w_scale + (run - 1) * s->w_step) : wf_fill(0);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_loadd(3, x, HOST_RUN);
    _tile_loadd(5, w, VECTOR);
    _tile_dpbssd(0, 3, 5);
    in_turn();
    if (before) add_rows(from, s, run - 1, by, 0, acc);
    in_turn();
    _tile_loadd(4, x + X_PLANE, HOST_RUN);
    _tile_loadd(6, w + W_PLANE, VECTOR);
    _tile_dpbuud(2, 4, 6);
    in_turn();
    if (before) add_rows(from, s, run - 1, by, HOST_ROWS / 4, acc);
    in_turn();
    _tile_stored(0, to->high, VECTOR);
    _tile_dpbsud(1, 3, 6);
    in_turn();
    if (before) add_rows(from, s, run - 1, by, HOST_ROWS / 2, acc);
    in_turn();
    _tile_dpbusd(1, 4, 5);
    _tile_stored(2, to->low, VECTOR);
    in_turn();
    if (before) add_rows(from, s, run - 1, by, HOST_ROWS / 4 * 3, acc);
    in_turn();
    _tile_stored(1, to->cross, VECTOR);
}

static void sum_group(const struct sums_of *s) {
    struct parts parts[2];
    wf acc[HOST_ROWS];
    UNROLL(16)
    for (size_t r = 0; r < HOST_ROWS; r++) acc[r] = s->fresh ? wf_fill(0) : wf_load(s->y + r * s->y_row);
    run_of_both(s, 0, false, parts, acc);
    for (size_t run = 1; run < s->runs; run++) run_of_both(s, run, true, parts, acc);
    wf by = wf_load(s->w_scale + (s->runs - 1) * s->w_step);
    UNROLL(4)
    for (int r = 0; r < HOST_ROWS; r += HOST_ROWS / 4) add_rows(&parts[(s->runs - 1) % 2], s, s->runs - 1, by, r, acc);
    UNROLL(16)
    for (size_t r = 0; r < HOST_ROWS; r++) wf_store(s->y + r * s->y_row, acc[r]);
}

// A group of fewer rows, whose other sums are nobody's.
static void sum_some(const struct sums_of *s, size_t rows) {
    float y[HOST_ROWS * COLS] = {0};
    struct sums_of own = *s;
    own.y = y;
    own.y_row = COLS;
    for (size_t r = 0; r < rows && !s->fresh; r++) wf_store(y + r * COLS, wf_load(s->y + r * s->y_row));
    sum_group(&own);
    for (size_t r = 0; r < rows; r++) wf_store(s->y + r * s->y_row, wf_load(y + r * COLS));
}

// Rows whose sums stay near while all columns come by.
enum { NEAR = 4 * HOST_ROWS };

static void sum_panel(const struct host_shorts *p, size_t row, size_t end, size_t c) {
    struct sums_of s = {.w = (const uint8_t *)p->w + c / COLS * p->w_group * sizeof(float),
                        .w_scale = p->w_scale + c,
                        .w_step = p->w_step,
                        .y = p->y + row * p->y_row + c,
                        .y_row = p->y_row,
                        .runs = (p->n + HOST_RUN - 1) / HOST_RUN,
                        .fresh = p->fresh};
    for (size_t r = row; r < end; r += HOST_ROWS, s.y += HOST_ROWS * p->y_row) {
        size_t group = r / HOST_ROWS * p->x_group, rows = end - r < HOST_ROWS ? end - r : HOST_ROWS;
        s.x = (const uint8_t *)p->x + group * sizeof(float);
        s.x_scale = p->x_scale + group;
        for (size_t i = 0; i < rows && c + COLS < p->cols; i++) __builtin_prefetch(s.y + i * p->y_row + COLS, 1);
        if (rows < HOST_ROWS)
            sum_some(&s, rows);
        else
            sum_group(&s);
    }
}

void KERNEL(shorts)(const struct host_shorts *p) {
    struct tile_shape shape = {0};
    for (int i = 0; i < 7; i++) {
        shape.bytes[i] = VECTOR;
        shape.rows[i] = i < 5 ? HOST_ROWS : COLS;
    }
    tile_shape_load(&shape);
    for (size_t r = 0; r < p->rows; r += NEAR)
        for (size_t c = 0; c < p->cols; c += COLS) sum_panel(p, r, p->rows - r < NEAR ? p->rows : r + NEAR, c);
    _tile_release();
}
#endif

#endif
