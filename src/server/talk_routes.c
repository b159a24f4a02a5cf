// OpenAI's Conversations, under /v1/conversations as gyr's own (conversation_routes.c), which have other ids and other
// methods. All on clerks.
#include "server/ask.h"
#include "server/items.h"
#include "server/responses.h"
#include "server/routes.h"
#include "server/talks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// What a path names: a conversation, its items, or one of them.
struct named {
    char id[TALK_ID];
    const char *item; // NULL: all, if `items`
    bool items;
};

static bool none(const struct exchange *x, struct fault *f) {
    size_t n = strcspn(x->tail, "/");
    return refuse_as(f, 404, "not_found", NULL, "no conversation '%.*s' is kept here", n < 64 ? (int)n : 64, x->tail);
}

static bool no_item(const char *id, struct fault *f) {
    return refuse_as(f, 404, "not_found", NULL, "no item '%.64s' is in the conversation", id);
}

static bool read_path(struct named *n, const struct exchange *x, struct fault *f) {
    size_t id = strcspn(x->tail, "/");
    const char *rest = x->tail + id;
    if (id >= sizeof n->id || strncmp(x->tail, "conv_", 5)) return none(x, f);
    snprintf(n->id, sizeof n->id, "%.*s", (int)id, x->tail);
    n->items = !strncmp(rest, "/items", 6) && (!rest[6] || rest[6] == '/');
    n->item = n->items && rest[6] && rest[7] && !strchr(rest + 7, '/') ? rest + 7 : NULL;
    return !*rest || (n->items && !rest[6]) || n->item || none(x, f);
}

// What went wrong with the state.
static bool refuse_talk(struct server *s, const struct exchange *x, const gyr_error *e, struct fault *f) {
    if (e->status == GYR_USAGE) return none(x, f);
    return refuse_state(s, f, e, 403);
}

static void put_talk(struct buf *json, const char *id, const json_t *talk) {
    struct js o = {.out = json};
    char *metadata = json_dumps(json_object_get(talk, "metadata"), JSON_COMPACT);
    js_open(&o, NULL, '{');
    js_string_of(&o, "id", id);
    js_string_of(&o, "object", "conversation");
    js_whole(&o, "created_at", json_integer_value(json_object_get(talk, "created")));
    js_raw(&o, "metadata", metadata ? metadata : "{}", metadata ? strlen(metadata) : 2);
    js_close(&o, '}');
    free(metadata);
}

static bool reply_talk(struct server *s, struct exchange *x, struct store *store, const char *id, struct fault *f) {
    struct buf json = {0};
    gyr_error e = {0};
    json_t *talk = talk_get(store, exchange_owner(x), id, &e);
    if (!talk) return refuse_talk(s, x, &e, f);
    put_talk(&json, id, talk);
    json_decref(talk);
    reply_json(x, 200, &json);
    return true;
}

// ------------------------------------------------------------------------------------------------ making, changing

// Items of a body, as a conversation has them.
static json_t *read_items(const json_t *body, bool needed, struct fault *f) {
    const json_t *given = json_object_get(body, "items");
    json_t *item;
    size_t i;
    if ((!given || json_is_null(given)) && !needed) return json_array();
    if (!json_is_array(given) || json_array_size(given) > TALK_ITEMS || (needed && !json_array_size(given)))
        return refuse(f, 400, "items", "items: takes a list of at most %d items", TALK_ITEMS), NULL;
    json_array_foreach(given, i, item) if (!responses_item(item, "items", f)) return NULL;
    return talk_items(given, "items", f);
}

static bool create(struct server *s, struct exchange *x, struct fault *f) {
    char id[TALK_ID];
    gyr_error e = {0};
    struct store *store = server_keeps(s, f);
    json_t *body = store ? x->body && *x->body ? ask_body(x, f) : json_object() : NULL;
    const json_t *metadata = json_object_get(body, "metadata");
    json_t *items = body && ask_metadata(metadata, f) ? read_items(body, false, f) : NULL;
    bool ok = items &&
              (talk_new(store, exchange_owner(x), metadata, items, id, time(NULL), &e) || refuse_state(s, f, &e, 403));
    json_decref(items);
    json_decref(body);
    return ok && reply_talk(s, x, store, id, f);
}

static bool set_metadata(json_t *talk, void *metadata) { return !json_object_set(talk, "metadata", metadata); }

static bool update(struct server *s, struct exchange *x, struct store *store, const struct named *n, const json_t *body,
                   struct fault *f) {
    gyr_error e = {0};
    json_t *metadata = json_object_get(body, "metadata");
    if (!json_is_object(metadata)) return refuse(f, 400, "metadata", "metadata: takes an object");
    if (!ask_metadata(metadata, f)) return false;
    if (!talk_change(store, exchange_owner(x), n->id, set_metadata, metadata, &e)) return refuse_talk(s, x, &e, f);
    return reply_talk(s, x, store, n->id, f);
}

