// POST /v1/load_lora_adapter and /v1/unload_lora_adapter, with vLLM's names and bodies. On clerks.
#include "server/ask.h"
#include "server/routes.h"

#include <string.h>

enum kind { TEXT, WHOLE, BOOLEAN };

// What a body may have, and where it goes.
struct member {
    const char *name;
    enum kind kind;
    void *into;
};

static bool read_member(const struct member *m, const json_t *v, struct fault *f) {
    static const char *const takes[] = {"a string", "a whole number", "true or false"};
    bool good = m->kind == TEXT ? json_is_string(v) : m->kind == WHOLE ? json_is_integer(v) : json_is_boolean(v);
    if (!good) return refuse(f, 400, m->name, "%s: takes %s", m->name, takes[m->kind]);
    if (m->kind == TEXT) *(const char **)m->into = json_string_value(v);
    if (m->kind == BOOLEAN) *(bool *)m->into = json_is_true(v);
    return true;
}

static bool read_body(const json_t *body, const struct member *list, size_t n, struct fault *f) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)body, key, value) {
        size_t i = 0;
        while (i < n && strcmp(list[i].name, key)) i++;
        if (i == n) return refuse_as(f, 400, "unknown_parameter", key, "unknown parameter: '%.60s'", key);
        if (!json_is_null(value) && !read_member(&list[i], value, f)) return false;
    }
    return true;
}

static bool needs(const char *value, const char *name, struct fault *f) {
    return (value && *value) || refuse(f, 400, name, "%s: is missing", name);
}

static void reply_success(struct exchange *x, const char *name, const char *what) {
    static const struct fault no_memory = {.status = 503, .message = "out of memory for the reply; try again later"};
    struct buf text = {0};
    buf_printf(&text, "Success: LoRA adapter '%s' %s successfully.", name, what);
    if (!text.failed) {
        reply_later(x, 200, "text/plain; charset=utf-8", &text);
        return;
    }
    buf_free(&text);
    reply_fault(x, x->route->surface, &no_memory);
}

void handle_adapter_load(struct server *s, struct exchange *x) {
    struct fault f = {0};
    struct adapter_wish w = {0};
    const struct member members[] = {{"lora_name", TEXT, &w.name},
                                     {"lora_path", TEXT, &w.path},
                                     {"load_inplace", BOOLEAN, &w.in_place},
                                     {"base_model_name", TEXT, &w.model}};
    json_t *body = ask_body(x, &f);
    bool ok = body && read_body(body, members, sizeof members / sizeof *members, &f) &&
              needs(w.name, "lora_name", &f) && needs(w.path, "lora_path", &f) && adapters_load(s->adapters, &w, &f);
    if (ok)
        reply_success(x, w.name, "added");
    else
        reply_fault(x, x->route->surface, &f);
    json_decref(body);
}

void handle_adapter_unload(struct server *s, struct exchange *x) {
    struct fault f = {0};
    const char *name = NULL;
    // The number is vLLM's own; it too goes by the name.
    const struct member members[] = {{"lora_name", TEXT, &name}, {"lora_int_id", WHOLE, NULL}};
    json_t *body = ask_body(x, &f);
    bool ok = body && read_body(body, members, sizeof members / sizeof *members, &f) && needs(name, "lora_name", &f) &&
              adapters_unload(s->adapters, name, &f);
    if (ok)
        reply_success(x, name, "removed");
    else
        reply_fault(x, x->route->surface, &f);
    json_decref(body);
}
