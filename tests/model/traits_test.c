// Traits of families in pairs, and many at once: what gyr computes is what the plain decoder computes, or the model is
// refused by what does not go together. No published model has most of them; a row of the table may.
#include "plain.h"

#include "base/buf.h"
#include "drawn.h"
#include "model/model.h"
#include "model/run.h"
#include "model/sharing.h"

static char folder[] = "/tmp/gyr-traits-XXXXXX";
static struct plain *plain;
static struct device *device;
static uint64_t seed;

// Traits of one slot exclude each other.
enum slot {
    NORM,
    PLACE,
    ORDER,
    POSITIONS,
    PART,
    PAIRS,
    SKIP,
    WINDOW,
    LOCAL_BASE,
    SHAPE,
    QK,
    VALUES,
    GATE,
    SINKS,
    FORM,
    LAYOUT,
    BIASES,
    MLP,
    ACTIVATION,
    MIXTURE,
    SHARED,
    ROUTE_AT,
    SHIFTED,
    INPUTS,
    LAYER_SCALE,
    CAP,
    LOGITS,
    SCALES,
    MIXERS,
    TIMES,
    LATENT
};

static void windows(struct plain *p) {
    p->window = 6;
    p->f.window.every = 2;
}

static void local_heads(struct plain *p) {
    windows(p);
    p->f.window.own_heads = p->f.rope.local = true;
    p->f.rope.local_base = 1000;
    p->f.attention.scale = 0.3f;
}

static void mixture(struct plain *p, enum route_score route, bool normed) {
    p->f.experts.route = route;
    p->f.experts.normed = normed;
    p->layer[0].rows[ROLE_ROUTER] = EXPERTS; // marks that there are experts; the weights come later
}

static void a_mixture(struct plain *p) {
    if (!p->layer[0].rows[ROLE_ROUTER]) mixture(p, ROUTE_SOFTMAX, false);
}

