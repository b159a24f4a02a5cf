// A byte-level BPE vocabulary learned from texts (Sennrich, Haddow and Birch, 2016; Radford et al., 2019). Texts are
// cut into words, words are counted, and the pair of neighbours that is most frequent becomes a token, over and over.
// The merges are those of Hugging Face's tokenizers (BpeTrainer) for the same texts: docs/training.md says how ties are
// broken.
#ifndef TEXT_LEARN_H
#define TEXT_LEARN_H

#include "base/buf.h"
#include "base/error.h"

// ------------------------------------------------------------------------------------------------ counting

struct word_counts;

// `pre` is a name of text/patterns.h, whose patterns cut the texts into words; NULL: as SentencePiece has them, each
// with the space in front of it, one in front of each text as well, and line ends by themselves.
struct word_counts *word_counts_new(const char *pre, unsigned threads, gyr_error *e);
void word_counts_free(struct word_counts *c);

// Counts the words of some texts of valid UTF-8, each at most 4 GB, on all threads. What is kept is the words that
// differ. `where` stands in messages.
bool word_counts_add(struct word_counts *c, const struct text *texts, size_t n, const char *where, gyr_error *e);

struct counted_word {
    struct text word;
    uint64_t count;
};

// All words that were counted, each once, in no fixed order: free(). The text is the counts'. Nothing can be added any
// more.
struct counted_word *word_counts_take(struct word_counts *c, size_t *n, gyr_error *e);

// ------------------------------------------------------------------------------------------------ learning

// Characters that are tokens where words are made of these: the most frequent ones; what else there is stays bytes.
enum { MOST_CHARACTERS = 1000 };

struct learn_options {
    size_t size;                // tokens of the vocabulary, the special ones and the 256 bytes among them
    bool characters;            // words are made of characters, a space is U+2581; else of bytes
    uint64_t least;             // pairs that occur less often are not merged
    const struct text *special; // valid UTF-8, apart; they get the first ids
    size_t n_special;
    bool (*progress)(void *user, double fraction); // may be NULL; false: stop
    void *user;
};

struct learned_merge {
    int32_t left, right, made;
};

// Tokens in the order of their ids: special ones as they are, then bytes as GPT-2's alphabet has them in order, then
// what was made; all but the special ones as bytes. Of characters: special ones, the names of bytes ("<0x00>"),
// characters by their code, and what was made; all as they are spelled.
struct learned {
    struct text *tokens;
    size_t n, n_special;
    bool characters;
    struct learned_merge *merges; // the first comes first
    size_t n_merges;
};

// GYR_USAGE where a special token is no token of its own; GYR_CANCELLED. It ends early where nothing is left to merge.
bool learn(struct learned *l, const struct counted_word *words, size_t n, const struct learn_options *o, gyr_error *e);
void learned_free(struct learned *l);

// As a tokenizer.json, which appears when it is whole. `pre` is of words of bytes; of characters the first token stands
// for what is unknown.
bool learned_write(const struct learned *l, const char *pre, const char *path, gyr_error *e);

#endif
