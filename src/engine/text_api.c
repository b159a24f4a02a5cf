// Tokens and chat templates, as the public interface offers them.
#include "engine/engine.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

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
    return t;
}

void gyr_tokenizer_close(gyr_tokenizer *t) {
    if (!t) return;
    tokenizer_free(t->tokens);
    checkpoint_close(t->checkpoint);
    free(t);
}

const gyr_tokenizer *gyr_model_tokenizer(const gyr_model *m) { return &m->tokenizer; }

static bool has_tokens(const gyr_tokenizer *t, gyr_error *e) {
    return t->tokens || fail(e, GYR_UNSUPPORTED, "the model's file has no tokenizer; give token ids");
}

// Hands the ids over to the caller, or frees them.
static gyr_status give(bool ok, struct tokens *made, gyr_tokens *out, const gyr_error *why, gyr_error *e) {
    if (!ok) tokens_free(made);
    *out = ok ? (gyr_tokens){made->ids, made->n} : (gyr_tokens){0};
    return status_of(ok, why, e);
}

gyr_status gyr_tokenize(const gyr_tokenizer *t, const char *text, size_t size, unsigned flags, gyr_tokens *out,
                        gyr_error *e) {
    gyr_error made = {0};
    struct tokens tokens = {0};
    bool ok = has_tokens(t, &made);
    int32_t bos = ok && flags & GYR_ADD_BOS ? tokenizer_bos(t->tokens) : -1;
    if (bos >= 0) ok = tokens_push(&tokens, bos) || fail_memory(&made, "tokens");
    ok = ok && tokenizer_encode(t->tokens, text, size, flags & GYR_PARSE_SPECIAL, &tokens, &made);
    return give(ok, &tokens, out, &made, e);
}

char *gyr_detokenize(const gyr_tokenizer *t, const int32_t *ids, size_t count, bool special, size_t *size,
                     gyr_error *e) {
    struct buf b = {0};
    if (!has_tokens(t, e)) return NULL;
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

// A special token's own spelling, for templates that print bos_token or eos_token.
static bool put_token(json_t *variables, const char *name, const struct vocab *v, int32_t id) {
    if (id < 0 || (size_t)id >= v->n) return true;
    return !json_object_set_new(variables, name, json_stringn(v->tokens[id].data, v->tokens[id].size));
}

static json_t *variables_of(const gyr_model *m, const char *messages, bool generate, gyr_error *e) {
    json_error_t why;
    json_t *list = json_loads(messages, JSON_REJECT_DUPLICATES, &why);
    if (!json_is_array(list)) {
        if (list)
            fail(e, GYR_USAGE, "messages: not a JSON array");
        else
            fail(e, GYR_USAGE, "messages: line %d: %s", why.line, why.text);
        json_decref(list);
        return NULL;
    }
    const struct vocab *v = &m->checkpoint->vocab;
    json_t *all = json_pack("{s:o,s:b}", "messages", list, "add_generation_prompt", generate);
    if (all && put_token(all, "bos_token", v, v->bos) && put_token(all, "eos_token", v, v->eos)) return all;
    json_decref(all);
    return fail_memory(e, "messages"), NULL;
}

// `user` receives the runs of the text that came from the messages.
static bool render(const gyr_model *m, const char *messages, bool generate, struct buf *text, struct buf *user,
                   gyr_error *e) {
    if (!m->chat)
        return fail(e, GYR_UNSUPPORTED, "%s: the model has no chat template; give it plain text to continue",
                    m->checkpoint->path);
    json_t *variables = variables_of(m, messages, generate, e);
    bool ok = variables && template_render(m->chat, variables, text, user, e);
    json_decref(variables);
    return ok && ((!text->failed && (!user || !user->failed)) || fail_memory(e, "chat"));
}

char *gyr_chat_text(const gyr_model *m, const char *messages, bool generate, gyr_error *e) {
    struct buf text = {0};
    if (render(m, messages, generate, &text, NULL, e)) return buf_take(&text);
    buf_free(&text);
    return NULL;
}

gyr_status gyr_chat_tokens(const gyr_model *m, const char *messages, bool generate, gyr_tokens *out, gyr_error *e) {
    gyr_error made = {0};
    struct buf text = {0}, user = {0};
    struct tokens tokens = {0};
    bool ok = has_tokens(&m->tokenizer, &made) && render(m, messages, generate, &text, &user, &made) &&
              tokenizer_encode_chat(m->tokenizer.tokens, text.data ? text.data : "", text.size, (size_t *)user.data,
                                    user.size / (2 * sizeof(size_t)), &tokens, &made);
    buf_free(&text);
    buf_free(&user);
    return give(ok, &tokens, out, &made, e);
}
