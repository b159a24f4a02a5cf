// The positions a row attends to, by its scores (device/choose.h).
#include "device/choose.h"

#include "device/cpu/cpu.h"

enum { SHARE = 16 }; // pages of a task

// Rows whose scores fit the scratch together.
struct choosing {
    const struct kernels *kernels;
    const struct choice *a;
    size_t first, rows, pages; // pages of the longest of them
};

static float *scores_of(const struct choosing *c, size_t row) {
    return c->a->work + (row - c->first) * c->pages * PAGE_TOKENS;
}

static void score_share(void *arg, size_t i) {
    const struct choosing *c = arg;
    size_t shares = (c->pages + SHARE - 1) / SHARE, row = c->first + i / shares, page = i % shares * SHARE;
    size_t seen = (size_t)c->a->at.row[row].position + 1, last = (seen + PAGE_TOKENS - 1) / PAGE_TOKENS;
    if (seen <= c->a->most) return;
    if (last > page + SHARE) last = page + SHARE;
    if (page < last) c->kernels->score_pages(c->a, row, page, last, scores_of(c, row) + page * PAGE_TOKENS);
}

static void choose_row(void *arg, size_t i) {
    const struct choosing *c = arg;
    size_t row = c->first + i, seen = (size_t)c->a->at.row[row].position + 1, most = c->a->most, equals;
    const float *score = scores_of(c, row);
    int32_t *out = c->a->chosen + row * most;
    if (seen <= most) return;
    uint32_t lowest = lowest_rank(score, seen, most, &equals);
    for (size_t t = 0; t < seen; t++) {
        uint32_t rank = score_rank(score[t]);
        if (rank < lowest || (rank == lowest && !equals)) continue;
        equals -= rank == lowest;
        *out++ = (int32_t)t;
    }
}

// As many rows from `first` on as the scratch holds, and at least one.
static struct choosing take(struct cpu *cpu, const struct choice *a, size_t first) {
    struct choosing c = {cpu->kernels, a, .first = first};
    for (size_t row = first; row < a->rows; row++) {
        size_t pages = a->at.row[row].position / PAGE_TOKENS + 1, longest = pages > c.pages ? pages : c.pages;
        if (c.rows && (c.rows + 1) * longest * PAGE_TOKENS > a->room) break;
        c.pages = longest;
        c.rows++;
    }
    return c;
}

void cpu_choose(struct device *d, const struct choice *a) {
    struct cpu *cpu = cpu_of(d);
    for (size_t row = 0; row < a->rows;) {
        struct choosing c = take(cpu, a, row);
        pool_run(cpu->pool, c.rows * ((c.pages + SHARE - 1) / SHARE), score_share, &c);
        pool_run(cpu->pool, c.rows, choose_row, &c);
        row += c.rows;
    }
}
