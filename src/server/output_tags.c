// Calls whose arguments stand between tags, each as text.
#include "server/output_state.h"

#include <string.h>

static void broken_by(struct output *o, struct unit u) {
    reader_again(o, u);
    call_broken(o);
}

void tags_end(struct output *o) {
    buf_puts(&o->json, o->began ? "}" : "{}");
    o->began = true;
    o->arguments_to = o->json.size;
    call_end(o, true);
}

void step_tags(struct output *o, struct unit u) {
    uint64_t close = reader_mark(o, MARK_CLOSE);
    int marker = reader_match(o, reader_mark(o, MARK_KEY) | reader_mark(o, MARK_END) | close, u);
    if (marker == MATCH_PART) return;
    if (marker == MATCH_NONE) {
        struct unit first = reader_first(o);
        if (first.special || !strchr(" \n\r\t", first.c) || !first.c)
            broken_by(o, first);
        else
            buf_putc(&o->held, first.c);
        return;
    }
    enum mark mark = (enum mark)((size_t)marker - o->base);
    reader_keep(o);
    if (mark == MARK_KEY) {
        buf_clear(&o->key);
        o->where = IN_KEY;
        return;
    }
    tags_end(o);
    if (mark == MARK_CLOSE) o->where = IN_BODY; // the call's own end was left out
}

// The types of the value: an attribute says, or the tool's schema.
static unsigned value_types(struct output *o) {
    const char *says = o->value.size ? o->value.data : "";
    if (strstr(says, "string=\"true\"") || strstr(says, "type=\"string\"")) return TYPE_STRING;
    if (strstr(says, "string=\"false\"") || strstr(says, "type=\"")) return TYPE_JSON;
    return o->key.data ? tool_argument_types(o->tool, o->key.data) : 0;
}

static void begin_value(struct output *o) {
    o->types = value_types(o);
    buf_puts(&o->json, o->began ? ", \"" : "{\"");
    literal_quote(&o->json, o->key.data, o->key.size);
    buf_puts(&o->json, "\": ");
    buf_clear(&o->value);
    o->quoted = o->types == TYPE_STRING;
    if (o->quoted) buf_putc(&o->json, '"');
    o->began = o->first = true;
    o->newline = false;
    o->where = IN_VALUE;
    call_forward(o);
}

// Collects bytes up to a marker. True when it has come; a byte that cannot be there breaks the call.
static bool collect(struct output *o, enum mark mark, struct buf *to, struct unit u) {
    int marker = reader_match(o, reader_mark(o, mark), u);
    if (marker == MATCH_PART) return false;
    if (marker >= 0) {
        reader_keep(o);
        return true;
    }
    struct unit first = reader_first(o);
    bool blank = mark == MARK_VALUE && first.c == '\n';
    if (first.special || to->size >= 256 || ((unsigned char)first.c < 0x20 && !blank)) {
        broken_by(o, first);
        return false;
    }
    buf_putc(&o->held, first.c);
    buf_putc(to, first.c);
    return false;
}

void step_key(struct output *o, struct unit u) {
    if (!collect(o, MARK_KEY_ENDS, &o->key, u)) return;
    buf_clear(&o->value);
    o->where = AFTER_KEY;
    if (!o->shape->mark[MARK_VALUE]) begin_value(o);
}

void step_after_key(struct output *o, struct unit u) {
    if (collect(o, MARK_VALUE, &o->value, u)) begin_value(o);
}

static void value_put(struct output *o, char c) {
    if (o->quoted)
        literal_quote(&o->json, &c, 1);
    else
        buf_putc(&o->value, c);
}

static void value_byte(struct output *o, char c) {
    bool first = o->first;
    o->first = false;
    if (o->shape->trims && first && c == '\n') return;
    if (o->newline) value_put(o, '\n');
    o->newline = o->shape->trims && c == '\n';
    if (!o->newline) value_put(o, c);
}

void step_value(struct output *o, struct unit u) {
    int marker = reader_match(o, reader_mark(o, MARK_VALUE_ENDS), u);
    if (marker == MATCH_PART) return;
    if (marker == MATCH_NONE) {
        struct unit first = reader_first(o);
        if (first.special) {
            broken_by(o, first);
            return;
        }
        buf_putc(&o->held, first.c);
        value_byte(o, first.c);
    } else {
        reader_keep(o);
        if (o->quoted)
            buf_putc(&o->json, '"');
        else
            tool_value(&o->json, o->value.data, o->value.size, o->types);
        o->where = IN_TAGS;
    }
    call_forward(o);
}
