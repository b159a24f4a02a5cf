// Units of MLPs, as training has them.
#include "device/gpu/work.h"

enum { BLOCKS_OF_PROCESSOR = 16 };

void work_units(struct device *d, const struct units *u) {
    struct gpu *g = gpu_of(d);
    size_t processors = g->chip.processors > 0 ? (size_t)g->chip.processors : 1, blocks = work_blocks(u->n, THREADS);
    if (blocks > processors * BLOCKS_OF_PROCESSOR) blocks = processors * BLOCKS_OF_PROCESSOR;
    struct units_args a = {u->gate, u->up, u->dy, u->y, u->dgate, u->dup, u->n, u->unit, (uint32_t)blocks};
    work_launch(g, u->dy ? "unit_slopes" : "unit_values", blocks, 1, 1, &a, sizeof a);
}
