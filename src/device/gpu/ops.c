// The operations of device.h as launches of kernels: this file has those that need no thought. Others: ops_*.c.
#include <stdio.h>
#include <stdlib.h>

#include "device/gpu/work.h"

enum { MOST_BLOCKS = 65535, MANY_ELEMENTS = 1 << 17 }; // blocks along y and z; elements of which a thread takes some

void work_launch(struct gpu *g, const char *kernel, size_t x, size_t y, size_t z, const void *args, size_t size) {
    if (!x || !y || !z) return;
    if (x > INT32_MAX || y > MOST_BLOCKS || z > MOST_BLOCKS) {
        gpu_fails(g, GYR_UNSUPPORTED, "%s: %zu x %zu x %zu blocks of threads are more than a card takes", kernel, x, y,
                  z);
        return;
    }
    struct launch l = {kernel, {(unsigned)x, (unsigned)y, (unsigned)z}, {THREADS, 1, 1}, 0, args, size};
    gpu_launch(g, &l, NULL);
}

void work_launch_typed(struct gpu *g, const char *kernel, enum type type, size_t x, size_t y, size_t z,
                       const void *args, size_t size) {
    char name[64];
    snprintf(name, sizeof name, "%s_%s", kernel, type_info(type)->name);
    work_launch(g, name, x, y, z, args, size);
}

bool work_begin(struct gpu *g) {
    if (!g->work) g->work = calloc(1, sizeof *g->work);
    return g->work || gpu_fails(g, GYR_NO_MEMORY, "%s: out of memory", g->name);
}

void *work_scratch(struct gpu *g, int which, size_t bytes) {
    if (!work_begin(g)) return NULL;
    struct gpu_work *work = g->work;
    struct scratch *s = &work->scratch[which];
    gyr_error e;
    if (bytes <= s->bytes) return s->at;
    size_t want = s->bytes * 2 > bytes ? s->bytes * 2 : bytes; // few times, whatever grows by a little
    void *p = work->n_retired < RETIRED ? gpu_alloc(&g->device, want, &e) : NULL;
    if (!p) {
        gpu_fails(g, GYR_NO_MEMORY, "%s: no memory for %zu MiB of work; choose a smaller batch or context", g->name,
                  want >> 20);
        return NULL;
    }
    if (s->at) work->retired[work->n_retired++] = s->at;
    *s = (struct scratch){p, want};
    return p;
}

void gpu_work_free(struct gpu *g) {
    struct gpu_work *work = g->work;
    if (!work) return;
    work_tables_free(g);
    work_weights_free(g);
    for (int i = 0; i < SCRATCHES; i++)
        if (work->scratch[i].at) gpu_free(&g->device, work->scratch[i].at);
    for (size_t i = 0; i < work->n_retired; i++) gpu_free(&g->device, work->retired[i]);
    for (int i = 0; i < TYPE_LIMIT; i++)
        if (work->grid[i]) gpu_free(&g->device, work->grid[i]);
    free(work);
    g->work = NULL;
}

static void norm(struct device *d, enum norm_kind kind, const dfloat *x, const dfloat *w, size_t parts, const dfloat *b,
                 float eps, size_t rows, size_t dim, dfloat *y) {
    struct norm_args a = {x, w, b, y, (uint32_t)dim, (uint32_t)parts, kind == NORM_LAYER, eps};
    work_launch(gpu_of(d), "norm_rows", rows, 1, 1, &a, sizeof a);
}

static void unary(struct device *d, enum unary_kind kind, enum activation activation, dfloat *x, float by, size_t n) {
    struct unary_args a = {x, n, kind, activation, by};
    bool many = n > MANY_ELEMENTS;
    work_launch(gpu_of(d), many ? "unary_some" : "unary", work_blocks(n, THREADS * (many ? SOME : 1)), 1, 1, &a,
                sizeof a);
}

static void activate(struct device *d, enum activation kind, dfloat *x, size_t n) {
    unary(d, UNARY_ACTIVATE, kind, x, 0, n);
}
static void scale(struct device *d, dfloat *x, float by, size_t n) { unary(d, UNARY_SCALE, ACT_GELU, x, by, n); }
static void clamp(struct device *d, dfloat *x, float most, size_t n) { unary(d, UNARY_CLAMP, ACT_GELU, x, most, n); }
static void cap(struct device *d, dfloat *x, float most, size_t n) { unary(d, UNARY_CAP, ACT_GELU, x, most, n); }

static void add(struct device *d, dfloat *x, const dfloat *y, size_t n) {
    struct add_args a = {x, y, n};
    bool many = n > MANY_ELEMENTS;
    work_launch(gpu_of(d), many ? "add_some" : "add_to", work_blocks(n, THREADS * (many ? SOME : 1)), 1, 1, &a,
                sizeof a);
}

static void move(struct device *d, const dfloat *x, size_t x_row, dfloat *y, size_t y_row, size_t rows, size_t n) {
    if (rows == 1 && work_blocks(n, THREADS) > MOST_BLOCKS) {
        gpu_copy(d, y, x, n * sizeof(float));
        return;
    }
    struct move_args a = {x, y, x_row, y_row, n};
    work_launch(gpu_of(d), "move_rows", rows, work_blocks(n, THREADS), 1, &a, sizeof a);
}

static void gate(struct device *d, const struct gate *g) {
    struct gate_args a = {g->gate, g->up, g->out, g->stride, g->n, g->activation, g->limit, g->alpha};
    work_launch(gpu_of(d), "gate_rows", g->rows, work_blocks(g->n, THREADS), 1, &a, sizeof a);
}

static void sum_rows(struct device *d, const struct sum_rows *s) {
    struct sum_rows_args a = {s->from, s->by, s->x, s->out, s->dim, (uint32_t)s->n};
    work_launch(gpu_of(d), "sum_of_rows", s->rows, work_blocks(s->dim, THREADS), 1, &a, sizeof a);
}

static void matmul(struct device *d, const struct weight *w, const dfloat *x, size_t rows, const dfloat *bias,
                   dfloat *y) {
    work_products(d, &(struct product){w, x, rows, bias, y}, 1);
}

// Weights are brought to the card by bind(), and nothing of them is kept in files.
static size_t form_bytes(struct device *d, const struct weight *w) { return 0; }
static bool form_make(struct device *d, struct weight *w) { return true; }
static bool form_take(struct device *d, struct weight *w, const void *form) { return false; }
static bool form_give(struct device *d, const struct weight *w, size_t at, size_t bytes, void *to) { return false; }
static bool form_lock(struct device *d, const struct weight *w) { return true; }

void gpu_operations(struct device_ops *ops) {
    ops->form = 1;
    ops->rows = 256;
    ops->bind = work_weight_bind;
    ops->unbind = work_weight_unbind;
    ops->ready = work_weight_ready;
    ops->form_bytes = form_bytes;
    ops->form_make = form_make;
    ops->form_take = form_take;
    ops->form_give = form_give;
    ops->form_lock = form_lock;
    ops->embed = work_embed;
    ops->norm = norm;
    ops->matmul = matmul;
    ops->products = work_products;
    ops->head_products = work_head_products;
    ops->qkv = work_qkv;
    ops->attention = work_attention;
    ops->choose = work_choose;
    ops->conv = work_conv;
    ops->recur = work_recur;
    ops->route = work_route;
    ops->experts = work_experts;
    ops->activate = activate;
    ops->gate = gate;
    ops->sum_rows = sum_rows;
    ops->add = add;
    ops->move = move;
    ops->scale = scale;
    ops->clamp = clamp;
    ops->cap = cap;
}
