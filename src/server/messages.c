// POST /v1/messages and /v1/messages/count_tokens: Anthropic's Messages (https://docs.anthropic.com/en/api/messages).
#include "server/constraint.h"
#include "server/conversation.h"
#include "server/models.h"
#include "server/reasoning.h"
#include "server/surfaces.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct messages {
    struct ask ask;
    struct conversation talk;
    struct constraint must;
    bool thinking_off;
};

static bool read_thinking(struct ask *a, const json_t *v, const char *name, struct fault *f) {
    const char *type = json_string_value(json_object_get(v, "type"));
    if (!type) return refuse(f, 400, name, "%s: takes an object with a type", name);
    const json_t *budget = json_object_get(v, "budget_tokens");
    ((struct messages *)a)->thinking_off = !strcmp(type, "disabled");
    return !budget || json_is_null(budget) || budget_read(a, budget, "thinking.budget_tokens", f);
}

static bool read_choice(struct ask *a, const json_t *v, const char *name, struct fault *f) {
    return constraint_tool_choice(&((struct messages *)a)->must, v, name, f);
}

static bool read_output(struct ask *a, const json_t *v, const char *name, struct fault *f) {
    struct messages *m = (struct messages *)a;
    const json_t *format = json_object_get(v, "format"), *effort = json_object_get(v, "effort");
    if (!json_is_object(v)) return refuse(f, 400, name, "%s: takes an object", name);
    if (json_is_string(effort)) m->talk.effort = json_string_value(effort);
    return !format || json_is_null(format) || constraint_response_format(&m->must, format, "output_config.format", f);
}

static const struct field fields[] = {
    {"messages", FIELD_READ},
    {"system", FIELD_READ},
    {"tools", FIELD_READ},
    {"tool_choice", FIELD_OF, .read = read_choice},
    {"stop_sequences", FIELD_OF, .read = ask_stop},
    {"thinking", FIELD_OF, .read = read_thinking},
    {"output_config", FIELD_OF, .read = read_output},
    {"context_management", FIELD_IGNORED},
    {"container", FIELD_NULL},
    {"mcp_servers", FIELD_NULL},
    {"betas", FIELD_IGNORED},
    {"anthropic_beta", FIELD_IGNORED},
};

// Programs put a line about billing at the head of the system prompt that is another each time: with it in the prompt
// no beginning would ever be found again. (ik_llama.cpp #1436.)
static const char billing[] = "x-anthropic-billing-header:";

static json_t *system_of(const json_t *system, struct fault *f) {
    struct buf all = {0};
    size_t i;
    json_t *block;
    if (json_is_string(system)) return json_pack("{s:s, s:O}", "role", "system", "content", system);
    if (!json_is_array(system))
        return refuse(f, 400, "system", "system: takes a string or a list of text blocks"), NULL;
    json_array_foreach(system, i, block) {
        const char *text = ask_text(block, "text");
        if (!text) {
            buf_free(&all);
            return refuse(f, 400, "system", "system[%zu]: no text block", i), NULL;
        }
        if (!strncmp(text, billing, sizeof billing - 1)) continue;
        if (all.size) buf_puts(&all, "\n\n");
        buf_puts(&all, text);
    }
    json_t *m = json_pack("{s:s, s:s}", "role", "system", "content", all.data ? all.data : "");
    buf_free(&all);
    return m;
}

// Blocks of a message become chat completions' messages: results of tools are messages of their own.
struct unfolding {
    struct speller speller;
    json_t *list, *calls; // messages so far; calls of this one
    struct buf text, thinking;
    const char *role;
};

static bool add_result(struct unfolding *u, const json_t *block, struct fault *f) {
    char *text;
    const char *id = ask_text(block, "tool_use_id");
    if (!ask_content(json_object_get(block, "content"), "\n", &text, f)) return false;
    json_array_append_new(u->list, json_pack("{s:s, s:s, s:s}", "role", "tool", "tool_call_id", id ? id : "", "content",
                                             text ? text : ""));
    free(text);
    return true;
}

static bool add_use(struct unfolding *u, const json_t *block, struct fault *f) {
    const char *id = ask_text(block, "id"), *name = ask_text(block, "name");
    json_t *input = json_object_get(block, "input");
    if (!id || !name || !json_is_object(input))
        return refuse(f, 400, "messages", "tool_use: takes id, name and an object as input");
    if (!u->calls) u->calls = json_array();
    json_array_append_new(u->calls,
                          json_pack("{s:s, s:s, s:{s:s, s:o, s:b}}", "id", id, "type", "function", "function", "name",
                                    name, "arguments", spelling_of(&u->speller, id, name, input), "exact", 1));
    return true;
}

