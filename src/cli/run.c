// gyr run: answer a prompt, or chat.
#include "run.h"

#include "input.h"
#include "open.h"
#include "output.h"
#include "progress.h"
#include "ranks.h"
#include "signals.h"
#include "verbs.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIELD(name) offsetof(struct run_options, name)

static const struct option options[] = {
    {"model", 'm', "FILE", "file, folder or hf: name (or $GYR_MODEL, or poet)", OPTION_TEXT, FIELD(model), 0, 0,
     "Answer"},
    {"adapter", 0, "PATH", "a LoRA adapter: a PEFT folder or a GGUF file", OPTION_TEXT, FIELD(adapter)},
    {"max-tokens", 'n', "N", "longest answer", OPTION_WHOLE, FIELD(max_tokens), 1, 1e9},
    {"system", 0, "TEXT", "instructions ahead of the conversation", OPTION_TEXT, FIELD(system)},
    {"stop", 0, "TEXT", "end the answer before TEXT (repeatable)", OPTION_TEXTS, FIELD(stop)},
    {"raw", 0, NULL, "the prompt as it is, without the chat template", OPTION_FLAG, FIELD(raw)},
    {"ignore-end", 0, NULL, "go on to the longest answer (for benchmarks)", OPTION_FLAG, FIELD(ignore_end)},
    {"temperature", 0, "X", "0 takes the likeliest token", OPTION_REAL, FIELD(temperature), 0, 100, "Sampling", "temp"},
    {"seed", 0, "N", "the same seed gives the same answer (else 0)", OPTION_WHOLE, FIELD(seed), 0, 2e19},
    {"top-k", 0, "N", "the N likeliest tokens only (0: all)", OPTION_WHOLE, FIELD(top_k), 0, 1e9},
    {"top-p", 0, "X", "the likeliest of X in all only (1: all)", OPTION_REAL, FIELD(top_p), 0, 1},
    {"min-p", 0, "X", "none below X of the likeliest (0: all)", OPTION_REAL, FIELD(min_p), 0, 1},
    {"repeat-penalty", 0, "X", "on tokens that were there (1: none)", OPTION_REAL, FIELD(repeat_penalty), 0.01, 100,
     NULL, "repetition-penalty"},
    {"presence-penalty", 0, "X", "on tokens of the answer (0: none)", OPTION_REAL, FIELD(presence_penalty), -100, 100},
    {"frequency-penalty", 0, "X", "for each time they occur (0: none)", OPTION_REAL, FIELD(frequency_penalty), -100,
     100},
    {"logit-bias", 0, "ID:X", "add X to the score of token ID (repeatable)", OPTION_BIASES, FIELD(bias)},
    {"json-schema", 0, "S", "an answer valid by a JSON schema: file or text", OPTION_TEXT, FIELD(json_schema), 0, 0,
     "Form of the answer"},
    {"grammar", 0, "FILE", "an answer of a GBNF grammar", OPTION_TEXT, FIELD(grammar)},
    {"regex", 0, "TEXT", "an answer that matches, from end to end", OPTION_TEXT, FIELD(regex)},
    {"context", 'c', "N", "room for N tokens (else the model's own)", OPTION_WHOLE, FIELD(context), 1, 1e9,
     "Memory and machine"},
    {"kv-type", 0, KV_TYPES, "precision of the KV cache", OPTION_CHOICE, FIELD(kv_type)},
    {"device", 0, "NAME", "cpu, or a card (else $GYR_DEVICE, else auto)", OPTION_TEXT, FIELD(device)},
    {"gpu-layers", 0, "N", "layers on the card, the others on the CPU", OPTION_WHOLE, FIELD(gpu_layers), 1, 1e6},
    {"cpu-experts", 0, NULL, "a mixture's experts stay on the CPU", OPTION_FLAG, FIELD(cpu_experts)},
    {"no-cpu", 0, NULL, "refuse what the cards have no room for", OPTION_FLAG, FIELD(no_cpu)},
    {"threads", 't', "N", "worker threads (else one for each CPU)", OPTION_WHOLE, FIELD(threads), 1, 1024},
    {"split", 0, SPLITS, "how ranks or cards share the model", OPTION_CHOICE, FIELD(split)},
    {"oversize", 0, NULL, "run a model that memory cannot hold, from disk", OPTION_FLAG, FIELD(oversize)},
    {"lock", 0, NULL, "keep the weights in memory", OPTION_FLAG, FIELD(lock)},
    {"no-cache", 0, NULL, "keep no file of the weights' fast form", OPTION_FLAG, FIELD(no_cache)},
    {"receipt", 0, "FILE", "what the answer was made of, for gyr verify", OPTION_TEXT, FIELD(receipt), 0, 0, "Output"},
    {"json", 0, NULL, "answer and counts as JSON", OPTION_FLAG, FIELD(json)},
    {"stats", 0, NULL, "say how fast it was", OPTION_FLAG, FIELD(stats)},
    {"verbose", 'v', NULL, "say before what it takes, and how fast it should be", OPTION_FLAG, FIELD(verbose)},
    {0}};

