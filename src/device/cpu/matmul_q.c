// Products with quantized weights, a tile's sixteen rows in the lanes of a vector. A few rows of activations are
// multiplied as the tile is unpacked, in registers; for many, two tiles are unpacked into the second cache and used by
// one panel of rows after another, whose sums and outputs are at home in the nearest one.
#include "device/cpu/isa.h"
#include "device/cpu/product.h"
#include "device/cpu/unpack_tile.h"

// Groups of a tile that are unpacked together: for a few rows, and for many. While the LAST panels of many rows are
// multiplied, the next weights come from memory. A block of a type with integer scales is two runs.
enum {
    CHUNK = 18,
    STRETCH = 192,
    LAST = 16,
    BLOCK = 8,
    MAX_UNIT = 544,
    MAX_ROWS = WIDE_ROWS > FEW_ROWS ? WIDE_ROWS : FEW_ROWS
};

// A stretch of one tile, unpacked.
struct chunk {
    w8 w[STRETCH][WORDS];
    wf s[STRETCH * 2], m[STRETCH], d[STRETCH / BLOCK], dm[STRETCH / BLOCK];
    w8 least[STRETCH / 2];
};

INLINE w32 dot4(w32 acc, w8 w, w32 a, bool is_signed) {
    return is_signed ? w32_dot_signed(acc, w, a) : w32_dot(acc, w, a);
}

// The exact sums of half h of a group, or of all of it.
INLINE void dots(const w8 *w, size_t next, const struct act *x, int tiles, int rows, int h, int halves, bool is_signed,
                 w32 (*sum)[WIDE_TILES]) {
    UNROLL(8)
    for (int r = 0; r < rows; r++) UNROLL(2)
    for (int t = 0; t < tiles; t++) sum[r][t] = w32_fill(&x[r].start[h]);
    UNROLL(8)
    for (int j = h * WORDS / halves; j < (h + 1) * WORDS / halves; j++) UNROLL(8)
    for (int r = 0; r < rows; r++) {
        w32 a = w32_fill(x[r].q + 4 * j);
        UNROLL(2)
        for (int t = 0; t < tiles; t++) sum[r][t] = dot4(sum[r][t], w[(size_t)t * next + (size_t)j], a, is_signed);
    }
}

// acc += a group of `tiles` tiles (`next` vectors and `next_scale` scales apart) times a record of each of `rows` rows,
// for types whose scales are floats. None with a scale for each half has an offset.
INLINE void add_group(const w8 *w, size_t next, const wf *s, const wf *m, size_t next_scale, const struct act *x,
                      int tiles, int rows, int halves, bool offset, bool is_signed, wf (*acc)[WIDE_TILES]) {
    UNROLL(2)
    for (int h = 0; h < halves; h++) {
        w32 sum[MAX_ROWS][WIDE_TILES];
        dots(w, next, x, tiles, rows, h, halves, is_signed, sum);
        UNROLL(8)
        for (int r = 0; r < rows; r++) {
            wf d = wf_fill(x[r].d);
            UNROLL(2)
            for (int t = 0; t < tiles; t++)
                acc[r][t] = wf_fma(wf_mul(s[(size_t)t * next_scale + (size_t)h], d), wf_of(sum[r][t]), acc[r][t]);
        }
    }
    if (!offset) return;
    UNROLL(8)
    for (int r = 0; r < rows; r++) {
        wf low = wf_fill(x[r].low[0]);
        UNROLL(2)
        for (int t = 0; t < tiles; t++) acc[r][t] = wf_fma(m[(size_t)t * next_scale], low, acc[r][t]);
    }
}

// part += the same for types whose scales are integers: exact.
INLINE void add_exactly(const w8 *w, size_t next, const wf *s, size_t next_scale, const struct act *x, int tiles,
                        int rows, int halves, bool is_signed, wf (*part)[WIDE_TILES]) {
    UNROLL(2)
    for (int h = 0; h < halves; h++) {
        w32 sum[MAX_ROWS][WIDE_TILES];
        dots(w, next, x, tiles, rows, h, halves, is_signed, sum);
        UNROLL(8)
        for (int r = 0; r < rows; r++) UNROLL(2)
        for (int t = 0; t < tiles; t++)
            part[r][t] = wf_fma(s[(size_t)t * next_scale + (size_t)h], wf_of(sum[r][t]), part[r][t]);
        in_turn();
    }
}

