// Matrix products: activations packed once, then tasks of some tiles and rows each. A cut never changes a result.
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "device/cpu/cpu.h"
#include "device/cpu/tile_w16.h"

// SCRATCH bounds the packed activations of one pass; a task's tiles are about TASK bytes, few enough for every worker
// to have several; with a few rows ONE_AFTER_ANOTHER bytes, because memory sends what lies together faster, and at the
// end a SMALLER-th. A batch that is not the last has whole panels of every instruction set: a multiple of PANELS rows.
// Packing less than SLICE elements of a row is not worth a task.
enum { SCRATCH = 32 << 20, ROWS = 512, HUGE = 2 << 20, PANELS = 48 };
enum { TASK = 128 << 10, ONE_AFTER_ANOTHER = 1 << 20, SMALLER = 4, SLICE = 1024 };
enum { JOBS = 128 };

static size_t min(size_t a, size_t b) { return a < b ? a : b; }
static size_t pieces(size_t n, size_t size) { return n / size + (n % size != 0); }

// Of a packed row of activations.
static size_t row_bytes(const struct weight *w) {
    if (is_w16(w->type)) return w16_row_bytes(w->cols);
    return pieces(w->cols, GROUP) * (tile_form(w->type) ? sizeof(struct act) : GROUP * sizeof(float));
}

// Rows so few that a task reads its tiles once, one at a time.
static bool is_few(const struct product *a) { return a->rows < LANES / 2 && a->w->type != TYPE_F32; }

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
    else if (p->w->type == TYPE_F32 && p->w->exact != TYPE_F32)
        tile_pack_exact(p->w, t, out);
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

// A product as it is cut.
struct job {
    struct product a;
    size_t batch;    // rows of a batch
    uint8_t *packed; // activations: batch after batch
    // Tasks that pack: so many rows, and of each a slice of its segments. None if an earlier job packs the same.
    size_t together, slices, packs;
    // Tasks that multiply, of a batch: `whole` of so many tiles, then of `small`, so that threads end together.
    size_t tiles, whole, small, runs;
    size_t packed_before, tasks_before; // of the jobs before it
};

// Products that do not wait for each other.
struct work {
    struct cpu *cpu;
    struct job job[JOBS];
    size_t n;
};

static uint8_t *batch_at(const struct job *j, size_t r) { return j->packed + r * row_bytes(j->a.w); }

static void pack_row(const struct job *j, const struct kernels *k, size_t r, struct segments s) {
    const struct weight *w = j->a.w;
    size_t first = r / j->batch * j->batch, rows = min(j->batch, j->a.rows - first);
    const float *x = j->a.x + r * w->cols;
    void *batch = batch_at(j, first);
    if (tile_form(w->type))
        k->round_q(w->type, x, w->cols, rows, r - first, s, batch);
    else if (is_w16(w->type))
        k->round_w16(x, w->cols, rows, r - first, s, batch);
    else
        k->pack(x, w->cols, rows, r - first, s, batch);
}

// The job that task i is of, by where its tasks begin: the last that begins there or before.
static const struct job *job_of(const struct work *t, size_t i, size_t begins) {
    size_t low = 0, high = t->n;
    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        bool before = *(const size_t *)(const void *)((const char *)&t->job[middle] + begins) <= i;
        *(before ? &low : &high) = middle;
    }
    return &t->job[low];
}

// Rows that lie side by side belong to one thread.
static void pack_rows(void *arg, size_t i) {
    const struct work *t = arg;
    const struct job *j = job_of(t, i, offsetof(struct job, packed_before));
    i -= j->packed_before;
    size_t first = i / j->slices * j->together, slice = i % j->slices;
    struct segments s = {(unsigned)(slice * SEGMENTS / j->slices), (unsigned)((slice + 1) * SEGMENTS / j->slices)};
    for (size_t r = first; r < min(first + j->together, j->a.rows); r++) pack_row(j, t->cpu->kernels, r, s);
}

static size_t tasks_of(const struct job *j) { return pieces(j->a.rows, j->batch) * j->runs; }

