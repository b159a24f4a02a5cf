#include "format/hf.h"

#include "image.h"

// A tokenizer of "a", "b", "ab", " "'s letter, "<unk>" and two added tokens, with these sections; NULL: the usual.
struct sections {
    const char *model, *normalizer, *pre, *post, *added;
};

#define VOCAB "\"vocab\": {\"a\": 0, \"b\": 1, \"ab\": 2, \"\xc4\xa0\": 3, \"<unk>\": 4, \"<0x41>\": 5}"
#define BPE   "\"type\": \"BPE\", " VOCAB ", "
#define ADDED                                                                                                          \
    "[{\"id\": 6, \"content\": \"<s>\", \"special\": true}, {\"id\": 7, \"content\": \"user\", \"special\": false}]"

static bool read_vocab(const struct sections *s, struct vocab *v, gyr_error *e) {
    struct buf b = {0};
    buf_printf(&b,
               "{\"model\": {%s}, \"normalizer\": %s, \"pre_tokenizer\": %s, \"post_processor\": %s, "
               "\"added_tokens\": %s}",
               s->model ? s->model : BPE "\"merges\": [\"a b\"]", s->normalizer ? s->normalizer : "null",
               s->pre ? s->pre : "null", s->post ? s->post : "null", s->added ? s->added : ADDED);
    *e = (gyr_error){0};
    bool ok = tokenizer_json(b.data, b.size, "T", v, e);
    buf_free(&b);
    return ok;
}

static void refuse(const struct sections *s, gyr_status status, const char *want) {
    struct vocab v;
    gyr_error e;
    CHECK(!read_vocab(s, &v, &e));
    CHECK_STR(e.message, want);
    CHECK_INT(e.status, status);
    vocab_free(&v);
}

static void reads_the_model(void) {
    struct vocab v;
    gyr_error e;
    REQUIRE(read_vocab(&(struct sections){0}, &v, &e));
    CHECK_INT(v.kind, VOCAB_BPE);
    CHECK_INT(v.n, 8);
    CHECK(text_is(v.tokens[2], "ab") && text_is(v.tokens[7], "user"));
    CHECK_INT(v.kinds[2], TOKEN_NORMAL);
    CHECK_INT(v.kinds[5], TOKEN_NORMAL);
    CHECK_INT(v.kinds[6], TOKEN_CONTROL);
    CHECK_INT(v.kinds[7], TOKEN_USER);
    CHECK_INT(v.n_merges, 1);
    CHECK(text_is(v.merges[0], "a b"));
    CHECK(v.has_splits && v.n_splits == 0);
    CHECK(!v.scores && !v.pre && !v.byte_level && !v.byte_fallback && !v.ignore_merges && !v.space_marker);
    CHECK(!v.space_prefix && !v.add_bos && !v.add_eos);
    CHECK(v.bos == -1 && v.eos == -1 && v.eot == -1 && v.unk == -1 && v.pad == -1);
    vocab_free(&v);
}

static void reads_merges_as_pairs(void) {
    struct vocab v;
    gyr_error e;
    REQUIRE(read_vocab(&(struct sections){.model = VOCAB ", \"merges\": [[\"a\", \"b\"]], \"ignore_merges\": true"}, &v,
                       &e));
    CHECK_INT(v.n_merges, 1);
    CHECK(text_is(v.merges[0], "a b"));
    CHECK(v.ignore_merges);
    vocab_free(&v);
}

static void reads_llama_2(void) {
    struct vocab v;
    gyr_error e;
    REQUIRE(read_vocab(
        &(struct sections){.model = BPE "\"merges\": [], \"byte_fallback\": true, \"unk_token\": \"<unk>\"",
                           .normalizer = "{\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"Prepend\","
                                         " \"prepend\": \"\xe2\x96\x81\"}, {\"type\": \"Replace\","
                                         " \"pattern\": {\"String\": \" \"}, \"content\": \"\xe2\x96\x81\"}]}",
                           .post = "{\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\":"
                                   " {\"id\": \"<s>\"}}, {\"Sequence\": {\"id\": \"A\"}}],"
                                   " \"special_tokens\": {\"<s>\": {\"ids\": [6]}}}"},
        &v, &e));
    CHECK(v.byte_fallback && v.space_marker && v.space_prefix && !v.byte_level);
    CHECK_INT(v.unk, 4);
    CHECK_INT(v.kinds[4], TOKEN_UNKNOWN);
    CHECK_INT(v.kinds[5], TOKEN_BYTE);
    CHECK_INT(v.bos, 6);
    CHECK(v.add_bos && !v.add_eos);
    CHECK(v.has_splits && v.n_splits == 0);
    vocab_free(&v);
}

