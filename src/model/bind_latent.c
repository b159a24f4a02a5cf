// Binding latent attention: a matrix for each head that takes keys to the latent vector, and one from it to values; and
// its indexers.
#include "model/bind.h"

#include <stdlib.h>
#include <string.h>

static bool bind_head(struct binder *b, struct linear *l, enum type type, size_t cols, size_t rows, const void *data) {
    l->w = (struct weight){.type = type, .rows = rows, .cols = cols, .data = data, .place = WEIGHT_WHOLE};
    l->by = 1;
    return bind_weight(b, &l->w);
}

// A matrix for each head, in one tensor.
static bool bind_heads(struct binder *b, struct linear *l, enum role role, uint32_t layer, size_t cols, size_t rows) {
    size_t heads = b->m->h.heads;
    const struct tensor *t = bind_find(b, (struct place){role, PART_WEIGHT, layer, 0}, cols, rows, heads);
    if (!t || b->looking) return t;
    bind_count(b->m, t, 1);
    for (size_t i = 0; i < heads; i++)
        if (!bind_head(b, &l[i], t->type, cols, rows, t->data + i * (t->bytes / heads))) return false;
    return true;
}

// Rows of `cols` weights from row `first` on, with rows and columns changed; what is quantized becomes F16.
static bool transpose(struct binder *b, const struct tensor *t, size_t first, size_t rows, size_t cols, uint8_t *out) {
    bool quantized = type_info(t->type)->quantized;
    size_t size = quantized ? 2 : type_info(t->type)->bytes;
    if (b->m->hollow) return true;
    float *x = malloc(cols * sizeof *x);
    for (size_t r = 0; x && r < rows; r++) {
        const uint8_t *row = t->data + (first + r) * type_row_bytes(t->type, cols);
        if (quantized) type_decode(t->type, row, 0, cols, x);
        for (size_t c = 0; c < cols; c++) {
            uint16_t half = quantized ? f32_to_f16(x[c]) : 0;
            memcpy(out + (c * rows + r) * size, quantized ? (const void *)&half : row + c * size, size);
        }
    }
    free(x);
    return x || fail_memory(b->e, b->m->checkpoint->path);
}

// Each head's rows for keys, then its rows for values.
static bool bind_both(struct binder *b, struct layer *l, uint32_t layer) {
    const struct hyperparameters *h = &b->m->h;
    size_t latent = h->kv_latent, plain = h->key_plain, each = plain + h->value;
    const struct tensor *t = bind_find(b, (struct place){ROLE_KV_B, PART_WEIGHT, layer, 0}, latent, h->heads * each, 1);
    if (!t) return false;
    enum type type = type_info(t->type)->quantized ? TYPE_F16 : t->type;
    size_t bytes = plain * type_row_bytes(type, latent);
    uint8_t *keys = bind_rewrite(b, h->heads * bytes);
    if (!keys) return b->looking;
    bind_count(b->m, t, 1);
    for (size_t i = 0; i < h->heads; i++) {
        const uint8_t *values = t->data + (i * each + plain) * type_row_bytes(t->type, latent);
        if (!transpose(b, t, i * each, plain, latent, keys + i * bytes) ||
            !bind_head(b, &l->k_b[i], type, plain, latent, keys + i * bytes) ||
            !bind_head(b, &l->v_b[i], t->type, latent, h->value, values))
            return false;
    }
    return true;
}

// A norm of a latent vector.
static bool bind_latent_norm(struct binder *b, struct norm *norm, enum role role, uint32_t layer, size_t dim) {
    *norm = (struct norm){.kind = b->m->family->norms.kind, .eps = b->m->family->latent.eps, .dim = dim};
    return bind_vector(b, &norm->weight, role, PART_WEIGHT, layer, dim, 1, 0);
}

bool bind_latent(struct binder *b, struct layer *l, uint32_t i) {
    const struct hyperparameters *h = &b->m->h;
    size_t q = (size_t)h->heads * (h->key_plain + h->rope.dim), latent = h->kv_latent;
    if (!b->looking) {
        l->k_b = calloc(h->heads, sizeof *l->k_b);
        l->v_b = calloc(h->heads, sizeof *l->v_b);
        if (!l->k_b || !l->v_b) return fail_memory(b->e, b->m->checkpoint->path);
    }
    if (h->q_latent && (!bind_linear(b, &l->q_a, ROLE_Q_A, 0, i, h->hidden, h->q_latent) ||
                        !bind_latent_norm(b, &l->q_a_norm, ROLE_Q_A_NORM, i, h->q_latent)))
        return false;
    bool apart = bind_present(b, ROLE_K_B, PART_WEIGHT, i);
    return bind_linear(b, &l->q, ROLE_Q, 0, i, h->q_latent ? h->q_latent : h->hidden, q) &&
           bind_linear(b, &l->kv_a, ROLE_KV_A, 0, i, h->hidden, latent + h->rope.dim) &&
           bind_latent_norm(b, &l->kv_a_norm, ROLE_KV_A_NORM, i, latent) &&
           (apart ? bind_heads(b, l->k_b, ROLE_K_B, i, h->key_plain, latent) &&
                        bind_heads(b, l->v_b, ROLE_V_B, i, latent, h->value)
                  : bind_both(b, l, i));
}

bool bind_indexer(struct binder *b, struct layer *l, uint32_t i) {
    const struct hyperparameters *h = &b->m->h;
    l->index_norm = (struct norm){.kind = NORM_LAYER, .eps = 1e-6f, .dim = h->index_dim};
    return bind_linear(b, &l->index_q, ROLE_INDEX_Q, 0, i, h->q_latent, (size_t)h->index_heads * h->index_dim) &&
           bind_linear(b, &l->index_k, ROLE_INDEX_K, 0, i, h->hidden, h->index_dim) &&
           bind_vector(b, &l->index_norm.weight, ROLE_INDEX_NORM, PART_WEIGHT, i, h->index_dim, 1, 0) &&
           bind_vector(b, &l->index_norm.bias, ROLE_INDEX_NORM, PART_BIAS, i, h->index_dim, 1, 0) &&
           bind_linear(b, &l->index_weight, ROLE_INDEX_WEIGHT, 0, i, h->hidden, h->index_heads);
}
