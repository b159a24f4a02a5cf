#include "server/http.h"

#include "base/clock.h"
#include "server/gate.h"
#include "server/http_impl.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <event2/thread.h>
#include <netdb.h>
#include <netinet/in.h>
#include <openssl/rand.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

enum { MAX_HEADERS = 32 << 10, TICK_MS = 20 };

struct post {
    struct post *next;
    void (*fn)(void *);
    void *arg;
};

double http_now(const struct http *h) {
    (void)h;
    return now_seconds();
}

static const struct {
    enum evhttp_cmd_type type;
    const char *name;
} methods[] = {{EVHTTP_REQ_GET, "GET"},       {EVHTTP_REQ_POST, "POST"},       {EVHTTP_REQ_HEAD, "HEAD"},
               {EVHTTP_REQ_DELETE, "DELETE"}, {EVHTTP_REQ_OPTIONS, "OPTIONS"}, {EVHTTP_REQ_PUT, "PUT"},
               {EVHTTP_REQ_PATCH, "PATCH"},   {EVHTTP_REQ_TRACE, "TRACE"}};
enum { METHODS = sizeof methods / sizeof *methods };

void exchange_name(struct exchange *x) {
    unsigned char bytes[12];
    if (RAND_bytes(bytes, sizeof bytes) != 1) memset(bytes, 0, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++) {
        static const char digits[] = "0123456789abcdef";
        x->id[2 * i] = digits[bytes[i] >> 4];
        x->id[2 * i + 1] = digits[bytes[i] & 15];
    }
    x->id[24] = 0;
}

static bool copy_request(struct exchange *x, struct evhttp_request *req) {
    for (size_t i = 0; i < METHODS; i++)
        if (methods[i].type == evhttp_request_get_command(req)) x->method = methods[i].name;
    const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(req);
    const char *path = uri ? evhttp_uri_get_path(uri) : NULL, *query = uri ? evhttp_uri_get_query(uri) : NULL;
    size_t length;
    x->path = evhttp_uridecode(path && *path ? path : "/", 0, &length);
    x->query = query ? strdup(query) : NULL;
    struct evkeyval *header;
    for (header = evhttp_request_get_input_headers(req)->tqh_first; header; header = header->next.tqe_next) {
        buf_append(&x->headers, header->key, strlen(header->key) + 1);
        buf_append(&x->headers, header->value, strlen(header->value) + 1);
    }
    struct evbuffer *in = evhttp_request_get_input_buffer(req);
    x->body_size = evbuffer_get_length(in);
    x->body = malloc(x->body_size + 1);
    if (!x->body || !x->path || !x->method || (query && !x->query) || x->headers.failed) return false;
    evbuffer_remove(in, x->body, x->body_size);
    x->body[x->body_size] = 0;
    return strlen(x->path) == length && head_is_certain(x); // a NUL in a path is nobody's
}

// The connection is gone. libevent leaves a request that is not answered yet to us, without its connection, and frees
// it once it is told that the reply is complete; one that is still the connection's goes with it.
static void on_close(struct evhttp_connection *c, void *arg) {
    struct http *h = arg;
    for (struct exchange *x = h->exchanges, *next; x; x = next) {
        struct evhttp_request *req = x->req;
        next = x->next;
        if (x->connection != c) continue;
        exchange_leave(x);
        if (!evhttp_request_get_connection(req)) evhttp_send_reply_end(req);
    }
}

// libevent gives a bufferevent its socket after this returns: it is noted when the next comes, or at the next tick.
static void note_fresh(struct http *h) {
    if (!h->fresh) return;
    if (!connections_add(&h->connections, bufferevent_getfd(h->fresh), now_seconds(), h->gate)) {
        gate_open(h->gate, h->fresh);
        gate_free(h->gate);
    }
    bufferevent_decref(h->fresh);
    h->fresh = NULL;
    h->gate = NULL;
}

static void on_request(struct evhttp_request *req, void *arg) {
    struct http *h = arg;
    struct exchange *x = calloc(1, sizeof *x);
    if (x && !copy_request(x, req)) {
        exchange_hold(x);
        exchange_release(x);
        x = NULL;
        evhttp_send_error(req, HTTP_BADREQUEST, NULL);
        return;
    }
    if (!x) {
        evhttp_send_error(req, HTTP_SERVUNAVAIL, NULL);
        return;
    }
    struct evhttp_connection *c = evhttp_request_get_connection(req);
    x->http = h;
    x->req = req;
    x->connection = c;
    x->fd = bufferevent_getfd(evhttp_connection_get_bufferevent(c));
    x->came = now_seconds();
    x->counted = x->body_size;
    atomic_fetch_add(&h->bodies, x->counted);
    exchange_name(x);
    exchange_hold(x);
    x->next = h->exchanges;
    x->link = &h->exchanges;
    if (x->next) x->next->link = &x->next;
    h->exchanges = x;
    if (!h->unanswered++) event_add(h->tick, &(struct timeval){.tv_usec = TICK_MS * 1000});
    note_fresh(h); // it may be of this very connection
    connections_touch(&h->connections, x->fd, x->came, true);
    evhttp_connection_set_closecb(c, on_close, h);
    h->o.request(h->o.user, x);
}

