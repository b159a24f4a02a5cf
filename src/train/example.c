// An example's way through the model and back: forward() keeps what each step's gradient needs, and backward() is the
// same list of steps from its end.
#include "device/rope.h"
#include "train/trainee_parts.h"
#include "train/whole.h"

#include <stdlib.h>
#include <string.h>

// What is kept of a layer. Streams and norms are [rows][hidden]; fused: queries, keys and values as the matrix gives
// them.
struct kept {
    float *x, *normed, *mid, *normed_mlp, *saved, *saved_mlp;
    float *fused, *q, *k, *v, *mixed, *sums;
    float *gate, *up, *inner; // gate and up lie as their matrix gives them, where it is one
    float *narrow[SLOTS];
};

struct example {
    struct trainee *t;
    const float *numbers;
    float *gradients, *angles;
    size_t rows, hidden;
    struct kept *kept;   // [layers + 1]: the last has the end's stream
    float *memory, *end; // end: for the rows that are learned, some at a time
    size_t used;
    gyr_error *e;
};

static float *room(struct example *x, size_t n) {
    float *at = x->memory ? x->memory + x->used : NULL;
    x->used += n;
    return at;
}

// ------------------------------------------------------------------------------------------------- shapes

struct shape {
    size_t q, kv, dim, wide, groups;
};

static struct shape shape_of(const struct example *x, const struct host_layer *l) {
    const struct layer_plan *p = &l->l->plan;
    size_t dim = p->heads.head_dim;
    return (struct shape){x->t->m->h.heads * dim, p->heads.kv_heads * dim, dim, p->feed_forward, p->heads.kv_heads};
}

static void lay_out(struct example *x, uint32_t i) {
    const struct host_layer *l = &x->t->layers[i];
    struct shape s = shape_of(x, l);
    struct kept *k = &x->kept[i];
    bool gated = l->l->gate.w.rows || l->l->gate_up.w.rows;
    size_t n = x->rows, stream = n * x->hidden;
    const struct {
        float **to;
        size_t n;
    } parts[] = {{&k->x, stream},
                 {&k->normed, stream},
                 {&k->mid, stream},
                 {&k->normed_mlp, stream},
                 {&k->saved, 2 * n},
                 {&k->saved_mlp, 2 * n},
                 {&k->fused, l->l->qkv.w.rows ? n * (s.q + 2 * s.kv) : 0},
                 {&k->q, n * s.q},
                 {&k->k, n * s.kv},
                 {&k->v, n * s.kv},
                 {&k->mixed, n * s.q},
                 {&k->sums, n * x->t->m->h.heads},
                 {&k->gate, gated ? n * s.wide : 0},
                 {&k->up, n * s.wide},
                 {&k->inner, n * s.wide}};
    for (size_t p = 0; p < sizeof parts / sizeof *parts; p++) *parts[p].to = room(x, parts[p].n);
    for (int slot = 0; slot < SLOTS; slot++) k->narrow[slot] = room(x, n * l->pair[slot].rank);
}

// ------------------------------------------------------------------------------------------ steps and back

static struct linear_op linear_op(const struct example *x, const struct host_layer *l, enum slot slot) {
    const struct linear *of = trainee_linear(l->l, slot);
    const struct trained *p = &l->pair[slot];
    struct linear_op o = {.pool = x->t->pool,
                          .rows = x->rows,
                          .in = of->w.cols,
                          .out = of->w.rows,
                          .rank = p->rank,
                          .type = of->w.type,
                          .w = of->w.data,
                          .bias = l->bias[slot],
                          .a = x->numbers + p->a,
                          .b = x->numbers + p->b,
                          .scale = p->scale};
    if (x->t->whole) whole_take(x->t->whole, &o);
    return o;
}

static bool linear(struct example *x, uint32_t i, enum slot slot, const float *in, float *out) {
    struct linear_op o = linear_op(x, &x->t->layers[i], slot);
    return linear_forward(&o, in, out, x->kept[i].narrow[slot], x->e);
}

