// An adapter made of numbers in memory.
#include "model/adapt.h"

#include <stdlib.h>
#include <string.h>

// The shapes of all linear maps, by their numbers. free()
static const struct weight **numbered(const struct model *m) {
    const struct weight **all = calloc(m->adaptable + 1, sizeof *all);
    for (uint32_t i = 0; all && i < m->h.layers; i++)
        for (size_t r = 0; r < adapt_roles_n; r++)
            for (uint32_t x = 0; !x || (adapt_of_experts(adapt_roles[r]) && x < m->h.experts); x++) {
                const struct linear *l = adapt_linear(m, &m->layers[i], adapt_roles[r], x);
                if (l) all[l->number] = &l->w;
            }
    return all;
}

static void put(struct adapter *a, const struct adapter_pair_made *p, const struct weight *w, float *at) {
    struct lora *l = &a->of[p->number];
    size_t n = p->rank * w->cols;
    memcpy(at, p->a, n * sizeof *at);
    memcpy(at + n, p->b, w->rows * p->rank * sizeof *at);
    l->a = (struct weight){.type = TYPE_F32, .rows = p->rank, .cols = w->cols, .data = at};
    l->b = (struct weight){.type = TYPE_F32, .rows = w->rows, .cols = p->rank, .data = at + n};
}

struct adapter *adapter_make(const struct model *m, const struct adapter_scaling *scaling,
                             const struct adapter_pair_made *pairs, size_t n, gyr_error *e) {
    struct adapter *a = calloc(1, sizeof *a);
    const struct weight **shapes = numbered(m);
    bool ok = a && shapes && (a->of = calloc(m->adaptable + 1, sizeof *a->of));
    for (size_t i = 0; ok && i < n; i++)
        a->n_numbers += pairs[i].rank * (shapes[pairs[i].number]->cols + shapes[pairs[i].number]->rows);
    ok = ok && (a->experts = calloc(m->h.layers + 1, sizeof *a->experts)) &&
         (a->numbers = malloc((a->n_numbers + 1) * sizeof *a->numbers));
    if (a) a->m = m, a->scaling = *scaling;
    float *at = ok ? a->numbers : NULL;
    for (size_t i = 0; ok && i < n; i++) {
        const struct weight *w = shapes[pairs[i].number];
        put(a, &pairs[i], w, at);
        at += pairs[i].rank * (w->cols + w->rows);
    }
    free(shapes);
    if (ok) return a;
    adapter_free(a);
    return fail_memory(e, "adapter"), NULL;
}
