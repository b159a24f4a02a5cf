#include "hub/choose.h"

#include "format/json.h"
#include "tensor/type.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

// Types that file names tell, the most welcome first: near 4 bits a weight, where a model loses little; then larger,
// then smaller ones (docs/quantization.md has what each loses). `needs` are the element types that such a file has and
// not every gyr can run; where one is missing, so is the file.
static const struct {
    const char *name, *needs[2];
} types[] = {
    {"Q4_K_M", {0}},
    {"Q4_K_XL", {0}},
    {"Q4_K_L", {0}},
    {"Q4_K_S", {0}},
    {"Q4_K", {0}},
    {"Q4", {0}},
    {"Q4_0", {0}},
    {"IQ4_NL", {0}},
    {"IQ4_XS", {0}},
    {"MXFP4", {0}},
    {"MXFP4_MOE", {0}},
    {"Q4_1", {0}},
    {"Q5_K_M", {0}},
    {"Q5_K_XL", {0}},
    {"Q5_K_L", {0}},
    {"Q5_K_S", {0}},
    {"Q5_K", {0}},
    {"Q5", {0}},
    {"Q5_0", {0}},
    {"Q5_1", {0}},
    {"Q6_K", {0}},
    {"Q6_K_L", {0}},
    {"Q6_K_XL", {0}},
    {"Q6", {0}},
    {"Q8_0", {0}},
    {"Q8_K_XL", {0}},
    {"Q8", {0}},
    {"Q3_K_L", {0}},
    {"Q3_K_XL", {0}},
    {"Q3_K_M", {0}},
    {"Q3_K_S", {0}},
    {"Q3_K", {0}},
    {"Q3", {0}},
    {"IQ3_M", {"iq3_s"}},
    {"IQ3_S", {"iq3_s"}},
    {"IQ3_XS", {"iq3_s", "iq3_xxs"}},
    {"IQ3_XXS", {"iq3_xxs", "iq2_s"}},
    {"Q2_K", {0}},
    {"Q2_K_S", {0}},
    {"Q2_K_L", {0}},
    {"Q2_K_XL", {0}},
    {"Q2", {0}},
    {"NVFP4", {"nvfp4"}},
    {"BF16", {0}},
    {"F16", {0}},
    {"FP16", {0}},
    {"F32", {0}},
    {"FP32", {0}},
    {"IQ2_M", {"iq2_s", "iq3_s"}},
    {"IQ2_S", {"iq2_s", "iq2_xs"}},
    {"IQ2_XS", {"iq2_xs"}},
    {"IQ2_XXS", {"iq2_xxs"}},
    {"TQ2_0", {"tq2_0"}},
    {"TQ1_0", {"tq1_0"}},
    {"IQ1_M", {"iq1_m"}},
    {"IQ1_S", {"iq1_s"}},
    {"Q1_0", {"q1_0"}},
    {"Q2_0", {"q2_0"}},
    {"Q4_0_4_4", {"q4_0_4_4"}}, // these were for the memory of some CPUs; llama.cpp has given them up
    {"Q4_0_4_8", {"q4_0_4_8"}},
    {"Q4_0_8_8", {"q4_0_8_8"}},
};
enum { TYPES = sizeof types / sizeof *types };

// In repositories of models, but not models of their own that could be run.
static const char *const no_models[] = {"mmproj", "imatrix", "ggml-vocab"};

static bool ends_with(const char *s, const char *end) {
    size_t n = strlen(s), m = strlen(end);
    return n >= m && !strcasecmp(s + n - m, end);
}

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool is_model(const char *path) {
    if (!ends_with(path, ".gguf")) return false;
    for (size_t i = 0; i < sizeof no_models / sizeof *no_models; i++)
        if (strcasestr(base_name(path), no_models[i])) return false;
    return true;
}

// Is `word` in `path` with no letter or digit next to it? Letters' case does not count.
static bool has_word(const char *path, const char *word) {
    size_t n = strlen(word);
    for (const char *at = path; (at = strcasestr(at, word)); at++)
        if ((at == path || !isalnum((unsigned char)at[-1])) && !isalnum((unsigned char)at[n])) return true;
    return false;
}

// The type that a name tells, the longest that is in it; TYPES if it tells none.
static size_t type_of(const char *path) {
    size_t best = TYPES, longest = 0;
    for (size_t i = 0; i < TYPES; i++)
        if (has_word(path, types[i].name) && strlen(types[i].name) > longest) {
            best = i;
            longest = strlen(types[i].name);
        }
    return best;
}

// A type has to be the file's own: Q4_K is none of a Q4_K_M's.
static bool is_selected(const char *path, const char *select) {
    for (size_t i = 0; i < TYPES; i++)
        if (!strcasecmp(types[i].name, select)) return type_of(path) == i;
    return has_word(path, select);
}

bool path_matches(const char *path, const char *select) {
    return !strcmp(path, select) || (ends_with(path, ".gguf") && is_selected(path, select));
}

