// Choosing a token, and one answer whole.
#include "engine/engine.h"

void gyr_sampling_defaults(const gyr_model *m, gyr_sampling *o) {
    static const char *const keys[] = {"general.sampling.temp", "general.sampling.top_p", "general.sampling.min_p",
                                       "general.sampling.penalty_repeat"};
    double value[] = {0.8, 0.95, 0.05, 1};
    uint64_t top_k = 40;
    for (int i = 0; i < 4; i++) checkpoint_float(m->checkpoint, keys[i], &value[i], NULL);
    checkpoint_uint(m->checkpoint, "general.sampling.top_k", 0, INT32_MAX, &top_k, NULL);
    *o = (gyr_sampling){.temperature = (float)value[0],
                        .top_p = (float)value[1],
                        .min_p = (float)value[2],
                        .repetition_penalty = (float)value[3],
                        .top_k = (uint32_t)top_k};
    if (sampling_check(o, m->model->h.vocab, NULL)) return;
    *o = (gyr_sampling){.temperature = 0.8f, .top_k = 40, .top_p = 0.95f, .min_p = 0.05f, .repetition_penalty = 1};
}

static bool sample(struct gyr_session *s, const gyr_sampling *sampling, size_t answer, int32_t *id, gyr_error *e) {
    gyr_sampling defaults;
    gyr_sampling_defaults(s->model, &defaults);
    if (!sampling) sampling = &defaults;
    if (!sampling_check(sampling, s->model->model->h.vocab, e)) return false;
    if (!s->has_logits)
        return fail(e, GYR_USAGE, "%s: nothing to go on from: feed at least one token", s->model->checkpoint->path);
    *id = sampler_pick(&s->model->sampler, sampling, s->logits, &(struct history){s->ids, s->length, answer});
    return true;
}

gyr_status gyr_session_sample(gyr_session *s, const gyr_sampling *sampling, size_t answer, int32_t *id, gyr_error *e) {
    gyr_error made = {0};
    return status_of(sample(s, sampling, answer, id, &made), &made, e);
}

bool gyr_token_is_end(const gyr_tokenizer *t, int32_t id) { return t->tokens && tokenizer_is_end(t->tokens, id); }

static bool generate(gyr_answer *a, size_t count, gyr_generate_stats *stats, gyr_error *e) {
    bool ok = true;
    while (ok && !gyr_answer_done(a)) ok = !gyr_answers_step(&a, 1, e);
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
