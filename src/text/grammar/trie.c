#include "text/grammar/trie.h"

#include <stdlib.h>
#include <string.h>

void trie_free(struct trie *t) {
    free(t->nodes);
    free(t->tokens);
    *t = (struct trie){0};
}

static int by_text(const void *a, const void *b) {
    const struct trie_item *x = a, *y = b;
    size_t n = x->text.size < y->text.size ? x->text.size : y->text.size;
    int c = memcmp(x->text.data, y->text.data, n);
    if (c) return c;
    if (x->text.size != y->text.size) return x->text.size < y->text.size ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

static size_t common(struct text a, struct text b) {
    size_t n = a.size < b.size ? a.size : b.size, i = 0;
    while (i < n && a.data[i] == b.data[i]) i++;
    return i;
}

bool trie_init(struct trie *t, struct trie_item *items, size_t n) {
    *t = (struct trie){0};
    if (n) qsort(items, n, sizeof *items, by_text);
    size_t nodes = 0;
    for (size_t i = 0; i < n; i++) {
        nodes += items[i].text.size - (i ? common(items[i - 1].text, items[i].text) : 0);
        if (items[i].text.size > t->longest) t->longest = items[i].text.size;
    }
    uint32_t *path = malloc((t->longest + 1) * sizeof *path); // open nodes by depth
    t->nodes = malloc((nodes + 1) * sizeof *t->nodes);
    t->tokens = malloc((n + 1) * sizeof *t->tokens);
    bool ok = path && t->nodes && t->tokens && nodes < UINT32_MAX;
    size_t open = 0;
    for (size_t i = 0; ok && i <= n; i++) {
        size_t same = i && i < n ? common(items[i - 1].text, items[i].text) : 0;
        for (; open > same; open--) t->nodes[path[open]].skip = (uint32_t)(t->n - path[open]);
        for (size_t k = same; i < n && k < items[i].text.size; k++) {
            path[++open] = (uint32_t)t->n;
            t->nodes[t->n++] =
                (struct trie_node){0, (uint32_t)t->n_tokens, (uint16_t)(k + 1), (uint8_t)items[i].text.data[k]};
        }
        if (i < n) t->tokens[t->n_tokens++] = items[i].id;
    }
    if (ok) t->nodes[t->n] = (struct trie_node){.tokens = (uint32_t)t->n_tokens};
    free(path);
    if (!ok) trie_free(t);
    return ok;
}
