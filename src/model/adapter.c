// Binding an adapter to a model: each pair of its file is found a place by the family's names, its rows by
// adapter_rows.c; where the model has one matrix for several of the file's, their pairs become one, and where it has
// several, each gets its part.
#include "model/adapt.h"
#include "tensor/float16.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { FORM_UNIT = 64, FORM_PAGE = 2 << 20 };

struct binding {
    const struct adapter_file *f;
    const struct model *m;
    struct adapter *a;
    struct row_order from;
    uint32_t *used; // [m->adaptable]: ranks that are filled
    gyr_error *e;
};

// A pair's matrix: where it is, and which of a file's several.
struct target {
    const struct adapter_pair *pair;
    struct place at;
    uint64_t depth; // matrices that the pair is for
    size_t wide;
};

static bool refuse(const struct binding *b, const char *name, const char *what) {
    return fail(b->e, GYR_UNSUPPORTED, "%s: adapts %.100s, %s %s", b->f->c->path, name, what, b->m->family->kind);
}

static struct row_order order_of(const struct model *m, const struct layer *l) {
    return (struct row_order){m->grouped, m->pairs, l->qkv.w.rows, l->gate_up.w.rows};
}

static struct spot spot_of(const struct binding *b, const struct target *t, size_t row) {
    const struct layer *l = &b->m->layers[t->at.layer];
    struct row_order to = order_of(b->m, l);
    return adapt_spot(b->m, &l->plan, &b->from, &to, t->wide, t->at.role, row);
}

// ------------------------------------------------------------------------------------------------- shapes

static size_t rows_of(const struct model *m, const struct layer *l, const struct target *t) {
    const struct linear *own = adapt_linear(m, l, t->at.role, t->at.index);
    size_t q = (size_t)m->h.heads * l->plan.heads.head_dim * (l->plan.gates_heads ? 2 : 1);
    size_t kv = (size_t)l->plan.heads.kv_heads * l->plan.heads.head_dim;
    switch (t->at.role) {
    case ROLE_QKV: return q + 2 * kv;
    case ROLE_Q: return own ? own->w.rows : q;
    case ROLE_K:
    case ROLE_V: return kv;
    case ROLE_GATE_UP:
    case ROLE_EXPERT_GATE_UP:
    case ROLE_SHARED_GATE_UP: return 2 * t->wide;
    case ROLE_GATE:
    case ROLE_UP: return t->wide;
    default: return own ? own->w.rows : 0;
    }
}

static const struct linear *linear_of(const struct binding *b, const struct target *t, struct spot s) {
    return adapt_linear(b->m, &b->m->layers[t->at.layer], s.role, t->at.index);
}

// Of a model that is cut by layers, others have what this rank has not.
static bool is_here(const struct model *m, const struct place *at) {
    if (at->role == ROLE_INPUT_PROJECT) return m->begins;
    return at->role == ROLE_OUTPUT ? m->gives : at->layer >= m->first && at->layer < m->end;
}

// Shapes are told as the message's reader counts: inputs by outputs.
static bool fits(const struct binding *b, const struct target *t, size_t cols, size_t rows) {
    const struct adapter_pair *p = t->pair;
    if (p->a->dim[0] == cols && p->b->dim[1] == rows) return true;
    return fail(b->e, GYR_UNSUPPORTED,
                "%s: is for another model: it adapts a %.100s of %llu x %llu, and the model's is %zu x %zu",
                b->f->c->path, p->name, (unsigned long long)p->a->dim[0], (unsigned long long)p->b->dim[1], cols, rows);
}

