// Most traits of families go with all others: each is a step of the pass, and no step asks who else is there. Those
// that do not are here, because nobody has defined what they would mean together, or because no model has needed it
// yet.
#include "model/traits.h"

enum trait {
    LATENT_ATTENTION,
    AN_INDEXER,
    WINDOWS,
    CHUNKS,
    ALIBI,
    ROUNDED_ALIBI,
    NO_ROTATION,
    SCORE_CAPS,
    SINKS,
    QK_NORMS,
    PLAIN_QK_NORMS,
    VALUE_NORMS,
    HEAD_GATES,
    OWN_HEADS,
    BORROWED_KEYS,
    PARALLEL,
    SERIAL,
    NORMS_AFTER_ONLY,
    ONE_NORM,
    EXPERTS,
    EXPERTS_BESIDE,
    PLAIN_MLPS,
    GATE_LIMITS,
    STATES,
    ONLY_STATES,
    KEY_FACTORS,
    KEYS_AS_VALUES,
    IN_OUT_MATRICES,
    SHARED_ROPE,
    USUAL_SCALE,
    UNIT_OUTPUT,
    TIED_OUTPUT,
    BIASES_OF_QKV,
    BOTH_WAYS,
    LAYER_INPUTS,
    NORMS_JOINED,
    TRAITS
};

static const char *const names[TRAITS] = {
    [LATENT_ATTENTION] = "latent attention",
    [AN_INDEXER] = "an indexer",
    [WINDOWS] = "windows",
    [CHUNKS] = "attention in chunks",
    [ALIBI] = "ALiBi",
    [ROUNDED_ALIBI] = "ALiBi in bfloat16",
    [NO_ROTATION] = "positions that are not rotary",
    [SCORE_CAPS] = "capped scores",
    [SINKS] = "attention sinks",
    [QK_NORMS] = "norms of queries and keys",
    [PLAIN_QK_NORMS] = "norms of queries and keys without weights",
    [VALUE_NORMS] = "norms of values",
    [HEAD_GATES] = "gates of heads",
    [OWN_HEADS] = "layers with heads of their own",
    [BORROWED_KEYS] = "layers that share keys and values",
    [PARALLEL] = "a parallel residual",
    [SERIAL] = "a serial residual",
    [NORMS_AFTER_ONLY] = "norms behind branches alone",
    [ONE_NORM] = "one norm for both branches",
    [EXPERTS] = "experts",
    [EXPERTS_BESIDE] = "experts beside an MLP",
    [PLAIN_MLPS] = "MLPs without gates",
    [GATE_LIMITS] = "clamped gates",
    [STATES] = "layers with a state",
    [ONLY_STATES] = "layers with nothing but a state",
    [KEY_FACTORS] = "multiplied keys",
    [KEYS_AS_VALUES] = "keys that are values too",
    [IN_OUT_MATRICES] = "matrices stored as [in][out]",
    [SHARED_ROPE] = "one rotation for all layers",
    [USUAL_SCALE] = "scores scaled by the size of a head",
    [UNIT_OUTPUT] = "output rows of length 1",
    [TIED_OUTPUT] = "an output that is the embedding",
    [BIASES_OF_QKV] = "biases of queries, keys and values",
    [BOTH_WAYS] = "attention in both directions",
    [LAYER_INPUTS] = "per-layer inputs",
    [NORMS_JOINED] = "norms of the stream behind branches",
};

static bool truth(const struct checkpoint *c, const char *key) {
    bool v = false;
    return c->source == CHECKPOINT_HF && checkpoint_bool(c, key, &v, NULL) && v;
}

static void look(const struct family *f, const struct hyperparameters *h, const struct checkpoint *c,
                 bool has[static TRAITS]) {
    bool alibi = f->positions == POSITIONS_ALIBI, hf = c->source == CHECKPOINT_HF;
    bool attends = f->mixers != MIXERS_STATE;
    const bool traits[TRAITS] = {
        [LATENT_ATTENTION] = f->latent.attends,
        [AN_INDEXER] = f->latent.indexed,
        [WINDOWS] = h->window || f->window.every,
        [CHUNKS] = f->chunks.size,
        [ALIBI] = alibi,
        [ROUNDED_ALIBI] = alibi && f->attention.alibi_bf16,
        [NO_ROTATION] = attends && f->positions != POSITIONS_ROTARY,
        [SCORE_CAPS] = h->attn_cap > 0,
        [SINKS] = f->attention.sinks,
        [QK_NORMS] = f->attention.qk_norm != QK_NORM_NONE,
        [PLAIN_QK_NORMS] = f->attention.qk_norm == QK_NORM_PLAIN,
        [VALUE_NORMS] = f->attention.value_norm,
        [HEAD_GATES] = f->attention.gated,
        [OWN_HEADS] = f->window.own_heads,
        [BORROWED_KEYS] = h->shared_kv,
        [PARALLEL] = f->residual == RESIDUAL_PARALLEL,
        [SERIAL] = f->residual == RESIDUAL_SERIAL,
        [NORMS_AFTER_ONLY] = f->norms.place == NORM_AFTER,
        [ONE_NORM] = f->norms.shared,
        [EXPERTS] = h->experts,
        [EXPERTS_BESIDE] = f->experts.beside,
        [PLAIN_MLPS] = !f->mlp.gated && f->mixers != MIXERS_STATE,
        [GATE_LIMITS] = f->mlp.limit > 0,
        [STATES] = f->mixers != MIXERS_ATTENTION,
        [ONLY_STATES] = f->mixers == MIXERS_STATE,
        [KEY_FACTORS] = attends && h->recurrence.attn_key != 1,
        [KEYS_AS_VALUES] = h->key_values,
        [IN_OUT_MATRICES] = hf && f->hf_transposed,
        [SHARED_ROPE] = !f->rope.local && f->positions == POSITIONS_ROTARY,
        [USUAL_SCALE] = !(f->attention.scale > 0),
        [UNIT_OUTPUT] = hf && f->scale.hf_unit_output,
        [TIED_OUTPUT] = truth(c, "tie_word_embeddings"),
        [BIASES_OF_QKV] = f->biases & BIAS_QKV,
        [BOTH_WAYS] = h->bidirectional || f->bidirectional,
        [LAYER_INPUTS] = h->layer_input,
        [NORMS_JOINED] = f->norms.place == NORM_JOINED,
    };
    for (int i = 0; i < TRAITS; i++) has[i] = traits[i];
}

