// /v1/batches: what clients ask of batches. The work on them: batcher.h.
#include "server/batcher.h"
#include "server/batches.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PAGE = 20, MAX_PAGE = 100, UNDER_WAY = 200, MAX_HOURS = 14 * 24 };

// ------------------------------------------------------------------------------------------------ replies

static void put_errors(struct js *o, const char *errors) {
    if (!*errors) {
        js_none(o, "errors");
        return;
    }
    js_open(o, "errors", '{');
    js_string_of(o, "object", "list");
    js_raw(o, "data", errors, strlen(errors));
    js_close(o, '}');
}

static void put_batch(struct js *o, const struct batch *b) {
    static const char *const times[BATCH_STATES] = {"created_at",   "in_progress_at", "finalizing_at", "cancelling_at",
                                                    "completed_at", "failed_at",      "expired_at",    "cancelled_at"};
    js_open(o, NULL, '{');
    js_string_of(o, "id", b->id);
    js_string_of(o, "object", "batch");
    js_string_of(o, "endpoint", b->endpoint);
    put_errors(o, b->errors);
    js_string_of(o, "input_file_id", b->input_file);
    js_string_of(o, "completion_window", b->window);
    js_string_of(o, "status", batch_state_name(b->state));
    js_string_of(o, "output_file_id", *b->output_file ? b->output_file : NULL);
    js_string_of(o, "error_file_id", *b->error_file ? b->error_file : NULL);
    js_whole(o, "expires_at", b->expires_at);
    for (size_t i = 0; i < BATCH_STATES; i++)
        if (b->at[i])
            js_whole(o, times[i], b->at[i]);
        else
            js_none(o, times[i]);
    js_open(o, "request_counts", '{');
    js_whole(o, "total", b->total);
    js_whole(o, "completed", b->completed);
    js_whole(o, "failed", b->failed);
    js_close(o, '}');
    if (*b->metadata)
        js_raw(o, "metadata", b->metadata, strlen(b->metadata));
    else
        js_none(o, "metadata");
    js_close(o, '}');
}

static bool reply_batch(struct exchange *x, struct batch *b) {
    struct buf json = {0};
    struct js o = {.out = &json};
    put_batch(&o, b);
    batch_clear(b);
    reply_json(x, 200, &json);
    return true;
}

// ------------------------------------------------------------------------------------------------ a wish

static bool read_window(const char *window, int64_t *seconds, struct fault *f) {
    char *end = NULL;
    long hours = window && *window >= '0' && *window <= '9' ? strtol(window, &end, 10) : 0;
    if (hours < 1 || hours > MAX_HOURS || strcmp(end, "h"))
        return refuse(f, 400, "completion_window", "completion_window: takes 1h to %dh, such as 24h", MAX_HOURS);
    *seconds = hours * 3600;
    return true;
}

static bool check_members(const json_t *body, struct fault *f) {
    static const char *const known[] = {"input_file_id", "endpoint", "completion_window", "metadata"};
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)body, key, value) {
        bool is = json_is_null(value);
        for (size_t i = 0; i < sizeof known / sizeof *known; i++) is = is || !strcmp(key, known[i]);
        if (!is) return refuse_as(f, 400, "unknown_parameter", key, "unknown parameter: '%.60s'", key);
    }
    return true;
}

static bool read_wish(const json_t *body, struct batch_wish *w, struct fault *f) {
    w->input_file = json_string_value(json_object_get(body, "input_file_id"));
    w->endpoint = json_string_value(json_object_get(body, "endpoint"));
    w->window = json_string_value(json_object_get(body, "completion_window"));
    if (!check_members(body, f)) return false;
    if (!w->input_file) return refuse(f, 400, "input_file_id", "input_file_id: required, the id of a file");
    if (!w->endpoint || !route_of_batch(w->endpoint))
        return refuse(f, 400, "endpoint", "endpoint: '%.60s' cannot be asked in a batch; /v1/chat/completions can",
                      w->endpoint ? w->endpoint : "");
    return read_window(w->window, &w->seconds, f) && ask_metadata(json_object_get(body, "metadata"), f);
}

// ------------------------------------------------------------------------------------------------ handlers