static struct bufferevent *accept_one(struct event_base *base, void *arg) {
    struct http *h = arg;
    note_fresh(h);
    struct bufferevent *b = h->tls ? tls_accept(base, h->tls) : bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
    if (b) bufferevent_incref(b);
    struct gate_rules rules = {h->o.welcome, h->o.user, &h->bodies, h->o.max_bodies};
    if (b) h->gate = gate_new(b, &rules);
    h->fresh = b;
    return b;
}

static void open_door(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct http *h = arg;
    if (h->door) evconnlistener_enable(evhttp_bound_socket_get_listener(h->door));
}

// Out of descriptors: asking again at once would only turn in circles.
static void on_accept_error(struct evconnlistener *l, void *arg) {
    struct http *h = arg;
    evconnlistener_disable(l);
    event_base_once(h->base, -1, EV_TIMEOUT, open_door, h, &(struct timeval){.tv_usec = 200000});
}

static void find_left(struct http *h) {
    for (struct exchange *x = h->exchanges, *next; x; x = next) {
        next = x->next;
        if (connection_left(x->fd)) evhttp_connection_free(x->connection); // and so on_close()
    }
}

// Often while somebody waits for an answer, and may leave, and at the end; else seldom.
static void plan_tick(struct http *h) {
    bool often = h->unanswered || !h->door;
    event_add(h->tick, often ? &(struct timeval){.tv_usec = TICK_MS * 1000} : &(struct timeval){.tv_sec = 1});
}

static void on_tick(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct http *h = arg;
    double now = now_seconds();
    note_fresh(h);
    find_left(h);
    if (now - h->swept > 1) {
        h->swept = now;
        connections_sweep(&h->connections, now, h->o.idle_seconds);
        struct evconnlistener *l = h->door ? evhttp_bound_socket_get_listener(h->door) : NULL;
        if (l) (h->connections.n < h->o.max_connections ? evconnlistener_enable : evconnlistener_disable)(l);
    }
    if (h->o.tick) h->o.tick(h->o.user);
    plan_tick(h);
}

static void on_posted(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct http *h = arg;
    pthread_mutex_lock(&h->lock);
    struct post *all = h->first;
    h->first = NULL;
    h->last = &h->first;
    pthread_mutex_unlock(&h->lock);
    while (all) {
        struct post *p = all;
        all = p->next;
        p->fn(p->arg);
        free(p);
    }
}

void http_post(struct http *h, void (*fn)(void *), void *arg) {
    struct post *p;
    while (!(p = malloc(sizeof *p))) {} // what is posted must arrive; memory that is out for good ends the process
    *p = (struct post){NULL, fn, arg};
    pthread_mutex_lock(&h->lock);
    bool first = !h->first;
    *h->last = p;
    h->last = &p->next;
    pthread_mutex_unlock(&h->lock);
    if (first) event_active(h->posted, 0, 0);
}

static void on_signal(evutil_socket_t number, short what, void *arg) {
    (void)what;
    struct http *h = arg;
    (number == SIGHUP ? h->reload : h->stop)(h->user);
}

static bool add_events(struct http *h) {
    static const int numbers[SIGNALS] = {SIGINT, SIGTERM, SIGUSR1, SIGHUP}; // mpirun hands on the third, and no other
    bool ok = true;
    for (size_t i = 0; i < SIGNALS; i++) {
        h->signals[i] = evsignal_new(h->base, numbers[i], on_signal, h);
        ok = ok && h->signals[i] && !event_add(h->signals[i], NULL);
    }
    h->posted = event_new(h->base, -1, EV_PERSIST, on_posted, h);
    h->tick = evtimer_new(h->base, on_tick, h);
    h->piece = evbuffer_new();
    return ok && h->posted && h->tick && h->piece;
}

// Whether the host has an address at all; whether that is this machine's, binding to it says.
static bool resolves(const struct http_options *o, gyr_error *e) {
    struct addrinfo how = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM}, *found = NULL;
    int status = getaddrinfo(o->host, NULL, &how, &found);
    if (found) freeaddrinfo(found);
    return !status || fail(e, GYR_IO, "%s: not an address: %s; --host takes an IP address or a name of this machine",
                           o->host, status == EAI_SYSTEM ? strerror(errno) : gai_strerror(status));
}

