#include "server/output_state.h"

#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

static bool is_blank(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

// ------------------------------------------------------------------------------------------------ what is told

void reader_event(struct output *o, struct output_event event) {
    reader_flush(o, true);
    o->options.event(o->options.user, &event);
}

static void tell(struct output *o, const char *data, size_t size) {
    bool arguments = o->delta_kind == OUTPUT_ARGUMENTS;
    struct output_event event = {.kind = o->delta_kind, .data = data, .size = size, .index = arguments ? o->index : 0};
    if (size) o->options.event(o->options.user, &event);
}

// Invalid bytes are U+FFFD, each run of what begins like one character.
static void tell_clean(struct output *o, const char *data, size_t size) {
    if (utf8_valid(data, size)) {
        tell(o, data, size);
        return;
    }
    buf_clear(&o->clean);
    for (size_t i = 0; i < size;) {
        uint32_t c;
        size_t n = (size_t)utf8_decode(data + i, size - i, &c);
        if (n)
            buf_append(&o->clean, data + i, n);
        else
            buf_puts(&o->clean, "\xef\xbf\xbd");
        i += n ? n : utf8_broken(data + i, size - i);
    }
    if (!o->clean.failed) tell(o, o->clean.data, o->clean.size);
}

void reader_flush(struct output *o, bool last) {
    size_t size = last ? o->delta.size : utf8_whole(o->delta.data, o->delta.size), left = o->delta.size - size;
    if (!size || o->delta.failed) return;
    tell_clean(o, o->delta.data, size);
    memmove(o->delta.data, o->delta.data + size, left);
    o->delta.data[o->delta.size = left] = 0;
}

void reader_delta(struct output *o, enum output_kind kind, const char *data, size_t size) {
    if (kind != o->delta_kind) reader_flush(o, true);
    o->delta_kind = kind;
    buf_append(&o->delta, data, size);
}

// ------------------------------------------------------------------------------------------------ text and reasoning

void reader_section(struct output *o, bool reasoning) {
    buf_clear(&o->blank);
    o->reasoning = reasoning;
    o->fresh = o->cut = true;
}

// The section's first byte that is not blank: what stands before it on its line is told, and a break in front where
// there was such a section before.
static void begin_told(struct output *o, enum output_kind kind) {
    if (o->cut && o->told[o->reasoning]) reader_delta(o, kind, "\n\n", 2);
    if (o->cut && o->blank.size) {
        const char *line = memrchr(o->blank.data, '\n', o->blank.size);
        size_t skip = line ? (size_t)(line + 1 - o->blank.data) : 0;
        reader_delta(o, kind, o->blank.data + skip, o->blank.size - skip);
        buf_clear(&o->blank);
    }
    o->fresh = false;
    o->told[o->reasoning] = true;
}

void reader_text(struct output *o, char c) {
    enum output_kind kind = o->reasoning ? OUTPUT_REASONING : OUTPUT_TEXT;
    if (is_blank(c)) {
        buf_putc(&o->blank, c);
        return;
    }
    if (o->fresh) begin_told(o, kind);
    if (o->blank.size) reader_delta(o, kind, o->blank.data, o->blank.size);
    buf_clear(&o->blank);
    reader_delta(o, kind, &c, 1);
}

void reader_release(struct output *o) {
    for (size_t i = 0; i < o->held.size; i++) reader_text(o, o->held.data[i]);
    buf_clear(&o->held);
    o->spell = true;
}

// ------------------------------------------------------------------------------------------------ markers

int reader_match(struct output *o, uint64_t set, struct unit u) {
    const struct format *f = o->options.format;
    bool part = false;
    size_t n = o->pending_size + 1;
    o->pending[o->pending_size++] = u;
    for (; set; set &= set - 1) {
        int i = __builtin_ctzll(set);
        const char *text = o->markers[i];
        size_t k = 0;
        while (k < n && text[k] == o->pending[k].c && (o->pending[k].special || !(f->special[i] >> k & 1))) k++;
        if (k == n && !text[n]) return i;
        part |= k == n;
    }
    return part ? MATCH_PART : MATCH_NONE;
}

void reader_again(struct output *o, struct unit u) { o->again[o->again_size++] = u; }

struct unit reader_first(struct output *o) {
    struct unit first = o->pending[0];
    for (size_t i = o->pending_size; i-- > 1;) reader_again(o, o->pending[i]);
    o->pending_size = 0;
    return first;
}

void reader_keep(struct output *o) {
    for (size_t i = 0; i < o->pending_size; i++) buf_putc(&o->held, o->pending[i].c);
    o->pending_size = 0;
}

// ------------------------------------------------------------------------------------------------ the body

static uint64_t body_markers(const struct output *o) {
    const struct format *f = o->options.format;
    uint64_t set = 0;
    if (o->shape->kind == CALL_CHANNELS)
        return channel_ends(o) | reader_mark(o, MARK_OPEN) | reader_mark(o, MARK_BEGIN);
    for (size_t i = 0; i < MARKERS; i++) {
        enum mark mark = i < MARKER_SHAPES ? MARKS : (i - MARKER_SHAPES) % MARKS;
        bool ends = mark == MARK_CLOSE || mark == MARK_END;
        bool call = o->options.tools && (ends || format_triggers(f, i));
        if (format_marker(f, i) && (i < MARKER_SHAPES || call)) set |= 1ULL << i;
    }
    return set;
}

// Pending bytes are a marker that means nothing here: text, if it was not a special token.
static void no_marker(struct output *o, bool spell) {
    for (size_t i = 0; i < o->pending_size; i++)
        if (spell || !o->pending[i].special) reader_text(o, o->pending[i].c);
    o->pending_size = 0;
}

static void body_marker(struct output *o, int marker) {
    bool special = o->pending[0].special;
    if (o->shape->kind == CALL_CHANNELS) {
        channel_ended(o, marker);
    } else if (marker == MARKER_THINK && !o->reasoning && (special || o->fresh)) {
        reader_section(o, true);
        o->pending_size = 0;
    } else if ((marker == MARKER_THINK_ENDS || marker == MARKER_ANSWER) && o->reasoning) {
        reader_section(o, false);
        o->pending_size = 0;
    } else if (marker == MARKER_ANSWER || marker == MARKER_ANSWER_ENDS) {
        o->pending_size = 0;
    } else if (marker >= MARKER_SHAPES && format_triggers(o->options.format, (size_t)marker) &&
               (special || !o->reasoning)) {
        call_begin(o, (size_t)marker);
    } else {
        bool ends = marker >= MARKER_SHAPES;
        no_marker(o, ends && o->spell);
        o->spell &= !ends;
    }
}

// A call without marks stands at the beginning of an answer.
static bool bare(struct output *o, struct unit u) {
    if (!o->options.tools || o->reasoning || !o->fresh || u.special) return false;
    for (size_t i = 0; i < SHAPES; i++) {
        const struct shape *s = o->options.format->calls->shapes[i];
        if (!s || !s->bare || s->bare != u.c) continue;
        call_begin_bare(o, i, u);
        return true;
    }
    return false;
}

static void step_body(struct output *o, struct unit u) {
    uint8_t c = (uint8_t)u.c;
    bool nothing = !o->pending_size && !u.special && !(o->body_starts[c / 64] >> (c % 64) & 1);
    if (nothing && !o->fresh) {
        reader_text(o, u.c);
        return;
    }
    int marker = reader_match(o, o->body_set, u);
    if (marker >= 0) {
        body_marker(o, marker);
    } else if (marker == MATCH_NONE) {
        struct unit first = reader_first(o);
        if (!first.special && !bare(o, first)) reader_text(o, first.c);
    }
}

// ------------------------------------------------------------------------------------------------ from outside

static void (*const steps[])(struct output *o, struct unit u) = {
    [IN_BODY] = step_body,           [IN_LIST] = step_list,     [IN_NAME] = step_name,
    [IN_ARGUMENTS] = step_arguments, [IN_OBJECT] = step_object, [AFTER_CALL] = step_after_call,
    [IN_TAGS] = step_tags,           [IN_KEY] = step_key,       [AFTER_KEY] = step_after_key,
    [IN_VALUE] = step_value,         [IN_HEADER] = step_header, [AFTER_MESSAGE] = step_after_message,
};

struct output *output_new(const struct output_options *options, gyr_error *e) {
    struct output *o = calloc(1, sizeof *o);
    if (!o) {
        fail_memory(e, "reading an answer");
        return NULL;
    }
    o->options = *options;
    if (!json_array_size(o->options.tools)) o->options.tools = NULL;
    o->shape = options->format->calls->shapes[0];
    o->base = MARKER_SHAPES;
    o->fresh = true;
    call_reset(o);
    if (options->begins == BEGINS_REASONING) reader_section(o, true);
    if (options->begins == BEGINS_HEADER) {
        reader_section(o, false);
        o->where = IN_HEADER;
    }
    for (size_t i = 0; i < MARKERS; i++) o->markers[i] = format_marker(options->format, i);
    o->body_set = body_markers(o);
    for (uint64_t set = o->body_set; set; set &= set - 1) {
        uint8_t c = (uint8_t)o->markers[__builtin_ctzll(set)][0];
        o->body_starts[c / 64] |= 1ULL << (c % 64);
    }
    return o;
}

void output_free(struct output *o) {
    if (!o) return;
    struct buf *const all[] = {&o->blank, &o->delta,   &o->clean, &o->held,  &o->name,
                               &o->json,  &o->decoded, &o->key,   &o->value, &o->id};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) buf_free(all[i]);
    free(o);
}

void output_put(struct output *o, const char *bytes, size_t size, bool special) {
    for (size_t i = 0; i < size; i++) {
        reader_again(o, (struct unit){bytes[i], special});
        while (o->again_size) {
            struct unit u = o->again[--o->again_size];
            steps[o->where](o, u);
        }
    }
    reader_flush(o, false);
}

bool output_finish(struct output *o, bool ended, gyr_error *e) {
    if (o->where != IN_BODY) call_finish(o, ended);
    no_marker(o, o->spell);
    if (!o->reasoning && (!o->fresh || !o->cut) && o->blank.size)
        reader_delta(o, OUTPUT_TEXT, o->blank.data, o->blank.size);
    buf_clear(&o->blank);
    reader_flush(o, true);
    const struct buf *const all[] = {&o->blank, &o->delta,   &o->clean, &o->held,  &o->name,
                                     &o->json,  &o->decoded, &o->key,   &o->value, &o->id};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i]->failed) return fail_memory(e, "reading an answer");
    return true;
}

bool output_is_reasoning(const struct output *o) { return o->reasoning; }

size_t output_calls(const struct output *o) { return o->index + o->committed; }
