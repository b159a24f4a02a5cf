// A model: a checkpoint's weights bound to a device, and the decoder's forward pass over a batch of rows.
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include "model/hyper.h"

struct norm {
    enum norm_kind kind;
    float eps;
    size_t dim;           // of a row
    float *weight, *bias; // on the device; bias may be NULL; no weight: no norm
};

struct linear {
    struct weight w;
    float *bias; // on the device; may be NULL
    float by;    // what it gives is multiplied by this
};

// A gated MLP among others.
struct expert {
    struct linear gate, up, down;
};

// What keeps a state (device/recur.h).
struct recurrent {
    struct linear in, gate, alpha, beta, x, dt, out; // those that the kind has
    struct linear q, k, low, gate_low;
    float *q_taps, *k_taps;
    float *taps, *taps_bias, *dt_bias, *a, *skip, *ones, *unit;
    struct norm norm;
};

// What the pass does in a layer, and with which weights.
struct layer {
    struct layer_plan plan;
    struct recurrent state;
    struct norm attn_norm, attn_post_norm, mlp_norm, mlp_post_norm, q_norm, k_norm, v_norm;
    float scale;                          // of what the layer gives
    struct linear qkv, q, k, v, attn_out; // qkv where nothing but struct qkv is done to its parts; or the three
    struct linear q_a, kv_a, *k_b, *v_b;  // latent attention; the last two [h.heads]
    struct norm q_a_norm, kv_a_norm;
    struct linear index_q, index_k, index_weight; // of the layer's own indexer
    struct norm index_norm;
    float *sinks;
    struct linear gate_up, gate, up, down;
    struct linear input_gate, input_out; // per-layer inputs; no rows: there are none
    struct norm input_post_norm;
    struct linear router;                                                    // no rows: this layer has no experts
    struct norm router_norm, expert_norm, expert_post_norm, dense_post_norm; // of experts beside the MLP
    float *router_shift, *expert_scale;
    struct expert *experts;      // [h.experts]
    struct expert shared;        // no rows: there is none
    struct linear shared_router; // no rows: the shared expert always counts in full
};

// Per-layer inputs, where a model has them: looked up in a table, and projected from the embedding.
struct layer_inputs {
    struct linear table, project;
    struct norm norm;
};

// Calls fn for every matrix that a layer has, in a fixed order, until it says no.
typedef bool matrix_fn(void *arg, struct weight *w);
bool layer_matrices(struct layer *l, const struct hyperparameters *h, matrix_fn *fn, void *arg);

// Cosines and sines, on the device; they grow with the sequences: model_cover().
struct rope_tables {
    float *all, *local; // local: of layers with a window, where those differ
    size_t positions;
};

struct model {
    const struct family *family;
    struct hyperparameters h;
    const struct checkpoint *checkpoint;        // not owned: the weights point into it
    struct device *device;                      // not owned
    struct weight embedding, positions, output; // embedding and output are the same when tied
    bool tied;
    struct layer_inputs inputs;
    float *output_bias;
    struct norm final_norm;
    struct layer *layers;
    float *rope_factors[2];     // on the host; NULL without
    struct rope_tables rope[2]; // [1]: of sessions beyond the trained context (LongRoPE)
    float *index_work;          // scratch of indexers, on the device: so many floats
    size_t index_room;
    float *slopes;                 // ALiBi, on the device; NULL without
    bool slopes_bf16;              // struct attention
    enum pairs pairs, index_pairs; // as this file has them
    bool grouped;                  // how fused query/key/value rows are laid out: struct qkv
    enum type type;                // what most matrices are of
    struct activations *activations;
    struct state_pool states; // of all sequences
    uint64_t parameters, weight_bytes, decode_bytes;
    float *vectors;   // owner of all norms and biases
    void **rewritten; // owner of matrices that could not be used as they lie in the file
    size_t n_rewritten;
};

// Binds every tensor of the family's row: each is looked up, and its shape checked against the hyperparameters.
struct model *model_new(const struct checkpoint *c, struct device *d, gyr_error *e);

// The same of a row of the caller's, which must outlive the model.
struct model *model_of(const struct family *f, const struct checkpoint *c, struct device *d, gyr_error *e);

// The same for those who only ask: nothing of the weights is rewritten, and it cannot run.
struct model *model_look(const struct checkpoint *c, struct device *d, gyr_error *e);

void model_free(struct model *m);

// Makes the model ready for positions [0, positions), of sessions beyond the trained context if `far`.
bool model_cover(struct model *m, size_t positions, bool far, gyr_error *e);

// Rewrites the matrices that are multiplied in the form that the device is fastest with, so many bytes in all (0: it
// has none). The results are the same bytes.
uint64_t model_tiled_bytes(struct model *m);

// The matrices that are multiplied, in a fixed order; free().
struct weight **model_matrices(struct model *m, size_t *n);

struct tiling {
    bool mapped;     // the weights are in mapped files: what is rewritten may leave the memory
    bool lock;       // keep what is written in memory
    uint8_t **rooms; // what would be written, for each matrix of model_matrices(); NULL: it has to be
    bool (*progress)(void *user, double fraction);
    void *user;
};
enum tiled { TILED, TILED_STOPPED, TILED_NOT_LOCKED };
enum tiled model_tile(struct model *m, const struct tiling *how);

// Most rows that one forward() takes; a longer batch is fed in pieces, which changes no byte of the result.
size_t model_max_rows(const struct model *m);

// One token to compute: where it stands, and whether its logits are wanted.
struct row {
    int32_t token;
    struct attention_row at; // at.pages must cover at.position
    bool logits;
};

struct kv_cache;

// Computes up to model_max_rows() rows of any number of sequences: their keys and values go to the cache, and the
// logits of the rows that want them to `logits` on the host, [wanted][vocab], in order. Rows of one sequence must come
// in ascending positions. A row's result depends on its own sequence alone.
void forward(struct model *m, struct kv_cache *kv, const struct row *rows, size_t n, float *logits);

#endif
