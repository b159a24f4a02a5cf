// tokenizer.json (the Hugging Face tokenizers library) as a vocabulary: model, added tokens, and the sections around.
#include "format/tokenizer_json.h"

#include "format/hf.h"

#include <stdlib.h>
#include <string.h>

// Ids may have gaps, which cost memory: so many more than tokens are allowed.
enum { MAX_GAPS = 65536 };

static bool malformed(struct tokenizer_reader *r, const char *what) {
    return fail(r->e, GYR_MALFORMED, "%s: %s; get the file again", r->where, what);
}

bool read_step(struct tokenizer_reader *r, const json_t *j, const struct step *steps, size_t n, const char *section) {
    if (!j || json_is_null(j)) return true;
    struct text type = json_text(json_object_get(j, "type"));
    if (!type.data) return fail(r->e, GYR_MALFORMED, "%s: a %s has no type; get the file again", r->where, section);
    struct buf known = {0};
    for (size_t i = 0; i < n; i++) {
        if (!strcmp(steps[i].type, type.data)) {
            buf_free(&known);
            return steps[i].read(r, j);
        }
        buf_printf(&known, "%s%s", i ? ", " : "", steps[i].type);
    }
    fail(r->e, GYR_UNSUPPORTED, "%s: has a %s of kind %.*s; gyr knows %s", r->where, section, shown(type), type.data,
         known.failed ? "others" : known.data);
    buf_free(&known);
    return false;
}

// ---- the model: tokens and merges

static bool read_id(struct tokenizer_reader *r, const json_t *j, size_t limit, size_t *id) {
    if (!json_is_integer(j) || json_integer_value(j) < 0 || (uint64_t)json_integer_value(j) >= limit)
        return malformed(r, "a token's id is no number, or too large");
    *id = (size_t)json_integer_value(j);
    return true;
}

// Number of ids: one more than the largest.
static bool count_tokens(struct tokenizer_reader *r, const json_t *vocab, const json_t *added) {
    size_t limit = json_object_size(vocab) + json_array_size(added) + MAX_GAPS, id = 0;
    const char *name;
    json_t *j;
    r->v->n = 0;
    json_object_foreach((json_t *)(uintptr_t)vocab, name, j) {
        if (!read_id(r, j, limit, &id)) return false;
        if (id >= r->v->n) r->v->n = id + 1;
    }
    for (size_t i = 0; i < json_array_size(added); i++) {
        if (!read_id(r, json_object_get(json_array_get(added, i), "id"), limit, &id)) return false;
        if (id >= r->v->n) r->v->n = id + 1;
    }
    return r->v->n || malformed(r, "has no tokens");
}

static bool put_token(struct tokenizer_reader *r, size_t id, struct text s, enum token_kind kind) {
    struct text *t = &r->v->tokens[id];
    bool same = t->data && t->size == s.size && !memcmp(t->data, s.data, s.size);
    if (t->data && !same)
        return fail(r->e, GYR_MALFORMED, "%s: two tokens have id %zu; get the file again", r->where, id);
    if (!t->data) *t = (struct text){arena_copy(r->v->storage, s), s.size};
    r->v->kinds[id] = (uint8_t)kind;
    return t->data || fail_memory(r->e, r->where);
}

static bool is_byte(struct text s) {
    return s.size == 6 && !memcmp(s.data, "<0x", 3) && s.data[5] == '>' &&
           strspn(s.data + 3, "0123456789ABCDEFabcdef") == 2;
}

static bool read_added(struct tokenizer_reader *r, const json_t *added) {
    for (size_t i = 0; i < json_array_size(added); i++) {
        const json_t *j = json_array_get(added, i);
        struct text s = json_text(json_object_get(j, "content"));
        if (!s.data) return malformed(r, "an added token has no content");
        bool special = json_is_true(json_object_get(j, "special"));
        size_t id = (size_t)json_integer_value(json_object_get(j, "id"));
        if (!put_token(r, id, s, special ? TOKEN_CONTROL : TOKEN_USER)) return false;
    }
    return true;
}

static bool read_tokens(struct tokenizer_reader *r, const json_t *vocab, const json_t *added) {
    struct vocab *v = r->v;
    if (!count_tokens(r, vocab, added)) return false;
    v->tokens = arena_alloc(v->storage, v->n, sizeof *v->tokens);
    v->kinds = arena_alloc(v->storage, v->n, 1);
    if (!v->tokens || !v->kinds) return fail_memory(r->e, r->where);
    const char *name;
    json_t *j;
    json_object_foreach((json_t *)(uintptr_t)vocab, name, j) {
        struct text s = {name, strlen(name)};
        bool byte = v->byte_fallback && is_byte(s);
        if (!put_token(r, (size_t)json_integer_value(j), s, byte ? TOKEN_BYTE : TOKEN_NORMAL)) return false;
    }
    if (!read_added(r, added)) return false;
    for (size_t i = 0; i < v->n; i++)
        if (!v->tokens[i].data) {
            v->tokens[i].data = "";
            v->kinds[i] = TOKEN_UNUSED;
        }
    return true;
}

