// The operations that are a kernel over slices: how each is cut. A cut never changes a result.
#include <stdlib.h>

#include "device/cpu/cpu.h"

enum { OUTPUTS = 32, ROWS = 64, SCRATCH = 16 << 20 };

static size_t pieces(size_t n, size_t size) { return n / size + (n % size != 0); }
static size_t min(size_t a, size_t b) { return a < b ? a : b; }

// Bytes of one quantized row of activations.
static size_t act_bytes(size_t cols) { return act_steps(cols / GROUP) * sizeof(struct qact); }

bool cpu_bind(struct device *d, struct weight *w, gyr_error *e) {
    struct cpu *c = cpu_of(d);
    const struct type_info *info = type_info(w->type);
    size_t row = info ? type_row_bytes(w->type, w->cols) : 0, all;
    if (!row || __builtin_mul_overflow(row, w->rows, &all))
        return fail(e, GYR_MALFORMED, "a %zu x %zu matrix of type %u: not a shape this type has", w->rows, w->cols,
                    (unsigned)w->type);
    if (!info->quantized) return true;
    // A whole batch where that is small, else what a single row needs.
    size_t one = act_bytes(w->cols), want = one > SCRATCH / ROWS ? (one > SCRATCH ? one : SCRATCH) : one * ROWS;
    if (want <= c->scratch_bytes) return true;
    struct qact *scratch = aligned_alloc(64, (want + 63) / 64 * 64);
    if (!scratch) return fail_memory(e, "activations");
    free(c->scratch);
    c->scratch = scratch;
    c->scratch_bytes = want;
    return true;
}

struct product {
    const struct cpu *cpu;
    const struct weight *w;
    const float *x, *bias;
    size_t rows;
    float *y;
};

static void quantize_row(void *arg, size_t r) {
    const struct product *p = arg;
    size_t cols = p->w->cols;
    p->cpu->kernels->quantize(p->x + r * cols, cols, p->cpu->scratch + r * act_steps(cols / GROUP));
}

static void outputs_q(void *arg, size_t i) {
    const struct product *p = arg;
    p->cpu->kernels->matmul_q(p->w, p->cpu->scratch, p->rows, p->bias, p->y, p->w->rows, i * OUTPUTS,
                              min((i + 1) * OUTPUTS, p->w->rows));
}

static void outputs_f(void *arg, size_t i) {
    const struct product *p = arg;
    p->cpu->kernels->matmul_f(p->w, p->x, p->rows, p->bias, p->y, p->w->rows, i * OUTPUTS,
                              min((i + 1) * OUTPUTS, p->w->rows));
}

void cpu_matmul(struct device *d, const struct weight *w, const float *x, size_t rows, const float *bias, float *y) {
    struct cpu *c = cpu_of(d);
    bool quantized = type_info(w->type)->quantized;
    size_t batch = quantized ? min(ROWS, c->scratch_bytes / act_bytes(w->cols)) : ROWS;
    for (size_t r = 0; r < rows; r += batch) {
        struct product p = {c, w, x + r * w->cols, bias, min(batch, rows - r), y + r * w->rows};
        if (quantized) pool_run(c->pool, p.rows, quantize_row, &p);
        pool_run(c->pool, pieces(w->rows, OUTPUTS), quantized ? outputs_q : outputs_f, &p);
    }
}
