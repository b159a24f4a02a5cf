// Per-layer inputs (Gemma 3n and 4, Google DeepMind, 2025 and 2026): beside its embedding, a token has a narrow vector
// for each layer, from a table of its own and from the embedding; a layer's output is joined by what it lets through of
// that vector. The table is looked up and never multiplied, so it may stay on disk.
#include "model/forward.h"

#include <math.h>

static const float half_root = 0x1.6a09e6p-1f; // of the mean of two: 1 / sqrt(2)

// a->inputs = each row's vectors, of all layers; a->x are the rows' scaled embeddings.
void forward_inputs(struct pass *p) {
    const struct model *m = p->m;
    struct activations *a = p->a;
    size_t width = m->h.layer_input, all = m->h.layers * width;
    p->ops->embed(p->d, &m->inputs.table.w, p->what.tokens, p->n, a->looked_up);
    p->ops->scale(p->d, a->looked_up, sqrtf((float)width), p->n * all);
    linear(p, &m->inputs.project, a->x, a->inputs);
    p->ops->scale(p->d, a->inputs, (float)(1 / sqrt((double)m->h.hidden)), p->n * all);
    norm(p, &m->inputs.norm, a->inputs, p->n * m->h.layers, a->inputs);
    p->ops->add(p->d, a->inputs, a->looked_up, p->n * all);
    p->ops->scale(p->d, a->inputs, half_root, p->n * all);
}

// branch = what the layer lets through of its input.
void forward_input(struct pass *p, const struct layer *l) {
    const struct model *m = p->m;
    struct activations *a = p->a;
    size_t width = m->h.layer_input;
    dfloat *gate = a->let_through, *own = gate + p->n * width;
    linear(p, &l->input_gate, a->x, gate);
    p->ops->move(p->d, a->inputs + l->plan.number * width, m->h.layers * width, own, width, p->n, width);
    p->ops->gate(p->d, &(struct gate){m->h.activation, p->n, width, width, gate, own, a->looked_up});
    linear(p, &l->input_out, a->looked_up, a->branch);
}
