#include "server/openai.h"

static void put_error(struct json_out *o, const struct fault *f) {
    json_open(o, "error", '{');
    json_string_of(o, "message", f->message);
    json_string_of(o, "type", fault_type(f->status));
    json_string_of(o, "param", *f->param ? f->param : NULL);
    json_string_of(o, "code", f->code);
    json_close(o, '}');
}

void openai_error(struct buf *out, const struct fault *f) {
    struct json_out o = {.out = out};
    json_open(&o, NULL, '{');
    put_error(&o, f);
    json_close(&o, '}');
    buf_putc(out, '\n');
}

void openai_broke(struct telling *t, const struct fault *f) {
    struct buf json = {0};
    struct json_out o = {.out = &json};
    json_open(&o, NULL, '{');
    put_error(&o, f);
    json_close(&o, '}');
    telling_event(t, NULL, &json);
    buf_free(&json);
}

static void put_bytes(struct json_out *o, const char *text, size_t size) {
    json_text(o, "token", text, size);
    json_open(o, "bytes", '[');
    for (size_t i = 0; i < size; i++) json_whole(o, NULL, (unsigned char)text[i]);
    json_close(o, ']');
}

static void put_logprob(struct telling *t, struct json_out *o, int32_t id, float logprob) {
    size_t size = 0;
    char *text = token_text(t, id, &size);
    put_bytes(o, text ? text : "", size);
    json_number(o, "logprob", (double)logprob);
    gyr_free(text);
}

void openai_token(struct telling *t, struct speech *s, const struct said *said) {
    struct json_out o = {.out = &s->logprobs, .comma = s->logprobs.size > 0};
    json_open(&o, NULL, '{');
    put_logprob(t, &o, said->id, said->logprob);
    json_open(&o, "top_logprobs", '[');
    for (size_t i = 0; i < said->count; i++) {
        json_open(&o, NULL, '{');
        put_logprob(t, &o, said->top_ids[i], said->top_logprobs[i]);
        json_close(&o, '}');
    }
    json_close(&o, ']');
    json_close(&o, '}');
}

void openai_usage(struct json_out *o, const char *key, const struct telling *t) {
    size_t tokens = 0, reasoning = 0;
    for (unsigned i = 0; i < t->n; i++) {
        tokens += t->speeches[i].tokens;
        reasoning += t->speeches[i].reasoning_tokens;
    }
    json_open(o, key, '{');
    json_whole(o, "prompt_tokens", (int64_t)t->prompt_tokens);
    json_whole(o, "completion_tokens", (int64_t)tokens);
    json_whole(o, "total_tokens", (int64_t)(t->prompt_tokens + tokens));
    json_open(o, "prompt_tokens_details", '{');
    json_whole(o, "cached_tokens", (int64_t)t->cached);
    json_close(o, '}');
    json_open(o, "completion_tokens_details", '{');
    json_whole(o, "reasoning_tokens", (int64_t)reasoning);
    json_close(o, '}');
    json_close(o, '}');
}
