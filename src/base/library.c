#include "base/library.h"

#include "base/buf.h"

#include <dlfcn.h>
#include <glob.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *library_given(void) { return getenv("GYR_GPU_LIBRARIES"); }

void *library_open(struct library_search *s, const char *folder, size_t n, const char *name) {
    char path[4096];
    int size = snprintf(path, sizeof path, "%.*s%s%s", (int)n, folder, n ? "/" : "", name);
    int mode = RTLD_NOW | (s->global ? RTLD_GLOBAL : RTLD_LOCAL);
    void *library = size > 0 && (size_t)size < sizeof path ? dlopen(path, mode) : NULL;
    const char *why = library ? NULL : dlerror();
    // Everything but its own absence is worth telling, that of a library it needs too.
    bool absent = why && !strncmp(why, path, (size_t)size) && strstr(why, "No such file");
    if (why && !absent && !*s->said) snprintf(s->said, sizeof s->said, "%s", why);
    return library;
}

void *library_find(struct library_search *s, const char *name) {
    void *library = NULL;
    for (const char *at = s->given; at && *at && !library; at += strcspn(at, ":"), at += *at == ':')
        if (*at != ':') library = library_open(s, at, strcspn(at, ":"), name);
    if (!library) library = library_open(s, "", 0, name);
    for (const char *const *f = s->known; *f && !library; f++) library = library_open(s, *f, strlen(*f), name);
    return library;
}

void *library_next(struct library_search *s, const char *const **names) {
    void *library = NULL;
    while (**names && !library) library = library_find(s, *(*names)++);
    return library;
}

bool library_function(void *library, const char *name, void *function) {
    void *address = dlsym(library, name);
    memcpy(function, &address, sizeof address);
    return address;
}

const char *library_path(void *library) {
    struct link_map *map = NULL;
    return !dlinfo(library, RTLD_DI_LINKMAP, &map) && map && map->l_name ? map->l_name : "";
}

// ------------------------------------------------------------------------------- Python's packages

// The folder that the first python3 of $PATH is installed in: "/usr" of "/usr/bin/python3". False: there is none.
static bool python_on_path(char out[4096]) {
    const char *at = getenv("PATH");
    for (; at && *at; at += strcspn(at, ":"), at += *at == ':') {
        int n = snprintf(out, 4096, "%.*s/python3", (int)strcspn(at, ":"), at);
        if (n <= 0 || n >= 4096 || *at != '/' || access(out, X_OK)) continue;
        for (int i = 0; i < 2; i++) *strrchr(out, '/') = 0;
        return true;
    }
    return false;
}

static void look(glob_t *found, const char *base, const char *packages, const char *const *inside) {
    char pattern[4400];
    for (; base && *base && *inside; inside++)
        if (snprintf(pattern, sizeof pattern, "%s/lib/python3*/%s/%s", base, packages, *inside) < (int)sizeof pattern)
            glob(pattern, GLOB_APPEND, NULL, found);
}

// One piece: the list, and behind it the names.
static char **copy_list(const glob_t *found) {
    size_t size = (found->gl_pathc + 1) * sizeof(char *), at = size;
    for (size_t i = 0; i < found->gl_pathc; i++) size += strlen(found->gl_pathv[i]) + 1;
    char **list = calloc(1, size);
    for (size_t i = 0; list && i < found->gl_pathc; i++) {
        size_t n = strlen(found->gl_pathv[i]) + 1;
        list[i] = memcpy((char *)list + at, found->gl_pathv[i], n);
        at += n;
    }
    return list;
}

char **library_python_folders(const char *const *inside) {
    glob_t found = {0};
    char prefix[4096], user[4096] = "";
    const char *home = getenv("HOME");
    if (home && *home) snprintf(user, sizeof user, "%s/.local", home);
    look(&found, getenv("VIRTUAL_ENV"), "site-packages", inside);
    look(&found, getenv("CONDA_PREFIX"), "site-packages", inside);
    if (python_on_path(prefix)) look(&found, prefix, "site-packages", inside);
    look(&found, user, "site-packages", inside);
    look(&found, "/usr/local", "dist-packages", inside);
    look(&found, "/usr/local", "site-packages", inside);
    char **list = copy_list(&found);
    globfree(&found);
    return list;
}
