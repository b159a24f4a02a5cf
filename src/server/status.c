// What the server says of itself: /health, /props, /metrics, /v1/models.
#include "server/routes.h"

#include "base/clock.h"
#include "base/energy.h"
#include "server/tuner.h"

void handle_health(struct server *s, struct exchange *x) {
    (void)s;
    static const char ok[] = "{\"status\":\"ok\"}\n";
    reply_whole(x, 200, "application/json", ok, sizeof ok - 1);
}

// Whether it is in memory, whether it could be, and what it would take.
static void put_state(struct js *o, const struct served_state *state) {
    static const char *const rooms[] = {[ROOM_NOW] = "now", [ROOM_ALONE] = "alone", [ROOM_NEVER] = "never"};
    js_string_of(o, "state",
                 state->loading    ? "loading"
                 : state->draining ? "unloading"
                 : state->loaded   ? "loaded"
                                   : "unloaded");
    if (state->loading) js_number(o, "progress", state->progress);
    js_whole(o, "requests", state->holders);
    js_string_of(o, "fits", rooms[state->room]);
    js_open(o, "memory", '{');
    js_whole(o, "weights", (int64_t)state->plan.weights);
    js_whole(o, "conversations", (int64_t)state->plan.talk);
    js_close(o, '}');
}

static void put_model(struct js *o, struct served *m) {
    struct served_state state;
    served_get(m, &state);
    if (state.broken) return;
    js_open(o, NULL, '{');
    js_string_of(o, "id", served_name(m));
    js_string_of(o, "object", "model");
    js_whole(o, "created", served_since(m));
    js_string_of(o, "owned_by", "gyr");
    js_string_of(o, "root", served_name(m));
    js_none(o, "parent");
    js_bool(o, "loaded", state.loaded);
    put_state(o, &state);
    if (state.loaded) {
        const gyr_model_info *info = &state.info;
        js_whole(o, "max_model_len", info->context);
        js_string_of(o, "architecture", info->architecture);
        js_string_of(o, "types", info->types);
        js_whole(o, "parameters", (int64_t)info->parameters);
    }
    js_whole(o, "bytes", (int64_t)state.plan.weights);
    js_close(o, '}');
}

// A model with an adapter: `parent` is the model's name, as vLLM says it.
static void put_tuned(void *user, const struct tuned_state *t) {
    struct js *o = user;
    struct served_state state;
    served_get(t->model, &state);
    js_open(o, NULL, '{');
    js_string_of(o, "id", t->name);
    js_string_of(o, "object", "model");
    js_whole(o, "created", t->since);
    js_string_of(o, "owned_by", "gyr");
    js_string_of(o, "root", t->root);
    js_string_of(o, "parent", served_name(t->model));
    js_bool(o, "loaded", t->open);
    js_string_of(o, "state", t->open ? "loaded" : "unloaded");
    js_whole(o, "requests", t->holders);
    if (state.loaded) js_whole(o, "max_model_len", state.info.context);
    if (t->bytes) js_whole(o, "bytes", (int64_t)t->bytes);
    if (t->checksum) js_string_of(o, "checksum", t->checksum);
    js_close(o, '}');
}

void handle_models(struct server *s, struct exchange *x) {
    struct buf json = {0};
    struct js o = {.out = &json};
    js_open(&o, NULL, '{');
    tuner_see(s);
    js_string_of(&o, "object", "list");
    js_open(&o, "data", '[');
    for (size_t i = 0; i < models_count(s->models); i++) put_model(&o, models_at(s->models, i));
    adapters_each(s->adapters, NULL, exchange_sees(x), put_tuned, &o);
    js_close(&o, ']');
    js_close(&o, '}');
    reply_json(x, 200, &json);
}

void handle_model(struct server *s, struct exchange *x) {
    struct served *m = models_find(s->models, x->tail);
    struct buf json = {0};
    struct js o = {.out = &json};
    struct fault f;
    if (!m) tuner_see(s);
    if (adapters_each(s->adapters, x->tail, exchange_sees(x), put_tuned, &o)) {
        reply_json(x, 200, &json);
        return;
    }
    if (!m) refuse_as(&f, 404, "model_not_found", "model", "no model '%.100s' is served here; see /v1/models", x->tail);
    if (!m || !served_good(m, &f)) {
        reply_fault(x, x->route->surface, &f);
        return;
    }
    put_model(&o, m);
    reply_json(x, 200, &json);
}

