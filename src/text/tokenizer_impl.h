// The inside of a tokenizer, shared by its files.
#ifndef TEXT_TOKENIZER_IMPL_H
#define TEXT_TOKENIZER_IMPL_H

#include "format/index.h"
#include "text/grammar/lexicon_slot.h"
#include "text/normalize.h"
#include "text/pairs.h"
#include "text/pretokenize.h"
#include "text/specials.h"
#include "text/tokenizer.h"

enum { MAX_NAMED_ENDS = 32 };

struct tokenizer {
    const struct vocab *vocab;
    char *where;
    struct text *bytes; // what each token stands for; a space is a space
    char *memory;       // of `bytes`
    bool spaced;        // a space is put in front of the text, and dropped again
    bool drops;         // a space that begins the text is dropped when decoding
    bool fuses;         // what is unknown side by side is one token

    struct index by_name;  // all tokens, as the file spells them
    struct index by_bytes; // tokens that plain text can become
    struct specials user;  // found in plain text before anything else
    struct specials all;   // the same and the control tokens
    struct specials late;  // tokens found in the normalized text
    struct buf late_names; // their spelling there
    struct normalizer normalizer;
    struct pretokenizer pre;

    struct pairs merges;    // BPE
    uint32_t *order;        // SPM: a token's place when joining, the best score lowest
    struct specials pieces; // Unigram: all pieces, to walk along a text
    double unknown_score;   // Unigram
    size_t longest;         // bytes of the longest token that plain text can become
    int32_t byte_ids[256];  // tokens that stand for a byte the vocabulary has no other word for; -1: none
    int32_t ascii_ids[128]; // tokens of one ASCII character; -1: none
    int32_t replacement[3]; // U+FFFD, for bytes that a byte-level vocabulary cannot say; from -1 on: nothing
    int32_t unknown;        // for what it cannot say; -1: none
    int32_t named_ends[MAX_NAMED_ENDS]; // tokens that end an answer by their names
    size_t n_named_ends;
    struct lexicon_slot *lexicon; // for grammars
    // Bit (a << 8 | b): byte b follows byte a inside some token that plain text can become. Where two bytes of the
    // text never do, no token spans them, and the text can be cut there without changing the result.
    uint64_t follows[1 << 10];
};

// Joining more than this many bytes at once is not tried (SPM): it bounds the time spent on hashing.
enum { MAX_JOIN = 512 };

// A piece of a word that may still be joined with the next.
struct symbol {
    uint32_t begin, size; // bytes of the text
    int32_t id;           // -1: no token
    uint32_t before, after;
};

// A possible join: the lowest `order` comes first, of equals the leftmost.
struct candidate {
    uint64_t order; // rank << 32 | index of the left symbol
    uint32_t size;  // bytes of both; differs from theirs when the candidate is out of date
    int32_t id;
};

// The best way to cut the text up to a place: its score, and its last piece.
struct cell {
    double score;
    size_t begin;
    int32_t id; // -1: an unknown character; -2: no way leads here yet
};

// Memory of one call of tokenizer_encode().
struct work {
    const struct tokenizer *t;
    struct tokens *out;
    gyr_error *error;
    struct symbol *symbols;
    size_t n, room;
    struct candidate *heap;
    size_t n_heap, heap_room;
    struct scan scan;
    struct words words;
    struct rewriting rewriting;
    struct buf piece;   // a piece as the vocabulary spells it
    struct cell *cells; // Unigram
    size_t cell_room;
    uint64_t joins; // looked up; for the test that the work is linear
};

// Joins the symbols of one word as far as they go. They stay in w->symbols: n of them if it was short, else a list
// from the first by `after`, UINT32_MAX at its end; either way `after` leads through them.
bool join_symbols(struct work *w, const char *text);

// Append the tokens of a word, whether they are for one by Unigram (Kudo, 2018) or by WordPiece (Wu et al., 2016).
bool encode_unigram(struct work *w, const char *s, size_t size);
bool encode_wordpiece(struct work *w, const char *s, size_t size);

static inline enum token_kind token_kind_of(const struct vocab *v, size_t i) {
    return v->kinds ? v->kinds[i] : TOKEN_NORMAL;
}

// Writes the bytes that a spelling stands for in plain text, at most as many as it has; SIZE_MAX if none can.
size_t from_spelling(const struct vocab *v, struct text s, char *out);

// Finds the tokens whose names say that they end an answer.
void index_ends(struct tokenizer *t);

// Fills t->merges.
bool index_merges(struct tokenizer *t, gyr_error *e);

bool push_token(struct work *w, int32_t id);
// What no token stands for: its bytes' tokens if it has all of them, else one unknown token.
bool push_unknown(struct work *w, const char *s, size_t size);
// The token that plain text of these bytes becomes; -1: none.
int32_t token_of(const struct tokenizer *t, const char *s, size_t size);

// tokenizer_encode_chat() in that memory, used once.
bool encode_text(struct work *w, const char *text, size_t size, const size_t *runs, size_t n_runs);
void work_free(struct work *w);

static inline bool bytes_follow(const struct tokenizer *t, unsigned char a, unsigned char b) {
    unsigned bit = (unsigned)a << 8 | b;
    return t->follows[bit >> 6] >> (bit & 63) & 1;
}

#endif
