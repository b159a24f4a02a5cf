// From projections to queries and the cache: against the formula, for every layout, kind of pairs, norm and cache type,
// and the same bytes with every instruction set.
#include "device/device.h"

#include "cache.h"
#include "devices.h"
#include "random.h"
#include "reference.h"
#include "test.h"

enum { ROWS = 5, LENGTH = 90 };

// One head, normed and rotated as the formula says.
static void expect(const struct qkv *a, const float *x, const float *weight, size_t row, double *y) {
    size_t dim = a->kv.key_dim, half = a->rotary_dim / 2;
    double normed[MAX_HEAD];
    for (size_t i = 0; i < dim; i++) normed[i] = (double)x[i];
    if (weight) ref_norm(a->norm, x, weight, NULL, a->norm_eps, dim, normed);
    memcpy(y, normed, dim * sizeof *y);
    for (size_t i = 0; i < half; i++) {
        static const float still[2] = {1, 0};
        const float *t = a->angles ? a->angles + (row * half + i) * 2 : still;
        bool adjacent = a->pairs == PAIRS_ADJACENT;
        double first = normed[adjacent ? 2 * i : i], second = normed[adjacent ? 2 * i + 1 : i + half];
        y[i] = first * (double)t[0] - second * (double)t[1];
        y[i + half] = second * (double)t[0] + first * (double)t[1];
    }
}

static size_t far_off(double got, double want, double most) { return !(fabs(got - want) <= most); }

static double largest(const double *x, size_t n) {
    double most = 1;
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs(x[i]));
    return most;
}

static const float *head(const struct projected *in, size_t row, size_t group, size_t h, size_t dim) {
    return in->x + row * in->row + h / group * in->step + h % group * dim;
}

static void check(const struct qkv *a) {
    size_t dim = a->kv.key_dim, group = a->heads / a->kv.heads, bad = 0;
    double near = a->kv.type == TYPE_F32 ? 2e-6 : a->kv.type == TYPE_F16 ? 5e-4 : 4.5e-3, want[MAX_HEAD];
    for (size_t r = 0; r < a->rows; r++) {
        uint32_t p = a->at.row[r].position, page = a->at.pages[a->at.row[r].pages + p / PAGE_TOKENS],
                 slot = p % PAGE_TOKENS;
        for (size_t h = 0; h < a->heads; h++) {
            const float *w = a->q_norm ? a->q_norm + h * a->norm_step : NULL;
            expect(a, head(&a->q_in, r, group, h, dim), w, r, want);
            double most = largest(want, dim) * 2e-6;
            for (size_t i = 0; i < dim; i++) bad += far_off((double)a->q[(r * a->heads + h) * dim + i], want[i], most);
        }
        for (size_t g = 0; g < a->kv.heads; g++) {
            struct kv_vector k = kv_key(&a->kv, a->k, page, g, slot), v = kv_value(&a->kv, a->v, page, g, slot);
            const float *value = head(&a->v_in, r, 1, g, 0);
            expect(a, head(&a->k_in, r, 1, g, 0), a->k_norm ? a->k_norm + g * a->norm_step : NULL, r, want);
            double most = largest(want, dim) * near * (a->kv.type == TYPE_Q8_0 ? 5 : 1); // a key is spread
            double got[MAX_HEAD];
            ref_vector(&k, got);
            for (size_t i = 0; i < dim; i++) bad += far_off(got[i], want[i], most);
            for (size_t i = 0; i < a->kv.value_dim; i++) want[i] = (double)value[i];
            most = largest(want, a->kv.value_dim) * near;
            for (size_t i = 0; i < a->kv.value_dim; i++) bad += far_off((double)kv_get(&v, i), want[i], most);
        }
    }
    CHECK_INT(bad, 0);
}

static void lay_out(struct qkv *a, const float *x, int how) {
    size_t dim = a->kv.key_dim, vdim = a->kv.value_dim, n = a->kv.heads, group = a->heads / n;
    size_t q = a->heads * dim, k = n * dim, v = n * vdim, all = q + k + v, each = (group + 1) * dim + vdim;
    const struct projected separate[] = {
        {x, q, group * dim}, {x + a->rows * q, k, dim}, {x + a->rows * (q + k), v, vdim}};
    const struct projected stacked[] = {{x, all, group * dim}, {x + q, all, dim}, {x + q + k, all, vdim}};
    const struct projected grouped[] = {
        {x, all, each}, {x + group * dim, all, each}, {x + (group + 1) * dim, all, each}};
    const struct projected *p = how == 0 ? separate : how == 1 ? stacked : grouped;
    a->q_in = p[0];
    a->k_in = p[1];
    a->v_in = p[2];
}

