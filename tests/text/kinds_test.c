// Tokenizers of every kind against their makers (tools/goldens/tokenizer_kinds.py).
#include "tokenizers.h"

#include <jansson.h>

static void decode_all(const struct tokenizer *t, const struct tokens *ids, struct buf *out) {
    for (size_t i = 0; i < ids->n; i++) tokenizer_decode(t, ids->ids[i], i == 0, true, out);
}

static char *listed(const int32_t *ids, size_t n) {
    struct buf b = {0};
    buf_putc(&b, '[');
    for (size_t i = 0; i < n; i++) buf_printf(&b, "%s%d", i ? "," : "", ids[i]);
    buf_putc(&b, ']');
    return buf_take(&b);
}

// One text; `decoded` is NULL where the maker's decoder is not asked.
static bool same(const struct tokenizer *t, const json_t *text, const json_t *row, const json_t *decoded) {
    struct tokens got = {0};
    struct buf out = {0};
    gyr_error e = {0};
    bool ok = tokenizer_encode(t, json_string_value(text), json_string_length(text), false, &got, &e);
    char *ids = listed(got.ids, got.n), *want = json_dumps(row, JSON_COMPACT);
    if (!ok || strcmp(ids, want)) {
        printf("  \"%s\"\n    gives %s %s\n    not   %s\n", json_string_value(text), ids, e.message, want);
        ok = false;
    }
    if (ok && json_is_string(decoded)) {
        decode_all(t, &got, &out);
        ok = out.size == json_string_length(decoded) &&
             !memcmp(out.data ? out.data : "", json_string_value(decoded), out.size);
        if (!ok)
            printf("  \"%s\" comes back as \"%s\", not \"%s\"\n", json_string_value(text), out.data ? out.data : "",
                   json_string_value(decoded));
    }
    free(ids);
    free(want);
    tokens_free(&got);
    buf_free(&out);
    return ok;
}

// How many texts come out as their maker says, of how many.
static void check_kind(const char *file, const char *golden, bool decoded) {
    char path[128], goldens[128];
    snprintf(path, sizeof path, "tokenizers/kinds/%s", file);
    snprintf(goldens, sizeof goldens, "tokenizers/kinds/%s.ids.json", golden);
    json_t *all = json_load_file(test_data("tokenizers/kinds/texts.json"), JSON_ALLOW_NUL, NULL);
    json_t *want = json_load_file(test_data(goldens), JSON_ALLOW_NUL, NULL);
    const json_t *texts = json_object_get(all, "texts"), *rows = json_object_get(want, "ids");
    struct opened o;
    open_tokenizer(&o, test_data(path), NULL);
    size_t right = 0;
    for (size_t i = 0; o.t && i < json_array_size(texts); i++)
        right += json_is_null(json_array_get(rows, i)) ||
                 same(o.t, json_array_get(texts, i), json_array_get(rows, i),
                      decoded ? json_array_get(json_object_get(want, "decoded"), i) : NULL);
    if (right != json_array_size(texts)) printf("%s:\n", file);
    CHECK(json_array_size(texts) > 170);
    CHECK_INT(right, json_array_size(texts));
    close_tokenizer(&o);
    json_decref(all);
    json_decref(want);
}

static void unigram(void) {
    check_kind("unigram_t5.json", "unigram_t5", false);
    check_kind("unigram_xlm.json", "unigram_xlm", false);
    check_kind("unigram_bytes.json", "unigram_bytes", false);
    check_kind("unigram.model", "unigram", false);
    check_kind("unigram.gguf", "unigram", false);
    check_kind("unigram_bytes_sp.model", "unigram_bytes_sp", false);
}

static void sentencepiece_bpe(void) { check_kind("bpe_sp.model", "bpe_sp", false); }

static void wordpiece(void) {
    check_kind("bert.json", "bert", false);
    check_kind("bert_cased.json", "bert_cased", true);
    check_kind("bert_gguf.gguf", "bert_gguf", false);
}

static void bpe(void) {
    check_kind("bpe_suffix.json", "bpe_suffix", false);
    check_kind("bpe_prefix.json", "bpe_prefix", false);
    check_kind("bpe_spaces.json", "bpe_spaces", true);
    check_kind("metaspace_words.json", "metaspace_words", true);
    check_kind("byte_nfc.json", "byte_nfc", true);
}

// What a user types never becomes a control token, whatever the kind; what a template prints does.
static void nobody_spells_control_tokens(void) {
    static const char *const files[] = {"unigram_t5.json", "unigram_bytes.json", "unigram.model",
                                        "unigram.gguf",    "bpe_sp.model",       "bert.json",
                                        "bert_gguf.gguf",  "bpe_suffix.json",    "bpe_prefix.json",
                                        "byte_nfc.json",   "bpe_spaces.json",    "metaspace_words.json"};
    for (size_t f = 0; f < sizeof files / sizeof *files; f++) {
        char path[128];
        snprintf(path, sizeof path, "tokenizers/kinds/%s", files[f]);
        struct opened o;
        open_tokenizer(&o, test_data(path), NULL);
        REQUIRE(o.t);
        const struct vocab *v = o.t->vocab;
        int names = 0, spelled = 0, meant = 0;
        for (size_t i = 0; i < v->n; i++) {
            if (v->kinds[i] != TOKEN_CONTROL) continue;
            struct buf text = {0};
            struct tokens plain = {0}, special = {0};
            buf_puts(&text, "a");
            buf_append(&text, v->tokens[i].data, v->tokens[i].size);
            CHECK(tokenizer_encode(o.t, text.data, text.size, false, &plain, NULL));
            CHECK(tokenizer_encode(o.t, text.data, text.size, true, &special, NULL));
            for (size_t k = 0; k < plain.n; k++)
                spelled += v->kinds[plain.ids[k]] == TOKEN_CONTROL && plain.ids[k] != v->unk;
            meant += special.n && special.ids[special.n - 1] == (int32_t)i;
            names++;
            buf_free(&text);
            tokens_free(&plain);
            tokens_free(&special);
        }
        CHECK(names > 0);
        CHECK_INT(spelled, 0);
        CHECK_INT(meant, names);
        close_tokenizer(&o);
    }
}

int main(void) {
    RUN(unigram);
    RUN(sentencepiece_bpe);
    RUN(wordpiece);
    RUN(bpe);
    RUN(nobody_spells_control_tokens);
    return test_end();
}
