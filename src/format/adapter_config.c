// PEFT's adapter_config.json (LoraConfig of huggingface/peft): what of it changes what an adapter computes is read, or
// is refused by its name.
#define PCRE2_CODE_UNIT_WIDTH 8
#include "format/adapter_parts.h"

#include <math.h>
#include <pcre2.h>
#include <string.h>

// Keys that say how the adapter was trained or what it is for, and that change nothing of what it computes; the tensors
// say which modules it is for.
static const char *const harmless[] = {"auto_mapping",      "base_model_name_or_path",
                                       "corda_config",      "ensure_weight_tying",
                                       "eva_config",        "exclude_modules",
                                       "fan_in_fan_out",    "inference_mode",
                                       "layers_pattern",    "layers_to_transform",
                                       "loftq_config",      "lora_dropout",
                                       "lora_ga_config",    "megatron_config",
                                       "megatron_core",     "peft_version",
                                       "qalora_group_size", "revision",
                                       "runtime_config",    "target_modules",
                                       "task_type"};

// Keys that are read.
static const char *const read_keys[] = {"peft_type",     "r",    "lora_alpha",       "use_rslora", "rank_pattern",
                                        "alpha_pattern", "bias", "init_lora_weights"};

#define COUNT(list) (sizeof(list) / sizeof *(list))

static bool listed(const char *key, const char *const *list, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!strcmp(key, list[i])) return true;
    return false;
}

// What a key has that asks for nothing.
static bool is_nothing(const json_t *v) {
    return json_is_null(v) || json_is_false(v) || (json_is_array(v) && !json_array_size(v)) ||
           (json_is_object(v) && !json_object_size(v));
}

static bool check_keys(const json_t *root, const char *where, gyr_error *e) {
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)root, key, v) {
        if (listed(key, harmless, COUNT(harmless)) || listed(key, read_keys, COUNT(read_keys)) || is_nothing(v))
            continue;
        return fail(e, GYR_UNSUPPORTED,
                    "%s: key '%.60s' asks for something that gyr does not have; it reads plain LoRA and rsLoRA", where,
                    key);
    }
    return true;
}

// Ways to begin training that take the adapter's beginning off the model's own weights, which gyr has as they were.
static bool check_beginning(const json_t *v, const char *where, gyr_error *e) {
    static const char *const plain[] = {"gaussian", "eva", "orthogonal"};
    const char *word = json_c_string(v);
    if (!v || json_is_boolean(v) || (word && listed(word, plain, COUNT(plain)))) return true;
    return fail(e, GYR_UNSUPPORTED,
                "%s: init_lora_weights '%.40s' is for a model whose weights were changed with it; save the adapter as "
                "plain LoRA (path_initial_model_for_weight_conversion of PEFT)",
                where, word ? word : "");
}

static bool check_words(const json_t *root, const char *where, gyr_error *e) {
    const char *type = json_c_string(json_object_get(root, "peft_type")),
               *bias = json_c_string(json_object_get(root, "bias"));
    if (!type) return fail(e, GYR_MALFORMED, "%s: has no peft_type; get the adapter again", where);
    if (strcmp(type, "LORA"))
        return fail(e, GYR_UNSUPPORTED, "%s: peft_type '%.40s'; gyr reads LORA alone", where, type);
    if (bias && strcmp(bias, "none"))
        return fail(e, GYR_UNSUPPORTED, "%s: bias '%.40s': gyr adapts no biases", where, bias);
    return check_beginning(json_object_get(root, "init_lora_weights"), where, e);
}

// ------------------------------------------------------------------------------------------------ patterns

static bool pattern_fails(const char *key, const char *where, gyr_error *e) {
    return fail(e, GYR_UNSUPPORTED, "%s: pattern '%.80s' cannot be matched; write modules' names", where, key);
}

