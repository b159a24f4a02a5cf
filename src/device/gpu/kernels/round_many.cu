// Activations of many rows as int8, in the order in which products on tensor cores take them (tile.h).
#include "chip.h"

#include "args.h"
#include "codes.h"
#include "strips.h"
#include "tile.h"

// BLOCK_X is the row; a thread has four elements, eight lanes a group, and 32 a run of four groups.
KERNEL(round_many, round_many_args) {
    unsigned t = BLOCK_Y * THREADS + THREAD, words = a.cols / 4, row = BLOCK_X % TILE;
    const float *x = a.x + (size_t)BLOCK_X * a.cols + 4 * (size_t)t;
    float v[4] = {0, 0, 0, 0};
    for (int k = 0; k < 4 && t < words; k++) v[k] = x[k];
    struct four_codes c = codes_of_four(v, 8 * a.run);
    if (t >= words) return;
    unsigned groups = a.cols / 32, g = t / 8, at = strip_of(groups / a.unit, g / a.unit) * a.unit + g % a.unit;
    size_t there = ((size_t)(BLOCK_X / MANY_SLAB) * groups + at) * SLAB_TILES + BLOCK_X % MANY_SLAB / TILE;
    *(uint32_t *)(a.codes + there * TILE_BYTES + place_of_word(row, t % 8)) = c.codes;
    if (t % 8) return;
    float *unit = a.units + there * (2 * TILE) + place_of_scale(row);
    unit[0] = c.d;
    int sum = c.sum[0] + c.sum[1];
    unit[TILE] = a.beside == BESIDE_PRODUCT ? c.d * (float)sum
                                            : float_of_bits(a.beside == BESIDE_SUM ? (uint32_t)sum : both_halves(&c));
}
