#include "model/synth.h"
#include "base/buf.h"
#include "format/checkpoint.h"
#include "format/gguf_write.h"
#include "model/convert_vocab.h"
#include "model/hyper.h"
#include "model/mixture.h"
#include "model/shapes.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Encoding billions of weights would take longer than writing them. One run of random blocks is encoded for each type
// and spread, and tensors are cut from it at random places: every block is a true encoding of normal weights.
enum { POOL_WEIGHTS = 1 << 20 };

struct pool_of_blocks {
    enum type type;
    size_t cols;
    uint8_t *bytes;
    size_t size, block_bytes;
};

// A tensor to write.
struct tensor_part {
    char name[128];
    enum type type;
    int n_dims;
    uint64_t dim[4];
    enum { FILL_RANDOM, FILL_ONES, FILL_ZEROS, FILL_MINUS } fill; // MINUS: -1, a rate of decay
};

struct job {
    const gyr_synth_options *o;
    const struct blank *blank; // NULL: random weights in a known model's shape
    const struct shape *shape;
    const struct family *family;
    enum type type;
    uint32_t layers, context;
    struct tensor_part *parts;
    size_t n;
    struct pool_of_blocks pools[16];
    size_t n_pools;
    uint64_t random;
    struct gguf_writer *w;
    uint64_t done;
};

