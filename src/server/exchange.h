// A request and its reply. The request is a copy, so that any thread may read it; replies are the loop's alone.
#ifndef SERVER_EXCHANGE_H
#define SERVER_EXCHANGE_H

#include "base/buf.h"

#include <stdatomic.h>

struct evhttp_connection;
struct evhttp_request;
struct http;
struct route;

struct exchange {
    struct http *http;
    struct evhttp_request *req; // the loop's; NULL once the reply is complete or the client has left
    const struct route *route;  // NULL until one was found
    const char *method;         // "GET"
    char *path;                 // percent-decoded, without the query
    const char *tail;           // the part of the path that the route's `*` stands for
    char *query;                // as sent; NULL: there is none
    struct buf headers;         // name NUL value NUL, of each
    char *body;                 // NUL-terminated behind its size
    size_t body_size;
    size_t counted; // of the http's bodies
    char id[25];    // of this request, in logs and the x-request-id header
    void *account;  // whose key was shown; NULL: nobody's
    void (*release_account)(void *account);
    double came;              // seconds of the clock
    int status;               // that was sent; 0: none yet
    char *why;                // it was refused; NULL: it was not
    struct buf extra;         // more headers of the reply: name NUL value NUL
    atomic_bool gone;         // the client has left
    void (*left)(void *user); // called in the loop when it does; may be NULL
    void *user;
    struct evhttp_connection *connection;
    int fd; // its socket
    // Of a request that the server makes itself and that no connection has: takes the whole reply, or, with a status of
    // 0, the news that there will be none. Called once, in the loop or by whoever lets go of it last.
    void (*replied)(void *user, const struct exchange *x, const void *body, size_t size);
    void *replied_user;
    int behind; // of a line of a batch: what its job's priority comes after those of others; 0: it is none
    atomic_uint holders;
    void (*taken)(void *user); // of reply_more_then()
    void *taken_user;
    struct exchange *next, **link; // of the http's, while unanswered
};

// The value of a request's header, of any case; NULL if it is not there.
const char *exchange_header(const struct exchange *x, const char *name);

// The value of a parameter of the query, percent-decoded, to be freed; NULL if it is not there.
char *exchange_query(const struct exchange *x, const char *name);

// Calls each(user, name, value) for all parameters of the query, percent-decoded, until it gives false. False: it did,
// or the query cannot be read.
bool exchange_parameters(const struct exchange *x, bool (*each)(void *user, const char *name, const char *value),
                         void *user);

// A POST that the server makes itself, held; the body is copied. NULL: memory is out.
struct exchange *exchange_internal(struct http *http, const struct route *route, const char *path, const char *body,
                                   size_t size);

// The value of a header of the reply that was added so far; NULL if it is not there.
const char *exchange_reply_header(const struct exchange *x, const char *name);

// Frees the body, once it is read.
void exchange_drop_body(struct exchange *x);

void exchange_hold(struct exchange *x);
void exchange_release(struct exchange *x);

// A header of the reply to come.
void exchange_add_header(struct exchange *x, const char *name, const char *value);

// In the loop: a whole reply, once; `body` stays the caller's. Nothing happens if the client has left.
void reply_whole(struct exchange *x, int status, const char *type, const void *body, size_t size);

// In the loop: a reply that comes in pieces.
void reply_start(struct exchange *x, int status, const char *type);
void reply_more(struct exchange *x, const void *data, size_t size);
void reply_end(struct exchange *x);

// The same, and then(user) is called in the loop once the client has taken all that was sent; never, if it leaves.
void reply_more_then(struct exchange *x, const void *data, size_t size, void (*then)(void *user), void *user);

// In the loop: closes the connection in the midst of a reply that cannot be completed.
void reply_break(struct exchange *x);

// Bytes of the reply that the client has not taken yet.
size_t reply_waiting(const struct exchange *x);

// From any thread: a whole reply; takes the body's memory.
void reply_later(struct exchange *x, int status, const char *type, struct buf *body);

#endif
