// Attention: near a double-precision reference, and the same bytes alone or in a batch, on any number of threads, with
// any instruction set, wherever the pages lie. `--bench [SHAPE]` times it instead; GYR_ISA chooses.
#include "device/device.h"

#include "attention_bench.h"
#include "cache.h"
#include "devices.h"
#include "random.h"
#include "reference.h"
#include "test.h"

enum { ROWS = 40 };

static void check_reference(const struct attention *a, bool near) {
    double *want = malloc(a->kv.value_dim * sizeof *want);
    float *bytes = malloc(a->kv.value_dim * sizeof *bytes);
    for (size_t r = 0; r < a->rows; r++)
        for (size_t h = 0; h < a->heads; h++) {
            size_t bad = 0, dim = a->kv.value_dim;
            if (near) ref_attention(a, r, h, want);
            ref_attention_bytes(a, r, h, bytes);
            check_same("attention as it is promised", 0, a->out + (r * a->heads + h) * dim, bytes, dim);
            for (size_t i = 0; i < dim && near; i++)
                bad += !(fabs((double)a->out[(r * a->heads + h) * dim + i] - want[i]) <=
                         (a->kv.type == TYPE_Q8_0 ? 0.05 : 2e-5));
            CHECK_INT(bad, 0);
        }
    free(want);
    free(bytes);
}

// The rows [first, first + n) alone.
static struct attention part(const struct attention *a, size_t first, size_t n, float *out) {
    struct attention p = *a;
    p.rows = n;
    p.at.row += first;
    if (a->chosen) p.chosen += first * a->most;
    p.q += first * a->heads * a->kv.key_dim;
    p.out = out;
    return p;
}

static void check_cuts(const struct attention *a, int d, const float *want, float *got) {
    size_t row = a->heads * a->kv.value_dim;
    for (size_t r = 0, n; r < a->rows; r += n) {
        n = random_size(1, a->rows - r);
        struct attention p = part(a, r, n, got);
        devices[d]->ops->attention(devices[d], &p);
        check_same("some rows alone", d, got, want + r * row, n * row);
    }
}

// How large queries are: with large ones few positions count, and the others' weights are subnormal or zero.
static float query_size = 2;

// For each row as many of its positions as it may attend to, ascending.
static int32_t *choose(const struct attention *a) {
    int32_t *chosen = malloc(a->rows * a->most * sizeof *chosen);
    for (size_t r = 0; r < a->rows; r++) {
        size_t n = a->at.row[r].position + 1u, left = a->most;
        int32_t *out = chosen + r * a->most;
        for (size_t t = 0; t < n && n > a->most; t++)
            if (random_size(1, n - t) <= left) *out++ = (int32_t)t, left--;
    }
    return chosen;
}

// Whether rows see positions after their own.
static bool both_ways;

// Everything random that `a` leaves open: rows of `sequences` sequences, in runs of neighbouring positions.
static void try(struct attention a, size_t sequences, size_t length, bool slopes) {
    struct cache c = random_cache(a.kv, sequences, length);
    struct attention_row row[ROWS];
    for (size_t r = 0, s = 0, p = 0; r < a.rows; r++, p++) {
        bool other = r == 0 || p == length || random_size(0, 9) == 0;
        if (other) s = random_size(0, sequences - 1), p = random_size(0, length - 1);
        row[r] = (struct attention_row){(uint32_t)(s * c.per_sequence), (uint32_t)p};
        if (both_ways) row[r].ahead = (uint32_t)random_size(0, length - 1 - p);
    }
    size_t q = a.rows * a.heads * a.kv.key_dim, n = a.rows * a.heads * a.kv.value_dim;
    float *queries = malloc(q * sizeof *queries), *per_head = malloc(2 * a.heads * sizeof *per_head);
    float *want = malloc(n * sizeof *want), *got = malloc(n * sizeof *got);
    for (size_t i = 0; i < q; i++) queries[i] = random_float() * query_size;
    for (size_t h = 0; h < a.heads; h++) {
        per_head[h] = 1 / (float)(h + 2);
        per_head[a.heads + h] = random_float() * 3;
    }
    a.q = queries;
    a.k = c.k;
    a.v = c.v;
    a.at = (struct seats){row, c.table, length};
    a.scale = 1 / sqrtf((float)a.kv.key_dim);
    int32_t *chosen = a.most ? choose(&a) : NULL;
    a.chosen = chosen;
    if (slopes) a.slopes = per_head;
    if (a.sinks) a.sinks = per_head + a.heads;
    for (int d = 0; d < count; d++) {
        a.out = d ? got : want;
        devices[d]->ops->attention(devices[d], &a);
        if (d) check_same("attention", d, got, want, n);
        if (!d) check_reference(&a, query_size <= 2);
        check_cuts(&a, d, want, got);
    }
    free_cache(&c);
    free(chosen);
    free(queries);
    free(per_head);
    free(want);
    free(got);
}

