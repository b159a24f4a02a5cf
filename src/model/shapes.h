// True shapes of known models, for synthesis and planning.
#ifndef MODEL_SHAPES_H
#define MODEL_SHAPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct shape {
    const char *name;                                                                 // "falcon-7b"
    const char *architecture;                                                         // GGUF's
    const char *pre;                                                                  // GGUF's tokenizer.ggml.pre
    uint32_t layers, hidden, heads, kv_heads, head_dim, feed_forward, context, vocab; // head_dim 0: hidden / heads
    float rope_base;                                                                  // 0: the usual one
    bool tied;                                                                        // no output matrix of its own
    const char *marker; // GGUF tensor or key that only this kind has (see struct family); NULL: none
    uint32_t window;
    float attn_cap, logit_cap;
    uint32_t experts, experts_used, expert_feed_forward;
    uint32_t dense_layers,
        shared_feed_forward;             // the first ones have an MLP in place of experts; width of the shared one
    uint32_t groups, groups_used, route; // of experts; GGUF's number of the score
    float route_scale;
    uint32_t q_latent, kv_latent, key, value, rotated; // latent attention: widths of a head's key, its value and the
                                                       // part of the key that is rotated
    uint32_t state, state_head; // layers with a state: elements of a key, and of a head (0: each channel has its own
                                // decays); four taps, one group, twice as wide as the stream
};

// Shape `i`; NULL past the last.
const struct shape *shape_row(size_t i);
const struct shape *shape_by_name(const char *name);

#endif
