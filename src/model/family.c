#include "base/buf.h"
#include "model/families.h"

#include <stdio.h>
#include <string.h>

// The usual names: those of llama.cpp, and those of Llama in transformers. Rows say where theirs differ.
static const struct rename usual[ROLE_COUNT] = {
    [ROLE_EMBEDDING] = {0, "token_embd.weight", "model.embed_tokens.weight"},
    [ROLE_POSITIONS] = {0, "position_embd.weight", NULL},
    [ROLE_TYPES] = {0, "token_types.weight", NULL},
    [ROLE_EMBED_NORM] = {0, "token_embd_norm.weight", NULL},
    [ROLE_FINAL_NORM] = {0, "output_norm.weight", "model.norm.weight"},
    [ROLE_OUTPUT] = {0, "output.weight", "lm_head.weight"},
    [ROLE_ROPE_FACTORS] = {0, "rope_freqs.weight", NULL},
    [ROLE_ROPE_SHORT] = {0, "rope_factors_short.weight", NULL},
    [ROLE_ROPE_LONG] = {0, "rope_factors_long.weight", NULL},
    [ROLE_INPUT_TABLE] = {0, "per_layer_token_embd.weight", "model.embed_tokens_per_layer.weight"},
    [ROLE_INPUT_PROJECT] = {0, "per_layer_model_proj.weight", "model.per_layer_model_projection.weight"},
    [ROLE_INPUT_NORM] = {0, "per_layer_proj_norm.weight", "model.per_layer_projection_norm.weight"},
    [ROLE_INPUT_GATE] = {0, "blk.%u.inp_gate.weight", "model.layers.%u.per_layer_input_gate.weight"},
    [ROLE_INPUT_OUT] = {0, "blk.%u.proj.weight", "model.layers.%u.per_layer_projection.weight"},
    [ROLE_INPUT_POST_NORM] = {0, "blk.%u.post_norm.weight", "model.layers.%u.post_per_layer_input_norm.weight"},
    [ROLE_ATTN_NORM] = {0, "blk.%u.attn_norm.weight", "model.layers.%u.input_layernorm.weight"},
    [ROLE_ATTN_POST_NORM] = {0, "blk.%u.post_attention_norm.weight", NULL},
    [ROLE_MLP_NORM] = {0, "blk.%u.ffn_norm.weight", "model.layers.%u.post_attention_layernorm.weight"},
    [ROLE_MLP_POST_NORM] = {0, "blk.%u.post_ffw_norm.weight", NULL},
    [ROLE_LAYER_SCALE] = {0, "blk.%u.layer_output_scale.weight", "model.layers.%u.layer_scalar"},
    [ROLE_QKV] = {0, "blk.%u.attn_qkv.weight", NULL},
    [ROLE_Q] = {0, "blk.%u.attn_q.weight", "model.layers.%u.self_attn.q_proj.weight"},
    [ROLE_K] = {0, "blk.%u.attn_k.weight", "model.layers.%u.self_attn.k_proj.weight"},
    [ROLE_V] = {0, "blk.%u.attn_v.weight", "model.layers.%u.self_attn.v_proj.weight"},
    [ROLE_Q_NORM] = {0, "blk.%u.attn_q_norm.weight", "model.layers.%u.self_attn.q_norm.weight"},
    [ROLE_K_NORM] = {0, "blk.%u.attn_k_norm.weight", "model.layers.%u.self_attn.k_norm.weight"},
    [ROLE_Q_A] = {0, "blk.%u.attn_q_a.weight", "model.layers.%u.self_attn.q_a_proj.weight"},
    [ROLE_Q_A_NORM] = {0, "blk.%u.attn_q_a_norm.weight", "model.layers.%u.self_attn.q_a_layernorm.weight"},
    [ROLE_KV_A] = {0, "blk.%u.attn_kv_a_mqa.weight", "model.layers.%u.self_attn.kv_a_proj_with_mqa.weight"},
    [ROLE_KV_A_NORM] = {0, "blk.%u.attn_kv_a_norm.weight", "model.layers.%u.self_attn.kv_a_layernorm.weight"},
    [ROLE_KV_B] = {0, "blk.%u.attn_kv_b.weight", "model.layers.%u.self_attn.kv_b_proj.weight"},
    [ROLE_K_B] = {0, "blk.%u.attn_k_b.weight", NULL},
    [ROLE_V_B] = {0, "blk.%u.attn_v_b.weight", NULL},
    [ROLE_INDEX_Q] = {0, "blk.%u.indexer.attn_q_b.weight", "model.layers.%u.self_attn.indexer.wq_b.weight"},
    [ROLE_INDEX_K] = {0, "blk.%u.indexer.attn_k.weight", "model.layers.%u.self_attn.indexer.wk.weight"},
    [ROLE_INDEX_NORM] = {0, "blk.%u.indexer.k_norm.weight", "model.layers.%u.self_attn.indexer.k_norm.weight"},
    [ROLE_INDEX_WEIGHT] = {0, "blk.%u.indexer.proj.weight", "model.layers.%u.self_attn.indexer.weights_proj.weight"},
    [ROLE_SINKS] = {0, "blk.%u.attn_sinks.weight", "model.layers.%u.self_attn.sinks"},
    [ROLE_ATTN_OUT] = {0, "blk.%u.attn_output.weight", "model.layers.%u.self_attn.o_proj.weight"},
    [ROLE_GATE] = {0, "blk.%u.ffn_gate.weight", "model.layers.%u.mlp.gate_proj.weight"},
    [ROLE_UP] = {0, "blk.%u.ffn_up.weight", "model.layers.%u.mlp.up_proj.weight"},
    [ROLE_DOWN] = {0, "blk.%u.ffn_down.weight", "model.layers.%u.mlp.down_proj.weight"},
    [ROLE_STATE_IN] = {0, "blk.%u.ssm_in.weight", "model.layers.%u.mamba.in_proj.weight"},
    [ROLE_STATE_CONV] = {0, "blk.%u.ssm_conv1d.weight", "model.layers.%u.mamba.conv1d.weight"},
    [ROLE_STATE_X] = {0, "blk.%u.ssm_x.weight", "model.layers.%u.mamba.x_proj.weight"},
    [ROLE_STATE_DT] = {0, "blk.%u.ssm_dt.weight", "model.layers.%u.mamba.dt"},
    [ROLE_STATE_A] = {0, "blk.%u.ssm_a", "model.layers.%u.mamba.A_log"},
    [ROLE_STATE_D] = {0, "blk.%u.ssm_d", "model.layers.%u.mamba.D"},
    [ROLE_STATE_NORM] = {0, "blk.%u.ssm_norm.weight", "model.layers.%u.mamba.norm.weight"},
    [ROLE_STATE_OUT] = {0, "blk.%u.ssm_out.weight", "model.layers.%u.mamba.out_proj.weight"},
    [ROLE_ROUTER] = {0, "blk.%u.ffn_gate_inp.weight", "model.layers.%u.mlp.gate.weight"},
    [ROLE_ROUTER_SHIFT] = {0, "blk.%u.exp_probs_b.bias", "model.layers.%u.mlp.gate.e_score_correction_bias"},
    [ROLE_ROUTER_NORM] = {0, "blk.%u.ffn_gate_inp.scale", "model.layers.%u.router.scale"},
    [ROLE_EXPERT_SCALE] = {0, "blk.%u.ffn_down_exps.scale", "model.layers.%u.router.per_expert_scale"},
    [ROLE_EXPERT_NORM] = {0, "blk.%u.pre_ffw_norm_2.weight", "model.layers.%u.pre_feedforward_layernorm_2.weight"},
    [ROLE_EXPERT_POST_NORM] = {0, "blk.%u.post_ffw_norm_2.weight",
                               "model.layers.%u.post_feedforward_layernorm_2.weight"},
    [ROLE_DENSE_POST_NORM] = {0, "blk.%u.post_ffw_norm_1.weight",
                              "model.layers.%u.post_feedforward_layernorm_1.weight"},
    [ROLE_EXPERT_GATE] = {0, "blk.%u.ffn_gate_exps.weight", "model.layers.%u.mlp.experts.%u.gate_proj.weight"},
    [ROLE_EXPERT_UP] = {0, "blk.%u.ffn_up_exps.weight", "model.layers.%u.mlp.experts.%u.up_proj.weight"},
    [ROLE_EXPERT_DOWN] = {0, "blk.%u.ffn_down_exps.weight", "model.layers.%u.mlp.experts.%u.down_proj.weight"},
    [ROLE_SHARED_GATE] = {0, "blk.%u.ffn_gate_shexp.weight", "model.layers.%u.mlp.shared_experts.gate_proj.weight"},
    [ROLE_SHARED_UP] = {0, "blk.%u.ffn_up_shexp.weight", "model.layers.%u.mlp.shared_experts.up_proj.weight"},
    [ROLE_SHARED_DOWN] = {0, "blk.%u.ffn_down_shexp.weight", "model.layers.%u.mlp.shared_experts.down_proj.weight"},
    [ROLE_SHARED_ROUTER] = {0, "blk.%u.ffn_gate_inp_shexp.weight", NULL},
};

