#include "device/gpu/gpu.h"

#include "base/clock.h"
#include "device/gpu/failure.h"
#include "device/gpu/record.h"
#include "device/gpu/work.h"

#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// A step takes milliseconds, a batch of a large model's prompt seconds.
enum { PATIENCE = 120 };

enum { NON_BLOCKING = 1, NO_TIMING = 2, PROPERTIES = 16 << 10 };

// ------------------------------------------------------------------------------- failure

bool gpu_fails(struct gpu *g, enum gyr_status status, const char *format, ...) {
    char text[400];
    va_list args;
    if (g->failed.status) return false;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return fail(&g->failed, status, "%s: %s", g->name, text);
}

static const char *explain(const struct gpu_api *api, int error) {
    const char *text = NULL;
    if (!api->describe || api->describe(error, &text) || !text) return "the driver does not explain it";
    return text;
}

bool gpu_good(struct gpu *g, int error, const char *doing) {
    if (!error) return true;
    const struct gpu_failure *f = gpu_failure(error);
    gpu_fails(g, f->status, "%s failed: error %d, %s; %s", doing, error, explain(g->api, error), f->advice);
    g->lost |= f->lost;
    return false;
}

bool gpu_begin(struct gpu *g) {
    if (!gpu_may(g)) return false;
    return gpu_good(g, g->api->enter ? g->api->enter(g->context) : g->api->choose(g->number), "choosing the card");
}

// ------------------------------------------------------------------------------- waiting

// A step's end is waited for without sleeping, since the next one begins a few microseconds later, and a sleep of 50
// microseconds takes twice as long. What takes longer does not keep a CPU busy, but around the time that the last step
// took: those of an answer take about equally long.
static void rest(double waited, double last) {
    double off = waited > last ? waited - last : last - waited;
    if (waited < 0.002 || off < 0.0005 + last / 16)
        sched_yield();
    else
        nanosleep(&(struct timespec){0, waited < 0.1 ? 50000 : 1000000}, NULL);
}

static bool wait_like(struct gpu *g, void *event, double *last) {
    double begun = now_seconds(), waited = 0;
    int error;
    while ((error = g->api->event_query(event)) == GPU_NOT_READY) {
        if ((waited = now_seconds() - begun) > g->patience) {
            g->lost = true;
            return gpu_fails(g, GYR_DEVICE, "no answer in %.0f seconds; end this program, and look at the system's log",
                             g->patience);
        }
        rest(waited, *last);
    }
    *last = waited;
    return gpu_good(g, error, "computing");
}

bool gpu_wait(struct gpu *g, void *event) {
    double last = 0;
    return wait_like(g, event, &last);
}

static bool wait_for_all(struct gpu *g) {
    return gpu_good(g, g->api->event_put(g->mark, g->stream), "computing") && wait_like(g, g->mark, &g->waited);
}

// What was asked for before a failure may still run: it is waited for, so that nobody's memory changes later.
static void let_run_out(struct gpu *g) {
    gyr_error first = g->failed;
    g->failed = (gyr_error){0};
    if (gpu_begin(g)) wait_for_all(g);
    g->failed = first;
}

bool gpu_sync(struct device *d, gyr_error *e) {
    struct gpu *g = gpu_of(d);
    bool settled = gpu_programs_settle(g),
         good = gpu_flush(g) && settled && gpu_begin(g) && wait_for_all(g) && gpu_link_good(g);
    if (!good && !g->lost) let_run_out(g);
    gpu_record_step(g);
    gpu_deliver(g, good);
    if (good) {
        g->out.used = 0;
        gpu_record_settled(g);
        return true;
    }
    fail(e, g->failed.status, "%s", g->failed.message);
    if (!g->lost) g->failed = (gyr_error){0};
    return false;
}

// ------------------------------------------------------------------------------- a card's facts

// AMD's chips whose matrix instructions kernels/chip.h has.
static bool is_tensor_chip(const char *name) {
    static const char *const names[] = {"gfx908", "gfx90a", "gfx940", "gfx941", "gfx942"};
    size_t n = strcspn(name, ":");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i]) == n && !strncmp(names[i], name, n)) return true;
    return false;
}

