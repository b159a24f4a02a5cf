#include "text/grammar/gbnf.h"

#include "base/utf8.h"
#include "format/index.h"
#include "format/json.h"
#include "text/grammar/expr.h"
#include "text/grammar/pattern.h"
#include "text/grammar/schema.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_REPEAT = 1 << 16, INLINE_PARTS = 64 };

struct symbol {
    struct text name;
    uint32_t rule, body; // body: EXPR_NONE until it is defined
    uint32_t size;       // parts of its body, those of the rules it uses among them; 0: not known yet
    size_t used;         // where it was named first
};

struct parser {
    struct exprs x;
    struct rules *rules;
    const char *s;
    size_t size, at, depth;
    struct symbol *symbols;
    size_t n, room;
    struct index names;
    gyr_error *e;
    bool failed;
};

__attribute__((format(printf, 4, 5))) static uint32_t bad_at(struct parser *p, size_t at, gyr_status status,
                                                             const char *format, ...) {
    char why[200];
    va_list args;
    size_t line = 1, column = 1;
    if (p->failed) return EXPR_NONE;
    p->failed = true;
    for (size_t i = 0; i < at && i < p->size; i++) column = p->s[i] == '\n' ? (line++, 1) : column + 1;
    va_start(args, format);
    vsnprintf(why, sizeof why, format, args);
    va_end(args);
    fail(p->e, status, "grammar:%zu:%zu: %s", line, column, why);
    return EXPR_NONE;
}
#define bad(p, ...) bad_at(p, (p)->at, GYR_MALFORMED, __VA_ARGS__)

static bool more(const struct parser *p) { return p->at < p->size && !p->failed; }

static char peek(const struct parser *p) { return more(p) ? p->s[p->at] : 0; }

static bool take(struct parser *p, const char *s) {
    size_t n = strlen(s);
    if (p->failed || p->size - p->at < n || memcmp(p->s + p->at, s, n)) return false;
    p->at += n;
    return true;
}

static void skip_blanks(struct parser *p, bool newlines) {
    for (; more(p); p->at++) {
        char c = peek(p);
        if (c == '#')
            while (p->at + 1 < p->size && p->s[p->at + 1] != '\n') p->at++;
        else if (c != ' ' && c != '\t' && !(newlines && (c == '\n' || c == '\r')))
            return;
    }
}

static bool word_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static struct text name(struct parser *p) {
    size_t from = p->at;
    while (more(p) && word_char(peek(p))) p->at++;
    if (p->at == from) bad(p, "a rule's name is missing");
    return (struct text){p->s + from, p->at - from};
}

// The symbol of that name, which is made where there is none. SIZE_MAX: no memory.
static size_t symbol(struct parser *p, struct text s) {
    size_t i = index_find(&p->names, p->symbols, sizeof *p->symbols, s);
    if (i != SIZE_MAX || p->failed) return i;
    if (!ARRAY_GROW(p->symbols, p->n, p->room)) return SIZE_MAX;
    p->symbols[p->n] = (struct symbol){s, rules_add(p->rules), EXPR_NONE, 0, (size_t)(s.data - p->s)};
    if (index_add(&p->names, p->symbols, sizeof *p->symbols, p->n) == INDEX_NO_MEMORY) return SIZE_MAX;
    return p->n++;
}

static bool out_of_memory(struct parser *p) {
    if (!p->failed) fail_memory(p->e, "grammar");
    return !(p->failed = true);
}

// --------------------------------------------------------------------------------------------------- elements

static uint32_t hex(struct parser *p, int digits) {
    uint32_t value = 0;
    for (int i = 0; i < digits; i++) {
        char c = peek(p), small = (char)(c | 0x20);
        bool letter = small >= 'a' && small <= 'f';
        if (!letter && (c < '0' || c > '9')) return bad(p, "an escape without its %d hexadecimal digits", digits), 0;
        value = value << 4 | (uint32_t)(letter ? small - 'a' + 10 : c - '0');
        p->at++;
    }
    if (value > LAST_CHAR || (value >= 0xd800 && value <= 0xdfff)) bad(p, "an escape that is no character");
    return value;
}

