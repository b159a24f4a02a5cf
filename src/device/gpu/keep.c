// Compiled programs in files of the cache. A file is a header and the image. It is named by one of the numbers of what
// it was made from, has the other in its header, and a checksum over all of it: what is cut short, damaged, or of
// something else is not used.
#include "base/buf.h"
#include "base/cache.h"
#include "device/gpu/compile.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { VERSION = 1, MOST_BYTES = 256 << 20 };

struct header {
    char magic[8];
    uint32_t version, none;
    uint64_t key, size, check; // `check`: of the header with 0 here, and the image
    char title[216];
};

_Static_assert(offsetof(struct header, title) == CACHE_SOURCE, "what the cache's list shows");

static const char magic[8] = "gyrprog";

static uint64_t check_of(const struct header *h, const char *image) {
    struct header copy = *h;
    copy.check = 0;
    return cache_hash(cache_hash(0, &copy, sizeof copy), image, h->size);
}

static char *path_of(const char *folder, uint64_t key, const char *end) {
    struct buf b = {0};
    buf_printf(&b, "%s/%016llx%s", folder, (unsigned long long)key, end);
    return buf_take(&b);
}

static bool read_all(int fd, void *to, size_t n) {
    for (size_t done = 0; done < n;) {
        ssize_t got = read(fd, (char *)to + done, n - done);
        if (got <= 0) return false;
        done += (size_t)got;
    }
    return true;
}

// In the cache only a file of this user's own, and no link, is looked at.
static bool read_image(int fd, bool own, uint64_t key, struct gpu_image *out) {
    struct header h;
    struct stat st;
    if (fstat(fd, &st) || !S_ISREG(st.st_mode) || (own && st.st_uid != geteuid()) || !read_all(fd, &h, sizeof h))
        return false;
    bool ours = !memcmp(h.magic, magic, sizeof magic) && h.version == VERSION && h.key == key;
    if (!ours || !h.size || h.size > MOST_BYTES || (uint64_t)st.st_size != sizeof h + h.size) return false;
    char *image = malloc(h.size);
    if (image && read_all(fd, image, h.size) && h.check == check_of(&h, image)) {
        *out = (struct gpu_image){image, h.size};
        return true;
    }
    free(image);
    return false;
}

bool gpu_kept_find(const char *folder, const uint64_t key[2], struct gpu_image *out) {
    char *cache = folder ? NULL : cache_folder(), *path = NULL;
    if (folder || cache) path = path_of(folder ? folder : cache, key[0], ".program");
    int fd = path ? open(path, O_RDONLY | (folder ? 0 : O_NOFOLLOW) | O_CLOEXEC | O_NONBLOCK) : -1;
    bool ok = fd >= 0 && read_image(fd, !folder, key[1], out);
    if (ok && cache) futimens(fd, NULL); // for whoever removes those used least recently
    if (fd >= 0) close(fd);
    free(path);
    free(cache);
    return ok;
}

static bool write_all(int fd, const void *data, size_t n) {
    for (size_t done = 0; done < n;) {
        ssize_t put = write(fd, (const char *)data + done, n - done);
        if (put <= 0) return false;
        done += (size_t)put;
    }
    return true;
}

// The lock tells whoever tidies the folder that the writer is alive. Nothing is flushed: what a crash of the system
// cuts short is not used.
static bool write_file(const char *part, const char *path, const struct header *h, const struct gpu_image *image) {
    int fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) return false;
    bool ok = !flock(fd, LOCK_EX | LOCK_NB) && write_all(fd, h, sizeof *h) && write_all(fd, image->data, image->size) &&
              !rename(part, path);
    if (!ok) unlink(part);
    close(fd);
    return ok;
}

bool gpu_kept_put(const char *folder, const uint64_t key[2], const char *title, const struct gpu_image *image) {
    char *cache = folder ? NULL : cache_folder(), *path = NULL, *part = NULL, end[32];
    struct header h = {.version = VERSION, .key = key[1], .size = image->size};
    bool there = folder || (cache && cache_make_folder(cache));
    snprintf(end, sizeof end, ".%ld.part", (long)getpid());
    if (there && image->size <= MOST_BYTES) {
        path = path_of(folder ? folder : cache, key[0], ".program");
        part = path_of(folder ? folder : cache, key[0], end);
    }
    memcpy(h.magic, magic, sizeof magic);
    snprintf(h.title, sizeof h.title, "%s", title);
    h.check = check_of(&h, image->data);
    bool ok = path && part && write_file(part, path, &h, image);
    free(part);
    free(path);
    free(cache);
    return ok;
}
