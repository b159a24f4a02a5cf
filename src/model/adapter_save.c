// A bound adapter written to a file again, under the names and in the order of rows of either format.
#include "model/adapt.h"

#include "base/buf.h"
#include "format/adapter_write.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 3 }; // linear maps that one matrix of a file may be

struct save {
    const struct adapter *a;
    const struct model *m;
    enum checkpoint_source to;
    struct row_order file;
    struct adapter_matrix *list;
    size_t n, room;
    const char *path;
    gyr_error *e;
};

// A matrix as the file will have it.
struct matrix {
    const struct layer *l;
    struct place at;
    size_t rows, wide;
    uint32_t expert;
};

static bool named(const struct model *m, enum checkpoint_source source, enum role role, char name[128]) {
    return family_name(m->family, source, (struct place){role, PART_WEIGHT, 0, 0}, name);
}

// Whether the file has one matrix where others have several: as the model's own file if names allow it, and as the
// converter decides.
static bool is_one(const struct save *s, const struct matrix *x, enum role whole, enum role first) {
    char name[128];
    if (!named(s->m, s->to, first, name)) return true;
    if (!named(s->m, s->to, whole, name)) return false;
    struct place at = {whole, PART_WEIGHT, x->at.layer, 0};
    bool one = family_tensor(s->m->family, s->m->checkpoint, at, name);
    return one && (s->to == CHECKPOINT_HF || named(s->m, CHECKPOINT_HF, first, name));
}

static bool wanted(const struct save *s, const struct matrix *x) {
    char name[128];
    if (!named(s->m, s->to, x->at.role, name)) return false;
    switch (x->at.role) {
    case ROLE_QKV: return is_one(s, x, ROLE_QKV, ROLE_Q);
    case ROLE_Q: return x->l->plan.latent || !is_one(s, x, ROLE_QKV, ROLE_Q);
    case ROLE_K:
    case ROLE_V: return !x->l->plan.latent && !is_one(s, x, ROLE_QKV, ROLE_Q);
    case ROLE_GATE_UP: return is_one(s, x, ROLE_GATE_UP, ROLE_GATE);
    case ROLE_GATE:
    case ROLE_UP: return !s->m->family->mlp.gated || !is_one(s, x, ROLE_GATE_UP, ROLE_GATE);
    case ROLE_EXPERT_GATE_UP: return is_one(s, x, ROLE_EXPERT_GATE_UP, ROLE_EXPERT_GATE);
    case ROLE_SHARED_GATE_UP: return is_one(s, x, ROLE_SHARED_GATE_UP, ROLE_SHARED_GATE);
    case ROLE_SHARED_GATE:
    case ROLE_SHARED_UP: return !is_one(s, x, ROLE_SHARED_GATE_UP, ROLE_SHARED_GATE);
    case ROLE_EXPERT_GATE:
    case ROLE_EXPERT_UP: return !is_one(s, x, ROLE_EXPERT_GATE_UP, ROLE_EXPERT_GATE);
    default: return true;
    }
}

static const struct lora *lora_of(const struct save *s, const struct matrix *x, size_t row, size_t *there) {
    *there = row;
    if (x->at.role == ROLE_OUTPUT) return &s->a->of[ADAPTS_OUTPUT];
    const struct row_order bound = {s->m->grouped, s->m->pairs, x->l->qkv.w.rows, x->l->gate_up.w.rows};
    struct spot spot = adapt_spot(s->m, &x->l->plan, &s->file, &bound, x->wide, x->at.role, row);
    const struct linear *l = adapt_linear(s->m, x->l, spot.role, x->expert);
    *there = spot.row;
    return l ? &s->a->of[l->number] : NULL;
}

// The pairs that a matrix's rows have, each once, and their ranks together.
static size_t pairs_of(const struct save *s, const struct matrix *x, const struct lora *of[MOST], size_t *rank) {
    size_t n = 0, there;
    *rank = 0;
    for (size_t r = 0; r < x->rows; r++) {
        const struct lora *l = lora_of(s, x, r, &there);
        size_t i = 0;
        while (i < n && of[i] != l) i++;
        if (!l || !l->a.rows || i < n || n == MOST) continue;
        of[n++] = l;
        *rank += l->a.rows;
    }
    return n;
}

static void copy_pairs(const struct save *s, const struct matrix *x, const struct adapter_matrix *to, float *a,
                       float *b) {
    const struct lora *of[MOST];
    size_t rank, n = pairs_of(s, x, of, &rank), before = 0, there;
    for (size_t i = 0; i < n; before += of[i++]->a.rows) {
        memcpy(a + before * to->cols, of[i]->a.data, of[i]->a.rows * to->cols * sizeof *a);
        for (size_t r = 0; r < x->rows; r++) {
            if (lora_of(s, x, r, &there) != of[i]) continue;
            const float *row = (const float *)of[i]->b.data + there * of[i]->a.rows;
            memcpy(b + r * to->rank + before, row, of[i]->a.rows * sizeof *b);
        }
    }
}

