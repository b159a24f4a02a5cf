#include "text/grammar/network.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { MAX_ROWS = 4096, WIDE_BYTES = 16, EDGES_WITHOUT_ROW = 3 };
#define MAX_KEY_STEPS ((size_t)4 << 20)

void network_free(struct network *w) {
    fsm_free(&w->fsm);
    free(w->first);
    free(w->flags);
    free(w->row);
    free(w->rows);
    free(w->keys);
    *w = (struct network){0};
}

// Rules that would become too large are run as they are.
static bool determinize(struct network *w, const struct rules *r, const struct rule *rule, size_t limit,
                        struct fsm_room *room) {
    struct budget half = budget_half(r->nfa.budget);
    bool ok = fsm_determinize(&w->fsm, &r->nfa, rule->start, rule->end, limit, room, &half);
    budget_settle(r->nfa.budget, &half);
    return ok;
}

// The automata of the rules that are called from `root` on, the root's first.
static bool link_rules(struct network *w, const struct rules *r, uint32_t root) {
    uint32_t *number = malloc((r->n + 1) * sizeof *number), *queue = malloc((r->n + 1) * sizeof *queue);
    struct fsm_room room = {0};
    size_t n = 0;
    w->first = malloc((r->n + 2) * sizeof *w->first);
    bool ok = number && queue && w->first && fsm_room_init(&room, &r->nfa);
    for (size_t i = 0; ok && i < r->n; i++) number[i] = UINT32_MAX;
    if (ok) number[root] = 0, queue[n++] = root;
    for (size_t i = 0; ok && i < n; i++) {
        const struct rule *rule = &r->items[queue[i]];
        size_t calls = w->fsm.n_calls, limit = rule->keep ? 0 : MAX_NFA / 4;
        w->first[i] = (uint32_t)w->fsm.n;
        ok = rule->made ? fsm_append(&w->fsm, rule->made) : limit && determinize(w, r, rule, limit, &room);
        if (!ok && !rule->made && w->fsm.status != GYR_NO_MEMORY) {
            w->fsm.status = GYR_OK;
            ok = fsm_copy(&w->fsm, &r->nfa, rule->start, rule->end, &room);
        }
        for (; ok && calls < w->fsm.n_calls; calls++) {
            uint32_t *called = &w->fsm.calls[calls].rule;
            if (number[*called] == UINT32_MAX) number[*called] = (uint32_t)n, queue[n++] = *called;
            *called = number[*called];
        }
    }
    w->n_rules = n;
    if (ok) w->first[n] = (uint32_t)w->fsm.n;
    w->rule_of = queue;
    fsm_room_free(&room);
    free(number);
    return ok;
}

// ------------------------------------------------------------------------------------- what leads nowhere

// Edges the other way round: the states that lead to a state, and the calls of a rule.
struct back {
    uint32_t *state_first, *state_next, *state_from; // edges by bytes and empty ones, then calls
    uint32_t *rule_first, *rule_next;                // calls
    uint32_t *stack;
    size_t n;
    bool *good, *good_rule;
    uint32_t *owner; // rule that begins with a state, + 1
};

static bool back_init(struct back *b, const struct network *w) {
    size_t states = w->fsm.n + 1, edges = w->fsm.n_bytes + w->fsm.n_empties + w->fsm.n_calls + 1;
    b->state_first = malloc(states * sizeof(uint32_t));
    b->state_next = malloc(edges * sizeof(uint32_t));
    b->state_from = malloc(edges * sizeof(uint32_t));
    b->rule_first = malloc((w->n_rules + 1) * sizeof(uint32_t));
    b->rule_next = malloc((w->fsm.n_calls + 1) * sizeof(uint32_t));
    b->stack = malloc(states * sizeof(uint32_t));
    b->good = calloc(states, 1);
    b->good_rule = calloc(w->n_rules + 1, 1);
    b->owner = calloc(states, sizeof(uint32_t));
    if (!b->state_first || !b->state_next || !b->state_from || !b->rule_first || !b->rule_next || !b->stack ||
        !b->good || !b->good_rule || !b->owner)
        return false;
    memset(b->state_first, 0xff, states * sizeof(uint32_t));
    memset(b->rule_first, 0xff, (w->n_rules + 1) * sizeof(uint32_t));
    for (size_t i = 0; i < w->n_rules; i++) b->owner[w->first[i]] = (uint32_t)i + 1;
    return true;
}

static void back_free(struct back *b) {
    free(b->state_first);
    free(b->state_next);
    free(b->state_from);
    free(b->rule_first);
    free(b->rule_next);
    free(b->stack);
    free(b->good);
    free(b->good_rule);
    free(b->owner);
}

static void back_edge(struct back *b, size_t edge, uint32_t from, uint32_t to) {
    b->state_from[edge] = from;
    b->state_next[edge] = b->state_first[to];
    b->state_first[to] = (uint32_t)edge;
}

