// The two ends of a decoder: embeddings, and the loss.
#include "device/elementary.h"
#include "train/ops.h"

#include <math.h>
#include <string.h>

void embed_forward(enum type type, const void *table, size_t dim, const int32_t *ids, size_t rows, float *y) {
    for (size_t r = 0; r < rows; r++)
        type_decode(type, (const char *)table + (size_t)ids[r] * type_row_bytes(type, dim), 0, dim, y + r * dim);
}

void embed_backward(size_t dim, const int32_t *ids, size_t rows, const float *dy, float *dtable) {
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < dim; i++) dtable[(size_t)ids[r] * dim + i] += dy[r * dim + i];
}

// Sums of so many lanes, which compilers make vectors of.
enum { LANES = 16 };

static float folded(float *x) {
    for (size_t n = LANES / 2; n; n /= 2)
        for (size_t i = 0; i < n; i++) x[i] += x[i + n];
    return *x;
}

// The largest of x; *odd: 0, or NaN where one of them is no number.
static float largest(const float *x, size_t n, float *odd) {
    float most[LANES], strange[LANES] = {0};
    size_t i = 0;
    for (size_t k = 0; k < LANES; k++) most[k] = -INFINITY;
    for (; i + LANES <= n; i += LANES)
        for (size_t k = 0; k < LANES; k++) {
            most[k] = x[i + k] > most[k] ? x[i + k] : most[k];
            strange[k] += x[i + k] - x[i + k];
        }
    for (size_t k = 0; i < n; i++, k++) {
        most[k] = x[i] > most[k] ? x[i] : most[k];
        strange[k] += x[i] - x[i];
    }
    for (size_t k = 1; k < LANES; k++) most[0] = most[k] > most[0] ? most[k] : most[0];
    *odd = folded(strange);
    return most[0];
}

static float total(const float *x, size_t n) {
    float sum[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t k = 0; k < LANES; k++) sum[k] += x[i + k];
    for (size_t k = 0; i < n; i++, k++) sum[k] += x[i];
    return folded(sum);
}

double cross_entropy(size_t rows, size_t vocab, const float *logits, const int32_t *target, const float *weight,
                     float by, float *dlogits) {
    host_exps *exps = host_exps_here();
    double loss = 0;
    for (size_t r = 0; r < rows; r++, logits += vocab, dlogits += vocab) {
        if (weight[r] == 0) {
            memset(dlogits, 0, vocab * sizeof *dlogits);
            continue;
        }
        float odd, most = largest(logits, vocab, &odd), right = logits[target[r]] - most + odd;
        exps(logits, vocab, most, 1, -INFINITY, dlogits);
        float sum = total(dlogits, vocab);
        loss += (double)weight[r] * ((double)log_f(sum) - (double)right);
        for (size_t i = 0; i < vocab; i++) dlogits[i] = dlogits[i] / sum * weight[r] * by;
        dlogits[target[r]] -= weight[r] * by;
    }
    return loss;
}
