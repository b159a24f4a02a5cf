// The "model" of tokenizer.json and its added tokens.
#include "format/keys.h"
#include "format/tokenizer_json.h"

#include <stdlib.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

// Ids may have gaps, which cost memory: this many more than tokens are allowed.
enum { MAX_GAPS = 65536, MAX_AFFIX = 32 };

static bool read_id(struct tokenizer_reader *r, const json_t *j, size_t limit, size_t *id) {
    if (!json_is_integer(j) || json_integer_value(j) < 0 || (uint64_t)json_integer_value(j) >= limit)
        return json_malformed(r, "a token's id is not a number, or too large");
    *id = (size_t)json_integer_value(j);
    return true;
}

// Number of ids: one more than the largest.
static bool count_tokens(struct tokenizer_reader *r, const json_t *vocab, const json_t *added) {
    size_t n = json_is_array(vocab) ? json_array_size(vocab) : json_object_size(vocab), id = 0;
    size_t limit = n + json_array_size(added) + MAX_GAPS;
    const char *name;
    json_t *j;
    r->v->n = json_array_size(vocab);
    json_object_foreach((json_t *)(uintptr_t)vocab, name, j) {
        if (!read_id(r, j, limit, &id)) return false;
        if (id >= r->v->n) r->v->n = id + 1;
    }
    for (size_t i = 0; i < json_array_size(added); i++) {
        if (!read_id(r, json_object_get(json_array_get(added, i), "id"), limit, &id)) return false;
        if (id >= r->v->n) r->v->n = id + 1;
    }
    return r->v->n || json_malformed(r, "has no tokens");
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
    static const struct {
        const char *name;
        uint8_t bit;
    } finds[] = {
        {"lstrip", FIND_LSTRIP}, {"rstrip", FIND_RSTRIP}, {"single_word", FIND_WORD}, {"normalized", FIND_NORMALIZED}};
    for (size_t i = 0; i < json_array_size(added); i++) {
        const json_t *j = json_array_get(added, i);
        struct text s = json_text(json_object_get(j, "content"));
        if (!s.data) return json_malformed(r, "an added token has no content");
        bool special = json_is_true(json_object_get(j, "special"));
        size_t id = (size_t)json_integer_value(json_object_get(j, "id"));
        if (!put_token(r, id, s, special ? TOKEN_CONTROL : TOKEN_USER)) return false;
        for (size_t k = 0; k < COUNT(finds); k++)
            if (json_flag(j, finds[k].name, false)) r->v->finds[id] |= finds[k].bit;
    }
    return true;
}

