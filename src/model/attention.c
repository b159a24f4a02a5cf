// Attention (Vaswani et al., 2017), with grouped heads (Ainslie et al., 2023): projections, what is done to them on the
// way to the cache, and what comes back from it.
#include "model/forward.h"

// Each head's query is followed by what gates its output: queries to a->mixed, gates to a->head_gate.
static dfloat *part_gate(struct pass *p, const dfloat *both, size_t dim) {
    size_t heads = p->n * p->m->h.heads;
    p->ops->move(p->d, both, 2 * dim, p->a->mixed, dim, heads, dim);
    p->ops->move(p->d, both + dim, 2 * dim, p->a->head_gate, dim, heads, dim);
    return p->a->mixed;
}

// a->mixed *= sigmoid(a->head_gate), which it takes the place of. (Qiu et al., "Gated Attention", 2025)
static const dfloat *gate_heads(struct pass *p, const struct layer *l) {
    struct activations *a = p->a;
    size_t n = (size_t)p->m->h.heads * l->plan.heads.head_dim;
    p->ops->gate(p->d, &(struct gate){ACT_SIGMOID, p->n, n, n, a->head_gate, a->mixed, a->head_gate});
    return a->head_gate;
}

// The three projections from one matrix, and where each head's part of them is.
static void project_fused(struct pass *p, const struct layer *l, const dfloat *x, struct qkv *a) {
    const struct heads *has = &l->plan.heads;
    size_t dim = has->head_dim, q = p->m->h.heads * dim, kv = has->kv_heads * dim, group = q / has->kv_heads;
    dfloat *fused = p->a->fused;
    bool grouped = p->m->grouped;
    size_t all = q + 2 * kv, step = grouped ? group + 2 * dim : dim;
    linear(p, &l->qkv, x, fused);
    if (p->m->h.qkv_clip > 0) p->ops->clamp(p->d, fused, p->m->h.qkv_clip, p->n * all);
    a->q_in = (struct projected){fused, all, grouped ? step : group};
    a->k_in = (struct projected){fused + (grouped ? group : q), all, step};
    a->v_in = (struct projected){a->k_in.x + (grouped ? dim : kv), all, step};
}

// The same from three matrices; a layer that borrows has but the first. Values may be normed, and may be the keys.
static void project(struct pass *p, const struct layer *l, const dfloat *x, struct qkv *a) {
    const struct heads *has = &l->plan.heads;
    size_t dim = has->head_dim, q = p->m->h.heads * dim, kv = has->kv_heads * dim, group = q / has->kv_heads;
    bool rows = l->plan.qk_norm == QK_NORM_ROW;
    float clip = p->m->h.qkv_clip;
    dfloat *queries = p->a->fused, *keys = queries + p->n * l->q.w.rows, *values = keys + p->n * kv;
    struct output out[] = {{&l->q, queries}, {&l->k, keys}, {&l->v, values}};
    linears(p, out, l->plan.borrows ? 1 : l->v.w.rows ? 3 : 2, x);
    if (l->plan.gates_heads) queries = part_gate(p, queries, dim);
    if (rows) norm(p, &l->q_norm, queries, p->n, queries);
    if (clip > 0) p->ops->clamp(p->d, queries, clip, p->n * q);
    a->q_in = (struct projected){queries, q, group};
    if (l->plan.borrows) return;
    if (l->v_norm.weight) norm(p, &l->v_norm, l->v.w.rows ? values : keys, p->n * has->kv_heads, values);
    if (rows) norm(p, &l->k_norm, keys, p->n, keys);
    if (clip > 0) p->ops->clamp(p->d, keys, clip, p->n * 2 * kv);
    a->k_in = (struct projected){keys, kv, dim};
    a->v_in = (struct projected){values, kv, dim};
}

// Queries into a->q; this batch's keys and values into the cache.
void forward_remember(struct pass *p, const struct layer *l, const dfloat *x) {
    const struct layer_plan *plan = &l->plan;
    struct kv_array none = {0};
    struct qkv a = {.rows = p->n,
                    .heads = p->m->h.heads,
                    .kv = *kv_cache_shape(p->kv, plan->cache),
                    .angles = !plan->rotated   ? NULL
                              : plan->own_rope ? p->rows->local
                                               : p->rows->angles,
                    .rotary_dim = plan->rotary_dim,
                    .pairs = p->m->pairs,
                    .q = p->a->q,
                    .at = p->rows->at,
                    .k = plan->borrows ? none : kv_cache_keys(p->kv, plan->cache, p->what.slab),
                    .v = plan->borrows ? none : kv_cache_values(p->kv, plan->cache, p->what.slab)};
    (plan->latent ? forward_latent : l->qkv.w.rows ? project_fused : project)(p, l, x, &a);
    if (plan->qk_norm != QK_NORM_NONE && plan->qk_norm != QK_NORM_ROW) {
        a.norm = l->q_norm.kind;
        a.norm_eps = l->q_norm.eps;
        a.norm_step = plan->qk_norm == QK_NORM_EACH ? plan->heads.head_dim : 0;
        a.q_norm = l->q_norm.weight;
        a.k_norm = l->k_norm.weight;
    }
    p->ops->qkv(p->d, &a);
}

// a->fused = queries times what their positions make of them. (Nakanishi, "Scalable-Softmax", 2025)
static const dfloat *temper(struct pass *p, const struct layer *l) {
    struct activations *a = p->a;
    size_t n = (size_t)p->m->h.heads * l->plan.heads.head_dim;
    p->ops->sum_rows(p->d, &(struct sum_rows){p->n, 1, n, p->what.self, p->rows->temper, a->q, a->fused});
    return a->fused;
}

// branch = Wo attention(Wq x, Wk x, Wv x)
void forward_attention(struct pass *p, const struct layer *l, const dfloat *x) {
    forward_remember(p, l, x);
    forward_attend(p, l);
}

void forward_attend(struct pass *p, const struct layer *l) {
    const struct hyperparameters *h = &p->m->h;
    struct attention a = {.rows = p->n,
                          .heads = h->heads,
                          .kv = *kv_cache_shape(p->kv, l->plan.cache),
                          .q = l->plan.tempered ? temper(p, l) : p->a->q,
                          .out = p->a->mixed,
                          .at = l->plan.chunked ? p->rows->in_chunk : p->rows->at,
                          .k = kv_cache_keys(p->kv, l->plan.cache, p->what.slab),
                          .v = kv_cache_values(p->kv, l->plan.cache, p->what.slab),
                          .window = l->plan.window,
                          .scale = h->attn_scale,
                          .softcap = h->attn_cap,
                          .slopes = p->m->slopes[p->side],
                          .alibi_bf16 = p->m->slopes_bf16,
                          .sinks = l->sinks,
                          .chosen = l->plan.indexed ? p->a->chosen : NULL,
                          .most = h->index_most};
    p->ops->attention(p->d, &a);
    if (l->plan.latent) forward_values(p, l);
    const dfloat *mixed = l->plan.latent ? p->a->ready : l->plan.gates_heads ? gate_heads(p, l) : p->a->mixed;
    linear(p, &l->attn_out, mixed, p->a->branch);
}
