// An adapter made of numbers in memory.
#include "model/adapt.h"

#include <stdlib.h>
#include <string.h>

// The shape of a linear map, by its number.
static const struct weight *numbered(const struct model *m, uint32_t number) {
    for (uint32_t i = 0; i < m->h.layers; i++)
        for (size_t r = 0; r < adapt_roles_n; r++) {
            const struct linear *l = adapt_linear(&m->layers[i], &m->h, adapt_roles[r], 0);
            if (l && l->number == number) return &l->w;
        }
    return NULL;
}

static void put(struct adapter *a, const struct adapter_pair_made *p, const struct weight *w, float *at) {
    struct lora *l = &a->of[p->number];
    size_t n = p->rank * w->cols, out = w->rows * p->rank;
    memcpy(at, p->a, n * sizeof *at);
    for (size_t i = 0; i < out; i++) at[n + i] = p->scale * p->b[i];
    l->a = (struct weight){.type = TYPE_F32, .rows = p->rank, .cols = w->cols, .data = at};
    l->b = (struct weight){.type = TYPE_F32, .rows = w->rows, .cols = p->rank, .data = at + n};
}

struct adapter *adapter_make(const struct model *m, const struct adapter_pair_made *pairs, size_t n, gyr_error *e) {
    struct adapter *a = calloc(1, sizeof *a);
    const struct weight **shapes = calloc(n + 1, sizeof *shapes);
    bool ok = a && shapes && (a->of = calloc(m->adaptable + 1, sizeof *a->of));
    for (size_t i = 0; ok && i < n; i++) {
        if (!(shapes[i] = numbered(m, pairs[i].number))) continue;
        a->n_numbers += pairs[i].rank * (shapes[i]->cols + shapes[i]->rows);
    }
    ok = ok && (a->experts = calloc(m->h.layers + 1, sizeof *a->experts)) &&
         (a->numbers = malloc((a->n_numbers + 1) * sizeof *a->numbers));
    if (a) a->m = m;
    float *at = ok ? a->numbers : NULL;
    for (size_t i = 0; ok && i < n; i++) {
        if (!shapes[i]) continue;
        put(a, &pairs[i], shapes[i], at);
        at += pairs[i].rank * (shapes[i]->cols + shapes[i]->rows);
    }
    free(shapes);
    if (ok) return a;
    adapter_free(a);
    return fail_memory(e, "adapter"), NULL;
}
