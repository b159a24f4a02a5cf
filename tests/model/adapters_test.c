// LoRA adapters of the small models of tests/data/models against PEFT (tests/data/adapters): the logits of every
// position within 1e-4 in float32, with model and adapter from either format; and merged into the weights. And the
// contract: the same bytes alone or beside sessions with other adapters or none, in pieces, on any number of threads
// and by any instruction set.
#include "drawn.h"
#include "far.h"
#include "sets_here.h"

#include <sys/stat.h>

static const float tolerance = 1e-4f;
static char folder[] = "/tmp/gyr-adapters-XXXXXX", tuned[64], second_one[64];

static const struct {
    const char *name, *family;
    bool gguf; // has a GGUF form
} cases[] = {{"llama", "llama", true},    {"llama-patterns", "llama", false}, {"qwen3", "qwen3", true},
             {"phi3", "phi3", true},      {"gpt-neox", "gpt-neox", true},     {"gpt2", "gpt2", true},
             {"mixtral", "mixtral", true}};
enum { CASES = sizeof cases / sizeof *cases };

static struct drawn model_of, adapter_of;

static const char *file_of(const char *name) { return drawn_file(folder, name); }
static const char *tuned_file(const char *name) { return drawn_file(tuned, name); }

// A case's model in both formats, and its adapter: "tuned" and "adapter.gguf".
static bool write_case(size_t i) {
    char golden[96];
    gyr_error e = {0};
    snprintf(golden, sizeof golden, "../adapters/%s", cases[i].name);
    bool ok = drawn_load(&model_of, cases[i].family) && drawn_load(&adapter_of, golden) &&
              drawn_write_text(file_of("config.json"), model_of.config) &&
              drawn_write_safetensors(&model_of, file_of("model.safetensors")) &&
              drawn_write_gguf(&model_of, file_of("model.gguf"), &e) &&
              drawn_write_text(tuned_file("adapter_config.json"), adapter_of.config) &&
              drawn_write_safetensors(&adapter_of, tuned_file("adapter_model.safetensors")) &&
              (!cases[i].gguf || drawn_write_gguf(&adapter_of, file_of("adapter.gguf"), &e));
    if (!ok) printf("  %s: cannot be written: %s\n", cases[i].name, e.message);
    return ok;
}

static void free_case(void) {
    drawn_free(&model_of);
    drawn_free(&adapter_of);
}

// A model, adapters of it, and sessions.
struct bench {
    gyr_model *m;
    gyr_adapter *a;
    gyr_session *s;
    gyr_error e;
};

static bool open_bench(struct bench *b, const char *model, const char *adapter, unsigned threads) {
    *b = (struct bench){0};
    b->m = gyr_model_open(model, &(gyr_model_options){.threads = threads}, &b->e);
    b->a = b->m && adapter ? gyr_adapter_open(b->m, adapter, &b->e) : NULL;
    if (b->m && (b->a || !adapter))
        b->s = gyr_session_new(b->m, &(gyr_session_options){.kv_type = GYR_KV_F32, .adapter = b->a}, &b->e);
    if (!b->s) printf("  %s with %s: %s\n", model, adapter ? adapter : "none", b->e.message);
    return b->s;
}

static void close_bench(struct bench *b) {
    gyr_session_free(b->s);
    gyr_adapter_close(b->a);
    gyr_model_close(b->m);
}

static size_t floats(void) { return (size_t)(model_of.text_n * model_of.vocab); }

static float *feed(gyr_session *s, size_t piece) {
    const struct drawn *d = &model_of;
    float *out = calloc(floats(), sizeof *out);
    size_t count = (size_t)d->text_n;
    gyr_session_truncate(s, 0);
    for (size_t i = 0, n; out && i < count; i += n) {
        n = count - i < piece ? count - i : piece;
        if (gyr_session_feed(s, d->text + i, n, out + i * (size_t)d->vocab, NULL)) {
            free(out);
            return NULL;
        }
    }
    return out;
}

static float *logits_of(const char *model, const char *adapter, unsigned threads, size_t piece) {
    struct bench b;
    float *out = open_bench(&b, model, adapter, threads) ? feed(b.s, piece) : NULL;
    close_bench(&b);
    return out;
}

