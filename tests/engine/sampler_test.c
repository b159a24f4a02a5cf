#include "device/elementary.h"
#include "engine/random.h"
#include "engine/sampler.h"
#include "test.h"

enum { VOCAB = 8 };
static const float logits[VOCAB] = {1, 3, 2, 3, -1, 0, -2, 0.5f};
static struct sampler sampler;

static gyr_sampling plain(void) { return (gyr_sampling){.temperature = 1, .top_p = 1, .repetition_penalty = 1}; }

static int32_t pick(const gyr_sampling *o, const int32_t *ids, size_t n, size_t answer) {
    return sampler_pick(&sampler, o, logits, &(struct history){ids, n, answer}, NULL);
}

// How often each token is drawn over many positions, as a fraction.
static void frequencies(const gyr_sampling *o, double *share) {
    enum { DRAWS = 40000 };
    static int32_t ids[DRAWS];
    memset(share, 0, VOCAB * sizeof *share);
    for (int i = 0; i < DRAWS; i++) share[pick(o, ids, (size_t)i, (size_t)i)] += 1.0 / DRAWS;
}

static void greedy_takes_the_first_best(void) {
    gyr_sampling o = plain();
    o.temperature = 0;
    CHECK_INT(pick(&o, NULL, 0, 0), 1);
    float broken[VOCAB] = {NAN, NAN, 1, NAN};
    for (int i = 4; i < VOCAB; i++) broken[i] = -INFINITY;
    o.temperature = 1;
    CHECK_INT(sampler_pick(&sampler, &o, broken, &(struct history){0}, NULL), 2);
    for (int i = 0; i < VOCAB; i++) broken[i] = NAN;
    CHECK_INT(sampler_pick(&sampler, &o, broken, &(struct history){0}, NULL), 0);
}

// A token outside the mask is never chosen, whatever raises it and however little the others are worth.
static void masks_come_last(void) {
    static const uint32_t none = 0, two_and_six = 1u << 2 | 1u << 6, six = 1u << 6;
    int32_t id = 1;
    float value = INFINITY;
    const float *rows[3] = {logits, (float[VOCAB]){NAN, 9, NAN, 9, 9, 9, NAN, 9},
                            (float[VOCAB]){9, 9, -INFINITY, 9, 9, 9, -INFINITY, 9}};
    for (int row = 0; row < 3; row++)
        for (int t = 0; t < 3; t++) {
            gyr_sampling o = plain();
            o.temperature = (float)t * 50;
            o.top_k = t == 2 ? 5 : 0;
            o.repetition_penalty = 1.3f;
            o.bias_ids = &id;
            o.bias_values = &value;
            o.bias_count = 1;
            static int32_t ids[200];
            size_t twos = 0;
            for (size_t n = 0; n < 200; n++) {
                const struct history h = {ids, n, 0};
                CHECK_INT(sampler_pick(&sampler, &o, rows[row], &h, &none), -1);
                CHECK_INT(sampler_pick(&sampler, &o, rows[row], &h, &six), 6);
                int32_t got = sampler_pick(&sampler, &o, rows[row], &h, &two_and_six);
                CHECK(got == 2 || got == 6);
                twos += got == 2;
            }
            CHECK(row == 0 && t ? twos > 90 && twos < 130 : twos == 200);
        }
}

static void draws_follow_softmax(void) {
    for (int t = 1; t <= 3; t++) {
        gyr_sampling o = plain();
        o.temperature = (float)t * 0.7f;
        double share[VOCAB], want[VOCAB], sum = 0;
        frequencies(&o, share);
        for (int i = 0; i < VOCAB; i++) sum += want[i] = exp((double)logits[i] / (double)o.temperature);
        for (int i = 0; i < VOCAB; i++) CHECK(fabs(share[i] - want[i] / sum) < 0.01); // about 4 standard deviations
    }
}

