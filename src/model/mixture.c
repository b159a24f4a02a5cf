// The rules are llama.cpp's (llama-quant.cpp, 2026), so that a name means the same file there and here. Those for many
// experts are not here yet.
#include "model/mixture.h"

#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { FILE_Q2_K = 10, FILE_Q3_K_S, FILE_Q3_K_M, FILE_Q3_K_L, FILE_Q4_K_S, FILE_Q4_K_M, FILE_Q5_K_S, FILE_Q5_K_M };
enum { FILE_IQ4_NL = 25, FILE_IQ4_XS = 30 };

// A name without its size, such as q4_k, means the medium one.
static const struct mixture mixtures[] = {
    {"q2_k", FILE_Q2_K, TYPE_Q2_K},
    {"q3_k_s", FILE_Q3_K_S, TYPE_Q3_K},
    {"q3_k_m", FILE_Q3_K_M, TYPE_Q3_K},
    {"q3_k", FILE_Q3_K_M, TYPE_Q3_K},
    {"q3_k_l", FILE_Q3_K_L, TYPE_Q3_K},
    {"q4_0", 2, TYPE_Q4_0},
    {"q4_1", 3, TYPE_Q4_1},
    {"q4_k_s", FILE_Q4_K_S, TYPE_Q4_K},
    {"q4_k_m", FILE_Q4_K_M, TYPE_Q4_K},
    {"q4_k", FILE_Q4_K_M, TYPE_Q4_K},
    {"q5_0", 8, TYPE_Q5_0},
    {"q5_1", 9, TYPE_Q5_1},
    {"q5_k_s", FILE_Q5_K_S, TYPE_Q5_K},
    {"q5_k_m", FILE_Q5_K_M, TYPE_Q5_K},
    {"q5_k", FILE_Q5_K_M, TYPE_Q5_K},
    {"q6_k", 18, TYPE_Q6_K},
    {"q8_0", 7, TYPE_Q8_0},
    {"iq4_nl", FILE_IQ4_NL, TYPE_IQ4_NL},
    {"iq4_xs", FILE_IQ4_XS, TYPE_IQ4_XS},
    {"mxfp4", 38, TYPE_MXFP4},
    {"f16", 1, TYPE_F16},
    {"bf16", 32, TYPE_BF16},
    {"f32", 0, TYPE_F32},
};
enum { MIXTURES = sizeof mixtures / sizeof *mixtures };

const struct mixture *mixture_row(size_t i) { return i < MIXTURES ? &mixtures[i] : NULL; }

const struct mixture *mixture_by_name(const char *name) {
    for (size_t i = 0; i < MIXTURES; i++)
        if (!strcasecmp(mixtures[i].name, name)) return &mixtures[i];
    return NULL;
}

// Matrices by what they do; those with no part here are all alike.
enum part { PART_OTHER, PART_EMBEDDING, PART_OUTPUT, PART_VALUES, PART_ATTN_OUT, PART_DOWN };

static const struct {
    const char *name; // "blk.N." taken off
    enum part part;
} parts[] = {
    {"token_embd.weight", PART_EMBEDDING}, {"output.weight", PART_OUTPUT},
    {"attn_qkv.weight", PART_VALUES},      {"per_layer_token_embd.weight", PART_EMBEDDING},
    {"attn_v.weight", PART_VALUES},        {"attn_output.weight", PART_ATTN_OUT},
    {"ffn_down.weight", PART_DOWN},
};

// A rule gives a type to the matrices of a part in some layers of some models. The first that fits counts.
enum family_of { ANY, FALCON, OTHERS };
enum layers_of {
    ALL,
    FIRST_2,
    FIRST_4,
    FIRST_8TH,
    FIRST_16TH,
    SOME,   // the first and last eighth and every third between
    SHARED, // all, if four or more heads share keys and values
};

