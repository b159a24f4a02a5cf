// Products by AMX with quantized weights whose scales are floats (others: matmul_runs_amx.c). A product of tiles is
// sixteen rows of activations by sixteen outputs of a group of 32 weights: its sums are the exact integers that the
// other instruction sets have, and the float operations after them are the same. What amx_takes() does not take is
// AVX-512's.
//
// Sums leave the tile registers through memory. Products are a stream, through all panels of a chunk: while the vector
// units add group g, the sums of group g + 1 are stored and group g + 2 is multiplied, so that none waits for another.
#include "device/cpu/isa.h"
#include "device/cpu/panel_q_amx.h"
#include "device/cpu/sums_amx.h"
#include "device/cpu/unpack_tile.h"

// A chunk is so many groups of four output tiles, which fits the first cache with two panels. BLOCKS chunks take a
// segment's activations before the next segment's are fetched from farther away than the second cache.
enum { CHUNK = 10, TILES = 2 * WIDE_TILES, BLOCKS = 2, RING = 4, MAX_UNIT = 576 };

struct chunk {
    w8 w[CHUNK][WORDS];
    wf s[CHUNK], m[CHUNK];
};

typedef void unpack_fn(const uint8_t *b, const struct form *f, size_t groups, struct chunk *c);

// Codes with their sign.
#define UNPACK(name)                                                                                                   \
    static void unpack_##name(const uint8_t *b, const struct form *f, size_t groups, struct chunk *c) {                \
        w8 zero = _mm512_set1_epi8((char)f->zero);                                                                     \
        for (size_t i = 0; i < groups; i++, b += f->head + f->group) {                                                 \
            w8 w[WORDS];                                                                                               \
            tile_scales_##name(b, (struct tile_scales){c->s + i, c->m + i, NULL, NULL, NULL});                         \
            planes_##name(b + f->head, w);                                                                             \
            for (int j = 0; j < WORDS; j++) c->w[i][j] = _mm512_sub_epi8(w[j], zero);                                  \
        }                                                                                                              \
    }
UNPACK(q4_0)
UNPACK(q4_1)
UNPACK(q5_0)
UNPACK(q5_1)
UNPACK(q8_0)
UNPACK(iq4_nl)
UNPACK(mxfp4)

static unpack_fn *const unpack[TYPE_LIMIT] = {
    [TYPE_Q4_0] = unpack_q4_0, [TYPE_Q4_1] = unpack_q4_1,     [TYPE_Q5_0] = unpack_q5_0,   [TYPE_Q5_1] = unpack_q5_1,
    [TYPE_Q8_0] = unpack_q8_0, [TYPE_IQ4_NL] = unpack_iq4_nl, [TYPE_MXFP4] = unpack_mxfp4,
};

// Tile registers 0 and 1 are sums, 2 and 3 activations, 4 and 5 weights.
static void amx_begin(void) {
    struct tile_shape shape = {0};
    for (int i = 0; i < 6; i++) {
        shape.bytes[i] = i == 2 || i == 3 ? GROUP : VECTOR;
        shape.rows[i] = i > 3 ? WORDS : TILE;
    }
    tile_shape_load(&shape);
}

// A tile's groups by a panel's.
struct job {
    const struct chunk *c;
    const struct panel *x;
};

// The last products, and how many there were.
struct stream {
    int32_t ring[RING][TILE][TILE];
    size_t turn;
} __attribute__((aligned(64)));

INLINE void multiply(size_t turn, const struct job *j, size_t g) {
    if (turn % 2) {
        _tile_loadd(3, j->x[g].q, GROUP);
        _tile_loadd(5, j->c->w[g], VECTOR);
        _tile_zero(1);
        _tile_dpbssd(1, 3, 5);
    } else {
        _tile_loadd(2, j->x[g].q, GROUP);
        _tile_loadd(4, j->c->w[g], VECTOR);
        _tile_zero(0);
        _tile_dpbssd(0, 2, 4);
    }
}

INLINE void store(struct stream *v, size_t turn) {
    if (turn % 2)
        _tile_stored(1, v->ring[turn % RING], VECTOR);
    else
        _tile_stored(0, v->ring[turn % RING], VECTOR);
}

// The first job's first two groups; where jobs have but one, each begins a stream.
static void stream_begin(struct stream *v, const struct job *j, size_t n) {
    multiply(0, j, 0);
    multiply(1, j, n > 1);
    store(v, 0);
    v->turn = 2;
}

// A quarter of the panel that is wanted next, from the second cache.
INLINE void fetch_panel(const struct panel *x, size_t quarter) {
    enum { LINES = sizeof(struct panel) / VECTOR, EACH = (LINES + TILES - 1) / TILES };
    UNROLL(3)
    for (size_t i = 0; i < EACH; i++) __builtin_prefetch((const uint8_t *)x + (quarter * EACH + i) * VECTOR);
}

