#include "server/telling.h"

#include "server/models.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void forget(void *telling) {
    struct telling *t = telling;
    for (unsigned i = 0; i < t->n; i++) {
        struct speech *s = &t->speeches[i];
        for (size_t k = 0; k < s->n_calls; k++) {
            free(s->calls[k].name);
            buf_free(&s->calls[k].arguments);
        }
        free(s->calls);
        output_free(s->reader);
        buf_free(&s->text);
        buf_free(&s->reasoning);
        buf_free(&s->logprobs);
        buf_free(&s->scores);
        buf_free(&s->ids);
        buf_free(&s->receipt);
    }
    free(t->speeches);
    json_decref(t->tools);
    buf_free(&t->out);
    if (t->own) (t->surface->free_own ? t->surface->free_own : free)(t->own);
    free(t);
}

void telling_event(struct telling *t, const char *name, const struct buf *json) {
    if (name) buf_printf(&t->out, "event: %s\n", name);
    buf_puts(&t->out, "data: ");
    buf_append(&t->out, json->data, json->size);
    buf_puts(&t->out, "\n\n");
}

// A client that takes nothing must not fill the memory: what it is owed is bounded.
enum { MAX_WAITING = 8 << 20, MAX_HELD = 512 << 20 };

void telling_send(struct telling *t) {
    if (t->out.failed || reply_waiting(t->job->x) > MAX_WAITING) job_cancel(t->job);
    reply_more(t->job->x, t->out.data, t->out.size);
    buf_clear(&t->out);
}

void telling_reply(struct telling *t, const struct buf *body) {
    static const struct fault no_memory = {.status = 503, .message = "out of memory for the reply; try again later"};
    if (body->failed)
        reply_fault(t->job->x, t->surface, &no_memory);
    else
        reply_whole(t->job->x, 200, t->surface->type, body->data, body->size);
}

static void start(struct telling *t) {
    if (t->started || !t->stream) return;
    t->started = true;
    exchange_add_header(t->job->x, "X-Accel-Buffering", "no"); // proxies are to pass each piece on at once
    reply_start(t->job->x, 200, t->surface->stream_type);
    if (t->surface->start) t->surface->start(t);
}

// A call's name for the client: the model's own where it has one.
static void add_call(struct speech *s, const struct output_event *e) {
    const char *request = s->telling->job->x->id;
    if (!ARRAY_GROW(s->calls, s->n_calls, s->calls_room)) {
        job_cancel(s->telling->job);
        return;
    }
    struct call *c = &s->calls[s->n_calls++];
    *c = (struct call){.name = strndup(e->data, e->size)};
    if (e->id_size && e->id_size < sizeof c->id)
        snprintf(c->id, sizeof c->id, "%.*s", (int)e->id_size, e->id);
    else
        snprintf(c->id, sizeof c->id, "call_%.18s%02x%04x", request, s->index & 0xff, (unsigned)s->n_calls & 0xffff);
    if (!c->name) job_cancel(s->telling->job);
}

static void note_spelling(struct telling *t, const struct speech *s) {
    const struct call *c = &s->calls[s->n_calls - 1];
    if (t->surface->objects && c->name && !c->cut && !c->arguments.failed)
        spelling_note(&t->speller, t->surface->no_ids ? "" : c->id, c->name, c->arguments.data, c->arguments.size);
}

static void event(struct telling *t, struct speech *s, enum speech_kind kind, const char *text, size_t size) {
    if (s->closed) return;
    if (kind == SPEECH_ARGUMENTS) buf_append(&s->calls[s->n_calls - 1].arguments, text, size);
    if (kind == SPEECH_CALL_END) note_spelling(t, s);
    if (kind == SPEECH_TEXT) buf_append(&s->text, text, size);
    if (kind == SPEECH_REASONING) buf_append(&s->reasoning, text, size);
    if (t->surface->event) t->surface->event(t, s, kind, text, size);
    s->last = kind;
    s->spoken = true;
}

static void on_output(void *user, const struct output_event *e) {
    static const enum speech_kind kinds[] = {[OUTPUT_REASONING] = SPEECH_REASONING,
                                             [OUTPUT_TEXT] = SPEECH_TEXT,
                                             [OUTPUT_CALL] = SPEECH_CALL,
                                             [OUTPUT_ARGUMENTS] = SPEECH_ARGUMENTS,
                                             [OUTPUT_CALL_ENDS] = SPEECH_CALL_END};
    struct speech *s = user;
    size_t before = s->n_calls;
    if (e->kind == OUTPUT_CALL && !s->closed) add_call(s, e);
    if (e->kind == OUTPUT_CALL && s->n_calls == before) return;
    if (e->kind == OUTPUT_CALL_ENDS && !s->closed) s->calls[s->n_calls - 1].cut = !e->whole;
    event(s->telling, s, kinds[e->kind], e->data, e->size);
    if (e->kind != OUTPUT_CALL_ENDS || !s->telling->job->one_call) return;
    s->closed = true;
    atomic_fetch_or(&s->telling->job->enough, UINT64_C(1) << s->index);
}

enum format_begins telling_begins(const struct telling *t) {
    enum { LOOK_BACK = 64 };
    const struct job *j = t->job;
    size_t n = j->count < LOOK_BACK ? j->count : LOOK_BACK, size = 0;
    char *end = gyr_detokenize(t->tokenizer, j->prompt + j->count - n, n, true, &size, NULL);
    enum format_begins how = format_begins(served_format(j->model), end ? end : "", size);
    gyr_free(end);
    return how;
}

