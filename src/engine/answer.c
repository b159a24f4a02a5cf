// Answers that go step by step, many in one batch: prefill, then decode until something stops each.
#include "engine/answer.h"
#include "base/clock.h"
#include "engine/scores.h"

#include <stdlib.h>
#include <string.h>

gyr_answer *gyr_answer_new(gyr_session *s, const int32_t *prompt, size_t count, const gyr_generate_options *o,
                           gyr_error *e) {
    struct gyr_answer *a = calloc(1, sizeof *a);
    if (!a) return fail_memory(e, "answer"), NULL;
    *a = (struct gyr_answer){.s = s, .prompt = prompt, .count = count};
    if (o) a->o = *o;
    if (a->o.sampling)
        a->sampling = *a->o.sampling;
    else
        gyr_sampling_defaults(s->model, &a->sampling);
    a->stream =
        (struct stream){.stop = a->o.stop, .stop_count = a->o.stop_count, .piece = a->o.piece, .user = a->o.user};
    a->first = s->length + count;
    bool ok = CHECK_RESERVED(o, e) && CHECK_RESERVED(a->o.sampling, e) &&
              sampling_check(&a->sampling, s->model->model->h.vocab, e) && session_takes(s, prompt, count, e) &&
              answer_prepare(a, e);
    if (ok && !count && !s->has_logits)
        ok = fail(e, GYR_USAGE, "%s: nothing to answer: give at least one token", s->model->checkpoint->path);
    if (ok) return a;
    gyr_answer_free(a);
    return NULL;
}

void gyr_answer_free(gyr_answer *a) {
    if (!a) return;
    stream_free(&a->stream);
    buf_free(&a->piece);
    free(a->allowed);
    free(a->ends);
    free(a->top_ids);
    free(a->top_logprobs);
    free(a->scores);
    free(a);
}

// Bytes of weights and cache that computing the last token read.
static uint64_t bytes_of_step(const struct gyr_session *s) {
    uint64_t token = kv_cache_bytes(s->kv->layout, PAGE_TOKENS) / PAGE_TOKENS;
    const struct gyr_model *m = s->model;
    if (m->ranks) return m->whole.decode_bytes + m->whole.kv_bytes * s->length;
    return m->model->decode_bytes + token * s->length;
}

size_t answer_due(const struct gyr_answer *a) { return a->first - a->count + a->fed + a->stats.answer_tokens; }

void gyr_answer_set_aside(gyr_answer *a) {
    if (!a->stats.stop) session_set_aside(a->s);
}

// What a part of a batch is: tokens that were there before the answer was set aside, the prompt, the token chosen.
enum kind { AGAIN, PROMPT, TOKEN };

static enum kind kind_of(const struct gyr_answer *a) {
    return a->s->length < answer_due(a) ? AGAIN : a->chosen ? TOKEN : PROMPT;
}

// The answer's part of the batch: its token, or as many others as fit `room`.
static struct intake intake_of(struct gyr_answer *a, size_t room) {
    enum kind kind = kind_of(a);
    struct gyr_session *s = a->s;
    if (kind == TOKEN) return (struct intake){.s = s, .ids = &a->next, .count = 1};
    const int32_t *ids = kind == AGAIN ? s->ids + s->length : a->prompt + a->fed;
    size_t again = answer_due(a) - s->length, prompt = a->count - a->fed, left = kind == AGAIN ? again : prompt;
    float *scores = kind == PROMPT ? a->scores : NULL;
    if (scores && room > a->rows) room = a->rows;
    size_t n = left < room ? left : room;
    bool more = n < left || (kind == AGAIN && (prompt || a->chosen));
    return (struct intake){.s = s, .ids = ids, .count = n, .logits = scores, .more = more};
}