// n groups of a job, whose first two products are in the stream; those of the next job follow. `ahead` is the panel
// after this job's.
INLINE void add_job(struct stream *v, const struct job *j, const struct job *next, const struct panel *ahead,
                    size_t quarter, size_t n, bool offset, struct sums *sums, size_t at, struct part p) {
    wf acc[TILE];
    size_t turn = v->turn;
    panel_begin(sums, at, p, acc);
    for (size_t g = 0; g < n; g++, turn++) {
        bool more = g + 2 < n;
        size_t then = more ? g + 2 : g + 2 - n;
        multiply(turn, more ? j : next, then < n ? then : 0);
        store(v, turn - 1);
        const struct panel *x = j->x + g;
        int32_t(*sum)[TILE] = v->ring[(turn - 2) % RING];
        wf s = j->c->s[g], m = offset ? j->c->m[g] : s;
        UNROLL(16)
        for (size_t r = 0; r < TILE; r++) {
            acc[r] = wf_fma(wf_mul(s, wf_fill(x->d[r])), wf_of(w8_load(sum[r])), acc[r]);
            if (offset) acc[r] = wf_fma(m, wf_fill(x->low[r]), acc[r]);
        }
        fetch_panel(ahead + g, quarter);
    }
    v->turn = turn;
    panel_end(sums, at, p, acc);
}

typedef void job_fn(struct stream *v, const struct job *j, const struct job *next, const struct panel *ahead,
                    size_t quarter, size_t n, struct sums *sums, size_t at, struct part p);

static void add_plain(struct stream *v, const struct job *j, const struct job *next, const struct panel *ahead,
                      size_t quarter, size_t n, struct sums *sums, size_t at, struct part p) {
    add_job(v, j, next, ahead, quarter, n, false, sums, at, p);
}

static void add_offset(struct stream *v, const struct job *j, const struct job *next, const struct panel *ahead,
                       size_t quarter, size_t n, struct sums *sums, size_t at, struct part p) {
    add_job(v, j, next, ahead, quarter, n, true, sums, at, p);
}

// One call's work: what the parts below share.
struct call {
    const struct weight *w;
    const struct form *f;
    const struct panel *x;
    size_t panels, groups, unit, tile_bytes; // groups of a row, bytes of one of sixteen rows
    struct chunk *chunk;
    uint8_t *room; // for a chunk made from the file's rows
};

// Groups [first, first + n) of `tiles` tiles, unpacked; what follows them comes from memory meanwhile.
static void unpack_chunk(const struct call *c, size_t tile, size_t tiles, size_t first, size_t n) {
    for (size_t t = 0; t < tiles; t++) {
        const uint8_t *from = tile_units(c->w, tile + t, c->tile_bytes, c->unit, first, n, c->room);
        unpack[c->w->type](from, c->f, n, c->chunk + t);
        for (size_t i = 0; c->w->own && i < n * c->unit; i += VECTOR) __builtin_prefetch(from + n * c->unit + i, 0, 2);
    }
}

// A segment of `tiles` tiles; sums of two of them lie together.
static void segment(const struct call *c, size_t tile, size_t tiles, unsigned s, struct sums *sums, struct stream *v) {
    size_t first = segment_start(c->groups, s), last = segment_start(c->groups, s + 1), g = first;
    size_t size = chunk_size(last - first, CHUNK), jobs = c->panels * tiles;
    job_fn *add = c->f->offset ? add_offset : add_plain;
    do {
        size_t n = last - g < size ? last - g : size;
        struct part p = {s, g == first, g + n == last};
        unpack_chunk(c, tile, tiles, g, n);
        const struct panel *x = c->x + amx_at(c->panels, 0, first, last - first) + (g - first);
        struct job job = {c->chunk, x};
        for (size_t i = 0; i < jobs; i++) {
            if (n == 1 || (n && i == 0)) stream_begin(v, &job, n);
            size_t t = i % tiles, r = i / tiles;
            const struct panel *ahead = r + 1 < c->panels ? job.x + (last - first) : job.x;
            struct job next = t + 1 < tiles ? (struct job){job.c + 1, job.x} : (struct job){c->chunk, ahead};
            add(v, &job, &next, ahead, t, n, sums + t / WIDE_TILES, SUM(r * TILE, t % WIDE_TILES), p);
            job = next;
        }
        g += size;
    } while (g < last);
}

void matmul_q_avx512(const struct weight *w, const void *x, size_t rows, size_t fetched, const float *bias, float *y,
                     size_t first, size_t last);
void KERNEL(matmul_q)(const struct weight *w, const void *x, size_t rows, size_t fetched, const float *bias, float *y,
                      size_t first, size_t last) {
    const struct form *f = tile_form(w->type);
    if (!amx_takes(f, rows)) {
        matmul_q_avx512(w, x, rows, fetched, bias, y, first, last);
        return;
    }
    if (f->piece) {
        KERNEL(matmul_runs)(w, x, rows, bias, y, first, last);
        return;
    }
    struct sums sums[BLOCKS][TILES / WIDE_TILES];
    struct stream stream;
    struct chunk chunk[TILES];
    uint8_t room[CHUNK * MAX_UNIT];
    struct call c = {w, f, x, amx_panels(rows), w->cols / GROUP, f->head + f->group, tile_bytes(w), chunk, room};
    amx_begin();
    for (size_t t = first, end; t < last; t = end) {
        end = last - t < BLOCKS * TILES ? last : t + BLOCKS * TILES;
        for (unsigned s = 0; s < SEGMENTS; s++)
            for (size_t i = t; i < end; i += TILES)
                segment(&c, i, end - i < TILES ? end - i : TILES, s, sums[(i - t) / TILES], &stream);
        for (size_t i = t; i < end; i += WIDE_TILES)
            sums_put(&sums[0][0] + (i - t) / WIDE_TILES, rows, w, i, end - i < WIDE_TILES ? 1 : WIDE_TILES, bias, y);
    }
    _tile_release();
}
