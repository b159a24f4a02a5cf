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
static const struct tiling *choose(const struct gpu *g, const struct float_sums *s, size_t count) {
    size_t processors = g->chip.processors > 0 ? (size_t)g->chip.processors : 1;
    const struct tiling *best = NULL;
    double least = 0;
    for (size_t i = 0; i < sizeof tilings / sizeof *tilings; i++) {
        const struct tiling *t = &tilings[i];
        double takes = (double)(work_blocks(tiles(s, t->size) * count, processors) * t->size * t->size) * t->cost;
        if (best && takes >= least) continue;
        best = t;
        least = takes;
    }
    return best;
}

void work_sums_of(struct gpu *g, const struct float_sums *s, struct sums_args a, size_t count) {
    if (s->rows > INT32_MAX || s->cols > INT32_MAX || s->n > INT32_MAX) {
        gpu_fails(g, GYR_UNSUPPORTED, "%zu x %zu sums of %zu terms: more than a card's kernels count", s->rows, s->cols,
                  s->n);
        return;
    }
    if (!s->rows || !s->cols || !work_begin(g)) return;
    const struct tiling *t = choose(g, s, count);
    a.x = s->x, a.w = s->w, a.bias = s->bias, a.y = s->y;
    a.x_row = s->x_row, a.x_step = s->x_step, a.w_col = s->w_col, a.w_step = s->w_step, a.y_row = s->y_row;
    a.rows = (uint32_t)s->rows, a.cols = (uint32_t)s->cols, a.n = (uint32_t)s->n;
    a.start = s->more ? SUMS_Y : s->bias ? SUMS_BIAS : SUMS_ZERO;
    a.by = s->by;
    work_writes(g, s->y, ((count - 1) * a.y_each + (s->rows - 1) * s->y_row + s->cols) * sizeof(float));
    work_launch(g, t->kernel, tiles(s, t->size), count, 1, &a, sizeof a);
}

void work_sums(struct device *d, const struct float_sums *s) {
    work_sums_of(gpu_of(d), s, (struct sums_args){.share = 1}, 1);
}
