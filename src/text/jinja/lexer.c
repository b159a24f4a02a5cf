// Template text to tokens. The rules for white space around tags are those of Jinja with trim_blocks and
// lstrip_blocks: a newline after a tag goes, and so do blanks between the start of a line and a tag; "-" takes all
// white space on its side, "+" keeps it. {{ }} is touched by "-" only.
#include "text/jinja/lexer.h"
#include "base/utf8.h"
#include "text/jinja/ast.h"
#include "text/jinja/vm.h"

#include <string.h>

struct lexer {
    struct source *s;
    const char *p; // the text
    size_t size, at;
    struct token *tokens;
    size_t n, room;
    bool line_start; // what was read last ended a line
};

static bool push(struct lexer *x, struct token t) {
    if (x->n == x->room) {
        size_t room = x->room ? x->room * 2 : 256;
        struct token *tokens = heap_alloc(x->s->heap, room * sizeof *tokens);
        if (!tokens) return fail_memory(x->s->e, x->s->where);
        if (x->n) memcpy(tokens, x->tokens, x->n * sizeof *tokens);
        x->tokens = tokens;
        x->room = room;
    }
    x->tokens[x->n++] = t;
    return true;
}

static bool push_kind(struct lexer *x, enum token_kind kind) {
    return push(x, (struct token){.kind = kind, .at = x->at});
}

static bool push_text(struct lexer *x, size_t begin, size_t end) {
    if (begin >= end) return true;
    struct str *s = heap_alloc(x->s->heap, sizeof *s);
    if (!s) return fail_memory(x->s->e, x->s->where);
    *s = (struct str){.data = x->p + begin, .size = end - begin};
    return push(x, (struct token){.kind = T_TEXT, .at = begin, .value = {.kind = V_STR, .s = s}});
}

static bool sees(const struct lexer *x, size_t at, const char *what) {
    size_t n = strlen(what);
    return at <= x->size && n <= x->size - at && !memcmp(x->p + at, what, n);
}

static size_t skip_space(const struct lexer *x, size_t at) {
    uint32_t c;
    for (int n; at < x->size && (n = utf8_decode(x->p + at, x->size - at, &c)) && j_is_space(c);) at += (size_t)n;
    return at;
}

// The byte after a tag's end with its "-", "+" and newline, or 0 if `end` is not what stands at `at`.
static size_t tag_end(const struct lexer *x, size_t at, const char *end, bool block) {
    bool minus = sees(x, at, "-"), plus = block && sees(x, at, "+");
    if (!sees(x, at + (minus || plus), end)) return 0;
    at += (minus || plus) + strlen(end);
    if (minus) return skip_space(x, at);
    return at + (block && !plus && sees(x, at, "\n"));
}

// Ends the text before a tag: `sign` is what stands behind the tag's opening.
static bool text_before(struct lexer *x, size_t begin, size_t end, char sign, bool block) {
    struct str s = {.data = x->p + begin, .size = end - begin};
    if (sign == '-') {
        size_t b;
        j_strip(&s, NULL, false, true, &b, &s.size);
    } else if (sign != '+' && block) {
        size_t line = s.size;
        while (line && s.data[line - 1] != '\n') line--;
        struct str rest = {.data = s.data + line, .size = s.size - line};
        size_t b, e;
        j_strip(&rest, NULL, true, false, &b, &e);
        if ((line || x->line_start) && b == e) s.size = line;
    }
    return push_text(x, begin, begin + s.size);
}

// The end of "{% raw %}" that starts at `at`, or 0.
static size_t raw_begin(const struct lexer *x, size_t at) {
    at += 2;
    at += sees(x, at, "-") || sees(x, at, "+");
    at = skip_space(x, at);
    if (!sees(x, at, "raw")) return 0;
    at = skip_space(x, at + 3);
    if (sees(x, at, "-%}")) return skip_space(x, at + 3);
    return sees(x, at, "%}") ? at + 2 : 0;
}

static bool lex_raw(struct lexer *x) {
    for (size_t i = x->at; i < x->size; i++) {
        if (!sees(x, i, "{%")) continue;
        bool sign = sees(x, i + 2, "-") || sees(x, i + 2, "+");
        size_t at = skip_space(x, i + 2 + sign);
        if (!sees(x, at, "endraw")) continue;
        size_t end = tag_end(x, skip_space(x, at + 6), "%}", true);
        if (!end) continue;
        if (!text_before(x, x->at, i, sign ? x->p[i + 2] : 0, true)) return false;
        x->at = end;
        return true;
    }
    return source_fail(x->s->text, x->s->where, x->at, x->s->e, "a {%% raw %%} block is never closed");
}