static void every_case(void (*run)(size_t i)) {
    for (size_t i = 0; i < CASES; i++) {
        bool ok = write_case(i), before = test_bad;
        CHECK(ok);
        if (ok) run(i);
        if (test_bad && !before) printf("  in %s\n", cases[i].name);
        free_case();
    }
}

// ------------------------------------------------------------------------------------------ against PEFT

static void check_within(float most, const char *what, size_t i, const float *got) {
    float far = got ? farthest(got, adapter_of.logits, floats()) : NAN;
    if (!(far <= most)) printf("  %s, %s: farthest %.2g\n", cases[i].name, what, (double)far);
    CHECK(far <= most);
}

static void check_near(const char *what, size_t i, const float *got) { check_within(tolerance, what, i, got); }

static void compare(size_t i) {
    const char *models[] = {folder, file_of("model.gguf")}, *adapters[] = {tuned, file_of("adapter.gguf")};
    for (int m = 0; m < 2; m++)
        for (int a = 0; a < (cases[i].gguf ? 2 : 1); a++) {
            char what[64];
            snprintf(what, sizeof what, "%s with %s", m ? "GGUF" : "folder", a ? "GGUF" : "PEFT");
            float *whole = logits_of(models[m], adapters[a], 0, 72), *parts = logits_of(models[m], adapters[a], 1, 7);
            check_near(what, i, whole);
            CHECK(whole && parts && !memcmp(whole, parts, floats() * sizeof *whole));
            free(whole);
            free(parts);
        }
    float *plain = logits_of(folder, NULL, 0, 72);
    CHECK(plain && farthest(plain, model_of.logits, floats()) <= tolerance);
    CHECK(plain && farthest(plain, adapter_of.logits, floats()) > 0.05f);
    free(plain);
}

static void logits_are_those_of_peft(void) { every_case(compare); }

static void merge(size_t i) {
    gyr_error e = {0};
    const char *out = file_of("merged.gguf"), *adapters[] = {tuned, file_of("adapter.gguf")};
    for (int a = 0; a < (cases[i].gguf ? 2 : 1); a++)
        for (int m = 0; m < 2; m++) {
            gyr_convert_options c = {.input = folder, .output = out, .adapter = adapters[a]};
            gyr_quantize_options q = {.input = file_of("model.gguf"), .output = out, .adapter = adapters[a]};
            int status = m ? gyr_quantize(&q, &e) : gyr_convert(&c, &e);
            CHECK_INT(status, GYR_OK);
            if (status) printf("  %s\n", e.message);
            float *got = status ? NULL : logits_of(out, NULL, 0, 72);
            check_within(2 * tolerance, m ? "merged into GGUF" : "merged into a folder", i, got);
            free(got);
            unlink(out);
        }
}

static void merged_is_the_same_model(void) { every_case(merge); }

// Written in either format by way of either model, and read again for both.
static void write_again(size_t i) {
    const char *models[] = {folder, file_of("model.gguf")}, *out[] = {file_of("again"), file_of("again.gguf")};
    for (int k = 0; k < 4; k++) {
        struct bench b;
        bool opened = open_bench(&b, models[k / 2], tuned, 1);
        CHECK(opened);
        gyr_status status = opened ? gyr_adapter_save(b.a, out[k % 2], &b.e) : GYR_FAILED;
        bool unclear = k == 2 && !strcmp(cases[i].name, "mixtral"); // Llama, by its file
        CHECK_INT(status, unclear ? GYR_UNSUPPORTED : GYR_OK);
        if (status && !unclear) printf("  %s\n", b.e.message);
        close_bench(&b);
        for (int m = 0; m < 2 && !unclear; m++) {
            float *got = status ? NULL : logits_of(models[m], out[k % 2], 1, 72);
            check_near("written again", i, got);
            free(got);
        }
    }
    unlink(out[1]);
    unlink(file_of("again/adapter_config.json"));
    unlink(file_of("again/adapter_model.safetensors"));
    rmdir(out[0]);
}

static void written_adapters_come_back(void) { every_case(write_again); }

// --------------------------------------------------------------------------------------------- the bytes

