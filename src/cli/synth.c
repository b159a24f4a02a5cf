// gyr synth: a model of random weights in a known model's true shape.
#include "options.h"
#include "output.h"
#include "progress.h"
#include "signals.h"
#include "verbs.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct synth_options {
    const char *type, *output, *vocab;
    uint64_t layers, context, seed;
};

#define FIELD(name) offsetof(struct synth_options, name)

static const struct option options[] = {
    {"type", 0, "TYPE", "element type of the matrices, such as q4_0 or q3_k", OPTION_TEXT, FIELD(type)},
    {"output", 'o', "FILE", "GGUF file to write", OPTION_TEXT, FIELD(output)},
    {"layers", 0, "N", "cut the model to its first N layers", OPTION_WHOLE, FIELD(layers), 1, 1e6},
    {"context", 'c', "N", "say it was trained for N tokens", OPTION_WHOLE, FIELD(context), 1, 1 << 30},
    {"vocab", 0, "FILE", "GGUF file whose vocabulary to take", OPTION_TEXT, FIELD(vocab)},
    {"seed", 0, "N", "other weights (0 if not given)", OPTION_WHOLE, FIELD(seed), 0, 2e19},
    {0}};

static const struct syntax syntax = {"synth",
                                     "SHAPE",
                                     "Write a model of random weights, for measuring speed and memory.",
                                     "gyr synth falcon-40b --type q3_k -o falcon-40b.gguf",
                                     options,
                                     1,
                                     1};

static int unknown_shape(const char *shape) {
    const char *names[65] = {0};
    char all[256] = "";
    size_t n = 0, used = 0;
    for (; n < 64 && (names[n] = gyr_synth_shapes(n)); n++)
        if (used < sizeof all) used += (size_t)snprintf(all + used, sizeof all - used, "%s%s", n ? ", " : "", names[n]);
    const char *near = did_you_mean(shape, names);
    if (near) return usage_error("%s: no such shape; did you mean %s?", shape, near);
    return usage_error("%s: no such shape; there are %s", shape, all);
}

static bool known(const char *shape) {
    const char *name;
    for (size_t i = 0; (name = gyr_synth_shapes(i)); i++)
        if (!strcmp(name, shape)) return true;
    return false;
}

static int synth(const char *shape, const struct synth_options *o) {
    gyr_error e = {0};
    struct progress bar;
    struct stat file;
    progress_start(&bar, "writing", NULL, 0);
    gyr_synth_options how = {.shape = shape,
                             .type = o->type,
                             .layers = (uint32_t)o->layers,
                             .context = (uint32_t)o->context,
                             .vocab = o->vocab,
                             .output = o->output,
                             .seed = o->seed,
                             .progress = progress_report,
                             .user = &bar};
    gyr_status status = gyr_synth(&how, &e);
    progress_end(&bar);
    if (status == GYR_CANCELLED) return GYR_CANCELLED;
    if (status) return report(&e);
    if (!stat(o->output, &file)) say_dim("%s: %s", o->output, human_bytes((double)file.st_size));
    return GYR_OK;
}

int verb_synth(int argc, char **argv) {
    struct synth_options o = {0};
    int operands, status = options_parse(&syntax, argc, argv, &o, &operands);
    if (status) return status == PARSE_HELP ? GYR_OK : status;
    if (!known(argv[1])) return unknown_shape(argv[1]);
    if (!o.type) return usage_error("synth: needs --type TYPE, such as --type q4_0");
    if (!o.output) return usage_error("synth: needs -o FILE, the file to write");
    signals_catch();
    return synth(argv[1], &o);
}
