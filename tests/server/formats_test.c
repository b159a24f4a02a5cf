// Calls as the models' own documentation and templates show them.
#include "told.h"

#define WEATHER   "call:get_weather|args:{\"location\": \"Paris\"}|end"
#define WEATHER_2 "call:get_weather|args:{\"location\": \"Paris\", \"days\": 3}|end"
#define JSON      "{\"location\": \"Paris\"}"
#define CALL      "{\"name\": \"get_weather\", \"arguments\": " JSON "}"

static void hermes(void) {
    check("<tool_call>", "<think>\nI look.\n</think>\n\n<tool_call>\n" CALL "\n</tool_call>",
          "reasoning:I look.|" WEATHER);
    check("<tool_call>", "<tool_call>\n[" CALL ", " CALL "]\n</tool_call>", WEATHER "|" WEATHER);
}

static void llama3(void) {
    const char *source = "<|start_header_id|> '\"parameters\": '";
    check(source, "{\"name\": \"get_weather\", \"parameters\": " JSON "}", WEATHER);
    check(source,
          "\n{\"type\": \"function\", \"name\": \"get_weather\", \"parameters\": " JSON "}; "
          "{\"name\": \"now\", \"parameters\": {}}",
          WEATHER "|call:now|args:{}|end");
    check(source, S("<|python_tag|>") "{\"name\": \"get_weather\", \"parameters\": " JSON "}", WEATHER);
    check(source, "<function=get_weather>" JSON "</function>", WEATHER);
    check(source, "{\"name\": \"Ann\", \"age\": 5}", "text:{\"name\": \"Ann\", \"age\": 5}");
    check(source, "{\"location\": \"Paris\"}", "text:{\"location\": \"Paris\"}");
    check(source, "{\"name\": \"now\"}", "text:{\"name\": \"now\"}");
    check(source, "See {\"name\": \"now\", \"parameters\": {}}", "text:See {\"name\": \"now\", \"parameters\": {}}");
}

static void llama4(void) {
    const char *source = "<|python_start|>";
    check(source, "[get_weather(location=\"Paris\", days=3), now()]", WEATHER_2 "|call:now|args:{}|end");
    check(source, S("<|python_start|>") "[get_weather(location='Paris')]" S("<|python_end|>"), WEATHER);
    check(source, "[1, 2]", "text:[1, 2]");
    check(source, "[get_weather]", "text:[get_weather]");
    check(source, "[print('a')]", "text:[print('a')]");
}

static void mistral(void) {
    check("[TOOL_CALLS]", S("[TOOL_CALLS]") "[" CALL ", {\"name\": \"now\", \"arguments\": {}, \"id\": \"abcdefghi\"}]",
          WEATHER "|call:now|args:{}|end");
    const char *named = "[TOOL_CALLS] [ARGS]";
    check(named, S("[TOOL_CALLS]") "get_weather" S("[ARGS]") JSON S("[TOOL_CALLS]") "now" S("[ARGS]") "{}",
          WEATHER "|call:now|args:{}|end");
    check(named, S("[TOOL_CALLS]") "get_weather" S("[CALL_ID]") "VvvODy9mT" S("[ARGS]") JSON, WEATHER);
    check("[THINK][TOOL_CALLS][ARGS]",
          S("[THINK]") "Hm." S("[/THINK]") "I look." S("[TOOL_CALLS]") "now" S("[ARGS]") "{}",
          "reasoning:Hm.|text:I look.|call:now|args:{}|end");
}

static void lists(void) {
    check("<|tool_call|>", S("<|tool_call|>") "[" CALL "]", WEATHER);
    check("<|tool_call|> <|/tool_call|>", "<|tool_call|>" CALL "<|/tool_call|>", WEATHER);
    check("functools", "functools[" CALL "," CALL "]", WEATHER "|" WEATHER);
    check("<TOOLCALL>", "<TOOLCALL>[" CALL ", " CALL "]</TOOLCALL>\nDone", WEATHER "|" WEATHER "|text:Done");
    check("<tool_calls>", "<tool_calls>[" CALL "]</tool_calls>", WEATHER);
    check("<longcat_tool_call>", "<longcat_tool_call>" CALL "</longcat_tool_call>", WEATHER);
    check("<|plugin|>",
          "Well.<|action_start|><|plugin|>\n{\"name\": \"get_weather\", \"parameters\": " JSON "}"
          "<|action_end|>",
          "text:Well.|" WEATHER);
    check("<|START_ACTION|> <|START_THINKING|>",
          S("<|START_THINKING|>") "I look." S("<|END_THINKING|>")
              S("<|START_ACTION|>") "[\n    {\"tool_call_id\": \"0\", "
                                    "\"tool_name\": \"get_weather\", \"parameters\": " JSON "}\n]" S("<|END_ACTION|>"),
          "reasoning:I look.|" WEATHER);
}

