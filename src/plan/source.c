#include "plan/source.h"
#include "base/buf.h"
#include "hub/hub.h"
#include "model/shapes.h"
#include "model/synth.h"
#include "plan/near.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// The shape whose name is this but for some letters; or else one that begins like it.
static const char *nearest(const char *name) {
    char own[PLAIN], theirs[PLAIN];
    const struct shape *s;
    const char *best = NULL;
    size_t least = name_plain(name, strlen(name), own) / 3 + 1, most = 3; // fewer letters are chance
    for (size_t i = 0; (s = shape_row(i)); i++) {
        name_plain(s->name, strlen(s->name), theirs);
        size_t far = name_distance(own, theirs);
        if (far < least) least = far, best = s->name;
    }
    if (best) return best;
    for (size_t i = 0; (s = shape_row(i)); i++) {
        size_t n = 0;
        while (name[n] && name[n] == s->name[n]) n++;
        if (n > most) most = n, best = s->name;
    }
    return best;
}

static struct checkpoint *unknown(const char *name, gyr_error *e) {
    const char *near = nearest(name);
    return fail_null(e, GYR_IO, "%.200s: neither a file nor a shape; %s%s%s", name,
                     near ? "did you mean " : "give a model file, hf:OWNER/NAME, or a shape such as falcon-40b",
                     near ? near : "", near ? "?" : "");
}

static void remove_folder(const char *folder) {
    DIR *d = opendir(folder);
    struct dirent *each;
    while (d && (each = readdir(d)))
        if (each->d_name[0] != '.') unlinkat(dirfd(d), each->d_name, 0);
    if (d) closedir(d);
    rmdir(folder);
}

static bool rename_to(struct checkpoint *c, const char *name, gyr_error *e) {
    char *copy = strdup(name);
    if (!copy) return fail_memory(e, name);
    free(c->path);
    c->path = copy; // in messages
    return true;
}

// The files are gone again once they are mapped.
static struct checkpoint *open_heads(const gyr_plan_options *o, gyr_error *e) {
    const char *where = getenv("TMPDIR");
    struct buf folder = {0};
    struct checkpoint *c = NULL;
    buf_printf(&folder, "%s/gyr-XXXXXX", where && *where ? where : "/tmp");
    if (folder.failed) return fail_memory(e, o->model), NULL;
    if (mkdtemp(folder.data)) {
        char *path = hub_heads(&(gyr_pull_options){.name = o->model}, folder.data, e);
        c = path ? checkpoint_open(path, e) : NULL;
        free(path);
        remove_folder(folder.data);
    } else {
        fail(e, GYR_IO, "%s: %s; set TMPDIR", folder.data, strerror(errno));
    }
    buf_free(&folder);
    if (!c || rename_to(c, o->model, e)) return c;
    checkpoint_close(c);
    return NULL;
}

static struct checkpoint *open_hub(const gyr_plan_options *o, gyr_error *e) {
    char *path = hub_find(o->model, NULL, NULL);
    struct checkpoint *c = path ? checkpoint_open(path, e) : open_heads(o, e);
    free(path);
    return c;
}

struct checkpoint *source_open(const gyr_plan_options *o, bool *shape, gyr_error *e) {
    *shape = false;
    if (hub_is_name(o->model)) {
        if (o->type) return fail_null(e, GYR_USAGE, "%.200s: a type is for shapes; name the file's", o->model);
        return open_hub(o, e);
    }
    if (access(o->model, F_OK)) {
        *shape = shape_by_name(o->model);
        return *shape ? synth_hollow(o->model, o->type ? o->type : "f16", e) : unknown(o->model, e);
    }
    if (o->type) return fail_null(e, GYR_USAGE, "%.200s: has types of its own; a type is for shapes", o->model);
    return checkpoint_open(o->model, e);
}
