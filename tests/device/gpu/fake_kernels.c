// Kernels for the stand-in's cards, as a library of them has it: GYR_FAKE_KERNELS.
#include <stddef.h>

struct fill_args {
    float *x;
    size_t n;
    float value;
};

__attribute__((visibility("default"))) void thrice(const unsigned grid[3], const unsigned block[3], unsigned shared,
                                                   const void *args) {
    const struct fill_args *a = args;
    for (size_t i = 0; i < a->n && i < (size_t)grid[0] * block[0]; i++) a->x[i] *= 3;
}

struct move_args {
    const float *x;
    float *y;
    size_t x_row, y_row, n;
};

__attribute__((visibility("default"))) void move_rows(const unsigned grid[3], const unsigned block[3], unsigned shared,
                                                      const void *args) {
    const struct move_args *a = args;
    for (size_t r = 0; r < grid[0]; r++)
        for (size_t i = 0; i < a->n && i < (size_t)grid[1] * block[0]; i++)
            a->y[r * a->y_row + i] = a->x[r * a->x_row + i];
}
