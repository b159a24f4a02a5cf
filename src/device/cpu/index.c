// Scores of the lightning indexer (DeepSeek-V3.2, 2025): one row's heads against the keys of some pages.
#include "device/cpu/codes.h"
#include "device/cpu/isa.h"
#include "device/cpu/panel.h"
#include "device/cpu/widen.h"

static float relu(float x) { return x < 0 ? 0 : x; }

// scores += weight * max(0, x * by)
static void add_head(const float *x, float by, float weight, float *scores) {
    for (size_t t = 0; t < PAGE_TOKENS; t++) scores[t] = fmaf(weight, relu(x[t] * by), scores[t]);
}

static const uint8_t *keys_of(const struct choice *a, size_t row, size_t page) {
    return kv_keys(&a->kv, a->k, a->at.pages[a->at.row[row].pages + page], 0);
}

static const float *query_of(const struct choice *a, size_t row, size_t head) {
    return a->q + (row * a->heads + head) * a->kv.key_dim;
}

static void score_floats(const struct choice *a, size_t row, size_t page, float *scores) {
    _Alignas(64) float wide[MAX_INDEX_KEY * PAGE_TOKENS], dot[PANEL * PAGE_TOKENS];
    size_t dim = a->kv.key_dim;
    const uint8_t *keys = keys_of(a, row, page);
    struct panel p = {STORED_FLOATS, keys, .ldb = PAGE_TOKENS};
    if (a->kv.type != TYPE_F32) {
        widen_run(a->kv.type, keys, PAGE_TOKENS * dim, wide);
        p.b = (const uint8_t *)wide;
    }
    for (size_t h = 0, n; h < a->heads; h += n) {
        const float *q[PANEL], *weight = a->weight + row * a->heads + h;
        n = a->heads - h < PANEL ? a->heads - h : PANEL;
        for (size_t i = 0; i < n; i++) q[i] = query_of(a, row, h + i);
        panel_run(&p, &(struct sums){q, .k = dim, .c = dot, .ldc = PAGE_TOKENS}, n, PAGE_TOKENS);
        for (size_t i = 0; i < n; i++) add_head(dot + i * PAGE_TOKENS, a->scale, weight[i], scores);
    }
}

// Some heads of all pages: their queries are made codes once.
static void score_heads(const struct choice *a, size_t row, size_t head, size_t n, size_t first, size_t last,
                        float *scores) {
    _Alignas(64) float x[SCORE_ROWS * SPAN];
    struct coded q;
    for (size_t i = 0; i < n; i++) code_query(query_of(a, row, head + i), a->kv.key_dim, a->scale, i, &q);
    for (size_t page = first; page < last; page++, scores += PAGE_TOKENS) {
        score_codes(keys_of(a, row, page), kv_room(TYPE_Q8_0, a->kv.key_dim), 0, &q, 0, n, x);
        for (size_t i = 0; i < n; i++) add_head(x + i * SPAN, 1, a->weight[row * a->heads + head + i], scores);
    }
}

void KERNEL(score_pages)(const struct choice *a, size_t row, size_t first, size_t last, float *scores) {
    memset(scores, 0, (last - first) * PAGE_TOKENS * sizeof *scores);
    if (a->kv.type != TYPE_Q8_0)
        for (size_t page = first; page < last; page++)
            score_floats(a, row, page, scores + (page - first) * PAGE_TOKENS);
    else
        for (size_t h = 0, n; h < a->heads; h += n) {
            n = a->heads - h < SCORE_ROWS ? a->heads - h : SCORE_ROWS;
            score_heads(a, row, h, n, first, last, scores);
        }
}
