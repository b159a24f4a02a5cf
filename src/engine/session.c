// A session: one sequence in the KV cache.
#include "engine/engine.h"

#include <stdlib.h>
#include <string.h>

static enum type kv_type_of(const struct gyr_model *m, gyr_kv_type want) {
    static const enum type types[] = {[GYR_KV_F32] = TYPE_F32, [GYR_KV_F16] = TYPE_F16, [GYR_KV_Q8] = TYPE_Q8_0};
    return want == GYR_KV_DEFAULT ? kv_cache_default(m->model->layers[0].up.w.type) : types[want];
}

// Which of the model's pools has the type.
static size_t pool_number(enum type type) { return type == TYPE_F32 ? 0 : type == TYPE_F16 ? 1 : 2; }

// The pool of the type, with `pages` more promised.
static struct kv_cache *pool_of(struct gyr_model *m, enum type type, size_t pages, gyr_error *e) {
    const struct hyperparameters *h = &m->model->h;
    size_t i = pool_number(type);
    if (!m->kv[i]) m->kv[i] = kv_cache_new(m->device, kv_cache_shape(h, type), h->layers, e);
    if (!m->kv[i] || !kv_cache_reserve(m->kv[i], m->reserved[i] + pages, e)) return NULL;
    m->reserved[i] += pages;
    return m->kv[i];
}

// The context a session gets: what was asked for, if it fits in memory; or by default the model's own, or the most that
// fits.
static bool choose_context(const struct gyr_model *m, enum type type, size_t *context, gyr_error *e) {
    const struct hyperparameters *h = &m->model->h;
    uint64_t page = kv_cache_bytes(kv_cache_shape(h, type), h->layers, PAGE_TOKENS);
    // Weights already in the page cache count as available memory, but they are needed.
    uint64_t total = memory_total(), weights = m->model->weight_bytes;
    uint64_t spare = total > weights ? total - weights : 0, available = memory_available();
    if (available < spare) spare = available;
    uint64_t most = spare / page * PAGE_TOKENS, want = *context ? *context : h->context;
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
    if (o && (unsigned)o->kv_type > GYR_KV_Q8) return fail_null(e, GYR_USAGE, "KV cache: no type %d", (int)o->kv_type);
    enum type type = kv_type_of(m, o ? o->kv_type : GYR_KV_DEFAULT);
    if (context > m->model->h.context)
        return fail_null(e, GYR_USAGE, "%s: a context of %zu tokens; the model was trained for %u", m->checkpoint->path,
                         context, m->model->h.context);
    if (!choose_context(m, type, &context, e)) return NULL;
    gyr_session *s = calloc(1, sizeof *s);
    if (!s) return fail_memory(e, "session"), NULL;
    s->model = m;
    s->context = context;
    s->ids = malloc(context * sizeof *s->ids);
    s->logits = malloc(m->model->h.vocab * sizeof *s->logits);
    size_t pages = kv_cache_pages(context);
    bool ok = s->ids && s->logits ? true : fail_memory(e, "session");
    s->kv = ok ? pool_of(m, type, pages, e) : NULL;
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
        s->model->reserved[pool_number(s->kv->shape.type)] -= s->promised;
    }
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
    s->has_logits = false;
    kv_cache_trim(s->kv, &s->pages, length);
}

static bool check_ids(const struct gyr_session *s, const int32_t *ids, size_t count, gyr_error *e) {
    if (count > s->context - s->length)
        return fail(e, GYR_TOO_LONG,
                    "%s: %zu tokens do not fit: the context is %zu and %zu are in it; shorten the prompt or choose a "
                    "larger context",
                    s->model->checkpoint->path, count, s->context, s->length);
    for (size_t i = 0; i < count; i++)
        if (ids[i] < 0 || (uint32_t)ids[i] >= s->model->model->h.vocab)
            return fail(e, GYR_USAGE, "%s: token %d: ids are 0 to %u", s->model->checkpoint->path, ids[i],
                        s->model->model->h.vocab - 1);
    return true;
}

// Computes the next `n` tokens; logits: of all of them, or, if NULL, of the last one if `last`.
static void compute(struct gyr_session *s, const int32_t *ids, size_t n, bool last, float *logits, struct row *rows) {
    for (size_t i = 0; i < n; i++)
        rows[i] = (struct row){.token = ids[i],
                               .at = {.pages = s->pages.page, .position = (uint32_t)(s->length + i)},
                               .logits = logits || (last && i == n - 1)};
    forward(s->model->model, s->kv, rows, n, logits ? logits : s->logits);
    memcpy(s->ids + s->length, ids, n * sizeof *ids);
    s->length += n;
}

bool session_feed(struct gyr_session *s, const int32_t *ids, size_t count, float *logits,
                  bool (*progress)(void *user, size_t done, size_t total), void *user, gyr_error *e) {
    if (!count) return true;
    size_t vocab = s->model->model->h.vocab, most = model_max_rows(s->model->model);
    if (!check_ids(s, ids, count, e) || !model_cover(s->model->model, s->length + count, e)) return false;
    if (!kv_cache_cover(s->kv, &s->pages, s->length + count)) return fail_memory(e, "KV cache");
    struct row *rows = malloc((count < most ? count : most) * sizeof *rows);
    if (!rows) return fail_memory(e, "batch");
    bool on = true;
    s->has_logits = false;
    for (size_t done = 0; on && done < count;) {
        size_t n = count - done < most ? count - done : most;
        compute(s, ids + done, n, done + n == count, logits ? logits + done * vocab : NULL, rows);
        done += n;
        on = !progress || done == count || progress(user, done, count);
    }
    free(rows);
    if (!on) return fail(e, GYR_CANCELLED, "stopped while computing the prompt");
    if (logits) memcpy(s->logits, logits + (count - 1) * vocab, vocab * sizeof *logits);
    s->has_logits = true;
    return true;
}

gyr_status gyr_session_feed(gyr_session *s, const int32_t *ids, size_t count, float *logits, gyr_error *e) {
    gyr_error made = {0};
    return status_of(session_feed(s, ids, count, logits, NULL, NULL, &made), &made, e);
}

const float *gyr_session_logits(const gyr_session *s) { return s->has_logits ? s->logits : NULL; }
