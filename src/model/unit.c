#include "model/unit.h"

#include <math.h>

// The sum of squares in double, element by element, so that it does not depend on how a row is cut.
static double length(const struct tensor *t, size_t first, size_t cols) {
    double sum = 0;
    float part[256];
    for (size_t done = 0, k; done < cols; done += k) {
        k = cols - done < 256 ? cols - done : 256;
        tensor_decode(t, first + done, k, part);
        for (size_t i = 0; i < k; i++) sum += (double)part[i] * (double)part[i];
    }
    return sqrt(sum);
}

void unit_decode(const struct tensor *t, size_t row, size_t cols, size_t col, size_t n, float *out) {
    double by = length(t, row * cols, cols);
    by = by > 1e-12 ? by : 1e-12; // as transformers has it: a row of zeros stays one
    tensor_decode(t, row * cols + col, n, out);
    for (size_t i = 0; i < n; i++) out[i] = (float)((double)out[i] / by);
}
