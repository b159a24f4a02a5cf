#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>

#include "base/clock.h"
#include "device/device.h"

enum { MANY = 16384, BYTES = 192 << 20 };

// The time that a single thread computed: others' work on the machine does not count.
static double seconds(const struct bench *b) {
    struct timespec t;
    if (b->threads != 1) return now_seconds();
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

// Random bytes as weights: what they say does not matter here, only how long they take.
static void *random_bytes(size_t n) {
    uint32_t *p = malloc(n / 4 * 4 + 4), state = 1;
    for (size_t i = 0; p && i < n / 4 + 1; i++) p[i] = (state = state * 1664525 + 1013904223) & 0xbfbfbfbf;
    return p;
}

// The limit of a type's product in operations per second: of 16 bits three products of bytes.
static double most(const struct roofs *r, enum type type) {
    return type == TYPE_F32 ? r->fp32 : type_info(type)->quantized ? r->int8 : r->int8 / 3;
}

static double best_time(struct device *d, const struct bench *b, const struct weight *w, const float *x, float *y) {
    double best = 1e9, start = seconds(b), last = start;
    do {
        d->ops->matmul(d, w, x, b->rows, NULL, y);
        double now = seconds(b);
        if (now - last < best) best = now - last;
        last = now;
    } while (last - start < 0.3);
    return best;
}

static void bench_type(struct device *d, const struct bench *b, enum type type, const struct roofs *roofs) {
    // A few rows are held against the memory: more bytes than caches have.
    size_t row = type_row_bytes(type, b->cols), rows = b->rows;
    size_t outputs = rows < 8 ? BYTES / row : MANY, bytes = outputs * row;
    struct weight w = {type, outputs, b->cols, NULL, NULL};
    w.data = random_bytes(bytes);
    float *x = calloc(rows * b->cols, sizeof *x), *y = calloc(rows * outputs, sizeof *y);
    if (w.data && x && y && d->ops->bind(d, &w, NULL)) {
        for (size_t i = 0; i < rows * b->cols; i++) x[i] = (float)(i % 17) - 8;
        double start = now_seconds();
        d->ops->form_make(d, &w);
        double tiling = now_seconds() - start, best = best_time(d, b, &w, x, y);
        d->ops->unbind(d, &w);
        double rate = (double)bytes / best, work = 2.0 * (double)rows * (double)outputs * (double)b->cols / best;
        printf("%-6s %4zu rows  %7.2f GB/s %3.0f%% of reading  %7.1f Gop/s %3.0f%% of %s  tiled at %.1f GB/s\n",
               type_info(type)->name, rows, rate * 1e-9, 100 * rate / roofs->read, work * 1e-9,
               100 * work / most(roofs, type),
               type == TYPE_F32             ? "fp32"
               : type_info(type)->quantized ? "int8"
                                            : "int8 / 3",
               (double)bytes / tiling * 1e-9);
    }
    free(x);
    free(y);
    free((void *)w.data);
}

int bench(const struct bench *b) {
    gyr_error e;
    struct device *d = device_cpu(b->threads, b->isa, &e);
    if (!d) {
        printf("%s\n", e.message);
        return 1;
    }
    struct roofs r;
    device_cpu_roofs(d, 2, &r);
    printf("%s, %u threads: %.1f GB/s from memory; %.0f int8, %.0f fp32 Gop/s\n", device_cpu_isa(d),
           device_cpu_threads(d), r.read * 1e-9, r.int8 * 1e-9, r.fp32 * 1e-9);
    for (uint32_t t = 0; t < TYPE_LIMIT; t++)
        if (type_info(t) && (!b->type || !strcasecmp(b->type, type_info(t)->name)) && type_row_bytes(t, b->cols))
            bench_type(d, b, (enum type)t, &r);
    d->ops->close(d);
    return 0;
}
