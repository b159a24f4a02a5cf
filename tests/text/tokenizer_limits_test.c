// The tokenizer's parts, contradictory vocabularies, and that no text takes long.
#define PCRE2_CODE_UNIT_WIDTH 8
#include "tokenizers.h"

#include "format/alphabet.h"
#include "text/patterns.h"
#include <pcre2.h>
#include <time.h>

// What Hugging Face's documentation of SplitDelimiterBehavior says of this text, and what its library does besides.
static void splits_behave_as_hugging_face_says(void) {
    static const struct {
        const char *pattern;
        enum split_behavior behavior;
        bool invert;
        const char *text, *words;
    } cases[] = {
        {"-", SPLIT_REMOVED, false, "the-final--countdown", "the|final|countdown"},
        {"-", SPLIT_ISOLATED, false, "the-final--countdown", "the|-|final|-|-|countdown"},
        {"-", SPLIT_MERGED_PREVIOUS, false, "the-final--countdown", "the-|final-|-|countdown"},
        {"-", SPLIT_MERGED_NEXT, false, "the-final--countdown", "the|-final|-|-countdown"},
        {"-", SPLIT_CONTIGUOUS, false, "the-final--countdown", "the|-|final|--|countdown"},
        {"-", SPLIT_REMOVED, true, "the-final--countdown", "-|-|-"},
        {"[a-z]+", SPLIT_MERGED_NEXT, true, "the-final--countdown", "the|-final|--countdown"},
        {"(?=[A-Z])", SPLIT_ISOLATED, false, "getURLOf", "get|U|R|L|Of"},
        {"(?=[A-Z])", SPLIT_MERGED_NEXT, false, "getURLOf", "get|U|R|L|Of"},
        {"-", SPLIT_ISOLATED, false, "", ""},
        {"$", SPLIT_ISOLATED, false, "a\nb", "a|\nb"},
        {"\\s", SPLIT_ISOLATED, false,
         "a\xe1\xa0\x8e"
         "b\xc2\x85"
         "c",
         "a\xe1\xa0\x8e"
         "b|\xc2\x85|c"},
        {"[\\s-]", SPLIT_REMOVED, false, "a b-c", "a|b|c"},
        {"\\S+", SPLIT_REMOVED, false, "a bc", " "},
        {"[[:digit:]x]", SPLIT_ISOLATED, false, "a1xb", "a|1|x|b"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct split split = {(char *)(uintptr_t)cases[i].pattern, cases[i].behavior, cases[i].invert, false};
        struct vocab v = {.has_splits = true, .splits = &split, .n_splits = 1};
        struct pretokenizer p = {0};
        struct scan scan = {0};
        struct words w = {0};
        struct buf got = {0};
        REQUIRE(pretokenizer_init(&p, &v, "v", NULL) && scan_begin(&scan, 100));
        CHECK(pretokenize(&p, &scan, cases[i].text, strlen(cases[i].text), &w));
        for (size_t k = 0; k < w.spans.n; k++) {
            if (k) buf_putc(&got, '|');
            buf_append(&got, cases[i].text + w.spans.at[k].begin, w.spans.at[k].end - w.spans.at[k].begin);
        }
        CHECK_STR(got.data ? got.data : "", cases[i].words);
        buf_free(&got);
        words_free(&w);
        scan_end(&scan);
        pretokenizer_free(&p);
    }
}

// Falcon's vocabulary lacks some bytes, as this one does: control characters are left out, as Hugging Face leaves
// them out, and what is no UTF-8 becomes U+FFFD.
static void missing_bytes_are_replaced(void) {
    struct text tokens[] = {{"a", 1},        {"b", 1},  {"\xc3\xaf", 2}, {"\xc2\xbf", 2},
                            {"\xc2\xbd", 2}, {"ab", 2}, {"<end>", 5}};
    uint8_t kinds[] = {1, 1, 1, 1, 1, 1, TOKEN_CONTROL};
    struct text merges[] = {{"a b", 3}};
    struct vocab v = {.kind = VOCAB_BPE,
                      .n = 7,
                      .tokens = tokens,
                      .kinds = kinds,
                      .merges = merges,
                      .n_merges = 1,
                      .byte_level = true,
                      .has_splits = true,
                      .unk = 6};
    gyr_error e = {0};
    struct tokenizer *t = tokenizer_new(&v, "v", &e);
    REQUIRE(t);
    static const struct {
        const char *text, *ids;
    } cases[] = {{"ab", "[5]"},
                 {"a\x01"
                  "b",
                  "[5]"},
                 {"a\xff"
                  "b",
                  "[0,2,3,4,1]"},
                 {"\xff\xfe", "[2,3,4,2,3,4]"},
                 {"c", "[]"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *got = encode_ids(t, cases[i].text, strlen(cases[i].text), true);
        CHECK_STR(got, cases[i].ids);
        free(got);
    }
    tokenizer_free(t);
    kinds[6] = TOKEN_UNKNOWN; // now it may be used
    t = tokenizer_new(&v, "v", &e);
    REQUIRE(t);
    char *got = encode_ids(t, "a\x01\xff", 3, false);
    CHECK_STR(got, "[0,6,6]");
    free(got);
    tokenizer_free(t);
}

static void missing_characters_fail_or_are_unknown(void) {
    struct text tokens[] = {{"\xe2\x96\x81", 3},
                            {"a", 1},
                            {"\xe2\x96\x81"
                             "a",
                             4},
                            {"<unk>", 5}};
    uint8_t kinds[] = {1, 1, 1, TOKEN_UNKNOWN};
    float scores[] = {-1, -2, -3, 0};
    struct vocab v = {.kind = VOCAB_SPM,
                      .n = 4,
                      .tokens = tokens,
                      .kinds = kinds,
                      .scores = scores,
                      .space_marker = true,
                      .space_prefix = true,
                      .unk = -1};
    gyr_error e = {0};
    struct tokenizer *t = tokenizer_new(&v, "v", &e);
    REQUIRE(t);
    char *got = encode_ids(t, "a z", 3, false);
    CHECK_STR(got, "[v: the vocabulary has no token for byte 0x7a, and none for what is unknown]");
    free(got);
    v.unk = 3;
    tokenizer_free(t);
    t = tokenizer_new(&v, "v", &e);
    REQUIRE(t);
    got = encode_ids(t, "a z", 3, false);
    CHECK_STR(got, "[2,0,3]");
    free(got);
    tokenizer_free(t);
}

// ---------------------------------------------------------------------------------------------- contradictions

static void check_refused(struct vocab v, gyr_status status, const char *message) {
    gyr_error e = {0};
    struct tokenizer *t = tokenizer_new(&v, "v.gguf", &e);
    CHECK(!t);
    CHECK_INT(e.status, status);
    CHECK_STR(e.message, message);
    tokenizer_free(t);
}

static void contradictions_are_refused(void) {
    struct text tokens[] = {{"a", 1}, {"b", 1}, {"ab", 2}};
    uint8_t kinds[] = {1, 1, 1};
    struct text bad[] = {{"a b", 3}, {"a c", 3}}, none[] = {{"ab", 2}};
    struct vocab v = {.kind = VOCAB_BPE,
                      .n = 3,
                      .tokens = tokens,
                      .kinds = kinds,
                      .merges = bad,
                      .n_merges = 2,
                      .byte_level = true,
                      .has_splits = true,
                      .unk = -1};
    check_refused(v, GYR_MALFORMED,
                  "v.gguf: merge 1 (\"a c\") does not join two tokens into a third; the file is damaged or was "
                  "converted wrongly");
    v.merges = none, v.n_merges = 1;
    check_refused(v, GYR_MALFORMED,
                  "v.gguf: merge 0 (\"ab\") does not join two tokens into a third; the file is damaged or was "
                  "converted wrongly");
    v.n_merges = 0, v.unk = 3;
    check_refused(v, GYR_MALFORMED, "v.gguf: the unknown token 3 is not in the vocabulary of 3");
    v.unk = -1, v.kind = VOCAB_SPM;
    check_refused(v, GYR_MALFORMED, "v.gguf: a SentencePiece vocabulary without scores; convert the model again");
    v.kind = VOCAB_NONE;
    check_refused(v, GYR_UNSUPPORTED,
                  "v.gguf: has no tokenizer that gyr knows (BPE, SentencePiece, Unigram, WordPiece)");
    v.kind = VOCAB_BPE, v.n = 0;
    check_refused(v, GYR_MALFORMED, "v.gguf: a vocabulary of 0 tokens; the file is damaged");
    v.n = 3, v.has_splits = false, v.pre = (char *)(uintptr_t) "no-such";
    gyr_error e = {0};
    CHECK(!tokenizer_new(&v, "v.gguf", &e));
    CHECK_INT(e.status, GYR_UNSUPPORTED);
    CHECK(!strncmp(e.message, "v.gguf: unknown pre-tokenizer \"no-such\"; gyr knows default, falcon, gpt-2, ", 73));
    struct split splits[] = {{(char *)(uintptr_t) "(a", SPLIT_ISOLATED, false, false}};
    v.has_splits = true, v.splits = splits, v.n_splits = 1;
    check_refused(v, GYR_UNSUPPORTED, "v.gguf: pre-tokenizer pattern \"(a\": missing closing parenthesis");
    splits[0].pattern = (char *)(uintptr_t) "[a&&[^b]]";
    check_refused(v, GYR_UNSUPPORTED,
                  "v.gguf: pre-tokenizer pattern \"[a&&[^b]]\" has an intersection of character classes");
}

// A merge in the file that makes a control token is there for nothing: plain text must not become one.
static void no_merge_makes_a_control_token(void) {
    struct text tokens[] = {{"<", 1}, {"e", 1}, {">", 1}, {"<e", 2}, {"<e>", 3}};
    uint8_t kinds[] = {1, 1, 1, 1, TOKEN_CONTROL};
    struct text merges[] = {{"< e", 3}, {"<e >", 4}};
    struct vocab v = {.kind = VOCAB_BPE,
                      .n = 5,
                      .tokens = tokens,
                      .kinds = kinds,
                      .merges = merges,
                      .n_merges = 2,
                      .byte_level = true,
                      .has_splits = true,
                      .ignore_merges = true,
                      .unk = -1};
    struct tokenizer *t = tokenizer_new(&v, "v", NULL);
    REQUIRE(t);
    char *plain = encode_ids(t, "<e>", 3, false), *special = encode_ids(t, "<e>", 3, true);
    CHECK_STR(plain, "[3,2]");
    CHECK_STR(special, "[4]");
    free(plain);
    free(special);
    tokenizer_free(t);
}

static void byte_alphabet_is_one_to_one(void) {
    for (int b = 0; b < 256; b++) CHECK_INT(alphabet_byte(alphabet_char((unsigned char)b)), b);
    int known = 0;
    for (uint32_t c = 0; c < 0x400; c++) known += alphabet_byte(c) >= 0;
    CHECK_INT(known, 256);
    CHECK_INT(alphabet_char(' '), 0x120);
    CHECK_INT(alphabet_char('\n'), 0x10a);
    CHECK_INT(alphabet_char(0xad), 0x143);
}

// -------------------------------------------------------------------------------------------------- linear time

// Looks at each run of one kind of text in two lengths: eight times the text may take at most nine times the joins.
static void work_is_linear(void) {
    static const char *const files[] = {"tokenizers/byte.gguf",           "tokenizers/plain.gguf",
                                        "tokenizers/llama.json",          "tokenizers/spm.gguf",
                                        "tokenizers/kinds/unigram.model", "tokenizers/kinds/unigram_t5.json",
                                        "tokenizers/kinds/bert.json",     "tokenizers/kinds/bpe_prefix.json",
                                        "tokenizers/kinds/byte_nfc.json"};
    static const char *const kinds[] = {
        "a",    "\xcc\x81", "\xcc\xa7\xcc\x81", "abc def\xcc\x81", " ", "7", "!", "\n", "A", "\xe4\xb8\xad",
        "\xff", "\t ",      "the fog comes "};
    for (size_t f = 0; f < sizeof files / sizeof *files; f++) {
        struct opened o;
        open_tokenizer(&o, test_data(files[f]), NULL);
        REQUIRE(o.t);
        for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
            uint64_t joins[2];
            for (int i = 0; i < 2; i++) {
                struct buf text = {0};
                struct tokens out = {0};
                while (text.size < (i ? 80000 : 10000)) buf_puts(&text, kinds[k]);
                struct work w = {.t = o.t, .out = &out};
                CHECK(encode_text(&w, text.data, text.size, NULL, 0));
                CHECK(!w.scan.spent);
                joins[i] = w.joins;
                work_free(&w);
                tokens_free(&out);
                buf_free(&text);
            }
            CHECK(joins[1] <= joins[0] * 9 + 100);
            CHECK(joins[1] <= 4 * 80000);
        }
        close_tokenizer(&o);
    }
}

// The windows that a pattern is matched in must not show: the same cuts as PCRE2 makes over the whole text.
static void windows_do_not_show(void) {
    const char *pattern = patterns_find("gpt-4o")->steps[0];
    struct regex *r = regex_new(pattern, "test", NULL);
    int code;
    PCRE2_SIZE at;
    pcre2_code *whole =
        pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP, &code, &at, NULL);
    pcre2_match_data *match = pcre2_match_data_create(1, NULL);
    REQUIRE(r && whole && match);
    static const char *const runs[] = {" ", "A", "b", "\n", "1", "!", "\xe4\xb8\xad", "\xc2\xa0"};
    struct buf text = {0};
    for (int i = 0; i < 400; i++) {
        const char *run = runs[draw(8)];
        for (uint32_t n = draw(4) ? draw(20) : draw(3000); n-- > 0;) buf_puts(&text, run);
    }
    struct scan scan = {0};
    REQUIRE(scan_begin(&scan, text.size));
    size_t begin = 0, end = 0, cuts = 0;
    const PCRE2_SIZE *found = pcre2_get_ovector_pointer(match);
    for (size_t from = 0; regex_find(r, &scan, text.data, text.size, from, &begin, &end); from = end, cuts++) {
        REQUIRE(pcre2_match(whole, (PCRE2_SPTR)text.data, text.size, from, 0, match, NULL) > 0);
        REQUIRE(found[0] == begin && found[1] == end);
    }
    CHECK_INT(end, text.size);
    CHECK(cuts > 400 && !scan.spent);
    scan_end(&scan);
    regex_free(r);
    pcre2_code_free(whole);
    pcre2_match_data_free(match);
    buf_free(&text);
}

