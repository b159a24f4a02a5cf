// The tokenizer of a Hugging Face folder: tokenizer.json, and what tokenizer_config.json, generation_config.json,
// chat_template.jinja and config.json say beside it.
#include "base/utf8.h"
#include "format/hf.h"
#include "format/json.h"

#include <stdlib.h>
#include <string.h>

// The largest tokenizer.json in use has about 35 MB (262,144 tokens).
enum { MAX_TOKENIZER = 128 << 20, MAX_CONFIG = 16 << 20, MAX_TEMPLATE = 1 << 20 };

// Ids may have gaps, which cost memory: so many more than tokens are allowed.
enum { MAX_GAPS = 65536 };

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
        if (json_is_boolean(bos)) v->add_bos = json_is_true(bos);
        if (json_is_boolean(eos)) v->add_eos = json_is_true(eos);
    }
}

static bool keep_template(struct vocab *v, struct text s, const char *where, char **out, gyr_error *e) {
    if (!s.data) return true;
    if (!utf8_valid(s.data, s.size)) return fail(e, GYR_MALFORMED, "%s: not UTF-8; get the file again", where);
    if (memchr(s.data, 0, s.size))
        return fail(e, GYR_MALFORMED, "%s: a chat template with a zero byte; get the file again", where);
    *out = arena_copy(v->storage, s);
    return *out || fail_memory(e, where);
}

// Either one template, or a list of named ones of which "default" is for plain conversations.
static bool read_template(const json_t *config, struct vocab *v, const char *where, gyr_error *e) {
    const json_t *j = json_object_get(config, "chat_template");
    size_t n = json_array_size(j);
    if (n > MAX_TEMPLATES)
        return fail(e, GYR_MALFORMED, "%s: has %zu chat templates; gyr reads at most %d", where, n, MAX_TEMPLATES);
    if (n && !(v->templates = arena_alloc(v->storage, n, sizeof *v->templates))) return fail_memory(e, where);
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(j, i);
        struct text name = json_text(json_object_get(item, "name")), s = json_text(json_object_get(item, "template"));
        bool plain = json_is(json_object_get(item, "name"), "default");
        struct named_template *t = &v->templates[v->n_templates];
        if (!keep_template(v, s, where, plain ? &v->chat_template : &t->source, e)) return false;
        if (plain || !name.data || !s.data) continue;
        if (!(t->name = arena_copy(v->storage, name))) return fail_memory(e, where);
        v->n_templates++;
    }
    return keep_template(v, json_text(j), where, &v->chat_template, e);
}

// Newer folders hold the template as a file of its own, which goes first.
static bool read_template_file(const char *folder, struct vocab *v, gyr_error *e) {
    if (!folder_has(folder, "chat_template.jinja")) return true;
    char *path = folder_path(folder, "chat_template.jinja");
    if (!path) return fail_memory(e, folder);
    struct text s = {0};
    char *data = read_file(path, MAX_TEMPLATE, &s.size, e);
    s.data = data;
    bool ok = data && keep_template(v, s, path, &v->chat_template, e);
    free(data);
    free(path);
    return ok;
}

static int32_t id_of(const struct vocab *v, const json_t *j) {
    json_int_t id = json_is_integer(j) ? json_integer_value(j) : -1;
    return id >= 0 && (uint64_t)id < v->n ? (int32_t)id : -1;
}

// Where a model ends its turns with another token than its texts, that token is among these.
static void read_generation(const json_t *config, struct vocab *v) {
    const json_t *j = json_object_get(config, "eos_token_id");
    if (v->eos < 0) v->eos = id_of(v, json_is_array(j) ? json_array_get(j, 0) : j);
    for (size_t i = 0; i < json_array_size(j); i++) {
        int32_t id = id_of(v, json_array_get(j, i));
        if (id >= 0 && id != v->eos && v->eot < 0) v->eot = id;
    }
    int32_t only = id_of(v, j);
    if (only >= 0 && only != v->eos && v->eot < 0) v->eot = only;
}

