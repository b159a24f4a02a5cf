#include "server/keys.h"

#include <ctype.h>
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static const char prefix[] = "gyr-";

// ---------------------------------------------------------------------------------------------------- in the state

static bool good_name(const char *name) {
    size_t n = strlen(name);
    if (!n || n > KEY_NAME || !isalnum((unsigned char)*name)) return false;
    for (; *name; name++)
        if ((unsigned char)*name >= 0x80 || (!isalnum((unsigned char)*name) && !strchr("._@-", *name))) return false;
    return true;
}

static bool check_wish(const struct key *w, int64_t now, gyr_error *e) {
    const uint64_t most = INT64_MAX;
    const struct key_limits *l = &w->limits;
    if (!good_name(w->name))
        return fail(e, GYR_USAGE,
                    "key \"%s\": a name has 1 to %d letters, digits, '.', '_', '@' and '-', and begins with "
                    "a letter or digit",
                    w->name, KEY_NAME);
    if (w->models && strlen(w->models) > KEY_MODELS)
        return fail(e, GYR_USAGE, "key %s: its list of models has more than %d bytes", w->name, KEY_MODELS);
    if (l->requests_per_minute > most || l->tokens_per_minute > most || l->tokens_per_day > most ||
        l->concurrency > most)
        return fail(e, GYR_USAGE, "key %s: a limit is larger than %llu", w->name, (unsigned long long)most);
    if (w->expires && w->expires <= now) return fail(e, GYR_USAGE, "key %s: would have expired already", w->name);
    return true;
}

static bool make_text(char text[KEY_TEXT], unsigned char hash[SECRET_HASH], gyr_error *e) {
    memcpy(text, prefix, 4);
    if (!secret_random(text + 4, KEY_RANDOM, e)) return false;
    return secret_hash(text, KEY_TEXT - 1, hash) || fail(e, GYR_FAILED, "SHA-256 failed");
}

bool keys_add(struct store *s, const struct key *w, int64_t now, char text[KEY_TEXT], gyr_error *e) {
    unsigned char hash[SECRET_HASH];
    if (!check_wish(w, now, e) || !make_text(text, hash, e) || !store_begin(s, STORE_WRITE, e)) return false;
    if (store_number(s, 0, "SELECT count(*) FROM keys WHERE name = ? AND removed = 0", "s", w->name))
        store_refuse(s, GYR_USAGE, "key %s: is there already; choose another name, or remove it first: gyr key rm %s",
                     w->name, w->name);
    const struct key_limits *l = &w->limits;
    store_run(s,
              "INSERT INTO keys (name, hash, hint, admin, requests_per_minute, tokens_per_minute, tokens_per_day, "
              "concurrency, models, created, expires) VALUES (?,?,?,?,?,?,?,?,?,?,?)",
              "sbsiiiiisii", w->name, hash, sizeof hash, text + KEY_TEXT - 1 - KEY_HINT, (int64_t)w->admin,
              (int64_t)l->requests_per_minute, (int64_t)l->tokens_per_minute, (int64_t)l->tokens_per_day,
              (int64_t)l->concurrency, w->models ? w->models : "", now, w->expires);
    if (store_end(s, e)) return true;
    secret_forget(text, KEY_TEXT);
    return false;
}

bool keys_remove(struct store *s, const char *name, int64_t now, gyr_error *e) {
    if (!store_begin(s, STORE_WRITE, e)) return false;
    int64_t id = store_number(s, 0, "SELECT id FROM keys WHERE name = ? AND removed = 0", "s", name);
    if (!id) store_refuse(s, GYR_USAGE, "key %s: there is none; 'gyr key list' shows them", name);
    // A hash that no text has, and that does not tell what the key's was.
    store_run(s, "UPDATE keys SET removed = ?, hash = zeroblob(0) WHERE id = ?", "ii", now, id);
    store_run(s, "DELETE FROM objects WHERE owner = ?", "i", id);
    store_run(s, "DELETE FROM chats WHERE owner = ?", "i", id);
    store_run(s, "DELETE FROM conversations WHERE owner = ?", "i", id);
    store_run(s, "UPDATE batches SET expires_at = min(expires_at, ?) WHERE owner = ?", "ii", now, id);
    return store_end(s, e);
}

