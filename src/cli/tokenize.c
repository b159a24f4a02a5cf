// gyr tokenize: text on stdin to ids on stdout, or back.
#include "input.h"
#include "open.h"
#include "options.h"
#include "output.h"
#include "verbs.h"

#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

struct tokenize_options {
    const char *model;
    bool decode, bos, special, json;
};

#define FIELD(name) offsetof(struct tokenize_options, name)

static const struct option options[] = {
    {"model", 'm', "FILE", "file, folder or hf: name (or $GYR_MODEL, or poet)", OPTION_TEXT, FIELD(model)},
    {"decode", 'd', NULL, "token ids on standard input to text", OPTION_FLAG, FIELD(decode)},
    {"bos", 0, NULL, "put the begin-of-text token in front", OPTION_FLAG, FIELD(bos)},
    {"special", 0, NULL, "text may spell special tokens; --decode writes them", OPTION_FLAG, FIELD(special)},
    {"json", 0, NULL, "print a JSON list; with --decode a JSON string", OPTION_FLAG, FIELD(json)},
    {0}};

static const struct syntax syntax = {"tokenize",
                                     "",
                                     "Turn the text on standard input into token ids.",
                                     "printf 'Hello, world' | gyr tokenize -m falcon-7b.gguf",
                                     options,
                                     0,
                                     0};

static int encode(const gyr_tokenizer *t, const struct tokenize_options *o, const char *text, size_t size) {
    gyr_tokens tokens = {0};
    gyr_error e = {0};
    unsigned flags = (o->bos ? GYR_ADD_BOS : 0) | (o->special ? GYR_PARSE_SPECIAL : 0);
    if (gyr_tokenize(t, text, size, flags, &tokens, &e)) return report(&e);
    const char *separator = o->json ? ", " : " ";
    if (o->json) print_raw("[", 1);
    for (size_t i = 0; i < tokens.count; i++) {
        char id[16];
        int n = snprintf(id, sizeof id, "%s%d", i ? separator : "", (int)tokens.ids[i]);
        if (!print_raw(id, (size_t)n)) break;
    }
    print_raw(o->json ? "]\n" : "\n", o->json ? 2 : 1);
    gyr_free(tokens.ids);
    return GYR_OK;
}

static int print_string(const char *bytes, size_t size) {
    json_t *string = json_stringn(bytes, size);
    char *text = string ? json_dumps(string, JSON_ENCODE_ANY) : NULL;
    json_decref(string);
    if (!text) {
        say_error("standard input: the tokens' bytes are not UTF-8, so they cannot be a JSON string; leave out --json");
        return GYR_MALFORMED;
    }
    print("%s\n", text);
    free(text);
    return GYR_OK;
}

static int decode(const gyr_tokenizer *t, const struct tokenize_options *o, const char *text) {
    gyr_error e = {0};
    size_t count, size;
    int status;
    int32_t *ids = read_ids("standard input", text, &count, &status);
    if (!ids) return status;
    char *bytes = gyr_detokenize(t, ids, count, o->special, &size, &e);
    free(ids);
    if (!bytes) return report(&e);
    if (o->json)
        status = print_string(bytes, size);
    else
        print_raw(bytes, size);
    gyr_free(bytes);
    return status;
}

int verb_tokenize(int argc, char **argv) {
    struct tokenize_options o = {0};
    int operands, status = options_parse(&syntax, argc, argv, &o, &operands);
    if (status) return status == PARSE_HELP ? GYR_OK : status;
    gyr_model *model;
    const gyr_tokenizer *t = open_tokenizer(o.model, &model, &status);
    if (!t) return status;
    size_t size;
    char *text = read_input(&size, &status);
    if (text) status = o.decode ? decode(t, &o, text) : encode(t, &o, text, size);
    free(text);
    close_tokenizer(t, model);
    return status;
}
