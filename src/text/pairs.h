// A hash map from a pair of token ids to the merge that joins them.
#ifndef TEXT_PAIRS_H
#define TEXT_PAIRS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pair {
    uint64_t key;
    uint32_t rank;
    int32_t id; // of the joined token; -1: free slot
};

struct pairs {
    struct pair *slots;
    size_t mask;
    int shift; // 64 - log2(slots)
    uint64_t multiplier;
};

// Room for n pairs. False: out of memory.
bool pairs_init(struct pairs *p, size_t n);
void pairs_free(struct pairs *p);

// Keeps what is there if the pair is known. At most n pairs may be added.
void pairs_add(struct pairs *p, int32_t left, int32_t right, uint32_t rank, int32_t id);

static inline struct pair *pairs_slot(const struct pairs *p, int32_t left, int32_t right) {
    uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    // Multiply-shift hashing with a secret odd multiplier (Dietzfelbinger et al., 1997): no file can aim at it.
    size_t s = (size_t)((key * p->multiplier) >> p->shift);
    while (p->slots[s].id >= 0 && p->slots[s].key != key) s = (s + 1) & p->mask;
    return &p->slots[s];
}

// NULL if the pair is not there.
static inline const struct pair *pairs_find(const struct pairs *p, int32_t left, int32_t right) {
    const struct pair *slot = pairs_slot(p, left, right);
    return slot->id >= 0 ? slot : NULL;
}

#endif
