#include "device/gpu/cards.h"

#include "base/library.h"
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

// What is known of chips. Of one that was tried all of `make test-gpu` gave the CPU's bytes. Others of its vendor run
// the same code, compiled for them, and are used too. Kernels that no chip of a vendor's has run are not for people who
// do not ask for them.
enum standing { STANDING_NONE, STANDING_ALIKE, STANDING_TRIED };

// Chips of CUDA by their number, "sm_90a" by 90. The first row that has it counts.
static const struct {
    int vendor;
    long from, to;
    enum standing standing;
} standings[] = {
    {GPU_CUDA, 90, 90, STANDING_TRIED}, // H200, 2026-11-27: docs/devices.md
    {GPU_CUDA, 80, 999, STANDING_ALIKE},
};

static enum standing standing_of(const struct gpu_vendor *v, const char *chip) {
    const char *digits = strchr(chip, '_');
    long number = digits ? strtol(digits + 1, NULL, 10) : 0;
    for (size_t i = 0; i < sizeof standings / sizeof *standings; i++)
        if (standings[i].vendor == v->id && number >= standings[i].from && number <= standings[i].to)
            return standings[i].standing;
    return STANDING_NONE;
}

static bool asked_for(void) {
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
    snprintf(f->bus, sizeof f->bus, "%s", chip.bus);
    f->memory = chip.memory;
    enum standing standing = standing_of(v, chip.name);
    f->untried = standing != STANDING_TRIED;
    if (!good)
        keep(f, e.message);
    else if (!gpu_compiles(api))
        keep(f, api->compiler.why);
    else if (!gpu_api_knows(api, chip.name))
        snprintf(f->why, sizeof f->why, "%s does not know its chip; install a newer one", f->compiler);
    else if (standing == STANDING_NONE && !asked_for())
        keep(f, "gyr's kernels have not been tried on a chip of its kind yet; GYR_GPU_UNTRIED=1 uses it all the same");
}

// ------------------------------------------------------------------------------- this process's

// A driver is started once in a process, and for all models: who asks first waits for it.
static struct gpu_api apis[GPU_VENDORS];
static bool on_bus[GPU_VENDORS];

static void load(size_t vendor) {
    gpu_api_load(&apis[vendor], &gpu_vendors[vendor], library_given());
    on_bus[vendor] = gpu_on_bus("/sys/bus/pci/devices", gpu_vendors[vendor].pci);
}

static void load_cuda(void) { load(GPU_CUDA); }
static void load_hip(void) { load(GPU_HIP); }

static const struct gpu_api *here(size_t vendor) {
    static pthread_once_t once[GPU_VENDORS] = {PTHREAD_ONCE_INIT, PTHREAD_ONCE_INIT};
    pthread_once(&once[vendor], vendor == GPU_CUDA ? load_cuda : load_hip);
    return &apis[vendor];
}

// Whether the card is one that gpu_open() is to try; what speaks against it later, that says.
static bool may_open(const struct gpu_api *api, size_t index) {
    struct gpu_chip chip;
    return api->driver.good && index < (size_t)api->cards && gpu_describe(api, (int)index, &chip, NULL) &&
           (standing_of(api->vendor, chip.name) != STANDING_NONE || asked_for());
}

static struct device *open_card(size_t vendor, size_t index, unsigned threads, gyr_error *e) {
    struct device_facts f;
    const struct gpu_api *api = here(vendor);
    if (index >= gpu_devices(api, on_bus[vendor]) && (index || api->driver.good))
        return fail_null(e, GYR_USAGE, "%s:%zu: no such card; there are %d", api->vendor->kind, index, api->cards);
    bool usable = may_open(api, index);
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
