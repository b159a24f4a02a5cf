#include "server/formats.h"

#include <string.h>

// ------------------------------------------------------------------------------------------- ways to write calls

#define LIST   "[,];"
#define OBJECT "{\"name\": \"$N\", \"arguments\": $A}"

static const struct shape objects = {
    // Qwen, Hermes, and who learned from them
    .mark = {[MARK_OPEN] = "<tool_call>", [MARK_CLOSE] = "</tool_call>"},
    .between = LIST,
    .write = {"", "<tool_call>\n" OBJECT "\n</tool_call>", "\n", ""},
};
static const struct shape bare_objects = {
    .between = LIST,
    .bare = '{',
    .write = {"", "{\"name\": \"$N\", \"parameters\": $A}", "; ", ""},
};
static const struct shape python_tag = {.mark = {[MARK_OPEN] = "<|python_tag|>"}, .between = LIST};
static const struct shape llama_function = {
    .kind = CALL_NAMED,
    .mark = {[MARK_BEGIN] = "<function=", [MARK_END] = "</function>", [MARK_NAMED] = ">"},
};
static const struct shape mistral_list = {
    .mark = {[MARK_OPEN] = "[TOOL_CALLS]"},
    .between = LIST,
    .write = {"[TOOL_CALLS][", OBJECT, ", ", "]"},
};
static const struct shape mistral_named = {
    .kind = CALL_NAMED,
    .mark = {[MARK_BEGIN] = "[TOOL_CALLS]", [MARK_KEY] = "[CALL_ID]", [MARK_NAMED] = "[ARGS]"},
    .write = {"", "[TOOL_CALLS]$N[ARGS]$A", "", ""},
};
static const struct shape granite = {
    .mark = {[MARK_OPEN] = "<|tool_call|>"},
    .between = LIST,
    .write = {"<|tool_call|>[", OBJECT, ", ", "]"},
};
static const struct shape phi = {
    .mark = {[MARK_OPEN] = "<|tool_call|>", [MARK_CLOSE] = "<|/tool_call|>"},
    .between = LIST,
    .write = {"", "<|tool_call|>" OBJECT "<|/tool_call|>", "", ""},
};
static const struct shape phi_functions = {
    .mark = {[MARK_OPEN] = "functools["},
    .between = LIST,
    .write = {"functools[", OBJECT, ", ", "]"},
};
static const struct shape command = {
    .mark = {[MARK_OPEN] = "<|START_ACTION|>", [MARK_CLOSE] = "<|END_ACTION|>"},
    .between = LIST,
    .write = {"<|START_ACTION|>[\n    ", "{\"tool_call_id\": \"$I\", \"tool_name\": \"$N\", \"parameters\": $A}",
              ",\n    ", "\n]<|END_ACTION|>"},
};
static const struct shape nemotron = {
    .mark = {[MARK_OPEN] = "<TOOLCALL>", [MARK_CLOSE] = "</TOOLCALL>"},
    .between = LIST,
    .write = {"<TOOLCALL>[", OBJECT, ", ", "]</TOOLCALL>"},
};
static const struct shape tool_calls = {
    // Hunyuan, Jamba
    .mark = {[MARK_OPEN] = "<tool_calls>", [MARK_CLOSE] = "</tool_calls>"},
    .between = LIST,
    .write = {"<tool_calls>[", OBJECT, ", ", "]</tool_calls>"},
};
static const struct shape longcat = {
    .mark = {[MARK_OPEN] = "<longcat_tool_call>", [MARK_CLOSE] = "</longcat_tool_call>"},
    .between = LIST,
    .write = {"", "<longcat_tool_call>" OBJECT "</longcat_tool_call>", "\n", ""},
};
static const struct shape internlm = {
    .mark = {[MARK_OPEN] = "<|action_start|><|plugin|>", [MARK_CLOSE] = "<|action_end|>"},
    .between = LIST,
    .write = {"", "<|action_start|><|plugin|>\n{\"name\": \"$N\", \"parameters\": $A}<|action_end|>", "", ""},
};
static const struct shape deepseek_fenced = {
    // V3, R1
    .kind = CALL_NAMED,
    .mark = {[MARK_OPEN] = "<｜tool▁calls▁begin｜>",
             [MARK_CLOSE] = "<｜tool▁calls▁end｜>",
             [MARK_BEGIN] = "<｜tool▁call▁begin｜>function<｜tool▁sep｜>",
             [MARK_NAMED] = "\n```json\n",
             [MARK_END] = "```<｜tool▁call▁end｜>"},
    .write = {"<｜tool▁calls▁begin｜>",
              "<｜tool▁call▁begin｜>function<｜tool▁sep｜>$N\n```json\n$A\n```<｜tool▁call▁end｜>", "\n",
              "<｜tool▁calls▁end｜>"},
};
static const struct shape deepseek_plain = {
    // V3.1
    .kind = CALL_NAMED,
    .mark = {[MARK_OPEN] = "<｜tool▁calls▁begin｜>",
             [MARK_CLOSE] = "<｜tool▁calls▁end｜>",
             [MARK_BEGIN] = "<｜tool▁call▁begin｜>",
             [MARK_NAMED] = "<｜tool▁sep｜>",
             [MARK_END] = "<｜tool▁call▁end｜>"},
    .write = {"<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>$N<｜tool▁sep｜>$A<｜tool▁call▁end｜>", "",
              "<｜tool▁calls▁end｜>"},
};
static const struct shape kimi = {
    .kind = CALL_NAMED,
    .mark = {[MARK_OPEN] = "<|tool_calls_section_begin|>",
             [MARK_CLOSE] = "<|tool_calls_section_end|>",
             [MARK_BEGIN] = "<|tool_call_begin|>",
             [MARK_NAMED] = "<|tool_call_argument_begin|>",
             [MARK_END] = "<|tool_call_end|>"},
    .id = true,
    .write = {"<|tool_calls_section_begin|>",
              "<|tool_call_begin|>functions.$N:$I<|tool_call_argument_begin|>$A<|tool_call_end|>", "",
              "<|tool_calls_section_end|>"},
};
static const struct shape kimi_tags = {
    // K3
    .kind = CALL_TAGS,
    .mark = {[MARK_OPEN] = "<|open|>tools<|sep|>",
             [MARK_CLOSE] = "<|close|>tools<|sep|>",
             [MARK_BEGIN] = "<|open|>call tool=\"",
             [MARK_NAMED] = "<|sep|>",
             [MARK_END] = "<|close|>call<|sep|>",
             [MARK_KEY] = "<|open|>argument key=\"",
             [MARK_KEY_ENDS] = "\"",
             [MARK_VALUE] = "<|sep|>",
             [MARK_VALUE_ENDS] = "<|close|>argument<|sep|>"},
    .write = {"<|open|>tools<|sep|>", "<|open|>call tool=\"$N\" index=\"$I\"<|sep|>$P<|close|>call<|sep|>", "",
              "<|close|>tools<|sep|>", "<|open|>argument key=\"$K\" type=\"$T\"<|sep|>$V<|close|>argument<|sep|>", ""},
};
static const struct shape dsml = {
    // DeepSeek V3.2
    .kind = CALL_TAGS,
    .mark = {[MARK_OPEN] = "<｜DSML｜function_calls>",
             [MARK_CLOSE] = "</｜DSML｜function_calls>",
             [MARK_BEGIN] = "<｜DSML｜invoke name=\"",
             [MARK_NAMED] = "\">",
             [MARK_END] = "</｜DSML｜invoke>",
             [MARK_KEY] = "<｜DSML｜parameter name=\"",
             [MARK_KEY_ENDS] = "\"",
             [MARK_VALUE] = ">",
             [MARK_VALUE_ENDS] = "</｜DSML｜parameter>"},
    .write = {"<｜DSML｜function_calls>\n", "<｜DSML｜invoke name=\"$N\">\n$P</｜DSML｜invoke>\n", "",
              "</｜DSML｜function_calls>", "<｜DSML｜parameter name=\"$K\" string=\"$S\">$V</｜DSML｜parameter>\n", ""},
};
static const struct shape dsml_tools = {
    // V4
    .kind = CALL_TAGS,
    .mark = {[MARK_OPEN] = "<｜DSML｜tool_calls>",
             [MARK_CLOSE] = "</｜DSML｜tool_calls>",
             [MARK_BEGIN] = "<｜DSML｜invoke name=\"",
             [MARK_NAMED] = "\">",
             [MARK_END] = "</｜DSML｜invoke>",
             [MARK_KEY] = "<｜DSML｜parameter name=\"",
             [MARK_KEY_ENDS] = "\"",
             [MARK_VALUE] = ">",
             [MARK_VALUE_ENDS] = "</｜DSML｜parameter>"},
    .write = {"<｜DSML｜tool_calls>\n", "<｜DSML｜invoke name=\"$N\">\n$P</｜DSML｜invoke>\n", "",
              "</｜DSML｜tool_calls>", "<｜DSML｜parameter name=\"$K\" string=\"$S\">$V</｜DSML｜parameter>\n", ""},
};
static const struct shape qwen_tags = {
    // Qwen3-Coder, Qwen3.5, Nemotron 3, Step 3.5
    .kind = CALL_TAGS,
    .mark = {[MARK_OPEN] = "<tool_call>",
             [MARK_CLOSE] = "</tool_call>",
             [MARK_BEGIN] = "<function=",
             [MARK_NAMED] = ">",
             [MARK_END] = "</function>",
             [MARK_KEY] = "<parameter=",
             [MARK_KEY_ENDS] = ">",
             [MARK_VALUE_ENDS] = "</parameter>"},
    .begins = true,
    .trims = true,
    .write = {"", "<tool_call>\n<function=$N>\n$P</function>\n</tool_call>", "\n", "",
              "<parameter=$K>\n$V\n</parameter>\n", ""},
};
static const struct shape seed_tags = {
    .kind = CALL_TAGS,
    .mark = {[MARK_OPEN] = "<seed:tool_call>",
             [MARK_CLOSE] = "</seed:tool_call>",
             [MARK_BEGIN] = "<function=",
             [MARK_NAMED] = ">",
             [MARK_END] = "</function>",
             [MARK_KEY] = "<parameter=",
             [MARK_KEY_ENDS] = ">",
             [MARK_VALUE_ENDS] = "</parameter>"},
    .write = {"", "<seed:tool_call>\n<function=$N>\n$P</function>\n</seed:tool_call>", "\n", "",
              "<parameter=$K>$V</parameter>\n", ""},
};
static const struct shape minimax = {
    .kind = CALL_TAGS,
    .mark = {[MARK_OPEN] = "<minimax:tool_call>",
             [MARK_CLOSE] = "</minimax:tool_call>",
             [MARK_BEGIN] = "<invoke name=\"",
             [MARK_NAMED] = "\">",
             [MARK_END] = "</invoke>",
             [MARK_KEY] = "<parameter name=\"",
             [MARK_KEY_ENDS] = "\">",
             [MARK_VALUE_ENDS] = "</parameter>"},
    .write = {"<minimax:tool_call>\n", "<invoke name=\"$N\">\n$P</invoke>\n", "", "</minimax:tool_call>",
              "<parameter name=\"$K\">$V</parameter>\n", ""},
};
static const struct shape glm = {
    .kind = CALL_TAGS,
    .mark = {[MARK_BEGIN] = "<tool_call>",
             [MARK_END] = "</tool_call>",
             [MARK_KEY] = "<arg_key>",
             [MARK_KEY_ENDS] = "</arg_key>",
             [MARK_VALUE] = "<arg_value>",
             [MARK_VALUE_ENDS] = "</arg_value>"},
    .write = {"", "<tool_call>$N\n$P</tool_call>", "\n", "", "<arg_key>$K</arg_key>\n<arg_value>$V</arg_value>\n", ""},
};
static const struct shape lfm = {
    .kind = CALL_NAMED,
    .dialect = LITERAL_PYTHON,
    .mark = {[MARK_OPEN] = "<|tool_call_start|>", [MARK_CLOSE] = "<|tool_call_end|>"},
    .between = LIST,
    .opened = '(',
    .write = {"<|tool_call_start|>[", "$N($P)", ", ", "]<|tool_call_end|>", "$K=$V", ", "},
};
static const struct shape olmo = {
    .kind = CALL_NAMED,
    .dialect = LITERAL_PYTHON,
    .mark = {[MARK_OPEN] = "<function_calls>", [MARK_CLOSE] = "</function_calls>"},
    .between = LIST,
    .opened = '(',
    .write = {"<function_calls>", "$N($P)", "\n", "</function_calls>", "$K=$V", ", "},
};
static const struct shape python_list = {
    // Llama 4
    .kind = CALL_NAMED,
    .dialect = LITERAL_PYTHON,
    .mark = {[MARK_OPEN] = "<|python_start|>", [MARK_CLOSE] = "<|python_end|>"},
    .between = LIST,
    .opened = '(',
    .bare = '[',
    .write = {"[", "$N($P)", ", ", "]", "$K=$V", ", "},
};
static const struct shape gemma = {
    // Gemma 4
    .kind = CALL_NAMED,
    .dialect = LITERAL_GEMMA,
    .mark = {[MARK_BEGIN] = "<|tool_call>call:", [MARK_END] = "<tool_call|>"},
    .opened = '{',
    .write = {"", "<|tool_call>call:$N{$P}<tool_call|>", "", "", "$K:$V", ","},
};
static const struct shape function_gemma = {
    .kind = CALL_NAMED,
    .dialect = LITERAL_GEMMA,
    .mark = {[MARK_BEGIN] = "<start_function_call>call:", [MARK_END] = "<end_function_call>"},
    .opened = '{',
    .write = {"", "<start_function_call>call:$N{$P}<end_function_call>", "", "", "$K:$V", ","},
};
static const struct shape channels = {
    .kind = CALL_CHANNELS,
    .mark = {[MARK_OPEN] = "<|start|>",
             [MARK_BEGIN] = "<|channel|>",
             [MARK_NAMED] = "<|message|>",
             [MARK_CLOSE] = "<|end|>",
             [MARK_END] = "<|call|>",
             [MARK_VALUE_ENDS] = "<|return|>",
             [MARK_KEY] = "<|constrain|>"},
    .write = {"", "<|channel|>commentary to=functions.$N <|constrain|>json<|message|>$A", "", ""},
};

