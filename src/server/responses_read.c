// The reading of Responses, and those that are kept.
#include "server/constraint.h"
#include "server/conversation.h"
#include "server/models.h"
#include "server/objects.h"
#include "server/openai.h"
#include "server/reasoning.h"
#include "server/responses.h"
#include "server/surfaces.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct asked {
    struct ask ask;
    struct conversation talk;
    struct constraint must;
    bool parallel, store, logprobs;
    size_t top_logprobs;
    json_t *items;       // of the turns before this one and this one
    const char *talk_id; // the conversation that it belongs to; NULL: none
    json_t *turn;        // items of this turn, as they are added to it
};

static struct asked *asked_of(struct ask *a) { return (struct asked *)a; }

static bool read_reasoning(struct ask *a, const json_t *v, const char *name, struct fault *f) {
    const json_t *effort = json_object_get(v, "effort");
    if (!json_is_object(v) || (effort && !json_is_null(effort) && !json_is_string(effort)))
        return refuse(f, 400, name, "%s: takes an object with an effort", name);
    const json_t *budget = json_object_get(v, "max_tokens");
    asked_of(a)->talk.effort = json_string_value(effort);
    return !budget || json_is_null(budget) || budget_read(a, budget, "reasoning.max_tokens", f);
}

static bool read_text(struct ask *a, const json_t *v, const char *name, struct fault *f) {
    const json_t *format = json_object_get(v, "format");
    if (!json_is_object(v)) return refuse(f, 400, name, "%s: takes an object", name);
    return !format || constraint_response_format(&asked_of(a)->must, format, "text.format", f);
}

static bool read_choice(struct ask *a, const json_t *v, const char *name, struct fault *f) {
    return constraint_tool_choice(&asked_of(a)->must, v, name, f);
}

static bool read_truncation(struct ask *a, const json_t *v, const char *name, struct fault *f) {
    (void)a;
    const char *word = json_string_value(v);
    return (word && !strcmp(word, "disabled")) ||
           refuse(f, 400, name, "%s: only \"disabled\": nothing is left out silently here", name);
}

// What there is besides log-probabilities is of tools and models that nobody has here, and changes nothing.
static bool read_include(struct ask *a, const json_t *v, const char *name, struct fault *f) {
    size_t i;
    json_t *item;
    json_array_foreach(v, i, item) {
        const char *what = json_string_value(item);
        if (!what) return refuse(f, 400, name, "%s: takes strings", name);
        asked_of(a)->logprobs |= !strcmp(what, "message.output_text.logprobs");
    }
    return json_is_array(v) || refuse(f, 400, name, "%s: takes a list", name);
}

static bool read_top_logprobs(struct ask *a, const json_t *v, const char *name, struct fault *f) {
    if (!openai_count(v, name, &asked_of(a)->top_logprobs, f)) return false;
    asked_of(a)->logprobs |= asked_of(a)->top_logprobs;
    return true;
}

#define IN_ASKED(member) offsetof(struct asked, member), IN_ASK

static const struct field fields[] = {
    {"input", FIELD_READ},
    {"instructions", FIELD_READ},
    {"tools", FIELD_READ},
    {"previous_response_id", FIELD_READ},
    {"store", FIELD_BOOL, IN_ASKED(store)},
    {"max_output_tokens", FIELD_WHOLE, IN_JOB(max_tokens), 1, 1e9},
    {"parallel_tool_calls", FIELD_BOOL, IN_ASKED(parallel)},
    {"tool_choice", FIELD_OF, .read = read_choice},
    {"reasoning", FIELD_OF, .read = read_reasoning},
    {"text", FIELD_OF, .read = read_text},
    {"truncation", FIELD_OF, .read = read_truncation},
    {"include", FIELD_OF, .read = read_include},
    {"top_logprobs", FIELD_OF, .read = read_top_logprobs},
    {"background", FIELD_NULL},
    {"conversation", FIELD_READ},
    {"prompt", FIELD_NULL},
    {"context_management", FIELD_NULL},
    {"moderation", FIELD_NULL},
    {"max_tool_calls", FIELD_IGNORED},
    {"client_metadata", FIELD_IGNORED},
};

// ------------------------------------------------------------------------------------------------ items to messages

// The last message of the list if it is the assistant's and nothing came between, else a new one.
static json_t *assistant(json_t *list) {
    json_t *last = json_array_get(list, json_array_size(list) - 1);
    const char *role = ask_text(last, "role");
    if (role && !strcmp(role, "assistant")) return last;
    last = json_pack("{s:s, s:s}", "role", "assistant", "content", "");
    json_array_append_new(list, last);
    return last;
}

