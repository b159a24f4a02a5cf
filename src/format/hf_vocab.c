// The tokenizer of a Hugging Face folder: tokenizer.json, and what tokenizer_config.json, generation_config.json,
// chat_template.jinja and config.json say beside it.
#include "format/hf_vocab.h"

#include <stdlib.h>
#include <string.h>

// The largest tokenizer.json in use has about 35 MB (262,144 tokens).
enum { MAX_TOKENIZER = 128 << 20, MAX_CONFIG = 16 << 20 };

static int32_t find_token(const struct vocab *v, struct text s) {
    for (size_t i = 0; s.data && i < v->n; i++)
        if (v->tokens[i].size == s.size && !memcmp(v->tokens[i].data, s.data, s.size)) return (int32_t)i;
    return -1;
}

// A file of the folder that need not be there: true and *root NULL.
static bool open_optional(const char *folder, const char *name, json_t **root, gyr_error *e) {
    *root = NULL;
    if (!folder_has(folder, name)) return true;
    char *path = folder_path(folder, name);
    if (path) *root = json_open(path, MAX_CONFIG, 0, e);
    bool ok = path ? *root != NULL : fail_memory(e, folder);
    free(path);
    return ok;
}

// Tokens are written as "text" or as {"content": "text", ...}.
static void read_token(const json_t *config, const char *name, const struct vocab *v, int32_t *id) {
    const json_t *j = json_object_get(config, name);
    int32_t found = find_token(v, json_text(json_is_object(j) ? json_object_get(j, "content") : j));
    if (found >= 0) *id = found;
}

// The tokenizer classes that let these two flags overrule tokenizer.json's post-processor.
static void read_flags(const json_t *config, struct vocab *v) {
    static const char *const classes[] = {"Llama", "CodeLlama", "Gemma"};
    struct text class = json_text(json_object_get(config, "tokenizer_class"));
    const json_t *bos = json_object_get(config, "add_bos_token"), *eos = json_object_get(config, "add_eos_token");
    for (size_t i = 0; class.data && i < sizeof classes / sizeof *classes; i++) {
        if (strncmp(class.data, classes[i], strlen(classes[i]))) continue;
        if (json_is_boolean(bos)) v->add_bos = json_is_true(bos), v->n_lead = 0;
        if (json_is_boolean(eos)) v->add_eos = json_is_true(eos);
    }
}

static bool read_config_id(const struct keys *keys, const char *name, const char *folder, struct vocab *v,
                           int32_t *id) {
    const struct value *value = keys_get(keys, name);
    struct value first = value ? value_at(value, 0) : (struct value){0};
    if (*id >= 0 || first.kind != VALUE_UINT) return true;
    if (first.u < v->n) return *id = (int32_t)first.u, true;
    return vocab_note(v, "%s: %s of config.json is %llu, and there are %zu tokens; it is left out", folder, name,
                      (unsigned long long)first.u, v->n);
}

static bool read_tokenizer(const char *folder, const char *name,
                           bool (*read)(const char *, size_t, const char *, struct vocab *, gyr_error *),
                           struct vocab *v, gyr_error *e) {
    char *path = folder_path(folder, name);
    size_t size;
    char *data = path ? read_file(path, MAX_TOKENIZER, &size, e) : NULL;
    bool ok = path ? data && read(data, size, path, v, e) : fail_memory(e, folder);
    free(data);
    free(path);
    return ok;
}

// The file that says most goes first.
static const struct {
    const char *name;
    bool (*read)(const char *, size_t, const char *, struct vocab *, gyr_error *);
} files[] = {{"tokenizer.json", tokenizer_json},
             {"tokenizer.model", spm_model},
             {"tekken.json", tekken_json},
             {"tiktoken.model", tiktoken_model},
             {"qwen.tiktoken", qwen_tiktoken}};
enum { FILES = sizeof files / sizeof *files };

bool hf_has_vocab(const char *folder) {
    bool any = false;
    for (size_t i = 0; i < FILES; i++) any |= folder_has(folder, files[i].name);
    return any;
}