// The first whose opening text is in the template; the last is everybody's.
enum { THINKING_CHANNELS, THINKING_KIMI };
static const struct thinking thinking[] = {
    [THINKING_CHANNELS] = {"<|channel|>analysis", NULL, NULL, NULL}, // output_channels.c reads these
    [THINKING_KIMI] = {"<|open|>think<|sep|>", "<|close|>think<|sep|>", "<|open|>response<|sep|>",
                       "<|close|>response<|sep|>"},
    {"<seed:think>", "</seed:think>", NULL, NULL},
    {"[THINK]", "[/THINK]", NULL, NULL},
    {"<|START_THINKING|>", "<|END_THINKING|>", "<|START_RESPONSE|>", "<|END_RESPONSE|>"},
    {"<|channel>thought", "<channel|>", NULL, NULL},
    {"<longcat_think>", "</longcat_think>", NULL, NULL},
    {"<think>", "</think>", NULL, NULL},
};

// The first row whose signs are all in the template: rows with more to tell come before.
static const struct call_format table[] = {
    {"harmony", {"<|channel|>", "<|message|>"}, {&channels}, &thinking[THINKING_CHANNELS]},
    {"kimi-k3", {"'<|open|>'", "<|sep|>"}, {&kimi_tags}, &thinking[THINKING_KIMI]},
    {"kimi-k2", {"<|tool_calls_section_begin|>"}, {&kimi}},
    {"deepseek-v4", {"｜DSML｜", "tool_calls>"}, {&dsml_tools, &dsml}},
    {"deepseek-v3.2", {"｜DSML｜"}, {&dsml, &dsml_tools}},
    {"deepseek-v3", {"<｜tool▁calls▁begin｜>", "```json"}, {&deepseek_fenced}},
    {"deepseek-v3.1", {"<｜tool▁calls▁begin｜>"}, {&deepseek_plain}},
    {"minimax", {"<minimax:tool_call>"}, {&minimax}},
    {"seed", {"<seed:tool_call>"}, {&seed_tags}},
    {"glm", {"<tool_call>", "<arg_key>"}, {&glm}},
    {"qwen-tags", {"<tool_call>", "<function="}, {&qwen_tags}},
    {"longcat", {"<longcat_tool_call>"}, {&longcat}},
    {"gemma", {"<|tool_call>"}, {&gemma}},
    {"function-gemma", {"<start_function_call>"}, {&function_gemma}},
    {"lfm", {"<|tool_call_start|>"}, {&lfm}},
    {"olmo", {"<function_calls>"}, {&olmo}},
    {"command", {"<|START_ACTION|>"}, {&command}},
    {"mistral-named", {"[TOOL_CALLS]", "[ARGS]"}, {&mistral_named}},
    {"mistral", {"[TOOL_CALLS]"}, {&mistral_list}},
    {"nemotron", {"<TOOLCALL>"}, {&nemotron}},
    {"phi4", {"<|tool_call|>", "<|/tool_call|>"}, {&phi, &phi_functions}},
    {"granite", {"<|tool_call|>"}, {&granite}},
    {"internlm", {"<|plugin|>"}, {&internlm}},
    {"hermes", {"<tool_call>"}, {&objects}},
    {"tool-calls", {"<tool_calls>"}, {&tool_calls}},
    {"phi-functions", {"functools"}, {&phi_functions}},
    {"llama4", {"<|python_start|>"}, {&python_list, &bare_objects}},
    {"llama3", {"<|start_header_id|>", "\"parameters\": "}, {&bare_objects, &python_tag, &llama_function}},
    {"llama3", {"<|python_tag|>"}, {&bare_objects, &python_tag, &llama_function}},
    {"pythonic", {"[func_name1(params_name1=params_value1"}, {&python_list}},
    {"general", {NULL}, {&objects, &bare_objects, &llama_function}},
};
#define ROWS (sizeof table / sizeof *table)

