#include "server/reasoning.h"

#include "base/utf8.h"
#include "server/models.h"

#include <stdlib.h>
#include <string.h>

enum { TAIL = 128 }; // bytes to look for a mark in: more than any has

bool budget_read(struct ask *a, const json_t *v, const char *name, struct fault *f) {
    json_int_t n = json_is_integer(v) ? json_integer_value(v) : -1;
    if (n < 0 || n > 1000000000) return refuse(f, 400, name, "%s: takes whole numbers from 0 to 1000000000", name);
    a->budgeted = true;
    a->budget = (size_t)n;
    return true;
}

void budget_free(struct budget *b) {
    if (b) gyr_free(b->ids);
    free(b);
}

// What ends reasoning. Where a header names what a message is, it has to say that the answer comes now, unless a
// grammar says what may come.
static const char *ending(const struct format *f, bool grammar, const json_t *tools) {
    if (f->thinking->close) return f->thinking->close;
    if (grammar) return "<|end|><|start|>assistant";
    return tools ? NULL : "<|end|><|start|>assistant<|channel|>final<|message|>";
}

static bool starts_special(const struct format *f, const char *mark) {
    size_t n = format_token_size(mark, strlen(mark));
    return n && format_special(f, mark, n) >= 0;
}

bool budget_settle(struct ask *a, enum format_begins begins, const json_t *tools, struct fault *f) {
    struct job *j = a->job;
    const struct format *format = served_format(j->model);
    gyr_tokens ids = {0};
    gyr_error e = {0};
    if (!a->budgeted) return true;
    const char *text = ending(format, j->grammar && !j->wakes, tools);
    if (!text)
        return refuse(f, 400, "tools",
                      "a budget for reasoning: not beside tools that may be called, with this model's way of writing "
                      "calls; choose tool_choice none, or required");
    if (j->receipt) return refuse(f, 400, "receipt", "receipt: not together with a budget for reasoning");
    if (gyr_tokenize(a->tokenizer, text, strlen(text), GYR_PARSE_SPECIAL, &ids, &e)) return refuse_error(f, &e, false);
    struct budget *b = j->budget = malloc(sizeof *b);
    if (!b) {
        gyr_free(ids.ids);
        return refuse(f, 503, NULL, "out of memory; try again later");
    }
    const char *close = format->thinking->close ? format->thinking->close : "<|end|>";
    *b = (struct budget){.tokens = a->budget,
                         .open = format->thinking->open,
                         .close = close,
                         .open_special = starts_special(format, format->thinking->open),
                         .close_special = starts_special(format, close),
                         .begins = begins == BEGINS_REASONING,
                         .ids = ids.ids,
                         .count = ids.count};
    return true;
}

// ------------------------------------------------------------------------------------------------ following it

void reasoning_begin(struct reasoning *r, const struct budget *b) {
    *r = (struct reasoning){.budget = b};
    if (b && b->begins) r->state = REASONING_OPEN;
}

int32_t reasoning_next(const struct reasoning *r) {
    const struct budget *b = r->budget;
    bool spent = b && r->state == REASONING_OPEN && r->tokens >= b->tokens && r->forced < b->count;
    if (!spent) return -1;
    // a character that was begun is ended first
    bool whole = r->forced || utf8_whole(r->tail.data ? r->tail.data : "", r->tail.size) == r->tail.size;
    return whole ? b->ids[r->forced] : -1;
}

// Where the mark ends in the tail; 0: it is not there.
static size_t find(const struct reasoning *r, const char *mark) {
    size_t n = strlen(mark);
    const char *at = r->tail.size ? memmem(r->tail.data, r->tail.size, mark, n) : NULL;
    return at ? (size_t)(at - r->tail.data) + n : 0;
}

static void drop(struct reasoning *r, size_t n) {
    if (!n) return;
    memmove(r->tail.data, r->tail.data + n, r->tail.size - n);
    r->tail.size -= n;
}

// Whether a mark that is plain text may still come: it stands at the beginning of an answer or nowhere.
static bool may_open(const struct reasoning *r) {
    size_t blank = 0, n = strlen(r->budget->open);
    while (blank < r->tail.size && strchr(" \n\r\t", r->tail.data[blank])) blank++;
    size_t left = r->tail.size - blank;
    return r->budget->open_special || !strncmp(r->tail.data + blank, r->budget->open, left < n ? left : n);
}

static void close_it(struct reasoning *r) {
    r->state = r->budget->open_special ? REASONING_UNKNOWN : REASONING_OVER;
    r->forced = 0;
    buf_clear(&r->tail);
}

static void listen(struct reasoning *r, const char *text, size_t size, bool special) {
    const struct budget *b = r->budget;
    bool open = r->state == REASONING_OPEN, guarded = open ? b->close_special : b->open_special;
    const char *mark = open ? b->close : b->open;
    for (size_t i = 0; i < size; i++) buf_putc(&r->tail, guarded && !special && text[i] == *mark ? 0 : text[i]);
    size_t end = find(r, mark);
    if (end && open) {
        close_it(r);
    } else if (end) {
        drop(r, end);
        r->state = REASONING_OPEN;
    } else if (open) {
        r->tokens++;
    } else if (r->tail.size && !may_open(r)) {
        r->state = REASONING_OVER;
    }
    if (r->tail.size > TAIL) drop(r, r->tail.size - TAIL);
}

void reasoning_heard(struct reasoning *r, int32_t id, const char *text, size_t size, bool special) {
    if (!r->budget || r->state == REASONING_OVER) return;
    bool forced = reasoning_next(r) == id;
    r->forced = forced ? r->forced + 1 : 0; // a grammar may have had it otherwise
    if (r->forced == r->budget->count)
        close_it(r);
    else if (!forced)
        listen(r, text, size, special);
}
