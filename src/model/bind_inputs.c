// Binding the parts of per-layer inputs.
#include "model/bind.h"

bool bind_inputs(struct binder *b) {
    struct model *m = b->m;
    size_t all = (size_t)m->h.layers * m->h.layer_input;
    if (!all) return true;
    m->inputs.norm = (struct norm){.kind = m->family->norms.kind, .eps = m->h.norm_eps, .dim = m->h.layer_input};
    if (!bind_linear(b, &m->inputs.table, ROLE_INPUT_TABLE, 0, 0, all, m->h.vocab)) return false;
    if (!b->looking) m->decode_bytes -= type_row_bytes(m->inputs.table.w.type, all) * (m->h.vocab - 1);
    return bind_linear(b, &m->inputs.project, ROLE_INPUT_PROJECT, 0, 0, m->h.hidden, all) &&
           bind_vector(b, &m->inputs.norm.weight, ROLE_INPUT_NORM, PART_WEIGHT, 0, m->h.layer_input, 1, 0);
}

bool bind_input(struct binder *b, struct layer *l, uint32_t i) {
    const struct hyperparameters *h = &b->m->h;
    return !h->layer_input || (bind_linear(b, &l->input_gate, ROLE_INPUT_GATE, 0, i, h->hidden, h->layer_input) &&
                               bind_linear(b, &l->input_out, ROLE_INPUT_OUT, 0, i, h->layer_input, h->hidden) &&
                               bind_norm(b, &l->input_post_norm, ROLE_INPUT_POST_NORM, i));
}