const struct call_format *format_row(size_t i) { return i < ROWS ? &table[i] : NULL; }

static bool contains(const char *source, size_t size, const char *s) {
    return memmem(source, size, s, strlen(s)) != NULL;
}

static bool row_fits(const struct call_format *row, const char *source, size_t size) {
    for (size_t i = 0; i < 3 && row->signs[i]; i++)
        if (!contains(source, size, row->signs[i])) return false;
    return true;
}

size_t format_token_size(const char *s, size_t n) {
    const char *end = n && s[0] == '<' ? memchr(s, '>', n) : n && s[0] == '[' ? memchr(s, ']', n) : NULL;
    return end ? (size_t)(end - s) + 1 : 0;
}

int32_t format_special(const struct format *f, const char *s, size_t n) {
    gyr_tokens tokens = {0};
    int32_t id = -1;
    if (!f->tokenizer || gyr_tokenize(f->tokenizer, s, n, GYR_PARSE_SPECIAL, &tokens, NULL)) return -1;
    size_t size = 1;
    char *plain = tokens.count == 1 ? gyr_detokenize(f->tokenizer, tokens.ids, 1, false, &size, NULL) : NULL;
    if (plain && !size) id = tokens.ids[0];
    gyr_free(plain);
    gyr_free(tokens.ids);
    return id;
}

