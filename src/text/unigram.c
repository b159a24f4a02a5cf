// Unigram language model (Kudo, 2018): of all ways to cut a word into pieces, the one of the greatest sum of log
// probabilities (Viterbi, 1967).
#include "text/tokenizer_impl.h"

#include "base/utf8.h"
#include <stdlib.h>

static bool make_cells(struct work *w, size_t n) {
    if (w->cell_room < n) {
        struct cell *cells = realloc(w->cells, n * sizeof *cells);
        if (!cells) return fail_memory(w->error, w->t->where);
        w->cells = cells;
        w->cell_room = n;
    }
    for (size_t i = 0; i < n; i++) w->cells[i] = (struct cell){0, 0, -2};
    return true;
}

// SentencePiece adds in single precision, Hugging Face in double: the scores of their files are of that precision.
static double sum(const struct tokenizer *t, double a, int32_t id) {
    if (t->vocab->exact) return a + (id < 0 ? t->unknown_score : t->vocab->exact[id]);
    return (float)(a + (id < 0 ? t->unknown_score : (double)t->vocab->scores[id]));
}

static void offer(struct work *w, size_t begin, size_t end, int32_t id) {
    double score = sum(w->t, w->cells[begin].score, id);
    struct cell *c = &w->cells[end];
    if (c->id == -2 || score > c->score) *c = (struct cell){score, begin, id};
}

// Offers every piece that the text goes on with; true if one of them is just the character.
static bool offer_pieces(struct work *w, const char *s, size_t size, size_t begin, size_t character) {
    const struct specials *p = &w->t->pieces;
    struct specials_walk walk = specials_start(p, (unsigned char)s[begin]);
    bool single = false;
    size_t most = size - begin < MAX_JOIN ? size - begin : MAX_JOIN;
    for (size_t depth = 1; depth <= most; depth++) {
        const struct special *found = specials_at(p, &walk, depth);
        w->joins++;
        if (found) offer(w, begin, begin + depth, found->id);
        single = single || (found && depth == character);
        if (depth == most || !specials_next(p, &walk, depth, (unsigned char)s[begin + depth])) break;
    }
    return single;
}

// Writes the pieces along the best way; those that are unknown side by side are one.
static bool push_way(struct work *w, const char *s, size_t size) {
    size_t n = 0;
    for (size_t at = size; at; at = w->cells[at].begin) n++;
    size_t *ends = malloc(n * sizeof *ends);
    if (!ends) return fail_memory(w->error, w->t->where);
    for (size_t at = size, i = n; i-- > 0; at = w->cells[at].begin) ends[i] = at;
    bool ok = true;
    for (size_t i = 0, k; ok && i < n; i = k) {
        const struct cell *c = &w->cells[ends[i]];
        for (k = i + 1; c->id < 0 && k < n && w->cells[ends[k]].id < 0; k++) {}
        ok = c->id >= 0 ? push_token(w, c->id) : push_unknown(w, s + c->begin, ends[k - 1] - c->begin);
    }
    free(ends);
    return ok;
}

bool encode_unigram(struct work *w, const char *s, size_t size) {
    if (!size) return true;
    if (!make_cells(w, size + 1)) return false;
    w->cells[0].id = -1;
    for (size_t i = 0, n; i < size; i += n) {
        uint32_t c;
        n = (size_t)utf8_decode(s + i, size - i, &c);
        if (!n) n = 1;
        if (w->cells[i].id == -2) continue; // inside a character of broken text
        if (!offer_pieces(w, s, size, i, n)) offer(w, i, i + n, -1);
    }
    return push_way(w, s, size);
}