// splitmix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", 2014).
static uint64_t next_random(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

// About normal, standard deviation 1: the sum of four uniform numbers.
static float next_normal(uint64_t *state) {
    uint64_t r = next_random(state);
    int sum = (int)(r & 0xffff) + (int)(r >> 16 & 0xffff) + (int)(r >> 32 & 0xffff) + (int)(r >> 48) - 2 * 0xffff;
    return (float)sum * (1.7320508f / 65536);
}

static struct tensor_part *add_part(struct job *j, enum role role, enum part part, uint32_t layer, uint64_t cols,
                                    uint64_t rows, int fill) {
    struct tensor_part *p = &j->parts[j->n++];
    *p = (struct tensor_part){.n_dims = rows ? 2 : 1, .dim = {cols, rows ? rows : 1, 1, 1}, .fill = fill};
    p->type = rows ? type_fitting(j->type, cols) : TYPE_F32;
    family_name(j->family, CHECKPOINT_GGUF, (struct place){role, part, layer, 0}, p->name);
    return p;
}

static void add_vector(struct job *j, enum role role, uint32_t layer, uint64_t n) {
    add_part(j, role, PART_WEIGHT, layer, n, 0, FILL_ONES);
}

static void add_norm(struct job *j, enum role role, uint32_t layer) {
    add_vector(j, role, layer, j->shape->hidden);
    if (j->family->norms.biases) add_part(j, role, PART_BIAS, layer, j->shape->hidden, 0, FILL_ZEROS);
}

static void add_linear(struct job *j, enum role role, unsigned bias, uint32_t layer, uint64_t cols, uint64_t rows) {
    add_part(j, role, PART_WEIGHT, layer, cols, rows, FILL_RANDOM);
    if (j->family->biases & bias) add_part(j, role, PART_BIAS, layer, rows, 0, FILL_ZEROS);
}

// A matrix for each expert, in one tensor.
static void add_experts(struct job *j, enum role role, uint32_t layer, uint64_t cols, uint64_t rows) {
    struct tensor_part *p = add_part(j, role, PART_WEIGHT, layer, cols, rows, FILL_RANDOM);
    p->n_dims = 3;
    p->dim[2] = j->shape->experts;
    if (!(j->family->biases & BIAS_EXPERTS)) return;
    p = add_part(j, role, PART_BIAS, layer, rows, j->shape->experts, FILL_ZEROS);
    p->type = TYPE_F32;
}

static void add_mixture(struct job *j, uint32_t i) {
    const struct shape *s = j->shape;
    uint64_t wide = s->expert_feed_forward ? s->expert_feed_forward : s->feed_forward;
    add_part(j, ROLE_ROUTER, PART_WEIGHT, i, s->hidden, s->experts, FILL_RANDOM)->type = TYPE_F32;
    if (j->family->biases & BIAS_EXPERTS) add_part(j, ROLE_ROUTER, PART_BIAS, i, s->experts, 0, FILL_ZEROS);
    if (s->groups) add_part(j, ROLE_ROUTER_SHIFT, PART_WEIGHT, i, s->experts, 0, FILL_ZEROS);
    add_experts(j, ROLE_EXPERT_GATE, i, s->hidden, wide);
    add_experts(j, ROLE_EXPERT_UP, i, s->hidden, wide);
    add_experts(j, ROLE_EXPERT_DOWN, i, wide, s->hidden);
    if (!s->shared_feed_forward) return;
    add_linear(j, ROLE_SHARED_GATE, 0, i, s->hidden, s->shared_feed_forward);
    add_linear(j, ROLE_SHARED_UP, 0, i, s->hidden, s->shared_feed_forward);
    add_linear(j, ROLE_SHARED_DOWN, 0, i, s->shared_feed_forward, s->hidden);
}

static void add_mlp(struct job *j, uint32_t i) {
    const struct shape *s = j->shape;
    char name[128];
    if (s->experts && i >= s->dense_layers) {
        add_mixture(j, i);
        return;
    }
    bool gated = j->family->mlp.gated;
    bool apart = gated && family_name(j->family, CHECKPOINT_GGUF, (struct place){ROLE_GATE, 0, i, 0}, name);
    if (apart) add_linear(j, ROLE_GATE, BIAS_MLP, i, s->hidden, s->feed_forward);
    if (gated && !apart)
        add_linear(j, ROLE_GATE_UP, BIAS_MLP, i, s->hidden, 2 * (uint64_t)s->feed_forward);
    else
        add_linear(j, ROLE_UP, BIAS_MLP, i, s->hidden, s->feed_forward);
    add_linear(j, ROLE_DOWN, BIAS_MLP, i, s->feed_forward, s->hidden);
}

static void add_norms(struct job *j, uint32_t i) {
    const struct family *f = j->family;
    if (f->norms.place != NORM_AFTER) add_norm(j, ROLE_ATTN_NORM, i);
    if (f->norms.place != NORM_AFTER && !f->norms.shared) add_norm(j, ROLE_MLP_NORM, i);
    if (f->norms.place == NORM_BEFORE) return;
    add_norm(j, ROLE_ATTN_POST_NORM, i);
    add_norm(j, ROLE_MLP_POST_NORM, i);
}

static void add_attention(struct job *j, uint32_t i) {
    const struct shape *s = j->shape;
    uint64_t dim = s->head_dim ? s->head_dim : s->hidden / s->heads, q = s->heads * dim, kv = s->kv_heads * dim;
    char name[128];
    if (family_name(j->family, CHECKPOINT_GGUF, (struct place){ROLE_Q, PART_WEIGHT, i, 0}, name)) {
        add_linear(j, ROLE_Q, BIAS_QKV, i, s->hidden, q);
        add_linear(j, ROLE_K, BIAS_QKV, i, s->hidden, kv);
        add_linear(j, ROLE_V, BIAS_QKV, i, s->hidden, kv);
    } else
        add_linear(j, ROLE_QKV, BIAS_QKV, i, s->hidden, q + 2 * kv);
    if (j->family->attention.qk_norm == QK_NORM_HEAD) {
        add_vector(j, ROLE_Q_NORM, i, dim);
        add_vector(j, ROLE_K_NORM, i, dim);
    }
    if (j->family->attention.sinks) add_vector(j, ROLE_SINKS, i, s->heads);
    add_linear(j, ROLE_ATTN_OUT, BIAS_ATTN_OUT, i, q, s->hidden);
}

// A matrix for each head, in one tensor.
static void add_heads(struct job *j, enum role role, uint32_t layer, uint64_t cols, uint64_t rows) {
    struct tensor_part *p = add_part(j, role, PART_WEIGHT, layer, cols, rows, FILL_RANDOM);
    p->n_dims = 3;
    p->dim[2] = j->shape->heads;
}

static void add_latent(struct job *j, uint32_t i) {
    const struct shape *s = j->shape;
    add_linear(j, ROLE_Q_A, 0, i, s->hidden, s->q_latent);
    add_vector(j, ROLE_Q_A_NORM, i, s->q_latent);
    add_linear(j, ROLE_Q, 0, i, s->q_latent, (uint64_t)s->heads * s->key);
    add_linear(j, ROLE_KV_A, 0, i, s->hidden, s->kv_latent + s->rotated);
    add_vector(j, ROLE_KV_A_NORM, i, s->kv_latent);
    add_heads(j, ROLE_K_B, i, s->key - s->rotated, s->kv_latent);
    add_heads(j, ROLE_V_B, i, s->kv_latent, s->value);
    add_linear(j, ROLE_ATTN_OUT, 0, i, (uint64_t)s->heads * s->value, s->hidden);
}

enum { TAPS = 4 };

// What a state's keys are next to: steps of a channel by way of so many, or heads.
static uint32_t state_steps(const struct shape *s) {
    return s->state_head ? 2 * s->hidden / s->state_head : (s->hidden + 15) / 16;
}

static void add_state(struct job *j, uint32_t i) {
    const struct shape *s = j->shape;
    uint64_t inner = 2 * (uint64_t)s->hidden, keys = 2 * (uint64_t)s->state, steps = state_steps(s);
    uint64_t channels = inner + (s->state_head ? keys : 0);
    add_linear(j, ROLE_STATE_IN, 0, i, s->hidden, inner + channels + (s->state_head ? steps : 0));
    add_part(j, ROLE_STATE_CONV, PART_WEIGHT, i, TAPS, channels, FILL_RANDOM)->type = TYPE_F32;
    add_part(j, ROLE_STATE_CONV, PART_BIAS, i, channels, 0, FILL_ZEROS);
    if (s->state_head) {
        add_part(j, ROLE_STATE_DT, PART_BIAS, i, steps, 0, FILL_ZEROS);
        add_part(j, ROLE_STATE_A, PART_WEIGHT, i, 1, steps, FILL_MINUS)->type = TYPE_F32;
        add_part(j, ROLE_STATE_D, PART_WEIGHT, i, 1, steps, FILL_ONES)->type = TYPE_F32;
        add_part(j, ROLE_STATE_NORM, PART_WEIGHT, i, inner, 1, FILL_ONES)->type = TYPE_F32;
    } else {
        add_linear(j, ROLE_STATE_X, 0, i, inner, steps + keys);
        add_linear(j, ROLE_STATE_DT, 0, i, steps, inner);
        add_part(j, ROLE_STATE_DT, PART_BIAS, i, inner, 0, FILL_ZEROS);
        add_part(j, ROLE_STATE_A, PART_WEIGHT, i, s->state, inner, FILL_MINUS)->type = TYPE_F32;
        add_vector(j, ROLE_STATE_D, i, inner);
    }
    add_linear(j, ROLE_STATE_OUT, 0, i, inner, s->hidden);
}

static void add_layer(struct job *j, uint32_t i) {
    if (j->shape->state) {
        add_norm(j, ROLE_ATTN_NORM, i);
        add_state(j, i);
        return;
    }
    add_norms(j, i);
    (j->shape->kv_latent ? add_latent : add_attention)(j, i);
    add_mlp(j, i);
}

static bool list_parts(struct job *j, gyr_error *e) {
    const struct shape *s = j->shape;
    j->parts = calloc(2 * ((size_t)j->layers * ROLE_COUNT + ROLE_COUNT), sizeof *j->parts);
    if (!j->parts) return fail_memory(e, j->o->output);
    add_part(j, ROLE_EMBEDDING, PART_WEIGHT, 0, s->hidden, s->vocab, FILL_RANDOM);
    for (uint32_t i = 0; i < j->layers; i++) add_layer(j, i);
    add_norm(j, ROLE_FINAL_NORM, 0);
    if (!s->tied) add_part(j, ROLE_OUTPUT, PART_WEIGHT, 0, s->hidden, s->vocab, FILL_RANDOM);
    return true;
}

// The row of the family table that this shape's files are covered by.
static const struct family *family_of(const struct shape *s) {
    const struct family *f;
    for (size_t i = 0; (f = family_row(i)); i++) {
        if (f->hf_only || strcmp(f->architecture, s->architecture)) continue;
        if (s->marker ? f->gguf_has[0] && !strcmp(f->gguf_has[0], s->marker) : !f->gguf_has[0]) return f;
    }
    return NULL;
}

static const struct pool_of_blocks *pool_for(struct job *j, enum type type, size_t cols, gyr_error *e) {
    for (size_t i = 0; i < j->n_pools; i++)
        if (j->pools[i].type == type && j->pools[i].cols == cols) return &j->pools[i];
    struct pool_of_blocks *p = &j->pools[j->n_pools];
    const struct type_info *t = type_info(type);
    float *weights = malloc(POOL_WEIGHTS * sizeof *weights), spread = 1 / sqrtf((float)cols);
    *p = (struct pool_of_blocks){.type = type, .cols = cols, .block_bytes = t->bytes};
    p->size = type_row_bytes(type, POOL_WEIGHTS);
    p->bytes = malloc(p->size);
    if (!weights || !p->bytes) {
        free(weights);
        free(p->bytes);
        return fail_memory(e, j->o->output), NULL;
    }
    for (size_t i = 0; i < POOL_WEIGHTS; i++) weights[i] = spread * next_normal(&j->random);
    t->encode(weights, POOL_WEIGHTS, p->bytes);
    free(weights);
    j->n_pools++;
    return p;
}

static bool report(struct job *j, size_t bytes, gyr_error *e) {
    j->done += bytes;
    if (!j->o->progress) return true;
    uint64_t total = gguf_writer_bytes(j->w);
    if (j->o->progress(j->o->user, total ? (double)j->done / (double)total : 1)) return true;
    return fail(e, GYR_CANCELLED, "%s: stopped", j->o->output);
}

static bool write_random(struct job *j, const struct tensor_part *p, uint64_t left, gyr_error *e) {
    const struct pool_of_blocks *pool = pool_for(j, p->type, p->dim[0], e);
    size_t blocks = pool ? pool->size / pool->block_bytes : 0;
    while (pool && left) {
        size_t at = next_random(&j->random) % blocks * pool->block_bytes, n = pool->size - at;
        if (n > left) n = left;
        if (!gguf_writer_data(j->w, pool->bytes + at, n, e) || !report(j, n, e)) return false;
        left -= n;
    }
    return pool;
}

static bool write_part(struct job *j, const struct tensor_part *p, gyr_error *e) {
    uint64_t left = type_row_bytes(p->type, p->dim[0]) * p->dim[1] * p->dim[2];
    if (p->fill == FILL_RANDOM) return write_random(j, p, left, e);
    float value = p->fill == FILL_ONES ? 1 : p->fill == FILL_MINUS ? -1 : 0;
    for (; left; left -= sizeof value)
        if (!gguf_writer_data(j->w, &value, sizeof value, e)) return false;
    return report(j, p->dim[0] * p->dim[1] * sizeof value, e);
}

// A vocabulary of the right size where none is given: the 256 bytes, each in GPT-2's byte alphabet, then fillers.
static void put_filler_vocab(struct job *j) {
    struct buf b = {0};
    size_t n = j->shape->vocab, *start = calloc(n + 1, sizeof *start);
    struct text *tokens = calloc(n, sizeof *tokens);
    int32_t *kinds = calloc(n, sizeof *kinds);
    if (start && tokens && kinds) {
        unsigned shifted = 0;
        for (size_t i = 0; i < n; i++) {
            bool plain = (i >= '!' && i <= '~') || (i >= 0xa1 && i <= 0xac) || (i >= 0xae && i < 256);
            unsigned c = plain ? (unsigned)i : 256 + shifted;
            if (i < 256 && !plain) shifted++;
            if (i >= 256)
                buf_printf(&b, "<filler%zu>", i);
            else if (c < 0x80)
                buf_putc(&b, (char)c);
            else
                buf_printf(&b, "%c%c", (int)(0xc0 | c >> 6), (int)(0x80 | (c & 0x3f)));
            start[i + 1] = b.size;
            kinds[i] = i < 256 ? TOKEN_NORMAL : TOKEN_UNUSED;
        }
        for (size_t i = 0; i < n && !b.failed; i++)
            tokens[i] = (struct text){b.data + start[i], start[i + 1] - start[i]};
        gguf_put_cstring(j->w, "tokenizer.ggml.model", "gpt2");
        gguf_put_cstring(j->w, "tokenizer.ggml.pre", j->shape->pre);
        gguf_put_strings(j->w, "tokenizer.ggml.tokens", tokens, n);
        gguf_put_i32s(j->w, "tokenizer.ggml.token_type", kinds, n);
        gguf_put_strings(j->w, "tokenizer.ggml.merges", NULL, 0);
    }
    buf_free(&b);
    free(start);
    free(tokens);
    free(kinds);
}

// A folder's tokenizer as GGUF can say it. Texts that the model learns from begin as those do that it is asked.
static bool put_blank_vocab(struct job *j, gyr_error *e) {
    const struct checkpoint *c = j->blank->tokenizer;
    struct gguf_vocab g = {.v = c->vocab};
    bool ok = c->source == CHECKPOINT_GGUF || gguf_vocab_new(&g, c, j->shape->vocab, false, e);
    g.v.add_bos = g.v.bos >= 0;
    if (ok) gguf_put_vocab(j->w, &g.v);
    if (c->source != CHECKPOINT_GGUF) gguf_vocab_free(&g);
    return ok;
}

static bool put_vocab(struct job *j, gyr_error *e) {
    if (j->blank) return put_blank_vocab(j, e);
    if (!j->o->vocab) {
        put_filler_vocab(j);
        return true;
    }
    struct checkpoint *c = checkpoint_open(j->o->vocab, e);
    bool ok = c;
    if (ok && (c->vocab.kind == VOCAB_NONE || c->vocab.n > j->shape->vocab))
        ok = fail(e, GYR_USAGE, "%s: has %zu tokens; shape '%s' takes at most %u", j->o->vocab, c->vocab.n,
                  j->shape->name, j->shape->vocab);
    if (ok) gguf_put_vocab(j->w, &c->vocab);
    checkpoint_close(c);
    return ok;
}

static void put_key(struct job *j, enum hyper h, uint32_t v) {
    char key[128];
    hyper_key(j->family, h, key);
    if (v) gguf_put_u32(j->w, key, v);
}

static void put_number(struct job *j, enum hyper h, float v) {
    char key[128];
    hyper_key(j->family, h, key);
    if (v > 0) gguf_put_f32(j->w, key, v);
}

static void put_latent(struct job *j) {
    const struct shape *s = j->shape;
    put_key(j, HYPER_GROUPS, s->groups);
    put_key(j, HYPER_GROUPS_USED, s->groups_used);
    put_key(j, HYPER_ROUTE, s->route);
    put_number(j, HYPER_ROUTE_SCALE, s->route_scale);
    put_key(j, HYPER_Q_LATENT, s->q_latent);
    put_key(j, HYPER_KV_LATENT, s->kv_latent);
    put_key(j, HYPER_KEY_WHOLE, s->key);
    put_key(j, HYPER_VALUE, s->value);
    put_key(j, HYPER_KEY_ROTATED, s->rotated);
}

static void put_state(struct job *j) {
    const struct shape *s = j->shape;
    const struct {
        const char *name;
        uint32_t v;
    } keys[] = {{"conv_kernel", TAPS},
                {"inner_size", 2 * s->hidden},
                {"state_size", s->state},
                {"time_step_rank", state_steps(s)},
                {"group_count", s->state_head ? 1 : 0}};
    char key[128];
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        snprintf(key, sizeof key, "%s.ssm.%s", s->architecture, keys[i].name);
        if (s->state && keys[i].v) gguf_put_u32(j->w, key, keys[i].v);
    }
}