#define TRAITS(X)                                                                                                      \
    X(layer_norm, NORM, p->f.norms.kind = NORM_LAYER)                                                                  \
    X(norm_biases, NORM, p->f.norms.kind = NORM_LAYER; p->f.norms.biases = true)                                       \
    X(norm_after, PLACE, p->f.norms.place = NORM_AFTER)                                                                \
    X(norm_around, PLACE, p->f.norms.place = NORM_AROUND)                                                              \
    X(parallel, ORDER, p->f.residual = RESIDUAL_PARALLEL)                                                              \
    X(parallel_one_norm, ORDER, p->f.residual = RESIDUAL_PARALLEL; p->f.norms.shared = true)                           \
    X(alibi, POSITIONS, p->f.positions = POSITIONS_ALIBI)                                                              \
    X(alibi_bf16, POSITIONS, p->f.positions = POSITIONS_ALIBI; p->f.attention.alibi_bf16 = true)                       \
    X(learned, POSITIONS, p->f.positions = POSITIONS_LEARNED)                                                          \
    X(no_positions, POSITIONS, p->f.positions = POSITIONS_NONE)                                                        \
    X(rotary_part, PART, p->f.rope.part = 0.5)                                                                         \
    X(adjacent_pairs, PAIRS, p->f.rope.hf_pairs = PAIRS_ADJACENT)                                                      \
    X(rope_skip, SKIP, p->f.rope.skip = 2)                                                                             \
    X(rope_windows_only, SKIP, windows(p); p->f.rope.windows_only = true)                                              \
    X(window, WINDOW, p->window = 5)                                                                                   \
    X(window_every, WINDOW, windows(p))                                                                                \
    X(chunks, WINDOW, p->f.chunks.size = 32; p->f.rope.skip = 2; p->f.chunks.temper_every = 8;                         \
      p->f.chunks.temper = 0.3)                                                                                        \
    X(local_rope, LOCAL_BASE, windows(p); p->f.rope.local = true; p->f.rope.local_base = 1000)                         \
    X(local_heads, SHAPE, local_heads(p))                                                                              \
    X(borrowed, SHAPE, local_heads(p); p->borrowing = true)                                                            \
    X(key_values, SHAPE, local_heads(p); p->f.attention.value_norm = p->key_values = true)                             \
    X(qk_norm_head, QK, p->f.attention.qk_norm = QK_NORM_HEAD)                                                         \
    X(qk_norm_each, QK, p->f.attention.qk_norm = QK_NORM_EACH)                                                         \
    X(qk_norm_row, QK, p->f.attention.qk_norm = QK_NORM_ROW)                                                           \
    X(qk_norm_plain, QK, p->f.attention.qk_norm = QK_NORM_PLAIN)                                                       \
    X(value_norm, VALUES, p->f.attention.value_norm = true)                                                            \
    X(attention_gate, GATE, p->f.attention.gated = true)                                                               \
    X(sinks, SINKS, p->f.attention.sinks = true)                                                                       \
    X(fused, FORM, p->fused = true)                                                                                    \
    X(fused_grouped, FORM, p->fused = p->f.attention.hf_grouped = true)                                                \
    X(transposed, LAYOUT, p->f.hf_transposed = true)                                                                   \
    X(biases, BIASES, p->f.biases = BIAS_ALL | BIAS_OUTPUT | BIAS_EXPERTS)                                             \
    X(plain_mlp, MLP, p->f.mlp.gated = false)                                                                          \
    X(gate_limit, MLP, p->f.mlp.limit = 1; p->f.mlp.alpha = 1.702f)                                                    \
    X(gelu, ACTIVATION, p->f.mlp.activation = ACT_GELU)                                                                \
    X(relu2, ACTIVATION, p->f.mlp.activation = ACT_RELU2)                                                              \
    X(experts, MIXTURE, mixture(p, ROUTE_SOFTMAX, false))                                                              \
    X(experts_normed, MIXTURE, mixture(p, ROUTE_SIGMOID, true))                                                        \
    X(experts_chosen, MIXTURE, mixture(p, ROUTE_CHOSEN, false))                                                        \
    X(experts_beside, MIXTURE, mixture(p, ROUTE_SOFTMAX, true); p->f.experts.beside = true)                            \
    X(shared_expert, SHARED, a_mixture(p); p->shared = true)                                                           \
    X(shared_by_a_share, SHARED, a_mixture(p); p->shared = p->shared_router = true)                                    \
    X(route_input, ROUTE_AT, a_mixture(p); p->f.experts.at_input = true)                                               \
    X(layer_inputs, INPUTS, p->f.layer_inputs = true)                                                                  \
    X(attn_cap, CAP, p->attn_cap = 0.5)                                                                                \
    X(logit_cap, LOGITS, p->logit_cap = 0.5)                                                                           \
    X(scales, SCALES, p->embed = 3; p->residual = 0.4; p->logit = 0.7; p->attn_scale = p->told_scale = 0.6)            \
    X(state, MIXERS, p->f.mixers = MIXERS_STATE; p->f.state.kind = RECUR_HEADS)                                        \
    X(state_and_attention, MIXERS, p->f.mixers = MIXERS_BOTH; p->f.state.kind = RECUR_HEADS)                           \
    X(state_in_turns, MIXERS, p->f.mixers = MIXERS_TURNS; p->f.state.kind = RECUR_HEADS)                               \
    X(multiplied, TIMES, p->f.mixers = MIXERS_BOTH; p->f.state.kind = RECUR_HEADS; p->key_by = 0.5; p->gate_by = 0.7;  \
      p->down_by = 1.5; p->in_by = 0.6; p->out_by = 1.2; p->state_by = 0.8; p->part_by[0] = 0.5; p->part_by[4] = 2)    \
    X(latent, LATENT, p->f.latent.attends = true; p->f.latent.eps = 1e-6f)                                             \
    X(indexed, LATENT, p->f.latent.attends = p->f.latent.indexed = true; p->f.latent.eps = 1e-6f)                      \
    X(layer_scale, LAYER_SCALE, p->layer[0].rows[ROLE_LAYER_SCALE] = 1)

#define SETTER(name, slot, ...)                                                                                        \
    static void set_##name(struct plain *p) { __VA_ARGS__; }
TRAITS(SETTER)

#define ROW(name, slot, ...) {#name, slot, set_##name},
static const struct {
    const char *name;
    enum slot slot;
    void (*set)(struct plain *p);
} traits[] = {TRAITS(ROW)};
enum { N_TRAITS = sizeof traits / sizeof *traits };

static float uniform(void) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (float)(int32_t)(seed >> 32) * 0x1p-31f;
}

static void fill(struct plain_layer *l, enum role role, enum part part, size_t n, float center, float spread) {
    float *w = l->w[role][part] = malloc(n * sizeof *w);
    l->n[role][part] = n;
    for (size_t i = 0; i < n; i++) w[i] = center + spread * uniform();
}

