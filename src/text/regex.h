// Pre-tokenizer patterns, matched by PCRE2 as Oniguruma (which Hugging Face tokenizers uses) would, in bounded time.
#ifndef TEXT_REGEX_H
#define TEXT_REGEX_H

#include "base/error.h"

struct regex;

// GYR_UNSUPPORTED, with the place in the pattern, if gyr cannot match it.
struct regex *regex_new(const char *pattern, const char *where, gyr_error *e);
void regex_free(struct regex *r);

// Memory for one thread's matching, and what it may still spend. Zero-initialize.
struct scan {
    struct pcre2_real_match_data_8 *match;
    struct pcre2_real_match_context_8 *context;
    struct pcre2_real_jit_stack_8 *stack;
    size_t budget; // bytes that may still be looked at beyond a first short look from each place
    bool spent;    // the pattern backtracked beyond all measure: it matches nothing any more
};

bool scan_begin(struct scan *s, size_t text_size); // false: out of memory
void scan_end(struct scan *s);

// Finds the first match that begins at or after `from` in valid UTF-8; it may be empty. False: there is none.
//
// Time is bounded whatever the pattern: each attempt sees a window of the text, which grows only while the attempt
// reaches its end, and grown windows are paid from the budget. A pattern that uses it up, or that backtracks beyond
// a limit proportional to the window, matches nothing in the rest of the text. The patterns of real models come
// nowhere near.
bool regex_find(const struct regex *r, struct scan *s, const char *text, size_t size, size_t from, size_t *begin,
                size_t *end);

#endif
