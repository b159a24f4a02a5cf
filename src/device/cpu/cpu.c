// The CPU as a device: its memory, and the operations that need no thought.
#include <stdlib.h>
#include <string.h>

#include "base/pages.h"
#include "device/cpu/cpu.h"
#include "device/cpu/tile.h"

// Elements of a task: ELEMENTS, or fewer where there are not enough for all threads, but no fewer than are worth a
// thread's coming: LIGHT of operations that wait for memory, HEAVY of others.
enum { ELEMENTS = 8192, LIGHT = 1024, HEAVY = 512, LINE = 64 };

static void close_cpu(struct device *d) {
    struct cpu *c = cpu_of(d);
    pool_free(c->pool);
    free(c->scratch);
    free(c->attend);
    free(c->parts);
    free(c);
}

// Zeros that begin with a cache line, so that no vector lies in two; what calloc() gave is kept in front of them.
// Attention jumps from page to page of a long cache: large ones.
static void *alloc(struct device *d, size_t bytes, gyr_error *e) {
    void *base = bytes < SIZE_MAX - LINE ? calloc(1, bytes + LINE) : NULL;
    if (!base)
        return fail_null(e, GYR_NO_MEMORY, "out of memory: %zu MiB cannot be allocated; choose a smaller context",
                         bytes >> 20);
    void **p = (void **)((uintptr_t)base / LINE * LINE + LINE);
    p[-1] = base;
    return large_pages(p, bytes);
}

static void release(struct device *d, void *p) {
    if (p) free(((void **)p)[-1]);
}

// Operations are computed when they are asked for, and none can fail.
static bool sync_cpu(struct device *d, gyr_error *e) { return true; }

static struct pool *workers(struct device *d) { return cpu_of(d)->pool; }

static void room(struct device *d, uint64_t *total, uint64_t *available) {
    *total = memory_total();
    *available = memory_available();
}

static size_t pieces(size_t n, size_t size) { return n / size + (n % size != 0); }

struct copying {
    char *dst;
    const char *src;
    size_t bytes;
};

enum { COPIED = 64 << 10 };

static void copy_piece(void *arg, size_t i) {
    const struct copying *c = arg;
    size_t at = i * COPIED;
    memcpy(c->dst + at, c->src + at, c->bytes - at < COPIED ? c->bytes - at : COPIED);
}

static void copy(struct device *d, void *dst, const void *src, size_t bytes) {
    pool_run(cpu_of(d)->pool, pieces(bytes, COPIED), copy_piece, &(struct copying){dst, src, bytes});
}

struct embedding {
    const struct weight *table;
    const int32_t *ids;
    float *y;
    size_t pieces; // of a row
};

enum { DECODED = 1024 };

static void embed_piece(void *arg, size_t i) {
    const struct embedding *m = arg;
    const struct weight *w = m->table;
    size_t row = i / m->pieces, first = i % m->pieces * DECODED, left = w->cols - first;
    const char *from = (const char *)w->data + (size_t)m->ids[row] * type_row_bytes(w->type, w->cols);
    type_decode(w->type, from, first, left < DECODED ? left : DECODED, m->y + row * w->cols + first);
}

static void embed(struct device *d, const struct weight *table, const int32_t *ids, size_t rows, float *y) {
    struct embedding m = {table, ids, y, pieces(table->cols, DECODED)};
    pool_run(cpu_of(d)->pool, rows * m.pieces, embed_piece, &m);
}

struct norm_call {
    const struct kernels *kernels;
    enum norm_kind kind;
    const float *x, *w, *b;
    float eps;
    size_t dim, parts;
    float *y;
};

static void norm_row(void *arg, size_t r) {
    const struct norm_call *n = arg;
    n->kernels->norm(n->kind, n->x + r * n->dim, n->w + r % n->parts * n->dim, n->b, n->eps, n->dim, n->y + r * n->dim);
}

static void norm(struct device *d, enum norm_kind kind, const float *x, const float *w, size_t parts, const float *b,
                 float eps, size_t rows, size_t dim, float *y) {
    struct norm_call n = {cpu_of(d)->kernels, kind, x, w, b, eps, dim, parts, y};
    pool_run(cpu_of(d)->pool, rows, norm_row, &n);
}

struct elements {
    const struct kernels *kernels;
    enum activation kind;
    float *x;
    const float *y;
    size_t n;
    float number;
    size_t size; // of a piece
};

static size_t piece(const struct elements *e, size_t i) {
    return e->n - i * e->size < e->size ? e->n - i * e->size : e->size;
}

// Of n elements, those that a task takes, in whole cache lines.
static size_t share(const struct cpu *c, size_t n, size_t least) {
    size_t fair = pieces(n, pool_threads(c->pool) * (size_t)2 * LINE) * LINE;
    return fair < least ? least : fair > ELEMENTS ? ELEMENTS : fair;
}

static void activate_piece(void *arg, size_t i) {
    const struct elements *e = arg;
    e->kernels->activate(e->kind, e->x + i * e->size, piece(e, i));
}

static void add_piece(void *arg, size_t i) {
    const struct elements *e = arg;
    e->kernels->add(e->x + i * e->size, e->y + i * e->size, piece(e, i));
}

static void scale_piece(void *arg, size_t i) {
    const struct elements *e = arg;
    e->kernels->scale(e->x + i * e->size, e->number, piece(e, i));
}

static void clamp_piece(void *arg, size_t i) {
    const struct elements *e = arg;
    e->kernels->clamp(e->x + i * e->size, e->number, piece(e, i));
}

