// The first law, end to end: a model, a prompt and a seed give the same bytes, whatever the instruction set, the
// threads, the other sequences in the batch, the pieces that a prompt comes in, and what of it the cache has already.
// The scalar kernels on one thread, a sequence alone and in one piece, say what is right.
#include "gyr.h"
#include "model/drawn.h"
#include "poet.h"
#include "sets_here.h"
#include "small_falcon.h"

#include "tensor/type.h"

static const unsigned threads[] = {1, 2, 3, 8};
static const gyr_kv_type kv_types[] = {GYR_KV_F32, GYR_KV_F16, GYR_KV_Q8};
enum { KV_TYPES = sizeof kv_types / sizeof *kv_types };

static const char *here[SETS]; // the sets of this machine
static size_t n_here;

static gyr_error err;
static uint32_t state = 1;

// In [0, n).
static size_t chance(size_t n) {
    state = state * 1664525 + 1013904223;
    return (state >> 8) % n;
}

// NULL if this chip has no such instruction set.
static gyr_model *open_as(const char *path, const char *isa, unsigned n_threads) {
    setenv("GYR_ISA", isa, 1);
    gyr_model *m = gyr_model_open(path, &(gyr_model_options){.threads = n_threads}, &err);
    unsetenv("GYR_ISA");
    bool fine = m || !sets_here(isa);
    if (!fine) printf("%s\n", err.message);
    CHECK(fine);
    return m;
}

// ------------------------------------------------------------------------------- sequences that come and go

enum { STREAMS = 2, LENGTH = 70, SEATS = 32 };

// Of a stream; where that is slow, of two pages.
static size_t length_of(void) { return test_times(LENGTH, 40); }

// The scores after every token of each stream.
struct reference {
    size_t vocab;
    int32_t ids[STREAMS][LENGTH];
    float *rows[STREAMS];
};

static struct reference reference_of(const char *path, gyr_kv_type kv) {
    struct reference r = {0};
    gyr_model_info info;
    gyr_model *m = open_as(path, "scalar", 1);
    gyr_model_get_info(m, &info);
    r.vocab = info.vocab;
    for (int i = 0; i < STREAMS; i++) {
        gyr_session *s = gyr_session_new(m, &(gyr_session_options){LENGTH, kv}, &err);
        for (int k = 0; k < LENGTH; k++) r.ids[i][k] = (int32_t)chance(r.vocab);
        r.rows[i] = malloc(LENGTH * r.vocab * sizeof(float));
        CHECK_INT(gyr_session_feed(s, r.ids[i], length_of(), r.rows[i], &err), GYR_OK);
        gyr_session_free(s);
    }
    gyr_model_close(m);
    return r;
}

static void reference_free(struct reference *r) {
    for (int i = 0; i < STREAMS; i++) free(r->rows[i]);
}

static struct { size_t forks, leavers, pieces, crowds, rows; } seen;

struct seat {
    gyr_session *s;
    int stream;
};

struct room {
    gyr_model *m;
    const struct reference *r;
    gyr_kv_type kv;
    struct seat seats[SEATS];
    size_t n;
};

static void leave(struct room *room, size_t i) {
    gyr_session_free(room->seats[i].s);
    room->seats[i] = room->seats[--room->n];
    seen.leavers++;
}

// A new sequence: empty, or one that has the beginning of another in the cache.
static void come(struct room *room) {
    struct seat *seat = &room->seats[room->n], *other = room->n ? &room->seats[chance(room->n)] : NULL;
    if (other && gyr_session_length(other->s) && chance(3)) {
        *seat = (struct seat){gyr_session_fork(other->s, &err), other->stream};
        gyr_session_truncate(seat->s, 1 + chance(gyr_session_length(seat->s)));
        seen.forks++;
    } else {
        *seat = (struct seat){gyr_session_new(room->m, &(gyr_session_options){LENGTH, room->kv}, &err),
                              (int)chance(STREAMS)};
    }
    CHECK(seat->s);
    room->n++;
}

