// Fine-tuning of a mixture of experts, of a small model of tools/goldens/models.py: the same bytes on any number of
// threads and after kills, and an adapter that gives in a session what it gave in training. And what else may be
// chosen: targets, rsLoRA, Muon.
#include "../model/drawn.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/gyr-kinds-XXXXXX";
static gyr_model *model;

enum { STEPS = 6, MOST_BYTES = 1 << 20, VOCAB = 64 };

static const char *file_of(const char *name) { return drawn_file(folder, name); }

static void write_text(const char *path, const char *text) {
    FILE *f = fopen(path, "w");
    if (f) fputs(text, f), fclose(f);
}

#define CHAT(user, answer)                                                                                             \
    "{\"messages\":[{\"role\":\"user\",\"content\":\"" user "\"},{\"role\":\"assistant\",\"content\":\"" answer        \
    "\"}]}\n"

static const char chats[] =
    CHAT("hello", "goodbye") CHAT("one two", "three") CHAT("abcdefgh", "ijklmnop") CHAT("question", "answer");

struct watch {
    double loss[STEPS], valid;
    size_t n, calls, stop_at, kill_at;
};

static bool watch_step(void *user, const gyr_tune_progress *p) {
    struct watch *w = user;
    w->calls++;
    if (w->calls == w->kill_at) raise(SIGKILL);
    if (p->stepped && w->n < STEPS) w->loss[w->n++] = p->loss;
    if (!isnan(p->valid_loss)) w->valid = p->valid_loss;
    return w->calls != w->stop_at;
}

static gyr_tune_options options_of(const char *output, struct watch *w) {
    return (gyr_tune_options){.data = file_of("chats.jsonl"),
                              .output = output,
                              .rank = 2,
                              .alpha = 4,
                              .epochs = 3,
                              .batch = 2,
                              .learning_rate = 2e-2,
                              .targets = "all-linear,experts",
                              .threads = 1,
                              .progress = w ? watch_step : NULL,
                              .user = w};
}

static gyr_status train(const gyr_tune_options *o, gyr_error *e) {
    gyr_tune *t = gyr_tune_open(model, o, e);
    gyr_status status = t ? gyr_tune_run(t, e) : e->status;
    gyr_tune_close(t);
    if (status) printf("  %s\n", e->message);
    return status;
}

static size_t read_bytes(const char *path, char *to) {
    FILE *f = fopen(path, "rb");
    size_t n = f ? fread(to, 1, MOST_BYTES, f) : 0;
    if (f) fclose(f);
    return n;
}

static char undisturbed[MOST_BYTES], other[MOST_BYTES];
static size_t undisturbed_n;

static void same_as_undisturbed(const char *name) {
    size_t n = read_bytes(file_of(name), other);
    CHECK(n && n == undisturbed_n && !memcmp(other, undisturbed, n));
}

static bool write_model(const char *name) {
    struct drawn d;
    gyr_error e = {0};
    bool ok = drawn_load(&d, name);
    d.letters = true;
    ok = ok && drawn_write_gguf(&d, file_of("model.gguf"), &e);
    drawn_free(&d);
    return ok;
}

static bool open_again(const char *name) {
    gyr_error e = {0};
    gyr_model_close(model);
    model = write_model(name) ? gyr_model_open(file_of("model.gguf"), &(gyr_model_options){.threads = 1}, &e) : NULL;
    if (!model) printf("  %s: %s\n", name, e.message);
    return model;
}

// ------------------------------------------------------------------------------------------------ cases

// Of the conversations, by the scores of a session: what training says of them is computed by another program.
static double loss_of_sessions(const char *adapter) {
    gyr_error e = {0};
    gyr_tune_options o = options_of(NULL, NULL);
    o.targets = NULL;
    gyr_tune *t = gyr_tune_open(model, &o, &e);
    gyr_adapter *a = gyr_adapter_open(model, adapter, &e);
    gyr_tune_example x;
    double loss = 0, learned = 0;
    for (size_t i = 0; t && a && gyr_tune_get_example(t, i, &x); i++) {
        gyr_session *s = gyr_session_new(model, &(gyr_session_options){.adapter = a}, &e);
        for (size_t k = 0; s && k + 1 < x.count; k++) {
            double sum = 0;
            if (gyr_session_feed(s, x.ids + k, 1, NULL, &e) != GYR_OK) break;
            const float *row = gyr_session_logits(s);
            for (int v = 0; v < VOCAB; v++) sum += exp((double)row[v]);
            if (x.weight[k] != 0) loss += log(sum) - (double)row[x.ids[k + 1]], learned++;
        }
        gyr_session_free(s);
    }
    if (!t || !a) printf("  %s\n", e.message);
    gyr_adapter_close(a);
    gyr_tune_close(t);
    return loss / learned;
}

