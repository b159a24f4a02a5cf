// The short table of operations that every device offers. A forward pass is a sequence of these calls.
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

// Of the arithmetic: docs/arithmetic.md. Raised with everything that changes a bit of a result.
enum { EDITION = 2 };

enum { MAX_HEAD = 1024 };     // elements of a head
enum { MAX_GROUPS = 256 };    // of experts
enum { MAX_INDEX_KEY = 256 }; // elements of an indexer's key

// A matrix of `rows` output features by `cols` input features, bound to a device.
struct weight {
    enum type type;
    size_t rows, cols;
    const void *data; // the file's bytes, mapped; a device may keep a form of its own behind `own`
    void *own;
    bool lent; // `own` is not the device's to free
};

enum norm_kind { NORM_LAYER, NORM_RMS };
enum activation { ACT_GELU, ACT_GELU_TANH, ACT_SILU, ACT_RELU, ACT_RELU2, ACT_SIGMOID };

// One row's place in its sequence's KV cache, for attention().
struct attention_row {
    const uint32_t
        *pages;        // the sequence's page table: page number of positions [i * PAGE_TOKENS, (i + 1) * PAGE_TOKENS)
    uint32_t position; // the row sees positions 0 .. position, its own included
    uint32_t state;    // the sequence's slot, for layers that keep a state: recur.h
    uint32_t ahead;    // so many positions after its own the row sees too; their keys and values are in the cache
};

struct attention {
    size_t rows, heads; // query heads: heads / kv.heads neighbours share a key and value head
    struct kv_shape kv;
    const float *q;    // [rows][heads * kv.key_dim]
    float *out;        // [rows][heads * kv.value_dim]
    const void *k, *v; // pages of one layer (kv_page.h)
    const struct attention_row *row;
    uint32_t window; // a row sees positions less than this away from its own; 0: all
    float scale;     // multiplies (q . k + bias)
    float softcap;   // then score = softcap * tanh(score / softcap) (Gemma 2, 2024); 0: none
    // ALiBi (Press et al., 2022): bias = slopes[head] * key position; NULL: none.
    // Either way pairs lie half of rotary_dim apart in the result. With alibi_bf16, as Falcon's
    // checkpoints were trained: bias = bf16(bf16(slope) * bf16(position)), the slopes being rounded already.
    const float *slopes;
    bool alibi_bf16;
    const float *sinks; // [heads]: a score that joins the softmax and has no value (gpt-oss, 2025); NULL: none
    // A row that would see more than `most` positions sees those of chosen[row * most + ..], ascending, alone. With
    // them there is neither window nor slopes. NULL: every row sees all.
    const int32_t *chosen;
    size_t most;
};

// The lightning indexer (DeepSeek-V3.2, 2025): which positions a row attends to. A position's score is the sum over
// heads of weight * max(0, q . key * scale), and the `most` highest are chosen, of equals the earlier; a NaN is above
// all. A row that sees no more than that sees all, and nothing is written for it.
struct choice {
    size_t rows, heads, most;
    struct kv_shape kv;  // of the indexer's keys: one head, of at most MAX_INDEX_KEY elements, and no values
    const float *q;      // [rows][heads * kv.key_dim]
    const float *weight; // [rows][heads]
    float scale;
    const void *k; // pages of one layer (kv_page.h)
    const struct attention_row *row;
    int32_t *chosen; // [rows][most], ascending
    float *work;     // scratch: `room` floats, no fewer than the whole pages of the longest row
    size_t room;
};

// Which elements of a head are rotated together (Su et al., 2021): i and i + half, or neighbours. Neighbours are put
// where halves would be, so that a model's bytes do not depend on the order its file has.
enum pairs { PAIRS_HALVES, PAIRS_ADJACENT };

// Heads of a projection: head h of row r starts at x + r * row + h / group * step + h % group * dim, where `group`
// heads share a key and value head (1 for keys and values themselves).
struct projected {
    const float *x;
    size_t row, step; // in floats
};

// From projections to queries ready for attention() and keys and values in the cache.
struct qkv {
    size_t rows, heads;
    struct kv_shape kv;
    struct projected q_in, k_in, v_in;
    // Norms of each query and key head before rotation; NULL: none. Head h's weight starts at h * norm_step.
    enum norm_kind norm;
    const float *q_norm, *k_norm;
    size_t norm_step;
    float norm_eps;
    // Rotation: cos and sin of position p, pair i at table[(p * rotary_dim / 2 + i) * 2 + {0, 1}]; NULL: none.
    const float *table;
    size_t rotary_dim;
    enum pairs pairs;
    float *q; // [rows][heads * kv.key_dim]
    const struct attention_row *row;
    void *k, *v; // pages of one layer (kv_page.h); NULL: queries alone are made, and k_in and v_in are not read
};

