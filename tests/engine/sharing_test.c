// A model that is shared out between a device with memory of its own (device/stand_in.h) and the CPU: wherever it is
// cut, and wherever its experts are, it gives the bytes that the CPU gives alone. And one whose rows several such
// devices share (cluster/cards.h): each has memory that the others cannot use.
#include "cluster/cards.h"
#include "device/stand_in.h"
#include "model/drawn.h"
#include "model/wide.h"

#include <unistd.h>

enum { PROMPT = 20, MORE = 4, CUT = 7, MAX_VOCAB = 512, MAX_GOT = 64 };

static struct drawn d;
static gyr_error err;
static char folder[] = "/tmp/gyr-sharing-XXXXXX";
static const char *path, *saved;

// Logits of each token of a prompt, of some more of a fork, and of a session that was cut short.
struct got {
    size_t layers;
    float row[MAX_GOT * MAX_VOCAB];
};

static struct got right, got;

static bool talk(gyr_model *m, struct got *out) {
    size_t vocab = (size_t)d.vocab;
    float *row = out->row;
    const gyr_session_options o = {.context = 96};
    gyr_session *a = gyr_session_new(m, &o, &err), *b = NULL, *c = NULL;
    bool ok = a && !gyr_session_feed(a, d.text, PROMPT, row, &err) && (b = gyr_session_fork(a, &err));
    row += PROMPT * vocab;
    for (size_t i = 0; ok && i < MORE; i++, row += 2 * vocab) {
        const gyr_input two[] = {{a, d.text + PROMPT + i, 1, row}, {b, d.text + i, 1, row + vocab}};
        ok = !gyr_sessions_feed(two, 2, &err);
    }
    if (ok) gyr_session_truncate(a, CUT);
    ok = ok && !gyr_session_feed(a, d.text + CUT, 5, row, &err);
    row += 5 * vocab;
    // What was saved is there again.
    ok = ok && !gyr_session_save(a, 0, gyr_session_length(a), saved, &err) && (c = gyr_session_new(m, &o, &err)) &&
         !gyr_session_load(c, saved, &err) && !gyr_session_feed(c, d.text, 2, row, &err);
    unlink(saved);
    gyr_session_free(a);
    gyr_session_free(b);
    gyr_session_free(c);
    return ok;
}

static bool program(const gyr_model_options *how, struct got *out) {
    gyr_model_options o = *how;
    gyr_model_info info = {0};
    o.threads = 2;
    memset(out, 0, sizeof *out);
    gyr_model *m = gyr_model_open(path, &o, &err);
    if (m) gyr_model_get_info(m, &info);
    bool ok = m && talk(m, out);
    out->layers = info.layers;
    gyr_model_close(m);
    return ok;
}

static void check_shared(gyr_model_options how) {
    stand_in_calls();
    bool ok = program(&how, &got);
    bool same = ok && !memcmp(right.row, got.row, sizeof got.row);
    CHECK(same);
    if (!same)
        printf("  %s, %u layers%s: %s\n", d.kind, how.gpu_layers, how.cpu_experts ? " without experts" : "",
               ok ? "not the CPU's bytes" : err.message);
    struct stand_in_calls calls = stand_in_calls();
    CHECK(calls.all > 50);
    CHECK_INT(calls.held, 0);
}

// Where a model cannot be cut, it is cut behind that, or the error says so.
static void every_cut(void) {
    REQUIRE(program(&(gyr_model_options){.device = "cpu"}, &right));
    for (uint32_t n = 1; n <= right.layers; n++) {
        gyr_model_options how = {.device = "stand-in", .gpu_layers = n};
        gyr_model *m = gyr_model_open(path, &how, &err);
        if (!m) CHECK(err.status == GYR_UNSUPPORTED && n < right.layers && strstr(err.message, "choose more"));
        gyr_model_close(m);
        if (m) check_shared(how);
    }
}

static void experts_stay(void) {
    check_shared((gyr_model_options){.device = "stand-in", .cpu_experts = true});
    check_shared((gyr_model_options){.device = "stand-in:1", .cpu_experts = true, .gpu_layers = 1});
}

// Two, and three of which one has most.
static size_t two_and_three(void) { return 2; }

static struct device *open_rows(size_t index, unsigned threads, gyr_error *e) {
    static const double part[] = {1, 1.5, 5};
    uint32_t want = (uint32_t)index + 2, n = 0;
    struct device *all[MOST_CARDS], *joined = NULL;
    while (n < want && (all[n] = device_open("stand-in", threads, e))) n++;
    if (n == want) joined = cards_join(all, n, part, e);
    while (!joined && n) n--, all[n]->ops->close(all[n]);
    return joined;
}

static void by_rows(void) {
    check_shared((gyr_model_options){.device = "rows"});
    check_shared((gyr_model_options){.device = "rows:1"});
}

// The same where every product is shared out.
static void wide_ones(void) {
    for (size_t i = 0; i < WIDE_MODELS; i++) {
        bool made = wide_write(i, path, &err);
        CHECK(made);
        d.vocab = WIDE_VOCAB;
        snprintf(d.kind, sizeof d.kind, "%s", wide_models[i].shape.name);
        for (int k = 0; k < MAX_DRAWN; k++) d.text[k] = 1 + 37 * k % (WIDE_VOCAB - 1);
        if (made && program(&(gyr_model_options){.device = "cpu"}, &right)) by_rows();
    }
}

