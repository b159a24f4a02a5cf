// POST /api/chat and /api/generate, as Ollama has them (https://docs.ollama.com/api), for programs that have only that.
#include "server/constraint.h"
#include "server/conversation.h"
#include "server/models.h"
#include "server/openai.h"
#include "server/surfaces.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct ollama {
    struct ask ask;
    struct conversation talk;
    struct constraint must;
    size_t top_logprobs;
    bool raw, logprobs;
};

#define IN_OLLAMA(member) offsetof(struct ollama, member), IN_ASK

static bool read_predict(struct ask *a, const json_t *v, const char *name, struct fault *f) {
    double n = json_number_value(v);
    if (!json_is_number(v) || n != floor(n) || n < -2 || n > 1e9)
        return refuse(f, 400, name, "%s: takes whole numbers, -1 for no limit", name);
    a->job->max_tokens = n > 0 ? (size_t)n : 0;
    return true;
}

// A longer context than the model's cannot be had; a shorter one would only lose what was said.
static bool read_context(struct ask *a, const json_t *v, const char *name, struct fault *f) {
    (void)a;
    return json_is_number(v) || refuse(f, 400, name, "%s: takes a whole number", name);
}

static const struct field members[] = {
    {"num_predict", FIELD_OF, .read = read_predict},
    {"num_ctx", FIELD_OF, .read = read_context},
    {"repeat_last_n", FIELD_READ},
    {"num_keep", FIELD_IGNORED},
    {"num_batch", FIELD_IGNORED},
    {"num_gpu", FIELD_IGNORED},
    {"main_gpu", FIELD_IGNORED},
    {"use_mmap", FIELD_IGNORED},
    {"num_thread", FIELD_IGNORED},
    {"numa", FIELD_IGNORED},
    {"typical_p", FIELD_READ},
    {"tfs_z", FIELD_READ},
    {"mirostat", FIELD_NULL},
    {"mirostat_eta", FIELD_IGNORED},
    {"mirostat_tau", FIELD_IGNORED},
};

static bool read_options(struct ask *a, const json_t *v, const char *name, struct fault *f) {
    if (!json_is_object(v)) return refuse(f, 400, name, "%s: takes an object", name);
    const json_t *window = json_object_get(v, "repeat_last_n"), *typical = json_object_get(v, "typical_p"),
                 *tail = json_object_get(v, "tfs_z");
    if ((typical && json_number_value(typical) != 1) || (tail && json_number_value(tail) != 1))
        return refuse(f, 400, name, "%s: typical_p and tfs_z are not supported", name);
    json_int_t last = json_integer_value(window);
    if (window && (!json_is_integer(window) || last < -1 || last > INT32_MAX))
        return refuse(f, 400, name, "%s: repeat_last_n: takes whole numbers, -1 for the whole context", name);
    if (last > 0) a->job->sampling.penalty_window = (uint32_t)last;
    return ask_members(a, v, members, sizeof members / sizeof *members, f);
}

static bool read_think(struct ask *a, const json_t *v, const char *name, struct fault *f) {
    struct ollama *o = (struct ollama *)a;
    if (!json_is_boolean(v) && !json_is_string(v))
        return refuse(f, 400, name, "%s: takes true, false or a level", name);
    o->talk.effort = json_is_false(v) ? "none" : json_string_value(v);
    return true;
}

static bool read_format(struct ask *a, const json_t *v, const char *name, struct fault *f) {
    struct constraint *must = &((struct ollama *)a)->must;
    const char *word = json_string_value(v);
    if (word && !*word) return true;
    if (json_is_object(v)) return constraint_schema(must, v, name, f);
    if (!word || strcmp(word, "json")) return refuse(f, 400, name, "%s: takes \"json\" or a JSON schema", name);
    return constraint_json(must, name, f);
}

