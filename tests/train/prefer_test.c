// Fine-tuning by pairs of answers: losses step by step as PyTorch's (tools/goldens/preference.py); the same bytes on
// any number of threads, with less memory and after a kill; and data that is refused.
#include "../engine/poet.h"
#include "../test.h"
#include "gyr.h"

#include <signal.h>
#include <sys/wait.h>

static char folder[] = "/tmp/gyr-prefer-XXXXXX";
static gyr_model *model;

enum { STEPS = 9, PAIRS = 5, MOST_BYTES = 1 << 20 };

static const char *file_of(const char *name) {
    static char room[8][128];
    static int turn;
    char *path = room[turn++ % 8];
    snprintf(path, sizeof room[0], "%s/%s", folder, name);
    return path;
}

struct watch {
    gyr_tune_progress step[STEPS];
    size_t n, kill_at;
};

static bool watch_step(void *user, const gyr_tune_progress *p) {
    struct watch *w = user;
    if (p->stepped && w->n < STEPS) w->step[w->n++] = *p;
    if (p->step && p->step == w->kill_at) raise(SIGKILL);
    return true;
}

static gyr_tune_options options_of(const char *data, const char *output, struct watch *w) {
    return (gyr_tune_options){.data = data,
                              .output = output,
                              .method = GYR_METHOD_DPO,
                              .beta = 0.05,
                              .rank = 4,
                              .alpha = 8,
                              .epochs = 3,
                              .batch = 2,
                              .learning_rate = 2e-4,
                              .seed = 7,
                              .threads = 1,
                              .progress = w ? watch_step : NULL,
                              .user = w};
}

static const char *pairs(void) { return test_data("train/pairs.jsonl"); }

static gyr_status train(const gyr_tune_options *o, gyr_error *e) {
    gyr_tune *t = gyr_tune_open(model, o, e);
    gyr_status status = t ? gyr_tune_run(t, e) : e->status;
    gyr_tune_close(t);
    return status;
}

static uint8_t undisturbed[MOST_BYTES], other[MOST_BYTES];
static size_t undisturbed_n;
static uint64_t bound; // of memory, that asks for layers to be computed again

static size_t read_bytes(const char *name, uint8_t *to) {
    FILE *f = fopen(file_of(name), "rb");
    size_t n = f ? fread(to, 1, MOST_BYTES, f) : 0;
    if (f) fclose(f);
    return n;
}

static void same_as_undisturbed(const char *name) {
    size_t n = read_bytes(name, other);
    CHECK(n > 100000 && n == undisturbed_n && !memcmp(other, undisturbed, n));
    unlink(file_of(name));
}

static void near(double got, double want, double far, double least) {
    bool is = fabs(got - want) <= far * fabs(want) + least;
    if (!is) printf("  %.7g, not %.7g\n", got, want);
    CHECK(is);
}

static void steps_are_those_of_pytorch(void) {
    struct watch w = {0};
    gyr_error e = {0};
    gyr_tune_options o = options_of(pairs(), file_of("first.gguf"), &w);
    o.valid = pairs();
    REQUIRE(train(&o, &e) == GYR_OK);
    FILE *f = fopen(test_data("train/pairs.txt"), "r");
    REQUIRE(f);
    CHECK_INT(w.n, STEPS);
    for (size_t i = 0; i < w.n; i++) {
        double loss, right, margin, rate, length;
        REQUIRE(fscanf(f, "%lf %lf %lf %lf %lf", &loss, &right, &margin, &rate, &length) == 5);
        near(w.step[i].loss, loss, 2e-4, 0);
        near(w.step[i].accuracy, right, 1e-5, 0);
        near(w.step[i].margin, margin, 2e-4, 1e-5);
        near(w.step[i].rate, rate, 1e-6, 0);
        near(w.step[i].norm, length, 2e-3, 0);
    }
    fclose(f);
    CHECK(w.step[8].valid_loss < w.step[2].valid_loss && w.step[8].valid_margin > w.step[2].valid_margin);
    CHECK(w.step[8].valid_accuracy > 0.7);
    undisturbed_n = read_bytes("first.gguf", undisturbed);
    CHECK(undisturbed_n > 100000);
}

static void memory_is_bounded(void) {
    gyr_error e = {0};
    gyr_tune_options o = options_of(pairs(), file_of("kills.gguf"), NULL);
    gyr_tune_info all, less;
    gyr_tune *t = gyr_tune_open(model, &o, &e);
    REQUIRE(t);
    gyr_tune_get_info(t, &all);
    gyr_tune_close(t);
    CHECK_INT(all.recomputed, 0);
    CHECK_INT(all.examples, PAIRS);
    o.memory = bound = all.bytes * 9 / 10;
    REQUIRE((t = gyr_tune_open(model, &o, &e)));
    gyr_tune_get_info(t, &less);
    gyr_tune_close(t);
    CHECK(less.recomputed > 0 && less.bytes <= o.memory);
    o.memory = 1 << 20;
    CHECK(!gyr_tune_open(model, &o, &e));
    CHECK_INT(e.status, GYR_NO_MEMORY);
    CHECK(strstr(e.message, "for the longest example of 39 tokens, and may have 1 MiB"));
}

