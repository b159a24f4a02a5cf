// Several ranks, as those behind rank 0 see them: pages and states by rank 0's numbers, and passes that it asks for.
#include "engine/adapter.h"
#include "engine/image.h"
#include "engine/ranks.h"

#include <stdlib.h>
#include <string.h>

// A state by rank 0's name for it.
struct known_state {
    uint64_t name;
    struct sequence_state *state;
};

struct follower {
    struct gyr_model *m;
    struct known_state *states;
    size_t n_states, room_states;
    struct pages *pages; // of the sequences of a pass; they point into its message
    struct sequence_state **of;
    const struct adapter **adapter;
    struct row *rows;
    float *out;
    size_t room_out;
    gyr_error broken; // a page or a state is missing here: nothing that is computed from now on would be right
};

// What is left of a message.
struct reader {
    const char *at;
    size_t left;
};

static bool next(struct reader *r, void *to, size_t n) {
    if (n > r->left) return false;
    memcpy(to, r->at, n);
    r->at += n;
    r->left -= n;
    return true;
}

static bool garbled(gyr_error *e) { return fail(e, GYR_FAILED, "rank 0 sent a pass that cannot be read"); }

static bool state_named(struct follower *f, uint64_t name, struct sequence_state **state, gyr_error *e) {
    *state = NULL;
    if (!name || !state_pool_floats(&f->m->states)) return true;
    for (size_t i = 0; i < f->n_states; i++)
        if (f->states[i].name == name) {
            *state = f->states[i].state;
            return true;
        }
    if (!ARRAY_GROW(f->states, f->n_states, f->room_states)) return fail_memory(e, "ranks");
    if (!state_pool_take(&f->m->states, state, e)) return false;
    f->states[f->n_states++] = (struct known_state){name, *state};
    return true;
}

static bool follow_pools(struct follower *f, const struct pass_head *h, gyr_error *e) {
    for (size_t i = 0; i < KV_POOLS; i++) {
        if (!h->slabs[i] && !f->m->kv[i] && i != h->pool) continue;
        struct kv_cache *kv = model_pool(f->m, i, e);
        if (!kv || !kv_cache_resize(kv, h->slabs[i], e)) return false;
    }
    return true;
}

static bool is_page(const struct gyr_model *m, uint32_t pool, uint32_t page) {
    return pool < KV_POOLS && m->kv[pool] && page / SLAB_PAGES < m->kv[pool]->n_slabs;
}

static bool follow_notes(struct follower *f, const struct pass_head *h, struct reader *r, gyr_error *e) {
    struct page_copy c;
    struct state_fork s;
    struct sequence_state *from, *to;
    for (uint32_t i = 0; i < h->copies; i++) {
        if (!next(r, &c, sizeof c) || !is_page(f->m, c.pool, c.from) || !is_page(f->m, c.pool, c.to)) return garbled(e);
        kv_cache_copy(f->m->kv[c.pool], c.from, c.to);
    }
    for (uint32_t i = 0; i < h->forks; i++) {
        if (!next(r, &s, sizeof s)) return garbled(e);
        if (!state_named(f, s.from, &from, e) || !state_named(f, s.to, &to, e)) return false;
        if (from && to) state_pool_copy(&f->m->states, to, from);
    }
    return true;
}

