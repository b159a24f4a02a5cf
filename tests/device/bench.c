#include "bench.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "device/device.h"

enum { OUTPUTS = 16384, INPUTS = 4096 };

// Random bytes as weights: what they say does not matter here, only how long they take.
static void *random_bytes(size_t n) {
    uint32_t *p = malloc(n / 4 * 4 + 4), state = 1;
    for (size_t i = 0; p && i < n / 4 + 1; i++) p[i] = (state = state * 1664525 + 1013904223) & 0xbfbfbfbf;
    return p;
}

static void bench_type(struct device *d, enum type type, unsigned rows, double roof) {
    struct weight w = {type, OUTPUTS, INPUTS, NULL, NULL};
    size_t bytes = OUTPUTS * type_row_bytes(type, INPUTS);
    w.data = random_bytes(bytes);
    float *x = calloc(rows * (size_t)INPUTS, sizeof *x), *y = calloc(rows * (size_t)OUTPUTS, sizeof *y);
    if (w.data && x && y && d->ops->bind(d, &w, NULL)) {
        for (size_t i = 0; i < rows * (size_t)INPUTS; i++) x[i] = (float)(i % 17) - 8;
        double best = 1e9, start = now_seconds(), last = start;
        do {
            d->ops->matmul(d, &w, x, rows, NULL, y);
            double now = now_seconds();
            if (now - last < best) best = now - last;
            last = now;
        } while (last - start < 0.3);
        double rate = (double)bytes / best;
        printf("%-5s %4u rows %7.2f GB/s  %4.0f%% of memory  %7.1f Gop/s\n", type_info(type)->name, rows, rate * 1e-9,
               100 * rate / roof, 2e-9 * rows * OUTPUTS * INPUTS / best);
    }
    free(x);
    free(y);
    free((void *)w.data);
}

int bench(const char *isa, unsigned threads, unsigned rows) {
    gyr_error e;
    struct device *d = device_cpu(threads, isa, &e);
    if (!d) {
        printf("%s\n", e.message);
        return 1;
    }
    struct roofs r;
    device_cpu_roofs(d, 2, &r);
    double roof = r.read;
    printf("%s, %u threads: %.1f GB/s from memory; %.0f int8, %.0f bf16, %.0f fp32 Gop/s\n", device_cpu_isa(d),
           device_cpu_threads(d), r.read * 1e-9, r.int8 * 1e-9, r.bf16 * 1e-9, r.fp32 * 1e-9);
    for (uint32_t t = 0; t < TYPE_LIMIT; t++)
        if (type_info(t)) bench_type(d, (enum type)t, rows, roof);
    d->ops->close(d);
    return 0;
}
