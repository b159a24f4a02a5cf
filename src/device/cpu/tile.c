// File rows to tiles.
#include "device/cpu/tile_w16.h"

#include "tensor/unpack.h"

typedef uint8_t vector[VECTOR];

// Codes of the sixteen rows as w[0..7], see tile.h.
struct codes16 {
    vector w[WORDS];
};

static void pack4(const struct codes16 *c, uint8_t *out) {
    for (int i = 0; i < 4; i++, out += VECTOR)
        for (int k = 0; k < VECTOR; k++) out[k] = (uint8_t)((c->w[i][k] & 15) | c->w[i + 4][k] << 4);
}

static void pack1(const struct codes16 *c, uint8_t *out) {
    for (int k = 0; k < VECTOR; k++) {
        unsigned bits = 0;
        for (int i = 0; i < WORDS; i++) bits |= (unsigned)c->w[i][k] << i;
        out[k] = (uint8_t)bits;
    }
}

static void pack2(const struct codes16 *c, uint8_t *out) {
    for (int i = 0; i < 2; i++, out += VECTOR)
        for (int k = 0; k < VECTOR; k++)
            out[k] = (uint8_t)(c->w[i][k] | c->w[i + 2][k] << 2 | c->w[i + 4][k] << 4 | c->w[i + 6][k] << 6);
}

// Three, five and six bits: see tile.h.
static void pack3(const struct codes16 *c, uint8_t *out) {
    for (int k = 0; k < VECTOR; k++, out++) {
        unsigned six = c->w[6][k], seven = c->w[7][k];
        out[0] = (uint8_t)(c->w[0][k] | c->w[1][k] << 3 | six << 6);
        out[VECTOR] = (uint8_t)(c->w[2][k] | c->w[3][k] << 3 | (six >> 2) << 6 | (seven >> 2) << 7);
        out[2 * VECTOR] = (uint8_t)(c->w[4][k] | c->w[5][k] << 3 | seven << 6);
    }
}

static void pack5(const struct codes16 *c, uint8_t *out) {
    for (int k = 0; k < VECTOR; k++, out++) {
        unsigned five = c->w[5][k], six = c->w[6][k], seven = c->w[7][k];
        unsigned above[5] = {five, five >> 3 | (seven >> 3 & 1) << 2, six, six >> 3 | (seven >> 4) << 2, seven};
        for (int i = 0; i < 5; i++) out[i * VECTOR] = (uint8_t)(c->w[i][k] | above[i] << 5);
    }
}

static void pack6(const struct codes16 *c, uint8_t *out) {
    for (int k = 0; k < VECTOR; k++, out++)
        for (int i = 0; i < 6; i++)
            out[i * VECTOR] = (uint8_t)(c->w[i][k] | (c->w[6 + i / 3][k] >> 2 * (i % 3) & 3) << 6);
}

// A group; its bytes say how many bits it has.
static void pack_group(const struct codes16 *c, size_t bytes, uint8_t *out) {
    switch (bytes) {
    case 64: pack1(c, out); break;
    case 128: pack2(c, out); break;
    case 192: pack3(c, out); break;
    case 256: pack4(c, out); break;
    case 320: pack5(c, out); break;
    case 384: pack6(c, out); break;
    default: memcpy(out, c, sizeof *c);
    }
}

// Which of the file's 32 codes: those of the table types are not looked up yet.
#define BY_ZERO(name, zero)                                                                                            \
    static void raw_##name(const uint8_t *b, unsigned i, bytes32 *q) {                                                 \
        codes_##name(b, i, q);                                                                                         \
        *q += zero;                                                                                                    \
    }
#define BY_INDEX(name, at)                                                                                             \
    static void raw_##name(const uint8_t *b, unsigned i, bytes32 *q) { nibbles(b + (at), q); }
BY_ZERO(q4_0, 8)
BY_ZERO(q4_1, 0)
BY_ZERO(q5_0, 16)
BY_ZERO(q5_1, 0)
BY_ZERO(q8_0, 128)
BY_ZERO(q2_k, 0)
BY_ZERO(q3_k, 4)
BY_ZERO(q4_k, 0)
BY_ZERO(q5_k, 0)
BY_ZERO(q6_k, 32)
BY_INDEX(iq4_nl, 2)
BY_INDEX(iq4_xs, 8 + 16 * i)
BY_INDEX(mxfp4, 1)
BY_ZERO(tq1_0, 1)
BY_ZERO(tq2_0, 1)
BY_ZERO(q2_0, 1)
#define BY_GRID(name)                                                                                                  \
    static void raw_##name(const uint8_t *b, unsigned i, bytes32 *q) { index_##name(b, i, q); }
BY_GRID(nvfp4)
BY_GRID(iq1_s)
BY_GRID(iq1_m)
BY_GRID(iq2_xxs)
BY_GRID(iq2_xs)
BY_GRID(iq2_s)
BY_GRID(iq3_xxs)
BY_GRID(iq3_s)
BY_GRID(q1_0)