bool telling_reads(struct telling *t, json_t *tools, struct fault *f) {
    struct output_options how = {.format = served_format(t->job->model),
                                 .tools = tools,
                                 .begins = telling_begins(t),
                                 .whole_calls = false,
                                 .event = on_output};
    gyr_error e = {0};
    t->tools = json_incref(tools);
    for (unsigned i = 0; i < t->n; i++) {
        how.user = &t->speeches[i];
        if (!(t->speeches[i].reader = output_new(&how, &e))) return refuse_error(f, &e, false);
    }
    return true;
}

// A token without text may be a special one, which marks something.
static void put_special(struct telling *t, struct speech *s, int32_t id) {
    size_t size = 0;
    char *text = token_text(t, id, &size);
    if (text) output_put(s->reader, text, size, true);
    gyr_free(text);
}

static void put_text(struct telling *t, struct speech *s, const char *text, size_t size) {
    if (s->reader)
        output_put(s->reader, text, size, false);
    else
        event(t, s, SPEECH_TEXT, text, size);
}

static void finish(struct telling *t, struct speech *s, const struct said *what) {
    s->stop = what->stop;
    s->tokens = what->count;
    if (what->size) buf_append(&s->receipt, what->text, what->size);
    t->prompt_seconds += what->seconds[0];
    t->answer_seconds += what->seconds[1];
    t->energy = what->energy; // of all choices until then
    t->over = true;
    if (s->reader && !output_finish(s->reader, what->stop == GYR_STOP_END, NULL)) job_cancel(t->job);
    if (t->surface->over) t->surface->over(t, s);
}

void telling_energy(struct js *o, const struct telling *t) {
    if (!t->over) return;
    js_open(o, "energy", '{');
    if (t->energy.basis == ENERGY_UNKNOWN)
        js_none(o, "joules");
    else
        js_number(o, "joules", t->energy.joules);
    js_string_of(o, "basis", energy_basis_name(t->energy.basis));
    js_close(o, '}');
}

char *token_text(const struct telling *t, int32_t id, size_t *size) {
    return gyr_detokenize(t->tokenizer, &id, 1, true, size, NULL);
}

// What a whole reply is made of is held until its end.
static size_t held(const struct speech *s) {
    return s->text.size + s->reasoning.size + s->logprobs.size + s->scores.size + s->ids.size;
}

static void said(struct job *j, const struct said *what) {
    struct telling *t = j->telling;
    struct speech *s = &t->speeches[what->choice];
    size_t before = held(s);
    switch (what->kind) {
    case SAID_READ:
        if (!t->stream || !t->surface->read) break;
        start(t);
        t->surface->read(t, what);
        break;
    case SAID_BEGUN:
        if (what->choice % j->each == 0) t->cached += what->cached;
        start(t);
        if (t->stream && t->surface->begun) t->surface->begun(t, s);
        break;
    case SAID_PROMPT:
        if (t->surface->prompt) t->surface->prompt(t, s, what);
        break;
    case SAID_TOKEN:
        s->tokens++;
        if (t->wants_logprobs && t->surface->token) t->surface->token(t, s, what);
        if (t->wants_ids) buf_append(&s->ids, &what->id, sizeof what->id);
        if (s->reader && !what->size) put_special(t, s, what->id);
        s->reasoning_tokens += s->reader && output_is_reasoning(s->reader);
        break;
    case SAID_TEXT: put_text(t, s, what->text, what->size); break;
    case SAID_END:
        start(t);
        finish(t, s, what);
        break;
    default: break;
    }
    t->held += held(s) - before;
    if (t->held > MAX_HELD) job_cancel(t->job);
    if (t->out.size) telling_send(t);
}

static void done(struct job *j) {
    struct telling *t = j->telling;
    j->x->left = NULL;
    t->surface->done(t);
    if (!t->started) return;
    telling_send(t);
    reply_end(j->x);
}

static void failed(struct job *j, const struct fault *f) {
    struct telling *t = j->telling;
    j->x->left = NULL;
    if (!t->started) {
        reply_fault(j->x, t->surface, f);
        return;
    }
    t->surface->broke(t, f);
    if (!j->x->why) j->x->why = strdup(f->message);
    telling_send(t);
    reply_end(j->x);
}

static const struct teller teller = {said, done, failed};

bool telling_new(struct job *j, const struct surface *surface, const struct ask *a, struct fault *f) {
    if (a->stream && j->x->replied) return refuse(f, 400, "stream", "stream: not in a batch; leave it out");
    struct telling *t = calloc(1, sizeof *t);
    struct speech *speeches = calloc(j->n, sizeof *speeches);
    if (!t || !speeches) {
        free(t);
        free(speeches);
        return refuse(f, 503, NULL, "out of memory; try again later");
    }
    *t = (struct telling){.surface = surface,
                          .job = j,
                          .tokenizer = a->tokenizer,
                          .speller = ask_speller(a),
                          .speeches = speeches,
                          .n = j->n,
                          .stream = a->stream,
                          .usage = a->usage,
                          .usage_each = a->usage_each,
                          .wants_logprobs = j->logprobs,
                          .prompt_tokens = job_tokens(j),
                          .created = (long long)time(NULL)};
    for (unsigned i = 0; i < j->n; i++) speeches[i].index = i, speeches[i].telling = t;
    j->telling = t;
    j->forget = forget;
    j->teller = &teller;
    return true;
}

const char *finish_reason(const struct speech *s) {
    if (s->stop == GYR_STOP_LENGTH) return "length";
    return s->n_calls ? "tool_calls" : "stop";
}

void reply_fault(struct exchange *x, const struct surface *surface, const struct fault *f) {
    struct buf body = {0};
    char seconds[16];
    surface->error(&body, f);
    if (!x->why) x->why = strdup(f->message);
    snprintf(seconds, sizeof seconds, "%u", f->retry_after);
    if (f->retry_after) exchange_add_header(x, "Retry-After", seconds);
    reply_later(x, f->status, "application/json", &body);
}
