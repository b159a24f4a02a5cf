#include "server/prefix.h"

#include "base/buf.h"

#include <stdlib.h>
#include <string.h>

enum { STATES_EACH = 4 }; // of a conversation, of a model that keeps a state

size_t common_tokens(const int32_t *a, size_t n, const int32_t *b, size_t m) {
    size_t most = n < m ? n : m, i = 0;
    while (i < most && a[i] == b[i]) i++;
    return i;
}

static size_t common_of(const struct prefix_cache *c, const struct entry *e, const int32_t *ids, size_t count) {
    size_t length = gyr_session_length(e->session);
    size_t same = common_tokens(gyr_session_tokens(e->session), length, ids, count);
    return c->whole && same < length ? 0 : same;
}

struct entry *prefix_find(struct prefix_cache *c, struct sharers whose, const int32_t *ids, size_t count, double now,
                          size_t *common) {
    struct entry *best = NULL;
    *common = 0;
    for (size_t i = 0; i < c->n; i++) {
        size_t same = same_sharers(c->list[i].whose, whose) ? common_of(c, &c->list[i], ids, count) : 0;
        if (same <= *common) continue;
        best = &c->list[i];
        *common = same;
    }
    if (best) best->used = now;
    return best;
}

static void remove_at(struct prefix_cache *c, size_t i) {
    gyr_session_free(c->list[i].session);
    c->list[i] = c->list[--c->n];
}

bool prefix_drop(struct prefix_cache *c) {
    size_t oldest = 0;
    for (size_t i = 1; i < c->n; i++) {
        const struct entry *a = &c->list[i], *b = &c->list[oldest];
        if (a->kept != b->kept ? a->kept : a->used < b->used) oldest = i;
    }
    if (!c->n) return false;
    remove_at(c, oldest);
    c->dropped++;
    return true;
}

// Whether an entry's tokens are the first of these, or all of them.
static bool begins(const struct entry *e, struct sharers whose, const int32_t *ids, size_t length) {
    size_t theirs = gyr_session_length(e->session);
    return same_sharers(e->whose, whose) && theirs <= length &&
           common_tokens(gyr_session_tokens(e->session), theirs, ids, length) == theirs;
}

// Of a conversation's states, the last few are kept.
static void thin_out(struct prefix_cache *c, struct sharers whose, const int32_t *ids, size_t length) {
    for (;;) {
        size_t n = 0, first = 0;
        for (size_t i = 0; i < c->n; i++) {
            if (!begins(&c->list[i], whose, ids, length)) continue;
            if (!n++ || gyr_session_length(c->list[i].session) < gyr_session_length(c->list[first].session)) first = i;
        }
        if (n < STATES_EACH) return;
        remove_at(c, first);
    }
}

static size_t most_of(const struct prefix_cache *c) {
    uint64_t fit = c->state_bytes ? c->states_room / c->state_bytes : c->most;
    if (fit < STATES_EACH) fit = STATES_EACH;
    return fit < c->most ? (size_t)fit : c->most;
}

void prefix_put(struct prefix_cache *c, gyr_session *session, struct sharers whose, double now, bool passing) {
    if (!session) return;
    size_t length = gyr_session_length(session);
    const int32_t *ids = gyr_session_tokens(session);
    for (size_t i = c->n; i-- > 0;)
        if (begins(&c->list[i], whose, ids, length) && (!c->whole || gyr_session_length(c->list[i].session) == length))
            remove_at(c, i);
    if (c->whole) thin_out(c, whose, ids, length);
    while (c->n && c->n >= most_of(c)) prefix_drop(c);
    if (!length || !c->most || !ARRAY_GROW(c->list, c->n, c->room)) {
        gyr_session_free(session);
        return;
    }
    c->list[c->n++] = (struct entry){session, whose, now, passing || !c->disk};
}

void prefix_let_go(struct prefix_cache *c, const gyr_adapter *adapter) {
    for (size_t i = c->n; i-- > 0;)
        if (c->list[i].whose.adapter == adapter) remove_at(c, i);
}

void prefix_free(struct prefix_cache *c) {
    while (c->n) remove_at(c, c->n - 1);
    free(c->list);
    *c = (struct prefix_cache){0};
}