// dx += the gradient by what went in; `some` is scratch as large.
static bool linear_back(struct example *x, uint32_t i, enum slot slot, const float *in, const float *dout, float *some,
                        float *dx) {
    struct linear_op o = linear_op(x, &x->t->layers[i], slot);
    const struct trained *p = &x->t->layers[i].pair[slot];
    if (!linear_backward(&o, in, x->kept[i].narrow[slot], dout, some, x->gradients + p->a, x->gradients + p->b, x->e))
        return false;
    if (x->t->whole && !whole_linear(x->t->whole, &o, in, dout, x->gradients, x->e)) return false;
    for (size_t k = 0; k < o.rows * o.in; k++) dx[k] += some[k];
    return true;
}

// What is done to each row alone, some rows to a task.
enum { ROWS = 16 };

struct by_rows {
    const struct example *x;
    const struct host_norm *norm;
    const float *in, *saved, *dout, *gate, *up;
    float *out, *made, *dx, *dgate, *dup;
    size_t wide;
};

static size_t rows_of(const struct by_rows *w, size_t task) {
    size_t left = w->x->rows - task * ROWS;
    return left < ROWS ? left : ROWS;
}

static void run_rows(const struct example *x, void (*fn)(void *arg, size_t i), struct by_rows *w) {
    w->x = x;
    pool_run(x->t->pool, (x->rows + ROWS - 1) / ROWS, fn, w);
}

static struct norm_op norm_op(const struct by_rows *w, size_t task) {
    const struct host_norm *n = w->norm;
    return (struct norm_op){n->mean, rows_of(w, task), w->x->hidden, n->eps, n->w, n->b};
}

static void norm_task(void *arg, size_t task) {
    const struct by_rows *w = arg;
    struct norm_op o = norm_op(w, task);
    size_t at = task * ROWS * o.dim;
    norm_forward(&o, w->in + at, w->out + at, w->made + 2 * task * ROWS);
}

static void norm(const struct example *x, const struct host_norm *n, const float *in, float *out, float *saved) {
    run_rows(x, norm_task, &(struct by_rows){.norm = n, .in = in, .out = out, .made = saved});
}

static void norm_back_task(void *arg, size_t task) {
    const struct by_rows *w = arg;
    struct norm_op o = norm_op(w, task);
    size_t at = task * ROWS * o.dim;
    norm_backward(&o, w->in + at, w->saved + 2 * task * ROWS, w->dout + at, w->out + at, NULL, NULL);
    for (size_t k = at; k < at + o.rows * o.dim; k++) w->dx[k] += w->out[k];
}

// dx += the gradient by the norm's input.
static void norm_back(const struct example *x, const struct host_norm *n, const float *in, const float *saved,
                      const float *dout, float *some, float *dx) {
    run_rows(x, norm_back_task,
             &(struct by_rows){.norm = n, .in = in, .saved = saved, .dout = dout, .out = some, .dx = dx});
    if (x->t->whole) whole_norm(x->t->whole, x->t->pool, n, x->rows, x->hidden, in, saved, dout, x->gradients);
}

// An MLP's activation, gated where there is a gate.
static void activate_task(void *arg, size_t task) {
    const struct by_rows *w = arg;
    size_t at = task * ROWS * w->wide, n = rows_of(w, task) * w->wide;
    if (w->gate)
        gated_forward(w->x->t->unit, n, w->gate + at, w->up + at, w->out + at);
    else
        unit_forward(w->x->t->unit, n, w->up + at, w->out + at);
}

static void activate_back_task(void *arg, size_t task) {
    const struct by_rows *w = arg;
    size_t at = task * ROWS * w->wide, n = rows_of(w, task) * w->wide;
    if (w->gate)
        gated_backward(w->x->t->unit, n, w->gate + at, w->up + at, w->dout + at, w->dgate + at, w->dup + at);
    else
        unit_backward(w->x->t->unit, n, w->up + at, w->dout + at, w->dup + at);
}

static void add(float *x, const float *y, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] += y[i];
}

