// The cache behind the public header.
#include "engine/engine.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static char *folder_of(gyr_error *e) {
    char *folder = cache_folder();
    return folder ? folder : fail_null(e, GYR_USAGE, "cache: no place for it; set XDG_CACHE_HOME to a folder");
}

static json_t *describe(const struct cache_entry *c) {
    return json_pack("{s:s, s:s*, s:I, s:I}", "name", c->name, "model", c->source, "bytes", (json_int_t)c->bytes,
                     "used", (json_int_t)(c->used / 1000000000));
}

char *gyr_cache_list(gyr_error *e) {
    size_t n;
    uint64_t limit, bytes = 0;
    char *folder = folder_of(e);
    if (!folder) return NULL;
    struct cache_entry *all = cache_list(folder, &n, &limit);
    json_t *files = json_array();
    for (size_t i = 0; all && i < n; i++) {
        json_array_append_new(files, describe(&all[i]));
        bytes += all[i].bytes;
    }
    json_t *list = json_pack("{s:s, s:I, s:I, s:o}", "folder", folder, "bytes", (json_int_t)bytes, "limit",
                             (json_int_t)limit, "files", files);
    char *text = list ? json_dumps(list, JSON_INDENT(2)) : NULL;
    json_decref(list);
    free(all);
    free(folder);
    return text ? text : (fail_memory(e, "cache"), NULL);
}

static bool is_meant(const struct cache_entry *c, const char *name, const char *path) {
    return !name || !strcmp(c->name, name) || (*c->source && !strcmp(c->source, path ? path : name));
}

gyr_status gyr_cache_clear(const char *name, uint64_t *bytes, gyr_error *e) {
    size_t n = 0, found = 0;
    uint64_t limit, freed = 0;
    gyr_error made = {0};
    char *folder = folder_of(&made);
    struct cache_entry *all = folder ? cache_list(folder, &n, &limit) : NULL;
    char *path = name ? realpath(name, NULL) : NULL; // files know their model's
    bool ok = folder;
    for (size_t i = 0; all && i < n; i++) {
        if (!is_meant(&all[i], name, path)) continue;
        found++;
        if (cache_remove(folder, &all[i]))
            freed += all[i].bytes;
        else
            ok = fail(&made, GYR_IO, "%s/%s: cannot be removed; check whose it is", folder, all[i].name);
    }
    if (ok && name && !found) ok = fail(&made, GYR_IO, "%s: not in the cache; 'gyr cache' lists what is", name);
    if (bytes) *bytes = freed;
    free(path);
    free(all);
    free(folder);
    return status_of(ok, &made, e);
}