static bool add_message(json_t *list, const json_t *item, struct fault *f) {
    const char *role = ask_text(item, "role");
    char *text;
    if (!role) return refuse(f, 400, "input", "input: a message without a role");
    if (!ask_content(json_object_get(item, "content"), "", &text, f)) return false;
    if (!strcmp(role, "assistant")) {
        json_t *m = assistant(list), *parts = json_object_get(m, "parts");
        if (!parts) json_object_set_new(m, "parts", parts = json_array());
        json_array_append_new(parts, json_string(text ? text : ""));
    } else {
        json_array_append_new(list, json_pack("{s:s, s:s}", "role", role, "content", text ? text : ""));
    }
    free(text);
    return true;
}

static bool add_call(json_t *list, const json_t *item, struct fault *f) {
    const char *id = ask_text(item, "call_id"), *name = ask_text(item, "name"),
               *arguments = ask_text(item, "arguments");
    if (!id || !name || !arguments) return refuse(f, 400, "input", "function_call: takes call_id, name and arguments");
    json_t *m = assistant(list), *calls = json_object_get(m, "tool_calls");
    if (!calls) json_object_set_new(m, "tool_calls", calls = json_array());
    json_array_append_new(calls, json_pack("{s:s, s:s, s:{s:s, s:s}}", "id", id, "type", "function", "function", "name",
                                           name, "arguments", arguments));
    return true;
}

static bool add_output(json_t *list, const json_t *item, struct fault *f) {
    const char *id = ask_text(item, "call_id");
    char *text;
    if (!id) return refuse(f, 400, "input", "function_call_output: takes call_id and output");
    if (!ask_content(json_object_get(item, "output"), "\n", &text, f)) return false;
    json_array_append_new(
        list, json_pack("{s:s, s:s, s:s}", "role", "tool", "tool_call_id", id, "content", text ? text : ""));
    free(text);
    return true;
}

static bool add_reasoning(json_t *list, const json_t *item, struct fault *f) {
    char *text;
    if (!ask_content(json_object_get(item, "content"), "\n", &text, f)) return false;
    if (text && *text) json_object_set_new(assistant(list), "reasoning_content", json_string(text));
    free(text);
    return true;
}

static const struct {
    const char *type;
    bool (*add)(json_t *list, const json_t *item, struct fault *f);
} item_types[] = {{"message", add_message},
                  {"function_call", add_call},
                  {"function_call_output", add_output},
                  {"reasoning", add_reasoning}};

static bool add_item(json_t *list, const json_t *item, struct fault *f) {
    const char *type = ask_text(item, "type");
    if (!type && ask_text(item, "role")) type = "message";
    for (size_t i = 0; type && i < sizeof item_types / sizeof *item_types; i++)
        if (!strcmp(type, item_types[i].type)) return item_types[i].add(list, item, f);
    return refuse(f, 400, "input",
                  "input: an item of type '%.40s': only messages, functions and reasoning are understood",
                  type ? type : "none");
}

// The content of messages of the assistant, of the parts that it came in: joined once, not with each that comes.
static bool join_parts(json_t *list) {
    size_t i, k;
    json_t *m, *part;
    json_array_foreach(list, i, m) {
        struct buf text = {0};
        json_t *parts = json_object_get(m, "parts");
        if (!parts) continue;
        json_array_foreach(parts, k, part) buf_append(&text, json_string_value(part), json_string_length(part));
        bool ok =
            !text.failed && !json_object_set_new(m, "content", json_stringn(text.size ? text.data : "", text.size));
        buf_free(&text);
        json_object_del(m, "parts");
        if (!ok) return false;
    }
    return true;
}

bool responses_item(const json_t *item, const char *name, struct fault *f) {
    json_t *list = json_array();
    bool good = add_item(list, item, f);
    json_decref(list);
    if (!good) snprintf(f->param, sizeof f->param, "%s", name);
    return good;
}

static json_t *messages_of(struct asked *q, struct fault *f) {
    json_t *list = json_array(), *instructions = json_object_get(q->ask.body, "instructions"), *item, *made = NULL;
    size_t i;
    bool ok = true;
    if (json_string_length(instructions))
        json_array_append_new(list, json_pack("{s:s, s:O}", "role", "system", "content", instructions));
    json_array_foreach(q->items, i, item) ok = ok && add_item(list, item, f);
    ok = ok && (join_parts(list) || refuse(f, 503, NULL, "out of memory; try again later"));
    if (ok) made = conversation_messages(list, f);
    json_decref(list);
    return made;
}

// Tools have their function's members themselves here. Others than functions are no model's business, and left out.
static json_t *tools_of(const json_t *tools) {
    json_t *list = json_array(), *tool;
    size_t i;
    json_array_foreach(tools, i, tool) {
        const char *type = ask_text(tool, "type");
        if (type && !strcmp(type, "function") && ask_text(tool, "name"))
            json_array_append_new(list, json_pack("{s:s, s:O}", "type", "function", "function", tool));
    }
    return list;
}

