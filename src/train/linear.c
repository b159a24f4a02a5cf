#include "train/card.h"
#include "train/product.h"
#include "train/shorts.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

// Terms of a sum whose weights are decoded before rows are multiplied by them, of floats and of integers: the more, the
// less often what is written is read again. All are whole groups of every type, and whole runs.
enum { DEEP_FLOATS = 128, DEEP_SHORTS = 1024 };
// Outputs, on the way forward, and terms, on the way back, that are decoded to floats at once: these stay near.
enum { WIDE = 32, SOME = 64 };
// A task has several times as many columns as WIDE: what it writes of a row is not near, and comes the faster the more
// of it lies together.
enum { MOST_WIDE = 4 * WIDE, B_ROWS = 96, A_COLUMNS = 32 };

struct way {
    const struct linear_op *o;
    const struct host_gradients *g;
    const float *x, *dy, *narrow; // narrow: [rows][rank], scale * a x; or, on the way back, the gradient of a x
    // A slab of x or, on the way back, of dy: its columns [begin, begin + n), rows side by side (product.h).
    float *packed;
    size_t begin, n;
    float *y, *da, *db;
    size_t each, groups; // rows of a task, and how many such
    atomic_bool failed;  // no memory
};

static size_t pieces(size_t n, size_t size) { return (n + size - 1) / size; }
static size_t least(size_t a, size_t b) { return a < b ? a : b; }

// How much of all threads' time is used if each does `tasks` equal ones in turn.
static double used(size_t tasks, size_t threads) { return (double)tasks / (double)(pieces(tasks, threads) * threads); }

// Runs tasks, each for all rows; or for some, where threads would have nothing to do: a row's result is its own. Rows
// of a task are whole groups, so that each has the same packed rows.
static bool run(struct way *w, size_t tasks, void (*fn)(void *arg, size_t i), gyr_error *e) {
    const struct linear_op *o = w->o;
    size_t threads = (size_t)pool_threads(o->pool), most = pieces(o->rows, (size_t)2 * HOST_ROWS), best = 1;
    for (size_t n = 2; n <= most && n <= 2 * threads && used(tasks * best, threads) < 0.95; n++)
        if (used(tasks * n, threads) > used(tasks * best, threads) + 0.03) best = n;
    w->each = pieces(pieces(o->rows, HOST_ROWS), best) * HOST_ROWS;
    w->groups = pieces(o->rows, w->each);
    pool_run(o->pool, tasks * w->groups, fn, w);
    return !atomic_load(&w->failed) || fail_memory(e, "training");
}

static bool run_whole(struct way *w, size_t tasks, void (*fn)(void *arg, size_t i), gyr_error *e) {
    pool_run(w->o->pool, tasks, fn, w);
    return !atomic_load(&w->failed) || fail_memory(e, "training");
}

static const void *row_of(const struct linear_op *o, size_t i) {
    return (const char *)o->w + i * type_row_bytes(o->type, o->in);
}

// Rows that are rounded where they lie; NULL: they have to be decoded first, as those of files are where a float begins
// at any address.
static const float *floats_of(const struct linear_op *o, size_t i) {
    const void *row = row_of(o, i);
    return o->shorts && o->type == TYPE_F32 && (uintptr_t)row % _Alignof(float) == 0 ? row : NULL;
}

// What the matrix's own factor does to the columns of a panel.
static void multiply(const struct linear_op *o, const struct host_panel *p) {
    if (o->by == 0 || o->by == 1) return;
    for (size_t r = 0; r < p->rows; r++)
        for (size_t i = 0; i < p->cols; i++) p->y[r * p->y_row + i] *= o->by;
}

// What the pair adds to them.
static bool add_pair(const struct way *w, const struct host_panel *p, size_t row, const float *matrix, size_t step) {
    size_t rank = w->o->rank;
    struct matmul pair = {.x = w->narrow + row * rank,
                          .x_row = rank,
                          .x_step = 1,
                          .w = matrix,
                          .w_step = step,
                          .y = p->y,
                          .y_row = p->y_row,
                          .n = rank,
                          .rows = p->rows,
                          .cols = p->cols};
    return !rank || product_add(w->g, &pair);
}

enum { SLAB = 8192, PACKED = 4 * HOST_ROWS }; // rows of a task that packs
_Static_assert(SLAB % DEEP_SHORTS == 0 && SLAB % DEEP_FLOATS == 0, "a slab is whole pieces");
_Static_assert(SOME *MOST_WIDE <= WIDE * DEEP_SHORTS, "what is decoded at once has room on either way");
_Static_assert(DEEP_SHORTS % SOME == 0 && SOME % HOST_RUN == 0, "a piece is whole runs");

