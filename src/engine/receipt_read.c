// Reading a receipt, which anybody may have written.
#include "engine/receipt.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_STOPS = 1024 };

static bool bad(gyr_error *e, const char *name, const char *what) {
    return fail(e, GYR_MALFORMED, "receipt: \"%s\" %s", name, what);
}

static bool whole(const json_t *v, uint64_t most, uint64_t *out) {
    json_int_t n = json_integer_value(v);
    if (!json_is_integer(v) || n < 0 || (uint64_t)n > most) return false;
    *out = (uint64_t)n;
    return true;
}

// A list of token ids, [n], with room for one more.
static bool read_ids(const json_t *list, const char *name, int32_t **out, size_t *n, gyr_error *e) {
    size_t i;
    json_t *item;
    uint64_t id = 0;
    if (!json_is_array(list)) return bad(e, name, "is not a list of token ids");
    int32_t *more = realloc(*out, (*n + json_array_size(list) + 1) * sizeof *more);
    if (!more) return fail_memory(e, "receipt");
    *out = more;
    json_array_foreach(list, i, item) {
        if (!whole(item, INT32_MAX, &id)) return bad(e, name, "is not a list of token ids");
        more[(*n)++] = (int32_t)id;
    }
    return true;
}

static bool read_word(const json_t *v, const char *name, const struct receipt_word *words, int *out, gyr_error *e) {
    const char *said = json_c_string(v);
    for (; said && words->name; words++)
        if (!strcmp(words->name, said)) {
            *out = words->number;
            return true;
        }
    return bad(e, name, "is not one of the words that a receipt has there");
}

// --------------------------------------------------------------------------------------------- its members

static bool read_format(struct receipt *r, const json_t *v, const char *name, gyr_error *e) {
    uint64_t format = 0;
    (void)r;
    if (!whole(v, INT32_MAX, &format)) return bad(e, name, "is not a format's number");
    return format == RECEIPT_FORMAT || fail(e, GYR_UNSUPPORTED, "receipt: of format %llu; this version reads %d",
                                            (unsigned long long)format, RECEIPT_FORMAT);
}

static bool read_version(struct receipt *r, const json_t *v, const char *name, gyr_error *e) {
    (void)r;
    return json_c_string(v) || bad(e, name, "is not a version");
}

static bool read_model(struct receipt *r, const json_t *v, const char *name, gyr_error *e) {
    const char *key;
    json_t *item;
    if (!json_is_object(v)) return bad(e, name, "is not an object");
    json_object_foreach((json_t *)v, key, item) {
        bool known = !strcmp(key, "name") || !strcmp(key, "path") || !strcmp(key, "checksum");
        if (!known || !json_c_string(item)) return bad(e, name, "has something else than name, path and checksum");
    }
    r->checksum = json_text(json_object_get(v, "checksum"));
    r->model = json_text(json_object_get(v, "name"));
    if (r->checksum.size != 64 || strspn(r->checksum.data, "0123456789abcdef") != 64)
        return bad(e, name, "has no checksum of 64 digits");
    return true;
}

static bool is_checksum(struct text t) { return t.size == 64 && strspn(t.data, "0123456789abcdef") == 64; }

static bool read_adapter(struct receipt *r, const json_t *v, const char *name, gyr_error *e) {
    const char *key;
    json_t *item;
    if (!json_is_object(v)) return bad(e, name, "is not an object");
    json_object_foreach((json_t *)v, key, item) {
        bool known = !strcmp(key, "path") || !strcmp(key, "checksum");
        if (!known || !json_c_string(item)) return bad(e, name, "has something else than path and checksum");
    }
    r->adapter = json_text(json_object_get(v, "checksum"));
    return is_checksum(r->adapter) || bad(e, name, "has no checksum of 64 digits");
}

static bool read_biases(struct receipt *r, const json_t *list, gyr_error *e) {
    size_t i, n = json_array_size(list);
    json_t *item;
    r->bias_ids = malloc((n + 1) * sizeof *r->bias_ids);
    r->bias_values = malloc((n + 1) * sizeof *r->bias_values);
    if (!r->bias_ids || !r->bias_values) return fail_memory(e, "receipt");
    json_array_foreach(list, i, item) {
        uint64_t id = 0;
        double by = 0;
        const json_t *value = json_array_get(item, 1);
        bool inf = json_is(value, "inf") || json_is(value, "-inf");
        if (inf) by = json_is(value, "inf") ? INFINITY : -INFINITY;
        if (json_array_size(item) != 2 || !whole(json_array_get(item, 0), INT32_MAX, &id) ||
            (!inf && !json_real_of(value, &by)))
            return bad(e, "bias", "is not a list of [token id, number]");
        r->bias_ids[i] = (int32_t)id;
        r->bias_values[i] = (float)by;
    }
    r->sampling.bias_ids = r->bias_ids;
    r->sampling.bias_values = r->bias_values;
    r->sampling.bias_count = n;
    return true;
}

