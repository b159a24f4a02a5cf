#include "model/merge.h"
#include "model/adapt.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct merge {
    const struct checkpoint *c;
    const char *path;
    struct device *device;
    struct model *model;
    struct adapter *adapter;
    bool *met; // [model->adaptable]
};

// A family that multiplies what some matrices give does so behind the adapter, too, and its GGUF files have the factors
// in their weights: what is added to these is for them.
static bool suits(const struct merge *m, gyr_error *e) {
    const struct model *model = m->model;
    bool gguf = m->c->source == CHECKPOINT_GGUF;
    bool multiplies = (model->family->scale.gguf_multiplied && !gguf) || adapter_multiplies(model);
    return !multiplies || fail(e, GYR_UNSUPPORTED, "%s: gyr merges nothing into models of the %s; merge it with PEFT",
                               m->path, model->family->kind);
}

static bool open_all(struct merge *m, gyr_error *e) {
    struct adapter_file *f = adapter_open(m->path, e);
    bool ok = f && (m->device = device_cpu(1, NULL, e)) && (m->model = model_new(m->c, m->device, e)) && suits(m, e) &&
              (m->adapter = adapter_bind(f, m->model, e));
    adapter_close(f);
    if (ok && !(m->met = calloc(m->model->adaptable + 1, sizeof *m->met))) ok = fail_memory(e, m->path);
    return ok;
}

struct merge *merge_new(const struct checkpoint *c, const char *path, gyr_error *e) {
    struct merge *m = calloc(1, sizeof *m);
    if (!m) return fail_memory(e, path), NULL;
    m->c = c;
    m->path = path;
    if (open_all(m, e)) return m;
    merge_free(m);
    return NULL;
}

void merge_free(struct merge *m) {
    if (!m) return;
    adapter_free(m->adapter);
    model_free(m->model);
    if (m->device) m->device->ops->close(m->device);
    free(m->met);
    free(m);
}

struct model *merge_model(const struct merge *m) {
    return m->model;
}

// The linear map that row `row` of a matrix of the file is in, and which row there.
static const struct linear *find(const struct merged *t, uint64_t row, size_t *there) {
    const struct model *m = t->m->model;
    const struct layer *l = &m->layers[t->at.layer];
    const struct row_order file = {.pairs = m->family->rope.gguf_pairs},
                           bound = {m->grouped, m->pairs, l->qkv.w.rows, l->gate_up.w.rows};
    size_t wide = adapt_wide(m, l, t->at.role);
    struct spot s = adapt_spot(m, &l->plan, &file, &bound, wide, t->at.role, row % t->each);
    *there = s.row;
    return adapt_linear(m, l, s.role, (uint32_t)(row / t->each));
}

static const struct lora *lora_at(const struct merged *t, uint64_t row, size_t *there, uint32_t *number) {
    const struct linear *l = t->at.role == ROLE_OUTPUT ? NULL : find(t, row, there);
    *number = t->at.role == ROLE_OUTPUT ? (uint32_t)ADAPTS_OUTPUT : l ? l->number : 0;
    if (t->at.role == ROLE_OUTPUT) *there = row;
    const struct lora *found = &t->m->adapter->of[*number];
    return *number && found->a.rows ? found : NULL;
}

bool merge_meets(struct merge *m, const char *name, const uint64_t dim[MAX_DIMS], struct merged *out) {
    struct merged t = {.m = m, .cols = dim[0], .each = dim[1]};
    bool any = false;
    if (!adapt_place(m->model, m->model->family, CHECKPOINT_GGUF, name, &t.at)) return false;
    if (t.at.role != ROLE_OUTPUT && t.at.layer >= m->model->h.layers) return false;
    if (dim[3] != 1) return false;
    for (uint64_t row = 0; row < dim[1] * dim[2]; row++) {
        size_t there;
        uint32_t number;
        if (!lora_at(&t, row, &there, &number)) continue;
        any = m->met[number] = true;
    }
    *out = t;
    return any;
}

// Each sum from zero in the order of ranks, and then added to the weight.
void merge_add(const struct merged *t, uint64_t first, size_t n, float *out) {
    for (size_t done = 0, some; done < n; done += some) {
        uint64_t row = (first + done) / t->cols, col = (first + done) % t->cols;
        some = n - done < t->cols - col ? n - done : (size_t)(t->cols - col);
        size_t there;
        uint32_t number;
        const struct lora *l = lora_at(t, row, &there, &number);
        if (!l) continue;
        size_t rank = l->a.rows;
        const float *a = (const float *)l->a.data + col, *b = (const float *)l->b.data + there * rank;
        for (size_t i = 0; i < some; i++) {
            float sum = 0;
            for (size_t k = 0; k < rank; k++) sum = fmaf(b[k], a[k * t->cols + i], sum);
            out[done + i] += sum;
        }
    }
}

bool merge_met_all(const struct merge *m, gyr_error *e) {
    for (uint32_t i = 1; i < m->model->adaptable; i++) {
        if (!m->adapter->of[i].a.rows || m->met[i]) continue;
        if (i == ADAPTS_OUTPUT && m->model->tied)
            return fail(
                e, GYR_UNSUPPORTED,
                "%s: adapts the output matrix, which is the model's embedding, too: it cannot be merged into it",
                m->path);
        return fail(e, GYR_UNSUPPORTED,
                    "%s: adapts a matrix that has no tensor of its own in the file: it cannot be "
                    "merged",
                    m->path);
    }
    return true;
}

bool merge_writes(const struct merge *m, const char *name, enum type type, gyr_error *e) {
    return type_info(type)->encode ||
           fail(e, GYR_UNSUPPORTED,
                "%s: adapts %.100s, which is %s, a type that gyr does not write; choose another with "
                "--type",
                m->path, name, type_info(type)->name);
}
