// What an output tells, as one line of text, and the same output given in other pieces.
#ifndef SERVER_TOLD_H
#define SERVER_TOLD_H

#include "server/output.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Special tokens stand between these in an input.
#define S(token) "\x02" token "\x03"

static const char tools_text[] =
    "[{\"type\":\"function\",\"function\":{\"name\":\"get_weather\",\"parameters\":{\"type\":\"object\",\"properties\":"
    "{"
    "\"location\":{\"type\":\"string\"},\"days\":{\"type\":\"integer\"},"
    "\"unit\":{\"enum\":[\"celsius\",\"fahrenheit\"]}},\"required\":[\"location\"]}}},"
    "{\"name\":\"write_file\",\"input_schema\":{\"type\":\"object\",\"properties\":{\"path\":{\"type\":\"string\"},"
    "\"content\":{\"type\":\"string\"}}}},"
    "{\"type\":\"function\",\"name\":\"search\",\"parameters\":{\"type\":\"object\",\"$defs\":{\"T\":{\"type\":"
    "\"array\","
    "\"items\":{\"type\":\"string\"}}},\"properties\":{\"query\":{\"type\":\"string\"},\"filters\":{\"type\":"
    "\"object\"},"
    "\"tags\":{\"$ref\":\"#/$defs/T\"},\"exact\":{\"type\":\"boolean\"},\"limit\":{\"type\":[\"integer\",\"null\"]},"
    "\"after\":{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"null\"}]}}}},"
    "{\"type\":\"function\",\"function\":{\"name\":\"now\"}}]";

// Events as "text:...|reasoning:...|call:NAME|args:...|end": one item for all deltas of a kind in a row.
struct told {
    struct buf line;
    int last; // kind of the last event, -1
    bool bad; // an event that must not be
};

static inline void tell_event(void *user, const struct output_event *e) {
    static const char *const names[] = {"reasoning:", "text:", "call:", "args:", "end"};
    struct told *t = user;
    bool delta = e->kind != OUTPUT_CALL && e->kind != OUTPUT_CALL_ENDS;
    if (delta && !e->size) t->bad = true;
    if (!delta || t->last != (int)e->kind) {
        if (t->line.size) buf_putc(&t->line, '|');
        buf_puts(&t->line, names[e->kind]);
    }
    buf_append(&t->line, e->data, e->size);
    if (e->kind == OUTPUT_CALL && e->id_size) buf_printf(&t->line, " (%.*s)", (int)e->id_size, e->id);
    if (e->kind == OUTPUT_CALL_ENDS) buf_puts(&t->line, e->whole ? "" : " broken");
    t->last = (int)e->kind;
}

// Gives a marked input to an output in pieces: `cuts` has a byte for each of the input, not 0: a piece ends behind it.
static inline void give(struct output *o, const char *input, size_t size, bool special, const uint8_t *cuts) {
    char piece[4096];
    size_t n = 0;
    bool on = false;
    for (size_t i = 0; i < size; i++) {
        bool mark = input[i] == 2 || input[i] == 3;
        if (!mark) piece[n++] = input[i];
        if (n && (mark || n == sizeof piece || (cuts && cuts[i]))) {
            output_put(o, piece, n, on && special);
            n = 0;
        }
        if (mark) on = input[i] == 2;
    }
    if (n) output_put(o, piece, n, on && special);
}

// The line of a whole output; free(). NULL if something was told that must not be.
static inline char *told(const struct output_options *options, const char *input, size_t size, bool special, bool ended,
                         const uint8_t *cuts) {
    struct told t = {.last = -1};
    struct output_options with = *options;
    with.event = tell_event;
    with.user = &t;
    struct output *o = output_new(&with, NULL);
    give(o, input, size, special, cuts);
    bool finished = output_finish(o, ended, NULL);
    output_free(o);
    buf_puts(&t.line, "");
    if (!finished || t.bad) {
        buf_free(&t.line);
        return NULL;
    }
    return buf_take(&t.line);
}

#endif
