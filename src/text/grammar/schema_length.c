// Strings whose characters are counted and otherwise free: a row of the automaton of one character. Rows are made at
// once, not from an nfa: they are most of what many schemas are made of.
#include "text/grammar/schema_parts.h"

#include <stdlib.h>

// Longest row; longer strings are rows one after the other.
enum { BLOCK = 1024, MAX_BLOCKS = MAX_NFA / 4, STEPS_OF_STATE = 4, STEPS_OF_EDGE = 2, CHAR_STATES = 64 };

// Classes of states beside a character's.
enum { OPENING = CHAR_STATES, CLOSED };

// A character of a string whose content is free: in UTF-8, or escaped in any way that JSON has. Halves of surrogate
// pairs come in pairs only.
static void any_char(struct nfa *a, uint32_t from, uint32_t to) {
    struct charset plain = {0};
    charset_add(&plain, 0x20, 0x21);
    charset_add(&plain, 0x23, 0x5b);
    charset_add(&plain, 0x5d, 0xd7ff);
    charset_add(&plain, 0xe000, LAST_CHAR);
    if (plain.failed) a->status = GYR_NO_MEMORY;
    nfa_class(a, from, &plain, SPELL_UTF8, to);
    charset_free(&plain);
    uint32_t escape = nfa_state(a), u = nfa_state(a), x[4], y[6];
    nfa_bytes(a, from, '\\', '\\', escape);
    for (const char *s = "\"\\/bfnrt"; *s; s++) nfa_bytes(a, escape, (uint8_t)*s, (uint8_t)*s, to);
    nfa_bytes(a, escape, 'u', 'u', u);
    for (int i = 0; i < 3; i++) x[i] = nfa_state(a);
    for (int i = 0; i < 6; i++) y[i] = nfa_state(a);
    static const struct {
        char lo, hi;
    } digits[] = {{'0', '9'}, {'a', 'f'}, {'A', 'F'}},
      not_d[] = {{'0', '9'}, {'a', 'c'}, {'A', 'C'}, {'e', 'f'}, {'E', 'F'}};
#define EACH(table, from, to)                                                                                          \
    for (size_t k_ = 0; k_ < sizeof table / sizeof *table; k_++)                                                       \
    nfa_bytes(a, from, (uint8_t)table[k_].lo, (uint8_t)table[k_].hi, to)
    EACH(not_d, u, x[0]);
    EACH(digits, x[0], x[1]);
    EACH(digits, x[1], x[2]);
    EACH(digits, x[2], to);
    // D000 to D7FF, and D800 to DBFF with its other half.
    uint32_t d = nfa_state(a);
    nfa_bytes(a, u, 'd', 'd', d);
    nfa_bytes(a, u, 'D', 'D', d);
    nfa_bytes(a, d, '0', '7', x[1]);
    x[3] = nfa_state(a);
    nfa_bytes(a, d, '8', '9', x[3]);
    nfa_bytes(a, d, 'a', 'b', x[3]);
    nfa_bytes(a, d, 'A', 'B', x[3]);
    EACH(digits, x[3], y[0]);
    EACH(digits, y[0], y[1]);
    nfa_text(a, y[1], "\\u", 2, y[2]);
    nfa_bytes(a, y[2], 'd', 'd', y[3]);
    nfa_bytes(a, y[2], 'D', 'D', y[3]);
    nfa_bytes(a, y[3], 'c', 'f', y[4]);
    nfa_bytes(a, y[3], 'C', 'F', y[4]);
    EACH(digits, y[4], x[2]);
#undef EACH
}

static const struct fsm *one_char(struct compiler *c) {
    struct fsm *f = &c->any_char;
    if (f->n || f->status) return f;
    struct nfa a = {.limit = BLOCK, .budget = &c->rules->budget};
    uint32_t from = nfa_state(&a), to = nfa_state(&a);
    any_char(&a, from, to);
    f->status = a.status;
    if (!a.status) fsm_determinize(f, &a, from, to, BLOCK, NULL, a.budget);
    nfa_free(&a);
    return f;
}

// A part of a string, with and without its quotes.
struct row {
    bool open, close;
    size_t least, most; // SIZE_MAX: any number
};

// A row being made. A character's states but the last stand at each place; the last is the first of the next place.
struct maker {
    const struct fsm *one;
    struct row row;
    struct fsm *out;
    size_t longest;
    size_t places;                // that a character may begin at
    uint32_t number[CHAR_STATES]; // of a character's states, within a place
    uint32_t n;                   // how many those are
};

static bool begin(struct maker *m) {
    m->places = m->row.most == SIZE_MAX ? m->row.least + 1 : m->row.most;
    if (m->one->status || m->one->n > CHAR_STATES) return false;
    for (uint32_t s = 0; s < m->one->n; s++)
        if (!m->one->states[s].final) m->number[s] = m->n++;
    return true;
}

static uint32_t state_of(const struct maker *m, size_t place, uint32_t state) {
    uint32_t base = m->row.open;
    if (!m->one->states[state].final) return base + (uint32_t)place * m->n + m->number[state];
    if (m->row.most == SIZE_MAX && place == m->row.least) return base + (uint32_t)place * m->n;
    return base + (uint32_t)(place + 1) * m->n;
}

// The state behind the closing quote comes after all others.
static uint32_t end_of(const struct maker *m) {
    return (uint32_t)(m->row.open + m->places * m->n) + (m->row.most != SIZE_MAX);
}

