// gyr train: all weights of a model by texts, from nothing or of a file.
#include "train.h"
#include "open.h"
#include "options.h"
#include "output.h"
#include "progress.h"
#include "ranks.h"
#include "signals.h"
#include "verbs.h"

#include <jansson.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct train_options {
    struct texts data, valid;
    const char *model, *shape, *tokenizer, *output, *type, *tied, *schedule, *optimizer, *products, *prompt;
    uint64_t layers, hidden, heads, kv_heads, head_dim, feed_forward, context, batch, epochs, steps, seed, threads,
        save_steps, valid_steps, valid_tokens, sample_tokens;
    double rate, warmup, decay, clip, hold_out;
    bool resume, json;
};

#define FIELD(name) offsetof(struct train_options, name)

static const struct option options[] = {
    {"data", 0, "FILE", "a text; or of *.jsonl each line's \"text\" is one", OPTION_TEXTS, FIELD(data)},
    {"output", 'o', "FILE", "the GGUF file to write", OPTION_TEXT, FIELD(output)},
    {"model", 'm', "FILE", "train this on, a GGUF file of F32, F16 or BF16", OPTION_TEXT, FIELD(model)},
    {"resume", 0, NULL, "go on from the checkpoint, if there is one", OPTION_FLAG, FIELD(resume)},
    {"json", 0, NULL, "print a JSON object for each step and at the end", OPTION_FLAG, FIELD(json)},
    {"threads", 't', "N", "worker threads (one for each CPU if not given)", OPTION_WHOLE, FIELD(threads), 1, 1024},
    {"type", 0, "f16|f32|bf16", "type of the matrices that are written (f16)", OPTION_CHOICE, FIELD(type)},
    {"tokenizer", 0, "PATH", "folder of a tokenizer, or a GGUF file that has it", OPTION_TEXT, FIELD(tokenizer), 0, 0,
     "From nothing"},
    {"shape", 0, "SHAPE", "a shape of gyr synth (a small Falcon)", OPTION_TEXT, FIELD(shape)},
    {"layers", 0, "N", "layers (8, or the shape's; so with all of these)", OPTION_WHOLE, FIELD(layers), 1, 4096},
    {"width", 0, "N", "width of the stream (256)", OPTION_WHOLE, FIELD(hidden), 1, 1 << 20},
    {"heads", 0, "N", "heads (4)", OPTION_WHOLE, FIELD(heads), 1, 1 << 16},
    {"kv-heads", 0, "N", "heads of keys and values (1)", OPTION_WHOLE, FIELD(kv_heads), 1, 1 << 16},
    {"head-size", 0, "N", "width of a head (width / heads)", OPTION_WHOLE, FIELD(head_dim), 2, 1 << 16},
    {"feed-forward", 0, "N", "width of the MLP (4 times the width)", OPTION_WHOLE, FIELD(feed_forward), 1, 1 << 22},
    {"tied", 0, "yes|no", "the output matrix is the embedding (yes)", OPTION_CHOICE, FIELD(tied)},
    {"context", 'c', "N", "tokens of a block, and of the model (512)", OPTION_WHOLE, FIELD(context), 2, 1 << 24,
     "Training"},
    {"batch", 0, "N", "blocks of a step (8)", OPTION_WHOLE, FIELD(batch), 1, 1 << 20},
    {"epochs", 0, "N", "times that all is learned (1)", OPTION_WHOLE, FIELD(epochs), 1, 1e6},
    {"steps", 0, "N", "or so many steps", OPTION_WHOLE, FIELD(steps), 1, UINT32_MAX},
    {"lr", 0, "X", "learning rate (1e-3; 2e-5 with a model)", OPTION_REAL, FIELD(rate), 1e-12, 1e3},
    {"products", 0, "f32|int16", "sums over a layer's width: float, or int16 (f32)", OPTION_CHOICE, FIELD(products)},
    {"optimizer", 0, "adamw|muon", "Muon: of matrices (adamw)", OPTION_CHOICE, FIELD(optimizer)},
    {"schedule", 0, "cosine|linear|constant", "how the learning rate falls (cosine)", OPTION_CHOICE, FIELD(schedule)},
    {"warmup", 0, "X", "part of the steps in which it rises (0.02)", OPTION_REAL, FIELD(warmup), 0, 1},
    {"weight-decay", 0, "X", "weight decay of matrices (0.1)", OPTION_REAL, FIELD(decay), 0, 1e3},
    {"clip", 0, "X", "longest gradient (1); 0: any", OPTION_REAL, FIELD(clip), 0, 1e9},
    {"seed", 0, "N", "another beginning, another order of texts (0)", OPTION_WHOLE, FIELD(seed), 0, 1e18},
    {"save-steps", 0, "N", "steps between checkpoints (about a minute)", OPTION_WHOLE, FIELD(save_steps), 1, 1e9},
    {"valid", 0, "FILE", "texts to measure by (else some are held out)", OPTION_TEXTS, FIELD(valid), 0, 0, "Measuring"},
    {"hold-out", 0, "X", "that part (0.01); 0: none", OPTION_REAL, FIELD(hold_out), 0, 0.99},
    {"valid-steps", 0, "N", "steps between measurements (a tenth of all)", OPTION_WHOLE, FIELD(valid_steps), 1, 1e9},
    {"valid-tokens", 0, "N", "most tokens to measure by (32768)", OPTION_WHOLE, FIELD(valid_tokens), 1, 1e12},
    {"sample", 0, "N", "tokens of what is written with each (48); 0: none", OPTION_WHOLE, FIELD(sample_tokens), 0,
     4096},
    {"prompt", 0, "TEXT", "what that begins with", OPTION_TEXT, FIELD(prompt)},
    {0}};

