#include "server/routes.h"

#include "server/access.h"
#include "server/gate.h"
#include "server/openai.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

extern const struct surface plain_surface; // errors where no API has its own shape: OpenAI's

const struct surface plain_surface = {.type = "application/json", .error = openai_error};

static const struct route routes[] = {
    {"GET", "/", OPEN, true, handle_page, &plain_surface},
    {"GET", "/page/*", OPEN, true, handle_page, &plain_surface},
    {"GET", "/health", OPEN, true, handle_health, &plain_surface},
    {"GET", "/v1/models", USER, true, handle_models, &chat_surface},
    {"GET", "/v1/models/*", USER, true, handle_model, &chat_surface},
    {"DELETE", "/v1/models/*", USER, false, handle_model_delete, &chat_surface},
    {"POST", "/v1/chat/completions", USER, false, handle_answer, &chat_surface, chat_read, .batch = true},
    {"GET", "/v1/chat/completions", USER, false, handle_chat_list, &chat_surface},
    {"GET", "/v1/chat/completions/*", USER, false, handle_chat, &chat_surface},
    {"POST", "/v1/chat/completions/*", USER, false, handle_chat_describe, &chat_surface},
    {"DELETE", "/v1/chat/completions/*", USER, false, handle_chat_delete, &chat_surface},
    {"POST", "/v1/responses", USER, false, handle_answer, &responses_surface, responses_read, .batch = true},
    {"POST", "/v1/responses/input_tokens", USER, false, handle_answer, &responses_surface, .say = responses_count},
    {"GET", "/v1/responses/*", USER, false, handle_kept_response, &responses_surface},
    {"DELETE", "/v1/responses/*", USER, false, handle_kept_response, &responses_surface},
    {"POST", "/v1/completions", USER, false, handle_answer, &completions_surface, completions_read, .batch = true},
    {"POST", "/v1/files", USER, false, handle_file_add, &chat_surface},
    {"GET", "/v1/files", USER, false, handle_file_list, &chat_surface},
    {"GET", "/v1/files/*", USER, false, handle_file, &chat_surface},
    {"DELETE", "/v1/files/*", USER, false, handle_file_delete, &chat_surface},
    {"POST", "/v1/batches", USER, false, handle_batch_add, &chat_surface},
    {"GET", "/v1/batches", USER, false, handle_batch_list, &chat_surface},
    {"GET", "/v1/batches/*", USER, false, handle_batch, &chat_surface},
    {"POST", "/v1/batches/*", USER, false, handle_batch_cancel, &chat_surface},
    {"POST", "/v1/fine_tuning/examples", USER, false, handle_tune_examples, &chat_surface},
    {"POST", "/v1/fine_tuning/jobs", USER, false, handle_tune_add, &chat_surface},
    {"GET", "/v1/fine_tuning/jobs", USER, false, handle_tune_list, &chat_surface},
    {"GET", "/v1/fine_tuning/jobs/*", USER, false, handle_tune, &chat_surface},
    {"POST", "/v1/fine_tuning/jobs/*", USER, false, handle_tune_turn, &chat_surface},
    {"GET", "/v1/conversations", USER, false, handle_conversation_list, &chat_surface},
    {"POST", "/v1/conversations", USER, false, handle_talk_new, &chat_surface},
    {"GET", "/v1/conversations/*", USER, false, handle_talk, &chat_surface},
    {"POST", "/v1/conversations/*", USER, false, handle_talk_post, &chat_surface},
    {"PUT", "/v1/conversations/*", USER, false, handle_conversation_put, &chat_surface},
    {"DELETE", "/v1/conversations/*", USER, false, handle_talk_delete, &chat_surface},
    {"GET", "/v1/key", USER, true, handle_who, &plain_surface},
    {"GET", "/v1/keys", ADMIN, false, handle_key_list, &plain_surface},
    {"POST", "/v1/keys", ADMIN, false, handle_key_add, &plain_surface},
    {"DELETE", "/v1/keys/*", ADMIN, false, handle_key_delete, &plain_surface},
    {"GET", "/v1/usage", ADMIN, false, handle_usage, &plain_surface},
    {"POST", "/models/load", MANAGER, false, handle_model_load, &plain_surface},
    {"POST", "/models/unload", MANAGER, false, handle_model_unload, &plain_surface},
    {"POST", "/v1/load_lora_adapter", MANAGER, false, handle_adapter_load, &plain_surface},
    {"POST", "/v1/unload_lora_adapter", MANAGER, false, handle_adapter_unload, &plain_surface},
    {"GET", "/models/card", USER, false, handle_model_card, &plain_surface},
    {"POST", "/v1/messages", USER, false, handle_answer, &messages_surface, messages_read},
    {"POST", "/v1/embeddings", USER, false, handle_answer, &embeddings_surface, embeddings_read, .batch = true},
    {"POST", "/api/embed", USER, false, handle_answer, &ollama_embed_surface, embeddings_read},
    {"POST", "/api/embeddings", USER, false, handle_answer, &ollama_embeddings_surface, embeddings_read},
    {"POST", "/v1/messages/count_tokens", USER, false, handle_answer, &messages_surface, .say = messages_count},
    {"POST", "/api/chat", USER, false, handle_answer, &ollama_chat_surface, ollama_chat_read},
    {"POST", "/api/generate", USER, false, handle_answer, &ollama_generate_surface, ollama_generate_read},
    {"GET", "/api/tags", USER, true, handle_tags, &ollama_chat_surface},
    {"GET", "/api/ps", USER, true, handle_ps, &ollama_chat_surface},
    {"GET", "/api/version", OPEN, true, handle_version, &ollama_chat_surface},
    {"POST", "/api/pull", USER, false, handle_pull, &ollama_chat_surface},
    {"POST", "/rerank", USER, false, handle_answer, &rerank_surface, rerank_read},
    {"POST", "/v1/rerank", USER, false, handle_answer, &rerank_surface, rerank_read},
    {"POST", "/api/show", USER, false, handle_show, &ollama_chat_surface},
    {"POST", "/tokenize", USER, false, handle_answer, &plain_surface, .say = tokenize_say},
    {"POST", "/detokenize", USER, false, handle_answer, &plain_surface, .say = detokenize_say},
    {"POST", "/apply-template", USER, false, handle_answer, &plain_surface, .say = template_say},
    {"GET", "/props", USER, true, handle_props, &plain_surface},
    {"GET", "/metrics", USER, true, handle_metrics, &plain_surface},
};
enum { ROUTES = sizeof routes / sizeof *routes };

