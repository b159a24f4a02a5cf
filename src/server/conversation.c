#include "server/conversation.h"

#include "server/models.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_MESSAGES = 10000, MAX_TOOLS = 1024 };

// A call's arguments come as JSON in a string, and templates want the object.
static json_t *arguments_of(const json_t *function) {
    const json_t *given = json_object_get(function, "arguments");
    json_t *read = json_is_string(given)
                       ? json_loadb(json_string_value(given), json_string_length(given), JSON_DECODE_ANY, NULL)
                       : NULL;
    if (read && json_is_object(read)) return read;
    json_decref(read);
    return given ? json_deep_copy(given) : json_object();
}

// Whether a string has \u escapes of what needs none: many programs write such JSON, and no model.
static bool is_escaped(const char *s) {
    for (; *s; s++) {
        if (*s != '\\') continue;
        if (!*++s) break;
        if (*s == 'u' && strtol((char[]){s[1], s[1] ? s[2] : 0, s[1] && s[2] ? s[3] : 0, 0}, NULL, 16) >= 0x8)
            return true;
    }
    return false;
}

// A model's own JSON goes back into the prompt as the model wrote it: the same value in other words would be other
// tokens, and nothing from there on would be found again. ("exact": it is known to be the model's.)
static void keep_written(json_t *call, const json_t *function) {
    const json_t *given = json_object_get(function, "arguments");
    if (json_is_object(json_object_get(json_object_get(call, "function"), "arguments")) && json_is_string(given) &&
        (json_is_true(json_object_get(function, "exact")) || !is_escaped(json_string_value(given))))
        json_object_set(call, "written", (json_t *)(uintptr_t)given);
}

static json_t *calls_of(const json_t *calls, struct fault *f) {
    json_t *all = json_array(), *call;
    size_t i;
    json_array_foreach(calls, i, call) {
        const json_t *function = json_object_get(call, "function");
        const char *name = ask_text(function, "name"), *id = ask_text(call, "id");
        if (!name) {
            json_decref(all);
            return refuse(f, 400, "messages", "tool_calls: a call without function.name"), NULL;
        }
        json_t *out = json_pack("{s:s, s:s, s:{s:s, s:o}}", "id", id ? id : "", "type", "function", "function", "name",
                                name, "arguments", arguments_of(function));
        keep_written(out, function);
        json_array_append_new(all, out);
    }
    return all;
}

static bool known_role(const char *role) {
    static const char *const roles[] = {"system", "developer", "user", "assistant", "tool", "function"};
    for (size_t i = 0; role && i < sizeof roles / sizeof *roles; i++)
        if (!strcmp(role, roles[i])) return true;
    return false;
}

static json_t *message_of(const json_t *m, size_t i, struct fault *f) {
    static const char *const kept[] = {"name", "tool_call_id", "reasoning_content"};
    const char *role = ask_text(m, "role");
    char *text;
    if (!known_role(role))
        return refuse(f, 400, "messages",
                      "messages[%zu].role: '%.40s': roles are system, developer, user, assistant and tool", i,
                      role ? role : "none"),
               NULL;
    if (json_array_size(json_object_get(m, "images")))
        return refuse(f, 400, "messages", "messages[%zu].images: only text is understood", i), NULL;
    if (!ask_content(json_object_get(m, "content"), "\n", &text, f)) return NULL;
    const json_t *calls = json_object_get(m, "tool_calls");
    bool calls_there = json_array_size(calls) > 0;
    if (!text && !calls_there && strcmp(role, "assistant"))
        return refuse(f, 400, "messages", "messages[%zu]: has no content", i), NULL;
    json_t *out =
        json_pack("{s:s, s:s}", "role", strcmp(role, "developer") ? role : "system", "content", text ? text : "");
    free(text);
    if (!out) return refuse(f, 400, "messages", "messages[%zu]: content with a NUL character", i), NULL;
    if (json_is_string(json_object_get(m, "tool_name"))) json_object_set(out, "name", json_object_get(m, "tool_name"));
    for (size_t k = 0; k < sizeof kept / sizeof *kept; k++) {
        json_t *value = json_object_get(m, kept[k]);
        if (json_is_string(value)) json_object_set(out, kept[k], value);
    }
    json_t *reasoning = json_object_get(m, "reasoning");
    if (json_is_string(reasoning) && !json_object_get(out, "reasoning_content"))
        json_object_set(out, "reasoning_content", reasoning);
    if (!calls_there) return out;
    json_t *list = calls_of(calls, f);
    if (list && !json_object_set_new(out, "tool_calls", list)) return out;
    json_decref(out);
    return NULL;
}

