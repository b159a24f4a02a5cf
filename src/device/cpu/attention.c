// Attention of a block of queries, rows and heads that share a page table and a key and value head, to one span of
// positions whose keys and values are floats or halves (of codes: attention_q8.c); and the sum of spans (Milakov and
// Gimelshein, "Online normalizer calculation for softmax", 2018).
#include "device/cpu/isa.h"
#include "device/cpu/panel.h"
#include "device/cpu/span.h"
#include "device/cpu/widen.h"

// Where few queries read a page it is read as it lies, and what comes next is fetched meanwhile.
static struct panel lying(const struct job *j, size_t page, bool values) {
    const uint8_t *b = page_at(j, page, values, j->s->page), *next = page_after(j, page, values);
    struct panel p = {.b = b, .ahead = (size_t)next - (size_t)b};
    p.stored = j->a->kv.type == TYPE_F32 ? STORED_FLOATS : STORED_HALVES;
    p.ldb = values ? j->a->kv.value_dim : PAGE_TOKENS;
    return p;
}

// Where many do it is turned into floats.
static struct panel widened(const struct job *j, size_t page, bool values) {
    const struct attention *a = j->a;
    struct panel p = {STORED_FLOATS, (const uint8_t *)j->s->wide, .ldb = values ? part_cols(a) : PAGE_TOKENS};
    fetch(page_after(j, page, values), kv_head_bytes(a->kv.type, values ? a->kv.value_dim : a->kv.key_dim));
    const uint8_t *b = page_at(j, page, values, j->s->page);
    if (values)
        widen_values(a->kv.type, b, a->kv.value_dim, p.ldb, j->s->wide);
    else
        widen_run(a->kv.type, b, PAGE_TOKENS * a->kv.key_dim, j->s->wide);
    return p;
}

static struct panel open_page(const struct job *j, size_t page, bool values) {
    bool whole = !values || part_cols(j->a) == j->a->kv.value_dim;
    return whole && (j->n <= PANEL || j->a->kv.type == TYPE_F32) ? lying(j, page, values) : widened(j, page, values);
}

static void score(const struct job *j) {
    for (size_t page = j->first_page; page < j->last_page; page++) {
        struct panel p = open_page(j, page, false);
        size_t first = page * PAGE_TOKENS;
        for (size_t i = 0; i < j->n; i += PANEL) {
            size_t rows = least(PANEL, j->n - i);
            if (!any_sees(j, i, rows, first, first + PAGE_TOKENS)) continue;
            struct sums s = {j->query + i, .k = j->a->kv.key_dim, .c = scores_of(j, i) + first, .ldc = SPAN};
            panel_run(&p, &s, rows, PAGE_TOKENS);
        }
    }
}

// Weights of a span's values in place of the scores: e^(score - max), zeros around them to whole lanes.
static struct softmax weigh(struct seen s, float *x) {
    size_t first = s.first / LANES * LANES, last = (s.last + LANES - 1) / LANES * LANES;
    for (size_t t = first; t < s.first; t++) x[t] = -INFINITY;
    for (size_t t = s.last; t < last; t++) x[t] = -INFINITY;
    float max = max_of(x, first, last);
    for (size_t t = first; t < last; t += VEC) vec_store(x + t, vec_exp(vec_load(x + t) - max));
    for (size_t t = first; t < s.first; t++) x[t] = 0;
    for (size_t t = s.last; t < last; t++) x[t] = 0;
    struct lanes sum = {{0}, {0}};
    for (size_t t = first; t < last; t += LANES) {
        sum.low += load8(x + t);
        sum.high += load8(x + t + 8);
    }
    return (struct softmax){max, fold16(sum)};
}

// A page, and the parts of the queries that it is added to.
struct adding {
    const struct job *j;
    struct panel panel;
    size_t start; // of the page in the span
    float *parts;
};

