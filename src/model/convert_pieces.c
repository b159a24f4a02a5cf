// What a model's file will hold: a piece for each tensor of GGUF, as the family's row names them.
#include "base/buf.h"
#include "model/bind.h"
#include "model/convert_job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct piece *add(struct job *j, gyr_error *e) {
    if (!ARRAY_GROW(j->pieces, j->n, j->room)) return fail_memory(e, j->o->output), NULL;
    j->pieces[j->n] = (struct piece){.n_dims = 1, .cols = 1, .rows = 1, .each = 1, .every = 1, .dim = {1, 1, 1, 1}};
    return &j->pieces[j->n++];
}

// What roles are. Routers and other small tensors stay as precise as they can be.
enum { IS_NORM = 1, IS_LINEAR = 2, IS_ROTATED = 4, IS_FUSED = 8, IS_FINE = 16 };
static const unsigned char kind_of[ROLE_COUNT] = {
    [ROLE_POSITIONS] = IS_FINE,
    [ROLE_TYPES] = IS_FINE,
    [ROLE_EMBED_NORM] = IS_NORM | IS_FINE,
    [ROLE_FINAL_NORM] = IS_NORM | IS_FINE,
    [ROLE_INPUT_POST_NORM] = IS_NORM | IS_FINE,
    [ROLE_ATTN_NORM] = IS_NORM | IS_FINE,
    [ROLE_ATTN_POST_NORM] = IS_NORM | IS_FINE,
    [ROLE_MLP_NORM] = IS_NORM | IS_FINE,
    [ROLE_MLP_POST_NORM] = IS_NORM | IS_FINE,
    [ROLE_Q_NORM] = IS_NORM | IS_FINE,
    [ROLE_K_NORM] = IS_NORM | IS_FINE,
    [ROLE_Q_A_NORM] = IS_FINE,
    [ROLE_KV_A_NORM] = IS_FINE,
    [ROLE_INDEX_NORM] = IS_FINE,
    [ROLE_INDEX_WEIGHT] = IS_FINE,
    [ROLE_QKV] = IS_LINEAR | IS_FUSED,
    [ROLE_Q] = IS_LINEAR | IS_ROTATED,
    [ROLE_K] = IS_LINEAR | IS_ROTATED,
    [ROLE_V] = IS_LINEAR,
    [ROLE_ATTN_OUT] = IS_LINEAR,
    [ROLE_GATE_UP] = IS_LINEAR,
    [ROLE_GATE] = IS_LINEAR,
    [ROLE_UP] = IS_LINEAR,
    [ROLE_DOWN] = IS_LINEAR,
    [ROLE_ROUTER] = IS_FINE,
    [ROLE_EXPERT_NORM] = IS_NORM | IS_FINE,
    [ROLE_EXPERT_POST_NORM] = IS_NORM | IS_FINE,
    [ROLE_DENSE_POST_NORM] = IS_NORM | IS_FINE,
    [ROLE_SHARED_ROUTER] = IS_FINE,
    [ROLE_STATE_CONV] = IS_FINE,
    [ROLE_STATE_CONV_Q] = IS_FINE,
    [ROLE_STATE_CONV_K] = IS_FINE,
    [ROLE_STATE_A] = IS_FINE,
    [ROLE_STATE_D] = IS_FINE,
    [ROLE_STATE_NORM] = IS_FINE,
};

enum { MAX_INDEX = 1 << 16 };

// Number of tensors that the folder has for one of GGUF's; 0 where a name is not for several.
static uint64_t count_indexed(const struct job *j, struct place at) {
    char name[128];
    if (!family_indexed(j->m->family, j->c, at)) return 0;
    while (at.index < MAX_INDEX && family_tensor(j->m->family, j->c, at, name)) at.index++;
    return at.index;
}

bool convert_start(struct job *j, enum role role, struct place from, struct piece **out, gyr_error *e) {
    const struct family *f = j->m->family;
    char name[128], looked[128];
    const struct tensor *t = family_tensor(f, j->c, from, looked);
    *out = NULL;
    if (!t) return true;
    bool named = family_name(f, CHECKPOINT_GGUF, (struct place){role, from.part, from.layer, 0}, name);
    // The one role with two names in GGUF: queries by way of a latent vector, or straight from the input.
    if (role == ROLE_Q && f->latent.attends && !j->m->h.q_latent)
        snprintf(name, sizeof name, "blk.%u.attn_q.weight", from.layer);
    bool of_experts = role == ROLE_EXPERT_GATE || role == ROLE_EXPERT_UP || role == ROLE_EXPERT_DOWN;
    if (!named || (t->scales && !t->packing && !of_experts))
        return fail(e, GYR_UNSUPPORTED, "%s: tensor '%s' has no name in GGUF files of the %s", j->c->path, looked,
                    f->kind);
    struct piece *p = *out = add(j, e);
    if (!p) return false;
    memcpy(p->name, name, sizeof name);
    p->role = role;
    p->at = from;
    p->t = t;
    p->fine = kind_of[role] & IS_FINE || from.part == PART_BIAS;
    p->multiplied = f->scale.gguf_multiplied && !(kind_of[role] & IS_NORM);
    return true;
}

