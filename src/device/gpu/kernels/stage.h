// A row of activations in the block's memory, for products that read it once for each output; fetched while weights are
// on their way. Blocks lie in eights, one of each segment (strips.h): of all eight the first 16 codes, then the second
// ones, so that neighbouring lanes read neighbouring bytes.
#ifndef DEVICE_GPU_KERNELS_STAGE_H
#define DEVICE_GPU_KERNELS_STAGE_H

#include "few.h"

// Of eight blocks: bytes of codes, and groups. 16 codes of a block are STAGE_STEP bytes from its next ones.
enum { STAGE_STEP = 16 * SEGMENTS, STAGE_CODES = STAGED_CODES(GROUPS), STAGE_GROUPS = SEGMENTS * GROUPS };
enum { STAGE_AHEAD = 4 }; // loads of a thread that are on their way

// Row r to `room`. All threads of the block come here; what is behind the row's last block is garbage.
FN struct rounded stage_row(const struct product_args *a, unsigned r, uint8_t *room) {
    const unsigned n = a->w.blocks, turns = (n + SEGMENTS - 1) / SEGMENTS, quads = turns * (STAGE_CODES / 16);
    const uint8_t *codes = a->codes + (size_t)r * a->w.cols;
    const struct group_of_row *from = a->group + (size_t)r * (a->w.cols / 32);
    struct group_of_row *group = (struct group_of_row *)(room + turns * STAGE_CODES);
    for (unsigned i = THREAD; i < turns * STAGE_GROUPS; i += THREADS) {
        unsigned block = i / STAGE_GROUPS * SEGMENTS + i % SEGMENTS;
        if (block < n) group[i] = from[block * GROUPS + i / SEGMENTS % GROUPS];
    }
    for (unsigned first = THREAD; first < quads; first += STAGE_AHEAD * THREADS) {
        struct quad q[STAGE_AHEAD];
        UNROLL
        for (unsigned k = 0; k < STAGE_AHEAD; k++) {
            unsigned i = first + k * THREADS, block = i / (STAGE_CODES / 16) * SEGMENTS + i % SEGMENTS;
            if (block < n) q[k] = quad_at(codes + 16 * (block * 2 * GROUPS + i / SEGMENTS % (2 * GROUPS)));
        }
        UNROLL
        for (unsigned k = 0; k < STAGE_AHEAD; k++) {
            unsigned i = first + k * THREADS, block = i / (STAGE_CODES / 16) * SEGMENTS + i % SEGMENTS;
            if (block < n) quad_to(room + 16 * i, q[k]);
        }
    }
    barrier();
    struct rounded x = {room, group, a->w.grid, a->w.cols, 0, STAGE_STEP};
    return x;
}

// Block `at` of it, as that of group 0.
FN struct rounded staged_block(const struct rounded *x, unsigned at) {
    struct rounded b = *x;
    b.codes += at / SEGMENTS * STAGE_CODES + at % SEGMENTS * 16;
    b.group += at / SEGMENTS * STAGE_GROUPS + at % SEGMENTS;
    return b;
}

#endif
