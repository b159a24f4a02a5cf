// Products of many rows with F16 or BF16 weights on tensor cores; the sum of their parts.
#include "chip.h"

#include "args.h"
#include "wide16.h"

KERNEL(product16_wide, product16_args) {
    SHARED(struct wide16_room, room);
    multiply_wide16(&a, room);
}

// Where blocks have some segments each, an element of y is the tree of their sums: BLOCK_Y is the row.
KERNEL(join16, join16_args) {
    unsigned o = BLOCK_X * THREADS + THREAD;
    if (o >= a.outputs) return;
    float s[SEGMENTS];
    UNROLL
    for (unsigned i = 0; i < SEGMENTS; i++)
        if (i < a.parts) s[i] = a.part[((size_t)i * a.rows + BLOCK_Y) * a.outputs + o];
    UNROLL
    for (unsigned step = 1; step < SEGMENTS; step *= 2)
        UNROLL
        for (unsigned i = 0; i < SEGMENTS; i += 2 * step)
            if (i + step < a.parts) s[i] = s[i] + s[i + step];
    float sum = s[0];
    if (a.bias) sum += a.bias[o];
    if (a.by != 1) sum *= a.by;
    a.y[(size_t)BLOCK_Y * a.outputs + o] = sum;
}
