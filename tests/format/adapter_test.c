// Reading LoRA adapters: scales as PEFT and llama.cpp have them, and each way in which a file can be wrong or ask for
// what gyr does not do.
#include "format/adapter.h"
#include "image.h"

#include <math.h>

// A float32 matrix of a safetensors image.
struct matrix {
    const char *name;
    int rows, cols;
};

#define LAYER "base_model.model.model.layers."
static const struct matrix good[] = {{LAYER "0.self_attn.q_proj.lora_A.weight", 4, 8},
                                     {LAYER "0.self_attn.q_proj.lora_B.weight", 6, 4},
                                     {LAYER "1.mlp.down_proj.lora_A.weight", 2, 8},
                                     {LAYER "1.mlp.down_proj.lora_B.weight", 6, 2},
                                     {0}};
static const char plain[] =
    "{\"peft_type\": \"LORA\", \"r\": 4, \"lora_alpha\": 8, \"rank_pattern\": {\"down_proj\": 2}";

static void put_weights(struct buf *b, const struct matrix *m) {
    struct buf head = {0};
    size_t at = 0;
    for (; m->name; m++) {
        size_t bytes = (size_t)(m->rows * m->cols) * sizeof(float);
        buf_printf(&head, "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[%d,%d],\"data_offsets\":[%zu,%zu]}", at ? "," : "{",
                   m->name, m->rows, m->cols, at, at + bytes);
        at += bytes;
    }
    buf_puts(&head, at ? "}" : "{}");
    put_u64(b, head.size);
    buf_append(b, head.data, head.size);
    for (size_t i = 0; i < at / sizeof(float); i++) put_f32(b, (float)i);
    buf_free(&head);
}

static struct buf weights;

static struct adapter_file *open_peft(const char *more, const struct matrix *m, gyr_error *e) {
    struct buf config = {0};
    *e = (gyr_error){0};
    buf_clear(&weights);
    put_weights(&weights, m);
    buf_printf(&config, "%s%s}", plain, more);
    struct adapter_file *f = adapter_open_peft("x", config.data, config.size, weights.data, weights.size, e);
    buf_free(&config);
    return f;
}

static const struct adapter_pair *pair_of(const struct adapter_file *f, const char *name) {
    for (size_t i = 0; f && i < f->n; i++)
        if (!strcmp(f->pairs[i].name, name)) return &f->pairs[i];
    return NULL;
}

static double scale_of(const char *more, const char *name) {
    gyr_error e;
    struct adapter_file *f = open_peft(more, good, &e);
    const struct adapter_pair *p = pair_of(f, name);
    double scale = p ? p->scale : NAN;
    if (!f) printf("  %s\n", e.message);
    adapter_close(f);
    return scale;
}

#define Q    "model.layers.0.self_attn.q_proj.weight"
#define DOWN "model.layers.1.mlp.down_proj.weight"

static void pairs_are_found(void) {
    gyr_error e;
    struct adapter_file *f = open_peft("", good, &e);
    REQUIRE(f);
    CHECK_INT(f->n, 2);
    CHECK_INT(f->c->source, CHECKPOINT_HF);
    const struct adapter_pair *q = pair_of(f, Q), *down = pair_of(f, DOWN);
    REQUIRE(q && down);
    CHECK_INT(q->rank, 4);
    CHECK_INT(down->rank, 2);
    CHECK_INT(q->a->dim[0], 8);
    CHECK_INT(q->b->dim[1], 6);
    float x[2];
    tensor_decode(q->b, 1, 2, x);
    CHECK(x[0] == 33 && x[1] == 34);
    adapter_close(f);
}

static void scales_are_those_of_peft(void) {
    CHECK(scale_of("", Q) == 2);
    CHECK(scale_of("", DOWN) == 4);
    CHECK(scale_of(", \"use_rslora\": true", Q) == 4);
    CHECK(scale_of(", \"use_rslora\": true", DOWN) == 8 / sqrt(2));
    CHECK(scale_of(", \"alpha_pattern\": {\"q_proj\": 2}", Q) == 0.5);
    CHECK(scale_of(", \"alpha_pattern\": {\"q_proj\": 2}", DOWN) == 4);
    CHECK(scale_of(", \"alpha_pattern\": {\"layers\\\\.[0-9]+\\\\.self_attn\\\\..*\": 1}", Q) == 0.25);
    CHECK(scale_of(", \"alpha_pattern\": {\"proj\": 2, \"q_pro.\": 6, \".*q_proj\": 12}", Q) == 1.5); // the first
    CHECK(scale_of(", \"alpha_pattern\": {\"q|down_proj\": 16}", DOWN) == 8);
    CHECK(scale_of(", \"lora_alpha\": 1", Q) == 0.25); // the last of two
}