const struct syntax run_syntax = {"run",
                                  "[hf:OWNER/NAME] [PROMPT]...",
                                  "Answer PROMPT and what a pipe brings; without either, chat.",
                                  "gyr run \"Write a poem about San Francisco\"",
                                  options,
                                  0,
                                  -1};

// The words of the prompt and what the pipe brings, a blank line between them.
static char *join_prompt(char **words, int count, const char *piped, size_t piped_size, size_t *size) {
    char *text = NULL;
    FILE *f = open_memstream(&text, size);
    if (!f) return NULL;
    for (int i = 0; i < count; i++) fprintf(f, "%s%s", i ? " " : "", words[i]);
    if (count && piped_size) fputs("\n\n", f);
    fwrite(piped, 1, piped_size, f);
    return fclose(f) ? (free(text), NULL) : text;
}

// The prompt of a one-shot answer. An end of line at the end of a pipe is the shell's, not the user's.
static char *read_prompt(char **words, int count, size_t *size, int *status) {
    char *piped = NULL;
    size_t piped_size = 0;
    if (!isatty(STDIN_FILENO)) {
        piped = read_input(&piped_size, status);
        if (!piped) return NULL;
        if (piped_size && piped[piped_size - 1] == '\n') piped_size--;
        if (piped_size && piped[piped_size - 1] == '\r') piped_size--;
    }
    char *text = join_prompt(words, count, piped ? piped : "", piped_size, size);
    free(piped);
    if (!text) {
        say_error("out of memory for the prompt; give a shorter one");
        *status = GYR_NO_MEMORY;
    }
    return text;
}

char *messages_of(const char *system, const char *user, size_t user_size) {
    json_t *list = json_array();
    if (system) json_array_append_new(list, json_pack("{s:s, s:s}", "role", "system", "content", system));
    json_t *said = json_pack("{s:s, s:s%}", "role", "user", "content", user, user_size);
    bool ok = said && json_array_append_new(list, said) == 0 && json_array_size(list) == (system ? 2 : 1);
    char *text = ok ? json_dumps(list, JSON_COMPACT) : NULL;
    json_decref(list);
    return text;
}

static int chat_prompt(struct talk *t, const char *text, size_t size, gyr_tokens *out) {
    gyr_error e = {0};
    char *messages = messages_of(t->options->system, text, size);
    if (!messages) {
        say_error("prompt: not valid UTF-8; convert it (see iconv), or use --raw to feed the bytes as they are");
        return GYR_MALFORMED;
    }
    int status = gyr_chat_tokens(t->model, messages, true, out, &e);
    free(messages);
    return status ? report(&e) : GYR_OK;
}

static int raw_prompt(struct talk *t, const char *text, size_t size, gyr_tokens *out) {
    gyr_error e = {0};
    if (t->options->system && !t->info.has_chat_template)
        return usage_error("--system: this model has no chat template; write the instructions into the prompt");
    if (t->options->system) return usage_error("--system: has no meaning with --raw; write it into the prompt");
    if (gyr_tokenize(gyr_model_tokenizer(t->model), text, size, GYR_ADD_BOS, out, &e)) return report(&e);
    if (!out->count) return usage_error("prompt: empty; write some text to continue");
    return GYR_OK;
}

static int write_receipt(const struct talk *t, const char *receipt) {
    if (!t->receipt || !receipt) return GYR_OK;
    if (fprintf(t->receipt, "%s\n", receipt) > 0 && !fflush(t->receipt)) return GYR_OK;
    say_error("%s: %s", t->options->receipt, strerror(errno));
    return GYR_IO;
}

static int answer_once(struct talk *t, const char *text, size_t size) {
    gyr_tokens tokens = {0};
    bool raw = t->options->raw || !t->info.has_chat_template;
    int status = (raw ? raw_prompt : chat_prompt)(t, text, size, &tokens);
    if (status) return status;
    struct answer a = {0};
    status = give_answer(t, tokens.ids, tokens.count, &a);
    gyr_free(tokens.ids);
    if (!status || a.interrupted) end_answer(t, &a);
    int written = write_receipt(t, a.receipt);
    if (!status) status = a.interrupted ? (int)GYR_CANCELLED : written;
    gyr_free(a.receipt);
    free(a.text);
    return status;
}

