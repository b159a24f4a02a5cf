// Matrix products: the bytes that tests/device/reference.c spells out, for every element type and instruction set, any
// number of rows and threads, from tiles and from the file's rows.
#include "device/cpu/cpu.h"
#include "device/cpu/tile_w16.h"

#include "devices.h"
#include "random.h"
#include "reference.h"
#include "test.h"

enum { MANY = 49 }; // rows, which AMX takes sixteen at once, and then the rest

static bool same(float a, float b) { return !memcmp(&a, &b, sizeof a) || (isnan(a) && isnan(b)); }

static void check_bytes(const char *what, int device, const float *got, const float *want, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!same(got[i], want[i])) {
            printf("%s, %s: [%zu] is %a, not %a\n", what, device_cpu_isa(devices[device]), i, (double)got[i],
                   (double)want[i]);
            CHECK(!"the same bytes");
            return;
        }
}

static void check_near(const char *what, double got, double want, double tolerance) {
    if (!(fabs(got - want) <= tolerance)) {
        printf("%s: %g, not %g within %g\n", what, got, want, tolerance);
        CHECK(!"near the reference");
    }
}

static float reference(const struct weight *w, size_t o, const float *x, const float *bias) {
    return (type_info(w->type)->quantized ? ref_dot_q
            : is_w16(w->type)             ? ref_dot_16
                                          : ref_dot_f)(w, o, x, bias ? bias[o] : 0, bias);
}

// One product on every device: those of odd number have tiles.
static void check_product(struct weight *w, const float *x, size_t rows, const float *bias, const float *want) {
    const char *name = type_info(w->type)->name;
    float *got = malloc(rows * w->rows * sizeof *got);
    for (int d = 0; d < count; d++)
        for (int tiled = 0; tiled < 2; tiled++) {
            if (d > 1 && tiled == (int)(random_bits() % 2)) continue;
            const struct device_ops *ops = devices[d]->ops;
            REQUIRE(ops->bind(devices[d], w, NULL));
            if (tiled) CHECK(ops->form_make(devices[d], w));
            CHECK(!tiled == !w->own);
            memset(got, 255, rows * w->rows * sizeof *got);
            ops->matmul(devices[d], w, x, rows, bias, got);
            check_bytes(name, d, got, want, rows * w->rows);
            ops->unbind(devices[d], w);
            CHECK(!w->own);
        }
    free(got);
}

// How far rounding to integers of 16 bits, and the product of the low planes, can lead: half a unit of the largest
// weight and activation each, and 128 units of one times as many of the other.
static double most_of_integers(const struct weight *w, size_t o, const float *x) {
    float most[2] = {0}, *row = malloc(w->cols * sizeof *row);
    size_t stride = type_row_bytes(w->type, w->cols);
    type_decode(w->type, (const char *)w->data + o * stride, 0, w->cols, row);
    for (size_t i = 0; i < w->cols; i++) {
        most[0] = fmaxf(most[0], fabsf(row[i]));
        most[1] = fmaxf(most[1], fabsf(x[i]));
    }
    free(row);
    return (double)w->cols * (double)most[0] * (double)most[1] * 0x1p-13;
}

static void matmul(enum type type, size_t rows, size_t outputs, size_t cols) {
    const struct type_info *info = type_info(type);
    struct weight w = random_weight(type, outputs, cols);
    float *x = random_floats(rows * cols), *b = random_floats(outputs), *bias = rows % 2 ? b : NULL;
    float *want = malloc(rows * outputs * sizeof *want);
    for (size_t r = 0; r < rows; r++)
        for (size_t o = 0; o < outputs; o++) {
            double size, exact = ref_dot(&w, o, x + r * cols, &size) + (bias ? (double)b[o] : 0);
            float y = want[r * outputs + o] = reference(&w, o, x + r * cols, bias);
            if (bias) size += fabs((double)b[o]);
            double near = size * 1e-5 + (is_w16(type) ? most_of_integers(&w, o, x + r * cols) : 0);
            if (!info->quantized) check_near(info->name, (double)y, exact, near + 1e-30);
        }
    check_product(&w, x, rows, bias, want);
    free(x);
    free(b);
    free(want);
    free((void *)w.data);
}

