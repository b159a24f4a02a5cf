// Training from nothing: losses step by step as PyTorch's (tools/goldens/pretraining.py), the same bytes on any number
// of threads and after kill -9, models that can be run and trained on, and options that are refused.
#include "../test.h"
#include "gyr.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char folder[] = "/tmp/gyr-train-XXXXXX";

enum { STEPS = 50, MOST_BYTES = 1 << 19 };

static const char *file_of(const char *name) {
    static char room[32][128];
    static int turn;
    char *path = room[turn++ % 32];
    snprintf(path, sizeof room[0], "%s/%s", folder, name);
    return path;
}

// What is told meanwhile, and where to stop.
struct watch {
    gyr_train_progress step[STEPS];
    size_t n, calls, stop_at, kill_at;
    char sample[256];
};

static bool watch_step(void *user, const gyr_train_progress *p) {
    struct watch *w = user;
    w->calls++;
    if (w->calls == w->kill_at) raise(SIGKILL);
    if (p->stepped && w->n < STEPS) w->step[w->n++] = *p;
    if (p->stepped && p->sample) snprintf(w->sample, sizeof w->sample, "%.*s", (int)p->sample_size, p->sample);
    return w->calls != w->stop_at;
}

static const char *data[1];

static gyr_train_options options_of(const char *output, struct watch *w) {
    return (gyr_train_options){.shape = {.layers = 2, .hidden = 32, .heads = 2},
                               .tokenizer = file_of("tokenizer"),
                               .data = data,
                               .n_data = 1,
                               .hold_out = 0.1,
                               .output = output,
                               .type = "f32",
                               .context = 48,
                               .batch = 3,
                               .steps = STEPS,
                               .learning_rate = 3e-3,
                               .schedule = GYR_SCHEDULE_COSINE,
                               .warmup = 0.1,
                               .seed = 5,
                               .threads = 1,
                               .progress = w ? watch_step : NULL,
                               .user = w};
}

static gyr_status train(const gyr_train_options *o, gyr_error *e) {
    gyr_train *t = gyr_train_open(o, e);
    gyr_status status = t ? gyr_train_run(t, e) : e->status;
    if (status && status != GYR_CANCELLED) printf("  %s\n", e->message);
    gyr_train_close(t);
    return status;
}

static size_t read_bytes(const char *name, uint8_t *to) {
    FILE *f = fopen(file_of(name), "rb");
    size_t n = f ? fread(to, 1, MOST_BYTES, f) : 0;
    if (f) fclose(f);
    return n;
}

static uint8_t undisturbed[MOST_BYTES], other[MOST_BYTES];
static size_t undisturbed_n;

static bool is_there(const char *name) { return !access(file_of(name), F_OK); }

// But for the model's name, which is the file's: those are equally long.
static void same_as_undisturbed(const char *name) {
    size_t n = read_bytes(name, other), differ = 0;
    for (size_t i = 0; i < n && i < undisturbed_n; i++) differ += other[i] != undisturbed[i];
    CHECK(n > 100000 && n == undisturbed_n && differ <= strlen("first"));
}

static void near(double got, double want, double far) {
    if (!(fabs(got - want) <= far * fabs(want))) printf("  %.7g, not %.7g\n", got, want);
    CHECK(fabs(got - want) <= far * fabs(want));
}

// ------------------------------------------------------------------------------------------------ cases

static void steps_are_those_of_pytorch(void) {
    static struct watch w;
    gyr_error e = {0};
    gyr_train_options o = options_of(file_of("first.gguf"), &w);
    double loss, rate, length, texts, bits;
    REQUIRE(train(&o, &e) == GYR_OK);
    FILE *f = fopen(test_data("train/pretrain.txt"), "r");
    REQUIRE(f);
    CHECK_INT(w.n, STEPS);
    CHECK_INT(w.calls, 3 * STEPS);
    for (size_t i = 0; i < w.n; i++) {
        REQUIRE(fscanf(f, "%lf %lf %lf", &loss, &rate, &length) == 3);
        near(w.step[i].loss, loss, 2e-5);
        near(w.step[i].rate, rate, 1e-6);
        near(w.step[i].norm, length, 2e-4);
        CHECK(isnan(w.step[i].bits) == ((i + 1) % 5 != 0)); // measured each tenth
    }
    REQUIRE(fscanf(f, "%lf %lf %lf", &texts, &loss, &bits) == 3);
    near(w.step[STEPS - 1].valid_loss, loss, 2e-5);
    near(w.step[STEPS - 1].bits, bits, 2e-5);
    fclose(f);
    undisturbed_n = read_bytes("first.gguf", undisturbed);
    CHECK(!is_there("first.gguf.state"));
}

