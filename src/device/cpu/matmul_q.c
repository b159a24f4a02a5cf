// Products with quantized weights, a tile's sixteen rows in the lanes of a vector. A few rows of activations are
// multiplied as the tile is unpacked, in registers; for many, a chunk of two tiles is unpacked into the nearest cache
// and used by all of them.
#include "device/cpu/isa.h"
#include "device/cpu/product.h"
#include "device/cpu/unpack_tile.h"

// A chunk of one tile, unpacked: whole runs.
enum { CHUNK = 16, BLOCK = 8, UNIT_MOST = 544, ROWS_MOST = WIDE_ROWS > FEW_ROWS ? WIDE_ROWS : FEW_ROWS };

struct chunk {
    w8 w[CHUNK][WORDS];
    wf s[CHUNK * 2], m[CHUNK * 2], d[CHUNK / BLOCK], dm[CHUNK / BLOCK];
};

INLINE w32 dot4(w32 acc, w8 w, w32 a, bool is_signed) {
    return is_signed ? w32_dot_signed(acc, w, a) : w32_dot(acc, w, a);
}

// to += a group of `tiles` tiles (`next` vectors and `next_scale` scales apart) times a record of each of `rows` rows.
INLINE void add_group(const w8 *w, size_t next, const wf *s, size_t next_scale, const struct act *x, int tiles,
                      int rows, int halves, int piece, bool is_signed, wf (*to)[WIDE_TILES]) {
    UNROLL(2)
    for (int h = 0; h < halves; h++) {
        w32 sum[ROWS_MOST][WIDE_TILES];
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
        UNROLL(8)
        for (int r = 0; r < rows; r++) UNROLL(2)
        for (int t = 0; t < tiles; t++) {
            w32 v = piece ? sum[r][t] : w32_left(sum[r][t], &x[r].shift);
            to[r][t] = wf_fma(s[(size_t)t * next_scale + (size_t)h], wf_of(v), to[r][t]);
        }
    }
}

// sum += d * piece, and the piece begins anew.
INLINE void add_piece(const wf *d, size_t next_scale, int tiles, int rows, wf (*piece)[WIDE_TILES],
                      wf (*sum)[WIDE_TILES]) {
    UNROLL(8)
    for (int r = 0; r < rows; r++) UNROLL(2)
    for (int t = 0; t < tiles; t++) {
        sum[r][t] = wf_fma(d[(size_t)t * next_scale], piece[r][t], sum[r][t]);
        piece[r][t] = wf_fill(0);
    }
}

// A run's end: its offsets, from the records of its n groups, `stride` apart, and its activations' scale. Adds it to
// the segment's sums, and the run begins anew.
INLINE void end_run(const wf *m, const wf *dm, size_t next_scale, size_t n, const struct act *x, size_t stride,
                    int tiles, int rows, int halves, int piece, bool offset, wf (*sum)[WIDE_TILES], float *now) {
    UNROLL(8)
    for (int r = 0; r < rows; r++) UNROLL(2)
    for (int t = 0; t < tiles; t++) {
        wf low = piece ? wf_fill(0) : sum[r][t];
        for (size_t i = 0; offset && i < n; i++) UNROLL(2)
        for (int h = 0; h < halves; h++)
            low = wf_fma(m[(size_t)t * next_scale + i * (size_t)halves + (size_t)h],
                         wf_fill(x[i * stride + (size_t)r].low[h]), low);
        if (offset) sum[r][t] = piece ? wf_fma(dm[(size_t)t * next_scale], low, sum[r][t]) : low;
        float *to = now + SUM((size_t)r, t);
        wf_store(to, wf_fma(sum[r][t], wf_fill(x[r].d), wf_load(to)));
        sum[r][t] = wf_fill(0);
    }
}

// The sums of `rows` rows from `at` on, before the first chunk of a segment and after its last.
INLINE float *begin_segment(struct sums *sums, size_t at, size_t rows, struct part p) {
    float *now = sums->now + SUM(at, 0);
    for (size_t i = 0; p.first && i < SUM(rows, 0); i += TILE) wf_store(now + i, wf_fill(0));
    return now;
}

