// What training sums with (device/host.h), integers of 16 bits and floats: the bytes that plain arithmetic spells out
// here, with every instruction set; what infinities, NaNs and the smallest numbers become. And weights decoded with
// every instruction set.
#include "random.h"
#include "tensor/type.h"
#include "test.h"
#include "train/product.h"
#include "train/shorts.h"

static const char *const sets[] = {"scalar", "avx2", "avx512", "amx", "neon"}; // one that is not here is plain C
enum { SETS = sizeof sets / sizeof *sets, MOST = 1 << 16 };

static const struct host_gradients *set(int i) {
    setenv("GYR_ISA", sets[i], 1);
    const struct host_gradients *g = host_gradients_here();
    unsetenv("GYR_ISA");
    return g;
}

static bool same(const float *a, const float *b, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (memcmp(a + i, b + i, sizeof *a) && !(isnan(a[i]) && isnan(b[i]))) return false;
    return true;
}

static void draw(float *x, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] = random_float() * (random_bits() % 16 ? 1.0f : 40.0f);
}

// ---------------------------------------------------------------------------------------------- plain arithmetic

// n terms, `step` apart: integers and the scales of their runs.
static void plain_round(const float *x, size_t step, size_t n, float most, int *q, float *scale) {
    for (size_t k = 0; k < n; k += HOST_RUN) {
        size_t end = n - k < HOST_RUN ? n : k + HOST_RUN;
        float largest = 0;
        bool finite = true;
        for (size_t i = k; i < end; i++) {
            finite = finite && isfinite(x[i * step]);
            largest = fmaxf(largest, fabsf(x[i * step]));
        }
        bool usual = finite && largest >= 0x1p-100f;
        scale[k / HOST_RUN] = !finite ? (float)NAN : usual ? largest / most : 0;
        for (size_t i = k; i < end; i++) // exact in double, then rounded once
            q[i] = usual ? (int)nearbyint((double)x[i * step] * (double)(most / largest)) : 0;
    }
}

// y += the sum over k of x[r][k] * w[k][c], for all rows and columns.
static void plain_product(const float *x, const float *w, size_t rows, size_t n, size_t cols, float *y) {
    static int xq[MOST], wq[MOST];
    static float xs[MOST], ws[MOST];
    size_t runs = (n + HOST_RUN - 1) / HOST_RUN;
    for (size_t r = 0; r < rows; r++) plain_round(x + r * n, 1, n, HOST_MOST_X, xq + r * n, xs + r * runs);
    for (size_t c = 0; c < cols; c++) plain_round(w + c, cols, n, HOST_MOST_W, wq + c * n, ws + c * runs);
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < cols; c++)
            for (size_t u = 0; u < runs; u++) {
                long long sum = 0;
                for (size_t k = u * HOST_RUN; k < n && k < (u + 1) * HOST_RUN; k++)
                    sum += (long long)xq[r * n + k] * wq[c * n + k];
                if (sum > INT32_MAX || sum < -INT32_MAX) abort();
                y[r * cols + c] = fmaf((float)sum, xs[r * runs + u] * ws[c * runs + u], y[r * cols + c]);
            }
}

// --------------------------------------------------------------------------------------------------- the kernels

static bool product(const struct host_gradients *g, const float *x, const float *w, bool columns, bool fresh,
                    size_t rows, size_t n, size_t cols, float *y) {
    float *packed = malloc((shorts_floats(rows, n) + shorts_panel_floats(n, cols)) * sizeof *packed);
    float *turned = malloc(n * cols * sizeof *turned);
    struct shorts_panel panel = shorts_panel_in(packed + shorts_floats(rows, n), n, cols);
    for (size_t k = 0; k < n; k++)
        for (size_t c = 0; c < cols; c++) turned[c * n + k] = w[k * cols + c];
    shorts_pack(g, x, n, rows, n, packed);
    if (columns)
        shorts_from_columns(g, turned, n, n, cols, panel);
    else
        shorts_from_rows(g, w, cols, n, cols, panel, 0);
    struct shorts_product p = {.packed = packed,
                               .terms = n,
                               .w = panel,
                               .y = y,
                               .fresh = fresh,
                               .y_row = cols,
                               .n = n,
                               .rows = rows,
                               .cols = cols};
    bool ok = shorts_add(g, &p);
    free(packed);
    free(turned);
    return ok;
}

static void check(const float *x, const float *w, size_t rows, size_t n, size_t cols) {
    static float want[MOST], got[MOST];
    for (size_t i = 0; i < rows * cols; i++) want[i] = 1;
    plain_product(x, w, rows, n, cols, want);
    for (int i = 0; i < SETS; i++)
        for (int columns = 0; columns < 2; columns++) {
            for (size_t k = 0; k < rows * cols; k++) got[k] = 1;
            CHECK(product(set(i), x, w, columns, false, rows, n, cols, got));
            if (!same(got, want, rows * cols)) printf("  %s: %zu x %zu x %zu differs\n", sets[i], rows, n, cols);
            CHECK(same(got, want, rows * cols));
        }
}

static float x[MOST], w[MOST];

