// GET and DELETE /v1/responses/ID, and GET /v1/responses/ID/input_items.
#include "server/objects.h"
#include "server/routes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PAGE = 20, MAX_PAGE = 100 };

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

struct page {
    size_t from, limit;
    bool ascending;
};

// Which of the items are wanted. `all`: in the order in which they are told.
static bool read_page(struct page *p, const json_t *all, const char *after, const char *limit, struct fault *f) {
    size_t i;
    json_t *item;
    char *end = NULL;
    long n = limit ? strtol(limit, &end, 10) : PAGE;
    if (limit && (!*limit || *end || n < 1 || n > MAX_PAGE))
        return refuse(f, 400, "limit", "limit: takes whole numbers from 1 to %d", MAX_PAGE);
    p->limit = (size_t)n;
    if (!after) return true;
    json_array_foreach(all, i, item) if (!strcmp(json_string_value(json_object_get(item, "id")), after)) p->from =
        i + 1;
    return p->from || refuse(f, 400, "after", "after: no item '%.60s' is there", after);
}

static void put_page(struct buf *out, const json_t *all, const struct page *p) {
    size_t n = json_array_size(all), to = p->from + p->limit < n ? p->from + p->limit : n;
    struct js o = {.out = out};
    const json_t *first = json_array_get(all, p->from), *last = to > p->from ? json_array_get(all, to - 1) : NULL;
    js_open(&o, NULL, '{');
    js_string_of(&o, "object", "list");
    js_open(&o, "data", '[');
    for (size_t i = p->from; i < to; i++) {
        char *text = json_dumps(json_array_get(all, i), JSON_COMPACT);
        js_raw(&o, NULL, text ? text : "", text ? strlen(text) : 0);
        out->failed |= !text;
        free(text);
    }
    js_close(&o, ']');
    js_string_of(&o, "first_id", json_string_value(json_object_get(first, "id")));
    js_string_of(&o, "last_id", json_string_value(json_object_get(last, "id")));
    js_bool(&o, "has_more", to < n);
    js_close(&o, '}');
}

// The newest first, unless it is said otherwise.
static bool say_items(const struct exchange *x, const json_t *input, struct buf *out, struct fault *f) {
    char *after = exchange_query(x, "after"), *limit = exchange_query(x, "limit"), *order = exchange_query(x, "order");
    bool ascending = order && !strcmp(order, "asc"), ok = !order || ascending || !strcmp(order, "desc");
    struct page p = {0};
    json_t *all = json_array();
    if (!ok) refuse(f, 400, "order", "order: takes asc or desc");
    for (size_t i = 0, n = json_array_size(input); i < n; i++) {
        size_t at = ascending ? i : n - 1 - i;
        json_array_append_new(all, listed(json_array_get(input, at), at));
    }
    ok = ok && read_page(&p, all, after, limit, f);
    if (ok) put_page(out, all, &p);
    json_decref(all);
    free(after);
    free(limit);
    free(order);
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