static const struct field fields[] = {
    {"messages", FIELD_READ},
    {"prompt", FIELD_READ},
    {"system", FIELD_READ},
    {"tools", FIELD_READ},
    {"options", FIELD_OF, .read = read_options},
    {"think", FIELD_OF, .read = read_think},
    {"keep_alive", FIELD_IGNORED},
    {"raw", FIELD_BOOL, IN_OLLAMA(raw)},
    {"format", FIELD_OF, .read = read_format},
    {"logprobs", FIELD_BOOL, IN_OLLAMA(logprobs)},
    {"top_logprobs", FIELD_WHOLE, IN_OLLAMA(top_logprobs), 0, 20},
    {"truncate", FIELD_IGNORED}, // a prompt that is too long is refused
    {"shift", FIELD_IGNORED},
    {"images", FIELD_NULL},
    {"suffix", FIELD_NULL},
    {"template", FIELD_NULL},
    {"context", FIELD_NULL},
};

static void open_line(struct js *o, struct buf *json, const struct telling *t) {
    *o = (struct js){.out = json};
    js_open(o, NULL, '{');
    js_string_of(o, "model", job_model(t->job));
    js_time(o, "created_at", t->created);
}

static void close_line(struct telling *t, struct js *o) {
    js_close(o, '}');
    buf_putc(o->out, '\n');
    buf_append(&t->out, o->out->data, o->out->size);
    buf_free(o->out);
}

static int64_t nanoseconds(double seconds) { return (int64_t)(seconds * 1e9); }

static void put_logprobs(struct js *o, struct speech *s) {
    if (!s->logprobs.size) return;
    js_open(o, "logprobs", '[');
    js_raw(o, NULL, s->logprobs.data, s->logprobs.size);
    js_close(o, ']');
    buf_clear(&s->logprobs);
}

static void put_end(struct js *o, struct telling *t) {
    struct speech *s = &t->speeches[0];
    put_logprobs(o, s);
    js_bool(o, "done", true);
    js_string_of(o, "done_reason", s->stop == GYR_STOP_LENGTH ? "length" : "stop");
    js_whole(o, "total_duration", nanoseconds(t->prompt_seconds + t->answer_seconds));
    js_whole(o, "load_duration", 0);
    js_whole(o, "prompt_eval_count", (int64_t)t->prompt_tokens);
    js_whole(o, "prompt_eval_duration", nanoseconds(t->prompt_seconds));
    js_whole(o, "eval_count", (int64_t)s->tokens);
    js_whole(o, "eval_duration", nanoseconds(t->answer_seconds));
}

// Calls are told of whole or not at all, as Ollama does.
static size_t whole_calls(const struct speech *s) {
    size_t n = 0;
    for (size_t i = 0; i < s->n_calls; i++) n += !s->calls[i].cut;
    return n;
}

static void put_call(struct js *o, const struct call *c) {
    js_open(o, NULL, '{');
    js_open(o, "function", '{');
    js_string_of(o, "name", c->name);
    js_raw(o, "arguments", c->arguments.size ? c->arguments.data : "{}", c->arguments.size ? c->arguments.size : 2);
    js_close(o, '}');
    js_close(o, '}');
}

static void chat_event(struct telling *t, struct speech *s, enum speech_kind kind, const char *text, size_t size) {
    struct buf json = {0};
    struct js o;
    if (!t->stream || kind == SPEECH_CALL || kind == SPEECH_ARGUMENTS) return;
    if (kind == SPEECH_CALL_END && s->calls[s->n_calls - 1].cut) return;
    open_line(&o, &json, t);
    js_open(&o, "message", '{');
    js_string_of(&o, "role", "assistant");
    js_text(&o, "content", text, kind == SPEECH_TEXT ? size : 0);
    if (kind == SPEECH_REASONING) js_text(&o, "thinking", text, size);
    if (kind == SPEECH_CALL_END) {
        js_open(&o, "tool_calls", '[');
        put_call(&o, &s->calls[s->n_calls - 1]);
        js_close(&o, ']');
    }
    js_close(&o, '}');
    put_logprobs(&o, s);
    js_bool(&o, "done", false);
    close_line(t, &o);
}

