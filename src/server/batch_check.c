// A batch's file becomes its lines, or the list of what is wrong with it.
#include "server/batch_impl.h"
#include "server/batch_work.h"

#include "base/map.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LINES = 50000, MAX_LINE = 1 << 20, MAX_ERRORS = 20, AT_ONCE = 500, MAX_CUSTOM_ID = 512 };

struct request {
    char *custom_id;
    int64_t start, bytes;
};

struct check {
    struct store *store;
    const struct batch *batch;
    struct batch_limits limits;
    struct request waiting[AT_ONCE]; // for the next transaction
    size_t count;
    int64_t lines; // that are in the state
    int64_t at;    // number of the line of the file, from 1
    json_t *errors;
    bool over; // the batch was cancelled meanwhile
};

static void note(struct check *c, int64_t line, const char *code, const char *message, const char *param) {
    if (json_array_size(c->errors) >= MAX_ERRORS) return;
    json_array_append_new(c->errors, json_pack("{s:s, s:s, s:s?, s:o}", "code", code, "message", message, "param",
                                               param, "line", line ? json_integer(line) : json_null()));
}

// Why a line is no request of this batch; NULL if it is one.
static const char *fault_of(const struct check *c, const json_t *o, const char **param, const char **code) {
    const char *id = json_string_value(json_object_get(o, "custom_id"));
    const char *method = json_string_value(json_object_get(o, "method"));
    const char *url = json_string_value(json_object_get(o, "url"));
    *param = "custom_id";
    *code = "invalid_custom_id";
    if (!id || !*id || strlen(id) > MAX_CUSTOM_ID) return "must be a text of 1 to 512 bytes";
    *param = "method";
    *code = "invalid_method";
    if (!method || strcmp(method, "POST")) return "must be POST";
    *param = "url";
    *code = "invalid_url";
    if (!url || strcmp(url, c->batch->endpoint)) return "must be the batch's endpoint";
    *param = "body";
    *code = "invalid_body";
    return json_is_object(json_object_get(o, "body")) ? NULL : "must be an object";
}

static bool flush(struct check *c, gyr_error *e) {
    struct store *s = c->store;
    if (!store_begin(s, STORE_NOTE, e)) return false;
    int64_t state = store_number(s, -1, "SELECT state FROM batches WHERE seq = ?", "i", c->batch->seq);
    c->over = state != BATCH_VALIDATING;
    for (size_t i = 0; i < c->count && !c->over; i++) {
        const struct request *r = &c->waiting[i];
        if (store_run(s,
                      "INSERT INTO lines (batch, line, custom_id, start, bytes) VALUES (?,?,?,?,?) "
                      "ON CONFLICT (batch, custom_id) DO NOTHING",
                      "iisii", c->batch->seq, c->lines, r->custom_id, r->start, r->bytes))
            c->lines++;
        else if (store_good(s))
            note(c, 0, "duplicate_custom_id", "is used twice", r->custom_id);
    }
    for (size_t i = 0; i < c->count; i++) free(c->waiting[i].custom_id);
    c->count = 0;
    return store_end(s, e);
}

static bool take_line(struct check *c, const char *text, size_t size, int64_t start, gyr_error *e) {
    int64_t most_lines = c->limits.lines ? c->limits.lines : MAX_LINES;
    int64_t most_bytes = c->limits.line_bytes ? c->limits.line_bytes : MAX_LINE;
    const char *param = NULL, *code = "invalid_json_line", *what;
    if (c->lines + (int64_t)c->count >= most_lines) {
        note(c, c->at, "too_many_tasks", "the file has more requests than a batch may have", NULL);
        c->over = true;
        return true;
    }
    json_error_t why;
    json_t *o = size <= (size_t)most_bytes ? json_loadb(text, size, JSON_REJECT_DUPLICATES, &why) : NULL;
    if (size > (size_t)most_bytes)
        what = "is longer than a request may be";
    else
        what = json_is_object(o) ? fault_of(c, o, &param, &code) : "is not a JSON object";
    if (what) {
        note(c, c->at, code, what, param);
    } else {
        char *id = strdup(json_string_value(json_object_get(o, "custom_id")));
        if (id) c->waiting[c->count++] = (struct request){id, start, (int64_t)size};
        if (!id) fail_memory(e, c->batch->id);
        if (!id) c->over = true;
    }
    json_decref(o);
    return c->count < AT_ONCE || flush(c, e);
}