static const struct {
    uint32_t file_type;
    enum part part;
    enum family_of family;
    enum layers_of layers;
    enum type type;
} rules[] = {
    {FILE_Q2_K, PART_VALUES, ANY, SHARED, TYPE_Q4_K},        {FILE_Q2_K, PART_VALUES, ANY, ALL, TYPE_Q3_K},
    {FILE_Q2_K, PART_ATTN_OUT, OTHERS, ALL, TYPE_Q3_K},      {FILE_Q2_K, PART_DOWN, ANY, ALL, TYPE_Q3_K},
    {FILE_Q3_K_M, PART_VALUES, ANY, FIRST_2, TYPE_Q5_K},     {FILE_Q3_K_M, PART_VALUES, ANY, ALL, TYPE_Q4_K},
    {FILE_Q3_K_M, PART_ATTN_OUT, OTHERS, ALL, TYPE_Q4_K},    {FILE_Q3_K_M, PART_DOWN, ANY, FIRST_16TH, TYPE_Q5_K},
    {FILE_Q3_K_M, PART_DOWN, OTHERS, ALL, TYPE_Q4_K},        {FILE_Q3_K_M, PART_DOWN, FALCON, SOME, TYPE_Q4_K},
    {FILE_Q3_K_L, PART_VALUES, ANY, ALL, TYPE_Q5_K},         {FILE_Q3_K_L, PART_ATTN_OUT, OTHERS, ALL, TYPE_Q5_K},
    {FILE_Q3_K_L, PART_ATTN_OUT, FALCON, ALL, TYPE_Q4_K},    {FILE_Q3_K_L, PART_DOWN, OTHERS, ALL, TYPE_Q5_K},
    {FILE_Q3_K_L, PART_DOWN, FALCON, ALL, TYPE_Q4_K},        {FILE_Q4_K_S, PART_VALUES, ANY, FIRST_4, TYPE_Q5_K},
    {FILE_Q4_K_S, PART_DOWN, OTHERS, FIRST_8TH, TYPE_Q5_K},  {FILE_Q4_K_M, PART_VALUES, ANY, SOME, TYPE_Q6_K},
    {FILE_Q4_K_M, PART_DOWN, FALCON, FIRST_16TH, TYPE_Q6_K}, {FILE_Q4_K_M, PART_DOWN, FALCON, SOME, TYPE_Q5_K},
    {FILE_Q4_K_M, PART_DOWN, OTHERS, SOME, TYPE_Q6_K},       {FILE_Q5_K_M, PART_VALUES, ANY, SOME, TYPE_Q6_K},
    {FILE_Q5_K_M, PART_DOWN, ANY, SOME, TYPE_Q6_K},          {FILE_IQ4_NL, PART_VALUES, ANY, SHARED, TYPE_Q5_K},
    {FILE_IQ4_NL, PART_DOWN, ANY, FIRST_8TH, TYPE_Q5_K},     {FILE_IQ4_XS, PART_VALUES, ANY, SHARED, TYPE_Q5_K},
    {FILE_IQ4_XS, PART_DOWN, ANY, FIRST_8TH, TYPE_Q5_K},
};

static uint64_t number(const struct checkpoint *c, const char *what) {
    char key[160];
    snprintf(key, sizeof key, "%.100s.%s", c->architecture, what);
    const struct value *v = checkpoint_value(c, key);
    if (!v || (v->kind == VALUE_ARRAY && !v->array.n)) return 0;
    struct value first = value_at(v, 0);
    if (first.kind == VALUE_INT && first.i > 0) return (uint64_t)first.i;
    return first.kind == VALUE_UINT ? first.u : 0;
}

void mixture_facts(const struct checkpoint *c, struct mixture_facts *f) {
    uint64_t heads = number(c, "attention.head_count"), kv = number(c, "attention.head_count_kv");
    f->falcon = !strcmp(c->architecture, "falcon");
    f->tied = !checkpoint_tensor(c, "output.weight");
    f->layers = number(c, "block_count");
    f->heads_per_kv = kv ? heads / kv : 1;
}

static bool ends_with(struct text name, const char *end) {
    size_t n = strlen(end);
    return name.size >= n && !memcmp(name.data + name.size - n, end, n);
}

// Vectors, norms, and the tables that are small or looked up, keep their precision.
static bool for_quantizing(const struct tensor *t) {
    static const char *const kept[] = {
        "_norm.weight",       "ffn_gate_inp.weight", "position_embd.weight", "per_layer_model_proj.weight",
        "token_types.weight", "indexer.proj.weight", "ssm_conv1d.weight"};
    if (t->dim[1] * t->dim[2] * t->dim[3] <= 1 || !ends_with(t->name, "weight")) return false;
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        if (ends_with(t->name, kept[i])) return false;
    return true;
}

