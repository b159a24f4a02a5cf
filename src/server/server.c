#include "server/server.h"

#include "base/clock.h"
#include "server/access.h"
#include "server/batcher.h"
#include "server/housekeeping.h"
#include "server/metering.h"
#include "server/model_plan.h"
#include "server/routes.h"
#include "server/tuner.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_CLERKS = 32, CONVERSATIONS = 128, IDLE_SECONDS = 60, QUIET_TICKS = 5, BODIES = 32 };

static void on_request(void *user, struct exchange *x) { routes_take(user, x); }

static bool on_head(void *user, struct exchange *x) { return routes_welcome(user, x); }

static void on_answered(void *user, const struct exchange *x) {
    struct server *s = user;
    const struct key *k = x->account;
    bool left = atomic_load(&x->gone);
    gyr_error clean = {0};
    if (!s->o->log || (s->o->quiet && x->status < 500)) return;
    // fail() leaves out control characters, which a path may have, and others forge lines with
    fail(&clean, GYR_FAILED, "%s %.160s %d %.3f s %s %s%s%s%.200s", x->method, x->path, x->status,
         now_seconds() - x->came, x->id, k ? k->name : "-", left ? " (left)" : "", x->why ? ": " : "",
         x->why ? x->why : "");
    s->o->log(s->o->user, clean.message);
}

// In the loop, now and then; and, once it is to end, until what was begun is answered.
static void on_tick(void *user) {
    struct server *s = user;
    access_tick(s->access);
    energy_tick(s->energy, now_seconds());
    housekeeping_tick(s);
    if (!s->draining) return;
    s->quiet = http_unanswered(s->http) ? 0 : s->quiet + 1;
    if (s->quiet > QUIET_TICKS) http_stop(s->http); // the last replies are out
}

static void on_stop(void *user) {
    struct server *s = user;
    if (s->draining) { // asked twice: at once
        http_stop(s->http);
        return;
    }
    char line[128];
    s->draining = true;
    batcher_drain(s->batcher);
    tuner_drain(s->tuner);
    http_close_door(s->http);
    snprintf(line, sizeof line, "stopping; %zu requests are being answered, and a second signal ends them",
             http_unanswered(s->http));
    if (s->o->log && http_unanswered(s->http)) s->o->log(s->o->user, line);
}

static void on_line(void *user, const char *line) { server_log(user, line); }

static void stop_now(void *arg) { http_stop(((struct server *)arg)->http); }

// Nothing can be computed any more: who started the server is told by its status, and may start it again.
static void on_gone(void *user, const gyr_error *why) {
    struct server *s = user;
    if (s->gone.status) return;
    s->gone = *why;
    http_post(s->http, stop_now, s);
}

static void on_reload(void *user) {
    struct server *s = user;
    gyr_error e = {0};
    if (!http_reload(s->http, &e) && s->o->log) s->o->log(s->o->user, e.message);
    if (!access_reload(s->access, &e) && s->o->log) s->o->log(s->o->user, e.message);
}

// That there is no state is no error where no key is needed, but is said.
static void note_error(struct server *s, gyr_error *e) {
    if (e->status && s->o->log) s->o->log(s->o->user, e->message);
    *e = (gyr_error){0};
}

// What a model is and takes, for the person who started it.
static void greet_model(struct server *s, struct served *m) {
    const struct serve_options *o = s->o;
    struct served_state is;
    char line[700];
    served_get(m, &is);
    uint32_t context = o->context && o->context < is.info.context ? o->context : is.info.context;
    if (*is.why)
        snprintf(line, sizeof line, "%s: cannot be served: %s", served_name(m), is.why);
    else if (is.loaded)
        snprintf(line, sizeof line, "%s: %s, %.3g M parameters, context of %u tokens; %.3g GB", served_name(m),
                 is.info.architecture, (double)is.info.parameters / 1e6, context, (double)is.plan.weights / 1e9);
    else
        snprintf(line, sizeof line, "%s: is loaded when it is asked for; %.3g GB, and %.3g GB for conversations",
                 served_name(m), (double)is.plan.weights / 1e9, (double)is.plan.talk / 1e9);
    server_log(s, line);
    if (!is.loaded || !*is.info.placement) return;
    snprintf(line, sizeof line, "%s: device: %s", served_name(m), is.info.placement);
    server_log(s, line);
}

