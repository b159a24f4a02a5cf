// Tokenizers on their way from a folder to GGUF: what is written gives the tokens that the folder's tokenizer gave, or
// is refused.
#include "../text/tokenizers.h"
#include "format/gguf_write.h"
#include "model/convert_vocab.h"

#include <jansson.h>

static char path[] = "/tmp/gyr-vocab-XXXXXX";

static const char *const texts[] = {
    "The quick brown fox's 1234567 jumps; DON'T they'LL say.\n\n\tIndented  text   ",
    "caf\xc3\xa9 na\xc3\xafve \xe4\xbd\xa0\xe5\xa5\xbd \xf0\x9f\x98\x80 \xd0\xbc\xd0\xb8\xd1\x80",
    "x = f(a, b)[0] # <s> </s> <0x41> \xe2\x96\x81 camelCase",
    "",
    " ",
};

static bool prefer_merges; // as families do whose GGUF files have them

// Writes the vocabulary as convert does and reads it back; what it says if it refuses.
static bool there_and_back(const struct checkpoint *c, struct opened *back, gyr_error *e) {
    struct gguf_vocab g;
    bool ok = gguf_vocab_new(&g, c, (uint32_t)c->vocab.n + 7, prefer_merges, e);
    struct gguf_writer *w = ok ? gguf_writer_new(path, e) : NULL;
    if (w) {
        gguf_put_cstring(w, "general.architecture", "llama");
        gguf_put_vocab(w, &g.v);
        ok = gguf_writer_begin(w, e);
        ok = gguf_writer_end(w, ok, ok ? e : NULL) && ok;
    }
    gguf_vocab_free(&g);
    if (ok) open_tokenizer(back, path, NULL);
    return ok && w && back->t;
}

static void same_tokens(const struct opened *a, const struct opened *b, const char *name) {
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char *want = encode_ids(a->t, texts[i], strlen(texts[i]), false);
        char *got = encode_ids(b->t, texts[i], strlen(texts[i]), false);
        if (strcmp(want, got)) printf("  %s, text %zu\n", name, i);
        CHECK_STR(got, want);
        free(want);
        free(got);
    }
}

static void check(const char *file, const char *pre) {
    struct opened a, b = {0};
    gyr_error e = {0};
    open_tokenizer(&a, test_data(file), NULL);
    REQUIRE(a.t);
    if (a.checkpoint) a.vocab = a.checkpoint->vocab;
    struct checkpoint c = {.path = (char *)(uintptr_t)file, .vocab = a.vocab};
    bool ok = there_and_back(&c, &b, &e);
    if (!ok) printf("  %s: %s\n", file, e.message);
    CHECK(ok);
    if (ok) {
        const struct vocab *v = &b.checkpoint->vocab;
        same_tokens(&a, &b, file);
        CHECK_INT(v->n, a.vocab.n + 7);
        CHECK(v->tokens[v->n - 1].size > 5 && !memcmp(v->tokens[v->n - 1].data, "[PAD", 4));
        CHECK_INT(v->kinds[v->n - 1], TOKEN_UNUSED);
        CHECK(pre ? v->pre && !strcmp(v->pre, pre) : v->kind == VOCAB_SPM && v->scores && !v->pre);
        CHECK_INT(v->unk, a.vocab.unk);
        close_tokenizer(&b);
    }
    close_tokenizer(&a);
}

static void bytes_get_the_name_of_their_patterns(void) { check("tokenizers/byte.json", "falcon"); }

static void ranks_have_a_name_already(void) {
    check("tokenizers/ranks/kimi", "kimi-k2");
    check("tokenizers/ranks/tekken", "tekken");
    // Some of its tokens are words that no merge makes, which GGUF's qwen2 does not take whole.
    struct opened a, b = {0};
    gyr_error e = {0};
    open_tokenizer(&a, test_data("tokenizers/ranks/qwen"), NULL);
    REQUIRE(a.t);
    struct checkpoint c = {.path = (char *)(uintptr_t) "qwen", .vocab = a.checkpoint->vocab};
    CHECK(!there_and_back(&c, &b, &e));
    CHECK_INT(e.status, GYR_UNSUPPORTED);
    close_tokenizer(&a);
}

