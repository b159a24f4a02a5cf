// Tensors of folders that no layer reads, and need not: what transformers passes over too.
#include "model/bind.h"

#include <string.h>

// Buffers that old versions of transformers wrote: positions, frequencies, causal masks.
static const char *const buffers[] = {".rotary_emb.inv_freq",
                                      ".rotary.inv_freq",
                                      ".position_ids",
                                      ".attn.bias",
                                      ".attn.masked_bias",
                                      ".attention.bias",
                                      ".attention.masked_bias",
                                      ".rotary_emb.cos_cached",
                                      ".rotary_emb.sin_cached",
                                      ".self_attn.bias",
                                      ".self_attention.masked_bias"};

// What a model that sees or hears calls its text part.
static const char *const text_parts[] = {"language_model.", "model.language_model.", "lm_head.",
                                         "model.layers.",   "model.norm.",           "model.embed_tokens."};

static bool begins(struct text name, const char *with) {
    size_t n = strlen(with);
    return name.size >= n && !memcmp(name.data, with, n);
}

static bool ends(struct text name, const char *with) {
    size_t n = strlen(with);
    return name.size >= n && !memcmp(name.data + name.size - n, with, n);
}

// Layers behind the last, which guess at tokens after the next.
static bool is_ahead(const struct model *m, struct text name) {
    static const char *const fronts[] = {"model.layers.", "model.language_model.layers."};
    if (!checkpoint_value(m->checkpoint, "num_nextn_predict_layers")) return false;
    for (int k = 0; k < 2; k++) {
        uint32_t layer = 0;
        size_t first = strlen(fronts[k]), i = first;
        if (!begins(name, fronts[k])) continue;
        for (; i < name.size && i < first + 6 && name.data[i] >= '0' && name.data[i] <= '9'; i++)
            layer = layer * 10 + (uint32_t)(name.data[i] - '0');
        return i > first && i < name.size && name.data[i] == '.' && layer >= m->h.layers;
    }
    return false;
}

// The towers of a model that sees or hears.
static bool is_of_other_part(const struct model *m, struct text name) {
    bool text = false;
    for (size_t i = 0; i < sizeof text_parts / sizeof *text_parts; i++) text |= begins(name, text_parts[i]);
    return checkpoint_has_parts(m->checkpoint) && !text;
}

// What an encoder was trained with, and embeddings are made without: words guessed at the places of hidden ones, and
// the first token's vector made into another. (A classifier's head is not among them: such a model is for classes.)
static bool is_of_training(const struct model *m, struct text name) {
    static const char *const heads[] = {"pooler.", "bert.pooler.", "roberta.pooler.", "nomic_bert.pooler.",
                                        "cls.",    "lm_head.",     "head.",           "decoder."};
    bool any = false;
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) any |= begins(name, heads[i]);
    return m->family->encoder && any;
}

bool bind_needless(const struct model *m, struct text name) {
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        if (ends(name, buffers[i]) || (name.size + 1 == strlen(buffers[i]) && ends(name, buffers[i] + 1))) return true;
    return begins(name, "mtp.") || is_ahead(m, name) || is_of_other_part(m, name) || is_of_training(m, name);
}
