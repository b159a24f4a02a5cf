// The short table of operations that every device offers. A forward pass is a sequence of these calls.
//
// A device computes what it is asked for in that order, and may do so later: what an operation gives is there for the
// operations behind it, and for the host after sync(). Structs that an operation is given by pointer are read before it
// returns; weights and memory stay in place until sync(). When something goes wrong, that is the device's until sync()
// says so, and until then it computes nothing more.
//
// Activations are float32, row-major, in memory of the device. A "row" is one token of a batch; nothing computed for a
// row depends on the other rows of the call, on the number of threads, or on the instruction set: the scalar C in cpu/
// defines the bytes.
#ifndef DEVICE_DEVICE_H
#define DEVICE_DEVICE_H

#include "base/error.h"
#include "device/kv_page.h"
#include "device/recur.h"
#include "tensor/type.h"

struct device;
struct pool;

// Of the arithmetic: docs/arithmetic.md. Raised with everything that changes a bit of a result.
enum { EDITION = 2 };

enum { MAX_SIDES = 8 };       // devices that one model may be on
enum { MAX_HEAD = 1024 };     // elements of a head
enum { MAX_GROUPS = 256 };    // of experts
enum { MAX_INDEX_KEY = 256 }; // elements of an indexer's key

// A matrix of `rows` output features by `cols` input features, bound to a device.
struct weight {
    enum type type;
    size_t rows, cols;
    const void *data; // the file's bytes, on the host, mapped
    void *own;        // what the device keeps of it, and whether that is not its to free: nobody else's business
    bool lent;
    // Of F32: F16 or BF16 where each element is exactly one of these, so that a device may keep it in 16 bits; else
    // F32.
    enum type exact;
    struct device *on; // to which weight_bind() bound it
    // Who has it, where products are shared out among ranks (cluster/spread.h): each some of the rows, all all of it,
    // or one all of it, by the expert that it is of: WEIGHT_EXPERT and which one, of so many. Cards of one machine
    // (cluster/cards.h) have some of the rows of an expert's, too.
    uint32_t place, of;
};
enum { WEIGHT_ROWS, WEIGHT_WHOLE, WEIGHT_EXPERT };

// y = (W x + bias) * by.
struct linear {
    struct weight w;
    dfloat *bias; // NULL: none
    float by;
    uint32_t number; // by which an adapter knows it (model/adapt.h); 0: none does
};

enum norm_kind { NORM_LAYER, NORM_RMS };
enum activation { ACT_GELU, ACT_GELU_TANH, ACT_SILU, ACT_RELU, ACT_RELU2, ACT_SIGMOID };

struct attention {
    size_t rows, heads; // query heads: heads / kv.heads neighbours share a key and value head
    struct kv_shape kv;
    const dfloat *q;      // [rows][heads * kv.key_dim]
    dfloat *out;          // [rows][heads * kv.value_dim]
    struct kv_array k, v; // of one layer (kv_page.h)
    struct seats at;
    uint32_t window; // a row sees positions less than this away from its own; 0: all
    float scale;     // multiplies (q . k + bias)
    float softcap;   // then score = softcap * tanh(score / softcap) (Gemma 2, 2024); 0: none
    // ALiBi (Press et al., 2022): bias = slopes[head] * key position; NULL: none. With alibi_bf16, as Falcon's
    // checkpoints were trained: bias = bf16(bf16(slope) * bf16(position)), the slopes being rounded already.
    const dfloat *slopes;
    bool alibi_bf16;
    const dfloat *sinks; // [heads]: a score that joins the softmax and has no value (gpt-oss, 2025); NULL: none
    // A row that would see more than `most` positions sees those of chosen[row * most + ..], ascending, alone. With
    // them there is neither window nor slopes. NULL: every row sees all.
    const dint *chosen;
    size_t most;
};