static void threads_change_no_byte(void) {
    static const uint32_t threads[] = {2, 3, 8};
    for (size_t i = 0; i < 3; i++) {
        gyr_error e = {0};
        gyr_train_options o = options_of(file_of("other.gguf"), NULL);
        o.threads = threads[i];
        REQUIRE(train(&o, &e) == GYR_OK);
        same_as_undisturbed("other.gguf");
    }
}

// Stopped in the middle of steps and behind them, and gone on from there.
static void stops_change_no_byte(void) {
    gyr_error e = {0};
    gyr_status status = GYR_CANCELLED;
    int runs = 0;
    for (; status == GYR_CANCELLED && runs < 20; runs++) {
        struct watch *w = calloc(1, sizeof *w);
        REQUIRE(w);
        w->stop_at = 31;
        gyr_train_options o = options_of(file_of("stops.gguf"), w);
        o.resume = true;
        o.threads = (uint32_t)runs % 2 + 1;
        o.sample_tokens = 2; // which changes nothing either
        status = train(&o, &e);
        CHECK(status == GYR_OK || is_there("stops.gguf.state"));
        free(w);
    }
    CHECK_INT(status, GYR_OK);
    CHECK_INT(runs, 5);
    CHECK(!is_there("stops.gguf.state"));
    same_as_undisturbed("stops.gguf");
}

static void kills_change_no_byte(void) {
    static struct watch w;
    gyr_error e = {0};
    gyr_train_options o = options_of(file_of("kills.gguf"), &w);
    o.save_steps = 20;
    w = (struct watch){.kill_at = 3 * 47};
    pid_t child = fork();
    if (!child) {
        train(&o, &e);
        _exit(1);
    }
    int how = 0;
    REQUIRE(child > 0 && waitpid(child, &how, 0) == child);
    CHECK(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL);
    CHECK(is_there("kills.gguf.state") && !is_there("kills.gguf"));
    w = (struct watch){0};
    CHECK(!gyr_train_open(&o, &e));
    CHECK(strstr(e.message, "kills.gguf.state: a checkpoint of an earlier training; resume it, or remove the file"));
    o.resume = true;
    o.seed = 6;
    CHECK(!gyr_train_open(&o, &e));
    CHECK(strstr(e.message, "a checkpoint of another training"));
    o.seed = 5;
    gyr_train *t = gyr_train_open(&o, &e);
    gyr_train_info info;
    float loss, bits;
    REQUIRE(t);
    gyr_train_get_info(t, &info);
    CHECK_INT(info.done, 40);
    CHECK_INT(info.steps, STEPS);
    CHECK(info.numbers > 30000 && info.texts + info.valid_texts == 24 && info.memory > 4 * info.numbers);
    REQUIRE(gyr_train_get_step(t, 39, &loss, &bits) && !gyr_train_get_step(t, 40, &loss, &bits));
    CHECK(loss > 1 && bits > 1); // what was measured before is known
    REQUIRE(gyr_train_run(t, &e) == GYR_OK);
    gyr_train_close(t);
    CHECK_INT(w.n, STEPS - 40);
    CHECK_INT(w.step[0].step, 41);
    same_as_undisturbed("kills.gguf");
}

static void muon_learns_too(void) {
    static struct watch one, three, usual;
    gyr_error e = {0};
    one = three = usual = (struct watch){0};
    struct watch *all[] = {&one, &three, &usual};
    for (uint32_t i = 0; i < 3; i++) {
        gyr_train_options o = options_of(file_of(i == 1 ? "mthre.gguf" : "muon1.gguf"), all[i]);
        o.optimizer = i < 2 ? GYR_OPTIMIZER_MUON : GYR_OPTIMIZER_ADAMW;
        o.steps = 16;
        o.threads = i == 1 ? 3 : 1;
        REQUIRE(train(&o, &e) == GYR_OK);
        if (i == 0) undisturbed_n = read_bytes("muon1.gguf", undisturbed);
        if (i == 1) same_as_undisturbed("mthre.gguf");
    }
    CHECK(one.step[0].loss == usual.step[0].loss);
    CHECK(one.step[15].loss < one.step[0].loss - 0.5 && one.step[15].loss != usual.step[15].loss);
}

