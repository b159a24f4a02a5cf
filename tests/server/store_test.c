// The state's database: opening, sharing, refusing, and whatever can go wrong with a disk.
#include "state.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

static const char put[] = "INSERT INTO counters VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
static const char get[] = "SELECT value FROM counters WHERE name = ?";

static bool set(struct store *s, const char *name, int64_t value, gyr_error *e) {
    if (!store_begin(s, STORE_WRITE, e)) return false;
    store_run(s, put, "si", name, value);
    return store_end(s, e);
}

static int64_t value(struct store *s, const char *name) {
    gyr_error e = {0};
    if (!store_begin(s, STORE_READ, &e)) return -2;
    int64_t n = store_number(s, -1, get, "s", name);
    return store_end(s, &e) ? n : -2;
}

static void run_sql(const char *sql) {
    sqlite3 *db = NULL;
    CHECK_INT(sqlite3_open(state_file("state.db"), &db), SQLITE_OK);
    CHECK_INT(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void a_state_is_made_and_opened_again(void) {
    state_make();
    gyr_error e = {0};
    struct stat st;
    struct store *s = store_open(state_file("a/b"), &e);
    REQUIRE(s);
    CHECK(set(s, "x", 42, &e));
    store_close(s);
    s = store_open(state_file("a/b"), &e);
    REQUIRE(s);
    CHECK_INT(value(s, "x"), 42);
    CHECK_INT(value(s, "y"), -1);
    CHECK(!stat(state_file("a/b"), &st) && (st.st_mode & 0777) == 0700);
    CHECK(!stat(store_path(s), &st) && (st.st_mode & 0777) == 0600);
    store_close(s);
    state_remove();
}

static void the_folder_is_the_environments(void) {
    gyr_error e = {0};
    setenv("GYR_STATE", "/one", 1);
    setenv("XDG_STATE_HOME", "/two", 1);
    setenv("HOME", "/three", 1);
    char *folder = state_folder(&e);
    CHECK_STR(folder, "/one");
    free(folder);
    unsetenv("GYR_STATE");
    CHECK_STR(folder = state_folder(&e), "/two/gyr");
    free(folder);
    setenv("XDG_STATE_HOME", "not absolute", 1);
    CHECK_STR(folder = state_folder(&e), "/three/.local/state/gyr");
    free(folder);
    unsetenv("HOME");
    CHECK(!state_folder(&e));
    CHECK_INT(e.status, GYR_USAGE);
    CHECK_STR(e.message, "state: no place to keep it; set GYR_STATE to a folder");
}

static void refuses(gyr_status status, const char *message) {
    gyr_error e = {0};
    struct store *s = store_open(state_dir, &e);
    CHECK(!s);
    CHECK_INT(e.status, status);
    CHECK_STR(state_said(&e), message);
    store_close(s);
}

static void a_newer_schema_is_refused_by_its_number(void) {
    state_make();
    store_close(store_open(state_dir, NULL));
    run_sql("PRAGMA user_version = 9");
    refuses(GYR_UNSUPPORTED, "DIR/state.db: its schema is version 9, of a newer gyr; this one knows versions up to 5: "
                             "update gyr, or set GYR_STATE");
    state_remove();
}

static void an_older_state_is_brought_up_to_date(void) {
    gyr_error e = {0};
    state_make();
    store_close(store_open(state_dir, NULL));
    run_sql("DROP TABLE conversations; DROP TABLE chats; DROP TABLE tunes; DROP TABLE tune_events; DROP TABLE "
            "tune_checkpoints; INSERT "
            "INTO counters VALUES ('kept', 7); PRAGMA user_version = 1");
    struct store *s = store_open(state_dir, &e);
    REQUIRE(s);
    CHECK(store_begin(s, STORE_READ, &e));
    CHECK_INT(store_number(s, -1, "SELECT count(*) FROM conversations", ""), 0);
    CHECK_INT(store_number(s, -1, "SELECT value FROM counters WHERE name = 'kept'", ""), 7);
    CHECK_INT(store_number(s, -1, "PRAGMA user_version", ""), 5);
    CHECK(store_end(s, &e));
    store_close(s);
    state_remove();
}

static void another_programs_database_is_left_alone(void) {
    state_make();
    run_sql("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)");
    refuses(GYR_MALFORMED, "DIR/state.db: the database of another program; move it away, or set GYR_STATE");
    run_sql("INSERT INTO theirs VALUES (2)");
    state_remove();
}

static void write_at(const char *path, off_t at, const void *data, size_t size) {
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    CHECK(fd >= 0 && pwrite(fd, data, size, at) == (ssize_t)size);
    close(fd);
}

static void what_is_no_database_is_refused(void) {
    state_make();
    char junk[4096];
    memset(junk, 'x', sizeof junk);
    write_at(state_file("state.db"), 0, junk, sizeof junk);
    refuses(GYR_MALFORMED,
            "DIR/state.db: not a database; move it away, or restore it from a backup (file is not a database)");
    remove(state_file("state.db"));
    mkdir(state_file("state.db"), 0700);
    refuses(GYR_IO, "DIR/state.db: not a regular file; move it away");
    rmdir(state_file("state.db"));
    mkfifo(state_file("state.db"), 0600);
    refuses(GYR_IO, "DIR/state.db: not a regular file; move it away");
    state_remove();
}

// Each page but the first overwritten in turn: reading all of it gives the rows or one line, and never a crash.
static void damage_is_found_where_it_is_read(void) {
    state_make();
    gyr_error e = {0};
    struct store *s = store_open(state_dir, &e);
    REQUIRE(s && store_begin(s, STORE_WRITE, &e));
    for (int i = 0; i < 2000; i++) {
        char name[32];
        snprintf(name, sizeof name, "counter number %d", i);
        store_run(s, put, "si", name, (int64_t)i);
    }
    CHECK(store_end(s, &e));
    store_close(s);
    struct stat st;
    CHECK(!stat(state_file("state.db"), &st));
    int found = 0;
    for (off_t at = 4096; at < st.st_size; at += 4096) {
        char page[4096], junk[4096];
        memset(junk, 0xa5, sizeof junk);
        int fd = open(state_file("state.db"), O_RDWR);
        CHECK(pread(fd, page, sizeof page, at) == sizeof page && pwrite(fd, junk, sizeof junk, at) == sizeof junk);
        s = store_open(state_dir, &e);
        if (s && store_begin(s, STORE_READ, &e)) {
            sqlite3_stmt *q = store_query(s, "SELECT name, value FROM counters", "");
            while (store_next(s, q)) {}
            if (!store_end(s, &e)) {
                CHECK_INT(e.status, GYR_MALFORMED);
                CHECK(strstr(e.message, "state.db: damaged; restore it from a backup"));
                found++;
            }
        }
        store_close(s);
        CHECK(pwrite(fd, page, sizeof page, at) == sizeof page);
        close(fd);
    }
    CHECK(found > 5);
    s = store_open(state_dir, &e);
    REQUIRE(s);
    CHECK_INT(value(s, "counter number 1999"), 1999);
    store_close(s);
    state_remove();
}

// Runs in a child, whose limits and rights are its own; its exit status is 0 if all was as it should be.
static int in_child(int (*fn)(void)) {
    pid_t pid = fork();
    if (!pid) {
        int bad = fn();
        fflush(stdout);
        _exit(bad);
    }
    int status;
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 99;
}

static bool as_nobody(void) { return geteuid() != 0 || !setresuid(65534, 65534, 65534); }

static int open_without_rights(void) {
    gyr_error e = {0};
    if (!as_nobody()) return 1;
    if (store_open(state_file("a"), &e)) return 2;
    if (e.status != GYR_IO) return 3;
    return strcmp(state_said(&e),
                  "DIR/a: cannot be made: Permission denied; set GYR_STATE to a folder that may be written")
           ? puts(e.message),
           4 : 0;
}

static int open_read_only(void) {
    gyr_error e = {0};
    if (!as_nobody()) return 1;
    if (store_open(state_dir, &e)) return 2;
    if (e.status != GYR_IO) return 3;
    return strcmp(state_said(&e), "DIR/state.db: may not be written; check who owns it and its folder (attempt to "
                                  "write a readonly database)")
           ? puts(e.message),
           4 : 0;
}

static void a_folder_that_may_not_be_written_is_refused(void) {
    state_make();
    chmod(state_dir, 0555);
    CHECK_INT(in_child(open_without_rights), 0);
    chmod(state_dir, 0700);
    store_close(store_open(state_dir, NULL));
    chmod(state_file("state.db"), 0444);
    chmod(state_dir, 0555);
    CHECK_INT(in_child(open_read_only), 0);
    chmod(state_dir, 0700);
    state_remove();
}

// The disk gives nothing beyond so many bytes of a file.
static int write_until_full(void) {
    gyr_error e = {0};
    signal(SIGXFSZ, SIG_IGN);
    struct store *s = store_open(state_dir, &e);
    struct rlimit limit = {400000, 400000};
    if (!s || setrlimit(RLIMIT_FSIZE, &limit)) return 1;
    char name[1024];
    int64_t n = 0;
    for (; n < 5000; n++) {
        memset(name, 'n', sizeof name);
        snprintf(name, sizeof name, "%0999lld", (long long)n);
        if (!set(s, name, n, &e)) break;
    }
    if (n == 5000 || n < 10) return 2;
    if (e.status != GYR_IO || !strstr(e.message, "state.db: the disk")) return puts(e.message), 3;
    // What was written before is there, and can be read in the same process.
    for (int64_t i = 0; i < n; i++) {
        snprintf(name, sizeof name, "%0999lld", (long long)i);
        if (value(s, name) != i) return 4;
    }
    store_close(s);
    return 0;
}

static void a_full_disk_loses_nothing_that_was_written(void) {
    state_make();
    CHECK_INT(in_child(write_until_full), 0);
    gyr_error e = {0};
    struct store *s = store_open(state_dir, &e);
    REQUIRE(s);
    CHECK(set(s, "after", 1, &e));
    char name[1024];
    snprintf(name, sizeof name, "%0999d", 9);
    CHECK_INT(value(s, name), 9);
    store_close(s);
    state_remove();
}

static void the_first_failure_undoes_all(void) {
    state_make();
    gyr_error e = {0};
    struct store *s = store_open(state_dir, &e);
    REQUIRE(s && store_begin(s, STORE_WRITE, &e));
    store_run(s, put, "si", "x", (int64_t)1);
    CHECK(store_good(s));
    store_refuse(s, GYR_USAGE, "no: %d", 7);
    CHECK(!store_good(s));
    store_refuse(s, GYR_IO, "later");
    store_run(s, put, "si", "y", (int64_t)1);
    CHECK(!store_next(s, store_query(s, get, "s", "x")));
    CHECK(!store_end(s, &e));
    CHECK_INT(e.status, GYR_USAGE);
    CHECK_STR(e.message, "no: 7");
    CHECK_INT(value(s, "x"), -1);
    CHECK(store_begin(s, STORE_WRITE, &e));
    store_run(s, "INSERT INTO nowhere VALUES (1)", "");
    CHECK(!store_end(s, &e));
    CHECK_STR(state_said(&e), "DIR/state.db: no such table: nowhere (SQLite's status 1)");
    CHECK(set(s, "x", 2, &e));
    CHECK_INT(value(s, "x"), 2);
    store_close(s);
    state_remove();
}

// Another process writes for a while; this one waits, and sees that something was written.
static int write_slowly(void) {
    gyr_error e = {0};
    struct store *s = store_open(state_dir, &e);
    if (!s || !store_begin(s, STORE_WRITE, &e)) return 1;
    store_run(s, put, "si", "theirs", (int64_t)5);
    close(open(state_file("begun"), O_CREAT | O_WRONLY, 0600));
    usleep(200000);
    bool good = store_end(s, &e);
    store_close(s);
    return good ? 0 : 2;
}

static void processes_take_turns(void) {
    state_make();
    gyr_error e = {0};
    store_close(store_open(state_dir, &e));
    pid_t pid = fork();
    if (!pid) _exit(write_slowly());
    struct store *s = store_open(state_dir, &e);
    REQUIRE(s);
    while (access(state_file("begun"), F_OK)) usleep(1000);
    int64_t before = store_version(s);
    CHECK_INT(value(s, "theirs"), -1); // readers do not wait, and see what is committed
    CHECK_INT(store_version(s), before);
    CHECK(set(s, "ours", 6, &e));
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    CHECK(store_version(s) != before);
    CHECK_INT(value(s, "theirs"), 5);
    CHECK_INT(value(s, "ours"), 6);
    before = store_version(s);
    CHECK(set(s, "ours", 7, &e));
    CHECK_INT(store_version(s), before); // what it wrote itself is no news
    store_close(s);
    state_remove();
}

static int open_all_at_once(void) {
    int status, bad = 0;
    for (int i = 0; i < 8; i++)
        if (!fork()) {
            gyr_error e = {0};
            struct store *s = store_open(state_dir, &e);
            char name[16];
            snprintf(name, sizeof name, "of %d", i);
            if (!s || !set(s, name, i, &e)) puts(e.message);
            fflush(stdout);
            _exit(!s || e.status);
        }
    while (wait(&status) > 0) bad += status != 0;
    return bad;
}

static void many_may_open_a_new_state_at_once(void) {
    state_make();
    CHECK_INT(in_child(open_all_at_once), 0);
    gyr_error e = {0};
    struct store *s = store_open(state_dir, &e);
    REQUIRE(s);
    CHECK_INT(value(s, "of 7"), 7);
    store_close(s);
    state_remove();
}

static void *count_up(void *arg) {
    struct store *s = arg;
    gyr_error e;
    for (int i = 0; i < 50; i++) {
        if (!store_begin(s, STORE_NOTE, &e)) return NULL;
        int64_t n = store_number(s, 0, get, "s", "shared");
        store_run(s, put, "si", "shared", n + 1);
        store_end(s, &e);
    }
    return NULL;
}

static void threads_take_turns(void) {
    state_make();
    gyr_error e = {0};
    struct store *s = store_open(state_dir, &e);
    REQUIRE(s);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) CHECK(!pthread_create(&threads[i], NULL, count_up, s));
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    CHECK_INT(value(s, "shared"), 200);
    store_close(s);
    state_remove();
}

int main(void) {
    RUN(a_state_is_made_and_opened_again);
    RUN(the_folder_is_the_environments);
    RUN(a_newer_schema_is_refused_by_its_number);
    RUN(an_older_state_is_brought_up_to_date);
    RUN(another_programs_database_is_left_alone);
    RUN(what_is_no_database_is_refused);
    RUN(damage_is_found_where_it_is_read);
    RUN(a_folder_that_may_not_be_written_is_refused);
    RUN(a_full_disk_loses_nothing_that_was_written);
    RUN(the_first_failure_undoes_all);
    RUN(processes_take_turns);
    RUN(many_may_open_a_new_state_at_once);
    RUN(threads_take_turns);
    return test_end();
}
