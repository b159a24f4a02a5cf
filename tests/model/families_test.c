// Every family of tests/data/models against transformers, from a Hugging Face folder and from a GGUF file: the logits
// of every position within 1e-4 in float32, and the same 64 greedy tokens. And the contract: the same bytes however the
// text is fed, and whatever the instruction set.
#include "drawn.h"
#include "far.h"
#include "sets_here.h"

#include <dirent.h>

static const float tolerance = 1e-4f;
static char folder[] = "/tmp/gyr-families-XXXXXX";
enum { MAX_NAMES = 256 };
static char names[MAX_NAMES][64];
static size_t n_names;
static const char *only; // GYR_FAMILY: one family, for those who are adding it

static int by_name(const void *a, const void *b) { return strcmp(a, b); }

static void list_names(void) {
    DIR *dir = opendir(test_data("models"));
    for (struct dirent *e; dir && (e = readdir(dir));) {
        char *end = strstr(e->d_name, ".txt");
        if (!end || n_names == MAX_NAMES) continue;
        *end = 0;
        if (!only || !strcmp(only, e->d_name)) snprintf(names[n_names++], sizeof names[0], "%.60s", e->d_name);
    }
    if (dir) closedir(dir);
    qsort(names, n_names, sizeof names[0], by_name);
}

static const char *file_of(const char *name) { return drawn_file(folder, name); }

// Writes both forms of a family; false after saying why.
static bool write_files(const struct drawn *d, const char *name) {
    gyr_error e = {0};
    bool ok = drawn_write_text(file_of("config.json"), d->config) &&
              drawn_write_safetensors(d, file_of("model.safetensors")) &&
              drawn_write_gguf(d, file_of("model.gguf"), &e);
    if (!ok) printf("  %s: cannot be written: %s\n", name, e.message);
    return ok;
}

// The logits of the whole text, fed in pieces of `piece`; NULL on failure.
static float *feed(gyr_session *s, const struct drawn *d, int piece) {
    gyr_error e = {0};
    float *out = calloc((size_t)(d->text_n * d->vocab), sizeof *out);
    gyr_session_truncate(s, 0);
    for (int i = 0, n; out && i < d->text_n; i += n) {
        n = d->text_n - i < piece ? d->text_n - i : piece;
        if (!gyr_session_feed(s, d->text + i, (size_t)n, out + (size_t)(i * d->vocab), &e)) continue;
        printf("  %s\n", e.message);
        free(out);
        out = NULL;
    }
    return out;
}

static int wrong_greedy(gyr_session *s, const struct drawn *d) {
    int n = d->greedy_n / (int)test_times(1, 4);
    gyr_generate_options o = {
        .sampling = &(gyr_sampling){.top_p = 1, .repetition_penalty = 1}, .max_tokens = (size_t)n, .ignore_end = true};
    gyr_session_truncate(s, 0);
    if (gyr_generate(s, d->text, (size_t)d->prompt_n, &o, NULL, NULL)) return -1;
    const int32_t *got = gyr_session_tokens(s) + d->prompt_n;
    int wrong = 0;
    for (int i = 0; i < n; i++) wrong += got[i] != d->greedy[i];
    return wrong;
}

// The row of the table that a folder's model is taken for. (Several kinds have one architecture in GGUF.)
static void check_kind(const struct drawn *d) {
    char *text = gyr_inspect(folder, false, NULL), want[128];
    snprintf(want, sizeof want, "\"family\": \"%s\"", d->kind);
    CHECK(text && strstr(text, want));
    gyr_free(text);
}

static void check_file(const struct drawn *d, const char *name, const char *path) {
    gyr_error e = {0};
    size_t n = (size_t)(d->text_n * d->vocab);
    gyr_model *m = gyr_model_open(path, NULL, &e);
    gyr_session *s = m ? gyr_session_new(m, &(gyr_session_options){d->context, GYR_KV_F32}, &e) : NULL;
    float *whole = s ? feed(s, d, d->text_n) : NULL, *parts = s ? feed(s, d, 7) : NULL;
    if (!s) printf("  %s: %s\n", name, e.message);
    CHECK(whole && parts);
    if (whole && parts) {
        float far = farthest(whole, d->logits, n);
        int wrong = wrong_greedy(s, d);
        bool same = !memcmp(whole, parts, n * sizeof *whole);
        if (!(far <= tolerance) || wrong || !same || only)
            printf("  %-14s %s: farthest %.2g; of %d greedy tokens %d wrong; in pieces %s\n", name,
                   strstr(path, ".gguf") ? "gguf" : "hf  ", (double)far, d->greedy_n, wrong,
                   same ? "the same" : "different");
        CHECK(far <= tolerance);
        CHECK_INT(wrong, 0);
        CHECK(same);
    }
    free(whole);
    free(parts);
    gyr_session_free(s);
    if (m) gyr_model_close(m);
}

