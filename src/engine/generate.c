// Choosing a token, and one answer whole.
#include "engine/engine.h"
#include "engine/scores.h"

#include <math.h>
#include <stdatomic.h>

void gyr_sampling_defaults(const gyr_model *m, gyr_sampling *o) {
    const gyr_sampling ours = {
        .temperature = 0.8f, .top_k = 40, .top_p = 0.95f, .min_p = 0.05f, .repetition_penalty = 1};
    const struct sampling_advice *a = &m->checkpoint->advice;
    *o = ours;
    if (!isnan(a->temperature)) o->temperature = (float)a->temperature;
    if (!isnan(a->top_p)) o->top_p = (float)a->top_p;
    if (!isnan(a->min_p)) o->min_p = (float)a->min_p;
    if (!isnan(a->penalty_repeat)) o->repetition_penalty = (float)a->penalty_repeat;
    if (a->top_k <= INT32_MAX) o->top_k = a->top_k > 0 ? (uint32_t)a->top_k : 0; // some say -1 for all
    if (!sampling_check(o, m->model->h.vocab, NULL)) *o = ours;
}

// Sessions share the model's threads: each takes the next one that nobody took.
struct sampling_of {
    gyr_session *const *sessions;
    const gyr_sampling *how;
    const size_t *answers;
    int32_t *ids;
    size_t n;
    atomic_size_t next;
    struct sampler *samplers; // one for each thread
};

static void sample_some(void *arg, size_t thread) {
    struct sampling_of *p = arg;
    for (size_t i; (i = atomic_fetch_add(&p->next, 1)) < p->n;) {
        const struct gyr_session *s = p->sessions[i];
        const struct history h = {s->ids, s->length, p->answers ? p->answers[i] : 0};
        p->ids[i] = sampler_pick(&p->samplers[thread], p->how, session_scores(s), &h, NULL);
    }
}

static bool check_sessions(gyr_session *const *sessions, size_t n, gyr_error *e) {
    for (size_t i = 0; i < n; i++) {
        const struct gyr_model *m = sessions[i]->model;
        if (m != sessions[0]->model)
            return fail(e, GYR_USAGE, "sessions of two models; sample those of each model by themselves");
        if (!sessions[i]->has_logits)
            return fail(e, GYR_USAGE, "%s: nothing to go on from: feed at least one token", m->checkpoint->path);
    }
    return true;
}

static bool sample(gyr_session *const *sessions, size_t n, const gyr_sampling *how, const size_t *answers, int32_t *ids,
                   gyr_error *e) {
    gyr_sampling defaults;
    if (!n) return true;
    struct gyr_model *m = sessions[0]->model;
    gyr_sampling_defaults(m, &defaults);
    if (!how) how = &defaults;
    if (!CHECK_RESERVED(how, e) || !sampling_check(how, m->model->h.vocab, e) || !check_sessions(sessions, n, e))
        return false;
    size_t threads = pool_threads(m->workers), want = n < threads ? n : threads, have = model_samplers(m, want);
    struct sampling_of p = {sessions, how, answers, ids, n, 0, m->samplers};
    if (want == 1)
        sample_some(&p, 0);
    else
        pool_run(m->workers, have < want ? have : want, sample_some, &p);
    return true;
}

gyr_status gyr_session_sample(gyr_session *s, const gyr_sampling *sampling, size_t answer, int32_t *id, gyr_error *e) {
    gyr_error made = {0};
    return status_of(sample(&s, 1, sampling, &answer, id, &made), &made, e);
}

gyr_status gyr_sessions_sample(gyr_session *const *sessions, size_t n, const gyr_sampling *sampling,
                               const size_t *answers, int32_t *ids, gyr_error *e) {
    gyr_error made = {0};
    return status_of(sample(sessions, n, sampling, answers, ids, &made), &made, e);
}

bool gyr_token_is_end(const gyr_tokenizer *t, int32_t id) { return t->tokens && tokenizer_is_end(t->tokens, id); }

static bool generate(gyr_answer *a, size_t count, gyr_generate_stats *stats, gyr_error *e) {
    bool ok = true;
    while (ok && !gyr_answer_done(a)) ok = !gyr_answers_step(&a, 1, 0, e);
    gyr_answer_get_stats(a, stats);
    if (ok && stats->prompt_tokens < count) ok = fail(e, GYR_CANCELLED, "stopped while computing the prompt");
    return ok;
}

gyr_status gyr_generate(gyr_session *s, const int32_t *prompt, size_t count, const gyr_generate_options *o,
                        gyr_generate_stats *stats, gyr_error *e) {
    gyr_error made = {0};
    gyr_generate_stats unwanted, *st = stats ? stats : &unwanted;
    *st = (gyr_generate_stats){0};
    gyr_answer *a = gyr_answer_new(s, prompt, count, o, &made);
    bool ok = a && generate(a, count, st, &made);
    gyr_answer_free(a);
    return status_of(ok, &made, e);
}
