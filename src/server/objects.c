#include "server/objects.h"

#include <stdlib.h>
#include <string.h>

static void check_limits(struct store *s, const char *kind, const char *id, int64_t owner, int64_t bytes,
                         const struct object_limits *l) {
    if (l->object_bytes && bytes > l->object_bytes)
        store_refuse(s, GYR_TOO_LONG, "%s %.64s: has %lld bytes, more than the %lld that are kept", kind, id,
                     (long long)bytes, (long long)l->object_bytes);
    int64_t others = !l->owner_bytes ? 0
                                     : store_number(s, 0,
                                                    "SELECT coalesce(sum(bytes), 0) FROM objects WHERE owner = ?1 AND "
                                                    "NOT (kind = ?2 AND id = ?3)",
                                                    "iss", owner, kind, id);
    int64_t n = !l->most
                    ? -1
                    : store_number(s, 0, "SELECT count(*) FROM objects WHERE owner = ?1 AND kind = ?2 AND id <> ?3",
                                   "iss", owner, kind, id);
    if (n >= l->most)
        store_refuse(s, GYR_TOO_LONG, "%s: this key has %lld, which is the most; delete some", kind,
                     (long long)l->most);
    if (l->owner_bytes && others > l->owner_bytes - bytes)
        store_refuse(s, GYR_TOO_LONG,
                     "%s %.64s: this key's would have more than the %lld bytes that are kept; delete some", kind, id,
                     (long long)l->owner_bytes);
}

bool object_put(struct store *s, const char *kind, const char *id, int64_t owner, const char *json, int64_t now,
                int64_t expires, const struct object_limits *limits, gyr_error *e) {
    int64_t bytes = (int64_t)strlen(json);
    if (!*id || strlen(id) > OBJECT_ID)
        return fail(e, GYR_USAGE, "%s: its id must have 1 to %d bytes", kind, OBJECT_ID);
    if (!store_begin(s, STORE_WRITE, e)) return false;
    check_limits(s, kind, id, owner, bytes, limits);
    int64_t n = store_run(s,
                          "INSERT INTO objects (kind, id, owner, created, expires, bytes, json) VALUES (?,?,?,?,?,?,?) "
                          "ON CONFLICT (kind, id) DO UPDATE SET expires = excluded.expires, bytes = excluded.bytes, "
                          "json = excluded.json WHERE owner = excluded.owner",
                          "ssiiiis", kind, id, owner, now, expires, bytes, json);
    if (!n) store_refuse(s, GYR_USAGE, "%s %.64s: is another key's", kind, id);
    return store_end(s, e);
}

bool object_change(struct store *s, const char *kind, const char *id, int64_t owner, const char *had, const char *json,
                   const struct object_limits *limits, gyr_error *e) {
    int64_t bytes = (int64_t)strlen(json);
    if (!store_begin(s, STORE_WRITE, e)) return false;
    check_limits(s, kind, id, owner, bytes, limits);
    int64_t n =
        store_run(s, "UPDATE objects SET bytes = ?, json = ? WHERE kind = ? AND id = ? AND owner = ? AND json = ?",
                  "isssis", bytes, json, kind, id, owner, had);
    return store_end(s, e) && n;
}

char *object_get(struct store *s, const char *kind, const char *id, int64_t owner, int64_t now, gyr_error *e) {
    char *json = NULL;
    if (!store_begin(s, STORE_READ, e)) return NULL;
    sqlite3_stmt *q = store_query(s,
                                  "SELECT json FROM objects WHERE kind = ? AND id = ? AND owner = ? AND "
                                  "(expires = 0 OR expires > ?)",
                                  "ssii", kind, id, owner, now);
    if (store_next(s, q))
        json = store_text(s, q, 0);
    else
        store_refuse(s, GYR_USAGE, "%s %.64s: there is none", kind, id);
    if (store_end(s, e)) return json;
    free(json);
    return NULL;
}

bool object_delete(struct store *s, const char *kind, const char *id, int64_t owner, int64_t now, gyr_error *e) {
    if (!store_begin(s, STORE_WRITE, e)) return false;
    if (!store_run(s, "DELETE FROM objects WHERE kind = ? AND id = ? AND owner = ? AND (expires = 0 OR expires > ?)",
                   "ssii", kind, id, owner, now))
        store_refuse(s, GYR_USAGE, "%s %.64s: there is none", kind, id);
    return store_end(s, e);
}

bool objects_sweep(struct store *s, int64_t now, gyr_error *e) {
    if (!store_begin(s, STORE_NOTE, e)) return false;
    store_run(s, "DELETE FROM objects WHERE expires > 0 AND expires <= ?", "i", now);
    return store_end(s, e);
}
