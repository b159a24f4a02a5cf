// A stand-in for CUDA's driver or HIP's runtime: cards whose memory is the host's, and which compute later, on a thread
// of their own: what is asked for is done when an event behind it has been asked about often enough. Each card does
// what it was asked for, and nothing that another one was, unless it was told to wait for that.
#include "fake.h"
#include "fake_fails.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

typedef void host_kernel(const unsigned grid[3], const unsigned block[3], unsigned shared, const void *args);

enum { NO_MEMORY = 2, NO_CARD = 100, NO_LINK = 217, LINKED = 704 };
enum { NOT_FOUND = 500, NOT_READY = 600, ILLEGAL = 700, FAILED = 719 };
enum {
    MOST_CARDS = 8,
    REFUSED = 1,
    BAD_IMAGE = 200,
    MOST_THREADS = 1024,
    MOST_SHARED = 100 << 10,
    PLAIN_SHARED = 48 << 10
};

struct piece {
    struct piece *next;
    size_t bytes;
    int on;
    _Alignas(64) unsigned char data[];
};

struct function {
    char name[80];
    host_kernel *run;
    int shared;
    struct function *next;
};

struct module {
    char *image;
    struct function *functions;
};

struct work {
    struct work *next;
    enum { COPY, SET, KERNEL, WAIT, CALL } kind;
    int on, other; // which card; whom it waits for,
    long until;    // until so much is done there
    void *to;
    const void *from;
    size_t bytes;
    unsigned char byte;
    void (*call)(void *arg); // of another library, on this thread
    void *arg;
    struct function *function;
    unsigned grid[3], block[3], shared;
    _Alignas(64) unsigned char args[4096];
};

struct thing {
    struct thing *next;
    _Alignas(64) unsigned char data[];
};

struct event {
    long put, asked; // how much work of its card was before it, and how often it was asked about
    int on;
};

// Launches that were captured, to be asked for together.
enum { MOST_NODES = 64 };
struct graph {
    int n;
    struct work node[MOST_NODES];
};

static struct {
    pthread_mutex_t lock;
    struct graph *capturing;
    struct piece *pieces;
    struct thing *things; // of the host: what a program that ends does not give back
    size_t held[MOST_CARDS], contexts;
    struct queue {
        struct work *first, **last;
        long asked, done; // work
    } queue[MOST_CARDS];
    int links[MOST_CARDS][MOST_CARDS]; // that were opened
    long peers;                        // copies between cards
    long calls, reads;
    int lost[MOST_CARDS]; // every call says this from now on
    long launches, graphs;
} card = {.lock = PTHREAD_MUTEX_INITIALIZER};

// The card that calls of this thread are for; -1: none.
static _Thread_local int here = FAKE_IS_HIP - 1;

__attribute__((visibility("default"))) long fake_calls(void) { return card.calls; }
__attribute__((visibility("default"))) long fake_graphs(void) { return card.graphs; }
__attribute__((visibility("default"))) long fake_peers(void) { return card.peers; }
__attribute__((visibility("default"))) long fake_held(void) {
    size_t all = card.contexts;
    for (struct thing *t = card.things; t; t = t->next) all++;
    for (int i = 0; i < MOST_CARDS; i++) all += card.held[i];
    return (long)all;
}

static void *take(size_t bytes) {
    struct thing *t = aligned_alloc(64, (sizeof *t + bytes + 63) / 64 * 64);
    if (!t) abort();
    memset(t->data, 0, bytes < 4096 ? bytes : 4096);
    t->next = card.things;
    card.things = t;
    return t->data;
}

static void give(void *p) {
    for (struct thing **t = &card.things; *t; t = &(*t)->next)
        if ((*t)->data == p) {
            struct thing *gone = *t;
            *t = gone->next;
            free(gone);
            return;
        }
    abort(); // it is none of its own
}

// The card as after a restart of the program.
__attribute__((visibility("default"))) void fake_reset(void) {
    while (card.pieces) {
        struct piece *p = card.pieces;
        card.pieces = p->next;
        free(p);
    }
    for (struct queue *q = card.queue; q < card.queue + MOST_CARDS; q++)
        while (q->first) {
            struct work *w = q->first;
            q->first = w->next;
            free(w);
        }
    while (card.things) give(card.things->data);
    pthread_mutex_t lock = card.lock;
    memset(&card, 0, sizeof card);
    card.lock = lock;
}

static int sticky(int error) { return error >= 700 && error != 701 && error != LINKED; }

