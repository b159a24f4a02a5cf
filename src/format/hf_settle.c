// A config.json settled: under the names and with the values that its class in transformers takes from it. What readers
// of hyperparameters see is this; `gyr inspect` shows the file's own words.
#include "format/hf.h"
#include "format/hf_class.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct settler {
    const struct checkpoint *c;
    const struct hf_class *class;
    struct keys *to;
    const char *home; // in front of the text part's keys in the file: "text_config." of models that see
    gyr_error *e;
};

// The file's value; NULL if it has none. A null is a value.
static const struct value *given(const struct settler *s, const char *home, const char *name, size_t size) {
    char key[256];
    int n = snprintf(key, sizeof key, "%s%.*s", home, (int)size, name);
    return n > 0 && (size_t)n < sizeof key ? keys_get(s->c->keys, key) : NULL;
}

// Under one of its names, "a,b".
static const struct value *given_any(const struct settler *s, const char *home, const struct hf_word *w) {
    const struct value *v = NULL;
    for (size_t at = 0, n; at < w->name_size && !v; at += n + 1) {
        for (n = 0; at + n < w->name_size && w->name[at + n] != ',';) n++;
        v = given(s, home, w->name + at, n);
    }
    return v;
}

// The first value that is put under a name stays.
static bool put(const struct settler *s, const char *name, const struct value *v) {
    if (keys_get(s->to, name)) return true;
    char *own = arena_copy(&s->to->arena, (struct text){name, strlen(name)});
    return own ? keys_put(s->to, (struct text){own, strlen(own)}, v, s->c->path, s->e) : fail_memory(s->e, s->c->path);
}

// Keys of the file that begin so, under another beginning.
static bool put_object(const struct settler *s, const char *from, const char *to) {
    size_t n = strlen(from);
    bool ok = true;
    for (size_t i = 0; ok && i < s->c->keys->n; i++) {
        const struct key *k = &s->c->keys->items[i];
        char name[300];
        if (k->name.size <= n || memcmp(k->name.data, from, n)) continue;
        snprintf(name, sizeof name, "%s%.*s", to, (int)(k->name.size - n), k->name.data + n);
        ok = put(s, name, &k->value);
    }
    return ok;
}

static bool has_object(const struct settler *s, const char *from) {
    size_t n = strlen(from);
    for (size_t i = 0; i < s->c->keys->n; i++)
        if (s->c->keys->items[i].name.size > n && !memcmp(s->c->keys->items[i].name.data, from, n)) return true;
    return false;
}

static bool settle_word(const struct settler *s, const struct hf_word *w) {
    char name[128], from[160], to[130];
    if (w->kind == HF_HARMLESS) return true;
    hf_word_name(w, name);
    if (w->kind == HF_OBJECT) {
        snprintf(from, sizeof from, "%s%s.", s->home, name);
        snprintf(to, sizeof to, "%s.", name);
        return put_object(s, from, to);
    }
    // Whether the output is the embedding is said by the whole model, not by its text part.
    const struct value *v = !strcmp(name, "tie_word_embeddings") ? given_any(s, "", w) : NULL;
    if (!v) v = given_any(s, s->home, w);
    if (v) return put(s, name, v);
    struct value left_out = hf_word_value(w, 0);
    return left_out.kind == VALUE_NONE || put(s, name, &left_out);
}

static bool settle_list(const struct settler *s, const char *list) {
    struct hf_word w;
    bool ok = true;
    while (ok && hf_word_next(&list, &w)) ok = settle_word(s, &w);
    return ok;
}

static bool put_number(const struct settler *s, const char *home, const char *key, double number) {
    char name[160];
    struct value v = {.kind = VALUE_FLOAT, .f = number};
    snprintf(name, sizeof name, "%s%s", home, key);
    return number <= 0 || put(s, name, &v);
}

// A key that older configs have beside the object, and what it is where they have not.
static bool put_beside(const struct settler *s, const char *home, const char *key, const char *beside, double number) {
    char name[160];
    const struct value *v = beside ? given(s, s->home, beside, strlen(beside)) : NULL;
    snprintf(name, sizeof name, "%s%s", home, key);
    return v && v->kind != VALUE_NONE ? put(s, name, v) : put_number(s, home, key, number);
}

static bool put_word(const struct settler *s, const char *name, const char *word) {
    struct value v = {.kind = VALUE_STRING, .s = {word, strlen(word)}};
    return put(s, name, &v);
}

// What the first class with experts in MXFP4 scales by, where a config does not say.
static bool put_gpt_oss(const struct settler *s) {
    static const struct {
        const char *key;
        double v;
    } numbers[] = {{"factor", 32}, {"beta_fast", 32}, {"beta_slow", 1}, {"original_max_position_embeddings", 4096}};
    struct value whole = {.kind = VALUE_BOOL};
    bool ok = put_word(s, "rope_parameters.rope_type", "yarn") && put(s, "rope_parameters.truncate", &whole);
    for (size_t i = 0; ok && i < 4; i++) ok = put_number(s, "rope_parameters.", numbers[i].key, numbers[i].v);
    return ok;
}

