#include "text/tokenizer_impl.h"

#include <string.h>

size_t tokenizer_size(const struct tokenizer *t) { return t->vocab->n; }

static enum token_kind kind_of(const struct tokenizer *t, int32_t id) { return token_kind_of(t->vocab, (size_t)id); }

// A piece that begins a word has a space in front; one that goes on with it, or ends it, is marked as such.
static void decode_affixed(const struct tokenizer *t, struct text s, bool first, struct buf *out) {
    const char *prefix = t->vocab->word_prefix, *suffix = t->vocab->word_suffix;
    size_t before = prefix ? strlen(prefix) : 0, after = suffix ? strlen(suffix) : 0;
    bool inside = before && s.size >= before && !memcmp(s.data, prefix, before);
    bool ends = after && s.size >= after && !memcmp(s.data + s.size - after, suffix, after);
    if (t->vocab->kind == VOCAB_WORDPIECE && !inside && !first) buf_putc(out, ' ');
    size_t from = inside ? before : 0, to = s.size - (ends ? after : 0);
    if (to > from) buf_append(out, s.data + from, to - from);
    if (ends) buf_putc(out, ' ');
}

void tokenizer_decode(const struct tokenizer *t, int32_t id, bool first, bool special, struct buf *out) {
    if (id < 0 || (size_t)id >= t->vocab->n) return;
    struct text s = t->bytes[id];
    enum token_kind kind = kind_of(t, id);
    if ((kind == TOKEN_CONTROL || kind == TOKEN_UNKNOWN) && !special) return;
    bool word = kind == TOKEN_NORMAL || t->vocab->kind == VOCAB_WORDPIECE;
    if (word && (t->vocab->word_prefix || t->vocab->word_suffix)) {
        decode_affixed(t, s, first, out);
        return;
    }
    bool prefixed = first && t->drops && s.size && *s.data == ' ' && kind != TOKEN_USER;
    buf_append(out, s.data + prefixed, s.size - prefixed);
}

int32_t tokenizer_find(const struct tokenizer *t, const char *name) {
    const struct vocab *v = t->vocab;
    size_t i = index_find(&t->by_name, v->tokens, sizeof *v->tokens, (struct text){name, strlen(name)});
    return i == SIZE_MAX ? -1 : (int32_t)i;
}

bool tokenizer_is_end(const struct tokenizer *t, int32_t id) {
    const struct vocab *v = t->vocab;
    if (id < 0) return false;
    if (id == v->eos || id == v->eot) return true;
    for (size_t i = 0; i < v->n_ends; i++)
        if (v->ends[i] == id) return true;
    for (size_t i = 0; i < t->n_named_ends; i++)
        if (t->named_ends[i] == id) return true;
    return false;
}

static bool has_end(const struct tokenizer *t, const char *name) {
    int32_t id = tokenizer_find(t, name);
    return id >= 0 && (kind_of(t, id) == TOKEN_CONTROL || kind_of(t, id) == TOKEN_USER);
}

// Where answers have several parts, the token that ends a part ends no answer (gpt-oss, Solar Open); and "</s>" is a
// tag of HTML to Gemma 4.
static bool ends_a_part(const struct tokenizer *t, const char *name) {
    bool calls = has_end(t, "<|call|>") || has_end(t, "<|calls|>");
    if (!strcmp(name, "<|end|>")) return calls && (has_end(t, "<|return|>") || has_end(t, "<|flush|>"));
    return !strcmp(name, "</s>") && has_end(t, "<|tool_response>");
}

void index_ends(struct tokenizer *t) {
    const char *name;
    for (size_t i = 0; (name = vocab_end_name(i)) && t->n_named_ends < MAX_NAMED_ENDS; i++)
        if (has_end(t, name) && !ends_a_part(t, name)) t->named_ends[t->n_named_ends++] = tokenizer_find(t, name);
}

bool tokenizer_begin(const struct tokenizer *t, struct tokens *out) {
    const struct vocab *v = t->vocab;
    if (!v->add_bos || v->bos < 0 || (size_t)v->bos >= v->n) return true;
    bool ok = v->n_lead || tokens_push(out, v->bos);
    for (size_t i = 0; ok && i < v->n_lead; i++) ok = tokens_push(out, v->lead[i]);
    return ok;
}

bool tokenizer_finish(const struct tokenizer *t, struct tokens *out) {
    const struct vocab *v = t->vocab;
    int32_t end = v->tailed ? v->tail : v->eos;
    return !v->add_eos || end < 0 || (size_t)end >= v->n || tokens_push(out, end);
}
