// On a device that has its own memory, answers later and fails (device/stand_in.h): a batch crosses over once and back
// once, two may be on their way, and whatever fails, and whenever, leaves sessions as they were and a library that goes
// on.
#include "device/stand_in.h"
#include "format/checkpoint.h"
#include "model/describe.h"
#include "model/drawn.h"
#include "model/run.h"
#include "model/sharing.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static struct drawn d;
static gyr_error err;
static char path[] = "/tmp/gyr-stand-in-XXXXXX";

// Dense with a window, a mixture, latent attention with an indexer, states beside attention.
static const char *const names[] = {"gemma2", "gpt-oss", "deepseek-v3.2", "falcon-h1"};

// ------------------------------------------------------------------------------- what a program does

enum { FIRST = 20, SECOND = 11, ALONE = 9, MAX_VOCAB = 512 };

// What it got: logits of a prompt, of a batch of two sessions, and of one that was cut short.
struct got {
    float prompt[FIRST * MAX_VOCAB], two[2 * MAX_VOCAB], cut[MAX_VOCAB];
};

// A call that failed changes nothing, says so, and works when it is tried again; unless the device is lost.
struct trial {
    bool may_fail, lost;
    size_t failures;
};

static bool failed_well(struct trial *t, gyr_status status) {
    CHECK(t->may_fail);
    CHECK(status == GYR_NO_MEMORY || status == GYR_DEVICE);
    CHECK(strlen(err.message) > 8 && err.status == status);
    t->failures++;
    return !t->lost && t->failures == 1;
}

static gyr_model *open_model(struct trial *t, const char *device) {
    const gyr_model_options o = {.threads = 2, .device = device};
    gyr_model *m = gyr_model_open(path, &o, &err);
    return m || !failed_well(t, err.status) ? m : gyr_model_open(path, &o, &err);
}

static gyr_session *new_session(struct trial *t, gyr_model *m, const gyr_session *from) {
    const gyr_session_options o = {.context = 96};
    gyr_session *s = from ? gyr_session_fork(from, &err) : gyr_session_new(m, &o, &err);
    if (s || !failed_well(t, err.status)) return s;
    return from ? gyr_session_fork(from, &err) : gyr_session_new(m, &o, &err);
}

// Feeds once more what failed, after a look at whether all is as it was.
static bool feed(struct trial *t, const gyr_input *in, size_t n) {
    size_t length[2], bytes = (size_t)d.vocab * sizeof(float);
    static float before[2][MAX_VOCAB];
    bool had[2];
    for (size_t i = 0; i < n; i++) {
        const float *logits = gyr_session_logits(in[i].session);
        length[i] = gyr_session_length(in[i].session);
        had[i] = logits;
        if (logits) memcpy(before[i], logits, bytes);
    }
    gyr_status status = gyr_sessions_feed(in, n, &err);
    if (status == GYR_OK) return true;
    bool again = failed_well(t, status);
    for (size_t i = 0; i < n; i++) {
        const float *logits = gyr_session_logits(in[i].session);
        CHECK_INT(gyr_session_length(in[i].session), length[i]);
        CHECK((logits != NULL) == had[i]);
        CHECK(!logits || !memcmp(logits, before[i], bytes));
    }
    return again && gyr_sessions_feed(in, n, &err) == GYR_OK;
}

static bool talk(struct trial *t, gyr_model *m, gyr_session **all, struct got *out) {
    size_t vocab = (size_t)d.vocab;
    gyr_session *a = all[0] = new_session(t, m, NULL), *b = NULL, *c = NULL;
    if (!a || !feed(t, &(gyr_input){a, d.text, FIRST, out->prompt}, 1)) return false;
    if (!(b = all[1] = new_session(t, m, a)) || !(c = all[2] = new_session(t, m, NULL))) return false;
    const gyr_input two[] = {{a, d.text + FIRST, SECOND, NULL}, {b, d.text + FIRST, 1, NULL}};
    if (!feed(t, two, 2)) return false;
    memcpy(out->two, gyr_session_logits(a), vocab * sizeof(float));
    memcpy(out->two + vocab, gyr_session_logits(b), vocab * sizeof(float));
    if (!feed(t, &(gyr_input){c, d.text, 3, NULL}, 1)) return false;
    gyr_session_truncate(a, 7);
    if (!feed(t, &(gyr_input){a, d.text + 7, ALONE, NULL}, 1)) return false;
    memcpy(out->cut, gyr_session_logits(a), vocab * sizeof(float));
    return true;
}

static bool program(struct trial *t, const char *device, struct got *out) {
    gyr_session *all[3] = {NULL};
    memset(out, 0, sizeof *out);
    gyr_model *m = open_model(t, device);
    bool ok = m && talk(t, m, all, out);
    for (int i = 0; i < 3; i++) gyr_session_free(all[i]);
    gyr_model_close(m);
    return ok;
}

