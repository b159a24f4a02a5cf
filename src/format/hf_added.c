// Tokens that a folder adds beside its tokenizer's own file: tokenizer_config.json's added_tokens_decoder and special
// tokens, or what older folders have instead, added_tokens.json and special_tokens_map.json.
#include "format/hf_vocab.h"

#include "format/index.h"

#include <stdlib.h>
#include <string.h>

// Ids may have gaps, which cost memory: this many more than tokens are allowed.
enum { MAX_GAPS = 65536 };

struct adder {
    struct vocab *v;
    const char *where;
    gyr_error *e;
    bool ids;           // they are obeyed; else a new token gets the next one, as from tokenizers
    size_t room, limit; // of ids
    struct index names;
};

struct added {
    struct text content;
    uint64_t id;
    bool special;
    uint8_t finds;
};

enum { NO_ID = -1 };

static bool wrong(struct adder *a) {
    return fail(a->e, GYR_MALFORMED, "%s: an added token has no content or no valid id; get the file again", a->where);
}

static void *larger(struct vocab *v, const void *old, size_t size, size_t room) {
    char *new = arena_alloc(v->storage, room, size);
    if (new &&old) memcpy(new, old, v->n * size);
    return new;
}

// Room for `n` tokens; the new ones are unused and have no text.
static bool extend(struct adder *a, size_t n) {
    struct vocab *v = a->v;
    if (n > a->room) {
        size_t room = n + n / 8 + 64;
        struct text *tokens = larger(v, v->tokens, sizeof *tokens, room);
        uint8_t *kinds = larger(v, v->kinds, 1, room), *finds = larger(v, v->finds, 1, room);
        float *scores = v->scores ? larger(v, v->scores, sizeof *scores, room) : NULL;
        double *exact = v->exact ? larger(v, v->exact, sizeof *exact, room) : NULL;
        if (!tokens || !kinds || !finds || (v->scores && !scores) || (v->exact && !exact))
            return fail_memory(a->e, a->where);
        v->tokens = tokens, v->kinds = kinds, v->finds = finds, v->scores = scores, v->exact = exact;
        a->room = room;
    }
    for (; v->n < n; v->n++) v->tokens[v->n] = (struct text){"", 0}, v->kinds[v->n] = TOKEN_UNUSED;
    return true;
}

static bool set_token(struct adder *a, size_t id, const struct added *t, bool named) {
    struct vocab *v = a->v;
    if (v->kinds[id] == TOKEN_BYTE || v->kinds[id] == TOKEN_UNKNOWN) return true;
    v->kinds[id] = t->special ? TOKEN_CONTROL : TOKEN_USER;
    v->finds[id] = t->finds;
    if (named) return true;
    v->tokens[id] = (struct text){arena_copy(v->storage, t->content), t->content.size};
    return v->tokens[id].data ? index_add(&a->names, v->tokens, sizeof *v->tokens, id) != INDEX_NO_MEMORY ||
                                    fail_memory(a->e, a->where)
                              : fail_memory(a->e, a->where);
}

static bool add(struct adder *a, const struct added *t) {
    struct vocab *v = a->v;
    if (!t->content.size) return wrong(a);
    size_t found = index_find(&a->names, v->tokens, sizeof *v->tokens, t->content), id = found;
    if (a->ids && t->id != (uint64_t)NO_ID) {
        if (t->id >= a->limit) return wrong(a);
        id = (size_t)t->id;
    } else if (found == SIZE_MAX) {
        id = v->n;
    }
    return (id < v->n || extend(a, id + 1)) && set_token(a, id, t, id == found);
}

static uint8_t finds_of(const json_t *j, bool special) {
    static const struct {
        const char *name;
        uint8_t bit;
    } finds[] = {{"lstrip", FIND_LSTRIP}, {"rstrip", FIND_RSTRIP}, {"single_word", FIND_WORD}};
    uint8_t bits = 0;
    for (size_t i = 0; i < sizeof finds / sizeof *finds; i++)
        if (json_is_true(json_object_get(j, finds[i].name))) bits |= finds[i].bit;
    const json_t *normalized = json_object_get(j, "normalized");
    if (json_is_boolean(normalized) ? json_is_true(normalized) : !special) bits |= FIND_NORMALIZED;
    return bits;
}

// "text", or {"content": "text", ...}.
static struct text content_of(const json_t *j) {
    return json_text(json_is_object(j) ? json_object_get(j, "content") : j);
}

