#include "server/ask.h"

#include "server/models.h"
#include "server/secret.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_STOPS = 16, MAX_STOP_BYTES = 1024, MAX_BIASES = 1024, MAX_STOP_IDS = 64 };

// Without the character U+0000: a text that has it would end there for some of those who read it.
json_t *ask_body(const struct exchange *x, struct fault *f) {
    json_error_t error;
    json_t *body = json_loadb(x->body, x->body_size, JSON_REJECT_DUPLICATES, &error);
    if (!body && json_error_code(&error) == json_error_null_character) {
        refuse(f, 400, NULL, "body: has the character \\u0000 (line %d, column %d); leave it out", error.line,
               error.column);
    } else if (!body) {
        refuse(f, 400, NULL, "body: not JSON: %s (line %d, column %d)", error.text, error.line, error.column);
    } else if (!json_is_object(body)) {
        json_decref(body);
        body = NULL;
        refuse(f, 400, NULL, "body: not a JSON object");
    }
    return body;
}

static bool add_stop(struct job *j, const json_t *text, const char *name, struct fault *f) {
    size_t size = json_string_length(text);
    if (!json_is_string(text) || !size || size > MAX_STOP_BYTES || memchr(json_string_value(text), 0, size))
        return refuse(f, 400, name, "%s: takes strings of 1 to %d bytes, without NUL", name, MAX_STOP_BYTES);
    if (j->stop_count == MAX_STOPS) return refuse(f, 400, name, "%s: at most %d strings", name, MAX_STOPS);
    if (!j->stop && !(j->stop = calloc(MAX_STOPS, sizeof *j->stop))) return refuse(f, 503, NULL, "out of memory");
    j->stop[j->stop_count] = strdup(json_string_value(text));
    return j->stop[j->stop_count] ? j->stop_count++, true : refuse(f, 503, NULL, "out of memory");
}

bool ask_stop(struct ask *a, const json_t *value, const char *name, struct fault *f) {
    size_t i;
    json_t *item;
    if (!json_is_array(value)) return add_stop(a->job, value, name, f);
    json_array_foreach(value, i, item) if (!add_stop(a->job, item, name, f)) return false;
    return true;
}

static bool read_stop_ids(struct ask *a, const json_t *value, const char *name, struct fault *f) {
    size_t i, n = json_array_size(value);
    uint32_t vocab = served_info(a->job->model)->vocab;
    json_t *item;
    if (!json_is_array(value) || n > MAX_STOP_IDS)
        return refuse(f, 400, name, "%s: takes a list of at most %d token ids", name, MAX_STOP_IDS);
    a->job->stop_ids = calloc(n + 1, sizeof *a->job->stop_ids);
    if (!a->job->stop_ids) return refuse(f, 503, NULL, "out of memory");
    json_array_foreach(value, i, item) {
        json_int_t id = json_integer_value(item);
        if (!json_is_integer(item) || id < 0 || id >= vocab)
            return refuse(f, 400, name, "%s: token ids are 0 to %u", name, vocab - 1);
        a->job->stop_ids[a->job->stop_id_count++] = (int32_t)id;
    }
    return true;
}

static bool read_bias(struct ask *a, const json_t *value, const char *name, struct fault *f) {
    size_t n = json_object_size(value);
    uint32_t vocab = served_info(a->job->model)->vocab;
    const char *key;
    json_t *item;
    struct job *j = a->job;
    if (!json_is_object(value) || n > MAX_BIASES)
        return refuse(f, 400, name, "%s: takes an object of at most %d token ids and what to add", name, MAX_BIASES);
    j->bias_ids = calloc(n + 1, sizeof *j->bias_ids);
    j->bias_values = calloc(n + 1, sizeof *j->bias_values);
    if (!j->bias_ids || !j->bias_values) return refuse(f, 503, NULL, "out of memory");
    size_t at = 0;
    json_object_foreach((json_t *)value, key, item) {
        char *end;
        long id = strtol(key, &end, 10);
        double by = json_number_value(item);
        if (!*key || *end || id < 0 || (unsigned long)id >= vocab || !json_is_number(item) || !(fabs(by) <= 100))
            return refuse(f, 400, name, "%s: '%.32s': takes token ids below %u and numbers from -100 to 100", name, key,
                          vocab);
        j->bias_ids[at] = (int32_t)id;
        j->bias_values[at++] = (float)by;
    }
    j->sampling.bias_ids = j->bias_ids;
    j->sampling.bias_values = j->bias_values;
    j->sampling.bias_count = at;
    return true;
}