static void every_family(void (*run)(const struct drawn *d, const char *name)) {
    static struct drawn d;
    for (size_t i = 0; i < n_names; i++) {
        bool ok = drawn_load(&d, names[i]) && write_files(&d, names[i]);
        CHECK(ok);
        if (ok) run(&d, names[i]);
        drawn_free(&d);
    }
}

static float *logits_of(const struct drawn *d, const char *path) {
    gyr_model *m = gyr_model_open(path, NULL, NULL);
    gyr_session *s = m ? gyr_session_new(m, &(gyr_session_options){.kv_type = GYR_KV_F32}, NULL) : NULL;
    float *out = s ? feed(s, d, d->text_n) : NULL;
    gyr_session_free(s);
    if (m) gyr_model_close(m);
    return out;
}

// Products with quantized weights round what they are multiplied with (docs/arithmetic.md), and transformers does not:
// what is compared is the model with its weights written out as floats, by way of both formats. As they are, both give
// the same bytes, and about the same as transformers.
static void check_packed(const struct drawn *d, const char *name) {
    gyr_error e = {0};
    size_t n = (size_t)(d->text_n * d->vocab);
    const char *given = file_of("model.gguf"), *converted = file_of("packed.gguf"), *whole = file_of("whole.gguf");
    CHECK_INT(gyr_convert(&(gyr_convert_options){.input = folder, .output = converted}, &e), GYR_OK);
    for (int i = 0; i < 2; i++) {
        gyr_quantize_options o = {.input = i ? given : converted, .output = whole, .type = "f32", .requantize = true};
        CHECK_INT(gyr_quantize(&o, &e), GYR_OK);
        check_file(d, name, whole);
    }
    float *a = logits_of(d, folder), *b = logits_of(d, given), *c = logits_of(d, converted);
    CHECK(a && b && c && !memcmp(a, b, n * sizeof *a) && !memcmp(a, c, n * sizeof *a));
    float far = a ? farthest(a, d->logits, n) : 1e9f;
    CHECK(far > 0 && far < 1);
    free(a);
    free(b);
    free(c);
    unlink(converted);
    unlink(whole);
}

static void check_both(const struct drawn *d, const char *name) {
    check_kind(d);
    if (drawn_packed(d)) {
        check_packed(d, name);
        return;
    }
    check_file(d, name, folder);
    check_file(d, name, file_of("model.gguf"));
}

static void logits_and_tokens_match(void) {
    every_family(check_both);
    CHECK(n_names > 0 && n_names < MAX_NAMES);
    printf("  %zu models, each from two formats\n", n_names);
}

static float *logits_with(const struct drawn *d, const char *isa) {
    setenv("GYR_ISA", isa, 1);
    gyr_model *m = gyr_model_open(file_of("model.gguf"), &(gyr_model_options){.threads = 3}, NULL);
    gyr_session *s = m ? gyr_session_new(m, &(gyr_session_options){d->context}, NULL) : NULL;
    float *out = s ? feed(s, d, 50) : NULL;
    gyr_session_free(s);
    if (m) gyr_model_close(m);
    return out;
}

static void check_sets(const struct drawn *d, const char *name) {
    static size_t family; // where that is slow, each has a set of its own
    size_t turn = family++, nth = 0, step = test_times(1, 3);
    float *want = logits_with(d, "scalar");
    for (int i = 1; i < SETS; i++) {
        if (!sets_here(sets[i]) || nth++ % step != turn % step) continue;
        float *got = logits_with(d, sets[i]);
        bool same = want && got && !memcmp(want, got, (size_t)(d->text_n * d->vocab) * sizeof *want);
        if (!same) printf("  %s: scalar and %s differ\n", name, sets[i]);
        CHECK(same);
        free(got);
    }
    free(want);
}

static void instruction_sets_do_not_matter(void) {
    const char *given = getenv("GYR_ISA");
    char *before = given ? strdup(given) : NULL;
    every_family(check_sets);
    if (before)
        setenv("GYR_ISA", before, 1);
    else
        unsetenv("GYR_ISA");
    free(before);
}

int main(void) {
    if (!mkdtemp(folder)) return 1;
    only = getenv("GYR_FAMILY");
    list_names();
    sets_report(sets_here);
    RUN(logits_and_tokens_match);
    RUN(instruction_sets_do_not_matter);
    const char *files[] = {"config.json", "model.safetensors", "model.gguf"};
    for (int i = 0; i < 3; i++) unlink(file_of(files[i]));
    rmdir(folder);
    return test_end();
}
