#include "train/share.h"

#include "base/buf.h"
#include "cluster/ranks.h"

#include <stdlib.h>
#include <string.h>

enum { PIECE = 1 << 20 }; // floats of a message: no longer than others may wait for MPI

static uint32_t count_of(const struct ranks *r) { return r ? ranks_count(r) : 1; }
static uint32_t own_of(const struct ranks *r) { return r ? ranks_own(r) : 0; }

bool share_leads(const struct ranks *r) { return own_of(r) == 0; }

static size_t blocks(size_t n, size_t block) { return (n + block - 1) / block; }

// Whose a subtree is: neighbours have neighbours.
static uint32_t owner(const struct share *s, size_t b) {
    return (uint32_t)(b * count_of(s->of.ranks) / blocks(s->n, s->block));
}

// The most examples that one of `count` has, with subtrees of that size.
static size_t most(size_t n, size_t block, size_t count) {
    size_t all = blocks(n, block), each = (all + count - 1) / count * block;
    return each < n ? each : n;
}

// As large as they can be without anybody having more to do than with the smallest.
struct share share_of(const struct sharing *of, size_t n, size_t step) {
    struct share s = {.of = *of, .n = n, .block = 1, .number = (uint32_t)step};
    size_t count = count_of(of->ranks), least = most(n, 1, count);
    for (size_t b = 2; b < 2 * n; b *= 2)
        if (most(n, b, count) <= least) s.block = b;
    return s;
}

void share_free(struct share *s) {
    for (size_t i = 0; i < s->n_nodes; i++) free(s->node[i]);
    free(s->node);
    s->node = NULL;
    s->n_nodes = s->room = 0;
}

bool share_has(const struct share *s, size_t i) { return owner(s, i / s->block) == own_of(s->of.ranks); }

// A subtree is whole, or the step's last: its sums are put aside, the largest first.
static bool put_aside(struct share *s, gyr_error *e) {
    size_t bytes = s->of.n * sizeof(float);
    for (int k = TREE_LEVELS - 1; k >= 0; k--) {
        const float *sum = tree_level(s->of.tree, k);
        if (!sum) continue;
        float *node = malloc(bytes + 1);
        if (!node || !ARRAY_GROW(s->node, s->n_nodes, s->room)) {
            free(node);
            return fail_memory(e, "training");
        }
        memcpy(node, sum, bytes);
        s->node[s->n_nodes++] = node;
    }
    tree_clear(s->of.tree);
    return true;
}

bool share_add(struct share *s, size_t i, const float *leaf, gyr_error *e) {
    if (!tree_add(s->of.tree, leaf, e)) return false;
    bool ends = (i + 1) % s->block == 0 || i + 1 == s->n;
    return count_of(s->of.ranks) == 1 || !ends || put_aside(s, e);
}

// Numbers of one rank to all others, in pieces; those of a larger model are more than a message may have.
static bool give(struct ranks *r, uint32_t from, uint32_t number, float *x, size_t n, gyr_error *e) {
    struct buf b = {0};
    bool ok = true;
    for (size_t at = 0; ok && at < n; at += PIECE) {
        size_t bytes = (n - at < PIECE ? n - at : PIECE) * sizeof *x;
        for (uint32_t i = 0; ok && from == own_of(r) && i < count_of(r); i++)
            if (i != from) ok = ranks_send_numbered(r, i, PARCEL_SLICE, number, x + at, bytes, e);
        if (from == own_of(r)) continue;
        ok = ranks_receive_numbered(r, from, PARCEL_SLICE, number, &b, e);
        if (ok && b.size != bytes) ok = ranks_blame(r, from, GYR_FAILED, "sent numbers of another training", e);
        if (ok) memcpy(x + at, b.data, bytes);
    }
    buf_free(&b);
    return ok;
}

bool share_join(struct share *s, gyr_error *e) {
    struct ranks *r = s->of.ranks;
    size_t used = 0;
    if (count_of(r) == 1) return true;
    for (size_t b = 0; b < blocks(s->n, s->block); b++) {
        size_t left = s->n - b * s->block, has = left < s->block ? left : s->block;
        uint32_t from = owner(s, b);
        for (int k = TREE_LEVELS - 1; k >= 0; k--) {
            if (!(has >> k & 1)) continue;
            float *node = from == own_of(r) ? s->node[used++] : s->of.room;
            if (!give(r, from, s->number, node, s->of.n, e) || !tree_add_node(s->of.tree, k, node, e)) return false;
        }
    }
    return true;
}

bool share_told(const struct share *s, struct told *told, gyr_error *e) {
    for (uint32_t from = 0; from < count_of(s->of.ranks) && count_of(s->of.ranks) > 1; from++) {
        size_t first = 0, end;
        while (first < s->n && owner(s, first / s->block) != from) first++;
        for (end = first; end < s->n && owner(s, end / s->block) == from;) end++;
        size_t floats = (end - first) * sizeof *told / sizeof(float);
        if (end > first && !give(s->of.ranks, from, s->number, (float *)(void *)(told + first), floats, e))
            return false;
    }
    return true;
}

void share_fail(struct ranks *r, const gyr_error *why) {
    for (uint32_t i = 0; i < count_of(r) && count_of(r) > 1; i++)
        if (i != own_of(r)) ranks_send_failure(r, i, PARCEL_SLICE, UINT32_MAX, why, NULL);
}

// Rank 0's checkpoint is everybody's: others need not have the file.
static bool give_state(struct ranks *r, struct state *s, gyr_error *e) {
    for (int i = 0; i < STATE_PARTS; i++)
        if (!give(r, 0, 0, s->part[i].data, s->part[i].n, e)) return false;
    return true;
}

bool share_begin(struct ranks *r, struct state *s, uint64_t also, gyr_error *e) {
    enum { DONE = 4, FACTS };
    struct buf b = {0};
    uint64_t own[FACTS] = {s->training, s->steps, s->numbers, also, [DONE] = s->done};
    if (count_of(r) == 1) return true;
    bool ok = ranks_agree(r, true, NULL, own, sizeof own, &b, e);
    const uint64_t *all = (const uint64_t *)(const void *)b.data;
    for (uint32_t i = 1; ok && i < count_of(r); i++)
        if (memcmp(all + FACTS * (size_t)i, all, DONE * sizeof *all) != 0)
            ok = ranks_blame(r, i, GYR_USAGE,
                             "has another training than rank 0; give all ranks the same model, data and options", e);
    if (ok) s->done = all[DONE];
    buf_free(&b);
    return ok && give_state(r, s, e);
}
