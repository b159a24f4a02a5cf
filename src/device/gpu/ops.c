// The operations of device.h as launches of kernels: this file has those that need no thought. Others: ops_*.c.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/gpu/record.h"
#include "device/gpu/work.h"

// Blocks along y and z; elements of which a thread takes some; bytes of the host's that a kernel fetches.
enum { MOST_BLOCKS = 65535, MANY_ELEMENTS = 1 << 17, FETCHED = 64 << 10 };

void work_launch(struct gpu *g, const char *kernel, size_t x, size_t y, size_t z, const void *args, size_t size) {
    unsigned room = g->work ? g->work->room : 0;
    if (g->work) g->work->room = 0;
    if (!x || !y || !z) return;
    if (x > INT32_MAX || y > MOST_BLOCKS || z > MOST_BLOCKS) {
        gpu_fails(g, GYR_UNSUPPORTED, "%s: %zu x %zu x %zu blocks of threads are more than a card takes", kernel, x, y,
                  z);
        return;
    }
    work_launches(g);
    struct launch l = {kernel, {(unsigned)x, (unsigned)y, (unsigned)z}, {THREADS, 1, 1}, room, args, size};
    gpu_launch(g, &l, NULL);
}

void work_room(struct gpu *g, size_t bytes) {
    if (work_begin(g)) g->work->room = (uint32_t)bytes;
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

// Of few rows, how many blocks have one: each sums all of it, and has a share of the rest. Not where others still read
// what it writes.
static size_t shares(const struct gpu *g, const dfloat *x, const dfloat *y, size_t rows, size_t dim) {
    size_t most = work_blocks(dim, 4 * THREADS), apart = x > y ? (size_t)(x - y) : (size_t)(y - x);
    size_t processors = g->chip.processors > 0 ? (size_t)g->chip.processors : 1, n = processors / (rows + !rows);
    if (n < 1 || apart < rows * dim) n = 1;
    return n < most ? n : most;
}

static void norm(struct device *d, enum norm_kind kind, const dfloat *x, const dfloat *w, size_t parts, const dfloat *b,
                 float eps, size_t rows, size_t dim, dfloat *y) {
    struct gpu *g = gpu_of(d);
    size_t n = shares(g, x, y, rows, dim), each = work_blocks(dim, 4 * THREADS * n) * 4 * THREADS;
    n = work_blocks(dim, each);
    struct norm_rounded_args a = {{x, w, b, y, (uint32_t)dim, (uint32_t)parts, kind == NORM_LAYER, eps, (uint32_t)each},
                                  {NULL, NULL, NULL, 0, 0, 0}};
    struct rounded *r = work_round_along(g, y, rows, dim, 0);
    work_writes(g, y, rows * dim * sizeof(float));
    if (!r) {
        work_launch(g, "norm_rows", rows, n, 1, &a.norm, sizeof a.norm);
        return;
    }
    a.round = r->args;
    work_launch(g, "norm_rounded", rows, n, 1, &a, sizeof a);
    r->good = true;
}

static void unary(struct device *d, enum unary_kind kind, enum activation activation, dfloat *x, float by, size_t n) {
    struct unary_args a = {x, n, kind, activation, by};
    work_writes(gpu_of(d), x, n * sizeof(float));
    bool many = n > MANY_ELEMENTS;
    work_launch(gpu_of(d), many ? "unary_some" : "unary", work_blocks(n, THREADS * (many ? SOME : 1)), 1, 1, &a,
                sizeof a);
}

static void activate(struct device *d, enum activation kind, dfloat *x, size_t n) {
    struct gpu *g = gpu_of(d);
    struct rounded *r = work_round_along(g, x, 0, n, 0);
    if (!r) {
        unary(d, UNARY_ACTIVATE, kind, x, 0, n);
        return;
    }
    struct activate_rounded_args a = {x, r->args, kind};
    work_writes(g, x, n * sizeof(float));
    work_launch(g, "activate_rounded", n / r->form.cols, work_blocks(r->form.cols, THREADS), 1, &a, sizeof a);
    r->good = true;
}
static void scale(struct device *d, dfloat *x, float by, size_t n) { unary(d, UNARY_SCALE, ACT_GELU, x, by, n); }
static void clamp(struct device *d, dfloat *x, float most, size_t n) { unary(d, UNARY_CLAMP, ACT_GELU, x, most, n); }
static void cap(struct device *d, dfloat *x, float most, size_t n) { unary(d, UNARY_CAP, ACT_GELU, x, most, n); }

void work_is_product(struct gpu *g, const dfloat *y, size_t n, size_t plus) {
    g->work->last = (struct last_product){y, n, plus};
}

// By the product that makes y, if its launch was the last one and is not yet on its way.
static bool add_by_product(struct gpu *g, dfloat *x, const dfloat *y, size_t n) {
    struct last_product *last = g->work ? &g->work->last : NULL;
    if (!last || last->y != y || last->n != n || (size_t)(x > y ? x - y : y - x) < n) return false;
    uint8_t *args = gpu_record_last(g);
    if (!args) return false;
    memcpy(args + last->plus, &x, sizeof x);
    *last = (struct last_product){NULL, 0, 0};
    work_wrote(g, x, n * sizeof(float));
    return true;
}

static void add(struct device *d, dfloat *x, const dfloat *y, size_t n) {
    if (add_by_product(gpu_of(d), x, y, n)) return;
    struct add_args a = {x, y, n};
    work_writes(gpu_of(d), x, n * sizeof(float));
    bool many = n > MANY_ELEMENTS;
    work_launch(gpu_of(d), many ? "add_some" : "add_to", work_blocks(n, THREADS * (many ? SOME : 1)), 1, 1, &a,
                sizeof a);
}

static void move(struct device *d, const dfloat *x, size_t x_row, dfloat *y, size_t y_row, size_t rows, size_t n) {
    if (rows == 1 && work_blocks(n, THREADS) > MOST_BLOCKS) {
        d->ops->copy(d, y, x, n * sizeof(float));
        return;
    }
    struct move_args a = {x, y, x_row, y_row, n};
    work_writes(gpu_of(d), y, rows ? ((rows - 1) * y_row + n) * sizeof(float) : 0);
    work_launch(gpu_of(d), "move_rows", rows, work_blocks(n, THREADS), 1, &a, sizeof a);
}

static void gate(struct device *d, const struct gate *x) {
    struct gpu *g = gpu_of(d);
    struct gate_rounded_args a = {{x->gate, x->up, x->out, x->stride, x->n, x->activation, x->limit, x->alpha},
                                  {NULL, NULL, NULL, 0, 0, 0}};
    struct rounded *r = work_round_along(g, x->out, x->rows, x->n, 0);
    work_writes(g, x->out, x->rows * x->n * sizeof(float));
    if (!r) {
        work_launch(g, "gate_rows", x->rows, work_blocks(x->n, THREADS), 1, &a.gate, sizeof a.gate);
        return;
    }
    a.round = r->args;
    work_launch(g, "gate_rounded", x->rows, work_blocks(x->n, THREADS), 1, &a, sizeof a);
    r->good = true;
}

static void sum_rows(struct device *d, const struct sum_rows *s) {
    struct sum_rows_args a = {s->from, s->by, s->x, s->out, s->dim, (uint32_t)s->n};
    work_writes(gpu_of(d), s->out, s->rows * s->dim * sizeof(float));
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

// What the card's memory holds changes by these, too.

// What is small a kernel fetches from the host's memory, as a launch among others: the engines that copy and those that
// compute wait for each other through the host's bus, which takes longer than such a copy.
static bool written_by_kernel(struct gpu *g, dword *dst, const void *src, size_t bytes) {
    size_t n = bytes / sizeof(float);
    if (bytes > FETCHED || !n || bytes % sizeof(float) || (uintptr_t)dst % sizeof(float) || !gpu_has(g, "move_rows"))
        return false;
    uint8_t *from = gpu_stage(g, bytes);
    if (!from) return true; // which sync() will say
    memcpy(from, src, bytes);
    gpu_staged(g, from, bytes);
    struct move_args a = {(const dfloat *)(const void *)from, (dfloat *)(void *)dst, n, n, n};
    work_writes(g, dst, bytes);
    work_launch(g, "move_rows", 1, work_blocks(n, THREADS), 1, &a, sizeof a);
    return true;
}

static void write_there(struct device *d, void *dst, const void *src, size_t bytes) {
    work_wrote(gpu_of(d), dst, bytes);
    if (!written_by_kernel(gpu_of(d), dst, src, bytes)) gpu_write(d, dst, src, bytes);
}

static void copy_there(struct device *d, void *dst, const void *src, size_t bytes) {
    work_wrote(gpu_of(d), dst, bytes);
    gpu_copy(d, dst, src, bytes);
}

static void free_there(struct device *d, void *p) {
    work_wrote_anything(gpu_of(d));
    gpu_free(d, p);
}

static bool sync_all(struct device *d, gyr_error *e) {
    work_step_ends(gpu_of(d));
    return gpu_sync(d, e);
}

void gpu_operations(struct device_ops *ops) {
    ops->sync = sync_all;
    ops->free = free_there;
    ops->write = write_there;
    ops->copy = copy_there;
    ops->form = 1;
    ops->rows = 256;
    ops->mixes_in_steps = true;
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
    ops->sums = work_sums;
    ops->causal = work_causal;
    ops->units = work_units;
    ops->causal_floats = work_causal_floats;
}