static void cuts_keep_what_they_should(void) {
    double share[VOCAB];
    gyr_sampling o = plain();
    o.top_k = 3;
    frequencies(&o, share);
    CHECK(share[1] > 0 && share[2] > 0 && share[3] > 0 && fabs(share[1] + share[2] + share[3] - 1) < 1e-9);
    o = plain();
    o.top_p = 0.1f; // the best alone
    frequencies(&o, share);
    CHECK(fabs(share[1] - 1) < 1e-9);
    o.top_p = 0.5f; // the two best hold 0.73 of the mass, the best 0.37
    frequencies(&o, share);
    CHECK(share[1] > 0.4 && share[3] > 0.4 && fabs(share[1] + share[3] - 1) < 1e-9);
    o = plain();
    o.min_p = 0.3f; // exp(2 - 3) = 0.37 stays, exp(1 - 3) = 0.14 goes
    frequencies(&o, share);
    CHECK(share[2] > 0.1 && fabs(share[1] + share[2] + share[3] - 1) < 1e-9);
}

static void penalties_look_where_they_should(void) {
    gyr_sampling o = plain();
    o.temperature = 0;
    int32_t ids[] = {1, 4, 3, 3};
    o.repetition_penalty = 2; // 1 and 3: 3 / 2; 4: -1 * 2
    CHECK_INT(pick(&o, ids, 4, 4), 2);
    o.penalty_window = 2; // 1 is out of sight
    CHECK_INT(pick(&o, ids, 4, 4), 1);
    o = plain();
    o.temperature = 0;
    o.presence_penalty = 0.5f;
    CHECK_INT(pick(&o, ids, 4, 4), 1); // nothing generated yet
    CHECK_INT(pick(&o, ids, 4, 0), 1); // 1: 2.5, 3: 2.5, 2: 2
    CHECK_INT(pick(&o, ids, 4, 2), 1); // only 3 generated
    o.presence_penalty = 0;
    o.frequency_penalty = 0.75f; // 1: 2.25, 3: 1.5
    CHECK_INT(pick(&o, ids, 4, 0), 1);
    o.frequency_penalty = 1.5f; // 1: 1.5, 3: 0, 2: 2
    CHECK_INT(pick(&o, ids, 4, 0), 2);
    int32_t id = 6;
    float value = 100;
    o = plain();
    o.bias_ids = &id;
    o.bias_values = &value;
    o.bias_count = 1;
    CHECK_INT(pick(&o, ids, 4, 0), 6);
    bool clean = true;
    for (int i = 0; i < VOCAB; i++) clean &= sampler.seen[i] == 0;
    CHECK(clean);
}

static void a_draw_depends_on_seed_and_position_alone(void) {
    gyr_sampling o = plain();
    int32_t ids[100] = {0}, first[100];
    int differ = 0;
    for (size_t i = 0; i < 100; i++) first[i] = pick(&o, ids, i, i);
    for (size_t i = 100; i-- > 0;) CHECK_INT(pick(&o, ids, i, i), first[i]);
    o.seed = 1;
    for (size_t i = 0; i < 100; i++) differ += pick(&o, ids, i, i) != first[i];
    CHECK(differ > 40);
    double mean = 0;
    for (uint64_t i = 0; i < 100000; i++) mean += random_at(7, i) / 100000;
    CHECK(fabs(mean - 0.5) < 0.005);
}

// Against a plain sort: many sizes, many ties.
static void top_k_selects_the_best(void) {
    enum { N = 500 };
    struct sampler big;
    gyr_error e;
    REQUIRE(sampler_init(&big, N, &e));
    float x[N];
    for (uint64_t round = 0; round < test_times(300, 60); round++) {
        size_t k = 1 + round % 40;
        int better_than[N] = {0};
        for (size_t i = 0; i < N; i++) x[i] = (float)(int)(random_at(round, i) * 50) / 10;
        for (size_t i = 0; i < N; i++)
            for (size_t j = 0; j < N; j++) better_than[i] += x[j] > x[i] || (x[j] == x[i] && j < i);
        gyr_sampling o = plain();
        o.top_k = (uint32_t)k;
        o.temperature = 100;
        for (size_t at = 0; at < 20; at++) {
            int32_t ids[20] = {0};
            o.seed = round * 20 + at;
            int32_t id = sampler_pick(&big, &o, x, &(struct history){ids, at, at}, NULL);
            CHECK(better_than[id] < (int)k);
        }
    }
    sampler_free(&big);
}

