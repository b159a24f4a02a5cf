// gyr eval: measures how good a model is.
#include "input.h"
#include "open.h"
#include "options.h"
#include "output.h"
#include "perplexity.h"
#include "signals.h"
#include "verbs.h"

#include <jansson.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct eval_options {
    const char *model, *adapter, *kv_type;
    uint64_t context, stride, threads;
    bool json, oversize, no_cache;
};

#define FIELD(name) offsetof(struct eval_options, name)

static const struct option options[] = {
    {"model", 'm', "FILE", "GGUF file or folder (else $GYR_MODEL, else poet)", OPTION_TEXT, FIELD(model)},
    {"adapter", 0, "PATH", "a LoRA adapter: a PEFT folder or a GGUF file", OPTION_TEXT, FIELD(adapter)},
    {"context", 'c', "N", "tokens of a window (512, or what the model can)", OPTION_WHOLE, FIELD(context), 4, 1 << 24},
    {"stride", 0, "N", "slide the window by N, score every token once", OPTION_WHOLE, FIELD(stride), 1, 1 << 24},
    {"json", 0, NULL, "print JSON", OPTION_FLAG, FIELD(json)},
    {"threads", 't', "N", "worker threads (else one for each CPU)", OPTION_WHOLE, FIELD(threads), 1, 1024},
    {"kv-type", 0, KV_TYPES, "the KV cache's type", OPTION_CHOICE, FIELD(kv_type)},
    {"oversize", 0, NULL, "run a model larger than memory, from the disk", OPTION_FLAG, FIELD(oversize)},
    {"no-cache", 0, NULL, "do not keep the rewritten weights for the next start", OPTION_FLAG, FIELD(no_cache)},
    {0}};

static const struct syntax syntax = {"eval",
                                     "perplexity FILE",
                                     "Measure how well a model predicts a text; FILE - is standard input.",
                                     "gyr eval perplexity -m falcon-7b.gguf wiki.test.raw",
                                     options,
                                     2,
                                     2};

static void print_result(const struct perplexity *p) {
    double mean = perplexity_mean(p), error = perplexity_error(p), ppl = exp(mean);
    print("  perplexity         %.4f +/- %.4f\n", ppl, ppl * error);
    print("  nats per token     %.5f +/- %.5f\n", mean, error);
    print("  bits per byte      %.5f\n", perplexity_bits_per_byte(p));
    print("  tokens scored      %zu of %zu\n", p->scored, p->text->count);
    if (p->stride)
        print("  windows            %zu of %zu tokens, each %zu further\n", p->windows, p->context, p->stride);
    else
        print("  windows            %zu of %zu tokens, the first half of each not scored\n", p->windows, p->context);
}

static int print_result_json(const struct perplexity *p) {
    double mean = perplexity_mean(p), error = perplexity_error(p), ppl = exp(mean);
    json_t *all = json_pack("{s:f,s:f,s:f,s:f,s:f,s:I,s:I,s:I,s:I,s:I,s:I}", "perplexity", ppl, "perplexity_error",
                            ppl * error, "nats_per_token", mean, "nats_per_token_error", error, "bits_per_byte",
                            perplexity_bits_per_byte(p), "tokens", (json_int_t)p->text->count, "tokens_scored",
                            (json_int_t)p->scored, "bytes_scored", (json_int_t)p->bytes, "windows",
                            (json_int_t)p->windows, "context", (json_int_t)p->context, "stride", (json_int_t)p->stride);
    char *text = all ? json_dumps(all, 0) : NULL;
    json_decref(all);
    if (!text) {
        say_error("eval: a result is not a number; the model's weights are damaged, or out of memory");
        return GYR_FAILED;
    }
    print("%s\n", text);
    free(text);
    return GYR_OK;
}

static int measure(const struct eval_options *o, struct perplexity *p, const char *file) {
    gyr_error e = {0};
    struct progress bar;
    if (p->text->count < 4 || (p->stride && p->stride > p->context)) {
        if (p->text->count >= 4)
            return usage_error("--stride: %zu is more than the window of %zu tokens; choose less", p->stride,
                               p->context);
        return usage_error("%s: a text of %zu tokens; give a longer one", file, p->text->count);
    }
    progress_start(&bar, "computing", "tokens", (double)p->text->count);
    p->bar = &bar;
    gyr_status status = perplexity_measure(p, &e);
    progress_end(&bar);
    if (status == GYR_CANCELLED) return GYR_CANCELLED;
    if (status) return report(&e);
    if (o->json) return print_result_json(p);
    print_result(p);
    return GYR_OK;
}

static int eval_text(const struct eval_options *o, gyr_model *model, const gyr_adapter *adapter, const char *file,
                     const char *text, size_t size) {
    gyr_error e = {0};
    gyr_model_info info;
    gyr_model_get_info(model, &info);
    gyr_tokens tokens = {0}, begin = {0};
    const gyr_tokenizer *t = gyr_model_tokenizer(model);
    size_t context = o->context ? o->context : info.context < 512 ? info.context : 512;
    gyr_session_options how = {.context = (uint32_t)context, .kv_type = kv_type_named(o->kv_type), .adapter = adapter};
    gyr_session *session = gyr_session_new(model, &how, &e);
    int status = GYR_OK;
    if (!session || gyr_tokenize(t, text, size, 0, &tokens, &e) || gyr_tokenize(t, "", 0, GYR_ADD_BOS, &begin, &e))
        status = report(&e);
    struct perplexity p = {
        .model = model, .session = session, .text = &tokens, .begin = &begin, .context = context, .stride = o->stride};
    if (!status) status = measure(o, &p, file);
    gyr_free(tokens.ids);
    gyr_free(begin.ids);
    gyr_session_free(session);
    return status;
}

int verb_eval(int argc, char **argv) {
    struct eval_options o = {0};
    int operands, status = options_parse(&syntax, argc, argv, &o, &operands);
    if (status) return status == PARSE_HELP ? GYR_OK : status;
    if (strcmp(argv[1], "perplexity"))
        return usage_error("eval: \"%s\" is not something to measure; did you mean 'gyr eval perplexity'?", argv[1]);
    signals_catch();
    size_t size;
    char *text = read_whole(argv[2], &size, &status);
    if (!text) return status;
    gyr_model *model = open_model(
        o.model, (gyr_model_options){.threads = (uint32_t)o.threads, .oversize = o.oversize, .cache = !o.no_cache},
        &status);
    gyr_adapter *adapter = NULL;
    if (model && open_adapter(model, o.adapter, &adapter, &status))
        status = eval_text(&o, model, adapter, argv[2], text, size);
    gyr_adapter_close(adapter);
    gyr_model_close(model);
    free(text);
    return status;
}