// The plan of a model, of one answer at a time.
static void greet_plan(struct server *s, struct served *m, const char *path) {
    char *plan = model_summary(path, s->o), line[700];
    if (plan) {
        snprintf(line, sizeof line, "%s: an answer at a time takes %s", served_name(m), plan);
        server_log(s, line);
    }
    free(plan);
}

static void greet_adapter(void *user, const struct tuned_state *t) {
    char line[512];
    if (t->open)
        snprintf(line, sizeof line, "%s: an adapter of %s; %.3g GB", t->name, served_name(t->model),
                 (double)t->bytes / 1e9);
    else
        snprintf(line, sizeof line, "%s: an adapter of %s; is opened when it is asked for", t->name,
                 served_name(t->model));
    server_log(user, line);
}

// What is served, with what memory, to whom.
static void greet(struct server *s, struct served *first) {
    char line[512];
    struct served_state is;
    gyr_memory m = {0};
    served_get(first, &is);
    for (size_t i = 0; i < models_count(s->models); i++) greet_model(s, models_at(s->models, i));
    if (models_ranks(s->models) > 1) {
        snprintf(line, sizeof line, "%s: on %u ranks; conversations are not kept on disk", served_name(first),
                 models_ranks(s->models));
        server_log(s, line);
    } else if (is.loaded) {
        greet_plan(s, first, s->o->models[0].path);
    }
    adapters_each(s->adapters, NULL, OWNER_ANY, greet_adapter, s);
    if (models_count(s->models) > 1) {
        snprintf(line, sizeof line, "models and their conversations may take %.3g GB; beyond it, others are unloaded",
                 (double)models_memory(s->models) / 1e9);
        server_log(s, line);
    }
    if (is.loaded) gyr_model_get_memory(served_model(first), &m);
    if (is.loaded && is.info.kv_bytes_per_token)
        snprintf(line, sizeof line, "up to %u answers at once, %.3g GB for what they remember (%.3g M tokens)",
                 s->o->parallel, (double)m.limit / 1e9, (double)m.limit / (double)is.info.kv_bytes_per_token / 1e6);
    else
        snprintf(line, sizeof line, "up to %u answers at once of a model", s->o->parallel);
    server_log(s, line);
    snprintf(line, sizeof line,
             access_needs_key(s->access) ? "keys are asked for; keys made: %zu" : "no key is asked for",
             access_keys(s->access));
    server_log(s, line);
    if (access_store(s->access)) {
        snprintf(line, sizeof line, "the state is in %.400s", store_path(access_store(s->access)));
        server_log(s, line);
    }
}

// Loads the first model, unless it is one of a folder.
static bool load_first(struct server *s, gyr_error *e) {
    struct served *first = models_find(s->models, NULL);
    struct fault f = {0};
    bool wait = s->o->models[0].listed;
    if (!wait && !served_load(first, &f, e)) return false;
    bool ok = adapters_open(s->adapters, e);
    if (ok) greet(s, first);
    if (!wait) served_release(first);
    return ok;
}

// What the catalogue says that this machine draws, where no counter tells: gyr.h gives it by the second.
static double catalogue_watts(void) {
    gyr_energy *e = gyr_energy_new("cpu", NULL);
    gyr_energy_spent spent = {0};
    gyr_energy_info info = {0};
    if (e) gyr_energy_get_info(e, &info);
    if (e) gyr_energy_take(e, &spent);
    gyr_energy_free(e);
    return !strcmp(info.source, "catalogue") && spent.seconds > 0 ? spent.joules / spent.seconds : 0;
}

