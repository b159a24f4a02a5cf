// Multiply-adds from registers alone, as fast as this instruction set does them: what a product is measured against.
#include "device/cpu/isa.h"
#include "device/cpu/wide.h"

// Keeps the compiler from knowing what a vector holds.
#define OPAQUE(v) __asm__ volatile("" : "+m"(v))

double KERNEL(roof_int8)(size_t n) {
    w32 acc[WIDE_CHAINS], a = w32_zero();
    w8 u = w8_load(&a);
    OPAQUE(u);
    OPAQUE(a);
    for (int k = 0; k < WIDE_CHAINS; k++) acc[k] = a;
    for (size_t i = 0; i < n; i++) UNROLL(16)
    for (int k = 0; k < WIDE_CHAINS; k++) acc[k] = w32_dot(acc[k], u, a);
    OPAQUE(acc);
    return 2.0 * 64 * WIDE_CHAINS * (double)n;
}

double KERNEL(roof_fp32)(size_t n) {
    wf acc[WIDE_CHAINS], a = wf_fill(0), b = a;
    OPAQUE(a);
    OPAQUE(b);
    for (int k = 0; k < WIDE_CHAINS; k++) acc[k] = a;
    for (size_t i = 0; i < n; i++) UNROLL(16)
    for (int k = 0; k < WIDE_CHAINS; k++) acc[k] = wf_fma(a, b, acc[k]);
    OPAQUE(acc);
    return 2.0 * 16 * WIDE_CHAINS * (double)n;
}

#if defined(__AVX512BF16__)
double KERNEL(roof_bf16)(size_t n) {
    wf acc[WIDE_CHAINS];
    w32 a = w32_zero();
    w8 w = w8_load(&a);
    OPAQUE(w);
    OPAQUE(a);
    for (int k = 0; k < WIDE_CHAINS; k++) acc[k] = wf_fill(0);
    for (size_t i = 0; i < n; i++) UNROLL(16)
    for (int k = 0; k < WIDE_CHAINS; k++) acc[k] = wf_dot2(acc[k], w, a);
    OPAQUE(acc);
    return 2.0 * 32 * WIDE_CHAINS * (double)n;
}
#else
double KERNEL(roof_bf16)(size_t n) { return KERNEL(roof_fp32)(n); }
#endif
