// What a model's file says of the embeddings that it is for: the modules of sentence-transformers in a folder
// (modules.json and a folder for each module), or the keys that llama.cpp has for it in GGUF. What gyr does not compute
// is no reason not to open the model, and is kept as the reason why it makes no embeddings.
#include "format/hf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_FILE = 1 << 20, MAX_MODULES = 16, MAX_PROMPTS = 256 };

// Notes why there are no embeddings; false when out of memory.
__attribute__((format(printf, 3, 4))) static bool refuse(struct checkpoint *c, gyr_error *e, const char *format, ...) {
    char text[256];
    va_list args;
    if (c->sentence.refused) return true;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    c->sentence.refused = arena_copy(&c->storage->arena, (struct text){text, strlen(text)});
    return c->sentence.refused || fail_memory(e, c->path);
}

static const char *keep(struct checkpoint *c, const char *text) {
    return arena_copy(&c->storage->arena, (struct text){text, strlen(text)});
}

// A module's own config.json, which it may lack; NULL then, and where it cannot be read.
static json_t *module_config(const struct checkpoint *c, struct text path) {
    char name[160];
    snprintf(name, sizeof name, "%.*s/config.json", (int)path.size, path.data);
    char *file = folder_path(c->path, name);
    json_t *root = file && folder_has(c->path, name) ? json_open(file, MAX_FILE, 0, NULL) : NULL;
    free(file);
    return root;
}

static const struct {
    const char *key, *word;
    enum pooling is;
} modes[] = {{"pooling_mode_cls_token", "cls", POOLING_FIRST},
             {"pooling_mode_mean_tokens", "mean", POOLING_MEAN},
             {"pooling_mode_lasttoken", "lasttoken", POOLING_LAST}};
enum { MODES = sizeof modes / sizeof *modes };

static bool set_pooling(struct checkpoint *c, size_t mode, const char *called, gyr_error *e) {
    if (mode == MODES)
        return refuse(c, e, "pooling by '%.60s' is not one gyr knows; it knows cls, mean and lasttoken", called);
    if (c->sentence.pooling) return refuse(c, e, "it pools in two ways, which gyr does not");
    c->sentence.pooling = modes[mode].is;
    return true;
}

// A flag for each way to pool, or, in newer files, one word.
static bool read_pooling(struct checkpoint *c, const json_t *config, gyr_error *e) {
    static const char front[] = "pooling_mode_";
    struct text word = json_text(json_object_get(config, "pooling_mode"));
    const char *key;
    json_t *v;
    size_t m = 0;
    bool ok = true;
    if (json_is_array(json_object_get(config, "pooling_mode")))
        return refuse(c, e, "it pools in several ways, which gyr does not");
    if (json_is_false(json_object_get(config, "include_prompt")))
        ok = refuse(c, e, "it leaves its prompt out of what it pools, which gyr does not");
    while (word.data && m < MODES && strcmp(word.data, modes[m].word)) m++;
    if (word.data) return ok && set_pooling(c, m, word.data, e);
    json_object_foreach((json_t *)(uintptr_t)config, key, v) {
        if (strncmp(key, front, sizeof front - 1) || !json_is_true(v)) continue;
        for (m = 0; m < MODES && strcmp(key, modes[m].key);) m++;
        ok = ok && set_pooling(c, m, key, e);
    }
    bool told = json_object_get(config, modes[1].key);
    if (!c->sentence.pooling && !told) c->sentence.pooling = POOLING_MEAN; // sentence-transformers' default
    return ok && (c->sentence.pooling || refuse(c, e, "its pooling is of no kind"));
}

// Its tensors are called by the module's folder: "2_Dense.linear.weight".
static bool read_dense(struct checkpoint *c, const json_t *config, struct text path, gyr_error *e) {
    struct sentence *s = &c->sentence;
    struct text act = json_text(json_object_get(config, "activation_function"));
    const char *last = act.data ? strrchr(act.data, '.') : NULL;
    char name[160];
    if (s->n_dense == MAX_DENSE) return refuse(c, e, "it has more than %d Dense modules", MAX_DENSE);
    if (act.data && strcmp(last ? last + 1 : act.data, "Identity") && strcmp(last ? last + 1 : act.data, "Tanh"))
        return refuse(c, e, "a Dense module with activation '%.60s'; gyr knows Identity and Tanh", act.data);
    const char *const names[] = {"module_input_name", "module_output_name"};
    for (size_t i = 0; i < 2; i++)
        if (json_text(json_object_get(config, names[i])).data &&
            !json_is(json_object_get(config, names[i]), "sentence_embedding"))
            return refuse(c, e, "a Dense module of something else than the embedding");
    if (json_is_true(json_object_get(config, "use_residual")))
        return refuse(c, e, "a Dense module with a residual, which gyr does not compute");
    s->dense[s->n_dense].tanh = !act.data || !strcmp(last ? last + 1 : act.data, "Tanh");
    snprintf(name, sizeof name, "%.*s.linear.weight", (int)path.size, path.data);
    if (!(s->dense[s->n_dense].weight = keep(c, name))) return fail_memory(e, c->path);
    if (!json_is_false(json_object_get(config, "bias"))) {
        snprintf(name, sizeof name, "%.*s.linear.bias", (int)path.size, path.data);
        if (!(s->dense[s->n_dense].bias = keep(c, name))) return fail_memory(e, c->path);
    }
    s->n_dense++;
    return true;
}

