#include "model/shapes.h"

#include <string.h>

// From the models' published config.json files.
static const struct shape shapes[] = {
    {"falcon-rw-1b", "falcon", "gpt-2", 24, 2048, 32, 32, 8192, 2048, 50304, "=falcon.attention.max_alibi_bias"},
    {"falcon-7b", "falcon", "falcon", 32, 4544, 71, 1, 18176, 2048, 65024, NULL},
    {"falcon2-11b", "falcon", "falcon", 60, 4096, 32, 8, 16384, 8192, 65024, NULL},
    {"falcon-40b", "falcon", "falcon", 60, 8192, 128, 8, 32768, 2048, 65024, "blk.0.attn_norm_2.weight"},
    {"falcon-180b", "falcon", "falcon", 80, 14848, 232, 8, 59392, 2048, 65024, "blk.0.attn_norm_2.weight"},
};

const struct shape *shape_row(size_t i) { return i < sizeof shapes / sizeof *shapes ? &shapes[i] : NULL; }

const struct shape *shape_by_name(const char *name) {
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        if (!strcmp(shapes[i].name, name)) return &shapes[i];
    return NULL;
}