static void every_type(void) {
    static const size_t rows[] = {1, 2, 3, 4, 5, 6, 7, 8, 13, 24, 29, 71};
    size_t step = test_times(1, 4); // where that is slow, a type has a few of the numbers and the next the next ones
    for (uint32_t t = 0; t < TYPE_LIMIT; t++)
        for (size_t i = t % step; type_info(t) && i < sizeof rows / sizeof *rows; i += step) {
            size_t block = type_info(t)->quantized ? type_info(t)->block : 1;
            matmul((enum type)t, rows[i], random_size(1, i ? 20 : 40),
                   block * random_size(1, (rows[i] > 20 ? 1200 : 3000) / block));
        }
}

// More rows than a panel, a task and a pass have, and shapes of one of everything.
static void many_rows(void) {
    static const enum type types[] = {TYPE_F32,  TYPE_F16,  TYPE_BF16, TYPE_Q4_0,
                                      TYPE_Q8_0, TYPE_Q2_K, TYPE_Q4_K, TYPE_Q6_K};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        matmul(types[i], random_size(16, test_times(40, 20)), 33, 512);
        matmul(types[i], random_size(129, 140), 3, 256);
        matmul(types[i], 1, 1, type_info(types[i])->block);
    }
    matmul(TYPE_F16, 523, test_times(5, 1), 8 * 512 + 1);
    matmul(TYPE_BF16, test_times(70, 22), 18, 2 * 8 * 512 - 63);
    matmul(TYPE_Q8_0, 515, 1, 64);
    matmul(TYPE_Q4_1, 49, test_times(70, 18), 32 * 81);
    matmul(TYPE_MXFP4, 100, test_times(130, 40), 32 * 9);
    matmul(TYPE_Q5_0, 531, test_times(2, 1), 32 * 150);
    matmul(TYPE_F32, 2, 35, 1);
}

// F32 weights whose elements are F16's or BF16's.
static struct weight exact_weight(enum type exact, size_t outputs, size_t cols) {
    struct weight w = random_weight(TYPE_F32, outputs, cols);
    float *x = (float *)(uintptr_t)w.data;
    uint16_t half;
    for (size_t i = 0; i < outputs * cols; i++) {
        type_info(exact)->encode(&x[i], 1, &half);
        type_decode(exact, &half, 0, 1, &x[i]);
    }
    w.exact = exact;
    return w;
}

// The device keeps them in 16 bits, and gives the bytes of floats.
static void floats_of_16_bits(void) {
    static const size_t rows[] = {1, 2, 5, 13}, cols[] = {16, 33, 576};
    for (int bf16 = 0; bf16 < 2; bf16++)
        for (size_t i = 0; i < 12; i++) {
            size_t n = rows[i / 3], outputs = random_size(1, 40);
            struct weight w = exact_weight(bf16 ? TYPE_BF16 : TYPE_F16, outputs, cols[i % 3]);
            float *x = random_floats(n * w.cols), *want = malloc(n * outputs * sizeof *want);
            for (size_t k = 0; k < n * outputs; k++)
                want[k] = ref_dot_f(&w, k % outputs, x + k / outputs * w.cols, 0, NULL);
            check_product(&w, x, n, NULL, want);
            free(x);
            free(want);
            free((void *)w.data);
        }
}

