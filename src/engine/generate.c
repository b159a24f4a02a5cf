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

<<<<<<< HEAD
struct answer {
    struct gyr_session *s;
    const gyr_generate_options *o;
    const gyr_sampling *sampling;
    struct stream stream;
    size_t first; // position of the answer's first token
    gyr_generate_stats *stats;
};

// Bytes of weights and cache that computing the next token reads.
static uint64_t bytes_of_step(const struct gyr_session *s) {
    const struct hyperparameters *h = &s->model->model->h;
    uint64_t token = kv_cache_bytes(s->kv->shape, h->layers, PAGE_TOKENS) / PAGE_TOKENS;
    return s->model->model->decode_bytes + token * (s->length + 1);
}

static int32_t pick(struct answer *a) {
    struct history h = {a->s->ids, a->s->length, a->first};
    return sampler_pick(&a->s->model->sampler, a->sampling, a->s->logits, &h);
}

// Sends one token's text out. False: the answer ends, stats->stop says why (0: out of memory).
static bool send_piece(struct answer *a, int32_t id, struct buf *piece) {
    buf_clear(piece);
    if (a->s->model->tokenizer.tokens)
        tokenizer_decode(a->s->model->tokenizer.tokens, id, a->s->length == 0, false, piece);
    switch (piece->failed ? STREAM_NO_MEMORY : stream_put(&a->stream, piece->data, piece->size)) {
    case STREAM_GOES_ON: return true;
    case STREAM_STOPPED: a->stats->stop = GYR_STOP_STRING; return false;
    case STREAM_CANCELLED: a->stats->stop = GYR_STOP_CALLER; return false;
    case STREAM_NO_MEMORY: break;
    }
    a->stats->stop = 0;
    return false;
}

// Chooses and computes tokens. A token is computed (fed) before the next is chosen, also the last one, so that the
// session holds the whole answer.
static bool decode(struct answer *a, gyr_error *e) {
    struct gyr_session *s = a->s;
    size_t most = a->o->max_tokens ? a->o->max_tokens : SIZE_MAX;
    struct buf piece = {0};
    bool ok = true, on = true;
    a->stats->stop = GYR_STOP_LENGTH;
    while (ok && on && a->stats->answer_tokens < most && s->length < s->context) {
        int32_t id = pick(a);
        if (!a->o->ignore_end && s->model->tokenizer.tokens && tokenizer_is_end(s->model->tokenizer.tokens, id)) {
            a->stats->stop = GYR_STOP_END;
            break;
        }
        on = send_piece(a, id, &piece);
        a->stats->bytes_read += bytes_of_step(s);
        ok = session_feed(s, &id, 1, NULL, NULL, NULL, e);
        a->stats->answer_tokens += ok;
        if (!on && !a->stats->stop) ok = fail_memory(e, "answer");
    }
    if (ok && a->stats->stop != GYR_STOP_STRING && a->stats->stop != GYR_STOP_CALLER &&
        stream_end(&a->stream) == STREAM_CANCELLED)
        a->stats->stop = GYR_STOP_CALLER;
    buf_free(&piece);
    return ok;
}

static bool generate(struct gyr_session *s, const int32_t *prompt, size_t count, const gyr_generate_options *o,
                     gyr_generate_stats *stats, gyr_error *e) {
=======
static bool sample(struct gyr_session *s, const gyr_sampling *sampling, size_t answer, int32_t *id, gyr_error *e) {
>>>>>>> bench
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