enum { COLUMNS = 11 };
static const char *const column_names[COLUMNS] = {
    "id",          "name",    "hint",    "admin", "requests_per_minute", "tokens_per_minute", "tokens_per_day",
    "concurrency", "created", "expires", "models"};

static json_t *key_json(sqlite3_stmt *q, int64_t now) {
    json_t *o = json_object();
    for (int i = 0; i < COLUMNS; i++) {
        bool text = sqlite3_column_type(q, i) == SQLITE_TEXT;
        json_object_set_new(o, column_names[i],
                            text ? json_string((const char *)sqlite3_column_text(q, i))
                                 : json_integer(sqlite3_column_int64(q, i)));
    }
    int64_t expires = sqlite3_column_int64(q, 9);
    json_object_set_new(o, "admin", json_boolean(sqlite3_column_int(q, 3)));
    json_object_set_new(o, "expired", json_boolean(expires && expires <= now));
    return o;
}

char *keys_list(struct store *s, int64_t now, gyr_error *e) {
    if (!store_begin(s, STORE_READ, e)) return NULL;
    json_t *all = json_array();
    sqlite3_stmt *q = store_query(s,
                                  "SELECT id, name, hint, admin, requests_per_minute, tokens_per_minute, "
                                  "tokens_per_day, concurrency, created, expires, models FROM keys WHERE removed = 0 "
                                  "ORDER BY name",
                                  "");
    while (store_next(s, q)) json_array_append_new(all, key_json(q, now));
    bool good = store_end(s, e);
    char *text = good ? json_dumps(all, JSON_INDENT(2)) : NULL;
    if (good && !text) fail_memory(e, "keys");
    json_decref(all);
    return text;
}

// ---------------------------------------------------------------------------------------------------- in memory

struct held_key {
    struct key key; // first: a key's address is its held_key's
    atomic_uint holders;
};

struct keyring {
    struct store *store;
    pthread_mutex_t reading; // one thread at a time: else an older list could come after a newer one
    pthread_mutex_t lock;    // of keys and count
    struct key **keys;
    size_t count;
    _Atomic int64_t version; // of the state that was read
};

void key_hold(struct key *k) { atomic_fetch_add(&((struct held_key *)k)->holders, 1); }

void key_release(struct key *k) {
    struct held_key *h = (struct held_key *)k;
    if (!k || atomic_fetch_sub(&h->holders, 1) != 1) return;
    free(k->models);
    free(h);
}

static struct key *key_of(struct store *s, sqlite3_stmt *q) {
    struct held_key *h = calloc(1, sizeof *h);
    if (!h) {
        store_refuse(s, GYR_NO_MEMORY, "keys: out of memory");
        return NULL;
    }
    atomic_init(&h->holders, 1);
    struct key *k = &h->key;
    uint64_t *limits[] = {&k->limits.requests_per_minute, &k->limits.tokens_per_minute, &k->limits.tokens_per_day,
                          &k->limits.concurrency};
    k->id = sqlite3_column_int64(q, 0);
    k->admin = sqlite3_column_int(q, 2);
    k->expires = sqlite3_column_int64(q, 3);
    for (int i = 0; i < 4; i++) *limits[i] = (uint64_t)sqlite3_column_int64(q, 4 + i);
    const char *name = (const char *)sqlite3_column_text(q, 1);
    snprintf(k->name, sizeof k->name, "%s", name ? name : "");
    k->models = store_text(s, q, 8);
    if (sqlite3_column_bytes(q, 9) == SECRET_HASH) {
        memcpy(k->hash, sqlite3_column_blob(q, 9), SECRET_HASH);
        return k;
    }
    store_refuse(s, GYR_MALFORMED, "%s: key %s has a damaged hash; remove it: gyr key rm %s", store_path(s), k->name,
                 k->name);
    return k;
}

static void free_all(struct key **keys, size_t count) {
    for (size_t i = 0; i < count; i++) key_release(keys[i]);
    free(keys);
}