static float *rows_of(size_t n) { return calloc(n, floats() * sizeof(float)); }

// Another adapter of the case's model: the same with a part of its numbers turned round.
static bool write_other(void) {
    for (size_t i = 0; i < adapter_of.n_tensors; i++) {
        struct drawn_tensor *t = &adapter_of.tensor[i];
        for (size_t k = 0; k < t->n; k += 1 + k % 3) t->data[k] = -t->data[k];
    }
    return drawn_write_text(drawn_file(second_one, "adapter_config.json"), adapter_of.config) &&
           drawn_write_safetensors(&adapter_of, drawn_file(second_one, "adapter_model.safetensors"));
}

// Sessions with an adapter, with none, with another one, and with the first once more from its file, mixed in batches.
static void together(size_t i) {
    struct bench b;
    enum { N = 6, KINDS = 3 };
    static const int kind[N] = {0, 1, 2, 1, 0, 2};
    const char *model = file_of("model.gguf");
    (void)i;
    REQUIRE(write_other() && open_bench(&b, model, tuned, 3));
    gyr_adapter *second = gyr_adapter_open(b.m, second_one, NULL), *again = gyr_adapter_open(b.m, tuned, NULL);
    const gyr_adapter *has[N] = {NULL, b.a, second, again, NULL, second};
    float *want[KINDS] = {logits_of(model, NULL, 1, 72), feed(b.s, 72), logits_of(model, second_one, 2, 72)},
          *got = rows_of(N);
    REQUIRE(second && again && got && want[0] && want[1] && want[2]);
    CHECK(memcmp(want[1], want[2], floats() * sizeof *got) && memcmp(want[0], want[2], floats() * sizeof *got));
    gyr_session *s[N];
    for (int k = 0; k < N; k++)
        s[k] = gyr_session_new(b.m, &(gyr_session_options){.kv_type = GYR_KV_F32, .adapter = has[k]}, NULL);
    size_t count = (size_t)model_of.text_n, vocab = (size_t)model_of.vocab;
    for (size_t at = 0, n; at < count; at += n) {
        n = count - at < 11 ? count - at : 11;
        gyr_input in[N];
        for (int k = 0; k < N; k++)
            in[k] = (gyr_input){s[k], model_of.text + at, n, got + (size_t)k * floats() + at * vocab};
        CHECK_INT(gyr_sessions_feed(in, N, NULL), GYR_OK);
    }
    for (int k = 0; k < N; k++) {
        CHECK(!memcmp(want[kind[k]], got + (size_t)k * floats(), floats() * sizeof *got));
        gyr_session_free(s[k]);
    }
    for (int k = 0; k < KINDS; k++) free(want[k]);
    free(got);
    gyr_adapter_close(second);
    gyr_adapter_close(again);
    close_bench(&b);
}

static void neighbours_do_not_matter(void) { every_case(together); }

static void sets_of(size_t i) {
    setenv("GYR_ISA", "scalar", 1);
    float *want = logits_of(folder, tuned, 2, 72);
    for (int k = 1; k < SETS; k++) {
        if (!sets_here(sets[k]) || (TEST_SLOW && (size_t)k % 2 != i % 2)) continue;
        setenv("GYR_ISA", sets[k], 1);
        float *got = logits_of(folder, tuned, 3, 50);
        CHECK(want && got && !memcmp(want, got, floats() * sizeof *got));
        free(got);
    }
    unsetenv("GYR_ISA");
    free(want);
}

static void instruction_sets_do_not_matter(void) { every_case(sets_of); }

static double mean_distance(const float *x, const float *y) {
    double sum = 0;
    for (size_t i = 0; i < floats(); i++) sum += fabs((double)x[i] - (double)y[i]);
    return sum / (double)floats();
}

