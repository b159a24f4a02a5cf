// Hugging Face configs of other ages and makers: those that mean the same model run the same, the others are refused.
#include "golden.h"

#include <dirent.h>
#include <sys/stat.h>

// A folder of links to a golden one, with a config.json of its own.
struct folder {
    char path[64];
    char config[8192];
};

static bool link_all(const struct folder *f, const char *from) {
    char real[1024], target[2048], name[512];
    struct dirent *d;
    DIR *dir = realpath(golden_path(from), real) ? opendir(real) : NULL;
    bool ok = dir;
    while (ok && (d = readdir(dir))) {
        if (*d->d_name == '.' || !strcmp(d->d_name, "config.json")) continue;
        snprintf(target, sizeof target, "%s/%s", real, d->d_name);
        snprintf(name, sizeof name, "%s/%s", f->path, d->d_name);
        ok = !symlink(target, name);
    }
    if (dir) closedir(dir);
    return ok;
}

static bool make(struct folder *f, const char *from) {
    char name[128];
    snprintf(f->path, sizeof f->path, "/tmp/gyr-config-XXXXXX");
    snprintf(name, sizeof name, "%s/config.json", from);
    FILE *in = fopen(golden_path(name), "r");
    size_t n = in ? fread(f->config, 1, sizeof f->config - 1, in) : 0;
    if (in) fclose(in);
    f->config[n] = 0;
    return n && mkdtemp(f->path) && link_all(f, from);
}

static bool replace(struct folder *f, const char *from, const char *to) {
    char *at = strstr(f->config, from);
    size_t n = strlen(f->config) + strlen(to);
    if (!at || n >= sizeof f->config) return false;
    memmove(at + strlen(to), at + strlen(from), strlen(at + strlen(from)) + 1);
    memcpy(at, to, strlen(to));
    return true;
}

static bool write_config(const struct folder *f) {
    char name[128];
    snprintf(name, sizeof name, "%s/config.json", f->path);
    FILE *out = fopen(name, "w");
    return out && fputs(f->config, out) >= 0 && !fclose(out);
}

static void remove_all(const struct folder *f) {
    char name[512];
    struct dirent *d;
    DIR *dir = opendir(f->path);
    while (dir && (d = readdir(dir))) {
        snprintf(name, sizeof name, "%s/%s", f->path, d->d_name);
        if (strcmp(d->d_name, ".") && strcmp(d->d_name, "..")) unlink(name);
    }
    if (dir) closedir(dir);
    rmdir(f->path);
}

struct change {
    const char *kind;
    const char *edits[8]; // text, what stands in its place, text, ...
    gyr_status status;
    const char *message; // without the folder in front
};

static bool change(struct folder *f, const struct change *c) {
    char from[64];
    snprintf(from, sizeof from, "%s/hf", c->kind);
    if (!make(f, from)) return false;
    for (int i = 0; i < 8 && c->edits[i]; i += 2)
        if (!replace(f, c->edits[i], c->edits[i + 1])) return printf("  no %s in the config\n", c->edits[i]), false;
    return write_config(f);
}

static const struct change same[] = {
    // The names before transformers knew Falcon.
    {"7b",
     {"\"falcon\"", "\"RefinedWebModel\"", "num_attention_heads", "n_head", "num_hidden_layers", "n_layer",
      "num_kv_heads", "ignored"},
     GYR_OK,
     NULL},
    {"7b", {"\"num_kv_heads\": 4", "\"num_kv_heads\": null", "\"rope_theta\": 10000.0", "\"other\": 1"}, GYR_OK, NULL},
    {"7b",
     {"\"rope_scaling\": null", "\"rope_parameters\": {\"rope_type\": \"default\", \"rope_theta\": 10000}"},
     GYR_OK,
     NULL},
    {"40b", {"\"num_ln_in_parallel_attn\": 2", "\"num_ln_in_parallel_attn\": null"}, GYR_OK, NULL},
    {"40b", {"num_ln_in_parallel_attn", "ignored", "multi_query", "ignored_too"}, GYR_OK, NULL},
    {"40b",
     {"\"falcon\"", "\"RefinedWeb\"", "num_kv_heads", "n_head_kv", "\"new_decoder_architecture\": true,", "",
      "\"num_ln_in_parallel_attn\": 2,", ""},
     GYR_OK,
     NULL},
    {"11b",
     {"\"rope_parameters\": {\n  \"rope_theta\": 500042.0,\n  \"rope_type\": \"default\"\n }",
      "\"rope_theta\": 500042, \"rope_scaling\": null"},
     GYR_OK,
     NULL},
    {"rw", {"\"bos_token_id\": 11", "\"num_kv_heads\": 9, \"activation\": \"gelu\""}, GYR_OK, NULL},
};