static const struct syntax syntax = {"train",
                                     "",
                                     "Train all weights of a model by texts, from nothing or of a file.\n"
                                     "'gyr train tokenizer --help' says how a tokenizer is learned.",
                                     "gyr train --tokenizer tokenizer --data poems.jsonl -o poet.gguf",
                                     options,
                                     0,
                                     0};

// What is told meanwhile.
struct telling {
    const struct train_options *o;
    struct progress bar;
    gyr_train_progress last;
    gyr_train_info info;
    double bits; // that were measured last
};

static double rate_of(const gyr_train_progress *p) { return p->seconds > 0 ? (double)p->tokens_now / p->seconds : 0; }

static json_t *number(double x) { return isfinite(x) ? json_real(x) : json_null(); }

static void print_object(json_t *j) {
    char *text = j ? json_dumps(j, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    if (text) print("%s\n", text);
    print_flush();
    free(text);
    json_decref(j);
}

static void tell_json(const gyr_train_progress *p) {
    json_t *j = json_pack("{s:I,s:I,s:I,s:o,s:o,s:o,s:o}", "step", (json_int_t)p->step, "steps", (json_int_t)p->steps,
                          "tokens", (json_int_t)p->tokens, "loss", number(p->loss), "learning_rate", number(p->rate),
                          "gradient", number(p->norm), "tokens_per_second", number(rate_of(p)));
    if (j && !isnan(p->bits)) {
        json_object_set_new(j, "valid_loss", number(p->valid_loss));
        json_object_set_new(j, "bits_per_byte", number(p->bits));
    }
    if (j && p->sample) json_object_set_new(j, "sample", json_stringn(p->sample, p->sample_size));
    print_object(j);
}

static void tell_text(const gyr_train_progress *p, size_t done) {
    double each = p->step > done ? p->seconds / (double)(p->step - done) : 0;
    print("step %zu/%zu  loss %.4f  lr %.3g  gradient %.3g  %.0f tokens/s  %.0f s left\n", p->step, p->steps, p->loss,
          p->rate, p->norm, rate_of(p), each * (double)(p->steps - p->step));
    if (!isnan(p->bits)) print("held out: loss %.4f, %.4f bits per byte\n", p->valid_loss, p->bits);
    if (p->sample) {
        print("---\n");
        print_text(p->sample, p->sample_size);
        print("\n---\n");
    }
    print_flush();
}

static bool tell(void *user, const gyr_train_progress *p) {
    struct telling *t = user;
    if (p->stepped) {
        progress_end(&t->bar);
        if (!isnan(p->bits)) t->bits = p->bits;
        if (t->o->json)
            tell_json(p);
        else
            tell_text(p, t->info.done);
        progress_start(&t->bar, "training", NULL, 0);
    }
    t->last = *p;
    progress_at(&t->bar, p->steps ? ((double)p->step + (p->part < 1 ? p->part : 0)) / (double)p->steps : 0);
    return !interrupted();
}

// ------------------------------------------------------------------------------------------------- report

static void say_plan(const gyr_train_info *i) {
    char attention[96] = "states";
    if (i->heads)
        snprintf(attention, sizeof attention, "%u heads, %u of keys and values, MLP %u", i->heads, i->kv_heads,
                 i->feed_forward);
    say_dim("%s: %u layers, width %u, %s, %u tokens: %s numbers", i->fresh ? "from nothing" : "goes on from a model",
            i->layers, i->hidden, attention, i->vocab, human_count((double)i->numbers));
    say_dim("%llu texts, %s tokens, %s; %llu texts (%s) held out", (unsigned long long)i->texts,
            human_count((double)i->tokens), human_bytes((double)i->bytes), (unsigned long long)i->valid_texts,
            human_bytes((double)i->valid_bytes));
    say_dim("%zu steps of %u x %u tokens, learning rate %g; takes %s of memory", i->steps, i->batch, i->context,
            i->learning_rate, human_bytes((double)i->memory));
    if (!i->valid_texts) say_dim("no text is held out, so nothing is measured; --valid names some");
    if (i->done) say_dim("goes on from step %zu", i->done);
}

static void print_plan(const gyr_train_info *i) {
    print_object(json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:f,s:I}", "texts", (json_int_t)i->texts,
                           "tokens", (json_int_t)i->tokens, "bytes", (json_int_t)i->bytes, "held_out_texts",
                           (json_int_t)i->valid_texts, "held_out_bytes", (json_int_t)i->valid_bytes, "numbers",
                           (json_int_t)i->numbers, "vocabulary", (json_int_t)i->vocab, "context",
                           (json_int_t)i->context, "batch", (json_int_t)i->batch, "steps", (json_int_t)i->steps, "done",
                           (json_int_t)i->done, "learning_rate", i->learning_rate, "memory", (json_int_t)i->memory));
}

