// POST /v1/chat/completions (https://platform.openai.com/docs/api-reference/chat).
#include "server/chat_keep.h"
#include "server/constraint.h"
#include "server/conversation.h"
#include "server/models.h"
#include "server/openai.h"
#include "server/reasoning.h"
#include "server/surfaces.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

// What comes beside the common members, until the prompt is made of it.
struct chat {
    struct ask ask;
    size_t top_logprobs, prompt_logprobs;
    bool logprobs, ids, go_on, generate, scores, store;
    struct conversation talk;
    struct constraint must;
    bool parallel;
};

static bool read_effort(struct ask *a, const json_t *v, const char *name, struct fault *f) {
    static const char *const known[] = {"none", "minimal", "low", "medium", "high", "xhigh"};
    for (size_t i = 0; json_is_string(v) && i < sizeof known / sizeof *known; i++)
        if (!strcmp(json_string_value(v), known[i])) {
            ((struct chat *)a)->talk.effort = known[i];
            return true;
        }
    return refuse(f, 400, name, "%s: takes none, minimal, low, medium, high or xhigh", name);
}

static bool read_kwargs(struct ask *a, const json_t *v, const char *name, struct fault *f) {
    if (!json_is_object(v)) return refuse(f, 400, name, "%s: takes an object", name);
    ((struct chat *)a)->talk.kwargs = (json_t *)v;
    return true;
}

static struct constraint *must_of(struct ask *a) { return &((struct chat *)a)->must; }

static bool read_format(struct ask *a, const json_t *v, const char *name, struct fault *f) {
    return constraint_response_format(must_of(a), v, name, f);
}

static bool read_structured(struct ask *a, const json_t *v, const char *name, struct fault *f) {
    return constraint_structured(must_of(a), v, name, f);
}

static bool read_schema(struct ask *a, const json_t *v, const char *name, struct fault *f) {
    return constraint_schema(must_of(a), v, name, f);
}

static bool read_regex(struct ask *a, const json_t *v, const char *name, struct fault *f) {
    return constraint_text(must_of(a), GYR_GRAMMAR_REGEX, v, name, f);
}

static bool read_grammar(struct ask *a, const json_t *v, const char *name, struct fault *f) {
    return constraint_text(must_of(a), GYR_GRAMMAR_EBNF, v, name, f);
}

static bool read_choice(struct ask *a, const json_t *v, const char *name, struct fault *f) {
    return constraint_tool_choice(must_of(a), v, name, f);
}

static bool read_prompt_logprobs(struct ask *a, const json_t *v, const char *name, struct fault *f) {
    struct chat *c = (struct chat *)a;
    c->scores = true;
    return openai_count(v, name, &c->prompt_logprobs, f);
}

static bool read_modalities(struct ask *a, const json_t *v, const char *name, struct fault *f) {
    (void)a;
    bool text = json_array_size(v) == 1 && json_is_string(json_array_get(v, 0)) &&
                !strcmp(json_string_value(json_array_get(v, 0)), "text");
    return text || refuse(f, 400, name, "%s: only [\"text\"]", name);
}

#define IN_CHAT(member) offsetof(struct chat, member), IN_ASK

