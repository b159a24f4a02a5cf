// Choosing the next token from its logits.
#ifndef ENGINE_SAMPLER_H
#define ENGINE_SAMPLER_H

#include "base/error.h"
#include "device/host.h"
#include "engine/ranking.h"

// What one thread needs to choose a token.
struct sampler {
    size_t vocab;
    float *scores, *p;              // [vocab]; probabilities times a constant
    struct candidate *list, *spare; // [vocab]
    uint32_t *seen;                 // [vocab], all zero between calls
    float *peak, *work;             // [blocks_of(vocab)]
    host_exps *exps;
    host_peaks *peaks;
};

bool sampler_init(struct sampler *s, size_t vocab, gyr_error *e);
void sampler_free(struct sampler *s);

// GYR_USAGE, naming the value, if a setting is out of its range.
bool sampling_check(const gyr_sampling *o, size_t vocab, gyr_error *e);

// What the sampler looks back on: the sequence's tokens, of which those from `answer` on were generated in this turn.
struct history {
    const int32_t *ids;
    size_t n, answer;
};

// Whether a token is in a set of them, a bit each.
static inline bool in_mask(const uint32_t *mask, size_t id) { return mask[id / 32] >> id % 32 & 1; }

// The next token, for position h->n, out of `allowed` (NULL: all); -1 if that is empty. `logits` is [vocab] and stays
// as it is. Ties go to the smaller id.
int32_t sampler_pick(struct sampler *s, const gyr_sampling *o, const float *logits, const struct history *h,
                     const uint32_t *allowed);

#endif
