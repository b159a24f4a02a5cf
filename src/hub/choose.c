#include "hub/choose.h"

#include "format/json.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

// Types that file names tell, the most welcome first: near 4 bits a weight, where a model loses little; then larger,
// then smaller ones (docs/quantization.md has what each loses); those below 2.6 bits, and NVFP4, which
// may have scales besides that are not read, last of all.
static const char *const types[] = {
    "Q4_K_M",  "Q4_K_XL", "Q4_K_L",  "Q4_K_S", "Q4_K",  "Q4_0",  "IQ4_NL", "IQ4_XS", "MXFP4",  "MXFP4_MOE", "Q4_1",
    "Q5_K_M",  "Q5_K_XL", "Q5_K_L",  "Q5_K_S", "Q5_K",  "Q5_0",  "Q5_1",   "Q6_K",   "Q6_K_L", "Q6_K_XL",   "Q8_0",
    "Q8_K_XL", "Q3_K_L",  "Q3_K_XL", "Q3_K_M", "IQ3_M", "IQ3_S", "Q3_K_S", "Q3_K",   "IQ3_XS", "IQ3_XXS",   "Q2_K",
    "Q2_K_L",  "Q2_K_XL", "BF16",    "F16",    "FP16",  "F32",   "FP32",   "NVFP4",  "IQ2_M",  "IQ2_S",     "IQ2_XS",
    "IQ2_XXS", "Q2_0",    "TQ2_0",   "TQ1_0",  "IQ1_M", "IQ1_S", "Q1_0",
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

// Is `word` in `path` with no letter, digit or underscore next to it? Letters' case does not count.
static bool has_word(const char *path, const char *word) {
    size_t n = strlen(word);
    for (const char *at = path; (at = strcasestr(at, word)); at++) {
        bool before = at == path || (!isalnum((unsigned char)at[-1]) && at[-1] != '_');
        bool after = !isalnum((unsigned char)at[n]) && at[n] != '_';
        if (before && after) return true;
    }
    return false;
}

bool path_matches(const char *path, const char *select) {
    return !strcmp(path, select) || (ends_with(path, ".gguf") && has_word(path, select));
}

// The type that a name tells; TYPES if it tells none.
static size_t type_of(const char *path) {
    size_t best = TYPES, longest = 0;
    for (size_t i = 0; i < TYPES; i++)
        if (has_word(path, types[i]) && strlen(types[i]) > longest) {
            best = i;
            longest = strlen(types[i]);
        }
    return best;
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
    snprintf(c->type, sizeof c->type, "%s", type < TYPES ? types[type] : "");
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

// The best offer among the GGUF files that match; its path is NULL if there is none. *n: how many there are.
static struct offer best_offer(const struct hub_name *name, const struct listing *l, uint64_t memory, size_t *n) {
    struct offer best = {0};
    *n = 0;
    for (size_t i = 0; i < l->n; i++) {
        const char *path = l->files[i].path;
        size_t stem;
        unsigned part, parts;
        part_of(path, &stem, &part, &parts);
        if (!is_model(path) || part != 1 || (*name->select && !has_word(path, name->select))) continue;
        struct offer o = {path, size_of(l, path), type_of(path)};
        if (!(*n)++ || is_better(&o, &best, memory)) best = o;
    }
    return best;
}

// The files of a folder that are no weights, as transformers writes them.
static const char *const about[] = {
    "added_tokens.json", "chat_template.jinja", "chat_template.json",      "config.json", "generation_config.json",
    "merges.txt",        "qwen.tiktoken",       "special_tokens_map.json", "tekken.json", "tiktoken.model",
    "tokenizer.json",    "tokenizer.model",     "tokenizer_config.json",   "vocab.json",  "vocab.txt"};

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
        const char *path = json_string_value(value);
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

bool choose(const struct hub_name *name, const struct listing *l, uint64_t memory, struct choice *c, gyr_error *e) {
    *c = (struct choice){0};
    memory -= memory / 10; // the system, the KV cache
    const struct hub_file *file = *name->select ? listing_find(l, name->select) : NULL;
    size_t offers;
    struct offer best = best_offer(name, l, memory, &offers);
    bool ok;
    if (file && !ends_with(file->path, ".gguf")) {
        ok = add(c, file) || fail_memory(e, name->label);
        snprintf(c->open, sizeof c->open, "%s", file->path);
    } else if (file) {
        ok = take_gguf(name, l, file->path, c, e);
    } else if (!strcasecmp(name->select, "safetensors") || (!*name->select && !offers)) {
        ok = take_folder(name, l, c, e);
    } else if (!offers) {
        ok = fail(e, GYR_IO, "%s: has no file and no GGUF type \"%.100s\"; see the list of its files on the hub",
                  name->label, name->select);
    } else {
        ok = (offers == 1 || *name->select || best.size <= memory || too_large(name, best.size, memory, e)) &&
             take_gguf(name, l, best.path, c, e);
    }
    if (!ok) choice_free(c);
    return ok;
}

void choice_free(struct choice *c) {
    free(c->files);
    *c = (struct choice){0};
}
