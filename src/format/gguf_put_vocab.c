// A vocabulary as GGUF's tokenizer.* keys: gguf_vocab.c backwards.
#include "format/gguf_write.h"

#include <stdlib.h>
#include <string.h>

static void put_id(struct gguf_writer *w, const char *key, int32_t id) {
    if (id >= 0) gguf_put_u32(w, key, (uint32_t)id);
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

void gguf_put_vocab(struct gguf_writer *w, const struct vocab *v) {
    if (v->chat_template) gguf_put_cstring(w, "tokenizer.chat_template", v->chat_template);
    if (v->n_templates) put_templates(w, v);
    if (v->kind == VOCAB_NONE) return;
    // Merges of text spelled as SentencePiece does, and cut nowhere.
    bool spelled = v->kind == VOCAB_BPE && !v->byte_level && v->byte_fallback && v->space_marker && !v->n_splits &&
                   !v->n_normals && !v->space_prefix;
    bool other = v->kind != VOCAB_BPE && v->kind != VOCAB_SPM;
    if (!spelled &&
        (v->has_splits || other || v->n_normals > (v->kind == VOCAB_SPM) || (v->kind == VOCAB_BPE && !v->byte_level)))
        gguf_writer_refuse(w, GYR_UNSUPPORTED,
                           "GGUF cannot say how this tokenizer splits text; take the vocabulary from a GGUF file");
    gguf_put_cstring(w, "tokenizer.ggml.model", spelled ? "gemma4" : v->kind == VOCAB_BPE ? "gpt2" : "llama");
    if (v->pre) gguf_put_cstring(w, "tokenizer.ggml.pre", v->pre);
    gguf_put_strings(w, "tokenizer.ggml.tokens", v->tokens, v->n);
    if (v->scores) gguf_put_f32s(w, "tokenizer.ggml.scores", v->scores, v->n);
    if (v->kinds && v->n) put_kinds(w, v);
    if (v->n_merges) gguf_put_strings(w, "tokenizer.ggml.merges", v->merges, v->n_merges);
    put_id(w, "tokenizer.ggml.bos_token_id", v->bos);
    put_id(w, "tokenizer.ggml.eos_token_id", v->eos);
    put_id(w, "tokenizer.ggml.eot_token_id", v->eot);
    put_id(w, "tokenizer.ggml.unknown_token_id", v->unk);
    put_id(w, "tokenizer.ggml.padding_token_id", v->pad);
    gguf_put_bool(w, "tokenizer.ggml.add_bos_token", v->add_bos);
    gguf_put_bool(w, "tokenizer.ggml.add_eos_token", v->add_eos);
    gguf_put_bool(w, "tokenizer.ggml.add_space_prefix", v->space_prefix);
}
