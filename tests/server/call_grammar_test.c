#include "server/call_grammar.h"

#include "told.h"

static char *grammar_of(const char *source, const struct call_grammar *how, gyr_error *e) {
    struct format f;
    struct call_grammar c = *how;
    struct buf out = {0};
    format_find(&f, source, strlen(source), NULL);
    c.format = &f;
    if (!c.tools) c.tools = test_tools();
    bool good = call_grammar(&c, &out, e);
    buf_puts(&out, "");
    if (good) return buf_take(&out);
    buf_free(&out);
    return NULL;
}

static void check_grammar(const char *source, const struct call_grammar *how, const char *want) {
    char *got = grammar_of(source, how, NULL);
    CHECK_STR(got, want);
    free(got);
}

static json_t *small_tools(void) {
    return json_loads("[{\"name\":\"f\",\"parameters\":{\"type\":\"object\",\"$defs\":{\"D\":{}},\"properties\":{"
                      "\"a\":{\"type\":\"string\"},\"b\":{\"type\":\"integer\"},\"c\":{\"enum\":[\"x\",\"y\"]}},"
                      "\"required\":[\"a\"]}}, {\"name\":\"g\"}]",
                      0, NULL);
}

#define F_SCHEMA                                                                                                       \
    "%json{\"type\":\"object\",\"$defs\":{\"D\":{}},\"properties\":{\"a\":{\"type\":\"string\"},"                      \
    "\"b\":{\"type\":\"integer\"},\"c\":{\"enum\":[\"x\",\"y\"]}},\"required\":[\"a\"]}"

static void objects_are_schemas(void) {
    json_t *tools = small_tools();
    check_grammar("<|tool_call|>", &(struct call_grammar){.tools = tools, .choice = CALLS_GO_ON, .parallel = true},
                  "root ::= \"[\" call (\", \" call)* \"]\" \n"
                  "call ::= \"{\\\"name\\\": \\\"\" \"f\" \"\\\", \\\"arguments\\\": \" " F_SCHEMA " \"}\" "
                  "| \"{\\\"name\\\": \\\"\" \"g\" \"\\\", \\\"arguments\\\": \" %json{\"type\":\"object\"} \"}\" \n");
    check_grammar(
        "<tool_call>", &(struct call_grammar){.tools = tools, .choice = CALLS_GO_ON, .name = "g"},
        "root ::= call-first \n"
        "call-first ::= \"\\n{\\\"name\\\": \\\"\" \"g\" \"\\\", \\\"arguments\\\": \" %json{\"type\":\"object\"} "
        "\"}\\n</tool_call>\" \n"
        "call ::= \"<tool_call>\\n{\\\"name\\\": \\\"\" \"g\" \"\\\", \\\"arguments\\\": \" "
        "%json{\"type\":\"object\"} \"}\\n</tool_call>\" \n");
    json_decref(tools);
}

static void reasoning_may_come_before(void) {
    json_t *tools = small_tools();
    struct call_grammar must = {.tools = tools, .name = "g", .choice = CALLS_MUST, .begins = BEGINS_REASONING};
    check_grammar(
        "[TOOL_CALLS] [THINK]", &must,
        "root ::= (text-0 \"[/THINK]\" \"\\n\"? \"\\n\"?) \"[TOOL_CALLS][\" call \"]\" \n"
        "text-0 ::= ([^\\[] | \"[\" text-0-1)*\n"
        "text-0-1 ::= [^\\[/] | \"[\" text-0-1 | \"/\" text-0-2\n"
        "text-0-2 ::= [^\\[T] | \"[\" text-0-1 | \"T\" text-0-3\n"
        "text-0-3 ::= [^\\[H] | \"[\" text-0-1 | \"H\" text-0-4\n"
        "text-0-4 ::= [^\\[I] | \"[\" text-0-1 | \"I\" text-0-5\n"
        "text-0-5 ::= [^\\[N] | \"[\" text-0-1 | \"N\" text-0-6\n"
        "text-0-6 ::= [^\\[K] | \"[\" text-0-1 | \"K\" text-0-7\n"
        "text-0-7 ::= [^\\[\\]] | \"[\" text-0-1\n"
        "call ::= \"{\\\"name\\\": \\\"\" \"g\" \"\\\", \\\"arguments\\\": \" %json{\"type\":\"object\"} \"}\" \n");
    json_decref(tools);
}

