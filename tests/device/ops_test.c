// The CPU device's operations: near a double-precision reference, and the same bytes however the work is cut: alone or
// in a batch, on any number of threads, with any instruction set.
#include "device/device.h"

#include "cache.h"
#include "devices.h"
#include "random.h"
#include "reference.h"
#include "test.h"

static void matmul(enum type type, size_t rows, size_t outputs, size_t cols) {
    struct weight w = random_weight(type, outputs, cols);
    float *x = random_floats(rows * cols), *bias = random_floats(outputs);
    float *want = malloc(rows * outputs * sizeof *want), *got = malloc(rows * outputs * sizeof *got);
    for (int d = 0; d < count; d++) {
        REQUIRE(devices[d]->ops->bind(devices[d], &w, NULL));
        if (d % 2) devices[d]->ops->form_make(devices[d], &w);
        devices[d]->ops->matmul(devices[d], &w, x, rows, bias, d ? got : want);
        if (d) check_same("matmul", d, got, want, rows * outputs);
        for (size_t r = 0; r < rows; r += 1 + rows / 4) {
            devices[d]->ops->matmul(devices[d], &w, x + r * cols, 1, bias, got);
            check_same("a row alone", d, got, want + r * outputs, outputs);
        }
        devices[d]->ops->unbind(devices[d], &w);
    }
    free(x);
    free(bias);
    free(want);
    free(got);
    free((void *)w.data);
}

static void matmuls(void) {
    for (uint32_t t = 0; t < TYPE_LIMIT; t++) {
        if (!type_info(t) || (TEST_SLOW && t % 2)) continue; // product_test has each type
        matmul((enum type)t, 1, 67, 256 * random_size(1, 5));
        matmul((enum type)t, random_size(2, 9), 33, 256 * random_size(1, 5));
        matmul((enum type)t, random_size(65, 140), 40, 256 * random_size(1, 3));
        matmul((enum type)t, 1, 300, 256 * random_size(8, 36)); // tasks of a slice of a row, and of many sizes
    }
}

