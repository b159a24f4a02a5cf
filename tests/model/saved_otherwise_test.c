// Models as other people saved them: what is in a folder or file beside what is read, what is said in another way, and
// what must be refused by name. Each is a golden's small model, changed in one way.
#include "drawn.h"

static char folder[] = "/tmp/gyr-saved-XXXXXX";
static struct drawn d;

static const char *file_of(const char *name) { return drawn_file(folder, name); }

// How far the last logits of the text are from the golden's; a large number where the model does not open.
static float farthest(const char *path, gyr_error *e) {
    size_t vocab = (size_t)d.vocab, n = (size_t)d.text_n * vocab;
    gyr_model *m = gyr_model_open(path, &(gyr_model_options){.threads = 1}, e);
    gyr_session *s = m ? gyr_session_new(m, &(gyr_session_options){.kv_type = GYR_KV_F32}, e) : NULL;
    float far = 1e9f, *x = malloc(n * sizeof *x);
    if (s && !gyr_session_feed(s, d.text, (size_t)d.text_n, x, e))
        for (size_t i = far = 0; i < n; i++) far = fmaxf(far, fabsf(x[i] - d.logits[i]));
    free(x);
    gyr_session_free(s);
    if (m) gyr_model_close(m);
    return far;
}

static void runs(const char *what, const char *path) {
    gyr_error e = {0};
    float far = farthest(path, &e);
    if (!(far <= 1e-4f)) printf("  %s: farthest %.2g %s\n", what, (double)far, e.message);
    CHECK(far <= 1e-4f);
}

static void refused(const char *what, const char *path, gyr_status status, const char *message) {
    gyr_error e = {0};
    bool opened = farthest(path, &e) < 1e8f;
    if (opened || e.status != status || !strstr(e.message, message)) printf("  %s: %s\n", what, e.message);
    CHECK(!opened);
    CHECK_INT(e.status, status);
    CHECK(strstr(e.message, message));
}

// A config with a word in another's place.
static void write_config(const char *from, const char *to) {
    size_t room = strlen(d.config) + strlen(to) + 1;
    char *at = strstr(d.config, from), *made = malloc(room);
    CHECK(at);
    if (at) snprintf(made, room, "%.*s%s%s", (int)(at - d.config), d.config, to, at + strlen(from));
    CHECK(drawn_write_text(file_of("config.json"), at ? made : d.config));
    free(made);
}

// Two parts: the model's tensors, and those of `header`, which are 64 bytes of threes; an index that has `names` beside
// the model's.
static void write_parts(const char *header, const char *names) {
    FILE *f = fopen(file_of("2.safetensors"), "wb"), *index = fopen(file_of("model.safetensors.index.json"), "w");
    uint64_t n = strlen(header);
    const float three[16] = {3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3};
    REQUIRE(f && index);
    fwrite(&n, sizeof n, 1, f);
    fwrite(header, 1, n, f);
    for (int i = 0; i < 8; i++) fwrite(three, sizeof three, 1, f);
    fclose(f);
    fprintf(index, "{\"weight_map\": {%s", names);
    for (size_t i = 0; i < d.n_tensors; i++)
        if (!d.tensor[i].gguf && !strstr(names, d.tensor[i].name))
            fprintf(index, ", \"%s\": \"1.safetensors\"", d.tensor[i].name);
    fprintf(index, "}}");
    fclose(index);
    CHECK(drawn_write_safetensors(&d, file_of("1.safetensors")));
    unlink(file_of("model.safetensors"));
}

#define ENTRY(name, dtype, shape, end)                                                                                 \
    "{\"" name "\": {\"dtype\": \"" dtype "\", \"shape\": " shape ", \"data_offsets\": [0, " #end "]}}"
#define IN2(name)      "\"" name "\": \"2.safetensors\""
#define NO_PLACE(name) "tensor '" name "' has no place in a model of the Llama"

