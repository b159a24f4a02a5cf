// The sockets that are open: how many, since when, and which have been left. libevent says none of that of a connection
// that has not sent a whole request, which is just what a slow or hostile client does.
#ifndef SERVER_CONNECTIONS_H
#define SERVER_CONNECTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gate;

// A socket, known again by its cookie (SO_COOKIE of socket(7)): a descriptor's number may be another's by now.
struct connection {
    int fd;
    uint64_t cookie;
    double since;      // of the wait for a request, by the clock
    struct gate *gate; // NULL: none
};

struct connections {
    struct connection *list;
    size_t n, room;
};

// Adds a socket, whose gate is freed once it is closed. False if memory is out or the socket could not be known again;
// the gate stays the caller's.
bool connections_add(struct connections *c, int fd, double now, struct gate *gate);

// The socket's wait starts anew, or, with `busy`, is over: its request is here, and taken.
void connections_touch(struct connections *c, int fd, double now, bool busy);

// Forgets those that were closed; shuts down those that have waited longer than `seconds` for a request.
void connections_sweep(struct connections *c, double now, double seconds);

// Whether the other end has closed the socket or its sending half.
bool connection_left(int fd);

void connections_free(struct connections *c);

#endif
