// The merges: counts of pairs are kept up to date, and a heap has the most frequent one on top. Of equally frequent
// pairs the one whose ids are lower comes first, the left one's before the right one's. An entry of the heap knows the
// words that its pair was seen in; one whose count is out of date goes back with the right one when it comes up.
#include "text/learn.h"
#include "base/utf8.h"
#include "format/alphabet.h"
#include "format/index.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CODES = 0x110000, MARK = 0x2581 };

struct word {
    size_t at;
    uint32_t n;
    int64_t count;
};

// The words in which a pair was seen, each once.
struct places {
    uint32_t *words;
    size_t n, room;
};

struct pair_count {
    uint64_t key; // left << 32 | right
    int64_t count;
    size_t fresh; // of the merge under way: 1 + where in `fresh`; 0: nothing new
    size_t merge; // 1 + its merge; 0: none
};

struct candidate {
    int64_t count;
    uint64_t key;
    struct places places;
};

struct fresh {
    size_t pair;
    struct places places;
};

struct job {
    struct learned *l;
    const struct learn_options *o;
    struct index by_name;
    size_t token_room, merge_room;
    int32_t *units;   // the token of each byte, or of each character; -1: none
    int32_t *symbols; // of all words, one behind the other
    struct word *words;
    size_t n_words, word_room, n_fixed; // fixed: tokens that no merge makes
    struct pair_count *pairs;
    size_t n_pairs, pair_room;
    uint32_t *slots; // 1 + pair; 0: free
    size_t mask;
    struct candidate *heap;
    size_t n_heap, heap_room;
    struct fresh *fresh;
    size_t n_fresh, fresh_room;
    gyr_error *e;
};

static bool no_memory(struct job *j) { return fail_memory(j->e, "learning a vocabulary"); }

// ---------------------------------------------------------------------------------------------------- tokens

static size_t find_token(const struct job *j, struct text s) {
    return index_find(&j->by_name, j->l->tokens, sizeof *j->l->tokens, s);
}

static bool add_token(struct job *j, struct text s) {
    struct learned *l = j->l;
    char *own = malloc(s.size + 1);
    if (!own || !ARRAY_GROW(l->tokens, l->n, j->token_room)) return free(own), no_memory(j);
    memcpy(own, s.data, s.size);
    own[s.size] = 0;
    l->tokens[l->n] = (struct text){own, s.size};
    return index_add(&j->by_name, l->tokens, sizeof *l->tokens, l->n++) != INDEX_NO_MEMORY || no_memory(j);
}

static bool add_special(struct job *j, struct text s) {
    const char *why = s.size < 2                     ? "is too short; take two characters or more"
                      : !utf8_valid(s.data, s.size)  ? "is not UTF-8"
                      : find_token(j, s) != SIZE_MAX ? "is given twice"
                                                     : NULL;
    if (!why) return add_token(j, s);
    return fail(j->e, GYR_USAGE, "special token \"%.*s\": %s", (int)(s.size < 80 ? s.size : 80), s.data, why);
}

// Bytes in the order of the characters that stand for them.
static bool add_bytes(struct job *j) {
    for (uint32_t c = 0, n = 0; n < 256; c++) {
        int byte = alphabet_byte(c);
        char one = (char)byte;
        if (byte < 0) continue;
        j->units[byte] = (int32_t)j->l->n;
        if (!add_token(j, (struct text){&one, 1})) return false;
        n++;
    }
    return true;
}

static bool add_byte_names(struct job *j) {
    for (unsigned i = 0; i < 256; i++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", i);
        if (!add_special(j, (struct text){name, 6})) return false;
    }
    return true;
}

struct character {
    uint32_t code;
    uint64_t count;
};

static int by_count(const void *a, const void *b) {
    const struct character *x = a, *y = b;
    if (x->count != y->count) return x->count < y->count ? 1 : -1;
    return x->code < y->code ? -1 : x->code > y->code;
}

static int by_code(const void *a, const void *b) {
    const struct character *x = a, *y = b;
    return x->code < y->code ? -1 : x->code > y->code;
}

