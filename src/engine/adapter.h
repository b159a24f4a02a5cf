// An adapter behind its public handle. Private to engine/.
#ifndef ENGINE_ADAPTER_H
#define ENGINE_ADAPTER_H

#include "engine/engine.h"
#include "model/adapter.h"

struct gyr_adapter {
    struct gyr_model *model;
    struct gyr_adapter *next, **link; // in the model's list
    struct adapter *bound;
    uint32_t number; // of those that were opened
    char *path;
    char checksum[65];
};

// Opens one by this number, on this rank, and where there are others with them.
struct gyr_adapter *adapter_here(struct gyr_model *m, const char *path, uint32_t number, gyr_error *e);

// Has it bound to a model, from its file, which must be the one that it was. NULL: it cannot be.
struct adapter *adapter_again(const struct gyr_adapter *a, const struct gyr_model *m, gyr_error *e);

// What a session's keys and values depend on: the model, and its adapter if it has one. Never 0.
uint64_t session_identity(const struct gyr_session *s);

#endif
