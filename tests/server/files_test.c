// Clients' files and objects: kept, found by their owner alone, listed in pages, limited, expired and swept.
#include "state.h"

#include "server/files.h"
#include "server/keys.h"
#include "server/objects.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <utime.h>

static const struct file_limits no_limits = {0};

static struct stored_file wish(int64_t owner, const char *name) {
    struct stored_file f = {.owner = owner, .purpose = "batch"};
    snprintf(f.name, sizeof f.name, "%s", name);
    return f;
}

static bool keep(struct store *s, struct stored_file f, const char *text, const struct file_limits *limits, int64_t now,
                 struct stored_file *made, gyr_error *e) {
    struct file_writer *w = file_new(s, &f, limits, e);
    if (w && file_write(w, text, strlen(text), e)) return file_finish(w, now, made, e);
    file_drop(w);
    return false;
}

static char *contents(struct store *s, const char *id) {
    static char text[256];
    gyr_error e = {0};
    int fd = file_open(s, id, &e);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    close(fd);
    if (n < 0) return NULL;
    text[n] = 0;
    return text;
}

// Files in the folder files/, whatever they are called.
static int count_files(void) {
    char command[400];
    snprintf(command, sizeof command, "ls -A '%s/files' 2>/dev/null | wc -l", state_dir);
    FILE *p = popen(command, "r");
    int n = -1;
    if (p && fscanf(p, "%d", &n) != 1) n = -1;
    if (p) pclose(p);
    return n;
}

static void a_file_is_its_owners(void) {
    state_make();
    gyr_error e = {0};
    struct stored_file made, found;
    struct store *s = store_open(state_dir, &e);
    REQUIRE(s && keep(s, wish(1, "in.jsonl"), "hello", &no_limits, 100, &made, &e));
    CHECK_INT(strlen(made.id), FILE_ID);
    CHECK(!strncmp(made.id, "file-", 5) && made.bytes == 5 && made.created == 100 && made.expires == 0);
    CHECK(file_find(s, 1, made.id, 200, &found, &e));
    CHECK(!strcmp(made.id, found.id) && found.owner == 1 && found.bytes == 5 && found.created == 100 && !found.expires);
    CHECK_STR(found.name, "in.jsonl");
    CHECK_STR(found.purpose, "batch");
    CHECK_STR(contents(s, made.id), "hello");
    CHECK(file_find(s, OWNER_ANY, made.id, 200, &found, &e));
    CHECK(!file_find(s, 2, made.id, 200, &found, &e));
    CHECK_INT(e.status, GYR_USAGE);
    CHECK(!file_find(s, 1, "file-../../etc/passwd", 200, &found, &e));
    CHECK_STR(e.message, "file file-../../etc/passwd: there is none");
    CHECK(!file_delete(s, 2, made.id, 200, &e));
    CHECK_STR(contents(s, made.id), "hello");
    CHECK(file_delete(s, 1, made.id, 200, &e));
    CHECK(!contents(s, made.id) && !file_find(s, 1, made.id, 200, &found, &e));
    CHECK(!file_delete(s, 1, made.id, 200, &e));
    CHECK_INT(count_files(), 0);
    static const char *const bad[] = {"file-../../../../../../etc/pass", "../state.db", "",
                                      "file-AAAAAAAAAAAAAAAAAAAAAAA/"};
    for (int i = 0; i < 4; i++) CHECK(file_open(s, bad[i], &e) == -1 && e.status == GYR_MALFORMED);
    store_close(s);
    state_remove();
}

static void what_is_given_up_leaves_nothing(void) {
    state_make();
    gyr_error e = {0};
    struct stored_file f = wish(1, "a"), made;
    struct store *s = store_open(state_dir, &e);
    REQUIRE(s);
    struct file_writer *w = file_new(s, &f, &no_limits, &e);
    CHECK(w && file_write(w, "abc", 3, &e));
    CHECK_INT(count_files(), 1);
    file_drop(w);
    CHECK_INT(count_files(), 0);
    static const char *const names[] = {"", "a\nb", "\xff", "\x1b[2J"};
    for (int i = 0; i < 4; i++) {
        CHECK(!keep(s, wish(1, names[i]), "x", &no_limits, 1, &made, &e));
        CHECK_STR(e.message, "file: its name and purpose must be text without control characters");
    }
    CHECK_INT(count_files(), 0);
    store_close(s);
    state_remove();
}