static const struct field fields[] = {
    {"messages", FIELD_READ},
    {"tools", FIELD_READ},
    {"max_completion_tokens", FIELD_WHOLE, IN_JOB(max_tokens), 1, 1e9},
    {"logprobs", FIELD_BOOL, IN_CHAT(logprobs)},
    {"top_logprobs", FIELD_WHOLE, IN_CHAT(top_logprobs), 0, 20},
    {"prompt_logprobs", FIELD_OF, .read = read_prompt_logprobs},
    {"return_token_ids", FIELD_BOOL, IN_CHAT(ids)},
    {"receipt", FIELD_BOOL, IN_JOB(receipt)},
    {"return_progress", FIELD_BOOL, IN_JOB(progress)},
    {"continue_final_message", FIELD_BOOL, IN_CHAT(go_on)},
    {"add_generation_prompt", FIELD_BOOL, IN_CHAT(generate)},
    {"thinking_token_budget", FIELD_OF, .read = budget_read},
    {"reasoning_effort", FIELD_OF, .read = read_effort},
    {"chat_template_kwargs", FIELD_OF, .read = read_kwargs},
    {"response_format", FIELD_OF, .read = read_format},
    {"structured_outputs", FIELD_OF, .read = read_structured},
    {"json_schema", FIELD_OF, .read = read_schema},
    {"guided_json", FIELD_OF, .read = read_schema},
    {"guided_regex", FIELD_OF, .read = read_regex},
    {"guided_grammar", FIELD_OF, .read = read_grammar},
    {"grammar", FIELD_OF, .read = read_grammar},
    {"tool_choice", FIELD_OF, .read = read_choice},
    {"parallel_tool_calls", FIELD_BOOL, IN_CHAT(parallel)},
    {"modalities", FIELD_OF, .read = read_modalities},
    {"store", FIELD_BOOL, IN_CHAT(store)},
    {"moderation", FIELD_NULL},
    {"audio", FIELD_NULL},
    {"prediction", FIELD_IGNORED},
    {"verbosity", FIELD_IGNORED},
    {"web_search_options", FIELD_NULL},
    {"functions", FIELD_NULL},
    {"function_call", FIELD_NULL},
};

static void completion_id(char *id, size_t size, const struct telling *t) {
    snprintf(id, size, "chatcmpl-%s", t->job->x->id);
}

static void head(struct js *o, const struct telling *t, const char *object) {
    char id[40];
    completion_id(id, sizeof id, t);
    js_string_of(o, "id", id);
    js_string_of(o, "object", object);
    js_whole(o, "created", t->created);
    js_string_of(o, "model", job_model(t->job));
    snprintf(id, sizeof id, "gyr-%s-edition-%u", gyr_version(), gyr_edition());
    js_string_of(o, "system_fingerprint", id);
}

static void put_logprobs(struct js *o, const struct buf *list) {
    js_open(o, "logprobs", '{');
    js_open(o, "content", '[');
    js_raw(o, NULL, list->size ? list->data : "", list->size);
    js_close(o, ']');
    js_none(o, "refusal");
    js_close(o, '}');
}

static void put_ids(struct js *o, const struct buf *ids) {
    openai_ids(o, "token_ids", (const int32_t *)(void *)ids->data, ids->size / sizeof(int32_t));
}

// A chunk of a stream: `delta` is the inside of its object. What was said of tokens goes with the first that comes.
static void chunk(struct telling *t, struct speech *s, const struct buf *delta, const char *finish) {
    struct buf json = {0};
    struct js o = {.out = &json};
    js_open(&o, NULL, '{');
    head(&o, t, "chat.completion.chunk");
    js_open(&o, "choices", '[');
    js_open(&o, NULL, '{');
    js_whole(&o, "index", s->index);
    js_open(&o, "delta", '{');
    buf_append(&json, delta->data, delta->size);
    js_close(&o, '}');
    if (t->wants_logprobs && s->logprobs.size) put_logprobs(&o, &s->logprobs);
    if (t->wants_ids && s->ids.size) put_ids(&o, &s->ids);
    js_string_of(&o, "finish_reason", finish);
    js_close(&o, '}');
    js_close(&o, ']');
    openai_chunk_usage(&o, t);
    js_close(&o, '}');
    if (t->own) chat_keep_told(t->own, s);
    buf_clear(&s->logprobs);
    buf_clear(&s->ids);
    telling_event(t, NULL, &json);
    buf_free(&json);
}

static void put_call(struct js *o, const struct call *c, size_t index, bool streamed) {
    js_open(o, NULL, '{');
    if (streamed) js_whole(o, "index", (int64_t)index);
    js_string_of(o, "id", c->id);
    js_string_of(o, "type", "function");
    js_open(o, "function", '{');
    js_string_of(o, "name", c->name);
    js_text(o, "arguments", c->arguments.data ? c->arguments.data : "", streamed ? 0 : c->arguments.size);
    js_close(o, '}');
    js_close(o, '}');
}

