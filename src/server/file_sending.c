#include "server/file_sending.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE = 128 << 10 };

// Used by a clerk or by the loop, never by both at once; `waiting` and `started` are the loop's.
struct sending {
    struct server *server;
    struct exchange *x; // held
    int fd;
    int64_t left; // bytes that are not read yet
    bool started, waiting, broken;
    size_t size; // of the piece
    char piece[PIECE];
};

static void sending_free(struct sending *d) {
    close(d->fd);
    exchange_release(d->x);
    free(d);
}

static void send_piece(void *arg);

static void read_piece(void *arg) {
    struct sending *d = arg;
    size_t want = d->left < PIECE ? (size_t)d->left : PIECE;
    for (d->size = 0; d->size < want;) {
        ssize_t n = read(d->fd, d->piece + d->size, want - d->size);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        d->size += (size_t)n;
    }
    d->broken = d->size < want; // cut short by somebody, or the disk failed
    d->left -= (int64_t)d->size;
    http_post(d->x->http, send_piece, d);
}

// In the loop: the client has left. A clerk that is at it brings the piece back, and that is the end.
static void on_left(void *user) {
    struct sending *d = user;
    if (d->waiting) sending_free(d);
}

static void on_taken(void *user) {
    struct sending *d = user;
    d->waiting = false;
    if (clerks_add(d->server->clerks, exchange_owner(d->x), read_piece, d)) return;
    d->x->left = NULL;
    reply_break(d->x);
    sending_free(d);
}

static void start(struct sending *d) {
    d->x->left = on_left;
    d->x->user = d;
    d->started = true;
    reply_start(d->x, 200, "application/octet-stream");
}

static void send_piece(void *arg) {
    struct sending *d = arg;
    bool gone = atomic_load(&d->x->gone);
    if (!gone && !d->started) start(d);
    if (!gone && !d->broken && d->left) {
        d->waiting = true;
        reply_more_then(d->x, d->piece, d->size, on_taken, d);
        return;
    }
    d->x->left = NULL;
    if (d->broken) {
        reply_break(d->x);
    } else {
        reply_more(d->x, d->piece, d->size);
        reply_end(d->x);
    }
    sending_free(d);
}

// The name as RFC 6266 and RFC 8187 have it: all but letters, digits and a few marks percent-encoded.
static void name_reply(struct exchange *x, const char *name) {
    struct buf b = {0};
    buf_puts(&b, "attachment; filename*=UTF-8''");
    for (const unsigned char *p = (const unsigned char *)name; *p; p++) {
        bool plain = (*p >= '0' && *p <= '9') || ((*p | 32) >= 'a' && (*p | 32) <= 'z') || *p == '.' || *p == '-';
        if (plain || *p == '_')
            buf_putc(&b, (char)*p);
        else
            buf_printf(&b, "%%%02X", *p);
    }
    if (!b.failed) exchange_add_header(x, "Content-Disposition", b.data);
    buf_free(&b);
}

bool file_send(struct server *s, struct exchange *x, int fd, const struct stored_file *file, struct fault *f) {
    struct stat st;
    char length[24];
    struct sending *d = malloc(sizeof *d);
    bool whole = !fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_size == file->bytes;
    if (!d || !whole) {
        free(d);
        close(fd);
        return whole ? refuse(f, 503, NULL, "out of memory; try again later")
                     : refuse(f, 500, NULL, "file %s: its contents are damaged on this server", file->id);
    }
    d->server = s;
    d->x = x;
    d->fd = fd;
    d->left = file->bytes;
    d->started = d->waiting = false;
    exchange_hold(x);
    snprintf(length, sizeof length, "%lld", (long long)file->bytes);
    name_reply(x, file->name);
    exchange_add_header(x, "Content-Length", length);
    read_piece(d);
    return true;
}
