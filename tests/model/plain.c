#include "plain.h"

#include <math.h>
#include <string.h>

enum { MOST = 256 };
static const double eps = 1e-5;

static void linear(const struct plain_layer *l, enum role role, size_t index, const double *x, double *y) {
    size_t rows = l->rows[role], cols = l->cols[role];
    for (size_t r = 0; r < rows; r++) {
        const float *w = l->w[role][PART_WEIGHT] + (index * rows + r) * cols;
        y[r] = l->w[role][PART_BIAS] ? (double)l->w[role][PART_BIAS][index * rows + r] : 0;
        for (size_t c = 0; c < cols; c++) y[r] += (double)w[c] * x[c];
    }
}

static void scale(double *x, size_t n, double by) {
    for (size_t i = 0; i < n; i++) x[i] *= by;
}

// No weights: all 1.
static void norm_by(enum norm_kind kind, const float *w, const float *b, double small, size_t n, const double *x,
                    double *y) {
    double mean = 0, square = 0;
    for (size_t i = 0; kind == NORM_LAYER && i < n; i++) mean += x[i] / (double)n;
    for (size_t i = 0; i < n; i++) square += (x[i] - mean) * (x[i] - mean) / (double)n;
    for (size_t i = 0; i < n; i++)
        y[i] = (x[i] - mean) / sqrt(square + small) * (w ? (double)w[i] : 1) + (b ? (double)b[i] : 0);
}

static bool has(const struct plain_layer *l, enum role role) { return l->w[role][PART_WEIGHT]; }

// A layer without the norm gives what it got.
static void norm(const struct plain *p, const struct plain_layer *l, enum role role, const double *x, double *y) {
    const float *w = l->w[role][PART_WEIGHT];
    if (w)
        norm_by(p->f.norms.kind, w, l->w[role][PART_BIAS], eps, HIDDEN, x, y);
    else
        memmove(y, x, HIDDEN * sizeof *y);
}

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

static double activation(enum activation kind, double x) {
    switch (kind) {
    case ACT_GELU: return x * 0.5 * (1 + erf(x / sqrt(2.0)));
    case ACT_GELU_TANH: return 0.5 * x * (1 + tanh(sqrt(2 / acos(-1.0)) * (x + 0.044715 * x * x * x)));
    case ACT_SILU: return x * sigmoid(x);
    case ACT_RELU: return x > 0 ? x : 0;
    case ACT_RELU2: return x > 0 ? x * x : 0;
    default: return sigmoid(x);
    }
}

static double gated(const struct plain *p, double g, double u) {
    double limit = (double)p->f.mlp.limit;
    if (!(limit > 0)) return activation(p->f.mlp.activation, g) * u;
    g = fmin(g, limit);
    u = fmax(-limit, fmin(u, limit));
    return (u + 1) * g * sigmoid((double)p->f.mlp.alpha * g);
}

// Pairs of the first `n` elements, by the angles of a position.
static void rotate(double *x, size_t n, double base, enum pairs pairs, size_t position) {
    for (size_t i = 0; i < n / 2; i++) {
        double angle = (double)position * pow(base, -2.0 * (double)i / (double)n), c = cos(angle), s = sin(angle);
        double *a = pairs == PAIRS_ADJACENT ? x + 2 * i : x + i, *b = pairs == PAIRS_ADJACENT ? a + 1 : a + n / 2;
        double one = *a, other = *b;
        *a = one * c - other * s;
        *b = other * c + one * s;
    }
}

static double bf16(double x) { return (double)bf16_to_f32(f32_to_bf16((float)x)); }

static double biased(const struct plain *p, double product, size_t head, size_t from, size_t to, double by) {
    double slope = pow(2, -8.0 * (double)(head + 1) / HEADS);
    if (p->f.positions != POSITIONS_ALIBI) return product * by;
    if (p->f.attention.alibi_bf16) return (product + bf16(bf16(slope) * bf16((double)to))) * by;
    return product * by + slope * ((double)to - (double)from);
}

// Softmax over scores, whose values are summed.
struct attended {
    double scores[TOKENS];
    bool sees[TOKENS];
};

