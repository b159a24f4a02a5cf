// POST /v1/embeddings (https://platform.openai.com/docs/api-reference/embeddings), and Ollama's /api/embed and
// /api/embeddings. Texts are computed on the engine's thread, some at a time, between the steps of answers.
#include "server/models.h"
#include "server/openai.h"
#include "server/routes.h"
#include "server/surfaces.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TEXTS = 2048, TOKENS_AT_ONCE = 512 }; // of a request; computed before others have their turn

// The telling's own.
struct embedding {
    gyr_embed_options how;
    gyr_tokens *texts;
    size_t n, done, tokens, width;
    float *out; // [n][width]
    bool base64;
};

struct reading {
    struct ask ask;
    struct embedding *e;
    const char *prompt_name;
    size_t dimensions;
};

static bool read_encoding(struct ask *a, const json_t *v, const char *name, struct fault *f) {
    const char *word = json_string_value(v);
    ((struct reading *)a)->e->base64 = word && !strcmp(word, "base64");
    return (word && (!strcmp(word, "float") || !strcmp(word, "base64"))) ||
           refuse(f, 400, name, "%s: takes float or base64", name);
}

static bool read_prompt_name(struct ask *a, const json_t *v, const char *name, struct fault *f) {
    struct reading *r = (struct reading *)a;
    r->prompt_name = json_string_value(v);
    return r->prompt_name || refuse(f, 400, name, "%s: takes a string", name);
}

// Ollama cuts texts that are too long unless it is told not to. Nothing is cut here.
static bool read_truncate(struct ask *a, const json_t *v, const char *name, struct fault *f) {
    (void)a;
    return json_is_boolean(v) || refuse(f, 400, name, "%s: takes true or false", name);
}

static const struct field fields[] = {
    {"input", FIELD_READ},
    {"prompt", FIELD_READ},
    {"encoding_format", FIELD_OF, .read = read_encoding},
    {"dimensions", FIELD_WHOLE, offsetof(struct reading, dimensions), IN_ASK, 1, 1e6},
    {"prompt_name", FIELD_OF, .read = read_prompt_name},
    {"input_type", FIELD_OF, .read = read_prompt_name},
    {"truncate", FIELD_OF, .read = read_truncate},
    {"keep_alive", FIELD_IGNORED},
    {"options", FIELD_IGNORED},
};

static void free_own(void *own) {
    struct embedding *e = own;
    for (size_t i = 0; e->texts && i < e->n; i++) gyr_free(e->texts[i].ids);
    free(e->texts);
    free(e->out);
    free(e);
}

// ------------------------------------------------------------------------------------------------ reading

static bool ids_of(struct reading *r, const json_t *list, gyr_tokens *out, struct fault *f) {
    uint32_t vocab = served_info(r->ask.job->model)->vocab;
    size_t i, n = json_array_size(list);
    json_t *item;
    *out = (gyr_tokens){malloc((n + 1) * sizeof *out->ids), n};
    if (!out->ids) return refuse(f, 503, NULL, "out of memory");
    json_array_foreach(list, i, item) {
        json_int_t id = json_is_integer(item) ? json_integer_value(item) : -1;
        if (id < 0 || id >= vocab) return refuse(f, 400, "input", "input: token ids are 0 to %u", vocab - 1);
        out->ids[i] = (int32_t)id;
    }
    return true;
}

static bool tokens_of(struct reading *r, const json_t *text, const char *before, gyr_tokens *out, struct fault *f) {
    struct buf all = {0};
    gyr_error e = {0};
    if (json_is_array(text)) return ids_of(r, text, out, f);
    if (!json_is_string(text)) return refuse(f, 400, "input", "input: takes texts, or lists of token ids");
    buf_puts(&all, before);
    buf_append(&all, json_string_value(text), json_string_length(text));
    bool ok = !all.failed || refuse(f, 503, NULL, "out of memory");
    ok = ok &&
         (!gyr_tokenize(r->ask.tokenizer, all.data ? all.data : "", all.size, GYR_ADD_BOS | GYR_ADD_EOS, out, &e) ||
          refuse_error(f, &e, true));
    buf_free(&all);
    return ok;
}

static bool read_text(struct reading *r, const json_t *text, const char *before, struct fault *f) {
    gyr_tokens *t = &r->e->texts[r->e->n++];
    if (!tokens_of(r, text, before, t, f)) return false;
    if (!t->count) return refuse(f, 400, "input", "input: a text is empty");
    if (t->count > r->ask.context)
        return refuse_as(f, 400, "context_length_exceeded", "input",
                         "a text has %zu tokens, and the context of this model is %zu tokens; shorten it", t->count,
                         r->ask.context);
    r->e->tokens += t->count;
    return true;
}

static bool read_texts(struct reading *r, struct fault *f) {
    const json_t *input = json_object_get(r->ask.body, "input");
    if (!input) input = json_object_get(r->ask.body, "prompt");
    bool list = json_is_array(input) && !json_is_integer(json_array_get(input, 0));
    size_t i, n = list ? json_array_size(input) : 1;
    json_t *text;
    const char *before = gyr_embed_prompt(served_model(r->ask.job->model), r->prompt_name);
    if (!before && r->prompt_name)
        return refuse(f, 400, "prompt_name", "prompt_name: this model has no prompt '%.60s'", r->prompt_name);
    if (!n || n > MAX_TEXTS) return refuse(f, 400, "input", "input: takes 1 to %d texts", MAX_TEXTS);
    r->e->texts = calloc(n, sizeof *r->e->texts);
    r->e->out = malloc(n * r->e->width * sizeof *r->e->out);
    if (!r->e->texts || !r->e->out) return refuse(f, 503, NULL, "out of memory; send fewer texts");
    if (!list) return read_text(r, input, before ? before : "", f);
    json_array_foreach(input, i, text) if (!read_text(r, text, before ? before : "", f)) return false;
    return true;
}

