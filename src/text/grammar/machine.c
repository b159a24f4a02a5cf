#include "text/grammar/machine.h"

#include "base/buf.h"

#include <stdlib.h>
#include <string.h>

// Looking through a few items is faster than hashing.
enum { FEW = 12, MOST_WAYS_COPIED = 4 };

bool machine_init(struct machine *m, const struct network *w) {
    *m = (struct machine){.network = w};
    m->rule_time = calloc(w->n_rules + 1, sizeof *m->rule_time);
    m->rule_call = calloc(w->n_rules + 1, sizeof *m->rule_call);
    return m->rule_time && m->rule_call;
}

void machine_free(struct machine *m) {
    free(m->items);
    free(m->calls);
    free(m->ways);
    free(m->work);
    free(m->seen);
    free(m->rule_time);
    free(m->rule_call);
    *m = (struct machine){0};
}

static void stop(struct machine *m, gyr_status status) {
    if (!m->status) m->status = status;
}

// ------------------------------------------------------------------------------------------- sets being made

static size_t seen_slot(const struct machine *m, uint32_t state, uint32_t call) {
    uint64_t h = ((uint64_t)state << 32 | call) * 0x9e3779b97f4a7c15u;
    size_t i = (size_t)(h >> 32) & (m->n_seen - 1);
    while (m->seen[i].time == m->time && (m->seen[i].state != state || m->seen[i].call != call))
        i = (i + 1) & (m->n_seen - 1);
    return i;
}

static bool seen_grow(struct machine *m) {
    size_t n = m->n_seen ? m->n_seen * 2 : 256;
    struct seen *seen = calloc(n, sizeof *seen);
    if (!seen) return false;
    free(m->seen);
    m->seen = seen, m->n_seen = n;
    return true;
}

static bool known(struct machine *m, uint32_t state, uint32_t call) {
    if (m->n_work < FEW) {
        for (size_t i = 0; i < m->n_work; i++)
            if (m->work[i].state == state && m->work[i].call == call) return true;
        return false;
    }
    bool all = m->n_work == FEW;
    if (m->n_work * 2 >= m->n_seen) {
        if (!seen_grow(m)) {
            stop(m, GYR_NO_MEMORY);
            return true;
        }
        all = true;
    }
    for (size_t i = 0; all && i < m->n_work; i++)
        m->seen[seen_slot(m, m->work[i].state, m->work[i].call)] =
            (struct seen){m->time, m->work[i].state, m->work[i].call};
    size_t slot = seen_slot(m, state, call);
    if (m->seen[slot].time == m->time) return true;
    m->seen[slot] = (struct seen){m->time, state, call};
    return false;
}

static void add(struct machine *m, uint32_t state, uint32_t call) {
    m->left -= !!m->left;
    if (m->status || known(m, state, call)) return;
    if (m->n_work >= MAX_ITEMS || !m->left)
        stop(m, GYR_UNSUPPORTED);
    else if (!ARRAY_GROW(m->work, m->n_work, m->work_room))
        stop(m, GYR_NO_MEMORY);
    else
        m->work[m->n_work++] = (struct item){state, call};
}

static uint32_t new_call(struct machine *m) {
    if (m->n_calls >= MAX_CALLS) stop(m, GYR_UNSUPPORTED);
    if (!m->status && !ARRAY_GROW(m->calls, m->n_calls, m->call_room)) stop(m, GYR_NO_MEMORY);
    if (m->status) return CALL_OUTER;
    m->calls[m->n_calls] = (struct call){.ways = UINT32_MAX, .time = m->time};
    return (uint32_t)m->n_calls++;
}

static void add_way(struct machine *m, uint32_t call, uint32_t state, uint32_t back) {
    // Two of a kind do no harm: add() sees to it.
    uint32_t i = m->calls[call].ways;
    for (int looked = 0; i != UINT32_MAX && looked < FEW; i = m->ways[i].next, looked++)
        if (m->ways[i].state == state && m->ways[i].call == back) return;
    if (m->n_ways >= MAX_CALLS) stop(m, GYR_UNSUPPORTED);
    if (!m->status && !ARRAY_GROW(m->ways, m->n_ways, m->way_room)) stop(m, GYR_NO_MEMORY);
    if (m->status) return;
    m->ways[m->n_ways] = (struct way){state, back, m->calls[call].ways};
    m->calls[call].ways = (uint32_t)m->n_ways++;
    if (m->calls[call].empty) add(m, state, back);
}