// `n` matrices; the biases that the family has for such.
static void matrices(struct plain *p, size_t i, enum role role, unsigned bias, size_t n, size_t rows, size_t cols) {
    struct plain_layer *l = &p->layer[i];
    l->rows[role] = rows;
    l->cols[role] = cols;
    fill(l, role, PART_WEIGHT, n * rows * cols, 0, 1.7f / sqrtf((float)cols));
    if (p->f.biases & bias) fill(l, role, PART_BIAS, n * rows, 0, 0.4f);
}

static void matrix(struct plain *p, size_t i, enum role role, unsigned bias, size_t rows, size_t cols) {
    matrices(p, i, role, bias, 1, rows, cols);
}

static void vector(struct plain *p, size_t i, enum role role, size_t n) {
    fill(&p->layer[i], role, PART_WEIGHT, n, 1, 0.5f);
}

static void norm(struct plain *p, size_t i, enum role role) {
    vector(p, i, role, HIDDEN);
    if (p->f.norms.biases) fill(&p->layer[i], role, PART_BIAS, HIDDEN, 0, 0.3f);
}

static bool every(unsigned n, size_t i) { return n && (i + 1) % n == 0; }

// What a layer is, from what the family is.
static void shape(struct plain *p, size_t i) {
    struct plain_layer *l = &p->layer[i];
    const struct family *f = &p->f;
    bool rotary = f->positions == POSITIONS_ROTARY;
    l->local = p->window && !every(f->window.every, i);
    l->rotated = rotary && !every(f->rope.skip, i);
    if (f->rope.windows_only && p->window) l->rotated = rotary && l->local;
    l->chunked = f->chunks.size && l->rotated;
    l->attends = f->mixers == MIXERS_TURNS ? every(2, i) : f->mixers != MIXERS_STATE;
    l->recurs = f->mixers == MIXERS_TURNS ? !l->attends : f->mixers != MIXERS_ATTENTION;
    l->lender = (int)(p->borrowing && i >= 2 ? i - 2 : i);
    bool wide = f->window.own_heads && !l->local;
    l->dim = wide ? 16 : 8;
    l->kv_heads = wide && p->key_values ? 1 : 2;
    l->rotary = f->window.own_heads && l->local ? l->dim : (size_t)((double)l->dim * (f->rope.part > 0 ? 0.5 : 1));
    l->base = l->local && f->rope.local ? f->rope.local_base : 10000;
    if (f->attention.scale > 0 && !(p->attn_scale > 0)) p->attn_scale = (double)f->attention.scale;
}

static void draw_latent(struct plain *p, size_t i) {
    matrix(p, i, ROLE_Q_A, 0, Q_LATENT, HIDDEN);
    vector(p, i, ROLE_Q_A_NORM, Q_LATENT);
    matrix(p, i, ROLE_Q, 0, HEADS * (KEY_PLAIN + KEY_ROTATED), Q_LATENT);
    matrix(p, i, ROLE_KV_A, 0, KV_LATENT + KEY_ROTATED, HIDDEN);
    vector(p, i, ROLE_KV_A_NORM, KV_LATENT);
    matrix(p, i, ROLE_KV_B, 0, HEADS * (KEY_PLAIN + VALUE), KV_LATENT);
    matrix(p, i, ROLE_ATTN_OUT, BIAS_ATTN_OUT, HIDDEN, HEADS * VALUE);
    if (!p->f.latent.indexed) return;
    matrix(p, i, ROLE_INDEX_Q, 0, INDEX_HEADS * INDEX_DIM, Q_LATENT);
    matrix(p, i, ROLE_INDEX_K, 0, INDEX_DIM, HIDDEN);
    vector(p, i, ROLE_INDEX_NORM, INDEX_DIM);
    fill(&p->layer[i], ROLE_INDEX_NORM, PART_BIAS, INDEX_DIM, 0, 0.3f);
    matrix(p, i, ROLE_INDEX_WEIGHT, 0, INDEX_HEADS, HIDDEN);
}

