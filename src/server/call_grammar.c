#include "server/call_grammar.h"

#include "base/utf8.h"
#include "server/tools.h"

#include <stdlib.h>
#include <string.h>

struct writer {
    const struct call_grammar *c;
    const struct shape *shape;
    struct buf *out;        // the rule that is written
    struct buf others;      // whole rules
    size_t rules;           // that have a number
    const char *value_mark; // the text up to this one has the rule
    size_t value_rule;
};

// ------------------------------------------------------------------------------------------------ text

static void put_literal(struct buf *out, const char *s, size_t size) {
    if (!size) return;
    buf_putc(out, '"');
    for (size_t i = 0; i < size; i++) {
        if (s[i] == '"' || s[i] == '\\')
            buf_printf(out, "\\%c", s[i]);
        else if (s[i] == '\n')
            buf_puts(out, "\\n");
        else if ((unsigned char)s[i] < 0x20)
            buf_printf(out, "\\x%02x", s[i]);
        else
            buf_putc(out, s[i]);
    }
    buf_puts(out, "\" ");
}

// Text of a format: what is a special token is that token.
static void put_text(struct writer *w, const char *s, size_t size) {
    size_t plain = 0;
    for (size_t i = 0; i < size;) {
        size_t n = format_token_size(s + i, size - i);
        int32_t id = n ? format_special(w->c->format, s + i, n) : -1;
        if (id < 0) {
            i++;
            continue;
        }
        put_literal(w->out, s + plain, i - plain);
        buf_printf(w->out, "<[%d]> ", (int)id);
        plain = i += n;
    }
    put_literal(w->out, s + plain, size - plain);
}

static void put_words(struct writer *w, const char *s) { put_text(w, s, strlen(s)); }

// A character as it stands in brackets.
static void put_in_class(struct buf *out, const char *s, size_t size) {
    if (size == 1 && (s[0] == '-' || s[0] == '^'))
        buf_printf(out, "\\x%02x", s[0]);
    else if (s[0] == '\n')
        buf_puts(out, "\\n");
    else if (size == 1 && strchr("\\[]", s[0]))
        buf_printf(out, "\\%c", s[0]);
    else
        buf_append(out, s, size);
}

static size_t character(const char *s, size_t size) {
    uint32_t c;
    int n = utf8_decode(s, size, &c);
    return n > 0 ? (size_t)n : 1;
}

// The rules of text without `mark` in it. The first character of the mark must not come again in it: of one where it
// does, what stands before that is meant. "text-0" is any text; "text-0-K" goes on after K characters of the mark.
static size_t put_until(struct writer *w, const char *mark) {
    struct buf *b = &w->others;
    size_t rule = w->rules++, size = strlen(mark), first = character(mark, size), step = 1;
    for (size_t i = first; i + first <= size; i++)
        if (!memcmp(mark + i, mark, first)) size = i;
    size_t token = format_token_size(mark, size);
    if (token && format_special(w->c->format, mark, token) >= 0) {
        buf_printf(b, "text-%zu ::= .*\n", rule); // text has no special tokens
        return rule;
    }
    buf_printf(b, "text-%zu ::= ([^", rule);
    put_in_class(b, mark, first);
    buf_puts(b, "] | ");
    put_literal(b, mark, first);
    buf_printf(b, "text-%zu-1)*\n", rule);
    for (size_t at = first; at < size; step++) {
        size_t n = character(mark + at, size - at);
        buf_printf(b, "text-%zu-%zu ::= [^", rule, step);
        put_in_class(b, mark, first);
        put_in_class(b, mark + at, n);
        buf_puts(b, "] | ");
        put_literal(b, mark, first);
        buf_printf(b, "text-%zu-1", rule);
        if (at + n < size) {
            buf_puts(b, " | ");
            put_literal(b, mark + at, n);
            buf_printf(b, "text-%zu-%zu", rule, step + 1);
        }
        buf_putc(b, '\n');
        at += n;
    }
    return rule;
}

// ------------------------------------------------------------------------------------------------ values

// A value of the schema; what it refers to is in `root`.
static void put_json(struct writer *w, const json_t *schema, const json_t *root) {
    static const char *const definitions[] = {"$defs", "definitions"};
    json_t *copy = json_is_object(schema) ? json_copy((json_t *)(uintptr_t)schema) : json_object();
    for (size_t i = 0; root && root != schema && i < 2; i++) {
        json_t *d = json_object_get(root, definitions[i]);
        if (d && !json_object_get(copy, definitions[i])) json_object_set(copy, definitions[i], d);
    }
    if (!json_is_object(schema) && !root) json_object_set_new(copy, "type", json_string("object"));
    char *text = json_dumps(copy, JSON_COMPACT);
    json_decref(copy);
    if (!text) w->out->failed = true;
    buf_printf(w->out, "%%json%s ", text ? text : "{}");
    free(text);
}

