#include "server/disk.h"

#include "base/buf.h"
#include "server/secret.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct part {
    unsigned char hash[SECRET_HASH];
    uint32_t from, to; // tokens
    uint64_t bytes;
    time_t used;
};

enum { REST_SECONDS = 10 };

struct disk {
    char *folder;
    uint64_t most;
    struct part *parts;
    size_t n, room;
    struct disk_stats stats;
    time_t failing; // when it last could not be written: not tried again at once
};

// The hash of the tokens so far, of which each part's goes into the next.
struct chain {
    unsigned char hash[SECRET_HASH];
};

static struct chain chain_of(const struct shelf *s) {
    struct chain c;
    struct buf b = {0};
    buf_printf(&b, "%s%c%d %llu %u", s->model, 0, (int)s->kv_type, (unsigned long long)s->salt, gyr_edition());
    if (b.failed || !secret_hash(b.data, b.size, c.hash)) memset(c.hash, 0, sizeof c.hash);
    buf_free(&b);
    return c;
}

static bool chain_add(struct chain *c, const int32_t *ids, size_t n) {
    struct buf b = {0};
    buf_append(&b, c->hash, sizeof c->hash);
    buf_append(&b, ids, n * sizeof *ids);
    bool ok = !b.failed && secret_hash(b.data, b.size, c->hash);
    buf_free(&b);
    return ok;
}

static char *path_of(const struct disk *d, const struct part *p) {
    struct buf b = {0};
    buf_printf(&b, "%s/", d->folder);
    for (size_t i = 0; i < sizeof p->hash; i++) buf_printf(&b, "%02x", p->hash[i]);
    buf_printf(&b, "-%u-%u.part", p->from, p->to);
    return buf_take(&b);
}

static bool part_named(const char *name, struct part *p) {
    int end = 0;
    if (strlen(name) < 2 * sizeof p->hash) return false;
    for (size_t i = 0; i < sizeof p->hash; i++)
        if (sscanf(name + 2 * i, "%2hhx", &p->hash[i]) != 1) return false;
    return sscanf(name + 2 * sizeof p->hash, "-%u-%u.part%n", &p->from, &p->to, &end) == 2 && end &&
           !name[2 * sizeof p->hash + (size_t)end] && p->from < p->to;
}

static void forget(struct disk *d, size_t i) {
    char *path = path_of(d, &d->parts[i]);
    if (path) unlink(path);
    free(path);
    d->stats.bytes -= d->parts[i].bytes;
    d->parts[i] = d->parts[--d->n];
    d->stats.removed++;
}

static void make_room(struct disk *d, uint64_t bytes) {
    while (d->n && d->stats.bytes + bytes > d->most) {
        size_t oldest = 0;
        for (size_t i = 1; i < d->n; i++)
            if (d->parts[i].used < d->parts[oldest].used) oldest = i;
        forget(d, oldest);
    }
}

static bool add(struct disk *d, const struct part *p) {
    if (!ARRAY_GROW(d->parts, d->n, d->room)) return false;
    d->parts[d->n++] = *p;
    d->stats.bytes += p->bytes;
    return true;
}

static void read_folder(struct disk *d, DIR *dir) {
    for (struct dirent *entry; (entry = readdir(dir));) {
        struct part p = {0};
        struct stat st;
        if (!part_named(entry->d_name, &p) || fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) ||
            !S_ISREG(st.st_mode))
            continue;
        p.bytes = (uint64_t)st.st_size;
        p.used = st.st_mtime;
        add(d, &p);
    }
    make_room(d, 0);
}

static bool make_folder(const char *path) {
    char *copy = strdup(path);
    for (char *at = copy ? copy + 1 : NULL; at && *at; at++)
        if (*at == '/') {
            *at = 0;
            mkdir(copy, 0700);
            *at = '/';
        }
    bool ok = copy && (!mkdir(copy, 0700) || errno == EEXIST);
    free(copy);
    return ok;
}

struct disk *disk_new(const char *folder, uint64_t most, gyr_error *e) {
    struct disk *d = calloc(1, sizeof *d);
    if (!d || !(d->folder = strdup(folder))) {
        free(d);
        return fail_memory(e, "server"), NULL;
    }
    d->most = most;
    DIR *dir = make_folder(folder) ? opendir(folder) : NULL;
    if (!dir) {
        fail(e, GYR_IO, "%s: %s", folder, strerror(errno));
        disk_free(d);
        return NULL;
    }
    read_folder(d, dir);
    closedir(dir);
    return d;
}

void disk_free(struct disk *d) {
    if (!d) return;
    free(d->folder);
    free(d->parts);
    free(d);
}

static struct part *find(struct disk *d, const struct chain *c, size_t from, size_t to) {
    for (size_t i = 0; i < d->n; i++)
        if (d->parts[i].to == to && d->parts[i].from == from && !memcmp(d->parts[i].hash, c->hash, sizeof c->hash))
            return &d->parts[i];
    return NULL;
}

static int by_end(const void *a, const void *b) {
    const struct part *x = *(struct part *const *)a, *y = *(struct part *const *)b;
    return (x->to > y->to) - (x->to < y->to);
}

