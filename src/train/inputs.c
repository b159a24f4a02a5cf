// Per-layer inputs (Gemma 4 E, Google DeepMind, 2026): a narrow vector for each token and layer, from a table and from
// the embedding; what a layer lets through of its own joins the stream at its end. (layer_inputs.c has the same in its
// order.)
#include "train/example.h"
#include "train/whole.h"

#include <math.h>
#include <string.h>

static const float half_root = 0x1.6a09e6p-1f; // of the mean of two: 1 / sqrt(2)

static size_t width_of(const struct example *x) { return x->t->m->h.layer_input; }
static size_t all_of(const struct example *x) { return x->rows * x->t->m->h.layers * width_of(x); }
static float scale_of(const struct example *x) { return (float)(1 / sqrt((double)x->hidden)); }

// ---------------------------------------------------------------------------------------------- of all layers

void inputs_lay_out(struct example *x) {
    size_t n = all_of(x), each = x->rows * x->t->m->h.layers;
    x->inputs = example_room(x, n);
    x->dinputs = example_room(x, n);
    x->inputs_in = example_room(x, n);
    x->inputs_saved = example_room(x, n ? 2 * each : 0);
    x->kept[0].narrow[SLOT_INPUT_PROJECT] = example_room(x, x->rows * x->t->layers[0].pair[SLOT_INPUT_PROJECT].rank);
}

size_t inputs_widest(const struct example *x) { return x->t->m->h.layers * width_of(x); }

bool inputs_run(struct example *x, const int32_t *ids, struct scratch *w) {
    const struct weight *table = &x->t->m->inputs.table.w;
    size_t n = all_of(x);
    if (!n) return true;
    if (!step_map(x, 0, SLOT_INPUT_PROJECT, x->kept[0].x, x->inputs_in)) return false;
    step_scale(x, scale_of(x), x->inputs_in, x->inputs_in, n);
    step_norm(x, &x->t->inputs, x->inputs_in, x->inputs, x->inputs_saved);
    const struct whole *whole = x->t->whole;
    embed_forward(whole ? TYPE_F32 : table->type, whole ? whole_at(whole, table->data) : table->data, table->cols, ids,
                  x->rows, w->a);
    step_add(x, x->inputs, sqrtf((float)width_of(x)), w->a, x->inputs, n);
    step_scale(x, half_root, x->inputs, x->inputs, n);
    if (x->gradients) step_clear(x, x->dinputs, n);
    return true;
}

bool inputs_back(struct example *x, const int32_t *ids, struct scratch *w) {
    const struct trained *p = &x->t->layers[0].pair[SLOT_INPUT_PROJECT];
    size_t n = all_of(x);
    if (!n || (!x->t->whole && !p->rank)) return true; // nothing there is trained
    step_scale(x, half_root, x->dinputs, x->dinputs, n);
    step_clear(x, w->a, n);
    step_norm_back(x, &x->t->inputs, x->inputs_in, x->inputs_saved, x->dinputs, w->b, w->a);
    step_scale(x, scale_of(x), w->a, w->a, n);
    if (!step_map_back(x, 0, SLOT_INPUT_PROJECT, x->kept[0].x, w->a, w->some, w->dx)) return false;
    if (!x->t->whole) return true;
    step_scale(x, sqrtf((float)width_of(x)), x->dinputs, x->dinputs, n);
    whole_embed(x->t->whole, &x->t->m->inputs.table.w, ids, x->rows, x->dinputs, x->gradients);
    return true;
}

// ------------------------------------------------------------------------------------------------- of a layer

void input_lay_out(struct example *x, uint32_t i) {
    struct kept_input *k = &x->kept[i].input;
    size_t n = x->rows * width_of(x);
    k->gate = example_room(x, n);
    k->own = example_room(x, n);
    k->inner = example_room(x, n);
}

bool input_run(struct example *x, uint32_t i, float *out) {
    struct kept_input *k = &x->kept[i].input;
    size_t width = width_of(x), all = inputs_widest(x);
    for (size_t r = 0; r < x->rows; r++)
        memcpy(k->own + r * width, x->inputs + r * all + i * width, width * sizeof *k->own);
    if (!step_map(x, i, SLOT_INPUT_GATE, x->kept[i].late, k->gate)) return false;
    gated_forward(x->t->unit, x->rows * width, k->gate, k->own, k->inner);
    return step_map(x, i, SLOT_INPUT_OUT, k->inner, out);
}

bool input_back(struct example *x, uint32_t i, const float *dout, struct scratch *w) {
    struct kept_input *k = &x->kept[i].input;
    size_t width = width_of(x), all = inputs_widest(x);
    float *dinner = w->a, *dgate = w->b, *down = w->c;
    step_clear(x, dinner, x->rows * width);
    if (!step_map_back(x, i, SLOT_INPUT_OUT, k->inner, dout, w->some, dinner)) return false;
    gated_backward(x->t->unit, x->rows * width, k->gate, k->own, dinner, dgate, down);
    for (size_t r = 0; r < x->rows; r++) // each layer has its own part
        memcpy(x->dinputs + r * all + i * width, down + r * width, width * sizeof *down);
    return step_map_back(x, i, SLOT_INPUT_GATE, x->kept[i].late, dgate, w->some, w->dx);
}
