#include "model/shapes.h"

#include <string.h>

// From the models' published config.json files.
#define ALIBI     "=falcon.attention.max_alibi_bias"
#define TWO_NORMS "blk.0.attn_norm_2.weight"

#define DEEPSEEK3                                                                                                      \
    .experts = 256, .experts_used = 8, .expert_feed_forward = 2048, .dense_layers = 3, .shared_feed_forward = 2048,    \
    .groups = 8, .groups_used = 4, .route = 2, .route_scale = 2.5f, .q_latent = 1536, .kv_latent = 512, .key = 192,    \
    .value = 128, .rotated = 64

static const struct shape shapes[] = {
    {"falcon-rw-1b", "falcon", "gpt-2", 24, 2048, 32, 32, 0, 8192, 2048, 50304, 0, false, ALIBI},
    {"falcon-7b", "falcon", "falcon", 32, 4544, 71, 1, 0, 18176, 2048, 65024, 0, false, NULL},
    {"falcon2-11b", "falcon", "falcon", 60, 4096, 32, 8, 0, 16384, 8192, 65024, 500042, false, NULL},
    {"falcon-40b", "falcon", "falcon", 60, 8192, 128, 8, 0, 32768, 2048, 65024, 0, false, TWO_NORMS},
    {"falcon-180b", "falcon", "falcon", 80, 14848, 232, 8, 0, 59392, 2048, 65024, 0, false, TWO_NORMS},
    {"llama-1.1b", "llama", "default", 22, 2048, 32, 4, 0, 5632, 2048, 32000, 0, false, NULL},
    {"llama-2-7b", "llama", "default", 32, 4096, 32, 32, 0, 11008, 4096, 32000, 0, false, NULL},
    {"llama-2-70b", "llama", "default", 80, 8192, 64, 8, 0, 28672, 4096, 32000, 0, false, NULL},
    {"llama-3-8b", "llama", "llama-bpe", 32, 4096, 32, 8, 0, 14336, 8192, 128256, 500000, false, NULL},
    {"llama-3-70b", "llama", "llama-bpe", 80, 8192, 64, 8, 0, 28672, 8192, 128256, 500000, false, NULL},
    {"llama-3.1-405b", "llama", "llama-bpe", 126, 16384, 128, 8, 0, 53248, 131072, 128256, 500000, false, NULL},
    {"mistral-7b", "llama", "default", 32, 4096, 32, 8, 0, 14336, 32768, 32768, 1e6f, false, NULL},
    {"qwen2.5-0.5b", "qwen2", "qwen2", 24, 896, 14, 2, 0, 4864, 32768, 151936, 1e6f, true, NULL},
    {"qwen2.5-7b", "qwen2", "qwen2", 28, 3584, 28, 4, 0, 18944, 32768, 152064, 1e6f, false, NULL},
    {"qwen3-0.6b", "qwen3", "qwen2", 28, 1024, 16, 8, 128, 3072, 40960, 151936, 1e6f, true, NULL},
    {"qwen3-8b", "qwen3", "qwen2", 36, 4096, 32, 8, 128, 12288, 40960, 151936, 1e6f, false, NULL},
    {"gemma-2-9b", "gemma2", "default", 42, 3584, 16, 8, 256, 14336, 8192, 256000, 0, true, .window = 4096,
     .attn_cap = 50, .logit_cap = 30},
    {"gemma-3-4b", "gemma3", "default", 34, 2560, 8, 4, 256, 10240, 131072, 262144, 1e6f, true, .window = 1024},
    {"phi-4", "phi3", "dbrx", 40, 5120, 40, 10, 128, 17920, 16384, 100352, 250000, false, NULL},
    {"mixtral-8x7b", "llama", "default", 32, 4096, 32, 8, 0, 14336, 32768, 32000, 1e6f, false, .experts = 8,
     .experts_used = 2},
    {"qwen3-30b-a3b", "qwen3moe", "qwen2", 48, 2048, 32, 4, 128, 6144, 40960, 151936, 1e6f, false, .experts = 128,
     .experts_used = 8, .expert_feed_forward = 768},
    {"deepseek-v3", "deepseek2", "deepseek-v3", 61, 7168, 128, 1, 0, 18432, 163840, 129280, 0, false, DEEPSEEK3},
    {"gpt-oss-20b", "gpt-oss", "gpt-4o", 24, 2880, 64, 8, 64, 2880, 131072, 201088, 150000, false, .window = 128,
     .experts = 32, .experts_used = 4, .expert_feed_forward = 2880},
    {"mamba-130m", "mamba", "gpt-2", 24, 768, .context = 1 << 20, .vocab = 50280, .tied = true, .state = 16},
    {"mamba-2.8b", "mamba", "gpt-2", 64, 2560, .context = 1 << 20, .vocab = 50280, .tied = true, .state = 16},
    {"mamba2-130m", "mamba2", "gpt-2", 24, 768, .context = 1 << 20, .vocab = 50288, .tied = true, .state = 128,
     .state_head = 64},
    {"mamba2-2.7b", "mamba2", "gpt-2", 64, 2560, .context = 1 << 20, .vocab = 50288, .tied = true, .state = 128,
     .state_head = 64},
};

const struct shape *shape_row(size_t i) { return i < sizeof shapes / sizeof *shapes ? &shapes[i] : NULL; }

const struct shape *shape_by_name(const char *name) {
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        if (!strcmp(shapes[i].name, name)) return &shapes[i];
    return NULL;
}