static int lost(int on) { return card.lost[on < 0 ? 0 : on % MOST_CARDS]; }

// Calls for a card that is lost all fail.
static int fails_on(int on, const char *name) {
    pthread_mutex_lock(&card.lock);
    card.calls++;
    int error = lost(on) ? lost(on) : fake_fails(name);
    if (sticky(error)) card.lost[on < 0 ? 0 : on % MOST_CARDS] = error;
    pthread_mutex_unlock(&card.lock);
    return error;
}

#define MAY_FAIL_ON(on, name)                                                                                          \
    do {                                                                                                               \
        int error_ = fails_on(on, name);                                                                               \
        if (error_) return error_;                                                                                     \
    } while (0)
#define MAY_FAIL(name) MAY_FAIL_ON(here, name)

static long most_memory(void) { return fake_number("GYR_FAKE_MEMORY", 1 << 30); }

// ------------------------------------------------------------------------------- cards

EXPORT NAME(cuInit, hipInit)(unsigned flags) {
    MAY_FAIL("init");
    return flags ? REFUSED : 0;
}

EXPORT NAME(cuDriverGetVersion, hipRuntimeGetVersion)(int *version) {
    *version = (int)fake_number("GYR_FAKE_VERSION", FAKE_IS_HIP ? 70125424 : 13000);
    return 0;
}

EXPORT NAME(cuDeviceGetCount, hipGetDeviceCount)(int *n) {
    MAY_FAIL("count");
    *n = (int)fake_number("GYR_FAKE_CARDS", 1);
    return *n ? 0 : NO_CARD;
}

EXPORT NAME(cuDeviceGet, hipDeviceGet)(int *device, int index) {
    MAY_FAIL_ON(index, "device");
    *device = index;
    return index < 0 || index >= fake_number("GYR_FAKE_CARDS", 1) ? 101 : 0;
}

EXPORT NAME(cuDeviceGetName, hipDeviceGetName)(char *name, int size, int device) {
    MAY_FAIL_ON(device, "name");
    snprintf(name, (size_t)size, "Stand-in %d", device);
    return 0;
}

// Programs go on without it: it is none of "any".
EXPORT NAME(cuDeviceGetPCIBusId, hipDeviceGetPCIBusId)(char *bus, int size, int device) {
    snprintf(bus, (size_t)size, "0000:%02x:00.0", 0x41 + device);
    return lost(device);
}

EXPORT NAME(cuDeviceTotalMem_v2, hipDeviceTotalMem)(size_t *bytes, int device) {
    MAY_FAIL_ON(device, "total");
    *bytes = (size_t)most_memory();
    return 0;
}

EXPORT NAME(cuDeviceGetAttribute, hipDeviceGetAttribute)(int *value, int which, int device) {
    static const int cuda[][2] = {{10, 32}, {16, 4}, {97, MOST_SHARED}, {1, MOST_THREADS}};
    static const int hip[][2] = {{87, 64}, {63, 4}, {74, 64 << 10}, {56, MOST_THREADS}};
    const int(*table)[2] = FAKE_IS_HIP ? hip : cuda;
    long chip = fake_number("GYR_FAKE_CHIP", 90);
    MAY_FAIL_ON(device, "attribute");
    for (int i = 0; i < 4; i++)
        if (table[i][0] == which) return *value = table[i][1], 0;
    if (FAKE_IS_HIP || (which != 75 && which != 76)) return REFUSED;
    *value = (int)(which == 75 ? chip / 10 : chip % 10);
    return 0;
}

EXPORT NAME(cuGetErrorString, hipDrvGetErrorString)(int error, const char **text) {
    *text = error == NO_MEMORY ? "out of memory" : error == FAILED ? "unspecified launch failure" : "a failure";
    return 0;
}

#ifdef FAKE_HIP
EXPORT hipGetDevicePropertiesR0600(char *properties, int device) {
    MAY_FAIL_ON(device, "properties");
    memset(properties, 0, 1472);
    snprintf(properties + 1160, 256, "gfx942:sramecc+:xnack-");
    return 0;
}

EXPORT hipSetDevice(int device) {
    MAY_FAIL_ON(device, "choose");
    here = device;
    return 0;
}
#else
EXPORT cuDevicePrimaryCtxRetain(void **context, int device) {
    MAY_FAIL_ON(device, "retain");
    card.contexts++;
    *context = &card.lost[device % MOST_CARDS];
    return 0;
}

