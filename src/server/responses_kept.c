// GET and DELETE /v1/responses/ID, and GET /v1/responses/ID/input_items.
#include "server/items.h"
#include "server/objects.h"
#include "server/routes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// What the path names: a response, or the items that it was asked with.
struct named {
    char id[OBJECT_ID];
    bool items;
};

static bool read_path(struct named *n, const struct exchange *x, struct fault *f) {
    static const char items[] = "/input_items";
    const char *slash = strchr(x->tail, '/');
    n->items = slash && !strcmp(slash, items);
    if ((slash && !n->items) || strlen(x->tail) >= sizeof n->id + (n->items ? sizeof items - 1 : 0))
        return refuse_as(f, 404, "not_found", NULL, "no response '%.60s' is kept here", x->tail);
    if (n->items && !strcmp(x->method, "DELETE"))
        return refuse(f, 405, NULL, "DELETE: not a method of %.200s", x->path);
    snprintf(n->id, sizeof n->id, "%.*s", (int)(slash ? (size_t)(slash - x->tail) : strlen(x->tail)), x->tail);
    return true;
}

// ------------------------------------------------------------------------------------------------ items

// An item as the API lists it: with an id, its text in parts.
static json_t *listed(const json_t *item, size_t i) {
    json_t *copy = json_copy((json_t *)(uintptr_t)item), *content = json_object_get(copy, "content");
    const char *role = json_string_value(json_object_get(copy, "role"));
    bool ours = role && !strcmp(role, "assistant");
    if (role && !json_object_get(copy, "type")) json_object_set_new(copy, "type", json_string("message"));
    if (!json_object_get(copy, "id")) json_object_set_new(copy, "id", json_sprintf("%s_%zu", role ? "msg" : "item", i));
    if (role && json_is_string(content))
        json_object_set_new(copy, "content",
                            json_pack("[{s:s, s:O}]", "type", ours ? "output_text" : "input_text", "text", content));
    return copy;
}

static bool say_items(const struct exchange *x, const json_t *input, struct buf *out, struct fault *f) {
    json_t *all = json_array(), *item;
    size_t i;
    json_array_foreach(input, i, item) json_array_append_new(all, listed(item, i));
    bool ok = items_page(x, all, true, out, f);
    json_decref(all);
    return ok;
}

// ------------------------------------------------------------------------------------------------

static bool say(struct server *s, const struct exchange *x, struct buf *json, struct fault *f) {
    struct store *store = server_store(s);
    struct named n;
    gyr_error e = {0};
    int64_t owner = exchange_owner(x), now = time(NULL);
    if (!read_path(&n, x, f)) return false;
    char *text = store ? object_get(store, "response", n.id, owner, now, &e) : NULL;
    json_t *kept = text ? json_loads(text, 0, NULL) : NULL;
    bool ok = kept || refuse_as(f, 404, "not_found", NULL, "no response '%.60s' is kept here", n.id);
    free(text);
    if (ok && n.items) {
        ok = say_items(x, json_object_get(kept, "input"), json, f);
    } else if (ok && !strcmp(x->method, "DELETE")) {
        ok = object_delete(store, "response", n.id, owner, now, &e) || refuse_state(s, f, &e, 404);
        if (ok) buf_printf(json, "{\"id\":\"%s\",\"object\":\"response\",\"deleted\":true}", n.id);
    } else if (ok) {
        char *whole = json_dumps(json_object_get(kept, "response"), JSON_COMPACT);
        buf_puts(json, whole ? whole : "");
        json->failed |= !whole;
        free(whole);
    }
    json_decref(kept);
    return ok;
}

void handle_kept_response(struct server *s, struct exchange *x) {
    struct fault f = {0};
    struct buf json = {0};
    if (say(s, x, &json, &f)) {
        reply_json(x, 200, &json);
        return;
    }
    buf_free(&json);
    reply_fault(x, x->route->surface, &f);
}
