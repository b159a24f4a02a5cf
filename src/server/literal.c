#include "server/literal.h"

#include "base/utf8.h"

#include <ctype.h>
#include <string.h>

enum state {
    WANT_VALUE,
    WANT_VALUE_OR_END,
    WANT_KEY,
    WANT_KEY_OR_END,
    WANT_COLON,
    AFTER_VALUE,
    DELIMITER,
    STRING,
    ESCAPE,
    DIGITS,
    WORD,
    DONE
};

static const char *const gemma_delimiters[] = {"<|\"|>", "<escape>"};

void literal_begin(struct literal *l, enum literal_dialect dialect, char opened, struct buf *out) {
    *l = (struct literal){.dialect = dialect, .out = out, .watch = 1, .state = WANT_VALUE};
    if (!opened) return;
    l->stack[l->depth++] = opened;
    l->state = WANT_KEY_OR_END;
    buf_putc(out, '{');
}

void literal_quote(struct buf *out, const char *s, size_t size) {
    static const char names[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    for (size_t i = 0; i < size; i++) {
        const char *known = s[i] ? strchr(names, s[i]) : NULL;
        if (known)
            buf_printf(out, "\\%c", letters[known - names]);
        else if ((unsigned char)s[i] < 0x20)
            buf_printf(out, "\\u%04x", s[i]);
        else
            buf_putc(out, s[i]);
    }
}

static bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

static char innermost(const struct literal *l) { return l->depth ? l->stack[l->depth - 1] : 0; }

// What follows a value.
static enum literal_result value_ended(struct literal *l) {
    if (l->depth == l->watch) {
        l->seen |= LITERAL_VALUE_ENDS;
        l->value_to = l->out->size;
    }
    l->state = l->depth ? AFTER_VALUE : DONE;
    return l->depth ? LITERAL_MORE : LITERAL_DONE;
}

static enum literal_result string_ended(struct literal *l) {
    buf_putc(l->out, '"');
    if (!l->key) return value_ended(l);
    if (l->depth == l->watch) {
        l->seen |= LITERAL_KEY;
        l->key_to = l->out->size;
    }
    l->state = WANT_COLON;
    return LITERAL_MORE;
}

static enum literal_result begin_string(struct literal *l, const char *delimiter) {
    buf_putc(l->out, '"');
    l->delimiter = delimiter;
    l->matched = 0;
    l->state = STRING;
    return LITERAL_MORE;
}

static enum literal_result open_container(struct literal *l, char c) {
    if (l->depth == LITERAL_DEPTH) return LITERAL_BROKEN;
    l->stack[l->depth++] = c;
    buf_putc(l->out, c);
    l->state = c == '[' ? WANT_VALUE_OR_END : WANT_KEY_OR_END;
    return LITERAL_MORE;
}

static enum literal_result close_container(struct literal *l, char c) {
    char open = innermost(l);
    if (c != (open == '[' ? ']' : open == '{' ? '}' : ')')) return LITERAL_BROKEN;
    buf_putc(l->out, open == '[' ? ']' : '}');
    l->depth--;
    return value_ended(l);
}

static enum literal_result begin_word(struct literal *l, char c) {
    l->word[0] = c;
    l->word_size = 1;
    l->state = WORD;
    return LITERAL_MORE;
}

// A string or a word; `key` says of what.
static enum literal_result begin_scalar(struct literal *l, char c, bool key) {
    bool named = key && innermost(l) == '(', bare = l->dialect == LITERAL_GEMMA;
    l->key = key;
    if (key && l->depth == l->watch) l->key_from = l->out->size;
    if (named) return isalpha((unsigned char)c) || c == '_' ? begin_word(l, c) : LITERAL_BROKEN;
    if (c == '"') return begin_string(l, "\"");
    if (c == '\'' && l->dialect == LITERAL_PYTHON) return begin_string(l, "'");
    if (c == '<' && bare) {
        l->state = DELIMITER;
        l->matched = 1;
        return LITERAL_MORE;
    }
    if (isalnum((unsigned char)c) || c == '-' || (bare && !strchr(",:{}[]()", c)))
        return key && !bare ? LITERAL_BROKEN : begin_word(l, c);
    return LITERAL_BROKEN;
}

static enum literal_result begin_value(struct literal *l, char c) {
    if (l->depth == l->watch) {
        l->seen |= LITERAL_VALUE;
        l->value_from = l->out->size;
    }
    return c == '{' || c == '[' ? open_container(l, c) : begin_scalar(l, c, false);
}

static enum literal_result after_value(struct literal *l, char c) {
    if (c != ',') return close_container(l, c);
    bool tail = l->dialect == LITERAL_PYTHON; // a comma may be the last
    buf_puts(l->out, l->dialect == LITERAL_JSON ? "," : tail ? "" : ", ");
    l->state = innermost(l) == '[' ? (tail ? WANT_VALUE_OR_END : WANT_VALUE) : (tail ? WANT_KEY_OR_END : WANT_KEY);
    return LITERAL_MORE;
}

// A comma of Python's is written with what follows it.
static void write_comma(struct literal *l) {
    char last = l->out->size ? l->out->data[l->out->size - 1] : 0;
    if (l->dialect == LITERAL_PYTHON && last != '{' && last != '[' && l->depth) buf_puts(l->out, ", ");
}

static enum literal_result colon(struct literal *l, char c) {
    if (c != (innermost(l) == '(' ? '=' : ':')) return LITERAL_BROKEN;
    buf_puts(l->out, l->dialect == LITERAL_JSON ? ":" : ": ");
    l->state = WANT_VALUE;
    return LITERAL_MORE;
}

// JSON's grammar of numbers.
static bool is_number(const char *s, size_t size) {
    size_t i = size && s[0] == '-';
    size_t digits = i;
    while (i < size && isdigit((unsigned char)s[i])) i++;
    if (i == digits || (s[digits] == '0' && i > digits + 1)) return false;
    if (i < size && s[i] == '.') {
        digits = ++i;
        while (i < size && isdigit((unsigned char)s[i])) i++;
        if (i == digits) return false;
    }
    if (i < size && (s[i] == 'e' || s[i] == 'E')) {
        i += i + 1 < size && (s[i + 1] == '+' || s[i + 1] == '-') ? 2 : 1;
        digits = i;
        while (i < size && isdigit((unsigned char)s[i])) i++;
        if (i == digits) return false;
    }
    return i == size;
}

static enum literal_result word_ended(struct literal *l) {
    static const char *const words[][2] = {{"true", "true"}, {"false", "false"}, {"null", "null"},
                                           {"True", "true"}, {"False", "false"}, {"None", "null"}};
    while (l->word_size && l->word[l->word_size - 1] == ' ') l->word_size--;
    if (!l->key) {
        for (size_t i = 0; i < (l->dialect == LITERAL_JSON ? 3 : 6); i++)
            if (strlen(words[i][0]) == l->word_size && !memcmp(words[i][0], l->word, l->word_size)) {
                buf_puts(l->out, words[i][1]);
                return value_ended(l);
            }
        if (is_number(l->word, l->word_size)) {
            buf_append(l->out, l->word, l->word_size);
            return value_ended(l);
        }
        if (l->dialect != LITERAL_GEMMA) return LITERAL_BROKEN;
    }
    buf_putc(l->out, '"');
    literal_quote(l->out, l->word, l->word_size);
    return string_ended(l);
}

static enum literal_result step(struct literal *l, char c, bool special);

static enum literal_result word(struct literal *l, char c) {
    bool more = isalnum((unsigned char)c) || (c && strchr("+-._", c));
    if (l->dialect == LITERAL_GEMMA) more = (unsigned char)c >= 0x20 && !strchr(l->key ? ":,}<\"" : ",}]<\"", c);
    if (more) {
        if (l->word_size == sizeof l->word) return LITERAL_BROKEN;
        l->word[l->word_size++] = c;
        return LITERAL_MORE;
    }
    enum literal_result r = word_ended(l);
    if (r == LITERAL_DONE) return LITERAL_BROKEN; // a word at the top is ended by literal_finish() alone
    return r == LITERAL_MORE ? step(l, c, false) : r;
}

// A string of Gemma's begins, by one of two delimiters.
static enum literal_result delimiter(struct literal *l, char c) {
    for (size_t i = 0; i < 2; i++) {
        const char *d = gemma_delimiters[i];
        // The two differ from their second byte on.
        if (l->matched == 1 ? d[1] != c : l->delimiter != d) continue;
        if (d[l->matched] != c) return LITERAL_BROKEN;
        l->delimiter = d;
        return d[++l->matched] ? LITERAL_MORE : begin_string(l, d);
    }
    return LITERAL_BROKEN;
}

// The first half of a surrogate pair whose second half does not come is no character.
static void no_pair(struct literal *l) {
    if (l->pair) buf_puts(l->out, "\\ufffd");
    l->pair = false;
}

static enum literal_result string(struct literal *l, char c, bool special) {
    const char *d = l->delimiter;
    if (c == d[l->matched]) {
        if (d[++l->matched]) return LITERAL_MORE;
        no_pair(l);
        return string_ended(l);
    }
    if (special) return LITERAL_BROKEN;
    if (l->matched) {
        literal_quote(l->out, d, l->matched);
        l->matched = 0;
        return step(l, c, special);
    }
    if (c == '\\' && !d[1]) {
        l->state = ESCAPE;
        return LITERAL_MORE;
    }
    no_pair(l);
    if (l->dialect == LITERAL_JSON && (unsigned char)c >= 0x20)
        buf_putc(l->out, c);
    else
        literal_quote(l->out, &c, 1);
    return LITERAL_MORE;
}

static enum literal_result begin_digits(struct literal *l, size_t digits) {
    l->state = DIGITS;
    l->digits = digits;
    l->matched = 0;
    l->code = 0;
    return LITERAL_MORE;
}

static enum literal_result escape(struct literal *l, char c) {
    static const char from[] = "abfnrtv0", to[] = "\a\b\f\n\r\t\v";
    bool python = l->delimiter[0] == '\'' || l->dialect == LITERAL_PYTHON;
    l->state = STRING;
    if (c == 'u') return begin_digits(l, 4);
    no_pair(l);
    if (!python) {
        if (!c || !strchr("\"\\/bfnrt", c)) return LITERAL_BROKEN;
        buf_printf(l->out, "\\%c", c);
        return LITERAL_MORE;
    }
    if (c == 'x') return begin_digits(l, 2);
    if (c == '\n') return LITERAL_MORE;
    const char *known = c ? strchr(from, c) : NULL;
    if (!known && c && !strchr("\\'\"", c)) literal_quote(l->out, "\\", 1); // no escape: Python keeps the backslash
    literal_quote(l->out, known ? to + (known - from) : &c, 1);
    return LITERAL_MORE;
}

// All digits of an escape are there. They are kept as they are, but for halves of surrogate pairs alone.
static void digits_ended(struct literal *l) {
    bool first = l->code >= 0xd800 && l->code < 0xdc00, second = l->code >= 0xdc00 && l->code < 0xe000;
    if (l->pair && second) {
        buf_printf(l->out, "\\u%.4s\\u%.4s", l->high, l->hex);
        l->pair = false;
        return;
    }
    no_pair(l);
    char bytes[4];
    l->pair = first;
    if (first)
        memcpy(l->high, l->hex, 4);
    else if (second)
        buf_puts(l->out, "\\ufffd");
    else if (l->dialect == LITERAL_PYTHON)
        literal_quote(l->out, bytes, (size_t)utf8_encode(l->code, bytes));
    else
        buf_printf(l->out, "\\u%.4s", l->hex);
}

static enum literal_result digits(struct literal *l, char c) {
    if (!isxdigit((unsigned char)c)) return LITERAL_BROKEN;
    l->hex[l->matched++] = c;
    l->code = l->code * 16 + (uint32_t)(isdigit((unsigned char)c) ? c - '0' : (c | 32) - 'a' + 10);
    if (l->matched < l->digits) return LITERAL_MORE;
    l->matched = 0;
    l->state = STRING;
    digits_ended(l);
    return LITERAL_MORE;
}

static enum literal_result step(struct literal *l, char c, bool special) {
    if (l->state < DELIMITER && is_space(c)) {
        if (l->dialect == LITERAL_JSON) buf_putc(l->out, c);
        return LITERAL_MORE;
    }
    bool closes = c == '}' || c == ']' || c == ')';
    if (!closes && (l->state == WANT_VALUE_OR_END || l->state == WANT_KEY_OR_END)) write_comma(l);
    switch ((enum state)l->state) {
    case WANT_VALUE_OR_END:
        if (closes) return close_container(l, c);
        return begin_value(l, c);
    case WANT_VALUE: return begin_value(l, c);
    case WANT_KEY_OR_END:
        if (closes) return close_container(l, c);
        return begin_scalar(l, c, true);
    case WANT_KEY: return begin_scalar(l, c, true);
    case WANT_COLON: return colon(l, c);
    case AFTER_VALUE: return after_value(l, c);
    case DELIMITER: return delimiter(l, c);
    case STRING: return string(l, c, special);
    case ESCAPE: return escape(l, c);
    case DIGITS: return digits(l, c);
    case WORD: return word(l, c);
    case DONE: break;
    }
    return LITERAL_BROKEN;
}

enum literal_result literal_put(struct literal *l, char c, bool special) {
    l->seen = 0;
    // Of special tokens, only Gemma's delimiters are part of a value.
    bool begins = c == '<' && l->state < DELIMITER;
    bool goes_on = l->state == DELIMITER || (l->state == STRING && l->delimiter[1]);
    if (special && !(l->dialect == LITERAL_GEMMA && (begins || goes_on))) return LITERAL_BROKEN;
    return step(l, c, special);
}

enum literal_result literal_finish(struct literal *l) {
    l->seen = 0;
    if (l->state == WORD && !l->depth) return word_ended(l);
    return l->state == DONE ? LITERAL_DONE : LITERAL_BROKEN;
}

bool literal_whole(enum literal_dialect dialect, const char *s, size_t size, struct buf *out) {
    struct literal l;
    size_t before = out->size;
    while (size && is_space(s[0])) s++, size--;
    while (size && is_space(s[size - 1])) size--;
    literal_begin(&l, dialect, 0, out);
    enum literal_result r = LITERAL_MORE;
    size_t i = 0;
    while (i < size && r == LITERAL_MORE) r = literal_put(&l, s[i++], false);
    if (r == LITERAL_MORE) r = literal_finish(&l);
    if (r == LITERAL_DONE && i == size) return true;
    if (!out->failed && out->data) out->data[out->size = before] = 0;
    return false;
}
