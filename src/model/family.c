#include "model/family.h"
#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Falcon (Almazrouei et al., "The Falcon Series of Open Language Models", 2023). The GGUF names are those of
// llama.cpp's converter, which calls the norm in front of the 40B's MLP attn_norm and the one in front of its attention
// attn_norm_2.
static const struct key_names falcon_keys[HYPER_COUNT] = {
    [HYPER_LAYERS] = {"block_count", {"num_hidden_layers", "n_layer"}},
    [HYPER_HIDDEN] = {"embedding_length", {"hidden_size"}},
    [HYPER_HEADS] = {"attention.head_count", {"num_attention_heads", "n_head"}},
    [HYPER_KV_HEADS] = {"attention.head_count_kv", {"num_kv_heads", "n_head_kv"}},
    [HYPER_FEED_FORWARD] = {"feed_forward_length", {"ffn_hidden_size"}},
    [HYPER_CONTEXT] = {"context_length", {"max_position_embeddings"}},
    [HYPER_NORM_EPS] = {"attention.layer_norm_epsilon", {"layer_norm_epsilon"}},
    [HYPER_ROPE_BASE] = {"rope.freq_base", {"rope_parameters.rope_theta", "rope_theta"}},
    [HYPER_ALIBI_MAX] = {"attention.max_alibi_bias", {0}},
};

static const struct expectation falcon_expects[] = {
    {"activation", "gelu", "activation"},
    {"rope_parameters.rope_type", "default", "rope scaling"},
    {"rope_scaling.rope_type", "default", "rope scaling"},
    {"rope_scaling.type", "default", "rope scaling"},
    {"falcon.rope.scaling.type", "none", "rope scaling"}, // GGUF's
    {0},
};

// clang-format off
#define FALCON_GGUF                                                                                                    \
    [ROLE_EMBEDDING] = "token_embd.weight",                                                                            \
    [ROLE_FINAL_NORM] = "output_norm.weight", [ROLE_FINAL_NORM_BIAS] = "output_norm.bias",                             \
    [ROLE_OUTPUT] = "output.weight",                                                                                   \
    [ROLE_QKV] = "blk.%u.attn_qkv.weight", [ROLE_QKV_BIAS] = "blk.%u.attn_qkv.bias",                                   \
    [ROLE_ATTN_OUT] = "blk.%u.attn_output.weight", [ROLE_ATTN_OUT_BIAS] = "blk.%u.attn_output.bias",                   \
    [ROLE_UP] = "blk.%u.ffn_up.weight", [ROLE_UP_BIAS] = "blk.%u.ffn_up.bias",                                         \
    [ROLE_DOWN] = "blk.%u.ffn_down.weight", [ROLE_DOWN_BIAS] = "blk.%u.ffn_down.bias"

#define FALCON_HF                                                                                                      \
    [ROLE_EMBEDDING] = "transformer.word_embeddings.weight",                                                           \
    [ROLE_FINAL_NORM] = "transformer.ln_f.weight", [ROLE_FINAL_NORM_BIAS] = "transformer.ln_f.bias",                   \
    [ROLE_OUTPUT] = "lm_head.weight",                                                                                  \
    [ROLE_QKV] = "transformer.h.%u.self_attention.query_key_value.weight",                                             \
    [ROLE_QKV_BIAS] = "transformer.h.%u.self_attention.query_key_value.bias",                                          \
    [ROLE_ATTN_OUT] = "transformer.h.%u.self_attention.dense.weight",                                                  \
    [ROLE_ATTN_OUT_BIAS] = "transformer.h.%u.self_attention.dense.bias",                                               \
    [ROLE_UP] = "transformer.h.%u.mlp.dense_h_to_4h.weight",                                                           \
    [ROLE_UP_BIAS] = "transformer.h.%u.mlp.dense_h_to_4h.bias",                                                        \
    [ROLE_DOWN] = "transformer.h.%u.mlp.dense_4h_to_h.weight",                                                         \
    [ROLE_DOWN_BIAS] = "transformer.h.%u.mlp.dense_4h_to_h.bias"

