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

// Of what is bound here.
static void own_work(const gyr_model *m, double rows, double sequences, gyr_work *work) {
    struct model *model = m->model;
    for (uint32_t i = 0; i < model->h.layers; i++) {
        struct layer *l = &model->layers[i];
        add_layer(work, l, &model->h, l->plan.borrows ? sequences : rows); // they keep nothing of other tokens
    }
    add_matrix(&(struct sum){work, rows}, &model->inputs.project.w);
    add_matrix(&(struct sum){work, sequences}, &model->output); // for last tokens only
}

void work_shares(const gyr_model *m, struct shares *s) {
    gyr_work row = {0}, once = {0};
    own_work(m, 1, 0, &row);
    own_work(m, 0, 1, &once);
    *s = (struct shares){row.int8, row.fp32, once.int8, once.fp32};
}

// The same of all ranks, one after the other.
static void whole_work(const gyr_model *m, double rows, double sequences, gyr_work *work) {
    const struct shares *s = &m->whole.work;
    work->int8 += rows * s->row_int8 + sequences * s->once_int8;
    work->fp32 += rows * s->row_fp32 + sequences * s->once_fp32;
}

void gyr_model_get_work(const gyr_model *m, gyr_kv_type kv_type, size_t sequences, size_t tokens, size_t depth,
                        gyr_work *work) {
    struct model *model = m->model;
    double rows = (double)sequences * (double)tokens;
    uint64_t page = kv_cache_bytes(kv_cache_layout(&model->h, kv_type_of(m, kv_type)), PAGE_TOKENS);
    double token = m->ranks ? (double)m->whole.kv_bytes : (double)page / PAGE_TOKENS;
    double weights = (double)(m->ranks ? m->whole.decode_bytes : model->decode_bytes);
    *work = (gyr_work){.read = weights + token * (double)(depth + tokens) * (double)sequences};
    (m->ranks ? whole_work : own_work)(m, rows, (double)sequences, work);
}
