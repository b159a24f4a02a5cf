// What a layer does: the family's traits, and what the file says of its layers.
#include "model/hyper.h"

#include <stdio.h>
#include <string.h>

bool layer_number(const struct checkpoint *c, const char *key, uint32_t layer, uint64_t max, uint64_t *out,
                  gyr_error *e) {
    const struct value *v = checkpoint_value(c, key);
    if (!v || v->kind != VALUE_ARRAY) return checkpoint_uint(c, key, 1, max, out, e);
    struct value x = layer < v->array.n ? value_at(v, layer) : (struct value){0};
    uint64_t u = x.kind == VALUE_UINT ? x.u : x.kind == VALUE_INT && x.i > 0 ? (uint64_t)x.i : 0;
    if (u < 1 || u > max)
        return fail(e, GYR_MALFORMED, "%s: key '%s' has no whole number from 1 to %llu for layer %u", c->path, key,
                    (unsigned long long)max, layer);
    *out = u;
    return true;
}

bool layer_listed(const struct value *v, uint32_t layer, struct value *out) {
    if (!v || v->kind != VALUE_ARRAY || layer >= v->array.n) return false;
    *out = value_at(v, layer);
    return true;
}

static uint64_t number(const struct checkpoint *c, const char *key, uint64_t missing) {
    const struct value *v = config_value(c, key);
    return v && v->kind == VALUE_UINT ? v->u : missing;
}

// A config has a list, or a letter for each layer, or says that from some layer on every n-th has one.
static bool own_hf(const struct checkpoint *c, uint32_t layer) {
    const struct value *letters = config_value(c, "index_topk_pattern");
    struct value v;
    if (layer_listed(config_value(c, "indexer_types"), layer, &v) || layer_listed(letters, layer, &v))
        return !value_says(&v, "shared");
    if (letters && letters->kind == VALUE_STRING)
        return layer >= letters->s.size || ((const char *)letters->s.data)[layer] != 'S';
    uint64_t each = number(c, "index_topk_freq", 1), after = number(c, "index_skip_topk_offset", 2), at = layer + 1ull;
    return at <= after || (at - after) % (each ? each : 1) == 0;
}

// A file has a list, or tensors only where they are read.
static bool own_gguf(const struct family *f, const struct checkpoint *c, uint32_t layer) {
    char name[128];
    snprintf(name, sizeof name, "%s.attention.indexer.types", f->architecture);
    struct value v;
    if (!layer_listed(checkpoint_value(c, name), layer, &v))
        return family_tensor(f, c, (struct place){ROLE_INDEX_K, PART_WEIGHT, layer, 0}, name);
    return value_truth(&v, true);
}

bool indexer_own(const struct family *f, const struct checkpoint *c, uint32_t layer) {
    return !f->latent.indexers_shared || (c->source == CHECKPOINT_HF ? own_hf(c, layer) : own_gguf(f, c, layer));
}

static bool every(unsigned n, uint32_t layer) { return n && (layer + 1) % n == 0; }

// Whether a layer has the window, as far as no list says so.
static bool has_window(const struct family *f, const struct hyperparameters *h, uint32_t layer, bool rotated, bool hf) {
    switch (hf ? f->window.layers : WINDOWS_EVERY) {
    case WINDOWS_FROM: return layer >= h->window_layers;
    case WINDOWS_BELOW: return layer % 2 == 0 && layer < h->window_layers;
    case WINDOWS_UNROTATED: return !rotated;
    case WINDOWS_EVERY: break;
    }
    if (f->window.dense_first) return !h->window_every || layer % h->window_every;
    return !every(h->window_every, layer);
}

