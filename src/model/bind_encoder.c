// Binding what encoders have around their layers: positions and types of tokens, a norm of embeddings, and the matrices
// that a text's embedding goes through.
#include "model/bind.h"

#include <string.h>

// Learned positions, without those rows in front that stand for padding.
static bool bind_positions(struct binder *b) {
    struct model *m = b->m;
    size_t first = m->h.first_position, rows = first + m->h.context;
    if (!first) return bind_matrix(b, &m->positions, ROLE_POSITIONS, 0, m->h.hidden, rows);
    const struct tensor *t = bind_find(b, (struct place){ROLE_POSITIONS, PART_WEIGHT, 0, 0}, m->h.hidden, rows, 1);
    if (!t || b->looking) return t;
    size_t skipped = first * type_row_bytes(t->type, m->h.hidden);
    m->positions =
        (struct weight){.type = t->type, .rows = m->h.context, .cols = m->h.hidden, .data = t->data + skipped};
    bind_count(m, t, 1);
    return bind_weight(b, &m->positions);
}

// All tokens of a text are of its first part; other types are for pairs of texts.
static bool bind_types(struct binder *b) {
    struct model *m = b->m;
    char name[128];
    const struct tensor *t =
        family_tensor(m->family, m->checkpoint, (struct place){ROLE_TYPES, PART_WEIGHT, 0, 0}, name);
    return bind_matrix(b, &m->types, ROLE_TYPES, 0, m->h.hidden, t && t->dim[1] ? t->dim[1] : 1);
}

bool bind_beginning(struct binder *b) {
    const struct family *f = b->m->family;
    return (f->positions != POSITIONS_LEARNED || bind_positions(b)) && (!f->types || bind_types(b)) &&
           (!f->norms.embedding || bind_norm(b, &b->m->embed_norm, ROLE_EMBED_NORM, 0));
}

static const struct tensor *dense_tensor(struct binder *b, const char *name) {
    const struct checkpoint *c = b->m->checkpoint;
    const struct tensor *t = checkpoint_tensor(c, name);
    if (!t) return fail_null(b->e, GYR_MALFORMED, "%s: tensor '%s' is missing; get the model again", c->path, name);
    if (b->found) b->found[t - c->tensors] = true;
    return tensor_readable(t, c->path, b->e) ? t : NULL;
}

static bool bad_dense(const struct binder *b, const char *name, const struct tensor *t, size_t cols) {
    return fail(b->e, GYR_MALFORMED, "%s: tensor '%s' is %llu x %llu, behind an embedding of %zu; get the model again",
                b->m->checkpoint->path, name, (unsigned long long)t->dim[0], (unsigned long long)t->dim[1], cols);
}

static bool bind_dense_bias(struct binder *b, const char *name, dfloat **bias, size_t rows) {
    const struct tensor *t = dense_tensor(b, name);
    size_t at = b->used;
    if (!t) return false;
    if (t->dim[0] != rows || t->dim[1] != 1 || type_info(t->type)->quantized) return bad_dense(b, name, t, rows);
    b->used += rows;
    if (b->looking) return true;
    type_decode(t->type, t->data, 0, rows, b->host + at);
    bind_count(b->m, t, 0);
    *bias = bind_at(b, at);
    return true;
}

bool bind_dense(struct binder *b) {
    struct model *m = b->m;
    const struct sentence *s = &m->checkpoint->sentence;
    size_t cols = m->h.hidden;
    for (size_t i = 0; i < s->n_dense; i++) {
        const char *name = s->dense[i].weight;
        struct linear *l = &m->dense[i];
        const struct tensor *t = dense_tensor(b, name);
        if (!t) return false;
        if (t->dim[0] != cols || t->dim[1] > MAX_EMBEDDING || t->dim[2] != 1 || t->scales || t->packing)
            return bad_dense(b, name, t, cols);
        cols = (size_t)t->dim[1];
        if (s->dense[i].bias && !bind_dense_bias(b, s->dense[i].bias, &l->bias, cols)) return false;
        if (b->looking) continue;
        l->by = 1;
        l->w = (struct weight){
            .type = t->type, .rows = cols, .cols = (size_t)t->dim[0], .data = t->data, .place = WEIGHT_WHOLE};
        bind_count(m, t, 0);
        if (!bind_weight(b, &l->w)) return false;
    }
    return true;
}
