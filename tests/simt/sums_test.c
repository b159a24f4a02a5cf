// Sums in ascending order, of a card of the emulation: those of a loop, whatever lies where.
#include "pair.h"

#include <time.h>

// Rows and columns that lie side by side, or far apart; and what sums start with.
struct shape {
    size_t rows, cols, n;
    bool x_turned, w_turned, more, biased;
    float by;
    size_t gap; // behind each row of y
};

static void add_up(const struct float_sums *s) {
    for (size_t r = 0; r < s->rows; r++)
        for (size_t c = 0; c < s->cols; c++) {
            float *y = s->y + r * s->y_row + c, sum = s->more ? *y : s->bias ? s->bias[c] : 0;
            for (size_t k = 0; k < s->n; k++)
                sum = fmaf(s->x[r * s->x_row + k * s->x_step], s->w[c * s->w_col + k * s->w_step], sum);
            *y = s->by != 1 ? sum * s->by : sum;
        }
}

static void try_sums(const struct shape *t, bool bad) {
    size_t row = t->cols + t->gap, all = t->rows * row;
    float *(*draw)(size_t) = bad ? bad_floats : random_floats;
    float *x = draw(t->rows * t->n + 1), *w = draw(t->cols * t->n + 1), *bias = draw(t->cols), *want = draw(all),
          *got = malloc(all * sizeof *got);
    memcpy(got, want, all * sizeof *got);
    struct float_sums s = {.rows = t->rows,
                           .cols = t->cols,
                           .n = t->n,
                           .x = x,
                           .w = w,
                           .bias = t->biased ? bias : NULL,
                           .x_row = t->x_turned ? 1 : t->n,
                           .x_step = t->x_turned ? t->rows : 1,
                           .w_col = t->w_turned ? 1 : t->n,
                           .w_step = t->w_turned ? t->cols : 1,
                           .y = want,
                           .y_row = row,
                           .more = t->more,
                           .by = t->by};
    add_up(&s);
    s.y = got;
    card->ops->sums(card, &s);
    check_floats("sums", got, want, all);
    free(x);
    free(w);
    free(bias);
    free(want);
    free(got);
}

// Odd shapes of each tile, and all ways in which matrices may lie.
static void shapes(void) {
    static const size_t sizes[][3] = {{1, 1, 1},     {1, 33, 70},   {33, 1, 16},   {3, 40, 0},
                                      {31, 32, 15},  {32, 33, 17},  {65, 16, 9},   {2, 300, 33},
                                      {200, 100, 7}, {130, 260, 5}, {300, 600, 3}, {64, 1, 100}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (unsigned how = 0; how < 4; how++) {
            unsigned start = (unsigned)(i + how) % 3;
            struct shape t = {sizes[i][0], sizes[i][1], sizes[i][2],         how & 1,      how & 2,
                              start == 1,  start == 2,  how == 3 ? 0.3f : 1, i % 2 ? 0 : 5};
            try_sums(&t, false);
        }
}

// A sum that is -0 stays so where there is nothing to add; subnormal numbers, infinities and NaNs.
static void extremes(void) {
    for (unsigned how = 0; how < 8; how++)
        try_sums(&(struct shape){40, 35, how % 4 ? 20 : 1, how & 1, how & 2, how & 4, true, 1, 0}, true);
    float x = 1e-40f, w = -1e-40f, y = 0, bias = -0.0f;
    struct float_sums s = {1, 1, 1, &x, &w, NULL, 1, 1, 1, 1, &y, 1, false, 1};
    card->ops->sums(card, &s);
    check_floats("less than nothing", &y, &(float){-0.0f}, 1);
    s.n = 0;
    s.bias = &bias;
    y = 1;
    card->ops->sums(card, &s);
    check_floats("nothing to add", &y, &(float){-0.0f}, 1);
}

#ifdef TEST_CARD // how fast, of a model of 7B's shapes and of a small one's
static double seconds_of(const struct float_sums *s) {
    enum { TIMES = 10 };
    gyr_error e = {0};
    struct timespec from, to;
    card->ops->sums(card, s);
    CHECK(card->ops->sync(card, &e));
    clock_gettime(CLOCK_MONOTONIC, &from);
    for (int i = 0; i < TIMES; i++) card->ops->sums(card, s);
    CHECK(card->ops->sync(card, &e));
    clock_gettime(CLOCK_MONOTONIC, &to);
    return ((double)(to.tv_sec - from.tv_sec) + 1e-9 * (double)(to.tv_nsec - from.tv_nsec)) / TIMES;
}

static void rates(void) {
    static const size_t sizes[][3] = {{2048, 4096, 4096}, {2048, 11008, 4096}, {512, 4096, 4096}, {512, 2048, 2048},
                                      {2048, 2048, 5632}, {2048, 16, 4096},    {16, 4096, 2048},  {4096, 16, 2048}};
    for (size_t i = 0; getenv("SUMS_RATES") && i < sizeof sizes / sizeof *sizes; i++)
        for (unsigned how = 0; how < 3; how++) { // forward, back, and the gradients of weights
            size_t rows = sizes[i][0], cols = sizes[i][1], n = sizes[i][2];
            bool x_turned = how == 2, w_turned = how > 0;
            float *x = card->ops->alloc(card, rows * n * sizeof *x, NULL);
            float *w = card->ops->alloc(card, cols * n * sizeof *w, NULL);
            float *y = card->ops->alloc(card, rows * cols * sizeof *y, NULL);
            REQUIRE(x && w && y);
            struct float_sums s = {.rows = rows,
                                   .cols = cols,
                                   .n = n,
                                   .x = x,
                                   .w = w,
                                   .x_row = x_turned ? 1 : n,
                                   .x_step = x_turned ? rows : 1,
                                   .w_col = w_turned ? 1 : n,
                                   .w_step = w_turned ? cols : 1,
                                   .y = y,
                                   .y_row = cols,
                                   .by = 1};
            double took = seconds_of(&s);
            printf("  %zu x %zu sums of %zu, way %u: %.3f ms, %.1f Tflop/s\n", rows, cols, n, how, took * 1e3,
                   2e-12 * (double)rows * (double)cols * (double)n / took);
            card->ops->free(card, x);
            card->ops->free(card, w);
            card->ops->free(card, y);
        }
}
#endif

int main(void) {
    BOTH_WARPS(RUN(shapes); RUN(extremes);)
#ifdef TEST_CARD
    open_pair(0);
    RUN(rates);
    close_pair();
#endif
    return test_end();
}