// Patterns of exponential and of cubic time: given up, and the text is still encoded whole.
static void bad_patterns_are_given_up(void) {
    static const char *const patterns[] = {"(a+)+$", "\\s+$", "(?:a|aa)+b", "a*a*a*b", "(?=(a+)+b)a", "(?=[^b]*b)."};
    struct text tokens[] = {{"a", 1}, {"\xc4\xa0", 2}, {"!", 1}};
    uint8_t kinds[] = {1, 1, 1};
    struct buf text = {0};
    for (int i = 0; i < 30000; i++) buf_putc(&text, i < 15000 ? 'a' : ' ');
    buf_putc(&text, '!');
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        struct split split = {(char *)(uintptr_t)patterns[i], SPLIT_ISOLATED, false, false};
        struct vocab v = {.kind = VOCAB_BPE,
                          .n = 3,
                          .tokens = tokens,
                          .kinds = kinds,
                          .byte_level = true,
                          .has_splits = true,
                          .splits = &split,
                          .n_splits = 1,
                          .unk = -1};
        struct tokenizer *t = tokenizer_new(&v, "v", NULL);
        REQUIRE(t);
        CHECK(decodes_back(t, text.data, text.size, false));
        tokenizer_free(t);
    }
    buf_free(&text);
}

// ------------------------------------------------------------------------------------------------------- timing

