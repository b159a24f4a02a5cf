// attention_test --bench: attention of one token and of a prompt, on one thread, by that thread's own time.
#ifndef TESTS_DEVICE_ATTENTION_BENCH_H
#define TESTS_DEVICE_ATTENTION_BENCH_H

int attention_bench(const char *isa);

#endif