static bool read_tokens(struct tokenizer_reader *r, const json_t *vocab, const json_t *added) {
    struct vocab *v = r->v;
    if (!count_tokens(r, vocab, added)) return false;
    v->tokens = arena_alloc(v->storage, v->n, sizeof *v->tokens);
    v->kinds = arena_alloc(v->storage, v->n, 1);
    v->finds = arena_alloc(v->storage, v->n, 1);
    if (!v->tokens || !v->kinds || !v->finds) return fail_memory(r->e, r->where);
    const char *name;
    json_t *j;
    struct buf room = {0};
    bool ok = true;
    json_object_foreach((json_t *)(uintptr_t)vocab, name, j) {
        struct text s = json_key(name, &room);
        if (!s.data) ok = ok && fail_memory(r->e, r->where);
        bool byte = ok && v->byte_fallback && is_byte(s);
        ok = ok && put_token(r, (size_t)json_integer_value(j), s, byte ? TOKEN_BYTE : TOKEN_NORMAL);
    }
    buf_free(&room);
    if (!ok) return false;
    for (size_t i = 0; i < json_array_size(vocab); i++) {
        struct text s = json_text(json_array_get(json_array_get(vocab, i), 0));
        if (!s.data) return json_malformed(r, "a token of its model has no text");
        bool byte = v->byte_fallback && is_byte(s);
        if (!put_token(r, i, s, byte ? TOKEN_BYTE : TOKEN_NORMAL)) return false;
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
    if (!pair && !s.data) return json_malformed(r, "a merge is not a pair of tokens");
    struct buf b = {0};
    if (pair) {
        buf_append(&b, left.data, left.size);
        buf_putc(&b, ' ');
        buf_append(&b, right.data, right.size);
        s = (struct text){b.data, b.size};
    }
    const char *space = b.failed ? NULL : memchr(s.data, ' ', s.size), *end = s.data ? s.data + s.size : NULL;
    bool ok = space && space != s.data && space + 1 < end && !memchr(space + 1, ' ', (size_t)(end - space - 1));
    if (ok) *out = (struct text){arena_copy(r->v->storage, s), s.size};
    bool failed = b.failed;
    buf_free(&b);
    if (failed || (ok && !out->data)) return fail_memory(r->e, r->where);
    return ok || json_malformed(r, "a merge is not a pair of tokens without spaces");
}

static bool read_merges(struct tokenizer_reader *r, const json_t *merges) {
    struct vocab *v = r->v;
    if (!json_is_array(merges)) return json_malformed(r, "its model has no merges");
    v->n_merges = json_array_size(merges);
    v->merges = arena_alloc(v->storage, v->n_merges, sizeof *v->merges);
    if (!v->merges) return fail_memory(r->e, r->where);
    for (size_t i = 0; i < v->n_merges; i++)
        if (!read_merge(r, json_array_get(merges, i), &v->merges[i])) return false;
    return true;
}

static bool read_affix(struct tokenizer_reader *r, const json_t *model, const char *name, char **out) {
    struct text s = json_text(json_object_get(model, name));
    if (s.size > MAX_AFFIX)
        return json_unsupported(r, "spells the parts of a word with more than 32 bytes around them");
    if (s.size && memchr(s.data, 0, s.size)) return json_unsupported(r, "spells the parts of a word with a zero byte");
    if (s.size) *out = arena_copy(r->v->storage, s);
    return !s.size || *out || fail_memory(r->e, r->where);
}

static bool read_bpe(struct tokenizer_reader *r, const json_t *model, const json_t *added) {
    struct vocab *v = r->v;
    const json_t *vocab = json_object_get(model, "vocab");
    if (!json_is_object(vocab)) return json_malformed(r, "its model has no vocab");
    if (json_number_value(json_object_get(model, "dropout")) > 0)
        return json_unsupported(r, "its model drops merges at random");
    v->kind = VOCAB_BPE;
    v->byte_fallback = json_flag(model, "byte_fallback", false);
    v->ignore_merges = json_flag(model, "ignore_merges", false);
    v->fuse_unknown = json_flag(model, "fuse_unk", false);
    return read_affix(r, model, "continuing_subword_prefix", &v->word_prefix) &&
           read_affix(r, model, "end_of_word_suffix", &v->word_suffix) && read_tokens(r, vocab, added) &&
           read_unknown(r, model, vocab) && read_merges(r, json_object_get(model, "merges"));
}

static bool read_wordpiece(struct tokenizer_reader *r, const json_t *model, const json_t *added) {
    struct vocab *v = r->v;
    const json_t *vocab = json_object_get(model, "vocab"), *most = json_object_get(model, "max_input_chars_per_word");
    if (!json_is_object(vocab)) return json_malformed(r, "its model has no vocab");
    v->kind = VOCAB_WORDPIECE;
    v->longest_word = json_integer_value(most) > 0 ? (size_t)json_integer_value(most) : 100;
    return read_affix(r, model, "continuing_subword_prefix", &v->word_prefix) && read_tokens(r, vocab, added) &&
           read_unknown(r, model, vocab);
}

// [["piece", log probability], ...] in the order of ids.
static bool read_scores(struct tokenizer_reader *r, const json_t *vocab) {
    struct vocab *v = r->v;
    v->exact = arena_alloc(v->storage, v->n, sizeof *v->exact);
    v->scores = arena_alloc(v->storage, v->n, sizeof *v->scores);
    if (!v->exact || !v->scores) return fail_memory(r->e, r->where);
    for (size_t i = 0; i < json_array_size(vocab); i++) {
        const json_t *score = json_array_get(json_array_get(vocab, i), 1);
        if (!json_is_number(score)) return json_malformed(r, "a token of its model has no score");
        v->exact[i] = json_number_value(score);
        v->scores[i] = (float)v->exact[i];
    }
    return true;
}

static bool read_unigram(struct tokenizer_reader *r, const json_t *model, const json_t *added) {
    struct vocab *v = r->v;
    const json_t *vocab = json_object_get(model, "vocab"), *unknown = json_object_get(model, "unk_id");
    if (!json_is_array(vocab)) return json_malformed(r, "its model has no vocab");
    v->kind = VOCAB_UNIGRAM;
    v->byte_fallback = json_flag(model, "byte_fallback", false);
    if (!read_tokens(r, vocab, added) || !read_scores(r, vocab)) return false;
    if (!json_is_integer(unknown)) return true;
    if (json_integer_value(unknown) < 0 || (uint64_t)json_integer_value(unknown) >= v->n)
        return json_malformed(r, "its unknown token is not there");
    v->unk = (int32_t)json_integer_value(unknown);
    if (v->kinds[v->unk] == TOKEN_NORMAL) v->kinds[v->unk] = TOKEN_UNKNOWN;
    return true;
}

bool read_model(struct tokenizer_reader *r, const json_t *root) {
    static const struct {
        const char *type;
        bool (*read)(struct tokenizer_reader *r, const json_t *model, const json_t *added);
    } models[] = {{"BPE", read_bpe}, {"Unigram", read_unigram}, {"WordPiece", read_wordpiece}};
    const json_t *model = json_object_get(root, "model"), *added = json_object_get(root, "added_tokens");
    struct text type = json_text(json_object_get(model, "type"));
    if (!json_is_object(model)) return json_malformed(r, "has no model");
    if (!type.data && json_is_array(json_object_get(model, "merges"))) type = (struct text){"BPE", 3}; // old files
    for (size_t i = 0; type.data && i < COUNT(models); i++)
        if (!strcmp(type.data, models[i].type)) return models[i].read(r, model, added);
    return fail(r->e, GYR_UNSUPPORTED, "%s: has a tokenizer of kind %.*s; gyr knows BPE, Unigram and WordPiece",
                r->where, type.data ? shown(type) : 7, type.data ? type.data : "unnamed");
}