static void deepseek(void) {
    check("<｜tool▁calls▁begin｜> ```json",
          "I look." S("<｜tool▁calls▁begin｜>") S("<｜tool▁call▁begin｜>") "function" S(
              "<｜tool▁sep｜>") "get_weather\n"
                                "```json\n" JSON
                                "\n```" S("<｜tool▁call▁end｜>") "\n" S("<｜tool▁call▁begin｜>") "function" S(
                                    "<｜tool▁sep｜>") "now\n```json\n{}\n```" S("<｜tool▁call▁end｜>")
                                    S("<｜tool▁calls▁end｜>"),
          "text:I look.|" WEATHER "|call:now|args:{}|end");
    check("<｜tool▁calls▁begin｜>",
          S("<｜tool▁calls▁begin｜>") S("<｜tool▁call▁begin｜>") "get_weather" S("<｜tool▁sep｜>")
              JSON S("<｜tool▁call▁end｜>")
                  S("<｜tool▁call▁begin｜>") "now" S("<｜tool▁sep｜>") "{}" S("<｜tool▁call▁end｜>")
                      S("<｜tool▁calls▁end｜>"),
          WEATHER "|call:now|args:{}|end");
    check("｜DSML｜",
          "I look.\n\n<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"search\">\n<｜DSML｜parameter name=\"query\" "
          "string=\"true\">12</｜DSML｜parameter>\n<｜DSML｜parameter name=\"filters\" string=\"false\">{\"a\": 1}"
          "</｜DSML｜parameter>\n<｜DSML｜parameter name=\"after\" string=\"false\">null</｜DSML｜parameter>\n"
          "</｜DSML｜invoke>\n<｜DSML｜invoke name=\"now\">\n</｜DSML｜invoke>\n</｜DSML｜function_calls>",
          "text:I look.|call:search|args:{\"query\": \"12\", \"filters\": {\"a\": 1}, \"after\": null}|end|"
          "call:now|args:{}|end");
    check("｜DSML｜ tool_calls>",
          "<｜DSML｜tool_calls>\n<｜DSML｜invoke name=\"get_weather\">\n<｜DSML｜parameter name=\"location\" "
          "string=\"true\">"
          "Paris</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜tool_calls>",
          WEATHER);
}

static void kimi(void) {
    check("<|tool_calls_section_begin|>",
          "I look." S("<|tool_calls_section_begin|>") S("<|tool_call_begin|>") "functions.get_weather:0" S(
              "<|tool_call_argument_begin|>") JSON S("<|tool_call_end|>")
              S("<|tool_call_begin|>") "functions.now:1" S("<|tool_call_argument_begin|>") "{}" S("<|tool_call_end|>")
                  S("<|tool_calls_section_end|>"),
          "text:I look.|call:get_weather (functions.get_weather:0)|args:" JSON
          "|end|call:now (functions.now:1)|args:{}|end");
    check("'<|open|>' <|sep|>",
          S("<|open|>") "think" S("<|sep|>") "Hm." S("<|close|>") "think" S("<|sep|>")
              S("<|open|>") "response" S("<|sep|>") "I look." S("<|close|>") "response" S("<|sep|>")
                  S("<|open|>") "tools" S("<|sep|>") S("<|open|>") "call tool=\"get_weather\" index=\"1\"" S("<|sep|>")
                      S("<|open|>") "argument key=\"location\" type=\"string\"" S("<|sep|>") "Paris" S(
                          "<|close|>") "argument" S("<|sep|>")
                          S("<|open|>") "argument key=\"days\" type=\"number\"" S("<|sep|>") "3" S(
                              "<|close|>") "argument" S("<|sep|>") S("<|close|>") "call" S("<|sep|>")
                              S("<|close|>") "tools" S("<|sep|>"),
          "reasoning:Hm.|text:I look.|" WEATHER_2);
}

#define GLM_ARG(key, value) S("<arg_key>") key S("</arg_key>") "\n" S("<arg_value>") value S("</arg_value>") "\n"

