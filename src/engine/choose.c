// What an answer says next: masks, the sampler's pick, probabilities, callbacks and the reasons to stop.
#include "engine/answer.h"
#include "engine/logprob.h"
#include "engine/scores.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TOPS = 128, PROMPT_SCORES = 1 << 22 }; // tokens that may be asked for; numbers of a piece of a prompt

static uint32_t vocab_of(const struct gyr_answer *a) { return a->s->model->model->h.vocab; }

static size_t words_of(const struct gyr_answer *a) { return (vocab_of(a) + 31) / 32; }

static bool ends(const struct gyr_answer *a, int32_t id) {
    const struct tokenizer *tokens = a->s->model->tokenizer.tokens;
    for (size_t i = 0; i < a->o.stop_id_count; i++)
        if (a->o.stop_ids[i] == id) return true;
    return !a->o.ignore_end && tokens && tokenizer_is_end(tokens, id);
}

static bool check_options(const struct gyr_answer *a, gyr_error *e) {
    const gyr_generate_options *o = &a->o;
    if (o->max_tokens && o->min_tokens > o->max_tokens)
        return fail(e, GYR_USAGE, "at least %zu tokens and at most %zu: nothing is both", o->min_tokens, o->max_tokens);
    if (o->logprobs < 0 || o->logprobs > 1 + MAX_TOPS)
        return fail(e, GYR_USAGE, "logprobs is %d; choose 0 to %d", o->logprobs, 1 + MAX_TOPS);
    for (size_t i = 0; i < o->stop_id_count; i++)
        if (o->stop_ids[i] < 0 || (uint32_t)o->stop_ids[i] >= vocab_of(a))
            return fail(e, GYR_USAGE, "stop token %d: ids are 0 to %u", o->stop_ids[i], vocab_of(a) - 1);
    return true;
}

// The tokens that must not be chosen before there are min_tokens.
static bool list_ends(struct gyr_answer *a) {
    size_t room = 0;
    for (uint32_t id = 0; id < vocab_of(a); id++) {
        if (!ends(a, (int32_t)id)) continue;
        if (!ARRAY_GROW(a->ends, a->n_ends, room)) return false;
        a->ends[a->n_ends++] = (int32_t)id;
    }
    return true;
}

bool answer_prepare(struct gyr_answer *a, gyr_error *e) {
    if (!check_options(a, e)) return false;
    a->tops = a->o.logprobs > 1 ? (size_t)a->o.logprobs - 1 : 0;
    if (a->tops > vocab_of(a)) a->tops = vocab_of(a);
    a->logprob = NAN;
    bool masks = a->o.mask || a->o.min_tokens, tells = a->o.prompt_token && a->o.logprobs && a->count;
    a->rows = tells ? PROMPT_SCORES / vocab_of(a) : 0;
    if (tells && !a->rows) a->rows = 1;
    if (a->rows > a->count) a->rows = a->count;
    bool ok = !tells || (a->scores = malloc(a->rows * vocab_of(a) * sizeof *a->scores));
    ok = ok && (!masks || (a->allowed = malloc(words_of(a) * sizeof *a->allowed)));
    ok = ok && (!a->o.min_tokens || list_ends(a));
    ok = ok && (!a->tops || ((a->top_ids = malloc(a->tops * sizeof *a->top_ids)) &&
                             (a->top_logprobs = malloc(a->tops * sizeof *a->top_logprobs))));
    return ok || fail_memory(e, "answer");
}

void answer_finish(struct gyr_answer *a, gyr_stop stop) {
    a->stats.stop = stop;
    bool rest = stop == GYR_STOP_END || stop == GYR_STOP_LENGTH || stop == GYR_STOP_MASK;
    if (rest && stream_end(&a->stream) == STREAM_CANCELLED) a->stats.stop = GYR_STOP_CALLER;
}

// False: the caller's mask() failed. *allowed is NULL where every token is.
static bool make_mask(struct gyr_answer *a, const uint32_t **allowed) {
    bool early = a->stats.answer_tokens < a->o.min_tokens;
    *allowed = NULL;
    if (!a->o.mask && !early) return true;
    memset(a->allowed, 0xff, words_of(a) * sizeof *a->allowed);
    if (a->o.mask && !a->o.mask(a->o.user, a->allowed)) return false;
    for (size_t i = 0; early && i < a->n_ends; i++) a->allowed[a->ends[i] / 32] &= ~(UINT32_C(1) << a->ends[i] % 32);
    *allowed = a->allowed;
    return true;
}

static void find_logprobs(struct gyr_answer *a, struct sampler *sampler, const float *logits, int32_t id) {
    struct log_softmax all = log_softmax(sampler->exps, logits, vocab_of(a), sampler->p);
    a->logprob = log_softmax_at(&all, logits[id]);
    likeliest(logits, vocab_of(a), a->top_ids, a->tops);
    for (size_t i = 0; i < a->tops; i++) a->top_logprobs[i] = log_softmax_at(&all, logits[a->top_ids[i]]);
}

static void pick(struct gyr_answer *a, struct sampler *sampler) {
    struct gyr_session *s = a->s;
    const uint32_t *allowed;
    a->refused = !make_mask(a, &allowed);
    a->next = a->refused ? -1
                         : sampler_pick(sampler, &a->sampling, session_scores(s),
                                        &(struct history){s->ids, s->length, a->first}, allowed);
    if (a->next >= 0 && a->o.logprobs) find_logprobs(a, sampler, session_scores(s), a->next);
    a->picked = true;
}

