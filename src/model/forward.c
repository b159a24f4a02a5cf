// The decoder's forward pass, read top to bottom like the paper (Vaswani et al., 2017), with what its many successors
// changed as steps that a family's row asks for.
#include "model/forward.h"
#include "device/rope.h"

static void norm(struct pass *p, const struct norm *w, const float *x, size_t rows, size_t dim, float *y) {
    p->ops->norm(p->d, p->m->family->norm, x, w->weight, w->bias, p->m->h.norm_eps, rows, dim, y);
}

static void scale(struct pass *p, float *x, size_t n, float by) {
    if (by != 1) p->ops->scale(p->d, x, by, n);
}

// What a branch reads: the stream, normed if the branch has a norm in front.
static const float *input(struct pass *p, const struct norm *w) {
    if (!w->weight) return p->a->x;
    norm(p, w, p->a->x, p->n, p->m->h.hidden, p->a->normed);
    return p->a->normed;
}

// x += branch, which may have a norm behind it.
static void join(struct pass *p, const struct norm *w) {
    size_t n = p->n * p->m->h.hidden;
    if (w->weight) norm(p, w, p->a->branch, p->n, p->m->h.hidden, p->a->branch);
    scale(p, p->a->branch, n, p->m->h.residual_scale);
    p->ops->add(p->d, p->a->x, p->a->branch, n);
}

// Each head's query is followed by what gates its output: queries to a->mixed, gates to a->head_gate.
static const float *part_gate(struct pass *p, const float *both, size_t dim) {
    size_t heads = p->n * p->m->h.heads;
    p->ops->move(p->d, both, 2 * dim, p->a->mixed, dim, heads, dim);
    p->ops->move(p->d, both + dim, 2 * dim, p->a->head_gate, dim, heads, dim);
    return p->a->mixed;
}

// a->mixed *= sigmoid(a->head_gate), which it takes the place of.
static const float *gate_heads(struct pass *p) {
    struct activations *a = p->a;
    size_t n = (size_t)p->m->h.heads * p->m->h.head_dim;
    p->ops->gate(p->d, &(struct gate){ACT_SIGMOID, p->n, n, n, a->head_gate, a->mixed, a->head_gate});
    return a->head_gate;
}

// The three projections, in one matrix or in three, and where each head's part of them is.
static void project(struct pass *p, const struct layer *l, const float *x, struct qkv *a) {
    const struct hyperparameters *h = &p->m->h;
    const struct heads *has = &l->plan.heads;
    size_t dim = has->head_dim, q = h->heads * dim, kv = has->kv_heads * dim, group = q / has->kv_heads;
    size_t all = q + 2 * kv;
    size_t wide = p->m->family->attention_gate ? 2 * q : q;
    float *fused = p->a->fused, *keys = fused + p->n * wide, *values = keys + p->n * kv;
    if (l->qkv.w.rows) {
        bool grouped = p->m->grouped;
        size_t step = grouped ? group + 2 * dim : dim;
        linear(p, &l->qkv, x, fused);
        a->q_in = (struct projected){fused, all, grouped ? step : group};
        a->k_in = (struct projected){fused + (grouped ? group : q), all, step};
        a->v_in = (struct projected){a->k_in.x + (grouped ? dim : kv), all, step};
        return;
    }
    linear(p, &l->q, x, fused);
    a->q_in = (struct projected){fused, q, group};
    if (l->plan.borrows) return;
    linear(p, &l->k, x, keys);
    scale(p, keys, p->n * kv, h->recurrence.attn_key);
    if (l->v.w.rows) linear(p, &l->v, x, values);
    if (l->v_norm.weight) norm(p, &l->v_norm, l->v.w.rows ? values : keys, p->n * has->kv_heads, dim, values);
    if (wide > q) a->q_in = (struct projected){part_gate(p, fused, dim), q, group};
    a->k_in = (struct projected){keys, kv, dim};
    a->v_in = (struct projected){values, kv, dim};
    if (p->m->family->qk_norm != QK_NORM_ROW) return;
    norm(p, &l->q_norm, fused, p->n, q, fused);
    norm(p, &l->k_norm, keys, p->n, kv, keys);
    if (h->qkv_clip > 0) p->ops->clamp(p->d, fused, h->qkv_clip, p->n * all);
}

// Queries into a->q; this batch's keys and values into the cache.
static void remember(struct pass *p, uint32_t i, const float *x) {
    struct model *m = p->m;
    const struct layer *l = &m->layers[i];
    const struct rope_tables *rope = &m->rope[p->kv->far];
    bool local = l->plan.local && rope->local, keeps = !l->plan.borrows;
    struct qkv a = {.rows = p->n,
                    .heads = m->h.heads,
                    .kv = *kv_cache_shape(p->kv, l->plan.cache),
                    .rotary_dim = local ? m->h.local_rope.dim : m->h.rope.dim,
                    .pairs = m->pairs,
                    .q = p->a->q,
                    .row = p->a->at,
                    .k = keeps ? p->kv->k[l->plan.cache] : NULL,
                    .v = keeps ? p->kv->v[l->plan.cache] : NULL};
    if (m->family->latent)
        forward_latent(p, l, x, &a);
    else
        project(p, l, x, &a);
    if (m->family->qk_norm != QK_NORM_NONE && m->family->qk_norm != QK_NORM_ROW) {
        a.norm = m->family->norm;
        a.norm_eps = m->h.norm_eps;
        a.norm_step = m->family->qk_norm == QK_NORM_EACH ? l->plan.heads.head_dim : 0;
        a.q_norm = l->q_norm.weight;
        a.k_norm = l->k_norm.weight;
    }
    if (l->plan.rotated) a.table = local ? rope->local : rope->all;
    p->ops->qkv(p->d, &a);
}

