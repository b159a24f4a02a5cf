// Binding the matrices of a layer's experts, however the file has them.
#include "model/bind.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

// One of the three matrices of each expert.
struct matrices {
    enum role role;
    size_t member, cols, rows; // offsetof in struct expert
};

static struct linear *matrix_of(struct layer *l, size_t expert, const struct matrices *w) {
    return (struct linear *)(void *)((char *)&l->experts[expert] + w->member);
}

static double share(const struct model *m) { return (double)m->h.experts_used / m->h.experts; }

static bool bind_to(struct binder *b, struct linear *l, const struct tensor *t, size_t cols, size_t rows,
                    const uint8_t *data) {
    l->w = (struct weight){.type = t->type, .rows = rows, .cols = cols, .data = data};
    l->by = 1;
    return bind_weight(b, &l->w);
}

static bool bind_each(struct binder *b, struct layer *l, uint32_t layer, const struct matrices *w) {
    for (uint32_t i = 0; i < b->m->h.experts; i++) {
        const struct tensor *t = bind_find(b, (struct place){w->role, PART_WEIGHT, layer, i}, w->cols, w->rows, 1);
        if (!t) return false;
        if (b->looking) continue;
        bind_count(b->m, t, share(b->m));
        if (!bind_to(b, matrix_of(l, i, w), t, w->cols, w->rows, t->data)) return false;
    }
    return true;
}

static bool bind_stacked(struct binder *b, struct layer *l, uint32_t layer, const struct matrices *w) {
    struct model *m = b->m;
    const struct tensor *t =
        bind_find(b, (struct place){w->role, PART_WEIGHT, layer, 0}, w->cols, w->rows, m->h.experts);
    if (!t || b->looking) return t;
    size_t bytes = t->bytes / m->h.experts;
    bind_count(m, t, share(m));
    for (size_t i = 0; i < m->h.experts; i++)
        if (!bind_to(b, matrix_of(l, i, w), t, w->cols, w->rows, t->data + i * bytes)) return false;
    return true;
}

// Each expert's gate, then what it gates: the halves of its rows in one tensor. It is that of `n` experts.
static bool bind_halves(struct binder *b, enum role role, uint32_t layer, struct expert *to, size_t n, size_t wide) {
    struct model *m = b->m;
    size_t cols = m->h.hidden;
    const struct tensor *t = bind_find(b, (struct place){role, PART_WEIGHT, layer, 0}, cols, 2 * wide, n);
    if (!t || b->looking) return t;
    size_t bytes = t->bytes / n / 2;
    bind_count(m, t, role == ROLE_EXPERT_GATE_UP ? share(m) : 1);
    for (size_t i = 0; i < 2 * n; i++)
        if (!bind_to(b, i % 2 ? &to[i / 2].up : &to[i / 2].gate, t, cols, wide, t->data + i * bytes)) return false;
    return true;
}

static bool bind_biases(struct binder *b, struct layer *l, uint32_t layer, const struct matrices *w) {
    dfloat *all = NULL;
    size_t n = b->m->h.experts;
    if (!bind_has_bias(b, w->role, BIAS_EXPERTS, layer)) return true;
    if (!bind_vector(b, &all, w->role, PART_BIAS, layer, n * w->rows, n, 0)) return false;
    for (size_t i = 0; !b->looking && i < n; i++) matrix_of(l, i, w)->bias = all + i * w->rows;
    return true;
}

static bool bind_matrices(struct binder *b, struct layer *l, uint32_t layer, const struct matrices *w) {
    bool apart = family_indexed(b->m->family, b->m->checkpoint, (struct place){w->role, PART_WEIGHT, layer, 0});
    bool biased = bind_has_bias(b, w->role, BIAS_EXPERTS, layer);
    return (apart ? bind_each : bind_stacked)(b, l, layer, w) && bind_biases(b, l, layer, w) &&
           (apart || bind_by(b, w->role, layer, biased, b->m->h.experts, sizeof *l->experts,
                             b->looking ? NULL : &matrix_of(l, 0, w)->by));
}

// An expert's matrices in blocks whose scales lie apart: [out][in].
static bool bind_packed(struct binder *b, struct layer *l, const struct matrices *w, const struct tensor *t,
                        size_t first, size_t step) {
    struct model *m = b->m;
    size_t row = type_row_bytes(t->type, w->cols), all = t->dim[1];
    uint8_t *data = bind_rewrite(b, m->h.experts * w->rows * row);
    if (!data) return b->looking;
    for (size_t i = 0; i < m->h.experts; i++)
        for (size_t r = 0; r < w->rows && !m->hollow; r++)
            tensor_blocks(t, (i * all + first + r * step) * w->cols, w->cols, data + (i * w->rows + r) * row);
    for (size_t i = 0; i < m->h.experts; i++)
        if (!bind_to(b, matrix_of(l, i, w), t, w->cols, w->rows, data + i * w->rows * row)) return false;
    return true;
}