const struct family *family_row(size_t i) {
    const struct {
        const struct family *rows;
        size_t n;
    } kin[] = {{falcon_rows, falcon_rows_n}, {llama_rows, llama_rows_n},   {gemma_rows, gemma_rows_n},
               {gpt_rows, gpt_rows_n},       {expert_rows, expert_rows_n}, {state_rows, state_rows_n},
               {bert_rows, bert_rows_n}};
    for (size_t k = 0; k < sizeof kin / sizeof *kin; i -= kin[k++].n)
        if (i < kin[k].n) return kin[k].rows + i;
    return NULL;
}

static bool named(const struct family *f, const struct checkpoint *c) {
    if (c->source == CHECKPOINT_GGUF) return !f->hf_only && !strcmp(c->architecture, f->architecture);
    for (int i = 0; i < 5 && f->hf_types[i]; i++)
        if (!strcmp(c->architecture, f->hf_types[i])) return true;
    return false;
}

const struct value *config_value(const struct checkpoint *c, const char *key) {
    const struct value *v = checkpoint_value(c, key);
    return v && v->kind != VALUE_NONE ? v : NULL;
}

static bool holds(const struct family *f, const struct condition *when, const struct checkpoint *c) {
    char key[128];
    snprintf(key, sizeof key, "%s.%s", f->architecture, when->key);
    const struct value *v = c->source == CHECKPOINT_HF ? config_value(c, when->key) : checkpoint_value(c, key);
    if (!v) return when->missing == when->equals;
    if (v->kind == VALUE_BOOL) return v->b == when->equals;
    return v->kind == VALUE_UINT && v->u == (uint64_t)when->equals;
}

