// Factors of matrices that a GGUF file has as tensors of their own: NVFP4's blocks have small scales, and NAME.scale
// one for the whole matrix, or for each expert's. What a matrix gives is multiplied by it. (NAME.input_scale is for
// those who round what they multiply with to NVFP4 too, and gyr does not.)
#include "model/bind.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

// The tensor NAME.`what` that goes with NAME.weight; NULL if the file has none.
static const struct tensor *beside(struct binder *b, enum role role, uint32_t layer, const char *what, char name[128]) {
    const struct model *m = b->m;
    if (!family_name(m->family, CHECKPOINT_GGUF, (struct place){role, PART_WEIGHT, layer, 0}, name)) return NULL;
    char *end = strrchr(name, '.');
    if (!end || strcmp(end, ".weight")) return NULL;
    snprintf(end, 128 - (size_t)(end - name), ".%s", what);
    const struct tensor *t = checkpoint_tensor(m->checkpoint, name);
    if (t && b->found) b->found[t - m->checkpoint->tensors] = true;
    return t;
}

// Gemma 4 has tensors of these names that mean something else.
static bool means_other(const struct binder *b, enum role role) {
    return b->m->family->experts.beside && (role == ROLE_ROUTER || role == ROLE_EXPERT_DOWN);
}

bool bind_by(struct binder *b, enum role role, uint32_t layer, bool biased, size_t n, size_t step, float *by) {
    const struct checkpoint *c = b->m->checkpoint;
    char name[128];
    if (c->source != CHECKPOINT_GGUF || means_other(b, role)) return true;
    beside(b, role, layer, "input_scale", name);
    const struct tensor *t = beside(b, role, layer, "scale", name);
    if (!t) return true;
    if (biased)
        return fail(b->e, GYR_UNSUPPORTED, "%s: tensor '%s' scales a matrix that has biases too; take another file",
                    c->path, name);
    bool fits = tensor_readable(t, c->path, NULL) && !type_info(t->type)->quantized && t->dim[0] == n &&
                t->dim[1] * t->dim[2] * t->dim[3] == 1;
    for (size_t i = 0; fits && i < n; i++) {
        float x;
        type_decode(t->type, t->data, i, 1, &x);
        fits = fabsf(x) < 1e12f;
        if (!b->looking) *(float *)(void *)((char *)by + i * step) = x;
    }
    return fits ||
           fail(b->e, GYR_MALFORMED, "%s: tensor '%s' is not %zu factors; convert the model again", c->path, name, n);
}
