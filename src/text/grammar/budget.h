// What reading one grammar may cost. It is counted and not timed, so that every machine refuses the same grammars: a
// step stands for some nanoseconds of work and at most a few dozen bytes of memory.
#ifndef TEXT_GRAMMAR_BUDGET_H
#define TEXT_GRAMMAR_BUDGET_H

#include <stdbool.h>
#include <stddef.h>

struct budget {
    size_t left; // 0: used up, for good
};

// False when it is used up. Called before the work, by whatever might do much of it.
static inline bool spend(struct budget *b, size_t steps) {
    b->left = steps < b->left ? b->left - steps : 0;
    return b->left;
}

// For an attempt that has a way out: half of what is left. What of that was spent is taken from the whole afterwards.
static inline struct budget budget_half(const struct budget *b) { return (struct budget){b->left / 2}; }
static inline void budget_settle(struct budget *b, const struct budget *half) {
    size_t given = b->left / 2;
    spend(b, given - half->left);
}

#endif