static bool add_block(struct unfolding *u, const json_t *block, struct fault *f) {
    const char *type = ask_text(block, "type"), *text = ask_text(block, "text");
    if (type && !strcmp(type, "text") && text) return buf_puts(&u->text, text), true;
    if (type && !strcmp(type, "thinking") && ask_text(block, "thinking"))
        return buf_puts(&u->thinking, ask_text(block, "thinking")), true;
    if (type && !strcmp(type, "redacted_thinking")) return true;
    if (type && !strcmp(type, "tool_result")) return add_result(u, block, f);
    if (type && !strcmp(type, "tool_use")) return add_use(u, block, f);
    return refuse(f, 400, "messages", "content: a block of type '%.40s': only text, thinking and tools are understood",
                  type ? type : "none");
}

static bool unfold(const struct ask *a, json_t *list, const json_t *m, struct fault *f) {
    struct unfolding u = {.list = list, .speller = ask_speller(a), .role = ask_text(m, "role")};
    const json_t *content = json_object_get(m, "content");
    size_t i;
    json_t *block;
    bool ok = u.role && (!strcmp(u.role, "user") || !strcmp(u.role, "assistant") || !strcmp(u.role, "system"));
    if (!ok) return refuse(f, 400, "messages", "messages: roles are user and assistant");
    if (json_is_string(content))
        buf_puts(&u.text, json_string_value(content));
    else if (!json_is_array(content))
        return refuse(f, 400, "messages", "content: takes a string or a list of blocks");
    json_array_foreach(content, i, block) ok = ok && add_block(&u, block, f);
    if (ok && (u.text.size || u.calls || json_is_string(content))) {
        json_t *out = json_pack("{s:s, s:s}", "role", u.role, "content", u.text.data ? u.text.data : "");
        if (u.calls) json_object_set(out, "tool_calls", u.calls);
        if (u.thinking.size) json_object_set_new(out, "reasoning_content", json_string(u.thinking.data));
        json_array_append_new(list, out);
    }
    json_decref(u.calls);
    buf_free(&u.text);
    buf_free(&u.thinking);
    return ok;
}

static json_t *chat_messages(const struct ask *a, struct fault *f) {
    json_t *list = json_array(), *m, *system = json_object_get(a->body, "system"), *made = NULL;
    size_t i;
    bool ok = true;
    if (system && !json_is_null(system)) {
        json_t *first = system_of(system, f);
        ok = first;
        if (first) json_array_append_new(list, first);
    }
    json_array_foreach(json_object_get(a->body, "messages"), i, m) ok = ok && unfold(a, list, m, f);
    if (ok) made = conversation_messages(list, f);
    json_decref(list);
    return made;
}

// Tools as chat completions have them. Those of the provider's own have no schema, and are left out.
static json_t *chat_tools(const json_t *tools) {
    json_t *list = json_array(), *tool;
    size_t i;
    json_array_foreach(tools, i, tool) {
        const char *name = ask_text(tool, "name"), *about = ask_text(tool, "description");
        json_t *schema = json_object_get(tool, "input_schema");
        if (!name || !schema) continue;
        json_array_append_new(list, json_pack("{s:s, s:{s:s, s:s, s:O}}", "type", "function", "function", "name", name,
                                              "description", about ? about : "", "parameters", schema));
    }
    return list;
}

static void put_usage(struct js *o, const struct telling *t, size_t tokens) {
    js_open(o, "usage", '{');
    js_whole(o, "input_tokens", (int64_t)(t->prompt_tokens - t->cached));
    js_whole(o, "cache_creation_input_tokens", 0);
    js_whole(o, "cache_read_input_tokens", (int64_t)t->cached);
    js_whole(o, "output_tokens", (int64_t)tokens);
    telling_energy(o, t);
    js_close(o, '}');
}

static const char *stop_reason(const struct speech *s) {
    if (s->stop == GYR_STOP_LENGTH) return "max_tokens";
    if (s->stop == GYR_STOP_STRING) return "stop_sequence";
    return s->n_calls ? "tool_use" : "end_turn";
}

// The stop sequence that came first in what the model wrote; NULL: none did.
static const char *stop_sequence(const struct speech *s) {
    const struct job *j = s->telling->job;
    size_t size = 0;
    const char *first = NULL, *at = NULL;
    if (s->stop != GYR_STOP_STRING) return NULL;
    char *text = gyr_detokenize(s->telling->tokenizer, (const int32_t *)(void *)s->ids.data,
                                s->ids.size / sizeof(int32_t), false, &size, NULL);
    for (size_t i = 0; text && i < j->stop_count; i++) {
        const char *is = memmem(text, size, j->stop[i], strlen(j->stop[i]));
        if (is && (!at || is < at)) at = is, first = j->stop[i];
    }
    gyr_free(text);
    return first;
}

