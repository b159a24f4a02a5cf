// The end of a batch: what was answered becomes a file, and what was not, another.
#include "server/batch_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct finish {
    struct store *store;
    const struct batch *batch;
    struct file_writer *files[2]; // answers, errors; NULL: nothing to write yet
    struct buf text[2];           // what goes there next
    int64_t line;                 // that was taken last
    bool all;                     // every line has an answer
};

static const char *const names[2] = {"output", "error"};

// A line that nobody answered.
static void put_unanswered(struct buf *out, const char *custom_id, bool cancelled) {
    buf_puts(out, "{\"id\":\"batch_req_none\",\"custom_id\":");
    put_json_string(out, custom_id);
    buf_puts(out, ",\"response\":null,\"error\":{\"code\":");
    put_json_string(out, cancelled ? "batch_cancelled" : "batch_expired");
    buf_puts(out, ",\"message\":");
    put_json_string(out, cancelled ? "The batch was cancelled before this request was answered."
                                   : "The batch expired before this request was answered.");
    buf_puts(out, "}}");
}

// The next lines into the texts; *more: there may be others.
static bool read_lines(struct finish *f, bool *more, gyr_error *e) {
    enum { AT_ONCE = 200 };
    int n = 0;
    if (!store_begin(f->store, STORE_READ, e)) return false;
    sqlite3_stmt *q = store_query(f->store,
                                  "SELECT line, state, custom_id, result FROM lines WHERE batch = ? AND line > ? "
                                  "ORDER BY line LIMIT 200",
                                  "ii", f->batch->seq, f->line);
    for (; store_next(f->store, q); n++) {
        int state = sqlite3_column_int(q, 1);
        const char *id = (const char *)sqlite3_column_text(q, 2), *result = (const char *)sqlite3_column_text(q, 3);
        struct buf *out = &f->text[state != 1];
        f->line = sqlite3_column_int64(q, 0);
        if (state && result)
            buf_puts(out, result);
        else
            put_unanswered(out, id ? id : "", f->batch->state == BATCH_CANCELLING);
        buf_putc(out, '\n');
        if (!state) f->all = false;
    }
    *more = n == AT_ONCE;
    return store_end(f->store, e);
}

static bool write_text(struct finish *f, int which, gyr_error *e) {
    static const struct file_limits none = {0}; // answers that were computed are not thrown away for a quota
    struct buf *text = &f->text[which];
    if (text->failed) return fail_memory(e, f->batch->id);
    if (!text->size) return true;
    if (!f->files[which]) {
        struct stored_file wish = {.owner = f->batch->owner, .purpose = "batch_output"};
        snprintf(wish.name, sizeof wish.name, "%s_%s.jsonl", f->batch->id, names[which]);
        f->files[which] = file_new(f->store, &wish, &none, e);
    }
    bool good = f->files[which] && file_write(f->files[which], text->data, text->size, e);
    buf_clear(text);
    return good;
}

static bool write_files(struct finish *f, gyr_error *e) {
    bool more = f->batch->at[BATCH_IN_PROGRESS] > 0; // else the lines are not yet known to be right
    while (more)
        if (!read_lines(f, &more, e) || !write_text(f, 0, e) || !write_text(f, 1, e)) return false;
    for (int i = 0; i < 2; i++)
        if (f->files[i] && !file_close(f->files[i], e)) return false;
    return true;
}

static bool enter(struct finish *f, int64_t now, gyr_error *e) {
    const struct batch *b = f->batch;
    struct stored_file made[2] = {0};
    enum batch_state to = b->state == BATCH_CANCELLING ? BATCH_CANCELLED : f->all ? BATCH_COMPLETED : BATCH_EXPIRED;
    if (!store_begin(f->store, STORE_WRITE, e)) return false;
    if (!batch_move(f->store, b->seq, b->state, to, now))
        store_refuse(f->store, GYR_FAILED, "batch %s: was ended by somebody else", b->id);
    for (int i = 0; i < 2; i++)
        if (f->files[i]) file_enter(f->files[i], now, &made[i]);
    store_run(f->store, "UPDATE batches SET output_file = ?, error_file = ? WHERE seq = ?", "ssi", made[0].id,
              made[1].id, b->seq);
    store_run(f->store, "DELETE FROM lines WHERE batch = ?", "i", b->seq);
    if (!store_end(f->store, e)) return false;
    for (int i = 0; i < 2; i++)
        if (f->files[i]) file_kept(f->files[i]);
    return true;
}

bool batch_finish(struct store *s, const struct batch *b, int64_t now, gyr_error *e) {
    struct finish f = {.store = s, .batch = b, .line = -1, .all = true};
    bool good = write_files(&f, e) && enter(&f, now, e);
    for (int i = 0; i < 2; i++) {
        file_drop(f.files[i]);
        buf_free(&f.text[i]);
    }
    return good;
}
