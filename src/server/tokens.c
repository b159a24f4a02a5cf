// Tokens and prompts, to look at: /tokenize, /detokenize, /apply-template, as vLLM and llama-server have them.
#include "server/conversation.h"
#include "server/models.h"
#include "server/surfaces.h"

#include <stdlib.h>
#include <string.h>

static const struct field tokenize_fields[] = {
    {"prompt", FIELD_READ},
    {"content", FIELD_READ},
    {"text", FIELD_READ},
    {"messages", FIELD_READ},
    {"tools", FIELD_READ},
    {"add_special_tokens", FIELD_READ},
    {"add_special", FIELD_READ},
    {"parse_special", FIELD_READ},
    {"add_generation_prompt", FIELD_READ},
    {"continue_final_message", FIELD_READ},
    {"return_token_strs", FIELD_READ},
    {"with_pieces", FIELD_READ},
};

static bool is_true(const json_t *body, const char *key, bool otherwise) {
    const json_t *v = json_object_get(body, key);
    return v ? json_is_true(v) : otherwise;
}

static bool chat_prompt(struct ask *a, struct fault *f) {
    struct conversation talk = {.messages = conversation_messages(json_object_get(a->body, "messages"), f)};
    if (!talk.messages) return false;
    talk.tools = conversation_tools(json_object_get(a->body, "tools"), f);
    talk.bare = !is_true(a->body, "add_generation_prompt", true);
    talk.go_on = is_true(a->body, "continue_final_message", false);
    bool ok = !f->status && conversation_prompt(a, &talk, f);
    json_decref(talk.messages);
    json_decref(talk.tools);
    return ok;
}

static bool text_prompt(struct ask *a, struct fault *f) {
    const json_t *text = json_object_get(a->body, "prompt");
    if (!text) text = json_object_get(a->body, "content");
    if (!text) text = json_object_get(a->body, "text");
    if (!json_is_string(text)) return refuse(f, 400, "prompt", "prompt: takes a string");
    bool bos =
        is_true(a->body, "add_special_tokens", is_true(a->body, "add_special", json_object_get(a->body, "prompt")));
    unsigned flags = (bos ? GYR_ADD_BOS : 0) | (is_true(a->body, "parse_special", false) ? GYR_PARSE_SPECIAL : 0);
    gyr_tokens tokens = {0};
    gyr_error e = {0};
    if (gyr_tokenize(a->tokenizer, json_string_value(text), json_string_length(text), flags, &tokens, &e))
        return refuse_error(f, &e, true);
    a->job->prompt = tokens.ids;
    a->job->count = tokens.count;
    return true;
}

static void put_pieces(struct js *o, const struct ask *a) {
    js_open(o, "token_strs", '[');
    for (size_t i = 0; i < a->job->count; i++) {
        size_t size = 0;
        char *text = gyr_detokenize(a->tokenizer, a->job->prompt + i, 1, true, &size, NULL);
        js_text(o, NULL, text ? text : "", size);
        gyr_free(text);
    }
    js_close(o, ']');
}

bool tokenize_say(struct ask *a, struct buf *json, struct fault *f) {
    struct js o = {.out = json};
    size_t context = a->context;
    if (!ask_fields(a, tokenize_fields, sizeof tokenize_fields / sizeof *tokenize_fields, f)) return false;
    a->context = SIZE_MAX;
    if (!(json_object_get(a->body, "messages") ? chat_prompt : text_prompt)(a, f)) return false;
    js_open(&o, NULL, '{');
    js_whole(&o, "count", (int64_t)a->job->count);
    js_whole(&o, "max_model_len", (int64_t)context);
    js_open(&o, "tokens", '[');
    for (size_t i = 0; i < a->job->count; i++) js_whole(&o, NULL, a->job->prompt[i]);
    js_close(&o, ']');
    if (is_true(a->body, "return_token_strs", is_true(a->body, "with_pieces", false))) put_pieces(&o, a);
    js_close(&o, '}');
    return true;
}

static const struct field detokenize_fields[] = {{"tokens", FIELD_READ}};

bool detokenize_say(struct ask *a, struct buf *json, struct fault *f) {
    struct js o = {.out = json};
    const json_t *list = json_object_get(a->body, "tokens");
    size_t i, n = json_array_size(list), size = 0;
    json_t *item;
    gyr_error e = {0};
    if (!ask_fields(a, detokenize_fields, 1, f)) return false;
    if (!json_is_array(list)) return refuse(f, 400, "tokens", "tokens: takes a list of token ids");
    int32_t *ids = malloc((n + 1) * sizeof *ids);
    if (!ids) return refuse(f, 503, NULL, "out of memory");
    uint32_t vocab = served_info(a->job->model)->vocab;
    json_array_foreach(list, i, item) {
        json_int_t id = json_is_integer(item) ? json_integer_value(item) : -1;
        ids[i] = id >= 0 && id < vocab ? (int32_t)id : -1;
        if (ids[i] >= 0) continue;
        free(ids);
        return refuse(f, 400, "tokens", "tokens[%zu]: ids are 0 to %u", i, vocab - 1);
    }
    char *text = gyr_detokenize(a->tokenizer, ids, n, true, &size, &e);
    free(ids);
    if (!text) return refuse_error(f, &e, true);
    js_open(&o, NULL, '{');
    js_text(&o, "prompt", text, size);
    js_text(&o, "content", text, size);
    js_close(&o, '}');
    gyr_free(text);
    return true;
}

bool template_say(struct ask *a, struct buf *json, struct fault *f) {
    struct js o = {.out = json};
    size_t size = 0;
    gyr_error e = {0};
    if (!ask_fields(a, tokenize_fields, sizeof tokenize_fields / sizeof *tokenize_fields, f)) return false;
    a->context = SIZE_MAX;
    if (!chat_prompt(a, f)) return false;
    char *text = gyr_detokenize(a->tokenizer, a->job->prompt, a->job->count, true, &size, &e);
    if (!text) return refuse_error(f, &e, true);
    js_open(&o, NULL, '{');
    js_text(&o, "prompt", text, size);
    js_close(&o, '}');
    gyr_free(text);
    return true;
}
