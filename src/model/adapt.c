// What adapters add in a pass (Hu et al., 2021).
#include "model/adapt.h"
#include "model/forward.h"

#include <stdlib.h>

// Scratch: of many rows at a time, where ranks are as usual.
enum { ENOUGH = 1 << 20 };

bool run_adapt(struct run *r, const struct view *rows, gyr_error *e) {
    struct device *d = r->m->device;
    size_t room = ENOUGH;
    for (size_t i = 0; i < rows->n_spans; i++)
        if (rows->spans[i].adapter->widest > room) room = rows->spans[i].adapter->widest;
    if (!rows->n_spans || room <= r->adapt_room) return true;
    dfloat *work = d->ops->alloc(d, room * sizeof(float), e);
    if (!work) return false;
    if (r->adapt_work) d->ops->free(d, r->adapt_work);
    r->adapt_work = work;
    r->adapt_room = room;
    return true;
}

// y += b (a x), of n rows.
static void add(struct pass *p, const struct lora *l, const dfloat *x, size_t n, dfloat *y) {
    size_t rank = l->a.rows, in = l->a.cols, out = l->b.rows, most = p->run->adapt_room / (rank + out);
    for (size_t r = 0, some; r < n; r += some) {
        some = n - r < most ? n - r : most;
        dfloat *narrow = p->run->adapt_work, *wide = narrow + some * rank;
        p->ops->matmul(p->d, &l->a, x + r * in, some, NULL, narrow);
        p->ops->matmul(p->d, &l->b, narrow, some, NULL, wide);
        p->ops->add(p->d, y + r * out, wide, some * out);
    }
}

void forward_adapt(struct pass *p, uint32_t number, const dfloat *x, dfloat *y) {
    for (size_t i = 0; number && i < p->rows->n_spans; i++) {
        const struct span *s = &p->rows->spans[i];
        const struct lora *l = &s->adapter->of[number];
        if (l->a.rows) add(p, l, x + s->first * l->a.cols, s->n, y + s->first * l->b.rows);
    }
}

// The same experts for a part of the rows.
static void mix(struct pass *p, const struct experts *all, const struct lora *lora, size_t first, size_t n) {
    struct experts some = *all;
    if (!n) return;
    some.rows = n;
    some.chosen += first * all->used;
    some.weight += first * all->used;
    some.x += first * all->hidden;
    some.out += first * all->hidden;
    some.lora = lora;
    some.lora_work = p->run->adapt_work;
    some.lora_room = p->run->adapt_room;
    p->ops->experts(p->d, &some);
}

void forward_mix(struct pass *p, const struct layer *l, const struct experts *all) {
    size_t done = 0;
    for (size_t i = 0; i < p->rows->n_spans; i++) {
        const struct span *s = &p->rows->spans[i];
        if (!s->adapter->experts[l->plan.number]) continue;
        mix(p, all, NULL, done, s->first - done);
        mix(p, all, &s->adapter->of[l->experts[0].gate.number], s->first, s->n);
        done = s->first + s->n;
    }
    mix(p, all, NULL, done, all->rows - done);
}
