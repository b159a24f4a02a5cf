// Attention of a block of queries, rows and heads that share a page table and a key and value head, to one span of
// positions; and the sum of spans (Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018).
#include "device/cpu/isa.h"
#include "device/cpu/panel.h"
#include "device/cpu/vec_exp.h"
#include "device/cpu/widen.h"
#include "device/elementary.h"

// The positions of a span, counted from its start, that a query sees.
struct seen {
    size_t first, last;
};

struct job {
    const struct attention *a;
    const struct queries *q;
    struct attend *s;
    size_t start;          // position of the span
    size_t n;              // queries
    const int32_t *chosen; // the span is of places in this list, not of positions
    size_t first_page, last_page;
    struct seen seen[QUERIES];
    const float *query[QUERIES], *weight[QUERIES]; // the weights take the place of the scores
};

static size_t row_of(const struct job *j, size_t i) { return j->q->row + i / j->q->heads; }
static size_t head_of(const struct job *j, size_t i) { return j->q->head + i % j->q->heads; }
static size_t least(size_t a, size_t b) { return a < b ? a : b; }
static size_t most(size_t a, size_t b) { return a > b ? a : b; }

static float *scores_of(const struct job *j, size_t i) { return j->s->score + i * SPAN; }

static struct seen see(const struct attention *a, size_t row, size_t start) {
    size_t end = seen_of(a, row), first = a->window && end > a->window ? end - a->window : 0;
    first = least(most(first, start) - start, SPAN);
    size_t last = least(most(end, start) - start, SPAN);
    return (struct seen){first, most(first, last)};
}

static void plan(struct job *j) {
    size_t first = SPAN, last = 0;
    j->n = j->q->rows * j->q->heads;
    for (size_t i = 0; i < j->n; i++) {
        j->query[i] = j->a->q + (row_of(j, i) * j->a->heads + head_of(j, i)) * j->a->kv.key_dim;
        j->weight[i] = scores_of(j, i);
        j->seen[i] = see(j->a, row_of(j, i), j->start);
        if (j->seen[i].first == j->seen[i].last) continue;
        first = least(first, j->seen[i].first);
        last = most(last, j->seen[i].last);
    }
    j->first_page = first / PAGE_TOKENS;
    j->last_page = (last + PAGE_TOKENS - 1) / PAGE_TOKENS;
}

// A page of the positions at these places of the list, as if they were neighbours.
static const uint8_t *gather(const struct job *j, size_t page, size_t kv_head, bool values) {
    const struct attention *a = j->a;
    const struct attention_row *row = &a->row[j->q->row];
    size_t first = j->start + page * PAGE_TOKENS, n = least(PAGE_TOKENS, a->most - first);
    struct kv_vector (*vector)(const struct kv_shape *, const void *, size_t, size_t, size_t) =
        values ? kv_value : kv_key;
    size_t bytes = kv_head_bytes(a->kv.type, values ? a->kv.value_dim : a->kv.key_dim);
    if (n < PAGE_TOKENS) memset(j->s->page, 0, bytes);
    for (size_t t = 0; t < n; t++) {
        size_t position = (size_t)j->chosen[first + t];
        struct kv_vector from =
            vector(&a->kv, values ? a->v : a->k, row->pages[position / PAGE_TOKENS], kv_head, position % PAGE_TOKENS);
        struct kv_vector to = from;
        to.data = j->s->page;
        to.token = t;
        kv_copy(&to, &from);
    }
    return j->s->page;
}

static const uint8_t *page_at(const struct job *j, size_t page, bool values) {
    const struct attention *a = j->a;
    size_t kv_head = j->q->head / (a->heads / a->kv.heads);
    if (j->chosen) return gather(j, page, kv_head, values);
    uint32_t number = a->row[j->q->row].pages[j->start / PAGE_TOKENS + page];
    return values ? kv_values(&a->kv, a->v, number, kv_head) : kv_keys(&a->kv, a->k, number, kv_head);
}

