// From a fused projection to rotated queries and the KV cache.
#include "device/cpu/cpu.h"

// The two-halves form of Su et al., 2021: pair i is elements i and i + rotary_dim / 2.
static float rotated(const float *x, const float *table, size_t rotary_dim, size_t i) {
    size_t half = rotary_dim / 2;
    if (!table || i >= half * 2) return x[i];
    if (i < half) return x[i] * table[2 * i] - x[i + half] * table[2 * i + 1];
    return x[i] * table[2 * (i - half)] + x[i - half] * table[2 * (i - half) + 1];
}

static void put_rotated(const struct kv_vector *at, const float *x, const float *table, size_t rotary_dim) {
    float y[KV_BLOCK];
    for (size_t i = 0; i < at->dim; i += KV_BLOCK) {
        size_t n = at->dim - i < KV_BLOCK ? at->dim - i : KV_BLOCK;
        for (size_t j = 0; j < n; j++) y[j] = rotated(x, table, rotary_dim, i + j);
        kv_put(at, i, n, y);
    }
}

// Where the parts of a fused row start, in heads: query head h, and the key (0) or value (1) of kv head g.
static size_t query_at(const struct qkv *a, size_t h) { return a->grouped ? h + h / (a->heads / a->kv_heads) * 2 : h; }

static size_t kv_at(const struct qkv *a, size_t g, size_t which) {
    return a->grouped ? (g + 1) * (a->heads / a->kv_heads) + 2 * g + which : a->heads + which * a->kv_heads + g;
}

static void qkv_row(void *arg, size_t r) {
    const struct qkv *a = arg;
    const struct attention_row *row = a->row + r;
    size_t dim = a->head_dim, page = row->pages[row->position / PAGE_TOKENS], slot = row->position % PAGE_TOKENS;
    struct kv_shape kv = {a->kv_type, a->kv_heads, dim, dim};
    const float *fused = a->fused + r * (a->heads + 2 * a->kv_heads) * dim;
    const float *table = a->table ? a->table + row->position * (a->rotary_dim / 2) * 2 : NULL;
    for (size_t h = 0; h < a->heads; h++)
        for (size_t i = 0; i < dim; i++)
            a->q[(r * a->heads + h) * dim + i] = rotated(fused + query_at(a, h) * dim, table, a->rotary_dim, i);
    for (size_t g = 0; g < a->kv_heads; g++) {
        struct kv_vector key = kv_key(&kv, a->k, page, g, slot);
        put_rotated(&key, fused + kv_at(a, g, 0) * dim, table, a->rotary_dim);
        kv_write_value(&kv, a->v, page, g, slot, fused + kv_at(a, g, 1) * dim);
    }
}

void cpu_qkv(struct device *d, const struct qkv *a) { pool_run(cpu_of(d)->pool, a->rows, qkv_row, (void *)a); }
