// MXFP4 as Hugging Face folders have it (gpt-oss; transformers, integrations/mxfp4.py): a matrix NAME is two tensors of
// bytes. NAME_blocks is [...][rows][blocks][16], each byte two elements side by side, the first in its low half;
// NAME_scales is [...][rows][blocks]. A block of GGUF's has its scale in front, and element i beside element i + 16.
#include "format/hf.h"
#include "format/packed.h"

#include <string.h>

enum { BLOCK = 32, HALF = BLOCK / 2 };

static const struct end {
    const char *text;
    bool scales;
} ends[] = {{"_blocks", false}, {"_scales", true}};

// What a name ends in; NULL if it is no half of a matrix.
static const struct end *end_of(struct text name) {
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t n = strlen(ends[i].text);
        if (name.size > n && !memcmp(name.data + name.size - n, ends[i].text, n)) return &ends[i];
    }
    return NULL;
}

bool mxfp4_half(struct text name) { return end_of(name); }

// The matrix that a half is of; false if it is of none. Blocks have an axis more, of the bytes of a block.
static bool matrix_of(const struct tensor *half, const struct end *end, struct tensor *t) {
    int first = !end->scales;
    *t = (struct tensor){.name = {half->name.data, half->name.size - strlen(end->text)},
                         .type = TYPE_MXFP4,
                         .n_dims = half->n_dims - first,
                         .dim = {1, 1, 1, 1}};
    if ((first && half->dim[0] != HALF) || t->n_dims < 1) return false;
    for (int i = 0; i < t->n_dims; i++) t->dim[i] = half->dim[i + first];
    if (__builtin_mul_overflow(t->dim[0], BLOCK, &t->dim[0]) || !tensor_measure(t, "", NULL)) return false;
    t->bytes = t->bytes / (1 + HALF) * HALF;
    if (end->scales)
        t->scales = half->data;
    else
        t->data = half->data;
    return true;
}

bool mxfp4_add(struct checkpoint *c, const struct tensor *half, const char *where, bool *is, gyr_error *e) {
    struct tensor t;
    *is = matrix_of(half, end_of(half->name), &t);
    if (!*is) return true;
    t.name.data = arena_copy(&c->storage->arena, t.name);
    if (!t.name.data) return fail_memory(e, where);
    struct tensor *other = (struct tensor *)(uintptr_t)checkpoint_tensor(c, t.name.data);
    if (!other) return checkpoint_add(c, &t, where, e);
    bool second = other->type == TYPE_MXFP4 && !(t.data ? other->data : (const uint8_t *)other->scales);
    if (!second) return *is = false, true;
    if (other->n_dims != t.n_dims || memcmp(other->dim, t.dim, sizeof t.dim)) {
        other->unread = "has blocks and scales that do not fit together; get the file again";
        other->status = GYR_MALFORMED;
    }
    if (t.data)
        other->data = t.data;
    else
        other->scales = t.scales;
    return true;
}

void mxfp4_whole(struct checkpoint *c) {
    for (size_t i = 0; i < c->n_tensors; i++) {
        struct tensor *t = &c->tensors[i];
        if (t->type != TYPE_MXFP4 || (t->data && t->scales)) continue;
        t->unread = t->data ? "has no scales; get all parts of the model" : "has no blocks; get all parts of the model";
        t->status = GYR_MALFORMED;
    }
}

// GGUF's block of 16 bytes and a scale.
static void join(const uint8_t *half, uint8_t scale, uint8_t *out) {
    *out++ = scale;
    for (int i = 0; i < HALF; i++) {
        int low = half[i / 2] >> i % 2 * 4 & 15, high = half[(i + HALF) / 2] >> i % 2 * 4 & 15;
        out[i] = (uint8_t)(low | high << 4);
    }
}

void tensor_blocks(const struct tensor *t, uint64_t first, size_t n, uint8_t *out) {
    if (t->packing) {
        packed_blocks(t, first, n, out);
        return;
    }
    for (size_t b = first / BLOCK; b < (first + n) / BLOCK; b++, out += 1 + HALF)
        join(t->data + b * HALF, t->scales[b], out);
}

void tensor_decode(const struct tensor *t, uint64_t first, size_t n, float *out) {
    if (t->packing) {
        packed_decode(t, first, n, out);
        return;
    }
    if (!t->scales) {
        type_decode(t->type, t->data, (size_t)first, n, out);
        return;
    }
    for (size_t i = 0; i < n; i += BLOCK) {
        uint8_t block[1 + HALF];
        tensor_blocks(t, first + i, BLOCK, block);
        type_decode(t->type, block, 0, BLOCK, out + i);
    }
}
