// A grammar in GBNF, also with schemas and expressions in it.
#include "fuzz_grammar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    try_grammar(GRAMMAR_EBNF, data, size);
    return 0;
}
