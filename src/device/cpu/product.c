// Matrix products: activations packed once, then tasks of some tiles and rows each. A cut never changes a result.
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "device/cpu/cpu.h"
#include "device/cpu/tile_w16.h"

// SCRATCH bounds the packed activations of one pass; a task's tiles are about TASK bytes, few enough for every worker
// to have several; with a few rows ONE_AFTER_ANOTHER bytes, because memory sends what lies together faster. A batch
// that is not the last has whole panels of every instruction set: a multiple of PANELS rows.
enum { SCRATCH = 32 << 20, ROWS = 512, HUGE = 2 << 20, PANELS = 48 };
enum { TASK = 128 << 10, ONE_AFTER_ANOTHER = 1 << 20 };

static size_t min(size_t a, size_t b) { return a < b ? a : b; }
static size_t pieces(size_t n, size_t size) { return n / size + (n % size != 0); }

// Of a packed row of activations.
static size_t row_bytes(const struct weight *w) {
    if (is_w16(w->type)) return w16_row_bytes(w->cols);
    return pieces(w->cols, GROUP) * (tile_form(w->type) ? sizeof(struct act) : GROUP * sizeof(float));
}

static void *allocate(size_t bytes) {
    if (bytes < HUGE) return aligned_alloc(64, (bytes + 63) / 64 * 64);
    void *p = aligned_alloc(HUGE, (bytes + HUGE - 1) / HUGE * HUGE);
    if (p) madvise(p, bytes, MADV_HUGEPAGE);
    return p;
}

bool cpu_bind(struct device *d, struct weight *w, gyr_error *e) {
    struct cpu *c = cpu_of(d);
    const struct type_info *info = type_info(w->type);
    size_t row = info ? type_row_bytes(w->type, w->cols) : 0, all;
    if (!row || __builtin_mul_overflow(row, w->rows, &all))
        return fail(e, GYR_MALFORMED, "a %zu x %zu matrix of type %u: not a shape this type has", w->rows, w->cols,
                    (unsigned)w->type);
    size_t one = row_bytes(w), want = one * ROWS < SCRATCH ? one * ROWS : one < SCRATCH ? SCRATCH : one;
    if (want <= c->scratch_bytes) return true;
    void *scratch = allocate(want);
    if (!scratch) return fail_memory(e, "activations");
    free(c->scratch);
    c->scratch = scratch;
    c->scratch_bytes = want;
    return true;
}

struct packing {
    const struct kernels *kernels;
    const struct weight *w;
    size_t size; // bytes of a tile
    uint8_t *out;
};

static size_t tile_units_of(const struct weight *w) {
    const struct form *f = tile_form(w->type);
    return pieces(w->cols, GROUP) / (f ? f->groups : 1);
}

static void pack_tile(void *arg, size_t t) {
    const struct packing *p = arg;
    uint8_t *out = p->out + t * p->size;
    if (is_w16(p->w->type))
        for (struct run r = w16_begin(); w16_next(w16_groups(p->w->cols), &r);)
            p->kernels->tile_w16(p->w, t, &r, out + w16_at(&r));
    else
        tile_pack(p->w, t, 0, tile_units_of(p->w), out);
}

size_t cpu_form_bytes(struct device *d, const struct weight *w) {
    size_t bytes;
    return __builtin_mul_overflow(tile_bytes(w), tile_count(w), &bytes) || bytes > SIZE_MAX - HUGE ? 0 : bytes;
}

bool cpu_form_make(struct device *d, struct weight *w) {
    size_t bytes = cpu_form_bytes(d, w);
    struct packing p = {cpu_of(d)->kernels, w, tile_bytes(w), bytes ? allocate(bytes) : NULL};
    if (!p.out) return false;
    pool_run(cpu_of(d)->pool, tile_count(w), pack_tile, &p);
    cpu_unbind(d, w);
    w->own = p.out;
    return true;
}

void cpu_unbind(struct device *d, struct weight *w) {
    if (!w->lent) free(w->own);
    w->own = NULL;
    w->lent = false;
}

bool cpu_form_take(struct device *d, struct weight *w, const void *form) {
    cpu_unbind(d, w);
    w->own = (void *)form;
    w->lent = true;
    return true;
}

bool cpu_form_give(struct device *d, const struct weight *w, size_t at, size_t bytes, void *to) {
    if (w->own) memcpy(to, (const char *)w->own + at, bytes);
    return w->own;
}

bool cpu_form_lock(struct device *d, const struct weight *w) { return !w->own || !mlock(w->own, cpu_form_bytes(d, w)); }