static bool take_lines(struct check *c, const char *data, size_t size, gyr_error *e) {
    static const char mark[] = "\xef\xbb\xbf"; // some editors put a byte order mark in front
    size_t at = size >= 3 && !memcmp(data, mark, 3) ? 3 : 0;
    while (at < size && !c->over) {
        const char *end = memchr(data + at, '\n', size - at);
        size_t stop = end ? (size_t)(end - data) : size, n = stop - at;
        c->at++;
        while (n && strchr(" \t\r", data[at + n - 1]) && data[at + n - 1]) n--;
        if (n && !take_line(c, data + at, n, (int64_t)at, e)) return false;
        if (json_array_size(c->errors) >= MAX_ERRORS) break;
        at = stop + 1;
    }
    return c->over || flush(c, e);
}

// What was begun before the process died is begun anew.
static bool clear_lines(struct check *c, gyr_error *e) {
    if (!store_begin(c->store, STORE_NOTE, e)) return false;
    store_run(c->store, "DELETE FROM lines WHERE batch = ?", "i", c->batch->seq);
    return store_end(c->store, e);
}

static bool settle(struct check *c, int64_t now, gyr_error *e) {
    struct store *s = c->store;
    bool failed = json_array_size(c->errors) > 0;
    char *errors = failed ? json_dumps(c->errors, JSON_COMPACT) : NULL;
    if (failed && !errors) return fail_memory(e, c->batch->id);
    if (!store_begin(s, STORE_WRITE, e)) {
        free(errors);
        return false;
    }
    if (batch_move(s, c->batch->seq, BATCH_VALIDATING, failed ? BATCH_FAILED : BATCH_IN_PROGRESS, now)) {
        store_run(s, "UPDATE batches SET total = ?, errors = ? WHERE seq = ?", "isi", failed ? 0 : c->lines, errors,
                  c->batch->seq);
        if (failed) store_run(s, "DELETE FROM lines WHERE batch = ?", "i", c->batch->seq);
    }
    bool good = store_end(s, e);
    free(errors);
    return good;
}

static bool check_file(struct check *c, gyr_error *e) {
    struct map m;
    struct buf path = {0};
    buf_printf(&path, "%s/files/%s", store_place(c->store), c->batch->input_file);
    if (path.failed) {
        buf_free(&path);
        return fail_memory(e, c->batch->id);
    }
    bool there = map_open(&m, path.data, e), good = there;
    if (there) {
        good = take_lines(c, (const char *)m.data, m.size, e);
        map_close(&m);
    }
    buf_free(&path);
    return good;
}

bool batch_validate(struct store *s, const struct batch *b, const struct batch_limits *limits, int64_t now,
                    gyr_error *e) {
    struct check *c = calloc(1, sizeof *c);
    gyr_error why = {0};
    if (!c) return fail_memory(e, b->id);
    c->store = s;
    c->batch = b;
    c->limits = *limits;
    c->errors = json_array();
    bool good = c->errors && clear_lines(c, &why) && check_file(c, &why) && !why.status;
    for (size_t i = 0; i < c->count; i++) free(c->waiting[i].custom_id);
    if (!good && why.status == GYR_IO && now >= b->expires_at) { // it has been tried for long enough
        note(c, 0, "file_unreadable", "the file could not be read until the batch expired", NULL);
        good = c->errors != NULL;
        why = (gyr_error){0};
    }
    if (good && !c->lines && !json_array_size(c->errors)) note(c, 0, "empty_file", "the file has no requests", NULL);
    good = good && settle(c, now, &why);
    json_decref(c->errors);
    free(c);
    if (!good && !why.status) fail_memory(&why, b->id);
    if (!good && e) *e = why;
    return good;
}