static void draw_attention(struct plain *p, size_t i) {
    struct plain_layer *l = &p->layer[i];
    size_t q = HEADS * l->dim, kv = l->kv_heads * l->dim;
    bool lends = l->lender == (int)i;
    if (p->f.attention.sinks) vector(p, i, ROLE_SINKS, HEADS);
    if (p->f.latent.attends) {
        draw_latent(p, i);
        return;
    }
    matrix(p, i, ROLE_Q, BIAS_QKV, p->f.attention.gated ? 2 * q : q, HIDDEN);
    if (lends || p->fused) matrix(p, i, ROLE_K, BIAS_QKV, kv, HIDDEN);
    if ((lends || p->fused) && (l->local || !p->key_values)) matrix(p, i, ROLE_V, BIAS_QKV, kv, HIDDEN);
    matrix(p, i, ROLE_ATTN_OUT, BIAS_ATTN_OUT, HIDDEN, q);
    if (p->f.attention.qk_norm == QK_NORM_NONE || p->f.attention.qk_norm == QK_NORM_PLAIN) return;
    bool one = p->f.attention.qk_norm == QK_NORM_HEAD;
    vector(p, i, ROLE_Q_NORM, one ? l->dim : q);
    if (lends) vector(p, i, ROLE_K_NORM, one ? l->dim : kv);
}

static void draw_state(struct plain *p, size_t i) {
    struct plain_layer *l = &p->layer[i];
    matrix(p, i, ROLE_STATE_IN, BIAS_STATE, INNER + CHANNELS + STATE_HEADS, HIDDEN);
    fill(l, ROLE_STATE_CONV, PART_WEIGHT, CHANNELS * TAPS, 0, 0.6f);
    fill(l, ROLE_STATE_CONV, PART_BIAS, CHANNELS, 0, 0.3f);
    fill(l, ROLE_STATE_DT, PART_BIAS, STATE_HEADS, 0, 0.5f);
    fill(l, ROLE_STATE_A, PART_WEIGHT, STATE_HEADS, 0, 1);
    fill(l, ROLE_STATE_D, PART_WEIGHT, STATE_HEADS, 1, 0.5f);
    matrix(p, i, ROLE_STATE_OUT, BIAS_STATE, HIDDEN, INNER);
}

static void draw_experts(struct plain *p, size_t i) {
    matrix(p, i, ROLE_ROUTER, BIAS_EXPERTS, EXPERTS, HIDDEN);
    matrices(p, i, ROLE_EXPERT_GATE, BIAS_EXPERTS, EXPERTS, EXPERT_WIDE, HIDDEN);
    matrices(p, i, ROLE_EXPERT_UP, BIAS_EXPERTS, EXPERTS, EXPERT_WIDE, HIDDEN);
    matrices(p, i, ROLE_EXPERT_DOWN, BIAS_EXPERTS, EXPERTS, HIDDEN, EXPERT_WIDE);
    if (p->f.experts.beside) {
        vector(p, i, ROLE_ROUTER_NORM, HIDDEN);
        vector(p, i, ROLE_EXPERT_SCALE, EXPERTS);
        norm(p, i, ROLE_EXPERT_NORM);
        norm(p, i, ROLE_EXPERT_POST_NORM);
        norm(p, i, ROLE_DENSE_POST_NORM);
    }
    if (!p->shared) return;
    matrix(p, i, ROLE_SHARED_GATE, BIAS_MLP, EXPERT_WIDE, HIDDEN);
    matrix(p, i, ROLE_SHARED_UP, BIAS_MLP, EXPERT_WIDE, HIDDEN);
    matrix(p, i, ROLE_SHARED_DOWN, BIAS_MLP, HIDDEN, EXPERT_WIDE);
    if (p->shared_router) matrix(p, i, ROLE_SHARED_ROUTER, 0, 1, HIDDEN);
}

static void draw_mlp(struct plain *p, size_t i) {
    if (p->f.mlp.gated) matrix(p, i, ROLE_GATE, BIAS_MLP, WIDE, HIDDEN);
    matrix(p, i, ROLE_UP, BIAS_MLP, WIDE, HIDDEN);
    matrix(p, i, ROLE_DOWN, BIAS_MLP, HIDDEN, WIDE);
}

static void draw_layer(struct plain *p, size_t i, bool mixture, bool scaled) {
    struct plain_layer *l = &p->layer[i];
    bool before = p->f.norms.place != NORM_AFTER, after = p->f.norms.place != NORM_BEFORE;
    bool mlp = p->f.mixers != MIXERS_STATE;
    shape(p, i);
    if (before) norm(p, i, ROLE_ATTN_NORM);
    if (before && mlp && !p->f.norms.shared) norm(p, i, ROLE_MLP_NORM);
    if (after) norm(p, i, ROLE_ATTN_POST_NORM);
    if (after && mlp) norm(p, i, ROLE_MLP_POST_NORM);
    if (l->attends) draw_attention(p, i);
    if (l->recurs) draw_state(p, i);
    if (mlp && mixture) draw_experts(p, i);
    if (mlp && (!mixture || p->f.experts.beside)) draw_mlp(p, i);
    if (p->f.layer_inputs) {
        matrix(p, i, ROLE_INPUT_GATE, 0, INPUT_WIDE, HIDDEN);
        matrix(p, i, ROLE_INPUT_OUT, 0, HIDDEN, INPUT_WIDE);
        norm(p, i, ROLE_INPUT_POST_NORM);
    }
    if (scaled) vector(p, i, ROLE_LAYER_SCALE, 1);
}