static struct key **read_keys(struct store *s, size_t *count, gyr_error *e) {
    struct key **keys = NULL;
    size_t n = 0, room = 0;
    if (!store_begin(s, STORE_READ, e)) return NULL;
    sqlite3_stmt *q = store_query(s,
                                  "SELECT id, name, admin, expires, requests_per_minute, tokens_per_minute, "
                                  "tokens_per_day, concurrency, models, hash FROM keys WHERE removed = 0",
                                  "");
    if (!ARRAY_GROW(keys, n, room)) store_refuse(s, GYR_NO_MEMORY, "keys: out of memory");
    while (store_next(s, q)) {
        if (!ARRAY_GROW(keys, n, room))
            store_refuse(s, GYR_NO_MEMORY, "keys: out of memory");
        else if ((keys[n] = key_of(s, q)))
            n++;
    }
    *count = n;
    if (store_end(s, e)) return keys;
    free_all(keys, n);
    return NULL;
}

static bool reload(struct keyring *r, gyr_error *e) {
    size_t count;
    int64_t version = store_version(r->store); // before: what is written meanwhile is read again the next time
    struct key **keys = read_keys(r->store, &count, e);
    if (!keys) return false;
    pthread_mutex_lock(&r->lock);
    struct key **old = r->keys;
    size_t old_count = r->count;
    r->keys = keys;
    r->count = count;
    pthread_mutex_unlock(&r->lock);
    atomic_store(&r->version, version);
    free_all(old, old_count);
    return true;
}

bool keyring_reload(struct keyring *r, gyr_error *e) {
    pthread_mutex_lock(&r->reading);
    bool ok = reload(r, e);
    pthread_mutex_unlock(&r->reading);
    return ok;
}

bool keyring_refresh(struct keyring *r, gyr_error *e) {
    return store_version(r->store) == atomic_load(&r->version) || keyring_reload(r, e);
}

struct keyring *keyring_new(struct store *s, gyr_error *e) {
    struct keyring *r = calloc(1, sizeof *r);
    if (!r) return fail_memory(e, "keys"), NULL;
    pthread_mutex_init(&r->lock, NULL);
    pthread_mutex_init(&r->reading, NULL);
    r->store = s;
    if (keyring_reload(r, e)) return r;
    keyring_free(r);
    return NULL;
}

void keyring_free(struct keyring *r) {
    if (!r) return;
    free_all(r->keys, r->count);
    pthread_mutex_destroy(&r->lock);
    pthread_mutex_destroy(&r->reading);
    free(r);
}

size_t keyring_count(struct keyring *r) {
    pthread_mutex_lock(&r->lock);
    size_t n = r->count;
    pthread_mutex_unlock(&r->lock);
    return n;
}

enum key_verdict keyring_find(struct keyring *r, struct text sent, int64_t now, struct key **key) {
    unsigned char hash[SECRET_HASH];
    struct key *found = NULL;
    *key = NULL;
    if (sent.size != KEY_TEXT - 1 || !secret_hash(sent.data, sent.size, hash)) return KEY_UNKNOWN;
    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; i < r->count; i++) // all of them: the time says nothing of which one it was
        if (secret_equal(hash, r->keys[i]->hash, sizeof hash)) found = r->keys[i];
    if (found) key_hold(found);
    pthread_mutex_unlock(&r->lock);
    if (!found) return KEY_UNKNOWN;
    if (found->expires && found->expires <= now) {
        key_release(found);
        return KEY_EXPIRED;
    }
    *key = found;
    return KEY_GOOD;
}

bool keyring_get(struct keyring *r, int64_t id, int64_t now, struct key **key) {
    *key = NULL;
    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; i < r->count; i++) {
        struct key *k = r->keys[i];
        if (k->id != id || (k->expires && k->expires <= now)) continue;
        key_hold(k);
        *key = k;
    }
    pthread_mutex_unlock(&r->lock);
    return *key;
}

bool key_allows_model(const struct key *k, const char *model) {
    size_t size = strlen(model);
    if (!*k->models) return true;
    for (const char *p = k->models; *p; p += *p == ',') {
        size_t n = strcspn(p, ",");
        if (n == size && !memcmp(p, model, n)) return true;
        p += n;
    }
    return false;
}
