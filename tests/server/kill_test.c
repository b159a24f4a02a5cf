// kill -9 at random moments: one process accepts batches and makes keys, another works on the batches, and either or
// both are killed, again and again. Whatever was acknowledged has to be there at the end, once, and unchanged.
//
// usage: kill_test [KILLS [SEED]]
#include "batch.h"

#include "server/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

enum { MAX_LINES = 30, NONCE = 40, MAX_OPEN = 6 };

static int kills = 20;
static unsigned seed;

// What the children were told is done.
struct accepted {
    char id[BATCH_ID + 1];
    int lines;
};
struct recorded {
    long long batch, line;
    char nonce[NONCE];
};
static struct accepted *accepted;
static struct recorded *recorded;
static size_t n_accepted, room_accepted, n_recorded, room_recorded, n_cancelled;
static bool trouble;

// ---------------------------------------------------------------------------------------------------- the children

static int out;

// One write, so that a line is in the pipe whole or not at all.
__attribute__((format(printf, 1, 2))) static void say(const char *format, ...) {
    char line[600];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof line - 1, format, args);
    va_end(args);
    if (n > 598) n = 598;
    line[n++] = '\n';
    if (write(out, line, (size_t)n) != n) _exit(9);
}

static void must(bool good, const gyr_error *e) {
    if (good) return;
    say("T %s", e->message);
    _exit(1);
}

static void accept_one(struct store *s) {
    gyr_error e = {0};
    struct buf text = {0};
    int n = 1 + rand() % MAX_LINES;
    for (int i = 0; i < n; i++)
        buf_printf(&text, "{\"custom_id\":\"%d\",\"method\":\"POST\",\"url\":\"/v1/x\",\"body\":{\"line\":%d}}\n", i,
                   i);
    struct stored_file f = {.owner = 0, .name = "in.jsonl", .purpose = "batch"}, made;
    struct file_writer *w = file_new(s, &f, &batch_no_file_limits, &e);
    must(w && file_write(w, text.data, text.size, &e) && file_finish(w, time(NULL), &made, &e), &e);
    struct batch b;
    struct batch_wish wish = {0, made.id, "/v1/x", "24h", NULL, 86400};
    must(batch_add(s, &wish, time(NULL), &b, &e), &e);
    say("A %s %d", b.id, n);
    if (rand() % 8 == 0) {
        char id[BATCH_ID + 1];
        snprintf(id, sizeof id, "%s", b.id);
        batch_clear(&b);
        usleep((unsigned)rand() % 5000);
        if (batch_cancel(s, 0, id, time(NULL), &b, &e)) say("C %s", id);
    }
    batch_clear(&b);
    buf_free(&text);
}

static void accept_batches(void) {
    gyr_error e = {0};
    struct store *s = store_open(state_dir, &e);
    must(s, &e);
    for (int i = 0;; i++) {
        int64_t open = 0;
        must(store_begin(s, STORE_READ, &e), &e);
        open = store_number(s, 0, "SELECT count(*) FROM batches WHERE state < 4", "");
        must(store_end(s, &e), &e);
        if (open < MAX_OPEN) accept_one(s);
        char text[KEY_TEXT];
        struct key k = {.limits = {1, 2, 3, 4}};
        snprintf(k.name, sizeof k.name, "k%d.%d", (int)getpid(), i);
        must(keys_add(s, &k, 1, text, &e) && keys_remove(s, k.name, 2, &e), &e);
    }
}

static void answer(struct batch_work *work, struct batch_line *l, int count) {
    gyr_error e = {0};
    char body[100], nonce[NONCE];
    snprintf(nonce, sizeof nonce, "%d.%d", (int)getpid(), count);
    snprintf(body, sizeof body, "{\"nonce\":\"%s\"}", nonce);
    struct batch_answer a = {.status = 200, .request_id = "r", .body = body, .body_size = strlen(body)};
    if (batch_record(work, l, &a, &e))
        say("R %lld %lld %s", (long long)l->batch, (long long)l->line, nonce);
    else
        must(e.status == GYR_CANCELLED, &e);
}

