// What a batch costs at the least.
#include "engine/engine.h"

static void add_products(gyr_work *work, enum type type, double weights, double rows) {
    double *kind = type_info(type)->quantized ? &work->int8 : type == TYPE_BF16 ? &work->bf16 : &work->fp32;
    *kind += 2 * weights * rows;
}

static double weights_of(const struct weight *w) { return (double)w->rows * (double)w->cols; }

void gyr_model_get_work(const gyr_model *m, gyr_kv_type kv_type, size_t sequences, size_t tokens, size_t depth,
                        gyr_work *work) {
    const struct kv_layout layout = kv_cache_layout(&m->model->h, kv_type_of(m, kv_type));
    const struct checkpoint *c = m->checkpoint;
    double rows = (double)sequences * (double)tokens;
    uint64_t page = kv_cache_bytes(&layout, PAGE_TOKENS);
    double cache = (double)page / PAGE_TOKENS * (double)(depth + tokens);
    *work = (gyr_work){.read = (double)m->model->decode_bytes + cache * (double)sequences};
    for (size_t i = 0; i < c->n_tensors; i++) {
        const struct tensor *t = &c->tensors[i];
        if (t->n_dims > 1) add_products(work, t->type, (double)t->dim[0] * (double)t->dim[1], rows);
    }
    // Embeddings are looked up, and the output matrix is for last tokens only.
    add_products(work, m->model->embedding.type, weights_of(&m->model->embedding), -rows);
    add_products(work, m->model->positions.type, weights_of(&m->model->positions), -rows);
    if (!m->model->tied) add_products(work, m->model->output.type, weights_of(&m->model->output), -rows);
    add_products(work, m->model->output.type, weights_of(&m->model->output), (double)sequences);
}