static void sentencepiece_gets_scores(void) { check("tokenizers/llama.json", NULL); }

static bool write_spelled(const char *file, bool tricky) {
    FILE *f = fopen(file, "w");
    if (!f) return false;
    fprintf(f,
            "{\"version\": \"1.0\", \"added_tokens\": [{\"id\": 0, \"content\": \"<unk>\", \"special\": true}],"
            " \"normalizer\": {\"type\": \"Replace\", \"pattern\": {\"String\": \" \"}, \"content\": \"\u2581\"},"
            " \"pre_tokenizer\": null, \"post_processor\": null, \"decoder\": null,"
            " \"model\": {\"type\": \"BPE\", \"unk_token\": \"<unk>\", \"byte_fallback\": true, \"fuse_unk\": true,"
            " \"vocab\": {\"<unk>\": 0, \"H\": 1, \"e\": 2, \"l\": 3, \"\u2581\": 4, \"el\": 5, \"He\": 6, \"%s\": 7",
            tricky ? "Hel" : "lll");
    for (int i = 0; i < 256; i++) fprintf(f, ", \"<0x%02X>\": %d", (unsigned)i, 8 + i);
    fprintf(f, "}, \"merges\": [\"e l\", \"H e\"%s]}}", tricky ? ", \"He l\"" : "");
    return !fclose(f);
}

// Merges by rank that scores would not give: "H el" is no merge, but Hel is a piece.
static void merges_there_and_back(bool tricky, bool prefer, bool stay, const char *want) {
    char file[sizeof path + 8];
    struct opened a, b = {0};
    gyr_error e = {0};
    snprintf(file, sizeof file, "%s.json", path);
    REQUIRE(write_spelled(file, tricky));
    open_tokenizer(&a, file, NULL);
    unlink(file);
    REQUIRE(a.t);
    struct checkpoint c = {.path = file, .vocab = a.vocab};
    prefer_merges = prefer;
    bool ok = there_and_back(&c, &b, &e);
    prefer_merges = false;
    if (!ok) printf("  %s\n", e.message);
    REQUIRE(ok);
    CHECK_INT(b.checkpoint->vocab.kind, stay ? VOCAB_BPE : VOCAB_SPM);
    CHECK_INT(b.checkpoint->vocab.n_merges, stay ? a.vocab.n_merges : 0);
    char *ids = encode_ids(b.t, "Hel Hel", 7, false);
    CHECK_STR(ids, want);
    free(ids);
    same_tokens(&a, &b, "merges");
    close_tokenizer(&b);
    close_tokenizer(&a);
}

static void merges_stay_where_they_must_or_may(void) {
    merges_there_and_back(true, false, true, "[1,5,4,1,5]");
    merges_there_and_back(true, true, true, "[1,5,4,1,5]");
    merges_there_and_back(false, false, false, "[1,5,4,1,5]");
    merges_there_and_back(false, true, true, "[1,5,4,1,5]");
}

