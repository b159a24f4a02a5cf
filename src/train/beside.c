// Two branches of a layer side by side, whose sum goes on: attention beside a state (Zuo et al., "Falcon-H1", 2025),
// and experts beside an MLP, each under norms of its own (Google DeepMind, "Gemma 4", 2026).
#include "train/example.h"

// ----------------------------------------------------------------------------------------- attention beside a state

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
    if (!recall(x, i, in, w, out) || !attend_run(x, i, read_by_attention(x, i, in), w, w->beside[0])) return false;
    step_add(x, out, 1, w->beside[0], out, n);
    return true;
}

bool both_back(struct example *x, uint32_t i, const float *in, const float *dout, struct scratch *w, float *dx) {
    size_t n = x->rows * x->hidden;
    step_clear(x, w->beside[0], n);
    if (!recall_back(x, i, in, dout, w, dx) || !attend_back(x, i, read_by_attention(x, i, in), dout, w, w->beside[0]))
        return false;
    step_add(x, dx, scale_of(x), w->beside[0], dx, n);
    return true;
}

// ------------------------------------------------------------------------------------------ experts beside an MLP

void feed_both_lay_out(struct example *x, uint32_t i) {
    struct kept_beside *k = &x->kept[i].beside;
    float **all[] = {&k->dense, &k->read, &k->asked, &k->given},
          **saved[] = {&k->dense_saved, &k->read_saved, &k->asked_saved, &k->given_saved};
    mix_lay_out(x, i);
    for (int n = 0; n < 4; n++) {
        *all[n] = example_room(x, x->rows * x->hidden);
        *saved[n] = example_room(x, 2 * x->rows);
    }
}

bool feed_both(struct example *x, uint32_t i, const float *in, struct scratch *w, float *out) {
    const struct host_layer *l = &x->t->layers[i];
    struct kept_beside *k = &x->kept[i].beside;
    const float *stream = x->kept[i].mid;
    if (!mlp_run(x, i, in, w, k->dense)) return false;
    step_norm(x, &l->dense_post, k->dense, out, k->dense_saved);
    step_norm(x, &l->expert, stream, k->read, k->read_saved);
    step_norm(x, &l->router, stream, k->asked, k->asked_saved);
    if (!mix(x, i, k->read, k->asked, w, k->given)) return false;
    step_norm(x, &l->expert_post, k->given, w->beside[0], k->given_saved);
    step_add(x, out, 1, w->beside[0], out, x->rows * x->hidden);
    return true;
}

bool feed_both_back(struct example *x, uint32_t i, const float *in, const float *dout, struct scratch *w, float *dx) {
    const struct host_layer *l = &x->t->layers[i];
    struct kept_beside *k = &x->kept[i].beside;
    const float *stream = x->kept[i].mid;
    float *dgiven = w->beside[0], *dread = w->beside[1], *dasked = w->beside[2];
    for (int n = 0; n < 3; n++) step_clear(x, w->beside[n], x->rows * x->hidden);
    step_norm_back(x, &l->dense_post, k->dense, k->dense_saved, dout, w->some, dread);
    if (!mlp_back(x, i, in, dread, w, dx)) return false;
    step_clear(x, dread, x->rows * x->hidden);
    step_norm_back(x, &l->expert_post, k->given, k->given_saved, dout, w->some, dgiven);
    if (!mix_back(x, i, k->read, k->asked, dgiven, w, dread, dasked)) return false;
    step_norm_back(x, &l->expert, stream, k->read_saved, dread, w->some, w->dx);
    step_norm_back(x, &l->router, stream, k->asked_saved, dasked, w->some, w->dx);
    return true;
}
