// Hyperparameters: the numbers of a model, read from the file under whatever name they have there, and checked.
#ifndef MODEL_HYPER_H
#define MODEL_HYPER_H

#include "model/family.h"
#include "model/positions.h"
#include "model/recurrence.h"

enum hyper {
    HYPER_LAYERS,
    HYPER_LAYERS_AHEAD,
    HYPER_HIDDEN,
    HYPER_HEADS,
    HYPER_KV_HEADS,
    HYPER_HEAD_DIM,
    HYPER_ROTARY_DIM,
    HYPER_Q_LATENT,
    HYPER_KV_LATENT,
    HYPER_KEY_PLAIN,
    HYPER_KEY_ROTATED,
    HYPER_KEY_WHOLE,
    HYPER_VALUE,
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
    HYPER_CHUNK,
    HYPER_TEMPER_EVERY,
    HYPER_TEMPER,
    HYPER_ATTEND_EVERY,
    HYPER_ROPE_SKIP,
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

struct hyperparameters {
    uint32_t layers_ahead; // behind the others in the file: they guess at tokens after the next, and are not used
    uint32_t layers, hidden, heads, kv_heads, head_dim, feed_forward, context, vocab;
    uint32_t far_context; // what a session may be asked to hold; beyond `context`, by LongRoPE's other factors
    uint32_t value_dim;   // of what the cache holds, as head_dim is of its keys
    // Latent attention: widths of what queries, and keys with values, come from (q_latent 0: straight from the input;
    // kv_latent 0: it is no latent attention), and of a head's key without positions and its value.
    uint32_t q_latent, kv_latent, key_plain, value;
    // Experts: 0 without any. Groups: 1 where experts are not in groups.
    uint32_t experts, experts_used, expert_feed_forward, groups, groups_used;
    uint32_t shared_feed_forward; // the widest; known once tensors are
    enum route_score route;
    bool route_normed;
    float route_scale;
    uint32_t window; // positions that layers with a window see; 0: all
    unsigned window_every, rope_skip;
    uint32_t chunk, temper_every; // struct family
    double temper;
    float norm_eps;
    enum activation activation;
    float gate_limit, gate_alpha; // of the clamped gate; 0: it is not
    double alibi_max;
    float attn_scale, attn_cap, logit_cap, embed_scale, residual_scale, logit_scale; // caps: 0 is none
    struct rope rope, local_rope;
    struct recurrence recurrence;
    unsigned attend_every;            // of layers that take turns
    uint32_t kv_layers, state_layers; // how many have keys and values, how many a state
};

bool hyperparameters(const struct family *f, const struct checkpoint *c, struct hyperparameters *h, gyr_error *e);

// In what one layer differs from the others.
struct layer_plan {
    uint32_t window;
    bool rotated, local;   // local: by local_rope
    bool chunked;          // sees its chunk alone
    bool tempered;         // queries grow with their positions
    bool attends, recurs;  // keeps keys and values; a state
    uint32_t cache, state; // which of those that do it is
};
struct layer_plan layer_plan(const struct family *f, const struct checkpoint *c, const struct hyperparameters *h,
                             uint32_t layer);

// GGUF's name of a key: "llama.block_count".
void hyper_key(const struct family *f, enum hyper h, char key[128]);

#endif
