// A part of a session, on its way from a file: nothing of it counts before the check at the file's end is right.
#include "engine/adapter.h"
#include "engine/saved.h"
#include "engine/scores.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct reader {
    struct gyr_session *s;
    const char *path;
    int fd;
    struct saved head;
    struct check check;
    uint8_t *buffer;
    size_t room, page;  // bytes: of the buffer, and of a page
    size_t first, last; // what is in the buffer and was not taken
    uint64_t left;      // of the file, before its check
    float *logits;
};

static bool damaged(const struct reader *r, gyr_error *e) {
    return fail(e, GYR_MALFORMED, "%s: is damaged; remove it, and feed the tokens instead", r->path);
}

static bool cannot_read(const struct reader *r, int why, gyr_error *e) {
    return fail(e, GYR_IO, "%s: %s", r->path, strerror(why));
}

static bool read_all(struct reader *r, void *to, size_t n, gyr_error *e) {
    for (size_t done = 0; done < n;) {
        ssize_t got = read(r->fd, (uint8_t *)to + done, n - done);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return cannot_read(r, errno, e);
        if (!got) return damaged(r, e);
        done += (size_t)got;
    }
    return true;
}

// The next n bytes, n <= room; NULL if they cannot be had.
static const uint8_t *take(struct reader *r, size_t n, gyr_error *e) {
    size_t have = r->last - r->first;
    if (have < n) {
        memmove(r->buffer, r->buffer + r->first, have);
        r->first = 0;
        size_t more = r->left < r->room - have ? (size_t)r->left : r->room - have;
        r->last = have;
        if (more < n - have || !read_all(r, r->buffer + have, more, e)) {
            if (more < n - have) damaged(r, e);
            return NULL;
        }
        check_add(&r->check, r->buffer + have, more);
        r->last += more;
        r->left -= more;
    }
    r->first += n;
    return r->buffer + r->first - n;
}

static bool take_to(struct reader *r, void *to, size_t n, gyr_error *e) {
    for (size_t done = 0, some; done < n; done += some) {
        some = n - done < r->room ? n - done : r->room;
        const uint8_t *from = take(r, some, e);
        if (!from) return false;
        memcpy((uint8_t *)to + done, from, some);
    }
    return true;
}

// ------------------------------------------------------------------------------- whether it fits

static bool read_head(struct reader *r, gyr_error *e) {
    struct stat st;
    struct saved *h = &r->head;
    r->fd = open(r->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (r->fd < 0 || fstat(r->fd, &st)) return cannot_read(r, errno, e);
    if (!S_ISREG(st.st_mode)) return fail(e, GYR_IO, "%s: is not a regular file", r->path);
    if ((uint64_t)st.st_size < sizeof *h)
        return fail(e, GYR_MALFORMED, "%s: is too short to be a saved session", r->path);
    if (!read_all(r, h, sizeof *h, e)) return false;
    if (memcmp(h->magic, saved_magic, sizeof h->magic))
        return fail(e, GYR_MALFORMED, "%s: is not a saved session", r->path);
    if (h->version != SAVED_VERSION)
        return fail(e, GYR_UNSUPPORTED, "%s: saved in version %u of the format; this is version %d", r->path,
                    h->version, (int)SAVED_VERSION);
    if (h->check != saved_check(h) || h->to <= h->from || h->to > UINT32_MAX) return damaged(r, e);
    if (h->size != saved_size(h) || h->size != (uint64_t)st.st_size) return damaged(r, e);
    check_add(&r->check, h, sizeof *h);
    r->left = h->size - sizeof *h - sizeof(uint64_t);
    return true;
}

static bool same_model(const struct reader *r, gyr_error *e) {
    const struct saved *h = &r->head;
    const struct gyr_session *s = r->s;
    enum type type = s->kv->layout.shape[KV_USUAL].type;
    if (h->model != session_identity(s))
        return fail(e, GYR_UNSUPPORTED, "%s: of another model than %s%s%s, or of what that was before", r->path,
                    s->model->checkpoint->path, s->adapter ? " with the adapter " : "",
                    s->adapter ? s->adapter->path : "");
    if (h->edition != EDITION)
        return fail(e, GYR_UNSUPPORTED, "%s: of edition %u of the arithmetic; this is edition %d", r->path, h->edition,
                    (int)EDITION);
    if (h->type != (uint32_t)type)
        return fail(e, GYR_UNSUPPORTED, "%s: of another element type than the session's cache, %s", r->path,
                    type_info(type)->name);
    if (h->far != (uint32_t)s->kv->far)
        return fail(e, GYR_UNSUPPORTED, "%s: of a session %s the trained context", r->path,
                    h->far ? "beyond" : "within");
    bool fits = h->page == r->page && (!h->logits || h->logits == s->model->model->h.vocab) &&
                (!h->state || h->state == image_state_bytes(s->model) / sizeof(float));
    return fits || damaged(r, e);
}

static bool same_place(const struct reader *r, gyr_error *e) {
    const struct saved *h = &r->head;
    const struct gyr_session *s = r->s;
    if (h->from != s->length)
        return fail(e, GYR_USAGE, "%s: begins at position %llu, and the session has %zu tokens", r->path,
                    (unsigned long long)h->from, s->length);
    if (h->before != saved_prefix(s->ids, s->length))
        return fail(e, GYR_USAGE, "%s: follows other tokens than the session's", r->path);
    return h->to <= s->context || fail(e, GYR_TOO_LONG, "%s: ends at position %llu, beyond the context of %zu", r->path,
                                       (unsigned long long)h->to, s->context);
}

// ------------------------------------------------------------------------------- what is in it

static bool make_room(struct reader *r, gyr_error *e) {
    struct gyr_session *s = r->s;
    struct intake in = {.s = s, .count = (size_t)(r->head.to - r->head.from)};
    if (!kv_admit(s->model, &in, 1, e)) return false;
    if (s->length % PAGE_TOKENS && !session_own_page(s, e)) return false;
    if (!kv_cache_cover(s->kv, &s->pages, (size_t)r->head.to)) return fail_memory(e, "KV cache");
    return !r->head.state || s->state || state_pool_take(&s->model->states, &s->state, e);
}

// Into the session's array, behind its length.
static bool read_tokens(struct reader *r, gyr_error *e) {
    struct gyr_session *s = r->s;
    int32_t *ids = s->ids + s->length;
    size_t n = (size_t)(r->head.to - r->head.from);
    if (!take_to(r, ids, n * sizeof *ids, e)) return false;
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || (uint32_t)ids[i] >= s->model->model->h.vocab) return damaged(r, e);
    return true;
}

