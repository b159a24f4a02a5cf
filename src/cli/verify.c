// gyr verify: computes an answer again and compares it with its receipt.
#include "input.h"
#include "open.h"
#include "options.h"
#include "output.h"
#include "progress.h"
#include "signals.h"
#include "verbs.h"

#include <jansson.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct verify_options {
    const char *model, *adapter;
    uint64_t threads;
    bool oversize, no_cache, json;
};

#define FIELD(name) offsetof(struct verify_options, name)

static const struct option options[] = {
    {"model", 'm', "FILE", "file, folder or hf: name (else as the receipt says)", OPTION_TEXT, FIELD(model)},
    {"adapter", 0, "PATH", "a LoRA adapter: a PEFT folder or a GGUF file", OPTION_TEXT, FIELD(adapter)},
    {"threads", 't', "N", "worker threads (else one for each CPU)", OPTION_WHOLE, FIELD(threads), 1, 1024},
    {"json", 0, NULL, "print a JSON object", OPTION_FLAG, FIELD(json)},
    {"oversize", 0, NULL, "run a model larger than memory, from the disk", OPTION_FLAG, FIELD(oversize)},
    {"no-cache", 0, NULL, "do not keep the rewritten weights for the next start", OPTION_FLAG, FIELD(no_cache)},
    {0}};

static const struct syntax syntax = {"verify",
                                     "FILE",
                                     "Compute an answer again and compare it with its receipt; FILE - is stdin.",
                                     "gyr verify receipt.json -m falcon-7b.gguf",
                                     options,
                                     1,
                                     1};

// What is to be verified, and with what.
struct verification {
    const struct verify_options *options;
    const char *file; // for messages
    char *text;       // the receipt
    size_t size;
    json_t *receipt;
    gyr_model *model;
    gyr_adapter *adapter; // NULL: none
    gyr_receipt_result result;
    double seconds;
};

static int complain(const struct verification *v, gyr_status status, const char *why) {
    say_error("%s: %s", v->file, why);
    return status;
}

// A server's reply has the receipt inside it.
static int take_receipt(struct verification *v, const char *text, size_t size) {
    json_error_t where;
    json_t *all = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &where);
    json_t *inside = json_object_get(all, "receipt");
    v->receipt = json_incref(json_is_object(inside) ? inside : all);
    json_decref(all);
    bool looks =
        json_is_integer(json_object_get(v->receipt, "receipt")) && json_is_object(json_object_get(v->receipt, "model"));
    if (!looks) return complain(v, GYR_MALFORMED, "is no receipt; see gyr run --receipt");
    v->text = json_dumps(v->receipt, JSON_COMPACT);
    if (!v->text) return complain(v, GYR_NO_MEMORY, "out of memory");
    v->size = strlen(v->text);
    return GYR_OK;
}

// The model's path as the receipt has it. What has a name on the hub must be here: a receipt downloads nothing.
static int open_theirs(struct verification *v, gyr_model_options how) {
    const char *path = json_string_value(json_object_get(json_object_get(v->receipt, "model"), "path"));
    int status = GYR_OK;
    gyr_error e = {0};
    char *pulled = NULL;
    if (!v->options->model && path && gyr_is_hub_name(path) && !(pulled = gyr_pulled(path, NULL, &e)))
        return report(&e);
    const char *theirs = pulled ? pulled : path;
    v->model = open_model(v->options->model ? v->options->model : theirs, how, &status);
    gyr_free(pulled);
    return status;
}

// The adapter, if the answer had one, likewise.
static int open_their_adapter(struct verification *v) {
    const char *path = json_string_value(json_object_get(json_object_get(v->receipt, "adapter"), "path"));
    int status = GYR_OK;
    open_adapter(v->model, v->options->adapter ? v->options->adapter : path, &v->adapter, &status);
    return status;
}

static size_t tokens_of(const struct verification *v) {
    return json_array_size(json_object_get(v->receipt, "prompt")) +
           json_array_size(json_object_get(v->receipt, "answer"));
}

