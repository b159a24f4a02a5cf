#include "train/whole.h"
#include "engine/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool refuse(const struct whole *w, struct text name, const char *what, gyr_error *e) {
    int n = (int)(name.size < 100 ? name.size : 100);
    return fail(e, GYR_UNSUPPORTED, "%s: tensor %.*s %s", w->m->checkpoint->path, n, name.data, what);
}

// ---------------------------------------------------------------------------------------------- a file's numbers

static bool count_parts(struct whole *w, gyr_error *e) {
    static const enum role residual[] = {ROLE_ATTN_OUT, ROLE_DOWN}, table[] = {ROLE_EMBEDDING, ROLE_OUTPUT},
                           constant[] = {ROLE_ROPE_FACTORS, ROLE_ROPE_SHORT, ROLE_ROPE_LONG,
                                         ROLE_ROUTER_SHIFT}; // what is chosen has no gradient
    const struct checkpoint *c = w->m->checkpoint;
    for (size_t i = 0; i < c->n_tensors; i++) {
        const struct tensor *t = &c->tensors[i];
        struct place place;
        char name[128] = "";
        if (!tensor_readable(t, c->path, e)) return false;
        if (t->type != TYPE_F32 && t->type != TYPE_F16 && t->type != TYPE_BF16)
            return refuse(w, t->name, "is quantized; gyr trains all weights of F32, F16 and BF16 models", e);
        if (t->name.size < sizeof name) memcpy(name, t->name.data, t->name.size);
        size_t n = (size_t)(t->dim[0] * t->dim[1] * t->dim[2] * t->dim[3]);
        w->parts[i] = (struct whole_part){.tensor = t,
                                          .at = w->n,
                                          .n = n,
                                          .matrix = t->n_dims > 1,
                                          .residual = family_place(w->m->family, c->source, name, residual, 2, &place),
                                          .table = family_place(w->m->family, c->source, name, table, 2, &place),
                                          .used = family_place(w->m->family, c->source, name, constant, 4, &place)};
        w->n += n;
    }
    return true;
}

static void read_parts(struct whole *w) {
    for (size_t i = 0; i < w->m->checkpoint->n_tensors; i++)
        tensor_decode(w->parts[i].tensor, 0, w->parts[i].n, w->numbers + w->parts[i].at);
}

static struct whole_part *part_at(const struct whole *w, const void *data) {
    for (size_t i = 0; i < w->m->checkpoint->n_tensors; i++) {
        const struct tensor *t = w->parts[i].tensor;
        if ((const uint8_t *)data >= t->data && (const uint8_t *)data < t->data + t->bytes) return &w->parts[i];
    }
    return NULL;
}

static float *numbers_at(const struct whole *w, const void *data) {
    const struct whole_part *p = part_at(w, data);
    if (!p) return NULL;
    size_t bytes = type_row_bytes(p->tensor->type, 1);
    return w->numbers + p->at + (size_t)((const uint8_t *)data - p->tensor->data) / bytes;
}

const float *whole_at(const struct whole *w, const void *data) { return numbers_at(w, data); }

// ------------------------------------------------------------------------------------------- what a model reads

static bool take_matrix(struct whole *w, const struct weight *of, const char *what, gyr_error *e) {
    struct whole_part *p = of->rows ? part_at(w, of->data) : NULL;
    if (!of->rows) return true;
    if (!p)
        return fail(e, GYR_UNSUPPORTED, "%s: %s are not computed with as they lie in the file; gyr does not train them",
                    w->m->checkpoint->path, what);
    p->used = true;
    return true;
}

