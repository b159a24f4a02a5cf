// POST /v1/completions (https://platform.openai.com/docs/api-reference/completions): text goes on, without a template.
#include "server/models.h"
#include "server/openai.h"
#include "server/surfaces.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct completion {
    struct ask ask;
    bool echo, ids, special;
    size_t best_of, logprobs_wanted;
    bool logprobs;
};

static bool read_logprobs(struct ask *a, const json_t *v, const char *name, struct fault *f) {
    struct completion *c = (struct completion *)a;
    if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > 20)
        return refuse(f, 400, name, "%s: takes whole numbers from 0 to 20", name);
    c->logprobs = true;
    c->logprobs_wanted = (size_t)json_integer_value(v);
    return true;
}

#define IN_COMPLETION(member) offsetof(struct completion, member), IN_ASK

static const struct field fields[] = {
    {"prompt", FIELD_READ},
    {"echo", FIELD_BOOL, IN_COMPLETION(echo)},
    {"best_of", FIELD_WHOLE, IN_COMPLETION(best_of), 1, 64},
    {"logprobs", FIELD_OF, .read = read_logprobs},
    {"return_token_ids", FIELD_BOOL, IN_COMPLETION(ids)},
    {"receipt", FIELD_BOOL, IN_JOB(receipt)},
    {"suffix", FIELD_NULL},
    {"prompt_logprobs", FIELD_NULL},
};

// The prompt's text, told first: the telling's own.
struct echo {
    size_t size;
    char text[];
};

static void head(struct js *o, const struct telling *t) {
    char id[40];
    snprintf(id, sizeof id, "cmpl-%s", t->job->x->id);
    js_string_of(o, "id", id);
    js_string_of(o, "object", "text_completion");
    js_whole(o, "created", t->created);
    js_string_of(o, "model", served_name(t->job->model));
}

// A token's part of each of the lists that "logprobs" is made of: kept apart by a line's end until they are written.
static void token(struct telling *t, struct speech *s, const struct said *said) {
    struct js o = {.out = &s->logprobs, .comma = s->logprobs.size > 0};
    size_t size = 0;
    char *text = token_text(t, said->id, &size);
    js_open(&o, NULL, '{');
    js_text(&o, "token", text ? text : "", size);
    gyr_free(text);
    js_number(&o, "logprob", (double)said->logprob);
    js_open(&o, "top", '{');
    for (size_t i = 0; i < said->count; i++) {
        char name[300];
        text = token_text(t, said->top_ids[i], &size);
        snprintf(name, sizeof name, "%s", text ? text : "");
        gyr_free(text);
        js_number(&o, name, (double)said->top_logprobs[i]);
    }
    js_close(&o, '}');
    js_close(&o, '}');
}

static void put_logprobs(struct js *o, struct speech *s) {
    struct buf list = {0};
    buf_putc(&list, '[');
    buf_append(&list, s->logprobs.data, s->logprobs.size);
    buf_putc(&list, ']');
    json_t *all = list.failed ? NULL : json_loadb(list.data, list.size, JSON_ALLOW_NUL, NULL), *item;
    size_t i;
    long long offset = 0;
    js_open(o, "logprobs", '{');
    js_open(o, "tokens", '[');
    json_array_foreach(all, i, item) {
        const json_t *text = json_object_get(item, "token");
        js_text(o, NULL, json_string_value(text), json_string_length(text));
    }
    js_close(o, ']');
    js_open(o, "token_logprobs", '[');
    json_array_foreach(all, i, item) js_number(o, NULL, json_number_value(json_object_get(item, "logprob")));
    js_close(o, ']');
    js_open(o, "top_logprobs", '[');
    json_array_foreach(all, i, item) {
        char *top = json_dumps(json_object_get(item, "top"), JSON_COMPACT);
        js_raw(o, NULL, top ? top : "{}", top ? strlen(top) : 2);
        free(top);
    }
    js_close(o, ']');
    js_open(o, "text_offset", '[');
    json_array_foreach(all, i, item) {
        js_whole(o, NULL, offset);
        offset += (long long)json_string_length(json_object_get(item, "token"));
    }
    js_close(o, ']');
    js_close(o, '}');
    json_decref(all);
    buf_free(&list);
    buf_clear(&s->logprobs);
}

static void put_choice(struct js *o, struct telling *t, struct speech *s, const char *text, size_t size,
                       const char *finish) {
    js_open(o, NULL, '{');
    js_whole(o, "index", s->index);
    js_text(o, "text", text, size);
    if (t->wants_logprobs && s->logprobs.size)
        put_logprobs(o, s);
    else
        js_none(o, "logprobs");
    if (t->wants_ids) {
        js_open(o, "token_ids", '[');
        for (size_t i = 0; i < s->ids.size / sizeof(int32_t); i++)
            js_whole(o, NULL, ((int32_t *)(void *)s->ids.data)[i]);
        js_close(o, ']');
        buf_clear(&s->ids);
    }
    js_string_of(o, "finish_reason", finish);
    js_close(o, '}');
}

