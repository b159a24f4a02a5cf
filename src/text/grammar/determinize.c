// Subset construction (Rabin and Scott, 1959): a state of the result is a set of states of the nfa.
#include "base/buf.h"
#include "text/grammar/fsm.h"

#include <stdlib.h>
#include <string.h>

// Sets may hold many states each: what all of them hold together is limited too.
enum { MEMBERS_PER_STATE = 64 };
#define MAX_WORK ((size_t)1 << 26) // edges looked at

struct subsets {
    const struct nfa *nfa;
    struct fsm *out;
    uint32_t end;
    struct fsm_room *room;
    bool begins; // there is a ^
    uint32_t *members;
    size_t n_members, member_room;
    size_t *begin; // of set i in members
    size_t n, set_room, limit;
    uint32_t *slots; // set + 1
    size_t n_slots;
    uint32_t *work; // the set being made
    size_t n_work;
    size_t spent;
};

static bool matters(const struct nfa *a, uint32_t s) {
    for (uint32_t i = a->first[s]; i != NFA_NONE; i = a->edges[i].next)
        if (a->edges[i].kind == NFA_BYTES || a->edges[i].kind == NFA_CALL) return true;
    return false;
}

// Adds what is reached from `s` by nothing. States without a byte, a call or the end do not matter.
static void close_over(struct subsets *d, uint32_t s, bool begin) {
    const struct nfa *a = d->nfa;
    struct fsm_room *r = d->room;
    size_t n = 0;
    if (r->stamp[s] == r->turn) return;
    r->stamp[s] = r->turn, r->stack[n++] = s;
    while (n) {
        s = r->stack[--n];
        if (r->ends[s] || matters(a, s)) d->work[d->n_work++] = s;
        for (uint32_t i = a->first[s]; i != NFA_NONE; i = a->edges[i].next) {
            const struct nfa_edge *x = &a->edges[i];
            bool goes = x->kind == NFA_EMPTY || (x->kind == NFA_BEGIN && begin);
            if (goes && r->stamp[x->to] != r->turn) r->stamp[x->to] = r->turn, r->stack[n++] = x->to;
        }
    }
}

// The states of this part: they are in room->work, and have no edges back yet.
static size_t find_states(struct subsets *d, uint32_t start) {
    const struct nfa *a = d->nfa;
    struct fsm_room *r = d->room;
    size_t n = 0;
    r->turn++;
    r->stamp[start] = r->turn, r->work[n++] = start;
    for (size_t i = 0; i < n; i++) {
        r->first[r->work[i]] = NFA_NONE, r->ends[r->work[i]] = false;
        for (uint32_t x = a->first[r->work[i]]; x != NFA_NONE; x = a->edges[x].next) {
            uint32_t to = a->edges[x].to;
            d->begins = d->begins || a->edges[x].kind == NFA_BEGIN;
            if (r->stamp[to] != r->turn) r->stamp[to] = r->turn, r->work[n++] = to;
        }
    }
    return n;
}

// Marks whence the end is reached by nothing at the end of a text; with `begin`, of a text of nothing.
static void find_ends(struct subsets *d, uint32_t start, bool begin) {
    const struct nfa *a = d->nfa;
    struct fsm_room *r = d->room;
    size_t states = find_states(d, start), n = 0;
    for (size_t i = 0; i < states; i++)
        for (uint32_t x = a->first[r->work[i]]; x != NFA_NONE; x = a->edges[x].next) {
            uint8_t kind = a->edges[x].kind;
            if (kind != NFA_EMPTY && kind != NFA_END && (kind != NFA_BEGIN || !begin)) continue;
            r->from[x] = r->work[i];
            r->next[x] = r->first[a->edges[x].to];
            r->first[a->edges[x].to] = x;
        }
    if (r->stamp[d->end] == r->turn) r->ends[d->end] = true, r->stack[n++] = d->end;
    while (n) {
        uint32_t s = r->stack[--n];
        for (uint32_t i = r->first[s]; i != NFA_NONE; i = r->next[i])
            if (!r->ends[r->from[i]]) r->ends[r->from[i]] = true, r->stack[n++] = r->from[i];
    }
}

