// Keys: who asks (GET /v1/key), and, for administrators, all of them (/v1/keys) and what they used (/v1/usage).
#include "server/access.h"
#include "server/ask.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DAY = 86400, USAGE_DAYS = 30, MAX_DAYS = 3650 };

// ------------------------------------------------------------------------------------------------ who asks

// A name for a key that neither another key has nor another server's: what clients tell accounts apart by. The hash of
// the hash that is kept, so that neither key nor hash is told.
static void key_id(const struct key *k, char id[17]) {
    unsigned char hash[SECRET_HASH] = {0};
    secret_hash(k->hash, sizeof k->hash, hash);
    for (size_t i = 0; i < 8; i++) snprintf(id + 2 * i, 3, "%02x", hash[i]);
}

void handle_who(struct server *s, struct exchange *x) {
    const struct key *k = x->account;
    struct buf json = {0};
    struct js o = {.out = &json};
    char id[17] = "";
    if (k) key_id(k, id);
    js_open(&o, NULL, '{');
    js_string_of(&o, "object", "key");
    js_string_of(&o, "id", k ? id : NULL);
    js_string_of(&o, "name", k ? k->name : NULL);
    js_bool(&o, "admin", k && k->admin);
    js_bool(&o, "manages", access_manages(s->access, x));
    js_bool(&o, "pulls", s->o->pull || access_manages(s->access, x));
    js_bool(&o, "keeps", k && server_store(s));
    js_close(&o, '}');
    reply_json(x, 200, &json);
}

// ------------------------------------------------------------------------------------------------ all keys

// A list that is JSON already.
static void reply_list(struct exchange *x, char *list) {
    struct buf json = {0};
    struct js o = {.out = &json};
    js_open(&o, NULL, '{');
    js_string_of(&o, "object", "list");
    js_raw(&o, "data", list, strlen(list));
    js_close(&o, '}');
    free(list);
    reply_json(x, 200, &json);
}

static bool list(struct server *s, struct exchange *x, struct fault *f) {
    gyr_error e = {0};
    struct store *store = server_keeps(s, f);
    char *text = store ? keys_list(store, time(NULL), &e) : NULL;
    if (!text) return store && refuse_state(s, f, &e, 500);
    reply_list(x, text);
    return true;
}

static bool read_count(const json_t *value, const char *name, uint64_t *count, struct fault *f) {
    json_int_t n = json_integer_value(value);
    *count = n > 0 ? (uint64_t)n : 0;
    return (json_is_integer(value) && n >= 0) ||
           refuse(f, 400, name, "%s: takes whole numbers from 0 (no limit) on", name);
}

struct wish {
    struct key key;
    uint64_t days;
};

static bool read_member(struct wish *w, const char *name, const json_t *value, struct fault *f) {
    struct key_limits *l = &w->key.limits;
    const struct {
        const char *name;
        uint64_t *count;
    } counts[] = {{"requests_per_minute", &l->requests_per_minute},
                  {"tokens_per_minute", &l->tokens_per_minute},
                  {"tokens_per_day", &l->tokens_per_day},
                  {"concurrency", &l->concurrency},
                  {"days", &w->days}};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        if (!strcmp(name, counts[i].name)) return read_count(value, name, counts[i].count, f);
    const char *text = json_string_value(value);
    if (!strcmp(name, "name")) {
        if (!text || strlen(text) > KEY_NAME) return refuse(f, 400, name, "name: takes 1 to %d characters", KEY_NAME);
        snprintf(w->key.name, sizeof w->key.name, "%s", text);
    } else if (!strcmp(name, "models")) {
        if (!text) return refuse(f, 400, name, "models: takes names with commas in between; empty: all");
        w->key.models = (char *)(uintptr_t)text;
    } else if (!strcmp(name, "admin")) {
        if (!json_is_boolean(value)) return refuse(f, 400, name, "admin: takes true or false");
        w->key.admin = json_is_true(value);
    } else {
        return refuse_as(f, 400, "unknown_parameter", name, "unknown parameter: '%.60s'", name);
    }
    return true;
}

static bool read_wish(struct wish *w, const json_t *body, int64_t now, struct fault *f) {
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)body, name, value) if (!read_member(w, name, value, f)) return false;
    if (w->days > MAX_DAYS) return refuse(f, 400, "days", "days: takes 0 (for ever) to %d", MAX_DAYS);
    if (w->days) w->key.expires = now + (int64_t)w->days * DAY;
    return *w->key.name || refuse(f, 400, "name", "name: required");
}

// The key's text is told here and never again.
static void reply_made(struct exchange *x, const struct key *k, const char *text) {
    struct buf json = {0};
    struct js o = {.out = &json};
    js_open(&o, NULL, '{');
    js_string_of(&o, "object", "key");
    js_string_of(&o, "name", k->name);
    js_bool(&o, "admin", k->admin);
    js_string_of(&o, "key", text);
    js_close(&o, '}');
    exchange_add_header(x, "Cache-Control", "no-store");
    reply_json(x, 200, &json);
}

static bool add(struct server *s, struct exchange *x, struct fault *f) {
    struct wish w = {0};
    gyr_error e = {0};
    char text[KEY_TEXT];
    int64_t now = time(NULL);
    struct store *store = server_keeps(s, f);
    json_t *body = store ? ask_body(x, f) : NULL;
    bool ok = body && read_wish(&w, body, now, f);
    if (ok && !keys_add(store, &w.key, now, text, &e)) ok = refuse_state(s, f, &e, 400);
    if (ok && !access_reload(s->access, &e)) server_log(s, e.message); // it is read again within a second
    if (ok) {
        reply_made(x, &w.key, text);
        secret_forget(text, sizeof text);
    }
    json_decref(body); // has the list of models in it
    return ok;
}

static bool delete (struct server *s, struct exchange *x, struct fault *f) {
    const struct key *k = x->account;
    gyr_error e = {0};
    struct store *store = server_keeps(s, f);
    if (!store) return false;
    if (!strcmp(k->name, x->tail))
        return refuse(f, 409, NULL, "key %.64s: is the one that asks; another administrator, or gyr key rm, removes it",
                      x->tail);
    if (!keys_remove(store, x->tail, time(NULL), &e) || !access_reload(s->access, &e))
        return refuse_state(s, f, &e, 404);
    reply_deleted(x, "key.deleted", "name", x->tail);
    return true;
}

// ------------------------------------------------------------------------------------------------ usage

static bool read_days(const char *text, int64_t *days, struct fault *f) {
    size_t n = text ? strspn(text, "0123456789") : 0;
    *days = text && n && n < 6 && !text[n] ? strtol(text, NULL, 10) : text ? 0 : USAGE_DAYS;
    return (*days >= 1 && *days <= MAX_DAYS) || refuse(f, 400, "days", "days: takes 1 to %d", MAX_DAYS);
}

static bool usage(struct server *s, struct exchange *x, struct fault *f) {
    gyr_error e = {0};
    int64_t days;
    struct store *store = server_keeps(s, f);
    char *name = exchange_query(x, "key"), *text = exchange_query(x, "days"), *all = NULL;
    bool ok = store && read_days(text, &days, f);
    if (ok && access_flush_usage(s->access, &e)) all = usage_list(store, name, time(NULL) - (days - 1) * DAY, &e);
    if (ok && !all) ok = refuse_state(s, f, &e, 404);
    if (ok) reply_list(x, all);
    free(name);
    free(text);
    return ok;
}

HANDLER(handle_key_list, list)
HANDLER(handle_key_add, add)
HANDLER(handle_key_delete, delete)
HANDLER(handle_usage, usage)
