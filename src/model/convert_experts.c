// The experts of a layer, which GGUF has as one tensor of gates, one of what they gate (or one of both), and one behind
// them.
#include "model/convert_job.h"

// Adds a matrix of all experts that the folder has as [expert][in][out], its outputs `step` apart from `first` on; or
// their biases. Blocks with their scales apart lie as [expert][out][in].
static bool add_columns(struct job *j, enum role role, struct place from, uint64_t first, uint64_t step, uint64_t rows,
                        gyr_error *e) {
    struct piece *p;
    if (!convert_start(j, role, from, &p, e)) return false;
    if (!p) return true;
    bool bias = from.part == PART_BIAS;
    p->first = first;
    if (p->t->scales) {
        convert_shape(p, 3, p->t->dim[0], rows, j->m->h.experts);
        p->apart = p->t->dim[1];
        p->every = step;
        return true;
    }
    if (bias)
        convert_shape(p, 2, rows, j->m->h.experts, 1);
    else
        convert_shape(p, 3, p->t->dim[1], rows, j->m->h.experts);
    if (bias) {
        p->cols = 1;
        p->rows = rows * j->m->h.experts;
        p->each = rows;
    }
    p->all = p->t->dim[0];
    p->step = step;
    return true;
}

// Half of a tensor whose rows are each expert's gates, then what they gate.
static bool add_half(struct job *j, enum role role, struct place from, uint64_t first, uint64_t rows, gyr_error *e) {
    struct piece *p;
    if (!convert_start(j, role, from, &p, e)) return false;
    if (!p) return true;
    convert_shape(p, 3, p->t->dim[0], rows, j->m->h.experts);
    p->first = first;
    p->apart = p->t->dim[1];
    return true;
}

bool convert_list_experts(struct job *j, uint32_t layer, gyr_error *e) {
    const struct hyperparameters *h = &j->m->h;
    struct place both = {ROLE_EXPERT_GATE_UP, PART_WEIGHT, layer, 0};
    char name[128];
    if (!family_name(j->m->family, CHECKPOINT_GGUF, (struct place){ROLE_EXPERT_GATE, PART_WEIGHT, layer, 0}, name))
        return convert_add(j, ROLE_EXPERT_GATE_UP, both, 0, 0, e);
    if (j->m->family->experts.hf_layout == EXPERTS_ROWS)
        return add_half(j, ROLE_EXPERT_GATE, both, 0, h->expert_feed_forward, e) &&
               add_half(j, ROLE_EXPERT_UP, both, h->expert_feed_forward, h->expert_feed_forward, e);
    bool paired = j->m->family->experts.hf_layout == EXPERTS_COLUMNS_PAIRED, ok = true;
    uint64_t wide = h->expert_feed_forward, step = paired ? 2 : 1;
    for (int part = PART_WEIGHT; part <= PART_BIAS && ok; part++) {
        struct place gates = {ROLE_EXPERT_GATE_UP, part, layer, 0}, down = {ROLE_EXPERT_DOWN, part, layer, 0};
        ok = add_columns(j, ROLE_EXPERT_GATE, gates, 0, step, wide, e) &&
             add_columns(j, ROLE_EXPERT_UP, gates, paired ? 1 : wide, step, wide, e) &&
             add_columns(j, ROLE_EXPERT_DOWN, down, 0, 1, h->hidden, e);
    }
    return ok;
}