static void draw(struct plain *p) {
    bool mixture = p->layer[0].rows[ROLE_ROUTER], scaled = p->layer[0].rows[ROLE_LAYER_SCALE];
    p->layer[0].rows[ROLE_ROUTER] = p->layer[0].rows[ROLE_LAYER_SCALE] = 0;
    if (p->f.mixers == MIXERS_STATE && p->f.positions == POSITIONS_ROTARY) p->f.positions = POSITIONS_NONE;
    matrix(p, 0, ROLE_EMBEDDING, 0, VOCAB, HIDDEN);
    matrix(p, 0, ROLE_OUTPUT, BIAS_OUTPUT, VOCAB, HIDDEN);
    if (p->f.positions == POSITIONS_LEARNED) matrix(p, 0, ROLE_POSITIONS, 0, TOKENS, HIDDEN);
    norm(p, 0, ROLE_FINAL_NORM);
    if (p->f.layer_inputs) {
        matrix(p, 0, ROLE_INPUT_TABLE, 0, VOCAB, LAYERS * INPUT_WIDE);
        matrix(p, 0, ROLE_INPUT_PROJECT, 0, LAYERS * INPUT_WIDE, HIDDEN);
        vector(p, 0, ROLE_INPUT_NORM, INPUT_WIDE);
    }
    for (size_t i = 0; i < LAYERS; i++) draw_layer(p, i, mixture, scaled);
}

// Names that are not usual, or have no use in folders yet.
static const struct rename names[] = {
    {ROLE_POSITIONS, NULL, "model.positions.weight"},
    {ROLE_ATTN_POST_NORM, NULL, "model.layers.%u.attention_output_norm.weight"},
    {ROLE_MLP_POST_NORM, NULL, "model.layers.%u.mlp_output_norm.weight"},
    {ROLE_QKV, NULL, "model.layers.%u.self_attn.qkv_proj.weight"},
    {ROLE_GATE_UP, NULL, "model.layers.%u.mlp.gate_up_proj.weight"},
    {ROLE_SHARED_ROUTER, NULL, "model.layers.%u.mlp.shared_gate.weight"},
    {ROLE_Q_A, NULL, "model.layers.%u.self_attn.q_a_proj.weight"},
    {0},
};

static void begin(struct plain *p) {
    memset(p, 0, sizeof *p);
    p->f = (struct family){.kind = "trial",
                           .architecture = "trial",
                           .names = names,
                           .norms.kind = NORM_RMS,
                           .mlp.activation = ACT_SILU,
                           .mlp.gated = true};
    p->embed = p->residual = p->logit = p->key_by = p->gate_by = p->down_by = p->in_by = p->out_by = p->state_by = 1;
    for (int i = 0; i < 5; i++) p->part_by[i] = 1;
}

static void end(struct plain *p) {
    for (size_t i = 0; i < LAYERS; i++)
        for (size_t r = 0; r < ROLE_COUNT; r++)
            for (size_t k = 0; k < 2; k++) free(p->layer[i].w[r][k]);
}

static struct drawn files;

static void put(const char *name, int n_dims, uint64_t a, uint64_t b, uint64_t c, const float *data) {
    struct drawn_tensor *t = &files.tensor[files.n_tensors++];
    *t = (struct drawn_tensor){.n_dims = n_dims, .dim = {a, b, c, 1}, .n = a * (n_dims > 1 ? b : 1)};
    t->n *= n_dims > 2 ? c : 1;
    snprintf(t->name, sizeof t->name, "%s", name);
    t->data = malloc(t->n * sizeof *t->data);
    memcpy(t->data, data, t->n * sizeof *t->data);
}

static bool is_table(enum role role) { return role == ROLE_EMBEDDING || role == ROLE_POSITIONS || role == ROLE_OUTPUT; }

