// Subset construction (Rabin and Scott, 1959): a state of the result is a set of states of the nfa.
#include "base/buf.h"
#include "text/grammar/fsm.h"

#include <stdlib.h>
#include <string.h>

// Sets may hold many states each: what all of them hold together is limited too.
enum { MEMBERS_PER_STATE = 64, STEPS_OF_SET = 8 };

struct subsets {
    const struct nfa *nfa;
    struct budget *budget;
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
    struct edge {
        uint32_t key, hi, to; // key: its first byte, or its rule
    } * edges;                // of the set that is looked at
    size_t n_edges, edge_room;
    size_t n_active; // edges by the byte that is looked at are the first so many
    size_t looked;   // edges and states since the budget was asked last
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
        d->looked++;
        for (uint32_t i = a->first[s]; i != NFA_NONE; i = a->edges[i].next, d->looked++) {
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
        r->first[r->work[i]] = NFA_NONE, r->ends[r->work[i]] = false, r->number[r->work[i]] = NFA_NONE;
        d->looked++;
        for (uint32_t x = a->first[r->work[i]]; x != NFA_NONE; x = a->edges[x].next, d->looked++) {
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

static void sort(uint32_t *set, size_t n) {
    enum { FEW = 12 };
    if (n > FEW) qsort(set, n, sizeof *set, by_value);
    for (size_t i = 1; n <= FEW && i < n; i++) {
        uint32_t x = set[i];
        size_t k = i;
        for (; k && set[k - 1] > x; k--) set[k] = set[k - 1];
        set[k] = x;
    }
}

static size_t set_size(const struct subsets *d, size_t i) {
    return (i + 1 < d->n ? d->begin[i + 1] : d->n_members) - d->begin[i];
}

static size_t find_slot(struct subsets *d, const uint32_t *set, size_t n) {
    uint64_t h = n;
    for (size_t i = 0; i < n; i++) h = (h ^ set[i]) * 0x9e3779b97f4a7c15u, h ^= h >> 29;
    size_t at = (size_t)h & (d->n_slots - 1);
    for (; d->slots[at]; at = (at + 1) & (d->n_slots - 1), d->looked++) {
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
    sort(d->work, d->n_work);
    d->looked += 4 * d->n_work;
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

static void start_set(struct subsets *d) {
    d->n_work = 0, d->room->turn++;
    if (!spend(d->budget, d->looked + STEPS_OF_SET) && !d->out->status) d->out->status = GYR_UNSUPPORTED;
    d->looked = 0;
}

// The set that an edge to `to` leads to. Most edges share their bytes with no other: each target's set is kept.
static uint32_t set_of(struct subsets *d, uint32_t to) {
    if (d->room->number[to] != NFA_NONE) return d->room->number[to];
    start_set(d);
    close_over(d, to, false);
    return d->room->number[to] = d->n_work ? intern(d) : FSM_DEAD;
}

static uint32_t set_of_all(struct subsets *d, const struct edge *edges, size_t n) {
    bool same = true;
    for (size_t i = 1; i < n; i++) same = same && edges[i].to == edges[0].to;
    d->looked += n;
    if (same) return set_of(d, edges[0].to);
    start_set(d);
    for (size_t i = 0; i < n; i++) close_over(d, edges[i].to, false);
    return d->n_work ? intern(d) : FSM_DEAD;
}

static int by_key(const void *a, const void *b) {
    const struct edge *x = a, *y = b;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return (x->to > y->to) - (x->to < y->to);
}

// The edges of one kind that set `i` has, in the order of their keys.
static void list_edges(struct subsets *d, size_t i, enum nfa_kind kind) {
    const struct nfa *a = d->nfa;
    size_t n = set_size(d, i), begin = d->begin[i];
    bool sorted = true;
    d->n_edges = 0;
    for (size_t k = 0; k < n; k++)
        for (uint32_t x = a->first[d->members[begin + k]]; x != NFA_NONE; x = a->edges[x].next, d->looked++) {
            const struct nfa_edge *e = &a->edges[x];
            if (e->kind != kind) continue;
            if (!ARRAY_GROW(d->edges, d->n_edges, d->edge_room)) {
                d->out->status = GYR_NO_MEMORY;
                return;
            }
            struct edge one = {kind == NFA_BYTES ? e->lo : e->rule, e->hi, e->to};
            sorted = sorted && (!d->n_edges || by_key(&d->edges[d->n_edges - 1], &one) <= 0);
            d->edges[d->n_edges++] = one;
        }
    if (sorted) return;
    qsort(d->edges, d->n_edges, sizeof *d->edges, by_key);
    d->looked += 2 * d->n_edges;
}

// Takes in the edges that begin at byte b, and drops those that end before it: the first n_active of those that are
// listed up to `next`. Returns the first byte after b at which that is different.
static unsigned activate(struct subsets *d, unsigned b, size_t *next) {
    unsigned end = 256;
    size_t n = 0;
    for (size_t k = 0; k < d->n_active; k++)
        if (d->edges[k].hi >= b) d->edges[n++] = d->edges[k];
    for (; *next < d->n_edges && d->edges[*next].key == b; ++*next) d->edges[n++] = d->edges[*next];
    for (size_t k = 0; k < n; k++)
        if (d->edges[k].hi + 1 < end) end = d->edges[k].hi + 1;
    if (*next < d->n_edges && d->edges[*next].key < end) end = d->edges[*next].key;
    d->n_active = n;
    d->looked += n;
    return end;
}

// The edges of set `i` by bytes: [b, end) is the longest run that no edge begins or ends in.
static void byte_edges(struct subsets *d, size_t base, size_t i) {
    struct fsm_bytes last = {FSM_DEAD, 0, 0};
    size_t next = 0;
    d->n_active = 0;
    list_edges(d, i, NFA_BYTES);
    for (unsigned b = d->n_edges ? d->edges[0].key : 256, end; b < 256 && !d->out->status; b = end) {
        end = activate(d, b, &next);
        uint32_t to = d->n_active ? set_of_all(d, d->edges, d->n_active) : FSM_DEAD;
        if (to != FSM_DEAD) to += (uint32_t)base;
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
    list_edges(d, i, NFA_CALL);
    for (size_t k = 0, end; k < d->n_edges && !d->out->status; k = end) {
        for (end = k; end < d->n_edges && d->edges[end].key == d->edges[k].key;) end++;
        uint32_t to = set_of_all(d, d->edges + k, end - k);
        if (to != FSM_DEAD) fsm_add_call(d->out, d->edges[k].key, (uint32_t)base + to);
    }
}

static bool is_final(const struct subsets *d, size_t i) {
    for (size_t k = 0; k < set_size(d, i); k++)
        if (d->room->ends[d->members[d->begin[i] + k]]) return true;
    return false;
}

static void run(struct subsets *d, uint32_t start) {
    size_t base = d->out->n;
    // The first set may be empty, and is looked for nevertheless.
    if (!ARRAY_GROW(d->members, d->n_members, d->member_room)) {
        d->out->status = GYR_NO_MEMORY;
        return;
    }
    find_ends(d, start, true);
    start_set(d);
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
                     struct fsm_room *room, struct budget *budget) {
    struct fsm_room own = {0};
    struct subsets d = {.nfa = a, .out = f, .end = end, .limit = limit, .room = room ? room : &own, .budget = budget};
    struct fsm before = *f;
    if (!room && !fsm_room_init(&own, a) && !f->status) f->status = GYR_NO_MEMORY;
    d.work = d.room->work;
    if (!f->status) run(&d, start);
    fsm_room_free(&own);
    free(d.members);
    free(d.edges);
    free(d.begin);
    free(d.slots);
    if (!f->status) return true;
    f->n = before.n, f->n_bytes = before.n_bytes, f->n_calls = before.n_calls, f->n_empties = before.n_empties;
    return false;
}