// Some products at once give what each gives alone: of the same rows or not, of one type or several, more than are
// taken together, and more than there is room for.
static void several(size_t n, size_t rows, size_t cols) {
    static const enum type types[] = {TYPE_Q4_K, TYPE_Q4_K, TYPE_Q8_0, TYPE_F16, TYPE_BF16, TYPE_F32, TYPE_Q6_K};
    struct weight w[20];
    struct product list[20];
    float *x[20], *want[20], *got[20], *bias = random_floats(100);
    for (size_t i = 0; i < n; i++) {
        bool again = i && random_bits() % 2;
        w[i] = random_weight(types[random_bits() % 7], random_size(1, 100), cols);
        x[i] = again ? x[i - 1] : random_floats(rows * cols);
        want[i] = malloc(rows * w[i].rows * sizeof **want);
        got[i] = malloc(rows * w[i].rows * sizeof **got);
        list[i] = (struct product){w + i, x[i], again ? list[i - 1].rows : random_size(1, rows), i % 3 ? bias : NULL};
    }
    for (int d = 0; d < count; d++) {
        const struct device_ops *ops = devices[d]->ops;
        for (size_t i = 0; i < n; i++) {
            REQUIRE(ops->bind(devices[d], w + i, NULL));
            if (d % 2) ops->form_make(devices[d], w + i);
            list[i].y = d ? got[i] : want[i];
            if (!d) ops->matmul(devices[d], w + i, x[i], list[i].rows, list[i].bias, want[i]);
        }
        if (d) ops->products(devices[d], list, n);
        for (size_t i = 0; i < n; i++) {
            if (d) check_same("products", d, got[i], want[i], list[i].rows * w[i].rows);
            ops->unbind(devices[d], w + i);
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (!i || x[i] != x[i - 1]) free(x[i]);
        free((void *)w[i].data);
        free(want[i]);
        free(got[i]);
    }
    free(bias);
}

static void products(void) {
    for (size_t i = 0; i < test_times(12, 6); i++) several(random_size(2, 5), i % 3 ? 1 : 9, 256 * random_size(1, 20));
    several(20, 1, 512);
    several(3, 150, 256);
    several(test_times(4, 2), 400, 4096);
}

// A row too long for a whole batch's activations to be kept at once.
static void long_rows(void) { matmul(TYPE_Q8_0, test_times(6, 2), 1, 1 << 21); }

static void bad_shapes(void) {
    gyr_error e;
    struct weight bad[] = {
        {TYPE_Q4_0, 4, 33, NULL, NULL},
        {(enum type)4, 4, 32, NULL, NULL},
        {TYPE_F32, SIZE_MAX / 8, 32, NULL, NULL},
    };
    const char *says[] = {
        "a 4 x 33 matrix of type 2: not a shape this type has",
        "a 4 x 32 matrix of type 4: not a shape this type has",
        "a 2305843009213693951 x 32 matrix of type 0: not a shape this type has",
    };
    for (int i = 0; i < 3; i++) {
        CHECK(!devices[0]->ops->bind(devices[0], &bad[i], &e));
        CHECK_INT(e.status, GYR_MALFORMED);
        CHECK_STR(e.message, says[i]);
    }
}

static void rows_and_elements(void) {
    enum { ROWS = 7, DIM = 5000 };
    float *x = random_floats(ROWS * DIM), *w = random_floats(DIM), *b = random_floats(DIM);
    float *want = malloc(ROWS * DIM * sizeof *want), *got = malloc(ROWS * DIM * sizeof *got);
    for (int d = 0; d < count; d++) {
        const struct device_ops *ops = devices[d]->ops;
        float *y = d ? got : want;
        ops->norm(devices[d], NORM_LAYER, x, w, 1, b, 1e-5f, ROWS, DIM, y);
        ops->activate(devices[d], ACT_GELU, y, ROWS * DIM);
        ops->add(devices[d], y, x, ROWS * DIM);
        if (d) check_same("norm, activate, add", d, got, want, ROWS * DIM);
    }
    for (int i = 0; i < DIM; i += 333) {
        double v[DIM];
        ref_norm(NORM_LAYER, x, w, b, 1e-5f, DIM, v);
        CHECK(fabs(v[i] * 0.5 * (1 + erf(v[i] / sqrt(2))) + (double)x[i] - (double)want[i]) < 1e-2);
    }
    free(x);
    free(w);
    free(b);
    free(want);
    free(got);
}

static void embeds(void) {
    static const int32_t ids[] = {3, 0, 9, 3};
    for (uint32_t t = 0; t < TYPE_LIMIT; t++) {
        if (!type_info(t)) continue;
        struct weight w = random_weight((enum type)t, 10, 512);
        float got[4 * 512], want[512];
        devices[0]->ops->embed(devices[0], &w, ids, 4, got);
        for (int r = 0; r < 4; r++) {
            const char *row = (const char *)w.data + (size_t)ids[r] * type_row_bytes((enum type)t, 512);
            type_decode((enum type)t, row, 0, 512, want);
            CHECK(!memcmp(want, got + 512 * r, sizeof want));
        }
        free((void *)w.data);
    }
}

static void memory(void) {
    struct device *d = devices[0];
    unsigned char *p = d->ops->alloc(d, 1000, NULL), back[10];
    REQUIRE(p);
    for (int i = 0; i < 1000; i++) CHECK(p[i] == 0);
    d->ops->write(d, p + 5, "0123456789", 10);
    d->ops->read(d, back, p + 6, 9);
    CHECK(!memcmp(back, "123456789", 9));
    d->ops->free(d, p);
    gyr_error e;
    CHECK(!d->ops->alloc(d, SIZE_MAX / 4, &e));
    CHECK_INT(e.status, GYR_NO_MEMORY);
    CHECK_STR(e.message, "out of memory: 4398046511103 MiB cannot be allocated; choose a smaller context");
}

static void choosing(void) {
    gyr_error e;
    CHECK(!device_cpu(1, "mmx", &e));
    CHECK_INT(e.status, GYR_USAGE);
    CHECK_STR(e.message, "instruction set mmx: not known; choose scalar, or on x86-64 avx2, avx512 or amx, or on "
                         "AArch64 neon");
    setenv("GYR_ISA", "scalar", 1);
    struct device *d = device_cpu(3, NULL, &e);
    unsetenv("GYR_ISA");
    REQUIRE(d);
    CHECK_STR(device_cpu_isa(d), "scalar");
    CHECK_STR(d->ops->kind, "cpu");
    CHECK_INT(device_cpu_threads(d), 3);
    d->ops->close(d);
    d = device_cpu(0, NULL, &e);
    REQUIRE(d);
    double rate = device_cpu_bandwidth(d, 0.01);
    CHECK(rate > 1e7 && rate < 1e13);
    struct roofs r;
    device_cpu_roofs(d, 0.04, &r);
    d->ops->close(d);
    CHECK(r.read > 1e7 && r.int8 > 1e7 && r.fp32 > 1e7);
    CHECK(r.read < 1e13 && r.int8 < 1e15 && r.fp32 < 1e15);
}

int main(void) {
    open_devices();
    RUN(matmuls);
    RUN(products);
    RUN(long_rows);
    RUN(bad_shapes);
    RUN(rows_and_elements);
    RUN(embeds);
    RUN(memory);
    RUN(choosing);
    close_devices();
    return test_end();
}
