#include "server/conversations_kept.h"

#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void kept_clear(struct kept *k) {
    free(k->title);
    free(k->document);
    k->title = k->document = NULL;
}

// Columns: id, version, created, updated, bytes, title.
static void read_row(struct store *s, sqlite3_stmt *q, struct kept *k) {
    const char *id = (const char *)sqlite3_column_text(q, 0);
    snprintf(k->id, sizeof k->id, "%s", id ? id : "");
    k->version = sqlite3_column_int64(q, 1);
    k->created = sqlite3_column_int64(q, 2);
    k->updated = sqlite3_column_int64(q, 3);
    k->bytes = sqlite3_column_int64(q, 4);
    k->title = store_text(s, q, 5);
}

// Versions are numbers of the owner's own, none of which is ever given twice: a conversation that was deleted and made
// again is told from the first, and nobody learns from them what others do.
static int64_t state_of(struct store *s, int64_t owner) {
    return store_number(s, 0, "SELECT value FROM counters WHERE name = 'conversations ' || ?", "i", owner);
}

static int64_t next_state(struct store *s, int64_t owner) {
    return store_number(s, 0,
                        "INSERT INTO counters VALUES ('conversations ' || ?, 1) ON CONFLICT (name) DO UPDATE SET "
                        "value = value + 1 RETURNING value",
                        "i", owner);
}

struct kept *kept_list(struct store *s, int64_t owner, size_t *n, int64_t *state, gyr_error *e) {
    struct kept *all = NULL;
    size_t room = 0;
    *n = 0;
    if (!store_begin(s, STORE_READ, e)) return NULL;
    *state = state_of(s, owner);
    sqlite3_stmt *q = store_query(
        s, "SELECT id, version, created, updated, bytes, title FROM conversations WHERE owner = ? ORDER BY id", "i",
        owner);
    if (!ARRAY_GROW(all, *n, room)) store_refuse(s, GYR_NO_MEMORY, "conversations: out of memory");
    while (store_next(s, q)) {
        if (!ARRAY_GROW(all, *n, room)) {
            store_refuse(s, GYR_NO_MEMORY, "conversations: out of memory");
            break;
        }
        all[*n] = (struct kept){0};
        read_row(s, q, &all[(*n)++]);
    }
    if (store_end(s, e)) return all;
    for (size_t i = 0; i < *n; i++) kept_clear(&all[i]);
    free(all);
    return NULL;
}

enum kept_result kept_get(struct store *s, int64_t owner, const char *id, struct kept *k, gyr_error *e) {
    *k = (struct kept){0};
    if (!store_begin(s, STORE_READ, e)) return KEPT_FAILED;
    sqlite3_stmt *q = store_query(s,
                                  "SELECT id, version, created, updated, bytes, title, json FROM conversations "
                                  "WHERE owner = ? AND id = ?",
                                  "is", owner, id);
    bool there = store_next(s, q);
    if (there) {
        read_row(s, q, k);
        k->document = store_text(s, q, 6);
    }
    if (store_end(s, e)) return there ? KEPT_DONE : KEPT_NONE;
    kept_clear(k);
    return KEPT_FAILED;
}

// The version that there is; 0: none.
static int64_t version_of(struct store *s, int64_t owner, const char *id) {
    return store_number(s, 0, "SELECT version FROM conversations WHERE owner = ? AND id = ?", "is", owner, id);
}

static void check_limits(struct store *s, int64_t owner, const struct kept *k) {
    int64_t others =
        store_number(s, 0, "SELECT count(*) FROM conversations WHERE owner = ? AND id <> ?", "is", owner, k->id);
    int64_t bytes = store_number(s, 0, "SELECT coalesce(sum(bytes), 0) FROM conversations WHERE owner = ? AND id <> ?",
                                 "is", owner, k->id);
    if (k->bytes > KEPT_BYTES)
        store_refuse(s, GYR_TOO_LONG, "conversation %s: has %lld bytes, more than the %d that are kept", k->id,
                     (long long)k->bytes, KEPT_BYTES);
    if (others >= KEPT_MOST)
        store_refuse(s, GYR_TOO_LONG, "conversation %s: this key has %d, which is the most; delete some", k->id,
                     KEPT_MOST);
    if (bytes > KEPT_OWNER_BYTES - k->bytes)
        store_refuse(s, GYR_TOO_LONG,
                     "conversation %s: this key's would have more than the %d bytes that are kept; delete some", k->id,
                     KEPT_OWNER_BYTES);
}

// Not for a key that was removed since the request came: what it had is gone already.
static void write_row(struct store *s, int64_t owner, const struct kept *k, int64_t now) {
    int64_t n =
        store_run(s,
                  "INSERT INTO conversations (owner, id, version, created, updated, bytes, title, json) "
                  "SELECT ?1, ?2, ?3, ?4, ?4, ?5, ?6, ?7 WHERE EXISTS "
                  "(SELECT 1 FROM keys WHERE id = ?1 AND removed = 0) "
                  "ON CONFLICT (owner, id) DO UPDATE SET version = excluded.version, updated = excluded.updated, "
                  "bytes = excluded.bytes, title = excluded.title, json = excluded.json",
                  "isiiiss", owner, k->id, k->version, now, k->bytes, k->title, k->document);
    if (!n) store_refuse(s, GYR_USAGE, "conversation %s: its key was removed", k->id);
}

enum kept_result kept_put(struct store *s, int64_t owner, struct kept *k, int64_t had, int64_t now, gyr_error *e) {
    k->bytes = (int64_t)(strlen(k->document) + strlen(k->title));
    if (!store_begin(s, STORE_WRITE, e)) return KEPT_FAILED;
    int64_t is = version_of(s, owner, k->id);
    bool same = is == had;
    if (same) {
        check_limits(s, owner, k);
        k->version = next_state(s, owner);
        write_row(s, owner, k, now);
        k->created =
            store_number(s, now, "SELECT created FROM conversations WHERE owner = ? AND id = ?", "is", owner, k->id);
        k->updated = now;
    }
    if (!store_end(s, e)) return KEPT_FAILED;
    return same ? KEPT_DONE : is ? KEPT_CHANGED : KEPT_NONE;
}

enum kept_result kept_delete(struct store *s, int64_t owner, const char *id, int64_t had, gyr_error *e) {
    if (!store_begin(s, STORE_WRITE, e)) return KEPT_FAILED;
    int64_t is = version_of(s, owner, id);
    bool same = is && (!had || is == had);
    if (same) {
        store_run(s, "DELETE FROM conversations WHERE owner = ? AND id = ?", "is", owner, id);
        next_state(s, owner);
    }
    if (!store_end(s, e)) return KEPT_FAILED;
    return same ? KEPT_DONE : is ? KEPT_CHANGED : KEPT_NONE;
}
