// Products on a card: activations rounded, then multiplied; and look-ups in tables.
#include "device/gpu/kernels/runs16.h"
#include "device/gpu/kernels/strips.h"
#include "device/gpu/lay.h"
#include "device/gpu/work.h"

// Outputs of a block of threads: eight lanes have one. Rows of activations that `product_few` takes, and from which on
// tensor cores do. Bytes of rounded activations at a time.
enum { OUTPUTS = THREADS / SEGMENTS, FEW = 4, MANY = 8, ROUNDED = 32 << 20 };

static bool is_16(enum type type) { return type == TYPE_F16 || type == TYPE_BF16; }

static size_t min(size_t a, size_t b) { return a < b ? a : b; }

static struct matrix matrix_of(struct gpu *g, const struct card_weight *w) {
    struct lay l = lay_of(w->type);
    return (struct matrix){w->body,           w->rest,           g->work->grid[w->type],
                           (uint32_t)w->rows, (uint32_t)w->cols, (uint32_t)(w->cols / (l.groups * 32))};
}

// Rows of activations of a product, and where their outputs go.
struct rows {
    const dfloat *x, *bias;
    dfloat *y;
    size_t n;
    float by;
    struct choice_of_matrix choice; // no table: all are multiplied by one matrix
};

// Whether tensor cores are worth while: they compute eight rows at a time.
static bool are_many(const struct gpu *g, const struct rows *r) {
    return (g->chip.tensor || g->chip.waves) && !r->choice.table && r->n >= MANY;
}

// On tensor cores: whole blocks of rows, then the smallest that takes what is left.
static void quantized_many(struct gpu *g, const struct card_weight *w, const struct rows *r) {
    static const struct {
        const char *kernel;
        size_t outputs, rows;
    } blocks[] = {{"product_many16", 16, 16}, {"product_many32", 32, 32}, {"product_many64", 32, 64}};
    struct lay l = lay_of(w->type);
    bool runs = l.groups == 8;
    size_t most = runs && w->type != TYPE_Q3_K ? 2 : 1; // of blocks[]: product_many.cu says why
    size_t groups = (work_blocks(r->n, MANY_SLAB) * (w->cols / 32) + BEHIND_GROUPS) * MANY_SLAB; // of all rows
    dbyte *codes = work_scratch(g, SCRATCH_CODES, groups * 32);
    dfloat *units = work_scratch(g, SCRATCH_UNITS, groups * 2 * sizeof *units);
    if (!codes || !units) return;
    bool halves = w->type == TYPE_Q2_K || w->type == TYPE_Q5_K; // as many.h takes them
    enum beside_scale beside = !runs ? BESIDE_PRODUCT : halves ? BESIDE_HALVES : BESIDE_SUM;
    struct round_many_args round = {r->x, codes, units, (uint32_t)w->cols, (uint32_t)l.groups, runs ? 4 : 1, beside};
    work_launch(g, "round_many", r->n, work_blocks(w->cols / 4, THREADS), 1, &round, sizeof round);
    struct product_many_args a = {matrix_of(g, w), codes, units, r->bias, r->y, 0, 0, r->by, NULL};
    for (; a.first < r->n; a.first = a.rows) {
        size_t i = 0, left = r->n - a.first;
        while (i < most && blocks[i].rows < left) i++;
        size_t high = left < blocks[i].rows ? 1 : left / blocks[i].rows;
        a.rows = (uint32_t)min(r->n, a.first + high * blocks[i].rows);
        work_launch_typed(g, blocks[i].kernel, w->type, work_blocks(w->rows, blocks[i].outputs) * high, 1, 1, &a,
                          sizeof a);
        if (a.first == 0 && a.rows == r->n)
            work_is_product(g, r->y, r->n * w->rows, offsetof(struct product_many_args, plus));
    }
}

// Bytes of a block's memory for what comes there later, and the row of activations. 0: there is not so much.
static uint32_t ring_room(const struct gpu *g, const struct card_weight *w, unsigned groups) {
    bool ringed = RINGED(w->type);
    if (!g->chip.copies || !(ringed || TURNED(w->type))) return 0;
    size_t room = (size_t)(ringed ? RING_ROOM(w->type) : TURN_ROOM(w->type)) +
                  staged_bytes(groups, (unsigned)(w->cols / (32 * groups)));
    return room <= (size_t)g->chip.shared ? (uint32_t)room : 0;
}

