// /v1/chat/completions that are kept (https://platform.openai.com/docs/api-reference/chat): those of who asks, listed,
// told, described anew and deleted. All on clerks.
#include "server/ask.h"
#include "server/chats.h"
#include "server/items.h"
#include "server/routes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// ------------------------------------------------------------------------------------------------ replies

// The reply is an object that its metadata are added to.
static void put_chat(struct js *o, const struct chat_row *r) {
    struct buf whole = {0};
    size_t n = strlen(r->reply);
    buf_append(&whole, r->reply, n ? n - 1 : 0);
    buf_printf(&whole, ",\"metadata\":%s}", r->metadata);
    js_raw(o, NULL, whole.data ? whole.data : "", whole.size);
    o->out->failed |= whole.failed;
    buf_free(&whole);
}

static bool reply_chat(struct exchange *x, struct chat_row *r) {
    struct buf json = {0};
    struct js o = {.out = &json};
    put_chat(&o, r);
    chat_clear(r);
    reply_json(x, 200, &json);
    return true;
}

// ------------------------------------------------------------------------------------------------ one that is kept

// The id that the path names; `rest` is what comes behind it.
static void id_of(const struct exchange *x, char id[CHAT_ID], const char **rest) {
    size_t n = strcspn(x->tail, "/");
    snprintf(id, CHAT_ID, "%.*s", (int)(n < CHAT_ID ? n : 0), x->tail); // a longer one is nobody's
    *rest = x->tail + n;
}

static bool refuse_row(struct server *s, const struct exchange *x, const gyr_error *e, struct fault *f) {
    if (e->status != GYR_USAGE) return refuse_state(s, f, e, 404);
    return refuse_as(f, 404, "not_found", NULL, "no completion '%.64s' is kept here", x->tail);
}

static bool find(struct server *s, const struct exchange *x, struct chat_row *r, const char **rest, struct fault *f) {
    struct store *store = server_keeps(s, f);
    gyr_error e = {0};
    char id[CHAT_ID];
    id_of(x, id, rest);
    return store && (chat_get(store, exchange_owner(x), id, time(NULL), r, &e) || refuse_row(s, x, &e, f));
}

// A message as it is told: with an id, its text by itself, and its parts, if it came in parts.
static json_t *told(const json_t *message, const char *id, size_t i, struct fault *f) {
    json_t *m = json_copy((json_t *)(uintptr_t)message), *content = json_object_get(m, "content");
    char *text = NULL;
    if (!ask_content(content, "", &text, f)) {
        json_decref(m);
        return NULL;
    }
    json_object_set_new(m, "id", json_sprintf("%s-%zu", id, i));
    json_object_set(m, "content_parts", json_is_array(content) ? content : json_null());
    json_object_set_new(m, "content", text ? json_string(text) : json_null());
    if (!json_object_get(m, "name")) json_object_set_new(m, "name", json_null());
    free(text);
    return m;
}

static bool reply_messages(struct exchange *x, const struct chat_row *r, struct fault *f) {
    json_t *kept = json_loads(r->messages, 0, NULL), *all = json_array(), *message, *m;
    struct buf json = {0};
    size_t i;
    bool ok = kept && all;
    if (!ok) refuse(f, 503, NULL, "out of memory; try again later");
    json_array_foreach(kept, i, message) if (ok && (ok = (m = told(message, r->id, i, f))))
        json_array_append_new(all, m);
    ok = ok && items_page(x, all, false, &json, f);
    json_decref(kept);
    json_decref(all);
    if (ok)
        reply_json(x, 200, &json);
    else
        buf_free(&json);
    return ok;
}

static bool get(struct server *s, struct exchange *x, struct fault *f) {
    struct chat_row r = {0};
    const char *rest;
    if (!find(s, x, &r, &rest, f)) return false;
    if (!*rest) return reply_chat(x, &r);
    bool ok = strcmp(rest, "/messages")
                  ? refuse_as(f, 404, "not_found", NULL, "no completion '%.64s' is kept here", x->tail)
                  : reply_messages(x, &r, f);
    chat_clear(&r);
    return ok;
}

// ------------------------------------------------------------------------------------------------ changing it

static bool read_description(const json_t *body, char **metadata, struct fault *f) {
    const char *key;
    json_t *value, *given = json_object_get(body, "metadata");
    json_object_foreach((json_t *)(uintptr_t)body, key, value) if (strcmp(key, "metadata")) return refuse_as(
        f, 400, "unknown_parameter", key, "unknown parameter: '%.60s'", key);
    if (!given) return refuse(f, 400, "metadata", "metadata: is missing; it is what can be changed");
    if (!ask_metadata(given, f)) return false;
    *metadata = json_is_null(given) ? strdup("{}") : json_dumps(given, JSON_COMPACT);
    return *metadata || refuse(f, 503, NULL, "out of memory; try again later");
}

