// Hyperparameters: the numbers of a model, read from the file under whatever name they have there, and checked.
#ifndef MODEL_HYPER_H
#define MODEL_HYPER_H

#include "model/family.h"
#include "model/kv_cache.h"
#include "model/positions.h"
#include "model/recurrence.h"

enum { MAX_LAYERS = 4096 };

enum hyper {
    HYPER_LAYERS,
    HYPER_LAYERS_AHEAD,
    HYPER_HIDDEN,
    HYPER_HEADS,
    HYPER_KV_HEADS,
    HYPER_HEAD_DIM,
    HYPER_LOCAL_HEAD_DIM,
    HYPER_LAYER_INPUT,
    HYPER_SHARED_KV,
    HYPER_ROTARY_DIM,
    HYPER_LOCAL_ROTARY_DIM,
    HYPER_Q_LATENT,
    HYPER_KV_LATENT,
    HYPER_KEY_PLAIN,
    HYPER_KEY_ROTATED,
    HYPER_KEY_WHOLE,
    HYPER_VALUE,
    HYPER_INDEX_HEADS,
    HYPER_INDEX_DIM,
    HYPER_INDEX_MOST,
    HYPER_ROTARY_PART,
    HYPER_FEED_FORWARD,
    HYPER_CONTEXT,
    HYPER_EXPERTS,
    HYPER_EXPERTS_USED,
    HYPER_EXPERT_FEED_FORWARD,
    HYPER_GROUPS,
    HYPER_GROUPS_USED,
    HYPER_ROUTE,
    HYPER_ROUTE_NORMED,
    HYPER_ROUTE_SCALE,
    HYPER_WINDOW,
    HYPER_WINDOW_EVERY,
    HYPER_WINDOW_LAYERS,
    HYPER_WINDOW_LIST,
    HYPER_CHUNK,
    HYPER_TEMPER_EVERY,
    HYPER_TEMPER,
    HYPER_ATTEND_EVERY,
    HYPER_ROPE_SKIP,
    HYPER_QKV_CLIP,
    HYPER_GATE_LIMIT,
    HYPER_GATE_ALPHA,
    HYPER_NORM_EPS,
    HYPER_ALIBI_MAX,
    HYPER_ATTN_SCALE,
    HYPER_ATTN_SCALAR,
    HYPER_ATTN_CAP,
    HYPER_LOGIT_CAP,
    HYPER_EMBED_SCALE,
    HYPER_RESIDUAL_SCALE,
    HYPER_DEPTH_SCALE,
    HYPER_BASE_WIDTH,
    HYPER_LOGIT_SCALE,
    HYPER_COUNT,
};

// The heads of keys and values.
struct heads {
    uint32_t kv_heads, head_dim;
};

