// A decoder whose adapter is trained: loss and gradients of an example, through the model's own weights, which
// stay as they are and are never decoded as a whole.
#ifndef TRAIN_TRAINEE_H
#define TRAIN_TRAINEE_H

#include "base/threads.h"
#include "model/model.h"

// The linear maps of a layer, as the model has them. Behind these come those of its experts: gate, up and down of the
// first, then of the second, and so on.
enum slot {
    SLOT_QKV,
    SLOT_Q,
    SLOT_K,
    SLOT_V,
    SLOT_OUT,
    SLOT_Q_A,
    SLOT_KV_A,
    SLOT_GATE_UP,
    SLOT_GATE,
    SLOT_UP,
    SLOT_DOWN,
    SLOT_SHARED_GATE,
    SLOT_SHARED_UP,
    SLOT_SHARED_DOWN,
    SLOT_STATE_IN,
    SLOT_STATE_X,
    SLOT_STATE_DT,
    SLOT_STATE_GATE,
    SLOT_STATE_ALPHA,
    SLOT_STATE_BETA,
    SLOT_STATE_OUT,
    SLOT_ROUTER,
    SLOT_SHARED_ROUTER,
    SLOTS,
};
enum { NO_SLOT = (int)(~0u >> 1) };

// A pair of one of them: where its numbers lie among all, a [rank][in] and b [out][rank].
struct trained {
    size_t a, b, rank;
    float scale;
};

struct trainee;

// The model must outlive it. GYR_UNSUPPORTED, naming what, where the model does something that has no gradient here.
struct trainee *trainee_new(const struct model *m, unsigned threads, gyr_error *e);
void trainee_free(struct trainee *t);

// Slots of a layer, those of experts among them.
unsigned trainee_slots(const struct trainee *t);

// Gives a linear map a pair; rank 0: none. False if the layer has no such map.
bool trainee_adapt(struct trainee *t, uint32_t layer, unsigned slot, size_t rank, float scale);

// From here on sums over the width of linear maps are of integers of 16 bits (ops.h). GYR_UNSUPPORTED on a card.
bool trainee_shorts(struct trainee *t, gyr_error *e);

// The shape of a slot's map: 0 inputs if there is none.
void trainee_shape(const struct trainee *t, uint32_t layer, unsigned slot, size_t *in, size_t *out);
const struct trained *trainee_pair(const struct trainee *t, uint32_t layer, unsigned slot);

// The model's own; NULL: the layer has none.
const struct linear *trainee_linear(const struct trainee *t, uint32_t layer, unsigned slot);

struct pool *trainee_pool(const struct trainee *t);

// What a card said first that was to compute linear maps; NULL: none failed.
const char *trainee_card_failed(const struct trainee *t);

// Numbers of all pairs.
size_t trainee_numbers(const struct trainee *t);

// From here on an example takes no more memory than that, or as little as it can: of layers, the first, what they keep
// is computed again on the way back, to the same bytes.
void trainee_bound(struct trainee *t, size_t bytes);

// Examples will have up to n tokens: their memory is taken once, which on a card's machine takes long.
void trainee_expect(struct trainee *t, size_t n);

// Bytes of memory that an example of n tokens takes, and the layers that are computed again (NULL: not wanted).
size_t trainee_bytes(const struct trainee *t, size_t n, uint32_t *again);

// Of an example: the sum over its n tokens but the last of weight[i] * -ln p(ids[i + 1]), and of the weights of those
// that the model finds likeliest.
struct told {
    double loss, right;
    double margin; // of a pair of answers alone (prefer.h)
};

// Numbers NULL: the model without pairs. Gradients of the loss times `by` are added to `gradients`, as the numbers lie;
// NULL: they are not wanted. What comes out does not depend on the number of threads.
bool trainee_example(struct trainee *t, const float *numbers, const int32_t *ids, const float *weight, size_t n,
                     float by, struct told *told, float *gradients, gyr_error *e);

#endif
