// POST /v1/rerank and /rerank: how relevant documents are to a query, in the words of Jina's, Cohere's and
// llama-server's APIs (https://docs.cohere.com/reference/rerank). A cross-encoder reads the query with each document;
// distances of embeddings are another thing. Pairs are computed on the engine's thread, some at a time.
#include "server/models.h"
#include "server/openai.h"
#include "server/surfaces.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DOCUMENTS = 2048, TOKENS_AT_ONCE = 512 }; // of a request; computed before others have their turn

// The telling's own.
struct ranking {
    gyr_pair *pairs;
    float *found; // [n], of those that are done
    size_t n, done, tokens, top;
    json_t *documents; // to be told with their ranks; NULL: they are not
};

struct reading {
    struct ask ask;
    struct ranking *r;
    size_t top_n;
    bool documents;
};

static const struct field fields[] = {
    {"query", FIELD_READ},
    {"documents", FIELD_READ},
    {"top_n", FIELD_WHOLE, offsetof(struct reading, top_n), IN_ASK, 1, 1e6},
    {"return_documents", FIELD_BOOL, offsetof(struct reading, documents), IN_ASK},
};

static void free_own(void *own) {
    struct ranking *r = own;
    if (!r) return;
    for (size_t i = 0; r->pairs && i < r->n; i++) gyr_free(r->pairs[i].ids);
    free(r->pairs);
    free(r->found);
    json_decref(r->documents);
    free(r);
}

// ------------------------------------------------------------------------------------------------ reading

// A document is a text, or an object with one.
static const json_t *text_of(const json_t *document) {
    const json_t *text = json_is_object(document) ? json_object_get(document, "text") : document;
    return json_is_string(text) ? text : NULL;
}

static bool read_pair(struct reading *g, const json_t *query, const json_t *document, struct fault *f) {
    struct ranking *r = g->r;
    const gyr_model *m = served_model(g->ask.job->model);
    const json_t *text = text_of(document);
    gyr_error e = {0};
    gyr_pair *p = &r->pairs[r->n];
    if (!text) return refuse(f, 400, "documents", "documents: takes texts, or objects with a text");
    if (gyr_pair_new(m, json_string_value(query), json_string_length(query), json_string_value(text),
                     json_string_length(text), p, &e))
        return e.status == GYR_TOO_LONG ? refuse_as(f, 400, "context_length_exceeded", "documents", "%s", e.message)
                                        : refuse_error(f, &e, true);
    r->n++;
    r->tokens += p->count;
    return p->count <= g->ask.context ||
           refuse_as(f, 400, "context_length_exceeded", "documents",
                     "document %zu has %zu tokens with the query, and the context of this model is %zu tokens; "
                     "shorten it",
                     r->n, p->count, g->ask.context);
}

static bool read_pairs(struct reading *g, struct fault *f) {
    const json_t *query = json_object_get(g->ask.body, "query"), *list = json_object_get(g->ask.body, "documents");
    size_t i, n = json_array_size(list);
    json_t *document;
    struct ranking *r = g->r;
    if (!json_is_string(query) || !json_string_length(query))
        return refuse(f, 400, "query", "query: takes a text that is not empty");
    if (!json_is_array(list) || !n || n > MAX_DOCUMENTS)
        return refuse(f, 400, "documents", "documents: takes a list of 1 to %d", MAX_DOCUMENTS);
    r->pairs = calloc(n, sizeof *r->pairs);
    r->found = calloc(n, sizeof *r->found);
    if (!r->pairs || !r->found) return refuse(f, 503, NULL, "out of memory; send fewer documents");
    if (g->documents) r->documents = json_incref((json_t *)(uintptr_t)list);
    r->top = g->top_n && g->top_n < n ? g->top_n : n;
    json_array_foreach(list, i, document) if (!read_pair(g, query, document, f)) return false;
    return true;
}

// ------------------------------------------------------------------------------------------------ computing

// On the engine's thread: some of the pairs. True: there are more.
static bool work(struct job *j, gyr_error *err) {
    struct ranking *r = ((struct telling *)j->telling)->own;
    size_t n = 0, tokens = 0;
    while (r->done + n < r->n && (!n || tokens + r->pairs[r->done + n].count <= TOKENS_AT_ONCE))
        tokens += r->pairs[r->done + n++].count;
    if (gyr_relevance(served_model(j->model), r->pairs + r->done, n, r->found + r->done, err)) return false;
    r->done += n;
    j->took_prompt += tokens;
    return r->done < r->n;
}

// ------------------------------------------------------------------------------------------------ telling

struct place {
    float found;
    size_t index;
};

// The most relevant first; of equal ones the one that was sent first.
static int by_relevance(const void *a, const void *b) {
    const struct place *x = a, *y = b;
    if (x->found != y->found) return x->found < y->found ? 1 : -1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static void put_result(struct js *o, const struct ranking *r, const struct place *p) {
    const json_t *text = r->documents ? text_of(json_array_get(r->documents, p->index)) : NULL;
    js_open(o, NULL, '{');
    js_whole(o, "index", (int64_t)p->index);
    js_number(o, "relevance_score", 1 / (1 + exp(-(double)p->found)));
    if (text) {
        js_open(o, "document", '{');
        js_text(o, "text", json_string_value(text), json_string_length(text));
        js_close(o, '}');
    }
    js_close(o, '}');
}

static void done(struct telling *t) {
    const struct ranking *r = t->own;
    struct buf json = {0};
    struct js o = {.out = &json};
    struct place *places = calloc(r->n, sizeof *places);
    json.failed = !places;
    for (size_t i = 0; places && i < r->n; i++) places[i] = (struct place){r->found[i], i};
    if (places) qsort(places, r->n, sizeof *places, by_relevance);
    js_open(&o, NULL, '{');
    js_string_of(&o, "object", "list");
    js_string_of(&o, "model", served_name(t->job->model));
    js_open(&o, "results", '[');
    for (size_t i = 0; places && i < r->top; i++) put_result(&o, r, &places[i]);
    js_close(&o, ']');
    js_open(&o, "usage", '{');
    js_whole(&o, "prompt_tokens", (int64_t)r->tokens);
    js_whole(&o, "total_tokens", (int64_t)r->tokens);
    telling_energy(&o, t);
    js_close(&o, '}');
    js_close(&o, '}');
    telling_reply(t, &json);
    buf_free(&json);
    free(places);
}

const struct surface rerank_surface = {
    .type = "application/json", .done = done, .error = openai_error, .free_own = free_own};

static bool read(struct reading *g, struct fault *f) {
    struct ask *a = &g->ask;
    if (!ask_fields(a, fields, sizeof fields / sizeof *fields, f)) return false;
    if (!served_info(a->job->model)->relevance)
        return refuse(f, 400, "model", "%s: this model ranks no documents: that takes a cross-encoder",
                      served_name(a->job->model));
    a->stream = false;
    a->job->work = work;
    return read_pairs(g, f) && telling_new(a->job, &rerank_surface, a, f);
}

bool rerank_read(struct ask *common, struct fault *f) {
    struct reading g = {.ask = *common, .r = calloc(1, sizeof *g.r)};
    if (!g.r) return refuse(f, 503, NULL, "out of memory");
    bool ok = read(&g, f);
    if (ok)
        ((struct telling *)common->job->telling)->own = g.r;
    else
        free_own(g.r);
    return ok;
}