static void same_model(void) {
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        struct folder f;
        struct golden g;
        gyr_error e = {0};
        CHECK(change(&f, &same[i]));
        REQUIRE(golden_load(same[i].kind, &g));
        gyr_model *m = gyr_model_open(f.path, NULL, &e);
        gyr_session *s = m ? gyr_session_new(m, &(gyr_session_options){.kv_type = GYR_KV_F32}, &e) : NULL;
        size_t vocab = (size_t)g.vocab.id[0];
        float *x = malloc(g.prompt.n * vocab * sizeof *x), far = 0;
        bool ok = s && x && !gyr_session_feed(s, g.prompt.id, g.prompt.n, x, &e);
        if (!ok) printf("  case %zu: %s\n", i, e.message);
        CHECK(ok);
        for (size_t k = 0; ok && k < g.prompt.n * vocab; k++) far = fmaxf(far, fabsf(x[k] - g.logits[k]));
        CHECK(far <= 0.2f); // its weights are bfloat16, and so are their products
        gyr_session_free(s);
        if (m) gyr_model_close(m);
        free(x);
        golden_free(&g);
        remove_all(&f);
    }
}

static const struct change others[] = {
    {"7b",
     {"\"bias\": false", "\"bias\": true"},
     GYR_UNSUPPORTED,
     "architecture 'falcon' in a combination of traits that gyr does not know"},
    {"7b",
     {"\"multi_query\": true", "\"multi_query\": false"},
     GYR_UNSUPPORTED,
     "architecture 'falcon' in a combination of traits that gyr does not know"},
    {"rw",
     {"\"parallel_attn\": false", "\"parallel_attn\": true"},
     GYR_UNSUPPORTED,
     "architecture 'falcon' in a combination of traits that gyr does not know"},
    {"7b", {"\"falcon\"", "\"gpt9\""}, GYR_UNSUPPORTED, "architecture 'gpt9' is not one gyr knows; it knows: falcon"},
    {"7b",
     {"\"rope_scaling\": null", "\"rope_scaling\": {\"type\": \"lineal\", \"factor\": 2.0}"},
     GYR_UNSUPPORTED,
     "rope scaling 'lineal' is not one gyr knows"},
    {"11b", {"\"default\"", "\"jarn\""}, GYR_UNSUPPORTED, "rope scaling 'jarn' is not one gyr knows"},
    {"7b", {"\"gelu\"", "\"tanh\""}, GYR_UNSUPPORTED, "activation 'tanh' is not supported yet"},
    {"7b",
     {"ffn_hidden_size", "ignored"},
     GYR_MALFORMED,
     "tensor 'transformer.h.0.mlp.dense_h_to_4h.weight' is 64 x 96, but the hyperparameters make it 64 x 256; "
     "convert the model again"},
    {"40b",
     {"\"hidden_size\": 64", "\"hidden_size\": 128"},
     GYR_MALFORMED,
     "tensor 'transformer.word_embeddings.weight' is 64 x 288, but the hyperparameters make it 128 x 288; "
     "convert the model again"},
    {"40b",
     {"\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3"},
     GYR_MALFORMED,
     "tensor 'transformer.h.2.ln_attn.weight' is missing; download or convert the model again"},
    {"40b",
     {"\"num_hidden_layers\": 2", "\"num_hidden_layers\": null"},
     GYR_MALFORMED,
     "key 'num_hidden_layers' is missing; convert the model again"},
    {"40b",
     {"\"num_attention_heads\": 4", "\"num_attention_heads\": 0"},
     GYR_MALFORMED,
     "key num_attention_heads is 0, not within 1 to 65536; the file is damaged or not for gyr"},
    {"40b",
     {"\"num_attention_heads\": 4", "\"num_attention_heads\": \"4\""},
     GYR_MALFORMED,
     "key num_attention_heads must be a whole number, not a string; the file is damaged or not a language model"},
    {"40b",
     {"\"num_ln_in_parallel_attn\": 2", "\"num_ln_in_parallel_attn\": 3"},
     GYR_UNSUPPORTED,
     "architecture 'falcon' in a combination of traits that gyr does not know"},
};

static void other_models(void) {
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        struct folder f;
        gyr_error e = {0};
        char want[512];
        CHECK(change(&f, &others[i]));
        gyr_model *m = gyr_model_open(f.path, NULL, &e);

        snprintf(want, sizeof want, "%s: %s", f.path, others[i].message);
        CHECK(!m);
        CHECK_INT(e.status, others[i].status);
        if (strstr(want, "it knows: ")) e.message[strlen(want)] = 0; // the list grows
        CHECK_STR(e.message, want);
        if (m) gyr_model_close(m);
        remove_all(&f);
    }
}

int main(void) {
    RUN(same_model);
    RUN(other_models);
    return test_end();
}
