// A part of a session, on its way to a file: read from the devices, and the ranks, in pieces that fit a buffer.
#include "base/out.h"
#include "engine/adapter.h"
#include "engine/image.h"
#include "engine/saved.h"
#include "engine/scores.h"

#include <stdlib.h>
#include <string.h>

struct writer {
    const struct gyr_session *s;
    struct saved head;
    struct out *out;
    struct check check;
    uint8_t *buffer;
    size_t room, page; // bytes: of the buffer, and of a page
};

static bool put(struct writer *w, const void *data, size_t n, gyr_error *e) {
    check_add(&w->check, data, n);
    return out_write(w->out, data, n, e);
}

// The part's pages, as many at a time as fit the buffer.
static bool put_pages(struct writer *w, gyr_error *e) {
    const struct gyr_session *s = w->s;
    size_t end = kv_cache_pages((size_t)w->head.to), many = w->page ? w->room / w->page : 0;
    for (size_t page = (size_t)w->head.from / PAGE_TOKENS, n; many && page < end; page += n) {
        n = end - page < many ? end - page : many;
        struct image i = saved_pages(s, page, n, (size_t)w->head.from, (size_t)w->head.to);
        if (!image_read(s->model, &i, w->buffer, e) || !put(w, w->buffer, n * w->page, e)) return false;
    }
    return true;
}

static bool put_state(struct writer *w, gyr_error *e) {
    const struct gyr_session *s = w->s;
    size_t bytes = (size_t)w->head.state * sizeof(float);
    for (size_t done = 0, some; done < bytes; done += some) {
        some = bytes - done < w->room ? bytes - done : w->room;
        struct image i = {.kv = s->kv, .state = s->state, .at = done, .bytes = some};
        if (!image_read(s->model, &i, w->buffer, e) || !put(w, w->buffer, some, e)) return false;
    }
    return true;
}

static void fill_head(struct writer *w, size_t from, size_t to) {
    const struct gyr_session *s = w->s;
    bool end = to == s->length, known = s->state && s->known == s->length;
    w->head = (struct saved){.version = SAVED_VERSION,
                             .edition = EDITION,
                             .model = session_identity(s),
                             .type = (uint32_t)s->kv->layout.shape[KV_USUAL].type,
                             .far = s->kv->far,
                             .from = from,
                             .to = to,
                             .before = saved_prefix(s->ids, from),
                             .page = w->page,
                             .logits = end && s->has_logits ? s->model->model->h.vocab : 0,
                             .state = end && known ? image_state_bytes(s->model) / sizeof(float) : 0};
    memcpy(w->head.magic, saved_magic, sizeof w->head.magic);
    w->head.size = saved_size(&w->head);
    w->head.check = saved_check(&w->head);
}

static bool put_all(struct writer *w, gyr_error *e) {
    const struct gyr_session *s = w->s;
    const struct saved *h = &w->head;
    if (!out_reserve(w->out, h->size, e) || !put(w, h, sizeof *h, e) ||
        !put(w, s->ids + h->from, (size_t)(h->to - h->from) * sizeof *s->ids, e) ||
        !put(w, session_scores(s), (size_t)h->logits * sizeof *s->own, e) || !put_state(w, e) || !put_pages(w, e))
        return false;
    uint64_t check = check_end(&w->check);
    return out_write(w->out, &check, sizeof check, e);
}

static bool check_part(const struct gyr_session *s, size_t from, size_t to, gyr_error *e) {
    const char *path = s->model->checkpoint->path;
    if (s->model->model->h.bidirectional)
        return fail(e, GYR_UNSUPPORTED, "%s: its tokens see those behind them; no part of a session can be saved",
                    path);
    if (s->model->gone.status) return fail(e, s->model->gone.status, "%s", s->model->gone.message);
    if (s->lost) return fail(e, GYR_USAGE, "%s: a session whose model was moved is saved once it was fed again", path);
    return (from < to && to <= s->length) ||
           fail(e, GYR_USAGE, "%s: tokens %zu to %zu cannot be saved: the session has %zu", path, from, to, s->length);
}

static bool save(const struct gyr_session *s, size_t from, size_t to, const char *path, gyr_error *e) {
    if (!check_part(s, from, to, e)) return false;
    struct writer *w = calloc(1, sizeof *w);
    if (!w) return fail_memory(e, path);
    w->s = s;
    w->page = saved_page(s);
    w->room = w->page > SAVED_BUFFER ? w->page : SAVED_BUFFER;
    w->buffer = malloc(w->room);
    fill_head(w, from, to);
    bool ok = w->buffer || fail_memory(e, path);
    if (ok) w->out = out_open(path, 0600, e);
    ok = w->out && put_all(w, e);
    if (w->out) ok = out_close(w->out, ok, e) && ok;
    free(w->buffer);
    free(w);
    return ok;
}

gyr_status gyr_session_save(const gyr_session *s, size_t from, size_t to, const char *path, gyr_error *e) {
    gyr_error made = {0};
    return status_of(save(s, from, to, path, &made), &made, e);
}
