// A stand-in for NCCL or RCCL: processes whose stand-in cards gather over sockets, on the card's thread, in the order
// of its stream. As with the real ones, a card waits without end for one that does not come, until its process has the
// library give up; a card has one rank; calls of a group begin together. It is told what to do wrong by GYR_FAKE_FAIL
// (fake_fails.h): nccl_join, nccl_gather: a call fails; nccl_stall: what was asked for never comes, and the library
// says so when it is asked.
#include "fake.h"
#include "fake_fails.h"

#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { SYSTEM = 2, INVALID_ARGUMENT = 4, INVALID_USAGE = 5, FLOAT = 7, MOST = 16, MOST_OPS = 64, PATIENCE = 30000 };

typedef struct {
    char bytes[128];
} ncclUniqueId;

struct comm {
    struct comm *next;          // of all: none is ever gone
    int own, count, peer[MOST]; // sockets
    atomic_int aborted, later;
};

struct op {
    const char *from;
    char *to;
    size_t bytes;
    int root; // -1: all, one behind the other
};

struct batch {
    struct comm *comm;
    int n, stalls;
    struct op op[MOST_OPS];
};

static struct comm *comms;
static _Thread_local struct batch *group;
static _Thread_local int grouping;

// Its library's folder has the driver's.
static const char home;

static void *of_driver(const char *name) {
    Dl_info self;
    char path[4096];
    if (!dladdr(&home, &self)) return NULL;
    snprintf(path, sizeof path, "%s", self.dli_fname);
    char *slash = strrchr(path, '/');
    if (!slash) return NULL;
    snprintf(slash, sizeof path - (size_t)(slash - path), "/%s", NAME("libcuda.so.1", "libamdhip64.so.7"));
    void *library = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
    return library ? dlsym(library, name) : NULL;
}

// ------------------------------------------------------------------------------- sockets

static void nap(void) { nanosleep(&(struct timespec){0, 1000000}, NULL); }

// All bytes, or 0 when the library is to give up. Who is gone is never heard of.
static int carry(struct comm *c, int fd, char *data, size_t n, int out) {
    while (n) {
        struct pollfd p = {.fd = fd, .events = out ? POLLOUT : POLLIN};
        if (atomic_load(&c->aborted)) return 0;
        if (poll(&p, 1, 5) <= 0) continue;
        ssize_t done = out ? send(fd, data, n, MSG_NOSIGNAL | MSG_DONTWAIT) : recv(fd, data, n, MSG_DONTWAIT);
        if (done > 0) data += done, n -= (size_t)done;
        if (!done || (done < 0 && errno != EAGAIN)) nap();
    }
    return 1;
}

static socklen_t address_of(struct sockaddr_un *a, const ncclUniqueId *id, int rank) {
    *a = (struct sockaddr_un){.sun_family = AF_UNIX};
    int n = snprintf(a->sun_path + 1, sizeof a->sun_path - 1, "%.64s-%d", id->bytes, rank);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
}

static int reach(const ncclUniqueId *id, int rank, int own) {
    struct sockaddr_un a;
    socklen_t n = address_of(&a, id, rank);
    for (int i = 0; i < PATIENCE; i++, nap()) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (!connect(fd, (struct sockaddr *)&a, n) && write(fd, &own, sizeof own) == sizeof own) return fd;
        close(fd);
    }
    return -1;
}

static int meet(struct comm *c, const ncclUniqueId *id) {
    struct sockaddr_un a;
    int door = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t n = address_of(&a, id, c->own);
    int good = !bind(door, (struct sockaddr *)&a, n) && !listen(door, MOST);
    for (int i = 0; good && i < c->own; i++) good = (c->peer[i] = reach(id, i, c->own)) >= 0;
    for (int i = c->own + 1; good && i < c->count; i++) {
        struct pollfd p = {.fd = door, .events = POLLIN};
        int rank = -1, fd = poll(&p, 1, PATIENCE) > 0 ? accept(door, NULL, NULL) : -1;
        good = fd >= 0 && read(fd, &rank, sizeof rank) == sizeof rank && rank > c->own && rank < c->count;
        if (good) c->peer[rank] = fd;
    }
    close(door);
    return good;
}

// No two ranks have one card.
static int has_one_each(struct comm *c) {
    int (*tell)(void) = NULL, one = 1;
    void *address = of_driver("fake_here");
    memcpy(&tell, &address, sizeof tell);
    int own = tell ? tell() : 0, card;
    for (int i = 0; i < c->count; i++)
        if (i != c->own) carry(c, c->peer[i], (char *)&own, sizeof own, 1);
    for (int i = 0; i < c->count; i++)
        if (i != c->own && carry(c, c->peer[i], (char *)&card, sizeof card, 0) && card == own) one = 0;
    return one;
}

