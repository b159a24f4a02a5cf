// Tiles of products with quantized weights on tensor cores. A warp has a segment of a few tiles, each of sixteen
// outputs by sixteen rows of activations, and of a tile's sums a lane has PARTS times four, as tensor.h says; 32 lanes
// take a tile's rows in two parts of eight. Activations are rounded into the order in which lanes take them
// (round_many.cu), so that a lane loads what it needs of a tile and a group at once.
#ifndef DEVICE_GPU_KERNELS_TILE_H
#define DEVICE_GPU_KERNELS_TILE_H

#include "chip.h"

#include "args.h"
#include "output.h"
#include "tensor.h"

// Tiles of the same rows and of neighbouring groups lie apart by those of a slab, so that where a tile of a slab is, is
// a constant for the compiler.
enum { TILE = 16, TILE_BYTES = TILE * 32, MOST_PARTS = 2, SLAB_TILES = MANY_SLAB / TILE };

#define PARTS (IS_WIDE_WARP ? 1u : 2u)

// Where the word of row `row` of a tile goes among a group's bytes: a lane gives words k and k + 4 of a row, which lie
// side by side, of both parts where there are two; of a wave (waves.h) all words of a row.
FN unsigned place_of_word(unsigned row, unsigned word) {
    if (IS_WAVE) return row * 32 + word * 4;
    unsigned k = word % 4, high = word / 4;
    return IS_WIDE_WARP ? (k * TILE + row) * 8 + high * 4 : (row % 8 * 4 + k) * 16 + row / 8 * 8 + high * 4;
}

// Where a row's scale goes among sixteen, so that those of a lane's rows are neighbours.
FN unsigned place_of_scale(unsigned row) {
    if (IS_WAVE) return row % 2 * 8 + row / 2;
    return IS_WIDE_WARP ? row : row % 8 / 2 * 4 + row / 8 * 2 + row % 2;
}

// A lane's activations of a group: words; scales of its rows, and what belongs to each beside it.
struct given {
    uint32_t x[2 * MOST_PARTS];
};
struct four_floats {
    float f[4];
};

// From a tile's bytes to those of a lane, and from a tile's scales to those of its rows.
FN unsigned place_of_given(void) { return tensor_lane() * (IS_WIDE_WARP ? 8 : 16); }
FN unsigned first_scale(void) { return IS_WIDE_WARP ? 4 * (tensor_lane() / 16) : 4 * (tensor_lane() % 4); }

FN struct given given_at(const uint8_t *p) {
    struct given g = {{0}};
    if (IS_WIDE_WARP) {
        g.x[0] = word_at(p);
        g.x[1] = word_at(p + 4);
        return g;
    }
    struct quad q = quad_at(p);
    for (unsigned i = 0; i < 4; i++) g.x[i] = q.w[i];
    return g;
}

FN struct four_floats scales_at(const float *p) {
    struct quad q = quad_at(p);
    struct four_floats s;
    for (unsigned i = 0; i < 4; i++) s.f[i] = float_of_bits(q.w[i]);
    return s;
}

// Which of a lane's four scales element k of a part goes with.
FN unsigned scale_of_element(unsigned part, unsigned k) { return IS_WIDE_WARP ? k : 2 * part + k % 2; }

// Sums start at the bits of a float whose last bit is worth 1, or less where codes are larger by a power of two: what
// comes out are the bits of that float plus the sum, as long as the sum is below 2^22 of these bits.
#define START(lift) (0x4b400000u - ((lift) << 23))

FN float float_of_sum(int c, unsigned lift) { return float_of_bits((uint32_t)c) - float_of_bits(START(lift)); }

// ------------------------------------------------------------------------------- the end

enum { PITCH = 4 }; // keeps lanes of a warp out of each other's banks

// A block's sums of one tile of rows: [SEGMENTS][TILE][outputs + PITCH].
FN void put_sums(float *room, unsigned outputs, unsigned segment, unsigned first_output, const float *acc) {
    room += (size_t)segment * TILE * (outputs + PITCH) + first_output;
    UNROLL
    for (unsigned t = 0; t < PARTS; t++)
        for (unsigned k = 0; k < 4; k++) {
            unsigned row = t * WIDE + place_of_row(row_of_element(k));
            room[row * (outputs + PITCH) + place_of_output(output_of_element(k))] = acc[4 * t + k];
        }
}

// The tree of segments, for rows from `row` on and outputs from `output` on.
FN void store_sums(const float *room, unsigned outputs, unsigned row, unsigned output,
                   const struct product_many_args *a) {
    unsigned left = a->rows - row < TILE ? a->rows - row : TILE;
    for (unsigned e = THREAD; e < left * outputs; e += THREADS) {
        unsigned to = output + e % outputs, r = e / outputs;
        if (to >= a->w.rows) continue;
        float s[SEGMENTS];
        for (unsigned i = 0; i < SEGMENTS; i++) s[i] = room[((size_t)i * TILE + r) * (outputs + PITCH) + e % outputs];
        float sum = ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
        if (a->bias) sum += a->bias[to];
        if (a->by != 1) sum *= a->by;
        give_output(a->y, a->plus, (size_t)(row + r) * a->w.rows + to, sum);
    }
}

#endif
