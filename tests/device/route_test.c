// The choice of experts and the sum of what they give, gates, caps and scales: against the definition in double
// precision, and the same bytes with every instruction set, number of threads, and cut of the rows.
#include "device/device.h"

#include "devices.h"
#include "random.h"
#include "test.h"

// Scores of a row in double precision; the sums of weights are taken by the caller.
static void scores_of(const struct route *a, const float *logits, double *score) {
    double most = -INFINITY, sum = 0;
    for (size_t i = 0; i < a->experts; i++) most = fmax(most, (double)logits[i]);
    for (size_t i = 0; i < a->experts; i++) sum += exp((double)logits[i] - most);
    for (size_t i = 0; i < a->experts; i++) {
        double x = (double)logits[i];
        score[i] = a->score == ROUTE_SIGMOID ? 1 / (1 + exp(-x)) : a->score == ROUTE_CHOSEN ? x : exp(x - most) / sum;
    }
}

static double worth(const struct route *a, const double *score, size_t i) {
    return score[i] + (a->shift ? (double)a->shift[i] : 0);
}

// What a group is worth: its best, or its two best.
static double group_worth(const struct route *a, const double *score, size_t group) {
    size_t size = a->experts / a->groups;
    double first = -INFINITY, second = -INFINITY;
    for (size_t i = group * size; i < (group + 1) * size; i++) {
        double w = worth(a, score, i);
        second = fmax(second, fmin(w, first));
        first = fmax(first, w);
    }
    return a->pairs && size > 1 ? first + second : first;
}

static bool in_best_group(const struct route *a, const double *score, size_t expert) {
    size_t group = a->groups > 1 ? expert / (a->experts / a->groups) : 0, better = 0;
    double own = a->groups > 1 ? group_worth(a, score, group) : 0;
    for (size_t g = 0; a->groups > 1 && g < a->groups; g++) {
        double other = group_worth(a, score, g);
        better += other > own || (other == own && g < group);
    }
    return a->groups <= 1 || better < a->groups_used;
}

// The place of an expert in the order of choice; beyond `used`: not chosen.
static size_t rank_of(const struct route *a, const double *score, size_t expert) {
    size_t better = 0;
    if (!in_best_group(a, score, expert)) return a->experts;
    for (size_t i = 0; i < a->experts; i++) {
        double w = worth(a, score, i), own = worth(a, score, expert);
        better += in_best_group(a, score, i) && (w > own || (w == own && i < expert));
    }
    return better;
}

static void check_row(const struct route *a, size_t row) {
    double score[64], sum = 0, most = -INFINITY;
    const int32_t *expert = a->expert + row * a->used;
    scores_of(a, a->logits + row * a->experts, score);
    for (size_t j = 0; j < a->used; j++) {
        CHECK_INT(rank_of(a, score, (size_t)expert[j]), j);
        most = fmax(most, score[expert[j]]);
    }
    for (size_t j = 0; a->score == ROUTE_CHOSEN && j < a->used; j++) score[expert[j]] = exp(score[expert[j]] - most);
    for (size_t j = 0; j < a->used; j++) sum += score[expert[j]];
    bool share = a->normed || a->score == ROUTE_CHOSEN;
    for (size_t j = 0; j < a->used; j++) {
        double own = a->own_scale ? (double)a->own_scale[expert[j]] : 1;
        double want = score[expert[j]] / (share ? sum : 1) * (double)a->scale * own;
        CHECK(fabs((double)a->weight[row * a->used + j] - want) <= 1e-5 * (1 + fabs(want)));
    }
}

static void one_route(int i) {
    enum { ROWS = 9 };
    size_t groups = i % 3 == 2 ? 4 : 1, experts = groups * random_size(2, 16), used = random_size(1, experts / groups);
    float *logits = malloc(ROWS * experts * sizeof *logits), *shift = malloc(experts * sizeof *shift);
    for (size_t k = 0; k < ROWS * experts; k++) logits[k] = 4 * random_float();
    for (size_t k = 0; k < experts; k++) shift[k] = random_float();
    float *weight[2] = {calloc(ROWS * used, sizeof(float)), calloc(ROWS * used, sizeof(float))};
    int32_t *expert[2] = {calloc(ROWS * used, sizeof(int32_t)), calloc(ROWS * used, sizeof(int32_t))};
    float *work = calloc(2 * ROWS * experts, sizeof *work);
    struct route a = {.score = (enum route_score)(i % 3), .rows = ROWS, .experts = experts, .used = used};
    a.score = i % 4 == 3 ? ROUTE_SIGMOID : a.score;
    a.groups = groups;
    a.groups_used = i % 2 ? 2 : 1;
    a.pairs = i % 5 < 3;
    a.logits = logits;
    a.shift = i % 2 ? shift : NULL;
    a.normed = i % 7 < 4;
    a.scale = i % 3 ? 1 : 2.5f;
    a.own_scale = i % 5 == 1 ? shift : NULL;
    a.work = work;
    for (int d = 0; d < count; d++) {
        a.expert = expert[d > 0];
        a.weight = weight[d > 0];
        devices[d]->ops->route(devices[d], &a);
        CHECK(!memcmp(expert[0], a.expert, ROWS * used * sizeof(int32_t)));
        CHECK(!memcmp(weight[0], a.weight, ROWS * used * sizeof(float)));
    }
    for (size_t r = 0; r < ROWS; r++) check_row(&a, r);
    struct route last = a;
    last.rows = 1;
    last.logits = logits + (ROWS - 1) * experts;
    devices[0]->ops->route(devices[0], &last);
    CHECK(!memcmp(last.expert, expert[0] + (ROWS - 1) * used, used * sizeof(int32_t)));
    CHECK(!memcmp(last.weight, weight[0] + (ROWS - 1) * used, used * sizeof(float)));
    void *all[] = {logits, shift, weight[0], weight[1], expert[0], expert[1], work};
    for (int k = 0; k < 7; k++) free(all[k]);
}