// Queries, keys and values out of the matrix's rows, or their gradients back into them.
static void part(const struct example *x, const struct shape *s, float *fused, float *q, float *k, float *v,
                 bool back) {
    size_t groups = x->t->m->grouped ? s->groups : 1, all = s->q + 2 * s->kv;
    const struct {
        float *x;
        size_t n, first;
    } parts[] = {
        {q, s->q / groups, 0}, {k, s->kv / groups, s->q / groups}, {v, s->kv / groups, (s->q + s->kv) / groups}};
    for (size_t r = 0; r < x->rows; r++)
        for (size_t g = 0; g < groups; g++)
            for (int p = 0; p < 3; p++) {
                float *one = parts[p].x + (r * groups + g) * parts[p].n,
                      *in = fused + r * all + g * (all / groups) + parts[p].first;
                memcpy(back ? in : one, back ? one : in, parts[p].n * sizeof *in);
            }
}

static struct rope_op rope_op(const struct example *x, const struct host_layer *l, size_t heads) {
    const struct layer_plan *p = &l->l->plan;
    return (struct rope_op){x->rows,  heads, p->heads.head_dim, p->rotary_dim, x->t->m->pairs == PAIRS_ADJACENT,
                            x->angles};
}

static struct attention_op attention_op(const struct example *x, const struct host_layer *l) {
    const struct layer_plan *p = &l->l->plan;
    return (struct attention_op){x->t->pool,        x->rows,   x->t->m->h.heads,     p->heads.kv_heads,
                                 p->heads.head_dim, p->window, x->t->m->h.attn_scale};
}

// The sequences of an example: rows [first, first + a->rows) of sequence i. False past the last.
static bool sequence(const struct example *x, size_t i, struct attention_op *a, size_t *first) {
    const struct trainee *t = x->t;
    size_t n = t->n_starts ? t->n_starts : 1;
    if (i >= n) return false;
    *first = t->n_starts ? t->starts[i] : 0;
    a->rows = (i + 1 < n ? t->starts[i + 1] : x->rows) - *first;
    return true;
}

static bool mix(const struct example *x, const struct host_layer *l, struct kept *k) {
    struct attention_op a = attention_op(x, l);
    size_t q = a.heads * a.dim, kv = a.kv_heads * a.dim;
    for (size_t i = 0, at; sequence(x, i, &a, &at); i++)
        if (!attention_forward(&a, k->q + at * q, k->k + at * kv, k->v + at * kv, k->mixed + at * q,
                               k->sums + at * a.heads, x->e))
            return false;
    return true;
}

static bool mix_back(const struct example *x, const struct host_layer *l, struct kept *k, const float *dy, float *dq,
                     float *dk, float *dv) {
    struct attention_op a = attention_op(x, l);
    size_t q = a.heads * a.dim, kv = a.kv_heads * a.dim;
    for (size_t i = 0, at; sequence(x, i, &a, &at); i++)
        if (!attention_backward(&a, k->q + at * q, k->k + at * kv, k->v + at * kv, k->mixed + at * q,
                                k->sums + at * a.heads, dy + at * q, dq + at * q, dk + at * kv, dv + at * kv, x->e))
            return false;
    return true;
}

static bool attend(struct example *x, uint32_t i, float *out) {
    const struct host_layer *l = &x->t->layers[i];
    struct kept *k = &x->kept[i];
    struct shape s = shape_of(x, l);
    struct attention_op a = attention_op(x, l);
    struct rope_op of_q = rope_op(x, l, a.heads), of_k = rope_op(x, l, a.kv_heads);
    norm(x, &l->attn, k->x, k->normed, k->saved);
    bool ok = l->l->qkv.w.rows ? linear(x, i, SLOT_QKV, k->normed, k->fused)
                               : linear(x, i, SLOT_Q, k->normed, k->q) && linear(x, i, SLOT_K, k->normed, k->k) &&
                                     linear(x, i, SLOT_V, k->normed, k->v);
    if (!ok) return false;
    if (l->l->qkv.w.rows) part(x, &s, k->fused, k->q, k->k, k->v, false);
    rope_forward(&of_q, k->q);
    rope_forward(&of_k, k->k);
    return mix(x, l, k) && linear(x, i, SLOT_OUT, k->mixed, out);
}