// The lightning indexer (DeepSeek-V3.2, 2025): which positions a row attends to. A position's score is the sum over
// heads of weight * max(0, q . key * scale), and the `most` highest are chosen, of equals the earlier; a NaN is above
// all. A row that sees no more than that sees all, and nothing is written for it.
struct choice {
    size_t rows, heads, most;
    struct kv_shape kv;   // of the indexer's keys: one head, of at most MAX_INDEX_KEY elements, and no values
    const dfloat *q;      // [rows][heads * kv.key_dim]
    const dfloat *weight; // [rows][heads]
    float scale;
    struct kv_array k; // of one layer (kv_page.h)
    struct seats at;
    dint *chosen; // [rows][most], ascending
    dfloat *work; // scratch: `room` floats, no fewer than the whole pages of the longest row
    size_t room;
};

// Which elements of a head are rotated together (Su et al., 2021): i and i + half, or neighbours. Neighbours are put
// where halves would be, so that a model's bytes do not depend on the order its file has.
enum pairs { PAIRS_HALVES, PAIRS_ADJACENT };

// Heads of a projection: head h of row r starts at x + r * row + h / group * step + h % group * dim, where `group`
// heads share a key and value head (1 for keys and values themselves).
struct projected {
    const dfloat *x;
    size_t row, step; // in floats
};

// From projections to queries ready for attention() and keys and values in the cache.
struct qkv {
    size_t rows, heads;
    struct kv_shape kv;
    struct projected q_in, k_in, v_in;
    // Norms of each query and key head before rotation; NULL: none. Head h's weight starts at h * norm_step.
    enum norm_kind norm;
    const dfloat *q_norm, *k_norm;
    size_t norm_step;
    float norm_eps;
    // Rotation: cos and sin of row r's position, pair i at angles[(r * rotary_dim / 2 + i) * 2 + {0, 1}]; NULL: none.
    const dfloat *angles;
    size_t rotary_dim;
    enum pairs pairs;
    dfloat *q; // [rows][heads * kv.key_dim]
    struct seats at;
    // Of one layer (kv_page.h); no slabs: queries alone are made, and k_in and v_in are not read.
    struct kv_array k, v;
};

// A gated unit (Shazeer, 2020): out[r][i] = activation(gate[r * stride + i]) * up[r * stride + i].
struct gate {
    enum activation activation;
    size_t rows, n, stride;
    const dfloat *gate, *up;
    dfloat *out; // [rows][n]
    // gpt-oss (2025): with g at most `limit` and u within [-limit, limit], out = (u + 1) * g / (1 + exp(-alpha * g)).
    // 0: none of this.
    float limit, alpha;
};

// Choice of experts (Shazeer et al., 2017). A row's scores are the softmax or the sigmoid of its logits, or, with
// ROUTE_CHOSEN, the softmax over those of the chosen alone. The `used` experts with the highest score + shift are
// chosen, of equals the one with the smaller number, in descending order. With groups, only experts of the best groups
// are.
enum route_score { ROUTE_SOFTMAX, ROUTE_CHOSEN, ROUTE_SIGMOID };

struct route {
    enum route_score score;
    size_t rows, experts, used;
    size_t groups, groups_used; // groups <= 1: none
    bool pairs;                 // a group's worth is the sum of its two best; else its best
    const dfloat *logits;       // [rows][experts]
    const dfloat *shift;        // [experts]; NULL: none
    bool normed;                // weights are divided by their sum
    float scale;                // and multiplied by this,
    const dfloat *own_scale;    // [experts]: and by the expert's own; NULL: none
    dint *expert;               // [rows][used]
    dfloat *weight;             // [rows][used]
    dfloat *work;               // [2][rows][experts], scratch
};

// out[r] = the sum over j < n of by[r * n + j] * x[from[r * n + j]], each a row of `dim`. by NULL: all 1.
struct sum_rows {
    size_t rows, n, dim;
    const dint *from;
    const dfloat *by, *x;
    dfloat *out;
};

