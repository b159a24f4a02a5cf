// /v1/fine_tuning/jobs, and the deletion of what they made: what clients ask of fine-tuning. The work: tuner.h.
#include "server/ask.h"
#include "server/keys.h"
#include "server/tune_read.h"
#include "server/tuner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PAGE = 20, MAX_PAGE = 100, MAX_EVENTS = 1000, UNDER_WAY = 100 };

// ------------------------------------------------------------------------------------------------ replies

static void whole_or_auto(struct js *o, const char *name, int64_t value) {
    if (value)
        js_whole(o, name, value);
    else
        js_string_of(o, name, "auto");
}

static void number_or_auto(struct js *o, const char *name, double value) {
    if (value > 0)
        js_number(o, name, value);
    else
        js_string_of(o, name, "auto");
}

static void put_hyperparameters(struct js *o, const struct tune *t) {
    js_open(o, "hyperparameters", '{');
    whole_or_auto(o, "n_epochs", t->epochs);
    whole_or_auto(o, "batch_size", t->batch);
    number_or_auto(o, "learning_rate_multiplier", t->rate);
    if (t->prefers) number_or_auto(o, "beta", t->beta);
    js_close(o, '}');
}

static void whole_or_none(struct js *o, const char *name, int64_t value) {
    if (value)
        js_whole(o, name, value);
    else
        js_none(o, name);
}

static void text_or_none(struct js *o, const char *name, const char *text) {
    js_string_of(o, name, *text ? text : NULL);
}

static void json_or_none(struct js *o, const char *name, const char *json) {
    if (*json)
        js_raw(o, name, json, strlen(json));
    else
        js_none(o, name);
}

static void put_job(struct js *o, const struct tune *t) {
    js_open(o, NULL, '{');
    js_string_of(o, "object", "fine_tuning.job");
    js_string_of(o, "id", t->id);
    js_string_of(o, "model", t->base);
    js_whole(o, "created_at", t->created);
    whole_or_none(o, "finished_at", t->finished);
    text_or_none(o, "fine_tuned_model", t->model);
    js_string_of(o, "organization_id", "gyr");
    js_open(o, "result_files", '[');
    if (*t->result) js_string_of(o, NULL, t->result);
    js_close(o, ']');
    js_string_of(o, "status", tune_state_name(t->state));
    js_string_of(o, "training_file", t->training);
    text_or_none(o, "validation_file", t->validation);
    put_hyperparameters(o, t);
    whole_or_none(o, "trained_tokens", t->state == TUNE_SUCCEEDED ? t->tokens : 0);
    json_or_none(o, "error", t->error);
    text_or_none(o, "user_provided_suffix", t->suffix);
    js_whole(o, "seed", t->seed);
    whole_or_none(o, "estimated_finish", t->finish_at);
    js_open(o, "integrations", '[');
    js_close(o, ']');
    json_or_none(o, "metadata", t->metadata);
    js_open(o, "method", '{');
    js_string_of(o, "type", t->prefers ? "dpo" : "supervised");
    js_open(o, t->prefers ? "dpo" : "supervised", '{');
    put_hyperparameters(o, t);
    js_close(o, '}');
    js_close(o, '}');
    js_close(o, '}');
}

static bool reply_job(struct exchange *x, struct tune *t) {
    struct buf json = {0};
    struct js o = {.out = &json};
    put_job(&o, t);
    tune_clear(t);
    reply_json(x, 200, &json);
    return true;
}

static void put_event(struct js *o, const struct tune_event *e) {
    static const char *const levels[] = {"info", "warn", "error"};
    js_open(o, NULL, '{');
    js_string_of(o, "object", "fine_tuning.job.event");
    js_string_of(o, "id", e->id);
    js_whole(o, "created_at", e->at);
    js_string_of(o, "level", levels[e->level > 0 && e->level < 3 ? e->level : 0]);
    js_string_of(o, "message", e->message);
    js_string_of(o, "type", e->step ? "metrics" : "message");
    if (*e->data)
        js_raw(o, "data", e->data, strlen(e->data));
    else
        js_raw(o, "data", "{}", 2);
    js_close(o, '}');
}

static void put_checkpoint(struct js *o, const struct tune *t, const struct tune_checkpoint *c) {
    js_open(o, NULL, '{');
    js_string_of(o, "object", "fine_tuning.job.checkpoint");
    js_string_of(o, "id", c->id);
    js_whole(o, "created_at", c->at);
    js_string_of(o, "fine_tuned_model_checkpoint", c->model);
    js_string_of(o, "fine_tuning_job_id", t->id);
    js_whole(o, "step_number", c->step);
    js_raw(o, "metrics", c->data, strlen(c->data));
    js_close(o, '}');
}