// Every expert's matrices as [in][out]: those with gates hold what is gated too, behind the gates or in turns with
// them.
static bool bind_columns(struct binder *b, struct layer *l, uint32_t layer, const struct matrices *w, size_t all,
                         size_t first, size_t step) {
    struct model *m = b->m;
    enum role role = w->role == ROLE_EXPERT_DOWN ? w->role : ROLE_EXPERT_GATE_UP;
    struct place at = {role, PART_WEIGHT, layer, 0};
    char name[128];
    const struct tensor *t = family_tensor(m->family, m->checkpoint, at, name);
    bool packed = t && t->scales && !t->packing;
    t = bind_find_any(b, at, packed ? w->cols : all, packed ? all : w->cols, m->h.experts);
    if (!t) return false;
    if (first == 0 && !b->looking) bind_count(m, t, share(m)); // once for the two that it holds
    if (packed) return bind_packed(b, l, w, t, first, step);
    if (!bind_whole(b, t)) return false;
    size_t size = type_info(t->type)->bytes, each = w->rows * w->cols;
    uint8_t *data = bind_rewrite(b, m->h.experts * each * size);
    if (!data) return b->looking;
    for (size_t i = 0; i < m->h.experts; i++) {
        const uint8_t *from = t->data + i * all * w->cols * size;
        uint8_t *to = data + i * each * size;
        for (size_t r = 0; r < w->rows && !m->hollow; r++)
            for (size_t c = 0; c < w->cols; c++)
                memcpy(to + (r * w->cols + c) * size, from + (c * all + first + r * step) * size, size);
        if (!bind_to(b, matrix_of(l, i, w), t, w->cols, w->rows, to)) return false;
    }
    return true;
}

// Biases of gates and of what they gate, in turns.
static bool bind_paired_biases(struct binder *b, struct layer *l, uint32_t layer, size_t wide) {
    struct model *m = b->m;
    dfloat *all = NULL;
    size_t n = m->h.experts;
    if (!bind_has_bias(b, ROLE_EXPERT_GATE_UP, BIAS_EXPERTS, layer)) return true;
    if (!bind_vector(b, &all, ROLE_EXPERT_GATE_UP, PART_BIAS, layer, n * 2 * wide, n, 0)) return false;
    if (b->looking) return true;
    float *as_read = malloc(2 * wide * sizeof *as_read);
    for (size_t i = 0; as_read && i < n; i++) {
        dfloat *at = all + i * 2 * wide;
        float *host = bind_host(b, at);
        memcpy(as_read, host, 2 * wide * sizeof *host);
        for (size_t k = 0; k < wide; k++) {
            host[k] = as_read[2 * k];
            host[wide + k] = as_read[2 * k + 1];
        }
        l->experts[i].gate.bias = at;
        l->experts[i].up.bias = at + wide;
    }
    free(as_read);
    return as_read || fail_memory(b->e, m->checkpoint->path);
}

static bool bind_all_matrices(struct binder *b, struct layer *l, uint32_t i) {
    const struct hyperparameters *h = &b->m->h;
    size_t wide = h->expert_feed_forward;
    const struct matrices gate = {ROLE_EXPERT_GATE, offsetof(struct expert, gate), h->hidden, wide};
    const struct matrices up = {ROLE_EXPERT_UP, offsetof(struct expert, up), h->hidden, wide};
    const struct matrices down = {ROLE_EXPERT_DOWN, offsetof(struct expert, down), wide, h->hidden};
    enum expert_layout how =
        b->m->checkpoint->source == CHECKPOINT_HF ? b->m->family->experts.hf_layout : (enum expert_layout)EXPERTS_ROWS;
    if (how == EXPERTS_ROWS && bind_present(b, ROLE_EXPERT_GATE_UP, PART_WEIGHT, i))
        return bind_halves(b, ROLE_EXPERT_GATE_UP, i, l->experts, h->experts, wide) && bind_matrices(b, l, i, &down);
    if (how == EXPERTS_ROWS)
        return bind_matrices(b, l, i, &gate) && bind_matrices(b, l, i, &up) && bind_matrices(b, l, i, &down);
    bool paired = how == EXPERTS_COLUMNS_PAIRED;
    size_t step = paired ? 2 : 1;
    return bind_columns(b, l, i, &gate, 2 * wide, 0, step) &&
           bind_columns(b, l, i, &up, 2 * wide, paired ? 1 : wide, step) &&
           bind_columns(b, l, i, &down, h->hidden, 0, 1) && bind_paired_biases(b, l, i, wide) &&
           bind_biases(b, l, i, &down);
}

