#include "text/grammar/grammar_parts.h"

#include <stdlib.h>
#include <string.h>

enum {
    SLOW_NODES = 4096, // a walk that looks at more is remembered the next time
    CLEAN_CALLS = 1024,
};

struct matcher *matcher_new(const struct grammar *g, gyr_error *e) {
    struct matcher *m = calloc(1, sizeof *m);
    if (!m || !machine_init(&m->machine, &g->network)) {
        matcher_free(m);
        return fail_memory(e, "matcher"), NULL;
    }
    m->grammar = (struct grammar *)(uintptr_t)g;
    m->machine.left = g->mask_steps;
    m->clean_at = CLEAN_CALLS;
    m->now = machine_start(&m->machine);
    if (!m->machine.status) return m;
    bool memory = m->machine.status == GYR_NO_MEMORY;
    matcher_free(m);
    if (memory) return fail_memory(e, "matcher"), NULL;
    return fail_null(e, GYR_UNSUPPORTED, "grammar: too ambiguous: its beginning has more than %d readings", MAX_ITEMS);
}

void matcher_free(struct matcher *m) {
    if (!m) return;
    machine_free(&m->machine);
    free(m);
}

bool matcher_ended(const struct matcher *m) { return m->ended; }

static void begin(struct matcher *m) {
    m->machine.left = m->grammar->mask_steps;
    m->machine.status = GYR_OK;
}

static bool check(const struct matcher *m, gyr_error *e) {
    if (!m->machine.status) return true;
    if (m->machine.status == GYR_NO_MEMORY) return fail_memory(e, "matcher");
    return fail(e, GYR_UNSUPPORTED, "grammar: too ambiguous or too deep here: more than %d readings, or %llu steps",
                MAX_ITEMS, (unsigned long long)m->grammar->mask_steps);
}

// ----------------------------------------------------------------------------------------------------- masks

// What is remembered counts as if it were found out now: what a grammar may do does not depend on what was asked
// before.
static const struct memo *charge(struct matcher *m, const struct memo *memo) {
    m->machine.left -= memo->steps < m->machine.left ? memo->steps : m->machine.left;
    if (!m->machine.left && !m->machine.status) m->machine.status = GYR_UNSUPPORTED;
    return memo->mask ? memo : NULL;
}

// The memo of an item's state; NULL: none, and its tokens are to be tried.
static const struct memo *memo_of(struct matcher *m, uint32_t state) {
    struct grammar *g = m->grammar;
    struct lexicon *w = g->lexicon;
    uint8_t flags = g->network.flags[state];
    if (!(flags & STATE_WIDE) && !atomic_load_explicit(&g->hot[state], memory_order_relaxed)) return NULL;
    struct memos *shared = flags & STATE_SHARED ? &w->memos : &g->memos;
    uint64_t key = g->network.keys[state];
    const struct memo *found = memos_find(shared, key);
    if (!found && shared != &g->memos) found = memos_find(&g->memos, key);
    if (found) return charge(m, found);
    struct memo *made = memo_make(&g->network, state, &w->trie, w->vocab, g->mask_steps);
    if (!made) return NULL;
    charge(m, made);
    found = memos_put(shared, made);
    if (!found && shared != &g->memos) found = memos_put(&g->memos, made);
    if (!found) memo_free(made);
    return found && found->mask ? found : NULL;
}

// Adds a memo's tokens, and those that end its rule and fit what comes then.
static void use_memo(struct matcher *m, const struct memo *memo, struct item at, const struct set *newest,
                     uint32_t *allowed) {
    size_t words = (m->grammar->lexicon->vocab + 31) / 32;
    for (size_t i = 0; i < words; i++) allowed[i] |= memo->mask[i];
    if (!memo->after.n) return;
    struct set next = machine_return(&m->machine, newest, at.call);
    if (!m->machine.status && next.n) walk(&m->machine, &memo->after, &next, allowed, NULL);
}

