#include "model/sharing.h"
#include "train/card.h"
#include "train/trainee_parts.h"

#include <stdlib.h>
#include <string.h>

unsigned trainee_slots(const struct trainee *t) { return SLOTS + 3 * t->m->h.experts; }

const struct linear *trainee_linear(const struct trainee *t, uint32_t layer, unsigned slot) {
    const struct layer *l = &t->m->layers[layer];
    const struct linear *all[SLOTS] = {[SLOT_QKV] = &l->qkv,
                                       [SLOT_Q] = &l->q,
                                       [SLOT_K] = &l->k,
                                       [SLOT_V] = &l->v,
                                       [SLOT_OUT] = &l->attn_out,
                                       [SLOT_Q_A] = &l->q_a,
                                       [SLOT_KV_A] = &l->kv_a,
                                       [SLOT_GATE_UP] = &l->gate_up,
                                       [SLOT_GATE] = &l->gate,
                                       [SLOT_UP] = &l->up,
                                       [SLOT_DOWN] = &l->down,
                                       [SLOT_SHARED_GATE] = &l->shared.gate,
                                       [SLOT_SHARED_UP] = &l->shared.up,
                                       [SLOT_SHARED_DOWN] = &l->shared.down,
                                       [SLOT_STATE_IN] = &l->state.in,
                                       [SLOT_STATE_X] = &l->state.x,
                                       [SLOT_STATE_DT] = &l->state.dt,
                                       [SLOT_STATE_GATE] = &l->state.gate,
                                       [SLOT_STATE_ALPHA] = &l->state.alpha,
                                       [SLOT_STATE_BETA] = &l->state.beta,
                                       [SLOT_STATE_OUT] = &l->state.out,
                                       [SLOT_ROUTER] = &l->router,
                                       [SLOT_SHARED_ROUTER] = &l->shared_router};
    if (slot < SLOTS) return all[slot]->w.rows ? all[slot] : NULL;
    if (!l->experts) return NULL;
    const struct expert *x = &l->experts[(slot - SLOTS) / 3];
    return (slot - SLOTS) % 3 == 0 ? &x->gate : (slot - SLOTS) % 3 == 1 ? &x->up : &x->down;
}

static bool refuse(const struct model *m, const char *what, gyr_error *e) {
    return fail(e, GYR_UNSUPPORTED, "%s: gyr does not train models with %s", m->checkpoint->path, what);
}

static bool check_layer(const struct model *m, const struct layer *l, gyr_error *e) {
    const struct layer_plan *p = &l->plan;
    const struct {
        bool is;
        const char *what;
    } tries[] = {{p->recurs && p->attends, "attention beside states"},
                 {p->recurs && m->h.recurrence.each, "states whose keys decay by element"},
                 {p->indexed, "positions that are chosen"},
                 {p->feed == FEED_BOTH, "experts beside an MLP"},
                 {p->borrows, "keys and values of other layers"},
                 {p->norms_joined, "norms of the stream behind branches"},
                 {l->input_gate.w.rows != 0, "per-layer inputs"}};
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++)
        if (tries[i].is) return refuse(m, tries[i].what, e);
    return true;
}