static bool check_target(const struct binding *b, struct target *t) {
    const struct model *m = b->m;
    const struct adapter_pair *p = t->pair;
    bool experts = adapt_of_experts(t->at.role);
    if (t->at.layer < m->h.layers && !is_here(m, &t->at)) return true;
    if (t->at.role == ROLE_OUTPUT) return fits(b, t, m->output.cols, m->output.rows);
    if (t->at.layer >= m->h.layers)
        return fail(b->e, GYR_UNSUPPORTED, "%s: is for another model: it adapts %.100s, and the model has %u layers",
                    b->f->c->path, p->name, m->h.layers);
    const struct layer *l = &m->layers[t->at.layer];
    t->depth = p->a->dim[2];
    t->wide = adapt_wide(m, l, t->at.role);
    if (t->depth != 1 && (!experts || t->depth != m->h.experts || t->at.index != NO_INDEX))
        return fail(b->e, GYR_UNSUPPORTED, "%s: is for another model: it adapts %llu matrices as %.100s", b->f->c->path,
                    (unsigned long long)t->depth, p->name);
    if (t->depth != 1) t->at.index = 0;
    bool turns = m->family->state.gguf_turns && b->f->c->source != m->checkpoint->source;
    if ((l->plan.latent && t->at.role == ROLE_Q && b->from.pairs != m->pairs) || (turns && adapt_of_state(t->at.role)))
        return refuse(b, p->name, "whose rows lie otherwise in this model of the");
    const struct linear *of = linear_of(b, t, spot_of(b, t, 0));
    if (!of) return refuse(b, p->name, "which this model has not, of the");
    const struct device_ops *ops = of->w.on->ops;
    if (experts && !ops->adapts_experts)
        return fail(b->e, GYR_UNSUPPORTED, "%s: adapts experts, which device %s does not", b->f->c->path, ops->kind);
    return fits(b, t, of->w.cols, rows_of(m, l, t));
}

// A GGUF file does not say which of the kinds with its architecture it is of, and an adapter of PEFT may have the names
// of another one; where rows lie is the same for those that are tried.
static bool find_place(const struct binding *b, const char *name, struct place *at) {
    const struct family *own = b->m->family, *f;
    enum checkpoint_source from = b->f->c->source;
    if (adapt_place(b->m, own, from, name, at)) return true;
    for (size_t i = 0; from != b->m->checkpoint->source && from == CHECKPOINT_HF && (f = family_row(i)); i++)
        if (!strcmp(f->architecture, own->architecture) && f->rope.hf_pairs == own->rope.hf_pairs &&
            f->attention.hf_grouped == own->attention.hf_grouped && adapt_place(b->m, f, from, name, at))
            return true;
    return false;
}

static bool find_target(const struct binding *b, const struct adapter_pair *p, struct target *t) {
    *t = (struct target){.pair = p};
    if (!find_place(b, p->name, &t->at)) return refuse(b, p->name, "which gyr does not adapt in models of the");
    return check_target(b, t);
}

// ------------------------------------------------------------------------------------------------- numbers

// The linear maps that get a part of a pair's rows: at most three.
enum { MOST = 3 };

static size_t touched(const struct binding *b, const struct target *t, const struct linear *of[MOST]) {
    size_t n = 0;
    for (size_t r = 0; r < t->pair->b->dim[1]; r++) {
        const struct linear *l = linear_of(b, t, spot_of(b, t, r));
        size_t i = 0;
        while (i < n && of[i] != l) i++;
        if (l && i == n && n < MOST) of[n++] = l;
    }
    return n;
}

static void add_shape(struct adapter *a, uint32_t number, const struct weight *w, uint32_t rank) {
    struct lora *to = &a->of[number];
    size_t n = to->a.rows + rank;
    to->a = (struct weight){.type = TYPE_F32, .rows = n, .cols = w->cols, .on = w->on, .place = WEIGHT_WHOLE};
    to->b = (struct weight){.type = TYPE_F32, .rows = w->rows, .cols = n, .on = w->on, .place = WEIGHT_WHOLE};
}

// Copies a pair's rows behind the `used` rows of its linear's: into a as they are, into b beside the others' columns.
static void add_numbers(const struct binding *b, const struct target *t, const struct linear *of, size_t used) {
    const struct adapter_pair *p = t->pair;
    const struct lora *to = &b->a->of[of ? of->number : ADAPTS_OUTPUT];
    size_t cols = to->a.cols, rank = p->rank, all = to->a.rows, rows = p->b->dim[1];
    uint64_t expert = p->a->dim[2] > 1 ? t->at.index : 0;
    float *a = (float *)(uintptr_t)to->a.data + used * cols, *out = (float *)(uintptr_t)to->b.data + used;
    tensor_decode(p->a, expert * rank * cols, rank * cols, a);
    for (size_t r = 0; r < rows; r++) {
        struct spot s = of ? spot_of(b, t, r) : (struct spot){ROLE_OUTPUT, r};
        if (of && linear_of(b, t, s) != of) continue;
        float *row = out + s.row * all, by = (float)p->scale;
        tensor_decode(p->b, (expert * rows + r) * rank, rank, row);
        // The part that a row is of tells its multiplier, also where the model has it in one matrix with others.
        by *= of ? adapter_multiplier(b->m, s.role) : 1;
        for (size_t k = 0; k < rank; k++) row[k] *= by;
    }
}

