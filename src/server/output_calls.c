// Calls whose arguments are one value: an object with name and arguments, or a name and then the arguments.
#include "server/output_state.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static bool is_blank(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

uint64_t reader_mark(const struct output *o, enum mark mark) {
    return o->shape->mark[mark] ? 1ULL << (o->base + mark) : 0;
}

// ------------------------------------------------------------------------------------------------ one call

void call_reset(struct output *o) {
    struct buf *const all[] = {&o->held, &o->name, &o->json, &o->decoded, &o->key, &o->value, &o->id};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) buf_clear(all[i]);
    o->tool = NULL;
    o->source = &o->json;
    o->sent = o->arguments = 0;
    o->arguments_to = SIZE_MAX;
    o->began = o->committed = o->is_name = o->is_arguments = o->quoted = o->newline = false;
}

static void enter(struct output *o, size_t shape) {
    o->shape = o->options.format->calls->shapes[shape];
    o->base = MARKER_SHAPES + shape * MARKS;
    o->any = o->bare = false;
    call_reset(o);
}

void call_begin(struct output *o, size_t marker) {
    enter(o, (marker - MARKER_SHAPES) / MARKS);
    reader_keep(o);
    o->where = (marker - MARKER_SHAPES) % MARKS == MARK_OPEN ? IN_LIST : IN_NAME;
}

void call_begin_bare(struct output *o, size_t shape, struct unit u) {
    enter(o, shape);
    o->bare = true;
    o->where = IN_LIST;
    reader_again(o, u);
}

// Name and id as some models decorate them: functions.NAME:0, NAME[CALL_ID]x, NAME" index="1.
static struct text plain_name(const char *s, size_t size) {
    static const char *const ends[] = {"[CALL_ID]", "\""}, prefix[] = "functions.";
    for (size_t i = 0; i < 2; i++) {
        const char *end = memmem(s, size, ends[i], strlen(ends[i]));
        if (end) size = (size_t)(end - s);
    }
    size_t n = sizeof prefix - 1;
    if (size > n && !memcmp(s, prefix, n)) s += n, size -= n;
    size_t digits = size;
    while (digits && isdigit((unsigned char)s[digits - 1])) digits--;
    if (digits > 1 && digits < size && s[digits - 1] == ':') size = digits - 1;
    return (struct text){s, size};
}

bool call_named(struct output *o) {
    const char *name = o->name.data;
    size_t size = o->name.size;
    while (size && is_blank(name[size - 1])) size--;
    if (!size || o->name.failed) return false;
    o->tool = tool_find(o->options.tools, name, size);
    struct text plain = plain_name(name, size);
    if (!o->tool) o->tool = tool_find(o->options.tools, plain.data, plain.size);
    if (o->tool && o->shape->id) buf_append(&o->id, name, size);
    return o->tool != NULL;
}

static void commit(struct output *o) {
    const char *name = tool_name(o->tool);
    reader_section(o, false);
    reader_event(o, (struct output_event){.kind = OUTPUT_CALL,
                                          .data = name,
                                          .size = strlen(name),
                                          .index = o->index,
                                          .id = o->id.data,
                                          .id_size = o->id.size});
    o->committed = true;
    o->spell = false;
    buf_clear(&o->held);
}

void call_forward(struct output *o) {
    bool ended = o->arguments_to != SIZE_MAX;
    if (!o->tool || !o->began || o->source->failed || (o->options.whole_calls && !ended)) return;
    size_t to = ended ? o->arguments_to : o->source->size;
    // The bracket alone may be the beginning of anything.
    if (!o->committed && to < o->sent + 2) return;
    if (!o->committed) commit(o);
    if (to <= o->sent) return;
    reader_delta(o, OUTPUT_ARGUMENTS, o->source->data + o->sent, to - o->sent);
    o->sent = to;
    buf_clear(&o->held);
}

void call_end(struct output *o, bool whole) {
    call_forward(o);
    if (o->committed) {
        reader_event(o, (struct output_event){.kind = OUTPUT_CALL_ENDS, .index = o->index, .whole = whole});
        o->index++;
    }
    o->any = true;
    o->where = o->shape->kind == CALL_CHANNELS                            ? AFTER_MESSAGE
               : o->shape->kind == CALL_NAMED && o->shape->mark[MARK_END] ? AFTER_CALL
                                                                          : IN_LIST;
    call_reset(o);
}

void call_broken(struct output *o) {
    struct buf held = o->held;
    o->held = (struct buf){0};
    if (o->committed) call_end(o, o->arguments_to != SIZE_MAX);
    call_reset(o);
    o->held = held;
    reader_release(o);
    o->where = IN_BODY;
}

// The byte is no part of the call.
static void broken_by(struct output *o, struct unit u) {
    reader_again(o, u);
    call_broken(o);
}

// ------------------------------------------------------------------------------------------------ between calls

