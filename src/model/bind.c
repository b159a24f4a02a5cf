// Binding: every tensor that the family's row names is found, its shape checked, and handed to the device.
#include "model/bind.h"
#include "model/sharing.h"
#include "model/unit.h"

#include <stdlib.h>
#include <string.h>

static const struct tensor *look(const struct binder *b, enum role role, enum part part, uint32_t layer,
                                 char name[128]) {
    return family_tensor(b->m->family, b->m->checkpoint, (struct place){role, part, layer, 0}, name);
}

bool bind_present(const struct binder *b, enum role role, enum part part, uint32_t layer) {
    char name[128];
    return look(b, role, part, layer, name);
}

static bool named(const struct binder *b, enum role role) {
    char name[128];
    return family_name(b->m->family, b->m->checkpoint->source, (struct place){role, PART_WEIGHT, 0, 0}, name);
}

// A tensor whose codes and scales lie apart, written in its type. It stands before its bytes, a cache line of which is
// enough.
static const struct tensor *bind_unpacked(struct binder *b, const struct tensor *t) {
    size_t room = (sizeof *t + 63) / 64 * 64;
    uint8_t *data = bind_rewrite(b, room + t->bytes);
    if (!data) return b->looking ? t : NULL;
    if (!b->m->hollow) tensor_blocks(t, 0, (size_t)(t->dim[0] * t->dim[1]), data + room);
    struct tensor *whole = (struct tensor *)(void *)data;
    *whole = *t;
    whole->data = data + room;
    whole->scales = NULL;
    whole->packing = NULL;
    return whole;
}

const struct tensor *bind_find_any(struct binder *b, struct place at, uint64_t cols, uint64_t rows, uint64_t depth) {
    const struct model *m = b->m;
    char name[128];
    const struct tensor *t = family_tensor(m->family, m->checkpoint, at, name);
    if (!t)
        return fail_null(b->e, GYR_MALFORMED, "%s: tensor '%s' is missing; download or convert the model again",
                         m->checkpoint->path, name);
    if (b->found) b->found[t - m->checkpoint->tensors] = true;
    if (!tensor_readable(t, m->checkpoint->path, b->e)) return NULL;
    if (t->dim[0] == cols && t->dim[1] == rows && t->dim[2] == depth && t->dim[3] == 1)
        return t->packing ? bind_unpacked(b, t) : t;
    return fail_null(b->e, GYR_MALFORMED,
                     "%s: tensor '%s' is %llu x %llu, but the hyperparameters make it %llu x %llu; convert the model "
                     "again",
                     m->checkpoint->path, name, (unsigned long long)t->dim[0], (unsigned long long)t->dim[1],
                     (unsigned long long)cols, (unsigned long long)rows);
}

const struct tensor *bind_find(struct binder *b, struct place at, uint64_t cols, uint64_t rows, uint64_t depth) {
    const struct tensor *t = bind_find_any(b, at, cols, rows, depth);
    if (!t || !t->scales || t->packing) return t;
    return fail_null(b->e, GYR_UNSUPPORTED,
                     "%s: tensor '%.*s' is MXFP4, which gyr reads for experts only; choose another "
                     "model",
                     b->m->checkpoint->path, (int)(t->name.size > 60 ? 60 : t->name.size), t->name.data);
}

void bind_count(struct model *m, const struct tensor *t, double share) {
    m->parameters += t->dim[0] * t->dim[1] * t->dim[2];
    m->weight_bytes += t->bytes;
    m->decode_bytes += (uint64_t)((double)t->bytes * share);
}

uint8_t *bind_rewrite(struct binder *b, size_t bytes) {
    struct model *m = b->m;
    uint8_t *data = b->looking ? NULL : malloc(bytes ? bytes : 1);
    b->rewritten++;
    if (data) m->rewritten[m->n_rewritten++] = data;
    return data || b->looking ? data : (fail_memory(b->e, m->checkpoint->path), NULL);
}

