// Products by AMX with quantized weights whose scales are integers. A code times its scale is an integer of at most
// thirteen bits: one plane of bytes, or a high one, signed, and a low one. So sums go on for a whole piece (tile.h)
// before they leave the tile registers. They are the exact integers that the other instruction sets have, and the float
// operations after them are the same.
//
// Products are a stream, through all panels of a chunk: while the vector units add a run, the next one is multiplied.
#include "device/cpu/isa.h"
#include "device/cpu/panel_q_amx.h"
#include "device/cpu/sums_amx.h"
#include "device/cpu/unpack_tile.h"

// A chunk is a block, which is two runs, of TILES output tiles. BLOCKS chunks take a segment's activations before the
// next segment's are fetched from farther away than the second cache.
enum { RUNS = 2, TILES = 2, BLOCKS = 4, MAX_UNIT = 3360 };

// A run of a tile; of minima, those of two groups, or halves, beside each other in a lane.
struct chunk {
    w8 w[2][RUN * WORDS];
    w32 m[RUN];
    wf d, dm;
};

// Two codes in sixteen bits each, times the scale of their row.
INLINE w32 scaled(w32 codes, w32 zero, w32 scale) { return _mm512_mullo_epi16(_mm512_sub_epi16(codes, zero), scale); }

// Vector `at` of a run. A single plane has the integers negated, because -4 * -32 is no signed byte.
INLINE void put_planes(struct chunk *c, size_t at, w8 v, w32 zero, w32 scale, int planes) {
    w32 byte = _mm512_set1_epi16(255);
    w32 even = scaled(_mm512_and_si512(v, byte), zero, scale), odd = scaled(_mm512_srli_epi16(v, 8), zero, scale);
    w8 low = _mm512_or_si512(_mm512_and_si512(even, byte), _mm512_slli_epi16(odd, 8));
    w8 high = _mm512_or_si512(_mm512_srli_epi16(even, 8), _mm512_andnot_si512(byte, odd));
    c->w[0][at] = planes == 2 ? high : low;
    c->w[1][at] = low;
}

// Two numbers of a row beside each other.
INLINE w32 pair(wf low, wf high) {
    w32 a = _mm512_and_si512(_mm512_cvtps_epi32(low), _mm512_set1_epi32(0xffff));
    return _mm512_or_si512(a, _mm512_slli_epi32(_mm512_cvtps_epi32(high), 16));
}

typedef void unpack_fn(const uint8_t *block, struct chunk c[RUNS]);

// Those whose codes times scales fit a signed byte have one plane.
#define PLANES(TYPE)                                                                                                   \
    (TYPE_##TYPE == TYPE_Q2_K || TYPE_##TYPE == TYPE_Q3_K || TYPE_##TYPE == TYPE_TQ1_0 || TYPE_##TYPE == TYPE_TQ2_0    \
         ? 1                                                                                                           \
         : 2)

