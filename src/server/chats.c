#include "server/chats.h"

#include <stdlib.h>
#include <string.h>

enum { KEPT_SECONDS = 30 * 24 * 3600, PAGE_BYTES = 32 << 20 };

void chat_clear(struct chat_row *r) {
    free(r->id);
    free(r->model);
    free(r->metadata);
    free(r->reply);
    free(r->messages);
    *r = (struct chat_row){0};
}

static void check_room(struct store *s, int64_t owner, int64_t bytes) {
    int64_t n = store_number(s, 0, "SELECT count(*) FROM chats WHERE owner = ?", "i", owner);
    int64_t all = store_number(s, 0, "SELECT coalesce(sum(bytes), 0) FROM chats WHERE owner = ?", "i", owner);
    if (n >= CHATS_MOST)
        store_refuse(s, GYR_TOO_LONG, "store: this key has %d kept completions, which is the most; delete some",
                     CHATS_MOST);
    if (all > CHATS_BYTES - bytes)
        store_refuse(s, GYR_TOO_LONG, "store: this key's kept completions would have more than %d bytes; delete some",
                     CHATS_BYTES);
}

bool chats_room(struct store *s, int64_t owner, gyr_error *e) {
    if (!store_begin(s, STORE_READ, e)) return false;
    check_room(s, owner, 1);
    return store_end(s, e);
}

bool chat_put(struct store *s, int64_t owner, const struct chat_row *r, int64_t now, gyr_error *e) {
    int64_t bytes = (int64_t)(strlen(r->reply) + strlen(r->messages) + strlen(r->metadata));
    if (bytes > CHAT_BYTES)
        return fail(e, GYR_TOO_LONG, "store: the completion and its messages have %lld bytes, more than the %d kept",
                    (long long)bytes, CHAT_BYTES);
    if (!store_begin(s, STORE_WRITE, e)) return false;
    check_room(s, owner, bytes);
    int64_t n = store_run(s,
                          "INSERT INTO chats (id, owner, created, expires, bytes, model, metadata, reply, messages) "
                          "SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9 WHERE ?2 = 0 OR EXISTS "
                          "(SELECT 1 FROM keys WHERE id = ?2 AND removed = 0)",
                          "siiiissss", r->id, owner, now, now + KEPT_SECONDS, bytes, r->model, r->metadata, r->reply,
                          r->messages);
    if (!n) store_refuse(s, GYR_USAGE, "store: the key was removed meanwhile");
    return store_end(s, e);
}

static void none(struct store *s, const char *id) { store_refuse(s, GYR_USAGE, "no completion '%.64s' is kept", id); }

// Columns: id, model, metadata, reply, messages (if `whole`).
static void read_row(struct store *s, sqlite3_stmt *q, struct chat_row *r, bool whole) {
    r->id = store_text(s, q, 0);
    r->model = store_text(s, q, 1);
    r->metadata = store_text(s, q, 2);
    r->reply = store_text(s, q, 3);
    if (whole) r->messages = store_text(s, q, 4);
}

bool chat_get(struct store *s, int64_t owner, const char *id, int64_t now, struct chat_row *r, gyr_error *e) {
    *r = (struct chat_row){0};
    if (!store_begin(s, STORE_READ, e)) return false;
    sqlite3_stmt *q = store_query(s,
                                  "SELECT id, model, metadata, reply, messages FROM chats WHERE id = ? AND owner = ? "
                                  "AND expires > ?",
                                  "sii", id, owner, now);
    if (store_next(s, q))
        read_row(s, q, r, true);
    else
        none(s, id);
    if (store_end(s, e)) return true;
    chat_clear(r);
    return false;
}

bool chat_describe(struct store *s, int64_t owner, const char *id, const char *metadata, int64_t now, gyr_error *e) {
    if (!store_begin(s, STORE_WRITE, e)) return false;
    if (!store_run(s,
                   "UPDATE chats SET bytes = bytes - length(CAST(metadata AS BLOB)) + length(CAST(?1 AS BLOB)), "
                   "metadata = ?1 WHERE id = ?2 AND owner = ?3 AND expires > ?4",
                   "ssii", metadata, id, owner, now))
        none(s, id);
    return store_end(s, e);
}

bool chat_delete(struct store *s, int64_t owner, const char *id, int64_t now, gyr_error *e) {
    if (!store_begin(s, STORE_WRITE, e)) return false;
    if (!store_run(s, "DELETE FROM chats WHERE id = ? AND owner = ? AND expires > ?", "sii", id, owner, now))
        none(s, id);
    return store_end(s, e);
}

// Rows whose metadata have all pairs of ?5.
#define LISTED                                                                                                         \
    "SELECT id, model, metadata, reply FROM chats WHERE owner = ?1 AND expires > ?3 AND (?4 IS NULL OR model = ?4) "   \
    "AND NOT EXISTS (SELECT 1 FROM json_each(?5) AS wanted WHERE NOT EXISTS (SELECT 1 FROM json_each(chats.metadata) " \
    "AS has WHERE has.key = wanted.key AND has.value = wanted.value)) AND seq "

// Whether there is room for one more row of the page.
static bool takes(struct chat_page *p, size_t bytes) {
    p->more = p->count == p->limit || (p->count && bytes > PAGE_BYTES);
    return !p->more;
}

struct chat_row *chats_list(struct store *s, int64_t owner, struct chat_page *p, int64_t now, gyr_error *e) {
    size_t bytes = 0;
    p->count = 0, p->more = false;
    if (!store_begin(s, STORE_READ, e)) return NULL;
    int64_t from = p->newest_first ? INT64_MAX : 0;
    if (p->after) {
        from = store_number(s, -1, "SELECT seq FROM chats WHERE id = ? AND owner = ?", "si", p->after, owner);
        if (from < 0) none(s, p->after);
    }
    struct chat_row *all = calloc(p->limit + 1, sizeof *all);
    if (!all) store_refuse(s, GYR_NO_MEMORY, "completions: out of memory");
    sqlite3_stmt *q = store_query(s, p->newest_first ? LISTED "< ?2 ORDER BY seq DESC" : LISTED "> ?2 ORDER BY seq",
                                  "iiiss", owner, from, now, p->model, p->metadata);
    while (!p->more && store_next(s, q)) {
        bytes += (size_t)sqlite3_column_bytes(q, 3);
        if (takes(p, bytes)) read_row(s, q, &all[p->count++], false);
    }
    if (store_end(s, e)) return all;
    for (size_t i = 0; all && i < p->count; i++) chat_clear(&all[i]);
    free(all);
    return NULL;
}

bool chats_sweep(struct store *s, int64_t now, gyr_error *e) {
    if (!store_begin(s, STORE_NOTE, e)) return false;
    store_run(s, "DELETE FROM chats WHERE expires <= ?", "i", now);
    return store_end(s, e);
}
