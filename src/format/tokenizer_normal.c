// The "normalizer" of tokenizer.json: what happens to a text before it is split.
#include "format/tokenizer_json.h"

#include "base/base64.h"

#include <stdlib.h>
#include <string.h>

#define SPACE_MARKER "\xe2\x96\x81" // U+2581

#define COUNT(a) (sizeof(a) / sizeof *(a))

static bool add(struct tokenizer_reader *r, struct normal n) {
    if (r->n_normals == MAX_NORMALS) return json_unsupported(r, "has more than 32 normalizers");
    r->normals[r->n_normals++] = n;
    return true;
}

static bool add_with(struct tokenizer_reader *r, struct normal n, struct text content) {
    n.content = (struct text){arena_copy(r->v->storage, content), content.size};
    return n.content.data ? add(r, n) : fail_memory(r->e, r->where);
}

// Those that a name alone says.
static bool normal_named(struct tokenizer_reader *r, const json_t *j) {
    static const struct {
        const char *type;
        enum normal_kind kind;
    } names[] = {{"NFC", NORMAL_NFC},
                 {"NFD", NORMAL_NFD},
                 {"NFKC", NORMAL_NFKC},
                 {"NFKD", NORMAL_NFKD},
                 {"Nmt", NORMAL_NMT},
                 {"Lowercase", NORMAL_LOWERCASE},
                 {"StripAccents", NORMAL_UNACCENT}};
    for (size_t i = 0; i < COUNT(names); i++)
        if (json_is(json_object_get(j, "type"), names[i].type)) return add(r, (struct normal){.kind = names[i].kind});
    return false;
}

static bool normal_strip(struct tokenizer_reader *r, const json_t *j) {
    bool left = json_flag(j, "strip_left", true), right = json_flag(j, "strip_right", true);
    return add(r, (struct normal){.kind = NORMAL_STRIP, .left = left, .right = right});
}

// The marks of spaces, as Llama 2 and similar models have them, are a matter of spelling.
static bool normal_prepend(struct tokenizer_reader *r, const json_t *j) {
    struct text s = json_text(json_object_get(j, "prepend"));
    if (!s.data) return json_malformed(r, "a Prepend has no text");
    if (strcmp(s.data, SPACE_MARKER)) return add_with(r, (struct normal){.kind = NORMAL_PREPEND}, s);
    r->v->space_prefix = true;
    return true;
}

static bool normal_replace(struct tokenizer_reader *r, const json_t *j) {
    const json_t *pattern = json_object_get(j, "pattern");
    struct text content = json_text(json_object_get(j, "content"));
    if (!content.data) return json_malformed(r, "a Replace has no content");
    if (json_is(json_object_get(pattern, "String"), " ") && !strcmp(content.data, SPACE_MARKER)) {
        r->v->space_marker = true;
        return true;
    }
    char *text = read_pattern(r, pattern);
    if (!text) return false;
    struct normal n = {.kind = NORMAL_REPLACE, .pattern = arena_copy(r->v->storage, (struct text){text, strlen(text)})};
    free(text);
    return n.pattern ? add_with(r, n, content) : fail_memory(r->e, r->where);
}

// Google's BERT (google-research/bert, tokenization.py). Accents go with upper case unless the file says otherwise.
static bool normal_bert(struct tokenizer_reader *r, const json_t *j) {
    bool lower = json_flag(j, "lowercase", true), accents = json_flag(j, "strip_accents", lower);
    if (json_flag(j, "clean_text", true) && !add(r, (struct normal){.kind = NORMAL_CLEAN})) return false;
    if (json_flag(j, "handle_chinese_chars", true) && !add(r, (struct normal){.kind = NORMAL_IDEOGRAPHS})) return false;
    if (accents && (!add(r, (struct normal){.kind = NORMAL_NFD}) ||
                    !add(r, (struct normal){.kind = NORMAL_UNACCENT, .left = true})))
        return false;
    return !lower || add(r, (struct normal){.kind = NORMAL_LOWERCASE});
}

static bool normal_precompiled(struct tokenizer_reader *r, const json_t *j) {
    struct text s = json_text(json_object_get(j, "precompiled_charsmap"));
    if (!s.size) return true;
    char *map = arena_copy(r->v->storage, s);
    if (!map) return fail_memory(r->e, r->where);
    size_t size = base64_decode(map, s.size, map);
    if (size == SIZE_MAX) return json_malformed(r, "its map of characters is not base64");
    return add(r, (struct normal){.kind = NORMAL_CHARSMAP, .left = true, .content = {map, size}});
}

static bool normal_byte_level(struct tokenizer_reader *r, const json_t *j) {
    (void)j;
    r->v->byte_level = true;
    return true;
}

static bool normal_sequence(struct tokenizer_reader *r, const json_t *j) {
    return read_each(r, json_object_get(j, "normalizers"), read_normalizer);
}

bool read_normalizer(struct tokenizer_reader *r, const json_t *j) {
    static const struct step steps[] = {
        {"BertNormalizer", normal_bert},
        {"ByteLevel", normal_byte_level},
        {"Lowercase", normal_named},
        {"NFC", normal_named},
        {"NFD", normal_named},
        {"NFKC", normal_named},
        {"NFKD", normal_named},
        {"Nmt", normal_named},
        {"Precompiled", normal_precompiled},
        {"Prepend", normal_prepend},
        {"Replace", normal_replace},
        {"Sequence", normal_sequence},
        {"Strip", normal_strip},
        {"StripAccents", normal_named},
    };
    return read_step(r, j, steps, COUNT(steps), "normalizer");
}
