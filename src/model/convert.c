// Tensors are looked up by the family's Hugging Face names and written under its GGUF names, their rows in the order
// that GGUF has them. What differs is what the family's row says differs, so loading and converting have one truth.
#include "model/convert.h"

#include "model/convert_keys.h"
#include "model/convert_vocab.h"
#include "model/mixture.h"
#include "model/model.h"
#include "model/recode.h"
#include "model/unit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// A tensor to write, row by row. Where it is several matrices, an expert's each, the rows of all are counted through.
struct piece {
    char name[128];
    struct place at;        // in the folder
    const struct tensor *t; // it is of this one, or
    const float *given;     // of these numbers
    uint64_t cols, rows, dim[MAX_DIMS];
    int n_dims;
    uint64_t first;     // the source's row where it begins, where several are one
    uint64_t each;      // rows of one matrix
    uint64_t all, step; // not 0: the source is [matrix][cols][all], and every so manieth of all is ours
    uint64_t apart;     // not 0: rows from one matrix to the next in the source, where more lies between them
    bool indexed;       // each matrix is a tensor of its own
    bool grouped, paired, unit;
    float plus;
    enum type to;
};

struct job {
    const gyr_convert_options *o;
    const struct mixture *mixture; // NULL: the types of the folder
    struct checkpoint *c;
    struct device *device;
    struct model *m;
    struct piece *pieces;
    size_t n, room;
    float *factors[2]; // of rotation: those in use, and LongRoPE's long ones
    struct gguf_vocab vocab;
    struct gguf_writer *w;
    struct recode_options how;
    struct recoder *recoder;
};

// What a read needs: the piece, and the model that it is of.
struct reader {
    const struct piece *p;
    const struct model *m;
};

// The row of the source that becomes row r.
static uint64_t source_row(const struct reader *s, uint64_t r) {
    const struct hyperparameters *h = &s->m->h;
    uint64_t dim = h->head_dim, in_head = r % dim;
    // Neighbours are rotated together in GGUF, an element and one half a head further on in the folder.
    if (s->p->paired) r = r - in_head + in_head % 2 * (dim / 2) + in_head / 2;
    r += s->p->first;
    if (!s->p->grouped) return r;
    // GGUF has all queries, then all keys, then all values; the folder has them group by group.
    uint64_t head = r / dim, heads = h->heads, kv = h->kv_heads, per = heads / kv;
    uint64_t of_keys = head < heads ? 0 : 1 + (head - heads) / kv;
    uint64_t group = head < heads ? head / per : (head - heads) % kv;
    uint64_t place = head < heads ? head % per : per + of_keys - 1;
    return (group * (per + 2) + place) * dim + r % dim;
}

static void read_run(const struct reader *s, uint64_t row, uint64_t col, size_t n, float *out) {
    const struct piece *p = s->p;
    const struct tensor *t = p->t;
    uint64_t matrix = row / p->each;
    if (p->indexed) {
        char name[128];
        struct place at = {p->at.role, p->at.part, p->at.layer, (uint32_t)matrix};
        t = family_tensor(s->m->family, s->m->checkpoint, at, name);
        row %= p->each;
    }
    if (p->apart && !p->all) row = matrix * p->apart + p->first + row % p->each;
    if (p->unit) {
        unit_decode(t, row, p->cols, col, n, out);
        return;
    }
    if (!p->all) {
        type_decode(t->type, t->data, (size_t)(row * p->cols + col), n, out);
        return;
    }
    uint64_t from = matrix * (p->apart ? p->apart : p->cols) * p->all + p->first + row % p->each * p->step;
    for (size_t i = 0; i < n; i++) type_decode(t->type, t->data, (size_t)(from + (col + i) * p->all), 1, out + i);
}

