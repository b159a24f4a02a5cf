// A disk that is full at any point, and a database that is damaged anywhere: an error of one line, never a crash, and
// nothing lost that was acknowledged.
#include "batch.h"

#include "server/keys.h"
#include "server/objects.h"
#include "server/usage.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

// A row or more in every table, and batches in several states.
static void fill(struct store *s) {
    gyr_error e = {0};
    char text[KEY_TEXT], input[64];
    const struct object_limits none = {0};
    struct batch b;
    struct batch_line l;
    for (int i = 0; i < 40; i++) {
        struct key k = {.models = (char *)"poet"};
        snprintf(k.name, sizeof k.name, "key-%d", i);
        CHECK(keys_add(s, &k, 1, text, &e));
        snprintf(k.name, sizeof k.name, "resp_%d", i);
        CHECK(object_put(s, "response", k.name, 1, "{\"text\":\"something to keep\"}", 1, 0, &none, &e));
    }
    struct usage *u = usage_new(s);
    struct usage_entry one = {1, 1, 1};
    for (int i = 0; i < 100; i++) usage_add(u, i % 40, "poet", &one, i * 86400);
    CHECK(usage_flush(u, 1, &e));
    usage_free(u);
    struct batch_work *work = batch_work_new(s, &batch_no_limits, &e);
    CHECK(work);
    for (int i = 0; i < 6 && work; i++) {
        CHECK(batch_input(s, 0, LINES("a", "b", "c", "d"), input));
        struct batch_wish w = {0, input, "/v1/chat/completions", "24h", NULL, 86400};
        CHECK(batch_add(s, &w, 1000, &b, &e) && batch_next(work, 1000, &l, &e) == BATCH_AGAIN);
        CHECK(batch_next(work, 1000, &l, &e) == BATCH_LINE && batch_record(work, &l, &batch_yes, &e));
        batch_line_clear(&l);
        batch_clear(&b);
    }
    batch_work_free(work);
}

static int errors;

static void expect(bool good, const gyr_error *e) {
    if (good) return;
    errors++;
    CHECK(e->status && e->message[0] && !strchr(e->message, '\n'));
}

static void read_lists(struct store *s) {
    gyr_error e = {0};
    size_t n = 0;
    bool more;
    char *text = keys_list(s, 1, &e);
    expect(text, &e);
    free(text);
    text = usage_list(s, NULL, 0, &e);
    expect(text, &e);
    free(text);
    struct file_query q = {.owner = OWNER_ANY, .limit = 100};
    struct stored_file *files = files_list(s, &q, 1, &n, &more, &e);
    expect(files, &e);
    free(files);
    struct batch *batches = batches_list(s, OWNER_ANY, NULL, 100, &n, &more, &e);
    expect(batches, &e);
    for (size_t i = 0; batches && i < n; i++) batch_clear(&batches[i]);
    free(batches);
}

static void use_all(struct store *s) {
    gyr_error e = {0};
    read_lists(s);
    struct keyring *r = keyring_new(s, &e);
    expect(r, &e);
    keyring_free(r);
    char *json = object_get(s, "response", "resp_7", 1, 1, &e);
    expect(json, &e);
    free(json);
    char text[KEY_TEXT];
    struct key k = {.name = "new"};
    expect(keys_add(s, &k, 1, text, &e), &e);
    expect(files_sweep(s, 1, &e) && objects_sweep(s, 1, &e), &e);
    struct batch_work *work = batch_work_new(s, &batch_no_limits, &e);
    expect(work, &e);
    struct batch_line l;
    for (int i = 0; i < 60 && work; i++) {
        enum batch_turn turn = batch_next(work, 1000 + i, &l, &e);
        expect(turn != BATCH_TROUBLE, &e);
        if (turn == BATCH_NONE || turn == BATCH_TROUBLE) break;
        if (turn == BATCH_LINE) expect(batch_record(work, &l, &batch_yes, &e), &e);
        batch_line_clear(&l);
    }
    batch_work_free(work);
}

static char *read_all(const char *path, size_t *size) {
    FILE *f = fopen(path, "rb");
    char *data = malloc(1 << 20);
    *size = f && data ? fread(data, 1, 1 << 20, f) : 0;
    if (f) fclose(f);
    return data;
}

static void write_all(const char *path, const char *data, size_t size) {
    FILE *f = fopen(path, "wb");
    CHECK(f && fwrite(data, 1, size, f) == size);
    if (f) fclose(f);
}

// Each page is overwritten in turn, whole or from its middle, and everything is tried.
static void damage_anywhere_is_an_error_of_one_line(void) {
    struct store *s = batch_state();
    gyr_error e = {0};
    REQUIRE(s);
    fill(s);
    store_close(s);
    size_t size;
    char *good = read_all(state_file("state.db"), &size), *bad = malloc(1 << 20);
    REQUIRE(good && bad && size > 20 * 4096);
    errors = 0;
    for (size_t at = 0; at < size; at += 4096)
        for (int how = 0; how < 3; how++) {
            size_t from = at ? at + (how == 2) * 2048 : 100; // the header says what it is
            memcpy(bad, good, size);
            memset(bad + from, how ? 0xff : 0, at + 4096 - from);
            write_all(state_file("state.db"), bad, size);
            s = store_open(state_dir, &e);
            expect(s, &e);
            if (s) use_all(s);
            store_close(s);
            remove(state_file("state.db-wal"));
            remove(state_file("state.db-shm"));
        }
    CHECK(errors > 60);
    write_all(state_file("state.db"), good, size);
    s = store_open(state_dir, &e);
    REQUIRE(s);
    errors = 0;
    use_all(s);
    CHECK_INT(errors, 0);
    store_close(s);
    free(good);
    free(bad);
    state_remove();
}