// Quantized weights: the adapter's part is in float beside them.
static void quantized_weights_take_adapters(void) {
    gyr_error e = {0};
    REQUIRE(write_case(0));
    const char *out = file_of("q8.gguf");
    gyr_quantize_options q = {.input = file_of("model.gguf"), .output = out, .type = "q8_0", .pure = true};
    REQUIRE(!gyr_quantize(&q, &e));
    float *with = logits_of(out, tuned, 0, 72), *without = logits_of(out, NULL, 0, 72);
    REQUIRE(with && without);
    CHECK(mean_distance(with, adapter_of.logits) < 1.5 * mean_distance(without, model_of.logits));
    CHECK(mean_distance(without, adapter_of.logits) > 5 * mean_distance(with, adapter_of.logits));
    free(with);
    free(without);
    unlink(out);
    free_case();
}

// ------------------------------------------------------------------------------- sessions and what is kept

static void forks_keep_it(void) {
    struct bench b;
    REQUIRE(write_case(0) && open_bench(&b, folder, tuned, 0));
    float *whole = feed(b.s, 72);
    gyr_session_truncate(b.s, 40);
    gyr_session *fork = gyr_session_fork(b.s, &b.e);
    REQUIRE(fork && whole);
    CHECK_INT(gyr_session_feed(fork, model_of.text + 40, 32, NULL, &b.e), GYR_OK);
    const float *last = whole + floats() - (size_t)model_of.vocab;
    CHECK(!memcmp(gyr_session_logits(fork), last, (size_t)model_of.vocab * sizeof *last));
    gyr_session_free(fork);
    free(whole);
    close_bench(&b);
    free_case();
}

static void saved_sessions_know_it(void) {
    struct bench b;
    gyr_error e = {0};
    REQUIRE(write_case(0) && open_bench(&b, folder, tuned, 0));
    const char *saved = file_of("saved");
    REQUIRE(!gyr_session_feed(b.s, model_of.text, 20, NULL, &e) && !gyr_session_save(b.s, 0, 20, saved, &e));
    gyr_session *plain = gyr_session_new(b.m, &(gyr_session_options){.kv_type = GYR_KV_F32}, &e);
    gyr_session *again = gyr_session_new(b.m, &(gyr_session_options){.kv_type = GYR_KV_F32, .adapter = b.a}, &e);
    REQUIRE(plain && again);
    CHECK_INT(gyr_session_load(plain, saved, &e), GYR_UNSUPPORTED);
    CHECK(strstr(e.message, "of another model than "));
    CHECK_INT(gyr_session_load(again, saved, &e), GYR_OK);
    REQUIRE(!gyr_session_feed(plain, model_of.text, 20, NULL, &e));
    CHECK_INT(gyr_session_save(plain, 0, 20, saved, &e), GYR_OK);
    gyr_session_truncate(again, 0);
    CHECK_INT(gyr_session_load(again, saved, &e), GYR_UNSUPPORTED);
    CHECK(strstr(e.message, " with the adapter "));
    gyr_session_free(plain);
    gyr_session_free(again);
    unlink(saved);
    close_bench(&b);
    free_case();
}

static char *receipt_with(struct bench *b, gyr_session *s) {
    gyr_generate_options o = {
        .sampling = &(gyr_sampling){.top_p = 1, .repetition_penalty = 1}, .max_tokens = 8, .ignore_end = true};
    gyr_answer *a = gyr_answer_new(s, model_of.text, 12, &o, &b->e);
    while (a && !gyr_answer_done(a))
        if (gyr_answers_step(&a, 1, 0, &b->e)) break;
    char *text = a ? gyr_answer_receipt(a, &(gyr_receipt_options){.path = "here"}, &b->e) : NULL;
    gyr_answer_free(a);
    return text;
}

static void check_receipt(struct bench *b, const char *text, const gyr_adapter *a, gyr_status want, const char *why) {
    gyr_receipt_result r;
    gyr_error e = {0};
    gyr_status got = gyr_receipt_check(b->m, text, strlen(text), &(gyr_receipt_check_options){.adapter = a}, &r, &e);
    CHECK_INT(got, want);
    if (want)
        CHECK(strstr(e.message, why));
    else
        CHECK(!got && r.equal);
}

