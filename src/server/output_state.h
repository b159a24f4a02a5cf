// Of this room alone: the state of a struct output, which the files output*.c share.
#ifndef SERVER_OUTPUT_STATE_H
#define SERVER_OUTPUT_STATE_H

#include "server/output.h"
#include "server/tools.h"

#define MARKER_ROOM 64 // bytes of the longest marker, rounded up

// Where the reader is: a function of reader_steps[] for each.
enum where {
    IN_BODY,      // text or reasoning
    IN_LIST,      // between calls, after a marker that begins some
    IN_NAME,      // CALL_NAMED, CALL_TAGS
    IN_ARGUMENTS, // CALL_NAMED: one value
    IN_OBJECT,    // CALL_OBJECT
    AFTER_CALL,   // the marker that ends it
    IN_TAGS,      // CALL_TAGS: between arguments
    IN_KEY,
    AFTER_KEY, // to where the value begins
    IN_VALUE,
    IN_HEADER,     // CALL_CHANNELS: of a message
    AFTER_MESSAGE, // between two, or behind the arguments of a call
};

struct unit {
    char c;
    bool special;
};

struct output {
    struct output_options options;
    const struct shape *shape;    // of the call that is read
    size_t base;                  // number of its first marker
    const char *markers[MARKERS]; // format_marker()
    uint64_t body_set;            // those that mean something in text
    uint64_t body_starts[4];      // bytes that they begin with
    enum where where;
    bool bare;        // the call began without any mark
    bool reasoning;   // the section is reasoning, else text
    bool fresh;       // nothing of the section was told
    bool cut;         // blank lines at its beginning are cut
    bool told[2];     // text, reasoning: something was told before
    bool spell;       // a call was broken: markers that end one are text
    struct buf blank; // white space that waits for what follows it

    struct unit pending[MARKER_ROOM]; // what may become a marker
    size_t pending_size;
    struct unit again[2 * MARKER_ROOM]; // to be read once more, the last first
    size_t again_size;

    enum output_kind delta_kind;
    struct buf delta; // not told yet
    struct buf clean; // room for a delta without invalid UTF-8

    struct buf held; // the call as it came, from what was told of it on: it may still become text
    struct buf name; // or header
    struct buf id;   // what the model calls the call by
    const json_t *tool;
    struct literal literal;
    struct buf json;            // what the literal wrote; for CALL_TAGS the arguments
    struct buf decoded;         // arguments that came as a string
    const struct buf *source;   // where the arguments are: one of these two
    size_t sent, arguments_to;  // those told; their end, SIZE_MAX while they go on
    bool began;                 // the arguments did
    bool committed;             // the call was told of
    bool any;                   // a call was read since the marker that began some
    bool is_name, is_arguments; // CALL_OBJECT: the value under way
    struct buf key, value;
    unsigned types;   // of the value
    bool quoted;      // the value is told as a string while it comes
    bool newline;     // a line break waits
    bool first;       // no byte of the value came yet
    size_t arguments; // how many came
    size_t index;     // of the call
};

// ---- output.c

// Adds a byte to `pending`. The number of the marker of `set` that this completes; MATCH_PART if it may become one,
// MATCH_NONE if not.
enum { MATCH_NONE = -1, MATCH_PART = -2 };
int reader_match(struct output *o, uint64_t set, struct unit u);

// The first pending byte; the others are read once more.
struct unit reader_first(struct output *o);

// Pending bytes were a marker, or are part of the call: they go to `held`.
void reader_keep(struct output *o);

void reader_again(struct output *o, struct unit u);

// Appends to what is told next.
void reader_delta(struct output *o, enum output_kind kind, const char *data, size_t size);
void reader_flush(struct output *o, bool last);
void reader_event(struct output *o, struct output_event event);

// A byte of the section's text.
void reader_text(struct output *o, char c);

// A section of text or reasoning begins.
void reader_section(struct output *o, bool reasoning);

// What was held is text.
void reader_release(struct output *o);

// ---- output_calls.c

// Marker number of the shape's mark, in a set.
uint64_t reader_mark(const struct output *o, enum mark mark);

// A marker that begins calls has come, or the byte that begins a bare one.
void call_begin(struct output *o, size_t marker);
void call_begin_bare(struct output *o, size_t shape, struct unit u);

// The name that has come is that of a tool.
bool call_named(struct output *o);

// Nothing of a call is there.
void call_reset(struct output *o);

// Tells what is there of the call, if it is to be told.
void call_forward(struct output *o);

void call_end(struct output *o, bool whole);
void call_broken(struct output *o);
void call_finish(struct output *o, bool ended);

void step_list(struct output *o, struct unit u);
void step_name(struct output *o, struct unit u);
void step_arguments(struct output *o, struct unit u);
void step_object(struct output *o, struct unit u);
void step_after_call(struct output *o, struct unit u);

// ---- output_tags.c

// The call's last argument has come.
void tags_end(struct output *o);
void step_tags(struct output *o, struct unit u);
void step_key(struct output *o, struct unit u);
void step_after_key(struct output *o, struct unit u);
void step_value(struct output *o, struct unit u);

// ---- output_channels.c

void header_finish(struct output *o);
void step_header(struct output *o, struct unit u);
void step_after_message(struct output *o, struct unit u);
uint64_t channel_ends(const struct output *o);
void channel_ended(struct output *o, int marker);

#endif