static const char *const gguf_one_norm[ROLE_COUNT] = {
    FALCON_GGUF,
    [ROLE_ATTN_NORM] = "blk.%u.attn_norm.weight", [ROLE_ATTN_NORM_BIAS] = "blk.%u.attn_norm.bias",
};
static const char *const gguf_two_norms[ROLE_COUNT] = {
    FALCON_GGUF,
    [ROLE_ATTN_NORM] = "blk.%u.attn_norm_2.weight", [ROLE_ATTN_NORM_BIAS] = "blk.%u.attn_norm_2.bias",
    [ROLE_MLP_NORM] = "blk.%u.attn_norm.weight", [ROLE_MLP_NORM_BIAS] = "blk.%u.attn_norm.bias",
};
static const char *const gguf_serial[ROLE_COUNT] = {
    FALCON_GGUF,
    [ROLE_ATTN_NORM] = "blk.%u.attn_norm.weight", [ROLE_ATTN_NORM_BIAS] = "blk.%u.attn_norm.bias",
    [ROLE_MLP_NORM] = "blk.%u.ffn_norm.weight", [ROLE_MLP_NORM_BIAS] = "blk.%u.ffn_norm.bias",
};
static const char *const hf_one_norm[ROLE_COUNT] = {
    FALCON_HF,
    [ROLE_ATTN_NORM] = "transformer.h.%u.input_layernorm.weight",
    [ROLE_ATTN_NORM_BIAS] = "transformer.h.%u.input_layernorm.bias",
};
static const char *const hf_two_norms[ROLE_COUNT] = {
    FALCON_HF,
    [ROLE_ATTN_NORM] = "transformer.h.%u.ln_attn.weight", [ROLE_ATTN_NORM_BIAS] = "transformer.h.%u.ln_attn.bias",
    [ROLE_MLP_NORM] = "transformer.h.%u.ln_mlp.weight", [ROLE_MLP_NORM_BIAS] = "transformer.h.%u.ln_mlp.bias",
};
static const char *const hf_serial[ROLE_COUNT] = {
    FALCON_HF,
    [ROLE_ATTN_NORM] = "transformer.h.%u.input_layernorm.weight",
    [ROLE_ATTN_NORM_BIAS] = "transformer.h.%u.input_layernorm.bias",
    [ROLE_MLP_NORM] = "transformer.h.%u.post_attention_layernorm.weight",
    [ROLE_MLP_NORM_BIAS] = "transformer.h.%u.post_attention_layernorm.bias",
};
// clang-format on

#define FALCON                                                                                                         \
    .architecture = "falcon", .norm = NORM_LAYER, .activation = ACT_GELU, .norm_biases = true, .hf_grouped = true,     \
    .keys = falcon_keys, .hf_expects = falcon_expects

static const struct family families[] = {
    {
        FALCON,
        .hf_types = {"falcon"},
        .kind = "Falcon-40B kind: grouped heads, parallel, two norms",
        .hf = {{"new_decoder_architecture", 1, 0}, {"alibi", 0, 0}, {"num_ln_in_parallel_attn", 2, 2}, {"bias", 0, 0}},
        .gguf_has = {"blk.0.attn_norm_2.weight"},
        .gguf_not = {"=falcon.attention.max_alibi_bias"},
        .residual = RESIDUAL_PARALLEL,
        .positions = POSITIONS_ROTARY,
        .hf_kv_heads = KV_HEADS_KEY,
        .mlp_norm = true,
        .gguf_names = gguf_two_norms,
        .hf_names = hf_two_norms,
    },
    {
        FALCON,
        .hf_types = {"RefinedWeb"}, // the 40B as first published, before the architecture had its name
        .kind = "Falcon-40B kind: grouped heads, parallel, two norms",
        .hf = {{"alibi", 0, 0}, {"parallel_attn", 1, 1}, {"bias", 0, 0}},
        .hf_only = true,
        .residual = RESIDUAL_PARALLEL,
        .positions = POSITIONS_ROTARY,
        .hf_kv_heads = KV_HEADS_KEY,
        .mlp_norm = true,
        .gguf_names = gguf_two_norms,
        .hf_names = hf_two_norms,
    },
    {
        FALCON,
        .hf_types = {"falcon"},
        .kind = "Falcon2-11B kind: grouped heads, parallel, one norm",
        .hf = {{"new_decoder_architecture", 1, 0}, {"alibi", 0, 0}, {"num_ln_in_parallel_attn", 1, 2}, {"bias", 0, 0}},
        .hf_only = true, // no GGUF file tells it from the 7B kind, and none has to
        .residual = RESIDUAL_PARALLEL,
        .positions = POSITIONS_ROTARY,
        .hf_kv_heads = KV_HEADS_KEY,
        .gguf_names = gguf_one_norm,
        .hf_names = hf_one_norm,
    },
    {
        FALCON,
        .hf_types = {"falcon", "RefinedWebModel"},
        .kind = "Falcon-7B kind: multi-query, parallel, one norm",
        .hf = {{"new_decoder_architecture", 0, 0},
               {"alibi", 0, 0},
               {"parallel_attn", 1, 1},
               {"multi_query", 1, 1},
               {"bias", 0, 0}},
        .gguf_not = {"blk.0.attn_norm_2.weight", "blk.0.ffn_norm.weight", "=falcon.attention.max_alibi_bias"},
        .residual = RESIDUAL_PARALLEL,
        .positions = POSITIONS_ROTARY,
        .hf_kv_heads = KV_HEADS_ONE,
        .gguf_names = gguf_one_norm,
        .hf_names = hf_one_norm,
    },
    {
        FALCON,
        .hf_types = {"falcon", "RefinedWebModel"},
        .kind = "Falcon-RW kind: ALiBi, serial, biases",
        .hf = {{"new_decoder_architecture", 0, 0},
               {"alibi", 1, 0},
               {"parallel_attn", 0, 1},
               {"multi_query", 0, 1},
               {"bias", 1, 0}},
        .gguf_has = {"=falcon.attention.max_alibi_bias"},
        .residual = RESIDUAL_SERIAL,
        .positions = POSITIONS_ALIBI,
        .hf_kv_heads = KV_HEADS_ALL,
        .biases = true,
        .mlp_norm = true,
        .alibi_bf16 = true,
        .gguf_names = gguf_serial,
        .hf_names = hf_serial,
    },
};

