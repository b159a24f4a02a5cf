// The sections of tokenizer.json around its model. Pre-tokenizers become patterns to split at; what each kind means
// is documented by the tokenizers library (huggingface.co/docs/tokenizers, "Components").
#include "format/tokenizer_json.h"

#include <stdlib.h>
#include <string.h>

#define SPACE_MARKER "\xe2\x96\x81" // U+2581

#define COUNT(a) (sizeof(a) / sizeof *(a))

// GPT-2's own pattern (openai/gpt-2, encoder.py).
static const char gpt2_pattern[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

static const char punctuation[] = "[!-/:-@\\[-`{-~\\p{P}]";

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

static bool add_step(struct tokenizer_reader *r, struct split split) {
    if (r->n_splits == MAX_SPLITS) return json_unsupported(r, "has more than 32 splits");
    split.mapped = r->v->byte_level;
    split.marked = r->v->space_marker;
    r->splits[r->n_splits++] = split;
    return true;
}

static bool add_split(struct tokenizer_reader *r, const char *pattern, enum split_behavior behavior, bool invert) {
    char *copy = arena_copy(r->v->storage, (struct text){pattern, strlen(pattern)});
    if (!copy) return fail_memory(r->e, r->where);
    return add_step(r, (struct split){.pattern = copy, .behavior = behavior, .invert = invert});
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
    return json_malformed(r, "a split has an unknown behavior");
}

bool read_each(struct tokenizer_reader *r, const json_t *list,
               bool (*read)(struct tokenizer_reader *, const json_t *)) {
    if (!json_is_array(list)) return json_malformed(r, "a Sequence has no list of steps");
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!read(r, json_array_get(list, i))) return false;
    return true;
}

// ---- pre-tokenizers

