// HTTP/1.1 on libevent's loop: listening, TLS, limits on what comes, and who has left.
#ifndef SERVER_HTTP_H
#define SERVER_HTTP_H

#include "base/error.h"
#include "server/exchange.h"

struct http_options {
    const char *host;
    uint16_t port;          // 0: one that is free
    const char *cert, *key; // PEM files, for TLS; both or none
    size_t max_body;        // bytes
    size_t max_bodies;      // of all that are here and nobody has read
    unsigned max_connections;
    unsigned idle_seconds;                                  // a connection that says nothing for so long is closed
    void (*request)(void *user, struct exchange *x);        // in the loop, for each request; it replies, then or later
    bool (*welcome)(void *user, struct exchange *x);        // in the loop, once its head is here: gate.h
    void (*tick)(void *user);                               // in the loop, at least once a second; may be NULL
    void (*answered)(void *user, const struct exchange *x); // in the loop: it is, or its client left; may be NULL
    void *user;
};

struct http *http_new(const struct http_options *o, gyr_error *e);

// Where it listens, as a URL.
const char *http_url(const struct http *h);

// Runs the loop until http_stop(). Signals: SIGINT, SIGTERM and SIGUSR1 call `stop`, SIGHUP calls `reload`; all in the
// loop.
void http_run(struct http *h, void (*stop)(void *user), void (*reload)(void *user), void *user);

// From any thread: has fn(arg) called in the loop, in the order of the calls.
void http_post(struct http *h, void (*fn)(void *arg), void *arg);

// In the loop: no more connections; those that are there go on. http_stop() ends the loop.
void http_close_door(struct http *h);
void http_stop(struct http *h);

// In the loop: requests without a complete reply.
size_t http_unanswered(const struct http *h);

// Reads certificate and key again; the old ones stay if that fails.
bool http_reload(struct http *h, gyr_error *e);

// Connections that are open now.
unsigned http_connections(const struct http *h);

// Once the loop has ended: calls what was posted.
void http_flush(struct http *h);

void http_free(struct http *h);

#endif
