// The sections of tokenizer.json around its model. Pre-tokenizers become patterns to split at; what each kind means
// is documented by the tokenizers library (huggingface.co/docs/tokenizers, "Components").
#include "format/tokenizer_json.h"

#include <stdlib.h>
#include <string.h>

#define SPACE_MARKER "\xe2\x96\x81" // U+2581

#define COUNT(a) (sizeof(a) / sizeof *(a))

// GPT-2's own pattern (openai/gpt-2, encoder.py).
static const char gpt2_pattern[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

static const struct {
    const char *name;
    enum split_behavior behavior;
} behaviors[] = {
    {"Isolated", SPLIT_ISOLATED},
    {"Contiguous", SPLIT_CONTIGUOUS},
    {"Removed", SPLIT_REMOVED},
    {"MergedWithPrevious", SPLIT_MERGED_PREVIOUS},
    {"MergedWithNext", SPLIT_MERGED_NEXT},
};

static bool malformed(struct tokenizer_reader *r, const char *what) {
    return fail(r->e, GYR_MALFORMED, "%s: %s; get the file again", r->where, what);
}

static bool unsupported(struct tokenizer_reader *r, const char *what) {
    return fail(r->e, GYR_UNSUPPORTED, "%s: %s, which gyr cannot do; choose another model", r->where, what);
}

static bool add_split(struct tokenizer_reader *r, const char *pattern, enum split_behavior behavior, bool invert) {
    if (r->n_splits == MAX_SPLITS) return unsupported(r, "has more than 32 splits");
    char *copy = arena_copy(r->v->storage, (struct text){pattern, strlen(pattern)});
    if (!copy) return fail_memory(r->e, r->where);
    r->splits[r->n_splits++] =
        (struct split){.pattern = copy, .behavior = behavior, .invert = invert, .mapped = r->v->byte_level};
    return true;
}

static bool flag(const json_t *j, const char *name, bool otherwise) {
    const json_t *value = json_object_get(j, name);
    return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

static bool read_behavior(struct tokenizer_reader *r, const json_t *j, enum split_behavior *out) {
    const json_t *name = json_object_get(j, "behavior");
    *out = SPLIT_ISOLATED;
    if (!name) return true;
    for (size_t i = 0; i < COUNT(behaviors); i++)
        if (json_is(name, behaviors[i].name)) {
            *out = behaviors[i].behavior;
            return true;
        }
    return malformed(r, "a split has an unknown behavior");
}

static bool read_each(struct tokenizer_reader *r, const json_t *list,
                      bool (*read)(struct tokenizer_reader *, const json_t *)) {
    if (!json_is_array(list)) return malformed(r, "a Sequence has no list of steps");
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!read(r, json_array_get(list, i))) return false;
    return true;
}

// ---- pre-tokenizers

static bool pre_byte_level(struct tokenizer_reader *r, const json_t *j) {
    bool prefix = flag(j, "add_prefix_space", true);
    if (prefix && r->n_splits) return unsupported(r, "puts a space in front of every piece");
    if (prefix) r->v->space_prefix = true;
    // The pattern sees the text, everything after this step sees the bytes' letters.
    if (flag(j, "use_regex", true) && !add_split(r, gpt2_pattern, SPLIT_ISOLATED, false)) return false;
    r->v->byte_level = true;
    return true;
}

// A literal as a pattern: all of ASCII that could mean something is escaped.
static char *quote(struct text s) {
    struct buf b = {0};
    for (size_t i = 0; i < s.size; i++) {
        unsigned char c = (unsigned char)s.data[i];
        bool plain = c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (plain)
            buf_putc(&b, (char)c);
        else
            buf_printf(&b, "\\x{%02x}", c);
    }
    return buf_take(&b);
}

static bool pre_split(struct tokenizer_reader *r, const json_t *j) {
    const json_t *pattern = json_object_get(j, "pattern");
    struct text regex = json_text(json_object_get(pattern, "Regex")),
                text = json_text(json_object_get(pattern, "String"));
    enum split_behavior behavior;
    if (!regex.size && !text.size) return malformed(r, "a split has no pattern");
    if (regex.data && strstr(regex.data, "&&[")) return unsupported(r, "a split's pattern intersects classes");
    if (!read_behavior(r, j, &behavior)) return false;
    bool invert = flag(j, "invert", false);
    if (regex.data) return add_split(r, regex.data, behavior, invert);
    char *quoted = quote(text);
    bool ok = quoted ? add_split(r, quoted, behavior, invert) : fail_memory(r->e, r->where);
    free(quoted);
    return ok;
}

static bool pre_digits(struct tokenizer_reader *r, const json_t *j) {
    return add_split(r, "\\p{N}", flag(j, "individual_digits", false) ? SPLIT_ISOLATED : SPLIT_CONTIGUOUS, false);
}

static bool pre_punctuation(struct tokenizer_reader *r, const json_t *j) {
    enum split_behavior behavior;
    return read_behavior(r, j, &behavior) && add_split(r, "[!-/:-@\\[-`{-~\\p{P}]", behavior, false);
}

static bool pre_metaspace(struct tokenizer_reader *r, const json_t *j) {
    const json_t *scheme = json_object_get(j, "prepend_scheme");
    if (r->n_splits || r->v->byte_level) return unsupported(r, "its Metaspace is not the first step");
    if (!json_is(json_object_get(j, "replacement"), SPACE_MARKER))
        return unsupported(r, "its Metaspace has a marker of its own");
    r->v->space_marker = true;
    r->v->space_prefix = scheme ? !json_is(scheme, "never") : flag(j, "add_prefix_space", true);
    return !flag(j, "split", true) || add_split(r, SPACE_MARKER, SPLIT_MERGED_NEXT, false);
}

static bool pre_sequence(struct tokenizer_reader *r, const json_t *j) {
    return read_each(r, json_object_get(j, "pretokenizers"), read_pre_tokenizer);
}

bool read_pre_tokenizer(struct tokenizer_reader *r, const json_t *j) {
    static const struct step steps[] = {
        {"ByteLevel", pre_byte_level},    {"Digits", pre_digits},     {"Metaspace", pre_metaspace},
        {"Punctuation", pre_punctuation}, {"Sequence", pre_sequence}, {"Split", pre_split},
    };
    return read_step(r, j, steps, COUNT(steps), "pre-tokenizer");
}

// ---- normalizers: only how Llama 2 and its kin mark spaces

static bool normal_prepend(struct tokenizer_reader *r, const json_t *j) {
    if (!json_is(json_object_get(j, "prepend"), SPACE_MARKER))
        return unsupported(r, "its normalizer prepends other text than U+2581");
    r->v->space_prefix = true;
    return true;
}

static bool normal_replace(struct tokenizer_reader *r, const json_t *j) {
    const json_t *from = json_object_get(json_object_get(j, "pattern"), "String");
    if (!json_is(from, " ") || !json_is(json_object_get(j, "content"), SPACE_MARKER))
        return unsupported(r, "its normalizer replaces other text than spaces");
    r->v->space_marker = true;
    return true;
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
        {"ByteLevel", normal_byte_level},
        {"Prepend", normal_prepend},
        {"Replace", normal_replace},
        {"Sequence", normal_sequence},
    };
    return read_step(r, j, steps, COUNT(steps), "normalizer");
}

