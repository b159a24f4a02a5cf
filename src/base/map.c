#include "base/map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_regular(const char *path, struct stat *st, gyr_error *e) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); // a FIFO without a writer must not hang us
    if (fd < 0) {
        fail(e, GYR_IO, "%s: %s; check the path", path, strerror(errno));
        return -1;
    }
    if (fstat(fd, st) || !S_ISREG(st->st_mode)) {
        fail(e, GYR_IO, "%s: not a regular file; give a model file", path);
        close(fd);
        return -1;
    }
    return fd;
}

bool map_open(struct map *m, const char *path, gyr_error *e) {
    *m = (struct map){0};
    struct stat st;
    int fd = open_regular(path, &st, e);
    if (fd < 0) return false;
    size_t size = (size_t)st.st_size;
    m->modified = st.st_mtim.tv_sec * INT64_C(1000000000) + st.st_mtim.tv_nsec;
    m->data = (const uint8_t *)"";
    void *p = size ? mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0) : (void *)m->data;
    int why = errno;
    close(fd);
    if (p == MAP_FAILED) return fail(e, GYR_IO, "%s: cannot be mapped: %s", path, strerror(why));
    m->data = p;
    m->size = size;
    return true;
}

void map_close(struct map *m) {
    if (m->size) munmap((void *)m->data, m->size);
    *m = (struct map){0};
}

void map_want(const void *p, size_t n) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), first = (uintptr_t)p / page * page;
    madvise((void *)first, (uintptr_t)p + n - first, MADV_WILLNEED);
}

static bool in_memory(uintptr_t p, size_t n, size_t page) {
    unsigned char there[1024];
    for (size_t at = 0; at < n; at += sizeof there * page) {
        size_t left = n - at < sizeof there * page ? n - at : sizeof there * page, count = (left + page - 1) / page;
        if (mincore((void *)(p + at), left, there)) return true;
        for (size_t i = 0; i < count; i++)
            if (!(there[i] & 1)) return false;
    }
    return true;
}

void map_read(const void *p, size_t n) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uintptr_t first = (uintptr_t)p / page * page;
    n += (uintptr_t)p - first;
    if (in_memory(first, n, page)) return;
#ifdef MADV_POPULATE_READ
    madvise((void *)first, n, MADV_POPULATE_READ);
#endif
}

void map_forget(const void *p, size_t n) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), first = ((uintptr_t)p + page - 1) / page * page;
    uintptr_t last = ((uintptr_t)p + n) / page * page;
    if (first < last) madvise((void *)first, last - first, MADV_DONTNEED);
}

char *read_file(const char *path, size_t limit, size_t *size, gyr_error *e) {
    struct stat st;
    int fd = open_regular(path, &st, e);
    if (fd < 0) return NULL;
    size_t room = (size_t)st.st_size, n = 0;
    if (room > limit) {
        close(fd);
        return fail_null(e, GYR_MALFORMED, "%s: %zu bytes, more than the %zu such a file may have", path, room, limit);
    }
    char *data = malloc(room + 1);
    ssize_t got = 1;
    while (data && n < room && (got = read(fd, data + n, room - n)) > 0) n += (size_t)got;
    int why = errno;
    close(fd);
    if (!data) return fail_memory(e, path), NULL;
    if (got < 0) {
        free(data);
        return fail_null(e, GYR_IO, "%s: %s", path, strerror(why));
    }
    data[n] = 0;
    if (size) *size = n;
    return data;
}

void sync_folder_of(const char *path) {
    const char *slash = strrchr(path, '/');
    char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    free(folder);
}
