#include "device/gpu/compile.h"

#include "base/cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_OPTIONS = 16 };

struct options {
    char chip[64], warp[32], type_name[64], type[32];
    const char *list[MOST_OPTIONS];
    int n;
};

static void add_option(struct options *o, const char *option) {
    if (o->n < MOST_OPTIONS) o->list[o->n++] = option;
}

static void make_options(struct options *o, const struct gpu_vendor *v, const struct gpu_unit *u) {
    o->n = 0;
    snprintf(o->chip, sizeof o->chip, "%s%s", v->chip_flag, u->chip);
    snprintf(o->warp, sizeof o->warp, "-DGYR_WARP=%d", u->warp);
    add_option(o, o->chip);
    add_option(o, o->warp);
    if (u->type >= 0) {
        snprintf(o->type_name, sizeof o->type_name, "-DTYPE_NAME=%s", type_info((uint32_t)u->type)->name);
        snprintf(o->type, sizeof o->type, "-DTYPE=%d", u->type);
        add_option(o, o->type_name);
        add_option(o, o->type);
    }
    for (const char *const *flag = v->flags; *flag; flag++) add_option(o, *flag);
}

const char *gpu_unit_name(const struct gpu_unit *u, char *name, size_t size) {
    if (u->type < 0)
        snprintf(name, size, "%s", u->source->name);
    else
        snprintf(name, size, "%s for %s", u->source->name, type_info((uint32_t)u->type)->name);
    return name;
}

static void hash_text(uint64_t key[2], const char *text) {
    size_t n = strlen(text) + 1;
    for (int i = 0; i < 2; i++) key[i] = cache_hash(key[i], text, n);
}

void gpu_unit_key(const struct gpu_api *api, const struct gpu_unit *u, bool elsewhere, uint64_t key[2]) {
    struct options o;
    uint64_t version[3] = {(uint64_t)api->compiler.major, (uint64_t)api->compiler.minor, api->compiler.stamp};
    if (elsewhere) memset(version, 0, sizeof version);
    make_options(&o, api->vendor, u);
    key[0] = 1, key[1] = 0x9e3779b97f4a7c15u;
    for (int i = 0; i < 2; i++) key[i] = cache_hash(key[i], version, sizeof version);
    hash_text(key, api->vendor->kind);
    for (int i = 0; i < o.n; i++) hash_text(key, o.list[i]);
    hash_text(key, u->source->name);
    hash_text(key, u->source->text);
    for (size_t i = 0; i < u->all->n; i++) {
        if (u->all->file[i].kernels) continue;
        hash_text(key, u->all->file[i].name);
        hash_text(key, u->all->file[i].text);
    }
}

// The first line of the log that is an error, or of all.
static bool refused(const struct gpu_api *api, const struct gpu_unit *u, void *program, int error, gyr_error *e) {
    char name[128], *log = NULL;
    size_t size = 0;
    if (!api->log_size(program, &size) && size) log = calloc(1, size + 1);
    if (log && api->log(program, log)) *log = 0;
    const char *line = log ? log : "", *found = strstr(line, "error");
    while (found && found > line && found[-1] != '\n') found--;
    if (found) line = found;
    int n = (int)strcspn(line, "\n");
    gpu_unit_name(u, name, sizeof name);
    if (n)
        fail(e, GYR_UNSUPPORTED, "%s: %s %d.%d refuses gyr's program %s: %.*s", u->chip, api->vendor->compiler_title,
             api->compiler.major, api->compiler.minor, name, n < 300 ? n : 300, line);
    else
        fail(e, GYR_UNSUPPORTED, "%s: %s %d.%d cannot compile gyr's program %s (error %d); %s", u->chip,
             api->vendor->compiler_title, api->compiler.major, api->compiler.minor, name, error,
             "install a newer compiler");
    free(log);
    return false;
}

