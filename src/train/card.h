// Private to src/train: linear maps of an example on the devices where the model's weights are, if these have memory of
// their own and sums() (device/device.h): cards. The bytes are those of linear.c, each sum in the same order, so any of
// them may be the host's. A card that fails is left alone from then on, and has changed nothing: what it was to compute
// the host computes.
//
// Between card_begin() and card_end() maps are asked for and not waited for: what they read stays as it is, and what
// they write is there after card_end(). What several of them read crosses once, and so does what they add to.
#ifndef TRAIN_CARD_H
#define TRAIN_CARD_H

#include "train/ops.h"

struct model;

// Of a model on no such device NULL, without an error.
struct card *card_new(const struct model *m, gyr_error *e);
void card_free(struct card *c);

// What a card said first that failed, for which the host did its work; NULL: none did.
const char *card_failed(const struct card *c);

// Whether the map is one for a card; false: it is the host's.
bool card_has(const struct linear_op *o);

void card_begin(struct card *c);
bool card_end(struct card *c, gyr_error *e);

// Waits for what was asked for so far; for who writes to what maps that were asked for read or write.
bool card_settle(struct card *c, gyr_error *e);

// linear_forward() of a map that card_has().
bool card_forward(const struct linear_op *o, const float *x, float *y, float *saved, gyr_error *e);

// linear_backward() likewise. dx is written, or added to what is there, or to zeros, whatever is there.
enum card_dx { DX_IS, DX_MORE, DX_ONTO_ZEROS };
bool card_backward(const struct linear_op *o, const float *x, const float *saved, const float *dy, float *dx,
                   enum card_dx how, float *da, float *db, gyr_error *e);

// attention_forward() and attention_backward() on a card, where that has them: one that sees all rows before each, with
// nothing added to its scores. False: it is the host's, and nothing has changed.
struct device;
bool card_attend(struct card *c, const struct device *d, const struct attention_op *o, const float *q, const float *k,
                 const float *v, float *y, float *saved);
bool card_attend_back(struct card *c, const struct device *d, const struct attention_op *o, const float *q,
                      const float *k, const float *v, const float *y, const float *saved, const float *dy, float *dq,
                      float *dk, float *dv);

// An MLP whose maps are all one card's: of `in` all of it, keeping there what its way back needs (of its pairs here),
// which is then to be asked for by the same layer. False: it is the host's, and nothing has changed; behind a way
// forward that was the card's, that has to be computed again.
enum { MLP_GATE, MLP_UP, MLP_DOWN };
struct card_mlp {
    bool gated;
    enum unit unit;
    struct linear_op gate, up, down;
    float *kept_gate, *kept_up, *kept_down;
    float *da[3], *db[3]; // of the way back
};
bool card_mlp(const struct card_mlp *m, uint32_t layer, const float *in, float *out);
bool card_mlp_back(const struct card_mlp *m, uint32_t layer, const float *in, const float *dout, float *dx);

// Memory of the host that cards reach without a copy in between, garbage at first: for what maps write. Without a card
// it is malloc()'s. NULL: there is none.
float *card_memory(struct card *c, size_t floats);
void card_memory_free(struct card *c, float *room);

#endif