static void head(struct js *o, const struct telling *t) {
    char id[40];
    snprintf(id, sizeof id, "msg_%s", t->job->x->id);
    js_string_of(o, "id", id);
    js_string_of(o, "type", "message");
    js_string_of(o, "role", "assistant");
    js_string_of(o, "model", job_model(t->job));
}

// A stream's events, each an object with its own name as type.
static void open_event(struct js *o, struct buf *json, const char *type) {
    *o = (struct js){.out = json};
    js_open(o, NULL, '{');
    js_string_of(o, "type", type);
}

static void close_event(struct telling *t, struct js *o, const char *type) {
    js_close(o, '}');
    telling_event(t, type, o->out);
    buf_free(o->out);
}

static void start(struct telling *t) {
    struct buf json = {0};
    struct js o;
    open_event(&o, &json, "message_start");
    js_open(&o, "message", '{');
    head(&o, t);
    js_open(&o, "content", '[');
    js_close(&o, ']');
    js_none(&o, "stop_reason");
    js_none(&o, "stop_sequence");
    put_usage(&o, t, 0);
    js_close(&o, '}');
    close_event(t, &o, "message_start");
    open_event(&o, &json, "ping");
    close_event(t, &o, "ping");
}

// The stream's own: content blocks.
struct own {
    int64_t index; // of the open one, or of the next
    bool open;
};

static void close_block(struct telling *t) {
    struct own *own = t->own;
    struct buf json = {0};
    struct js o;
    if (!own->open) return;
    open_event(&o, &json, "content_block_stop");
    js_whole(&o, "index", own->index++);
    close_event(t, &o, "content_block_stop");
    own->open = false;
}

static void open_block(struct telling *t, struct speech *s, enum speech_kind kind) {
    struct own *own = t->own;
    struct buf json = {0};
    struct js o;
    close_block(t);
    own->open = true;
    open_event(&o, &json, "content_block_start");
    js_whole(&o, "index", own->index);
    js_open(&o, "content_block", '{');
    js_string_of(&o, "type", kind == SPEECH_TEXT ? "text" : kind == SPEECH_REASONING ? "thinking" : "tool_use");
    if (kind == SPEECH_TEXT) js_string_of(&o, "text", "");
    if (kind == SPEECH_REASONING) {
        js_string_of(&o, "thinking", "");
        js_string_of(&o, "signature", "");
    }
    if (kind == SPEECH_CALL) {
        js_string_of(&o, "id", s->calls[s->n_calls - 1].id);
        js_string_of(&o, "name", s->calls[s->n_calls - 1].name);
        js_open(&o, "input", '{');
        js_close(&o, '}');
    }
    js_close(&o, '}');
    close_event(t, &o, "content_block_start");
}

static void event(struct telling *t, struct speech *s, enum speech_kind kind, const char *text, size_t size) {
    static const char *const types[] = {"thinking_delta", "text_delta", NULL, "input_json_delta"};
    static const char *const keys[] = {"thinking", "text", NULL, "partial_json"};
    struct own *own = t->own;
    struct buf json = {0};
    struct js o;
    if (!t->stream) return;
    if (kind == SPEECH_CALL || (kind < SPEECH_CALL && (!own->open || s->last != kind))) open_block(t, s, kind);
    if (kind == SPEECH_CALL_END) close_block(t);
    if (kind == SPEECH_CALL || kind == SPEECH_CALL_END) return;
    open_event(&o, &json, "content_block_delta");
    js_whole(&o, "index", own->index);
    js_open(&o, "delta", '{');
    js_string_of(&o, "type", types[kind]);
    js_text(&o, keys[kind], text, size);
    js_close(&o, '}');
    close_event(t, &o, "content_block_delta");
}

static void finish_stream(struct telling *t) {
    struct speech *s = &t->speeches[0];
    struct buf json = {0};
    struct js o;
    if (!s->spoken) open_block(t, s, SPEECH_TEXT);
    close_block(t);
    open_event(&o, &json, "message_delta");
    js_open(&o, "delta", '{');
    js_string_of(&o, "stop_reason", stop_reason(s));
    js_string_of(&o, "stop_sequence", stop_sequence(s));
    js_close(&o, '}');
    put_usage(&o, t, s->tokens);
    close_event(t, &o, "message_delta");
    open_event(&o, &json, "message_stop");
    close_event(t, &o, "message_stop");
}

static void put_block(struct js *o, const char *type, const char *key, const struct buf *text) {
    js_open(o, NULL, '{');
    js_string_of(o, "type", type);
    js_text(o, key, text->size ? text->data : "", text->size);
    if (!strcmp(type, "thinking")) js_string_of(o, "signature", "");
    js_close(o, '}');
}