static struct got right, got;

static void the_same_bytes(void) {
    struct trial none = {0};
    CHECK(program(&none, "cpu", &right));
    stand_in_calls();
    CHECK(program(&none, NULL, &got)); // the one that is there
    CHECK(!memcmp(&right, &got, sizeof got));
    struct stand_in_calls calls = stand_in_calls();
    CHECK(calls.all > 100);
    CHECK_INT(calls.held, 0);
    CHECK(program(&none, "stand-in:1", &got));
    CHECK(!memcmp(&right, &got, sizeof got));
}

// Every call fails once: the n-th, for every n; with all models but the first in one way, the next call in the next.
static bool every_way;

static void every_call_may_fail(void) {
    stand_in_fail(0, FAIL_NO_MEMORY);
    stand_in_calls();
    struct trial none = {0};
    CHECK(program(&none, NULL, &got));
    size_t calls = stand_in_calls().all, ways = every_way ? FAILURES : 1, seen = 0, silent = 0;
    for (int how = 0; how < FAILURES; how++)
        for (size_t n = 1; n <= calls; n++) {
            if ((n + (size_t)how) % FAILURES >= ways) continue;
            struct trial t = {.may_fail = true, .lost = how == FAIL_LOST};
            stand_in_fail(n, (enum failure)how);
            bool ok = program(&t, NULL, &got);
            stand_in_fail(0, FAIL_NO_MEMORY);
            CHECK(ok ? !memcmp(&right, &got, sizeof got) : t.lost && t.failures);
            CHECK_INT(stand_in_calls().held, 0);
            seen += t.failures > 0;
            silent += t.failures == 0;
        }
    printf("  %-14s %zu calls, each failing in %zu ways: %zu errors, %zu times nobody needed to know\n", d.kind, calls,
           ways, seen, silent);
    CHECK_INT(seen + silent, calls * ways);
    CHECK(seen > calls * ways / FAILURES);
}

// ------------------------------------------------------------------------------- crossings

// Whatever is in a batch: it goes over in one piece, and its logits come back in one.
static void a_batch_crosses_once_each_way(void) {
    enum { N = 5 };
    gyr_session *s[N];
    gyr_input in[N];
    gyr_model *m = gyr_model_open(path, NULL, &err);
    REQUIRE(m);
    for (size_t i = 0; i < N; i++) {
        s[i] = gyr_session_new(m, &(gyr_session_options){.context = 96}, &err);
        REQUIRE(s[i]);
        in[i] = (gyr_input){s[i], d.text, i + 3, NULL};
    }
    for (int round = 0; round < 3; round++) {
        stand_in_calls();
        CHECK_INT(gyr_sessions_feed(in, N, &err), GYR_OK);
        struct stand_in_calls calls = stand_in_calls();
        CHECK_INT(calls.writes, 1);
        CHECK_INT(calls.reads, 1);
        for (size_t i = 0; i < N; i++) in[i] = (gyr_input){s[i], d.text + gyr_session_length(s[i]), 1, NULL};
    }
    stand_in_calls();
    float *logits = malloc(12 * (size_t)d.vocab * sizeof *logits);
    CHECK_INT(gyr_session_feed(s[0], d.text, 12, logits, &err), GYR_OK);
    struct stand_in_calls calls = stand_in_calls();
    CHECK(calls.writes == 1 && calls.reads == 1);
    free(logits);
    for (size_t i = 0; i < N; i++) gyr_session_free(s[i]);
    gyr_model_close(m);
}

// Where the parts of a description are does not depend on how long sequences and the cache have become: the device is
// asked for the same each time.
static void descriptions_stay_in_place(void) {
    enum { SHORT = 3, LONG = 40 * PAGE_TOKENS };
    struct device *device = device_open("stand-in", 1, &err);
    struct checkpoint *c = checkpoint_open(path, &err);
    struct model *m = device && c ? model_new(c, device, &err) : NULL;
    struct kv_cache *kv = m ? kv_cache_new(device, kv_cache_layout(&m->h, TYPE_F32), &err) : NULL;
    REQUIRE(kv);
    struct desk desk = {0};
    struct pages pages = {0};
    struct description at[2];
    for (int i = 0; i < 2; i++) {
        struct row row = {.token = 1, .position = (i ? LONG : SHORT) - 1, .pages = &pages, .wanted = true};
        REQUIRE(kv_cache_grow(kv, i ? LONG / PAGE_TOKENS : 1, &err) && kv_cache_cover(kv, &pages, i ? LONG : SHORT));
        CHECK(describe(&desk, m, kv, &row, 1, &at[i], &err));
    }
    CHECK(device->ops->sync(device, &err));
    CHECK(at[0].tokens == at[1].tokens && at[0].chosen == at[1].chosen && at[0].slab == at[1].slab);
    CHECK(at[0].all.at.row == at[1].all.at.row && at[0].all.at.pages == at[1].all.at.pages);
    CHECK(at[0].all.angles == at[1].all.angles && at[0].kept.at.row == at[1].kept.at.row);
    kv_cache_trim(kv, &pages, 0);
    desk_free(&desk, device);
    kv_cache_free(kv);
    model_free(m);
    checkpoint_close(c);
    device->ops->close(device);
}

