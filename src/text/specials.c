#include "text/specials.h"
#include "base/buf.h"

#include <stdlib.h>
#include <string.h>

bool specials_add(struct specials *s, struct text text, int32_t id) {
    if (!ARRAY_GROW(s->items, s->n, s->room)) return false;
    s->items[s->n++] = (struct special){text, id};
    return true;
}

static int compare(const void *a, const void *b) {
    const struct special *x = a, *y = b;
    size_t least = x->text.size < y->text.size ? x->text.size : y->text.size;
    int order = memcmp(x->text.data, y->text.data, least);
    if (order) return order;
    if (x->text.size != y->text.size) return x->text.size < y->text.size ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

static bool same(struct text a, struct text b) { return a.size == b.size && !memcmp(a.data, b.data, a.size); }

void specials_sort(struct specials *s) {
    if (s->n) qsort(s->items, s->n, sizeof *s->items, compare);
    size_t kept = 0;
    for (size_t i = 0; i < s->n; i++)
        if (!kept || !same(s->items[kept - 1].text, s->items[i].text)) s->items[kept++] = s->items[i];
    s->n = kept;
    size_t i = 0;
    for (int b = 0; b <= 256; b++) {
        while (i < s->n && (unsigned char)s->items[i].text.data[0] < b) i++;
        s->first[b] = i;
    }
}

void specials_free(struct specials *s) {
    free(s->items);
    *s = (struct specials){0};
}

// The first of items [low, high), which agree up to `depth`, whose byte there is at least c.
static size_t lower(const struct specials *s, size_t low, size_t high, size_t depth, int c) {
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if ((unsigned char)s->items[middle].text.data[depth] < c)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct special *specials_at(const struct specials *s, struct specials_walk *w, size_t depth) {
    return w->low < w->high && s->items[w->low].text.size == depth ? &s->items[w->low++] : NULL;
}

bool specials_next(const struct specials *s, struct specials_walk *w, size_t depth, unsigned char c) {
    w->low = lower(s, w->low, w->high, depth, c);
    w->high = lower(s, w->low, w->high, depth, c + 1);
    return w->low < w->high;
}

const struct special *specials_longest(const struct specials *s, const char *text, size_t size) {
    const unsigned char *p = (const unsigned char *)text;
    const struct special *best = NULL, *found;
    if (!s->n || !size) return NULL;
    struct specials_walk w = specials_start(s, *p);
    for (size_t depth = 1; w.low < w.high; depth++) {
        if ((found = specials_at(s, &w, depth))) best = found;
        if (depth == size || !specials_next(s, &w, depth, p[depth])) break;
    }
    return best;
}