#define UNPACK(TYPE, name, groups, halves, piece, offset, zero, head, bytes)                                           \
    static void unpack_##name(const uint8_t *b, struct chunk c[RUNS]) {                                                \
        wf s[groups * halves], m[groups * halves];                                                                     \
        w32 raised = _mm512_set1_epi16(zero);                                                                          \
        tile_scales_##name(b, (struct tile_scales){s, m, &c->d, &c->dm, NULL});                                        \
        if (PLANES(TYPE) == 1) c->d = wf_neg(c->d);                                                                    \
        for (int i = 0; i < RUNS; i++) {                                                                               \
            c[i].d = c->d;                                                                                             \
            c[i].dm = c->dm;                                                                                           \
            for (int k = 0; offset && k < RUN * halves / 2; k++) {                                                     \
                const wf *of = m + i * RUN * halves + 2 * k;                                                           \
                c[i].m[k] = pair(of[0], of[1]);                                                                        \
            }                                                                                                          \
            for (int g = 0; g < RUN; g++) {                                                                            \
                w8 w[WORDS];                                                                                           \
                const wf *of = s + (i * RUN + g) * halves;                                                             \
                planes_##name(b + head + (i * RUN + g) * (bytes), w);                                                  \
                for (int h = 0; h < halves; h++) {                                                                     \
                    wf by = PLANES(TYPE) == 1 ? wf_neg(of[h]) : of[h];                                                 \
                    w32 scale = pair(by, by);                                                                          \
                    for (int j = h * WORDS / halves; j < (h + 1) * WORDS / halves; j++)                                \
                        put_planes(c + i, (size_t)(g * WORDS + j), w[j], raised, scale, PLANES(TYPE));                 \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
    }
INTEGER_TYPES(UNPACK)

#define UNPACK_OF(TYPE, name, groups, halves, piece, offset, zero, head, bytes) [TYPE_##TYPE] = unpack_##name,
static unpack_fn *const unpack[TYPE_LIMIT] = {INTEGER_TYPES(UNPACK_OF)};

// Tile registers 0 to 3 are sums, 4 and 5 activations, 6 and 7 weights. A piece of one group has half the columns.
static void amx_begin(const struct form *f) {
    struct tile_shape shape = {0};
    for (int i = 0; i < 8; i++) {
        shape.bytes[i] = (i == 4 || i == 5) && f->piece == 1 ? GROUP : VECTOR;
        shape.rows[i] = i > 5 && f->piece == 1 ? WORDS : TILE;
    }
    tile_shape_load(&shape);
}

// Sums of a run's pieces, of either plane.
typedef int32_t run_sums[RUN][2][TILE][TILE];

// A tile's runs by a panel's.
struct job {
    const struct chunk *c;
    const struct run_panel *x;
};

// A tile of activations by the planes of one of weights; the sums are in registers HIGH and LOW.
#define MULTIPLY(HIGH, LOW, A, from, weights, planes)                                                                  \
    do {                                                                                                               \
        _tile_loadd(A, from, 2 * GROUP);                                                                               \
        _tile_loadd(6, weights, VECTOR);                                                                               \
        _tile_dpbssd(HIGH, A, 6);                                                                                      \
        if ((planes) == 2) {                                                                                           \
            _tile_loadd(7, (weights) + RUN * WORDS, VECTOR);                                                           \
            _tile_dpbsud(LOW, A, 7);                                                                                   \
        }                                                                                                              \
    } while (0)

#define STORE(HIGH, LOW, to, planes)                                                                                   \
    do {                                                                                                               \
        _tile_stored(HIGH, (to)[0], VECTOR);                                                                           \
        if ((planes) == 2) _tile_stored(LOW, (to)[1], VECTOR);                                                         \
    } while (0)

#define CLEAR(HIGH, LOW)                                                                                               \
    do {                                                                                                               \
        _tile_zero(HIGH);                                                                                              \
        _tile_zero(LOW);                                                                                               \
    } while (0)

// A quarter of what multiplies a run, by pieces of one, two or four groups. Sums are stored as late as their registers
// allow, since a product takes its time: those of whole runs and of pairs after the next run's first products (`out` is
// where the run before goes), those of groups two products later.
INLINE void multiply_groups(int quarter, const w8 *w, const struct run_panel *x, run_sums out, int planes) {
    switch (quarter) {
    case 0:
        CLEAR(0, 1);
        MULTIPLY(0, 1, 4, x->q[0][0], w, planes);
        CLEAR(2, 3);
        MULTIPLY(2, 3, 5, x->q[0][0] + GROUP, w + WORDS, planes);
        return;
    case 1:
        STORE(0, 1, out[0], planes);
        CLEAR(0, 1);
        MULTIPLY(0, 1, 4, x->q[1][0], w + 2 * WORDS, planes);
        return;
    case 2:
        STORE(2, 3, out[1], planes);
        CLEAR(2, 3);
        MULTIPLY(2, 3, 5, x->q[1][0] + GROUP, w + 3 * WORDS, planes);
        return;
    case 3:
        STORE(0, 1, out[2], planes);
        STORE(2, 3, out[3], planes);
        return;
    }
}

INLINE void multiply_pairs(int quarter, const w8 *w, const struct run_panel *x, run_sums out, int planes) {
    switch (quarter) {
    case 0:
        STORE(0, 1, out[0], planes);
        CLEAR(0, 1);
        MULTIPLY(0, 1, 4, x->q[0], w, planes);
        return;
    case 2:
        STORE(2, 3, out[1], planes);
        CLEAR(2, 3);
        MULTIPLY(2, 3, 5, x->q[1], w + 2 * WORDS, planes);
        return;
    }
}

INLINE void multiply_whole(int quarter, const w8 *w, const struct run_panel *x, run_sums out, int planes, bool odd) {
    switch (quarter * 2 + odd) {
    case 0:
        CLEAR(0, 1);
        MULTIPLY(0, 1, 4, x->q[0], w, planes);
        return;
    case 1:
        CLEAR(2, 3);
        MULTIPLY(2, 3, 4, x->q[0], w, planes);
        return;
    case 2: STORE(2, 3, out[0], planes); return;
    case 3: STORE(0, 1, out[0], planes); return;
    case 4: MULTIPLY(0, 1, 5, x->q[1], w + 2 * WORDS, planes); return;
    case 5: MULTIPLY(2, 3, 5, x->q[1], w + 2 * WORDS, planes); return;
    }
}

// What types differ in: planes; groups of a piece; pairs of minima.
struct kind {
    int planes, piece, minima;
};

// How many runs are multiplied before one is added.
INLINE size_t lead(struct kind k) { return k.piece == 1 ? 1 : 2; }

INLINE void multiply(int quarter, const struct job *j, size_t i, run_sums out, struct kind k, bool odd) {
    const w8 *w = j->c[i].w[0];
    const struct run_panel *x = j->x + i;
    if (k.piece == 1)
        multiply_groups(quarter, w, x, out, k.planes);
    else if (k.piece == 2)
        multiply_pairs(quarter, w, x, out, k.planes);
    else
        multiply_whole(quarter, w, x, out, k.planes, odd);
}

// What run i of a job gives for row r, before it is multiplied by the row's scale.
INLINE wf run_of(const struct job *j, size_t i, size_t r, run_sums sums, struct kind k) {
    const struct chunk *c = j->c + i;
    wf run = c->d;
    UNROLL(4)
    for (int p = 0; p < RUN / k.piece; p++) {
        w32 sum = w8_load(sums[p][0][r]);
        if (k.planes == 2) sum = w32_add(w32_shift8(sum), w8_load(sums[p][1][r]));
        run = p ? wf_fma(c->d, wf_of(sum), run) : wf_mul(c->d, wf_of(sum));
    }
    w32 low = w32_zero();
    UNROLL(4)
    for (int m = 0; m < k.minima; m++) low = _mm512_dpwssd_epi32(low, c->m[m], w32_fill(&j->x[i].low[r][m]));
    return k.minima ? wf_fma(c->dm, wf_of(low), run) : run;
}

// The sums of a run while they are added, and those of the next. The two lie so that a whole run's differ in the low
// twelve bits of their addresses: a load waits for a store before it that has the same.
struct stream {
    struct {
        run_sums sums;
        uint8_t apart[2 * TILE * VECTOR];
    } ring[RUNS];
} __attribute__((aligned(64)));

// A share of the panel that is wanted next, from the second cache.
INLINE void fetch_panel(const struct run_panel *x, size_t share) {
    enum { LINES = sizeof(struct run_panel) / VECTOR, EACH = (LINES + TILES - 1) / TILES };
    UNROLL(20)
    for (size_t i = 0; i < EACH; i++) __builtin_prefetch((const uint8_t *)x + (share * EACH + i) * VECTOR);
}

// The runs of a job, of which the first, or both, are in the stream; the next job's follow. `ahead` is the panel after
// this job's. n is 0 in an empty segment, else RUNS.
INLINE void add_job(struct stream *v, const struct job *j, const struct job *next, const struct run_panel *ahead,
                    size_t share, size_t n, struct kind k, struct sums *sums, size_t at, struct part p) {
    enum { QUARTER = TILE / 4 };
    wf acc[TILE];
    panel_begin(sums, at, p, acc);
    if (n) {
        UNROLL(2)
        for (size_t i = 0; i < RUNS; i++) {
            UNROLL(4)
            for (size_t q = 0; q < 4; q++) {
                bool both = lead(k) == RUNS;
                multiply((int)q, both || i ? next : j, both ? i : !i, v->ring[!i].sums, k, i);
                UNROLL(4)
                for (size_t r = q * QUARTER; r < (q + 1) * QUARTER; r++)
                    acc[r] = wf_fma(run_of(j, i, r, v->ring[i].sums, k), wf_fill(j->x[i].d[r]), acc[r]);
            }
            fetch_panel(ahead + i, share);
        }
    }
    panel_end(sums, at, p, acc);
}

typedef void job_fn(struct stream *v, const struct job *j, const struct job *next, const struct run_panel *ahead,
                    size_t share, size_t n, struct sums *sums, size_t at, struct part p);
typedef void begin_fn(struct stream *v, const struct job *j);

#define KIND(name, planes, piece, minima)                                                                              \
    static void add_##name(struct stream *v, const struct job *j, const struct job *next,                              \
                           const struct run_panel *ahead, size_t share, size_t n, struct sums *sums, size_t at,        \
                           struct part p) {                                                                            \
        add_job(v, j, next, ahead, share, n, (struct kind){planes, piece, minima}, sums, at, p);                       \
    }                                                                                                                  \
    static void begin_##name(struct stream *v, const struct job *j) {                                                  \
        struct kind k = {planes, piece, minima};                                                                       \
        for (size_t i = 0; i < lead(k); i++)                                                                           \
            for (int q = 0; q < 4; q++) multiply(q, j, i, v->ring[lead(k) == 1 ? i : !i].sums, k, i);                  \
    }
