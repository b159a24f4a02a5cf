#include "fiber.h"

#include "test.h"

enum { TOP = 8192 };

#ifdef TEST_SANITIZED
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>

// The scheduler's stack is known once a fiber was begun from it.
static void begin(struct fiber *from, const struct fiber *to, bool ended) {
    __sanitizer_start_switch_fiber(ended ? NULL : &from->shadow, to->stack, to->bytes);
}

// What the fiber before it, which never returned, left at the stack's top.
static void clean(const struct fiber *f) { __asan_unpoison_memory_region((char *)f->stack + f->bytes - TOP, TOP); }

static void end(struct fiber *now, struct fiber *before) {
    const void *stack;
    size_t bytes;
    __sanitizer_finish_switch_fiber(now->shadow, &stack, &bytes);
    if (before && !before->stack) {
        before->stack = (void *)(uintptr_t)stack;
        before->bytes = bytes;
    }
}
#else
static void begin(struct fiber *from, const struct fiber *to, bool ended) {}
static void end(struct fiber *now, struct fiber *before) {}
static void clean(const struct fiber *f) {}
#endif

static struct fiber *left, *entered; // of the switch on its way

static void start(void) {
    struct fiber *me = entered;
    end(me, left);
    me->run(me->arg);
    __builtin_trap();
}

#if defined __x86_64__
// Keeps what a called function must keep on the stack that is left; takes it from the one that is entered.
void simt_switch_stacks(void **from, void *to);
__asm__(".text\n"
        ".globl simt_switch_stacks\n"
        ".hidden simt_switch_stacks\n"
        ".type simt_switch_stacks, @function\n"
        "simt_switch_stacks:\n"
        "  pushq %rbp\n"
        "  pushq %rbx\n"
        "  pushq %r12\n"
        "  pushq %r13\n"
        "  pushq %r14\n"
        "  pushq %r15\n"
        "  movq %rsp, (%rdi)\n"
        "  movq %rsi, %rsp\n"
        "  popq %r15\n"
        "  popq %r14\n"
        "  popq %r13\n"
        "  popq %r12\n"
        "  popq %rbx\n"
        "  popq %rbp\n"
        "  ret\n"
        ".size simt_switch_stacks, . - simt_switch_stacks\n");

enum { KEPT = 6 };

// Six registers, then where to return to: start(), entered with the stack as after a call.
static void prepare(struct fiber *f) {
    uintptr_t *top = (uintptr_t *)((uintptr_t)f->stack + f->bytes) - 3;
    *top = 0;
    *--top = (uintptr_t)start;
    for (int i = 0; i < KEPT; i++) *--top = 0;
    f->sp = top;
}

static void go(struct fiber *from, struct fiber *to) { simt_switch_stacks(&from->sp, to->sp); }
#else
static void prepare(struct fiber *f) {
    getcontext(&f->context);
    f->context.uc_stack.ss_sp = f->stack;
    f->context.uc_stack.ss_size = f->bytes;
    f->context.uc_link = NULL;
    makecontext(&f->context, start, 0);
}

static void go(struct fiber *from, struct fiber *to) { swapcontext(&from->context, &to->context); }
#endif

void fiber_make(struct fiber *f, void *stack, size_t bytes, void (*run)(void *arg), void *arg) {
    f->run = run;
    f->arg = arg;
    f->stack = stack;
    f->bytes = bytes;
    f->shadow = NULL;
    clean(f);
    prepare(f);
}

void fiber_switch(struct fiber *from, struct fiber *to, bool ended) {
    begin(from, to, ended);
    left = from;
    entered = to;
    go(from, to);
    end(from, left);
}
