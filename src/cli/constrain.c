// What an answer has to be: --json-schema, --grammar and --regex.
#include "input.h"
#include "open.h"
#include "output.h"
#include "run.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static const struct constraint {
    const char *option;
    gyr_grammar_kind kind;
    size_t offset; // of the option's field
} constraints[] = {
    {"--json-schema", GYR_GRAMMAR_JSON_SCHEMA, offsetof(struct run_options, json_schema)},
    {"--grammar", GYR_GRAMMAR_EBNF, offsetof(struct run_options, grammar)},
    {"--regex", GYR_GRAMMAR_REGEX, offsetof(struct run_options, regex)},
};

// A schema may stand on the command line itself, which no file's name looks like; expressions always do.
static bool is_text(const struct constraint *c, const char *value) {
    return c->kind == GYR_GRAMMAR_REGEX || (c->kind == GYR_GRAMMAR_JSON_SCHEMA && value[strspn(value, " \t\n")] == '{');
}

static int compile(struct talk *t, const struct constraint *c, const char *value) {
    gyr_error e = {0};
    int status = GYR_OK;
    size_t size = strlen(value);
    char *read = is_text(c, value) ? NULL : read_whole(value, &size, &status);
    if (status) return status;
    t->grammar = gyr_grammar_new(gyr_model_tokenizer(t->model), c->kind, read ? read : value, size, &e);
    free(read);
    return t->grammar ? GYR_OK : report(&e);
}

int open_grammar(struct talk *t) {
    const struct constraint *chosen = NULL;
    const char *value = NULL;
    for (size_t i = 0; i < sizeof constraints / sizeof *constraints; i++) {
        const char *mine;
        memcpy(&mine, (const char *)t->options + constraints[i].offset, sizeof mine);
        if (!mine) continue;
        if (chosen) return usage_error("%s: not together with %s; give one", constraints[i].option, chosen->option);
        chosen = &constraints[i], value = mine;
    }
    return chosen ? compile(t, chosen, value) : GYR_OK;
}