static void read_piece(const void *arg, uint64_t at, size_t n, float *out) {
    const struct reader *s = arg;
    const struct piece *p = s->p;
    if (p->given) {
        memcpy(out, p->given + at, n * sizeof *out);
        return;
    }
    for (size_t done = 0, k; done < n; done += k) {
        uint64_t row = (at + done) / p->cols, col = (at + done) % p->cols;
        k = n - done < p->cols - col ? n - done : (size_t)(p->cols - col);
        read_run(s, p->all || p->apart ? row : source_row(s, row), col, k, out + done);
    }
    for (size_t i = 0; i < n && p->plus != 0; i++) out[i] += p->plus;
}

static struct piece *add(struct job *j, gyr_error *e) {
    if (j->n == j->room) {
        size_t room = j->room ? 2 * j->room : 64;
        struct piece *pieces = reallocarray(j->pieces, room, sizeof *pieces);
        if (!pieces) return fail_memory(e, j->o->output), NULL;
        j->pieces = pieces;
        j->room = room;
    }
    j->pieces[j->n] = (struct piece){.n_dims = 1, .cols = 1, .rows = 1, .each = 1, .dim = {1, 1, 1, 1}};
    return &j->pieces[j->n++];
}

// What roles are. Routers and the like are small and stay as precise as they can be.
enum { IS_NORM = 1, IS_LINEAR = 2, IS_ROTATED = 4, IS_FUSED = 8, IS_FINE = 16 };
static const unsigned char kind_of[ROLE_COUNT] = {
    [ROLE_POSITIONS] = IS_FINE,
    [ROLE_FINAL_NORM] = IS_NORM | IS_FINE,
    [ROLE_ATTN_NORM] = IS_NORM | IS_FINE,
    [ROLE_ATTN_POST_NORM] = IS_NORM | IS_FINE,
    [ROLE_MLP_NORM] = IS_NORM | IS_FINE,
    [ROLE_MLP_POST_NORM] = IS_NORM | IS_FINE,
    [ROLE_Q_NORM] = IS_NORM | IS_FINE,
    [ROLE_K_NORM] = IS_NORM | IS_FINE,
    [ROLE_Q_A_NORM] = IS_FINE,
    [ROLE_KV_A_NORM] = IS_FINE,
    [ROLE_QKV] = IS_LINEAR | IS_FUSED,
    [ROLE_Q] = IS_LINEAR | IS_ROTATED,
    [ROLE_K] = IS_LINEAR | IS_ROTATED,
    [ROLE_V] = IS_LINEAR,
    [ROLE_ATTN_OUT] = IS_LINEAR,
    [ROLE_GATE_UP] = IS_LINEAR,
    [ROLE_GATE] = IS_LINEAR,
    [ROLE_UP] = IS_LINEAR,
    [ROLE_DOWN] = IS_LINEAR,
    [ROLE_ROUTER] = IS_FINE,
    [ROLE_SHARED_ROUTER] = IS_FINE,
};

enum { MAX_INDEX = 1 << 16 };

// Number of tensors that the folder has for one of GGUF's; 0 where a name is not for several.
static uint64_t count_indexed(const struct job *j, struct place at) {
    char name[128];
    if (!family_indexed(j->m->family, CHECKPOINT_HF, at.role)) return 0;
    while (at.index < MAX_INDEX && family_tensor(j->m->family, j->c, at, name)) at.index++;
    return at.index;
}

// Starts the tensor of a role; `from` is where the folder has it. *out is NULL if it has none.
static bool start_piece(struct job *j, enum role role, struct place from, struct piece **out, gyr_error *e) {
    const struct family *f = j->m->family;
    char name[128], looked[128];
    const struct tensor *t = family_tensor(f, j->c, from, looked);
    *out = NULL;
    if (!t) return true;
    bool named = family_name(f, CHECKPOINT_GGUF, (struct place){role, from.part, from.layer, 0}, name);
    // The one role with two names in GGUF: queries by way of a latent vector, or straight from the input.
    if (role == ROLE_Q && f->latent && !j->m->h.q_latent)
        snprintf(name, sizeof name, "blk.%u.attn_q.weight", from.layer);
    if (!named)
        return fail(e, GYR_UNSUPPORTED, "%s: tensor '%s' has no name in GGUF files of the %s", j->c->path, looked,
                    f->kind);
    struct piece *p = *out = add(j, e);
    if (!p) return false;
    memcpy(p->name, name, sizeof name);
    p->at = from;
    p->t = t;
    return true;
}

