// The pass through a text that is longer than a batch and whose tokens see each other. Keys and values of all of it
// must be there before a layer attends to them, so the text goes through each layer twice, in pieces as large as a
// batch: once for its keys and values, and once for what is made of them. What is kept of a row between the pieces is
// its stream and its queries.
#include "model/forward.h"

struct piece {
    struct pass p;
    struct activations a;
    struct view rows;
};

static size_t query_floats(const struct model *m) {
    size_t most = 0;
    for (uint32_t i = 0; i < m->h.layers; i++) {
        size_t n = (size_t)m->h.heads * m->layers[i].plan.heads.head_dim;
        most = n > most ? n : most;
    }
    return most;
}

static bool make_room(struct run *r, size_t rows, gyr_error *e) {
    struct device *d = r->d;
    size_t room = r->whole_rows ? r->whole_rows : r->a->rows;
    if (rows <= r->whole_rows) return true;
    while (room < rows) room *= 2;
    dfloat *whole = d->ops->alloc(d, room * (r->m->h.hidden + query_floats(r->m)) * sizeof(float), e);
    if (!whole) return false;
    if (r->whole) d->ops->free(d, r->whole);
    r->whole = whole;
    r->whole_rows = room;
    return true;
}

// The rows from `first` on, as many as a batch has.
static struct pass *piece(struct piece *at, const struct pass *all, size_t first) {
    const struct run *r = all->run;
    const struct model *m = all->m;
    size_t left = all->n - first, most = r->a->rows;
    *at = (struct piece){*all, *r->a, all->what.all};
    at->a.x = r->whole + first * m->h.hidden;
    at->a.q = r->whole + r->whole_rows * m->h.hidden + first * query_floats(m);
    at->rows.at.row += first;
    if (at->rows.angles) at->rows.angles += first * m->h.rope.dim;
    if (at->rows.local) at->rows.local += first * m->h.local_rope.dim;
    at->p.what.tokens += first;
    at->p.what.positions += first;
    if (at->p.what.types) at->p.what.types += first;
    at->p.a = &at->a;
    at->p.rows = &at->rows;
    at->p.n = left < most ? left : most;
    return &at->p;
}

static void layer(const struct pass *all, const struct layer *l) {
    struct piece at;
    for (size_t i = 0; i < all->n; i += at.p.n) {
        struct pass *p = piece(&at, all, i);
        forward_remember(p, l, input(p, &l->attn_norm));
    }
    for (size_t i = 0; i < all->n; i += at.p.n) {
        struct pass *p = piece(&at, all, i);
        forward_attend(p, l);
        forward_rest(p, l, NULL);
    }
}

// What is wanted, as many rows at a time as there is room for.
static void give(const struct pass *all, float *out) {
    const struct model *m = all->m;
    size_t most = run_wanted(all->run, all->gives), width = all->gives == GIVES_STATES ? m->h.hidden : m->h.vocab;
    for (size_t i = 0, n; i < all->what.wanted; i += n) {
        struct pass p = *all;
        n = p.n = all->what.wanted - i < most ? all->what.wanted - i : most;
        p.ops->sum_rows(p.d,
                        &(struct sum_rows){n, 1, m->h.hidden, all->what.chosen + i, NULL, all->run->whole, p.a->x});
        forward_give(&p, out + i * width);
    }
}

bool forward_whole(const struct pass *all, struct run *r, float *out, gyr_error *e) {
    struct piece at;
    if (!make_room(r, all->n, e)) return false;
    for (size_t i = 0; i < all->n; i += at.p.n) forward_embed(piece(&at, all, i));
    for (uint32_t i = 0; i < all->m->h.layers; i++) layer(all, &all->m->layers[i]);
    give(all, out);
    return true;
}
