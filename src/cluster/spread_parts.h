// Of spread.c and gather.c only.
#ifndef CLUSTER_SPREAD_PARTS_H
#define CLUSTER_SPREAD_PARTS_H

#include "base/buf.h"
#include "cluster/shares.h"
#include "cluster/spread.h"

struct spread {
    struct device *d;
    const struct device_ops *inner; // the device's own
    struct device_ops ops;
    struct ranks *ranks;
    uint32_t own, count, pass;
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
};

// Memory of the device for so many floats; false after the pass was failed.
bool spread_room(struct spread *s, dfloat **p, size_t *room, size_t floats);

// What this rank made of `n` pieces, one behind the other in `from`, goes to all, and what they made is put in its
// place: piece_of() says where. Nothing happens once the pass has failed.
typedef struct piece piece_of(const struct spread *s, void *arg, size_t k, uint32_t rank);
void spread_gather(struct spread *s, const dfloat *from, size_t n, piece_of *of, void *arg);

#endif
