// A card of the emulation beside the CPU's plain C, which says what it must give.
#ifndef TESTS_SIMT_PAIR_H
#define TESTS_SIMT_PAIR_H

#include "card.h"
#include "simt.h"
#include "test.h"

#include "device/random.h"

static struct device *cpu, *card;

static inline bool same_floats(const float *a, const float *b) {
    return !memcmp(a, b, sizeof *a) || (isnan(*a) && isnan(*b));
}

// Payloads of NaNs differ between chips: a NaN is a NaN.
static inline void compare_floats(const char *what, const float *got, const float *want, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!same_floats(got + i, want + i)) {
            printf("%s, warps of %u: [%zu] is %a, not %a\n", what, simt_warp, i, (double)got[i], (double)want[i]);
            CHECK(!"the CPU's bytes");
            return;
        }
}

// The same behind a sync(): the host may write to the operands afterwards.
static inline void check_floats(const char *what, const float *got, const float *want, size_t n) {
    gyr_error e = {0};
    CHECK(card->ops->sync(card, &e));
    compare_floats(what, got, want, n);
}

static inline void open_pair(unsigned warp) {
    simt_warp = warp;
    simt_seed = 0x9e3779b97f4a7c15u + warp;
    cpu = device_cpu(1, "scalar", NULL);
    card = card_open();
}

static inline void close_pair(void) {
    gyr_error e = {0};
    CHECK(card->ops->sync(card, &e));
    if (e.status) printf("%s\n", e.message);
    card->ops->close(card);
    cpu->ops->close(cpu);
}

// n floats, of which a few are as bad as can be.
static inline float *bad_floats(size_t n) {
    static const float bad[] = {NAN, INFINITY, -INFINITY, 1e-45f, -3e-39f, 3e38f, -0.0f};
    float *x = random_floats(n);
    for (size_t i = 0; i < n; i++)
        if (random_bits() % 512 == 0) x[i] = bad[random_bits() % 7];
    return x;
}

// A matrix of random bytes; with `bad` any that there are, else no infinities and NaNs among its scales.
static inline struct weight bytes_weight(enum type type, size_t rows, size_t cols, bool bad) {
    struct weight w = random_weight(type, rows, cols);
    uint8_t *p = (uint8_t *)w.data;
    for (size_t i = 0; bad && i < rows * type_row_bytes(type, cols); i++) p[i] = (uint8_t)random_bits();
    return w;
}

// A product on both, of rows by outputs and columns.
static inline void try_product(enum type type, size_t rows, size_t outputs, size_t cols, bool bad) {
    struct weight w = bytes_weight(type, outputs, cols, bad), other = w;
    float *x = (bad ? bad_floats : random_floats)(rows * cols), *bias = random_floats(outputs);
    float *want = malloc(rows * outputs * sizeof *want), *got = malloc(rows * outputs * sizeof *got);
    REQUIRE(cpu->ops->bind(cpu, &w, NULL) && card->ops->bind(card, &other, NULL));
    const float *b = random_bits() % 3 ? bias : NULL;
    cpu->ops->matmul(cpu, &w, x, rows, b, want);
    card->ops->matmul(card, &other, x, rows, b, got);
    check_floats(type_info(type)->name, got, want, rows * outputs);
    cpu->ops->unbind(cpu, &w);
    card->ops->unbind(card, &other);
    free((void *)w.data);
    free(x);
    free(bias);
    free(want);
    free(got);
}

// Runs the cases with warps of both widths, where there are both (card/on_card.h).
#ifndef BOTH_WARPS
#define BOTH_WARPS(...)                                                                                                \
    for (unsigned warp_ = 32; warp_ <= 64; warp_ += 32) {                                                              \
        open_pair(warp_);                                                                                              \
        __VA_ARGS__                                                                                                    \
        close_pair();                                                                                                  \
    }
#endif

#endif
