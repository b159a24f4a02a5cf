// /v1/conversations: what clients of a key keep here, and find again on other devices. All on clerks.
#include "server/ask.h"
#include "server/conversations_kept.h"
#include "server/routes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// ------------------------------------------------------------------------------------------------ replies

static void add_tag(struct exchange *x, int64_t version) {
    char tag[32];
    snprintf(tag, sizeof tag, "\"%lld\"", (long long)version);
    exchange_add_header(x, "ETag", tag);
}

static void put_kept(struct js *o, const struct kept *k, bool whole) {
    js_open(o, NULL, '{');
    js_string_of(o, "id", k->id);
    js_string_of(o, "object", "conversation");
    js_whole(o, "created_at", k->created);
    js_whole(o, "updated_at", k->updated);
    js_whole(o, "version", k->version);
    js_whole(o, "bytes", k->bytes);
    js_string_of(o, "title", k->title);
    if (whole) js_raw(o, "document", k->document, strlen(k->document));
    js_close(o, '}');
}

static void reply_kept(struct exchange *x, const struct kept *k, bool whole) {
    struct buf json = {0};
    struct js o = {.out = &json};
    put_kept(&o, k, whole);
    add_tag(x, k->version);
    reply_json(x, 200, &json);
}

// ------------------------------------------------------------------------------------------------ a request

static bool good_id(const char *id) {
    size_t n = strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-");
    return n && n <= KEPT_ID && !id[n];
}

static bool none(struct exchange *x, struct fault *f) {
    return refuse_as(f, 404, "not_found", NULL, "no conversation '%.64s' is kept here", x->tail);
}

// Whose conversations a request is about.
static struct store *owner_of(struct server *s, struct exchange *x, int64_t *owner, struct fault *f) {
    *owner = exchange_owner(x);
    if (!*owner) {
        refuse_as(f, 401, "invalid_api_key", NULL,
                  "conversations are kept for who shows a key: Authorization: Bearer KEY");
        return NULL;
    }
    return server_keeps(s, f);
}

// A version in a header, such as "12" with its quotation marks; 0 if it is not there.
static bool read_version(const struct exchange *x, const char *header, int64_t *version, struct fault *f) {
    const char *text = exchange_header(x, header);
    *version = 0;
    if (!text) return true;
    size_t n = *text == '"' ? strspn(text + 1, "0123456789") : 0;
    if (!n || n > 18 || strcmp(text + 1 + n, "\""))
        return refuse(f, 400, NULL, "%s: takes a version as the ETag of a reply has it, such as \"12\"", header);
    *version = strtoll(text + 1, NULL, 10);
    return *version > 0 || refuse(f, 400, NULL, "%s: versions begin with 1", header);
}

static bool refuse_result(struct server *s, struct exchange *x, enum kept_result r, const gyr_error *e,
                          struct fault *f) {
    if (r == KEPT_NONE) return none(x, f);
    if (r == KEPT_CHANGED)
        return refuse_as(f, 412, "conversation_changed", NULL,
                         "conversation %.64s: was changed meanwhile; get it, and put both together", x->tail);
    return refuse_state(s, f, e, 403);
}

// ------------------------------------------------------------------------------------------------ handlers

static bool list(struct server *s, struct exchange *x, struct fault *f) {
    int64_t owner, state, known;
    size_t n = 0;
    gyr_error e = {0};
    struct buf json = {0};
    struct js o = {.out = &json};
    struct store *store = owner_of(s, x, &owner, f);
    if (!store || !read_version(x, "if-none-match", &known, f)) return false;
    struct kept *all = kept_list(store, owner, &n, &state, &e);
    if (!all) return refuse_state(s, f, &e, 500);
    add_tag(x, state + 1); // of an empty one, too
    bool same = known == state + 1;
    if (!same) {
        js_open(&o, NULL, '{');
        js_string_of(&o, "object", "list");
        js_open(&o, "data", '[');
        for (size_t i = 0; i < n; i++) put_kept(&o, &all[i], false);
        js_close(&o, ']');
        js_string_of(&o, "first_id", n ? all[0].id : NULL);
        js_string_of(&o, "last_id", n ? all[n - 1].id : NULL);
        js_bool(&o, "has_more", false);
        js_close(&o, '}');
    }
    for (size_t i = 0; i < n; i++) kept_clear(&all[i]);
    free(all);
    if (same)
        reply_later(x, 304, NULL, &json);
    else
        reply_json(x, 200, &json);
    return true;
}

