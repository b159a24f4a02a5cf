#include "format/ranks.h"

#include "base/utf8.h"
#include "format/alphabet.h"
#include "format/arena.h"
#include "format/index.h"

#include <stdlib.h>
#include <string.h>

// A token's length, squared, is what finding its merge costs; in all, real vocabularies are far below the limit.
enum { MAX_WORK = 1 << 30, NONE = INT32_MAX };

struct ranks {
    const struct text *pieces;
    size_t n;
    struct index index;
    size_t *at; // where each part of a piece begins; and its end
    uint32_t *joined;
};

static uint32_t rank_of(const struct ranks *r, const char *s, size_t size) {
    size_t i = index_find(&r->index, r->pieces, sizeof *r->pieces, (struct text){s, size});
    return i == SIZE_MAX ? NONE : (uint32_t)i;
}

// The rank of part i with the next, if that is below `most`.
static uint32_t join(const struct ranks *r, const char *s, size_t i, uint32_t most) {
    uint32_t rank = rank_of(r, s + r->at[i], r->at[i + 2] - r->at[i]);
    return rank < most ? rank : NONE;
}

// The merge that a token is made by is the last one when it is merged from its bytes by what stands before it. 0: no
// merge makes it; otherwise where its right part begins.
static size_t find_cut(const struct ranks *r, uint32_t token) {
    struct text s = r->pieces[token];
    size_t parts = s.size;
    for (size_t i = 0; i <= parts; i++) r->at[i] = i;
    for (size_t i = 0; i + 1 < parts; i++) r->joined[i] = join(r, s.data, i, token);
    while (parts > 2) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < parts; i++)
            if (r->joined[i] < r->joined[best]) best = i;
        if (r->joined[best] == NONE) return 0;
        memmove(r->at + best + 1, r->at + best + 2, (parts - best - 1) * sizeof *r->at);
        memmove(r->joined + best, r->joined + best + 1, (parts - best - 2) * sizeof *r->joined);
        parts--;
        if (best + 1 < parts) r->joined[best] = join(r, s.data, best, token);
        if (best) r->joined[best - 1] = join(r, s.data, best - 1, token);
    }
    size_t cut = parts == 2 ? r->at[1] : 0;
    bool both = cut && rank_of(r, s.data, cut) != NONE && rank_of(r, s.data + cut, s.size - cut) != NONE;
    return both ? cut : 0;
}

// In the alphabet that byte-level vocabularies are spelled in.
static size_t spell(struct text s, char *out) {
    size_t n = 0;
    for (size_t i = 0; i < s.size; i++) n += (size_t)utf8_encode(alphabet_char((unsigned char)s.data[i]), out + n);
    return n;
}

static bool put_merge(struct vocab *v, struct text s, size_t cut) {
    char *merge = arena_alloc(v->storage, 2 * s.size + 2, 1);
    if (!merge) return false;
    size_t n = spell((struct text){s.data, cut}, merge);
    merge[n++] = ' ';
    n += spell((struct text){s.data + cut, s.size - cut}, merge + n);
    v->merges[v->n_merges++] = (struct text){merge, n};
    return true;
}

static bool put_token(struct vocab *v, size_t id, struct text s) {
    char *name = arena_alloc(v->storage, 2 * s.size + 1, 1);
    if (!name) return false;
    v->tokens[id] = (struct text){name, spell(s, name)};
    v->kinds[id] = TOKEN_NORMAL;
    return true;
}

static bool measure(struct ranks *r, const char *where, gyr_error *e) {
    uint64_t work = 0;
    size_t longest = 2;
    for (size_t i = 0; i < r->n; i++) {
        size_t size = r->pieces[i].size;
        if (size >= 1 << 15 || (work += (uint64_t)size * size) > MAX_WORK)
            return fail(e, GYR_MALFORMED, "%s: its tokens are longer than those of any model; get the file again",
                        where);
        if (size > longest) longest = size;
        if (!size) continue;
        switch (index_add(&r->index, r->pieces, sizeof *r->pieces, i)) {
        case INDEX_ADDED: break;
        case INDEX_NO_MEMORY: return fail_memory(e, where);
        case INDEX_DUPLICATE:
            return fail(e, GYR_MALFORMED, "%s: the token of rank %zu is there twice; get the file again", where, i);
        }
    }
    r->at = reallocarray(NULL, longest + 1, sizeof *r->at);
    r->joined = reallocarray(NULL, longest + 1, sizeof *r->joined);
    return (r->at && r->joined) || fail_memory(e, where);
}

bool ranks_room(struct vocab *v, size_t n, const char *where, gyr_error *e) {
    v->n = n;
    v->tokens = arena_alloc(v->storage, n, sizeof *v->tokens);
    v->kinds = arena_alloc(v->storage, n, 1);
    if (!v->tokens || !v->kinds) return fail_memory(e, where);
    for (size_t i = 0; i < n; i++) v->tokens[i].data = "";
    memset(v->kinds, TOKEN_UNUSED, n);
    return true;
}

bool ranks_read(struct vocab *v, const struct text *pieces, size_t n, size_t first, const char *where, gyr_error *e) {
    struct ranks r = {.pieces = pieces, .n = n};
    bool ok = measure(&r, where, e);
    if (ok && !(v->merges = arena_alloc(v->storage, n, sizeof *v->merges))) ok = fail_memory(e, where);
    for (size_t i = 0; ok && i < n; i++) {
        if (!pieces[i].size) continue;
        size_t cut = pieces[i].size > 1 ? find_cut(&r, (uint32_t)i) : 0;
        // A word that is a token is taken whole; that shows only where merges do not make it.
        if (pieces[i].size > 1 && !cut) v->ignore_merges = true;
        ok = (put_token(v, first + i, pieces[i]) && (!cut || put_merge(v, pieces[i], cut))) || fail_memory(e, where);
    }
    index_free(&r.index);
    free(r.at);
    free(r.joined);
    v->kind = VOCAB_BPE;
    v->byte_level = true;
    return ok;
}