static void event(struct telling *t, struct speech *s, enum speech_kind kind, const char *text, size_t size) {
    if (!t->stream || kind == SPEECH_CALL_END) return;
    struct buf delta = {0};
    struct js o = {.out = &delta};
    if (!s->spoken) js_string_of(&o, "role", "assistant");
    if (kind == SPEECH_TEXT) js_text(&o, "content", text, size);
    if (kind == SPEECH_REASONING) js_text(&o, "reasoning_content", text, size);
    if (kind == SPEECH_CALL || kind == SPEECH_ARGUMENTS) {
        size_t last = s->n_calls - 1;
        js_open(&o, "tool_calls", '[');
        if (kind == SPEECH_CALL) {
            put_call(&o, &s->calls[last], last, true);
        } else {
            js_open(&o, NULL, '{');
            js_whole(&o, "index", (int64_t)last);
            js_open(&o, "function", '{');
            js_text(&o, "arguments", text, size);
            js_close(&o, '}');
            js_close(&o, '}');
        }
        js_close(&o, ']');
    }
    chunk(t, s, &delta, NULL);
    buf_free(&delta);
}

static void prompt_token(struct telling *t, struct speech *s, const struct said *said) {
    openai_prompt_token(t, s, said, (size_t)t->job->prompt_logprobs - 1);
}

static void over(struct telling *t, struct speech *s) {
    struct buf none = {0};
    if (!t->stream) return;
    if (!s->spoken) event(t, s, SPEECH_TEXT, "", 0);
    s->spoken = true;
    chunk(t, s, &none, finish_reason(s));
}

static void put_message(struct js *o, const struct speech *s) {
    js_open(o, "message", '{');
    js_string_of(o, "role", "assistant");
    if (s->text.size || !s->n_calls)
        js_text(o, "content", s->text.size ? s->text.data : "", s->text.size);
    else
        js_none(o, "content");
    if (s->reasoning.size) js_text(o, "reasoning_content", s->reasoning.data, s->reasoning.size);
    js_none(o, "refusal");
    if (s->n_calls) {
        js_open(o, "tool_calls", '[');
        for (size_t i = 0; i < s->n_calls; i++) put_call(o, &s->calls[i], i, false);
        js_close(o, ']');
    }
    js_close(o, '}');
}

// A stream has told of its tokens, and has them no more, but for what is to be kept.
static void put_choice(struct js *o, struct telling *t, struct speech *s) {
    const struct chat_keep *keep = t->stream ? t->own : NULL;
    js_open(o, NULL, '{');
    js_whole(o, "index", s->index);
    put_message(o, s);
    if (t->wants_logprobs)
        put_logprobs(o, keep ? &keep->choices[s->index].logprobs : &s->logprobs);
    else
        js_none(o, "logprobs");
    if (t->wants_ids) put_ids(o, keep ? &keep->choices[s->index].ids : &s->ids);
    js_string_of(o, "finish_reason", finish_reason(s));
    js_close(o, '}');
}

// The whole completion, or the last chunk of a stream.
static void put_completion(struct buf *json, struct telling *t, bool whole) {
    struct js o = {.out = json};
    js_open(&o, NULL, '{');
    head(&o, t, whole ? "chat.completion" : "chat.completion.chunk");
    js_open(&o, "choices", '[');
    for (unsigned i = 0; whole && i < t->n; i++) put_choice(&o, t, &t->speeches[i]);
    js_close(&o, ']');
    if (t->wants_ids) openai_ids(&o, "prompt_token_ids", t->job->prompt, t->job->count);
    if (t->job->prompt_logprobs) openai_prompt_logprobs(&o, &t->speeches[0]);
    openai_usage(&o, "usage", t);
    openai_receipt(&o, t);
    js_close(&o, '}');
}

