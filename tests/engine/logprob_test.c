// Logarithms of probabilities against double precision, and the order of the likeliest against a plain sort.
#include "device/elementary.h"
#include "engine/logprob.h"
#include "engine/random.h"
#include "test.h"

enum { MOST = 3000 };

static float x[MOST], work[MOST];

// Scores of a row: `round` chooses how far apart, and how many of them are equal.
static void fill(size_t n, uint64_t round) {
    double scale = (double)(1 + round % 60), steps = round % 3 ? 1e6 : 8;
    for (size_t i = 0; i < n; i++) x[i] = (float)(floor(random_at(round, i) * steps) / steps * scale - scale / 3);
}

static void they_are_what_double_precision_says(void) {
    double worst = 0;
    for (uint64_t round = 0; round < 400; round++) {
        size_t n = 1 + (size_t)(random_at(round, MOST) * MOST);
        fill(n, round);
        double most = -INFINITY, sum = 0, all = 0;
        for (size_t i = 0; i < n; i++) most = fmax(most, (double)x[i]);
        for (size_t i = 0; i < n; i++) sum += exp((double)x[i] - most);
        struct log_softmax s = log_softmax(host_exps_here(), x, n, work);
        for (size_t i = 0; i < n; i++) {
            double want = (double)x[i] - most - log(sum), got = (double)log_softmax_at(&s, x[i]);
            worst = fmax(worst, fabs(got - want) / fmax(1, fabs(want)));
            all += exp(got);
        }
        CHECK(fabs(all - 1) < 2e-6);
    }
    printf("  at most %.2g off, of the larger of 1 and the value\n", worst);
    CHECK(worst < 4e-7);
}

// The shape of the sum, in another way: sixteen sums in double, folded by halves.
static void the_sum_has_one_shape(void) {
    for (uint64_t round = 0; round < 50; round++) {
        size_t n = 1 + (size_t)(random_at(round, 7) * MOST);
        fill(n, round);
        double sum[16] = {0};
        float best = x[0];
        for (size_t i = 0; i < n; i++) best = x[i] > best ? x[i] : best;
        for (size_t i = 0; i < n; i++) sum[i % 16] += (double)exp_f(x[i] - best);
        for (int half = 8; half; half /= 2)
            for (int l = 0; l < half; l++) sum[l] += sum[l + half];
        struct log_softmax s = log_softmax(host_exps_here(), x, n, work);
        float want = log_f((float)sum[0]);
        CHECK(s.best == best && !memcmp(&s.log_sum, &want, sizeof want));
    }
}

static void scores_that_are_no_numbers(void) {
    float odd[20];
    for (int i = 0; i < 20; i++) odd[i] = i % 2 ? NAN : -INFINITY;
    struct log_softmax s = log_softmax(host_exps_here(), odd, 20, work);
    CHECK(fabsf(log_softmax_at(&s, odd[0]) + logf(20)) < 1e-6f &&
          log_softmax_at(&s, odd[1]) == log_softmax_at(&s, odd[0]));
    odd[7] = 2;
    s = log_softmax(host_exps_here(), odd, 20, work);
    CHECK(log_softmax_at(&s, odd[7]) == 0 && log_softmax_at(&s, odd[1]) == -INFINITY);
    odd[3] = odd[18] = INFINITY;
    s = log_softmax(host_exps_here(), odd, 20, work);
    CHECK(fabsf(log_softmax_at(&s, odd[3]) + logf(2)) < 1e-6f && log_softmax_at(&s, odd[7]) == -INFINITY);
    int32_t ids[20];
    likeliest(odd, 20, ids, 5); // a NaN is as good as -infinity
    static const int32_t want[] = {3, 18, 7, 0, 1};
    CHECK(!memcmp(ids, want, sizeof want));
}

static bool better(size_t a, size_t b) { return x[a] > x[b] || (x[a] == x[b] && a < b); }

static void the_likeliest_come_in_order(void) {
    for (uint64_t round = 0; round < 200; round++) {
        size_t n = 1 + (size_t)(random_at(round, 9) * 500), k = 1 + round % 128, before[500] = {0};
        int32_t ids[128];
        if (k > n) k = n;
        fill(n, round);
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++) before[i] += better(j, i);
        likeliest(x, n, ids, k);
        for (size_t i = 0; i < k; i++) CHECK_INT(before[ids[i]], i);
    }
    int32_t untouched = 77;
    likeliest(x, 1, &untouched, 0);
    CHECK_INT(untouched, 77);
}

// Every instruction set that is here gives the same bits.
static void whatever_the_instruction_set(void) {
    static float want[MOST], got[MOST];
    static const char *const sets[] = {"scalar", "avx2", "avx512", "amx", "neon"};
    fill(MOST, 1);
    x[5] = NAN;
    x[77] = -INFINITY;
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        setenv("GYR_ISA", sets[i], 1); // one that is not here: the scalar one
        host_exps_here()(x, MOST, 12, 0.7f, -40, i ? got : want);
        CHECK(i == 0 || !memcmp(got, want, sizeof want));
    }
    unsetenv("GYR_ISA");
    CHECK(want[5] == 0 && want[77] == 0);
}

int main(void) {
    RUN(they_are_what_double_precision_says);
    RUN(the_sum_has_one_shape);
    RUN(whatever_the_instruction_set);
    RUN(scores_that_are_no_numbers);
    RUN(the_likeliest_come_in_order);
    return test_end();
}
