// What this machine can do at most: bytes read, and multiply-adds.
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "device/cpu/cpu.h"

// Each worker reads pieces of a buffer far larger than any cache.
enum { READ_PIECE = 1 << 20, HUGE_PAGE = 2 << 20, STEPS = 20000 };

struct reading {
    const struct kernels *kernels;
    const uint8_t *data;
    uint64_t *sums;
};

static void read_piece(void *arg, size_t i) {
    const struct reading *r = arg;
    r->sums[i] = r->kernels->read(r->data + i * READ_PIECE, READ_PIECE);
}

double device_cpu_bandwidth(struct device *d, double seconds) {
    struct cpu *c = cpu_of(d);
    size_t free_pages = (size_t)sysconf(_SC_AVPHYS_PAGES), page = (size_t)sysconf(_SC_PAGESIZE);
    size_t n = free_pages / 4 * page / READ_PIECE;
    n = (n > 512 ? 512 : n < 128 ? 128 : n) / 2 * 2;
    uint8_t *data = aligned_alloc(HUGE_PAGE, n * READ_PIECE);
    uint64_t *sums = calloc(n, sizeof *sums);
    double best = 0;
    if (data && sums) {
        madvise(data, n * READ_PIECE, MADV_HUGEPAGE); // as tiles have it
        memset(data, 1, n * READ_PIECE);
        struct reading r = {c->kernels, data, sums};
        double start = now_seconds(), last = start;
        do {
            pool_run(c->pool, n, read_piece, &r);
            double now = now_seconds(), rate = (double)(n * READ_PIECE) / (now - last);
            if (rate > best) best = rate;
            last = now;
        } while (last - start < seconds);
    }
    free(sums);
    free(data);
    return best;
}

struct working {
    double (*work)(size_t n);
    double *done;
};

static void work_piece(void *arg, size_t i) {
    const struct working *w = arg;
    w->done[i] = w->work(STEPS);
}

// Pieces of some 100 microseconds, several for each worker, so that one that is held up delays nobody.
static double best_rate(struct cpu *c, double (*work)(size_t n), double seconds) {
    size_t n = pool_threads(c->pool) * (size_t)8;
    double *done = calloc(n, sizeof *done), best = 0, start = now_seconds(), last = start;
    if (!done) return 0;
    struct working w = {work, done};
    do {
        double sum = 0;
        pool_run(c->pool, n, work_piece, &w);
        for (size_t i = 0; i < n; i++) sum += done[i];
        double now = now_seconds();
        if (sum / (now - last) > best) best = sum / (now - last);
        last = now;
    } while (last - start < seconds);
    free(done);
    return best;
}

void device_cpu_roofs(struct device *d, double seconds, struct roofs *out) {
    struct cpu *c = cpu_of(d);
    out->read = device_cpu_bandwidth(d, seconds / 3);
    out->int8 = best_rate(c, c->kernels->roof_int8, seconds / 3);
    out->fp32 = best_rate(c, c->kernels->roof_fp32, seconds / 3);
}
