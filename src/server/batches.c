#include "server/batches.h"

#include "server/batch_impl.h"
#include "server/secret.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

// In the order of enum batch_state.
static const struct {
    const char *name, *move; // the statement that brings a batch there: when, which, from
} states[BATCH_STATES] = {
    {"validating", NULL},
    {"in_progress", "UPDATE batches SET state = 1, in_progress_at = ? WHERE seq = ? AND state = ?"},
    {"finalizing", "UPDATE batches SET state = 2, finalizing_at = ? WHERE seq = ? AND state = ?"},
    {"cancelling", "UPDATE batches SET state = 3, cancelling_at = ? WHERE seq = ? AND state = ?"},
    {"completed", "UPDATE batches SET state = 4, completed_at = ? WHERE seq = ? AND state = ?"},
    {"failed", "UPDATE batches SET state = 5, failed_at = ? WHERE seq = ? AND state = ?"},
    {"expired", "UPDATE batches SET state = 6, expired_at = ? WHERE seq = ? AND state = ?"},
    {"cancelled", "UPDATE batches SET state = 7, cancelled_at = ? WHERE seq = ? AND state = ?"},
};

const char *batch_state_name(enum batch_state state) { return states[state].name; }

bool batch_move(struct store *s, int64_t seq, enum batch_state from, enum batch_state to, int64_t now) {
    return store_run(s, states[to].move, "iii", now, seq, (int64_t)from) == 1;
}

void batch_clear(struct batch *b) {
    free(b->metadata);
    free(b->errors);
    b->metadata = b->errors = NULL;
}

static void copy_text(sqlite3_stmt *q, int column, char *out, size_t size) {
    const char *text = (const char *)sqlite3_column_text(q, column);
    snprintf(out, size, "%s", text ? text : "");
}

void batch_read(struct store *s, sqlite3_stmt *q, struct batch *b) {
    *b = (struct batch){.seq = sqlite3_column_int64(q, 0), .owner = sqlite3_column_int64(q, 2)};
    int state = sqlite3_column_int(q, 3);
    if (state < 0 || state >= BATCH_STATES)
        store_refuse(s, GYR_MALFORMED, "%s: has a batch in a state that is none; restore it from a backup",
                     store_path(s));
    else
        b->state = (enum batch_state)state;
    copy_text(q, 1, b->id, sizeof b->id);
    copy_text(q, 4, b->endpoint, sizeof b->endpoint);
    copy_text(q, 5, b->window, sizeof b->window);
    copy_text(q, 6, b->input_file, sizeof b->input_file);
    copy_text(q, 7, b->output_file, sizeof b->output_file);
    copy_text(q, 8, b->error_file, sizeof b->error_file);
    b->metadata = store_text(s, q, 9);
    b->errors = store_text(s, q, 10);
    b->total = sqlite3_column_int64(q, 11);
    b->completed = sqlite3_column_int64(q, 12);
    b->failed = sqlite3_column_int64(q, 13);
    b->expires_at = sqlite3_column_int64(q, 14);
    for (int i = 0; i < BATCH_STATES; i++) b->at[i] = sqlite3_column_int64(q, 15 + i);
}

static void look(struct store *s, int64_t owner, const char *wanted, struct batch *b) {
    char id[64]; // the caller may have it in *b
    snprintf(id, sizeof id, "%s", wanted);
    *b = (struct batch){0};
    sqlite3_stmt *q = store_query(s, "SELECT " BATCH_COLUMNS " FROM batches WHERE id = ?1 AND (owner = ?2 OR ?2 = -1)",
                                  "si", id, owner);
    if (!store_next(s, q)) {
        store_refuse(s, GYR_USAGE, "batch %s: there is none", id);
        return;
    }
    batch_read(s, q, b);
    sqlite3_reset(q);
}

// Ends the transaction; a batch of one that failed is not for the caller.
static bool end(struct store *s, struct batch *b, gyr_error *e) {
    if (store_end(s, e)) return true;
    batch_clear(b);
    return false;
}

static bool good_metadata(const char *text) {
    json_t *o = strlen(text) <= BATCH_METADATA ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
    bool good = json_is_object(o);
    json_decref(o);
    return good;
}

static bool check_wish(const struct batch_wish *w, gyr_error *e) {
    if (!*w->endpoint || strlen(w->endpoint) > BATCH_ENDPOINT)
        return fail(e, GYR_USAGE, "endpoint: must be a path of at most %d bytes", BATCH_ENDPOINT);
    if (!*w->window || strlen(w->window) > BATCH_WINDOW)
        return fail(e, GYR_USAGE, "completion_window: must be a time such as 24h");
    if (w->metadata && !good_metadata(w->metadata))
        return fail(e, GYR_USAGE, "metadata: must be a JSON object of at most %d bytes", BATCH_METADATA);
    return true;
}

