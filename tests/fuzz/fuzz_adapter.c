// A LoRA adapter: a GGUF image; or, behind a line that says how long it is, an adapter_config.json and a safetensors
// image. Whatever it holds, reading gives pairs whose every number can be read, or an error.
#include "format/adapter.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_half(const struct tensor *t) {
    size_t n = (size_t)(t->dim[0] * t->dim[1] * t->dim[2]);
    float *x = malloc(n * sizeof *x);
    if (!x) abort();
    tensor_decode(t, 0, n, x);
    free(x);
}

static void check(struct adapter_file *f, const gyr_error *e) {
    if (!f && (e->status == GYR_OK || !e->message[0] || strchr(e->message, '\n'))) abort();
    for (size_t i = 0; f && i < f->n; i++) {
        const struct adapter_pair *p = &f->pairs[i];
        if (!p->name || !p->rank || p->rank > MAX_RANK || p->a->dim[1] != p->rank || p->b->dim[0] != p->rank) abort();
        if (p->a->dim[2] != p->b->dim[2] || !(p->scale - p->scale == 0)) abort();
        read_half(p->a);
        read_half(p->b);
    }
    adapter_close(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    gyr_error e = {0};
    if (size >= 4 && !memcmp(data, "GGUF", 4)) {
        check(adapter_open_gguf("fuzz", data, size, &e), &e);
        return 0;
    }
    const uint8_t *end = size ? memchr(data, '\n', size) : NULL;
    if (!end) return 0;
    size_t config = 0, left = size - (size_t)(end + 1 - data);
    for (const uint8_t *p = data; p < end && *p >= '0' && *p <= '9' && config <= left; p++)
        config = config * 10 + (size_t)(*p - '0');
    if (config > left) config = left;
    check(adapter_open_peft("fuzz", (const char *)end + 1, config, end + 1 + config, left - config, &e), &e);
    return 0;
}
