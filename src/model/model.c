// Binding: every tensor that the family's row names is found, its shape checked, and handed to the device.
#include "model/model.h"
#include "device/rope.h"
#include "model/activations.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// Two passes over the same list: the first only looks (nothing of a size that the header merely claims is allocated),
// the second binds.
struct binder {
    struct model *m;
    gyr_error *e;
    bool looking;
    bool *found; // [n_tensors of the checkpoint], while looking
    size_t used; // floats of m->vectors handed out
};

// Finds a tensor and checks its shape: columns, and rows (1 for a vector).
static const struct tensor *find(struct binder *b, enum role role, uint32_t layer, uint64_t cols, uint64_t rows) {
    const struct model *m = b->m;
    char name[128];
    const struct tensor *t = family_tensor(m->family, m->checkpoint, role, layer, name);
    if (!t)
        return fail_null(b->e, GYR_MALFORMED, "%s: tensor '%s' is missing; download or convert the model again",
                         m->checkpoint->path, name);
    if (b->found) b->found[t - m->checkpoint->tensors] = true;
    if (t->dim[0] == cols && t->dim[1] == rows && t->dim[2] == 1 && t->dim[3] == 1) return t;
    return fail_null(b->e, GYR_MALFORMED,
                     "%s: tensor '%s' is %llu x %llu, but the hyperparameters make it %llu x %llu; convert the model "
                     "again",
                     m->checkpoint->path, name, (unsigned long long)t->dim[0], (unsigned long long)t->dim[1],
                     (unsigned long long)cols, (unsigned long long)rows);
}

static void count(struct model *m, const struct tensor *t) {
    m->parameters += t->dim[0] * t->dim[1];
    m->weight_bytes += t->bytes;
    m->decode_bytes += t->bytes;
}

static bool bind_matrix(struct binder *b, struct weight *w, enum role role, uint32_t layer, size_t cols, size_t rows) {
    const struct tensor *t = find(b, role, layer, cols, rows);
    if (!t || b->looking) return t;
    *w = (struct weight){.type = t->type, .rows = rows, .cols = cols, .data = t->data};
    count(b->m, t);
    return b->m->device->ops->bind(b->m->device, w, b->e);
}

static bool bind_vector(struct binder *b, float **v, enum role role, uint32_t layer, size_t n) {
    struct model *m = b->m;
    const struct tensor *t = find(b, role, layer, n, 1);
    if (!t) return false;
    size_t at = b->used;
    b->used += n;
    if (b->looking) return true;
    float *host = malloc(n * sizeof *host);
    if (!host) return fail_memory(b->e, m->checkpoint->path);
    if (type_info(t->type)->quantized && n % 32) {
        free(host);
        return fail(b->e, GYR_UNSUPPORTED, "%s: tensor '%.*s' is a quantized vector of odd length", m->checkpoint->path,
                    (int)t->name.size, t->name.data);
    }
    type_decode(t->type, t->data, 0, n, host);
    *v = m->vectors + at;
    m->device->ops->write(m->device, *v, host, n * sizeof *host);
    free(host);
    count(m, t);
    return true;
}

static bool bind_norm(struct binder *b, struct norm *norm, enum role role, uint32_t layer) {
    return bind_vector(b, &norm->weight, role, layer, b->m->h.hidden) &&
           (!b->m->family->norm_biases || bind_vector(b, &norm->bias, role + 1, layer, b->m->h.hidden));
}

static bool bind_linear(struct binder *b, struct linear *l, enum role role, uint32_t layer, size_t cols, size_t rows) {
    return bind_matrix(b, &l->w, role, layer, cols, rows) &&
           (!b->m->family->biases || bind_vector(b, &l->bias, role + 1, layer, rows));
}

static bool bind_layer(struct binder *b, uint32_t i) {
    const struct hyperparameters *h = &b->m->h;
    struct layer *l = &b->m->layers[i];
    size_t q = (size_t)h->heads * h->head_dim, kv = (size_t)h->kv_heads * h->head_dim;
    return bind_norm(b, &l->attn_norm, ROLE_ATTN_NORM, i) &&
           (!b->m->family->mlp_norm || bind_norm(b, &l->mlp_norm, ROLE_MLP_NORM, i)) &&
           bind_linear(b, &l->qkv, ROLE_QKV, i, h->hidden, q + 2 * kv) &&
           bind_linear(b, &l->attn_out, ROLE_ATTN_OUT, i, q, h->hidden) &&
           bind_linear(b, &l->up, ROLE_UP, i, h->hidden, h->feed_forward) &&
           bind_linear(b, &l->down, ROLE_DOWN, i, h->feed_forward, h->hidden);
}

// The embedding says how large the vocabulary is; the tokenizer, where there is one, must not be larger.
static bool bind_ends(struct binder *b) {
    struct model *m = b->m;
    char name[128];
    const struct tensor *t = family_tensor(m->family, m->checkpoint, ROLE_EMBEDDING, 0, name);
    if (t && (t->dim[1] == 0 || t->dim[1] > 1u << 24 || m->checkpoint->vocab.n > t->dim[1]))
        return fail(b->e, GYR_MALFORMED, "%s: tensor '%s' has %llu rows for %zu tokens; convert the model again",
                    m->checkpoint->path, name, (unsigned long long)t->dim[1], m->checkpoint->vocab.n);
    m->h.vocab = t ? (uint32_t)t->dim[1] : 1;
    if (!bind_matrix(b, &m->embedding, ROLE_EMBEDDING, 0, m->h.hidden, m->h.vocab)) return false;
    m->tied = !family_tensor(m->family, m->checkpoint, ROLE_OUTPUT, 0, name);
    if (m->tied)
        m->output = m->embedding;
    else {
        if (!b->looking) m->decode_bytes -= type_row_bytes(m->embedding.type, m->h.hidden) * (m->h.vocab - 1);
        if (!bind_matrix(b, &m->output, ROLE_OUTPUT, 0, m->h.hidden, m->h.vocab)) return false;
    }
    return bind_norm(b, &m->final_norm, ROLE_FINAL_NORM, 0);
}

