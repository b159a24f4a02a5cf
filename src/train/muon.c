#include "train/muon.h"
#include "train/product.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// As PyTorch's torch.optim.Muon: momentum, steps, and the polynomial that takes singular values near 1.
static const float momentum = 0.95f, a = 3.4445f, b = -4.775f, c = 2.0315f;
enum { STEPS = 5 };

// A matrix with its long side first, [tall][wide], and scratch: another one, and two of [wide][wide].
struct tall {
    size_t tall, wide;
    bool turned;
    float *x, *next, *square, *poly;
};

static bool open_tall(struct tall *t, const struct muon_matrix *m) {
    t->turned = m->rows < m->cols;
    t->tall = t->turned ? m->cols : m->rows;
    t->wide = t->turned ? m->rows : m->cols;
    size_t n = t->tall * t->wide, s = t->wide * t->wide;
    t->x = malloc((2 * n + 2 * s + 1) * sizeof *t->x);
    if (!t->x) return false;
    t->next = t->x + n;
    t->square = t->next + n;
    t->poly = t->square + s;
    return true;
}

static size_t at(const struct tall *t, const struct muon_matrix *m, size_t row, size_t col) {
    return t->turned ? col * m->rows + row : row * m->cols + col;
}

// The momentum, with a look ahead (Nesterov), made of length 1.
static void begin(const struct tall *t, const struct muon_matrix *m) {
    double sum = 0;
    for (size_t r = 0; r < m->rows; r++)
        for (size_t k = 0; k < m->cols; k++) {
            size_t i = r * m->cols + k;
            float g = m->gradient[i], u;
            m->mean[i] += (1 - momentum) * (g - m->mean[i]);
            u = g + momentum * (m->mean[i] - g);
            t->x[at(t, m, r, k)] = u;
            sum += (double)u * (double)u;
        }
    float by = (float)(1 / fmax(sqrt(sum), 1e-7));
    for (size_t i = 0; i < t->tall * t->wide; i++) t->x[i] *= by;
}

// out = the sum over rows of x' y, both [rows][n].
static bool outer(const float *x, const float *y, size_t rows, size_t n, float *out) {
    struct matmul p = {
        .x = x, .x_row = 1, .x_step = n, .w = y, .w_step = n, .y = out, .y_row = n, .n = rows, .rows = n, .cols = n};
    memset(out, 0, n * n * sizeof *out);
    return product_add(host_gradients_here(), &p);
}

// x = a x + x (b s + c s s), s = x' x.
static bool iterate(struct tall *t) {
    size_t n = t->wide;
    if (!outer(t->x, t->x, t->tall, n, t->square) || !outer(t->square, t->square, n, n, t->poly)) return false;
    for (size_t i = 0; i < n * n; i++) t->poly[i] = b * t->square[i] + c * t->poly[i];
    for (size_t i = 0; i < t->tall * n; i++) t->next[i] = a * t->x[i];
    struct matmul p = {.x = t->x,
                       .x_row = n,
                       .x_step = 1,
                       .w = t->poly,
                       .w_step = n,
                       .y = t->next,
                       .y_row = n,
                       .n = n,
                       .rows = t->tall,
                       .cols = n};
    float *was = t->x;
    t->x = t->next;
    t->next = was;
    return product_add(host_gradients_here(), &p);
}

bool muon_step(const struct muon_matrix *m, double rate, double decay, gyr_error *e) {
    struct tall t;
    if (!m->rows || !m->cols) return true;
    if (!open_tall(&t, m)) return fail_memory(e, "training");
    float *owner = t.x;
    begin(&t, m);
    for (int i = 0; i < STEPS; i++)
        if (!iterate(&t)) return free(owner), fail_memory(e, "training");
    float kept = (float)(1 - rate * decay), step = (float)(rate * 0.2 * sqrt((double)t.tall));
    for (size_t r = 0; r < m->rows; r++)
        for (size_t k = 0; k < m->cols; k++) {
            float *x = m->numbers + r * m->cols + k;
            *x = *x * kept - step * t.x[at(&t, m, r, k)];
        }
    free(owner);
    return true;
}
