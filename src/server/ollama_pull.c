// POST /api/pull (https://github.com/ollama/ollama/blob/main/docs/api.md#pull-a-model): a model from the hub, told of
// while it comes, and served from then on. On a clerk.
#include "server/access.h"
#include "server/routes.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PULLS = 2 };
static const double TELL_SECONDS = 0.25;

struct pull {
    struct server *server;
    struct exchange *x;
    bool stream, told; // something was
    double last;
};

// ------------------------------------------------------------------------------------------------ a stream's lines

struct line {
    struct exchange *x; // held
    struct buf json;
    bool first, last;
};

static void send_line(void *arg) {
    struct line *l = arg;
    if (l->first) reply_start(l->x, 200, "application/x-ndjson");
    buf_putc(&l->json, '\n');
    reply_more(l->x, l->json.data, l->json.failed ? 0 : l->json.size);
    if (l->last) reply_end(l->x);
    exchange_release(l->x);
    buf_free(&l->json);
    free(l);
}

static void post_line(struct pull *p, struct buf *json, bool last) {
    struct line *l = malloc(sizeof *l);
    if (!l) { // the client's own time limit ends it
        buf_free(json);
        return;
    }
    exchange_hold(p->x);
    *l = (struct line){p->x, *json, !p->told, last};
    *json = (struct buf){0};
    p->told = true;
    http_post(p->server->http, send_line, l);
}

static void put_status(struct buf *json, const char *status, const char *name, const gyr_pull_progress *at) {
    struct js o = {.out = json};
    js_open(&o, NULL, '{');
    js_string_of(&o, "status", status);
    if (at && at->total) {
        js_string_of(&o, "digest", name); // what programs tell one bar from another by
        js_whole(&o, "total", (int64_t)at->total);
        js_whole(&o, "completed", (int64_t)at->done);
    }
    js_close(&o, '}');
}

// ------------------------------------------------------------------------------------------------ pulling

struct watch {
    struct pull *pull;
    const char *name;
};

static bool on_progress(void *user, const gyr_pull_progress *at) {
    const struct watch *w = user;
    struct pull *p = w->pull;
    struct buf json = {0};
    if (atomic_load(&p->x->gone) || atomic_load(&p->server->draining)) return false; // what came is kept
    if (!p->stream || now_seconds() - p->last < TELL_SECONDS) return true;
    p->last = now_seconds();
    put_status(&json, at->doing, w->name, at);
    post_line(p, &json, false);
    return true;
}

// A model's name as gyr has it: programs write hf.co/OWNER/NAME for hf:OWNER/NAME.
static char *hub_name(const char *name) {
    static const char *const hosts[] = {"hf.co/", "huggingface.co/", "https://hf.co/", "https://huggingface.co/"};
    char *made = NULL;
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++)
        if (!strncmp(name, hosts[i], strlen(hosts[i])))
            return asprintf(&made, "hf:%s", name + strlen(hosts[i])) < 0 ? NULL : made;
    return strdup(name);
}

// Where the store is, is nothing for clients.
static void hide_store(char *message, size_t size) {
    char *text = gyr_pulled_list(NULL, NULL);
    json_t *list = text ? json_loads(text, 0, NULL) : NULL;
    const char *folder = json_string_value(json_object_get(list, "folder"));
    for (char *at; folder && *folder && (at = strstr(message, folder));)
        memmove(at, at + strlen(folder), strnlen(at, size) - strlen(folder) + 1);
    json_decref(list);
    gyr_free(text);
}

static bool get(struct pull *p, const char *name, const char *hub, struct fault *f) {
    gyr_error e = {0};
    struct watch w = {p, name};
    gyr_pull_options how = {.name = hub, .progress = on_progress, .user = &w};
    char *path = gyr_pull(&how, &e);
    bool ok = path && models_add(p->server->models, name, path, &e);
    gyr_free(path);
    if (ok) return true;
    server_log(p->server, e.message);
    hide_store(e.message, sizeof e.message);
    return refuse_error(f, &e, e.status == GYR_USAGE || e.status == GYR_UNSUPPORTED);
}

static bool may_pull(struct server *s, const struct exchange *x, struct fault *f) {
    return s->o->pull || access_manages(s->access, x) ||
           refuse(f, 403, NULL,
                  "no models are pulled here: that takes an administrator's key, or a server with --pull");
}

static bool begin(struct pull *p, const char *name, struct fault *f) {
    char *hub = hub_name(name);
    bool ok = hub || refuse(f, 503, NULL, "out of memory; try again later");
    if (ok && !gyr_is_hub_name(hub))
        ok = refuse(f, 400, "model", "model: '%.100s': a model of the hub is named hf:OWNER/NAME or hf.co/OWNER/NAME",
                    name);
    if (ok && atomic_fetch_add(&p->server->pulls, 1) >= MAX_PULLS) {
        atomic_fetch_sub(&p->server->pulls, 1);
        ok = refuse(f, 429, NULL, "%d models are being pulled already; try again later", MAX_PULLS);
        f->retry_after = 60;
    } else if (ok) {
        ok = get(p, name, hub, f);
        atomic_fetch_sub(&p->server->pulls, 1);
    }
    free(hub);
    return ok;
}

static bool read_request(struct pull *p, const json_t *body, const char **name, struct fault *f) {
    static const char *const known[] = {"model", "name", "stream", "insecure"};
    const char *key;
    json_t *value, *stream = json_object_get(body, "stream"), *model = json_object_get(body, "model");
    json_object_foreach((json_t *)(uintptr_t)body, key, value) {
        bool is = false;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++) is |= !strcmp(key, known[i]);
        if (!is) return refuse_as(f, 400, "unknown_parameter", key, "unknown parameter: '%.60s'", key);
    }
    if (json_is_true(json_object_get(body, "insecure"))) return refuse(f, 400, "insecure", "insecure: not supported");
    if (stream && !json_is_boolean(stream)) return refuse(f, 400, "stream", "stream: takes true or false");
    p->stream = !stream || json_is_true(stream);
    *name = json_string_value(model ? model : json_object_get(body, "name"));
    return (*name && **name && strlen(*name) < 400) || refuse(f, 400, "model", "model: takes a model's name");
}

static void finish(struct pull *p, const struct fault *f) {
    struct buf json = {0};
    if (f->status && !p->told) {
        reply_fault(p->x, p->x->route->surface, f);
        return;
    }
    if (f->status)
        p->x->route->surface->error(&json, f);
    else
        put_status(&json, "success", NULL, NULL);
    while (json.size && json.data[json.size - 1] == '\n') json.size--;
    if (p->stream)
        post_line(p, &json, true);
    else
        reply_json(p->x, 200, &json);
}

void handle_pull(struct server *s, struct exchange *x) {
    struct pull p = {.server = s, .x = x};
    struct fault f = {0};
    const char *name = NULL;
    json_t *body = may_pull(s, x, &f) ? ask_body(x, &f) : NULL;
    bool ok = body && read_request(&p, body, &name, &f) && begin(&p, name, &f);
    if (ok || f.status) finish(&p, &f);
    json_decref(body);
}
