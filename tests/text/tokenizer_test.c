// Against what other implementations say; any bytes; special tokens.
#include "tokenizers.h"

#include <jansson.h>

// ------------------------------------------------------------------------------------------------- golden files

static const char mark[] = "\n__ggml_vocab_test__\n";

// Compares with each line of the .out; returns how many strings there were.
static int check_pairs(const struct tokenizer *t, char *inp, size_t size, char *out) {
    int n = 0;
    char *end = inp + size;
    for (char *line = out, *stop; (stop = memmem(inp, (size_t)(end - inp), mark, sizeof mark - 1)); n++) {
        char *next = strchr(line, '\n');
        if (next) *next++ = 0;
        struct buf want = {0};
        buf_putc(&want, '[');
        for (char *p = line + (*line == ' '); *p; p++) buf_putc(&want, *p == ' ' ? ',' : *p);
        buf_putc(&want, ']');
        char *got = encode_ids(t, inp, (size_t)(stop - inp), false);
        CHECK_STR(got, want.data);
        CHECK(decodes_back(t, inp, (size_t)(stop - inp), false));
        free(got);
        buf_free(&want);
        line = next ? next : line + strlen(line);
        inp = stop + sizeof mark - 1;
    }
    return n;
}

static int check_file(const char *vocab, const char *inp, const char *out) {
    struct opened o;
    open_tokenizer(&o, vocab, NULL);
    int n = -1;
    size_t size = 0;
    gyr_error e = {0};
    char *in_text = read_file(inp, 1 << 22, &size, &e), *out_text = read_file(out, 1 << 22, NULL, &e);
    CHECK(o.t && in_text && out_text);
    if (o.t && in_text && out_text) n = check_pairs(o.t, in_text, size, out_text);
    free(in_text);
    free(out_text);
    close_tokenizer(&o);
    return n;
}

static void shared_vocabularies_match(void) {
    static const char *const names[] = {"falcon", "gpt-2", "starcoder", "llama-spm"};
    for (int i = 0; i < 4; i++) {
        char path[3][64];
        const char *suffix[] = {"", ".inp", ".out"};
        for (int k = 0; k < 3; k++)
            snprintf(path[k], sizeof path[k], "tokenizers/ggml-vocab-%s.gguf%s", names[i], suffix[k]);
        const char *vocab = test_shared(path[0]), *inp = test_shared(path[1]), *out = test_shared(path[2]);
        if (!vocab || !inp || !out) SKIP("needs ../shared/data/tokenizers");
        CHECK_INT(check_file(vocab, inp, out), 46);
    }
}

// Compares with what another implementation says of the list `set` of texts.json; returns how many there were.
static int check_golden(const struct tokenizer *t, const char *set, const char *file, const char *name, bool special) {
    json_t *all = json_load_file(test_data("tokenizers/texts.json"), JSON_ALLOW_NUL, NULL);
    json_t *ids = json_load_file(test_data(file), 0, NULL);
    const json_t *texts = json_object_get(all, set), *rows = json_object_get(ids, name);
    int n = (int)json_array_size(texts);
    CHECK(t && json_array_size(texts) == json_array_size(rows));
    for (size_t i = 0; t && i < json_array_size(texts) && i < json_array_size(rows); i++) {
        const char *text = json_string_value(json_array_get(texts, i));
        size_t size = json_string_length(json_array_get(texts, i));
        char *want = json_dumps(json_array_get(rows, i), JSON_COMPACT), *got = encode_ids(t, text, size, special);
        if (strcmp(got, want)) printf("  %s, text %zu: \"%s\"\n", name, i, text);
        CHECK_STR(got, want);
        CHECK(decodes_back(t, text, size, special));
        free(want);
        free(got);
    }
    json_decref(all);
    json_decref(ids);
    return n;
}

enum { TEXTS = 146, USER_TEXTS = 4 };

static void byte_level_matches_hugging_face(void) {
    static const char *const files[] = {"tokenizers/byte.json", "tokenizers/byte.gguf"};
    for (int i = 0; i < 2; i++) {
        struct opened o;
        open_tokenizer(&o, test_data(files[i]), NULL);
        CHECK_INT(check_golden(o.t, "texts", "tokenizers/byte.ids.json", "falcon", false), TEXTS);
        CHECK_INT(check_golden(o.t, "user", "tokenizers/byte.ids.json", "user", false), USER_TEXTS);
        CHECK_INT(check_golden(o.t, "texts", "tokenizers/byte.ids.json", "special", true), TEXTS);
        close_tokenizer(&o);
    }
}

