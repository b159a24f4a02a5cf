// Tokens of many sessions computed together: rows of all of them, mixed in batches as large as the model takes.
#include "engine/adapter.h"
#include "engine/ranks.h"
#include "engine/scores.h"

#include <stdlib.h>
#include <string.h>

// What a session was before: it is that again if the batch fails.
struct before {
    size_t length, known;
    bool has_logits;
    bool pending; // its new logits are
};

struct batch {
    struct gyr_model *model;
    struct intake *in;
    size_t n;
    enum gives gives;
    struct before *before; // [n]
    struct row *rows;
    float **to;     // where the logits of each row that wants them go, in order; NULL: to the row's session
    size_t *of;     // and whose row it is
    float *scores;  // what a pass gives
    float *pending; // [n][vocab], logits of sessions that are done while others are not
    bool computed;  // something was
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

// Tokens of a session that are computed once more with those that come, because they see them: all.
static size_t seeing(const struct gyr_session *s) { return s->model->model->h.bidirectional ? s->length : 0; }

// Pages for all that comes, the first to be written being the session's own; and a state for who gave it back.
static bool make_room(const struct batch *b, gyr_error *e) {
    if (!kv_admit(b->model, b->in, b->n, e)) return false;
    for (size_t i = 0; i < b->n; i++) {
        struct gyr_session *s = b->in[i].s;
        bool inside = b->in[i].count && s->length % PAGE_TOKENS && !s->lost;
        if (b->in[i].count && !s->state && !state_pool_take(&b->model->states, &s->state, e)) return false;
        if (b->in[i].count && seeing(s))
            kv_cache_trim(s->kv, &s->pages, 0); // all are written
        else if (inside && !session_own_page(s, e))
            return false;
        if (!kv_cache_cover(s->kv, &s->pages, s->length + b->in[i].count)) return fail_memory(e, "KV cache");
    }
    return true;
}

// Whether what a token at place `p` gives is wanted, `left` tokens of the intake being left with it.
static bool wants(const struct intake *in, size_t p, size_t left) {
    if (in->pool) return pool_wants(in->pool, p);
    return in->logits || (left == 1 && !in->more);
}

static size_t wanted_of(const struct intake *in) {
    if (in->pool) return pool_count(in->pool, in->s->length, in->count);
    return in->logits ? in->count : in->count && !in->more;
}

// Rows that a pass has, and those of which something is wanted.
struct taken {
    size_t rows, wanted;
};

// Puts a token of intake i into the next row.
static void put_row(struct batch *b, size_t i, struct taken *t, struct row row) {
    struct intake *in = &b->in[i];
    row.pages = &in->s->pages;
    row.state = in->s->state;
    row.adapter = in->s->adapter ? in->s->adapter->bound : NULL;
    row.type = in->second && row.position >= in->second;
    b->rows[t->rows++] = row;
    if (!row.wanted) return;
    b->of[t->wanted] = i;
    b->to[t->wanted++] = in->logits;
    if (in->logits) in->logits += b->model->model->h.vocab;
}

// Moves tokens of one intake into the batch's rows, as many as fit; of a session whose tokens see each other all or
// none, and all of one that no batch has room for.
static void take_rows(struct batch *b, size_t i, struct taken *t) {
    struct intake *in = &b->in[i];
    struct gyr_session *s = in->s;
    bool together = b->model->model->h.bidirectional;
    size_t room = run_rows(b->model->run), most = run_wanted(b->model->run, b->gives), again = seeing(s);
    size_t all = again + in->count, wanted = wanted_of(in);
    uint32_t end = (uint32_t)(s->length + in->count);
    if (together && t->rows && (t->rows + all > room || t->wanted + wanted > most)) return;
    if (together && all > room) room = all; // a pass of its own
    if (together && wanted > most) most = wanted;
    for (uint32_t p = 0; p < again; p++) put_row(b, i, t, (struct row){s->ids[p], p, end - p - 1, .wanted = false});
    for (; in->count && t->rows < room; in->count--) {
        uint32_t p = (uint32_t)s->length;
        bool wanted_too = wants(in, p, in->count);
        if (wanted_too && t->wanted == most) return;
        put_row(b, i, t, (struct row){*in->ids, p, together ? end - p - 1 : 0, .wanted = wanted_too});
        s->ids[s->length++] = *in->ids++;
        s->known = s->length;
    }
}

static bool all_taken(const struct batch *b) {
    for (size_t i = 0; i < b->n; i++)
        if (b->in[i].count) return false;
    return true;
}

// What a pass gave goes where it belongs: to who asked for it; else it is the session's, where it lies. What comes from
// another pass than the last, which may yet fail, waits.
struct handing {
    struct batch *b;
    const float *scores;
};

static void hand_out_row(void *arg, size_t k) {
    struct handing *h = arg;
    size_t i = h->b->of[k], vocab = h->b->model->model->h.vocab;
    memcpy(h->b->to[k] ? h->b->to[k] : h->b->pending + i * vocab, h->scores + k * vocab, vocab * sizeof(float));
}

static void hand_out(struct batch *b, size_t wanted, const float *scores, bool last) {
    struct handing h = {b, scores};
    size_t copies = 0;
    for (size_t k = 0; k < wanted; k++) {
        size_t i = b->of[k];
        copies += b->to[k] || !last;
        if (b->gives == GIVES_STATES)
            pool_take(b->in[i].pool, scores + k * b->model->model->h.hidden);
        else if (!b->to[k] && last)
            b->in[i].s->given = scores + k * b->model->model->h.vocab;
        else
            b->before[i].pending |= !b->to[k];
    }
    if (b->gives == GIVES_STATES) return;
    if (copies == wanted) pool_run(b->model->workers, wanted, hand_out_row, &h);
    for (size_t k = 0; copies < wanted && k < wanted; k++)
        if (b->to[k]) hand_out_row(&h, k);
    if (last) scores_taken(b->model);
}

// One pass over as many rows as fit, of sessions that share a cache, from in[first] on.
static bool compute(struct batch *b, size_t first, gyr_error *e) {
    size_t vocab = b->model->model->h.vocab;
    struct kv_cache *kv = b->in[first].s->kv;
    struct taken t = {0};
    for (size_t i = first; i < b->n; i++)
        if (b->in[i].count && b->in[i].s->kv == kv) take_rows(b, i, &t);
    bool together = t.wanted && b->to[0], last = all_taken(b);
    for (size_t k = 1; together && k < t.wanted; k++) together = b->to[k] == b->to[k - 1] + vocab;
    float *scores = together ? b->to[0] : b->scores;
    b->computed = true;
    if (b->model->ranks && !ranks_tell(b->model, kv, b->rows, t.rows, b->gives, e)) return false;
    if (!forward(b->model->run, kv, b->rows, t.rows, b->gives, scores, e)) {
        if (b->model->spread) spread_fail(b->model->spread, e);
        return false;
    }
    if ((t.wanted || last) && !run_sync(b->model->run, e)) return false;
    if (!together && t.wanted) hand_out(b, t.wanted, scores, last);
    return true;
}

// Tokens of a session whose state is to be computed again, because it was truncated.
static size_t forgotten(const struct gyr_session *s) {
    return s->lost || state_pool_floats(&s->model->states) ? s->length - s->known : 0;
}

// Brings the session's state to its length. Keys and values are written once more with the bytes that they have, so
// that it does not matter who else holds their pages.
static bool catch_up(struct batch *b, struct gyr_session *s, gyr_error *e) {
    struct intake again = {.s = s, .ids = s->ids + s->known, .count = forgotten(s), .more = true};
    struct batch alone = {
        .model = b->model, .in = &again, .n = 1, .gives = b->gives, .rows = b->rows, .to = b->to, .of = b->of};
    s->length = s->known;
    b->computed = true;
    while (again.count)
        if (!compute(&alone, 0, e)) return false;
    return true;
}

static bool prepare(struct batch *b, gyr_error *e) {
    const struct hyperparameters *h = &b->model->model->h;
    size_t rows = 0, count = 0, wanted = 0, own = 0, longest = 0, most_wanted = 0;
    size_t most = run_rows(b->model->run), many = run_wanted(b->model->run, b->gives);
    b->before = malloc(b->n * sizeof *b->before);
    for (size_t i = 0; i < b->n; i++) {
        const struct gyr_session *s = b->in[i].s;
        size_t again = forgotten(s);
        if (b->before) b->before[i] = (struct before){s->length, s->known, s->has_logits, false};
        if (again > rows) rows = again;
        count += b->in[i].count + (b->in[i].count ? seeing(s) : 0);
        wanted += wanted_of(&b->in[i]);
        own += b->in[i].count && !b->in[i].logits && !b->in[i].more && !b->in[i].pool;
        if (seeing(s) + b->in[i].count > longest) longest = seeing(s) + b->in[i].count;
        if (wanted_of(&b->in[i]) > most_wanted) most_wanted = wanted_of(&b->in[i]);
    }
    bool passes = count > most || wanted > many;
    if (h->bidirectional && longest > most) most = longest;
    if (h->bidirectional && most_wanted > many) many = most_wanted;
    for (size_t i = 1; i < b->n; i++) passes |= b->in[i].s->kv != b->in[0].s->kv;
    rows = rows > count ? rows : count;
    rows = rows < most ? rows : most;
    wanted = wanted < many ? wanted : many;
    b->rows = malloc((rows + 1) * sizeof *b->rows);
    b->to = malloc((wanted + 1) * sizeof *b->to);
    b->of = malloc((wanted + 1) * sizeof *b->of);
    if (passes && own) b->pending = malloc(b->n * b->model->model->h.vocab * sizeof *b->pending);
    bool ok = b->before && b->rows && b->to && b->of && (b->pending || !passes || !own);
    size_t width = b->gives == GIVES_STATES ? h->hidden : h->vocab;
    return (ok || fail_memory(e, "batch")) && (b->scores = scores_room(b->model, wanted * width, e)) && make_room(b, e);
}

// Sessions as they were, but for a state that is not what it was: it is computed again when it is needed.
static void undo(struct batch *b) {
    for (size_t i = 0; b->before && i < b->n; i++) {
        struct gyr_session *s = b->in[i].s;
        s->length = b->before[i].length;
        s->has_logits = b->before[i].has_logits;
        s->known = b->computed ? 0 : b->before[i].known;
        kv_cache_trim(s->kv, &s->pages, s->length);
    }
}

static void done(struct batch *b) {
    size_t vocab = b->model->model->h.vocab;
    for (size_t i = 0; i < b->n; i++) {
        struct gyr_session *s = b->in[i].s;
        if (s->length == b->before[i].length) continue;
        s->has_logits = !b->in[i].more && !b->in[i].pool;
        if (b->before[i].pending) memcpy(session_own_scores(s), b->pending + i * vocab, vocab * sizeof *s->own);
        s->used = ++b->model->clock;
        s->lost = false;
    }
}

// Sessions with the same adapter side by side: what it adds to their rows is computed together then. The order of
// sessions changes no byte of what they give.
static void group_adapters(struct intake *in, size_t n) {
    for (size_t i = 1; i < n; i++) {
        struct intake one = in[i];
        uintptr_t adapter = (uintptr_t)one.s->adapter;
        size_t k = i;
        for (; k > 0 && (uintptr_t)in[k - 1].s->adapter > adapter; k--) in[k] = in[k - 1];
        in[k] = one;
    }
}

bool sessions_feed(struct intake *in, size_t n, gyr_error *e) {
    if (!n) return true;
    struct batch b = {.model = in[0].s->model, .in = in, .n = n, .gives = in[0].pool ? GIVES_STATES : GIVES_LOGITS};
    bool ok = !b.model->gone.status || fail(e, b.model->gone.status, "%s", b.model->gone.message);
    ok = ok && check_sessions(in, n, e);
    for (size_t i = 0; ok && i < n; i++) ok = session_takes(in[i].s, in[i].ids, in[i].count, e);
    if (ok) group_adapters(in, n);
    ok = ok && prepare(&b, e);
    for (size_t i = 0; ok && i < n; i++)
        if (in[i].count && forgotten(in[i].s)) ok = catch_up(&b, in[i].s, e);
    for (size_t i = 0; ok && i < n; i++)
        while (ok && in[i].count) ok = compute(&b, i, e);
    if (ok) {
        done(&b);
    } else {
        if (b.model->run) run_sync(b.model->run, NULL); // nothing of it may still be on its way
        undo(&b);
    }
    free(b.pending);
    free(b.of);
    free(b.to);
    free(b.rows);
    free(b.before);
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
            memcpy(session_own_scores(inputs[i].session), inputs[i].logits + (inputs[i].count - 1) * vocab,
                   vocab * sizeof(float));
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