static void generate_event(struct telling *t, struct speech *s, enum speech_kind kind, const char *text, size_t size) {
    struct buf json = {0};
    struct js o;
    if (!t->stream || kind > SPEECH_TEXT) return;
    open_line(&o, &json, t);
    js_text(&o, "response", text, kind == SPEECH_TEXT ? size : 0);
    if (kind == SPEECH_REASONING) js_text(&o, "thinking", text, size);
    put_logprobs(&o, s);
    js_bool(&o, "done", false);
    close_line(t, &o);
}

static void finish(struct telling *t, struct js *o) {
    put_end(o, t);
    if (t->stream) {
        close_line(t, o);
        return;
    }
    js_close(o, '}');
    telling_reply(t, o->out);
    buf_free(o->out);
}

static void chat_done(struct telling *t) {
    const struct speech *s = &t->speeches[0];
    struct buf json = {0};
    struct js o;
    open_line(&o, &json, t);
    js_open(&o, "message", '{');
    js_string_of(&o, "role", "assistant");
    js_text(&o, "content", s->text.data ? s->text.data : "", t->stream ? 0 : s->text.size);
    if (!t->stream && s->reasoning.size) js_text(&o, "thinking", s->reasoning.data, s->reasoning.size);
    if (!t->stream && whole_calls(s)) {
        js_open(&o, "tool_calls", '[');
        for (size_t i = 0; i < s->n_calls; i++) {
            if (!s->calls[i].cut) put_call(&o, &s->calls[i]);
        }
        js_close(&o, ']');
    }
    js_close(&o, '}');
    finish(t, &o);
}

static void generate_done(struct telling *t) {
    const struct speech *s = &t->speeches[0];
    struct buf json = {0};
    struct js o;
    open_line(&o, &json, t);
    js_text(&o, "response", s->text.data ? s->text.data : "", t->stream ? 0 : s->text.size);
    if (!t->stream && s->reasoning.size) js_text(&o, "thinking", s->reasoning.data, s->reasoning.size);
    finish(t, &o);
}

void ollama_error(struct buf *out, const struct fault *f) {
    struct js o = {.out = out};
    js_open(&o, NULL, '{');
    js_string_of(&o, "error", f->message);
    js_close(&o, '}');
    buf_putc(out, '\n');
}

static void broke(struct telling *t, const struct fault *f) { ollama_error(&t->out, f); }

const struct surface ollama_chat_surface = {.type = "application/json",
                                            .stream_type = "application/x-ndjson",
                                            .objects = true,
                                            .no_ids = true,
                                            .event = chat_event,
                                            .token = openai_token,
                                            .done = chat_done,
                                            .error = ollama_error,
                                            .broke = broke};

const struct surface ollama_generate_surface = {.type = "application/json",
                                                .stream_type = "application/x-ndjson",
                                                .event = generate_event,
                                                .token = openai_token,
                                                .done = generate_done,
                                                .error = ollama_error,
                                                .broke = broke};

static bool read_fields(struct ollama *o, struct fault *f) {
    struct ask *a = &o->ask;
    a->stream = true; // unless it says otherwise
    return ask_fields(a, fields, sizeof fields / sizeof *fields, f) && (ask_settle(a), true);
}

// Asking for nothing loads the model, which has happened by now.
static bool loaded(struct ask *a, const char *member) {
    struct js o = {.out = a->reply};
    js_open(&o, NULL, '{');
    js_string_of(&o, "model", job_model(a->job));
    js_time(&o, "created_at", time(NULL));
    if (!strcmp(member, "message")) {
        js_open(&o, member, '{');
        js_string_of(&o, "role", "assistant");
        js_string_of(&o, "content", "");
        js_close(&o, '}');
    } else {
        js_string_of(&o, member, "");
    }
    js_bool(&o, "done", true);
    js_string_of(&o, "done_reason", "load");
    js_close(&o, '}');
    buf_putc(a->reply, '\n');
    return true;
}

