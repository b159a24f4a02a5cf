// One choice of a job: an answer of the engine, and what is said of it.
#include "server/lane.h"

#include "base/clock.h"
#include "server/models.h"
#include "server/tuned.h"

#include <stdlib.h>
#include <string.h>

// Whether the text that a grammar waits for has come with this one.
static void listen(struct turn *t, const char *text, size_t size) {
    size_t wanted = strlen(t->job->wakes);
    buf_append(&t->tail, text, size);
    if (t->tail.size && memmem(t->tail.data, t->tail.size, t->job->wakes, wanted)) t->asleep = false;
    if (t->tail.size <= wanted) return;
    memmove(t->tail.data, t->tail.data + t->tail.size - wanted, wanted);
    t->tail.size = wanted;
}

// A token's text for those who wait for marks, which special tokens are.
static void hear(struct turn *t, const gyr_token *token) {
    const gyr_tokenizer *tokenizer = gyr_model_tokenizer(served_model(t->job->model));
    size_t size = token->size;
    char *name = size ? NULL : gyr_detokenize(tokenizer, &token->id, 1, true, &size, NULL);
    const char *text = name ? name : token->bytes;
    reasoning_heard(&t->reasoning, token->id, text, size, name);
    if (t->asleep) listen(t, text, size);
    gyr_free(name);
}

static size_t fewer(size_t have, int32_t wanted) {
    size_t most = wanted > 1 ? (size_t)wanted - 1 : 0;
    return have < most ? have : most;
}

static bool on_prompt_token(void *user, const gyr_token *token) {
    struct turn *t = user;
    job_say(t->job, &(struct said){.kind = SAID_PROMPT,
                                   .choice = t->index,
                                   .id = token->id,
                                   .logprob = token->logprob,
                                   .count = fewer(token->top_count, t->job->prompt_logprobs),
                                   .top_ids = token->top_ids,
                                   .top_logprobs = token->top_logprobs});
    return !atomic_load(&t->job->cancelled);
}

static bool on_token(void *user, const gyr_token *token) {
    struct turn *t = user;
    if (t->job->no_answer) return false;
    bool asleep = t->asleep;
    t->free_tokens += asleep;
    if (asleep || t->job->budget) hear(t, token);
    if (!asleep && t->matcher && gyr_matcher_accept(t->matcher, token->id, &t->error)) t->broken = true;
    job_say(t->job, &(struct said){.kind = SAID_TOKEN,
                                   .choice = t->index,
                                   .id = token->id,
                                   .logprob = token->logprob,
                                   .text = token->bytes,
                                   .size = token->size,
                                   .count = fewer(token->top_count, t->job->logprobs),
                                   .top_ids = token->top_ids,
                                   .top_logprobs = token->top_logprobs});
    bool enough = t->index < 64 && atomic_load(&t->job->enough) >> t->index & 1;
    return !t->broken && !atomic_load(&t->job->cancelled) && !enough;
}

static bool on_piece(void *user, const char *text, size_t size) {
    struct turn *t = user;
    job_say(t->job, &(struct said){.kind = SAID_TEXT, .choice = t->index, .text = text, .size = size});
    return !atomic_load(&t->job->cancelled);
}

static bool on_prefill(void *user, size_t done, size_t total) {
    struct turn *t = user;
    (void)total;
    if (t->job->progress && !t->index)
        job_say(t->job, &(struct said){.kind = SAID_READ, .count = t->cached + done, .cached = t->cached});
    return !atomic_load(&t->job->cancelled);
}

// On a worker thread, for one answer at a time.
static bool on_mask(void *user, uint32_t *allowed) {
    struct turn *t = user;
    if (t->matcher && !t->asleep && gyr_matcher_mask(t->matcher, allowed, &t->error)) return !(t->broken = true);
    int32_t next = reasoning_next(&t->reasoning);
    if (next < 0 || !(allowed[next / 32] >> next % 32 & 1)) return true;
    memset(allowed, 0, (served_info(t->job->model)->vocab + 31) / 32 * sizeof *allowed);
    allowed[next / 32] = UINT32_C(1) << next % 32;
    return true;
}

struct sharers job_sharers(const struct job *j) {
    return (struct sharers){j->salt, j->tuned ? tuned_adapter(j->tuned) : NULL};
}

