// Rounded activations that are kept (src/device/gpu/rounded.c): products of what lies there now, whoever wrote it, and
// no more launches than that takes.
#include "pair.h"

enum { COLS = 512, OUTPUTS = 9, MOST_ROWS = 3 };

struct both {
    struct weight w[2]; // of the CPU, of the card
};

static struct both matrix(enum type type, size_t cols) {
    struct weight w = random_weight(type, OUTPUTS, cols);
    struct both b = {{w, w}};
    CHECK(cpu->ops->bind(cpu, &b.w[0], NULL) && card->ops->bind(card, &b.w[1], NULL));
    return b;
}

static void settle(void) {
    gyr_error e;
    CHECK(card->ops->sync(card, &e));
}

// The memory of a case is the next one's.
static void give_back(struct both *b) {
    settle();
    cpu->ops->unbind(cpu, &b->w[0]);
    card->ops->unbind(card, &b->w[1]);
    free((void *)b->w[0].data);
}

// The product of what lies at x, on both; how many launches the card needed.
static size_t multiply(struct both *b, const float *x, size_t rows) {
    float want[MOST_ROWS * OUTPUTS], got[MOST_ROWS * OUTPUTS];
    cpu->ops->matmul(cpu, &b->w[0], x, rows, NULL, want);
    card_launches();
    card->ops->matmul(card, &b->w[1], x, rows, NULL, got);
    compare_floats("product", got, want, rows * OUTPUTS);
    return card_launches();
}

// Two types that round alike, and one that does not.
static void products_of_one_x(void) {
    struct both q4 = matrix(TYPE_Q4_0, COLS), q8 = matrix(TYPE_Q8_0, COLS), k = matrix(TYPE_Q4_K, COLS),
                half = matrix(TYPE_Q4_0, COLS / 2);
    float *x = random_floats(MOST_ROWS * COLS), *y = random_floats(MOST_ROWS * COLS);
    settle();
    CHECK_INT(multiply(&q4, x, 2), 2);
    CHECK_INT(multiply(&q8, x, 2), 1);
    CHECK_INT(multiply(&k, x, 2), 2);
    CHECK_INT(multiply(&q4, x, 2), 1);
    CHECK_INT(multiply(&q4, x, 1), 2); // a part of it
    CHECK_INT(multiply(&half, x, 2), 2);
    CHECK_INT(multiply(&half, x + COLS / 2, 2), 2);
    CHECK_INT(multiply(&q4, y, 2), 2);
    CHECK_INT(multiply(&q4, y, 2), 1);
    CHECK_INT(multiply(&q4, x, 2), 2); // others took its place
    settle();
    CHECK_INT(multiply(&q4, x, 2), 2);
    give_back(&q4);
    give_back(&q8);
    give_back(&k);
    give_back(&half);
    free(x);
    free(y);
}

