#include "fakes.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const struct gpu_source good_files[] = {
    {"plain.cu", "#include \"words.h\"\nKERNEL(fill, fill_args) {}\n", "fill ", false},
    {"typed.cu", "#include \"words.h\"\n// TYPE_NAME\nKERNEL(twice, fill_args) {}\n", "twice ", true},
    {"words.h", "#define KERNEL(name, type) name\n", NULL, false},
};
const struct gpu_sources good_sources = {good_files, 3};

static const char *fakes(void) {
    const char *folder = getenv("GYR_FAKES");
    return folder ? folder : "build/tests/device/gpu";
}

void load_fakes(struct gpu_api *api, int vendor) { gpu_api_load(api, &gpu_vendors[vendor], fakes()); }

static void *symbol(int vendor, const char *name) {
    static const char *const files[GPU_VENDORS][2] = {{"libcuda.so.1", "libnvrtc.so.13"},
                                                      {"libamdhip64.so.7", "libhiprtc.so.7"}};
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", fakes(), files[vendor][!strcmp(name, "fake_compiles")]);
    void *library = dlopen(path, RTLD_NOW);
    return library ? dlsym(library, name) : NULL;
}

long fake_tells(int vendor, const char *what) {
    void *address = symbol(vendor, what);
    if (!address) return -1;
    if (!strcmp(what, "fake_compiles")) {
        int (*number)(void);
        memcpy(&number, &address, sizeof number);
        return number();
    }
    long (*number)(void);
    memcpy(&number, &address, sizeof number);
    return number();
}

void fake_start_again(int vendor) {
    void *address = symbol(vendor, "fake_reset");
    void (*reset)(void) = NULL;
    memcpy(&reset, &address, sizeof reset);
    if (reset) reset();
}

void fake_behave(void) {
    static const char *const names[] = {"VERSION", "COMPILER", "CARDS", "CHIP", "MEMORY", "DELAY", "HANG", "FAIL"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char name[64];
        snprintf(name, sizeof name, "GYR_FAKE_%s", names[i]);
        unsetenv(name);
    }
}

static char home[] = "/tmp/gyr-gpu-XXXXXX";
static int folders;

const char *new_folder(void) {
    static char path[4][128];
    char *p = path[folders % 4];
    snprintf(p, sizeof path[0], "%s/%d", home, folders++);
    if (mkdir(p, 0700)) return "/nowhere";
    return p;
}

void new_cache(void) { setenv("XDG_CACHE_HOME", new_folder(), 1); }

struct gpu *open_fake(struct gpu_api *api, int vendor, const struct gpu_sources *sources, gyr_error *e) {
    load_fakes(api, vendor);
    return gpu_open(api, 0, sources, e);
}

bool fakes_begin(void) {
    fake_behave();
    if (!mkdtemp(home)) return false;
    new_cache();
    return true;
}

int fakes_end(int status) {
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", home);
    return system(command) ? 1 : status;
}
