// Choosing a token, and one answer whole.
#include "engine/engine.h"

#include <math.h>

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

static bool sample(struct gyr_session *s, const gyr_sampling *sampling, size_t answer, int32_t *id, gyr_error *e) {
    gyr_sampling defaults;
    gyr_sampling_defaults(s->model, &defaults);
    if (!sampling) sampling = &defaults;
    if (!CHECK_RESERVED(sampling, e) || !sampling_check(sampling, s->model->model->h.vocab, e)) return false;
    if (!s->has_logits)
        return fail(e, GYR_USAGE, "%s: nothing to go on from: feed at least one token", s->model->checkpoint->path);
    *id = sampler_pick(&s->model->samplers[0], sampling, s->logits, &(struct history){s->ids, s->length, answer}, NULL);
    return true;
}

gyr_status gyr_session_sample(gyr_session *s, const gyr_sampling *sampling, size_t answer, int32_t *id, gyr_error *e) {
    gyr_error made = {0};
    return status_of(sample(s, sampling, answer, id, &made), &made, e);
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