static void harmless_keys_are_passed_over(void) {
    CHECK(scale_of(", \"base_model_name_or_path\": \"a/b\", \"target_modules\": [\"q_proj\"], \"lora_dropout\": 0.1,"
                   " \"inference_mode\": true, \"task_type\": \"CAUSAL_LM\", \"bias\": \"none\", \"use_dora\": false,"
                   " \"modules_to_save\": null, \"layer_replication\": null, \"megatron_config\": null,"
                   " \"target_parameters\": [], \"init_lora_weights\": \"gaussian\", \"use_qalora\": false,"
                   " \"qalora_group_size\": 16, \"something_new\": null",
                   Q) == 2);
}

static void check_config(const char *more, gyr_status status, const char *message) {
    gyr_error e;
    struct adapter_file *f = open_peft(more, good, &e);
    CHECK(!f);
    CHECK_INT(e.status, status);
    CHECK_STR(e.message, message);
    adapter_close(f);
}

static void what_is_not_understood_is_named(void) {
#define ASKS(key) "x: key '" key "' asks for something that gyr does not have; it reads plain LoRA and rsLoRA"
    check_config(", \"use_dora\": true", GYR_UNSUPPORTED, ASKS("use_dora"));
    check_config(", \"modules_to_save\": [\"lm_head\"]", GYR_UNSUPPORTED, ASKS("modules_to_save"));
    check_config(", \"layer_replication\": [[0, 2]]", GYR_UNSUPPORTED, ASKS("layer_replication"));
    check_config(", \"target_parameters\": [\"experts.down_proj\"]", GYR_UNSUPPORTED, ASKS("target_parameters"));
    check_config(", \"trainable_token_indices\": [1]", GYR_UNSUPPORTED, ASKS("trainable_token_indices"));
    check_config(", \"alora_invocation_tokens\": [1]", GYR_UNSUPPORTED, ASKS("alora_invocation_tokens"));
    check_config(", \"lora_bias\": true", GYR_UNSUPPORTED, ASKS("lora_bias"));
    check_config(", \"something_new\": 1", GYR_UNSUPPORTED, ASKS("something_new"));
    check_config(", \"peft_type\": \"IA3\"", GYR_UNSUPPORTED, "x: peft_type 'IA3'; gyr reads LORA alone");
    check_config(", \"peft_type\": 3", GYR_MALFORMED, "x: has no peft_type; get the adapter again");
    check_config(", \"bias\": \"all\"", GYR_UNSUPPORTED, "x: bias 'all': gyr adapts no biases");
    check_config(", \"init_lora_weights\": \"pissa_niter_4\"", GYR_UNSUPPORTED,
                 "x: init_lora_weights 'pissa_niter_4' is for a model whose weights were changed with it; save the "
                 "adapter as plain LoRA (path_initial_model_for_weight_conversion of PEFT)");
}

static void numbers_are_checked(void) {
    check_config(", \"r\": 0", GYR_MALFORMED, "x: has no number as r; get the adapter again");
    check_config(", \"r\": \"4\"", GYR_MALFORMED, "x: has no number as r; get the adapter again");
    check_config(", \"lora_alpha\": NaN", GYR_MALFORMED, "x: has no number as lora_alpha; get the adapter again");
    check_config(", \"lora_alpha\": 1e300", GYR_MALFORMED, "x: has no number as lora_alpha; get the adapter again");
    check_config(", \"r\": 3", GYR_MALFORMED,
                 "x: says rank 3 of model.layers.0.self_attn.q_proj, whose tensors have 4; get the adapter again");
    check_config(", \"rank_pattern\": {}", GYR_MALFORMED,
                 "x: says rank 4 of model.layers.1.mlp.down_proj, whose tensors have 2; get the adapter again");
    check_config(", \"rank_pattern\": [1]", GYR_MALFORMED, "x: rank_pattern is not an object; get the adapter again");
    check_config(", \"alpha_pattern\": {\"q_proj\": \"a\"}", GYR_MALFORMED,
                 "x: alpha_pattern has something else than numbers; get the adapter again");
    check_config(", \"alpha_pattern\": {\"(\": 1}", GYR_UNSUPPORTED,
                 "x: pattern '(' cannot be matched; write modules' names");
    check_config(", \"alpha_pattern\": {\"((a*)*)*b(?<=(((.*)*)*)*c)\": 1}", GYR_UNSUPPORTED,
                 "x: pattern '((a*)*)*b(?<=(((.*)*)*)*c)' cannot be matched; write modules' names");
}

static void check_weights(const struct matrix *m, gyr_status status, const char *message) {
    gyr_error e;
    struct adapter_file *f = open_peft("", m, &e);
    CHECK(!f);
    CHECK_INT(e.status, status);
    CHECK_STR(e.message, message);
    adapter_close(f);
}