// The MLP of what k->normed_mlp has.
static bool feed(struct example *x, uint32_t i, const float *in, float *out) {
    const struct host_layer *l = &x->t->layers[i];
    struct kept *k = &x->kept[i];
    size_t wide = shape_of(x, l).wide, n = x->rows * wide;
    bool ok = true;
    if (l->l->gate_up.w.rows) {
        float *both = malloc(2 * n * sizeof *both);
        ok = (both || fail_memory(x->e, "training")) && linear(x, i, SLOT_GATE_UP, in, both);
        for (size_t r = 0; ok && r < x->rows; r++) {
            memcpy(k->gate + r * wide, both + r * 2 * wide, wide * sizeof *both);
            memcpy(k->up + r * wide, both + (r * 2 + 1) * wide, wide * sizeof *both);
        }
        free(both);
    } else
        ok = (!l->l->gate.w.rows || linear(x, i, SLOT_GATE, in, k->gate)) && linear(x, i, SLOT_UP, in, k->up);
    if (!ok) return false;
    bool gated = l->l->gate.w.rows || l->l->gate_up.w.rows;
    run_rows(x, activate_task,
             &(struct by_rows){.gate = gated ? k->gate : NULL, .up = k->up, .out = k->inner, .wide = wide});
    return linear(x, i, SLOT_DOWN, k->inner, out);
}

// The stream behind a layer is the next one's.
static bool layer(struct example *x, uint32_t i, float *branch) {
    const struct host_layer *l = &x->t->layers[i];
    struct kept *k = &x->kept[i];
    size_t n = x->rows * x->hidden;
    bool parallel = l->l->plan.parallel;
    float *next = x->kept[i + 1].x;
    if (!attend(x, i, branch)) return false;
    memcpy(k->mid, k->x, n * sizeof *next);
    if (!parallel) add(k->mid, branch, n);
    memcpy(next, k->x, n * sizeof *next);
    add(next, branch, n);
    const float *in = k->normed;
    if (l->mlp.w) {
        norm(x, &l->mlp, k->mid, k->normed_mlp, k->saved_mlp);
        in = k->normed_mlp;
    }
    if (!feed(x, i, in, branch)) return false;
    add(next, branch, n);
    return true;
}

// ---------------------------------------------------------------------------------------------------- back

// Scratch of the way back, each as large as the widest thing of a row.
struct scratch {
    float *a, *b, *c, *d, *e, *some;
};

// dx += the gradient by what the MLP read; dy is that of what it gave.
static bool feed_back(struct example *x, uint32_t i, const float *in, const float *dy, struct scratch *w, float *dx) {
    const struct host_layer *l = &x->t->layers[i];
    struct kept *k = &x->kept[i];
    size_t wide = shape_of(x, l).wide, n = x->rows * wide;
    memset(w->a, 0, n * sizeof *w->a);
    if (!linear_back(x, i, SLOT_DOWN, k->inner, dy, w->some, w->a)) return false;
    bool gated = l->l->gate.w.rows || l->l->gate_up.w.rows;
    run_rows(x, activate_back_task,
             &(struct by_rows){
                 .gate = gated ? k->gate : NULL, .up = k->up, .dout = w->a, .dgate = w->b, .dup = w->c, .wide = wide});
    if (!gated) return linear_back(x, i, SLOT_UP, in, w->c, w->some, dx);
    if (l->l->gate.w.rows)
        return linear_back(x, i, SLOT_GATE, in, w->b, w->some, dx) && linear_back(x, i, SLOT_UP, in, w->c, w->some, dx);
    for (size_t r = 0; r < x->rows; r++) {
        memcpy(w->d + r * 2 * wide, w->b + r * wide, wide * sizeof *w->d);
        memcpy(w->d + (r * 2 + 1) * wide, w->c + r * wide, wide * sizeof *w->d);
    }
    return linear_back(x, i, SLOT_GATE_UP, in, w->d, w->some, dx);
}

