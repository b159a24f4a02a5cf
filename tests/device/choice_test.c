// The choice of positions to attend to: against its definition, whole and in parts, and the same with every instruction
// set, number of threads, and size of the scratch.
#include "device/device.h"

#include "cache.h"
#include "devices.h"
#include "random.h"
#include "reference.h"
#include "test.h"

enum { ROWS = 12 };

// The score as docs/arithmetic.md has it.
static float score_of(const struct choice *a, size_t row, size_t t) {
    struct kv_vector key =
        kv_key(&a->kv, a->k, a->at.pages[a->at.row[row].pages + t / PAGE_TOKENS], 0, t % PAGE_TOKENS);
    float score = 0, d;
    for (size_t h = 0; h < a->heads; h++) {
        const float *q = a->q + (row * a->heads + h) * a->kv.key_dim;
        float dot = 0;
        if (a->kv.type == TYPE_Q8_0) {
            int code[MAX_INDEX_KEY] = {0}, sum = 0;
            float by = ref_code_query(q, a->kv.key_dim, code) * a->scale;
            for (size_t i = 0; i < a->kv.key_dim; i++) sum += code[i] * (int8_t)key.data[kv_index(&key, i)];
            dot = (float)sum * (memcpy(&d, kv_scale(&key), sizeof d), d) * by;
        } else {
            for (size_t i = 0; i < a->kv.key_dim; i++) dot = fmaf(q[i], kv_get(&key, i), dot);
            dot *= a->scale;
        }
        score = fmaf(a->weight[row * a->heads + h], dot < 0 ? 0 : dot, score);
    }
    return score;
}

// Whether score s at position t comes before score r at position u.
static bool ahead(float s, size_t t, float r, size_t u) {
    if (isnan(s) || isnan(r)) return isnan(s) && (!isnan(r) || t < u);
    return s > r || (s == r && t < u);
}

// A position is chosen if fewer than `most` come before it.
static void check_row(const struct choice *a, size_t row) {
    size_t seen = a->at.row[row].position + 1u, n = 0, wrong = 0;
    float *score = malloc(seen * sizeof *score);
    for (size_t t = 0; t < seen; t++) score[t] = score_of(a, row, t);
    for (size_t t = 0; t < seen && seen > a->most; t++) {
        size_t before = 0;
        for (size_t u = 0; u < seen; u++) before += ahead(score[u], u, score[t], t);
        if (before >= a->most) continue;
        wrong += n == a->most || a->chosen[row * a->most + n] != (int32_t)t;
        n++;
    }
    CHECK_INT(wrong, 0);
    CHECK_INT(n, seen > a->most ? a->most : 0);
    free(score);
}

// Some rows alone, with some scratch, into the same places.
static void choose_part(const struct choice *all, int d, size_t first, size_t n, size_t room) {
    struct choice a = *all;
    a.rows = n;
    a.q += first * a.heads * a.kv.key_dim;
    a.weight += first * a.heads;
    a.at.row += first;
    a.chosen += first * a.most;
    a.room = room;
    a.work = malloc(room * sizeof *a.work);
    devices[d]->ops->choose(devices[d], &a);
    free(a.work);
}

static void check_parts(const struct choice *a, size_t length, const int32_t *want) {
    size_t longest = (length + PAGE_TOKENS - 1) / PAGE_TOKENS * PAGE_TOKENS, bytes = a->rows * a->most * sizeof *want;
    for (int d = 0; d < count; d++) {
        memset(a->chosen, 0xff, bytes);
        for (size_t r = 0, n; r < a->rows; r += n) {
            n = random_size(1, a->rows - r);
            choose_part(a, d, r, n, longest * random_size(1, 4));
        }
        bool same = !memcmp(a->chosen, want, bytes);
        if (!same) printf("%s chooses otherwise\n", device_cpu_isa(devices[d]));
        CHECK(same);
    }
}