static void put_matrix(const struct plain *p, const char *name, enum role role, size_t rows, size_t cols,
                       const float *data) {
    if (!p->f.hf_transposed || is_table(role)) {
        put(name, 2, rows, cols, 1, data);
        return;
    }
    float *turned = malloc(rows * cols * sizeof *turned);
    for (size_t i = 0; i < rows * cols; i++) turned[i % cols * rows + i / cols] = data[i];
    put(name, 2, cols, rows, 1, turned);
    free(turned);
}

static void put_part(const struct plain *p, size_t i, enum role role, enum part part) {
    const struct plain_layer *l = &p->layer[i];
    const float *w = l->w[role][part];
    size_t rows = l->rows[role], cols = l->cols[role], n = l->n[role][part];
    size_t each = !rows ? n : part == PART_BIAS ? rows : rows * cols;
    char name[128];
    for (uint32_t k = 0; w && k < n / each; k++) {
        family_name(&p->f, CHECKPOINT_HF, (struct place){role, part, (uint32_t)i, k}, name);
        const float *data = w + k * each;
        if (role == ROLE_STATE_CONV && part == PART_WEIGHT)
            put(name, 3, CHANNELS, 1, TAPS, data);
        else if (p->f.attention.qk_norm == QK_NORM_EACH && (role == ROLE_Q_NORM || role == ROLE_K_NORM))
            put(name, 2, n / l->dim, l->dim, 1, data);
        else if (part == PART_BIAS || !rows)
            put(name, 1, each, 1, 1, data);
        else
            put_matrix(p, name, role, rows, cols, data);
    }
}

// Each group's queries, keys and values, one group after the other; one group is all there is where they are not
// grouped.
static void put_fused(const struct plain *p, size_t i, enum role whole, const enum role *parts, size_t n,
                      size_t groups) {
    const struct plain_layer *l = &p->layer[i];
    char name[128];
    size_t rows = 0;
    for (size_t k = 0; k < n; k++) rows += l->rows[parts[k]];
    for (int part = 0; part < 2 && l->w[parts[0]][part]; part++) {
        size_t cols = part == PART_WEIGHT ? HIDDEN : 1;
        float *all = malloc(rows * cols * sizeof *all), *at = all;
        for (size_t g = 0; g < groups; g++)
            for (size_t k = 0; k < n; k++) {
                size_t size = l->rows[parts[k]] / groups * cols;
                memcpy(at, l->w[parts[k]][part] + g * size, size * sizeof *at);
                at += size;
            }
        family_name(&p->f, CHECKPOINT_HF, (struct place){whole, (enum part)part, (uint32_t)i, 0}, name);
        if (part == PART_WEIGHT)
            put_matrix(p, name, whole, rows, cols, all);
        else
            put(name, 1, rows, 1, 1, all);
        free(all);
    }
}

static const enum role qkv[] = {ROLE_Q, ROLE_K, ROLE_V}, gate_up[] = {ROLE_GATE, ROLE_UP};

static void put_layer(const struct plain *p, size_t i) {
    const struct plain_layer *l = &p->layer[i];
    bool both = p->fused && !p->f.latent.attends && l->w[ROLE_V][0], halves = p->fused && l->w[ROLE_GATE][0];
    if (both) put_fused(p, i, ROLE_QKV, qkv, 3, p->f.attention.hf_grouped ? l->kv_heads : 1);
    if (halves) put_fused(p, i, ROLE_GATE_UP, gate_up, 2, 1);
    for (enum role r = i ? ROLE_LAYER_FIRST : ROLE_NONE + 1; r < ROLE_COUNT; r++) {
        bool in_fused = (both && r >= ROLE_Q && r <= ROLE_V) || (halves && (r == ROLE_GATE || r == ROLE_UP));
        for (int part = 0; part < 2 && !in_fused; part++) put_part(p, i, r, (enum part)part);
    }
}

