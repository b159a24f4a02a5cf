// Private to src/engine: what pages and states hold, as bytes on the host: what a saved session has of them (saved.h).
#ifndef ENGINE_IMAGE_H
#define ENGINE_IMAGE_H

#include "engine/engine.h"

// Pages, of which some positions count, and some bytes of a state; either may be none. Its bytes: of each page what
// each array has of it, in the cache's order; then those of the state, one device's behind the other's.
struct image {
    const struct kv_cache *kv;
    const uint32_t *page; // [n], of the pool
    size_t n;
    size_t from, to; // positions that count, from the beginning of the first page
    const struct sequence_state *state;
    size_t at, bytes; // of it
};

// What a rank has of each page, in layers of each kind, and how many bytes of a state.
struct rank_has {
    uint64_t layers[KV_KINDS], state;
};

// What all ranks have in all, where each has some of the layers: a page of this pool, and a state.
struct kv_layout image_layout(const struct gyr_model *m, const struct kv_cache *kv);
uint64_t image_state_bytes(const struct gyr_model *m);

// Moves the image to the host or from there, of all ranks that have some of it: rank 0 does this. Positions that do not
// count are zeros there, and in the first page stay here as they were. What comes from the host is there when the
// devices have been waited for.
bool image_read(struct gyr_model *m, const struct image *i, uint8_t *to, gyr_error *e);
bool image_write(struct gyr_model *m, const struct image *i, const uint8_t *from, gyr_error *e);

// The same of what this rank has of it, and how much that is.
size_t image_own_size(const struct image *i);
bool image_read_own(struct gyr_model *m, const struct image *i, uint8_t *to, gyr_error *e);
bool image_write_own(struct gyr_model *m, const struct image *i, const uint8_t *from, gyr_error *e);

#endif