EXPORT cuDevicePrimaryCtxRelease_v2(int device) {
    card.contexts--;
    return 0;
}

EXPORT cuCtxSetCurrent(void *context) {
    int device = context ? (int)((int *)context - card.lost) : -1;
    MAY_FAIL_ON(device, "enter");
    here = device;
    return 0;
}

EXPORT cuFuncSetAttribute(void *function, int which, int value) {
    MAY_FAIL("function_set");
    if (which != 8 || value > MOST_SHARED) return REFUSED;
    ((struct function *)function)->shared = value;
    return 0;
}
#endif

// What only a thread with a context may call.
static int away(const char *name) { return here < 0 ? 201 : fails_on(here, name); }

#define MAY_FAIL_HERE(name)                                                                                            \
    do {                                                                                                               \
        int error_ = away(name);                                                                                       \
        if (error_) return error_;                                                                                     \
    } while (0)

// ------------------------------------------------------------------------------- work

static int inside(const void *p, size_t n) {
    for (struct piece *a = card.pieces; a; a = a->next)
        if ((const unsigned char *)p >= a->data && (const unsigned char *)p + n <= a->data + a->bytes) return 1;
    return 0;
}

static int put(const struct work *w) {
    struct work *copy = aligned_alloc(64, sizeof *copy);
    if (!copy) abort();
    struct queue *q = &card.queue[here];
    *copy = *w;
    copy->next = NULL;
    copy->on = here;
    *(q->first ? q->last : &q->first) = copy;
    q->last = &copy->next;
    q->asked++;
    return 0;
}

static void run_kernel(const struct work *w) {
    int error = fails_on(w->on, "kernel");
    card.launches++;
    if (!w->function->run)
        card.lost[w->on] = FAILED;
    else if (error)
        card.lost[w->on] = sticky(error) ? error : FAILED; // a kernel fails in no other way
    else
        w->function->run(w->grid, w->block, w->shared, w->args);
}

static void run_until(int on, long end) {
    struct queue *q = &card.queue[on];
    while (q->done < end && q->first) {
        struct work *w = q->first;
        q->first = w->next;
        q->done++;
        if (w->kind == WAIT) run_until(w->other, w->until); // which is lost: it is over all the same
        if (!lost(w->on) && w->kind == KERNEL) run_kernel(w);
        if (!lost(w->on) && w->kind == CALL) w->call(w->arg);
        if (!lost(w->on) && w->kind == COPY) memmove(w->to, w->from, w->bytes);
        if (!lost(w->on) && w->kind == SET) memset(w->to, w->byte, w->bytes);
        free(w);
    }
}

struct running {
    int on;
    long end;
};

static void *run_there(void *arg) {
    const struct running *r = arg;
    run_until(r->on, r->end);
    return NULL;
}

static void run(int on, long end) {
    pthread_t thread;
    struct running r = {on, end};
    if (card.queue[on].done >= end || pthread_create(&thread, NULL, run_there, &r)) return;
    pthread_join(thread, NULL);
}

static void run_all(void) {
    for (int i = 0; i < MOST_CARDS; i++) run(i, card.queue[i].asked);
}

EXPORT NAME(cuStreamCreate, hipStreamCreateWithFlags)(void **stream, unsigned flags) {
    MAY_FAIL_HERE("stream_new");
    card.contexts++;
    *stream = &card.queue[here];
    return 0;
}

EXPORT NAME(cuStreamDestroy_v2, hipStreamDestroy)(void *stream) {
    card.contexts--;
    return 0;
}

EXPORT NAME(cuEventCreate, hipEventCreateWithFlags)(void **event, unsigned flags) {
    MAY_FAIL_HERE("event_new");
    *event = take(sizeof(struct event));
    return 0;
}

EXPORT NAME(cuEventDestroy_v2, hipEventDestroy)(void *event) {
    give(event);
    return 0;
}

EXPORT NAME(cuEventRecord, hipEventRecord)(void *event, void *stream) {
    MAY_FAIL_HERE("event_put");
    *(struct event *)event = (struct event){card.queue[here].asked, 0, here};
    return 0;
}

EXPORT NAME(cuStreamWaitEvent, hipStreamWaitEvent)(void *stream, void *event, unsigned flags) {
    const struct event *e = event;
    MAY_FAIL_HERE("stream_wait");
    return flags || stream != &card.queue[here] ? REFUSED
                                                : put(&(struct work){.kind = WAIT, .other = e->on, .until = e->put});
}