// Ranks that add nothing to any of the rows are left out: those of other parts of a matrix that the model has as one.
static void drop_zeros(struct adapter_matrix *m) {
    size_t kept = 0, all = m->rank;
    for (size_t k = 0; m->experts == 1 && k < all; k++) {
        bool zero = true;
        for (size_t r = 0; r < m->rows; r++) zero &= m->b[r * all + k] == 0;
        if (zero) continue;
        memmove(m->a + kept * m->cols, m->a + k * m->cols, m->cols * sizeof *m->a);
        for (size_t r = 0; r < m->rows; r++) m->b[r * all + kept] = m->b[r * all + k];
        kept++;
    }
    if (m->experts > 1 || kept == all) return;
    for (size_t r = 0; r < m->rows; r++) memmove(m->b + r * kept, m->b + r * all, kept * sizeof *m->b);
    m->rank = kept;
}

// Of a GGUF model: whether some of the kinds that its architecture may stand for have another name for it.
static bool is_unclear(const struct save *s, struct place at, const char *name) {
    const struct family *own = s->m->family, *f;
    char other[128];
    for (size_t i = 0; s->to == CHECKPOINT_HF && s->m->checkpoint->source == CHECKPOINT_GGUF && (f = family_row(i));
         i++)
        if (!strcmp(f->architecture, own->architecture) && adapter_name(s->m, f, s->to, at, other) &&
            strcmp(other, name))
            return !fail(
                s->e, GYR_UNSUPPORTED,
                "%s: the model's file does not say whether %.100s is called so in PEFT; write GGUF, or take the "
                "model's folder",
                s->path, name);
    return false;
}

// Folders have pairs of modules; where all experts are one tensor, they have none.
static bool has_modules(const struct save *s, const struct matrix *x) {
    char one[128], two[128];
    struct place first = x->at, second = x->at;
    first.index = 0, second.index = 1;
    family_name(s->m->family, s->to, first, one);
    family_name(s->m->family, s->to, second, two);
    if (s->to == CHECKPOINT_GGUF || !adapt_of_experts(x->at.role) || strcmp(one, two)) return true;
    return fail(
        s->e, GYR_UNSUPPORTED,
        "%s: %.100s is one tensor for all experts in such models, and PEFT's folder has pairs of modules; write "
        "GGUF",
        s->path, one);
}

static bool add(struct save *s, struct matrix *x, size_t cols, size_t experts) {
    struct adapter_matrix m = {.cols = cols, .rows = x->rows, .experts = experts};
    char name[128];
    uint32_t first = x->expert;
    const struct lora *of[MOST];
    for (size_t i = 0; i < experts; i++, x->expert++) {
        size_t rank;
        pairs_of(s, x, of, &rank);
        if (rank > m.rank) m.rank = rank;
    }
    if (!m.rank) return true;
    if (s->m->family->state.gguf_turns && adapt_of_state(x->at.role) && s->to != s->m->checkpoint->source)
        return fail(s->e, GYR_UNSUPPORTED, "%s: rows of states lie otherwise in that format; write the model's own",
                    s->path);
    if (!has_modules(s, x)) return false;
    if (!ARRAY_GROW(s->list, s->n, s->room)) return fail_memory(s->e, s->path);
    x->at.index = first;
    adapter_name(s->m, s->m->family, s->to, x->at, name);
    if (is_unclear(s, x->at, name)) return false;
    m.a = calloc(experts * m.rank * cols, sizeof *m.a);
    m.b = calloc(experts * m.rank * x->rows, sizeof *m.b);
    snprintf(m.name, sizeof m.name, "%s", name);
    s->list[s->n++] = m;
    if (!m.a || !m.b) return fail_memory(s->e, s->path);
    x->expert = first;
    for (size_t i = 0; i < experts; i++, x->expert++)
        copy_pairs(s, x, &m, m.a + i * m.rank * cols, m.b + i * m.rank * x->rows);
    drop_zeros(&s->list[s->n - 1]);
    if (!s->list[s->n - 1].rank) free(m.a), free(m.b), s->n--;
    return true;
}

