// Several ranks, as rank 0 sees them.
#include "engine/ranks.h"

#include "device/read_rate.h"
#include "engine/adapter.h"
#include "engine/image.h"
#include "engine/place.h"
#include "engine/saved.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// What a rank knows of its model before anything is bound.
struct facts {
    uint64_t identity, memory;
    double kept, speed;   // bytes of weights a second: as they were measured before; and now
    uint32_t split, card; // card: the memory is a card's own
    double room, rows;    // of a card: what is left for its part of the rows; what all their parts take; 0: not known
    char host[64];
};

// And once its part is.
struct own_part {
    uint64_t rows, wanted, kv_tokens, layers;
    struct whole share;
    struct rank_has has;
    char device[32];
};

// A model that may be larger than the memory may be so in parts.
static struct facts facts_of(const struct gyr_model *m, bool oversize) {
    uint64_t available;
    struct facts f = {.identity = checkpoint_identity(m->checkpoint)};
    m->device->ops->room(m->device, &f.memory, &available);
    gethostname(f.host, sizeof f.host - 1);
    if (oversize) f.memory = UINT64_MAX;
    f.split = m->options.split;
    f.card = device_has_read_rate(m->device);
    if (f.card && m->options.split != GYR_SPLIT_LAYERS) place_row_needs(m, &f.room, &f.rows);
    f.kept = (double)m->options.speed * weights_of(m);
    f.speed = split_speed(m);
    return f;
}

// Ranks of one machine share its memory: how many do, with rank i. A card's is one rank's.
static uint32_t sharers_of(const struct facts *all, uint32_t n, uint32_t i) {
    uint32_t here = 0;
    for (uint32_t k = 0; k < n; k++) here += !all[k].card && !strncmp(all[k].host, all[i].host, sizeof all->host);
    return all[i].card ? 1 : here;
}

// By what was kept, where all ranks have that.
static void compare_speeds(const struct facts *all, struct shared *s) {
    bool kept = true;
    for (uint32_t i = 0; i < s->count; i++) kept &= all[i].kept > 0;
    for (uint32_t i = 0; i < s->count; i++) {
        s->speed[i] = kept ? all[i].kept : all[i].speed;
        if (s->speed[i] > s->fastest) s->fastest = s->speed[i];
    }
    if (!(s->fastest > 0)) s->fastest = 2e10; // of a small model
    split_round(s->speed, s->count);
}

bool ranks_meet_model(struct gyr_model *m, struct ranks *r, bool oversize, bool ok, const gyr_error *why,
                      struct shared *s, gyr_error *e) {
    struct buf b = {0};
    struct facts own = {0};
    uint32_t n = ranks_count(r);
    if (ok) own = facts_of(m, oversize);
    ok = ranks_agree(r, ok, why, &own, sizeof own, &b, e);
    const struct facts *all = (const struct facts *)(void *)b.data;
    for (uint32_t i = 1; ok && i < n; i++)
        if (all[i].split != all->split)
            ok = ranks_blame(r, i, GYR_USAGE, "shares the model out otherwise than rank 0; give all the same options",
                             e);
        else if (all[i].identity != all->identity)
            ok = ranks_blame(r, i, GYR_USAGE, "has opened another model than rank 0; give all ranks the same file", e);
    ok = shared_new(s, n, ok ? e : NULL) && ok;
    for (uint32_t i = 0; ok && i < n; i++) {
        s->sharers[i] = sharers_of(all, n, i);
        s->memory[i] = all[i].memory / s->sharers[i];
        s->room[i] = all[i].room;
        if (!all[i].card && s->cards == i) s->without = i;
        s->cards += all[i].card;
    }
    if (ok) s->rows_bytes = all->rows;
    if (ok) compare_speeds(all, s);
    buf_free(&b);
    return ok && split_gap(r, &s->gap, e);
}