// Modules are called by their class, of which the last word counts: its package has moved between versions.
static bool read_module(struct checkpoint *c, size_t i, const json_t *j, gyr_error *e) {
    struct text type = json_text(json_object_get(j, "type")), path = json_text(json_object_get(j, "path"));
    const char *dot = type.data ? strrchr(type.data, '.') : NULL, *class = dot ? dot + 1 : type.data ? type.data : "";
    struct sentence *s = &c->sentence;
    if (i == 0) {
        bool whole = !strcmp(class, "Transformer") && !path.size;
        return whole || refuse(c, e, "its first module is not a Transformer in the same folder");
    }
    if (s->unit) return refuse(c, e, "a module '%.60s' behind Normalize, which gyr does not compute", class);
    if (!strcmp(class, "Normalize")) return s->unit = true;
    bool pools = !strcmp(class, "Pooling"), dense = !strcmp(class, "Dense");
    if ((!pools && !dense) || (dense && !s->pooling))
        return refuse(c, e, "a module '%.60s'%s, which gyr does not compute", class,
                      dense ? " in front of the pooling" : "");
    if (!plain_name(path) || path.size > 100) return refuse(c, e, "a module '%.60s' without a folder", class);
    json_t *config = module_config(c, path);
    bool ok = config ? pools ? read_pooling(c, config, e) : read_dense(c, config, path, e)
                     : refuse(c, e, "%.*s/config.json cannot be read", (int)path.size, path.data);
    json_decref(config);
    return ok;
}

static bool read_modules(struct checkpoint *c, gyr_error *e) {
    size_t size = 0;
    char *path = folder_path(c->path, "modules.json");
    if (!path) return fail_memory(e, c->path);
    char *data = read_file(path, MAX_FILE, &size, NULL);
    json_t *list = data ? json_parse_list(data, size, 0, path, NULL) : NULL;
    size_t n = json_array_size(list);
    c->sentence.told = true;
    bool ok = n && n <= MAX_MODULES ? true : refuse(c, e, "modules.json is no list of up to %d modules", MAX_MODULES);
    for (size_t i = 0; ok && i < n && n <= MAX_MODULES; i++) ok = read_module(c, i, json_array_get(list, i), e);
    if (ok && !c->sentence.pooling) ok = refuse(c, e, "it has no pooling module");
    json_decref(list);
    free(data);
    free(path);
    return ok;
}

static bool read_dense_weights(struct checkpoint *c, gyr_error *e) {
    bool ok = true;
    if (c->sentence.refused) c->sentence.n_dense = 0;
    for (size_t i = 0; ok && i < c->sentence.n_dense; i++) {
        const char *weight = c->sentence.dense[i].weight;
        int n = (int)(strrchr(weight, '.') - weight) - (int)strlen("linear") - 1; // the module's folder
        char name[160], prefix[160];
        struct map m;
        snprintf(name, sizeof name, "%.*s/model.safetensors", n, weight);
        snprintf(prefix, sizeof prefix, "%.*s.", n, weight);
        if (!folder_has(c->path, name))
            return fail(e, GYR_IO, "%s/%s: is missing; get the folder again", c->path, name);
        char *path = folder_path(c->path, name);
        ok = path ? storage_map(c->storage, path, &m, e) : fail_memory(e, c->path);
        ok = ok && safetensors_read(c, path, m.data, m.size, &(struct shard_of){.prefix = prefix}, e);
        free(path);
    }
    return ok;
}

