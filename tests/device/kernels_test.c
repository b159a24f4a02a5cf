// Each kernel of each instruction set gives the bytes of the portable one (products: product_test.c). `--bench [ROWS]`
// times the products; GYR_ISA chooses.
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
    const struct kernels *more[] = {&kernels_avx2, &kernels_avx512, &kernels_amx};
#elif defined(__aarch64__)
    const struct kernels *more[] = {&kernels_neon};
#else
    const struct kernels *more[] = {&kernels_scalar};
#endif
    for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
        struct device *d = device_cpu(1, more[i]->isa, NULL);
        if (!d) continue;
        d->ops->close(d);
        all[sets++] = more[i];
    }
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
    if (argc > 1 && !strcmp(argv[1], "--bench")) {
        struct bench b = {.isa = getenv("GYR_ISA"), .rows = 1, .cols = 4096};
        if (argc > 2) b.rows = strtoul(argv[2], NULL, 10);
        if (argc > 3) b.type = argv[3];
        if (argc > 4) b.cols = strtoul(argv[4], NULL, 10);
        if (argc > 5) b.threads = (unsigned)strtoul(argv[5], NULL, 10);
        return bench(&b);
    }
    find_sets();
    RUN(norms);
    RUN(elementwise);
    return test_end();
}
