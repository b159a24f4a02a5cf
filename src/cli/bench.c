// gyr bench: what this machine does at most, and how near a model's prefill and decode come to it.
#include "measure.h"
#include "open.h"
#include "options.h"
#include "output.h"
#include "progress.h"
#include "ranks.h"
#include "signals.h"
#include "verbs.h"

#include <jansson.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_WIDTHS = 16, MAX_SEQUENCES = 1024 };

struct bench_options {
    const char *model, *adapter, *batch, *kv_type, *device_name, *split;
    uint64_t prompt, generate, context, threads, repeat, gpu_layers;
    bool json, oversize, lock, no_cache, cpu_experts, no_cpu;
};

#define FIELD(name) offsetof(struct bench_options, name)

static const struct option options[] = {
    {"model", 'm', "FILE", "GGUF file or folder (else $GYR_MODEL, else poet)", OPTION_TEXT, FIELD(model)},
    {"adapter", 0, "PATH", "a LoRA adapter: a PEFT folder or a GGUF file", OPTION_TEXT, FIELD(adapter)},
    {"prompt", 'p', "N", "tokens of each prompt (512; 0: no prefill)", OPTION_WHOLE, FIELD(prompt), 0, 1e7},
    {"generate", 'n', "N", "tokens of each answer (32; 0: no decode)", OPTION_WHOLE, FIELD(generate), 0, 1e7},
    {"batch", 'b', "LIST", "numbers of sequences at once (1,4,16)", OPTION_TEXT, FIELD(batch)},
    {"context", 'c', "N", "tokens in each sequence before it begins (0)", OPTION_WHOLE, FIELD(context), 0, 1e7},
    {"repeat", 0, "N", "times to measure, for medians (3)", OPTION_WHOLE, FIELD(repeat), 1, MAX_REPEATS},
    {"json", 0, NULL, "print JSON, an object for each number of sequences", OPTION_FLAG, FIELD(json)},
    {"threads", 't', "N", "worker threads (else one for each CPU)", OPTION_WHOLE, FIELD(threads), 1, 1024,
     "Where it runs"},
    {"device", 0, "NAME", "cpu, or a card (else $GYR_DEVICE, else auto)", OPTION_TEXT, FIELD(device_name)},
    {"gpu-layers", 0, "N", "layers on the card, the others on the CPU", OPTION_WHOLE, FIELD(gpu_layers), 1, 1e6},
    {"cpu-experts", 0, NULL, "a mixture's experts stay on the CPU", OPTION_FLAG, FIELD(cpu_experts)},
    {"no-cpu", 0, NULL, "refuse what the cards have no room for", OPTION_FLAG, FIELD(no_cpu)},
    {"split", 0, SPLITS, "how ranks or cards share the model", OPTION_CHOICE, FIELD(split)},
    {"kv-type", 0, KV_TYPES, "the KV cache's type", OPTION_CHOICE, FIELD(kv_type), .alias = "kv", .group = "Memory"},
    {"oversize", 0, NULL, "run a model larger than memory, from the disk", OPTION_FLAG, FIELD(oversize)},
    {"lock", 0, NULL, "keep the weights in memory", OPTION_FLAG, FIELD(lock)},
    {"no-cache", 0, NULL, "keep neither the weights' fast form nor the rates", OPTION_FLAG, FIELD(no_cache)},
    {0}};

static const struct syntax syntax = {"bench",
                                     "",
                                     "Measure a model's speed, and how near it is to what this machine could do.",
                                     "gyr bench -m falcon-7b.gguf -b 1,16",
                                     options,
                                     0,
                                     0};

static size_t parse_widths(const char *list, size_t widths[MAX_WIDTHS]) {
    size_t n = 0;
    for (const char *p = list; n < MAX_WIDTHS; p++) {
        char *end;
        unsigned long w = strtoul(p, &end, 10);
        if (end == p || *p < '0' || *p > '9' || !w || w > MAX_SEQUENCES || (*end && *end != ',')) break;
        widths[n++] = w;
        if (!*end) return n;
        p = end;
    }
    return 0;
}

