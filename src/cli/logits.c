// gyr logits: the raw scores after each of the given tokens, for checking against another engine.
#include "input.h"
#include "open.h"
#include "options.h"
#include "output.h"
#include "signals.h"
#include "verbs.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

struct logits_options {
    const char *model, *adapter, *tokens, *kv_type;
    uint64_t threads;
    bool oversize, no_cache;
};

#define FIELD(name) offsetof(struct logits_options, name)

static const struct option options[] = {
    {"model", 'm', "FILE", "file, folder or hf: name (or $GYR_MODEL, or poet)", OPTION_TEXT, FIELD(model)},
    {"adapter", 0, "PATH", "a LoRA adapter: a PEFT folder or a GGUF file", OPTION_TEXT, FIELD(adapter)},
    {"tokens", 0, "IDS", "token ids with spaces between them", OPTION_TEXT, FIELD(tokens)},
    {"threads", 't', "N", "worker threads (else one for each CPU)", OPTION_WHOLE, FIELD(threads), 1, 1024},
    {"kv-type", 0, KV_TYPES, "the KV cache's type", OPTION_CHOICE, FIELD(kv_type)},
    {"oversize", 0, NULL, "run a model larger than memory, from the disk", OPTION_FLAG, FIELD(oversize)},
    {"no-cache", 0, NULL, "do not keep the rewritten weights for the next start", OPTION_FLAG, FIELD(no_cache)},
    {0}};

enum { AT_ONCE = 16 };

static const struct syntax syntax = {"logits",
                                     "",
                                     "Print the scores of the token that follows each given one: JSON, a row each.",
                                     "gyr logits -m falcon-7b.gguf --tokens \"1 2 3\"",
                                     options,
                                     0,
                                     0};

// Nine significant digits give a float back exactly (IEEE 754-2019, 5.12.2). JSON has no infinity or NaN.
static void print_row(const char *before, const float *row, size_t n, const char *after) {
    print("%s[", before);
    for (size_t i = 0; i < n; i++) {
        char text[32];
        int size = isfinite(row[i]) ? snprintf(text, sizeof text, "%s%.9g", i ? ", " : "", (double)row[i])
                                    : snprintf(text, sizeof text, "%snull", i ? ", " : "");
        if (!print_raw(text, (size_t)size)) return;
    }
    print("]%s\n", after);
}

// A few tokens at a time, so that the memory does not grow with their number; all where they see each other.
static int print_rows(gyr_model *model, gyr_session *session, const int32_t *ids, size_t count) {
    gyr_model_info info;
    gyr_error e = {0};
    gyr_model_get_info(model, &info);
    size_t at_once = info.bidirectional ? count : AT_ONCE;
    float *rows = calloc(at_once, info.vocab * sizeof *rows);
    if (!rows) {
        say_error("logits: out of memory; close other programs");
        return GYR_NO_MEMORY;
    }
    int status = GYR_OK;
    for (size_t i = 0; i < count && !status && !interrupted(); i += at_once) {
        size_t n = count - i < at_once ? count - i : at_once;
        status = gyr_session_feed(session, ids + i, n, rows, &e);
        for (size_t j = 0; j < n && !status; j++)
            print_row(i + j ? "" : "[", rows + j * info.vocab, info.vocab, i + j + 1 < count ? "," : "]");
        if (!print_flush()) break;
    }
    free(rows);
    return interrupted() ? (int)GYR_CANCELLED : status ? report(&e) : GYR_OK;
}

static int logits(const struct logits_options *o, const int32_t *ids, size_t count) {
    int status = GYR_OK;
    gyr_error e = {0};
    gyr_model *model = open_model(
        o->model, (gyr_model_options){.threads = (uint32_t)o->threads, .oversize = o->oversize, .cache = !o->no_cache},
        &status);
    if (!model) return status;
    gyr_adapter *adapter = NULL;
    if (!open_adapter(model, o->adapter, &adapter, &status)) {
        gyr_model_close(model);
        return status;
    }
    gyr_session_options how = {.kv_type = kv_type_named(o->kv_type), .adapter = adapter};
    gyr_session *session = gyr_session_new(model, &how, &e);
    if (!session)
        status = report(&e);
    else if (count > gyr_session_context(session)) {
        say_error("--tokens: %zu tokens do not fit the context of %zu; give fewer", count,
                  gyr_session_context(session));
        status = GYR_TOO_LONG;
    } else
        status = print_rows(model, session, ids, count);
    gyr_session_free(session);
    gyr_adapter_close(adapter);
    gyr_model_close(model);
    return status;
}

int verb_logits(int argc, char **argv) {
    struct logits_options o = {0};
    int operands, status = options_parse(&syntax, argc, argv, &o, &operands);
    if (status) return status == PARSE_HELP ? GYR_OK : status;
    if (!o.tokens) return usage_error("logits: needs --tokens IDS, such as --tokens \"1 2 3\"");
    size_t count;
    int32_t *ids = read_ids("--tokens", o.tokens, &count, &status);
    if (ids && !count) status = usage_error("--tokens: no token ids; give some, such as \"1 2 3\"");
    signals_catch();
    if (ids && count) status = logits(&o, ids, count);
    free(ids);
    return status;
}