// The space in front of a text as newer folders have it, which does not come again after a control token.
static void the_space_in_front_is_kept(void) {
    static const char start[] =
        "{\"added_tokens\": [{\"id\": 0, \"content\": \"<unk>\", \"special\": true},"
        " {\"id\": 1, \"content\": \"<|x|>\", \"special\": true}], \"normalizer\": null, \"pre_tokenizer\":"
        " {\"type\": \"Metaspace\", \"replacement\": \"\u2581\", \"prepend_scheme\": \"%s\", \"split\": false},"
        " \"model\": {\"type\": \"BPE\", \"unk_token\": \"<unk>\", \"byte_fallback\": true, \"fuse_unk\": true,"
        " \"vocab\": {\"<unk>\": 0, \"<|x|>\": 1, \"a\": 2, \"\u2581\": 3, \"\u2581a\": 4";
    for (int always = 0; always < 2; always++) {
        char file[sizeof path + 8];
        struct opened a, b = {0};
        gyr_error e = {0};
        snprintf(file, sizeof file, "%s.json", path);
        FILE *f = fopen(file, "w");
        REQUIRE(f);
        fprintf(f, start, always ? "always" : "first");
        for (int i = 0; i < 256; i++) fprintf(f, ", \"<0x%02X>\": %d", (unsigned)i, 5 + i);
        fprintf(f, "}, \"merges\": [\"\u2581 a\"]}}");
        fclose(f);
        open_tokenizer(&a, file, NULL);
        unlink(file);
        REQUIRE(a.t);
        struct checkpoint c = {.path = file, .vocab = a.vocab};
        bool ok = there_and_back(&c, &b, &e);
        if (!ok) printf("  %s\n", e.message);
        REQUIRE(ok);
        CHECK_INT(b.checkpoint->vocab.kind, VOCAB_SPM);
        char *want = encode_ids(a.t, "a<|x|>a", 7, true), *got = encode_ids(b.t, "a<|x|>a", 7, true);
        CHECK_STR(want, always ? "[4,1,4]" : "[4,1,2]");
        CHECK_STR(got, want);
        free(want);
        free(got);
        same_tokens(&a, &b, "Metaspace");
        close_tokenizer(&b);
        close_tokenizer(&a);
    }
}

// Which tokens end an answer, and tokens without a row.
static void ends_and_the_last_tokens(void) {
    struct opened a, b = {0};
    gyr_error e = {0};
    static int32_t ends[] = {7, 3, 11, 5};
    open_tokenizer(&a, test_data("tokenizers/byte.json"), NULL);
    REQUIRE(a.t);
    char name[] = "here";
    struct checkpoint c = {.path = name, .vocab = a.vocab};
    c.vocab.eos = 3, c.vocab.eot = 7;
    c.vocab.ends = ends, c.vocab.n_ends = 4;
    c.vocab.bos = 2, c.vocab.add_bos = true;
    c.vocab.n_lead = 2, c.vocab.lead[0] = 9, c.vocab.lead[1] = 4;
    REQUIRE(there_and_back(&c, &b, &e));
    const struct vocab *v = &b.checkpoint->vocab;
    CHECK_INT(v->eos, 3);
    CHECK_INT(v->eot, 7);
    CHECK_INT(v->n_ends, 4);
    for (size_t i = 0; i < 4; i++) CHECK(tokenizer_is_end(b.t, ends[i]));
    struct tokens begin = {0};
    CHECK(tokenizer_begin(b.t, &begin));
    CHECK(begin.n == 2 && begin.ids[0] == 9 && begin.ids[1] == 4);
    tokens_free(&begin);
    close_tokenizer(&b);
    struct gguf_vocab g;
    size_t n = c.vocab.n;
    bool added = c.vocab.kinds[n - 1] != TOKEN_NORMAL;
    CHECK(gguf_vocab_new(&g, &c, (uint32_t)n - 1, false, &e) == added);
    if (added) CHECK_INT(g.v.n, n - 1);
    if (!added) CHECK_INT(e.status, GYR_UNSUPPORTED);
    gguf_vocab_free(&g);
    close_tokenizer(&a);
}

// Texts that name an added token: GGUF has no word for how those are found.
static bool names_one(const char *text) {
    static const char *const added[] = {"mask>", "[MASK]", "low", "Low", "LOW", "</s>", "<unk>", "<0x"};
    bool found = false;
    for (size_t i = 0; i < sizeof added / sizeof *added; i++) found |= strstr(text, added[i]) != NULL;
    return found;
}

// Texts of many scripts, all but those that name an added token.
static size_t count_wrong(const struct opened *a, const struct opened *b, size_t unlike) {
    json_t *all = json_load_file(test_data("tokenizers/kinds/texts.json"), JSON_ALLOW_NUL, NULL);
    const json_t *list = json_object_get(all, "texts");
    size_t wrong = json_array_size(list) < 170;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *text = json_string_value(json_array_get(list, i));
        size_t n = json_string_length(json_array_get(list, i));
        char *want = encode_ids(a->t, text, n, false), *got = encode_ids(b->t, text, n, false);
        bool same = names_one(text) || !strcmp(want, got);
        if (!same && !unlike) printf("  \"%s\" gives %s, not %s\n", text, got, want);
        wrong += !same;
        free(want);
        free(got);
    }
    json_decref(all);
    return wrong;
}

