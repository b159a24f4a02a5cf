// Products and look-ups of a card of the emulation: the bytes of the CPU's plain C, for every element type.
#include "pair.h"

static bool is_plain(enum type type) { return !type_info(type)->quantized; }

// ring.h's and turns.h's.
static bool is_ringed(enum type t) {
    return t == TYPE_Q4_0 || t == TYPE_Q4_1 || t == TYPE_Q8_0 || t == TYPE_IQ4_NL || t == TYPE_MXFP4;
}
static bool is_turned(enum type t) { return t == TYPE_Q4_K || t == TYPE_Q5_K || t == TYPE_Q6_K; }

static void products(void) {
    for (uint32_t t = 0; t < TYPE_LIMIT; t++) {
        if (!type_info(t)) continue;
        size_t block = type_info(t)->block;
        try_product((enum type)t, 1, 33, block * random_size(1, 12), false);
        try_product((enum type)t, 1, 470, block * random_size(1, 3), false); // blocks of threads in turns
        if (is_ringed((enum type)t))
            try_product((enum type)t, 1, 300, block * random_size(15, 36), false); // with several blocks
        if (is_turned((enum type)t)) try_product((enum type)t, 1, 300, block * random_size(7, 13), true);
        try_product((enum type)t, 2, 5, block * 24, false);
        try_product((enum type)t, 1, 5, block * random_size(24, 41), false);
        try_product((enum type)t, 6, 5, block * random_size(1, 9), false);
        try_product((enum type)t, 2, 7, block * 8, true);
        try_product((enum type)t, 9, 18, block * random_size(1, 9),
                    false); // tensor cores: tiles and blocks that are not full
        try_product((enum type)t, 11, 3, block * random_size(8, 11), true);
        try_product((enum type)t, 67, 3, block, false);
        try_product((enum type)t, 20, 35, block * random_size(2, 4),
                    true); // each size of their blocks, and several of them
        try_product((enum type)t, 150, 2, block, false);
        if (is_plain((enum type)t)) {
            try_product((enum type)t, 3, 9, random_size(1, 200), false);
            try_product((enum type)t, 1, 3, random_size(4000, 5000), false); // runs of several lengths
            try_product((enum type)t, 2, 4, random_size(500, 1500), true);
            try_product((enum type)t, 37, 19, random_size(1, 200), false); // tensor cores
            try_product((enum type)t, 9, 18, random_size(4000, 5000), false);
            try_product((enum type)t, 10, 3, random_size(500, 1500), true);
            // Blocks that share weights: of one segment, of two, four, and of all, each with several runs or none.
            try_product((enum type)t, 67, 3, random_size(500, 1500), true);
            try_product((enum type)t, 37, 19, random_size(4000, 5000), false);
            try_product((enum type)t, 130, 130, random_size(300, 800), false);
            try_product((enum type)t, 20, 400, random_size(300, 800), false);
        }
    }
}

static void zeros_and_extremes(void) {
    enum { COLS = 512, ROWS = 4, OUTPUTS = 3 };
    static const float sizes[] = {0, 1e-45f, 1e-38f, 1e38f};
    for (uint32_t t = 0; t < TYPE_LIMIT; t++) {
        if (!type_info(t)) continue;
        struct weight w = random_weight((enum type)t, OUTPUTS, COLS), other = w;
        float x[ROWS * COLS], want[ROWS * OUTPUTS], got[ROWS * OUTPUTS];
        for (size_t i = 0; i < ROWS * COLS; i++) x[i] = random_float() * sizes[i / COLS];
        REQUIRE(cpu->ops->bind(cpu, &w, NULL) && card->ops->bind(card, &other, NULL));
        cpu->ops->matmul(cpu, &w, x, ROWS, NULL, want);
        card->ops->matmul(card, &other, x, ROWS, NULL, got);
        check_floats(type_info(t)->name, got, want, ROWS * OUTPUTS);
        cpu->ops->unbind(cpu, &w);
        card->ops->unbind(card, &other);
        free((void *)w.data);
    }
}

static void look_ups(void) {
    enum { OUTPUTS = 9, ROWS = 5 };
    for (uint32_t t = 0; t < TYPE_LIMIT; t++) {
        if (!type_info(t)) continue;
        size_t cols = type_info(t)->block * random_size(1, 20);
        struct weight w = bytes_weight((enum type)t, OUTPUTS, cols, true), other = w;
        int32_t ids[ROWS];
        float *want = malloc(ROWS * cols * sizeof *want), *got = malloc(ROWS * cols * sizeof *got);
        for (int i = 0; i < ROWS; i++) ids[i] = (int32_t)random_size(0, OUTPUTS - 1);
        REQUIRE(cpu->ops->bind(cpu, &w, NULL) && card->ops->bind(card, &other, NULL));
        cpu->ops->embed(cpu, &w, ids, ROWS, want);
        card->ops->embed(card, &other, ids, ROWS, got);
        check_floats(type_info(t)->name, got, want, ROWS * cols);
        card->ops->unbind(card, &other);
        cpu->ops->unbind(cpu, &w);
        free((void *)w.data);
        free(want);
        free(got);
    }
}

