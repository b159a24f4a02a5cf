// Attention on a card: projections to the cache, and what is read from it.
#include <limits.h>

#include "device/gpu/work.h"

_Static_assert(sizeof(struct attention_row) == 24 && offsetof(struct attention_row, state) == 16, "kernels/args.h");

enum { SPAN = 512, PARTS = 64 << 20 };

// What the kernels of kernels/attend_few.cu, attend_codes.cu and attend_many.cu take, and from how many blocks on they
// are used: a large card has 132 processors.
enum { FEW_DIM = 256, FEW_BLOCKS = 264, MANY = 32, MANY_DIM = 128, MANY_BLOCKS = 96 };

static struct cache_shape shape_of(const struct kv_shape *s) {
    uint32_t type = s->type == TYPE_F32 ? CACHE_F32 : s->type == TYPE_F16 ? CACHE_F16 : CACHE_Q8;
    return (struct cache_shape){type, (uint32_t)s->heads, (uint32_t)s->key_dim, (uint32_t)s->value_dim};
}

static struct cached cached(struct kv_array a) { return (struct cached){a.slab, a.at}; }

static struct vectors vectors(const struct projected *p) { return (struct vectors){p->x, p->row, p->step}; }

// Where there are few blocks, each has as many heads as its threads have items for, and no work behind other work.
static void launch_qkv(struct gpu *g, struct qkv_args *a, size_t rows) {
    size_t own = THREADS / (a->kv.key_dim - a->rotary_dim / 2), heads = a->k.slab ? a->kv.heads : 0;
    size_t processors = g->chip.processors > 0 ? (size_t)g->chip.processors : 1;
    a->each = QUERY_HEADS;
    a->apart = rows * (work_blocks(a->heads, QUERY_HEADS) + heads) < processors;
    if (a->apart && own < QUERY_HEADS) a->each = own ? (uint32_t)own : 1;
    work_launch(g, "qkv", rows, work_blocks(a->heads, a->each) + heads * (a->apart ? 2 : 1), 1, a, sizeof *a);
}

void work_qkv(struct device *d, const struct qkv *q) {
    struct qkv_args a = {.q_in = vectors(&q->q_in),
                         .k_in = vectors(&q->k_in),
                         .v_in = vectors(&q->v_in),
                         .q_norm = q->q_norm,
                         .k_norm = q->k_norm,
                         .angles = q->angles,
                         .q = q->q,
                         .row = q->at.row,
                         .pages = q->at.pages,
                         .k = cached(q->k),
                         .v = cached(q->v),
                         .kv = shape_of(&q->kv),
                         .norm_step = q->norm_step,
                         .heads = (uint32_t)q->heads,
                         .rotary_dim = (uint32_t)q->rotary_dim,
                         .adjacent = q->pairs == PAIRS_ADJACENT,
                         .layer_norm = q->norm == NORM_LAYER,
                         .norm_eps = q->norm_eps};
    work_writes(gpu_of(d), q->q, q->rows * q->heads * q->kv.key_dim * sizeof(float));
    launch_qkv(gpu_of(d), &a, q->rows);
}

// Of neighbouring queries that share a key head, those of one sequence share its keys: where most of a block's do, and
// there are blocks enough, many at a time. Rows of one sequence each have blocks of their own.
static bool are_many(struct attend_args *a, size_t neighbours, size_t *tiles) {
    size_t group = a->heads / a->kv.heads;
    a->apart = neighbours < 2;
    *tiles = a->apart ? a->rows * work_blocks(group, MANY) : work_blocks(a->rows * group, MANY);
    return a->kv.type == CACHE_F16 && !a->slopes && !a->softcap && a->kv.key_dim % 4 == 0 && a->kv.value_dim % 4 == 0 &&
           a->kv.value_dim <= MANY_DIM && neighbours * group >= MANY * 3 / 4 &&
           *tiles * a->kv.heads * a->spans >= MANY_BLOCKS && a->kv.heads <= USHRT_MAX && a->spans <= USHRT_MAX;
}

