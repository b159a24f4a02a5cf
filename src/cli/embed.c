// gyr embed: a vector for each text.
#include "input.h"
#include "open.h"
#include "options.h"
#include "output.h"
#include "ranks.h"
#include "signals.h"
#include "verbs.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct embed_options {
    const char *model, *prompt, *pooling, *split;
    uint64_t dimensions, threads;
    bool raw, oversize, no_cache;
};

#define FIELD(name) offsetof(struct embed_options, name)

static const struct option options[] = {
    {"model", 'm', "FILE", "file, folder, hf: name (or $GYR_MODEL, or poet)", OPTION_TEXT, FIELD(model)},
    {"prompt", 'p', "NAME", "the model's own prompt for a purpose: query, ...", OPTION_TEXT, FIELD(prompt)},
    {"dimensions", 'd', "N", "keep the first N numbers of each vector", OPTION_WHOLE, FIELD(dimensions), 1, 1 << 20},
    {"pooling", 0, "mean|cls|last", "pool so, not as the model says", OPTION_CHOICE, FIELD(pooling)},
    {"raw", 0, NULL, "do not make vectors of length 1", OPTION_FLAG, FIELD(raw)},
    {"threads", 't', "N", "worker threads (else one for each CPU)", OPTION_WHOLE, FIELD(threads), 1, 1024},
    {"split", 0, SPLITS, "how ranks or cards share the model", OPTION_CHOICE, FIELD(split)},
    {"oversize", 0, NULL, "run a model larger than memory, from the disk", OPTION_FLAG, FIELD(oversize)},
    {"no-cache", 0, NULL, "keep no rewritten weights for the next start", OPTION_FLAG, FIELD(no_cache)},
    {0}};

static const struct syntax syntax = {"embed",
                                     "[TEXT]...",
                                     "Print a vector for each text, or line of standard input: JSON, one a line.",
                                     "gyr embed -m nomic-embed-text-v1.5.gguf \"What is gyre?\"",
                                     options,
                                     0,
                                     -1};

enum { AT_ONCE = 256 };

// Texts to embed, and what stands in front of each.
struct source {
    gyr_model *model;
    const char *prompt;
    char *const *texts; // or, NULL:
    char *lines;        // the rest of standard input
    size_t left;        // of texts, or of bytes
};

// The next text; false at the end. A line may hold any bytes, and its end does not belong to it.
static bool next_text(struct source *s, const char **text, size_t *size) {
    if (!s->left) return false;
    if (s->texts) {
        *text = *s->texts++;
        *size = strlen(*text);
        s->left--;
        return true;
    }
    char *end = memchr(s->lines, '\n', s->left);
    *text = s->lines;
    *size = end ? (size_t)(end - s->lines) : s->left;
    size_t taken = *size + (end != NULL);
    s->lines += taken;
    s->left -= taken;
    if (*size && (*text)[*size - 1] == '\r') --*size;
    return true;
}

static int make_tokens(const struct source *s, const char *text, size_t size, gyr_tokens *out, gyr_error *e) {
    size_t before = strlen(s->prompt);
    char *whole = malloc(before + size + 1);
    if (!whole) {
        snprintf(e->message, sizeof e->message, "embed: out of memory; give shorter texts");
        return e->status = GYR_NO_MEMORY;
    }
    memcpy(whole, s->prompt, before);
    memcpy(whole + before, text, size);
    int status = gyr_tokenize(gyr_model_tokenizer(s->model), whole, before + size, GYR_ADD_BOS | GYR_ADD_EOS, out, e);
    free(whole);
    return status;
}

// Nine significant digits give a float back exactly (IEEE 754-2019, 5.12.2). JSON has no infinity or NaN.
static bool print_vector(const float *x, size_t n) {
    bool ok = print_raw("[", 1);
    for (size_t i = 0; ok && i < n; i++) {
        char text[32];
        int size = isfinite(x[i]) ? snprintf(text, sizeof text, "%s%.9g", i ? ", " : "", (double)x[i])
                                  : snprintf(text, sizeof text, "%snull", i ? ", " : "");
        ok = print_raw(text, (size_t)size);
    }
    return ok && print_raw("]\n", 2);
}

