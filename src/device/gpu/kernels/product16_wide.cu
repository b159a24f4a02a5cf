// Products of many rows with F16 or BF16 weights on tensor cores; the sum of their parts.
#define BLOCKS 2
#include "chip.h"

#include "args.h"

#define ROWS16       WIDE16_ROWS
#define OUTPUT_TILES 2
#define ROW_TILES    2
#define STAGES       2

#include "wide16.h"

KERNEL(product16_wide, product16_args) {
    SHARED(struct wide16_room, room);
    multiply_wide16(&a, room);
}

// Where blocks have some segments each, an element of y is the tree of their sums. A thread has some elements.
KERNEL(join16, join16_args) {
    size_t all = (size_t)a.rows * a.outputs, first = (size_t)BLOCK_X * (THREADS * JOIN16) + THREAD;
    float s[JOIN16][SEGMENTS];
    UNROLL
    for (unsigned k = 0; k < JOIN16; k++)
        UNROLL
        for (unsigned i = 0; i < SEGMENTS; i++)
            if (i < a.parts && first + k * THREADS < all) s[k][i] = a.part[i * all + first + k * THREADS];
    UNROLL
    for (unsigned k = 0; k < JOIN16; k++) {
        size_t at = first + k * THREADS;
        if (at >= all) continue;
        UNROLL
        for (unsigned step = 1; step < SEGMENTS; step *= 2)
            UNROLL
            for (unsigned i = 0; i < SEGMENTS; i += 2 * step)
                if (i + step < a.parts) s[k][i] = s[k][i] + s[k][i + step];
        float sum = s[k][0];
        if (a.bias) sum += a.bias[at % a.outputs];
        give_output(a.y, a.plus, at, a.by != 1 ? sum * a.by : sum);
    }
}
