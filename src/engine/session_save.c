// A part of a session, on its way to a file: read from the device in pieces, as many at a time as fit a buffer.
#include "base/out.h"
#include "engine/adapter.h"
#include "engine/saved.h"
#include "engine/scores.h"

#include <stdlib.h>
#include <string.h>

enum { MANY = 1024 };

struct writer {
    const struct gyr_session *s;
    struct saved head;
    struct out *out;
    struct check check;
    uint8_t *buffer, *edge; // edge: an image of a piece
    size_t room, used;
    struct piece {
        struct kv_piece of;
        size_t at, page; // in the buffer; of the sequence
    } piece[MANY];       // that are on their way to the buffer
    size_t n;
};

static bool put(struct writer *w, const void *data, size_t n, gyr_error *e) {
    check_add(&w->check, data, n);
    return out_write(w->out, data, n, e);
}

// Positions of a page that are not the part's own may hold what others left there: zeros instead.
static void blank(const struct writer *w, const struct piece *p) {
    uint64_t first = (uint64_t)p->page * PAGE_TOKENS, last = first + PAGE_TOKENS;
    if (first >= w->head.from && last <= w->head.to) return;
    size_t from = w->head.from > first ? (size_t)(w->head.from - first) : 0;
    size_t to = w->head.to < last ? (size_t)(w->head.to - first) : PAGE_TOKENS;
    memset(w->edge, 0, p->of.bytes);
    kv_piece_copy(&p->of, w->edge, w->buffer + p->at, from, to);
    memcpy(w->buffer + p->at, w->edge, p->of.bytes);
}

static bool flush(struct writer *w, gyr_error *e) {
    if (!model_sync(w->s->model->model, e)) return false;
    for (size_t i = 0; i < w->n; i++) blank(w, &w->piece[i]);
    bool ok = put(w, w->buffer, w->used, e);
    w->used = w->n = 0;
    return ok;
}

static bool read_piece(struct writer *w, struct kv_piece p, size_t page, gyr_error *e) {
    if (!p.bytes) return true;
    if ((w->used + p.bytes > w->room || w->n == MANY) && !flush(w, e)) return false;
    w->piece[w->n++] = (struct piece){p, w->used, page};
    p.device->ops->read(p.device, w->buffer + w->used, p.at, p.bytes);
    w->used += p.bytes;
    return true;
}

static bool put_pages(struct writer *w, gyr_error *e) {
    const struct kv_cache *kv = w->s->kv;
    for (size_t page = w->head.from / PAGE_TOKENS; page < kv_cache_pages(w->head.to); page++)
        for (size_t i = 0; i < kv_cache_arrays(kv); i++)
            if (!read_piece(w, kv_cache_piece(kv, i, w->s->pages.page[page]), page, e)) return false;
    return flush(w, e);
}

// Of each device in turn: its layers come behind those of the one before.
static bool put_state(struct writer *w, gyr_error *e) {
    const struct state_pool *all = &w->s->model->states;
    for (uint32_t k = 0; w->head.state && k < all->sides; k++) {
        struct device *d = all->device[k];
        size_t bytes = all->floats[k] * sizeof(float);
        for (size_t done = 0, some; done < bytes; done += some) {
            some = bytes - done < w->room ? bytes - done : w->room;
            d->ops->read(d, w->buffer, (const dbyte *)w->s->state->at[k] + done, some);
            w->used = some;
            if (!flush(w, e)) return false;
        }
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
                             .page = kv_cache_bytes(s->kv->layout, PAGE_TOKENS),
                             .logits = end && s->has_logits ? s->model->model->h.vocab : 0,
                             .state = end && known ? state_pool_floats(&s->model->states) : 0};
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
    if (s->lost) return fail(e, GYR_USAGE, "%s: a session whose model was moved is saved once it was fed again", path);
    return (from < to && to <= s->length) ||
           fail(e, GYR_USAGE, "%s: tokens %zu to %zu cannot be saved: the session has %zu", path, from, to, s->length);
}

static bool save(const struct gyr_session *s, size_t from, size_t to, const char *path, gyr_error *e) {
    if (!check_part(s, from, to, e)) return false;
    struct writer *w = calloc(1, sizeof *w);
    if (!w) return fail_memory(e, path);
    size_t largest = saved_largest(s->kv);
    w->s = s;
    w->room = largest > SAVED_BUFFER ? largest : SAVED_BUFFER;
    w->buffer = malloc(w->room);
    w->edge = malloc(largest + !largest);
    fill_head(w, from, to);
    bool ok = w->buffer && w->edge;
    if (!ok) fail_memory(e, path);
    if (ok) w->out = out_open(path, 0600, e);
    ok = w->out && put_all(w, e);
    if (w->out) ok = out_close(w->out, ok, e) && ok;
    free(w->buffer);
    free(w->edge);
    free(w);
    return ok;
}

gyr_status gyr_session_save(const gyr_session *s, size_t from, size_t to, const char *path, gyr_error *e) {
    gyr_error made = {0};
    bool ok = model_here(s->model, "a saved session", &made) && save(s, from, to, path, &made);
    return status_of(ok, &made, e);
}