// y[r] = W x[r] + bias; x is [rows][cols], y is [rows][W.rows]; bias may be NULL.
struct product {
    const struct weight *w;
    const dfloat *x;
    size_t rows; // at least one
    const dfloat *bias;
    dfloat *y;
};

// A product for each head: y = W[h] x of head h of row r, which begins at x + r * x_row + h * x_step; y likewise.
struct head_products {
    size_t rows, heads;
    const struct linear *w; // [heads], of one shape; in place as weights are
    const dfloat *x;
    size_t x_row, x_step;
    dfloat *y;
    size_t y_row, y_step;
    dfloat *work; // scratch: a row's input and output of one head, for every row
};

// Added to what a linear map gives: b (a x). No rows: nothing is. (Hu et al., 2021)
struct lora {
    struct weight a, b;
};

// What one adds to a matrix's products for some rows: y += b (a x).
struct adapting {
    const struct lora *lora;
    const dfloat *x;
    size_t rows;
    dfloat *y, *work; // scratch of its own: adapt_floats()
};
static inline size_t adapt_floats(const struct lora *l, size_t rows) {
    return rows * (l->a.cols + 2 * l->a.rows + l->b.rows + 2 * 32); // inputs of both, which may be laid out in groups
}

// A gated MLP among others.
struct expert {
    struct linear gate, up, down;
};

// Of a mixture all of it, or one step, where something is done in between: what goes into the experts' last matrices
// (`inner`); what these give (`given`); the sum of that (`out`). The matrices of the first and the second may then have
// other numbers of rows than `wide` and `hidden` of the others say: `wide` is that of the step's gates.
enum mixing { MIX_ALL, MIX_INNER, MIX_GIVEN, MIX_SUM };

// A mixture (Shazeer et al., 2017): out[r] = the sum over its `used` chosen experts of weight * expert(x[r]), in the
// order of choice; with `at_input`, of expert(weight * x[r]).
struct experts {
    enum mixing step; // anything but MIX_ALL needs device_ops.mixes_in_steps
    size_t rows, hidden, wide, n, used;
    const struct expert *expert; // [n]; in place as weights are
    const struct lora *lora;     // [n][3]: of gates, ups and downs; NULL: none. Needs device_ops.adapts_experts
    dfloat *lora_work;           // scratch: lora_room floats, no fewer than a rank and rows of any of them
    size_t lora_room;
    const dint *chosen;   // [rows][used]
    const dfloat *weight; // [rows][used]
    bool at_input;
    enum activation activation; // struct gate has these three
    float limit, alpha;
    const dfloat *x; // [rows][hidden]
    dfloat *out;     // [rows][hidden]
    // Scratch: with a place for each row and choice, [places][hidden] twice, [2][places][wide], [places][wide],
    // [places], and [2][places] and one for each expert.
    dfloat *gathered, *given, *gated, *inner, *by;
    dint *places;
};

// y[r * y_row + c] = by * (start + the sum over k < n of x[r * x_row + k * x_step] * w[c * w_col + k * w_step]) for
// r < rows and c < cols: fused multiply-adds in ascending order of k, from what y has (`more`), from bias[c], or, bias
// NULL, from 0. `y` is apart from the others.
struct float_sums {
    size_t rows, cols, n;
    const dfloat *x, *w, *bias;
    size_t x_row, x_step, w_col, w_step;
    dfloat *y;
    size_t y_row;
    bool more;
    float by;
};

// Units of an MLP as training has them (units.h): y = f(gate) * up, or, gate NULL, f(up). With dy back, to dgate and
// dup.
struct units {
    unsigned unit; // enum unit
    size_t n;
    const dfloat *gate, *up, *dy;
    dfloat *y, *dgate, *dup;
};