// a->fused = queries times what their positions make of them. (Nakanishi, "Scalable-Softmax", 2025)
static const float *temper(struct pass *p) {
    struct activations *a = p->a;
    p->ops->mix(p->d,
                &(struct mix){p->n, 1, (size_t)p->m->h.heads * p->m->h.head_dim, a->self, a->temper, a->q, a->fused});
    return a->fused;
}

// branch = Wo attention(Wq x, Wk x, Wv x), with this batch's keys and values added to the cache first.
static void attention(struct pass *p, uint32_t i, const float *x) {
    const struct layer *l = &p->m->layers[i];
    const struct hyperparameters *h = &p->m->h;
    remember(p, i, x);
    struct attention mix = {.rows = p->n,
                            .heads = h->heads,
                            .kv = *kv_cache_shape(p->kv, l->plan.cache),
                            .q = l->plan.tempered ? temper(p) : p->a->q,
                            .out = p->a->mixed,
                            .row = l->plan.chunked ? p->a->in_chunk : p->a->at,
                            .k = p->kv->k[l->plan.cache],
                            .v = p->kv->v[l->plan.cache],
                            .window = l->plan.window,
                            .scale = h->attn_scale,
                            .softcap = h->attn_cap,
                            .slopes = p->m->slopes,
                            .alibi_bf16 = p->m->family->alibi_bf16,
                            .sinks = l->sinks,
                            .chosen = p->m->family->indexed ? p->a->chosen : NULL,
                            .most = h->index_most};
    p->ops->attention(p->d, &mix);
    const float *mixed = p->a->mixed;
    if (p->m->family->latent) forward_values(p, l);
    if (p->m->family->latent) mixed = p->a->ready;
    if (p->m->family->attention_gate) mixed = gate_heads(p);
    linear(p, &l->attn_out, mixed, p->a->branch);
    scale(p, p->a->branch, p->n * h->hidden, h->recurrence.attn_out);
}

// branch = Wdown activation(Wup x), or Wdown (activation(Wgate x) * Wup x).
static void mlp(struct pass *p, const struct layer *l, const float *x) {
    size_t wide = l->plan.feed_forward, n = p->n * wide;
    float *gated = p->a->gated;
    struct gate g = {p->m->h.activation, p->n, wide, wide, gated, gated + n, p->a->wide};
    if (l->gate_up.w.rows) {
        linear(p, &l->gate_up, x, gated);
        g.up = gated + wide;
        g.stride = 2 * wide;
    } else if (l->gate.w.rows) {
        linear(p, &l->gate, x, gated);
        scale(p, gated, n, p->m->h.recurrence.gate);
        linear(p, &l->up, x, gated + n);
    } else {
        linear(p, &l->up, x, p->a->wide);
        p->ops->activate(p->d, p->m->h.activation, p->a->wide, n);
    }
    if (p->m->family->gated) p->ops->gate(p->d, &g);
    linear(p, &l->down, p->a->wide, p->a->branch);
    scale(p, p->a->branch, p->n * p->m->h.hidden, p->m->h.recurrence.down);
}

// branch = the MLP and the experts, each under a norm of its own. Both read the stream.
static void mlp_and_experts(struct pass *p, const struct layer *l, const float *x) {
    size_t hidden = p->m->h.hidden;
    mlp(p, l, x);
    norm(p, &l->dense_post_norm, p->a->branch, p->n, hidden, p->a->beside);
    forward_experts(p, l, input(p, &l->expert_norm));
    norm(p, &l->expert_post_norm, p->a->branch, p->n, hidden, p->a->branch);
    p->ops->add(p->d, p->a->branch, p->a->beside, p->n * hidden);
}

// branch = what the layer makes of other positions: by attention, by a state, or by both.
static void mix(struct pass *p, uint32_t i, const float *x) {
    const struct layer *l = &p->m->layers[i];
    size_t n = p->n * p->m->h.hidden;
    bool both = l->plan.attends && l->plan.recurs;
    if (l->plan.recurs) forward_state(p, l, x, both ? p->a->beside : p->a->branch);
    if (both) scale(p, p->a->normed, n, p->m->h.recurrence.attn_in); // nothing but attention reads it any more
    if (l->plan.attends) attention(p, i, x);
    if (both) p->ops->add(p->d, p->a->branch, p->a->beside, n);
}

