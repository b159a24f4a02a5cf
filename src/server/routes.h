// What is answered where: a table, a row a route.
#ifndef SERVER_ROUTES_H
#define SERVER_ROUTES_H

#include "server/clerks.h"
#include "server/http.h"
#include "server/models.h"
#include "server/scheduler.h"
#include "server/server.h"
#include "server/surfaces.h"
#include "server/tuned.h"

struct server {
    const struct serve_options *o;
    struct http *http;
    struct clerks *clerks;
    struct models *models;
    struct adapters *adapters;
    struct scheduler *scheduler;
    struct access_state *access;
    struct spellings *spellings;
    struct batcher *batcher; // NULL: there is no state
    struct tuner *tuner;     // NULL: there is none, or nothing is trained here
    struct energy *energy;
    struct meter *meter;
    double started, swept;
    atomic_bool sweeping;
    atomic_bool draining;
    atomic_uint pulls; // models that are being pulled
    unsigned quiet;    // ticks without a request, while it ends
    gyr_error gone;    // why the server ended; of the scheduler's thread until then
    struct counts {    // of the loop
        uint64_t requests, refused;
    } counts;
};

enum access {
    OPEN,
    USER,    // with a key, where keys are asked for
    MANAGER, // access_manages()
    ADMIN    // with an administrator's key, wherever
};

struct route {
    const char *method, *path; // "*" at its end stands for one part or more
    enum access access;
    bool quick; // handled in the loop; else by a clerk
    void (*handle)(struct server *s, struct exchange *x);
    const struct surface *surface;                                 // whose errors it has
    bool (*read)(struct ask *a, struct fault *f);                  // of routes that a model answers
    bool (*say)(struct ask *a, struct buf *json, struct fault *f); // of those that its tokenizer does
    bool batch;                                                    // lines of batches may ask here
};

// In the loop: finds the route of a request and has it handled.
void routes_take(struct server *s, struct exchange *x);

// In the loop: whether a request, of which there is only the head, is not refused whatever its body says.
bool routes_welcome(struct server *s, struct exchange *x);

// Replies with JSON that is made already; takes the memory. From any thread.
void reply_json(struct exchange *x, int status, struct buf *json);

// Replies that something was deleted: its `member` ("id") is `name`.
void reply_deleted(struct exchange *x, const char *object, const char *member, const char *name);

// A handler of a route from a function that gives false for a fault, which is the reply.
#define HANDLER(handler, does)                                                                                         \
    void handler(struct server *s, struct exchange *x) {                                                               \
        struct fault f = {0};                                                                                          \
        if (!does(s, x, &f)) reply_fault(x, x->route->surface, &f);                                                    \
    }

// What lines of batches may ask at a path; NULL: nothing.
const struct route *route_of_batch(const char *path);

// Refuses for an error of the state: with `status` what was wrong in the request (GYR_USAGE). What concerns the state
// alone goes to the log. server_keeps(): the state; NULL, refused, if there is none.
void server_log(struct server *s, const char *line);
bool refuse_state(struct server *s, struct fault *f, const gyr_error *e, int status);
struct store *server_keeps(struct server *s, struct fault *f);

// Whose key a request showed, by number; 0: nobody's. The state; NULL: there is none.
int64_t exchange_owner(const struct exchange *x);
struct store *server_store(struct server *s);

// Whose files and batches a request may see: its own, or (OWNER_ANY) those of all.
int64_t exchange_sees(const struct exchange *x);

// Handlers.
void handle_file_add(struct server *s, struct exchange *x); // file_routes.c
void handle_file_list(struct server *s, struct exchange *x);
void handle_file(struct server *s, struct exchange *x);
void handle_file_delete(struct server *s, struct exchange *x);
void handle_batch_add(struct server *s, struct exchange *x); // batch_routes.c
void handle_batch_list(struct server *s, struct exchange *x);
void handle_batch(struct server *s, struct exchange *x);
void handle_batch_cancel(struct server *s, struct exchange *x);
void handle_tune_add(struct server *s, struct exchange *x); // tune_routes.c
void handle_tune_list(struct server *s, struct exchange *x);
void handle_tune(struct server *s, struct exchange *x);
void handle_tune_turn(struct server *s, struct exchange *x);
void handle_model_delete(struct server *s, struct exchange *x);
void handle_tune_examples(struct server *s, struct exchange *x); // tune_preview.c
void handle_talk_new(struct server *s, struct exchange *x);      // talk_routes.c
void handle_talk(struct server *s, struct exchange *x);
void handle_talk_post(struct server *s, struct exchange *x);
void handle_talk_delete(struct server *s, struct exchange *x);
void handle_conversation_list(struct server *s, struct exchange *x); // conversation_routes.c
void handle_conversation(struct server *s, struct exchange *x);
void handle_conversation_put(struct server *s, struct exchange *x);
void handle_conversation_delete(struct server *s, struct exchange *x);
void handle_who(struct server *s, struct exchange *x); // key_routes.c
void handle_key_list(struct server *s, struct exchange *x);
void handle_key_add(struct server *s, struct exchange *x);
void handle_key_delete(struct server *s, struct exchange *x);
void handle_usage(struct server *s, struct exchange *x);
void handle_model_load(struct server *s, struct exchange *x); // model_routes.c
void handle_model_unload(struct server *s, struct exchange *x);
void handle_model_card(struct server *s, struct exchange *x);
void handle_adapter_load(struct server *s, struct exchange *x); // adapter_routes.c
void handle_adapter_unload(struct server *s, struct exchange *x);
void handle_chat_list(struct server *s, struct exchange *x); // chat_routes.c
void handle_chat(struct server *s, struct exchange *x);
void handle_chat_describe(struct server *s, struct exchange *x);
void handle_chat_delete(struct server *s, struct exchange *x);
void handle_kept_response(struct server *s, struct exchange *x); // responses_kept.c
void handle_answer(struct server *s, struct exchange *x);        // answer.c: what a model is to answer
void handle_pull(struct server *s, struct exchange *x);          // ollama_pull.c
void handle_show(struct server *s, struct exchange *x);          // ollama_models.c
void handle_tags(struct server *s, struct exchange *x);
void handle_ps(struct server *s, struct exchange *x);
void handle_version(struct server *s, struct exchange *x);
void handle_models(struct server *s, struct exchange *x); // status.c
void handle_model(struct server *s, struct exchange *x);
void handle_health(struct server *s, struct exchange *x);
void handle_props(struct server *s, struct exchange *x);
void handle_metrics(struct server *s, struct exchange *x);
void handle_page(struct server *s, struct exchange *x); // page.c

#endif
