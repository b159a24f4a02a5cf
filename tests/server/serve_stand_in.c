// gyr serve with an engine that answers from a script (stand_in_engine.h).
//
//     serve_stand_in MODEL.gguf [--port N] [--script FILE] [--parallel N] [--idle SECONDS] [--pace MS] [--log]
#include "stand_in_engine.h"

#include "server/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void on_ready(void *user, const char *url) {
    printf("listening on %s\n", url);
    fflush(stdout);
}

static void on_log(void *user, const char *line) { fprintf(stderr, "%s\n", line); }

static int usage(void) {
    fprintf(stderr,
            "usage: serve_stand_in MODEL.gguf [--port N] [--script FILE] [--parallel N] [--idle SECONDS] [--pace MS] "
            "[--log]\n");
    return GYR_USAGE;
}

int main(int argc, char **argv) {
    struct model_source model = {.name = "stand-in"};
    struct serve_options o = {.models = &model,
                              .n_models = 1,
                              .host = "127.0.0.1",
                              .parallel = 64,
                              .waiting = 4096,
                              .prefill = 128,
                              .connections = 8192,
                              .body = 32 << 20,
                              .ready = on_ready};
    gyr_error e = {0};
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (!strcmp(argv[i], "--log"))
            o.log = on_log;
        else if (argv[i][0] != '-')
            model.path = argv[i];
        else if (!strcmp(argv[i], "--port"))
            o.port = (uint16_t)strtol(value, NULL, 10), i++;
        else if (!strcmp(argv[i], "--parallel"))
            o.parallel = (unsigned)strtol(value, NULL, 10), i++;
        else if (!strcmp(argv[i], "--idle"))
            o.idle = (unsigned)strtol(value, NULL, 10), i++;
        else if (!strcmp(argv[i], "--pace"))
            stand_in_pace((unsigned)strtoul(value, NULL, 10)), i++;
        else if (!strcmp(argv[i], "--script") && stand_in_script(value))
            i++;
        else
            return usage();
    }
    if (!model.path) return usage();
    if (!serve(&o, &e)) return 0;
    fprintf(stderr, "%s\n", e.message);
    return e.status;
}
