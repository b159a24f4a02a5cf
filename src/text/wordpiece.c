// WordPiece (Wu et al., 2016, as BERT has it): from the left the longest piece that fits. A word that no pieces make up
// is unknown as a whole.
#include "text/tokenizer_impl.h"

#include <string.h>

static size_t count_chars(const char *s, size_t size) {
    size_t n = 0;
    for (size_t i = 0; i < size; i++) n += ((unsigned char)s[i] & 0xc0) != 0x80;
    return n;
}

// The longest piece at `begin`, and its length.
static int32_t longest(struct work *w, const char *s, size_t size, size_t begin, size_t *length) {
    const struct specials *pieces = &w->t->pieces;
    const char *prefix = begin && w->t->vocab->word_prefix ? w->t->vocab->word_prefix : "";
    size_t ahead = strlen(prefix), most = size - begin < MAX_JOIN ? size - begin : MAX_JOIN;
    struct specials_walk walk = specials_start(pieces, (unsigned char)(ahead ? *prefix : s[begin]));
    int32_t id = -1;
    for (size_t depth = 1; depth <= ahead + most; depth++) {
        const struct special *found = specials_at(pieces, &walk, depth);
        w->joins++;
        bool whole = depth > ahead &&
                     (begin + depth - ahead == size || ((unsigned char)s[begin + depth - ahead] & 0xc0) != 0x80);
        if (found && whole) id = found->id, *length = depth - ahead;
        if (depth == ahead + most) break;
        char next = depth < ahead ? prefix[depth] : s[begin + depth - ahead];
        if (!specials_next(pieces, &walk, depth, (unsigned char)next)) break;
    }
    return id;
}

bool encode_wordpiece(struct work *w, const char *s, size_t size) {
    size_t before = w->out->n, length = 0;
    bool spaced = w->t->vocab->space_marker && size && *s == ' '; // which is spelling, not a character of the word
    bool known = count_chars(s, size) - spaced <= w->t->vocab->longest_word;
    for (size_t i = 0; known && i < size; i += length) {
        int32_t id = longest(w, s, size, i, &length);
        known = id >= 0;
        if (known && !push_token(w, id)) return false;
    }
    if (known) return true;
    w->out->n = before;
    return push_unknown(w, s, size);
}