static bool lex_comment(struct lexer *x, size_t begin) {
    for (size_t i = begin; i < x->size; i++) {
        if (x->p[i] != '#' && x->p[i] != '-' && x->p[i] != '+') continue;
        size_t end = tag_end(x, i, "#}", true);
        if (!end) continue;
        x->at = end;
        return true;
    }
    return source_fail(x->s->text, x->s->where, x->at, x->s->e, "a comment is never closed; write #}");
}

static bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || (c & 0x80);
}

static bool lex_name(struct lexer *x) {
    struct token t = {.kind = T_NAME, .at = x->at, .text = {x->p + x->at, 0}};
    while (x->at < x->size && is_word(x->p[x->at])) x->at++;
    t.text.size = x->at - t.at;
    return push(x, t);
}

static bool lex_op(struct lexer *x, struct buf *open) {
    static const struct {
        char text[3];
        int op;
    } pairs[] = {{"//", OP_FLOORDIV}, {"**", OP_POW}, {"==", OP_EQ}, {"!=", OP_NE}, {"<=", OP_LE}, {">=", OP_GE}};
    struct token t = {.kind = T_OP, .at = x->at};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs && !t.op; i++)
        if (sees(x, x->at, pairs[i].text)) t.op = pairs[i].op;
    char c = x->p[x->at];
    x->at += t.op ? 2 : 1;
    if (!t.op && !strchr("+-/*%~[](){}><=.:|,;", c))
        return source_fail(x->s->text, x->s->where, t.at, x->s->e, "'%c' has no meaning here", c);
    if (!t.op) t.op = (unsigned char)c;
    if (c == '(' || c == '[' || c == '{') buf_putc(open, c == '(' ? ')' : (char)(c + 2));
    if (c == ')' || c == ']' || c == '}') {
        if (!open->size || open->data[open->size - 1] != c)
            return source_fail(x->s->text, x->s->where, t.at, x->s->e, "'%c' closes nothing that is open", c);
        open->size--;
    }
    if (open->failed) return fail_memory(x->s->e, x->s->where);
    return push(x, t);
}

// The inside of {{ }} or {% %}. The closing braces count only where no bracket is open.
static bool lex_inside(struct lexer *x, bool block, struct buf *open) {
    while (x->at < x->size) {
        size_t at = x->at, end = open->size ? 0 : tag_end(x, at, block ? "%}" : "}}", block);
        if (end) {
            if (!push_kind(x, block ? T_BLOCK_END : T_PRINT_END)) return false;
            x->at = end;
            return true;
        }
        x->at = skip_space(x, at);
        if (x->at > at) continue;
        char c = x->p[at];
        bool ok;
        if (c >= '0' && c <= '9') {
            struct token t = {.kind = T_CONST, .at = at};
            ok = lex_number(x->s, &x->at, &t.value) && push(x, t);
        } else if (c == '\'' || c == '"') {
            struct token t = {.kind = T_CONST, .at = at};
            ok = lex_string(x->s, &x->at, &t.value) && push(x, t);
        } else {
            ok = is_word(c) ? lex_name(x) : lex_op(x, open);
        }
        if (!ok) return false;
    }
    return true; // the parser says what is missing
}

static bool lex_tag(struct lexer *x, size_t begin, struct buf *open) {
    char what = x->p[x->at + 1], sign = x->at + 2 < x->size ? x->p[x->at + 2] : 0;
    bool block = what != '{';
    if (sign != '-' && sign != '+') sign = 0;
    size_t raw = what == '%' ? raw_begin(x, x->at) : 0;
    if (!text_before(x, begin, x->at, sign, block)) return false;
    open->size = 0;
    bool ok;
    if (raw) {
        x->line_start = x->p[raw - 1] == '\n';
        x->at = raw;
        ok = lex_raw(x);
    } else if (what == '#') {
        ok = lex_comment(x, x->at + 2 + (sign != 0));
    } else {
        ok = push_kind(x, block ? T_BLOCK_BEGIN : T_PRINT_BEGIN);
        x->at += 2 + (sign != 0);
        ok = ok && lex_inside(x, block, open);
    }
    x->line_start = x->at && x->p[x->at - 1] == '\n';
    return ok;
}

struct token *j_lex(struct source *s) {
    struct lexer x = {.s = s, .p = s->text.data, .size = s->text.size, .line_start = true};
    struct buf open = {0};
    bool ok = true;
    while (ok && x.at < x.size) {
        size_t begin = x.at;
        while (x.at < x.size && !sees(&x, x.at, "{%") && !sees(&x, x.at, "{{") && !sees(&x, x.at, "{#")) x.at++;
        ok = x.at < x.size ? lex_tag(&x, begin, &open) : push_text(&x, begin, x.size);
    }
    buf_free(&open);
    return ok && push_kind(&x, T_END) ? x.tokens : NULL;
}
