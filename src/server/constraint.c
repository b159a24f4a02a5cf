#include "server/constraint.h"

#include "server/models.h"
#include "server/tools.h"

#include <stdlib.h>
#include <string.h>

static bool set(struct constraint *c, gyr_grammar_kind kind, const char *text, size_t size, const char *name,
                struct fault *f) {
    if (c->wanted) return refuse(f, 400, name, "%s: %s says already what the answer has to be", name, c->param);
    c->wanted = true;
    c->kind = kind;
    c->param = name;
    buf_append(&c->text, text, size);
    return !c->text.failed || refuse(f, 503, NULL, "out of memory");
}

bool constraint_schema(struct constraint *c, const json_t *schema, const char *name, struct fault *f) {
    if (!json_is_object(schema) && !json_is_boolean(schema))
        return refuse(f, 400, name, "%s: takes a JSON schema", name);
    char *text = json_dumps(schema, JSON_COMPACT | JSON_ENCODE_ANY);
    bool ok =
        text ? set(c, GYR_GRAMMAR_JSON_SCHEMA, text, strlen(text), name, f) : refuse(f, 503, NULL, "out of memory");
    free(text);
    return ok;
}

bool constraint_json(struct constraint *c, const char *name, struct fault *f) {
    return set(c, GYR_GRAMMAR_JSON, "", 0, name, f);
}

bool constraint_text(struct constraint *c, gyr_grammar_kind kind, const json_t *text, const char *name,
                     struct fault *f) {
    if (!json_is_string(text)) return refuse(f, 400, name, "%s: takes a string", name);
    return set(c, kind, json_string_value(text), json_string_length(text), name, f);
}

bool constraint_response_format(struct constraint *c, const json_t *v, const char *name, struct fault *f) {
    const char *type = json_string_value(json_object_get(v, "type"));
    if (!type) return refuse(f, 400, name, "%s: takes an object with a type", name);
    if (!strcmp(type, "text")) return true;
    if (!strcmp(type, "json_object")) {
        json_t *schema = json_object_get(v, "schema");
        return schema ? constraint_schema(c, schema, name, f) : set(c, GYR_GRAMMAR_JSON, "", 0, name, f);
    }
    if (strcmp(type, "json_schema"))
        return refuse(f, 400, name, "%s.type: '%.40s': takes text, json_object or json_schema", name, type);
    json_t *inner = json_object_get(v, "json_schema"), *schema = json_object_get(inner ? inner : v, "schema");
    if (!schema) return refuse(f, 400, name, "%s: has no schema", name);
    return constraint_schema(c, schema, name, f);
}

static bool choices(struct constraint *c, const json_t *list, const char *name, struct fault *f) {
    json_t *item;
    struct buf text = {0};
    size_t i;
    buf_puts(&text, "root ::= ");
    json_array_foreach(list, i, item) {
        char *quoted = json_is_string(item) ? json_dumps(item, JSON_ENCODE_ANY) : NULL;
        buf_printf(&text, "%s%s", i ? " | " : "", quoted ? quoted : "");
        text.failed |= !quoted;
        free(quoted);
    }
    bool ok = json_array_size(list) && !text.failed ? set(c, GYR_GRAMMAR_EBNF, text.data, text.size, name, f)
                                                    : refuse(f, 400, name, "%s: takes a list of strings", name);
    buf_free(&text);
    return ok;
}

bool constraint_structured(struct constraint *c, const json_t *v, const char *name, struct fault *f) {
    const char *key;
    json_t *value;
    if (!json_is_object(v)) return refuse(f, 400, name, "%s: takes an object", name);
    json_object_foreach((json_t *)v, key, value) {
        bool ok = true;
        if (json_is_null(value)) continue;
        if (!strcmp(key, "json"))
            ok = constraint_schema(c, value, name, f);
        else if (!strcmp(key, "regex"))
            ok = constraint_text(c, GYR_GRAMMAR_REGEX, value, name, f);
        else if (!strcmp(key, "grammar"))
            ok = constraint_text(c, GYR_GRAMMAR_EBNF, value, name, f);
        else if (!strcmp(key, "choice"))
            ok = choices(c, value, name, f);
        else if (!strcmp(key, "json_object"))
            ok = !json_is_true(value) || set(c, GYR_GRAMMAR_JSON, "", 0, name, f);
        else
            ok = refuse(f, 400, name, "%s.%.40s: takes json, regex, choice, grammar or json_object", name, key);
        if (!ok) return false;
    }
    return true;
}

// {"type": "allowed_tools", "mode": ..., "tools": [...]}; in chat completions the rest is in a member of that name.
static bool allowed_tools(struct constraint *c, const json_t *v, const char *name, struct fault *f) {
    const json_t *inner = json_object_get(v, "allowed_tools");
    const char *mode = json_string_value(json_object_get(inner ? inner : v, "mode"));
    c->allowed = json_object_get(inner ? inner : v, "tools");
    bool must = mode && !strcmp(mode, "required");
    if (!json_array_size(c->allowed) || (!must && (!mode || strcmp(mode, "auto"))))
        return refuse(f, 400, name, "%s: allowed_tools takes a mode (auto or required) and a list of tools", name);
    c->tools = must ? TOOLS_MUST : TOOLS_AUTO;
    return true;
}

json_t *constraint_allow(const struct constraint *c, json_t *tools, struct fault *f) {
    size_t i;
    json_t *tool, *kept = NULL;
    if (!c->allowed) return tools;
    json_array_foreach(c->allowed, i, tool) {
        const char *name = tool_name(tool);
        if (!name || !tool_find(tools, name, strlen(name)))
            return json_decref(tools),
                   refuse(f, 400, "tool_choice", "tool_choice: '%.60s' is none of the tools", name ? name : ""), NULL;
    }
    json_array_foreach(tools, i, tool) {
        const char *name = tool_name(tool);
        if (!tool_find(c->allowed, name, strlen(name))) continue;
        if (!kept) kept = json_array();
        json_array_append(kept, tool);
    }
    json_decref(tools);
    return kept;
}

