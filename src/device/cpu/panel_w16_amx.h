// Many rows with AMX: a product of tiles is sixteen rows of activations by sixteen outputs of 64 weights. Its sums are
// the exact integers that the other instruction sets have; the float operation is the same. Part of matmul_w16.c.
#ifndef DEVICE_CPU_PANEL_W16_AMX_H
#define DEVICE_CPU_PANEL_W16_AMX_H

#include "device/cpu/job_w16.h"

#ifdef AMX_HERE
enum { MANY_ROWS16 = 2 * TILE, PAIRS = 4 };

// Shapes of the tile registers for `rows` rows: 0 to 3 are sums, of the first sixteen rows and two tiles of outputs,
// then of the other rows; 4 and 5 activations of either; 6 and 7 weights. See LDTILECFG in Intel's manual.
static void amx_begin(size_t rows) {
    struct tile_shape shape = {0};
    size_t first = rows < TILE ? rows : TILE, second = rows > TILE ? rows - TILE : TILE;
    for (int i = 0; i < 8; i++) {
        shape.bytes[i] = VECTOR;
        shape.rows[i] = (uint8_t)(i > 5 ? TILE : i == 2 || i == 3 || i == 5 ? second : first);
    }
    tile_shape_load(&shape);
}

static void amx_end(void) { _tile_release(); }

struct products {
    int32_t high[2 * TILE][WIDE_TILES][TILE], cross[2 * TILE][WIDE_TILES][TILE];
} __attribute__((aligned(64)));

// One plane of the activations by one of the weights. Each sum is used once in a round, so that none is waited for.
INLINE void round_of(const struct job *j, bool two, const uint8_t *x, const uint8_t *w) {
    _tile_loadd(4, x, j->stride);
    _tile_loadd(6, w, VECTOR);
    _tile_dpbsud(0, 4, 6);
    _tile_loadd(7, w + j->next, VECTOR);
    _tile_dpbsud(1, 4, 7);
    if (!two) return;
    _tile_loadd(5, x + TILE * j->stride, j->stride);
    _tile_dpbsud(2, 5, 6);
    _tile_dpbsud(3, 5, 7);
}

INLINE void clear(void) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
}

INLINE void store(bool two, int32_t (*out)[WIDE_TILES][TILE]) {
    _tile_stored(0, out[0][0], sizeof out[0]);
    _tile_stored(1, out[0][1], sizeof out[0]);
    if (!two) return;
    _tile_stored(2, out[TILE][0], sizeof out[0]);
    _tile_stored(3, out[TILE][1], sizeof out[0]);
}

INLINE void amx_products(const struct job *j, bool two, struct products *p) {
    const uint8_t *w = j->w + W16_HEAD, *x = j->x;
    clear();
    for (size_t g = 0; g < j->n; g++) round_of(j, two, x + g * W16_ROW, w + g * 2 * W16_PLANE);
    store(two, p->high);
    clear();
    for (size_t g = 0; g < j->n; g++, w += 2 * W16_PLANE, x += W16_ROW) {
        round_of(j, two, x + W16_GROUP, w);
        round_of(j, two, x, w + W16_PLANE);
    }
    store(two, p->cross);
}

static void many_panel(const struct job *j, size_t rows, struct sums *sums, size_t at, struct part p) {
    struct products products;
    if (rows > TILE)
        amx_products(j, true, &products);
    else
        amx_products(j, false, &products);
    for (size_t r = 0; r < rows; r++) UNROLL(2)
    for (size_t t = 0; t < WIDE_TILES; t++) {
        size_t i = SUM(at + r, t);
        w32 all = w32_add(w32_shift8(w8_load(products.high[r][t])), w8_load(products.cross[r][t]));
        sum_end(sums, i, p, scaled(j, t, r, all, sum_begin(sums, i, p)));
    }
}

#endif

#endif
