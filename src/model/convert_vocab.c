#include "model/convert_vocab.h"
#include "text/patterns.h"
#include "text/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Texts on which the ways to split text come apart: numbers, contractions in any case, camel case, marks, scripts with
// and without spaces, runs of blanks and of line ends, signs beside letters.
static const char *const probes[] = {
    "Hello world, this is a test.",
    "I'll we've DON'T they'RE it's 'tis O'Neill's",
    "1 12 123 1234 12345678 3.14159 1,000,000 0x1F 2nd a1b2 \xd9\xa3\xd9\xa4 \xe2\x85\xa7 \xc2\xbd",
    "a  b   c    d\t\te \t f\n\ng\n \n h\r\n\r\ni   ",
    "   leading, trailing   \n\n\n   and\n    indented(code) {\n\treturn x+=1; // done\n}\n",
    "camelCase HTTPServer XMLHttpRequest snake_case kebab-case ABCdef \xc3\x89tat \xc7\x85",
    "!? ... --- *** === <|x|> `code` ~tilde~ $5 ^caret a|b +1 (paren) [x] {y} #tag @me 50% a/b c\\d",
    "caf\xc3\xa9 cafe\xcc\x81 na\xc3\xafve \xc3\x9c"
    "ber stra\xc3\x9f"
    "e",
    "\xe4\xbd\xa0\xe5\xa5\xbd\xef\xbc\x8c\xe4\xb8\x96\xe7\x95\x8c\xe3\x80\x82\xe6\x9d\xb1\xe4\xba\xac\xe3\x81\xae"
    "\xe3\x82\xab\xe3\x83\xa1\xe3\x83\xa9 \xed\x95\x9c\xea\xb5\xad\xec\x96\xb4 123\xe5\xb9\xb4",
    "\xe0\xb8\xa0\xe0\xb8\xb2\xe0\xb8\xa9\xe0\xb8\xb2\xe0\xb9\x84\xe0\xb8\x97\xe0\xb8\xa2 "
    "\xe0\xa4\xb9\xe0\xa4\xbf\xe0\xa4\xa8\xe0\xa5\x8d\xe0\xa4\xa6\xe0\xa5\x80 \xd8\xa7\xd9\x84\xd8\xb9\xd8\xb1\xd8\xa8",
    "\xf0\x9f\x98\x80\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa7 \xf0\x9f\x87\xa9\xf0\x9f\x87\xaa "
    "1\xef\xb8\x8f\xe2\x83"
    "\xa3 \xe2\x84\xa2 \xe2\x86\x92",
    "\xef\xbc\xa6\xef\xbd\x95\xef\xbd\x8c\xef\xbd\x8c \xef\xac\x81ne \xe2\x91\xa0 \xe2\x84\xab "
    "A\xcc\x8a",
    "\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82, \xd0\xbc\xd0\xb8\xd1\x80! \xce\x93\xce\xb5\xce\xb9\xce\xac",
};
enum { PROBES = sizeof probes / sizeof *probes };

static bool same_tokens(const struct tokenizer *a, const struct tokenizer *b) {
    bool same = true;
    for (size_t i = 0; i < PROBES && same; i++) {
        struct tokens x = {0}, y = {0};
        size_t n = strlen(probes[i]);
        same =
            tokenizer_encode(a, probes[i], n, false, &x, NULL) == tokenizer_encode(b, probes[i], n, false, &y, NULL) &&
            x.n == y.n && (!x.n || !memcmp(x.ids, y.ids, x.n * sizeof *x.ids));
        tokens_free(&x);
        tokens_free(&y);
    }
    return same;
}

bool gguf_vocab_true(const struct vocab *v, const struct tokenizer *original, const char *where) {
    struct tokenizer *t = tokenizer_new(v, where, NULL);
    bool same = t && same_tokens(t, original);
    tokenizer_free(t);
    return same;
}

static bool same_patterns(const struct patterns *p, const struct vocab *v) {
    size_t n = 0;
    while (n < MAX_STEPS && p->steps[n]) n++;
    bool same = n == v->n_splits;
    for (size_t i = 0; same && i < n; i++) same = v->splits[i].pattern && !strcmp(v->splits[i].pattern, p->steps[i]);
    return same;
}

// A folder that had only a name for its patterns keeps it, if readers take words whole as it does.
static bool keeps_name(const struct vocab *v) {
    const struct patterns *p = v->has_splits || !v->pre ? NULL : patterns_find(v->pre);
    return p && p->ignore_merges == v->ignore_merges;
}