// How many rows a matrix of the file has, by those of the linear maps that it becomes.
static size_t count_rows(const struct save *s, const struct matrix *x, size_t *cols) {
    const struct layer *l = x->l;
    size_t kv = (size_t)l->plan.heads.kv_heads * l->plan.heads.head_dim;
    size_t q = (size_t)s->m->h.heads * l->plan.heads.head_dim * (l->plan.gates_heads ? 2 : 1);
    const struct row_order bound = {s->m->grouped, s->m->pairs, l->qkv.w.rows, l->gate_up.w.rows};
    struct spot spot = adapt_spot(s->m, &l->plan, &s->file, &bound, x->wide + !x->wide, x->at.role, 0);
    const struct linear *of = adapt_linear(s->m, l, spot.role, x->expert);
    if (!of) return 0;
    *cols = of->w.cols;
    switch (x->at.role) {
    case ROLE_QKV: return q + 2 * kv;
    case ROLE_Q: return l->plan.latent ? of->w.rows : q;
    case ROLE_K:
    case ROLE_V: return kv;
    case ROLE_GATE_UP:
    case ROLE_EXPERT_GATE_UP:
    case ROLE_SHARED_GATE_UP: return 2 * x->wide;
    case ROLE_GATE:
    case ROLE_UP: return x->wide;
    default: return of->w.rows;
    }
}

static bool add_role(struct save *s, uint32_t layer, enum role role) {
    const struct layer *l = &s->m->layers[layer];
    struct matrix x = {.l = l, .at = {role, PART_WEIGHT, layer, 0}, .wide = adapt_wide(s->m, l, role)};
    size_t cols = 0, experts = adapt_of_experts(role) && l->experts ? s->m->h.experts : 1;
    if ((adapt_of_experts(role) && !l->experts) || !wanted(s, &x) || !(x.rows = count_rows(s, &x, &cols))) return true;
    if (s->to == CHECKPOINT_GGUF) return add(s, &x, cols, experts);
    for (uint32_t i = 0; i < experts; i++) {
        x.expert = i;
        if (!add(s, &x, cols, 1)) return false;
    }
    return true;
}

static bool list_all(struct save *s) {
    struct matrix out = {.l = s->m->layers, .at = {ROLE_OUTPUT, PART_WEIGHT, 0, 0}, .rows = s->m->output.rows};
    if (!add(s, &out, s->m->output.cols, 1)) return false;
    for (uint32_t i = 0; i < s->m->h.layers; i++)
        for (size_t r = 0; r < adapt_roles_n; r++)
            if (adapt_roles[r] != ROLE_OUTPUT && !add_role(s, i, adapt_roles[r])) return false;
    return true;
}

// Where the formats have other weights, an adapter is for the one that the model has. What was read has multipliers in
// its numbers, where there are some, and what was made has none.
static bool suits(const struct save *s) {
    const struct model *m = s->m;
    if (m->family->scale.gguf_multiplied && s->to != m->checkpoint->source)
        return fail(s->e, GYR_UNSUPPORTED, "%s: models of the %s have other weights in that format; write %s", s->path,
                    m->family->kind, s->to == CHECKPOINT_GGUF ? "a folder" : "a file whose name ends in .gguf");
    return s->a->scaling.rank || !adapter_multiplies(m) ||
           fail(s->e, GYR_UNSUPPORTED, "%s: gyr writes no adapters that it has read for models of the %s", s->path,
                m->family->kind);
}

// Puts the scale into the numbers.
static void scale_all(struct save *s) {
    float by = (float)adapter_scale(&s->a->scaling);
    for (size_t i = 0; i < s->n; i++)
        for (size_t k = 0; s->list[i].b && k < s->list[i].experts * s->list[i].rows * s->list[i].rank; k++)
            s->list[i].b[k] *= by;
}

static bool save(const struct adapter *a, const char *path, bool write, gyr_error *e) {
    const struct family *f = a->m->family;
    const char *dot = strrchr(path, '.');
    bool gguf = dot && !strcmp(dot, ".gguf");
    struct save s = {.a = a, .m = a->m, .to = gguf ? CHECKPOINT_GGUF : CHECKPOINT_HF, .path = path, .e = e};
    s.file.pairs = gguf ? f->rope.gguf_pairs : f->rope.hf_pairs;
    s.file.grouped = !gguf && f->attention.hf_grouped;
    bool ok = suits(&s) && list_all(&s);
    if (gguf) scale_all(&s);
    if (ok && write)
        ok = gguf ? adapter_write_gguf(path, f->architecture, s.list, s.n, e)
                  : adapter_write_peft(path, &a->scaling, s.list, s.n, e);
    for (size_t i = 0; i < s.n; i++) {
        free(s.list[i].a);
        free(s.list[i].b);
    }
    free(s.list);
    return ok;
}

bool adapter_save(const struct adapter *a, const char *path, gyr_error *e) { return save(a, path, true, e); }

bool adapter_can_save(const struct adapter *a, const char *path, gyr_error *e) { return save(a, path, false, e); }