EXPORT NAME(cuEventQuery, hipEventQuery)(void *event) {
    struct event *e = event;
    MAY_FAIL_HERE("event_query");
    if (e->put <= card.queue[e->on].done) return lost(here);
    if (fake_number("GYR_FAKE_HANG", 0) || ++e->asked < fake_number("GYR_FAKE_DELAY", 3)) return NOT_READY;
    run(e->on, e->put);
    return lost(here);
}

// ------------------------------------------------------------------------------- memory

EXPORT NAME(cuMemGetInfo_v2, hipMemGetInfo)(size_t *left, size_t *total) {
    MAY_FAIL_HERE("room");
    *total = (size_t)most_memory();
    *left = *total - card.held[here];
    return 0;
}

EXPORT NAME(cuMemAlloc_v2, hipMalloc)(void **p, size_t bytes) {
    MAY_FAIL_HERE("alloc");
    if (!bytes) return REFUSED;
    size_t whole = (sizeof(struct piece) + bytes + 63) / 64 * 64;
    struct piece *a = bytes <= (size_t)most_memory() - card.held[here] ? aligned_alloc(64, whole) : NULL;
    if (!a) return NO_MEMORY;
    a->next = card.pieces;
    a->bytes = bytes;
    a->on = here;
    memset(a->data, 0xa5, bytes);
    card.pieces = a;
    card.held[here] += bytes;
    *p = a->data;
    return 0;
}

EXPORT NAME(cuMemFree_v2, hipFree)(void *p) {
    MAY_FAIL_HERE("free");
    run_all();
    for (struct piece **a = &card.pieces; *a; a = &(*a)->next)
        if ((*a)->data == p) {
            struct piece *gone = *a;
            *a = gone->next;
            card.held[gone->on] -= gone->bytes;
            free(gone);
            return 0;
        }
    return REFUSED;
}

EXPORT NAME(cuMemHostAlloc, hipHostMalloc)(void **p, size_t bytes, unsigned flags) {
    MAY_FAIL_HERE("host_alloc");
    *p = take(bytes);
    return 0;
}

EXPORT NAME(cuMemFreeHost, hipHostFree)(void *p) {
    give(p);
    return 0;
}

EXPORT NAME(cuMemsetD8Async, hipMemsetD8Async)(void *p, unsigned char byte, size_t n, void *stream) {
    MAY_FAIL_HERE("set");
    return inside(p, n) ? put(&(struct work){.kind = SET, .to = p, .byte = byte, .bytes = n}) : REFUSED;
}

EXPORT NAME(cuMemcpyHtoDAsync_v2, hipMemcpyHtoDAsync)(void *to, const void *from, size_t n, void *stream) {
    MAY_FAIL_HERE("write");
    return inside(to, n) ? put(&(struct work){.to = to, .from = from, .bytes = n}) : REFUSED;
}

EXPORT NAME(cuMemcpyDtoHAsync_v2, hipMemcpyDtoHAsync)(void *to, const void *from, size_t n, void *stream) {
    MAY_FAIL_HERE("read");
    size_t by = n >= 8 && ++card.reads == fake_number("GYR_FAKE_WRONG", 0) ? 4 : 0;
    return inside(from, n) ? put(&(struct work){.to = to, .from = (const char *)from + by, .bytes = n - by}) : REFUSED;
}

#ifndef FAKE_LACKS_COPY
EXPORT NAME(cuMemcpyDtoDAsync_v2, hipMemcpyDtoDAsync)(void *to, const void *from, size_t n, void *stream) {
    MAY_FAIL_HERE("copy");
    return inside(to, n) && inside(from, n) ? put(&(struct work){.to = to, .from = from, .bytes = n}) : REFUSED;
}
#endif

#include "fake_peers.h"

// ------------------------------------------------------------------------------- programs

EXPORT NAME(cuModuleLoadData, hipModuleLoadData)(void **module, const void *image) {
    MAY_FAIL_HERE("module_load");
    if (strncmp(image, "stand-in's image", 16)) return BAD_IMAGE;
    struct module *m = take(sizeof *m);
    m->image = take(strlen(image) + 1);
    memcpy(m->image, image, strlen(image) + 1);
    *module = m;
    return 0;
}

EXPORT NAME(cuModuleUnload, hipModuleUnload)(void *module) {
    struct module *m = module;
    while (m->functions) {
        struct function *f = m->functions;
        m->functions = f->next;
        give(f);
    }
    give(m->image);
    give(m);
    return 0;
}

