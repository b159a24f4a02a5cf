#include "text/grammar/memo.h"

#include <stdlib.h>
#include <string.h>

enum {
    CHEAP_NODES = 2048,  // a walk that looks at fewer is not worth a memo
    MAX_AFTER = 1 << 16, // tokens in which the rule ends
    MAX_DEPTH = MAX_TOKEN_BYTES + 1,
};

static bool add_ended(struct ended *e, size_t node) {
    if (!ARRAY_GROW(e->nodes, e->n, e->room)) return false;
    e->nodes[e->n++] = (uint32_t)node;
    return true;
}

size_t walk(struct machine *m, const struct trie *t, const struct set *from, uint32_t *mask, struct ended *ended) {
    struct set *sets = malloc((t->longest + 1) * sizeof *sets);
    size_t looked = 0;
    if (!sets) {
        m->status = GYR_NO_MEMORY;
        return 0;
    }
    sets[0] = *from;
    for (size_t i = 0; i < t->n && !m->status; looked++) {
        const struct trie_node *x = &t->nodes[i];
        struct set *s = &sets[x->depth];
        *s = machine_step(m, &sets[x->depth - 1], x->byte);
        if (!s->n && !s->ends) {
            i += x->skip;
            continue;
        }
        for (uint32_t k = x->tokens; k < x[1].tokens; k++) {
            uint32_t id = (uint32_t)t->tokens[k];
            mask[id / 32] |= (uint32_t)1 << (id % 32);
        }
        if (s->ends && ended && x->skip > 1 && !add_ended(ended, i)) m->status = GYR_NO_MEMORY;
        i += s->n ? 1 : x->skip;
    }
    free(sets);
    return looked;
}

// ----------------------------------------------------------------------------------------------- one memo

void memo_free(struct memo *m) {
    if (!m) return;
    free(m->mask);
    trie_free(&m->after);
    free(m);
}

// The texts below the nodes in `ended`, each from there on.
enum collected { COLLECTED, COLLECTED_TOO_MUCH, COLLECTED_NO_MEMORY };
static enum collected collect(struct trie *after, const struct trie *t, const struct ended *ended) {
    size_t n = 0, used = 0, bytes = 0;
    for (size_t i = 0; i < ended->n; i++) {
        const struct trie_node *x = &t->nodes[ended->nodes[i]];
        for (size_t k = 1; k < x->skip; k++) {
            size_t here = x[k + 1].tokens - x[k].tokens;
            n += here, bytes += here ? x[k].depth - x->depth + 0u : 0;
        }
        if (n > MAX_AFTER) return COLLECTED_TOO_MUCH;
    }
    struct trie_item *items = malloc((n + 1) * sizeof *items);
    char *texts = malloc(bytes + 1), path[MAX_DEPTH];
    bool ok = items && texts;
    for (size_t i = 0, at = 0; ok && i < ended->n; i++) {
        const struct trie_node *x = &t->nodes[ended->nodes[i]];
        for (size_t k = 1; k < x->skip; k++) {
            size_t size = x[k].depth - x->depth + 0u;
            path[size - 1] = (char)x[k].byte;
            if (x[k].tokens == x[k + 1].tokens) continue;
            memcpy(texts + at, path, size);
            for (uint32_t id = x[k].tokens; id < x[k + 1].tokens; id++)
                items[used++] = (struct trie_item){{texts + at, size}, t->tokens[id]};
            at += size;
        }
    }
    ok = ok && trie_init(after, items, used);
    free(items);
    free(texts);
    return ok ? COLLECTED : COLLECTED_NO_MEMORY;
}

// walk() for a state of a rule that is alone: one state a byte is all there is to know.
static size_t walk_alone(struct machine *m, uint32_t state, const struct trie *t, uint32_t *mask, struct ended *ended) {
    const struct network *w = m->network;
    uint32_t *states = malloc((t->longest + 1) * sizeof *states);
    size_t looked = 0;
    if (!states) {
        m->status = GYR_NO_MEMORY;
        return 0;
    }
    states[0] = state;
    for (size_t i = 0; i < t->n; looked++) {
        const struct trie_node *x = &t->nodes[i];
        uint32_t to = network_step(w, states[x->depth - 1], x->byte);
        if (to == FSM_DEAD) {
            i += x->skip;
            continue;
        }
        states[x->depth] = to;
        for (uint32_t k = x->tokens; k < x[1].tokens; k++) {
            uint32_t id = (uint32_t)t->tokens[k];
            mask[id / 32] |= (uint32_t)1 << (id % 32);
        }
        if (w->fsm.states[to].final && x->skip > 1 && !add_ended(ended, i)) m->status = GYR_NO_MEMORY;
        i++;
    }
    free(states);
    return looked;
}