static bool put_head(struct job *j, gyr_error *e) {
    const struct shape *s = j->shape;
    char key[128];
    gguf_put_cstring(j->w, "general.architecture", s->architecture);
    gguf_put_cstring(j->w, "general.name", j->blank ? j->blank->name : s->name);
    if (!j->blank) gguf_put_cstring(j->w, "general.description", "random weights in a known model's shape");
    gguf_put_u32(j->w, "general.quantization_version", 2);
    put_key(j, HYPER_LAYERS, j->layers);
    put_key(j, HYPER_HIDDEN, s->hidden);
    put_key(j, HYPER_HEADS, s->heads);
    put_key(j, HYPER_KV_HEADS, s->kv_heads);
    put_key(j, HYPER_HEAD_DIM, s->head_dim);
    put_key(j, HYPER_FEED_FORWARD, s->feed_forward);
    put_key(j, HYPER_CONTEXT, j->context);
    put_key(j, HYPER_WINDOW, s->window);
    put_key(j, HYPER_EXPERTS, s->experts);
    put_key(j, HYPER_EXPERTS_USED, s->experts_used);
    put_key(j, HYPER_EXPERT_FEED_FORWARD, s->expert_feed_forward);
    put_latent(j);
    put_state(j);
    put_number(j, HYPER_ATTN_CAP, s->attn_cap);
    put_number(j, HYPER_LOGIT_CAP, s->logit_cap);
    hyper_key(j->family, HYPER_NORM_EPS, key);
    gguf_put_f32(j->w, key, 1e-5f);
    snprintf(key, sizeof key, "%s.rope.freq_base", s->architecture);
    if (s->rope_base > 0) gguf_put_f32(j->w, key, s->rope_base);
    if (s->marker && *s->marker == '=') gguf_put_f32(j->w, s->marker + 1, 8);
    if (!put_vocab(j, e)) return false;
    for (size_t i = 0; i < j->n; i++)
        gguf_put_tensor(j->w, j->parts[i].name, j->parts[i].type, j->parts[i].n_dims, j->parts[i].dim);
    return gguf_writer_begin(j->w, e);
}