static void beside_what_is_read(void) {
    static const struct {
        const char *what, *header, *names, *refused;
    } cases[] = {
        {"frequencies", ENTRY("model.layers.0.self_attn.rotary_emb.inv_freq", "F32", "[4]", 16),
         IN2("model.layers.0.self_attn.rotary_emb.inv_freq"), NULL},
        {"a mask", ENTRY("model.layers.0.self_attn.bias", "BOOL", "[1,1,4,4]", 16),
         IN2("model.layers.0.self_attn.bias"), NULL},
        {"positions", ENTRY("model.embeddings.position_ids", "I64", "[1,8]", 64), IN2("model.embeddings.position_ids"),
         NULL},
        {"a name of the index alone", "{}", IN2("model.layers.0.self_attn.k_proj.scale"), NULL},
        {"a copy that the index does not place", ENTRY("model.norm.weight", "F32", "[32]", 128),
         "\"model.norm.weight\": \"1.safetensors\", " IN2("x"), NULL},
        {"an adapter", ENTRY("model.layers.0.self_attn.q_proj.lora_A.weight", "F32", "[4,4]", 64),
         IN2("model.layers.0.self_attn.q_proj.lora_A.weight"),
         NO_PLACE("model.layers.0.self_attn.q_proj.lora_A.weight")},
        {"a bias of the output", ENTRY("lm_head.bias", "F32", "[16]", 64), IN2("lm_head.bias"),
         NO_PLACE("lm_head.bias")},
        {"a bias that no key is about", ENTRY("model.layers.0.mlp.up_proj.bias", "F32", "[16]", 64),
         IN2("model.layers.0.mlp.up_proj.bias"), NO_PLACE("model.layers.0.mlp.up_proj.bias")},
        {"a layer too many", ENTRY("model.layers.2.input_layernorm.weight", "F32", "[16]", 64),
         IN2("model.layers.2.input_layernorm.weight"), NO_PLACE("model.layers.2.input_layernorm.weight")},
        {"a tower of a model that has none", ENTRY("vision_tower.patch.weight", "F32", "[2,2,1,1,1]", 16),
         IN2("vision_tower.patch.weight"), NO_PLACE("vision_tower.patch.weight")},
    };
    REQUIRE(drawn_load(&d, "llama"));
    CHECK(drawn_write_text(file_of("config.json"), d.config));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_parts(cases[i].header, cases[i].names);
        if (cases[i].refused)
            refused(cases[i].what, folder, GYR_UNSUPPORTED, cases[i].refused);
        else
            runs(cases[i].what, folder);
    }
    drawn_free(&d);
}

// Multipliers that transformers reads for other models, and not for a Llama.
static void keys_of_other_classes(void) {
    static const char *const keys[] = {"\"key_multiplier\": 0.5",
                                       "\"attention_in_multiplier\": 2.0",
                                       "\"mlp_multipliers\": [2.0, 3.0]",
                                       "\"lm_head_multiplier\": 2.0",
                                       "\"residual_multiplier\": 2.0",
                                       "\"logits_scaling\": 2.0",
                                       "\"scale_emb\": 3",
                                       "\"logit_scale\": 0.3",
                                       "\"key_multiplier\": \"x\"",
                                       "\"time_step_limit\": 1"};
    REQUIRE(drawn_load(&d, "llama"));
    CHECK(drawn_write_safetensors(&d, file_of("model.safetensors")));
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        char to[160];
        snprintf(to, sizeof to, "%s, \"vocab_size\"", keys[i]);
        write_config("\"vocab_size\"", to);
        runs(keys[i], folder);
    }
    drawn_free(&d);
}

static void what_is_read_must_be_right(void) {
    REQUIRE(drawn_load(&d, "llama"));
    CHECK(drawn_write_text(file_of("config.json"), d.config));
    gyr_error e = {0};
    write_parts(ENTRY("model.norm.weight", "F32", "[32]", 128), IN2("model.norm.weight"));
    float far = farthest(folder, &e); // of another norm, which the index places
    CHECK(far > 1e-2f && far < 1e8f);
    write_parts(ENTRY("model.norm.weight", "F8_E4M3", "[32]", 32), IN2("model.norm.weight"));
    refused("an element type", folder, GYR_UNSUPPORTED,
            "tensor model.norm.weight has element type F8_E4M3; gyr reads F32, F16 and BF16");
    write_parts(ENTRY("model.norm.weight", "F32", "[2,2,2,2,2]", 128), IN2("model.norm.weight"));
    refused("a rank", folder, GYR_UNSUPPORTED, "tensor model.norm.weight has more than 4 dimensions");
    write_parts(ENTRY("model.norm.weight", "F32", "[0]", 0), IN2("model.norm.weight"));
    refused("emptiness", folder, GYR_MALFORMED, "tensor model.norm.weight has an empty dimension");
    drawn_free(&d);
}