static int by_value(const void *a, const void *b) {
    uint32_t x, y;
    memcpy(&x, a, sizeof x), memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

static size_t set_size(const struct subsets *d, size_t i) {
    return (i + 1 < d->n ? d->begin[i + 1] : d->n_members) - d->begin[i];
}

static size_t find_slot(const struct subsets *d, const uint32_t *set, size_t n) {
    uint64_t h = n;
    for (size_t i = 0; i < n; i++) h = (h ^ set[i]) * 0x9e3779b97f4a7c15u, h ^= h >> 29;
    size_t at = (size_t)h & (d->n_slots - 1);
    for (; d->slots[at]; at = (at + 1) & (d->n_slots - 1)) {
        size_t k = d->slots[at] - 1;
        if (set_size(d, k) == n && !memcmp(d->members + d->begin[k], set, n * sizeof *set)) break;
    }
    return at;
}

static bool grow(struct subsets *d) {
    if (d->n * 2 >= d->n_slots) {
        size_t n = d->n_slots ? d->n_slots * 4 : 256;
        uint32_t *slots = calloc(n, sizeof *slots);
        if (!slots) return false;
        free(d->slots);
        d->slots = slots, d->n_slots = n;
        for (size_t i = 0; i < d->n; i++)
            d->slots[find_slot(d, d->members + d->begin[i], set_size(d, i))] = (uint32_t)i + 1;
    }
    return ARRAY_GROW(d->begin, d->n, d->set_room);
}

// The number of the set in d->work.
static uint32_t intern(struct subsets *d) {
    if (d->out->status) return 0;
    if (d->n_work > 1) qsort(d->work, d->n_work, sizeof *d->work, by_value);
    if (!grow(d)) {
        d->out->status = GYR_NO_MEMORY;
        return 0;
    }
    size_t slot = find_slot(d, d->work, d->n_work);
    if (d->slots[slot]) return d->slots[slot] - 1;
    if (d->n >= d->limit || d->n_members + d->n_work > d->limit * MEMBERS_PER_STATE) {
        d->out->status = GYR_UNSUPPORTED;
        return 0;
    }
    d->begin[d->n++] = d->n_members;
    for (size_t i = 0; i < d->n_work; i++) {
        if (!ARRAY_GROW(d->members, d->n_members, d->member_room)) {
            d->out->status = GYR_NO_MEMORY;
            return 0;
        }
        d->members[d->n_members++] = d->work[i];
    }
    d->slots[slot] = (uint32_t)d->n;
    return (uint32_t)d->n - 1;
}

static void start_set(struct subsets *d, size_t size) {
    d->n_work = 0, d->room->turn++;
    d->spent += size;
    if (d->spent > MAX_WORK && !d->out->status) d->out->status = GYR_UNSUPPORTED;
}

// The edges of set `i` by bytes: [b, end] is the longest run that no edge begins or ends in.
static void byte_edges(struct subsets *d, size_t base, size_t i) {
    const struct nfa *a = d->nfa;
    uint64_t cuts[5] = {1}; // bit b: an edge begins at b, or ended before it
    size_t n = set_size(d, i), begin = d->begin[i];
    for (size_t k = 0; k < n; k++)
        for (uint32_t x = a->first[d->members[begin + k]]; x != NFA_NONE; x = a->edges[x].next)
            if (a->edges[x].kind == NFA_BYTES) {
                unsigned lo = a->edges[x].lo, after = a->edges[x].hi + 1u;
                cuts[lo / 64] |= (uint64_t)1 << (lo % 64);
                cuts[after / 64] |= (uint64_t)1 << (after % 64);
            }
    cuts[4] |= 1;
    struct fsm_bytes last = {FSM_DEAD, 0, 0};
    for (unsigned b = 0, end; b < 256 && !d->out->status; b = end) {
        for (end = b + 1; !(cuts[end / 64] >> (end % 64) & 1);) end++;
        start_set(d, n);
        for (size_t k = 0; k < n; k++)
            for (uint32_t x = a->first[d->members[begin + k]]; x != NFA_NONE; x = a->edges[x].next)
                if (a->edges[x].kind == NFA_BYTES && a->edges[x].lo <= b && a->edges[x].hi >= b)
                    close_over(d, a->edges[x].to, false);
        uint32_t to = d->n_work ? (uint32_t)base + intern(d) : FSM_DEAD;
        if (to == last.to && to != FSM_DEAD && last.hi + 1u == b) {
            last.hi = (uint8_t)(end - 1);
            continue;
        }
        if (last.to != FSM_DEAD) fsm_add_bytes(d->out, last.lo, last.hi, last.to);
        last = (struct fsm_bytes){to, (uint8_t)b, (uint8_t)(end - 1)};
    }
    if (last.to != FSM_DEAD) fsm_add_bytes(d->out, last.lo, last.hi, last.to);
}

static void call_edges(struct subsets *d, size_t base, size_t i) {
    const struct nfa *a = d->nfa;
    size_t first = d->out->n_calls, n = set_size(d, i), begin = d->begin[i];
    for (size_t k = 0; k < n && !d->out->status; k++)
        for (uint32_t x = a->first[d->members[begin + k]]; x != NFA_NONE && !d->out->status; x = a->edges[x].next) {
            if (a->edges[x].kind != NFA_CALL) continue;
            bool done = false;
            for (size_t c = first; c < d->out->n_calls; c++) done = done || d->out->calls[c].rule == a->edges[x].rule;
            if (done) continue;
            start_set(d, n);
            for (size_t m = 0; m < n; m++)
                for (uint32_t y = a->first[d->members[begin + m]]; y != NFA_NONE; y = a->edges[y].next)
                    if (a->edges[y].kind == NFA_CALL && a->edges[y].rule == a->edges[x].rule)
                        close_over(d, a->edges[y].to, false);
            fsm_add_call(d->out, a->edges[x].rule, (uint32_t)base + intern(d));
        }
}

static bool is_final(const struct subsets *d, size_t i) {
    for (size_t k = 0; k < set_size(d, i); k++)
        if (d->room->ends[d->members[d->begin[i] + k]]) return true;
    return false;
}

static void run(struct subsets *d, uint32_t start) {
    size_t base = d->out->n;
    find_ends(d, start, true);
    start_set(d, 1);
    close_over(d, start, true);
    intern(d);
    // Only a text of nothing is at its beginning and at its end.
    bool at_once = !d->out->status && is_final(d, 0);
    if (d->begins) {
        find_ends(d, start, false);
        // What is not the beginning must not be taken for it.
        if (!d->out->status) d->slots[find_slot(d, d->members, d->n_members)] = 0;
    }
    for (size_t i = 0; i < d->n && !d->out->status; i++) {
        fsm_begin(d->out, i ? is_final(d, i) : at_once);
        byte_edges(d, base, i);
        call_edges(d, base, i);
    }
    fsm_close(d->out);
}

bool fsm_determinize(struct fsm *f, const struct nfa *a, uint32_t start, uint32_t end, size_t limit,
                     struct fsm_room *room) {
    struct fsm_room own = {0};
    struct subsets d = {.nfa = a, .out = f, .end = end, .limit = limit, .room = room ? room : &own};
    struct fsm before = *f;
    if (!room && !fsm_room_init(&own, a) && !f->status) f->status = GYR_NO_MEMORY;
    d.work = d.room->work;
    if (!f->status) run(&d, start);
    fsm_room_free(&own);
    free(d.members);
    free(d.begin);
    free(d.slots);
    if (!f->status) return true;
    f->n = before.n, f->n_bytes = before.n_bytes, f->n_calls = before.n_calls, f->n_empties = before.n_empties;
    return false;
}
