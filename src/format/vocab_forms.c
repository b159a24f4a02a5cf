// What is done to text in the tokenizers that a few facts say all about: SentencePiece's and BERT's.
#include "format/arena.h"
#include "format/vocab.h"

#include <string.h>

bool vocab_sentencepiece(struct vocab *v, struct text charsmap, bool squeeze) {
    static const char marker[] = "\\x{2581}", space[] = " ";
    struct normal *n = v->normals = arena_alloc(v->storage, 3, sizeof *v->normals);
    v->n_normals = 0;
    if (!n) return false;
    if (charsmap.size) {
        char *copy = arena_copy(v->storage, charsmap);
        if (!copy) return false;
        n[v->n_normals++] = (struct normal){.kind = NORMAL_CHARSMAP, .content = {copy, charsmap.size}};
    }
    if (squeeze) n[v->n_normals++] = (struct normal){.kind = NORMAL_SPACES};
    // A U+2581 of the text is a space to those who have no bytes to say it with.
    if (!v->byte_fallback)
        n[v->n_normals++] = (struct normal){
            .kind = NORMAL_REPLACE, .pattern = (char *)(uintptr_t)marker, .content = {space, sizeof space - 1}};
    return true;
}

// Google's BERT (google-research/bert, tokenization.py): words by white space and punctuation, a space in front of
// each.
bool vocab_bert(struct vocab *v, bool lower, bool accents) {
    static const struct split splits[] = {{.pattern = (char *)(uintptr_t) "\\s", .behavior = SPLIT_REMOVED},
                                          {.pattern = (char *)(uintptr_t) "[!-/:-@\\[-`{-~\\p{P}]"},
                                          {.pattern = NULL}};
    v->n_splits = sizeof splits / sizeof *splits;
    v->n_normals = 0;
    v->splits = arena_alloc(v->storage, v->n_splits, sizeof *v->splits);
    struct normal *n = v->normals = arena_alloc(v->storage, 5, sizeof *v->normals);
    if (!v->splits || !n) return false;
    memcpy(v->splits, splits, sizeof splits);
    n[v->n_normals++].kind = NORMAL_CLEAN;
    n[v->n_normals++].kind = NORMAL_IDEOGRAPHS;
    if (accents) n[v->n_normals++].kind = NORMAL_NFD;
    if (accents) n[v->n_normals++] = (struct normal){.kind = NORMAL_UNACCENT, .left = true};
    if (lower) n[v->n_normals++].kind = NORMAL_LOWERCASE;
    v->has_splits = v->drop_space = v->space_marker = true;
    v->longest_word = BERT_LONGEST_WORD;
    return true;
}

const struct normal *vocab_normal(const struct vocab *v, enum normal_kind kind) {
    for (size_t i = 0; i < v->n_normals; i++)
        if (v->normals[i].kind == kind) return &v->normals[i];
    return NULL;
}
