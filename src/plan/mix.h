// The cards that a plan is made for, as people write them: "2 x H800 + 4 x RTX 4090".
#ifndef PLAN_MIX_H
#define PLAN_MIX_H

#include "plan/catalogue.h"

enum { MAX_KINDS_OF_CARD = 16, MAX_CARDS = 65536 };

struct cards {
    const struct accelerator *card;
    size_t n;
    bool others; // there are other forms of it
};

struct mix {
    struct cards kind[MAX_KINDS_OF_CARD];
    size_t n;
};

// Kinds that are named twice are one. False, GYR_USAGE, with one line that says which part is wrong.
bool mix_parse(struct mix *m, const char *text, gyr_error *e);

size_t mix_cards(const struct mix *m);

#endif
