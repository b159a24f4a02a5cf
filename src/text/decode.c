#include "text/tokenizer_impl.h"

#include <string.h>

size_t tokenizer_size(const struct tokenizer *t) { return t->vocab->n; }

static enum token_kind kind_of(const struct tokenizer *t, int32_t id) {
    return t->vocab->kinds ? t->vocab->kinds[id] : TOKEN_NORMAL;
}

void tokenizer_decode(const struct tokenizer *t, int32_t id, bool first, bool special, struct buf *out) {
    if (id < 0 || (size_t)id >= t->vocab->n) return;
    struct text s = t->bytes[id];
    enum token_kind kind = kind_of(t, id);
    if ((kind == TOKEN_CONTROL || kind == TOKEN_UNKNOWN) && !special) return;
    bool prefixed = first && t->spaced && s.size && *s.data == ' ' && kind != TOKEN_USER;
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

int32_t tokenizer_bos(const struct tokenizer *t) {
    const struct vocab *v = t->vocab;
    return v->add_bos && v->bos >= 0 && (size_t)v->bos < v->n ? v->bos : -1;
}
