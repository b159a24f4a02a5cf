// What it takes to train a model, or an adapter for it, on some cards: operations, memory by part, and how layers,
// matrices, experts and examples are best shared among the cards.
#ifndef PLAN_TRAINING_H
#define PLAN_TRAINING_H

#include "plan/demand.h"
#include "plan/layout.h"

// What is to be trained, as the pass that was counted and the hyperparameters tell.
struct lesson {
    bool tune, fp8;
    double tokens, sequence, batch; // in all; of an example; of a step of the optimizer (0: what is usual)
    double usual_batch;
    double parameters, trained;  // numbers of the model, and those that change
    double expert_parameters;    // of the former
    double weight_bytes;         // of the frozen weights, where an adapter is trained
    double forward;              // operations of a token's pass
    double hidden, width, vocab; // `width`: of what lies between a layer's two halves, of all its experts
    double layers, expert_layers;
    double sent; // copies of a token that go to experts elsewhere
};

// How the cards share it.
struct sharing {
    size_t tensor, pipeline, expert, data; // tensor * pipeline * data cards; experts are shared within `data`
    enum sharded {
        SHARDS_STATES,
        SHARDS_GRADIENTS,
        SHARDS_WEIGHTS
    } sharded;                                                // each of `data` has its part alone of the
                                                              // optimizer's states, and of the others
    bool recompute;                                           // activations are computed again rather than kept
    double weights, gradients, optimizer, activations, bytes; // of the fullest card
    double seconds, compute, waiting, moving;                 // of a step: the last three add up to the first
};

struct training {
    bool fits;
    struct sharing best;
    double flop, seconds, joules; // of all of it, 0: unknown; flop without what is computed again
    double room;                  // of a card
    double slow, fast;            // bounds of the time, as multiples of it
    size_t tried;                 // layouts
};

bool lesson_of(struct lesson *l, const struct checkpoint *c, const struct demand *d, const gyr_plan_options *o,
               const struct usage *u, gyr_error *e);

// Of the cards of one kind. Settles the batch.
void training_plan(struct training *t, struct lesson *l, const struct place_for *p);

#endif
