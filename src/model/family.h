// The table of model families. A family is a row: which files it covers, what its hyperparameters and tensors are
// called in GGUF and on Hugging Face, and the traits in which decoders differ. To add a model is to add a row here
// and a golden test.
#ifndef MODEL_FAMILY_H
#define MODEL_FAMILY_H

#include "device/device.h"
#include "format/checkpoint.h"

enum residual {
    RESIDUAL_SERIAL,   // x += attention(norm(x)); x += mlp(norm(x))
    RESIDUAL_PARALLEL, // x += attention(norm(x)) + mlp(norm(x))
};

enum positions { POSITIONS_ROTARY, POSITIONS_ALIBI };

// Where a Hugging Face config says the number of key/value heads. (GGUF always has a key for it.)
enum kv_heads { KV_HEADS_KEY, KV_HEADS_ONE, KV_HEADS_ALL };

// Hyperparameters, each read from the first key present.
enum hyper {
    HYPER_LAYERS,
    HYPER_HIDDEN,
    HYPER_HEADS,
    HYPER_KV_HEADS,
    HYPER_FEED_FORWARD,
    HYPER_CONTEXT,
    HYPER_NORM_EPS,
    HYPER_ROPE_BASE,
    HYPER_ALIBI_MAX,
    HYPER_COUNT,
};

// Tensors, by what they do in the forward pass.
enum role {
    ROLE_EMBEDDING, // [hidden, vocab]
    ROLE_FINAL_NORM,
    ROLE_FINAL_NORM_BIAS,
    ROLE_OUTPUT, // [hidden, vocab]; absent: the embedding table is used (tied)
    ROLE_LAYER_FIRST,
    ROLE_ATTN_NORM = ROLE_LAYER_FIRST,
    ROLE_ATTN_NORM_BIAS,
    ROLE_MLP_NORM, // absent where one norm feeds both branches
    ROLE_MLP_NORM_BIAS,
    ROLE_QKV, // fused
    ROLE_QKV_BIAS,
    ROLE_ATTN_OUT,
    ROLE_ATTN_OUT_BIAS,
    ROLE_UP,
    ROLE_UP_BIAS,
    ROLE_DOWN,
    ROLE_DOWN_BIAS,
    ROLE_COUNT,
};

// A key's names: GGUF's without the "architecture." in front, Hugging Face's in order of preference.
struct key_names {
    const char *gguf;
    const char *hf[3];
};

// What must hold for a row to cover a Hugging Face folder: a config key's value (true is 1); a key that is missing, or
// null, counts as `missing`.
struct condition {
    const char *key;
    int equals, missing;
};

// A Hugging Face key that, where it is present, must have this value: what else it could say is not supported yet.
struct expectation {
    const char *key, *value, *what;
};

struct family {
    const char *kind;         // what people call it: "Falcon-7B kind"
    const char *architecture; // GGUF general.architecture
    const char *hf_types[4];  // config.json model_type
    struct condition hf[6];
    const struct expectation *hf_expects; // ends with a NULL key
    bool hf_only;                         // not for GGUF files
    const char *gguf_has[3];              // tensors, or keys (with a '=' in front), that a GGUF file must have
    const char *gguf_not[3];              // and must not

    enum norm_kind norm;
    enum residual residual;
    enum positions positions;
    enum activation activation;
    enum kv_heads hf_kv_heads;
    bool hf_grouped;  // Hugging Face's fused rows hold each group's queries, key and value together
    bool biases;      // matrices have biases
    bool norm_biases; // norms have biases
    bool mlp_norm;    // the MLP has a norm of its own
    bool alibi_bf16;  // ALiBi's biases were rounded to bfloat16 in training
    const struct key_names *keys;
    const char *const *gguf_names; // [ROLE_COUNT], "%u" is the layer
    const char *const *hf_names;
};

// The row that covers a checkpoint; NULL (GYR_UNSUPPORTED, listing what gyr knows) if none does.
const struct family *family_find(const struct checkpoint *c, gyr_error *e);

// Row `i`; NULL past the last.
const struct family *family_row(size_t i);

// Values read through the table; missing optional ones take their defaults.
struct hyperparameters {
    uint32_t layers, hidden, heads, kv_heads, head_dim, feed_forward, context, vocab;
    float norm_eps;
    double rope_base, alibi_max;
};
bool family_hyperparameters(const struct family *f, const struct checkpoint *c, struct hyperparameters *h,
                            gyr_error *e);

// The tensor that plays a role (layer is ignored for roles before ROLE_LAYER_FIRST); NULL if the file has none. `name`
// receives the name looked for.
const struct tensor *family_tensor(const struct family *f, const struct checkpoint *c, enum role role, uint32_t layer,
                                   char name[128]);

#endif