// ------------------------------------------------------------------------------------------------ a page

static bool read_page(struct exchange *x, struct tune_page *p, char **after, long most, struct fault *f) {
    char *text = exchange_query(x, "limit"), *end = NULL;
    long n = text ? strtol(text, &end, 10) : PAGE;
    bool good = n >= 1 && n <= most && (!text || (*text && !*end));
    free(text);
    if (!good) return refuse(f, 400, "limit", "limit: takes whole numbers from 1 to %ld", most);
    p->limit = (size_t)n;
    p->after = *after = exchange_query(x, "after");
    return true;
}

static void begin_list(struct js *o) {
    js_open(o, NULL, '{');
    js_string_of(o, "object", "list");
    js_open(o, "data", '[');
}

static void end_list(struct js *o, const struct tune_page *p, const char *first, const char *last) {
    js_close(o, ']');
    js_string_of(o, "first_id", p->count ? first : NULL);
    js_string_of(o, "last_id", p->count ? last : NULL);
    js_bool(o, "has_more", p->more);
    js_close(o, '}');
}

static bool list(struct server *s, struct exchange *x, struct fault *f) {
    struct store *store = server_keeps(s, f);
    struct tune_page p = {0};
    struct buf json = {0};
    struct js o = {.out = &json};
    char *after = NULL;
    gyr_error e = {0};
    if (!store || !read_page(x, &p, &after, MAX_PAGE, f)) return false;
    if (x->query && strstr(x->query, "metadata"))
        return free(after), refuse(f, 400, "metadata", "metadata: jobs are not looked for by it");
    struct tune *all = tunes_list(store, exchange_sees(x), &p, &e);
    free(after);
    if (!all) return refuse_state(s, f, &e, 400);
    begin_list(&o);
    for (size_t i = 0; i < p.count; i++) put_job(&o, &all[i]);
    end_list(&o, &p, all[0].id, all[p.count ? p.count - 1 : 0].id);
    for (size_t i = 0; i < p.count; i++) tune_clear(&all[i]);
    free(all);
    reply_json(x, 200, &json);
    return true;
}

// ------------------------------------------------------------------------------------------------ one job

static bool find(struct server *s, struct exchange *x, struct tune *t, const char **rest, struct fault *f) {
    struct store *store = server_keeps(s, f);
    gyr_error e = {0};
    char id[TUNE_ID + 1];
    size_t n = strcspn(x->tail, "/");
    *rest = x->tail + n;
    if (!store) return false;
    snprintf(id, sizeof id, "%.*s", (int)(n < sizeof id ? n : 0), x->tail); // a longer one is nobody's
    if (tune_find(store, exchange_sees(x), id, t, &e)) return true;
    return e.status == GYR_USAGE ? refuse(f, 404, "fine_tuning_job_id", "fine-tuning job %.60s: there is none", x->tail)
                                 : refuse_state(s, f, &e, 404);
}

static bool reply_events(struct server *s, struct exchange *x, const struct tune *t, struct fault *f) {
    struct tune_page p = {0};
    struct buf json = {0};
    struct js o = {.out = &json};
    char *after = NULL;
    gyr_error e = {0};
    if (!read_page(x, &p, &after, MAX_EVENTS, f)) return false;
    struct tune_event *all = tune_events(server_store(s), t->seq, &p, &e);
    free(after);
    if (!all) return refuse_state(s, f, &e, 400);
    begin_list(&o);
    for (size_t i = 0; i < p.count; i++) put_event(&o, &all[i]);
    end_list(&o, &p, all[0].id, all[p.count ? p.count - 1 : 0].id);
    tune_events_free(all, p.count);
    reply_json(x, 200, &json);
    return true;
}

static bool reply_checkpoints(struct server *s, struct exchange *x, const struct tune *t, struct fault *f) {
    struct tune_page p = {0};
    struct buf json = {0};
    struct js o = {.out = &json};
    char *after = NULL;
    gyr_error e = {0};
    if (!read_page(x, &p, &after, MAX_PAGE, f)) return false;
    struct tune_checkpoint *all = tune_checkpoints(server_store(s), t->seq, &p, &e);
    free(after);
    if (!all) return refuse_state(s, f, &e, 400);
    begin_list(&o);
    for (size_t i = 0; i < p.count; i++) put_checkpoint(&o, t, &all[i]);
    end_list(&o, &p, all[0].id, all[p.count ? p.count - 1 : 0].id);
    tune_checkpoints_free(all, p.count);
    reply_json(x, 200, &json);
    return true;
}

