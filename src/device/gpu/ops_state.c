// Layers that keep a state, and the indexer, on a card.
#include "device/gpu/work.h"

static struct cache_shape keys_of(const struct kv_shape *s) {
    uint32_t type = s->type == TYPE_F32 ? CACHE_F32 : s->type == TYPE_F16 ? CACHE_F16 : CACHE_Q8;
    return (struct cache_shape){type, (uint32_t)s->heads, (uint32_t)s->key_dim, (uint32_t)s->value_dim};
}

void work_conv(struct device *d, const struct conv *c) {
    struct conv_args a = {c->x,
                          c->w,
                          c->bias,
                          c->out,
                          c->row,
                          c->x_row,
                          c->state,
                          (uint32_t)c->rows,
                          (uint32_t)c->channels,
                          (uint32_t)c->taps};
    work_launch(gpu_of(d), "conv", c->rows, work_blocks(c->channels, THREADS), 1, &a, sizeof a);
}

void work_recur(struct device *d, const struct recur *r) {
    struct recur_args a = {.x = r->x,
                           .key = r->key,
                           .query = r->query,
                           .dt = r->dt,
                           .dt_bias = r->dt_bias,
                           .beta = r->beta,
                           .a = r->a,
                           .skip = r->skip,
                           .out = r->out,
                           .row = r->row,
                           .x_row = r->x_row,
                           .dt_row = r->dt_row,
                           .state = r->state,
                           .delta = r->kind == RECUR_DELTA,
                           .rows = (uint32_t)r->rows,
                           .heads = (uint32_t)r->heads,
                           .dim = (uint32_t)r->dim,
                           .size = (uint32_t)r->size,
                           .groups = (uint32_t)r->groups,
                           .turns = r->turns,
                           .each = r->each,
                           .dt_by = r->dt_by,
                           .dt_least = r->dt_least,
                           .dt_most = r->dt_most};
    if (r->kind == RECUR_CHANNELS)
        work_launch(gpu_of(d), "recur_channels", r->rows, work_blocks(r->heads * r->dim, THREADS), 1, &a, sizeof a);
    else
        work_launch(gpu_of(d), "recur_heads", r->rows, r->heads, 1, &a, sizeof a);
}

// As many rows at a time as the scratch has room for.
void work_choose(struct device *d, const struct choice *c) {
    struct gpu *g = gpu_of(d);
    size_t room = work_blocks(c->at.longest, PAGE_TOKENS) * PAGE_TOKENS, most = room ? c->room / room : 1;
    for (size_t r = 0, n; r < c->rows; r += n) {
        n = most < 1 ? 1 : c->rows - r < most ? c->rows - r : most;
        struct choose_args a = {.q = c->q + r * c->heads * c->kv.key_dim,
                                .weight = c->weight + r * c->heads,
                                .score = c->work,
                                .row = c->at.row + r,
                                .pages = c->at.pages,
                                .chosen = c->chosen + r * c->most,
                                .k = {c->k.slab, c->k.at},
                                .kv = keys_of(&c->kv),
                                .heads = (uint32_t)c->heads,
                                .most = (uint32_t)c->most,
                                .room = (uint32_t)room,
                                .scale = c->scale};
        work_launch(g, "score_positions", n, work_blocks(room, THREADS), 1, &a, sizeof a);
        work_launch(g, "choose_positions", n, 1, 1, &a, sizeof a);
    }
}
