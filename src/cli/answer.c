// Generating and printing one answer, and the line that follows it.
#include "open.h"
#include "output.h"
#include "progress.h"
#include "run.h"
#include "signals.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void sampling_of(const struct talk *t, gyr_sampling *s) {
    const struct run_options *o = t->options;
    gyr_sampling_defaults(t->model, s);
    if (!isnan(o->temperature)) s->temperature = (float)o->temperature;
    if (!isnan(o->top_p)) s->top_p = (float)o->top_p;
    if (!isnan(o->min_p)) s->min_p = (float)o->min_p;
    if (!isnan(o->repeat_penalty)) s->repetition_penalty = (float)o->repeat_penalty;
    if (!isnan(o->presence_penalty)) s->presence_penalty = (float)o->presence_penalty;
    if (!isnan(o->frequency_penalty)) s->frequency_penalty = (float)o->frequency_penalty;
    if (o->top_k != WHOLE_UNSET) s->top_k = (uint32_t)o->top_k;
    s->bias_ids = o->bias.ids;
    s->bias_values = o->bias.values;
    s->bias_count = o->bias.count;
    s->seed = o->seed;
}

struct printing {
    bool json;
    FILE *text; // collects the answer
    struct progress bar;
    size_t prompt;
    gyr_matcher *matcher; // NULL: the answer may be anything
    gyr_error why;        // what the matcher failed with
};

static void print_json(json_t *object) {
    char *line = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(9));
    if (line) print("%s\n", line);
    free(line);
    json_decref(object);
}

static bool on_piece(void *user, const char *text, size_t size) {
    struct printing *p = user;
    progress_end(&p->bar);
    fwrite(text, 1, size, p->text);
    if (p->json)
        print_json(json_pack("{s:s, s:s%}", "type", "piece", "text", text, size));
    else
        print_text(text, size);
    return print_flush() && !interrupted();
}

static bool on_prefill(void *user, size_t done, size_t total) {
    struct printing *p = user;
    progress_at(&p->bar, total ? (double)done / (double)total : 1);
    return !interrupted();
}

static bool on_mask(void *user, uint32_t *allowed) {
    struct printing *p = user;
    return gyr_matcher_mask(p->matcher, allowed, &p->why) == GYR_OK;
}

static bool on_token(void *user, const gyr_token *token) {
    struct printing *p = user;
    return gyr_matcher_accept(p->matcher, token->id, &p->why) == GYR_OK;
}

// gyr_generate(), with a receipt of what it did.
static gyr_status generate(struct talk *t, const int32_t *ids, size_t count, const gyr_generate_options *options,
                           struct answer *a, gyr_error *e) {
    gyr_receipt_options receipt = {
        .name = model_label(t->options->model), .path = model_path(t->options->model), .grammar = t->grammar};
    gyr_energy_take(t->energy, &a->energy);
    gyr_answer *answer = gyr_answer_new(t->session, ids, count, options, e);
    gyr_status status = answer ? GYR_OK : e->status;
    while (!status && !gyr_answer_done(answer)) {
        status = gyr_answers_step(&answer, 1, 0, e);
        gyr_energy_tick(t->energy);
    }
    gyr_energy_take(t->energy, &a->energy);
    if (answer) gyr_answer_get_stats(answer, &a->stats);
    if (!status && a->stats.prompt_tokens < count) status = GYR_CANCELLED;
    if (!status && t->options->receipt) {
        a->receipt = gyr_answer_receipt(answer, &receipt, e);
        status = a->receipt ? GYR_OK : e->status;
    }
    gyr_answer_free(answer);
    return status;
}

int give_answer(struct talk *t, const int32_t *ids, size_t count, struct answer *a) {
    gyr_sampling sampling;
    sampling_of(t, &sampling);
    struct printing p = {.json = t->options->json, .text = open_memstream(&a->text, &a->size)};
    if (!p.text) {
        say_error("out of memory for the answer; close other programs");
        return GYR_NO_MEMORY;
    }
    gyr_error e = {0};
    if (t->grammar && !(p.matcher = gyr_matcher_new(t->grammar, &e))) {
        fclose(p.text);
        return report(&e);
    }
    progress_start(&p.bar, "reading the prompt", "tokens", (double)count);
    gyr_generate_options options = {.sampling = &sampling,
                                    .max_tokens = t->options->max_tokens,
                                    .stop = t->options->stop.items,
                                    .stop_count = t->options->stop.count,
                                    .ignore_end = t->options->ignore_end,
                                    .piece = on_piece,
                                    .prefill = on_prefill,
                                    .mask = p.matcher ? on_mask : NULL,
                                    .token = p.matcher ? on_token : NULL,
                                    .user = &p};
    gyr_status status = generate(t, ids, count, &options, a, &e);
    progress_end(&p.bar);
    fclose(p.text);
    gyr_matcher_free(p.matcher);
    a->interrupted = interrupted();
    if (p.why.status) return report(&p.why);
    if (status == GYR_CANCELLED) {
        a->stats.stop = GYR_STOP_CALLER;
        return GYR_OK;
    }
    return status ? report(&e) : GYR_OK;
}

