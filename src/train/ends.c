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

double cross_entropy(size_t rows, size_t vocab, const float *logits, const int32_t *target, const float *weight,
                     float by, float *dlogits) {
    host_exps *exps = host_exps_here();
    double loss = 0;
    for (size_t r = 0; r < rows; r++, logits += vocab, dlogits += vocab) {
        float most = -INFINITY, sum = 0, odd = 0; // odd: 0, or NaN where a logit is no number
        if (weight[r] == 0) {
            memset(dlogits, 0, vocab * sizeof *dlogits);
            continue;
        }
        for (size_t i = 0; i < vocab; i++) {
            most = logits[i] > most ? logits[i] : most;
            odd += logits[i] - logits[i];
        }
        exps(logits, vocab, most, 1, -INFINITY, dlogits);
        for (size_t i = 0; i < vocab; i++) sum += dlogits[i];
        loss += (double)weight[r] * ((double)log_f(sum) - (double)(logits[target[r]] - most + odd));
        for (size_t i = 0; i < vocab; i++) dlogits[i] = dlogits[i] / sum * weight[r] * by;
        dlogits[target[r]] -= weight[r] * by;
    }
    return loss;
}