static bool read_seed(struct receipt *r, const json_t *v, gyr_error *e) {
    const char *digits = json_c_string(v);
    uint64_t seed = 0;
    bool ok = digits && *digits;
    for (; ok && *digits; digits++)
        ok = *digits >= '0' && *digits <= '9' && !__builtin_mul_overflow(seed, 10, &seed) &&
             !__builtin_add_overflow(seed, (uint64_t)(*digits - '0'), &seed);
    r->sampling.seed = seed;
    return ok || bad(e, "seed", "is not a whole number below 2^64, written as a string");
}

static bool read_sampling(struct receipt *r, const json_t *v, const char *name, gyr_error *e) {
    static const struct {
        const char *name;
        size_t offset;
        bool whole;
    } members[] = {{"temperature", offsetof(gyr_sampling, temperature), false},
                   {"top_k", offsetof(gyr_sampling, top_k), true},
                   {"top_p", offsetof(gyr_sampling, top_p), false},
                   {"min_p", offsetof(gyr_sampling, min_p), false},
                   {"repetition_penalty", offsetof(gyr_sampling, repetition_penalty), false},
                   {"presence_penalty", offsetof(gyr_sampling, presence_penalty), false},
                   {"frequency_penalty", offsetof(gyr_sampling, frequency_penalty), false},
                   {"penalty_window", offsetof(gyr_sampling, penalty_window), true}};
    enum { MEMBERS = sizeof members / sizeof *members };
    if (json_object_size(v) != MEMBERS + 2) return bad(e, name, "has not the members that sampling has");
    for (size_t i = 0; i < MEMBERS; i++) {
        const json_t *value = json_object_get(v, members[i].name);
        void *at = (char *)&r->sampling + members[i].offset;
        uint64_t n = 0;
        double x = 0;
        bool ok = members[i].whole ? whole(value, UINT32_MAX, &n) : value && json_real_of(value, &x);
        if (!ok) return bad(e, members[i].name, "is not a number that sampling can have there");
        if (members[i].whole)
            *(uint32_t *)at = (uint32_t)n;
        else
            *(float *)at = (float)x;
    }
    if (!json_is_array(json_object_get(v, "bias"))) return bad(e, "bias", "is not a list of [token id, number]");
    return read_biases(r, json_object_get(v, "bias"), e) && read_seed(r, json_object_get(v, "seed"), e);
}

static bool read_ignore(struct receipt *r, const json_t *v, const char *name, gyr_error *e) {
    r->ignore_end = json_is_true(v);
    return json_is_boolean(v) || bad(e, name, "is neither true nor false");
}

static bool read_stops(struct receipt *r, const json_t *v, const char *name, gyr_error *e) {
    size_t i, n = json_array_size(v);
    json_t *item;
    if (!json_is_array(v) || n > MAX_STOPS) return bad(e, name, "is not a list of some strings");
    if (!(r->stop_strings = malloc((n + 1) * sizeof *r->stop_strings))) return fail_memory(e, "receipt");
    json_array_foreach(v, i, item) {
        if (!(r->stop_strings[i] = json_c_string(item))) return bad(e, name, "is not a list of some strings");
        r->stop_count++;
    }
    return true;
}

static bool read_stop_ids(struct receipt *r, const json_t *v, const char *name, gyr_error *e) {
    return read_ids(v, name, &r->stop_ids, &r->stop_id_count, e);
}

static bool read_prompt(struct receipt *r, const json_t *v, const char *name, gyr_error *e) {
    if (!read_ids(v, name, &r->ids, &r->prompt, e)) return false;
    return r->prompt || bad(e, name, "is empty");
}

// Behind the prompt, which was read before.
static bool read_answer(struct receipt *r, const json_t *v, const char *name, gyr_error *e) {
    size_t n = r->prompt;
    bool ok = read_ids(v, name, &r->ids, &n, e);
    r->answer = n - r->prompt;
    return ok;
}

