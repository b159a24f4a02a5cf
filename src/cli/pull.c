// gyr pull: a model from the hub.
#include "pull.h"

#include "gyr.h"
#include "options.h"
#include "output.h"
#include "progress.h"
#include "signals.h"
#include "verbs.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pull_options {
    uint64_t parallel, retries;
    double timeout;
    bool quiet;
};

#define FIELD(name) offsetof(struct pull_options, name)

static const struct option options[] = {
    {"parallel", 'j', "N", "files at once (4 if not given)", OPTION_WHOLE, FIELD(parallel), 1, 64},
    {"retries", 0, "N", "tries in a row that may fail (5 if not given)", OPTION_WHOLE, FIELD(retries), 1, 1000},
    {"timeout", 0, "SECONDS", "time without data that fails a try (30 if not given)", OPTION_REAL, FIELD(timeout), 0.1,
     86400},
    {"quiet", 'q', NULL, "say nothing but errors and the path", OPTION_FLAG, FIELD(quiet)},
    {0}};

static const struct syntax syntax = {"pull",
                                     "MODEL...",
                                     "Get models from the hub: hf:OWNER/NAME[@REVISION][:FILE or :TYPE].",
                                     "gyr pull hf:Qwen/Qwen3-0.6B-GGUF:Q8_0",
                                     options,
                                     1,
                                     -1};

struct watch {
    struct progress bar;
    const char *doing; // what the bar is for
    bool quiet;
};

// A bar for each stage. What is to be told once goes above the bar; without a terminal it is all there is.
static bool watching(void *user, const gyr_pull_progress *p) {
    struct watch *w = user;
    if (w->doing != p->doing) {
        progress_end(&w->bar);
        progress_start(&w->bar, p->doing, "B", 0);
        w->doing = p->doing;
    }
    w->bar.total = (double)p->total;
    w->bar.kept = (double)p->kept;
    if (p->note && !w->quiet) {
        progress_end(&w->bar);
        say_dim("%s", p->note);
    }
    progress_at(&w->bar, p->total ? (double)p->done / (double)p->total : 0);
    return !interrupted();
}

static char *pull(const char *name, const struct pull_options *o, int *status) {
    gyr_error e = {0};
    struct watch w = {.quiet = o->quiet};
    gyr_pull_options how = {.name = name,
                            .parallel = (uint32_t)o->parallel,
                            .retries = (uint32_t)o->retries,
                            .timeout = o->timeout,
                            .progress = watching,
                            .user = &w};
    signals_catch();
    char *path = gyr_pull(&how, &e);
    progress_end(&w.bar);
    if (!path) *status = e.status == GYR_CANCELLED ? GYR_CANCELLED : report(&e);
    return path;
}

char *find_model(const char *given, int *status) {
    if (!gyr_is_hub_name(given)) {
        char *path = strdup(given);
        if (!path) *status = usage_error("out of memory");
        return path;
    }
    gyr_error e = {0};
    char *path = gyr_pulled(given, NULL, &e);
    if (path || e.status != GYR_IO) {
        if (!path) *status = report(&e);
        return path;
    }
    return pull(given, &(struct pull_options){0}, status);
}

int verb_pull(int argc, char **argv) {
    struct pull_options o = {0};
    int operands, status = options_parse(&syntax, argc, argv, &o, &operands);
    if (status) return status == PARSE_HELP ? GYR_OK : status;
    for (int i = 1; i <= operands; i++)
        if (!gyr_is_hub_name(argv[i]))
            return usage_error("pull: \"%s\": names a model as hf:OWNER/NAME, such as hf:Qwen/Qwen3-0.6B-GGUF",
                               argv[i]);
    for (int i = 1; i <= operands && !status; i++) {
        char *path = pull(argv[i], &o, &status);
        if (path) print("%s\n", path);
        gyr_free(path);
    }
    return status;
}