static void work_on_batches(void) {
    gyr_error e = {0};
    struct store *s = store_open(state_dir, &e);
    must(s, &e);
    struct batch_work *work = batch_work_new(s, &batch_no_limits, &e);
    must(work, &e);
    struct batch_line l[3]; // several are under way at once
    for (int count = 0;;) {
        int n = 0;
        enum batch_turn turn = BATCH_LINE;
        while (n < 3 && (turn = batch_next(work, time(NULL), &l[n], &e)) == BATCH_LINE) n++;
        must(turn != BATCH_TROUBLE, &e);
        if (turn == BATCH_NONE && !n) usleep(500);
        while (n--) {
            answer(work, &l[n], count++);
            batch_line_clear(&l[n]);
        }
    }
}

// ---------------------------------------------------------------------------------------------------- the parent

struct child {
    pid_t pid;
    int in;
    struct buf said;
};

static void start(struct child *c, void (*fn)(void), unsigned luck) {
    int ends[2];
    if (pipe(ends)) exit(9);
    c->pid = fork();
    if (!c->pid) {
        close(ends[0]);
        out = ends[1];
        srand(luck);
        fn();
        _exit(0);
    }
    close(ends[1]);
    c->in = ends[0];
    fcntl(c->in, F_SETFL, O_NONBLOCK);
}

static void note(const char *line) {
    struct accepted a;
    struct recorded r;
    if (sscanf(line, "A %30s %d", a.id, &a.lines) == 2 && ARRAY_GROW(accepted, n_accepted, room_accepted)) {
        accepted[n_accepted++] = a;
    } else if (sscanf(line, "R %lld %lld %39s", &r.batch, &r.line, r.nonce) == 3 &&
               ARRAY_GROW(recorded, n_recorded, room_recorded)) {
        recorded[n_recorded++] = r;
    } else if (line[0] == 'C') {
        n_cancelled++;
    } else {
        printf("%s\n", line);
        trouble = true;
    }
}

static void listen_to(struct child *c) {
    char data[4096];
    for (ssize_t n; (n = read(c->in, data, sizeof data)) > 0;) buf_append(&c->said, data, (size_t)n);
    char *line = c->said.data, *end;
    for (; line && (end = strchr(line, '\n')); line = end + 1) {
        *end = 0;
        note(line);
    }
    if (!line) return;
    size_t left = c->said.size - (size_t)(line - c->said.data);
    memmove(c->said.data, line, left + 1);
    c->said.size = left;
}

static void stop(struct child *c) {
    int status;
    kill(c->pid, SIGKILL);
    if (waitpid(c->pid, &status, 0) != c->pid || !WIFSIGNALED(status)) trouble = true;
    listen_to(c);
    close(c->in);
    buf_free(&c->said);
    c->pid = 0;
}

static bool opens_whole(void) {
    gyr_error e = {0};
    struct store *s = store_open(state_dir, &e);
    if (!s) return printf("%s\n", e.message), false;
    bool whole = store_begin(s, STORE_READ, &e);
    sqlite3_stmt *q = whole ? store_query(s, "PRAGMA integrity_check", "") : NULL;
    whole = whole && store_next(s, q) && !strcmp((const char *)sqlite3_column_text(q, 0), "ok");
    if (!store_end(s, &e)) whole = false;
    store_close(s);
    return whole;
}

static void kill_many_times(void) {
    struct child children[2] = {{0}};
    void (*const jobs[2])(void) = {accept_batches, work_on_batches};
    for (int i = 0; i < kills && !trouble; i++) {
        for (int c = 0; c < 2; c++)
            if (!children[c].pid) start(&children[c], jobs[c], seed + (unsigned)i);
        for (int left = rand() % 60; left >= 0; left -= 5) { // pipes are emptied on the way
            usleep(5000);
            listen_to(&children[0]);
            listen_to(&children[1]);
        }
        int which = rand() % 3; // 2: both
        for (int c = 0; c < 2; c++)
            if (which == c || which == 2) stop(&children[c]);
        if (i % 10 == 9) CHECK(opens_whole()); // also beside a process that goes on
    }
    for (int c = 0; c < 2; c++)
        if (children[c].pid) stop(&children[c]);
    CHECK(!trouble);
    CHECK(opens_whole());
}

