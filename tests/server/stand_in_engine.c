#include "stand_in_engine.h"

#include "gyr.h"

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CONTEXT = 200000 };

// Tools and results as Hermes and Qwen models write them, so that the server takes that format.
static const char template_source[] =
    "{%- if tools %}<|tools|>\n{% for tool in tools %}{{ tool | tojson }}\n{% endfor %}{% endif -%}\n"
    "{%- for m in messages %}<|{{ m.role }}|>\n{{ m.content }}\n"
    "{%- if m.tool_calls %}{% for c in m.tool_calls %}<tool_call>\n"
    "{\"name\": \"{{ c.function.name }}\", \"arguments\": {{ c.function.arguments | tojson }}}\n</tool_call>\n"
    "{% endfor %}{% endif %}{% endfor %}"
    "{%- if add_generation_prompt %}<|assistant|>\n{% endif %}";

static json_t *script;
static unsigned pace;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

struct gyr_answer {
    gyr_session *session;
    size_t prompt; // tokens
    const gyr_tokenizer *tokenizer;
    gyr_generate_options how;
    gyr_tokens say; // what it will have said
    size_t at;      // tokens of it that are said; beyond the last, for an endless one, from the first again
    bool endless;
    char held[8]; // bytes of a character that is not whole yet
    size_t held_size;
    gyr_stop stop;
};

bool stand_in_script(const char *path) {
    json_error_t e;
    script = json_load_file(path, 0, &e);
    if (!script) fprintf(stderr, "%s:%d: %s\n", path, e.line, e.text);
    return json_is_array(script);
}

void stand_in_pace(unsigned ms) { pace = ms; }

// Whether the prompt has a text, or all of a list.
static bool suits(const json_t *when, const char *prompt) {
    const json_t *text;
    size_t i;
    if (json_is_string(when)) return strstr(prompt, json_string_value(when));
    json_array_foreach(when, i, text) if (!suits(text, prompt)) return false;
    return true;
}

// What the script says to a prompt. With the lock held.
static const char *line_for(const char *prompt) {
    json_t *entry;
    size_t i;
    json_array_foreach(script, i, entry) {
        json_t *times = json_object_get(entry, "times"), *when = json_object_get(entry, "when");
        json_int_t left = times ? json_integer_value(times) : 1;
        if (left < 1 || !suits(when, prompt)) continue;
        json_object_set_new(entry, "times", json_integer(left - 1));
        return json_string_value(json_object_get(entry, "say"));
    }
    return "The script has no answer to this.";
}

static bool choose(struct gyr_answer *a, const int32_t *prompt, size_t count, gyr_error *e) {
    const char *say = " sea";
    size_t size;
    if (script) {
        char *text = gyr_detokenize(a->tokenizer, prompt, count, true, &size, e);
        if (!text) return false;
        pthread_mutex_lock(&lock);
        say = line_for(text);
        pthread_mutex_unlock(&lock);
        gyr_free(text);
    }
    a->endless = !script;
    return !gyr_tokenize(a->tokenizer, say, strlen(say), 0, &a->say, e);
}

// ------------------------------------------------------------------------------------------------ a model

static const gyr_tokenizer *tokenizer; // of the only model

const gyr_tokenizer *__real_gyr_model_tokenizer(const gyr_model *model);
const gyr_tokenizer *__wrap_gyr_model_tokenizer(const gyr_model *model);
const char *__wrap_gyr_model_template_source(const gyr_model *model);
void __real_gyr_model_get_info(const gyr_model *model, gyr_model_info *info);
void __wrap_gyr_model_get_info(const gyr_model *model, gyr_model_info *info);
gyr_status __wrap_gyr_chat_tokens(const gyr_model *model, const char *variables, bool generate, gyr_tokens *out,
                                  gyr_error *e);

const gyr_tokenizer *__wrap_gyr_model_tokenizer(const gyr_model *model) {
    return tokenizer = __real_gyr_model_tokenizer(model);
}

const char *__wrap_gyr_model_template_source(const gyr_model *model) { return template_source; }

void __wrap_gyr_model_get_info(const gyr_model *model, gyr_model_info *info) {
    __real_gyr_model_get_info(model, info);
    info->context = CONTEXT;
    info->kv_bytes_per_token = 0;
    info->has_chat_template = true;
}

gyr_status __wrap_gyr_chat_tokens(const gyr_model *model, const char *variables, bool generate, gyr_tokens *out,
                                  gyr_error *e) {
    gyr_template *t = gyr_template_parse("stand-in", template_source, sizeof template_source - 1, e);
    size_t size = 0;
    char *text = t ? gyr_template_render(t, variables, strlen(variables), &size, e) : NULL;
    gyr_status status = text ? gyr_tokenize(__real_gyr_model_tokenizer(model), text, size, 0, out, e) : e->status;
    gyr_free(text);
    gyr_template_close(t);
    return status;
}

