// Tools for models whose chat template knows nothing of them: they are described in the system message, in the way that
// most models have seen, and calls and their results become text.
#include "server/conversation.h"

#include <stdlib.h>
#include <string.h>

static const char *text_of(const json_t *o, const char *key) {
    const char *text = json_string_value(json_object_get(o, key));
    return text ? text : "";
}

static void put_json(struct buf *out, const json_t *value) {
    char *text = json_dumps(value, JSON_ENCODE_ANY);
    buf_puts(out, text ? text : "{}");
    free(text);
}

static void put_tools(struct buf *out, const json_t *tools) {
    size_t i;
    json_t *tool;
    buf_puts(out, "You can call functions. To call one, write a line with <tool_call>, a JSON object with its name and "
                  "its arguments, and a line with </tool_call>:\n<tool_call>\n{\"name\": \"NAME\", \"arguments\": "
                  "{...}}\n</tool_call>\nThe functions:\n");
    json_array_foreach(tools, i, tool) {
        put_json(out, json_object_get(tool, "function"));
        buf_putc(out, '\n');
    }
}

static void put_calls(struct buf *out, const json_t *calls) {
    size_t i;
    json_t *call;
    json_array_foreach(calls, i, call) {
        const json_t *function = json_object_get(call, "function");
        if (out->size) buf_putc(out, '\n');
        buf_puts(out, "<tool_call>\n{\"name\": ");
        put_json(out, json_object_get(function, "name"));
        buf_puts(out, ", \"arguments\": ");
        if (json_object_get(call, "written"))
            buf_puts(out, text_of(call, "written"));
        else
            put_json(out, json_object_get(function, "arguments"));
        buf_puts(out, "}\n</tool_call>");
    }
}

static json_t *plain_message(const json_t *m) {
    const char *role = text_of(m, "role");
    struct buf text = {0};
    if (!strcmp(role, "tool")) {
        buf_printf(&text, "<tool_response>\n%s\n</tool_response>", text_of(m, "content"));
        role = "user";
    } else {
        buf_puts(&text, text_of(m, "content"));
        put_calls(&text, json_object_get(m, "tool_calls"));
    }
    json_t *out = text.failed ? NULL : json_pack("{s:s, s:s}", "role", role, "content", text.data ? text.data : "");
    buf_free(&text);
    return out;
}

json_t *conversation_plain_tools(const json_t *messages, const json_t *tools) {
    json_t *list = json_array(), *m;
    struct buf system = {0};
    size_t i;
    put_tools(&system, tools);
    const json_t *first = json_array_get(messages, 0);
    bool has_system = !strcmp(text_of(first, "role"), "system");
    if (has_system) buf_printf(&system, "\n%s", text_of(first, "content"));
    if (!system.failed)
        json_array_append_new(list,
                              json_pack("{s:s, s:s}", "role", "system", "content", system.data ? system.data : ""));
    json_array_foreach(messages, i, m) if (i || !has_system) json_array_append_new(list, plain_message(m));
    buf_free(&system);
    return list;
}
