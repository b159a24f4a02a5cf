// Text of any bytes to tokens and back, for a byte-level and a SentencePiece vocabulary with every byte: the text must
// come back, plain text must hold no control token, and a text with special tokens must come back by their names.
#include "format/checkpoint.h"
#include "text/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct tokenizer *tokenizers[2];
static const struct vocab *vocabs[2];

static void open_all(void) {
    static const char *const names[] = {"plain", "spm"};
    const char *root = getenv("GYR_SOURCE");
    for (int i = 0; i < 2; i++) {
        char path[1024];
        gyr_error e = {0};
        snprintf(path, sizeof path, "%s/tests/data/tokenizers/%s.gguf", root ? root : ".", names[i]);
        struct checkpoint *c = checkpoint_open(path, &e);
        if (c) tokenizers[i] = tokenizer_new(&c->vocab, path, &e);
        if (!tokenizers[i]) {
            fprintf(stderr, "%s\n", e.message);
            abort();
        }
        vocabs[i] = &c->vocab;
    }
}

static void check(const struct tokenizer *t, const struct vocab *v, const char *text, size_t size, size_t cut) {
    struct tokens ids = {0};
    struct buf back = {0};
    if (!tokenizer_encode(t, text, size, false, &ids, NULL)) abort();
    for (size_t i = 0; i < ids.n; i++) {
        if (v->kinds[ids.ids[i]] == TOKEN_CONTROL) abort();
        tokenizer_decode(t, ids.ids[i], i == 0, false, &back);
    }
    if (back.size != size || (size && memcmp(back.data, text, size))) abort();
    // Parsed for special tokens but in a part of it: only the space prefixes after them may come in addition.
    const size_t user[2] = {cut, size};
    ids.n = 0;
    buf_clear(&back);
    if (!tokenizer_encode_chat(t, text, size, user, 1, &ids, NULL)) abort();
    for (size_t i = 0; i < ids.n; i++) tokenizer_decode(t, ids.ids[i], i == 0, true, &back);
    if (back.size < size || (!v->space_prefix && (back.size != size || (size && memcmp(back.data, text, size)))))
        abort();
    buf_free(&back);
    tokens_free(&ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!tokenizers[0]) open_all();
    size_t cut = size ? data[0] % size : 0;
    for (int i = 0; i < 2; i++) check(tokenizers[i], vocabs[i], (const char *)data, size, cut);
    return 0;
}
