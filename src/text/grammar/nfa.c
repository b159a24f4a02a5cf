#include "text/grammar/nfa.h"

#include "base/buf.h"
#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

void nfa_free(struct nfa *a) {
    free(a->first);
    free(a->edges);
    *a = (struct nfa){0};
}

uint32_t nfa_state(struct nfa *a) {
    if (a->status) return 0;
    if (a->n >= a->limit || !spend(a->budget, 1))
        a->status = GYR_UNSUPPORTED;
    else if (!ARRAY_GROW(a->first, a->n, a->room))
        a->status = GYR_NO_MEMORY;
    if (a->status) return 0;
    a->first[a->n] = NFA_NONE;
    return (uint32_t)a->n++;
}

static void add(struct nfa *a, uint32_t from, struct nfa_edge edge) {
    if (a->status) return;
    if (a->n_edges >= a->limit * 16 || !spend(a->budget, 2))
        a->status = GYR_UNSUPPORTED;
    else if (!ARRAY_GROW(a->edges, a->n_edges, a->edge_room))
        a->status = GYR_NO_MEMORY;
    if (a->status) return;
    edge.next = a->first[from];
    a->edges[a->n_edges] = edge;
    a->first[from] = (uint32_t)a->n_edges++;
}

void nfa_bytes(struct nfa *a, uint32_t from, uint8_t lo, uint8_t hi, uint32_t to) {
    add(a, from, (struct nfa_edge){.to = to, .kind = NFA_BYTES, .lo = lo, .hi = hi});
}

void nfa_empty(struct nfa *a, uint32_t from, uint32_t to) {
    add(a, from, (struct nfa_edge){.to = to, .kind = NFA_EMPTY});
}

void nfa_call(struct nfa *a, uint32_t from, uint32_t rule, uint32_t to) {
    add(a, from, (struct nfa_edge){.to = to, .kind = NFA_CALL, .rule = rule});
}

void nfa_anchor(struct nfa *a, uint32_t from, enum nfa_kind kind, uint32_t to) {
    add(a, from, (struct nfa_edge){.to = to, .kind = (uint8_t)kind});
}

void nfa_text(struct nfa *a, uint32_t from, const char *s, size_t size, uint32_t to) {
    if (!size) nfa_empty(a, from, to);
    for (size_t i = 0; i < size && !a->status; i++) {
        uint32_t next = i + 1 < size ? nfa_state(a) : to;
        nfa_bytes(a, from, (uint8_t)s[i], (uint8_t)s[i], next);
        from = next;
    }
}

// A class being spelled: its ranges share the states in which 1, 2 or 3 more bytes of any character are to come.
struct speller {
    struct nfa *nfa;
    uint32_t from, to;
    uint32_t rest[4]; // rest[k]: k continuation bytes lead from there to `to`; NFA_NONE: not made yet
};

static uint32_t rest(struct speller *s, int k) {
    if (!k) return s->to;
    if (s->rest[k] == NFA_NONE) {
        s->rest[k] = nfa_state(s->nfa);
        nfa_bytes(s->nfa, s->rest[k], 0x80, 0xbf, rest(s, k - 1));
    }
    return s->rest[k];
}

// Characters lo to hi, all of `size` bytes, from byte `at` on; a and b are their spellings.
static void spell_utf8(struct speller *s, uint32_t from, const uint8_t *a, const uint8_t *b, int at, int size) {
    bool all = true;
    for (int i = at + 1; i < size; i++) all = all && a[i] == 0x80 && b[i] == 0xbf;
    if (all || at == size - 1) {
        nfa_bytes(s->nfa, from, a[at], b[at], rest(s, size - 1 - at));
        return;
    }
    if (a[at] == b[at]) {
        uint32_t next = nfa_state(s->nfa);
        nfa_bytes(s->nfa, from, a[at], a[at], next);
        spell_utf8(s, next, a, b, at + 1, size);
        return;
    }
    // The first byte's characters from a on, those of the last byte up to b, and all that lie between.
    uint8_t low[4], high[4];
    memcpy(low, a, 4), memcpy(high, a, 4);
    for (int i = at + 1; i < size; i++) high[i] = 0xbf;
    spell_utf8(s, from, low, high, at, size);
    if (a[at] + 1 < b[at]) nfa_bytes(s->nfa, from, (uint8_t)(a[at] + 1), (uint8_t)(b[at] - 1), rest(s, size - 1 - at));
    memcpy(low, b, 4), memcpy(high, b, 4);
    for (int i = at + 1; i < size; i++) low[i] = 0x80;
    spell_utf8(s, from, low, high, at, size);
}

static void spell_range(struct speller *s, uint32_t lo, uint32_t hi) {
    static const struct char_range sizes[] = {
        {0, 0x7f}, {0x80, 0x7ff}, {0x800, 0xd7ff}, {0xe000, 0xffff}, {0x10000, LAST_CHAR}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint32_t from = lo > sizes[i].lo ? lo : sizes[i].lo, to = hi < sizes[i].hi ? hi : sizes[i].hi;
        if (from > to) continue;
        char a[4] = {0}, b[4] = {0};
        int size = utf8_encode(from, a);
        utf8_encode(to, b);
        spell_utf8(s, s->from, (const uint8_t *)a, (const uint8_t *)b, 0, size);
    }
}

// What a JSON string cannot hold as it is.
static void spell_escaped(struct speller *s, uint32_t c) {
    static const char plain[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    const char *at = c ? strchr(plain, (int)c) : NULL;
    char text[8] = "\\u00";
    if (at) {
        char two[2] = {'\\', letters[at - plain]};
        nfa_text(s->nfa, s->from, two, 2, s->to);
    }
    if (c >= 0x20 || at) return;
    text[4] = (char)('0' + c / 16);
    static const char digits[] = "0123456789abcdef", capitals[] = "0123456789ABCDEF";
    text[5] = digits[c % 16];
    nfa_text(s->nfa, s->from, text, 6, s->to);
    text[5] = capitals[c % 16];
    if (c % 16 > 9) nfa_text(s->nfa, s->from, text, 6, s->to);
}

void nfa_class(struct nfa *a, uint32_t from, const struct charset *set, enum spelling spelling, uint32_t to) {
    struct speller s = {a, from, to, {NFA_NONE, NFA_NONE, NFA_NONE, NFA_NONE}};
    if (!spend(a->budget, set->n) && !a->status) a->status = GYR_UNSUPPORTED;
    for (size_t i = 0; i < set->n && !a->status; i++) {
        uint32_t lo = set->items[i].lo, hi = set->items[i].hi;
        if (spelling == SPELL_UTF8) {
            spell_range(&s, lo, hi);
            continue;
        }
        static const struct char_range plain[] = {{0x20, 0x21}, {0x23, 0x5b}, {0x5d, LAST_CHAR}};
        for (size_t k = 0; k < sizeof plain / sizeof *plain; k++) {
            uint32_t x = lo > plain[k].lo ? lo : plain[k].lo, y = hi < plain[k].hi ? hi : plain[k].hi;
            if (x <= y) spell_range(&s, x, y);
        }
        for (uint32_t c = lo; c <= hi && c <= 0x5c; c++)
            if (c < 0x20 || c == '"' || c == '\\') spell_escaped(&s, c);
    }
}