static void chunk(struct telling *t, struct speech *s, const char *text, size_t size, const char *finish) {
    struct buf json = {0};
    struct js o = {.out = &json};
    js_open(&o, NULL, '{');
    head(&o, t);
    js_open(&o, "choices", '[');
    put_choice(&o, t, s, text, size, finish);
    js_close(&o, ']');
    openai_chunk_usage(&o, t);
    js_close(&o, '}');
    telling_event(t, NULL, &json);
    buf_free(&json);
}

static void start(struct telling *t) {
    const struct echo *echo = t->own;
    for (unsigned i = 0; echo && i < t->n; i++) chunk(t, &t->speeches[i], echo->text, echo->size, NULL);
}

static void event(struct telling *t, struct speech *s, enum speech_kind kind, const char *text, size_t size) {
    if (t->stream && kind == SPEECH_TEXT) chunk(t, s, text, size, NULL);
}

static void over(struct telling *t, struct speech *s) {
    if (t->stream) chunk(t, s, "", 0, finish_reason(s));
}

static void done(struct telling *t) {
    const struct echo *echo = t->own;
    struct buf json = {0};
    struct js o = {.out = &json};
    js_open(&o, NULL, '{');
    head(&o, t);
    js_open(&o, "choices", '[');
    for (unsigned i = 0; !t->stream && i < t->n; i++) {
        struct speech *s = &t->speeches[i];
        struct buf all = {0};
        if (echo) buf_append(&all, echo->text, echo->size);
        buf_append(&all, s->text.data, s->text.size);
        put_choice(&o, t, s, all.size ? all.data : "", all.size, finish_reason(s));
        buf_free(&all);
    }
    js_close(&o, ']');
    openai_usage(&o, "usage", t);
    openai_receipt(&o, t);
    js_close(&o, '}');
    openai_finish(t, &json);
}

const struct surface completions_surface = {.type = "application/json",
                                            .stream_type = "text/event-stream",
                                            .start = start,
                                            .event = event,
                                            .token = token,
                                            .over = over,
                                            .done = done,
                                            .error = openai_error,
                                            .broke = openai_broke};

static bool read_ids(struct ask *a, const json_t *list, struct fault *f) {
    size_t i, n = json_array_size(list);
    json_t *item;
    gyr_tokens tokens = {.ids = malloc((n + 1) * sizeof *tokens.ids), .count = n};
    if (!tokens.ids) return refuse(f, 503, NULL, "out of memory");
    uint32_t vocab = served_info(a->job->model)->vocab;
    json_array_foreach(list, i, item) {
        json_int_t id = json_integer_value(item);
        if (!json_is_integer(item) || id < 0 || id >= vocab) {
            free(tokens.ids);
            return refuse(f, 400, "prompt", "prompt[%zu]: token ids are 0 to %u", i, vocab - 1);
        }
        tokens.ids[i] = (int32_t)id;
    }
    return ask_prompt(a, &tokens, f);
}

static bool read_prompt(struct ask *a, const json_t *prompt, struct fault *f) {
    gyr_tokens tokens = {0};
    gyr_error e = {0};
    if (json_array_size(prompt) == 1 && !json_is_integer(json_array_get(prompt, 0))) prompt = json_array_get(prompt, 0);
    if (json_is_array(prompt) &&
        (json_is_string(json_array_get(prompt, 0)) || json_is_array(json_array_get(prompt, 0))))
        return refuse(f, 400, "prompt", "prompt: one prompt a request; send the others in requests of their own");
    if (json_is_array(prompt)) return read_ids(a, prompt, f);
    if (!json_is_string(prompt)) return refuse(f, 400, "prompt", "prompt: takes a string or a list of token ids");
    if (gyr_tokenize(a->tokenizer, json_string_value(prompt), json_string_length(prompt), GYR_ADD_BOS, &tokens, &e))
        return refuse_error(f, &e, true);
    return ask_prompt(a, &tokens, f);
}

static bool keep_echo(struct ask *a, struct telling *t, struct fault *f) {
    size_t size = 0;
    char *text = gyr_detokenize(a->tokenizer, a->job->prompt, a->job->count, false, &size, NULL);
    struct echo *echo = text ? malloc(sizeof *echo + size) : NULL;
    if (echo) {
        echo->size = size;
        memcpy(echo->text, text, size);
        t->own = echo;
    }
    gyr_free(text);
    return echo || refuse(f, 503, NULL, "out of memory");
}

bool completions_read(struct ask *common, struct fault *f) {
    struct completion c = {.ask = *common};
    struct ask *a = &c.ask;
    struct job *j = a->job;
    if (!ask_fields(a, fields, sizeof fields / sizeof *fields, f) || !openai_receipt_asked(a, f)) return false;
    if (c.best_of > j->n) return refuse(f, 400, "best_of", "best_of: no more than n");
    if (c.echo && c.logprobs) return refuse(f, 400, "echo", "echo: not together with logprobs");
    if (!j->max_tokens) j->max_tokens = 16; // as OpenAI has it
    j->logprobs = c.logprobs ? 1 + (int32_t)c.logprobs_wanted : 0;
    if (!read_prompt(a, json_object_get(a->body, "prompt"), f) || !telling_new(j, &completions_surface, a, f))
        return false;
    ((struct telling *)j->telling)->wants_ids = c.ids;
    return !c.echo || keep_echo(a, j->telling, f);
}
