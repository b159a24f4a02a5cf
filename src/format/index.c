#include "format/index.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static uint64_t rotate(uint64_t x, int n) { return x << n | x >> (64 - n); }

static void sip_round(uint64_t v[4]) {
    v[0] += v[1], v[1] = rotate(v[1], 13) ^ v[0], v[0] = rotate(v[0], 32);
    v[2] += v[3], v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3], v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1], v[1] = rotate(v[1], 17) ^ v[2], v[2] = rotate(v[2], 32);
}

uint64_t hash_bytes(const uint64_t key[2], const void *data, size_t size) {
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d, key[0] ^ 0x6c7967656e657261,
                     key[1] ^ 0x7465646279746573};
    const uint8_t *p = data;
    for (size_t left = size;; p += 8, left -= 8) {
        uint64_t word = 0;
        if (left) memcpy(&word, p, left < 8 ? left : 8);
        if (left < 8) word |= (uint64_t)size << 56;
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
        if (left < 8) break;
    }
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++) sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static struct text name_of(const void *items, size_t stride, size_t i) {
    return *(const struct text *)(const void *)((const char *)items + i * stride);
}

// The slot where `name` is, or the free one where it belongs.
static size_t find_slot(const struct index *x, const void *items, size_t stride, struct text name) {
    size_t mask = x->n_slots - 1, s = hash_bytes(x->key, name.data, name.size) & mask;
    for (; x->slots[s]; s = (s + 1) & mask) {
        struct text other = name_of(items, stride, x->slots[s] - 1);
        if (other.size == name.size && (!name.size || !memcmp(other.data, name.data, name.size))) break;
    }
    return s;
}

static bool grow(struct index *x, const void *items, size_t stride) {
    struct index bigger = *x;
    bigger.n_slots = x->n_slots ? x->n_slots * 2 : 64;
    bigger.slots = calloc(bigger.n_slots, sizeof *bigger.slots);
    if (!bigger.slots) return false;
    // Without a random source the key stays zero, which costs the protection and nothing else.
    if (!x->n_slots && getrandom(bigger.key, sizeof bigger.key, GRND_NONBLOCK) < 0) memset(bigger.key, 0, 16);
    for (size_t s = 0; s < x->n_slots; s++)
        if (x->slots[s]) {
            struct text name = name_of(items, stride, x->slots[s] - 1);
            bigger.slots[find_slot(&bigger, items, stride, name)] = x->slots[s];
        }
    free(x->slots);
    *x = bigger;
    return true;
}

enum index_result index_add(struct index *x, const void *items, size_t stride, size_t i) {
    if (i >= UINT32_MAX) return INDEX_NO_MEMORY;
    if (x->n >= x->n_slots / 2 && !grow(x, items, stride)) return INDEX_NO_MEMORY;
    size_t s = find_slot(x, items, stride, name_of(items, stride, i));
    if (x->slots[s]) return INDEX_DUPLICATE;
    x->slots[s] = (uint32_t)i + 1;
    x->n++;
    return INDEX_ADDED;
}

size_t index_find(const struct index *x, const void *items, size_t stride, struct text name) {
    if (!x->n_slots) return SIZE_MAX;
    uint32_t slot = x->slots[find_slot(x, items, stride, name)];
    return slot ? slot - 1 : SIZE_MAX;
}

void index_free(struct index *x) {
    free(x->slots);
    *x = (struct index){0};
}
