#include "hub/store.h"

#include "base/map.h"
#include "format/json.h"
#include "hub/choose.h"
#include "hub/part.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { MAX_RECORDS = 16 << 20 };
static const char records_file[] = "/models.json", lock_file[] = "/.lock";

char *store_folder(const char *given, gyr_error *e) {
    const char *own = getenv("GYR_MODELS"), *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    struct buf b = {0};
    if (given)
        buf_puts(&b, given);
    else if (own && *own)
        buf_puts(&b, own);
    else if (data && *data == '/')
        buf_printf(&b, "%s/gyr/models", data);
    else if (home && *home)
        buf_printf(&b, "%s/.local/share/gyr/models", home);
    else
        return fail_null(e, GYR_USAGE, "models: no place to keep them; set GYR_MODELS to a folder");
    char *folder = buf_take(&b);
    return folder ? folder : (fail_memory(e, "models"), NULL);
}

static char *join(const char *a, const char *b) {
    struct buf text = {0};
    buf_printf(&text, "%s%s", a, b);
    return buf_take(&text);
}

const char *record_string(const json_t *record, const char *key) {
    const char *s = json_c_string(json_object_get(record, key));
    return s ? s : "";
}

static bool good_file(const json_t *f) {
    const json_t *size = json_object_get(f, "size");
    return path_is_safe(record_string(f, "path")) && json_is_integer(size) && json_integer_value(size) >= 0;
}

static bool good_record(const json_t *r) {
    const char *commit = record_string(r, "commit"), *open = record_string(r, "open");
    bool good = is_hex(commit, COMMIT_SIZE) && (!strcmp(open, ".") || path_is_safe(open)) &&
                *record_string(r, "revision") && json_is_string(json_object_get(r, "select")) &&
                json_is_boolean(json_object_get(r, "complete")) && json_is_array(json_object_get(r, "files"));
    size_t i;
    const json_t *f;
    json_array_foreach(json_object_get(r, "files"), i, f) good = good && good_file(f);
    return good;
}

json_t *records_read(const char *folder) {
    char *path = join(folder, records_file);
    json_t *root = path ? json_open(path, MAX_RECORDS, 0, NULL) : NULL, *records = json_array(), *r;
    size_t i;
    json_array_foreach(json_object_get(root, "models"), i, r) {
        if (good_record(r)) json_array_append(records, r);
    }
    json_decref(root);
    free(path);
    return records;
}

// The lock is on the file that has the name now: its last holder may have removed the one that was opened.
static bool is_current(int fd, const char *path) {
    struct stat a, b;
    return !fstat(fd, &a) && !stat(path, &b) && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static bool take_lock(struct shelf *s, bool make, bool (*wait)(void *, gyr_error *), void *user, gyr_error *e) {
    char *path = join(s->folder, lock_file);
    bool ok = path || fail_memory(e, s->folder);
    while (ok && s->lock < 0) {
        ok = !make || make_folders(path, e);
        if (ok) s->lock = open(path, O_RDWR | (make ? O_CREAT : 0) | O_CLOEXEC | O_NOFOLLOW, 0666);
        if (ok && s->lock < 0) ok = (make && errno == ENOENT) || cannot_store(path, errno, e);
        while (ok && s->lock >= 0 && flock(s->lock, LOCK_EX | LOCK_NB)) {
            struct timespec pause = {0, 100000000};
            ok = (errno == EWOULDBLOCK || errno == EINTR) || cannot_store(path, errno, e);
            ok = ok && wait(user, e);
            if (ok) nanosleep(&pause, NULL);
        }
        if (s->lock < 0 || is_current(s->lock, path)) continue;
        close(s->lock);
        s->lock = -1;
    }
    free(path);
    return ok;
}

bool shelf_open(struct shelf *s, const struct hub_name *name, const char *store, bool make,
                bool (*wait)(void *user, gyr_error *e), void *user, gyr_error *e) {
    *s = (struct shelf){.lock = -1};
    char *root = store_folder(store, e);
    struct buf b = {0};
    buf_printf(&b, "%s/%s/%s", root ? root : "", name->owner, name->repo);
    s->folder = buf_take(&b);
    bool ok = root && (s->folder || fail_memory(e, name->label)) && take_lock(s, make, wait, user, e);
    if (ok) s->records = records_read(s->folder);
    ok = ok && (s->records || fail_memory(e, name->label));
    free(root);
    if (!ok) shelf_close(s);
    return ok;
}

// Removes folders from `folder` up to, but not, the one `depth` above, as far as they are empty.
static void remove_empty(const char *folder, int depth) {
    char *path = strdup(folder);
    for (char *slash; path && depth-- && !rmdir(path) && (slash = strrchr(path, '/'));) *slash = 0;
    free(path);
}

void shelf_close(struct shelf *s) {
    if (s->records && !json_array_size(s->records)) {
        char *lock = join(s->folder, lock_file), *records = join(s->folder, records_file);
        if (records) unlink(records);
        if (lock) unlink(lock);
        remove_empty(s->folder, 2);
        free(lock);
        free(records);
    }
    if (s->lock >= 0) close(s->lock);
    json_decref(s->records);
    free(s->folder);
    *s = (struct shelf){.lock = -1};
}

static bool write_whole(const char *path, const char *text, gyr_error *e) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
    size_t size = strlen(text), at = 0;
    bool ok = fd >= 0;
    while (ok && at < size) {
        ssize_t n = write(fd, text + at, size - at);
        ok = n > 0 || (n < 0 && errno == EINTR);
        if (n > 0) at += (size_t)n;
    }
    ok = ok && !fsync(fd);
    int why = errno;
    if (fd >= 0) close(fd);
    return ok || cannot_store(path, why, e);
}