static bool accept_wish(struct server *s, struct exchange *x, const struct batch_wish *w, struct fault *f) {
    struct stored_file input;
    struct batch made;
    gyr_error e = {0};
    struct store *store = server_keeps(s, f);
    if (!store) return false;
    if (!file_find(store, w->owner, w->input_file, time(NULL), &input, &e)) return refuse_state(s, f, &e, 404);
    if (!batch_add(store, w, time(NULL), &made, &e))
        return e.status == GYR_TOO_LONG ? refuse(f, 429, NULL, "%s", e.message) : refuse_state(s, f, &e, 400);
    batcher_wake(s->batcher);
    return reply_batch(x, &made);
}

static bool add(struct server *s, struct exchange *x, struct fault *f) {
    json_t *body = ask_body(x, f);
    struct batch_wish w = {.owner = exchange_owner(x), .most = UNDER_WAY};
    bool ok = body && read_wish(body, &w, f);
    const json_t *metadata = json_object_get(body, "metadata");
    char *text = ok && json_is_object(metadata) ? json_dumps(metadata, JSON_COMPACT) : NULL;
    w.metadata = text;
    ok = ok && accept_wish(s, x, &w, f);
    free(text);
    json_decref(body);
    return ok;
}

static void reply_list(struct exchange *x, struct batch *all, size_t n, bool more) {
    struct buf json = {0};
    struct js o = {.out = &json};
    js_open(&o, NULL, '{');
    js_string_of(&o, "object", "list");
    js_open(&o, "data", '[');
    for (size_t i = 0; i < n; i++) put_batch(&o, &all[i]);
    js_close(&o, ']');
    js_string_of(&o, "first_id", n ? all[0].id : NULL);
    js_string_of(&o, "last_id", n ? all[n - 1].id : NULL);
    js_bool(&o, "has_more", more);
    js_close(&o, '}');
    for (size_t i = 0; i < n; i++) batch_clear(&all[i]);
    free(all);
    reply_json(x, 200, &json);
}

static bool read_limit(const char *text, size_t *limit, struct fault *f) {
    char *end;
    long n = text ? strtol(text, &end, 10) : PAGE;
    if (n < 1 || n > MAX_PAGE || (text && (!*text || *end)))
        return refuse(f, 400, "limit", "limit: takes whole numbers from 1 to %d", MAX_PAGE);
    *limit = (size_t)n;
    return true;
}

static bool list(struct server *s, struct exchange *x, struct fault *f) {
    struct store *store = server_keeps(s, f);
    char *after = exchange_query(x, "after"), *page = exchange_query(x, "limit");
    size_t limit = PAGE, n;
    bool more;
    gyr_error e = {0};
    struct batch *all = NULL;
    if (store && read_limit(page, &limit, f) &&
        !(all = batches_list(store, exchange_sees(x), after, limit, &n, &more, &e)))
        refuse_state(s, f, &e, 400);
    free(after);
    free(page);
    if (all) reply_list(x, all, n, more);
    return all;
}

static bool get(struct server *s, struct exchange *x, struct fault *f) {
    struct store *store = server_keeps(s, f);
    struct batch b;
    gyr_error e = {0};
    if (!store) return false;
    if (!batch_find(store, exchange_sees(x), x->tail, &b, &e)) return refuse_state(s, f, &e, 404);
    return reply_batch(x, &b);
}

static bool cancel(struct server *s, struct exchange *x, struct fault *f) {
    struct store *store = server_keeps(s, f);
    struct batch b;
    gyr_error e = {0};
    char id[BATCH_ID + 1];
    size_t n = strcspn(x->tail, "/");
    if (!store) return false;
    if (strcmp(x->tail + n, "/cancel")) return refuse(f, 404, NULL, "%.200s: there is nothing here", x->path);
    snprintf(id, sizeof id, "%.*s", (int)(n < sizeof id ? n : 0), x->tail); // a longer one is nobody's
    if (!batch_find(store, exchange_sees(x), id, &b, &e)) return refuse_state(s, f, &e, 404);
    batch_clear(&b);
    if (!batch_cancel(store, exchange_sees(x), id, time(NULL), &b, &e)) return refuse_state(s, f, &e, 409);
    batcher_wake(s->batcher);
    return reply_batch(x, &b);
}

HANDLER(handle_batch_add, add)
HANDLER(handle_batch_list, list)
HANDLER(handle_batch, get)
HANDLER(handle_batch_cancel, cancel)