static struct own_part part_of(const struct gyr_model *m) {
    const struct model *model = m->model;
    uint64_t kv = kv_cache_bytes(kv_cache_layout(&model->h, kv_cache_default(model->type)), PAGE_TOKENS) / PAGE_TOKENS;
    gyr_memory memory;
    gyr_model_get_memory(m, &memory);
    struct own_part p = {
        run_rows(m->run),
        run_wanted(m->run, GIVES_LOGITS),
        kv ? memory.limit / kv : UINT64_MAX,
        model->end - model->first,
        {model->parameters, model->weight_bytes, model->decode_bytes, kv, state_pool_bytes(&m->states)}};
    work_shares(m, &p.share.work);
    for (int k = 0; k < KV_KINDS; k++) p.has.layers[k] = model->h.kv_layers[k];
    p.has.state = model->h.state_layers ? state_pool_bytes(&m->states) : 0;
    snprintf(p.device, sizeof p.device, "%s", m->placement.device);
    return p;
}

static void add_share(struct whole *w, const struct whole *s) {
    w->parameters += s->parameters;
    w->weight_bytes += s->weight_bytes;
    w->decode_bytes += s->decode_bytes;
    w->kv_bytes += s->kv_bytes;
    w->state_bytes += s->state_bytes;
    w->work.row_int8 += s->work.row_int8;
    w->work.row_fp32 += s->work.row_fp32;
    w->work.once_int8 += s->work.once_int8;
    w->work.once_fp32 += s->work.once_fp32;
}

// For the person who started it.
static void tell_placement(struct gyr_model *m, const struct shared *s, const struct own_part *all) {
    struct buf b = {0};
    for (uint32_t i = 0; i < s->count; i++) // where all have the same, once
        if (!i || strcmp(all[i].device, all->device) != 0) buf_printf(&b, "%s%s", i ? " + " : "", all[i].device);
    buf_printf(&b, ", %u ranks, by %s: ", s->count, s->rows ? "rows" : "layers");
    for (uint32_t i = 0; i < s->count; i++)
        if (s->rows)
            buf_printf(&b, "%s%.0f%%", i ? ", " : "", 100 * s->part[i]);
        else
            buf_printf(&b, "%s%llu", i ? ", " : "", (unsigned long long)all[i].layers);
    if (m->spread && *spread_way(m->spread)) buf_printf(&b, "; %s", spread_way(m->spread));
    if (s->slower > 0)
        buf_printf(&b, "; an answer alone would be about %.1f times as fast on one machine, which has room", s->slower);
    if (b.data) snprintf(m->placement.why, sizeof m->placement.why, "%s", b.data);
    buf_free(&b);
}

// Of layers that are shared out, who has what is kept of them.
static bool note_what_they_have(struct gyr_model *m, const struct own_part *all, gyr_error *e) {
    uint32_t n = ranks_count(m->ranks);
    free(m->has);
    if (!(m->has = calloc(n, sizeof *m->has))) return fail_memory(e, "ranks");
    for (uint32_t i = 0; i < n; i++) m->has[i] = all[i].has;
    return true;
}

bool ranks_ready(struct gyr_model *m, const struct shared *s, bool ok, const gyr_error *why, gyr_error *e) {
    struct buf b = {0};
    struct own_part own = {0}, least;
    if (ok) own = part_of(m);
    ok = ranks_agree(m->ranks, ok, why, &own, sizeof own, &b, e);
    const struct own_part *all = (const struct own_part *)(void *)b.data;
    least = own;
    least.kv_tokens = UINT64_MAX;
    for (uint32_t i = 0; ok && i < ranks_count(m->ranks); i++) {
        uint64_t tokens = all[i].kv_tokens / s->sharers[i];
        if (all[i].rows < least.rows) least.rows = all[i].rows;
        if (all[i].wanted < least.wanted) least.wanted = all[i].wanted;
        if (tokens < least.kv_tokens) least.kv_tokens = tokens;
        if (!i || !s->rows) add_share(&m->whole, &all[i].share); // by rows, each counts all
    }
    if (ok && !s->rows) ok = note_what_they_have(m, all, e);
    if (ok) tell_placement(m, s, all);
    if (ok) run_limit(m->run, (size_t)least.rows, (size_t)least.wanted);
    m->whole.kv_own = own.share.kv_bytes;
    m->whole.kv_tokens = least.kv_tokens;
    buf_free(&b);
    return ok;
}

bool model_here(const struct gyr_model *m, const char *what, gyr_error *e) {
    return !m->ranks || fail(e, GYR_UNSUPPORTED, "%s: %s cannot be had on several ranks yet; use one machine",
                             m->checkpoint->path, what);
}

