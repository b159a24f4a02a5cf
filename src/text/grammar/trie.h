// Texts of tokens as a tree, so that what many begin with is looked at once. Nodes are in preorder: a node's first
// child comes right after it, and what follows its subtree is the next to look at where the node does not fit.
#ifndef TEXT_GRAMMAR_TRIE_H
#define TEXT_GRAMMAR_TRIE_H

#include "base/buf.h"
#include "base/error.h"

struct trie_node {
    uint32_t skip;   // nodes of its subtree, itself counted
    uint32_t tokens; // first of those that end here, in trie.tokens; they end where the next node's begin
    uint16_t depth;  // 1: first byte
    uint8_t byte;
};

struct trie {
    struct trie_node *nodes; // `n`, and one more
    size_t n;
    int32_t *tokens; // ids
    size_t n_tokens;
    size_t longest; // bytes
};

enum { MAX_TOKEN_BYTES = 4096 };

// A text and its token. Sorts `items`. Texts have 1 to MAX_TOKEN_BYTES bytes.
struct trie_item {
    struct text text;
    int32_t id;
};
bool trie_init(struct trie *t, struct trie_item *items, size_t n); // false: no memory
void trie_free(struct trie *t);

#endif
