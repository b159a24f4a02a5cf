#include "server/chat_keep.h"

#include "server/chats.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

// Members of a request that OpenAI's kept completions repeat.
static json_t *echo_of(const json_t *body) {
    static const struct {
        const char *name, *as;
    } rows[] = {{"tools", "tools"},
                {"tool_choice", "tool_choice"},
                {"seed", "seed"},
                {"temperature", "temperature"},
                {"top_p", "top_p"},
                {"presence_penalty", "presence_penalty"},
                {"frequency_penalty", "frequency_penalty"},
                {"response_format", "response_format"},
                {"user", "input_user"}};
    json_t *echo = json_object();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_t *value = json_object_get(body, rows[i].name);
        json_object_set_new(echo, rows[i].as, value ? json_incref(value) : json_null());
    }
    return echo;
}

static char *text_of(const json_t *value, const char *otherwise) {
    return value && !json_is_null(value) ? json_dumps(value, JSON_COMPACT) : strdup(otherwise);
}

void chat_keep_free(void *keep) {
    struct chat_keep *k = keep;
    if (!k) return;
    for (unsigned i = 0; k->choices && i < k->n; i++) {
        buf_free(&k->choices[i].logprobs);
        buf_free(&k->choices[i].ids);
    }
    free(k->choices);
    json_decref(k->echo);
    free(k->model);
    free(k->metadata);
    free(k->messages);
    free(k);
}

// An error of the state; its message may name a path, which is for the log alone.
static bool refuse_keeping(struct exchange *x, const gyr_error *e, struct fault *f) {
    if (e->status == GYR_TOO_LONG) return refuse(f, 413, "store", "%s", e->message);
    if (e->status == GYR_USAGE) return refuse(f, 403, "store", "%s", e->message);
    if (!x->why) x->why = strdup(e->message);
    return refuse(f, 500, "store", "store: the server's state cannot be used now; its log says why");
}

static bool may_keep(const struct ask *a, struct fault *f) {
    gyr_error e = {0};
    if (!a->store)
        return refuse(f, 503, "store", "store: this server keeps nothing: it has no folder for its state (GYR_STATE)");
    return ask_metadata(json_object_get(a->body, "metadata"), f) &&
           (chats_room(a->store, a->owner, &e) || refuse_keeping(a->job->x, &e, f));
}

struct chat_keep *chat_keep_new(const struct ask *a, struct fault *f) {
    if (!may_keep(a, f)) return NULL;
    struct chat_keep *k = calloc(1, sizeof *k);
    if (k) {
        *k = (struct chat_keep){.store = a->store, .owner = a->owner, .n = a->job->n};
        k->choices = calloc(k->n, sizeof *k->choices);
        k->echo = echo_of(a->body);
        k->model = strdup(job_model(a->job));
        k->metadata = text_of(json_object_get(a->body, "metadata"), "{}");
        k->messages = text_of(json_object_get(a->body, "messages"), "[]");
        if (k->choices && k->echo && k->model && k->metadata && k->messages) return k;
    }
    chat_keep_free(k);
    refuse(f, 503, NULL, "out of memory; try again later");
    return NULL;
}

// What is too long to be kept need not be remembered.
void chat_keep_told(struct chat_keep *k, const struct speech *s) {
    struct kept_choice *c = &k->choices[s->index];
    if (c->logprobs.size <= CHAT_BYTES && s->logprobs.size) {
        if (c->logprobs.size) buf_putc(&c->logprobs, ',');
        buf_append(&c->logprobs, s->logprobs.data, s->logprobs.size);
    }
    if (c->ids.size <= CHAT_BYTES && s->ids.size) buf_append(&c->ids, s->ids.data, s->ids.size);
}

// The reply with what is told of the request.
static char *whole(const struct telling *t, const struct chat_keep *k, const struct buf *reply) {
    struct buf all = {0};
    struct js o = {.out = &all};
    const char *key;
    json_t *value;
    buf_append(&all, reply->data, reply->size ? reply->size - 1 : 0); // without its bracket
    o.comma = true;
    js_string_of(&o, "request_id", t->job->x->id);
    json_object_foreach(k->echo, key, value) {
        char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
        js_raw(&o, key, text ? text : "", text ? strlen(text) : 0);
        all.failed |= !text;
        free(text);
    }
    js_close(&o, '}');
    all.failed |= reply->failed;
    return buf_take(&all);
}

bool chat_keep_put(struct telling *t, const char *id, const struct buf *reply, struct fault *f) {
    struct chat_keep *k = t->own;
    gyr_error e = {0};
    bool full = false;
    for (unsigned i = 0; i < k->n; i++) full |= k->choices[i].logprobs.failed || k->choices[i].ids.failed;
    char *all = full ? NULL : whole(t, k, reply);
    if (!all) return refuse(f, 503, NULL, "out of memory for the reply; try again later");
    struct chat_row row = {
        .id = (char *)(uintptr_t)id, .model = k->model, .metadata = k->metadata, .reply = all, .messages = k->messages};
    bool kept = chat_put(k->store, k->owner, &row, time(NULL), &e) || refuse_keeping(t->job->x, &e, f);
    free(all);
    return kept;
}
