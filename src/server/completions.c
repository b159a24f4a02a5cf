#include "server/completions.h"

#include "base/utf8.h"
#include "server/models.h"
#include "server/openai.h"
#include "server/surfaces.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void completion_free(void *own) {
    struct completion *c = own;
    free(c->told);
    free(c);
}

static void head(struct js *o, const struct telling *t) {
    char id[40];
    snprintf(id, sizeof id, "cmpl-%s", t->job->x->id);
    js_string_of(o, "id", id);
    js_string_of(o, "object", "text_completion");
    js_whole(o, "created", t->created);
    js_string_of(o, "model", job_model(t->job));
}

// ------------------------------------------------------------------------------------------------ log-probabilities

// What is kept of a token until it is written: the likeliest follow it.
struct likely {
    int32_t id;
    float logprob;
};
struct record {
    struct likely is;
    size_t tops;
};

static void token(struct telling *t, struct speech *s, const struct said *said) {
    size_t wanted = (size_t)t->job->logprobs - 1;
    struct record r = {{said->id, said->logprob}, said->count < wanted ? said->count : wanted};
    buf_append(&s->logprobs, &r, sizeof r);
    for (size_t i = 0; i < r.tops; i++)
        buf_append(&s->logprobs, &(struct likely){said->top_ids[i], said->top_logprobs[i]}, sizeof(struct likely));
}

static void prompt_token(struct telling *t, struct speech *s, const struct said *said) {
    const struct completion *c = t->own;
    if (c->echo_logprobs) token(t, s, said);
    if (c->scores) openai_prompt_token(t, s, said, c->tops);
}

// The next record at *at, which moves on; false: there is none.
static bool next_record(const struct buf *b, size_t *at, struct record *r, const char **tops) {
    if (*at >= b->size) return false;
    memcpy(r, b->data + *at, sizeof *r);
    *tops = b->data + *at + sizeof *r;
    *at += sizeof *r + r->tops * sizeof(struct likely);
    return true;
}

// A token's text; bytes that are no text by themselves as OpenAI writes them.
static void put_name(struct buf *out, const struct telling *t, int32_t id) {
    size_t size = 0;
    char *text = token_text(t, id, &size);
    if (text && utf8_valid(text, size)) {
        buf_append(out, text, size);
    } else {
        buf_puts(out, "bytes:");
        for (size_t i = 0; text && i < size; i++) buf_printf(out, "\\x%02x", (unsigned)(unsigned char)text[i]);
    }
    gyr_free(text);
}

static void js_name(struct js *o, const struct telling *t, int32_t id) {
    struct buf name = {0};
    put_name(&name, t, id);
    js_text(o, NULL, name.data ? name.data : "", name.size);
    buf_free(&name);
}

// Characters that begin in the token's text, which special tokens do not have.
static size_t characters(const struct telling *t, int32_t id) {
    size_t size = 0, n = 0;
    char *text = gyr_detokenize(t->tokenizer, &id, 1, false, &size, NULL);
    for (size_t i = 0; text && i < size; i++) n += ((unsigned char)text[i] & 0xC0) != 0x80;
    gyr_free(text);
    return n;
}

static void put_top(struct js *o, const struct telling *t, const struct likely *is) {
    struct buf name = {0};
    put_name(&name, t, is->id);
    js_number(o, name.data ? name.data : "", (double)is->logprob);
    buf_free(&name);
}

// The likeliest, and the token itself if it is none of them.
static void put_tops(struct js *o, const struct telling *t, const struct record *r, const char *tops) {
    bool among = false;
    if (isnan(r->is.logprob)) {
        js_none(o, NULL);
        return;
    }
    js_open(o, NULL, '{');
    for (size_t i = 0; i < r->tops; i++) {
        struct likely one;
        memcpy(&one, tops + i * sizeof one, sizeof one);
        among |= one.id == r->is.id;
        put_top(o, t, &one);
    }
    if (!among && r->tops) put_top(o, t, &r->is);
    js_close(o, '}');
}