// A gated unit (Shazeer, 2020): out[r][i] = activation(gate[r * stride + i]) * up[r * stride + i].
struct gate {
    enum activation activation;
    size_t rows, n, stride;
    const float *gate, *up;
    float *out; // [rows][n]
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
    const float *logits;        // [rows][experts]
    const float *shift;         // [experts]; NULL: none
    bool normed;                // weights are divided by their sum
    float scale;                // and multiplied by this,
    const float *own_scale;     // [experts]: and by the expert's own; NULL: none
    int32_t *expert;            // [rows][used]
    float *weight;              // [rows][used]
    float *work;                // [2][rows][experts], scratch
};

// out[r] = the sum over j < n of by[r * n + j] * x[from[r * n + j]], each a row of `dim`. by NULL: all 1.
struct mix {
    size_t rows, n, dim;
    const int32_t *from;
    const float *by, *x;
    float *out;
};

struct device_ops {
    const char *kind; // "cpu"
    uint32_t form;    // of tiles: another number, other bytes
    void (*close)(struct device *d);

    // Device memory; zeroed. NULL with the error set if there is none.
    void *(*alloc)(struct device *d, size_t bytes, gyr_error *e);
    void (*free)(struct device *d, void *p);
    void (*write)(struct device *d, void *dst, const void *src, size_t bytes); // host to device
    void (*read)(struct device *d, void *dst, const void *src, size_t bytes);  // device to host
    void (*copy)(struct device *d, void *dst, const void *src, size_t bytes);  // device to device
    bool (*bind)(struct device *d, struct weight *w, gyr_error *e);            // make the weight ready; unbind() frees
    // Rewrites the weight's bytes in the form that products are fastest with: tiled_bytes() of memory of the device's
    // own. False if there is none: the products are slower then.
    size_t (*tiled_bytes)(struct device *d, const struct weight *w);
    bool (*tile)(struct device *d, struct weight *w);
    void (*unbind)(struct device *d, struct weight *w);

    // y[r] = row ids[r] of the table, decoded.
    void (*embed)(struct device *d, const struct weight *table, const int32_t *ids, size_t rows, float *y);
    // y[r] = norm(x[r]) * w + b over `dim`; b may be NULL. (Ba et al., 2016; Zhang and Sennrich, 2019)
    void (*norm)(struct device *d, enum norm_kind kind, const float *x, const float *w, const float *b, float eps,
                 size_t rows, size_t dim, float *y);
    // y[r] = W x[r] + bias; x is [rows][cols], y is [rows][W.rows]; bias may be NULL.
    void (*matmul)(struct device *d, const struct weight *w, const float *x, size_t rows, const float *bias, float *y);
    // Norms and rotates queries and keys; writes keys and values into the cache. See struct qkv.
    void (*qkv)(struct device *d, const struct qkv *a);
    void (*attention)(struct device *d, const struct attention *a);
    void (*choose)(struct device *d, const struct choice *a);
    void (*conv)(struct device *d, const struct conv *a);
    void (*recur)(struct device *d, const struct recur *a);
    void (*activate)(struct device *d, enum activation kind, float *x, size_t n);
    void (*gate)(struct device *d, const struct gate *a);
    void (*route)(struct device *d, const struct route *a);
    void (*mix)(struct device *d, const struct mix *a);
    void (*add)(struct device *d, float *x, const float *y, size_t n); // x += y
    // y[r * y_row + i] = x[r * x_row + i] for i < n.
    void (*move)(struct device *d, const float *x, size_t x_row, float *y, size_t y_row, size_t rows, size_t n);
    void (*scale)(struct device *d, float *x, float by, size_t n);   // x *= by
    void (*clamp)(struct device *d, float *x, float most, size_t n); // x within [-most, most]; a NaN stays
    void (*cap)(struct device *d, float *x, float most, size_t n);   // x = most * tanh(x / most)
};

struct device {
    const struct device_ops *ops;
};

// The CPU with `threads` workers (0: all). `isa` forces an instruction set by name; NULL: the GYR_ISA environment
// variable, else the best the chip has.
struct device *device_cpu(unsigned threads, const char *isa, gyr_error *e);

// Facts of the CPU device.
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