// Of a model that sees: its keys beside the text part's say nothing of it, and its towers are not read.
static void a_text_part_among_others(void) {
    REQUIRE(drawn_load(&d, "gemma3"));
    size_t room = strlen(d.config) + 256;
    char *made = malloc(room);
    snprintf(made, room,
             "{\"model_type\": \"gemma3\", \"num_hidden_layers\": 99, \"rms_norm_eps\": 0.5, \"text_config\": %s}",
             d.config);
    CHECK(drawn_write_text(file_of("config.json"), made));
    write_parts(ENTRY("vision_tower.patch.weight", "F32", "[2,2,1,1,1]", 16), IN2("vision_tower.patch.weight"));
    runs("a text part", folder);
    write_parts(ENTRY("language_model.model.layers.0.self_attn.q_proj.lora_A.weight", "F32", "[4]", 16),
                IN2("language_model.model.layers.0.self_attn.q_proj.lora_A.weight"));
    refused("an adapter of the text part", folder, GYR_UNSUPPORTED, "has no place in a model of the Gemma 3");
    snprintf(made, room, "{\"model_type\": \"gemma3\", \"use_bidirectional_attention\": true, \"text_config\": %s}",
             d.config);
    CHECK(drawn_write_text(file_of("config.json"), made));
    write_parts("{}", IN2("x"));
    runs("a key beside the text part", folder);
    free(made);
    drawn_free(&d);
}

static void remove_parts(void) {
    static const char *const names[] = {"1.safetensors", "2.safetensors", "model.safetensors.index.json"};
    for (int i = 0; i < 3; i++) unlink(file_of(names[i]));
}

static void output_and_embedding(void) {
    REQUIRE(drawn_load(&d, "llama"));
    CHECK(drawn_write_safetensors(&d, file_of("model.safetensors")));
    write_config("\"tie_word_embeddings\": false", "\"tie_word_embeddings\": true");
    runs("tied, with an output matrix of its own", folder);
    for (size_t i = 0; i < d.n_tensors; i++)
        if (!strcmp(d.tensor[i].name, "lm_head.weight")) snprintf(d.tensor[i].name, 128, "model.rotary_emb.inv_freq");
    CHECK(drawn_write_safetensors(&d, file_of("model.safetensors")));
    gyr_error e = {0};
    float far = farthest(folder, &e);
    CHECK(far > 1e-2f && far < 1e8f); // the embedding is another matrix
    write_config("\"tie_word_embeddings\": false", "\"tie_word_embeddings\": false");
    refused("not tied, and no output", folder, GYR_MALFORMED, "tensor 'lm_head.weight' is missing");
    drawn_free(&d);
}

// As configs of several years say that nothing scales the rotation.
static void one_rotation_in_many_words(void) {
    static const char usual[] = "\"rope_parameters\": {\"rope_theta\": 1000000.0, \"rope_type\": \"default\"}";
    static const char *const words[] = {
        "\"rope_theta\": 1000000",
        "\"rope_theta\": 1000000.0, \"rope_scaling\": null",
        "\"rope_theta\": 1000000.0, \"rope_scaling\": {}",
        "\"rope_theta\": 1000000.0, \"rope_scaling\": false",
        "\"rope_theta\": 1000000.0, \"rope_scaling\": {\"type\": \"default\"}",
        "\"rope_theta\": 1000000.0, \"rope_scaling\": {\"rope_type\": \"default\", \"factor\": null}",
        "\"rope_theta\": 1e6, \"rope_scaling\": {\"type\": \"mrope\", \"rope_type\": \"default\", \"mrope_section\": "
        "[2, 1, 1]}",
        "\"rope_theta\": 500.0, \"rope_scaling\": {\"type\": \"default\", \"rope_theta\": 1000000.0}",
        "\"rope_theta\": 500.0, \"rope_parameters\": {\"rope_type\": \"default\", \"rope_theta\": 1000000.0}",
        "\"rope_theta\": 1000000.0, \"rope_parameters\": {\"rope_type\": \"default\"}",
    };
    REQUIRE(drawn_load(&d, "qwen2"));
    CHECK(drawn_write_safetensors(&d, file_of("model.safetensors")));
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        write_config(usual, words[i]);
        runs(words[i], folder);
    }
    drawn_free(&d);
}

static void embedding_under_the_outputs_name(void) {
    REQUIRE(drawn_load(&d, "gemma3"));
    for (size_t i = 0; i < d.n_tensors; i++)
        if (!strcmp(d.tensor[i].name, "model.embed_tokens.weight"))
            snprintf(d.tensor[i].name, sizeof d.tensor[i].name, "lm_head.weight");
    CHECK(drawn_write_text(file_of("config.json"), d.config));
    CHECK(drawn_write_safetensors(&d, file_of("model.safetensors")));
    runs("tied", folder);
    gyr_error e = {0};
    gyr_convert_options o = {.input = folder, .output = file_of("model.gguf"), .type = "f32"};
    CHECK_INT(gyr_convert(&o, &e), GYR_OK);
    runs("converted", o.output);
    write_config("\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false");
    refused("apart", folder, GYR_MALFORMED, "tensor 'model.embed_tokens.weight' is missing");
    drawn_free(&d);
}

