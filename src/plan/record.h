// What gyr bench measured on this machine, kept for plans: rates of operations, and tokens a second, by the shape of
// the model and the number of threads.
#ifndef PLAN_RECORD_H
#define PLAN_RECORD_H

#include "plan/rates.h"

#include <jansson.h>

enum { MAX_KEPT = 32 }; // measurements of a model, the newest

struct recorded_speed {
    gyr_plan_measured is;
    char date[11];
};

struct record {
    bool rated; // there are rates
    struct rates rates;
    char date[11]; // of them
    struct recorded_speed speeds[MAX_KEPT];
    size_t n;
    char note[320]; // what was wrong with the file, which then counts as empty; "": nothing
};

// What a model is known by: all that its speed depends on, and not its weights' values.
void record_key(char out[160], const struct checkpoint *c, const struct demand *d);

// What there is of it; `machine` is the processor, its instruction set and the threads. Never fails: a file that is not
// as gyr writes it is ignored, with a note.
void record_read(struct record *k, const char *machine, const char *key);

// Adds to what there is, and writes the file under another name and then renames it.
bool record_write(const struct record *k, const char *machine, const char *key, gyr_error *e);

// How fast a card's memory is read, by the card's name and chip; 0: not known.
double record_card(const char *card);
bool record_card_write(const char *card, double rate, gyr_error *e);

// What was measured of as many users; 0: nothing was. An answer's tokens, in the middle of it, see `middle` others.
const struct recorded_speed *record_prefill(const struct record *k, size_t prompt);
const struct recorded_speed *record_decode(const struct record *k, size_t users, double middle);

#endif
