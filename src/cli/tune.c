// gyr tune: an adapter made of conversations.
#include "tune.h"
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

struct tune_options {
    const char *model, *data, *valid, *output, *schedule, *targets, *optimizer, *products, *method, *device;
    uint64_t rank, epochs, batch, context, seed, threads, save_steps, memory;
    double alpha, beta, rate, warmup, decay, clip;
    bool resume, cut, show, json, rslora;
};

#define FIELD(name) offsetof(struct tune_options, name)

static const struct option options[] = {
    {"model", 'm', "FILE", "file, folder or hf: name (or $GYR_MODEL, or poet)", OPTION_TEXT, FIELD(model)},
    {"data", 0, "FILE", "conversations to learn from: JSONL, or a CSV", OPTION_TEXT, FIELD(data)},
    {"output", 'o', "PATH", "adapter to write: a PEFT folder, or a *.gguf file", OPTION_TEXT, FIELD(output)},
    {"valid", 0, "FILE", "conversations to measure by after each epoch", OPTION_TEXT, FIELD(valid)},
    {"show", 0, NULL, "print examples, what is learned marked, and stop", OPTION_FLAG, FIELD(show)},
    {"resume", 0, NULL, "go on from the checkpoint, if there is one", OPTION_FLAG, FIELD(resume)},
    {"json", 0, NULL, "print a JSON object for each step and at the end", OPTION_FLAG, FIELD(json)},
    {"device", 0, "NAME", "cpu, or a card (else $GYR_DEVICE, else auto)", OPTION_TEXT, FIELD(device)},
    {"threads", 't', "N", "worker threads (one for each CPU if not given)", OPTION_WHOLE, FIELD(threads), 1, 1024},
    {"method", 0, "supervised|dpo", "learn answers, or which of two to prefer", OPTION_CHOICE, FIELD(method), 0, 0,
     "Training"},
    {"beta", 0, "X", "of dpo: how far rewards reach (0.1)", OPTION_REAL, FIELD(beta), 1e-6, 2},
    {"rank", 0, "N", "rank of the adapter (16)", OPTION_WHOLE, FIELD(rank), 1, 4096},
    {"alpha", 0, "X", "pairs are scaled by alpha / rank (twice the rank)", OPTION_REAL, FIELD(alpha), 1e-6, 1e6},
    {"rslora", 0, NULL, "pairs are scaled by alpha / sqrt(rank)", OPTION_FLAG, FIELD(rslora)},
    {"targets", 0, "WORDS", "what gets a pair: attention, q_proj,v_proj...", OPTION_TEXT, FIELD(targets)},
    {"epochs", 0, "N", "times that all is learned (by number of examples)", OPTION_WHOLE, FIELD(epochs), 1, 1e6},
    {"batch", 0, "N", "examples of a step (4)", OPTION_WHOLE, FIELD(batch), 1, 1e6},
    {"lr", 0, "X", "learning rate (2e-4; 2e-5 of dpo)", OPTION_REAL, FIELD(rate), 1e-12, 1e3},
    {"products", 0, "f32|int16", "sums over a layer's width: float, or int16 (f32)", OPTION_CHOICE, FIELD(products)},
    {"optimizer", 0, "adamw|muon", "how numbers are moved (adamw)", OPTION_CHOICE, FIELD(optimizer)},
    {"schedule", 0, "linear|cosine|constant", "how the learning rate falls (linear)", OPTION_CHOICE, FIELD(schedule)},
    {"warmup", 0, "X", "part of the steps in which it rises (0.1)", OPTION_REAL, FIELD(warmup), 0, 1},
    {"weight-decay", 0, "X", "weight decay (0)", OPTION_REAL, FIELD(decay), 0, 1e3},
    {"clip", 0, "X", "longest gradient (1); 0: any", OPTION_REAL, FIELD(clip), 0, 1e9},
    {"seed", 0, "N", "of the order of examples and first numbers (0)", OPTION_WHOLE, FIELD(seed), 0, 1e18},
    {"max-tokens", 0, "N", "longest example (as the model was trained)", OPTION_WHOLE, FIELD(context), 2, 1e9},
    {"cut", 0, NULL, "cut longer examples instead of refusing them", OPTION_FLAG, FIELD(cut)},
    {"memory", 0, "MIB", "most that training takes (what all layers keep)", OPTION_WHOLE, FIELD(memory), 1, 1e9},
    {"save-steps", 0, "N", "steps between checkpoints (about a minute)", OPTION_WHOLE, FIELD(save_steps), 1, 1e9},
    {0}};

static const struct syntax syntax = {"tune",
                                     "",
                                     "Train an adapter (LoRA) for a model by conversations.",
                                     "gyr tune -m qwen3.gguf --data chats.jsonl -o adapter",
                                     options,
                                     0,
                                     0};

// What is told meanwhile.
struct telling {
    const struct tune_options *o;
    struct progress bar;
    gyr_tune_progress last;
    double first; // loss of the first step
};

static bool learns_pairs(const struct tune_options *o) { return o->method && !strcmp(o->method, "dpo"); }

