// Parts of sessions in files: what was saved and loaded again goes on with the same bytes; what does not fit, or is
// damaged anywhere, is refused, and the session is as it was.
#include "engine/poet.h"
#include "engine/random.h"
#include "engine/saved.h"
#include "model/drawn.h"

#include <sys/stat.h>
#include <unistd.h>

enum { LENGTH = 70, MORE = 9, CONTEXT = 128 };

static gyr_model *model;
static uint32_t vocab;
static int32_t ids[LENGTH + MORE];
static gyr_error err;
static char folder[] = "/tmp/gyr-saved-XXXXXX", file[3][64], model_file[1024];

static gyr_session *session(gyr_kv_type type) {
    return gyr_session_new(model, &(gyr_session_options){.context = CONTEXT, .kv_type = type}, &err);
}

static void feed(gyr_session *s, size_t to) {
    size_t n = gyr_session_length(s);
    CHECK_INT(gyr_session_feed(s, ids + n, to - n, NULL, &err), GYR_OK);
}

static bool same(const gyr_session *a, const gyr_session *b) {
    const float *x = gyr_session_logits(a), *y = gyr_session_logits(b);
    size_t n = gyr_session_length(a);
    return n == gyr_session_length(b) && !memcmp(gyr_session_tokens(a), gyr_session_tokens(b), n * sizeof *ids) && x &&
           y && !memcmp(x, y, vocab * sizeof *x);
}

// Three parts, cut anywhere, of a session that another has tokens in common with.
static void parts(gyr_kv_type type, size_t a, size_t b) {
    gyr_session *s = session(type), *t = session(type);
    const size_t cut[] = {0, a, b, LENGTH};
    feed(s, LENGTH);
    for (int i = 0; i < 3; i++) CHECK_INT(gyr_session_save(s, cut[i], cut[i + 1], file[i], &err), GYR_OK);
    CHECK_INT(gyr_session_load(t, file[0], &err), GYR_OK);
    CHECK(!gyr_session_logits(t));
    gyr_session *fork = gyr_session_fork(t, &err), *fed = gyr_session_fork(t, &err);
    for (int i = 1; i < 3; i++) CHECK_INT(gyr_session_load(t, file[i], &err), GYR_OK);
    CHECK(same(s, t));
    feed(s, LENGTH + MORE);
    feed(t, LENGTH + MORE);
    CHECK(same(s, t));
    // A page in common with others is theirs, too: what was loaded behind it changed nothing for them.
    CHECK_INT(gyr_session_load(fork, file[1], &err), GYR_OK);
    feed(fork, LENGTH + MORE);
    CHECK(same(s, fork));
    feed(fed, LENGTH + MORE);
    CHECK(same(s, fed));
    gyr_session *all[] = {s, t, fork, fed};
    for (int i = 0; i < 4; i++) gyr_session_free(all[i]);
}

static void parts_go_on_as_if_fed(void) {
    static const gyr_kv_type types[] = {GYR_KV_DEFAULT, GYR_KV_F32, GYR_KV_F16, GYR_KV_Q8};
    for (uint64_t i = 0; i < 8; i++) {
        size_t a = 1 + (size_t)(random_at(i, 0) * (LENGTH - 2)),
               b = a + 1 + (size_t)(random_at(i, 1) * (double)(LENGTH - 1 - a));
        if (i == 0) a = 32, b = 64;
        parts(types[i % 4], a, b);
    }
}

// The file has nothing of what was in the memory before: neither of tokens that were dropped, nor of other sessions.
static void the_same_file_whatever_was_there(void) {
    struct stat st;
    char *was = NULL;
    size_t size = 0;
    for (int i = 0; i < 2; i++) {
        gyr_session *s = session(GYR_KV_DEFAULT);
        feed(s, i ? LENGTH + MORE : 41);
        if (i) gyr_session_truncate(s, 41);
        if (i) CHECK_INT(gyr_session_feed(s, ids, 5, NULL, &err), GYR_OK);
        CHECK_INT(gyr_session_save(s, 3, 37, file[i], &err), GYR_OK);
        CHECK(!stat(file[i], &st) && (st.st_mode & 0777) == 0600);
        gyr_session_free(s);
        size_t n;
        char *now = NULL;
        FILE *f = fopen(file[i], "rb");
        REQUIRE(f && (now = malloc((size_t)st.st_size)));
        n = fread(now, 1, (size_t)st.st_size, f);
        fclose(f);
        if (i) CHECK(n == size && !memcmp(was, now, n));
        free(was);
        was = now;
        size = n;
    }
    free(was);
}

static void refused(gyr_session *s, const char *path, gyr_status status, const char *why) {
    size_t length = gyr_session_length(s);
    char want[512];
    snprintf(want, sizeof want, "%s: %s", path, why);
    CHECK_INT(gyr_session_load(s, path, &err), status);
    CHECK_STR(err.message, want);
    CHECK_INT(gyr_session_length(s), length);
}