static void tags(void) {
    const char *qwen = "<tool_call> <function=";
    check(qwen,
          "I look.\n\n<tool_call>\n<function=get_weather>\n<parameter=location>\nParis\n</parameter>\n<parameter=days>"
          "\n3\n</parameter>\n</function>\n</tool_call>\n<tool_call>\n<function=now>\n</function>\n</tool_call>",
          "text:I look.|" WEATHER_2 "|call:now|args:{}|end");
    check(qwen, "<function=get_weather>\n<parameter=location>\nParis\n</parameter>\n</function>\n</tool_call>",
          WEATHER);
    check(qwen, "<tool_call>\n<function=get_weather>\n<parameter=location>\nParis\n</parameter>\n</tool_call> Done.",
          WEATHER "|text: Done.");
    check(qwen,
          "<tool_call>\n<function=write_file>\n<parameter=path>\n7\n</parameter>\n<parameter=content>\n\n  if (a < b) "
          "\"x\";\n\n</parameter>\n</function>\n</tool_call>",
          "call:write_file|args:{\"path\": \"7\", \"content\": \"\\n  if (a < b) \\\"x\\\";\\n\"}|end");
    check(
        qwen,
        "<tool_call>\n<function=search>\n<parameter=exact>\nTrue\n</parameter>\n<parameter=tags>\n['a', \"b\"]\n"
        "</parameter>\n<parameter=limit>\nnull\n</parameter>\n<parameter=filters>\n{\"a\": [1]}\n</parameter>\n"
        "<parameter=after>\n5\n</parameter>\n<parameter=new>\n5\n</parameter>\n<parameter=other>\nfive\n</parameter>\n"
        "</function>\n</tool_call>",
        "call:search|args:{\"exact\": true, \"tags\": [\"a\", \"b\"], \"limit\": null, \"filters\": {\"a\": [1]}, "
        "\"after\": \"5\", \"new\": 5, \"other\": \"five\"}|end");
    check(qwen, "<function=nothing>\n</function> and <function=now>",
          "text:<function=nothing>\n</function> and <function=now>");
    check(qwen, "<tool_call>\n<function=get_weather>\n<parameter=location>\nParis\n</parameter>\noops</function>",
          "call:get_weather|args:{\"location\": \"Paris\"|end broken|text:oops</function>");
    check(qwen, "<function=get_weather>\n<parameter=location>\nPar",
          "call:get_weather|args:{\"location\": \"Par|end broken");
    check(
        "<seed:tool_call> <seed:think>",
        S("<seed:think>") "Hm." S("</seed:think>") "\n" S(
            "<seed:tool_call>") "\n<function=get_weather>\n"
                                "<parameter=location>Paris</parameter>\n<parameter=days>3</parameter>\n</function>\n" S(
                                    "</seed:tool_call>"),
        "reasoning:Hm.|" WEATHER_2);
    check("<minimax:tool_call>",
          "\n" S(
              "<minimax:tool_call>") "\n<invoke name=\"get_weather\">\n<parameter name=\"location\">Paris</parameter>\n"
                                     "<parameter name=\"days\">3</parameter>\n</invoke>\n<invoke "
                                     "name=\"now\">\n</invoke>\n" S("</minimax:tool_call>"),
          WEATHER_2 "|call:now|args:{}|end");
    const char *glm = "<tool_call> <arg_key>";
    check(glm,
          "\n<think>Hm.</think>\nI look.\n" S("<tool_call>") "get_weather\n" GLM_ARG("location", "Paris")
              GLM_ARG("days", "3") S("</tool_call>"),
          "reasoning:Hm.|text:I look.|" WEATHER_2);
    check(glm,
          "<tool_call>get_weather<arg_key>location</arg_key><arg_value>Paris</arg_value></tool_call>"
          "<tool_call>now</tool_call>",
          WEATHER "|call:now|args:{}|end");
    check(glm, "A <tool_call> is", "text:A <tool_call> is");
}