// Attention of rows to those before them and themselves, with all scores of some heads in memory: as
// attention_forward() and attention_backward() of train/ops.h have it, without windows, caps, slopes and sinks, with
// their order of sums. dy NULL: forward, which gives y and saved.
struct causal {
    size_t rows, heads, kv_heads, dim;
    float scale;
    const dfloat *q, *k, *v; // [rows][heads or kv_heads][dim]
    dfloat *y, *saved;
    const dfloat *dy;
    dfloat *dq, *dk, *dv;
    dfloat *work; // scratch: as much as causal_floats() says
};

// Where addresses of the device's memory lie among bytes: `n` of them, the first at byte `at`, `step` bytes apart.
struct addresses {
    size_t at, step, n;
};

// Of devices of several processes that gather among themselves. watch() says whether there is anybody to wait for:
// false, with the error set, if not; a thread of the device's asks it now and then.
enum { LINK_TICKET = 128 };
typedef bool link_watch(void *arg, gyr_error *e);
struct link_terms {
    uint32_t own, count;         // which device this one is, of how many
    uint8_t ticket[LINK_TICKET]; // by which they find each other: the first one's
    link_watch *watch;
    void *arg;
};

struct device_ops {
    const char *kind;    // "cpu"
    uint32_t form;       // of weights: another number, other bytes
    size_t rows;         // of a batch, at most: more are no faster
    bool adapts_experts; // experts() adds what struct experts.lora says
    bool mixes_in_steps; // experts() does what struct experts.step says
    void (*close)(struct device *d);

    // Waits until all is computed that was asked for. False, with the error set, if something went wrong since the last
    // time; the memory is then as it was, but for what operations write.
    bool (*sync)(struct device *d, gyr_error *e);

    // Threads of the host that have nothing to do between sync() and the next operation. No such function: none.
    struct pool *(*workers)(struct device *d);

    // Memory: how much there is, and how much of it could be had now.
    void (*room)(struct device *d, uint64_t *total, uint64_t *available);
    // Zeroed. NULL with the error set if there is none.
    void *(*alloc)(struct device *d, size_t bytes, gyr_error *e);
    void (*free)(struct device *d, void *p);

    // Memory of the host, garbage at first, that read() reaches without a copy in between: what is large and comes at
    // each step goes there. After a failure its bytes are anything. No such functions: it is malloc()'s
    // (device_host_alloc()).
    void *(*host_alloc)(struct device *d, size_t bytes, gyr_error *e);
    void (*host_free)(struct device *d, void *p);
    void (*write)(struct device *d, void *dst, const void *src, size_t bytes); // from the host, read at once
    void (*read)(struct device *d, void *dst, const void *src, size_t bytes);  // to the host, there after sync()
    void (*copy)(struct device *d, void *dst, const void *src, size_t bytes);  // on the device
    // write() of bytes among which are addresses of this device's memory, or NULLs. No such function: they are written
    // as they are (device_write_addresses()).
    void (*write_addresses)(struct device *d, void *dst, const void *src, size_t bytes, const struct addresses *list,
                            size_t n);

    // Several devices that are one have the list of them. No such function: it is one.
    struct device *const *(*parts)(struct device *d, size_t *n);

    // Between devices, without the host. reaches(): whether take() can take from that one, and makes it ready to; each
    // of the two is asked. offer(): what was asked for up to here is what others may take. await(): what is asked for
    // from here on comes behind the last offer() of `from`. take(): bytes of the memory of `from`. No such functions:
    // what crosses goes by way of the host.
    bool (*reaches)(struct device *d, struct device *from);
    void (*offer)(struct device *d);
    void (*await)(struct device *d, struct device *from);
    void (*take)(struct device *d, void *dst, struct device *from, const void *src, size_t bytes);

