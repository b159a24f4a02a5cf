// Stacks that a program switches between: by hand where the chip is x86-64, which is a hundred times as fast as
// ucontext, with which others do. AddressSanitizer is told.
#ifndef TESTS_SIMT_FIBER_H
#define TESTS_SIMT_FIBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if !defined __x86_64__
#include <ucontext.h>
#endif

struct fiber {
#if defined __x86_64__
    void *sp;
#else
    ucontext_t context;
#endif
    void (*run)(void *arg); // never returns
    void *arg;
    void *stack; // NULL: the program's own
    size_t bytes;
    void *shadow; // the sanitizer's
};

// A fiber that will begin with run(arg).
void fiber_make(struct fiber *f, void *stack, size_t bytes, void (*run)(void *arg), void *arg);

// Goes on with `to`; comes back when somebody switches to `from`, which does not happen if it has ended.
void fiber_switch(struct fiber *from, struct fiber *to, bool ended);

#endif
