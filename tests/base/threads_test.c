// A pool's closing, at the worst moment. The pool is compiled into this test, which has a worker stop where it has
// looked whether the pool is closed, and not yet which loop is open.
#include <stdatomic.h>
#include <stdbool.h>

static bool told_to_stop(const atomic_bool *stop);

#undef atomic_load
#define atomic_load(at)                                                                                                \
    _Generic((at), atomic_bool *                                                                                       \
             : told_to_stop((const void *)(at)), default                                                               \
             : atomic_load_explicit(at, memory_order_seq_cst))
#include "base/threads.c"

#include "test.h"

static atomic_uint held; // workers that have woken for a loop, and wait there until the pool is being closed
static atomic_bool holds;
static _Thread_local bool leads;

static bool told_to_stop(const atomic_bool *stop) {
    struct pool *p = (struct pool *)((uintptr_t)stop - offsetof(struct pool, stop));
    bool is = atomic_load_explicit(stop, memory_order_seq_cst);
    uint32_t loop = loop_of(p);
    if (leads || is || !loop || !atomic_load_explicit(&holds, memory_order_seq_cst)) return is;
    atomic_fetch_add(&held, 1);
    while (loop_of(p) == loop) sched_yield();
    return is;
}

static void wait_until(atomic_uint *number, unsigned is) {
    while (atomic_load_explicit(number, memory_order_seq_cst) != is) sched_yield();
}

static void count(void *arg, size_t i) { atomic_fetch_add((atomic_uint *)arg, (unsigned)i); }

// They take the loop that closing begins for the one that they have woken for, and there is none behind it.
static void a_pool_closes_while_workers_look_for_work(void) {
    leads = true;
    for (unsigned workers = 1; workers < 8; workers++) {
        gyr_error e;
        atomic_uint sum = 0;
        struct pool *p = pool_new(workers + 1, &e);
        REQUIRE(p);
        wait_until(&p->sleeping, workers);
        atomic_store(&held, 0);
        atomic_store(&holds, true);
        pool_run(p, 9, count, &sum);
        CHECK_INT(sum, 36);
        wait_until(&held, workers);
        pool_free(p); // hangs where they go to sleep
        atomic_store(&holds, false);
    }
}

int main(void) {
    alarm(20); // what hangs, ends
    RUN(a_pool_closes_while_workers_look_for_work);
    return test_end();
}
