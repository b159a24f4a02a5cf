// Who may have how much of the memory for keys and values. A session whose context was asked for is promised all of it;
// one that takes what the model has gets pages as long as there are some.
#include "engine/engine.h"

static uint64_t page_bytes(const struct kv_cache *kv) { return kv ? kv_cache_bytes(kv->layout, PAGE_TOKENS) : 0; }

// Pages that a session has a right to and does not hold.
static size_t due(const struct gyr_session *s) {
    size_t all = s->promised ? kv_cache_pages(s->context) : 0;
    return all > s->pages.n ? all - s->pages.n : 0;
}

// Bytes of all pages that somebody holds, once, however many do.
static uint64_t in_use(const struct gyr_model *m) {
    uint64_t all = 0;
    for (int i = 0; i < KV_POOLS; i++)
        if (m->kv[i]) all += (m->kv[i]->n_slabs * SLAB_PAGES - m->kv[i]->n_free) * page_bytes(m->kv[i]);
    return all;
}

// Those, and those that are promised.
static uint64_t taken(const struct gyr_model *m) {
    uint64_t all = in_use(m);
    for (const struct gyr_session *s = m->sessions; s; s = s->next) all += due(s) * page_bytes(s->kv);
    return all;
}

// What keys and values on a device may take. Weights that are in the page cache count as available memory, but are
// needed.
static double room_at(const struct gyr_model *m, uint32_t side, uint64_t used) {
    struct device *d = m->on.device[side];
    uint64_t total, available, needed = m->weights[side] + m->states.floats[side] * sizeof(float);
    d->ops->room(d, &total, &available);
    uint64_t spare = total > needed ? total - needed : 0;
    available += used;
    return (double)(available < spare ? available : spare);
}

// And in all: of a page, each device has its layers' part, and the one that has least room for that is the limit.
static uint64_t room_of(const struct gyr_model *m) {
    enum type type = kv_cache_default(m->model->type);
    double page = 0, limit = 0x1p62;
    for (uint32_t k = 0; k < m->on.sides; k++) page += (double)model_side_page(m->model, k, type);
    for (uint32_t k = 0; k < m->on.sides; k++) {
        double part = page > 0 ? (double)model_side_page(m->model, k, type) / page : 1;
        double most = part > 0 ? room_at(m, k, (uint64_t)((double)in_use(m) * part)) / part : limit;
        if (most < limit) limit = most;
    }
    return (uint64_t)limit;
}

static uint64_t limit_of(const struct gyr_model *m) {
    const struct whole *w = &m->whole;
    if (m->kv_limit && w->kv_own) return m->kv_limit / w->kv_bytes * w->kv_own;
    if (m->kv_limit) return m->kv_limit;
    uint64_t available = room_of(m);
    return w->kv_own && w->kv_tokens < available / w->kv_own ? w->kv_tokens * w->kv_own : available;
}

// What all ranks have, where this one has a part of it.
static uint64_t of_all(const struct gyr_model *m, uint64_t bytes) {
    const struct whole *w = &m->whole;
    return w->kv_own ? (uint64_t)((double)bytes * ((double)w->kv_bytes / (double)w->kv_own)) : bytes;
}

// What was promised, held already or not.
static uint64_t promised(const struct gyr_model *m) {
    uint64_t all = 0;
    for (const struct gyr_session *s = m->sessions; s; s = s->next)
        if (s->promised) all += (s->pages.n + due(s)) * page_bytes(s->kv);
    return all;
}

// The context of a session that asks for none: the model's, or all that was promised to nobody. What others hold now
// does not make it less: they may give it back, and an answer must not end earlier for who else was there.
static uint64_t open_context(const struct gyr_model *m, uint64_t page, uint64_t limit) {
    uint64_t sworn = promised(m), most = limit > sworn ? (limit - sworn) / page * PAGE_TOKENS : 0;
    return most < m->model->h.context ? most : m->model->h.context;
}

