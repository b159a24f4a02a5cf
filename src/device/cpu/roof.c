// Multiply-adds from registers alone, as fast as this instruction set does them: what a product is measured against.
#include "device/cpu/isa.h"
#include "device/cpu/wide.h"

// Keeps the compiler from knowing what a vector holds.
#define OPAQUE(v) __asm__ volatile("" : "+m"(v))

#ifdef AMX_HERE
double KERNEL(roof_int8)(size_t n) {
    struct tile_shape shape = {0};
    for (int i = 0; i < 8; i++) shape.bytes[i] = 64, shape.rows[i] = 16;
    tile_shape_load(&shape); // and zeros in all of them
    for (size_t i = 0; i < n; i++) {
        _tile_dpbsud(0, 4, 6);
        _tile_dpbsud(1, 4, 7);
        _tile_dpbsud(2, 5, 6);
        _tile_dpbsud(3, 5, 7);
    }
    _tile_release();
    return 2.0 * 4 * 16 * 16 * 64 * (double)n;
}
#else
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
#endif

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
