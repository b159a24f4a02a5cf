// The telling of Responses: one item after the other, each opened, added to and closed by events.
#include "server/responses.h"

#include "server/models.h"
#include "server/openai.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const kind_names[] = {
    [SPEECH_REASONING] = "reasoning", [SPEECH_TEXT] = "message", [SPEECH_CALL] = "function_call"};
static const char *const id_marks[] = {[SPEECH_REASONING] = "rs", [SPEECH_TEXT] = "msg", [SPEECH_CALL] = "fc"};

static void put_id(struct js *o, const char *key, const struct telling *t, size_t i) {
    const struct response *r = t->own;
    char id[60];
    snprintf(id, sizeof id, "%s_%s%02zx", id_marks[r->items[i].kind], t->job->x->id, i);
    js_string_of(o, key, id);
}

static void put_logprobs(struct js *o, const struct buf *list) {
    js_open(o, "logprobs", '[');
    if (list && list->size) js_raw(o, NULL, list->data, list->size);
    js_close(o, ']');
}

static void put_part(struct js *o, const char *key, const struct item *it, bool whole) {
    js_open(o, key, '{');
    js_string_of(o, "type", it->kind == SPEECH_TEXT ? "output_text" : "reasoning_text");
    js_text(o, "text", it->text.data ? it->text.data : "", whole ? it->text.size : 0);
    if (it->kind == SPEECH_TEXT) {
        js_open(o, "annotations", '[');
        js_close(o, ']');
        put_logprobs(o, whole ? &it->logprobs : NULL);
    }
    js_close(o, '}');
}

static void put_item(struct js *o, const char *key, const struct telling *t, size_t i) {
    const struct response *r = t->own;
    const struct item *it = &r->items[i];
    js_open(o, key, '{');
    put_id(o, "id", t, i);
    js_string_of(o, "type", kind_names[it->kind]);
    if (it->kind != SPEECH_REASONING) js_string_of(o, "status", it->open ? "in_progress" : "completed");
    if (it->kind == SPEECH_TEXT) js_string_of(o, "role", "assistant");
    if (it->kind == SPEECH_REASONING) {
        js_open(o, "summary", '[');
        js_close(o, ']');
    }
    if (it->kind == SPEECH_CALL) {
        const struct call *c = &t->speeches[0].calls[it->call];
        js_string_of(o, "call_id", c->id);
        js_string_of(o, "name", c->name);
        js_text(o, "arguments", it->text.data ? it->text.data : "", it->open ? 0 : it->text.size);
    } else {
        js_open(o, "content", '[');
        if (!it->open) put_part(o, NULL, it, true);
        js_close(o, ']');
    }
    js_close(o, '}');
}

static void put_usage(struct js *o, const struct telling *t) {
    const struct speech *s = &t->speeches[0];
    js_open(o, "usage", '{');
    js_whole(o, "input_tokens", (int64_t)t->prompt_tokens);
    js_open(o, "input_tokens_details", '{');
    js_whole(o, "cached_tokens", (int64_t)t->cached);
    js_close(o, '}');
    js_whole(o, "output_tokens", (int64_t)s->tokens);
    js_open(o, "output_tokens_details", '{');
    js_whole(o, "reasoning_tokens", (int64_t)s->reasoning_tokens);
    js_close(o, '}');
    js_whole(o, "total_tokens", (int64_t)(t->prompt_tokens + s->tokens));
    telling_energy(o, t);
    js_close(o, '}');
}

static void put_echo(struct js *o, const struct response *r) {
    const char *key;
    json_t *value;
    json_object_foreach(r->echo, key, value) {
        char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
        if (text)
            js_raw(o, key, text, strlen(text));
        else
            o->out->failed = true;
        free(text);
    }
}