// A name whose patterns split text as the folder's do: the one with the same patterns if there is one, for programs
// that take more than patterns from it. "default" is what readers take for want of a name.
static bool name_splits(struct vocab *v, const struct tokenizer *original, const char *where, gyr_error *e) {
    const struct vocab had = *v;
    const struct patterns *p;
    bool named = !had.has_splits && had.pre;
    v->has_splits = false;
    v->splits = NULL;
    v->n_splits = 0;
    if (keeps_name(&had)) return true;
    for (int exactly = named ? -1 : 1; exactly >= 0; exactly--)
        for (size_t i = 0; (p = patterns_row(i)); i++) {
            if (p->ignore_merges != had.ignore_merges || same_patterns(p, &had) != exactly) continue;
            if (!strcmp(p->names[0], "default")) continue;
            v->pre = (char *)(uintptr_t)p->names[0];
            if (gguf_vocab_true(v, original, where)) return true;
        }
    return fail(e, GYR_UNSUPPORTED,
                "%s: its tokenizer splits text in a way that GGUF has no name for; run the folder "
                "as it is",
                where);
}

static size_t joined(const struct text *merge, const struct tokenizer *t) {
    char token[1024];
    if (merge->size > sizeof token) return SIZE_MAX;
    const char *space = memchr(merge->data, ' ', merge->size);
    size_t left = space ? (size_t)(space - merge->data) : merge->size, right = merge->size - left - (space != NULL);
    memcpy(token, merge->data, left);
    memcpy(token + left, merge->data + left + (space != NULL), right);
    token[left + right] = 0;
    int32_t id = tokenizer_find(t, token);
    return id < 0 ? SIZE_MAX : (size_t)id;
}

// Where scores would not do, and for Gemma 4 in any case, llama.cpp has a kind for merges of text in SentencePiece's
// spelling.
static bool keep_merges(struct vocab *v, const struct vocab *had, const struct tokenizer *original, const char *where) {
    *v = *had;
    v->has_splits = true;
    v->splits = NULL;
    v->n_splits = 0;
    v->normals = NULL;
    v->n_normals = 0;
    v->pre = NULL;
    v->fuse_unknown = false; // as readers take it
    return v->byte_fallback && v->space_marker && !v->space_prefix && gguf_vocab_true(v, original, where);
}

// SentencePiece merges by the score of the piece that comes out. A folder may have it as merges by rank: the score is
// the rank of the first merge that makes the piece.
static bool score_merges(struct gguf_vocab *g, const struct tokenizer *original, const char *where, gyr_error *e) {
    struct vocab *v = &g->v;
    const struct vocab had = *v;
    if (g->prefer_merges && keep_merges(v, &had, original, where)) return true;
    *v = had;
    g->scores = calloc(v->n + 1, sizeof *g->scores);
    if (!g->scores) return fail_memory(e, where);
    for (size_t i = v->n_merges; i--;) {
        size_t id = joined(&v->merges[i], original);
        if (id < v->n) g->scores[id] = -(float)(i + 1);
    }
    v->kind = VOCAB_SPM;
    v->scores = g->scores;
    // The space in front of a text, which newer folders have as a step of their pre-tokenizer.
    if (had.n_splits == 1 && !had.splits[0].pattern)
        v->space_prefix = v->prefix_bare = true, v->prefix_once = had.splits[0].first, v->drop_space = false;
    v->normals = NULL;
    v->n_normals = 0;
    v->merges = NULL;
    v->n_merges = 0;
    v->has_splits = false;
    v->splits = NULL;
    v->n_splits = 0;
    v->pre = NULL;
    return gguf_vocab_true(v, original, where) || keep_merges(v, &had, original, where) ||
           fail(e, GYR_UNSUPPORTED,
                "%s: its tokenizer is neither byte-level nor SentencePiece's, and GGUF has no name for "
                "it; run the folder as it is",
                where);
}

// Tokens without a row, which no model says or hears; GGUF's readers want none.
static bool drop_last(struct vocab *v, uint32_t rows, const char *where, gyr_error *e) {
    int32_t *const ids[] = {&v->bos, &v->eos, &v->eot, &v->unk, &v->pad};
    for (size_t i = rows; i < v->n; i++)
        if (v->kinds[i] == TOKEN_NORMAL || v->kinds[i] == TOKEN_BYTE)
            return fail(e, GYR_UNSUPPORTED, "%s: token %zu of its tokenizer has no row; run the folder as it is", where,
                        i);
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        if (*ids[i] >= (int32_t)rows) *ids[i] = -1;
    for (size_t i = 0; i < v->n_ends; i++)
        if (v->ends[i] >= (int32_t)rows) v->n_ends = i; // the rest of the list is of no use without it
    v->n = rows;
    return true;
}