// The last of the parts, sorted by their ends, that is a beginning of these tokens. One pass over the tokens serves
// all.
static struct part *last_of(struct part *const *list, size_t n, const struct shelf *s, const int32_t *ids) {
    struct chain c = chain_of(s);
    struct secret_hasher *h = secret_hasher_new();
    struct part *best = NULL;
    uint32_t at = 0;
    bool ok = h && secret_hasher_add(h, c.hash, sizeof c.hash);
    for (size_t i = 0; ok && i < n; i++) {
        if (list[i]->to > at)
            ok = secret_hasher_add(h, ids + at, (list[i]->to - at) * sizeof *ids) && secret_hasher_get(h, c.hash);
        at = list[i]->to;
        if (ok && !memcmp(c.hash, list[i]->hash, sizeof c.hash)) best = list[i];
    }
    secret_hasher_free(h);
    return best;
}

// The longest beginning that is kept whole, its state with it.
static struct part *find_whole(struct disk *d, const struct shelf *s, const int32_t *ids, size_t count) {
    struct part **list = malloc((d->n + 1) * sizeof *list);
    size_t n = 0;
    for (size_t i = 0; list && i < d->n; i++)
        if (!d->parts[i].from && d->parts[i].to <= count) list[n++] = &d->parts[i];
    if (n) qsort(list, n, sizeof *list, by_end);
    struct part *best = n ? last_of(list, n, s, ids) : NULL;
    free(list);
    return best;
}

size_t disk_find(struct disk *d, const struct shelf *s, const int32_t *ids, size_t count) {
    if (s->whole) {
        const struct part *p = find_whole(d, s, ids, count);
        return p ? p->to : 0;
    }
    struct chain c = chain_of(s);
    size_t have = 0;
    while (count - have >= PART && chain_add(&c, ids + have, PART) && find(d, &c, have, have + PART)) have += PART;
    return have;
}

// The hash of the first `to` tokens.
static bool chain_to(struct chain *c, const struct shelf *s, const int32_t *ids, size_t to) {
    *c = chain_of(s);
    if (s->whole) return chain_add(c, ids, to);
    for (size_t at = 0; at < to; at += PART)
        if (!chain_add(c, ids + at, PART)) return false;
    return true;
}

bool disk_load(struct disk *d, const struct shelf *s, gyr_session *session, const int32_t *ids, size_t count,
               gyr_error *e) {
    size_t from = gyr_session_length(session);
    struct chain c;
    struct part *p = s->whole ? find_whole(d, s, ids, count)
                              : (chain_to(&c, s, ids, from + PART) ? find(d, &c, from, from + PART) : NULL);
    char *path = p ? path_of(d, p) : NULL;
    bool ok = path && !gyr_session_load(session, path, e);
    if (ok && memcmp(gyr_session_tokens(session) + from, ids + from, (p->to - from) * sizeof *ids)) {
        gyr_session_truncate(session, from); // two texts with one hash, or somebody's hand
        ok = false;
    }
    if (ok) {
        p->used = time(NULL);
        utimensat(AT_FDCWD, path, NULL, 0);
        d->stats.loaded++;
    } else if (p) {
        d->stats.failed++;
        bool its = e->status != GYR_NO_MEMORY && e->status != GYR_DEVICE; // else it may be good
        if (its) forget(d, (size_t)(p - d->parts));
    }
    free(path);
    return ok;
}

static bool save(struct disk *d, const gyr_session *session, struct part *p) {
    char *path = path_of(d, p);
    gyr_error e = {0};
    struct stat st;
    bool ok = path && !gyr_session_save(session, p->from, p->to, path, &e) && !stat(path, &st);
    if (ok) {
        p->bytes = (uint64_t)st.st_size;
        p->used = time(NULL);
        make_room(d, p->bytes);
        ok = add(d, p);
        d->stats.saved++;
    } else {
        d->failing = time(NULL);
        d->stats.failed++;
    }
    free(path);
    return ok;
}

enum disk_saved disk_save(struct disk *d, const struct shelf *s, const gyr_session *session) {
    size_t length = gyr_session_length(session);
    const int32_t *ids = gyr_session_tokens(session);
    struct chain c = chain_of(s);
    if (time(NULL) - d->failing < REST_SECONDS) return DISK_RESTS;
    if (!d->most) return DISK_DONE;
    for (size_t at = 0; !s->whole && length - at >= PART; at += PART) {
        if (!chain_add(&c, ids + at, PART)) return DISK_DONE;
        if (find(d, &c, at, at + PART)) continue;
        struct part p = {.from = (uint32_t)at, .to = (uint32_t)(at + PART)};
        memcpy(p.hash, c.hash, sizeof p.hash);
        return save(d, session, &p) ? DISK_WROTE : DISK_DONE;
    }
    if (!s->whole || length < PART || !chain_add(&c, ids, length) || find(d, &c, 0, length)) return DISK_DONE;
    struct part p = {.from = 0, .to = (uint32_t)length};
    memcpy(p.hash, c.hash, sizeof p.hash);
    return save(d, session, &p) ? DISK_WROTE : DISK_DONE;
}

void disk_get_stats(const struct disk *d, struct disk_stats *stats) { *stats = d->stats; }
