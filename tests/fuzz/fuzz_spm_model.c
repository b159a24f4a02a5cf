// A tokenizer.model: whatever it holds, reading gives a vocabulary that text can be encoded with, or an error.
#include "use_vocab.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    gyr_error e = {0};
    struct vocab v;
    if (spm_model((const char *)data, size, "tokenizer.model", &v, &e))
        use_vocab(&v);
    else if (e.status == GYR_OK || !e.message[0])
        abort();
    vocab_free(&v);
    return 0;
}
