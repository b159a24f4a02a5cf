// Prefill and decode of some sequences at once, again and again, with this machine's roofs measured in between: its
// neighbours change them from minute to minute.
#include "measure.h"
#include "signals.h"

#include "progress.h"

#include <stdlib.h>
#include <string.h>

// Tokens of each sequence in one call, so that Ctrl-C does not wait for a long prompt.
enum { PIECE = 512 };

// A card's counter of its energy goes on in steps of up to a tenth of a second.
static const double energy_seconds = 1;

struct run {
    const struct measuring *how;
    gyr_model *model;
    size_t width;
    gyr_session **sessions;
    gyr_input *inputs;
    int32_t *ids; // [width][longest piece]
    uint32_t vocab;
    gyr_roofs roofs[MAX_REPEATS + 1];
    double prefill[MAX_REPEATS], decode[MAX_REPEATS]; // seconds
    gyr_energy_spent prefill_energy, decode_energy;   // of all repeats; of the least known basis
    size_t done, all;                                 // calls, for the progress
};

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

double median(double *values, size_t n) {
    qsort(values, n, sizeof *values, ascending);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static void step_done(struct run *r) {
    if (r->done < r->all) r->done++;
    gyr_energy_tick(r->how->energy);
    if (r->how->progress) r->how->progress(r->how->user, r->all ? (double)r->done / (double)r->all : 1);
}

// Fixed tokens, others for each sequence.
static int32_t token(const struct run *r, size_t sequence, size_t i) {
    return (int32_t)(((i + sequence) * 7919 % 20000 + 100) % r->vocab);
}

// Appends `n` tokens to every sequence, of which its prompt has had `from` before.
static gyr_status prefill(struct run *r, size_t from, size_t n, gyr_error *e) {
    gyr_status status = GYR_OK;
    for (size_t done = 0; done < n && !status; done += PIECE) {
        size_t count = n - done < PIECE ? n - done : PIECE;
        for (size_t s = 0; s < r->width; s++) {
            int32_t *ids = r->ids + s * PIECE;
            for (size_t i = 0; i < count; i++) ids[i] = token(r, s, from + done + i);
            r->inputs[s] = (gyr_input){r->sessions[s], ids, count, NULL};
        }
        status = interrupted() ? GYR_CANCELLED : gyr_sessions_feed(r->inputs, r->width, e);
        step_done(r);
    }
    return status;
}

// Generates greedily from token 5 on. The last token is chosen and not computed, as in every engine's generation.
static gyr_status decode(struct run *r, gyr_error *e) {
    static const gyr_sampling greedy = {.top_p = 1, .repetition_penalty = 1};
    gyr_status status = GYR_OK;
    for (size_t s = 0; s < r->width; s++) {
        r->ids[s] = 5;
        r->inputs[s] = (gyr_input){r->sessions[s], r->ids + s, 1, NULL};
    }
    for (size_t i = 0; i < r->how->generate && !status; i++) {
        status = interrupted() ? GYR_CANCELLED : gyr_sessions_feed(r->inputs, r->width, e);
        if (!status) status = gyr_sessions_sample(r->sessions, r->width, &greedy, NULL, r->ids, e);
        step_done(r);
    }
    return status;
}

static gyr_status look_at_roofs(struct run *r, size_t i, gyr_error *e) {
    if (!r->how->card) return gyr_measure_roofs(r->how->threads, 0, &r->roofs[i], e);
    // Nobody else's load changes a card's; where there is no room to measure, there is no limit.
    if (i)
        r->roofs[i] = r->roofs[0];
    else
        gyr_model_measure_read(r->model, &r->roofs[0].read, NULL);
    return GYR_OK;
}

static void add_energy(const struct run *r, size_t repeat, gyr_energy_spent *to) {
    gyr_energy_spent spent;
    gyr_energy_take(r->how->energy, &spent);
    to->joules += spent.joules;
    to->basis = !repeat || spent.basis < to->basis ? spent.basis : to->basis;
}

static gyr_status repeat(struct run *r, size_t i, gyr_error *e) {
    gyr_energy_spent before;
    gyr_energy_take(r->how->energy, &before);
    double start = seconds_now();
    gyr_status status = prefill(r, r->how->depth, r->how->prompt, e);
    r->prefill[i] = seconds_now() - start;
    add_energy(r, i, &r->prefill_energy); // which asks a driver, and takes milliseconds
    double middle = seconds_now();
    if (!status) status = decode(r, e);
    r->decode[i] = seconds_now() - middle;
    add_energy(r, i, &r->decode_energy);
    for (size_t s = 0; s < r->width; s++) gyr_session_truncate(r->sessions[s], r->how->depth);
    return status ? status : look_at_roofs(r, i + 1, e);
}

// What is measured is over too soon for a card's counter: again, until a second is over. *spent: as much as the repeats
// took.
static gyr_status spend(struct run *r, bool answer, gyr_energy_spent *spent, gyr_error *e) {
    size_t rounds = 0, depth = r->how->depth + (answer ? r->how->prompt : 0);
    gyr_status status = GYR_OK;
    double start = seconds_now();
    gyr_energy_take(r->how->energy, spent);
    do {
        status = answer ? decode(r, e) : prefill(r, depth, r->how->prompt, e);
        for (size_t s = 0; s < r->width; s++) gyr_session_truncate(r->sessions[s], depth);
        rounds++;
    } while (!status && seconds_now() - start < energy_seconds);
    gyr_energy_take(r->how->energy, spent);
    spent->joules *= (double)r->how->repeats / (double)rounds;
    return status;
}

static gyr_status spend_on_card(struct run *r, gyr_error *e) {
    gyr_energy_info info;
    gyr_status status = GYR_OK;
    gyr_energy_get_info(r->how->energy, &info);
    if (!r->how->card || !*info.source) return GYR_OK;
    if (r->how->prompt) status = spend(r, false, &r->prefill_energy, e);
    if (r->how->prompt && r->how->generate && !status) status = prefill(r, r->how->depth, r->how->prompt, e);
    if (r->how->generate && !status) status = spend(r, true, &r->decode_energy, e);
    return status;
}

// Seconds that the work takes at the least: reading and computing at the same time. *bound: which of them decides.
static double least_seconds(const gyr_work *w, const gyr_roofs *roofs, const char **bound) {
    const struct {
        const char *name;
        double seconds;
    } sums[] = {{"int8", w->int8 > 0 ? w->int8 / roofs->int8 : 0}, {"fp32", w->fp32 > 0 ? w->fp32 / roofs->fp32 : 0}};
    double read = w->read / roofs->read, compute = 0, most = -1;
    for (size_t i = 0; i < 2; i++) {
        compute += sums[i].seconds;
        if (sums[i].seconds <= most) continue;
        most = sums[i].seconds;
        *bound = sums[i].name;
    }
    if (read < compute) return compute;
    *bound = "read";
    return read;
}

// Steps that follow each other: a prompt is one of many tokens, an answer many of one.
struct steps {
    size_t n, tokens, depth;
};

static struct rate rate_of(const struct run *r, struct steps steps, const gyr_roofs *roofs, double *seconds,
                           const gyr_energy_spent *energy) {
    double tokens = (double)(r->width * steps.n * steps.tokens), least = 0;
    if (!tokens) return (struct rate){.bound = "none"};
    struct rate rate = {0};
    // What a card computes at most is not known: of an answer reading decides.
    bool known = !r->how->card || (steps.tokens == 1 && roofs->read > 0);
    for (size_t i = 0; i < steps.n && known; i++) {
        gyr_work work;
        gyr_model_get_work(r->model, r->how->kv_type, r->width, steps.tokens, steps.depth + i, &work);
        if (r->how->card) work.int8 = work.fp32 = 0;
        least += least_seconds(&work, roofs, &rate.bound);
    }
    rate.median = tokens / median(seconds, r->how->repeats);
    rate.high = tokens / seconds[0];
    rate.low = tokens / seconds[r->how->repeats - 1];
    if (known) rate.limit = tokens / least;
    rate.joules = energy->joules / tokens / (double)r->how->repeats;
    rate.basis = energy->basis;
    return rate;
}

static double median_roof(const struct run *r, size_t offset) {
    double values[MAX_REPEATS + 1];
    for (size_t i = 0; i <= r->how->repeats; i++) values[i] = *(const double *)((const char *)&r->roofs[i] + offset);
    return median(values, r->how->repeats + 1);
}

static gyr_status run(struct run *r, gyr_error *e) {
    size_t context = r->how->depth + r->how->prompt + r->how->generate;
    gyr_status status = GYR_OK;
    for (size_t s = 0; s < r->width && !status; s++) {
        r->sessions[s] =
            gyr_session_new(r->model, &(gyr_session_options){(uint32_t)context, r->how->kv_type, r->how->adapter}, e);
        if (!r->sessions[s]) status = e->status;
    }
    if (!status) status = prefill(r, 0, r->how->depth, e);
    if (!status) status = look_at_roofs(r, 0, e);
    for (size_t i = 0; i < r->how->repeats && !status; i++) status = repeat(r, i, e);
    return status ? status : spend_on_card(r, e);
}

static size_t pieces(size_t tokens) { return tokens / PIECE + (tokens % PIECE != 0); }

gyr_status measure(gyr_model *model, const struct measuring *how, size_t width, struct measured *out, gyr_error *e) {
    gyr_model_info info;
    gyr_model_get_info(model, &info);
    struct run *r = calloc(1, sizeof *r);
    gyr_session **sessions = calloc(width, sizeof *sessions);
    gyr_input *inputs = calloc(width, sizeof *inputs);
    int32_t *ids = calloc(width, PIECE * sizeof *ids);
    gyr_status status = GYR_OK;
    if (r && sessions && inputs && ids) {
        *r = (struct run){how, model, width, sessions, inputs, ids, info.vocab};
        r->all = pieces(how->depth) + how->repeats * (pieces(how->prompt) + how->generate);
        status = run(r, e);
        for (size_t s = 0; s < width; s++) gyr_session_free(sessions[s]);
    } else {
        *e = (gyr_error){GYR_NO_MEMORY, "bench: out of memory; close other programs"};
        status = e->status;
    }
    if (!status) {
        *out = (struct measured){.width = width};
        out->roofs = (gyr_roofs){median_roof(r, offsetof(gyr_roofs, read)), median_roof(r, offsetof(gyr_roofs, int8)),
                                 median_roof(r, offsetof(gyr_roofs, fp32))};
        out->prefill = rate_of(r, (struct steps){how->prompt > 0, how->prompt, how->depth}, &out->roofs, r->prefill,
                               &r->prefill_energy);
        out->decode = rate_of(r, (struct steps){how->generate, 1, how->depth + how->prompt}, &out->roofs, r->decode,
                              &r->decode_energy);
    }
    free(ids);
    free(inputs);
    free(sessions);
    free(r);
    return status;
}
