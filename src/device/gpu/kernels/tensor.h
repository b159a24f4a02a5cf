// What products on tensor cores have in common. A block of eight warps has sixteen outputs and some tiles of eight rows of
// activations; each warp has one of the row's eight segments (docs/arithmetic.md), and their sums are folded at the end.
// Lane l of a warp has of a tile's sums elements k = 0 .. 3: output l / 4 + 8 * (k / 2), row 2 * (l % 4) + k % 2; and gives
// weights of outputs l / 4 and l / 4 + 8, and activations of row l / 4.
#ifndef DEVICE_GPU_KERNELS_TENSOR_H
#define DEVICE_GPU_KERNELS_TENSOR_H

#include "chip.h"

#include "args.h"
#include "strips.h"

enum { WIDE = 8 }; // rows of a tile

// Where the outputs of a product go.
struct outputs_of_many {
    const float *bias;
    float *y;
    float by;
    uint32_t rows, outputs;
};

// The two outputs of a lane; of those beyond the last one the last is taken again.
FN unsigned output_of_lane(unsigned k, unsigned outputs) {
    unsigned output = BLOCK_X * MANY_OUTPUTS + THREAD % 32 / 4 + 8 * k;
    return output < outputs ? output : outputs - 1;
}

// A tile's sums of this warp's segment; room is [SEGMENTS][rows][MANY_OUTPUTS].
FN void put_tile(float *room, unsigned rows, unsigned tile, const float *acc) {
    unsigned lane = THREAD % 32;
    room += (size_t)(THREAD / 32) * rows * MANY_OUTPUTS;
    for (unsigned k = 0; k < 4; k++)
        room[(tile * WIDE + 2 * (lane % 4) + k % 2) * MANY_OUTPUTS + lane / 4 + 8 * (k / 2)] = acc[k];
}

// Rows from `row` on, of which `rows` have room.
FN void store_many(const float *room, unsigned rows, unsigned row, const struct outputs_of_many *to) {
    unsigned left = to->rows - row < rows ? to->rows - row : rows;
    barrier();
    for (unsigned e = THREAD; e < left * MANY_OUTPUTS; e += THREADS) {
        unsigned output = BLOCK_X * MANY_OUTPUTS + e % MANY_OUTPUTS;
        if (output >= to->outputs) continue;
        float s[SEGMENTS];
        for (unsigned i = 0; i < SEGMENTS; i++) s[i] = room[(size_t)i * rows * MANY_OUTPUTS + e];
        float sum = ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
        if (to->bias) sum += to->bias[output];
        if (to->by != 1) sum *= to->by;
        to->y[(size_t)(row + e / MANY_OUTPUTS) * to->outputs + output] = sum;
    }
}

// Tiles of a block that has rows from `row` on.
FN unsigned tiles_of(unsigned all, unsigned row, unsigned rows) {
    return ((all - row < rows ? all - row : rows) + WIDE - 1) / WIDE;
}

#endif
