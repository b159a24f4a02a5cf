// Private to src/model: a pass that goes through several ranks, each with some of the layers: the stream of the rows is
// handed from one to the next, and what is wanted goes back from the last to rank 0. Each rank sends one parcel a pass,
// whatever happens: what it has made, or why it has made nothing, which those behind pass on. So a pass always ends,
// and the next one finds nothing of it.
#ifndef MODEL_RELAY_H
#define MODEL_RELAY_H

#include "cluster/ranks.h"

struct pass;
struct relay;

struct relay *relay_new(struct ranks *ranks, gyr_error *e);
void relay_free(struct relay *l);

// The stream that a pass begins with here; and what it has become, to the next rank.
bool relay_take(struct relay *l, struct pass *p, gyr_error *e);
bool relay_hand(struct relay *l, struct pass *p, gyr_error *e);

// The end of a pass behind rank 0: if it failed before it took its stream, that is dropped, so that the next pass does
// not find it.
void relay_end(struct relay *l);

// In their place, why there is none.
bool relay_fail(struct relay *l, const gyr_error *why, gyr_error *e);

// On the last rank: what is wanted, to rank 0.
bool relay_give(struct relay *l, const float *out, size_t floats, gyr_error *e);

// On rank 0: so much is to come, and where to. NULL: it is not wanted any more.
void relay_expect(struct relay *l, float *out, size_t floats);

// On rank 0: waits for all that is to come. False with the first error of those passes.
bool relay_settle(struct relay *l, gyr_error *e);

// Whether so many passes are on their way that another one is better asked for later.
bool relay_full(const struct relay *l);

#endif