static void named_patterns_match_hugging_face(void) {
    static const char *const names[] = {"gpt-2",          "falcon",      "default",    "starcoder", "llama-bpe",
                                        "qwen2",          "qwen35",      "tekken",     "gpt-4o",    "bloom",
                                        "deepseek-coder", "deepseek-v3", "bailingmoe", "kimi-k2",   "spark2_5",
                                        "youtu",          "jais-2",      "tiny_aya",   "superbpe",  "laguna"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct opened o;
        open_tokenizer(&o, test_data("tokenizers/plain.gguf"), names[i]);
        CHECK_INT(check_golden(o.t, "texts", "tokenizers/plain.ids.json", names[i], false), TEXTS);
        close_tokenizer(&o);
    }
}

static void llama_json_matches_hugging_face(void) {
    struct opened o;
    open_tokenizer(&o, test_data("tokenizers/llama.json"), NULL);
    CHECK_INT(check_golden(o.t, "texts", "tokenizers/llama.ids.json", "llama", false), TEXTS);
    close_tokenizer(&o);
}

static void spm_matches_sentencepiece(void) {
    struct opened o;
    open_tokenizer(&o, test_data("tokenizers/spm.gguf"), NULL);
    CHECK_INT(check_golden(o.t, "texts", "tokenizers/spm.ids.json", "spm", false), TEXTS);
    CHECK_INT(check_golden(o.t, "user", "tokenizers/spm.ids.json", "user", false), USER_TEXTS);
    close_tokenizer(&o);
}

// -------------------------------------------------------------------------------------------------- any bytes

// A string of pieces of all kinds: letters, runs, marks of other scripts, stray bytes, names of control tokens.
static void random_text(struct buf *b) {
    static const char *const pieces[] = {"a",
                                         "the ",
                                         " ",
                                         "  ",
                                         "\n",
                                         "\r\n",
                                         "\t",
                                         "'s",
                                         "1",
                                         "23",
                                         "...",
                                         "\xe4\xb8\xad",
                                         "\xe2\x96\x81",
                                         "\xc2\xa0",
                                         "\xe1\xa0\x8e",
                                         "\xef\xbf\xbd",
                                         "\xcc\x81",
                                         "\xf0\x9f\xa6\x85",
                                         "\xc2",
                                         "\xf0\x9f",
                                         "\xff",
                                         "\xed\xa0\x80",
                                         "\xc0\x80",
                                         "</s>",
                                         "<|endoftext|>",
                                         "<0x41>",
                                         "<user>",
                                         "::",
                                         "Z",
                                         "\xd0\x96",
                                         "!"};
    buf_clear(b);
    for (uint32_t n = draw(12); n-- > 0;)
        if (draw(4))
            buf_puts(b, pieces[draw(sizeof pieces / sizeof *pieces)]);
        else
            buf_putc(b, (char)draw(256));
}

static bool has_control(const struct tokenizer *t, const struct tokens *ids) {
    for (size_t i = 0; i < ids->n; i++)
        if (t->vocab->kinds[ids->ids[i]] == TOKEN_CONTROL) return true;
    return false;
}

static void any_bytes_come_back(void) {
    static const char *const files[] = {"tokenizers/byte.json", "tokenizers/plain.gguf", "tokenizers/llama.json",
                                        "tokenizers/spm.gguf"};
    struct buf text = {0};
    for (int f = 0; f < 4; f++) {
        struct opened o;
        open_tokenizer(&o, test_data(files[f]), NULL);
        REQUIRE(o.t);
        int bad = 0, control = 0;
        for (int i = 0; i < 25000; i++) {
            random_text(&text);
            struct tokens ids = {0};
            bad += !decodes_back(o.t, text.data ? text.data : "", text.size, false);
            control += !tokenizer_encode(o.t, text.data ? text.data : "", text.size, false, &ids, NULL) ||
                       has_control(o.t, &ids);
            tokens_free(&ids);
        }
        CHECK_INT(bad, 0);
        CHECK_INT(control, 0);
        close_tokenizer(&o);
    }
    buf_free(&text);
}

// ---------------------------------------------------------------------------------------------- special tokens