bool bind_matrix(struct binder *b, struct weight *w, enum role role, uint32_t layer, size_t cols, size_t rows) {
    const struct tensor *t = bind_find(b, (struct place){role, PART_WEIGHT, layer, 0}, cols, rows, 1);
    if (!t || b->looking) return t;
    *w = (struct weight){.type = t->type, .rows = rows, .cols = cols, .data = t->data};
    bind_count(b->m, t, 1);
    return bind_weight(b, w);
}

bool bind_is_turned(const struct binder *b) {
    return b->m->family->hf_transposed && b->m->checkpoint->source == CHECKPOINT_HF;
}

uint8_t *bind_turned(struct binder *b, const struct tensor *t, size_t cols, size_t rows) {
    size_t size = type_info(t->type)->bytes;
    uint8_t *data = bind_rewrite(b, t->bytes);
    for (size_t r = 0; data && !b->m->hollow && r < rows; r++)
        for (size_t c = 0; c < cols; c++) memcpy(data + (r * cols + c) * size, t->data + (c * rows + r) * size, size);
    return data;
}

bool bind_whole(struct binder *b, const struct tensor *t) {
    return !type_info(t->type)->quantized ||
           fail(b->e, GYR_UNSUPPORTED, "%s: tensor '%.*s' is quantized, which gyr does not read there",
                b->m->checkpoint->path, (int)(t->name.size > 60 ? 60 : t->name.size), t->name.data);
}

// A matrix that the file has as [in][out] is written anew.
static bool bind_transposed(struct binder *b, struct weight *w, enum role role, uint32_t layer, size_t cols,
                            size_t rows) {
    struct model *m = b->m;
    const struct tensor *t = bind_find(b, (struct place){role, PART_WEIGHT, layer, 0}, rows, cols, 1);
    if (!t || !bind_whole(b, t)) return false;
    uint8_t *data = bind_turned(b, t, cols, rows);
    if (!data) return b->looking;
    *w = (struct weight){.type = t->type, .rows = rows, .cols = cols, .data = data};
    bind_count(m, t, 1);
    return bind_weight(b, w);
}

// An output matrix whose rows are made of length 1, in its own type.
static bool bind_unit(struct binder *b, struct weight *w, enum role role, size_t cols, size_t rows) {
    struct model *m = b->m;
    const struct tensor *t = bind_find(b, (struct place){role, PART_WEIGHT, 0, 0}, cols, rows, 1);
    if (!t) return false;
    const struct type_info *type = type_info(t->type);
    if (!bind_whole(b, t)) return false;
    uint8_t *data = bind_rewrite(b, t->bytes);
    float *row = data ? malloc(cols * sizeof *row) : NULL;
    if (!row) return b->looking || (data && fail_memory(b->e, m->checkpoint->path));
    for (size_t r = 0; r < rows && !m->hollow; r++) {
        unit_decode(t, r, cols, 0, cols, row);
        type->encode(row, cols, data + r * cols * type->bytes);
    }
    free(row);
    *w = (struct weight){.type = t->type, .rows = rows, .cols = cols, .data = data};
    bind_count(m, t, 1);
    return bind_weight(b, w);
}

bool bind_weight(struct binder *b, struct weight *w) { return weight_bind(w, b->m->on.device[b->side], b->e); }

dfloat *bind_at(const struct binder *b, size_t at) { return b->m->vectors[b->side] + at; }

float *bind_host(const struct binder *b, const dfloat *v) { return b->host + (v - b->m->vectors[b->side]); }

// Decodes a vector; `plus` is added to each element.
static bool put_vector(struct binder *b, const struct tensor *t, size_t at, size_t n, float plus) {
    struct model *m = b->m;
    if (type_info(t->type)->quantized && n % 32)
        return fail(b->e, GYR_UNSUPPORTED, "%s: tensor '%.*s' is a quantized vector of odd length", m->checkpoint->path,
                    (int)t->name.size, t->name.data);
    float *host = b->host + at;
    type_decode(t->type, t->data, 0, n, host);
    for (size_t i = 0; plus != 0 && i < n; i++) host[i] += plus;
    bind_count(m, t, 1);
    return true;
}

