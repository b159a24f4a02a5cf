// A JSON Schema.
#include "fuzz_grammar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    try_grammar(GRAMMAR_JSON_SCHEMA, data, size);
    return 0;
}