static void back_fill(struct back *b, const struct fsm *f) {
    for (uint32_t s = 0; s < f->n; s++) {
        const struct fsm_state *x = &f->states[s];
        for (uint32_t i = x->bytes; i < x[1].bytes; i++) back_edge(b, i, s, f->bytes[i].to);
        for (uint32_t i = x->empties; i < x[1].empties; i++) back_edge(b, f->n_bytes + i, s, f->empties[i]);
        for (uint32_t i = x->calls; i < x[1].calls; i++) {
            back_edge(b, f->n_bytes + f->n_empties + i, s, f->calls[i].to);
            b->rule_next[i] = b->rule_first[f->calls[i].rule];
            b->rule_first[f->calls[i].rule] = i;
        }
    }
}

static void mark(struct back *b, uint32_t s) {
    if (!b->good[s]) b->good[s] = true, b->stack[b->n++] = s;
}

// From where a rule's end can be reached.
static void mark_all(struct back *b, const struct fsm *f) {
    size_t plain = f->n_bytes + f->n_empties;
    for (uint32_t s = 0; s < f->n; s++)
        if (f->states[s].final) mark(b, s);
    while (b->n) {
        uint32_t s = b->stack[--b->n], rule = b->owner[s];
        for (uint32_t i = b->state_first[s]; i != UINT32_MAX; i = b->state_next[i])
            if (i < plain || b->good_rule[f->calls[i - plain].rule]) mark(b, b->state_from[i]);
        if (!rule--) continue;
        b->good_rule[rule] = true;
        for (uint32_t i = b->rule_first[rule]; i != UINT32_MAX; i = b->rule_next[i])
            if (b->good[f->calls[i].to]) mark(b, b->state_from[plain + i]);
    }
}

static void drop_edges(const struct back *b, struct fsm *f) {
    size_t bytes = 0, calls = 0, empties = 0;
    for (uint32_t s = 0; s < f->n; s++) {
        struct fsm_state *x = &f->states[s], begins = {(uint32_t)bytes, (uint32_t)calls, (uint32_t)empties, x->final};
        for (uint32_t i = x->bytes; i < x[1].bytes; i++)
            if (b->good[f->bytes[i].to]) f->bytes[bytes++] = f->bytes[i];
        for (uint32_t i = x->calls; i < x[1].calls; i++)
            if (b->good[f->calls[i].to] && b->good_rule[f->calls[i].rule]) f->calls[calls++] = f->calls[i];
        for (uint32_t i = x->empties; i < x[1].empties; i++)
            if (b->good[f->empties[i]]) f->empties[empties++] = f->empties[i];
        *x = begins;
    }
    f->n_bytes = bytes, f->n_calls = calls, f->n_empties = empties;
    fsm_close(f);
}

// Leaves only what can be gone on with to a whole text, so that who is still alive has not lost. *some: is there any?
static bool trim(struct network *w, bool *some) {
    struct back b = {0};
    bool ok = back_init(&b, w);
    if (ok) {
        back_fill(&b, &w->fsm);
        mark_all(&b, &w->fsm);
        drop_edges(&b, &w->fsm);
        *some = b.good[w->first[0]];
    }
    back_free(&b);
    return ok;
}

// ------------------------------------------------------------------------------------------------- tables

static bool overlapping(const struct fsm *f, uint32_t s) {
    for (uint32_t i = f->states[s].bytes; i + 1 < f->states[s + 1].bytes; i++)
        if (f->bytes[i + 1].lo <= f->bytes[i].hi) return true;
    return false;
}

static uint8_t flags_of(const struct fsm *f, uint32_t s) {
    const struct fsm_state *x = &f->states[s];
    bool reads = x->bytes < x[1].bytes, more = x->calls < x[1].calls || x->empties < x[1].empties;
    unsigned wide = 0;
    for (uint32_t i = x->bytes; i < x[1].bytes; i++) wide += f->bytes[i].hi - f->bytes[i].lo + 1u;
    return (uint8_t)((more || x->final ? 0 : STATE_PLAIN) | (reads ? STATE_READS : 0) |
                     (x->final && !more && !reads ? STATE_RETURNS : 0) | (wide >= WIDE_BYTES ? STATE_WIDE : 0));
}

static void mark_alone(struct network *w) {
    const struct fsm *f = &w->fsm;
    for (size_t r = 0; r < w->n_rules; r++) {
        uint32_t from = w->first[r], end = w->first[r + 1];
        bool alone = f->states[from].calls == f->states[end].calls && f->states[from].empties == f->states[end].empties;
        for (uint32_t s = from; s < end && alone; s++) alone = !overlapping(f, s);
        for (uint32_t s = from; s < end && alone; s++) w->flags[s] |= STATE_ALONE;
    }
}

