// Byte-pair encoding (Sennrich et al., 2016): of all adjacent pairs that make a token, the best is joined, the
// leftmost of equals, until there is none. Short words look through their pairs; long ones keep them in a heap, so
// that the work is n log n.
#include "text/tokenizer_impl.h"

#include <stdlib.h>
#include <string.h>

enum { SHORT_WORD = 24 };
static const uint32_t NONE = UINT32_MAX;

// The rank of joining two neighbours and the token they make; NONE if they make none.
static uint32_t rank_of(struct work *w, const char *text, const struct symbol *a, const struct symbol *b, int32_t *id) {
    const struct tokenizer *t = w->t;
    w->joins++;
    if (!t->order) {
        const struct pair *pair = a->id < 0 || b->id < 0 ? NULL : pairs_find(&t->merges, a->id, b->id);
        if (!pair) return NONE;
        *id = pair->id;
        return pair->rank;
    }
    size_t size = (size_t)a->size + b->size;
    if (size > t->longest || size > MAX_JOIN) return NONE;
    size_t i = index_find(&t->by_bytes, t->bytes, sizeof *t->bytes, (struct text){text + a->begin, size});
    if (i == SIZE_MAX) return NONE;
    *id = (int32_t)i;
    return t->order[i];
}

static bool join_short(struct work *w, const char *text) {
    uint32_t ranks[SHORT_WORD];
    int32_t ids[SHORT_WORD];
    struct symbol *s = w->symbols;
    size_t n = w->n;
    for (size_t i = 0; i + 1 < n; i++) ranks[i] = rank_of(w, text, &s[i], &s[i + 1], &ids[i]);
    while (n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; i++)
            if (ranks[i] < ranks[best]) best = i;
        if (ranks[best] == NONE) break;
        s[best].size += s[best + 1].size;
        s[best].id = ids[best];
        n--;
        for (size_t i = best + 1; i < n; i++) {
            s[i] = s[i + 1];
            ranks[i - 1] = ranks[i];
            ids[i - 1] = ids[i];
        }
        if (best > 0) ranks[best - 1] = rank_of(w, text, &s[best - 1], &s[best], &ids[best - 1]);
        if (best + 1 < n) ranks[best] = rank_of(w, text, &s[best], &s[best + 1], &ids[best]);
    }
    for (size_t i = 0; i < n; i++) s[i].after = i + 1 < n ? (uint32_t)i + 1 : NONE;
    return true;
}

static void sift_down(struct work *w, size_t i) {
    struct candidate c = w->heap[i];
    for (size_t child; (child = 2 * i + 1) < w->n_heap; i = child) {
        if (child + 1 < w->n_heap && w->heap[child + 1].order < w->heap[child].order) child++;
        if (c.order <= w->heap[child].order) break;
        w->heap[i] = w->heap[child];
    }
    w->heap[i] = c;
}

static void sift_up(struct work *w, size_t i) {
    struct candidate c = w->heap[i];
    for (size_t parent; i && c.order < w->heap[parent = (i - 1) / 2].order; i = parent) w->heap[i] = w->heap[parent];
    w->heap[i] = c;
}

// Adds symbol i and the one after it to the heap, at its end, if they can be joined.
static bool consider(struct work *w, const char *text, uint32_t i) {
    const struct symbol *a = &w->symbols[i];
    if (a->after == NONE) return false;
    const struct symbol *b = &w->symbols[a->after];
    int32_t id = -1;
    uint32_t rank = rank_of(w, text, a, b, &id);
    if (rank == NONE) return false;
    w->heap[w->n_heap++] = (struct candidate){(uint64_t)rank << 32 | i, a->size + b->size, id};
    return true;
}

static struct candidate pop(struct work *w) {
    struct candidate best = w->heap[0];
    w->heap[0] = w->heap[--w->n_heap];
    if (w->n_heap) sift_down(w, 0);
    return best;
}

static bool join_long(struct work *w, const char *text) {
    // Each join takes one candidate out and puts at most two in.
    size_t room = 2 * w->n;
    if (w->heap_room < room) {
        struct candidate *heap = realloc(w->heap, room * sizeof *heap);
        if (!heap) return fail_memory(w->error, w->t->where);
        w->heap = heap;
        w->heap_room = room;
    }
    struct symbol *s = w->symbols;
    w->n_heap = 0;
    for (uint32_t i = 0; i < w->n; i++) {
        s[i].before = i ? i - 1 : NONE;
        s[i].after = i + 1 < w->n ? i + 1 : NONE;
    }
    for (uint32_t i = 0; i < w->n; i++) consider(w, text, i);
    for (size_t i = w->n_heap / 2; i-- > 0;) sift_down(w, i);
    while (w->n_heap) {
        struct candidate c = pop(w);
        uint32_t left = (uint32_t)c.order, right = s[left].after;
        // Symbols only grow and a joined one has size 0, so equal sizes mean the same pair as ever.
        if (!s[left].size || right == NONE || s[left].size + s[right].size != c.size) continue;
        s[left].size = c.size;
        s[left].id = c.id;
        s[left].after = s[right].after;
        s[right].size = 0;
        if (s[left].after != NONE) s[s[left].after].before = left;
        if (s[left].before != NONE && consider(w, text, s[left].before)) sift_up(w, w->n_heap - 1);
        if (consider(w, text, left)) sift_up(w, w->n_heap - 1);
    }
    return true;
}

bool join_symbols(struct work *w, const char *text) {
    return w->n <= SHORT_WORD ? join_short(w, text) : join_long(w, text);
}
