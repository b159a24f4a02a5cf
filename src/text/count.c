// Words counted: a table for each thread, and the words' bytes in blocks that never move.
#include "base/threads.h"
#include "format/index.h"
#include "text/learn.h"
#include "text/pretokenize.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

// Texts are cut into pieces of about this size, where no word can reach over the cut.
enum { PIECE = 1 << 20, BLOCK = 1 << 20 };

struct slot {
    struct text word;
    uint64_t hash, count;
};

struct table {
    struct slot *slots; // a power of two; count 0: free
    size_t mask, n;
    char **blocks;
    size_t n_blocks, room, used;
};

struct word_counts {
    struct pretokenizer pre;
    bool spaced; // a space is put in front of each text
    struct pool *pool;
    struct table *tables; // [threads]
    uint64_t key[2];
};

// ---------------------------------------------------------------------------------------------------- tables

// A copy of a word, in the last block, or in one of its own.
static const char *keep(struct table *t, const char *s, size_t size) {
    size_t block = size > BLOCK ? size : BLOCK;
    if (!t->n_blocks || size > BLOCK || t->used + size > BLOCK) {
        if (!ARRAY_GROW(t->blocks, t->n_blocks, t->room) || !(t->blocks[t->n_blocks] = malloc(block))) return NULL;
        t->n_blocks++;
        t->used = 0;
    }
    char *at = t->blocks[t->n_blocks - 1] + t->used;
    memcpy(at, s, size);
    t->used += size;
    return at;
}

static struct slot *find(const struct table *t, uint64_t hash, const char *s, size_t size) {
    size_t i = hash & t->mask;
    for (; t->slots[i].count; i = (i + 1) & t->mask)
        if (t->slots[i].hash == hash && t->slots[i].word.size == size && !memcmp(t->slots[i].word.data, s, size)) break;
    return &t->slots[i];
}

static bool grow(struct table *t) {
    size_t n = t->slots ? 2 * (t->mask + 1) : 1 << 12;
    struct table wide = *t;
    if (t->slots && 2 * t->n <= t->mask) return true;
    if (!(wide.slots = calloc(n, sizeof *wide.slots))) return false;
    wide.mask = n - 1;
    for (size_t i = 0; t->slots && i <= t->mask; i++)
        if (t->slots[i].count)
            *find(&wide, t->slots[i].hash, t->slots[i].word.data, t->slots[i].word.size) = t->slots[i];
    free(t->slots);
    *t = wide;
    return true;
}

// `own`: the word's bytes stay where they are.
static bool add(struct table *t, uint64_t hash, struct text word, uint64_t count, bool own) {
    if (!grow(t)) return false;
    struct slot *s = find(t, hash, word.data, word.size);
    if (!s->count) {
        const char *kept = own ? word.data : keep(t, word.data, word.size);
        if (!kept) return false;
        *s = (struct slot){{kept, word.size}, hash, 0};
        t->n++;
    }
    s->count += count;
    return true;
}

static void table_free(struct table *t) {
    for (size_t i = 0; i < t->n_blocks; i++) free(t->blocks[i]);
    free(t->blocks);
    free(t->slots);
}

// ---------------------------------------------------------------------------------------------------- pieces

// Where no word of any pattern reaches over: a line end behind a letter. The letter ends its word, and the white space
// is another, whatever comes.
static size_t piece_end(struct text t, size_t from) {
    size_t at = t.size - from > PIECE ? from + PIECE : t.size;
    for (; at < t.size; at++) {
        unsigned char c = (unsigned char)t.data[at - 1] | 0x20;
        if (t.data[at] == '\n' && c >= 'a' && c <= 'z') break;
    }
    return at;
}

struct piece {
    struct text text;
    bool begins; // the text it is of
};

struct counting {
    struct word_counts *c;
    struct piece *pieces;
    size_t n, room;
    atomic_size_t next;
    atomic_bool failed; // no memory
};

static bool cut(struct counting *w, const struct text *texts, size_t n) {
    for (size_t i = 0; i < n; i++)
        for (size_t from = 0, to; from < texts[i].size; from = to) {
            if (!ARRAY_GROW(w->pieces, w->n, w->room)) return false;
            to = piece_end(texts[i], from);
            w->pieces[w->n++] = (struct piece){{texts[i].data + from, to - from}, !from};
        }
    return true;
}

static bool count_word(const struct counting *w, struct table *t, struct text word) {
    return add(t, hash_bytes(w->c->key, word.data, word.size), word, 1, false);
}

