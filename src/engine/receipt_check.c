// Checking a receipt. Its answer is stepped as any other is (choose.c), but in a session that is computed by nobody:
// the scores are those of a real one, which is fed the receipt's tokens many at a time. That a token's scores do not
// depend on the batch it is computed in is the first law of this house.
#include "engine/adapter.h"
#include "engine/answer.h"
#include "engine/receipt.h"
#include "engine/scores.h"

#include <stdlib.h>
#include <string.h>

enum { PROMPT_TOKENS = 512, MOST_ROWS = 256, ROW_BYTES = 32 << 20 };

struct checking {
    struct receipt r;
    struct gyr_model *m;
    struct gyr_session *computed; // gets the tokens
    struct gyr_session shadow;    // what the answer takes for its session
    gyr_answer *answer;
    gyr_grammar *grammar; // NULL: none
    gyr_matcher *matcher;
    float *rows; // [n_rows][vocab]: scores after tokens [first, first + have) of the answer
    size_t n_rows, first, have, vocab;
    const gyr_receipt_check_options *o;
    gyr_receipt_result *result;
};

static bool is_held(const struct checking *c) {
    return c->matcher && c->answer->stats.answer_tokens >= c->r.grammar_from;
}

static bool on_mask(void *user, uint32_t *allowed) {
    struct checking *c = user;
    return !is_held(c) || !gyr_matcher_mask(c->matcher, allowed, NULL);
}

static bool on_token(void *user, const gyr_token *token) {
    struct checking *c = user;
    return !is_held(c) || !gyr_matcher_accept(c->matcher, token->id, NULL);
}

static bool tell(const struct checking *c, gyr_error *e) {
    double done = (double)gyr_session_length(c->computed) / (double)(c->r.prompt + c->r.answer);
    return !c->o || !c->o->progress || c->o->progress(c->o->user, done) ||
           fail(e, GYR_CANCELLED, "receipt: the check was stopped");
}

// ------------------------------------------------------------------------------------------------- scores

static bool feed_prompt(struct checking *c, gyr_error *e) {
    size_t at_once = c->m->model->h.bidirectional ? c->r.prompt : PROMPT_TOKENS;
    for (size_t at = 0; at < c->r.prompt; at += at_once) {
        size_t left = c->r.prompt - at, n = left < at_once ? left : at_once;
        struct intake in = {.s = c->computed, .ids = c->r.ids + at, .count = n, .more = n < left};
        if (!sessions_feed(&in, 1, e) || !tell(c, e)) return false;
    }
    return true;
}

// The scores that token `place` of the answer was chosen from.
static bool find_scores(struct checking *c, size_t place, gyr_error *e) {
    if (!place) {
        c->shadow.given = session_scores(c->computed);
        return true;
    }
    size_t at = place - 1; // the token that they come after
    if (at >= c->first + c->have) {
        size_t left = c->r.answer - at;
        c->first = at;
        c->have = left < c->n_rows ? left : c->n_rows;
        struct intake in = {.s = c->computed, .ids = c->r.ids + c->r.prompt + at, .count = c->have, .logits = c->rows};
        if (!sessions_feed(&in, 1, e) || !tell(c, e)) return false;
    }
    c->shadow.given = c->rows + (at - c->first) * c->vocab;
    return true;
}

// --------------------------------------------------------------------------------------------- comparison

static void conclude(struct checking *c, size_t place, int32_t is, gyr_stop stop) {
    const struct receipt *r = &c->r;
    gyr_receipt_result *out = c->result;
    bool last = place == r->answer;
    out->place = place;
    out->said = last ? r->end : r->ids[r->prompt + place];
    out->is = is;
    out->stop_said = last ? (gyr_stop)r->stop : 0;
    out->stop_is = stop;
    // A caller may stop an answer anywhere.
    out->equal = last && (r->stop == GYR_STOP_CALLER || (out->stop_said == stop && out->said == is));
}

// False: it failed. *over: the result is known.
static bool compare(struct checking *c, size_t place, bool *over, gyr_error *e) {
    gyr_answer *a = c->answer;
    if (place == c->r.answer && c->r.stop == GYR_STOP_CALLER) {
        conclude(c, place, -1, GYR_STOP_CALLER);
        return *over = true;
    }
    if (!find_scores(c, place, e) || !answers_choose(&a, 1, e)) return false;
    gyr_stop stop = a->stats.stop;
    if (stop || place == c->r.answer || a->next != c->r.ids[c->r.prompt + place]) {
        conclude(c, place, stop && stop != GYR_STOP_END ? -1 : a->next, stop);
        return *over = true;
    }
    c->shadow.length++;
    answer_token_done(a);
    *over = a->stats.stop;
    if (*over) conclude(c, place + 1, -1, a->stats.stop);
    return true;
}

// ----------------------------------------------------------------------------------------------- beginning

static bool check_adapter(const struct checking *c, gyr_error *e) {
    const struct text said = c->r.adapter;
    const struct gyr_adapter *a = c->o ? c->o->adapter : NULL;
    if (!said.data && !a) return true;
    if (!said.data) return fail(e, GYR_FAILED, "receipt: of an answer without an adapter; leave out %s", a->path);
    if (!a)
        return fail(e, GYR_FAILED, "receipt: of an answer with an adapter, with checksum %.16s...; give it too",
                    said.data);
    if (a->model != c->m) return fail(e, GYR_USAGE, "receipt: the adapter was opened for another model");
    return !memcmp(said.data, a->checksum, 64) ||
           fail(e, GYR_FAILED, "receipt: of another adapter, with checksum %.16s...; %s has %.16s...", said.data,
                a->path, a->checksum);
}

