// Every kind of Falcon, from every format, against transformers: the logits of every position within 1e-4 (F16 and
// BF16: 0.005), and the same 64 greedy tokens, with the KV cache and without. And the bytes of the logits do not depend
// on how they were asked for.
#include "far.h"
#include "golden.h"
#include "sets_here.h"

// F16 and BF16 weights and their activations are rounded to integers of 16 bits in every layer.
static float tolerance_of(const gyr_model *m) {
    gyr_model_info info;
    gyr_model_get_info(m, &info);
    return strstr(info.types, "f16") ? 0.005f : 1e-4f;
}

// A golden, one of its files opened, and a session with a float32 KV cache (as transformers has).
struct bench {
    struct golden g;
    gyr_model *model;
    gyr_session *session;
    size_t vocab;
    const char *file;
};

static gyr_session *new_session(gyr_model *m, gyr_kv_type kv) {
    gyr_error e;
    gyr_session *s = gyr_session_new(m, &(gyr_session_options){.kv_type = kv}, &e);
    if (!s) printf("  %s\n", e.message);
    return s;
}

static bool open_bench(struct bench *b, const char *kind, const char *file, unsigned threads) {
    gyr_error e = {0};
    *b = (struct bench){.file = file};
    if (!golden_load(kind, &b->g)) return printf("  %s: no golden\n", kind), false;
    b->vocab = (size_t)b->g.vocab.id[0];
    b->model = gyr_model_open(golden_path(file), &(gyr_model_options){.threads = threads}, &e);
    if (!b->model) return printf("  %s: %s\n", file, e.message), false;
    b->session = new_session(b->model, GYR_KV_F32);
    return b->session;
}

static void close_bench(struct bench *b) {
    gyr_session_free(b->session);
    if (b->model) gyr_model_close(b->model);
    golden_free(&b->g);
}

// One file of each kind is enough of gyr's own promises where that is slow: of one kind a folder, of the next a GGUF.
static bool passed_over(size_t kind, const char *const *file) {
    return TEST_SLOW && (size_t)(file - golden_kinds[kind].files) != kind % 2;
}

static void run_files(void (*run)(struct bench *b), bool every) {
    for (size_t k = 0; k < GOLDEN_KINDS; k++)
        for (const char *const *file = golden_kinds[k].files; *file; file++) {
            if (!every && passed_over(k, file)) continue;
            struct bench b;
            bool ok = open_bench(&b, golden_kinds[k].name, *file, 0);
            CHECK(ok);
            bool before = test_bad;
            if (ok) run(&b);
            if (test_bad && !before) printf("  in %s\n", *file);
            close_bench(&b);
        }
}

// What transformers says is asked of every file.
static void every_file(void (*run)(struct bench *b)) { run_files(run, true); }
static void of_each_kind(void (*run)(struct bench *b)) { run_files(run, false); }

static float *rows_of(const struct bench *b, size_t n) { return calloc(n * b->vocab, sizeof(float)); }

// Feeds ids in pieces of `piece` tokens (0: all at once) and returns the logits of all; NULL on failure.
static float *feed(struct bench *b, gyr_session *s, const struct ids *ids, size_t piece) {
    gyr_error e = {0};
    float *out = rows_of(b, ids->n);
    for (size_t i = 0; out && i < ids->n;) {
        size_t n = piece && piece < ids->n - i ? piece : ids->n - i;
        if (gyr_session_feed(s, ids->id + i, n, out + i * b->vocab, &e)) {
            printf("  %s: %s\n", b->file, e.message);
            free(out);
            return NULL;
        }
        i += n;
    }
    return out;
}

static bool same_rows(const struct bench *b, const float *x, const float *y, size_t rows) {
    return x && y && !memcmp(x, y, rows * b->vocab * sizeof *x);
}

static int32_t argmax(const float *row, size_t n) {
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (row[i] > row[best]) best = i;
    return (int32_t)best;
}

static void check_logits(struct bench *b) {
    const struct golden *g = &b->g;
    float *prompt = feed(b, b->session, &g->prompt, 0);
    REQUIRE(prompt);
    float far = farthest(prompt, g->logits, g->prompt.n * b->vocab);
    CHECK_INT(gyr_session_length(b->session), g->prompt.n);
    CHECK(!memcmp(gyr_session_logits(b->session), prompt + (g->prompt.n - 1) * b->vocab, b->vocab * sizeof(float)));

    gyr_session_truncate(b->session, 0);
    float *text = feed(b, b->session, &g->text, 0);
    float far_text = text ? 0 : NAN;
    for (size_t i = 0; text && i < g->rows.n; i++) {
        float d = farthest(text + (size_t)g->rows.id[i] * b->vocab, g->logits + (g->prompt.n + i) * b->vocab, b->vocab);
        far_text = fmaxf(far_text, d);
    }
    CHECK(far <= tolerance_of(b->model));
    CHECK(far_text <= tolerance_of(b->model));
    printf("  %-30s farthest from transformers: %.2g in the prompt, %.2g after 256 tokens\n", b->file, far, far_text);
    free(prompt);
    free(text);
}