static void list_names(struct buf *b) {
    const struct shape *s;
    for (size_t i = 0; (s = shape_row(i)); i++) buf_printf(b, "%s%s", i ? ", " : "", s->name);
}

static bool prepare(struct job *j, bool encoded, gyr_error *e) {
    const gyr_synth_options *o = j->o;
    if (!o->shape || !o->type || !o->output) return fail(e, GYR_USAGE, "synth: give a shape, a type and a file");
    if (!j->shape) j->shape = shape_by_name(o->shape);
    if (!j->shape) {
        struct buf b = {0};
        list_names(&b);
        fail(e, GYR_USAGE, "shape '%.40s' is not one gyr knows; it knows: %s", o->shape, b.data ? b.data : "");
        buf_free(&b);
        return false;
    }
    int type = type_by_name(o->type);
    if (type < 0 || (encoded && !type_info((uint32_t)type)->encode))
        return fail(e, GYR_USAGE, "type '%.40s' is not one gyr knows; it knows: %s", o->type,
                    encoded ? type_names_encoded() : type_names());
    if (o->layers > j->shape->layers)
        return fail(e, GYR_USAGE, "%u layers: %s has %u", o->layers, o->shape, j->shape->layers);
    j->type = (enum type)type;
    j->layers = o->layers ? o->layers : j->shape->layers;
    j->context = o->context ? o->context : j->shape->context;
    j->family = family_of(j->shape);
    j->random = o->seed;
    return list_parts(j, e);
}

