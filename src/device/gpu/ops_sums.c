// Products of matrices of floats, as training has them: tiles of a size that keeps all processors at work.
#include "device/gpu/work.h"

// Tiles, and what a sum costs in each beside one in the largest: a thread with fewer sums loads more for each.
static const struct tiling {
    const char *kernel;
    size_t size;
    double cost;
} tilings[] = {{"sums128", 128, 1}, {"sums64", 64, 1.5}, {"sums32", 32, 3}};

static size_t tiles(const struct float_sums *s, size_t size) {
    return work_blocks(s->rows, size) * work_blocks(s->cols, size);
}

// Which takes least, where each processor has a block at a time.
static const struct tiling *choose(const struct gpu *g, const struct float_sums *s) {
    size_t processors = g->chip.processors > 0 ? (size_t)g->chip.processors : 1;
    const struct tiling *best = NULL;
    double least = 0;
    for (size_t i = 0; i < sizeof tilings / sizeof *tilings; i++) {
        const struct tiling *t = &tilings[i];
        double takes = (double)(work_blocks(tiles(s, t->size), processors) * t->size * t->size) * t->cost;
        if (best && takes >= least) continue;
        best = t;
        least = takes;
    }
    return best;
}

void work_sums(struct device *d, const struct float_sums *s) {
    struct gpu *g = gpu_of(d);
    if (s->rows > INT32_MAX || s->cols > INT32_MAX || s->n > INT32_MAX) {
        gpu_fails(g, GYR_UNSUPPORTED, "%zu x %zu sums of %zu terms: more than a card's kernels count", s->rows, s->cols,
                  s->n);
        return;
    }
    if (!s->rows || !s->cols || !work_begin(g)) return;
    const struct tiling *t = choose(g, s);
    struct sums_args a = {s->x,
                          s->w,
                          s->bias,
                          s->y,
                          s->x_row,
                          s->x_step,
                          s->w_col,
                          s->w_step,
                          s->y_row,
                          (uint32_t)s->rows,
                          (uint32_t)s->cols,
                          (uint32_t)s->n,
                          s->more   ? SUMS_Y
                          : s->bias ? SUMS_BIAS
                                    : SUMS_ZERO,
                          s->by};
    work_writes(g, s->y, ((s->rows - 1) * s->y_row + s->cols) * sizeof(float));
    work_launch(g, t->kernel, tiles(s, t->size), 1, 1, &a, sizeof a);
}
