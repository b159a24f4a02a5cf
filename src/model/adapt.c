// What adapters add in a pass (Hu et al., 2021).
#include "model/adapt.h"
#include "model/forward.h"

#include <stdlib.h>

// Scratch: of many rows at a time, where ranks are as usual.
enum { ENOUGH = 1 << 20 };

bool run_adapt(struct run *r, const struct view *rows, gyr_error *e) {
    struct device *d = r->d;
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

// The rows of one span, or a part of them, and what is added to a matrix's products for them.
struct piece {
    const struct lora *lora;
    const dfloat *x;
    dfloat *y, *wide, *narrow;
    size_t rows;
};

// Pieces whose products are asked for together: none waits for another, and a batch of many adapters is many small
// ones.
enum { PIECES = 128 };

struct pieces {
    struct piece list[PIECES];
    size_t n;
    size_t wide, narrow; // floats of scratch that they take
};

static bool follows(const struct piece *p, const dfloat *end, size_t out) {
    return p->y == end && p->lora->b.rows == out;
}

// What pieces that lie side by side add, at once.
static void add_all(struct pass *p, const struct pieces *s) {
    for (size_t i = 0, n; i < s->n; i += n) {
        const struct piece *first = &s->list[i];
        size_t out = first->lora->b.rows, rows = first->rows;
        for (n = 1; i + n < s->n && follows(&s->list[i + n], first->y + rows * out, out); n++)
            rows += s->list[i + n].rows;
        p->ops->add(p->d, first->y, first->wide, rows * out);
    }
}

// y += b (a x), of each piece.
static void flush(struct pass *p, struct pieces *s) {
    struct product a[PIECES], b[PIECES];
    dfloat *wide = p->run->adapt_work, *narrow = wide + s->wide;
    for (size_t i = 0; i < s->n; i++) {
        struct piece *at = &s->list[i];
        at->wide = wide;
        at->narrow = narrow;
        wide += at->rows * at->lora->b.rows;
        narrow += at->rows * at->lora->a.rows;
        a[i] = (struct product){&at->lora->a, at->x, at->rows, NULL, at->narrow};
        b[i] = (struct product){&at->lora->b, at->narrow, at->rows, NULL, at->wide};
    }
    if (!s->n) return;
    p->ops->products(p->d, a, s->n);
    p->ops->products(p->d, b, s->n);
    add_all(p, s);
    s->n = s->wide = s->narrow = 0;
}

static void take(struct pass *p, struct pieces *s, const struct lora *l, size_t rows, const dfloat *x, dfloat *y) {
    size_t rank = l->a.rows, in = l->a.cols, out = l->b.rows;
    for (size_t r = 0, some; r < rows; r += some) {
        size_t left = (p->run->adapt_room - s->wide - s->narrow) / (rank + out);
        if (s->n == PIECES || !left) flush(p, s);
        if (!left) left = p->run->adapt_room / (rank + out);
        some = rows - r < left ? rows - r : left;
        s->list[s->n++] = (struct piece){.lora = l, .x = x + r * in, .y = y + r * out, .rows = some};
        s->wide += some * out;
        s->narrow += some * rank;
    }
}

// Rows of a span that one thread may as well do alone.
enum { FEW = 8 };

static bool are_few(const struct pass *p, const struct adapted *list, size_t n) {
    bool few = p->ops->adapt;
    for (size_t i = 0; few && i < p->rows->n_spans; i++) {
        const struct span *at = &p->rows->spans[i];
        for (size_t k = 0; few && k < n; k++)
            few = at->n <= FEW && adapt_floats(&at->adapter->of[list[k].number], at->n) <= p->run->adapt_room;
    }
    return few;
}

// Spans of few rows: each is one task of the device's. All that a span adds follows each other, as it lies in memory.
static void adapt_few(struct pass *p, const struct adapted *list, size_t n, const dfloat *x) {
    struct adapting some[PIECES];
    size_t used = 0, count = 0;
    for (size_t i = 0; i < p->rows->n_spans; i++)
        for (size_t k = 0; k < n; k++) {
            const struct span *at = &p->rows->spans[i];
            const struct lora *l = &at->adapter->of[list[k].number];
            size_t floats = adapt_floats(l, at->n);
            if (!list[k].number || !l->a.rows) continue;
            if (count == PIECES || used + floats > p->run->adapt_room) {
                p->ops->adapt(p->d, some, count);
                used = count = 0;
            }
            some[count++] = (struct adapting){l, x + at->first * l->a.cols, at->n, list[k].y + at->first * l->b.rows,
                                              p->run->adapt_work + used};
            used += floats;
        }
    if (count) p->ops->adapt(p->d, some, count);
}

void forward_adapt(struct pass *p, const struct adapted *list, size_t n, const dfloat *x) {
    struct pieces s;
    s.n = s.wide = s.narrow = 0;
    if (are_few(p, list, n)) {
        adapt_few(p, list, n, x);
        return;
    }
    for (size_t k = 0; k < n; k++) {
        for (size_t i = 0; list[k].number && i < p->rows->n_spans; i++) {
            const struct span *at = &p->rows->spans[i];
            const struct lora *l = &at->adapter->of[list[k].number];
            if (l->a.rows) take(p, &s, l, at->n, x + at->first * l->a.cols, list[k].y + at->first * l->b.rows);
        }
    }
    flush(p, &s);
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
