// The many-rows kernel with AMX: a product of tiles is sixteen rows of activations by sixteen outputs of 32 weights.
// What comes of it are the exact integers that the other instruction sets have; the float operations after them are the
// same too. Part of matmul_q.c.
#ifndef DEVICE_CPU_PANEL_AMX_H
#define DEVICE_CPU_PANEL_AMX_H

// The shapes of the tile registers, for groups taken whole or by halves: 0 to 3 are sums of two output tiles, in turns,
// 4 and 5 activations, 6 and 7 weights. See LDTILECFG in Intel's manual.
static void tiles_begin(size_t halves) {
    struct {
        uint8_t palette, start, reserved[14];
        uint16_t bytes[16];
        uint8_t rows[16];
    } __attribute__((aligned(64))) shape = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        bool act = i == 4 || i == 5, weight = i > 5;
        shape.bytes[i] = (uint16_t)(act ? GROUP / halves : VECTOR);
        shape.rows[i] = (uint8_t)(weight ? WORDS / halves : TILE);
    }
    _tile_loadconfig(&shape);
}

static void tiles_end(void) { _tile_release(); }

// Codes with their sign: tile products take both sides so.
INLINE w8 panel_codes(w8 v, int zero) { return _mm512_sub_epi8(v, _mm512_set1_epi8((char)zero)); }

// Sums of a run: for each group, half and output tile, those of sixteen rows.
struct products {
    int32_t v[RUN][2][WIDE_TILES][TILE][TILE];
} __attribute__((aligned(64)));

// Sums of group i. Tile registers are named by literal numbers, hence a macro.
#define TILE_PRODUCTS(out, c, two, q, g, i, h, halves, rows, sum, sum_next)                                             \
    do {                                                                                                               \
        _tile_zero(sum);                                                                                               \
        _tile_zero(sum_next);                                                                                          \
        _tile_loadd(rows, (q) + GROUP / (halves) * (h), sizeof(struct act));                                            \
        _tile_loadd(6, (c)[0].w[g] + WORDS / (halves) * (h), VECTOR);                                                  \
        _tile_loadd(7, (c)[two].w[g] + WORDS / (halves) * (h), VECTOR);                                                \
        _tile_dpbssd(sum, rows, 6);                                                                                     \
        _tile_dpbssd(sum_next, rows, 7);                                                                                \
        _tile_stored(sum, (out)->v[i][h][0], VECTOR);                                                                  \
        _tile_stored(sum_next, (out)->v[i][h][1], VECTOR);                                                             \
    } while (0)

INLINE void multiply_run(const struct chunk *c, bool two, const struct act *x, size_t stride, size_t g, size_t n,
                         int halves, struct products *out) {
    for (size_t i = 0; i < n; i++, x += stride) {
        if (halves == 2) {
            TILE_PRODUCTS(out, c, two, x->q, g + i, i, 0, 2, 4, 0, 1);
            TILE_PRODUCTS(out, c, two, x->q, g + i, i, 1, 2, 5, 2, 3);
        } else if (i % 2) {
            TILE_PRODUCTS(out, c, two, x->q, g + i, i, 0, 1, 4, 0, 1);
        } else {
            TILE_PRODUCTS(out, c, two, x->q, g + i, i, 0, 1, 5, 2, 3);
        }
    }
}

// The float operations of a run for one output tile.
INLINE void add_products(const struct chunk *c, size_t g, size_t n, const struct products *p, size_t t,
                         const struct act *x, size_t stride, size_t rows, int halves, int piece, bool offset,
                         float *now) {
    wf s[RUN * 2], m[RUN * 2], d = c->d[g / BLOCK], dm = c->dm[g / BLOCK];
    for (size_t i = 0; i < RUN * (size_t)halves; i++) {
        s[i] = c->s[g * (size_t)halves + i];
        if (offset) m[i] = c->m[g * (size_t)halves + i];
    }
    for (size_t r = 0; r < rows; r++) {
        wf sum[1][WIDE_TILES] = {{wf_fill(0)}}, part[1][WIDE_TILES] = {{wf_fill(0)}};
        UNROLL(4)
        for (size_t i = 0; i < n; i++) {
            UNROLL(2)
            for (int h = 0; h < halves; h++) {
                w32 v = w8_load(p->v[i][h][t][r]);
                if (!piece) v = w32_left(v, &x[i * stride + r].shift);
                wf *to = piece ? &part[0][0] : &sum[0][0];
                *to = wf_fma(s[i * (size_t)halves + (size_t)h], wf_of(v), *to);
            }
            if (piece && (i + 1) % (size_t)(piece ? piece : 1) == 0) add_piece(&d, 0, 1, 1, part, sum);
        }
        end_run(m, &dm, 0, n, x + r, stride, 1, 1, halves, piece, offset, sum, now + SUM(r, t));
    }
}

// Sixteen rows at most, the records of a group side by side; tiles are always whole, and what lies after the last row
// is multiplied too and left.
INLINE void panel_groups(const struct chunk *c, bool two, struct slice v, size_t rows, int halves, int piece,
                         bool offset, struct sums *sums, size_t at, struct part p) {
    struct products products;
    float *now = begin_segment(sums, at, rows, p);
    for (size_t g = 0, n; g < v.n; g += n, v.x += n * rows) {
        n = piece || v.n - g >= RUN ? RUN : v.n - g;
        multiply_run(c, two, v.x, rows, g, n, halves, &products);
        for (size_t i = 0; i < n * rows; i++) __builtin_prefetch(v.next++);
        for (size_t t = 0; t <= two; t++) {
            if (piece || n == RUN)
                add_products(c + t, g, RUN, &products, t, v.x, rows, rows, halves, piece, offset, now);
            else
                add_products(c + t, g, n, &products, t, v.x, rows, rows, halves, piece, offset, now);
        }
    }
    end_segment(sums, at, rows, p);
}

typedef void panel_fn(const struct chunk *c, bool two, struct slice v, size_t rows, struct sums *sums, size_t at,
                      struct part p);

#define PANEL(name, halves, piece, offset, is_signed)                                                                  \
    static void name(const struct chunk *c, bool two, struct slice v, size_t rows, struct sums *sums, size_t at,       \
                     struct part p) {                                                                                  \
        panel_groups(c, two, v, rows, halves, piece, offset, sums, at, p);                                             \
    }
KINDS(PANEL)

static void many_panel(const struct form *f, const struct chunk *c, bool two, struct slice v, size_t rows,
                       struct sums *sums, size_t at, struct part p) {
#define KIND_OF(name, of_halves, of_piece, of_offset, is_signed)                                                       \
    if (kind_is(f, of_halves, of_piece, of_offset, is_signed)) name(c, two, v, rows, sums, at, p);
    KINDS(KIND_OF)
}

#endif
