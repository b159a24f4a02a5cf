// Operations that every card does by itself, each in its own memory.
#include "cluster/cards_parts.h"

// For card k of all, what is asked of `on`; AT(p): where p is there.
#define EACH(d)                                                                                                        \
    struct cards *c = cards_of(d);                                                                                     \
    for (uint32_t k = 0; k < c->count && !c->failed.status; k++)
#define AT(p)        cards_at(c, k, p)
#define ASK(op, ...) (c->failed.status ? (void)0 : c->card[k]->ops->op(c->card[k], __VA_ARGS__))

static void embed(struct device *d, const struct weight *table, const dint *ids, size_t rows, dfloat *y) {
    EACH(d) {
        const struct weight *own = cards_table(c, k, table);
        const dint *at = AT(ids);
        dfloat *to = AT(y);
        if (own) ASK(embed, own, at, rows, to);
    }
}

static void norm(struct device *d, enum norm_kind kind, const dfloat *x, const dfloat *w, size_t parts, const dfloat *b,
                 float eps, size_t rows, size_t dim, dfloat *y) {
    EACH(d) {
        const dfloat *from = AT(x), *by = AT(w), *plus = AT(b);
        dfloat *to = AT(y);
        ASK(norm, kind, from, by, parts, plus, eps, rows, dim, to);
    }
}

static bool linears_there(struct cards *c, uint32_t k, const void *of, size_t n, void *to) {
    const struct linear *l = of;
    struct linear *own = to;
    for (size_t i = 0; i < n; i++) {
        const struct weight *w = cards_part(c, k, &l[i].w);
        if (!w) return false;
        own[i] = l[i];
        own[i].w = *w;
        own[i].bias = AT(l[i].bias);
    }
    return true;
}

// The matrices of heads are whole everywhere (WEIGHT_WHOLE).
static void head_products(struct device *d, const struct head_products *a) {
    EACH(d) {
        struct head_products b = *a;
        b.w = cards_twin(c, k, a->w, a->heads, sizeof *a->w, linears_there);
        b.x = AT(a->x);
        b.y = AT(a->y);
        b.work = AT(a->work);
        if (b.w) ASK(head_products, &b);
    }
}

static struct seats seats_at(struct cards *c, uint32_t k, struct seats s) {
    s.row = AT(s.row);
    s.pages = AT(s.pages);
    return s;
}

static struct kv_array array_at(struct cards *c, uint32_t k, struct kv_array a) {
    a.slab = AT(a.slab);
    return a;
}

static void qkv(struct device *d, const struct qkv *a) {
    EACH(d) {
        struct qkv b = *a;
        b.q_in.x = AT(a->q_in.x);
        b.k_in.x = a->k.slab ? AT(a->k_in.x) : NULL;
        b.v_in.x = a->k.slab ? AT(a->v_in.x) : NULL;
        b.q_norm = AT(a->q_norm);
        b.k_norm = AT(a->k_norm);
        b.angles = AT(a->angles);
        b.q = AT(a->q);
        b.at = seats_at(c, k, a->at);
        b.k = array_at(c, k, a->k);
        b.v = array_at(c, k, a->v);
        ASK(qkv, &b);
    }
}

static void attention(struct device *d, const struct attention *a) {
    EACH(d) {
        struct attention b = *a;
        b.q = AT(a->q);
        b.out = AT(a->out);
        b.k = array_at(c, k, a->k);
        b.v = array_at(c, k, a->v);
        b.at = seats_at(c, k, a->at);
        b.slopes = AT(a->slopes);
        b.sinks = AT(a->sinks);
        b.chosen = AT(a->chosen);
        ASK(attention, &b);
    }
}

static void choose(struct device *d, const struct choice *a) {
    EACH(d) {
        struct choice b = *a;
        b.q = AT(a->q);
        b.weight = AT(a->weight);
        b.k = array_at(c, k, a->k);
        b.at = seats_at(c, k, a->at);
        b.chosen = AT(a->chosen);
        b.work = AT(a->work);
        ASK(choose, &b);
    }
}

static void conv(struct device *d, const struct conv *a) {
    EACH(d) {
        struct conv b = *a;
        b.x = AT(a->x);
        b.w = AT(a->w);
        b.bias = AT(a->bias);
        b.out = AT(a->out);
        b.row = AT(a->row);
        ASK(conv, &b);
    }
}

static void recur(struct device *d, const struct recur *a) {
    EACH(d) {
        struct recur b = *a;
        b.x = AT(a->x);
        b.key = AT(a->key);
        b.query = AT(a->query);
        b.dt = AT(a->dt);
        b.dt_bias = AT(a->dt_bias);
        b.beta = AT(a->beta);
        b.a = AT(a->a);
        b.skip = AT(a->skip);
        b.out = AT(a->out);
        b.row = AT(a->row);
        ASK(recur, &b);
    }
}

static void activate(struct device *d, enum activation kind, dfloat *x, size_t n) {
    EACH(d) {
        dfloat *at = AT(x);
        ASK(activate, kind, at, n);
    }
}

static void gate(struct device *d, const struct gate *a) {
    EACH(d) {
        struct gate b = *a;
        b.gate = AT(a->gate);
        b.up = AT(a->up);
        b.out = AT(a->out);
        ASK(gate, &b);
    }
}

static void route(struct device *d, const struct route *a) {
    EACH(d) {
        struct route b = *a;
        b.logits = AT(a->logits);
        b.shift = AT(a->shift);
        b.own_scale = AT(a->own_scale);
        b.expert = AT(a->expert);
        b.weight = AT(a->weight);
        b.work = AT(a->work);
        ASK(route, &b);
    }
}

static void sum_rows(struct device *d, const struct sum_rows *a) {
    EACH(d) {
        struct sum_rows b = *a;
        b.from = AT(a->from);
        b.by = AT(a->by);
        b.x = AT(a->x);
        b.out = AT(a->out);
        ASK(sum_rows, &b);
    }
}

static void add(struct device *d, dfloat *x, const dfloat *y, size_t n) {
    EACH(d) {
        dfloat *to = AT(x);
        const dfloat *from = AT(y);
        ASK(add, to, from, n);
    }
}

static void move(struct device *d, const dfloat *x, size_t x_row, dfloat *y, size_t y_row, size_t rows, size_t n) {
    EACH(d) {
        const dfloat *from = AT(x);
        dfloat *to = AT(y);
        ASK(move, from, x_row, to, y_row, rows, n);
    }
}

static void scale(struct device *d, dfloat *x, float by, size_t n) {
    EACH(d) {
        dfloat *at = AT(x);
        ASK(scale, at, by, n);
    }
}

static void clamp(struct device *d, dfloat *x, float most, size_t n) {
    EACH(d) {
        dfloat *at = AT(x);
        ASK(clamp, at, most, n);
    }
}

static void cap(struct device *d, dfloat *x, float most, size_t n) {
    EACH(d) {
        dfloat *at = AT(x);
        ASK(cap, at, most, n);
    }
}

void cards_operations(struct device_ops *ops) {
    ops->embed = embed;
    ops->norm = norm;
    ops->matmul = cards_matmul;
    ops->products = cards_products;
    ops->head_products = head_products;
    ops->qkv = qkv;
    ops->attention = attention;
    ops->choose = choose;
    ops->conv = conv;
    ops->recur = recur;
    ops->activate = activate;
    ops->gate = gate;
    ops->route = route;
    ops->experts = cards_experts;
    ops->sum_rows = sum_rows;
    ops->add = add;
    ops->move = move;
    ops->scale = scale;
    ops->clamp = clamp;
    ops->cap = cap;
}