// The shared expert's width is nowhere but in its shape.
static bool bind_shared(struct binder *b, struct layer *l, uint32_t i) {
    struct model *m = b->m;
    size_t hidden = m->h.hidden;
    bool fused = bind_present(b, ROLE_SHARED_GATE_UP, PART_WEIGHT, i);
    struct place at = {fused ? ROLE_SHARED_GATE_UP : ROLE_SHARED_UP, PART_WEIGHT, i, 0};
    char name[128];
    const struct tensor *t = family_tensor(m->family, m->checkpoint, at, name);
    if (!t) return true;
    size_t wide = t->dim[1] / (fused ? 2 : 1);
    if (wide == 0 || wide > 1u << 24)
        return fail(b->e, GYR_MALFORMED, "%s: tensor '%s' has %llu rows; convert the model again", m->checkpoint->path,
                    name, (unsigned long long)t->dim[1]);
    if (wide > m->h.shared_feed_forward) m->h.shared_feed_forward = (uint32_t)wide;
    return (fused ? bind_halves(b, ROLE_SHARED_GATE_UP, i, &l->shared, 1, wide)
                  : bind_linear(b, &l->shared.gate, ROLE_SHARED_GATE, BIAS_MLP, i, hidden, wide) &&
                        bind_linear(b, &l->shared.up, ROLE_SHARED_UP, BIAS_MLP, i, hidden, wide)) &&
           bind_linear(b, &l->shared.down, ROLE_SHARED_DOWN, BIAS_MLP, i, wide, hidden) &&
           (!bind_present(b, ROLE_SHARED_ROUTER, PART_WEIGHT, i) ||
            bind_linear(b, &l->shared_router, ROLE_SHARED_ROUTER, 0, i, hidden, 1));
}

// Norms and scales of experts that stand beside an MLP. The router's norm has 1 / sqrt(hidden) in its weight.
static bool bind_beside(struct binder *b, struct layer *l, uint32_t i) {
    struct model *m = b->m;
    size_t hidden = m->h.hidden;
    if (!m->family->experts.beside) return true;
    l->router_norm = (struct norm){.kind = m->family->norms.kind, .eps = m->h.norm_eps, .dim = hidden};
    bool ok = bind_vector(b, &l->router_norm.weight, ROLE_ROUTER_NORM, PART_WEIGHT, i, hidden, 1, 0) &&
              bind_vector(b, &l->expert_scale, ROLE_EXPERT_SCALE, PART_WEIGHT, i, m->h.experts, 1, 0) &&
              bind_norm(b, &l->expert_norm, ROLE_EXPERT_NORM, i) &&
              bind_norm(b, &l->expert_post_norm, ROLE_EXPERT_POST_NORM, i) &&
              bind_norm(b, &l->dense_post_norm, ROLE_DENSE_POST_NORM, i);
    for (size_t k = 0; ok && !b->looking && k < hidden; k++)
        bind_host(b, l->router_norm.weight)[k] *= 1 / sqrtf((float)hidden);
    return ok;
}

// The experts may be on another side than the rest of their layer.
static bool bind_away(struct binder *b, struct layer *l, uint32_t i) {
    b->side = l->experts_side;
    bool ok = bind_all_matrices(b, l, i);
    b->side = l->side;
    return ok;
}

// Where a mixture is shared out, an expert's matrices go together.
static bool mark(struct binder *b, struct layer *l) {
    uint32_t n = b->m->h.experts;
    for (uint32_t i = 0; !b->looking && i < n; i++) {
        struct linear *all[] = {&l->experts[i].gate, &l->experts[i].up, &l->experts[i].down};
        for (int k = 0; k < 3; k++) all[k]->w.place = WEIGHT_EXPERT + i, all[k]->w.of = n;
    }
    return true;
}

bool bind_experts(struct binder *b, struct layer *l, uint32_t i) {
    const struct hyperparameters *h = &b->m->h;
    if (!b->looking && !(l->experts = calloc(h->experts, sizeof *l->experts)))
        return fail_memory(b->e, b->m->checkpoint->path);
    return bind_linear(b, &l->router, ROLE_ROUTER, BIAS_EXPERTS, i, h->hidden, h->experts) &&
           (!bind_present(b, ROLE_ROUTER_SHIFT, PART_WEIGHT, i) ||
            bind_vector(b, &l->router_shift, ROLE_ROUTER_SHIFT, PART_WEIGHT, i, h->experts, 1, 0)) &&
           bind_beside(b, l, i) && bind_away(b, l, i) && mark(b, l) && bind_shared(b, l, i);
}