static void python(void) {
    const char *lfm = "<|tool_call_start|>";
    check(lfm,
          S("<|tool_call_start|>") "[get_weather(location='Paris', days=3), now()]" S("<|tool_call_end|>") "I look.",
          WEATHER_2 "|call:now|args:{}|end|text:I look.");
    check(
        lfm,
        S("<|tool_call_start|>") "[search(query='it\\'s \"x\"\\n\\d', filters={'a': [1, -2.5, True], 'b': None,}, "
                                 "tags=[], exact = False)]" S("<|tool_call_end|>"),
        "call:search|args:{\"query\": \"it's \\\"x\\\"\\n\\\\d\", \"filters\": {\"a\": [1, -2.5, true], \"b\": null}, "
        "\"tags\": [], \"exact\": false}|end");
    check(lfm, "<|tool_call_start|>[get_weather('Paris')]<|tool_call_end|>",
          "text:<|tool_call_start|>[get_weather('Paris')]<|tool_call_end|>");
    check("<function_calls>", "<function_calls>\nget_weather(location=\"Paris\")\nnow()\n</function_calls>",
          WEATHER "|call:now|args:{}|end");
}

static void gemma(void) {
    const char *source = "<|tool_call> <|channel>thought";
    check(source,
          S("<|channel>") "thought\nHm.\n" S("<channel|>") "I look." S("<|tool_call>") "call:get_weather{location:" S(
              "<|\"|>") "Paris" S("<|\"|>") ",days:3}" S("<tool_call|>")
              S("<|tool_call>") "call:now{}" S("<tool_call|>"),
          "reasoning:Hm.|text:I look.|" WEATHER_2 "|call:now|args:{}|end");
    check(source,
          "<|tool_call>call:search{query:<|\"|>a <b> \"c\"\n<|\"|>,filters:{a:[1,true,<|\"|>x<|\"|>],b:{}},exact:false}"
          "<tool_call|>",
          "call:search|args:{\"query\": \"a <b> \\\"c\\\"\\n\", \"filters\": {\"a\": [1, true, \"x\"], \"b\": {}}, "
          "\"exact\": false}|end");
    check("<start_function_call>",
          "<start_function_call>call:get_weather{location:<escape>Paris<escape>}<end_function_call>", WEATHER);
}

static void harmony(void) {
    const char *source = "<|channel|> <|message|>";
    check(source,
          S("<|channel|>") "analysis" S("<|message|>") "Hm." S("<|end|>")
              S("<|start|>") "assistant" S("<|channel|>") "final" S("<|message|>") "Hello.\n" S("<|return|>"),
          "reasoning:Hm.|text:Hello.\n");
    check(source,
          S("<|channel|>") "analysis" S("<|message|>") "Hm." S("<|end|>") S("<|start|>") "assistant" S(
              "<|channel|>") "commentary to=functions.get_weather " S("<|constrain|>") "json" S("<|message|>")
              JSON S("<|call|>"),
          "reasoning:Hm.|" WEATHER);
    check(source,
          S("<|channel|>") "commentary" S("<|message|>") "I look." S("<|end|>")
              S("<|start|>") "assistant to=functions.now" S("<|channel|>") "commentary json" S("<|message|>") "{}" S(
                  "<|call|>")
                  S("<|start|>") "assistant" S("<|channel|>") "analysis" S("<|message|>") "So." S("<|end|>"),
          "text:I look.|call:now|args:{}|end|reasoning:So.");
    check(source, S("<|channel|>") "commentary to=functions.now" S("<|message|>") "{]" S("<|call|>"), "text:{]");
    check(source, S("<|channel|>") "commentary to=functions.no" S("<|message|>") "{}" S("<|call|>"), "text:{}");
    check(source, "Hello.\nYou.", "text:Hello.\nYou.");
    check(source, S("<|channel|>") "final" S("<|message|>") "a" S("<|end|>") "b", "text:a\n\nb");
}

static void general(void) {
    check("nothing", "<tool_call>\n" CALL "\n</tool_call>", WEATHER);
    check("nothing", CALL, WEATHER);
    check("nothing", "<function=get_weather>" JSON "</function>", WEATHER);
    check("nothing", "<think>Hm.</think>Yes.", "reasoning:Hm.|text:Yes.");
}