static bool read_seed(struct ask *a, const json_t *value, const char *name, struct fault *f) {
    if (!json_is_integer(value)) return refuse(f, 400, name, "%s: takes a whole number", name);
    a->job->sampling.seed = (uint64_t)json_integer_value(value);
    return true;
}

static bool read_salt(struct ask *a, const json_t *value, const char *name, struct fault *f) {
    if (!json_is_string(value)) return refuse(f, 400, name, "%s: takes a string", name);
    unsigned char hash[SECRET_HASH];
    if (!secret_hash(json_string_value(value), json_string_length(value), hash))
        return refuse(f, 503, NULL, "out of memory; try again later");
    memcpy(&a->job->salt, hash, sizeof a->job->salt);
    return true;
}

static bool read_stream_options(struct ask *a, const json_t *value, const char *name, struct fault *f) {
    const char *key;
    json_t *item;
    if (!json_is_object(value)) return refuse(f, 400, name, "%s: takes an object", name);
    json_object_foreach((json_t *)value, key, item) {
        bool known = !strcmp(key, "include_usage") || !strcmp(key, "continuous_usage_stats") ||
                     !strcmp(key, "include_obfuscation");
        if (!known || !json_is_boolean(item))
            return refuse(f, 400, name, "%s.%.40s: unknown, or no boolean", name, key);
    }
    a->usage = json_is_true(json_object_get(value, "include_usage"));
    a->usage_each = a->usage && json_is_true(json_object_get(value, "continuous_usage_stats"));
    return true;
}

static const struct field common[] = {
    {"model", FIELD_READ},
    {"stream", FIELD_BOOL, IN_ASK(stream)},
    {"stream_options", FIELD_OF, .read = read_stream_options},
    {"temperature", FIELD_REAL, IN_SAMPLING(temperature), 0, 100},
    {"top_p", FIELD_REAL, IN_SAMPLING(top_p), 0, 1},
    {"min_p", FIELD_REAL, IN_SAMPLING(min_p), 0, 1},
    {"top_k", FIELD_WHOLE, IN_ASK(top_k), -1, 1e9},
    {"repetition_penalty", FIELD_REAL, IN_SAMPLING(repetition_penalty), 0.01, 100},
    {"repeat_penalty", FIELD_REAL, IN_SAMPLING(repetition_penalty), 0.01, 100},
    {"presence_penalty", FIELD_REAL, IN_SAMPLING(presence_penalty), -100, 100},
    {"frequency_penalty", FIELD_REAL, IN_SAMPLING(frequency_penalty), -100, 100},
    {"logit_bias", FIELD_OF, .read = read_bias},
    {"seed", FIELD_OF, .read = read_seed},
    {"stop", FIELD_OF, .read = ask_stop},
    {"stop_token_ids", FIELD_OF, .read = read_stop_ids},
    {"ignore_eos", FIELD_BOOL, IN_JOB(ignore_end)},
    {"max_tokens", FIELD_WHOLE, IN_JOB(max_tokens), 1, 1e9},
    {"min_tokens", FIELD_WHOLE, IN_JOB(min_tokens), 0, 1e9},
    {"n", FIELD_WHOLE, IN_ASK(n), 1, 64},
    {"priority", FIELD_WHOLE, IN_ASK(priority), 0, 1000},
    {"cache_salt", FIELD_OF, .read = read_salt},
    {"user", FIELD_IGNORED},
    {"metadata", FIELD_IGNORED},
    {"safety_identifier", FIELD_IGNORED},
    {"prompt_cache_key", FIELD_IGNORED},
    {"prompt_cache_retention", FIELD_IGNORED},
    {"prompt_cache_options", FIELD_IGNORED},
    {"service_tier", FIELD_IGNORED},
};

static const struct field *find(const char *name, const struct field *table, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!strcmp(table[i].name, name)) return &table[i];
    return NULL;
}

static bool is_nothing(const json_t *v) {
    return json_is_null(v) || json_is_false(v) || (json_is_number(v) && json_number_value(v) == 0) ||
           (json_is_string(v) && !json_string_length(v)) || (json_is_array(v) && !json_array_size(v)) ||
           (json_is_object(v) && !json_object_size(v));
}