bool constraint_tool_choice(struct constraint *c, const json_t *v, const char *name, struct fault *f) {
    const char *word = json_string_value(v), *type = json_string_value(json_object_get(v, "type"));
    const json_t *function = json_object_get(v, "function");
    if (!word && type && !strcmp(type, "function")) {
        c->tools = TOOLS_MUST;
        c->tool = json_string_value(json_object_get(function ? function : v, "name"));
        return c->tool || refuse(f, 400, name, "%s: has no name", name);
    }
    if (!word && type && !strcmp(type, "allowed_tools")) return allowed_tools(c, v, name, f);
    if (!word) word = type;
    c->one_call |= json_is_true(json_object_get(v, "disable_parallel_tool_use"));
    if (word && !strcmp(word, "tool")) { // Anthropic's
        c->tools = TOOLS_MUST;
        c->tool = json_string_value(json_object_get(v, "name"));
        return c->tool || refuse(f, 400, name, "%s: has no name", name);
    }
    bool must = word && (!strcmp(word, "required") || !strcmp(word, "any")), none = word && !strcmp(word, "none");
    if (!must && !none && (!word || strcmp(word, "auto")))
        return refuse(f, 400, name, "%s: takes none, auto, required or a function's name", name);
    c->tools = must ? TOOLS_MUST : none ? TOOLS_NONE : TOOLS_AUTO;
    return true;
}

static bool compile(struct ask *a, gyr_grammar_kind kind, const struct buf *text, const char *param, struct fault *f) {
    gyr_error e = {0};
    a->job->grammar = gyr_grammar_new(a->tokenizer, kind, text->data ? text->data : "", text->size, &e);
    return a->job->grammar || (e.status == GYR_NO_MEMORY ? refuse(f, 503, NULL, "%s", e.message)
                                                         : refuse(f, 400, param, "%s: %s", param, e.message));
}

// The schema that an answer has to be valid by, as an object; NULL (free it): it is not said by a schema.
static char *schema_of(const struct constraint *c) {
    if (c->kind == GYR_GRAMMAR_JSON) return strdup("{\"type\":\"object\"}");
    if (c->kind != GYR_GRAMMAR_JSON_SCHEMA) return NULL;
    const char *text = c->text.data ? c->text.data : "";
    return strdup(*text == '{' ? text : !strcmp(text, "true") ? "{}" : "{\"not\":{}}");
}

// Calls that must come, or, with a schema, else an answer that is valid by it; by the format that the model writes them
// in.
static bool must_call(const struct constraint *c, struct ask *a, const json_t *tools, enum format_begins begins,
                      const char *otherwise, struct fault *f) {
    struct buf text = {0};
    gyr_error e = {0};
    const char *param = otherwise ? c->param : "tool_choice";
    struct call_grammar how = {.format = served_format(a->job->model),
                               .tools = tools,
                               .name = c->tool,
                               .choice = otherwise ? CALLS_OR : CALLS_MUST,
                               .otherwise = otherwise,
                               .parallel = !c->one_call,
                               .begins = begins};
    if (!tools) return refuse(f, 400, "tool_choice", "tool_choice: there are no tools to call");
    bool ok = call_grammar(&how, &text, &e) || refuse(f, 400, param, "%s: %s", param, e.message);
    if (ok && !text.size)
        ok = refuse(f, 400, param, "%s: this model's way of writing calls cannot be forced; use auto", param);
    ok = ok && compile(a, GYR_GRAMMAR_EBNF, &text, otherwise ? param : "tools", f);
    buf_free(&text);
    return ok;
}

// The text behind which reasoning is over and the answer begins.
static const char *answer_begins(const struct format *f, enum format_begins begins) {
    if (begins == BEGINS_REASONING) return f->thinking ? f->thinking->close : NULL;
    return begins == BEGINS_HEADER ? "<|channel|>final<|message|>" : NULL;
}

// Calls that the model may make, or an answer valid by the schema.
static bool call_or_answer(const struct constraint *c, struct ask *a, const json_t *tools, enum format_begins begins,
                           struct fault *f) {
    char *schema = schema_of(c);
    bool plain = c->kind != GYR_GRAMMAR_JSON && c->kind != GYR_GRAMMAR_JSON_SCHEMA, ok = false;
    if (plain)
        refuse(f, 400, c->param,
               "%s: only JSON can be asked for beside tools that may be called; or choose tool_choice none", c->param);
    else if (!schema)
        refuse(f, 503, NULL, "out of memory");
    else
        ok = must_call(c, a, tools, begins, schema, f);
    free(schema);
    return ok;
}

bool constraint_settle(struct constraint *c, struct ask *a, const json_t *tools, enum format_begins begins,
                       struct fault *f) {
    bool ok = true;
    a->job->one_call = c->one_call;
    if (c->tools == TOOLS_AUTO && c->wanted && tools)
        ok = call_or_answer(c, a, tools, begins, f);
    else if (c->tools == TOOLS_MUST) // no text comes that a schema could say something of
        ok = must_call(c, a, tools, begins, NULL, f);
    else if (c->wanted) {
        ok = compile(a, c->kind, &c->text, c->param, f);
        if (ok) a->job->wakes = answer_begins(served_format(a->job->model), begins);
    }
    constraint_free(c);
    return ok;
}

void constraint_free(struct constraint *c) { buf_free(&c->text); }
