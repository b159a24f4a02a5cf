// Of cards*.c only.
#ifndef CLUSTER_CARDS_PARTS_H
#define CLUSTER_CARDS_PARTS_H

#include "cluster/cards.h"
#include "cluster/shares.h"

struct spread;

// A piece of memory; at[0] is what it is known by.
struct stretch {
    dbyte *at[MOST_CARDS];
    size_t bytes;
};

// A weight: what each card multiplies by, and what each looks rows up in. Made when it is known which of both is
// wanted; NULL before. `own` of a bound weight is one; a matrix that was bound as another weight, as where the output
// is the embedding, is found by its bytes.
struct pieces {
    struct pieces *next; // of those that were found
    const void *data;
    size_t rows, cols;
    struct weight *part, *table; // [count]
};

// An array of structs with addresses of weights and vectors in them, as each card has it: it stays in place, as the
// first one does.
struct twin {
    const void *of;
    size_t n;
    void *at[MOST_CARDS];
    struct twin *next;
};

struct cards {
    struct device device;
    struct device_ops ops;
    struct device *card[MOST_CARDS];
    uint32_t count;        // cards here
    uint32_t own, all;     // among which rows are shared out; the first card here is number `own` of these
    struct spread *spread; // with ranks that have the others (cards_ranks.c); NULL: all cards are here
    struct shares shares;
    bool direct; // they take from each other; else what crosses goes by way of the host
    bool steps;  // an expert's matrices are shared out; else every card has them whole
    struct stretch *stretch;
    size_t n_stretches, stretch_room, last;
    struct pieces *found;
    struct twin *twins, *next_twin;
    gyr_error failed; // what no card knows of
    // What a card has made and the others take. A turn's is not written again before all cards have come to the next
    // turn's offer, behind which they have taken all of this one's.
    dfloat *made[2][MOST_CARDS];
    size_t made_room;
    uint32_t turn;
    dfloat *others[MOST_CARDS]; // what the others made, on its way to its places
    size_t others_room;
    uint8_t *host; // where nobody takes
    size_t host_room;
};

static inline struct cards *cards_of(struct device *d) { return (struct cards *)d; }

// Remembers a failure for sync().
__attribute__((format(printf, 3, 4))) void cards_fail(struct cards *c, enum gyr_status status, const char *format, ...);

// The same address on card k; NULL of NULL.
void *cards_at(struct cards *c, uint32_t k, const void *p);

// Card k's part of what is multiplied, and all of what is looked up in; NULL: there is none, which sync() will say.
const struct weight *cards_part(struct cards *c, uint32_t k, const struct weight *w);
const struct weight *cards_table(struct cards *c, uint32_t k, const struct weight *w);
struct range cards_rows(const struct cards *c, uint32_t i, const struct weight *w); // i: of all cards
bool cards_split(const struct cards *c, const struct weight *w);

// Card k's twin of an array of n, made by make(); NULL: there is no memory, which sync() will say.
typedef bool twin_fn(struct cards *c, uint32_t k, const void *of, size_t n, void *to);
const void *cards_twin(struct cards *c, uint32_t k, const void *of, size_t n, size_t size, twin_fn *make);
void cards_drop_twins(struct cards *c);

// Of the table.
bool cards_bind(struct device *d, struct weight *w, gyr_error *e);
void cards_unbind(struct device *d, struct weight *w);
void cards_ready(struct device *d, const struct weight *w, bool looked_up);
void cards_free_found(struct cards *c);
void cards_products(struct device *d, const struct product *list, size_t n);
void cards_matmul(struct device *d, const struct weight *w, const dfloat *x, size_t rows, const dfloat *bias,
                  dfloat *y);
void cards_experts(struct device *d, const struct experts *a);
void cards_operations(struct device_ops *ops);

// Room for what each card makes in this turn, c->made[c->turn][k], so many floats at most.
bool cards_room(struct cards *c, size_t floats);

// What the cards made of `n` pieces, side by side in c->made of this turn, goes to its places on all; the turn ends.
// of() says which columns card i has made of piece k.
typedef struct piece piece_made(const struct cards *c, const void *arg, size_t k, uint32_t i);
void cards_gather(struct cards *c, size_t n, piece_made *of, const void *arg);

// The same where other ranks have the other cards; and what their device says once all is computed.
void cards_gather_ranks(struct cards *c, size_t n, piece_made *of, const void *arg);
void cards_sync_ranks(struct cards *c, gyr_error *made);

// The device of `count` cards that are here, of `all` that have part[i] each; the first here is number `own`.
struct cards *cards_new(struct device *const *card, uint32_t count, const double *part, uint32_t own, uint32_t all,
                        gyr_error *e);

// Frees what is the device's own, and leaves the cards open.
void cards_let_go(struct cards *c);

#endif
