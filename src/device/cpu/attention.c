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
    size_t start; // position of the span
    size_t n;     // queries
    size_t first_page, last_page;
    struct seen seen[QUERIES];
    const float *query[QUERIES];
};

// A page's keys or values, ready for panels.
struct page {
    struct panel panel;
    enum stored stored;
};

static size_t row_of(const struct job *j, size_t i) { return j->q->row + i / j->q->heads; }
static size_t head_of(const struct job *j, size_t i) { return j->q->head + i % j->q->heads; }
static size_t least(size_t a, size_t b) { return a < b ? a : b; }
static size_t most(size_t a, size_t b) { return a > b ? a : b; }

static float *scores_of(const struct job *j, size_t i) { return j->s->score + i * SPAN; }

static struct seen see(const struct attention *a, size_t row, size_t start) {
    size_t end = (size_t)a->row[row].position + 1, first = a->window && end > a->window ? end - a->window : 0;
    first = least(most(first, start) - start, SPAN);
    size_t last = least(most(end, start) - start, SPAN);
    return (struct seen){first, most(first, last)};
}

static void plan(struct job *j) {
    size_t first = SPAN, last = 0;
    j->n = j->q->rows * j->q->heads;
    for (size_t i = 0; i < j->n; i++) {
        j->query[i] = j->a->q + (row_of(j, i) * j->a->heads + head_of(j, i)) * j->a->kv.key_dim;
        j->seen[i] = see(j->a, row_of(j, i), j->start);
        if (j->seen[i].first == j->seen[i].last) continue;
        first = least(first, j->seen[i].first);
        last = most(last, j->seen[i].last);
    }
    j->first_page = first / PAGE_TOKENS;
    j->last_page = (last + PAGE_TOKENS - 1) / PAGE_TOKENS;
}

static const uint8_t *page_at(const struct job *j, size_t page, bool values) {
    const struct attention *a = j->a;
    uint32_t number = a->row[j->q->row].pages[j->start / PAGE_TOKENS + page];
    size_t kv_head = j->q->head / (a->heads / a->kv.heads);
    return values ? kv_values(&a->kv, a->v, number, kv_head) : kv_keys(&a->kv, a->k, number, kv_head);
}

// Where reading goes on after a page: the next one, the span's values after its keys, the next span after them.
static const uint8_t *page_after(const struct job *j, size_t page, bool values) {
    if (page + 1 < j->last_page) return page_at(j, page + 1, values);
    if (!values) return page_at(j, j->first_page, true);
    bool more = j->start + SPAN <= j->a->row[j->q->row].position;
    return page_at(j, more ? SPAN / PAGE_TOKENS : page, !more);
}

// A page's keys or values for panels: as they lie where few queries read them, else as floats.
static struct page open_page(const struct job *j, size_t page, bool values) {
    const struct attention *a = j->a;
    enum type type = a->kv.type;
    size_t dim = values ? a->kv.value_dim : a->kv.key_dim;
    const uint8_t *b = page_at(j, page, values);
    const uint16_t *scales = (const uint16_t *)(const void *)(b + PAGE_TOKENS * dim);
    struct page p = {{.b = b, .scales = scales, .ahead = (size_t)page_after(j, page, values) - (size_t)b},
                     STORED_HALVES};
    p.panel.ldb = values ? part_cols(a) : PAGE_TOKENS;
    if (type == TYPE_F32) p.stored = STORED_FLOATS;
    if (type == TYPE_Q8_0) p.stored = values ? STORED_VALUE_CODES : STORED_KEY_CODES;
    if ((j->n <= PANEL || type == TYPE_F32) && (!values || dim == p.panel.ldb)) return p;
    if (values)
        widen_values(type, b, dim, p.panel.ldb, j->s->wide);
    else
        widen_keys(type, b, dim, j->s->wide);
    return (struct page){{.b = (const uint8_t *)j->s->wide, .ldb = p.panel.ldb}, STORED_FLOATS};
}

static void score(struct job *j) {
    const struct attention *a = j->a;
    size_t dim = a->kv.key_dim;
    for (size_t number = j->first_page; number < j->last_page; number++) {
        struct page page = open_page(j, number, false);
        size_t first = number * PAGE_TOKENS, last = first + PAGE_TOKENS;
        for (size_t i = 0; i < j->n; i += PANEL) {
            struct panel p = page.panel;
            size_t rows = least(PANEL, j->n - i);
            bool any = false;
            p.k = dim;
            for (size_t k = 0; k < rows; k++) {
                p.a[k] = j->query[i + k];
                p.c[k] = scores_of(j, i + k) + first;
                any |= j->seen[i + k].first < last && j->seen[i + k].last > first;
            }
            if (any) panel_run(&p, rows, PAGE_TOKENS, page.stored);
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

// From token `first` of the page on.
static struct panel panel_from(const struct page *page, size_t first, size_t last) {
    struct panel p = page->panel;
    size_t size = page->stored == STORED_FLOATS ? 4 : page->stored == STORED_HALVES ? 2 : 1;
    p.b += first * p.ldb * size;
    if (page->stored == STORED_VALUE_CODES) p.scales += first * (p.ldb / PANEL_COLS);
    p.k = last - first;
    p.more = true;
    return p;
}

// Adds a page's values for `rows` queries from i on, from token `first` to `last`.
static void add_tokens(const struct job *j, const struct page *page, size_t number, size_t i, size_t rows, size_t first,
                       size_t last, float *parts) {
    if (first >= last) return;
    struct panel p = panel_from(page, first, last);
    for (size_t k = 0; k < rows; k++) {
        p.a[k] = scores_of(j, i + k) + number * PAGE_TOKENS + first;
        p.c[k] = parts + (i + k) * part_floats(j->a);
    }
    panel_run(&p, rows, p.ldb, page->stored);
}

// The same for all that each of them sees: together what all see, alone what lies before and after.
static void add_page(const struct job *j, const struct page *page, size_t number, size_t i, size_t rows, float *parts) {
    size_t start = number * PAGE_TOKENS, first = 0, last = PAGE_TOKENS;
    struct seen seen[PANEL];
    for (size_t k = 0; k < rows; k++) {
        seen[k] = (struct seen){least(most(j->seen[i + k].first, start) - start, PAGE_TOKENS),
                                least(most(j->seen[i + k].last, start) - start, PAGE_TOKENS)};
        first = most(first, seen[k].first);
        last = least(last, seen[k].last);
    }
    bool together = first < last;
    for (size_t k = 0; k < rows; k++)
        add_tokens(j, page, number, i + k, 1, seen[k].first, together ? first : seen[k].last, parts);
    if (!together) return;
    add_tokens(j, page, number, i, rows, first, last, parts);
    for (size_t k = 0; k < rows; k++) add_tokens(j, page, number, i + k, 1, last, seen[k].last, parts);
}

static void add_values(const struct job *j, float *parts) {
    size_t cols = part_cols(j->a), stride = part_floats(j->a);
    for (size_t i = 0; i < j->n; i++) memset(parts + i * stride, 0, cols * sizeof *parts);
    for (size_t number = j->first_page; number < j->last_page; number++) {
        struct page page = open_page(j, number, true);
        for (size_t i = 0; i < j->n; i += PANEL) add_page(j, &page, number, i, least(PANEL, j->n - i), parts);
    }
}

void KERNEL(attend)(const struct attention *a, const struct queries *q, size_t span, struct attend *s, float *parts) {
    struct job j = {.a = a, .q = q, .s = s, .start = span * SPAN};
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
