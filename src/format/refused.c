// What a file says of a model that gyr would have to do, and does not.
#include "format/hf_class.h"
#include "format/packed.h"
#include "format/parts.h"

#include <stdio.h>
#include <string.h>

// Keys of GGUF behind the architecture that change what is computed, and the one value of each that gyr computes.
static const struct {
    const char *key;
    double is;
} gguf_keys[] = {
    {"attention.clamp_kqv", 0},
    {"attention.group_norm_groups", 0},
    {"attention.relative_buckets_count", 0},
    {"attention.output_scale", 0},
    {"router_logit_softcapping", 0},
    {"rope.scaling.alpha", 0},
    {"rope.scaling.yarn_ext_factor", 1},
    {"rope.scaling.yarn_attn_factor", 1},
    {"expert_group_scale", 0},
    {"experts_per_group", 0},
    {"swin_norm", 0},
    {"wkv.head_size", 0},
    {"convnext.block_count", 0},
    {"altup.num_inputs", 0},
    {"activation_sparsity_scale", 0},
    {"swiglu_clamp_exp", 0},
    {"swiglu_clamp_shexp", 0},
    {"moe_latent_size", 0},
    {"n_deepstack_layers", 0},
    {"token_shift_count", 0},
};

static bool is_number(const struct value *v, double x) {
    switch (v->kind) {
    case VALUE_UINT: return (double)v->u == x;
    case VALUE_INT: return (double)v->i == x;
    case VALUE_FLOAT: return v->f == x;
    case VALUE_BOOL: return v->b == x;
    default: return false;
    }
}

// A number for each layer must be the same in all.
static bool are_number(const struct value *v, double x) {
    if (v->kind != VALUE_ARRAY) return is_number(v, x);
    bool ok = true;
    for (size_t i = 0; ok && i < v->array.n; i++) {
        struct value one = value_at(v, i);
        ok = is_number(&one, x);
    }
    return ok;
}

static bool check_gguf(const struct checkpoint *c, gyr_error *e) {
    char key[128];
    for (size_t i = 0; i < sizeof gguf_keys / sizeof *gguf_keys; i++) {
        snprintf(key, sizeof key, "%.60s.%s", c->architecture, gguf_keys[i].key);
        const struct value *v = keys_get(c->keys, key);
        if (v && !are_number(v, gguf_keys[i].is))
            return fail(e, GYR_UNSUPPORTED,
                        "%s: key %s changes what the model computes, and gyr computes it for %g alone; take another "
                        "model",
                        c->path, key, gguf_keys[i].is);
    }
    return true;
}

static bool same(const struct value *a, const struct value *b) {
    if (a->kind != b->kind) return false;
    switch (a->kind) {
    case VALUE_UINT: return a->u == b->u;
    case VALUE_FLOAT: return a->f == b->f;
    case VALUE_BOOL: return a->b == b->b;
    case VALUE_STRING: return a->s.size == b->s.size && !memcmp(a->s.data, b->s.data, a->s.size);
    default: return a->kind == VALUE_NONE;
    }
}

static bool allowed(const struct value *v, const struct hf_word *w) {
    static const struct value none;
    for (size_t i = 0; i < hf_word_values(w); i++) {
        struct value one = hf_word_value(w, i);
        if (same(v ? v : &none, &one)) return true;
    }
    return false;
}

static bool check_list(const struct checkpoint *c, const char *list, gyr_error *e) {
    struct hf_word w;
    while (hf_word_next(&list, &w)) {
        char name[128];
        hf_word_name(&w, name);
        if (w.kind == HF_MUST && !allowed(keys_get(c->settled, name), &w))
            return fail(e, GYR_UNSUPPORTED,
                        "%s: key '%s' of config.json changes what the model computes, and gyr computes it for %.*s "
                        "alone; take another model",
                        c->path, name, (int)strcspn(w.value, " |"), w.value);
    }
    return true;
}

// Weights that are not numbers but codes of some method. gyr reads gpt-oss's, and those of packed.h.
static bool check_quantization(const struct checkpoint *c, gyr_error *e) {
    static const char *const homes[] = {"quantization_config.", "text_config.quantization_config.",
                                        "compression_config.", "text_config.compression_config."};
    static const struct {
        const char *key, *method;
    } signs[] = {{"quant_method", NULL},
                 {"load_in_4bit", "bitsandbytes"},
                 {"load_in_8bit", "bitsandbytes"},
                 {"format", "compressed-tensors"},
                 {"fmt", "fp8"},
                 {"bits", "GPTQ"}};
    for (size_t i = 0; i < sizeof homes / sizeof *homes; i++)
        for (size_t k = 0; k < sizeof signs / sizeof *signs; k++) {
            char key[96];
            snprintf(key, sizeof key, "%s%s", homes[i], signs[k].key);
            const struct value *v = keys_get(c->keys, key);
            if (!v || v->kind == VALUE_NONE || (v->kind == VALUE_BOOL && !v->b)) continue;
            bool named = !signs[k].method && v->kind == VALUE_STRING;
            struct text method = named ? v->s : (struct text){signs[k].method, 0};
            if (!named) method.size = method.data ? strlen(method.data) : 0;
            if (method.size == 5 && !memcmp(method.data, "mxfp4", 5)) return true;
            if (named && packed_reads(method)) return packed_check(c, e);
            return fail(e, GYR_UNSUPPORTED,
                        "%s: its weights are quantized by %.*s, which gyr does not read; take the model unquantized, "
                        "or as GGUF",
                        c->path, shown(method), method.data ? method.data : "");
        }
    return true;
}

bool checkpoint_check(const struct checkpoint *c, gyr_error *e) {
    if (c->source == CHECKPOINT_GGUF) return check_gguf(c, e);
    const struct hf_class *class = c->settled ? hf_class_of(c->architecture) : NULL;
    return check_quantization(c, e) && (!class || (check_list(c, class->keys, e) && check_list(c, hf_common_keys, e)));
}
