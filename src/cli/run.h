// What one-shot answers and the chat share.
#ifndef CLI_RUN_H
#define CLI_RUN_H

#include "gyr.h"
#include "options.h"

#include <stdio.h>

// The options of `gyr run`. Unset numbers (NAN, WHOLE_UNSET) leave the model's own choice.
struct run_options {
    const char *model, *adapter, *system, *kv_type, *device, *split, *json_schema, *grammar, *regex, *receipt;
    uint64_t max_tokens, context, threads, top_k, seed, gpu_layers;
    double temperature, top_p, min_p, repeat_penalty, presence_penalty, frequency_penalty;
    struct texts stop;
    struct biases bias;
    bool oversize, lock, no_cache, cpu_experts, no_cpu, raw, json, stats, ignore_end, verbose;
};

extern const struct syntax run_syntax;

// An open model with a conversation in it.
struct talk {
    struct run_options *options;
    gyr_model *model;
    gyr_adapter *adapter; // NULL: none
    gyr_session *session;
    gyr_model_info info;
    FILE *receipt;       // NULL: none is wanted
    double bandwidth;    // of this machine in bytes per second, once measured
    double load_seconds; // that opening took
    gyr_energy *energy;
    gyr_grammar *grammar; // what every answer has to obey; NULL: nothing
};

// One answer.
struct answer {
    char *text; // what was said, NUL-terminated; free()
    size_t size;
    gyr_generate_stats stats;
    gyr_energy_spent energy;
    char *receipt;    // if one is wanted and the answer began; gyr_free()
    bool interrupted; // by Ctrl-C
};

// The model's sampling with the user's changes.
void sampling_of(const struct talk *t, gyr_sampling *out);

// Reads what --json-schema, --grammar or --regex says into t->grammar. Returns an exit status.
int open_grammar(struct talk *t);

// Feeds the tokens, generates and prints an answer. Returns an exit status after any error was printed.
int give_answer(struct talk *t, const int32_t *ids, size_t count, struct answer *a);

// Prints the line (or JSON object) that follows an answer.
void end_answer(struct talk *t, const struct answer *a);

// `[{"role": "system", ...}, {"role": "user", ...}]`; NULL if a text is not UTF-8 or memory is out. free().
char *messages_of(const char *system, const char *user, size_t user_size);

// Talks until the user leaves. Returns an exit status.
int chat(struct talk *t);

#endif
