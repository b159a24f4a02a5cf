// Tables for rotary position embeddings.
#ifndef DEVICE_ROPE_H
#define DEVICE_ROPE_H

#include <stddef.h>

// Our own arithmetic throughout: the same bits on every machine.

// Fills frequency[rotary_dim / 2]: 1 / base^(2i / rotary_dim), each step rounded to float as Hugging Face's models
// compute it.
void rope_frequencies(float *frequency, size_t rotary_dim, double base);

// Fills cos and sin of position p, pair i at table[(p * pairs + i) * 2 + {0, 1}], for `positions` positions. The angle
// is p times the frequency, rounded to float; its cosine and sine are then correct to the last bit but for ties, and
// are multiplied by `scale`.
void rope_table(float *table, size_t positions, size_t pairs, const float *frequency, float scale);

// Natural logarithm of x > 0, correct to about the last bit.
double rope_ln(double x);

#endif