static bool runs(size_t type) {
    for (size_t i = 0; type < TYPES && i < 2 && types[type].needs[i]; i++)
        if (type_by_name(types[type].needs[i]) < 0) return false;
    return true;
}

// "NAME-00002-of-00003.gguf" is part 2 of 3: *stem is the length of NAME. 1 of 1 for what is no part.
static void part_of(const char *path, size_t *stem, unsigned *part, unsigned *parts) {
    static const size_t tail = sizeof "-00001-of-00003.gguf" - 1;
    size_t n = strlen(path);
    *part = *parts = 1;
    *stem = n;
    int used = 0;
    unsigned i = 0, of = 0;
    if (n <= tail || sscanf(path + n - tail, "-%5u-of-%5u.gguf%n", &i, &of, &used) != 2 || used != (int)tail) return;
    *stem = n - tail;
    *part = i;
    *parts = of;
}

static bool add(struct choice *c, const struct hub_file *f) {
    const struct hub_file **files = reallocarray(c->files, c->n + 1, sizeof *files);
    if (!files) return false;
    c->files = files;
    c->files[c->n++] = f;
    return true;
}

// Is `f` of the same model as the first part `first`?
static bool same_model(const char *first, const char *f) {
    size_t a, b;
    unsigned part, parts, other, others;
    part_of(first, &a, &part, &parts);
    part_of(f, &b, &other, &others);
    return a == b && parts == others && !strncmp(first, f, a);
}

static uint64_t size_of(const struct listing *l, const char *first) {
    uint64_t size = 0;
    for (size_t i = 0; i < l->n; i++)
        if (same_model(first, l->files[i].path)) size += l->files[i].size;
    return size;
}

// Takes the GGUF file `first` and its other parts. The listing is sorted, so they are in order.
static bool take_gguf(const struct hub_name *name, const struct listing *l, const char *first, struct choice *c,
                      gyr_error *e) {
    size_t stem, type = type_of(first);
    unsigned part, parts;
    part_of(first, &stem, &part, &parts);
    for (size_t i = 0; i < l->n; i++)
        if (same_model(first, l->files[i].path) && !add(c, &l->files[i])) return fail_memory(e, name->label);
    if (c->n != parts)
        return fail(e, GYR_MALFORMED, "%s: %s: %zu of its %u parts are on the hub; choose another file", name->label,
                    first, c->n, parts);
    snprintf(c->open, sizeof c->open, "%s", c->files[0]->path);
    snprintf(c->type, sizeof c->type, "%s", type < TYPES ? types[type].name : "");
    return true;
}

struct offer {
    const char *path; // of the first part
    uint64_t size;
    size_t rank;
};

// The better of two for a machine with that memory: one that fits, then the more welcome type, then the shorter path
// (those in folders are variants), then the smaller.
static bool is_better(const struct offer *a, const struct offer *b, uint64_t memory) {
    bool fits = a->size <= memory, other = b->size <= memory;
    if (fits != other) return fits;
    if (!fits) return a->size < b->size;
    if (a->rank != b->rank) return a->rank < b->rank;
    size_t n = strlen(a->path), m = strlen(b->path);
    return n != m ? n < m : a->size < b->size;
}

struct offers {
    struct offer best;
    size_t n, not_run;   // of files, and of those whose types gyr does not run
    const char *example; // one of the latter
};

static struct offers look(const struct hub_name *name, const struct listing *l, uint64_t memory) {
    struct offers all = {0};
    for (size_t i = 0; i < l->n; i++) {
        const char *path = l->files[i].path;
        size_t stem;
        unsigned part, parts;
        part_of(path, &stem, &part, &parts);
        if (!is_model(path) || part != 1 || (*name->select && !is_selected(path, name->select))) continue;
        struct offer o = {path, size_of(l, path), type_of(path)};
        if (!runs(o.rank)) {
            if (!all.not_run++) all.example = types[o.rank].name;
            continue;
        }
        if (!all.n++ || is_better(&o, &all.best, memory)) all.best = o;
    }
    return all;
}

// The files of a folder that are no weights, as transformers writes them.
static const char *const about[] = {"added_tokens.json",
                                    "chat_template.jinja",
                                    "chat_template.json",
                                    "config.json",
                                    "config_sentence_transformers.json",
                                    "generation_config.json",
                                    "merges.txt",
                                    "modules.json",
                                    "qwen.tiktoken",
                                    "special_tokens_map.json",
                                    "tekken.json",
                                    "tiktoken.model",
                                    "tokenizer.json",
                                    "tokenizer.model",
                                    "tokenizer_config.json",
                                    "vocab.json",
                                    "vocab.txt"};

// A file of one of sentence-transformers' modules: "1_Pooling/config.json", "2_Dense/model.safetensors".
static bool is_of_module(const char *path) {
    size_t digits = strspn(path, "0123456789"), n = strcspn(path, "/");
    const char *file = path[n] ? path + n + 1 : "";
    return digits && path[digits] == '_' && n < 64 &&
           (!strcmp(file, "config.json") || !strcmp(file, "model.safetensors"));
}