static bool read_logits(struct reader *r, gyr_error *e) {
    size_t bytes = (size_t)r->head.logits * sizeof(float);
    if (bytes && !(r->logits = malloc(bytes))) return fail_memory(e, r->path);
    return take_to(r, r->logits, bytes, e);
}

static bool read_state(struct reader *r, gyr_error *e) {
    const struct gyr_session *s = r->s;
    size_t bytes = (size_t)r->head.state * sizeof(float);
    for (size_t done = 0, some; done < bytes; done += some) {
        some = bytes - done < r->room ? bytes - done : r->room;
        const uint8_t *from = take(r, some, e);
        struct image i = {.kv = s->kv, .state = s->state, .at = done, .bytes = some};
        if (!from || !image_write(s->model, &i, from, e)) return false;
    }
    return true;
}

// A page whose first tokens the session has already keeps these.
static bool read_pages(struct reader *r, gyr_error *e) {
    const struct gyr_session *s = r->s;
    size_t end = kv_cache_pages((size_t)r->head.to), many = r->page ? r->room / r->page : 0;
    for (size_t page = s->length / PAGE_TOKENS, n; many && page < end; page += n) {
        n = end - page < many ? end - page : many;
        struct image i = saved_pages(s, page, n, s->length, (size_t)r->head.to);
        const uint8_t *from = take(r, n * r->page, e);
        if (!from || !image_write(s->model, &i, from, e)) return false;
    }
    return true;
}

static bool read_check(struct reader *r, gyr_error *e) {
    uint64_t check;
    return read_all(r, &check, sizeof check, e) && (check == check_end(&r->check) || damaged(r, e));
}

static void append(struct reader *r) {
    struct gyr_session *s = r->s;
    s->length = (size_t)r->head.to;
    if (r->head.state) s->known = s->length;
    s->has_logits = r->logits;
    if (r->logits) memcpy(session_own_scores(s), r->logits, (size_t)r->head.logits * sizeof *s->own);
    s->used = ++s->model->clock;
}

static bool read_body(struct reader *r, gyr_error *e) {
    struct gyr_session *s = r->s;
    r->room = r->page > SAVED_BUFFER ? r->page : SAVED_BUFFER;
    r->buffer = malloc(r->room);
    if (!r->buffer) return fail_memory(e, r->path);
    bool ok = make_room(r, e) && read_tokens(r, e) && read_logits(r, e) && read_state(r, e) && read_pages(r, e) &&
              read_check(r, e);
    ok = model_sync(r->s->model->model, ok ? e : NULL) && ok;
    if (ok) {
        append(r);
        return true;
    }
    if (r->head.state) s->known = 0; // it may be half of one and half of the other
    kv_cache_trim(s->kv, &s->pages, s->length);
    return false;
}

static bool load(struct gyr_session *s, const char *path, gyr_error *e) {
    struct reader r = {.s = s, .path = path, .fd = -1};
    if (s->model->gone.status) return fail(e, s->model->gone.status, "%s", s->model->gone.message);
    r.page = saved_page(s);
    bool ok = !s->model->model->h.bidirectional ||
              fail(e, GYR_UNSUPPORTED, "%s: its tokens see those behind them; no part of a session can be loaded",
                   s->model->checkpoint->path);
    if (ok && s->lost) ok = fail(e, GYR_USAGE, "%s: a session whose model was moved is to be fed first", path);
    ok = ok && read_head(&r, e) && same_model(&r, e) && same_place(&r, e) && read_body(&r, e);
    if (r.fd >= 0) close(r.fd);
    free(r.buffer);
    free(r.logits);
    return ok;
}

gyr_status gyr_session_load(gyr_session *s, const char *path, gyr_error *e) {
    gyr_error made = {0};
    return status_of(load(s, path, &made), &made, e);
}
