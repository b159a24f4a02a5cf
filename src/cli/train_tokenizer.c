// gyr train tokenizer: a vocabulary learned from texts.
#include "options.h"
#include "output.h"
#include "progress.h"
#include "signals.h"
#include "train.h"

#include <jansson.h>
#include <stddef.h>
#include <stdlib.h>

struct tokenizer_options {
    struct texts data, special;
    const char *output, *pre;
    uint64_t size, least, threads;
    bool json;
};

#define FIELD(name) offsetof(struct tokenizer_options, name)

static const struct option options[] = {
    {"data", 0, "FILE", "a text; or of *.jsonl each line's \"text\"", OPTION_TEXTS, FIELD(data)},
    {"output", 'o', "FOLDER", "where to write tokenizer.json", OPTION_TEXT, FIELD(output)},
    {"vocab-size", 0, "N", "tokens of the vocabulary (32768)", OPTION_WHOLE, FIELD(size), 257, 1e9},
    {"special", 0, "TEXT", "a special token (<|endoftext|>); repeat it", OPTION_TEXTS, FIELD(special)},
    {"pre", 0, "gpt-2|llama-bpe|qwen2|sentencepiece", "how texts are cut into words (gpt-2)", OPTION_CHOICE,
     FIELD(pre)},
    {"min-count", 0, "N", "pairs that occur less often are not merged", OPTION_WHOLE, FIELD(least), 0, 1e18},
    {"threads", 't', "N", "worker threads (one for each CPU)", OPTION_WHOLE, FIELD(threads), 1, 1024},
    {"json", 0, NULL, "print a JSON object at the end", OPTION_FLAG, FIELD(json)},
    {0}};

static const struct syntax syntax = {"train tokenizer",
                                     "",
                                     "Learn a vocabulary (BPE) from texts.",
                                     "gyr train tokenizer --data poems.jsonl --vocab-size 4096 -o tokenizer",
                                     options,
                                     0,
                                     0};

static void say(const struct tokenizer_options *o, const gyr_tokenizer_trained *t, double seconds) {
    json_t *j;
    if (!o->json) {
        print("%s: %zu tokens, %zu merges; %llu texts, %s, %s different words in %.1f s\n", o->output, t->size,
              t->merges, (unsigned long long)t->texts, human_bytes((double)t->bytes), human_count((double)t->words),
              seconds);
        return;
    }
    j = json_pack("{s:s,s:I,s:I,s:I,s:I,s:I,s:f}", "tokenizer", o->output, "tokens", (json_int_t)t->size, "merges",
                  (json_int_t)t->merges, "texts", (json_int_t)t->texts, "bytes", (json_int_t)t->bytes, "words",
                  (json_int_t)t->words, "seconds", seconds);
    char *text = j ? json_dumps(j, JSON_COMPACT) : NULL;
    if (text) print("%s\n", text);
    free(text);
    json_decref(j);
}

static int train(const struct tokenizer_options *o) {
    gyr_error e = {0};
    gyr_tokenizer_trained done;
    struct progress bar;
    progress_start(&bar, "learning a vocabulary", NULL, 0);
    gyr_tokenizer_training how = {.data = o->data.items,
                                  .n_data = o->data.count,
                                  .output = o->output,
                                  .pre = o->pre,
                                  .size = (uint32_t)o->size,
                                  .least = o->least,
                                  .special = o->special.items,
                                  .n_special = o->special.count,
                                  .threads = (uint32_t)o->threads,
                                  .progress = progress_report,
                                  .user = &bar};
    double began = seconds_now();
    gyr_status status = gyr_train_tokenizer(&how, &done, &e);
    progress_end(&bar);
    if (status) return report(&e);
    say(o, &done, seconds_now() - began);
    return GYR_OK;
}

int train_tokenizer(int argc, char **argv) {
    struct tokenizer_options o = {0};
    int operands, status = options_parse(&syntax, argc, argv, &o, &operands);
    if (status == PARSE_HELP)
        status = GYR_OK;
    else if (!status && !o.data.count)
        status = usage_error("train tokenizer: needs --data FILE, texts to learn from");
    else if (!status && !o.output)
        status = usage_error("train tokenizer: needs -o FOLDER, where to write the tokenizer");
    else if (!status) {
        signals_catch();
        status = train(&o);
    }
    free(o.data.items);
    free(o.special.items);
    return status;
}