static uint32_t character(struct parser *p) {
    static const char names[] = "trn\\\"[]", values[] = "\t\r\n\\\"[]";
    uint32_t c = 0;
    if (!take(p, "\\")) {
        int size = utf8_decode(p->s + p->at, p->size - p->at, &c);
        if (!size) bad(p, "not UTF-8");
        p->at += (size_t)size;
        return c;
    }
    char letter = peek(p);
    const char *known = letter ? strchr(names, letter) : NULL;
    if (!known && letter != 'x' && letter != 'u' && letter != 'U')
        return bad(p, "an escape that GBNF does not have"), 0;
    p->at++;
    return known ? (uint32_t)values[known - names] : hex(p, letter == 'x' ? 2 : letter == 'u' ? 4 : 8);
}

static uint32_t literal(struct parser *p) {
    uint32_t cat = expr_new(&p->x, EXPR_CAT, 0, 0);
    size_t begin = p->at - 1;
    while (more(p) && peek(p) != '"') expr_add(&p->x, cat, expr_char(&p->x, character(p)));
    return take(p, "\"") ? cat : bad_at(p, begin, GYR_MALFORMED, "a text without its closing quote");
}

static uint32_t class(struct parser *p) {
    struct charset set = {0};
    size_t begin = p->at - 1;
    bool others = take(p, "^");
    while (more(p) && peek(p) != ']') {
        uint32_t lo = character(p), hi = lo;
        if (peek(p) == '-' && p->at + 1 < p->size && p->s[p->at + 1] != ']') {
            p->at++;
            hi = character(p);
        }
        if (hi < lo) bad(p, "a range whose end comes before its beginning");
        charset_add(&set, lo, hi);
    }
    if (!take(p, "]")) bad_at(p, begin, GYR_MALFORMED, "[ without ]");
    charset_sort(&set);
    if (others) charset_invert(&set);
    return expr_class(&p->x, &set);
}

static uint32_t any(struct parser *p) {
    struct charset all = {0};
    charset_invert(&all);
    return expr_class(&p->x, &all);
}

// What stands in braces after %json or %regex; braces in JSON strings and after backslashes do not count.
static struct text embedded(struct parser *p, bool json) {
    size_t begin = p->at, depth = 0;
    bool string = false;
    skip_blanks(p, true);
    size_t from = p->at;
    for (; more(p); p->at++) {
        char c = peek(p);
        if (c == '\\' && (string || !json)) {
            p->at++;
            continue;
        }
        if (json && c == '"') string = !string;
        if (string) continue;
        if (p->at == from && c != '{') break;
        depth += c == '{';
        if (c == '}' && !--depth) {
            p->at++;
            return (struct text){p->s + from, p->at - from};
        }
    }
    bad_at(p, begin, GYR_MALFORMED, "%%json and %%regex are followed by {...}");
    return (struct text){0};
}

static uint32_t schema(struct parser *p) {
    struct text s = embedded(p, true);
    if (p->failed) return EXPR_NONE;
    json_t *j = json_parse_any(s.data, s.size, SCHEMA_DEPTH, "grammar: %json", p->e);
    uint32_t rule = 0;
    p->failed = !j || !schema_add(p->rules, j, &rule, p->e);
    json_decref(j);
    return p->failed ? EXPR_NONE : expr_new(&p->x, EXPR_RULE, rule, EXPR_NONE);
}

static uint32_t regex(struct parser *p) {
    struct text s = embedded(p, false);
    if (p->failed) return EXPR_NONE;
    uint32_t rule = 0;
    p->failed = !regex_add(p->rules, s.data + 1, s.size - 2, &rule, p->e);
    return p->failed ? EXPR_NONE : expr_new(&p->x, EXPR_RULE, rule, EXPR_NONE);
}

static uint32_t alternatives(struct parser *p, bool nested);

static uint32_t group(struct parser *p) {
    size_t begin = p->at - 1;
    if (++p->depth > MAX_EXPRESSION_DEPTH)
        return bad_at(p, begin, GYR_UNSUPPORTED, "groups more than %d deep", MAX_EXPRESSION_DEPTH);
    skip_blanks(p, true);
    uint32_t inside = alternatives(p, true);
    p->depth--;
    return take(p, ")") ? inside : bad_at(p, begin, GYR_MALFORMED, "( without )");
}

