// What a Hugging Face folder says about answers: which tokens end them, and how its maker samples.
#include "format/hf_vocab.h"

#include <math.h>
#include <string.h>

static bool add_end(struct vocab *v, uint64_t id, const char *where, const char *file) {
    if (id < v->n) return vocab_add_end(v, (int32_t)id);
    return vocab_note(v, "%s: eos_token_id %llu of %s is none of its %zu tokens; it is left out", where,
                      (unsigned long long)id, file, v->n);
}

static bool ends_of_config(const struct keys *keys, const char *key, struct vocab *v, const char *where) {
    const struct value *value = keys_get(keys, key);
    bool ok = true;
    for (size_t i = 0; ok && value && i < (value->kind == VALUE_ARRAY ? value->array.n : 1); i++) {
        struct value item = value_at(value, i);
        if (item.kind == VALUE_UINT) ok = add_end(v, item.u, where, "config.json");
    }
    return ok;
}

static bool ends_of_generation(const json_t *j, struct vocab *v, const char *where) {
    bool ok = true;
    size_t n = json_is_array(j) ? json_array_size(j) : 1;
    for (size_t i = 0; ok && i < n; i++) {
        const json_t *id = json_is_array(j) ? json_array_get(j, i) : j;
        if (json_is_integer(id) && json_integer_value(id) >= 0)
            ok = add_end(v, (uint64_t)json_integer_value(id), where, "generation_config.json");
    }
    return ok;
}

static bool read_ends(const json_t *generation, const struct keys *keys, struct vocab *v, const char *where) {
    const json_t *j = json_object_get(generation, "eos_token_id");
    if (!ends_of_generation(j, v, where) || !ends_of_config(keys, "eos_token_id", v, where) ||
        !ends_of_config(keys, "text_config.eos_token_id", v, where))
        return false;
    // The one that ends a text is what the tokenizer says; where it says nothing, the first of the lists.
    if (v->eos < 0 && v->n_ends) v->eos = v->ends[0];
    for (size_t i = 0; i < v->n_ends && v->eot < 0; i++)
        if (v->ends[i] != v->eos) v->eot = v->ends[i];
    return true;
}

static void advise(const json_t *generation, const char *name, double least, double most, double *out) {
    double f;
    if (json_real_of(json_object_get(generation, name), &f) && f >= least && f <= most) *out = f;
}

// Nothing is sampled where "do_sample" says so.
static void read_advice(const json_t *generation, struct sampling_advice *a) {
    advise(generation, "temperature", 0, 1e6, &a->temperature);
    advise(generation, "top_p", 0, 1, &a->top_p);
    advise(generation, "min_p", 0, 1, &a->min_p);
    advise(generation, "top_k", 0, INT32_MAX, &a->top_k);
    advise(generation, "repetition_penalty", 0, 1e6, &a->penalty_repeat);
    if (json_is_false(json_object_get(generation, "do_sample"))) a->temperature = 0;
}

bool hf_generation(const json_t *generation, const struct keys *keys, struct vocab *v, struct sampling_advice *advice,
                   const char *where, gyr_error *e) {
    read_advice(generation, advice);
    return read_ends(generation, keys, v, where) || fail_memory(e, where);
}