enum { FAMILIES = sizeof families / sizeof *families };

const struct family *family_row(size_t i) { return i < FAMILIES ? &families[i] : NULL; }

static bool named(const struct family *f, const struct checkpoint *c) {
    if (c->source == CHECKPOINT_GGUF) return !f->hf_only && !strcmp(c->architecture, f->architecture);
    for (int i = 0; i < 4 && f->hf_types[i]; i++)
        if (!strcmp(c->architecture, f->hf_types[i])) return true;
    return false;
}

static bool holds(const struct condition *when, const struct checkpoint *c) {
    const struct value *v = checkpoint_value(c, when->key);
    if (!v || v->kind == VALUE_NONE) return when->missing == when->equals;
    if (v->kind == VALUE_BOOL) return v->b == when->equals;
    return v->kind == VALUE_UINT && v->u == (uint64_t)when->equals;
}

static bool present(const char *what, const struct checkpoint *c) {
    return *what == '=' ? checkpoint_value(c, what + 1) != NULL : checkpoint_tensor(c, what) != NULL;
}

static bool covers(const struct family *f, const struct checkpoint *c) {
    if (!named(f, c)) return false;
    if (c->source == CHECKPOINT_HF) {
        for (const struct condition *when = f->hf; when->key; when++)
            if (!holds(when, c)) return false;
        return true;
    }
    for (int i = 0; i < 3 && f->gguf_has[i]; i++)
        if (!present(f->gguf_has[i], c)) return false;
    for (int i = 0; i < 3 && f->gguf_not[i]; i++)
        if (present(f->gguf_not[i], c)) return false;
    return true;
}

static void list_known(struct buf *b) {
    const char *last = "";
    for (size_t i = 0; i < FAMILIES; i++) {
        if (strcmp(families[i].architecture, last)) buf_printf(b, "%s%s", *last ? ", " : "", families[i].architecture);
        last = families[i].architecture;
    }
}

const struct family *family_find(const struct checkpoint *c, gyr_error *e) {
    bool known = false;
    for (size_t i = 0; i < FAMILIES; i++) {
        if (covers(&families[i], c)) return &families[i];
        known |= named(&families[i], c);
    }
    if (known)
        return fail_null(e, GYR_UNSUPPORTED,
                         "%s: architecture '%.40s' in a combination of traits that gyr does not know", c->path,
                         c->architecture);
    struct buf b = {0};
    list_known(&b);
    fail(e, GYR_UNSUPPORTED, "%s: architecture '%.40s' is not one gyr knows; it knows: %s", c->path, c->architecture,
         b.data ? b.data : "");
    buf_free(&b);
    return NULL;
}

// The first of a hyperparameter's keys that the file has; NULL if it has none of them.
static const char *key_of(const struct family *f, const struct checkpoint *c, enum hyper h, char room[128]) {
    const struct key_names *k = &f->keys[h];
    if (c->source == CHECKPOINT_GGUF) {
        snprintf(room, 128, "%s.%s", f->architecture, k->gguf);
        return checkpoint_value(c, room) ? room : NULL;
    }
    for (int i = 0; i < 3 && k->hf[i]; i++) {
        const struct value *v = checkpoint_value(c, k->hf[i]);
        if (v && v->kind != VALUE_NONE) return k->hf[i];
    }
    return NULL;
}

static const char *first_name(const struct family *f, const struct checkpoint *c, enum hyper h, char room[128]) {
    if (c->source == CHECKPOINT_HF) return f->keys[h].hf[0];
    snprintf(room, 128, "%s.%s", f->architecture, f->keys[h].gguf);
    return room;
}

