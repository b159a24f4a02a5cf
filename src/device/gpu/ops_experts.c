// Mixtures of experts on a card. Which experts rows go to is known there alone, so a product is launched for all places
// at once, and each finds its expert's matrix in a table.
#include <stdlib.h>
#include <string.h>

#include "device/gpu/work.h"

void work_route(struct device *d, const struct route *r) {
    struct route_args a = {.logits = r->logits,
                           .shift = r->shift,
                           .own_scale = r->own_scale,
                           .expert = r->expert,
                           .weight = r->weight,
                           .score = r->work,
                           .worth = r->work + r->rows * r->experts,
                           .kind = r->score == ROUTE_SOFTMAX  ? 0
                                   : r->score == ROUTE_CHOSEN ? 1
                                                              : 2,
                           .experts = (uint32_t)r->experts,
                           .used = (uint32_t)r->used,
                           .groups = (uint32_t)r->groups,
                           .groups_used = (uint32_t)r->groups_used,
                           .pairs = r->pairs,
                           .normed = r->normed,
                           .scale = r->scale};
    work_launch(gpu_of(d), "route_rows", r->rows, 1, 1, &a, sizeof a);
}

static const struct linear *linear_of(const struct expert *x, enum expert_part part) {
    return part == PART_GATE ? &x->gate : part == PART_UP ? &x->up : &x->down;
}

static bool fill_table(struct gpu *g, const struct experts *x, struct expert_table *t, struct chosen_matrix *host) {
    for (size_t i = 0; i < x->n; i++) {
        const struct linear *l = linear_of(&x->expert[i], t->part);
        const struct card_weight *w = work_weight(g, &l->w, false);
        if (!w) return false;
        host[i] = (struct chosen_matrix){w->body, w->rest, w->unit, l->bias, l->by, w->type};
        t->has[w->type] = true;
    }
    return true;
}

static struct expert_table *make_table(struct gpu *g, const struct experts *x, enum expert_part part) {
    size_t bytes = x->n * sizeof(struct chosen_matrix);
    struct chosen_matrix *host = malloc(bytes);
    struct expert_table *t = calloc(1, sizeof *t);
    gyr_error e = {0};
    if (host && t) {
        *t = (struct expert_table){g->work->tables, x->expert, part, x->n, gpu_alloc(&g->device, bytes, &e), {false}};
        if (t->there && fill_table(g, x, t, host)) {
            gpu_write(&g->device, t->there, host, bytes);
            free(host);
            return g->work->tables = t;
        }
        if (t->there) gpu_free(&g->device, t->there);
    }
    gpu_fails(g, e.status ? e.status : GYR_NO_MEMORY, "%s", e.status ? e.message : "out of memory: experts");
    free(host);
    free(t);
    return NULL;
}

// The table of a mixture's matrices of one part: made when it is first wanted.
static const struct expert_table *table_of(struct gpu *g, const struct experts *x, enum expert_part part) {
    for (struct expert_table *t = g->work->tables; t; t = t->next)
        if (t->expert == x->expert && t->part == part && t->n == x->n) return t;
    return make_table(g, x, part);
}

void work_tables_free(struct gpu *g) {
    while (g->work->tables) {
        struct expert_table *t = g->work->tables;
        g->work->tables = t->next;
        gpu_free(&g->device, t->there);
        free(t);
    }
}

// y of every place = its expert's matrix times x of the place.
static void multiply(struct gpu *g, const struct experts *x, enum expert_part part, const dint *which, const dfloat *in,
                     dfloat *out) {
    const struct expert_table *t = table_of(g, x, part);
    for (uint32_t type = 0; t && type < TYPE_LIMIT; type++)
        if (t->has[type]) {
            struct weight shape = linear_of(&x->expert[0], part)->w;
            struct choice_of_matrix choice = {t->there, which, type};
            work_chosen_product(g, (enum type)type, &shape, &choice, in, x->rows * x->used, out);
        }
}

// What goes into the last matrices.
static void mix_inner(struct device *d, const struct experts *x, const dint *from, const dint *expert) {
    struct gpu *g = gpu_of(d);
    size_t places = x->rows * x->used;
    d->ops->sum_rows(d, &(struct sum_rows){places, 1, x->hidden, from, x->at_input ? x->by : NULL, x->x, x->gathered});
    multiply(g, x, PART_GATE, expert, x->gathered, x->gated);
    multiply(g, x, PART_UP, expert, x->gathered, x->gated + places * x->wide);
    d->ops->gate(d, &(struct gate){x->activation, places, x->wide, x->wide, x->gated, x->gated + places * x->wide,
                                   x->inner, x->limit, x->alpha});
}

void work_experts(struct device *d, const struct experts *x) {
    struct gpu *g = gpu_of(d);
    size_t places = x->rows * x->used;
    dint *from = x->places, *place = from + places, *end = place + places;
    dint *expert = places ? work_scratch(g, SCRATCH_PLACES, places * sizeof(int32_t)) : NULL;
    if (!expert) return;
    struct places_args a = {x->chosen,        x->weight,         from,          place, end, expert, x->by,
                            (uint32_t)places, (uint32_t)x->used, (uint32_t)x->n};
    bool all = x->step == MIX_ALL;
    if (all || x->step == MIX_INNER) work_launch(g, "sort_places", 1, 1, 1, &a, sizeof a);
    if ((all || x->step == MIX_INNER) && x->wide) mix_inner(d, x, from, expert);
    if (all || x->step == MIX_GIVEN) multiply(g, x, PART_DOWN, expert, x->inner, x->given);
    if (all || x->step == MIX_SUM)
        d->ops->sum_rows(d, &(struct sum_rows){x->rows, x->used, x->hidden, place, x->at_input ? NULL : x->weight,
                                               x->given, x->out});
}