static bool start(struct server *s, gyr_error *e) {
    const struct serve_options *o = s->o;
    struct http_options how = {.host = o->host,
                               .port = o->port,
                               .cert = o->cert,
                               .key = o->key,
                               .max_body = o->body,
                               .max_bodies = o->body > SIZE_MAX / BODIES ? SIZE_MAX : o->body * BODIES,
                               .max_connections = o->connections,
                               .idle_seconds = o->idle ? o->idle : IDLE_SECONDS,
                               .request = on_request,
                               .welcome = on_head,
                               .answered = on_answered,
                               .tick = on_tick,
                               .user = s};
    bool many = o->model.ranks && gyr_ranks_count(o->model.ranks) > 1;
    struct scheduler_options plan = {.parallel = o->parallel < MAX_TURNS ? o->parallel : MAX_TURNS,
                                     .waiting = o->waiting,
                                     .prefill = o->prefill,
                                     .conversations = CONVERSATIONS,
                                     .context = o->context,
                                     .kv_type = o->kv_type,
                                     .disk = many ? NULL : o->pages,
                                     .disk_bytes = o->pages_bytes,
                                     .tell = on_line,
                                     .gone = on_gone,
                                     .user = s};
    struct adapters_options tuned = {o->adapters, o->n_adapters, o->adapter_folder, o->adapter_memory};
    s->started = now_seconds();
    if (!(s->energy = energy_open(NULL, catalogue_watts(), s->started)) || !(s->meter = meter_new(s->energy)))
        return fail_memory(e, "server");
    plan.meter = s->meter;
    if (!(s->access = access_new(o, e)) || (note_error(s, e), !(s->http = http_new(&how, e))) ||
        !(s->models = models_new(o->models, o->n_models, &o->model, o->memory, e)) ||
        !(s->adapters = adapters_new(&tuned, s->models, e)) || !(s->clerks = clerks_new(MAX_CLERKS, e)) ||
        !(s->scheduler = scheduler_new(&plan, e)) || (!(s->spellings = spellings_new()) && !fail_memory(e, "server")))
        return false;
    adapters_tell(s->adapters, s->scheduler);
    models_tell(s->models, s->scheduler, s->adapters, s->energy);
    if (!load_first(s, e)) return false;
    bool keeps = server_store(s);
    bool tunes = keeps && !many && !o->model.no_cpu && o->tune_threads >= 0; // several ranks have no adapters
    if (tunes && !(s->tuner = tuner_new(s, (unsigned)o->tune_threads, e))) return false;
    if (keeps && !many && !tunes && !tuner_serve(s, e)) return false;
    // Half of the places, so that a request finds one even if all lines have long answers.
    return !keeps || (s->batcher = batcher_new(s, plan.parallel > 1 ? plan.parallel / 2 : 1, e));
}

gyr_status serve(const struct serve_options *o, gyr_error *e) {
    struct server s = {.o = o};
    gyr_error made = {0};
    bool ok = start(&s, &made);
    if (ok) {
        if (o->ready) o->ready(o->user, http_url(s.http));
        http_run(s.http, on_stop, on_reload, &s);
    }
    if (s.models) models_stop(s.models);
    tuner_drain(s.tuner);
    if (s.scheduler) scheduler_stop(s.scheduler);
    if (s.http) http_flush(s.http);
    batcher_stop(s.batcher);
    if (s.http) http_flush(s.http);
    clerks_free(s.clerks);
    if (s.http) http_flush(s.http);
    batcher_free(s.batcher);
    tuner_free(s.tuner);
    scheduler_free(s.scheduler);
    http_free(s.http);
    adapters_free(s.adapters);
    models_free(s.models);
    access_free(s.access);
    meter_free(s.meter);
    energy_free(s.energy);
    spellings_free(s.spellings);
    if (ok && s.gone.status) made = s.gone, ok = false;
    if (!ok && e) *e = made;
    return ok ? GYR_OK : made.status;
}