static void there_are_limits_by_file_owner_and_all(void) {
    state_make();
    gyr_error e = {0};
    struct stored_file made;
    const struct file_limits l = {5, 8, 12};
    int64_t bytes = -1;
    struct store *s = store_open(state_dir, &e);
    REQUIRE(s);
    CHECK(!keep(s, wish(1, "big"), "123456", &l, 1, &made, &e));
    CHECK_INT(e.status, GYR_TOO_LONG);
    CHECK_STR(e.message, "file big: larger than the 5 bytes that a file may have");
    CHECK(keep(s, wish(1, "a"), "12345", &l, 1, &made, &e));
    CHECK(!keep(s, wish(1, "b"), "1234", &l, 1, &made, &e));
    CHECK_STR(e.message, "file b: this key's files would have more than the 8 bytes that they may have; delete some");
    CHECK(keep(s, wish(1, "b"), "123", &l, 1, &made, &e));
    CHECK(keep(s, wish(2, "c"), "123", &l, 1, &made, &e));
    CHECK(!keep(s, wish(2, "d"), "12", &l, 1, &made, &e));
    CHECK_INT(e.status, GYR_TOO_LONG);
    CHECK_STR(e.message, "file d: all files would have more than the 12 bytes that they may have; delete some");
    CHECK(keep(s, wish(2, "d"), "1", &l, 1, &made, &e));
    CHECK(files_bytes(s, 1, &bytes, &e) && bytes == 8);
    CHECK(files_bytes(s, OWNER_ANY, &bytes, &e) && bytes == 12);
    CHECK_INT(count_files(), 4);
    store_close(s);
    state_remove();
}

static void lists_come_in_pages(void) {
    state_make();
    gyr_error e = {0};
    struct stored_file made[6], other, *page;
    size_t n;
    bool more;
    struct store *s = store_open(state_dir, &e);
    REQUIRE(s);
    for (int i = 0; i < 5; i++) CHECK(keep(s, wish(1, "f"), "x", &no_limits, 100, &made[i], &e));
    CHECK(keep(s, wish(2, "g"), "x", &no_limits, 100, &other, &e));
    struct stored_file f = wish(1, "h");
    snprintf(f.purpose, sizeof f.purpose, "user_data");
    CHECK(keep(s, f, "x", &no_limits, 100, &made[5], &e));
    struct file_query q = {.owner = 1, .limit = 2};
    REQUIRE((page = files_list(s, &q, 100, &n, &more, &e)));
    CHECK(n == 2 && more && !strcmp(page[0].id, made[5].id) && !strcmp(page[1].id, made[4].id));
    free(page);
    q = (struct file_query){.owner = 1, .limit = 3, .after = made[4].id, .purpose = "batch"};
    REQUIRE((page = files_list(s, &q, 100, &n, &more, &e)));
    CHECK(n == 3 && more && !strcmp(page[0].id, made[3].id));
    free(page);
    q.after = made[1].id;
    REQUIRE((page = files_list(s, &q, 100, &n, &more, &e)));
    CHECK(n == 1 && !more && !strcmp(page[0].id, made[0].id));
    free(page);
    q = (struct file_query){.owner = OWNER_ANY, .limit = 100, .ascending = true, .after = made[4].id};
    REQUIRE((page = files_list(s, &q, 100, &n, &more, &e)));
    CHECK(n == 2 && !more && !strcmp(page[0].id, other.id));
    free(page);
    q = (struct file_query){.owner = 2, .limit = 100, .after = made[4].id};
    CHECK(!files_list(s, &q, 100, &n, &more, &e));
    CHECK_INT(e.status, GYR_USAGE);
    store_close(s);
    state_remove();
}

static void make_old(const char *name, int64_t at) {
    struct utimbuf times = {at, at};
    close(open(state_file(name), O_CREAT | O_WRONLY, 0600));
    CHECK(!utime(state_file(name), &times));
}

static void a_sweep_takes_what_is_nobodys(void) {
    state_make();
    gyr_error e = {0};
    struct stored_file a = wish(1, "a"), b = wish(1, "b"), c = wish(0, "c"), ma, mb, mc;
    int64_t now = 1000000;
    char text[KEY_TEXT], name[64];
    struct key k = {.name = "ann"};
    struct store *s = store_open(state_dir, &e);
    REQUIRE(s && keys_add(s, &k, now, text, &e));
    a.expires = now + 10;
    CHECK(keep(s, a, "x", &no_limits, now, &ma, &e) && keep(s, b, "x", &no_limits, now, &mb, &e));
    CHECK(keep(s, c, "x", &no_limits, now, &mc, &e));
    snprintf(name, sizeof name, "files/%s", mc.id);
    make_old(name, 1); // old, but it has a row
    make_old("files/file-left.part", now - 86400);
    make_old("files/file-young.part", now - 86399);
    CHECK(files_sweep(s, now, &e));
    CHECK_INT(count_files(), 4);
    CHECK(access(state_file("files/file-left.part"), F_OK));
    struct stored_file found;
    CHECK(!file_find(s, 1, ma.id, now + 10, &found, &e)); // it has expired before it is swept
    CHECK(files_sweep(s, now + 10, &e));
    CHECK(!contents(s, ma.id) && contents(s, mb.id));
    CHECK(keys_remove(s, "ann", now + 20, &e) && files_sweep(s, now + 20, &e));
    CHECK(!contents(s, mb.id) && contents(s, mc.id));
    CHECK_INT(count_files(), 1);
    store_close(s);
    state_remove();
}