    // Between devices of several processes, by their maker's library, without the host. linkable(): whether there is
    // one, and its name, the same on all; ticket(): by which all find each other, of the first device; link(): waits
    // for them all. gather(): floats[i] floats that device i has at `from` come to `to` on all, one's behind the
    // other's; nobody waits but the devices. When watch() says no, or the library, what is on its way ends with
    // garbage, and sync() says why. unlink(): nothing more is asked; with `now` what is on its way ends so, else what
    // was gathered before is still the others' to get. No such functions: it goes by way of the hosts.
    bool (*linkable)(struct device *d, char name[48], gyr_error *e);
    bool (*ticket)(struct device *d, uint8_t ticket[LINK_TICKET], gyr_error *e);
    bool (*link)(struct device *d, const struct link_terms *terms, gyr_error *e);
    void (*gather)(struct device *d, const dfloat *from, dfloat *to, const size_t *floats);
    void (*unlink)(struct device *d, bool now);

    // Makes a weight ready, from its bytes; unbind() frees what that took.
    bool (*bind)(struct device *d, struct weight *w, gyr_error *e);
    void (*unbind)(struct device *d, struct weight *w);
    // Makes what the first product with a bound weight would make, or the first look-up in it. A device with this
    // function keeps weights in its own memory, and their bytes on the host are not read again. No such function: there
    // is nothing to make.
    void (*ready)(struct device *d, const struct weight *w, bool looked_up);
    // The form of a weight that products are fastest with, and that a file may keep: form_bytes() of it (0: there is
    // none). It is made from the weight's bytes, which nobody else than embed() reads from then on; or taken from a
    // file, where it stays until unbind(); and given back in pieces, to any thread. False: it could not be done, and
    // products are slower then.
    size_t (*form_bytes)(struct device *d, const struct weight *w);
    bool (*form_make)(struct device *d, struct weight *w);
    bool (*form_take)(struct device *d, struct weight *w, const void *form);
    bool (*form_give)(struct device *d, const struct weight *w, size_t at, size_t bytes, void *to);
    bool (*form_lock)(struct device *d, const struct weight *w); // keeps it in memory

    // y[r] = row ids[r] of the table, decoded.
    void (*embed)(struct device *d, const struct weight *table, const dint *ids, size_t rows, dfloat *y);
    // y[r] = norm(x[r]) * w[r % parts] + b over `dim`; w is [parts][dim]; b, [dim], may be NULL. (Ba et al., 2016;
    // Zhang and Sennrich, 2019)
    void (*norm)(struct device *d, enum norm_kind kind, const dfloat *x, const dfloat *w, size_t parts, const dfloat *b,
                 float eps, size_t rows, size_t dim, dfloat *y);
    // A product, or several of which none waits for another; the list is read before the call returns.
    void (*matmul)(struct device *d, const struct weight *w, const dfloat *x, size_t rows, const dfloat *bias,
                   dfloat *y);
    void (*products)(struct device *d, const struct product *list, size_t n);
    // Of a few rows each, none waiting for another; NULL: ask for products() and add().
    void (*adapt)(struct device *d, const struct adapting *list, size_t n);
    void (*head_products)(struct device *d, const struct head_products *a);
    // Norms and rotates queries and keys; writes keys and values into the cache. See struct qkv.
    void (*qkv)(struct device *d, const struct qkv *a);
    void (*attention)(struct device *d, const struct attention *a);
    void (*choose)(struct device *d, const struct choice *a);
    void (*conv)(struct device *d, const struct conv *a);
    void (*recur)(struct device *d, const struct recur *a);
    void (*activate)(struct device *d, enum activation kind, dfloat *x, size_t n);
    void (*gate)(struct device *d, const struct gate *a);
    void (*route)(struct device *d, const struct route *a);
    void (*experts)(struct device *d, const struct experts *a);
    void (*sum_rows)(struct device *d, const struct sum_rows *a);
    void (*add)(struct device *d, dfloat *x, const dfloat *y, size_t n); // x += y
    // y[r * y_row + i] = x[r * x_row + i] for i < n.
    void (*move)(struct device *d, const dfloat *x, size_t x_row, dfloat *y, size_t y_row, size_t rows, size_t n);
    void (*scale)(struct device *d, dfloat *x, float by, size_t n);   // x *= by
    void (*clamp)(struct device *d, dfloat *x, float most, size_t n); // x within [-most, most]; a NaN stays
    void (*cap)(struct device *d, dfloat *x, float most, size_t n);   // x = most * tanh(x / most)
    // What training has a device compute (train/card.h). No such function: it is the host's.
    void (*sums)(struct device *d, const struct float_sums *s);
    void (*causal)(struct device *d, const struct causal *a);
    void (*units)(struct device *d, const struct units *u);
    size_t (*causal_floats)(struct device *d, const struct causal *a);
};