// Sets the shape: of vectors each element is a row.
static void set_shape(struct piece *p, int n_dims, uint64_t a, uint64_t b, uint64_t c) {
    p->n_dims = n_dims;
    p->dim[0] = a;
    p->dim[1] = b;
    p->dim[2] = c;
    p->cols = n_dims < 2 ? 1 : a;
    p->rows = n_dims < 2 ? a : b * c;
    p->each = n_dims < 2 ? a : b;
}

// Adds the tensor of a role; `first` and `rows` (0: all) are the part of the source that it is.
static bool add_piece(struct job *j, enum role role, struct place from, uint64_t first, uint64_t rows, gyr_error *e) {
    const struct family *f = j->m->family;
    struct piece *p;
    if (!start_piece(j, role, from, &p, e)) return false;
    if (!p) return true;
    const struct tensor *t = p->t;
    uint64_t tensors = count_indexed(j, from);
    bool vector = t->n_dims < 2 || role == ROLE_SHARED_ROUTER;
    bool transposed = kind_of[role] & IS_LINEAR && f->hf_transposed && !vector;
    if (tensors && vector) {
        set_shape(p, 2, t->dim[0], tensors, 1);
        p->each = 1;
    } else if (tensors)
        set_shape(p, 3, t->dim[0], t->dim[1], tensors);
    else if (vector)
        set_shape(p, 1, rows ? rows : t->dim[0], 1, 1);
    else
        set_shape(p, t->n_dims, t->dim[transposed], rows ? rows : t->dim[!transposed], t->dim[2]);
    p->first = first;
    p->indexed = tensors;
    p->all = transposed ? t->dim[0] : 0;
    p->step = 1;
    p->paired = kind_of[role] & IS_ROTATED && f->gguf_pairs != f->hf_pairs && f->positions == POSITIONS_ROTARY;
    p->grouped = kind_of[from.role] & IS_FUSED && f->hf_grouped;
    p->unit = role == ROLE_OUTPUT && from.part == PART_WEIGHT && f->hf_unit_output;
    p->plus = kind_of[role] & IS_NORM && from.part == PART_WEIGHT && f->hf_norm_offset ? 1 : 0;
    return true;
}

// Adds a matrix of all experts that the folder has as [expert][in][out], its outputs `step` apart from `first` on; or
// their biases.
static bool add_columns(struct job *j, enum role role, struct place from, uint64_t first, uint64_t step, uint64_t rows,
                        gyr_error *e) {
    struct piece *p;
    if (!start_piece(j, role, from, &p, e)) return false;
    if (!p) return true;
    bool bias = from.part == PART_BIAS;
    if (bias)
        set_shape(p, 2, rows, j->m->h.experts, 1);
    else
        set_shape(p, 3, p->t->dim[1], rows, j->m->h.experts);
    if (bias) {
        p->cols = 1;
        p->rows = rows * j->m->h.experts;
        p->each = rows;
    }
    p->all = p->t->dim[0];
    p->first = first;
    p->step = step;
    return true;
}