static void one(int i) {
    static const enum type types[] = {TYPE_F32, TYPE_F16, TYPE_Q8_0};
    size_t dim = 2 * random_size(1, 40), heads = random_size(1, 4), rows = random_size(1, ROWS);
    struct qkv a = {.rows = rows, .heads = heads * random_size(1, 5), .norm = i % 2 ? NORM_RMS : NORM_LAYER};
    a.kv = (struct kv_shape){types[i % 3], heads, dim, i % 7 ? dim : dim / 2};
    a.rotary_dim = i % 4 ? dim : dim / 4 * 2;
    a.pairs = i % 5 < 2 ? PAIRS_ADJACENT : PAIRS_HALVES;
    a.norm_eps = 1e-5f;
    a.norm_step = i % 3 ? dim : 0;
    size_t n = rows * (a.heads + 2 * heads) * dim, queries = rows * a.heads * dim;
    float *x = random_floats(n), *table = random_floats(LENGTH * dim + 1), *w = random_floats(a.heads * dim);
    float *want = malloc(queries * sizeof *want);
    lay_out(&a, x, i % 3);
    a.angles = i % 6 ? table : NULL;
    a.q_norm = a.k_norm = i % 4 < 2 ? w : NULL;
    struct attention_row row[ROWS];
    struct cache c = random_cache(a.kv, rows, LENGTH);
    for (size_t r = 0; r < rows; r++)
        row[r] = (struct attention_row){(uint32_t)(r * c.per_sequence), (uint32_t)random_size(0, LENGTH - 1)};
    a.at = (struct seats){row, c.table, LENGTH};
    a.k = c.k;
    a.v = c.v;
    for (int d = 0; d < count; d++) {
        a.q = malloc(queries * sizeof *a.q);
        devices[d]->ops->qkv(devices[d], &a);
        if (!d) memcpy(want, a.q, queries * sizeof *want);
        CHECK(!memcmp(a.q, want, queries * sizeof *want));
        check(&a);
        free(a.q);
    }
    free(x);
    free(table);
    free(w);
    free(want);
    free_cache(&c);
}

static void layouts_pairs_and_norms(void) {
    for (int i = 0; i < 84; i++) one(i);
}

// Neighbours rotated together give what halves give of the same numbers in the other order.
static void order_of_the_file_does_not_matter(void) {
    enum { DIM = 48, ROTATED = 32 };
    float x[DIM], y[DIM], table[2 * ROTATED], q[2][DIM], pages[2 * SLAB_PAGES * PAGE_TOKENS * DIM];
    uint8_t *slab = (uint8_t *)pages;
    for (int i = 0; i < DIM; i++) x[i] = y[i] = random_float();
    for (int i = 0; i < ROTATED / 2; i++) {
        y[2 * i] = x[i];
        y[2 * i + 1] = x[i + ROTATED / 2];
    }
    for (int i = 0; i < 2 * ROTATED; i++) table[i] = random_float();
    for (int i = 0; i < 2; i++) {
        const float *in = i ? y : x;
        struct attention_row row = {0, 1};
        struct qkv a = {
            .rows = 1, .heads = 1, .kv = {TYPE_F32, 1, DIM, DIM}, .pairs = i ? PAIRS_ADJACENT : PAIRS_HALVES};
        a.q_in = a.k_in = a.v_in = (struct projected){in, DIM, DIM};
        a.angles = table;
        a.rotary_dim = ROTATED;
        a.q = q[i];
        a.at = (struct seats){&row, &(uint32_t){0}, PAGE_TOKENS};
        a.k = (struct kv_array){&slab, 0};
        a.v = (struct kv_array){&slab, sizeof pages / 2};
        devices[0]->ops->qkv(devices[0], &a);
    }
    CHECK(!memcmp(q[0], q[1], sizeof q[0]));
}

// Layers that read another's keys and values make queries alone, and the same ones.
static void queries_alone(void) {
    enum { DIM = 16, HEADS = 4 };
    float *x = random_floats(HEADS * DIM), *table = random_floats(4 * DIM), *w = random_floats(DIM);
    float pages[2 * SLAB_PAGES * PAGE_TOKENS * DIM], q[2][HEADS * DIM];
    uint8_t *slab = (uint8_t *)pages;
    struct attention_row row = {0, 3};
    struct qkv a = {.rows = 1, .heads = HEADS, .kv = {TYPE_F32, 1, DIM, DIM}, .rotary_dim = DIM, .norm = NORM_RMS};
    a.q_in = (struct projected){x, HEADS * DIM, HEADS * DIM};
    a.k_in = a.v_in = (struct projected){x, DIM, DIM};
    a.angles = table;
    a.q_norm = a.k_norm = w;
    a.at = (struct seats){&row, &(uint32_t){0}, PAGE_TOKENS};
    for (int d = 0; d < count; d++) {
        a.q = q[0];
        a.k = (struct kv_array){&slab, 0};
        a.v = (struct kv_array){&slab, sizeof pages / 2};
        devices[d]->ops->qkv(devices[d], &a);
        a.q = q[1];
        a.k = a.v = (struct kv_array){0};
        devices[d]->ops->qkv(devices[d], &a);
        CHECK(!memcmp(q[0], q[1], sizeof q[0]));
    }
    free(x);
    free(table);
    free(w);
}

int main(void) {
    open_devices();
    RUN(layouts_pairs_and_norms);
    RUN(order_of_the_file_does_not_matter);
    RUN(queries_alone);
    close_devices();
    return test_end();
}
