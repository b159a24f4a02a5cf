// Matrices on a card. Those of quantized types and of F32 come when they are bound; F16 and BF16 when it is known what
// they are for (ready(), or their first use), because a table that is only looked up needs its rows and no planes, and
// a matrix that is multiplied planes and no rows.
#include <stdlib.h>
#include <string.h>

#include "device/gpu/kernels/runs16.h"
#include "device/gpu/lay.h"
#include "device/gpu/record.h"
#include "device/gpu/work.h"

// Bytes of 16-bit rows that go over at once; of rows that a thread lays out at a time; what rows' bodies begin at a
// multiple of.
enum { PIECE = GPU_HALF, SHARE = 256 << 10, LINE = 16 };

static bool is_16(enum type type) { return type == TYPE_F16 || type == TYPE_BF16; }

static struct card_weight *find(struct gpu *g, const struct weight *w) {
    for (struct card_weight *c = g->work->weights; c; c = c->next)
        if (c->data == w->data && c->type == w->type && c->rows == w->rows && c->cols == w->cols) return c;
    return NULL;
}

static void drop(struct gpu *g, struct card_weight *c) {
    void *all[] = {c->body, c->rest, c->unit, c->raw};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i]) gpu_free(&g->device, all[i]);
    free(c);
}

// ------------------------------------------------------------------------------- to the card

// Rows that are laid out in the memory that the card reads, by several threads.
struct laying {
    struct lay lay;
    const uint8_t *file;
    uint8_t *body, *rest;
    size_t rows, each, blocks; // `each` rows at a time
};

static void lay_share(void *arg, size_t i) {
    const struct laying *l = arg;
    size_t first = i * l->each, left = l->rows - first, body = l->blocks * l->lay.body, rest = l->blocks * l->lay.rest;
    lay_rows(&l->lay, l->file + first * (body + rest), left < l->each ? left : l->each, l->blocks,
             l->body + first * body, l->rest + first * rest);
}

// A row that is longer than that memory.
static bool send_long_row(struct gpu *g, struct laying *l, uint8_t *body_to, uint8_t *rest_to, gyr_error *e) {
    size_t body = l->blocks * l->lay.body, rest = l->blocks * l->lay.rest;
    uint8_t *row = malloc(body + rest);
    if (!row) return fail_memory(e, "a matrix on its way to the card");
    lay_rows(&l->lay, l->file, 1, l->blocks, row, row + body);
    gpu_write(&g->device, body_to, row, body);
    gpu_write(&g->device, rest_to, row + body, rest);
    free(row);
    return true;
}

// Bodies, then rests, of as many rows as there is room for. What the driver says against it is sync()'s to tell.
static bool send_rows(struct gpu *g, struct laying *l, uint8_t *body_to, uint8_t *rest_to, gyr_error *e) {
    size_t body = l->blocks * l->lay.body, rest = l->blocks * l->lay.rest;
    if (body + rest > GPU_HALF) return send_long_row(g, l, body_to, rest_to, e);
    if (!(l->body = gpu_stage(g, l->rows * (body + rest)))) return true;
    l->rest = l->body + l->rows * body;
    gpu_share(g, (l->rows + l->each - 1) / l->each, lay_share, l);
    if (gpu_send(g, body_to, l->body, l->rows * body) && rest) gpu_send(g, rest_to, l->rest, l->rows * rest);
    return true;
}

static bool send_blocks(struct gpu *g, struct card_weight *c, gyr_error *e) {
    struct lay l = lay_of(c->type);
    size_t blocks = c->cols / (l.groups * 32), body = blocks * l.body, rest = blocks * l.rest, row = body + rest;
    size_t step = row < GPU_HALF ? GPU_HALF / row : 1;
    c->body = gpu_alloc(&g->device, c->rows * body + BEHIND, e);
    c->rest = c->body ? gpu_alloc(&g->device, c->rows * rest + BEHIND, e) : NULL;
    bool ok = c->rest;
    for (size_t r = 0, n; ok && r < c->rows; r += n) {
        n = c->rows - r < step ? c->rows - r : step;
        struct laying piece = {l, (const uint8_t *)c->data + r * row, NULL, NULL, n, SHARE / row + 1, blocks};
        ok = send_rows(g, &piece, (uint8_t *)c->body + r * body, (uint8_t *)c->rest + r * rest, e);
    }
    return ok;
}

// Floats, each row padded with zeros to groups of 32: alloc() gave zeros.
static bool send_floats(struct gpu *g, struct card_weight *c, gyr_error *e) {
    size_t room = (c->cols + 31) / 32 * 32, row = c->cols * sizeof(float);
    c->body = gpu_alloc(&g->device, c->rows * room * sizeof(float), e);
    if (!c->body) return false;
    if (room == c->cols)
        gpu_write(&g->device, c->body, c->data, c->rows * row);
    else
        for (size_t r = 0; r < c->rows; r++)
            gpu_write(&g->device, (uint8_t *)c->body + r * room * sizeof(float), (const uint8_t *)c->data + r * row,
                      row);
    return true;
}

static bool send_raw(struct gpu *g, struct card_weight *c, gyr_error *e) {
    c->raw = gpu_alloc(&g->device, c->rows * c->cols * 2, e);
    if (c->raw) gpu_write(&g->device, c->raw, c->data, c->rows * c->cols * 2);
    return c->raw;
}