static void leave_list(struct output *o, struct unit u) {
    if (!o->any) {
        broken_by(o, u);
        return;
    }
    reader_again(o, u);
    size_t blanks = o->held.size;
    while (blanks && is_blank(o->held.data[blanks - 1])) blanks--;
    while (blanks < o->held.size) reader_text(o, o->held.data[blanks++]);
    call_reset(o);
    o->where = IN_BODY;
}

static void list_byte(struct output *o, struct unit u) {
    const struct shape *s = o->shape;
    bool open = !u.special && u.c;
    if (open && (is_blank(u.c) || (s->between && strchr(s->between, u.c)))) {
        buf_putc(&o->held, u.c);
    } else if (open && s->kind == CALL_OBJECT && u.c == '{') {
        literal_begin(&o->literal, LITERAL_JSON, 0, &o->json);
        o->where = IN_OBJECT;
        reader_again(o, u);
    } else if (open && s->opened == '(' && (isalpha((unsigned char)u.c) || u.c == '_')) {
        o->where = IN_NAME;
        reader_again(o, u);
    } else {
        leave_list(o, u);
    }
}

void step_list(struct output *o, struct unit u) {
    int marker = reader_match(o, reader_mark(o, MARK_BEGIN) | reader_mark(o, MARK_CLOSE), u);
    if (marker == MATCH_PART) return;
    if (marker == MATCH_NONE) {
        list_byte(o, reader_first(o));
        return;
    }
    reader_keep(o);
    if ((enum mark)((size_t)marker - o->base) == MARK_BEGIN) {
        o->where = IN_NAME;
    } else if (o->any) {
        call_reset(o);
        o->where = IN_BODY;
    } else {
        call_broken(o);
        o->spell = false;
    }
}

void step_after_call(struct output *o, struct unit u) {
    int marker = reader_match(o, reader_mark(o, MARK_END), u);
    if (marker >= 0) {
        o->pending_size = 0;
        o->where = IN_LIST;
    } else if (marker == MATCH_NONE) {
        struct unit first = reader_first(o);
        if (is_blank(first.c)) {
            buf_putc(&o->held, first.c);
            return;
        }
        o->where = IN_LIST;
        reader_again(o, first);
    }
}

// ------------------------------------------------------------------------------------------------ name, then arguments

static bool is_name_byte(const struct output *o, struct unit u) {
    if (u.special || o->name.size >= 256 || !u.c) return false;
    if (isalnum((unsigned char)u.c) || strchr("_-./:[]@", u.c)) return true;
    // Attributes may follow a name in quotes.
    const char *begin = o->shape->mark[MARK_BEGIN];
    bool quotes = begin && begin[strlen(begin) - 1] == '"';
    return quotes &&
           (u.c == '"' || (o->name.size && memchr(o->name.data, '"', o->name.size) && (unsigned char)u.c >= 0x20));
}

static void name_byte(struct output *o, struct unit u) {
    const struct shape *s = o->shape;
    buf_putc(&o->held, u.c);
    if (is_blank(u.c) && !u.special && !o->name.size) return;
    if (u.c == '\n' && s->kind == CALL_TAGS && !s->mark[MARK_NAMED] && call_named(o)) {
        o->where = IN_TAGS;
    } else if (is_name_byte(o, u)) {
        buf_putc(&o->name, u.c);
    } else {
        if (o->held.size) o->held.size--;
        broken_by(o, u);
    }
}

static void begin_arguments(struct output *o, char opened) {
    o->began = true;
    literal_begin(&o->literal, o->shape->dialect, opened, &o->json);
    o->where = IN_ARGUMENTS;
}

static void name_ended(struct output *o, enum mark mark) {
    reader_keep(o);
    if (mark == MARK_KEY && o->shape->kind == CALL_NAMED)
        buf_puts(&o->name, o->shape->mark[mark]); // an id follows
    else if (!call_named(o))
        call_broken(o);
    else if (mark == MARK_KEY)
        o->where = IN_KEY;
    else if (mark == MARK_END)
        tags_end(o);
    else
        o->where = o->shape->kind == CALL_TAGS ? IN_TAGS : IN_ARGUMENTS;
}

void step_name(struct output *o, struct unit u) {
    const struct shape *s = o->shape;
    uint64_t set = reader_mark(o, MARK_NAMED);
    if (s->opened && u.c == s->opened && !u.special) {
        buf_putc(&o->held, u.c);
        call_named(o) ? begin_arguments(o, u.c) : call_broken(o);
        call_forward(o);
        return;
    }
    if (s->kind == CALL_NAMED) set |= reader_mark(o, MARK_KEY);
    if (s->kind == CALL_TAGS && !set) set = reader_mark(o, MARK_KEY) | reader_mark(o, MARK_END);
    int marker = reader_match(o, set, u);
    if (marker >= 0)
        name_ended(o, (enum mark)((size_t)marker - o->base));
    else if (marker == MATCH_NONE)
        name_byte(o, reader_first(o));
}

