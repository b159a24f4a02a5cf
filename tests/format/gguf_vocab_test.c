#include "image.h"

#include <math.h>

static void put_tokens(struct buf *b, size_t n, const char *const *tokens) {
    put_key_array(b, "tokenizer.ggml.tokens", GGUF_STRING, n);
    for (size_t i = 0; i < n; i++) put_string(b, tokens[i]);
}

static void put_ints(struct buf *b, const char *key, size_t n, const int32_t *v) {
    put_key_array(b, key, GGUF_INT32, n);
    put_bytes(b, v, n * sizeof *v);
}

static const char *const letters[] = {"a", "b", "ab", "<|end|>"};
static const int32_t letter_kinds[] = {1, 1, 1, 3};

// Byte-level BPE of four tokens; `more` keys follow.
static void put_bpe(struct buf *b, uint64_t more) {
    put_model(b, 0, 4 + more);
    put_key_string(b, "tokenizer.ggml.model", "gpt2");
    put_tokens(b, 4, letters);
    put_ints(b, "tokenizer.ggml.token_type", 4, letter_kinds);
    put_key_array(b, "tokenizer.ggml.merges", GGUF_STRING, 1);
    put_string(b, "a b");
}

static void reads_bpe(void) {
    struct buf b = {0};
    gyr_error e;
    char *copy;
    put_bpe(&b, 7);
    put_key_string(&b, "tokenizer.ggml.pre", "falcon");
    put_key_u32(&b, "tokenizer.ggml.eos_token_id", 3);
    put_key_u32(&b, "tokenizer.ggml.eot_token_id", 2);
    put_key_u32(&b, "tokenizer.ggml.padding_token_id", UINT32_MAX);
    put_key_string(&b, "tokenizer.chat_template", "{{ messages }}");
    put_key_array(&b, "tokenizer.chat_templates", GGUF_STRING, 2);
    put_string(&b, "missing");
    put_string(&b, "tool_use");
    put_key_string(&b, "tokenizer.chat_template.tool_use", "{{ tools }}");
    struct checkpoint *c = open_image(&b, &copy, &e);
    REQUIRE(c);
    const struct vocab *v = &c->vocab;
    CHECK_INT(v->kind, VOCAB_BPE);
    CHECK_INT(v->n, 4);
    CHECK(text_is(v->tokens[3], "<|end|>"));
    CHECK_INT(v->kinds[3], TOKEN_CONTROL);
    CHECK_INT(v->n_merges, 1);
    CHECK(text_is(v->merges[0], "a b"));
    CHECK(!v->scores);
    CHECK_STR(v->pre, "falcon");
    CHECK_STR(v->chat_template, "{{ messages }}");
    CHECK_INT(v->n_templates, 1);
    CHECK_STR(v->templates[0].name, "tool_use");
    CHECK_STR(v->templates[0].source, "{{ tools }}");
    CHECK(v->byte_level && !v->byte_fallback && !v->space_marker && !v->space_prefix && !v->has_splits);
    CHECK(!v->add_bos && !v->add_eos && !v->ignore_merges);
    CHECK_INT(v->bos, -1);
    CHECK_INT(v->eos, 3);
    CHECK_INT(v->eot, 2);
    CHECK_INT(v->unk, -1);
    CHECK_INT(v->pad, -1);
    checkpoint_close(c);
    free(copy);
}

static void knows_what_pre_implies(void) {
    struct buf b = {0};
    gyr_error e;
    char *copy;
    put_bpe(&b, 1);
    put_key_string(&b, "tokenizer.ggml.pre", "llama-bpe");
    struct checkpoint *c = open_image(&b, &copy, &e);
    REQUIRE(c);
    CHECK(c->vocab.ignore_merges && c->vocab.add_bos);
    checkpoint_close(c);
    free(copy);
}

static const char *const pieces[] = {"<unk>", "<s>", "</s>", "<0x41>", "\xe2\x96\x81"};

static void put_spm(struct buf *b, uint64_t more) {
    put_model(b, 0, 4 + more);
    put_key_string(b, "tokenizer.ggml.model", "llama");
    put_tokens(b, 5, pieces);
    put_ints(b, "tokenizer.ggml.token_type", 5, (const int32_t[]){2, 3, 3, 6, 1});
    put_key_array(b, "tokenizer.ggml.scores", GGUF_FLOAT32, 5);
    for (int i = 0; i < 5; i++) put_f32(b, -(float)i);
}

