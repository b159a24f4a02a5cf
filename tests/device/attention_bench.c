#include "attention_bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "device/cpu/cpu.h"
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

// Random bytes whose numbers, and whose scales, are small and not subnormal, which some chips are slow with; in the
// device's memory.
static uint8_t *random_pages(struct device *d, enum type type, size_t bytes) {
    uint32_t *p = d->ops->alloc(d, bytes + 4, NULL);
    uint32_t mask = type == TYPE_F32 ? 0xbaffffff : type == TYPE_F16 ? 0xa7ffa7ff : 0x38ffffff;
    uint32_t least = type == TYPE_F16 ? 0x20002000 : 0x38000000;
    for (size_t i = 0; p && i < bytes / 4 + 1; i++) p[i] = (random_bits() & mask) | least;
    return (uint8_t *)p;
}

// Reads n bytes, all but a few, in order.
static double read_seconds(struct device *d, const uint8_t *p, size_t n) {
    double start = thread_seconds();
    uint64_t sum = cpu_of(d)->kernels->read(p, n / 128 * 128);
    return thread_seconds() - start + (sum == 0x123456789 ? 1e-9 : 0); // so that it is not left out
}

static void time_shape(struct device *d, const struct shape *s, enum type type) {
    struct kv_shape kv = {type, s->kv_heads, s->dim, s->dim};
    size_t pages = (s->length + PAGE_TOKENS - 1) / PAGE_TOKENS, slabs = (pages + SLAB_PAGES - 1) / SLAB_PAGES,
           key = slabs * SLAB_PAGES * kv_key_bytes(&kv), layers = BYTES / key + 1;
    uint8_t *k = random_pages(d, type, layers * key), *v = random_pages(d, type, layers * key);
    uint32_t *table = malloc(pages * sizeof *table);
    for (size_t i = 0; i < pages; i++) table[i] = (uint32_t)i;
    uint8_t **slab = malloc(2 * slabs * sizeof *slab);
    size_t n = s->rows * s->heads * s->dim;
    float *q = random_floats(n), *out = malloc(n * sizeof *out);
    struct attention_row *row = malloc(s->rows * sizeof *row);
    for (size_t r = 0; r < s->rows; r++) row[r] = (struct attention_row){0, (uint32_t)(s->length - s->rows + r)};
    struct attention a = {
        s->rows, s->heads, kv, q, out, .at = {row, table, s->length}, .scale = 1 / sqrtf((float)s->dim)};
    // In turn with reading as many bytes, because the memory's other users come and go.
    double best = 1e9, read = 1e9, begin = thread_seconds();
    for (size_t i = 0; thread_seconds() - begin < 1 || i < 3; i++) {
        size_t layer = i % layers * key, other = (i + layers / 2) % layers * key;
        for (size_t n_slab = 0; n_slab < slabs; n_slab++) {
            slab[n_slab] = k + layer + n_slab * (key / slabs);
            slab[slabs + n_slab] = v + layer + n_slab * (key / slabs);
        }
        a.k = (struct kv_array){slab, 0};
        a.v = (struct kv_array){slab + slabs, 0};
        double start = thread_seconds();
        d->ops->attention(d, &a);
        best = fmin(best, thread_seconds() - start);
        read = fmin(read, read_seconds(d, k + other, key) + read_seconds(d, v + other, key));
    }
    double sums = 4.0 * (double)(s->heads * s->dim) * (double)s->rows * ((double)s->length - (double)(s->rows - 1) / 2);
    printf("%-10s %-4s %4zu rows at %5zu %9.1f us %6.2f GB/s %4.0f%% of memory %6.1f Gflop/s\n", s->name,
           type_info(type)->name, s->rows, s->length, best * 1e6, 2e-9 * (double)key / best, 100 * read / best,
           sums / best * 1e-9);
    d->ops->free(d, k);
    d->ops->free(d, v);
    free(table);
    free(slab);
    free(q);
    free(out);
    free(row);
}

int attention_bench(const char *isa, const char *only) {
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
    printf("%s, one thread\n", device_cpu_isa(d));
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        if (!only || strtoul(only, NULL, 10) == s)
            for (int t = 0; t < 3; t++) time_shape(d, &shapes[s], types[t]);
    d->ops->close(d);
    return 0;
}