// ------------------------------------------------------------------------------- two at once

struct one {
    struct run *run;
    struct pages pages;
    struct sequence_state *state;
    float *logits;
};

static bool start(struct one *o, struct model *m, struct kv_cache *kv, size_t first) {
    enum { N = 9 };
    struct row rows[N];
    o->logits = malloc((size_t)d.vocab * sizeof *o->logits);
    if (!(o->run = run_new(m, &err)) || !kv_cache_grow(kv, 1, &err) || !kv_cache_cover(kv, &o->pages, N)) return false;
    for (uint32_t i = 0; i < N; i++) rows[i] = (struct row){d.text[first + i], i, 0, &o->pages, o->state, i + 1 == N};
    return forward(o->run, kv, rows, N, GIVES_LOGITS, o->logits, &err);
}

static void two_batches_are_on_their_way(void) {
    struct device *device = device_open("stand-in", 2, &err);
    struct checkpoint *c = checkpoint_open(path, &err);
    struct model *m = device && c ? model_new(c, device, &err) : NULL;
    REQUIRE(m);
    struct kv_cache *kv = kv_cache_new(device, kv_cache_layout(&m->h, TYPE_F32), &err);
    struct state_pool states = model_states(m);
    struct one o[4] = {{0}};
    size_t bytes = (size_t)d.vocab * sizeof(float);
    for (int i = 0; i < 4; i++) CHECK(state_pool_take(&states, &o[i].state, &err));
    // Two together, then the same ones by themselves.
    CHECK(start(&o[0], m, kv, 0) && start(&o[1], m, kv, 30) && device->ops->sync(device, &err));
    CHECK(start(&o[2], m, kv, 0) && device->ops->sync(device, &err));
    CHECK(start(&o[3], m, kv, 30) && device->ops->sync(device, &err));
    CHECK(!memcmp(o[0].logits, o[2].logits, bytes) && !memcmp(o[1].logits, o[3].logits, bytes));
    CHECK(memcmp(o[0].logits, o[1].logits, bytes));
    for (int i = 0; i < 4; i++) {
        kv_cache_trim(kv, &o[i].pages, 0);
        state_pool_give(&states, o[i].state);
        run_free(o[i].run);
        free(o[i].logits);
    }
    state_pool_free(&states);
    kv_cache_free(kv);
    model_free(m);
    checkpoint_close(c);
    device->ops->close(device);
}

// ------------------------------------------------------------------------------- memory

// Whether reading there ends the program.
static bool is_unreadable(const volatile uint8_t *p) {
    int status = 0;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL);
        _exit(*p == 123);
    }
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) || WEXITSTATUS(status) > 1;
}

static void the_host_cannot_read_it(void) {
    struct device *device = device_open("stand-in", 1, &err);
    REQUIRE(device);
    uint8_t *p = device->ops->alloc(device, 1000, &err), one = 77, back = 0;
    device->ops->write(device, p, &one, 1);
    device->ops->read(device, &back, p, 1);
    CHECK(is_unreadable(p));
    CHECK(back != 77); // not before sync()
    CHECK(device->ops->sync(device, &err) && back == 77);
    CHECK(is_unreadable(p));
    device->ops->free(device, p);
    device->ops->close(device);
}

static void devices_have_names(void) {
    static const char *const bad[] = {"stand-in:2", "stand-in:", "stand-in:x", "stand-in:1x", "stand", "tpu"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK(!gyr_model_open(path, &(gyr_model_options){.device = bad[i]}, &err));
        CHECK_INT(err.status, GYR_USAGE);
    }
    CHECK_STR(err.message, "device tpu: no such device; choose one of auto, stand-in, cpu, cuda, hip");
}

int main(void) {
    int fd = mkstemp(path);
    if (fd >= 0) close(fd);
    RUN(the_host_cannot_read_it);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!drawn_load(&d, names[i]) || !drawn_write_gguf(&d, path, &err) || d.vocab > MAX_VOCAB) return 1;
        every_way = TEST_EVERYTHING || (!TEST_SLOW && i == 0);
        if (i == 0) RUN(devices_have_names);
        RUN(the_same_bytes);
        RUN(a_batch_crosses_once_each_way);
        RUN(descriptions_stay_in_place);
        RUN(two_batches_are_on_their_way);
        RUN(every_call_may_fail);
        drawn_free(&d);
    }
    unlink(path);
    return test_end();
}
