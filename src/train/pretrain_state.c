// A checkpoint of training: all numbers, the two averages of their gradients, and the losses so far.
#include "train/pretrain.h"

// Everything that the bytes of the result depend on: the beginning, the texts as tokens, the options. What is measured
// changes nothing.
static uint64_t training(const struct gyr_train *t) {
    const gyr_train_options *o = &t->o;
    double reals[] = {o->learning_rate, o->warmup, o->weight_decay, o->clip};
    uint64_t wholes[] = {o->epochs,    o->batch, o->context,       o->schedule,
                         o->optimizer, o->seed,  t->texts.n_items, t->begins};
    uint64_t h = state_mix(state_mix(2, reals, sizeof reals), wholes, sizeof wholes);
    if (o->products) h = state_mix(h, &o->products, sizeof o->products);
    h = state_mix(h, t->texts.ids, t->texts.n * sizeof *t->texts.ids);
    for (size_t i = 0; i < t->texts.n_items; i++) h = state_mix(h, &t->texts.items[i].n, sizeof(size_t));
    return h;
}

static struct state state_of(const struct gyr_train *t) {
    size_t n = t->w->n;
    return (struct state){.path = t->state,
                          .magic = "gyrwhol",
                          .training = training(t),
                          .steps = t->steps,
                          .done = t->done,
                          .numbers = n,
                          .part = {{t->w->numbers, n}, {t->mean, n}, {t->square, n}, {t->history, 2 * t->steps}}};
}

bool pretrain_save(const struct gyr_train *t, gyr_error *e) {
    struct state s = state_of(t);
    return state_save(&s, e);
}

bool pretrain_load(struct gyr_train *t, gyr_error *e) {
    struct state s = state_of(t);
    if (!state_load(&s, e)) return false;
    t->done = s.done;
    return true;
}

// What is measured has to be the same all the same: ranks do it together.
bool pretrain_share(struct gyr_train *t, gyr_error *e) {
    struct state s = state_of(t);
    uint64_t also = state_mix(t->o.valid_steps, t->held.ids, t->held.n * sizeof *t->held.ids);
    if (!share_begin(t->ranks, &s, state_mix(also, &t->valid_blocks, sizeof t->valid_blocks), e)) return false;
    t->done = s.done;
    return true;
}