static bool get(struct server *s, struct exchange *x, struct fault *f) {
    int64_t owner;
    gyr_error e = {0};
    struct kept k;
    struct store *store = owner_of(s, x, &owner, f);
    if (!store) return false;
    enum kept_result r = good_id(x->tail) ? kept_get(store, owner, x->tail, &k, &e) : KEPT_NONE;
    if (r != KEPT_DONE) return refuse_result(s, x, r, &e, f);
    reply_kept(x, &k, true);
    kept_clear(&k);
    return true;
}

// Which version is to be replaced: that of If-Match; none, with If-None-Match: *. Who says neither could replace what
// somebody else has just written, and is refused.
static bool read_condition(const struct exchange *x, int64_t *had, struct fault *f) {
    const char *anew = exchange_header(x, "if-none-match");
    bool is_new = anew && !strcmp(anew, "*");
    if (!read_version(x, "if-match", had, f)) return false;
    if (is_new && *had) return refuse(f, 400, NULL, "If-Match and If-None-Match: one of them");
    return is_new || *had ||
           refuse_as(f, 428, "version_required", NULL,
                     "If-Match: say which version is replaced; of a new conversation, If-None-Match: *");
}

// The title of a document is shown in lists; what else is in it is its client's.
static bool read_title(const json_t *body, struct kept *k, struct fault *f) {
    const json_t *title = json_object_get(body, "title");
    if (title && (!json_is_string(title) || json_string_length(title) > KEPT_TITLE))
        return refuse(f, 400, "title", "title: takes a text of at most %d bytes", KEPT_TITLE);
    k->title = strdup(title ? json_string_value(title) : "");
    return k->title || refuse(f, 503, NULL, "out of memory; try again later");
}

static bool put(struct server *s, struct exchange *x, struct fault *f) {
    int64_t owner, had;
    gyr_error e = {0};
    struct kept k = {0};
    struct store *store = owner_of(s, x, &owner, f);
    if (!store || !read_condition(x, &had, f)) return false;
    if (!good_id(x->tail))
        return refuse(f, 400, NULL, "a conversation's id has 1 to %d letters, digits, '_' and '-'", KEPT_ID);
    json_t *body = ask_body(x, f);
    bool ok = body && read_title(body, &k, f);
    json_decref(body);
    if (!ok) return false;
    snprintf(k.id, sizeof k.id, "%s", x->tail);
    k.document = x->body; // which stays the request's
    enum kept_result r = kept_put(store, owner, &k, had, time(NULL), &e);
    k.document = NULL;
    if (r == KEPT_DONE)
        reply_kept(x, &k, false);
    else
        refuse_result(s, x, r, &e, f);
    kept_clear(&k);
    return r == KEPT_DONE;
}

static bool delete (struct server *s, struct exchange *x, struct fault *f) {
    int64_t owner, had;
    gyr_error e = {0};
    struct store *store = owner_of(s, x, &owner, f);
    if (!store || !read_version(x, "if-match", &had, f)) return false;
    enum kept_result r = good_id(x->tail) ? kept_delete(store, owner, x->tail, had, &e) : KEPT_NONE;
    if (r != KEPT_DONE) return refuse_result(s, x, r, &e, f);
    reply_deleted(x, "conversation.deleted", "id", x->tail);
    return true;
}

HANDLER(handle_conversation_list, list)
HANDLER(handle_conversation, get)
HANDLER(handle_conversation_put, put)
HANDLER(handle_conversation_delete, delete)
