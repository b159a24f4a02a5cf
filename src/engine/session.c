// A session: one sequence in the KV cache.
#include "engine/engine.h"

#include <stdlib.h>
#include <string.h>

enum type kv_type_of(const struct gyr_model *m, gyr_kv_type want) {
    static const enum type types[] = {[GYR_KV_F32] = TYPE_F32, [GYR_KV_F16] = TYPE_F16, [GYR_KV_Q8] = TYPE_Q8_0};
    return want == GYR_KV_DEFAULT ? kv_cache_default(m->model->type) : types[want];
}

// Which of the model's pools has the type. Sessions beyond the trained context have pools of their own: their keys are
// rotated otherwise.
static size_t pool_number(enum type type, bool far) {
    return (type == TYPE_F32 ? 0 : type == TYPE_F16 ? 1 : 2) + (far ? 3 : 0);
}

// That pool, with `pages` more promised.
static struct kv_cache *pool_of(struct gyr_model *m, enum type type, bool far, size_t pages, gyr_error *e) {
    size_t i = pool_number(type, far);
    if (!m->kv[i]) {
        if (!(m->kv[i] = kv_cache_new(m->device, kv_cache_layout(&m->model->h, type), e))) return NULL;
        m->kv[i]->far = far;
    }
    if (!kv_cache_reserve(m->kv[i], m->reserved[i] + pages, e)) return NULL;
    m->reserved[i] += pages;
    return m->kv[i];
}

// The context a session gets: what was asked for, if it fits in memory; or by default the model's own, or the most that
// fits.
static bool choose_context(const struct gyr_model *m, enum type type, size_t *context, gyr_error *e) {
    const struct hyperparameters *h = &m->model->h;
    uint64_t page = kv_cache_bytes(kv_cache_layout(h, type), PAGE_TOKENS);
    // Weights already in the page cache count as available memory, but they are needed.
    uint64_t total = memory_total(), needed = m->model->weight_bytes + state_pool_bytes(&m->model->states);
    uint64_t spare = total > needed ? total - needed : 0, available = memory_available();
    if (available < spare) spare = available;
    uint64_t most = page ? spare / page * PAGE_TOKENS : UINT32_MAX, want = *context ? *context : h->context;
    if (want <= most) {
        *context = (size_t)want;
        return true;
    }
    if (*context == 0 && most >= PAGE_TOKENS) {
        *context = (size_t)most;
        return true;
    }
    return fail(e, GYR_NO_MEMORY,
                "%s: a context of %llu tokens takes %.1f GB, and %.1f GB are left; choose at most %llu",
                m->checkpoint->path, (unsigned long long)want, (double)(want / PAGE_TOKENS + 1) * (double)page / 1e9,
                (double)spare / 1e9, (unsigned long long)most);
}

gyr_session *gyr_session_new(gyr_model *m, const gyr_session_options *o, gyr_error *e) {
    size_t context = o ? o->context : 0;
    if (!CHECK_RESERVED(o, e)) return NULL;
    if (o && (unsigned)o->kv_type > GYR_KV_Q8) return fail_null(e, GYR_USAGE, "KV cache: no type %d", (int)o->kv_type);
    enum type type = kv_type_of(m, o ? o->kv_type : GYR_KV_DEFAULT);
    if (context > m->model->h.far_context)
        return fail_null(e, GYR_USAGE, "%s: a context of %zu tokens; the model was trained for %u", m->checkpoint->path,
                         context, m->model->h.far_context);
    if (!choose_context(m, type, &context, e)) return NULL;
    gyr_session *s = calloc(1, sizeof *s);
    if (!s) return fail_memory(e, "session"), NULL;
    s->model = m;
    s->context = context;
    s->kv_type = o ? o->kv_type : GYR_KV_DEFAULT;
    s->ids = malloc(context * sizeof *s->ids);
    s->logits = malloc(m->model->h.vocab * sizeof *s->logits);
    size_t pages = kv_cache_pages(context);
    bool ok = s->ids && s->logits ? true : fail_memory(e, "session");
    ok = s->has_state = ok && state_pool_take(&m->model->states, &s->state, e);
    s->kv = ok ? pool_of(m, type, context > m->model->h.context, pages, e) : NULL;
    if (s->kv) {
        s->promised = pages;
        return s;
    }
    gyr_session_free(s);
    return NULL;
}

void gyr_session_free(gyr_session *s) {
    if (!s) return;
    if (s->kv) {
        kv_cache_trim(s->kv, &s->pages, 0);
        s->model->reserved[pool_number(s->kv->layout.shape[KV_USUAL].type, s->kv->far)] -= s->promised;
    }
    if (s->has_state) state_pool_give(&s->model->model->states, s->state);
    free(s->ids);
    free(s->logits);
    free(s);
}

size_t gyr_session_length(const gyr_session *s) { return s->length; }

size_t gyr_session_context(const gyr_session *s) { return s->context; }

const int32_t *gyr_session_tokens(const gyr_session *s) { return s->ids; }

void gyr_session_truncate(gyr_session *s, size_t length) {
    if (length >= s->length) return;
    s->length = length;
    if (s->known > length) s->known = 0; // a state does not go back
    s->has_logits = false;
    kv_cache_trim(s->kv, &s->pages, length);
}

gyr_session *gyr_session_fork(const gyr_session *from, gyr_error *e) {
    size_t vocab = from->model->model->h.vocab;
    gyr_session *s = gyr_session_new(from->model, &(gyr_session_options){(uint32_t)from->context, from->kv_type}, e);
    if (!s) return NULL;
    if (!kv_cache_share(s->kv, &from->pages, &s->pages)) {
        gyr_session_free(s);
        return fail_memory(e, "session"), NULL;
    }
    memcpy(s->ids, from->ids, from->length * sizeof *s->ids);
    s->length = from->length;
    s->known = from->known;
    state_pool_copy(&s->model->model->states, s->state, from->state);
    s->has_logits = from->has_logits;
    if (s->has_logits) memcpy(s->logits, from->logits, vocab * sizeof *s->logits);
    return s;
}

const float *gyr_session_logits(const gyr_session *s) { return s->has_logits ? s->logits : NULL; }