// ------------------------------------------------------------------------------------------------ kept ones

enum { KEPT_SECONDS = 30 * 24 * 3600 };
static const struct object_limits kept_limits = {.object_bytes = 16 << 20, .owner_bytes = 1 << 30};

// The items of a turn before: what was asked and what was answered.
static json_t *items_before(struct asked *q, const char *id, struct fault *f) {
    gyr_error e = {0};
    char *text = q->ask.store ? object_get(q->ask.store, "response", id, q->ask.owner, time(NULL), &e) : NULL;
    json_t *kept = text ? json_loads(text, 0, NULL) : NULL, *items = NULL;
    free(text);
    if (kept) items = json_copy(json_object_get(kept, "input"));
    if (items) json_array_extend(items, json_object_get(json_object_get(kept, "response"), "output"));
    json_decref(kept);
    if (!items)
        refuse_as(f, 400, "previous_response_not_found", "previous_response_id",
                  "'%.60s': no such response is kept here", id);
    return items;
}

// Where the conversation has no more room, nothing is computed that could not be added to it.
static bool has_room(const json_t *talk, const json_t *input, struct fault *f) {
    static const size_t answer = 1 << 20;
    size_t bytes = json_dumpb(talk, NULL, 0, JSON_COMPACT) + json_dumpb(input, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY);
    return bytes + answer < TALK_BYTES || refuse(f, 400, "conversation",
                                                 "conversation: has %zu bytes with this turn, and %d are kept; begin "
                                                 "another one",
                                                 bytes, TALK_BYTES);
}

// By its id, or an object with that. False: refused.
static bool name_talk(struct asked *q, struct fault *f) {
    const json_t *v = json_object_get(q->ask.body, "conversation");
    if (!v || json_is_null(v)) return true;
    q->talk_id = json_string_value(json_is_object(v) ? json_object_get(v, "id") : v);
    if (!q->talk_id) return refuse(f, 400, "conversation", "conversation: takes an id, or an object with one");
    return !ask_text(q->ask.body, "previous_response_id") ||
           refuse(f, 400, "previous_response_id", "previous_response_id and conversation: one of them");
}

// The items of a conversation so far.
static json_t *items_of_talk(struct asked *q, const json_t *input, struct fault *f) {
    gyr_error e = {0};
    json_t *talk =
        q->ask.store && strlen(q->talk_id) < TALK_ID ? talk_get(q->ask.store, q->ask.owner, q->talk_id, &e) : NULL;
    json_t *items = talk && has_room(talk, input, f) ? json_copy(json_object_get(talk, "items")) : NULL;
    if (!talk) refuse_as(f, 404, "not_found", "conversation", "conversation: no '%.60s' is kept here", q->talk_id);
    json_decref(talk);
    return items;
}

static bool read_items(struct asked *q, struct fault *f) {
    const char *before = ask_text(q->ask.body, "previous_response_id");
    json_t *input = json_object_get(q->ask.body, "input"), *turn = NULL;
    if (!name_talk(q, f)) return false;
    if (json_is_string(input))
        turn = json_pack("[{s:s, s:s, s:O}]", "type", "message", "role", "user", "content", input);
    else if (json_is_array(input))
        turn = json_incref(input);
    else
        return refuse(f, 400, "input", "input: takes a string or a list of items");
    q->items = q->talk_id ? items_of_talk(q, input, f) : before ? items_before(q, before, f) : json_array();
    if (q->items) json_array_extend(q->items, turn);
    if (q->items && q->talk_id) q->turn = talk_items(turn, "input", f);
    json_decref(turn);
    return q->items && (!q->talk_id || q->turn);
}

struct keeping {
    struct store *store;
    int64_t owner;
    char id[40];
    struct buf json;
};

// What was asked and what was answered; nothing if the conversation was deleted meanwhile.
static void add_to_talk(const struct response *r, const struct buf *kept) {
    json_t *whole = json_loads(kept->data, 0, NULL), *turn = json_copy(r->turn);
    gyr_error e = {0};
    if (whole && !json_array_extend(turn, json_object_get(json_object_get(whole, "response"), "output")))
        talk_add(r->talks, r->owner, r->talk, turn, &e);
    json_decref(whole);
    json_decref(turn);
}