static bool listen_at(struct http *h, gyr_error *e) {
    if (!resolves(&h->o, e)) return false;
    h->door = evhttp_bind_socket_with_handle(h->evhttp, h->o.host, h->o.port);
    if (!h->door)
        return fail(e, GYR_IO, "%s:%u: cannot listen: %s; choose another --port, or 0 for a free one", h->o.host,
                    h->o.port, strerror(errno));
    evconnlistener_set_error_cb(evhttp_bound_socket_get_listener(h->door), on_accept_error);
    struct sockaddr_storage at;
    socklen_t size = sizeof at;
    unsigned port = h->o.port;
    if (!getsockname(evhttp_bound_socket_get_fd(h->door), (struct sockaddr *)&at, &size))
        port = ntohs(at.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&at)->sin6_port
                                              : ((struct sockaddr_in *)&at)->sin_port);
    bool six = strchr(h->o.host, ':');
    snprintf(h->url, sizeof h->url, "%s://%s%s%s:%u", h->tls ? "https" : "http", six ? "[" : "", h->o.host,
             six ? "]" : "", port);
    return true;
}

static void raise_descriptors(unsigned wanted) {
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) || r.rlim_cur >= wanted) return;
    r.rlim_cur = r.rlim_max < wanted ? r.rlim_max : wanted;
    setrlimit(RLIMIT_NOFILE, &r);
}

struct http *http_new(const struct http_options *o, gyr_error *e) {
    struct http *h = calloc(1, sizeof *h);
    if (!h) return fail_memory(e, "server"), NULL;
    h->o = *o;
    h->last = &h->first;
    pthread_mutex_init(&h->lock, NULL);
    signal(SIGPIPE, SIG_IGN);
    raise_descriptors(o->max_connections + 256);
    bool ok =
        !evthread_use_pthreads() && (h->base = event_base_new()) && (h->evhttp = evhttp_new(h->base)) && add_events(h);
    if (!ok) fail_memory(e, "server");
    if (ok && o->cert) ok = (h->tls = tls_open(o, e));
    if (ok) {
        unsigned all = 0;
        for (size_t i = 0; i < METHODS; i++) all |= methods[i].type;
        evhttp_set_allowed_methods(h->evhttp, (ev_uint16_t)all);
        evhttp_set_max_headers_size(h->evhttp, MAX_HEADERS);
        evhttp_set_max_body_size(h->evhttp, (ev_ssize_t)o->max_body);
        evhttp_set_timeout(h->evhttp, (int)o->idle_seconds);
        evhttp_set_default_content_type(h->evhttp, NULL);
        evhttp_set_bevcb(h->evhttp, accept_one, h);
        evhttp_set_gencb(h->evhttp, on_request, h);
        ok = listen_at(h, e);
    }
    if (ok) return h;
    http_free(h);
    return NULL;
}

const char *http_url(const struct http *h) { return h->url; }

void http_run(struct http *h, void (*stop)(void *), void (*reload)(void *), void *user) {
    h->stop = stop;
    h->reload = reload;
    h->user = user;
    plan_tick(h);
    event_base_dispatch(h->base);
}

void http_close_door(struct http *h) {
    if (h->door) evhttp_del_accept_socket(h->evhttp, h->door);
    h->door = NULL;
    event_add(h->tick, &(struct timeval){.tv_usec = TICK_MS * 1000});
}

void http_stop(struct http *h) { event_base_loopexit(h->base, NULL); }

size_t http_unanswered(const struct http *h) { return h->unanswered; }

unsigned http_connections(const struct http *h) { return (unsigned)h->connections.n; }

bool http_reload(struct http *h, gyr_error *e) {
    if (!h->tls) return true;
    struct ssl_ctx_st *tls = tls_open(&h->o, e);
    if (!tls) return false;
    tls_close(h->tls);
    h->tls = tls;
    return true;
}

void http_flush(struct http *h) {
    while (h->first) on_posted(-1, 0, h);
}

void http_free(struct http *h) {
    if (!h) return;
    http_flush(h);
    while (h->exchanges) exchange_leave(h->exchanges);
    http_flush(h);
    if (h->fresh) bufferevent_decref(h->fresh);
    if (h->evhttp) evhttp_free(h->evhttp);
    if (h->tls) tls_close(h->tls);
    for (size_t i = 0; i < SIGNALS; i++)
        if (h->signals[i]) event_free(h->signals[i]);
    if (h->posted) event_free(h->posted);
    if (h->tick) event_free(h->tick);
    if (h->piece) evbuffer_free(h->piece);
    if (h->base) event_base_free(h->base);
    connections_free(&h->connections);
    gate_free(h->gate);
    pthread_mutex_destroy(&h->lock);
    free(h);
}