static int close_report(const gyr_train *train, const struct telling *t) {
    const gyr_train_progress *p = &t->last;
    float first = (float)NAN, last = (float)NAN, bits;
    if (t->info.steps)
        gyr_train_get_step(train, 0, &first, &bits), gyr_train_get_step(train, p->step - 1, &last, &bits);
    char *curve = NULL;
    int status = train_curve(train, t->o->output, &curve);
    if (status) return status;
    if (t->o->json)
        print_object(json_pack("{s:s,s:s,s:I,s:o,s:o,s:o,s:o,s:o}", "model", t->o->output, "curve", curve, "steps",
                               (json_int_t)p->step, "first_loss", number((double)first), "last_loss",
                               number((double)last), "bits_per_byte", number(t->bits), "seconds", number(p->seconds),
                               "tokens_per_second", number(rate_of(p))));
    else {
        print("%s: loss %.4f at first, %.4f at the end", t->o->output, (double)first, (double)last);
        if (!isnan(t->bits)) print(", %.4f bits per byte held out", t->bits);
        print("; %llu tokens in %.0f s, %.0f tokens/s\n", (unsigned long long)p->tokens_now, p->seconds, rate_of(p));
        print("curve: %s\ntry it: gyr run -m %s --raw \"...\"\n", curve, t->o->output);
    }
    free(curve);
    return GYR_OK;
}

// --------------------------------------------------------------------------------------------------- all

