#include "train/trainee_parts.h"

#include <stdlib.h>
#include <string.h>

const struct linear *trainee_linear(const struct layer *l, enum slot s) {
    const struct linear *all[SLOTS] = {[SLOT_QKV] = &l->qkv,   [SLOT_Q] = &l->q,          [SLOT_K] = &l->k,
                                       [SLOT_V] = &l->v,       [SLOT_OUT] = &l->attn_out, [SLOT_GATE_UP] = &l->gate_up,
                                       [SLOT_GATE] = &l->gate, [SLOT_UP] = &l->up,        [SLOT_DOWN] = &l->down};
    return all[s]->w.rows ? all[s] : NULL;
}

static bool refuse(const struct model *m, const char *what, gyr_error *e) {
    return fail(e, GYR_UNSUPPORTED, "%s: gyr does not train models with %s", m->checkpoint->path, what);
}

static bool check_layer(const struct model *m, const struct layer *l, gyr_error *e) {
    const struct layer_plan *p = &l->plan;
    const struct {
        bool is;
        const char *what;
    } tries[] = {{p->recurs || !p->attends, "states"},
                 {p->latent || p->indexed, "latent attention"},
                 {p->feed != FEED_MLP, "experts"},
                 {p->qk_norm != QK_NORM_NONE || l->v_norm.weight, "norms of queries and keys"},
                 {p->gates_heads, "gates of heads"},
                 {p->borrows, "keys and values of other layers"},
                 {p->chunked || p->tempered, "attention in chunks"},
                 {p->own_rope, "two rotations"},
                 {!p->rotated, "positions that are not rotary"},
                 {l->attn_post_norm.weight || l->mlp_post_norm.weight || !l->attn_norm.weight, "norms behind branches"},
                 {l->input_gate.w.rows != 0, "per-layer inputs"},
                 {l->sinks != NULL, "sinks"},
                 {l->scale != 1, "scales of layers"}};
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++)
        if (tries[i].is) return refuse(m, tries[i].what, e);
    for (int s = 0; s < SLOTS; s++) {
        const struct linear *of = trainee_linear(l, (enum slot)s);
        if (of && of->by != 1) return refuse(m, "multipliers of matrices", e);
    }
    return true;
}

static bool check_model(const struct model *m, gyr_error *e) {
    const struct hyperparameters *h = &m->h;
    const struct {
        bool is;
        const char *what;
    } tries[] = {
        {m->first || m->end != h->layers || !m->begins || !m->gives, "layers on other machines"},
        {h->bidirectional, "tokens that see those behind them"},
        {m->types.rows || m->positions.rows || m->embed_norm.weight || h->layer_input, "more than embeddings at the "
                                                                                       "beginning"},
        {h->embed_scale != 1 || h->residual_scale != 1 || h->logit_scale != 1, "scales of embeddings, branches or "
                                                                               "logits"},
        {h->logit_cap > 0 || h->attn_cap > 0 || h->qkv_clip > 0 || h->gate_limit > 0, "caps"},
        {!m->final_norm.weight, "no final norm"},
        {m->slopes[0] != NULL, "ALiBi"},
        {h->activation == ACT_SIGMOID, "sigmoids"}};
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++)
        if (tries[i].is) return refuse(m, tries[i].what, e);
    for (uint32_t i = 0; i < h->layers; i++)
        if (!check_layer(m, &m->layers[i], e)) return false;
    return true;
}

// Vectors read from the device, one behind the other.
struct reading {
    const struct trainee *t;
    float *to; // NULL: only counted
    size_t used;
};

static float *read_vector(struct reading *r, const dfloat *v, size_t n) {
    float *to = r->to ? r->to + r->used : NULL;
    struct device *d = r->t->m->device;
    if (!v) return NULL;
    if (to) d->ops->read(d, to, v, n * sizeof *to);
    r->used += n;
    return to;
}

static struct host_norm read_norm(struct reading *r, const struct norm *n) {
    return (struct host_norm){.mean = n->kind == NORM_LAYER,
                              .eps = n->eps,
                              .w = read_vector(r, n->weight, n->dim),
                              .b = read_vector(r, n->bias, n->dim)};
}

static void read_all(struct reading *r, struct trainee *t) {
    const struct model *m = t->m;
    for (uint32_t i = 0; i < m->h.layers; i++) {
        struct host_layer *l = &t->layers[i];
        l->l = &m->layers[i];
        l->attn = read_norm(r, &l->l->attn_norm);
        l->mlp = read_norm(r, &l->l->mlp_norm);
        for (int s = 0; s < SLOTS; s++) {
            const struct linear *of = trainee_linear(l->l, (enum slot)s);
            l->bias[s] = of ? read_vector(r, of->bias, of->w.rows) : NULL;
        }
    }
    t->final = read_norm(r, &m->final_norm);
    t->output_bias = read_vector(r, m->output_bias, m->h.vocab);
}

static bool fill(struct trainee *t, unsigned threads, gyr_error *e) {
    static const enum unit units[] = {[ACT_GELU] = UNIT_GELU,
                                      [ACT_GELU_TANH] = UNIT_GELU_TANH,
                                      [ACT_SILU] = UNIT_SILU,
                                      [ACT_RELU] = UNIT_RELU,
                                      [ACT_RELU2] = UNIT_RELU2};
    struct reading count = {.t = t}, get = {.t = t};
    if (!check_model(t->m, e) || !(t->pool = pool_new(threads, e))) return false;
    t->unit = units[t->m->h.activation];
    t->layers = calloc(t->m->h.layers, sizeof *t->layers);
    if (!t->layers) return fail_memory(e, "training");
    read_all(&count, t);
    if (!(get.to = t->vectors = malloc((count.used + 1) * sizeof *t->vectors))) return fail_memory(e, "training");
    read_all(&get, t);
    return t->m->device->ops->sync(t->m->device, e);
}

struct trainee *trainee_new(const struct model *m, unsigned threads, gyr_error *e) {
    struct trainee *t = calloc(1, sizeof *t);
    if (!t) return fail_memory(e, "training"), NULL;
    t->m = m;
    if (fill(t, threads, e)) return t;
    trainee_free(t);
    return NULL;
}

void trainee_free(struct trainee *t) {
    if (!t) return;
    pool_free(t->pool);
    free(t->layers);
    free(t->vectors);
    free(t->room);
    free(t);
}

bool trainee_adapt(struct trainee *t, uint32_t layer, enum slot slot, size_t rank, float scale) {
    const struct linear *of = trainee_linear(&t->m->layers[layer], slot);
    if (!of) return false;
    struct trained *p = &t->layers[layer].pair[slot];
    p->rank = rank;
    p->scale = scale;
    p->a = t->n_numbers;
    p->b = p->a + rank * of->w.cols;
    t->n_numbers = p->b + of->w.rows * rank;
    return true;
}

void trainee_shape(const struct trainee *t, uint32_t layer, enum slot slot, size_t *in, size_t *out) {
    const struct linear *of = trainee_linear(&t->m->layers[layer], slot);
    *in = of ? of->w.cols : 0;
    *out = of ? of->w.rows : 0;
}

const struct trained *trainee_pair(const struct trainee *t, uint32_t layer, enum slot slot) {
    return &t->layers[layer].pair[slot];
}

size_t trainee_numbers(const struct trainee *t) { return t->n_numbers; }
