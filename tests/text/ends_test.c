// Which tokens end an answer, and where the space in front of a text goes.
#include "tokenizers.h"

enum { MOST = 12 };

struct made {
    struct vocab v;
    struct text tokens[MOST];
    uint8_t kinds[MOST];
    float scores[MOST];
    struct tokenizer *t;
};

// A SentencePiece vocabulary: plain pieces of one letter, the others control tokens.
static bool make(struct made *m, const char *const *tokens, bool prefix_once) {
    gyr_error e;
    *m = (struct made){.v = {.kind = VOCAB_SPM, .bos = -1, .eos = -1, .eot = -1, .unk = 0, .pad = -1}};
    for (; tokens[m->v.n]; m->v.n++) {
        const char *s = tokens[m->v.n];
        m->tokens[m->v.n] = (struct text){s, strlen(s)};
        m->kinds[m->v.n] = strlen(s) > 4 || !strcmp(s, "</s>") ? TOKEN_CONTROL : TOKEN_NORMAL;
    }
    m->v.tokens = m->tokens, m->v.kinds = m->kinds, m->v.scores = m->scores;
    m->v.space_marker = m->v.space_prefix = true;
    m->v.prefix_once = prefix_once;
    return (m->t = tokenizer_new(&m->v, "V", &e));
}

static void check_ends(const char *const *tokens, const char *want) {
    struct made m;
    struct buf got = {0};
    REQUIRE(make(&m, tokens, false));
    for (size_t i = 0; i < m.v.n; i++) buf_putc(&got, tokenizer_is_end(m.t, (int32_t)i) ? 'e' : '.');
    CHECK_STR(got.data, want);
    buf_free(&got);
    tokenizer_free(m.t);
}

static void names_say_it(void) {
    check_ends((const char *const[]){"a", "</s>", "<|im_end|>", "<|im_start|>", "[EOT]..", NULL}, ".ee..");
    check_ends((const char *const[]){"a", "<|end|>", "<|eom_id|>", NULL}, ".ee");
    // gpt-oss and Solar Open end a part of an answer with <|end|>, and Gemma 4's </s> is HTML.
    check_ends((const char *const[]){"a", "<|end|>", "<|return|>", "<|call|>", NULL}, "..ee");
    check_ends((const char *const[]){"a", "<|end|>", "<|flush|>", "<|calls|>", NULL}, "..ee");
    check_ends((const char *const[]){"a", "<|end|>", "<|call|>", NULL}, ".ee");
    check_ends((const char *const[]){"a", "</s>", "<|tool_response>", "<turn|>", NULL}, "..ee");
}

// Qwen's embedding models end texts with a token that no answer ends with.
static void what_ends_a_text_is_its_own(void) {
    struct made m;
    struct tokens out = {0};
    REQUIRE(make(&m, (const char *const[]){"a", "<|text|>", "<|end|>", NULL}, false));
    m.v.eos = 2;
    CHECK(tokenizer_finish(m.t, &out));
    CHECK_INT(out.n, 0);
    m.v.add_eos = true;
    CHECK(tokenizer_finish(m.t, &out));
    m.v.tailed = true;
    m.v.tail = 1;
    CHECK(tokenizer_finish(m.t, &out));
    REQUIRE(out.n == 2);
    CHECK_INT(out.ids[0], 2);
    CHECK_INT(out.ids[1], 1);
    tokens_free(&out);
    tokenizer_free(m.t);
}

static void files_say_it(void) {
    struct made m;
    REQUIRE(make(&m, (const char *const[]){"a", "b", "<|end|>", "<|return|>", "<|call|>", "c", NULL}, false));
    int32_t ends[] = {1, 2};
    m.v.ends = ends, m.v.n_ends = 2; // even what would end a part alone
    m.v.eos = 0;
    m.v.eot = 5;
    for (int32_t i = 0; i < 6; i++) CHECK(tokenizer_is_end(m.t, i));
    CHECK(!tokenizer_is_end(m.t, -1) && !tokenizer_is_end(m.t, 6) && !tokenizer_is_end(m.t, INT32_MAX));
    tokenizer_free(m.t);
}

static void the_space_comes_once_or_again(void) {
    static const char *const tokens[] = {"a", "b", "\xe2\x96\x81", "<|end|>", NULL};
    for (int once = 0; once < 2; once++) {
        struct made m;
        REQUIRE(make(&m, tokens, once));
        char *ids = encode_ids(m.t, "a<|end|>b", 9, true);
        CHECK_STR(ids, once ? "[2,0,3,1]" : "[2,0,3,2,1]");
        free(ids);
        ids = encode_ids(m.t, "<|end|>b<|end|> a", 17, true);
        CHECK_STR(ids, once ? "[3,1,3,2,0]" : "[3,2,1,3,2,2,0]");
        free(ids);
        ids = encode_ids(m.t, " a", 2, true);
        CHECK_STR(ids, "[2,2,0]");
        free(ids);
        m.v.prefix_bare = true;
        ids = encode_ids(m.t, " a<|end|> b<|end|>b", 19, true);
        CHECK_STR(ids, once ? "[2,0,3,2,1,3,1]" : "[2,0,3,2,1,3,2,1]");
        free(ids);
        tokenizer_free(m.t);
    }
}

int main(void) {
    RUN(names_say_it);
    RUN(what_ends_a_text_is_its_own);
    RUN(files_say_it);
    RUN(the_space_comes_once_or_again);
    return test_end();
}
