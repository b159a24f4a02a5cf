#include "told.h"

static json_t *tools;

static void check_with(const struct output_options *options, const char *source, const char *input, const char *want) {
    struct format f;
    struct output_options with = *options;
    format_find(&f, source, strlen(source), NULL);
    with.format = &f;
    check_splits(&with, input, want, true, false);
}

#define HERMES  "<tool_call>"
#define WEATHER "{\"name\": \"get_weather\", \"arguments\": {\"location\": \"Paris\"}}"
#define PARIS   "call:get_weather|args:{\"location\": \"Paris\"}|end"

static void text_is_text(void) {
    check(HERMES, "", "");
    check(HERMES, "Hello.", "text:Hello.");
    check(HERMES, "  Hello,\n\nyou. \n", "text:  Hello,\n\nyou. \n");
    check(HERMES, " \n", "text: \n");
    check(HERMES, "a < b and <b> </tool_call> <tool_cal", "text:a < b and <b> </tool_call> <tool_cal");
    check(HERMES, "\xe2\x82\xac \xf0\x9f\xa6\x85", "text:\xe2\x82\xac \xf0\x9f\xa6\x85");
    check(HERMES, "a\xff\xe2\x82z\xe2\x82", "text:a\xef\xbf\xbd\xef\xbf\xbdz\xef\xbf\xbd");
    check(HERMES, "<\xe2\x82\xac<tool_\xe2\x82\xac", "text:<\xe2\x82\xac<tool_\xe2\x82\xac");
}

static void special_tokens_are_left_out(void) {
    struct output_options options = {.tools = tools};
    check_with(&options, HERMES, "Hi" S("<|im_end|>") "!" S("</tool_call>") "?", "text:Hi!?");
    check_with(&options, HERMES, "Hi" S("<tool_call>") WEATHER S("</tool_call>") S("<|im_end|>"), "text:Hi|" PARIS);
}

static void marks_that_are_special_tokens_are_nothing_else(void) {
    struct format f;
    format_find(&f, HERMES, strlen(HERMES), NULL);
    for (size_t i = 0; i < MARKERS; i++)
        if (format_marker(&f, i)) f.special[i] = UINT64_MAX;
    struct output_options options = {.format = &f, .tools = tools};
    check_splits(&options, "<tool_call>" WEATHER, "text:<tool_call>" WEATHER, true, true);
    check_splits(&options, "<think>a</think>", "text:<think>a</think>", true, true);
    check_splits(&options,
                 S("<think>") "a <think> </think>" S("</think>") "b" S("<tool_call>") WEATHER S("</tool_call>"),
                 "reasoning:a <think> </think>|text:b|" PARIS, true, true);
}

static void reasoning_stands_apart(void) {
    check(HERMES, "<think>\nWell.\n\nSo.\n</think>\n\nYes.\n", "reasoning:Well.\n\nSo.|text:Yes.\n");
    check(HERMES, "\n<think></think>\n  Yes.", "text:  Yes.");
    check(HERMES, "<think>Well", "reasoning:Well");
    check(HERMES, "Write <think> first, </think> then.", "text:Write <think> first, </think> then.");
    check("[THINK]", "[THINK]a[/THINK]b", "reasoning:a|text:b");
    check("<seed:think>", "<seed:think>a</seed:think>b", "reasoning:a|text:b");
    check("<|START_THINKING|>",
          S("<|START_THINKING|>") "a" S("<|END_THINKING|>") S("<|START_RESPONSE|>") "b" S("<|END_RESPONSE|>"),
          "reasoning:a|text:b");
    check("<|channel>thought", S("<|channel>") "thought\na" S("<channel|>") "b", "reasoning:a|text:b");
    struct output_options open = {.tools = tools, .begins = BEGINS_REASONING};
    check_with(&open, HERMES, "\nWell <tool_call>" WEATHER " </think>\n" HERMES WEATHER "</tool_call>",
               "reasoning:Well <tool_call>" WEATHER "|" PARIS);
    check_with(&open, HERMES, "Well " S("<tool_call>") WEATHER S("</tool_call>") " Done.",
               "reasoning:Well|" PARIS "|text: Done.");
}