// Latent attention: a head's key part and value lie together in the folder, and are two matrices in GGUF, the first of
// them as [latent][key part].
static bool add_latent(struct job *j, uint32_t layer, gyr_error *e) {
    const struct hyperparameters *h = &j->m->h;
    struct place at = {ROLE_KV_B, PART_WEIGHT, layer, 0};
    struct piece *k, *v;
    if (!start_piece(j, ROLE_K_B, at, &k, e)) return false;
    if (!k) return true;
    set_shape(k, 3, h->key_plain, h->kv_latent, h->heads);
    k->all = h->kv_latent;
    k->step = 1;
    k->apart = h->key_plain + h->value;
    if (!start_piece(j, ROLE_V_B, at, &v, e)) return false;
    set_shape(v, 3, h->kv_latent, h->value, h->heads);
    v->first = h->key_plain;
    v->apart = h->key_plain + h->value;
    return true;
}

// Every expert's gates and what they gate, one behind the other in the folder, are two tensors in GGUF.
static bool add_halves(struct job *j, uint32_t layer, gyr_error *e) {
    static const enum role roles[] = {ROLE_EXPERT_GATE, ROLE_EXPERT_UP};
    const struct hyperparameters *h = &j->m->h;
    struct place at = {ROLE_EXPERT_GATE_UP, PART_WEIGHT, layer, 0};
    for (uint64_t i = 0; i < 2; i++) {
        struct piece *p;
        if (!start_piece(j, roles[i], at, &p, e)) return false;
        if (!p) return true;
        set_shape(p, 3, h->hidden, h->expert_feed_forward, h->experts);
        p->first = i * h->expert_feed_forward;
        p->apart = 2 * (uint64_t)h->expert_feed_forward;
    }
    return true;
}

static bool add_experts(struct job *j, uint32_t layer, gyr_error *e) {
    const struct hyperparameters *h = &j->m->h;
    bool paired = j->m->family->hf_experts == EXPERTS_COLUMNS_PAIRED, ok = true;
    uint64_t wide = h->expert_feed_forward, step = paired ? 2 : 1;
    for (int part = PART_WEIGHT; part <= PART_BIAS && ok; part++) {
        struct place gates = {ROLE_EXPERT_GATE_UP, part, layer, 0}, down = {ROLE_EXPERT_DOWN, part, layer, 0};
        ok = add_columns(j, ROLE_EXPERT_GATE, gates, 0, step, wide, e) &&
             add_columns(j, ROLE_EXPERT_UP, gates, paired ? 1 : wide, step, wide, e) &&
             add_columns(j, ROLE_EXPERT_DOWN, down, 0, 1, h->hidden, e);
    }
    return ok;
}

// Where the folder has several matrices as one and GGUF has them apart, they are taken apart.
static bool add_fused(struct job *j, struct place at, const enum role *roles, const uint64_t *rows, int n,
                      gyr_error *e) {
    const struct family *f = j->m->family;
    struct place one = {roles[0], at.part, at.layer, 0};
    char name[128];
    bool apart = family_name(f, CHECKPOINT_GGUF, one, name) && !family_name(f, CHECKPOINT_HF, one, name);
    if (!apart) return add_piece(j, at.role, at, 0, 0, e);
    uint64_t first = 0;
    bool ok = true;
    for (int i = 0; i < n && ok; first += rows[i++]) ok = add_piece(j, roles[i], at, first, rows[i], e);
    return ok;
}

