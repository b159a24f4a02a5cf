#include "text/pairs.h"

#include <stdlib.h>
#include <sys/random.h>

bool pairs_init(struct pairs *p, size_t n) {
    size_t n_slots = 16;
    p->shift = 60;
    while (n_slots / 2 < n) {
        if (n_slots > SIZE_MAX / 2 / sizeof *p->slots) return false;
        n_slots *= 2;
        p->shift--;
    }
    p->slots = malloc(n_slots * sizeof *p->slots);
    if (!p->slots) return false;
    for (size_t i = 0; i < n_slots; i++) p->slots[i].id = -1;
    p->mask = n_slots - 1;
    // Without a random source the multiplier is a known one, which costs the protection and nothing else.
    if (getrandom(&p->multiplier, sizeof p->multiplier, GRND_NONBLOCK) < 0) p->multiplier = 0x9e3779b97f4a7c15;
    p->multiplier |= 1;
    return true;
}

void pairs_free(struct pairs *p) {
    free(p->slots);
    p->slots = NULL;
}

void pairs_add(struct pairs *p, int32_t left, int32_t right, uint32_t rank, int32_t id) {
    struct pair *slot = pairs_slot(p, left, right);
    if (slot->id >= 0) return;
    *slot = (struct pair){(uint64_t)(uint32_t)left << 32 | (uint32_t)right, rank, id};
}