static bool pre_byte_level(struct tokenizer_reader *r, const json_t *j) {
    bool prefix = json_flag(j, "add_prefix_space", true);
    if (prefix && r->n_splits && !add_step(r, (struct split){0})) return false;
    if (prefix && !r->n_splits) r->v->space_prefix = true;
    // The pattern sees the text, everything after this step sees the bytes' letters.
    if (json_flag(j, "use_regex", true) && !add_split(r, gpt2_pattern, SPLIT_ISOLATED, false)) return false;
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

char *read_pattern(struct tokenizer_reader *r, const json_t *j) {
    struct text regex = json_text(json_object_get(j, "Regex")), text = json_text(json_object_get(j, "String"));
    if (!regex.size && !text.size) return json_malformed(r, "a split has no pattern"), NULL;
    if (regex.data && strstr(regex.data, "&&["))
        return json_unsupported(r, "a split's pattern intersects classes"), NULL;
    if (regex.data && memchr(regex.data, 0, regex.size))
        return json_unsupported(r, "a split's pattern has a zero byte"), NULL;
    char *pattern = regex.size ? strdup(regex.data) : quote(text);
    return pattern ? pattern : (fail_memory(r->e, r->where), NULL);
}

static bool pre_split(struct tokenizer_reader *r, const json_t *j) {
    char *pattern = read_pattern(r, json_object_get(j, "pattern"));
    enum split_behavior behavior;
    bool ok =
        pattern && read_behavior(r, j, &behavior) && add_split(r, pattern, behavior, json_flag(j, "invert", false));
    free(pattern);
    return ok;
}

static bool pre_digits(struct tokenizer_reader *r, const json_t *j) {
    return add_split(r, "\\p{N}", json_flag(j, "individual_digits", false) ? SPLIT_ISOLATED : SPLIT_CONTIGUOUS, false);
}

static bool pre_punctuation(struct tokenizer_reader *r, const json_t *j) {
    enum split_behavior behavior;
    return read_behavior(r, j, &behavior) && add_split(r, punctuation, behavior, false);
}

static bool pre_metaspace(struct tokenizer_reader *r, const json_t *j) {
    const json_t *scheme = json_object_get(j, "prepend_scheme");
    if (r->v->byte_level) return json_unsupported(r, "its Metaspace comes after ByteLevel");
    if (!json_is(json_object_get(j, "replacement"), SPACE_MARKER))
        return json_unsupported(r, "its Metaspace has a custom marker");
    bool prefix = scheme ? !json_is(scheme, "never") : json_flag(j, "add_prefix_space", true);
    r->v->space_marker = true;
    r->v->drop_space = r->v->drop_space || prefix;
    if (prefix && !add_step(r, (struct split){.first = json_is(scheme, "first")})) return false;
    return !json_flag(j, "split", true) || add_split(r, SPACE_MARKER, SPLIT_MERGED_NEXT, false);
}

static bool pre_whitespace(struct tokenizer_reader *r, const json_t *j) {
    (void)j;
    return add_split(r, "\\w+|[^\\w\\s]+", SPLIT_REMOVED, true);
}

static bool pre_whitespace_split(struct tokenizer_reader *r, const json_t *j) {
    (void)j;
    return add_split(r, "\\s", SPLIT_REMOVED, false);
}

static bool pre_bert(struct tokenizer_reader *r, const json_t *j) {
    return pre_whitespace_split(r, j) && add_split(r, punctuation, SPLIT_ISOLATED, false);
}

static bool pre_delimiter(struct tokenizer_reader *r, const json_t *j) {
    struct text s = json_text(json_object_get(j, "delimiter"));
    if (!s.size) return json_malformed(r, "a split has no delimiter");
    char *pattern = quote(s);
    bool ok = pattern ? add_split(r, pattern, SPLIT_REMOVED, false) : fail_memory(r->e, r->where);
    free(pattern);
    return ok;
}

static bool pre_sequence(struct tokenizer_reader *r, const json_t *j) {
    return read_each(r, json_object_get(j, "pretokenizers"), read_pre_tokenizer);
}

bool read_pre_tokenizer(struct tokenizer_reader *r, const json_t *j) {
    static const struct step steps[] = {
        {"BertPreTokenizer", pre_bert},
        {"ByteLevel", pre_byte_level},
        {"CharDelimiterSplit", pre_delimiter},
        {"Digits", pre_digits},
        {"Metaspace", pre_metaspace},
        {"Punctuation", pre_punctuation},
        {"Sequence", pre_sequence},
        {"Split", pre_split},
        {"Whitespace", pre_whitespace},
        {"WhitespaceSplit", pre_whitespace_split},
    };
    return read_step(r, j, steps, COUNT(steps), "pre-tokenizer");
}

// ---- post-processors

static bool add_around(struct tokenizer_reader *r, const json_t *id, bool after) {
    struct vocab *v = r->v;
    if (!json_is_integer(id) || json_integer_value(id) < 0 || (uint64_t)json_integer_value(id) >= v->n)
        return json_malformed(r, "its post-processor names a token that is not there");
    int32_t token = (int32_t)json_integer_value(id);
    if (after && v->add_eos) return json_unsupported(r, "puts more than one token after a text");
    if (after) v->add_eos = v->tailed = true, v->eos = v->tail = token;
    if (after) return true;
    if (v->n_lead == MAX_LEAD) return json_unsupported(r, "puts more than four tokens in front of a text");
    if (!v->add_bos) v->add_bos = true, v->bos = token;
    v->lead[v->n_lead++] = token;
    return true;
}

static bool post_template(struct tokenizer_reader *r, const json_t *j) {
    const json_t *single = json_object_get(j, "single"), *special = json_object_get(j, "special_tokens");
    bool after = false;
    for (size_t i = 0; i < json_array_size(single); i++) {
        const json_t *piece = json_array_get(single, i);
        struct text name = json_text(json_object_get(json_object_get(piece, "SpecialToken"), "id"));
        const json_t *ids = json_object_get(json_object_get(special, name.data ? name.data : ""), "ids");
        for (size_t k = 0; name.data && k < (json_array_size(ids) ? json_array_size(ids) : 1); k++)
            if (!add_around(r, json_array_get(ids, k), after)) return false;
        after = after || !name.data;
    }
    return true;
}

// BERT's and RoBERTa's: [text, id] in front and after.
static bool post_bert(struct tokenizer_reader *r, const json_t *j) {
    return add_around(r, json_array_get(json_object_get(j, "cls"), 1), false) &&
           add_around(r, json_array_get(json_object_get(j, "sep"), 1), true);
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
        {"BertProcessing", post_bert}, {"ByteLevel", post_nothing},           {"RobertaProcessing", post_bert},
        {"Sequence", post_sequence},   {"TemplateProcessing", post_template},
    };
    return read_step(r, j, steps, COUNT(steps), "post-processor");
}
