// A model: a checkpoint's weights bound to a device.
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include "model/hyper.h"

struct norm {
    enum norm_kind kind;
    float eps;
    size_t dim;            // of a row
    dfloat *weight, *bias; // bias may be NULL; no weight: no norm
};

// What keeps a state (device/recur.h).
struct recurrent {
    struct linear in, gate, alpha, beta, x, dt, out; // those that the kind has
    struct linear q, k, low, gate_low;
    dfloat *q_taps, *k_taps;
    dfloat *taps, *taps_bias, *dt_bias, *a, *skip, *ones, *unit;
    struct norm norm;
};

// What the pass does in a layer, and with which weights.
struct layer {
    struct layer_plan plan;
    uint32_t side, experts_side; // of struct homes: where it is, and where its experts are
    struct recurrent state;
    struct norm attn_norm, attn_post_norm, mlp_norm, mlp_post_norm, q_norm, k_norm, v_norm;
    float scale;                          // of what the layer gives
    struct linear qkv, q, k, v, attn_out; // qkv where nothing but struct qkv is done to its parts; or the three
    struct linear q_a, kv_a, *k_b, *v_b;  // latent attention; the last two [h.heads]
    struct norm q_a_norm, kv_a_norm;
    struct linear index_q, index_k, index_weight; // of the layer's own indexer
    struct norm index_norm;
    dfloat *sinks;
    struct linear gate_up, gate, up, down;
    struct linear input_gate, input_out; // per-layer inputs; no rows: there are none
    struct norm input_post_norm;
    struct linear router;                                                    // no rows: this layer has no experts
    struct norm router_norm, expert_norm, expert_post_norm, dense_post_norm; // of experts beside the MLP
    dfloat *router_shift, *expert_scale;
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

// Which part of a model is bound here: by layers, what rank `own` of `count` computes, the ranks' memory being what it
// is; that of rank 0 begins with the embedding, and that of the last one ends with the output matrix.
struct cut {
    uint32_t own, count;
    const uint64_t *memory; // [count], bytes
    const double *speed;    // [count], of the fastest one's
};

// How a model is shared out among devices of this process (sharing.h). Side k has the layers [from[k], from[k + 1]);
// the first has the embedding too, the last what comes behind the layers. The experts of layers below `experts` are
// the first's, whoever has the rest.
struct homes {
    struct device *device[MAX_SIDES]; // not owned
    uint32_t sides, from[MAX_SIDES + 1], experts;
};

// Never changed once it is made: what a batch on its way changes is in a run (run.h).
struct model {
    const struct family *family;
    struct hyperparameters h;
    const struct checkpoint *checkpoint; // not owned: the weights point into it
    struct homes on;
    struct device *device;                      // the last side's; where there is one side, all is there
    struct weight embedding, positions, output; // embedding and output are the same when tied
    bool tied;
    struct layer_inputs inputs;
    dfloat *output_bias;
    struct norm embed_norm, final_norm; // without weights: there is none
    struct weight types;                // of tokens; no rows: they have none
    struct linear dense[MAX_DENSE];     // what a text's embedding goes through, one after the other; no rows: no more
    struct layer *layers;
    uint32_t first, end;           // layers that are bound: all, or those of this rank
    bool begins, gives;            // the embedding is; what comes behind the layers is
    bool keeps_states;             // some layer does, bound or not
    float *rope_factors[2];        // on the host; NULL without. [1]: of sessions beyond the trained context (LongRoPE)
    dfloat *slopes[MAX_SIDES];     // ALiBi; NULL without
    bool slopes_bf16;              // struct attention
    enum pairs pairs, index_pairs; // as this file has them
    bool grouped;                  // how fused query/key/value rows are laid out: struct qkv
    enum type type;                // what most matrices are of
    uint32_t adaptable; // linear maps that an adapter may have something for: struct linear.number is below this
    uint64_t parameters, weight_bytes, decode_bytes;
    dfloat *vectors[MAX_SIDES]; // owner of all norms and biases
    bool hollow;                // the weights' bytes were not read: only a device that counts can run it
    void **rewritten;           // owner of matrices that could not be used as they lie in the file
    size_t n_rewritten;
};

// Binds every tensor of the family's row: each is looked up, and its shape checked against the hyperparameters.
struct model *model_new(const struct checkpoint *c, struct device *d, gyr_error *e);

// The same of a row of the caller's, which must outlive the model.
struct model *model_of(const struct family *f, const struct checkpoint *c, struct device *d, gyr_error *e);

// The same for a device that only counts what it is asked for (device/count.h): matrices' bytes are not read, and need
// not be there; vectors are.
struct model *model_hollow(const struct checkpoint *c, struct device *d, gyr_error *e);

// The same on several devices.
struct model *model_shared(const struct checkpoint *c, const struct homes *on, gyr_error *e);

// The same of a part.
struct model *model_part(const struct checkpoint *c, struct device *d, const struct cut *cut, gyr_error *e);

// The same for those who only ask: nothing of the weights is rewritten, and it cannot run.
struct model *model_look(const struct checkpoint *c, struct device *d, gyr_error *e);

void model_free(struct model *m);

// The matrices that are multiplied in the form that devices whose memory is the host's are fastest with: its bytes in
// all; 0: there are none.
uint64_t model_tiled_bytes(struct model *m);

// The matrices that are multiplied, in a fixed order; free().
struct weight **model_matrices(struct model *m, size_t *n);

struct tiling {
    bool mapped;     // the weights are in mapped files: what is rewritten may leave the memory
    bool lock;       // keep what is written in memory
    bool looked_up;  // what steps do with matrices is to look rows up
    uint8_t **rooms; // the form of each matrix of model_matrices(), read from a file; NULL: it is to be made
    bool (*progress)(void *user, double fraction);
    void *user;
};
enum tiled { TILED, TILED_STOPPED, TILED_NOT_LOCKED };
enum tiled model_tile(struct model *m, const struct tiling *how);

// Of devices that have ready(): calls it for all that steps use of them. False: stopped.
bool model_ready(struct model *m, const struct tiling *how);

#endif