#define KINDS(X)                                                                                                       \
    X(one4, 1, 4, 0)                                                                                                   \
    X(one4_halves, 1, 4, 4)                                                                                            \
    X(two4, 2, 4, 0)                                                                                                   \
    X(two4_groups, 2, 4, 2)                                                                                            \
    X(two2, 2, 2, 0)                                                                                                   \
    X(two2_groups, 2, 2, 2)                                                                                            \
    X(two1, 2, 1, 0)
KINDS(KIND)

#define IN_TABLE(name, planes, piece, minima) {planes, piece, minima, begin_##name, add_##name},
static const struct {
    int planes, piece, minima;
    begin_fn *begin;
    job_fn *add;
} kinds[] = {KINDS(IN_TABLE)};

// Types by their kinds: every type's product is tested.
static size_t kind_of(enum type type, const struct form *f) {
#define PLANES_OF(TYPE, ...) [TYPE_##TYPE] = PLANES(TYPE),
    static const int planes[TYPE_LIMIT] = {INTEGER_TYPES(PLANES_OF)};
    size_t i = 0, minima = f->offset ? 2 * f->halves : 0;
    while (kinds[i].planes != planes[type] || (size_t)kinds[i].piece != f->piece || (size_t)kinds[i].minima != minima)
        i++;
    return i;
}