static void reads_spm(void) {
    for (int plain = 0; plain < 2; plain++) {
        struct buf b = {0};
        gyr_error e;
        char *copy;
        put_spm(&b, plain ? 0 : 2);
        if (!plain) put_key_bool(&b, "tokenizer.ggml.add_space_prefix", 0);
        if (!plain) put_key_bool(&b, "tokenizer.ggml.add_bos_token", 0);
        struct checkpoint *c = open_image(&b, &copy, &e);
        REQUIRE(c);
        const struct vocab *v = &c->vocab;
        CHECK_INT(v->kind, VOCAB_SPM);
        CHECK(v->scores && v->scores[4] == -4.0f);
        CHECK_INT(v->kinds[3], TOKEN_BYTE);
        CHECK(!v->byte_level && v->byte_fallback && v->space_marker);
        CHECK_INT(v->space_prefix, plain);
        CHECK_INT(v->add_bos, plain);
        CHECK_INT(v->bos, 1);
        CHECK_INT(v->eos, 2);
        CHECK_INT(v->unk, 0);
        checkpoint_close(c);
        free(copy);
    }
}

static void phi3_swallows_white_space(void) {
    struct buf b = {0};
    gyr_error e;
    char *copy;
    put_head(&b, 3, 0, 5);
    put_key_string(&b, "general.architecture", "phi3");
    put_key_string(&b, "tokenizer.ggml.model", "llama");
    static const char *const tokens[] = {"<s>", "<|end|>", "a"};
    put_tokens(&b, 3, tokens);
    put_ints(&b, "tokenizer.ggml.token_type", 3, (const int32_t[]){3, 3, 1});
    put_key_array(&b, "tokenizer.ggml.scores", GGUF_FLOAT32, 3);
    for (int i = 0; i < 3; i++) put_f32(&b, 0);
    struct checkpoint *c = open_image(&b, &copy, &e);
    REQUIRE(c);
    REQUIRE(c->vocab.finds);
    CHECK_INT(c->vocab.finds[0], 0);
    CHECK_INT(c->vocab.finds[1], FIND_RSTRIP);
    CHECK_INT(c->vocab.finds[2], 0);
    checkpoint_close(c);
    free(copy);
}

static void reads_unigram(void) {
    struct buf b = {0};
    gyr_error e;
    char *copy;
    put_model(&b, 0, 6);
    put_key_string(&b, "tokenizer.ggml.model", "t5");
    put_tokens(&b, 4, letters);
    put_key_array(&b, "tokenizer.ggml.scores", GGUF_FLOAT32, 4);
    for (int i = 0; i < 4; i++) put_f32(&b, -(float)i);
    put_key_bool(&b, "tokenizer.ggml.remove_extra_whitespaces", 1);
    put_key_bool(&b, "tokenizer.ggml.add_space_prefix", 0);
    put_key_array(&b, "tokenizer.ggml.precompiled_charsmap", GGUF_UINT8, 3);
    put_bytes(&b, "abc", 3);
    struct checkpoint *c = open_image(&b, &copy, &e);
    REQUIRE(c);
    const struct vocab *v = &c->vocab;
    CHECK_INT(v->kind, VOCAB_UNIGRAM);
    CHECK(v->space_marker && !v->space_prefix && !v->add_bos && v->add_eos);
    CHECK_INT(v->eos, 1);
    CHECK_INT(v->unk, 2);
    REQUIRE(v->n_normals == 3);
    CHECK_INT(v->normals[0].kind, NORMAL_CHARSMAP);
    CHECK(text_is(v->normals[0].content, "abc"));
    CHECK_INT(v->normals[1].kind, NORMAL_SPACES);
    CHECK_INT(v->normals[2].kind, NORMAL_REPLACE);
    checkpoint_close(c);
    free(copy);
    put_model(&b, 0, 4);
    put_key_string(&b, "tokenizer.ggml.model", "t5");
    put_tokens(&b, 4, letters);
    put_key_array(&b, "tokenizer.ggml.scores", GGUF_FLOAT32, 4);
    for (int i = 0; i < 4; i++) put_f32(&b, -(float)i);
    put_ints(&b, "tokenizer.ggml.precompiled_charsmap", 4, letter_kinds);
    CHECK_FAILS(&b, GYR_MALFORMED, "x.gguf: its map of characters is not a list of bytes; get the file again");
}

