#include "device/gpu/api.h"

#include "base/cache.h"
#include "base/library.h"
#include "device/gpu/compile.h"
#include "device/gpu/failure.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

// A function of the table: where its address goes, and its names.
struct row {
    size_t at;
    const char *names[GPU_VENDORS];
};

#define ROW(here, cuda, hip) {offsetof(struct gpu_api, here), {[GPU_CUDA] = (cuda), [GPU_HIP] = (hip)}},
#define NO_ROW(here, cuda, hip, arguments)
#define DRIVER(here, cuda, hip, arguments) ROW(here, cuda, hip)
#define COMPILER                           NO_ROW
static const struct row driver_rows[] = {
#include "device/gpu/functions.inc"
};
#undef DRIVER
#undef COMPILER
#define DRIVER                               NO_ROW
#define COMPILER(here, cuda, hip, arguments) ROW(here, cuda, hip)
static const struct row compiler_rows[] = {
#include "device/gpu/functions.inc"
};

static bool bad(struct gpu_library *l, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool bad(struct gpu_library *l, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(l->why, sizeof l->why, format, args);
    va_end(args);
    return false;
}

static bool find_functions(struct gpu_api *api, void *library, const struct row *row, size_t n, const char **missing) {
    for (size_t i = 0; i < n; i++) {
        const char *name = row[i].names[api->vendor->id];
        bool may = *name == '?';
        void *function = (char *)api + row[i].at;
        if (!*name) memset(function, 0, sizeof(void *));
        if (*name && !library_function(library, name + may, function) && !may) {
            *missing = name;
            return false;
        }
    }
    return true;
}

static bool not_found(struct gpu_library *l, const struct library_search *s, const char *name, const char *title,
                      const char *get) {
    l->there = *s->said;
    return *s->said ? bad(l, "%s cannot be loaded: %s; %s", title, s->said, get)
                    : bad(l, "%s (%s) is not there; %s", title, name, get);
}

static bool lacks(struct gpu_library *l, const char *title, const char *function, const char *get) {
    return bad(l, "%s %d.%d has no %s; %s", title, l->major, l->minor, function, get);
}

// ------------------------------------------------------------------------------- the driver

static bool says_no(struct gpu_api *api, int error, const char *doing) {
    const struct gpu_failure *f = gpu_failure(error);
    const char *text = NULL;
    if (api->describe) api->describe(error, &text);
    return bad(&api->driver, "%s's driver failed at %s: error %d, %s; %s", api->vendor->maker, doing, error,
               text ? text : "which it does not explain", f->advice);
}

static bool start(struct gpu_api *api) {
    int error = api->init(0);
    if (error && error != GPU_NO_CARD) return says_no(api, error, "its start");
    if (!error) error = api->count(&api->cards);
    if (error && error != GPU_NO_CARD) return says_no(api, error, "counting cards");
    if (error) api->cards = 0;
    return true;
}

static bool load_driver(struct gpu_api *api, const char *folders) {
    const struct gpu_vendor *v = api->vendor;
    struct gpu_library *l = &api->driver;
    struct library_search s = {folders, v->folders};
    const char *const *from = v->driver_names, *missing = NULL;
    void *library = library_next(&s, &from);
    if (!library) return not_found(l, &s, *v->driver_names, v->driver_title, v->get_driver);
    l->there = true;
    int (*tell)(int *) = NULL, version = 0;
    if (!library_function(library, v->version_name, &tell) || tell(&version))
        return bad(l, "%s's driver does not tell its version; %s", v->maker, v->get_driver);
    l->major = version / v->major_unit;
    l->minor = version % v->major_unit / v->minor_unit;
    if (l->major < v->driver_least)
        return bad(l, "%s's driver is too old: it has %s %d.%d; %s", v->maker, v->driver_title, l->major, l->minor,
                   v->get_driver);
    if (!find_functions(api, library, driver_rows, sizeof driver_rows / sizeof *driver_rows, &missing))
        return lacks(l, v->driver_title, missing, v->get_driver);
    return start(api);
}

// ------------------------------------------------------------------------------- the compiler

// A library that the compiler opens by its bare name when it compiles for the first time: what is open by then need not
// be where the system looks.
static bool open_companion(struct gpu_api *api, void *library, const char *folders) {
    const struct gpu_vendor *v = api->vendor;
    struct gpu_library *l = &api->compiler;
    struct library_search s = {folders, v->folders, .global = true};
    char name[64];
    if (!v->companion) return true;
    snprintf(name, sizeof name, "%s.%d.%d", v->companion, l->major, l->minor);
    const char *path = library_path(library), *slash = strrchr(path, '/');
    if (slash && library_open(&s, path, (size_t)(slash - path), name)) return true;
    if (library_find(&s, name)) return true;
    return bad(l, "%s %d.%d lacks %s beside it; %s", v->compiler_title, l->major, l->minor, name, v->get_compiler);
}

static bool check_version(struct gpu_api *api, int driver_major) {
    const struct gpu_vendor *v = api->vendor;
    struct gpu_library *l = &api->compiler;
    if (l->major < v->compiler_least)
        return bad(l, "%s %d.%d is too old; %s", v->compiler_title, l->major, l->minor, v->get_compiler);
    if (v->compiler_within_driver && l->major > driver_major)
        return bad(l,
                   "%s %d.%d makes programs for newer drivers than this one, of %s %d; update the driver, or install a "
                   "compiler of version %d: 'pip install nvidia-cuda-nvrtc-cu%d'",
                   v->compiler_title, l->major, l->minor, v->driver_title, driver_major, driver_major, driver_major);
    return true;
}

// Versions of one number are not always the same compiler: the file's size and time say more.
static bool ask_version(struct gpu_api *api, void *library) {
    const struct gpu_vendor *v = api->vendor;
    struct gpu_library *l = &api->compiler;
    struct stat st;
    int (*tell)(int *, int *) = NULL;
    if (!stat(library_path(library), &st)) {
        int64_t facts[] = {st.st_size, st.st_mtim.tv_sec, st.st_mtim.tv_nsec};
        l->stamp = cache_hash(0, facts, sizeof facts);
    }
    l->major = api->driver.major;
    l->minor = api->driver.minor;
    if (!v->compiler_version_name) return true;
    if (!library_function(library, v->compiler_version_name, &tell) || tell(&l->major, &l->minor))
        return bad(l, "%s does not tell its version; %s", v->compiler_title, v->get_compiler);
    return true;
}

static bool try_compiler(struct gpu_api *api, void *library, const char *folders, int driver_major) {
    const struct gpu_vendor *v = api->vendor;
    struct gpu_library *l = &api->compiler;
    const char *missing = NULL;
    if (!ask_version(api, library) || (v->compiler_version_name && !check_version(api, driver_major))) return false;
    if (!find_functions(api, library, compiler_rows, sizeof compiler_rows / sizeof *compiler_rows, &missing))
        return lacks(l, v->compiler_title, missing, v->get_compiler);
    return open_companion(api, library, folders);
}

// Once those that are where libraries are have been tried, Python's packages are looked through.
static void *next_compiler(const struct gpu_vendor *v, struct library_search *s, const char *const **from,
                           char ***python) {
    void *library = library_next(s, from);
    if (library || *python || !v->python || !(*python = library_python_folders(v->python))) return library;
    s->given = NULL;
    s->known = (const char *const *)*python;
    *from = v->compiler_names;
    return library_next(s, from);
}

// The newest compiler that this driver can use; of several that it cannot, the newest says why.
static void load_compiler(struct gpu_api *api, const char *folders, int driver_major) {
    const struct gpu_vendor *v = api->vendor;
    struct gpu_library *l = &api->compiler, first = {0};
    char **python = NULL;
    struct library_search s = {folders, v->folders};
    const char *const *from = v->compiler_names;
    for (void *library; !l->good && (library = next_compiler(v, &s, &from, &python));) {
        *l = (struct gpu_library){.there = true};
        l->good = try_compiler(api, library, folders, driver_major);
        if (!first.there) first = *l;
    }
    free(python);
    if (l->good) return;
    if (first.there)
        *l = first;
    else
        not_found(l, &s, *v->compiler_names, v->compiler_title, v->get_compiler);
}

void gpu_api_load(struct gpu_api *api, const struct gpu_vendor *vendor, const char *folders) {
    *api = (struct gpu_api){.vendor = vendor};
    api->driver.good = load_driver(api, folders);
    if (api->driver.good && api->cards > 0) load_compiler(api, folders, api->driver.major);
}

void gpu_api_load_compiler(struct gpu_api *api, const struct gpu_vendor *vendor, const char *folders) {
    *api = (struct gpu_api){.vendor = vendor};
    load_compiler(api, folders, INT32_MAX);
}

bool gpu_compiles(const struct gpu_api *api) { return api->compiler.good || gpu_programs_folder(); }

// Chips of CUDA are listed as numbers, "sm_90a" as 90.
bool gpu_api_knows(const struct gpu_api *api, const char *chip) {
    int n = 0, list[256];
    const char *digits = strchr(chip, '_');
    if (!api->compiler.good || !api->chips || !api->chips_count || !digits || api->chips_count(&n) || n < 1)
        return true;
    if ((size_t)n > sizeof list / sizeof *list || api->chips(list)) return true;
    long number = strtol(digits + 1, NULL, 10);
    for (int i = 0; i < n; i++)
        if (list[i] == number) return true;
    return false;
}