static bool take_image(const struct gpu_api *api, const struct gpu_unit *u, void *program, struct gpu_image *out,
                       gyr_error *e) {
    size_t size = 0;
    int error = api->image_size(program, &size);
    if (error || !size) return refused(api, u, program, error, e);
    if (!(out->data = malloc(size))) return fail_memory(e, u->source->name);
    out->size = size;
    error = api->image(program, out->data);
    if (!error) return true;
    free(out->data);
    *out = (struct gpu_image){0};
    return refused(api, u, program, error, e);
}

bool gpu_compile(const struct gpu_api *api, const struct gpu_unit *u, struct gpu_image *out, gyr_error *e) {
    struct options o;
    const char **texts = calloc(u->all->n + 1, sizeof *texts), **names = calloc(u->all->n + 1, sizeof *names);
    void *program = NULL;
    int n = 0, error;
    bool ok = false;
    *out = (struct gpu_image){0};
    make_options(&o, api->vendor, u);
    if (!texts || !names) {
        fail_memory(e, u->source->name);
        goto end;
    }
    for (size_t i = 0; i < u->all->n; i++) {
        if (u->all->file[i].kernels) continue;
        texts[n] = u->all->file[i].text;
        names[n++] = u->all->file[i].name;
    }
    error = api->program_new(&program, u->source->text, u->source->name, n, texts, names);
    if (error) {
        fail(e, GYR_UNSUPPORTED, "%s: %s does not begin with gyr's program %s (error %d); install it again", u->chip,
             api->vendor->compiler_title, u->source->name, error);
        goto end;
    }
    error = api->program_compile(program, o.n, o.list);
    ok = error ? refused(api, u, program, error, e) : take_image(api, u, program, out, e);
end:
    if (program) api->program_free(&program);
    free(texts);
    free(names);
    return ok;
}

const char *gpu_programs_folder(void) {
    const char *folder = getenv("GYR_GPU_PROGRAMS");
    return folder && *folder ? folder : NULL;
}

static bool keep(const struct gpu_api *api, const struct gpu_unit *u, const char *folder, const uint64_t key[2],
                 const struct gpu_image *image) {
    char name[128], title[200];
    snprintf(title, sizeof title, "%s %s: %s", api->vendor->kind, u->chip, gpu_unit_name(u, name, sizeof name));
    return gpu_kept_put(folder, key, title, image);
}

bool gpu_image_ship(const struct gpu_api *api, const struct gpu_unit *u, const struct gpu_image *image,
                    const char *folder, gyr_error *e) {
    uint64_t key[2];
    gpu_unit_key(api, u, true, key);
    return keep(api, u, folder, key, image) ||
           fail(e, GYR_IO, "%s: a program cannot be written there; choose another folder", folder);
}

// A machine without a compiler has what was compiled elsewhere, of these very sources, or nothing.
static bool find_shipped(const struct gpu_api *api, const struct gpu_unit *u, struct gpu_image *out, gyr_error *e) {
    const char *folder = gpu_programs_folder();
    uint64_t key[2];
    char name[128];
    gpu_unit_key(api, u, true, key);
    if (folder && gpu_kept_find(folder, key, out)) return true;
    if (api->compiler.good) return false;
    return fail(e, GYR_UNSUPPORTED, "%s: %s has no program %s of this gyr for it; %s", u->chip,
                folder ? folder : "the cache", gpu_unit_name(u, name, sizeof name), api->vendor->get_compiler);
}

bool gpu_image_of(const struct gpu_api *api, const struct gpu_unit *u, struct gpu_image *out, bool *compiled,
                  gyr_error *e) {
    uint64_t key[2];
    *compiled = false;
    if (find_shipped(api, u, out, e)) return true;
    if (!api->compiler.good) return false;
    gpu_unit_key(api, u, false, key);
    if (gpu_kept_find(NULL, key, out)) return true;
    if (!gpu_compile(api, u, out, e)) return false;
    *compiled = true;
    keep(api, u, NULL, key, out);
    return true;
}
