// Latent attention (DeepSeek-V2, 2024). Keys and values of all heads come from one narrow vector a position, and that
// is what the cache holds. A head's matrix for keys is applied to its query instead, and its matrix for values to what
// it attended to, so that the cache is read as it is.
#include "model/forward.h"

// a->fused = each head's query as the file has it: the part without positions, then the rotated one.
static void queries(struct pass *p, const struct layer *l, const dfloat *x) {
    struct activations *a = p->a;
    if (l->q_a.w.rows) {
        linear(p, &l->q_a, x, a->latent);
        norm(p, &l->q_a_norm, a->latent, p->n, a->latent);
        x = a->latent;
    }
    linear(p, &l->q, x, a->fused);
}

// a->ready = queries as the cache wants them: the rotated part, then the other in terms of the latent vector.
static void absorb(struct pass *p, const struct layer *l) {
    const struct hyperparameters *h = &p->m->h;
    struct activations *a = p->a;
    size_t plain = h->key_plain, rotated = h->rope.dim, each = plain + rotated, heads = p->n * h->heads;
    p->ops->move(p->d, a->fused + plain, each, a->ready, h->head_dim, heads, rotated);
    p->ops->head_products(p->d, &(struct head_products){p->n, h->heads, l->k_b, a->fused, h->heads * each, each,
                                                        a->ready + rotated, h->heads * h->head_dim, h->head_dim,
                                                        a->one_head});
}

// a->keys and a->values: one head's.
static void keys_and_values(struct pass *p, const struct layer *l, const dfloat *x) {
    const struct hyperparameters *h = &p->m->h;
    struct activations *a = p->a;
    size_t latent = h->kv_latent, rotated = h->rope.dim, dim = h->head_dim;
    linear(p, &l->kv_a, x, a->latent);
    p->ops->move(p->d, a->latent, dim, a->values, latent, p->n, latent);
    norm(p, &l->kv_a_norm, a->values, p->n, a->values);
    p->ops->move(p->d, a->latent + latent, dim, a->keys, dim, p->n, rotated);
    p->ops->move(p->d, a->values, latent, a->keys + rotated, dim, p->n, latent);
}

void forward_latent(struct pass *p, const struct layer *l, const dfloat *x, struct qkv *q) {
    const struct hyperparameters *h = &p->m->h;
    struct activations *a = p->a;
    queries(p, l, x);
    if (l->plan.indexes) forward_choice(p, l, x);
    absorb(p, l);
    keys_and_values(p, l, x);
    q->q_in = (struct projected){a->ready, h->heads * h->head_dim, h->heads * h->head_dim};
    q->k_in = (struct projected){a->keys, h->head_dim, h->head_dim};
    q->v_in = (struct projected){a->values, h->kv_latent, h->kv_latent};
}

void forward_values(struct pass *p, const struct layer *l) {
    const struct hyperparameters *h = &p->m->h;
    struct activations *a = p->a;
    size_t latent = h->kv_latent, value = h->value;
    p->ops->head_products(p->d, &(struct head_products){p->n, h->heads, l->v_b, a->mixed, h->heads * latent, latent,
                                                        a->ready, h->heads * value, value, a->one_head});
}