// Once there is a prompt: how it is to be told.
static bool tell(struct ollama *o, const struct surface *surface, bool reads, struct fault *f) {
    struct ask *a = &o->ask;
    a->job->logprobs = o->logprobs ? 1 + (int32_t)o->top_logprobs : 0;
    if (!telling_new(a->job, surface, a, f)) return false;
    struct telling *t = a->job->telling;
    if (reads && !telling_reads(t, o->talk.tools, f)) return false;
    return constraint_settle(&o->must, a, o->talk.tools, reads ? telling_begins(t) : BEGINS_ANSWER, f);
}

// Has the calls among the messages say their arguments as the model wrote them.
static void spell_calls(const struct ask *a, const json_t *messages) {
    struct speller who = ask_speller(a);
    json_t *m, *call;
    size_t i, k;
    json_array_foreach(messages, i, m) {
        json_array_foreach(json_object_get(m, "tool_calls"), k, call) {
            json_t *function = json_object_get(call, "function"), *arguments = json_object_get(function, "arguments");
            const char *name = ask_text(function, "name");
            if (!name || !json_is_object(arguments)) continue;
            json_object_set_new(function, "arguments", spelling_of(&who, "", name, arguments));
            json_object_set_new(function, "exact", json_true());
        }
    }
}

static bool read_chat(struct ollama *o, struct fault *f) {
    struct ask *a = &o->ask;
    json_t *messages = json_object_get(a->body, "messages");
    if (!read_fields(o, f)) return false;
    if (!messages || (json_is_array(messages) && !json_array_size(messages))) return loaded(a, "message");
    spell_calls(a, messages);
    o->talk.messages = conversation_messages(messages, f);
    if (!o->talk.messages) return false;
    o->talk.tools = conversation_tools(json_object_get(a->body, "tools"), f);
    return !f->status && conversation_prompt(a, &o->talk, f) && tell(o, &ollama_chat_surface, true, f);
}

static bool raw_prompt(struct ask *a, const json_t *prompt, struct fault *f) {
    gyr_tokens tokens = {0};
    gyr_error e = {0};
    if (gyr_tokenize(a->tokenizer, json_string_value(prompt), json_string_length(prompt), GYR_ADD_BOS, &tokens, &e))
        return refuse_error(f, &e, true);
    return ask_prompt(a, &tokens, f);
}

static json_t *messages_of(const json_t *prompt, const json_t *system) {
    json_t *list = json_array();
    if (json_string_length(system))
        json_array_append_new(list, json_pack("{s:s, s:O}", "role", "system", "content", system));
    json_array_append_new(list, json_pack("{s:s, s:O}", "role", "user", "content", prompt));
    return list;
}

static bool read_generate(struct ollama *o, struct fault *f) {
    struct ask *a = &o->ask;
    json_t *prompt = json_object_get(a->body, "prompt");
    if (!read_fields(o, f)) return false;
    if (!prompt || (json_is_string(prompt) && !json_string_length(prompt))) return loaded(a, "response");
    if (!json_is_string(prompt)) return refuse(f, 400, "prompt", "prompt: takes a string");
    bool raw = o->raw || !served_info(a->job->model)->has_chat_template;
    o->talk.messages = messages_of(prompt, json_object_get(a->body, "system"));
    return (raw ? raw_prompt(a, prompt, f) : conversation_prompt(a, &o->talk, f)) &&
           tell(o, &ollama_generate_surface, !raw, f);
}

static bool read(struct ask *common, bool (*how)(struct ollama *o, struct fault *f), struct fault *f) {
    struct ollama o = {.ask = *common};
    bool ok = how(&o, f);
    constraint_free(&o.must);
    json_decref(o.talk.messages);
    json_decref(o.talk.tools);
    return ok;
}

bool ollama_chat_read(struct ask *a, struct fault *f) { return read(a, read_chat, f); }
bool ollama_generate_read(struct ask *a, struct fault *f) { return read(a, read_generate, f); }
