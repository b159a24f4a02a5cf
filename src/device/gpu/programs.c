// A card's programs. Each is compiled in a thread of its own, a few at a time, and loaded when somebody waits for it;
// kernels are found by their names.
#include "base/buf.h"
#include "base/threads.h"
#include "device/gpu/compile.h"
#include "device/gpu/gpu.h"
#include "device/gpu/record.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KERNEL_NAME = 80, PLACES = 256, PLAIN_SHARED = 48 << 10, MAX_SHARED_ATTRIBUTE = 8 };

struct unit {
    struct gpu_unit what;
    struct gpu_programs *all;
    pthread_t thread;
    bool threaded, compiled, good;
    struct gpu_image image;
    gyr_error error;
    void *module; // NULL: not loaded
};

// They stay in place: launches on their way know them by their names.
struct kernel {
    char name[KERNEL_NAME];
    void *function;
    unsigned shared; // that it may have
};

struct gpu_programs {
    const struct gpu_api *api;
    const struct gpu_sources *sources;
    sem_t slots; // compilers that may run at a time
    struct unit **unit;
    size_t n, room, settled; // the first `settled` were waited for
    struct kernel **kernel;  // by name
    size_t kernels, kernel_room;
    struct kernel *found[PLACES]; // by a number made of the name: those that were looked for last
    size_t compiled, kept;
};

// ------------------------------------------------------------------------------- compiling

static void *make(void *arg) {
    struct unit *u = arg;
    while (sem_wait(&u->all->slots)) {} // interrupted
    u->good = gpu_image_of(u->all->api, &u->what, &u->image, &u->compiled, &u->error);
    sem_post(&u->all->slots);
    return NULL;
}

// Signals are for the program's own threads.
static void begin(struct unit *u) {
    sigset_t none, before;
    sigfillset(&none);
    pthread_sigmask(SIG_SETMASK, &none, &before);
    u->threaded = !pthread_create(&u->thread, NULL, make, u);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!u->threaded) make(u);
}

static bool want(struct gpu *g, const struct gpu_source *source, int type, gyr_error *e) {
    struct gpu_programs *p = g->programs;
    for (size_t i = 0; i < p->n; i++)
        if (p->unit[i]->what.source == source && p->unit[i]->what.type == type) return true;
    struct unit *u = ARRAY_GROW(p->unit, p->n, p->room) ? calloc(1, sizeof *u) : NULL;
    if (!u) return fail_memory(e, g->name);
    *u = (struct unit){.what = {p->sources, source, type, g->chip.name, g->chip.warp}, .all = p};
    p->unit[p->n++] = u;
    begin(u);
    return true;
}

bool gpu_want(struct gpu *g, enum type type, gyr_error *e) {
    const struct gpu_sources *s = g->programs->sources;
    for (size_t i = 0; i < s->n; i++)
        if (s->file[i].typed && s->file[i].kernels && !want(g, &s->file[i], (int)type, e)) return false;
    return true;
}

bool gpu_programs_new(struct gpu *g, const struct gpu_sources *sources, gyr_error *e) {
    struct gpu_programs *p = calloc(1, sizeof *p);
    if (!p || sem_init(&p->slots, 0, cpu_count())) {
        free(p);
        return fail_memory(e, g->name);
    }
    p->api = g->api;
    p->sources = sources;
    g->programs = p;
    for (size_t i = 0; i < sources->n; i++)
        if (!sources->file[i].typed && sources->file[i].kernels && !want(g, &sources->file[i], -1, e)) return false;
    return true;
}

// ------------------------------------------------------------------------------- loading

static int by_name(const void *a, const void *b) {
    return strcmp((*(struct kernel *const *)a)->name, (*(struct kernel *const *)b)->name);
}

static bool add_kernel(struct gpu *g, const struct unit *u, const char *name, size_t n) {
    struct gpu_programs *p = g->programs;
    struct kernel *k = ARRAY_GROW(p->kernel, p->kernels, p->kernel_room) ? calloc(1, sizeof *k) : NULL;
    const char *type = u->what.type < 0 ? "" : type_info((uint32_t)u->what.type)->name;
    if (!k) return gpu_fails(g, GYR_NO_MEMORY, "out of memory for the names of kernels; close other programs");
    p->kernel[p->kernels++] = k;
    k->shared = PLAIN_SHARED;
    snprintf(k->name, sizeof k->name, "%.*s%s%s", (int)n, name, *type ? "_" : "", type);
    if (gpu_good(g, g->api->function(&k->function, u->module, k->name), "looking for a kernel")) return true;
    p->kernels--;
    free(k);
    return false;
}