static int check(struct verification *v) {
    gyr_error e = {0};
    struct progress bar;
    double start = seconds_now();
    progress_start(&bar, "computing", "tokens", (double)tokens_of(v));
    gyr_receipt_check_options how = {.progress = progress_report, .user = &bar, .adapter = v->adapter};
    gyr_status status = gyr_receipt_check(v->model, v->text, v->size, &how, &v->result, &e);
    progress_end(&bar);
    v->seconds = seconds_now() - start;
    if (status == GYR_CANCELLED) return GYR_CANCELLED;
    return status ? complain(v, status, e.message) : GYR_OK;
}

// ------------------------------------------------------------------------------------------------- results

static const char *stop_name(gyr_stop stop) {
    static const char *const names[] = {[GYR_STOP_END] = "end",
                                        [GYR_STOP_STRING] = "string",
                                        [GYR_STOP_LENGTH] = "length",
                                        [GYR_STOP_CALLER] = "cancelled",
                                        [GYR_STOP_MASK] = "mask"};
    return (unsigned)stop <= GYR_STOP_MASK ? names[stop] : NULL;
}

// A token, or what ends the answer in its place.
static void print_choice(const struct verification *v, int32_t id, gyr_stop stop) {
    size_t size = 0;
    if (id < 0) {
        print("the answer's end (%s)", stop ? stop_name(stop) : "none");
        return;
    }
    char *text = gyr_detokenize(gyr_model_tokenizer(v->model), &id, 1, true, &size, NULL);
    json_t *quoted = text ? json_stringn(text, size) : NULL;
    char *shown = quoted ? json_dumps(quoted, JSON_ENCODE_ANY) : NULL;
    print("%d", id);
    if (shown) print(" %s", shown);
    if (stop) print(" (%s)", stop_name(stop));
    free(shown);
    json_decref(quoted);
    gyr_free(text);
}

static void print_result(const struct verification *v) {
    const gyr_receipt_result *r = &v->result;
    if (r->equal) {
        print("equal: %zu token%s of the answer to a prompt of %zu\n", r->answer_tokens,
              r->answer_tokens == 1 ? "" : "s", r->prompt_tokens);
        return;
    }
    print("not equal: token %zu of the answer: the receipt has ", r->place);
    print_choice(v, r->said, r->stop_said);
    print(", computed is ");
    print_choice(v, r->is, r->stop_is);
    print("\n");
}

static json_t *json_choice(int32_t id, gyr_stop stop) {
    return json_pack("{s:o,s:o}", "token", id < 0 ? json_null() : json_integer(id), "stop",
                     stop ? json_string(stop_name(stop)) : json_null());
}

static void print_json(const struct verification *v) {
    const gyr_receipt_result *r = &v->result;
    json_t *all = json_pack("{s:b,s:I,s:I,s:I,s:f}", "equal", r->equal, "prompt_tokens", (json_int_t)r->prompt_tokens,
                            "answer_tokens", (json_int_t)r->answer_tokens, "equal_tokens", (json_int_t)r->place,
                            "seconds", v->seconds);
    if (all && !r->equal) {
        json_object_set_new(all, "receipt", json_choice(r->said, r->stop_said));
        json_object_set_new(all, "computed", json_choice(r->is, r->stop_is));
    }
    char *text = all ? json_dumps(all, JSON_COMPACT | JSON_REAL_PRECISION(6)) : NULL;
    if (text) print("%s\n", text);
    free(text);
    json_decref(all);
}

int verb_verify(int argc, char **argv) {
    struct verify_options o = {0};
    int operands, status = options_parse(&syntax, argc, argv, &o, &operands);
    if (status) return status == PARSE_HELP ? GYR_OK : status;
    signals_catch();
    struct verification v = {.options = &o, .file = argv[1]};
    size_t size = 0;
    char *text = read_whole(argv[1], &size, &status);
    if (text) status = take_receipt(&v, text, size);
    free(text);
    if (!status)
        status = open_theirs(
            &v, (gyr_model_options){.threads = (uint32_t)o.threads, .oversize = o.oversize, .cache = !o.no_cache});
    if (!status) status = open_their_adapter(&v);
    if (!status) status = check(&v);
    if (!status) {
        (o.json ? print_json : print_result)(&v);
        status = v.result.equal ? GYR_OK : GYR_FAILED;
    }
    gyr_adapter_close(v.adapter);
    gyr_model_close(v.model);
    json_decref(v.receipt);
    free(v.text);
    return status;
}