static int by_id(const void *a, const void *b) {
    const struct added *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static bool add_sorted(struct adder *a, struct added *tokens, size_t n) {
    bool ok = true;
    if (n) qsort(tokens, n, sizeof *tokens, by_id);
    for (size_t i = 0; ok && i < n; i++) ok = add(a, &tokens[i]);
    return ok;
}

// {"id": {"content": ...}, ...}
static bool add_decoder(struct adder *a, const json_t *decoder) {
    struct added *tokens = calloc(json_object_size(decoder) + 1, sizeof *tokens);
    size_t n = 0;
    bool ok = tokens || fail_memory(a->e, a->where);
    const char *key;
    json_t *j;
    json_object_foreach((json_t *)(uintptr_t)decoder, key, j) {
        char *end;
        if (!ok) break;
        unsigned long id = strtoul(key, &end, 10);
        if (!*key || *end || !json_is_object(j)) ok = wrong(a);
        bool special = json_is_true(json_object_get(j, "special"));
        tokens[n++] = (struct added){content_of(j), id, special, finds_of(j, special)};
    }
    ok = ok && add_sorted(a, tokens, n);
    free(tokens);
    return ok;
}

static const char *const names[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                    "pad_token", "cls_token", "mask_token"};
static const char *const lists[] = {"additional_special_tokens", "extra_special_tokens"};
enum { NAMES = sizeof names / sizeof *names, LISTS = sizeof lists / sizeof *lists };

static bool is(struct text a, struct text b) { return a.data && a.size == b.size && !memcmp(a.data, b.data, a.size); }

// Whether a token is among those that the folder calls special.
static bool is_special(const json_t *config, struct text token) {
    for (size_t i = 0; i < NAMES; i++)
        if (is(content_of(json_object_get(config, names[i])), token)) return true;
    for (size_t i = 0; i < LISTS; i++) {
        const json_t *list = json_object_get(config, lists[i]);
        for (size_t k = 0; k < json_array_size(list); k++)
            if (is(content_of(json_array_get(list, k)), token)) return true;
    }
    return false;
}

// added_tokens.json: {"token": id, ...}
static bool add_encoder(struct adder *a, const json_t *encoder, const json_t *config) {
    struct added *tokens = calloc(json_object_size(encoder) + 1, sizeof *tokens);
    size_t n = 0;
    bool ok = tokens || fail_memory(a->e, a->where);
    const char *key;
    json_t *j;
    json_object_foreach((json_t *)(uintptr_t)encoder, key, j) {
        struct text s = {key, strlen(key)};
        if (!ok) break;
        if (!json_is_integer(j) || json_integer_value(j) < 0) ok = wrong(a);
        bool special = is_special(config, s);
        size_t found = index_find(&a->names, a->v->tokens, sizeof *a->v->tokens, s);
        if (found != SIZE_MAX && a->v->kinds[found] == TOKEN_CONTROL) continue; // the file says nothing of kinds
        tokens[n++] = (struct added){s, (uint64_t)json_integer_value(j), special, special ? 0 : FIND_NORMALIZED};
    }
    ok = ok && add_sorted(a, tokens, n);
    free(tokens);
    return ok;
}

static bool is_marked(struct text s) {
    return s.size > 2 && strchr("<[", s.data[0]) && strchr(">]", s.data[s.size - 1]) && s.data[0];
}

// A special token that is said by its name. One that is there already keeps how it is found; a piece of the vocabulary
// becomes special if it looks it, and not because somebody pads with "!".
static bool add_named(struct adder *a, const json_t *j) {
    struct vocab *v = a->v;
    struct added t = {content_of(j), (uint64_t)NO_ID, true, 0};
    if (!t.content.size) return true;
    t.finds = finds_of(j, true);
    size_t found = index_find(&a->names, v->tokens, sizeof *v->tokens, t.content);
    bool there = found != SIZE_MAX && (v->kinds[found] != TOKEN_NORMAL || !is_marked(t.content));
    return there || add(a, &t);
}

static bool add_all_named(struct adder *a, const json_t *config) {
    bool ok = true;
    for (size_t i = 0; i < NAMES && ok; i++) ok = add_named(a, json_object_get(config, names[i]));
    for (size_t i = 0; i < LISTS && ok; i++) {
        const json_t *list = json_object_get(config, lists[i]);
        const char *key;
        json_t *j;
        for (size_t k = 0; k < json_array_size(list) && ok; k++) ok = add_named(a, json_array_get(list, k));
        json_object_foreach((json_t *)(uintptr_t)list, key, j) ok = ok && add_named(a, j);
    }
    return ok;
}

bool hf_added(const struct hf_sides *s, bool ids, struct vocab *v, const char *where, gyr_error *e) {
    const json_t *decoder = json_object_get(s->config, "added_tokens_decoder");
    struct adder a = {.v = v, .where = where, .e = e, .ids = ids, .room = v->finds ? v->n : 0};
    a.limit = v->n + json_object_size(decoder) + json_object_size(s->added) + MAX_GAPS;
    bool ok = extend(&a, v->n);
    for (size_t i = 0; ok && i < v->n; i++)
        if (v->tokens[i].size && index_add(&a.names, v->tokens, sizeof *v->tokens, i) == INDEX_NO_MEMORY)
            ok = fail_memory(e, where);
    ok = ok && (decoder ? add_decoder(&a, decoder) : add_encoder(&a, s->added, s->config)) &&
         add_all_named(&a, s->config);
    index_free(&a.names);
    return ok;
}