struct product {
    const struct cpu *cpu;
    const struct weight *w;
    const float *x, *bias;
    float *y;
    size_t rows, batch, tiles; // rows of this pass; rows and tiles of a task
    size_t runs;               // of tiles
    size_t packed;             // rows that a task packs
};

// Activations of the batch that begins at row r.
static uint8_t *batch_at(const struct product *p, size_t r) { return (uint8_t *)p->cpu->scratch + r * row_bytes(p->w); }

static void pack_row(const struct product *p, size_t r) {
    const struct weight *w = p->w;
    const struct kernels *k = p->cpu->kernels;
    size_t first = r / p->batch * p->batch, rows = min(p->batch, p->rows - first);
    const float *x = p->x + r * w->cols;
    uint8_t *batch = batch_at(p, first);
    if (tile_form(w->type)) {
        k->round_q(w->type, x, w->cols, rows, r - first, batch);
        return;
    }
    if (is_w16(w->type)) {
        k->round_w16(x, w->cols, rows, r - first, batch);
        return;
    }
    size_t units = pieces(w->cols, GROUP);
    for (size_t s = 0; s < SEGMENTS; s++) {
        size_t from = segment_start(units, s) * GROUP, to = segment_start(units, s + 1) * GROUP, stride;
        size_t at = act_at(k->wide_rows, rows, r - first, from, to - from, &stride);
        if (from < to) k->pack(x + from, min(to, w->cols) - from, stride, (uint32_t *)(void *)batch + at);
    }
}

// Rows that lie side by side belong to one thread.
static void pack_rows(void *arg, size_t i) {
    const struct product *p = arg;
    for (size_t r = i * p->packed; r < min((i + 1) * p->packed, p->rows); r++) pack_row(p, r);
}

static void multiply(void *arg, size_t i) {
    const struct product *p = arg;
    const struct kernels *k = p->cpu->kernels;
    size_t r = i / p->runs * p->batch, first = i % p->runs * p->tiles, last = min(first + p->tiles, tile_count(p->w));
    void *x = batch_at(p, r);
    float *y = p->y + r * p->w->rows;
    if (tile_form(p->w->type))
        k->matmul_q(p->w, x, min(p->batch, p->rows - r), k->fetched, p->bias, y, first, last);
    else if (is_w16(p->w->type))
        k->matmul_w16(p->w, x, min(p->batch, p->rows - r), p->bias, y, first, last);
    else
        k->matmul_f(p->w, x, min(p->batch, p->rows - r), p->bias, y, first, last);
}

// Tiles of a task: an even number, since kernels take two at a time. AMX takes `wide` by the same activations.
static size_t task_tiles(const struct cpu *c, const struct weight *w, size_t rows) {
    size_t size = tile_bytes(w), fair = tile_count(w) / (pool_threads(c->pool) * (size_t)8),
           n = (rows < LANES / 2 ? ONE_AFTER_ANOTHER : TASK) / (size + 1);
    size_t from = is_w16(w->type) ? LANES : 3 * LANES;
    size_t wide = rows >= from && w->type != TYPE_F32 ? c->kernels->wide_tiles : 2;
    if (n < wide) n = wide;
    if (fair < wide / 2) fair = wide / 2;
    n = min(n, fair) / 2 * 2;
    return n ? n : 2;
}

// Rows of a batch: so few that every thread has several tasks, but enough to be worth unpacking weights for.
static size_t batch_rows(const struct cpu *c, const struct product *p) {
    enum { FEWEST = 128, TASKS = 8 };
    size_t batches = min(pieces(TASKS * (size_t)pool_threads(c->pool), p->runs), p->rows / FEWEST);
    if (batches < pieces(p->rows, BATCH_ROWS)) batches = pieces(p->rows, BATCH_ROWS);
    return pieces(pieces(p->rows, batches), PANELS) * PANELS;
}

void cpu_matmul(struct device *d, const struct weight *w, const float *x, size_t rows, const float *bias, float *y) {
    struct cpu *c = cpu_of(d);
    size_t pass = min(ROWS, c->scratch_bytes / row_bytes(w));
    for (size_t r = 0; r < rows; r += pass) {
        struct product p = {c, w, x + r * w->cols, bias, y + r * w->rows, min(pass, rows - r)};
        p.tiles = task_tiles(c, w, p.rows);
        p.runs = pieces(tile_count(w), p.tiles);
        p.batch = batch_rows(c, &p);
        p.packed = p.rows < 64 ? pieces(p.rows, LANES) : LANES;
        pool_run(c->pool, pieces(p.rows, p.packed), pack_rows, &p);
        pool_run(c->pool, pieces(p.rows, p.batch) * p.runs, multiply, &p);
    }
}