static void weigh(const struct plain *p, const struct plain_layer *l, struct attended *a, size_t head, size_t at) {
    double most = -INFINITY, sum = 0;
    const float *sink = l->w[ROLE_SINKS][PART_WEIGHT];
    for (size_t t = 0; t <= at; t++) {
        if (p->attn_cap > 0) a->scores[t] = p->attn_cap * tanh(a->scores[t] / p->attn_cap);
        if (a->sees[t]) most = fmax(most, a->scores[t]);
    }
    if (sink) most = fmax(most, (double)sink[head]);
    for (size_t t = 0; t <= at; t++) sum += a->scores[t] = a->sees[t] ? exp(a->scores[t] - most) : 0;
    if (sink) sum += exp((double)sink[head] - most);
    for (size_t t = 0; t <= at; t++) a->scores[t] /= sum;
}

static bool in_reach(const struct plain *p, const struct plain_layer *l, size_t at, size_t t) {
    if (l->chunked) return t >= at / p->f.chunks.size * p->f.chunks.size;
    return !l->local || t + p->window > at;
}

static void norm_heads(const struct plain *p, const float *w, size_t step, size_t heads, size_t dim, double *x) {
    for (size_t h = 0; h < heads; h++)
        norm_by(p->f.norms.kind, w ? w + h * step : NULL, NULL, eps, dim, x + h * dim, x + h * dim);
}

static void norm_qk(const struct plain *p, const struct plain_layer *l, enum role role, size_t heads, double *x) {
    const float *w = l->w[role][PART_WEIGHT];
    switch (p->f.attention.qk_norm) {
    case QK_NORM_NONE: break;
    case QK_NORM_HEAD: norm_heads(p, w, 0, heads, l->dim, x); break;
    case QK_NORM_EACH: norm_heads(p, w, l->dim, heads, l->dim, x); break;
    case QK_NORM_ROW: norm_by(p->f.norms.kind, w, NULL, eps, heads * l->dim, x, x); break;
    case QK_NORM_PLAIN:
        if (l->rotated) norm_heads(p, NULL, 0, heads, l->dim, x);
        break;
    }
}

static void keys_and_values(const struct plain *p, struct plain_layer *l, const double *x, size_t at) {
    size_t n = l->kv_heads * l->dim;
    double *k = l->k[at], *v = l->v[at];
    linear(l, ROLE_K, 0, x, k);
    if (has(l, ROLE_V))
        linear(l, ROLE_V, 0, x, v);
    else
        memcpy(v, k, n * sizeof *v);
    if (p->f.attention.value_norm) norm_heads(p, NULL, 0, l->kv_heads, l->dim, v);
    scale(k, n, p->key_by);
    norm_qk(p, l, ROLE_K_NORM, l->kv_heads, k);
    for (size_t h = 0; l->rotated && h < l->kv_heads; h++)
        rotate(k + h * l->dim, l->rotary, l->base, p->f.rope.hf_pairs, at);
}

static void attention(struct plain *p, struct plain_layer *l, const double *x, size_t at, double *out) {
    double both[MOST], q[MOST], gate[MOST], mixed[MOST] = {0};
    size_t dim = l->dim, group = HEADS / l->kv_heads;
    const struct plain_layer *from = &p->layer[l->lender];
    linear(l, ROLE_Q, 0, x, both);
    for (size_t i = 0; i < HEADS * dim; i++) {
        q[i] = p->f.attention.gated ? both[i / dim * 2 * dim + i % dim] : both[i];
        gate[i] = p->f.attention.gated ? both[i / dim * 2 * dim + dim + i % dim] : 0;
    }
    norm_qk(p, l, ROLE_Q_NORM, HEADS, q);
    if (from == l) keys_and_values(p, l, x, at);
    double by = p->attn_scale > 0 ? p->attn_scale : 1 / sqrt((double)dim);
    if (p->f.chunks.temper_every && !l->rotated)
        scale(q, HEADS * dim, 1 + p->f.chunks.temper * log(1 + floor((double)(at + 1) / p->f.chunks.temper_every)));
    for (size_t h = 0; h < HEADS; h++) {
        struct attended a;
        double *qh = q + h * dim;
        if (l->rotated) rotate(qh, l->rotary, l->base, p->f.rope.hf_pairs, at);
        for (size_t t = 0; t <= at; t++) {
            double product = 0;
            for (size_t i = 0; i < dim; i++) product += qh[i] * from->k[t][h / group * dim + i];
            a.sees[t] = in_reach(p, l, at, t);
            a.scores[t] = biased(p, product, h, at, t, by);
        }
        weigh(p, l, &a, h, at);
        for (size_t t = 0; t <= at; t++)
            for (size_t i = 0; i < dim; i++) mixed[h * dim + i] += a.scores[t] * from->v[t][h / group * dim + i];
    }
    for (size_t i = 0; p->f.attention.gated && i < HEADS * dim; i++) mixed[i] *= sigmoid(gate[i]);
    linear(l, ROLE_ATTN_OUT, 0, mixed, out);
}

