// The folder of cache files: what is there, how much there may be, and who goes first.
#include "engine/cache.h"

#include "base/buf.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static bool ends_with(const char *name, const char *end) {
    size_t n = strlen(name), m = strlen(end);
    return n > m && !strcmp(name + n - m, end);
}

static int64_t nanoseconds(struct timespec t) {
    return (int64_t)((uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec);
}

static bool read_entry(int folder, const char *name, struct cache_entry *e) {
    struct stat st;
    bool part = ends_with(name, ".part");
    bool whole = ends_with(name, ".tiles") || ends_with(name, ".program");
    if (strlen(name) >= sizeof e->name || (!part && !whole)) return false;
    int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    bool ok = fd >= 0 && !fstat(fd, &st) && S_ISREG(st.st_mode);
    if (ok) {
        *e = (struct cache_entry){.bytes = (uint64_t)st.st_size, .used = nanoseconds(st.st_mtim), .part = part};
        snprintf(e->name, sizeof e->name, "%s", name);
        ssize_t got = pread(fd, e->source, sizeof e->source - 1, CACHE_SOURCE);
        e->source[got > 0 && !part ? (size_t)got : 0] = 0;
    }
    // A part that its writer still holds is none of ours.
    if (ok && part && flock(fd, LOCK_EX | LOCK_NB)) ok = false;
    if (fd >= 0) close(fd);
    return ok;
}

static int by_use(const void *a, const void *b) {
    const struct cache_entry *x = a, *y = b;
    return x->used < y->used ? 1 : x->used > y->used ? -1 : strcmp(x->name, y->name);
}

// Half of what is free on that disk, counting what the cache has of it.
static uint64_t limit_of(const char *folder, uint64_t used) {
    struct statvfs v;
    return statvfs(folder, &v) ? 0 : ((uint64_t)v.f_bavail * v.f_frsize + used) / 2;
}

struct cache_entry *cache_list(const char *folder, size_t *n, uint64_t *limit) {
    struct buf b = {0};
    uint64_t used = 0;
    DIR *d = opendir(folder);
    *n = 0;
    for (struct dirent *f; d && (f = readdir(d));) {
        struct cache_entry e;
        if (!read_entry(dirfd(d), f->d_name, &e)) continue;
        buf_append(&b, &e, sizeof e);
        used += e.bytes;
        (*n)++;
    }
    if (d) closedir(d);
    *limit = limit_of(folder, used);
    struct cache_entry *all = (struct cache_entry *)buf_take(&b);
    if (all) qsort(all, *n, sizeof *all, by_use);
    return all;
}

bool cache_remove(const char *folder, const struct cache_entry *entry) {
    struct buf b = {0};
    buf_printf(&b, "%s/%s", folder, entry->name);
    char *path = buf_take(&b);
    bool ok = path && !unlink(path);
    free(path);
    return ok;
}

bool cache_room(const char *folder, uint64_t bytes, uint64_t most) {
    size_t n;
    uint64_t limit, used = 0;
    struct cache_entry *all = cache_list(folder, &n, &limit);
    if (limit > most) limit = most;
    for (size_t i = 0; all && i < n; i++) used += all[i].bytes;
    for (size_t i = n; all && bytes <= limit && i-- > 0;)
        if ((all[i].part || used > limit - bytes) && cache_remove(folder, &all[i])) used -= all[i].bytes;
    free(all);
    return bytes <= limit && used <= limit - bytes;
}
