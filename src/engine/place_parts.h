// What the files that place a model have in common: private to src/engine/place*.c.
#ifndef ENGINE_PLACE_PARTS_H
#define ENGINE_PLACE_PARTS_H

#include "engine/place.h"
#include "model/needs.h"

// Bytes that a card's programs, and its operations on the way, take beside a model: rounded activations, spans of
// attention.
#define BESIDE 256e6

// A card that is open, and what it says of itself, in bytes.
struct card {
    struct device *d;
    char device[32], name[160]; // "cuda:0", "cuda:0 (NVIDIA H200)"
    double memory, available;
    size_t rows;  // of a batch
    uint64_t bit; // of struct placement
};

// The layers from `from` on are on the card, without the experts of those below `experts`.
struct parting {
    uint32_t from, experts;
};

// What the options have the model used for, in batches of so many rows.
struct use place_use(const gyr_model_options *o, size_t rows);

// A figure that a person compares with another: "4.1", "148".
const char *place_gigabytes(char out[16], double bytes);

// The next card that can be opened, from *i on, which is open then. Only so it is known what is left of its memory. One
// whose driver is missing is nobody's news, one that the driver knows and that does not open is. False: there is none.
bool place_next(struct card *k, size_t *i, struct placement *p, const gyr_model_options *o);

// As much as a card's `room` has room for. Of a mixture all layers come first, then the experts of the last ones: what
// is read for every token is worth more than what is read for some. False: there is none for a layer.
bool place_fill(struct parting *s, const struct share_needs *n, double room, bool no_experts);

// Shares the model out among several cards, where together they have room for more layers than one; a mixture, for all.
// The CPU joins them, unless it may have nothing. True also where there is no room: *on then has none.
bool place_hand(struct placement *p, struct homes *on, const struct checkpoint *c, const gyr_model_options *o,
                gyr_error *e);

// Shares out the rows of its matrices, among all cards of a kind (NULL: of any) that can be used, where there are two
// or more. True also where there are not: *on then has none. And whether the options ask for it.
bool place_is_rows(const gyr_model_options *o);
bool place_rows(struct placement *p, struct homes *on, const struct checkpoint *c, const gyr_model_options *o,
                const char *kind, gyr_error *e);

// Says that the cards have no room for all of the model, that the CPU may have nothing, and what would fit; of a card
// that was open, the one that has the most room. One without a name: there is none. False.
bool place_refuse(const struct card *k, const struct checkpoint *c, const gyr_model_options *o, gyr_error *e);

#endif
