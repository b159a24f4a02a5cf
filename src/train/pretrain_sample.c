// What a model writes while it is trained. Its weights change with each step, so nothing is kept from token to token:
// samples are short.
#include "device/host.h"
#include "engine/random.h"
#include "train/pretrain.h"

#include <stdlib.h>
#include <string.h>

static const uint64_t sample_seed = 0x73616d706c65;
static const float temperature = 0.8f;

// Drawn by what is likely at a temperature of 0.8.
static int32_t pick(float *logits, size_t vocab, double draw) {
    float most = logits[0], sum = 0, so_far = 0;
    for (size_t i = 1; i < vocab; i++) most = logits[i] > most ? logits[i] : most;
    host_exps_here()(logits, vocab, most, temperature, most - 30 * temperature, logits);
    for (size_t i = 0; i < vocab; i++) sum += logits[i];
    size_t last = 0;
    for (size_t i = 0; i < vocab; i++) {
        if (!(logits[i] > 0)) continue;
        last = i;
        so_far += logits[i];
        if (so_far > (float)draw * sum) break;
    }
    return (int32_t)last;
}

static bool go_on(struct gyr_train *t, size_t step, struct tokens *ids, float *logits, struct buf *out, gyr_error *e) {
    struct told told;
    for (size_t i = 0; i < t->o.sample_tokens && ids->n < t->o.context; i++) {
        if (!trainee_example(t->t, t->w->numbers, ids->ids, NULL, ids->n, 1, &told, NULL, e)) return false;
        uint64_t at = (uint64_t)step << 20 | i;
        int32_t id = pick(logits, t->m->h.vocab, random_at(t->o.seed + sample_seed, at));
        if (tokenizer_is_end(t->tokens, id)) break;
        tokenizer_decode(t->tokens, id, false, true, out);
        if (!tokens_push(ids, id) || out->failed) return fail_memory(e, "training");
    }
    return true;
}

bool pretrain_sample(struct gyr_train *t, size_t step, struct buf *out, gyr_error *e) {
    const char *prompt = t->o.prompt ? t->o.prompt : "";
    struct tokens ids = {0};
    float *logits = malloc(t->m->h.vocab * sizeof *logits);
    bool ok = (logits && tokenizer_begin(t->tokens, &ids)) || fail_memory(e, "training");
    ok = ok && tokenizer_encode(t->tokens, prompt, strlen(prompt), false, &ids, e);
    if (ok && !ids.n) ok = tokens_push(&ids, t->c->vocab.eos >= 0 ? t->c->vocab.eos : 0) || fail_memory(e, "training");
    buf_puts(out, prompt);
    t->t->n_starts = 0;
    t->t->last = logits;
    ok = ok && go_on(t, step, &ids, logits, out, e);
    t->t->last = NULL;
    tokens_free(&ids);
    free(logits);
    return ok;
}