static bool read_sequences(struct follower *f, const struct pass_head *h, struct reader *r, gyr_error *e) {
    struct sequence_head s;
    struct pages *pages = reallocarray(f->pages, h->sequences + 1, sizeof *pages);
    if (pages) f->pages = pages;
    struct sequence_state **of = reallocarray(f->of, h->sequences + 1, sizeof(*of));
    if (of) f->of = of;
    const struct adapter **adapter = reallocarray(f->adapter, h->sequences + 1, sizeof(*adapter));
    if (adapter) f->adapter = adapter;
    if (!pages || !of || !adapter) return fail_memory(e, "ranks");
    for (uint32_t i = 0; i < h->sequences; i++) {
        if (!next(r, &s, sizeof s) || s.pages > r->left / sizeof(uint32_t)) return garbled(e);
        const struct gyr_adapter *has = s.adapter ? ranks_adapter(f->m, s.adapter) : NULL;
        if (s.adapter && !has) return garbled(e);
        adapter[i] = has ? has->bound : NULL;
        if (!state_named(f, s.state, &of[i], e)) return false;
        pages[i] = (struct pages){(uint32_t *)(uintptr_t)r->at, s.pages, s.pages};
        for (uint32_t k = 0; k < s.pages; k++)
            if (!is_page(f->m, h->pool, pages[i].page[k])) return garbled(e);
        r->at += s.pages * sizeof(uint32_t);
        r->left -= s.pages * sizeof(uint32_t);
    }
    return true;
}

static bool read_rows(struct follower *f, const struct pass_head *h, struct reader *r, size_t *wanted, gyr_error *e) {
    struct row_told t;
    struct row *rows = reallocarray(f->rows, h->rows + 1, sizeof *rows);
    if (!rows) return fail_memory(e, "ranks");
    f->rows = rows;
    for (uint32_t i = 0; i < h->rows; i++) {
        if (!next(r, &t, sizeof t)) return garbled(e);
        uint32_t sequence = t.sequence & ~(1u << ROW_WANTED);
        if (sequence >= h->sequences || t.position / PAGE_TOKENS >= f->pages[sequence].n || t.token < 0 ||
            (uint32_t)t.token >= f->m->model->h.vocab)
            return garbled(e);
        rows[i] = (struct row){t.token,
                               t.position,
                               t.ahead,
                               &f->pages[sequence],
                               f->of[sequence],
                               t.sequence >> ROW_WANTED,
                               f->adapter[sequence]};
        *wanted += rows[i].wanted;
    }
    return true;
}

static bool make_out(struct follower *f, size_t floats, gyr_error *e) {
    if (floats <= f->room_out) return true;
    float *more = realloc(f->out, floats * sizeof *more);
    if (!more) return fail_memory(e, "ranks");
    f->out = more;
    f->room_out = floats;
    return true;
}

// What a message needs to be here: pools, and what was copied; and whose pages and states it is about.
static bool prepare(struct follower *f, const struct pass_head *h, struct reader *r, gyr_error *e) {
    if (f->broken.status) return fail(e, f->broken.status, "%s", f->broken.message);
    if (h->pool >= KV_POOLS) return garbled(e);
    if (follow_pools(f, h, e) && follow_notes(f, h, r, e)) return read_sequences(f, h, r, e);
    if (h->copies || h->forks) f->broken = *e; // what rank 0 copied is not here now
    return false;
}

static bool prepare_pass(struct follower *f, const struct pass_head *h, struct reader *r, size_t *wanted,
                         gyr_error *e) {
    bool whole = f->m->model->h.bidirectional && h->rows <= f->m->model->h.far_context; // a text is one pass
    if ((!whole && h->rows > run_rows(f->m->run)) || h->sequences > h->rows) return garbled(e);
    return prepare(f, h, r, e) && read_rows(f, h, r, wanted, e);
}

static bool compute(struct follower *f, const struct buf *message, size_t *floats, gyr_error *e) {
    struct gyr_model *m = f->m;
    struct reader r = {message->data, message->size};
    struct pass_head h;
    size_t wanted = 0;
    *floats = 0;
    if (!next(&r, &h, sizeof h)) return garbled(e);
    if (m->spread) spread_begin(m->spread, h.pass, h.linked);
    if (!prepare_pass(f, &h, &r, &wanted, e)) return false;
    *floats = wanted * (h.gives == GIVES_STATES ? m->model->h.hidden : m->model->h.vocab);
    return make_out(f, m->model->gives ? *floats : 0, e) &&
           forward(m->run, m->kv[h.pool], f->rows, h.rows, h.gives, f->out, e) && run_sync(m->run, e);
}

