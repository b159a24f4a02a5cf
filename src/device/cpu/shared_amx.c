// AMX's products that are AVX-512's: compiling them twice would take as long again.
#include "device/cpu/isa.h"

void matmul_f_avx512(const struct weight *w, const uint32_t *x, size_t rows, const float *bias, float *y, size_t first,
                     size_t last);

void KERNEL(matmul_f)(const struct weight *w, const uint32_t *x, size_t rows, const float *bias, float *y, size_t first,
                      size_t last) {
    matmul_f_avx512(w, x, rows, bias, y, first, last);
}