static size_t most_of(const size_t *widths, size_t n) {
    size_t most = 0;
    for (size_t i = 0; i < n; i++) most = widths[i] > most ? widths[i] : most;
    return most;
}

struct bench {
    const struct bench_options *o;
    gyr_model *model;
    gyr_model_info info;
    gyr_device_info device;
    struct measuring how;
    struct progress bar;
    size_t at, widths; // the one being measured, and how many there are
};

static void advance(void *user, double fraction) {
    struct bench *b = user;
    progress_at(&b->bar, ((double)b->at + fraction) / (double)b->widths);
}

static void print_head(const struct bench *b) {
    print("%s: %s, %s parameters, %s, loaded in %.2f s; ", model_label(b->o->model), b->info.types,
          human_count((double)b->info.parameters), human_bytes((double)b->info.weight_bytes), b->how.load);
    if (b->how.card) {
        print("%s, %s\n", b->device.name, b->device.isa);
    } else {
        print("%u thread%s, %s\n", b->how.threads, b->how.threads == 1 ? "" : "s", b->device.isa);
    }
    print("%-24s %10s %19s %10s  %-6s %6s %9s\n", "", "tokens/s", "low - high", "limit", "by", "of it", "J/token");
}

static void print_rate(const char *what, size_t tokens, const struct measured *m, const struct rate *r) {
    char label[64], spread[64], joules[32] = "unknown";
    if (!r->median) return;
    if (r->basis) snprintf(joules, sizeof joules, "%.3g", r->joules);
    snprintf(label, sizeof label, "%s %zu x %zu", what, m->width, tokens);
    snprintf(spread, sizeof spread, "%.1f - %.1f", r->low, r->high);
    print("%-24s %10.1f %19s", label, r->median, spread);
    if (r->limit > 0)
        print(" %10.1f  %-6s %5.1f%%", r->limit, r->bound, 100 * r->median / r->limit);
    else
        print(" %10s  %-6s %6s", "-", "-", "-");
    print(" %9s\n", joules);
}

// The roofs of all widths: the median, and how far they were apart.
static void print_roofs(const struct measured *m, size_t n, bool card) {
    static const struct {
        size_t offset;
        const char *name, *unit;
    } rows[] = {{offsetof(gyr_roofs, read), "read", "GB/s"},
                {offsetof(gyr_roofs, int8), "int8", "Gop/s"},
                {offsetof(gyr_roofs, fp32), "fp32", "Gop/s"}};
    print("\nthis %s at most:", card ? "card" : "machine");
    for (size_t i = 0; i < (card ? 1 : sizeof rows / sizeof *rows); i++) {
        double values[MAX_WIDTHS];
        for (size_t k = 0; k < n; k++) values[k] = *(const double *)((const char *)&m[k].roofs + rows[i].offset) / 1e9;
        double middle = median(values, n);
        print("%s %s %.*f %s", i ? "," : "", rows[i].name, i ? 0 : 1, middle, rows[i].unit);
        if (n > 1) print(" (%.*f-%.*f)", i ? 0 : 1, values[0], i ? 0 : 1, values[n - 1]);
    }
    print("\n");
}

// Where the energy is from, or why it is not known; of several lines, how sure the least sure is.
static void print_energy(const struct bench *b, const struct measured *m, size_t n) {
    gyr_energy_info info;
    gyr_energy_basis least = GYR_ENERGY_MEASURED;
    gyr_energy_get_info(b->how.energy, &info);
    for (size_t i = 0; i < n; i++) {
        if (m[i].prefill.median && m[i].prefill.basis < least) least = m[i].prefill.basis;
        if (m[i].decode.median && m[i].decode.basis < least) least = m[i].decode.basis;
    }
    print("energy: %s%s%s%s%s\n", gyr_energy_basis_name(least), *info.source ? ", by " : "", info.source,
          *info.why ? "; " : "", info.why);
}

