// Included before everything else in tests of operations that are to run on a card: what they allocate, and their
// stack, is pinned memory, which a card reaches under the host's own addresses. So they need not know that its memory
// is another.
#ifndef TESTS_SIMT_CARD_ON_CARD_H
#define TESTS_SIMT_CARD_ON_CARD_H

#include <stdlib.h>

void *card_malloc(size_t bytes);
void *card_calloc(size_t n, size_t bytes);
void card_free(void *p);

#define malloc card_malloc
#define calloc card_calloc
#define free   card_free

int card_main(int argc, char **argv);
#define main(...) card_main(int argc, char **argv)

// A card has one width of warps.
#define BOTH_WARPS(...)                                                                                                \
    {                                                                                                                  \
        open_pair(0);                                                                                                  \
        __VA_ARGS__                                                                                                    \
        close_pair();                                                                                                  \
    }

#endif