bool model_cover(struct model *m, size_t positions, gyr_error *e) {
    if (m->family->positions != POSITIONS_ROTARY || positions <= m->rope_positions) return true;
    size_t n = m->rope_positions ? m->rope_positions : 512;
    while (n < positions) n *= 2;
    size_t bytes = n * m->h.head_dim * sizeof(float);
    float *host = malloc(bytes), *table = host ? m->device->ops->alloc(m->device, bytes, e) : NULL;
    if (table) {
        rope_table(host, n, m->h.head_dim, m->h.rope_base);
        m->device->ops->write(m->device, table, host, bytes);
        if (m->rope) m->device->ops->free(m->device, m->rope);
        m->rope = table;
        m->rope_positions = n;
    }
    free(host);
    return table || fail_memory(e, "rotary positions");
}

// Slopes as in the ALiBi paper's reference: a geometric series for the largest power of two of heads, and every second
// term of the next finer series for the heads beyond it. exp2 of such fractions is the one place where the host's libm
// could differ, so the terms are built by repeated exact-as-possible square roots instead.
static double root_of_two(double max_bias, uint32_t n) {
    double base = 1;
    for (int i = 0; i < (int)max_bias; i++) base /= 2;
    for (; n > 1; n /= 2) base = sqrt(base);
    return base;
}

static bool make_slopes(struct model *m, gyr_error *e) {
    uint32_t heads = m->h.heads, n = 1;
    while (n * 2 <= heads) n *= 2;
    float *host = malloc(heads * sizeof *host);
    m->slopes = host ? m->device->ops->alloc(m->device, heads * sizeof *host, e) : NULL;
    if (m->slopes) {
        double base = root_of_two(m->h.alibi_max, n), finer = root_of_two(m->h.alibi_max, 2 * n), s = 1, t = finer;
        for (uint32_t i = 0; i < heads; i++) {
            double slope = i < n ? (s *= base) : t;
            if (i >= n) t *= finer * finer;
            host[i] = m->family->alibi_bf16 ? bf16_to_f32(f32_to_bf16((float)slope)) : (float)slope;
        }
        m->device->ops->write(m->device, m->slopes, host, heads * sizeof *host);
    }
    free(host);
    return m->slopes || fail_memory(e, "ALiBi slopes");
}

void model_free(struct model *m) {
    if (!m) return;
    const struct device_ops *ops = m->device->ops;
    for (uint32_t i = 0; m->layers && i < m->h.layers; i++) {
        struct layer *l = &m->layers[i];
        struct weight *w[] = {&l->qkv.w, &l->attn_out.w, &l->up.w, &l->down.w};
        for (int k = 0; k < 4; k++) ops->unbind(m->device, w[k]);
    }
    ops->unbind(m->device, &m->output);
    ops->unbind(m->device, &m->embedding);
    void *memory[] = {m->vectors, m->rope, m->slopes};
    for (int k = 0; k < 3; k++)
        if (memory[k]) ops->free(m->device, memory[k]);
    activations_free(m->activations, m->device);
    free(m->layers);
    free(m);
}

static bool bind_pass(struct binder *b) {
    if (!bind_ends(b)) return false;
    for (uint32_t i = 0; i < b->m->h.layers; i++)
        if (!bind_layer(b, i)) return false;
    return true;
}

// A tensor that nothing reads means that the model is not what it was taken for. (Hugging Face folders may hold more.)
static bool all_found(const struct model *m, const bool *found, gyr_error *e) {
    const struct checkpoint *c = m->checkpoint;
    for (size_t i = 0; c->source == CHECKPOINT_GGUF && i < c->n_tensors; i++)
        if (!found[i])
            return fail(e, GYR_UNSUPPORTED, "%s: tensor '%.*s' has no place in a model of the %s", c->path,
                        (int)(c->tensors[i].name.size > 60 ? 60 : c->tensors[i].name.size), c->tensors[i].name.data,
                        m->family->kind);
    return true;
}

static bool bind_all(struct model *m, gyr_error *e) {
    m->layers = calloc(m->h.layers, sizeof *m->layers);
    bool *found = calloc(m->checkpoint->n_tensors + 1, sizeof *found);
    struct binder look = {.m = m, .e = e, .looking = true, .found = found}, bind = {.m = m, .e = e};
    bool ok = m->layers && found ? bind_pass(&look) && all_found(m, found, e) : fail_memory(e, m->checkpoint->path);
    free(found);
    if (!ok) return false;
    m->vectors = m->device->ops->alloc(m->device, look.used * sizeof(float), e);
    return m->vectors && bind_pass(&bind);
}

struct model *model_new(const struct checkpoint *c, struct device *d, gyr_error *e) {
    const struct family *f = family_find(c, e);
    struct model *m = f ? calloc(1, sizeof *m) : NULL;
    if (!m) return f ? fail_memory(e, c->path), NULL : NULL;
    m->family = f;
    m->checkpoint = c;
    m->device = d;
    m->tied = true;
    m->grouped = c->source == CHECKPOINT_HF && f->hf_grouped;
    if (!family_hyperparameters(f, c, &m->h, e) || !bind_all(m, e) ||
        (f->positions == POSITIONS_ALIBI && !make_slopes(m, e)) || !(m->activations = activations_new(m, e))) {
        model_free(m);
        return NULL;
    }
    return m;
}
