// The chat templates of a Hugging Face folder.
#include "base/utf8.h"
#include "format/hf_vocab.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TEMPLATE = 1 << 20 };

static bool keep(struct vocab *v, struct text s, const char *where, char **out, gyr_error *e) {
    if (!s.data) return true;
    if (!utf8_valid(s.data, s.size)) return fail(e, GYR_MALFORMED, "%s: not UTF-8; get the file again", where);
    if (memchr(s.data, 0, s.size))
        return fail(e, GYR_MALFORMED, "%s: a chat template with a zero byte; get the file again", where);
    *out = arena_copy(v->storage, s);
    return *out || fail_memory(e, where);
}

// Where the template of that name belongs; "default" is for plain conversations. NULL after the error was set.
static char **place(struct vocab *v, struct text name, const char *where, gyr_error *e) {
    if (name.size == 7 && !memcmp(name.data, "default", 7)) return &v->chat_template;
    for (size_t i = 0; i < v->n_templates; i++)
        if (strlen(v->templates[i].name) == name.size && !memcmp(v->templates[i].name, name.data, name.size))
            return &v->templates[i].source;
    if (v->n_templates == MAX_TEMPLATES)
        return fail_null(e, GYR_MALFORMED, "%s: has more than %d chat templates, which gyr does not read", where,
                         MAX_TEMPLATES);
    if (!v->templates) v->templates = arena_alloc(v->storage, MAX_TEMPLATES, sizeof *v->templates);
    struct named_template *t = v->templates ? &v->templates[v->n_templates] : NULL;
    if (!t || !(t->name = arena_copy(v->storage, name))) return fail_memory(e, where), NULL;
    v->n_templates++;
    return &t->source;
}

// Either one template, or a list of named ones.
static bool read_config(const json_t *config, struct vocab *v, const char *where, gyr_error *e) {
    const json_t *j = json_object_get(config, "chat_template");
    for (size_t i = 0; i < json_array_size(j); i++) {
        const json_t *item = json_array_get(j, i);
        struct text s = json_text(json_object_get(item, "template"));
        const char *name = json_c_string(json_object_get(item, "name"));
        if (!name || !s.data) continue;
        char **out = place(v, (struct text){name, strlen(name)}, where, e);
        if (!out || !keep(v, s, where, out, e)) return false;
    }
    return keep(v, json_text(j), where, &v->chat_template, e);
}

static bool read_template(const char *folder, const char *file, struct text name, struct vocab *v, gyr_error *e) {
    char *path = folder_path(folder, file);
    if (!path) return fail_memory(e, folder);
    struct text s = {0};
    char *data = read_file(path, MAX_TEMPLATE, &s.size, e);
    s.data = data;
    char **out = data ? place(v, name, path, e) : NULL;
    bool ok = out && keep(v, s, path, out, e);
    free(data);
    free(path);
    return ok;
}

// chat_template.json is what processors of several kinds of input once had: {"chat_template": ...}.
static bool read_json(const char *folder, struct vocab *v, gyr_error *e) {
    static const char name[] = "chat_template.json";
    if (v->chat_template || !folder_has(folder, name)) return true;
    char *path = folder_path(folder, name);
    json_t *root = path ? json_open(path, MAX_TEMPLATE, 0, e) : NULL;
    bool ok = path ? root && read_config(root, v, path, e) : fail_memory(e, folder);
    json_decref(root);
    free(path);
    return ok;
}

static int by_name(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

static int is_template(const struct dirent *d) {
    size_t n = strlen(d->d_name);
    return n > 6 && d->d_name[0] != '.' && !strcmp(d->d_name + n - 6, ".jinja");
}

// additional_chat_templates/NAME.jinja, as transformers saves them since version 4.54.
static bool read_additional(const char *folder, struct vocab *v, gyr_error *e) {
    static const char name[] = "additional_chat_templates";
    if (!folder_has(folder, name)) return true;
    char *path = folder_path(folder, name);
    struct dirent **found = NULL;
    int n = path ? scandir(path, &found, is_template, by_name) : 0;
    bool ok = path ? true : fail_memory(e, folder);
    if (n < 0) ok = fail(e, GYR_IO, "%s: %s; check the folder", path, strerror(errno));
    for (int i = 0; i < n; i++) {
        const char *file = found[i]->d_name;
        ok = ok && read_template(path, file, (struct text){file, strlen(file) - 6}, v, e);
        free(found[i]);
    }
    free(found);
    free(path);
    return ok;
}

// A file of its own goes before tokenizer_config.json.
bool hf_templates(const json_t *config, const char *folder, struct vocab *v, gyr_error *e) {
    static const char plain[] = "chat_template.jinja";
    return read_config(config, v, folder, e) &&
           (!folder_has(folder, plain) || read_template(folder, plain, (struct text){"default", 7}, v, e)) &&
           read_json(folder, v, e) && read_additional(folder, v, e);
}
