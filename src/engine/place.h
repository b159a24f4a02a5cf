// Which devices a model goes to: private to src/engine.
#ifndef ENGINE_PLACE_H
#define ENGINE_PLACE_H

#include "device/device.h"
#include "engine/inside.h"

// Whether these options leave the choice to the engine ("auto"); whether they say what is on a card and what is not.
bool place_is_open(const gyr_model_options *o);
bool place_is_shared(const gyr_model_options *o);

// False: what the options say of the CPU cannot be all true, or not where ranks share the model.
bool place_is_allowed(const gyr_model_options *o, bool ranks, const char *path, gyr_error *e);

// Opens the devices, of which *on says who has what; the caller's to close, also where it failed. `p` says which and
// why. A card that has room for the model, or for some of its layers beside the CPU; else the CPU, or an error where
// that is to have nothing.
bool place_model(struct placement *p, struct homes *on, const struct checkpoint *c, const gyr_model_options *o,
                 gyr_error *e);

// The CPU; `why` (may be NULL) is what a card that was chosen before said.
bool place_on_cpu(struct placement *p, struct homes *on, const gyr_model_options *o, const gyr_error *why,
                  gyr_error *e);

// The device that the options name, and the CPU beside it where they say so. `part`: it gets a part of the model alone,
// whose room is known later.
bool place_named(struct placement *p, struct homes *on, const struct checkpoint *c, const gyr_model_options *o,
                 bool part, gyr_error *e);

// Of ranks, each has a card by its number on its machine: with "auto", where there are so many that can be used, and
// else the CPU; where a kind is named without a number, that one of the kind.
bool place_rank(struct placement *p, struct homes *on, uint32_t number, const struct checkpoint *c,
                const gyr_model_options *o, gyr_error *e);
bool place_rank_named(struct placement *p, struct homes *on, uint32_t number, const struct checkpoint *c,
                      const gyr_model_options *o, gyr_error *e);

// In bytes, what the card of a rank has left for its part of the rows beside what every rank has; and what all parts
// take. Both 0: that is not known.
void place_row_needs(const struct gyr_model *m, double *room, double *split);

#endif
