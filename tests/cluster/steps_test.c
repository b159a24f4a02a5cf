// Conversations of several ranks that are saved and loaded while memory runs out at any step, or a message cannot be
// sent: all ranks stay in step, and what is answered next is what one process answers.
#include "cluster/mail.h"
#include "model/drawn.h"

#include <unistd.h>

enum { FIRST = 20, LENGTH = 40, CONTEXT = 96, MAX_VOCAB = 512, MAX_FILE = 1 << 19, MAX_STEPS = 400 };

static struct drawn d;
static gyr_error err;
static int32_t ids[LENGTH + 1];
static char folder[] = "/tmp/gyr-steps-XXXXXX", model_path[64], file[2][64];

// What one process has: the scores of the token behind, and the file of the part behind FIRST.
static struct right {
    float logits[MAX_VOCAB];
    size_t n;
    char part[MAX_FILE];
} * right;

// What ranks do, and what fails meanwhile.
struct trial {
    gyr_split split;
    bool loads;     // else they save
    unsigned whose; // memory
    long send;      // of rank 0's messages; 0: memory, each allocation in turn
};

static gyr_session *session(gyr_model *m, size_t to) {
    gyr_session *s = gyr_session_new(m, &(gyr_session_options){.context = CONTEXT}, &err);
    CHECK(s && !gyr_session_feed(s, ids, to, NULL, &err));
    return s;
}

// What the file has, or -1 where it has more than there is room for.
static long read_file(const char *path, char *to) {
    FILE *f = fopen(path, "rb");
    size_t n = f ? fread(to, 1, MAX_FILE, f) : MAX_FILE;
    if (f) fclose(f);
    return n < MAX_FILE ? (long)n : -1;
}

static bool same_file(const char *path) {
    char *got = malloc(MAX_FILE);
    bool same = got && read_file(path, got) == (long)right->n && !memcmp(got, right->part, right->n);
    free(got);
    return same;
}

// Goes on from where it is.
static bool same_answer(gyr_session *s) {
    size_t at = gyr_session_length(s);
    const float *logits = gyr_session_feed(s, ids + at, LENGTH + 1 - at, NULL, &err) ? NULL : gyr_session_logits(s);
    return logits && !memcmp(logits, right->logits, (size_t)d.vocab * sizeof *logits);
}

static void one_process(void) {
    gyr_model *m = gyr_model_open(model_path, &(gyr_model_options){.threads = 1, .device = "cpu"}, &err);
    REQUIRE(m);
    gyr_session *s = session(m, LENGTH);
    CHECK_INT(gyr_session_save(s, FIRST, LENGTH, file[0], &err), GYR_OK);
    right->n = (size_t)read_file(file[0], right->part);
    CHECK_INT(gyr_session_feed(s, ids + LENGTH, 1, NULL, &err), GYR_OK);
    memcpy(right->logits, gyr_session_logits(s), (size_t)d.vocab * sizeof(float));
    gyr_session_free(s);
    gyr_model_close(m);
}

static int alone(unsigned rank, void *arg) {
    (void)rank, (void)arg;
    one_process();
    return test_bad;
}

// A fork's state, and the page that a part begins in, were copied before; the others hear of both with the call.
static gyr_status save_or_load(const struct trial *t, gyr_session *s) {
    if (t->loads) return gyr_session_load(s, file[0], &err);
    unlink(file[1]);
    return gyr_session_save(s, FIRST, LENGTH, file[1], &err);
}

