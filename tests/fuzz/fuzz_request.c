// Requests of every API, read as the server reads them, for the poet: each ends with a job that could be queued, or
// with one line and a status of its own.
#include "server/ask.h"
#include "server/models.h"
#include "server/routes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct route routes[] = {
    {"POST", "/v1/chat/completions", .surface = &chat_surface, .read = chat_read},
    {"POST", "/v1/completions", .surface = &completions_surface, .read = completions_read},
    {"POST", "/v1/messages", .surface = &messages_surface, .read = messages_read},
    {"POST", "/v1/responses", .surface = &responses_surface, .read = responses_read},
    {"POST", "/api/chat", .surface = &ollama_chat_surface, .read = ollama_chat_read},
    {"POST", "/api/generate", .surface = &ollama_generate_surface, .read = ollama_generate_read},
    {"POST", "/v1/embeddings", .surface = &embeddings_surface, .read = embeddings_read},
    {"POST", "/v1/messages/count_tokens", .surface = &messages_surface, .say = messages_count},
    {"POST", "/tokenize", .surface = &chat_surface, .say = tokenize_say},
    {"POST", "/detokenize", .surface = &chat_surface, .say = detokenize_say},
    {"POST", "/apply-template", .surface = &chat_surface, .say = template_say},
};
enum { ROUTES = sizeof routes / sizeof *routes };

static struct served *poet(void) {
    static struct models *models;
    static char path[2048];
    if (!models) {
        const char *source = getenv("GYR_SOURCE");
        snprintf(path, sizeof path, "%s/models/poet.gguf", source ? source : ".");
        static struct model_source list = {.name = "poet", .path = path};
        models = models_new(&list, 1, &(gyr_model_options){.threads = 1}, 0, NULL);
        struct fault f;
        if (!models || !served_load(models_at(models, 0), &f, NULL)) abort();
    }
    return models_at(models, 0);
}

static struct spellings *spellings(void) {
    static struct spellings *all;
    if (!all) all = spellings_new();
    return all;
}

static void check_fault(const struct fault *f) {
    struct buf out = {0};
    if (f->status < 400 || f->status > 599 || !*f->message || strchr(f->message, '\n')) abort();
    chat_surface.error(&out, f);
    json_t *body = json_loadb(out.data, out.size, 0, NULL);
    if (!body) abort();
    json_decref(body);
    buf_free(&out);
}

static void read_body(const struct route *r, struct exchange *x, struct job *j) {
    struct fault f = {0};
    struct buf json = {0};
    json_t *body = ask_body(x, &f);
    struct ask a = {.job = j,
                    .body = body,
                    .spellings = spellings(),
                    .tokenizer = gyr_model_tokenizer(served_model(j->model)),
                    .reply = &json,
                    .context = 1024};
    bool ok = body && (r->say ? r->say(&a, &json, &f) : r->read(&a, &f));
    if (!ok) check_fault(&f);
    if (ok && r->read && !json.size && (!j->teller || !j->telling || (!j->work && !j->count) || j->n < 1 || j->n > 64))
        abort();
    buf_free(&json);
    json_decref(body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!size) return 0;
    const struct route *r = &routes[data[0] % ROUTES];
    struct exchange *x = exchange_internal(NULL, r, r->path, (const char *)data + 1, size - 1);
    struct job *j = x ? job_new(x, poet(), NULL) : NULL;
    if (j) {
        read_body(r, x, j);
        job_release(j);
    }
    if (x) exchange_release(x);
    return 0;
}
