// The cache of rewritten weights: what is kept is used again, and nothing else is.
#include "engine/cache.h"

#include "gyr.h"
#include "test.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/gyr-cache-XXXXXX", inner[64];

static const size_t sizes[] = {5000, 70, 4096};
static uint8_t tiles[3][5000];
static uint8_t *const rooms[] = {tiles[0], tiles[1], tiles[2]};

static struct cache_want wanted(uint64_t key) { return (struct cache_want){key, "/models/some.gguf", sizes, 3}; }

static bool give(void *arg, size_t i, size_t at, size_t bytes, void *to) {
    memcpy(to, ((uint8_t *const *)arg)[i] + at, bytes);
    return true;
}

static void keep(uint64_t key) {
    struct cache c;
    struct cache_want want = wanted(key);
    REQUIRE(cache_make(&c, &want));
    cache_write(&c, &want, give, (void *)rooms);
    cache_close(&c);
}

static bool found(uint64_t key) {
    struct cache c;
    struct cache_want want = wanted(key);
    uint8_t *at[3];
    if (!cache_find(&c, &want, at)) return false;
    for (int i = 0; i < 3; i++) CHECK(!memcmp(at[i], tiles[i], sizes[i]));
    cache_close(&c);
    return true;
}

static void path_of(uint64_t key, char *out, size_t size) {
    snprintf(out, size, "%s/%016llx.tiles", inner, (unsigned long long)key);
}

static void keeps(void) {
    struct stat st;
    char path[128];
    for (size_t i = 0; i < sizeof tiles; i++) tiles[i / 5000][i % 5000] = (uint8_t)(i * 7 + i / 256);
    CHECK(!found(1));
    keep(1);
    CHECK(found(1));
    CHECK(!found(2));
    path_of(1, path, sizeof path);
    CHECK(!stat(path, &st) && (st.st_mode & 0777) == 0600);
    CHECK(!stat(inner, &st) && (st.st_mode & 0777) == 0700);
}

static void change(const char *path, off_t at, const void *bytes, size_t n) {
    int fd = open(path, O_WRONLY);
    CHECK(fd >= 0 && pwrite(fd, bytes, n, at) == (ssize_t)n);
    close(fd);
}

// Every field of the header, the beginning, middle and end of a matrix, the length: any of them wrong, and the file is
// not used, and can be written again.
static void notices(void) {
    static const off_t places[] = {0,    8,    12,          16,          24,         32,          40,
                                   1064, 4096, 4096 + 2500, 4096 + 4999, 12288 + 10, 16384 + 4095};
    char path[128];
    path_of(1, path, sizeof path);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        uint8_t byte = 0, other;
        int fd = open(path, O_RDONLY);
        CHECK(fd >= 0 && pread(fd, &byte, 1, places[i]) == 1);
        close(fd);
        other = byte ^ 16;
        change(path, places[i], &other, 1);
        CHECK(!found(1));
        if (i % 2)
            keep(1);
        else
            change(path, places[i], &byte, 1);
        CHECK(found(1));
    }
    CHECK(!truncate(path, 20000) && !found(1));
    CHECK(!truncate(path, 0) && !found(1));
    CHECK(!unlink(path) && !symlink("/dev/zero", path) && !found(1));
    CHECK(!unlink(path) && !mkfifo(path, 0600) && !found(1));
    CHECK(!unlink(path));
    keep(1);
    CHECK(found(1));
    struct cache c;
    struct cache_want want = wanted(1);
    uint8_t *at[3];
    want.n = 2;
    CHECK(!cache_find(&c, &want, at));
}

static size_t count(bool parts) {
    size_t n, some = 0;
    uint64_t limit;
    struct cache_entry *all = cache_list(inner, &n, &limit);
    for (size_t i = 0; i < n; i++) some += all[i].part == parts;
    free(all);
    return some;
}

static void used_at(uint64_t key, time_t when) {
    char path[128];
    path_of(key, path, sizeof path);
    CHECK(!utimensat(AT_FDCWD, path, (struct timespec[]){{when, 0}, {when, 0}}, 0));
}

static void makes_room(void) {
    uint64_t size = 5 * 4096;
    for (uint64_t key = 1; key <= 4; key++) {
        keep(key);
        used_at(key, (time_t)(key == 2 ? 900 : 100 * key));
    }
    CHECK_INT(count(false), 4);
    CHECK(!cache_room(inner, size, size - 1));
    CHECK_INT(count(false), 4);
    CHECK(cache_room(inner, size, 5 * size));
    CHECK_INT(count(false), 4);
    CHECK(cache_room(inner, size, 3 * size));
    CHECK(!found(1) && found(2) && !found(3) && found(4));
    CHECK(!cache_room(inner, UINT64_MAX / 2, UINT64_MAX));
    CHECK_INT(count(false), 2);
}

