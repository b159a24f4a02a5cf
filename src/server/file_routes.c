// /v1/files: what clients keep here. All on clerks.
#include "server/file_sending.h"
#include "server/multipart.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { DAY = 86400, BATCH_DAYS = 30, MAX_PAGE = 10000 };
static const int64_t most_bytes = 512 << 20; // of a file, as OpenAI has it

// ------------------------------------------------------------------------------------------------ replies

static void put_file(struct js *o, const struct stored_file *file) {
    js_open(o, NULL, '{');
    js_string_of(o, "id", file->id);
    js_string_of(o, "object", "file");
    js_whole(o, "bytes", file->bytes);
    js_whole(o, "created_at", file->created);
    if (file->expires)
        js_whole(o, "expires_at", file->expires);
    else
        js_none(o, "expires_at");
    js_string_of(o, "filename", file->name);
    js_string_of(o, "purpose", file->purpose);
    js_string_of(o, "status", "processed");
    js_none(o, "status_details");
    js_close(o, '}');
}

static void reply_file(struct exchange *x, const struct stored_file *file) {
    struct buf json = {0};
    struct js o = {.out = &json};
    put_file(&o, file);
    reply_json(x, 200, &json);
}

// ------------------------------------------------------------------------------------------------ a form

enum { PURPOSE, ANCHOR, SECONDS, FIELDS, FIELD_SIZE = 64 };
static const char *const field_names[FIELDS] = {"purpose", "expires_after[anchor]", "expires_after[seconds]"};

struct form {
    char fields[FIELDS][FIELD_SIZE]; // "": not there
    const char *name;                // NULL: no file yet
    char filename[MULTIPART_FILENAME + 1];
    struct text file;
};

static bool take_part(struct form *m, const struct multipart_part *p, struct fault *f) {
    if (!strcmp(p->name, "file")) {
        if (m->name) return refuse(f, 400, "file", "file: is there twice");
        if (!*p->filename) return refuse(f, 400, "file", "file: takes a file, with a name");
        snprintf(m->filename, sizeof m->filename, "%s", p->filename);
        m->name = m->filename;
        m->file = p->data;
        return true;
    }
    for (size_t i = 0; i < FIELDS; i++) {
        if (strcmp(p->name, field_names[i])) continue;
        size_t n = p->data.size;
        if (*m->fields[i]) return refuse(f, 400, p->name, "%s: is there twice", p->name);
        if (!n || n >= FIELD_SIZE || memchr(p->data.data, 0, n))
            return refuse(f, 400, p->name, "%s: takes 1 to %d bytes", p->name, FIELD_SIZE - 1);
        memcpy(m->fields[i], p->data.data, n);
        return true;
    }
    return refuse_as(f, 400, "unknown_parameter", p->name, "unknown parameter: '%s'", p->name);
}

static bool read_form(const struct exchange *x, struct form *m, struct fault *f) {
    const char *type = exchange_header(x, "content-type");
    struct multipart parts;
    struct multipart_part part;
    gyr_error e = {0};
    if (!multipart_begin(&parts, type ? type : "", x->body, x->body_size, &e))
        return refuse(f, 400, NULL, "%s", e.message);
    while (multipart_next(&parts, &part, &e))
        if (!take_part(m, &part, f)) return false;
    if (!parts.ended) return refuse(f, 400, NULL, "%s", e.message);
    if (!m->name) return refuse(f, 400, "file", "file: required");
    return *m->fields[PURPOSE] || refuse(f, 400, "purpose", "purpose: required");
}

static bool read_purpose(const char *word, struct stored_file *wish, struct fault *f) {
    static const char *const purposes[] = {"assistants", "batch", "evals", "fine-tune", "user_data", "vision"};
    for (size_t i = 0; i < sizeof purposes / sizeof *purposes; i++) {
        if (strcmp(word, purposes[i])) continue;
        snprintf(wish->purpose, sizeof wish->purpose, "%s", purposes[i]);
        return true;
    }
    return refuse(f, 400, "purpose", "purpose: takes assistants, batch, evals, fine-tune, user_data or vision");
}

static bool read_expiry(const struct form *m, int64_t now, struct stored_file *wish, struct fault *f) {
    enum { LEAST = 3600, MOST = 30 * DAY };
    const char *anchor = m->fields[ANCHOR], *text = m->fields[SECONDS];
    if (!strcmp(wish->purpose, "batch")) wish->expires = now + BATCH_DAYS * DAY;
    if (!*anchor && !*text) return true;
    if (strcmp(anchor, "created_at")) return refuse(f, 400, "expires_after", "expires_after[anchor]: takes created_at");
    char *end;
    long seconds = strspn(text, "0123456789") == strlen(text) && strlen(text) < 10 ? strtol(text, &end, 10) : 0;
    if (seconds < LEAST || seconds > MOST)
        return refuse(f, 400, "expires_after", "expires_after[seconds]: takes %d to %d", LEAST, MOST);
    wish->expires = now + seconds;
    return true;
}

// ------------------------------------------------------------------------------------------------ handlers