// Every allocation fails in turn, until none is left that could.
static void memory(const struct trial *t, gyr_session *from) {
    size_t failures = 0;
    long n = 0, left = 0;
    while (!left && ++n < MAX_STEPS) {
        gyr_session *s = gyr_session_fork(from, &err);
        REQUIRE(s);
        mail_fail_memory(t->whose, n);
        gyr_status status = save_or_load(t, s);
        left = mail_left(t->whose);
        mail_fail_memory(t->whose, 0);
        CHECK(!status || (status == GYR_NO_MEMORY && !left));
        failures += status != 0;
        if (status && n % 2) CHECK_INT(save_or_load(t, s), GYR_OK);
        if (!t->loads && (!status || n % 2)) CHECK(same_file(file[1]));
        CHECK(same_answer(s));
        gyr_session_free(s);
    }
    CHECK(left && failures);
    printf("  %s, by %s: %ld steps of rank %u, of which %zu failed\n", t->loads ? "load" : "save",
           t->split == GYR_SPLIT_ROWS ? "rows" : "layers", n - 1, t->whose, failures);
}

// Whoever cannot be reached is lost, and those that are left go on.
static void message(const struct trial *t, gyr_model *m, gyr_session *s) {
    mail_fail_send(0, t->send);
    CHECK_INT(save_or_load(t, s), GYR_DEVICE);
    CHECK_INT(mail_left(0), 0);
    CHECK_INT(gyr_model_recover(m, &err), GYR_OK);
    CHECK(same_answer(s));
}

static int lead(const struct trial *t, gyr_model *m) {
    gyr_session *from = session(m, t->loads ? FIRST : LENGTH), *s = gyr_session_fork(from, &err);
    if (t->send)
        message(t, m, s);
    else
        memory(t, from);
    gyr_session_free(s);
    gyr_session_free(from);
    return test_bad;
}

static int together(unsigned rank, void *arg) {
    const struct trial *t = arg;
    int status = 1;
    gyr_ranks *r = gyr_ranks_join(&err);
    gyr_model_options o = {.threads = 1, .device = "cpu", .ranks = r, .split = t->split};
    gyr_model *m = r ? gyr_model_open(model_path, &o, &err) : NULL;
    if (!m)
        printf("rank %u: %s\n", rank, err.message);
    else
        status = rank ? (int)gyr_ranks_follow(m, &err) : lead(t, m);
    gyr_model_close(m);
    fflush(stdout);
    if (status == GYR_DEVICE && rank) _exit(0); // who was lost waits for the end of all
    return gyr_ranks_leave(r, status, NULL);
}

static void try(struct trial t) { CHECK_INT(mail_run(MAIL_RANKS, together, &t), 0); }

static void memory_runs_out_at_any_step(void) {
    for (unsigned whose = 0; whose < 2; whose++) {
        try((struct trial){GYR_SPLIT_LAYERS, false, whose, 0});
        try((struct trial){GYR_SPLIT_LAYERS, true, whose, 0});
    }
    try((struct trial){GYR_SPLIT_ROWS, true, 0, 0});
}

static void a_message_that_cannot_be_sent(void) {
    for (long send = 1; send < MAIL_RANKS; send++)
        for (int loads = 0; loads < 2; loads++) try((struct trial){GYR_SPLIT_LAYERS, loads, 0, send});
}

static void one_process_says_what_is_right(void) {
    REQUIRE(mkdtemp(folder) && mail_open() && drawn_load(&d, "falcon-h1") && d.vocab <= MAX_VOCAB);
    REQUIRE((right = mail_shared(sizeof *right)));
    snprintf(model_path, sizeof model_path, "%s/model.gguf", folder);
    for (int i = 0; i < 2; i++) snprintf(file[i], sizeof file[i], "%s/%d.part", folder, i);
    for (int i = 0; i <= LENGTH; i++) ids[i] = 1 + 37 * i % (d.vocab - 1);
    REQUIRE(drawn_write_gguf(&d, model_path, &err));
    CHECK_INT(mail_run(1, alone, NULL), 0);
}

int main(void) {
    RUN(one_process_says_what_is_right);
    if (test_failed) return test_end();
    RUN(memory_runs_out_at_any_step);
    RUN(a_message_that_cannot_be_sent);
    for (int i = 0; i < 2; i++) unlink(file[i]);
    unlink(model_path);
    rmdir(folder);
    drawn_free(&d);
    return test_end();
}
