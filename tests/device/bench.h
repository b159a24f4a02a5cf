// kernels_test --bench: each type's product with one row, against what the machine reads from memory.
#ifndef TESTS_DEVICE_BENCH_H
#define TESTS_DEVICE_BENCH_H

int bench(const char *isa, unsigned threads, unsigned rows);

#endif