static gyr_token token_of(const struct gyr_answer *a, int32_t id) {
    return (gyr_token){.id = id,
                       .bytes = a->piece.data ? a->piece.data : "",
                       .size = a->piece.size,
                       .logprob = a->logprob,
                       .top_ids = a->top_ids,
                       .top_logprobs = a->top_logprobs,
                       .top_count = a->tops};
}

static bool tell(struct gyr_answer *a) {
    gyr_token token = token_of(a, a->next);
    return !a->o.token || a->o.token(a->o.user, &token);
}

// Tells of the prompt's token i; `logits` are those in front of it, NULL for the first.
static bool tell_prompt(struct gyr_answer *a, size_t i, const float *logits) {
    const struct tokenizer *tokens = a->s->model->tokenizer.tokens;
    int32_t id = a->prompt[i];
    buf_clear(&a->piece);
    if (tokens) tokenizer_decode(tokens, id, a->first - a->count + i == 0, false, &a->piece);
    a->logprob = NAN;
    if (logits) find_logprobs(a, &a->s->model->samplers[0], logits, id);
    gyr_token token = token_of(a, id);
    if (!logits) token.top_count = 0;
    return a->o.prompt_token(a->o.user, &token);
}

bool answer_tell_prompt(struct gyr_answer *a, size_t n) {
    if (!a->scores) return true;
    bool on = a->fed || tell_prompt(a, 0, NULL);
    for (size_t i = 0; on && i < n && a->fed + i + 1 < a->count; i++)
        on = tell_prompt(a, a->fed + i + 1, a->scores + i * vocab_of(a));
    return on;
}

// Sends the chosen token's text out. What stops the answer holds once the token is computed.
static bool send_out(struct gyr_answer *a, gyr_error *e) {
    const struct tokenizer *tokens = a->s->model->tokenizer.tokens;
    buf_clear(&a->piece);
    if (tokens) tokenizer_decode(tokens, a->next, answer_due(a) == 0, false, &a->piece);
    if (a->piece.failed) return fail_memory(e, "answer");
    // A token without text parts what is before it from what comes: no stop string reaches across.
    if (!a->told && !a->piece.size && stream_end(&a->stream) == STREAM_CANCELLED) a->stop = GYR_STOP_CALLER;
    if (!a->told && !tell(a)) a->stop = GYR_STOP_CALLER;
    a->told = true;
    enum stream_state state = a->stop ? STREAM_CANCELLED : stream_put(&a->stream, a->piece.data, a->piece.size);
    if (state == STREAM_NO_MEMORY) return fail_memory(e, "answer");
    a->stop = state == STREAM_STOPPED ? GYR_STOP_STRING : state == STREAM_CANCELLED ? GYR_STOP_CALLER : 0;
    a->picked = a->told = false;
    a->chosen = true;
    return true;
}

// What was picked becomes the answer's next token, or its end.
static bool settle(struct gyr_answer *a, gyr_error *e) {
    bool end = a->next < 0 || ends(a, a->next);
    if (!end) return send_out(a, e);
    a->picked = false;
    answer_finish(a, a->refused ? GYR_STOP_MASK : GYR_STOP_END);
    return true;
}

static bool is_full(const struct gyr_answer *a) {
    return (a->o.max_tokens && a->stats.answer_tokens >= a->o.max_tokens) || a->s->length >= a->s->context;
}

static bool waits(const struct gyr_answer *a) {
    return !a->stats.stop && a->fed == a->count && a->s->length == answer_due(a) && !a->chosen && !a->picked;
}

// Answers share the model's threads: each takes the next answer that nobody took.
struct picking {
    gyr_answer *const *answers;
    size_t n;
    atomic_size_t next;
    struct sampler *samplers; // one for each thread
};

static void pick_some(void *arg, size_t thread) {
    struct picking *p = arg;
    for (size_t i; (i = atomic_fetch_add(&p->next, 1)) < p->n;)
        if (waits(p->answers[i])) pick(p->answers[i], &p->samplers[thread]);
}

static void pick_all(gyr_answer *const *answers, size_t n) {
    size_t waiting = 0;
    struct gyr_model *m = n ? answers[0]->s->model : NULL;
    struct picking p = {.answers = answers, .n = n, .samplers = m ? m->samplers : NULL};
    for (size_t i = 0; i < n; i++) waiting += waits(answers[i]);
    if (!waiting) return;
    size_t threads = pool_threads(m->workers), want = waiting < threads ? waiting : threads;
    size_t have = model_samplers(m, want);
    pool_run(m->workers, have < want ? have : want, pick_some, &p);
}

// Two threads must not choose for one answer, nor a model's samplers for another model.
static bool check_answers(gyr_answer *const *answers, size_t n, gyr_error *e) {
    bool twice = false, models = false;
    for (size_t i = 0; i < n; i++) {
        twice |= answers[i]->listed;
        answers[i]->listed = true;
        models |= answers[i]->s->model != answers[0]->s->model;
    }
    for (size_t i = 0; i < n; i++) answers[i]->listed = false;
    if (twice) return fail(e, GYR_USAGE, "an answer comes twice in one step");
    return !models || fail(e, GYR_USAGE, "answers of two models in one step; move those of each model by themselves");
}

bool answers_choose(gyr_answer *const *answers, size_t n, gyr_error *e) {
    if (!check_answers(answers, n, e)) return false;
    for (size_t i = 0; i < n; i++)
        if (waits(answers[i]) && is_full(answers[i])) answer_finish(answers[i], GYR_STOP_LENGTH);
    pick_all(answers, n);
    for (size_t i = 0; i < n; i++)
        if (answers[i]->picked && !settle(answers[i], e)) return false;
    return true;
}