// y += b (a x) at once is the two products and the sum.
static void adapts(void) {
    for (size_t rows = 1; rows < 9; rows += 3) {
        struct lora l = {exact_weight(TYPE_F16, 16, 100), random_weight(TYPE_F32, 70, 16)};
        float *x = random_floats(rows * 100), *y = random_floats(rows * 70), *narrow = malloc(rows * 16 * sizeof *x);
        float *want = malloc(rows * 70 * sizeof *x), *got = malloc(rows * 70 * sizeof *x);
        float *work = malloc(adapt_floats(&l, rows) * sizeof *work);
        for (size_t k = 0; k < rows * 16; k++) narrow[k] = ref_dot_f(&l.a, k % 16, x + k / 16 * 100, 0, NULL);
        for (size_t k = 0; k < rows * 70; k++) want[k] = y[k] + ref_dot_f(&l.b, k % 70, narrow + k / 70 * 16, 0, NULL);
        for (int d = 0; d < count; d++) {
            const struct device_ops *ops = devices[d]->ops;
            REQUIRE(ops->bind(devices[d], &l.a, NULL) && ops->bind(devices[d], &l.b, NULL));
            if (d % 2) CHECK(ops->form_make(devices[d], &l.a) && ops->form_make(devices[d], &l.b));
            memcpy(got, y, rows * 70 * sizeof *y);
            ops->adapt(devices[d], &(struct adapting){&l, x, rows, got, work}, 1);
            check_bytes("adapt", d, got, want, rows * 70);
            ops->unbind(devices[d], &l.a);
            ops->unbind(devices[d], &l.b);
        }
        void *all[] = {x, y, narrow, want, got, work, (void *)(uintptr_t)l.a.data, (void *)(uintptr_t)l.b.data};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    }
}

// With activations that int8 holds exactly, the quantized product is the exact one up to float's rounding.
static void exact_on_integers(void) {
    for (uint32_t t = 0; t < TYPE_LIMIT; t++) {
        if (!type_info(t) || !type_info(t)->quantized) continue;
        struct weight w = random_weight((enum type)t, 3, 256 * random_size(1, 9));
        float *x = random_floats(w.cols), y[3];
        for (size_t i = 0; i < w.cols; i++)
            x[i] = i % GROUP ? (float)((int)(random_bits() % 255) - 127) : random_bits() % 2 ? 127 : -127;
        for (int d = 0; d < count; d++) {
            REQUIRE(devices[d]->ops->bind(devices[d], &w, NULL));
            devices[d]->ops->matmul(devices[d], &w, x, 1, NULL, y);
            for (int o = 0; o < 3; o++) {
                double size, exact = ref_dot(&w, (size_t)o, x, &size);
                check_near(type_info(t)->name, (double)y[o], exact, size * 2e-6);
            }
        }
        free(x);
        free((void *)w.data);
    }
}

// The largest codes and activations of either sign, where a byte product could saturate, and the smallest.
static void extremes(void) {
    for (uint32_t t = 0; t < TYPE_LIMIT; t++) {
        if (!type_info(t) || !type_info(t)->quantized) continue;
        for (int fill = 0; fill < 256; fill += fill == 127 ? 1 : 127) {
            size_t cols = 512, bytes = type_row_bytes((enum type)t, cols);
            struct weight w = {(enum type)t, 1, cols, malloc(bytes), NULL};
            memset((void *)w.data, fill, bytes);
            float x[MANY * 512], want[MANY];
            for (size_t i = 0; i < MANY * cols; i++) {
                size_t r = i / cols % 4;
                x[i] = r == 3 ? 0 : r == 0 || (r == 1 && i % 2) ? 127 : -127;
            }
            for (size_t r = 0; r < MANY; r++) want[r] = reference(&w, 0, x + r * cols, NULL);
            check_product(&w, x, MANY, NULL, want);
            check_product(&w, x, 4, NULL, want);
            check_product(&w, x + cols, 1, NULL, want + 1);
            free((void *)w.data);
        }
    }
}

// Any bits at all: subnormals, infinities and NaNs, of weights and of activations.
static void any_bits(void) {
    for (uint32_t t = 0; t < TYPE_LIMIT; t++) {
        if (!type_info(t)) continue;
        size_t rows = MANY, outputs = 17, cols = 256, bytes = outputs * type_row_bytes((enum type)t, cols);
        struct weight w = {(enum type)t, outputs, cols, malloc(bytes), NULL};
        for (size_t i = 0; i < bytes; i++) ((uint8_t *)w.data)[i] = (uint8_t)random_bits();
        float x[MANY * 256], want[MANY * 17];
        for (size_t i = 0; i < rows * cols; i++) {
            uint32_t bits = random_bits() & (i % 3 ? 0x807fffff : 0x9fffffff);
            memcpy(x + i, &bits, sizeof bits);
        }
        x[cols + 40] = NAN;
        x[2 * cols + 40] = -INFINITY;
        for (size_t i = 0; i < rows * outputs; i++) want[i] = reference(&w, i % outputs, x + i / outputs * cols, NULL);
        CHECK(isnan(want[outputs]));
        check_product(&w, x, rows, NULL, want);
        check_product(&w, x, 4, NULL, want);
        free((void *)w.data);
    }
}