// dx += the gradient by attention's normed input.
static bool attend_back(struct example *x, uint32_t i, const float *dy, struct scratch *w, float *dx) {
    const struct host_layer *l = &x->t->layers[i];
    struct kept *k = &x->kept[i];
    struct shape s = shape_of(x, l);
    struct attention_op a = attention_op(x, l);
    struct rope_op of_q = rope_op(x, l, a.heads), of_k = rope_op(x, l, a.kv_heads);
    memset(w->a, 0, x->rows * s.q * sizeof *w->a);
    if (!linear_back(x, i, SLOT_OUT, k->mixed, dy, w->some, w->a) || !mix_back(x, l, k, w->a, w->b, w->c, w->d))
        return false;
    rope_backward(&of_q, w->b);
    rope_backward(&of_k, w->c);
    if (!l->l->qkv.w.rows)
        return linear_back(x, i, SLOT_Q, k->normed, w->b, w->some, dx) &&
               linear_back(x, i, SLOT_K, k->normed, w->c, w->some, dx) &&
               linear_back(x, i, SLOT_V, k->normed, w->d, w->some, dx);
    part(x, &s, w->e, w->b, w->c, w->d, true);
    return linear_back(x, i, SLOT_QKV, k->normed, w->e, w->some, dx);
}

// dx, the gradient by the stream behind a layer, becomes that by the stream in front of it.
static bool layer_back(struct example *x, uint32_t i, struct scratch *w, float *dx, float *dnormed, float *dmlp) {
    const struct host_layer *l = &x->t->layers[i];
    struct kept *k = &x->kept[i];
    size_t bytes = x->rows * x->hidden * sizeof *dx;
    bool own = l->mlp.w;
    memset(dnormed, 0, bytes);
    memset(dmlp, 0, bytes);
    if (!feed_back(x, i, own ? k->normed_mlp : k->normed, dx, w, own ? dmlp : dnormed)) return false;
    if (l->l->plan.parallel) {
        if (!attend_back(x, i, dx, w, dnormed)) return false;
        if (own) norm_back(x, &l->mlp, k->mid, k->saved_mlp, dmlp, w->some, dx);
    } else {
        norm_back(x, &l->mlp, k->mid, k->saved_mlp, dmlp, w->some, dx);
        if (!attend_back(x, i, dx, w, dnormed)) return false;
    }
    norm_back(x, &l->attn, k->x, k->saved, dnormed, w->some, dx);
    return true;
}

// ----------------------------------------------------------------------------------------------------- all

// The rows whose next token is learned: the output matrix and the loss are for these alone, some at a time. dx is the
// gradient by what the final norm gives; NULL: it is not wanted.
struct ending {
    const int32_t *ids;
    const float *weight;
    float by;
    const float *normed;
    float *dx;
    struct told *told;
};

enum { SOME = 64 };

// Room for some rows and what becomes of them.
struct piece {
    size_t row[SOME], n;
    int32_t target[SOME];
    float weight[SOME];
    float *x, *dx, *logits, *d;
};

static bool finds(const float *row, size_t vocab, int32_t target) {
    size_t best = 0;
    for (size_t i = 1; i < vocab; i++)
        if (row[i] > row[best]) best = i;
    return (int32_t)best == target;
}

struct losses {
    const struct ending *g;
    struct piece *p;
    size_t vocab;
    double loss[SOME];
    bool right[SOME];
};

static void loss_task(void *arg, size_t r) {
    struct losses *l = arg;
    struct piece *p = l->p;
    size_t at = r * l->vocab;
    l->loss[r] = cross_entropy(1, l->vocab, p->logits + at, &p->target[r], &p->weight[r], l->g->by, p->d + at);
    l->right[r] = finds(p->logits + at, l->vocab, p->target[r]);
}