static bool read_end(struct receipt *r, const json_t *v, const char *name, gyr_error *e) {
    uint64_t id = 0;
    if (!whole(v, INT32_MAX, &id)) return bad(e, name, "is not a token id");
    r->end = (int32_t)id;
    return true;
}

static bool read_stopped(struct receipt *r, const json_t *v, const char *name, gyr_error *e) {
    return read_word(v, name, receipt_stops, &r->stop, e);
}

static bool read_kv(struct receipt *r, const json_t *v, const char *name, gyr_error *e) {
    return read_word(v, name, receipt_kv_types, &r->kv_type, e);
}

static bool read_grammar(struct receipt *r, const json_t *v, const char *name, gyr_error *e) {
    const json_t *text = json_object_get(v, "text");
    if (json_object_size(v) != 3 || !json_is_string(text) || json_strange(text) ||
        !whole(json_object_get(v, "from"), UINT32_MAX, &r->grammar_from))
        return bad(e, name, "has something else than kind, text and from");
    r->grammar = json_text(text);
    return read_word(json_object_get(v, "kind"), "kind", receipt_grammars, &r->grammar_kind, e);
}

// ---------------------------------------------------------------------------------------------------- whole

// In the order in which they are read.
static const struct member {
    const char *name;
    bool (*read)(struct receipt *r, const json_t *v, const char *name, gyr_error *e); // NULL: a whole number,
    size_t offset;                                                                    // which goes here
    bool optional;
} members[] = {{"receipt", read_format, 0, false},
               {"gyr", read_version, 0, false},
               {"edition", NULL, offsetof(struct receipt, edition), false},
               {"model", read_model, 0, false},
               {"adapter", read_adapter, 0, true},
               {"kv_type", read_kv, 0, false},
               {"context", NULL, offsetof(struct receipt, context), false},
               {"sampling", read_sampling, 0, false},
               {"max_tokens", NULL, offsetof(struct receipt, max_tokens), false},
               {"min_tokens", NULL, offsetof(struct receipt, min_tokens), false},
               {"ignore_end", read_ignore, 0, false},
               {"stop", read_stops, 0, false},
               {"stop_ids", read_stop_ids, 0, false},
               {"grammar", read_grammar, 0, true},
               {"prompt", read_prompt, 0, false},
               {"answer", read_answer, 0, false},
               {"end", read_end, 0, true},
               {"stopped", read_stopped, 0, false}};
enum { MEMBERS = sizeof members / sizeof *members };

static bool read_member(struct receipt *r, const struct member *m, const json_t *v, gyr_error *e) {
    if (!v) return m->optional || bad(e, m->name, "is missing");
    if (m->read) return m->read(r, v, m->name, e);
    return whole(v, INT64_MAX, (uint64_t *)(void *)((char *)r + m->offset)) || bad(e, m->name, "is not a whole number");
}

// A member that this version does not know may have changed the answer.
static bool check_names(const json_t *all, gyr_error *e) {
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)all, key, v) {
        bool known = false;
        for (size_t i = 0; i < MEMBERS; i++) known |= !strcmp(members[i].name, key);
        if (!known) return fail(e, GYR_MALFORMED, "receipt: \"%.40s\" is nothing that a receipt has", key);
    }
    return true;
}

bool receipt_read(struct receipt *r, const char *json, size_t size, gyr_error *e) {
    *r = (struct receipt){.end = -1};
    if (size > RECEIPT_BYTES) return fail(e, GYR_MALFORMED, "receipt: more than %zu MiB", RECEIPT_BYTES >> 20);
    if (!(r->json = json_parse(json, size, JSON_REJECT_DUPLICATES, "receipt", e))) return false;
    for (size_t i = 0; i < MEMBERS; i++)
        if (!read_member(r, &members[i], json_object_get(r->json, members[i].name), e)) return false;
    if (!check_names(r->json, e)) return false;
    if (r->end >= 0 && r->stop != GYR_STOP_END) return bad(e, "end", "is there, and something else ended the answer");
    return true;
}

void receipt_free(struct receipt *r) {
    free(r->bias_ids);
    free(r->bias_values);
    free(r->ids);
    free(r->stop_ids);
    free(r->stop_strings);
    json_decref(r->json);
}
