#include "serve_models.h"

#include "open.h"
#include "output.h"
#include "pull.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char ending[] = ".gguf";
enum { ENDING = sizeof ending - 1, PARTS = sizeof "-00001-of-NNNNN" - 1 };

static bool is_gguf(const char *name) {
    size_t n = strlen(name);
    return n > ENDING && !strcmp(name + n - ENDING, ending);
}

// Which part of a split file has this name, without its ending; 0: it is a whole one.
static unsigned part_of(const char *name, size_t n) {
    unsigned part, of;
    char rest;
    if (n <= PARTS) return 0;
    return sscanf(name + n - PARTS, "-%5u-of-%5u%c", &part, &of, &rest) == 3 && rest == '.' ? part : 0;
}

// A model's name: its file's without the ending, and without the number of its part.
static char *name_of(const char *path) {
    const char *slash = strrchr(path, '/');
    char *name = strdup(slash && slash[1] ? slash + 1 : path);
    size_t n = name ? strlen(name) : 0;
    if (!n || !is_gguf(name)) return name;
    n -= ENDING;
    if (part_of(name, n)) n -= PARTS;
    name[n] = 0;
    return name;
}

// Takes the strings over.
static int add(struct sources *s, char *path, char *name, bool listed) {
    struct model_source *list = name ? realloc(s->list, (s->n + 1) * sizeof *list) : NULL;
    if (list) {
        s->list = list;
        s->list[s->n++] = (struct model_source){.path = path, .name = name, .listed = listed};
        return GYR_OK;
    }
    free(path);
    free(name);
    return usage_error("serve: out of memory");
}

static bool is_there(const char *folder, const char *name, bool directory) {
    char *path = NULL;
    struct stat st;
    bool there = asprintf(&path, "%s/%s", folder, name) >= 0 && !stat(path, &st) &&
                 (directory ? S_ISDIR(st.st_mode) : S_ISREG(st.st_mode));
    free(path);
    return there;
}

// A checkpoint as Hugging Face has them.
static bool is_checkpoint(const char *folder) { return is_there(folder, "config.json", false); }

static bool is_model(const char *folder, const char *name) {
    char *path = NULL;
    bool good = false;
    if (*name == '.') return false;
    if (is_gguf(name)) return part_of(name, strlen(name) - ENDING) <= 1;
    if (is_there(folder, name, true) && asprintf(&path, "%s/%s", folder, name) >= 0) good = is_checkpoint(path);
    free(path);
    return good;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct model_source *)a)->name, ((const struct model_source *)b)->name);
}

// Each GGUF file and each checkpoint in the folder, by their names.
static int add_folder(struct sources *s, const char *folder) {
    int status = GYR_OK;
    size_t before = s->n;
    DIR *dir = opendir(folder);
    if (!dir) return usage_error("%s: %s", folder, strerror(errno));
    for (struct dirent *entry; !status && (entry = readdir(dir));) {
        char *path = NULL;
        if (!is_model(folder, entry->d_name)) continue;
        if (asprintf(&path, "%s/%s", folder, entry->d_name) < 0) path = NULL;
        status = path ? add(s, path, name_of(path), true) : usage_error("serve: out of memory");
    }
    closedir(dir);
    if (!status && s->n == before)
        return usage_error("%s: no model in this folder: no GGUF file, and no folder with a config.json", folder);
    if (!status) qsort(s->list + before, s->n - before, sizeof *s->list, by_name);
    return status;
}

static bool is_folder_of_models(const char *path) {
    struct stat st;
    return !stat(path, &st) && S_ISDIR(st.st_mode) && !is_checkpoint(path);
}

static int add_named(struct sources *s, const char *named, const char *alias) {
    int status = GYR_OK;
    char *path = find_model(named, &status);
    if (!path) return status;
    if (!is_folder_of_models(path)) return add(s, path, alias ? strdup(alias) : name_of(named), false);
    status =
        alias ? usage_error("serve: %s has several models, which --alias cannot name", named) : add_folder(s, path);
    free(path);
    return status;
}

static int add_poet(struct sources *s, const char *alias) {
    int status = add(s, NULL, strdup(alias ? alias : "poet"), false);
    struct model_source *m = status ? NULL : &s->list[s->n - 1];
    if (m && !poet_image(&m->image, &m->size))
        status = usage_error("serve: no model: none is built into this program; name one with -m FILE");
    return status;
}

int sources_find(struct sources *s, const struct texts *named, const struct texts *aliases) {
    const char *alias = aliases->count ? aliases->items[0] : NULL, *otherwise = model_path(NULL);
    int status = GYR_OK;
    if (!named->count) return otherwise ? add_named(s, otherwise, alias) : add_poet(s, alias);
    for (size_t i = 0; !status && i < named->count; i++)
        status = add_named(s, named->items[i], i < aliases->count ? aliases->items[i] : NULL);
    return status;
}

void sources_free(struct sources *s) {
    for (size_t i = 0; i < s->n; i++) {
        free((char *)s->list[i].path);
        free((char *)s->list[i].name);
    }
    free(s->list);
}

// NAME=PATH or NAME@MODEL=PATH, cut up in a copy.
static int read_adapter(struct adapter_source *a, const char *said) {
    char *copy = strdup(said), *path = copy ? strchr(copy, '=') : NULL;
    a->name = copy;
    if (!copy) return usage_error("serve: out of memory");
    if (!path || path == copy || !path[1])
        return usage_error("serve: --adapter %s: takes NAME=PATH, a name for requests and a folder or file", said);
    *path++ = 0;
    char *model = strrchr(copy, '@');
    if (model) *model++ = 0;
    if (!*copy || (model && !*model))
        return usage_error("serve: --adapter %s: takes NAME=PATH, or NAME@MODEL=PATH", said);
    a->path = path;
    a->model = model;
    return GYR_OK;
}

int adapter_sources_read(struct adapter_sources *s, const struct texts *said) {
    int status = GYR_OK;
    s->list = calloc(said->count + 1, sizeof *s->list);
    if (!s->list) return usage_error("serve: out of memory");
    while (!status && s->n < said->count) {
        status = read_adapter(&s->list[s->n], said->items[s->n]);
        s->n++;
    }
    return status;
}

void adapter_sources_free(struct adapter_sources *s) {
    for (size_t i = 0; i < s->n; i++) free((char *)s->list[i].name);
    free(s->list);
}