static bool add(struct server *s, struct exchange *x, struct store *store, const struct named *n, const json_t *body,
                struct fault *f) {
    gyr_error e = {0};
    struct buf json = {0};
    json_t *items = read_items(body, true, f);
    bool ok = items && (talk_add(store, exchange_owner(x), n->id, items, &e) || refuse_talk(s, x, &e, f));
    if (ok) items_list(items, &json);
    json_decref(items);
    if (ok) reply_json(x, 200, &json);
    return ok;
}

static bool post(struct server *s, struct exchange *x, struct fault *f) {
    struct named n;
    struct store *store = server_keeps(s, f);
    if (!store || !read_path(&n, x, f)) return false;
    if (n.item) return refuse(f, 405, NULL, "POST: not a method of %.200s", x->path);
    json_t *body = ask_body(x, f);
    bool ok = body && (n.items ? add : update)(s, x, store, &n, body, f);
    json_decref(body);
    return ok;
}

// ------------------------------------------------------------------------------------------------ reading, deleting

// Its place; SIZE_MAX: it is not there.
static size_t find_item(const json_t *talk, const char *id) {
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(talk, "items"), i, item) {
        const char *is = json_string_value(json_object_get(item, "id"));
        if (is && !strcmp(is, id)) return i;
    }
    return SIZE_MAX;
}

static bool say_item(const json_t *talk, const char *id, struct buf *json, struct fault *f) {
    char *text = json_dumps(json_array_get(json_object_get(talk, "items"), find_item(talk, id)), JSON_COMPACT);
    if (!text) return no_item(id, f);
    buf_puts(json, text);
    free(text);
    return true;
}

// Of those whose id gyr's own clients have chosen, the other routes know.
static bool is_own(struct server *s, const struct exchange *x) {
    gyr_error e = {0};
    struct store *store = server_store(s);
    if (strncmp(x->tail, "conv_", 5)) return true;
    if (!store || !exchange_owner(x) || strchr(x->tail, '/')) return false;
    json_t *talk = talk_get(store, exchange_owner(x), x->tail, &e);
    json_decref(talk);
    return !talk && e.status == GYR_USAGE;
}

static bool get(struct server *s, struct exchange *x, struct fault *f) {
    struct named n;
    gyr_error e = {0};
    struct buf json = {0};
    struct store *store = server_keeps(s, f);
    if (!store || !read_path(&n, x, f)) return false;
    json_t *talk = talk_get(store, exchange_owner(x), n.id, &e);
    if (!talk) return refuse_talk(s, x, &e, f);
    bool ok = true;
    if (n.item)
        ok = say_item(talk, n.item, &json, f);
    else if (n.items)
        ok = items_page(x, json_object_get(talk, "items"), true, &json, f);
    else
        put_talk(&json, n.id, talk);
    json_decref(talk);
    if (ok)
        reply_json(x, 200, &json);
    else
        buf_free(&json);
    return ok;
}

static bool remove_item(json_t *talk, void *id) {
    return !json_array_remove(json_object_get(talk, "items"), find_item(talk, id));
}

static bool delete (struct server *s, struct exchange *x, struct fault *f) {
    struct named n;
    gyr_error e = {0};
    int64_t owner = exchange_owner(x);
    struct store *store = server_keeps(s, f);
    if (!store || !read_path(&n, x, f)) return false;
    if (n.items && !n.item) return refuse(f, 405, NULL, "DELETE: not a method of %.200s", x->path);
    if (n.item) {
        bool ok = talk_change(store, owner, n.id, remove_item, (void *)(uintptr_t)n.item, &e);
        if (!ok) return e.status ? refuse_talk(s, x, &e, f) : no_item(n.item, f);
        return reply_talk(s, x, store, n.id, f);
    }
    if (!talk_delete(store, owner, n.id, time(NULL), &e)) return refuse_talk(s, x, &e, f);
    reply_deleted(x, "conversation.deleted", "id", n.id);
    return true;
}

HANDLER(handle_talk_new, create)
HANDLER(handle_talk_post, post)
static HANDLER(get_talk, get) static HANDLER(delete_talk, delete)

    void handle_talk(struct server *s, struct exchange *x) {
    (is_own(s, x) ? handle_conversation : get_talk)(s, x);
}

void handle_talk_delete(struct server *s, struct exchange *x) {
    (is_own(s, x) ? handle_conversation_delete : delete_talk)(s, x);
}
