#include "base/threads.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

// A loop is published by raising `loop`; workers spin for a moment before they sleep, because the next loop of a
// forward pass is microseconds away.
struct pool {
    unsigned threads;
    pthread_t *handles;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    atomic_uint loop, sleeping, working;
    atomic_bool stop;
    atomic_size_t next;
    size_t n;
    void (*fn)(void *, size_t);
    void *arg;
};

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

static void wait_for_loop(struct pool *p, unsigned seen) {
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load(&p->loop) != seen) return;
        relax();
    }
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->sleeping, 1);
    while (atomic_load(&p->loop) == seen) pthread_cond_wait(&p->wake, &p->lock);
    atomic_fetch_sub(&p->sleeping, 1);
    pthread_mutex_unlock(&p->lock);
}

static void *work(void *arg) {
    struct pool *p = arg;
    for (unsigned seen = 0;; seen++) {
        wait_for_loop(p, seen);
        if (atomic_load(&p->stop)) return NULL;
        share(p);
        atomic_fetch_sub(&p->working, 1);
    }
}

static void publish(struct pool *p) {
    atomic_fetch_add(&p->loop, 1);
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
    atomic_store(&p->working, p->threads - 1);
    publish(p);
    share(p);
    for (int i = 0; atomic_load(&p->working); i++) {
        if (i < SPINS)
            relax();
        else
            sched_yield();
    }
}
