// A checkpoint of fine-tuning: what is trained, and the two averages of its gradients.
#include "train/share.h"
#include "train/tune.h"

static uint64_t mix_lessons(uint64_t h, const struct lessons *all) {
    for (size_t i = 0; i < all->n; i++) {
        const struct lesson *l = &all->items[i];
        h = state_mix(state_mix(h, l->ids, l->n * sizeof *l->ids), l->weight, l->n * sizeof *l->weight);
    }
    return h;
}

// Everything that the bytes of the result depend on: the model, the examples as tokens, the options. The validation
// examples change nothing.
static uint64_t training(const struct gyr_tune *t) {
    const gyr_tune_options *o = &t->o;
    double reals[] = {o->alpha, o->learning_rate, o->warmup, o->weight_decay, o->clip};
    uint64_t wholes[] = {o->rank,      o->epochs, o->batch,     o->schedule, o->seed,
                         t->lessons.n, t->adam.n, o->optimizer, o->rslora};
    uint64_t h = state_mix(state_mix(1, t->checksum, sizeof t->checksum), reals, sizeof reals);
    if (o->products) h = state_mix(h, &o->products, sizeof o->products);
    if (o->method == GYR_METHOD_DPO) h = state_mix(h, &o->beta, sizeof o->beta);
    for (uint32_t i = 0; i < t->m->h.layers; i++)
        for (unsigned s = 0; s < trainee_slots(t->t); s++) {
            uint64_t rank = trainee_pair(t->t, i, s)->rank;
            h = state_mix(h, &rank, sizeof rank);
        }
    return mix_lessons(state_mix(h, wholes, sizeof wholes), &t->lessons);
}

static struct state state_of(const struct gyr_tune *t) {
    return (struct state){.path = t->state,
                          .magic = "gyrtune",
                          .training = training(t),
                          .steps = t->steps,
                          .done = t->adam.steps,
                          .numbers = t->adam.n,
                          .part = {{t->numbers, t->adam.n}, {t->adam.mean, t->adam.n}, {t->adam.square, t->adam.n}}};
}

bool tune_state_save(const struct gyr_tune *t, gyr_error *e) {
    struct state s = state_of(t);
    return state_save(&s, e);
}

bool tune_state_load(struct gyr_tune *t, gyr_error *e) {
    struct state s = state_of(t);
    if (!state_load(&s, e)) return false;
    t->adam.steps = s.done;
    return true;
}

bool tune_state_share(struct gyr_tune *t, gyr_error *e) {
    struct state s = state_of(t);
    uint64_t also = mix_lessons(t->valid.n, &t->valid);
    if (!share_begin(t->ranks, &s, also, e)) return false;
    t->adam.steps = s.done;
    return true;
}