size_t linear_floats(size_t rows, size_t widest) {
    size_t n = least(widest, SLAB), floats = packed_floats(rows, n), shorts = shorts_floats(rows, n);
    return floats > shorts ? floats : shorts;
}

struct packing {
    const struct way *way;
    const float *x;
    size_t step;
};

static void pack_task(void *arg, size_t task) {
    const struct packing *p = arg;
    const struct way *w = p->way;
    size_t first = task * PACKED, rows = least(PACKED, w->o->rows - first);
    const float *x = p->x + first * p->step + w->begin;
    if (w->o->shorts)
        shorts_pack(w->g, x, p->step, rows, w->n, w->packed + first / HOST_ROWS * shorts_group(w->n));
    else
        pack(x, p->step, rows, w->n, w->packed + first * w->n);
}

// Adds the sum of terms [at, at + p->n) of the slab to a panel's columns. p->w is floats, with shorts a panel of those.
static bool add_piece(const struct way *w, const struct host_panel *p, const struct shorts_panel *panel, size_t row,
                      size_t at) {
    struct host_panel floats = *p;
    floats.x = w->packed + row * w->n + at * HOST_ROWS;
    floats.x_group = HOST_ROWS * w->n;
    floats.x_step = HOST_ROWS;
    if (!w->o->shorts) return product_packed(w->g, &floats);
    struct shorts_product shorts = {.packed = w->packed,
                                    .terms = w->n,
                                    .at = at,
                                    .row = row,
                                    .w = *panel,
                                    .y = p->y,
                                    .fresh = p->fresh,
                                    .y_row = p->y_row,
                                    .n = p->n,
                                    .rows = p->rows,
                                    .cols = p->cols};
    return shorts_add(w->g, &shorts);
}

// Packs slab after slab of x, [rows][cols], and runs tasks with each. Where there is but one, others have packed it.
static bool run_slabs(struct way *w, const float *x, size_t cols, bool packed, size_t tasks,
                      void (*fn)(void *arg, size_t i), gyr_error *e) {
    struct packing p = {w, x, cols};
    for (w->begin = 0; w->begin < cols; w->begin += SLAB) {
        w->n = least(SLAB, cols - w->begin);
        if (!packed || cols > SLAB) pool_run(w->o->pool, pieces(w->o->rows, PACKED), pack_task, &p);
        if (!run(w, tasks, fn, e)) return false;
    }
    return true;
}

static float *room_of(const struct linear_op *o, size_t cols, gyr_error *e) {
    float *room = o->room ? o->room : malloc(linear_floats(o->rows, cols) * sizeof *room + 1);
    if (!room) fail_memory(e, "training");
    return room;
}

static void give_back(const struct linear_op *o, float *room) {
    if (room != o->room) free(room);
}

// ---------------------------------------------------------------------------------------------- forward

// Columns of a task: so many that what a task reads serves them all, and that threads end together.
static size_t columns(const struct linear_op *o, size_t all) {
    size_t threads = (size_t)pool_threads(o->pool), best = WIDE;
    for (size_t n = WIDE; n <= MOST_WIDE; n += WIDE)
        if (used(pieces(all, n), threads) * (double)all / (double)(pieces(all, n) * n) >=
            used(pieces(all, best), threads) * (double)all / (double)(pieces(all, best) * best))
            best = n;
    return best;
}

static size_t deep(const struct linear_op *o) { return o->shorts ? DEEP_SHORTS : DEEP_FLOATS; }

// What a task's weights take: some as floats, and a panel of them.
static size_t near_floats(const struct linear_op *o) { return o->shorts ? WIDE * DEEP_SHORTS : WIDE * DEEP_FLOATS; }

static float *scratch_of(const struct linear_op *o, size_t terms, size_t cols) {
    size_t n = least(deep(o), terms), panel = o->shorts ? shorts_panel_floats(n, cols) : n * cols;
    return aligned_alloc(64, pieces(near_floats(o) + panel, HOST_PANEL) * HOST_PANEL * sizeof(float));
}

// Some terms of n outputs from `first` on become a panel in `turned`: floats, [terms][n], or integers.
static struct shorts_panel forward_weights(const struct way *w, size_t first, size_t n, size_t k, size_t terms,
                                           float *near, float *panel) {
    const struct linear_op *o = w->o;
    struct shorts_panel shorts = o->shorts ? shorts_panel_in(panel, terms, n) : (struct shorts_panel){0};
    for (size_t c = 0; c < n; c += WIDE) {
        size_t some = least(WIDE, n - c);
        const float *there = floats_of(o, first + c);
        for (size_t i = 0; i < some && !there; i++)
            w->g->decode(o->type, row_of(o, first + c + i), w->begin + k, terms, near + i * terms);
        if (there)
            shorts_from_columns(w->g, there + w->begin + k, o->in, terms, some, shorts_panel_at(shorts, c));
        else if (o->shorts)
            shorts_from_columns(w->g, near, terms, terms, some, shorts_panel_at(shorts, c));
        else
            turn_words(near, terms, some, terms, panel + c, n);
    }
    return shorts;
}