static void multiply(void *arg, size_t i) {
    const struct work *t = arg;
    const struct job *j = job_of(t, i, offsetof(struct job, tasks_before));
    i -= j->tasks_before;
    const struct kernels *k = t->cpu->kernels;
    const struct weight *w = j->a.w;
    size_t r = i / j->runs * j->batch, run = i % j->runs, rows = min(j->batch, j->a.rows - r);
    size_t first = min(run, j->whole) * j->tiles + (run > j->whole ? run - j->whole : 0) * j->small;
    size_t last = min(first + (run < j->whole ? j->tiles : j->small), tile_count(w));
    void *x = batch_at(j, r);
    float *y = j->a.y + r * w->rows;
    if (tile_form(w->type))
        k->matmul_q(w, x, rows, k->fetched, j->a.bias, y, first, last);
    else if (is_w16(w->type))
        k->matmul_w16(w, x, rows, j->a.bias, y, first, last);
    else
        k->matmul_f(w, x, rows, j->a.bias, y, first, last);
}

// Tiles of a task, of `all` that there are: an even number where kernels take two at a time. AMX takes `wide` by the
// same activations.
static size_t task_tiles(const struct cpu *c, const struct product *a, size_t all) {
    bool few = is_few(a);
    size_t size = tile_bytes(a->w), fair = all / (pool_threads(c->pool) * (size_t)8);
    size_t n = (few ? ONE_AFTER_ANOTHER : TASK) / (size + 1), unit = few ? 1 : 2;
    size_t from = is_w16(a->w->type) ? LANES : 3 * LANES;
    size_t wide = a->rows >= from && a->w->type != TYPE_F32 ? c->kernels->wide_tiles : 2;
    if (n < wide) n = wide;
    if (fair < wide / 2) fair = wide / 2;
    n = min(n, fair) / unit * unit;
    return n ? n : unit;
}

static void cut_tiles(const struct cpu *c, struct job *j, size_t all) {
    size_t count = tile_count(j->a.w), threads = pool_threads(c->pool), n = task_tiles(c, &j->a, all);
    size_t end = is_few(&j->a) && threads > 1 ? threads * n : 0; // tiles that are handed out in smaller tasks
    j->tiles = n;
    j->small = end && n > SMALLER ? n / SMALLER : end ? 1 : n;
    j->whole = count > end ? (count - end) / n : 0;
    j->runs = j->whole + pieces(count - j->whole * n, j->small);
}

// Rows of a batch: so few that every thread has several tasks, but enough to be worth unpacking weights for.
static size_t batch_rows(const struct cpu *c, size_t rows, size_t runs) {
    enum { FEWEST = 128, TASKS = 8 };
    size_t batches = min(pieces(TASKS * (size_t)pool_threads(c->pool), runs), rows / FEWEST);
    if (batches < pieces(rows, BATCH_ROWS)) batches = pieces(rows, BATCH_ROWS);
    return pieces(pieces(rows, batches), PANELS) * PANELS;
}

static bool packs_alike(const struct job *a, const struct job *b) {
    enum type x = a->a.w->type, y = b->a.w->type;
    return a->a.x == b->a.x && a->a.rows == b->a.rows && a->a.w->cols == b->a.w->cols && a->batch == b->batch &&
           (x == y || (is_w16(x) && is_w16(y)));
}

// Where the job's activations are packed, `used` bytes being taken; false: there is no room.
static bool cut_packing(struct work *t, struct job *j, size_t *used) {
    const struct product *a = &j->a;
    if (a->w->type == TYPE_F32 && a->rows == 1) { // which is packed as it is
        j->packed = (uint8_t *)(uintptr_t)a->x;
        return true;
    }
    for (const struct job *before = t->job; before < j; before++)
        if (packs_alike(before, j)) {
            j->packed = before->packed;
            return true;
        }
    size_t bytes = a->rows * row_bytes(a->w), threads = pool_threads(t->cpu->pool);
    if (bytes > t->cpu->scratch_bytes - *used) return false;
    j->packed = (uint8_t *)t->cpu->scratch + *used;
    *used += bytes;
    j->together = a->rows < 64 ? pieces(a->rows, LANES) : LANES;
    size_t together = pieces(a->rows, j->together), most = min(SEGMENTS, a->w->cols / SLICE);
    j->slices = together < threads && most ? min(pieces(threads, together), most) : 1;
    j->packs = together * j->slices;
    return true;
}

