// A folder of quantized weights: a byte that chooses a config (or what comes before a zero is one), and a safetensors
// image. Reading gives tensors whose every element can be decoded, the same in one piece and from blocks, or an error.
#include "format/hf.h"
#include "format/packed.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const configs[] = {
    "{\"quantization_config\": {\"quant_method\": \"fp8\", \"weight_block_size\": [2, 3]}}",
    "{\"quantization_config\": {\"quant_method\": \"fp8\"}}",
    "{\"quantization_config\": {\"quant_method\": \"compressed-tensors\", \"format\": \"float-quantized\"}}",
    "{\"quantization_config\": {\"quant_method\": \"compressed-tensors\", \"format\": \"pack-quantized\"}}",
    ("{\"compression_config\": {\"quant_method\": \"compressed-tensors\", \"format\": \"pack-quantized\", "
     "\"config_groups\": {\"group_0\": {\"weights\": {\"num_bits\": 4, \"type\": \"int\", \"symmetric\": false}}}}}"),
    "{\"quantization_config\": {\"quant_method\": \"awq\", \"bits\": 4}}",
};
enum { CONFIGS = sizeof configs / sizeof *configs };

static bool configure(struct checkpoint *c, const uint8_t **data, size_t *size, gyr_error *e) {
    const char *text;
    size_t n;
    if (**data < CONFIGS) {
        text = configs[**data];
        n = strlen(text);
        *data += 1;
        *size -= 1;
    } else {
        const uint8_t *zero = memchr(*data, 0, *size);
        if (!zero) return false;
        text = (const char *)*data;
        n = (size_t)(zero - *data);
        *size -= n + 1;
        *data = zero + 1;
    }
    json_t *root = json_parse(text, n, 0, "fuzz", e);
    bool ok = root && hf_config(root, c->keys, "fuzz", e);
    json_decref(root);
    return ok;
}

static void check(const struct checkpoint *c, const struct tensor *t) {
    size_t n = (size_t)(t->dim[0] * t->dim[1]), bytes = type_row_bytes(t->type, t->dim[0]) * (size_t)t->dim[1];
    if (!t->scales || t->n_dims != 2 || t->bytes != bytes) abort();
    if (checkpoint_tensor(c, t->name.data) != t) abort();
    float *x = malloc(n * sizeof *x), *y = malloc(n * sizeof *y);
    uint8_t *own = malloc(bytes);
    if (x && y && own) {
        tensor_decode(t, 0, n, x);
        tensor_blocks(t, 0, n, own);
        for (size_t r = 0; r < t->dim[1]; r++)
            type_decode(t->type, own + r * (bytes / (size_t)t->dim[1]), 0, (size_t)t->dim[0],
                        y + r * (size_t)t->dim[0]);
        for (size_t i = 0; i < n; i++)
            if (memcmp(x + i, y + i, sizeof *x) && (x[i] == x[i] || y[i] == y[i])) abort();
    }
    free(x);
    free(y);
    free(own);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    gyr_error e = {0};
    struct checkpoint *c = size ? checkpoint_new("fuzz", &e) : NULL;
    if (!c) return 0;
    if (configure(c, &data, &size, &e)) {
        bool ok = safetensors_read(c, "fuzz", data, size, NULL, &e) && packed_settle(c, &e) && packed_check(c, &e);
        if (!ok && (e.status == GYR_OK || !e.message[0])) abort();
        for (size_t i = 0; ok && i < c->n_tensors; i++)
            if (c->tensors[i].packing) check(c, &c->tensors[i]);
    }
    checkpoint_close(c);
    return 0;
}
