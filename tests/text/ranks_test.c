// Vocabularies of ranks against their makers (tools/goldens/tokenizer_ranks.py), and what such a file can have wrong.
#include "tokenizers.h"

#include <jansson.h>
#include <sys/stat.h>

static char folder[] = "/tmp/gyr-ranks-XXXXXX";

static const char *path_of(const char *kind, const char *file) {
    char name[128];
    snprintf(name, sizeof name, "tokenizers/ranks/%s%s%s", kind, file ? "/" : "", file ? file : "");
    return test_data(name);
}

static void check(const char *kind) {
    json_t *all = json_load_file(test_data("tokenizers/kinds/texts.json"), JSON_ALLOW_NUL, NULL);
    json_t *want = json_load_file(path_of(kind, "ids.json"), 0, NULL);
    const json_t *texts = json_object_get(all, "texts"), *rows = json_object_get(want, "ids");
    struct opened o;
    open_tokenizer(&o, path_of(kind, NULL), NULL);
    REQUIRE(o.t);
    size_t right = 0, n = json_array_size(texts);
    for (size_t i = 0; i < n; i++) {
        const char *text = json_string_value(json_array_get(texts, i));
        size_t size = json_string_length(json_array_get(texts, i));
        char *got = encode_ids(o.t, text, size, false), *row = json_dumps(json_array_get(rows, i), JSON_COMPACT);
        bool same = !strcmp(got, row) && decodes_back(o.t, text, size, false);
        if (!same) printf("  %s: \"%s\"\n    gives %s\n    not   %s\n", kind, text, got, row);
        right += same;
        free(got);
        free(row);
    }
    CHECK(n > 170);
    CHECK_INT(right, n);
    close_tokenizer(&o);
    json_decref(all);
    json_decref(want);
}

static void makers_agree(void) {
    check("kimi");
    check("qwen");
    check("tekken");
    check("tekken_old");
}

static bool is_token(const struct vocab *v, size_t id, const char *text, int kind) {
    return v->tokens[id].size == strlen(text) && !memcmp(v->tokens[id].data, text, strlen(text)) &&
           v->kinds[id] == kind;
}

static void special_tokens_are_where_their_files_say(void) {
    struct opened kimi, qwen, new, old;
    open_tokenizer(&kimi, path_of("kimi", NULL), NULL);
    open_tokenizer(&qwen, path_of("qwen", NULL), NULL);
    open_tokenizer(&new, path_of("tekken", NULL), NULL);
    open_tokenizer(&old, path_of("tekken_old", NULL), NULL);
    REQUIRE(kimi.t && qwen.t && new.t &&old.t);
    const struct vocab *k = &kimi.checkpoint->vocab, *q = &qwen.checkpoint->vocab, *n = &new.checkpoint->vocab,
                       *d = &old.checkpoint->vocab;
    CHECK_STR(k->pre, "kimi-k2");
    CHECK(k->bos >= 256 && k->eos == k->bos + 1 && (size_t)k->bos + 8 == k->n);
    CHECK(is_token(k, (size_t)k->bos, "[BOS]", TOKEN_CONTROL) &&
          is_token(k, (size_t)k->bos + 7, "<think>", TOKEN_USER));
    CHECK(!k->tokens[k->bos + 2].size && k->kinds[k->bos + 2] == TOKEN_UNUSED && !k->add_bos && !k->ignore_merges);
    CHECK_STR(q->pre, "qwen2");
    CHECK(q->ignore_merges && is_token(q, (size_t)q->eos, "<|endoftext|>", TOKEN_CONTROL) && q->eot == q->eos + 2);
    CHECK(is_token(q, q->n - 1, "<|extra_204|>", TOKEN_CONTROL) && q->n == (size_t)q->eos + 208);
    CHECK(n->unk == 0 && n->bos == 1 && n->eos == 2 && n->pad == 5 && n->add_bos && n->n == 640);
    CHECK(is_token(n, 6, "[THINK]", TOKEN_CONTROL) && is_token(n, 29, "<SPECIAL_29>", TOKEN_CONTROL));
    CHECK(d->pad == 11 && is_token(d, 19, "[TOOL_CONTENT]", TOKEN_CONTROL) &&
          is_token(d, 20, "<SPECIAL_20>", TOKEN_CONTROL));
    close_tokenizer(&kimi);
    close_tokenizer(&qwen);
    close_tokenizer(&new);
    close_tokenizer(&old);
}

static void write_text(const char *file, const char *text) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, file);
    FILE *f = fopen(path, "w");
    REQUIRE(f);
    fputs(text, f);
    fclose(f);
}

// What opening the folder with that text as that file says.
static void fails(const char *file, const char *text, gyr_status status, const char *says) {
    char path[128];
    gyr_error e = {0};
    write_text(file, text);
    struct checkpoint *c = checkpoint_open(folder, &e);
    CHECK(!c);
    CHECK_INT(e.status, status);
    if (!strstr(e.message, says)) CHECK_STR(e.message, says);
    checkpoint_close(c);
    snprintf(path, sizeof path, "%s/%s", folder, file);
    unlink(path);
}

