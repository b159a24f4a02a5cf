// Recurrences cut into tasks: the rows of a sequence stay together, its channels and heads go apart.
#include "device/cpu/cpu.h"

typedef void stretch_fn(const void *a, const struct kernels *k, struct stretch s);

enum { AT_ONCE = 64 };

struct job {
    const void *a;
    const struct kernels *kernels;
    stretch_fn *run;
    size_t all, each, tasks; // channels or heads in all, and of a task; tasks of a stretch
    struct stretch rows[AT_ONCE];
};

static void run_task(void *arg, size_t i) {
    const struct job *j = arg;
    struct stretch s = j->rows[i / j->tasks];
    s.first = i % j->tasks * j->each;
    s.n = j->all - s.first < j->each ? j->all - s.first : j->each;
    j->run(j->a, j->kernels, s);
}

static void run_all(struct device *d, struct job *j, const struct attention_row *row, size_t rows) {
    j->kernels = cpu_of(d)->kernels;
    j->tasks = (j->all + j->each - 1) / j->each;
    for (size_t first = 0, n = 0; first < rows;) {
        size_t next = first + 1;
        while (next < rows && row[next].state == row[first].state) next++;
        j->rows[n++] = (struct stretch){.row = first, .rows = next - first};
        first = next;
        if (n < AT_ONCE && first < rows) continue;
        pool_run(cpu_of(d)->pool, n * j->tasks, run_task, j);
        n = 0;
    }
}

static void run_conv(const void *a, const struct kernels *k, struct stretch s) { k->conv(a, s); }
static void run_channels(const void *a, const struct kernels *k, struct stretch s) { k->recur_channels(a, s); }
static void run_head(const void *a, const struct kernels *k, struct stretch s) { k->recur_head(a, s); }

void cpu_conv(struct device *d, const struct conv *a) {
    run_all(d, &(struct job){.a = a, .run = run_conv, .all = a->channels, .each = CHANNELS}, a->row, a->rows);
}

void cpu_recur(struct device *d, const struct recur *a) {
    bool channels = a->kind == RECUR_CHANNELS;
    struct job j = {.a = a, .run = channels ? run_channels : run_head};
    j.all = channels ? a->heads * a->dim : a->heads;
    j.each = channels ? CHANNELS : 1;
    run_all(d, &j, a->row, a->rows);
}
