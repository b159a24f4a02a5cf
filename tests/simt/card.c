#include "card.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/gpu/record.h"
#include "device/gpu/work.h"
#include "simt.h"

static size_t launches;

size_t card_launches(void) {
    size_t n = launches;
    launches = 0;
    return n;
}

enum { MOST_ARGS = 4096 };
static struct {
    simt_kernel *kernel;
    bool delayed;
    struct launch launch;
    _Alignas(16) uint8_t args[MOST_ARGS];
} waiting;

static void launch_waiting(void) {
    simt_kernel *kernel = waiting.kernel;
    waiting.kernel = NULL;
    if (kernel) kernel(waiting.launch.grid, waiting.launch.block, waiting.launch.shared, waiting.args);
}

uint8_t *gpu_record_last(struct gpu *g) { return waiting.kernel ? waiting.args : NULL; }

bool gpu_launch(struct gpu *g, const struct launch *l, gyr_error *e) {
    simt_kernel *kernel = simt_find(l->kernel);
    launch_waiting();
    if (g->failed.status) return false;
    if (!kernel || l->size > MOST_ARGS) {
        fprintf(stderr, "no kernel %s, or too many arguments\n", l->kernel);
        abort();
    }
    waiting.kernel = kernel;
    waiting.launch = *l;
    memcpy(waiting.args, l->args, l->size);
    launches++;
    if (!waiting.delayed) launch_waiting();
    return true;
}

void card_delay(bool delayed) {
    launch_waiting();
    waiting.delayed = delayed;
}

bool gpu_fails(struct gpu *g, enum gyr_status status, const char *format, ...) {
    va_list list;
    if (g->failed.status) return false;
    va_start(list, format);
    g->failed.status = status;
    vsnprintf(g->failed.message, sizeof g->failed.message, format, list);
    va_end(list);
    return false;
}

bool gpu_want(struct gpu *g, enum type type, gyr_error *e) { return true; }

bool gpu_sync(struct device *d, gyr_error *e) {
    struct gpu *g = gpu_of(d);
    launch_waiting();
    bool good = !g->failed.status;
    if (!good && e) *e = g->failed;
    g->failed.status = GYR_OK;
    return good;
}

void *gpu_alloc(struct device *d, size_t bytes, gyr_error *e) {
    void *p = NULL;
    if (bytes > SIZE_MAX / 2 || posix_memalign(&p, 256, bytes + !bytes))
        return fail_null(e, GYR_NO_MEMORY, "no memory for %zu bytes", bytes);
    memset(p, 0, bytes);
    return p;
}

void gpu_free(struct device *d, void *p) {
    launch_waiting();
    free(p);
}
void gpu_write(struct device *d, void *dst, const void *src, size_t bytes) {
    launch_waiting();
    memcpy(dst, src, bytes);
}
void gpu_read(struct device *d, void *dst, const void *src, size_t bytes) {
    launch_waiting();
    memcpy(dst, src, bytes);
}
void gpu_copy(struct device *d, void *dst, const void *src, size_t bytes) {
    launch_waiting();
    memmove(dst, src, bytes);
}

uint8_t *gpu_stage(struct gpu *g, size_t bytes) {
    if (!g->out.at) g->out.at = malloc(GPU_HALF);
    return g->out.at;
}

// Nothing is fetched by a kernel: what is staged may be overwritten before a delayed launch.
void gpu_staged(struct gpu *g, const uint8_t *from, size_t bytes) {}
bool gpu_has(struct gpu *g, const char *kernel) { return false; }

bool gpu_send(struct gpu *g, void *dst, const uint8_t *from, size_t bytes) {
    launch_waiting();
    memcpy(dst, from, bytes);
    return true;
}

void gpu_share(struct gpu *g, size_t n, void (*fn)(void *arg, size_t i), void *arg) {
    for (size_t i = 0; i < n; i++) fn(arg, i);
}

void gpu_room(struct device *d, uint64_t *total, uint64_t *available) {
    *total = memory_total();
    *available = memory_available();
}

static struct device_ops ops = {
    .kind = "simt",
    .sync = gpu_sync,
    .room = gpu_room,
    .alloc = gpu_alloc,
    .free = gpu_free,
    .write = gpu_write,
    .read = gpu_read,
    .copy = gpu_copy,
};

static void close_card(struct device *d) {
    gpu_work_free(gpu_of(d));
    free(gpu_of(d)->out.at);
    free(d);
}

struct device *card_open(void) {
    struct gpu *g = calloc(1, sizeof *g);
    if (!g) return NULL;
    ops.close = close_card;
    gpu_operations(&ops);
    g->device.ops = &ops;
    g->chip.warp = (int)simt_warp;
    g->chip.tensor = !simt_waves;
    g->chip.waves = simt_waves;
    g->chip.processors = 7;
    g->chip.copies = simt_warp == 32;
    g->chip.shared = 100 << 10;
    snprintf(g->name, sizeof g->name, "simt");
    return &g->device;
}

static size_t one(void) { return 1; }

static struct device *open_simt(size_t index, unsigned threads, gyr_error *e) {
    struct device *d = card_open();
    return d ? d : (fail_memory(e, "simt"), NULL);
}

__attribute__((constructor)) static void register_card(void) {
    static const struct device_kind kind = {"simt", one, open_simt};
    const char *warp = getenv("SIMT_WARP"), *waves = getenv("SIMT_WAVES");
    if (warp && !strcmp(warp, "64")) simt_warp = 64;
    if (waves) simt_waves = (unsigned)strtoul(waves, NULL, 10);
    device_register(&kind);
}
