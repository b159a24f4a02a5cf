// Unigram and WordPiece as GGUF has them: of what is done to a text, a few facts.
#include "model/convert_vocab.h"

#include <stdlib.h>
#include <string.h>

#define MARKER "\xe2\x96\x81" // U+2581, which stands for a space

static bool cannot_say(const char *where, gyr_error *e) {
    return fail(e, GYR_UNSUPPORTED,
                "%s: its tokenizer prepares text in a way that GGUF cannot express; run the folder as it is", where);
}

// What only a folder says; and its scores have no more digits in GGUF.
static void strip(struct vocab *v) {
    v->exact = NULL;
    v->finds = NULL;
    v->splits = NULL;
    v->n_splits = 0;
    v->has_splits = v->drop_space = v->fuse_unknown = false;
    v->space_marker = true;
}

bool gguf_vocab_unigram(struct gguf_vocab *g, const struct tokenizer *original, const char *where, gyr_error *e) {
    struct vocab *v = &g->v;
    const struct normal *map = vocab_normal(v, NORMAL_CHARSMAP);
    struct text charsmap = map ? map->content : (struct text){NULL, 0};
    bool prefix = v->space_prefix;
    strip(v);
    v->pre = (char *)(uintptr_t) "default";
    for (int way = 0; way < 4; way++) {
        v->space_prefix = (way & 2) ? !prefix : prefix;
        if (!vocab_sentencepiece(v, charsmap, !(way & 1))) return fail_memory(e, where);
        if (gguf_vocab_true(v, original, where)) return true;
    }
    return cannot_say(where, e);
}

// A word begins with a mark, and what goes on with one has none: "word" and "##piece" are "_word" and "piece".
static bool spell(struct gguf_vocab *g, const char *prefix, const char *where, gyr_error *e) {
    struct vocab *v = &g->v;
    const size_t mark = strlen(MARKER), ahead = prefix ? strlen(prefix) : 0;
    size_t room = 1;
    for (size_t i = 0; i < v->n; i++)
        if (__builtin_add_overflow(room, v->tokens[i].size + mark, &room)) return fail_memory(e, where);
    char *out = g->spelling = malloc(room);
    struct text *tokens = g->spelled = reallocarray(NULL, v->n, sizeof *tokens);
    if (!out || !tokens) return fail_memory(e, where);
    for (size_t i = 0; i < v->n; i++) {
        struct text s = v->tokens[i];
        bool on = ahead && s.size > ahead && !memcmp(s.data, prefix, ahead), word = v->kinds[i] == TOKEN_NORMAL && !on;
        if (v->kinds[i] == TOKEN_NORMAL && on) s.data += ahead, s.size -= ahead;
        tokens[i] = (struct text){out, s.size + (word ? mark : 0)};
        if (word) memcpy(out, MARKER, mark);
        memcpy(out + tokens[i].size - s.size, s.data, s.size);
        out += tokens[i].size;
    }
    v->tokens = tokens;
    return true;
}

bool gguf_vocab_wordpiece(struct gguf_vocab *g, const struct tokenizer *original, const char *where, gyr_error *e) {
    struct vocab *v = &g->v;
    if (v->longest_word != BERT_LONGEST_WORD) return cannot_say(where, e);
    strip(v);
    if (!spell(g, v->word_prefix, where, e)) return false;
    v->word_prefix = NULL;
    v->space_prefix = v->byte_fallback = false;
    for (int way = 0; way < 4; way++) {
        if (!vocab_bert(v, way & 1, way & 2)) return fail_memory(e, where);
        if (gguf_vocab_true(v, original, where)) return true;
    }
    return cannot_say(where, e);
}