bool bind_vector(struct binder *b, dfloat **v, enum role role, enum part part, uint32_t layer, size_t n, size_t rows,
                 float plus) {
    struct model *m = b->m;
    bool apart = family_indexed(m->family, m->checkpoint, (struct place){role, part, layer, 0});
    size_t tensors = apart ? rows : 1, each = n / tensors, at = b->used;
    b->used += n;
    for (uint32_t i = 0; i < tensors; i++) {
        const struct tensor *t = bind_find(b, (struct place){role, part, layer, i}, n / rows, apart ? 1 : rows, 1);
        if (!t || (!b->looking && !put_vector(b, t, at + i * each, each, plus))) return false;
    }
    if (!b->looking) *v = bind_at(b, at);
    return true;
}

static float offset(const struct model *m) {
    return m->family->norms.hf_offset && m->checkpoint->source == CHECKPOINT_HF ? 1 : 0;
}

// A norm of rows of `dim`, in so many tensors or parts of one, without a bias.
static bool bind_plain_norm(struct binder *b, struct norm *norm, enum role role, uint32_t layer, size_t dim,
                            size_t parts) {
    *norm = (struct norm){.kind = b->m->family->norms.kind, .eps = b->m->h.norm_eps, .dim = dim};
    return bind_vector(b, &norm->weight, role, PART_WEIGHT, layer, dim, parts, offset(b->m));
}

bool bind_norm(struct binder *b, struct norm *norm, enum role role, uint32_t layer) {
    size_t n = b->m->h.hidden;
    return bind_plain_norm(b, norm, role, layer, n, 1) &&
           (!b->m->family->norms.biases || bind_vector(b, &norm->bias, role, PART_BIAS, layer, n, 1, 0));
}

bool bind_has_bias(const struct binder *b, enum role role, unsigned which, uint32_t layer) {
    const struct family *f = b->m->family;
    if (f->biases & which) return true;
    if (b->m->h.biases_told && which & BIAS_ALL) return f->may_bias & b->m->h.biases & which;
    bool first = bind_present(b, role, PART_WEIGHT, 0);
    return f->may_bias & which && bind_present(b, role, PART_BIAS, first ? 0 : layer);
}

bool bind_linear(struct binder *b, struct linear *l, enum role role, unsigned bias, uint32_t layer, size_t cols,
                 size_t rows) {
    bool biased = bind_has_bias(b, role, bias, layer);
    l->by = 1;
    return (bind_is_turned(b) ? bind_transposed : bind_matrix)(b, &l->w, role, layer, cols, rows) &&
           (!biased || bind_vector(b, &l->bias, role, PART_BIAS, layer, rows, 1, 0)) &&
           bind_by(b, role, layer, biased, 1, 0, &l->by);
}

// Files may have several matrices as one, whatever the family's custom.
static bool fused(const struct binder *b, enum role whole, enum role first, uint32_t layer) {
    return named(b, whole) && (bind_present(b, whole, PART_WEIGHT, layer) || !named(b, first));
}

bool bind_has_values(const struct model *m, uint32_t i) {
    const struct layer_plan *p = &m->layers[i].plan;
    if (p->borrows || !m->family->attention.value_norm) return !p->borrows;
    char name[128];
    if (m->checkpoint->source == CHECKPOINT_HF) return p->local || !m->h.key_values;
    return family_tensor(m->family, m->checkpoint, (struct place){ROLE_V, PART_WEIGHT, i, 0}, name) ||
           family_tensor(m->family, m->checkpoint, (struct place){ROLE_QKV, PART_WEIGHT, i, 0}, name);
}