static int write_until_full(void) {
    gyr_error e = {0};
    struct stored_file f = wish(1, "a"), made;
    struct rlimit limit = {200000, 200000};
    static char block[10000];
    signal(SIGXFSZ, SIG_IGN);
    struct store *s = store_open(state_dir, &e);
    if (!s || !keep(s, f, "kept", &no_limits, 1, &made, &e) || setrlimit(RLIMIT_FSIZE, &limit)) return 1;
    struct file_writer *w = file_new(s, &f, &no_limits, &e);
    int n = 0;
    while (w && n < 100 && file_write(w, block, sizeof block, &e)) n++;
    if (n != 20 || e.status != GYR_IO || !strstr(e.message, "File too large; make room on the disk"))
        return puts(e.message), 2;
    file_drop(w);
    if (count_files() != 1 || strcmp(contents(s, made.id), "kept")) return 3;
    store_close(s);
    return 0;
}

static void a_full_disk_leaves_no_half_file(void) {
    state_make();
    pid_t pid = fork();
    if (!pid) {
        int bad = write_until_full();
        fflush(stdout);
        _exit(bad);
    }
    int status;
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    CHECK_INT(status, 0);
    state_remove();
}

static void objects_are_kept_by_owner(void) {
    state_make();
    gyr_error e = {0};
    const struct object_limits none = {0}, few = {20, 30};
    struct store *s = store_open(state_dir, &e);
    REQUIRE(s);
    CHECK(object_put(s, "response", "resp_1", 1, "{\"a\":1}", 100, 200, &none, &e));
    char *json = object_get(s, "response", "resp_1", 1, 150, &e);
    CHECK_STR(json, "{\"a\":1}");
    free(json);
    CHECK(!object_get(s, "response", "resp_1", 2, 150, &e));
    CHECK_STR(e.message, "response resp_1: there is none");
    CHECK(!object_get(s, "conversation", "resp_1", 1, 150, &e) && !object_get(s, "response", "resp_1", 1, 200, &e));
    CHECK(!object_put(s, "response", "resp_1", 2, "{}", 100, 0, &none, &e));
    CHECK_STR(e.message, "response resp_1: is another key's");
    CHECK(object_put(s, "response", "resp_1", 1, "{\"a\":2}", 100, 0, &none, &e));
    json = object_get(s, "response", "resp_1", 1, 999, &e);
    CHECK_STR(json, "{\"a\":2}");
    free(json);
    CHECK(!object_put(s, "response", "resp_2", 1, "{\"a\":\"123456789012345\"}", 100, 0, &few, &e));
    CHECK_INT(e.status, GYR_TOO_LONG);
    CHECK(object_put(s, "response", "resp_2", 1, "{\"a\":\"1234567890\"}", 100, 50, &few, &e));
    CHECK(!object_put(s, "response", "resp_3", 1, "{\"a\":3}", 100, 0, &few, &e));
    CHECK_STR(e.message, "response resp_3: this key's would have more than the 30 bytes that are kept; delete some");
    CHECK(object_put(s, "response", "resp_2", 1, "{\"a\":\"0987654321\"}", 100, 50, &few, &e)); // in its own place
    CHECK(objects_sweep(s, 60, &e));
    CHECK(object_put(s, "response", "resp_3", 1, "{\"a\":3}", 100, 0, &few, &e));
    CHECK(!object_delete(s, "response", "resp_3", 2, 100, &e) && object_delete(s, "response", "resp_3", 1, 100, &e));
    CHECK(!object_delete(s, "response", "resp_3", 1, 100, &e));
    CHECK(!object_put(s, "response", "", 1, "{}", 1, 0, &none, &e));
    store_close(s);
    state_remove();
}

int main(void) {
    RUN(a_file_is_its_owners);
    RUN(what_is_given_up_leaves_nothing);
    RUN(there_are_limits_by_file_owner_and_all);
    RUN(lists_come_in_pages);
    RUN(a_sweep_takes_what_is_nobodys);
    RUN(a_full_disk_leaves_no_half_file);
    RUN(objects_are_kept_by_owner);
    return test_end();
}
