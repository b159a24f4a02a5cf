// gyr template: the variables of a conversation (JSON) on stdin to the prompt that a chat template makes of them.
#include "input.h"
#include "open.h"
#include "options.h"
#include "output.h"
#include "pull.h"
#include "verbs.h"

#include <stddef.h>
#include <stdlib.h>

struct template_options {
    const char *model, *file, *name;
};

#define FIELD(name) offsetof(struct template_options, name)

static const struct option options[] = {
    {"model", 'm', "FILE", "file, folder or hf: name (or $GYR_MODEL, or poet)", OPTION_TEXT, FIELD(model)},
    {"file", 'f', "FILE", "a template of its own instead of a model's", OPTION_TEXT, FIELD(file)},
    {"name", 0, "NAME", "which of the model's templates, such as tool_use", OPTION_TEXT, FIELD(name)},
    {0}};

static const struct syntax syntax = {"template",
                                     "",
                                     "Print the prompt that a chat template makes of the JSON on standard input.",
                                     "gyr template -m falcon-7b.gguf < chat.json",
                                     options,
                                     0,
                                     0};

static gyr_template *parse_file(const char *path, int *status) {
    size_t size;
    gyr_error e = {0};
    char *source = read_whole(path, &size, status);
    gyr_template *t = source ? gyr_template_parse(path, source, size, &e) : NULL;
    if (source && !t) *status = report(&e);
    free(source);
    return t;
}

static int render(const gyr_template *t) {
    int status;
    size_t size, length;
    gyr_error e = {0};
    char *variables = read_input(&size, &status);
    if (!variables) return status;
    char *text = gyr_template_render(t, variables, size, &length, &e);
    free(variables);
    if (!text) return report(&e);
    print_text(text, length);
    gyr_free(text);
    return GYR_OK;
}

static int render_owned(gyr_template *t, int status) {
    if (t) status = render(t);
    gyr_template_close(t);
    return status;
}

// Of the model that is built into the program.
static int render_poet(void) {
    int status = GYR_OK;
    gyr_model *m = open_model(NULL, (gyr_model_options){.threads = 1, .device = "cpu"}, &status);
    const gyr_template *t = m ? gyr_model_template(m) : NULL;
    if (t) status = render(t);
    if (m && !t) status = usage_error("poet: has no chat template; name one with --file, or a model with -m");
    gyr_model_close(m);
    return status;
}

int verb_template(int argc, char **argv) {
    struct template_options o = {0};
    int operands, status = options_parse(&syntax, argc, argv, &o, &operands);
    if (status) return status == PARSE_HELP ? GYR_OK : status;
    if (o.file && (o.model || o.name))
        return usage_error("template: --file is a template of its own; leave out %s", o.model ? "-m" : "--name");
    if (o.file) {
        gyr_template *t = parse_file(o.file, &status);
        return render_owned(t, status);
    }
    const char *path = model_path(o.model);
    if (!path && o.name) return usage_error("--name: the model in the box has one template only; leave it out");
    if (!path) return render_poet();
    char *found = find_model(path, &status);
    if (!found) return status;
    gyr_error e = {0};
    gyr_template *t = gyr_template_open(found, o.name, &e);
    free(found);
    if (!t) return report(&e);
    return render_owned(t, GYR_OK);
}
