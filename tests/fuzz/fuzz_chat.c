// Conversations that nobody would write, made of the input's bytes, for the templates of well-known models (or, without
// the shared folder, the language's own cases): rendering ends soon with a text whose runs from the conversation are
// sound, or with one line.
#include "base/map.h"
#include "base/utf8.h"
#include "text/template.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_TEMPLATES = 512, MAX_VALUES = 400 };
static struct chat_template *templates[MAX_TEMPLATES];
static size_t n_templates;

static const char *root(void) {
    const char *source = getenv("GYR_SOURCE");
    return source ? source : ".";
}

static void add(const char *source, size_t size) {
    struct chat_template *t = n_templates < MAX_TEMPLATES ? template_parse(source, size, "T", NULL) : NULL;
    if (t) templates[n_templates++] = t;
}

static void open_all(void) {
    char path[2048];
    snprintf(path, sizeof path, "%s/tests/data/templates/models.json", root());
    json_t *models = json_load_file(path, 0, NULL), *value;
    const char *name;
    json_object_foreach(models, name, value) {
        size_t size;
        snprintf(path, sizeof path, "%s/../shared/data/chat-templates/%s", root(), name);
        char *source = read_file(path, 1 << 20, &size, NULL);
        if (source) add(source, size);
        free(source);
    }
    json_decref(models);
    snprintf(path, sizeof path, "%s/tests/data/templates/language.json", root());
    json_t *cases = n_templates ? NULL : json_load_file(path, JSON_ALLOW_NUL, NULL);
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *source = json_object_get(json_array_get(cases, i), "template");
        add(json_string_value(source), json_string_length(source));
    }
    json_decref(cases);
    if (!n_templates) abort();
}

struct input {
    const uint8_t *p, *end;
    int values;
};

static unsigned draw(struct input *in, unsigned n) { return in->p < in->end ? *in->p++ % n : 0; }

static const char *const words[] = {
    "role",
    "content",
    "user",
    "assistant",
    "system",
    "tool",
    "tool_calls",
    "function",
    "name",
    "arguments",
    "id",
    "type",
    "text",
    "image",
    "parameters",
    "properties",
    "required",
    "object",
    "string",
    "array",
    "items",
    "enum",
    "default",
    "description",
    "anyOf",
    "oneOf",
    "developer",
    "thinking",
    "reasoning_content",
    "tool_call_id",
    "<|im_end|>",
    "</s>",
    "<think>",
    "</think>",
    "{{ 1 }}",
    "[INST]",
    "\xc3\xa9\xe2\x80\xa8",
    "",
    "\n",
    "  ",
    "call00001",
    "abcdef123",
    "input_audio",
    "image_url",
    "strict",
    "nullable",
};
enum { WORDS = sizeof words / sizeof *words };

static json_t *string(struct input *in) {
    if (draw(in, 3)) return json_string(words[draw(in, WORDS)]);
    size_t n = draw(in, 24), left = (size_t)(in->end - in->p);
    if (n > left) n = left;
    json_t *s = utf8_valid((const char *)in->p, n) ? json_stringn((const char *)in->p, n) : json_string("?");
    in->p += n;
    return s;
}

static json_t *value(struct input *in, int depth) {
    unsigned kind = depth > 5 || in->values++ > MAX_VALUES ? draw(in, 7) : draw(in, 10);
    if (kind == 0) return json_null();
    if (kind == 1) return json_boolean(draw(in, 2));
    if (kind == 2) return json_integer((json_int_t)draw(in, 256) - 128);
    if (kind == 3) return json_real((double)draw(in, 256) / 16 - 8);
    if (kind < 7) return string(in);
    json_t *all = kind == 7 ? json_array() : json_object();
    for (unsigned n = draw(in, 6); n-- > 0;)
        if (kind == 7)
            json_array_append_new(all, value(in, depth + 1));
        else
            json_object_set_new(all, words[draw(in, WORDS)], value(in, depth + 1));
    return all;
}

// Mostly what a message looks like, and now and then anything.
static json_t *message(struct input *in) {
    if (!draw(in, 16)) return value(in, 0);
    static const char *const roles[] = {"user", "assistant", "system", "tool", "developer", "odd"};
    json_t *m = json_object();
    if (draw(in, 32)) json_object_set_new(m, "role", json_string(roles[draw(in, 6)]));
    if (draw(in, 8)) json_object_set_new(m, "content", draw(in, 4) ? string(in) : value(in, 0));
    if (!draw(in, 4)) {
        json_t *calls = json_array();
        for (unsigned n = draw(in, 3); n-- > 0;)
            json_array_append_new(calls, json_pack("{s:o,s:s,s:{s:o,s:o}}", "id", string(in), "type", "function",
                                                   "function", "name", string(in), "arguments", value(in, 1)));
        json_object_set_new(m, "tool_calls", calls);
    }
    for (unsigned n = draw(in, 3); n-- > 0;) json_object_set_new(m, words[draw(in, WORDS)], value(in, 1));
    return m;
}

static json_t *conversation(struct input *in) {
    static const char *const flags[] = {"add_generation_prompt", "enable_thinking", "thinking", "tools", "documents"};
    json_t *all = json_object(), *messages = json_array();
    for (unsigned n = draw(in, 8); n-- > 0;) json_array_append_new(messages, message(in));
    json_object_set_new(all, "messages", draw(in, 64) ? messages : (json_decref(messages), value(in, 0)));
    if (draw(in, 2)) {
        json_t *tools = json_array();
        for (unsigned n = draw(in, 3); n-- > 0;)
            json_array_append_new(tools, json_pack("{s:s,s:{s:o,s:o,s:o}}", "type", "function", "function", "name",
                                                   string(in), "description", string(in), "parameters", value(in, 0)));
        json_object_set_new(all, "tools", tools);
    }
    for (unsigned n = draw(in, 4); n-- > 0;) json_object_set_new(all, flags[draw(in, 5)], value(in, 2));
    json_object_set_new(all, "bos_token", json_string("<s>"));
    return all;
}

static void check_runs(const struct buf *out, const struct buf *user) {
    const size_t *run = (const size_t *)(const void *)user->data;
    size_t n = user->size / sizeof *run, last = 0;
    for (size_t i = 0; i < n; i += 2) {
        if (run[i] < last || run[i] >= run[i + 1] || run[i + 1] > out->size) abort();
        last = run[i + 1];
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!n_templates) open_all();
    struct input in = {.p = data, .end = data + size};
    const struct chat_template *t = templates[draw(&in, 251) % n_templates];
    json_t *variables = conversation(&in);
    gyr_error e = {0};
    struct buf out = {0}, user = {0};
    if (template_render(t, variables, &out, &user, &e)) {
        if (!utf8_valid(out.data ? out.data : "", out.size)) abort();
        check_runs(&out, &user);
    } else if (e.status == GYR_OK || strncmp(e.message, "T", 1) || strchr(e.message, '\n')) {
        abort();
    }
    json_decref(variables);
    buf_free(&out);
    buf_free(&user);
    return 0;
}
