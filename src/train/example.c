// An example's way through the model and back: each step keeps what its gradient needs, and the way back is the same
// list of steps from its end.
#include "train/example.h"
#include "device/rope.h"
#include "train/card.h"
#include "train/whole.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

float *example_room(struct example *x, size_t n) {
    float *at = x->memory ? x->memory + x->used : NULL;
    x->used += n;
    return at;
}

// What mixes positions in a layer.
struct mixer {
    void (*lay_out)(struct example *x, uint32_t layer);
    size_t (*widest)(const struct example *x, uint32_t layer);
    bool (*run)(struct example *x, uint32_t layer, const float *in, struct scratch *w, float *out);
    bool (*back)(struct example *x, uint32_t layer, const float *in, const float *dout, struct scratch *w, float *dx);
};

static const struct mixer *mixer_of(const struct example *x, uint32_t layer) {
    static const struct mixer attention = {attend_lay_out, attend_widest, attend_run, attend_back},
                              latent = {latent_lay_out, latent_widest, latent_attend, latent_back},
                              state = {recall_lay_out, recall_widest, recall, recall_back},
                              both = {both_lay_out, both_widest, both_run, both_back};
    const struct layer_plan *p = &x->t->layers[layer].l->plan;
    return p->recurs ? p->attends ? &both : &state : p->latent ? &latent : &attention;
}

static void lay_out_joint(struct example *x, const struct host_norm *n, struct joint *j) {
    j->in = example_room(x, n->w ? x->rows * x->hidden : 0);
    j->saved = example_room(x, n->w ? 2 * x->rows : 0);
}

static bool has_input(const struct host_layer *l) { return l->l->input_gate.w.rows; }

// What a layer keeps but for its stream.
static void lay_out(struct example *x, uint32_t i) {
    const struct host_layer *l = &x->t->layers[i];
    struct kept *k = &x->kept[i];
    size_t n = x->rows, stream = n * x->hidden;
    k->normed = l->attn.w ? example_room(x, stream) : k->x;
    k->saved = example_room(x, 2 * n);
    k->mid = l->l->plan.parallel ? k->x : example_room(x, stream);
    k->normed_mlp = l->mlp.w ? example_room(x, stream) : l->l->plan.parallel ? k->normed : k->mid;
    k->saved_mlp = example_room(x, 2 * n);
    lay_out_joint(x, &l->attn_post, &k->attn_joint);
    lay_out_joint(x, &l->mlp_post, &k->mlp_joint);
    mixer_of(x, i)->lay_out(x, i);
    feed_lay_out(x, i);
    if (has_input(l)) {
        k->late = example_room(x, stream);
        lay_out_joint(x, &l->input_post, &k->input_joint);
        input_lay_out(x, i);
    }
    for (int slot = 0; slot < SLOTS; slot++)
        if (slot != SLOT_INPUT_PROJECT) k->narrow[slot] = example_room(x, n * l->pair[slot].rank);
}

// --------------------------------------------------------------------------------------------------- a layer

// to = from + a branch, which may have a norm behind it.
static void join(struct example *x, const struct host_norm *n, const struct joint *j, float *branch, const float *from,
                 float *to) {
    size_t count = x->rows * x->hidden;
    float by = x->t->m->h.residual_scale;
    if (n->w) {
        memcpy(j->in, branch, count * sizeof *branch);
        step_norm(x, n, j->in, branch, j->saved);
    }
    step_add(x, from, by, branch, to, count);
}

// The gradient by the branch from that by the stream.
static void join_back(struct example *x, const struct host_norm *n, const struct joint *j, const float *dx,
                      struct scratch *w, float *dbranch) {
    size_t count = x->rows * x->hidden;
    float *to = n->w ? w->e : dbranch, by = x->t->m->h.residual_scale;
    step_scale(x, by, dx, to, count);
    if (!n->w) return;
    step_clear(x, dbranch, count);
    step_norm_back(x, n, j->in, j->saved, w->e, w->some, dbranch);
}

// The stream behind a layer is the next one's.
static bool layer(struct example *x, uint32_t i, struct scratch *w) {
    const struct host_layer *l = &x->t->layers[i];
    struct kept *k = &x->kept[i];
    bool parallel = l->l->plan.parallel;
    float *end = x->kept[i + 1].x, *next = has_input(l) ? k->late : end, *branch = w->dbranch;
    if (l->attn.w) step_norm(x, &l->attn, k->x, k->normed, k->saved);
    if (!mixer_of(x, i)->run(x, i, k->normed, w, branch)) return false;
    bool feeds = l->l->plan.feed != FEED_NONE;
    float *between = parallel || !feeds ? next : k->mid;
    join(x, &l->attn_post, &k->attn_joint, branch, k->x, between);
    if (l->mlp.w) step_norm(x, &l->mlp, k->mid, k->normed_mlp, k->saved_mlp);
    if (feeds && !feed(x, i, k->normed_mlp, w, branch)) return false;
    if (feeds) join(x, &l->mlp_post, &k->mlp_joint, branch, between, next);
    if (has_input(l)) {
        if (!input_run(x, i, branch)) return false;
        join(x, &l->input_post, &k->input_joint, branch, k->late, end);
    }
    step_scale(x, l->l->scale, end, end, x->rows * x->hidden);
    return true;
}

