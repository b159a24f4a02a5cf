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
    // What chat models are trained to say at the end of a turn, as their makers spell it.
    static const char *const names[] = {
        "<|im_end|>",
        "<|eot_id|>",
        "<|eom_id|>",
        "<|end|>",
        "<|end_of_text|>",
        "<|endoftext|>",
        "<end_of_turn>",
        "<turn|>",
        "</s>",
        "<|end_of_turn|>",
        "<|endofturn|>",
        "<|eot|>",
        "<|eom|>",
        "<EOT>",
        "_<EOT>",
        "<|return|>",
        "<|call|>",
        "[EOS]",
        "<eos>",
        "<|end_of_role|>",
        "<|END_OF_TURN_TOKEN|>",
        "<\uff5cend\u2581of\u2581sentence\uff5c>",
    };
    const struct vocab *v = t->vocab;
    if (id < 0 || (size_t)id >= v->n) return false;
    if (id == v->eos || id == v->eot) return true;
    if (kind_of(t, id) != TOKEN_CONTROL && kind_of(t, id) != TOKEN_USER) return false;
    struct text s = v->tokens[id];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i]) == s.size && !memcmp(names[i], s.data, s.size)) return true;
    return false;
}

bool tokenizer_begin(const struct tokenizer *t, struct tokens *out) {
    const struct vocab *v = t->vocab;
    if (!v->add_bos || v->bos < 0 || (size_t)v->bos >= v->n) return true;
    bool ok = tokens_push(out, v->bos);
    for (size_t i = 0; ok && i < v->n_lead; i++) ok = tokens_push(out, v->lead[i]);
    return ok;
}