static void calls_are_told(void) {
    check(HERMES, "<tool_call>\n" WEATHER "\n</tool_call>", PARIS);
    check(HERMES, "I look.\n\n<tool_call>\n" WEATHER "\n</tool_call>\n<tool_call>\n" WEATHER "\n</tool_call>\n\nDone. ",
          "text:I look.|" PARIS "|" PARIS "|text:\n\nDone. ");
    check(HERMES, "<tool_call>{\"arguments\": {\"location\": \"Paris\"}, \"name\": \"get_weather\"}</tool_call>",
          PARIS);
    check(HERMES, "<tool_call>{\"name\": \"now\"}</tool_call>", "call:now|args:{}|end");
    check(HERMES, "<tool_call>{\"name\": \"now\", \"arguments\": null}</tool_call>", "call:now|args:{}|end");
    check(HERMES,
          "<tool_call>{\"name\": \"get_weather\", \"arguments\": \"{\\\"location\\\": \\\"Paris\\\"}\"}</tool_call>",
          PARIS);
    check(
        HERMES,
        "<tool_call>{\"id\": 1, \"name\": \"search\", \"arguments\":{ \"query\":\"}<\\/tool_call>{\\u00e9\\\"\" , "
        "\"filters\":{\"a\":[1,-2.5e3,true,null]}}}</tool_call>",
        "call:search|args:{ \"query\":\"}<\\/tool_call>{\\u00e9\\\"\" , \"filters\":{\"a\":[1,-2.5e3,true,null]}}|end");
    check(HERMES,
          "<tool_call>{\"name\": \"search\", \"arguments\": {\"query\": \"a </tool_call> <tool_call>\"}}</tool_call>",
          "call:search|args:{\"query\": \"a </tool_call> <tool_call>\"}|end");
    check(HERMES, "<tool_call>{\"name\": \"search\", \"arguments\": {\"query\": \"a\nb\tc\"}}</tool_call>",
          "call:search|args:{\"query\": \"a\\nb\\tc\"}|end");
    check(HERMES,
          "<tool_call>{\"name\": \"search\", \"arguments\": {\"query\": \"\\ud83e\\udd85 \\ud83e \\udd85 \\ud83e\"}}",
          "call:search|args:{\"query\": \"\\ud83e\\udd85 \\ufffd \\ufffd \\ufffd\"}|end");
}

static void the_end_may_be_missing(void) {
    check(HERMES, "<tool_call>" WEATHER, PARIS);
    check(HERMES, "<tool_call>{\"name\": \"get_weather\", \"arguments\": {\"location\": \"Paris\"}", PARIS);
    check(HERMES, "<tool_call>" WEATHER "</tool", PARIS "|text:</tool");
    check(HERMES, "<tool_call>" WEATHER " and more", PARIS "|text: and more");
    check(HERMES, "<tool_call>{\"name\": \"get_weather\", \"arguments\": {\"location\": \"Par",
          "call:get_weather|args:{\"location\": \"Par|end broken");
}

static void what_does_not_parse_is_text(void) {
    check(HERMES, "<tool_call>", "text:<tool_call>");
    check(HERMES, "<tool_call></tool_call>", "text:<tool_call></tool_call>");
    check(HERMES, "Use <tool_call> for it.", "text:Use <tool_call> for it.");
    check(HERMES, "<tool_call>\n{\"name\": \"get_we", "text:<tool_call>\n{\"name\": \"get_we");
    check(HERMES, "<tool_call>{\"name\": \"nothing\", \"arguments\": {}}</tool_call>",
          "text:<tool_call>{\"name\": \"nothing\", \"arguments\": {}}</tool_call>");
    check(HERMES, "<tool_call>{\"name\": \"get_weather\", \"arguments\": [1]}</tool_call>",
          "text:<tool_call>{\"name\": \"get_weather\", \"arguments\": [1]}</tool_call>");
    check(HERMES, "<tool_call>{\"name\": 5, \"arguments\": {}}</tool_call>",
          "text:<tool_call>{\"name\": 5, \"arguments\": {}}</tool_call>");
    check(HERMES, "<tool_call>{\"name\": \"now\", \"arguments\": \"{\\\"a\\\"\"}</tool_call>",
          "text:<tool_call>{\"name\": \"now\", \"arguments\": \"{\\\"a\\\"\"}</tool_call>");
    check(HERMES, "<tool_call>{name: x}</tool_call>\n<tool_call>" WEATHER "</tool_call>",
          "text:<tool_call>{name: x}</tool_call>|" PARIS);
    check(HERMES, "<tool_call>{\"a\":1}</tool_call>", "text:<tool_call>{\"a\":1}</tool_call>");
    check(HERMES, "<tool_call><tool_call>" WEATHER "</tool_call>", "text:<tool_call>|" PARIS);
}