// And those of RDNA 3 and 4.
static bool is_wave_chip(const char *name) { return !strncmp(name, "gfx11", 5) || !strncmp(name, "gfx120", 6); }

static bool name_chip(const struct gpu_api *api, int device, struct gpu_chip *chip, int *error) {
    const struct gpu_vendor *v = api->vendor;
    if (!v->chip_at) {
        int major = 0, minor = 0;
        if ((*error = api->attribute(&major, v->major, device))) return false;
        if ((*error = api->attribute(&minor, v->minor, device))) return false;
        chip->tensor = chip->copies = major >= 8;
        chip->early = major >= 9 && api->launch_more;
        // From 9.0 on there are instructions that only programs for that very chip may use.
        snprintf(chip->name, sizeof chip->name, "sm_%d%d%s", major, minor, major >= 9 ? "a" : "");
        return true;
    }
    char *properties = calloc(1, PROPERTIES);
    *error = properties ? api->properties(properties, device) : GPU_NO_MEMORY;
    if (!*error) snprintf(chip->name, sizeof chip->name, "%.63s", properties + v->chip_at);
    free(properties);
    chip->tensor = !*error && is_tensor_chip(chip->name);
    chip->waves = !*error && is_wave_chip(chip->name);
    return !*error;
}

static bool read_facts(const struct gpu_api *api, int device, struct gpu_chip *chip, int *error) {
    const struct gpu_vendor *v = api->vendor;
    size_t total = 0;
    *error = api->name(chip->card, sizeof chip->card, device);
    if (!*error) *error = api->total(&total, device);
    if (!*error) *error = api->attribute(&chip->warp, v->warp, device);
    if (!*error) *error = api->attribute(&chip->processors, v->processors, device);
    if (!*error) *error = api->attribute(&chip->shared, v->shared, device);
    if (!*error) *error = api->attribute(&chip->threads, v->threads, device);
    chip->memory = total;
    if (api->bus && api->bus(chip->bus, sizeof chip->bus, device)) *chip->bus = 0;
    return !*error && name_chip(api, device, chip, error);
}

static bool says_no(const struct gpu_api *api, int index, int error, const char *doing, gyr_error *e) {
    const struct gpu_failure *f = gpu_failure(error);
    return fail(e, f->status, "%s:%d: %s failed: error %d, %s; %s", api->vendor->kind, index, doing, error,
                explain(api, error), f->advice);
}

bool gpu_describe(const struct gpu_api *api, int index, struct gpu_chip *chip, gyr_error *e) {
    int device, error = api->device(&device, index);
    *chip = (struct gpu_chip){0};
    if (!error && read_facts(api, device, chip, &error)) return true;
    return says_no(api, index, error, "looking at the card", e);
}

bool gpu_look(const struct gpu_api *api, int index, struct gpu_chip *chip, uint64_t *available, gyr_error *e) {
    void *context = NULL;
    size_t left = 0, total = 0;
    int device, error;
    *available = 0;
    if (!gpu_describe(api, index, chip, e)) return false;
    if ((error = api->device(&device, index))) return says_no(api, index, error, "looking at the card", e);
    error = api->retain ? api->retain(&context, device) : api->choose(device);
    if (error) return says_no(api, index, error, "opening the card", e);
    if (api->enter) error = api->enter(context);
    if (!error) error = api->room(&left, &total);
    if (api->enter) api->enter(NULL);
    if (context) api->release(device);
    if (error) return says_no(api, index, error, "looking at the card's memory", e);
    *available = left;
    return true;
}

// ------------------------------------------------------------------------------- opening and closing