// Every mark of the table fits what the reader keeps, and no two that may come at one place begin alike.
static void the_table_is_sound(void) {
    size_t rows = 0;
    for (const struct call_format *row; (row = format_row(rows)); rows++) {
        struct buf source = {0};
        for (size_t i = 0; i < 3 && row->signs[i]; i++) buf_puts(&source, row->signs[i]);
        struct format f;
        buf_puts(&source, "");
        format_find(&f, source.data, source.size, NULL);
        CHECK_STR(f.calls->name, row->name);
        for (size_t i = 0; i < MARKERS; i++)
            for (size_t j = 0; j < MARKERS; j++) {
                const char *a = format_marker(&f, i), *b = format_marker(&f, j);
                if (!a || !b) continue;
                CHECK(strlen(a) < 64);
                bool both =
                    (i < MARKER_SHAPES || format_triggers(&f, i)) && (j < MARKER_SHAPES || format_triggers(&f, j));
                if (i != j && both) CHECK(strncmp(a, b, strlen(a)) != 0);
            }
        buf_free(&source);
    }
    CHECK_INT(rows, 31);
}

static void found(const char *file, const char *calls, const char *think) {
    char path[256], text[65536];
    snprintf(path, sizeof path, "chat-templates/%s.jinja", file);
    const char *full = test_shared(path);
    FILE *in = full ? fopen(full, "rb") : NULL;
    if (!in) return;
    size_t size = fread(text, 1, sizeof text, in);
    fclose(in);
    struct format f;
    format_find(&f, text, size, NULL);
    CHECK_STR(f.calls->name, calls);
    CHECK_STR(f.thinking->open, think);
}

static void templates_choose(void) {
    if (!test_shared("chat-templates")) SKIP("no ../shared");
    found("ByteDance-Seed-OSS", "seed", "<seed:think>");
    found("GLM-4.6", "glm", "<think>");
    found("HuggingFaceTB-SmolLM3-3B", "general", "<think>");
    found("Kimi-K2-Instruct", "kimi-k2", "<think>");
    found("NousResearch-Hermes-3-Llama-3.1-8B-tool_use", "hermes", "<think>");
    found("Qwen-Qwen2.5-7B-Instruct", "hermes", "<think>");
    found("Qwen-Qwen3-0.6B", "hermes", "<think>");
    found("Qwen3-Coder", "qwen-tags", "<think>");
    found("deepseek-ai-DeepSeek-V3.1", "deepseek-v3.1", "<think>");
    found("google-gemma-2-2b-it", "general", "<think>");
    found("ibm-granite-granite-3.3-2B-Instruct", "granite", "<think>");
    found("meta-llama-Llama-3.1-8B-Instruct", "llama3", "<think>");
    found("meta-llama-Llama-3.2-3B-Instruct", "llama3", "<think>");
    found("microsoft-Phi-3.5-mini-instruct", "general", "<think>");
    found("mistralai-Mistral-Nemo-Instruct-2407", "mistral", "<think>");
    found("openai-gpt-oss-120b", "harmony", "<|channel|>analysis");
}

static void begins(const char *source, const char *prompt, enum format_begins want) {
    struct format f;
    format_find(&f, source, strlen(source), NULL);
    CHECK_INT(format_begins(&f, prompt, strlen(prompt)), want);
}

static void prompts_say_what_begins(void) {
    begins("<think>", "<|im_start|>assistant\n", BEGINS_ANSWER);
    begins("<think>", "<|im_start|>assistant\n<think>\n", BEGINS_REASONING);
    begins("<think>", "<|im_start|>assistant\n<think>\n\n</think>\n\n", BEGINS_ANSWER);
    begins("<think>", "", BEGINS_ANSWER);
    begins("[THINK]", "[/INST][THINK]", BEGINS_REASONING);
    begins("<|channel>thought", "<|turn>model\n<|channel>thought\n<channel|>", BEGINS_ANSWER);
    begins("'<|open|>'<|sep|>", "<|open|>think<|sep|>", BEGINS_REASONING);
    const char *harmony = "<|channel|><|message|>";
    begins(harmony, "<|start|>user<|message|>Hi<|end|><|start|>assistant", BEGINS_HEADER);
    begins(harmony, "<|start|>assistant<|channel|>final<|message|>", BEGINS_ANSWER);
    begins(harmony, "<|start|>assistant<|channel|>analysis<|message|>Hm", BEGINS_REASONING);
}

int main(void) {
    RUN(hermes);
    RUN(llama3);
    RUN(llama4);
    RUN(mistral);
    RUN(lists);
    RUN(deepseek);
    RUN(kimi);
    RUN(tags);
    RUN(python);
    RUN(gemma);
    RUN(harmony);
    RUN(general);
    RUN(the_table_is_sound);
    RUN(templates_choose);
    RUN(prompts_say_what_begins);
    json_decref(test_tools());
    return test_end();
}