// The three in one matrix stay one where each goes straight to norms of heads and rotation, which take them from where
// they are (struct qkv). Whatever else is done to one of them is done to a matrix of its own.
static bool bind_fused(struct binder *b, struct layer *l, uint32_t i, size_t q, size_t kv) {
    const struct model *m = b->m;
    const struct layer_plan *p = &l->plan;
    size_t groups = m->grouped ? p->heads.kv_heads : 1, each = q / groups;
    size_t values = each + kv / groups;
    const struct share parts[] = {{&l->q, 0, each},
                                  {p->borrows ? NULL : &l->k, each, kv / groups},
                                  {p->borrows ? NULL : &l->v, values, kv / groups}};
    bool apart = p->gates_heads || p->borrows || p->qk_norm == QK_NORM_ROW || m->family->attention.value_norm ||
                 m->h.recurrence.attn_key != 1;
    if (apart) return bind_parts(b, ROLE_QKV, BIAS_QKV, i, groups, parts, 3);
    return bind_linear(b, &l->qkv, ROLE_QKV, BIAS_QKV, i, m->h.hidden, q + 2 * kv);
}

static bool bind_qkv(struct binder *b, struct layer *l, uint32_t i) {
    const struct hyperparameters *h = &b->m->h;
    const struct heads *has = &l->plan.heads;
    size_t q = (size_t)h->heads * has->head_dim, kv = (size_t)has->kv_heads * has->head_dim;
    if (l->plan.gates_heads) q *= 2;
    bool ok = fused(b, ROLE_QKV, ROLE_Q, i)
                  ? bind_fused(b, l, i, q, kv)
                  : bind_linear(b, &l->q, ROLE_Q, BIAS_QKV, i, h->hidden, q) &&
                        (l->plan.borrows || bind_linear(b, &l->k, ROLE_K, BIAS_QKV, i, h->hidden, kv)) &&
                        (!bind_has_values(b->m, i) || bind_linear(b, &l->v, ROLE_V, BIAS_QKV, i, h->hidden, kv));
    l->k.by *= h->recurrence.attn_key;
    return ok;
}

// What files have of a layer that borrows keys and values, and that is never read.
static void pass_over(struct binder *b, uint32_t i) {
    static const enum role unread[] = {ROLE_K, ROLE_V, ROLE_K_NORM};
    char name[128];
    for (int k = 0; b->found && k < 3; k++) {
        const struct tensor *t = look(b, unread[k], PART_WEIGHT, i, name);
        if (t) b->found[t - b->m->checkpoint->tensors] = true;
    }
}

bool bind_filled(struct binder *b, dfloat **v, size_t n, float value) {
    size_t at = b->used;
    b->used += n;
    if (b->looking) return true;
    for (size_t i = 0; i < n; i++) b->host[at + i] = value;
    *v = bind_at(b, at);
    return true;
}

// A norm without weights.
static bool bind_ones(struct binder *b, struct norm *norm, size_t dim) {
    *norm = (struct norm){.kind = b->m->family->norms.kind, .eps = b->m->h.norm_eps, .dim = dim};
    return bind_filled(b, &norm->weight, dim, 1);
}

static bool bind_qk_norms(struct binder *b, struct layer *l, uint32_t i) {
    enum qk_norm kind = l->plan.qk_norm;
    size_t dim = l->plan.heads.head_dim;
    if (b->m->family->attention.value_norm && !bind_ones(b, &l->v_norm, dim)) return false;
    if (kind == QK_NORM_NONE) return true;
    if (kind == QK_NORM_PLAIN) {
        bool ok = bind_ones(b, &l->q_norm, dim);
        l->k_norm = l->q_norm;
        return ok;
    }
    size_t q = kind == QK_NORM_HEAD ? 1 : b->m->h.heads, k = kind == QK_NORM_HEAD ? 1 : l->plan.heads.kv_heads;
    bool each = kind == QK_NORM_EACH;
    return bind_plain_norm(b, &l->q_norm, ROLE_Q_NORM, i, q * dim, each ? q : 1) &&
           (l->plan.borrows || bind_plain_norm(b, &l->k_norm, ROLE_K_NORM, i, k * dim, each ? k : 1));
}