static void put_energy(json_t *o, const char *what, const struct rate *r) {
    char key[64];
    snprintf(key, sizeof key, "%s_joules_per_token", what);
    json_object_set_new(o, key, r->basis ? json_real(r->joules) : json_null());
    snprintf(key, sizeof key, "%s_energy_basis", what);
    json_object_set_new(o, key, json_string(gyr_energy_basis_name(r->basis)));
}

// What is not known, as a card's limit of prefill, is left out.
static void put_rate(json_t *o, const char *what, const struct rate *r) {
    static const char *const ends[] = {"tokens_per_s", "low", "high", "limit", "fraction"};
    const double values[] = {r->median, r->low, r->high, r->limit, r->median / r->limit};
    char key[64];
    if (!r->median) return;
    for (size_t i = 0; i < (r->limit > 0 ? sizeof ends / sizeof *ends : 3); i++) {
        snprintf(key, sizeof key, "%s_%s", what, ends[i]);
        json_object_set_new(o, key, json_real(values[i]));
    }
    snprintf(key, sizeof key, "%s_bound", what);
    if (r->limit > 0) json_object_set_new(o, key, json_string(r->bound));
    put_energy(o, what, r);
}

static void print_json(const struct bench *b, const struct measured *m) {
    const struct measuring *h = &b->how;
    json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:f}", "engine", "gyr", "version",
                          gyr_version(), "model", model_label(b->o->model), "types", b->info.types, "isa",
                          b->device.isa, "threads", (json_int_t)h->threads, "sequences", (json_int_t)m->width, "prompt",
                          (json_int_t)h->prompt, "generate", (json_int_t)h->generate, "context", (json_int_t)h->depth,
                          "repeats", (json_int_t)h->repeats, "load_s", h->load);
    put_rate(o, "prefill", &m->prefill);
    put_rate(o, "decode", &m->decode);
    if (!h->card)
        json_object_set_new(
            o, "roofs",
            json_pack("{s:f, s:f, s:f}", "read", m->roofs.read, "int8", m->roofs.int8, "fp32", m->roofs.fp32));
    else if (m->roofs.read > 0)
        json_object_set_new(o, "roofs", json_pack("{s:f}", "read", m->roofs.read));
    gyr_energy_info info;
    gyr_energy_get_info(h->energy, &info);
    json_object_set_new(o, *info.source ? "energy_source" : "energy_why",
                        json_string(*info.source ? info.source : info.why));
    char *text = json_dumps(o, JSON_REAL_PRECISION(6));
    if (text) print("%s\n", text);
    free(text);
    json_decref(o);
}

// The device that the model is on.
static gyr_status look_at_device(struct bench *b, gyr_error *e) {
    size_t i = 0;
    gyr_status status = gyr_device_find(b->info.device, &i, e);
    if (!status) status = gyr_device_get_info(i, &b->device, e);
    b->how.card = !b->device.threads;
    return status;
}

static void keep_card(const struct bench *b, const struct measured *m) {
    gyr_error e = {0};
    if (b->o->no_cache || b->info.cards || !(m->roofs.read > 0) || !gyr_plan_keep_read(&b->device, m->roofs.read, &e))
        return;
    say_dim("not kept for gyr devices: %s", e.message);
}

// For plans. That it cannot be kept is said, and no failure of the measuring.
static void keep(const struct bench *b, const struct measured *m, size_t n) {
    gyr_plan_measured kept[MAX_WIDTHS];
    const struct measuring *h = &b->how;
    gyr_error e = {0};
    gyr_plan_options o = {.model = model_path(b->o->model), .threads = (uint32_t)b->o->threads, .kv_type = h->kv_type};
    bool alone = !team_joined() || gyr_ranks_count(team_joined()) < 2; // plans are of one machine
    if (b->o->no_cache || h->adapter || !o.model || !alone) return;
    for (size_t i = 0; i < n; i++)
        kept[i] = (gyr_plan_measured){.sequences = (uint32_t)m[i].width,
                                      .prompt = h->prompt,
                                      .generate = h->generate,
                                      .context = h->depth,
                                      .prefill = m[i].prefill.median,
                                      .decode = m[i].decode.median};
    if (gyr_plan_keep(&o, kept, n, &e)) say_dim("not kept for gyr plan: %s", e.message);
}

