// The table of model families. A family is a row: which files it covers, what its tensors are called in GGUF and on
// Hugging Face, and the traits in which decoders differ. To add a model is to add a row and a golden test
// (docs/adding-a-model.md).
#ifndef MODEL_FAMILY_H
#define MODEL_FAMILY_H

#include "device/device.h"
#include "format/checkpoint.h"

// Tensors, by what they do in the forward pass. A norm or matrix may have a bias beside it.
enum role {
    ROLE_NONE,
    ROLE_EMBEDDING, // [hidden, vocab]
    ROLE_POSITIONS, // [hidden, context], learned
    ROLE_TYPES,     // [hidden, types of tokens]; all tokens are of the first
    ROLE_EMBED_NORM,
    ROLE_FINAL_NORM,
    ROLE_OUTPUT, // [hidden, vocab]; absent: the embedding table is used (tied)
    ROLE_ROPE_FACTORS,
    ROLE_ROPE_SHORT,
    ROLE_ROPE_LONG,
    ROLE_INPUT_TABLE,   // [layers * width, vocab], per-layer inputs: looked up,
    ROLE_INPUT_PROJECT, // [hidden, layers * width], made from the embedding,
    ROLE_INPUT_NORM,    // and that normed
    ROLE_LAYER_FIRST,
    ROLE_ATTN_NORM = ROLE_LAYER_FIRST,
    ROLE_ATTN_POST_NORM,
    ROLE_MLP_NORM,
    ROLE_MLP_POST_NORM,
    ROLE_LAYER_SCALE, // a number that the layer's output is multiplied by
    ROLE_INPUT_GATE,  // [hidden, width], what lets the layer's own input through
    ROLE_INPUT_OUT,   // [width, hidden]
    ROLE_INPUT_POST_NORM,
    ROLE_QKV, // fused; or the three:
    ROLE_Q,
    ROLE_K,
    ROLE_V,
    ROLE_Q_NORM,
    ROLE_K_NORM,
    ROLE_Q_A, // latent attention: queries, and keys with values, by way of a narrower vector
    ROLE_Q_A_NORM,
    ROLE_KV_A,
    ROLE_KV_A_NORM,
    ROLE_KV_B,    // [latent, heads * (key part without positions, value)]; or the two, a matrix for each head:
    ROLE_K_B,     // [key part, latent, heads]
    ROLE_V_B,     // [latent, value, heads]
    ROLE_INDEX_Q, // what chooses the positions to attend to: [q latent, heads * key], [hidden, key], a norm of keys,
    ROLE_INDEX_K, // and [hidden, heads]
    ROLE_INDEX_NORM,
    ROLE_INDEX_WEIGHT,
    ROLE_SINKS,
    ROLE_ATTN_OUT,
    ROLE_GATE_UP, // fused; or the two:
    ROLE_GATE,
    ROLE_UP,
    ROLE_DOWN,
    ROLE_STATE_IN,   // what a layer with a state is made from: values, keys, queries, gate, steps; or fused, by head:
    ROLE_STATE_QKVZ, // (query, key, values, gates)
    ROLE_STATE_GATE,
    ROLE_STATE_BA, // (betas, steps), by key head; or the two:
    ROLE_STATE_BETA,
    ROLE_STATE_ALPHA,
    ROLE_STATE_LOW,      // [hidden, size], what ALPHA reads; else it reads the input
    ROLE_STATE_GATE_LOW, // the same for GATE
    ROLE_STATE_Q,        // where they are not in IN, which is for values then
    ROLE_STATE_K,
    ROLE_STATE_CONV,
    ROLE_STATE_CONV_Q, // the same for CONV
    ROLE_STATE_CONV_K,
    ROLE_STATE_X,  // [inner, steps' rank + key + query]
    ROLE_STATE_DT, // [rank, inner], or only its bias
    ROLE_STATE_A,
    ROLE_STATE_D,
    ROLE_STATE_NORM,
    ROLE_STATE_OUT,
    ROLE_ROUTER,           // [hidden, experts]
    ROLE_ROUTER_SHIFT,     // [experts], added to the scores for the choice alone
    ROLE_ROUTER_NORM,      // what the router reads is the stream under a norm of its own
    ROLE_EXPERT_SCALE,     // [experts], of their weights
    ROLE_EXPERT_NORM,      // where experts stand beside an MLP: in front of them,
    ROLE_EXPERT_POST_NORM, // behind them,
    ROLE_DENSE_POST_NORM,  // and behind the MLP
    ROLE_EXPERT_GATE_UP,   // one tensor for all experts, or one for each (an indexed name)
    ROLE_EXPERT_GATE,
    ROLE_EXPERT_UP,
    ROLE_EXPERT_DOWN,
    ROLE_SHARED_GATE_UP, // the expert that every token goes through; fused, or the two:
    ROLE_SHARED_GATE,
    ROLE_SHARED_UP,
    ROLE_SHARED_DOWN,
    ROLE_SHARED_ROUTER, // [hidden], of what is multiplied to its output by its sigmoid
    ROLE_COUNT,
};

