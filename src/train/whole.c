#include "train/whole.h"
#include "base/pages.h"
#include "device/rope.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool refuse(const struct whole *w, struct text name, const char *what, gyr_error *e) {
    int n = (int)(name.size < 100 ? name.size : 100);
    return fail(e, GYR_UNSUPPORTED, "%s: tensor %.*s %s", w->m->checkpoint->path, n, name.data, what);
}

// ---------------------------------------------------------------------------------------------- a file's numbers

static bool count_parts(struct whole *w, gyr_error *e) {
    static const enum role residual[] = {ROLE_ATTN_OUT, ROLE_DOWN, ROLE_STATE_OUT},
                           table[] = {ROLE_EMBEDDING, ROLE_OUTPUT},
                           constant[] = {ROLE_ROPE_FACTORS, ROLE_ROPE_SHORT, ROLE_ROPE_LONG, ROLE_LAYER_SCALE,
                                         ROLE_ROUTER_SHIFT}; // what is chosen has no gradient
    float adds = (float)w->m->h.layers * (w->m->layers[0].plan.feed == FEED_NONE ? 1 : 2);
    const struct checkpoint *c = w->m->checkpoint;
    for (size_t i = 0; i < c->n_tensors; i++) {
        const struct tensor *t = &c->tensors[i];
        struct place place;
        char name[128] = "";
        if (!tensor_readable(t, c->path, e)) return false;
        if (t->type != TYPE_F32 && t->type != TYPE_F16 && t->type != TYPE_BF16)
            return refuse(w, t->name, "is quantized; gyr trains all weights of F32, F16 and BF16 models", e);
        if (t->name.size < sizeof name) memcpy(name, t->name.data, t->name.size);
        size_t n = (size_t)(t->dim[0] * t->dim[1] * t->dim[2] * t->dim[3]), letters = t->name.size;
        bool bias = letters > 5 && !memcmp(t->name.data + letters - 5, ".bias", 5);
        bool joins = family_place(w->m->family, c->source, name, residual, 3, &place);
        w->parts[i] = (struct whole_part){.tensor = t,
                                          .at = w->n,
                                          .n = n,
                                          .matrix = t->n_dims > 1,
                                          .draw = t->n_dims > 1 ? DRAW_NORMAL
                                                  : bias        ? DRAW_ZEROS
                                                                : DRAW_ONES,
                                          .deviation = joins ? 0.02f / sqrtf(adds) : 0.02f,
                                          .table = family_place(w->m->family, c->source, name, table, 2, &place),
                                          .used = family_place(w->m->family, c->source, name, constant, 5, &place)};
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

static struct whole_part *part_of(const struct whole *w, struct place place, char name[128]) {
    const struct tensor *t = family_tensor(w->m->family, w->m->checkpoint, place, name);
    return t ? &w->parts[t - w->m->checkpoint->tensors] : NULL;
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

static bool refuse_other(const struct whole *w, const char *name, gyr_error *e) {
    return fail(e, GYR_UNSUPPORTED,
                "%s: tensor %.100s is not computed with as it is in the file; gyr does not train it",
                w->m->checkpoint->path, name);
}

// A vector that the model has on its device becomes that of the numbers, if it is the same; it is number `which` of
// `all` that the file's tensor has.
static bool take_piece(struct whole *w, struct place place, size_t which, size_t all, float **v, size_t n,
                       gyr_error *e) {
    char name[128];
    if (!*v) return true;
    struct whole_part *p = part_of(w, place, name);
    if (!p || p->n != all * n || memcmp(w->numbers + p->at + which * n, *v, n * sizeof **v))
        return refuse_other(w, name, e);
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
    if (!n->w || n->fixed) return true;
    return take_vector(w, role, PART_WEIGHT, layer, &n->w, dim, e) &&
           take_vector(w, role, PART_BIAS, layer, &n->b, dim, e);
}

// Biases of experts lie in one tensor, one behind the other.
static bool take_bias(struct whole *w, struct trainee *t, uint32_t i, unsigned s, gyr_error *e) {
    static const enum role roles[SLOTS] = {[SLOT_QKV] = ROLE_QKV,
                                           [SLOT_Q] = ROLE_Q,
                                           [SLOT_K] = ROLE_K,
                                           [SLOT_V] = ROLE_V,
                                           [SLOT_OUT] = ROLE_ATTN_OUT,
                                           [SLOT_GATE_UP] = ROLE_GATE_UP,
                                           [SLOT_GATE] = ROLE_GATE,
                                           [SLOT_UP] = ROLE_UP,
                                           [SLOT_DOWN] = ROLE_DOWN,
                                           [SLOT_ROUTER] = ROLE_ROUTER,
                                           [SLOT_STATE_IN] = ROLE_STATE_IN,
                                           [SLOT_STATE_OUT] = ROLE_STATE_OUT},
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

// Of latent attention: a matrix for each head.
static bool take_heads(struct whole *w, const struct layer *l, gyr_error *e) {
    for (uint32_t k = 0; k < w->m->h.heads; k++)
        if (!take_matrix(w, &l->k_b[k].w, "keys and values that lie in one matrix", e) ||
            !take_matrix(w, &l->v_b[k].w, "keys and values that lie in one matrix", e))
            return false;
    return true;
}

// What the trainee has in *v, [cols][rows], is in the file [rows][cols]. Rates of decay become their logarithms: a
// state must not grow, whatever they are moved to. One of 0 is as good as 1e-30, which keeps all, too.
static bool take_table(struct whole *w, enum role role, uint32_t layer, float *v, size_t cols, size_t rows,
                       gyr_error *e) {
    char name[128];
    struct whole_part *p = part_of(w, (struct place){role, PART_WEIGHT, layer, 0}, name);
    if (!p || p->n != cols * rows) return refuse_other(w, name, e);
    float *own = w->numbers + p->at;
    p->rate = role == ROLE_STATE_A;
    for (size_t i = 0; i < p->n; i++) {
        if (own[i] != v[i % cols * rows + i / cols]) return refuse_other(w, name, e);
        if (p->rate) own[i] = (float)rope_ln(own[i] < -1e-30f ? -(double)own[i] : 1e-30);
    }
    p->used = true;
    p->matrix = false; // each number is a channel's own, or a head's
    p->draw = p->rate ? DRAW_RATES : DRAW_NORMAL;
    p->deviation = 1 / sqrtf(3 * (float)cols); // of taps, as evenly within 1 / sqrt(taps)
    w->tables[w->n_tables++] = (struct whole_table){p, v, cols, rows};
    return true;
}

static bool take_state(struct whole *w, uint32_t i, struct host_state *s, gyr_error *e) {
    const struct recurrence *r = &w->m->h.recurrence;
    bool each = r->kind == RECUR_CHANNELS;
    size_t steps = each || r->each ? r->inner : r->heads;
    char name[128];
    if (!take_table(w, ROLE_STATE_CONV, i, s->taps, r->taps, r->channels, e) ||
        (s->q_taps && !take_table(w, ROLE_STATE_CONV_Q, i, s->q_taps, r->taps, r->channels, e)) ||
        (s->k_taps && !take_table(w, ROLE_STATE_CONV_K, i, s->k_taps, r->taps, r->channels, e)) ||
        !take_table(w, ROLE_STATE_A, i, s->a, each ? r->size : 1, each ? r->inner : r->heads, e) ||
        !take_vector(w, ROLE_STATE_CONV, PART_BIAS, i, &s->taps_bias, r->channels, e) ||
        !take_vector(w, ROLE_STATE_DT, PART_BIAS, i, &s->dt_bias, steps, e) ||
        !take_vector(w, ROLE_STATE_D, PART_WEIGHT, i, &s->skip, steps, e) ||
        !take_norm(w, ROLE_STATE_NORM, i, &s->norm, e))
        return false;
    struct whole_part *p = part_of(w, (struct place){ROLE_STATE_DT, PART_BIAS, i, 0}, name);
    if (p) p->draw = DRAW_STEPS;
    p = part_of(w, (struct place){ROLE_STATE_DT, PART_WEIGHT, i, 0}, name);
    if (p) p->deviation = 1 / sqrtf(3 * (float)r->rank);
    static const enum role vectors[] = {ROLE_STATE_D, ROLE_STATE_NORM}; // which lie as columns, or by group
    for (size_t k = 0; k < sizeof vectors / sizeof *vectors; k++)
        if ((p = part_of(w, (struct place){vectors[k], PART_WEIGHT, i, 0}, name)))
            p->matrix = false, p->draw = DRAW_ONES;
    return true;
}

// What has no gradient and stays as it is: in a layer that reads another's keys and values what files have of its own,
// which nobody reads; and indexers.
static void pass_over(struct whole *w, uint32_t i, const struct layer_plan *plan) {
    static const enum role roles[] = {ROLE_K,       ROLE_V,          ROLE_K_NORM,      ROLE_INDEX_Q,
                                      ROLE_INDEX_K, ROLE_INDEX_NORM, ROLE_INDEX_WEIGHT};
    size_t first = plan->borrows ? 0 : 3, end = plan->indexes ? sizeof roles / sizeof *roles : 3;
    char name[128];
    for (size_t k = first; k < end; k++)
        for (int bias = 0; bias < 2; bias++) {
            struct place at = {roles[k], bias ? PART_BIAS : PART_WEIGHT, i, 0};
            struct whole_part *p = part_of(w, at, name);
            if (p) p->used = true, p->matrix = false;
        }
}

static bool take_layer(struct whole *w, struct trainee *t, uint32_t i, gyr_error *e) {
    struct host_layer *l = &t->layers[i];
    bool latent = l->l->plan.latent && l->l->plan.attends;
    pass_over(w, i, &l->l->plan);
    const struct {
        enum role role;
        struct host_norm *norm;
    } norms[] = {{ROLE_ATTN_NORM, &l->attn},
                 {ROLE_ATTN_POST_NORM, &l->attn_post},
                 {ROLE_MLP_NORM, &l->mlp},
                 {ROLE_MLP_POST_NORM, &l->mlp_post},
                 {ROLE_DENSE_POST_NORM, &l->dense_post},
                 {ROLE_EXPERT_NORM, &l->expert},
                 {ROLE_EXPERT_POST_NORM, &l->expert_post},
                 {ROLE_INPUT_POST_NORM, &l->input_post},
                 {latent ? ROLE_Q_A_NORM : ROLE_Q_NORM, &l->q},
                 {latent ? ROLE_KV_A_NORM : ROLE_K_NORM, &l->k}};
    for (size_t k = 0; k < sizeof norms / sizeof *norms; k++)
        if (!take_norm(w, norms[k].role, i, norms[k].norm, e)) return false;
    return take_vector(w, ROLE_SINKS, PART_WEIGHT, i, &l->sinks, w->m->h.heads, e) && take_maps(w, t, i, e) &&
           (!latent || take_heads(w, l->l, e)) && (!l->l->plan.recurs || take_state(w, i, &l->state, e));
}

static bool take_all(struct whole *w, struct trainee *t, gyr_error *e) {
    const struct model *m = w->m;
    bool ok = take_matrix(w, &m->embedding, "embeddings", e) && take_matrix(w, &m->positions, "positions", e) &&
              take_matrix(w, &m->output, "output matrices", e) && take_norm(w, ROLE_FINAL_NORM, 0, &t->final, e) &&
              take_matrix(w, &m->inputs.table.w, "per-layer inputs", e) &&
              take_norm(w, ROLE_INPUT_NORM, 0, &t->inputs, e) &&
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
    w->parts = calloc(m->checkpoint->n_tensors + 1, sizeof *w->parts);
    w->tables = calloc(4 * (size_t)m->h.layers + 1, sizeof *w->tables);
    bool ok = (w->parts && w->tables) || fail_memory(e, "training");
    if (ok && m->checkpoint->source != CHECKPOINT_GGUF)
        ok = fail(e, GYR_UNSUPPORTED, "%s: is a Hugging Face folder; make a GGUF file of it with gyr convert",
                  m->checkpoint->path);
    size_t bytes = ok && count_parts(w, e) ? (w->n + 1) * sizeof *w->numbers : 0;
    ok = bytes && ((w->numbers = large_pages(calloc(1, bytes), bytes)) || fail_memory(e, "training"));
    if (ok) read_parts(w);
    if (ok && take_all(w, t, e)) return t->whole = w;
    whole_free(w);
    return NULL;
}

void whole_free(struct whole *w) {
    if (!w) return;
    free(w->parts);
    free(w->tables);
    free(w->numbers);
    free(w);
}