static bool bind_norms(struct binder *b, struct layer *l, uint32_t i) {
    const struct family *f = b->m->family;
    bool before = bind_norms_before(f), after = f->norms.place != NORM_BEFORE;
    bool feeds = l->plan.feed != FEED_NONE;
    bool bare = f->norms.first_bare && i == 0;
    return (!before || bare || bind_norm(b, &l->attn_norm, ROLE_ATTN_NORM, i)) &&
           (!before || f->norms.shared || !feeds || bind_norm(b, &l->mlp_norm, ROLE_MLP_NORM, i)) &&
           (!after || bind_norm(b, &l->attn_post_norm, ROLE_ATTN_POST_NORM, i)) &&
           (!after || !feeds || bind_norm(b, &l->mlp_post_norm, ROLE_MLP_POST_NORM, i));
}

static bool bind_gate_up(struct binder *b, struct layer *l, uint32_t i) {
    const struct hyperparameters *h = &b->m->h;
    size_t wide = l->plan.feed_forward;
    bool both = fused(b, ROLE_GATE_UP, ROLE_GATE, i);
    const struct share halves[] = {{&l->gate, 0, wide}, {&l->up, wide, wide}};
    if (both && h->recurrence.gate == 1)
        return bind_linear(b, &l->gate_up, ROLE_GATE_UP, BIAS_MLP, i, h->hidden, 2 * wide);
    bool ok = both ? bind_parts(b, ROLE_GATE_UP, BIAS_MLP, i, 1, halves, 2)
                   : bind_linear(b, &l->gate, ROLE_GATE, BIAS_MLP, i, h->hidden, wide) &&
                         bind_linear(b, &l->up, ROLE_UP, BIAS_MLP, i, h->hidden, wide);
    l->gate.by *= h->recurrence.gate;
    return ok;
}

static bool bind_mlp(struct binder *b, struct layer *l, uint32_t i) {
    const struct hyperparameters *h = &b->m->h;
    size_t wide = l->plan.feed_forward;
    bool ok =
        b->m->family->mlp.gated ? bind_gate_up(b, l, i) : bind_linear(b, &l->up, ROLE_UP, BIAS_MLP, i, h->hidden, wide);
    ok = ok && bind_linear(b, &l->down, ROLE_DOWN, BIAS_MLP, i, wide, h->hidden);
    l->down.by *= h->recurrence.down;
    return ok;
}

static bool bind_attention(struct binder *b, struct layer *l, uint32_t i) {
    const struct model *m = b->m;
    const struct hyperparameters *h = &m->h;
    size_t mixed = (size_t)h->heads * (m->family->latent.attends ? h->value : l->plan.heads.head_dim);
    if (l->plan.borrows) pass_over(b, i);
    bool ok = (!l->plan.indexes || bind_indexer(b, l, i)) &&
              (m->family->latent.attends ? bind_latent(b, l, i) : bind_qkv(b, l, i) && bind_qk_norms(b, l, i)) &&
              (!m->family->attention.sinks || bind_vector(b, &l->sinks, ROLE_SINKS, PART_WEIGHT, i, h->heads, 1, 0)) &&
              bind_linear(b, &l->attn_out, ROLE_ATTN_OUT, BIAS_ATTN_OUT, i, mixed, h->hidden);
    l->attn_out.by *= h->recurrence.attn_out;
    return ok;
}

static enum feed feed_of(const struct binder *b, uint32_t i) {
    const struct family *f = b->m->family;
    if (f->mixers == MIXERS_STATE) return FEED_NONE;
    if (!b->m->h.experts) return FEED_MLP;
    if (f->experts.beside) return FEED_BOTH;
    return bind_present(b, ROLE_ROUTER, PART_WEIGHT, i) ? FEED_EXPERTS : FEED_MLP;
}