static bool add_role(struct job *j, enum role role, uint32_t layer, gyr_error *e) {
    static const enum role qkv[] = {ROLE_Q, ROLE_K, ROLE_V}, gate_up[] = {ROLE_GATE, ROLE_UP},
                           shared[] = {ROLE_SHARED_GATE, ROLE_SHARED_UP};
    const struct hyperparameters *h = &j->m->h;
    uint64_t q = (uint64_t)h->heads * h->head_dim, kv = (uint64_t)h->kv_heads * h->head_dim, wide = h->feed_forward,
             common = h->shared_feed_forward;
    bool ok = true, columns = h->experts && j->m->family->hf_experts != EXPERTS_ROWS;
    if (role == ROLE_EXPERT_GATE_UP) return columns ? add_experts(j, layer, e) : add_halves(j, layer, e);
    if (role == ROLE_KV_B) return add_latent(j, layer, e);
    if (columns && (role == ROLE_EXPERT_GATE || role == ROLE_EXPERT_UP || role == ROLE_EXPERT_DOWN)) return true;
    for (int part = PART_WEIGHT; part <= PART_BIAS && ok; part++) {
        struct place at = {role, part, layer, 0};
        if (role == ROLE_QKV)
            ok = add_fused(j, at, qkv, (uint64_t[]){q, kv, kv}, 3, e);
        else if (role == ROLE_GATE_UP)
            ok = add_fused(j, at, gate_up, (uint64_t[]){wide, wide}, 2, e);
        else if (role == ROLE_SHARED_GATE_UP)
            ok = add_fused(j, at, shared, (uint64_t[]){common, common}, 2, e);
        else
            ok = add_piece(j, role, at, 0, 0, e);
    }
    return ok;
}

static bool add_numbers(struct job *j, const char *name, const float *numbers, size_t n, gyr_error *e) {
    struct piece *p = add(j, e);
    if (!p) return false;
    snprintf(p->name, sizeof p->name, "%s", name);
    p->given = numbers;
    set_shape(p, 1, n, 1, 1);
    return true;
}

// A divisor that takes `plain` to `scaled` as exactly as a float can.
static float divisor(float plain, float scaled) {
    float best = plain / scaled, tries[] = {best, nextafterf(best, 0), nextafterf(best, INFINITY)};
    for (int i = 2; i >= 0; i--)
        if (plain / tries[i] == scaled) best = tries[i];
    return best;
}

// Llama 3's scaling is a tensor in GGUF: what each frequency is divided by.
static bool add_llama3_factors(struct job *j, gyr_error *e) {
    const struct rope *r = &j->m->h.rope;
    struct rope plain = *r;
    uint32_t n = r->dim / 2;
    float scale, *of = malloc((2 * n + 1) * sizeof *of);
    j->factors[0] = of;
    if (!of) return fail_memory(e, j->o->output);
    plain.scaling = ROPE_PLAIN;
    rope_angles(&plain, false, NULL, of, &scale);
    rope_angles(r, false, NULL, of + n, &scale);
    for (uint32_t i = 0; i < n; i++) of[i] = divisor(of[i], of[n + i]);
    return add_numbers(j, "rope_freqs.weight", of, n, e);
}

// LongRoPE's are two: for texts within the trained context, and for longer ones.
static bool add_long_factors(struct job *j, gyr_error *e) {
    static const char *const names[] = {"rope_factors_short.weight", "rope_factors_long.weight"};
    uint32_t n = j->m->h.rope.dim / 2;
    for (int i = 0; i < 2; i++) {
        const struct value *v = j->m->h.rope.factors[i];
        if (!v)
            return fail(e, GYR_MALFORMED,
                        "%s: config.json has not %u numbers as rope_parameters.%s_factor; get the file "
                        "again",
                        j->c->path, n, i ? "long" : "short");
        if (!(j->factors[i] = malloc((n + 1) * sizeof(float)))) return fail_memory(e, j->o->output);
        for (uint32_t k = 0; k < n; k++) {
            struct value x = value_at(v, k);
            j->factors[i][k] = x.kind == VALUE_UINT ? (float)x.u : (float)x.f;
        }
        if (!add_numbers(j, names[i], j->factors[i], n, e)) return false;
    }
    return true;
}

// Folders may hold a tensor under a name that the usual table gives to another role; the row says which roles there
// are.
static bool has_role(const struct job *j, enum role role) {
    const struct family *f = j->m->family;
    switch (role) {
    case ROLE_OUTPUT: return !j->m->tied;
    case ROLE_ATTN_NORM: return f->norm_place != NORM_AFTER;
    case ROLE_MLP_NORM: return f->norm_place != NORM_AFTER && !f->one_norm;
    case ROLE_ATTN_POST_NORM:
    case ROLE_MLP_POST_NORM: return f->norm_place != NORM_BEFORE;
    case ROLE_Q_NORM:
    case ROLE_K_NORM: return f->qk_norm != QK_NORM_NONE;
    default: return true;
    }
}