void response_keep(const struct telling *t) {
    const struct response *r = t->own;
    struct keeping k = {.store = r->store, .owner = r->owner};
    if (!r->store && !r->talks) return;
    snprintf(k.id, sizeof k.id, "resp_%s", t->job->x->id);
    struct js o = {.out = &k.json};
    char *input = json_dumps(r->input, JSON_COMPACT);
    js_open(&o, NULL, '{');
    js_raw(&o, "input", input ? input : "[]", input ? strlen(input) : 2);
    response_put(&o, "response", t, t->speeches[0].stop == GYR_STOP_LENGTH ? "incomplete" : "completed", NULL);
    js_close(&o, '}');
    free(input);
    if (!k.json.failed && r->talks) add_to_talk(r, &k.json);
    if (!k.json.failed && r->store)
        object_put(k.store, "response", k.id, k.owner, k.json.data, time(NULL), time(NULL) + KEPT_SECONDS, &kept_limits,
                   NULL);
    buf_free(&k.json);
}

// ------------------------------------------------------------------------------------------------

static json_t *echo_of(const json_t *body) {
    static const struct {
        const char *name, *otherwise;
    } rows[] = {{"instructions", "null"},
                {"metadata", "{}"},
                {"max_output_tokens", "null"},
                {"previous_response_id", "null"},
                {"parallel_tool_calls", "true"},
                {"temperature", "null"},
                {"top_logprobs", "0"},
                {"top_p", "null"},
                {"tool_choice", "\"auto\""},
                {"tools", "[]"},
                {"truncation", "\"disabled\""},
                {"text", "{\"format\":{\"type\":\"text\"}}"},
                {"reasoning", "{\"effort\":null,\"summary\":null}"},
                {"user", "null"}};
    json_t *echo = json_object();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_t *value = json_object_get(body, rows[i].name);
        json_object_set_new(echo, rows[i].name,
                            value ? json_incref(value) : json_loads(rows[i].otherwise, JSON_DECODE_ANY, NULL));
    }
    return echo;
}

static bool make_own(struct asked *q, struct fault *f) {
    struct telling *t = q->ask.job->telling;
    struct response *r = calloc(1, sizeof *r);
    if (!r) return refuse(f, 503, NULL, "out of memory");
    t->own = r;
    r->echo = echo_of(q->ask.body);
    r->input = json_incref(q->items);
    r->store = q->store ? q->ask.store : NULL;
    if (q->talk_id) {
        snprintf(r->talk, sizeof r->talk, "%s", q->talk_id);
        json_object_set_new(r->echo, "conversation", json_pack("{s:s}", "id", q->talk_id));
        r->turn = json_incref(q->turn);
        r->talks = q->ask.store;
    }
    r->owner = q->ask.owner;
    return true;
}

// The prompt and what belongs to it.
static bool read_prompt(struct asked *q, struct fault *f) {
    struct ask *a = &q->ask;
    q->parallel = q->store = true;
    if (!ask_fields(a, fields, sizeof fields / sizeof *fields, f) || !read_items(q, f)) return false;
    a->job->logprobs = q->logprobs ? 1 + (int32_t)q->top_logprobs : 0;
    if (a->n != 1) return refuse(f, 400, "n", "n: one answer a request here");
    q->must.one_call |= !q->parallel;
    if (!(q->talk.messages = messages_of(q, f))) return false;
    json_t *tools = q->must.tools == TOOLS_NONE ? NULL : tools_of(json_object_get(a->body, "tools"));
    q->talk.tools = conversation_tools(tools, f);
    json_decref(tools);
    if (!f->status) q->talk.tools = constraint_allow(&q->must, q->talk.tools, f);
    return !f->status && conversation_prompt(a, &q->talk, f);
}

static void forget(struct asked *q) {
    constraint_free(&q->must);
    json_decref(q->items);
    json_decref(q->turn);
    json_decref(q->talk.messages);
    json_decref(q->talk.tools);
}

bool responses_read(struct ask *common, struct fault *f) {
    struct asked q = {.ask = *common};
    struct ask *a = &q.ask;
    bool ok = read_prompt(&q, f) && telling_new(a->job, &responses_surface, a, f) && make_own(&q, f) &&
              telling_reads(a->job->telling, q.talk.tools, f) &&
              constraint_settle(&q.must, a, q.talk.tools, telling_begins(a->job->telling), f) &&
              budget_settle(a, telling_begins(a->job->telling), q.talk.tools, f);
    forget(&q);
    return ok;
}

// How many tokens a request's prompt has; nothing is computed.
bool responses_count(struct ask *common, struct buf *json, struct fault *f) {
    struct asked q = {.ask = *common};
    q.ask.context = SIZE_MAX;
    bool ok = read_prompt(&q, f);
    forget(&q);
    if (ok) buf_printf(json, "{\"object\":\"response.input_tokens\",\"input_tokens\":%zu}", q.ask.job->count);
    return ok;
}
