#include "perplexity.h"

#include "signals.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// Rows of logits that are held at once: a vocabulary of 262,144 makes 16 MB of them.
enum { AT_ONCE = 16 };

// -log of the softmax at `id`, in double precision.
static double surprise(const float *row, size_t n, int32_t id) {
    double most = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++)
        if ((double)row[i] > most) most = (double)row[i];
    for (size_t i = 0; i < n; i++) sum += exp((double)row[i] - most);
    return log(sum) + most - (double)row[id];
}

// A window: the tokens fed, and which of them are scored.
struct window {
    int32_t *ids;
    size_t n, first; // scored are ids[first .. n)
    float *rows;
    size_t vocab;
};

static void score(struct perplexity *p, const struct window *w, size_t at, size_t n) {
    for (size_t i = 0; i < n; i++) {
        double x = surprise(w->rows + i * w->vocab, w->vocab, w->ids[at + i + 1]);
        p->sum += x;
        p->sum_of_squares += x * x;
        p->scored++;
    }
}

// The bytes that ids[first .. n) stand for, as they do after the token in front of them.
static gyr_status count_bytes(struct perplexity *p, const struct window *w, gyr_error *e) {
    const gyr_tokenizer *t = gyr_model_tokenizer(p->model);
    size_t both = 0, before = 0;
    char *a = gyr_detokenize(t, w->ids + w->first - 1, w->n - w->first + 1, true, &both, e);
    char *b = a ? gyr_detokenize(t, w->ids + w->first - 1, 1, true, &before, e) : NULL;
    if (b) p->bytes += both - before;
    gyr_free(a);
    gyr_free(b);
    return b ? GYR_OK : GYR_NO_MEMORY;
}

// The token at i predicts the one at i + 1: the last is not fed, and rows count from the one before `first`.
static gyr_status measure_window(struct perplexity *p, const struct window *w, double done, double share,
                                 gyr_error *e) {
    gyr_session_truncate(p->session, 0);
    size_t rows = w->first - 1, last = w->n - 1;
    for (size_t at = 0; at < last;) {
        bool wanted = at >= rows;
        size_t stop = wanted ? last : rows, n = stop - at < AT_ONCE ? stop - at : AT_ONCE;
        gyr_status status = gyr_session_feed(p->session, w->ids + at, n, wanted ? w->rows : NULL, e);
        if (status) return status;
        if (wanted) score(p, w, at, n);
        at += n;
        progress_at(p->bar, done + share * (double)at / (double)last);
        if (interrupted()) return GYR_CANCELLED;
    }
    p->windows++;
    return count_bytes(p, w, e);
}

static gyr_status side_by_side(struct perplexity *p, struct window *w, gyr_error *e) {
    size_t n = p->text->count, size = n < p->context ? n : p->context, windows = n / size, lead = p->begin->count;
    for (size_t i = 0; i < windows; i++) {
        memcpy(w->ids, p->text->ids + i * size, size * sizeof *w->ids);
        if (lead && lead < size / 2) memcpy(w->ids, p->begin->ids, lead * sizeof *w->ids);
        w->n = size;
        w->first = size / 2 + 1;
        double share = 1 / (double)windows;
        gyr_status status = measure_window(p, w, share * (double)i, share, e);
        if (status) return status;
    }
    return GYR_OK;
}

static gyr_status sliding(struct perplexity *p, struct window *w, gyr_error *e) {
    size_t lead = p->begin->count, n = p->text->count + lead, done = lead ? lead : 1;
    int32_t *all = calloc(n, sizeof *all);
    gyr_status status = all ? GYR_OK : GYR_NO_MEMORY;
    if (!all) *e = (gyr_error){GYR_NO_MEMORY, "perplexity: out of memory; give less text"};
    if (all && lead) memcpy(all, p->begin->ids, lead * sizeof *all);
    if (all) memcpy(all + lead, p->text->ids, p->text->count * sizeof *all);
    for (size_t begin = 0; !status && done < n; begin += p->stride) {
        size_t end = n - begin < p->context ? n : begin + p->context;
        if (end <= done) continue;
        memcpy(w->ids, all + begin, (end - begin) * sizeof *w->ids);
        w->n = end - begin;
        w->first = done > begin ? done - begin : 1;
        status = measure_window(p, w, (double)done / (double)n, (double)(end - done) / (double)n, e);
        done = end;
    }
    free(all);
    return status;
}

gyr_status perplexity_measure(struct perplexity *p, gyr_error *e) {
    gyr_model_info info;
    gyr_model_get_info(p->model, &info);
    if (info.bidirectional) {
        *e = (gyr_error){GYR_UNSUPPORTED, "eval: this model's tokens see those that come after them, so that it "
                                          "predicts nothing; take another model"};
        return GYR_UNSUPPORTED;
    }
    struct window w = {.vocab = info.vocab};
    w.ids = calloc(p->context, sizeof *w.ids);
    w.rows = calloc(AT_ONCE, info.vocab * sizeof *w.rows);
    gyr_status status = GYR_NO_MEMORY;
    if (w.ids && w.rows)
        status = (p->stride ? sliding : side_by_side)(p, &w, e);
    else
        *e = (gyr_error){GYR_NO_MEMORY, "perplexity: out of memory; close other programs"};
    free(w.ids);
    free(w.rows);
    return status;
}

double perplexity_mean(const struct perplexity *p) { return p->sum / (double)p->scored; }

double perplexity_error(const struct perplexity *p) {
    double n = (double)p->scored, mean = perplexity_mean(p), variance = p->sum_of_squares / n - mean * mean;
    return p->scored > 1 && variance > 0 ? sqrt(variance / (n - 1)) : 0;
}

double perplexity_bits_per_byte(const struct perplexity *p) {
    return p->bytes ? p->sum / log(2) / (double)p->bytes : NAN;
}