static void put_logprobs(struct js *o, struct telling *t, struct speech *s) {
    static const char *const lists[] = {"tokens", "token_logprobs", "top_logprobs", "text_offset"};
    struct completion *c = t->own;
    struct record r;
    const char *tops;
    js_open(o, "logprobs", '{');
    for (size_t k = 0; k < sizeof lists / sizeof *lists; k++) {
        js_open(o, lists[k], '[');
        for (size_t at = 0; next_record(&s->logprobs, &at, &r, &tops);) {
            if (k == 0) js_name(o, t, r.is.id);
            if (k == 1) js_number(o, NULL, (double)r.is.logprob);
            if (k == 2) put_tops(o, t, &r, tops);
            if (k < 3) continue;
            js_whole(o, NULL, (int64_t)c->told[s->index]);
            c->told[s->index] += characters(t, r.is.id);
        }
        js_close(o, ']');
    }
    js_close(o, '}');
    buf_clear(&s->logprobs);
}

// ------------------------------------------------------------------------------------------------ telling

static void put_choice(struct js *o, struct telling *t, struct speech *s, const char *text, size_t size,
                       const char *finish) {
    const struct completion *c = t->own;
    js_open(o, NULL, '{');
    js_whole(o, "index", s->index);
    js_text(o, "text", text, size);
    if (t->wants_logprobs && s->logprobs.size)
        put_logprobs(o, t, s);
    else
        js_none(o, "logprobs");
    if (c->scores && !t->stream) openai_prompt_logprobs(o, &t->speeches[s->index - s->index % t->job->each]);
    if (t->wants_ids) {
        openai_ids(o, "token_ids", (const int32_t *)(void *)s->ids.data, s->ids.size / sizeof(int32_t));
        buf_clear(&s->ids);
    }
    js_string_of(o, "finish_reason", finish);
    js_close(o, '}');
}

static void chunk(struct telling *t, struct speech *s, const char *text, size_t size, const char *finish) {
    struct buf json = {0};
    struct js o = {.out = &json};
    js_open(&o, NULL, '{');
    head(&o, t);
    js_open(&o, "choices", '[');
    put_choice(&o, t, s, text, size, finish);
    js_close(&o, ']');
    openai_chunk_usage(&o, t);
    js_close(&o, '}');
    telling_event(t, NULL, &json);
    buf_free(&json);
}

// The text of a choice's prompt: free with gyr_free(). NULL if memory is out.
static char *prompt_text(const struct telling *t, const struct speech *s, size_t *size) {
    struct prompt p = job_prompt(t->job, s->index);
    return gyr_detokenize(t->tokenizer, p.ids, p.count, false, size, NULL);
}

static void begun(struct telling *t, struct speech *s) {
    const struct completion *c = t->own;
    size_t size = 0;
    char *text = c->echo ? prompt_text(t, s, &size) : NULL;
    if (text) chunk(t, s, text, size, NULL);
    if (c->echo && !text) job_cancel(t->job);
    gyr_free(text);
}

static void event(struct telling *t, struct speech *s, enum speech_kind kind, const char *text, size_t size) {
    if (t->stream && kind == SPEECH_TEXT) chunk(t, s, text, size, NULL);
}

static void over(struct telling *t, struct speech *s) {
    if (t->stream) chunk(t, s, "", 0, finish_reason(s));
}

static void put_whole(struct js *o, struct telling *t, struct speech *s) {
    const struct completion *c = t->own;
    struct buf all = {0};
    size_t size = 0;
    char *text = c->echo ? prompt_text(t, s, &size) : NULL;
    if (text) buf_append(&all, text, size);
    buf_append(&all, s->text.data, s->text.size);
    o->out->failed |= all.failed || (c->echo && !text);
    put_choice(o, t, s, all.size ? all.data : "", all.size, finish_reason(s));
    gyr_free(text);
    buf_free(&all);
}

static void done(struct telling *t) {
    struct buf json = {0};
    struct js o = {.out = &json};
    js_open(&o, NULL, '{');
    head(&o, t);
    js_open(&o, "choices", '[');
    for (unsigned i = 0; !t->stream && i < t->n; i++) put_whole(&o, t, &t->speeches[i]);
    js_close(&o, ']');
    openai_usage(&o, "usage", t);
    openai_receipt(&o, t);
    js_close(&o, '}');
    openai_finish(t, &json);
}

const struct surface completions_surface = {.type = "application/json",
                                            .stream_type = "text/event-stream",
                                            .begun = begun,
                                            .prompt = prompt_token,
                                            .event = event,
                                            .token = token,
                                            .over = over,
                                            .done = done,
                                            .error = openai_error,
                                            .broke = openai_broke,
                                            .free_own = completion_free};