// Row r's two bytes at b[at] to the r-th place.
static void put2(const uint8_t *b, size_t at, unsigned r, uint8_t *out) { memcpy(out + 2 * r, b + at, 2); }

static void head_q4_0(const uint8_t *b, unsigned r, uint8_t *out) { put2(b, 0, r, out); }
static void head_q5_0(const uint8_t *b, unsigned r, uint8_t *out) { put2(b, 0, r, out); }
static void head_q8_0(const uint8_t *b, unsigned r, uint8_t *out) { put2(b, 0, r, out); }
static void head_iq4_nl(const uint8_t *b, unsigned r, uint8_t *out) { put2(b, 0, r, out); }
static void head_mxfp4(const uint8_t *b, unsigned r, uint8_t *out) { out[r] = b[0]; }

static void head_q4_1(const uint8_t *b, unsigned r, uint8_t *out) {
    put2(b, 0, r, out);
    put2(b, 2, r, out + 32);
}

static void head_q5_1(const uint8_t *b, unsigned r, uint8_t *out) { head_q4_1(b, r, out); }

static void head_q2_k(const uint8_t *b, unsigned r, uint8_t *out) {
    put2(b, 80, r, out);
    put2(b, 82, r, out + 32);
    for (int h = 0; h < 16; h++) out[64 + 16 * h + (int)r] = b[h];
}

static void head_q6_k(const uint8_t *b, unsigned r, uint8_t *out) {
    put2(b, 208, r, out);
    for (int h = 0; h < 16; h++) out[32 + 16 * h + (int)r] = b[192 + h];
}

// Half h's low nibble goes to row h % 8 of the low part, its high pair to row h % 4 of the high one.
static void head_q3_k(const uint8_t *b, unsigned r, uint8_t *out) {
    put2(b, 108, r, out);
    uint8_t *low = out + 32 + r, *high = out + 160 + r;
    for (int h = 0; h < 8; h++) low[16 * h] = b[96 + h];
    for (int h = 0; h < 4; h++) high[16 * h] = b[104 + h];
}

// Eight numbers of 6 bits.
static void put6(const uint8_t v[8], unsigned r, uint8_t *out) {
    for (int g = 0; g < 4; g++) out[16 * g + (int)r] = (uint8_t)(v[g] | v[g + 4] >> 4 << 6);
    for (int g = 4; g < 6; g++) out[16 * g + (int)r] = (uint8_t)((v[g] & 15) | v[g + 2] << 4);
}

static void head_q4_k(const uint8_t *b, unsigned r, uint8_t *out) {
    struct scales s;
    uint8_t sc[8], mn[8];
    scales_q4_k(b, &s);
    for (int g = 0; g < 8; g++) {
        sc[g] = s.word[g] & 255;
        mn[g] = (uint8_t)(s.word[g] >> 8);
    }
    put2(b, 0, r, out);
    put2(b, 2, r, out + 32);
    put6(sc, r, out + 64);
    put6(mn, r, out + 160);
}

static void head_q5_k(const uint8_t *b, unsigned r, uint8_t *out) { head_q4_k(b, r, out); }

static void head_iq4_xs(const uint8_t *b, unsigned r, uint8_t *out) {
    struct scales s;
    uint8_t sc[8];
    scales_iq4_xs(b, &s);
    for (int g = 0; g < 8; g++) sc[g] = (uint8_t)((s.word[g] & 255) + 32);
    put2(b, 0, r, out);
    put6(sc, r, out + 32);
}

static void head_tq1_0(const uint8_t *b, unsigned r, uint8_t *out) { put2(b, 52, r, out); }
static void head_tq2_0(const uint8_t *b, unsigned r, uint8_t *out) { put2(b, 64, r, out); }
static void head_q1_0(const uint8_t *b, unsigned r, uint8_t *out) { put2(b, 0, r, out); }
static void head_q2_0(const uint8_t *b, unsigned r, uint8_t *out) { put2(b, 0, r, out); }

static void head_nvfp4(const uint8_t *b, unsigned r, uint8_t *out) {
    for (int h = 0; h < 4; h++) out[16 * h + (int)r] = clean_e4m3(b[h]);
}

// Scales of a type with a grid: n nibbles that say 2 n + 1, of halves or of groups.
static void put_odd(const struct scales *s, int n, unsigned r, uint8_t *out) {
    for (int i = 0; i < n; i++) {
        int scale = s->word[n == 8 ? i : i / 2] >> (n == 8 ? 0 : 8 * (i % 2)) & 255;
        out[16 * (i % (n / 2)) + (int)r] |= (uint8_t)(scale >> 1 << (i < n / 2 ? 0 : 4));
    }
}

#define HEAD_ODD(name, n)                                                                                              \
    static void head_##name(const uint8_t *b, unsigned r, uint8_t *out) {                                              \
        struct scales s;                                                                                               \
        scales_##name(b, &s);                                                                                          \
        put2(b, 0, r, out);                                                                                            \
        put_odd(&s, n, r, out + 32);                                                                                   \
    }
