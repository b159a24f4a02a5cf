// Of spread.c, gather.c, link.c and cards_ranks.c only.
#ifndef CLUSTER_SPREAD_PARTS_H
#define CLUSTER_SPREAD_PARTS_H

#include "base/buf.h"
#include "cluster/cards_parts.h"
#include "cluster/shares.h"
#include "cluster/spread.h"

#include <stdatomic.h>

struct spread {
    struct device *d;
    struct cards *cards; // the device that a card is in front of its own operations; NULL: a CPU, which has `ops`
    const struct device_ops *inner; // the device's own
    struct device_ops ops;
    struct ranks *ranks;
    uint32_t own, count;
    atomic_uint pass; // read by a thread of the card's, too
    struct shares shares;
    gyr_error failed;
    bool told;     // and the others know
    dfloat *parts; // of this rank's products; and of another one's, on their way to their places
    dfloat *others;
    size_t room_parts, room_others;
    struct buf out, in; // what is sent; what came
    int32_t *chosen;    // of experts: see spread.c
    float *by;
    size_t room_places;
    // Gathering by the cards' library.
    bool linked, pass_linked; // here; and, as rank 0 says, all in this pass
    atomic_bool cut;          // the card was told that nobody is to be waited for
    char way[256];
    size_t *floats; // [count] that ranks have made
};

// Memory of the device for so many floats; false after the pass was failed.
bool spread_room(struct spread *s, dfloat **p, size_t *room, size_t floats);

// What this rank made of `n` pieces, one behind the other in `from`, goes to all, and what they made is put in its
// place: piece_of() says where. Nothing happens once the pass has failed.
typedef struct piece piece_of(const struct spread *s, void *arg, size_t k, uint32_t rank);
void spread_gather(struct spread *s, const dfloat *from, size_t n, piece_of *of, void *arg);

// The same, by the cards' library.
void spread_gather_linked(struct spread *s, const dfloat *from, size_t n, piece_of *of, void *arg);

// How many floats a rank has made of all pieces.
size_t spread_floats(const struct spread *s, size_t n, piece_of *of, void *arg, uint32_t rank);

// A card as one of all ranks'.
struct cards *cards_of_ranks(struct spread *s, const double *part, gyr_error *e);

#endif