static void every_shape(void) {
    static const size_t rows[] = {1, 3, 12, 13, 29, 61}, terms[] = {1, 2, 63, 64, 65, 200, 320},
                        cols[] = {1, 15, 16, 33, 48};
    for (size_t i = 0; i < 6; i++)
        for (size_t j = 0; j < 7; j++) {
            size_t c = cols[(i + j) % 5];
            draw(x, rows[i] * terms[j]);
            draw(w, terms[j] * c);
            check(x, w, rows[i], terms[j], c);
        }
}

// Whatever was there, a fresh sum begins at zero.
static void fresh_sums(void) {
    enum { ROWS = 14, N = 70, COLS = 21 };
    static float want[ROWS * COLS], got[ROWS * COLS];
    draw(x, ROWS * N);
    draw(w, N * COLS);
    plain_product(x, w, ROWS, N, COLS, want);
    for (int i = 0; i < SETS; i++) {
        memset(got, 255, sizeof got);
        CHECK(product(set(i), x, w, false, true, ROWS, N, COLS, got));
        CHECK(same(got, want, ROWS * COLS));
    }
}

static void the_largest_sums(void) {
    enum { ROWS = 12, N = 128, COLS = 32 };
    for (size_t i = 0; i < ROWS * N; i++) x[i] = i % (2 * N) < N ? 3.0f : -3.0f;
    for (size_t i = 0; i < N * COLS; i++) w[i] = i % 2 ? 7.0f : -7.0f;
    check(x, w, ROWS, N, COLS);
}

static void what_is_no_number(void) {
    enum { ROWS = 13, N = 130, COLS = 17 };
    static const float odd[] = {NAN, INFINITY, -INFINITY, 0x1p-149f, 0x1p-126f, -0x1p-101f, 0x1p-100f, 0x1.fffffep127f};
    static float y[ROWS * COLS];
    for (size_t i = 0; i < 8; i++)
        for (int side = 0; side < 2; side++) {
            draw(x, ROWS * N);
            draw(w, N * COLS);
            if (i < 3)
                (side ? w : x)[side ? 70 * COLS + 4 : 5 * N + 70] = odd[i]; // in the second run
            else
                for (size_t k = 0; k < N; k++) (side ? w : x)[side ? k * COLS + 4 : 5 * N + k] = k % 3 ? 0 : odd[i];
            check(x, w, ROWS, N, COLS);
            memset(y, 0, sizeof y);
            CHECK(product(set(2), x, w, true, false, ROWS, N, COLS, y));
            for (size_t k = 0; k < ROWS * COLS && i < 7; k++) // the largest overflow
                CHECK(!!isnan(y[k]) == (i < 3 && (side ? k % COLS == 4 : k / COLS == 5)));
        }
}

// The same in float: fused, in ascending order.
static void sums_of_floats(void) {
    enum { ROWS = 29, N = 77, COLS = 83 };
    static float want[ROWS * COLS], got[ROWS * COLS];
    draw(x, ROWS * N);
    draw(w, N * COLS);
    for (int fresh = 0; fresh < 2; fresh++) {
        for (size_t i = 0; i < ROWS * COLS; i++) {
            want[i] = fresh ? 0 : 1;
            for (size_t k = 0; k < N; k++) want[i] = fmaf(x[i / COLS * N + k], w[k * COLS + i % COLS], want[i]);
        }
        for (int i = 0; i < SETS; i++) {
            struct matmul p = {.x = x,
                               .x_row = N,
                               .x_step = 1,
                               .w = w,
                               .w_step = COLS,
                               .y = got,
                               .y_row = COLS,
                               .fresh = fresh,
                               .n = N,
                               .rows = ROWS,
                               .cols = COLS};
            for (size_t k = 0; k < ROWS * COLS; k++) got[k] = 1;
            CHECK(product_add(set(i), &p));
            CHECK(same(got, want, ROWS * COLS));
        }
    }
}

static void weights_with_every_set(void) {
    static uint8_t bytes[8 * 256];
    static float want[256], got[256];
    for (uint32_t t = 0; t < TYPE_LIMIT; t++) {
        const struct type_info *info = type_info(t);
        if (!info) continue;
        size_t all = 256 / info->block * (size_t)info->bytes;
        for (int again = 0; again < 20; again++) {
            for (size_t i = 0; i < all; i++) bytes[i] = (uint8_t)random_bits();
            size_t first = 32 * (random_bits() % 8), n = 32 * (1 + random_bits() % (8 - first / 32));
            type_decode((enum type)t, bytes, first, n, want);
            for (int i = 0; i < SETS; i++) {
                set(i)->decode((enum type)t, bytes, first, n, got);
                if (!same(got, want, n)) printf("  %s of %s differs\n", info->name, sets[i]);
                CHECK(same(got, want, n));
            }
        }
    }
}

int main(void) {
    RUN(every_shape);
    RUN(fresh_sums);
    RUN(the_largest_sums);
    RUN(what_is_no_number);
    RUN(sums_of_floats);
    RUN(weights_with_every_set);
    return test_end();
}