static size_t ways_of(const struct machine *m, uint32_t call) {
    size_t n = 0;
    for (uint32_t i = m->calls[call].ways; i != UINT32_MAX && n <= MOST_WAYS_COPIED; i = m->ways[i].next) n++;
    return n;
}

// Calls the rule of an edge. Where nothing is left to do after it, it goes back to where its caller would (Leo, 1991),
// so that a list by right recursion takes no memory; a call made just now may still get more ways.
static void enter(struct machine *m, const struct fsm_call *edge, uint32_t caller) {
    if (m->rule_time[edge->rule] != m->time) {
        uint32_t made = new_call(m);
        if (m->status) return;
        m->rule_time[edge->rule] = m->time;
        m->rule_call[edge->rule] = made;
        add(m, m->network->first[edge->rule], made);
    }
    uint32_t call = m->rule_call[edge->rule];
    bool last = m->network->flags[edge->to] & STATE_RETURNS;
    if (last && caller != CALL_OUTER && m->calls[caller].time != m->time && ways_of(m, caller) <= MOST_WAYS_COPIED) {
        for (uint32_t i = m->calls[caller].ways; i != UINT32_MAX; i = m->ways[i].next)
            add_way(m, call, m->ways[i].state, m->ways[i].call);
    } else {
        add_way(m, call, edge->to, caller);
    }
}

static void leave(struct machine *m, uint32_t call) {
    if (m->calls[call].time == m->time) m->calls[call].empty = true;
    for (uint32_t i = m->calls[call].ways; i != UINT32_MAX && !m->status; i = m->ways[i].next)
        add(m, m->ways[i].state, m->ways[i].call);
}

// Adds all that follows without a byte, and keeps what reads one.
static struct set finish(struct machine *m, bool ends) {
    const struct fsm *f = &m->network->fsm;
    for (size_t i = 0; i < m->n_work && !m->status; i++) {
        struct item at = m->work[i];
        const struct fsm_state *x = &f->states[at.state];
        if (m->network->flags[at.state] & STATE_PLAIN) continue;
        for (uint32_t k = x->calls; k < x[1].calls; k++) enter(m, &f->calls[k], at.call);
        for (uint32_t k = x->empties; k < x[1].empties; k++) add(m, f->empties[k], at.call);
        if (!x->final) continue;
        ends = ends || at.call == CALL_OUTER;
        leave(m, at.call);
    }
    struct set s = {.begin = (uint32_t)m->n_items, .ends = ends};
    for (size_t i = 0; i < m->n_work && !m->status; i++) {
        if (!(m->network->flags[m->work[i].state] & STATE_READS)) continue;
        if (!ARRAY_GROW(m->items, m->n_items, m->item_room))
            stop(m, GYR_NO_MEMORY);
        else
            m->items[m->n_items++] = m->work[i], s.n++;
    }
    s.calls = (uint32_t)m->n_calls, s.ways = (uint32_t)m->n_ways;
    return s;
}

static void begin(struct machine *m, const struct set *after) {
    m->n_work = 0;
    m->time++;
    m->n_items = after ? after->begin + after->n : 0;
    m->n_calls = after ? after->calls : 0;
    m->n_ways = after ? after->ways : 0;
    // Times that have come round would take old calls for new ones: long before, it is over.
    if (m->time > UINT32_MAX - 2) stop(m, GYR_UNSUPPORTED);
}

struct set machine_from(struct machine *m, uint32_t state) {
    begin(m, NULL);
    new_call(m);
    if (m->status) return (struct set){0};
    // The outer call is older than what is done in it.
    m->calls[CALL_OUTER].time = 0;
    add(m, state, CALL_OUTER);
    return finish(m, false);
}

struct set machine_start(struct machine *m) {
    return machine_from(m, m->network->first[0]);
}

struct set machine_return(struct machine *m, const struct set *newest, uint32_t call) {
    begin(m, newest);
    leave(m, call);
    return finish(m, call == CALL_OUTER);
}