// Outputs [first, first + n) of rows [row, row + rows).
static bool forward_panel(const struct way *w, size_t first, size_t n, size_t row, size_t rows, float *scratch) {
    const struct linear_op *o = w->o;
    float *panel = scratch + near_floats(o);
    struct host_panel p = {
        .w = panel, .w_step = n, .y = w->y + row * o->out + first, .y_row = o->out, .rows = rows, .cols = n};
    for (size_t r = 0; r < rows && !w->begin && o->bias; r++)
        for (size_t i = 0; i < n; i++) p.y[r * o->out + i] = o->bias[first + i];
    for (size_t k = 0; k < w->n; k += p.n) {
        p.n = least(deep(o), w->n - k);
        p.fresh = !w->begin && !k && !o->bias;
        struct shorts_panel shorts = forward_weights(w, first, n, k, p.n, scratch, panel);
        if (!add_piece(w, &p, &shorts, row, k)) return false;
    }
    if (w->begin + w->n < o->in) return true;
    multiply(o, &p);
    if (!o->rank) return true;
    float *b = n * o->rank <= near_floats(o) ? scratch : malloc(n * o->rank * sizeof *b);
    if (!b) return false;
    transpose(o->b + first * o->rank, o->rank, n, o->rank, b);
    bool ok = add_pair(w, &p, row, b, n);
    if (b != scratch) free(b);
    return ok;
}

static void forward_task(void *arg, size_t task) {
    struct way *w = arg;
    const struct linear_op *o = w->o;
    size_t each = columns(o, o->out), first = task / w->groups * each, row = task % w->groups * w->each;
    size_t n = least(each, o->out - first);
    float *scratch = scratch_of(o, w->n, n);
    if (!scratch || !forward_panel(w, first, n, row, least(w->each, o->rows - row), scratch))
        atomic_store(&w->failed, true);
    free(scratch);
}

static void scale_all(float *x, size_t n, float by) {
    for (size_t i = 0; i < n; i++) x[i] *= by;
}

// saved is scale * a x.
bool linear_forward(const struct linear_op *o, const float *x, float *y, float *saved, gyr_error *e) {
    struct linear_op narrow_op = {.pool = o->pool,
                                  .rows = o->rows,
                                  .in = o->in,
                                  .out = o->rank,
                                  .type = TYPE_F32,
                                  .w = o->a,
                                  .shorts = o->shorts};
    if (card_has(o)) return card_forward(o, x, y, saved, e);
    if (!card_settle(o->card, e)) return false;
    float *room = room_of(o, o->in, e);
    if (!room) return false;
    struct way narrow = {.o = &narrow_op, .g = host_gradients_here(), .packed = room, .y = saved};
    struct way wide = {.o = o, .g = narrow.g, .packed = room, .y = y, .narrow = saved};
    bool ok =
        !o->rank || run_slabs(&narrow, x, o->in, false, pieces(o->rank, columns(&narrow_op, o->rank)), forward_task, e);
    if (ok) scale_all(saved, o->rows * o->rank, o->scale);
    ok = ok && run_slabs(&wide, x, o->in, o->rank, pieces(o->out, columns(o, o->out)), forward_task, e);
    give_back(o, room);
    return ok;
}

// ------------------------------------------------------------------------------------------------- back

// Some terms of n columns of dx from `first` on become a panel.
static struct shorts_panel back_weights(const struct way *w, size_t first, size_t n, size_t i, size_t terms,
                                        float *near, float *panel) {
    const struct linear_op *o = w->o;
    struct shorts_panel shorts = o->shorts ? shorts_panel_in(panel, terms, n) : (struct shorts_panel){0};
    for (size_t t = 0; t < terms; t += SOME) {
        size_t some = least(SOME, terms - t);
        const float *there = floats_of(o, w->begin + i + t);
        float *to = o->shorts ? near : panel + t * n;
        for (size_t k = 0; k < some && !there; k++)
            w->g->decode(o->type, row_of(o, w->begin + i + t + k), first, n, to + k * n);
        if (there)
            shorts_from_rows(w->g, there + first, o->in, some, n, shorts, t);
        else if (o->shorts)
            shorts_from_rows(w->g, near, n, some, n, shorts, t);
    }
    return shorts;
}

