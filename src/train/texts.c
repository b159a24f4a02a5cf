#include "train/texts.h"
#include "base/map.h"
#include "base/utf8.h"
#include "format/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

// Bytes of lines that are handed on together.
enum { SOME = 16 << 20, DEEP = 64 };

struct reading {
    bool (*fn)(void *arg, const struct some_texts *s);
    void *arg;
    const char *path;
    size_t line;
    uint64_t bytes, all; // of the files
    struct text *items;
    json_t **owners;
    size_t n, room, owner_room, held; // held: bytes of the items
    bool any;
    gyr_error *e;
};

static bool give(struct reading *r, const struct text *items, size_t n) {
    struct some_texts s = {r->path, items, n, r->all ? (double)r->bytes / (double)r->all : 1};
    r->any |= n > 0;
    return !n || r->fn(r->arg, &s);
}

static bool flush(struct reading *r) {
    bool ok = give(r, r->items, r->n);
    while (r->n) json_decref(r->owners[--r->n]);
    r->held = 0;
    return ok;
}

// ------------------------------------------------------------------------------------------------- a text

static bool whole_file(struct reading *r, const struct map *file) {
    struct text t = {(const char *)file->data, file->size};
    r->bytes += file->size;
    if (utf8_valid(t.data, t.size)) return give(r, &t, t.size > 0);
    size_t line = 1;
    uint32_t c;
    for (size_t at = 0, n; at < t.size && (n = (size_t)utf8_decode(t.data + at, t.size - at, &c)); at += n)
        line += c == '\n';
    return fail(r->e, GYR_MALFORMED, "%s:%zu: is not UTF-8; convert the file, or take it out", r->path, line);
}

// -------------------------------------------------------------------------------------------------- lines

static bool wrong(const struct reading *r, const char *what) {
    return fail(r->e, GYR_MALFORMED, "%s:%zu: %s", r->path, r->line, what);
}

static bool is_blank(const char *s, size_t n) {
    while (n && strchr(" \t\r", s[n - 1])) n--;
    return !n;
}

static bool keep(struct reading *r, json_t *all) {
    const json_t *text = json_object_get(all, "text");
    if (!json_is_object(all)) return wrong(r, "is no JSON object with a \"text\"");
    if (!text && json_object_get(all, "messages"))
        return wrong(r, "is a conversation and no \"text\"; gyr tune learns from conversations");
    if (!text) return wrong(r, "has no \"text\"");
    struct text s = json_text(text);
    if (!s.data) return wrong(r, "its \"text\" is no text");
    if (!s.size) return true;
    size_t owner_room = r->owner_room;
    if (!ARRAY_GROW(r->items, r->n, r->room) || !ARRAY_GROW(r->owners, r->n, owner_room))
        return fail_memory(r->e, r->path);
    r->owner_room = owner_room;
    r->items[r->n] = s;
    r->owners[r->n++] = json_incref(all);
    r->held += s.size;
    return r->held < SOME || flush(r);
}

static bool read_line(struct reading *r, const char *line, size_t n) {
    char where[400];
    snprintf(where, sizeof where, "%s:%zu", r->path, r->line);
    json_t *all = json_parse_any(line, n, DEEP, where, r->e);
    bool ok = all && keep(r, all);
    json_decref(all);
    return ok;
}

static bool lines(struct reading *r, const struct map *file) {
    bool ok = true;
    r->line = 0;
    for (size_t at = 0; ok && at < file->size;) {
        const char *line = (const char *)file->data + at, *end = memchr(line, '\n', file->size - at);
        size_t n = end ? (size_t)(end - line) : file->size - at, step = n + (end != NULL);
        at += step;
        r->bytes += step;
        r->line++;
        ok = is_blank(line, n) || read_line(r, line, n);
    }
    return ok && flush(r);
}

// --------------------------------------------------------------------------------------------------- all

static bool has_lines(const char *path) {
    size_t n = strlen(path), tail = strlen(".jsonl");
    return n >= tail && !strcmp(path + n - tail, ".jsonl");
}

static bool is_packed(const struct map *file) {
    return file->size > 1 && file->data[0] == 0x1f && file->data[1] == 0x8b;
}

static bool read_path(struct reading *r, const char *path) {
    struct map file;
    r->path = path;
    if (!map_open(&file, path, r->e)) return false;
    bool ok = !is_packed(&file) || fail(r->e, GYR_UNSUPPORTED, "%s: is compressed; unpack it with gunzip", path);
    ok = ok && (has_lines(path) ? lines : whole_file)(r, &file);
    while (r->n) json_decref(r->owners[--r->n]);
    map_close(&file);
    return ok;
}

bool texts_read(const char *const *paths, size_t n, bool (*fn)(void *arg, const struct some_texts *s), void *arg,
                gyr_error *e) {
    struct reading r = {.fn = fn, .arg = arg, .e = e};
    struct stat st;
    bool ok = true;
    for (size_t i = 0; i < n; i++) r.all += stat(paths[i], &st) ? 0 : (uint64_t)st.st_size;
    for (size_t i = 0; ok && i < n; i++) ok = read_path(&r, paths[i]);
    free(r.items);
    free(r.owners);
    if (ok && !r.any) return fail(e, GYR_MALFORMED, "%s: has no text", n ? paths[0] : "the data");
    return ok;
}
