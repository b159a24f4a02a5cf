// gyr convert: a Hugging Face folder as a GGUF file.
#include "options.h"
#include "output.h"
#include "progress.h"
#include "pull.h"
#include "signals.h"
#include "verbs.h"

#include <stddef.h>
#include <stdlib.h>
#include <sys/stat.h>

struct convert_options {
    const char *output, *type;
    bool pure;
    uint64_t threads;
};

#define FIELD(name) offsetof(struct convert_options, name)

static const struct option options[] = {
    {"output", 'o', "FILE", "the GGUF file to write", OPTION_TEXT, FIELD(output)},
    {"type", 0, "TYPE", "type or mixture to write (the folder's own if not given)", OPTION_TEXT, FIELD(type)},
    {"pure", 0, NULL, "every matrix in that type, none in a better one", OPTION_FLAG, FIELD(pure)},
    {"threads", 't', "N", "worker threads (one for each CPU if not given)", OPTION_WHOLE, FIELD(threads), 1, 1024},
    {0}};

static const struct syntax syntax = {"convert",
                                     "FOLDER",
                                     "Write a Hugging Face folder as a GGUF file, quantizing on the way.",
                                     "gyr convert Qwen3-0.6B -o qwen3.gguf --type q8_0",
                                     options,
                                     1,
                                     1};

static int convert(const char *input, const struct convert_options *o) {
    gyr_error e = {0};
    struct stat file;
    struct progress bar;
    progress_start(&bar, "converting", NULL, 0);
    gyr_convert_options how = {.input = input,
                               .output = o->output,
                               .type = o->type,
                               .pure = o->pure,
                               .threads = (uint32_t)o->threads,
                               .progress = progress_report,
                               .user = &bar};
    gyr_status status = gyr_convert(&how, &e);
    progress_end(&bar);
    if (status == GYR_CANCELLED) return GYR_CANCELLED;
    if (status) return report(&e);
    say_dim("%s: %s", o->output, human_bytes(stat(o->output, &file) ? 0 : (double)file.st_size));
    return GYR_OK;
}

int verb_convert(int argc, char **argv) {
    struct convert_options o = {0};
    int operands, status = options_parse(&syntax, argc, argv, &o, &operands);
    if (status) return status == PARSE_HELP ? GYR_OK : status;
    if (!o.output) return usage_error("convert: needs -o FILE, such as -o model.gguf");
    const char *near = o.type ? nearest_type(o.type) : NULL;
    if (near) return usage_error("%s: no such type; did you mean %s?", o.type, near);
    signals_catch();
    char *input = find_model(argv[1], &status);
    if (input) status = convert(input, &o);
    free(input);
    return status;
}
