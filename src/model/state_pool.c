#include "model/recurrence.h"

#include <stdlib.h>

void state_pool_free(struct state_pool *p) {
    while (p->n_free) p->device->ops->free(p->device, p->free[--p->n_free]);
    free(p->free);
    p->free = NULL;
}

uint64_t state_pool_bytes(const struct state_pool *p) { return (uint64_t)p->floats * sizeof(float); }

bool state_pool_take(struct state_pool *p, dfloat **state, gyr_error *e) {
    *state = NULL;
    if (!p->floats) return true;
    *state = p->n_free ? p->free[--p->n_free] : p->device->ops->alloc(p->device, state_pool_bytes(p), e);
    return *state;
}

// Those given back are kept for the next sequence; where there is no room to note them, they are freed.
void state_pool_give(struct state_pool *p, dfloat *state) {
    if (!state) return;
    if (p->n_free == p->room) {
        dfloat **more = reallocarray(p->free, p->room * 2 + 8, sizeof(*more));
        if (!more) {
            p->device->ops->free(p->device, state);
            return;
        }
        p->free = more;
        p->room = p->room * 2 + 8;
    }
    p->free[p->n_free++] = state;
}

void state_pool_copy(struct state_pool *p, dfloat *to, const dfloat *from) {
    if (p->floats) p->device->ops->copy(p->device, to, from, state_pool_bytes(p));
}
