// gpt-oss's "harmony": messages, each with a header that names its channel and, for a call, the tool:
//
//     <|channel|>analysis<|message|>...<|end|><|start|>assistant<|channel|>final<|message|>...<|return|>
//     <|channel|>commentary to=functions.NAME <|constrain|>json<|message|>{...}<|call|>
#include "server/output_state.h"

#include <string.h>

#define CHANNEL '\1' // stands in the header for the marker

uint64_t channel_ends(const struct output *o) {
    return reader_mark(o, MARK_CLOSE) | reader_mark(o, MARK_END) | reader_mark(o, MARK_VALUE_ENDS);
}

static void begin_header(struct output *o, enum mark mark) {
    buf_clear(&o->name);
    if (mark == MARK_BEGIN) buf_putc(&o->name, CHANNEL);
    o->any = true;
    o->where = IN_HEADER;
}

void channel_ended(struct output *o, int marker) {
    enum mark mark = (enum mark)((size_t)marker - o->base);
    o->pending_size = 0;
    if (mark == MARK_OPEN || mark == MARK_BEGIN)
        begin_header(o, mark);
    else
        o->where = AFTER_MESSAGE;
}

// The word behind `what` in the header; size 0 if there is none.
static struct text word_after(const struct output *o, const char *what) {
    const char *s = o->name.size ? memmem(o->name.data, o->name.size, what, strlen(what)) : NULL;
    if (!s) return (struct text){"", 0};
    s += strlen(what);
    size_t left = o->name.size - (size_t)(s - o->name.data), size = 0;
    while (size < left && !strchr(" \n\1", s[size])) size++;
    return (struct text){s, size};
}

static void header_ended(struct output *o) {
    struct text channel = word_after(o, "\1"), to = word_after(o, "to=");
    bool analysis = channel.size == 8 && !memcmp(channel.data, "analysis", 8);
    struct buf name = {0};
    buf_append(&name, to.data, to.size);
    reader_section(o, analysis);
    call_reset(o);
    buf_free(&o->name);
    o->name = name;
    o->where = to.size && o->options.tools && call_named(o) ? IN_ARGUMENTS : IN_BODY;
}

// A header that is none: a model that writes no headers.
static void no_header(struct output *o) {
    buf_clear(&o->held);
    buf_append(&o->held, o->name.data, o->name.size);
    buf_clear(&o->name);
    o->where = IN_BODY;
    reader_release(o);
}

void header_finish(struct output *o) {
    if (!o->any) no_header(o);
    buf_clear(&o->name);
    o->pending_size = 0;
}

void step_header(struct output *o, struct unit u) {
    uint64_t set = reader_mark(o, MARK_NAMED) | reader_mark(o, MARK_KEY) | reader_mark(o, MARK_OPEN) |
                   reader_mark(o, MARK_BEGIN) | channel_ends(o);
    int marker = reader_match(o, set, u);
    if (marker == MATCH_PART) return;
    if (marker == MATCH_NONE) {
        struct unit first = reader_first(o);
        if (!first.special) buf_putc(&o->name, first.c);
        if (o->name.size > 256 || (!o->any && first.c == '\n')) no_header(o);
        return;
    }
    enum mark mark = (enum mark)((size_t)marker - o->base);
    o->pending_size = 0;
    o->any = true;
    if (mark == MARK_NAMED)
        header_ended(o);
    else if (mark == MARK_KEY)
        buf_putc(&o->name, ' ');
    else if (mark == MARK_BEGIN)
        buf_putc(&o->name, CHANNEL);
    else
        channel_ended(o, marker);
}

void step_after_message(struct output *o, struct unit u) {
    int marker = reader_match(o, channel_ends(o) | reader_mark(o, MARK_OPEN) | reader_mark(o, MARK_BEGIN), u);
    if (marker >= 0) {
        channel_ended(o, marker);
    } else if (marker == MATCH_NONE) {
        struct unit first = reader_first(o);
        if (first.special || (first.c && strchr(" \n\r\t", first.c))) return;
        reader_section(o, false);
        o->where = IN_BODY;
        reader_again(o, first);
    }
}