struct fill_args {
    float *x;
    size_t n;
    float value;
};

static void fill(const unsigned grid[3], const unsigned block[3], unsigned shared, const void *args) {
    const struct fill_args *a = args;
    for (size_t i = 0; i < a->n && i < (size_t)grid[0] * block[0]; i++) a->x[i] = a->value;
}

static void twice_q4_0(const unsigned grid[3], const unsigned block[3], unsigned shared, const void *args) {
    const struct fill_args *a = args;
    for (size_t i = 0; i < a->n && i < (size_t)grid[0] * block[0]; i++) a->x[i] *= 2;
}

// The library of kernels that GYR_FAKE_KERNELS names is told how wide a warp is.
static void *kernel_library(void) {
    const char *path = getenv("GYR_FAKE_KERNELS");
    void *library = path ? dlopen(path, RTLD_NOW) : NULL, *address = library ? dlsym(library, "fake_warp") : NULL;
    void (*tell)(unsigned lanes) = NULL;
    memcpy(&tell, &address, sizeof tell);
    if (tell) tell(FAKE_WARP);
    return library;
}

// Kernels of its own, for tests of the driver layer; others are in the library.
static host_kernel *find(const char *name) {
    static const struct {
        const char *name;
        host_kernel *run;
    } own[] = {{"fill", fill}, {"twice_q4_0", twice_q4_0}};
    for (int i = 0; i < 2; i++)
        if (!strcmp(own[i].name, name)) return own[i].run;
    void *library = kernel_library(), *address = library ? dlsym(library, name) : NULL;
    host_kernel *found = NULL;
    memcpy(&found, &address, sizeof found);
    return found;
}

EXPORT NAME(cuModuleGetFunction, hipModuleGetFunction)(void **function, void *module, const char *name) {
    struct module *m = module;
    char line[128];
    MAY_FAIL_HERE("function");
    snprintf(line, sizeof line, "\nkernel %s\n", name);
    struct function *f = strstr(m->image, line) ? take(sizeof *f) : NULL;
    if (!f) return NOT_FOUND;
    snprintf(f->name, sizeof f->name, "%s", name);
    f->run = find(name);
    f->shared = PLAIN_SHARED;
    f->next = m->functions;
    *function = m->functions = f;
    return 0;
}

static int launch(void *function, const unsigned *grid, const unsigned *block, unsigned shared, void **parameters,
                  void **extra) {
    struct work w = {.kind = KERNEL, .function = function, .shared = shared};
    memcpy(w.grid, grid, sizeof w.grid);
    memcpy(w.block, block, sizeof w.block);
    MAY_FAIL_HERE("launch");
    void *end = FAKE_IS_HIP ? (void *)3 : NULL;
    if (parameters || extra[0] != (void *)1 || extra[2] != (void *)2 || extra[4] != end) return REFUSED;
    size_t size = *(size_t *)extra[3];
    if (!grid[0] || !grid[1] || !grid[2] || !block[0] || !block[1] || !block[2] || size > sizeof w.args) return REFUSED;
    if (block[0] * block[1] * block[2] > MOST_THREADS || (int)shared > w.function->shared) return REFUSED;
    memcpy(w.args, extra[1], size);
    if (!card.capturing) return put(&w);
    if (card.capturing->n == MOST_NODES) return REFUSED;
    card.capturing->node[card.capturing->n++] = w;
    return 0;
}

#ifndef FAKE_HIP
// The layout of CUDA's header, not gyr's own struct.
struct config {
    unsigned grid[3], block[3], shared;
    void *stream;
    const struct {
        int id;
        char pad[4];
        union {
            char bytes[64];
            int number;
        } value;
    } * attribute;
    unsigned attributes;
};

EXPORT cuLaunchKernelEx(const struct config *c, void *function, void **parameters, void **extra) {
    for (unsigned i = 0; i < c->attributes; i++)
        if (c->attribute[i].id != 6 || c->attribute[i].value.number != 1) return REFUSED;
    return launch(function, c->grid, c->block, c->shared, parameters, extra);
}
#endif

EXPORT NAME(cuLaunchKernel, hipModuleLaunchKernel)(void *function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                                                   unsigned block_x, unsigned block_y, unsigned block_z,
                                                   unsigned shared, void *stream, void **parameters, void **extra) {
    return launch(function, (unsigned[]){grid_x, grid_y, grid_z}, (unsigned[]){block_x, block_y, block_z}, shared,
                  parameters, extra);
}

#include "fake_graphs.h"