void step_arguments(struct output *o, struct unit u) {
    if (!o->began && is_blank(u.c) && !u.special) {
        buf_putc(&o->held, u.c);
        return;
    }
    if (!o->began) {
        if (u.c != '{' || u.special) {
            broken_by(o, u);
            return;
        }
        begin_arguments(o, 0);
    }
    enum literal_result r = literal_put(&o->literal, u.c, u.special);
    if (r == LITERAL_BROKEN) {
        broken_by(o, u);
        return;
    }
    buf_putc(&o->held, u.c);
    if (r == LITERAL_DONE) o->arguments_to = o->json.size;
    call_forward(o);
    if (r == LITERAL_DONE) call_end(o, true);
}

// ------------------------------------------------------------------------------------------------ an object

static bool is_key(const struct output *o, const char *const *names) {
    const struct literal *l = &o->literal;
    const char *key = o->json.data + l->key_from + 1;
    size_t size = l->key_to - l->key_from - 2;
    for (; *names; names++)
        if (strlen(*names) == size && !memcmp(*names, key, size)) return true;
    return false;
}

// A key of the object. False if such an object is no call.
static bool object_key(struct output *o) {
    static const char *const names[] = {"name", "tool_name", "function", NULL};
    static const char *const arguments[] = {"arguments", "parameters", NULL};
    static const char *const others[] = {"id", "type", "tool_call_id", NULL};
    o->is_name = is_key(o, names) && !o->tool;
    o->is_arguments = is_key(o, arguments) && !o->began;
    return o->is_name || o->is_arguments || !o->bare || is_key(o, others);
}

// Arguments that are a string of JSON, or null.
static bool decode_arguments(struct output *o, const char *s, size_t size) {
    json_t *value = json_loadb(s, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    bool good = json_is_null(value);
    if (good) buf_puts(&o->decoded, "{}");
    if (json_is_string(value))
        good = literal_whole(LITERAL_JSON, json_string_value(value), json_string_length(value), &o->decoded) &&
               o->decoded.data && o->decoded.data[0] == '{';
    json_decref(value);
    o->source = &o->decoded;
    o->sent = 0;
    o->arguments_to = o->decoded.size;
    return o->began = good;
}

static bool object_value_ended(struct output *o) {
    const struct literal *l = &o->literal;
    const char *s = o->json.data + l->value_from;
    size_t size = l->value_to - l->value_from;
    bool good = true;
    if (o->is_name) {
        if (s[0] != '"') return false;
        buf_clear(&o->name);
        buf_append(&o->name, s + 1, size - 2);
        good = call_named(o);
    } else if (o->is_arguments && o->began) {
        o->arguments_to = l->value_to;
    } else if (o->is_arguments) {
        good = decode_arguments(o, s, size);
    }
    o->is_name = o->is_arguments = false;
    return good;
}

// What the literal has seen. False if the object is no call.
static bool object_seen(struct output *o, char c) {
    const struct literal *l = &o->literal;
    if (o->json.failed) return false;
    if ((l->seen & LITERAL_KEY) && !object_key(o)) return false;
    if ((l->seen & LITERAL_VALUE) && o->is_arguments) {
        o->began = c == '{';
        o->sent = l->value_from;
        if (!strchr("{\"n", c)) return false;
    }
    return !(l->seen & LITERAL_VALUE_ENDS) || object_value_ended(o);
}

// The object has ended: a call without arguments has none.
static bool object_ended(struct output *o) {
    if (o->tool && !o->began && !o->bare) decode_arguments(o, "null", 4);
    call_forward(o);
    return o->committed;
}

void step_object(struct output *o, struct unit u) {
    enum literal_result r = literal_put(&o->literal, u.c, u.special);
    if (r == LITERAL_BROKEN) {
        broken_by(o, u);
        return;
    }
    buf_putc(&o->held, u.c);
    if (!object_seen(o, u.c)) {
        call_broken(o);
        return;
    }
    call_forward(o);
    if (r != LITERAL_DONE) return;
    if (object_ended(o))
        call_end(o, true);
    else
        call_broken(o);
}

// ------------------------------------------------------------------------------------------------ the end

void call_finish(struct output *o, bool ended) {
    bool between = (o->where == IN_LIST && o->any) || o->where == AFTER_CALL || o->where >= AFTER_MESSAGE;
    if (o->where == IN_HEADER) {
        header_finish(o);
    } else if (between) {
        call_reset(o);
    } else if (o->where == IN_TAGS && ended && o->began && !o->pending_size) {
        tags_end(o);
    } else {
        reader_keep(o);
        if (o->committed) buf_clear(&o->held);
        call_broken(o);
    }
    o->where = IN_BODY;
}