static bool load_image(struct gpu *g, struct unit *u) {
    if (!gpu_good(g, g->api->module_load(&u->module, u->image.data), "loading a program")) return false;
    for (const char *at = u->what.source->kernels; *at; at += strcspn(at, " ") + 1)
        if (!add_kernel(g, u, at, strcspn(at, " "))) return false;
    return true;
}

// What fails once fails each time.
static bool load(struct gpu *g, struct unit *u) {
    if (u->good && !load_image(g, u)) {
        u->good = false;
        u->error = g->failed;
    }
    free(u->image.data);
    u->image = (struct gpu_image){0};
    if (!u->good) g->failed = u->error;
    return u->good;
}

static void wait_for(struct gpu_programs *p, struct unit *u) {
    if (!u->threaded) return;
    pthread_join(u->thread, NULL);
    u->threaded = false;
    if (!u->good) return;
    p->compiled += u->compiled;
    p->kept += !u->compiled;
}

// A program that failed is not passed: it says so each time.
bool gpu_programs_settle(struct gpu *g) {
    struct gpu_programs *p = g->programs;
    if (p->settled == p->n) return true;
    for (size_t i = p->settled; i < p->n; i++) wait_for(p, p->unit[i]);
    for (; p->settled < p->n; p->settled++)
        if (!gpu_begin(g) || !load(g, p->unit[p->settled])) return false;
    qsort(p->kernel, p->kernels, sizeof *p->kernel, by_name);
    return true;
}

void gpu_programs_count(const struct gpu *g, size_t *compiled, size_t *kept) {
    *compiled = g->programs->compiled;
    *kept = g->programs->kept;
}

void gpu_programs_free(struct gpu *g) {
    struct gpu_programs *p = g->programs;
    if (!p) return;
    for (size_t i = 0; i < p->n; i++) {
        wait_for(p, p->unit[i]);
        if (p->unit[i]->module && !g->lost) g->api->module_free(p->unit[i]->module);
        free(p->unit[i]->image.data);
        free(p->unit[i]);
    }
    for (size_t i = 0; i < p->kernels; i++) free(p->kernel[i]);
    sem_destroy(&p->slots);
    free(p->unit);
    free(p->kernel);
    free(p);
    g->programs = NULL;
}

// ------------------------------------------------------------------------------- launching

static struct kernel **place_of(struct gpu_programs *p, const char *name) {
    unsigned h = 0;
    for (const char *at = name; *at; at++) h = h * 31 + (unsigned char)*at;
    return &p->found[h % PLACES];
}

static struct kernel *look(struct gpu *g, const char *name) {
    struct gpu_programs *p = g->programs;
    struct kernel key, *wanted = &key;
    snprintf(key.name, sizeof key.name, "%s", name);
    struct kernel **k = p->kernels ? bsearch(&wanted, p->kernel, p->kernels, sizeof wanted, by_name) : NULL;
    return k ? *k : NULL;
}

static struct kernel *known(struct gpu *g, const char *name) {
    struct kernel **place = place_of(g->programs, name);
    if (!*place || strcmp((*place)->name, name) != 0) *place = look(g, name);
    return *place;
}

bool gpu_has(struct gpu *g, const char *name) { return g->programs->settled == g->programs->n && known(g, name); }

static struct kernel *find(struct gpu *g, const char *name) {
    struct kernel *k = gpu_programs_settle(g) ? known(g, name) : NULL;
    if (!k) gpu_fails(g, GYR_UNSUPPORTED, "there is no kernel %s", name);
    return k;
}

// More shared memory than a block has by itself has to be asked for.
static bool allow_shared(struct gpu *g, struct kernel *k, unsigned shared) {
    if (shared > (unsigned)g->chip.shared)
        return gpu_fails(g, GYR_UNSUPPORTED, "%s: %u bytes of shared memory are more than the %d of a block", k->name,
                         shared, g->chip.shared);
    if (shared <= k->shared || !g->api->function_set) return true;
    int error = gpu_begin(g) ? g->api->function_set(k->function, MAX_SHARED_ATTRIBUTE, (int)shared) : 0;
    if (!error) k->shared = shared;
    return gpu_good(g, error, "asking for shared memory");
}

static bool launch_it(struct gpu *g, const struct launch *l) {
    struct kernel *k = gpu_may(g) ? find(g, l->kernel) : NULL;
    return k && allow_shared(g, k, l->shared) && gpu_record(g, k->function, k->name, l);
}

bool gpu_launch(struct gpu *g, const struct launch *launch, gyr_error *e) {
    return launch_it(g, launch) || fail(e, g->failed.status, "%s", g->failed.message);
}
