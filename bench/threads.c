// How a forward pass would go on more threads than this machine has: the loops of a real pass are traced on one thread,
// cut as they would be for T, and handed out to T simulated ones. Checked against what one and two threads take.
//
//     build/bench-threads MODEL [T:GB/s]...      what T threads read together, where it is known
//
// What is simulated is the hand-over (base/threads.c): tasks are taken in order by whoever is free, threads come to a
// loop later than its caller, and every loop ends when the last task does. Coming and taking a task cost what they are
// measured to cost here. Tasks that read memory take
// longer where threads read less together than alone; without a figure for T, they do not.
#include "base/threads.h"
#include "base/clock.h"
#include "device/device.h"
#include "gyr.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_LOOPS = 1 << 16, MOST_TASKS = 1 << 22, MOST_THREADS = 64, PROMPT = 256, TOKENS = 12 };

struct loop {
    double before; // seconds of the caller alone since the last loop
    size_t first, n;
    bool shared; // its tasks hand out smaller ones themselves, and the first took all of them
};

static struct {
    bool on;
    unsigned threads; // that the cut is for
    struct loop loop[MOST_LOOPS];
    double task[MOST_TASKS];
    size_t loops, tasks;
    double last;
} trace;

// The linker puts this in the place of the pool's own (--wrap).
void __real_pool_run(struct pool *p, size_t n, void (*fn)(void *, size_t), void *arg);
void __wrap_pool_run(struct pool *p, size_t n, void (*fn)(void *, size_t), void *arg);

void __wrap_pool_run(struct pool *p, size_t n, void (*fn)(void *, size_t), void *arg) {
    if (!trace.on) {
        __real_pool_run(p, n, fn, arg);
        return;
    }
    double now = now_seconds(), all = 0;
    struct loop *l = &trace.loop[trace.loops < MOST_LOOPS ? trace.loops++ : MOST_LOOPS - 1];
    *l = (struct loop){.before = now - trace.last, .first = trace.tasks, .n = n};
    for (size_t i = 0; i < n; i++) {
        fn(arg, i);
        double then = now_seconds();
        if (trace.tasks < MOST_TASKS) trace.task[trace.tasks++] = then - now;
        all += then - now;
        now = then;
    }
    l->shared = n > 1 && n <= trace.threads && trace.task[l->first] > 0.95 * all;
    trace.last = now;
}

// ------------------------------------------------------------------------------- what meeting costs

static const double a_while = 5e-6;