static bool check_model(struct checking *c, gyr_error *e) {
    const struct receipt *r = &c->r;
    char is[65];
    if (r->edition != gyr_edition())
        return fail(e, GYR_UNSUPPORTED,
                    "receipt: of edition %llu of the arithmetic; this is edition %u, which gives other bytes: take the "
                    "gyr that wrote it",
                    (unsigned long long)r->edition, gyr_edition());
    if (gyr_model_checksum(c->m, is, e)) return false;
    return !memcmp(is, r->checksum.data, 64) ||
           fail(e, GYR_FAILED, "receipt: of another model, with checksum %.16s...; %s has %.16s...", r->checksum.data,
                c->m->checkpoint->path, is);
}

static bool check_tokens(const struct checking *c, gyr_error *e) {
    const struct receipt *r = &c->r;
    const struct hyperparameters *h = &c->m->model->h;
    if (r->context > h->far_context || r->prompt + r->answer > r->context)
        return fail(e, GYR_MALFORMED, "receipt: %zu tokens in a context of %llu; the model has at most %u",
                    r->prompt + r->answer, (unsigned long long)r->context, h->far_context);
    for (size_t i = 0; i < r->prompt + r->answer; i++)
        if ((uint32_t)r->ids[i] >= h->vocab)
            return fail(e, GYR_MALFORMED, "receipt: token %d; the model's ids are 0 to %u", r->ids[i], h->vocab - 1);
    return true;
}

// Whether what the library says of the caller's arguments is about what the receipt has.
static bool blame(gyr_error *made, gyr_error *e) {
    if (made->status != GYR_USAGE) return status_of(false, made, e), false;
    return fail(e, GYR_MALFORMED, "receipt: %s", made->message);
}

static bool make_session(struct checking *c, gyr_error *e) {
    const struct hyperparameters *h = &c->m->model->h;
    size_t context = c->r.prompt + c->r.answer;
    // Of a context beyond the usual one, the positions are others, however few tokens are in it.
    if (c->r.context > h->context && context <= h->context) context = (size_t)h->context + 1;
    gyr_session_options how = {
        .context = (uint32_t)context, .kv_type = (gyr_kv_type)c->r.kv_type, .adapter = c->o ? c->o->adapter : NULL};
    if (!(c->computed = gyr_session_new(c->m, &how, e))) return false;
    c->vocab = h->vocab;
    c->n_rows = h->bidirectional ? 1 : ROW_BYTES / (c->vocab * sizeof *c->rows);
    if (c->n_rows > MOST_ROWS) c->n_rows = MOST_ROWS;
    if (c->n_rows > c->r.answer) c->n_rows = c->r.answer;
    c->n_rows += !c->n_rows;
    c->rows = malloc(c->n_rows * c->vocab * sizeof *c->rows);
    c->shadow = (struct gyr_session){.model = c->m,
                                     .kv = c->computed->kv,
                                     .ids = c->r.ids,
                                     .length = c->r.prompt,
                                     .context = (size_t)c->r.context,
                                     .has_logits = true};
    return c->rows || fail_memory(e, "receipt");
}

static bool make_answer(struct checking *c, gyr_error *e) {
    const struct receipt *r = &c->r;
    gyr_error made = {0};
    gyr_generate_options how = {.sampling = &r->sampling,
                                .max_tokens = (size_t)r->max_tokens,
                                .min_tokens = (size_t)r->min_tokens,
                                .stop = r->stop_strings,
                                .stop_count = r->stop_count,
                                .stop_ids = r->stop_ids,
                                .stop_id_count = r->stop_id_count,
                                .ignore_end = r->ignore_end,
                                .mask = r->grammar.data ? on_mask : NULL,
                                .token = on_token,
                                .user = c};
    if (r->grammar.data) {
        c->grammar = gyr_grammar_new(gyr_model_tokenizer(c->m), (gyr_grammar_kind)r->grammar_kind, r->grammar.data,
                                     r->grammar.size, e);
        if (!c->grammar || !(c->matcher = gyr_matcher_new(c->grammar, e))) return false;
    }
    c->answer = gyr_answer_new(&c->shadow, NULL, 0, &how, &made);
    return c->answer || blame(&made, e);
}

static bool check(struct checking *c, const char *json, size_t size, gyr_error *e) {
    bool over = false;
    if (!CHECK_RESERVED(c->o, e) || !receipt_read(&c->r, json, size, e)) return false;
    c->result->prompt_tokens = c->r.prompt;
    c->result->answer_tokens = c->r.answer;
    if (!check_model(c, e) || !check_adapter(c, e) || !check_tokens(c, e) || !make_session(c, e) || !make_answer(c, e))
        return false;
    if (!feed_prompt(c, e)) return false;
    for (size_t place = 0; !over; place++)
        if (!compare(c, place, &over, e)) return false;
    return true;
}

gyr_status gyr_receipt_check(gyr_model *m, const char *receipt, size_t size, const gyr_receipt_check_options *o,
                             gyr_receipt_result *result, gyr_error *e) {
    gyr_error made = {0};
    struct checking c = {.m = m, .o = o, .result = result};
    *result = (gyr_receipt_result){0};
    bool ok = check(&c, receipt, size, &made);
    gyr_answer_free(c.answer);
    gyr_matcher_free(c.matcher);
    gyr_grammar_free(c.grammar);
    gyr_session_free(c.computed);
    free(c.rows);
    receipt_free(&c.r);
    return status_of(ok, &made, e);
}