static bool list_pieces(struct job *j, gyr_error *e) {
    enum rope_scaling scaling = j->m->h.rope.scaling;
    bool ok = true;
    for (enum role r = ROLE_NONE + 1; r < ROLE_LAYER_FIRST && ok; r++)
        if (has_role(j, r)) ok = add_role(j, r, 0, e);
    if (ok && scaling == ROPE_LLAMA3) ok = add_llama3_factors(j, e);
    if (ok && scaling == ROPE_LONG) ok = add_long_factors(j, e);
    for (uint32_t i = 0; i < j->m->h.layers && ok; i++)
        for (enum role r = ROLE_LAYER_FIRST; r < ROLE_COUNT && ok; r++)
            if (has_role(j, r)) ok = add_role(j, r, i, e);
    return ok;
}

static void announce(struct job *j, struct piece *p, const struct mixture_facts *facts) {
    struct tensor t = {.name = {p->name, strlen(p->name)}, .type = p->t ? p->t->type : TYPE_F32, .n_dims = p->n_dims};
    memcpy(t.dim, p->dim, sizeof t.dim);
    if (p->n_dims < 2 || kind_of[p->at.role] & IS_FINE || p->at.part == PART_BIAS)
        p->to = TYPE_F32;
    else
        p->to = j->mixture ? mixture_type(j->mixture, facts, &t, j->o->pure) : t.type;
    gguf_put_tensor(j->w, p->name, p->to, p->n_dims, p->dim);
    j->how.total += type_row_bytes(t.type, p->cols * p->rows);
}

// The folder's name; that of the folder around it where its own is a commit.
static void put_name(struct job *j) {
    char *path = realpath(j->c->path, NULL), *slash = path ? strrchr(path, '/') : NULL;
    if (slash && strlen(slash + 1) == 40 && strspn(slash + 1, "0123456789abcdef") == 40) {
        *slash = 0;
        slash = strrchr(path, '/');
    }
    if (slash && slash[1]) gguf_put_cstring(j->w, "general.name", slash + 1);
    free(path);
}

static bool put_head(struct job *j, gyr_error *e) {
    const struct model *m = j->m;
    struct mixture_facts facts = {.falcon = !strcmp(m->family->architecture, "falcon"),
                                  .tied = m->tied,
                                  .layers = m->h.layers,
                                  .heads_per_kv = m->h.heads / m->h.kv_heads};
    static const uint32_t file_types[TYPE_LIMIT] = {[TYPE_F32] = 0, [TYPE_F16] = 1, [TYPE_BF16] = 32};
    gguf_put_cstring(j->w, "general.architecture", m->family->architecture);
    gguf_put_cstring(j->w, "general.type", "model");
    put_name(j);
    gguf_put_u32(j->w, "general.quantization_version", 2);
    gguf_put_u32(j->w, "general.file_type", j->mixture ? j->mixture->file_type : file_types[m->type]);
    put_hyper_keys(j->w, m);
    if (!gguf_vocab_new(&j->vocab, j->c, m->h.vocab, e)) return false;
    gguf_put_vocab(j->w, &j->vocab.v);
    for (size_t i = 0; i < j->n; i++) announce(j, &j->pieces[i], &facts);
    return gguf_writer_begin(j->w, e);
}