static bool get(struct server *s, struct exchange *x, struct fault *f) {
    static const struct {
        const char *rest;
        bool (*reply)(struct server *, struct exchange *, const struct tune *, struct fault *);
    } lists[] = {{"/events", reply_events}, {"/checkpoints", reply_checkpoints}};
    struct tune t;
    const char *rest;
    if (!find(s, x, &t, &rest, f)) return false;
    if (!*rest) return reply_job(x, &t);
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        if (!strcmp(rest, lists[i].rest)) {
            bool ok = lists[i].reply(s, x, &t, f);
            tune_clear(&t);
            return ok;
        }
    tune_clear(&t);
    return refuse(f, 404, NULL, "%.200s: there is nothing here", x->path);
}

// Cancel, pause, resume.
static bool turn(struct server *s, struct exchange *x, struct fault *f) {
    static const struct {
        const char *rest;
        enum tune_state to;
    } turns[] = {{"/cancel", TUNE_CANCELLED}, {"/pause", TUNE_PAUSED}, {"/resume", TUNE_QUEUED}};
    struct tune t;
    gyr_error e = {0};
    const char *rest;
    size_t i = 0, n = sizeof turns / sizeof *turns;
    if (!find(s, x, &t, &rest, f)) return false;
    while (i < n && strcmp(rest, turns[i].rest)) i++;
    tune_clear(&t);
    if (i == n) return refuse(f, 404, NULL, "%.200s: there is nothing here", x->path);
    if (!tune_turn(server_store(s), exchange_sees(x), t.id, turns[i].to, time(NULL), &t, &e))
        return e.status == GYR_FAILED ? refuse(f, 400, NULL, "%s", e.message) : refuse_state(s, f, &e, 404);
    tuner_hold(s->tuner, t.id);
    tuner_tidy(s->tuner, &t);
    return reply_job(x, &t);
}

// ------------------------------------------------------------------------------------------------ a new job

static bool accept_wish(struct server *s, struct exchange *x, const struct tune_wish *w, struct fault *f) {
    struct store *store = server_keeps(s, f);
    struct tune made;
    gyr_error e = {0};
    if (!store) return false;
    if (!s->tuner) return refuse(f, 403, NULL, "this server does not fine-tune: --tune-threads 0, or --no-cpu");
    if (!tune_add(store, w, time(NULL), &made, &e))
        return e.status == GYR_TOO_LONG ? refuse(f, 429, NULL, "%s", e.message) : refuse_state(s, f, &e, 400);
    tuner_wake(s->tuner);
    return reply_job(x, &made);
}

static bool add(struct server *s, struct exchange *x, struct fault *f) {
    const struct key *k = x->account;
    json_t *body = ask_body(x, f);
    struct tune_wish w = {.owner = exchange_owner(x), .shared = k && k->admin, .suffix = "", .most = UNDER_WAY};
    bool ok = body && tune_read_wish(s, x, body, &w, f);
    const json_t *metadata = json_object_get(body, "metadata");
    char *text = ok && json_is_object(metadata) ? json_dumps(metadata, JSON_COMPACT) : NULL;
    w.metadata = text;
    ok = ok && accept_wish(s, x, &w, f);
    free(text);
    json_decref(body);
    return ok;
}

// ------------------------------------------------------------------------------------------------ deletion

static bool delete_model(struct server *s, struct exchange *x, struct fault *f) {
    struct store *store = server_keeps(s, f);
    gyr_error e = {0};
    if (!store) return false;
    if (models_find(s->models, x->tail))
        return refuse(f, 403, "model",
                      "%.200s: is a model of this server's own; those that were fine-tuned here can "
                      "be deleted",
                      x->tail);
    if (!tune_delete_model(store, exchange_sees(x), x->tail, &e))
        return e.status == GYR_USAGE ? refuse_as(f, 404, "model_not_found", "model", "%s", e.message)
                                     : refuse_state(s, f, &e, 404);
    if (!tuner_serve(s, &e)) return refuse_state(s, f, &e, 500);
    reply_deleted(x, "model", "id", x->tail);
    return true;
}

HANDLER(handle_tune_add, add)
HANDLER(handle_tune_list, list)
HANDLER(handle_tune, get)
HANDLER(handle_tune_turn, turn)
HANDLER(handle_model_delete, delete_model)