// ------------------------------------------------------------------------------- on the card

static int broadcast(struct comm *c, int root, const char *from, char *to, size_t bytes) {
    if (c->own != root) return carry(c, c->peer[root], to, bytes, 0);
    if (from != to) memcpy(to, from, bytes);
    for (int i = 0; i < c->count; i++)
        if (i != root && !carry(c, c->peer[i], to, bytes, 1)) return 0;
    return 1;
}

static void run(void *arg) {
    struct batch *b = arg;
    struct comm *c = b->comm;
    int good = !b->stalls;
    if (b->stalls) atomic_store(&c->later, b->stalls);
    while (b->stalls && !atomic_load(&c->aborted)) nap();
    for (int i = 0; good && i < b->n; i++) {
        struct op *o = &b->op[i];
        if (o->root >= 0) good = broadcast(c, o->root, o->from, o->to, o->bytes);
        for (int root = 0; o->root < 0 && good && root < c->count; root++)
            good = broadcast(c, root, o->from, o->to + (size_t)root * o->bytes, o->bytes);
    }
    free(b);
}

static int ask(struct batch *b) {
    void (*call)(void (*fn)(void *arg), void *arg) = NULL;
    void *address = of_driver("fake_call");
    memcpy(&call, &address, sizeof call);
    if (!call) return SYSTEM;
    b->stalls = fake_fails("nccl_stall");
    call(run, b);
    return 0;
}

static int add(struct comm *c, struct op o) {
    int error = fake_fails("nccl_gather");
    if (error || atomic_load(&c->aborted)) return error ? error : INVALID_USAGE;
    struct batch *b = group ? group : calloc(1, sizeof *b);
    if (!b || b->n == MOST_OPS || (b->comm && b->comm != c)) return INVALID_ARGUMENT;
    b->comm = c;
    b->op[b->n++] = o;
    if (!grouping) return ask(b);
    group = b;
    return 0;
}

// ------------------------------------------------------------------------------- the library

EXPORT ncclGetVersion(int *version) {
    *version = (int)fake_number("GYR_FAKE_NCCL", 22703);
    return 0;
}

__attribute__((visibility("default"))) const char *ncclGetErrorString(int result) {
    return result == INVALID_USAGE ? "invalid usage" : "a failure";
}

EXPORT ncclGetUniqueId(ncclUniqueId *id) {
    static int count;
    *id = (ncclUniqueId){{0}};
    snprintf(id->bytes, sizeof id->bytes, "gyr-stand-in-%ld-%d", (long)getpid(), count++);
    return 0;
}

EXPORT ncclCommInitRank(struct comm **comm, int count, ncclUniqueId id, int own) {
    int error = fake_fails("nccl_join");
    if (error) return error;
    if (count < 1 || count > MOST || own < 0 || own >= count) return INVALID_ARGUMENT;
    struct comm *c = calloc(1, sizeof *c);
    if (!c) return SYSTEM;
    *c = (struct comm){.next = comms, .own = own, .count = count};
    comms = c;
    int good = meet(c, &id);
    if (good && has_one_each(c)) {
        *comm = c;
        return 0;
    }
    return good ? INVALID_USAGE : SYSTEM;
}

// What was asked for may still be on its way: the struct stays.
EXPORT ncclCommAbort(struct comm *c) {
    atomic_store(&c->aborted, 1);
    return 0;
}

EXPORT ncclCommGetAsyncError(struct comm *c, int *result) {
    *result = atomic_load(&c->later);
    return 0;
}

EXPORT ncclGroupStart(void) { return grouping++, 0; }

EXPORT ncclGroupEnd(void) {
    struct batch *b = group;
    if (--grouping || !b) return 0;
    group = NULL;
    return ask(b);
}

EXPORT ncclBroadcast(const void *from, void *to, size_t n, int type, int root, struct comm *c, void *stream) {
    if (type != FLOAT || root < 0 || root >= c->count || !stream) return INVALID_ARGUMENT;
    return add(c, (struct op){from, to, n * sizeof(float), root});
}

EXPORT ncclAllGather(const void *from, void *to, size_t n, int type, struct comm *c, void *stream) {
    if (type != FLOAT || !stream) return INVALID_ARGUMENT;
    return add(c, (struct op){from, to, n * sizeof(float), -1});
}
