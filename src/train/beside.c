// Two branches of a layer side by side, whose sum goes on: attention beside a state (Zuo et al., "Falcon-H1", 2025).
#include "train/example.h"

static float scale_of(const struct example *x) { return x->t->m->h.recurrence.attn_in; }

void both_lay_out(struct example *x, uint32_t i) {
    recall_lay_out(x, i);
    attend_lay_out(x, i);
    x->kept[i].scaled = example_room(x, scale_of(x) != 1 ? x->rows * x->hidden : 0);
}

size_t both_widest(const struct example *x, uint32_t i) {
    size_t one = recall_widest(x, i), two = attend_widest(x, i);
    return one > two ? one : two;
}

// What attention reads.
static const float *read_by_attention(const struct example *x, uint32_t i, const float *in) {
    return scale_of(x) != 1 ? x->kept[i].scaled : in;
}

bool both_run(struct example *x, uint32_t i, const float *in, struct scratch *w, float *out) {
    size_t n = x->rows * x->hidden;
    if (scale_of(x) != 1) step_scale(x, scale_of(x), in, x->kept[i].scaled, n);
    if (!recall(x, i, in, w, out) || !attend_run(x, i, read_by_attention(x, i, in), w, w->beside)) return false;
    step_add(x, out, 1, w->beside, out, n);
    return true;
}

bool both_back(struct example *x, uint32_t i, const float *in, const float *dout, struct scratch *w, float *dx) {
    size_t n = x->rows * x->hidden;
    step_clear(x, w->beside, n);
    if (!recall_back(x, i, in, dout, w, dx) || !attend_back(x, i, read_by_attention(x, i, in), dout, w, w->beside))
        return false;
    step_add(x, dx, scale_of(x), w->beside, dx, n);
    return true;
}