// What was written is measured as it was, and gone on from.
static void models_can_be_trained_on(void) {
    static const char *const types[] = {"f32", "f16", "bf16"};
    for (size_t i = 0; i < 3; i++) {
        static struct watch before, after;
        gyr_error e = {0};
        before = after = (struct watch){0};
        gyr_train_options o = options_of(file_of("again.gguf"), &before);
        o.type = types[i];
        o.steps = 4;
        REQUIRE(train(&o, &e) == GYR_OK);
        o = (gyr_train_options){.model = file_of("again.gguf"),
                                .data = data,
                                .n_data = 1,
                                .hold_out = 0.1,
                                .output = file_of("more.gguf"),
                                .steps = 1,
                                .learning_rate = 1e-12,
                                .context = 48,
                                .seed = 5,
                                .sample_tokens = 4,
                                .prompt = "ab",
                                .progress = watch_step,
                                .user = &after};
        REQUIRE(train(&o, &e) == GYR_OK);
        near(after.step[0].bits, before.step[3].bits, i ? 1e-3 : 1e-6);
        CHECK(!strncmp(after.sample, "ab", 2));
    }
}

// Of two layers of 32; what was written is measured as it was: rates of decay went through their logarithms and back.
static void states_from_nothing(void) {
    static const char *const shapes[] = {"mamba-130m", "mamba2-130m"};
    for (size_t i = 0; i < 2; i++) {
        static struct watch one, after;
        gyr_error e = {0};
        one = after = (struct watch){0};
        gyr_train_options o = options_of(file_of("state.gguf"), &one);
        o.shape = (gyr_train_shape){.name = shapes[i], .layers = 2, .hidden = 32};
        o.steps = 12;
        REQUIRE(train(&o, &e) == GYR_OK);
        CHECK(one.step[11].loss < one.step[0].loss - 0.2f);
        undisturbed_n = read_bytes("state.gguf", undisturbed);
        o.output = file_of("three.gguf");
        o.threads = 3;
        o.progress = NULL;
        REQUIRE(train(&o, &e) == GYR_OK);
        same_as_undisturbed("three.gguf");
        o = options_of(file_of("more.gguf"), &after);
        o.tokenizer = NULL;
        o.shape = (gyr_train_shape){0};
        o.model = file_of("state.gguf");
        o.steps = 1;
        o.learning_rate = 1e-12;
        REQUIRE(train(&o, &e) == GYR_OK);
        near(after.step[0].bits, one.step[11].bits, 1e-6);
    }
}

static void models_can_be_run(void) {
    gyr_error e = {0};
    gyr_model *m = gyr_model_open(file_of("first.gguf"), NULL, &e);
    if (!m) printf("  %s\n", e.message);
    REQUIRE(m);
    gyr_tokens t;
    gyr_session *s = gyr_session_new(m, NULL, &e);
    REQUIRE(s && gyr_tokenize(gyr_model_tokenizer(m), "abc", 3, GYR_ADD_BOS, &t, &e) == GYR_OK);
    CHECK_INT(t.ids[0], 0); // texts begin as they did when it was trained
    REQUIRE(gyr_session_feed(s, t.ids, t.count, NULL, &e) == GYR_OK);
    const float *logits = gyr_session_logits(s);
    double sum = 0;
    for (size_t i = 0; i < 400; i++) sum += (double)fabsf(logits[i]);
    CHECK(isfinite(sum) && sum > 10);
    gyr_free(t.ids);
    gyr_session_free(s);
    gyr_model_close(m);
}

