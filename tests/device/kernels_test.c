// Each kernel of each instruction set: the bytes of the portable one, and those of tests/device/reference.c where that
// spells the order out. `--bench [ROWS]` times the products instead; GYR_ISA chooses.
#include "device/cpu/kernels.h"

#include "bench.h"
#include "random.h"
#include "reference.h"
#include "test.h"

static const struct kernels *all[4];
static int sets;

// The portable kernels first, then what this machine has.
static void find_sets(void) {
    all[sets++] = &kernels_scalar;
#if defined(__x86_64__)
    const struct kernels *more[] = {&kernels_avx2, &kernels_avx512};
    for (int i = 0; i < 2; i++) {
        struct device *d = device_cpu(1, more[i]->isa, NULL);
        if (!d) continue;
        d->ops->close(d);
        all[sets++] = more[i];
    }
#endif
    for (int i = 0; i < sets; i++) printf("instruction set %s\n", all[i]->isa);
}

static void check_same(const char *what, const char *isa, const float *got, const float *want, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (memcmp(got + i, want + i, sizeof *got)) {
            printf("%s, %s: [%zu] is %a, not %a\n", what, isa, i, (double)got[i], (double)want[i]);
            CHECK(!"the same bytes");
            return;
        }
}

static void check_near(const char *what, double got, double want, double tolerance) {
    if (!(fabs(got - want) <= tolerance)) {
        printf("%s: %g, not %g within %g\n", what, got, want, tolerance);
        CHECK(!"near the reference");
    }
}

static void check_block(const struct qact *got, size_t s, const struct block *want) {
    CHECK(!memcmp(&got->d[s], &want->d, sizeof want->d));
    CHECK(got->sum[0][s] == want->sum[0] && got->sum[1][s] == want->sum[1]);
    for (int i = 0; i < GROUP; i++) CHECK(got->q[i / 4][s][i % 4] == want->q[i]);
}

static void quantizes(void) {
    for (size_t blocks = 1; blocks <= 40; blocks++) {
        float *x = random_floats(blocks * GROUP);
        memset(x, 0, 8 * sizeof *x);
        if (blocks % 2) memset(x, 0, GROUP * sizeof *x);
        for (int i = 0; i < GROUP && blocks % 5 == 0; i++) x[i] = (float)i * 9 * 0x1p-149f;
        struct qact *out = malloc(act_steps(blocks) * sizeof *out);
        for (int k = 0; k < sets; k++) {
            all[k]->quantize(x, blocks * GROUP, out);
            for (size_t s = 0; s < SEGMENTS; s++)
                for (size_t j = 0; j < act_steps(blocks); j++) {
                    struct block want = {0};
                    size_t b = s * blocks / 8 + j;
                    if (b < (s + 1) * blocks / 8) ref_quantize(x + b * GROUP, &want);
                    check_block(&out[j], s, &want);
                }
        }
        free(out);
        free(x);
    }
}

static void run_q(const struct kernels *k, const struct weight *w, const float *x, size_t rows, const float *bias,
                  float *y) {
    size_t steps = act_steps(w->cols / GROUP);
    struct qact *a = malloc(rows * steps * sizeof *a);
    for (size_t r = 0; r < rows; r++) k->quantize(x + r * w->cols, w->cols, a + r * steps);
    size_t half = w->rows / 2;
    k->matmul_q(w, a, rows, bias, y, w->rows, half, w->rows);
    k->matmul_q(w, a, rows, bias, y, w->rows, 0, half);
    free(a);
}

static void matmul(enum type type, size_t rows) {
    const struct type_info *info = type_info(type);
    size_t block = info->quantized ? info->block : 1, outputs = random_size(1, 5);
    struct weight w = random_weight(type, outputs, block * random_size(1, info->quantized ? 6144 / block : 1200));
    float *x = random_floats(rows * w.cols), *b = random_floats(outputs), *bias = rows % 2 ? b : NULL;
    float *want = malloc(rows * outputs * sizeof *want), *got = malloc(rows * outputs * sizeof *got);
    for (size_t r = 0; r < rows; r++)
        for (size_t o = 0; o < outputs; o++) {
            double size, exact = ref_dot(&w, o, x + r * w.cols, &size) + (bias ? (double)b[o] : 0);
            float *y = want + r * outputs + o;
            *y = (info->quantized ? ref_dot_q : ref_dot_f)(&w, o, x + r * w.cols, b[o], bias);
            // Rounding to int8 costs half a 127th of a block's greatest activation for each weight.
            if (!info->quantized) check_near(info->name, (double)*y, exact, size * 1e-5 + 1e-30);
        }
    for (int k = 0; k < sets; k++) {
        memset(got, 255, rows * outputs * sizeof *got);
        if (info->quantized)
            run_q(all[k], &w, x, rows, bias, got);
        else
            all[k]->matmul_f(&w, x, rows, bias, got, outputs, 0, outputs);
        check_same(info->name, all[k]->isa, got, want, rows * outputs);
    }
    free(x);
    free(b);
    free(want);
    free(got);
    free((void *)w.data);
}

static void matmuls(void) {
    static const size_t rows[] = {1, 1, 1, 2, 3, 4, 5, 7, 8, 63, 64, 65, 130};
    for (uint32_t t = 0; t < TYPE_LIMIT; t++)
        for (size_t i = 0; type_info(t) && i < sizeof rows / sizeof *rows; i++) matmul((enum type)t, rows[i]);
}

