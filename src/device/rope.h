// Tables for rotary position embeddings.
#ifndef DEVICE_ROPE_H
#define DEVICE_ROPE_H

#include <stddef.h>

// Fills cos and sin of position p, pair i at table[(p * rotary_dim / 2 + i) * 2 + {0, 1}], for `positions` positions.
// The angle is p times 1 / base^(2i / rotary_dim), each step rounded to float as Hugging Face's models compute it; its
// cosine and sine are then correct to the last bit but for ties. Our own arithmetic: the same bits on every machine.
void rope_table(float *table, size_t positions, size_t rotary_dim, double base);

#endif
