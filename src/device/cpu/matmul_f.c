// Products with F32, F16 and BF16 weights, a tile's sixteen rows in the lanes of a vector, each step one weight of a
// row or, of BF16, two.
#include "device/cpu/isa.h"
#include "device/cpu/product.h"

// Groups of a chunk: two tiles' are half of the nearest cache.
enum { CHUNK_BYTES = 8192, GROUP_MOST = GROUP * TILE * 4 };

INLINE wf step(enum type type, const uint8_t *w, size_t k, w32 a, wf acc) {
    if (type == TYPE_BF16) return wf_dot2(acc, w8_load(w + k * VECTOR), a);
    wf v = type == TYPE_F32 ? wf_load(w + k * VECTOR) : wf_f16(w + k * VECTOR / 2);
    return wf_fma(v, wf_words(a), acc);
}

// n steps of tiles that are `next` bytes apart with one panel.
INLINE void panel_steps(enum type type, const uint8_t *w, size_t next, size_t n, const uint32_t *x, int rows,
                        struct sums *sums, size_t at, struct part p) {
    wf acc[WIDE_ROWS][WIDE_TILES];
    UNROLL(6)
    for (int r = 0; r < rows; r++) UNROLL(2)
    for (int t = 0; t < WIDE_TILES; t++) acc[r][t] = sum_begin(sums, SUM(at + (size_t)r, t), p);
    for (size_t k = 0; k < n; k++, x += rows) UNROLL(6)
    for (int r = 0; r < rows; r++) {
        w32 a = w32_fill(x + r);
        UNROLL(2)
        for (int t = 0; t < WIDE_TILES; t++) acc[r][t] = step(type, w + (size_t)t * next, k, a, acc[r][t]);
    }
    UNROLL(6)
    for (int r = 0; r < rows; r++) UNROLL(2)
    for (int t = 0; t < WIDE_TILES; t++) sum_end(sums, SUM(at + (size_t)r, t), p, acc[r][t]);
}

typedef void panel_fn(const uint8_t *w, size_t next, size_t n, const uint32_t *x, struct sums *sums, size_t at,
                      struct part p);

#define PANEL(rows, name, type)                                                                                        \
    static void name##_##rows(const uint8_t *w, size_t next, size_t n, const uint32_t *x, struct sums *sums,           \
                              size_t at, struct part p) {                                                              \
        panel_steps(type, w, next, n, x, rows, sums, at, p);                                                           \
    }
EACH_ROWS(PANEL, f32, TYPE_F32)
EACH_ROWS(PANEL, f16, TYPE_F16)
EACH_ROWS(PANEL, bf16, TYPE_BF16)

static panel_fn *const panels[TYPE_LIMIT][WIDE_ROWS + 1] = {
    [TYPE_F32] = {NULL, EACH_ROWS(ROWS_NAME, f32)},
    [TYPE_F16] = {NULL, EACH_ROWS(ROWS_NAME, f16)},
    [TYPE_BF16] = {NULL, EACH_ROWS(ROWS_NAME, bf16)},
};

struct call {
    const struct weight *w;
    const uint32_t *x;
    size_t rows, groups, steps, unit, tile_bytes; // groups of a row, steps of a group, bytes of a tile's group
    struct sums *sums;
    uint8_t *room; // for chunks made from the file's rows
};

static void segment(const struct call *c, size_t tile, size_t tiles, unsigned s) {
    size_t first = segment_start(c->groups, s), last = segment_start(c->groups, s + 1), g = first;
    bool whole = c->w->own && c->rows <= WIDE_ROWS;
    size_t n = whole ? last - first : chunk_size(last - first, CHUNK_BYTES / c->unit);
    do {
        size_t count = last - g < n ? last - g : n;
        const uint8_t *w[WIDE_TILES];
        for (size_t t = 0; t < tiles; t++)
            w[t] = tile_units(c->w, tile + t, c->tile_bytes, c->unit, g, count, c->room + t * CHUNK_BYTES);
        for (size_t r = 0; r < c->rows; r += WIDE_ROWS) {
            size_t rows, at = act_at(WIDE_ROWS, c->rows, r, first * c->steps, (last - first) * c->steps, &rows);
            panels[c->w->type][rows](w[0], (size_t)(w[tiles - 1] - w[0]), count * c->steps,
                                     c->x + at + (g - first) * c->steps * rows, c->sums, r,
                                     (struct part){s, g == first, g + count == last});
        }
        g += n;
    } while (g < last);
}

void KERNEL(matmul_f)(const struct weight *w, const uint32_t *x, size_t rows, const float *bias, float *y, size_t first,
                      size_t last) {
    struct sums sums;
    uint8_t room[WIDE_TILES * CHUNK_BYTES];
    struct call c = {w, x, rows, (w->cols + GROUP - 1) / GROUP, w->type == TYPE_BF16 ? GROUP / 2 : GROUP};
    c.unit = GROUP * TILE * type_info(w->type)->bytes;
    c.tile_bytes = tile_bytes(w);
    c.sums = &sums;
    c.room = room;
    for (size_t t = first; t < last; t += WIDE_TILES) {
        size_t tiles = last - t < WIDE_TILES ? last - t : WIDE_TILES;
        for (unsigned s = 0; s < SEGMENTS; s++) segment(&c, t, tiles, s);
        sums_put(&sums, rows, w, t, tiles, bias, y);
    }
}
