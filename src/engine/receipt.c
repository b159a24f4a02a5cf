// Writing the receipt of an answer.
#include "engine/receipt.h"
#include "base/utf8.h"
#include "engine/adapter.h"
#include "engine/answer.h"
#include "text/grammar.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const struct receipt_word receipt_stops[] = {{"end", GYR_STOP_END},       {"string", GYR_STOP_STRING},
                                             {"length", GYR_STOP_LENGTH}, {"cancelled", GYR_STOP_CALLER},
                                             {"mask", GYR_STOP_MASK},     {0}};
const struct receipt_word receipt_kv_types[] = {{"f32", GYR_KV_F32}, {"f16", GYR_KV_F16}, {"q8", GYR_KV_Q8}, {0}};
const struct receipt_word receipt_grammars[] = {{"json", GYR_GRAMMAR_JSON},
                                                {"json_schema", GYR_GRAMMAR_JSON_SCHEMA},
                                                {"regex", GYR_GRAMMAR_REGEX},
                                                {"ebnf", GYR_GRAMMAR_EBNF},
                                                {0}};

const char *receipt_name(const struct receipt_word *words, int number) {
    for (; words->name; words++)
        if (words->number == number) return words->name;
    return NULL;
}

static json_t *list_ids(const int32_t *ids, size_t n) {
    json_t *list = json_array();
    for (size_t i = 0; list && i < n; i++)
        if (json_array_append_new(list, json_integer(ids[i]))) {
            json_decref(list);
            return NULL;
        }
    return list;
}

// JSON has no infinities, which biases may be.
static json_t *number(float x) { return isinf(x) ? json_string(x > 0 ? "inf" : "-inf") : json_real((double)x); }

static json_t *list_biases(const gyr_sampling *s) {
    json_t *list = json_array();
    for (size_t i = 0; list && i < s->bias_count; i++)
        if (json_array_append_new(list, json_pack("[i,o]", s->bias_ids[i], number(s->bias_values[i])))) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static json_t *sampling(const gyr_sampling *s) {
    char seed[24]; // a string: many programs read numbers as doubles
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)s->seed);
    return json_pack("{s:f,s:I,s:f,s:f,s:f,s:f,s:f,s:I,s:o,s:s}", "temperature", (double)s->temperature, "top_k",
                     (json_int_t)s->top_k, "top_p", (double)s->top_p, "min_p", (double)s->min_p, "repetition_penalty",
                     (double)s->repetition_penalty, "presence_penalty", (double)s->presence_penalty,
                     "frequency_penalty", (double)s->frequency_penalty, "penalty_window", (json_int_t)s->penalty_window,
                     "bias", list_biases(s), "seed", seed);
}