// run += d * part, and the part begins anew.
INLINE void end_piece(const wf *d, size_t next_scale, int tiles, int rows, wf (*part)[WIDE_TILES],
                      wf (*run)[WIDE_TILES]) {
    UNROLL(8)
    for (int r = 0; r < rows; r++) UNROLL(2)
    for (int t = 0; t < tiles; t++) {
        run[r][t] = wf_fma(d[(size_t)t * next_scale], part[r][t], run[r][t]);
        part[r][t] = wf_fill(0);
    }
}

// Adds what the minima of a run give, and the run to the sums of its segment; and the run begins anew. A piece that is
// the whole run is added here, so that nothing waits in memory. All that the rows share is read before the first sum is
// written: the compiler would read it again for each.
INLINE void end_run(const wf *d, const w8 *m, const wf *dm, size_t next, size_t next_scale, const struct act *x,
                    int tiles, int rows, int halves, int piece, bool offset, wf (*part)[WIDE_TILES],
                    wf (*run)[WIDE_TILES], float *now) {
    wf by[WIDE_TILES], least_by[WIDE_TILES];
    w8 least[WIDE_TILES][2];
    UNROLL(2)
    for (int t = 0; t < tiles; t++) {
        by[t] = d[(size_t)t * next_scale];
        least_by[t] = dm[(size_t)t * next_scale];
        for (int i = 0; offset && i < halves; i++) least[t][i] = m[(size_t)t * next + (size_t)i];
    }
    UNROLL(8)
    for (int r = 0; r < rows; r++) UNROLL(2)
    for (int t = 0; t < tiles; t++) {
        wf sum = piece == RUN ? wf_fma(by[t], part[r][t], wf_fill(0)) : run[r][t];
        w32 low = w32_zero();
        for (int i = 0; offset && i < halves; i++) low = w32_dot(low, least[t][i], w32_fill(x[i * rows + r].digits[0]));
        if (offset) low = w32_shift8(low);
        for (int i = 0; offset && i < halves; i++) low = w32_dot(low, least[t][i], w32_fill(x[i * rows + r].digits[1]));
        if (offset) sum = wf_fma(least_by[t], wf_of(low), sum);
        float *to = now + SUM((size_t)r, t);
        wf_store(to, wf_fma(sum, wf_fill(x[r].d), wf_load(to)));
        if (piece == RUN)
            part[r][t] = wf_fill(0);
        else
            run[r][t] = wf_fill(0);
    }
}

// The sums of `rows` rows from `at` on, before the first chunk of a segment and after its last.
INLINE float *begin_segment(struct sums *sums, size_t at, size_t rows, struct part p) {
    float *now = sums->now + SUM(at, 0);
    if (!p.first) return now;
    UNROLL(16)
    for (size_t i = 0; i < SUM(rows, 0); i += TILE) wf_store(now + i, wf_fill(0));
    return now;
}

INLINE void end_segment(struct sums *sums, size_t at, size_t rows, struct part p) {
    for (size_t i = SUM(at, 0); p.last && i < SUM(at + rows, 0); i += TILE) sum_end(sums, i, p, wf_load(sums->now + i));
}

// n groups of a panel's rows, from group `at` of the chunk on, and the rows' groups that will be wanted next: too many
// for the nearest caches, so they are fetched ahead. Sums that are whole then are outputs: row r's at y + r * stride,
// if y is not NULL.
struct slice {
    const struct act *x, *next;
    size_t at, n;
    float *y;
    size_t stride;
    const float *bias;
};

// Row r's outputs of tile t, whole.
INLINE void put(const struct slice *v, int r, int t, wf sum) {
    if (v->bias) sum = wf_add(sum, wf_load(v->bias + t * TILE));
    wf_store(v->y + (size_t)r * v->stride + t * TILE, sum);
}

