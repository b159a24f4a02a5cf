// Private to src/train: texts in tokens, one behind the other, and how they become the blocks that are learned from.
#ifndef TRAIN_CORPUS_H
#define TRAIN_CORPUS_H

#include "base/threads.h"
#include "text/tokenizer.h"

struct document {
    size_t at, n;   // of its tokens, those that begin and end it among them
    uint64_t bytes; // of its text
};

struct corpus {
    int32_t *ids;
    size_t n, room;
    struct document *items;
    size_t n_items, item_room;
};

// Which texts go where: a part of them, drawn by their number, is held out.
struct corpus_rules {
    const struct tokenizer *tokenizer;
    int32_t end;     // what ends a text; -1: nothing does
    double hold_out; // 0: none
    uint64_t seed;
    unsigned threads;
};

// Reads texts (texts.h) into `all`, and those that are held out into `held`.
bool corpus_read(struct corpus *all, struct corpus *held, const char *const *paths, size_t n,
                 const struct corpus_rules *rules, gyr_error *e);
void corpus_free(struct corpus *c);

// ---------------------------------------------------------------------------------------------------- blocks

// Some tokens that are learned from in one pass: parts of texts, each a sequence of its own.
struct block {
    int32_t *ids;  // [room]
    float *weight; // [room]: 1 where the next token is the same text's, else 0
    size_t *starts;
    size_t n, n_starts, learned;
};

bool block_new(struct block *b, size_t room, gyr_error *e);
void block_free(struct block *b);

// The texts of an epoch in the order that (seed, epoch) shuffles them in, one epoch behind the other. A text that does
// not fit in what is left of a block goes on in the next one, which begins with the last token of the block before.
struct packing {
    const struct corpus *c;
    size_t room; // tokens of a block
    uint64_t seed, epochs;
    bool shuffled;
    size_t *order; // of the epoch under way
    uint64_t epoch;
    size_t next, at; // the text under way, by its place in the order, and how far it was taken
};

bool packing_new(struct packing *p, const struct corpus *c, size_t room, uint64_t epochs, uint64_t seed, bool shuffled,
                 gyr_error *e);
void packing_free(struct packing *p);

// The next block; false behind the last epoch (0: there is none). Without `b` it is only passed over.
bool packing_next(struct packing *p, struct block *b);

// How many blocks there are in all, of a packing that has an end. It is at its beginning again.
uint64_t packing_count(struct packing *p);
void packing_rewind(struct packing *p);

#endif