enum residual {
    RESIDUAL_SERIAL,   // x += attention(norm(x)); x += mlp(norm(x))
    RESIDUAL_PARALLEL, // x += attention(norm(x)) + mlp(norm(x))
};

// Where a branch has its norms: on its input, on its output, on both, or on the stream once its output has joined it.
enum norm_place { NORM_BEFORE, NORM_AFTER, NORM_AROUND, NORM_JOINED };

enum positions { POSITIONS_ROTARY, POSITIONS_ALIBI, POSITIONS_LEARNED, POSITIONS_NONE };

// What mixes positions: attention in every layer; a state in every layer, and nothing else, MLPs included; both in
// every layer, side by side; or attention in every n-th layer (usually the fourth) and a state in the others.
enum mixers { MIXERS_ATTENTION, MIXERS_STATE, MIXERS_BOTH, MIXERS_TURNS };

// Norms of queries and keys: one weight for a head's elements, one for every element of all heads, a norm over the
// whole row, or one of a head without weights, in layers with positions.
enum qk_norm { QK_NORM_NONE, QK_NORM_HEAD, QK_NORM_EACH, QK_NORM_ROW, QK_NORM_PLAIN };

// How the matrices of all experts lie in one tensor of Hugging Face: [expert][out][in], or [expert][in][out], where
// gates and what they gate may take turns.
enum expert_layout { EXPERTS_ROWS, EXPERTS_COLUMNS, EXPERTS_COLUMNS_PAIRED };

// Which layers have a window: those that window_every leaves; from max_window_layers on; below it, every second; those
// without positions.
enum windows { WINDOWS_EVERY, WINDOWS_FROM, WINDOWS_BELOW, WINDOWS_UNROTATED };

// Where a Hugging Face config says the number of key/value heads. (GGUF always has a key for it.)
enum kv_heads { KV_HEADS_KEY, KV_HEADS_ONE, KV_HEADS_ALL };

// Matrices that have biases.
enum {
    BIAS_QKV = 1,
    BIAS_ATTN_OUT = 2,
    BIAS_MLP = 4,
    BIAS_OUTPUT = 8,
    BIAS_EXPERTS = 16,
    BIAS_STATE = 32,
    BIAS_CONV = 64, // said by configs alone
    BIAS_ALL = 7
};

// A tensor whose name is not the usual one ("%u" is the layer; a second one, the place among several; "a|b": either).
// NULL: it is; "": there is none.
struct rename {
    enum role role;
    const char *gguf, *hf;
};

// What must hold for a row to cover a file: a key's value (true is 1); a key that is missing, or null, counts as
// `missing`. GGUF's keys stand without the architecture.
struct condition {
    const char *key;
    int equals, missing;
};

// Which layers have a window, where the config does not list them.
struct window_traits {
    bool dense_first; // of every n layers the first sees everything, not the last
    bool hf_told;     // Hugging Face: the window counts only if use_sliding_window is true
    enum windows layers;
    unsigned every; // every n-th layer sees everything; 0: none does
    bool own_heads; // layers with a window have heads of their own, and the file says which layers those are
};

struct norm_traits {
    enum norm_kind kind;
    enum norm_place place;
    bool shared; // parallel, and both branches read the same norm
    bool biases;
    bool hf_offset;  // Hugging Face stores a norm's weight less 1
    bool embedding;  // one behind the embeddings
    bool first_bare; // the first layer has none in front of its attention
    bool no_final;   // none behind the last layer
};

struct rope_traits {
    enum pairs hf_pairs, gguf_pairs; // rotated together
    bool gguf_sections;              // GGUF says how pairs are shared among the positions of pictures
    double part;                     // of a head, where the file does not say; 0: all
    unsigned skip;                   // every n-th layer has no positions
    bool windows_only;               // layers that see everything have no positions, if others have windows
    bool local;                      // layers with a window are rotated by a base of their own, not scaled
    double local_base;               // which is this where the file does not say; 0: that of the others
    bool yarn_exact;                 // YaRN's range of pairs is not rounded to whole ones
};

struct attention_traits {
    enum kv_heads hf_kv_heads;
    bool hf_grouped; // Hugging Face's fused rows hold each group's queries, key and value together
    enum qk_norm qk_norm;
    bool value_norm;      // each value is normed, without weights; it may come from the matrix of its key
    bool gated;           // a head's query is followed by what gates its output
    bool sinks;           // struct attention
    float scale;          // of scores, where the file does not say; 0: 1 / sqrt(head)
    uint32_t wide_layers; // with this many layers, it is 1 / sqrt(hidden / heads)
    bool alibi_bf16;      // ALiBi's biases are rounded to bfloat16, and scaled like scores
};