// Runs of nothing, of the smallest and the largest numbers, of one number among zeros, with an infinity or a NaN; of
// weights and of activations, each with each.
static void odd_runs(void) {
    enum { COLS = 8 * 128, KINDS = 8, REST = 3 };
    static const uint16_t numbers[2][KINDS] = {{0, 1, 0x03ff, 0x7bff, 0xfbff, 0x7c00, 0xfc00, 0x7e00},
                                               {0, 1, 0x007f, 0x7f7f, 0xff7f, 0x7f80, 0xff80, 0x7fc0}};
    static const float floats[KINDS] = {0, 1e-45f, 1e-39f, 3.4e38f, -3.4e38f, INFINITY, -INFINITY, NAN};
    for (int b = 0; b < 2; b++) {
        struct weight w = random_weight(b ? TYPE_BF16 : TYPE_F16, KINDS + REST, COLS);
        float x[KINDS * COLS], want[KINDS * (KINDS + REST)];
        uint16_t *h = (uint16_t *)w.data;
        for (size_t i = 0; i < (size_t)KINDS * COLS; i++) {
            size_t kind = i / COLS, segment = i % COLS / 128;
            if (segment == 3) h[i] = numbers[b][kind], x[i] = floats[kind]; // all
            if (segment == 4)
                h[i] = i % 128 == kind * 9 ? numbers[b][kind] : 0, x[i] = i % 128 == 77 ? floats[kind] : 0;
            if (segment < 3 || segment > 4) x[i] = 2 * random_float();
        }
        for (size_t i = 0; i < KINDS * (KINDS + REST); i++) {
            size_t o = i % (KINDS + REST), r = i / (KINDS + REST);
            want[i] = reference(&w, o, x + r * COLS, NULL);
            bool bad = r > 4 || (o > 4 && o < KINDS), vast = r > 2 && o > 2; // what is infinite or a NaN, what may be
            CHECK(bad ? isnan(want[i]) : vast || isfinite(want[i]));
        }
        check_product(&w, x, KINDS, NULL, want);
        for (size_t r = 0; r < KINDS; r++) check_product(&w, x + r * COLS, 1, NULL, want + r * (KINDS + REST));
        free((void *)w.data);
    }
}

// What has no more bits than the integers is exact: halves of four binades, bfloat16s of seven.
static void exact_weights(void) {
    for (int b = 0; b < 2; b++) {
        enum { COLS = 700 };
        struct weight w = random_weight(b ? TYPE_BF16 : TYPE_F16, 1, COLS);
        float x[COLS], y, values[COLS];
        uint16_t *h = (uint16_t *)w.data;
        for (size_t i = 0; i < COLS; i++) {
            unsigned low = random_bits() % (b ? 0x7f : 0x3f0),
                     binade = b ? 121 + random_bits() % 7 : 12 + random_bits() % 4;
            h[i] = (uint16_t)(i % 64 ? binade << (b ? 7 : 10) | low | (random_bits() & 1) << 15 : 0);
        }
        type_decode(w.type, w.data, 0, COLS, values);
        for (size_t at = 1; at < COLS; at += 1 + at % 3) {
            // The largest makes the unit 1; 256 of it have no low part.
            for (size_t i = 0; i < COLS; i++) x[i] = i == at && i % 64 ? 256 : i % 64 ? 0 : MAX_W16;
            for (int d = 0; d < count; d++) {
                REQUIRE(devices[d]->ops->bind(devices[d], &w, NULL));
                devices[d]->ops->matmul(devices[d], &w, x, 1, NULL, &y);
                CHECK(y == 256 * values[at]);
            }
        }
        free((void *)w.data);
    }
}