struct set machine_step(struct machine *m, const struct set *at, uint8_t b) {
    const struct network *w = m->network;
    begin(m, at);
    if (at->n == 1 && w->row[m->items[at->begin].state] != UINT32_MAX) {
        struct item next = m->items[at->begin];
        next.state = w->rows[w->row[next.state] + b];
        if (next.state == FSM_DEAD) return (struct set){.calls = at->calls, .ways = at->ways};
        if (w->flags[next.state] & STATE_PLAIN && m->n_items < m->item_room) {
            m->items[m->n_items] = next;
            m->left -= !!m->left;
            return (struct set){(uint32_t)m->n_items++, 1, at->calls, at->ways, false};
        }
        add(m, next.state, next.call);
        return finish(m, false);
    }
    for (uint32_t i = at->begin; i < at->begin + at->n; i++) {
        struct item x = m->items[i];
        if (w->row[x.state] != UINT32_MAX) {
            uint32_t to = w->rows[w->row[x.state] + b];
            if (to != FSM_DEAD) add(m, to, x.call);
            continue;
        }
        const struct fsm_state *s = &w->fsm.states[x.state];
        for (uint32_t k = s->bytes; k < s[1].bytes && w->fsm.bytes[k].lo <= b; k++)
            if (w->fsm.bytes[k].hi >= b) add(m, w->fsm.bytes[k].to, x.call);
    }
    // Looking through many items for nothing is work, too.
    m->left -= m->left < at->n ? m->left : at->n;
    if (!m->left) stop(m, GYR_UNSUPPORTED);
    if (!m->n_work && !m->status) return (struct set){.calls = at->calls, .ways = at->ways};
    return finish(m, false);
}

// --------------------------------------------------------------------------------------------- forgetting

// A call that is still needed gets a new number, in the order of the old ones.
static bool renumber(struct machine *m, const struct set *s, uint32_t *number) {
    uint32_t *stack = malloc((m->n_calls + 1) * sizeof *stack);
    size_t n = 0;
    if (!stack) return false;
    memset(number, 0xff, m->n_calls * sizeof *number);
    number[CALL_OUTER] = 0;
    for (uint32_t i = s->begin; i < s->begin + s->n; i++) {
        uint32_t c = m->items[i].call;
        if (number[c] == UINT32_MAX) number[c] = 0, stack[n++] = c;
    }
    while (n)
        for (uint32_t i = m->calls[stack[--n]].ways, c; i != UINT32_MAX; i = m->ways[i].next)
            if (number[c = m->ways[i].call] == UINT32_MAX) number[c] = 0, stack[n++] = c;
    uint32_t next = 0;
    for (size_t i = 0; i < m->n_calls; i++)
        if (number[i] != UINT32_MAX) number[i] = next++;
    free(stack);
    return true;
}

void machine_settle(struct machine *m, struct set *s) {
    if (s->n) memmove(m->items, m->items + s->begin, s->n * sizeof *m->items);
    s->begin = 0, m->n_items = s->n;
}

void machine_clean(struct machine *m, struct set *s) {
    uint32_t *number = NULL;
    size_t n_calls = 0, n_ways = 0;
    m->n_calls = s->calls, m->n_ways = s->ways;
    number = malloc((m->n_calls + 1) * sizeof *number);
    struct way *ways = malloc((m->n_ways + 1) * sizeof *ways);
    if (number && ways && renumber(m, s, number)) {
        for (size_t i = 0; i < m->n_calls; i++) {
            if (number[i] == UINT32_MAX) continue;
            struct call c = m->calls[i];
            uint32_t old = c.ways;
            c.ways = UINT32_MAX;
            for (; old != UINT32_MAX; old = m->ways[old].next) {
                ways[n_ways] = (struct way){m->ways[old].state, number[m->ways[old].call], c.ways};
                c.ways = (uint32_t)n_ways++;
            }
            m->calls[n_calls++] = c;
        }
        for (uint32_t i = 0; i < s->n; i++) m->items[i].call = number[m->items[i].call];
        memcpy(m->ways, ways, n_ways * sizeof *ways);
        m->n_calls = n_calls, m->n_ways = n_ways;
        s->calls = (uint32_t)n_calls, s->ways = (uint32_t)n_ways;
    }
    free(number);
    free(ways);
}
