#include "base/out.h"

#include "base/buf.h"
#include "base/map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ROOM = 1 << 20, TRIES = 100 };

struct out {
    char *path, *temp; // temp: NULL for a device
    int fd;
    size_t used;
    char data[ROOM];
};

static bool cannot_write(const struct out *o, int why, gyr_error *e) {
    return fail(e, GYR_IO, "%s: %s; %s", o->path, strerror(why),
                why == ENOSPC || why == EDQUOT ? "free some space or write elsewhere"
                                               : "choose another place to write to");
}

static bool create(struct out *o, unsigned mode, gyr_error *e) {
    o->fd = -1;
    errno = EEXIST;
    for (int i = 0; i < TRIES && o->fd < 0 && errno == EEXIST; i++) {
        struct buf name = {0};
        buf_printf(&name, "%s.%ld.%d.part", o->path, (long)getpid(), i);
        free(o->temp);
        o->temp = buf_take(&name);
        if (!o->temp) return fail_memory(e, o->path);
        o->fd = open(o->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    }
    if (o->fd >= 0) return true;
    int why = errno;
    free(o->temp);
    o->temp = NULL; // not ours to remove
    return cannot_write(o, why, e);
}

static bool start(struct out *o, unsigned mode, gyr_error *e) {
    struct stat st;
    bool there = !stat(o->path, &st);
    if (!there || S_ISREG(st.st_mode)) return create(o, mode, e);
    if (!S_ISCHR(st.st_mode)) return fail(e, GYR_IO, "%s: is not a regular file; choose another name", o->path);
    o->fd = open(o->path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    return o->fd >= 0 || cannot_write(o, errno, e);
}

struct out *out_open(const char *path, unsigned mode, gyr_error *e) {
    struct out *o = malloc(sizeof *o);
    if (o) {
        o->temp = NULL;
        o->fd = -1;
        o->used = 0;
        o->path = strdup(path);
    }
    if (o && o->path && start(o, mode, e)) return o;
    if (!o || !o->path) fail_memory(e, path);
    if (o) out_close(o, false, NULL);
    return NULL;
}

bool out_reserve(struct out *o, uint64_t size, gyr_error *e) {
    if (!o->temp || !size) return true;
    if (size > INT64_MAX) return cannot_write(o, EFBIG, e);
    // Keeps the file's length; file systems without it answer EOPNOTSUPP and find a full disk while writing.
    if (!fallocate(o->fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)size)) return true;
    bool full = errno == ENOSPC || errno == EDQUOT || errno == EFBIG;
    return !full || cannot_write(o, errno, e);
}

static bool write_all(struct out *o, const char *data, size_t size, gyr_error *e) {
    while (size) {
        ssize_t n = write(o->fd, data, size);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return cannot_write(o, errno, e);
        data += n;
        size -= (size_t)n;
    }
    return true;
}

static bool flush(struct out *o, gyr_error *e) {
    size_t n = o->used;
    o->used = 0;
    return write_all(o, o->data, n, e);
}

bool out_write(struct out *o, const void *data, size_t size, gyr_error *e) {
    if (size > ROOM - o->used && !flush(o, e)) return false;
    if (size >= ROOM) return write_all(o, data, size, e);
    memcpy(o->data + o->used, data, size);
    o->used += size;
    return true;
}

bool out_show(struct out *o, uint64_t size, const char **temp, gyr_error *e) {
    *temp = o->temp;
    if (!flush(o, e)) return false;
    bool ok = !o->temp || (size <= INT64_MAX && !ftruncate(o->fd, (off_t)size));
    return ok || cannot_write(o, size <= INT64_MAX ? errno : EFBIG, e);
}

static bool finish(struct out *o, gyr_error *e) {
    if (!flush(o, e)) return false;
    if (o->temp && fsync(o->fd)) return cannot_write(o, errno, e);
    int fd = o->fd;
    o->fd = -1;
    if (close(fd)) return cannot_write(o, errno, e);
    if (!o->temp) return true;
    if (rename(o->temp, o->path)) return cannot_write(o, errno, e);
    sync_folder_of(o->path);
    free(o->temp);
    o->temp = NULL;
    return true;
}

bool out_close(struct out *o, bool keep, gyr_error *e) {
    bool ok = !keep || finish(o, e);
    if (o->fd >= 0) close(o->fd);
    if (o->temp) unlink(o->temp);
    free(o->temp);
    free(o->path);
    free(o);
    return ok;
}
