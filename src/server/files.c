#include "server/files.h"

#include "base/map.h"
#include "base/utf8.h"
#include "server/secret.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct file_writer {
    struct store *store;
    struct stored_file file;
    struct file_limits limits;
    char *part, *path; // of the contents on the way, and when they are whole
    int fd;
    bool closed, kept;
};

static char *path_of(const struct store *s, const char *id, const char *ending, gyr_error *e) {
    struct buf b = {0};
    buf_printf(&b, "%s/files/%s%s", store_place(s), id, ending);
    char *path = buf_take(&b);
    if (!path) fail_memory(e, "files");
    return path;
}

// An id becomes part of a path: this is all that may be in it, whatever the database says.
static bool good_id(const char *id) {
    return strlen(id) == FILE_ID && !strncmp(id, "file-", 5) &&
           strspn(id + 5, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") == FILE_ID - 5;
}

static bool good_text(const char *s) {
    for (const char *p = s; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f) return false;
    return *s && utf8_valid(s, strlen(s));
}

// ---------------------------------------------------------------------------------------------------- writing

static void writer_free(struct file_writer *w) {
    if (w->fd >= 0) close(w->fd);
    free(w->part);
    free(w->path);
    free(w);
}

void file_drop(struct file_writer *w) {
    if (!w) return;
    if (!w->closed && w->part && w->fd >= 0) unlink(w->part);
    if (w->closed && !w->kept) unlink(w->path);
    writer_free(w);
}

static bool make_part(struct file_writer *w, gyr_error *e) {
    char *folder = path_of(w->store, "", "", e);
    bool ok = folder && (!mkdir(folder, 0700) || errno == EEXIST);
    if (folder && !ok) fail(e, GYR_IO, "%s: cannot be made: %s", folder, strerror(errno));
    free(folder);
    if (!ok) return false;
    w->fd = open(w->part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return w->fd >= 0 || fail(e, GYR_IO, "%s: %s", w->part, strerror(errno));
}

struct file_writer *file_new(struct store *s, const struct stored_file *wish, const struct file_limits *limits,
                             gyr_error *e) {
    if (!good_text(wish->name) || !good_text(wish->purpose))
        return fail_null(e, GYR_USAGE, "file: its name and purpose must be text without control characters");
    struct file_writer *w = calloc(1, sizeof *w);
    if (!w) return fail_memory(e, "files"), NULL;
    w->store = s;
    w->file = *wish;
    w->file.bytes = 0;
    w->limits = *limits;
    w->fd = -1;
    memcpy(w->file.id, "file-", 5);
    if (secret_random(w->file.id + 5, FILE_ID - 5, e) && (w->path = path_of(s, w->file.id, "", e)) &&
        (w->part = path_of(s, w->file.id, ".part", e)) && make_part(w, e))
        return w;
    file_drop(w);
    return NULL;
}

bool file_write(struct file_writer *w, const void *data, size_t size, gyr_error *e) {
    int64_t most = w->limits.file_bytes ? w->limits.file_bytes : INT64_MAX;
    if (size > (uint64_t)(most - w->file.bytes))
        return fail(e, GYR_TOO_LONG, "file %s: larger than the %lld bytes that a file may have", w->file.name,
                    (long long)most);
    for (const char *p = data; size;) {
        ssize_t n = write(w->fd, p, size);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return fail(e, GYR_IO, "%s: %s; make room on the disk", w->part, strerror(n ? errno : ENOSPC));
        p += n;
        size -= (size_t)n;
        w->file.bytes += n;
    }
    return true;
}

bool file_close(struct file_writer *w, gyr_error *e) {
    bool good = !fsync(w->fd);
    if (close(w->fd)) good = false;
    w->fd = -1;
    if (!good || rename(w->part, w->path)) {
        fail(e, GYR_IO, "%s: %s; make room on the disk", w->part, strerror(errno));
        unlink(w->part);
        return false;
    }
    w->closed = true;
    sync_folder_of(w->path);
    return true;
}

static const char bytes_of_all[] = "SELECT coalesce(sum(bytes), 0) FROM files";
static const char bytes_of_one[] = "SELECT coalesce(sum(bytes), 0) FROM files WHERE owner = ?";

static void check_quota(struct file_writer *w) {
    const struct stored_file *f = &w->file;
    struct store *s = w->store;
    const struct file_limits *l = &w->limits;
    if (l->owner_bytes && store_number(s, 0, bytes_of_one, "i", f->owner) > l->owner_bytes - f->bytes)
        store_refuse(s, GYR_TOO_LONG,
                     "file %s: this key's files would have more than the %lld bytes that they may have; "
                     "delete some",
                     f->name, (long long)l->owner_bytes);
    if (l->total_bytes && store_number(s, 0, bytes_of_all, "") > l->total_bytes - f->bytes)
        store_refuse(s, GYR_TOO_LONG,
                     "file %s: all files would have more than the %lld bytes that they may have; delete "
                     "some",
                     f->name, (long long)l->total_bytes);
}

void file_enter(struct file_writer *w, int64_t now, struct stored_file *made) {
    struct stored_file *f = &w->file;
    check_quota(w);
    f->created = now;
    store_run(w->store, "INSERT INTO files (id, owner, name, purpose, bytes, created, expires) VALUES (?,?,?,?,?,?,?)",
              "sissiii", f->id, f->owner, f->name, f->purpose, f->bytes, f->created, f->expires);
    *made = *f;
}

void file_kept(struct file_writer *w) { w->kept = true; }

bool file_finish(struct file_writer *w, int64_t now, struct stored_file *made, gyr_error *e) {
    if (file_close(w, e) && store_begin(w->store, STORE_WRITE, e)) {
        file_enter(w, now, made);
        w->kept = store_end(w->store, e);
    }
    bool good = w->kept;
    file_drop(w);
    return good;
}

// ---------------------------------------------------------------------------------------------------- finding

#define COLUMNS "id, owner, bytes, created, expires, name, purpose"

static void copy_text(sqlite3_stmt *q, int column, char *out, size_t size) {
    const char *text = (const char *)sqlite3_column_text(q, column);
    snprintf(out, size, "%s", text ? text : "");
}

static void read_row(sqlite3_stmt *q, struct stored_file *f) {
    copy_text(q, 0, f->id, sizeof f->id);
    f->owner = sqlite3_column_int64(q, 1);
    f->bytes = sqlite3_column_int64(q, 2);
    f->created = sqlite3_column_int64(q, 3);
    f->expires = sqlite3_column_int64(q, 4);
    copy_text(q, 5, f->name, sizeof f->name);
    copy_text(q, 6, f->purpose, sizeof f->purpose);
}

void file_look(struct store *s, int64_t owner, const char *id, int64_t now, struct stored_file *f) {
    sqlite3_stmt *q = store_query(s,
                                  "SELECT " COLUMNS " FROM files WHERE id = ?1 AND (owner = ?2 OR ?2 = -1) AND "
                                  "(expires = 0 OR expires > ?3)",
                                  "sii", id, owner, now);
    if (!store_next(s, q)) {
        store_refuse(s, GYR_USAGE, "file %.64s: there is none", id);
        return;
    }
    read_row(q, f);
    sqlite3_reset(q);
}

bool file_find(struct store *s, int64_t owner, const char *id, int64_t now, struct stored_file *f, gyr_error *e) {
    if (!store_begin(s, STORE_READ, e)) return false;
    file_look(s, owner, id, now, f);
    return store_end(s, e);
}

int file_open(struct store *s, const char *id, gyr_error *e) {
    if (!good_id(id)) return fail(e, GYR_MALFORMED, "%s: has a file with a damaged id", store_path(s)), -1;
    char *path = path_of(s, id, "", e);
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : -1;
    if (path && fd < 0) fail(e, GYR_IO, "%s: %s", path, strerror(errno));
    free(path);
    return fd;
}

struct stored_file *files_list(struct store *s, const struct file_query *want, int64_t now, size_t *count, bool *more,
                               gyr_error *e) {
    static const char up[] =
        "SELECT " COLUMNS " FROM files WHERE (owner = ?1 OR ?1 = -1) AND (expires = 0 OR expires > ?2) "
        "AND (?3 IS NULL OR purpose = ?3) AND seq > ?4 ORDER BY seq LIMIT ?5";
    static const char down[] =
        "SELECT " COLUMNS " FROM files WHERE (owner = ?1 OR ?1 = -1) AND (expires = 0 OR expires > ?2) "
        "AND (?3 IS NULL OR purpose = ?3) AND seq < ?4 ORDER BY seq DESC LIMIT ?5";
    size_t limit = want->limit < 1 ? 1 : want->limit > 10000 ? 10000 : want->limit, n = 0;
    struct stored_file *all = NULL;
    size_t room = 0;
    *more = false;
    if (!store_begin(s, STORE_READ, e)) return NULL;
    int64_t from = want->ascending ? 0 : INT64_MAX;
    if (want->after) {
        from = store_number(s, -1, "SELECT seq FROM files WHERE id = ?1 AND (owner = ?2 OR ?2 = -1)", "si", want->after,
                            want->owner);
        if (from < 0) store_refuse(s, GYR_USAGE, "after: file %.64s: there is none", want->after);
    }
    sqlite3_stmt *q =
        store_query(s, want->ascending ? up : down, "iisii", want->owner, now, want->purpose, from, (int64_t)limit + 1);
    if (!ARRAY_GROW(all, n, room)) store_refuse(s, GYR_NO_MEMORY, "files: out of memory");
    while (store_next(s, q)) {
        if (n == limit)
            *more = true;
        else if (ARRAY_GROW(all, n, room))
            read_row(q, &all[n++]);
        else
            store_refuse(s, GYR_NO_MEMORY, "files: out of memory");
    }
    *count = n;
    if (store_end(s, e)) return all;
    free(all);
    return NULL;
}

bool files_bytes(struct store *s, int64_t owner, int64_t *bytes, gyr_error *e) {
    if (!store_begin(s, STORE_READ, e)) return false;
    *bytes = owner == OWNER_ANY ? store_number(s, 0, bytes_of_all, "") : store_number(s, 0, bytes_of_one, "i", owner);
    return store_end(s, e);
}

// ---------------------------------------------------------------------------------------------------- removing

static void remove_contents(struct store *s, const char *id) {
    char *path = good_id(id) ? path_of(s, id, "", NULL) : NULL;
    if (path) unlink(path); // if that fails, a sweep finds it
    free(path);
}

bool file_delete(struct store *s, int64_t owner, const char *id, int64_t now, gyr_error *e) {
    struct stored_file f = {0};
    if (!store_begin(s, STORE_WRITE, e)) return false;
    file_look(s, owner, id, now, &f);
    sqlite3_stmt *q = store_query(s, "SELECT id FROM batches WHERE input_file = ? AND state < 4", "s", f.id);
    if (store_next(s, q))
        store_refuse(s, GYR_USAGE, "file %s: is in use by %s; cancel that first", f.id,
                     (const char *)sqlite3_column_text(q, 0));
    q = store_query(s, "SELECT id FROM tunes WHERE (training = ?1 OR validation = ?1) AND state < 4", "s", f.id);
    if (store_next(s, q))
        store_refuse(s, GYR_USAGE, "file %s: is in use by %s; cancel that first", f.id,
                     (const char *)sqlite3_column_text(q, 0));
    store_run(s, "DELETE FROM files WHERE id = ?", "s", f.id);
    if (!store_end(s, e)) return false;
    remove_contents(s, f.id);
    return true;
}

// The rows that are due, a hundred at a time, so that others get their turn.
static bool sweep_rows(struct store *s, int64_t now, gyr_error *e) {
    char ids[100][FILE_ID + 1];
    size_t n;
    do {
        n = 0;
        if (!store_begin(s, STORE_WRITE, e)) return false;
        sqlite3_stmt *q = store_query(s,
                                      "SELECT id FROM files WHERE ((expires > 0 AND expires <= ?) OR owner IN "
                                      "(SELECT id FROM keys WHERE removed > 0)) AND id NOT IN "
                                      "(SELECT input_file FROM batches WHERE state < 4 UNION SELECT training FROM "
                                      "tunes WHERE state < 4 UNION SELECT validation FROM tunes WHERE state < 4) "
                                      "LIMIT 100",
                                      "i", now);
        while (store_next(s, q)) copy_text(q, 0, ids[n++], sizeof ids[0]);
        for (size_t i = 0; i < n; i++) store_run(s, "DELETE FROM files WHERE id = ?", "s", ids[i]);
        if (!store_end(s, e)) return false;
        for (size_t i = 0; i < n; i++) remove_contents(s, ids[i]);
    } while (n == 100);
    return true;
}

static bool has_row(struct store *s, const char *id) {
    if (!store_begin(s, STORE_READ, NULL)) return true;
    int64_t n = store_number(s, 1, "SELECT count(*) FROM files WHERE id = ?", "s", id);
    return !store_end(s, NULL) || n;
}

static void sweep_file(struct store *s, int folder, const char *name, int64_t now) {
    struct stat st;
    if (name[0] == '.' || fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) || !S_ISREG(st.st_mode)) return;
    // Contents that are being written, by this process or another, are younger.
    if (st.st_mtim.tv_sec + 86400 <= now && !has_row(s, name)) unlinkat(folder, name, 0);
}

bool files_sweep(struct store *s, int64_t now, gyr_error *e) {
    if (!sweep_rows(s, now, e)) return false;
    char *path = path_of(s, "", "", e);
    if (!path) return false;
    DIR *folder = opendir(path);
    free(path);
    for (struct dirent *d; folder && (d = readdir(folder));) sweep_file(s, dirfd(folder), d->d_name, now);
    if (folder) closedir(folder);
    return true;
}