static bool make_tables(struct network *w) {
    const struct fsm *f = &w->fsm;
    size_t rows = 0;
    w->flags = malloc(f->n + 1);
    w->row = malloc((f->n + 1) * sizeof *w->row);
    w->keys = calloc(f->n + 1, sizeof *w->keys);
    if (!w->flags || !w->row || !w->keys) return false;
    for (uint32_t s = 0; s < f->n; s++) {
        bool many = f->states[s + 1].bytes - f->states[s].bytes > EDGES_WITHOUT_ROW;
        w->flags[s] = flags_of(f, s);
        w->row[s] = many && rows < MAX_ROWS && !overlapping(f, s) ? (uint32_t)(256 * rows++) : UINT32_MAX;
    }
    mark_alone(w);
    w->rows = malloc((rows + 1) * 256 * sizeof *w->rows);
    if (!w->rows) return false;
    memset(w->rows, 0xff, rows * 256 * sizeof *w->rows);
    for (uint32_t s = 0; s < f->n; s++)
        for (uint32_t i = f->states[s].bytes; w->row[s] != UINT32_MAX && i < f->states[s + 1].bytes; i++)
            for (unsigned b = f->bytes[i].lo; b <= f->bytes[i].hi; b++) w->rows[w->row[s] + b] = f->bytes[i].to;
    return true;
}

// --------------------------------------------------------------------------------------------------- keys

static uint64_t mix(uint64_t h, uint64_t x) {
    h = (h ^ x) * 0xff51afd7ed558ccdu;
    return h ^ h >> 32;
}

// What may come within `k` bytes, from what may come within k - 1 (Moore, 1956: what k steps cannot tell apart).
static uint64_t look_ahead(const struct fsm *f, uint32_t s, uint32_t base, const uint64_t *old, uint64_t secret,
                           uint64_t own) {
    const struct fsm_state *x = &f->states[s];
    uint64_t h = mix(secret, x->final);
    for (uint32_t i = x->bytes; i < x[1].bytes;) {
        uint64_t to = old[f->bytes[i].to - base];
        unsigned lo = f->bytes[i].lo, hi = f->bytes[i].hi;
        for (i++; i < x[1].bytes && f->bytes[i].lo == hi + 1u && old[f->bytes[i].to - base] == to; i++)
            hi = f->bytes[i].hi;
        h = mix(mix(h, lo << 8 | hi), to);
    }
    for (uint32_t i = x->calls; i < x[1].calls; i++)
        h = mix(mix(h, own + f->calls[i].rule), old[f->calls[i].to - base]);
    for (uint32_t i = x->empties; i < x[1].empties; i++) h = mix(h ^ own, old[f->empties[i] - base]);
    return h;
}

// A rule's keys from its states' classes.
static void keys_of_classes(struct network *w, uint32_t from, uint32_t end, const uint64_t *classes, uint64_t secret) {
    for (uint32_t s = from; s < end; s++) w->keys[s] = mix(mix(secret, UINT64_MAX), classes[s - from]);
}

static void keys_of_steps(struct network *w, uint32_t base, uint32_t end, size_t longest, const uint64_t secret[2],
                          uint64_t own, uint64_t *old) {
    for (uint32_t s = base; s < end; s++) w->keys[s] = secret[1];
    for (size_t round = 0; round <= longest; round++) {
        memcpy(old, w->keys + base, (end - base) * sizeof *old);
        for (uint32_t s = base; s < end; s++) w->keys[s] = look_ahead(&w->fsm, s, base, old, secret[0], own);
    }
}

static bool make_keys(struct network *w, const struct rules *rules, const uint64_t secret[2]) {
    const struct fsm *f = &w->fsm;
    uint64_t own = 0, *old = malloc((f->n + 1) * sizeof *old);
    if (!old || getrandom(&own, sizeof own, 0) != (ssize_t)sizeof own) {
        free(old);
        return false;
    }
    size_t left = MAX_KEY_STEPS;
    for (uint32_t s = 0; s < f->n; s++) w->keys[s] = mix(own, s);
    for (size_t r = 0; r < w->n_rules; r++) {
        uint32_t base = w->first[r], end = w->first[r + 1];
        const uint64_t *classes = rules->items[w->rule_of[r]].classes;
        bool wide = false;
        for (uint32_t s = base; s < end; s++) wide = wide || w->flags[s] & STATE_WIDE;
        size_t edges = end - base + f->states[end].bytes - f->states[base].bytes;
        if (!classes && (!wide || edges > left / (rules->longest + 1))) continue;
        if (classes) {
            keys_of_classes(w, base, end, classes, secret[0]);
        } else {
            left -= edges * rules->longest;
            keys_of_steps(w, base, end, rules->longest, secret, own, old);
        }
        for (uint32_t s = base; s < end; s++)
            if (w->flags[s] & STATE_ALONE) w->flags[s] |= STATE_SHARED;
    }
    free(old);
    return true;
}

bool network_init(struct network *w, const struct rules *r, uint32_t root, const uint64_t secret[2], gyr_error *e) {
    bool some = false;
    *w = (struct network){0};
    bool ok = link_rules(w, r, root) && trim(w, &some);
    if (ok && !some)
        fail(e, GYR_UNSUPPORTED, "%s: no text is valid; parts of it contradict each other", r->what);
    else if (!(ok = ok && make_tables(w) && make_keys(w, r, secret)))
        fail_memory(e, r->what);
    free(w->rule_of);
    w->rule_of = NULL;
    if (ok && some) return true;
    network_free(w);
    return false;
}