// The strings that the schema names, if it does.
static bool put_choices(struct writer *w, const json_t *schema) {
    const json_t *list = json_object_get(schema, "enum"), *one = json_object_get(schema, "const");
    size_t n = json_is_string(one) ? 1 : json_array_size(list);
    for (size_t i = 0; i < n; i++) {
        const json_t *s = json_is_string(one) ? one : json_array_get(list, i);
        buf_puts(w->out, i ? "| " : "(");
        if (json_string_length(s))
            put_literal(w->out, json_string_value(s), json_string_length(s));
        else
            buf_puts(w->out, "\"\" ");
    }
    if (n) buf_puts(w->out, ") ");
    return n > 0;
}

static void put_value(struct writer *w, const json_t *schema, const json_t *root) {
    unsigned types = tool_schema_types(schema, root);
    bool tags = w->shape->kind == CALL_TAGS, gemma = w->shape->dialect == LITERAL_GEMMA;
    const char *quote = !gemma ? "" : strstr(w->shape->write.call, "start_function_call") ? "<escape>" : "<|\"|>";
    if (tags ? types && !(types & TYPE_STRING) : !gemma || types != TYPE_STRING) {
        put_json(w, schema, root);
        return;
    }
    put_words(w, quote);
    if (!w->value_mark) {
        w->value_mark = gemma ? quote : w->shape->mark[MARK_VALUE_ENDS];
        w->value_rule = put_until(w, w->value_mark);
    }
    if (types != TYPE_STRING || !put_choices(w, schema)) buf_printf(w->out, "text-%zu ", w->value_rule);
    put_words(w, quote);
}

static const char *type_name(unsigned types) {
    static const char *const names[] = {"number", "boolean", "null", "object", "array"};
    if (!types || (types & TYPE_STRING)) return "string";
    return names[__builtin_ctz(types) - 1];
}

// One argument, as the format's pattern says.
static void put_argument(struct writer *w, const char *key, const json_t *schema, const json_t *root) {
    unsigned types = tool_schema_types(schema, root);
    bool string = !types || (types & TYPE_STRING);
    for (const char *s = w->shape->write.argument; *s;) {
        size_t n = strcspn(s, "$");
        put_text(w, s, n);
        s += n;
        if (!*s) break;
        if (s[1] == 'K') put_literal(w->out, key, strlen(key));
        if (s[1] == 'S') put_words(w, string ? "true" : "false");
        if (s[1] == 'T') put_words(w, type_name(types));
        if (s[1] == 'V') put_value(w, schema, root);
        s += 2;
    }
}

static bool is_required(const json_t *schema, const char *key) {
    const json_t *list = json_object_get(schema, "required");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *s = json_string_value(json_array_get(list, i));
        if (s && !strcmp(s, key)) return true;
    }
    return false;
}

// The rule of an argument, with what joins it to one before it.
static size_t argument_rule(struct writer *w, const char *key, const json_t *schema, const json_t *root) {
    struct buf body = {0}, *before = w->out;
    size_t rule = w->rules++;
    w->out = &body;
    put_argument(w, key, schema, root);
    w->out = before;
    buf_printf(&w->others, "argument-%zu ::= %s\n", rule, body.data ? body.data : "");
    w->others.failed |= body.failed;
    buf_free(&body);
    return rule;
}

// The arguments in the schema's order: "rest-I" is those from the I-th on, with a join before each.
static void put_arguments(struct writer *w, const json_t *root) {
    const char *join = w->shape->write.argument_join, *key;
    json_t *properties = json_object_get(root, "properties"), *schema;
    size_t n = json_object_size(properties), i = 0, from = w->rules;
    w->rules += n + 1;
    buf_printf(w->out, "first-%zu ", from);
    json_object_foreach(properties, key, schema) {
        size_t rule = argument_rule(w, key, schema, root);
        bool must = is_required(root, key);
        buf_printf(&w->others, "first-%zu ::= argument-%zu rest-%zu", from + i, rule, from + i + 1);
        if (!must) buf_printf(&w->others, " | first-%zu", from + i + 1);
        buf_printf(&w->others, "\nrest-%zu ::= ", from + i);
        put_literal(&w->others, join, strlen(join));
        buf_printf(&w->others, "argument-%zu rest-%zu", rule, from + i + 1);
        if (!must) buf_printf(&w->others, " | rest-%zu", from + i + 1);
        buf_putc(&w->others, '\n');
        i++;
    }
    buf_printf(&w->others, "first-%zu ::= \"\"\nrest-%zu ::= \"\"\n", from + n, from + n);
}

// ------------------------------------------------------------------------------------------------ calls

// A call of the tool, without the first `skip` bytes of the pattern.
static void put_call(struct writer *w, const json_t *tool, size_t skip) {
    const char *name = tool_name(tool);
    for (const char *s = w->shape->write.call + skip; *s;) {
        size_t n = strcspn(s, "$");
        put_text(w, s, n);
        s += n;
        if (!*s) break;
        if (s[1] == 'N') put_literal(w->out, name, strlen(name));
        if (s[1] == 'I') buf_puts(w->out, "[0-9]+ ");
        if (s[1] == 'A') put_json(w, tool_schema(tool), NULL);
        if (s[1] == 'P') put_arguments(w, tool_schema(tool));
        s += 2;
    }
}