// The most frequent characters, in the order of their codes.
static bool add_characters(struct job *j, const struct counted_word *words, size_t n) {
    struct character *all = calloc(CODES, sizeof *all);
    size_t found = 0, room = j->o->size - j->n_fixed;
    if (!all) return no_memory(j);
    for (size_t i = 0; i < n; i++)
        for (size_t at = 0; at < words[i].word.size;) {
            uint32_t c = 0;
            at += (size_t)utf8_decode(words[i].word.data + at, words[i].word.size - at, &c);
            all[c == ' ' ? MARK : c].count += words[i].count;
        }
    for (uint32_t c = 0; c < CODES; c++)
        if (all[c].count) all[found++] = (struct character){c, all[c].count};
    qsort(all, found, sizeof *all, by_count);
    if (found > MOST_CHARACTERS) found = MOST_CHARACTERS;
    if (found > room) found = room;
    qsort(all, found, sizeof *all, by_code);
    bool ok = true;
    for (size_t i = 0; ok && i < found; i++) {
        char c[4];
        j->units[all[i].code] = (int32_t)j->l->n;
        ok = add_token(j, (struct text){c, (size_t)utf8_encode(all[i].code, c)});
    }
    free(all);
    return ok;
}

static bool add_units(struct job *j, const struct counted_word *words, size_t n) {
    size_t all = j->o->characters ? CODES : 256;
    if (!(j->units = malloc(all * sizeof *j->units))) return no_memory(j);
    for (size_t i = 0; i < all; i++) j->units[i] = -1;
    if (j->o->characters && !add_byte_names(j)) return false;
    j->n_fixed = j->l->n;
    return j->o->characters ? add_characters(j, words, n) : add_bytes(j);
}

// The token of both together, which may have been made of other halves before.
static bool join(struct job *j, uint64_t key, int32_t *made) {
    const struct text *a = &j->l->tokens[key >> 32], *b = &j->l->tokens[(uint32_t)key];
    char *both = malloc(a->size + b->size + 1);
    if (!both) return no_memory(j);
    memcpy(both, a->data, a->size);
    memcpy(both + a->size, b->data, b->size);
    struct text s = {both, a->size + b->size};
    size_t at = find_token(j, s);
    bool ok = true;
    if (at < j->n_fixed)
        ok = fail(j->e, GYR_USAGE, "special token \"%.*s\": the texts have it as a word; choose another",
                  (int)(s.size < 80 ? s.size : 80), s.data);
    else if (at == SIZE_MAX)
        at = j->l->n, ok = add_token(j, s);
    *made = (int32_t)at;
    free(both);
    return ok;
}

// ----------------------------------------------------------------------------------------------------- pairs

static size_t slot_of(const struct job *j, uint64_t key) {
    uint64_t h = key * 0x9e3779b97f4a7c15u;
    size_t s = (h ^ h >> 32) & j->mask;
    while (j->slots[s] && j->pairs[j->slots[s] - 1].key != key) s = (s + 1) & j->mask;
    return s;
}

static bool widen(struct job *j) {
    size_t n = j->slots ? 2 * (j->mask + 1) : 1 << 12;
    if (j->slots && 2 * j->n_pairs <= j->mask) return true;
    free(j->slots);
    if (!(j->slots = calloc(n, sizeof *j->slots))) return no_memory(j);
    j->mask = n - 1;
    for (size_t i = 0; i < j->n_pairs; i++) j->slots[slot_of(j, j->pairs[i].key)] = (uint32_t)i + 1;
    return true;
}

static uint64_t key_of(int32_t a, int32_t b) { return (uint64_t)(uint32_t)a << 32 | (uint32_t)b; }

// The pair's count, from 0; SIZE_MAX: no memory.
static size_t pair_of(struct job *j, uint64_t key) {
    if (!widen(j)) return SIZE_MAX;
    uint32_t *slot = &j->slots[slot_of(j, key)];
    if (*slot) return *slot - 1;
    if (j->n_pairs >= UINT32_MAX - 1 || !ARRAY_GROW(j->pairs, j->n_pairs, j->pair_room)) return no_memory(j), SIZE_MAX;
    j->pairs[j->n_pairs++] = (struct pair_count){.key = key};
    *slot = (uint32_t)j->n_pairs;
    return j->n_pairs - 1;
}

// A pair is `by` more often in a word; where that is more than before, it is to be looked at again.
static bool change(struct job *j, int32_t a, int32_t b, int64_t by, uint32_t word) {
    size_t i = pair_of(j, key_of(a, b));
    if (i == SIZE_MAX) return false;
    struct pair_count *p = &j->pairs[i];
    p->count += by;
    if (by < 0) return true;
    if (!p->fresh) {
        if (!ARRAY_GROW(j->fresh, j->n_fresh, j->fresh_room)) return no_memory(j);
        j->fresh[j->n_fresh++] = (struct fresh){.pair = i};
        p->fresh = j->n_fresh;
    }
    struct places *at = &j->fresh[p->fresh - 1].places;
    if (at->n && at->words[at->n - 1] == word) return true;
    if (!ARRAY_GROW(at->words, at->n, at->room)) return no_memory(j);
    at->words[at->n++] = word;
    return true;
}

