// Private to src/model: the parts of a forward pass.
#ifndef MODEL_FORWARD_H
#define MODEL_FORWARD_H

#include "model/activations.h"
#include "model/describe.h"
#include "model/relay.h"
#include "model/sharing.h"

// On one side of the model; the first one's is the caller's.
struct run {
    const struct model *m;
    struct device *d;
    uint32_t side;
    struct run *next;          // on the next side
    struct crossing *crossing; // of all
    struct activations *a;
    struct desk desk;
    dfloat *index_work; // scratch of indexers
    size_t index_room, index_positions;
    dfloat *whole; // the streams and queries of texts that are longer than a batch: forward_whole.c
    size_t whole_rows;
    dfloat *adapt_work; // scratch of adapters
    size_t adapt_room;
    struct relay *relay; // of a model that is cut; NULL: it is not
};

// Scratch for the scores of a few rows that see so many positions.
bool run_index(struct run *r, size_t positions, gyr_error *e);

// Scratch for what the rows' adapters add.
bool run_adapt(struct run *r, const struct view *rows, gyr_error *e);

// The pass through one batch, on one side of the model: what every step needs.
struct pass {
    const struct run *run;
    struct pass *sides; // the passes of all sides of the model, this one among them,
    uint32_t side;      // by their numbers
    const struct model *m;
    const struct kv_cache *kv;
    struct activations *a;
    const struct device_ops *ops;
    struct device *d;
    struct description what;
    const struct view *rows; // of the n rows that are left
    size_t n;
    enum gives gives;
};

// What linear map `number` gave of the rows.
struct adapted {
    uint32_t number;
    dfloat *y;
};

// y += what the rows' adapters add to each, of x.
void forward_adapt(struct pass *p, const struct adapted *list, size_t n, const dfloat *x);

static inline void scale(struct pass *p, dfloat *x, size_t n, float by) {
    if (by != 1) p->ops->scale(p->d, x, by, n);
}

// y = Wx + b, of each row, and what an adapter adds.
static inline void linear(struct pass *p, const struct linear *l, const dfloat *x, dfloat *y) {
    p->ops->matmul(p->d, &l->w, x, p->n, l->bias, y);
    scale(p, y, p->n * l->w.rows, l->by);
    if (p->rows->n_spans) forward_adapt(p, &(struct adapted){l->number, y}, 1, x);
}

// The same of several, none of which waits for another.
struct output {
    const struct linear *l;
    dfloat *y;
};

enum { MAX_OUTPUTS = 4 };

static inline void linears(struct pass *p, const struct output *list, size_t n, const dfloat *x) {
    struct product a[MAX_OUTPUTS];
    for (size_t i = 0; i < n; i++) a[i] = (struct product){&list[i].l->w, x, p->n, list[i].l->bias, list[i].y};
    p->ops->products(p->d, a, n);
    for (size_t i = 0; i < n; i++) scale(p, list[i].y, p->n * list[i].l->w.rows, list[i].l->by);
    struct adapted all[MAX_OUTPUTS];
    for (size_t i = 0; i < n; i++) all[i] = (struct adapted){list[i].l->number, list[i].y};
    if (p->rows->n_spans) forward_adapt(p, all, n, x);
}

static inline void norm(struct pass *p, const struct norm *w, const dfloat *x, size_t rows, dfloat *y) {
    p->ops->norm(p->d, w->kind, x, w->weight, 1, w->bias, w->eps, rows, w->dim, y);
}

// What a branch reads: the stream, normed if the branch has a norm in front.
static inline const dfloat *input(struct pass *p, const struct norm *w) {
    if (!w->weight) return p->a->x;
    norm(p, w, p->a->x, p->n, p->a->normed);
    return p->a->normed;
}

// The steps of a pass: the stream that it begins with; what comes in a layer once attention has given its branch (x:
// what the MLP reads; NULL: the stream); and what is read to the host.
void forward_embed(struct pass *p);
void forward_rest(struct pass *p, const struct layer *l, const dfloat *x);
void forward_give(struct pass *p, float *out);

// The pass of that side, of the rows that are left; and the same with the stream, and what goes beside it, handed over.
struct pass *forward_beside(struct pass *p, uint32_t side);
struct pass *forward_cross(struct pass *p, uint32_t side);

// The same pass through more rows than a batch has, whose tokens see each other.
bool forward_whole(const struct pass *all, struct run *r, float *out, gyr_error *e);

// branch = what attention makes of x; this batch's keys and values go to the cache.
void forward_attention(struct pass *p, const struct layer *l, const dfloat *x);

// Its two halves: queries to a->q, keys and values to the cache; and what queries make of the cache.
void forward_remember(struct pass *p, const struct layer *l, const dfloat *x);
void forward_attend(struct pass *p, const struct layer *l);

// Latent attention: what of x goes to the cache and asks it, and a->ready = what the heads make of what they read there
// (a->mixed).
void forward_latent(struct pass *p, const struct layer *l, const dfloat *x, struct qkv *q);
void forward_values(struct pass *p, const struct layer *l);

// a->chosen = the positions that the layer's rows, and those of layers without an indexer behind it, attend to. Reads
// a->latent, what queries come from.
void forward_choice(struct pass *p, const struct layer *l, const dfloat *x);

// to = what the layer's state makes of x.
void forward_state(struct pass *p, const struct layer *l, const dfloat *x, dfloat *to);

// branch = the sum of what the layer's experts make of x.
void forward_experts(struct pass *p, const struct layer *l, const dfloat *x);

// The mixture itself, with what the rows' adapters add to its experts.
void forward_mix(struct pass *p, const struct layer *l, const struct experts *all);

// a->wide = what gates let through, with the model's activation.
void forward_gate(struct pass *p, const struct gate *g);

// Per-layer inputs: a->inputs, of all layers, and branch = what a layer lets through of its own.
void forward_inputs(struct pass *p);
void forward_input(struct pass *p, const struct layer *l);

#endif
