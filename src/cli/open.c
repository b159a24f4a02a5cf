#include "open.h"

#include "output.h"
#include "progress.h"
#include "pull.h"
#include "ranks.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#ifdef GYR_POET
extern const unsigned char gyr_poet[], gyr_poet_end[];
#endif

// What was named; NULL if nothing was.
static const char *choose(const char *path) {
    if (path) return path;
    const char *named = getenv("GYR_MODEL");
    return named && *named ? named : NULL;
}

const char *model_path(const char *path) { return choose(path); }

const char *model_label(const char *path) {
    path = choose(path);
    if (!path) return "poet";
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

gyr_kv_type kv_type_named(const char *name) {
    if (!name) return GYR_KV_DEFAULT;
    return !strcmp(name, "f32") ? GYR_KV_F32 : !strcmp(name, "f16") ? GYR_KV_F16 : GYR_KV_Q8;
}

bool poet_image(const void **image, size_t *size) {
#ifdef GYR_POET
    *image = gyr_poet;
    *size = (size_t)(gyr_poet_end - gyr_poet);
    return true;
#else
    (void)image, (void)size;
    return false;
#endif
}

static gyr_model *open_poet(const gyr_model_options *options, gyr_error *e) {
    static const gyr_error none = {GYR_USAGE, "no model: none is built into this program; name one with -m FILE"};
    const void *image;
    size_t size;
    if (poet_image(&image, &size)) return gyr_model_open_memory("poet", image, size, options, e);
    *e = none;
    return NULL;
}

static void say_notes(const gyr_tokenizer *t) {
    const char *note;
    for (size_t i = 0; (note = gyr_tokenizer_note(t, i)); i++) say_error("note: %s", note);
}

const char *device_named(const char *name) {
    const char *set = getenv("GYR_DEVICE");
    return name ? name : set && *set ? set : "auto";
}

gyr_products products_named(const char *name) {
    return name && !strcmp(name, "int16") ? GYR_PRODUCTS_INT16 : GYR_PRODUCTS_F32;
}

void say_device(const gyr_model *model) {
    gyr_model_info info;
    gyr_model_get_info(model, &info);
    if (*info.placement) say_dim("device: %s", info.placement);
}

gyr_model *open_model(const char *path, gyr_model_options options, int *status) {
    gyr_error e = {0};
    struct stat file;
    struct progress bar;
    char *found = NULL;
    path = choose(path);
    if (path && !(found = find_model(path, status))) return NULL;
    path = found;
    bool sized = path && !stat(path, &file) && S_ISREG(file.st_mode);
    progress_start(&bar, "loading", "B", sized ? (double)file.st_size : 0);
    options.progress = progress_report;
    options.user = &bar;
    team_share(path, &options);
    options.device = device_named(options.device);
    gyr_model *model = path ? gyr_model_open(path, &options, &e) : open_poet(&options, &e);
    progress_end(&bar);
    free(found);
    if (!model) *status = e.status == GYR_CANCELLED ? GYR_CANCELLED : report(&e);
    if (model) say_notes(gyr_model_tokenizer(model));
    return model;
}

const gyr_tokenizer *open_tokenizer(const char *path, gyr_model **model, int *status) {
    *model = NULL;
    if (!choose(path)) {
        *model = open_model(NULL, (gyr_model_options){.threads = 1, .device = "cpu"}, status);
        return *model ? gyr_model_tokenizer(*model) : NULL;
    }
    gyr_error e = {0};
    char *found = find_model(choose(path), status);
    if (!found) return NULL;
    gyr_tokenizer *tokenizer = gyr_tokenizer_open(found, &e);
    free(found);
    if (!tokenizer) *status = report(&e);
    if (tokenizer) say_notes(tokenizer);
    return tokenizer;
}

void close_tokenizer(const gyr_tokenizer *tokenizer, gyr_model *model) {
    if (model)
        gyr_model_close(model);
    else
        gyr_tokenizer_close((gyr_tokenizer *)tokenizer);
}

bool open_adapter(gyr_model *model, const char *path, gyr_adapter **adapter, int *status) {
    gyr_error e = {0};
    *adapter = path ? gyr_adapter_open(model, path, &e) : NULL;
    if (path && !*adapter) *status = report(&e);
    return !path || *adapter;
}
