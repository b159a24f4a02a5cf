// What a card reads from its memory at most.
#include "base/clock.h"
#include "device/gpu/cards.h"
#include "device/gpu/work.h"

// Blocks of a processor: all are there at once, with registers to spare. Bytes of a first try, which is all for a card
// that takes long; and at most of the others, which no cache holds, and which take pass_seconds each.
enum { BLOCKS = 4, FIRST = 64 << 20 };
static const size_t most = (size_t)4 << 30;
static const double long_seconds = 0.05, pass_seconds = 0.02;

struct reading {
    size_t passes, rounds;
    double rate; // the best of the rounds
};

static bool pass(struct gpu *g, const struct read_args *a, size_t times, double *seconds, gyr_error *e) {
    double begun = now_seconds();
    for (size_t i = 0; i < times; i++) work_launch(g, "read_all", a->blocks, 1, 1, a, sizeof *a);
    bool ok = g->device.ops->sync(&g->device, e);
    *seconds = now_seconds() - begun;
    return ok;
}

// The first launch loads the program, and is not timed.
static bool time_it(struct gpu *g, struct read_args a, struct reading *r, gyr_error *e) {
    struct read_args little = a;
    double seconds;
    little.n = 1;
    bool ok = pass(g, &little, 1, &seconds, e);
    for (size_t i = 0; i < r->rounds && ok; i++) {
        ok = pass(g, &a, r->passes, &seconds, e);
        double rate = (double)(a.n * 16 * r->passes) / seconds;
        if (ok && rate > r->rate) r->rate = rate;
    }
    return ok;
}

static bool read_bytes(struct gpu *g, size_t bytes, struct reading *r, gyr_error *e) {
    struct device *d = &g->device;
    size_t blocks = (size_t)(g->chip.processors > 0 ? g->chip.processors : 1) * BLOCKS;
    dbyte *x = d->ops->alloc(d, bytes, e);
    dword *out = x ? d->ops->alloc(d, blocks * THREADS * sizeof(uint32_t), e) : NULL;
    bool ok = out && time_it(g, (struct read_args){x, out, bytes / 16, (uint32_t)blocks}, r, e);
    if (out) d->ops->free(d, out);
    if (x) d->ops->free(d, x);
    return ok;
}

bool gpu_read_rate(struct device *d, double *rate, gyr_error *e) {
    struct gpu *g = gpu_of(d);
    uint64_t total, left;
    d->ops->room(d, &total, &left);
    size_t bytes = left / 2 < most ? (size_t)left / 2 / 16 * 16 : most, timely;
    struct reading first = {1, 1, 0}, all = {8, 3, 0};
    *rate = 0;
    if (bytes < FIRST)
        return fail(e, GYR_NO_MEMORY, "%s: %.2f GB are free, too little to measure how fast it is read", g->name,
                    (double)left / 1e9);
    if (!read_bytes(g, FIRST, &first, e)) return false;
    *rate = first.rate;
    if (FIRST / first.rate > long_seconds) return true;
    timely = (size_t)(first.rate * pass_seconds / 16) * 16;
    if (timely < FIRST) timely = FIRST;
    if (!read_bytes(g, bytes < timely ? bytes : timely, &all, e)) return false;
    *rate = all.rate;
    return true;
}