struct hyperparameters {
    uint32_t layers_ahead; // behind the others in the file: they guess at tokens after the next, and are not used
    uint32_t layers, hidden, heads, kv_heads, head_dim, feed_forward, context, vocab;
    uint32_t far_context; // what a session may be asked to hold; beyond `context`, by LongRoPE's other factors
    uint32_t value_dim;   // of what the cache holds, as head_dim is of its keys
    // Where layers with a window have heads of their own, these; kv_heads and head_dim are the other layers'.
    struct heads local_heads;
    uint32_t shared_kv;         // how many of the last layers read keys and values of earlier ones
    bool double_wide;           // and the MLPs of those are twice as wide
    bool key_values;            // in a folder: layers that see everything have no matrix for values
    uint32_t most_feed_forward; // of any layer
    uint32_t layer_input;       // width of per-layer inputs; 0: there are none
    // Latent attention: widths of what queries, and keys with values, come from (q_latent 0: straight from the input;
    // kv_latent 0: it is no latent attention), and of a head's key without positions and its value.
    uint32_t q_latent, kv_latent, key_plain, value;
    uint32_t index_heads, index_dim, index_most; // of what chooses the positions to attend to; 0: nothing does
    // Experts: 0 without any. Groups: 1 where experts are not in groups.
    uint32_t experts, experts_used, expert_feed_forward, groups, groups_used;
    uint32_t shared_feed_forward; // the widest; known once tensors are
    enum route_score route;
    bool route_normed;
    float route_scale;
    uint32_t window;         // positions that layers with a window see; 0: all
    bool bidirectional;      // tokens see those that come after them: all of a text is computed in one pass
    uint32_t first_position; // where the table of learned positions begins to be used
    unsigned window_every, rope_skip;
    uint32_t window_layers;       // max_window_layers
    uint32_t chunk, temper_every; // struct family
    double temper;
    float norm_eps;
    enum activation activation;
    float gate_limit, gate_alpha; // of the clamped gate; 0: it is not
    double alibi_max;
    bool biases_told; // by a config: these (BIAS_QKV and so on); else they are where their tensors are
    unsigned biases;
    float qkv_clip; // queries, keys and values lie within so much of 0; 0: anywhere
    float attn_scale, attn_cap, logit_cap, embed_scale, residual_scale, logit_scale; // caps: 0 is none
    struct rope rope, local_rope;
    struct recurrence recurrence;
    unsigned attend_every;        // of layers that take turns
    uint32_t kv_layers[KV_KINDS]; // of each kind that the cache has
    uint32_t state_layers;        // that keep a state
};

bool hyperparameters(const struct family *f, const struct checkpoint *c, struct hyperparameters *h, gyr_error *e);

// What comes behind attention, or a state: nothing, an MLP, experts, or the two side by side.
enum feed { FEED_NONE, FEED_MLP, FEED_EXPERTS, FEED_BOTH };

// What a layer does: the family's traits and the file's numbers, as they are for this layer. The pass asks nobody else.
struct layer_plan {
    uint32_t number;
    bool parallel;         // attention and what comes behind it read the same
    bool norms_joined;     // norms behind branches are of the stream that they have joined
    bool attends, recurs;  // reads keys and values; keeps a state
    enum feed feed;        // known once tensors are
    uint32_t feed_forward; // width of the MLP
    // Attention.
    struct heads heads;
    uint32_t window;
    bool rotated, local;           // by positions; has a window
    bool own_rope;                 // rotated by local_rope
    uint32_t rotary_dim;           // elements of a head
    bool chunked;                  // sees its chunk alone
    bool tempered;                 // queries grow with their positions
    bool gates_heads;              // a head's query is followed by what gates its output
    enum qk_norm qk_norm;          // QK_NORM_NONE also where the family has some, and this layer none
    bool borrows;                  // its keys and values are those of the last layer of its kind that keeps some
    bool latent, indexed;          // attention; to the positions that an indexer chose
    bool indexes;                  // has an indexer of its own
    enum kv_kind kind;             // KV_LOCAL: local_heads
    uint32_t cache, index;         // where the KV cache has its keys and values, and its indexer's keys
    uint32_t state;                // which of those with a state it is
    bool turns;                    // a state's heads take keys in turns
    bool route_pairs, route_input; // of experts: struct family
};
struct layer_plan layer_plan(const struct family *f, const struct checkpoint *c, const struct hyperparameters *h,
                             uint32_t layer);

// What a key says of a layer: an element of the list that it holds, or the number that it holds for all. A missing key
// leaves *out alone.
bool layer_number(const struct checkpoint *c, const char *key, uint32_t layer, uint64_t max, uint64_t *out,
                  gyr_error *e);

// Element `layer` of a list that the file has for each layer; false if there is none.
bool layer_listed(const struct value *list, uint32_t layer, struct value *out);

// Whether a layer has an indexer of its own; without, it attends to what the last one before it chose.
bool indexer_own(const struct family *f, const struct checkpoint *c, uint32_t layer);

// GGUF's name of a key: "llama.block_count".
void hyper_key(const struct family *f, enum hyper h, char key[128]);

#endif