// How text is split is in the folder's own program, where its file has ranks alone. gyr runs no program of a folder,
// and knows what these do.
static bool name_patterns(const json_t *config, struct vocab *v, const char *where, gyr_error *e) {
    static const struct {
        const char *class, *pre;
    } known[] = {{"TikTokenTokenizer", "kimi-k2"}, {"QWenTokenizer", "qwen2"}};
    const json_t *class = json_object_get(config, "tokenizer_class");
    if (v->kind != VOCAB_BPE || !v->byte_level || v->has_splits) return true;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (json_is(class, known[i].class)) v->pre = (char *)(uintptr_t)known[i].pre;
    if (v->pre) return true;
    struct text name = json_text(class);
    return fail(
        e, GYR_UNSUPPORTED,
        "%s: how its tokenizer (%.*s) splits text is in a program; gyr knows TikTokenTokenizer and QWenTokenizer, "
        "and reads a tokenizer.json of any",
        where, name.data ? shown(name) : 1, name.data ? name.data : "?");
}

// Old folders say their special tokens in a file of their own, which goes first where there is no newer list.
static bool merge_map(const char *folder, json_t **config, gyr_error *e) {
    json_t *map, *value;
    const char *key;
    if (json_object_get(*config, "added_tokens_decoder")) return true;
    if (!open_optional(folder, "special_tokens_map.json", &map, e)) return false;
    if (map && !*config) *config = json_object();
    bool ok = !map || *config;
    json_object_foreach(map, key, value) ok = ok && !json_object_set_nocheck(*config, key, value);
    json_decref(map);
    return ok || fail_memory(e, folder);
}

static bool open_sides(const char *folder, struct hf_sides *s, gyr_error *e) {
    return open_optional(folder, "tokenizer_config.json", &s->config, e) && merge_map(folder, &s->config, e) &&
           open_optional(folder, "added_tokens.json", &s->added, e);
}

// Not needed, and not always JSON: transformers and llama.cpp go without one that is not.
static bool open_generation(const char *folder, struct hf_sides *s, struct vocab *v, gyr_error *e) {
    gyr_error why = {0};
    if (open_optional(folder, "generation_config.json", &s->generation, &why)) return true;
    if (why.status == GYR_MALFORMED) return vocab_note(v, "%s", why.message) || fail_memory(e, folder);
    if (e) *e = why;
    return false;
}

// Llama's class puts the space that SentencePiece has in front of a text only where there is none, and unless it is
// "legacy", not again after each special token, as the first Llamas had it.
static void read_legacy(const json_t *config, struct vocab *v) {
    const json_t *legacy = json_object_get(config, "legacy");
    struct text class = json_text(json_object_get(config, "tokenizer_class"));
    bool llama = class.size >= 5 && !memcmp(class.data, "Llama", 5);
    if (v->kind != VOCAB_SPM) return;
    v->prefix_bare = llama;
    v->prefix_once = json_is_boolean(legacy) ? json_is_false(legacy) : llama;
}

static bool apply(const struct hf_sides *s, const char *folder, const struct keys *keys, struct vocab *v,
                  struct sampling_advice *advice, gyr_error *e) {
    bool json = folder_has(folder, "tokenizer.json");
    if (!hf_templates(s->config, folder, v, e)) return false;
    if (v->kind == VOCAB_NONE) return hf_generation(s->generation, keys, v, advice, folder, e);
    if (!hf_added(s, !json, v, folder, e)) return false;
    if (!json && !name_patterns(s->config, v, folder, e)) return false;
    if (!json) read_legacy(s->config, v);
    read_token(s->config, "bos_token", v, &v->bos);
    read_token(s->config, "eos_token", v, &v->eos);
    read_token(s->config, "unk_token", v, &v->unk);
    read_token(s->config, "pad_token", v, &v->pad);
    read_flags(s->config, v);
    if (!read_config_id(keys, "bos_token_id", folder, v, &v->bos) ||
        !read_config_id(keys, "pad_token_id", folder, v, &v->pad))
        return fail_memory(e, folder);
    return hf_generation(s->generation, keys, v, advice, folder, e);
}

bool hf_vocab(const char *folder, const struct keys *keys, struct vocab *v, struct sampling_advice *advice,
              gyr_error *e) {
    *v = (struct vocab){.bos = -1, .eos = -1, .eot = -1, .unk = -1, .pad = -1};
    if (!(v->storage = calloc(1, sizeof(struct arena)))) return fail_memory(e, folder);
    for (size_t i = 0; i < FILES && v->kind == VOCAB_NONE; i++) {
        if (!folder_has(folder, files[i].name)) continue;
        vocab_free(v);
        if (!read_tokenizer(folder, files[i].name, files[i].read, v, e)) return false;
    }
    struct hf_sides s = {0};
    bool ok = open_sides(folder, &s, e) && open_generation(folder, &s, v, e) && apply(&s, folder, keys, v, advice, e);
    json_decref(s.config);
    json_decref(s.added);
    json_decref(s.generation);
    return ok;
}