INLINE void end_segment(struct sums *sums, size_t at, size_t rows, struct part p) {
    for (size_t i = SUM(at, 0); p.last && i < SUM(at + rows, 0); i += TILE) sum_end(sums, i, p, wf_load(sums->now + i));
}

// n groups of a panel's rows, and those that will be wanted next: too many for the nearest caches, so they are fetched
// ahead.
struct slice {
    const struct act *x, *next;
    size_t n;
};

// The kinds of arithmetic that types have: X(name, scales of a group, groups of a piece, has an offset, signed codes).
#define KINDS(X)                                                                                                       \
    X(plain, 1, 0, false, false)                                                                                       \
    X(table, 1, 0, false, true)                                                                                        \
    X(offset, 1, 0, true, false)                                                                                       \
    X(offset_pieces4, 1, 4, true, false)                                                                               \
    X(offset_pieces2, 1, 2, true, false)                                                                               \
    X(table_pieces1, 1, 1, false, true)                                                                                \
    X(halves_pieces1, 2, 1, false, false)                                                                              \
    X(halves_pieces4, 2, 4, false, false)                                                                              \
    X(halves_offset_pieces4, 2, 4, true, false)

static inline bool kind_is(const struct form *f, size_t halves, size_t piece, bool offset, bool is_signed) {
    return f->halves == halves && f->piece == piece && f->offset == offset && (f->zero == SIGNED) == is_signed;
}

#if defined(__AMX_INT8__)
#include "device/cpu/panel_amx.h"
#else
static void tiles_begin(size_t halves) {}
static void tiles_end(void) {}

// Codes as the panels want them.
INLINE w8 panel_codes(w8 v, int zero) { return v; }

// Many rows: a chunk with one panel, whose sums begin at row `at`.
INLINE void panel_groups(const struct chunk *c, bool two, struct slice v, int rows, int halves, int piece, bool offset,
                         bool is_signed, struct sums *sums, size_t at, struct part p) {
    size_t next = two ? sizeof *c / sizeof(w8) : 0, next_scale = two ? sizeof *c / sizeof(wf) : 0, n;
    float *now = begin_segment(sums, at, (size_t)rows, p);
    wf run[WIDE_ROWS][WIDE_TILES], part[WIDE_ROWS][WIDE_TILES];
    UNROLL(8)
    for (int r = 0; r < rows; r++) UNROLL(2)
    for (int t = 0; t < WIDE_TILES; t++) run[r][t] = part[r][t] = wf_fill(0);
    for (size_t g = 0; g < v.n; g += n, v.x += n * (size_t)rows) {
        n = piece || v.n - g >= RUN ? RUN : v.n - g;
        for (size_t i = 0; i < n;) {
            for (int j = 0; j < (piece ? piece : 1); i++, j++, v.next += rows) {
                UNROLL(8)
                for (int r = 0; r < rows; r++) __builtin_prefetch(v.next + r);
                add_group(c->w[g + i], next, c->s + (g + i) * (size_t)halves, next_scale, v.x + i * (size_t)rows,
                          WIDE_TILES, rows, halves, piece, is_signed, piece ? part : run);
            }
            if (piece) add_piece(c->d + g / BLOCK, next_scale, WIDE_TILES, rows, part, run);
        }
        end_run(c->m + g * (size_t)halves, c->dm + g / BLOCK, next_scale, n, v.x, (size_t)rows, WIDE_TILES, rows,
                halves, piece, offset, run, now);
    }
    end_segment(sums, at, (size_t)rows, p);
}

typedef void panel_fn(const struct chunk *c, bool two, struct slice v, struct sums *sums, size_t at, struct part p);

#define PANEL(rows, name, halves, piece, offset, is_signed)                                                            \
    static void name##_##rows(const struct chunk *c, bool two, struct slice v, struct sums *sums, size_t at,           \
                              struct part p) {                                                                         \
        panel_groups(c, two, v, rows, halves, piece, offset, is_signed, sums, at, p);                                  \
    }
#define PANELS(name, ...)                                                                                              \
    EACH_ROWS(PANEL, name, __VA_ARGS__)                                                                                \
    static panel_fn *const name[] = {NULL, EACH_ROWS(ROWS_NAME, name)};
KINDS(PANELS)