// A part is left alone while somebody holds it, and goes when nobody does.
static void parts(void) {
    struct cache c;
    struct cache_want want = wanted(9);
    REQUIRE(cache_make(&c, &want));
    CHECK(cache_room(inner, 1, UINT64_MAX));
    CHECK(!access(c.part, F_OK));
    cache_close(&c);
    CHECK_INT(count(true), 0);
    char path[128];
    snprintf(path, sizeof path, "%s/0000000000000009.77.part", inner);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    CHECK_INT(count(true), 1);
    CHECK(cache_room(inner, 1, UINT64_MAX));
    CHECK_INT(count(true), 0);
    CHECK(!found(9));
}

static void no_room(void) {
    struct cache c;
    const size_t much[] = {(size_t)1 << 50};
    struct cache_want want = {5, "x", much, 1};
    CHECK(!cache_make(&c, &want));
    setenv("XDG_CACHE_HOME", "/proc/nowhere", 1);
    want = wanted(5);
    CHECK(!cache_make(&c, &want));
    CHECK(!found(5));
    setenv("XDG_CACHE_HOME", folder, 1);
    CHECK_INT(count(true), 0);
}

static bool scores(const char *path, bool cache, float *out) {
    static const int32_t ids[] = {3, 1, 4};
    gyr_error e = {0};
    gyr_model *m = gyr_model_open(path, &(gyr_model_options){.threads = 2, .cache = cache}, &e);
    gyr_session *s = m ? gyr_session_new(m, NULL, &e) : NULL;
    bool ok = s && !gyr_session_feed(s, ids, 3, NULL, &e);
    if (ok) memcpy(out, gyr_session_logits(s), 1000 * sizeof *out);
    if (!ok) printf("%s\n", e.message);
    gyr_session_free(s);
    gyr_model_close(m);
    return ok;
}

static size_t occurrences(const char *text, const char *what) {
    size_t n = 0;
    for (const char *p = text; p && (p = strstr(p, what)); p++) n++;
    return n;
}

// The same scores without the cache, with a file made, found, spoiled, and of a changed model.
static void models(void) {
    char path[64];
    float want[1000], got[1000];
    gyr_error e = {0};
    snprintf(path, sizeof path, "%s/m.gguf", folder);
    CHECK_INT(gyr_cache_clear(NULL, NULL, &e), GYR_OK);
    for (int seed = 0; seed < 2; seed++) {
        gyr_synth_options o = {
            .shape = "falcon-rw-1b", .type = "q4_0", .layers = 1, .output = path, .seed = (uint64_t)seed};
        unlink(path);
        REQUIRE(!gyr_synth(&o, &e));
        REQUIRE(scores(path, false, want));
        for (int i = 0; i < 3; i++) {
            REQUIRE(scores(path, true, got));
            CHECK(!memcmp(want, got, sizeof want));
            char *list = gyr_cache_list(&e);
            CHECK_INT(occurrences(list, "\"model\""), seed + 1);
            CHECK(occurrences(list, "/m.gguf") == (size_t)seed + 1);
            gyr_free(list);
        }
    }
    // What the samples do not see shows that the file is what is multiplied with.
    size_t n;
    uint64_t limit, bytes = 0;
    struct cache_entry *all = cache_list(inner, &n, &limit);
    char kept[128], zeros[65536] = {0};
    snprintf(kept, sizeof kept, "%s/%s", inner, all[0].name);
    free(all);
    change(kept, 1 << 20, zeros, sizeof zeros);
    REQUIRE(scores(path, true, got));
    CHECK(memcmp(want, got, sizeof want));
    CHECK_INT(gyr_cache_clear("nothing.gguf", &bytes, &e), GYR_IO);
    CHECK_STR(e.message, "nothing.gguf: not in the cache; 'gyr cache' lists what is");
    CHECK_INT(gyr_cache_clear(path, &bytes, &e), GYR_OK);
    CHECK(bytes > 2u << 24);
    CHECK_INT(count(false), 0);
    unlink(path);
}

int main(void) {
    if (!mkdtemp(folder)) return 1;
    setenv("XDG_CACHE_HOME", folder, 1);
    snprintf(inner, sizeof inner, "%s/gyr", folder);
    RUN(keeps);
    RUN(notices);
    RUN(makes_room);
    RUN(parts);
    RUN(no_room);
    RUN(models);
    rmdir(inner);
    rmdir(folder);
    return test_end();
}