static void reads_wordpiece(void) {
    struct buf b = {0};
    gyr_error e;
    char *copy;
    put_model(&b, 0, 5);
    put_key_string(&b, "tokenizer.ggml.model", "bert");
    put_tokens(&b, 4, letters);
    put_key_u32(&b, "tokenizer.ggml.seperator_token_id", 3);
    put_key_u32(&b, "tokenizer.ggml.bos_token_id", 2);
    put_key_bool(&b, "tokenizer.ggml.normalizer.lowercase", 0);
    struct checkpoint *c = open_image(&b, &copy, &e);
    REQUIRE(c);
    const struct vocab *v = &c->vocab;
    CHECK_INT(v->kind, VOCAB_WORDPIECE);
    CHECK_INT(v->bos, 2);
    CHECK_INT(v->eos, 3);
    CHECK_INT(v->unk, -1);
    CHECK(v->space_marker && v->drop_space && v->add_bos && v->add_eos && v->has_splits);
    CHECK_INT(v->n_splits, 3);
    CHECK_INT(v->n_normals, 2);
    checkpoint_close(c);
    free(copy);
}

static void refuses_bad_vocabularies(void) {
    struct buf b = {0};
    put_model(&b, 0, 1), put_key_string(&b, "tokenizer.ggml.model", "rwkv");
    CHECK_FAILS(&b, GYR_UNSUPPORTED,
                "x.gguf: has a tokenizer of kind rwkv; gyr knows gpt2, llama, t5, bert and gemma4");
    put_model(&b, 0, 1), put_key_string(&b, "tokenizer.ggml.model", "gpt2");
    CHECK_FAILS(&b, GYR_MALFORMED, "x.gguf: has a tokenizer without tokens; get another file");
    put_model(&b, 0, 2), put_key_string(&b, "tokenizer.ggml.model", "gpt2");
    put_ints(&b, "tokenizer.ggml.tokens", 1, letter_kinds);
    CHECK_FAILS(&b, GYR_MALFORMED,
                "x.gguf: key tokenizer.ggml.tokens must be an array of strings; "
                "the file is damaged, get it again");
    put_model(&b, 0, 3), put_key_string(&b, "tokenizer.ggml.model", "gpt2"), put_tokens(&b, 4, letters);
    put_ints(&b, "tokenizer.ggml.token_type", 3, letter_kinds);
    CHECK_FAILS(&b, GYR_MALFORMED,
                "x.gguf: key tokenizer.ggml.token_type has 3 items for 4 tokens; "
                "the file is damaged, get it again");
    put_bpe(&b, 1), put_ints(&b, "tokenizer.ggml.scores", 4, letter_kinds);
    CHECK_FAILS(&b, GYR_MALFORMED,
                "x.gguf: key tokenizer.ggml.scores must be an array of numbers; "
                "the file is damaged, get it again");
    put_bpe(&b, 1), put_key_u32(&b, "tokenizer.ggml.add_bos_token", 1);
    CHECK_FAILS(&b, GYR_MALFORMED,
                "x.gguf: key tokenizer.ggml.add_bos_token must be true or false; "
                "the file is damaged, get it again");
    put_bpe(&b, 1), put_key_u32(&b, "tokenizer.ggml.pre", 1);
    CHECK_FAILS(&b, GYR_MALFORMED,
                "x.gguf: key tokenizer.ggml.pre must be a string; "
                "the file is damaged, get it again");
}

static void check_note(const struct vocab *v, size_t i, const char *want) {
    CHECK(i < v->n_notes);
    if (i < v->n_notes) CHECK_STR(v->notes[i], want);
}

// What other programs read with a warning.
static void tolerates_with_a_note(void) {
    struct buf b = {0};
    gyr_error e;
    char *copy;
    put_model(&b, 0, 8);
    put_key_string(&b, "tokenizer.ggml.model", "gpt2");
    put_key_string(&b, "tokenizer.ggml.pre", "gpt-2");
    put_tokens(&b, 5, (const char *const[]){"a", "b", "ab", "<|im_end|>", "</s>"});
    put_ints(&b, "tokenizer.ggml.token_type", 5, (const int32_t[]){1, 0, -1, 1, 1});
    put_key_u32(&b, "tokenizer.ggml.bos_token_id", 5);
    put_key_u32(&b, "tokenizer.ggml.eom_token_id", 2);
    put_key_u32(&b, "tokenizer.ggml.eos_token_id", 1);
    put_ints(&b, "tokenizer.ggml.eos_token_ids", 4, (const int32_t[]){1, 2, 0, 77});
    struct checkpoint *c = open_image(&b, &copy, &e);
    REQUIRE(c);
    const struct vocab *v = &c->vocab;
    CHECK_INT(v->bos, -1);
    CHECK_INT(v->eos, 1);
    CHECK(v->kinds[1] == TOKEN_NORMAL && v->kinds[2] == TOKEN_NORMAL);
    CHECK_INT(v->kinds[3], TOKEN_CONTROL);
    CHECK_INT(v->kinds[4], TOKEN_NORMAL); // a tag of HTML, for all that the file says
    static const int32_t ends[] = {2, 1, 0};
    CHECK(v->n_ends == 3 && !memcmp(v->ends, ends, sizeof ends));
    CHECK_INT(v->n_notes, 3);
    check_note(v, 0,
               "x.gguf: 2 of its tokens, the first of them 1, have a kind that GGUF does not know; they are taken for "
               "normal ones");
    check_note(v, 1, "x.gguf: token 3, <|im_end|>, is no control token there; it is taken for one");
    check_note(v, 2, "x.gguf: tokenizer.ggml.bos_token_id is 5, and there are 5 tokens; it is left out");
    checkpoint_close(c);
    free(copy);
}

