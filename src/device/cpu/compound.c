// Operations made of others: a product for each head, and mixtures of experts.
#include "device/cpu/cpu.h"

#include <string.h>

// Linear maps that do not wait for each other, to be computed together.
struct linears {
    struct device *d;
    struct product list[16];
    float by[16];
    size_t n;
};

static void compute(struct linears *m) {
    cpu_products(m->d, m->list, m->n);
    for (size_t i = 0; i < m->n; i++)
        if (m->by[i] != 1) cpu_scale(m->d, m->list[i].y, m->by[i], m->list[i].rows * m->list[i].w->rows);
    m->n = 0;
}

static void linear(struct linears *m, const struct linear *l, const float *x, size_t rows, float *y) {
    if (m->n == sizeof m->by / sizeof *m->by) compute(m);
    m->list[m->n] = (struct product){&l->w, x, rows, l->bias, y};
    m->by[m->n++] = l->by;
}

void cpu_head_products(struct device *d, const struct head_products *a) {
    struct linears all = {.d = d};
    for (size_t h = 0; h < a->heads; h++) {
        const struct linear *l = &a->w[h];
        const float *from = a->x + h * a->x_step;
        float *to = a->y + h * a->y_step;
        size_t in = l->w.cols, out = l->w.rows;
        if (a->rows == 1) {
            linear(&all, l, from, 1, to);
            continue;
        }
        float *x = a->work, *y = x + a->rows * in;
        cpu_move(d, from, a->x_row, x, in, a->rows, in);
        linear(&all, l, x, a->rows, y);
        compute(&all);
        cpu_move(d, y, out, to, a->y_row, a->rows, out);
    }
    compute(&all);
}

// Rows gathered by expert, so that an expert's matrices are read once a batch. What a row gets is summed in the order
// of its own choice, so that it does not depend on who else was there.
struct sorted {
    int32_t *from, *place; // [places]: which row a place reads; [rows][used]: which place a choice has
    int32_t *start;        // [n]: where an expert's places end, and the next one's begin
};

// Places of an expert lie side by side, in the order of rows.
static struct sorted sort(const struct experts *a) {
    size_t places = a->rows * a->used;
    struct sorted s = {a->places, a->places + places, a->places + 2 * places};
    memset(s.start, 0, a->n * sizeof *s.start);
    for (size_t i = 0; i < places; i++) s.start[a->chosen[i]]++;
    for (size_t e = 0, sum = 0, here; e < a->n; e++, sum += here) {
        here = (size_t)s.start[e];
        s.start[e] = (int32_t)sum;
    }
    for (size_t i = 0; i < places; i++) {
        s.place[i] = s.start[a->chosen[i]]++;
        s.from[s.place[i]] = (int32_t)(i / a->used);
        a->by[s.place[i]] = a->weight[i];
    }
    return s;
}

// The places of expert e: the first, and how many.
static size_t places_of(const struct sorted *s, size_t e, size_t *first) {
    *first = e ? (size_t)s->start[e - 1] : 0;
    return (size_t)s->start[e] - *first;
}

// y += b (a x), as many rows at a time as there is scratch for.
static void adapt(struct device *d, const struct experts *a, const struct lora *add, const float *x, size_t rows,
                  float *y) {
    size_t rank = add->a.rows, in = add->a.cols, out = add->b.rows, most = rank ? a->lora_room / (rank + out) : 0;
    for (size_t r = 0, n; rank && r < rows; r += n) {
        n = rows - r < most ? rows - r : most;
        float *wide = a->lora_work + n * rank;
        cpu_matmul(d, &add->a, x + r * in, n, NULL, a->lora_work);
        cpu_matmul(d, &add->b, a->lora_work, n, NULL, wide);
        d->ops->add(d, y + r * out, wide, n * out);
    }
}

void cpu_experts(struct device *d, const struct experts *a) {
    size_t places = a->rows * a->used, first, rows;
    struct sorted s = sort(a);
    struct linears all = {.d = d};
    cpu_sum_rows(d, &(struct sum_rows){places, 1, a->hidden, s.from, a->at_input ? a->by : NULL, a->x, a->gathered});
    for (size_t e = 0; e < a->n; e++) {
        if (!(rows = places_of(&s, e, &first))) continue;
        const float *x = a->gathered + first * a->hidden;
        linear(&all, &a->expert[e].gate, x, rows, a->gated + first * a->wide);
        linear(&all, &a->expert[e].up, x, rows, a->gated + (places + first) * a->wide);
    }
    compute(&all);
    for (size_t e = 0; a->lora && e < a->n; e++) {
        rows = places_of(&s, e, &first);
        const float *x = a->gathered + first * a->hidden;
        adapt(d, a, &a->lora[3 * e], x, rows, a->gated + first * a->wide);
        adapt(d, a, &a->lora[3 * e + 1], x, rows, a->gated + (places + first) * a->wide);
    }
    cpu_gate(d, &(struct gate){a->activation, places, a->wide, a->wide, a->gated, a->gated + places * a->wide, a->inner,
                               a->limit, a->alpha});
    for (size_t e = 0; e < a->n; e++)
        if ((rows = places_of(&s, e, &first)))
            linear(&all, &a->expert[e].down, a->inner + first * a->wide, rows, a->given + first * a->hidden);
    compute(&all);
    for (size_t e = 0; a->lora && e < a->n; e++) {
        rows = places_of(&s, e, &first);
        adapt(d, a, &a->lora[3 * e + 2], a->inner + first * a->wide, rows, a->given + first * a->hidden);
    }
    cpu_sum_rows(
        d, &(struct sum_rows){a->rows, a->used, a->hidden, s.place, a->at_input ? NULL : a->weight, a->given, a->out});
}
