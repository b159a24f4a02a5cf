// Training on a device that has its own memory, answers later and fails (device/stand_in.h): whatever fails, and
// whenever, the gradients, and the adapter, are the CPU's; and a line says so once.
#include "../engine/poet.h"
#include "../model/drawn.h"
#include "device/stand_in.h"
#include "format/checkpoint.h"
#include "model/model.h"
#include "model/sharing.h"
#include "train/trainee.h"

static char folder[] = "/tmp/gyr-card-XXXXXX";
static struct drawn base;

enum { MOST = 60000, RANK = 3 };
static float numbers[MOST], wanted[MOST], gradients[MOST];

// -------------------------------------------------------------------------------------------- an example

struct bench {
    struct checkpoint *c;
    struct homes on;
    struct model *m;
    struct trainee *t;
    gyr_error e;
};

// On the stand-in all of the model, or, `shared`, its last layer and what comes behind it.
static bool open_bench(struct bench *b, bool stand_in, bool shared) {
    *b = (struct bench){.on = {.sides = 1, .from = {0, UINT32_MAX}}};
    b->c = checkpoint_open(folder, &b->e);
    b->on.device[0] = stand_in && !shared ? device_open("stand-in", 1, &b->e) : device_cpu(1, NULL, &b->e);
    if (shared) {
        b->on = (struct homes){{b->on.device[0], device_open("stand-in", 1, &b->e)}, 2, {0, 1, UINT32_MAX}, 0};
        b->on.experts = 2; // a layer's experts may be elsewhere than it
    }
    b->m = b->c && b->on.device[0] ? model_shared(b->c, &b->on, &b->e) : NULL;
    b->t = b->m ? trainee_new(b->m, 2, &b->e) : NULL;
    if (!b->t) printf("  %s\n", b->e.message);
    return b->t;
}

static void close_bench(struct bench *b) {
    trainee_free(b->t);
    model_free(b->m);
    for (uint32_t i = 0; i < b->on.sides; i++) b->on.device[i]->ops->close(b->on.device[i]);
    checkpoint_close(b->c);
}

// A pair for each map that there is.
// 0: there are too many.
static size_t adapt(struct bench *b) {
    for (uint32_t i = 0; i < b->m->h.layers; i++)
        for (unsigned s = 0; s < trainee_slots(b->t); s++) trainee_adapt(b->t, i, s, RANK, 0.7f);
    size_t n = trainee_numbers(b->t);
    if (n > MOST) return 0;
    for (size_t i = 0; i < n; i++) numbers[i] = (float)((int)(i * 2654435761u >> 20 & 255) - 128) / 400;
    return n;
}

static bool example(struct bench *b, size_t n, float *into, double *loss) {
    float weight[MAX_DRAWN];
    struct told told = {0};
    for (int i = 0; i < base.text_n; i++) weight[i] = i % 3 != 0;
    for (size_t i = 0; i < n; i++) into[i] = (float)i; // what is there is added to
    bool ok = trainee_example(b->t, numbers, base.text, weight, (size_t)base.text_n, 0.5f, &told, into, &b->e);
    *loss = told.loss;
    if (!ok) printf("  %s\n", b->e.message);
    return ok;
}

// Call `at` fails. Whether it was made.
static bool try_failure(size_t at, enum failure how, bool shared, size_t n, double want) {
    struct bench b;
    double loss;
    if (!open_bench(&b, true, shared) || adapt(&b) != n) abort();
    stand_in_fail(at, how);
    CHECK(example(&b, n, gradients, &loss));
    bool failed = trainee_card_failed(b.t) != NULL,
         same = loss == want && !memcmp(gradients, wanted, n * sizeof *wanted);
    if (!same) printf("  call %zu fails, way %d%s: other gradients\n", at, (int)how, shared ? ", shared out" : "");
    CHECK(same);
    CHECK(!failed || strstr(trainee_card_failed(b.t), "stand-in: "));
    // Where it only failed once, the next example is as well computed.
    CHECK(!failed || (example(&b, n, gradients, &loss) && !memcmp(gradients, wanted, n * sizeof *wanted)));
    stand_in_fail(0, how);
    close_bench(&b);
    return failed;
}

