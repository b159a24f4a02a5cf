// Stands between gyr and CUDA's driver, a real one or idle.c: counts the calls of each step and says when they came. A
// step ends when the card has answered; what is told of it begins where the one before it ended. At the end of the
// program, on stderr: medians of all steps that read something.
#include <dlfcn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { STEPS = 1 << 16 };

enum call { ENTER, SET, WRITE, LAUNCH, GRAPH, COPY, TAKE, READ, MARK, AWAIT, ASK, CALLS };
static const char *const names[CALLS] = {
    "choose the card", "set", "write", "launch", "launch a graph", "copy on card", "take from one", "read", "mark",
    "wait for one",    "ask"};

// Microseconds from the end of the step before: when a kind of call first began and last ended, and how long all took.
struct step {
    double first[CALLS], last[CALLS], inside[CALLS], end;
    unsigned n[CALLS];
};

static struct step steps[STEPS], now;
static size_t n_steps;
static double before;

static double clock_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

// The driver's own function: what this library is linked with, or whatever comes behind it.
static void *own(const char *name) {
    void *p = dlsym(RTLD_NEXT, name);
    if (p) return p;
    fprintf(stderr, "meter: the driver has no %s\n", name);
    exit(1);
}

static double begins(void) { return clock_us() - before; }

static int ends(enum call which, double began, int error) {
    double ended = clock_us() - before;
    if (!now.n[which]++) now.first[which] = began;
    now.last[which] = ended;
    now.inside[which] += ended - began;
    if (which != ASK || error) return error;
    now.end = ended;
    if (now.n[READ] && n_steps < STEPS) steps[n_steps++] = now;
    now = (struct step){0};
    before += ended;
    return error;
}

#define COUNTED(which, name, arguments, given)                                                                         \
    int name arguments {                                                                                               \
        static int(*real) arguments;                                                                                   \
        if (!real) {                                                                                                   \
            void *p = own(#name);                                                                                      \
            memcpy(&real, &p, sizeof real);                                                                            \
        }                                                                                                              \
        double began = begins();                                                                                       \
        return ends(which, began, real given);                                                                         \
    }

COUNTED(ENTER, cuCtxSetCurrent, (void *context), (context))
COUNTED(SET, cuMemsetD8Async, (void *p, unsigned char byte, size_t n, void *stream), (p, byte, n, stream))
COUNTED(WRITE, cuMemcpyHtoDAsync_v2, (void *to, const void *from, size_t n, void *stream), (to, from, n, stream))
COUNTED(READ, cuMemcpyDtoHAsync_v2, (void *to, const void *from, size_t n, void *stream), (to, from, n, stream))
COUNTED(COPY, cuMemcpyDtoDAsync_v2, (void *to, const void *from, size_t n, void *stream), (to, from, n, stream))
COUNTED(LAUNCH, cuLaunchKernel,
        (void *function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y,
         unsigned block_z, unsigned shared, void *stream, void **parameters, void **extra),
        (function, grid_x, grid_y, grid_z, block_x, block_y, block_z, shared, stream, parameters, extra))
COUNTED(LAUNCH, cuLaunchKernelEx, (const void *config, void *function, void **parameters, void **extra),
        (config, function, parameters, extra))
COUNTED(GRAPH, cuGraphLaunch, (void *exec, void *stream), (exec, stream))
COUNTED(TAKE, cuMemcpyPeerAsync, (void *to, void *to_card, const void *from, void *from_card, size_t n, void *stream),
        (to, to_card, from, from_card, n, stream))
COUNTED(AWAIT, cuStreamWaitEvent, (void *stream, void *event, unsigned flags), (stream, event, flags))
COUNTED(MARK, cuEventRecord, (void *event, void *stream), (event, stream))
COUNTED(ASK, cuEventQuery, (void *event), (event))

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

// Of a number that lies at `offset` in each step, of those that have any of the calls.
static double median(size_t offset, enum call which) {
    static double all[STEPS];
    size_t n = 0;
    for (size_t i = 0; i < n_steps; i++)
        if (steps[i].n[which]) all[n++] = *(const double *)(const void *)((const char *)&steps[i] + offset);
    qsort(all, n, sizeof *all, ascending);
    return n ? all[n / 2] : 0;
}

__attribute__((destructor)) static void tell(void) {
    if (!n_steps) return;
    fprintf(stderr, "%zu steps of %.1f us; in each, in us from the end of the one before (medians):\n", n_steps,
            median(offsetof(struct step, end), READ));
    fprintf(stderr, "%-16s %8s %10s %10s %10s\n", "", "calls", "first", "last ends", "inside");
    for (int c = 0; c < CALLS; c++) {
        double calls = 0;
        for (size_t i = 0; i < n_steps; i++) calls += steps[i].n[c];
        if (!calls) continue;
        size_t at = (size_t)c * sizeof(double);
        fprintf(stderr, "%-16s %8.2f %10.1f %10.1f %10.1f\n", names[c], calls / (double)n_steps,
                median(offsetof(struct step, first) + at, (enum call)c),
                median(offsetof(struct step, last) + at, (enum call)c),
                median(offsetof(struct step, inside) + at, (enum call)c));
    }
}