// Every sequence gets a token or a piece, some all scores and some the last; all are compared.
static bool feed(struct room *room) {
    const struct reference *r = room->r;
    gyr_input in[SEATS] = {0};
    size_t n = room->n, from[SEATS];
    for (size_t i = 0; i < n; i++) {
        struct seat *seat = &room->seats[i];
        from[i] = gyr_session_length(seat->s);
        size_t left = length_of() - from[i], count = chance(3) ? 1 : 1 + chance(n > 8 ? 8 : 40);
        if (count > left) count = left;
        in[i] = (gyr_input){seat->s, r->ids[seat->stream] + from[i], count, NULL};
        if (chance(2)) in[i].logits = malloc((count + !count) * r->vocab * sizeof(float));
        seen.pieces += count > 1;
        seen.rows += count;
    }
    seen.crowds += n > 1;
    bool same = gyr_sessions_feed(in, n, &err) == GYR_OK;
    for (size_t i = 0; i < n; i++) {
        const float *want = r->rows[room->seats[i].stream] + from[i] * r->vocab,
                    *last = gyr_session_logits(in[i].session);
        size_t row = r->vocab * sizeof(float), count = in[i].count;
        if (in[i].logits) same &= !memcmp(in[i].logits, want, count * row);
        if (count) same &= !memcmp(last, want + (count - 1) * r->vocab, row);
        free(in[i].logits);
    }
    return same;
}

// Sequences come and go until `rows` tokens were computed, up to `most` at a time.
static bool play(gyr_model *m, const struct reference *r, gyr_kv_type kv, size_t most, size_t rows) {
    static struct room room;
    room = (struct room){.m = m, .r = r, .kv = kv};
    bool same = true;
    for (size_t start = seen.rows; same && seen.rows - start < rows;) {
        while (room.n < most && (room.n < most / 2 || chance(3))) come(&room);
        same = feed(&room);
        for (size_t i = room.n; i--;)
            if (gyr_session_length(room.seats[i].s) == length_of() || !chance(8)) leave(&room, i);
    }
    while (room.n) leave(&room, room.n - 1);
    return same;
}

static char folder[] = "/tmp/gyr-same-bytes-XXXXXX", base[2][64], file[64];

// One model: every instruction set, each with another number of threads and of sequences.
static void check_model(const char *what, const char *path, size_t turn) {
    static const size_t crowds[] = {2, 5, 12, 32};
    gyr_kv_type kv = kv_types[turn % KV_TYPES];
    struct reference r = reference_of(path, kv);
    for (size_t i = 0; i < SETS; i++) {
        unsigned n_threads = threads[(turn + i) % 4];
        size_t crowd = crowds[(turn / 4 + i) % 4];
        gyr_model *m = open_as(path, sets[i], n_threads);
        if (!m) continue;
        bool same = play(m, &r, kv, crowd, i ? test_times(150, 40) : test_times(60, 30));
        if (!same) printf("%s, %s, %u threads, %zu sequences, KV type %d\n", what, sets[i], n_threads, crowd, (int)kv);
        CHECK(same);
        gyr_model_close(m);
    }
    reference_free(&r);
}

// Where all types are slow: one of each way to compute, besides those of the next case.
static bool passed_over(const char *type) {
    static const char *const few[] = {"bf16", "q4_0", "q6_k"};
    bool over = TEST_SLOW;
    for (size_t i = 0; i < sizeof few / sizeof *few; i++) over &= strcmp(type, few[i]) != 0;
    return over;
}