// ------------------------------------------------------------------------------------------------------ heap

static bool comes_before(const struct candidate *a, const struct candidate *b) {
    return a->count != b->count ? a->count > b->count : a->key < b->key;
}

static void sink(struct job *j, size_t i, struct candidate x) {
    for (size_t k; (k = 2 * i + 1) < j->n_heap; i = k) {
        if (k + 1 < j->n_heap && comes_before(&j->heap[k + 1], &j->heap[k])) k++;
        if (!comes_before(&j->heap[k], &x)) break;
        j->heap[i] = j->heap[k];
    }
    j->heap[i] = x;
}

static bool push(struct job *j, struct candidate x) {
    if (!ARRAY_GROW(j->heap, j->n_heap, j->heap_room)) return no_memory(j);
    size_t i = j->n_heap++;
    for (; i && comes_before(&x, &j->heap[(i - 1) / 2]); i = (i - 1) / 2) j->heap[i] = j->heap[(i - 1) / 2];
    j->heap[i] = x;
    return true;
}

static struct candidate pop(struct job *j) {
    struct candidate top = j->heap[0];
    if (--j->n_heap) sink(j, 0, j->heap[j->n_heap]);
    return top;
}

// What a merge, or the beginning, has new goes to the heap.
static bool push_fresh(struct job *j) {
    bool ok = true;
    for (size_t i = 0; i < j->n_fresh; i++) {
        struct pair_count *p = &j->pairs[j->fresh[i].pair];
        struct places places = j->fresh[i].places;
        p->fresh = 0;
        if (places.room > places.n) { // most are small, and many: as large as they have to be
            uint32_t *fit = realloc(places.words, places.n * sizeof *fit);
            if (fit) places.words = fit, places.room = places.n;
        }
        if (p->count <= 0 || !ok || !(ok = push(j, (struct candidate){p->count, p->key, places}))) free(places.words);
    }
    j->n_fresh = 0;
    return ok;
}

// ------------------------------------------------------------------------------------------------------- words

// A byte, or a character, of a word's text from *at on: its token, and *at behind it. A space is U+2581.
static int32_t unit_at(const struct job *j, struct text w, size_t *at) {
    uint32_t c = (unsigned char)w.data[*at];
    *at += j->o->characters ? (size_t)utf8_decode(w.data + *at, w.size - *at, &c) : 1;
    return j->units[j->o->characters && c == ' ' ? MARK : c];
}

static bool end_word(struct job *j, size_t from, size_t to, uint64_t count) {
    if (from == to) return true;
    if (j->n_words >= UINT32_MAX || !ARRAY_GROW(j->words, j->n_words, j->word_room)) return no_memory(j);
    j->words[j->n_words++] = (struct word){from, (uint32_t)(to - from), (int64_t)count};
    return true;
}

// What has no token cuts its word.
static bool take_words(struct job *j, const struct counted_word *words, size_t n) {
    size_t all = 0, to = 0;
    for (size_t i = 0; i < n; i++) all += words[i].word.size;
    if (!(j->symbols = malloc((all + 1) * sizeof *j->symbols))) return no_memory(j);
    for (size_t i = 0; i < n; i++) {
        size_t from = to;
        for (size_t at = 0; at < words[i].word.size;) {
            int32_t id = unit_at(j, words[i].word, &at);
            if (id >= 0)
                j->symbols[to++] = id;
            else if (!end_word(j, from, to, words[i].count))
                return false;
            else
                from = to;
        }
        if (!end_word(j, from, to, words[i].count)) return false;
    }
    for (uint32_t i = 0; i < j->n_words; i++) {
        const struct word *w = &j->words[i];
        for (size_t k = 0; k + 1 < w->n; k++)
            if (!change(j, j->symbols[w->at + k], j->symbols[w->at + k + 1], w->count, i)) return false;
    }
    return push_fresh(j);
}

