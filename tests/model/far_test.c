// What begins far into a text. Sessions beyond the trained context (LongRoPE): a session has the one set of factors or
// the other from its first token on, by what it was asked to hold, whatever is in it and whoever else is in the batch.
#include "drawn.h"

static char folder[] = "/tmp/gyr-far-XXXXXX";
static struct drawn d;

enum { TRAINED = 10, TOKENS = 9 };

static const char *file_of(const char *name) { return drawn_file(folder, name); }

static gyr_model *model(void) {
    gyr_error e = {0};
    gyr_model *m = gyr_model_open(folder, &(gyr_model_options){.threads = 2}, &e);
    if (!m) printf("  %s\n", e.message);
    return m;
}

static gyr_session *session(gyr_model *m, uint32_t context) {
    return gyr_session_new(m, &(gyr_session_options){.context = context}, NULL);
}

// The logits of some tokens, alone in a model; free().
static float *alone(uint32_t context) {
    gyr_model *m = model();
    gyr_session *s = session(m, context);
    float *out = calloc((size_t)(TOKENS * d.vocab), sizeof *out);
    CHECK_INT(gyr_session_feed(s, d.text, TOKENS, out, NULL), GYR_OK);
    gyr_session_free(s);
    gyr_model_close(m);
    return out;
}

static void the_trained_context_is_the_default(void) {
    gyr_model *m = model();
    gyr_model_info info;
    gyr_model_get_info(m, &info);
    CHECK_INT(info.context, TRAINED);
    CHECK_INT(info.far_context, 256);
    gyr_session *s = gyr_session_new(m, NULL, NULL);
    CHECK_INT(gyr_session_context(s), TRAINED);
    gyr_session_free(s);
    gyr_model_close(m);
}

static void what_is_too_far_is_told(void) {
    gyr_model *m = model();
    gyr_error e = {0};
    char want[256];
    CHECK(!gyr_session_new(m, &(gyr_session_options){.context = 257}, &e));
    snprintf(want, sizeof want, "%s: a context of 257 tokens; the model was trained for 256", folder);
    CHECK_STR(e.message, want);
    gyr_model_close(m);
}

static void the_context_chooses_the_factors(void) {
    size_t bytes = (size_t)(TOKENS * d.vocab) * sizeof(float);
    float *none = alone(0), *near = alone(TRAINED), *far = alone(TRAINED + 1), *farther = alone(256);
    CHECK(!memcmp(none, near, bytes));
    CHECK(!memcmp(far, farther, bytes));
    CHECK(memcmp(near, far, bytes));
    free(none);
    free(near);
    free(far);
    free(farther);
}

// Near and far in one batch, and forks of either.
static void neighbours_do_not_matter(void) {
    size_t row = (size_t)d.vocab, bytes = TOKENS * row * sizeof(float);
    float *want[] = {alone(TRAINED), alone(100)}, *got[4];
    gyr_model *m = model();
    gyr_session *s[4] = {session(m, TRAINED), session(m, 100)};
    gyr_input first[2], rest[4];
    for (int i = 0; i < 4; i++) got[i] = calloc(TOKENS * row, sizeof **got);
    for (int i = 0; i < 2; i++) first[i] = (gyr_input){s[i], d.text, 4, got[i]};
    CHECK_INT(gyr_sessions_feed(first, 2, NULL), GYR_OK);
    for (int i = 0; i < 2; i++) s[2 + i] = gyr_session_fork(s[i], NULL);
    for (int i = 0; i < 4; i++) rest[i] = (gyr_input){s[i], d.text + 4, TOKENS - 4, got[i] + 4 * row};
    CHECK_INT(gyr_sessions_feed(rest, 4, NULL), GYR_OK);
    for (int i = 0; i < 2; i++) {
        CHECK(!memcmp(got[i], want[i], bytes));
        CHECK(!memcmp(got[2 + i] + 4 * row, want[i] + 4 * row, bytes - 4 * row * sizeof(float)));
    }
    for (int i = 0; i < 4; i++) {
        free(got[i]);
        gyr_session_free(s[i]);
    }
    gyr_model_close(m);
    free(want[0]);
    free(want[1]);
}

// Attention in chunks reads a chunk's pages as if the sequence began with them.
static void chunks_begin_with_a_page(void) {
    static const char size[] = "\"attention_chunk_size\": 32";
    struct drawn c;
    gyr_error e = {0};
    char want[256];
    REQUIRE(drawn_load(&c, "llama4-chunks"));
    char *at = strstr(c.config, size);
    REQUIRE(at);
    at[sizeof size - 2] = '3';
    CHECK(drawn_write_text(file_of("config.json"), c.config) &&
          drawn_write_safetensors(&c, file_of("model.safetensors")));
    CHECK(!gyr_model_open(folder, NULL, &e));
    snprintf(want, sizeof want, "%s: attention in chunks of 33 positions; gyr takes multiples of 32", folder);
    CHECK_INT(e.status, GYR_UNSUPPORTED);
    CHECK_STR(e.message, want);
    drawn_free(&c);
}

int main(void) {
    if (!mkdtemp(folder) || !drawn_load(&d, "phi3-longrope-far")) return 1;
    bool ok =
        drawn_write_text(file_of("config.json"), d.config) && drawn_write_safetensors(&d, file_of("model.safetensors"));
    if (!ok) return 1;
    RUN(the_trained_context_is_the_default);
    RUN(what_is_too_far_is_told);
    RUN(the_context_chooses_the_factors);
    RUN(neighbours_do_not_matter);
    RUN(chunks_begin_with_a_page);
    drawn_free(&d);
    unlink(file_of("config.json"));
    unlink(file_of("model.safetensors"));
    rmdir(folder);
    return test_end();
}