static const struct {
    enum trait one, other;
} apart[] = {
    // A latent vector has neither heads of keys and values nor what is done to them.
    {LATENT_ATTENTION, QK_NORMS},
    {LATENT_ATTENTION, VALUE_NORMS},
    {LATENT_ATTENTION, HEAD_GATES},
    {LATENT_ATTENTION, OWN_HEADS},
    {LATENT_ATTENTION, KEY_FACTORS},
    {LATENT_ATTENTION, BIASES_OF_QKV},
    {LATENT_ATTENTION, IN_OUT_MATRICES},
    // Positions that were chosen are not a stretch of the sequence (struct attention).
    {AN_INDEXER, WINDOWS},
    {AN_INDEXER, CHUNKS},
    {AN_INDEXER, NO_ROTATION},
    // The kernels add a bias by a key's position, which a softmax does not tell from one by the distance; a cap, a sink
    // and rounding do.
    {ALIBI, SCORE_CAPS},
    {ALIBI, SINKS},
    {ROUNDED_ALIBI, CHUNKS},
    // Which layers have positions is a matter of rotation.
    {NO_ROTATION, CHUNKS},
    {NO_ROTATION, PLAIN_QK_NORMS},
    {CHUNKS, WINDOWS},
    {CHUNKS, OWN_HEADS},
    {OWN_HEADS, SHARED_ROPE},
    {OWN_HEADS, USUAL_SCALE},
    {OWN_HEADS, ALIBI},
    {KEYS_AS_VALUES, KEY_FACTORS},
    // Only the rows that want logits come to the last layers, and a state needs them all.
    {BORROWED_KEYS, STATES},
    // The second branch would read what the first has changed.
    {PARALLEL, NORMS_AFTER_ONLY},
    {PARALLEL, EXPERTS_BESIDE},
    {SERIAL, ONE_NORM},
    {PLAIN_MLPS, EXPERTS},
    {PLAIN_MLPS, GATE_LIMITS},
    {ONLY_STATES, EXPERTS},
    {ONLY_STATES, EXPERTS_BESIDE},
    {ONLY_STATES, OWN_HEADS},
    {ONLY_STATES, ALIBI},
    // Tensors of three dimensions are not turned.
    {IN_OUT_MATRICES, EXPERTS},
    {UNIT_OUTPUT, TIED_OUTPUT},
    // A text longer than a batch goes through a layer in two steps, keys and values first (forward_whole.c), and what
    // is between them is the stream and queries alone. ALiBi's bias by a key's position has no meaning for later ones.
    {BOTH_WAYS, LATENT_ATTENTION},
    {BOTH_WAYS, HEAD_GATES},
    {BOTH_WAYS, STATES},
    {BOTH_WAYS, CHUNKS},
    {BOTH_WAYS, ALIBI},
    {BOTH_WAYS, BORROWED_KEYS},
    {BOTH_WAYS, PARALLEL},
    {BOTH_WAYS, LAYER_INPUTS},
    {NORMS_JOINED, PARALLEL},
};

bool traits_compose(const struct family *f, const struct hyperparameters *h, const struct checkpoint *c, gyr_error *e) {
    static const struct hyperparameters unread = {.recurrence = {.attn_key = 1}};
    bool has[TRAITS];
    look(f, h ? h : &unread, c, has);
    for (size_t i = 0; i < sizeof apart / sizeof *apart; i++)
        if (has[apart[i].one] && has[apart[i].other])
            return fail(e, GYR_UNSUPPORTED,
                        "%s: %s together with %s is a combination that gyr does not compute; choose another model",
                        c->path, names[apart[i].one], names[apart[i].other]);
    return true;
}
