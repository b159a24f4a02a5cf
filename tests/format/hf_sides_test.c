// The files beside a folder's tokenizer: added tokens, templates, and what they say about answers.
#include "image.h"

#include <math.h>
#include <sys/stat.h>

#define BPE(added)                                                                                                     \
    "{\"added_tokens\": [" added "], \"model\": {\"type\": \"BPE\", \"unk_token\": \"<unk>\","                         \
    " \"vocab\": {\"a\": 0, \"b\": 1, \"!\": 2, \"<unk>\": 3, \"</s>\": 4}, \"merges\": []}}"
#define END "{\"id\": 5, \"content\": \"<|end|>\", \"special\": true, \"lstrip\": true}"

static const char *folder;

// Opens a folder with that tokenizer and these files, which come in pairs of name and content.
static struct checkpoint *open_with(const char *tokenizer, const char *const *files) {
    gyr_error e = {0};
    if (!(folder = enter_folder())) return NULL;
    write_text(folder, "config.json", "{\"model_type\": \"falcon\"}");
    if (tokenizer) write_text(folder, "tokenizer.json", tokenizer);
    for (; *files; files += 2) write_text(folder, files[0], files[1]);
    struct checkpoint *c = checkpoint_open(folder, &e);
    if (!c) printf("%s\n", e.message);
    return c;
}

static void leave(struct checkpoint *c) {
    checkpoint_close(c);
    leave_folder(folder);
}

static bool is_token(const struct vocab *v, size_t i, const char *text, enum token_kind kind, unsigned finds) {
    return i < v->n && text_is(v->tokens[i], text) && v->kinds[i] == kind && v->finds && v->finds[i] == finds;
}

static void the_decoder_adds_and_overrules(void) {
    struct checkpoint *c = open_with(
        BPE(END),
        (const char *[]){"tokenizer_config.json",
                         "{\"added_tokens_decoder\": {"
                         "\"9\": {\"content\": \"<two>\", \"special\": false, \"rstrip\": true, \"normalized\": true},"
                         "\"6\": {\"content\": \"<one>\", \"special\": true, \"single_word\": true},"
                         "\"5\": {\"content\": \"<|end|>\", \"special\": false, \"lstrip\": false}}}",
                         "added_tokens.json", "{\"<not read>\": 7}", NULL});
    REQUIRE(c);
    const struct vocab *v = &c->vocab;
    CHECK_INT(v->n, 8);
    CHECK(is_token(v, 5, "<|end|>", TOKEN_USER, FIND_NORMALIZED));
    CHECK(is_token(v, 6, "<one>", TOKEN_CONTROL, FIND_WORD));
    CHECK(is_token(v, 7, "<two>", TOKEN_USER, FIND_RSTRIP | FIND_NORMALIZED)); // the next id, as in transformers
    leave(c);
}

static void old_folders_have_files_of_their_own(void) {
    struct checkpoint *c =
        open_with(BPE(END), (const char *[]){"added_tokens.json", "{\"<word>\": 7, \"<mark>\": 6, \"<|end|>\": 5}",
                                             "special_tokens_map.json",
                                             "{\"eos_token\": \"</s>\", \"pad_token\": {\"content\": \"!\"},"
                                             " \"additional_special_tokens\": [\"<mark>\", {\"content\": \"<new>\"}]}",
                                             "tokenizer_config.json", "{\"eos_token\": \"b\"}", NULL});
    REQUIRE(c);
    const struct vocab *v = &c->vocab;
    CHECK_INT(v->n, 9);
    CHECK(is_token(v, 6, "<mark>", TOKEN_CONTROL, 0));
    CHECK(is_token(v, 7, "<word>", TOKEN_USER, FIND_NORMALIZED));
    CHECK(is_token(v, 8, "<new>", TOKEN_CONTROL, 0));
    CHECK(is_token(v, 4, "</s>", TOKEN_CONTROL, 0)); // special, though only the vocabulary has it
    CHECK(is_token(v, 2, "!", TOKEN_NORMAL, 0));     // no mark: texts have it
    CHECK(is_token(v, 3, "<unk>", TOKEN_UNKNOWN, 0));
    CHECK(is_token(v, 5, "<|end|>", TOKEN_CONTROL, FIND_LSTRIP));
    CHECK_INT(v->eos, 4);
    CHECK_INT(v->pad, 2);
    leave(c);
}