bool shelf_save(const struct shelf *s, gyr_error *e) {
    json_t *root = json_pack("{s:O}", "models", s->records);
    char *text = root ? json_dumps(root, JSON_INDENT(1)) : NULL;
    char *path = join(s->folder, records_file), *temp = path ? part_name(path) : NULL;
    bool ok = (text && temp) || fail_memory(e, s->folder);
    ok = ok && write_whole(temp, text, e) && (!rename(temp, path) || cannot_store(path, errno, e));
    if (ok) sync_folder_of(path);
    free(temp);
    free(path);
    free(text);
    json_decref(root);
    return ok;
}

bool record_matches(const json_t *record, const struct hub_name *name, bool any) {
    const char *open = record_string(record, "open"), *select = record_string(record, "select");
    bool pinned = is_hex(name->revision, COMMIT_SIZE) && !strcmp(name->revision, record_string(record, "commit"));
    if (!pinned && (name->has_revision || !any) && strcmp(name->revision, record_string(record, "revision")))
        return false;
    if (!*name->select) return any || !*select;
    return !strcasecmp(select, name->select) || path_matches(open, name->select);
}

char *record_name(const json_t *record, const char *owner, const char *repo) {
    const char *revision = record_string(record, "revision"), *select = record_string(record, "select");
    struct buf b = {0};
    buf_printf(&b, "hf:%s/%s", owner, repo);
    if (strcmp(revision, "main")) buf_printf(&b, "@%s", revision);
    if (*select) buf_printf(&b, ":%s", select);
    return buf_take(&b);
}

char *record_path(const char *folder, const json_t *record, const char *path) {
    struct buf b = {0};
    buf_printf(&b, "%s/%s", folder, record_string(record, "commit"));
    if (strcmp(path, ".")) buf_printf(&b, "/%s", path);
    return buf_take(&b);
}

uint64_t record_bytes(const char *folder, const json_t *record, bool *whole) {
    uint64_t bytes = 0;
    bool all = true;
    size_t i;
    const json_t *f;
    json_array_foreach(json_object_get(record, "files"), i, f) {
        char *path = record_path(folder, record, record_string(f, "path")), *part = path ? part_name(path) : NULL;
        struct stat st;
        bool there = path && !stat(path, &st) && S_ISREG(st.st_mode) &&
                     st.st_size == (off_t)json_integer_value(json_object_get(f, "size"));
        if (there || (part && !stat(part, &st))) bytes += (uint64_t)st.st_size;
        all = all && there;
        free(part);
        free(path);
    }
    if (whole) *whole = all;
    return bytes;
}

// Does another record than the one at `at` name this file?
static bool is_shared(const struct shelf *s, size_t at, const char *path) {
    const char *commit = record_string(json_array_get(s->records, at), "commit");
    size_t i, k;
    const json_t *r, *f;
    json_array_foreach(s->records, i, r) {
        if (i == at || strcmp(record_string(r, "commit"), commit)) continue;
        json_array_foreach(json_object_get(r, "files"), k, f) {
            if (!strcmp(record_string(f, "path"), path)) return true;
        }
    }
    return false;
}

static bool remove_file(const char *path, uint64_t *bytes, gyr_error *e) {
    struct stat st;
    if (lstat(path, &st)) return errno == ENOENT || errno == ENOTDIR || cannot_store(path, errno, e);
    if (unlink(path)) return cannot_store(path, errno, e);
    // What has another name as well is still there.
    if (bytes && st.st_nlink == 1) *bytes += (uint64_t)st.st_size;
    return true;
}

bool shelf_remove(struct shelf *s, size_t at, uint64_t *bytes, gyr_error *e) {
    json_t *record = json_array_get(s->records, at);
    size_t i;
    const json_t *f;
    bool ok = true;
    json_array_foreach(json_object_get(record, "files"), i, f) {
        const char *name = record_string(f, "path");
        if (is_shared(s, at, name)) continue;
        char *path = record_path(s->folder, record, name), *part = path ? part_name(path) : NULL;
        ok = ok && (part || fail_memory(e, s->folder)) && remove_file(path, bytes, e) && remove_file(part, bytes, e);
        int depth = 1;
        for (const char *c = name; *c; c++) depth += *c == '/';
        char *slash = path ? strrchr(path, '/') : NULL;
        if (slash) {
            *slash = 0;
            remove_empty(path, depth);
        }
        free(part);
        free(path);
    }
    return ok && !json_array_remove(s->records, at);
}