// As many texts as are computed in one call; 0 at the end.
static int embed_some(struct source *s, const gyr_embed_options *how, float *out, size_t width, size_t *count) {
    gyr_tokens tokens[AT_ONCE];
    gyr_error e = {0};
    const char *text;
    size_t size;
    int status = GYR_OK;
    for (*count = 0; *count < AT_ONCE && !status && next_text(s, &text, &size); *count += !status)
        status = make_tokens(s, text, size, &tokens[*count], &e);
    if (!status) status = gyr_embed(s->model, tokens, *count, how, out, &e);
    for (size_t i = 0; i < *count; i++) gyr_free(tokens[i].ids);
    bool ok = !status;
    for (size_t i = 0; ok && i < *count; i++) ok = print_vector(out + i * width, width);
    print_flush();
    return status ? report(&e) : GYR_OK;
}

static int embed_all(const struct embed_options *o, struct source *s) {
    gyr_model_info info;
    gyr_model_get_info(s->model, &info);
    gyr_embed_options how = {.dimensions = (uint32_t)o->dimensions, .unit = o->raw ? GYR_UNIT_NO : GYR_UNIT_DEFAULT};
    if (o->pooling)
        how.pooling = *o->pooling == 'm' ? GYR_POOLING_MEAN : *o->pooling == 'c' ? GYR_POOLING_CLS : GYR_POOLING_LAST;
    size_t width = o->dimensions ? o->dimensions : info.embedding, count = 1;
    float *out = malloc(AT_ONCE * (width + 1) * sizeof *out);
    if (!out) {
        say_error("embed: out of memory; close other programs");
        return GYR_NO_MEMORY;
    }
    int status = GYR_OK;
    while (count && !status && !interrupted()) status = embed_some(s, &how, out, width, &count);
    free(out);
    return interrupted() ? (int)GYR_CANCELLED : status;
}

// The prompt of that name; the names that there are, where there is none of it.
static const char *find_prompt(const struct embed_options *o, const gyr_model *model, int *status) {
    const char *prompt = gyr_embed_prompt(model, o->prompt), *first = gyr_embed_prompt_name(model, 0), *name;
    char list[256] = "";
    if (prompt) return prompt;
    for (size_t i = 0, n = 0; (name = gyr_embed_prompt_name(model, i)) && n < sizeof list; i++)
        n += (size_t)snprintf(list + n, sizeof list - n, "%s%s", i ? ", " : "", name);
    *status = usage_error("--prompt: %s: %s has no such prompt%s%s", o->prompt, model_label(o->model),
                          first ? "; it has " : ", nor any other", list);
    return NULL;
}

int verb_embed(int argc, char **argv) {
    struct embed_options o = {0};
    int operands, status = options_parse(&syntax, argc, argv, &o, &operands);
    if (status) return status == PARSE_HELP ? GYR_OK : status;
    gyr_model_options how = {.threads = (uint32_t)o.threads,
                             .split = split_named(o.split, GYR_SPLIT_AUTO),
                             .oversize = o.oversize,
                             .cache = !o.no_cache};
    if (team_follow(o.model, how, &status)) return status;
    signals_catch();
    gyr_model *model = open_model(o.model, how, &status);
    if (!model) return status;
    struct source s = {.model = model, .texts = argv + 1, .left = (size_t)operands};
    char *input = NULL;
    if ((s.prompt = find_prompt(&o, model, &status)) && !operands) {
        s.texts = NULL;
        s.lines = input = read_input(&s.left, &status);
    }
    if (s.prompt && (operands || input)) status = embed_all(&o, &s);
    free(input);
    gyr_model_close(model);
    return status;
}
