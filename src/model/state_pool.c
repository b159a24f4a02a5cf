#include "model/recurrence.h"

#include <stdlib.h>

void state_pool_free(struct state_pool *p) {
    if (p->data) p->device->ops->free(p->device, p->data);
    free(p->free);
}

uint64_t state_pool_bytes(const struct state_pool *p) { return (uint64_t)p->floats * sizeof(float); }

static bool grow(struct state_pool *p, gyr_error *e) {
    size_t slots = p->slots ? 2 * p->slots : 1, bytes;
    uint32_t *list = realloc(p->free, slots * sizeof *list);
    if (list) p->free = list;
    if (!list || __builtin_mul_overflow(slots, state_pool_bytes(p), &bytes)) return fail_memory(e, "states");
    float *data = p->device->ops->alloc(p->device, bytes, e);
    if (!data) return false;
    if (p->data) {
        p->device->ops->copy(p->device, data, p->data, p->slots * state_pool_bytes(p));
        p->device->ops->free(p->device, p->data);
    }
    p->data = data;
    while (p->slots < slots) list[p->n_free++] = (uint32_t)p->slots++;
    return true;
}

bool state_pool_take(struct state_pool *p, uint32_t *slot, gyr_error *e) {
    *slot = 0;
    if (!p->floats) return true;
    if (!p->n_free && !grow(p, e)) return false;
    *slot = p->free[--p->n_free];
    return true;
}

void state_pool_give(struct state_pool *p, uint32_t slot) {
    if (p->floats) p->free[p->n_free++] = slot;
}

void state_pool_copy(struct state_pool *p, uint32_t to, uint32_t from) {
    if (p->floats)
        p->device->ops->copy(p->device, p->data + to * p->floats, p->data + from * p->floats, state_pool_bytes(p));
}