// The MAX_INDEX positions of the highest scores.
static void choose(struct plain *p, struct plain_layer *l, const double *latent, const double *x, size_t at,
                   bool *chosen) {
    double q[INDEX_HEADS * INDEX_DIM], w[INDEX_HEADS], k[INDEX_DIM], scores[TOKENS];
    linear(l, ROLE_INDEX_Q, 0, latent, q);
    linear(l, ROLE_INDEX_K, 0, x, k);
    linear(l, ROLE_INDEX_WEIGHT, 0, x, w);
    norm_by(NORM_LAYER, l->w[ROLE_INDEX_NORM][PART_WEIGHT], l->w[ROLE_INDEX_NORM][PART_BIAS], 1e-6, INDEX_DIM, k,
            l->index_k[at]);
    rotate(l->index_k[at], KEY_ROTATED, l->base, p->f.latent.index_pairs, at);
    for (size_t h = 0; h < INDEX_HEADS; h++)
        rotate(q + h * INDEX_DIM, KEY_ROTATED, l->base, p->f.latent.index_pairs, at);
    for (size_t t = 0; t <= at; t++) {
        scores[t] = 0;
        for (size_t h = 0; h < INDEX_HEADS; h++) {
            double product = 0;
            for (size_t i = 0; i < INDEX_DIM; i++) product += q[h * INDEX_DIM + i] * l->index_k[t][i];
            scores[t] += w[h] * fmax(0, product);
        }
        chosen[t] = at < MAX_INDEX;
    }
    for (size_t n = 0; at >= MAX_INDEX && n < MAX_INDEX; n++) {
        size_t best = TOKENS;
        for (size_t t = 0; t <= at; t++)
            if (!chosen[t] && (best == TOKENS || scores[t] > scores[best])) best = t;
        chosen[best] = true;
    }
}

// Latent attention as the paper defines it: keys and values are made of what is remembered.
static void latent_attention(struct plain *p, struct plain_layer *l, const double *x, size_t at, double *out) {
    enum { KEY = KEY_PLAIN + KEY_ROTATED, EACH = KEY_PLAIN + VALUE };
    double low[Q_LATENT], q[HEADS * KEY], kv[KV_LATENT + KEY_ROTATED], mixed[HEADS * VALUE] = {0};
    static double made[TOKENS][HEADS * EACH];
    bool chosen[TOKENS];
    linear(l, ROLE_Q_A, 0, x, low);
    norm_by(p->f.norms.kind, l->w[ROLE_Q_A_NORM][PART_WEIGHT], NULL, (double)p->f.latent.eps, Q_LATENT, low, low);
    linear(l, ROLE_Q, 0, low, q);
    linear(l, ROLE_KV_A, 0, x, kv);
    norm_by(p->f.norms.kind, l->w[ROLE_KV_A_NORM][PART_WEIGHT], NULL, (double)p->f.latent.eps, KV_LATENT, kv, kv);
    if (l->rotated) rotate(kv + KV_LATENT, KEY_ROTATED, l->base, p->f.rope.hf_pairs, at);
    memcpy(l->k[at], kv, sizeof kv);
    if (p->f.latent.indexed) choose(p, l, low, x, at, chosen);
    for (size_t t = 0; t <= at; t++) linear(l, ROLE_KV_B, 0, l->k[t], made[t]);
    double by = p->attn_scale > 0 ? p->attn_scale : 1 / sqrt((double)KEY);
    if (p->f.chunks.temper_every && !l->rotated)
        scale(q, HEADS * KEY, 1 + p->f.chunks.temper * log(1 + floor((double)(at + 1) / p->f.chunks.temper_every)));
    for (size_t h = 0; h < HEADS; h++) {
        struct attended a;
        double *qh = q + h * KEY;
        if (l->rotated) rotate(qh + KEY_PLAIN, KEY_ROTATED, l->base, p->f.rope.hf_pairs, at);
        for (size_t t = 0; t <= at; t++) {
            double product = 0;
            for (size_t i = 0; i < KEY_PLAIN; i++) product += qh[i] * made[t][h * EACH + i];
            for (size_t i = 0; i < KEY_ROTATED; i++) product += qh[KEY_PLAIN + i] * l->k[t][KV_LATENT + i];
            a.sees[t] = in_reach(p, l, at, t) && (!p->f.latent.indexed || chosen[t]);
            a.scores[t] = biased(p, product, h, at, t, by);
        }
        weigh(p, l, &a, h, at);
        for (size_t t = 0; t <= at; t++)
            for (size_t i = 0; i < VALUE; i++) mixed[h * VALUE + i] += a.scores[t] * made[t][h * EACH + KEY_PLAIN + i];
    }
    linear(l, ROLE_ATTN_OUT, 0, mixed, out);
}

