// Cards of one driver that take from each other's memory: each waits for what the other has offered, on the cards, and
// copies it. Where the machine lets them, the copy goes over their own link or bus; where not, by way of the host's
// memory, which is the driver's to do, in the order of the stream all the same (CUDA C++ programming guide,
// "peer-to-peer memory copy").
#include "device/gpu/gpu.h"
#include "device/gpu/record.h"
#include "device/gpu/work.h"

enum { NO_TIMING = 2 };

// A card, as its driver's functions of peers know it.
static void *handle(const struct gpu *g) {
    return g->api->vendor->id == GPU_HIP ? (void *)(intptr_t)g->number : g->context;
}

// What the driver says against a link of their own is no failure: the copies are slower then.
static void open_link(struct gpu *g, const struct gpu *from) {
    int can = 0;
    if (!g->api->peer_can || !g->api->peer_open || g->api->peer_can(&can, g->number, from->number) || !can) return;
    g->api->peer_open(handle(from), 0); // which may be open already
}

// Cards of one driver have one table.
bool gpu_reaches(struct device *d, struct device *from) {
    struct gpu *g = gpu_of(d);
    if (d->ops != from->ops || !g->api->peer_copy || !g->api->stream_wait || !gpu_begin(g)) return false;
    open_link(g, gpu_of(from));
    return gpu_may(g) && (g->offered || gpu_good(g, g->api->event_new(&g->offered, NO_TIMING), "making an event"));
}

void gpu_offer(struct device *d) {
    struct gpu *g = gpu_of(d);
    if (gpu_flush(g) && gpu_begin(g)) gpu_good(g, g->api->event_put(g->offered, g->stream), "offering to other cards");
}

void gpu_await(struct device *d, struct device *from) {
    struct gpu *g = gpu_of(d);
    if (gpu_flush(g) && gpu_begin(g))
        gpu_good(g, g->api->stream_wait(g->stream, gpu_of(from)->offered, 0), "waiting for another card");
}

void gpu_take(struct device *d, void *dst, struct device *from, const void *src, size_t bytes) {
    struct gpu *g = gpu_of(d);
    work_wrote(g, dst, bytes);
    if (!bytes || !gpu_flush(g) || !gpu_begin(g)) return;
    int error = g->api->peer_copy(dst, handle(g), src, handle(gpu_of(from)), bytes, g->stream);
    gpu_good(g, error, "copying from another card");
}