// The layer's plan, its place counted among those before it: of states, among those of its side.
static void plan(const struct binder *b, uint32_t i) {
    struct model *m = b->m;
    struct layer_plan *p = &m->layers[i].plan;
    m->layers[i].side = b->side;
    m->layers[i].experts_side = i < m->on.experts ? 0 : b->side;
    *p = layer_plan(m->family, m->checkpoint, &m->h, i);
    p->feed = feed_of(b, i);
    p->cache = p->kind == KV_LOCAL ? m->h.kv_layers[KV_USUAL] : 0;
    p->index = m->h.kv_layers[KV_USUAL] + m->h.kv_layers[KV_LOCAL];
    for (uint32_t k = m->first; k < i; k++) {
        const struct layer_plan *before = &m->layers[k].plan;
        p->cache += before->attends && !before->borrows && before->kind == p->kind;
        p->state += before->recurs && m->layers[k].side == m->layers[i].side;
        p->index += before->indexes;
    }
    p->cache -= p->borrows;
}

static bool bind_scale(struct binder *b, struct layer *l, uint32_t i) {
    l->scale = 1;
    if (!bind_present(b, ROLE_LAYER_SCALE, PART_WEIGHT, i)) return true;
    const struct tensor *t = bind_find(b, (struct place){ROLE_LAYER_SCALE, PART_WEIGHT, i, 0}, 1, 1, 1);
    if (!t || b->looking) return t;
    type_decode(t->type, t->data, 0, 1, &l->scale);
    bind_count(b->m, t, 1);
    return true;
}

static bool bind_layer(struct binder *b, uint32_t i) {
    struct layer *l = &b->m->layers[i];
    plan(b, i);
    return bind_norms(b, l, i) && bind_scale(b, l, i) && bind_input(b, l, i) &&
           (!l->plan.attends || bind_attention(b, l, i)) && (!l->plan.recurs || bind_state(b, l, i)) &&
           ((l->plan.feed != FEED_MLP && l->plan.feed != FEED_BOTH) || bind_mlp(b, l, i)) &&
           ((l->plan.feed != FEED_EXPERTS && l->plan.feed != FEED_BOTH) || bind_experts(b, l, i));
}

// What this rank does not have is looked at in both passes.
static void binds(struct binder *b, bool own) { b->looking = b->all_looking || !own; }

// The embedding says how large the vocabulary is. A tokenizer may have tokens that have no row: they cannot be fed.
enum { MAX_WITHOUT_ROWS = 64 };

static bool bind_embedding(struct binder *b) {
    struct model *m = b->m;
    char name[128];
    binds(b, m->begins || (m->gives && m->tied));
    const struct tensor *t = look(b, ROLE_EMBEDDING, PART_WEIGHT, 0, name);
    bool few = t && m->checkpoint->vocab.n > t->dim[1] && m->checkpoint->vocab.n - t->dim[1] > MAX_WITHOUT_ROWS;
    if (t && (t->dim[1] == 0 || t->dim[1] > 1u << 24 || few))
        return fail(b->e, GYR_MALFORMED, "%s: tensor '%s' has %llu rows for %zu tokens; convert the model again",
                    m->checkpoint->path, name, (unsigned long long)t->dim[1], m->checkpoint->vocab.n);
    m->h.vocab = t ? (uint32_t)t->dim[1] : 1;
    if (!bind_matrix(b, &m->embedding, ROLE_EMBEDDING, 0, m->h.hidden, m->h.vocab)) return false;
    binds(b, m->begins);
    return bind_beginning(b);
}

// An output matrix that is there is used, whatever a config says, as in transformers; one that is the embedding over
// again is not kept twice. Where there is none, a config that says that it is not the embedding misses it.
static bool output_tied(struct binder *b) {
    const struct checkpoint *c = b->m->checkpoint;
    char name[128];
    const struct tensor *out = look(b, ROLE_OUTPUT, PART_WEIGHT, 0, name);
    const struct tensor *in = look(b, ROLE_EMBEDDING, PART_WEIGHT, 0, name);
    const struct value *told = c->source == CHECKPOINT_HF ? config_value(c, "tie_word_embeddings") : NULL;
    bool tied = !told || told->kind != VALUE_BOOL || told->b;
    if (!out) return tied;
    if (!told || !tied || !in || out->unread || in->unread || out->packing || in->packing || out->type != in->type ||
        out->bytes != in->bytes || memcmp(out->dim, in->dim, sizeof in->dim) || memcmp(out->data, in->data, in->bytes))
        return false;
    if (b->found) b->found[out - c->tensors] = true;
    return true;
}