static void tensors_are_checked(void) {
#define A LAYER "0.mlp.up_proj.lora_A.weight"
#define B LAYER "0.mlp.up_proj.lora_B.weight"
    check_weights((struct matrix[]){{A, 4, 8}, {0}}, GYR_MALFORMED,
                  "x: tensor " B " is missing; get the adapter again");
    check_weights((struct matrix[]){{B, 8, 4}, {0}}, GYR_MALFORMED,
                  "x: has 1 tensors for 0 pairs; get the adapter again");
    check_weights((struct matrix[]){{A, 4, 8}, {B, 8, 3}, {0}}, GYR_MALFORMED,
                  "x: tensors " A " and " B " have ranks 4 and 3; get the adapter again");
    check_weights((struct matrix[]){{A, 5000, 1}, {B, 1, 5000}, {0}}, GYR_UNSUPPORTED,
                  "x: tensor " A " has a rank of more than 4096, which gyr does not take");
    check_weights((struct matrix[]){{0}}, GYR_MALFORMED, "x: adapts nothing; get the adapter again");
    check_weights((struct matrix[]){{A, 4, 8}, {B, 8, 4}, {LAYER "0.mlp.up_proj.lora_magnitude_vector", 8, 1}, {0}},
                  GYR_UNSUPPORTED,
                  "x: tensor " LAYER "0.mlp.up_proj.lora_magnitude_vector is no half of a LoRA pair, which is all that "
                  "gyr reads of adapters");
    check_weights((struct matrix[]){{"model.layers.0.mlp.up_proj.lora_A.weight", 4, 8}, {0}}, GYR_UNSUPPORTED,
                  "x: tensor model.layers.0.mlp.up_proj.lora_A.weight is no half of a LoRA pair, which is all that gyr "
                  "reads of adapters");
}

// ------------------------------------------------------------------------------------------------- GGUF

struct gguf_of {
    const char *type, *kind, *more; // general.type, adapter.type, another key
    float alpha;
    uint32_t element;
};

static struct adapter_file *open_gguf(struct buf *b, struct gguf_of g, gyr_error *e) {
    *e = (gyr_error){0};
    put_model(b, 2, 3 + (g.more != NULL));
    put_key_string(b, "general.type", g.type);
    put_key_string(b, "adapter.type", g.kind);
    put_key(b, "adapter.lora.alpha", GGUF_FLOAT32);
    put_f32(b, g.alpha);
    if (g.more) put_key_u32(b, g.more, 1);
    put_tensor(b, "blk.0.attn_qkv.weight.lora_a", 2, (uint64_t[]){32, 4}, g.element, 0);
    put_tensor(b, "blk.0.attn_qkv.weight.lora_b", 2, (uint64_t[]){4, 6}, 0, 512);
    put_padding(b, 32);
    for (size_t i = 0; i < 512 + 96; i++) put_u8(b, 0);
    return adapter_open_gguf("x", b->data, b->size, e);
}

static double gguf_scale(float alpha) {
    gyr_error e;
    struct buf b = {0};
    struct adapter_file *f = open_gguf(&b, (struct gguf_of){"adapter", "lora", NULL, alpha, 0}, &e);
    double scale = f && f->n == 1 && !strcmp(f->pairs[0].name, "blk.0.attn_qkv.weight") ? f->pairs[0].scale : NAN;
    if (!f) printf("  %s\n", e.message);
    adapter_close(f);
    buf_free(&b);
    return scale;
}

static void gguf_scales_are_those_of_llama_cpp(void) {
    CHECK(gguf_scale(8) == 2);
    CHECK(gguf_scale(0) == 1); // nothing said
}

static void check_gguf(struct gguf_of g, gyr_status status, const char *message) {
    gyr_error e;
    struct buf b = {0};
    struct adapter_file *f = open_gguf(&b, g, &e);
    CHECK(!f);
    CHECK_INT(e.status, status);
    CHECK_STR(e.message, message);
    adapter_close(f);
    buf_free(&b);
}

static void gguf_is_checked(void) {
    check_gguf((struct gguf_of){"model", "lora", NULL, 8, 0}, GYR_USAGE,
               "x: is no adapter: its general.type says something else; give it with -m");
    check_gguf((struct gguf_of){"adapter", "control_vector", NULL, 8, 0}, GYR_UNSUPPORTED,
               "x: its adapter.type is not \"lora\", which is all that gyr reads");
    check_gguf((struct gguf_of){"adapter", "lora", "adapter.alora.invocation_tokens", 8, 0}, GYR_UNSUPPORTED,
               "x: key adapter.alora.invocation_tokens changes what the adapter does in a way that gyr does not have");
    check_gguf((struct gguf_of){"adapter", "lora", NULL, INFINITY, 0}, GYR_MALFORMED,
               "x: key adapter.lora.alpha is not a number; get the adapter again");
    check_gguf((struct gguf_of){"adapter", "lora", NULL, 8, 8}, GYR_UNSUPPORTED,
               "x: tensor blk.0.attn_qkv.weight.lora_a is quantized; gyr reads adapters in F32, F16 and BF16");
}

int main(void) {
    RUN(pairs_are_found);
    RUN(scales_are_those_of_peft);
    RUN(harmless_keys_are_passed_over);
    RUN(what_is_not_understood_is_named);
    RUN(numbers_are_checked);
    RUN(tensors_are_checked);
    RUN(gguf_scales_are_those_of_llama_cpp);
    RUN(gguf_is_checked);
    buf_free(&weights);
    return test_end();
}
