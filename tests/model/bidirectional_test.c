// Models whose tokens see those that come after them (Gemma 3 with use_bidirectional_attention). What transformers
// computes is a line of tests/data/config/keys.txt; here is that the scores after a token are those of the tokens that
// are there, however they came, and whoever else is in the batch.
#include "drawn.h"
#include "sets_here.h"

static char folder[] = "/tmp/gyr-both-XXXXXX";
static struct drawn d;
enum { TOKENS = 40, LONG = 300 };
static int32_t ids[LONG + 1];

static const char *file_of(const char *name) { return drawn_file(folder, name); }

static gyr_model *model(unsigned threads) {
    gyr_error e = {0};
    gyr_model *m = gyr_model_open(folder, &(gyr_model_options){.threads = threads}, &e);
    if (!m) printf("  %s\n", e.message);
    return m;
}

static gyr_session *session(gyr_model *m) {
    return gyr_session_new(m, &(gyr_session_options){.kv_type = GYR_KV_F32}, NULL);
}

// The scores after all tokens, fed at once to a session of their own.
static void alone(gyr_model *m, const int32_t *tokens, size_t n, float *out) {
    gyr_session *s = session(m);
    CHECK_INT(gyr_session_feed(s, tokens, n, NULL, NULL), GYR_OK);
    memcpy(out, gyr_session_logits(s), (size_t)d.vocab * sizeof *out);
    gyr_session_free(s);
}

static bool ends_like(gyr_session *s, const float *want) {
    return !memcmp(gyr_session_logits(s), want, (size_t)d.vocab * sizeof *want);
}

static void pieces_do_not_matter(void) {
    gyr_model *m = model(2);
    gyr_session *s = session(m);
    float *want = calloc((size_t)d.vocab, sizeof *want), *rows = calloc((size_t)(TOKENS * d.vocab), sizeof *rows);
    for (size_t n = 1; n <= TOKENS; n += 13) { // a token more each time, as in an answer; and pieces
        gyr_session_truncate(s, 0);
        for (size_t at = 0; at < TOKENS; at += n) {
            size_t end = at + n < TOKENS ? at + n : TOKENS;
            CHECK_INT(gyr_session_feed(s, ids + at, end - at, n == 14 ? rows : NULL, NULL), GYR_OK);
            alone(m, ids, end, want);
            CHECK(ends_like(s, want));
            if (n == 14) CHECK(!memcmp(rows + (end - at - 1) * (size_t)d.vocab, want, (size_t)d.vocab * sizeof *want));
        }
    }
    free(rows);
    free(want);
    gyr_session_free(s);
    gyr_model_close(m);
}

// What is taken back has not been seen.
static void truncation_and_forks(void) {
    gyr_model *m = model(1);
    gyr_session *s = session(m);
    float *want = calloc((size_t)d.vocab, sizeof *want), *other = calloc((size_t)d.vocab, sizeof *want);
    CHECK_INT(gyr_session_feed(s, ids, TOKENS, NULL, NULL), GYR_OK);
    gyr_session *fork = gyr_session_fork(s, NULL);
    gyr_session_truncate(s, 20);
    CHECK_INT(gyr_session_feed(s, ids + 1, 3, NULL, NULL), GYR_OK);
    int32_t mixed[23];
    memcpy(mixed, ids, 20 * sizeof *mixed);
    memcpy(mixed + 20, ids + 1, 3 * sizeof *mixed);
    alone(m, mixed, 23, want);
    CHECK(ends_like(s, want));
    alone(m, ids, TOKENS, other);
    CHECK(ends_like(fork, other));
    CHECK(memcmp(want, other, (size_t)d.vocab * sizeof *want));
    CHECK_INT(gyr_session_feed(fork, ids + TOKENS, 1, NULL, NULL), GYR_OK);
    alone(m, ids, TOKENS + 1, want);
    CHECK(ends_like(fork, want));
    free(want);
    free(other);
    gyr_session_free(fork);
    gyr_session_free(s);
    gyr_model_close(m);
}

// More rows than a pass takes, of texts that have to be whole in one.
static void neighbours_do_not_matter(void) {
    enum { SESSIONS = 8 };
    gyr_model *m = model(3);
    gyr_session *s[SESSIONS];
    gyr_input in[SESSIONS];
    float *want = calloc((size_t)d.vocab, sizeof *want);
    for (size_t i = 0; i < SESSIONS; i++) s[i] = session(m);
    for (size_t step = 0; step < 2; step++) {
        for (size_t i = 0; i < SESSIONS; i++)
            in[i] = (gyr_input){s[i], ids + (step ? 20 + i * 5 : 0), step ? 1 + i * 11 : 20 + i * 5, NULL};
        CHECK_INT(gyr_sessions_feed(in, SESSIONS, NULL), GYR_OK);
    }
    for (size_t i = 0; i < SESSIONS; i++) {
        alone(m, ids, 21 + i * 16, want);
        CHECK(ends_like(s[i], want));
        gyr_session_free(s[i]);
    }
    free(want);
    gyr_model_close(m);
}

