// gyr merge: a model with an adapter's numbers in its weights, as a GGUF file.
#include "options.h"
#include "output.h"
#include "progress.h"
#include "pull.h"
#include "signals.h"
#include "verbs.h"

#include <stddef.h>
#include <stdlib.h>
#include <sys/stat.h>

struct merge_options {
    const char *model, *adapter, *output, *type;
    bool pure, requantize;
    uint64_t threads;
};

#define FIELD(name) offsetof(struct merge_options, name)

static const struct option options[] = {
    {"model", 'm', "FILE", "the model: file, folder or hf: name", OPTION_TEXT, FIELD(model)},
    {"adapter", 0, "PATH", "a LoRA adapter: a PEFT folder or a GGUF file", OPTION_TEXT, FIELD(adapter)},
    {"output", 'o', "FILE", "the GGUF file to write", OPTION_TEXT, FIELD(output)},
    {"type", 0, "TYPE", "type or mixture to write (the model's own if not given)", OPTION_TEXT, FIELD(type)},
    {"pure", 0, NULL, "every matrix in that type, none in a better one", OPTION_FLAG, FIELD(pure)},
    {"requantize", 0, NULL, "another type for weights that are quantized already", OPTION_FLAG, FIELD(requantize)},
    {"threads", 't', "N", "worker threads (one for each CPU if not given)", OPTION_WHOLE, FIELD(threads), 1, 1024},
    {0}};

static const struct syntax syntax = {"merge",
                                     "",
                                     "Write a model with an adapter's numbers in its weights, as a GGUF file.",
                                     "gyr merge -m qwen3.gguf --adapter poems -o qwen3-poems.gguf",
                                     options,
                                     0,
                                     0};

static gyr_status write_file(const char *model, const struct merge_options *o, struct progress *bar, gyr_error *e) {
    struct stat is;
    gyr_convert_options folder = {.input = model,
                                  .output = o->output,
                                  .type = o->type,
                                  .pure = o->pure,
                                  .threads = (uint32_t)o->threads,
                                  .progress = progress_report,
                                  .user = bar,
                                  .adapter = o->adapter};
    gyr_quantize_options file = {.input = model,
                                 .output = o->output,
                                 .type = o->type,
                                 .pure = o->pure,
                                 .requantize = o->requantize,
                                 .threads = (uint32_t)o->threads,
                                 .progress = progress_report,
                                 .user = bar,
                                 .adapter = o->adapter};
    return !stat(model, &is) && S_ISDIR(is.st_mode) ? gyr_convert(&folder, e) : gyr_quantize(&file, e);
}

static int merge(const char *model, const struct merge_options *o) {
    gyr_error e = {0};
    struct stat file;
    struct progress bar;
    progress_start(&bar, "merging", NULL, 0);
    gyr_status status = write_file(model, o, &bar, &e);
    progress_end(&bar);
    if (status == GYR_CANCELLED) return GYR_CANCELLED;
    if (status) return report(&e);
    say_dim("%s: %s", o->output, human_bytes(stat(o->output, &file) ? 0 : (double)file.st_size));
    return GYR_OK;
}

int verb_merge(int argc, char **argv) {
    struct merge_options o = {0};
    int operands, status = options_parse(&syntax, argc, argv, &o, &operands);
    if (status) return status == PARSE_HELP ? GYR_OK : status;
    if (!o.model) return usage_error("merge: needs -m FILE, the model");
    if (!o.adapter) return usage_error("merge: needs --adapter PATH, what to merge into it");
    if (!o.output) return usage_error("merge: needs -o FILE, such as -o merged.gguf");
    const char *near = o.type ? nearest_type(o.type) : NULL;
    if (near) return usage_error("%s: no such type; did you mean %s?", o.type, near);
    signals_catch();
    char *model = find_model(o.model, &status);
    if (model) status = merge(model, &o);
    free(model);
    return status;
}