// Every operation of the table that may write to x.
static void x_changes(void) {
    enum { ROWS = 2, N = ROWS * COLS, OPS = 16 };
    struct both b = matrix(TYPE_Q4_0, COLS), square = {{{0}}};
    float *x = random_floats(N + 32), *y = random_floats(2 * N), w[COLS];
    int32_t from[ROWS] = {1, 0}, ids[ROWS] = {3, 5};
    struct weight wide = random_weight(TYPE_Q4_0, COLS, COLS), table = random_weight(TYPE_Q4_0, OUTPUTS, COLS);
    square = (struct both){{wide, wide}};
    struct both rows = {{table, table}};
    for (int d = 0; d < 2; d++) {
        struct device *on = d ? card : cpu;
        REQUIRE(on->ops->bind(on, &square.w[d], NULL) && on->ops->bind(on, &rows.w[d], NULL));
    }
    for (size_t i = 0; i < COLS; i++) w[i] = random_float();
    float *copy = malloc(N * sizeof *copy);
    for (int turn = 0; turn < 2; turn++)
        for (int op = 0; op < OPS; op++) {
            multiply(&b, x, ROWS);
            CHECK_INT(multiply(&b, x, ROWS), 1);
            memcpy(copy, x, N * sizeof *x);
            for (int d = 0; d < 2; d++) {
                struct device *on = d ? card : cpu;
                float *out = d ? x : copy;
                const struct device_ops *ops = on->ops;
                switch (op) {
                case 0: ops->activate(on, ACT_GELU, out, N); break;
                case 1: ops->add(on, out, y, N); break;
                case 2: ops->norm(on, NORM_LAYER, y, w, 1, w, 1e-5f, ROWS, COLS, out); break;
                case 3: ops->norm(on, NORM_RMS, out, w, 1, NULL, 1e-5f, ROWS, COLS, out); break;
                case 4: ops->gate(on, &(struct gate){ACT_SILU, ROWS, COLS, COLS, y, y + N, out, 0, 0}); break;
                case 5: ops->scale(on, out, 0.7f, N); break;
                case 6: ops->scale(on, out + N - 1, 0.7f, 1); break; // the last element alone
                case 7: ops->clamp(on, out, 0.5f, 3); break;
                case 8: ops->move(on, y, COLS, out, COLS, ROWS, COLS); break;
                case 9: ops->move(on, y + 5, COLS, out + 3, COLS, ROWS, 7); break;
                case 10: ops->sum_rows(on, &(struct sum_rows){ROWS, 1, COLS, from, NULL, y, out}); break;
                case 11: ops->matmul(on, &square.w[d], y, ROWS, NULL, out); break;
                case 12: ops->write(on, out, y, N * sizeof *x); break;
                case 13: ops->copy(on, out + 7, y, 3 * sizeof *x); break;
                case 14: ops->embed(on, &rows.w[d], ids, ROWS, out); break;
                default: ops->cap(on, out, 0.3f, N);
                }
            }
            compare_floats("x", x, copy, N);
            size_t launches = multiply(&b, x, ROWS);
            CHECK_INT(launches, op == 0 || op == 2 || op == 3 || op == 4 ? 1 : 2); // these leave the codes
            card->ops->write(card, x + N, y, 4);                                   // beside it
            CHECK_INT(multiply(&b, x, ROWS), 1);
            settle();
            for (size_t i = 0; i < N; i++) x[i] = random_float();
        }
    give_back(&b);
    give_back(&square);
    give_back(&rows);
    free(x);
    free(y);
    free(copy);
}

// What the host writes behind a sync() is no write of the card's.
static void a_new_step(void) {
    struct both b = matrix(TYPE_Q6_K, COLS);
    float *x = random_floats(COLS);
    multiply(&b, x, 1);
    settle();
    for (size_t i = 0; i < COLS; i++) x[i] = random_float();
    CHECK_INT(multiply(&b, x, 1), 2);
    give_back(&b);
    free(x);
}

// An operation leaves codes for the form that was wanted last; another is made, and is wanted from then on.
static void forms(void) {
    struct both q4 = matrix(TYPE_Q4_0, COLS), k = matrix(TYPE_Q6_K, COLS), half = matrix(TYPE_Q4_K, COLS / 2);
    float *x = random_floats(4 * COLS), w[COLS];
    for (size_t i = 0; i < COLS; i++) w[i] = random_float();
    struct both *all[] = {&q4, &k, &half, &k, &half, &q4};
    for (size_t i = 0; i < 6; i++)
        for (int again = 0; again < 2; again++) {
            bool cut = all[i] == &half;
            size_t rows = cut ? 2 : 1;
            card->ops->norm(card, NORM_RMS, x + COLS, w, 1, NULL, 1e-5f, 1, COLS, x);
            CHECK_INT(multiply(all[i], x, rows), again && !cut ? 1 : 2); // a norm's row is a product's
            card->ops->activate(card, ACT_SILU, x, COLS);
            CHECK_INT(multiply(all[i], x, rows), 1);
        }
    give_back(&q4);
    give_back(&k);
    give_back(&half);
    free(x);
}

// Of a row that is longer than the block's memory has room for, too.
static void long_rows(void) {
    enum { LONG = 9216 };
    struct both b = matrix(TYPE_Q8_0, LONG);
    float *x = random_floats(LONG), *w = random_floats(LONG), *y = random_floats(LONG);
    for (int i = 0; i < 2; i++) {
        card->ops->norm(card, i ? NORM_RMS : NORM_LAYER, x, w, 1, NULL, 1e-5f, 1, LONG, y);
        CHECK_INT(multiply(&b, y, 1), i ? 1 : 2);
    }
    give_back(&b);
    free(x);
    free(w);
    free(y);
}

int main(void) {
    BOTH_WARPS(RUN(products_of_one_x); RUN(x_changes); RUN(a_new_step); RUN(forms); RUN(long_rows);)
    return test_end();
}