static const enum type types[] = {TYPE_F32, TYPE_F16, TYPE_Q8_0};

static void shapes(void) {
    static const size_t dims[] = {64, 128, 80, 96, 8, 17, 1, 256, 192, 576};
    for (size_t i = 0; i < test_times(50, 10); i++) {
        size_t dim = dims[i % 10], kv_heads = random_size(1, 3),
               group = i % 5 == 4 ? test_times(71, 17) : random_size(1, 4);
        struct attention a = {.rows = i % 6 ? random_size(1, 4) : 1, .heads = kv_heads * group};
        a.kv = (struct kv_shape){types[i % 3], kv_heads, dim, i % 4 ? dim : random_size(1, 150)};
        try(a, 2, i % 3 || dim > 256 ? 70 : test_times(1100, 600), false);
    }
}

static void positions(void) {
    for (size_t i = 0; i < test_times(12, 6); i++) {
        struct attention a = {.rows = 3, .heads = 4, .kv = {types[i % 3], 2, 16, 16}, .alibi_bf16 = i % 2};
        try(a, 2, 700, true);
    }
}

// Windows, soft caps and sinks, one by one and together.
static void variants(void) {
    static const float sinks; // which ones there are is try()'s choice
    for (size_t i = 0; i < 64; i += test_times(1, 7)) {
        struct attention a = {.rows = random_size(1, 5), .heads = 6, .kv = {types[i % 3], 3, 24, 20}};
        if (i & 1) a.window = (uint32_t)random_size(1, i & 8 ? 40 : 600);
        if (i & 2) a.softcap = 1.5f;
        if (i & 4) a.sinks = &sinks;
        try(a, 1, test_times(1200, 700), i & 16);
    }
}

// Attention to some positions, of rows that have more than those and of rows that have fewer.
static void choices(void) {
    for (size_t i = 0; i < test_times(45, 9); i++) {
        size_t kv_heads = random_size(1, 2), most = i % 5 ? random_size(1, 90) : random_size(500, 1100);
        struct attention a = {.rows = random_size(1, 6),
                              .heads = kv_heads * random_size(1, i % 9 ? 8 : test_times(110, 20))};
        a.kv = (struct kv_shape){types[i % 3], kv_heads, random_size(1, 100), random_size(1, 100)};
        a.most = most;
        if (i % 4 == 1) a.softcap = 2;
        try(a, 2, most < 100 ? 200 : 1300, false);
    }
}

// Scores so far apart that weights become subnormal and zero.
static void far_scores(void) {
    for (size_t i = 0; i < 12; i++) {
        query_size = i < 6 ? 40 : 300;
        try((struct attention){.rows = 2, .heads = 4, .kv = {types[i % 3], 2, 32, 16}}, 1, 600, i % 2);
    }
    query_size = 2;
}