static void make_planes(struct gpu *g, const struct card_weight *c, const dbyte *raw, size_t first, size_t rows,
                        dfloat *unit) {
    unsigned groups = groups16((unsigned)c->cols), runs = runs16(groups);
    struct planes_args a = {raw,
                            c->body + row16_at(first, groups),
                            unit + unit16_at(first, runs),
                            (uint32_t)c->cols,
                            runs,
                            c->type == TYPE_BF16};
    work_launch(g, "planes16", rows, work_blocks(runs, RUNS16_OF_BLOCK), 1, &a, sizeof a);
    gpu_record_alone(g);
}

// Planes are made on the card, from rows that are there for that long.
static bool send_planes(struct gpu *g, struct card_weight *c, gyr_error *e) {
    unsigned groups = groups16((unsigned)c->cols);
    size_t row = c->cols * 2, step = c->raw ? c->rows : slabs16(PIECE / row + 1) * SLAB16, slabs = slabs16(c->rows);
    if (!c->body) c->body = gpu_alloc(&g->device, slabs * groups * GROUP16, e);
    dfloat *unit = c->body ? gpu_alloc(&g->device, units16(c->rows, runs16(groups)) * sizeof(float), e) : NULL;
    if (step > c->rows) step = c->rows;
    dbyte *raw = !unit ? NULL : c->raw ? c->raw : work_scratch(g, SCRATCH_CODES, step * row);
    for (size_t r = 0, n; raw && r < c->rows; r += n) {
        n = c->rows - r < step ? c->rows - r : step;
        if (!c->raw) gpu_write(&g->device, raw, (const uint8_t *)c->data + r * row, n * row);
        make_planes(g, c, raw, r, n, unit);
    }
    if (raw)
        c->unit = unit;
    else if (unit)
        gpu_free(&g->device, unit);
    return raw;
}

static bool send_grid(struct gpu *g, enum type type, gyr_error *e) {
    size_t words = lay_grid(type, NULL);
    if (!words || g->work->grid[type]) return true;
    uint32_t *host = malloc(words * sizeof *host);
    dword *there = host ? gpu_alloc(&g->device, words * sizeof *host, e) : NULL;
    if (there) {
        lay_grid(type, host);
        gpu_write(&g->device, there, host, words * sizeof *host);
        g->work->grid[type] = there;
    } else if (!host)
        fail_memory(e, "a grid");
    free(host);
    return there;
}

// ------------------------------------------------------------------------------- the list

static bool check_shape(const struct weight *w, gyr_error *e) {
    const struct type_info *info = type_info(w->type);
    size_t row = info ? type_row_bytes(w->type, w->cols) : 0, all;
    if (!row || __builtin_mul_overflow(row, w->rows, &all))
        return fail(e, GYR_MALFORMED, "a %zu x %zu matrix of type %u: not a shape this type has", w->rows, w->cols,
                    (unsigned)w->type);
    if (w->rows > INT32_MAX || w->cols > INT32_MAX / 4)
        return fail(e, GYR_UNSUPPORTED, "a %zu x %zu matrix: more than a card's kernels count", w->rows, w->cols);
    return true;
}

static struct card_weight *add(struct gpu *g, const struct weight *w, gyr_error *e) {
    if (!check_shape(w, e)) return NULL;
    struct card_weight *c = calloc(1, sizeof *c);
    if (!c) return fail_memory(e, "a matrix"), NULL;
    *c = (struct card_weight){.data = w->data, .type = w->type, .rows = w->rows, .cols = w->cols};
    bool ok = !type_info(w->type)->quantized || (gpu_want(g, w->type, e) && send_grid(g, w->type, e));
    if (ok && !is_16(w->type)) ok = (w->type == TYPE_F32 ? send_floats : send_blocks)(g, c, e);
    if (!ok) {
        drop(g, c);
        return NULL;
    }
    c->next = g->work->weights;
    g->work->weights = c;
    return c;
}

bool work_weight_bind(struct device *d, struct weight *w, gyr_error *e) {
    struct gpu *g = gpu_of(d);
    if (!g->work && !(g->work = calloc(1, sizeof *g->work))) return fail_memory(e, "a card's work");
    if (!check_shape(w, e)) return false;
    struct card_weight *c = find(g, w);
    if (!c && !(c = add(g, w, e))) return false;
    c->holders++;
    w->own = c;
    return true;
}

void work_weight_unbind(struct device *d, struct weight *w) {
    struct gpu *g = gpu_of(d);
    struct card_weight *c = w->own;
    w->own = NULL;
    if (!c || --c->holders) return;
    work_tables_free(g);
    for (struct card_weight **p = &g->work->weights; *p; p = &(*p)->next)
        if (*p == c) {
            *p = c->next;
            drop(g, c);
            return;
        }
}

// Where the output is the embedding it was never bound.
const struct card_weight *work_weight(struct gpu *g, const struct weight *w, bool rows_of_file) {
    if (!work_begin(g)) return NULL;
    struct card_weight *c = w->own ? w->own : find(g, w);
    gyr_error e = {0};
    bool ok = c || (c = add(g, w, &e));
    if (ok && is_16(c->type) && rows_of_file && !c->raw) ok = send_raw(g, c, &e);
    if (ok && is_16(c->type) && !rows_of_file && !c->unit) ok = send_planes(g, c, &e);
    if (ok) return c;
    if (e.status) gpu_fails(g, e.status, "%s", e.message);
    return NULL;
}

void work_weight_ready(struct device *d, const struct weight *w, bool looked_up) {
    work_weight(gpu_of(d), w, looked_up);
}

void work_weights_free(struct gpu *g) {
    while (g->work->weights) {
        struct card_weight *c = g->work->weights;
        g->work->weights = c->next;
        drop(g, c);
    }
}
