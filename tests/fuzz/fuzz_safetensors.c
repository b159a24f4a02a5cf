// A safetensors image: whatever it holds, reading gives tensors whose every byte can be read, or an error.
#include "format/hf.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t sum;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    gyr_error e = {0};
    struct checkpoint *c = checkpoint_new("fuzz.safetensors", &e);
    if (!c) return 0;
    bool ok = safetensors_read(c, "fuzz.safetensors", data, size, NULL, &e);
    if (ok) mxfp4_whole(c);
    if (!ok && (e.status == GYR_OK || !e.message[0])) abort();
    for (size_t i = 0; ok && i < c->n_tensors; i++) {
        const struct tensor *t = &c->tensors[i];
        for (size_t b = 0; t->data && !t->scales && b < t->bytes; b++) sum += t->data[b];
        if (t->unread) { // whatever it is, it must say so
            if (tensor_readable(t, "fuzz", &e) || !e.message[0]) abort();
            continue;
        }
        size_t bytes = type_row_bytes(t->type, t->dim[0]) * t->dim[1] * t->dim[2] * t->dim[3];
        if (t->bytes != (t->scales ? bytes / 17 * 16 : bytes)) abort();
        for (size_t b = 0; t->scales && b < t->bytes / 16; b++) sum += t->scales[b];
        if (checkpoint_tensor(c, t->name.data) != t) abort();
        for (size_t b = 0; b < t->bytes; b++) sum += t->data[b];
    }
    checkpoint_close(c);
    return 0;
}
