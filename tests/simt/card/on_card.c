// A card of this machine under the name of the emulated one (../card.h), for the same tests: each operation is waited
// for. The environment variable GYR_CARD says which: "cuda", "hip:1"; else it is the first. Ends with 77 if there is
// none.
#include "card.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/gpu/gpu.h"

enum { STACK = 64 << 20, ALIGN = 64 };
static const size_t arena_bytes = (size_t)1536 << 20;

int card_main(int argc, char **argv);
void *card_malloc(size_t bytes);
void *card_calloc(size_t n, size_t bytes);
void card_free(void *p);

unsigned simt_warp;
uint64_t simt_seed;

static struct gpu_api api;
static int card;

static _Noreturn void stop(const char *what) {
    printf("FAILED: %s\n", what);
    fflush(stdout);
    _Exit(1);
}

// ------------------------------------------------------------------------------- memory

// Pieces are taken one behind the other, and all is free when the last one is given back.
static struct {
    uint8_t *at;
    size_t used, pieces;
} arena;

void *card_malloc(size_t bytes) {
    size_t size = (bytes + ALIGN - 1) / ALIGN * ALIGN + ALIGN;
    if (bytes > arena_bytes || size > arena_bytes - arena.used) return NULL;
    void *p = arena.at + arena.used;
    arena.used += size;
    arena.pieces++;
    return p;
}

void *card_calloc(size_t n, size_t bytes) {
    size_t all;
    void *p = __builtin_mul_overflow(n, bytes, &all) ? NULL : card_malloc(all);
    return p ? memset(p, 0, all) : NULL;
}

void card_free(void *p) {
    if (!p) return;
    if ((uint8_t *)p < arena.at || (uint8_t *)p >= arena.at + arena_bytes) {
        free(p);
        return;
    }
    if (!--arena.pieces) arena.used = STACK;
}

// ------------------------------------------------------------------------------- operations

static struct device_ops real, waiting;

// A card computes later: tests look at once.
static void settle(struct device *d) {
    gyr_error e = {0};
    if (!real.sync(d, &e)) stop(e.message);
}

#define WAIT(name, declared, given)                                                                                    \
    static void wait_##name declared {                                                                                 \
        real.name given;                                                                                               \
        settle(d);                                                                                                     \
    }

WAIT(embed, (struct device * d, const struct weight *w, const dint *ids, size_t rows, dfloat *y), (d, w, ids, rows, y))
WAIT(norm,
     (struct device * d, enum norm_kind kind, const dfloat *x, const dfloat *w, size_t parts, const dfloat *b,
      float eps, size_t rows, size_t dim, dfloat *y),
     (d, kind, x, w, parts, b, eps, rows, dim, y))
WAIT(matmul, (struct device * d, const struct weight *w, const dfloat *x, size_t rows, const dfloat *bias, dfloat *y),
     (d, w, x, rows, bias, y))
WAIT(products, (struct device * d, const struct product *list, size_t n), (d, list, n))
WAIT(head_products, (struct device * d, const struct head_products *a), (d, a))
WAIT(qkv, (struct device * d, const struct qkv *a), (d, a))
WAIT(attention, (struct device * d, const struct attention *a), (d, a))
WAIT(choose, (struct device * d, const struct choice *a), (d, a))
WAIT(conv, (struct device * d, const struct conv *a), (d, a))
WAIT(recur, (struct device * d, const struct recur *a), (d, a))
WAIT(activate, (struct device * d, enum activation kind, dfloat *x, size_t n), (d, kind, x, n))
WAIT(gate, (struct device * d, const struct gate *a), (d, a))
WAIT(route, (struct device * d, const struct route *a), (d, a))
WAIT(experts, (struct device * d, const struct experts *a), (d, a))
WAIT(sum_rows, (struct device * d, const struct sum_rows *a), (d, a))
WAIT(add, (struct device * d, dfloat *x, const dfloat *y, size_t n), (d, x, y, n))
WAIT(move, (struct device * d, const dfloat *x, size_t x_row, dfloat *y, size_t y_row, size_t rows, size_t n),
     (d, x, x_row, y, y_row, rows, n))
WAIT(scale, (struct device * d, dfloat *x, float by, size_t n), (d, x, by, n))
WAIT(clamp, (struct device * d, dfloat *x, float most, size_t n), (d, x, most, n))
WAIT(cap, (struct device * d, dfloat *x, float most, size_t n), (d, x, most, n))

#define USE(name) waiting.name = wait_##name

struct device *card_open(void) {
    gyr_error e = {0};
    struct gpu *g = gpu_open(&api, card, &gpu_sources, &e);
    if (!g) stop(e.message);
    real = waiting = *g->device.ops;
    USE(embed), USE(norm), USE(matmul), USE(products), USE(head_products), USE(qkv), USE(attention), USE(choose);
    USE(conv), USE(recur), USE(activate), USE(gate), USE(route), USE(experts), USE(sum_rows), USE(add), USE(move);
    USE(scale), USE(clamp), USE(cap);
    g->device.ops = &waiting;
    return &g->device;
}

// ------------------------------------------------------------------------------- the program

struct call {
    int argc, status;
    char **argv;
};

static void *run(void *arg) {
    struct call *c = arg;
    c->status = card_main(c->argc, c->argv);
    return NULL;
}

static bool find_card(void) {
    const char *name = getenv("GYR_CARD");
    for (int v = 0; v < GPU_VENDORS; v++) {
        const struct gpu_vendor *vendor = &gpu_vendors[v];
        size_t n = strlen(vendor->kind);
        if (name && strncmp(name, vendor->kind, n)) continue;
        gpu_api_load(&api, vendor, getenv("GYR_GPU_LIBRARIES"));
        card = name && name[n] == ':' ? (int)strtol(name + n + 1, NULL, 10) : 0;
        if (api.driver.good && card < api.cards) return true;
        printf("%s: no card to try: %s\n", vendor->kind, api.driver.good ? "there is none" : api.driver.why);
    }
    return false;
}

// Pinned memory belongs to a context: that of a card which stays open meanwhile.
static struct gpu *take_arena(void) {
    static const struct gpu_source none[] = {{"none.h", "", NULL, false}};
    static const struct gpu_sources no_sources = {none, 1};
    gyr_error e = {0};
    struct gpu *g = gpu_open(&api, card, &no_sources, &e);
    if (!g) stop(e.message);
    if (!gpu_begin(g) || api.host_alloc((void **)&arena.at, arena_bytes, 0)) stop("no pinned memory for the test");
    arena.used = STACK;
    return g;
}

int main(int argc, char **argv) {
    struct call c = {.argc = argc, .argv = argv};
    pthread_t thread;
    pthread_attr_t attributes;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!find_card()) return 77;
    struct gpu *g = take_arena();
    bool ok = !pthread_attr_init(&attributes) && !pthread_attr_setstack(&attributes, arena.at, STACK) &&
              !pthread_create(&thread, &attributes, run, &c) && !pthread_join(thread, NULL);
    if (!ok) stop("no thread for the test");
    pthread_attr_destroy(&attributes);
    if (gpu_begin(g)) api.host_free(arena.at);
    gpu_close(&g->device);
    return c.status;
}
