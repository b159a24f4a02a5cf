// Encodes with a vocabulary that came from a hostile file.
#ifndef TESTS_FUZZ_USE_VOCAB_H
#define TESTS_FUZZ_USE_VOCAB_H

#include "format/hf.h"
#include "text/tokenizer.h"

#include <stdlib.h>

// Whatever the vocabulary, text becomes tokens of it, or one line says why not; no plain text becomes a control token.
static inline void use_vocab(const struct vocab *v) {
    static const char text[] =
        "Hello  world\xcc\x81 \xe2\x96\x81 \xef\xac\x81\xff\xfe 123 ab\tc\n\xe4\xb8\xad\xf0\x9f\xa6\x85 </s><user> ";
    gyr_error e = {0};
    struct tokens ids = {0};
    struct buf back = {0};
    struct tokenizer *t = tokenizer_new(v, "tokenizer.json", &e);
    if (t && tokenizer_encode(t, text, sizeof text - 1, false, &ids, &e))
        for (size_t i = 0; i < ids.n; i++) {
            if (ids.ids[i] < 0 || (size_t)ids.ids[i] >= v->n ||
                (v->kinds[ids.ids[i]] == TOKEN_CONTROL && ids.ids[i] != v->unk))
                abort();
            tokenizer_decode(t, ids.ids[i], i == 0, false, &back);
        }
    else if (e.status == GYR_OK || !e.message[0])
        abort();
    buf_free(&back);
    tokens_free(&ids);
    tokenizer_free(t);
}

#endif