static bool read_unknown(struct tokenizer_reader *r, const json_t *model, const json_t *vocab) {
    struct text s = json_text(json_object_get(model, "unk_token"));
    const json_t *id = s.data ? json_object_get(vocab, s.data) : NULL;
    if (!id) return true;
    r->v->unk = (int32_t)json_integer_value(id);
    if (r->v->kinds[r->v->unk] == TOKEN_NORMAL) r->v->kinds[r->v->unk] = TOKEN_UNKNOWN;
    return true;
}

// A merge is "left right", or in newer files ["left", "right"].
static bool read_merge(struct tokenizer_reader *r, const json_t *j, struct text *out) {
    struct text left = json_text(json_array_get(j, 0)), right = json_text(json_array_get(j, 1)), s = json_text(j);
    bool pair = json_array_size(j) == 2 && left.data && right.data;
    if (!pair && !s.data) return malformed(r, "a merge is no pair of tokens");
    struct buf b = {0};
    if (pair) {
        buf_append(&b, left.data, left.size);
        buf_putc(&b, ' ');
        buf_append(&b, right.data, right.size);
        s = (struct text){b.data, b.size};
    }
    const char *space = b.failed ? NULL : memchr(s.data, ' ', s.size);
    bool ok = space && space != s.data && space[1] && !strchr(space + 1, ' ');
    if (ok) *out = (struct text){arena_copy(r->v->storage, s), s.size};
    bool failed = b.failed;
    buf_free(&b);
    if (failed || (ok && !out->data)) return fail_memory(r->e, r->where);
    return ok || malformed(r, "a merge is no pair of tokens without spaces");
}

static bool read_merges(struct tokenizer_reader *r, const json_t *merges) {
    struct vocab *v = r->v;
    if (!json_is_array(merges)) return malformed(r, "its model has no merges");
    v->n_merges = json_array_size(merges);
    v->merges = arena_alloc(v->storage, v->n_merges, sizeof *v->merges);
    if (!v->merges) return fail_memory(r->e, r->where);
    for (size_t i = 0; i < v->n_merges; i++)
        if (!read_merge(r, json_array_get(merges, i), &v->merges[i])) return false;
    return true;
}

static bool check_affixes(struct tokenizer_reader *r, const json_t *model) {
    static const char *const names[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (json_text(json_object_get(model, names[i])).size)
            return fail(r->e, GYR_UNSUPPORTED, "%s: its model has %s, which gyr does not read; choose another model",
                        r->where, names[i]);
    return true;
}

static bool read_model(struct tokenizer_reader *r, const json_t *root) {
    const json_t *model = json_object_get(root, "model"), *vocab = json_object_get(model, "vocab");
    const json_t *merges = json_object_get(model, "merges"), *added = json_object_get(root, "added_tokens");
    struct text type = json_text(json_object_get(model, "type"));
    bool bpe = type.data ? !strcmp(type.data, "BPE") : json_is_array(merges); // old files have no type
    if (!json_is_object(model)) return malformed(r, "has no model");
    if (!bpe)
        return fail(r->e, GYR_UNSUPPORTED, "%s: has a tokenizer of kind %.*s; gyr knows BPE", r->where,
                    type.data ? shown(type) : 7, type.data ? type.data : "unnamed");
    if (!json_is_object(vocab)) return malformed(r, "its model has no vocab");
    r->v->kind = VOCAB_BPE;
    r->v->byte_fallback = json_is_true(json_object_get(model, "byte_fallback"));
    r->v->ignore_merges = json_is_true(json_object_get(model, "ignore_merges"));
    return check_affixes(r, model) && read_tokens(r, vocab, added) && read_unknown(r, model, vocab) &&
           read_merges(r, merges);
}

static bool keep_splits(struct tokenizer_reader *r) {
    r->v->has_splits = true;
    r->v->n_splits = r->n_splits;
    r->v->splits = arena_alloc(r->v->storage, r->n_splits, sizeof *r->v->splits);
    if (!r->v->splits) return fail_memory(r->e, r->where);
    memcpy(r->v->splits, r->splits, r->n_splits * sizeof *r->splits);
    return true;
}

bool tokenizer_json(const char *data, size_t size, const char *where, struct vocab *v, gyr_error *e) {
    *v = (struct vocab){.bos = -1, .eos = -1, .eot = -1, .unk = -1, .pad = -1};
    if (!(v->storage = calloc(1, sizeof(struct arena)))) return fail_memory(e, where);
    json_t *root = json_parse(data, size, 0, where, e);
    struct tokenizer_reader r = {.where = where, .v = v, .e = e};
    bool ok = root && read_model(&r, root) && read_normalizer(&r, json_object_get(root, "normalizer")) &&
              read_pre_tokenizer(&r, json_object_get(root, "pre_tokenizer")) &&
              read_post_processor(&r, json_object_get(root, "post_processor")) && keep_splits(&r);
    json_decref(root);
    return ok;
}