static bool bind_final_norm(struct binder *b) {
    return b->m->family->norms.no_final || bind_norm(b, &b->m->final_norm, ROLE_FINAL_NORM, 0);
}

static bool bind_output(struct binder *b) {
    struct model *m = b->m;
    binds(b, m->gives);
    if (m->family->encoder) {
        if (!b->looking) m->decode_bytes -= type_row_bytes(m->embedding.type, m->h.hidden) * (m->h.vocab - 1);
        return bind_final_norm(b);
    }
    bool unit = m->family->scale.hf_unit_output && m->checkpoint->source == CHECKPOINT_HF;
    if (b->all_looking) m->tied = output_tied(b);
    if (m->tied) {
        m->output = m->embedding;
        m->output.own = NULL;
        m->output.on = m->on.device[b->side];
        if (!b->looking && b->side && !bind_weight(b, &m->output)) return false;
    } else {
        if (!b->looking && m->begins)
            m->decode_bytes -= type_row_bytes(m->embedding.type, m->h.hidden) * (m->h.vocab - 1);
        if (!(unit ? bind_unit(b, &m->output, ROLE_OUTPUT, m->h.hidden, m->h.vocab)
                   : bind_matrix(b, &m->output, ROLE_OUTPUT, 0, m->h.hidden, m->h.vocab)))
            return false;
    }
    return (!bind_has_bias(b, ROLE_OUTPUT, BIAS_OUTPUT, 0) ||
            bind_vector(b, &m->output_bias, ROLE_OUTPUT, PART_BIAS, 0, m->h.vocab, 1, 0)) &&
           bind_final_norm(b);
}

static bool bind_factors(struct binder *b, enum role role, float **factors) {
    struct model *m = b->m;
    char name[128];
    size_t n = m->h.rope.dim / 2;
    const struct tensor *t = look(b, role, PART_WEIGHT, 0, name);
    if (!t || !n) return true;
    t = bind_find(b, (struct place){role, PART_WEIGHT, 0, 0}, n, 1, 1);
    if (!t) return false;
    if (type_info(t->type)->quantized)
        return fail(b->e, GYR_MALFORMED, "%s: tensor '%s' is quantized; convert the model again", m->checkpoint->path,
                    name);
    if (b->looking) return true;
    float *host = *factors = malloc(n * sizeof *host);
    if (!host) return fail_memory(b->e, m->checkpoint->path);
    type_decode(t->type, t->data, 0, n, host);
    for (size_t i = 0; i < n; i++)
        if (!(host[i] > 0) && !m->hollow)
            return fail(b->e, GYR_MALFORMED, "%s: tensor '%s' has a factor that is not positive; get the file again",
                        m->checkpoint->path, name);
    return true;
}

// Factors of the rotary frequencies that a file brings as tensors.
static bool bind_rope_factors(struct binder *b) {
    float **factors = b->m->rope_factors;
    if (b->m->h.rope.scaling != ROPE_LONG) return bind_factors(b, ROLE_ROPE_FACTORS, &factors[0]);
    return bind_factors(b, ROLE_ROPE_SHORT, &factors[0]) && bind_factors(b, ROLE_ROPE_LONG, &factors[1]);
}

static bool bind_pass(struct binder *b) {
    struct model *m = b->m;
    b->side = 0;
    bool ok = bind_embedding(b) && bind_inputs(b);
    b->side = m->on.sides - 1;
    ok = ok && bind_output(b);
    binds(b, m->begins); // what is pooled is rank 0's
    ok = ok && bind_dense(b);
    binds(b, true);
    ok = ok && bind_rope_factors(b);
    b->side = 0;
    for (uint32_t i = 0; ok && i < m->h.layers; i++) {
        while (b->side + 1 < m->on.sides && i >= m->on.from[b->side + 1]) b->side++;
        binds(b, i >= m->first && i < m->end);
        ok = bind_layer(b, i);
    }
    return ok;
}