static void check(const char *name) {
    struct bench b;
    double want, loss;
    REQUIRE(drawn_load(&base, name) && drawn_write_text(drawn_file(folder, "config.json"), base.config) &&
            drawn_write_safetensors(&base, drawn_file(folder, "model.safetensors")));
    REQUIRE(open_bench(&b, false, false));
    size_t n = adapt(&b), tried = 0;
    REQUIRE(example(&b, n, wanted, &want));
    close_bench(&b);
    for (int shared = 0; shared < 2; shared++) {
        stand_in_calls();
        REQUIRE(open_bench(&b, true, shared) && adapt(&b) == n && example(&b, n, gradients, &loss));
        CHECK(loss == want && !memcmp(gradients, wanted, n * sizeof *wanted) && !trainee_card_failed(b.t));
        struct stand_in_calls calls = stand_in_calls();
        CHECK(calls.syncs > 4); // it was asked
        close_bench(&b);
        size_t step = TEST_EVERYTHING ? 1 : calls.all / test_times(4, 2) + 1;
        for (size_t at = step / 2 + 1; at <= calls.all; at += step)
            tried += try_failure(at, (enum failure)(tried % FAILURES), shared, n, want);
    }
    CHECK(tried > 2);
    drawn_free(&base);
}

static void dense(void) { check("llama"); }
static void mixtures(void) { check("mixtral"); }
static void states(void) { check("mamba"); }

// ------------------------------------------------------------------------------------------- an adapter

enum { BYTES = 1 << 20 };
static uint8_t first[BYTES], other[BYTES];

static size_t read_bytes(const char *name, uint8_t *to) {
    char path[200];
    snprintf(path, sizeof path, "%s/%s/adapter_model.safetensors", folder, name);
    FILE *f = fopen(path, "rb");
    size_t n = f ? fread(to, 1, BYTES, f) : 0;
    if (f) fclose(f);
    return n;
}

struct watch {
    size_t failed, fail_at;
};

static bool watch_step(void *user, const gyr_tune_progress *p) {
    struct watch *w = user;
    if (p->card_failed) {
        CHECK(strstr(p->card_failed, "stand-in: "));
        w->failed++;
    }
    if (p->examples == 1 && w->fail_at) stand_in_fail(w->fail_at, FAIL_LOST);
    return true;
}

static bool tune(const char *device, const char *name, struct watch *w) {
    gyr_error e = {0};
    gyr_model *m =
        gyr_model_open(poet_path(), &(gyr_model_options){.threads = 1, .device = device, .mapped = true}, &e);
    gyr_tune_options o = {.data = test_data("train/poet.jsonl"),
                          .output = drawn_file(folder, name),
                          .rank = 2,
                          .epochs = 1,
                          .targets = "attention",
                          .threads = 2,
                          .progress = watch_step,
                          .user = w};
    gyr_tune *t = m ? gyr_tune_open(m, &o, &e) : NULL;
    bool ok = t && !gyr_tune_run(t, &e);
    if (!ok) printf("  %s\n", e.message);
    gyr_tune_close(t);
    if (m) gyr_model_close(m);
    return ok;
}

// The card is lost in the second example: the adapter is the CPU's, and that is told once.
static void a_card_that_is_lost(void) {
    struct watch none = {0}, lost = {.fail_at = 100};
    REQUIRE(tune("cpu", "cpu", &none) && tune("stand-in", "card", &lost));
    size_t n = read_bytes("cpu", first);
    CHECK(n > 1000 && n == read_bytes("card", other) && !memcmp(first, other, n));
    CHECK_INT(none.failed, 0);
    CHECK_INT(lost.failed, 1);
    stand_in_fail(0, FAIL_LOST);
}

// A card sums in float: that is said before anything begins.
static void integers_are_the_cpus(void) {
    gyr_error e = {0};
    gyr_model *m =
        gyr_model_open(poet_path(), &(gyr_model_options){.threads = 1, .device = "stand-in", .mapped = true}, &e);
    gyr_tune_options o = {.data = test_data("train/poet.jsonl"), .products = GYR_PRODUCTS_INT16};
    REQUIRE(m);
    CHECK(!gyr_tune_open(m, &o, &e));
    CHECK_INT(e.status, GYR_UNSUPPORTED);
    CHECK(strstr(e.message, "products: int16 is the CPU's"));
    o.products = GYR_PRODUCTS_INT16 + 1;
    CHECK(!gyr_tune_open(m, &o, &e));
    CHECK_INT(e.status, GYR_USAGE);
    CHECK_STR(e.message, "products: f32 or int16");
    gyr_model_close(m);
}

int main(void) {
    if (!mkdtemp(folder)) return 1;
    RUN(dense);
    RUN(mixtures);
    RUN(states);
    if (!TEST_SLOW) RUN(a_card_that_is_lost);
    RUN(integers_are_the_cpus);
    char command[160];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command) ? 1 : test_end();
}
