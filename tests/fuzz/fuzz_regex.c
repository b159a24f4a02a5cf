// A regular expression as a grammar.
#include "fuzz_grammar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    try_grammar(GRAMMAR_REGEX, data, size);
    return 0;
}
