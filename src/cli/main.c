// gyr: the command line. A verb is a row of the table below.
#include "gyr.h"
#include "options.h"
#include "output.h"
#include "ranks.h"
#include "verbs.h"

#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static int verb_version(int argc, char **argv);
static int verb_help(int argc, char **argv);

static const struct verb {
    const char *name, *help; // NULL: named below the list, which fits a screen
    int (*run)(int argc, char **argv);
    enum { EACH, ALONE, TOGETHER } ranks; // where MPI's launcher has started several processes
} verbs[] = {
    {"run", "answer a prompt, or chat", verb_run, TOGETHER},
    {"verify", "check an answer's receipt by computing it again", verb_verify, ALONE},
    {"serve", "serve models over HTTP", verb_serve, TOGETHER},
    {"key", "make, list and remove the keys of a server", verb_key},
    {"pull", "get a model from the hub", verb_pull},
    {"list", "list the models that were pulled", verb_list},
    {"rm", "remove a model that was pulled", verb_rm},
    {"inspect", "say what is in a model file and what it takes to run", verb_inspect},
    {"tokenize", "turn text into token ids, or back", verb_tokenize},
    {"template", "print the prompt that a chat template makes of a chat", verb_template},
    {"embed", "turn texts into vectors", verb_embed, TOGETHER},
    {"logits", "compute the scores of the next token, for checking", verb_logits, ALONE},
    {"eval", "measure how well a model predicts a text", verb_eval, ALONE},
    {"plan", "say whether a model fits, how fast it is and what it costs", verb_plan},
    {"devices", "list what models can run on here", verb_devices},
    {"cache", "list or clear the weights kept for the next start", verb_cache},
    {"bench", "measure how fast a model is, beside the machine's limits", verb_bench, TOGETHER},
    {"convert", "write a Hugging Face folder as a GGUF file", verb_convert},
    {"quantize", "write a model's weights in another type", verb_quantize},
    {"train", "train a model from nothing, or its tokenizer", verb_train, TOGETHER},
    {"tune", "train an adapter for a model by conversations", verb_tune, TOGETHER},
    {"merge", "write a model with an adapter in its weights", verb_merge},
    {"synth", "write a model of random weights in a known shape", verb_synth},
    {"version", NULL, verb_version},
    {"help", NULL, verb_help},
};
enum { VERBS = sizeof verbs / sizeof *verbs };

static const struct verb *find(const char *name) {
    for (size_t i = 0; i < VERBS; i++)
        if (!strcmp(verbs[i].name, name)) return &verbs[i];
    return NULL;
}

static void print_help(void) {
    print("Usage: gyr VERB [OPTION]... [ARGUMENT]..., to run large language models:\n");
    for (size_t i = 0; i < VERBS; i++)
        if (verbs[i].help) print("  %-10s %s\n", verbs[i].name, verbs[i].help);
    print("'gyr help VERB' explains a verb, 'gyr version' tells the version, 'man gyr' all.\n"
          "Example: gyr run \"Write a poem about San Francisco\"\n");
}

static int unknown(const char *name) {
    const char *names[VERBS + 1] = {0}, *near;
    for (size_t i = 0; i < VERBS; i++) names[i] = verbs[i].name;
    if (name[0] == '-') return usage_error("%s: no such option; see 'gyr --help'", name);
    near = did_you_mean(name, names);
    if (near) return usage_error("%s: no such verb; did you mean 'gyr %s'?", name, near);
    if (strchr(name, ' ')) return usage_error("\"%s\": no such verb; did you mean 'gyr run \"%s\"'?", name, name);
    return usage_error("%s: no such verb; see 'gyr --help'", name);
}

static const struct option none[] = {{0}};
static const struct syntax version_syntax = {"version", "", "Print the version.", "gyr version", none, 0, 0};
static const struct syntax help_syntax = {"help", "[VERB]", "Explain a verb, or list them all.", "gyr help run", none,
                                          0,      1};

static int verb_version(int argc, char **argv) {
    int operands, status = options_parse(&version_syntax, argc, argv, NULL, &operands);
    if (status) return status == PARSE_HELP ? GYR_OK : status;
    print("gyr %s (arithmetic: edition %u)\n", gyr_version(), gyr_edition());
    return GYR_OK;
}

static int verb_help(int argc, char **argv) {
    int operands, status = options_parse(&help_syntax, argc, argv, NULL, &operands);
    if (status) return status == PARSE_HELP ? GYR_OK : status;
    if (!operands) return print_help(), GYR_OK;
    const struct verb *v = find(argv[1]);
    char flag[] = "--help", *args[] = {argv[1], flag, NULL};
    return v ? v->run(2, args) : unknown(argv[1]);
}

static int dispatch(int argc, char **argv) {
    if (argc < 2) return usage_error("no verb given; see 'gyr --help', or try: gyr run \"Write a poem\"");
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) return print_help(), GYR_OK;
    if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) return verb_version(1, argv);
    const struct verb *v = find(argv[1]);
    if (!v) return unknown(argv[1]);
    int status = GYR_USAGE;
    if (v->ranks == ALONE && !team_none(v->name)) return status;
    if (v->ranks == TOGETHER && !team_join(&status)) return status;
    return v->run(argc - 1, argv + 1);
}

// The line editor needs to know that bytes above 127 are UTF-8; on a bare machine the locale is "C" and does not say.
static void choose_locale(void) {
    if (!setlocale(LC_CTYPE, "") || MB_CUR_MAX < 2) setlocale(LC_CTYPE, "C.UTF-8");
}

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_DFL); // a reader that leaves (gyr run | head) ends the program quietly
    choose_locale();
    return team_end(print_end(dispatch(argc, argv)));
}