// Blocks of threads that are there together, each with as many turns. A processor has memory for one that has all it
// may, and a block takes BESIDES for itself.
static uint32_t paired_blocks(const struct gpu *g, const struct card_weight *w, size_t room) {
    enum { BESIDES = 1 << 10 };
    size_t all = work_blocks(w->rows, OUTPUTS / 2), most = PAIRED_BLOCKS(w->type),
           processors = g->chip.processors > 0 ? (size_t)g->chip.processors : 1;
    if (room) most = min(most, ((size_t)g->chip.shared + BESIDES) / (room + BESIDES));
    return (uint32_t)work_blocks(all, work_blocks(all, processors * most));
}

// The codes of rows, then their groups.
static void quantized(struct gpu *g, const struct card_weight *w, const struct rows *r) {
    if (are_many(g, r)) {
        quantized_many(g, w, r);
        return;
    }
    struct lay l = lay_of(w->type);
    bool runs = l.groups == 8;
    struct round_args x;
    if (!work_round(g, r->x, r->n, (struct round_form){(uint32_t)w->cols, (uint32_t)l.groups, runs ? 4 : 1}, &x))
        return;
    struct product_args a = {matrix_of(g, w), x.codes,   x.group, r->bias, r->y, (uint32_t)r->n,
                             r->by,           r->choice, 0,       0,       NULL};
    work_writes(g, r->y, r->n * w->rows * sizeof(float));
    bool few = r->n > 1 && !r->choice.table;
    a.room = few ? 0 : ring_room(g, w, (unsigned)l.groups);
    a.blocks = few || !PAIRED(w->type) ? (uint32_t)work_blocks(w->rows, OUTPUTS) : paired_blocks(g, w, a.room);
    work_room(g, a.room);
    work_launch_typed(g, few ? "product_few" : "product", w->type, a.blocks, few ? work_blocks(r->n, FEW) : r->n, 1, &a,
                      sizeof a);
    if (!r->choice.table) work_is_product(g, r->y, r->n * w->rows, offsetof(struct product_args, plus));
}

// How many segments a block on tensor cores is to have: with fewer, more blocks share the work evenly among the
// card's processors, but their parts have to be joined.
static uint32_t segments_of_block(const struct gpu *g, size_t blocks) {
    size_t processors = g->chip.processors > 0 ? (size_t)g->chip.processors : 1, best = SEGMENTS;
    for (size_t n = SEGMENTS / 2, least = work_blocks(blocks, processors) * SEGMENTS; n; n /= 2) {
        size_t time = work_blocks(blocks * (SEGMENTS / n), processors) * n;
        if (10 * time >= 9 * least) continue;
        least = time;
        best = n;
    }
    return (uint32_t)best;
}

// On tensor cores, in blocks of `height` rows.
static void tensor16(struct gpu *g, struct product16_args a, size_t height) {
    size_t blocks = work_blocks(a.rows, height) * work_blocks(a.outputs, WIDE16_OUTPUTS);
    a.segments = segments_of_block(g, blocks);
    struct join16_args join = {NULL, a.bias, a.y, SEGMENTS / a.segments, a.rows, a.outputs, a.by, NULL};
    if (join.parts > 1) {
        dfloat *part = work_scratch(g, SCRATCH_SUMS, (size_t)join.parts * a.rows * a.outputs * sizeof *part);
        if (!part) return;
        join.part = a.y = part;
        a.bias = NULL;
        a.by = 1;
    }
    work_launch(g, height == MANY16 ? "product16_many" : "product16_wide", blocks, join.parts, 1, &a, sizeof a);
    work_is_product(g, a.y, (size_t)a.rows * a.outputs, offsetof(struct product16_args, plus));
    if (join.parts == 1) return;
    size_t threads = work_blocks((size_t)a.rows * a.outputs, JOIN16);
    work_launch(g, "join16", work_blocks(threads, THREADS), 1, 1, &join, sizeof join);
    work_is_product(g, join.y, (size_t)a.rows * a.outputs, offsetof(struct join16_args, plus));
}