static void logits_match(void) { every_file(check_logits); }

// Tokens after the prompt, each the likeliest; `cached` or with all tokens computed again for each.
static void check_greedy(struct bench *b, bool cached) {
    const struct ids *want = &b->g.greedy;
    struct ids ids = b->g.prompt;
    gyr_error e = {0};
    size_t wrong = 0;
    REQUIRE(!gyr_session_feed(b->session, ids.id, ids.n, NULL, &e));
    for (size_t i = 0; i < (cached ? want->n : test_times(want->n, 12)); i++) {
        int32_t next = argmax(gyr_session_logits(b->session), b->vocab);
        wrong += next != want->id[i];
        ids.id[ids.n++] = next;
        if (!cached) gyr_session_truncate(b->session, 0);
        size_t from = cached ? ids.n - 1 : 0;
        REQUIRE(!gyr_session_feed(b->session, ids.id + from, ids.n - from, NULL, &e));
    }
    CHECK_INT(want->n, 64);
    CHECK_INT(wrong, 0);
}

static void check_cached(struct bench *b) { check_greedy(b, true); }
static void check_uncached(struct bench *b) { check_greedy(b, false); }
static void greedy_with_cache(void) { every_file(check_cached); }
static void greedy_without_cache(void) { of_each_kind(check_uncached); }

static void check_generate(struct bench *b) {
    const struct golden *g = &b->g;
    gyr_error e = {0};
    gyr_generate_stats stats;
    gyr_generate_options o = {.sampling = &(gyr_sampling){.top_p = 1, .repetition_penalty = 1},
                              .max_tokens = g->greedy.n,
                              .ignore_end = true};
    REQUIRE(!gyr_generate(b->session, g->prompt.id, g->prompt.n, &o, &stats, &e));
    CHECK_INT(stats.prompt_tokens, g->prompt.n);
    CHECK_INT(stats.answer_tokens, g->greedy.n);
    CHECK_INT(stats.stop, GYR_STOP_LENGTH);
    REQUIRE(gyr_session_length(b->session) == g->prompt.n + g->greedy.n);
    const int32_t *all = gyr_session_tokens(b->session);
    CHECK(!memcmp(all, g->prompt.id, g->prompt.n * sizeof *all));
    CHECK(!memcmp(all + g->prompt.n, g->greedy.id, g->greedy.n * sizeof *all));
}

static void generate_greedy(void) { every_file(check_generate); }

static void check_pieces_of(struct bench *b, gyr_session *s, const struct ids *ids, const size_t *piece) {
    float *whole = feed(b, s, ids, 0);
    for (; *piece; piece++) {
        gyr_session_truncate(s, 0);
        float *parts = feed(b, s, ids, *piece);
        CHECK(same_rows(b, whole, parts, ids->n));
        free(parts);
    }
    gyr_session_truncate(s, 0);
    free(whole);
}

static void check_pieces(struct bench *b) {
    static const gyr_kv_type kvs[] = {GYR_KV_F32, GYR_KV_F16, GYR_KV_Q8};
    for (int k = 0; k < 3; k++) {
        gyr_session *s = new_session(b->model, kvs[k]);
        REQUIRE(s);
        check_pieces_of(b, s, &b->g.prompt, TEST_SLOW ? (const size_t[]){1, 5, 0} : (const size_t[]){1, 2, 3, 5, 7, 0});
        // Over the edges of pages.
        check_pieces_of(b, s, &b->g.text, TEST_SLOW ? (const size_t[]){31, 0} : (const size_t[]){31, 255, 0});
        gyr_session_free(s);
    }
}

static void pieces_do_not_matter(void) { of_each_kind(check_pieces); }

// A cache of less precision is another model, but a close one.
static void check_smaller(struct bench *b, gyr_kv_type type, float most) {
    gyr_session *s = new_session(b->model, type);
    REQUIRE(s);
    float *small = feed(b, s, &b->g.prompt, 0), *full = feed(b, b->session, &b->g.prompt, 0);
    REQUIRE(small && full);
    float far = farthest(small, full, b->g.prompt.n * b->vocab);
    CHECK(far > 0 && far < most + tolerance_of(b->model));
    free(small);
    free(full);
    gyr_session_free(s);
}

static void check_half(struct bench *b) { check_smaller(b, GYR_KV_F16, 0.05f); }
static void half_precision_cache(void) { of_each_kind(check_half); }

static void check_codes(struct bench *b) { check_smaller(b, GYR_KV_Q8, 0.2f); }
static void cache_of_8_bits(void) { of_each_kind(check_codes); }