static void experts_are_learned(void) {
    struct watch w = {0};
    gyr_error e = {0};
    gyr_tune_options o = options_of(file_of("first.gguf"), &w);
    o.valid = o.data;
    REQUIRE(train(&o, &e) == GYR_OK);
    CHECK_INT(w.n, STEPS);
    CHECK(w.valid < 0.8 * w.loss[0]);
    undisturbed_n = read_bytes(file_of("first.gguf"), undisturbed);
    CHECK(memmem(undisturbed, undisturbed_n, "blk.1.ffn_down_exps.weight.lora_b", 33));
    double loss = loss_of_sessions(file_of("first.gguf"));
    if (!(fabs(loss - w.valid) < 1e-4 * w.valid)) printf("  %.7g in sessions, %.7g in training\n", loss, w.valid);
    CHECK(fabs(loss - w.valid) < 1e-4 * w.valid);
}

static void threads_change_no_byte(void) {
    static const uint32_t threads[] = {2, 3, 8};
    for (size_t i = 0; i < 3; i++) {
        gyr_error e = {0};
        gyr_tune_options o = options_of(file_of("threads.gguf"), NULL);
        o.threads = threads[i];
        REQUIRE(train(&o, &e) == GYR_OK);
        same_as_undisturbed("threads.gguf");
    }
}

static void kills_change_no_byte(void) {
    struct watch w = {.kill_at = 7};
    gyr_error e = {0};
    gyr_tune_options o = options_of(file_of("kills.gguf"), &w);
    o.save_steps = 1;
    pid_t child = fork();
    if (!child) {
        model = gyr_model_open(file_of("model.gguf"), NULL, NULL); // no threads of the parent's are there
        train(&o, &e);
        _exit(1);
    }
    int how = 0;
    REQUIRE(child > 0 && waitpid(child, &how, 0) == child);
    CHECK(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL);
    CHECK(!access(file_of("kills.gguf.state"), F_OK));
    w = (struct watch){0};
    o.resume = true;
    o.threads = 3;
    o.targets = "attention"; // another training
    CHECK_INT(train(&o, &e), GYR_FAILED);
    CHECK(strstr(e.message, "a checkpoint of another training"));
    o.targets = "all-linear,experts";
    REQUIRE(train(&o, &e) == GYR_OK);
    CHECK(w.n && w.n < STEPS);
    same_as_undisturbed("kills.gguf");
}

static void muon_learns_too(void) {
    struct watch w = {0};
    gyr_error e = {0};
    gyr_tune_options o = options_of(file_of("muon.gguf"), &w);
    o.valid = o.data;
    o.optimizer = GYR_OPTIMIZER_MUON;
    o.learning_rate = 0.1;
    REQUIRE(train(&o, &e) == GYR_OK);
    if (!(w.valid < 0.8 * w.loss[0])) printf("  %.7g, then %.7g\n", w.loss[0], w.valid);
    CHECK(w.valid < 0.8 * w.loss[0]);
    size_t n = read_bytes(file_of("muon.gguf"), undisturbed);
    o.threads = 3;
    o.valid = NULL;
    REQUIRE(train(&o, &e) == GYR_OK);
    CHECK(n == read_bytes(file_of("muon.gguf"), other) && !memcmp(other, undisturbed, n));
}

static uint64_t numbers_of(const char *targets, gyr_error *e) {
    gyr_tune_options o = options_of(NULL, NULL);
    gyr_tune_info info = {0};
    o.targets = targets;
    gyr_tune *t = gyr_tune_open(model, &o, e);
    if (t) gyr_tune_get_info(t, &info);
    gyr_tune_close(t);
    return info.numbers;
}

// Widths are 32, of queries, of keys and values 16, of experts 48; rank 2, 2 layers, 4 experts.
static void targets_are_words(void) {
    gyr_error e = {0};
    const uint64_t q = 2 * (32 + 32), kv = 2 * (32 + 16), expert = 2 * (32 + 48);
    CHECK_INT(numbers_of(NULL, &e), 2 * (2 * q + 2 * kv));
    CHECK_INT(numbers_of("attention", &e), 2 * (2 * q + 2 * kv));
    CHECK_INT(numbers_of("q_proj,v_proj", &e), 2 * (q + kv));
    CHECK_INT(numbers_of("experts", &e), 2 * 4 * 3 * expert);
    CHECK_INT(numbers_of("q_proj,nose", &e), 0);
    CHECK_INT(e.status, GYR_USAGE);
    CHECK(strstr(e.message, "targets: 'nose' is nothing that this model has; name some of all-linear, attention, mlp, "
                            "experts, q_proj, k_proj, v_proj, o_proj"));
    CHECK_INT(numbers_of("mlp", &e), 0);
    CHECK_INT(numbers_of("", &e), 0);
    CHECK_STR(e.message, "targets: none are named");
}