static void sets_and_threads_do_not_matter(void) {
    float *want = calloc((size_t)d.vocab, sizeof *want), *got = calloc((size_t)d.vocab, sizeof *got);
    char *before = getenv("GYR_ISA") ? strdup(getenv("GYR_ISA")) : NULL;
    for (int i = 0; i < SETS; i++)
        for (unsigned threads = 1; threads < 4 && sets_here(sets[i]); threads += 2) {
            setenv("GYR_ISA", sets[i], 1);
            gyr_model *m = model(threads);
            alone(m, ids, LONG, i == 0 && threads == 1 ? want : got);
            if (i || threads > 1) CHECK(!memcmp(want, got, (size_t)d.vocab * sizeof *want));
            gyr_model_close(m);
        }
    unsetenv("GYR_ISA");
    if (before) setenv("GYR_ISA", before, 1);
    free(before);
    free(want);
    free(got);
}

// More than a batch has rows (256), scores of all of them, beside others and after them.
static void texts_may_be_longer_than_a_batch(void) {
    enum { PIECE = 270 };
    gyr_model *m = model(3);
    gyr_session *s = session(m), *other = session(m);
    size_t vocab = (size_t)d.vocab;
    float *all = calloc((size_t)LONG * vocab, sizeof *all), *want = calloc(vocab, sizeof *want);
    gyr_input in[] = {{other, ids + 1, 9, NULL}, {s, ids, PIECE, NULL}};
    CHECK_INT(gyr_sessions_feed(in, 2, NULL), GYR_OK);
    alone(m, ids, PIECE, want);
    CHECK(ends_like(s, want));
    alone(m, ids + 1, 9, want);
    CHECK(ends_like(other, want));
    CHECK_INT(gyr_session_feed(s, ids + PIECE, LONG - PIECE, all, NULL), GYR_OK);
    alone(m, ids, LONG, want);
    CHECK(ends_like(s, want));
    CHECK(!memcmp(all + (size_t)(LONG - PIECE - 1) * vocab, want, vocab * sizeof *want));
    gyr_session_truncate(s, 0);
    CHECK_INT(gyr_session_feed(s, ids, LONG, all, NULL), GYR_OK);
    CHECK(!memcmp(all + (size_t)(LONG - 1) * vocab, want, vocab * sizeof *want));
    free(all);
    free(want);
    gyr_session_free(other);
    gyr_session_free(s);
    gyr_model_close(m);
}

static char *replace(char *text, const char *from, const char *to) {
    char *at = strstr(text, from), *made = malloc(strlen(text) + strlen(to) + 1);
    CHECK(at);
    snprintf(made, strlen(text) + strlen(to) + 1, "%.*s%s%s", at ? (int)(at - text) : 0, text, to,
             at ? at + strlen(from) : text);
    free(text);
    return made;
}

static bool write_config(void) {
    char *made = replace(strdup(d.config), "\"max_position_embeddings\": 256", "\"max_position_embeddings\": 4096");
    made = replace(made, "\"use_bidirectional_attention\": false", "\"use_bidirectional_attention\": true");
    bool ok = drawn_write_text(file_of("config.json"), made);
    free(made);
    return ok;
}

// Longer than a batch has rows, in whatever pieces; beyond the context it is told.
static void what_is_too_long_is_told(void) {
    gyr_model *m = model(1);
    gyr_model_info info;
    gyr_error e = {0};
    char want[256];
    gyr_model_get_info(m, &info);
    CHECK_INT(info.context, 4096);
    CHECK(info.bidirectional);
    CHECK(!gyr_session_new(m, &(gyr_session_options){.context = 4097}, &e));
    snprintf(want, sizeof want, "%s: a context of 4097 tokens; the model was trained for 4096", folder);
    CHECK_STR(e.message, want);
    gyr_session *s = gyr_session_new(m, &(gyr_session_options){.context = 50}, &e);
    CHECK_INT(gyr_session_feed(s, ids, 30, NULL, &e), GYR_OK);
    CHECK_INT(gyr_session_feed(s, ids, 21, NULL, &e), GYR_TOO_LONG);
    CHECK_INT(gyr_session_length(s), 30);
    gyr_session_free(s);
    gyr_model_close(m);
}

static void gguf_cannot_express_it(void) {
    gyr_error e = {0};
    CHECK_INT(gyr_convert(&(gyr_convert_options){.input = folder, .output = file_of("model.gguf")}, &e),
              GYR_UNSUPPORTED);
    CHECK(strstr(e.message, "GGUF cannot express"));
}

int main(void) {
    if (!mkdtemp(folder) || !drawn_load(&d, "gemma3")) return 1;
    for (size_t i = 0; i <= LONG; i++) ids[i] = (int32_t)((i * i + 7 * i) % (size_t)(d.vocab - 3)) + 3;
    CHECK(drawn_write_safetensors(&d, file_of("model.safetensors")) && write_config());
    sets_report(sets_here);
    RUN(pieces_do_not_matter);
    RUN(truncation_and_forks);
    RUN(neighbours_do_not_matter);
    RUN(sets_and_threads_do_not_matter);
    RUN(texts_may_be_longer_than_a_batch);
    RUN(what_is_too_long_is_told);
    RUN(gguf_cannot_express_it);
    const char *files[] = {"config.json", "model.safetensors", "model.gguf"};
    for (int i = 0; i < 3; i++) unlink(file_of(files[i]));
    rmdir(folder);
    drawn_free(&d);
    return test_end();
}