// A vector that the model has on its device becomes that of the numbers, if it is the same; it is number `which` of
// `all` that the file's tensor has.
static bool take_piece(struct whole *w, struct place place, size_t which, size_t all, float **v, size_t n,
                       gyr_error *e) {
    const struct checkpoint *c = w->m->checkpoint;
    char name[128];
    if (!*v) return true;
    const struct tensor *t = family_tensor(w->m->family, c, place, name);
    struct whole_part *p = t ? &w->parts[t - c->tensors] : NULL;
    if (!p || p->n != all * n || memcmp(w->numbers + p->at + which * n, *v, n * sizeof **v))
        return fail(e, GYR_UNSUPPORTED,
                    "%s: tensor %.100s is not computed with as it is in the file; gyr does not train it", c->path,
                    name);
    p->used = true;
    *v = w->numbers + p->at + which * n;
    return true;
}

static bool take_vector(struct whole *w, enum role role, enum part part, uint32_t layer, float **v, size_t n,
                        gyr_error *e) {
    return take_piece(w, (struct place){role, part, layer, 0}, 0, 1, v, n, e);
}

static bool take_norm(struct whole *w, enum role role, uint32_t layer, struct host_norm *n, gyr_error *e) {
    size_t dim = n->dim * n->parts;
    return take_vector(w, role, PART_WEIGHT, layer, &n->w, dim, e) &&
           take_vector(w, role, PART_BIAS, layer, &n->b, dim, e);
}

// Biases of experts lie in one tensor, one behind the other.
static bool take_bias(struct whole *w, struct trainee *t, uint32_t i, unsigned s, gyr_error *e) {
    static const enum role roles[SLOTS] =
        {[SLOT_QKV] = ROLE_QKV,      [SLOT_Q] = ROLE_Q,          [SLOT_K] = ROLE_K,
         [SLOT_V] = ROLE_V,          [SLOT_OUT] = ROLE_ATTN_OUT, [SLOT_GATE_UP] = ROLE_GATE_UP,
         [SLOT_GATE] = ROLE_GATE,    [SLOT_UP] = ROLE_UP,        [SLOT_DOWN] = ROLE_DOWN,
         [SLOT_ROUTER] = ROLE_ROUTER},
                           of_experts[] = {ROLE_EXPERT_GATE, ROLE_EXPERT_UP, ROLE_EXPERT_DOWN};
    float **bias = &t->layers[i].bias[s];
    size_t n = trainee_linear(t, i, s)->w.rows, experts = w->m->h.experts;
    if (!*bias) return true;
    if (s >= SLOTS)
        return take_piece(w, (struct place){of_experts[(s - SLOTS) % 3], PART_BIAS, i, 0}, (s - SLOTS) / 3, experts,
                          bias, n, e);
    return roles[s]
               ? take_vector(w, roles[s], PART_BIAS, i, bias, n, e)
               : fail(e, GYR_UNSUPPORTED, "%s: gyr does not train biases of shared experts", w->m->checkpoint->path);
}

static bool take_maps(struct whole *w, struct trainee *t, uint32_t i, gyr_error *e) {
    for (unsigned s = 0; s < trainee_slots(t); s++) {
        const struct linear *of = trainee_linear(t, i, s);
        if (of && (!take_matrix(w, &of->w, "matrices", e) || !take_bias(w, t, i, s, e))) return false;
    }
    return true;
}

static bool take_layer(struct whole *w, struct trainee *t, uint32_t i, gyr_error *e) {
    struct host_layer *l = &t->layers[i];
    const struct {
        enum role role;
        struct host_norm *norm;
    } norms[] = {{ROLE_ATTN_NORM, &l->attn}, {ROLE_ATTN_POST_NORM, &l->attn_post},
                 {ROLE_MLP_NORM, &l->mlp},   {ROLE_MLP_POST_NORM, &l->mlp_post},
                 {ROLE_Q_NORM, &l->q},       {ROLE_K_NORM, &l->k}};
    if (l->l->plan.recurs || l->l->plan.latent) // which know nothing of an example's sequences
        return fail(e, GYR_UNSUPPORTED, "%s: gyr trains adapters of models with %s, but not all of their weights",
                    w->m->checkpoint->path, l->l->plan.recurs ? "states" : "latent attention");
    if (l->v.w) return fail(e, GYR_UNSUPPORTED, "%s: gyr does not train norms of values", w->m->checkpoint->path);
    for (size_t k = 0; k < sizeof norms / sizeof *norms; k++)
        if (norms[k].norm->w && !take_norm(w, norms[k].role, i, norms[k].norm, e)) return false;
    return take_vector(w, ROLE_SINKS, PART_WEIGHT, i, &l->sinks, w->m->h.heads, e) && take_maps(w, t, i, e);
}