// An object, whatever there is of it: clients know a call that was cut by the reason why the answer ended.
static void put_input(struct js *o, const struct call *c) {
    bool whole = c->arguments.size && !c->cut;
    js_raw(o, "input", whole ? c->arguments.data : "{}", whole ? c->arguments.size : 2);
}

static void done(struct telling *t) {
    struct speech *s = &t->speeches[0];
    struct buf json = {0};
    struct js o = {.out = &json};
    if (t->stream) {
        finish_stream(t);
        return;
    }
    js_open(&o, NULL, '{');
    head(&o, t);
    js_open(&o, "content", '[');
    if (s->reasoning.size) put_block(&o, "thinking", "thinking", &s->reasoning);
    if (s->text.size || !s->n_calls) put_block(&o, "text", "text", &s->text);
    for (size_t i = 0; i < s->n_calls; i++) {
        js_open(&o, NULL, '{');
        js_string_of(&o, "type", "tool_use");
        js_string_of(&o, "id", s->calls[i].id);
        js_string_of(&o, "name", s->calls[i].name);
        put_input(&o, &s->calls[i]);
        js_close(&o, '}');
    }
    js_close(&o, ']');
    js_string_of(&o, "stop_reason", stop_reason(s));
    js_string_of(&o, "stop_sequence", stop_sequence(s));
    put_usage(&o, t, s->tokens);
    js_close(&o, '}');
    telling_reply(t, &json);
    buf_free(&json);
}

static void error(struct buf *out, const struct fault *f) {
    struct js o = {.out = out};
    js_open(&o, NULL, '{');
    js_string_of(&o, "type", "error");
    js_open(&o, "error", '{');
    js_string_of(&o, "type", fault_type(f->status));
    js_string_of(&o, "message", f->message);
    js_close(&o, '}');
    js_close(&o, '}');
}

static void broke(struct telling *t, const struct fault *f) {
    struct buf json = {0};
    error(&json, f);
    telling_event(t, "error", &json);
    buf_free(&json);
}

const struct surface messages_surface = {.type = "application/json",
                                         .stream_type = "text/event-stream",
                                         .objects = true,
                                         .start = start,
                                         .event = event,
                                         .done = done,
                                         .error = error,
                                         .broke = broke};

static bool read_prompt(struct messages *m, struct fault *f) {
    struct ask *a = &m->ask;
    json_t *tools = chat_tools(json_object_get(a->body, "tools"));
    m->talk.messages = chat_messages(a, f);
    if (m->talk.messages && m->must.tools != TOOLS_NONE) m->talk.tools = conversation_tools(tools, f);
    size_t n = json_array_size(m->talk.messages);
    const char *last = n ? ask_text(json_array_get(m->talk.messages, n - 1), "role") : NULL;
    m->talk.go_on = last && !strcmp(last, "assistant"); // an answer that is begun goes on
    if (m->thinking_off) m->talk.effort = "none";
    bool ok = m->talk.messages && !f->status && conversation_prompt(a, &m->talk, f);
    json_decref(tools);
    return ok;
}

static void forget(struct messages *m) {
    constraint_free(&m->must);
    json_decref(m->talk.messages);
    json_decref(m->talk.tools);
}

static bool read_message(struct messages *m, struct fault *f) {
    struct ask *a = &m->ask;
    if (!ask_fields(a, fields, sizeof fields / sizeof *fields, f)) return false;
    if (!a->job->max_tokens) return refuse(f, 400, "max_tokens", "max_tokens: required");
    if (!read_prompt(m, f) || !telling_new(a->job, &messages_surface, a, f)) return false;
    struct telling *t = a->job->telling;
    t->own = calloc(1, sizeof(struct own));
    t->wants_ids = a->job->stop_count; // to say which of the stop sequences came
    if (!t->own) return refuse(f, 503, NULL, "out of memory");
    return telling_reads(t, m->talk.tools, f) && constraint_settle(&m->must, a, m->talk.tools, telling_begins(t), f) &&
           budget_settle(a, telling_begins(t), m->talk.tools, f);
}

bool messages_read(struct ask *common, struct fault *f) {
    struct messages m = {.ask = *common};
    bool ok = read_message(&m, f);
    forget(&m);
    return ok;
}

// How many tokens a request's prompt has; nothing is computed.
bool messages_count(struct ask *common, struct buf *json, struct fault *f) {
    struct messages m = {.ask = *common};
    m.ask.context = SIZE_MAX;
    bool ok = ask_fields(&m.ask, fields, sizeof fields / sizeof *fields, f) && read_prompt(&m, f);
    forget(&m);
    if (ok) buf_printf(json, "{\"input_tokens\":%zu}", m.ask.job->count);
    return ok;
}