// The items of `from` whose states have no memo, as a set of their own after it.
static struct set without_memos(struct matcher *m, const struct memo **memos) {
    struct machine *x = &m->machine;
    struct set rest = m->now;
    rest.begin = m->now.begin + m->now.n, rest.n = 0;
    for (uint32_t i = 0; i < m->now.n; i++) {
        if (memos[i]) continue;
        x->n_items = rest.begin + rest.n;
        if (!ARRAY_GROW(x->items, x->n_items, x->item_room)) {
            x->status = GYR_NO_MEMORY;
            return rest;
        }
        x->items[x->n_items] = x->items[m->now.begin + i];
        rest.n++;
    }
    return rest;
}

static void fill(struct matcher *m, const struct memo **memos, uint32_t *allowed) {
    struct grammar *g = m->grammar;
    for (uint32_t i = 0; i < m->now.n && !m->machine.status; i++)
        memos[i] = memo_of(m, m->machine.items[m->now.begin + i].state);
    if (m->machine.status) return;
    struct set rest = without_memos(m, memos);
    if (rest.n && walk(&m->machine, &g->lexicon->trie, &rest, allowed, NULL) > SLOW_NODES)
        for (uint32_t i = 0; i < rest.n; i++)
            atomic_store_explicit(&g->hot[m->machine.items[rest.begin + i].state], 1, memory_order_relaxed);
    for (uint32_t i = 0; i < m->now.n && !m->machine.status; i++)
        if (memos[i]) use_memo(m, memos[i], m->machine.items[m->now.begin + i], &m->now, allowed);
}

bool matcher_mask(struct matcher *m, uint32_t *allowed, gyr_error *e) {
    const struct lexicon *w = m->grammar->lexicon;
    memset(allowed, 0, (w->vocab + 31) / 32 * sizeof *allowed);
    if (m->ended) return true;
    begin(m);
    const struct memo **memos = malloc((m->now.n + 1) * sizeof *memos);
    if (!memos) return fail_memory(e, "matcher");
    fill(m, memos, allowed);
    free(memos);
    for (size_t i = 0; m->now.ends && i < w->n_ends; i++)
        allowed[(uint32_t)w->ends[i] / 32] |= (uint32_t)1 << ((uint32_t)w->ends[i] % 32);
    return check(m, e);
}

// ---------------------------------------------------------------------------------------------------- tokens

static void settle(struct matcher *m, struct set now) {
    m->now = now;
    machine_settle(&m->machine, &m->now);
    if (m->machine.n_calls < m->clean_at) return;
    machine_clean(&m->machine, &m->now);
    m->clean_at = 2 * m->machine.n_calls + CLEAN_CALLS;
}

bool matcher_accept(struct matcher *m, int32_t id, gyr_error *e) {
    const struct lexicon *w = m->grammar->lexicon;
    if (id < 0 || (size_t)id >= w->vocab) return fail(e, GYR_USAGE, "token %d: ids are 0 to %zu", id, w->vocab - 1);
    if (m->ended) return fail(e, GYR_USAGE, "token %d: the text has ended", id);
    for (size_t i = 0; i < w->n_ends; i++)
        if (w->ends[i] == id) {
            if (!m->now.ends) return fail(e, GYR_USAGE, "token %d: the text cannot end here", id);
            return m->ended = true;
        }
    struct text s = w->texts[id];
    struct set at = m->now;
    begin(m);
    for (size_t i = 0; i < s.size && !m->machine.status; i++) {
        at = machine_step(&m->machine, &at, (uint8_t)s.data[i]);
        if (!at.n && (!at.ends || i + 1 < s.size)) s.size = 0;
    }
    if (!check(m, e)) return false;
    if (!s.size) return fail(e, GYR_USAGE, "token %d: the grammar does not allow it here", id);
    settle(m, at);
    return true;
}

size_t matcher_feed(struct matcher *m, const char *text, size_t size, bool *whole) {
    size_t i = 0;
    for (; i < size && !m->ended; i++) {
        begin(m);
        struct set next = machine_step(&m->machine, &m->now, (uint8_t)text[i]);
        if (m->machine.status || (!next.n && !next.ends)) break;
        settle(m, next);
    }
    if (whole) *whole = m->now.ends;
    return i;
}