// Where reading goes on after a page: the next one, the span's values after its keys, the next span after them.
static const uint8_t *page_after(const struct job *j, size_t page, bool values) {
    if (j->chosen) return j->s->page;
    if (page + 1 < j->last_page) return page_at(j, page + 1, values);
    if (!values) return page_at(j, j->first_page, true);
    bool more = j->start + SPAN <= j->a->row[j->q->row].position;
    return page_at(j, more ? SPAN / PAGE_TOKENS : page, !more);
}

static void fetch(const uint8_t *p, size_t bytes) {
    for (size_t i = 0; i < bytes; i += 64) __builtin_prefetch(p + i, 0, 2);
}

// Where few queries read a page it is read as it lies, and what comes next is fetched meanwhile.
static struct panel lying(const struct job *j, size_t page, bool values) {
    static const enum stored codes[] = {STORED_KEY_CODES, STORED_VALUE_CODES};
    enum type type = j->a->kv.type;
    size_t dim = values ? j->a->kv.value_dim : j->a->kv.key_dim;
    const uint8_t *b = page_at(j, page, values), *scales = b + PAGE_TOKENS * dim, *next = page_after(j, page, values);
    struct panel p = {.b = b, .scales = j->s->scale, .ahead = (size_t)next - (size_t)b};
    p.stored = type == TYPE_F32 ? STORED_FLOATS : type == TYPE_F16 ? STORED_HALVES : codes[values];
    p.ldb = values ? dim : PAGE_TOKENS;
    if (type != TYPE_Q8_0) return p;
    widen_f16(scales, PAGE_TOKENS * kv_blocks(dim), j->s->scale);
    fetch(scales + p.ahead, 2 * PAGE_TOKENS * kv_blocks(dim));
    return p;
}

// Where many do it is turned into floats.
static struct panel widened(const struct job *j, size_t page, bool values) {
    const struct attention *a = j->a;
    struct panel p = {STORED_FLOATS, (const uint8_t *)j->s->wide, .ldb = values ? part_cols(a) : PAGE_TOKENS};
    fetch(page_after(j, page, values), kv_head_bytes(a->kv.type, values ? a->kv.value_dim : a->kv.key_dim));
    if (values)
        widen_values(a->kv.type, page_at(j, page, true), a->kv.value_dim, p.ldb, j->s->wide);
    else
        widen_keys(a->kv.type, page_at(j, page, false), a->kv.key_dim, j->s->wide);
    return p;
}

static struct panel open_page(const struct job *j, size_t page, bool values) {
    bool whole = !values || part_cols(j->a) == j->a->kv.value_dim;
    return whole && (j->n <= PANEL || j->a->kv.type == TYPE_F32) ? lying(j, page, values) : widened(j, page, values);
}

static bool any_sees(const struct job *j, size_t i, size_t rows, size_t first, size_t last) {
    for (size_t k = i; k < i + rows; k++)
        if (j->seen[k].first < last && j->seen[k].last > first) return true;
    return false;
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

static float round_bf16(float x) { return bf16_to_f32(f32_to_bf16(x)); }

// From sums to scores: bias, scale, soft cap.
static void finish_scores(const struct attention *a, size_t head, size_t start, struct seen s, float *x) {
    float slope = a->slopes ? a->slopes[head] : 0, scale = a->scale, cap = a->softcap;
    if (a->slopes && a->alibi_bf16) {
        slope = round_bf16(slope);
        for (size_t t = s.first; t < s.last; t++) x[t] += round_bf16(slope * round_bf16((float)(uint32_t)(start + t)));
    } else if (a->slopes) {
        for (size_t t = s.first; t < s.last; t++) x[t] += slope * (float)(uint32_t)(start + t);
    }
    for (size_t t = s.first; t < s.last; t++) x[t] *= scale;
    if (cap > 0)
        for (size_t t = s.first; t < s.last; t++) x[t] = cap * tanh_f(x[t] / cap);
}

static float max_of(const float *x, size_t first, size_t last) {
    vec most = vec_fill(-INFINITY);
    for (size_t t = first; t < last; t += VEC) most = vec_max(vec_load(x + t), most);
    float max = most[0];
    for (int i = 1; i < VEC; i++) max = most[i] > max ? most[i] : max;
    return max;
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
            finish_scores(a, head_of(&j, i), j.start, j.seen[i], scores_of(&j, i));
            sum = weigh(j.seen[i], scores_of(&j, i));
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