static void check_split(const struct vocab *v, size_t i, const char *pattern, enum split_behavior behavior, bool invert,
                        bool mapped) {
    REQUIRE(i < v->n_splits);
    CHECK_STR(v->splits[i].pattern, pattern);
    CHECK_INT(v->splits[i].behavior, behavior);
    CHECK_INT(v->splits[i].invert, invert);
    CHECK_INT(v->splits[i].mapped, mapped);
}

static const char gpt2[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

static void reads_falcon_splits(void) {
    struct vocab v;
    gyr_error e;
    REQUIRE(read_vocab(
        &(struct sections){.pre = "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Punctuation\","
                                  " \"behavior\": \"Contiguous\"}, {\"type\": \"ByteLevel\","
                                  " \"add_prefix_space\": false, \"use_regex\": true}, {\"type\": \"Digits\","
                                  " \"individual_digits\": false}, {\"type\": \"Split\", \"pattern\":"
                                  " {\"Regex\": \"[0-9][0-9][0-9]\"}, \"behavior\": \"Isolated\","
                                  " \"invert\": false}]}",
                           .post = "{\"type\": \"ByteLevel\"}"},
        &v, &e));
    CHECK(v.byte_level && !v.space_prefix && v.has_splits);
    CHECK_INT(v.n_splits, 4);
    check_split(&v, 0, "[!-/:-@\\[-`{-~\\p{P}]", SPLIT_CONTIGUOUS, false, false);
    check_split(&v, 1, gpt2, SPLIT_ISOLATED, false, false);
    check_split(&v, 2, "\\p{N}", SPLIT_CONTIGUOUS, false, true);
    check_split(&v, 3, "[0-9][0-9][0-9]", SPLIT_ISOLATED, false, true);
    vocab_free(&v);
}

static void reads_all_splits(void) {
    struct vocab v;
    gyr_error e;
    REQUIRE(read_vocab(
        &(struct sections){
            .pre = "{\"type\": \"Sequence\", \"pretokenizers\": ["
                   "{\"type\": \"Split\", \"pattern\": {\"String\": \" .\"}, \"behavior\": \"Removed\"},"
                   "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"x\"}, \"behavior\": \"MergedWithNext\"},"
                   "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"y\"}, \"behavior\": \"MergedWithPrevious\","
                   " \"invert\": true}, {\"type\": \"Digits\", \"individual_digits\": true},"
                   "{\"type\": \"Punctuation\"},"
                   "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"use_regex\": false}]}"},
        &v, &e));
    CHECK_INT(v.n_splits, 5);
    check_split(&v, 0, "\\x{20}\\x{2e}", SPLIT_REMOVED, false, false);
    check_split(&v, 1, "x", SPLIT_MERGED_NEXT, false, false);
    check_split(&v, 2, "y", SPLIT_MERGED_PREVIOUS, true, false);
    check_split(&v, 3, "\\p{N}", SPLIT_ISOLATED, false, false);
    check_split(&v, 4, "[!-/:-@\\[-`{-~\\p{P}]", SPLIT_ISOLATED, false, false);
    CHECK(v.byte_level && !v.space_prefix);
    vocab_free(&v);
    REQUIRE(read_vocab(&(struct sections){.pre = "{\"type\": \"ByteLevel\"}"}, &v, &e));
    CHECK(v.byte_level && v.space_prefix);
    CHECK_INT(v.n_splits, 1);
    vocab_free(&v);
}

static void reads_metaspace(void) {
    static const struct {
        const char *options;
        bool prefix, first, split;
    } cases[] = {{"", true, false, true},
                 {", \"add_prefix_space\": false", false, false, true},
                 {", \"prepend_scheme\": \"never\", \"split\": false", false, false, false},
                 {", \"prepend_scheme\": \"first\"", true, true, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vocab v;
        gyr_error e;
        char pre[200];
        snprintf(pre, sizeof pre, "{\"type\": \"Metaspace\", \"replacement\": \"\xe2\x96\x81\"%s}", cases[i].options);
        REQUIRE(read_vocab(&(struct sections){.pre = pre}, &v, &e));
        CHECK(v.space_marker);
        CHECK_INT(v.drop_space, cases[i].prefix);
        CHECK_INT(v.n_splits, cases[i].prefix + cases[i].split);
        if (cases[i].prefix) CHECK(!v.splits[0].pattern && v.splits[0].first == cases[i].first);
        if (cases[i].split) check_split(&v, cases[i].prefix, "\xe2\x96\x81", SPLIT_MERGED_NEXT, false, false);
        vocab_free(&v);
    }
}

static void reads_normalizers(void) {
    struct vocab v;
    gyr_error e;
    REQUIRE(read_vocab(
        &(struct sections){.normalizer =
                               "{\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"NFC\"},"
                               "{\"type\": \"BertNormalizer\", \"lowercase\": false},"
                               "{\"type\": \"Strip\", \"strip_left\": false, \"strip_right\": true},"
                               "{\"type\": \"Replace\", \"pattern\": {\"String\": \".\"}, \"content\": \"x\"},"
                               "{\"type\": \"Precompiled\", \"precompiled_charsmap\": \"AAECAw==\"}]}"},
        &v, &e));
    static const enum normal_kind kinds[] = {NORMAL_NFC,   NORMAL_CLEAN,   NORMAL_IDEOGRAPHS,
                                             NORMAL_STRIP, NORMAL_REPLACE, NORMAL_CHARSMAP};
    REQUIRE(v.n_normals == 6);
    for (size_t i = 0; i < 6; i++) CHECK_INT(v.normals[i].kind, kinds[i]);
    CHECK(!v.normals[3].left && v.normals[3].right);
    CHECK_STR(v.normals[4].pattern, "\\x{2e}");
    CHECK(text_is(v.normals[4].content, "x"));
    CHECK_INT(v.normals[5].content.size, 4);
    CHECK(!memcmp(v.normals[5].content.data, "\0\1\2\3", 4));
    vocab_free(&v);
}

static void reads_post_processors(void) {
    struct vocab v;
    gyr_error e;
    REQUIRE(read_vocab(&(struct sections){.post = "{\"type\": \"BertProcessing\", \"sep\": [\"user\", 7], \"cls\": "
                                                  "[\"<s>\", 6]}"},
                       &v, &e));
    CHECK(v.add_bos && v.add_eos);
    CHECK_INT(v.bos, 6);
    CHECK_INT(v.eos, 7);
    CHECK(v.tailed);
    CHECK_INT(v.tail, 7);
    vocab_free(&v);
    REQUIRE(read_vocab(
        &(struct sections){.post =
                               "{\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": {\"id\": \"x\"}},"
                               " {\"Sequence\": {\"id\": \"A\"}}], \"special_tokens\": {\"x\": {\"ids\": [6, 7, 0]}}}"},
        &v, &e));
    CHECK(v.add_bos && !v.add_eos);
    CHECK_INT(v.bos, 6);
    CHECK_INT(v.n_lead, 3);
    CHECK_INT(v.lead[0], 6);
    CHECK_INT(v.lead[1], 7);
    CHECK_INT(v.lead[2], 0);
    vocab_free(&v);
}

static void fills_gaps(void) {
    struct vocab v;
    gyr_error e;
    REQUIRE(read_vocab(&(struct sections){.added = "[{\"id\": 9, \"content\": \"x\"}]"}, &v, &e));
    CHECK_INT(v.n, 10);
    CHECK(text_is(v.tokens[8], ""));
    CHECK_INT(v.kinds[8], TOKEN_UNUSED);
    CHECK_INT(v.kinds[9], TOKEN_USER);
    vocab_free(&v);
}

static void refuses_bad_models(void) {
    refuse(&(struct sections){.model = "\"type\": \"WordLevel\", \"vocab\": {}"}, GYR_UNSUPPORTED,
           "T: has a tokenizer of kind WordLevel; gyr knows BPE, Unigram and WordPiece");
    refuse(&(struct sections){.model = ""}, GYR_UNSUPPORTED,
           "T: has a tokenizer of kind unnamed; gyr knows BPE, Unigram and WordPiece");
    refuse(&(struct sections){.model = "\"type\": \"Unigram\", \"vocab\": {}"}, GYR_MALFORMED,
           "T: its model has no vocab; get the file again");
    refuse(&(struct sections){.model = "\"type\": \"Unigram\", \"vocab\": [[\"a\"]]"}, GYR_MALFORMED,
           "T: a token of its model has no score; get the file again");
    refuse(&(struct sections){.model = "\"type\": \"Unigram\", \"vocab\": [7]"}, GYR_MALFORMED,
           "T: a token of its model has no text; get the file again");
    refuse(&(struct sections){.model = "\"type\": \"Unigram\", \"unk_id\": 8, \"vocab\": [[\"a\", 0]]"}, GYR_MALFORMED,
           "T: its unknown token is not there; get the file again");
    refuse(&(struct sections){.model = "\"type\": \"WordPiece\", \"vocab\": []"}, GYR_MALFORMED,
           "T: its model has no vocab; get the file again");
    refuse(&(struct sections){.model = BPE "\"merges\": [], \"dropout\": 0.1"}, GYR_UNSUPPORTED,
           "T: its model drops merges at random, which gyr cannot do; choose another model");
    refuse(&(struct sections){.model = "\"type\": \"BPE\", \"merges\": []"}, GYR_MALFORMED,
           "T: its model has no vocab; get the file again");
    refuse(&(struct sections){.model = BPE "\"x\": 1"}, GYR_MALFORMED,
           "T: its model has no merges; get the file again");
    refuse(&(struct sections){.model = BPE "\"merges\": [1]"}, GYR_MALFORMED,
           "T: a merge is not a pair of tokens; get the file again");
    refuse(&(struct sections){.model = BPE "\"merges\": [\"ab\"]"}, GYR_MALFORMED,
           "T: a merge is not a pair of tokens without spaces; get the file again");
    refuse(&(struct sections){.model = BPE "\"merges\": [[\"a b\", \"c\"]]"}, GYR_MALFORMED,
           "T: a merge is not a pair of tokens without spaces; get the file again");
    refuse(&(struct sections){.model = BPE "\"merges\": [], \"end_of_word_suffix\": "
                                           "\"123456789012345678901234567890123\""},
           GYR_UNSUPPORTED,
           "T: spells the parts of a word with more than 32 bytes around them, which gyr cannot do; choose another "
           "model");
    refuse(&(struct sections){.model = "\"type\": \"BPE\", \"merges\": [], \"vocab\": {\"a\": 1, \"b\": 1}"},
           GYR_MALFORMED, "T: two tokens have id 1; get the file again");
    refuse(&(struct sections){.model = "\"type\": \"BPE\", \"merges\": [], \"vocab\": {\"a\": 1000000000000}"},
           GYR_MALFORMED, "T: a token's id is not a number, or too large; get the file again");
    refuse(&(struct sections){.model = "\"type\": \"BPE\", \"merges\": [], \"vocab\": {\"a\": -1}"}, GYR_MALFORMED,
           "T: a token's id is not a number, or too large; get the file again");
    refuse(&(struct sections){.model = "\"type\": \"BPE\", \"merges\": [], \"vocab\": {}", .added = "[]"},
           GYR_MALFORMED, "T: has no tokens; get the file again");
    refuse(&(struct sections){.added = "[{\"id\": 9}]"}, GYR_MALFORMED,
           "T: an added token has no content; get the file again");
    refuse(&(struct sections){.added = "[{\"id\": 0, \"content\": \"z\"}]"}, GYR_MALFORMED,
           "T: two tokens have id 0; get the file again");
}

static void refuses_bad_steps(void) {
    refuse(
        &(struct sections){.normalizer = "{\"type\": \"Odd\"}"}, GYR_UNSUPPORTED,
        "T: has a normalizer of kind Odd; gyr knows BertNormalizer, ByteLevel, Lowercase, NFC, NFD, NFKC, NFKD, Nmt, "
        "Precompiled, Prepend, Replace, Sequence, Strip, StripAccents");
    refuse(&(struct sections){.pre = "{\"type\": \"UnicodeScripts\"}"}, GYR_UNSUPPORTED,
           "T: has a pre-tokenizer of kind UnicodeScripts; gyr knows BertPreTokenizer, ByteLevel, CharDelimiterSplit, "
           "Digits, Metaspace, Punctuation, Sequence, Split, Whitespace, WhitespaceSplit");
    refuse(&(struct sections){.post = "{\"type\": \"Odd\"}"}, GYR_UNSUPPORTED,
           "T: has a post-processor of kind Odd; gyr knows BertProcessing, ByteLevel, RobertaProcessing, Sequence, "
           "TemplateProcessing");
    refuse(&(struct sections){.post = "{\"type\": \"BertProcessing\", \"cls\": [\"a\", 0]}"}, GYR_MALFORMED,
           "T: its post-processor names a token that is not there; get the file again");
    refuse(&(struct sections){.normalizer = "{\"type\": \"Precompiled\", \"precompiled_charsmap\": \"a-b\"}"},
           GYR_MALFORMED, "T: its map of characters is not base64; get the file again");
    refuse(&(struct sections){.normalizer = "{\"type\": \"Prepend\"}"}, GYR_MALFORMED,
           "T: a Prepend has no text; get the file again");
    refuse(&(struct sections){.normalizer = "{\"type\": \"Replace\", \"pattern\": {\"Regex\": \" \"}}"}, GYR_MALFORMED,
           "T: a Replace has no content; get the file again");
    refuse(&(struct sections){.pre = "[]"}, GYR_MALFORMED, "T: a pre-tokenizer has no type; get the file again");
    refuse(&(struct sections){.pre = "{\"type\": \"Sequence\"}"}, GYR_MALFORMED,
           "T: a Sequence has no list of steps; get the file again");
    refuse(&(struct sections){.pre = "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"\"}}"}, GYR_MALFORMED,
           "T: a split has no pattern; get the file again");
    refuse(&(struct sections){.pre = "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"a\"}, \"behavior\": \"Odd\"}"},
           GYR_MALFORMED, "T: a split has an unknown behavior; get the file again");
    refuse(&(struct sections){.pre = "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"[a&&[b]]\"}}"}, GYR_UNSUPPORTED,
           "T: a split's pattern intersects classes, which gyr cannot do; choose another model");
    refuse(&(struct sections){.post = "{\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\":"
                                      " {\"id\": \"<s>\"}}], \"special_tokens\": {\"<s>\": {\"ids\": [8]}}}"},
           GYR_MALFORMED, "T: its post-processor names a token that is not there; get the file again");
    struct buf b = {0};
    buf_puts(&b, "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Digits\"}");
    for (int i = 0; i < 32; i++) buf_puts(&b, ", {\"type\": \"Digits\"}");
    buf_puts(&b, "]}");
    refuse(&(struct sections){.pre = b.data}, GYR_UNSUPPORTED,
           "T: has more than 32 splits, which gyr cannot do; choose another model");
    buf_free(&b);
}

int main(void) {
    RUN(reads_the_model);
    RUN(reads_merges_as_pairs);
    RUN(reads_llama_2);
    RUN(reads_falcon_splits);
    RUN(reads_all_splits);
    RUN(reads_metaspace);
    RUN(reads_normalizers);
    RUN(reads_post_processors);
    RUN(fills_gaps);
    RUN(refuses_bad_models);
    RUN(refuses_bad_steps);
    return test_end();
}