// Where the file does not say otherwise: layers with rotary positions attend within chunks of this many positions,
// and those without multiply queries by 1 + temper * ln(1 + floor((position + 1) / temper_every)); 0: neither.
struct chunk_traits {
    uint32_t size, temper_every;
    double temper;
};

// Latent attention, and attention to the positions that an indexer chose.
struct latent_traits {
    bool attends;
    float eps; // of the norms of latent vectors
    bool indexed;
    enum pairs index_pairs;
    bool indexers_shared; // layers may attend to what the last indexer before them chose
};

struct state_traits {
    enum recur_kind kind;
    bool each;       // of the delta rule: key elements decay each by itself, and gates are sigmoids
    bool norms;      // of steps, keys and queries, without weights
    bool gguf_turns; // GGUF: heads take keys in turns
};

struct mlp_traits {
    enum activation activation;
    bool gelu_is_tanh; // Hugging Face: a config that says gelu means the form by tanh
    bool gated;
    float limit, alpha; // struct gate
};

// Of experts, where the model has them.
struct expert_traits {
    enum route_score route;
    bool normed;   // their weights are made to sum to 1, where the file does not say
    bool at_input; // they scale what an expert reads, not what it gives
    bool beside;   // an MLP, each under norms of its own
    bool pairs;    // a group of experts is as good as its two best; else as its best
    enum expert_layout hf_layout;
};

struct scale_traits {
    bool embed_root;      // embeddings are multiplied by sqrt(hidden)
    bool logits_divided;  // by the logit scale
    bool hf_unit_output;  // Hugging Face: rows of the output matrix are made of length 1; GGUF's are
    bool gguf_multiplied; // GGUF: what multiplies embeddings, branches and their parts is in the weights
};

// A row says which files it covers, and then only in what the family differs from a plain decoder: attention in every
// layer, rotary positions, LayerNorm before each branch, an MLP.
struct family {
    const char *kind;         // what people call it: "Falcon-7B kind"
    const char *architecture; // GGUF general.architecture
    const char *hf_types[5];  // config.json model_type
    struct condition hf[6], gguf[2];
    bool gguf_merges;        // its GGUF files have a tokenizer's merges, though it is like SentencePiece's
    bool hf_only;            // not for GGUF files
    const char *gguf_has[3]; // tensors, or keys (with a '=' in front), that a GGUF file must have
    const char *gguf_not[3]; // and must not
    const struct rename *names;
    bool hf_transposed; // Hugging Face's matrices are [in][out]

    struct norm_traits norms;
    enum residual residual;
    enum positions positions;
    struct rope_traits rope;
    enum mixers mixers;
    struct attention_traits attention;
    struct window_traits window;
    struct chunk_traits chunks;
    struct latent_traits latent;
    struct state_traits state;
    struct mlp_traits mlp;
    struct expert_traits experts;
    unsigned biases, may_bias; // matrices that have biases, and that have them if layer 0 has
    bool layer_inputs;         // if the file says how wide they are
    bool bidirectional;        // tokens see those that come after them
    bool encoder;              // and there is no output matrix: what the layers give is all there is
    bool types;                // embeddings are joined by that of a token's type
    bool hf_positions_padded;  // Hugging Face's learned positions begin behind the padding token's number
    struct scale_traits scale;
};

enum { NO_INDEX = (int)(~0u >> 1) };

// The row that covers a checkpoint; NULL (GYR_UNSUPPORTED, listing what gyr knows) if none does.
const struct family *family_find(const struct checkpoint *c, gyr_error *e);

// Row `i`; NULL past the last.
const struct family *family_row(size_t i);

enum part { PART_WEIGHT, PART_BIAS };

// A tensor of a model: what it does, in which layer (ignored for roles before ROLE_LAYER_FIRST), and which it is where
// the file has several.
struct place {
    enum role role;
    enum part part;
    uint32_t layer, index;
};

// Its name in a GGUF file or a Hugging Face folder; false if it has none there.
bool family_name(const struct family *f, enum checkpoint_source source, struct place at, char name[128]);

// The last of the names that it may have.
bool family_last_name(const struct family *f, enum checkpoint_source source, struct place at, char name[128]);

// The tensor itself; NULL if the file has none. `name` receives the name looked for.
const struct tensor *family_tensor(const struct family *f, const struct checkpoint *c, struct place at, char name[128]);

// The other way round: which of some roles' weights has that name, tried in their order. The index is NO_INDEX where
// the name has none. False: none has.
bool family_place(const struct family *f, enum checkpoint_source source, const char *name, const enum role *roles,
                  size_t n, struct place *out);

// Whether the name that a file has for a role has a place for an index.
bool family_indexed(const struct family *f, const struct checkpoint *c, struct place at);

// A key of config.json; NULL if it is not there, or null.
const struct value *config_value(const struct checkpoint *c, const char *key);

#endif