static bool cut(struct work *t, const struct product *list, size_t n) {
    size_t tiles = 0, runs = 0, used = 0;
    bool fits = true;
    for (size_t i = 0; i < n; i++) tiles += tile_count(list[i].w);
    for (size_t i = 0; i < n; i++) {
        t->job[i] = (struct job){.a = list[i]};
        cut_tiles(t->cpu, &t->job[i], tiles);
        runs += t->job[i].runs;
    }
    for (size_t i = 0; i < n && fits; i++) {
        t->job[i].batch = batch_rows(t->cpu, list[i].rows, runs);
        fits = cut_packing(t, &t->job[i], &used);
    }
    t->n = n;
    return fits;
}

static void run(struct work *t) {
    size_t packs = 0, tasks = 0;
    for (size_t i = 0; i < t->n; i++) {
        t->job[i].packed_before = packs;
        t->job[i].tasks_before = tasks;
        packs += t->job[i].packs;
        tasks += tasks_of(&t->job[i]);
    }
    pool_run(t->cpu->pool, packs, pack_rows, t);
    pool_run(t->cpu->pool, tasks, multiply, t);
}

// One product, as many rows at a time as there is room for.
static void passes(struct work *t, const struct product *a) {
    size_t most = min(ROWS, t->cpu->scratch_bytes / row_bytes(a->w));
    for (size_t r = 0; r < a->rows; r += most) {
        struct product p = {a->w, a->x + r * a->w->cols, min(most, a->rows - r), a->bias, a->y + r * a->w->rows};
        if (cut(t, &p, 1)) run(t);
    }
}

void cpu_products(struct device *d, const struct product *list, size_t n) {
    struct work t = {.cpu = cpu_of(d)};
    if (n == 1)
        passes(&t, list);
    else if (n <= JOBS && cut(&t, list, n))
        run(&t);
    else if (n) {
        cpu_products(d, list, n / 2);
        cpu_products(d, list + n / 2, n - n / 2);
    }
}

void cpu_matmul(struct device *d, const struct weight *w, const float *x, size_t rows, const float *bias, float *y) {
    cpu_products(d, &(struct product){w, x, rows, bias, y}, 1);
}

// ------------------------------------------------------------------------------------- what adapters add

struct adapts {
    struct cpu *cpu;
    const struct adapting *list;
};

// The rows as matmul_f() reads them: one is as it is, more are laid out at `room`.
static const void *packed_at(const struct kernels *k, const float *x, size_t cols, size_t rows, float *room) {
    for (size_t r = 0; rows > 1 && r < rows; r++)
        k->pack(x + r * cols, cols, rows, r, (struct segments){0, SEGMENTS}, room);
    return rows > 1 ? room : x;
}

// Both products and the sum by one thread: they are too small for threads to meet in between.
static void adapt_task(void *arg, size_t i) {
    const struct adapts *t = arg;
    const struct adapting *p = &t->list[i];
    const struct weight *a = &p->lora->a, *b = &p->lora->b;
    const struct kernels *k = t->cpu->kernels;
    float *narrow = p->work, *wide = narrow + p->rows * a->rows, *room = wide + p->rows * b->rows;
    k->matmul_f(a, packed_at(k, p->x, a->cols, p->rows, room), p->rows, NULL, narrow, 0, tile_count(a));
    k->matmul_f(b, packed_at(k, narrow, a->rows, p->rows, room), p->rows, NULL, wide, 0, tile_count(b));
    k->add(p->y, wide, p->rows * b->rows);
}

void cpu_adapt(struct device *d, const struct adapting *list, size_t n) {
    struct adapts t = {cpu_of(d), list};
    pool_run(t.cpu->pool, n, adapt_task, &t);
}