// The one goes on with other threads and less memory than the other began with.
static void kills_threads_and_memory_change_no_byte(void) {
    struct watch w = {.kill_at = 5};
    gyr_error e = {0};
    gyr_tune_options o = options_of(pairs(), file_of("kills.gguf"), &w);
    o.save_steps = 2;
    pid_t child = fork();
    if (!child) {
        model = gyr_model_open(poet_path(), NULL, NULL); // no threads of the parent's are there
        train(&o, &e);
        _exit(1);
    }
    int how = 0;
    REQUIRE(child > 0 && waitpid(child, &how, 0) == child);
    CHECK(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL);
    w = (struct watch){0};
    o.resume = true;
    o.beta = 0.06;
    CHECK_INT(train(&o, &e), GYR_FAILED);
    CHECK(strstr(e.message, "a checkpoint of another training"));
    o.beta = 0.05;
    o.threads = 3;
    o.memory = bound;
    REQUIRE(train(&o, &e) == GYR_OK);
    CHECK_INT(w.step[0].step, 5);
    same_as_undisturbed("kills.gguf");
}

#define IN      "\"input\":{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}"
#define SAYS(x) "[{\"role\":\"assistant\",\"content\":\"" x "\"}]"
#define GOOD    "\"preferred_output\":" SAYS("b")
#define BAD     "\"non_preferred_output\":" SAYS("c")

static void bad_data_is_told_by_line(void) {
    static const struct {
        const char *text, *why;
        bool chats;
    } tries[] = {
        {"\n", "bad.jsonl: has no pair of answers"},
        {"[1]", "bad.jsonl:1: is no JSON object with 'input'"},
        {"{" IN "," GOOD "," BAD "}\n{}", "bad.jsonl:2: has no 'input'"},
        {"{" IN "," GOOD "," BAD "}",
         "bad.jsonl:1: is a pair of answers, of which one is preferred; take the method dpo", true},
        {"{\"messages\":[]}", "bad.jsonl:1: is a conversation and no pair of answers"},
        {"{" IN "," GOOD "," BAD ",\"x\":1}", "bad.jsonl:1: the line has a key 'x'"},
        {"{\"input\":[]," GOOD "," BAD "}", "bad.jsonl:1: input: takes an object with 'messages'"},
        {"{\"input\":{}," GOOD "," BAD "}", "bad.jsonl:1: input: has no 'messages'"},
        {"{\"input\":{\"messages\":" SAYS("x") "}," GOOD "," BAD "}", "input: message 1: roles are out of order"},
        {"{\"input\":{\"messages\":[{\"role\":\"system\",\"content\":\"a\"}]}," GOOD "," BAD "}",
         "input: the last message is not the user's"},
        {"{" IN "," GOOD "}", "bad.jsonl:1: non_preferred_output: takes a list of one message"},
        {"{" IN ",\"preferred_output\":[]," BAD "}", "bad.jsonl:1: preferred_output: takes a list of one message"},
        {"{" IN ",\"preferred_output\":[{\"role\":\"user\",\"content\":\"a\"}]," BAD "}",
         "preferred_output: message 1: roles are out of order: user behind a user's message"},
        {"{" IN ",\"preferred_output\":[{\"role\":\"assistant\",\"content\":\"a\",\"weight\":1}]," BAD "}",
         "preferred_output: message 1: has a weight"},
        {"{" IN "," GOOD ",\"non_preferred_output\":" SAYS("b") "}", "bad.jsonl:1: both answers are the same"},
    };
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        gyr_error e = {0};
        FILE *f = fopen(file_of("bad.jsonl"), "w");
        REQUIRE(f);
        fputs(tries[i].text, f);
        fclose(f);
        gyr_tune_options o = options_of(file_of("bad.jsonl"), NULL, NULL);
        if (tries[i].chats) o.method = GYR_METHOD_SUPERVISED, o.beta = 0;
        gyr_tune *t = gyr_tune_open(model, &o, &e);
        CHECK(!t);
        gyr_tune_close(t);
        CHECK_INT(e.status, GYR_MALFORMED);
        if (!strstr(e.message, tries[i].why)) printf("  %s\n  not: %s\n", e.message, tries[i].why);
        CHECK(strstr(e.message, tries[i].why));
    }
    unlink(file_of("bad.jsonl"));
}

static void options_are_checked(void) {
    gyr_error e = {0};
    gyr_tune_options o = options_of(pairs(), NULL, NULL);
    o.beta = 3;
    CHECK(!gyr_tune_open(model, &o, &e) && e.status == GYR_USAGE && strstr(e.message, "beta: a number above 0"));
    o.method = GYR_METHOD_SUPERVISED;
    o.beta = 0.1;
    CHECK(!gyr_tune_open(model, &o, &e) && e.status == GYR_USAGE && strstr(e.message, "is of the method dpo alone"));
}

int main(void) {
    gyr_error e = {0};
    if (!mkdtemp(folder) || !(model = gyr_model_open(poet_path(), NULL, &e))) return 1;
    RUN(steps_are_those_of_pytorch);
    RUN(memory_is_bounded);
    RUN(kills_threads_and_memory_change_no_byte);
    RUN(bad_data_is_told_by_line);
    RUN(options_are_checked);
    unlink(file_of("first.gguf"));
    rmdir(folder);
    gyr_model_close(model);
    return test_end();
}