// Tables often have more rows than there are tokens; GGUF's readers want a token for each.
static bool fill_up(struct gguf_vocab *g, uint32_t rows, const char *where, gyr_error *e) {
    enum { NAME = 24 };
    struct vocab *v = &g->v;
    if (v->n > rows) return drop_last(v, rows, where, e);
    if (v->n == rows) return true;
    size_t more = rows - v->n;
    g->tokens = reallocarray(NULL, rows, sizeof *g->tokens);
    g->kinds = calloc(rows, 1);
    g->names = reallocarray(NULL, more, NAME);
    float *scores = v->scores ? calloc(rows, sizeof *scores) : NULL;
    if (!g->tokens || !g->kinds || !g->names || (v->scores && !scores)) {
        free(scores);
        return fail_memory(e, where);
    }
    memcpy(g->tokens, v->tokens, v->n * sizeof *v->tokens);
    memcpy(g->kinds, v->kinds, v->n);
    if (scores) memcpy(scores, v->scores, v->n * sizeof *scores);
    for (size_t i = 0; i < more; i++) {
        int n = snprintf(g->names + i * NAME, NAME, "[PAD%zu]", v->n + i);
        g->tokens[v->n + i] = (struct text){g->names + i * NAME, (size_t)n};
        g->kinds[v->n + i] = TOKEN_UNUSED;
    }
    if (scores) {
        free(g->scores);
        v->scores = g->scores = scores;
    }
    v->tokens = g->tokens;
    v->kinds = g->kinds;
    v->n = rows;
    return true;
}

// GGUF has no word for a normalizer before bytes; composed characters (NFC), which most text has anyway, are left to
// it.
static bool drop_composition(struct vocab *v, const char *where, gyr_error *e) {
    bool only = true;
    for (size_t i = 0; i < v->n_normals; i++) only = only && v->normals[i].kind == NORMAL_NFC;
    v->normals = NULL;
    v->n_normals = 0;
    return only || fail(e, GYR_UNSUPPORTED,
                        "%s: its tokenizer rewrites text in a way that GGUF cannot express; run the folder "
                        "as it is",
                        where);
}

// SentencePiece's BPE, which GGUF does not normalize.
static bool keep_scores(struct gguf_vocab *g, const struct tokenizer *original, const char *where, gyr_error *e) {
    g->v.normals = NULL;
    g->v.n_normals = 0;
    return gguf_vocab_true(&g->v, original, where) ||
           fail(e, GYR_UNSUPPORTED,
                "%s: its tokenizer rewrites text in a way that GGUF cannot express; run the folder as it is", where);
}

bool gguf_vocab_new(struct gguf_vocab *g, const struct checkpoint *c, uint32_t rows, bool merges, gyr_error *e) {
    static bool (*const kinds[])(struct gguf_vocab *, const struct tokenizer *, const char *,
                                 gyr_error *) = {[VOCAB_BPE] = score_merges,
                                                 [VOCAB_SPM] = keep_scores,
                                                 [VOCAB_UNIGRAM] = gguf_vocab_unigram,
                                                 [VOCAB_WORDPIECE] = gguf_vocab_wordpiece};
    *g = (struct gguf_vocab){.v = c->vocab, .prefer_merges = merges};
    if (c->vocab.kind == VOCAB_NONE) return true;
    bool byte_level = c->vocab.kind == VOCAB_BPE && c->vocab.byte_level;
    struct vocab plain = c->vocab;
    if (byte_level && !drop_composition(&plain, c->path, e)) return false;
    g->v = plain;
    struct tokenizer *original = tokenizer_new(&plain, c->path, e);
    bool ok = original &&
              (byte_level ? name_splits(&g->v, original, c->path, e) : kinds[c->vocab.kind](g, original, c->path, e));
    tokenizer_free(original);
    return ok && fill_up(g, rows, c->path, e);
}

void gguf_vocab_free(struct gguf_vocab *g) {
    free(g->scores);
    free(g->tokens);
    free(g->kinds);
    free(g->names);
    free(g->spelling);
    free(g->spelled);
    *g = (struct gguf_vocab){0};
}
