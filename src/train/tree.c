#include "train/tree.h"

#include "base/pages.h"
#include "base/threads.h"

#include <stdlib.h>
#include <string.h>

// level[k]: the sum of 2^k examples, where bit k of `count` is set.
struct tree {
    size_t n;
    uint64_t count;
    struct pool *pool; // NULL: none
    float *level[TREE_LEVELS];
};

struct tree *tree_new(size_t n, gyr_error *e) {
    struct tree *t = calloc(1, sizeof *t);
    if (!t) return fail_memory(e, "training"), NULL;
    t->n = n;
    return t;
}

void tree_free(struct tree *t) {
    for (int i = 0; t && i < TREE_LEVELS; i++) free(t->level[i]);
    free(t);
}

void tree_threads(struct tree *t, struct pool *pool) { t->pool = pool; }

// to = from + other, or from, or zeros, some numbers to a task.
enum { SOME = 64 << 10 };

struct adding {
    float *to;
    const float *from, *other;
    size_t n;
};

static void add_task(void *arg, size_t task) {
    const struct adding *w = arg;
    size_t i = task * SOME, end = w->n - i < SOME ? w->n : i + SOME;
    if (!w->from)
        memset(w->to + i, 0, (end - i) * sizeof *w->to);
    else if (!w->other)
        memcpy(w->to + i, w->from + i, (end - i) * sizeof *w->to);
    else
        for (; i < end; i++) w->to[i] = w->from[i] + w->other[i];
}

static void run(const struct tree *t, struct adding w) {
    size_t tasks = (w.n + SOME - 1) / SOME;
    if (t->pool)
        pool_run(t->pool, tasks, add_task, &w);
    else
        for (size_t i = 0; i < tasks; i++) add_task(&w, i);
}

void tree_zeros(const struct tree *t, float *x, size_t n) { run(t, (struct adding){x, NULL, NULL, n}); }

bool tree_add_node(struct tree *t, int level, const float *sum, gyr_error *e) {
    int k = level;
    while (k + 1 < TREE_LEVELS && t->count >> k & 1) k++;
    size_t bytes = (t->n + 1) * sizeof *t->level[k];
    if (!t->level[k] && !(t->level[k] = large_pages(malloc(bytes), bytes))) return fail_memory(e, "training");
    float *to = t->level[k];
    if (k == level) run(t, (struct adding){to, sum, NULL, t->n});
    for (int i = level; i < k; i++, sum = to) run(t, (struct adding){to, t->level[i], sum, t->n});
    t->count += (uint64_t)1 << level;
    return true;
}

bool tree_add(struct tree *t, const float *leaf, gyr_error *e) { return tree_add_node(t, 0, leaf, e); }

const float *tree_level(const struct tree *t, int level) { return t->count >> level & 1 ? t->level[level] : NULL; }

void tree_clear(struct tree *t) { t->count = 0; }

// From the smallest on: what is left of a node is the larger.
void tree_take(struct tree *t, float *out) {
    const float *sum = NULL;
    if (!t->count) tree_zeros(t, out, t->n);
    for (int k = 0; k < TREE_LEVELS; k++) {
        if (!(t->count >> k & 1)) continue;
        run(t, (struct adding){out, t->level[k], sum, t->n});
        sum = out;
    }
    t->count = 0;
}
