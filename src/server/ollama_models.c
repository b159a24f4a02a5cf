// What models there are, as Ollama says it: /api/tags, /api/ps, /api/show, /api/version.
#include "server/ask.h"
#include "server/models.h"
#include "server/routes.h"
#include "server/tuner.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static void put_details(struct js *o, const gyr_model_info *info, const char *parent) {
    char size[32] = "";
    if (info) snprintf(size, sizeof size, "%.1fB", (double)info->parameters / 1e9);
    js_open(o, "details", '{');
    js_string_of(o, "parent_model", parent);
    js_string_of(o, "format", "gguf");
    js_string_of(o, "family", info ? info->architecture : "");
    js_open(o, "families", '[');
    if (info) js_string_of(o, NULL, info->architecture);
    js_close(o, ']');
    js_string_of(o, "parameter_size", size);
    js_string_of(o, "quantization_level", info ? info->types : "");
    js_close(o, '}');
}

static void put_model(struct js *o, struct served *m, bool running) {
    struct served_state state;
    served_get(m, &state);
    const gyr_model_info *info = state.loaded ? &state.info : NULL;
    js_open(o, NULL, '{');
    js_string_of(o, "name", served_name(m));
    js_string_of(o, "model", served_name(m));
    js_time(o, "modified_at", served_since(m));
    js_whole(o, "size", (int64_t)state.plan.weights);
    js_string_of(o, "digest", "");
    put_details(o, info, "");
    if (running) {
        js_time(o, "expires_at", time(NULL) + 365 * 24 * 3600);
        js_whole(o, "size_vram",
                 info && strcmp(info->device, "cpu") ? (int64_t)(info->weight_bytes - info->host_bytes) : 0);
        js_whole(o, "context_length", info ? info->context : 0);
    }
    js_close(o, '}');
}

// A model with an adapter.
static void put_tuned(void *user, const struct tuned_state *t) {
    struct js *o = user;
    struct served_state state;
    served_get(t->model, &state);
    js_open(o, NULL, '{');
    js_string_of(o, "name", t->name);
    js_string_of(o, "model", t->name);
    js_time(o, "modified_at", t->since);
    js_whole(o, "size", (int64_t)t->bytes);
    js_string_of(o, "digest", t->checksum ? t->checksum : "");
    put_details(o, state.loaded ? &state.info : NULL, served_name(t->model));
    js_close(o, '}');
}

static void say_models(struct server *s, struct exchange *x, bool running) {
    struct buf json = {0};
    struct js o = {.out = &json};
    js_open(&o, NULL, '{');
    js_open(&o, "models", '[');
    if (!running) tuner_see(s);
    for (size_t i = 0; i < models_count(s->models); i++) {
        struct served_state state;
        served_get(models_at(s->models, i), &state);
        if (!state.broken && (!running || state.loaded)) put_model(&o, models_at(s->models, i), running);
    }
    if (!running) adapters_each(s->adapters, NULL, exchange_sees(x), put_tuned, &o);
    js_close(&o, ']');
    js_close(&o, '}');
    reply_json(x, 200, &json);
}

void handle_tags(struct server *s, struct exchange *x) { say_models(s, x, false); }
void handle_ps(struct server *s, struct exchange *x) { say_models(s, x, true); }

// Programs compare it with the version of Ollama that first had what they need.
void handle_version(struct server *s, struct exchange *x) {
    (void)s;
    struct buf json = {0};
    struct js o = {.out = &json};
    js_open(&o, NULL, '{');
    js_string_of(&o, "version", "0.20.0");
    js_string_of(&o, "gyr", gyr_version());
    js_close(&o, '}');
    reply_json(x, 200, &json);
}

static void put_shown(struct js *o, struct served *m) {
    const gyr_model_info *info = served_info(m);
    const char *source = gyr_model_template_source(served_model(m));
    char key[64];
    js_open(o, NULL, '{');
    js_string_of(o, "modelfile", "");
    js_string_of(o, "parameters", "");
    js_string_of(o, "template", source ? source : "");
    put_details(o, info, "");
    js_open(o, "model_info", '{');
    js_string_of(o, "general.architecture", info->architecture);
    js_whole(o, "general.parameter_count", (int64_t)info->parameters);
    snprintf(key, sizeof key, "%.40s.context_length", info->architecture);
    js_whole(o, key, info->context);
    snprintf(key, sizeof key, "%.40s.embedding_length", info->architecture);
    js_whole(o, key, info->hidden);
    snprintf(key, sizeof key, "%.40s.block_count", info->architecture);
    js_whole(o, key, info->layers);
    js_close(o, '}');
    js_open(o, "capabilities", '[');
    js_string_of(o, NULL, "completion");
    if (source && strstr(source, "tools")) js_string_of(o, NULL, "tools");
    if (served_format(m)->thinking) js_string_of(o, NULL, "thinking");
    js_close(o, ']');
    js_time(o, "modified_at", served_since(m));
    js_close(o, '}');
}

static bool show(struct server *s, struct exchange *x, const json_t *body, struct fault *f) {
    const char *name = json_string_value(json_object_get(body, "model"));
    if (!name) name = json_string_value(json_object_get(body, "name"));
    struct tuned *t = name ? tuner_find(s, name, exchange_sees(x)) : NULL;
    struct served *m = t ? tuned_model(t) : name ? models_find(s->models, name) : NULL;
    struct buf json = {0};
    struct js o = {.out = &json};
    if (t) tuned_release(t);
    if (!m) return refuse(f, 404, "model", "model '%.100s' not found", name ? name : "");
    if (!served_load(m, f, NULL)) return false;
    put_shown(&o, m);
    served_release(m);
    reply_json(x, 200, &json);
    return true;
}

void handle_show(struct server *s, struct exchange *x) {
    struct fault f = {0};
    json_t *body = ask_body(x, &f);
    if (!body || !show(s, x, body, &f)) reply_fault(x, x->route->surface, &f);
    json_decref(body);
}
