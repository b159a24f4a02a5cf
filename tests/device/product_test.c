// Matrix products: the bytes that tests/device/reference.c spells out, for every element type and instruction set, any
// number of rows and threads, from tiles and from the file's rows.
#include "device/cpu/tile.h"

#include "devices.h"
#include "random.h"
#include "reference.h"
#include "test.h"

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
    return (type_info(w->type)->quantized ? ref_dot_q : ref_dot_f)(w, o, x, bias ? bias[o] : 0, bias);
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
            if (tiled) CHECK(ops->tile(devices[d], w));
            CHECK(!tiled == !w->own);
            memset(got, 255, rows * w->rows * sizeof *got);
            ops->matmul(devices[d], w, x, rows, bias, got);
            check_bytes(name, d, got, want, rows * w->rows);
            ops->unbind(devices[d], w);
            CHECK(!w->own);
        }
    free(got);
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
            double tolerance = type == TYPE_BF16 ? 0x1p-8 : 1e-5;
            if (!info->quantized) check_near(info->name, (double)y, exact, size * tolerance + 1e-30);
        }
    check_product(&w, x, rows, bias, want);
    free(x);
    free(b);
    free(want);
    free((void *)w.data);
}

static void every_type(void) {
    static const size_t rows[] = {1, 2, 3, 4, 5, 6, 7, 8, 13, 24, 71};
    for (uint32_t t = 0; t < TYPE_LIMIT; t++)
        for (size_t i = 0; type_info(t) && i < sizeof rows / sizeof *rows; i++) {
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
        matmul(types[i], random_size(16, 40), 33, 512);
        matmul(types[i], random_size(129, 140), 3, 256);
        matmul(types[i], 1, 1, type_info(types[i])->block);
    }
    matmul(TYPE_Q8_0, 515, 1, 64);
    matmul(TYPE_Q5_0, 531, 2, 32 * 150);
    matmul(TYPE_F32, 2, 35, 1);
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
            float x[4 * 512], want[4];
            for (size_t i = 0; i < 4 * cols; i++) {
                size_t r = i / cols;
                x[i] = r == 3 ? 0 : r == 0 || (r == 1 && i % 2) ? 127 : -127;
            }
            for (size_t r = 0; r < 4; r++) want[r] = reference(&w, 0, x + r * cols, NULL);
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
        size_t rows = 4, outputs = 17, cols = 256, bytes = outputs * type_row_bytes((enum type)t, cols);
        struct weight w = {(enum type)t, outputs, cols, malloc(bytes), NULL};
        for (size_t i = 0; i < bytes; i++) ((uint8_t *)w.data)[i] = (uint8_t)random_bits();
        float x[4 * 256], want[4 * 17];
        for (size_t i = 0; i < rows * cols; i++) {
            uint32_t bits = random_bits() & (i % 3 ? 0x807fffff : 0x9fffffff);
            memcpy(x + i, &bits, sizeof bits);
        }
        x[cols + 40] = NAN;
        x[2 * cols + 40] = -INFINITY;
        for (size_t i = 0; i < rows * outputs; i++) want[i] = reference(&w, i % outputs, x + i / outputs * cols, NULL);
        CHECK(isnan(want[outputs]));
        check_product(&w, x, rows, NULL, want);
        free((void *)w.data);
    }
}

// Bytes of a block of a tile's sixteen rows, where they are not those of the file's.
static const size_t larger[TYPE_LIMIT] = {
    [TYPE_IQ1_S] = 1632, [TYPE_IQ1_M] = 1696,   [TYPE_IQ2_XXS] = 1632, [TYPE_IQ2_XS] = 1696,
    [TYPE_IQ2_S] = 1696, [TYPE_IQ3_XXS] = 2144, [TYPE_IQ3_S] = 2144,   [TYPE_TQ1_0] = 1056,
};

// A tile's pieces are the same as the tile made at once.
static void tiles(void) {
    for (uint32_t t = 0; t < TYPE_LIMIT; t++) {
        if (!type_info(t)) continue;
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

int main(void) {
    open_devices();
    RUN(tiles);
    RUN(every_type);
    RUN(many_rows);
    RUN(exact_on_integers);
    RUN(extremes);
    RUN(any_bits);
    close_devices();
    return test_end();
}