// Which bytes of a marker are names of special tokens.
static uint64_t special_bytes(const struct format *f, const char *text) {
    uint64_t bytes = 0;
    for (size_t i = 0, size = strlen(text); i < size;) {
        size_t n = format_token_size(text + i, size - i);
        bool is = n && format_special(f, text + i, n) >= 0;
        if (is) bytes |= ((1ULL << n) - 1) << i;
        i += is ? n : 1;
    }
    return bytes;
}

void format_find(struct format *f, const char *source, size_t size, const gyr_tokenizer *tokenizer) {
    size_t row = 0, think = THINKING_KIMI + 1;
    while (!row_fits(&table[row], source, size)) row++;
    while (think + 1 < sizeof thinking / sizeof *thinking && !contains(source, size, thinking[think].open)) think++;
    *f = (struct format){.tokenizer = tokenizer,
                         .calls = &table[row],
                         .thinking = table[row].thinking ? table[row].thinking : &thinking[think]};
    for (size_t i = 0; tokenizer && i < MARKERS; i++)
        if (format_marker(f, i)) f->special[i] = special_bytes(f, format_marker(f, i));
}

const char *format_marker(const struct format *f, size_t i) {
    const struct thinking *t = f->thinking;
    const char *const around[] = {t->open, t->close, t->answer_open, t->answer_close};
    if (i < MARKER_SHAPES) return t->close ? around[i] : NULL;
    const struct shape *s = i < MARKERS ? f->calls->shapes[(i - MARKER_SHAPES) / MARKS] : NULL;
    return s ? s->mark[(i - MARKER_SHAPES) % MARKS] : NULL;
}

