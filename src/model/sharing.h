// A model that is shared out among devices of one process (struct homes): layer by layer, and the experts of a mixture
// apart from the rest of their layers. A layer's keys and values, and its states, are where the layer is. What crosses
// in a pass is the stream, where the next layer is elsewhere, and what goes into experts that are, and comes out.
#ifndef MODEL_SHARING_H
#define MODEL_SHARING_H

#include "model/kv_cache.h"
#include "model/model.h"
#include "model/recurrence.h"

// Whether the model can be shared out like this; m->on is completed. Private to src/model.
bool sharing_fits(struct model *m, gyr_error *e);

// Waits for all of a model's devices: false with the first error.
bool model_sync(const struct model *m, gyr_error *e);

// A KV cache for the model, each layer's arrays on its device.
struct kv_cache *model_cache(const struct model *m, enum type type, gyr_error *e);

// A pool of states for it, empty.
struct state_pool model_states(const struct model *m);

// Bytes of a page of the cache that a side's layers have, and of the weights that are there.
uint64_t model_side_page(const struct model *m, uint32_t side, enum type type);
uint64_t model_side_weights(struct model *m, uint32_t side);

// What is on the way from device to device, by way of the host. Nothing of a pass is computed behind a failure.
struct crossing {
    float *host;
    size_t room; // in floats
    gyr_error failed;
};

// n floats of one side that another one's memory gets.
struct carried {
    const void *from;
    void *to;
    size_t n;
};

bool cross(struct crossing *c, struct device *from, struct device *to, const struct carried *list, size_t n);

#endif