// On tensor cores there is room for whole blocks of rows.
static void sixteen(struct gpu *g, const struct card_weight *w, const struct rows *r) {
    unsigned groups = groups16((unsigned)w->cols), runs = runs16(groups);
    bool many = g->chip.tensor && !r->choice.table && r->n > 1;
    size_t height = r->n > MANY16 ? WIDE16_ROWS : MANY16, room = many ? work_blocks(r->n, height) * height : r->n;
    dbyte *planes = work_scratch(g, SCRATCH_CODES, slabs16(room) * groups * GROUP16);
    dfloat *unit = work_scratch(g, SCRATCH_UNITS, units16(room, runs) * sizeof(float));
    if (!planes || !unit) return;
    struct round16_args round = {r->x, planes, unit, (uint32_t)w->cols, runs};
    size_t blocks = work_blocks(runs, RUNS16_OF_BLOCK), few = work_blocks(runs, FEW_RUNS16);
    if (g->chip.processors > 0 && r->n * blocks < (size_t)g->chip.processors)
        work_launch(g, "round16_few", r->n, few, 1, &round, sizeof round);
    else
        work_launch(g, "round16", r->n, blocks, 1, &round, sizeof round);
    struct product16_args a = {
        w->body,           planes, w->unit, unit,      r->bias,  r->y, (uint32_t)r->n, (uint32_t)w->rows,
        (uint32_t)w->cols, runs,   r->by,   r->choice, SEGMENTS, NULL};
    if (many) {
        tensor16(g, a, height);
        return;
    }
    work_launch(g, "product16", work_blocks(w->rows, (size_t)g->chip.warp / 4), r->n, 1, &a, sizeof a);
    if (!r->choice.table) work_is_product(g, r->y, r->n * w->rows, offsetof(struct product16_args, plus));
}

static void floats(struct gpu *g, const struct card_weight *w, const struct rows *r) {
    struct product_f_args a = {(const dfloat *)(const void *)w->body,
                               r->x,
                               r->bias,
                               r->y,
                               (uint32_t)r->n,
                               (uint32_t)w->rows,
                               (uint32_t)w->cols,
                               r->by,
                               r->choice};
    work_launch(g, "product_f32", work_blocks(w->rows, OUTPUTS), r->n, 1, &a, sizeof a);
}

// As many rows at a time as there is room for.
static void multiply(struct gpu *g, const struct card_weight *w, const struct rows *all) {
    size_t most = min(ROUNDED / (2 * w->cols + 1) + 1, 4096) / FEW * FEW + FEW;
    for (size_t first = 0; first < all->n; first += most) {
        struct rows r = *all;
        r.x += first * w->cols;
        r.y += first * w->rows;
        r.n = min(most, all->n - first);
        if (r.choice.table) r.choice.which += first;
        (type_info(w->type)->quantized ? quantized : is_16(w->type) ? sixteen : floats)(g, w, &r);
    }
}

void work_product(struct gpu *g, const struct product *p, float by) {
    const struct card_weight *w = work_weight(g, p->w, false);
    if (w) multiply(g, w, &(struct rows){p->x, p->bias, p->y, p->rows, by, {NULL, NULL, 0}});
}

void work_chosen_product(struct gpu *g, enum type type, const struct weight *shape, const struct choice_of_matrix *c,
                         const dfloat *x, size_t rows, dfloat *y) {
    struct card_weight w = {.type = type, .rows = shape->rows, .cols = shape->cols};
    multiply(g, &w, &(struct rows){x, NULL, y, rows, 1, *c});
}

void work_products(struct device *d, const struct product *list, size_t n) {
    for (size_t i = 0; i < n; i++) work_product(gpu_of(d), &list[i], 1);
}

void work_head_products(struct device *d, const struct head_products *a) {
    const struct device_ops *ops = d->ops;
    for (size_t h = 0; h < a->heads; h++) {
        const struct linear *l = &a->w[h];
        size_t in = l->w.cols, out = l->w.rows;
        dfloat *x = a->work, *y = x + a->rows * in;
        ops->move(d, a->x + h * a->x_step, a->x_row, x, in, a->rows, in);
        work_product(gpu_of(d), &(struct product){&l->w, x, a->rows, l->bias, y}, l->by);
        ops->move(d, y, out, a->y + h * a->y_step, a->y_row, a->rows, out);
    }
}

void work_embed(struct device *d, const struct weight *table, const dint *ids, size_t rows, dfloat *y) {
    struct gpu *g = gpu_of(d);
    const struct card_weight *w = work_weight(g, table, true);
    if (!w) return;
    if (type_info(w->type)->quantized) {
        struct embed_args a = {matrix_of(g, w), ids, y};
        work_launch_typed(g, "embed", w->type, rows, work_blocks(w->cols / 4, THREADS), 1, &a, sizeof a);
        return;
    }
    struct embed_plain_args a = {w->type == TYPE_F32 ? w->body : w->raw, ids, y, (uint32_t)w->cols,
                                 w->type == TYPE_F32    ? PLAIN_FLOATS
                                 : w->type == TYPE_BF16 ? PLAIN_BFLOATS
                                                        : PLAIN_HALVES};
    work_launch(g, "embed_plain", rows, work_blocks(w->cols, THREADS), 1, &a, sizeof a);
}
