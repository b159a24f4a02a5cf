#include "engine/cache.h"

#include "base/buf.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE = 4096, VERSION = 1, SAMPLE = 64, PIECE = 4 << 20 };

struct header {
    char magic[8];
    uint32_t version, n;
    uint64_t key, size, samples;
    char source[1024];
    uint64_t check; // of all before it
};

_Static_assert(offsetof(struct header, source) == CACHE_SOURCE, "what cache_list() reads");

static const char magic[8] = "gyrtiles";

static bool give_some(void *arg, size_t i, size_t at, size_t bytes, void *to) {
    memcpy(to, ((uint8_t *const *)arg)[i] + at, bytes);
    return true;
}

static uint64_t sample(uint64_t h, cache_give *give, void *arg, size_t i, size_t n) {
    uint8_t some[SAMPLE] = {0};
    size_t size = n < SAMPLE ? n : SAMPLE;
    for (size_t part = 0; part < 3; part++) {
        give(arg, i, (n - size) / 2 * part, size, some);
        h = cache_hash(h, some, size);
    }
    return cache_hash(h, &n, sizeof n);
}

uint64_t cache_sample(uint64_t h, const uint8_t *p, size_t n) { return sample(h, give_some, (void *)&p, 0, n); }

static size_t pages(size_t n) { return (n + PAGE - 1) / PAGE * PAGE; }

static size_t whole_size(const struct cache_want *want) {
    size_t size = pages(sizeof(struct header));
    for (size_t i = 0; i < want->n; i++) size += pages(want->bytes[i]);
    return size;
}

static void find_rooms(const struct cache_want *want, uint8_t *data, uint8_t **rooms) {
    data += pages(sizeof(struct header));
    for (size_t i = 0; i < want->n; data += pages(want->bytes[i++])) rooms[i] = data;
}

static void make_header(struct header *h, const struct cache_want *want, size_t size, cache_give *give, void *arg) {
    *h = (struct header){.version = VERSION, .n = (uint32_t)want->n, .key = want->key, .size = size};
    memcpy(h->magic, magic, sizeof magic);
    snprintf(h->source, sizeof h->source, "%s", want->source);
    for (size_t i = 0; i < want->n; i++) h->samples = sample(h->samples, give, arg, i, want->bytes[i]);
    h->check = cache_hash(0, h, offsetof(struct header, check));
}

static char *file_path(const char *folder, uint64_t key, const char *end) {
    struct buf b = {0};
    buf_printf(&b, "%s/%016llx%s", folder, (unsigned long long)key, end);
    return buf_take(&b);
}

void cache_close(struct cache *c) {
    if (c->data) munmap(c->data, c->size);
    if (c->part && c->fd > 0) unlink(c->part);
    if (c->fd > 0) close(c->fd);
    free(c->path);
    free(c->part);
    *c = (struct cache){0};
}

// Only a file of this user's own, and no link, is looked at.
static bool map_found(struct cache *c) {
    struct stat st;
    c->fd = open(c->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (c->fd < 0 || fstat(c->fd, &st) || !S_ISREG(st.st_mode) || st.st_uid != geteuid()) return false;
    if ((uint64_t)st.st_size != c->size) return false;
    void *p = mmap(NULL, c->size, PROT_READ, MAP_SHARED, c->fd, 0);
    c->data = p == MAP_FAILED ? NULL : p;
    return c->data;
}

static bool is_good(const struct cache *c, const struct cache_want *want, uint8_t **rooms) {
    const struct header *have = (const struct header *)c->data;
    struct header h;
    find_rooms(want, c->data, rooms);
    make_header(&h, want, c->size, give_some, rooms);
    return !memcmp(have, &h, offsetof(struct header, source)) &&
           have->check == cache_hash(0, have, offsetof(struct header, check));
}

bool cache_find(struct cache *c, const struct cache_want *want, uint8_t **rooms) {
    *c = (struct cache){.size = whole_size(want)};
    char *folder = cache_folder();
    c->path = folder ? file_path(folder, want->key, ".tiles") : NULL;
    free(folder);
    if (c->path && map_found(c) && is_good(c, want, rooms)) {
        futimens(c->fd, NULL);
        return true;
    }
    cache_close(c);
    return false;
}

static bool open_part(struct cache *c) {
    c->fd = open(c->part, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return c->fd >= 0 && !flock(c->fd, LOCK_EX | LOCK_NB) && !fallocate(c->fd, 0, 0, (off_t)c->size);
}

bool cache_make(struct cache *c, const struct cache_want *want) {
    char *folder = cache_folder(), end[32];
    *c = (struct cache){.size = whole_size(want)};
    snprintf(end, sizeof end, ".%ld.part", (long)getpid());
    if (folder && cache_make_folder(folder) && cache_room(folder, c->size, UINT64_MAX)) {
        c->path = file_path(folder, want->key, ".tiles");
        c->part = file_path(folder, want->key, end);
    }
    free(folder);
    if (c->path && c->part && open_part(c)) return true;
    cache_close(c);
    return false;
}

static bool put(const struct cache *c, const void *data, size_t n, size_t at) {
    for (size_t done = 0; done < n;) {
        ssize_t put = pwrite(c->fd, (const char *)data + done, n - done, (off_t)(at + done));
        if (put <= 0) return false;
        done += (size_t)put;
    }
    return true;
}

// Cut where pieces of the file begin: Linux then keeps it in large pages where its file system can, and maps it so.
static bool put_matrix(const struct cache *c, cache_give *give, void *arg, size_t i, size_t bytes, size_t at) {
    uint8_t *piece = malloc(PIECE);
    bool ok = piece;
    for (size_t done = 0, n; ok && done < bytes; done += n) {
        n = PIECE - (at + done) % PIECE;
        if (n > bytes - done) n = bytes - done;
        ok = give(arg, i, done, n, piece) && put(c, piece, n, at + done);
    }
    free(piece);
    return ok;
}

// The header is written when the rest is on the disk, the name given when that is.
void cache_write(struct cache *c, const struct cache_want *want, cache_give *give, void *arg) {
    struct header h;
    bool ok = true;
    size_t at = pages(sizeof h);
    for (size_t i = 0; i < want->n && ok; at += pages(want->bytes[i++]))
        ok = put_matrix(c, give, arg, i, want->bytes[i], at);
    make_header(&h, want, c->size, give, arg);
    if (!ok || fdatasync(c->fd) || !put(c, &h, sizeof h, 0) || fdatasync(c->fd)) return;
    if (rename(c->part, c->path)) return;
    free(c->part);
    c->part = NULL;
}