// Joins a pair wherever a word has it, from left to right.
static bool merge_word(struct job *j, uint32_t number, int32_t a, int32_t b, int32_t made) {
    struct word *w = &j->words[number];
    int32_t *s = j->symbols + w->at;
    uint32_t to = 0;
    for (uint32_t i = 0; i < w->n; i++) {
        if (s[i] != a || i + 1 >= w->n || s[i + 1] != b) {
            s[to++] = s[i];
            continue;
        }
        if (to && !(change(j, s[to - 1], a, -w->count, number) && change(j, s[to - 1], made, w->count, number)))
            return false;
        if (i + 2 < w->n && !(change(j, b, s[i + 2], -w->count, number) && change(j, made, s[i + 2], w->count, number)))
            return false;
        s[to++] = made;
        i++;
    }
    w->n = to;
    return true;
}

static bool merge(struct job *j, const struct candidate *top) {
    int32_t a = (int32_t)(top->key >> 32), b = (int32_t)(uint32_t)top->key, made = 0;
    struct learned *l = j->l;
    if (!join(j, top->key, &made)) return false;
    if (!ARRAY_GROW(l->merges, l->n_merges, j->merge_room)) return no_memory(j);
    size_t i = j->slots[slot_of(j, top->key)] - 1;
    if (j->pairs[i].merge) l->merges[j->pairs[i].merge - 1].made = -1; // the later one counts
    l->merges[l->n_merges++] = (struct learned_merge){a, b, made};
    j->pairs[i].merge = l->n_merges;
    for (size_t k = 0; k < top->places.n; k++)
        if (!merge_word(j, top->places.words[k], a, b, made)) return false;
    return push_fresh(j);
}

// Back to the heap, which has had it before.
static void sink_again(struct job *j, struct candidate *x, int64_t count) {
    x->count = count;
    if (count <= 0)
        free(x->places.words);
    else
        push(j, *x);
}

static bool merge_all(struct job *j) {
    size_t first = j->l->n;
    while (j->l->n < j->o->size && j->n_heap) {
        struct candidate top = pop(j);
        int64_t count = j->pairs[j->slots[slot_of(j, top.key)] - 1].count;
        if (top.count != count) {
            sink_again(j, &top, count);
            continue;
        }
        bool done = top.count < 1 || (uint64_t)top.count < j->o->least, ok = done || merge(j, &top);
        free(top.places.words);
        if (!ok) return false;
        if (done) break;
        if (j->o->progress && !j->o->progress(j->o->user, (double)(j->l->n - first) / (double)(j->o->size - first)))
            return fail(j->e, GYR_CANCELLED, "learning a vocabulary: stopped");
    }
    return true;
}

// ----------------------------------------------------------------------------------------------------- all

static void drop_earlier(struct learned *l) {
    size_t kept = 0;
    for (size_t i = 0; i < l->n_merges; i++)
        if (l->merges[i].made >= 0) l->merges[kept++] = l->merges[i];
    l->n_merges = kept;
}

static void close_job(struct job *j) {
    for (size_t i = 0; i < j->n_heap; i++) free(j->heap[i].places.words);
    for (size_t i = 0; i < j->n_fresh; i++) free(j->fresh[i].places.words);
    free(j->heap);
    free(j->fresh);
    free(j->pairs);
    free(j->slots);
    free(j->units);
    free(j->symbols);
    free(j->words);
    index_free(&j->by_name);
}

bool learn(struct learned *l, const struct counted_word *words, size_t n, const struct learn_options *o, gyr_error *e) {
    gyr_error made = {0};
    struct job j = {.l = l, .o = o, .e = &made};
    bool ok = true;
    *l = (struct learned){.characters = o->characters};
    if (o->size < o->n_special + 256 || o->size > INT32_MAX / 2)
        ok = fail(&made, GYR_USAGE, "vocabulary of %zu tokens: %zu for bytes and special tokens is the least", o->size,
                  o->n_special + 256);
    for (size_t i = 0; ok && i < o->n_special; i++) ok = add_special(&j, o->special[i]);
    l->n_special = o->n_special;
    ok = ok && add_units(&j, words, n) && take_words(&j, words, n) && merge_all(&j);
    close_job(&j);
    drop_earlier(l);
    if (ok) return true;
    learned_free(l);
    if (e) *e = made;
    return false;
}

void learned_free(struct learned *l) {
    for (size_t i = 0; i < l->n; i++) free((char *)(uintptr_t)l->tokens[i].data);
    free(l->tokens);
    free(l->merges);
    *l = (struct learned){0};
}