static void add_state(struct maker *m, size_t place, uint32_t state) {
    const struct fsm *one = m->one;
    bool quote = !state && m->row.close && place >= m->row.least;
    fsm_begin(m->out, false);
    for (uint32_t k = one->states[state].bytes; k < one->states[state + 1].bytes; k++) {
        if (quote && one->bytes[k].lo > '"') fsm_add_bytes(m->out, '"', '"', end_of(m)), quote = false;
        fsm_add_bytes(m->out, one->bytes[k].lo, one->bytes[k].hi, state_of(m, place, one->bytes[k].to));
    }
}

// How far off the places are from which on the string may end, and where it must: as far as a token can tell.
static uint64_t class_of(const struct maker *m, size_t place, uint32_t state) {
    size_t far = m->longest + 1, least = m->row.least > place ? m->row.least - place : 0, most = far;
    if (m->row.most != SIZE_MAX && m->row.most - place < far) most = m->row.most - place;
    return (uint64_t)state << 33 | (uint64_t)m->row.close << 32 | (least < far ? least : far) << 16 | most;
}

static uint64_t *classes_of(const struct maker *m) {
    uint64_t *made = malloc(m->out->n * sizeof *made);
    size_t n = 0;
    if (!made) return NULL;
    if (m->row.open) made[n++] = class_of(m, 0, OPENING);
    for (size_t place = 0; place < m->places; place++)
        for (uint32_t s = 0; s < m->one->n; s++)
            if (!m->one->states[s].final) made[n++] = class_of(m, place, s);
    if (m->row.most != SIZE_MAX) made[n++] = class_of(m, m->places, 0);
    if (m->row.close) made[n++] = (uint64_t)CLOSED << 33;
    return made;
}

static void make(struct maker *m) {
    if (m->row.open) {
        fsm_begin(m->out, false);
        fsm_add_bytes(m->out, '"', '"', 1);
    }
    for (size_t place = 0; place < m->places && !m->out->status; place++)
        for (uint32_t s = 0; s < m->one->n; s++)
            if (!m->one->states[s].final) add_state(m, place, s);
    if (m->row.most != SIZE_MAX) {
        fsm_begin(m->out, !m->row.close);
        if (m->row.close) fsm_add_bytes(m->out, '"', '"', end_of(m));
    }
    if (m->row.close) fsm_begin(m->out, true);
    fsm_close(m->out);
}

// The rule of a row; of one kind there is one.
static uint32_t row_rule(struct compiler *c, struct row row) {
    struct fsm f = {0};
    struct maker m = {.one = one_char(c), .row = row, .out = &f, .longest = c->rules->longest};
    for (size_t i = 0; i < c->n_rows; i++) {
        struct row_of *x = &c->rows[i];
        if (x->open == row.open && x->close == row.close && x->least == row.least && x->most == row.most)
            return x->rule;
    }
    if (!schema_spend(c, c->n_rows) || !begin(&m)) return c->rules->nfa.status = GYR_UNSUPPORTED, 0;
    if (!schema_spend(c, m.places * (m.n * STEPS_OF_STATE + m.one->n_bytes * STEPS_OF_EDGE))) return 0;
    make(&m);
    uint64_t *classes = f.status ? NULL : classes_of(&m);
    if (!f.status && !classes) f.status = GYR_NO_MEMORY;
    uint32_t rule = rules_add_made(c->rules, &f, classes);
    if (!ARRAY_GROW(c->rows, c->n_rows, c->row_room)) return schema_no_memory(c), 0;
    c->rows[c->n_rows++] = (struct row_of){row.open, row.close, row.least, row.most, rule};
    return rule;
}

uint32_t schema_any_string(struct compiler *c) { return row_rule(c, (struct row){true, true, 0, SIZE_MAX}); }

static uint32_t add_row(struct compiler *c, uint32_t from, struct row row) {
    uint32_t to = nfa_state(&c->rules->nfa);
    nfa_call(&c->rules->nfa, from, row_rule(c, row), to);
    return to;
}

void emit_length(struct compiler *c, size_t least, size_t most, uint32_t from, uint32_t to) {
    struct nfa *a = &c->rules->nfa;
    size_t count = most == SIZE_MAX ? least : most;
    if (count <= BLOCK) {
        nfa_call(a, from, row_rule(c, (struct row){true, true, least, most}), to);
        return;
    }
    if (count / BLOCK > MAX_BLOCKS) {
        a->status = GYR_UNSUPPORTED;
        return;
    }
    struct row block = {false, false, BLOCK, BLOCK}, rest = {false, true, 0, BLOCK - 1};
    uint32_t at = add_row(c, from, (struct row){true, false, least % BLOCK, least % BLOCK});
    for (size_t i = 0; i < least / BLOCK && !a->status && !c->failed; i++) at = add_row(c, at, block);
    if (most == SIZE_MAX) {
        nfa_call(a, at, row_rule(c, (struct row){false, true, 0, SIZE_MAX}), to);
        return;
    }
    size_t more = most - least;
    for (size_t i = 0; i < more / BLOCK && !a->status && !c->failed; i++) {
        nfa_call(a, at, row_rule(c, rest), to);
        at = add_row(c, at, block);
    }
    nfa_call(a, at, row_rule(c, (struct row){false, true, 0, more % BLOCK}), to);
}