static void what_gguf_can_say_is_kept(void) {
    // Hugging Face reads SentencePiece's map of characters cluster by cluster, and XLM's splits at more than spaces:
    // GGUF means SentencePiece itself, so some of the odder texts differ.
    static const struct {
        const char *name, *model; // NULL: refused
        size_t unlike;
    } files[] = {{"unigram_t5.json", "t5", 4},  {"unigram_xlm.json", "t5", 15},   {"unigram_bytes.json", NULL},
                 {"unigram.model", "t5"},       {"unigram_bytes_sp.model", "t5"}, {"bert.json", "bert"},
                 {"bert_cased.json", NULL},     {"bpe_sp.model", "llama"},        {"bpe_prefix.json", NULL},
                 {"bpe_spaces.json", NULL},     {"bpe_suffix.json", NULL},        {"byte_nfc.json", NULL},
                 {"metaspace_words.json", NULL}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char name[128];
        snprintf(name, sizeof name, "tokenizers/kinds/%s", files[i].name);
        struct opened a, b = {0};
        gyr_error e = {0};
        open_tokenizer(&a, test_data(name), NULL);
        REQUIRE(a.t);
        struct checkpoint c = {.path = name, .vocab = a.vocab};
        bool ok = there_and_back(&c, &b, &e);
        if (ok != (files[i].model != NULL)) printf("  %s: %s\n", name, ok ? "is kept" : e.message);
        CHECK(ok == (files[i].model != NULL));
        CHECK(ok || e.status == GYR_UNSUPPORTED);
        if (ok) {
            struct text model = {0};
            CHECK_INT(count_wrong(&a, &b, files[i].unlike), files[i].unlike);
            CHECK(checkpoint_string(b.checkpoint, "tokenizer.ggml.model", &model, NULL) && files[i].model &&
                  model.size == strlen(files[i].model) && !memcmp(model.data, files[i].model, model.size));
            const struct vocab *x = &a.vocab, *y = &b.checkpoint->vocab;
            CHECK(x->bos == y->bos && x->eos == y->eos && x->unk == y->unk && x->pad == y->pad);
            CHECK(x->add_bos == y->add_bos && x->add_eos == y->add_eos);
            close_tokenizer(&b);
        }
        close_tokenizer(&a);
    }
}

// Composition is left to the text; any other rewriting is refused.
static void normalizers_are_left_out_or_refused(void) {
    static struct normal steps[] = {{.kind = NORMAL_NFC}, {.kind = NORMAL_LOWERCASE}};
    struct opened a, b = {0};
    gyr_error e = {0};
    open_tokenizer(&a, test_data("tokenizers/byte.json"), NULL);
    REQUIRE(a.t);
    char name[] = "here";
    struct checkpoint c = {.path = name, .vocab = a.vocab};
    c.vocab.normals = steps;
    c.vocab.n_normals = 1;
    REQUIRE(there_and_back(&c, &b, &e));
    same_tokens(&a, &b, "byte.json with NFC");
    close_tokenizer(&b);
    c.vocab.n_normals = 2;
    CHECK(!there_and_back(&c, &b, &e));
    CHECK_INT(e.status, GYR_UNSUPPORTED);
    CHECK_STR(e.message,
              "here: its tokenizer rewrites text in a way that GGUF cannot express; run the folder as it is");
    close_tokenizer(&a);
}

int main(void) {
    int fd = mkstemp(path);
    if (fd < 0) return 1;
    close(fd);
    RUN(bytes_get_the_name_of_their_patterns);
    RUN(ranks_have_a_name_already);
    RUN(sentencepiece_gets_scores);
    RUN(merges_stay_where_they_must_or_may);
    RUN(the_space_in_front_is_kept);
    RUN(ends_and_the_last_tokens);
    RUN(what_gguf_can_say_is_kept);
    RUN(normalizers_are_left_out_or_refused);
    unlink(path);
    return test_end();
}