// With a space in front, which is a word of its own before white space.
static bool count_first(const struct counting *w, struct table *t, struct text word) {
    struct buf spaced = {0};
    bool alone = *word.data == ' ' || *word.data == '\n';
    buf_putc(&spaced, ' ');
    if (!alone) buf_append(&spaced, word.data, word.size);
    bool ok = !spaced.failed && count_word(w, t, (struct text){spaced.data, spaced.size});
    buf_free(&spaced);
    return ok && (!alone || count_word(w, t, word));
}

static bool count_piece(const struct counting *w, struct table *t, struct piece p, struct words *words) {
    struct scan scan = {0};
    bool ok = scan_begin(&scan, p.text.size) && pretokenize(&w->c->pre, &scan, p.text.data, p.text.size, words);
    for (size_t i = 0; ok && i < words->spans.n; i++) {
        struct span s = words->spans.at[i];
        struct text word = {words->text + s.begin, s.end - s.begin};
        ok = (w->c->spaced && p.begins && !i ? count_first : count_word)(w, t, word);
    }
    scan_end(&scan);
    return ok;
}

static void count_task(void *arg, size_t task) {
    struct counting *w = arg;
    struct words words = {0};
    words.begins = true;
    for (size_t i; !atomic_load(&w->failed) && (i = atomic_fetch_add(&w->next, 1)) < w->n;)
        if (!count_piece(w, &w->c->tables[task], w->pieces[i], &words)) atomic_store(&w->failed, true);
    words_free(&words);
}

// -------------------------------------------------------------------------------------------------------- all

struct word_counts *word_counts_new(const char *pre, unsigned threads, gyr_error *e) {
    static char spaced[] = "\n| ?[^ \n]+| ";
    struct split split = {.pattern = spaced, .behavior = SPLIT_ISOLATED};
    struct vocab v = {.pre = (char *)(uintptr_t)pre, .byte_level = pre};
    if (!pre) v.has_splits = true, v.splits = &split, v.n_splits = 1;
    struct word_counts *c = calloc(1, sizeof *c);
    if (!c) return fail_memory(e, "words"), NULL;
    c->spaced = !pre;
    bool ok = pretokenizer_init(&c->pre, &v, "words", e) && (c->pool = pool_new(threads, e));
    if (ok && !(c->tables = calloc(pool_threads(c->pool), sizeof *c->tables))) ok = fail_memory(e, "words");
    if (ok && getrandom(c->key, sizeof c->key, 0) != sizeof c->key) c->key[0] = (uintptr_t)c;
    if (ok) return c;
    word_counts_free(c);
    return NULL;
}

void word_counts_free(struct word_counts *c) {
    if (!c) return;
    for (unsigned i = 0; c->tables && i < pool_threads(c->pool); i++) table_free(&c->tables[i]);
    free(c->tables);
    pool_free(c->pool);
    pretokenizer_free(&c->pre);
    free(c);
}

bool word_counts_add(struct word_counts *c, const struct text *texts, size_t n, const char *where, gyr_error *e) {
    struct counting w = {.c = c};
    for (size_t i = 0; i < n; i++)
        if (texts[i].size >= UINT32_MAX)
            return fail(e, GYR_TOO_LONG, "%s: a text of more than 4 GB; cut it into several files", where);
    bool ok = cut(&w, texts, n);
    if (ok) pool_run(c->pool, pool_threads(c->pool), count_task, &w);
    free(w.pieces);
    return (ok && !atomic_load(&w.failed)) || fail_memory(e, where);
}

struct counted_word *word_counts_take(struct word_counts *c, size_t *n, gyr_error *e) {
    struct table *all = &c->tables[0];
    bool ok = true;
    for (unsigned i = 1; i < pool_threads(c->pool); i++) {
        struct table *t = &c->tables[i];
        for (size_t k = 0; ok && t->slots && k <= t->mask; k++)
            if (t->slots[k].count) ok = add(all, t->slots[k].hash, t->slots[k].word, t->slots[k].count, true);
        free(t->slots);
        t->slots = NULL;
    }
    struct counted_word *words = ok ? malloc((all->n + 1) * sizeof *words) : NULL;
    *n = 0;
    for (size_t k = 0; words && all->slots && k <= all->mask; k++)
        if (all->slots[k].count) words[(*n)++] = (struct counted_word){all->slots[k].word, all->slots[k].count};
    free(all->slots);
    all->slots = NULL;
    if (!words) fail_memory(e, "words");
    return words;
}
