#include "device/gpu/cards.h"

#include "device/gpu/gpu.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PCI_DISPLAY = 0x03, PCI_ACCELERATOR = 0x12 };

static unsigned long number_in(const char *root, const char *device, const char *file) {
    char path[512], line[32] = "";
    snprintf(path, sizeof path, "%s/%s/%s", root, device, file);
    FILE *f = fopen(path, "re");
    if (f && !fgets(line, sizeof line, f)) *line = 0;
    if (f) fclose(f);
    return strtoul(line, NULL, 16);
}

bool gpu_on_bus(const char *root, unsigned vendor) {
    bool found = false;
    DIR *d = opendir(root);
    for (struct dirent *f; d && !found && (f = readdir(d));) {
        unsigned long class = number_in(root, f->d_name, "class") >> 16;
        found = (class == PCI_DISPLAY || class == PCI_ACCELERATOR) && number_in(root, f->d_name, "vendor") == vendor;
    }
    if (d) closedir(d);
    return found;
}

size_t gpu_devices(const struct gpu_api *api, bool on_bus) {
    if (api->driver.good && api->cards > 0) return (size_t)api->cards;
    return on_bus || (api->driver.there && !api->driver.good);
}

static void put_version(char out[24], const struct gpu_library *l, const char *title) {
    if (l->there && l->major) snprintf(out, 24, "%s %d.%d", title, l->major, l->minor);
}

// Kernels that no card has run are not for people who do not ask for them.
static bool may_open(void) {
    const char *untried = getenv("GYR_GPU_UNTRIED");
    return untried && !strcmp(untried, "1");
}

static void keep(struct device_facts *f, const char *why) { snprintf(f->why, sizeof f->why, "%.399s", why); }

void gpu_facts(const struct gpu_api *api, size_t index, struct device_facts *f) {
    const struct gpu_vendor *v = api->vendor;
    struct gpu_chip chip;
    gyr_error e = {0};
    *f = (struct device_facts){0};
    snprintf(f->name, sizeof f->name, "%s card", v->maker);
    put_version(f->driver, &api->driver, v->driver_title);
    put_version(f->compiler, &api->compiler, v->compiler_title);
    if (!api->driver.good) {
        keep(f, api->driver.why);
        return;
    }
    if (!api->cards) {
        snprintf(f->why, sizeof f->why, "the driver finds no card; check that this user may use it%s",
                 getenv("CUDA_VISIBLE_DEVICES") || getenv("HIP_VISIBLE_DEVICES") ? ", and *_VISIBLE_DEVICES" : "");
        return;
    }
    bool good = gpu_look(api, (int)index, &chip, &f->available, &e);
    if (*chip.card) snprintf(f->name, sizeof f->name, "%s", chip.card);
    snprintf(f->isa, sizeof f->isa, "%.*s", (int)strcspn(chip.name, ":"), chip.name);
    f->memory = chip.memory;
    if (!good)
        keep(f, e.message);
    else if (!gpu_compiles(api))
        keep(f, api->compiler.why);
    else if (!gpu_api_knows(api, chip.name))
        snprintf(f->why, sizeof f->why, "%s does not know its chip; install a newer one", f->compiler);
    else if (!may_open())
        keep(f,
             "gyr's kernels have not been tried on a card yet: models run on the CPU; GYR_GPU_UNTRIED=1 uses the card "
             "all the same");
}

// ------------------------------------------------------------------------------- this process's

// A driver is started once in a process, and for all models: who asks first waits for it.
static struct gpu_api apis[GPU_VENDORS];
static bool on_bus[GPU_VENDORS];

static void load(size_t vendor) {
    gpu_api_load(&apis[vendor], &gpu_vendors[vendor], getenv("GYR_GPU_LIBRARIES"));
    on_bus[vendor] = gpu_on_bus("/sys/bus/pci/devices", gpu_vendors[vendor].pci);
}

static void load_cuda(void) { load(GPU_CUDA); }
static void load_hip(void) { load(GPU_HIP); }

static const struct gpu_api *here(size_t vendor) {
    static pthread_once_t once[GPU_VENDORS] = {PTHREAD_ONCE_INIT, PTHREAD_ONCE_INIT};
    pthread_once(&once[vendor], vendor == GPU_CUDA ? load_cuda : load_hip);
    return &apis[vendor];
}

static struct device *open_card(size_t vendor, size_t index, unsigned threads, gyr_error *e) {
    struct device_facts f;
    const struct gpu_api *api = here(vendor);
    if (index >= gpu_devices(api, on_bus[vendor]) && (index || api->driver.good))
        return fail_null(e, GYR_USAGE, "%s:%zu: no such card; there are %d", api->vendor->kind, index, api->cards);
    bool usable = may_open() && api->driver.good && index < (size_t)api->cards;
    struct gpu *g = usable ? gpu_open(api, (int)index, &gpu_sources, e) : NULL;
    if (g) g->threads = threads;
    if (usable) return g ? &g->device : NULL;
    gpu_facts(api, index, &f);
    return fail_null(e, GYR_UNSUPPORTED, "%s:%zu: %s", api->vendor->kind, index, f.why);
}

#define KIND(vendor, lower)                                                                                            \
    static size_t count_##lower(void) { return gpu_devices(here(vendor), on_bus[vendor]); }                            \
    static struct device *open_##lower(size_t index, unsigned threads, gyr_error *e) {                                 \
        return open_card(vendor, index, threads, e);                                                                   \
    }                                                                                                                  \
    static void look_##lower(size_t index, struct device_facts *f) { gpu_facts(here(vendor), index, f); }              \
    const struct device_kind gpu_##lower = {#lower, count_##lower, open_##lower, look_##lower};

KIND(GPU_CUDA, cuda)
KIND(GPU_HIP, hip)
