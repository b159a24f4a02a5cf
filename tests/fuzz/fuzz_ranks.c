// A tiktoken.model (first byte 0, or 1 for Qwen's) or a tekken.json (any other first byte): whatever it holds, reading
// gives a vocabulary that text can be encoded with, or an error.
#include "use_vocab.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bool (*const readers[])(const char *, size_t, const char *, struct vocab *,
                            gyr_error *) = {tiktoken_model, qwen_tiktoken, tekken_json};
    gyr_error e = {0};
    struct vocab v = {0};
    if (!size) return 0;
    size_t which = data[0] < 2 ? data[0] : 2;
    const char *text = (const char *)data + (which < 2);
    if (readers[which](text, size - (which < 2), "ranks", &v, &e)) {
        if (which == 0) v.pre = (char *)(uintptr_t) "kimi-k2";
        if (which == 1) v.pre = (char *)(uintptr_t) "qwen2";
        use_vocab(&v);
    } else if (e.status == GYR_OK || !e.message[0])
        abort();
    vocab_free(&v);
    return 0;
}