static bool take_all(struct whole *w, struct trainee *t, gyr_error *e) {
    const struct model *m = w->m;
    bool ok = take_matrix(w, &m->embedding, "embeddings", e) && take_matrix(w, &m->positions, "positions", e) &&
              take_matrix(w, &m->output, "output matrices", e) &&
              (!t->final.w || take_norm(w, ROLE_FINAL_NORM, 0, &t->final, e)) &&
              take_vector(w, ROLE_OUTPUT, PART_BIAS, 0, &t->output_bias, m->h.vocab, e);
    for (uint32_t i = 0; ok && i < m->h.layers; i++) ok = take_layer(w, t, i, e);
    for (size_t i = 0; ok && i < m->checkpoint->n_tensors; i++)
        if (!w->parts[i].used) return refuse(w, w->parts[i].tensor->name, "has no gradient in gyr", e);
    return ok;
}

struct whole *whole_new(struct trainee *t, gyr_error *e) {
    const struct model *m = t->m;
    struct whole *w = calloc(1, sizeof *w);
    if (!w) return fail_memory(e, m->checkpoint->path), NULL;
    w->m = m;
    bool ok = (w->parts = calloc(m->checkpoint->n_tensors + 1, sizeof *w->parts)) || fail_memory(e, "training");
    if (ok && m->checkpoint->source != CHECKPOINT_GGUF)
        ok = fail(e, GYR_UNSUPPORTED, "%s: is a Hugging Face folder; make a GGUF file of it with gyr convert",
                  m->checkpoint->path);
    ok = ok && count_parts(w, e) && ((w->numbers = calloc(w->n + 1, sizeof *w->numbers)) || fail_memory(e, "training"));
    if (ok) read_parts(w);
    if (ok && take_all(w, t, e)) return t->whole = w;
    whole_free(w);
    return NULL;
}

void whole_free(struct whole *w) {
    if (!w) return;
    free(w->parts);
    free(w->numbers);
    free(w);
}

// ------------------------------------------------------------------------------------------------------ drawing

enum { SLICE = 1 << 16 };

struct drawing {
    struct whole *w;
    uint64_t seed;
    const struct whole_part *p;
    float deviation;
};

// The sum of four uniform draws, whose deviation is 1 / sqrt(3).
static void draw_slice(void *arg, size_t task) {
    const struct drawing *d = arg;
    size_t from = task * SLICE, to = from + SLICE < d->p->n ? from + SLICE : d->p->n;
    for (size_t i = from; i < to; i++) {
        uint64_t at = 4 * (uint64_t)(d->p->at + i);
        double sum = -2;
        for (int k = 0; k < 4; k++) sum += random_at(d->seed, at + (uint64_t)k);
        d->w->numbers[d->p->at + i] = (float)(sum * 1.7320508075688772) * d->deviation;
    }
}

void whole_draw(struct whole *w, struct pool *pool, uint64_t seed) {
    for (size_t i = 0; i < w->m->checkpoint->n_tensors; i++) {
        const struct whole_part *p = &w->parts[i];
        struct text name = p->tensor->name;
        bool bias = name.size > 5 && !memcmp(name.data + name.size - 5, ".bias", 5);
        float deviation = p->residual ? 0.02f / sqrtf(2 * (float)w->m->h.layers) : 0.02f;
        struct drawing d = {w, seed, p, deviation};
        if (p->matrix)
            pool_run(pool, (p->n + SLICE - 1) / SLICE, draw_slice, &d);
        else
            for (size_t k = 0; k < p->n; k++) w->numbers[p->at + k] = bias ? 0 : 1;
    }
}