// Mamba-2.
static void state(const struct plain *p, struct plain_layer *l, const double *x, double *out) {
    enum { DIM = INNER / STATE_HEADS, KEYS = STATE_GROUPS * STATE_SIZE };
    double in[2 * INNER + 2 * KEYS + STATE_HEADS], c[CHANNELS], given[INNER];
    const float *taps = l->w[ROLE_STATE_CONV][PART_WEIGHT];
    linear(l, ROLE_STATE_IN, 0, x, in);
    scale(in, INNER, p->part_by[0]);
    scale(in + INNER, INNER, p->part_by[1]);
    scale(in + 2 * INNER, KEYS, p->part_by[2]);
    scale(in + 2 * INNER + KEYS, KEYS, p->part_by[3]);
    scale(in + 2 * INNER + 2 * KEYS, STATE_HEADS, p->part_by[4]);
    memmove(l->tail[0], l->tail[1], (TAPS - 1) * sizeof l->tail[0]);
    memcpy(l->tail[TAPS - 1], in + INNER, sizeof l->tail[0]);
    for (size_t i = 0; i < CHANNELS; i++) {
        c[i] = (double)l->w[ROLE_STATE_CONV][PART_BIAS][i];
        for (size_t t = 0; t < TAPS; t++) c[i] += (double)taps[i * TAPS + t] * l->tail[t][i];
        c[i] *= sigmoid(c[i]);
    }
    for (size_t h = 0; h < STATE_HEADS; h++) {
        size_t group = h / (STATE_HEADS / STATE_GROUPS);
        const double *key = c + INNER + group * STATE_SIZE, *query = key + KEYS;
        double step = log1p(exp(in[2 * INNER + 2 * KEYS + h] + (double)l->w[ROLE_STATE_DT][PART_BIAS][h]));
        double keep = exp(-step * exp((double)l->w[ROLE_STATE_A][PART_WEIGHT][h]));
        for (size_t i = 0; i < DIM; i++) {
            double value = c[h * DIM + i], *o = &given[h * DIM + i];
            *o = (double)l->w[ROLE_STATE_D][PART_WEIGHT][h] * value;
            for (size_t k = 0; k < STATE_SIZE; k++) {
                double *s = &l->state[h][k][i];
                *s = *s * keep + key[k] * step * value;
                *o += query[k] * *s;
            }
        }
    }
    for (size_t i = 0; i < INNER; i++) given[i] *= in[i] * sigmoid(in[i]);
    linear(l, ROLE_STATE_OUT, 0, given, out);
    scale(out, HIDDEN, p->state_by);
}

static void mlp(const struct plain *p, const struct plain_layer *l, const double *x, double *out) {
    double up[MOST], gate[MOST];
    linear(l, ROLE_UP, 0, x, up);
    if (has(l, ROLE_GATE)) linear(l, ROLE_GATE, 0, x, gate);
    for (size_t i = 0; i < WIDE; i++)
        up[i] = has(l, ROLE_GATE) ? gated(p, gate[i] * p->gate_by, up[i]) : activation(p->f.mlp.activation, up[i]);
    linear(l, ROLE_DOWN, 0, up, out);
    scale(out, HIDDEN, p->down_by);
}

static void expert(const struct plain *p, const struct plain_layer *l, enum role first, size_t index, const double *x,
                   double *out) {
    double gate[MOST], up[MOST];
    linear(l, first, index, x, gate);
    linear(l, first + 1, index, x, up);
    for (size_t i = 0; i < EXPERT_WIDE; i++) up[i] = gated(p, gate[i], up[i]);
    linear(l, first + 2, index, up, out);
}