static void cap_piece(void *arg, size_t i) {
    const struct elements *e = arg;
    e->kernels->cap(e->x + i * e->size, e->number, piece(e, i));
}

static void run_pieces(struct device *d, void (*run)(void *arg, size_t i), size_t least, struct elements *e) {
    e->kernels = cpu_of(d)->kernels;
    e->size = share(cpu_of(d), e->n, least);
    pool_run(cpu_of(d)->pool, pieces(e->n, e->size), run, e);
}

static void activate(struct device *d, enum activation kind, float *x, size_t n) {
    run_pieces(d, activate_piece, HEAVY, &(struct elements){.kind = kind, .x = x, .n = n});
}

static void add(struct device *d, float *x, const float *y, size_t n) {
    run_pieces(d, add_piece, LIGHT, &(struct elements){.x = x, .y = y, .n = n});
}

void cpu_scale(struct device *d, float *x, float by, size_t n) {
    run_pieces(d, scale_piece, LIGHT, &(struct elements){.x = x, .n = n, .number = by});
}

static void clamp(struct device *d, float *x, float most, size_t n) {
    run_pieces(d, clamp_piece, LIGHT, &(struct elements){.x = x, .n = n, .number = most});
}

static void cap(struct device *d, float *x, float most, size_t n) {
    run_pieces(d, cap_piece, HEAVY, &(struct elements){.x = x, .n = n, .number = most});
}

struct moving {
    const float *x;
    float *y;
    size_t x_row, y_row, rows, n;
    size_t share; // rows of a task
};

static void move_rows(void *arg, size_t i) {
    const struct moving *m = arg;
    for (size_t r = i * m->share; r < m->rows && r < (i + 1) * m->share; r++)
        memcpy(m->y + r * m->y_row, m->x + r * m->x_row, m->n * sizeof *m->y);
}

void cpu_move(struct device *d, const float *x, size_t x_row, float *y, size_t y_row, size_t rows, size_t n) {
    struct moving m = {x, y, x_row, y_row, rows, n, pieces(ELEMENTS, n + !n)};
    pool_run(cpu_of(d)->pool, pieces(rows, m.share), move_rows, &m);
}

struct gates {
    const struct kernels *kernels;
    const struct gate *a;
    size_t size, pieces; // of a piece; of a row
};

static void gate_piece(void *arg, size_t i) {
    const struct gates *g = arg;
    const struct gate *a = g->a;
    size_t row = i / g->pieces, first = i % g->pieces * g->size, at = row * a->stride + first;
    size_t n = a->n - first < g->size ? a->n - first : g->size;
    float *out = a->out + row * a->n + first;
    if (a->limit > 0)
        g->kernels->gate_clamped(a->limit, a->alpha, a->gate + at, a->up + at, n, out);
    else
        g->kernels->gate(a->activation, a->gate + at, a->up + at, n, out);
}

void cpu_gate(struct device *d, const struct gate *a) {
    struct gates g = {.kernels = cpu_of(d)->kernels, .a = a};
    if (!a->rows) return;
    size_t fair = share(cpu_of(d), a->rows * a->n, HEAVY);
    g.size = fair < a->n ? fair : a->n + !a->n;
    g.pieces = pieces(a->n, g.size);
    pool_run(cpu_of(d)->pool, a->rows * g.pieces, gate_piece, &g);
}

static const struct device_ops ops = {
    .kind = "cpu",
    .form = TILE_FORM,
    .rows = 256,
    .adapts_experts = true,
    .close = close_cpu,
    .sync = sync_cpu,
    .workers = workers,
    .room = room,
    .alloc = alloc,
    .free = release,
    .write = copy,
    .read = copy,
    .copy = copy,
    .bind = cpu_bind,
    .unbind = cpu_unbind,
    .form_bytes = cpu_form_bytes,
    .form_make = cpu_form_make,
    .form_take = cpu_form_take,
    .form_give = cpu_form_give,
    .form_lock = cpu_form_lock,
    .embed = embed,
    .norm = norm,
    .matmul = cpu_matmul,
    .products = cpu_products,
    .adapt = cpu_adapt,
    .head_products = cpu_head_products,
    .qkv = cpu_qkv,
    .attention = cpu_attention,
    .choose = cpu_choose,
    .conv = cpu_conv,
    .recur = cpu_recur,
    .activate = activate,
    .gate = cpu_gate,
    .route = cpu_route,
    .experts = cpu_experts,
    .sum_rows = cpu_sum_rows,
    .add = add,
    .move = cpu_move,
    .scale = cpu_scale,
    .clamp = clamp,
    .cap = cap,
};

struct device *device_cpu(unsigned threads, const char *isa, gyr_error *e) {
    if (!isa) isa = getenv("GYR_ISA");
    const struct kernels *kernels = cpu_kernels(isa && *isa ? isa : NULL, e);
    if (!kernels) return NULL;
    struct cpu *c = calloc(1, sizeof *c);
    if (!c) return fail_memory(e, "the CPU"), NULL;
    c->device.ops = &ops;
    c->kernels = kernels;
    c->pool = pool_new(threads, e);
    if (c->pool && cpu_attention_new(c, e)) return &c->device;
    close_cpu(&c->device);
    return NULL;
}

const char *device_cpu_isa(const struct device *d) { return ((const struct cpu *)d)->kernels->isa; }

unsigned device_cpu_threads(const struct device *d) { return pool_threads(((const struct cpu *)d)->pool); }
