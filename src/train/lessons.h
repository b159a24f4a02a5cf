// Examples: a conversation as the model's own template prints it, in tokens, and which of them are learned.
#ifndef TRAIN_LESSONS_H
#define TRAIN_LESSONS_H

#include "gyr.h"

struct lesson {
    size_t line; // of the data
    int32_t *ids;
    float *weight;     // [n]: 1 where the token is learned, else 0
    size_t n, learned; // learned: how many weights are 1
    size_t cut;        // tokens that were cut off
    bool ends;         // some answer ends with a token that ends answers
    double base;       // -ln p of what is learned, by the model without the adapter; NaN: not computed yet
};

struct lessons {
    struct lesson *items;
    size_t n, room, chats;
    size_t each; // lessons of an example: 1; of pairs 2, the preferred answer and the other
};

static inline size_t lessons_examples(const struct lessons *all) { return all->each ? all->n / all->each : 0; }

struct lesson_rules {
    size_t most; // tokens of an example
    bool cut;    // cut longer ones; else they are refused
    bool pairs;  // of answers, in place of conversations
};

// Reads a file of conversations (chats.h). What is learned is what the model would have to say: an answer from where
// the prompt for it ends, to the token that ends it.
bool lessons_read(struct lessons *all, const gyr_model *m, const char *path, const struct lesson_rules *rules,
                  gyr_error *e);
void lessons_free(struct lessons *all);

#endif