static void biases_are_where_a_config_says(void) {
    REQUIRE(drawn_load(&d, "llama"));
    CHECK(drawn_write_safetensors(&d, file_of("model.safetensors")));
    write_config("\"attention_bias\": false", "\"attention_bias\": true");
    refused("biases that are not there", folder, GYR_MALFORMED,
            "tensor 'model.layers.0.self_attn.q_proj.bias' is missing");
    drawn_free(&d);
}

static void quantized_weights_are_refused_by_method(void) {
    static const char *const configs[][2] = {
        {"\"quantization_config\": {\"quant_method\": \"gptq\", \"bits\": 4}", "quantized by gptq,"},
        {"\"quantization_config\": {\"quant_method\": \"awq\", \"bits\": 3}",
         "quantized by awq with another number of bits than 4,"},
        {"\"quantization_config\": {\"quant_method\": \"fp8\", \"fmt\": \"e5m2\"}",
         "quantized by fp8 with another format than e4m3,"},
        {"\"quantization_config\": {\"quant_method\": \"compressed-tensors\", \"format\": \"int-quantized\"}",
         "quantized by compressed-tensors with the format int-quantized,"},
        {"\"quantization_config\": {\"load_in_4bit\": true, \"load_in_8bit\": false}", "quantized by bitsandbytes,"},
        {"\"quantization_config\": {\"bits\": 4, \"group_size\": 128}", "quantized by GPTQ,"},
        {"\"compression_config\": {\"format\": \"pack-quantized\"}", "quantized by compressed-tensors,"},
    };
    REQUIRE(drawn_load(&d, "llama"));
    CHECK(drawn_write_safetensors(&d, file_of("model.safetensors")));
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
        char to[256];
        snprintf(to, sizeof to, "%s, \"vocab_size\"", configs[i][0]);
        write_config("\"vocab_size\"", to);
        refused(configs[i][0], folder, GYR_UNSUPPORTED, configs[i][1]);
    }
    write_config("\"vocab_size\"", "\"quantization_config\": null, \"vocab_size\"");
    runs("no method", folder);
    drawn_free(&d);
}

// A golden's GGUF file with one key as another line.
static const char *with_key(const char *name, const char *key) {
    char *have = NULL;
    size_t i = 0, n = strlen(name);
    gyr_error e = {0};
    for (; i < d.n_keys && strncmp(d.keys[i] + 2, name, n); i++) continue;
    bool extra = i == d.n_keys;
    have = d.keys[i];
    d.keys[i] = (char *)(uintptr_t)key;
    d.n_keys += extra;
    CHECK(drawn_write_gguf(&d, file_of("model.gguf"), &e));
    d.n_keys -= extra;
    d.keys[i] = have;
    return file_of("model.gguf");
}

static void gguf_says_it_otherwise(void) {
    REQUIRE(drawn_load(&d, "llama-linear"));
    runs("no type of scaling", with_key("llama.rope.scaling.type ", "u llama.no 1"));
    runs("the old key", with_key("llama.rope.scaling.factor ", "f llama.rope.scale_linear 4.0"));
    drawn_free(&d);
    REQUIRE(drawn_load(&d, "gemma2"));
    refused("windows of later positions", with_key("gemma2.attention.causal ", "b gemma2.attention.causal 0"),
            GYR_UNSUPPORTED, "key 'gemma2.attention.causal' is false, which gyr does not know of the Gemma 2");
    drawn_free(&d);
    REQUIRE(drawn_load(&d, "llama"));
    runs("tokens that see those before them", with_key("llama.attention.causal ", "b llama.attention.causal 1"));
    runs("no scaling", with_key("llama.rope.scaling.factor ", "f llama.rope.scaling.factor 0.0"));
    runs("a number for each layer", with_key("llama.feed_forward_length ", "I llama.feed_forward_length 48 48"));
    runs("heads of each layer", with_key("llama.attention.head_count_kv ", "I llama.attention.head_count_kv 2 2"));
    refused("layers that differ", with_key("llama.feed_forward_length ", "I llama.feed_forward_length 48 32"),
            GYR_UNSUPPORTED, "key llama.feed_forward_length has numbers that differ");
    refused("a clamp", with_key("llama.attention.clamp_kqv ", "f llama.attention.clamp_kqv 8.0"), GYR_UNSUPPORTED,
            "key llama.attention.clamp_kqv changes what the model computes");
    runs("no clamp", with_key("llama.attention.clamp_kqv ", "f llama.attention.clamp_kqv 0.0"));
    struct drawn_tensor *t = &d.tensor[d.n_tensors++];
    *t = (struct drawn_tensor){.name = "blk.0.attn_rot_embd", .n_dims = 1, .dim = {4}, .n = 4, .gguf = true};
    t->data = calloc(4, sizeof *t->data);
    runs("frequencies", with_key("llama.no ", "u llama.no 1"));
    snprintf(t->name, sizeof t->name, "blk.0.attn_other");
    refused("a tensor", with_key("llama.no ", "u llama.no 1"), GYR_UNSUPPORTED, NO_PLACE("blk.0.attn_other"));
    drawn_free(&d);
    REQUIRE(drawn_load(&d, "gemma4"));
    runs("windows as numbers",
         with_key("gemma4.attention.sliding_window_pattern ", "I gemma4.attention.sliding_window_pattern 1 1 0 1 1 0"));
    drawn_free(&d);
}