static bool describe(struct server *s, struct exchange *x, struct fault *f) {
    struct store *store = server_keeps(s, f);
    struct chat_row r = {0};
    gyr_error e = {0};
    char id[CHAT_ID], *metadata = NULL;
    const char *rest;
    json_t *body = store ? ask_body(x, f) : NULL;
    bool ok = body && read_description(body, &metadata, f);
    json_decref(body);
    id_of(x, id, &rest);
    if (ok && *rest) ok = refuse(f, 404, NULL, "%.200s: there is nothing here", x->path);
    ok = ok && (chat_describe(store, exchange_owner(x), id, metadata, time(NULL), &e) || refuse_row(s, x, &e, f));
    free(metadata);
    return ok && find(s, x, &r, &rest, f) && reply_chat(x, &r);
}

static bool forget(struct server *s, struct exchange *x, struct fault *f) {
    struct store *store = server_keeps(s, f);
    gyr_error e = {0};
    char id[CHAT_ID];
    const char *rest;
    if (!store) return false;
    id_of(x, id, &rest);
    if (*rest) return refuse(f, 405, NULL, "DELETE: not a method of %.200s", x->path);
    if (!chat_delete(store, exchange_owner(x), id, time(NULL), &e)) return refuse_row(s, x, &e, f);
    reply_deleted(x, "chat.completion.deleted", "id", id);
    return true;
}

// ------------------------------------------------------------------------------------------------ a list

// Parameters metadata[KEY] become an object of what is wanted.
static bool add_wanted(void *wanted, const char *name, const char *value) {
    static const char begin[] = "metadata[";
    size_t n = strlen(name), head = sizeof begin - 1;
    if (strncmp(name, begin, head) || name[n - 1] != ']') return true;
    char *key = strndup(name + head, n - head - 1);
    bool ok = key && !json_object_set_new(wanted, key, json_string(value));
    free(key);
    return ok;
}

static bool read_wanted(const struct exchange *x, char **metadata, struct fault *f) {
    json_t *wanted = json_object();
    bool ok = (wanted && exchange_parameters(x, add_wanted, wanted)) ||
              refuse(f, 400, "metadata", "metadata: cannot be read; write metadata[KEY]=VALUE, in UTF-8");
    ok = ok && ask_metadata(wanted, f);
    if (ok) *metadata = json_dumps(wanted, JSON_COMPACT);
    json_decref(wanted);
    return ok && (*metadata || refuse(f, 503, NULL, "out of memory; try again later"));
}

static bool reply_list(struct server *s, struct exchange *x, struct chat_page *p, struct fault *f) {
    struct store *store = server_keeps(s, f);
    struct buf json = {0};
    struct js o = {.out = &json};
    gyr_error e = {0};
    struct chat_row *all = store ? chats_list(store, exchange_owner(x), p, time(NULL), &e) : NULL;
    if (!all) return store && refuse_state(s, f, &e, 400);
    js_open(&o, NULL, '{');
    js_string_of(&o, "object", "list");
    js_open(&o, "data", '[');
    for (size_t i = 0; i < p->count; i++) put_chat(&o, &all[i]);
    js_close(&o, ']');
    js_string_of(&o, "first_id", p->count ? all[0].id : NULL);
    js_string_of(&o, "last_id", p->count ? all[p->count - 1].id : NULL);
    js_bool(&o, "has_more", p->more);
    js_close(&o, '}');
    for (size_t i = 0; i < p->count; i++) chat_clear(&all[i]);
    free(all);
    reply_json(x, 200, &json);
    return true;
}

// Those that were kept first come first, unless it is said otherwise.
static bool list(struct server *s, struct exchange *x, struct fault *f) {
    struct chat_page p = {0};
    char *after = exchange_query(x, "after"), *model = exchange_query(x, "model"), *metadata = NULL;
    p.after = after, p.model = model;
    bool ok = page_limit(x, &p.limit, f) && page_order(x, &p.newest_first, f) && read_wanted(x, &metadata, f);
    p.metadata = metadata;
    ok = ok && reply_list(s, x, &p, f);
    free(after);
    free(model);
    free(metadata);
    return ok;
}

HANDLER(handle_chat_list, list)
HANDLER(handle_chat, get)
HANDLER(handle_chat_describe, describe)
HANDLER(handle_chat_delete, forget)