static void guesses_what_old_files_do_not_name(void) {
    struct buf b = {0};
    gyr_error e;
    char *copy;
    put_bpe(&b, 0);
    struct checkpoint *c = open_image(&b, &copy, &e);
    REQUIRE(c);
    CHECK_STR(c->vocab.pre, "falcon");
    check_note(&c->vocab, 0,
               "x.gguf: does not say how its tokenizer splits text (tokenizer.ggml.pre); taken for falcon, as its "
               "architecture has it; convert the model again if its answers are poor");
    checkpoint_close(c);
    free(copy);
}

static void reads_what_makers_advise(void) {
    struct buf b = {0};
    gyr_error e;
    char *copy;
    put_bpe(&b, 4);
    put_key_string(&b, "tokenizer.ggml.pre", "gpt-2");
    put_key_u32(&b, "general.sampling.top_k", 20);
    put_key_u32(&b, "general.sampling.temp", 1);
    put_key_string(&b, "general.sampling.top_p", "0.5");
    struct checkpoint *c = open_image(&b, &copy, &e);
    REQUIRE(c);
    CHECK(c->advice.top_k == 20 && c->advice.temperature == 1 && isnan(c->advice.top_p) && isnan(c->advice.min_p));
    checkpoint_close(c);
    free(copy);
}

static void allows_no_tokenizer(void) {
    struct buf b = {0};
    put_model(&b, 0, 1), put_key_string(&b, "tokenizer.ggml.model", "no_vocab");
    CHECK_FAILS(&b, GYR_OK, "");
}

static void reads_real_files(void) {
    static const struct {
        const char *name, *architecture;
        enum vocab_kind kind;
        size_t n, n_merges;
        int32_t bos, eos, unk;
    } files[] = {
        {"falcon", "falcon", VOCAB_BPE, 65024, 64784, 11, 11, -1},
        {"gpt-2", "gpt2", VOCAB_BPE, 50257, 50000, 50256, 50256, -1},
        {"starcoder", "starcoder2", VOCAB_BPE, 49152, 48872, 0, 0, 0},
        {"llama-spm", "llama", VOCAB_SPM, 32000, 0, 1, 2, 0},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char name[64];
        snprintf(name, sizeof name, "tokenizers/ggml-vocab-%s.gguf", files[i].name);
        const char *path = test_shared(name);
        if (!path) SKIP("no shared data");
        struct checkpoint *c = checkpoint_open(path, NULL);
        REQUIRE(c);
        CHECK_STR(c->architecture, files[i].architecture);
        CHECK_INT(c->n_tensors, 0);
        CHECK_INT(c->vocab.kind, files[i].kind);
        CHECK_INT(c->vocab.n, files[i].n);
        CHECK_INT(c->vocab.n_merges, files[i].n_merges);
        CHECK_INT(c->vocab.bos, files[i].bos);
        CHECK_INT(c->vocab.eos, files[i].eos);
        CHECK_INT(c->vocab.unk, files[i].unk);
        checkpoint_close(c);
    }
}

int main(void) {
    RUN(reads_bpe);
    RUN(knows_what_pre_implies);
    RUN(reads_spm);
    RUN(phi3_swallows_white_space);
    RUN(reads_unigram);
    RUN(reads_wordpiece);
    RUN(refuses_bad_vocabularies);
    RUN(tolerates_with_a_note);
    RUN(guesses_what_old_files_do_not_name);
    RUN(reads_what_makers_advise);
    RUN(allows_no_tokenizer);
    RUN(reads_real_files);
    return test_end();
}
