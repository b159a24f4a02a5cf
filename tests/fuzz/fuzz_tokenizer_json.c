// A tokenizer.json, and the same bytes as a config.json: whatever they hold, reading gives a vocabulary, and keys,
// whose every part is sound and text can be encoded with, or an error.
#include "use_vocab.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t sum;

static void touch(struct text s) {
    for (size_t i = 0; i < s.size; i++) sum += (unsigned char)s.data[i];
}

static void check(const struct vocab *v) {
    for (size_t i = 0; i < v->n; i++) {
        touch(v->tokens[i]);
        if (v->kinds[i] < TOKEN_NORMAL || v->kinds[i] > TOKEN_BYTE) abort();
    }
    for (size_t i = 0; i < v->n_merges; i++) {
        touch(v->merges[i]);
        if (!memchr(v->merges[i].data, ' ', v->merges[i].size)) abort();
    }
    for (size_t i = 0; i < v->n_splits; i++) sum += v->splits[i].pattern ? strlen(v->splits[i].pattern) : 0;
    int64_t ids[] = {v->bos, v->eos, v->eot, v->unk, v->pad};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        if (ids[i] < -1 || ids[i] >= (int64_t)v->n) abort();
    for (size_t i = 0; i < v->n_lead; i++)
        if (i >= MAX_LEAD || v->lead[i] < 0 || (size_t)v->lead[i] >= v->n) abort();
}

static void read_config(const char *data, size_t size) {
    gyr_error e = {0};
    struct keys keys = {0};
    json_t *root = json_parse(data, size, 0, "config.json", &e);
    bool ok = root && hf_config(root, &keys, "config.json", &e);
    if (!ok && (e.status == GYR_OK || !e.message[0])) abort();
    json_decref(root);
    for (size_t i = 0; i < keys.n; i++) {
        const struct value *v = &keys.items[i].value;
        for (size_t k = 0; k < (v->kind == VALUE_ARRAY ? v->array.n : 1); k++) {
            struct value item = value_at(v, k);
            if (item.kind == VALUE_STRING) touch(item.s);
        }
    }
    keys_free(&keys);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    read_config((const char *)data, size);
    gyr_error e = {0};
    struct vocab v;
    bool ok = tokenizer_json((const char *)data, size, "tokenizer.json", &v, &e);
    if (!ok && (e.status == GYR_OK || !e.message[0])) abort();
    if (ok) check(&v), use_vocab(&v);
    vocab_free(&v);
    return 0;
}