// dx += the gradient by what a branch's norm reads, from that by what the branch reads; without a norm they are one.
static void enter_back(struct example *x, const struct host_norm *n, const float *in, const float *saved,
                       const float *dnormed, struct scratch *w) {
    if (n->w)
        step_norm_back(x, n, in, saved, dnormed, w->some, w->dx);
    else
        step_add(x, w->dx, 1, dnormed, w->dx, x->rows * x->hidden);
}

// What is behind attention; in a parallel layer w->dx stays as it is.
static bool feed_part_back(struct example *x, uint32_t i, struct scratch *w) {
    const struct host_layer *l = &x->t->layers[i];
    struct kept *k = &x->kept[i];
    bool parallel = l->l->plan.parallel, own = !parallel || l->mlp.w;
    if (l->l->plan.feed == FEED_NONE) return true;
    join_back(x, &l->mlp_post, &k->mlp_joint, w->dx, w, w->dbranch);
    if (!feed_back(x, i, k->normed_mlp, w->dbranch, w, own ? w->dfed : w->dnormed)) return false;
    if (!parallel) enter_back(x, &l->mlp, k->mid, k->saved_mlp, w->dfed, w);
    return true;
}

// w->dx, the gradient by the stream behind a layer, becomes that by the stream in front of it.
static bool layer_back(struct example *x, uint32_t i, struct scratch *w) {
    const struct host_layer *l = &x->t->layers[i];
    struct kept *k = &x->kept[i];
    size_t n = x->rows * x->hidden;
    if (i < x->again && !layer(x, i, w)) return false; // which writes the stream behind it once more, as it is
    step_clear(x, w->dnormed, n);
    step_clear(x, w->dfed, n);
    step_scale(x, l->l->scale, w->dx, w->dx, n);
    if (has_input(l)) {
        join_back(x, &l->input_post, &k->input_joint, w->dx, w, w->dbranch);
        if (!input_back(x, i, w->dbranch, w)) return false;
    }
    if (!feed_part_back(x, i, w)) return false;
    join_back(x, &l->attn_post, &k->attn_joint, w->dx, w, w->dbranch);
    if (!mixer_of(x, i)->back(x, i, k->normed, w->dbranch, w, w->dnormed)) return false;
    if (l->l->plan.parallel && l->mlp.w) enter_back(x, &l->mlp, k->mid, k->saved_mlp, w->dfed, w);
    enter_back(x, &l->attn, k->x, k->saved, w->dnormed, w);
    return true;
}

// ----------------------------------------------------------------------------------------------------- all

bool example_sequence(const struct example *x, size_t i, size_t *first, size_t *n) {
    const struct trainee *t = x->t;
    size_t count = t->n_starts ? t->n_starts : 1;
    if (i >= count) return false;
    *first = t->n_starts ? t->starts[i] : 0;
    *n = (i + 1 < count ? t->starts[i + 1] : x->rows) - *first;
    return true;
}

// In each sequence positions begin anew: from the last on, as what is copied from must not be changed yet.
static void restart(const struct example *x, float *table, size_t each) {
    for (size_t i = x->t->n_starts, first, n; i-- > 1;)
        if (example_sequence(x, i, &first, &n)) memmove(table + first * each, table, n * each * sizeof *table);
}

static bool make_table(struct example *x, const struct rope *rope, const float *factors, float **table) {
    size_t pairs = rope->dim / 2;
    float by, *frequency = malloc((pairs + 1) * sizeof *frequency);
    *table = malloc((x->rows * pairs * 2 + 1) * sizeof **table);
    bool ok = frequency && *table;
    if (ok) {
        rope_angles(rope, false, factors, frequency, &by);
        rope_table(*table, x->rows, pairs, frequency, by);
        restart(x, *table, pairs * 2);
    }
    free(frequency);
    return ok || fail_memory(x->e, "training");
}