// With activations that int8 holds exactly, the quantized product is the exact one up to float's rounding.
static void matmul_q_is_exact_on_integers(void) {
    for (uint32_t t = 0; t < TYPE_LIMIT; t++) {
        if (!type_info(t) || !type_info(t)->quantized) continue;
        struct weight w = random_weight((enum type)t, 3, 256 * random_size(1, 9));
        float *x = random_floats(w.cols), y[3];
        for (size_t i = 0; i < w.cols; i++)
            x[i] = i % GROUP ? (float)((int)(random_bits() % 255) - 127) : random_bits() % 2 ? 127 : -127;
        for (int k = 0; k < sets; k++) {
            run_q(all[k], &w, x, 1, NULL, y);
            for (int o = 0; o < 3; o++) {
                double size, exact = ref_dot(&w, (size_t)o, x, &size);
                check_near(type_info(t)->name, (double)y[o], exact, size * 2e-6);
            }
        }
        free(x);
        free((void *)w.data);
    }
}

// The largest codes and activations of either sign: where a byte product could saturate.
static void extremes(void) {
    for (uint32_t t = 0; t < TYPE_LIMIT; t++) {
        if (!type_info(t) || !type_info(t)->quantized) continue;
        for (int fill = 0; fill < 256; fill += fill == 127 ? 1 : 127) {
            size_t cols = 2048, bytes = type_row_bytes((enum type)t, cols);
            uint8_t *p = malloc(bytes);
            float *x = malloc(cols * sizeof *x), want, got;
            for (size_t i = 0; i < bytes; i++) p[i] = (uint8_t)fill;
            for (size_t i = 0; i < bytes; i += type_info(t)->bytes) // scales of 1 wherever they are
                for (size_t k = 0; k < 4; k++) {
                    size_t at = k < 2 ? k : (size_t)type_info(t)->bytes - 4 + k, low = type_info(t)->block == 32;
                    if (t == TYPE_Q4_K || t == TYPE_Q5_K || t == TYPE_IQ4_XS || low ? k < 2 : k >= 2)
                        p[i + at] = k % 2 ? 0x3c : 0;
                }
            struct weight w = {(enum type)t, 1, cols, p, NULL};
            for (int sign = 0; sign < 3; sign++) {
                for (size_t i = 0; i < cols; i++) x[i] = sign == 0 || (sign == 1 && i % 2) ? 127 : -127;
                want = ref_dot_q(&w, 0, x, 0, false);
                for (int k = 0; k < sets; k++) {
                    run_q(all[k], &w, x, 1, NULL, &got);
                    if (!isnan(want)) check_same(type_info(t)->name, all[k]->isa, &got, &want, 1);
                }
            }
            free(x);
            free(p);
        }
    }
}

static void norms(void) {
    for (int i = 0; i < 300; i++) {
        size_t dim = i < 40 ? (size_t)i + 1 : random_size(1, 3000);
        enum norm_kind kind = i % 2 ? NORM_RMS : NORM_LAYER;
        float *x = random_floats(dim), *w = random_floats(dim), *b = i % 3 ? random_floats(dim) : NULL;
        float *want = malloc(dim * sizeof *want), *got = malloc(dim * sizeof *got);
        double *near = malloc(dim * sizeof *near);
        ref_norm(kind, x, w, b, 1e-5f, dim, near);
        kernels_scalar.norm(kind, x, w, b, 1e-5f, dim, want);
        for (size_t k = 0; k < dim; k++)
            check_near("norm", (double)want[k], near[k], 2e-5 * (1 + fabs((double)w[k])) * (1 + fabs(near[k])));
        for (int k = 1; k < sets; k++) {
            all[k]->norm(kind, x, w, b, 1e-5f, dim, got);
            check_same("norm", all[k]->isa, got, want, dim);
        }
        free(x);
        free(w);
        free(b);
        free(want);
        free(got);
        free(near);
    }
}

static void elementwise(void) {
    static const enum activation kinds[] = {ACT_GELU, ACT_GELU_TANH, ACT_SILU, ACT_RELU};
    static const float odd[] = {INFINITY, -INFINITY, 3e38f, -3e38f, 88.7f, -88.7f, 1, -1, 0.65f, 1e-45f};
    for (size_t n = 0; n < 200; n++) {
        float *x = random_floats(n), *y = random_floats(n);
        for (size_t i = 0; i < n; i++) x[i] = i < 10 && n > 100 ? odd[i] : x[i] * 4;
        float *want = malloc(n * sizeof *want + 1), *got = malloc(n * sizeof *got + 1);
        for (int kind = 0; kind < 5; kind++)
            for (int k = 0; k < sets; k++) {
                float *z = k ? got : want;
                memcpy(z, x, n * sizeof *x);
                if (kind < 4)
                    all[k]->activate(kinds[kind], z, n);
                else
                    all[k]->add(z, y, n);
                for (size_t i = 0; i < n; i++)
                    if (isnan(z[i])) z[i] = NAN;
                check_same("elementwise", all[k]->isa, z, want, n);
            }
        free(x);
        free(y);
        free(want);
        free(got);
    }
}

int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "--bench"))
        return bench(getenv("GYR_ISA"), 0, argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 1);
    find_sets();
    RUN(quantizes);
    RUN(matmuls);
    RUN(matmul_q_is_exact_on_integers);
    RUN(extremes);
    RUN(norms);
    RUN(elementwise);
    return test_end();
}