struct device {
    const struct device_ops *ops;
    void *front; // of who has put operations in front of the device's own; NULL: nobody
};

// bind() and unbind() of a weight that knows its device; one that was bound to none is left alone.
static inline bool weight_bind(struct weight *w, struct device *d, gyr_error *e) {
    w->on = d;
    return d->ops->bind(d, w, e);
}

static inline void weight_unbind(struct weight *w) {
    if (w->on) w->on->ops->unbind(w->on, w);
}

// What is known of a device that is not opened.
struct device_facts {
    char name[128], isa[32]; // as in gyr_device_info
    char driver[24], compiler[24], bus[24];
    uint64_t memory, available;
    bool untried;  // on no chip of its kind have kernels been compared with the CPU's bytes
    char why[400]; // nothing can be computed on it: what is wrong, and what to do; "" if it can
};

// A kind of device: a row of the table that device_open() searches. `name` is as in gyr_model_options: the kind's, or
// the kind's and which one of several, "cuda:1".
struct device_kind {
    const char *name;
    size_t (*count)(void);
    struct device *(*open)(size_t index, unsigned threads, gyr_error *e);
    // NULL: it is opened to see. Where it is not, open() says of an index beyond the last what is wrong with it.
    void (*look)(size_t index, struct device_facts *facts);
};

// Opens a device by name; NULL: $GYR_DEVICE, else the first that this machine has. GYR_USAGE if there is none of that
// name.
struct device *device_open(const char *name, unsigned threads, gyr_error *e);

// The device's host_alloc() and host_free(), or malloc() and free().
void *device_host_alloc(struct device *d, size_t bytes, gyr_error *e);
void device_host_free(struct device *d, void *p);

// The device's write_addresses(), or write().
void device_write_addresses(struct device *d, void *dst, const void *src, size_t bytes, const struct addresses *list,
                            size_t n);

// The i-th device of all kinds: which one of its kind it is. NULL: there are no more.
const struct device_kind *device_at(size_t i, size_t *index);

// Which of all devices device_open() opens by this name.
bool device_find(const char *name, size_t *i, gyr_error *e);

// Adds a kind before the others, for the life of the program; at most MAX_KINDS in all. Not while models are opened.
enum { MAX_KINDS = 8 };
bool device_register(const struct device_kind *kind);

// The CPU with `threads` workers (0: all). `isa` forces an instruction set by name; NULL: the GYR_ISA environment
// variable, else the best the chip has.
struct device *device_cpu(unsigned threads, const char *isa, gyr_error *e);

// Facts of the CPU device: its memory is what the machine, and this process's limits, leave.
uint64_t memory_total(void);
uint64_t memory_available(void);
const char *device_cpu_isa(const struct device *d);
unsigned device_cpu_threads(const struct device *d);

// Bytes per second that `threads` workers read from memory; takes about `seconds`.
double device_cpu_bandwidth(struct device *d, double seconds);

// What `threads` workers do at most: bytes read per second, and operations per second of multiply-adds (two each) of
// int8 and float. Takes about `seconds`.
struct roofs {
    double read, int8, fp32;
};
void device_cpu_roofs(struct device *d, double seconds, struct roofs *out);

#endif