// The rule `name`: a call of any of the tools that may be called. False if there is none.
static bool put_calls(struct writer *w, const char *name, size_t skip) {
    struct buf rule = {0}, *before = w->out;
    bool any = false;
    w->out = &rule;
    for (size_t i = 0; i < json_array_size(w->c->tools); i++) {
        const json_t *tool = json_array_get(w->c->tools, i);
        const char *s = tool_name(tool);
        if (!s || (w->c->name && strcmp(s, w->c->name))) continue;
        if (any) buf_puts(&rule, "| ");
        put_call(w, tool, skip);
        any = true;
    }
    w->out = before;
    buf_printf(&w->others, "%s ::= %s\n", name, rule.data ? rule.data : "\"\"");
    w->others.failed |= rule.failed;
    buf_free(&rule);
    return any;
}

// All calls of a turn, without the first `skip` bytes.
static bool put_turn(struct writer *w, size_t skip) {
    const struct writing *write = &w->shape->write;
    size_t open = strlen(write->open), rest = skip > open ? skip - open : 0;
    put_words(w, write->open + (skip < open ? skip : open));
    buf_puts(w->out, rest ? "call-first " : "call ");
    if (w->c->parallel) {
        buf_puts(w->out, "(");
        put_words(w, write->join);
        buf_puts(w->out, "call)* ");
    }
    put_words(w, write->close);
    return (!rest || put_calls(w, "call-first", rest)) && put_calls(w, "call", 0);
}

// ------------------------------------------------------------------------------------------------ the answer

static void put_part(struct writer *w, const char *open, const char *close) {
    buf_puts(w->out, "(");
    if (open) put_words(w, open);
    buf_printf(w->out, "text-%zu ", put_until(w, close));
    put_words(w, close);
    buf_printf(w->out, "\"\\n\"? \"\\n\"?)%s ", open ? "?" : "");
}

// What may stand before calls, or the answer.
static void put_reasoning(struct writer *w) {
    const struct thinking *t = w->c->format->thinking;
    bool open = w->c->begins == BEGINS_REASONING;
    if (w->shape->kind == CALL_CHANNELS) {
        buf_puts(w->out, "(");
        if (!open) put_words(w, "<|channel|>analysis<|message|>");
        buf_printf(w->out, "text-%zu ", put_until(w, "<|end|>"));
        put_words(w, "<|end|><|start|>assistant");
        buf_puts(w->out, open ? ") " : ")? ");
        return;
    }
    put_part(w, open ? NULL : t->open, t->close);
    if (t->answer_open && !w->c->answer) put_part(w, t->answer_open, t->answer_close);
}

// An answer instead of calls.
static void put_answer(struct writer *w) {
    const struct thinking *t = w->c->format->thinking;
    if (w->shape->kind == CALL_CHANNELS) put_words(w, "<|channel|>final<|message|>");
    if (t->answer_open) put_words(w, t->answer_open);
    buf_printf(w->out, "%%json%s ", w->c->answer);
    if (t->answer_open) put_words(w, t->answer_close);
}

// The first mark that begins calls; NULL if there is none.
static const char *trigger(const struct format *f) {
    for (size_t i = MARKER_SHAPES; i < MARKER_SHAPES + MARKS; i++)
        if (format_triggers(f, i)) return format_marker(f, i);
    return NULL;
}

static bool put_root(struct writer *w) {
    const char *begins = trigger(w->c->format);
    bool may = w->c->choice == CALLS_MAY;
    buf_puts(w->out, "root ::= ");
    if (w->c->choice == CALLS_GO_ON) return put_turn(w, strlen(begins));
    put_reasoning(w);
    if (may) buf_printf(w->out, "text-%zu (", put_until(w, begins));
    if (w->c->answer) {
        buf_puts(w->out, "(");
        put_answer(w);
        buf_puts(w->out, "| ");
    }
    bool good = put_turn(w, 0);
    buf_puts(w->out, may ? ")?" : w->c->answer ? ")" : "");
    return good;
}

bool call_grammar(const struct call_grammar *c, struct buf *out, gyr_error *e) {
    struct buf root = {0};
    struct writer w = {.c = c, .shape = c->format->calls->shapes[0], .out = &root};
    const char *begins = trigger(c->format);
    bool plain = w.shape->kind == CALL_CHANNELS || w.shape->bare;
    buf_clear(out);
    if (c->choice != CALLS_MUST && (!begins || plain)) return true;
    bool good = put_root(&w), failed = root.failed || w.others.failed;
    if (good && !failed) buf_printf(out, "%s\n%s", root.data, w.others.data ? w.others.data : "");
    failed |= out->failed;
    buf_free(&root);
    buf_free(&w.others);
    if (failed) return fail_memory(e, "a grammar");
    return good || fail(e, GYR_USAGE, "%s is none of the tools", c->name ? c->name : "what may be called");
}