// A power of two, which no sum shows.
static float factor_of(int matrix, size_t expert) { return ldexpf(1, matrix % 5 - 2 + (int)(expert % 3)); }

static float *add_vector(const char *matrix, const char *end, size_t n) {
    struct drawn_tensor *t = &d.tensor[d.n_tensors++];
    *t = (struct drawn_tensor){.n_dims = 1, .dim = {n}, .n = n, .gguf = true, .data = calloc(n, sizeof *t->data)};
    snprintf(t->name, sizeof t->name, "%.*s.%s", (int)(strrchr(matrix, '.') - matrix), matrix, end);
    return t->data;
}

// Each matrix of the layers divided by a factor of its own, which stands beside it; how many that are.
static int scale_apart(void) {
    int scaled = 0;
    for (size_t i = 0, all = d.n_tensors; i < all; i++) {
        struct drawn_tensor *t = &d.tensor[i];
        const char *end = strrchr(t->name, '.');
        bool matrix = t->n_dims > 1 && !strstr(t->name, "conv1d") && !strstr(t->name, "norm");
        if (!t->gguf || !matrix || strncmp(t->name, "blk.", 4) || !end || strcmp(end, ".weight")) continue;
        size_t n = t->n_dims == 3 ? t->dim[0] : 1, each = t->n / n; // experts
        float *scale = add_vector(t->name, "scale", n), *input = add_vector(t->name, "input_scale", n);
        for (size_t k = 0; k < n; k++) scale[k] = factor_of(scaled, k), input[k] = 7;
        for (size_t k = 0; k < t->n; k++) t->data[k] /= factor_of(scaled, k / each);
        scaled++;
    }
    return scaled;
}

static void matrices_have_factors_beside_them(void) {
    static const struct {
        const char *name;
        int matrices;
    } cases[] = {{"llama", 14}, {"phi3", 8},    {"qwen3-moe", 16}, {"granite-moe-shared", 22},
                 {"mamba2", 4}, {"qwen3.5", 31}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        REQUIRE(drawn_load(&d, cases[i].name));
        CHECK_INT(scale_apart(), cases[i].matrices);
        runs(cases[i].name, with_key("no.key ", "u no.key 1"));
        drawn_free(&d);
    }
    REQUIRE(drawn_load(&d, "llama"));
    scale_apart();
    d.tensor[d.n_tensors - 2].data[0] = NAN;
    refused("no number", with_key("no.key ", "u no.key 1"), GYR_MALFORMED, ".scale' is not 1 factors");
    drawn_free(&d);
    REQUIRE(drawn_load(&d, "qwen2"));
    scale_apart();
    refused("a factor and a bias", with_key("no.key ", "u no.key 1"), GYR_UNSUPPORTED,
            ".scale' scales a matrix that has biases too");
    drawn_free(&d);
}

int main(void) {
    if (!mkdtemp(folder)) return 1;
    RUN(beside_what_is_read);
    RUN(keys_of_other_classes);
    RUN(what_is_read_must_be_right);
    RUN(a_text_part_among_others);
    remove_parts();
    RUN(output_and_embedding);
    RUN(one_rotation_in_many_words);
    RUN(embedding_under_the_outputs_name);
    RUN(biases_are_where_a_config_says);
    RUN(quantized_weights_are_refused_by_method);
    RUN(gguf_says_it_otherwise);
    RUN(matrices_have_factors_beside_them);
    const char *files[] = {"config.json", "model.safetensors", "model.gguf"};
    for (int i = 0; i < 3; i++) unlink(file_of(files[i]));
    rmdir(folder);
    return test_end();
}
