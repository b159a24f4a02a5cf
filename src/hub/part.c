#include "hub/part.h"

#include "base/map.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE = 1 << 20 };

struct part {
    struct sink sink; // first: a sink of ours is a part
    struct hub *hub;
    const struct hub_file *file;
    char *path, *temp;
    int fd;
    EVP_MD_CTX *sum;
};

bool cannot_store(const char *path, int why, gyr_error *e) {
    bool full = why == ENOSPC || why == EDQUOT;
    return fail(e, GYR_IO, "%s: %s; %s", path, strerror(why),
                full ? "free some space and run the same command to continue; or set GYR_MODELS to a folder elsewhere"
                     : "check the folder, or set GYR_MODELS to another");
}

char *part_name(const char *path) {
    struct buf b = {0};
    buf_printf(&b, "%s.part", path);
    return buf_take(&b);
}

bool make_folders(const char *path, gyr_error *e) {
    char *folder = strdup(path);
    bool ok = folder || fail_memory(e, path);
    for (char *slash = folder; ok && (slash = strchr(slash + 1, '/'));) {
        *slash = 0;
        ok = !mkdir(folder, 0777) || errno == EEXIST || cannot_store(folder, errno, e);
        *slash = '/';
    }
    free(folder);
    return ok;
}

// The sum starts anew. Git's is of a header and the content: https://git-scm.com/book/en/v2/Git-Internals-Git-Objects
static bool sum_begin(struct part *p, gyr_error *e) {
    bool git = p->file->sum == SUM_GIT_SHA1;
    char head[64];
    int n = snprintf(head, sizeof head, "blob %llu", (unsigned long long)p->file->size);
    bool ok = EVP_DigestInit_ex(p->sum, git ? EVP_sha1() : EVP_sha256(), NULL) &&
              (!git || EVP_DigestUpdate(p->sum, head, (size_t)n + 1));
    return ok || fail(e, GYR_FAILED, "%s: OpenSSL gives no %s", p->temp, git ? "SHA-1" : "SHA-256");
}

static bool restart(struct sink *s, gyr_error *e) {
    struct part *p = (struct part *)s;
    p->hub->p.done -= s->have;
    if (p->hub->p.kept > p->hub->p.done) p->hub->p.kept = p->hub->p.done;
    s->have = 0;
    return (!ftruncate(p->fd, 0) || cannot_store(p->temp, errno, e)) && sum_begin(p, e);
}

static bool data(struct sink *s, const void *bytes, size_t size, gyr_error *e) {
    struct part *p = (struct part *)s;
    const char *from = bytes;
    for (size_t left = size; left;) {
        ssize_t n = pwrite(p->fd, from, left, (off_t)s->have);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return cannot_store(p->temp, n ? errno : ENOSPC, e);
        if (!EVP_DigestUpdate(p->sum, from, (size_t)n)) return fail(e, GYR_FAILED, "%s: OpenSSL fails", p->temp);
        from += n;
        left -= (size_t)n;
        s->have += (uint64_t)n;
        p->hub->p.done += (uint64_t)n;
    }
    return true;
}

static bool is_right(struct part *p) {
    unsigned char got[EVP_MAX_MD_SIZE];
    char hex[2 * EVP_MAX_MD_SIZE + 1] = "";
    unsigned n = 0;
    if (!EVP_DigestFinal_ex(p->sum, got, &n)) return false;
    for (unsigned i = 0; i < n; i++) snprintf(hex + 2 * i, 3, "%02x", got[i]);
    return !strcmp(hex, p->file->hex);
}

static enum outcome end(struct sink *s, gyr_error *e) {
    struct part *p = (struct part *)s;
    if (s->have < s->expect) return FETCH_SHORT;
    if (!is_right(p)) return restart(s, e) ? FETCH_WRONG : FETCH_FAILED;
    // What was claimed beyond the end is given back.
    if (ftruncate(p->fd, (off_t)s->have) || fsync(p->fd) || rename(p->temp, p->path)) {
        cannot_store(p->path, errno, e);
        return FETCH_FAILED;
    }
    sync_folder_of(p->path);
    p->hub->p.files_done++;
    char note[MAX_PATH + 64];
    snprintf(note, sizeof note, "%s: whole, %s right", p->file->path,
             p->file->sum == SUM_SHA256 ? "SHA-256" : "checksum");
    return hub_tell(p->hub, note, e) ? FETCH_WHOLE : FETCH_FAILED;
}

// Reads what an earlier pull left into the sum.
static bool take_up(struct part *p, gyr_error *e) {
    struct stat st;
    if (fstat(p->fd, &st) || !S_ISREG(st.st_mode))
        return fail(e, GYR_IO, "%s: not a regular file; remove it, then try again", p->temp);
    uint64_t there = (uint64_t)st.st_size;
    if (there > p->file->size) there = 0; // not what we wrote
    if (!there) return restart(&p->sink, e);
    unsigned char *piece = malloc(PIECE);
    if (!piece) return fail_memory(e, p->temp);
    const char *doing = p->hub->doing;
    p->hub->doing = "checking what is here";
    bool ok = sum_begin(p, e);
    while (ok && p->sink.have < there) {
        ssize_t n = pread(p->fd, piece, PIECE, (off_t)p->sink.have);
        if (n <= 0) break;
        ok = (EVP_DigestUpdate(p->sum, piece, (size_t)n) || fail(e, GYR_FAILED, "%s: OpenSSL fails", p->temp));
        p->sink.have += (uint64_t)n;
        p->hub->p.done += (uint64_t)n;
        p->hub->p.kept += (uint64_t)n;
        ok = ok && hub_tell(p->hub, NULL, e);
    }
    free(piece);
    p->hub->doing = doing;
    return ok;
}

struct part *part_open(struct hub *h, const char *path, const struct hub_file *file, gyr_error *e) {
    struct part *p = calloc(1, sizeof *p);
    if (!p) return fail_memory(e, path), NULL;
    *p = (struct part){.sink = {.expect = file->size, .restart = restart, .data = data, .end = end},
                       .hub = h,
                       .file = file,
                       .path = strdup(path),
                       .temp = part_name(path),
                       .sum = EVP_MD_CTX_new(),
                       .fd = -1};
    bool ok = p->path && p->temp && p->sum;
    if (!ok) fail_memory(e, path);
    ok = ok && make_folders(p->temp, e);
    if (ok) p->fd = open(p->temp, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
    if (ok && p->fd < 0) ok = cannot_store(p->temp, errno, e);
    if (ok && take_up(p, e)) return p;
    part_close(p);
    return NULL;
}

struct sink *part_sink(struct part *p) {
    return &p->sink;
}

bool part_reserve(struct part *p, gyr_error *e) {
    uint64_t left = p->sink.expect - p->sink.have;
    // The file keeps its length, which says how much of it is here. Not every file system can.
    if (!left || !fallocate(p->fd, FALLOC_FL_KEEP_SIZE, (off_t)p->sink.have, (off_t)left)) return true;
    bool full = errno == ENOSPC || errno == EDQUOT || errno == EFBIG;
    return !full || cannot_store(p->temp, errno, e);
}

void part_close(struct part *p) {
    if (!p) return;
    if (p->fd >= 0) close(p->fd);
    EVP_MD_CTX_free(p->sum);
    free(p->path);
    free(p->temp);
    free(p);
}