// The output matrix that is the embedding is never bound by itself, and is on the card once.
static void the_embedding_as_output(void) {
    static const enum type types[] = {TYPE_Q8_0, TYPE_F16, TYPE_F32};
    for (int i = 0; i < 3; i++) {
        struct weight w = random_weight(types[i], 20, 64), own = w, tied;
        float x[64], want[20], got[20], row[64];
        int32_t id = 3;
        for (int k = 0; k < 64; k++) x[k] = random_float();
        REQUIRE(cpu->ops->bind(cpu, &w, NULL) && card->ops->bind(card, &own, NULL));
        tied = own;
        tied.own = NULL;
        card->ops->embed(card, &own, &id, 1, row);
        card->ops->matmul(card, &tied, x, 1, NULL, got);
        cpu->ops->matmul(cpu, &w, x, 1, NULL, want);
        check_floats("tied", got, want, 20);
        card->ops->unbind(card, &own);
        cpu->ops->unbind(cpu, &w);
        free((void *)w.data);
    }
}

#ifdef TEST_CARD // which does not count
#define card_launches()      0
#define card_delay(delayed)  ((void)0)
#define CHECK_LAUNCHES(x, n) ((void)(x))
#else
#define CHECK_LAUNCHES CHECK_INT
#endif

// What is only added to something else is added by the product; how many launches that took.
static size_t add_product(enum type type, size_t rows, size_t apart) {
    enum { OUTPUTS = 48, COLS = 512, MOST = 40 };
    struct weight w = random_weight(type, OUTPUTS, COLS), other = w;
    float *x = random_floats(MOST * COLS), *sum = random_floats(MOST * OUTPUTS), want[MOST * OUTPUTS],
          y[MOST * OUTPUTS], got[MOST * OUTPUTS];
    size_t n = rows * OUTPUTS;
    memcpy(want, sum, sizeof want);
    memcpy(got, sum, sizeof got);
    CHECK(cpu->ops->bind(cpu, &w, NULL) && card->ops->bind(card, &other, NULL));
    card->ops->ready(card, &other, false);
    card->ops->matmul(card, &other, x, rows, NULL, y); // planes are made here
    CHECK(card->ops->sync(card, NULL));
    (void)card_launches();
    card->ops->matmul(card, &other, x, rows, NULL, y);
    if (apart) card->ops->scale(card, sum, 1, 1); // something else comes between
    card->ops->add(card, got, y, n);
    size_t launches = card_launches();
    CHECK(card->ops->sync(card, NULL));
    cpu->ops->matmul(cpu, &w, x, rows, NULL, sum);
    check_floats("a product", y, sum, n);
    cpu->ops->add(cpu, want, sum, n);
    check_floats("and what it is added to", got, want, n);
    cpu->ops->unbind(cpu, &w);
    card->ops->unbind(card, &other);
    free((void *)w.data);
    free(x);
    free(sum);
    return launches;
}

static void products_that_are_added(void) {
    static const enum type types[] = {TYPE_Q4_0, TYPE_Q8_0, TYPE_Q4_K, TYPE_Q6_K, TYPE_IQ2_S, TYPE_F16};
    card_delay(true);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        CHECK_LAUNCHES(add_product(types[i], 1, 0), 2); // rounding, product
        CHECK_LAUNCHES(add_product(types[i], 1, 1), 4);
        CHECK_LAUNCHES(add_product(types[i], 3, 0), types[i] == TYPE_F16 ? 3 : 2); // and parts that are joined
        CHECK_LAUNCHES(add_product(types[i], 16, 0), types[i] == TYPE_F16 ? 3 : 2);
        CHECK_LAUNCHES(add_product(types[i], 32, 1), types[i] == TYPE_F16 ? 5 : 4);
    }
    CHECK_LAUNCHES(add_product(TYPE_F32, 1, 0), 2); // which reads what others may add to: two launches
    card_delay(false);
}

static void bad_shapes(void) {
    gyr_error e;
    struct weight bad[] = {{TYPE_Q4_0, 4, 33, NULL, NULL}, {(enum type)4, 4, 32, NULL, NULL}};
    for (int i = 0; i < 2; i++) {
        CHECK(!card->ops->bind(card, &bad[i], &e));
        CHECK_INT(e.status, GYR_MALFORMED);
    }
}

int main(void) {
    BOTH_WARPS(RUN(products); RUN(products_that_are_added); RUN(zeros_and_extremes); RUN(look_ups);
               RUN(the_embedding_as_output); RUN(bad_shapes);)
    return test_end();
}