static bool number(struct parser *p, uint32_t *n) {
    size_t from = p->at;
    for (*n = 0; peek(p) >= '0' && peek(p) <= '9'; p->at++)
        if (*n < UINT32_MAX / 16) *n = *n * 10 + (uint32_t)(peek(p) - '0');
    return p->at > from;
}

static uint32_t token(struct parser *p) {
    uint32_t id;
    if (!number(p, &id) || !take(p, "]>")) return bad(p, "<[ID]> is a special token by its number");
    return expr_new(&p->x, EXPR_TOKEN, id, 0);
}

static uint32_t element(struct parser *p) {
    if (take(p, "\"")) return literal(p);
    if (take(p, "[")) return class(p);
    if (take(p, "(")) return group(p);
    if (take(p, ".")) return any(p);
    if (take(p, "%json")) return schema(p);
    if (take(p, "%regex")) return regex(p);
    if (take(p, "<[")) return token(p);
    if (peek(p) == '<' || peek(p) == '!')
        return bad_at(p, p->at, GYR_UNSUPPORTED, "of tokens only <[ID]>, for a special one, is supported; spell texts");
    if (!word_char(peek(p))) return bad(p, "an element is missing: a text, a class, a group or a rule's name");
    size_t i = symbol(p, name(p));
    return p->failed || i == SIZE_MAX ? (out_of_memory(p), EXPR_NONE) : expr_new(&p->x, EXPR_RULE, (uint32_t)i, 0);
}

static bool times(struct parser *p, uint32_t *least, uint32_t *most) {
    *least = 0, *most = EXPR_EVER;
    if (take(p, "*")) return true;
    if (take(p, "+")) {
        *least = 1;
        return true;
    }
    if (take(p, "?")) {
        *most = 1;
        return true;
    }
    if (!take(p, "{")) return false;
    skip_blanks(p, true);
    bool some = number(p, least);
    skip_blanks(p, true);
    *most = *least;
    if (take(p, ",")) {
        skip_blanks(p, true);
        if (!number(p, most)) *most = EXPR_EVER;
        skip_blanks(p, true);
    } else if (!some) {
        bad(p, "a repetition without a number");
    }
    if (!take(p, "}")) bad(p, "{ without }");
    if (*least > MAX_REPEAT || (*most != EXPR_EVER && *most > MAX_REPEAT))
        bad_at(p, p->at, GYR_UNSUPPORTED, "more than %d repetitions", MAX_REPEAT);
    else if (*most < *least)
        bad(p, "a repetition whose most is less than its least");
    return true;
}

static uint32_t sequence(struct parser *p, bool nested) {
    uint32_t cat = expr_new(&p->x, EXPR_CAT, 0, 0), least, most;
    while (more(p) && !strchr("|)\r\n", peek(p))) {
        uint32_t made = element(p);
        skip_blanks(p, nested);
        for (int n = 0; times(p, &least, &most) && !p->failed; n++) {
            uint32_t repeat = expr_new(&p->x, EXPR_REPEAT, least, most);
            expr_add(&p->x, repeat, made);
            made = repeat;
            if (n > MAX_EXPRESSION_DEPTH)
                bad_at(p, p->at, GYR_UNSUPPORTED, "more than %d repetitions of each other", MAX_EXPRESSION_DEPTH);
            skip_blanks(p, nested);
        }
        expr_add(&p->x, cat, made);
    }
    return cat;
}

// Alternatives may go on in the next line, if that begins with "|".
static bool bar(struct parser *p, bool nested) {
    size_t back = p->at;
    if (!nested) skip_blanks(p, true);
    if (take(p, "|")) {
        skip_blanks(p, true);
        return true;
    }
    p->at = back;
    return false;
}

static uint32_t alternatives(struct parser *p, bool nested) {
    uint32_t alt = expr_new(&p->x, EXPR_ALT, 0, 0);
    do expr_add(&p->x, alt, sequence(p, nested));
    while (!p->failed && bar(p, nested));
    return alt;
}