// States: Mamba's, Mamba-2's, beside attention and in turns with it; experts beside an MLP; inputs of layers; indexers.
static void other_kinds_are_learned(void) {
    static const struct {
        const char *name, *targets;
    } kinds[] = {{"mamba", "all-linear,state"},       {"mamba2-groups", "all-linear,state"},
                 {"qwen3.5", "all-linear,state"},     {"falcon-h1", "all-linear,state"},
                 {"kimi-linear", "all-linear,state"}, {"gemma4-moe", "all-linear,experts"},
                 {"gemma4-e2b", "all-linear"},        {"deepseek-v3.2", "all-linear,experts"}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct watch w = {0};
        gyr_error e = {0};
        REQUIRE(open_again(kinds[i].name));
        gyr_tune_options o = options_of(file_of("state.gguf"), &w);
        o.valid = o.data;
        o.targets = kinds[i].targets;
        REQUIRE(train(&o, &e) == GYR_OK);
        if (!(w.valid < 0.85 * w.loss[0])) printf("  %s: %.7g, then %.7g\n", kinds[i].name, w.loss[0], w.valid);
        CHECK(w.valid < 0.85 * w.loss[0]);
        double loss = loss_of_sessions(file_of("state.gguf"));
        if (!(fabs(loss - w.valid) < 1e-4 * w.valid))
            printf("  %s: %.7g in sessions, %.7g in training\n", kinds[i].name, loss, w.valid);
        CHECK(fabs(loss - w.valid) < 1e-4 * w.valid);
        size_t n = read_bytes(file_of("state.gguf"), undisturbed);
        o.threads = 3;
        o.valid = NULL;
        REQUIRE(train(&o, &e) == GYR_OK);
        CHECK(n == read_bytes(file_of("state.gguf"), other) && !memcmp(other, undisturbed, n));
    }
    unlink(file_of("state.gguf"));
}

// Queries of latent attention that come straight from the input have another name than those that do not.
static void straight_queries_have_their_name(void) {
    gyr_error e = {0};
    REQUIRE(open_again("deepseek-v2-lite"));
    CHECK(numbers_of("q_proj", &e) > 0);
    CHECK_INT(numbers_of("q_b_proj", &e), 0);
    gyr_tune_options o = options_of(file_of("straight.gguf"), NULL);
    o.targets = "q_proj";
    o.epochs = 1;
    REQUIRE(train(&o, &e) == GYR_OK);
    size_t n = read_bytes(file_of("straight.gguf"), other);
    CHECK(memmem(other, n, "blk.0.attn_q.weight.lora_a", 26) && !memmem(other, n, "attn_q_b", 8));
    unlink(file_of("straight.gguf"));
}

// A dense model, in PEFT's folder.
static void roots_of_ranks_are_told(void) {
    struct watch w = {0};
    gyr_error e = {0};
    REQUIRE(open_again("qwen3"));
    gyr_tune_options o = options_of(file_of("root"), &w);
    o.valid = o.data;
    o.targets = "all-linear";
    o.rslora = true;
    REQUIRE(train(&o, &e) == GYR_OK);
    char path[200];
    snprintf(path, sizeof path, "%s/adapter_config.json", file_of("root"));
    size_t n = read_bytes(path, other);
    other[n] = 0;
    CHECK(strstr(other, "\"use_rslora\": true") && strstr(other, "\"lora_alpha\": 4,") && strstr(other, "\"r\": 2,"));
    double loss = loss_of_sessions(file_of("root"));
    CHECK(w.valid < 0.8 * w.loss[0] && fabs(loss - w.valid) < 1e-4 * w.valid);
    unlink(path);
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", file_of("root"));
    unlink(path);
    rmdir(file_of("root"));
}

int main(void) {
    if (!mkdtemp(folder)) return 1;
    write_text(file_of("chats.jsonl"), chats);
    if (!open_again("mixtral")) return 1;
    RUN(experts_are_learned);
    RUN(threads_change_no_byte);
    RUN(kills_change_no_byte);
    RUN(targets_are_words);
    RUN(muon_learns_too);
    RUN(other_kinds_are_learned);
    RUN(straight_queries_have_their_name);
    RUN(roots_of_ranks_are_told);
    gyr_model_close(model);
    const char *files[] = {"chats.jsonl", "model.gguf", "first.gguf", "threads.gguf", "kills.gguf", "muon.gguf"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) unlink(file_of(files[i]));
    rmdir(folder);
    return test_end();
}