static void an_answer_may_stand_for_calls(void) {
    json_t *tools = small_tools();
    struct call_grammar how = {
        .tools = tools, .name = "g", .choice = CALLS_MUST, .begins = BEGINS_HEADER, .answer = "{\"type\":\"null\"}"};
    char *got = grammar_of("<|channel|><|message|>", &how, NULL);
    REQUIRE(got);
    CHECK(strstr(got, ")? (\"<|channel|>final<|message|>\" %json{\"type\":\"null\"} | call )\n"));
    free(got);
    how.begins = BEGINS_ANSWER;
    got = grammar_of("<tool_call>", &how, NULL);
    REQUIRE(got);
    CHECK(strstr(got, ")? (%json{\"type\":\"null\"} | call )\n"));
    free(got);
    json_decref(tools);
}

static void tags_are_arguments_one_by_one(void) {
    json_t *tools = small_tools();
    struct call_grammar go_on = {.tools = tools, .name = "f", .choice = CALLS_GO_ON};
    char *got = grammar_of("<minimax:tool_call>", &go_on, NULL);
    REQUIRE(got);
    CHECK(strstr(got, "root ::= \"\\n\" call \"</minimax:tool_call>\" \n"));
    CHECK(strstr(got, "call ::= \"<invoke name=\\\"\" \"f\" \"\\\">\\n\" first-0 \"</invoke>\\n\" \n"));
    CHECK(strstr(got, "argument-4 ::= \"<parameter name=\\\"\" \"a\" \"\\\">\" text-5 \"</parameter>\\n\" \n"));
    CHECK(strstr(got, "argument-6 ::= \"<parameter name=\\\"\" \"b\" \"\\\">\" "
                      "%json{\"type\":\"integer\",\"$defs\":{\"D\":{}}} \"</parameter>\\n\" \n"));
    CHECK(strstr(got, "\"c\" \"\\\">\" (\"x\" | \"y\" ) \"</parameter>\\n\" \n"));
    CHECK(strstr(got, "first-0 ::= argument-4 rest-1\n"));
    CHECK(strstr(got, "first-1 ::= argument-6 rest-2 | first-2\n"));
    free(got);
    got = grammar_of("<|tool_call_start|>", &go_on, NULL);
    REQUIRE(got);
    CHECK(strstr(got, "rest-1 ::= \", \" argument-5 rest-2 | rest-2\n"));
    free(got);
    json_decref(tools);
}

// The rules that a grammar names, but for those within quotes, brackets and schemas.
static void every_rule_is_there(const char *grammar) {
    for (const char *s = grammar; *s; s++) {
        if (*s == '"' || *s == '[') {
            char end = *s == '[' ? ']' : '"';
            for (s++; *s != end; s++) s += *s == '\\';
        } else if (*s == '%') {
            json_error_t error;
            json_t *schema = json_loads(s + 5, JSON_DISABLE_EOF_CHECK, &error);
            CHECK(schema != NULL);
            s += 4 + error.position;
            json_decref(schema);
        } else if (*s >= 'a' && *s <= 'z') {
            char rule[64];
            size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz-0123456789");
            snprintf(rule, sizeof rule, "\n%.*s ::= ", (int)n, s);
            if (strncmp(grammar, rule + 1, strlen(rule + 1)) && !strstr(grammar, rule)) {
                test_bad = true;
                printf("%.*s is not there\n", (int)n, s);
            }
            s += n - 1;
        }
    }
}

static void every_format_has_one(void) {
    for (size_t row = 0; format_row(row); row++) {
        struct buf source = {0};
        for (size_t i = 0; i < 3 && format_row(row)->signs[i]; i++) buf_puts(&source, format_row(row)->signs[i]);
        buf_puts(&source, "");
        for (int choice = CALLS_MAY; choice <= CALLS_GO_ON; choice++)
            for (int begins = BEGINS_ANSWER; begins <= BEGINS_REASONING; begins++) {
                struct call_grammar how = {.choice = choice, .begins = begins, .parallel = true};
                char *got = grammar_of(source.data, &how, NULL);
                CHECK(got && (choice != CALLS_MUST || *got));
                if (got) every_rule_is_there(got);
                free(got);
            }
        buf_free(&source);
    }
}

static void what_cannot_be_is_said(void) {
    gyr_error e = {0};
    struct call_grammar how = {.choice = CALLS_MUST, .name = "nothing"};
    CHECK(!grammar_of("<tool_call>", &how, &e));
    CHECK_INT(e.status, GYR_USAGE);
    CHECK_STR(e.message, "nothing is none of the tools");
}

int main(void) {
    RUN(objects_are_schemas);
    RUN(reasoning_may_come_before);
    RUN(an_answer_may_stand_for_calls);
    RUN(tags_are_arguments_one_by_one);
    RUN(every_format_has_one);
    RUN(what_cannot_be_is_said);
    json_decref(test_tools());
    return test_end();
}