static bool prepare_named(struct job *j, gyr_error *e) { return prepare(j, false, e); }

static bool check_blank(const struct job *j, gyr_error *e) {
    const struct shape *s = j->shape;
    bool mixes = s->state || (s->heads && s->kv_heads && s->feed_forward);
    const struct {
        bool is;
        const char *what;
    } tries[] = {{s->experts || s->kv_latent, "gyr trains no experts and no latent attention from nothing"},
                 {!s->layers || !s->hidden || !mixes || !s->context || !s->vocab, "a number is 0"},
                 {s->state && (s->heads || s->kv_heads || s->head_dim || s->feed_forward),
                  "a layer with a state has no heads of attention and no MLP"},
                 {s->state_head && 2 * s->hidden % s->state_head, "twice the width is no multiple of a head's"},
                 {s->layers > 4096 || s->hidden > 1 << 20 || s->feed_forward > 1 << 22, "a number is too large"},
                 {s->kv_heads && s->heads % s->kv_heads, "heads are no multiple of those of keys and values"},
                 {!s->head_dim && s->heads && s->hidden % s->heads, "the width is no multiple of the heads"},
                 {(s->head_dim ? s->head_dim
                   : s->heads  ? s->hidden / s->heads
                               : 0) %
                      2,
                  "a head's width is odd"}};
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++)
        if (tries[i].is) return fail(e, GYR_USAGE, "shape: %s; give other numbers", tries[i].what);
    return true;
}

