// A vocabulary as GGUF's tokenizer.* keys: gguf_vocab.c backwards.
#include "format/gguf_write.h"

#include <stdlib.h>
#include <string.h>

// Where readers take another id for want of a key, none is said by the largest number, as converters do.
static void put_id(struct gguf_writer *w, const struct vocab *v, const char *key, int32_t id) {
    if (id >= 0 || v->kind != VOCAB_BPE) gguf_put_u32(w, key, (uint32_t)id);
}

static void put_kinds(struct gguf_writer *w, const struct vocab *v) {
    int32_t *kinds = reallocarray(NULL, v->n, sizeof *kinds);
    if (!kinds) {
        gguf_writer_refuse(w, GYR_NO_MEMORY, "out of memory; close other programs");
        return;
    }
    for (size_t i = 0; i < v->n; i++) kinds[i] = v->kinds[i];
    gguf_put_i32s(w, "tokenizer.ggml.token_type", kinds, v->n);
    free(kinds);
}

static void put_templates(struct gguf_writer *w, const struct vocab *v) {
    struct text *names = reallocarray(NULL, v->n_templates, sizeof *names);
    if (!names) {
        gguf_writer_refuse(w, GYR_NO_MEMORY, "out of memory; close other programs");
        return;
    }
    for (size_t i = 0; i < v->n_templates; i++) {
        struct buf key = {0};
        names[i] = (struct text){v->templates[i].name, strlen(v->templates[i].name)};
        buf_printf(&key, "tokenizer.chat_template.%s", v->templates[i].name);
        if (!key.failed) gguf_put_cstring(w, key.data, v->templates[i].source);
        buf_free(&key);
    }
    gguf_put_strings(w, "tokenizer.chat_templates", names, v->n_templates);
    free(names);
}

// Merges of text spelled as SentencePiece does, and cut nowhere.
static bool is_spelled(const struct vocab *v) {
    return v->kind == VOCAB_BPE && !v->byte_level && v->byte_fallback && v->space_marker && !v->n_splits &&
           !v->n_normals && !v->space_prefix;
}

// Can GGUF say what is done to a text?
static bool can_say(const struct vocab *v) {
    const struct normal *map = vocab_normal(v, NORMAL_CHARSMAP);
    size_t known = map != NULL;
    if (vocab_normal(v, NORMAL_SPACES)) known++;
    if (vocab_normal(v, NORMAL_REPLACE)) known++;
    switch (v->kind) {
    case VOCAB_BPE: return is_spelled(v) || (!v->has_splits && !v->n_normals && v->byte_level);
    case VOCAB_SPM: return !v->has_splits && v->n_normals <= 1 && !map;
    case VOCAB_UNIGRAM: return !v->has_splits && (!map || !map->left) && v->n_normals == known;
    default: return v->has_splits && v->n_splits == 3 && v->space_marker && !v->word_prefix;
    }
}

static void put_unigram(struct gguf_writer *w, const struct vocab *v) {
    const struct normal *map = vocab_normal(v, NORMAL_CHARSMAP);
    if (map) gguf_put_bytes(w, "tokenizer.ggml.precompiled_charsmap", map->content.data, map->content.size);
    gguf_put_bool(w, "tokenizer.ggml.remove_extra_whitespaces", vocab_normal(v, NORMAL_SPACES));
}

static void put_bert(struct gguf_writer *w, const struct vocab *v) {
    gguf_put_bool(w, "tokenizer.ggml.normalizer.lowercase", vocab_normal(v, NORMAL_LOWERCASE));
    gguf_put_bool(w, "tokenizer.ggml.normalizer.strip_accents", vocab_normal(v, NORMAL_UNACCENT));
    put_id(w, v, "tokenizer.ggml.cls_token_id", v->bos);
    put_id(w, v, "tokenizer.ggml.seperator_token_id", v->eos); // as GGUF spells it
}

// llama.cpp reads three tokens that end an answer, ollama the list.
static void put_ends(struct gguf_writer *w, const struct vocab *v) {
    int32_t eom = -1;
    for (size_t i = 0; i < v->n_ends && eom < 0; i++)
        if (v->ends[i] != v->eos && v->ends[i] != v->eot) eom = v->ends[i];
    if (v->eot >= 0) gguf_put_u32(w, "tokenizer.ggml.eot_token_id", (uint32_t)v->eot);
    if (eom >= 0) gguf_put_u32(w, "tokenizer.ggml.eom_token_id", (uint32_t)eom);
    if (v->n_ends > 1) gguf_put_i32s(w, "tokenizer.ggml.eos_token_ids", v->ends, v->n_ends);
}

void gguf_put_vocab(struct gguf_writer *w, const struct vocab *v) {
    static const char *const models[] = {
        [VOCAB_BPE] = "gpt2", [VOCAB_SPM] = "llama", [VOCAB_UNIGRAM] = "t5", [VOCAB_WORDPIECE] = "bert"};
    if (v->chat_template) gguf_put_cstring(w, "tokenizer.chat_template", v->chat_template);
    if (v->n_templates) put_templates(w, v);
    if (v->kind == VOCAB_NONE) return;
    if (!can_say(v))
        gguf_writer_refuse(w, GYR_UNSUPPORTED,
                           "GGUF cannot express how this tokenizer splits text; take the vocabulary from a GGUF file");
    gguf_put_cstring(w, "tokenizer.ggml.model", is_spelled(v) ? "gemma4" : models[v->kind]);
    if (v->pre) gguf_put_cstring(w, "tokenizer.ggml.pre", v->pre);
    gguf_put_strings(w, "tokenizer.ggml.tokens", v->tokens, v->n);
    if (v->scores) gguf_put_f32s(w, "tokenizer.ggml.scores", v->scores, v->n);
    if (v->kinds && v->n) put_kinds(w, v);
    if (v->n_merges) gguf_put_strings(w, "tokenizer.ggml.merges", v->merges, v->n_merges);
    if (v->kind == VOCAB_UNIGRAM) put_unigram(w, v);
    if (v->kind == VOCAB_WORDPIECE) put_bert(w, v);
    put_id(w, v, "tokenizer.ggml.bos_token_id", v->bos);
    put_id(w, v, "tokenizer.ggml.eos_token_id", v->eos);
    put_ends(w, v);
    put_id(w, v, "tokenizer.ggml.unknown_token_id", v->unk);
    if (v->pad >= 0) gguf_put_u32(w, "tokenizer.ggml.padding_token_id", (uint32_t)v->pad);
    gguf_put_bool(w, "tokenizer.ggml.add_bos_token", v->add_bos);
    if (v->add_bos && (v->n_lead > 1 || (v->n_lead && v->lead[0] != v->bos)))
        gguf_put_i32s(w, GGUF_LEAD, v->lead, v->n_lead);
    gguf_put_bool(w, "tokenizer.ggml.add_eos_token", v->add_eos);
    gguf_put_bool(w, "tokenizer.ggml.add_space_prefix", v->space_prefix);
    if (v->space_prefix && v->prefix_bare) gguf_put_bool(w, GGUF_PREFIX_BARE, true);
    if (v->space_prefix && v->prefix_once) gguf_put_bool(w, GGUF_PREFIX_ONCE, true);
}
