#include "text/grammar/fsm.h"

#include "base/buf.h"

#include <stdlib.h>
#include <string.h>

void fsm_free(struct fsm *f) {
    free(f->states);
    free(f->bytes);
    free(f->calls);
    free(f->empties);
    *f = (struct fsm){0};
}

static void *clone_of(const void *items, size_t n, size_t size) {
    void *made = malloc((n + 1) * size);
    return made && n ? memcpy(made, items, n * size) : made;
}

bool fsm_clone(struct fsm *out, const struct fsm *f) {
    struct fsm made = {.n = f->n, .n_bytes = f->n_bytes, .n_calls = f->n_calls, .n_empties = f->n_empties};
    made.states = clone_of(f->states, f->n ? f->n + 1 : 0, sizeof *f->states);
    made.bytes = clone_of(f->bytes, f->n_bytes, sizeof *f->bytes);
    made.calls = clone_of(f->calls, f->n_calls, sizeof *f->calls);
    made.empties = clone_of(f->empties, f->n_empties, sizeof *f->empties);
    made.room = f->n + 1, made.bytes_room = f->n_bytes, made.calls_room = f->n_calls;
    made.empties_room = f->n_empties;
    *out = made;
    if (made.states && made.bytes && made.calls && made.empties) return true;
    fsm_free(out);
    out->status = GYR_NO_MEMORY;
    return false;
}

// Where an edge of the next state will be.
static struct fsm_state next_edges(const struct fsm *f) {
    return (struct fsm_state){(uint32_t)f->n_bytes, (uint32_t)f->n_calls, (uint32_t)f->n_empties, false};
}

uint32_t fsm_begin(struct fsm *f, bool final) {
    if (!f->status && (!ARRAY_GROW(f->states, f->n, f->room) || !ARRAY_GROW(f->states, f->n + 1, f->room)))
        f->status = GYR_NO_MEMORY;
    if (f->status) return 0;
    f->states[f->n] = next_edges(f);
    f->states[f->n].final = final;
    return (uint32_t)f->n++;
}

void fsm_close(struct fsm *f) {
    if (!f->status && !ARRAY_GROW(f->states, f->n, f->room)) f->status = GYR_NO_MEMORY;
    if (!f->status) f->states[f->n] = next_edges(f);
}

void fsm_add_bytes(struct fsm *f, uint8_t lo, uint8_t hi, uint32_t to) {
    if (!f->status && !ARRAY_GROW(f->bytes, f->n_bytes, f->bytes_room)) f->status = GYR_NO_MEMORY;
    if (!f->status) f->bytes[f->n_bytes++] = (struct fsm_bytes){to, lo, hi};
}

void fsm_add_call(struct fsm *f, uint32_t rule, uint32_t to) {
    if (!f->status && !ARRAY_GROW(f->calls, f->n_calls, f->calls_room)) f->status = GYR_NO_MEMORY;
    if (!f->status) f->calls[f->n_calls++] = (struct fsm_call){rule, to};
}

void fsm_add_empty(struct fsm *f, uint32_t to) {
    if (!f->status && !ARRAY_GROW(f->empties, f->n_empties, f->empties_room)) f->status = GYR_NO_MEMORY;
    if (!f->status) f->empties[f->n_empties++] = to;
}

static int by_lo(const void *a, const void *b) {
    const struct fsm_bytes *x = a, *y = b;
    return (x->lo > y->lo) - (x->lo < y->lo);
}

bool fsm_room_init(struct fsm_room *r, const struct nfa *a) {
    r->n = a->n + 1, r->n_edges = a->n_edges + 1;
    r->stamp = calloc(r->n, sizeof *r->stamp);
    r->stack = malloc(r->n * sizeof *r->stack);
    r->work = malloc(r->n * sizeof *r->work);
    r->number = malloc(r->n * sizeof *r->number);
    r->first = malloc(r->n * sizeof *r->first);
    r->next = malloc(r->n_edges * sizeof *r->next);
    r->from = malloc(r->n_edges * sizeof *r->from);
    r->ends = malloc(r->n);
    return r->stamp && r->stack && r->work && r->number && r->first && r->next && r->from && r->ends;
}