void answer_token_done(struct gyr_answer *a) {
    size_t most = a->o.max_tokens ? a->o.max_tokens : SIZE_MAX;
    a->chosen = false;
    a->stats.answer_tokens++;
    a->stats.bytes_read += bytes_of_step(a->s);
    if (a->stop)
        answer_finish(a, a->stop);
    else if (a->stats.answer_tokens >= most || a->s->length >= a->s->context)
        answer_finish(a, GYR_STOP_LENGTH);
}

static void prompt_done(struct gyr_answer *a, size_t n) {
    size_t vocab = a->s->model->model->h.vocab;
    if (a->scores && a->fed + n == a->count)
        memcpy(session_own_scores(a->s), a->scores + (n - 1) * vocab, vocab * sizeof(float));
    if (!answer_tell_prompt(a, n)) answer_finish(a, GYR_STOP_CALLER);
    a->fed += n;
    if (a->fed == a->count) {
        free(a->scores);
        a->scores = NULL;
    }
    a->stats.prompt_tokens = a->fed;
    if (n && a->fed < a->count && !a->stats.stop && a->o.prefill && !a->o.prefill(a->o.user, a->fed, a->count))
        answer_finish(a, GYR_STOP_CALLER);
}

struct turn {
    struct gyr_answer *answer;
    enum kind kind;
    size_t tokens;
};

static void turn_done(const struct turn *p, double seconds) {
    gyr_generate_stats *stats = &p->answer->stats;
    *(p->kind == TOKEN ? &stats->answer_seconds : &stats->prompt_seconds) += seconds;
    if (p->kind == TOKEN) answer_token_done(p->answer);
    if (p->kind == PROMPT) prompt_done(p->answer, p->tokens);
}

struct step {
    struct turn *turns; // of those answers that have one
    struct intake *intakes;
    size_t n;
};

// The parts of all answers, those of prompts together at most `prompt_tokens` (0: as many as fit).
static bool fill(struct step *st, gyr_answer *const *answers, size_t n, size_t prompt_tokens, gyr_error *e) {
    size_t tokens = 0;
    if (!answers_choose(answers, n, e)) return false;
    for (size_t i = 0; i < n; i++) tokens += !answers[i]->stats.stop && kind_of(answers[i]) == TOKEN;
    size_t most = n ? run_rows(answers[0]->s->model->run) : 0, room = most > tokens ? most - tokens : 1;
    if (prompt_tokens && prompt_tokens < room) room = prompt_tokens;
    for (size_t i = 0; i < n; i++) {
        struct gyr_answer *a = answers[i];
        if (a->stats.stop) continue;
        struct intake in = intake_of(a, room);
        struct turn turn = {a, kind_of(a), in.count};
        if (!in.count) continue;
        if (turn.kind != TOKEN) room -= in.count;
        st->intakes[st->n] = in;
        st->turns[st->n++] = turn;
    }
    return true;
}

static bool step(struct step *st, gyr_answer *const *answers, size_t n, size_t prompt_tokens, gyr_error *e) {
    double start = now_seconds();
    st->turns = malloc((n + !n) * sizeof(*st->turns));
    st->intakes = malloc((n + !n) * sizeof(*st->intakes));
    if (!st->turns || !st->intakes) return fail_memory(e, "batch");
    if (!fill(st, answers, n, prompt_tokens, e) || !sessions_feed(st->intakes, st->n, e)) return false;
    double seconds = now_seconds() - start;
    for (size_t i = 0; i < st->n; i++) turn_done(&st->turns[i], seconds);
    return true;
}

gyr_status gyr_answers_step(gyr_answer *const *answers, size_t n, size_t prompt_tokens, gyr_error *e) {
    gyr_error made = {0};
    struct step st = {0};
    bool ok = step(&st, answers, n, prompt_tokens, &made);
    free(st.turns);
    free(st.intakes);
    return status_of(ok, &made, e);
}

bool gyr_answer_done(const gyr_answer *a) { return a->stats.stop; }

void gyr_answer_get_stats(const gyr_answer *a, gyr_generate_stats *stats) { *stats = a->stats; }
