#include "server/usage.h"

#include "base/buf.h"

#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// While the state cannot be written, what is beyond so many keys, days and models is not counted: memory is bounded.
enum { MAX_ENTRIES = 4096, MODEL = 128, DAY = 86400 };

struct counted {
    int64_t key, day;
    char model[MODEL];
    uint64_t requests;
    struct usage_entry sum;
};

struct usage {
    struct store *store;
    pthread_mutex_t lock;
    struct counted *entries;
    size_t count, room;
    int64_t flushed;
};

struct usage *usage_new(struct store *s) {
    struct usage *u = calloc(1, sizeof *u);
    if (!u) return NULL;
    u->store = s;
    pthread_mutex_init(&u->lock, NULL);
    return u;
}

void usage_free(struct usage *u) {
    if (!u) return;
    pthread_mutex_destroy(&u->lock);
    free(u->entries);
    free(u);
}

static int64_t day_of(int64_t now) { return now / DAY; }

static struct counted *entry_of(struct usage *u, int64_t key, const char *model, int64_t day) {
    for (size_t i = 0; i < u->count; i++) {
        struct counted *c = &u->entries[i];
        if (c->key == key && c->day == day && !strncmp(c->model, model, MODEL - 1)) return c;
    }
    if (u->count == MAX_ENTRIES || !ARRAY_GROW(u->entries, u->count, u->room)) return NULL;
    struct counted *c = &u->entries[u->count++];
    *c = (struct counted){.key = key, .day = day};
    snprintf(c->model, sizeof c->model, "%s", model);
    return c;
}

static void add(struct counted *c, uint64_t requests, const struct usage_entry *e) {
    c->requests += requests;
    c->sum.prompt_tokens += e->prompt_tokens;
    c->sum.cached_tokens += e->cached_tokens;
    c->sum.answer_tokens += e->answer_tokens;
}

void usage_add(struct usage *u, int64_t key, const char *model, const struct usage_entry *entry, int64_t now) {
    pthread_mutex_lock(&u->lock);
    struct counted *c = entry_of(u, key, model, day_of(now));
    if (c) add(c, 1, entry);
    pthread_mutex_unlock(&u->lock);
}

bool usage_due(struct usage *u, int64_t now) {
    pthread_mutex_lock(&u->lock);
    bool due = u->count && (now >= u->flushed + USAGE_SECONDS || now < u->flushed);
    pthread_mutex_unlock(&u->lock);
    return due;
}

static bool write_entries(struct store *s, const struct counted *c, size_t count, gyr_error *e) {
    if (!store_begin(s, STORE_NOTE, e)) return false;
    for (size_t i = 0; i < count; i++, c++)
        store_run(s,
                  "INSERT INTO usage VALUES (?,?,?,?,?,?,?) ON CONFLICT (key, day, model) DO UPDATE SET "
                  "requests = requests + excluded.requests, prompt_tokens = prompt_tokens + excluded.prompt_tokens, "
                  "cached_tokens = cached_tokens + excluded.cached_tokens, "
                  "answer_tokens = answer_tokens + excluded.answer_tokens",
                  "iisiiii", c->key, c->day, c->model, (int64_t)c->requests, (int64_t)c->sum.prompt_tokens,
                  (int64_t)c->sum.cached_tokens, (int64_t)c->sum.answer_tokens);
    return store_end(s, e);
}

bool usage_flush(struct usage *u, int64_t now, gyr_error *e) {
    // Others count on while the state is written: they begin a new list.
    pthread_mutex_lock(&u->lock);
    struct counted *taken = u->entries;
    size_t count = u->count;
    u->entries = NULL;
    u->count = u->room = 0;
    u->flushed = now;
    pthread_mutex_unlock(&u->lock);
    bool good = !count || write_entries(u->store, taken, count, e);
    pthread_mutex_lock(&u->lock);
    for (size_t i = 0; !good && i < count; i++) {
        struct counted *c = entry_of(u, taken[i].key, taken[i].model, taken[i].day);
        if (c) add(c, taken[i].requests, &taken[i].sum);
    }
    pthread_mutex_unlock(&u->lock);
    free(taken);
    return good;
}

uint64_t usage_today(struct usage *u, int64_t key, int64_t now) {
    int64_t day = day_of(now), sum = 0;
    if (store_begin(u->store, STORE_READ, NULL)) {
        int64_t n = store_number(u->store, 0,
                                 "SELECT coalesce(sum(prompt_tokens + answer_tokens), 0) FROM usage "
                                 "WHERE key = ? AND day = ?",
                                 "ii", key, day);
        if (store_end(u->store, NULL)) sum = n;
    }
    uint64_t total = sum > 0 ? (uint64_t)sum : 0;
    pthread_mutex_lock(&u->lock);
    for (size_t i = 0; i < u->count; i++)
        if (u->entries[i].key == key && u->entries[i].day == day)
            total += u->entries[i].sum.prompt_tokens + u->entries[i].sum.answer_tokens;
    pthread_mutex_unlock(&u->lock);
    return total;
}

static json_t *row_json(sqlite3_stmt *q) {
    static const char *const names[] = {"requests", "prompt_tokens", "cached_tokens", "answer_tokens"};
    char day[16] = "";
    time_t at = (time_t)(sqlite3_column_int64(q, 2) * DAY);
    struct tm utc;
    if (gmtime_r(&at, &utc)) strftime(day, sizeof day, "%Y-%m-%d", &utc);
    const char *name = (const char *)sqlite3_column_text(q, 0), *model = (const char *)sqlite3_column_text(q, 3);
    json_t *o = json_object();
    json_object_set_new(o, "key", name ? json_string(name) : json_null());
    json_object_set_new(o, "removed", json_boolean(sqlite3_column_int64(q, 1)));
    json_object_set_new(o, "day", json_string(day));
    json_object_set_new(o, "model", json_string(model ? model : ""));
    for (int i = 0; i < 4; i++) json_object_set_new(o, names[i], json_integer(sqlite3_column_int64(q, 4 + i)));
    return o;
}

char *usage_list(struct store *s, const char *name, int64_t since, gyr_error *e) {
    if (!store_begin(s, STORE_READ, e)) return NULL;
    if (name && !store_number(s, 0, "SELECT count(*) FROM keys WHERE name = ?", "s", name))
        store_refuse(s, GYR_USAGE, "key %s: there is none, nor was there; 'gyr key list' shows them", name);
    json_t *all = json_array();
    sqlite3_stmt *q = store_query(s,
                                  "SELECT keys.name, keys.removed, day, model, requests, prompt_tokens, "
                                  "cached_tokens, answer_tokens FROM usage LEFT JOIN keys ON keys.id = usage.key "
                                  "WHERE (?1 IS NULL OR keys.name = ?1) AND day >= ?2 "
                                  "ORDER BY keys.name, keys.id, day, model",
                                  "si", name, since / DAY);
    while (store_next(s, q)) json_array_append_new(all, row_json(q));
    bool good = store_end(s, e);
    char *text = good ? json_dumps(all, JSON_INDENT(2)) : NULL;
    if (good && !text) fail_memory(e, "usage");
    json_decref(all);
    return text;
}
