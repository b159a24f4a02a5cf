// Tokens of many sessions computed together: rows of all of them, mixed in batches as large as the model takes.
#include "engine/engine.h"

#include <stdlib.h>
#include <string.h>

struct batch {
    struct model *model;
    struct intake *in;
    size_t n;
    struct row *rows;
    float **to;    // where the logits of each row that wants them go, in order
    float *scores; // those of one pass, where they go to several places
};

bool session_takes(const struct gyr_session *s, const int32_t *ids, size_t count, gyr_error *e) {
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

static int by_session(const void *a, const void *b) {
    uintptr_t x = (uintptr_t) * (struct gyr_session *const *)a, y = (uintptr_t) * (struct gyr_session *const *)b;
    return x < y ? -1 : x > y;
}

static bool check_sessions(const struct intake *in, size_t n, gyr_error *e) {
    struct gyr_session **sorted = malloc(n * sizeof *sorted);
    if (!sorted) return fail_memory(e, "batch");
    bool models = false, twice = false;
    for (size_t i = 0; i < n; i++) {
        sorted[i] = in[i].s;
        models |= in[i].s->model != in[0].s->model;
    }
    qsort(sorted, n, sizeof *sorted, by_session);
    for (size_t i = 1; i < n; i++) twice |= sorted[i] == sorted[i - 1];
    free(sorted);
    if (models)
        return fail(e, GYR_USAGE, "sessions of two models in one batch; feed those of each model by themselves");
    return !twice || fail(e, GYR_USAGE, "a session comes twice in one batch; give all its tokens at once");
}

// Pages for all that comes, the first to be written being the session's own. What was taken before a failure is given
// back.
static bool make_room(const struct batch *b, gyr_error *e) {
    size_t longest[2] = {0}, i = 0;
    for (; i < b->n; i++) {
        size_t length = b->in[i].s->length + b->in[i].count, far = b->in[i].s->kv->far;
        if (length > longest[far]) longest[far] = length;
    }
    if (!model_cover(b->model, longest[0], false, e) || !model_cover(b->model, longest[1], true, e)) return false;
    for (i = 0; i < b->n; i++) {
        struct gyr_session *s = b->in[i].s;
        bool inside = b->in[i].count && s->length % PAGE_TOKENS;
        if (inside && !kv_cache_own(s->kv, &s->pages, s->length)) break;
        if (!kv_cache_cover(s->kv, &s->pages, s->length + b->in[i].count)) break;
    }
    if (i == b->n) return true;
    while (i--) kv_cache_trim(b->in[i].s->kv, &b->in[i].s->pages, b->in[i].s->length);
    return fail_memory(e, "KV cache");
}

static size_t wanted_of(const struct intake *in) { return in->logits ? in->count : in->count && !in->more; }

// Moves up to `room` of one session's tokens into the batch's rows from row `n` on.
static size_t take_rows(struct batch *b, struct intake *in, size_t n, size_t room, size_t *wanted) {
    struct gyr_session *s = in->s;
    size_t take = in->count < room ? in->count : room, vocab = b->model->h.vocab;
    for (size_t i = 0; i < take; i++) {
        bool last = i + 1 == in->count && !in->more;
        b->rows[n + i] =
            (struct row){.token = in->ids[i],
                         .at = {.pages = s->pages.page, .position = (uint32_t)(s->length + i), .state = s->state},
                         .logits = in->logits || last};
        if (in->logits || last) b->to[(*wanted)++] = in->logits ? in->logits + i * vocab : s->logits;
    }
    memmove(s->ids + s->length, in->ids, take * sizeof *in->ids);
    s->length += take;
    s->known = s->length;
    in->ids += take;
    in->count -= take;
    if (in->logits) in->logits += take * vocab;
    return take;
}

// One pass over as many rows as fit, of sessions that share a cache, from in[first] on.
static void compute(struct batch *b, size_t first) {
    size_t room = model_max_rows(b->model), n = 0, wanted = 0, vocab = b->model->h.vocab;
    struct kv_cache *kv = b->in[first].s->kv;
    for (size_t i = first; i < b->n && n < room; i++)
        if (b->in[i].count && b->in[i].s->kv == kv) n += take_rows(b, &b->in[i], n, room - n, &wanted);
    bool together = true;
    for (size_t i = 1; i < wanted; i++) together &= b->to[i] == b->to[i - 1] + vocab;
    float *scores = !wanted ? NULL : together ? b->to[0] : b->scores;
    forward(b->model, kv, b->rows, n, scores);
    for (size_t i = 0; !together && i < wanted; i++) memcpy(b->to[i], scores + i * vocab, vocab * sizeof *scores);
}

// Tokens of a session whose state is to be computed again, because it was truncated.
static size_t forgotten(const struct gyr_session *s) {
    return s->model->model->states.floats ? s->length - s->known : 0;
}

// Brings the session's state to its length. Keys and values are written once more with the bytes that they have, so
// that it does not matter who else holds their pages.
static void catch_up(const struct batch *b, struct gyr_session *s) {
    struct intake again = {.s = s, .ids = s->ids + s->known, .count = forgotten(s), .more = true};
    struct batch alone = {.model = b->model, .in = &again, .n = 1, .rows = b->rows};
    s->length = s->known;
    while (again.count) compute(&alone, 0);
}

static bool prepare(struct batch *b, gyr_error *e) {
    size_t rows = 0, wanted = 0, most = model_max_rows(b->model);
    for (size_t i = 0; i < b->n; i++) {
        rows += forgotten(b->in[i].s) < most ? forgotten(b->in[i].s) : most;
        rows += b->in[i].count < most ? b->in[i].count : most;
        wanted += wanted_of(&b->in[i]) < most ? wanted_of(&b->in[i]) : most;
    }
    if (rows > most) rows = most;
    if (wanted > most) wanted = most;
    b->rows = malloc((rows + !rows) * sizeof *b->rows);
    b->to = malloc((wanted + !wanted) * sizeof *b->to);
    if (b->n > 1 && wanted > 1) b->scores = malloc(wanted * b->model->h.vocab * sizeof *b->scores);
    if (!b->rows || !b->to || (b->n > 1 && wanted > 1 && !b->scores)) return fail_memory(e, "batch");
    return make_room(b, e);
}

bool sessions_feed(struct intake *in, size_t n, gyr_error *e) {
    if (!n) return true;
    struct batch b = {.model = in[0].s->model->model, .in = in, .n = n};
    bool ok = check_sessions(in, n, e);
    for (size_t i = 0; ok && i < n; i++) ok = session_takes(in[i].s, in[i].ids, in[i].count, e);
    ok = ok && prepare(&b, e);
    for (size_t i = 0; ok && i < n; i++)
        if (in[i].count && forgotten(in[i].s)) catch_up(&b, in[i].s);
    for (size_t i = 0; ok && i < n; i++)
        if (in[i].count) in[i].s->has_logits = !in[i].more;
    for (size_t i = 0; ok && i < n; i++)
        while (in[i].count) compute(&b, i);
    free(b.scores);
    free(b.to);
    free(b.rows);
    return ok;
}

static bool feed_inputs(const gyr_input *inputs, size_t n, gyr_error *e) {
    struct intake *in = malloc((n + !n) * sizeof *in);
    if (!in) return fail_memory(e, "batch");
    bool ok = true;
    for (size_t i = 0; i < n; i++) {
        ok = ok && CHECK_RESERVED(&inputs[i], e);
        in[i] = (struct intake){inputs[i].session, inputs[i].ids, inputs[i].count, inputs[i].logits};
    }
    ok = ok && sessions_feed(in, n, e);
    size_t vocab = n ? inputs[0].session->model->model->h.vocab : 0;
    for (size_t i = 0; ok && i < n; i++)
        if (inputs[i].logits && inputs[i].count)
            memcpy(inputs[i].session->logits, inputs[i].logits + (inputs[i].count - 1) * vocab, vocab * sizeof(float));
    free(in);
    return ok;
}

gyr_status gyr_sessions_feed(const gyr_input *inputs, size_t n, gyr_error *e) {
    gyr_error made = {0};
    return status_of(feed_inputs(inputs, n, &made), &made, e);
}

gyr_status gyr_session_feed(gyr_session *s, const int32_t *ids, size_t count, float *logits, gyr_error *e) {
    return gyr_sessions_feed(&(gyr_input){s, ids, count, logits}, 1, e);
}