static bool keep(struct store *store, const struct stored_file *wish, const struct file_limits *limits,
                 const struct text *contents, struct stored_file *made, gyr_error *e) {
    struct file_writer *w = file_new(store, wish, limits, e);
    if (!w) return false;
    if (file_write(w, contents->data, contents->size, e)) return file_finish(w, time(NULL), made, e);
    file_drop(w);
    return false;
}

static bool add(struct server *s, struct exchange *x, struct fault *f) {
    struct form m = {0};
    struct stored_file wish = {.owner = exchange_owner(x)}, made;
    struct file_limits limits = {most_bytes, s->o->key_files, s->o->all_files};
    struct store *store = server_keeps(s, f);
    gyr_error e = {0};
    if (!store || !read_form(x, &m, f) || !read_purpose(m.fields[PURPOSE], &wish, f) ||
        !read_expiry(&m, time(NULL), &wish, f))
        return false;
    snprintf(wish.name, sizeof wish.name, "%s", m.filename);
    if (!keep(store, &wish, &limits, &m.file, &made, &e)) return refuse_state(s, f, &e, 400);
    reply_file(x, &made);
    return true;
}

static bool read_page(struct file_query *q, const char *limit, const char *order, struct fault *f) {
    if (limit) {
        char *end;
        long n = strtol(limit, &end, 10);
        if (!*limit || *end || n < 1 || n > MAX_PAGE)
            return refuse(f, 400, "limit", "limit: takes whole numbers from 1 to %d", MAX_PAGE);
        q->limit = (size_t)n;
    }
    if (order && strcmp(order, "asc") && strcmp(order, "desc"))
        return refuse(f, 400, "order", "order: takes asc or desc");
    q->ascending = order && !strcmp(order, "asc");
    return true;
}

static void reply_list(struct exchange *x, const struct stored_file *files, size_t n, bool more) {
    struct buf json = {0};
    struct js o = {.out = &json};
    js_open(&o, NULL, '{');
    js_string_of(&o, "object", "list");
    js_open(&o, "data", '[');
    for (size_t i = 0; i < n; i++) put_file(&o, &files[i]);
    js_close(&o, ']');
    js_string_of(&o, "first_id", n ? files[0].id : NULL);
    js_string_of(&o, "last_id", n ? files[n - 1].id : NULL);
    js_bool(&o, "has_more", more);
    js_close(&o, '}');
    reply_json(x, 200, &json);
}

static bool list(struct server *s, struct exchange *x, struct fault *f) {
    static const char *const names[] = {"limit", "order", "after", "purpose"};
    char *words[4];
    struct store *store = server_keeps(s, f);
    gyr_error e = {0};
    size_t n;
    bool more;
    for (size_t i = 0; i < 4; i++) words[i] = exchange_query(x, names[i]);
    struct file_query q = {exchange_sees(x), words[3], words[2], MAX_PAGE, false};
    struct stored_file *files = NULL;
    if (store && read_page(&q, words[0], words[1], f) && !(files = files_list(store, &q, time(NULL), &n, &more, &e)))
        refuse_state(s, f, &e, 400);
    if (files) reply_list(x, files, n, more);
    for (size_t i = 0; i < 4; i++) free(words[i]);
    free(files);
    return !f->status;
}

// The id of the path, without what may follow it.
static bool find(struct server *s, struct exchange *x, size_t n, struct stored_file *file, struct fault *f) {
    char id[FILE_ID + 1];
    gyr_error e = {0};
    struct store *store = server_keeps(s, f);
    if (!store) return false;
    snprintf(id, sizeof id, "%.*s", (int)(n < sizeof id ? n : 0), x->tail); // a longer one is nobody's
    return file_find(store, exchange_sees(x), id, time(NULL), file, &e) ||
           (e.status == GYR_USAGE ? refuse(f, 404, "file_id", "file %.60s: there is none", x->tail)
                                  : refuse_state(s, f, &e, 404));
}

static bool get(struct server *s, struct exchange *x, struct fault *f) {
    struct stored_file file;
    gyr_error e = {0};
    size_t n = strcspn(x->tail, "/");
    bool contents = !strcmp(x->tail + n, "/content");
    if (x->tail[n] && !contents) return refuse(f, 404, NULL, "%.200s: there is nothing here", x->path);
    if (!find(s, x, n, &file, f)) return false;
    if (!contents || !strcmp(x->method, "HEAD")) {
        reply_file(x, &file); // of a HEAD the body is not sent
        return true;
    }
    int fd = file_open(server_store(s), file.id, &e);
    return fd < 0 ? refuse_state(s, f, &e, 500) : file_send(s, x, fd, &file, f);
}

static bool delete (struct server *s, struct exchange *x, struct fault *f) {
    struct stored_file file;
    gyr_error e = {0};
    if (!find(s, x, strlen(x->tail), &file, f)) return false;
    if (!file_delete(server_store(s), exchange_sees(x), file.id, time(NULL), &e))
        return refuse_state(s, f, &e, 409); // a batch reads it
    reply_deleted(x, "file", "id", file.id);
    return true;
}

HANDLER(handle_file_add, add)
HANDLER(handle_file_list, list)
HANDLER(handle_file, get)
HANDLER(handle_file_delete, delete)
