// POST /v1/fine_tuning/examples, gyr's own: what would be learned from a file, before there is a job. On clerks.
#include "server/access.h"
#include "server/ask.h"
#include "server/tune_read.h"
#include "server/tuner.h"
#include "server/tuner_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SHOWN = 20, MOST_SHOWN = 200 };
static const int64_t most_bytes = 16 << 20; // of a file that is looked at

struct preview {
    struct server *server;
    struct tune tune; // as a job would be; no id
    struct served *model;
    int64_t first, limit;
};

// ------------------------------------------------------------------------------------------------ the reply

static bool is_learned(const gyr_tune_example *x, size_t i) { return i && x->weight[i - 1] != 0; }

// Tokens that all are learned, or none, and those after them.
static bool put_runs(struct js *o, const gyr_tokenizer *tokenizer, const gyr_tune_example *x, gyr_error *e) {
    js_open(o, "runs", '[');
    for (size_t from = 0, to; from < x->count; from = to) {
        size_t size;
        for (to = from + 1; to < x->count && is_learned(x, to) == is_learned(x, from);) to++;
        char *text = gyr_detokenize(tokenizer, x->ids + from, to - from, true, &size, e);
        if (!text) return false;
        js_open(o, NULL, '{');
        js_bool(o, "learned", is_learned(x, from));
        js_whole(o, "tokens", (int64_t)(to - from));
        js_text(o, "text", text, size);
        js_close(o, '}');
        gyr_free(text);
    }
    js_close(o, ']');
    return true;
}

static bool put_example(struct js *o, const gyr_tokenizer *tokenizer, const gyr_tune_example *x, bool pairs,
                        gyr_error *e) {
    js_open(o, NULL, '{');
    js_whole(o, "line", (int64_t)x->line);
    if (pairs) js_bool(o, "preferred", !x->other);
    js_whole(o, "tokens", (int64_t)x->count);
    js_whole(o, "learned_tokens", (int64_t)x->learned);
    bool ok = put_runs(o, tokenizer, x, e);
    js_close(o, '}');
    return ok;
}

static void put_plan(struct js *o, const gyr_tune_info *i) {
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {{"conversations", i->chats}, {"examples", i->examples},
                {"tokens", i->tokens},       {"learned_tokens", i->learned},
                {"longest", i->longest},     {"without_end", i->endless},
                {"n_epochs", i->epochs},     {"batch_size", i->batch},
                {"steps", i->steps},         {"bytes", i->bytes}};
    js_open(o, "plan", '{');
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) js_whole(o, rows[k].name, (int64_t)rows[k].value);
    js_close(o, '}');
}

static bool put_all(struct buf *json, const struct preview *p, gyr_model *m, gyr_tune *tune, gyr_error *e) {
    struct js o = {.out = json};
    gyr_tune_info info;
    gyr_tune_example x;
    bool ok = true;
    gyr_tune_get_info(tune, &info);
    js_open(&o, NULL, '{');
    js_string_of(&o, "object", "list");
    put_plan(&o, &info);
    js_open(&o, "data", '[');
    for (int64_t i = 0; ok && i < p->limit && gyr_tune_get_example(tune, (size_t)(p->first + i), &x); i++)
        ok = put_example(&o, gyr_model_tokenizer(m), &x, info.method == GYR_METHOD_DPO, e);
    js_close(&o, ']');
    js_bool(&o, "has_more", gyr_tune_get_example(tune, (size_t)(p->first + p->limit), &x));
    js_close(&o, '}');
    return ok;
}

// ------------------------------------------------------------------------------------------------ the work

static bool look_at(const struct preview *p, struct buf *json, struct tune_paths *paths, gyr_error *e) {
    gyr_tune_options o;
    gyr_model *m = served_open_apart(p->model, &(gyr_model_options){.threads = 1, .device = "cpu", .mapped = true}, e);
    if (!m) return false;
    bool ok = tune_options_of(p->server, &p->tune, paths, &o, e);
    o.threads = 1;
    gyr_tune *tune = ok ? gyr_tune_open(m, &o, e) : NULL;
    ok = tune && put_all(json, p, m, tune, e);
    gyr_tune_close(tune);
    gyr_model_close(m);
    return ok;
}