bool batch_add(struct store *s, const struct batch_wish *w, int64_t now, struct batch *made, gyr_error *e) {
    char id[BATCH_ID + 1] = "batch_";
    struct stored_file input = {0};
    *made = (struct batch){0};
    if (!check_wish(w, e) || !secret_random(id + 6, BATCH_ID - 6, e) || !store_begin(s, STORE_WRITE, e)) return false;
    file_look(s, w->owner, w->input_file, now, &input);
    if (store_good(s) && strcmp(input.purpose, "batch"))
        store_refuse(s, GYR_USAGE, "file %s: its purpose is %s; a batch needs one of purpose batch", input.id,
                     input.purpose);
    if (w->most &&
        store_number(s, 0, "SELECT count(*) FROM batches WHERE owner = ? AND state < 4", "i", w->owner) >= w->most)
        store_refuse(s, GYR_TOO_LONG, "batches: %lld are under way, as many as may be; wait for one of them",
                     (long long)w->most);
    store_run(s,
              "INSERT INTO batches (id, owner, state, endpoint, completion_window, metadata, input_file, expires_at, "
              "validating_at) VALUES (?,?,0,?,?,?,?,?,?)",
              "sissssii", id, w->owner, w->endpoint, w->window, w->metadata, input.id, now + w->seconds, now);
    look(s, w->owner, id, made);
    return end(s, made, e);
}

bool batch_find(struct store *s, int64_t owner, const char *id, struct batch *found, gyr_error *e) {
    if (!store_begin(s, STORE_READ, e)) return false;
    look(s, owner, id, found);
    return end(s, found, e);
}

bool batch_cancel(struct store *s, int64_t owner, const char *id, int64_t now, struct batch *found, gyr_error *e) {
    if (!store_begin(s, STORE_WRITE, e)) return false;
    look(s, owner, id, found);
    if (found->state == BATCH_VALIDATING || found->state == BATCH_IN_PROGRESS) {
        batch_move(s, found->seq, found->state, BATCH_CANCELLING, now);
        batch_clear(found);
        look(s, owner, id, found);
    } else if (found->state != BATCH_CANCELLING) {
        store_refuse(s, GYR_USAGE, "batch %s: is %s and cannot be cancelled any more", found->id,
                     batch_state_name(found->state));
    }
    return end(s, found, e);
}

static void free_all(struct batch *all, size_t n) {
    for (size_t i = 0; i < n; i++) batch_clear(&all[i]);
    free(all);
}

struct batch *batches_list(struct store *s, int64_t owner, const char *after, size_t limit, size_t *count, bool *more,
                           gyr_error *e) {
    struct batch *all = NULL;
    size_t n = 0, room = 0;
    int64_t from = INT64_MAX;
    if (limit < 1) limit = 1;
    if (limit > 1000) limit = 1000;
    *more = false;
    if (!store_begin(s, STORE_READ, e)) return NULL;
    if (after) {
        from = store_number(s, -1, "SELECT seq FROM batches WHERE id = ?1 AND (owner = ?2 OR ?2 = -1)", "si", after,
                            owner);
        if (from < 0) store_refuse(s, GYR_USAGE, "after: batch %.64s: there is none", after);
    }
    sqlite3_stmt *q = store_query(s,
                                  "SELECT " BATCH_COLUMNS " FROM batches WHERE (owner = ?1 OR ?1 = -1) AND seq < ?2 "
                                  "ORDER BY seq DESC LIMIT ?3",
                                  "iii", owner, from, (int64_t)limit + 1);
    if (!ARRAY_GROW(all, n, room)) store_refuse(s, GYR_NO_MEMORY, "batches: out of memory");
    while (store_next(s, q)) {
        if (n == limit)
            *more = true;
        else if (ARRAY_GROW(all, n, room))
            batch_read(s, q, &all[n++]);
        else
            store_refuse(s, GYR_NO_MEMORY, "batches: out of memory");
    }
    *count = n;
    if (store_end(s, e)) return all;
    free_all(all, n);
    return NULL;
}

bool batches_sweep(struct store *s, int64_t now, gyr_error *e) {
    enum { DAY = 86400, KEPT = 90 * DAY };
    if (!store_begin(s, STORE_NOTE, e)) return false;
    store_run(
        s,
        "DELETE FROM batches WHERE state >= 4 AND (max(completed_at, failed_at, expired_at, cancelled_at) <= ?1 OR "
        "(max(completed_at, failed_at, expired_at, cancelled_at) <= ?2 AND NOT EXISTS "
        "(SELECT 1 FROM files WHERE id IN (input_file, output_file, error_file))))",
        "ii", now - KEPT, now - DAY);
    return store_end(s, e);
}

void put_json_string(struct buf *out, const char *text) {
    json_t *j = json_string(text);
    char *quoted = j ? json_dumps(j, JSON_ENCODE_ANY) : NULL;
    buf_puts(out, quoted ? quoted : "\"\"");
    free(quoted);
    json_decref(j);
}