// As a prompt is fed: many neighbouring rows.
static void prompts(void) {
    for (size_t i = 0; i < 9; i += test_times(1, 2)) {
        bool few = i / 2 % 2;
        struct attention a = {.rows = ROWS, .heads = few ? 8 : 3, .kv = {types[i % 3], 1, 32, 32}};
        if (i > 5) a.window = (uint32_t)random_size(1, 50);
        try(a, 1, few ? 200 : 540, false);
    }
}

// Rows that see what comes after them, with windows and without, of which some end before the next span.
static void what_comes_after(void) {
    both_ways = true;
    for (size_t i = 0; i < 16; i += test_times(1, 5)) {
        struct attention a = {.rows = i % 4 ? ROWS : random_size(1, 5), .heads = 6, .kv = {types[i % 3], 3, 24, 20}};
        if (i & 1) a.window = (uint32_t)random_size(1, i & 8 ? 40 : 600);
        if (i & 2) a.softcap = 1.5f;
        try(a, 2, i & 4 ? test_times(1200, 700) : 90, false);
    }
    both_ways = false;
}

// Where a page lies does not matter.
static void pages_do_not_matter(void) {
    enum { TOKENS = 300, DIM = 32, PAGES = 10 };
    float *x = random_floats(2 * TOKENS * DIM), *q = random_floats(DIM), out[2][DIM];
    uint32_t table[2][PAGES];
    for (int i = 0; i < 2; i++) {
        struct kv_shape s = {TYPE_F32, 1, DIM, DIM};
        struct cache c = random_cache(s, 1, TOKENS);
        memcpy(table[i], c.table, sizeof table[i]);
        for (size_t t = 0; t < TOKENS; t++) {
            kv_write_key(&s, c.k, c.table[t / PAGE_TOKENS], 0, t % PAGE_TOKENS, x + t * DIM);
            kv_write_value(&s, c.v, c.table[t / PAGE_TOKENS], 0, t % PAGE_TOKENS, x + (TOKENS + t) * DIM);
        }
        struct attention_row row = {0, TOKENS - 1};
        struct attention a = {1, 1, s, q, out[i], c.k, c.v, {&row, c.table, TOKENS}, .scale = 0.2f};
        devices[0]->ops->attention(devices[0], &a);
        free_cache(&c);
    }
    CHECK(memcmp(table[0], table[1], sizeof table[0]));
    CHECK(!memcmp(out[0], out[1], sizeof out[0]));
    free(x);
    free(q);
}

// What the cache gives back is what was written, to the precision of its type.
static void precision(void) {
    static const double most[] = {0, 0x1p-11, 0.6 / 127};
    for (size_t i = 0; i < 60; i++) {
        size_t dim = random_size(1, 200), n = dim * PAGE_TOKENS;
        struct kv_shape s = {types[i % 3], 2, dim, dim};
        struct kv_array pages[2];
        make_slabs(&s, 3, &pages[0], &pages[1]);
        float *x = malloc(2 * n * sizeof *x);
        for (size_t k = 0; k < 2 * n; k++) x[k] = random_float();
        for (size_t t = 0; t < PAGE_TOKENS; t++) {
            kv_write_key(&s, pages[0], 1, 1, t, x + t * dim);
            kv_write_value(&s, pages[1], 1, 1, t, x + n + t * dim);
        }
        for (size_t t = 0; t < 2 * PAGE_TOKENS; t++) {
            bool value = t >= PAGE_TOKENS;
            struct kv_vector v = (value ? kv_value : kv_key)(&s, pages[value], 1, 1, t % PAGE_TOKENS);
            double got[200];
            ref_vector(&v, got);
            for (size_t k = 0; k < dim; k++)
                CHECK(fabs(got[k] - (double)x[t * dim + k]) <= most[i % 3] * (v.key && v.type == TYPE_Q8_0 ? 4 : 1));
        }
        for (size_t k = 0; k < kv_key_bytes(&s); k++)
            CHECK(!kv_keys(&s, pages[0], 0, 0)[k] && !kv_values(&s, pages[1], 2, 0)[k]);
        free(x);
        free_slabs(pages[0]);
    }
}