static void read_config_id(const struct keys *keys, const char *name, const struct vocab *v, int32_t *id) {
    const struct value *value = keys_get(keys, name);
    struct value first = value ? value_at(value, 0) : (struct value){0};
    if (*id < 0 && first.kind == VALUE_UINT && first.u < v->n) *id = (int32_t)first.u;
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

// Room for `n` tokens; the new ones are unused and have no text.
static bool extend(struct vocab *v, size_t n) {
    struct text *tokens = arena_alloc(v->storage, n, sizeof *tokens);
    float *scores = v->scores ? arena_alloc(v->storage, n, sizeof *scores) : NULL;
    uint8_t *kinds = arena_alloc(v->storage, n, 1);
    if (!tokens || !kinds || (v->scores && !scores)) return false;
    memcpy(tokens, v->tokens, v->n * sizeof *tokens);
    memcpy(kinds, v->kinds, v->n);
    if (scores) memcpy(scores, v->scores, v->n * sizeof *scores);
    for (size_t i = v->n; i < n; i++) tokens[i] = (struct text){"", 0}, kinds[i] = TOKEN_UNUSED;
    v->tokens = tokens;
    v->scores = scores;
    v->kinds = kinds;
    v->n = n;
    return true;
}

// A tokenizer.model knows nothing of the tokens that a chat model got later; tokenizer_config.json does, by id.
static bool read_added(const json_t *config, struct vocab *v, const char *where, gyr_error *e) {
    json_t *added = json_object_get(config, "added_tokens_decoder"), *j;
    size_t limit = v->n + json_object_size(added) + MAX_GAPS, n = v->n;
    const char *name;
    json_object_foreach(added, name, j) {
        char *end;
        unsigned long id = strtoul(name, &end, 10);
        if (*end || !json_text(json_object_get(j, "content")).size || id >= limit)
            return fail(e, GYR_MALFORMED, "%s: an added token has no content, or no id that can be; get the file again",
                        where);
        if (id >= n) n = id + 1;
    }
    if (n > v->n && !extend(v, n)) return fail_memory(e, where);
    json_object_foreach(added, name, j) {
        size_t id = strtoul(name, NULL, 10);
        struct text s = json_text(json_object_get(j, "content"));
        if (v->kinds[id] == TOKEN_BYTE || v->kinds[id] == TOKEN_UNKNOWN) continue;
        v->tokens[id] = (struct text){arena_copy(v->storage, s), s.size};
        v->kinds[id] = json_is_true(json_object_get(j, "special")) ? TOKEN_CONTROL : TOKEN_USER;
        if (!v->tokens[id].data) return fail_memory(e, where);
    }
    return true;
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

bool hf_vocab(const char *folder, const struct keys *keys, struct vocab *v, gyr_error *e) {
    *v = (struct vocab){.bos = -1, .eos = -1, .eot = -1, .unk = -1, .pad = -1};
    if (!(v->storage = calloc(1, sizeof(struct arena)))) return fail_memory(e, folder);
    for (size_t i = 0; i < FILES && v->kind == VOCAB_NONE; i++) {
        if (!folder_has(folder, files[i].name)) continue;
        vocab_free(v);
        if (!read_tokenizer(folder, files[i].name, files[i].read, v, e)) return false;
    }
    json_t *config = NULL, *generation = NULL;
    bool ok = open_optional(folder, "tokenizer_config.json", &config, e) &&
              open_optional(folder, "generation_config.json", &generation, e) &&
              read_template(config, v, folder, e) && read_template_file(folder, v, e);
    bool model = v->kind != VOCAB_NONE && !folder_has(folder, "tokenizer.json");
    ok = ok && (!model || (read_added(config, v, folder, e) && name_patterns(config, v, folder, e)));
    if (ok) {
        read_token(config, "bos_token", v, &v->bos);
        read_token(config, "eos_token", v, &v->eos);
        read_token(config, "unk_token", v, &v->unk);
        read_token(config, "pad_token", v, &v->pad);
        read_flags(config, v);
        read_generation(generation, v);
        read_config_id(keys, "bos_token_id", v, &v->bos);
        read_config_id(keys, "eos_token_id", v, &v->eos);
        read_config_id(keys, "pad_token_id", v, &v->pad);
    }
    json_decref(config);
    json_decref(generation);
    return ok;
}