// What was to be kept and cannot be is an error, never an answer without a word of it.
static bool keep(struct telling *t) {
    char id[40];
    struct buf json = {0};
    struct fault f = {0};
    put_completion(&json, t, true);
    completion_id(id, sizeof id, t);
    bool kept = chat_keep_put(t, id, &json, &f);
    buf_free(&json);
    if (!kept && t->stream) openai_broke(t, &f);
    if (!kept && !t->stream) reply_fault(t->job->x, t->surface, &f);
    return kept;
}

static void done(struct telling *t) {
    struct buf json = {0};
    if (t->own && !keep(t)) return;
    put_completion(&json, t, !t->stream);
    openai_finish(t, &json);
}

// How much of the prompt is computed, in llama-server's words.
static void read_on(struct telling *t, const struct said *said) {
    struct buf json = {0};
    struct js o = {.out = &json};
    js_open(&o, NULL, '{');
    head(&o, t, "chat.completion.chunk");
    js_open(&o, "choices", '[');
    js_close(&o, ']');
    js_open(&o, "prompt_progress", '{');
    js_whole(&o, "total", (int64_t)t->job->count);
    js_whole(&o, "cache", (int64_t)said->cached);
    js_whole(&o, "processed", (int64_t)said->count);
    js_close(&o, '}');
    js_close(&o, '}');
    telling_event(t, NULL, &json);
    buf_free(&json);
}

const struct surface chat_surface = {.type = "application/json",
                                     .stream_type = "text/event-stream",
                                     .prompt = prompt_token,
                                     .read = read_on,
                                     .event = event,
                                     .token = openai_token,
                                     .over = over,
                                     .done = done,
                                     .error = openai_error,
                                     .broke = openai_broke,
                                     .free_own = chat_keep_free};

static bool read_chat(struct chat *c, struct fault *f) {
    struct ask *a = &c->ask;
    c->parallel = c->generate = true;
    if (!ask_fields(a, fields, sizeof fields / sizeof *fields, f) || !openai_receipt_asked(a, f)) return false;
    if (c->top_logprobs && !c->logprobs)
        return refuse(f, 400, "top_logprobs", "top_logprobs: needs \"logprobs\": true");
    a->job->logprobs = c->logprobs ? 1 + (int32_t)c->top_logprobs : 0;
    if (c->scores && a->stream)
        return refuse(f, 400, "prompt_logprobs", "prompt_logprobs: not in a stream; leave one of the two out");
    a->job->prompt_logprobs = c->scores ? 1 + (int32_t)c->prompt_logprobs : 0;
    c->talk.go_on = c->go_on;
    c->talk.bare = !c->generate;
    c->must.one_call |= !c->parallel;
    c->talk.messages = conversation_messages(json_object_get(a->body, "messages"), f);
    if (!c->talk.messages) return false;
    if (c->must.tools != TOOLS_NONE) c->talk.tools = conversation_tools(json_object_get(a->body, "tools"), f);
    if (!f->status) c->talk.tools = constraint_allow(&c->must, c->talk.tools, f);
    return !f->status && conversation_prompt(a, &c->talk, f) && telling_new(a->job, &chat_surface, a, f) &&
           telling_reads(a->job->telling, c->talk.tools, f) &&
           constraint_settle(&c->must, a, c->talk.tools, telling_begins(a->job->telling), f) &&
           budget_settle(a, telling_begins(a->job->telling), c->talk.tools, f);
}

bool chat_read(struct ask *common, struct fault *f) {
    struct chat c = {.ask = *common};
    bool ok = read_chat(&c, f);
    struct telling *t = c.ask.job->telling;
    if (ok) t->wants_ids = c.ids;
    if (ok && c.store) ok = (t->own = chat_keep_new(&c.ask, f));
    constraint_free(&c.must);
    json_decref(c.talk.messages);
    json_decref(c.talk.tools);
    return ok;
}
