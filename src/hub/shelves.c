// What is in the store: finding, listing, removing.
#include "hub/hub.h"
#include "hub/store.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static char *shelf_folder(const char *store, const char *owner, const char *repo) {
    struct buf b = {0};
    buf_printf(&b, "%s/%s/%s", store, owner, repo);
    return buf_take(&b);
}

// The record that a name means: with that very selection, or one that fits it, or, where nothing was selected, the only
// one there is.
static const json_t *best_record(const json_t *records, const struct hub_name *name, const char *folder) {
    const json_t *r, *best = NULL;
    size_t i, fits = 0;
    json_array_foreach(records, i, r) {
        bool whole = json_is_true(json_object_get(r, "complete"));
        if (whole) record_bytes(folder, r, &whole);
        if (!whole || !record_matches(r, name, true)) continue;
        if (record_matches(r, name, false) && !strcmp(record_string(r, "select"), name->select)) return r;
        best = r;
        fits++;
    }
    return fits == 1 || (best && *name->select) ? best : NULL;
}

char *hub_find(const char *text, const char *store, gyr_error *e) {
    struct hub_name name;
    if (!hub_name_parse(&name, text, e)) return NULL;
    char *root = store_folder(store, e), *folder = root ? shelf_folder(root, name.owner, name.repo) : NULL;
    json_t *records = folder ? records_read(folder) : NULL;
    const json_t *record = best_record(records, &name, folder);
    char *path = record ? record_path(folder, record, record_string(record, "open")) : NULL;
    if (root && (!records || (record && !path)))
        fail_memory(e, name.label);
    else if (root && !record)
        fail(e, GYR_IO, "%s: not here; get it with: gyr pull %.200s", name.label, text);
    json_decref(records);
    free(folder);
    free(root);
    return path;
}

static json_t *describe(const json_t *r, const char *folder, const char *owner, const char *repo) {
    uint64_t total = 0;
    bool whole;
    size_t i;
    const json_t *f;
    json_array_foreach(json_object_get(r, "files"), i, f) total +=
        (uint64_t)json_integer_value(json_object_get(f, "size"));
    uint64_t bytes = record_bytes(folder, r, &whole);
    whole = whole && json_is_true(json_object_get(r, "complete"));
    char *name = record_name(r, owner, repo), *path = record_path(folder, r, record_string(r, "open"));
    json_t *d =
        json_pack("{s:s,s:s,s:s,s:I,s:I,s:b,s:s,s:I}", "name", name, "path", path, "type", record_string(r, "type"),
                  "bytes", (json_int_t)bytes, "total", (json_int_t)total, "complete", whole, "commit",
                  record_string(r, "commit"), "pulled", json_integer_value(json_object_get(r, "pulled")));
    free(path);
    free(name);
    return d;
}

static int visible(const struct dirent *d) { return d->d_name[0] != '.'; }

static void list_shelf(json_t *models, const char *store, const char *owner, const char *repo) {
    char *folder = shelf_folder(store, owner, repo);
    json_t *records = folder ? records_read(folder) : NULL;
    size_t i;
    const json_t *r;
    json_array_foreach(records, i, r) json_array_append_new(models, describe(r, folder, owner, repo));
    json_decref(records);
    free(folder);
}

static void list_owner(json_t *models, const char *store, const char *owner) {
    struct dirent **repos;
    struct buf b = {0};
    buf_printf(&b, "%s/%s", store, owner);
    char *folder = buf_take(&b);
    int n = folder ? scandir(folder, &repos, visible, alphasort) : -1;
    for (int i = 0; i < n; i++) {
        list_shelf(models, store, owner, repos[i]->d_name);
        free(repos[i]);
    }
    if (n >= 0) free(repos);
    free(folder);
}

char *hub_list(const char *store, gyr_error *e) {
    char *root = store_folder(store, e);
    if (!root) return NULL;
    struct dirent **owners;
    json_t *models = json_array(), *m;
    int n = scandir(root, &owners, visible, alphasort);
    bool ok = n >= 0 || errno == ENOENT || fail(e, GYR_IO, "%s: %s; check GYR_MODELS", root, strerror(errno));
    for (int i = 0; i < n; i++) {
        list_owner(models, root, owners[i]->d_name);
        free(owners[i]);
    }
    if (n >= 0) free(owners);
    json_int_t bytes = 0;
    size_t i;
    json_array_foreach(models, i, m) bytes += json_integer_value(json_object_get(m, "bytes"));
    json_t *all = json_pack("{s:s,s:I,s:o}", "folder", root, "bytes", bytes, "models", models);
    char *text = ok && all ? json_dumps(all, JSON_INDENT(2)) : NULL;
    if (ok && !text) fail_memory(e, root);
    json_decref(all);
    free(root);
    return text;
}

static bool busy(void *user, gyr_error *e) {
    return fail(e, GYR_FAILED, "%s: is being pulled by another gyr; stop that one first", (const char *)user);
}

bool hub_remove(const char *text, const char *store, uint64_t *bytes, gyr_error *e) {
    struct hub_name name;
    struct shelf s;
    uint64_t freed = 0;
    if (!hub_name_parse(&name, text, e)) return false;
    char *root = store_folder(store, e), *folder = root ? shelf_folder(root, name.owner, name.repo) : NULL;
    json_t *records = folder ? records_read(folder) : NULL;
    bool any = json_array_size(records);
    json_decref(records);
    free(folder);
    free(root);
    if (!root) return false;
    if (!any) return fail(e, GYR_IO, "%s: not here; gyr list shows what is", name.label);
    if (!shelf_open(&s, &name, store, false, busy, name.label, e)) return false;
    size_t removed = 0;
    bool ok = true;
    for (size_t i = json_array_size(s.records); ok && i--;) {
        if (!record_matches(json_array_get(s.records, i), &name, true)) continue;
        ok = shelf_remove(&s, i, &freed, e);
        removed++;
    }
    if (ok && !removed) ok = fail(e, GYR_IO, "%.200s: not here; gyr list shows what is", text);
    if (removed && json_array_size(s.records) && !shelf_save(&s, ok ? e : NULL)) ok = false;
    shelf_close(&s);
    if (bytes) *bytes = freed;
    return ok;
}
