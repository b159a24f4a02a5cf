// POST /models/load and /models/unload, named as llama-server has them, and GET /models/card. On clerks.
#include "server/ask.h"
#include "server/models.h"
#include "server/routes.h"

#include <stdlib.h>
#include <string.h>

static struct served *find(struct server *s, const char *name, struct fault *f) {
    struct served *m = name && *name ? models_find(s->models, name) : NULL;
    if (!m) refuse_as(f, 404, "model_not_found", "model", "no model '%.100s' is served here", name ? name : "");
    return m;
}

// The model that a body names; NULL: refused.
static struct served *named(struct server *s, struct exchange *x, struct fault *f) {
    const char *key;
    json_t *value, *body = ask_body(x, f), *model = json_object_get(body, "model");
    struct served *m = NULL;
    json_object_foreach(body, key, value) if (strcmp(key, "model"))
        refuse_as(f, 400, "unknown_parameter", key, "unknown parameter: '%.60s'", key);
    if (body && !f->status && !json_is_string(model)) refuse(f, 400, "model", "model: takes a model's name");
    if (body && !f->status) m = find(s, json_string_value(model), f);
    json_decref(body);
    return m;
}

static void reply_state(struct exchange *x, struct served *m) {
    struct buf json = {0};
    struct js o = {.out = &json};
    struct served_state state;
    served_get(m, &state);
    js_open(&o, NULL, '{');
    js_bool(&o, "success", true);
    js_string_of(&o, "model", served_name(m));
    js_bool(&o, "loaded", state.loaded);
    js_close(&o, '}');
    reply_json(x, 200, &json);
}

void handle_model_load(struct server *s, struct exchange *x) {
    struct fault f = {0};
    struct served *m = named(s, x, &f);
    if (m && served_load(m, &f, NULL)) {
        reply_state(x, m);
        served_release(m);
    } else {
        reply_fault(x, x->route->surface, &f);
    }
}

void handle_model_unload(struct server *s, struct exchange *x) {
    struct fault f = {0};
    struct served *m = named(s, x, &f);
    if (m && served_unload(m, &f))
        reply_state(x, m);
    else
        reply_fault(x, x->route->surface, &f);
}

static void put_card(struct js *o, struct served *m, const json_t *about) {
    struct served_state state;
    char *text = about ? json_dumps(about, JSON_COMPACT) : NULL;
    served_get(m, &state);
    js_open(o, NULL, '{');
    js_string_of(o, "id", served_name(m));
    js_string_of(o, "object", "model.card");
    js_open(o, "memory", '{');
    js_whole(o, "weights", (int64_t)state.plan.weights);
    js_whole(o, "conversations", (int64_t)state.plan.talk);
    js_close(o, '}');
    if (text)
        js_raw(o, "about", text, strlen(text));
    else
        js_none(o, "about");
    js_close(o, '}');
    o->out->failed |= about && !text;
    free(text);
}

void handle_model_card(struct server *s, struct exchange *x) {
    struct fault f = {0};
    struct buf json = {0};
    struct js o = {.out = &json};
    char *name = exchange_query(x, "model");
    struct served *m = find(s, name, &f);
    json_t *about = m && served_good(m, &f) ? served_card(m, &f) : NULL;
    free(name);
    if (f.status) {
        reply_fault(x, x->route->surface, &f);
        return;
    }
    put_card(&o, m, about);
    json_decref(about);
    reply_json(x, 200, &json);
}