// sum_end() of a panel.
INLINE void panel_end(struct sums *sums, size_t at, struct part p, const struct slice *v, bool two, int rows,
                      wf (*acc)[WIDE_TILES]) {
    enum { LEVEL = sizeof sums->done[0] / sizeof *sums->done[0] };
    float *done = sums->done[0] + SUM(at, 0), *to = sums->now + SUM(at, 0);
    unsigned level = 0;
    for (; p.last && p.segment >> level & 1; level++, done += LEVEL) UNROLL(8)
    for (int r = 0; r < rows; r++) UNROLL(2)
    for (int t = 0; t < WIDE_TILES; t++) acc[r][t] = wf_add(wf_load(done + SUM((size_t)r, t)), acc[r][t]);
    if (p.last && level < SEGMENTS_LOG) to = done;
    if (v->y) {
        UNROLL(8)
        for (int r = 0; r < rows; r++) {
            put(v, r, 0, acc[r][0]);
            if (two && WIDE_TILES > 1) put(v, r, WIDE_TILES - 1, acc[r][WIDE_TILES - 1]);
        }
        return;
    }
    UNROLL(8)
    for (int r = 0; r < rows; r++) UNROLL(2)
    for (int t = 0; t < WIDE_TILES; t++) wf_store(to + SUM((size_t)r, t), acc[r][t]);
}

// Outputs come from memory before they are written to.
INLINE void expect(const struct slice *v, int rows) {
    if (!v->y) return;
    UNROLL(8)
    for (int r = 0; r < rows; r++) UNROLL(2)
    for (int t = 0; t < WIDE_TILES; t++) __builtin_prefetch(v->y + (size_t)r * v->stride + t * TILE, 1);
}

INLINE void expect_rows(const struct act *x, int rows) {
    UNROLL(8)
    for (int r = 0; r < rows; r++) __builtin_prefetch(x + r);
}

// Many rows: a chunk with one panel, whose sums begin at row `at`.
INLINE void panel_groups(const struct chunk *c, bool two, const struct slice *v, int rows, int halves, bool offset,
                         bool is_signed, struct sums *sums, size_t at, struct part p) {
    size_t next = two ? sizeof *c / sizeof(w8) : 0, next_scale = two ? sizeof *c / sizeof(wf) : 0;
    wf acc[WIDE_ROWS][WIDE_TILES];
    UNROLL(8)
    for (int r = 0; r < rows; r++) UNROLL(2)
    for (int t = 0; t < WIDE_TILES; t++) acc[r][t] = sum_begin(sums, SUM(at + (size_t)r, t), p);
    expect(v, rows);
    const struct act *x = v->x, *ahead = v->next;
    for (size_t g = v->at; g < v->at + v->n; g++, x += rows, ahead += rows) {
        expect_rows(ahead, rows);
        add_group(c->w[g], next, c->s + g * (size_t)halves, c->m + g, next_scale, x, WIDE_TILES, rows, halves, offset,
                  is_signed, acc);
    }
    panel_end(sums, at, p, v, two, rows, acc);
}

// The same where scales are integers.
INLINE void panel_runs(const struct chunk *c, bool two, const struct slice *v, int rows, int halves, int piece,
                       bool offset, bool is_signed, struct sums *sums, size_t at, struct part p) {
    size_t next = two ? sizeof *c / sizeof(w8) : 0, next_scale = two ? sizeof *c / sizeof(wf) : 0;
    float *now = begin_segment(sums, at, (size_t)rows, p);
    wf run[WIDE_ROWS][WIDE_TILES], part[WIDE_ROWS][WIDE_TILES];
    UNROLL(8)
    for (int r = 0; r < rows; r++) UNROLL(2)
    for (int t = 0; t < WIDE_TILES; t++) run[r][t] = part[r][t] = wf_fill(0);
    expect(v, rows);
    const struct act *x = v->x, *ahead = v->next;
    for (size_t g = v->at; g < v->at + v->n; g += RUN, x += RUN * rows) {
        for (int i = 0; i < RUN; i++, ahead += rows) {
            expect_rows(ahead, rows);
            add_exactly(c->w[g + (size_t)i], next, c->s + (g + (size_t)i) * (size_t)halves, next_scale, x + i * rows,
                        WIDE_TILES, rows, halves, is_signed, part);
            if (piece < RUN && (i + 1) % piece == 0)
                end_piece(c->d + g / BLOCK, next_scale, WIDE_TILES, rows, part, run);
        }
        end_run(c->d + g / BLOCK, c->least + g / RUN * (size_t)halves, c->dm + g / BLOCK, next, next_scale, x,
                WIDE_TILES, rows, halves, piece, offset, part, run, now);
    }
    UNROLL(8)
    for (int r = 0; r < rows; r++) UNROLL(2)
    for (int t = 0; t < WIDE_TILES; t++) part[r][t] = wf_load(now + SUM((size_t)r, t));
    panel_end(sums, at, p, v, two, rows, part);
}