// Whatever fails, and whenever, is one line; nothing is lost, and what then is computed is right.
static void any_call_may_fail_of(gyr_model_options how) {
    size_t failures = 0;
    stand_in_calls();
    CHECK(program(&how, &got));
    size_t calls = stand_in_calls().all, step = TEST_EVERYTHING ? 1 : calls / 40 + 1;
    for (size_t n = 1; n <= calls; n += step) {
        stand_in_fail(n, (enum failure)(n % FAILURES));
        err = (gyr_error){0};
        bool ok = program(&how, &got);
        stand_in_fail(0, FAIL_NO_MEMORY);
        CHECK(ok ? !memcmp(right.row, got.row, sizeof got.row)
                 : (err.status == GYR_NO_MEMORY || err.status == GYR_DEVICE) && strlen(err.message) > 8);
        CHECK_INT(stand_in_calls().held, 0);
        failures += !ok;
    }
    CHECK(failures > 10);
}

static void any_call_may_fail(void) {
    any_call_may_fail_of((gyr_model_options){.device = "stand-in", .gpu_layers = 1, .cpu_experts = true});
}

static void any_call_may_fail_by_rows(void) { any_call_may_fail_of((gyr_model_options){.device = "rows"}); }

// Of a step the description goes over, and the stream; and its logits come back.
static void a_step_crosses_once_each_way(void) {
    gyr_model *m = gyr_model_open(path, &(gyr_model_options){.device = "stand-in", .gpu_layers = 1}, &err);
    gyr_session *s = m ? gyr_session_new(m, NULL, &err) : NULL;
    REQUIRE(s && !gyr_session_feed(s, d.text, 9, NULL, &err));
    stand_in_calls();
    CHECK_INT(gyr_session_feed(s, d.text + 9, 1, NULL, &err), GYR_OK);
    struct stand_in_calls calls = stand_in_calls();
    CHECK_INT(calls.writes, 2);
    CHECK_INT(calls.reads, 1);
    gyr_session_free(s);
    gyr_model_close(m);
}

static void refused(const gyr_model_options *how, gyr_status status, const char *says) {
    CHECK(!gyr_model_open(path, how, &err));
    CHECK_INT(err.status, status);
    if (!strstr(err.message, says)) CHECK_STR(err.message, says);
}

static void what_cannot_be(bool mixture) {
    refused(&(gyr_model_options){.device = "cpu", .gpu_layers = 1}, GYR_USAGE,
            ": --gpu-layers and --cpu-experts need a card; name one, or auto");
    refused(&(gyr_model_options){.device = "auto", .gpu_layers = 1}, GYR_UNSUPPORTED,
            ": this machine has no card to share it with; see gyr devices");
    refused(&(gyr_model_options){.device = "cpu", .no_cpu = true}, GYR_USAGE,
            ": --no-cpu needs a card; name one, or auto");
    refused(&(gyr_model_options){.device = "stand-in", .gpu_layers = 1, .no_cpu = true}, GYR_USAGE,
            ": --no-cpu leaves the CPU nothing; leave out --gpu-layers and --cpu-experts");
    refused(&(gyr_model_options){.device = "auto", .no_cpu = true}, GYR_UNSUPPORTED,
            ": --no-cpu, and this machine has no card that can be used; see gyr devices");
    check_shared((gyr_model_options){.device = "stand-in", .no_cpu = true});
    if (!mixture)
        refused(&(gyr_model_options){.device = "stand-in", .cpu_experts = true}, GYR_USAGE,
                ": has no experts; leave out --cpu-experts");
}

static void dense_ones(void) { what_cannot_be(false); }
static void mixtures(void) { what_cannot_be(true); }

// Windows, two kinds of heads with layers that borrow and inputs for each layer, latent attention with an indexer,
// mixtures, states beside attention, states in turns with a mixture.
static const struct {
    const char *name;
    bool mixture;
} models[] = {{"gemma2"},        {"gemma4-e2b"}, {"deepseek-v3.2", true},
              {"gpt-oss", true}, {"falcon-h1"},  {"qwen3.5-moe", true}};

int main(void) {
    static const struct device_kind rows = {"rows", two_and_three, open_rows, NULL};
    if (!mkdtemp(folder) || !device_register(&rows)) return 1;
    path = drawn_file(folder, "model.gguf");
    char file[128];
    snprintf(file, sizeof file, "%s/saved", folder);
    saved = file;
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        if (!drawn_load(&d, models[i].name) || !drawn_write_gguf(&d, path, &err) || d.vocab > MAX_VOCAB) return 1;
        RUN(every_cut);
        RUN(by_rows);
        if (i == 0) RUN(a_step_crosses_once_each_way);
        if (i == 0) RUN(dense_ones);
        if (models[i].mixture) RUN(experts_stay);
        if (!strcmp(models[i].name, "gpt-oss")) RUN(mixtures);
        if (!strcmp(models[i].name, "gpt-oss")) RUN(any_call_may_fail);
        drawn_free(&d);
    }
    RUN(wide_ones);
    RUN(any_call_may_fail_by_rows);
    unlink(path);
    rmdir(folder);
    return test_end();
}