// Of what products read, it writes `out` alone.
static void launch(struct gpu *g, const char *kernel, size_t x, size_t y, size_t z, const struct attend_args *a) {
    work_writes(g, a->out, (size_t)a->rows * a->heads * a->kv.value_dim * sizeof(float));
    work_launch(g, kernel, x, y, z, a, sizeof *a);
}

// Where few rows, heads and spans leave a card's processors idle, heads that share a key head have blocks of their own.
static void launch_few(struct gpu *g, const struct attend_args *a) {
    size_t group = a->heads / a->kv.heads;
    bool alone = group < 3 || (size_t)a->rows * a->heads * a->spans < FEW_BLOCKS, codes = a->kv.type == CACHE_Q8;
    const char *kernel = codes ? alone ? "attend_codes_1" : "attend_codes_4" : alone ? "attend_1" : "attend_4";
    size_t blocks = alone ? a->heads : a->kv.heads * work_blocks(group, 4);
    launch(g, kernel, a->spans, blocks, a->rows, a);
}

// `all`: these are all rows of `out`; whoever makes that leaves its codes too, if he has whole groups of it.
static void launch_attend(struct gpu *g, struct attend_args *a, size_t neighbours, bool all) {
    size_t tiles, dim = a->kv.value_dim;
    bool few = !a->chosen && a->kv.key_dim <= FEW_DIM && dim <= FEW_DIM, many = few && are_many(a, neighbours, &tiles);
    bool joined = !few || a->spans > 1;
    struct rounded *r = all && (joined || !many) ? work_round_along(g, a->out, a->rows, a->heads * dim, dim) : NULL;
    if (r) a->round = r->args;
    if (many)
        launch(g, "attend_many", tiles, a->spans, a->kv.heads, a);
    else if (few)
        launch_few(g, a);
    else
        launch(g, "attend", a->spans, a->heads, a->rows, a);
    if (joined) launch(g, "join", a->heads, a->rows, 1, a);
    if (r) r->good = true;
}

// As many rows at a time as have room for their parts.
void work_attention(struct device *d, const struct attention *t) {
    struct gpu *g = gpu_of(d);
    size_t neighbours = t->at.sequences ? t->rows / t->at.sequences : 1; // rows of a sequence
    size_t spans = work_blocks(t->at.longest, SPAN), out = t->heads * t->kv.value_dim;
    size_t row = t->heads * spans * (t->kv.value_dim + PART_MORE) * sizeof(float), most = PARTS / (row + !row);
    if (most < 1) most = 1;
    if (most > t->rows) most = t->rows;
    if (most > USHRT_MAX) most = USHRT_MAX;
    dfloat *part = t->rows ? work_scratch(g, SCRATCH_PARTS, most * row) : NULL;
    for (size_t r = 0, n; part && r < t->rows; r += n) {
        n = t->rows - r < most ? t->rows - r : most;
        struct attend_args a = {.q = t->q + r * t->heads * t->kv.key_dim,
                                .slopes = t->slopes,
                                .sinks = t->sinks,
                                .part = part,
                                .out = t->out + r * out,
                                .row = t->at.row + r,
                                .pages = t->at.pages,
                                .chosen = t->chosen ? t->chosen + r * t->most : NULL,
                                .k = cached(t->k),
                                .v = cached(t->v),
                                .kv = shape_of(&t->kv),
                                .rows = (uint32_t)n,
                                .heads = (uint32_t)t->heads,
                                .spans = (uint32_t)spans,
                                .window = t->window,
                                .most = (uint32_t)t->most,
                                .alibi_bf16 = t->alibi_bf16,
                                .scale = t->scale,
                                .softcap = t->softcap};
        launch_attend(g, &a, neighbours, n == t->rows);
    }
}