static double rate_of(const gyr_tune_progress *p) { return p->seconds > 0 ? (double)p->tokens_now / p->seconds : 0; }

static json_t *number(double x) { return isfinite(x) ? json_real(x) : json_null(); }

static void print_object(json_t *j) {
    char *text = j ? json_dumps(j, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    if (text) print("%s\n", text);
    print_flush();
    free(text);
    json_decref(j);
}

static void tell_json(const gyr_tune_progress *p, bool pairs) {
    json_t *j = json_pack("{s:I,s:I,s:I,s:I,s:o,s:o,s:o,s:o,s:o}", "step", (json_int_t)p->step, "steps",
                          (json_int_t)p->steps, "epoch", (json_int_t)p->epoch, "tokens", (json_int_t)p->tokens, "loss",
                          number(p->loss), "accuracy", number(p->accuracy), "learning_rate", number(p->rate),
                          "gradient", number(p->norm), "tokens_per_second", number(rate_of(p)));
    if (j && pairs) json_object_set_new(j, "margin", number(p->margin));
    if (j && !isnan(p->valid_loss)) {
        json_object_set_new(j, "valid_loss", number(p->valid_loss));
        json_object_set_new(j, "valid_accuracy", number(p->valid_accuracy));
        if (pairs) json_object_set_new(j, "valid_margin", number(p->valid_margin));
    }
    print_object(j);
}

static void tell_text(const gyr_tune_progress *p, bool pairs) {
    double left = (double)(p->tokens_all - p->tokens) / (rate_of(p) + 1e-9);
    print("step %zu/%zu  epoch %zu  loss %.4f  accuracy %.1f%%", p->step, p->steps, p->epoch, p->loss,
          100 * p->accuracy);
    if (pairs) print("  margin %.3g", p->margin);
    print("  lr %.3g  %.0f tokens/s  %.0f s left\n", p->rate, rate_of(p), left);
    if (!isnan(p->valid_loss)) {
        print("epoch %zu: validation loss %.4f, accuracy %.1f%%", p->epoch, p->valid_loss, 100 * p->valid_accuracy);
        if (pairs) print(", margin %.3g", p->valid_margin);
        print("\n");
    }
    print_flush();
}

static bool tell(void *user, const gyr_tune_progress *p) {
    struct telling *t = user;
    if (p->card_failed) {
        progress_end(&t->bar);
        say_error("note: %s; the CPU computes what that card cannot, to the same bytes", p->card_failed);
        progress_start(&t->bar, "training", NULL, 0);
    }
    if (p->stepped) {
        progress_end(&t->bar);
        if (isnan(t->first)) t->first = p->loss;
        if (t->o->json)
            tell_json(p, learns_pairs(t->o));
        else
            tell_text(p, learns_pairs(t->o));
        progress_start(&t->bar, "training", NULL, 0);
    }
    t->last = *p;
    progress_at(&t->bar, p->tokens_all ? (double)p->tokens / (double)p->tokens_all : 0);
    return !interrupted();
}

// ------------------------------------------------------------------------------------------------- report

static void say_plan(const gyr_tune_info *i) {
    bool pairs = i->method == GYR_METHOD_DPO;
    say_dim("%zu examples (%zu %s), %llu tokens, %llu of them learned, longest %zu", i->examples, i->chats,
            pairs ? "pairs of answers" : "conversations", (unsigned long long)i->tokens, (unsigned long long)i->learned,
            i->longest);
    if (pairs) say_dim("direct preference optimization, beta %g", i->beta);
    say_dim("rank %u, alpha %g%s, learning rate %g, %u epochs of %zu steps, %s numbers; takes %s of memory", i->rank,
            i->alpha, i->rslora ? " (rsLoRA)" : "", i->learning_rate, i->epochs, i->steps / i->epochs,
            human_count((double)i->numbers), human_bytes((double)i->bytes));
    if (i->products == GYR_PRODUCTS_INT16) say_dim("sums over a layer's width are of integers of 16 bits");
    if (i->recomputed) say_dim("%u layers are computed again on the way back, to take no more", i->recomputed);
    if (i->cut) say_dim("%zu examples are cut off", i->cut);
    if (i->endless)
        say_error("note: the template ends no answer of %zu examples with a token that ends answers: the model will "
                  "not learn from them when to stop",
                  i->endless);
    if (i->done) say_dim("goes on from step %zu", i->done);
}

static void print_plan(const gyr_tune_info *i) {
    json_t *j =
        json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:f,s:f,s:I,s:I,s:I,s:I,s:I}", "conversations",
                  (json_int_t)i->chats, "examples", (json_int_t)i->examples, "tokens", (json_int_t)i->tokens, "learned",
                  (json_int_t)i->learned, "longest", (json_int_t)i->longest, "cut", (json_int_t)i->cut, "without_end",
                  (json_int_t)i->endless, "rank", (json_int_t)i->rank, "alpha", i->alpha, "learning_rate",
                  i->learning_rate, "epochs", (json_int_t)i->epochs, "steps", (json_int_t)i->steps, "done",
                  (json_int_t)i->done, "numbers", (json_int_t)i->numbers, "bytes", (json_int_t)i->bytes);
    json_object_set_new(j, "recomputed", json_integer((json_int_t)i->recomputed));
    json_object_set_new(j, "products", json_string(i->products == GYR_PRODUCTS_INT16 ? "int16" : "f32"));
    if (i->method == GYR_METHOD_DPO) json_object_set_new(j, "beta", json_real(i->beta));
    print_object(j);
}