// The set of the state alone: what it calls, and what it goes on to by nothing, are items with memos of their own.
static struct set begin_alone(struct machine *m, uint32_t state) {
    struct set from = machine_from(m, state);
    for (uint32_t i = from.begin; i < from.begin + from.n; i++)
        if (m->items[i].state == state && m->items[i].call == CALL_OUTER)
            return (struct set){i, 1, from.calls, from.ways, false};
    return (struct set){0};
}

static bool fill(struct memo *made, struct machine *m, uint32_t state, const struct trie *vocabulary, size_t words) {
    struct ended ended = {0};
    bool alone = m->network->flags[state] & STATE_ALONE;
    struct set from = alone ? (struct set){0} : begin_alone(m, state);
    size_t looked =
        alone ? walk_alone(m, state, vocabulary, made->mask, &ended) : walk(m, vocabulary, &from, made->mask, &ended);
    if (alone) m->left -= looked / 2 < m->left ? looked / 2 : m->left;
    bool worth = looked > CHEAP_NODES && !m->status && ended.n <= MAX_AFTER;
    enum collected got = worth ? collect(&made->after, vocabulary, &ended) : COLLECTED_TOO_MUCH;
    free(ended.nodes);
    made->bytes = sizeof *made;
    if (got == COLLECTED) {
        made->bytes += words * sizeof *made->mask + made->after.n * sizeof *made->after.nodes +
                       made->after.n_tokens * sizeof *made->after.tokens;
    } else {
        free(made->mask);
        made->mask = NULL;
    }
    return got != COLLECTED_NO_MEMORY && m->status != GYR_NO_MEMORY;
}

struct memo *memo_make(const struct network *w, uint32_t state, const struct trie *vocabulary, size_t vocab,
                       uint64_t most) {
    struct machine m;
    size_t words = (vocab + 31) / 32;
    struct memo *made = calloc(1, sizeof *made);
    bool ok = machine_init(&m, w) && made && (made->mask = calloc(words, sizeof *made->mask));
    m.left = most;
    if (ok) made->key = w->keys[state];
    ok = ok && fill(made, &m, state, vocabulary, words);
    if (ok) made->steps = most - m.left;
    machine_free(&m);
    if (ok) return made;
    memo_free(made);
    return NULL;
}

// -------------------------------------------------------------------------------------------------- all

void memos_init(struct memos *m, size_t limit) {
    *m = (struct memos){.limit = limit};
    pthread_mutex_init(&m->lock, NULL);
}

void memos_free(struct memos *m) {
    for (size_t i = 0; i < m->n_slots; i++) memo_free(m->slots[i]);
    free(m->slots);
    pthread_mutex_destroy(&m->lock);
}

static size_t slot_of(const struct memos *m, uint64_t key) {
    size_t i = (size_t)key & (m->n_slots - 1);
    while (m->slots[i] && m->slots[i]->key != key) i = (i + 1) & (m->n_slots - 1);
    return i;
}

const struct memo *memos_find(struct memos *m, uint64_t key) {
    pthread_mutex_lock(&m->lock);
    const struct memo *found = m->n_slots ? m->slots[slot_of(m, key)] : NULL;
    pthread_mutex_unlock(&m->lock);
    return found;
}

static bool grow(struct memos *m) {
    if (m->n * 2 < m->n_slots) return true;
    size_t n = m->n_slots, more = n ? n * 2 : 64;
    struct memo **old = m->slots, **slots = calloc(more, sizeof(struct memo *));
    if (!slots) return false;
    m->slots = slots, m->n_slots = more;
    for (size_t i = 0; i < n; i++)
        if (old[i]) m->slots[slot_of(m, old[i]->key)] = old[i];
    free(old);
    return true;
}

const struct memo *memos_put(struct memos *m, struct memo *memo) {
    size_t bytes = memo->bytes;
    const struct memo *kept = NULL;
    pthread_mutex_lock(&m->lock);
    size_t slot = m->n_slots ? slot_of(m, memo->key) : 0;
    if (m->n_slots && m->slots[slot]) {
        kept = m->slots[slot];
        memo_free(memo);
    } else if (m->bytes + bytes <= m->limit && grow(m)) {
        m->slots[slot_of(m, memo->key)] = memo;
        m->n++, m->bytes += bytes;
        kept = memo;
    }
    pthread_mutex_unlock(&m->lock);
    return kept;
}
