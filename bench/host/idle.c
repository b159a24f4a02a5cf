// A driver whose card computes nothing, in no time: what a step takes with it is the host's (bench/host/measure). It
// has the facts of an H200. Scores are those that the memory begins with, zeros. With IDLE_BUSY=N a step is there N
// microseconds after it was asked for; with IDLE_CARDS=N there are N cards.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { NOT_THERE = 101, REFUSED = 1, NOT_READY = 600 };

// Handles are never looked at, by gyr neither.
static char thing;

static int give(void **handle) {
    *handle = &thing;
    return 0;
}

static int take(void **p, size_t bytes) {
    *p = calloc(1, bytes + 64);
    return *p ? 0 : 2;
}

int cuInit(unsigned flags) { return flags ? REFUSED : 0; }
int cuDriverGetVersion(int *version) { return *version = 13000, 0; }

static int cards(void) {
    const char *n = getenv("IDLE_CARDS");
    return n ? (int)strtol(n, NULL, 10) : 1;
}

int cuDeviceGetCount(int *n) { return *n = cards(), 0; }
int cuDeviceGet(int *device, int index) { return *device = index, index < cards() ? 0 : NOT_THERE; }
int cuDeviceTotalMem_v2(size_t *bytes, int device) { return *bytes = (size_t)150 << 30, 0; }
int cuDevicePrimaryCtxRetain(void **context, int device) { return give(context); }
int cuDevicePrimaryCtxRelease_v2(int device) { return 0; }
int cuCtxSetCurrent(void *context) { return 0; }
int cuMemGetInfo_v2(size_t *left, size_t *total) { return *left = *total = (size_t)150 << 30, 0; }

int cuDeviceGetName(char *name, int size, int device) {
    snprintf(name, (size_t)size, "idle");
    return 0;
}

int cuDeviceGetAttribute(int *value, int which, int device) {
    static const int known[][2] = {{1, 1024}, {10, 32}, {16, 132}, {75, 9}, {76, 0}, {97, 227 << 10}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i][0] == which) return *value = known[i][1], 0;
    return REFUSED;
}

int cuMemAlloc_v2(void **p, size_t bytes) { return take(p, bytes); }
int cuMemFree_v2(void *p) { return free(p), 0; }
int cuMemHostAlloc(void **p, size_t bytes, unsigned flags) { return take(p, bytes); }
int cuMemFreeHost(void *p) { return free(p), 0; }
int cuMemsetD8Async(void *p, unsigned char byte, size_t n, void *stream) { return 0; }
int cuMemcpyHtoDAsync_v2(void *to, const void *from, size_t n, void *stream) { return 0; }
int cuMemcpyDtoHAsync_v2(void *to, const void *from, size_t n, void *stream) { return 0; }
int cuMemcpyDtoDAsync_v2(void *to, const void *from, size_t n, void *stream) { return 0; }
int cuMemcpyPeerAsync(void *to, void *to_card, const void *from, void *from_card, size_t n, void *stream) { return 0; }
int cuDeviceCanAccessPeer(int *can, int device, int peer) { return *can = 1, 0; }
int cuCtxEnablePeerAccess(void *peer, unsigned flags) { return 0; }
int cuStreamWaitEvent(void *stream, void *event, unsigned flags) { return 0; }
int cuStreamCreate(void **stream, unsigned flags) { return give(stream); }
int cuStreamDestroy_v2(void *stream) { return 0; }
int cuEventCreate(void **event, unsigned flags) { return give(event); }
int cuEventDestroy_v2(void *event) { return 0; }

static double now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static double there;

int cuEventRecord(void *event, void *stream) {
    const char *busy = getenv("IDLE_BUSY");
    there = busy ? now_us() + strtod(busy, NULL) : 0;
    return 0;
}

int cuEventQuery(void *event) { return there > 0 && now_us() < there ? NOT_READY : 0; }

int cuModuleLoadData(void **module, const void *image) { return give(module); }
int cuModuleUnload(void *module) { return 0; }
int cuModuleGetFunction(void **function, void *module, const char *name) { return give(function); }
int cuFuncSetAttribute(void *function, int which, int value) { return 0; }

int cuLaunchKernel(void *function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                   unsigned block_y, unsigned block_z, unsigned shared, void *stream, void **parameters, void **extra) {
    return 0;
}

int cuLaunchKernelEx(const void *config, void *function, void **parameters, void **extra) { return 0; }
int cuStreamBeginCapture_v2(void *stream, int mode) { return 0; }
int cuStreamEndCapture(void *stream, void **graph) { return give(graph); }
int cuGraphInstantiateWithFlags(void **exec, void *graph, unsigned long long flags) { return give(exec); }
int cuGraphLaunch(void *exec, void *stream) { return 0; }
int cuGraphDestroy(void *graph) { return 0; }
int cuGraphExecDestroy(void *exec) { return 0; }
