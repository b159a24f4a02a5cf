// Requests that a model answers: to a job for the scheduler.
#include "server/access.h"
#include "server/routes.h"
#include "server/tuner.h"

#include <stdlib.h>

struct submission {
    struct server *server;
    struct job *job;
};

// In the loop: from now on, a client that leaves ends its job.
static void submit(void *arg) {
    struct submission *b = arg;
    struct job *j = b->job;
    struct exchange *x = j->x;
    struct fault f;
    x->left = job_cancel;
    x->user = j;
    if (atomic_load(&x->gone)) {
        job_release(j);
    } else if (!scheduler_add(b->server->scheduler, j)) {
        x->left = NULL;
        refuse(&f, 429, NULL, "too many requests wait already; try again later");
        f.retry_after = 5;
        reply_fault(x, x->route->surface, &f);
        job_release(j);
    }
    free(b);
}

// Reads the request into the job, or, where no model has to answer, replies.
static bool prepare(struct server *s, struct job *j, const json_t *body, bool *said, struct fault *f) {
    const gyr_model_info *info = served_info(j->model);
    const struct route *r = j->x->route;
    struct buf json = {0};
    struct ask a = {.job = j, .body = body, .tokenizer = gyr_model_tokenizer(served_model(j->model))};
    a.context = s->o->context && s->o->context < info->context ? s->o->context : info->context;
    a.store = access_store(s->access);
    a.reply = &json;
    a.owner = exchange_owner(j->x);
    a.spellings = s->spellings;
    *said = r->say;
    if (r->say && !access_once(s->access, j->x, f)) return false;
    if (r->say && r->say(&a, &json, f)) return reply_json(j->x, 200, &json), true;
    buf_free(&json);
    if (r->say) return false;
    j->scheduler = s->scheduler;
    bool plain = r->read == embeddings_read || r->read == rerank_read;
    if (info->encoder && !plain)
        return refuse(f, 400, "model", "%s: this model %s", served_name(j->model),
                      info->relevance ? "ranks documents alone: /v1/rerank" : "makes embeddings alone: /v1/embeddings");
    if (j->tuned && plain)
        return refuse(f, 400, "model", "%s: is an adapter; embeddings and ranks are of models without one",
                      job_model(j));
    bool ok = r->read(&a, f);
    *said = ok && json.size;
    if (*said) return reply_json(j->x, 200, &json), true;
    buf_free(&json);
    if (!ok) return false;
    j->priority += j->x->behind;
    return access_begin(s->access, j, a.context, f);
}

// A job for the model of that name, loaded, with its adapter, if it is the name of one. NULL: refused.
static struct job *job_for(struct server *s, struct exchange *x, const char *name, struct fault *f) {
    struct tuned *tuned = name && *name ? tuner_find(s, name, exchange_sees(x)) : NULL;
    struct served *model = tuned ? tuned_model(tuned) : models_find(s->models, name);
    struct job *j = NULL;
    if (!model) {
        refuse_as(f, 404, "model_not_found", "model", "no model '%.100s' is served here; see /v1/models", name);
    } else if (served_load(model, f, NULL)) {
        bool ready = !tuned || tuned_open(tuned, f);
        if (ready && !(j = job_new(x, model, tuned))) refuse(f, 503, NULL, "out of memory; try again later");
        served_release(model);
    }
    if (tuned) tuned_release(tuned);
    return j;
}

static bool ask_model(struct server *s, struct exchange *x, const json_t *body, struct fault *f) {
    const json_t *name = json_object_get(body, "model");
    if (name && !json_is_string(name) && !json_is_null(name)) return refuse(f, 400, "model", "model: takes a string");
    struct job *j = job_for(s, x, json_string_value(name), f);
    if (!j) return false;
    bool said = false;
    struct submission *b = malloc(sizeof *b);
    bool ok = b ? prepare(s, j, body, &said, f) : refuse(f, 503, NULL, "out of memory; try again later");
    if (ok && !said) {
        *b = (struct submission){s, j};
        http_post(s->http, submit, b);
    } else {
        if (!ok) served_hide_path(j->model, f->message, sizeof f->message);
        free(b);
        job_release(j);
    }
    return ok;
}

void handle_answer(struct server *s, struct exchange *x) {
    struct fault f = {0};
    json_t *body = ask_body(x, &f);
    exchange_drop_body(x);
    if (!body || !ask_model(s, x, body, &f)) reply_fault(x, x->route->surface, &f);
    json_decref(body);
}
