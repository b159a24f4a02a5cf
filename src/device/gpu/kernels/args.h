// What kernels are given: a struct each, by value. Read by kernels and by the host's C, so these structs have the same
// layout for both: pointers into the card's memory, 32-bit numbers, floats.
//
// Elements are counted in 32 bits, which the host checks; what is made of two counts is multiplied in 64.
#ifndef DEVICE_GPU_KERNELS_ARGS_H
#define DEVICE_GPU_KERNELS_ARGS_H

#ifdef GPU_KERNEL
typedef float dfloat;
typedef int32_t dint;
typedef uint32_t dword;
typedef uint8_t dbyte;
typedef dbyte *dslab;
typedef struct { // struct attention_row of device/rows.h
    uint32_t pages, position, ahead;
    float *state;
} drow;
#else
#include "device/rows.h"
#endif

enum { THREADS = 256 }; // of a block of every kernel

// ------------------------------------------------------------------------------- elements

enum unary_kind { UNARY_ACTIVATE, UNARY_SCALE, UNARY_CLAMP, UNARY_CAP };

enum { SOME = 4 }; // elements of a thread, of the kernels whose names say so

// x[i] = f(x[i]) for i < n; `activation` is enum activation of device.h.
struct unary_args {
    dfloat *x;
    size_t n;
    uint32_t kind, activation;
    float by;
};

// x += y
struct add_args {
    dfloat *x;
    const dfloat *y;
    size_t n;
};

// n pieces of 16 bytes at x; out has a word for each thread of `blocks` blocks.
struct read_args {
    const dbyte *x;
    dword *out;
    size_t n;
    uint32_t blocks;
};

struct move_args {
    const dfloat *x;
    dfloat *y;
    size_t x_row, y_row, n; // y[r * y_row + i] = x[r * x_row + i] for i < n
};

struct gate_args {
    const dfloat *gate, *up;
    dfloat *out;
    size_t stride, n; // of a row
    uint32_t activation;
    float limit, alpha;
};

struct sum_rows_args {
    const dint *from;
    const dfloat *by, *x;
    dfloat *out;
    size_t dim;
    uint32_t n;
};

struct norm_args {
    const dfloat *x, *w, *b;
    dfloat *y;
    uint32_t dim, parts, layer; // layer: LayerNorm, else RMSNorm
    float eps;
    uint32_t each; // elements of a block's share
};

// ------------------------------------------------------------------------------- weights and products

// A matrix as it lies on the card (docs/devices.md): blocks of a row in the order of strips.h, the large parts of all
// rows' blocks first, then what is left of them.
struct matrix {
    const dbyte *body;
    const dbyte *rest; // d, of types whose blocks would not lie on multiples of four bytes otherwise
    const dword *grid; // of the IQ types
    uint32_t rows, cols, blocks;
};

struct embed_args {
    struct matrix table;
    const dint *ids;
    dfloat *y;
};

// Rounded activations of a row, a group of 32: the scale, and the sums of both halves' codes as two signed 16-bit
// numbers.
struct group_of_row {
    float d;
    uint32_t sums;
};

struct round_args {
    const dfloat *x;
    dbyte *codes;               // [rows][cols], groups in the order of strips.h
    struct group_of_row *group; // [rows][cols / 32], likewise
    uint32_t cols, unit, run;   // groups of a block of the weights, and of what has one scale
};

// Operations whose result a product will want: they leave its codes too. Of `round`, x is not read.
struct norm_rounded_args {
    struct norm_args norm;
    struct round_args round;
};

struct gate_rounded_args {
    struct gate_args gate;
    struct round_args round;
};

struct activate_rounded_args {
    dfloat *x;
    struct round_args round;
    uint32_t activation;
};

// One of several matrices of one shape, as experts are.
struct chosen_matrix {
    const dbyte *body, *rest;
    const dfloat *unit, *bias;
    float by;
    uint32_t type; // of tensor/type.h: each program takes those of its own
};

// Where it is not NULL, row r of activations is multiplied by matrix which[r] of the table, if that has the type.
struct choice_of_matrix {
    const struct chosen_matrix *table;
    const dint *which;
    uint32_t type;
};

struct product_args {
    struct matrix w;
    const dbyte *codes;
    const struct group_of_row *group;
    const dfloat *bias;
    dfloat *y;     // [rows][w.rows]
    uint32_t rows; // of activations
    float by;      // y = (W x + bias) * by
    struct choice_of_matrix choice;
    uint32_t blocks; // of threads, along outputs
    uint32_t room;   // bytes of the block's memory that the launch asked for: ring.h, turns.h; 0: neither is used
    dfloat *plus;    // where it is not NULL: plus += y, too
};

// Types (numbers of tensor/type.h) of which two lanes share a segment when there is one row.
#define PAIRED(type)                                                                                                   \
    ((type) == 2 || (type) == 3 || (type) == 6 || (type) == 7 || (type) == 8 || (type) == 12 || (type) == 13 ||        \
     (type) == 14 || (type) == 20 || (type) == 39)
