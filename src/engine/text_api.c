// Tokens, as the public interface offers them.
#include "engine/engine.h"

#include <stdlib.h>

gyr_tokenizer *gyr_tokenizer_open(const char *path, gyr_error *e) {
    struct checkpoint *c = checkpoint_open(path, e);
    gyr_tokenizer *t = c ? calloc(1, sizeof *t) : NULL;
    if (c && !t) fail_memory(e, path);
    if (t) t->tokens = tokenizer_new(&c->vocab, path, e);
    if (!t || !t->tokens) {
        checkpoint_close(c);
        free(t);
        return NULL;
    }
    t->checkpoint = c;
    t->vocab = &c->vocab;
    return t;
}

void gyr_tokenizer_close(gyr_tokenizer *t) {
    if (!t) return;
    tokenizer_free(t->tokens);
    checkpoint_close(t->checkpoint);
    free(t);
}

const char *gyr_tokenizer_note(const gyr_tokenizer *t, size_t i) {
    const struct vocab *v = t->vocab;
    return v && i < v->n_notes ? v->notes[i] : NULL;
}

const gyr_tokenizer *gyr_model_tokenizer(const gyr_model *m) { return &m->tokenizer; }

bool tokenizer_there(const gyr_tokenizer *t, gyr_error *e) {
    return t->tokens || fail(e, GYR_UNSUPPORTED, "the model's file has no tokenizer; give token ids");
}

gyr_status tokens_give(bool ok, struct tokens *made, gyr_tokens *out, const gyr_error *why, gyr_error *e) {
    if (!ok) tokens_free(made);
    *out = ok ? (gyr_tokens){made->ids, made->n} : (gyr_tokens){0};
    return status_of(ok, why, e);
}

gyr_status gyr_tokenize(const gyr_tokenizer *t, const char *text, size_t size, unsigned flags, gyr_tokens *out,
                        gyr_error *e) {
    gyr_error made = {0};
    struct tokens tokens = {0};
    bool ok = tokenizer_there(t, &made);
    if (ok && flags & GYR_ADD_BOS) ok = tokenizer_begin(t->tokens, &tokens) || fail_memory(&made, "tokens");
    ok = ok && tokenizer_encode(t->tokens, text, size, flags & GYR_PARSE_SPECIAL, &tokens, &made);
    if (ok && flags & GYR_ADD_EOS) ok = tokenizer_finish(t->tokens, &tokens) || fail_memory(&made, "tokens");
    return tokens_give(ok, &tokens, out, &made, e);
}

char *gyr_detokenize(const gyr_tokenizer *t, const int32_t *ids, size_t count, bool special, size_t *size,
                     gyr_error *e) {
    struct buf b = {0};
    if (!tokenizer_there(t, e)) return NULL;
    for (size_t i = 0; i < count; i++) {
        if (ids[i] < 0 || (size_t)ids[i] >= tokenizer_size(t->tokens)) {
            buf_free(&b);
            return fail_null(e, GYR_USAGE, "token %d: ids are 0 to %zu", ids[i], tokenizer_size(t->tokens) - 1);
        }
        tokenizer_decode(t->tokens, ids[i], i == 0, special, &b);
    }
    size_t n = b.size;
    char *text = buf_take(&b);
    if (!text) return fail_memory(e, "text"), NULL;
    if (size) *size = n;
    return text;
}