// Reads an integer in [1, max]. A missing key gives `missing`, or GYR_MALFORMED if that is 0.
static bool get_uint(const struct family *f, const struct checkpoint *c, enum hyper h, uint32_t max, uint32_t missing,
                     uint32_t *out, gyr_error *e) {
    char room[128];
    const char *key = key_of(f, c, h, room);
    if (!key && !missing)
        return fail(e, GYR_MALFORMED, "%s: key '%s' is missing; convert the model again", c->path,
                    first_name(f, c, h, room));
    uint64_t v = missing;
    if (key && !checkpoint_uint(c, key, 1, max, &v, e)) return false;
    *out = (uint32_t)v;
    return true;
}

static bool get_float(const struct family *f, const struct checkpoint *c, enum hyper h, double missing, double *out,
                      gyr_error *e) {
    char room[128];
    const char *key = key_of(f, c, h, room);
    *out = missing;
    if (!key) return true;
    if (!checkpoint_float(c, key, out, e)) return false;
    if (*out > 0 && *out < 1e12) return true;
    return fail(e, GYR_MALFORMED, "%s: key '%s' is %g; it must be positive", c->path, key, *out);
}

static bool read_heads(const struct family *f, const struct checkpoint *c, struct hyperparameters *h, gyr_error *e) {
    if (!get_uint(f, c, HYPER_HEADS, 1u << 16, 0, &h->heads, e)) return false;
    h->kv_heads = h->heads;
    if (c->source == CHECKPOINT_HF && f->hf_kv_heads == KV_HEADS_ONE)
        h->kv_heads = 1;
    else if (c->source == CHECKPOINT_GGUF || f->hf_kv_heads == KV_HEADS_KEY)
        if (!get_uint(f, c, HYPER_KV_HEADS, 1u << 16, h->heads, &h->kv_heads, e)) return false;
    if (h->hidden % h->heads || h->heads % h->kv_heads)
        return fail(e, GYR_MALFORMED,
                    "%s: %u heads with %u key/value heads do not divide a hidden size of %u; convert the model again",
                    c->path, h->heads, h->kv_heads, h->hidden);
    h->head_dim = h->hidden / h->heads;
    if (f->positions == POSITIONS_ROTARY && h->head_dim % 2)
        return fail(e, GYR_MALFORMED, "%s: a head of %u cannot be rotated in pairs; convert the model again", c->path,
                    h->head_dim);
    return true;
}

static bool as_expected(const struct family *f, const struct checkpoint *c, gyr_error *e) {
    for (const struct expectation *x = f->hf_expects; x->key; x++) {
        const struct value *v = checkpoint_value(c, x->key);
        if (!v || v->kind == VALUE_NONE) continue;
        struct text s = {0};
        if (!checkpoint_string(c, x->key, &s, e)) return false;
        if (s.size != strlen(x->value) || memcmp(s.data, x->value, s.size))
            return fail(e, GYR_UNSUPPORTED, "%s: %s '%.*s' is not supported yet", c->path, x->what,
                        (int)(s.size > 40 ? 40 : s.size), s.data);
    }
    return true;
}

bool family_hyperparameters(const struct family *f, const struct checkpoint *c, struct hyperparameters *h,
                            gyr_error *e) {
    *h = (struct hyperparameters){0};
    double eps;
    if (!get_uint(f, c, HYPER_LAYERS, 4096, 0, &h->layers, e) ||
        !get_uint(f, c, HYPER_HIDDEN, 1u << 20, 0, &h->hidden, e) || !read_heads(f, c, h, e) ||
        !get_uint(f, c, HYPER_FEED_FORWARD, 1u << 24, 4 * h->hidden, &h->feed_forward, e) ||
        !get_uint(f, c, HYPER_CONTEXT, 1u << 28, 2048, &h->context, e) ||
        !get_float(f, c, HYPER_NORM_EPS, 1e-5, &eps, e) || !get_float(f, c, HYPER_ROPE_BASE, 10000, &h->rope_base, e) ||
        !get_float(f, c, HYPER_ALIBI_MAX, 8, &h->alibi_max, e))
        return false;
    h->norm_eps = (float)eps;
    if (h->alibi_max > 64 || h->alibi_max != (double)(int)h->alibi_max)
        return fail(e, GYR_UNSUPPORTED, "%s: an ALiBi maximum of %g; gyr knows whole ones up to 64", c->path,
                    h->alibi_max);
    return as_expected(f, c, e);
}

const struct tensor *family_tensor(const struct family *f, const struct checkpoint *c, enum role role, uint32_t layer,
                                   char name[128]) {
    const char *const *names = c->source == CHECKPOINT_GGUF ? f->gguf_names : f->hf_names;
    *name = 0;
    if (!names[role]) return NULL;
    const char *hole = strstr(names[role], "%u");
    if (hole)
        snprintf(name, 128, "%.*s%u%s", (int)(hole - names[role]), names[role], layer, hole + 2);
    else
        snprintf(name, 128, "%s", names[role]);
    return checkpoint_tensor(c, name);
}