void handle_props(struct server *s, struct exchange *x) {
    struct buf json = {0};
    struct js o = {.out = &json};
    js_open(&o, NULL, '{');
    js_string_of(&o, "version", gyr_version());
    js_whole(&o, "edition", gyr_edition());
    js_whole(&o, "parallel", s->o->parallel);
    js_whole(&o, "waiting", s->o->waiting);
    js_open(&o, "memory", '{');
    if (models_memory(s->models) == UINT64_MAX)
        js_none(&o, "limit");
    else
        js_whole(&o, "limit", (int64_t)models_memory(s->models));
    js_whole(&o, "used", (int64_t)models_taken(s->models));
    js_close(&o, '}');
    js_open(&o, "models", '[');
    for (size_t i = 0; i < models_count(s->models); i++) put_model(&o, models_at(s->models, i));
    js_close(&o, ']');
    js_close(&o, '}');
    reply_json(x, 200, &json);
}

void handle_metrics(struct server *s, struct exchange *x) {
    struct scheduler_stats st;
    struct buf out = {0};
    scheduler_get_stats(s->scheduler, &st);
    const struct {
        const char *name, *type, *help;
        double value;
    } rows[] = {
        {"vllm:num_requests_running", "gauge", "Answers that are being computed.", st.running - st.aside},
        {"vllm:num_requests_waiting", "gauge", "Requests that wait, and answers set aside.", st.waiting + st.aside},
        {"vllm:kv_cache_usage_perc", "gauge", "Part of the KV cache's memory in use, 0 to 1.",
         st.kv_limit ? (double)st.kv_used / (double)st.kv_limit : 0},
        {"vllm:prompt_tokens_total", "counter", "Tokens of prompts that were computed.", (double)st.prompt_tokens},
        {"vllm:generation_tokens_total", "counter", "Tokens of answers.", (double)st.answer_tokens},
        {"vllm:prompt_tokens_cached_total", "counter", "Tokens of prompts that were there.", (double)st.cached_tokens},
        {"vllm:prefix_cache_queries_total", "counter", "Tokens looked for in the prefix cache.",
         (double)st.queried_tokens},
        {"vllm:prefix_cache_hits_total", "counter", "Tokens found in the prefix cache.", (double)st.cached_tokens},
        {"vllm:num_preemptions_total", "counter", "Answers set aside for want of memory or of a place.",
         (double)st.set_aside},
        {"gyr:steps_total", "counter", "Batches computed.", (double)st.steps},
        {"gyr:conversations", "gauge", "Conversations remembered in memory.", (double)st.conversations},
        {"gyr:conversations_dropped_total", "counter", "Conversations forgotten to make room.", (double)st.dropped},
        {"gyr:disk_cache_bytes", "gauge", "Bytes of conversations on the disk.", (double)st.disk.bytes},
        {"gyr:disk_cache_tokens_total", "counter", "Tokens of prompts that were read from the disk.",
         (double)st.disk_tokens},
        {"gyr:disk_cache_saved_total", "counter", "Parts of conversations written.", (double)st.disk.saved},
        {"gyr:disk_cache_removed_total", "counter", "Parts removed to make room, or damaged.", (double)st.disk.removed},
        {"gyr:answers_cancelled_total", "counter", "Answers whose client left.", (double)st.cancelled},
        {"gyr:answers_failed_total", "counter", "Answers that failed.", (double)st.failed},
        {"gyr:kv_cache_bytes", "gauge", "Memory of keys and values in use.", (double)st.kv_used},
        {"gyr:kv_cache_limit_bytes", "gauge", "Memory that keys and values may take.", (double)st.kv_limit},
        {"gyr:connections", "gauge", "Open connections.", http_connections(s->http)},
        {"gyr:requests_total", "counter", "HTTP requests.", (double)s->counts.requests},
        {"gyr:uptime_seconds", "gauge", "Since the server was started.", now_seconds() - s->started},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        buf_printf(&out, "# HELP %s %s\n# TYPE %s %s\n%s %.17g\n", rows[i].name, rows[i].help, rows[i].name,
                   rows[i].type, rows[i].name, rows[i].value);
    double joules;
    if (energy_since_start(s->energy, &joules))
        buf_printf(
            &out,
            "# HELP gyr:energy_joules_total Energy that the machine's processors took, and the card that models are "
            "on, whoever used them.\n"
            "# TYPE gyr:energy_joules_total counter\ngyr:energy_joules_total %.17g\n",
            joules);
    static const char *const reasons[] = {"", "stop", "stop", "length", "abort", "error"};
    buf_puts(&out, "# HELP vllm:request_success_total Answers by why they ended.\n"
                   "# TYPE vllm:request_success_total counter\n");
    for (size_t i = 2; i < sizeof reasons / sizeof *reasons; i++)
        buf_printf(&out, "vllm:request_success_total{finished_reason=\"%s\"} %llu\n", reasons[i],
                   (unsigned long long)(st.finished[i] + (i == 2 ? st.finished[1] : 0)));
    reply_whole(x, 200, "text/plain; version=0.0.4; charset=utf-8", out.data, out.size);
    buf_free(&out);
}