static void every_type_of_weights(void) {
    size_t turn = 0;
    for (uint32_t t = 0; t < TYPE_LIMIT; t++) {
        const struct type_info *info = type_info(t);
        if (!info || !info->encode || passed_over(info->name)) continue;
        gyr_quantize_options o = {base[turn % 2], file, info->name, .pure = true, .threads = 2};
        REQUIRE(gyr_quantize(&o, &err) == GYR_OK);
        check_model(info->name, file, turn++);
    }
    CHECK(turn >= test_times(16, 3));
    printf("  %zu types; %zu tokens, %zu pieces, %zu batches of several, %zu forks, %zu left\n", turn, seen.rows,
           seen.pieces, seen.crowds, seen.forks, seen.leavers);
    size_t some = test_times(100, 0);
    CHECK(seen.forks > some && seen.leavers > some && seen.pieces > some && seen.crowds > some);
}

// One type of each way to compute, on all threads and caches.
static void every_number_of_threads_and_cache(void) {
    static const char *const types[] = {"f32", "q4_k"};
    for (size_t i = 0; i < 2; i++)
        for (size_t k = test_times(0, i + 1); k < test_times(KV_TYPES, i + 2); k++) {
            gyr_quantize_options o = {base[i], file, types[i], .pure = true};
            REQUIRE(gyr_quantize(&o, &err) == GYR_OK);
            struct reference r = reference_of(file, kv_types[k]);
            for (size_t j = 0; j < 4; j++) {
                gyr_model *m = open_as(file, here[(i + j) % n_here], threads[j]);
                REQUIRE(m);
                CHECK(play(m, &r, kv_types[k], 2 + chance(SEATS - 1), test_times(150, 25)));
                gyr_model_close(m);
            }
            reference_free(&r);
        }
}

// Attention to chosen positions, and states, of random small models.
static void other_mechanisms(void) {
    static const char *const names[] = {"deepseek-v3.2", "glm5.2", "kimi-linear"};
    static struct drawn d;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        REQUIRE(drawn_load(&d, names[i]) && drawn_write_gguf(&d, file, &err));
        for (size_t k = 0; k < test_times(KV_TYPES, 1); k++) check_model(names[i], file, 4 * i + k);
        drawn_free(&d);
    }
}

// ------------------------------------------------------------------------------------------- answers of the poet

enum { ANSWERS = 3 };
static const char *const subjects[ANSWERS] = {"San Francisco", "the sea in winter, and an old ship", "rain"};

static size_t answer_tokens(void) { return test_times(16, 6); }

struct poem {
    int32_t ids[256];
    size_t n;
    float logits[4096];
};

static gyr_tokens prompt_of(const gyr_model *m, int i) {
    char messages[256];
    gyr_tokens t = {0};
    snprintf(messages, sizeof messages, "[{\"role\":\"user\",\"content\":\"Write a poem about %s\"}]", subjects[i]);
    CHECK_INT(gyr_chat_tokens(m, messages, true, &t, &err), GYR_OK);
    return t;
}

static gyr_sampling sampling_of(const gyr_model *m, int i) {
    gyr_sampling s;
    gyr_sampling_defaults(m, &s);
    s.seed = (uint64_t)i * 77;
    s.presence_penalty = i == 1 ? 0.5f : 0;
    return s;
}

static void keep(struct poem *p, gyr_session *s, size_t vocab) {
    p->n = gyr_session_length(s);
    if (p->n > 256 || vocab > 4096) return;
    memcpy(p->ids, gyr_session_tokens(s), p->n * sizeof *p->ids);
    memcpy(p->logits, gyr_session_logits(s), vocab * sizeof(float));
}