HEAD_ODD(iq1_s, 8)
HEAD_ODD(iq2_xxs, 8)
HEAD_ODD(iq2_xs, 16)
HEAD_ODD(iq2_s, 16)
HEAD_ODD(iq3_xxs, 8)
HEAD_ODD(iq3_s, 8)

static void head_iq1_m(const uint8_t *b, unsigned r, uint8_t *out) {
    struct scales s;
    uint16_t d = iq1_m_scale(b);
    scales_iq1_m(b, &s);
    memcpy(out + 2 * r, &d, sizeof d);
    put_odd(&s, 16, r, out + 32);
}

// One block of sixteen rows; of those beyond `rows`, zeros. A table's zero is not code 0, but their scales are 0.
#define PACK(TYPE, name, groups, halves, piece, offset, zero, head, group)                                             \
    static void pack_##name(const uint8_t *b, size_t stride, unsigned rows, uint8_t *out) {                            \
        memset(out, 0, head);                                                                                          \
        for (unsigned r = 0; r < rows; r++) head_##name(b + r * stride, r, out);                                       \
        for (unsigned i = 0; i < groups; i++) {                                                                        \
            struct codes16 c;                                                                                          \
            if (rows < TILE) memset(&c, 0, sizeof c);                                                                  \
            for (unsigned r = 0; r < rows; r++) {                                                                      \
                bytes32 q;                                                                                             \
                raw_##name(b + r * stride, i, &q);                                                                     \
                for (int j = 0; j < WORDS; j++) memcpy(c.w[j] + 4 * r, (char *)&q + 4 * j, 4);                         \
            }                                                                                                          \
            pack_group(&c, group, out + head + i * (size_t)(group));                                                   \
        }                                                                                                              \
    }
TILE_TYPES(PACK)

#define FORM(TYPE, name, groups, halves, piece, offset, zero, head, group)                                             \
    [TYPE_##TYPE] = {groups, halves, piece, offset, zero, head, group},
static const struct form forms[TYPE_LIMIT] = {TILE_TYPES(FORM)};

typedef void pack_fn(const uint8_t *b, size_t stride, unsigned rows, uint8_t *out);
#define PACKER(TYPE, name, groups, halves, piece, offset, zero, head, group) [TYPE_##TYPE] = pack_##name,
static pack_fn *const packers[TYPE_LIMIT] = {TILE_TYPES(PACKER)};

const struct form *tile_form(enum type type) { return forms[type].group ? &forms[type] : NULL; }

size_t tile_bytes(const struct weight *w) {
    const struct form *f = tile_form(w->type);
    if (f) return w->cols / GROUP / f->groups * (f->head + f->groups * f->group);
    if (is_w16(w->type)) return w16_tile_bytes(w->cols);
    if (w->exact != TYPE_F32) return w->cols * TILE * sizeof(uint16_t);
    return (w->cols + GROUP - 1) / GROUP * GROUP * TILE * sizeof(float);
}

void tile_pack_exact(const struct weight *w, size_t t, uint8_t *out) {
    size_t first = t * TILE, rows = w->rows - first < TILE ? w->rows - first : TILE;
    const float *from = (const float *)w->data + first * w->cols;
    memset(out, 0, tile_bytes(w));
    for (size_t r = 0; r < rows; r++)
        for (size_t k = 0; k < w->cols; k++)
            type_info(w->exact)->encode(from + r * w->cols + k, 1, out + (k * TILE + r) * sizeof(uint16_t));
}

// Groups of 32 floats of sixteen rows, one of every row side by side. What the matrix lacks is zeros.
static void pack_floats(const struct weight *w, size_t row, size_t rows, size_t first, size_t n, uint8_t *out) {
    const size_t size = sizeof(float);
    size_t stride = w->cols * size, k = first * GROUP, have = w->cols - k < n * GROUP ? w->cols - k : n * GROUP;
    const uint8_t *from = (const uint8_t *)w->data + row * stride + k * size;
    if (rows < TILE || have < n * GROUP) memset(out, 0, n * GROUP * TILE * size);
    for (size_t i = 0; i < have; i++, from += size, out += TILE * size)
        for (size_t r = 0; r < rows; r++) memcpy(out + r * size, from + r * stride, size);
}

void tile_pack(const struct weight *w, size_t t, size_t first, size_t n, uint8_t *out) {
    size_t row = t * TILE, rows = w->rows - row < TILE ? w->rows - row : TILE;
    const struct form *f = tile_form(w->type);
    if (!f) {
        pack_floats(w, row, rows, first, n, out);
        return;
    }
    size_t stride = type_row_bytes(w->type, w->cols), block = type_info(w->type)->bytes;
    const uint8_t *b = (const uint8_t *)w->data + row * stride + first * block;
    for (size_t i = 0; i < n; i++, b += block, out += f->head + f->groups * f->group)
        packers[w->type](b, stride, (unsigned)rows, out);
}
