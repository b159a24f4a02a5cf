#include "server/exchange.h"

#include "server/http.h"
#include "server/http_impl.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *header_of(const struct buf *headers, const char *name) {
    const char *at = headers->data, *end = at + headers->size;
    while (at < end) {
        const char *value = at + strlen(at) + 1;
        if (!strcasecmp(at, name)) return value;
        at = value + strlen(value) + 1;
    }
    return NULL;
}

const char *exchange_header(const struct exchange *x, const char *name) { return header_of(&x->headers, name); }

const char *exchange_reply_header(const struct exchange *x, const char *name) { return header_of(&x->extra, name); }

char *exchange_query(const struct exchange *x, const char *name) {
    struct evkeyvalq list;
    if (!x->query || evhttp_parse_query_str(x->query, &list)) return NULL;
    const char *value = evhttp_find_header(&list, name);
    char *copy = value ? strdup(value) : NULL;
    evhttp_clear_headers(&list);
    return copy;
}

bool exchange_parameters(const struct exchange *x, bool (*each)(void *user, const char *name, const char *value),
                         void *user) {
    struct evkeyvalq list;
    bool ok = true;
    if (!x->query) return true;
    if (evhttp_parse_query_str(x->query, &list)) return false;
    for (const struct evkeyval *p = list.tqh_first; ok && p; p = p->next.tqe_next) {
        char *name = evhttp_uridecode(p->key, 1, NULL); // values are decoded already
        ok = name && each(user, name, p->value);
        free(name);
    }
    evhttp_clear_headers(&list);
    return ok;
}

struct exchange *exchange_internal(struct http *http, const struct route *route, const char *path, const char *body,
                                   size_t size) {
    struct exchange *x = calloc(1, sizeof *x);
    if (!x) return NULL;
    exchange_hold(x);
    x->http = http;
    x->route = route;
    x->method = "POST";
    x->path = strdup(path);
    x->body = malloc(size + 1);
    x->body_size = size;
    x->came = http_now(http);
    exchange_name(x);
    if (!x->path || !x->body) {
        exchange_release(x);
        return NULL;
    }
    memcpy(x->body, body, size);
    x->body[size] = 0;
    return x;
}

void exchange_hold(struct exchange *x) { atomic_fetch_add(&x->holders, 1); }

// The reply to a request of the server's own, if nobody has it yet.
static void hand_over(struct exchange *x, const void *body, size_t size) {
    void (*replied)(void *, const struct exchange *, const void *, size_t) = x->replied;
    x->replied = NULL;
    if (replied) replied(x->replied_user, x, body, size);
}

void exchange_drop_body(struct exchange *x) {
    if (x->counted) atomic_fetch_sub(&x->http->bodies, x->counted);
    free(x->body);
    x->body = NULL;
    x->body_size = x->counted = 0;
}

void exchange_release(struct exchange *x) {
    if (atomic_fetch_sub(&x->holders, 1) > 1) return;
    hand_over(x, NULL, 0);
    if (x->account) x->release_account(x->account);
    free(x->path);
    free(x->query);
    exchange_drop_body(x);
    free(x->why);
    buf_free(&x->headers);
    buf_free(&x->extra);
    free(x);
}

void exchange_add_header(struct exchange *x, const char *name, const char *value) {
    buf_append(&x->extra, name, strlen(name) + 1);
    buf_append(&x->extra, value, strlen(value) + 1);
}

// The loop's hold ends: the client has the whole reply, or has left.
static void answered(struct exchange *x) {
    if (x->http->o.answered) x->http->o.answered(x->http->o.user, x);
    x->req = NULL;
    *x->link = x->next;
    if (x->next) x->next->link = x->link;
    x->http->unanswered--;
    exchange_release(x);
}

void exchange_leave(struct exchange *x) {
    atomic_store(&x->gone, true);
    void (*left)(void *) = x->left;
    x->left = NULL;
    if (left) left(x->user);
    answered(x);
}