bool kv_promise(const struct gyr_model *m, enum type type, size_t *context, size_t held, gyr_error *e) {
    const struct hyperparameters *h = &m->model->h;
    uint64_t page = kv_cache_bytes(kv_cache_layout(h, type), PAGE_TOKENS), limit = limit_of(m), used = taken(m);
    uint64_t spare = (limit > used ? limit - used : 0) + held * page;
    uint64_t most = page ? spare / page * PAGE_TOKENS : UINT32_MAX, want = *context ? *context : h->context;
    if (want <= most || !page) {
        *context = (size_t)want;
        return true;
    }
    if (*context == 0 && (most = open_context(m, page, limit)) >= PAGE_TOKENS) {
        *context = (size_t)most;
        return true;
    }
    return fail(e, GYR_NO_MEMORY,
                "%s: a context of %llu tokens takes %.1f GB, and %.1f GB are left; choose at most %llu",
                m->checkpoint->path, (unsigned long long)want, (double)(want / PAGE_TOKENS + 1) * (double)page / 1e9,
                (double)spare / 1e9, (unsigned long long)most);
}

// Pages that a session needs beyond those it has, with the copy of one that others hold too.
static size_t pages_for(const struct intake *in) {
    const struct gyr_session *s = in->s;
    size_t need = kv_cache_pages(s->length + in->count), page = s->length / PAGE_TOKENS;
    if (s->model->model->h.bidirectional) return in->count ? need : 0; // all are written, others' may not be
    bool copies = in->count && s->length % PAGE_TOKENS && page < s->pages.n && s->kv->holders[s->pages.page[page]] > 1;
    return (need > s->pages.n ? need - s->pages.n : 0) + copies;
}

static bool full(const struct gyr_model *m, uint64_t limit, gyr_error *e) {
    return fail(
        e, GYR_NO_MEMORY,
        "%s: the memory for keys and values is full (%.1f GB); free or shorten a session that waits, or ask for "
        "a smaller context",
        m->checkpoint->path, (double)limit / 1e9);
}

static bool grow(struct gyr_model *m, struct kv_cache *kv, size_t pages, gyr_error *e) {
    if (kv_cache_grow(kv, pages, e)) return true;
    uint64_t given = 0;
    for (int i = 0; i < KV_POOLS; i++)
        if (m->kv[i] && m->kv[i] != kv) given += kv_cache_shrink(m->kv[i]);
    return given && kv_cache_grow(kv, pages, e);
}

bool kv_admit(struct gyr_model *m, const struct intake *in, size_t n, gyr_error *e) {
    size_t need[KV_POOLS] = {0};
    uint64_t beyond = 0; // bytes that nobody was promised
    for (size_t i = 0; i < n; i++) {
        size_t pages = pages_for(&in[i]);
        for (int k = 0; k < KV_POOLS; k++) need[k] += m->kv[k] == in[i].s->kv ? pages : 0;
        beyond += in[i].s->promised ? 0 : pages * page_bytes(in[i].s->kv);
    }
    if (beyond) {
        uint64_t limit = limit_of(m), used = taken(m);
        if (used > limit || beyond > limit - used) return full(m, limit, e);
    }
    for (int k = 0; k < KV_POOLS; k++)
        if (need[k] && !grow(m, m->kv[k], need[k], e)) return false;
    return true;
}

gyr_session *gyr_session_longest_idle(const gyr_model *m, gyr_session *const *busy, size_t n) {
    struct gyr_session *oldest = NULL;
    for (struct gyr_session *s = m->sessions; s; s = s->next) {
        bool is_busy = false;
        for (size_t i = 0; i < n; i++) is_busy |= busy[i] == s;
        if (!is_busy && s->pages.n && (!oldest || s->used < oldest->used)) oldest = s;
    }
    return oldest;
}

void gyr_model_get_memory(const gyr_model *m, gyr_memory *memory) {
    uint64_t used = in_use(m);
    *memory =
        (gyr_memory){.limit = of_all(m, limit_of(m)), .used = of_all(m, used), .promised = of_all(m, taken(m) - used)};
    for (int i = 0; i < KV_POOLS; i++)
        if (m->kv[i]) memory->held += of_all(m, kv_cache_held(m->kv[i]));
}