bool format_triggers(const struct format *f, size_t i) {
    if (i < MARKER_SHAPES || !format_marker(f, i)) return false;
    const struct shape *s = f->calls->shapes[(i - MARKER_SHAPES) / MARKS];
    enum mark mark = (i - MARKER_SHAPES) % MARKS;
    if (s->kind == CALL_CHANNELS) return false;
    return mark == MARK_OPEN || (mark == MARK_BEGIN && (s->begins || !s->mark[MARK_OPEN]));
}

static bool ends_with(const char *s, size_t size, const char *end) {
    size_t n = strlen(end);
    return n <= size && !memcmp(s + size - n, end, n);
}

// Where the last of `s` is; NULL if it is not there.
static const char *last_of(const char *text, size_t size, const char *s) {
    size_t n = strlen(s);
    for (size_t i = size >= n ? size - n + 1 : 0; i-- > 0;)
        if (!memcmp(text + i, s, n)) return text + i;
    return NULL;
}

static enum format_begins channel_begins(const struct shape *s, const char *prompt, size_t size) {
    const char *start = last_of(prompt, size, s->mark[MARK_OPEN]);
    if (!start) return BEGINS_HEADER;
    size_t left = size - (size_t)(start - prompt);
    if (!contains(start, left, s->mark[MARK_NAMED])) return BEGINS_HEADER;
    return contains(start, left, "<|channel|>analysis") ? BEGINS_REASONING : BEGINS_ANSWER;
}

enum format_begins format_begins(const struct format *f, const char *prompt, size_t size) {
    if (f->calls->shapes[0]->kind == CALL_CHANNELS) return channel_begins(f->calls->shapes[0], prompt, size);
    while (size && strchr(" \n\r\t", prompt[size - 1])) size--;
    return ends_with(prompt, size, f->thinking->open) ? BEGINS_REASONING : BEGINS_ANSWER;
}
