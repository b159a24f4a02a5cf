#include "train/ops.h"

#include <math.h>

static size_t part_of(const struct norm_op *o, size_t r) { return o->parts > 1 ? r % o->parts * o->dim : 0; }

void norm_forward(const struct norm_op *o, const float *x, float *y, float *saved) {
    for (size_t r = 0; r < o->rows; r++, x += o->dim, y += o->dim) {
        const float *w = o->w + part_of(o, r);
        float sum = 0, squares = 0;
        for (size_t i = 0; o->mean && i < o->dim; i++) sum += x[i];
        float mean = sum / (float)o->dim;
        for (size_t i = 0; i < o->dim; i++) squares += (x[i] - mean) * (x[i] - mean);
        float inverse = 1 / sqrtf(squares / (float)o->dim + o->eps);
        for (size_t i = 0; i < o->dim; i++) y[i] = (x[i] - mean) * inverse * w[i] + (o->b ? o->b[i] : 0);
        saved[2 * r] = mean;
        saved[2 * r + 1] = inverse;
    }
}

// With h = (x - mean) * inverse and g = dy * w: dx = inverse * (g - mean(g) - h * mean(g * h)), the mean of g only
// where x's was taken off.
void norm_backward(const struct norm_op *o, const float *x, const float *saved, const float *dy, float *dx, float *dw,
                   float *db) {
    for (size_t r = 0; r < o->rows; r++, x += o->dim, dy += o->dim, dx += o->dim) {
        float mean = saved[2 * r], inverse = saved[2 * r + 1], sum = 0, along = 0;
        size_t part = part_of(o, r);
        const float *w = o->w + part;
        for (size_t i = 0; i < o->dim; i++) {
            float h = (x[i] - mean) * inverse, g = dy[i] * w[i];
            sum += g;
            along += g * h;
            if (dw) dw[part + i] += dy[i] * h;
            if (db) db[i] += dy[i];
        }
        sum = o->mean ? sum / (float)o->dim : 0;
        along /= (float)o->dim;
        for (size_t i = 0; i < o->dim; i++) {
            float h = (x[i] - mean) * inverse;
            dx[i] = inverse * (dy[i] * w[i] - sum - h * along);
        }
    }
}