static void damaged_files_are_told(void) {
#define TEKKEN(config, vocab, more) "{\"config\": {" config "}, \"vocab\": [" vocab "]" more "}"
#define A                           "{\"rank\": 0, \"token_bytes\": \"YQ==\"}"
    write_text("config.json", "{\"model_type\": \"mistral\"}");
    write_text("tokenizer_config.json", "{\"tokenizer_class\": \"TikTokenTokenizer\"}");
    fails("tiktoken.model", "YQ==\n", GYR_MALFORMED,
          "tiktoken.model: a line is no token and its rank; get the file again");
    fails("tiktoken.model", "YQ== x\n", GYR_MALFORMED, "a line is no token and its rank");
    fails("tiktoken.model", "YQ== 9999999999\n", GYR_MALFORMED, "a line is no token and its rank");
    fails("tiktoken.model", "YQ== 99999999\n", GYR_MALFORMED, "a token's rank is there twice, or too large");
    fails("tiktoken.model", "YQ== 1\nYg== 1\n", GYR_MALFORMED, "a token's rank is there twice, or too large");
    fails("tiktoken.model", "YQ== 1\nYQ== 2\n", GYR_MALFORMED, "the token of rank 2 is there twice");
    fails("tiktoken.model", "Y*== 1\n", GYR_MALFORMED, "a token is no base64");
    fails("tiktoken.model", "\n\n", GYR_MALFORMED, "has no tokens");
    write_text("tokenizer_config.json", "{\"tokenizer_class\": \"MyTokenizer\"}");
    fails("tiktoken.model", "YQ== 0\n", GYR_UNSUPPORTED,
          "how its tokenizer (MyTokenizer) splits text is in a program; gyr knows TikTokenTokenizer and QWenTokenizer, "
          "and "
          "reads a tokenizer.json of any");
    fails("tekken.json", TEKKEN("", A, ""), GYR_MALFORMED,
          "tekken.json: has no pattern, or no tokens; get the file again");
    fails("tekken.json", TEKKEN("\"pattern\": \"x\"", "", ""), GYR_MALFORMED, "has no pattern, or no tokens");
    fails("tekken.json", TEKKEN("\"pattern\": \"x\", \"default_vocab_size\": 1002", A, ""), GYR_MALFORMED,
          "a number of its config is not a number, or too large");
    fails("tekken.json", TEKKEN("\"pattern\": \"x\", \"default_num_special_tokens\": -1", A, ""), GYR_MALFORMED,
          "a number of its config is not a number, or too large");
    fails("tekken.json", TEKKEN("\"pattern\": \"x\"", "{\"rank\": 1, \"token_bytes\": \"YQ==\"}", ""), GYR_MALFORMED,
          "its tokens are not in the order of their ranks");
    fails("tekken.json", TEKKEN("\"pattern\": \"x\"", "{\"rank\": 0, \"token_bytes\": 3}", ""), GYR_MALFORMED,
          "a token is no base64");
    fails("tekken.json",
          TEKKEN("\"pattern\": \"x\"", A, ", \"special_tokens\": [{\"rank\": 1000, \"token_str\": \"x\"}]"),
          GYR_MALFORMED, "a special token has no name or no valid rank");
    fails("tekken.json",
          TEKKEN("\"pattern\": \"x\"", A,
                 ", \"special_tokens\": [{\"rank\": 1, \"token_str\": \"x\"}, {\"rank\": 1, \"token_str\": \"y\"}]"),
          GYR_MALFORMED, "a special token has no name or no valid rank");
}

// Tokens so long that finding their merges would take for ever.
static void long_tokens_are_refused(void) {
    size_t n = 43000, lines = 400; // 32,250 bytes each
    char *text = malloc(lines * (n + 16)), *p = text;
    REQUIRE(text);
    for (size_t i = 0; i < lines; i++) {
        p += snprintf(p, 16, "%04zu", i);
        memset(p, 'A', n - 4);
        p += n - 4;
        p += snprintf(p, 16, " %zu\n", i);
    }
    write_text("tokenizer_config.json", "{\"tokenizer_class\": \"TikTokenTokenizer\"}");
    fails("tiktoken.model", text, GYR_MALFORMED, "its tokens are longer than those of any model; get the file again");
    free(text);
}

int main(void) {
    if (!mkdtemp(folder)) return 1;
    RUN(makers_agree);
    RUN(special_tokens_are_where_their_files_say);
    RUN(damaged_files_are_told);
    RUN(long_tokens_are_refused);
    char clean[160];
    snprintf(clean, sizeof clean, "rm -rf '%s'", folder);
    return system(clean) ? 1 : test_end();
}