static gyr_train_options options_of(const struct train_options *o, struct telling *t) {
    const char *s = o->schedule;
    return (gyr_train_options){
        .model = o->model,
        .shape = {.name = o->shape,
                  .layers = (uint32_t)o->layers,
                  .hidden = (uint32_t)o->hidden,
                  .heads = (uint32_t)o->heads,
                  .kv_heads = (uint32_t)o->kv_heads,
                  .head_dim = (uint32_t)o->head_dim,
                  .feed_forward = (uint32_t)o->feed_forward,
                  .tied = !o->tied                 ? 0
                          : strcmp(o->tied, "yes") ? 2
                                                   : 1},
        .tokenizer = o->tokenizer,
        .data = o->data.items,
        .n_data = o->data.count,
        .valid = o->valid.items,
        .n_valid = o->valid.count,
        .hold_out = o->hold_out == 0 ? -1 : o->hold_out,
        .output = o->output,
        .type = o->type,
        .context = (uint32_t)o->context,
        .batch = (uint32_t)o->batch,
        .epochs = o->epochs,
        .steps = o->steps,
        .learning_rate = o->rate,
        .optimizer = o->optimizer && !strcmp(o->optimizer, "muon") ? GYR_OPTIMIZER_MUON : GYR_OPTIMIZER_ADAMW,
        .products = products_named(o->products),
        .schedule = !s || !strcmp(s, "cosine") ? GYR_SCHEDULE_COSINE
                    : !strcmp(s, "linear")     ? GYR_SCHEDULE_LINEAR
                                               : GYR_SCHEDULE_CONSTANT,
        .warmup = o->warmup == 0 ? -1 : o->warmup,
        .weight_decay = o->decay == 0 ? -1 : o->decay,
        .clip = o->clip == 0 ? -1 : o->clip,
        .seed = o->seed,
        .threads = (uint32_t)o->threads,
        .resume = o->resume,
        .save_steps = (uint32_t)o->save_steps,
        .valid_steps = o->valid_steps,
        .valid_tokens = o->valid_tokens,
        .prompt = o->prompt,
        .sample_tokens = (uint32_t)o->sample_tokens,
        .progress = team_follows() ? NULL : tell,
        .user = t,
        .ranks = team_joined(),
    };
}

// A rank behind rank 0, which prints and writes what there is.
static int follow(gyr_train *train) {
    gyr_error e = {0};
    int status = gyr_train_run(train, &e) ? report(&e) : GYR_OK;
    gyr_train_close(train);
    return status;
}

static int train(const struct train_options *o) {
    gyr_error e = {0};
    struct telling t = {.o = o, .bits = (double)NAN};
    gyr_train_options all = options_of(o, &t);
    gyr_train *train = gyr_train_open(&all, &e);
    if (!train) return report(&e);
    if (team_follows()) return follow(train);
    gyr_train_get_info(train, &t.info);
    (o->json ? print_plan : say_plan)(&t.info);
    t.last.step = t.info.done;
    progress_start(&t.bar, "training", NULL, 0);
    int status = gyr_train_run(train, &e);
    progress_end(&t.bar);
    status = status ? report(&e) : close_report(train, &t);
    gyr_train_close(train);
    return status;
}

int verb_train(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "tokenizer"))
        return team_none("train tokenizer") ? train_tokenizer(argc - 1, argv + 1) : GYR_USAGE;
    struct train_options o = {.warmup = 0.02, .decay = 0.1, .clip = 1, .hold_out = 0.01, .sample_tokens = 48};
    int operands, status = options_parse(&syntax, argc, argv, &o, &operands);
    if (status == PARSE_HELP)
        status = GYR_OK;
    else if (!status && !o.data.count)
        status = usage_error("train: needs --data FILE, texts to learn from");
    else if (!status && !o.output)
        status = usage_error("train: needs -o FILE, the GGUF file to write");
    else if (!status && !o.model && !o.tokenizer)
        status = usage_error("train: needs --tokenizer PATH, or -m FILE to go on from");
    else if (!status) {
        signals_catch();
        status = train(&o);
    }
    free(o.data.items);
    free(o.valid.items);
    return status;
}