void reply_json(struct exchange *x, int status, struct buf *json) {
    static const struct fault no_memory = {.status = 503, .message = "out of memory for the reply; try again later"};
    if (!json->failed) {
        reply_later(x, status, "application/json", json);
        return;
    }
    buf_free(json);
    reply_fault(x, &plain_surface, &no_memory);
}

void reply_deleted(struct exchange *x, const char *object, const char *member, const char *name) {
    struct buf json = {0};
    struct js o = {.out = &json};
    js_open(&o, NULL, '{');
    js_string_of(&o, member, name);
    js_string_of(&o, "object", object);
    js_bool(&o, "deleted", true);
    js_close(&o, '}');
    reply_json(x, 200, &json);
}

const struct route *route_of_batch(const char *path) {
    for (size_t i = 0; i < ROUTES; i++)
        if (routes[i].batch && !strcmp(routes[i].path, path)) return &routes[i];
    return NULL;
}

void server_log(struct server *s, const char *line) {
    if (s->o->log) s->o->log(s->o->user, line);
}

bool refuse_state(struct server *s, struct fault *f, const gyr_error *e, int status) {
    switch (e->status) {
    case GYR_USAGE: return refuse(f, status, NULL, "%s", e->message);
    case GYR_TOO_LONG: return refuse(f, 413, NULL, "%s", e->message);
    case GYR_NO_MEMORY: return refuse(f, 503, NULL, "%s", e->message);
    default: break;
    }
    server_log(s, e->message); // it names paths of this machine
    return refuse(f, 500, NULL, "the server's state cannot be used now; its log says why");
}