#define TEMPLATE(tokens, ids)                                                                                          \
    "{\"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": [" tokens "{\"Sequence\": {\"id\": \"A\"}}]," \
    " \"special_tokens\": {" ids "}}, \"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1, \"!\": 2,"        \
    " \"<s>\": 3, \"</s>\": 4}, \"merges\": []}}"
#define PUTS(name)       "{\"SpecialToken\": {\"id\": \"" name "\"}}, "
#define IS(name, id)     "\"" name "\": {\"ids\": [" #id "]}"
#define CONFIG(class, x) "{\"tokenizer_class\": \"" class "\", \"bos_token\": \"!\"" x "}"

// What a post-processor puts in front of a text, which need not be what the config calls bos.
static void a_text_begins_as_the_template_says(void) {
    static const struct {
        const char *tokenizer, *config;
        bool add;
        size_t n;
        int32_t lead[2];
    } cases[] = {
        {TEMPLATE(PUTS("<s>"), IS("<s>", 3)), CONFIG("PreTrainedTokenizerFast", ""), true, 1, {3}},
        {TEMPLATE(PUTS("<s>") PUTS("b"), IS("<s>", 3) ", " IS("b", 1)), CONFIG("X", ""), true, 2, {3, 1}},
        {TEMPLATE(PUTS("<s>"), IS("<s>", 3)), CONFIG("GPT2Tokenizer", ", \"add_bos_token\": false"), true, 1, {3}},
        {TEMPLATE(PUTS("<s>"), IS("<s>", 3)), CONFIG("LlamaTokenizerFast", ", \"add_bos_token\": true"), true, 0, {0}},
        {TEMPLATE(PUTS("<s>"), IS("<s>", 3)),
         CONFIG("LlamaTokenizerFast", ", \"add_bos_token\": false"),
         false,
         0,
         {0}},
        {TEMPLATE("", ""), CONFIG("PreTrainedTokenizerFast", ", \"add_bos_token\": true"), false, 0, {0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct checkpoint *c =
            open_with(cases[i].tokenizer, (const char *[]){"tokenizer_config.json", cases[i].config, NULL});
        REQUIRE(c);
        CHECK_INT(c->vocab.bos, 2); // what templates of conversations call bos_token
        CHECK(c->vocab.add_bos == cases[i].add);
        CHECK_INT(c->vocab.n_lead, cases[i].n);
        for (size_t k = 0; k < cases[i].n; k++) CHECK_INT(c->vocab.lead[k], cases[i].lead[k]);
        leave(c);
    }
}

static void refuses_added_tokens_that_cannot_be(void) {
    static const char *const bad[][2] = {
        {"tokenizer_config.json", "{\"added_tokens_decoder\": {\"6\": {\"special\": true}}}"},
        {"tokenizer_config.json", "{\"added_tokens_decoder\": {\"six\": {\"content\": \"x\"}}}"},
        {"tokenizer_config.json", "{\"added_tokens_decoder\": {\"6\": 7}}"},
        {"added_tokens.json", "{\"x\": -1}"},
        {"added_tokens.json", "{\"x\": \"6\"}"},
        {"added_tokens.json", "{\"\": 6}"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        folder = enter_folder();
        REQUIRE(folder);
        write_text(folder, "config.json", "{\"model_type\": \"falcon\"}");
        write_text(folder, "tokenizer.json", BPE(END));
        write_text(folder, bad[i][0], bad[i][1]);
        CHECK_PATH_FAILS(folder, folder, GYR_MALFORMED,
                         "DIR: an added token has no content or no valid id; get the file again");
        leave_folder(folder);
    }
}

static void all_ends_are_read(void) {
    struct checkpoint *c =
        open_with(BPE(END), (const char *[]){"config.json",
                                             "{\"model_type\": \"falcon\", \"eos_token_id\": 1, \"pad_token_id\": 6,"
                                             " \"text_config\": {\"eos_token_id\": [2, 1]}}",
                                             "generation_config.json", "{\"eos_token_id\": [5, 0, 99]}",
                                             "tokenizer_config.json", "{\"eos_token\": \"</s>\"}", NULL});
    REQUIRE(c);
    const struct vocab *v = &c->vocab;
    static const int32_t want[] = {5, 0, 1, 2};
    CHECK_INT(v->eos, 4);
    CHECK_INT(v->eot, 5);
    CHECK_INT(v->n_ends, 4);
    CHECK(v->n_ends == 4 && !memcmp(v->ends, want, sizeof want));
    CHECK_INT(v->n_notes, 2);
    CHECK_INT(v->pad, -1);
    CHECK(v->n_notes &&
          strstr(v->notes[0], ": pad_token_id of config.json is 6, and there are 6 tokens; it is left out"));
    CHECK(v->n_notes == 2 && strstr(v->notes[1], "eos_token_id 99 of generation_config.json is none of its 6 tokens; "
                                                 "it is left out"));
    leave(c);
}

static void a_bad_generation_config_is_left_out(void) {
    struct checkpoint *c = open_with(BPE(END), (const char *[]){"generation_config.json", "{\"top_k\": 1,}", NULL});
    REQUIRE(c);
    CHECK(isnan(c->advice.top_k));
    CHECK(c->vocab.n_notes == 1 &&
          strstr(c->vocab.notes[0], "generation_config.json: bad JSON in line 1: a key in quotes is missing"));
    leave(c);
}

static struct sampling_advice advice_of(const char *generation) {
    struct checkpoint *c = open_with(BPE(END), (const char *[]){"generation_config.json", generation, NULL});
    struct sampling_advice a = {0};
    if (c) a = c->advice;
    CHECK(c);
    leave(c);
    return a;
}

static void makers_advise(void) {
    struct sampling_advice a = advice_of("{\"do_sample\": true, \"temperature\": 0.5, \"top_k\": 20, \"top_p\": 0.75,"
                                         " \"min_p\": 0.25, \"repetition_penalty\": 1.5}");
    CHECK(a.temperature == 0.5 && a.top_k == 20 && a.top_p == 0.75 && a.min_p == 0.25 && a.penalty_repeat == 1.5);
    a = advice_of(
        "{\"temperature\": NaN, \"top_k\": -1, \"top_p\": 7, \"min_p\": \"x\", \"repetition_penalty\": null}");
    CHECK(isnan(a.temperature) && isnan(a.top_k) && isnan(a.top_p) && isnan(a.min_p) && isnan(a.penalty_repeat));
    a = advice_of("{\"do_sample\": false, \"temperature\": 0.7}");
    CHECK(a.temperature == 0);
}

static void templates_have_files_of_their_own(void) {
    folder = enter_folder();
    REQUIRE(folder);
    write_text(folder, "config.json", "{\"model_type\": \"falcon\"}");
    write_text(folder, "tokenizer.json", BPE(END));
    write_text(folder, "tokenizer_config.json",
               "{\"chat_template\": [{\"name\": \"default\", \"template\": \"old\"},"
               " {\"name\": \"rag\", \"template\": \"R\"}, {\"name\": \"tool_use\", \"template\": \"old\"}]}");
    write_text(folder, "chat_template.jinja", "D");
    char more[256];
    snprintf(more, sizeof more, "%.200s/additional_chat_templates", folder);
    REQUIRE(!mkdir(more, 0700));
    write_text(more, "tool_use.jinja", "T");
    write_text(more, "think.jinja", "K");
    write_text(more, "README.md", "no template");
    gyr_error e = {0};
    struct checkpoint *c = checkpoint_open(folder, &e);
    CHECK(c);
    const struct vocab *v = c ? &c->vocab : NULL;
    CHECK(v && !strcmp(v->chat_template, "D") && v->n_templates == 3);
    CHECK(v && !strcmp(v->templates[0].name, "rag") && !strcmp(v->templates[0].source, "R"));
    CHECK(v && !strcmp(v->templates[1].name, "tool_use") && !strcmp(v->templates[1].source, "T"));
    CHECK(v && !strcmp(v->templates[2].name, "think") && !strcmp(v->templates[2].source, "K"));
    checkpoint_close(c);
    write_text(more, "bad.jinja", "\xff");
    CHECK(!checkpoint_open(folder, &e));
    CHECK(strstr(e.message, "additional_chat_templates/bad.jinja: not UTF-8; get the file again"));
    leave_folder(more);
    leave_folder(folder);
}

int main(void) {
    RUN(the_decoder_adds_and_overrules);
    RUN(old_folders_have_files_of_their_own);
    RUN(a_text_begins_as_the_template_says);
    RUN(refuses_added_tokens_that_cannot_be);
    RUN(all_ends_are_read);
    RUN(a_bad_generation_config_is_left_out);
    RUN(makers_advise);
    RUN(templates_have_files_of_their_own);
    return test_end();
}
