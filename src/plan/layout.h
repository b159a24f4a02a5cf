// Layers on cards: each card has some of the layers, and a token goes through the cards in turn.
#ifndef PLAN_LAYOUT_H
#define PLAN_LAYOUT_H

#include "plan/mix.h"
#include "plan/rates.h"

// A kind of device of which there are some.
struct place_for {
    const struct accelerator *card; // NULL: this machine
    size_t n;                       // how many there are
    double room;                    // bytes that a model may take of each
    double watts, link;             // 0: unknown; bytes a second
    struct rates rates;
};

// What a place was given.
struct given {
    size_t cards; // that have layers
    uint32_t layers;
    double bytes;                // on all of them
    struct spent prompt, answer; // what they take for a whole prompt, or a step of an answer
};

struct layout {
    bool fits;
    uint32_t layers; // that there is room for, beside what belongs to none; all if it fits
    double bytes, room; // in all: what is needed, and what there is
    struct given given[MAX_KINDS_OF_CARD];
    struct spent prompt, answer; // 0 seconds: unknown
    double joules;               // of a token of an answer; 0: unknown
    double slow, fast;           // bounds of what was reckoned, as shares of the speed
    enum basis basis;
};

// What a model may take of a card: the driver, and what it keeps for itself, need some.
double card_room(const struct accelerator *a);

void lay_out(struct layout *l, const struct demand *d, const struct place_for *p, size_t n);

#endif
