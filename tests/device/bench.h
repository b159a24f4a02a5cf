// kernels_test --bench: each type's product, against what the machine reads from memory and multiplies in registers.
#ifndef TESTS_DEVICE_BENCH_H
#define TESTS_DEVICE_BENCH_H

#include <stddef.h>

struct bench {
    const char *isa, *type; // NULL: the machine's best; all types
    unsigned threads;       // 0: all; 1: timed by its own processor time
    size_t rows, cols;
};

int bench(const struct bench *b);

#endif
