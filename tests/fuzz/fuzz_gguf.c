// A GGUF image in memory: whatever it holds, opening gives a checkpoint whose every byte can be read, or an error.
#include "format/checkpoint.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t sum;

static void touch(const void *data, size_t size) {
    for (size_t i = 0; i < size; i++) sum += ((const uint8_t *)data)[i];
}

static void touch_value(const struct value *v) {
    size_t n = v->kind == VALUE_ARRAY ? v->array.n : 1;
    for (size_t i = 0; i < n; i++) {
        struct value item = value_at(v, i);
        if (item.kind == VALUE_STRING) touch(item.s.data, item.s.size);
    }
}

static void touch_vocab(const struct vocab *v) {
    for (size_t i = 0; i < v->n; i++) {
        touch(v->tokens[i].data, v->tokens[i].size);
        sum += v->kinds[i] + (v->scores && v->scores[i] > 0);
    }
    for (size_t i = 0; i < v->n_merges; i++) touch(v->merges[i].data, v->merges[i].size);
    int64_t ids[] = {v->bos, v->eos, v->eot, v->unk, v->pad};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        if (ids[i] < -1 || ids[i] >= (int64_t)v->n) abort();
    for (size_t i = 0; i < v->n_lead; i++)
        if (i >= MAX_LEAD || v->lead[i] < 0 || (size_t)v->lead[i] >= v->n) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    gyr_error e = {0};
    struct checkpoint *c = checkpoint_open_memory("fuzz.gguf", data, size, &e);
    if (!c) {
        if (e.status == GYR_OK || !e.message[0]) abort();
        return 0;
    }
    struct text name;
    const struct value *v;
    for (size_t i = 0; checkpoint_key(c, i, &name, &v); i++) touch_value(v);
    for (size_t i = 0; i < c->n_tensors; i++) touch(c->tensors[i].data, c->tensors[i].bytes);
    touch_vocab(&c->vocab);
    checkpoint_close(c);
    return 0;
}