static void many_panel(const struct form *f, const struct chunk *c, bool two, struct slice v, size_t rows,
                       struct sums *sums, size_t at, struct part p) {
#define KIND_OF(name, of_halves, of_piece, of_offset, is_signed)                                                       \
    if (kind_is(f, of_halves, of_piece, of_offset, is_signed)) name[rows](c, two, v, sums, at, p);
    KINDS(KIND_OF)
}
#endif

typedef void unpack_fn(const uint8_t *b, size_t blocks, struct chunk *c);

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
    static void unpack_##name(const uint8_t *b, size_t blocks, struct chunk *c) {                                      \
        for (size_t i = 0; i < blocks; i++, b += head + groups * (bytes)) {                                            \
            struct tile_scales t = {c->s + i * groups * halves, c->m + i * groups * halves, c->d + i * groups / BLOCK, \
                                    c->dm + i * groups / BLOCK};                                                       \
            tile_scales_##name(b, t);                                                                                  \
            for (size_t g = 0; g < groups; g++) {                                                                      \
                w8 w[WORDS];                                                                                           \
                planes_##name(b + head + g * (bytes), w);                                                              \
                for (int j = 0; j < WORDS; j++) c->w[i * groups + g][j] = panel_codes(w[j], zero);                     \
            }                                                                                                          \
        }                                                                                                              \
    }                                                                                                                  \
                                                                                                                       \
    INLINE void few_##name(const uint8_t *b, size_t blocks, struct ahead a, const struct act *x, int rows,             \
                           struct sums *sums, size_t at, struct part p) {                                              \
        enum { SCALES = (groups > RUN ? groups : RUN) * halves };                                                      \
        wf run[FEW_ROWS][WIDE_TILES], part[FEW_ROWS][WIDE_TILES], s[SCALES], m[offset ? SCALES : 1];                   \
        wf d = wf_fill(0), dm = d;                                                                                     \
        float *now = begin_segment(sums, at, (size_t)rows, p);                                                         \
        UNROLL(8) for (int r = 0; r < rows; r++) run[r][0] = part[r][0] = wf_fill(0);                                  \
        if (!offset) m[0] = d;                                                                                         \
        size_t all = blocks * groups, n;                                                                               \
        for (size_t first = 0; first < all; first += n, x += n * (size_t)rows) {                                       \
            size_t of_block = groups > 1 ? first % groups * halves : 0;                                                \
            n = groups > 1 || all - first >= RUN ? RUN : all - first;                                                  \
            for (size_t i = 0; i < n; i++, a.from += a.each) {                                                         \
                size_t at_scale = of_block + i * halves;                                                               \
                if ((first + i) % groups == 0) {                                                                       \
                    tile_scales_##name(b, (struct tile_scales){s + at_scale, offset ? m + at_scale : m, &d, &dm});     \
                    b += head;                                                                                         \
                }                                                                                                      \
                fetch(a);                                                                                              \
                w8 w[WORDS];                                                                                           \
                planes_##name(b, w);                                                                                   \
                b += bytes;                                                                                            \
                add_group(w, 0, s + at_scale, 0, x + i * (size_t)rows, 1, rows, halves, piece, zero == SIGNED,         \
                          piece ? part : run);                                                                         \
                if (piece && (i + 1) % (piece ? piece : 1) == 0) add_piece(&d, 0, 1, rows, part, run);                 \
            }                                                                                                          \
            end_run(offset ? m + of_block : m, &dm, 0, n, x, (size_t)rows, 1, rows, halves, piece, offset, run, now);  \
        }                                                                                                              \
        end_segment(sums, at, (size_t)rows, p);                                                                        \
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
    size_t rows, wide, blocks, unit, tile_bytes; // rows of a panel; blocks of a row, bytes of a block of sixteen rows
    struct sums *sums;
    uint8_t *room; // for a chunk made from the file's rows
};

// Blocks [first, last) of a row, one segment's: where those from b on lie of the panel that begins at row r.
static const struct act *records(const struct call *c, size_t first, size_t last, size_t b, size_t r) {
    size_t groups = c->f->groups, stride;
    if (b == last) return c->x + c->rows * last * groups;
    size_t at = act_at(c->wide, c->rows, r, first * groups, (last - first) * groups, &stride);
    return c->x + at + (b - first) * groups * stride;
}

