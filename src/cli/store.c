// gyr list, gyr rm: the models that were pulled.
#include "gyr.h"
#include "options.h"
#include "output.h"
#include "verbs.h"

#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct list_options {
    bool json;
};

static const struct option list_table[] = {
    {"json", 0, NULL, "print JSON", OPTION_FLAG, offsetof(struct list_options, json)}, {0}};

static const struct syntax list_syntax = {
    "list", "", "List the models that were pulled: name, type, size, when, and where they are.", "gyr list", list_table,
    0,      0};

struct rm_options {
    bool yes;
};

static const struct option rm_table[] = {
    {"yes", 'y', NULL, "do not ask", OPTION_FLAG, offsetof(struct rm_options, yes)}, {0}};

static const struct syntax rm_syntax = {"rm",
                                        "MODEL...",
                                        "Remove models that were pulled, by the names that 'gyr list' shows.",
                                        "gyr rm hf:Qwen/Qwen3-0.6B-GGUF:Q8_0",
                                        rm_table,
                                        1,
                                        -1};

static const char *string(const json_t *o, const char *key) {
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static double number(const json_t *o, const char *key) { return json_number_value(json_object_get(o, key)); }

static void when(const json_t *m, char *out, size_t size) {
    time_t at = (time_t)number(m, "pulled");
    struct tm local;
    *out = 0;
    if (localtime_r(&at, &local)) strftime(out, size, "%Y-%m-%d %H:%M", &local);
}

static void print_model(const json_t *m, int width) {
    char time[32];
    when(m, time, sizeof time);
    print("%-*s  %-11s  %8s  %s  %s\n", width, string(m, "name"), string(m, "type"), human_bytes(number(m, "bytes")),
          time, string(m, "path"));
    if (!json_is_true(json_object_get(m, "complete")))
        print("%-*s  unfinished, of %s; go on with: gyr pull %s\n", width, "", human_bytes(number(m, "total")),
              string(m, "name"));
}

static void print_models(const json_t *all) {
    const json_t *models = json_object_get(all, "models"), *m;
    size_t i;
    int width = 4;
    json_array_foreach(models, i, m) {
        int n = (int)strlen(string(m, "name"));
        if (n > width && n <= 60) width = n;
    }
    json_array_foreach(models, i, m) print_model(m, width);
    if (json_array_size(models))
        print("%s in %s\n", human_bytes(number(all, "bytes")), string(all, "folder"));
    else
        say_dim("(none yet in %s; get one with: gyr pull hf:OWNER/NAME)", string(all, "folder"));
}

int verb_list(int argc, char **argv) {
    struct list_options o = {0};
    int operands, status = options_parse(&list_syntax, argc, argv, &o, &operands);
    if (status) return status == PARSE_HELP ? GYR_OK : status;
    gyr_error e = {0};
    char *text = gyr_pulled_list(NULL, &e);
    if (!text) return report(&e);
    json_t *all = json_loads(text, 0, NULL);
    if (o.json)
        print("%s\n", text);
    else
        print_models(all);
    json_decref(all);
    gyr_free(text);
    return GYR_OK;
}

// Asks only where somebody can answer.
static bool is_sure(const char *name) {
    char answer[16] = "";
    if (!isatty(STDIN_FILENO) || !err_is_terminal()) return true;
    fprintf(stderr, "Remove %s? [y/N] ", name);
    fflush(stderr);
    return fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

int verb_rm(int argc, char **argv) {
    struct rm_options o = {0};
    int operands, status = options_parse(&rm_syntax, argc, argv, &o, &operands);
    if (status) return status == PARSE_HELP ? GYR_OK : status;
    for (int i = 1; i <= operands; i++)
        if (!gyr_is_hub_name(argv[i]))
            return usage_error("rm: \"%s\": removes only what was pulled, named as 'gyr list' names it", argv[i]);
    for (int i = 1; i <= operands && !status; i++) {
        gyr_error e = {0};
        uint64_t bytes = 0;
        if (!o.yes && !is_sure(argv[i])) continue;
        if (gyr_pulled_remove(argv[i], NULL, &bytes, &e))
            status = report(&e);
        else
            say_dim("%s: removed, %s free again", argv[i], human_bytes((double)bytes));
    }
    return status;
}
