// gyr quantize: a model's weights in another type.
#include "options.h"
#include "output.h"
#include "progress.h"
#include "pull.h"
#include "signals.h"
#include "verbs.h"

#include <stddef.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>

struct quantize_options {
    const char *type;
    bool pure, requantize;
    uint64_t threads;
};

#define FIELD(name) offsetof(struct quantize_options, name)

static const struct option options[] = {
    {"type", 0, "TYPE", "type or mixture to write, such as q4_k_m or q8_0", OPTION_TEXT, FIELD(type)},
    {"pure", 0, NULL, "every matrix in that type, none in a better one", OPTION_FLAG, FIELD(pure)},
    {"requantize", 0, NULL, "take a model that is quantized already: it loses twice", OPTION_FLAG, FIELD(requantize)},
    {"threads", 't', "N", "worker threads (one for each CPU if not given)", OPTION_WHOLE, FIELD(threads), 1, 1024},
    {0}};

static const struct syntax syntax = {"quantize",
                                     "IN OUT",
                                     "Write a GGUF model's weights in another type.",
                                     "gyr quantize falcon-7b-f16.gguf falcon-7b.gguf --type q4_k_m",
                                     options,
                                     2,
                                     2};

const char *nearest_type(const char *type) {
    const char *names[65] = {0};
    for (size_t n = 0; n < 64 && (names[n] = gyr_quantize_types(n)); n++)
        if (!strcasecmp(names[n], type)) return NULL;
    return did_you_mean(type, names);
}

static double size_of(const char *path) {
    struct stat file;
    return stat(path, &file) ? 0 : (double)file.st_size;
}

static int quantize(const char *input, const char *output, const struct quantize_options *o) {
    gyr_error e = {0};
    struct progress bar;
    progress_start(&bar, "quantizing", NULL, 0);
    gyr_quantize_options how = {.input = input,
                                .output = output,
                                .type = o->type,
                                .pure = o->pure,
                                .requantize = o->requantize,
                                .threads = (uint32_t)o->threads,
                                .progress = progress_report,
                                .user = &bar};
    gyr_status status = gyr_quantize(&how, &e);
    progress_end(&bar);
    if (status == GYR_CANCELLED) return GYR_CANCELLED;
    if (status) return report(&e);
    say_dim("%s: %s", output, human_bytes(size_of(output)));
    return GYR_OK;
}

int verb_quantize(int argc, char **argv) {
    struct quantize_options o = {0};
    int operands, status = options_parse(&syntax, argc, argv, &o, &operands);
    if (status) return status == PARSE_HELP ? GYR_OK : status;
    if (!o.type) return usage_error("quantize: needs --type TYPE, such as --type q4_k_m");
    const char *near = nearest_type(o.type);
    if (near) return usage_error("%s: no such type; did you mean %s?", o.type, near);
    signals_catch();
    char *input = find_model(argv[1], &status);
    if (input) status = quantize(input, argv[2], &o);
    free(input);
    return status;
}