// How much each expert counts.
static void route(const struct plain *p, const struct plain_layer *l, const double *x, double *weight) {
    double logits[EXPERTS], score[EXPERTS], sum = 0;
    const float *shift = l->w[ROLE_ROUTER_SHIFT][PART_WEIGHT], *own = l->w[ROLE_EXPERT_SCALE][PART_WEIGHT];
    bool taken[EXPERTS] = {false};
    linear(l, ROLE_ROUTER, 0, x, logits);
    for (int i = 0; i < EXPERTS; i++) sum += exp(logits[i]);
    for (int i = 0; i < EXPERTS; i++)
        score[i] = p->f.experts.route == ROUTE_SIGMOID   ? sigmoid(logits[i])
                   : p->f.experts.route == ROUTE_SOFTMAX ? exp(logits[i]) / sum
                                                         : exp(logits[i]);
    for (int k = 0; k < USED; k++) {
        int best = -1;
        double most = 0;
        for (int i = 0; i < EXPERTS; i++) {
            double worth = (p->f.experts.route == ROUTE_CHOSEN ? logits[i] : score[i]) + (shift ? (double)shift[i] : 0);
            if (!taken[i] && (best < 0 || worth > most)) {
                best = i;
                most = worth;
            }
        }
        taken[best] = true;
    }
    sum = 0;
    for (int i = 0; i < EXPERTS; i++) sum += weight[i] = taken[i] ? score[i] : 0;
    for (int i = 0; i < EXPERTS; i++) {
        if (p->f.experts.normed || p->f.experts.route == ROUTE_CHOSEN) weight[i] /= sum;
        if (own) weight[i] *= (double)own[i];
    }
}

static void experts(const struct plain *p, const struct plain_layer *l, const double *x, const double *stream,
                    double *out) {
    double weight[EXPERTS], part[HIDDEN], read[HIDDEN];
    memcpy(read, x, sizeof read);
    if (has(l, ROLE_ROUTER_NORM)) {
        norm_by(p->f.norms.kind, l->w[ROLE_ROUTER_NORM][PART_WEIGHT], NULL, eps, HIDDEN, stream, read);
        scale(read, HIDDEN, 1 / sqrt((double)HIDDEN));
    }
    route(p, l, read, weight);
    memset(out, 0, HIDDEN * sizeof *out);
    for (size_t e = 0; e < EXPERTS; e++) {
        if (weight[e] == 0) continue;
        for (size_t i = 0; i < HIDDEN; i++) read[i] = x[i] * (p->f.experts.at_input ? weight[e] : 1);
        expert(p, l, ROLE_EXPERT_GATE, e, read, part);
        for (size_t i = 0; i < HIDDEN; i++) out[i] += part[i] * (p->f.experts.at_input ? 1 : weight[e]);
    }
    if (!has(l, ROLE_SHARED_GATE)) return;
    double share = 0;
    if (has(l, ROLE_SHARED_ROUTER)) linear(l, ROLE_SHARED_ROUTER, 0, x, &share);
    expert(p, l, ROLE_SHARED_GATE, 0, x, part);
    for (size_t i = 0; i < HIDDEN; i++) out[i] += part[i] * (has(l, ROLE_SHARED_ROUTER) ? sigmoid(share) : 1);
}

static void feed_forward(const struct plain *p, const struct plain_layer *l, const double *x, const double *stream,
                         double *out) {
    double beside[HIDDEN];
    if (!p->f.experts.beside) {
        if (has(l, ROLE_ROUTER))
            experts(p, l, x, stream, out);
        else
            mlp(p, l, x, out);
        return;
    }
    mlp(p, l, x, beside);
    norm(p, l, ROLE_DENSE_POST_NORM, beside, beside);
    double read[HIDDEN];
    norm(p, l, ROLE_EXPERT_NORM, stream, read);
    experts(p, l, read, stream, out);
    norm(p, l, ROLE_EXPERT_POST_NORM, out, out);
    for (size_t i = 0; i < HIDDEN; i++) out[i] += beside[i];
}

static void join(const struct plain *p, const struct plain_layer *l, enum role post, double *branch, double *x) {
    norm(p, l, post, branch, branch);
    for (size_t i = 0; i < HIDDEN; i++) x[i] += p->residual * branch[i];
}