static bool make_positions(struct example *x) {
    const struct model *m = x->t->m;
    const struct hyperparameters *h = &m->h;
    if (m->family->positions == POSITIONS_ROTARY &&
        (!make_table(x, &h->rope, m->rope_factors[0], &x->angles[0]) ||
         (m->family->rope.local && !make_table(x, &h->local_rope, NULL, &x->angles[1]))))
        return false;
    if (!h->temper_every) return true;
    if (!(x->temper = malloc((x->rows + 1) * sizeof *x->temper))) return fail_memory(x->e, "training");
    for (size_t r = 0; r < x->rows; r++)
        x->temper[r] = (float)(1 + h->temper * rope_ln(1 + (double)((r + 1) / h->temper_every)));
    restart(x, x->temper, 1);
    return true;
}

static size_t widest(const struct example *x) {
    size_t most = x->hidden > inputs_widest(x) ? x->hidden : inputs_widest(x);
    for (uint32_t i = 0; i < x->t->m->h.layers; i++) {
        size_t attends = mixer_of(x, i)->widest(x, i), feeds = feed_widest(x, i);
        most = attends > most ? attends : most;
        most = feeds > most ? feeds : most;
    }
    return most;
}

// What the first layer reads: rows of a table, where they are trained those of its numbers.
static void rows_of(const struct example *x, const struct weight *table, const int32_t *ids, size_t rows, float *out) {
    const struct whole *whole = x->t->whole;
    embed_forward(whole ? TYPE_F32 : table->type, whole ? whole_at(whole, table->data) : table->data, x->hidden, ids,
                  rows, out);
}

static void begin(struct example *x, const int32_t *ids, float *some) {
    const struct model *m = x->t->m;
    size_t n = x->rows * x->hidden;
    float *stream = x->kept[0].x;
    rows_of(x, &m->embedding, ids, x->rows, stream);
    step_scale(x, m->h.embed_scale, stream, stream, n);
    for (size_t i = 0, first, rows; m->positions.rows && example_sequence(x, i, &first, &rows); i++)
        for (int32_t at = 0; (size_t)at < rows; at++) {
            float *row = stream + (first + (size_t)at) * x->hidden;
            rows_of(x, &m->positions, &at, 1, some);
            for (size_t k = 0; k < x->hidden; k++) row[k] += some[k];
        }
    if (!x->t->embed.w) return;
    memcpy(some, stream, n * sizeof *some);
    step_norm(x, &x->t->embed, some, stream, x->kept[0].saved);
}

// There is a way back from there only where all weights are trained, and then a norm is not among what is read.
static void begin_back(struct example *x, const int32_t *ids, float *dx) {
    const struct model *m = x->t->m;
    for (size_t i = 0, first, rows; m->positions.rows && example_sequence(x, i, &first, &rows); i++)
        for (int32_t at = 0; (size_t)at < rows; at++)
            whole_embed(x->t->whole, &m->positions, &at, 1, dx + (first + (size_t)at) * x->hidden, x->gradients);
    step_scale(x, m->h.embed_scale, dx, dx, x->rows * x->hidden);
    whole_embed(x->t->whole, &m->embedding, ids, x->rows, dx, x->gradients);
}

static bool walk(struct example *x, const int32_t *ids, const float *weight, float by, struct told *told,
                 struct scratch *w) {
    uint32_t layers = x->t->m->h.layers;
    const struct host_norm *final = &x->t->final;
    struct kept *k = &x->kept[layers];
    struct ending g = {ids, weight, by, k->normed, x->gradients ? w->dnormed : NULL, told};
    if (x->t->whole) whole_refresh(x->t->whole);
    begin(x, ids, w->some);
    if (!inputs_run(x, ids, w)) return false;
    for (uint32_t i = 0; i < layers; i++)
        if (!layer(x, i, w)) return false;
    if (final->w) step_norm(x, final, k->x, k->normed, k->saved);
    if (x->t->last) return end_last(x, k->normed + (x->rows - 1) * x->hidden);
    if (!end_all(x, &g)) return false;
    if (!x->gradients) return true;
    memset(w->dx, 0, x->rows * x->hidden * sizeof *w->dx);
    enter_back(x, final, k->x, k->saved, w->dnormed, w);
    attend_clear_lent(x);
    for (uint32_t i = layers; i--;)
        if (!layer_back(x, i, w)) return false;
    if (!inputs_back(x, ids, w)) return false;
    if (x->t->whole) begin_back(x, ids, w->dx);
    return true;
}

static bool any_beside(const struct example *x) {
    for (uint32_t i = 0; i < x->t->m->h.layers; i++) {
        const struct layer_plan *p = &x->t->layers[i].l->plan;
        if ((p->attends && p->recurs) || p->feed == FEED_BOTH) return true;
    }
    return false;
}

