// What the operations of a card share: a part of this folder alone.
#ifndef DEVICE_GPU_WORK_H
#define DEVICE_GPU_WORK_H

#include "device/gpu/gpu.h"
#include "device/gpu/kernels/args.h"

// A matrix on the card. Matrices of the same bytes are one, as where the output is the embedding.
struct card_weight {
    struct card_weight *next;
    const void *data; // of the file
    enum type type;
    size_t rows, cols;
    unsigned holders;
    // What products read. Of F16 and BF16: planes; made when they are first multiplied.
    dbyte *body, *rest;
    dfloat *unit;
    dbyte *raw; // of F16 and BF16, the file's rows: for look-ups, made when they are first looked up
};

// Memory that grows and never moves while something may be computed in it.
struct scratch {
    void *at;
    size_t bytes;
};

// A mixture's matrices of one part, as kernels find them.
enum expert_part { PART_GATE, PART_UP, PART_DOWN };

struct expert_table {
    struct expert_table *next;
    const struct expert *expert;
    enum expert_part part;
    size_t n;
    struct chosen_matrix *there;
    bool has[TYPE_LIMIT]; // element types
};

enum { SCRATCH_CODES, SCRATCH_UNITS, SCRATCH_PARTS, SCRATCH_PLACES, SCRATCH_SUMS, RETIRED = 64 };

// Rounded activations (rounded.c): how many are kept; how many forms are remembered.
enum { ROUNDINGS = 4, HABITS = 64, SCRATCH_ROUNDED = SCRATCH_SUMS + 1, SCRATCHES = SCRATCH_ROUNDED + ROUNDINGS };

// How rows are rounded: their length, and what depends on the type of the weights (kernels/args.h).
struct round_form {
    uint32_t cols, unit, run;
};

struct rounded {
    const dfloat *x;
    size_t n; // elements
    struct round_form form;
    bool good; // the codes are those of what lies at x
    struct round_args args;
};

struct habit {
    const dfloat *x;
    size_t n;
    struct round_form form;
};

// What a launch writes, if that is known.
struct written {
    bool known;
    const void *at;
    size_t bytes;
};

// The last launch, if it is a product: what it writes, and where in its arguments is what that is added to.
struct last_product {
    const dfloat *y;
    size_t n, plus;
};

struct gpu_work {
    struct expert_table *tables; // good as long as no matrix goes
    struct card_weight *weights;
    struct scratch scratch[SCRATCHES];
    void *retired[RETIRED]; // what was too small
    size_t n_retired;
    dword *grid[TYPE_LIMIT];
    struct rounded rounded[ROUNDINGS];
    unsigned next_rounded, next_habit;
    struct habit habit[HABITS];
    struct written writes; // of the next launch
    struct last_product last;
    uint32_t room; // of the next launch
};

// Makes g->work if it is not there.
bool work_begin(struct gpu *g);

// At least so many bytes of the card's memory; NULL: there are none, which sync() will say.
void *work_scratch(struct gpu *g, int which, size_t bytes);

// The next launch writes nothing but these bytes, memory of this struct, and pages of caches. Of a launch that this was
// not said of, it is taken that it writes anything.
void work_writes(struct gpu *g, const void *p, size_t bytes);

// What lay in these bytes, or anywhere, is no longer there. By whatever writes to the card's memory: launches (below),
// and the operations on memory of the table (ops.c).
void work_wrote(struct gpu *g, const void *p, size_t bytes);
void work_wrote_anything(struct gpu *g);
void work_launches(struct gpu *g);

// Nothing is known of what lies where; by sync().
void work_step_ends(struct gpu *g);

// The codes of rows of x, made if they are not there. False: there is no memory, which sync() will say.
bool work_round(struct gpu *g, const dfloat *x, size_t rows, struct round_form f, struct round_args *a);

// Where an operation that writes rows at x (0 rows: all elements, however they are cut) is to put their codes too, if
// those were wanted last time; it sets `good` behind its launch. NULL: nowhere. `piece`, if not 0: blocks of threads
// have so many elements, and nothing that has one scale may lie in two of them.
struct rounded *work_round_along(struct gpu *g, const dfloat *x, size_t rows, size_t cols, size_t piece);

// The next launch's blocks have so many bytes of memory besides.
void work_room(struct gpu *g, size_t bytes);

// Blocks of THREADS threads. A count that no card takes is an error of the caller's, remembered for sync().
void work_launch(struct gpu *g, const char *kernel, size_t x, size_t y, size_t z, const void *args, size_t size);

// The same of a typed program.
void work_launch_typed(struct gpu *g, const char *kernel, enum type type, size_t x, size_t y, size_t z,
                       const void *args, size_t size);

// The launch that was just asked for is a product that writes n elements at y; `plus`: offset of its argument. It does
// not read what anybody may want to have that added to.
void work_is_product(struct gpu *g, const dfloat *y, size_t n, size_t plus);

static inline size_t work_blocks(size_t n, size_t size) { return n / size + (n % size != 0); }

// Weights (ops_weights.c). What is asked for is made if it is not there; false: it could not be, and sync() will say
// so.
bool work_weight_bind(struct device *d, struct weight *w, gyr_error *e);
void work_weight_unbind(struct device *d, struct weight *w);
void work_weight_ready(struct device *d, const struct weight *w, bool looked_up);
const struct card_weight *work_weight(struct gpu *g, const struct weight *w, bool rows_of_file);
void work_weights_free(struct gpu *g);

// Operations.
void work_products(struct device *d, const struct product *list, size_t n);
void work_product(struct gpu *g, const struct product *a, float by);
// Row r of x times matrix which[r] of a table, of those that have the type; all are of one shape.
void work_chosen_product(struct gpu *g, enum type type, const struct weight *shape, const struct choice_of_matrix *c,
                         const dfloat *x, size_t rows, dfloat *y);
void work_embed(struct device *d, const struct weight *table, const dint *ids, size_t rows, dfloat *y);
void work_qkv(struct device *d, const struct qkv *a);
void work_attention(struct device *d, const struct attention *a);
void work_head_products(struct device *d, const struct head_products *a);
void work_choose(struct device *d, const struct choice *c);
void work_conv(struct device *d, const struct conv *c);
void work_recur(struct device *d, const struct recur *r);
void work_route(struct device *d, const struct route *r);
void work_experts(struct device *d, const struct experts *x);
void work_tables_free(struct gpu *g);
void work_sums(struct device *d, const struct float_sums *s);
// Several products of one shape, of attention; `a` has all but the counts of s.
void work_sums_of(struct gpu *g, const struct float_sums *s, struct sums_args a, size_t count);
void work_causal(struct device *d, const struct causal *a);
void work_units(struct device *d, const struct units *u);
size_t work_causal_floats(struct device *d, const struct causal *a);

// The card's table, less what is the driver layer's (gpu.h).
void gpu_operations(struct device_ops *ops);
void gpu_work_free(struct gpu *g);

#endif