// The answers in one crowd: `extra` sequences more that begin like them, some of which leave early.
static void recite(gyr_model *m, size_t extra, struct poem *out) {
    gyr_model_info info;
    gyr_model_get_info(m, &info);
    gyr_tokens prompts[ANSWERS];
    gyr_sampling how[SEATS];
    gyr_session *s[SEATS];
    gyr_answer *a[SEATS];
    size_t n = 0, all = ANSWERS + extra;
    for (int i = 0; i < ANSWERS; i++) prompts[i] = prompt_of(m, i);
    for (bool on = true; on;) {
        if (n < all) {
            gyr_tokens p = prompts[n % ANSWERS];
            // A third of the sequences that are only there to be in the way have a prefix from the cache.
            bool fork = n >= ANSWERS && n % 3 == 0 && !gyr_answer_done(a[n % ANSWERS]);
            how[n] = sampling_of(m, (int)n);
            s[n] = fork ? gyr_session_fork(s[n % ANSWERS], &err) : gyr_session_new(m, NULL, &err);
            gyr_generate_options o = {.sampling = &how[n], .max_tokens = n < ANSWERS ? answer_tokens() : 1 + n % 5};
            a[n] = gyr_answer_new(s[n], fork ? p.ids + 1 : p.ids, fork ? 1 : p.count, &o, &err);
            CHECK(a[n]);
            n++;
        }
        CHECK_INT(gyr_answers_step(a, n, 0, &err), GYR_OK);
        on = n < all;
        for (size_t i = 0; i < n; i++) on |= !gyr_answer_done(a[i]);
    }
    for (size_t i = 0; i < n; i++) {
        if (i < ANSWERS) keep(&out[i], s[i], info.vocab);
        gyr_answer_free(a[i]);
        gyr_session_free(s[i]);
    }
    for (int i = 0; i < ANSWERS; i++) gyr_free(prompts[i].ids);
}

static void the_poets_answers(void) {
    static const size_t others[] = {0, SEATS - ANSWERS, 4, 11};
    static struct poem want[ANSWERS], got[ANSWERS];
    const char *path = poet_path();
    gyr_model *m = open_as(path, "scalar", 1);
    REQUIRE(m);
    for (int i = 0; i < ANSWERS; i++) {
        gyr_sampling how = sampling_of(m, i);
        gyr_tokens prompt = prompt_of(m, i);
        gyr_session *s = gyr_session_new(m, NULL, &err);
        gyr_generate_options o = {.sampling = &how, .max_tokens = answer_tokens()};
        CHECK_INT(gyr_generate(s, prompt.ids, prompt.count, &o, NULL, &err), GYR_OK);
        keep(&want[i], s, 4096);
        CHECK(want[i].n > prompt.count);
        gyr_session_free(s);
        gyr_free(prompt.ids);
    }
    gyr_model_close(m);
    for (size_t i = 0; i < SETS; i++)
        for (size_t j = i ? 0 : 2; j < (i ? 4 : 3); j++) {
            if (TEST_SLOW && j != (i ? i / 2 : 2)) continue; // on each set another number of threads and of others
            size_t extra = others[(i + j) % 4];
            m = open_as(path, sets[i], threads[j]);
            if (!m) continue;
            recite(m, extra, got);
            gyr_model_close(m);
            bool same = true;
            for (int k = 0; k < ANSWERS; k++)
                same &= got[k].n == want[k].n && !memcmp(got[k].ids, want[k].ids, want[k].n * sizeof(int32_t)) &&
                        !memcmp(got[k].logits, want[k].logits, sizeof got[k].logits);
            if (!same) printf("%s, %u threads, among %zu others\n", sets[i], threads[j], extra);
            CHECK(same);
        }
}

int main(void) {
    sets_report(sets_here);
    for (int i = SETS - 1; i >= 0; i--)
        if (sets_here(sets[i])) here[n_here++] = sets[i];
    if (!mkdtemp(folder)) return 1;
    for (int i = 0; i < 2; i++) {
        snprintf(base[i], sizeof base[i], "%s/base%d.gguf", folder, i);
        if (small_falcon(base[i], i == 1, (uint32_t)i, &err)) continue;
        printf("%s\n0 passed, 1 failed, 0 skipped\n", err.message);
        return 1;
    }
    snprintf(file, sizeof file, "%s/model.gguf", folder);
    RUN(every_type_of_weights);
    RUN(every_number_of_threads_and_cache);
    RUN(other_mechanisms);
    RUN(the_poets_answers);
    for (int i = 0; i < 2; i++) unlink(base[i]);
    unlink(file);
    rmdir(folder);
    return test_end();
}