static bool end_piece(struct example *x, const struct ending *g, struct piece *p) {
    const struct model *m = x->t->m;
    size_t vocab = m->h.vocab, dim = x->hidden;
    struct linear_op o = {.pool = x->t->pool,
                          .rows = p->n,
                          .in = dim,
                          .out = vocab,
                          .type = m->output.type,
                          .w = m->output.data,
                          .bias = x->t->output_bias};
    if (x->t->whole) whole_take(x->t->whole, &o);
    for (size_t i = 0; i < p->n; i++) memcpy(p->x + i * dim, g->normed + p->row[i] * dim, dim * sizeof *p->x);
    if (!linear_forward(&o, p->x, p->logits, NULL, x->e)) return false;
    struct losses l = {.g = g, .p = p, .vocab = vocab};
    pool_run(x->t->pool, p->n, loss_task, &l);
    for (size_t i = 0; i < p->n; i++) {
        g->told->loss += l.loss[i];
        g->told->right += l.right[i] ? (double)p->weight[i] : 0;
    }
    if (!g->dx) return true;
    if (!linear_backward(&o, p->x, NULL, p->d, p->dx, NULL, NULL, x->e)) return false;
    for (size_t i = 0; i < p->n; i++) memcpy(g->dx + p->row[i] * dim, p->dx + i * dim, dim * sizeof *p->dx);
    return !x->t->whole || whole_linear(x->t->whole, &o, p->x, p->d, x->gradients, x->e);
}

static size_t end_floats(const struct example *x) { return 2 * SOME * (x->hidden + (size_t)x->t->m->h.vocab); }

static bool end(struct example *x, const struct ending *g) {
    size_t logits = SOME * (size_t)x->t->m->h.vocab, rows = SOME * x->hidden;
    struct piece p = {.x = x->end};
    bool ok = true;
    p.dx = p.x + rows, p.logits = p.dx + rows, p.d = p.logits + logits;
    if (g->dx) memset(g->dx, 0, x->rows * x->hidden * sizeof *g->dx);
    for (size_t r = 0; ok && r + 1 < x->rows; r++) {
        if (g->weight[r] == 0) continue;
        p.row[p.n] = r;
        p.weight[p.n] = g->weight[r];
        p.target[p.n++] = g->ids[r + 1];
        if (p.n < SOME) continue;
        ok = end_piece(x, g, &p);
        p.n = 0;
    }
    return ok && (!p.n || end_piece(x, g, &p));
}

static bool make_angles(struct example *x) {
    const struct model *m = x->t->m;
    size_t pairs = m->h.rope.dim / 2;
    float scale, *frequency = malloc((pairs + 1) * sizeof *frequency);
    x->angles = malloc((x->rows * pairs * 2 + 1) * sizeof *x->angles);
    if (frequency && x->angles) {
        rope_angles(&m->h.rope, false, m->rope_factors[0], frequency, &scale);
        rope_table(x->angles, x->rows, pairs, frequency, scale);
        // In each sequence they begin anew: from the last, as what is copied from must not be changed yet.
        for (size_t i = x->t->n_starts, end = x->rows; i-- > 1; end = x->t->starts[i]) {
            size_t at = x->t->starts[i];
            memmove(x->angles + at * pairs * 2, x->angles, (end - at) * pairs * 2 * sizeof *x->angles);
        }
    }
    free(frequency);
    return (frequency && x->angles) || fail_memory(x->e, "training");
}

static size_t widest(const struct example *x) {
    size_t most = x->hidden;
    for (uint32_t i = 0; i < x->t->m->h.layers; i++) {
        struct shape s = shape_of(x, &x->t->layers[i]);
        most = s.q + 2 * s.kv > most ? s.q + 2 * s.kv : most;
        most = 2 * s.wide > most ? 2 * s.wide : most;
    }
    return most;
}

static void begin(const struct example *x, const int32_t *ids) {
    const struct weight *table = &x->t->m->embedding;
    bool whole = x->t->whole;
    const void *data = whole ? whole_at(x->t->whole, table->data) : table->data;
    embed_forward(whole ? TYPE_F32 : table->type, data, x->hidden, ids, x->rows, x->kept[0].x);
}