// Bytes of a block of a tile's sixteen rows, where they are not those of the file's.
static const size_t larger[TYPE_LIMIT] = {
    [TYPE_IQ1_S] = 1632, [TYPE_IQ1_M] = 1696,   [TYPE_IQ2_XXS] = 1632, [TYPE_IQ2_XS] = 1696,
    [TYPE_IQ2_S] = 1696, [TYPE_IQ3_XXS] = 2144, [TYPE_IQ3_S] = 2144,   [TYPE_TQ1_0] = 1056,
};

// A tile's pieces are the same as the tile made at once; a run is the same whatever instruction set makes it.
static void tiles(void) {
    for (uint32_t t = 0; t < TYPE_LIMIT; t++) {
        if (!type_info(t) || is_w16((enum type)t)) continue;
        struct weight w = random_weight((enum type)t, 19, 1280);
        const struct form *f = tile_form((enum type)t);
        size_t size = tile_bytes(&w), units = 40 / (f ? f->groups : 1);
        CHECK_INT(tile_count(&w), 2);
        CHECK_INT(size, larger[t] ? 5 * larger[t] : TILE * type_row_bytes((enum type)t, 1280));
        uint8_t *whole = malloc(size), *piece = malloc(size);
        for (size_t k = 0; k < 2; k++) {
            tile_pack(&w, k, 0, units, whole);
            size_t first = random_size(0, units - 1), n = random_size(1, units - first);
            tile_pack(&w, k, first, n, piece);
            CHECK(!memcmp(whole + first * (size / units), piece, n * (size / units)));
        }
        free(whole);
        free(piece);
        free((void *)w.data);
    }
}

static void tiles_of_runs(void) {
    static const size_t cols[] = {1, 64, 511, 512, 576, 4544, 8 * 512, 8 * 513, 18176};
    for (size_t i = 0; i < 2 * (sizeof cols / sizeof *cols); i++) {
        struct weight w = random_weight(i % 2 ? TYPE_BF16 : TYPE_F16, 19, cols[i / 2]);
        size_t size = tile_bytes(&w), groups = w16_groups(w.cols), at = 0, first = 0;
        struct run last = w16_begin();
        for (struct run r = w16_begin(); w16_next(groups, &r); last = r) {
            uint8_t want[W16_RUN_BYTES], got[W16_RUN_BYTES];
            CHECK_INT(r.first, first);
            CHECK(r.n <= W16_RUN && w16_run_bytes(&r) <= sizeof want);
            CHECK_INT(w16_at(&r), at);
            CHECK(r.begins == (first == segment_start(groups, r.segment)) || !r.n);
            CHECK(r.ends == (first + r.n == segment_start(groups, r.segment + 1)));
            for (int d = 0; d < count; d++) {
                memset(got, 1, sizeof got);
                cpu_of(devices[d])->kernels->tile_w16(&w, i % 2, &r, d ? got : want);
                if (d) CHECK(!memcmp(got, want, w16_run_bytes(&r)));
            }
            at += w16_run_bytes(&r);
            first += r.n;
        }
        CHECK_INT(first, groups);
        CHECK_INT(last.segment, SEGMENTS - 1);
        CHECK_INT(last.number + 1, w16_runs(w.cols));
        CHECK_INT(size, at);
        CHECK(w.cols < 4096 || size <= TILE * 2 * w.cols * 102 / 100);
        free((void *)w.data);
    }
}

int main(void) {
    open_devices();
    RUN(tiles);
    RUN(tiles_of_runs);
    RUN(every_type);
    RUN(many_rows);
    RUN(floats_of_16_bits);
    RUN(adapts);
    RUN(exact_on_integers);
    RUN(extremes);
    RUN(any_bits);
    RUN(odd_runs);
    RUN(exact_weights);
    close_devices();
    return test_end();
}
