// Attention of training on a card: the bytes of attention_forward() and attention_backward(). On the emulated card, or
// with TEST_CARD on one of this machine, which GYR_CARD names.
#include "test.h"

#include "device/random.h"
#include "train/ops.h"

#include <time.h>

static struct device *card;

static dfloat *there(const float *x, size_t n) {
    dfloat *at = card->ops->alloc(card, n * sizeof *x, NULL);
    if (!at) abort();
    if (x) card->ops->write(card, at, x, n * sizeof *x);
    return at;
}

static void compare(const char *what, const struct attention_op *o, const float *got, const float *want, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (memcmp(got + i, want + i, sizeof *got) && !(isnan(got[i]) && isnan(want[i]))) {
            printf("%s of %zu rows, %zu of %zu heads of %zu: [%zu] is %a, not %a\n", what, o->rows, o->heads,
                   o->kv_heads, o->dim, i, (double)got[i], (double)want[i]);
            CHECK(!"the CPU's bytes");
            return;
        }
}

// What is made, y, saved, dq, dk, dv: on the CPU, and on the card.
enum { PARTS = 5 };

static void by_card(const struct attention_op *o, const float *const in[4], float *const out[PARTS], const size_t *n,
                    size_t wide, size_t narrow, double *took) {
    struct causal a = {.rows = o->rows, .heads = o->heads, .kv_heads = o->kv_heads, .dim = o->dim, .scale = o->scale};
    dfloat *made[PARTS], *q = there(in[0], wide), *k = there(in[1], narrow), *v = there(in[2], narrow),
                         *dy = there(in[3], wide);
    gyr_error e = {0};
    for (int i = 0; i < PARTS; i++) made[i] = there(NULL, n[i]);
    a.q = q, a.k = k, a.v = v, a.y = made[0], a.saved = made[1], a.dq = made[2], a.dk = made[3], a.dv = made[4];
    for (int back = 0; back < 2; back++) {
        a.dy = back ? dy : NULL;
        a.work = there(NULL, card->ops->causal_floats(card, &a));
        CHECK(card->ops->sync(card, &e));
        struct timespec from, to;
        clock_gettime(CLOCK_MONOTONIC, &from);
        card->ops->causal(card, &a);
        CHECK(card->ops->sync(card, &e));
        clock_gettime(CLOCK_MONOTONIC, &to);
        took[back] = (double)(to.tv_sec - from.tv_sec) + 1e-9 * (double)(to.tv_nsec - from.tv_nsec);
        card->ops->free(card, a.work);
    }
    for (int i = 0; i < PARTS; i++) card->ops->read(card, out[i], made[i], n[i] * sizeof(float));
    CHECK(card->ops->sync(card, &e));
    dfloat *all[] = {q, k, v, dy, made[0], made[1], made[2], made[3], made[4]};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) card->ops->free(card, all[i]);
}

static void try_attention(size_t rows, size_t heads, size_t kv_heads, size_t dim, float size) {
    static const char *const names[PARTS] = {"y", "sums", "dq", "dk", "dv"};
    struct attention_op o = {
        .pool = pool_new(0, NULL), .rows = rows, .heads = heads, .kv_heads = kv_heads, .dim = dim, .scale = 0.3f};
    size_t wide = rows * heads * dim, narrow = rows * kv_heads * dim;
    const size_t n[PARTS] = {wide, rows * heads, wide, narrow, narrow};
    float *in[4] = {random_floats(wide), random_floats(narrow), random_floats(narrow), random_floats(wide)};
    float *want[PARTS], *got[PARTS];
    double took[2];
    for (size_t i = 0; i < wide; i++) in[0][i] *= size;
    for (int i = 0; i < PARTS; i++) want[i] = malloc(n[i] * sizeof(float)), got[i] = malloc(n[i] * sizeof(float));
    gyr_error e = {0};
    REQUIRE(o.pool && attention_forward(&o, in[0], in[1], in[2], want[0], want[1], &e) &&
            attention_backward(&o, in[0], in[1], in[2], want[0], want[1], in[3], want[2], want[3], want[4], &e));
    by_card(&o, (const float *const *)in, got, n, wide, narrow, took);
    for (int i = 0; i < PARTS; i++) compare(names[i], &o, got[i], want[i], n[i]);
    if (getenv("SUMS_RATES"))
        printf("  %zu rows, %zu heads of %zu: %.2f ms, back %.2f\n", rows, heads, dim, took[0] * 1e3, took[1] * 1e3);
    for (int i = 0; i < 4; i++) free(in[i]);
    for (int i = 0; i < PARTS; i++) free(want[i]), free(got[i]);
    pool_free(o.pool);
}

// Blocks of rows that are full and not, tiles of sums that begin within one.
static void lengths(void) {
    static const size_t rows[] = {1, 2, 47, 48, 49, 64, 97, 130, 200};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) try_attention(rows[i], 2, i % 2 ? 1 : 2, 8, 1);
}

static void heads(void) {
    try_attention(70, 6, 2, 20, 1);
    try_attention(60, 3, 3, 64, 1);
    try_attention(33, 2, 1, 130, 1);
}

// Weights that vanish, and scores that are no numbers.
static void extremes(void) {
    try_attention(100, 2, 1, 16, 1e3f);
    try_attention(100, 2, 1, 16, 1e-30f);
    try_attention(60, 1, 1, 4, INFINITY);
}

#ifdef TEST_CARD
static void as_models_have_it(void) {
    try_attention(512, 32, 4, 64, 1);
    try_attention(2048, 32, 32, 128, 1);
}
#endif

int main(void) {
    gyr_error e = {0};
#ifdef TEST_CARD
    card = device_open(getenv("GYR_CARD"), 1, &e);
#else
    card = device_open("simt", 1, &e);
#endif
    if (!card) return printf("%s\n", e.message), 1;
    RUN(lengths);
    RUN(heads);
    RUN(extremes);
#ifdef TEST_CARD
    RUN(as_models_have_it);
#endif
    card->ops->close(card);
    return test_end();
}