static bool read_field(struct ask *a, const struct field *t, const json_t *v, struct fault *f) {
    char *at = (t->in == IN_SAMPLING ? (char *)&a->job->sampling
                : t->in == IN_JOB    ? (char *)a->job
                                     : (char *)a) +
               t->offset;
    double x = json_number_value(v);
    switch (t->kind) {
    case FIELD_BOOL:
        if (!json_is_boolean(v)) return refuse(f, 400, t->name, "%s: takes true or false", t->name);
        *(bool *)(void *)at = json_is_true(v);
        return true;
    case FIELD_WHOLE:
        if (!json_is_number(v) || x != floor(x) || !(x >= t->min && x <= t->max))
            return refuse(f, 400, t->name, "%s: takes whole numbers from %.0f to %.0f", t->name, t->min, t->max);
        *(size_t *)(void *)at = x < 0 ? 0 : (size_t)x;
        return true;
    case FIELD_REAL:
        if (!json_is_number(v) || !(x >= t->min && x <= t->max))
            return refuse(f, 400, t->name, "%s: takes numbers from %g to %g", t->name, t->min, t->max);
        *(float *)(void *)at = (float)x;
        return true;
    case FIELD_NULL: return is_nothing(v) || refuse(f, 400, t->name, "%s: not supported here", t->name);
    case FIELD_OF: return t->read(a, v, t->name, f);
    default: return true;
    }
}

bool ask_members(struct ask *a, const json_t *object, const struct field *own, size_t n, struct fault *f) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value) {
        const struct field *t = find(key, own, n);
        if (!t) t = find(key, common, sizeof common / sizeof *common);
        if (!t) return refuse_as(f, 400, "unknown_parameter", key, "unknown parameter: '%.60s'", key);
        if (!json_is_null(value) && !read_field(a, t, value, f)) return false;
    }
    return true;
}

void ask_settle(struct ask *a) {
    a->job->sampling.top_k = (uint32_t)a->top_k;
    a->job->n = a->job->open = a->job->each = (unsigned)a->n;
    a->job->priority = (int)a->priority;
}

bool ask_fields(struct ask *a, const struct field *own, size_t n, struct fault *f) {
    gyr_sampling_defaults(served_model(a->job->model), &a->job->sampling);
    a->n = 1;
    a->top_k = a->job->sampling.top_k;
    if (!ask_members(a, a->body, own, n, f)) return false;
    ask_settle(a);
    return true;
}

bool ask_metadata(const json_t *metadata, struct fault *f) {
    enum { PAIRS = 16, KEY = 64, VALUE = 512 };
    const char *key;
    json_t *value;
    if (!metadata || json_is_null(metadata)) return true;
    bool good = json_is_object(metadata) && json_object_size(metadata) <= PAIRS;
    json_object_foreach((json_t *)(uintptr_t)metadata, key, value) good =
        good && strlen(key) <= KEY && json_is_string(value) && json_string_length(value) <= VALUE;
    return good || refuse(f, 400, "metadata",
                          "metadata: takes an object of at most %d texts of at most %d bytes, with keys of at most %d",
                          PAIRS, VALUE, KEY);
}

struct speller ask_speller(const struct ask *a) {
    return (struct speller){a->spellings, a->owner, a->job->salt, job_model(a->job)};
}

bool ask_prompt(struct ask *a, gyr_tokens *tokens, struct fault *f) {
    struct job *j = a->job;
    j->prompt = tokens->ids;
    j->count = tokens->count;
    *tokens = (gyr_tokens){0};
    if (!j->count) return refuse(f, 400, "prompt", "the prompt is empty; write something to answer");
    if (j->count >= a->context)
        return refuse_as(f, 400, "context_length_exceeded", "messages",
                         "the prompt is too long: it has %zu tokens, and this model's maximum context length is %zu "
                         "tokens", // clients look for these words
                         j->count, a->context);
    return true;
}

bool ask_content(const json_t *content, const char *joint, char **text, struct fault *f) {
    size_t i;
    json_t *part;
    struct buf all = {0};
    *text = NULL;
    if (!content || json_is_null(content)) return true;
    if (json_is_string(content)) buf_append(&all, json_string_value(content), json_string_length(content));
    if (!json_is_string(content) && !json_is_array(content))
        return refuse(f, 400, "messages", "content: takes a string or a list of parts");
    json_array_foreach(content, i, part) {
        const char *type = json_string_value(json_object_get(part, "type"));
        const json_t *said = json_object_get(part, "text");
        if (!said) said = json_object_get(part, "refusal");
        if (!json_is_string(said) ||
            (type && (strstr(type, "image") || strstr(type, "audio") || strstr(type, "file")))) {
            buf_free(&all);
            return refuse(f, 400, "messages", "content: a part of type '%.40s': only text is understood",
                          type ? type : "none");
        }
        if (i) buf_puts(&all, joint);
        buf_append(&all, json_string_value(said), json_string_length(said));
    }
    *text = buf_take(&all);
    return *text || refuse(f, 503, NULL, "out of memory");
}
