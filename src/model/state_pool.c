#include "model/recurrence.h"

#include <stdlib.h>

static void drop(struct state_pool *p, struct sequence_state *s) {
    for (uint32_t k = 0; k < p->sides; k++)
        if (s->at[k]) p->device[k]->ops->free(p->device[k], s->at[k]);
    free(s);
}

static struct sequence_state *make(struct state_pool *p, gyr_error *e) {
    struct sequence_state *s = calloc(1, sizeof *s);
    bool ok = s || fail_memory(e, "states");
    for (uint32_t k = 0; ok && k < p->sides; k++)
        if (p->floats[k])
            ok = (s->at[k] = p->device[k]->ops->alloc(p->device[k], p->floats[k] * sizeof(float), e));
    if (ok) return s;
    if (s) drop(p, s);
    return NULL;
}

void state_pool_free(struct state_pool *p) {
    while (p->n_free) drop(p, p->free[--p->n_free]);
    free(p->free);
    p->free = NULL;
}

size_t state_pool_floats(const struct state_pool *p) {
    size_t all = 0;
    for (uint32_t k = 0; k < p->sides; k++) all += p->floats[k];
    return all;
}

uint64_t state_pool_bytes(const struct state_pool *p) { return (uint64_t)state_pool_floats(p) * sizeof(float); }

bool state_pool_take(struct state_pool *p, struct sequence_state **state, gyr_error *e) {
    *state = NULL;
    if (!state_pool_floats(p)) return true;
    return (*state = p->n_free ? p->free[--p->n_free] : make(p, e));
}

// Those given back are kept for the next sequence; where there is no room to note them, they are freed.
void state_pool_give(struct state_pool *p, struct sequence_state *state) {
    if (!state) return;
    if (p->n_free == p->room) {
        struct sequence_state **more = reallocarray(p->free, p->room * 2 + 8, sizeof(*more));
        if (!more) {
            drop(p, state);
            return;
        }
        p->free = more;
        p->room = p->room * 2 + 8;
    }
    p->free[p->n_free++] = state;
}

void state_pool_copy(struct state_pool *p, const struct sequence_state *to, const struct sequence_state *from) {
    for (uint32_t k = 0; k < p->sides; k++)
        if (p->floats[k]) p->device[k]->ops->copy(p->device[k], to->at[k], from->at[k], p->floats[k] * sizeof(float));
}