// What attention and the state make of x.
static void mix(struct plain *p, struct plain_layer *l, const double *x, size_t at, double *out) {
    double read[HIDDEN], part[HIDDEN];
    memset(out, 0, HIDDEN * sizeof *out);
    if (l->recurs) state(p, l, x, out);
    if (!l->attends) return;
    memcpy(read, x, sizeof read);
    scale(read, HIDDEN, p->in_by);
    (p->f.latent.attends ? latent_attention : attention)(p, l, read, at, part);
    for (size_t i = 0; i < HIDDEN; i++) out[i] += part[i] * p->out_by;
}

static void layer(struct plain *p, size_t i, const double *inputs, size_t at, double *x) {
    struct plain_layer *l = &p->layer[i];
    double read[HIDDEN], branch[HIDDEN], stream[HIDDEN], gate[INPUT_WIDE];
    bool parallel = p->f.residual == RESIDUAL_PARALLEL;
    memcpy(stream, x, sizeof stream);
    norm(p, l, ROLE_ATTN_NORM, x, read);
    mix(p, l, read, at, branch);
    join(p, l, ROLE_ATTN_POST_NORM, branch, x);
    if (p->f.mixers != MIXERS_STATE) {
        if (!parallel) memcpy(stream, x, sizeof stream);
        if (!p->f.norms.shared) norm(p, l, ROLE_MLP_NORM, stream, read);
        feed_forward(p, l, read, stream, branch);
        join(p, l, ROLE_MLP_POST_NORM, branch, x);
    }
    if (has(l, ROLE_INPUT_GATE)) {
        linear(l, ROLE_INPUT_GATE, 0, x, gate);
        for (size_t k = 0; k < INPUT_WIDE; k++)
            gate[k] = activation(p->f.mlp.activation, gate[k]) * inputs[i * INPUT_WIDE + k];
        linear(l, ROLE_INPUT_OUT, 0, gate, branch);
        join(p, l, ROLE_INPUT_POST_NORM, branch, x);
    }
    if (has(l, ROLE_LAYER_SCALE)) scale(x, HIDDEN, (double)*l->w[ROLE_LAYER_SCALE][PART_WEIGHT]);
}

static void embed(const struct plain *p, int32_t token, size_t at, double *x, double *inputs) {
    const struct plain_layer *l = &p->layer[0];
    for (size_t i = 0; i < HIDDEN; i++)
        x[i] = (double)l->w[ROLE_EMBEDDING][PART_WEIGHT][(size_t)token * HIDDEN + i] * p->embed;
    if (has(l, ROLE_INPUT_TABLE)) {
        const float *row = l->w[ROLE_INPUT_TABLE][PART_WEIGHT] + (size_t)token * LAYERS * INPUT_WIDE;
        linear(l, ROLE_INPUT_PROJECT, 0, x, inputs);
        scale(inputs, LAYERS * INPUT_WIDE, 1 / sqrt((double)HIDDEN));
        for (size_t i = 0; i < LAYERS; i++)
            norm_by(p->f.norms.kind, l->w[ROLE_INPUT_NORM][PART_WEIGHT], NULL, eps, INPUT_WIDE, inputs + i * INPUT_WIDE,
                    inputs + i * INPUT_WIDE);
        for (size_t i = 0; i < LAYERS * INPUT_WIDE; i++)
            inputs[i] = (inputs[i] + (double)row[i] * sqrt((double)INPUT_WIDE)) / sqrt(2.0);
    }
    for (size_t i = 0; has(l, ROLE_POSITIONS) && i < HIDDEN; i++)
        x[i] += (double)l->w[ROLE_POSITIONS][PART_WEIGHT][at * HIDDEN + i];
}

void plain_logits(struct plain *p, const int32_t *tokens, size_t n, float *logits) {
    for (size_t t = 0; t < n; t++) {
        double x[HIDDEN], inputs[LAYERS * INPUT_WIDE], out[VOCAB];
        embed(p, tokens[t], t, x, inputs);
        for (size_t i = 0; i < LAYERS; i++) layer(p, i, inputs, t, x);
        norm(p, &p->layer[0], ROLE_FINAL_NORM, x, x);
        linear(&p->layer[0], ROLE_OUTPUT, 0, x, out);
        for (size_t i = 0; i < VOCAB; i++) {
            double y = out[i] * p->logit;
            logits[t * VOCAB + i] = (float)(p->logit_cap > 0 ? p->logit_cap * tanh(y / p->logit_cap) : y);
        }
    }
}