static bool check_model(const struct model *m, gyr_error *e) {
    const struct hyperparameters *h = &m->h;
    const struct {
        bool is;
        const char *what;
    } tries[] = {{m->first || m->end != h->layers || !m->begins || !m->gives, "layers on other machines"},
                 {h->bidirectional, "tokens that see those behind them"},
                 {m->types.rows || h->layer_input, "more than embeddings at the beginning"},
                 {h->experts_used > MAX_USED, "more than 256 experts of a token"},
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
    struct device *from; // where the next ones are
    float *to;           // NULL: only counted
    size_t used;
};

static float *read_vector(struct reading *r, const dfloat *v, size_t n) {
    float *to = r->to ? r->to + r->used : NULL;
    struct device *d = r->from;
    if (!v) return NULL;
    if (to) d->ops->read(d, to, v, n * sizeof *to);
    r->used += n;
    return to;
}

// A row has `each` vectors of it, one behind the other.
static struct host_norm read_norm(struct reading *r, const struct norm *n, size_t each, size_t parts) {
    return (struct host_norm){.mean = n->kind == NORM_LAYER,
                              .eps = n->eps,
                              .w = read_vector(r, n->weight, n->dim),
                              .b = read_vector(r, n->bias, n->dim),
                              .dim = n->dim / parts,
                              .each = each,
                              .parts = parts};
}

// Norms of queries, keys and values; or of the latent vectors that they come from.
static void read_head_norms(struct reading *r, struct host_layer *l) {
    enum qk_norm kind = l->l->plan.qk_norm;
    size_t q = r->t->m->h.heads, k = l->l->plan.heads.kv_heads;
    if (l->l->plan.latent) {
        l->q = read_norm(r, &l->l->q_a_norm, 1, 1);
        l->k = read_norm(r, &l->l->kv_a_norm, 1, 1);
        return;
    }
    bool row = kind == QK_NORM_ROW, each = kind == QK_NORM_EACH;
    if (kind != QK_NORM_NONE) {
        l->q = read_norm(r, &l->l->q_norm, row ? 1 : q, each ? q : 1);
        l->k = read_norm(r, &l->l->k_norm, row ? 1 : k, each ? k : 1);
    }
    l->v = read_norm(r, &l->l->v_norm, k, 1);
    l->v.fixed = true;
    l->q.fixed = l->k.fixed = kind == QK_NORM_PLAIN;
}

// A norm of `each` vectors of a row, whose weights are not all that the vector of the model has.
static struct host_norm state_norm(struct reading *r, const dfloat *w, float eps, size_t dim, size_t each,
                                   size_t parts) {
    return (struct host_norm){
        .eps = eps, .w = read_vector(r, w, dim * parts), .dim = dim, .each = each, .parts = parts};
}

static void read_state(struct reading *r, struct host_state *to, const struct recurrent *s) {
    const struct hyperparameters *h = &r->t->m->h;
    const struct recurrence *o = &h->recurrence;
    bool channels = o->kind == RECUR_CHANNELS, delta = o->kind == RECUR_DELTA;
    size_t steps = channels ? o->inner : o->heads;
    float eps = delta ? 1e-6f / (float)o->size : o->norms_eps; // of length 1: x / sqrt(sum + 1e-6)
    to->taps = read_vector(r, s->taps, (size_t)o->taps * o->channels);
    to->taps_bias = read_vector(r, s->taps_bias, o->channels);
    to->dt_bias = read_vector(r, s->dt_bias, steps);
    to->a = read_vector(r, s->a, channels ? (size_t)o->size * o->inner : o->heads);
    to->skip = read_vector(r, s->skip, steps);
    to->query = state_norm(r, s->ones, eps, o->size, o->groups, 1);
    to->key = state_norm(r, delta ? s->unit : s->ones, eps, o->size, o->groups, 1);
    to->low = state_norm(r, channels ? s->ones : NULL, eps, o->rank, 1, 1);
    to->query.fixed = to->key.fixed = to->low.fixed = true;
    to->norm = delta ? state_norm(r, s->norm.weight, h->norm_eps, o->dim, o->heads, 1)
                     : state_norm(r, s->norm.weight, h->norm_eps, o->inner / o->groups, o->groups, o->groups);
}

static void read_layer(struct reading *r, struct trainee *t, uint32_t i) {
    struct host_layer *l = &t->layers[i];
    r->from = t->m->on.device[t->m->layers[i].side];
    const struct layer *of = l->l = &t->m->layers[i];
    const struct hyperparameters *h = &t->m->h;
    l->attn = read_norm(r, &of->attn_norm, 1, 1);
    l->attn_post = read_norm(r, &of->attn_post_norm, 1, 1);
    l->mlp = read_norm(r, &of->mlp_norm, 1, 1);
    l->mlp_post = read_norm(r, &of->mlp_post_norm, 1, 1);
    if (of->plan.attends) read_head_norms(r, l);
    if (of->plan.recurs) read_state(r, &l->state, &of->state);
    l->sinks = read_vector(r, of->sinks, h->heads);
    l->shift = read_vector(r, of->router_shift, h->experts);
    for (unsigned s = 0; s < trainee_slots(t); s++) {
        const struct linear *map = trainee_linear(t, i, s);
        if (map && map->w.on) r->from = map->w.on; // experts may be elsewhere than their layer
        l->bias[s] = map ? read_vector(r, map->bias, map->w.rows) : NULL;
    }
}

static void read_all(struct reading *r, struct trainee *t) {
    const struct model *m = t->m;
    for (uint32_t i = 0; i < m->h.layers; i++) read_layer(r, t, i);
    r->from = m->on.device[0];
    t->embed = read_norm(r, &m->embed_norm, 1, 1);
    t->slopes = read_vector(r, m->slopes[0], m->h.heads);
    r->from = m->device;
    t->final = read_norm(r, &m->final_norm, 1, 1);
    t->output_bias = read_vector(r, m->output_bias, m->h.vocab);
}

static bool make_layers(struct trainee *t) {
    size_t slots = trainee_slots(t);
    if (!(t->layers = calloc(t->m->h.layers, sizeof *t->layers))) return false;
    for (uint32_t i = 0; i < t->m->h.layers; i++) {
        t->layers[i].bias = calloc(slots, sizeof *t->layers[i].bias);
        t->layers[i].pair = calloc(slots, sizeof *t->layers[i].pair);
        if (!t->layers[i].bias || !t->layers[i].pair) return false;
    }
    return true;
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
    if (!make_layers(t)) return fail_memory(e, "training");
    read_all(&count, t);
    if (!(get.to = t->vectors = malloc((count.used + 1) * sizeof *t->vectors))) return fail_memory(e, "training");
    read_all(&get, t);
    if (!model_sync(t->m, e)) return false;
    gyr_error none = {0};
    t->card = card_new(t->m, &none);
    return !none.status || fail(e, none.status, "%s", none.message);
}

struct trainee *trainee_new(const struct model *m, unsigned threads, gyr_error *e) {
    struct trainee *t = calloc(1, sizeof *t);
    if (!t) return fail_memory(e, "training"), NULL;
    t->m = m;
    if (fill(t, threads, e)) return t;
    trainee_free(t);
    return NULL;
}

bool trainee_shorts(struct trainee *t, gyr_error *e) {
    t->shorts = true;
    return !t->card || fail(e, GYR_UNSUPPORTED,
                            "products: int16 is the CPU's; a card sums in float. Choose the device "
                            "cpu, or products f32");
}

void trainee_free(struct trainee *t) {
    if (!t) return;
    pool_free(t->pool);
    for (uint32_t i = 0; t->layers && i < t->m->h.layers; i++) {
        free(t->layers[i].bias);
        free(t->layers[i].pair);
    }
    free(t->layers);
    free(t->vectors);
    card_memory_free(t->card, t->room);
    card_free(t->card);
    free(t);
}

bool trainee_adapt(struct trainee *t, uint32_t layer, unsigned slot, size_t rank, float scale) {
    const struct linear *of = trainee_linear(t, layer, slot);
    if (!of) return false;
    struct trained *p = &t->layers[layer].pair[slot];
    p->rank = rank;
    p->scale = scale;
    p->a = t->n_numbers;
    p->b = p->a + rank * of->w.cols;
    t->n_numbers = p->b + of->w.rows * rank;
    return true;
}

void trainee_shape(const struct trainee *t, uint32_t layer, unsigned slot, size_t *in, size_t *out) {
    const struct linear *of = trainee_linear(t, layer, slot);
    *in = of ? of->w.cols : 0;
    *out = of ? of->w.rows : 0;
}

const struct trained *trainee_pair(const struct trainee *t, uint32_t layer, unsigned slot) {
    return &t->layers[layer].pair[slot];
}

size_t trainee_numbers(const struct trainee *t) { return t->n_numbers; }

const char *trainee_card_failed(const struct trainee *t) { return card_failed(t->card); }

struct pool *trainee_pool(const struct trainee *t) {
    return t->pool;
}