// Two sequences of one model, fed in turns, each with a text of its own; the second starts when the first is under way.
static void check_turns(struct bench *b) {
    struct ids other = b->g.text;
    for (size_t i = 0; i < other.n; i++) other.id[i] = b->g.text.id[other.n - 1 - i];
    float *want_a = feed(b, b->session, &b->g.text, 0);
    gyr_session_truncate(b->session, 0);
    float *want_b = feed(b, b->session, &other, 0);
    float *got_a = rows_of(b, other.n), *got_b = rows_of(b, other.n);
    gyr_session_truncate(b->session, 0);
    gyr_session *second = NULL;
    for (size_t i = 0, n; i < other.n; i += n) {
        n = other.n - i < 1 + i % 50 ? other.n - i : 1 + i % 50;
        REQUIRE(!gyr_session_feed(b->session, b->g.text.id + i, n, got_a + i * b->vocab, NULL));
        if (!second) second = new_session(b->model, GYR_KV_F32);
        REQUIRE(second && !gyr_session_feed(second, other.id + i, n, got_b + i * b->vocab, NULL));
    }
    CHECK(same_rows(b, want_a, got_a, other.n));
    CHECK(same_rows(b, want_b, got_b, other.n));
    float *all[] = {want_a, want_b, got_a, got_b};
    for (int i = 0; i < 4; i++) free(all[i]);
    gyr_session_free(second);
}

static void sessions_do_not_matter(void) { of_each_kind(check_turns); }

// Dropping a tail and feeding it again, after another one was there, gives the same bytes.
static void check_truncate(struct bench *b) {
    static const size_t cuts[] = {1, 31, 32, 33, 300};
    float *want = feed(b, b->session, &b->g.text, 0), *row = rows_of(b, b->g.text.n);
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        size_t cut = cuts[i], rest = b->g.text.n - cut;
        gyr_session_truncate(b->session, cut);
        CHECK_INT(gyr_session_length(b->session), cut);
        REQUIRE(!gyr_session_feed(b->session, b->g.greedy.id, 40, NULL, NULL));
        gyr_session_truncate(b->session, cut);
        REQUIRE(!gyr_session_feed(b->session, b->g.text.id + cut, rest, row, NULL));
        CHECK(same_rows(b, want + cut * b->vocab, row, rest));
    }
    free(want);
    free(row);
}

static void truncation_leaves_no_trace(void) { of_each_kind(check_truncate); }

// Logits of the long text, from a model opened anew.
static float *logits_with(const char *kind, const char *file, unsigned threads, size_t *rows, size_t *vocab) {
    struct bench b;
    float *out = open_bench(&b, kind, file, threads) ? feed(&b, b.session, &b.g.text, 0) : NULL;
    *rows = b.g.text.n;
    *vocab = b.vocab;
    close_bench(&b);
    return out;
}

static void threads_do_not_matter(void) {
    for (size_t k = 0; k < GOLDEN_KINDS; k++)
        for (const char *const *file = golden_kinds[k].files; *file; file++) {
            if (passed_over(k, file)) continue;
            size_t rows, vocab;
            float *one = logits_with(golden_kinds[k].name, *file, 1, &rows, &vocab);
            for (unsigned threads = TEST_SLOW ? 3 : 2; threads <= 3; threads++) {
                float *many = logits_with(golden_kinds[k].name, *file, threads, &rows, &vocab);
                CHECK(one && many && !memcmp(one, many, rows * vocab * sizeof *one));
                free(many);
            }
            free(one);
        }
}

static void instruction_sets_do_not_matter(void) {
    const char *given = getenv("GYR_ISA");
    char *before = given ? strdup(given) : NULL;
    for (size_t k = 0; k < GOLDEN_KINDS; k++)
        for (const char *const *file = golden_kinds[k].files; *file; file++) {
            if (passed_over(k, file)) continue;
            size_t rows, vocab;
            CHECK(sets_here("scalar") && !setenv("GYR_ISA", "scalar", 1));
            float *want = logits_with(golden_kinds[k].name, *file, 0, &rows, &vocab);
            for (int i = 1; i < SETS; i++) {
                if (!sets_here(sets[i]) || (TEST_SLOW && (size_t)i % 2 != k % 2)) continue;
                setenv("GYR_ISA", sets[i], 1);
                float *got = logits_with(golden_kinds[k].name, *file, 0, &rows, &vocab);
                CHECK(want && got && !memcmp(want, got, rows * vocab * sizeof *want));
                free(got);
            }
            free(want);
        }
    if (before)
        setenv("GYR_ISA", before, 1);
    else
        unsetenv("GYR_ISA");
    free(before);
}

int main(void) {
    sets_report(sets_here);
    RUN(logits_match);
    RUN(greedy_with_cache);
    RUN(greedy_without_cache);
    RUN(generate_greedy);
    RUN(pieces_do_not_matter);
    RUN(half_precision_cache);
    RUN(cache_of_8_bits);
    RUN(sessions_do_not_matter);
    RUN(truncation_leaves_no_trace);
    RUN(threads_do_not_matter);
    RUN(instruction_sets_do_not_matter);
    return test_end();
}