static char *config_of(const struct plain *p) {
    struct buf b = {0};
    const struct family *f = &p->f;
    buf_printf(&b, "{\"model_type\": \"trial\", \"num_hidden_layers\": %d, \"hidden_size\": %d, \"vocab_size\": %d",
               LAYERS, HIDDEN, VOCAB);
    buf_printf(&b, ", \"num_attention_heads\": %d, \"num_key_value_heads\": 2, \"head_dim\": 8", HEADS);
    buf_printf(&b, ", \"intermediate_size\": %d, \"max_position_embeddings\": %d", WIDE, TOKENS);
    buf_printf(&b, ", \"rope_parameters\": {\"full_attention\": {\"rope_theta\": 10000}}, \"rms_norm_eps\": 1e-5");
    if (p->window) buf_printf(&b, ", \"sliding_window\": %u", p->window);
    if (p->layer[0].w[ROLE_ROUTER][0])
        buf_printf(&b, ", \"num_experts\": %d, \"num_experts_per_tok\": %d, \"moe_intermediate_size\": %d", EXPERTS,
                   USED, EXPERT_WIDE);
    if (f->window.own_heads) buf_printf(&b, ", \"global_head_dim\": 16");
    if (p->key_values) buf_printf(&b, ", \"attention_k_eq_v\": true, \"num_global_key_value_heads\": 1");
    if (p->borrowing) buf_printf(&b, ", \"num_kv_shared_layers\": 2");
    if (f->layer_inputs) buf_printf(&b, ", \"hidden_size_per_layer_input\": %d", INPUT_WIDE);
    if (p->attn_cap > 0) buf_printf(&b, ", \"attn_logit_softcapping\": %g", p->attn_cap);
    if (p->logit_cap > 0) buf_printf(&b, ", \"final_logit_softcapping\": %g", p->logit_cap);
    buf_printf(&b, ", \"embedding_multiplier\": %g, \"residual_multiplier\": %g, \"logit_scale\": %g", p->embed,
               p->residual, p->logit);
    if (p->told_scale > 0) buf_printf(&b, ", \"attention_multiplier\": %g", p->told_scale);
    if (f->latent.attends)
        buf_printf(&b,
                   ", \"q_lora_rank\": %d, \"kv_lora_rank\": %d, \"qk_nope_head_dim\": %d, \"qk_rope_head_dim\": %d, "
                   "\"v_head_dim\": %d",
                   Q_LATENT, KV_LATENT, KEY_PLAIN, KEY_ROTATED, VALUE);
    if (f->latent.indexed)
        buf_printf(&b, ", \"index_n_heads\": %d, \"index_head_dim\": %d, \"index_topk\": %d", INDEX_HEADS, INDEX_DIM,
                   MAX_INDEX);
    buf_printf(&b, ", \"mamba_d_conv\": %d, \"mamba_d_ssm\": %d, \"mamba_d_state\": %d, \"mamba_n_heads\": %d", TAPS,
               INNER, STATE_SIZE, STATE_HEADS);
    buf_printf(&b, ", \"mamba_n_groups\": %d, \"full_attention_interval\": 2, \"key_multiplier\": %g", STATE_GROUPS,
               p->key_by);
    buf_printf(&b, ", \"mlp_multipliers\": [%g, %g], \"attention_in_multiplier\": %g, \"ssm_out_multiplier\": %g",
               p->gate_by, p->down_by, p->in_by, p->state_by);
    buf_printf(&b, ", \"attention_out_multiplier\": %g, \"ssm_multipliers\": [%g, %g, %g, %g, %g]}", p->out_by,
               p->part_by[0], p->part_by[1], p->part_by[2], p->part_by[3], p->part_by[4]);
    return b.data;
}

static const char *file_of(const char *name) { return drawn_file(folder, name); }

static bool write_folder(const struct plain *p) {
    char *config = config_of(p);
    files.n_tensors = 0;
    for (size_t i = 0; i < LAYERS; i++) put_layer(p, i);
    bool ok = drawn_write_text(file_of("config.json"), config) &&
              drawn_write_safetensors(&files, file_of("model.safetensors"));
    for (size_t i = 0; i < files.n_tensors; i++) free(files.tensor[i].data);
    free(config);
    return ok;
}

// The logits of all tokens, fed in pieces of `piece`.
static bool run(struct model *m, const int32_t *tokens, size_t piece, float *out, gyr_error *e) {
    struct kv_cache *kv = kv_cache_new(device, kv_cache_layout(&m->h, TYPE_F32), e);
    struct pages pages = {0};
    struct state_pool states = model_states(m);
    struct sequence_state *state = NULL;
    struct run *r = run_new(m, e);
    bool ok = r && kv && kv_cache_grow(kv, kv_cache_pages(TOKENS), e) && kv_cache_cover(kv, &pages, TOKENS) &&
              state_pool_take(&states, &state, e);
    for (size_t at = 0, n; ok && at < TOKENS; at += n) {
        struct row rows[TOKENS];
        n = TOKENS - at < piece ? TOKENS - at : piece;
        for (size_t i = 0; i < n; i++)
            rows[i] = (struct row){tokens[at + i], (uint32_t)(at + i), 0, &pages, state, true};
        ok = forward(r, kv, rows, n, GIVES_LOGITS, out + at * VOCAB, e) && device->ops->sync(device, e);
    }
    state_pool_give(&states, state);
    state_pool_free(&states);
    run_free(r);
    if (kv) kv_cache_trim(kv, &pages, 0);
    free(pages.page);
    kv_cache_free(kv);
    return ok;
}