static json_t *stop_strings(const gyr_generate_options *o) {
    json_t *list = json_array();
    for (size_t i = 0; list && i < o->stop_count; i++)
        if (json_array_append_new(list, json_string(o->stop[i]))) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static json_t *name_model(gyr_model *m, const gyr_receipt_options *o, const char *checksum) {
    const char *name = o && o->name ? o->name : m->name;
    json_t *model = json_pack("{s:s,s:s}", "name", utf8_valid(name, strlen(name)) ? name : "", "checksum", checksum);
    if (model && o && o->path && utf8_valid(o->path, strlen(o->path)))
        json_object_set_new(model, "path", json_string(o->path));
    return model;
}

static json_t *name_adapter(const struct gyr_adapter *a, const gyr_receipt_options *o) {
    json_t *all = json_pack("{s:s}", "checksum", a->checksum);
    if (all && o && o->path && utf8_valid(a->path, strlen(a->path)))
        json_object_set_new(all, "path", json_string(a->path));
    return all;
}

static json_t *grammar_of(const gyr_receipt_options *o) {
    struct text text;
    int kind = (int)grammar_source((const struct grammar *)o->grammar, &text);
    return json_pack("{s:s,s:s%,s:I}", "kind", receipt_name(receipt_grammars, kind), "text", text.data, text.size,
                     "from", (json_int_t)o->grammar_from);
}

static int kv_type(const struct gyr_session *s) {
    enum type type = kv_type_of(s->model, s->kv_type);
    return type == TYPE_F32 ? GYR_KV_F32 : type == TYPE_F16 ? GYR_KV_F16 : GYR_KV_Q8;
}

static json_t *receipt_of(const gyr_answer *a, const gyr_receipt_options *o, const char *checksum) {
    const struct gyr_session *s = a->s;
    size_t n = a->stats.answer_tokens;
    json_t *all =
        json_pack("{s:i,s:s,s:I,s:o,s:s,s:I,s:o,s:I,s:I,s:b,s:o,s:o,s:o,s:o,s:s}", "receipt", RECEIPT_FORMAT, "gyr",
                  gyr_version(), "edition", (json_int_t)gyr_edition(), "model", name_model(s->model, o, checksum),
                  "kv_type", receipt_name(receipt_kv_types, kv_type(s)), "context", (json_int_t)s->context, "sampling",
                  sampling(&a->sampling), "max_tokens", (json_int_t)a->o.max_tokens, "min_tokens",
                  (json_int_t)a->o.min_tokens, "ignore_end", a->o.ignore_end, "stop", stop_strings(&a->o), "stop_ids",
                  list_ids(a->o.stop_ids, a->o.stop_id_count), "prompt", list_ids(s->ids, a->first), "answer",
                  list_ids(s->ids + a->first, n), "stopped", receipt_name(receipt_stops, (int)a->stats.stop));
    bool ended = a->stats.stop == GYR_STOP_END && a->next >= 0;
    bool ok = all && (!ended || !json_object_set_new(all, "end", json_integer(a->next))) &&
              (!s->adapter || !json_object_set_new(all, "adapter", name_adapter(s->adapter, o))) &&
              (!o || !o->grammar || !json_object_set_new(all, "grammar", grammar_of(o)));
    if (ok) return all;
    json_decref(all);
    return NULL;
}

static bool check(const gyr_answer *a, const gyr_receipt_options *o, gyr_error *e) {
    const struct gyr_session *s = a->s;
    if (!CHECK_RESERVED(o, e)) return false;
    if (!a->stats.stop || a->fed < a->count)
        return fail(e, GYR_USAGE, "receipt: the answer is not done; step it until it is");
    if (s->length != a->first + a->stats.answer_tokens)
        return fail(e, GYR_USAGE, "receipt: the answer's session was changed; ask for the receipt before that");
    if (a->o.mask && (!o || !o->grammar))
        return fail(e, GYR_UNSUPPORTED, "receipt: the answer had a mask, and a receipt can only tell of a grammar");
    for (size_t i = 0; i < a->o.stop_count; i++)
        if (!utf8_valid(a->o.stop[i], strlen(a->o.stop[i])))
            return fail(e, GYR_UNSUPPORTED, "receipt: a stop string is not UTF-8");
    struct text grammar = {0};
    if (o && o->grammar) grammar_source((const struct grammar *)o->grammar, &grammar);
    return utf8_valid(grammar.data, grammar.size) || fail(e, GYR_UNSUPPORTED, "receipt: the grammar is not UTF-8");
}

_Static_assert((int)GYR_GRAMMAR_JSON == (int)GRAMMAR_JSON && (int)GYR_GRAMMAR_EBNF == (int)GRAMMAR_EBNF &&
                   (int)GYR_GRAMMAR_JSON_SCHEMA == (int)GRAMMAR_JSON_SCHEMA &&
                   (int)GYR_GRAMMAR_REGEX == (int)GRAMMAR_REGEX,
               "receipts have the same words for both");

char *gyr_answer_receipt(const gyr_answer *a, const gyr_receipt_options *o, gyr_error *e) {
    char checksum[65];
    if (!check(a, o, e) || gyr_model_checksum(a->s->model, checksum, e)) return NULL;
    json_t *all = receipt_of(a, o, checksum);
    char *text = all ? json_dumps(all, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(all);
    if (!text) fail_memory(e, "receipt");
    return text;
}