static void layer(struct pass *p, uint32_t i) {
    const struct layer *l = &p->m->layers[i];
    bool parallel = p->m->family->residual == RESIDUAL_PARALLEL;
    const float *x = input(p, &l->attn_norm);
    mix(p, i, x);
    if (p->m->family->mixers == MIXERS_STATE) { // the layer is whole
        join(p, &l->attn_post_norm);
        return;
    }
    if (parallel && l->mlp_norm.weight) x = input(p, &l->mlp_norm); // before the first branch joins
    join(p, &l->attn_post_norm);
    if (!parallel) x = input(p, &l->mlp_norm);
    if (l->dense_post_norm.weight)
        mlp_and_experts(p, l, x);
    else if (l->router.w.rows)
        forward_experts(p, l, x);
    else
        mlp(p, l, x);
    join(p, &l->mlp_post_norm);
    if (l->input_gate.w.rows) {
        forward_input(p, l, i);
        join(p, &l->input_post_norm);
    }
    scale(p, p->a->x, p->n * p->m->h.hidden, l->scale);
}

// Where the rows are: in their sequences, and in their chunks of them.
static void locate(struct pass *p, const struct row *rows) {
    const struct hyperparameters *h = &p->m->h;
    for (size_t r = 0; r < p->n; r++) {
        struct attention_row at = p->a->at[r] = p->a->in_chunk[r] = rows[r].at;
        if (!h->chunk) continue;
        p->a->in_chunk[r].pages = at.pages + at.position / h->chunk * (h->chunk / PAGE_TOKENS);
        p->a->in_chunk[r].position = at.position % h->chunk;
    }
    for (size_t r = 0; h->temper_every && r < p->n; r++) {
        double past = (double)(((uint64_t)rows[r].at.position + 1) / h->temper_every);
        float by = (float)(1 + h->temper * rope_ln(1 + past));
        p->ops->write(p->d, p->a->temper + r, &by, sizeof by);
    }
}

static void embed(struct pass *p, const struct row *rows) {
    struct model *m = p->m;
    size_t n = p->n * m->h.hidden;
    for (size_t r = 0; r < p->n; r++) p->a->tokens[r] = rows[r].token;
    p->ops->embed(p->d, &m->embedding, p->a->tokens, p->n, p->a->x);
    scale(p, p->a->x, n, m->h.embed_scale);
    if (m->h.layer_input) forward_inputs(p, p->a->tokens);
    if (!m->positions.rows) return;
    for (size_t r = 0; r < p->n; r++) p->a->tokens[r] = (int32_t)rows[r].at.position;
    p->ops->embed(p->d, &m->positions, p->a->tokens, p->n, p->a->branch);
    p->ops->add(p->d, p->a->x, p->a->branch, n);
}

// Where nothing is remembered any more, only the rows that want logits go on.
static void keep_wanted(struct pass *p, const struct row *rows) {
    struct activations *a = p->a;
    const struct hyperparameters *h = &p->m->h;
    const struct {
        float *part;
        size_t floats;
    } keep[] = {{a->x, h->hidden}, {a->inputs, h->layers * (size_t)h->layer_input}, {a->temper, h->temper_every != 0}};
    size_t wanted = 0;
    for (size_t r = 0; r < p->n; r++) {
        if (!rows[r].logits) continue;
        for (size_t i = 0; wanted < r && i < sizeof keep / sizeof *keep; i++) {
            size_t n = keep[i].floats;
            if (n) p->ops->move(p->d, keep[i].part + r * n, n, keep[i].part + wanted * n, n, 1, n);
        }
        a->in_chunk[wanted] = a->in_chunk[r];
        a->at[wanted++] = a->at[r];
    }
    p->n = wanted;
}

// The final norm and the output matrix.
static void logits(struct pass *p, float *out) {
    struct activations *a = p->a;
    const struct model *m = p->m;
    size_t hidden = m->h.hidden, vocab = m->h.vocab;
    norm(p, &m->final_norm, a->x, p->n, hidden, a->normed);
    for (size_t r = 0; r < p->n; r += a->logits_rows) {
        size_t n = p->n - r < a->logits_rows ? p->n - r : a->logits_rows;
        p->ops->matmul(p->d, &m->output, a->normed + r * hidden, n, m->output_bias, a->logits);
        scale(p, a->logits, n * vocab, m->h.logit_scale);
        if (m->h.logit_cap > 0) p->ops->cap(p->d, a->logits, m->h.logit_cap, n * vocab);
        p->ops->read(p->d, out + r * vocab, a->logits, n * vocab * sizeof *out);
    }
}

size_t model_max_rows(const struct model *m) { return m->activations->rows; }

void forward(struct model *m, struct kv_cache *kv, const struct row *rows, size_t n, float *out) {
    struct pass p = {.m = m, .kv = kv, .a = m->activations, .ops = m->device->ops, .d = m->device, .n = n};
    uint32_t keeping = m->h.layers - m->h.shared_kv;
    locate(&p, rows);
    embed(&p, rows);
    for (uint32_t i = 0; i < keeping; i++) layer(&p, i);
    keep_wanted(&p, rows);
    for (uint32_t i = keeping; i < m->h.layers && p.n; i++) layer(&p, i);
    if (p.n) logits(&p, out);
}