static bool prepare_blank(struct job *j, gyr_error *e) {
    j->shape = j->blank->shape;
    if (!check_blank(j, e)) return false;
    j->type = TYPE_F32;
    j->layers = j->shape->layers;
    j->context = j->shape->context;
    j->family = family_of(j->shape);
    return list_parts(j, e);
}

bool synth(const gyr_synth_options *o, gyr_error *e) { return synth_shape(NULL, o, e); }

bool synth_shape(const struct shape *shape, const gyr_synth_options *o, gyr_error *e) {
    struct job j = {.o = o, .shape = shape};
    bool ok = prepare(&j, true, e) && (j.w = gguf_writer_new(o->output, e)) && put_head(&j, e);
    for (size_t i = 0; ok && i < j.n; i++) ok = write_part(&j, &j.parts[i], e);
    if (j.w) {
        bool ended = gguf_writer_end(j.w, ok, ok ? e : NULL);
        ok = ok && ended;
    }
    for (size_t i = 0; i < j.n_pools; i++) free(j.pools[i].bytes);
    free(j.parts);
    return ok;
}

// A file of the temporary folder, gone again once it is mapped.
static struct checkpoint *open_hollow(struct job *j, gyr_error *e) {
    const char *path;
    gguf_writer_hollow(j->w);
    if (!put_head(j, e) || !gguf_writer_show(j->w, &path, e)) return NULL;
    struct checkpoint *c = checkpoint_open(path, e);
    char *name = c ? strdup(j->o->shape) : NULL;
    if (name) {
        free(c->path);
        c->path = name; // in messages
        return c;
    }
    if (c) fail_memory(e, j->o->shape);
    checkpoint_close(c);
    return NULL;
}

static struct checkpoint *make_hollow(struct job *j, const char *shape, gyr_error *e) {
    const char *folder = getenv("TMPDIR");
    struct buf output = {0};
    buf_printf(&output, "%s/gyr-%s", folder && *folder ? folder : "/tmp", shape);
    gyr_synth_options o = {.shape = shape, .type = j->o->type, .output = output.data};
    struct checkpoint *c = NULL;
    j->o = &o;
    bool ok = !output.failed || fail_memory(e, shape);
    ok = ok && (j->blank ? prepare_blank : prepare_named)(j, e) && (j->w = gguf_writer_new(o.output, e));
    if (ok) c = open_hollow(j, e);
    if (j->w) gguf_writer_end(j->w, false, NULL);
    free(j->parts);
    buf_free(&output);
    return c;
}

struct checkpoint *synth_hollow(const char *shape, const char *type, gyr_error *e) {
    return make_hollow(&(struct job){.o = &(gyr_synth_options){.type = type}}, shape, e);
}

struct checkpoint *synth_blank(const struct blank *b, gyr_error *e) {
    return make_hollow(&(struct job){.blank = b, .o = &(gyr_synth_options){.type = "f32"}}, "blank", e);
}