static bool make_reply(const struct preview *p, struct buf *json, struct fault *f) {
    struct tune_paths paths = {0};
    gyr_error e = {0};
    bool in_valid, ok = look_at(p, json, &paths, &e);
    if (!ok) tune_hide_paths(&e, p->server, &p->tune, &paths, p->model, &in_valid);
    tune_paths_free(&paths);
    if (ok) return true;
    bool data = e.status == GYR_MALFORMED || e.status == GYR_TOO_LONG;
    if (data) return refuse_as(f, 400, "invalid_training_file", "training_file", "%s", e.message);
    return refuse_error(f, &e, e.status == GYR_UNSUPPORTED);
}

static bool read_count(const json_t *body, const char *name, int64_t least, int64_t most, int64_t *to,
                       struct fault *f) {
    const json_t *v = json_object_get(body, name);
    if (!v || json_is_null(v)) return true;
    if (!json_is_integer(v) || json_integer_value(v) < least || json_integer_value(v) > most)
        return refuse(f, 400, name, "%s: takes a whole number from %lld to %lld", name, (long long)least,
                      (long long)most);
    *to = json_integer_value(v);
    return true;
}

static bool read_file_of(struct server *s, const struct exchange *x, const json_t *body, struct preview *p,
                         struct fault *f) {
    const char *id = json_string_value(json_object_get(body, "training_file"));
    struct stored_file file;
    gyr_error e = {0};
    struct store *store = server_keeps(s, f);
    if (!store) return false;
    if (!id) return refuse(f, 400, "training_file", "training_file: takes the id of a file");
    if (!file_find(store, exchange_sees(x), id, time(NULL), &file, &e)) return refuse_state(s, f, &e, 404);
    snprintf(p->tune.training, sizeof p->tune.training, "%s", file.id);
    return file.bytes <= most_bytes ||
           refuse(f, 413, "training_file", "training_file: has %lld bytes; files of at most %lld are looked at",
                  (long long)file.bytes, (long long)most_bytes);
}

static bool read_preview(struct server *s, const struct exchange *x, const json_t *body, struct preview *p,
                         struct fault *f) {
    static const char *const names[] = {"model", "training_file", "hyperparameters", "method", "first", "limit"};
    const char *key;
    json_t *value;
    struct tune_wish w = {0};
    json_object_foreach((json_t *)(uintptr_t)body, key, value) {
        size_t i = 0;
        while (i < sizeof names / sizeof *names && strcmp(names[i], key)) i++;
        if (i == sizeof names / sizeof *names)
            return refuse_as(f, 400, "unknown_parameter", key, "unknown parameter: '%.60s'", key);
    }
    const json_t *hyper = json_object_get(body, "hyperparameters"), *method = json_object_get(body, "method");
    if (json_is_null(hyper)) hyper = NULL;
    if (json_is_null(method)) method = NULL;
    if (method && hyper)
        return refuse(f, 400, "hyperparameters", "hyperparameters: are given in method as well; take one of the two");
    bool ok = (p->model = tune_base(s, x, json_object_get(body, "model"), f)) && read_file_of(s, x, body, p, f) &&
              read_count(body, "first", 0, INT32_MAX, &p->first, f) &&
              read_count(body, "limit", 1, MOST_SHOWN, &p->limit, f) &&
              tune_read_hyperparameters(hyper, "hyperparameters", &w, f) && tune_read_method(method, &w, f);
    p->tune.epochs = w.epochs;
    p->tune.batch = w.batch;
    p->tune.rate = w.rate;
    p->tune.prefers = w.prefers;
    p->tune.beta = w.beta;
    return ok;
}

static bool preview(struct server *s, struct exchange *x, struct fault *f) {
    struct preview p = {.server = s, .limit = SHOWN};
    struct buf json = {0};
    json_t *body = ask_body(x, f);
    bool ok = body && read_preview(s, x, body, &p, f);
    json_decref(body);
    if (ok && !s->tuner) ok = refuse(f, 403, NULL, "this server does not fine-tune: --tune-threads 0, or --no-cpu");
    if (!ok) return false;
    if (atomic_exchange(&s->tuner->looking, true)) {
        refuse(f, 429, NULL, "another file is being looked at; try again in a moment");
        f->retry_after = 1;
        return false;
    }
    ok = make_reply(&p, &json, f);
    atomic_store(&s->tuner->looking, false); // before the client hears, who may ask for the next
    if (ok)
        reply_json(x, 200, &json);
    else
        buf_free(&json);
    return ok;
}

HANDLER(handle_tune_examples, preview)