static void routes(void) {
    for (int i = 0; i < 105; i++) one_route(i);
}

static void equals_go_to_the_smaller_number(void) {
    float logits[6] = {1, 3, 3, 2, 3, 2}, weight[4], work[12];
    int32_t expert[4];
    struct route a = {.rows = 1, .experts = 6, .used = 4, .logits = logits, .scale = 1};
    a.expert = expert;
    a.weight = weight;
    a.work = work;
    devices[0]->ops->route(devices[0], &a);
    CHECK(expert[0] == 1 && expert[1] == 2 && expert[2] == 4 && expert[3] == 3);
}

// Logits that are no numbers still choose experts that exist.
static void nonsense_chooses_something(void) {
    float logits[8], weight[3], work[16];
    int32_t expert[3];
    for (int i = 0; i < 8; i++) logits[i] = i % 2 ? NAN : INFINITY;
    struct route a = {.rows = 1, .experts = 8, .used = 3, .groups = 4, .groups_used = 2, .logits = logits, .scale = 1};
    a.expert = expert;
    a.weight = weight;
    a.work = work;
    for (int s = 0; s < 3; s++) {
        a.score = (enum route_score)s;
        devices[0]->ops->route(devices[0], &a);
        for (int j = 0; j < 3; j++) CHECK(expert[j] >= 0 && expert[j] < 8);
    }
}

static void mixes(void) {
    enum { ROWS = 7, N = 3, DIM = 75, FROM = 20 };
    float *x = random_floats(FROM * DIM), by[ROWS * N], want[ROWS * DIM], got[ROWS * DIM];
    int32_t from[ROWS * N];
    for (int i = 0; i < ROWS * N; i++) {
        from[i] = (int32_t)random_size(0, FROM - 1);
        by[i] = random_float();
    }
    for (int weighted = 0; weighted < 2; weighted++)
        for (int d = 0; d < count; d++) {
            struct sum_rows a = {ROWS, N, DIM, from, weighted ? by : NULL, x, d ? got : want};
            devices[d]->ops->sum_rows(devices[d], &a);
            if (d) CHECK(!memcmp(want, got, sizeof want));
            for (int r = 0; r < ROWS && !d; r++)
                for (int i = 0; i < DIM; i++) {
                    float sum = 0;
                    for (int j = 0; j < N; j++) {
                        float f = x[from[r * N + j] * DIM + i], w = weighted ? by[r * N + j] : 1;
                        sum = j ? fmaf(w, f, sum) : w * f;
                    }
                    CHECK(want[r * DIM + i] == sum);
                }
        }
    free(x);
}

static double silu(double x) { return x / (1 + exp(-x)); }

static double clamp(double x, double low, double high) { return x < low ? low : x > high ? high : x; }

static void gates(void) {
    enum { ROWS = 3, N = 9000 };
    float *x = random_floats(ROWS * 2 * N), *want = malloc(ROWS * N * sizeof *want),
          *got = malloc(ROWS * N * sizeof *got);
    for (int clamped = 0; clamped < 2; clamped++)
        for (int d = 0; d < count; d++) {
            struct gate a = {ACT_SILU, ROWS, N, 2 * N, x, x + N, d ? got : want, .limit = clamped ? 7 : 0};
            a.alpha = 1.702f;
            devices[d]->ops->gate(devices[d], &a);
            if (d) CHECK(!memcmp(want, got, ROWS * N * sizeof *want));
            for (size_t i = 0; i < ROWS * N && !d; i += 7) {
                double g = (double)x[i / N * 2 * N + i % N], u = (double)x[i / N * 2 * N + N + i % N];
                double c = clamp(g, -1e9, 7), right = silu(g) * u;
                if (clamped) right = (clamp(u, -7, 7) + 1) * c / (1 + exp(-1.702 * c));
                CHECK(fabs((double)want[i] - right) <= 1e-5 * (1 + fabs(right)));
            }
        }
    free(x);
    free(want);
    free(got);
}

static void caps_and_scales(void) {
    enum { N = 9001 };
    float *x = random_floats(N), *want = malloc(N * sizeof *want), *got = malloc(N * sizeof *got);
    for (int d = 0; d < count; d++) {
        float *y = d ? got : want;
        memcpy(y, x, N * sizeof *y);
        devices[d]->ops->cap(devices[d], y, 5, N);
        devices[d]->ops->scale(devices[d], y, 0.3f, N);
        CHECK(!memcmp(want, y, N * sizeof *want));
    }
    for (int i = 0; i < N; i++) CHECK(fabs((double)want[i] - 1.5 * tanh((double)x[i] / 5)) < 1e-6);
    free(x);
    free(want);
    free(got);
}

int main(void) {
    open_devices();
    RUN(routes);
    RUN(equals_go_to_the_smaller_number);
    RUN(nonsense_chooses_something);
    RUN(mixes);
    RUN(gates);
    RUN(caps_and_scales);
    close_devices();
    return test_end();
}