// Of these the types whose blocks are one group in whole 16 bytes (ring.h), and eight groups in such (turns.h).
#define RINGED(type) ((type) == 2 || (type) == 3 || (type) == 8 || (type) == 20 || (type) == 39)
#define TURNED(type) ((type) == 12 || (type) == 13 || (type) == 14)
// Bytes of a block's memory for weights on their way: of each thread eight blocks, or four that are longer; of each 16
// threads three times eight blocks.
enum { TURN_SLOTS = 3 };
#define RING_ROOM(type) (THREADS * ((type) == 8 ? 4 * 36 : 8 * 20))
#define TURN_ROOM(type)                                                                                                \
    (THREADS * (TURN_SLOTS * ((type) == 12 ? 72 : (type) == 13 ? 88 : 108) + ((type) == 14 ? 0 : 4)))
// Blocks of threads that a processor has registers for (tools/gpu/registers.txt).
#define PAIRED_BLOCKS(type) (RINGED(type) && (type) != 8 ? 4 : (type) == 13 || (type) == 14 ? 2 : 3)

// Many rows on tensor cores: activations as round_many.cu leaves them. Rows [first, rows).
struct product_many_args {
    struct matrix w;
    const dbyte *codes;
    const dfloat *units;
    const dfloat *bias;
    dfloat *y; // [rows][w.rows]
    uint32_t first, rows;
    float by;
    dfloat *plus; // as in product_args
};

enum { MANY_SLAB = 64 }; // rows

// What `product_many` may read behind a matrix, in bytes, and behind activations, in groups.
enum { BEHIND = 2048, BEHIND_GROUPS = 32 };

// The sum of a group's codes, as an integer, or for each half as in struct group_of_row; or times the scale.
enum beside_scale { BESIDE_SUM, BESIDE_HALVES, BESIDE_PRODUCT };

struct round_many_args {
    const dfloat *x;
    dbyte *codes;             // [slabs][cols / 32][tiles of 16 rows][512] as in tile.h; groups in the order of strips.h
    dfloat *units;            // [slabs][cols / 32][tiles][32]: scales of rows; then what `beside` says
    uint32_t cols, unit, run; // as in round_args
    uint32_t beside;          // enum beside_scale
};

// Of a block of `product16_many` (tensor.h): outputs.
enum { MANY_OUTPUTS = 16 };

// The same where weights are F16 or BF16: for few rows MANY16, for more WIDE16_ROWS. Runs of a row that a block rounds,
// and of few rows; elements of a thread that joins parts.
enum { MANY16 = 16, WIDE16_OUTPUTS = 64, WIDE16_ROWS = 64, RUNS16_OF_BLOCK = THREADS / 32, FEW_RUNS16 = 2, JOIN16 = 4 };

// F32: activations as they are.
struct product_f_args {
    const dfloat *w, *x, *bias; // w: [rows][cols padded to 32]
    dfloat *y;
    uint32_t rows, outputs, cols;
    float by;
    struct choice_of_matrix choice;
};

// F16 and BF16: two planes of bytes, and a unit for each run of a row (docs/arithmetic.md), in slabs of rows
// (runs16.h).
struct round16_args {
    const dfloat *x;
    dbyte *planes; // [slabs][groups][2][8][64]
    dfloat *unit;  // [slabs][runs][8]
    uint32_t cols, runs;
};

struct planes_args {
    const dbyte *raw; // the file's rows
    dbyte *planes;
    dfloat *unit;
    uint32_t cols, runs, bfloat;
};

struct product16_args {
    const dbyte *w, *x; // planes
    const dfloat *w_unit, *x_unit, *bias;
    dfloat *y;
    uint32_t rows, outputs, cols, runs;
    float by;
    struct choice_of_matrix choice;
    uint32_t segments; // that a block has on tensor cores; if not all, y is [8 / segments][rows][outputs]
    dfloat *plus;      // as in product_args
};

struct join16_args {
    const dfloat *part, *bias; // [parts][rows][outputs]
    dfloat *y;
    uint32_t parts, rows, outputs;
    float by;
    dfloat *plus; // as in product_args
};

enum plain_kind { PLAIN_HALVES, PLAIN_BFLOATS, PLAIN_FLOATS };

// Look-ups in a table of numbers as the file has them; rows of floats are padded to groups of 32.
struct embed_plain_args {
    const dbyte *raw;
    const dint *ids;
    dfloat *y;
    uint32_t cols, kind;
};

// ------------------------------------------------------------------------------- training

// struct float_sums of device.h. At most INT32_MAX of each count.
enum sums_begin { SUMS_ZERO, SUMS_BIAS, SUMS_Y };

// struct units of device.h.
struct units_args {
    const dfloat *gate, *up, *dy;
    dfloat *y, *dgate, *dup;
    size_t n;
    uint32_t unit, blocks; // unit: enum unit of units.h
};