static bool matches(const char *key, const char *module, bool *out, const char *where, gyr_error *e) {
    struct buf b = {0};
    int code;
    PCRE2_SIZE at;
    buf_printf(&b, "(?:.*\\.)?(?:%s)$", key);
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    if (context) pcre2_set_parens_nest_limit(context, 32);
    pcre2_code *re =
        b.failed || !context
            ? NULL
            : pcre2_compile((PCRE2_SPTR)b.data, b.size, PCRE2_ANCHORED | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C,
                            &code, &at, context);
    pcre2_match_data *data = re ? pcre2_match_data_create(1, NULL) : NULL;
    pcre2_match_context *limits = data ? pcre2_match_context_create(NULL) : NULL;
    bool ok = limits;
    if (ok) {
        pcre2_set_match_limit(limits, 100000);
        pcre2_set_depth_limit(limits, 1000);
        pcre2_set_heap_limit(limits, 1024);
        int n = pcre2_match(re, (PCRE2_SPTR)module, strlen(module), 0, 0, data, limits);
        *out = n >= 0;
        ok = n >= 0 || n == PCRE2_ERROR_NOMATCH;
    }
    pcre2_match_context_free(limits);
    pcre2_match_data_free(data);
    pcre2_code_free(re);
    pcre2_compile_context_free(context);
    buf_free(&b);
    return ok || pattern_fails(key, where, e);
}

bool peft_pattern(const json_t *patterns, const char *module, const json_t **out, const char *where, gyr_error *e) {
    const char *key;
    json_t *v;
    bool is = false;
    *out = NULL;
    json_object_foreach((json_t *)(uintptr_t)patterns, key, v) {
        if (strlen(key) > 1000) return pattern_fails(key, where, e);
        if (!matches(key, module, &is, where, e)) return false;
        if (!is) continue;
        *out = v;
        return true;
    }
    return true;
}

// -------------------------------------------------------------------------------------------------- scales

static bool number(const json_t *root, const char *key, double least, double *out, const char *where, gyr_error *e) {
    const json_t *v = json_object_get(root, key);
    if (json_is_number(v) && json_number_value(v) >= least && json_number_value(v) < 1e9) {
        *out = json_number_value(v);
        return true;
    }
    return fail(e, GYR_MALFORMED, "%s: has no number as %s; get the adapter again", where, key);
}

// What a pattern says in place of the usual number.
static bool patterned(const json_t *patterns, const char *key, const char *module, double *out, const char *where,
                      gyr_error *e) {
    const json_t *v;
    if (patterns && !json_is_object(patterns) && !json_is_null(patterns))
        return fail(e, GYR_MALFORMED, "%s: %s is not an object; get the adapter again", where, key);
    if (!peft_pattern(patterns, module, &v, where, e)) return false;
    if (!v) return true;
    if (!json_is_number(v) || !(fabs(json_number_value(v)) < 1e9))
        return fail(e, GYR_MALFORMED, "%s: %s has something else than numbers; get the adapter again", where, key);
    *out = json_number_value(v);
    return true;
}

bool peft_config(struct adapter_file *f, const json_t *root, const char *where, gyr_error *e) {
    double usual_rank = 0, usual_alpha = 0;
    bool root_scaled = json_is_true(json_object_get(root, "use_rslora"));
    if (!check_words(root, where, e) || !check_keys(root, where, e) || !number(root, "r", 1, &usual_rank, where, e) ||
        !number(root, "lora_alpha", -1e9, &usual_alpha, where, e))
        return false;
    for (size_t i = 0; i < f->n; i++) {
        struct adapter_pair *p = &f->pairs[i];
        double rank = usual_rank, alpha = usual_alpha;
        char module[512];
        size_t n = strlen(p->name) - strlen(".weight");
        if (n >= sizeof module)
            return fail(e, GYR_MALFORMED, "%s: a module's name has %zu bytes; get the adapter again", where, n);
        memcpy(module, p->name, n);
        module[n] = 0;
        if (!patterned(json_object_get(root, "rank_pattern"), "rank_pattern", module, &rank, where, e) ||
            !patterned(json_object_get(root, "alpha_pattern"), "alpha_pattern", module, &alpha, where, e))
            return false;
        if (rank != (double)p->rank)
            return fail(e, GYR_MALFORMED, "%s: says rank %g of %.100s, whose tensors have %u; get the adapter again",
                        where, rank, module, p->rank);
        p->scale = alpha / (root_scaled ? sqrt(rank) : rank);
    }
    return true;
}
