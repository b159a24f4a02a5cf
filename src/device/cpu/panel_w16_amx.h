// Many rows with AMX: a product of tiles is sixteen rows of activations by sixteen outputs of 64 weights. Its sums are
// the exact integers that the other instruction sets have; the float operation is the same. Part of matmul_w16.c.
#ifndef DEVICE_CPU_PANEL_W16_AMX_H
#define DEVICE_CPU_PANEL_W16_AMX_H

#include "device/cpu/job_w16.h"

#ifdef AMX_HERE
enum { MANY_ROWS16 = TILE, PAIRS = 4 };

// Shapes of the tile registers for `rows` rows: 0 and 1 are sums of high planes by high ones, 2 and 3 those of high by
// low ones, of two tiles of outputs; 4 and 5 planes of activations; 6 and 7 weights. See LDTILECFG in Intel's manual.
static void amx_begin(size_t rows) {
    struct tile_shape shape = {0};
    for (int i = 0; i < 8; i++) {
        shape.bytes[i] = VECTOR;
        shape.rows[i] = (uint8_t)(i > 5 ? TILE : rows);
    }
    tile_shape_load(&shape);
}

static void amx_end(void) { _tile_release(); }

struct products {
    int32_t high[TILE][WIDE_TILES][TILE], cross[TILE][WIDE_TILES][TILE];
} __attribute__((aligned(64)));

// Every byte of the activations is loaded once, past the nearest cache: two tiles of weights fill that.
INLINE void group_of(const struct job *j, const uint8_t *x, const uint8_t *w) {
    _tile_stream_loadd(4, x, j->stride);
    _tile_loadd(6, w, VECTOR);
    _tile_dpbsud(0, 4, 6);
    _tile_loadd(7, w + j->next, VECTOR);
    _tile_dpbsud(1, 4, 7);
    _tile_stream_loadd(5, x + W16_GROUP, j->stride);
    _tile_dpbsud(2, 5, 6);
    _tile_dpbsud(3, 5, 7);
    _tile_loadd(6, w + W16_PLANE, VECTOR);
    _tile_dpbsud(2, 4, 6);
    _tile_loadd(7, w + W16_PLANE + j->next, VECTOR);
    _tile_dpbsud(3, 4, 7);
}

static void amx_products(const struct job *j, struct products *p) {
    const uint8_t *w = j->w + W16_HEAD, *x = j->x;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (size_t g = 0; g < j->n; g++, w += 2 * W16_PLANE, x += W16_ROW) group_of(j, x, w);
    _tile_stored(0, p->high[0][0], sizeof p->high[0]);
    _tile_stored(1, p->high[0][1], sizeof p->high[0]);
    _tile_stored(2, p->cross[0][0], sizeof p->cross[0]);
    _tile_stored(3, p->cross[0][1], sizeof p->cross[0]);
}

static void many_panel(const struct job *j, size_t rows, struct sums *sums, size_t at, struct part p) {
    struct products products;
    amx_products(j, &products);
    for (size_t r = 0; r < rows; r++) UNROLL(2)
    for (size_t t = 0; t < WIDE_TILES; t++) {
        size_t i = SUM(at + r, t);
        w32 all = w32_add(w32_shift8(w8_load(products.high[r][t])), w8_load(products.cross[r][t]));
        sum_end(sums, i, p, scaled(j, t, r, all, sum_begin(sums, i, p)));
    }
}

#endif

#endif
