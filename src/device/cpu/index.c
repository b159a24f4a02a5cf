// Scores of the lightning indexer (DeepSeek-V3.2, 2025): one row's heads against the keys of one page.
#include "device/cpu/isa.h"
#include "device/cpu/panel.h"
#include "device/cpu/widen.h"

static float relu(float x) { return x < 0 ? 0 : x; }

// scores += weight * max(0, dot * scale)
static void add_head(const float *dot, float scale, float weight, float *scores) {
    for (size_t t = 0; t < PAGE_TOKENS; t++) scores[t] = fmaf(weight, relu(dot[t] * scale), scores[t]);
}

void KERNEL(score_page)(const struct choice *a, size_t row, size_t page, float *scores) {
    _Alignas(64) float wide[MAX_INDEX_KEY * PAGE_TOKENS], dot[PANEL * PAGE_TOKENS];
    size_t dim = a->kv.key_dim;
    const uint8_t *keys = kv_keys(&a->kv, a->k, a->row[row].pages[page], 0);
    struct panel p = {STORED_FLOATS, keys, .ldb = PAGE_TOKENS};
    if (a->kv.type != TYPE_F32) {
        widen_keys(a->kv.type, keys, dim, wide);
        p.b = (const uint8_t *)wide;
    }
    memset(scores, 0, PAGE_TOKENS * sizeof *scores);
    for (size_t h = 0, n; h < a->heads; h += n) {
        const float *q[PANEL], *weight = a->weight + row * a->heads + h;
        n = a->heads - h < PANEL ? a->heads - h : PANEL;
        for (size_t i = 0; i < n; i++) q[i] = a->q + (row * a->heads + h + i) * dim;
        panel_run(&p, &(struct sums){q, .k = dim, .c = dot, .ldc = PAGE_TOKENS}, n, PAGE_TOKENS);
        for (size_t i = 0; i < n; i++) add_head(dot + i * PAGE_TOKENS, a->scale, weight[i], scores);
    }
}
