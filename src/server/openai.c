#include "server/openai.h"

#include "server/models.h"

#include <math.h>
#include <string.h>

static void put_error(struct js *o, const struct fault *f) {
    js_open(o, "error", '{');
    js_string_of(o, "message", f->message);
    js_string_of(o, "type", fault_type(f->status));
    js_string_of(o, "param", *f->param ? f->param : NULL);
    js_string_of(o, "code", f->code);
    js_close(o, '}');
}

void openai_error(struct buf *out, const struct fault *f) {
    struct js o = {.out = out};
    js_open(&o, NULL, '{');
    put_error(&o, f);
    js_close(&o, '}');
    buf_putc(out, '\n');
}

void openai_broke(struct telling *t, const struct fault *f) {
    struct buf json = {0};
    struct js o = {.out = &json};
    js_open(&o, NULL, '{');
    put_error(&o, f);
    js_close(&o, '}');
    telling_event(t, NULL, &json);
    buf_free(&json);
}

static void put_bytes(struct js *o, const char *text, size_t size) {
    js_text(o, "token", text, size);
    js_open(o, "bytes", '[');
    for (size_t i = 0; i < size; i++) js_whole(o, NULL, (unsigned char)text[i]);
    js_close(o, ']');
}

static void put_logprob(struct telling *t, struct js *o, int32_t id, float logprob) {
    size_t size = 0;
    char *text = token_text(t, id, &size);
    put_bytes(o, text ? text : "", size);
    js_number(o, "logprob", (double)logprob);
    gyr_free(text);
}

void openai_put_token(struct telling *t, struct js *o, const struct said *said) {
    js_open(o, NULL, '{');
    put_logprob(t, o, said->id, said->logprob);
    js_open(o, "top_logprobs", '[');
    for (size_t i = 0; i < said->count; i++) {
        js_open(o, NULL, '{');
        put_logprob(t, o, said->top_ids[i], said->top_logprobs[i]);
        js_close(o, '}');
    }
    js_close(o, ']');
    js_close(o, '}');
}

void openai_token(struct telling *t, struct speech *s, const struct said *said) {
    struct js o = {.out = &s->logprobs, .comma = s->logprobs.size > 0};
    openai_put_token(t, &o, said);
}

static void put_score(struct telling *t, struct js *o, int32_t id, float logprob, size_t rank) {
    char key[16];
    size_t size = 0;
    char *text = token_text(t, id, &size);
    snprintf(key, sizeof key, "%d", id);
    js_open(o, key, '{');
    js_number(o, "logprob", (double)logprob);
    if (rank)
        js_whole(o, "rank", (int64_t)rank);
    else
        js_none(o, "rank");
    js_text(o, "decoded_token", text ? text : "", size);
    js_close(o, '}');
    gyr_free(text);
}

void openai_prompt_token(struct telling *t, struct speech *s, const struct said *said, size_t tops) {
    struct js o = {.out = &s->scores, .comma = s->scores.size > 0};
    size_t rank = 0;
    if (isnan(said->logprob)) {
        js_none(&o, NULL);
        return;
    }
    for (size_t i = 0; !rank && i < said->count; i++)
        if (said->top_ids[i] == said->id) rank = i + 1;
    js_open(&o, NULL, '{');
    put_score(t, &o, said->id, said->logprob, rank);
    for (size_t i = 0; i < said->count && i < tops; i++)
        if (i + 1 != rank) put_score(t, &o, said->top_ids[i], said->top_logprobs[i], i + 1);
    js_close(&o, '}');
}

void openai_prompt_logprobs(struct js *o, const struct speech *s) {
    js_open(o, "prompt_logprobs", '[');
    js_raw(o, NULL, s->scores.size ? s->scores.data : "", s->scores.size);
    js_close(o, ']');
    o->out->failed |= s->scores.failed;
}

bool openai_count(const json_t *v, const char *name, size_t *count, struct fault *f) {
    json_int_t n = json_is_integer(v) ? json_integer_value(v) : -1;
    if (n < 0 || n > 20) return refuse(f, 400, name, "%s: takes whole numbers from 0 to 20", name);
    *count = (size_t)n;
    return true;
}

void openai_ids(struct js *o, const char *key, const int32_t *ids, size_t n) {
    js_open(o, key, '[');
    for (size_t i = 0; i < n; i++) js_whole(o, NULL, ids[i]);
    js_close(o, ']');
}

bool openai_receipt_asked(const struct ask *a, struct fault *f) {
    char checksum[65];
    gyr_error e = {0};
    if (!a->job->receipt) return true;
    if (a->job->n > 1) return refuse(f, 400, "receipt", "receipt: of one answer; leave n at 1");
    return !gyr_model_checksum(served_model(a->job->model), checksum, &e) || refuse_error(f, &e, false);
}

void openai_receipt(struct js *o, const struct telling *t) {
    const struct buf *r = &t->speeches[0].receipt;
    if (t->job->receipt) js_raw(o, "receipt", r->size ? r->data : "null", r->size ? r->size : strlen("null"));
}

void openai_usage(struct js *o, const char *key, const struct telling *t) {
    size_t tokens = 0, reasoning = 0;
    for (unsigned i = 0; i < t->n; i++) {
        tokens += t->speeches[i].tokens;
        reasoning += t->speeches[i].reasoning_tokens;
    }
    js_open(o, key, '{');
    js_whole(o, "prompt_tokens", (int64_t)t->prompt_tokens);
    js_whole(o, "completion_tokens", (int64_t)tokens);
    js_whole(o, "total_tokens", (int64_t)(t->prompt_tokens + tokens));
    js_open(o, "prompt_tokens_details", '{');
    js_whole(o, "cached_tokens", (int64_t)t->cached);
    js_close(o, '}');
    js_open(o, "completion_tokens_details", '{');
    js_whole(o, "reasoning_tokens", (int64_t)reasoning);
    js_close(o, '}');
    telling_energy(o, t);
    js_close(o, '}');
}

void openai_chunk_usage(struct js *o, const struct telling *t) {
    if (t->usage_each)
        openai_usage(o, "usage", t);
    else if (t->usage)
        js_none(o, "usage");
}

void openai_finish(struct telling *t, struct buf *json) {
    if (t->stream) {
        if (t->usage || t->job->receipt) telling_event(t, NULL, json);
        buf_puts(&t->out, "data: [DONE]\n\n");
    } else {
        telling_reply(t, json);
    }
    buf_free(json);
}
