// Automata of texts that two others, or another and a count, agree on: their states are pairs.
#include "base/buf.h"
#include "text/grammar/fsm.h"

#include <stdlib.h>

enum { STEPS_OF_PAIR = 8, STEPS_OF_EDGE = 2 };

struct pairs_of {
    uint64_t *items;
    size_t n, room;
    uint32_t *slots; // pair + 1
    size_t n_slots;
    struct budget *budget;
};

static size_t slot_of(const struct pairs_of *p, uint64_t key) {
    size_t i = (size_t)((key * 0x9e3779b97f4a7c15u) >> 36) & (p->n_slots - 1);
    while (p->slots[i] && p->items[p->slots[i] - 1] != key) i = (i + 1) & (p->n_slots - 1);
    return i;
}

static bool pairs_grow(struct pairs_of *p) {
    if (p->n * 2 < p->n_slots) return true;
    size_t n = p->n_slots ? p->n_slots * 4 : 1024;
    uint32_t *slots = calloc(n, sizeof *slots);
    if (!slots) return false;
    free(p->slots);
    p->slots = slots, p->n_slots = n;
    for (size_t i = 0; i < p->n; i++) p->slots[slot_of(p, p->items[i])] = (uint32_t)i + 1;
    return true;
}

// The product's state for states x and y; they are numbered as they come.
static uint32_t pair(struct fsm *out, struct pairs_of *p, uint32_t x, uint32_t y, size_t limit) {
    uint64_t key = (uint64_t)x << 32 | y;
    if (out->status) return 0;
    if (!pairs_grow(p) || !ARRAY_GROW(p->items, p->n, p->room)) {
        out->status = GYR_NO_MEMORY;
        return 0;
    }
    size_t slot = slot_of(p, key);
    if (p->slots[slot]) return p->slots[slot] - 1;
    if (p->n >= limit || !spend(p->budget, STEPS_OF_PAIR)) {
        out->status = GYR_UNSUPPORTED;
        return 0;
    }
    p->items[p->n] = key;
    p->slots[slot] = (uint32_t)++p->n;
    return (uint32_t)p->n - 1;
}

// A state's edges being walked along in the order of their bytes.
struct edges {
    const struct fsm_bytes *at, *end;
};

static struct edges edges_of(const struct fsm *f, uint32_t state) {
    if (state == FSM_DEAD) return (struct edges){0};
    return (struct edges){f->bytes + f->states[state].bytes, f->bytes + f->states[state + 1].bytes};
}

// Where byte c leads, and *last: up to which byte that is so. Bytes are asked for in their order.
static uint32_t follow(struct edges *e, unsigned c, unsigned *last) {
    while (e->at < e->end && e->at->hi < c) e->at++;
    if (e->at == e->end) return *last = 255, FSM_DEAD;
    if (c < e->at->lo) return *last = e->at->lo - 1u, FSM_DEAD;
    return *last = e->at->hi, e->at->to;
}

// Of a failed one only the status is left: its last state has no end.
static bool finish(struct fsm *out, struct fsm *made, struct pairs_of *p) {
    fsm_close(made);
    free(p->items);
    free(p->slots);
    *out = *made;
    if (!made->status) return true;
    fsm_free(out);
    out->status = made->status;
    return false;
}

bool fsm_combine(struct fsm *out, const struct fsm *a, const struct fsm *b, enum fsm_product how, size_t limit,
                 struct budget *budget) {
    struct pairs_of p = {.budget = budget};
    struct fsm all = {0};
    if (a->n && (b->n || how == FSM_WITHOUT)) pair(&all, &p, 0, b->n ? 0 : FSM_DEAD, limit);
    for (size_t i = 0; i < p.n && !all.status; i++) {
        uint32_t x = (uint32_t)(p.items[i] >> 32), y = (uint32_t)p.items[i];
        bool other = y != FSM_DEAD && b->states[y].final;
        fsm_begin(&all, a->states[x].final && other == (how == FSM_BOTH));
        struct edges edges_a = edges_of(a, x), edges_b = edges_of(b, y);
        for (unsigned c = 0, last_a, last_b; c < 256; c = (last_a < last_b ? last_a : last_b) + 1) {
            if (!spend(budget, STEPS_OF_EDGE)) all.status = GYR_UNSUPPORTED;
            uint32_t to = follow(&edges_a, c, &last_a), with = follow(&edges_b, c, &last_b);
            if (to == FSM_DEAD || (with == FSM_DEAD && how == FSM_BOTH)) continue;
            uint8_t last = (uint8_t)(last_a < last_b ? last_a : last_b);
            fsm_add_bytes(&all, (uint8_t)c, last, pair(&all, &p, to, with, limit));
        }
    }
    return finish(out, &all, &p);
}

// A count and a state of the unit in one number. Units are few bytes long.
enum { UNIT_STATES = 64 };

// The unit's state goes from that of y to `to`.
static uint32_t count_step(const struct fsm *unit, uint32_t y, uint32_t to, size_t least, size_t most) {
    uint32_t count = y / UNIT_STATES;
    if (to == FSM_DEAD) return FSM_DEAD;
    if (!unit->states[to].final) return count * UNIT_STATES + to;
    if (most == SIZE_MAX) return (count < least ? count + 1 : count) * UNIT_STATES;
    return count < most ? (count + 1) * UNIT_STATES : FSM_DEAD;
}

bool fsm_count(struct fsm *out, const struct fsm *f, const struct fsm *unit, size_t least, size_t most, size_t limit,
               struct budget *budget) {
    struct pairs_of p = {.budget = budget};
    struct fsm all = {0};
    if (unit->n > UNIT_STATES || least > UINT32_MAX / UNIT_STATES - 2) all.status = GYR_UNSUPPORTED;
    if (most != SIZE_MAX && most > UINT32_MAX / UNIT_STATES - 2) most = UINT32_MAX / UNIT_STATES - 2;
    if (f->n) pair(&all, &p, 0, 0, limit);
    for (size_t i = 0; i < p.n && !all.status; i++) {
        uint32_t x = (uint32_t)(p.items[i] >> 32), y = (uint32_t)p.items[i], at = y % UNIT_STATES;
        fsm_begin(&all, f->states[x].final && !at && y / UNIT_STATES >= least);
        struct edges edges = edges_of(f, x), units = edges_of(unit, at);
        for (unsigned c = 0, last_f, last_unit; c < 256; c = (last_f < last_unit ? last_f : last_unit) + 1) {
            if (!spend(budget, STEPS_OF_EDGE)) all.status = GYR_UNSUPPORTED;
            uint32_t to = follow(&edges, c, &last_f), end = follow(&units, c, &last_unit);
            uint32_t counted = count_step(unit, y, end, least, most);
            if (to == FSM_DEAD || counted == FSM_DEAD) continue;
            uint8_t last = (uint8_t)(last_f < last_unit ? last_f : last_unit);
            fsm_add_bytes(&all, (uint8_t)c, last, pair(&all, &p, to, counted, limit));
        }
    }
    return finish(out, &all, &p);
}