// A key or a value that is no number makes what sees it none, and nothing else.
static void nan_is_seen(void) {
    enum { DIM = 40, TOKENS = 40 };
    static const float bad[] = {NAN, -NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < 24; i++) {
        struct kv_shape s = {types[i % 3], 1, DIM, DIM};
        struct cache c = random_cache(s, 1, TOKENS);
        float x[DIM] = {1, 2, bad[i / 6], 3}, *q = random_floats(2 * DIM), out[2 * DIM];
        if (i / 3 % 2)
            kv_write_key(&s, c.k, c.table[0], 0, 20, x);
        else
            kv_write_value(&s, c.v, c.table[0], 0, 20, x);
        struct attention_row row[] = {{0, 19}, {0, TOKENS - 1}};
        struct attention a = {2, 1, s, q, out, c.k, c.v, {row, c.table, TOKENS}, .scale = 0.1f};
        for (int d = 0; d < count; d++) {
            devices[d]->ops->attention(devices[d], &a);
            for (size_t k = 0; k < DIM; k++) CHECK(isfinite(out[k]));
            if (i % 3 == 2)
                for (size_t k = 0; k < DIM; k++) CHECK(isnan(out[DIM + k]));
            bool seen = false;
            for (size_t k = 0; k < DIM; k++) seen |= !isfinite(out[DIM + k]);
            CHECK(seen || (i / 3 % 2 && isinf(bad[i / 6])));
        }
        free(q);
        free_cache(&c);
    }
}

// Scales that are zero, subnormal, and as large as can be: the bytes that are promised, and numbers where there are
// any.
static void scales_of_all_sizes(void) {
    enum { DIM = 24, TOKENS = 600 };
    static const float sizes[] = {0, 1e-45f, 3e-44f, 1e-39f, 1e-34f, 1, 1e15f, 1e30f};
    for (size_t i = 0; i < 24; i++) {
        struct kv_shape s = {TYPE_Q8_0, 1, DIM, DIM};
        struct cache c = random_cache(s, 1, TOKENS);
        float x[DIM], *q = random_floats(DIM), out[DIM], want[DIM];
        for (size_t t = i % 3 ? 0 : 100; t < TOKENS; t++) {
            for (size_t k = 0; k < DIM; k++) x[k] = random_float() * sizes[i % 8];
            if (i < 16) kv_write_value(&s, c.v, c.table[t / PAGE_TOKENS], 0, t % PAGE_TOKENS, x);
            if (i >= 8) kv_write_key(&s, c.k, c.table[t / PAGE_TOKENS], 0, t % PAGE_TOKENS, x);
        }
        struct attention_row row = {0, TOKENS - 1};
        struct attention a = {1, 1, s, q, out, c.k, c.v, {&row, c.table, TOKENS}, .scale = 0.1f};
        for (int d = 0; d < count; d++) {
            devices[d]->ops->attention(devices[d], &a);
            ref_attention_bytes(&a, 0, 0, want);
            check_same("a scale", d, out, want, DIM);
            for (size_t k = 0; k < DIM; k++) CHECK(isfinite(out[k]));
        }
        free(q);
        free_cache(&c);
    }
}

int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "--bench")) return attention_bench(getenv("GYR_ISA"), argv[2]);
    open_devices();
    RUN(precision);
    RUN(nan_is_seen);
    RUN(scales_of_all_sizes);
    RUN(shapes);
    RUN(positions);
    RUN(variants);
    RUN(choices);
    RUN(far_scores);
    RUN(prompts);
    RUN(what_comes_after);
    RUN(pages_do_not_matter);
    close_devices();
    return test_end();
}
