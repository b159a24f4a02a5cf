#include "train/csv.h"

#include <string.h>

void csv_begin(struct csv *c, const char *path, const char *data, size_t size) {
    static const char mark[] = "\xef\xbb\xbf"; // some programs put a byte order mark in front
    bool marked = size >= 3 && !memcmp(data, mark, 3);
    *c = (struct csv){.path = path, .data = data, .size = size, .at = marked ? 3 : 0, .line = 1};
    size_t n = c->at;
    while (n < size && data[n] != '\n' && !c->separator) {
        if (data[n] == ',' || data[n] == ';' || data[n] == '\t') c->separator = data[n];
        n++;
    }
    if (!c->separator) c->separator = ',';
}

void csv_free(struct csv *c) {
    for (size_t i = 0; i < CSV_FIELDS; i++) buf_free(&c->fields[i]);
}

static bool wrong(const struct csv *c, gyr_error *e, const char *what) {
    return fail(e, GYR_MALFORMED, "%s:%zu: %s", c->path, c->first, what);
}

static bool ends(const struct csv *c) { return c->at == c->size || c->data[c->at] == '\n'; }

// Behind its first quote, to behind its last.
static bool read_quoted(struct csv *c, struct buf *field, gyr_error *e) {
    for (;;) {
        if (c->at == c->size) return wrong(c, e, "a field begins with a quote and has none at its end");
        char is = c->data[c->at++];
        if (is == '"' && (c->at == c->size || c->data[c->at] != '"')) break;
        c->at += is == '"'; // two are one
        c->line += is == '\n';
        if (is != '\r' || c->at == c->size || c->data[c->at] != '\n') buf_putc(field, is);
    }
    if (c->at < c->size && c->data[c->at] == '\r') c->at++;
    return ends(c) || c->data[c->at] == c->separator ||
           wrong(c, e, "something stands behind a field's last quote; a quote in a field is written twice");
}

static bool read_field(struct csv *c, struct buf *field, gyr_error *e) {
    buf_clear(field);
    if (c->at < c->size && c->data[c->at] == '"') {
        c->at++;
        return read_quoted(c, field, e);
    }
    while (!ends(c) && c->data[c->at] != c->separator) {
        if (c->data[c->at] == '"') return wrong(c, e, "a quote stands in a field that does not begin with one");
        buf_putc(field, c->data[c->at++]);
    }
    while (field->size && ends(c) && field->data[field->size - 1] == '\r') field->size--;
    return true;
}

static bool read_row(struct csv *c, gyr_error *e) {
    c->n = 0;
    c->first = c->line;
    for (;;) {
        if (c->n == CSV_FIELDS) return wrong(c, e, "has more columns than a table of questions and answers may have");
        struct buf *field = &c->fields[c->n++];
        if (!read_field(c, field, e)) return false;
        if (field->failed) return fail_memory(e, c->path);
        if (ends(c)) break;
        c->at++;
    }
    if (c->at < c->size) c->at++, c->line++;
    return true;
}

bool csv_next(struct csv *c, gyr_error *e) {
    while (c->at < c->size) {
        if (!read_row(c, e)) return false;
        if (c->n > 1 || c->fields[0].size) return true;
    }
    return false;
}
