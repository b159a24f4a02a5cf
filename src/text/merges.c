// The merges of a BPE vocabulary as pairs of ids.
#include "text/tokenizer_impl.h"

#include <stdlib.h>
#include <string.h>

// A merge may be split at several spaces if its pieces have some; no more than this many are tried.
enum { MAX_SPACES = 32 };

// A spelling's token, control tokens too; `room` has place for its bytes.
static int32_t find_piece(const struct tokenizer *t, struct text s, char *room) {
    size_t size = from_spelling(t->vocab, s, room), i = SIZE_MAX;
    int32_t id = size == SIZE_MAX ? -1 : token_of(t, room, size);
    if (id < 0) i = index_find(&t->by_name, t->vocab->tokens, sizeof *t->vocab->tokens, s);
    return i == SIZE_MAX ? id : (int32_t)i;
}

// Finds the tokens of "left right" and of both together.
static bool read_merge(const struct tokenizer *t, struct text merge, char *room, int32_t ids[3]) {
    const char *end = merge.data + merge.size, *space = merge.data;
    char *joined = room + merge.size;
    const char *prefix = t->vocab->word_prefix ? t->vocab->word_prefix : "";
    for (int tries = 0; tries < MAX_SPACES && space + 1 < end; tries++) {
        space = memchr(space + 1, ' ', (size_t)(end - space - 1));
        if (!space) return false;
        size_t left = (size_t)(space - merge.data), right = merge.size - left - 1;
        size_t cut = right >= strlen(prefix) && !memcmp(space + 1, prefix, strlen(prefix)) ? strlen(prefix) : 0;
        memcpy(joined, merge.data, left);
        memcpy(joined + left, space + 1 + cut, right - cut);
        ids[0] = find_piece(t, (struct text){merge.data, left}, room);
        if (ids[0] >= 0 && (ids[1] = find_piece(t, (struct text){space + 1, right}, room)) >= 0 &&
            (ids[2] = find_piece(t, (struct text){joined, left + right - cut}, room)) >= 0)
            return true;
    }
    return false;
}

static bool plain_kind(const struct vocab *v, int32_t id) {
    return token_kind_of(v, (size_t)id) == TOKEN_NORMAL || token_kind_of(v, (size_t)id) == TOKEN_USER;
}

bool index_merges(struct tokenizer *t, gyr_error *e) {
    const struct vocab *v = t->vocab;
    size_t longest = 0;
    for (size_t i = 0; i < v->n_merges; i++)
        if (v->merges[i].size > longest) longest = v->merges[i].size;
    char *room = longest < SIZE_MAX / 4 ? malloc(2 * longest + 1) : NULL;
    bool ok = room && v->n_merges < UINT32_MAX && pairs_init(&t->merges, v->n_merges);
    if (!ok) fail_memory(e, t->where);
    for (size_t i = 0; ok && i < v->n_merges; i++) {
        struct text merge = v->merges[i];
        int32_t ids[3];
        ok = read_merge(t, merge, room, ids);
        if (!ok)
            fail(e, GYR_MALFORMED,
                 "%s: merge %zu (\"%.*s\") does not join two tokens into a third; the file is damaged or was converted "
                 "wrongly",
                 t->where, i, merge.size < 80 ? (int)merge.size : 80, merge.data);
        // Plain text must never become a control token, not even by way of a merge.
        else if (plain_kind(v, ids[0]) && plain_kind(v, ids[1]) && plain_kind(v, ids[2]))
            pairs_add(&t->merges, ids[0], ids[1], (uint32_t)i, ids[2]);
    }
    free(room);
    return ok;
}
