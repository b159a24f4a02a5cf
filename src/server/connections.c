#include "server/connections.h"

#include "base/buf.h"
#include "server/gate.h"

#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

static uint64_t cookie_of(int fd) {
    uint64_t cookie = 0;
    socklen_t size = sizeof cookie;
    return fd < 0 || getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) ? 0 : cookie;
}

bool connections_add(struct connections *c, int fd, double now, struct gate *gate) {
    uint64_t cookie = cookie_of(fd);
    if (!cookie || !ARRAY_GROW(c->list, c->n, c->room)) return false;
    c->list[c->n++] = (struct connection){fd, cookie, now, gate};
    return true;
}

void connections_touch(struct connections *c, int fd, double now, bool busy) {
    for (size_t i = 0; i < c->n; i++) {
        if (c->list[i].fd != fd) continue;
        c->list[i].since = busy ? INFINITY : now;
        if (busy) gate_taken(c->list[i].gate);
    }
}

void connections_sweep(struct connections *c, double now, double seconds) {
    size_t kept = 0;
    for (size_t i = 0; i < c->n; i++) {
        struct connection *at = &c->list[i];
        if (cookie_of(at->fd) != at->cookie) {
            gate_free(at->gate);
            continue;
        }
        if (now - at->since > seconds) shutdown(at->fd, SHUT_RDWR);
        c->list[kept++] = *at;
    }
    c->n = kept;
}

bool connection_left(int fd) {
    struct pollfd p = {.fd = fd, .events = POLLRDHUP};
    return fd < 0 || (poll(&p, 1, 0) == 1 && p.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL));
}

void connections_free(struct connections *c) {
    for (size_t i = 0; i < c->n; i++) gate_free(c->list[i].gate);
    free(c->list);
}