// What gyr plan says of it, with the rates that gyr bench kept: nothing is timed.
static void say_plan(const struct talk *t) {
    const struct run_options *o = t->options;
    gyr_plan_options how = {.model = model_path(o->model),
                            .context = (uint32_t)o->context,
                            .threads = (uint32_t)o->threads,
                            .kv_type = kv_type_named(o->kv_type),
                            .quick = true};
    gyr_error e = {0};
    if (!how.model) {
        say_dim("plan: none, of a model that is in the program");
        return;
    }
    char *text = gyr_plan(&how, &e);
    json_t *plan = text ? json_loads(text, 0, NULL) : NULL;
    const char *line = json_string_value(json_object_get(plan, "summary"));
    say_dim("plan: %s", line ? line : e.message);
    json_decref(plan);
    gyr_free(text);
}

static gyr_model_options model_options(const struct run_options *o) {
    return (gyr_model_options){.threads = (uint32_t)o->threads,
                               .device = o->device,
                               .gpu_layers = (uint32_t)o->gpu_layers,
                               .cpu_experts = o->cpu_experts,
                               .no_cpu = o->no_cpu,
                               .oversize = o->oversize,
                               .lock = o->lock,
                               .cache = !o->no_cache,
                               .tokens = o->context,
                               .kv_type = kv_type_named(o->kv_type),
                               .split = split_named(o->split, GYR_SPLIT_ANSWER)};
}

static int open_talk(struct talk *t) {
    const struct run_options *o = t->options;
    int status = GYR_OK;
    double begun = seconds_now();
    t->model = open_model(o->model, model_options(o), &status);
    t->load_seconds = seconds_now() - begun;
    if (!t->model || !open_adapter(t->model, o->adapter, &t->adapter, &status)) return status;
    gyr_model_get_info(t->model, &t->info);
    if (!o->json) say_device(t->model);
    if (o->verbose) say_plan(t);
    gyr_error e = {0};
    if (!(t->energy = gyr_energy_new(t->info.device, &e))) return report(&e);
    gyr_session_options session = {
        .context = (uint32_t)o->context, .kv_type = kv_type_named(o->kv_type), .adapter = t->adapter};
    t->session = gyr_session_new(t->model, &session, &e);
    return t->session ? open_grammar(t) : report(&e);
}

// Before anything is computed: a file that cannot be written must not cost an answer.
static int open_receipt(struct talk *t) {
    const char *path = t->options->receipt;
    if (!path || (t->receipt = fopen(path, "we"))) return GYR_OK;
    say_error("%s: %s; choose another file for the receipt", path, strerror(errno));
    return GYR_IO;
}

static int run(struct run_options *o, char **words, int count) {
    int ended;
    if (team_follow(o->model, model_options(o), &ended)) return ended;
    bool one_shot = count || !isatty(STDIN_FILENO);
    if (!one_shot && (o->json || !isatty(STDOUT_FILENO)))
        return usage_error("run: no prompt; give one as an argument or through a pipe (a chat needs a terminal)");
    if (!one_shot && o->receipt) return usage_error("--receipt: is of one answer, not of a chat; give a prompt");
    signals_catch();
    int status = GYR_OK;
    size_t size = 0;
    char *text = one_shot ? read_prompt(words, count, &size, &status) : NULL;
    if (one_shot && !text) return status;
    if (one_shot && !size && !(o->raw && count)) {
        free(text);
        return usage_error("run: the prompt is empty; give one as an argument or through a pipe");
    }
    struct talk t = {.options = o};
    status = open_receipt(&t);
    if (!status) status = open_talk(&t);
    if (!status) status = one_shot ? answer_once(&t, text, size) : chat(&t);
    if (t.receipt) fclose(t.receipt);
    gyr_session_free(t.session);
    gyr_energy_free(t.energy);
    gyr_adapter_close(t.adapter);
    gyr_grammar_free(t.grammar);
    gyr_model_close(t.model);
    free(text);
    return status;
}

// A first word that is a model's name is the model, if no other is given. (A prompt has blanks, or can go behind -m.)
static bool takes_model(const struct run_options *o, char **words, int count) {
    return !o->model && count && gyr_is_hub_name(*words) && !strpbrk(*words, " \t\n");
}

int verb_run(int argc, char **argv) {
    struct run_options o = {.top_k = WHOLE_UNSET,
                            .temperature = NAN,
                            .top_p = NAN,
                            .min_p = NAN,
                            .repeat_penalty = NAN,
                            .presence_penalty = NAN,
                            .frequency_penalty = NAN};
    int count = 0;
    int status = options_parse(&run_syntax, argc, argv, &o, &count);
    char **words = argv + 1;
    if (!status && takes_model(&o, words, count)) {
        o.model = *words++;
        count--;
    }
    if (!status) status = run(&o, words, count);
    free(o.stop.items);
    free(o.bias.ids);
    free(o.bias.values);
    return status == PARSE_HELP ? GYR_OK : status;
}
