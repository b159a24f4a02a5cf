// Natural logarithms of the tokens' probabilities, from the scores as the model gives them. Defined as the arithmetic
// of the model is (docs/arithmetic.md): the same bytes on every machine.
#ifndef ENGINE_LOGPROB_H
#define ENGINE_LOGPROB_H

#include "device/host.h"

#include <stddef.h>
#include <stdint.h>

struct log_softmax {
    float best;    // the highest score
    float log_sum; // ln of the sum of e^(score - best)
};

// A NaN counts as -infinity. Of scores that are all -infinity, each is as likely as the others; so are several that are
// +infinity. `work` is [n].
struct log_softmax log_softmax(host_exps *exps, const float *logits, size_t n, float *work);
float log_softmax_at(const struct log_softmax *s, float logit);

// The k likeliest tokens, k <= n, best first; of equals the smaller id first.
void likeliest(const float *logits, size_t n, int32_t *ids, size_t k);

#endif
