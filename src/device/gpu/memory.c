// A card's memory, and what crosses between it and the host.
//
// Copies go through memory that the card reaches by itself (pinned): a copy from a program's ordinary memory is the
// driver's to schedule, and one to it makes the caller wait, without end if the card has stopped.
#include "base/threads.h"
#include "device/gpu/failure.h"
#include "device/gpu/gpu.h"
#include "device/gpu/record.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGN = 64, NO_TIMING = 2 };

// Threads that fill the pinned memory: eight read faster than a link of 64 GB/s takes. Bytes that one copies at a time,
// and that are worth waking another for.
enum { MOST_THREADS = 8, SHARE = 256 << 10, WORTH = 1 << 20 };

static double gigabytes(uint64_t bytes) { return (double)bytes / 1e9; }

// Of a card that does not answer there is none left.
void gpu_room(struct device *d, uint64_t *total, uint64_t *available) {
    struct gpu *g = gpu_of(d);
    size_t left = 0, all = 0;
    *total = g->chip.memory;
    *available = 0;
    if (gpu_begin(g) && gpu_good(g, g->api->room(&left, &all), "looking at the card's memory")) *available = left;
}

static void *no_room(struct gpu *g, size_t bytes, gyr_error *e) {
    uint64_t total, available;
    gpu_room(&g->device, &total, &available);
    return fail_null(
        e, GYR_NO_MEMORY,
        "%s: %.2f GB do not fit: of its %.1f GB %.2f are free; end other programs on the card, or choose a "
        "smaller context or model",
        g->name, gigabytes(bytes), gigabytes(total), gigabytes(available));
}

// What goes wrong is said at once, so that sync() need not; a card that is lost stays so.
void *gpu_alloc(struct device *d, size_t bytes, gyr_error *e) {
    struct gpu *g = gpu_of(d);
    void *p = NULL;
    size_t size = bytes + !bytes;
    bool before = g->failed.status;
    if (gpu_begin(g)) {
        int error = g->api->alloc(&p, size);
        if (error == GPU_NO_MEMORY) return no_room(g, size, e);
        if (gpu_good(g, error, "taking memory")) {
            if (gpu_good(g, g->api->set(p, 0, size, g->stream), "clearing memory")) return p;
            if (!g->lost) g->api->free(p);
        }
    }
    fail(e, g->failed.status, "%s", g->failed.message);
    if (!before && !g->lost) g->failed = (gyr_error){0};
    return NULL;
}

void gpu_free(struct device *d, void *p) {
    struct gpu *g = gpu_of(d);
    gyr_error before = g->failed;
    if (!p || g->lost) return;
    g->failed = (gyr_error){0};
    if (gpu_flush(g) && gpu_begin(g)) gpu_good(g, g->api->free(p), "giving memory back");
    if (before.status) g->failed = before;
}

// ------------------------------------------------------------------------------- of the host

void *gpu_host_alloc(struct device *d, size_t bytes, gyr_error *e) {
    struct gpu *g = gpu_of(d);
    struct gpu_pinned *p = calloc(1, sizeof *p);
    void *at = NULL;
    bool before = g->failed.status;
    if (p && gpu_begin(g) && gpu_good(g, g->api->host_alloc(&at, bytes + !bytes, 0), "taking pinned memory")) {
        *p = (struct gpu_pinned){g->pinned, at, bytes};
        g->pinned = p;
        return at;
    }
    if (p)
        fail(e, g->failed.status, "%s", g->failed.message);
    else
        fail_memory(e, g->name);
    if (!before && !g->lost) g->failed = (gyr_error){0};
    free(p);
    return NULL;
}

// What was to be read there has come: sync() was called since.
void gpu_host_free(struct device *d, void *at) {
    struct gpu *g = gpu_of(d);
    for (struct gpu_pinned **p = &g->pinned; *p; p = &(*p)->next) {
        struct gpu_pinned *gone = *p;
        if (gone->at != at) continue;
        *p = gone->next;
        free(gone);
        gyr_error before = g->failed;
        g->failed = (gyr_error){0};
        if (gpu_begin(g)) gpu_good(g, g->api->host_free(at), "giving pinned memory back");
        if (before.status) g->failed = before;
        return;
    }
}

static bool is_pinned(const struct gpu *g, const void *p, size_t bytes) {
    const uint8_t *at = p;
    for (const struct gpu_pinned *x = g->pinned; x; x = x->next)
        if (at >= x->at && at + bytes <= x->at + x->bytes) return true;
    return false;
}

// ------------------------------------------------------------------------------- threads

// Threads are made when there is much to copy for the first time. Where they cannot be, this one does it all.
static struct pool *pool_of(struct gpu *g) {
    unsigned n = g->threads ? g->threads : cpu_count();
    if (!g->pool && !g->alone) g->pool = pool_new(n < MOST_THREADS ? n : MOST_THREADS, NULL);
    g->alone = !g->pool;
    return g->pool;
}

void gpu_share(struct gpu *g, size_t n, void (*fn)(void *arg, size_t i), void *arg) {
    struct pool *pool = n > 1 ? pool_of(g) : NULL;
    if (pool)
        pool_run(pool, n, fn, arg);
    else
        for (size_t i = 0; i < n; i++) fn(arg, i);
}

struct copying {
    uint8_t *to;
    const uint8_t *from;
    size_t bytes;
};