// Kimi Linear's config lists the layers, from 1 on; llama.cpp's file says how many heads for keys there are in each.
static bool attends_in_turn(const struct family *f, const struct checkpoint *c, const struct hyperparameters *h,
                            uint32_t layer) {
    char key[128];
    bool gguf = c->source == CHECKPOINT_GGUF, any = false;
    hyper_key(f, HYPER_KV_HEADS, key);
    const struct value *list = gguf ? checkpoint_value(c, key) : config_value(c, "linear_attn_config.full_attn_layers");
    if (f->state.each && !gguf && !list) return layer && layer % 4 == 0; // its class's own way to count
    if (!f->state.each || !list || list->kind != VALUE_ARRAY) return every(h->attend_every, layer);
    for (size_t i = 0; i < list->array.n; i++) {
        struct value v = value_at(list, i);
        bool whole = v.kind == VALUE_UINT || v.kind == VALUE_INT;
        any |= whole && (gguf ? i == layer && v.u : v.u == layer + 1ull);
    }
    return any;
}

static uint32_t feed_forward(const struct family *f, const struct checkpoint *c, const struct hyperparameters *h,
                             uint32_t layer, bool borrows) {
    char key[128];
    uint64_t wide = h->feed_forward;
    hyper_key(f, HYPER_FEED_FORWARD, key);
    if (c->source == CHECKPOINT_HF) return h->double_wide && borrows ? 2 * h->feed_forward : h->feed_forward;
    return f->window.own_heads && layer_number(c, key, layer, 1u << 24, &wide, NULL) ? (uint32_t)wide : h->feed_forward;
}

struct layer_plan layer_plan(const struct family *f, const struct checkpoint *c, const struct hyperparameters *h,
                             uint32_t layer) {
    struct value v;
    char key[128];
    bool hf = c->source == CHECKPOINT_HF, turn = attends_in_turn(f, c, h, layer);
    bool rotated = !every(h->rope_skip, layer);
    if (hf && f->rope.skip && layer_listed(config_value(c, "no_rope_layers"), layer, &v))
        rotated = value_truth(&v, true);
    bool local = has_window(f, h, layer, rotated, hf);
    hyper_key(f, HYPER_WINDOW_LIST, key);
    if (!hf && layer_listed(checkpoint_value(c, key), layer, &v)) local = value_truth(&v, false);
    if (hf && layer_listed(config_value(c, "layer_types"), layer, &v) && v.kind == VALUE_STRING) {
        local = value_says(&v, "sliding_attention");
        turn = !value_says(&v, "linear_attention");
    }
    if (hf && f->window.own_heads && layer + 1 == h->layers)
        local = false; // as transformers has it, whatever the list says
    local = local && h->window;
    if (f->rope.windows_only && h->window) rotated = local;
    bool chunked = h->chunk && rotated;
    if (hf && layer_listed(config_value(c, "layer_types"), layer, &v) && v.kind == VALUE_STRING)
        chunked = h->chunk && value_says(&v, "chunked_attention");
    bool attends = f->mixers == MIXERS_TURNS ? turn : f->mixers != MIXERS_STATE;
    bool borrows = layer >= h->layers - h->shared_kv, own_heads = local && f->window.own_heads;
    bool own_rope = local && f->rope.local;
    return (struct layer_plan){
        .number = layer,
        .parallel = f->residual == RESIDUAL_PARALLEL,
        .norms_joined = f->norms.place == NORM_JOINED,
        .attends = attends,
        .recurs = f->mixers == MIXERS_TURNS ? !turn : f->mixers != MIXERS_ATTENTION,
        .feed_forward = feed_forward(f, c, h, layer, borrows),
        .heads = own_heads ? h->local_heads : (struct heads){h->kv_heads, h->head_dim},
        .window = local ? h->window : 0,
        .rotated = rotated,
        .local = local,
        .own_rope = own_rope,
        .rotary_dim = own_rope ? h->local_rope.dim : h->rope.dim,
        .chunked = chunked,
        .tempered = h->temper_every && !rotated,
        .gates_heads = f->attention.gated,
        .qk_norm = f->attention.qk_norm == QK_NORM_PLAIN && !rotated ? QK_NORM_NONE : f->attention.qk_norm,
        .borrows = borrows,
        .latent = f->latent.attends,
        .indexed = f->latent.indexed,
        .indexes = attends && f->latent.indexed && indexer_own(f, c, layer),
        .kind = own_heads ? KV_LOCAL : KV_USUAL,
        .turns = !hf && f->state.gguf_turns,
        .route_pairs = f->experts.pairs,
        .route_input = f->experts.at_input,
    };
}
