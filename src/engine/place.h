// Which device a model goes to: private to src/engine.
#ifndef ENGINE_PLACE_H
#define ENGINE_PLACE_H

#include "device/device.h"
#include "engine/inside.h"

// Whether these options leave the choice to the engine ("auto").
bool place_is_open(const gyr_model_options *o);

// Opens the device: a card that has room for the model, else the CPU. `p` says which and why.
struct device *place_model(struct placement *p, const struct checkpoint *c, const gyr_model_options *o, gyr_error *e);

// The CPU; `why` (may be NULL) is what a card that was chosen before said.
struct device *place_on_cpu(struct placement *p, const gyr_model_options *o, const gyr_error *why, gyr_error *e);

// The device that the options name.
struct device *place_named(struct placement *p, const gyr_model_options *o, gyr_error *e);

#endif
