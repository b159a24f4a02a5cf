#include "train/tree.h"

#include <stdlib.h>
#include <string.h>

// level[k]: the sum of 2^k examples, where bit k of `count` is set.
struct tree {
    size_t n;
    uint64_t count;
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

bool tree_add_node(struct tree *t, int level, const float *sum, gyr_error *e) {
    int k = level;
    while (k + 1 < TREE_LEVELS && t->count >> k & 1) k++;
    if (!t->level[k] && !(t->level[k] = malloc((t->n + 1) * sizeof *t->level[k]))) return fail_memory(e, "training");
    float *to = t->level[k];
    memcpy(to, sum, t->n * sizeof *to);
    for (int i = level; i < k; i++)
        for (size_t j = 0; j < t->n; j++) to[j] = t->level[i][j] + to[j];
    t->count += (uint64_t)1 << level;
    return true;
}

bool tree_add(struct tree *t, const float *leaf, gyr_error *e) { return tree_add_node(t, 0, leaf, e); }

const float *tree_level(const struct tree *t, int level) { return t->count >> level & 1 ? t->level[level] : NULL; }

void tree_clear(struct tree *t) { t->count = 0; }

// From the smallest on: what is left of a node is the larger.
void tree_take(struct tree *t, float *out) {
    bool any = false;
    memset(out, 0, t->n * sizeof *out);
    for (int k = 0; k < TREE_LEVELS; k++) {
        if (!(t->count >> k & 1)) continue;
        for (size_t j = 0; j < t->n; j++) out[j] = any ? t->level[k][j] + out[j] : t->level[k][j];
        any = true;
    }
    t->count = 0;
}