static bool write_piece(struct job *j, const struct piece *p, gyr_error *e) {
    struct reader r = {p, j->m};
    bool as_is = p->t && !p->indexed && !p->all && !p->apart && !p->grouped && !p->paired && !p->unit && !p->first &&
                 p->plus == 0;
    struct recode_source s = {.name = {p->name, strlen(p->name)},
                              .count = p->cols * p->rows,
                              .from = p->t ? p->t->type : TYPE_F32,
                              .as_is = as_is ? p->t->data : NULL,
                              .read = read_piece,
                              .arg = &r};
    return recode(j->recoder, j->w, &s, p->to, e);
}

static bool prepare(struct job *j, gyr_error *e) {
    const gyr_convert_options *o = j->o;
    if (!o->input || !o->output) return fail(e, GYR_USAGE, "convert: give a folder and a file to write");
    if (o->type && !(j->mixture = mixture_by_name(o->type))) return mixture_unknown(o->type, e);
    if (!(j->c = checkpoint_open(o->input, e))) return false;
    if (j->c->source != CHECKPOINT_HF)
        return fail(e, GYR_USAGE, "%s: is GGUF already; gyr quantize writes it in another type", o->input);
    const struct family *f = family_find(j->c, e);
    if (f && f->mixers != MIXERS_ATTENTION)
        return fail(e, GYR_UNSUPPORTED, "%s: gyr runs models of the %s and does not convert them yet", o->input,
                    f->kind);
    // Binding finds every tensor and checks its shape, so nothing below has to.
    j->device = device_cpu(1, NULL, e);
    if (!j->device || !(j->m = model_new(j->c, j->device, e)) || !list_pieces(j, e)) return false;
    j->how = (struct recode_options){
        .input = j->c->path, .output = o->output, .threads = o->threads, .progress = o->progress, .user = o->user};
    j->w = gguf_writer_new(o->output, e);
    return j->w && put_head(j, e) && (j->recoder = recoder_new(&j->how, e));
}

// Does the file say the same of the model as the folder? Where a family's GGUF files have no word for something, such
// as layers that are unlike those of its other models, they would say another thing.
static bool says_the_same(const struct job *j, gyr_error *e) {
    struct hyperparameters there = {0}, here = j->m->h;
    struct checkpoint *c = checkpoint_open(j->o->output, e);
    const struct family *f = c ? family_find(c, e) : NULL;
    bool ok = f && hyperparameters(f, c, &there, e),
         same = ok && here.window == there.window && here.activation == there.activation &&
                here.head_dim == there.head_dim && here.heads == there.heads && here.kv_heads == there.kv_heads &&
                here.rope.dim == there.rope.dim && here.norm_eps == there.norm_eps;
    for (uint32_t i = 0; same && i < here.layers; i++) {
        struct layer_plan a = layer_plan(j->m->family, j->c, &here, i), b = layer_plan(f, c, &there, i);
        same = a.window == b.window && a.rotated == b.rotated && a.chunked == b.chunked && a.tempered == b.tempered &&
               (!j->m->family->local_rope || a.local == b.local);
    }
    checkpoint_close(c);
    if (ok && !same)
        fail(e, GYR_UNSUPPORTED,
             "%s: its layers are not those of other models of the %s, which GGUF cannot say; run the "
             "folder as it is",
             j->c->path, j->m->family->kind);
    return same;
}

bool convert(const gyr_convert_options *o, gyr_error *e) {
    struct job j = {.o = o};
    bool ok = prepare(&j, e);
    for (size_t i = 0; ok && i < j.n; i++) ok = write_piece(&j, &j.pieces[i], e);
    if (j.w) {
        bool ended = gguf_writer_end(j.w, ok, ok ? e : NULL);
        ok = ok && ended;
    }
    if (ok && !says_the_same(&j, e)) {
        unlink(o->output);
        ok = false;
    }
    recoder_free(j.recoder);
    gguf_vocab_free(&j.vocab);
    model_free(j.m);
    if (j.device) j.device->ops->close(j.device);
    free(j.pieces);
    free(j.factors[0]);
    free(j.factors[1]);
    checkpoint_close(j.c);
    return ok;
}