static bool read_prompts(struct checkpoint *c, const json_t *config, gyr_error *e) {
    struct sentence *s = &c->sentence;
    const json_t *prompts = json_object_get(config, "prompts");
    struct text usual = json_text(json_object_get(config, "default_prompt_name"));
    size_t n = json_object_size(prompts);
    const char *key;
    json_t *v;
    if (n > MAX_PROMPTS) return refuse(c, e, "it has more than %d prompts", MAX_PROMPTS);
    if (n && !(s->prompts = arena_alloc(&c->storage->arena, n, sizeof *s->prompts))) return fail_memory(e, c->path);
    json_object_foreach((json_t *)(uintptr_t)prompts, key, v) {
        const char *text = json_c_string(v);
        if (!text) continue;
        struct prompt p = {keep(c, key), keep(c, text)};
        if (!p.name || !p.text) return fail_memory(e, c->path);
        s->prompts[s->n_prompts++] = p;
    }
    if (usual.size && !(s->usual = keep(c, usual.data))) return fail_memory(e, c->path);
    return true;
}

// Heads of cross-encoders (transformers' BertForSequenceClassification, RobertaForSequenceClassification and
// XLMRobertaForSequenceClassification, and llama.cpp's names for them): the first token's vector goes through a Dense
// layer with tanh, and one that gives a number.
static const struct head {
    const char *inner[2], *outer[2]; // weight and bias
} heads[] = {
    {{"bert.pooler.dense.weight", "bert.pooler.dense.bias"}, {"classifier.weight", "classifier.bias"}},
    {{"classifier.dense.weight", "classifier.dense.bias"}, {"classifier.out_proj.weight", "classifier.out_proj.bias"}},
    {{"cls.weight", "cls.bias"}, {"cls.output.weight", "cls.output.bias"}},
};

static void add_head(struct checkpoint *c, const char *const names[2], bool tanh) {
    struct sentence *s = &c->sentence;
    s->dense[s->n_dense].weight = names[0];
    s->dense[s->n_dense].bias = checkpoint_tensor(c, names[1]) ? names[1] : NULL;
    s->dense[s->n_dense++].tanh = tanh;
}

// Whether the checkpoint has one of them; of other classifiers, which have several numbers, nothing is said here.
static bool find_relevance(struct checkpoint *c) {
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        const struct tensor *outer = checkpoint_tensor(c, heads[i].outer[0]);
        if (!outer || outer->dim[1] != 1 || !checkpoint_tensor(c, heads[i].inner[0])) continue;
        c->sentence.n_dense = 0;
        c->sentence.relevance = true;
        c->sentence.pooling = POOLING_FIRST;
        add_head(c, heads[i].inner, true);
        add_head(c, heads[i].outer, false);
        return true;
    }
    return false;
}

static const char no_embeddings[] =
    "it says how relevant a text is to another (/v1/rerank of gyr serve), and makes none";

bool hf_sentence(struct checkpoint *c, gyr_error *e) {
    static const char side[] = "config_sentence_transformers.json";
    if (folder_has(c->path, "modules.json") && !read_modules(c, e)) return false;
    if (find_relevance(c)) return refuse(c, e, no_embeddings);
    char *path = folder_path(c->path, side);
    json_t *config = path && folder_has(c->path, side) ? json_open(path, MAX_FILE, 0, NULL) : NULL;
    bool ok = path ? !config || read_prompts(c, config, e) : fail_memory(e, c->path);
    json_decref(config);
    free(path);
    return ok && read_dense_weights(c, e);
}

bool gguf_sentence(struct checkpoint *c, gyr_error *e) {
    static const char *const dense[] = {"dense_2.weight", "dense_3.weight"};
    static const enum pooling kinds[] = {POOLING_UNTOLD, POOLING_MEAN, POOLING_FIRST, POOLING_LAST};
    struct sentence *s = &c->sentence;
    char key[128];
    uint64_t kind = 0;
    snprintf(key, sizeof key, "%.60s.pooling_type", c->architecture);
    if (!keys_uint(c->keys, c->path, key, 0, UINT32_MAX, &kind, e)) return false;
    if (kind == 4)
        return refuse(c, e, find_relevance(c) ? no_embeddings : "it ranks texts by a head that gyr does not know");
    if (kind > 4) return refuse(c, e, "key '%s' is %llu, which gyr does not know", key, (unsigned long long)kind);
    s->pooling = kinds[kind];
    s->unit = true; // there is no key for it, and llama.cpp's programs do so unless told
    for (size_t i = 0; i < 2; i++)
        if (checkpoint_tensor(c, dense[i])) s->dense[s->n_dense++].weight = dense[i];
    return true;
}
