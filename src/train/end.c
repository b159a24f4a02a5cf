// The end of an example's way: the output matrix and the loss, of the rows whose next token is learned.
#include "train/example.h"
#include "train/whole.h"

#include <string.h>

// Rows at a time: the matrix is decoded again for each piece, but its logits are to take little memory.
enum { FEWEST = 64, SOME = 256, LOGITS = 16 << 20 };

static size_t some_rows(const struct example *x) {
    size_t n = LOGITS / (x->t->m->h.vocab + (size_t)1);
    return n < FEWEST ? FEWEST : n > SOME ? SOME : n;
}

// Room for some rows and what becomes of them. Gradients by what the matrix gave take the logits' place, but for capped
// ones, which are wanted until the end.
struct piece {
    size_t row[SOME], n;
    int32_t target[SOME];
    float weight[SOME];
    float *x, *dx, *logits, *d;
};

struct losses {
    const struct hyperparameters *h;
    const struct ending *g;
    struct piece *p;
    double loss[SOME];
    bool right[SOME];
};

// Whether the target's logit is the largest, and the first of those as large.
static bool finds(const float *row, size_t vocab, int32_t target) {
    size_t t = (size_t)target, above = 0;
    for (size_t i = 0; i < t; i++) above += row[i] >= row[t];
    for (size_t i = t + 1; i < vocab; i++) above += row[i] > row[t];
    return !above;
}

static void scale(float *x, size_t n, float by) {
    for (size_t i = 0; by != 1 && i < n; i++) x[i] *= by;
}

// A row's logits, scaled and capped as the model's are, its loss, and the gradient by what the matrix gave.
static void loss_task(void *arg, size_t r) {
    struct losses *l = arg;
    const struct hyperparameters *h = l->h;
    struct piece *p = l->p;
    size_t n = h->vocab;
    float *logits = p->logits + r * n, *d = p->d + r * n;
    scale(logits, n, h->logit_scale);
    if (h->logit_cap > 0) cap_forward(n, h->logit_cap, logits);
    l->right[r] = finds(logits, n, p->target[r]);
    l->loss[r] = cross_entropy(1, n, logits, &p->target[r], &p->weight[r], l->g->by, d);
    if (h->logit_cap > 0) cap_backward(n, h->logit_cap, logits, d);
    scale(d, n, h->logit_scale);
}

static struct linear_op output_op(const struct example *x, size_t rows) {
    const struct model *m = x->t->m;
    struct linear_op o = {.pool = x->t->pool,
                          .rows = rows,
                          .in = x->hidden,
                          .out = m->h.vocab,
                          .type = m->output.type,
                          .w = m->output.data,
                          .bias = x->t->output_bias,
                          .room = x->room,
                          .shorts = x->t->shorts};
    if (x->t->whole)
        whole_take(x->t->whole, &o);
    else
        o.card = x->t->card, o.bound = &m->output;
    return o;
}

bool end_last(struct example *x, const float *normed) {
    const struct hyperparameters *h = &x->t->m->h;
    struct linear_op o = output_op(x, 1);
    if (!linear_forward(&o, normed, x->t->last, NULL, x->e)) return false;
    scale(x->t->last, h->vocab, h->logit_scale);
    if (h->logit_cap > 0) cap_forward(h->vocab, h->logit_cap, x->t->last);
    return true;
}

static bool end_piece(struct example *x, const struct ending *g, struct piece *p) {
    const struct model *m = x->t->m;
    size_t dim = x->hidden;
    struct linear_op o = output_op(x, p->n);
    for (size_t i = 0; i < p->n; i++) memcpy(p->x + i * dim, g->normed + p->row[i] * dim, dim * sizeof *p->x);
    if (!linear_forward(&o, p->x, p->logits, NULL, x->e)) return false;
    struct losses l = {.h = &m->h, .g = g, .p = p};
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

static bool capped(const struct example *x) { return x->t->m->h.logit_cap > 0; }

size_t end_floats(const struct example *x) {
    return some_rows(x) * (2 * x->hidden + (capped(x) ? 2 : 1) * (size_t)x->t->m->h.vocab);
}

bool end_all(struct example *x, const struct ending *g) {
    size_t some = some_rows(x), logits = some * x->t->m->h.vocab, rows = some * x->hidden;
    struct piece p = {.x = x->end};
    bool ok = true;
    p.dx = p.x + rows, p.logits = p.dx + rows, p.d = p.logits + (capped(x) ? logits : 0);
    if (g->dx) memset(g->dx, 0, x->rows * x->hidden * sizeof *g->dx);
    for (size_t r = 0; ok && r + 1 < x->rows; r++) {
        if (g->weight[r] == 0) continue;
        p.row[p.n] = r;
        p.weight[p.n] = g->weight[r];
        p.target[p.n++] = g->ids[r + 1];
        if (p.n < some) continue;
        ok = end_piece(x, g, &p);
        p.n = 0;
    }
    return ok && (!p.n || end_piece(x, g, &p));
}