// ------------------------------------------------------------------------------------------------ computing

// On the engine's thread: some of the texts. True: there are more.
static bool work(struct job *j, gyr_error *err) {
    struct embedding *e = ((struct telling *)j->telling)->own;
    size_t n = 0, tokens = 0;
    while (e->done + n < e->n && (!n || tokens + e->texts[e->done + n].count <= TOKENS_AT_ONCE))
        tokens += e->texts[e->done + n++].count;
    if (gyr_embed(served_model(j->model), e->texts + e->done, n, &e->how, e->out + e->done * e->width, err))
        return false;
    e->done += n;
    j->took_prompt += tokens;
    return e->done < e->n;
}

// ------------------------------------------------------------------------------------------------ telling

static void put_base64(struct buf *out, const void *data, size_t size) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *s = data;
    for (size_t i = 0; i < size; i += 3) {
        unsigned left = (unsigned)(size - i),
                 b = s[i] << 16 | (left > 1 ? s[i + 1] << 8 : 0) | (left > 2 ? s[i + 2] : 0);
        const char four[4] = {digits[b >> 18], digits[b >> 12 & 63], left > 1 ? digits[b >> 6 & 63] : '=',
                              left > 2 ? digits[b & 63] : '='};
        buf_append(out, four, 4);
    }
}

static void put_vector(struct js *o, const char *key, const struct embedding *e, size_t i) {
    const float *v = e->out + i * e->width;
    if (e->base64) {
        struct buf text = {0};
        put_base64(&text, v, e->width * sizeof *v); // little-endian floats, as the machines that gyr runs on have them
        js_text(o, key, text.data ? text.data : "", text.size);
        buf_free(&text);
        return;
    }
    js_open(o, key, '[');
    for (size_t k = 0; k < e->width; k++) js_number(o, NULL, (double)v[k]);
    js_close(o, ']');
}

static void openai_done(struct telling *t) {
    const struct embedding *e = t->own;
    struct buf json = {0};
    struct js o = {.out = &json};
    js_open(&o, NULL, '{');
    js_string_of(&o, "object", "list");
    js_open(&o, "data", '[');
    for (size_t i = 0; i < e->n; i++) {
        js_open(&o, NULL, '{');
        js_string_of(&o, "object", "embedding");
        js_whole(&o, "index", (int64_t)i);
        put_vector(&o, "embedding", e, i);
        js_close(&o, '}');
    }
    js_close(&o, ']');
    js_string_of(&o, "model", served_name(t->job->model));
    js_open(&o, "usage", '{');
    js_whole(&o, "prompt_tokens", (int64_t)e->tokens);
    js_whole(&o, "total_tokens", (int64_t)e->tokens);
    telling_energy(&o, t);
    js_close(&o, '}');
    js_close(&o, '}');
    telling_reply(t, &json);
    buf_free(&json);
}

static void ollama_done(struct telling *t) {
    const struct embedding *e = t->own;
    struct buf json = {0};
    struct js o = {.out = &json};
    js_open(&o, NULL, '{');
    js_string_of(&o, "model", served_name(t->job->model));
    js_open(&o, "embeddings", '[');
    for (size_t i = 0; i < e->n; i++) put_vector(&o, NULL, e, i);
    js_close(&o, ']');
    js_whole(&o, "total_duration", 0);
    js_whole(&o, "load_duration", 0);
    js_whole(&o, "prompt_eval_count", (int64_t)e->tokens);
    js_close(&o, '}');
    telling_reply(t, &json);
    buf_free(&json);
}

static void ollama_one_done(struct telling *t) {
    struct buf json = {0};
    struct js o = {.out = &json};
    js_open(&o, NULL, '{');
    put_vector(&o, "embedding", t->own, 0);
    js_close(&o, '}');
    telling_reply(t, &json);
    buf_free(&json);
}

const struct surface embeddings_surface = {
    .type = "application/json", .done = openai_done, .error = openai_error, .free_own = free_own};
const struct surface ollama_embed_surface = {
    .type = "application/json", .done = ollama_done, .error = ollama_error, .free_own = free_own};
const struct surface ollama_embeddings_surface = {
    .type = "application/json", .done = ollama_one_done, .error = ollama_error, .free_own = free_own};

static bool read(struct reading *r, struct fault *f) {
    struct ask *a = &r->ask;
    size_t all = served_info(a->job->model)->embedding;
    if (!ask_fields(a, fields, sizeof fields / sizeof *fields, f)) return false;
    if (!all) return refuse(f, 400, "model", "%s: this model makes no embeddings", served_name(a->job->model));
    if (r->dimensions > all) return refuse(f, 400, "dimensions", "dimensions: takes 1 to %zu", all);
    r->e->width = r->dimensions ? r->dimensions : all;
    r->e->how.dimensions = (uint32_t)r->dimensions;
    a->stream = false;
    a->job->work = work;
    return read_texts(r, f) && telling_new(a->job, a->job->x->route->surface, a, f);
}

bool embeddings_read(struct ask *common, struct fault *f) {
    struct reading r = {.ask = *common, .e = calloc(1, sizeof *r.e)};
    if (!r.e) return refuse(f, 503, NULL, "out of memory");
    bool ok = read(&r, f);
    if (ok)
        ((struct telling *)common->job->telling)->own = r.e;
    else
        free_own(r.e);
    return ok;
}
