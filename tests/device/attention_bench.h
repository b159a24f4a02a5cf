// attention_test --bench: attention of one token and of a prompt, on one thread, by that thread's own time.
#ifndef TESTS_DEVICE_ATTENTION_BENCH_H
#define TESTS_DEVICE_ATTENTION_BENCH_H

// `only` is the number of a shape; NULL: all.
int attention_bench(const char *isa, const char *only);

#endif