// In a child: files cannot grow beyond so many bytes, until something fails. Acknowledged lines go to the pipe.
static int work_until_full(rlim_t bytes, int out) {
    gyr_error e = {0};
    struct rlimit limit = {bytes, bytes};
    struct batch_line l;
    signal(SIGXFSZ, SIG_IGN);
    struct store *s = store_open(state_dir, &e);
    if (!s || setrlimit(RLIMIT_FSIZE, &limit)) return 1;
    struct batch_work *work = batch_work_new(s, &batch_no_limits, &e);
    enum batch_turn turn = work ? BATCH_AGAIN : BATCH_NONE;
    static char body[3000];
    memset(body, ' ', sizeof body);
    body[0] = '{';
    body[sizeof body - 1] = '}';
    struct batch_answer a = {.status = 200, .body = body, .body_size = sizeof body};
    for (int i = 0; i < 500 && (turn == BATCH_AGAIN || turn == BATCH_LINE); i++) {
        turn = batch_next(work, 1000, &l, &e);
        if (turn != BATCH_LINE) continue;
        int line = (int)l.line;
        bool good = batch_record(work, &l, &a, &e);
        batch_line_clear(&l);
        if (!good) break;
        if (write(out, &line, sizeof line) != sizeof line) return 2;
    }
    bool said = e.status == GYR_IO && strstr(e.message, state_dir);
    if (e.status && !said) printf("%d: %s\n", e.status, e.message);
    batch_work_free(work);
    store_close(s);
    return e.status && !said ? 3 : 0;
}

static bool acknowledged_lines_are_there(struct store *s, const char *batch, int in) {
    gyr_error e = {0};
    struct batch b = {0};
    bool good = batch_find(s, 0, batch, &b, &e), there = true;
    char *text = good && *b.output_file ? batch_file(s, b.output_file) : NULL;
    int line;
    for (char id[40]; read(in, &line, sizeof line) == sizeof line; there = there && text && strstr(text, id))
        snprintf(id, sizeof id, "\"custom_id\":\"line %d\"", line);
    good = good && there && b.state == BATCH_COMPLETED && batch_lines(s, b.output_file) == 40;
    batch_clear(&b);
    free(text);
    return good;
}

static bool try_with(rlim_t bytes) {
    struct store *s = batch_state();
    gyr_error e = {0};
    struct buf text = {0};
    struct batch b;
    char input[64], id[BATCH_ID + 1];
    int ends[2], status;
    for (int i = 0; i < 40; i++)
        buf_printf(&text, "{\"custom_id\":\"line %d\",\"method\":\"POST\",\"url\":\"/v1/x\",\"body\":{}}\n", i);
    bool good = s && batch_input(s, 0, text.data, input);
    struct batch_wish w = {0, input, "/v1/x", "24h", NULL, 86400};
    good = good && batch_add(s, &w, 1000, &b, &e) && !pipe(ends);
    buf_free(&text);
    if (!good) return false;
    snprintf(id, sizeof id, "%s", b.id);
    batch_clear(&b);
    store_close(s);
    pid_t pid = fork();
    if (!pid) {
        int bad = work_until_full(bytes, ends[1]);
        fflush(stdout);
        _exit(bad);
    }
    close(ends[1]);
    good = waitpid(pid, &status, 0) == pid && !status && (s = store_open(state_dir, &e));
    struct batch_work *work = good ? batch_work_new(s, &batch_no_limits, &e) : NULL;
    struct batch_line l;
    for (enum batch_turn turn = BATCH_AGAIN; work && (turn == BATCH_AGAIN || turn == BATCH_LINE);) {
        turn = batch_next(work, 2000, &l, &e);
        if (turn == BATCH_LINE) good = good && batch_record(work, &l, &batch_yes, &e);
        batch_line_clear(&l);
    }
    good = good && work && acknowledged_lines_are_there(s, id, ends[0]);
    batch_work_free(work);
    store_close(s);
    close(ends[0]);
    state_remove();
    return good;
}

static void a_disk_may_be_full_at_any_point(void) {
    for (rlim_t bytes = 4096; bytes < 600000; bytes += bytes < 100000 ? 9000 : 50000) {
        bool good = try_with(bytes);
        if (!good) printf("with %llu bytes:\n", (unsigned long long)bytes);
        CHECK(good);
    }
}

int main(void) {
    RUN(damage_anywhere_is_an_error_of_one_line);
    RUN(a_disk_may_be_full_at_any_point);
    return test_end();
}
