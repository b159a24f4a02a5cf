#include "base/threads.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

// A loop is open while it has tasks to give. Workers join an open loop and leave it; its caller works too, closes it
// when the tasks are given out, and waits only for those who joined. So a worker whose CPU is busy with something else
// delays nobody: others have done its share. Workers spin for a moment before they sleep, because the next loop of a
// forward pass is microseconds away.
struct pool {
    unsigned threads;
    pthread_t *handles;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    atomic_uint_fast64_t state; // number of the loop << 32 | OPEN | workers in it
    atomic_uint sleeping;
    atomic_bool stop;
    atomic_size_t next;
    size_t n;
    void (*fn)(void *, size_t);
    void *arg;
};

static const uint64_t OPEN = 1u << 31, JOINED = (1u << 31) - 1;

enum { SPINS = 4000 };

static void relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void share(struct pool *p) {
    size_t i;
    while ((i = atomic_fetch_add(&p->next, 1)) < p->n) p->fn(p->arg, i);
}

static uint32_t loop_of(struct pool *p) { return (uint32_t)(atomic_load(&p->state) >> 32); }

static void wait_for_loop(struct pool *p, uint32_t seen) {
    for (int i = 0; i < SPINS; i++) {
        if (loop_of(p) != seen) return;
        relax();
    }
    // Closing publishes a loop too. Who woke for the one before may have joined that, and waits for a next one.
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->sleeping, 1);
    while (loop_of(p) == seen && !atomic_load(&p->stop)) pthread_cond_wait(&p->wake, &p->lock);
    atomic_fetch_sub(&p->sleeping, 1);
    pthread_mutex_unlock(&p->lock);
}

// False if the loop was closed before this worker came. *loop receives its number.
static bool join(struct pool *p, uint32_t *loop) {
    uint_fast64_t state = atomic_load(&p->state);
    while (state & OPEN && !atomic_compare_exchange_weak(&p->state, &state, state + 1)) {}
    *loop = (uint32_t)(state >> 32);
    return state & OPEN;
}

static void *work(void *arg) {
    struct pool *p = arg;
    for (uint32_t seen = 0;;) {
        wait_for_loop(p, seen);
        if (atomic_load(&p->stop)) return NULL;
        if (!join(p, &seen)) continue;
        share(p);
        atomic_fetch_sub(&p->state, 1);
    }
}

static void publish(struct pool *p) {
    uint64_t loop = loop_of(p) + 1u;
    atomic_store(&p->state, (loop & UINT32_MAX) << 32 | OPEN);
    if (!atomic_load(&p->sleeping)) return;
    pthread_mutex_lock(&p->lock);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
}

unsigned cpu_count(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set)) return 1;
    int n = CPU_COUNT(&set);
    return n > 0 ? (unsigned)n : 1;
}

unsigned pool_threads(const struct pool *p) { return p->threads; }

void pool_free(struct pool *p) {
    if (!p) return;
    atomic_store(&p->stop, true);
    publish(p);
    for (unsigned i = 0; i + 1 < p->threads; i++) pthread_join(p->handles[i], NULL);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    free(p->handles);
    free(p);
}

// Signals that come from outside (Ctrl-C, a new window size) are for the program's own threads: delivered to a worker,
// they would not interrupt what the program waits in. A worker inherits the mask of its maker.
static int start_worker(struct pool *p) {
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT};
    sigset_t none, before;
    sigfillset(&none);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) sigdelset(&none, faults[i]);
    pthread_sigmask(SIG_SETMASK, &none, &before);
    int why = pthread_create(&p->handles[p->threads - 1], NULL, work, p);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return why;
}

struct pool *pool_new(unsigned threads, gyr_error *e) {
    if (!threads) threads = cpu_count();
    if (threads > 1024) return fail_null(e, GYR_USAGE, "%u threads: choose at most 1024", threads);
    struct pool *p = calloc(1, sizeof *p);
    if (p) p->handles = calloc(threads, sizeof *p->handles);
    if (!p || !p->handles) {
        free(p);
        return fail_memory(e, "threads"), NULL;
    }
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    p->threads = 1;
    while (p->threads < threads) {
        if (start_worker(p)) {
            pool_free(p);
            return fail_null(e, GYR_FAILED, "cannot start %u threads; choose fewer with --threads", threads);
        }
        p->threads++;
    }
    return p;
}

void pool_run(struct pool *p, size_t n, void (*fn)(void *, size_t), void *arg) {
    if (p->threads == 1 || n <= 1) {
        for (size_t i = 0; i < n; i++) fn(arg, i);
        return;
    }
    p->n = n;
    p->fn = fn;
    p->arg = arg;
    atomic_store(&p->next, 0);
    publish(p);
    share(p);
    atomic_fetch_and(&p->state, ~OPEN);
    for (int i = 0; atomic_load(&p->state) & JOINED; i++) {
        if (i < SPINS)
            relax();
        else
            sched_yield();
    }
}
