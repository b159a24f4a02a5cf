// The decoder's forward pass, read top to bottom like the paper (Vaswani et al., 2017): forward() first, then what it
// calls. In what its many successors differ is in the plans of the layers (hyper.h) and in which weights they have.
#include "model/forward.h"
#include "device/rope.h"

static void locate(struct pass *p, const struct row *rows);
static void embed(struct pass *p, const struct row *rows);
static void layer(struct pass *p, const struct layer *l);
static void keep_wanted(struct pass *p, const struct row *rows);
static void logits(struct pass *p, float *out);

void forward(struct model *m, struct kv_cache *kv, const struct row *rows, size_t n, float *out) {
    struct pass p = {.m = m, .kv = kv, .a = m->activations, .ops = m->device->ops, .d = m->device, .n = n};
    const struct layer *l = m->layers, *end = l + m->h.layers, *borrowing = end - m->h.shared_kv;
    locate(&p, rows);
    embed(&p, rows);
    while (l < borrowing) layer(&p, l++);
    keep_wanted(&p, rows); // nothing is remembered from here on
    while (l < end && p.n) layer(&p, l++);
    if (p.n) logits(&p, out);
}

static void tokens_meet(struct pass *p, const struct layer *l, const float *x);
static void feed(struct pass *p, const struct layer *l, const float *x);
static void join(struct pass *p, const struct norm *w);

// x += attention(norm(x)), then x += mlp(norm(x)); or, parallel, both of the same x.
static void layer(struct pass *p, const struct layer *l) {
    const struct layer_plan *plan = &l->plan;
    const float *x = input(p, &l->attn_norm);
    tokens_meet(p, l, x);
    if (plan->parallel && l->mlp_norm.weight) x = input(p, &l->mlp_norm); // before the first branch joins
    join(p, &l->attn_post_norm);
    if (plan->feed != FEED_NONE) {
        feed(p, l, plan->parallel ? x : input(p, &l->mlp_norm));
        join(p, &l->mlp_post_norm);
    }
    if (l->input_gate.w.rows) {
        forward_input(p, l);
        join(p, &l->input_post_norm);
    }
    scale(p, p->a->x, p->n * p->m->h.hidden, l->scale);
}

// x += branch, which may have a norm behind it.
static void join(struct pass *p, const struct norm *w) {
    size_t n = p->n * p->m->h.hidden;
    if (w->weight) norm(p, w, p->a->branch, p->n, p->a->branch);
    scale(p, p->a->branch, n, p->m->h.residual_scale);
    p->ops->add(p->d, p->a->x, p->a->branch, n);
}

// branch = what the layer makes of other positions: by attention, by a state, or the sum of both.
static void tokens_meet(struct pass *p, const struct layer *l, const float *x) {
    size_t hidden = p->m->h.hidden, n = p->n * hidden;
    float in = p->m->h.recurrence.attn_in;
    bool both = l->plan.attends && l->plan.recurs;
    if (l->plan.recurs) forward_state(p, l, x, both ? p->a->beside : p->a->branch);
    if (!l->plan.attends) return;
    if (in != 1) { // a copy: others may read x too
        p->ops->move(p->d, x, hidden, p->a->branch, hidden, p->n, hidden);
        scale(p, p->a->branch, n, in);
        x = p->a->branch;
    }
    forward_attention(p, l, x);
    if (both) p->ops->add(p->d, p->a->branch, p->a->beside, n);
}

// branch = Wdown activation(Wup x), or Wdown (activation(Wgate x) * Wup x).
static void mlp(struct pass *p, const struct layer *l, const float *x) {
    size_t wide = l->plan.feed_forward, n = p->n * wide;
    float *gated = p->a->gated;
    if (l->gate_up.w.rows) {
        linear(p, &l->gate_up, x, gated);
        forward_gate(p, &(struct gate){.rows = p->n, .n = wide, .stride = 2 * wide, .gate = gated, .up = gated + wide});
    } else if (l->gate.w.rows) {
        linear(p, &l->gate, x, gated);
        linear(p, &l->up, x, gated + n);
        forward_gate(p, &(struct gate){.rows = p->n, .n = wide, .stride = wide, .gate = gated, .up = gated + n});
    } else {
        linear(p, &l->up, x, p->a->wide);
        p->ops->activate(p->d, p->m->h.activation, p->a->wide, n);
    }
    linear(p, &l->down, p->a->wide, p->a->branch);
}

void forward_gate(struct pass *p, const struct gate *g) {
    const struct hyperparameters *h = &p->m->h;
    struct gate a = *g;
    a.activation = h->activation;
    a.out = p->a->wide;
    a.limit = h->gate_limit;
    a.alpha = h->gate_alpha;
    p->ops->gate(p->d, &a);
}

// branch = what the MLP, the experts, or both, each under a norm of its own, make of x. Those beside an MLP read the
// stream.
static void feed(struct pass *p, const struct layer *l, const float *x) {
    if (l->plan.feed != FEED_EXPERTS) mlp(p, l, x);
    if (l->plan.feed == FEED_MLP) return;
    if (l->plan.feed == FEED_EXPERTS) {
        forward_experts(p, l, x);
        return;
    }
    norm(p, &l->dense_post_norm, p->a->branch, p->n, p->a->beside);
    forward_experts(p, l, input(p, &l->expert_norm));
    norm(p, &l->expert_post_norm, p->a->branch, p->n, p->a->branch);
    p->ops->add(p->d, p->a->branch, p->a->beside, p->n * p->m->h.hidden);
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

// x = the tokens' embeddings, and those of their positions where a model has some.
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

// Only the rows that want logits go on.
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
    norm(p, &m->final_norm, a->x, p->n, a->normed);
    for (size_t r = 0; r < p->n; r += a->logits_rows) {
        size_t n = p->n - r < a->logits_rows ? p->n - r : a->logits_rows;
        p->ops->matmul(p->d, &m->output, a->normed + r * hidden, n, m->output_bias, a->logits);
        scale(p, a->logits, n * vocab, m->h.logit_scale);
        if (m->h.logit_cap > 0) p->ops->cap(p->d, a->logits, m->h.logit_cap, n * vocab);
        p->ops->read(p->d, out + r * vocab, a->logits, n * vocab * sizeof *out);
    }
}

size_t model_max_rows(const struct model *m) { return m->activations->rows; }
