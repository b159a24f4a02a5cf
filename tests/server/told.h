// What an output tells, as one line of text, and the same output given in other pieces.
#ifndef TESTS_SERVER_TOLD_H
#define TESTS_SERVER_TOLD_H

#include "server/output.h"

#include "base/utf8.h"
#include "test.h"

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
    int last;             // kind of the last event, -1
    struct buf arguments; // of the call
    bool bad;             // an event that must not be
};

// Whole arguments are an object.
static inline bool is_object(const struct buf *arguments) {
    struct buf out = {0};
    bool good = arguments->size && arguments->data[0] == '{' &&
                literal_whole(LITERAL_JSON, arguments->data, arguments->size, &out);
    buf_free(&out);
    return good;
}

static inline void tell_event(void *user, const struct output_event *e) {
    static const char *const names[] = {"reasoning:", "text:", "call:", "args:", "end"};
    struct told *t = user;
    bool delta = e->kind != OUTPUT_CALL && e->kind != OUTPUT_CALL_ENDS;
    if ((delta && !e->size) || !utf8_valid(e->data, e->size)) t->bad = true;
    if (e->kind == OUTPUT_CALL) buf_clear(&t->arguments);
    if (e->kind == OUTPUT_ARGUMENTS) buf_append(&t->arguments, e->data, e->size);
    if (e->kind == OUTPUT_CALL_ENDS && e->whole && !is_object(&t->arguments)) t->bad = true;
    if (!delta || t->last != (int)e->kind) {
        if (t->line.size) buf_putc(&t->line, '|');
        buf_puts(&t->line, names[e->kind]);
    }
    for (size_t i = 0; i < e->size; i++) e->data[i] ? buf_putc(&t->line, e->data[i]) : buf_puts(&t->line, "(nul)");
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
    buf_free(&t.arguments);
    buf_puts(&t.line, "");
    if (!finished || t.bad) {
        buf_free(&t.line);
        return NULL;
    }
    return buf_take(&t.line);
}

// The tools of all tests.
static inline json_t *test_tools(void) {
    static json_t *tools;
    if (!tools) tools = json_loads(tools_text, 0, NULL);
    return tools;
}

static uint64_t random_state = 1;
static inline uint32_t draw(uint32_t n) {
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % n;
}

static inline void check_line(const char *input, const char *got, const char *want, const char *how) {
    if (got && !strcmp(got, want)) return;
    test_bad = true;
    printf("%s, %s:\n    %s\nnot\n    %s\n", input, how, got ? got : "(failed)", want);
}

// The same line whatever the pieces.
static inline void check_splits(const struct output_options *options, const char *input, const char *want, bool special,
                                bool ended) {
    size_t size = strlen(input);
    uint8_t *cuts = malloc(size + 1);
    for (int round = 0; round < 12; round++) {
        for (size_t i = 0; i < size; i++) cuts[i] = round == 0 ? 1 : round == 1 ? 0 : draw((uint32_t)round) == 0;
        char *line = told(options, input, size, special, ended, cuts);
        check_line(input, line, want, round == 0 ? "byte by byte" : round == 1 ? "whole" : "in pieces");
        free(line);
    }
    for (size_t at = 0; at < size; at++) {
        memset(cuts, 0, size);
        cuts[at] = 1;
        char *line = told(options, input, size, special, ended, cuts);
        check_line(input, line, want, "in two");
        free(line);
    }
    free(cuts);
}

// A template's text stands for its format.
static inline void check(const char *source, const char *input, const char *want) {
    struct format f;
    format_find(&f, source, strlen(source), NULL);
    struct output_options options = {.format = &f, .tools = test_tools()};
    if (f.calls->shapes[0]->kind == CALL_CHANNELS) options.begins = BEGINS_HEADER;
    for (int special = 0; special < 2; special++) check_splits(&options, input, want, special, true);
}

#endif