static void receipts_know_it(void) {
    struct bench b;
    REQUIRE(write_case(0) && open_bench(&b, folder, tuned, 0));
    gyr_session *plain = gyr_session_new(b.m, &(gyr_session_options){.kv_type = GYR_KV_F32}, &b.e);
    char *with = receipt_with(&b, b.s), *without = plain ? receipt_with(&b, plain) : NULL;
    REQUIRE(with && without);
    CHECK(strstr(with, "\"adapter\":{\"checksum\":\"") && !strstr(without, "\"adapter\""));
    check_receipt(&b, with, b.a, GYR_OK, NULL);
    check_receipt(&b, without, NULL, GYR_OK, NULL);
    check_receipt(&b, with, NULL, GYR_FAILED, "of an answer with an adapter");
    check_receipt(&b, without, b.a, GYR_FAILED, "of an answer without an adapter");
    char *place = strstr(with, "\"adapter\":{\"checksum\":\"") + strlen("\"adapter\":{\"checksum\":\"");
    *place = *place == '0' ? '1' : '0';
    check_receipt(&b, with, b.a, GYR_FAILED, "receipt: of another adapter");
    gyr_free(with);
    gyr_free(without);
    gyr_session_free(plain);
    close_bench(&b);
    free_case();
}

// -------------------------------------------------------------------------------------------- refusals

static void check_refused(const char *model, const char *adapter, const char *why) {
    gyr_error e = {0};
    gyr_model *m = gyr_model_open(model, NULL, &e);
    REQUIRE(m);
    CHECK(!gyr_adapter_open(m, adapter, &e));
    CHECK_INT(e.status, GYR_UNSUPPORTED);
    if (!strstr(e.message, why)) printf("  %s\n", e.message);
    CHECK(strstr(e.message, why));
    gyr_model_close(m);
}

// Adapters of the Llama for other models: of another shape, with other modules, of another architecture.
static void another_model_is_refused(void) {
    static struct drawn other;
    gyr_error e = {0};
    REQUIRE(write_case(0));
    const struct {
        const char *family, *adapter, *why;
    } tries[] = {{"qwen3", tuned, "is for another model: it adapts"},
                 {"gpt2", tuned, "which gyr does not adapt in models of the"},
                 {"qwen3", file_of("adapter.gguf"), "its architecture is llama, the model's is qwen3"}};
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        REQUIRE(drawn_load(&other, tries[i].family) && drawn_write_gguf(&other, file_of("other.gguf"), &e));
        check_refused(file_of("other.gguf"), tries[i].adapter, tries[i].why);
        drawn_free(&other);
    }
    unlink(file_of("other.gguf"));
    free_case();
}

static void an_adapter_of_another_model_is_no_option(void) {
    struct bench a, b;
    REQUIRE(write_case(0) && open_bench(&a, folder, tuned, 1) && open_bench(&b, folder, tuned, 1));
    CHECK(!gyr_session_new(a.m, &(gyr_session_options){.adapter = b.a}, &a.e));
    CHECK_INT(a.e.status, GYR_USAGE);
    close_bench(&a);
    close_bench(&b);
    free_case();
}

int main(void) {
    if (!mkdtemp(folder)) return 1;
    snprintf(tuned, sizeof tuned, "%s-peft", folder);
    snprintf(second_one, sizeof second_one, "%s-other", folder);
    if (mkdir(tuned, 0700) || mkdir(second_one, 0700)) return 1;
    sets_report(sets_here);
    RUN(logits_are_those_of_peft);
    RUN(merged_is_the_same_model);
    RUN(written_adapters_come_back);
    RUN(neighbours_do_not_matter);
    RUN(instruction_sets_do_not_matter);
    RUN(quantized_weights_take_adapters);
    RUN(forks_keep_it);
    RUN(saved_sessions_know_it);
    RUN(receipts_know_it);
    RUN(another_model_is_refused);
    RUN(an_adapter_of_another_model_is_no_option);
    const char *files[] = {"config.json", "model.safetensors", "model.gguf", "adapter.gguf"};
    for (int i = 0; i < 4; i++) unlink(file_of(files[i]));
    unlink(tuned_file("adapter_config.json"));
    unlink(tuned_file("adapter_model.safetensors"));
    unlink(drawn_file(second_one, "adapter_config.json"));
    unlink(drawn_file(second_one, "adapter_model.safetensors"));
    rmdir(folder);
    rmdir(tuned);
    rmdir(second_one);
    return test_end();
}