void fsm_room_free(struct fsm_room *r) {
    free(r->stamp);
    free(r->stack);
    free(r->work);
    free(r->number);
    free(r->first);
    free(r->next);
    free(r->from);
    free(r->ends);
    *r = (struct fsm_room){0};
}

bool fsm_copy(struct fsm *f, const struct nfa *a, uint32_t start, uint32_t end, struct fsm_room *room) {
    size_t n = 0, base = f->n;
    room->turn++;
    room->stamp[start] = room->turn, room->number[start] = (uint32_t)base, room->work[n++] = start;
    for (size_t done = 0; done < n && !f->status; done++) {
        size_t first = f->n_bytes, edges = f->n_bytes + f->n_calls + f->n_empties;
        fsm_begin(f, room->work[done] == end);
        for (uint32_t i = a->first[room->work[done]]; i != NFA_NONE; i = a->edges[i].next) {
            const struct nfa_edge *x = &a->edges[i];
            if (room->stamp[x->to] != room->turn) {
                room->stamp[x->to] = room->turn;
                room->number[x->to] = (uint32_t)(base + n);
                room->work[n++] = x->to;
            }
            if (x->kind == NFA_BYTES)
                fsm_add_bytes(f, x->lo, x->hi, room->number[x->to]);
            else if (x->kind == NFA_CALL)
                fsm_add_call(f, x->rule, room->number[x->to]);
            else
                fsm_add_empty(f, room->number[x->to]);
        }
        if (!spend(a->budget, 4 + 2 * (f->n_bytes + f->n_calls + f->n_empties - edges)) && !f->status)
            f->status = GYR_UNSUPPORTED;
        if (!f->status && f->n_bytes > first) qsort(f->bytes + first, f->n_bytes - first, sizeof *f->bytes, by_lo);
    }
    fsm_close(f);
    return !f->status;
}

bool fsm_append(struct fsm *f, const struct fsm *more) {
    uint32_t base = (uint32_t)f->n;
    for (size_t i = 0; i < more->n && !f->status; i++) {
        fsm_begin(f, more->states[i].final);
        for (uint32_t k = more->states[i].bytes; k < more->states[i + 1].bytes; k++)
            fsm_add_bytes(f, more->bytes[k].lo, more->bytes[k].hi, base + more->bytes[k].to);
    }
    fsm_close(f);
    return !f->status;
}

bool fsm_quote(struct fsm *out, const struct fsm *f) {
    uint32_t end = (uint32_t)f->n + 1;
    fsm_begin(out, false);
    if (f->n) fsm_add_bytes(out, '"', '"', 1);
    for (size_t i = 0; i < f->n && !out->status; i++) {
        bool open = f->states[i].final;
        fsm_begin(out, false);
        for (uint32_t k = f->states[i].bytes; k < f->states[i + 1].bytes; k++) {
            if (open && f->bytes[k].lo > '"') fsm_add_bytes(out, '"', '"', end), open = false;
            fsm_add_bytes(out, f->bytes[k].lo, f->bytes[k].hi, f->bytes[k].to + 1);
        }
        if (open) fsm_add_bytes(out, '"', '"', end);
    }
    fsm_begin(out, true);
    fsm_close(out);
    return !out->status;
}

bool fsm_matches(const struct fsm *f, const char *s, size_t size) {
    uint32_t state = f->n ? 0 : FSM_DEAD;
    for (size_t i = 0; i < size && state != FSM_DEAD; i++) state = fsm_step(f, state, (uint8_t)s[i]);
    return state != FSM_DEAD && f->states[state].final;
}

bool fsm_is_empty(const struct fsm *f) {
    for (size_t i = 0; i < f->n; i++)
        if (f->states[i].final) return false;
    return !f->status;
}
