#include "server/items.h"

#include "server/write_json.h"

#include <stdlib.h>
#include <string.h>

enum { PAGE = 20, MAX_PAGE = 100 };

bool page_limit(const struct exchange *x, size_t *limit, struct fault *f) {
    char *text = exchange_query(x, "limit"), *end = NULL;
    long n = text ? strtol(text, &end, 10) : PAGE;
    bool good = n >= 1 && n <= MAX_PAGE && (!text || (*text && !*end));
    free(text);
    *limit = (size_t)n;
    return good || refuse(f, 400, "limit", "limit: takes whole numbers from 1 to %d", MAX_PAGE);
}

bool page_order(const struct exchange *x, bool *newest_first, struct fault *f) {
    char *order = exchange_query(x, "order");
    bool down = order && !strcmp(order, "desc"), good = !order || down || !strcmp(order, "asc");
    if (order) *newest_first = down;
    free(order);
    return good || refuse(f, 400, "order", "order: takes asc or desc");
}

static const char *id_of(const json_t *item) { return json_string_value(json_object_get(item, "id")); }

// Where the page begins: behind the item of "after".
static bool find_place(const struct exchange *x, const json_t *all, size_t *from, struct fault *f) {
    char *after = exchange_query(x, "after");
    size_t i;
    json_t *item;
    *from = 0;
    if (!after) return true;
    json_array_foreach(all, i, item) if (!strcmp(id_of(item), after)) *from = i + 1;
    bool found = *from || refuse(f, 400, "after", "after: no item '%.60s' is there", after);
    free(after);
    return found;
}

static void put_page(struct buf *out, const json_t *all, size_t from, size_t limit) {
    size_t n = json_array_size(all), to = limit < n - from ? from + limit : n;
    struct js o = {.out = out};
    js_open(&o, NULL, '{');
    js_string_of(&o, "object", "list");
    js_open(&o, "data", '[');
    for (size_t i = from; i < to; i++) {
        char *text = json_dumps(json_array_get(all, i), JSON_COMPACT);
        js_raw(&o, NULL, text ? text : "", text ? strlen(text) : 0);
        out->failed |= !text;
        free(text);
    }
    js_close(&o, ']');
    js_string_of(&o, "first_id", to > from ? id_of(json_array_get(all, from)) : NULL);
    js_string_of(&o, "last_id", to > from ? id_of(json_array_get(all, to - 1)) : NULL);
    js_bool(&o, "has_more", to < n);
    js_close(&o, '}');
}

void items_list(const json_t *all, struct buf *out) { put_page(out, all, 0, json_array_size(all)); }

static void turn_round(json_t *all) {
    for (size_t i = 0, n = json_array_size(all); i < n / 2; i++) {
        json_t *a = json_incref(json_array_get(all, i)), *b = json_incref(json_array_get(all, n - 1 - i));
        json_array_set_new(all, i, b);
        json_array_set_new(all, n - 1 - i, a);
    }
}

bool items_page(const struct exchange *x, json_t *all, bool newest_first, struct buf *out, struct fault *f) {
    size_t limit, from;
    if (!page_limit(x, &limit, f) || !page_order(x, &newest_first, f)) return false;
    if (newest_first) turn_round(all);
    if (!find_place(x, all, &from, f)) return false;
    put_page(out, all, from, limit);
    return true;
}