static const struct device_ops common = {
    .close = gpu_close,
    .sync = gpu_sync,
    .room = gpu_room,
    .alloc = gpu_alloc,
    .free = gpu_free,
    .host_alloc = gpu_host_alloc,
    .host_free = gpu_host_free,
    .write = gpu_write,
    .read = gpu_read,
    .copy = gpu_copy,
    .reaches = gpu_reaches,
    .offer = gpu_offer,
    .await = gpu_await,
    .take = gpu_take,
    .linkable = gpu_linkable,
    .ticket = gpu_ticket,
    .link = gpu_link,
    .gather = gpu_gather,
    .unlink = gpu_unlink,
};

// A table for each vendor: the kind is a part of it.
static struct device_ops tables[GPU_VENDORS];

static void make_tables(void) {
    for (int i = 0; i < GPU_VENDORS; i++) {
        tables[i] = common;
        tables[i].kind = gpu_vendors[i].kind;
        gpu_operations(&tables[i]);
    }
}

static const struct device_ops *table_of(const struct gpu_vendor *vendor) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_tables);
    return &tables[vendor->id];
}

static bool check(const struct gpu_api *api, int index, gyr_error *e) {
    const struct gpu_library *bad = !api->driver.good ? &api->driver : !gpu_compiles(api) ? &api->compiler : NULL;
    if (index < 0 || (!bad && index >= api->cards))
        return fail(e, GYR_USAGE, "%s:%d: no such card; there are %d", api->vendor->kind, index, api->cards);
    return !bad || fail(e, GYR_UNSUPPORTED, "%s: %s", api->vendor->kind, bad->why);
}

static bool set_up(struct gpu *g, int index, const struct gpu_sources *sources, gyr_error *e) {
    const struct gpu_api *api = g->api;
    int error = api->device(&g->number, index);
    if (!error) read_facts(api, g->number, &g->chip, &error);
    if (error) return says_no(api, index, error, "looking at the card", e);
    snprintf(g->name, sizeof g->name, "%s:%d (%s)", api->vendor->kind, index, g->chip.card);
    if (!gpu_api_knows(api, g->chip.name))
        return fail(e, GYR_UNSUPPORTED, "%s: %s %d.%d does not know its chip, %s; install a newer one", g->name,
                    api->vendor->compiler_title, api->compiler.major, api->compiler.minor, g->chip.name);
    if (api->retain && (error = api->retain(&g->context, g->number)))
        return says_no(api, index, error, "opening the card", e);
    bool good = gpu_begin(g) && gpu_good(g, api->stream_new(&g->stream, NON_BLOCKING), "making a stream") &&
                gpu_good(g, api->event_new(&g->mark, NO_TIMING), "making an event");
    if (!good) return fail(e, g->failed.status, "%s", g->failed.message);
    return gpu_staging_new(g, e) && gpu_record_new(g, e) && gpu_programs_new(g, sources, e);
}

struct gpu *gpu_open(const struct gpu_api *api, int index, const struct gpu_sources *sources, gyr_error *e) {
    if (!check(api, index, e)) return NULL;
    struct gpu *g = calloc(1, sizeof *g);
    if (!g) return fail_memory(e, api->vendor->kind), NULL;
    g->device.ops = table_of(api->vendor);
    g->api = api;
    g->patience = PATIENCE;
    if (set_up(g, index, sources, e)) return g;
    gpu_close(&g->device);
    return NULL;
}

// Of a card that is lost nothing is given back: the driver would wait for it. The system does that when the process
// ends.
void gpu_close(struct device *d) {
    struct gpu *g = gpu_of(d);
    const struct gpu_api *api = g->api;
    if (!g->lost && g->mark) let_run_out(g);
    g->failed = (gyr_error){0};
    gpu_unlink(d, false);
    bool there = g->context || !api->retain ? gpu_begin(g) : false;
    gpu_work_free(g);
    gpu_record_free(g);
    gpu_programs_free(g);
    gpu_staging_free(g);
    if (there && g->mark) api->event_free(g->mark);
    if (there && g->offered) api->event_free(g->offered);
    if (there && g->stream) api->stream_free(g->stream);
    if (there && api->enter) api->enter(NULL);
    if (there && g->context) api->release(g->number);
    free(g);
}