static void what_does_not_fit_is_refused(void) {
    static const struct {
        gyr_train_options change;
        gyr_status status;
        const char *why;
    } tries[] = {
        {{.output = "x"}, GYR_USAGE, "x: the model is written as GGUF; let the name end in .gguf"},
        {{.type = "q4_0"}, GYR_USAGE, "type 'q4_0': gyr writes what it trained as f16, f32 or bf16"},
        {{.tokenizer = "/nowhere"}, GYR_IO, "/nowhere"},
        {{.epochs = 1}, GYR_USAGE, "epochs and steps: give one of the two"},
        {{.shape = {.name = "falcon-8b"}}, GYR_USAGE, "shape 'falcon-8b' is not one gyr knows"},
        {{.shape = {.heads = 3}}, GYR_USAGE, "shape: the width is no multiple of the heads; give other numbers"},
        {{.shape = {.heads = 32}}, GYR_USAGE, "shape: a head's width is odd"},
        {{.shape = {.kv_heads = 3}}, GYR_USAGE, "shape: heads are no multiple of those of keys and values"},
        {{.shape = {.name = "mixtral-8x7b"}}, GYR_USAGE, "shape: gyr trains no experts"},
        {{.shape = {.name = "mamba-130m"}},
         GYR_USAGE,
         "shape: a layer with a state has no heads of attention and no MLP"},
        {{.shape = {.name = "mamba2-130m", .hidden = 48}},
         GYR_USAGE,
         "shape: twice the width is no multiple of a head's"},
        {{.model = "/nowhere.gguf"}, GYR_USAGE, "a model has a tokenizer of its own"},
        {{.hold_out = 1}, GYR_USAGE, "hold-out: a part of the texts, less than 1"},
    };
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        gyr_error e = {0};
        gyr_train_options o = options_of(file_of("bad.gguf"), NULL), c = tries[i].change;
        if (c.output) o.output = c.output;
        if (c.type) o.type = c.type;
        if (c.tokenizer) o.tokenizer = c.tokenizer;
        if (c.epochs) o.epochs = c.epochs;
        if (c.model) o.model = c.model;
        if (c.hold_out > 0) o.hold_out = c.hold_out;
        if (c.shape.name) o.shape.name = c.shape.name;
        if (c.shape.hidden) o.shape.hidden = c.shape.hidden, o.shape.heads = 0;
        if (c.shape.heads) o.shape.heads = c.shape.heads;
        if (c.shape.kv_heads) o.shape.kv_heads = c.shape.kv_heads;
        CHECK(!gyr_train_open(&o, &e));
        CHECK_INT(e.status, tries[i].status);
        if (!strstr(e.message, tries[i].why)) printf("  %s\n  not: %s\n", e.message, tries[i].why);
        CHECK(strstr(e.message, tries[i].why));
    }
    CHECK(!is_there("bad.gguf") && !is_there("bad.gguf.state"));
}

static void no_numbers_stop_it(void) {
    gyr_error e = {0};
    gyr_train_options o = options_of(file_of("nan.gguf"), NULL);
    o.learning_rate = 1e38;
    o.schedule = GYR_SCHEDULE_CONSTANT;
    gyr_train *t = gyr_train_open(&o, &e);
    REQUIRE(t);
    CHECK_INT(gyr_train_run(t, &e), GYR_FAILED);
    CHECK(strstr(e.message, "is not a number any more; try a smaller learning rate"));
    CHECK(!is_there("nan.gguf") && !is_there("nan.gguf.state"));
    gyr_train_close(t);
}

int main(void) {
    gyr_error e = {0};
    if (!mkdtemp(folder)) return 1;
    data[0] = test_data("train/texts.jsonl");
    char kept[200];
    snprintf(kept, sizeof kept, "%s", data[0]);
    data[0] = kept;
    gyr_tokenizer_training how = {.data = data, .n_data = 1, .output = file_of("tokenizer"), .size = 400};
    if (gyr_train_tokenizer(&how, NULL, &e)) return printf("%s\n", e.message), 1;
    RUN(steps_are_those_of_pytorch);
    if (!TEST_SLOW) {
        RUN(threads_change_no_byte);
        RUN(stops_change_no_byte);
    }
    RUN(kills_change_no_byte);
    RUN(muon_learns_too);
    RUN(models_can_be_trained_on);
    RUN(states_from_nothing);
    RUN(models_can_be_run);
    RUN(what_does_not_fit_is_refused);
    RUN(no_numbers_stop_it);
    char remove[64];
    snprintf(remove, sizeof remove, "rm -r %s", folder);
    return system(remove) | test_end();
}