static void bench_one(const struct tokenizer *t, const char *what, const char *unit, size_t size) {
    struct buf text = {0};
    while (text.size < size) buf_puts(&text, unit);
    struct tokens out = {0};
    gyr_error e = {0};
    clock_t start = clock();
    bool ok = tokenizer_encode(t, text.data, text.size, true, &out, &e);
    printf("  %-14s %8.3f s  %8zu tokens%s%s\n", what, (double)(clock() - start) / CLOCKS_PER_SEC, out.n,
           ok ? "" : "  ", ok ? "" : e.message);
    tokens_free(&out);
    buf_free(&text);
}

// tokenizer_limits_test --bench FILE...: the CPU time that 1 MB of each kind of text takes.
static int bench(int n, char **files) {
    static const char *const kinds[][2] = {
        {"one letter", "a"},
        {"spaces", " "},
        {"digits", "7"},
        {"punctuation", "!"},
        {"newlines", "\n"},
        {"capitals", "A"},
        {"Chinese", "\xe4\xb8\xad"},
        {"emoji", "\xf0\x9f\xa6\x85"},
        {"marks", "\xcc\x81\xcc\xa7"},
        {"invalid", "\xff"},
        {"NUL-like", "\x01"},
        {"letters", "abcdefghij"},
        {"tab space", "\t "},
        {"space x", "                                                                      x"},
        {"text", "The quick brown fox doesn't jump over 12345 lazy dogs; it sleeps.\n"},
    };
    for (int i = 0; i < n; i++) {
        clock_t start = clock();
        struct opened o;
        open_tokenizer(&o, files[i], NULL);
        printf("%s: opened in %.3f s\n", files[i], (double)(clock() - start) / CLOCKS_PER_SEC);
        for (size_t k = 0; o.t && k < sizeof kinds / sizeof *kinds; k++)
            bench_one(o.t, kinds[k][0], kinds[k][1], 1000000);
        close_tokenizer(&o);
    }
    return 0;
}

int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "--bench")) return bench(argc - 2, argv + 2);
    RUN(splits_behave_as_hugging_face_says);
    RUN(missing_bytes_are_replaced);
    RUN(missing_characters_fail_or_are_unknown);
    RUN(contradictions_are_refused);
    RUN(no_merge_makes_a_control_token);
    RUN(byte_alphabet_is_one_to_one);
    RUN(work_is_linear);
    RUN(windows_do_not_show);
    RUN(bad_patterns_are_given_up);
    return test_end();
}