static void what_breaks_later_ends_the_call(void) {
    check(HERMES, "<tool_call>{\"name\": \"get_weather\", \"arguments\": {\"days\": 1x}}</tool_call> So.",
          "call:get_weather|args:{\"days\": |end broken|text:1x}}</tool_call> So.");
    check(HERMES, "<tool_call>{\"name\": \"get_weather\", \"arguments\": {\"location\": \"a\\q\"}}",
          "call:get_weather|args:{\"location\": \"a|end broken|text:\\q\"}}");
    check(HERMES, "<tool_call>{\"name\": \"now\", \"arguments\": {}, oops}</tool_call>",
          "call:now|args:{}|end|text:, oops}</tool_call>");
    struct output_options options = {.tools = tools};
    check_with(&options, HERMES, "<tool_call>{\"name\": \"now\", \"arguments\": {\"a\": \"x" S("<|im_end|>") "y",
               "call:now|args:{\"a\": \"x|end broken|text:y");
}

static void whole_calls_break_as_text(void) {
    struct output_options options = {.tools = tools, .whole_calls = true};
    check_with(&options, HERMES, "A <tool_call>" WEATHER "</tool_call>", "text:A|" PARIS);
    check_with(&options, HERMES,
               "A <tool_call>{\"name\": \"get_weather\", \"arguments\": {\"days\": tru3}}</tool_call> B",
               "text:A <tool_call>{\"name\": \"get_weather\", \"arguments\": {\"days\": tru3}}</tool_call> B");
    check_with(&options, HERMES, "<tool_call>{\"name\": \"get_weather\", \"arguments\": {\"location\": \"Par",
               "text:<tool_call>{\"name\": \"get_weather\", \"arguments\": {\"location\": \"Par");
}

static void without_tools_calls_are_text(void) {
    struct output_options options = {0};
    check_with(&options, HERMES, "A <tool_call>" WEATHER "</tool_call>", "text:A <tool_call>" WEATHER "</tool_call>");
    check_with(&options, "none", WEATHER, "text:" WEATHER);
}

static void depth_and_length_are_bounded(void) {
    char input[1200] = "<tool_call>{\"name\": \"now\", \"arguments\": {\"a\": ", want[1200];
    snprintf(want, sizeof want, "call:now|args:{\"a\": ");
    for (int i = 0; i < 62; i++) strncat(want, "[", 2);
    strncat(want, "|end broken|text:[[", 64);
    for (int i = 0; i < 64; i++) strncat(input, "[", 2);
    check(HERMES, input, want);
}

int main(void) {
    tools = test_tools();
    RUN(text_is_text);
    RUN(special_tokens_are_left_out);
    RUN(marks_that_are_special_tokens_are_nothing_else);
    RUN(reasoning_stands_apart);
    RUN(calls_are_told);
    RUN(the_end_may_be_missing);
    RUN(what_does_not_parse_is_text);
    RUN(what_breaks_later_ends_the_call);
    RUN(whole_calls_break_as_text);
    RUN(without_tools_calls_are_text);
    RUN(depth_and_length_are_bounded);
    json_decref(tools);
    return test_end();
}