static bool present(const char *what, const struct checkpoint *c) {
    return *what == '=' ? checkpoint_value(c, what + 1) != NULL : checkpoint_tensor(c, what) != NULL;
}

static bool covers(const struct family *f, const struct checkpoint *c) {
    if (!named(f, c)) return false;
    const struct condition *when = c->source == CHECKPOINT_HF ? f->hf : f->gguf;
    for (size_t i = 0; i < (c->source == CHECKPOINT_HF ? 6 : 2) && when[i].key; i++)
        if (!holds(f, &when[i], c)) return false;
    if (c->source == CHECKPOINT_HF) return true;
    for (int i = 0; i < 3 && f->gguf_has[i]; i++)
        if (!present(f->gguf_has[i], c)) return false;
    for (int i = 0; i < 3 && f->gguf_not[i]; i++)
        if (present(f->gguf_not[i], c)) return false;
    return true;
}

static void list_known(struct buf *b) {
    const char *last = "";
    const struct family *f;
    for (size_t i = 0; (f = family_row(i)); i++) {
        if (f->hf_only || !strcmp(f->architecture, last)) continue;
        buf_printf(b, "%s%s", *last ? ", " : "", f->architecture);
        last = f->architecture;
    }
}

const struct family *family_find(const struct checkpoint *c, gyr_error *e) {
    if (c->source == CHECKPOINT_GGUF && value_says(checkpoint_value(c, "general.type"), "adapter"))
        return fail_null(e, GYR_USAGE, "%s: is an adapter, not a model; give it with --adapter", c->path);
    bool known = false;
    const struct family *f;
    for (size_t i = 0; (f = family_row(i)); i++) {
        if (covers(f, c)) return checkpoint_check(c, e) ? f : NULL;
        known |= named(f, c);
    }
    if (known && !checkpoint_check(c, e)) return NULL;
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

static const char *pattern_of(const struct family *f, enum checkpoint_source source, enum role role) {
    bool gguf = source == CHECKPOINT_GGUF;
    const char *pattern = gguf ? usual[role].gguf : usual[role].hf;
    for (const struct rename *r = f->names; r && r->role; r++) {
        const char *other = gguf ? r->gguf : r->hf;
        if (r->role == role && other) pattern = other;
    }
    return pattern && *pattern ? pattern : NULL;
}

// A bias is called like its weight: "x.weight" and "x.bias", "x" and "x_bias".
static void make_bias(char name[128]) {
    static const char weight[] = ".weight";
    size_t n = strlen(name), stem = n - (sizeof weight - 1);
    bool dotted = n >= sizeof weight && !strcmp(name + stem, weight);
    if (!dotted) stem = n;
    snprintf(name + stem, 128 - stem, "%s", dotted ? ".bias" : "_bias");
}

// The first name of a pattern, "a|b|...", with its holes filled; returns the rest of the pattern, NULL if there is
// none.
static const char *fill(const char *pattern, struct place at, char name[128]) {
    const char *end = strchrnul(pattern, '|');
    uint32_t number = at.layer;
    size_t n = 0;
    for (const char *p = pattern; p < end && n < 100; p++) {
        if (p[0] != '%' || p[1] != 'u') {
            name[n++] = *p;
            continue;
        }
        n += (size_t)snprintf(name + n, 128 - n, "%u", number);
        number = at.index;
        p++;
    }
    name[n] = 0;
    if (at.part == PART_BIAS) make_bias(name);
    return *end ? end + 1 : NULL;
}

bool family_name(const struct family *f, enum checkpoint_source source, struct place at, char name[128]) {
    const char *pattern = pattern_of(f, source, at.role);
    *name = 0;
    if (pattern) fill(pattern, at, name);
    return pattern;
}

bool family_last_name(const struct family *f, enum checkpoint_source source, struct place at, char name[128]) {
    const char *pattern = pattern_of(f, source, at.role);
    *name = 0;
    for (const char *rest = pattern; rest;) rest = fill(rest, at, name);
    return pattern;
}

// Models that were saved without their head leave out the first word; those inside a larger one (that sees, or hears)
// have more in front.
static const struct tensor *find_hf(const struct checkpoint *c, const char *name) {
    static const char *const longer[] = {"language_model.", "model.language_model."};
    const char *dot = strchr(name, '.');
    const struct tensor *t = checkpoint_tensor(c, name);
    if (!t && dot) t = checkpoint_tensor(c, dot + 1);
    for (int i = 0; !t && dot && i < 2; i++) {
        char room[192];
        snprintf(room, sizeof room, "%s%s", longer[i], i ? dot + 1 : name);
        t = checkpoint_tensor(c, room);
    }
    return t;
}

// `*which` is where the pattern has the name that the file has, or its first name.
static const struct tensor *find(const struct family *f, const struct checkpoint *c, struct place at, char name[128],
                                 const char **which) {
    const char *pattern = pattern_of(f, c->source, at.role);
    const struct tensor *t = NULL;
    *which = pattern;
    *name = 0;
    for (const char *rest = pattern; rest && !t;) {
        const char *this = rest;
        rest = fill(rest, at, name);
        t = c->source == CHECKPOINT_HF ? find_hf(c, name) : checkpoint_tensor(c, name);
        if (t) *which = this;
    }
    return t;
}

// Of an embedding that is the output too, some who saved it kept the other name.
static bool embeds_by_output(const struct family *f, const struct checkpoint *c) {
    char name[128];
    const char *which;
    const struct value *tied = c->source == CHECKPOINT_HF ? config_value(c, "tie_word_embeddings") : NULL;
    return tied && tied->kind == VALUE_BOOL && tied->b && !find(f, c, (struct place){ROLE_EMBEDDING}, name, &which) &&
           find(f, c, (struct place){ROLE_OUTPUT}, name, &which);
}

const struct tensor *family_tensor(const struct family *f, const struct checkpoint *c, struct place at,
                                   char name[128]) {
    const char *which;
    const struct tensor *t = find(f, c, at, name, &which);
    if (at.part == PART_WEIGHT && (t ? at.role == ROLE_OUTPUT : at.role == ROLE_EMBEDDING) && embeds_by_output(f, c))
        return t ? NULL : find(f, c, (struct place){ROLE_OUTPUT}, name, &which);
    return t;
}

bool family_indexed(const struct family *f, const struct checkpoint *c, struct place at) {
    char name[128];
    const char *which;
    find(f, c, at, name, &which);
    const char *hole = which ? strstr(which, "%u") : NULL, *second = hole ? strstr(hole + 2, "%u") : NULL;
    return second && second < strchrnul(which, '|');
}

// A name with its parts that are numbers taken out: "blk.%u.attn_q.weight". False if there are more than two, or one
// that is no layer's.
static bool take_numbers(const char *name, char pattern[256], uint32_t number[2]) {
    size_t n = 0, found = 0;
    for (const char *p = name; *p;) {
        size_t size = strcspn(p, "."), digits = strspn(p, "0123456789");
        if (n + size + 3 >= 256) return false;
        if (size && digits == size) {
            if (size > 6 || found == 2 || (size > 1 && *p == '0')) return false;
            number[found] = 0;
            for (size_t i = 0; i < size; i++) number[found] = number[found] * 10 + (uint32_t)(p[i] - '0');
            found++;
            memcpy(pattern + n, "%u", 2);
            n += 2;
        } else {
            memcpy(pattern + n, p, size);
            n += size;
        }
        p += size;
        if (*p) pattern[n++] = *p++;
    }
    pattern[n] = 0;
    return true;
}

static bool has_form(const char *patterns, const char *form) {
    for (const char *p = patterns, *end; p; p = *end ? end + 1 : NULL) {
        end = strchrnul(p, '|');
        if (strlen(form) == (size_t)(end - p) && !memcmp(p, form, strlen(form))) return true;
    }
    return false;
}

// As find_hf(): a name without its first word, or with more in front.
static bool has_form_hf(const char *patterns, const char *form) {
    static const char inside[] = "model.language_model.", outside[] = "language_model.";
    const char *dot = strchr(patterns, '.');
    char longer[300];
    if (has_form(patterns, form)) return true;
    snprintf(longer, sizeof longer, "%.*s.%s", dot ? (int)(dot - patterns) : 0, patterns, form);
    if (dot && has_form(patterns, longer)) return true;
    if (!strncmp(form, outside, strlen(outside)) && has_form(patterns, form + strlen(outside))) return true;
    if (strncmp(form, inside, strlen(inside)) || !dot) return false;
    snprintf(longer, sizeof longer, "%.*s.%s", (int)(dot - patterns), patterns, form + strlen(inside));
    return has_form(patterns, longer);
}

bool family_place(const struct family *f, enum checkpoint_source source, const char *name, const enum role *roles,
                  size_t n, struct place *out) {
    char form[256];
    uint32_t number[2] = {0, NO_INDEX};
    if (!take_numbers(name, form, number)) return false;
    for (size_t i = 0; i < n; i++) {
        const char *patterns = pattern_of(f, source, roles[i]);
        if (!patterns || !(source == CHECKPOINT_HF ? has_form_hf : has_form)(patterns, form)) continue;
        *out = (struct place){roles[i], PART_WEIGHT, number[0], number[1]};
        return true;
    }
    return false;
}
