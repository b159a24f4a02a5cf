#include "attention_bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "device/device.h"
#include "random.h"

// So many layers take turns that the caches hold none of them: as in a model.
enum { BYTES = 160 << 20 };

struct shape {
    const char *name;
    size_t heads, kv_heads, dim, rows, length;
};

// Time of this thread alone, whatever else the machine does.
static double thread_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

// Random bytes whose numbers are small.
static uint8_t *random_pages(enum type type, size_t bytes) {
    uint32_t *p = malloc(bytes + 4);
    uint32_t mask = type == TYPE_F32 ? 0xbf7fffff : type == TYPE_F16 ? 0xbbffbbff : 0x2fff2fff;
    for (size_t i = 0; i < bytes / 4 + 1; i++) p[i] = random_bits() & mask;
    return (uint8_t *)p;
}

static void time_shape(struct device *d, const struct shape *s, enum type type, double roof) {
    struct kv_shape kv = {type, s->kv_heads, s->dim, s->dim};
    size_t pages = (s->length + PAGE_TOKENS - 1) / PAGE_TOKENS, key = pages * kv_key_bytes(&kv),
           layers = BYTES / key + 1;
    uint8_t *k = random_pages(type, layers * key), *v = random_pages(type, layers * key);
    uint32_t *table = malloc(pages * sizeof *table);
    for (size_t i = 0; i < pages; i++) table[i] = (uint32_t)((i * 7919 + 13) % pages);
    size_t n = s->rows * s->heads * s->dim;
    float *q = random_floats(n), *out = malloc(n * sizeof *out);
    struct attention_row *row = malloc(s->rows * sizeof *row);
    for (size_t r = 0; r < s->rows; r++) row[r] = (struct attention_row){table, (uint32_t)(s->length - s->rows + r)};
    struct attention a = {s->rows, s->heads, kv, q, out, k, v, row, .scale = 1 / sqrtf((float)s->dim)};
    double best = 1e9, start = thread_seconds(), last = start;
    for (size_t i = 0; last - start < 0.5 || i < 3; i++) {
        a.k = k + i % layers * key;
        a.v = v + i % layers * key;
        d->ops->attention(d, &a);
        double now = thread_seconds();
        if (now - last < best) best = now - last;
        last = now;
    }
    double rate = 2 * (double)key / best;
    double sums = 4.0 * (double)(s->heads * s->dim) * (double)s->rows * ((double)s->length - (double)(s->rows - 1) / 2);
    printf("%-10s %-4s %4zu rows at %5zu %9.1f us %7.2f GB/s %4.0f%% of memory %7.1f Gflop/s\n", s->name,
           type_info(type)->name, s->rows, s->length, best * 1e6, rate * 1e-9, 100 * rate / roof, sums / best * 1e-9);
    free(k);
    free(v);
    free(table);
    free(q);
    free(out);
    free(row);
}

int attention_bench(const char *isa) {
    static const struct shape shapes[] = {
        {"falcon-7b", 71, 1, 64, 1, 8192},   {"gqa 32/8", 32, 8, 128, 1, 8192},   {"mha 32", 32, 32, 128, 1, 8192},
        {"falcon-7b", 71, 1, 64, 256, 512},  {"gqa 32/8", 32, 8, 128, 256, 512},  {"mha 32", 32, 32, 128, 256, 512},
        {"falcon-7b", 71, 1, 64, 256, 4096}, {"gqa 32/8", 32, 8, 128, 256, 4096},
    };
    static const enum type types[] = {TYPE_F32, TYPE_F16, TYPE_Q8_0};
    gyr_error e;
    struct device *d = device_cpu(1, isa, &e);
    if (!d) {
        printf("%s\n", e.message);
        return 1;
    }
    double roof = device_cpu_bandwidth(d, 1);
    printf("%s, one thread: %.1f GB/s from memory\n", device_cpu_isa(d), roof * 1e-9);
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int t = 0; t < 3; t++) time_shape(d, &shapes[s], types[t], roof);
    d->ops->close(d);
    return 0;
}