// What nobody is there to kill any more is worked to its end.
static void finish_all(struct store *s) {
    gyr_error e = {0};
    struct batch_work *work = batch_work_new(s, &batch_no_limits, &e);
    struct batch_line l;
    enum batch_turn turn;
    REQUIRE(work);
    while ((turn = batch_next(work, time(NULL), &l, &e)) == BATCH_LINE || turn == BATCH_AGAIN) {
        if (turn == BATCH_LINE) CHECK(batch_record(work, &l, &batch_yes, &e));
        batch_line_clear(&l);
    }
    CHECK_INT(turn, BATCH_NONE);
    batch_work_free(work);
}

// Counts each line of a batch's file, and compares the answers that were acknowledged.
static void read_answers(struct store *s, const struct batch *b, const char *file, int *count) {
    char *text = *file ? batch_file(s, file) : NULL;
    CHECK(text || !*file);
    for (char *line = text, *end; line && (end = strchr(line, '\n')); line = end + 1) {
        json_t *o = json_loadb(line, (size_t)(end - line), 0, NULL);
        const char *id = json_string_value(json_object_get(o, "custom_id"));
        int n = id ? (int)strtol(id, NULL, 10) : -1;
        CHECK(n >= 0 && n < b->total);
        if (n >= 0 && n < b->total) count[n]++;
        const char *nonce =
            json_string_value(json_object_get(json_object_get(json_object_get(o, "response"), "body"), "nonce"));
        for (size_t i = 0; i < n_recorded; i++)
            if (recorded[i].batch == b->seq && recorded[i].line == n) {
                CHECK_STR(nonce, recorded[i].nonce);
                recorded[i].batch = 0; // found
            }
        json_decref(o);
    }
    free(text);
}

static void check_batch(struct store *s, const struct batch *b) {
    int count[MAX_LINES] = {0};
    CHECK(b->state == BATCH_COMPLETED || b->state == BATCH_CANCELLED);
    REQUIRE(b->total <= MAX_LINES);
    read_answers(s, b, b->output_file, count);
    read_answers(s, b, b->error_file, count);
    for (int i = 0; i < b->total; i++) CHECK_INT(count[i], 1);
    for (size_t i = 0; i < n_accepted; i++)
        if (!strcmp(accepted[i].id, b->id)) {
            CHECK(b->state == BATCH_CANCELLED || b->total == accepted[i].lines);
            accepted[i].lines = 0; // found
        }
}

static void check_all(struct store *s) {
    gyr_error e = {0};
    char after[BATCH_ID + 1] = "";
    size_t batches = 0;
    for (bool more = true; more;) {
        size_t n = 0;
        struct batch *page = batches_list(s, 0, *after ? after : NULL, 100, &n, &more, &e);
        REQUIRE(page);
        batches += n;
        for (size_t i = 0; i < n; i++) {
            check_batch(s, &page[i]);
            snprintf(after, sizeof after, "%s", page[i].id);
            batch_clear(&page[i]);
        }
        free(page);
    }
    for (size_t i = 0; i < n_accepted; i++) CHECK_INT(accepted[i].lines, 0);
    for (size_t i = 0; i < n_recorded; i++) CHECK_INT(recorded[i].batch, 0);
    printf("%d kills, seed %u: %zu batches, %zu accepted, %zu cancelled, %zu answers acknowledged\n", kills, seed,
           batches, n_accepted, n_cancelled, n_recorded);
    CHECK(n_accepted > 0 && n_recorded > 0);
}

static void no_line_is_lost_or_answered_twice(void) {
    state_make();
    kill_many_times();
    gyr_error e = {0};
    struct store *s = store_open(state_dir, &e);
    REQUIRE(s);
    finish_all(s);
    check_all(s);
    // What was left half written goes with the sweeps of a day later.
    CHECK(files_sweep(s, time(NULL) + 90000, &e));
    store_close(s);
    free(accepted);
    free(recorded);
    state_remove();
}

int main(int argc, char **argv) {
    if (argc > 1) kills = (int)strtol(argv[1], NULL, 10);
    seed = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : (unsigned)time(NULL);
    srand(seed);
    RUN(no_line_is_lost_or_answered_twice);
    return test_end();
}