// Whether the file has a scaling of that type in an object.
static bool says(const struct settler *s, const char *object, const char *kind) {
    const struct value *v = given(s, object, "rope_type", 9);
    if (!v) v = given(s, object, "type", 4);
    return value_says(v, kind);
}

static bool settle_flat(const struct settler *s) {
    char newer[64], older[64];
    bool phi = s->class->rope == HF_ROPE_PHI;
    const char *base = s->class->old_base ? s->class->old_base : "rope_theta";
    const char *part = s->class->old_part ? s->class->old_part : "partial_rotary_factor";
    snprintf(newer, sizeof newer, "%srope_parameters.", s->home);
    snprintf(older, sizeof older, "%srope_scaling.", s->home);
    bool is_older = has_object(s, older), any = is_older || has_object(s, newer);
    if (phi && (says(s, older, "yarn") || says(s, newer, "yarn")) &&
        !put_word(s, "rope_parameters.rope_type", "longrope"))
        return false; // what its first configs called it
    if (phi && !put_beside(s, "rope_parameters.", "original_max_position_embeddings",
                           "original_max_position_embeddings", 4096))
        return false;
    struct value none = {0}; // a key that the class does not read
    if (s->class->part <= 0 && !put(s, "rope_parameters.partial_rotary_factor", &none)) return false;
    if (any && !put_object(s, is_older ? older : newer, "rope_parameters.")) return false;
    if (!any && !strcmp(s->class->types, "gpt_oss") && !put_gpt_oss(s)) return false;
    return put_beside(s, "rope_parameters.", "rope_theta", base, s->class->base) &&
           put_beside(s, "rope_parameters.", "partial_rotary_factor", part, s->class->part);
}

static bool settle_layers(const struct settler *s) {
    static const char whole[] = "rope_parameters.full_attention.", local[] = "rope_parameters.sliding_attention.";
    char from[96], all[64];
    bool older = s->class->rope == HF_ROPE_LAYERS, told = s->class->told_base;
    snprintf(all, sizeof all, "%srope_parameters.", s->home);
    snprintf(from, sizeof from, "%srope_scaling.", s->home);
    bool any = has_object(s, all);
    if (older && !put_object(s, from, whole)) return false;
    snprintf(from, sizeof from, "%s%s", s->home, whole);
    if (!put_object(s, from, whole)) return false;
    snprintf(from, sizeof from, "%s%s", s->home, local);
    if (!put_object(s, from, local)) return false;
    if (!older && any) return true; // what it does not say is missing
    if (!older && (!put_word(s, "rope_parameters.full_attention.rope_type", "proportional") ||
                   !put_number(s, whole, "partial_rotary_factor", s->class->part)))
        return false;
    const char *base = s->class->old_base ? s->class->old_base : "rope_theta";
    const char *local_base = s->class->old_local_base ? s->class->old_local_base : "rope_local_base_freq";
    return put_beside(s, whole, "rope_theta", older ? base : NULL, s->class->base) &&
           put_beside(s, local, "rope_theta", told ? local_base : NULL, s->class->local_base);
}

static bool settle_rope(const struct settler *s) {
    switch (s->class->rope) {
    case HF_ROPE_NONE: return true;
    case HF_ROPE_FLAT:
    case HF_ROPE_PHI: return settle_flat(s);
    case HF_ROPE_LAYERS:
    case HF_ROPE_GIVEN: break;
    }
    return settle_layers(s);
}

bool checkpoint_has_parts(const struct checkpoint *c) {
    struct settler s = {.c = c};
    return c->source == CHECKPOINT_HF && has_object(&s, "text_config.");
}

bool hf_settle(struct checkpoint *c, gyr_error *e) {
    struct settler s = {c, hf_class_of(c->architecture), NULL, "", e};
    if (!s.class) return true; // it will not be run
    s.to = c->settled = calloc(1, sizeof *c->settled);
    if (!s.to) return fail_memory(e, c->path);
    if (checkpoint_has_parts(c)) s.home = "text_config.";
    return settle_rope(&s) && settle_list(&s, s.class->keys) && settle_list(&s, hf_common_keys);
}

unsigned checkpoint_biases(const struct checkpoint *c, bool *told) {
    static const char letters[] = "qom...c"; // in the order of the bits
    const struct hf_class *class = c->settled ? hf_class_of(c->architecture) : NULL;
    const char *list = class ? class->keys : "";
    unsigned biases = 0;
    struct hf_word w;
    *told = class;
    while (hf_word_next(&list, &w)) {
        char name[128];
        hf_word_name(&w, name);
        const struct value *v = w.roles ? keys_get(c->settled, name) : NULL;
        for (size_t i = 0; v && v->kind == VALUE_BOOL && v->b && i < w.roles_size; i++)
            biases |= 1u << (strchr(letters, w.roles[i]) - letters);
    }
    return biases;
}