// Columns [first, first + n) of dx = W' dy + a' (the gradient of a x), outputs and ranks in ascending order.
static bool back_columns(const struct way *w, size_t first, size_t n, size_t row, size_t rows, float *scratch) {
    const struct linear_op *o = w->o;
    float *panel = scratch + near_floats(o);
    struct host_panel p = {
        .w = panel, .w_step = n, .y = w->y + row * o->in + first, .y_row = o->in, .rows = rows, .cols = n};
    for (size_t i = 0; i < w->n; i += p.n) {
        p.n = least(deep(o), w->n - i);
        p.fresh = !w->begin && !i;
        struct shorts_panel shorts = back_weights(w, first, n, i, p.n, scratch, panel);
        if (!add_piece(w, &p, &shorts, row, i)) return false;
    }
    if (w->begin + w->n < o->out) return true;
    multiply(o, &p);
    return add_pair(w, &p, row, o->a + first, o->in);
}

static void back_task(void *arg, size_t task) {
    struct way *w = arg;
    const struct linear_op *o = w->o;
    size_t each = columns(o, o->in), first = task / w->groups * each, row = task % w->groups * w->each;
    size_t n = least(each, o->in - first);
    float *scratch = scratch_of(o, w->n, n);
    if (!scratch || !back_columns(w, first, n, row, least(w->each, o->rows - row), scratch))
        atomic_store(&w->failed, true);
    free(scratch);
}

// db[i] += the sum over rows of dy[i] * (scale * a x).
static void back_b(void *arg, size_t task) {
    struct way *w = arg;
    const struct linear_op *o = w->o;
    size_t first = task * B_ROWS;
    struct outer p = {.dy = w->dy + first,
                      .x = w->narrow,
                      .y = w->db + first * o->rank,
                      .by = 1,
                      .dy_row = o->out,
                      .x_row = o->rank,
                      .y_row = o->rank,
                      .rows = o->rows,
                      .n = least(B_ROWS, o->out - first),
                      .cols = o->rank};
    if (!outer_add(w->g, &p)) atomic_store(&w->failed, true);
}

// Columns of da[k] += the sum over rows of the gradient of (a x)[k], times x.
static void back_a(void *arg, size_t task) {
    struct way *w = arg;
    const struct linear_op *o = w->o;
    size_t first = task * A_COLUMNS;
    struct matmul p = {.x = w->narrow,
                       .x_row = 1,
                       .x_step = o->rank,
                       .w = w->x + first,
                       .w_step = o->in,
                       .y = w->da + first,
                       .y_row = o->in,
                       .n = o->rows,
                       .rows = o->rank,
                       .cols = least(A_COLUMNS, o->in - first)};
    if (!product_add(w->g, &p)) atomic_store(&w->failed, true);
}

// The gradients of a pair; `narrow` is that by a x.
static bool back_pair(const struct linear_op *o, const float *x, const float *saved, const float *dy, float *room,
                      float *narrow, float *da, float *db, gyr_error *e) {
    struct linear_op narrow_op = {.pool = o->pool,
                                  .rows = o->rows,
                                  .in = o->rank,
                                  .out = o->out,
                                  .type = TYPE_F32,
                                  .w = o->b,
                                  .shorts = o->shorts};
    struct way to_narrow = {.o = &narrow_op, .g = host_gradients_here(), .packed = room, .y = narrow};
    struct way b = {.o = o, .g = to_narrow.g, .dy = dy, .narrow = saved, .db = db};
    struct way a = {.o = o, .g = to_narrow.g, .x = x, .narrow = narrow, .da = da};
    if (!run_slabs(&to_narrow, dy, o->out, false, pieces(o->rank, columns(&narrow_op, o->rank)), back_task, e))
        return false;
    scale_all(narrow, o->rows * o->rank, o->scale);
    return run_whole(&b, pieces(o->out, B_ROWS), back_b, e) && run_whole(&a, pieces(o->in, A_COLUMNS), back_a, e);
}

bool linear_backward(const struct linear_op *o, const float *x, const float *saved, const float *dy, float *dx,
                     float *da, float *db, gyr_error *e) {
    if (dx && card_has(o)) return card_backward(o, x, saved, dy, dx, DX_IS, da, db, e);
    if (!card_settle(o->card, e)) return false;
    float *room = room_of(o, o->out, e), *narrow;
    if (!room) return false;
    narrow = malloc((o->rows * o->rank + 1) * sizeof *narrow);
    struct way cols = {.o = o, .g = host_gradients_here(), .packed = room, .narrow = narrow, .y = dx};
    bool ok = (narrow || fail_memory(e, "training")) &&
              (!o->rank || back_pair(o, x, saved, dy, room, narrow, da, db, e)) &&
              (!dx || run_slabs(&cols, dy, o->out, o->rank, pieces(o->in, columns(o, o->in)), back_task, e));
    free(narrow);
    give_back(o, room);
    return ok;
}