static bool nothing_to_run(const struct hub_name *name, const struct listing *l, gyr_error *e) {
    bool old = false;
    for (size_t i = 0; i < l->n; i++)
        old |= ends_with(l->files[i].path, ".bin") || ends_with(l->files[i].path, ".pt") ||
               ends_with(l->files[i].path, ".pth");
    return fail(e, GYR_UNSUPPORTED, "%s: has no GGUF file and no config.json with safetensors%s; look for another copy",
                name->label, old ? ", only pickled weights, which can hold programs" : "");
}

static bool take_folder(const struct hub_name *name, const struct listing *l, struct choice *c, gyr_error *e) {
    const struct hub_file *only = listing_find(l, "model.safetensors");
    c->index = listing_find(l, "model.safetensors.index.json");
    if (!listing_find(l, "config.json") || (!only && !c->index)) return nothing_to_run(name, l, e);
    bool ok = true;
    for (size_t i = 0; i < sizeof about / sizeof *about && ok; i++) {
        const struct hub_file *f = listing_find(l, about[i]);
        ok = !f || add(c, f);
    }
    static const char more[] = "additional_chat_templates/";
    for (size_t i = 0; i < l->n && ok; i++) {
        const struct hub_file *f = &l->files[i];
        bool beside = !strncmp(f->path, more, sizeof more - 1) && !strchr(f->path + sizeof more - 1, '/');
        ok = !beside || !ends_with(f->path, ".jinja") || add(c, f);
        ok = ok && (!is_of_module(f->path) || !listing_find(l, "modules.json") || add(c, f));
    }
    ok = ok && add(c, c->index ? c->index : only);
    snprintf(c->open, sizeof c->open, ".");
    snprintf(c->type, sizeof c->type, "safetensors");
    return ok || fail_memory(e, name->label);
}

bool choose_weights(const struct hub_name *name, const struct listing *l, const char *text, size_t size,
                    struct choice *c, gyr_error *e) {
    json_t *root = json_parse(text, size, 0, c->index->path, e);
    const char *key;
    json_t *value;
    bool ok = root;
    json_object_foreach(json_object_get(root, "weight_map"), key, value) {
        const char *path = json_c_string(value);
        const struct hub_file *f = path && !strchr(path, '/') ? listing_find(l, path) : NULL;
        if (ok && !f)
            ok = fail(e, GYR_MALFORMED, "%s: its index names weights that are not there: %.100s; get another copy",
                      name->label, path ? path : "(no name)");
        bool there = false;
        for (size_t i = 0; i < c->n && !there; i++) there = c->files[i] == f;
        if (ok && !there) ok = add(c, f) || fail_memory(e, name->label);
    }
    json_decref(root);
    return ok;
}

static bool too_large(const struct hub_name *name, uint64_t size, uint64_t memory, gyr_error *e) {
    return fail(e, GYR_NO_MEMORY,
                "%s: its smallest GGUF file takes %.1f GB, and %.1f GB of this machine's memory are for models; "
                "choose a smaller model, or name the file to pull it anyway",
                name->label, (double)size / 1e9, (double)memory / 1e9);
}

static bool take_best(const struct hub_name *name, const struct listing *l, uint64_t memory, struct choice *c,
                      gyr_error *e) {
    struct offers all = look(name, l, memory);
    if (!all.n && all.not_run)
        return fail(e, GYR_UNSUPPORTED,
                    "%s: its GGUF files%s%.100s are of types that gyr does not run, such as %s; look for another copy",
                    name->label, *name->select ? " for " : "", name->select, all.example);
    if (!strcasecmp(name->select, "safetensors") || (!*name->select && !all.n)) return take_folder(name, l, c, e);
    if (!all.n)
        return fail(e, GYR_IO, "%s: has no file and no GGUF type \"%.100s\"; see the list of its files on the hub",
                    name->label, name->select);
    bool fits = all.n == 1 || *name->select || all.best.size <= memory;
    return (fits || too_large(name, all.best.size, memory, e)) && take_gguf(name, l, all.best.path, c, e);
}

bool choose(const struct hub_name *name, const struct listing *l, uint64_t memory, struct choice *c, gyr_error *e) {
    *c = (struct choice){0};
    memory -= memory / 10; // the system, the KV cache
    const struct hub_file *file = *name->select ? listing_find(l, name->select) : NULL;
    bool ok;
    if (file && !ends_with(file->path, ".gguf")) {
        ok = add(c, file) || fail_memory(e, name->label);
        snprintf(c->open, sizeof c->open, "%s", file->path);
    } else {
        ok = file ? take_gguf(name, l, file->path, c, e) : take_best(name, l, memory, c, e);
    }
    if (!ok) choice_free(c);
    return ok;
}

void choice_free(struct choice *c) {
    free(c->files);
    *c = (struct choice){0};
}