// Whether a tensor belongs to a layer behind those that are used.
static bool is_ahead(const struct model *m, struct text name) {
    uint32_t layer = 0;
    size_t i = 4;
    if (!m->h.layers_ahead || name.size < 5 || memcmp(name.data, "blk.", 4)) return false;
    for (; i < name.size && i < 10 && name.data[i] >= '0' && name.data[i] <= '9'; i++)
        layer = layer * 10 + (uint32_t)(name.data[i] - '0');
    return i < name.size && name.data[i] == '.' && layer >= m->h.layers;
}

// What old converters made of buffers of frequencies, and no layer reads.
static bool is_buffer(struct text name) {
    static const char part[] = "attn_rot_embd";
    return memmem(name.data, name.size, part, sizeof part - 1);
}

// A tensor that nothing reads means that the model is not what it was taken for.
static bool all_found(const struct model *m, const bool *found, gyr_error *e) {
    const struct checkpoint *c = m->checkpoint;
    bool gguf = c->source == CHECKPOINT_GGUF;
    for (size_t i = 0; i < c->n_tensors; i++)
        if (!found[i] && !(gguf ? is_ahead(m, c->tensors[i].name) || is_buffer(c->tensors[i].name)
                                : bind_needless(m, c->tensors[i].name)))
            return fail(e, GYR_UNSUPPORTED, "%s: tensor '%.*s' has no place in a model of the %s", c->path,
                        (int)(c->tensors[i].name.size > 60 ? 60 : c->tensors[i].name.size), c->tensors[i].name.data,
                        m->family->kind);
    return true;
}

// Every side has room for all vectors, and reads those of its layers.
static bool make_vectors(struct model *m, size_t n, gyr_error *e) {
    bool ok = true;
    for (uint32_t k = 0; ok && k < m->on.sides; k++)
        ok = (m->vectors[k] = m->on.device[k]->ops->alloc(m->on.device[k], n * sizeof(float), e));
    return ok;
}

static void write_vectors(struct model *m, const float *host, size_t n) {
    for (uint32_t k = 0; k < m->on.sides; k++)
        m->on.device[k]->ops->write(m->on.device[k], m->vectors[k], host, n * sizeof *host);
}

bool bind_model(struct model *m, bool look_only, const struct cut *cut, gyr_error *e) {
    m->layers = calloc(m->h.layers, sizeof *m->layers);
    bool *found = calloc(m->checkpoint->n_tensors + 1, sizeof *found);
    struct binder look = {.m = m, .e = e, .all_looking = true, .looking = true, .found = found},
                  bind = {.m = m, .e = e};
    m->end = m->h.layers;
    m->begins = m->gives = true;
    m->keeps_states = m->h.state_layers;
    bool ok = m->layers && found ? bind_pass(&look) && all_found(m, found, e) : fail_memory(e, m->checkpoint->path);
    free(found);
    if (!ok || look_only || (cut && !cut_layers(m, cut, e)) || !sharing_fits(m, e)) return ok && look_only;
    m->rewritten = calloc(look.rewritten + 1, sizeof *m->rewritten);
    bind.host = malloc((look.used + 1) * sizeof *bind.host);
    ok = (m->rewritten && bind.host) || fail_memory(e, m->checkpoint->path);
    ok = ok && make_vectors(m, look.used, e) && bind_pass(&bind);
    if (ok) write_vectors(m, bind.host, look.used);
    free(bind.host);
    if (!ok) return false;
    const struct layer *first = &m->layers[m->first < m->end ? m->first : 0];
    m->type = first->plan.attends ? first->attn_out.w.type : first->state.out.w.type;
    return true;
}
