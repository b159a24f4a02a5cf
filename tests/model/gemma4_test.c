// Gemma 4: two kinds of layers, layers that share keys and values, inputs of each layer. That they compute the right
// thing is families_test's; here is what sessions and sizes make of them, and which models are refused.
#include "drawn.h"

static char folder[] = "/tmp/gyr-gemma4-XXXXXX";
static struct drawn d;

static const char *file_of(const char *name) { return drawn_file(folder, name); }

static bool write_folder(const char *config) {
    return drawn_write_text(file_of("config.json"), config) &&
           drawn_write_safetensors(&d, file_of("model.safetensors"));
}

// The config with the first `from` in it replaced; free().
static char *changed(const char *from, const char *to) {
    const char *at = strstr(d.config, from);
    size_t room = strlen(d.config) + strlen(to) + 1;
    char *out = malloc(room);
    if (!at || !out) {
        free(out);
        return NULL;
    }
    snprintf(out, room, "%.*s%s%s", (int)(at - d.config), d.config, to, at + strlen(from));
    return out;
}

static void refused(const char *path, gyr_status status, const char *message) {
    gyr_error e = {0};
    char want[400];
    gyr_model *m = gyr_model_open(path, NULL, &e);
    CHECK(!m);
    if (m) gyr_model_close(m);
    snprintf(want, sizeof want, "%s: %s", path, message);
    CHECK_INT(e.status, status);
    CHECK_STR(e.message, want);
}