typedef void panel_fn(const struct chunk *c, bool two, const struct slice *v, struct sums *sums, size_t at,
                      struct part p);

// The kinds of arithmetic that types have: scales of a group, groups of a piece, an offset, signed codes.
#define PANEL(rows, name, halves, piece, offset, is_signed)                                                            \
    static void name##_##rows(const struct chunk *c, bool two, const struct slice *v, struct sums *sums, size_t at,    \
                              struct part p) {                                                                         \
        if (piece)                                                                                                     \
            panel_runs(c, two, v, rows, halves, piece ? piece : 1, offset, is_signed, sums, at, p);                    \
        else                                                                                                           \
            panel_groups(c, two, v, rows, halves, offset, is_signed, sums, at, p);                                     \
    }
#define KINDS(X)                                                                                                       \
    X(plain, 1, 0, false, false)                                                                                       \
    X(table, 1, 0, false, true)                                                                                        \
    X(offset, 1, 0, true, false)                                                                                       \
    X(halves, 2, 0, false, false)                                                                                      \
    X(pieces4, 1, 4, false, false)                                                                                     \
    X(pieces2, 1, 2, false, false)                                                                                     \
    X(table_pieces1, 1, 1, false, true)                                                                                \
    X(offset_pieces4, 1, 4, true, false)                                                                               \
    X(offset_pieces2, 1, 2, true, false)                                                                               \
    X(halves_pieces4, 2, 4, false, false)                                                                              \
    X(halves_pieces2, 2, 2, false, false)                                                                              \
    X(halves_pieces1, 2, 1, false, false)                                                                              \
    X(halves_offset_pieces4, 2, 4, true, false)
#define PANELS(name, ...)                                                                                              \
    EACH_ROWS(PANEL, name, __VA_ARGS__)                                                                                \
    static panel_fn *const name[] = {NULL, EACH_ROWS(ROWS_NAME, name)};
KINDS(PANELS)

static const struct kind {
    size_t halves, piece;
    bool offset, is_signed;
    panel_fn *const *panels;
} kinds[] = {
#define KIND(name, halves, piece, offset, is_signed) {halves, piece, offset, is_signed, name},
    KINDS(KIND)};

// By the number of rows.
static panel_fn *const *panels_of(const struct form *f) {
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const struct kind *k = &kinds[i];
        if (k->halves == f->halves && k->piece == f->piece && k->offset == f->offset &&
            k->is_signed == (f->zero == SIGNED))
            return k->panels;
    }
    return NULL; // a type of a kind that is not listed: every type's product is tested
}

typedef void unpack_fn(const uint8_t *b, size_t blocks, struct chunk *c, size_t at);

// What memory is to send meanwhile: so many bytes for each group that is multiplied.
struct ahead {
    const uint8_t *from;
    size_t each;
};

// The next weights come from memory while these are multiplied.
INLINE void fetch(struct ahead a) {
    for (size_t i = 0; i < a.each; i += VECTOR) __builtin_prefetch(a.from + i, 0, 2);
}

typedef void few_fn(const uint8_t *b, size_t blocks, struct ahead a, const struct act *x, struct sums *sums, size_t at,
                    struct part p);

#define FEW_KERNEL(n, name)                                                                                            \
    static void name##_##n(const uint8_t *b, size_t blocks, struct ahead a, const struct act *x, struct sums *sums,    \
                           size_t at, struct part p) {                                                                 \
        name(b, blocks, a, x, n, sums, at, p);                                                                         \
    }