// Several leading system messages become one: templates know one.
static bool join_system(json_t **list) {
    size_t n = 0, all = json_array_size(*list);
    while (n < all && !strcmp(ask_text(json_array_get(*list, n), "role"), "system")) n++;
    if (n < 2) return true;
    struct buf text = {0};
    json_t *rest = json_array();
    for (size_t i = 0; i < n; i++) {
        if (i) buf_puts(&text, "\n\n");
        buf_puts(&text, ask_text(json_array_get(*list, i), "content"));
    }
    bool ok =
        !text.failed && !json_array_append_new(rest, json_pack("{s:s, s:s}", "role", "system", "content", text.data));
    for (size_t i = n; ok && i < all; i++) ok = !json_array_append(rest, json_array_get(*list, i));
    buf_free(&text);
    json_decref(*list);
    *list = rest;
    return ok;
}

json_t *conversation_messages(const json_t *messages, struct fault *f) {
    json_t *list = json_array(), *m;
    size_t i, n = json_array_size(messages);
    if (!n || n > MAX_MESSAGES) {
        json_decref(list);
        return refuse(f, 400, "messages", "messages: takes a list of 1 to %d messages", MAX_MESSAGES), NULL;
    }
    json_array_foreach(messages, i, m) {
        json_t *out = message_of(m, i, f);
        if (out && !json_array_append_new(list, out)) continue;
        json_decref(list);
        return NULL;
    }
    if (join_system(&list)) return list;
    json_decref(list);
    return refuse(f, 503, NULL, "out of memory; try again later"), NULL;
}

json_t *conversation_tools(const json_t *tools, struct fault *f) {
    json_t *list = NULL, *tool;
    size_t i;
    if (tools && !json_is_null(tools) && !json_is_array(tools))
        return refuse(f, 400, "tools", "tools: takes a list"), NULL;
    if (json_array_size(tools) > MAX_TOOLS) return refuse(f, 400, "tools", "tools: at most %d", MAX_TOOLS), NULL;
    json_array_foreach(tools, i, tool) {
        const char *type = ask_text(tool, "type"), *name = ask_text(json_object_get(tool, "function"), "name");
        if (type && strcmp(type, "function")) continue; // a tool of the provider's own, which no model here can call
        if (!name || strlen(name) > 256) {
            json_decref(list);
            return refuse(f, 400, "tools", "tools[%zu].function.name: takes a string of at most 256 bytes", i), NULL;
        }
        if (!list) list = json_array();
        json_array_append(list, tool);
    }
    return list;
}

static bool render(struct ask *a, const char *variables, struct fault *f) {
    gyr_tokens tokens = {0};
    gyr_error e = {0};
    if (gyr_chat_tokens(served_model(a->job->model), variables, true, &tokens, &e)) {
        if (e.status == GYR_UNSUPPORTED)
            return refuse(f, 400, "model", "%s: has no chat template: use /v1/completions", served_name(a->job->model));
        return refuse_error(f, &e, true);
    }
    return ask_prompt(a, &tokens, f);
}

// Variables that say how much a model is to reason, by the names that templates know.
static void put_effort(json_t *all, const char *effort) {
    if (!effort) return;
    bool none = !strcmp(effort, "none");
    json_object_set_new(all, "reasoning_effort", json_string(none ? "low" : effort));
    if (none) json_object_set_new(all, "enable_thinking", json_false());
}

// How the arguments of all calls were written: [message, call, text] of each. They leave the calls, which templates may
// print as a whole.
static json_t *take_written(json_t *messages) {
    json_t *all = json_array(), *m, *call;
    size_t i, k;
    json_array_foreach(messages, i, m) {
        json_array_foreach(json_object_get(m, "tool_calls"), k, call) {
            json_t *text = json_object_get(call, "written");
            if (text) json_array_append_new(all, json_pack("[i, i, O]", (int)i, (int)k, text));
            json_object_del(call, "written");
        }
    }
    return all;
}

bool conversation_prompt(struct ask *a, const struct conversation *c, struct fault *f) {
    json_t *all = json_object();
    put_effort(all, c->effort);
    if (c->kwargs) json_object_update(all, c->kwargs);
    json_object_del(all, "written_arguments");
    const char *source = gyr_model_template_source(served_model(a->job->model));
    if (c->tools && source && !strstr(source, "tools")) {
        json_object_set_new(all, "messages", conversation_plain_tools(c->messages, c->tools));
    } else {
        json_object_set_new(all, "written_arguments", take_written(c->messages));
        json_object_set(all, "messages", c->messages);
        if (c->tools) json_object_set(all, "tools", c->tools);
    }
    json_object_set_new(all, "add_generation_prompt", json_boolean(!c->go_on && !c->bare));
    if (c->go_on) json_object_set_new(all, "continue_final_message", json_true());
    char *variables = json_dumps(all, JSON_COMPACT);
    json_decref(all);
    bool ok = variables ? render(a, variables, f) : refuse(f, 400, "messages", "messages: not valid Unicode");
    free(variables);
    return ok;
}
