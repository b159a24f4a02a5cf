// Products with F32 weights, a tile's sixteen rows in the lanes of a vector, each step one weight of a row. Weights
// that are exact in 16 bits are widened on the way: the same sums, of half the memory.
#include <string.h>

#include "device/cpu/isa.h"
#include "device/cpu/product.h"

// Groups of a chunk: two tiles' are half of the nearest cache.
enum { CHUNK_BYTES = 8192, GROUP_BYTES = GROUP * TILE * 4 };

// How far ahead of what is multiplied memory is asked for weights, of few rows, where it does not send them unasked.
enum { AHEAD = 4 << 10, FETCHED_ROWS = FETCHED > 1 ? 0 : 2 };

// Bytes of a step, and its weights.
INLINE size_t step_bytes(enum type kept) { return kept == TYPE_F32 ? VECTOR : VECTOR / 2; }
INLINE wf weights(enum type kept, const uint8_t *w) {
    return kept == TYPE_F32 ? wf_load(w) : kept == TYPE_F16 ? wf_f16(w) : wf_bf16(w);
}

// n steps of tiles that are `next` bytes apart with one panel.
INLINE void panel_steps(enum type kept, const uint8_t *w, size_t next, size_t n, const uint32_t *x, int rows,
                        struct sums *sums, size_t at, struct part p) {
    const size_t step = step_bytes(kept);
    wf acc[WIDE_ROWS][WIDE_TILES];
    UNROLL(6)
    for (int r = 0; r < rows; r++) UNROLL(2)
    for (int t = 0; t < WIDE_TILES; t++) acc[r][t] = sum_begin(sums, SUM(at + (size_t)r, t), p);
    for (size_t k = 0; k < n; k++, x += rows) {
        if (rows <= FETCHED_ROWS) UNROLL(2)
        for (int t = 0; t < WIDE_TILES; t++) __builtin_prefetch(w + (size_t)t * next + k * step + AHEAD, 0, 2);
        UNROLL(6)
        for (int r = 0; r < rows; r++) {
            wf a = wf_words(w32_fill(x + r));
            UNROLL(2)
            for (int t = 0; t < WIDE_TILES; t++)
                acc[r][t] = wf_fma(weights(kept, w + (size_t)t * next + k * step), a, acc[r][t]);
        }
    }
    UNROLL(6)
    for (int r = 0; r < rows; r++) UNROLL(2)
    for (int t = 0; t < WIDE_TILES; t++) sum_end(sums, SUM(at + (size_t)r, t), p, acc[r][t]);
}

typedef void panel_fn(const uint8_t *w, size_t next, size_t n, const uint32_t *x, struct sums *sums, size_t at,
                      struct part p);

#define PANEL(rows, name, kept)                                                                                        \
    static void name##_##rows(const uint8_t *w, size_t next, size_t n, const uint32_t *x, struct sums *sums,           \
                              size_t at, struct part p) {                                                              \
        panel_steps(kept, w, next, n, x, rows, sums, at, p);                                                           \
    }
EACH_ROWS(PANEL, f32, TYPE_F32)
EACH_ROWS(PANEL, f16, TYPE_F16)
EACH_ROWS(PANEL, bf16, TYPE_BF16)

static panel_fn *const floats[WIDE_ROWS + 1] = {NULL, EACH_ROWS(ROWS_NAME, f32)};
static panel_fn *const halves[WIDE_ROWS + 1] = {NULL, EACH_ROWS(ROWS_NAME, f16)};
static panel_fn *const short_floats[WIDE_ROWS + 1] = {NULL, EACH_ROWS(ROWS_NAME, bf16)};

// Of weights that are made from the file's on the way nothing is kept in 16 bits.
static enum type kept_of(const struct weight *w) { return w->own ? w->exact : TYPE_F32; }

struct call {
    const struct weight *w;
    const uint32_t *x;
    size_t rows, groups, tile_bytes, unit; // groups of a row, and bytes of one
    panel_fn *const *panels;
    struct sums *sums;
    uint8_t *room; // for chunks made from the file's rows
};

static void segment(const struct call *c, size_t tile, size_t tiles, unsigned s) {
    size_t first = segment_start(c->groups, s), last = segment_start(c->groups, s + 1), g = first;
    bool whole = c->w->own && c->rows <= WIDE_ROWS;
    size_t n = whole ? last - first : chunk_size(last - first, CHUNK_BYTES / GROUP_BYTES);
    do {
        size_t count = last - g < n ? last - g : n;
        size_t left = c->w->cols - (g * GROUP < c->w->cols ? g * GROUP : c->w->cols);
        size_t steps = left < count * GROUP ? left : count * GROUP; // not those that fill up the last group: zeros
        const uint8_t *w[WIDE_TILES];
        for (size_t t = 0; t < tiles; t++)
            w[t] = tile_units(c->w, tile + t, c->tile_bytes, c->unit, g, count, c->room + t * CHUNK_BYTES);
        for (size_t r = 0; r < c->rows; r += WIDE_ROWS) {
            size_t rows, at = act_at(WIDE_ROWS, c->rows, r, first * GROUP, (last - first) * GROUP, &rows);
            c->panels[rows](w[0], (size_t)(w[tiles - 1] - w[0]), steps, c->x + at + (g - first) * GROUP * rows, c->sums,
                            r, (struct part){s, g == first, g + count == last});
        }
        g += n;
    } while (g < last);
}

void KERNEL(matmul_f)(const struct weight *w, const uint32_t *x, size_t rows, const float *bias, float *y, size_t first,
                      size_t last) {
    struct sums sums;
    uint8_t room[WIDE_TILES * CHUNK_BYTES];
    struct call c = {w, x, rows, (w->cols + GROUP - 1) / GROUP};
    enum type kept = kept_of(w);
    c.panels = kept == TYPE_F32 ? floats : kept == TYPE_F16 ? halves : short_floats;
    c.unit = GROUP * step_bytes(kept);
    c.tile_bytes = tile_bytes(w);
    c.sums = &sums;
    c.room = room;
    // A row of one group is all in the last segment, and the sums of the others are zeros.
    for (int i = 0; c.groups == 1 && i < SEGMENTS_LOG; i++)
        memset(sums.done[i], 0, rows * WIDE_TILES * TILE * sizeof *sums.done[i]);
    for (size_t t = first; t < last; t += WIDE_TILES) {
        size_t tiles = last - t < WIDE_TILES ? last - t : WIDE_TILES;
        for (unsigned s = c.groups > 1 ? 0 : SEGMENTS - 1; s < SEGMENTS; s++) segment(&c, t, tiles, s);
        sums_put(&sums, rows, w, t, tiles, bias, y);
    }
}
