// What a batch costs at the least.
#include "engine/engine.h"

static void add_products(gyr_work *work, enum type type, double weights, double rows) {
    if (type == TYPE_F32)
        work->fp32 += 2 * weights * rows;
    else
        work->int8 += 2 * weights * rows * (type_info(type)->quantized ? 1 : 3);
}

// What a batch multiplies by, and the rows of each.
struct sum {
    gyr_work *work;
    double rows;
};

static bool add_matrix(void *arg, struct weight *w) {
    const struct sum *s = arg;
    add_products(s->work, w->type, (double)w->rows * (double)w->cols, s->rows);
    return true;
}

// A row goes through some of the experts, which are all of one shape, and through every other matrix.
static void add_layer(gyr_work *work, struct layer *l, const struct hyperparameters *h, double rows) {
    struct hyperparameters others = *h;
    struct sum once = {work, rows}, used = {work, rows * h->experts_used};
    others.experts = 0;
    layer_matrices(l, &others, add_matrix, &once);
    if (!l->experts) return;
    struct linear *expert[] = {&l->experts->gate, &l->experts->up, &l->experts->down};
    for (int i = 0; i < 3; i++) add_matrix(&used, &expert[i]->w);
}

void gyr_model_get_work(const gyr_model *m, gyr_kv_type kv_type, size_t sequences, size_t tokens, size_t depth,
                        gyr_work *work) {
    struct model *model = m->model;
    double rows = (double)sequences * (double)tokens;
    uint64_t page = kv_cache_bytes(kv_cache_layout(&model->h, kv_type_of(m, kv_type)), PAGE_TOKENS);
    double cache = (double)page / PAGE_TOKENS * (double)(depth + tokens);
    *work = (gyr_work){.read = (double)model->decode_bytes + cache * (double)sequences};
    for (uint32_t i = 0; i < model->h.layers; i++) {
        struct layer *l = &model->layers[i];
        add_layer(work, l, &model->h, l->plan.borrows ? (double)sequences : rows); // they keep nothing of other tokens
    }
    add_matrix(&(struct sum){work, rows}, &model->inputs.project.w);
    add_matrix(&(struct sum){work, (double)sequences}, &model->output); // for last tokens only
}
