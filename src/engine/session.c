// A session: one sequence in the KV cache.
#include "engine/adapter.h"
#include "engine/ranks.h"
#include "engine/scores.h"

#include <stdlib.h>
#include <string.h>

enum type kv_type_of(const struct gyr_model *m, gyr_kv_type want) { return kv_cache_wanted(m->model->type, want); }

// Which of the model's pools has the type. Sessions beyond the trained context have pools of their own: their keys are
// rotated otherwise.
static size_t pool_number(enum type type, bool far) {
    return (type == TYPE_F32 ? 0 : type == TYPE_F16 ? 1 : 2) + (far ? 3 : 0);
}

static struct kv_cache *pool_of(struct gyr_model *m, enum type type, bool far, gyr_error *e) {
    size_t i = pool_number(type, far);
    if (!m->kv[i] && (m->kv[i] = model_cache(m->model, type, e))) m->kv[i]->far = far;
    return m->kv[i];
}

struct kv_cache *model_pool(struct gyr_model *m, size_t i, gyr_error *e) {
    static const enum type types[] = {TYPE_F32, TYPE_F16, TYPE_Q8_0};
    return pool_of(m, types[i % 3], i >= 3, e);
}

struct kv_cache *session_pool(const struct gyr_session *s, gyr_error *e) {
    struct gyr_model *m = s->model;
    return pool_of(m, kv_type_of(m, s->kv_type), s->context > m->model->h.context, e);
}

bool session_own_page(struct gyr_session *s, gyr_error *e) {
    size_t at = s->length / PAGE_TOKENS;
    uint32_t before = s->pages.page[at];
    bool ok = kv_cache_own(s->kv, &s->pages, s->length, e);
    if (ok && s->pages.page[at] != before) ranks_note_page(s->model, s->kv, before, s->pages.page[at]);
    return ok;
}

static void enlist(struct gyr_session *s) {
    struct gyr_model *m = s->model;
    s->next = m->sessions;
    s->link = &m->sessions;
    if (s->next) s->next->link = &s->next;
    m->sessions = s;
}

// A session that begins with the first `held` pages of another.
static gyr_session *new_session(gyr_model *m, const gyr_session_options *o, size_t held, gyr_error *e) {
    size_t context = o ? o->context : 0;
    if (!CHECK_RESERVED(o, e)) return NULL;
    if (o && (unsigned)o->kv_type > GYR_KV_Q8) return fail_null(e, GYR_USAGE, "KV cache: no type %d", (int)o->kv_type);
    enum type type = kv_type_of(m, o ? o->kv_type : GYR_KV_DEFAULT);
    if (context > m->model->h.far_context)
        return fail_null(e, GYR_USAGE, "%s: a context of %zu tokens; the model was trained for %u", m->checkpoint->path,
                         context, m->model->h.far_context);
    if (o && o->adapter && o->adapter->model != m)
        return fail_null(e, GYR_USAGE, "%s: the adapter was opened for another model", m->checkpoint->path);
    bool promised = context;
    if (!kv_promise(m, type, &context, held, e)) return NULL;
    gyr_session *s = calloc(1, sizeof *s);
    if (!s) return fail_memory(e, "session"), NULL;
    s->model = m;
    s->context = context;
    s->promised = promised;
    s->kv_type = o ? o->kv_type : GYR_KV_DEFAULT;
    s->adapter = o ? o->adapter : NULL;
    s->ids = malloc(context * sizeof *s->ids);
    s->own = malloc(m->model->h.vocab * sizeof *s->own);
    bool ok = (s->ids && s->own) || fail_memory(e, "session");
    s->kv = ok ? session_pool(s, e) : NULL;
    if (s->kv && state_pool_take(&m->states, &s->state, e)) {
        enlist(s);
        return s;
    }
    gyr_session_free(s);
    return NULL;
}

gyr_session *session_of(gyr_model *m, const gyr_session_options *o, gyr_error *e) { return new_session(m, o, 0, e); }

gyr_session *gyr_session_new(gyr_model *m, const gyr_session_options *o, gyr_error *e) {
    if (m->model->family->encoder)
        return fail_null(e, GYR_UNSUPPORTED, "%s: is an encoder, which writes no text; it makes embeddings (gyr embed)",
                         m->checkpoint->path);
    return new_session(m, o, 0, e);
}

void gyr_session_free(gyr_session *s) {
    if (!s) return;
    if (s->link) {
        *s->link = s->next;
        if (s->next) s->next->link = s->link;
    }
    if (s->kv) kv_cache_trim(s->kv, &s->pages, 0);
    state_pool_give(&s->model->states, s->state);
    free(s->ids);
    free(s->own);
    free(s);
}

size_t gyr_session_length(const gyr_session *s) { return s->length; }

size_t gyr_session_context(const gyr_session *s) { return s->context; }

const int32_t *gyr_session_tokens(const gyr_session *s) { return s->ids; }

void gyr_session_truncate(gyr_session *s, size_t length) {
    if (length >= s->length) return;
    s->length = length;
    if (s->known > length) s->known = 0; // a state does not go back
    if (!length) s->lost = false;
    s->has_logits = false;
    kv_cache_trim(s->kv, &s->pages, length);
}

void session_set_aside(struct gyr_session *s) {
    gyr_session_truncate(s, 0);
    state_pool_give(&s->model->states, s->state);
    s->state = NULL;
}

gyr_session *gyr_session_fork(const gyr_session *from, gyr_error *e) {
    size_t vocab = from->model->model->h.vocab;
    gyr_session_options same = {
        .context = from->promised ? (uint32_t)from->context : 0, .kv_type = from->kv_type, .adapter = from->adapter};
    gyr_session *s = new_session(from->model, &same, from->pages.n, e);
    if (!s) return NULL;
    if (s->context < from->length) {
        gyr_session_free(s);
        return fail_null(e, GYR_NO_MEMORY, "%s: there is no memory left for another session of %zu tokens",
                         from->model->checkpoint->path, from->length);
    }
    if (!kv_cache_share(s->kv, &from->pages, &s->pages)) {
        gyr_session_free(s);
        return fail_memory(e, "session"), NULL;
    }
    if (from->state) state_pool_copy(&s->model->states, s->state, from->state);
    if (from->state) ranks_note_state(s->model, from->state, s->state);
    if (s->state && !model_sync(s->model->model, e)) {
        gyr_session_free(s);
        return NULL;
    }
    memcpy(s->ids, from->ids, from->length * sizeof *s->ids);
    s->length = from->length;
    s->known = from->known;
    s->lost = from->lost;
    s->has_logits = from->has_logits;
    if (s->has_logits) memcpy(session_own_scores(s), session_scores(from), vocab * sizeof *s->own);
    return s;
}

const float *gyr_session_logits(const gyr_session *s) { return s->has_logits ? session_scores(s) : NULL; }
