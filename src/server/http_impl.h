// Between http.c, http_tls.c and exchange.c only.
#ifndef SERVER_HTTP_IMPL_H
#define SERVER_HTTP_IMPL_H

#include "server/connections.h"
#include "server/http.h"

#include <pthread.h>

struct post;

enum { SIGNALS = 4 };

struct http {
    struct http_options o;
    struct event_base *base;
    struct evhttp *evhttp;
    struct evhttp_bound_socket *door;
    struct ssl_ctx_st *tls; // NULL: plain HTTP
    struct evbuffer *piece;
    struct event *posted, *tick, *signals[SIGNALS];
    pthread_mutex_t lock; // of the posts
    struct post *first, **last;
    struct connections connections;
    struct bufferevent *fresh; // accepted, and its socket not known yet
    struct gate *gate;         // of that one; NULL: memory was out
    atomic_size_t bodies;      // bytes of those that are here and nobody has read
    struct exchange *exchanges;
    size_t unanswered;
    double swept;
    void (*stop)(void *), (*reload)(void *);
    void *user;
    char url[300];
};

double http_now(const struct http *h);

// Gives it a random id.
void exchange_name(struct exchange *x);

// In the loop: the client has left.
void exchange_leave(struct exchange *x);

// TLS of the options' files; NULL if they do not say so or cannot be used.
struct ssl_ctx_st *tls_open(const struct http_options *o, gyr_error *e);
struct bufferevent *tls_accept(struct event_base *base, struct ssl_ctx_st *tls);
void tls_close(struct ssl_ctx_st *tls);

#endif