static void put_headers(struct exchange *x, const char *type) {
    struct evkeyvalq *h = evhttp_request_get_output_headers(x->req);
    const char *at = x->extra.failed ? NULL : x->extra.data, *end = at ? at + x->extra.size : NULL;
    while (at < end) {
        const char *value = at + strlen(at) + 1;
        evhttp_add_header(h, at, value);
        at = value + strlen(value) + 1;
    }
    if (type) evhttp_add_header(h, "Content-Type", type);
    evhttp_add_header(h, "X-Request-Id", x->id);
    evhttp_add_header(h, "X-Content-Type-Options", "nosniff");
    if (!evhttp_find_header(h, "Cache-Control")) evhttp_add_header(h, "Cache-Control", "no-store");
}

// The connection waits for its next request again, or is closed by libevent.
static struct evhttp_connection *connection_of(struct exchange *x) {
    struct evhttp_connection *c = evhttp_request_get_connection(x->req);
    evhttp_connection_set_closecb(c, NULL, NULL);
    connections_touch(&x->http->connections, x->fd, http_now(x->http), false);
    return c;
}

void reply_whole(struct exchange *x, int status, const char *type, const void *body, size_t size) {
    if (x->replied) {
        x->status = status;
        hand_over(x, body, size);
    }
    if (!x->req) return;
    struct evbuffer *out = evbuffer_new();
    if (out) evbuffer_add(out, body, size);
    x->status = status;
    put_headers(x, type);
    connection_of(x);
    evhttp_send_reply(x->req, status, NULL, out);
    if (out) evbuffer_free(out);
    answered(x);
}

void reply_start(struct exchange *x, int status, const char *type) {
    if (!x->req) return;
    x->status = status;
    put_headers(x, type);
    evhttp_send_reply_start(x->req, status, NULL);
}

void reply_more(struct exchange *x, const void *data, size_t size) {
    if (!x->req || !size) return;
    evbuffer_add(x->http->piece, data, size);
    evhttp_send_reply_chunk(x->req, x->http->piece);
    evbuffer_drain(x->http->piece, evbuffer_get_length(x->http->piece));
}

static void on_taken(struct evhttp_connection *c, void *arg) {
    struct exchange *x = arg;
    (void)c;
    x->taken(x->taken_user);
}

void reply_more_then(struct exchange *x, const void *data, size_t size, void (*then)(void *), void *user) {
    if (!x->req) return;
    x->taken = then;
    x->taken_user = user;
    evbuffer_add(x->http->piece, data, size);
    evhttp_send_reply_chunk_with_cb(x->req, x->http->piece, on_taken, x);
    evbuffer_drain(x->http->piece, evbuffer_get_length(x->http->piece));
}

void reply_break(struct exchange *x) {
    if (x->req) evhttp_connection_free(x->connection); // and so on_close() of http.c
}

void reply_end(struct exchange *x) {
    if (!x->req) return;
    connection_of(x);
    evhttp_send_reply_end(x->req);
    answered(x);
}

size_t reply_waiting(const struct exchange *x) {
    if (!x->req) return 0;
    struct bufferevent *b = evhttp_connection_get_bufferevent(evhttp_request_get_connection(x->req));
    return evbuffer_get_length(bufferevent_get_output(b));
}

struct later {
    struct exchange *x;
    int status;
    const char *type;
    struct buf body;
};

static void reply_now(void *arg) {
    struct later *l = arg;
    reply_whole(l->x, l->status, l->type, l->body.data, l->body.size);
    exchange_release(l->x);
    buf_free(&l->body);
    free(l);
}

void reply_later(struct exchange *x, int status, const char *type, struct buf *body) {
    struct later *l = malloc(sizeof *l);
    if (!l) {
        buf_free(body);
        return; // the client's own time limit ends it
    }
    exchange_hold(x);
    *l = (struct later){x, status, type, *body};
    *body = (struct buf){0};
    http_post(x->http, reply_now, l);
}