// Writes the file again with some bytes of its head changed; `mend`: the head's own check is made right.
static void with_head(const char *from, const char *to, size_t at, uint64_t value, size_t size, bool mend) {
    struct saved h;
    static char rest[1 << 22];
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    REQUIRE(in && out && fread(&h, sizeof h, 1, in) == 1);
    memcpy((char *)&h + at, &value, size);
    if (mend) h.check = saved_check(&h);
    size_t n = fread(rest, 1, sizeof rest, in);
    CHECK(n && n < sizeof rest && fwrite(&h, sizeof h, 1, out) == 1 && fwrite(rest, 1, n, out) == n);
    fclose(in);
    fclose(out);
}

static void what_does_not_fit_is_refused(void) {
    gyr_session *s = session(GYR_KV_F16), *t = session(GYR_KV_F16), *q = session(GYR_KV_Q8), *odd = session(GYR_KV_F16),
                *small = gyr_session_new(model, &(gyr_session_options){.context = 50, .kv_type = GYR_KV_F16}, &err);
    const char *damaged = "is damaged; remove it, and feed the tokens instead";
    char why[300], nowhere[80];
    snprintf(nowhere, sizeof nowhere, "%s/nowhere/part", folder);
    feed(s, LENGTH);
    CHECK_INT(gyr_session_save(s, 40, 40, file[0], &err), GYR_USAGE);
    CHECK(strstr(err.message, ": tokens 40 to 40 cannot be saved: the session has 70"));
    CHECK_INT(gyr_session_save(s, 40, LENGTH + 1, file[0], &err), GYR_USAGE);
    CHECK_INT(gyr_session_save(s, 40, 50, nowhere, &err), GYR_IO);
    CHECK_INT(gyr_session_save(s, 40, 60, file[0], &err), GYR_OK);
    refused(t, file[0], GYR_USAGE, "begins at position 40, and the session has 0 tokens");
    feed(odd, 39);
    CHECK_INT(gyr_session_feed(odd, ids, 1, NULL, &err), GYR_OK);
    refused(odd, file[0], GYR_USAGE, "follows other tokens than the session's");
    feed(small, 40);
    refused(small, file[0], GYR_TOO_LONG, "ends at position 60, beyond the context of 50");
    feed(q, 40);
    refused(q, file[0], GYR_UNSUPPORTED, "of another element type than the session's cache, q8_0");
    feed(t, 40);
    refused(t, nowhere, GYR_IO, "No such file or directory");
    refused(t, folder, GYR_IO, "is not a regular file");
    refused(t, model_file, GYR_MALFORMED, "is not a saved session");
    static const struct {
        size_t at, size;
        uint64_t value;
        bool mend;
        gyr_status status;
        const char *why;
    } heads[] = {
        {offsetof(struct saved, version), 4, 2, true, GYR_UNSUPPORTED,
         "saved in version 2 of the format; this is version 1"},
        {offsetof(struct saved, edition), 4, 77, true, GYR_UNSUPPORTED, NULL},
        {offsetof(struct saved, far), 4, 1, true, GYR_UNSUPPORTED, "of a session beyond the trained context"},
        {offsetof(struct saved, model), 8, 1, false, GYR_MALFORMED, ""},
        {offsetof(struct saved, to), 8, 61, true, GYR_MALFORMED, ""},
        {offsetof(struct saved, to), 8, 40, true, GYR_MALFORMED, ""},
        {offsetof(struct saved, to), 8, UINT64_MAX, true, GYR_MALFORMED, ""},
        {offsetof(struct saved, from), 8, 39, true, GYR_MALFORMED, ""},
        {offsetof(struct saved, page), 8, UINT64_MAX / 2, true, GYR_MALFORMED, ""},
        {offsetof(struct saved, logits), 8, 1, true, GYR_MALFORMED, ""},
        {offsetof(struct saved, state), 8, UINT64_MAX, true, GYR_MALFORMED, ""},
        {offsetof(struct saved, size), 8, 0, true, GYR_MALFORMED, ""},
        {offsetof(struct saved, type), 4, TYPE_F32, true, GYR_UNSUPPORTED,
         "of another element type than the session's cache, f16"},
    };
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        with_head(file[0], file[1], heads[i].at, heads[i].value, heads[i].size, heads[i].mend);
        snprintf(why, sizeof why, "of edition 77 of the arithmetic; this is edition %u", gyr_edition());
        refused(t, file[1], heads[i].status, !heads[i].why ? why : *heads[i].why ? heads[i].why : damaged);
    }
    with_head(file[0], file[1], offsetof(struct saved, model), 1, 8, true);
    CHECK_INT(gyr_session_load(t, file[1], &err), GYR_UNSUPPORTED);
    CHECK(strstr(err.message, ": of another model than "));
    CHECK_INT(gyr_session_load(t, file[0], &err), GYR_OK);
    gyr_session *all[] = {s, t, q, odd, small};
    for (int i = 0; i < 5; i++) gyr_session_free(all[i]);
}