// For each type: a chunk unpacked, and a few rows' product as it is.
#define TYPE_KERNELS(TYPE, name, groups, halves, piece, offset, zero, head, bytes)                                     \
    static void unpack_##name(const uint8_t *b, size_t blocks, struct chunk *c, size_t at) {                           \
        for (size_t i = at; i < at + blocks; i++, b += head + groups * (bytes)) {                                      \
            struct tile_scales t = {c->s + i * groups * halves, piece ? NULL : c->m + i * groups,                      \
                                    c->d + i * groups / BLOCK, c->dm + i * groups / BLOCK,                             \
                                    piece ? c->least + i * groups * halves / 4 : NULL};                                \
            tile_scales_##name(b, t);                                                                                  \
            for (size_t g = 0; g < groups; g++) {                                                                      \
                w8 w[WORDS];                                                                                           \
                planes_##name(b + head + g * (bytes), w);                                                              \
                for (int j = 0; j < WORDS; j++) c->w[i * groups + g][j] = w[j];                                        \
            }                                                                                                          \
        }                                                                                                              \
    }                                                                                                                  \
                                                                                                                       \
    INLINE void few_##name(const uint8_t *b, size_t blocks, struct ahead a, const struct act *x, int rows,             \
                           struct sums *sums, size_t at, struct part p) {                                              \
        wf acc[FEW_ROWS][WIDE_TILES], run[FEW_ROWS][WIDE_TILES], s[groups * halves], m[groups];                        \
        w8 least[(groups * halves + 3) / 4];                                                                           \
        wf d = wf_fill(0), dm = d;                                                                                     \
        float *now = piece ? begin_segment(sums, at, (size_t)rows, p) : NULL;                                          \
        for (int i = 0; i < groups && (piece || !offset); i++) m[i] = d;                                               \
        UNROLL(8) for (int r = 0; r < rows; r++) {                                                                     \
            acc[r][0] = piece ? d : sum_begin(sums, SUM(at + (size_t)r, 0), p);                                        \
            run[r][0] = d;                                                                                             \
        }                                                                                                              \
        for (size_t i = 0; i < blocks; i++, b += head + groups * (bytes)) {                                            \
            tile_scales_##name(b, (struct tile_scales){s, piece ? NULL : m, &d, &dm, piece ? least : NULL});           \
            for (size_t g = 0; g < groups; g++, x += rows, a.from += a.each) {                                         \
                fetch(a);                                                                                              \
                w8 w[WORDS];                                                                                           \
                planes_##name(b + head + g * (bytes), w);                                                              \
                if (piece)                                                                                             \
                    add_exactly(w, 0, s + g * halves, 0, x, 1, rows, halves, zero == SIGNED, acc);                     \
                else                                                                                                   \
                    add_group(w, 0, s + g * halves, m + g, 0, x, 1, rows, halves, offset, zero == SIGNED, acc);        \
                if (piece && piece < RUN && (g + 1) % (piece ? piece : 1) == 0) end_piece(&d, 0, 1, rows, acc, run);   \
                if (piece && (g + 1) % RUN == 0)                                                                       \
                    end_run(&d, least + g / RUN * halves, &dm, 0, 0, x - (RUN - 1) * rows, 1, rows, halves, piece,     \
                            offset, acc, run, now);                                                                    \
            }                                                                                                          \
        }                                                                                                              \
        if (piece)                                                                                                     \
            end_segment(sums, at, (size_t)rows, p);                                                                    \
        else                                                                                                           \
            UNROLL(8) for (int r = 0; r < rows; r++) sum_end(sums, SUM(at + (size_t)r, 0), p, acc[r][0]);              \
    }                                                                                                                  \
                                                                                                                       \
    EACH_FEW(FEW_KERNEL, few_##name)
TILE_TYPES(TYPE_KERNELS)

#define UNPACK_OF(TYPE, name, groups, halves, piece, offset, zero, head, bytes) [TYPE_##TYPE] = unpack_##name,
#define FEW_OF(TYPE, name, groups, halves, piece, offset, zero, head, bytes)                                           \
    [TYPE_##TYPE] = {NULL, EACH_FEW(ROWS_NAME, few_##name)},
static unpack_fn *const unpack[TYPE_LIMIT] = {TILE_TYPES(UNPACK_OF)};
static few_fn *const few[TYPE_LIMIT][FEW_ROWS + 1] = {TILE_TYPES(FEW_OF)};

// One call's work: what the parts below share.
struct call {
    const struct weight *w;
    const struct form *f;
    const struct act *x;
    panel_fn *const *panels;
    size_t rows, fetched;
    size_t wide, blocks, unit, tile_bytes; // rows of a panel; blocks of a row, bytes of a block of sixteen rows
    size_t share;                          // bytes that few rows fetch ahead with a group
    struct sums *sums;
    uint8_t *room; // for a chunk made from the file's rows
};

// Blocks [first, last) of a row, one segment's: where those from b on lie of the panel that begins at row r.
static const struct act *records(const struct call *c, size_t first, size_t last, size_t b, size_t r) {
    size_t groups = c->f->groups, stride = panel(c->rows, r, c->wide);
    return c->x + (c->rows * first + r * (last - first) + (b - first) * stride) * groups;
}

// Panel after panel with a chunk, the whole segment if there is but one panel; each fetches its share of the next
// chunk. Where `fetched` is 2, a single row is better off with what the memory sends unasked.
static void few_segment(const struct call *c, size_t tile, unsigned s) {
    size_t first = segment_start(c->blocks, s), last = segment_start(c->blocks, s + 1), b = first;
    size_t groups = c->f->groups, share = c->share;
    size_t n = c->w->own && c->rows <= FEW_ROWS ? last - first : chunk_size(last - first, CHUNK / groups);
    do {
        size_t count = last - b < n ? last - b : n;
        const uint8_t *units = tile_units(c->w, tile, c->tile_bytes, c->unit, b, count, c->room);
        struct ahead a = {units + count * c->unit, c->w->own && c->rows >= c->fetched ? share : 0};
        struct part p = {s, b == first, b + count == last};
        for (size_t r = 0; r < c->rows; r += FEW_ROWS, a.from += count * groups * share)
            few[c->w->type][panel(c->rows, r, FEW_ROWS)](units, count, a, records(c, first, last, b, r), c->sums, r, p);
        b += n;
    } while (b < last);
}

// What a stretch has in a segment: of each row n groups, from group `at` of the stretch on. Those of row r's panel lie
// r * each + its rows * skip records after x.
struct piece {
    const struct act *x;
    size_t each, skip, at, n;
    struct part part;
};

// The end of the stretch of blocks that begins at b: of whole segments if one fits, else a share of one.
static size_t stretch_end(const struct call *c, size_t b) {
    size_t most = STRETCH / c->f->groups, end = b;
    for (unsigned s = 1; s <= SEGMENTS; s++) {
        size_t next = segment_start(c->blocks, s);
        if (next > b && next - b > most) return end > b ? end : b + most;
        if (next > b) end = next;
    }
    return end;
}

static unsigned stretch_pieces(const struct call *c, size_t begin, size_t end, struct piece *list) {
    unsigned n = 0;
    size_t groups = c->f->groups;
    for (unsigned s = 0; s < SEGMENTS; s++) {
        size_t first = segment_start(c->blocks, s), last = segment_start(c->blocks, s + 1);
        size_t from = first > begin ? first : begin, to = last < end ? last : end;
        if (to < from || (to == from && first < last)) continue;
        list[n++] =
            (struct piece){c->x + c->rows * first * groups, (last - first) * groups, (from - first) * groups,
                           (from - begin) * groups,         (to - from) * groups,    {s, from == first, to == last}};
    }
    return n;
}

static const struct act *piece_at(const struct piece *p, size_t r, size_t rows) {
    return p->x + r * p->each + rows * p->skip;
}

static void unpack_stretch(const struct call *c, struct chunk *chunk, size_t tile, size_t tiles, size_t begin,
                           size_t end) {
    size_t most = CHUNK / c->f->groups;
    for (size_t t = 0; t < tiles; t++)
        for (size_t b = begin; b < end; b += most) {
            size_t count = end - b < most ? end - b : most;
            const uint8_t *from = tile_units(c->w, tile + t, c->tile_bytes, c->unit, b, count, c->room);
            unpack[c->w->type](from, count, chunk + t, b - begin);
        }
}

// While the last panels are multiplied, the weights that are unpacked next come from memory: sooner, and they would not
// be in a near cache any more.
static void fetch_next(const struct call *c, size_t tile, size_t tiles, size_t b, size_t r) {
    size_t left = (c->rows - r + WIDE_ROWS - 1) / WIDE_ROWS;
    if (!c->w->own || left > LAST) return;
    if (b == c->blocks) {
        tile += tiles;
        b = 0;
    }
    size_t bytes = (stretch_end(c, b) - b) * c->unit, share = (bytes / LAST + VECTOR - 1) / VECTOR * VECTOR;
    for (size_t t = 0; t < tiles; t++)
        fetch((struct ahead){
            (const uint8_t *)c->w->own + (tile + t) * c->tile_bytes + b * c->unit + (LAST - left) * share, share});
}

// A panel has all segments of a stretch before the next panel begins. Where the stretch is all of K, every panel uses
// the same room for its sums; they are written to y as they are complete, if these tiles have no rows too many.
static void many_tiles(const struct call *c, struct chunk *chunk, size_t tile, size_t tiles, const float *bias,
                       float *y) {
    size_t o = tile * TILE;
    bool whole = o + tiles * TILE <= c->w->rows;
    for (size_t begin = 0, end; begin < c->blocks; begin = end) {
        struct piece pieces[SEGMENTS];
        end = stretch_end(c, begin);
        unsigned n = stretch_pieces(c, begin, end, pieces);
        bool direct = whole && end == c->blocks, alone = direct && begin == 0;
        unpack_stretch(c, chunk, tile, tiles, begin, end);
        for (size_t r = 0, rows; r < c->rows; r += rows) {
            rows = panel(c->rows, r, WIDE_ROWS);
            fetch_next(c, tile, tiles, end, r);
            struct slice v = {piece_at(pieces, r, rows), NULL, 0, 0, NULL, c->w->rows, bias ? bias + o : NULL};
            for (unsigned i = 0; i < n; i++, v.x = v.next) {
                bool last = i + 1 == n;
                v.next = last ? piece_at(pieces, r + rows, rows) : piece_at(pieces + i + 1, r, rows);
                v.at = pieces[i].at;
                v.n = pieces[i].n;
                if (last && direct) v.y = y + r * c->w->rows + o;
                c->panels[rows](chunk, tiles > 1, &v, c->sums, alone ? 0 : r, pieces[i].part);
            }
        }
    }
    if (!whole) sums_put(c->sums, c->rows, c->w, tile, tiles, bias, y);
}

void KERNEL(matmul_q)(const struct weight *w, const void *x, size_t rows, size_t fetched, const float *bias, float *y,
                      size_t first, size_t last) {
    struct sums sums;
    struct chunk chunk[WIDE_TILES];
    uint8_t room[CHUNK * MAX_UNIT];
    const struct form *f = tile_form(w->type);
    bool few_rows = rows <= FEW;
    struct call c = {w,
                     f,
                     x,
                     few_rows ? NULL : panels_of(f),
                     rows,
                     fetched,
                     few_rows ? FEW_ROWS : WIDE_ROWS,
                     w->cols / GROUP / f->groups};
    c.unit = f->head + f->groups * f->group;
    c.tile_bytes = tile_bytes(w);
    c.share = (c.unit / f->groups / ((rows + FEW_ROWS - 1) / FEW_ROWS) + VECTOR - 1) / VECTOR * VECTOR;
    c.sums = &sums;
    c.room = room;
    size_t step = few_rows ? 1 : WIDE_TILES;
    for (size_t t = first; t < last; t += step) {
        size_t tiles = last - t < step ? last - t : step;
        if (!few_rows) {
            many_tiles(&c, chunk, t, tiles, bias, y);
            continue;
        }
        for (unsigned s = 0; s < SEGMENTS; s++) few_segment(&c, t, s);
        sums_put(&sums, rows, w, t, tiles, bias, y);
    }
}