// ------------------------------------------------------------------------------------------------ answers

gyr_answer *__wrap_gyr_answer_new(gyr_session *session, const int32_t *prompt, size_t count,
                                  const gyr_generate_options *options, gyr_error *e);
void __wrap_gyr_answer_free(gyr_answer *a);
gyr_status __wrap_gyr_answers_step(gyr_answer *const *answers, size_t n, size_t prompt_tokens, gyr_error *e);
void __wrap_gyr_answer_set_aside(gyr_answer *a);
bool __wrap_gyr_answer_done(const gyr_answer *a);
void __wrap_gyr_answer_get_stats(const gyr_answer *a, gyr_generate_stats *stats);
char *__wrap_gyr_answer_receipt(const gyr_answer *a, const gyr_receipt_options *o, gyr_error *e);

gyr_answer *__wrap_gyr_answer_new(gyr_session *session, const int32_t *prompt, size_t count,
                                  const gyr_generate_options *options, gyr_error *e) {
    struct gyr_answer *a = calloc(1, sizeof *a);
    if (!a) return NULL;
    *a = (struct gyr_answer){.session = session, .prompt = count, .tokenizer = tokenizer, .how = *options};
    if (choose(a, prompt, count, e)) return a;
    free(a);
    return NULL;
}

void __wrap_gyr_answer_free(gyr_answer *a) {
    if (a) gyr_free(a->say.ids);
    free(a);
}

// The bytes of a text that are whole characters.
static size_t whole(const char *s, size_t n) {
    size_t last = n;
    while (last > 0 && ((unsigned char)s[last - 1] & 0xC0) == 0x80) last--;
    if (!last) return n;
    unsigned char lead = (unsigned char)s[last - 1];
    size_t size = lead < 0xC0 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    return last - 1 + size > n ? last - 1 : n;
}

static bool tell(struct gyr_answer *a, const char *bytes, size_t size) {
    char text[512];
    memcpy(text, a->held, a->held_size);
    if (size > sizeof text - sizeof a->held) size = sizeof text - sizeof a->held;
    memcpy(text + a->held_size, bytes, size);
    size += a->held_size;
    size_t sure = whole(text, size);
    a->held_size = size - sure;
    memcpy(a->held, text + sure, a->held_size);
    return !sure || a->how.piece(a->how.user, text, sure);
}

static void step(struct gyr_answer *a, gyr_error *e) {
    if (a->at >= a->say.count && !a->endless) {
        a->stop = GYR_STOP_END;
        return;
    }
    int32_t id = a->say.ids[a->at++ % a->say.count];
    size_t size = 0;
    char *bytes = gyr_detokenize(a->tokenizer, &id, 1, true, &size, e);
    gyr_token token = {.id = id, .logprob = -1, .bytes = bytes ? bytes : "", .size = size, .top_ids = &id};
    token.top_logprobs = &token.logprob;
    token.top_count = a->how.logprobs > 1;
    bool on = a->how.token(a->how.user, &token) && tell(a, token.bytes, size);
    gyr_free(bytes);
    if (!on)
        a->stop = GYR_STOP_CALLER;
    else if (a->how.max_tokens && a->at == a->how.max_tokens)
        a->stop = GYR_STOP_LENGTH;
}

gyr_status __wrap_gyr_answers_step(gyr_answer *const *answers, size_t n, size_t prompt_tokens, gyr_error *e) {
    for (size_t i = 0; i < n; i++)
        if (!answers[i]->stop) step(answers[i], e);
    if (pace) nanosleep(&(struct timespec){pace / 1000, pace % 1000 * 1000000L}, NULL);
    return GYR_OK;
}

void __wrap_gyr_answer_set_aside(gyr_answer *a) {}

bool __wrap_gyr_answer_done(const gyr_answer *a) { return a->stop; }

void __wrap_gyr_answer_get_stats(const gyr_answer *a, gyr_generate_stats *stats) {
    *stats = (gyr_generate_stats){.prompt_tokens = a->prompt, .answer_tokens = a->at, .stop = a->stop};
}

// What nothing computed has no receipt.
char *__wrap_gyr_answer_receipt(const gyr_answer *a, const gyr_receipt_options *o, gyr_error *e) {
    static const gyr_error none = {GYR_UNSUPPORTED, "receipt: this answer is out of a script"};
    *e = none;
    return NULL;
}