static double rate(size_t tokens, double seconds) { return seconds > 0 ? (double)tokens / seconds : 0; }

// The share of the machine's memory bandwidth that decoding used; 0 if it cannot be told.
static double bandwidth_share(struct talk *t, const gyr_generate_stats *s) {
    if (!s->answer_tokens || s->answer_seconds <= 0 || !s->bytes_read) return 0;
    uint32_t threads = (uint32_t)t->options->threads;
    bool card = strcmp(t->info.device, "cpu") != 0;
    if (t->bandwidth <= 0 && (card ? gyr_model_measure_read(t->model, &t->bandwidth, NULL)
                                   : gyr_measure_bandwidth(threads, 0.2, &t->bandwidth, NULL)))
        t->bandwidth = 0;
    return t->bandwidth > 0 ? (double)s->bytes_read / s->answer_seconds / t->bandwidth : 0;
}

static json_t *energy_json(const struct talk *t, const gyr_energy_spent *spent) {
    gyr_energy_info info;
    gyr_energy_get_info(t->energy, &info);
    json_t *o = json_pack("{s:o, s:s}", "joules", spent->basis ? json_real(spent->joules) : json_null(), "basis",
                          gyr_energy_basis_name(spent->basis));
    json_object_set_new(o, *info.source ? "source" : "why", json_string(*info.source ? info.source : info.why));
    return o;
}

static void end_json(struct talk *t, const struct answer *a) {
    static const char *const stops[] = {[GYR_STOP_END] = "end",
                                        [GYR_STOP_STRING] = "string",
                                        [GYR_STOP_LENGTH] = "length",
                                        [GYR_STOP_CALLER] = "cancelled"};
    const gyr_generate_stats *s = &a->stats;
    const char *stop = s->stop >= GYR_STOP_END && s->stop <= GYR_STOP_CALLER ? stops[s->stop] : "end";
    json_t *stats = json_pack("{s:I, s:I, s:f, s:f, s:I}", "prompt_tokens", (json_int_t)s->prompt_tokens,
                              "answer_tokens", (json_int_t)s->answer_tokens, "prompt_seconds", s->prompt_seconds,
                              "answer_seconds", s->answer_seconds, "bytes_read", (json_int_t)s->bytes_read);
    double share = t->options->stats ? bandwidth_share(t, s) : 0;
    json_object_set_new(stats, "load_seconds", json_real(t->load_seconds));
    json_object_set_new(stats, "energy", energy_json(t, &a->energy));
    if (share > 0) {
        json_object_set_new(stats, "memory_bandwidth", json_real(t->bandwidth));
        json_object_set_new(stats, "memory_bandwidth_share", json_real(share));
    }
    print_json(
        json_pack("{s:s, s:s%, s:s, s:o}", "type", "done", "text", a->text, a->size, "stop", stop, "stats", stats));
    print_flush();
}

static void end_line(struct talk *t, const struct answer *a) {
    const gyr_generate_stats *s = &a->stats;
    char load[32] = "", prompt_rate[32] = "", answer[32] = "", share[48] = "", energy[48] = "energy unknown";
    double r = rate(s->prompt_tokens, s->prompt_seconds), part = bandwidth_share(t, s);
    if (r > 0) snprintf(prompt_rate, sizeof prompt_rate, ", %.*f/s", r < 10, r);
    r = rate(s->answer_tokens, s->answer_seconds);
    if (r > 0) snprintf(answer, sizeof answer, ", %.*f/s", r < 10, r);
    if (part > 1) snprintf(share, sizeof share, " (from cache)");
    if (part > 0 && part <= 1) snprintf(share, sizeof share, " (%.0f%% of memory bandwidth)", part * 100);
    if (a->energy.basis)
        snprintf(energy, sizeof energy, "%.3g J (%s)", a->energy.joules, gyr_energy_basis_name(a->energy.basis));
    if (t->options->stats && t->load_seconds > 0) snprintf(load, sizeof load, "loaded in %.2f s; ", t->load_seconds);
    t->load_seconds = 0; // once
    say_dim("%s%zu prompt token%s%s; %zu answer token%s%s%s; %s", load, s->prompt_tokens,
            s->prompt_tokens == 1 ? "" : "s", prompt_rate, s->answer_tokens, s->answer_tokens == 1 ? "" : "s", answer,
            share, energy);
}

void end_answer(struct talk *t, const struct answer *a) {
    if (t->options->json) {
        end_json(t, a);
        return;
    }
    if (!a->size || a->text[a->size - 1] != '\n') print_raw("\n", 1);
    if (!print_flush()) return;
    if (t->options->stats || err_is_terminal()) end_line(t, a);
}