static void copy_share(void *arg, size_t i) {
    const struct copying *c = arg;
    size_t at = i * SHARE, left = c->bytes - at;
    memcpy(c->to + at, c->from + at, left < SHARE ? left : SHARE);
}

static void copy_on_host(struct gpu *g, void *to, const void *from, size_t bytes) {
    struct copying c = {to, from, bytes};
    if (bytes < WORTH)
        memcpy(to, from, bytes);
    else
        gpu_share(g, (bytes + SHARE - 1) / SHARE, copy_share, &c);
}

// ------------------------------------------------------------------------------- staging

bool gpu_staging_new(struct gpu *g, gyr_error *e) {
    const struct gpu_api *api = g->api;
    bool good = gpu_good(g, api->host_alloc((void **)&g->out.at, 2 * (size_t)GPU_HALF, 0), "taking pinned memory") &&
                gpu_good(g, api->host_alloc((void **)&g->in.at, GPU_BACK, 0), "taking pinned memory") &&
                gpu_good(g, api->event_new(&g->out.event[0], NO_TIMING), "making an event") &&
                gpu_good(g, api->event_new(&g->out.event[1], NO_TIMING), "making an event");
    return good || fail(e, g->failed.status, "%s", g->failed.message);
}

void gpu_staging_free(struct gpu *g) {
    const struct gpu_api *api = g->api;
    pool_free(g->pool);
    g->pool = NULL;
    if (g->lost) return;
    for (int i = 0; i < 2; i++)
        if (g->out.event[i]) api->event_free(g->out.event[i]);
    if (g->out.at) api->host_free(g->out.at);
    if (g->in.at) api->host_free(g->in.at);
}

// A half is full: the other is used when the card has read what was there.
static bool turn(struct gpu *g) {
    struct gpu_sending *s = &g->out;
    if (!gpu_good(g, g->api->event_put(s->event[s->turn], g->stream), "copying to the card")) return false;
    s->turn ^= 1;
    s->used = 0;
    return gpu_wait(g, s->event[s->turn]);
}

uint8_t *gpu_stage(struct gpu *g, size_t bytes) {
    struct gpu_sending *s = &g->out;
    if (bytes > GPU_HALF || !gpu_flush(g) || !gpu_begin(g)) return NULL;
    if (bytes > GPU_HALF - s->used && !turn(g)) return NULL;
    return s->at + (size_t)s->turn * GPU_HALF + s->used;
}

void gpu_staged(struct gpu *g, const uint8_t *from, size_t bytes) {
    struct gpu_sending *s = &g->out;
    size_t end = (size_t)(from - s->at) - (size_t)s->turn * GPU_HALF + bytes;
    s->used = (end + ALIGN - 1) / ALIGN * ALIGN;
}

bool gpu_send(struct gpu *g, void *dst, const uint8_t *from, size_t bytes) {
    if (!gpu_good(g, g->api->write(dst, from, bytes, g->stream), "copying to the card")) return false;
    gpu_staged(g, from, bytes);
    return true;
}

void gpu_write(struct device *d, void *dst, const void *src, size_t bytes) {
    struct gpu *g = gpu_of(d);
    if (!bytes || !gpu_begin(g)) return;
    for (size_t done = 0, n; done < bytes; done += n) {
        size_t room = GPU_HALF - g->out.used, left = bytes - done;
        n = left <= room || !room ? left : room;
        if (n > GPU_HALF) n = GPU_HALF;
        uint8_t *at = gpu_stage(g, n);
        if (!at) return;
        copy_on_host(g, at, (const char *)src + done, n);
        if (!gpu_send(g, (char *)dst + done, at, n)) return;
    }
}

void gpu_deliver(struct gpu *g, bool keep) {
    struct gpu_receiving *r = &g->in;
    for (size_t i = 0; i < r->n && keep; i++) copy_on_host(g, r->list[i].to, r->at + r->list[i].at, r->list[i].bytes);
    r->n = r->used = 0;
}

// What came so far goes to its places, so that there is room for more.
static bool land(struct gpu *g) {
    bool good = gpu_good(g, g->api->event_put(g->mark, g->stream), "copying from the card") && gpu_wait(g, g->mark);
    gpu_deliver(g, good);
    return good;
}

void gpu_read(struct device *d, void *dst, const void *src, size_t bytes) {
    struct gpu *g = gpu_of(d);
    struct gpu_receiving *r = &g->in;
    if (!bytes || !gpu_flush(g) || !gpu_begin(g)) return;
    if (is_pinned(g, dst, bytes)) {
        gpu_good(g, g->api->read(dst, src, bytes, g->stream), "copying from the card");
        return;
    }
    for (size_t done = 0, n; done < bytes; done += n) {
        if ((r->used == GPU_BACK || r->n == GPU_LANDINGS) && !land(g)) return;
        n = bytes - done < GPU_BACK - r->used ? bytes - done : GPU_BACK - r->used;
        void *from = (char *)(uintptr_t)src + done;
        if (!gpu_good(g, g->api->read(r->at + r->used, from, n, g->stream), "copying from the card")) return;
        r->list[r->n++] = (struct gpu_landing){(char *)dst + done, r->used, n};
        r->used += (n + ALIGN - 1) / ALIGN * ALIGN;
    }
}

void gpu_copy(struct device *d, void *dst, const void *src, size_t bytes) {
    struct gpu *g = gpu_of(d);
    if (bytes && gpu_flush(g) && gpu_begin(g))
        gpu_good(g, g->api->copy(dst, src, bytes, g->stream), "copying on the card");
}