// What a matrix is, and its layer.
static enum part part_of(struct text name, uint64_t *layer) {
    *layer = 0;
    if (name.size > 4 && !memcmp(name.data, "blk.", 4)) {
        size_t i = 4;
        for (; i < name.size && i < 14 && name.data[i] >= '0' && name.data[i] <= '9'; i++)
            *layer = *layer * 10 + (uint64_t)(name.data[i] - '0');
        if (i < name.size) i++;
        name = (struct text){name.data + i, name.size - i};
    }
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (name.size == strlen(parts[i].name) && !memcmp(name.data, parts[i].name, name.size)) return parts[i].part;
    return PART_OTHER;
}

static bool layer_fits(enum layers_of which, const struct mixture_facts *f, uint64_t i) {
    uint64_t n = f->layers;
    switch (which) {
    case FIRST_2: return i < 2;
    case FIRST_4: return i < 4;
    case FIRST_8TH: return i < n / 8;
    case FIRST_16TH: return i < n / 16;
    case SOME: return i < n / 8 || i >= n - (n + 7) / 8 || (i - n / 8) % 3 == 2;
    case SHARED: return f->heads_per_kv >= 4;
    default: return true;
    }
}

static enum type by_rules(const struct mixture *m, const struct mixture_facts *f, enum part part, uint64_t layer) {
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        bool family = rules[i].family == ANY || (rules[i].family == FALCON) == f->falcon;
        if (rules[i].file_type == m->file_type && rules[i].part == part && family &&
            layer_fits(rules[i].layers, f, layer))
            return rules[i].type;
    }
    return m->type;
}

// The scores of all tokens come from the output matrix: it has the most bits.
static enum type output_type(const struct mixture *m, const struct mixture_facts *f, uint64_t cols) {
    if (f->falcon || m->type == TYPE_MXFP4 || m->type == TYPE_Q8_0) return TYPE_Q8_0;
    return type_row_bytes(m->type, cols) ? TYPE_Q6_K : TYPE_Q8_0;
}

enum type mixture_type(const struct mixture *m, const struct mixture_facts *f, const struct tensor *t, bool pure) {
    uint64_t layer;
    if (!for_quantizing(t)) return t->n_dims <= 1 && !type_info(t->type)->quantized ? TYPE_F32 : t->type;
    enum part part = part_of(t->name, &layer);
    enum type type = m->type;
    if (pure || !type_info(type)->quantized) return type_fitting(type, t->dim[0]);
    if (part == PART_OUTPUT || (part == PART_EMBEDDING && f->tied))
        type = output_type(m, f, t->dim[0]);
    else
        type = by_rules(m, f, part, layer);
    return type_fitting(type, t->dim[0]);
}

// Columns that blocks of 256 do not divide take the nearest type of blocks of 32, as in llama.cpp; what 32 does not
// divide stays F16.
enum type type_fitting(enum type want, uint64_t cols) {
    static const struct {
        enum type from, to;
    } fallback[] = {{TYPE_Q2_K, TYPE_Q4_0}, {TYPE_Q3_K, TYPE_Q4_0}, {TYPE_Q4_K, TYPE_Q5_0},
                    {TYPE_Q5_K, TYPE_Q5_1}, {TYPE_Q6_K, TYPE_Q8_0}, {TYPE_IQ4_XS, TYPE_IQ4_NL}};
    for (size_t i = 0; !type_row_bytes(want, cols) && i < sizeof fallback / sizeof *fallback; i++)
        if (want == fallback[i].from) want = fallback[i].to;
    return type_row_bytes(want, cols) ? want : TYPE_F16;
}

bool mixture_unknown(const char *type, gyr_error *e) {
    struct buf b = {0};
    const struct mixture *m;
    for (size_t i = 0; (m = mixture_row(i)); i++) buf_printf(&b, "%s%s", i ? ", " : "", m->name);
    fail(e, GYR_USAGE, "type '%.40s' is not one gyr knows; it knows: %s", type, b.data ? b.data : "");
    buf_free(&b);
    return false;
}