static uint32_t pool_of(const struct gyr_model *m, const struct kv_cache *kv) {
    uint32_t i = 0;
    while (i < KV_POOLS - 1 && m->kv[i] != kv) i++;
    return i;
}

void ranks_note_page(struct gyr_model *m, const struct kv_cache *kv, uint32_t from, uint32_t to) {
    const struct page_copy c = {pool_of(m, kv), from, to};
    if (m->ranks) buf_append(&m->notes.copies, &c, sizeof c);
}

void ranks_note_state(struct gyr_model *m, const struct sequence_state *from, const struct sequence_state *to) {
    const struct state_fork f = {(uintptr_t)from, (uintptr_t)to};
    if (m->ranks) buf_append(&m->notes.forks, &f, sizeof f);
}

// Its number, of the model's.
static uint32_t number_of(const struct gyr_model *m, const struct adapter *bound) {
    const struct gyr_adapter *a = bound ? m->adapters : NULL;
    while (a && a->bound != bound) a = a->next;
    return a ? a->number : 0;
}

static void put_sequences(struct buf *b, const struct gyr_model *m, const struct row *rows, size_t n,
                          struct pass_head *h) {
    uint32_t adapter = 0;
    for (size_t i = 0; i < n; i++) {
        const struct pages *p = rows[i].pages;
        if (i && rows[i - 1].pages == p) continue;
        if (!i || rows[i].adapter != rows[i - 1].adapter) adapter = number_of(m, rows[i].adapter);
        struct sequence_head s = {(uintptr_t)rows[i].state, (uint32_t)p->n, adapter};
        buf_append(b, &s, sizeof s);
        buf_append(b, p->page, p->n * sizeof *p->page);
        h->sequences++;
    }
}

static void put_rows(struct buf *b, const struct row *rows, size_t n) {
    uint32_t sequence = 0;
    for (size_t i = 0; i < n; i++) {
        sequence += i && rows[i - 1].pages != rows[i].pages;
        const struct row_told r = {rows[i].token, rows[i].position, rows[i].ahead,
                                   sequence | (uint32_t)rows[i].wanted << ROW_WANTED};
        buf_append(b, &r, sizeof r);
    }
}

struct pass_head ranks_head(const struct gyr_model *m, const struct kv_cache *kv, enum errand errand) {
    const struct notes *notes = &m->notes;
    struct pass_head h = {.errand = errand,
                          .pool = pool_of(m, kv),
                          .copies = (uint32_t)(notes->copies.size / sizeof(struct page_copy)),
                          .forks = (uint32_t)(notes->forks.size / sizeof(struct state_fork))};
    for (int i = 0; i < KV_POOLS; i++) h.slabs[i] = m->kv[i] ? (uint32_t)m->kv[i]->n_slabs : 0;
    return h;
}

void ranks_begin(const struct gyr_model *m, const struct pass_head *h, struct buf *b) {
    buf_append(b, h, sizeof *h);
    buf_append(b, m->notes.copies.data, m->notes.copies.size);
    buf_append(b, m->notes.forks.data, m->notes.forks.size);
    b->failed |= m->notes.copies.failed || m->notes.forks.failed;
}

void ranks_noted(struct gyr_model *m) {
    buf_clear(&m->notes.copies);
    buf_clear(&m->notes.forks);
}

bool ranks_tell(struct gyr_model *m, const struct kv_cache *kv, const struct row *rows, size_t n, enum gives gives,
                gyr_error *e) {
    struct pass_head h = ranks_head(m, kv, ERRAND_PASS);
    struct buf b = {0}, body = {0};
    h.pass = ++m->passes;
    h.gives = gives;
    h.rows = (uint32_t)n;
    h.linked = m->spread && spread_linked(m->spread);
    if (m->spread) spread_begin(m->spread, h.pass, h.linked);
    put_sequences(&body, m, rows, n, &h);
    put_rows(&body, rows, n);
    ranks_begin(m, &h, &b);
    buf_append(&b, body.data, body.size);
    bool told = !(b.failed || body.failed), ok = told || fail_memory(e, "ranks");
    for (uint32_t i = 1; ok && i < ranks_count(m->ranks); i++)
        ok = ranks_send(m->ranks, i, PARCEL_PASS, b.data, b.size, e);
    if (told) ranks_noted(m); // else the next pass has them to tell, too
    buf_free(&b);
    buf_free(&body);
    return ok;
}