// How far gyr is from the plain decoder; below 0: it refused, and `why` says what does not go together.
static double distance(struct plain *p, char why[static 512]) {
    gyr_error e = {0};
    static float want[TOKENS * VOCAB], got[TOKENS * VOCAB];
    int32_t tokens[TOKENS];
    double far = 0, size = 0;
    for (int i = 0; i < TOKENS; i++) tokens[i] = (int32_t)((unsigned)i * 37u % VOCAB);
    *why = 0;
    CHECK(write_folder(p));
    struct checkpoint *c = checkpoint_open(folder, &e);
    struct model *m = c ? model_of(&p->f, c, device, &e) : NULL;
    if (!m) {
        bool named = e.status == GYR_UNSUPPORTED && strstr(e.message, " together with ");
        snprintf(why, 512, "%s", e.message);
        checkpoint_close(c);
        return named ? -1 : INFINITY;
    }
    plain_logits(p, tokens, TOKENS, want);
    for (size_t piece = TOKENS; piece; piece = piece == TOKENS ? 7 : 0) {
        if (!run(m, tokens, piece, got, &e)) {
            snprintf(why, 512, "%s", e.message);
            far = INFINITY;
        }
        for (size_t i = 0; i < TOKENS * VOCAB; i++) {
            double d = fabs((double)got[i] - (double)want[i]);
            far = isnan(d) ? INFINITY : fmax(far, d);
            size = fmax(size, fabs((double)want[i]));
        }
    }
    model_free(m);
    checkpoint_close(c);
    return far / size;
}

static const double tolerance = 1e-4;
static int agree, refused;

// A model of some traits. One that is passed over is drawn nevertheless: those after it stay the same.
static void check(const int *trait, int n, bool passed_over) {
    char why[512] = "", all[512] = "";
    begin(plain);
    for (int i = 0; i < n; i++) {
        traits[trait[i]].set(plain);
        size_t used = strlen(all);
        snprintf(all + used, sizeof all - used, "%s%s", i ? " + " : "", traits[trait[i]].name);
    }
    draw(plain);
    double far = passed_over ? 0 : distance(plain, why);
    bool ok = far < tolerance;
    if (!ok) printf("  %s: off by %.2g %s\n", all, far, why);
    if (getenv("GYR_REFUSED") && far < 0) printf("  %s: %s\n", all, why);
    CHECK(ok);
    agree += far >= 0 && ok && !passed_over;
    refused += far < 0;
    end(plain);
}

static void each_alone(void) {
    for (int i = 0; i < N_TRAITS; i++) check(&i, 1, false);
    printf("  %d traits\n", agree);
    CHECK_INT(agree, N_TRAITS);
}

static void pairs(void) {
    agree = refused = 0;
    for (int i = 0; i < N_TRAITS; i++)
        for (int k = i + 1; k < N_TRAITS; k++)
            if (traits[i].slot != traits[k].slot) check((int[]){i, k}, 2, (size_t)(i + k) % test_times(1, 3));
    printf("  %d pairs agree, %d are refused\n", agree, refused);
    CHECK(refused < agree / 10);
}

static void many_at_once(void) {
    agree = refused = 0;
    for (size_t n = 0; n < 300; n++) {
        int trait[6], taken = 0;
        for (int tries = 0; tries < 12 && taken < 6; tries++) {
            int t = (int)((uniform() + 1) / 2 * N_TRAITS) % N_TRAITS, same = 0;
            for (int i = 0; i < taken; i++) same += traits[trait[i]].slot == traits[t].slot;
            if (!same) trait[taken++] = t;
        }
        check(trait, taken, n % test_times(1, 5));
    }
    printf("  %d models agree, %d are refused\n", agree, refused);
    CHECK(agree > (int)test_times(150, 25));
}

int main(void) {
    plain = malloc(sizeof *plain);
    device = device_cpu(1, NULL, NULL);
    if (!plain || !device || !mkdtemp(folder)) return 1;
    RUN(each_alone);
    RUN(pairs);
    RUN(many_at_once);
    device->ops->close(device);
    free(plain);
    unlink(file_of("config.json"));
    unlink(file_of("model.safetensors"));
    rmdir(folder);
    return test_end();
}
