// A small Falcon of random weights, in F32, whose matrices every element type can hold.
#ifndef TESTS_ENGINE_SMALL_FALCON_H
#define TESTS_ENGINE_SMALL_FALCON_H

#include "format/gguf_write.h"

#include <stdio.h>
#include <string.h>

enum {
    SMALL_HIDDEN = 256,
    SMALL_LAYERS = 2,
    SMALL_HEADS = 4,
    SMALL_WIDE = 512,
    SMALL_VOCAB = 288,
    SMALL_CONTEXT = 256
};

struct small_tensor {
    char name[40];
    uint64_t cols, rows; // no rows: a vector
};

// The tensors of a 7B kind (one norm, one key/value head), or of a 40B kind (two norms, two key/value heads).
static inline size_t small_tensors(bool two_norms, struct small_tensor out[64]) {
    uint64_t fused = SMALL_HIDDEN + 2 * (two_norms ? 2 : 1) * (SMALL_HIDDEN / SMALL_HEADS);
    const struct small_tensor layer[] = {
        {"attn_norm.weight", SMALL_HIDDEN, 0},       {"attn_norm.bias", SMALL_HIDDEN, 0},
        {"attn_qkv.weight", SMALL_HIDDEN, fused},    {"attn_output.weight", SMALL_HIDDEN, SMALL_HIDDEN},
        {"ffn_up.weight", SMALL_HIDDEN, SMALL_WIDE}, {"ffn_down.weight", SMALL_WIDE, SMALL_HIDDEN},
        {"attn_norm_2.weight", SMALL_HIDDEN, 0},     {"attn_norm_2.bias", SMALL_HIDDEN, 0}};
    size_t n = 0, each = sizeof layer / sizeof *layer - (two_norms ? 0 : 2);
    out[n++] = (struct small_tensor){"token_embd.weight", SMALL_HIDDEN, SMALL_VOCAB};
    out[n++] = (struct small_tensor){"output_norm.weight", SMALL_HIDDEN, 0};
    out[n++] = (struct small_tensor){"output_norm.bias", SMALL_HIDDEN, 0};
    for (int l = 0; l < SMALL_LAYERS; l++)
        for (size_t i = 0; i < each; i++) {
            out[n] = layer[i];
            snprintf(out[n++].name, sizeof out->name, "blk.%d.%.30s", l, layer[i].name);
        }
    return n;
}

static inline bool small_falcon(const char *path, bool two_norms, uint32_t seed, gyr_error *e) {
    static const struct {
        const char *key;
        uint32_t value;
    } sizes[] = {{"falcon.block_count", SMALL_LAYERS},         {"falcon.embedding_length", SMALL_HIDDEN},
                 {"falcon.attention.head_count", SMALL_HEADS}, {"falcon.feed_forward_length", SMALL_WIDE},
                 {"falcon.context_length", SMALL_CONTEXT},     {"falcon.vocab_size", SMALL_VOCAB}};
    struct small_tensor t[64];
    size_t n = small_tensors(two_norms, t);
    struct gguf_writer *w = gguf_writer_new(path, e);
    if (!w) return false;
    gguf_put_cstring(w, "general.architecture", "falcon");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) gguf_put_u32(w, sizes[i].key, sizes[i].value);
    gguf_put_u32(w, "falcon.attention.head_count_kv", two_norms ? 2 : 1);
    gguf_put_f32(w, "falcon.attention.layer_norm_epsilon", 1e-5f);
    for (size_t i = 0; i < n; i++)
        gguf_put_tensor(w, t[i].name, TYPE_F32, t[i].rows ? 2 : 1,
                        (uint64_t[4]){t[i].cols, t[i].rows + !t[i].rows, 1, 1});
    bool ok = gguf_writer_begin(w, e);
    for (size_t i = 0; ok && i < n; i++) {
        bool weight = !t[i].rows && strstr(t[i].name, ".weight");
        for (uint64_t k = t[i].cols * (t[i].rows + !t[i].rows); ok && k; k--) {
            seed = seed * 1664525 + 1013904223;
            float x = (float)(int32_t)seed * 0x1p-31f * (t[i].rows ? 0.15f : 0.3f) + (weight ? 1.0f : 0.0f);
            ok = gguf_writer_data(w, &x, sizeof x, e);
        }
    }
    return gguf_writer_end(w, ok, e) && ok;
}

#endif