// One bit anywhere, or an end anywhere: never taken, and the session goes on as if nobody had tried.
static void damage_is_noticed_wherever_it_is(void) {
    static char data[1 << 22];
    gyr_session *s = session(GYR_KV_DEFAULT), *t = session(GYR_KV_DEFAULT);
    feed(s, LENGTH);
    feed(t, 20);
    CHECK_INT(gyr_session_save(s, 20, LENGTH, file[0], &err), GYR_OK);
    FILE *f = fopen(file[0], "rb");
    size_t size = f ? fread(data, 1, sizeof data, f) : 0;
    REQUIRE(size > sizeof(struct saved) && size < sizeof data && !fclose(f));
    for (uint64_t i = 0; i < 400; i++) {
        // Every place of the head and of the end, and some between.
        size_t at = i < 140   ? (size_t)i
                    : i < 160 ? size - 1 - (size_t)(i - 140)
                              : (size_t)(random_at(i, 5) * (double)size);
        bool cut = i >= 300;
        f = fopen(file[1], "wb");
        data[at] = (char)(data[at] ^ 1 << i % 8);
        REQUIRE(f && fwrite(data, 1, cut ? at : size, f) == (cut ? at : size) && !fclose(f));
        data[at] = (char)(data[at] ^ 1 << i % 8);
        gyr_status status = gyr_session_load(t, file[1], &err);
        CHECK(status == GYR_MALFORMED || (at >= 8 && at < 12 && status == GYR_UNSUPPORTED)); // the version
        CHECK_INT(gyr_session_length(t), 20);
    }
    feed(t, LENGTH);
    CHECK(same(s, t));
    gyr_session_free(s);
    gyr_session_free(t);
}

// Three pages in all, two of them another's.
static void there_may_be_no_memory(void) {
    gyr_model_info info;
    gyr_model_get_info(model, &info);
    gyr_session *s = session(GYR_KV_DEFAULT);
    feed(s, LENGTH);
    CHECK_INT(gyr_session_save(s, 0, LENGTH, file[0], &err), GYR_OK);
    gyr_session_free(s);
    gyr_model_close(model);
    model = gyr_model_open(model_file, &(gyr_model_options){.kv_bytes = 3 * 32 * info.kv_bytes_per_token + 100}, &err);
    REQUIRE(model);
    gyr_session *t = gyr_session_new(model, NULL, &err), *other = gyr_session_new(model, NULL, &err);
    feed(other, 40);
    bool full = info.kv_bytes_per_token;
    CHECK_INT(gyr_session_load(t, file[0], &err), full ? GYR_NO_MEMORY : GYR_OK);
    CHECK_INT(gyr_session_length(t), full ? 0 : LENGTH);
    gyr_session_free(other);
    if (full) CHECK_INT(gyr_session_load(t, file[0], &err), GYR_OK);
    gyr_session_free(t);
}

static void tries(void) {
    RUN(parts_go_on_as_if_fed);
    RUN(the_same_file_whatever_was_there);
    RUN(damage_is_noticed_wherever_it_is);
    RUN(there_may_be_no_memory);
}

static bool open_model(const char *path) {
    gyr_model_info info;
    snprintf(model_file, sizeof model_file, "%s", path);
    model = gyr_model_open(path, &(gyr_model_options){.threads = 2}, &err);
    if (!model) return false;
    gyr_model_get_info(model, &info);
    vocab = info.vocab;
    return true;
}

static void nothing_else_was_left_there(void) { CHECK(!rmdir(folder)); }

// Windows; heads of their own; an indexer; states, alone and beside attention.
static const char *const names[] = {"gemma2", "gemma4", "deepseek-v3.2", "falcon-mamba", "falcon-h1"};

int main(void) {
    if (!mkdtemp(folder)) return 1;
    char drawn_model[64];
    for (int i = 0; i < 3; i++) snprintf(file[i], sizeof file[i], "%s/part%d", folder, i);
    snprintf(drawn_model, sizeof drawn_model, "%s/model.gguf", folder);
    if (!open_model(poet_path())) return 1;
    for (int i = 0; i < LENGTH + MORE; i++) ids[i] = (int32_t)((uint32_t)(i * 7919 + 100) % vocab);
    RUN(what_does_not_fit_is_refused);
    tries();
    gyr_model_close(model);
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        static struct drawn d;
        if (!drawn_load(&d, names[k]) || !drawn_write_gguf(&d, drawn_model, &err) || !open_model(drawn_model)) return 1;
        printf("  %s\n", names[k]);
        for (int i = 0; i < LENGTH + MORE; i++) ids[i] = d.text[i % d.text_n];
        tries();
        gyr_model_close(model);
        drawn_free(&d);
    }
    for (int i = 0; i < 3; i++) unlink(file[i]);
    unlink(drawn_model);
    RUN(nothing_else_was_left_there);
    return test_end();
}