// What cannot be sent any more, rank 0 notices itself.
static void answer_pass(struct follower *f, const struct buf *message) {
    size_t floats;
    gyr_error why = {0};
    bool ok = compute(f, message, &floats, &why);
    if (!f->m->spread)
        run_reply(f->m->run, ok, &why, f->out, floats, NULL);
    else if (!ok)
        spread_fail(f->m->spread, &why);
}

static bool image_fits(const struct gyr_model *m, const struct image *i) {
    uint64_t state = i->state ? state_pool_bytes(&m->states) : 0;
    bool pages = i->from <= i->to && i->to <= i->n * PAGE_TOKENS && (!i->n || i->from < PAGE_TOKENS);
    return pages && i->at <= state && i->bytes <= state - i->at;
}

// Writes what this rank has of an image, or reads it: *out, of n bytes, is the caller's then.
static bool move_image(struct follower *f, const struct buf *message, uint8_t **out, size_t *n, gyr_error *e) {
    struct gyr_model *m = f->m;
    struct reader r = {message->data, message->size};
    struct pass_head h;
    struct image_told t;
    if (!next(&r, &h, sizeof h) || h.sequences != 1) return garbled(e);
    if (!prepare(f, &h, &r, e)) return false;
    if (!next(&r, &t, sizeof t)) return garbled(e);
    struct image i = {m->kv[h.pool], f->pages->page, f->pages->n, t.from, t.to, *f->of, t.at, t.bytes};
    if (!image_fits(m, &i)) return garbled(e);
    if (h.errand == ERRAND_WRITE)
        return r.left == image_own_size(&i)
                   ? image_write_own(m, &i, (const uint8_t *)r.at, e) && model_sync(m->model, e)
                   : garbled(e);
    *n = image_own_size(&i);
    if (!(*out = malloc(*n + !*n))) return fail_memory(e, "ranks");
    return image_read_own(m, &i, *out, e);
}

static void answer_image(struct follower *f, const struct buf *message) {
    gyr_error why = {0};
    uint8_t *out = NULL;
    size_t n = 0;
    if (move_image(f, message, &out, &n, &why))
        ranks_send(f->m->ranks, 0, PARCEL_RESULT, out, n, NULL);
    else
        ranks_send_failure(f->m->ranks, 0, PARCEL_RESULT, 0, &why, NULL);
    free(out);
}

static void answer(struct follower *f, const struct buf *message) {
    uint32_t errand = ERRAND_PASS;
    if (message->size >= sizeof errand) memcpy(&errand, message->data, sizeof errand);
    if (errand == ERRAND_READ || errand == ERRAND_WRITE)
        answer_image(f, message);
    else if (!ranks_errand(f->m, message))
        answer_pass(f, message);
}

static void drop(struct follower *f) {
    for (size_t i = 0; i < f->n_states; i++) state_pool_give(&f->m->states, f->states[i].state);
    free(f->states);
    free(f->pages);
    free(f->of);
    free(f->adapter);
    free(f->rows);
    free(f->out);
}

gyr_status gyr_ranks_follow(gyr_model *m, gyr_error *e) {
    struct follower f = {.m = m};
    struct buf message = {0};
    gyr_error made = {0};
    if (!m->ranks || !ranks_own(m->ranks)) {
        fail(&made, GYR_USAGE, "%s: rank 0 leads, and follows nobody", m->checkpoint->path);
        return status_of(false, &made, e);
    }
    do {
        while (ranks_receive(m->ranks, 0, PARCEL_PASS, &message, &made)) answer(&f, &message);
        model_sync(m->model, NULL);
        drop(&f);
        f = (struct follower){.m = m};
    } while (ranks_lost(m->ranks) && ranks_recover(m, &made));
    while (m->adapters) gyr_adapter_close(m->adapters);
    buf_free(&message);
    return status_of(made.status == GYR_CANCELLED, &made, e);
}