struct turn *turn_new(struct job *j, unsigned index, gyr_session *session, gyr_error *e) {
    struct turn *t = calloc(1, sizeof *t);
    if (!t) return fail_memory(e, "answer"), NULL;
    *t = (struct turn){.job = j,
                       .index = index,
                       .prompt = job_prompt(j, index),
                       .scores = job_scores(j, index),
                       .session = session,
                       .sampling = j->sampling};
    if (j->grammar && !(t->matcher = gyr_matcher_new(j->grammar, e))) {
        free(t);
        return NULL;
    }
    t->sampling.seed += index % j->each;
    t->asleep = j->wakes;
    reasoning_begin(&t->reasoning, j->budget);
    t->how = (gyr_generate_options){.sampling = &t->sampling,
                                    .max_tokens = j->max_tokens,
                                    .min_tokens = j->min_tokens,
                                    .stop = (const char *const *)j->stop,
                                    .stop_count = j->stop_count,
                                    .stop_ids = j->stop_ids,
                                    .stop_id_count = j->stop_id_count,
                                    .ignore_end = j->ignore_end,
                                    .logprobs = j->logprobs,
                                    .prompt_token = t->scores ? on_prompt_token : NULL,
                                    .token = on_token,
                                    .piece = on_piece,
                                    .prefill = on_prefill,
                                    .mask = t->matcher || j->budget ? on_mask : NULL,
                                    .user = t};
    if (t->scores && j->prompt_logprobs > j->logprobs) t->how.logprobs = j->prompt_logprobs;
    job_hold(j);
    return t;
}

bool turn_start(struct turn *t, gyr_error *e) {
    t->cached = gyr_session_length(t->session);
    t->answer = gyr_answer_new(t->session, t->prompt.ids + t->cached, t->prompt.count - t->cached, &t->how, e);
    return t->answer;
}

static void add_to_job(const struct turn *t) {
    gyr_generate_stats stats;
    if (!t->answer) return;
    gyr_answer_get_stats(t->answer, &stats);
    t->job->took_prompt += stats.prompt_tokens + t->cached;
    t->job->took_cached += t->cached;
    t->job->took_answer += t->job->no_answer ? 0 : stats.answer_tokens;
}

void turn_free(struct turn *t, struct prefix_cache *cache) {
    add_to_job(t);
    gyr_answer_free(t->answer);
    gyr_matcher_free(t->matcher);
    buf_free(&t->tail);
    buf_free(&t->reasoning.tail);
    gyr_session_free(t->mark);
    prefix_put(cache, t->session, job_sharers(t->job), now_seconds(), false);
    job_release(t->job);
    free(t);
}

void turn_keep_state(struct turn *t, struct prefix_cache *cache) {
    enum { NEAR = 4096 }; // tokens before the end from where on copies are worth their time
    size_t length = gyr_session_length(t->session), left = t->prompt.count - length;
    if (!t->answer || t->aside || t->begun || t->job->no_answer || length > t->prompt.count || length <= t->cached)
        return;
    if (left > NEAR || (t->mark && gyr_session_length(t->mark) == length)) return;
    gyr_session *copy = gyr_session_fork(t->session, NULL);
    if (left) {
        gyr_session_free(t->mark);
        t->mark = copy;
        return;
    }
    prefix_put(cache, t->mark, job_sharers(t->job), now_seconds(), true);
    prefix_put(cache, copy, job_sharers(t->job), now_seconds(), true);
    t->mark = NULL;
}

size_t turn_left(const struct turn *t) {
    gyr_generate_stats stats = {0};
    if (t->answer) gyr_answer_get_stats(t->answer, &stats);
    return t->prompt.count - t->cached - stats.prompt_tokens;
}

// NULL, if none is wanted or it cannot be made, which breaks the turn: free with gyr_free().
static char *make_receipt(struct turn *t) {
    const struct job *j = t->job;
    gyr_receipt_options how = {.name = served_name(j->model), .grammar = j->grammar, .grammar_from = t->free_tokens};
    if (!j->receipt || t->broken || atomic_load(&j->cancelled)) return NULL;
    char *receipt = gyr_answer_receipt(t->answer, &how, &t->error);
    t->broken = !receipt;
    return receipt;
}

bool turn_told(struct turn *t, struct scheduler_stats *stats) {
    gyr_generate_stats now;
    if (!t->answer) return false;
    gyr_answer_get_stats(t->answer, &now);
    bool over = gyr_answer_done(t->answer);
    if (!t->begun && now.prompt_tokens == t->prompt.count - t->cached) {
        t->begun = true;
        job_say(t->job,
                &(struct said){.kind = SAID_BEGUN, .choice = t->index, .count = t->prompt.count, .cached = t->cached});
    }
    if (!t->job->no_answer) {
        stats->answer_tokens += now.answer_tokens - t->counted; // as they come: who looks on sees a rate
        t->counted = now.answer_tokens;
    }
    if (!over) return false;
    if (t->job->no_answer && now.stop == GYR_STOP_CALLER) now.stop = GYR_STOP_LENGTH, now.answer_tokens = 0;
    stats->finished[now.stop]++;
    char *receipt = make_receipt(t);
    if (t->broken)
        job_say(t->job, &(struct said){.kind = SAID_FAILED,
                                       .status = t->error.status,
                                       .text = t->error.message,
                                       .size = strlen(t->error.message)});
    else
        job_say(t->job, &(struct said){.kind = SAID_END,
                                       .choice = t->index,
                                       .count = now.answer_tokens,
                                       .stop = now.stop,
                                       .text = receipt,
                                       .size = receipt ? strlen(receipt) : 0,
                                       .seconds = {now.prompt_seconds, now.answer_seconds},
                                       .energy = share_spent(&t->job->share)});
    gyr_free(receipt);
    return true;
}