static void try(struct choice a, size_t length) {
    struct cache c = random_cache(a.kv, 2, length);
    struct attention_row row[ROWS];
    size_t all = a.rows * a.heads * a.kv.key_dim;
    float *q = random_floats(all), *weight = random_floats(a.rows * a.heads);
    for (size_t r = 0; r < a.rows; r++) {
        size_t sequence = random_size(0, 1), position = random_size(r % 3 ? length / 2 : 0, length - 1);
        row[r] = (struct attention_row){(uint32_t)(sequence * c.per_sequence), (uint32_t)position};
    }
    a.q = q;
    a.weight = weight;
    a.at = (struct seats){row, c.table, length};
    a.k = c.k;
    a.scale = 0.3f;
    int32_t *want = malloc(a.rows * a.most * sizeof *want), *got = malloc(a.rows * a.most * sizeof *got);
    memset(want, 0xff, a.rows * a.most * sizeof *want);
    a.chosen = want;
    choose_part(&a, 0, 0, a.rows, length * ROWS + PAGE_TOKENS * ROWS);
    for (size_t r = 0; r < a.rows; r++) check_row(&a, r);
    a.chosen = got;
    check_parts(&a, length, want);
    void *memory[] = {q, weight, want, got};
    for (int i = 0; i < 4; i++) free(memory[i]);
    free_cache(&c);
}

static const enum type types[] = {TYPE_F32, TYPE_F16, TYPE_Q8_0};

// Few heads give many equal scores, of 0.
static void shapes(void) {
    for (size_t i = 0; i < 36; i++) {
        struct choice a = {.rows = random_size(1, ROWS), .heads = random_size(1, i % 4 ? 4 : 20)};
        a.kv = (struct kv_shape){types[i % 3], 1, i % 7 ? random_size(1, 40) : 128, 0};
        size_t length = random_size(2, i % 5 ? 150 : 700);
        a.most = random_size(1, length);
        try(a, length);
    }
}

// One head and a key of one element say which scores there are.
static void choose_from(const float *scores, size_t n, size_t most, int32_t *chosen) {
    struct kv_shape kv = {TYPE_F32, 1, 1, 0};
    float pages[SLAB_PAGES * PAGE_TOKENS] = {0}, one = 1, work[PAGE_TOKENS];
    uint8_t *slab = (uint8_t *)pages;
    struct kv_array page = {&slab, 0};
    uint32_t number = 0;
    struct attention_row row = {0, (uint32_t)n - 1};
    for (size_t t = 0; t < n; t++) kv_write_key(&kv, page, 0, 0, t, scores + t);
    struct choice a = {1, 1, most, kv, &one, &one, 1, page, {&row, &number, n}, chosen, work, PAGE_TOKENS};
    for (int d = 0; d < count; d++) {
        memset(chosen, 0, most * sizeof *chosen);
        devices[d]->ops->choose(devices[d], &a);
    }
}

static void equals_go_to_the_earlier(void) {
    int32_t chosen[4];
    choose_from((float[]){1, 2, 1, 3, 1, 1}, 6, 4, chosen);
    CHECK(chosen[0] == 0 && chosen[1] == 1 && chosen[2] == 2 && chosen[3] == 3);
    choose_from((float[]){-5, -0.0f, 0, -3, 1, 0}, 6, 3, chosen); // what is negative counts as 0
    CHECK(chosen[0] == 0 && chosen[1] == 1 && chosen[2] == 4);
    choose_from((float[]){0, 1e-45f, 1e-40f, 0, 1e-45f, INFINITY}, 6, 3, chosen);
    CHECK(chosen[0] == 1 && chosen[1] == 2 && chosen[2] == 5);
}

static void nan_is_chosen(void) {
    int32_t chosen[2];
    choose_from((float[]){3, INFINITY, 4, NAN, 5, -NAN}, 6, 2, chosen);
    CHECK(chosen[0] == 3 && chosen[1] == 5);
}

static void nothing_to_choose_from(void) {
    int32_t chosen[3];
    choose_from((float[]){3, 1, 2}, 3, 3, chosen);
    CHECK(chosen[0] == 0 && chosen[1] == 0 && chosen[2] == 0); // nothing was written
}

int main(void) {
    open_devices();
    RUN(shapes);
    RUN(equals_go_to_the_earlier);
    RUN(nan_is_chosen);
    RUN(nothing_to_choose_from);
    close_devices();
    return test_end();
}