// The definition, word by word: everything listed, sorted and added up in order.
struct likely {
    float p;
    int32_t id;
};

static int by_p(const void *a, const void *b) {
    const struct likely *x = a, *y = b;
    return x->p > y->p ? -1 : x->p < y->p ? 1 : x->id < y->id ? -1 : x->id > y->id;
}

static int32_t plainly(const gyr_sampling *o, const float *x, size_t vocab, size_t at, struct likely *c) {
    size_t n = 0, left = 0, kept = 0;
    float top = x[0];
    double sum = 0, mass = 0;
    for (size_t i = 1; i < vocab; i++) top = x[i] > top ? x[i] : top;
    for (size_t i = 0; i < vocab; i++)
        if (x[i] >= top - o->temperature * 80) c[n++] = (struct likely){x[i], (int32_t)i};
    if (o->top_k && o->top_k < n) { // the k-th best, then all that are not worse, in order of id
        qsort(c, n, sizeof *c, by_p);
        struct likely worst = c[o->top_k - 1];
        n = 0;
        for (size_t i = 0; i < vocab; i++)
            if (x[i] > worst.p || (x[i] == worst.p && (int32_t)i <= worst.id))
                c[n++] = (struct likely){x[i], (int32_t)i};
    }
    for (size_t i = 0; i < n; i++) sum += (double)(c[i].p = exp_f((c[i].p - top) / o->temperature));
    double floor = fmax((1 - (double)o->top_p) * sum / (double)n, (double)o->min_p);
    for (size_t i = 0; i < n; i++)
        if (c[i].p == 1 || (double)c[i].p >= floor) c[left++] = c[i];
    qsort(c, left, sizeof *c, by_p);
    while (kept < left && (kept == 0 || mass < (double)o->top_p * sum)) mass += (double)c[kept++].p;
    double draw = random_at(o->seed, at) * mass;
    for (size_t i = 0; i < kept; i++)
        if ((draw -= (double)c[i].p) < 0) return c[i].id;
    return c[kept - 1].id;
}

// However it is made faster: vocabularies of every size, scores far apart and near, ties, and all settings.
static void it_chooses_as_defined(void) {
    enum { N = 5000 };
    static float x[N];
    static struct likely c[N];
    static int32_t ids[4096];
    gyr_error e;
    for (uint64_t round = 0; round < test_times(120, 20); round++) {
        size_t vocab = round % 5 ? 1 + (size_t)(random_at(round, 1) * N) : N;
        double scale = (double[]){0.01, 1, 5, 20, 300}[round % 5], steps = round % 4 ? 1e7 : 12;
        struct sampler s;
        REQUIRE(sampler_init(&s, vocab, &e));
        for (size_t i = 0; i < vocab; i++) {
            double u = floor(random_at(round, 10 + i) * steps) / steps;
            x[i] = (float)(log(u + 1e-3) * scale);
        }
        for (uint64_t t = 0; t < 40; t++) {
            gyr_sampling o = plain();
            o.seed = t;
            o.temperature = (float[]){1, 0.7f, 1.5f, 100}[t % 4];
            o.top_k = (uint32_t[]){0, 0, 1, 20, 60, 300, 4000, 70000}[t / 4 % 8];
            o.top_p = (float[]){1, 0.95f, 1, 0.5f, 0}[t % 5];
            o.min_p = t % 7 == 3 ? 0.05f : 0;
            size_t at = (size_t)(random_at(round, 5 + t) * 4096);
            int32_t got = sampler_pick(&s, &o, x, &(struct history){ids, at, at}, NULL);
            CHECK_INT(got, plainly(&o, x, vocab, at, c));
        }
        sampler_free(&s);
    }
}