// Every matrix that a pair is for, the experts' one after the other.
typedef bool pair_fn(struct binding *b, const struct target *t, const struct linear *of);

static bool each_target(struct binding *b, pair_fn *fn) {
    for (size_t i = 0; i < b->f->n; i++) {
        struct target t;
        if (!find_target(b, &b->f->pairs[i], &t)) return false;
        if (!is_here(b->m, &t.at)) continue;
        if (t.at.role == ROLE_OUTPUT) {
            if (!fn(b, &t, NULL)) return false;
            continue;
        }
        for (uint64_t x = 0; x < t.depth; x++) {
            const struct linear *of[MOST];
            if (t.depth > 1) t.at.index = (uint32_t)x;
            size_t n = touched(b, &t, of);
            for (size_t k = 0; k < n; k++)
                if (!fn(b, &t, of[k])) return false;
        }
    }
    return true;
}

static bool count(struct binding *b, const struct target *t, const struct linear *of) {
    struct adapter *a = b->a;
    uint32_t number = of ? of->number : ADAPTS_OUTPUT;
    add_shape(a, number, of ? &of->w : &b->m->output, t->pair->rank);
    if (a->of[number].a.rows > MAX_RANK)
        return refuse(b, t->pair->name, "with ranks of more than 4096 together, in this model of the");
    if (adapt_of_experts(t->at.role)) a->experts[t->at.layer] = true;
    return true;
}

static bool fill(struct binding *b, const struct target *t, const struct linear *of) {
    uint32_t *used = &b->used[of ? of->number : ADAPTS_OUTPUT];
    add_numbers(b, t, of, *used);
    *used += t->pair->rank;
    return true;
}

// ----------------------------------------------------------------------------------------------------- all

static bool make_room(struct binding *b) {
    struct adapter *a = b->a;
    size_t n = 0;
    for (uint32_t i = 0; i < b->m->adaptable; i++) {
        const struct lora *l = &a->of[i];
        n += l->a.rows * l->a.cols + l->b.rows * l->b.cols;
        if (l->a.rows + l->b.rows > a->widest) a->widest = l->a.rows + l->b.rows;
    }
    a->n_numbers = n;
    a->numbers = calloc(n + 1, sizeof *a->numbers);
    if (!a->numbers) return fail_memory(b->e, b->f->c->path);
    float *at = a->numbers;
    for (uint32_t i = 0; i < b->m->adaptable; i++) {
        struct lora *l = &a->of[i];
        if (!l->a.rows) continue;
        l->a.data = at;
        at += l->a.rows * l->a.cols;
        l->b.data = at;
        at += l->b.rows * l->b.cols;
    }
    return true;
}

// The form of a weight that products are faster with, put where it is to stay. False: there is none.
static bool put_form(struct weight *w, uint8_t *at) {
    struct device *d = w->on;
    size_t bytes = d->ops->form_bytes(d, w);
    return bytes && d->ops->form_make(d, w) && d->ops->form_give(d, w, 0, bytes, at) && d->ops->form_take(d, w, at);
}

static size_t form_room(const struct weight *w) {
    return (w->on->ops->form_bytes(w->on, w) + FORM_UNIT - 1) / FORM_UNIT * FORM_UNIT;
}

// All forms in one piece of memory, in the order in which a pass reads them: of many adapters, each has little to read
// for a matrix, and memory sends that faster where it lies together, in large pages. Without them products are slower.
static void make_forms(struct adapter *a) {
    size_t room = 0, at = 0;
    for (uint32_t i = 0; i < a->m->adaptable; i++)
        if (a->of[i].a.rows) room += form_room(&a->of[i].a) + form_room(&a->of[i].b);
    room = (room + FORM_PAGE - 1) / FORM_PAGE * FORM_PAGE;
    if (!room || !(a->forms = aligned_alloc(FORM_PAGE, room))) return;
    madvise(a->forms, room, MADV_HUGEPAGE);
    a->form_bytes = room;
    for (uint32_t i = 0; i < a->m->adaptable; i++) {
        struct weight *both[] = {&a->of[i].a, &a->of[i].b};
        for (int k = 0; a->of[i].a.rows && k < 2; k++) {
            size_t size = form_room(both[k]); // as long as it has none
            if (put_form(both[k], a->forms + at)) at += size;
        }
    }
}