static bool last_logits(const struct example *x, const float *normed) {
    const struct weight *output = &x->t->m->output;
    struct linear_op o = {.pool = x->t->pool,
                          .rows = 1,
                          .in = x->hidden,
                          .out = x->t->m->h.vocab,
                          .type = output->type,
                          .w = output->data,
                          .bias = x->t->output_bias};
    if (x->t->whole) whole_take(x->t->whole, &o);
    return linear_forward(&o, normed, x->t->last, NULL, x->e);
}

static bool walk(struct example *x, const int32_t *ids, const float *weight, float by, struct told *told,
                 float *own[9]) {
    const struct model *m = x->t->m;
    uint32_t layers = m->h.layers;
    float *stream = x->kept[layers].x, *saved = x->kept[layers].saved, *normed = x->kept[layers].normed;
    struct scratch w = {own[0], own[1], own[2], own[3], own[4], own[5]};
    float *dx = own[6], *dnormed = own[7], *dmlp = own[8];
    struct ending g = {ids, weight, by, normed, x->gradients ? dnormed : NULL, told};
    begin(x, ids);
    for (uint32_t i = 0; i < layers; i++)
        if (!layer(x, i, own[0])) return false;
    norm(x, &x->t->final, stream, normed, saved);
    if (x->t->last) return last_logits(x, normed + (x->rows - 1) * x->hidden);
    if (!end(x, &g)) return false;
    if (!x->gradients) return true;
    memset(dx, 0, x->rows * x->hidden * sizeof *dx);
    norm_back(x, &x->t->final, stream, saved, dnormed, w.some, dx);
    for (uint32_t i = layers; i--;)
        if (!layer_back(x, i, &w, dx, dnormed, dmlp)) return false;
    if (x->t->whole) whole_embed(x->t->whole, ids, x->rows, dx, x->gradients);
    return true;
}

// Everything is laid out twice: to know how much it is, and in that memory.
static void lay_out_all(struct example *x, float *own[9]) {
    uint32_t layers = x->t->m->h.layers;
    x->used = 0;
    for (uint32_t i = 0; i < layers; i++) lay_out(x, i);
    x->kept[layers].x = room(x, x->rows * x->hidden);
    x->kept[layers].normed = room(x, x->rows * x->hidden);
    x->kept[layers].saved = room(x, 2 * x->rows);
    for (int i = 0; i < 9; i++) own[i] = room(x, x->rows * widest(x));
    x->end = room(x, end_floats(x));
}

size_t trainee_bytes(const struct trainee *t, size_t n) {
    struct kept *kept = calloc(t->m->h.layers + 1, sizeof *kept);
    struct example x = {.t = (struct trainee *)(uintptr_t)t, .rows = n, .hidden = t->m->h.hidden, .kept = kept};
    float *own[9];
    if (!kept) return 0;
    lay_out_all(&x, own);
    free(kept);
    return x.used * sizeof(float);
}

// The memory of an example is kept for the next one: pages that are new each time cost a tenth of the work.
static bool have_room(struct trainee *t, size_t n) {
    if (n <= t->room_n) return true;
    free(t->room);
    t->room_n = 0;
    t->room = malloc((n + 1) * sizeof *t->room);
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
    float *own[9];
    *told = (struct told){0};
    if (n < 2 && !t->last) return true;
    if (!check(t, ids, n, e)) return false;
    x.kept = calloc(t->m->h.layers + 1, sizeof *x.kept);
    bool ok = (x.kept || fail_memory(e, "training")) && make_angles(&x);
    if (ok) {
        lay_out_all(&x, own);
        ok = have_room(t, x.used) || fail_memory(e, "training");
        x.memory = t->room;
    }
    if (ok) {
        lay_out_all(&x, own);
        ok = walk(&x, ids, weight, by, told, own);
    }
    free(x.angles);
    free(x.kept);
    return ok;
}