static void close_report(const struct telling *t) {
    const gyr_tune_progress *p = &t->last;
    if (t->o->json) {
        print_object(json_pack("{s:s,s:I,s:o,s:o,s:o,s:o}", "adapter", t->o->output, "steps", (json_int_t)p->step,
                               "first_loss", number(t->first), "last_loss", number(p->loss), "seconds",
                               number(p->seconds), "tokens_per_second", number(rate_of(p))));
        return;
    }
    print("%s: loss %.4f at first, %.4f at the end; %llu tokens in %.0f s, %.0f tokens/s\n", t->o->output, t->first,
          p->loss, (unsigned long long)p->tokens_now, p->seconds, rate_of(p));
    const char *model = model_path(t->o->model);
    print("try it: gyr run %s%s%s--adapter %s \"...\"\n", model ? "-m " : "", model ? model : "", model ? " " : "",
          t->o->output);
}

// --------------------------------------------------------------------------------------------------- all

static gyr_tune_options options_of(const struct tune_options *o, struct telling *t) {
    const char *s = o->schedule;
    return (gyr_tune_options){
        .data = o->data,
        .valid = o->valid,
        .output = o->show || team_follows() ? NULL : o->output,
        .rank = (uint32_t)o->rank,
        .alpha = o->alpha,
        .epochs = (uint32_t)o->epochs,
        .batch = (uint32_t)o->batch,
        .context = (uint32_t)o->context,
        .cut = o->cut,
        .learning_rate = o->rate,
        .products = products_named(o->products),
        .schedule = !s || !strcmp(s, "linear") ? GYR_SCHEDULE_LINEAR
                    : !strcmp(s, "cosine")     ? GYR_SCHEDULE_COSINE
                                               : GYR_SCHEDULE_CONSTANT,
        .targets = o->targets,
        .optimizer = o->optimizer && !strcmp(o->optimizer, "muon") ? GYR_OPTIMIZER_MUON : GYR_OPTIMIZER_ADAMW,
        .rslora = o->rslora,
        .method = learns_pairs(o) ? GYR_METHOD_DPO : GYR_METHOD_SUPERVISED,
        .beta = o->beta,
        .memory = o->memory << 20,
        .warmup = o->warmup == 0 ? -1 : o->warmup,
        .weight_decay = o->decay,
        .clip = o->clip == 0 ? -1 : o->clip,
        .seed = o->seed,
        .threads = (uint32_t)o->threads,
        .resume = o->resume,
        .save_steps = (uint32_t)o->save_steps,
        .progress = team_follows() ? NULL : tell,
        .user = t,
        .ranks = team_joined(),
    };
}

static int train(gyr_tune *tune, struct telling *t) {
    gyr_error e = {0};
    gyr_tune_info info;
    gyr_tune_get_info(tune, &info);
    if (team_follows()) return gyr_tune_run(tune, &e) ? report(&e) : GYR_OK;
    if (t->o->json)
        print_plan(&info);
    else
        say_plan(&info);
    progress_start(&t->bar, "training", NULL, 0);
    gyr_status status = gyr_tune_run(tune, &e);
    progress_end(&t->bar);
    if (status) return report(&e);
    close_report(t);
    return GYR_OK;
}

static int tune(gyr_model *model, const struct tune_options *o) {
    gyr_error e = {0};
    struct telling t = {.o = o, .first = (double)NAN};
    gyr_tune_options all = options_of(o, &t);
    gyr_tune *tune = gyr_tune_open(model, &all, &e);
    if (!tune) return report(&e);
    int status = o->show ? tune_show(tune, gyr_model_tokenizer(model), o->json) : train(tune, &t);
    gyr_tune_close(tune);
    return status;
}

int verb_tune(int argc, char **argv) {
    struct tune_options o = {.warmup = 0.1, .clip = 1};
    int operands, status = options_parse(&syntax, argc, argv, &o, &operands);
    if (status) return status == PARSE_HELP ? GYR_OK : status;
    if (!o.data) return usage_error("tune: needs --data FILE, the conversations to learn from");
    if (!o.output && !o.show) return usage_error("tune: needs -o PATH, the adapter to write");
    signals_catch();
    team_whole();
    if (o.show && team_follows()) return GYR_OK;
    // What is only looked at needs no card, and nobody is answered: weights stay as the file has them.
    const char *device = o.show ? "cpu" : device_named(o.device);
    gyr_model_options how = {.threads = (uint32_t)o.threads, .device = device, .mapped = strcmp(device, "cpu") != 0};
    gyr_model *model = open_model(o.model, how, &status);
    if (!model) return status;
    if (!o.json && !o.show) say_device(model);
    status = tune(model, &o);
    gyr_model_close(model);
    return status;
}
