#include "train/corpus.h"
#include "engine/random.h"
#include "train/texts.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

// So that what is held out is drawn apart from everything else.
static const uint64_t held_seed = 0x68656c64;

struct reading {
    struct corpus *all, *held;
    const struct corpus_rules *rules;
    struct pool *pool;
    uint64_t texts;
    gyr_error *e;
    // of some texts
    const struct text *items;
    struct tokens *tokens;
    gyr_error why;
    atomic_bool failed;
    atomic_flag told;
};

static void encode_task(void *arg, size_t i) {
    struct reading *r = arg;
    const struct corpus_rules *k = r->rules;
    gyr_error why = {0};
    struct tokens *to = &r->tokens[i];
    bool ok = tokenizer_begin(k->tokenizer, to) || fail_memory(&why, "training");
    ok = ok && tokenizer_encode(k->tokenizer, r->items[i].data, r->items[i].size, false, to, &why);
    ok = ok && (k->end < 0 || tokens_push(to, k->end) || fail_memory(&why, "training"));
    if (ok) return;
    if (!atomic_flag_test_and_set(&r->told)) r->why = why;
    atomic_store(&r->failed, true);
}

static bool append(struct corpus *c, const struct tokens *t, uint64_t bytes, gyr_error *e) {
    while (c->room < c->n + t->n)
        if (!ARRAY_GROW(c->ids, c->room, c->room)) return fail_memory(e, "training");
    if (!ARRAY_GROW(c->items, c->n_items, c->item_room)) return fail_memory(e, "training");
    memcpy(c->ids + c->n, t->ids, t->n * sizeof *t->ids);
    c->items[c->n_items++] = (struct document){c->n, t->n, bytes};
    c->n += t->n;
    return true;
}

static bool take(void *arg, const struct some_texts *s) {
    struct reading *r = arg;
    bool ok = (r->tokens = calloc(s->n, sizeof *r->tokens)) || fail_memory(r->e, s->path);
    r->items = s->items;
    if (ok) pool_run(r->pool, s->n, encode_task, r);
    if (ok && atomic_load(&r->failed)) ok = fail(r->e, r->why.status, "%s: %s", s->path, r->why.message);
    for (size_t i = 0; ok && i < s->n; i++, r->texts++) {
        bool held = r->held && random_at(r->rules->seed + held_seed, r->texts) < r->rules->hold_out;
        if (r->tokens[i].n > 1) ok = append(held ? r->held : r->all, &r->tokens[i], s->items[i].size, r->e);
    }
    for (size_t i = 0; r->tokens && i < s->n; i++) tokens_free(&r->tokens[i]);
    free(r->tokens);
    return ok;
}

bool corpus_read(struct corpus *all, struct corpus *held, const char *const *paths, size_t n,
                 const struct corpus_rules *rules, gyr_error *e) {
    struct reading r = {.all = all, .held = held, .rules = rules, .e = e, .told = ATOMIC_FLAG_INIT};
    bool ok = (r.pool = pool_new(rules->threads, e)) && texts_read(paths, n, take, &r, e);
    pool_free(r.pool);
    if (ok && !all->n_items)
        return fail(e, GYR_MALFORMED, "%s: has no text of two tokens to learn from", n ? paths[0] : "the data");
    return ok;
}

void corpus_free(struct corpus *c) {
    free(c->ids);
    free(c->items);
    *c = (struct corpus){0};
}

// ---------------------------------------------------------------------------------------------------- blocks

bool block_new(struct block *b, size_t room, gyr_error *e) {
    *b = (struct block){.ids = calloc(room, sizeof *b->ids),
                        .weight = calloc(room, sizeof *b->weight),
                        .starts = calloc(room, sizeof *b->starts)};
    return (b->ids && b->weight && b->starts) || fail_memory(e, "training");
}

void block_free(struct block *b) {
    free(b->ids);
    free(b->weight);
    free(b->starts);
}

static void shuffle(struct packing *p) {
    size_t n = p->c->n_items;
    for (size_t i = 0; i < n; i++) p->order[i] = i;
    for (size_t i = n; p->shuffled && i-- > 1;) {
        size_t j = (size_t)(random_at(p->seed, p->epoch * n + i) * (double)(i + 1)), was = p->order[i];
        p->order[i] = p->order[j];
        p->order[j] = was;
    }
}

void packing_rewind(struct packing *p) {
    p->epoch = p->next = p->at = 0;
    shuffle(p);
}

bool packing_new(struct packing *p, const struct corpus *c, size_t room, uint64_t epochs, uint64_t seed, bool shuffled,
                 gyr_error *e) {
    *p = (struct packing){.c = c, .room = room, .epochs = epochs, .seed = seed, .shuffled = shuffled};
    if (!(p->order = calloc(c->n_items + 1, sizeof *p->order))) return fail_memory(e, "training");
    packing_rewind(p);
    return true;
}

void packing_free(struct packing *p) { free(p->order); }

static bool at_end(const struct packing *p) { return !p->c->n_items || (p->epochs && p->epoch >= p->epochs); }

static void next_text(struct packing *p) {
    p->at = 0;
    if (++p->next < p->c->n_items) return;
    p->next = 0;
    p->epoch++;
    if (!at_end(p)) shuffle(p);
}

static void put(struct block *b, const int32_t *ids, size_t at, size_t n) {
    b->starts[b->n_starts++] = at;
    memcpy(b->ids + at, ids, n * sizeof *ids);
    for (size_t i = 0; i < n; i++) b->weight[at + i] = i + 1 < n;
    b->learned += n - 1;
}

bool packing_next(struct packing *p, struct block *b) {
    size_t used = 0;
    if (b) b->n_starts = b->learned = 0;
    while (p->room - used >= 2 && !at_end(p)) {
        const struct document *d = &p->c->items[p->order[p->next]];
        size_t left = d->n - p->at, n = left < p->room - used ? left : p->room - used;
        if (b) put(b, p->c->ids + d->at + p->at, used, n);
        used += n;
        p->at += n;
        if (p->at == d->n)
            next_text(p);
        else
            p->at--; // the next block begins with this token
    }
    if (b) b->n = used;
    return used;
}

uint64_t packing_count(struct packing *p) {
    uint64_t n = 0;
    packing_rewind(p);
    while (packing_next(p, NULL)) n++;
    packing_rewind(p);
    return n;
}