static void settings_out_of_range_are_named(void) {
    gyr_error e;
    gyr_sampling o = plain();
    CHECK(sampling_check(&o, VOCAB, &e));
    o.temperature = -1;
    CHECK(!sampling_check(&o, VOCAB, &e));
    CHECK_STR(e.message, "temperature is -1; choose 0 to 100");
    CHECK_INT(e.status, GYR_USAGE);
    o = plain();
    o.top_p = NAN;
    CHECK(!sampling_check(&o, VOCAB, &e));
    o = plain();
    int32_t id = VOCAB;
    float value = 0;
    o.bias_ids = &id;
    o.bias_values = &value;
    o.bias_count = 1;
    CHECK(!sampling_check(&o, VOCAB, &e));
    CHECK_STR(e.message, "logit bias for token 8: ids are 0 to 7");
}

// The pass over all scores, against its definition: with and without a mask, where blocks are not whole, with what is
// no number, and with every instruction set that is here.
static void peaks_by_definition(void) {
    enum { MOST = 700 };
    static const char *const sets[] = {"scalar", "avx2", "avx512", "amx", "neon"};
    static float x[MOST], want[MOST], got[MOST], peak[MOST / HOST_BLOCK + 1], peaks[MOST / HOST_BLOCK + 1];
    static uint32_t mask[MOST / 32 + 1];
    for (uint32_t round = 0; round < 400; round++) {
        size_t n = 1 + (size_t)(random_at(1, round) * (MOST - 1));
        bool masked = round % 3;
        for (uint32_t w = 0; w < MOST / 32 + 1; w++) {
            double kind = random_at(2, round * 100 + w);
            mask[w] = kind < 0.3 ? 0 : kind < 0.6 ? UINT32_MAX : (uint32_t)(random_at(3, round * 100 + w) * 0x1p32);
        }
        float best = -INFINITY;
        for (uint32_t i = 0; i < n; i++) {
            double kind = random_at(4, round * 1000 + i);
            x[i] = kind < 0.02 ? NAN : kind < 0.04 ? -INFINITY : (float)(random_at(5, round * 1000 + i) * 8 - 4);
            want[i] = isnan(x[i]) || (masked && !in_mask(mask, i)) ? -INFINITY : x[i];
            if (i % HOST_BLOCK == 0) peak[i / HOST_BLOCK] = -INFINITY;
            peak[i / HOST_BLOCK] = fmaxf(peak[i / HOST_BLOCK], want[i]);
            best = fmaxf(best, want[i]);
        }
        for (size_t k = 0; k < sizeof sets / sizeof *sets; k++) {
            setenv("GYR_ISA", sets[k], 1); // one that is not here: the scalar one
            host_peaks *pass = host_peaks_here();
            CHECK(pass(x, n, masked ? mask : NULL, got, peaks) == best);
            CHECK(!memcmp(got, want, n * sizeof *x) && !memcmp(peaks, peak, blocks_of(n) * sizeof *peak));
            CHECK(pass(x, n, masked ? mask : NULL, NULL, peaks) == best);
            CHECK(!memcmp(peaks, peak, blocks_of(n) * sizeof *peak));
        }
    }
    unsetenv("GYR_ISA");
}

int main(void) {
    gyr_error e;
    if (!sampler_init(&sampler, VOCAB, &e)) return 1;
    RUN(greedy_takes_the_first_best);
    RUN(peaks_by_definition);
    RUN(masks_come_last);
    RUN(draws_follow_softmax);
    RUN(cuts_keep_what_they_should);
    RUN(penalties_look_where_they_should);
    RUN(a_draw_depends_on_seed_and_position_alone);
    RUN(top_k_selects_the_best);
    RUN(it_chooses_as_defined);
    RUN(settings_out_of_range_are_named);
    sampler_free(&sampler);
    return test_end();
}