// Everything is laid out twice: to know how much it is, and in that memory.
static void lay_out_all(struct example *x, struct scratch *w) {
    uint32_t layers = x->t->m->h.layers;
    size_t wide = x->rows * widest(x);
    float **all[] = {&w->a, &w->b, &w->c, &w->d, &w->e, &w->f, &w->some, &w->dx, &w->dnormed, &w->dfed, &w->dbranch};
    struct kept *k = &x->kept[layers];
    x->used = 0;
    for (uint32_t i = 0; i <= layers; i++) x->kept[i].x = example_room(x, x->rows * x->hidden);
    attend_lay_out_lent(x);
    inputs_lay_out(x);
    indexer_lay_out(x);
    size_t shared = x->used, end = shared;
    for (uint32_t i = 0; i < layers; i++) {
        x->used = i < x->again ? shared : end;
        lay_out(x, i);
        end = x->used > end ? x->used : end;
    }
    x->used = end;
    k->normed = x->t->final.w ? example_room(x, x->rows * x->hidden) : k->x;
    k->saved = example_room(x, 2 * x->rows);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) *all[i] = example_room(x, i < 7 ? wide : x->rows * x->hidden);
    for (int i = 0; i < 3; i++) w->beside[i] = example_room(x, any_beside(x) ? x->rows * x->hidden : 0);
    const struct recurrence *r = &x->t->m->h.recurrence;
    const size_t state[4] = {(size_t)r->groups * r->size, (size_t)r->groups * r->size, r->steps, r->heads};
    for (int i = 0; i < 4; i++) w->state[i] = example_room(x, x->t->m->h.state_layers ? x->rows * state[i] : 0);
    x->end = example_room(x, end_floats(x));
    x->room = example_room(x, linear_floats(x->rows, SIZE_MAX));
}

// As few layers are computed again as need be; without a way back nothing is kept for it.
static void choose_again(struct example *x, bool back, struct scratch *w) {
    uint32_t layers = x->t->m->h.layers;
    x->again = back ? 0 : layers;
    lay_out_all(x, w);
    while (x->t->most && x->used > x->t->most && x->again < layers) {
        x->again++;
        lay_out_all(x, w);
    }
}

void trainee_bound(struct trainee *t, size_t bytes) { t->most = bytes / sizeof(float); }

void trainee_expect(struct trainee *t, size_t n) { t->expected = trainee_bytes(t, n, NULL) / sizeof(float); }

size_t trainee_bytes(const struct trainee *t, size_t n, uint32_t *again) {
    struct kept *kept = calloc(t->m->h.layers + 1, sizeof *kept);
    struct example x = {.t = (struct trainee *)(uintptr_t)t, .rows = n, .hidden = t->m->h.hidden, .kept = kept};
    struct scratch w;
    if (!kept) return 0;
    choose_again(&x, true, &w);
    if (again) *again = x.again;
    free(kept);
    return x.used * sizeof(float);
}

// The memory of an example is kept for the next one: pages that are new each time cost a tenth of the work.
static bool have_room(struct trainee *t, size_t n) {
    if (n <= t->room_n) return true;
    card_memory_free(t->card, t->room);
    if (n < t->expected) n = t->expected;
    t->room_n = 0;
    t->room = card_memory(t->card, n + 1);
    if (t->room) t->room_n = n;
    return t->room;
}

static bool check(const struct trainee *t, const int32_t *ids, size_t n, gyr_error *e) {
    const struct model *m = t->m;
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || (uint32_t)ids[i] >= m->h.vocab)
            return fail(e, GYR_USAGE, "%s: token %d: ids are 0 to %u", m->checkpoint->path, ids[i], m->h.vocab - 1);
    return n <= m->h.context || fail(e, GYR_TOO_LONG, "%s: an example of %zu tokens; the model was trained for %u",
                                     m->checkpoint->path, n, m->h.context);
}

bool trainee_example(struct trainee *t, const float *numbers, const int32_t *ids, const float *weight, size_t n,
                     float by, struct told *told, float *gradients, gyr_error *e) {
    struct example x = {
        .t = t, .numbers = numbers, .gradients = gradients, .rows = n, .hidden = t->m->h.hidden, .e = e};
    struct scratch w;
    *told = (struct told){0};
    if (n < 2 && !t->last) return true;
    if (!check(t, ids, n, e)) return false;
    x.kept = calloc(t->m->h.layers + 1, sizeof *x.kept);
    bool ok = (x.kept || fail_memory(e, "training")) && make_positions(&x);
    if (ok) {
        choose_again(&x, gradients, &w);
        ok = have_room(t, x.used) || fail_memory(e, "training");
        x.memory = t->room;
    }
    if (ok) {
        lay_out_all(&x, &w);
        ok = walk(&x, ids, weight, by, told, &w);
    }
    free(x.angles[0]);
    free(x.angles[1]);
    free(x.temper);
    free(x.kept);
    return ok;
}
