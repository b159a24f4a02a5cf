// For rooms that work on an open model's weights and not only with it.
#ifndef ENGINE_INSIDE_H
#define ENGINE_INSIDE_H

#include "gyr.h"
#include "model/model.h"

const struct model *model_inside(const gyr_model *m);

// False, with the error set, where the model is on several ranks, of which each has a part of what `what` needs.
bool model_here(const gyr_model *m, const char *what, gyr_error *e);

struct ranks;
struct ranks *ranks_inside(const gyr_ranks *r);

// Which device a model is on, or would be, and why: "cuda:0", "cuda:0 (NVIDIA H200), 4.1 GB of 150 GB"; "cpu", "cpu:
// the model needs 160 GB and cuda:0 has 149". Nothing is said where there was nothing to choose from.
// Cards are bits, card i of gyr_device_get_info() 1 << i: those that have something of the model, and those that are
// not to be taken for it.
struct placement {
    char device[32], why[512];
    uint64_t taken, avoid;
};

// Where a model with these options would go on this machine with "auto"; an empty `why` where there is no choice. Cards
// are opened to see, and closed. False, with the error set: the CPU may have nothing, and the cards have no room.
struct checkpoint;
bool placement_ask(struct placement *p, const struct checkpoint *c, const gyr_model_options *o, gyr_error *e);

// Copies a message already made into the caller's error; returns its status. For calls that return a gyr_status.
gyr_status status_of(bool ok, const gyr_error *made, gyr_error *e);

// Whether the room that a caller's struct has for members of later versions is zero. A NULL pointer will do.
bool reserved_is_zero(const uint64_t *room, size_t n, gyr_error *e);
#define CHECK_RESERVED(o, e) (!(o) || reserved_is_zero((o)->reserved, sizeof(o)->reserved / sizeof *(o)->reserved, e))

#endif
