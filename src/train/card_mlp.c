// An MLP on a card: its maps and its unit, of which nothing but what goes in and what comes out crosses. What its way
// back needs stays there, as long as there is memory for it.
#include "train/card_parts.h"

#include <stdlib.h>

void desk_forget(struct desk *k) {
    for (size_t i = 0; i < k->mlps; i++)
        if (k->mlp[i].at) k->d->ops->free(k->d, k->mlp[i].at);
    free(k->mlp);
    k->mlp = NULL;
    k->mlps = 0;
}

// Where a layer's gates and what they gate are kept; NULL: there is no memory, which is no failure.
static dfloat *keep(struct card *c, struct desk *k, uint32_t layer, size_t floats) {
    gyr_error e;
    if (!k->mlp && (k->mlp = calloc(c->layers, sizeof *k->mlp))) k->mlps = c->layers;
    struct mlp_kept *m = layer < k->mlps ? &k->mlp[layer] : NULL;
    if (!m || floats <= m->floats) return m ? m->at : NULL;
    if (m->at) k->d->ops->free(k->d, m->at);
    *m = (struct mlp_kept){k->d->ops->alloc(k->d, floats * sizeof(float), &e), 0};
    if (m->at) m->floats = floats;
    return m->at;
}

static struct desk *desk_of(const struct card_mlp *m) {
    const struct linear_op *all[] = {&m->up, &m->down, &m->gate};
    for (int i = 0; i < (m->gated ? 3 : 2); i++)
        if (!card_has(all[i]) || all[i]->bound->on != m->up.bound->on) return NULL;
    struct desk *k = card_desk(m->up.card, m->up.bound->on);
    return k && k->d->ops->units ? k : NULL;
}

// Gates, if there are some, and what they gate.
struct pair_there {
    dfloat *gate, *up;
};

static struct pair_there pair_of(const struct card_mlp *m, dfloat *at) {
    size_t n = m->up.rows * m->up.out;
    return (struct pair_there){m->gated ? at + n : NULL, at};
}

static struct units units_of(const struct card_mlp *m, struct pair_there p, dfloat *y) {
    return (struct units){.unit = m->unit, .n = m->up.rows * m->up.out, .gate = p.gate, .up = p.up, .y = y};
}

static void forward(struct desk *k, const struct card_mlp *m, struct pair_there p, const float *in, float *out) {
    size_t rows = m->up.rows;
    const dfloat *x = desk_read(k, in, rows * m->up.in);
    dfloat *inner = desk_take(k, rows * m->up.out), *y = desk_take(k, rows * m->down.out);
    struct units u = units_of(m, p, inner);
    if (!x || !inner || !y) return;
    if ((m->gated && !desk_map(k, &m->gate, x, p.gate, m->kept_gate)) || !desk_map(k, &m->up, x, p.up, m->kept_up))
        return;
    k->d->ops->units(k->d, &u);
    if (desk_map(k, &m->down, inner, y, m->kept_down)) k->d->ops->read(k->d, out, y, rows * m->down.out * sizeof *out);
}

bool card_mlp(const struct card_mlp *m, uint32_t layer, const float *in, float *out) {
    struct desk *k = desk_of(m);
    dfloat *at = k ? keep(m->up.card, k, layer, (m->gated ? 2 : 1) * m->up.rows * m->up.out) : NULL;
    if (!at) return false;
    m->up.card->pool = m->up.pool;
    forward(k, m, pair_of(m, at), in, out);
    return desk_end(m->up.card, k);
}

static struct asked back_of(const struct linear_op *o, const float *kept, float *da, float *db) {
    return (struct asked){.o = *o, .saved = kept, .da = da, .db = db};
}

static void backward(struct desk *k, const struct card_mlp *m, struct pair_there p, const float *in, const float *dout,
                     float *dx) {
    size_t rows = m->up.rows, wide = rows * m->up.out, n = rows * m->up.in;
    struct asked down = back_of(&m->down, m->kept_down, m->da[MLP_DOWN], m->db[MLP_DOWN]),
                 up = back_of(&m->up, m->kept_up, m->da[MLP_UP], m->db[MLP_UP]),
                 gate = back_of(&m->gate, m->kept_gate, m->da[MLP_GATE], m->db[MLP_GATE]);
    const dfloat *x = desk_read(k, in, n), *dy = desk_read(k, dout, rows * m->down.out);
    dfloat *inner = desk_take(k, wide), *dgate = desk_take(k, wide), *dup = desk_take(k, wide),
           *all = desk_sum(k, dx, n), *one;
    if (!x || !dy || !inner || !dgate || !dup || !all) return;
    struct units u = units_of(m, p, inner);
    k->d->ops->units(k->d, &u);
    if (!(one = desk_map_back(k, &down, inner, dy)) || !(one = desk_onto_zeros(k, one, rows, m->up.out))) return;
    u.dy = one, u.dgate = dgate, u.dup = dup;
    k->d->ops->units(k->d, &u);
    if (m->gated) {
        if (!(one = desk_map_back(k, &gate, x, dgate))) return;
        k->d->ops->add(k->d, all, one, n);
    }
    if ((one = desk_map_back(k, &up, x, dup))) k->d->ops->add(k->d, all, one, n);
}

bool card_mlp_back(const struct card_mlp *m, uint32_t layer, const float *in, const float *dout, float *dx) {
    struct desk *k = desk_of(m);
    if (!k || layer >= k->mlps || !k->mlp[layer].at) return false;
    m->up.card->pool = m->up.pool;
    backward(k, m, pair_of(m, k->mlp[layer].at), in, dout, dx);
    return desk_end(m->up.card, k);
}