struct store *server_keeps(struct server *s, struct fault *f) {
    struct store *store = server_store(s);
    if (!store) refuse(f, 503, NULL, "this server keeps nothing: it has no folder for its state (GYR_STATE)");
    return store;
}

// Whether the path is the route's; *tail is what `*` stands for.
static bool path_matches(const char *pattern, const char *path, const char **tail) {
    size_t n = strlen(pattern);
    *tail = NULL;
    if (pattern[n - 1] != '*') return !strcmp(pattern, path);
    if (strncmp(pattern, path, n - 1) || !path[n - 1]) return false;
    *tail = path + n - 1;
    return true;
}

static const struct route *find(struct exchange *x, bool *path_known) {
    const char *method = strcmp(x->method, "HEAD") ? x->method : "GET";
    *path_known = false;
    for (size_t i = 0; i < ROUTES; i++) {
        if (!path_matches(routes[i].path, x->path, &x->tail)) continue;
        *path_known = true;
        if (!strcmp(routes[i].method, method)) return &routes[i];
    }
    return NULL;
}

struct handling {
    struct server *server;
    struct exchange *x;
};

static void handle(void *arg) {
    struct handling *h = arg;
    if (!atomic_load(&h->x->gone)) h->x->route->handle(h->server, h->x);
    exchange_release(h->x);
    free(h);
}

static bool to_clerk(struct server *s, struct exchange *x) {
    struct handling *h = malloc(sizeof *h);
    if (!h) return false;
    *h = (struct handling){s, x};
    exchange_hold(x);
    if (clerks_add(s->clerks, exchange_owner(x), handle, h)) return true;
    exchange_release(x);
    free(h);
    return false;
}

// Bodies are not decompressed: a few bytes of them could become any number.
static bool is_plain(const struct exchange *x) {
    const char *coding = exchange_header(x, "content-encoding");
    return !coding || !*coding || !strcasecmp(coding, "identity");
}

// What can be said of a request without its body.
static bool may(struct server *s, struct exchange *x, struct fault *f) {
    bool known;
    x->route = find(x, &known);
    if (!access_check(s->access, x, x->route ? x->route->access : OPEN, f)) return false;
    if (!x->route && known) return refuse(f, 405, NULL, "%s: not a method of %.200s", x->method, x->path);
    if (!x->route) return refuse(f, 404, NULL, "%.200s: there is nothing here; /v1/models lists the models", x->path);
    if (s->draining) return refuse(f, 503, NULL, "the server is stopping");
    if (exchange_header(x, GATE_FULL)) {
        refuse(f, 503, NULL, "too many large requests are being sent at once; try again later");
        f->retry_after = 2;
        return false;
    }
    if (!is_plain(x)) return refuse(f, 415, NULL, "Content-Encoding: bodies are taken as they are; send them so");
    return !(x->route->read || x->route->say) || access_look(s->access, x, f);
}

bool routes_welcome(struct server *s, struct exchange *x) {
    struct fault f = {0};
    return may(s, x, &f);
}

static bool take(struct server *s, struct exchange *x, struct fault *f) {
    if (!may(s, x, f)) return false;
    if (x->route->quick) {
        x->route->handle(s, x);
        return true;
    }
    return to_clerk(s, x) || refuse(f, 503, NULL, "out of memory; try again later");
}

void routes_take(struct server *s, struct exchange *x) {
    struct fault f = {0};
    s->counts.requests++;
    if (access_preflight(s->access, x) || take(s, x, &f)) return;
    s->counts.refused++;
    reply_fault(x, x->route ? x->route->surface : &plain_surface, &f);
}