static void special_tokens_only_when_asked(void) {
    struct opened o;
    open_tokenizer(&o, test_data("tokenizers/byte.json"), NULL);
    REQUIRE(o.t);
    int32_t end = tokenizer_find(o.t, "<|endoftext|>"), turn = tokenizer_find(o.t, "<|im_end|>"),
            user = tokenizer_find(o.t, "<user>");
    CHECK_INT(end, 0);
    CHECK_INT(turn, 2);
    CHECK_INT(tokenizer_find(o.t, "<|endoftext|"), -1);
    CHECK(tokenizer_is_end(o.t, turn) && tokenizer_is_end(o.t, end));
    CHECK(!tokenizer_is_end(o.t, 1) && !tokenizer_is_end(o.t, user) && !tokenizer_is_end(o.t, -1) &&
          !tokenizer_is_end(o.t, 1 << 30));
    // The user wrote the middle: its control token stays text, its added token does not.
    const char *text = "<|endoftext|><user><|im_end|>::<|im_end|>";
    const size_t runs[] = {13, 31};
    struct tokens ids = {0};
    REQUIRE(tokenizer_encode_chat(o.t, text, strlen(text), runs, 1, &ids, NULL));
    REQUIRE(ids.n > 5);
    CHECK_INT(ids.ids[0], end);
    CHECK_INT(ids.ids[1], user);
    CHECK_INT(ids.ids[ids.n - 1], turn);
    CHECK_INT(ids.ids[ids.n - 2], tokenizer_find(o.t, "::"));
    for (size_t i = 2; i < ids.n - 2; i++) CHECK(o.t->vocab->kinds[ids.ids[i]] == TOKEN_NORMAL);
    struct buf named = {0}, plain = {0};
    for (size_t i = 0; i < ids.n; i++) {
        tokenizer_decode(o.t, ids.ids[i], i == 0, true, &named);
        tokenizer_decode(o.t, ids.ids[i], i == 0, false, &plain);
    }
    CHECK_STR(named.data, text);
    CHECK_STR(plain.data, "<user><|im_end|>::");
    // A run that cuts a control token in two leaves it text.
    for (size_t cut = 1; cut < 13; cut++) {
        const size_t half[] = {cut, 13};
        ids.n = 0;
        REQUIRE(tokenizer_encode_chat(o.t, text, 13, half, 1, &ids, NULL));
        CHECK(!has_control(o.t, &ids));
    }
    buf_free(&named);
    buf_free(&plain);
    tokens_free(&ids);
    close_tokenizer(&o);
}

static void longest_special_wins(void) {
    struct specials s = {0};
    static const char *const names[] = {"ab", "abcd", "b", "abce", "abcd"};
    for (int i = 0; i < 5; i++) CHECK(specials_add(&s, (struct text){names[i], strlen(names[i])}, i));
    specials_sort(&s);
    CHECK_INT(s.n, 4);
    static const struct {
        const char *text;
        int id;
    } cases[] = {{"abcde", 1}, {"abcx", 0}, {"abc", 0}, {"a", -1}, {"bcd", 2}, {"abce", 3}, {"x", -1}, {"", -1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct special *found = specials_longest(&s, cases[i].text, strlen(cases[i].text));
        CHECK_INT(found ? found->id : -1, cases[i].id);
    }
    specials_free(&s);
}

static void llama_prefix_goes_where_it_was_trained(void) {
    struct opened o;
    open_tokenizer(&o, test_data("tokenizers/spm.gguf"), NULL);
    REQUIRE(o.t);
    struct tokens ids = {0};
    struct buf out = {0};
    REQUIRE(tokenizer_encode(o.t, "<s>a</s>b", 9, true, &ids, NULL));
    for (size_t i = 0; i < ids.n; i++) tokenizer_decode(o.t, ids.ids[i], false, true, &out);
    CHECK_STR(out.data, "<s> a</s> b");
    tokens_free(&ids);
    buf_free(&out);
    close_tokenizer(&o);
}

int main(void) {
    RUN(shared_vocabularies_match);
    RUN(byte_level_matches_hugging_face);
    RUN(named_patterns_match_hugging_face);
    RUN(llama_json_matches_hugging_face);
    RUN(spm_matches_sentencepiece);
    RUN(any_bytes_come_back);
    RUN(special_tokens_only_when_asked);
    RUN(longest_special_wins);
    RUN(llama_prefix_goes_where_it_was_trained);
    return test_end();
}
