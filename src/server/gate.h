// What comes in on a connection, looked at before libevent reads it. libevent says nothing of a request before its body
// is here: whoever has no key could have bodies held, as large and as many as there may be connections. So the gate
// reads each request's head, asks whether it is to be had at all, and if it is not, hands libevent the head alone: the
// refusal is answered at once, and the body is dropped as it comes.
#ifndef SERVER_GATE_H
#define SERVER_GATE_H

#include "server/exchange.h"

struct bufferevent;
struct gate;

struct gate_rules {
    // Whether the request, of which there is only the head, may go on. If not, handling it has to refuse it.
    bool (*welcome)(void *user, struct exchange *x);
    void *user;
    atomic_size_t *bodies; // bytes of all bodies that are here and nobody has read
    size_t most;           // where a body would make them more, its request gets the header GATE_FULL, and no body
};
#define GATE_FULL "x-gyr-full"

// A gate before a connection from which nothing was read yet. NULL: memory is out.
struct gate *gate_new(struct bufferevent *b, const struct gate_rules *rules);

// Lets everything through from now on: what is held goes on, and no more is looked at. NULL is allowed, here and below.
void gate_open(struct gate *g, struct bufferevent *b);

// The request that it let through is whole, and its body is somebody else's now.
void gate_taken(struct gate *g);

// Once the connection is closed.
void gate_free(struct gate *g);

// Whether a request, whose header fields are x's, says in one way alone, and rightly, where it ends and whom it asks.
// If it does not, a proxy in front may see another end than this server does, and what comes behind as a request of
// somebody else's.
bool head_is_certain(const struct exchange *x);

#endif
