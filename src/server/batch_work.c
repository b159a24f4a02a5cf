#include "server/batch_work.h"

#include "server/batch_impl.h"
#include "server/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { REST = 30, ID = 24 }; // seconds; characters

struct batch_work {
    struct store *store;
    struct batch_limits limits;
    int lock;    // a descriptor with the lock on batches.lock, which goes with the process
    int64_t run; // of this holder of the lock; claims of earlier runs are void
    pthread_mutex_t turn;
    int64_t last;                // the batch that had the last line: each gets its turn
    int64_t resting, rest_until; // a batch that made trouble
};

// ---------------------------------------------------------------------------------------------------- the right

static int take_lock(struct store *s, gyr_error *e) {
    struct buf path = {0};
    buf_printf(&path, "%s/batches.lock", store_place(s));
    int fd = path.failed ? -1 : open(path.data, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (path.failed) {
        fail_memory(e, "batches");
    } else if (fd < 0) {
        fail(e, GYR_IO, "%s: %s", path.data, strerror(errno));
    } else if (flock(fd, LOCK_EX | LOCK_NB)) {
        bool other = errno == EWOULDBLOCK;
        fail(e, other ? GYR_CANCELLED : GYR_IO, "%s: %s", path.data,
             other ? "another process works on the batches" : strerror(errno));
        close(fd);
        fd = -1;
    }
    buf_free(&path);
    return fd;
}

static bool begin_run(struct batch_work *w, gyr_error *e) {
    if (!store_begin(w->store, STORE_WRITE, e)) return false;
    w->run = store_number(w->store, 0,
                          "INSERT INTO counters VALUES ('batch_run', 1) ON CONFLICT (name) DO UPDATE SET "
                          "value = value + 1 RETURNING value",
                          "");
    return store_end(w->store, e);
}

struct batch_work *batch_work_new(struct store *s, const struct batch_limits *limits, gyr_error *e) {
    struct batch_work *w = calloc(1, sizeof *w);
    if (!w) return fail_memory(e, "batches"), NULL;
    w->store = s;
    w->limits = *limits;
    pthread_mutex_init(&w->turn, NULL);
    w->lock = take_lock(s, e);
    if (w->lock >= 0 && begin_run(w, e)) return w;
    batch_work_free(w);
    return NULL;
}

void batch_work_free(struct batch_work *w) {
    if (!w) return;
    if (w->lock >= 0) close(w->lock);
    pthread_mutex_destroy(&w->turn);
    free(w);
}

// ---------------------------------------------------------------------------------------------------- a turn

// A batch that wants something else than a line answered; false: none does, or the state cannot be read.
static bool find_due(struct batch_work *w, int64_t now, struct batch *b, gyr_error *e) {
    struct store *s = w->store;
    int64_t resting = now < w->rest_until ? w->resting : 0;
    bool found = false;
    *b = (struct batch){0};
    if (!store_begin(s, STORE_READ, e)) return false;
    sqlite3_stmt *q = store_query(
        s,
        "SELECT " BATCH_COLUMNS " FROM batches WHERE state < 4 AND seq <> ?1 AND CASE state "
        "WHEN 1 THEN expires_at <= ?2 OR NOT EXISTS (SELECT 1 FROM lines WHERE batch = seq AND lines.state = 0) "
        "WHEN 3 THEN cancelling_at + 600 <= ?2 OR NOT EXISTS "
        "(SELECT 1 FROM lines WHERE batch = seq AND lines.state = 0 AND claim = ?3) "
        "ELSE 1 END ORDER BY seq LIMIT 1",
        "iii", resting, now, w->run);
    if (store_next(s, q)) {
        batch_read(s, q, b);
        found = true;
    }
    if (store_end(s, e)) return found;
    batch_clear(b);
    return false;
}

// No answer is taken any more, but those that are there stay.
static bool close_lines(struct batch_work *w, const struct batch *b, int64_t now, gyr_error *e) {
    struct store *s = w->store;
    if (!store_begin(s, STORE_WRITE, e)) return false;
    if (b->state == BATCH_IN_PROGRESS) batch_move(s, b->seq, BATCH_IN_PROGRESS, BATCH_FINALIZING, now);
    store_run(s, "UPDATE lines SET claim = 0 WHERE batch = ? AND state = 0 AND claim = ?", "ii", b->seq, w->run);
    return store_end(s, e);
}

static bool attend(struct batch_work *w, const struct batch *b, int64_t now, gyr_error *e) {
    switch (b->state) {
    case BATCH_VALIDATING: return batch_validate(w->store, b, &w->limits, now, e);
    case BATCH_IN_PROGRESS: return close_lines(w, b, now, e);
    case BATCH_CANCELLING: return close_lines(w, b, now, e) && batch_finish(w->store, b, now, e);
    default: return batch_finish(w->store, b, now, e);
    }
}

struct place {
    int64_t start, bytes;
    char input_file[FILE_ID + 1];
};

// The batch after the last one that has a line to give.
static int64_t next_batch(struct batch_work *w, int64_t resting) {
    static const char sql[] = "SELECT seq FROM batches WHERE state = 1 AND seq > ?1 AND seq <> ?2 AND EXISTS "
                              "(SELECT 1 FROM lines WHERE batch = seq AND lines.state = 0 AND claim < ?3) "
                              "ORDER BY seq LIMIT 1";
    int64_t seq = store_number(w->store, 0, sql, "iii", w->last, resting, w->run);
    return seq ? seq : store_number(w->store, 0, sql, "iii", (int64_t)0, resting, w->run);
}

static bool claim(struct batch_work *w, int64_t now, struct batch_line *l, struct place *p, gyr_error *e) {
    struct store *s = w->store;
    if (!store_begin(s, STORE_NOTE, e)) return false;
    int64_t seq = next_batch(w, now < w->rest_until ? w->resting : 0);
    sqlite3_stmt *q = store_query(s,
                                  "SELECT line, custom_id, start, bytes, owner, endpoint, input_file FROM lines "
                                  "JOIN batches ON seq = batch WHERE batch = ?1 AND lines.state = 0 AND claim < ?2 "
                                  "ORDER BY claim, line LIMIT 1",
                                  "ii", seq, w->run);
    if (store_next(s, q)) {
        const char *endpoint = (const char *)sqlite3_column_text(q, 5),
                   *input = (const char *)sqlite3_column_text(q, 6);
        l->batch = seq;
        l->line = sqlite3_column_int64(q, 0);
        l->custom_id = store_text(s, q, 1);
        p->start = sqlite3_column_int64(q, 2);
        p->bytes = sqlite3_column_int64(q, 3);
        l->owner = sqlite3_column_int64(q, 4);
        snprintf(l->endpoint, sizeof l->endpoint, "%s", endpoint ? endpoint : "");
        snprintf(p->input_file, sizeof p->input_file, "%s", input ? input : "");
        sqlite3_reset(q);
        store_run(s, "UPDATE lines SET claim = ? WHERE batch = ? AND line = ?", "iii", w->run, seq, l->line);
    }
    return store_end(s, e);
}

static char *read_bytes(struct store *s, const struct place *p, gyr_error *e) {
    int fd = file_open(s, p->input_file, e);
    if (fd < 0) return NULL;
    char *text = p->bytes >= 0 && p->bytes < INT32_MAX ? malloc((size_t)p->bytes + 1) : NULL;
    ssize_t n = text ? pread(fd, text, (size_t)p->bytes, p->start) : -1;
    close(fd);
    if (n == p->bytes) return text;
    free(text);
    return fail_null(e, GYR_IO, "%s/files/%s: cannot be read as it was written", store_place(s), p->input_file);
}

static bool read_body(struct batch_work *w, struct batch_line *l, const struct place *p, gyr_error *e) {
    char *text = read_bytes(w->store, p, e);
    if (!text) return false;
    json_t *o = json_loadb(text, (size_t)p->bytes, JSON_REJECT_DUPLICATES, NULL);
    l->body = json_dumps(json_object_get(o, "body"), JSON_COMPACT | JSON_REAL_PRECISION(17));
    l->body_size = l->body ? strlen(l->body) : 0;
    json_decref(o);
    free(text);
    return l->body ||
           fail(e, GYR_IO, "%s/files/%s: has changed since it was checked", store_place(w->store), p->input_file);
}

static enum batch_turn give_line(struct batch_work *w, int64_t now, struct batch_line *l, gyr_error *e) {
    struct place p = {0};
    if (!claim(w, now, l, &p, e)) {
        batch_line_clear(l);
        return BATCH_TROUBLE;
    }
    if (!l->batch) return BATCH_NONE;
    w->last = l->batch;
    if (read_body(w, l, &p, e)) return BATCH_LINE;
    w->resting = l->batch;
    w->rest_until = now + REST;
    batch_give_back(w, l, 0, NULL);
    batch_line_clear(l);
    return BATCH_TROUBLE;
}

static enum batch_turn take_turn(struct batch_work *w, int64_t now, struct batch_line *l, gyr_error *e) {
    gyr_error why = {0};
    struct batch b;
    if (find_due(w, now, &b, &why)) {
        bool good = attend(w, &b, now, &why);
        if (!good) {
            w->resting = b.seq;
            w->rest_until = now + REST;
        }
        batch_clear(&b);
        if (good) return BATCH_AGAIN;
    }
    enum batch_turn turn = why.status ? BATCH_TROUBLE : give_line(w, now, l, &why);
    if (turn == BATCH_TROUBLE && e) *e = why;
    return turn;
}

enum batch_turn batch_next(struct batch_work *w, int64_t now, struct batch_line *l, gyr_error *e) {
    *l = (struct batch_line){0};
    pthread_mutex_lock(&w->turn);
    enum batch_turn turn = take_turn(w, now, l, e);
    pthread_mutex_unlock(&w->turn);
    return turn;
}

void batch_line_clear(struct batch_line *l) {
    free(l->custom_id);
    free(l->body);
    *l = (struct batch_line){0};
}

// ---------------------------------------------------------------------------------------------------- answers

// A JSON text on one line: line ends in it can only stand between values.
static void put_on_one_line(struct buf *out, const char *json, size_t size) {
    size_t from = out->size;
    buf_append(out, json, size);
    for (size_t i = from; !out->failed && i < out->size; i++)
        if (out->data[i] == '\n' || out->data[i] == '\r') out->data[i] = ' ';
}

static void put_answer(struct buf *out, const char *id, const char *custom_id, const struct batch_answer *a) {
    buf_printf(out, "{\"id\":\"batch_req_%s\",\"custom_id\":", id);
    put_json_string(out, custom_id);
    if (a->error_code) {
        buf_puts(out, ",\"response\":null,\"error\":{\"code\":");
        put_json_string(out, a->error_code);
        buf_puts(out, ",\"message\":");
        put_json_string(out, a->error_message ? a->error_message : "");
        buf_puts(out, "}}");
        return;
    }
    buf_printf(out, ",\"response\":{\"status_code\":%d,\"request_id\":", a->status);
    put_json_string(out, a->request_id ? a->request_id : "");
    buf_puts(out, ",\"body\":");
    put_on_one_line(out, a->body, a->body_size);
    buf_puts(out, "},\"error\":null}");
}

bool batch_record(struct batch_work *w, const struct batch_line *l, const struct batch_answer *a, gyr_error *e) {
    struct store *s = w->store;
    struct buf text = {0};
    char id[ID + 1];
    bool good = !a->error_code && a->status >= 200 && a->status < 300;
    if (!secret_random(id, ID, e)) return false;
    put_answer(&text, id, l->custom_id, a);
    if (text.failed || !store_begin(s, STORE_WRITE, e)) {
        if (text.failed) fail_memory(e, "batches");
        buf_free(&text);
        return false;
    }
    int64_t n = store_run(s,
                          "UPDATE lines SET state = ?1, result = ?2 WHERE batch = ?3 AND line = ?4 AND state = 0 "
                          "AND claim = ?5 AND EXISTS (SELECT 1 FROM batches WHERE seq = ?3 AND state IN (1, 3))",
                          "isiii", (int64_t)(good ? 1 : 2), text.data, l->batch, l->line, w->run);
    if (n != 1) store_refuse(s, GYR_CANCELLED, "batch line %s: an answer is not wanted any more", l->custom_id);
    store_run(s, "UPDATE batches SET completed = completed + ?, failed = failed + ? WHERE seq = ?", "iii",
              (int64_t)good, (int64_t)!good, l->batch);
    bool done = store_end(s, e);
    buf_free(&text);
    return done;
}

static void rest(struct batch_work *w, int64_t batch, int64_t until) {
    pthread_mutex_lock(&w->turn);
    w->resting = batch;
    w->rest_until = until;
    pthread_mutex_unlock(&w->turn);
}

bool batch_give_back(struct batch_work *w, const struct batch_line *l, int64_t until, gyr_error *e) {
    if (until) rest(w, l->batch, until);
    if (!store_begin(w->store, STORE_NOTE, e)) return false;
    store_run(w->store, "UPDATE lines SET claim = 0 WHERE batch = ? AND line = ? AND state = 0 AND claim = ?", "iii",
              l->batch, l->line, w->run);
    return store_end(w->store, e);
}