// Sets the shape: of vectors each element is a row.
void convert_shape(struct piece *p, int n_dims, uint64_t a, uint64_t b, uint64_t c) {
    p->n_dims = n_dims;
    p->dim[0] = a;
    p->dim[1] = b;
    p->dim[2] = c;
    p->cols = n_dims < 2 ? 1 : a;
    p->rows = n_dims < 2 ? a : b * c;
    p->each = n_dims < 2 ? a : b;
}

bool convert_add(struct job *j, enum role role, struct place from, uint64_t first, uint64_t rows, gyr_error *e) {
    const struct family *f = j->m->family;
    struct piece *p;
    if (!convert_start(j, role, from, &p, e)) return false;
    if (!p) return true;
    const struct tensor *t = p->t;
    uint64_t tensors = count_indexed(j, from);
    bool vector = t->n_dims < 2 || role == ROLE_SHARED_ROUTER;
    bool transposed = kind_of[role] & IS_LINEAR && f->hf_transposed && !vector;
    if (tensors && vector) {
        convert_shape(p, 2, t->dim[0], tensors, 1);
        p->each = 1;
    } else if (tensors)
        convert_shape(p, 3, t->dim[0], t->dim[1], tensors);
    else if (vector)
        convert_shape(p, 1, rows ? rows : t->dim[0], 1, 1);
    else
        convert_shape(p, t->n_dims, t->dim[transposed], rows ? rows : t->dim[!transposed], t->dim[2]);
    p->first = first;
    p->indexed = tensors;
    p->all = transposed ? t->dim[0] : 0;
    p->step = 1;
    p->paired =
        kind_of[role] & IS_ROTATED && f->rope.gguf_pairs != f->rope.hf_pairs && f->positions == POSITIONS_ROTARY;
    p->grouped = kind_of[from.role] & IS_FUSED && f->attention.hf_grouped;
    p->unit = role == ROLE_OUTPUT && from.part == PART_WEIGHT && f->scale.hf_unit_output;
    p->plus = kind_of[role] & IS_NORM && from.part == PART_WEIGHT && f->norms.hf_offset ? 1 : 0;
    return true;
}

// Latent attention: a head's key part and value lie together in the folder, and are two matrices in GGUF, the first of
// them as [latent][key part].
static bool add_latent(struct job *j, uint32_t layer, gyr_error *e) {
    const struct hyperparameters *h = &j->m->h;
    struct place at = {ROLE_KV_B, PART_WEIGHT, layer, 0};
    struct piece *k, *v;
    if (!convert_start(j, ROLE_K_B, at, &k, e)) return false;
    if (!k) return true;
    convert_shape(k, 3, h->key_plain, h->kv_latent, h->heads);
    k->all = h->kv_latent;
    k->step = 1;
    k->apart = h->key_plain + h->value;
    if (!convert_start(j, ROLE_V_B, at, &v, e)) return false;
    convert_shape(v, 3, h->kv_latent, h->value, h->heads);
    v->first = h->key_plain;
    v->apart = h->key_plain + h->value;
    return true;
}

// Where the folder has several matrices as one and GGUF has them apart, they are taken apart.
static bool add_fused(struct job *j, struct place at, const enum role *roles, const uint64_t *rows, int n,
                      gyr_error *e) {
    const struct family *f = j->m->family;
    struct place one = {roles[0], at.part, at.layer, 0};
    char name[128];
    bool apart = family_name(f, CHECKPOINT_GGUF, one, name) && !family_name(f, CHECKPOINT_HF, one, name);
    if (!apart) return convert_add(j, at.role, at, 0, 0, e);
    uint64_t first = 0;
    bool ok = true;
    for (int i = 0; i < n && ok; first += rows[i++]) ok = convert_add(j, roles[i], at, first, rows[i], e);
    return ok;
}

static bool add_role(struct job *j, enum role role, uint32_t layer, gyr_error *e) {
    static const enum role qkv[] = {ROLE_Q, ROLE_K, ROLE_V}, gate_up[] = {ROLE_GATE, ROLE_UP},
                           shared[] = {ROLE_SHARED_GATE, ROLE_SHARED_UP};
    const struct hyperparameters *h = &j->m->h;
    uint64_t q = (uint64_t)h->heads * h->head_dim, kv = (uint64_t)h->kv_heads * h->head_dim, wide = h->feed_forward,
             common = h->shared_feed_forward;
    bool ok = true, columns = h->experts && j->m->family->experts.hf_layout != EXPERTS_ROWS;
    if (role == ROLE_EXPERT_GATE_UP) return convert_list_experts(j, layer, e);
    if (role == ROLE_KV_B) return add_latent(j, layer, e);
    if (columns && (role == ROLE_EXPERT_GATE || role == ROLE_EXPERT_UP || role == ROLE_EXPERT_DOWN)) return true;
    for (int part = PART_WEIGHT; part <= PART_BIAS && ok; part++) {
        struct place at = {role, part, layer, 0};
        if (role == ROLE_QKV)
            ok = add_fused(j, at, qkv, (uint64_t[]){q, kv, kv}, 3, e);
        else if (role == ROLE_GATE_UP)
            ok = add_fused(j, at, gate_up, (uint64_t[]){wide, wide}, 2, e);
        else if (role == ROLE_SHARED_GATE_UP)
            ok = add_fused(j, at, shared, (uint64_t[]){common, common}, 2, e);
        else if (role == ROLE_POSITIONS && part == PART_WEIGHT && h->first_position)
            ok = convert_add(j, role, at, h->first_position, h->context, e);
        else
            ok = convert_add(j, role, at, 0, 0, e);
    }
    return ok;
}