static bool is_exact(enum type type, const float *x, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = bits_of_float(x[i]);
        bool same = type == TYPE_BF16 ? !(bits & 0xffff) : bits_of_float(f16_to_f32(f32_to_f16(x[i]))) == bits;
        if (!same) return false;
    }
    return true;
}

// Files often have 16 bits, and scales often are powers of two: then half as much needs to be read.
static enum type exact_in(const struct weight *w) {
    size_t n = w->rows * w->cols;
    return is_exact(TYPE_BF16, w->data, n) ? TYPE_BF16 : is_exact(TYPE_F16, w->data, n) ? TYPE_F16 : TYPE_F32;
}

static bool bind_all(struct binding *b) {
    for (uint32_t i = 0; i < b->m->adaptable; i++) {
        struct lora *l = &b->a->of[i];
        if (!l->a.rows) continue;
        l->a.exact = exact_in(&l->a);
        l->b.exact = exact_in(&l->b);
        if (l->a.rows && (!weight_bind(&l->a, l->a.on, b->e) || !weight_bind(&l->b, l->b.on, b->e))) return false;
    }
    make_forms(b->a);
    return true;
}

static bool suits(const struct binding *b) {
    const struct model *m = b->m;
    const struct checkpoint *c = b->f->c;
    bool gguf = c->source == CHECKPOINT_GGUF;
    if (gguf && strcmp(c->architecture, m->family->architecture))
        return fail(b->e, GYR_UNSUPPORTED, "%s: is for another model: its architecture is %.40s, the model's is %s",
                    c->path, c->architecture, m->family->architecture);
    if (m->h.bidirectional)
        return fail(b->e, GYR_UNSUPPORTED, "%s: gyr adapts no models whose tokens see those behind them", c->path);
    if (m->family->scale.gguf_multiplied && c->source != m->checkpoint->source)
        return fail(b->e, GYR_UNSUPPORTED,
                    "%s: is for a %s, and models of the %s have other weights there; take the model in that format",
                    c->path, gguf ? "GGUF file" : "Hugging Face folder", m->family->kind);
    return true;
}

static bool bind(struct binding *b) {
    struct adapter *a = b->a;
    a->of = calloc(b->m->adaptable + 1, sizeof *a->of);
    a->experts = calloc(b->m->h.layers + 1, sizeof *a->experts);
    b->used = calloc(b->m->adaptable + 1, sizeof *b->used);
    bool ok = (a->of && a->experts && b->used) || fail_memory(b->e, b->f->c->path);
    return ok && suits(b) && each_target(b, count) && make_room(b) && each_target(b, fill) && bind_all(b);
}

struct adapter *adapter_bind(const struct adapter_file *f, const struct model *m, gyr_error *e) {
    const struct family *family = m->family;
    bool hf = f->c->source == CHECKPOINT_HF;
    struct binding b = {.f = f, .m = m, .a = calloc(1, sizeof *b.a), .e = e};
    b.from.pairs = hf ? family->rope.hf_pairs : family->rope.gguf_pairs;
    b.from.grouped = hf && family->attention.hf_grouped;
    if (!b.a) return fail_memory(e, f->c->path), NULL;
    b.a->m = m;
    bool ok = bind(&b);
    free(b.used);
    if (ok) return b.a;
    adapter_free(b.a);
    return NULL;
}

void adapter_free(struct adapter *a) {
    if (!a) return;
    for (uint32_t i = 0; a->of && i < a->m->adaptable; i++) {
        weight_unbind(&a->of[i].a);
        weight_unbind(&a->of[i].b);
    }
    free(a->of);
    free(a->experts);
    free(a->forms);
    free(a->numbers);
    free(a);
}

uint64_t adapter_bytes(const struct adapter *a) { return a->n_numbers * sizeof *a->numbers + a->form_bytes; }
