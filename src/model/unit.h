// Private to src/model: a matrix's rows as they are when each has length 1 (the output of Baichuan 2, 2023: a token's
// score is the cosine of its row and the state, times the state's length).
#ifndef MODEL_UNIT_H
#define MODEL_UNIT_H

#include "format/checkpoint.h"

// Elements [col, col + n) of row `row` of a matrix of `cols` columns that is not quantized.
void unit_decode(const struct tensor *t, size_t row, size_t cols, size_t col, size_t n, float *out);

#endif