void response_put(struct js *o, const char *key, const struct telling *t, const char *status, const struct fault *f) {
    const struct response *r = t->own;
    char id[40];
    snprintf(id, sizeof id, "resp_%s", t->job->x->id);
    js_open(o, key, '{');
    js_string_of(o, "id", id);
    js_string_of(o, "object", "response");
    js_whole(o, "created_at", t->created);
    js_string_of(o, "status", status);
    js_bool(o, "background", false);
    js_string_of(o, "model", job_model(t->job));
    js_bool(o, "store", r->store);
    put_echo(o, r);
    if (f) {
        js_open(o, "error", '{');
        js_string_of(o, "code", f->code ? f->code : "server_error");
        js_string_of(o, "message", f->message);
        js_close(o, '}');
    } else {
        js_none(o, "error");
    }
    if (!strcmp(status, "incomplete")) {
        js_open(o, "incomplete_details", '{');
        js_string_of(o, "reason", "max_output_tokens");
        js_close(o, '}');
    } else {
        js_none(o, "incomplete_details");
    }
    bool over = strcmp(status, "in_progress");
    js_open(o, "output", '[');
    for (size_t i = 0; over && i < r->n_items; i++) put_item(o, NULL, t, i);
    js_close(o, ']');
    if (over && !f)
        put_usage(o, t);
    else
        js_none(o, "usage");
    js_close(o, '}');
}

static void open_event(struct js *o, struct buf *json, const struct telling *t, const char *type) {
    struct response *r = t->own;
    *o = (struct js){.out = json};
    js_open(o, NULL, '{');
    js_string_of(o, "type", type);
    js_whole(o, "sequence_number", (int64_t)r->events++);
}

static void close_event(struct telling *t, struct js *o, const char *type) {
    js_close(o, '}');
    telling_event(t, type, o->out);
    buf_free(o->out);
}

static void tell_response(struct telling *t, const char *type, const char *status, const struct fault *f) {
    struct buf json = {0};
    struct js o;
    open_event(&o, &json, t, type);
    response_put(&o, "response", t, status, f);
    close_event(t, &o, type);
}

static void start(struct telling *t) {
    tell_response(t, "response.created", "in_progress", NULL);
    tell_response(t, "response.in_progress", "in_progress", NULL);
}

// An event of the last item: with the item itself, or with where it is.
static void tell_item(struct telling *t, const char *type) {
    struct response *r = t->own;
    struct buf json = {0};
    struct js o;
    if (!t->stream) return;
    open_event(&o, &json, t, type);
    js_whole(&o, "output_index", (int64_t)r->n_items - 1);
    put_item(&o, "item", t, r->n_items - 1);
    close_event(t, &o, type);
}

static void tell_of_item(struct telling *t, const char *type, const char *key, const char *text, size_t size,
                         const struct buf *logprobs) {
    struct response *r = t->own;
    const struct item *it = &r->items[r->n_items - 1];
    struct buf json = {0};
    struct js o;
    if (!t->stream) return;
    open_event(&o, &json, t, type);
    put_id(&o, "item_id", t, r->n_items - 1);
    js_whole(&o, "output_index", (int64_t)r->n_items - 1);
    if (it->kind != SPEECH_CALL) js_whole(&o, "content_index", 0);
    if (!strcmp(key, "part"))
        put_part(&o, key, it, !it->open);
    else
        js_text(&o, key, text, size);
    if (it->kind == SPEECH_TEXT && strcmp(key, "part")) put_logprobs(&o, logprobs);
    close_event(t, &o, type);
}

// The names of a kind's events.
static const struct {
    const char *delta, *done, *done_key;
} words[] = {
    [SPEECH_REASONING] = {"response.reasoning_text.delta", "response.reasoning_text.done", "text"},
    [SPEECH_TEXT] = {"response.output_text.delta", "response.output_text.done", "text"},
    [SPEECH_CALL] = {"response.function_call_arguments.delta", "response.function_call_arguments.done", "arguments"}};

static void close_item(struct telling *t) {
    struct response *r = t->own;
    struct item *it = r->n_items ? &r->items[r->n_items - 1] : NULL;
    if (!it || !it->open) return;
    it->open = false;
    tell_of_item(t, words[it->kind].done, words[it->kind].done_key, it->text.data ? it->text.data : "", it->text.size,
                 &it->logprobs);
    if (it->kind == SPEECH_TEXT) tell_of_item(t, "response.content_part.done", "part", NULL, 0, NULL);
    tell_item(t, "response.output_item.done");
}

static bool open_item(struct telling *t, enum speech_kind kind) {
    struct response *r = t->own;
    close_item(t);
    if (!ARRAY_GROW(r->items, r->n_items, r->room)) {
        job_cancel(t->job);
        return false;
    }
    r->items[r->n_items++] = (struct item){.kind = kind, .call = t->speeches[0].n_calls - 1, .open = true};
    tell_item(t, "response.output_item.added");
    if (kind == SPEECH_TEXT) tell_of_item(t, "response.content_part.added", "part", NULL, 0, NULL);
    return true;
}