bool convert_add_numbers(struct job *j, const char *name, const float *numbers, size_t n, gyr_error *e) {
    struct piece *p = add(j, e);
    if (!p) return false;
    snprintf(p->name, sizeof p->name, "%s", name);
    p->given = numbers;
    convert_shape(p, 1, n, 1, 1);
    return true;
}

// Folders may hold a tensor under a name that the usual table gives to another role; the row says which roles there
// are.
static bool has_role(const struct job *j, enum role role, uint32_t layer) {
    const struct family *f = j->m->family;
    const struct layer *l = &j->m->layers[layer];
    switch (role) {
    case ROLE_OUTPUT: return !j->m->tied;
    case ROLE_ATTN_NORM: return bind_norms_before(f);
    case ROLE_MLP_NORM: return bind_norms_before(f) && !f->norms.shared;
    case ROLE_ATTN_POST_NORM:
    case ROLE_MLP_POST_NORM: return f->norms.place != NORM_BEFORE;
    case ROLE_Q:
    case ROLE_ATTN_OUT: return l->plan.attends;
    case ROLE_K: return l->plan.attends && !f->latent.attends && !l->plan.borrows;
    case ROLE_V: return l->plan.attends && !f->latent.attends && bind_has_values(j->m, layer);
    case ROLE_Q_NORM: return f->attention.qk_norm != QK_NORM_NONE;
    case ROLE_K_NORM: return f->attention.qk_norm != QK_NORM_NONE && !l->plan.borrows;
    case ROLE_INPUT_TABLE:
    case ROLE_INPUT_PROJECT:
    case ROLE_INPUT_NORM:
    case ROLE_INPUT_GATE:
    case ROLE_INPUT_OUT:
    case ROLE_INPUT_POST_NORM: return j->m->h.layer_input;
    case ROLE_ROUTER_NORM:
    case ROLE_EXPERT_SCALE:
    case ROLE_EXPERT_NORM:
    case ROLE_EXPERT_POST_NORM:
    case ROLE_DENSE_POST_NORM: return f->experts.beside;
    case ROLE_INDEX_Q:
    case ROLE_INDEX_K:
    case ROLE_INDEX_NORM:
    case ROLE_INDEX_WEIGHT: return l->plan.indexes;
    default: return role < ROLE_STATE_IN || role > ROLE_STATE_OUT; // those have a list of their own
    }
}

// A table that is the output matrix too, but is multiplied by another number there, becomes two.
static bool add_multiplied_output(struct job *j, gyr_error *e) {
    const struct model *m = j->m;
    bool two = m->family->scale.gguf_multiplied && m->tied && m->h.embed_scale != m->h.logit_scale;
    return !two || convert_add(j, ROLE_OUTPUT, (struct place){ROLE_EMBEDDING, PART_WEIGHT, 0, 0}, 0, 0, e);
}

// A cross-encoder's head, under llama.cpp's names.
static bool add_head(struct job *j, gyr_error *e) {
    static const char *const names[2][2] = {{"cls.weight", "cls.bias"}, {"cls.output.weight", "cls.output.bias"}};
    const struct sentence *s = &j->c->sentence;
    for (size_t i = 0; s->relevance && i < 2; i++)
        for (size_t k = 0; k < 2; k++) {
            const char *from = k ? s->dense[i].bias : s->dense[i].weight;
            struct piece *p = from ? add(j, e) : NULL;
            if (from && !p) return false;
            if (!p) continue;
            snprintf(p->name, sizeof p->name, "%s", names[i][k]);
            p->t = checkpoint_tensor(j->c, from);
            p->fine = true;
            p->step = 1;
            convert_shape(p, k ? 1 : 2, p->t->dim[0], p->t->dim[1], 1);
        }
    return true;
}

bool convert_list(struct job *j, gyr_error *e) {
    bool ok = add_head(j, e);
    for (enum role r = ROLE_NONE + 1; r < ROLE_LAYER_FIRST && ok; r++)
        if (has_role(j, r, 0)) ok = add_role(j, r, 0, e);
    ok = ok && add_multiplied_output(j, e) && convert_list_factors(j, e);
    for (uint32_t i = 0; i < j->m->h.layers && ok; i++) {
        for (enum role r = ROLE_LAYER_FIRST; r < ROLE_COUNT && ok; r++)
            if (has_role(j, r, i)) ok = add_role(j, r, i, e);
        ok = ok && (!j->m->layers[i].plan.recurs || convert_list_state(j, i, e));
    }
    return ok;
}