static void configs_that_gyr_does_not_run(void) {
    static const struct {
        const char *name, *from, *to;
        gyr_status status;
        const char *message;
    } cases[] = {
        {"gemma4", "\"use_bidirectional_attention\": null", "\"use_bidirectional_attention\": \"all\"", GYR_UNSUPPORTED,
         "key 'use_bidirectional_attention' of config.json changes what the model computes, and gyr computes it for "
         "null alone; take another "
         "model"},
        {"gemma4", "\"sliding_window\": 20", "\"sliding_window\": null", GYR_MALFORMED,
         "key 'sliding_window' is missing; convert the model again"},
        {"gemma4", "\"rope_theta\": 1000000.0", "\"rope_other\": 1000000.0", GYR_MALFORMED,
         "key 'rope_parameters.full_attention.rope_theta' is missing; get the folder again"},
        {"gemma4", "\"attention_bias\": false", "\"attention_bias\": true", GYR_UNSUPPORTED,
         "key 'attention_bias' of config.json changes what the model computes, and gyr computes it for false alone; "
         "take another "
         "model"},
        {"gemma4", "\"num_global_key_value_heads\": 1", "\"num_global_key_value_heads\": 3", GYR_MALFORMED,
         "layer 2 has 4 heads of 16 elements, 3 of them with keys; gyr takes elements up to 1024 and as many heads to "
         "each key"},
        {"gemma4", "\"attention_k_eq_v\": true", "\"attention_k_eq_v\": false", GYR_MALFORMED,
         "tensor 'model.layers.2.self_attn.k_proj.weight' is 32 x 16, but the hyperparameters make it 32 x 32; convert "
         "the model again"},
        {"gemma4-moe", "\"2\": {\"head_dim\": 16, ", "\"2\": {\"head_dim\": 8, ", GYR_UNSUPPORTED,
         "layer 3 has other heads than those before it; gyr knows two kinds of layers, with a window and without"},
        {"gemma4-moe", "\"num_experts\": 8", "\"num_experts\": null", GYR_MALFORMED,
         "key 'num_local_experts' is missing; convert the model again"},
        {"gemma4-e2b", "\"num_kv_shared_layers\": 4", "\"num_kv_shared_layers\": 6", GYR_UNSUPPORTED,
         "layer 2 shares keys and values that no layer before it has; convert the model again"},
        {"gemma4-e2b", "\"hidden_size_per_layer_input\": 12, ", "", GYR_MALFORMED,
         "tensor 'model.embed_tokens_per_layer.weight' is 96 x 64, but the hyperparameters make it 2048 x 64; convert "
         "the model again"},
        {"gemma4-e2b", "\"use_double_wide_mlp\": true", "\"use_double_wide_mlp\": false", GYR_MALFORMED,
         "tensor 'model.layers.4.mlp.gate_proj.weight' is 32 x 96, but the hyperparameters make it 32 x 48; convert "
         "the "
         "model again"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        REQUIRE(drawn_load(&d, cases[i].name));
        char *config = changed(cases[i].from, cases[i].to);
        if (!config) printf("  no %s in %s\n", cases[i].from, cases[i].name);
        REQUIRE(config && write_folder(config));
        refused(folder, cases[i].status, cases[i].message);
        free(config);
        drawn_free(&d);
    }
}

// Keys of a GGUF file: another value in place of one, or none.
static void files_that_gyr_does_not_run(void) {
    static const struct {
        const char *name, *key, *put;
        gyr_status status;
        const char *message;
    } cases[] = {
        {"gemma4", "B gemma4.attention.sliding_window_pattern", NULL, GYR_MALFORMED,
         "key 'gemma4.attention.sliding_window_pattern' is missing; convert the model again"},
        {"gemma4", "u gemma4.attention.key_length_swa", NULL, GYR_MALFORMED,
         "key 'gemma4.attention.key_length_swa' is missing; convert the model again"},
        {"gemma4", "I gemma4.attention.head_count_kv", "I gemma4.attention.head_count_kv 2 2 1 2", GYR_MALFORMED,
         "key 'gemma4.attention.head_count_kv' has no whole number from 1 to 65536 for layer 4"},
        {"gemma4-e2b", "u gemma4.embedding_length_per_layer_input", NULL, GYR_MALFORMED,
         "key 'gemma4.embedding_length_per_layer_input' is missing; convert the model again"},
        {"gemma4-e2b", "u gemma4.embedding_length_per_layer_input", "u gemma4.embedding_length_per_layer_input 0",
         GYR_UNSUPPORTED, "tensor 'blk.0.inp_gate.weight' has no place in a model of the Gemma 4"},
        {"gemma4-e2b", "u gemma4.attention.shared_kv_layers", "u gemma4.attention.shared_kv_layers 2", GYR_MALFORMED,
         "tensor 'blk.4.attn_k.weight' is missing; download or convert the model again"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t k = 0;
        REQUIRE(drawn_load(&d, cases[i].name));
        while (k < d.n_keys && strncmp(d.keys[k], cases[i].key, strlen(cases[i].key))) k++;
        REQUIRE(k < d.n_keys);
        free(d.keys[k]);
        d.keys[k] = cases[i].put ? strdup(cases[i].put) : strdup("u gemma4.nothing 0");
        REQUIRE(drawn_write_gguf(&d, file_of("model.gguf"), NULL));
        refused(file_of("model.gguf"), cases[i].status, cases[i].message);
        drawn_free(&d);
    }
}

// llama.cpp's converter writes the matrices that sharing layers do not use.
static void what_is_not_used_is_passed_over(void) {
    gyr_error e = {0};
    REQUIRE(drawn_load(&d, "gemma4-e2b"));
    const char *const names[] = {"blk.4.attn_k.weight", "blk.4.attn_v.weight", "blk.4.attn_k_norm.weight"};
    for (int i = 0; i < 3; i++) {
        struct drawn_tensor *t = &d.tensor[d.n_tensors++];
        *t = (struct drawn_tensor){.n_dims = i < 2 ? 2 : 1, .dim = {8, 32, 1, 1}, .n = i < 2 ? 256 : 8, .gguf = true};
        snprintf(t->name, sizeof t->name, "%s", names[i]);
        REQUIRE(t->data = calloc(t->n, sizeof *t->data));
    }
    REQUIRE(drawn_write_gguf(&d, file_of("model.gguf"), &e));
    gyr_model *m = gyr_model_open(file_of("model.gguf"), NULL, &e);
    CHECK_STR(e.message, "");
    gyr_session *s = m ? gyr_session_new(m, NULL, &e) : NULL;
    float *out = malloc((size_t)(d.text_n * d.vocab) * sizeof *out);
    REQUIRE(s && out && !gyr_session_feed(s, d.text, (size_t)d.text_n, out, &e));
    float far = 0;
    for (int i = 0; i < d.text_n * d.vocab; i++) far = fmaxf(far, fabsf(out[i] - d.logits[i]));
    CHECK(far < 1e-4f);
    free(out);
    gyr_session_free(s);
    gyr_model_close(m);
    drawn_free(&d);
}

static bool feed(gyr_session *s, int from, int to, float *out) {
    return !gyr_session_feed(s, d.text + from, (size_t)(to - from), out + (size_t)(from * d.vocab), NULL);
}

// Forks, and sessions cut short, are what one session alone would be, with any type of cache.
static void sessions_fork_and_go_back(void) {
    static const char *const names[] = {"gemma4", "gemma4-moe", "gemma4-e2b"};
    static const gyr_kv_type types[] = {GYR_KV_F32, GYR_KV_F16, GYR_KV_Q8};
    for (int i = 0; i < 9; i++) {
        REQUIRE(drawn_load(&d, names[i % 3]) && drawn_write_gguf(&d, file_of("model.gguf"), NULL));
        size_t bytes = (size_t)(d.text_n * d.vocab) * sizeof(float);
        float *want = calloc(1, bytes), *got = calloc(1, bytes);
        gyr_model *m = gyr_model_open(file_of("model.gguf"), NULL, NULL);
        gyr_session *s = m ? gyr_session_new(m, &(gyr_session_options){.kv_type = types[i / 3]}, NULL) : NULL;
        REQUIRE(want && got && s && feed(s, 0, d.text_n, want));
        gyr_session_truncate(s, 0);
        CHECK(feed(s, 0, 37, got));
        gyr_session *fork = gyr_session_fork(s, NULL);
        REQUIRE(fork);
        int32_t other[] = {1, 2, 3, 4, 5, 6, 7};
        CHECK(!gyr_session_feed(s, other, 7, NULL, NULL)); // writes beside what they share
        CHECK(feed(fork, 37, d.text_n, got) && !memcmp(got, want, bytes));
        memset(got, 0, bytes);
        gyr_session_truncate(s, 21);
        CHECK(feed(s, 21, 30, got) && feed(s, 30, d.text_n, got));
        size_t kept = (size_t)(21 * d.vocab);
        CHECK(!memcmp(got + kept, want + kept, bytes - kept * sizeof *got));
        gyr_session_free(fork);
        gyr_session_free(s);
        gyr_model_close(m);
        free(want);
        free(got);
        drawn_free(&d);
    }
}

// Rows whose logits nobody wants do not go through the last layers of the small one; the others do not notice, whoever
// else is in the batch.
static void rows_that_nobody_asks_for(void) {
    REQUIRE(drawn_load(&d, "gemma4-e2b") && drawn_write_gguf(&d, file_of("model.gguf"), NULL));
    size_t row = (size_t)d.vocab * sizeof(float), bytes = (size_t)d.text_n * row;
    float *want = calloc(1, bytes), *got = calloc(1, bytes);
    gyr_model *m = gyr_model_open(file_of("model.gguf"), NULL, NULL);
    gyr_session *s[3] = {NULL};
    for (int i = 0; m && i < 3; i++) s[i] = gyr_session_new(m, NULL, NULL);
    REQUIRE(want && got && s[0] && s[1] && s[2] && feed(s[0], 0, d.text_n, want));
    gyr_session_truncate(s[0], 0);
    gyr_input in[] = {{s[0], d.text, 31, NULL}, {s[1], d.text, 9, got}, {s[2], d.text, 50, NULL}};
    REQUIRE(!gyr_sessions_feed(in, 3, NULL));
    CHECK(!memcmp(gyr_session_logits(s[0]), want + 30 * d.vocab, row));
    CHECK(!memcmp(got, want, 9 * row));
    CHECK(!memcmp(gyr_session_logits(s[2]), want + 49 * d.vocab, row));
    CHECK(feed(s[0], 31, d.text_n, got));
    CHECK(!memcmp(got + 31 * d.vocab, want + 31 * d.vocab, bytes - 31 * row));
    for (int i = 0; i < 3; i++) gyr_session_free(s[i]);
    gyr_model_close(m);
    free(want);
    free(got);
    drawn_free(&d);
}

// Hidden size 32, 4 heads of 8 (of 16 where there is no window), MLPs of 48, 64 tokens.
static void sizes_and_work_are_what_the_shape_says(void) {
    static const struct {
        const char *name;
        long long each, last; // weights that a token, and a sequence's last one, is multiplied by
        long long kv, unread; // bytes of cache, bytes that are only looked up
    } cases[] = {
        // q, k, v, out of layers with a window, and without; MLP, router, 3 of 8 experts of 24
        {"gemma4-moe", 2 * (1024 + 512 + 512 + 1024) + 2 * (2048 + 512 + 2048) + 4 * (4608 + 256 + 3 * 3 * 768), 0,
         4 * (2 * 2 * 2 * 8 + 2 * 2 * 16), 0},
        // 3 layers with a window and 1 without keep keys and values, 2 and 2 do not; MLPs; inputs of 12
        {"gemma4-e2b", 3 * (1024 + 256 + 256 + 1024) + (2048 + 512 + 512 + 2048) + 4 * 4608 + 4 * 2 * 384 + 32 * 96,
         2 * 2048 + 2 * 4096 + 4 * 9216 + 4 * 2 * 384, 4 * (3 * 2 * 8 + 2 * 16), 96 * 63 * 4},
    };
    for (int i = 0; i < 2; i++) {
        gyr_model_info info;
        gyr_work work;
        REQUIRE(drawn_load(&d, cases[i].name) && drawn_write_gguf(&d, file_of("model.gguf"), NULL));
        gyr_model *m = gyr_model_open(file_of("model.gguf"), NULL, NULL);
        REQUIRE(m);
        gyr_model_get_info(m, &info);
        gyr_model_get_work(m, GYR_KV_DEFAULT, 3, 5, 10, &work);
        CHECK_INT(work.fp32, 2 * (15 * cases[i].each + 3 * (cases[i].last + 2048)));
        CHECK_INT(info.kv_bytes_per_token, cases[i].kv);
        CHECK_INT(work.read, (long long)info.decode_bytes + 3 * 15 * cases[i].kv);
        if (cases[i].unread) CHECK_INT(info.weight_bytes - info.decode_bytes, cases[i].unread);
        gyr_model_close(m);
        drawn_free(&d);
    }
}

int main(void) {
    if (!mkdtemp(folder)) return 1;
    RUN(configs_that_gyr_does_not_run);
    RUN(files_that_gyr_does_not_run);
    RUN(what_is_not_used_is_passed_over);
    RUN(sessions_fork_and_go_back);
    RUN(rows_that_nobody_asks_for);
    RUN(sizes_and_work_are_what_the_shape_says);
    const char *files[] = {"config.json", "model.safetensors", "model.gguf"};
    for (int i = 0; i < 3; i++) unlink(file_of(files[i]));
    rmdir(folder);
    return test_end();
}