// Of attention (causal.cu), where row t sees the columns up to its own: CAUSAL_SCORES are of columns below the end of
// the row's block; CAUSAL_SUMS add terms below it; CAUSAL_TURNED, whose rows are the columns of the others, terms from
// the block of the tile's first row on.
enum sums_causal { CAUSAL_NOT, CAUSAL_SCORES, CAUSAL_SUMS, CAUSAL_TURNED };
enum { CAUSAL_BLOCK = 48 }; // of rows (train/attention.c)

struct sums_args {
    const dfloat *x, *w, *bias;
    dfloat *y;
    size_t x_row, x_step, w_col, w_step, y_row;
    size_t x_each, w_each, y_each; // from one of several products to the next: of w, that of `share` of them
    uint32_t rows, cols, n, start; // start: enum sums_begin
    uint32_t first, share, causal; // first: which product is number 0 of w
    float by;
};

// What is done to rows of scores, [heads][rows][rows], of heads from `first` of all `heads` on. Forward: scores become
// weights, which are still to be divided by `sum`, [rows][heads]. Back: weights again, and what is in `slope`, dy . v,
// becomes the gradient of the scores.
struct weigh_args {
    dfloat *score, *slope;
    const dfloat *y, *dy; // [rows][heads][dim]
    dfloat *sum, *saved;  // [rows][heads]; saved: what attention_forward() saves
    uint32_t rows, heads, dim, first;
    float scale;
};

// y[r] /= sum[r], n rows of dim.
struct divide_args {
    dfloat *y;
    const dfloat *sum;
    uint32_t dim;
};

// y[t][kv] = the sum over the heads that share kv, in order, of x[head][t], each of dim; [heads][rows][dim].
struct join_heads_args {
    const dfloat *x;
    dfloat *y;
    uint32_t rows, kv_heads, share, dim;
};

// ------------------------------------------------------------------------------- attention

// A layer's keys or values: device/kv_page.h.
struct cached {
    const dslab *slab; // NULL: none
    size_t at;
};

enum cache_type { CACHE_F32, CACHE_F16, CACHE_Q8 };

struct cache_shape {
    uint32_t type, heads, key_dim, value_dim;
};

struct vectors { // struct projected of device.h
    const dfloat *x;
    size_t row, step;
};

enum { QUERY_HEADS = THREADS / 16 }; // of a block, at most

struct qkv_args {
    struct vectors q_in, k_in, v_in;
    const dfloat *q_norm, *k_norm, *angles;
    dfloat *q;
    const drow *row;
    const dword *pages;
    struct cached k, v;
    struct cache_shape kv;
    size_t norm_step;
    uint32_t heads, rotary_dim, adjacent, layer_norm;
    float norm_eps;
    uint32_t each, apart; // query heads of a block; values have blocks of their own
};

struct attend_args {
    const dfloat *q, *slopes, *sinks;
    dfloat *part, *out; // [rows][heads][spans][part_floats()]
    const drow *row;
    const dword *pages;
    const dint *chosen;
    struct cached k, v;
    struct cache_shape kv;
    uint32_t rows, heads, spans, window, most, alibi_bf16;
    uint32_t apart; // rows are of different sequences
    float scale, softcap;
    struct round_args round; // of out, by whoever makes it, where it has codes; not by all (ops_attention.c)
};

// Of a span: value_dim sums, the largest score, the sum of weights.
enum { PART_MAX, PART_SUM, PART_MORE };

// The indexer: scores of positions, then the choice of the highest.
struct choose_args {
    const dfloat *q, *weight;
    dfloat *score; // [rows][room]
    const drow *row;
    const dword *pages;
    dint *chosen; // [rows][most]
    struct cached k;
    struct cache_shape kv;
    uint32_t heads, most, room;
    float scale;
};

// ------------------------------------------------------------------------------- mixtures

struct route_args {
    const dfloat *logits, *shift, *own_scale;
    dint *expert;
    dfloat *weight, *score, *worth; // score, worth: [rows][experts]
    uint32_t kind, experts, used, groups, groups_used, pairs, normed;
    float scale;
};

// Places sorted by expert: see ops_experts.c.
struct places_args {
    const dint *chosen;   // [rows][used]
    const dfloat *weight; // likewise
    dint *from, *place;   // [places]
    dint *end;            // [n]: where an expert's places end
    dint *expert;         // [places]
    dfloat *by;           // [places]
    uint32_t places, used, n;
};

// ------------------------------------------------------------------------------- states

struct conv_args {
    const dfloat *x, *w, *bias;
    dfloat *out;
    const drow *row;
    size_t x_row, state;
    uint32_t rows, channels, taps;
};

// struct recur of device/recur.h.
struct recur_args {
    const dfloat *x, *key, *query, *dt, *dt_bias, *beta, *a, *skip;
    dfloat *out;
    const drow *row;
    size_t x_row, dt_row, state;
    uint32_t delta, rows, heads, dim, size, groups, turns, each;
    float dt_by, dt_least, dt_most;
};

#endif