static void definition(struct parser *p) {
    size_t begin = p->at, i = symbol(p, name(p));
    if (i == SIZE_MAX) out_of_memory(p);
    skip_blanks(p, false);
    if (!take(p, "::=")) bad(p, "::= is missing");
    if (!p->failed && p->symbols[i].body != EXPR_NONE)
        bad_at(p, begin, GYR_MALFORMED, "rule \"%.*s\" is there twice", (int)p->symbols[i].name.size,
               p->symbols[i].name.data);
    skip_blanks(p, true);
    uint32_t body = alternatives(p, false);
    if (!p->failed) p->symbols[i].body = body;
    if (more(p) && peek(p) != '\n' && peek(p) != '\r') bad(p, "a rule goes on after its end");
    skip_blanks(p, true);
}

// ------------------------------------------------------------------------------------------------- rules

// A rule of few characters is put where it is named: a repetition of it is one automaton then, and needs no calls.
// How many parts an expression has with the rules it names; 0: more than INLINE_PARTS, without a bound, or recursive.
static uint32_t size_of(struct parser *p, uint32_t expr, unsigned depth) {
    const struct expr *x = &p->x.items[expr];
    uint32_t size = 1;
    if (depth > INLINE_PARTS || (x->kind == EXPR_REPEAT && x->b > INLINE_PARTS)) return 0;
    if (x->kind == EXPR_RULE) {
        if (x->b == EXPR_NONE) return 0;
        struct symbol *s = &p->symbols[x->a];
        if (!s->size) {
            s->size = UINT32_MAX; // while it is looked at: a rule that comes back to itself
            uint32_t inside = size_of(p, s->body, depth + 1);
            s->size = inside ? inside : UINT32_MAX;
        }
        return s->size > INLINE_PARTS ? 0 : s->size;
    }
    for (uint32_t i = x->first; i != EXPR_NONE; i = p->x.items[i].next) {
        uint32_t part = size_of(p, i, depth + 1);
        if (!part || (size += part * (x->kind == EXPR_REPEAT ? x->b + 1 : 1)) > INLINE_PARTS) return 0;
    }
    return size;
}

// Names become rules, or what the rules are. Those of schemas have their rule already (`b` is EXPR_NONE).
static void resolve(struct parser *p) {
    for (uint32_t i = 0; i < p->x.n; i++)
        if (p->x.items[i].kind == EXPR_RULE && p->x.items[i].b != EXPR_NONE) size_of(p, i, 0);
    for (uint32_t i = 0; i < p->x.n; i++) {
        struct expr *x = &p->x.items[i];
        if (x->kind != EXPR_RULE || x->b == EXPR_NONE) continue;
        const struct symbol *s = &p->symbols[x->a];
        x->a = s->rule;
        x->b = s->size && s->size <= INLINE_PARTS ? s->body : EXPR_NONE;
    }
}

static bool build(struct parser *p, uint32_t *root) {
    for (size_t i = 0; i < p->n && !p->failed; i++)
        if (p->symbols[i].body == EXPR_NONE)
            bad_at(p, p->symbols[i].used, GYR_MALFORMED, "rule \"%.*s\" is not defined", (int)p->symbols[i].name.size,
                   p->symbols[i].name.data);
    size_t at = index_find(&p->names, p->symbols, sizeof *p->symbols, (struct text){"root", 4});
    if (!p->failed && at == SIZE_MAX) bad(p, "there is no rule \"root\"");
    if (p->failed || p->x.failed || p->rules->nfa.status) return !p->failed && !p->x.failed;
    resolve(p);
    for (size_t i = 0; i < p->n; i++) {
        const struct rule *r = &p->rules->items[p->symbols[i].rule];
        expr_build(&p->x, p->symbols[i].body, &p->rules->nfa, r->start, SPELL_UTF8, r->end);
    }
    *root = p->symbols[at].rule;
    return true;
}

bool gbnf_add(struct rules *r, const char *s, size_t size, uint32_t *root, gyr_error *e) {
    struct parser p = {.rules = r, .s = s, .size = size, .e = e, .x.budget = &r->budget};
    skip_blanks(&p, true);
    while (more(&p)) definition(&p);
    bool ok = build(&p, root);
    if (!ok && p.x.failed && !p.failed) fail_memory(e, "grammar");
    exprs_free(&p.x);
    index_free(&p.names);
    free(p.symbols);
    return ok;
}