// ---- post-processors

static bool post_template(struct tokenizer_reader *r, const json_t *j) {
    const json_t *single = json_object_get(j, "single"), *special = json_object_get(j, "special_tokens");
    bool after = false;
    for (size_t i = 0; i < json_array_size(single); i++) {
        const json_t *piece = json_array_get(single, i);
        struct text name = json_text(json_object_get(json_object_get(piece, "SpecialToken"), "id"));
        if (!name.data) {
            after = true;
            continue;
        }
        const json_t *id = json_array_get(json_object_get(json_object_get(special, name.data), "ids"), 0);
        bool *add = after ? &r->v->add_eos : &r->v->add_bos;
        if (!json_is_integer(id) || json_integer_value(id) < 0 || (uint64_t)json_integer_value(id) >= r->v->n)
            return malformed(r, "its post-processor names a token that is not there");
        if (*add) return unsupported(r, "puts more than one token around a text");
        *add = true;
        *(after ? &r->v->eos : &r->v->bos) = (int32_t)json_integer_value(id);
    }
    return true;
}

static bool post_nothing(struct tokenizer_reader *r, const json_t *j) {
    (void)r, (void)j; // only trims offsets
    return true;
}

static bool post_sequence(struct tokenizer_reader *r, const json_t *j) {
    return read_each(r, json_object_get(j, "processors"), read_post_processor);
}

bool read_post_processor(struct tokenizer_reader *r, const json_t *j) {
    static const struct step steps[] = {
        {"ByteLevel", post_nothing},
        {"Sequence", post_sequence},
        {"TemplateProcessing", post_template},
    };
    return read_step(r, j, steps, COUNT(steps), "post-processor");
}
