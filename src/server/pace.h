// How much of prompts a step computes while answers wait for it. The rows of a long prompt's end cost many times what
// those of its beginning do, because each attends to all before it: the same number of them would hold the answers up
// longer and longer. What is computed in a step changes no byte of what comes out (docs/arithmetic.md).
#ifndef SERVER_PACE_H
#define SERVER_PACE_H

#include <stddef.h>

struct pace {
    double share; // tokens of prompts in a step; 0: not known yet
    double alone; // seconds of a step without any, about
};

// Tokens of prompts for the next step beside answers, at most `most`.
size_t pace_share(const struct pace *p, size_t most);

// What a step beside answers took, with so many tokens of prompts in it.
void pace_note(struct pace *p, size_t tokens, size_t most, double seconds);

#endif