static int bench(struct bench *b, const size_t *widths) {
    struct measured all[MAX_WIDTHS];
    gyr_error e = {0};
    gyr_status status = look_at_device(b, &e);
    if (!b->how.threads) b->how.threads = b->device.threads;
    if (!b->o->json && !status) print_head(b);
    progress_start(&b->bar, "measuring", NULL, 0);
    for (b->at = 0; b->at < b->widths && !status; b->at++) {
        struct measured *m = &all[b->at];
        print_flush();
        status = measure(b->model, &b->how, widths[b->at], m, &e);
        progress_end(&b->bar);
        if (status) break;
        if (b->o->json) {
            print_json(b, m);
        } else {
            print_rate("prefill", b->how.prompt, m, &m->prefill);
            print_rate("decode", b->how.generate, m, &m->decode);
        }
    }
    progress_end(&b->bar);
    if (b->at && !b->o->json && all->roofs.read > 0) print_roofs(all, b->at, b->how.card);
    if (b->at && !b->o->json) print_energy(b, all, b->at);
    if (!status && b->how.card) keep_card(b, all);
    if (!status && !b->how.card) keep(b, all, b->at);
    return status == GYR_CANCELLED ? (int)status : status ? report(&e) : GYR_OK;
}

int verb_bench(int argc, char **argv) {
    struct bench_options o = {.batch = "1,4,16", .prompt = 512, .generate = 32, .repeat = 3};
    size_t widths[MAX_WIDTHS];
    int operands, status = options_parse(&syntax, argc, argv, &o, &operands);
    if (status) return status == PARSE_HELP ? GYR_OK : status;
    struct bench b = {.o = &o, .widths = parse_widths(o.batch, widths)};
    if (!b.widths)
        return usage_error("--batch: \"%s\" is not a list of at most %d numbers from 1 to %d, such as 1,4,16", o.batch,
                           MAX_WIDTHS, MAX_SEQUENCES);
    if (!o.prompt && !o.generate) return usage_error("bench: --prompt 0 and --generate 0 leave nothing to measure");
    b.how = (struct measuring){.prompt = o.prompt,
                               .generate = o.generate,
                               .depth = o.context,
                               .repeats = o.repeat,
                               .threads = (uint32_t)o.threads,
                               .kv_type = kv_type_named(o.kv_type),
                               .progress = advance,
                               .user = &b};
    gyr_model_options how = {.threads = (uint32_t)o.threads,
                             .device = o.device_name,
                             .gpu_layers = (uint32_t)o.gpu_layers,
                             .cpu_experts = o.cpu_experts,
                             .no_cpu = o.no_cpu,
                             .oversize = o.oversize,
                             .lock = o.lock,
                             .cache = !o.no_cache,
                             .kv_type = kv_type_named(o.kv_type),
                             .split = split_named(o.split, GYR_SPLIT_AUTO)};
    how.sequences = (uint32_t)most_of(widths, b.widths);
    how.tokens = how.sequences * (o.context + o.prompt + o.generate);
    if (team_follow(o.model, how, &status)) return status;
    signals_catch();
    double begun = seconds_now();
    b.model = open_model(o.model, how, &status);
    b.how.load = seconds_now() - begun;
    if (!b.model) return status;
    gyr_adapter *adapter = NULL;
    gyr_error e = {0};
    gyr_model_get_info(b.model, &b.info);
    if (!(b.how.energy = gyr_energy_new(b.info.device, &e))) {
        status = report(&e);
    } else if (open_adapter(b.model, o.adapter, &adapter, &status)) {
        b.how.adapter = adapter;
        if (!o.json) say_device(b.model);
        status = bench(&b, widths);
    }
    gyr_adapter_close(adapter);
    gyr_energy_free(b.how.energy);
    gyr_model_close(b.model);
    return status;
}