// Blocks of a chunk, so that chunks of a segment are about alike and made of whole runs.
static size_t chunk_of_runs(const struct call *c, size_t blocks) {
    size_t runs = (blocks * c->f->groups + RUN - 1) / RUN;
    return c->f->groups > 1 ? chunk_size(blocks, CHUNK / BLOCK) : chunk_size(runs, CHUNK / RUN) * RUN;
}

// Panel after panel with a chunk, the whole segment if there is but one panel; each fetches its share of the next
// chunk. A single row takes so little time that what the memory sends unasked is enough.
static void few_segment(const struct call *c, size_t tile, unsigned s) {
    size_t first = segment_start(c->blocks, s), last = segment_start(c->blocks, s + 1), b = first;
    size_t groups = c->f->groups, panels = (c->rows + FEW_ROWS - 1) / FEW_ROWS;
    size_t n = c->w->own && panels == 1 ? last - first : chunk_of_runs(c, last - first);
    size_t share = (c->unit / groups / panels + VECTOR - 1) / VECTOR * VECTOR;
    do {
        size_t count = last - b < n ? last - b : n;
        const uint8_t *units = tile_units(c->w, tile, c->tile_bytes, c->unit, b, count, c->room);
        struct ahead a = {units + count * c->unit, c->w->own && c->rows > 1 ? share : 0};
        struct part p = {s, b == first, b + count == last};
        for (size_t r = 0; r < c->rows; r += FEW_ROWS, a.from += count * groups * share)
            few[c->w->type][panel(c->rows, r, FEW_ROWS)](units, count, a, records(c, first, last, b, r), c->sums, r, p);
        b += n;
    } while (b < last);
}

static void many_segment(const struct call *c, struct chunk *chunk, size_t tile, size_t tiles, unsigned s) {
    size_t first = segment_start(c->blocks, s), last = segment_start(c->blocks, s + 1), b = first;
    size_t n = chunk_of_runs(c, last - first);
    do {
        size_t count = last - b < n ? last - b : n;
        for (size_t t = 0; t < tiles; t++) {
            const uint8_t *from = tile_units(c->w, tile + t, c->tile_bytes, c->unit, b, count, c->room);
            unpack[c->w->type](from, count, chunk + t);
            if (c->w->own) fetch((struct ahead){from + count * c->unit, count * c->unit});
        }
        struct part p = {s, b == first, b + count == last};
        struct slice v = {records(c, first, last, b, 0), NULL, count * c->f->groups};
        for (size_t r = 0; r < c->rows; r += MANY_ROWS, v.x = v.next) {
            bool more = r + MANY_ROWS < c->rows;
            v.next = more ? records(c, first, last, b, r + MANY_ROWS) : records(c, first, last, b + count, 0);
            many_panel(c->f, chunk, tiles > 1, v, panel(c->rows, r, MANY_ROWS), c->sums, r, p);
        }
        b += n;
    } while (b < last);
}

void KERNEL(matmul_q)(const struct weight *w, const struct act *x, size_t rows, const float *bias, float *y,
                      size_t first, size_t last) {
    struct sums sums;
    struct chunk chunk[WIDE_TILES];
    uint8_t room[CHUNK * UNIT_MOST];
    const struct form *f = tile_form(w->type);
    bool few_rows = rows <= FEW;
    struct call c = {w, f, x, rows, few_rows ? FEW_ROWS : MANY_ROWS, w->cols / GROUP / f->groups};
    c.unit = f->head + f->groups * f->group;
    c.tile_bytes = tile_bytes(w);
    c.sums = &sums;
    c.room = room;
    size_t step = few_rows ? 1 : WIDE_TILES;
    if (!few_rows) tiles_begin(f->halves);
    for (size_t t = first; t < last; t += step) {
        size_t tiles = last - t < step ? last - t : step;
        for (unsigned s = 0; s < SEGMENTS; s++) {
            if (few_rows)
                few_segment(&c, t, s);
            else
                many_segment(&c, chunk, t, tiles, s);
        }
        sums_put(&sums, rows, w, t, tiles, bias, y);
    }
    if (!few_rows) tiles_end();
}