static void busy(void *arg, size_t i) {
    for (double start = now_seconds(); now_seconds() - start < a_while;) {}
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// How much later the second of two threads comes: two tasks that take a while, side by side, take that much more.
static double coming_seconds(void) {
    enum { ROUNDS = 2001 };
    static double more[ROUNDS];
    struct pool *p = pool_new(2, NULL);
    for (int i = 0; p && i < ROUNDS; i++) {
        double start = now_seconds();
        __real_pool_run(p, 2, busy, NULL);
        more[i] = now_seconds() - start - a_while;
    }
    pool_free(p);
    qsort(more, ROUNDS, sizeof *more, by_size);
    return more[ROUNDS / 2];
}

// Two threads add to one number: what it costs to get it from the other.
static void contend(void *arg, size_t i) {
    atomic_size_t *x = arg;
    for (int k = 0; k < 100000; k++) atomic_fetch_add(x, 1);
}

static double taking_seconds(void) {
    struct pool *p = pool_new(2, NULL);
    atomic_size_t x = 0;
    double start = now_seconds();
    if (p) __real_pool_run(p, 2, contend, &x);
    double each = (now_seconds() - start) / 200000;
    pool_free(p);
    return each;
}

// ------------------------------------------------------------------------------- the simulation

struct costs {
    double come, take, slower; // of a thread; of a task; what memory makes tasks take
};

// Where the threads' time goes, in seconds of all of them together.
struct spent {
    double total;  // seconds of the pass
    double tasks;  // in tasks that several share
    double alone;  // while the caller is alone
    double hands;  // coming, and taking tasks
    double uneven; // waiting for the last task of a loop
};

// One loop: each task goes to the thread that is free first.
static void run_loop(const struct loop *l, const struct costs *c, unsigned threads, struct spent *to) {
    double free_at[MOST_THREADS] = {0}, last = 0, all = 0, come = 0;
    for (size_t i = 0; i < l->n; i++) all += trace.task[l->first + i] * c->slower;
    if (l->n <= 1 || threads == 1) {
        to->total += all;
        *(threads == 1 ? &to->tasks : &to->alone) += all * threads;
        return;
    }
    unsigned workers = l->n < threads ? (unsigned)l->n : threads;
    for (unsigned k = 1; k < workers; k++) come += free_at[k] = c->come + (k - 1) * c->take;
    for (size_t i = 0; i < l->n && !l->shared; i++) {
        unsigned t = 0;
        for (unsigned k = 1; k < workers; k++)
            if (free_at[k] < free_at[t]) t = k;
        free_at[t] += trace.task[l->first + i] * c->slower + c->take;
        last = free_at[t] > last ? free_at[t] : last;
    }
    double hands = come + (double)l->n * c->take, took = l->shared ? (all + hands) / workers : last + c->take;
    to->total += took;
    to->tasks += all;
    to->hands += hands;
    to->uneven += took * threads - all - hands;
}

static struct spent simulate(const struct costs *c, unsigned threads) {
    struct spent s = {0};
    for (size_t i = 0; i < trace.loops; i++) {
        s.total += trace.loop[i].before;
        s.alone += trace.loop[i].before * threads;
        run_loop(&trace.loop[i], c, threads, &s);
    }
    return s;
}

// ------------------------------------------------------------------------------- a real pass

struct work {
    const char *name;
    size_t prompt, tokens; // fed before, and timed: a prompt at once, or tokens one by one
};

static const struct work works[] = {{"prefill", 0, PROMPT}, {"decode", 32, TOKENS}};

// Seconds a token.
static double pass_seconds(gyr_session *s, const struct work *w, bool traced) {
    int32_t ids[PROMPT];
    for (int i = 0; i < PROMPT; i++) ids[i] = 3 + i % 50;
    gyr_session_truncate(s, 0);
    if (w->prompt) gyr_session_feed(s, ids, w->prompt, NULL, NULL);
    trace.loops = trace.tasks = 0;
    trace.on = traced;
    double start = trace.last = now_seconds();
    for (size_t i = 0; i < (w->prompt ? w->tokens : 1); i++)
        gyr_session_feed(s, ids, w->prompt ? 1 : w->tokens, NULL, NULL);
    double seconds = now_seconds() - start;
    trace.on = false;
    return seconds / (double)w->tokens;
}

static double best_seconds(gyr_session *s, const struct work *w, bool traced) {
    double best = 1e9;
    for (int i = 0; i < 5; i++) {
        double t = pass_seconds(s, w, traced);
        best = t < best ? t : best;
    }
    return best;
}

struct setup {
    const char *path;
    double come, take, read[MOST_THREADS + 1]; // read[t]: bytes per second of t threads; 0: not known
};

static bool with_threads(const struct setup *u, unsigned threads, double one[2]) {
    gyr_error e;
    gyr_model_info info;
    gyr_model *m = gyr_model_open(u->path, &(gyr_model_options){.threads = threads, .cache = true}, &e);
    gyr_session *s = m ? gyr_session_new(m, &(gyr_session_options){.context = 320}, &e) : NULL;
    if (!s) {
        printf("%s\n", e.message);
        gyr_model_close(m);
        return false;
    }
    gyr_model_get_info(m, &info);
    for (int k = 0; k < 2; k++) {
        double real = threads <= 2 ? best_seconds(s, &works[k], false) : 0;
        if (threads == 1) one[k] = real;
        double read = u->read[threads] > 0 ? u->read[threads] : threads * u->read[1];
        // The share of a token's time that one thread reads.
        double reads = k == 1 ? (double)info.decode_bytes / u->read[1] / one[1] : 0, share = reads < 1 ? reads : 1;
        double apart = threads * u->read[1] / read; // how much faster threads would read by themselves
        struct costs c = {u->come, u->take, apart > 1 ? 1 - share + share * apart : 1};
        struct spent best = {.total = 1e9};
        trace.threads = threads;
        for (int i = 0; i < 5; i++) {
            pass_seconds(s, &works[k], true);
            struct spent now = simulate(&c, threads);
            if (now.total < best.total) best = now;
        }
        size_t passes = works[k].prompt ? works[k].tokens : 1;
        double t = best.total / (double)works[k].tokens, whole = best.total * threads / 100;
        printf("%2u threads  %-8s %4zu loops %6zu tasks  %8.1f tokens/s", threads, works[k].name, trace.loops / passes,
               trace.tasks / passes, 1 / t);
        if (real > 0)
            printf(" (%8.1f measured, %+4.0f%%)", 1 / real, 100 * (real / t - 1));
        else
            printf("%27s", "");
        printf("  %5.2f times one; tasks %.0f%%, alone %.0f%%, hand-over %.0f%%, uneven %.0f%%", one[k] / t,
               best.tasks / whole, best.alone / whole, best.hands / whole, best.uneven / whole);
        if (k == 1) printf("; %.0f%% of read", 100 * (double)info.decode_bytes / t / read);
        printf("\n");
    }
    gyr_session_free(s);
    gyr_model_close(m);
    return true;
}

int main(int argc, char **argv) {
    struct setup u = {.path = argc > 1 ? argv[1] : ""};
    double one[2] = {0};
    for (int i = 2; i < argc; i++) {
        unsigned t = 0;
        double gb = 0;
        if (sscanf(argv[i], "%u:%lf", &t, &gb) == 2 && t <= MOST_THREADS) u.read[t] = gb * 1e9;
    }
    for (unsigned t = 1; t <= 2; t++) {
        struct device *d = device_cpu(t, NULL, NULL);
        u.read[t] = d ? device_cpu_bandwidth(d, 1) : 0;
        if (d) d->ops->close(d);
    }
    u.come = coming_seconds();
    u.take = taking_seconds();
    printf("a thread comes to a loop after %.0f ns, a number from its cache takes %.0f ns; one thread reads %.1f GB/s, "
           "two %.1f\n",
           u.come * 1e9, u.take * 1e9, u.read[1] / 1e9, u.read[2] / 1e9);
    for (unsigned t = 1; t <= 16; t *= 2)
        if (!with_threads(&u, t, one)) return 1;
    return 0;
}