// Adds tokens [first, last) of the page for `rows` queries from i on.
static void add_tokens(const struct adding *to, size_t i, size_t rows, size_t first, size_t last) {
    if (first >= last) return;
    size_t ldc = part_floats(to->j->a);
    struct sums s = {.a = to->j->weight + i, .from = to->start + first, .first = first, .k = last - first};
    s.c = to->parts + i * ldc;
    s.ldc = ldc;
    s.more = true;
    panel_run(&to->panel, &s, rows, to->panel.ldb);
}

// What all see of a page they take together, what lies before and after alone.
static void add_page(const struct adding *to, size_t i, size_t rows) {
    size_t start = to->start, first = 0, last = PAGE_TOKENS;
    struct seen seen[PANEL];
    for (size_t k = 0; k < rows; k++) {
        struct seen s = to->j->seen[i + k];
        seen[k] = (struct seen){least(most(s.first, start) - start, PAGE_TOKENS),
                                least(most(s.last, start) - start, PAGE_TOKENS)};
        first = most(first, seen[k].first);
        last = least(last, seen[k].last);
    }
    if (first >= last) {
        for (size_t k = 0; k < rows; k++) add_tokens(to, i + k, 1, seen[k].first, seen[k].last);
        return;
    }
    for (size_t k = 0; k < rows; k++) add_tokens(to, i + k, 1, seen[k].first, first);
    add_tokens(to, i, rows, first, last);
    for (size_t k = 0; k < rows; k++) add_tokens(to, i + k, 1, last, seen[k].last);
}

static void add_values(const struct job *j, float *parts) {
    size_t cols = part_cols(j->a), stride = part_floats(j->a);
    for (size_t i = 0; i < j->n; i++) memset(parts + i * stride, 0, cols * sizeof *parts);
    for (size_t page = j->first_page; page < j->last_page; page++) {
        struct adding to = {j, open_page(j, page, true), page * PAGE_TOKENS, parts};
        for (size_t i = 0; i < j->n; i += PANEL) add_page(&to, i, least(PANEL, j->n - i));
    }
}

void KERNEL(attend)(const struct attention *a, const struct queries *q, size_t span, struct attend *s, float *parts) {
    struct job j = {.a = a, .q = q, .s = s, .start = span * SPAN, .chosen = chosen_of(a, q->row)};
    plan(&j);
    score(&j);
    for (size_t i = 0; i < j.n; i++) {
        struct softmax sum = {-INFINITY, 0};
        if (j.seen[i].first < j.seen[i].last) {
            float *x = scores_of(&j, i);
            add_biases(&j, i, 1, x);
            for (size_t t = j.seen[i].first; t < j.seen[i].last; t++) x[t] *= a->scale;
            cap_scores(&j, i, x);
            sum = weigh(j.seen[i], x);
        }
        memcpy(parts + i * part_floats(a) + part_cols(a), &sum, sizeof sum);
    }
    add_values(&j, parts);
}

void KERNEL(join)(const float *part, size_t cols, size_t dim, struct softmax *all, float *out) {
    struct softmax now;
    memcpy(&now, part + cols, sizeof now);
    if (now.sum == 0) return; // the span is not seen
    if (all->sum == 0) {
        *all = now;
        memcpy(out, part, dim * sizeof *out);
        return;
    }
    float max = now.max > all->max ? now.max : all->max;
    float keep = exp_f(all->max - max), scale = exp_f(now.max - max);
    *all = (struct softmax){max, fmaf(now.sum, scale, all->sum * keep)};
    for (size_t i = 0; i < dim; i++) out[i] = fmaf(part[i], scale, out[i] * keep);
}

void KERNEL(close)(const struct softmax *all, const float *sink, size_t dim, float *out) {
    float keep = 1, sum = all->sum;
    if (sink) {
        float max = *sink > all->max ? *sink : all->max;
        keep = exp_f(all->max - max);
        sum = fmaf(sum, keep, exp_f(*sink - max));
    }
    float scale = keep / sum;
    for (size_t i = 0; i < dim; i++) out[i] *= scale;
}