// A token with text: which of it becomes text of the message is known when that is told.
static void token(struct telling *t, struct speech *s, const struct said *said) {
    struct response *r = t->own;
    struct js o = {.out = &r->json};
    size_t before = r->json.size;
    (void)s;
    if (!said->size) return;
    if (!ARRAY_GROW(r->heard, r->n_heard, r->heard_room)) {
        job_cancel(t->job);
        return;
    }
    openai_put_token(t, &o, said);
    buf_append(&r->text, said->text, said->size);
    r->heard[r->n_heard++] = (struct heard){said->size, r->json.size - before};
}

static void drop(struct buf *b, size_t n) {
    if (n) memmove(b->data, b->data + n, b->size - n);
    b->size -= n;
}

// The tokens that have part in a text that is told now, with commas between, to `out` (NULL: nowhere). Those in front
// of it were marks or blanks, and are gone; those behind it wait.
static void take_heard(struct response *r, struct buf *out, const char *text, size_t size) {
    const char *at = r->text.size ? memmem(r->text.data, r->text.size, text, size) : NULL;
    size_t from = at ? (size_t)(at - r->text.data) : 0, to = at ? from + size : r->text.size, end = 0, json = 0, i = 0;
    for (; i < r->n_heard && end < to; i++) {
        end += r->heard[i].text;
        if (out && end > from) {
            if (out->size) buf_putc(out, ',');
            buf_append(out, r->json.data + json, r->heard[i].json);
        }
        json += r->heard[i].json;
    }
    drop(&r->text, end);
    drop(&r->json, json);
    if (i) memmove(r->heard, r->heard + i, (r->n_heard - i) * sizeof *r->heard);
    r->n_heard -= i;
}

static void event(struct telling *t, struct speech *s, enum speech_kind kind, const char *text, size_t size) {
    struct response *r = t->own;
    struct item *last = r->n_items ? &r->items[r->n_items - 1] : NULL;
    enum speech_kind of = kind == SPEECH_ARGUMENTS ? SPEECH_CALL : kind;
    (void)s;
    if (kind == SPEECH_CALL_END) {
        close_item(t);
        return;
    }
    if ((kind == SPEECH_CALL || !last || !last->open || last->kind != of) && !open_item(t, of)) return;
    if (kind == SPEECH_CALL) return;
    last = &r->items[r->n_items - 1];
    buf_append(&last->text, text, size);
    struct buf logprobs = {0};
    if (t->wants_logprobs) take_heard(r, of == SPEECH_TEXT ? &logprobs : NULL, text, size);
    if (logprobs.size && last->logprobs.size) buf_putc(&last->logprobs, ',');
    buf_append(&last->logprobs, logprobs.data, logprobs.size);
    tell_of_item(t, words[of].delta, "delta", text, size, &logprobs);
    buf_free(&logprobs);
}

static void done(struct telling *t) {
    const struct speech *s = &t->speeches[0];
    const char *status = s->stop == GYR_STOP_LENGTH ? "incomplete" : "completed";
    struct buf json = {0};
    struct js o = {.out = &json};
    close_item(t);
    response_keep(t);
    if (t->stream) {
        tell_response(t, s->stop == GYR_STOP_LENGTH ? "response.incomplete" : "response.completed", status, NULL);
        return;
    }
    response_put(&o, NULL, t, status, NULL);
    telling_reply(t, &json);
    buf_free(&json);
}

static void broke(struct telling *t, const struct fault *f) {
    close_item(t);
    tell_response(t, "response.failed", "failed", f);
}

static void free_own(void *own) {
    struct response *r = own;
    for (size_t i = 0; i < r->n_items; i++) {
        buf_free(&r->items[i].text);
        buf_free(&r->items[i].logprobs);
    }
    buf_free(&r->text);
    buf_free(&r->json);
    free(r->heard);
    free(r->items);
    json_decref(r->echo);
    json_decref(r->input);
    json_decref(r->turn);
    free(r);
}

const struct surface responses_surface = {.type = "application/json",
                                          .stream_type = "text/event-stream",
                                          .start = start,
                                          .event = event,
                                          .token = token,
                                          .done = done,
                                          .error = openai_error,
                                          .broke = broke,
                                          .free_own = free_own};