// One call's work: what the parts below share.
struct call {
    const struct weight *w;
    const struct run_panel *x;
    size_t kind, panels, blocks, unit, tile_bytes; // blocks of a row, bytes of one of sixteen rows
    struct chunk (*chunk)[RUNS];
    uint8_t *room; // for a block made from the file's rows
};

// A segment of `tiles` tiles.
static void segment(const struct call *c, size_t tile, size_t tiles, unsigned s, struct sums *sums, struct stream *v) {
    size_t first = segment_start(c->blocks, s), last = segment_start(c->blocks, s + 1), b = first;
    size_t runs = (last - first) * RUNS, n = last > first ? RUNS : 0, jobs = c->panels * tiles;
    do {
        struct part p = {s, b == first, b + 1 >= last};
        for (size_t t = 0; n && t < tiles; t++) {
            const uint8_t *from = tile_units(c->w, tile + t, c->tile_bytes, c->unit, b, 1, c->room);
            unpack[c->w->type](from, c->chunk[t]);
            for (size_t i = 0; c->w->own && i < c->unit; i += VECTOR) __builtin_prefetch(from + c->unit + i, 0, 2);
        }
        struct job job = {c->chunk[0], c->x + amx_at(c->panels, 0, first * RUNS, runs) + (b - first) * RUNS};
        if (n) kinds[c->kind].begin(v, &job);
        for (size_t i = 0; i < jobs; i++) {
            size_t t = i % tiles, r = i / tiles;
            const struct run_panel *ahead = r + 1 < c->panels ? job.x + runs : job.x;
            struct job next = t + 1 < tiles ? (struct job){job.c + RUNS, job.x} : (struct job){c->chunk[0], ahead};
            kinds[c->kind].add(v, &job, &next, ahead, t, n, sums, SUM(r * TILE, t), p);
            job = next;
        }
    } while (++b < last);
}

void KERNEL(matmul_runs)(const struct weight *w, const void *x, size_t rows, const float *bias, float *y, size_t first,
                         size_t last) {
    const struct form *f = tile_form(w->type);
    struct sums sums[BLOCKS];
    struct stream stream;
    struct chunk chunk[TILES][RUNS];
    uint8_t room[MAX_UNIT];
    struct call c = {w, x, kind_of(w->type, f), amx_panels(rows), w->cols / GROUP / f->groups};
    c.unit = f->head + f->groups * f->group;
    c.tile_bytes = tile_bytes(w);
    c.chunk = chunk;
    c.room = room;
    amx_begin(f);
    for (size_t t = first, end; t < last; t = end) {
        end = last - t < BLOCKS * TILES ? last : t + BLOCKS * TILES;
        for (unsigned s = 0; s < SEGMENTS; s++)
            for (size_t i = t; i < end; i += TILES)
                segment(&c, i, end - i < TILES ? end - i : TILES, s, &sums[(i - t) / TILES], &stream);
        for (size_t i = t; i < end; i += TILES)
            sums_put(&sums[(i - t) / TILES], rows, w, i, end - i < TILES ? end - i : TILES, bias, y);
    }
    _tile_release();
}
