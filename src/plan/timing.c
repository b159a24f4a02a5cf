// Rates of this machine: what a model's steps have in them, timed one by one.
#include "base/clock.h"
#include "plan/rates.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    SMALL = 12 << 20,
    LARGE = 384 << 20,
    REPEATS = 5,
    DEPTH = 512,
    MANY = 128,
    CALLS = 32,
    MOST_COLUMNS = 32768,
    SEVERAL = 6
};

// A product of random weights: as many rows of the matrix as fill `bytes`, over and over the same ones.
struct product_trial {
    struct device *d;
    struct weight small, middle, large; // the last two: the same form several times over, and many times
    uint8_t *file, *form;
    dfloat *x, *y;
};

static double median_of(double *t, size_t n) {
    for (size_t i = 1; i < n; i++)
        for (size_t k = i; k && t[k] < t[k - 1]; k--) {
            double swap = t[k];
            t[k] = t[k - 1];
            t[k - 1] = swap;
        }
    return t[n / 2];
}

// Weights of which no scale is out of the ordinary; types that gyr cannot write are copies of small codes.
static uint8_t *random_weights(enum type type, size_t rows, size_t one) {
    const struct type_info *info = type_info(type);
    size_t row = type_row_bytes(type, one);
    float *x = malloc(one * sizeof *x);
    uint8_t *data = calloc(rows, row);
    uint32_t state = 1;
    for (size_t i = 0; x && i < one; i++) {
        state = state * 1664525 + 1013904223;
        x[i] = (float)(int32_t)state * 0x1p-36f;
    }
    if (data && x && info->encode) info->encode(x, one, data);
    for (size_t r = 1; data && r < rows; r++) memcpy(data + r * row, data, row);
    free(x);
    return data;
}

static void free_trial(struct product_trial *p) {
    const struct device_ops *ops = p->d->ops;
    if (p->small.rows) ops->unbind(p->d, &p->small);
    if (p->middle.rows) ops->unbind(p->d, &p->middle);
    if (p->large.rows) ops->unbind(p->d, &p->large);
    if (p->x) ops->free(p->d, p->x);
    if (p->y) ops->free(p->d, p->y);
    free(p->file);
    free(p->form);
}

static void repeat(struct product_trial *p, struct weight *to, size_t times) {
    const struct device_ops *ops = p->d->ops;
    struct weight w = {.type = p->small.type, .rows = p->small.rows * times, .cols = p->small.cols, .data = p->file};
    if (!ops->bind(p->d, &w, NULL)) return;
    *to = w;
    if (ops->form_take(p->d, to, p->form)) return;
    ops->unbind(p->d, to);
    to->rows = 0;
}

// The larger matrices are there if the device takes a form that is put together.
static void make_larger(struct product_trial *p, size_t room) {
    const struct device_ops *ops = p->d->ops;
    size_t each = ops->form_bytes(p->d, &p->small), times = each ? room / each : 0;
    struct weight w = {.type = p->small.type, .rows = p->small.rows * times, .cols = p->small.cols, .data = p->file};
    if (times < SEVERAL || ops->form_bytes(p->d, &w) != each * times) return;
    p->form = aligned_alloc(4096, (each * times + 4095) / 4096 * 4096);
    if (!p->form || !ops->form_give(p->d, &p->small, 0, each, p->form)) return;
    for (size_t i = 1; i < times; i++) memcpy(p->form + i * each, p->form, each);
    repeat(p, &p->middle, SEVERAL);
    repeat(p, &p->large, times);
}

static double bytes_of(const struct product_trial *p, const struct weight *w) {
    size_t form = p->d->ops->form_bytes(p->d, w);
    return (double)(form ? form : w->rows * type_row_bytes(w->type, w->cols));
}

static bool start_trial(struct product_trial *p, enum type type, size_t cols, size_t room, gyr_error *e) {
    const struct device_ops *ops = p->d->ops;
    size_t rows = (size_t)SMALL / type_row_bytes(type, cols) / 64 * 64 + 64, most = row_counts[ROW_COUNTS - 1];
    if (!(p->file = random_weights(type, rows, cols))) return fail_memory(e, "measuring this machine");
    p->small = (struct weight){.type = type, .rows = rows, .cols = cols, .data = p->file};
    if (!ops->bind(p->d, &p->small, e)) {
        p->small.rows = 0;
        return false;
    }
    ops->form_make(p->d, &p->small);
    make_larger(p, room);
    size_t many = p->large.rows ? p->large.rows : rows, some = p->middle.rows ? p->middle.rows : rows;
    size_t room_y = most * some > 16 * many ? most * some : 16 * many;
    p->x = ops->alloc(p->d, most * cols * sizeof(float), e);
    p->y = p->x ? ops->alloc(p->d, room_y * sizeof(float), e) : NULL;
    if (!p->y) return false;
    float *x = malloc(cols * sizeof *x);
    if (!x) return fail_memory(e, "measuring this machine");
    for (size_t i = 0; i < cols; i++) x[i] = (float)(i % 31) * 0.0625f - 1;
    for (size_t r = 0; r < most; r++) ops->write(p->d, p->x + r * cols, x, cols * sizeof *x);
    free(x);
    return ops->sync(p->d, e);
}

// Weights that no cache holds, and fewer of them where there are many rows.
static bool time_rows(const struct product_trial *p, size_t rows, double *seconds, gyr_error *e) {
    const struct weight *larger = rows <= 16 ? &p->large : &p->middle, *w = larger->rows ? larger : &p->small;
    double t[REPEATS];
    for (size_t i = 0; i < REPEATS; i++) {
        double start = now_seconds();
        p->d->ops->matmul(p->d, w, p->x, rows, NULL, p->y);
        if (!p->d->ops->sync(p->d, e)) return false;
        t[i] = now_seconds() - start;
    }
    *seconds = median_of(t, REPEATS) / bytes_of(p, w);
    return true;
}

// What a product costs beside its weights, `one` second for each byte: one of few outputs, behind another operation as
// in a pass, so that the threads have to be called again.
static bool time_call(struct rates *r, const struct product_trial *p, double one, gyr_error *e) {
    const struct device_ops *ops = p->d->ops;
    size_t n = p->small.cols < 4096 ? p->small.cols : 4096;
    double t[REPEATS];
    struct weight few = {.type = p->small.type, .rows = 64, .cols = p->small.cols, .data = p->file};
    if (!ops->bind(p->d, &few, e)) return false;
    ops->form_make(p->d, &few);
    bool ok = true;
    for (size_t i = 0; i < REPEATS && ok; i++) {
        double start = now_seconds();
        for (int k = 0; k < CALLS; k++) {
            ops->matmul(p->d, &few, p->x, 1, NULL, p->y);
            ops->add(p->d, p->y, p->x, n < 64 ? n : 64);
        }
        ok = ops->sync(p->d, e);
        t[i] = (now_seconds() - start) / CALLS;
    }
    if (ok) r->product = median_of(t, REPEATS) - one * bytes_of(p, &few);
    ops->unbind(p->d, &few);
    return ok;
}

static bool time_type(struct rates *r, struct timed *t, struct device *d, size_t cols, size_t room, gyr_error *e) {
    struct product_trial p = {.d = d};
    bool ok = start_trial(&p, t->type, cols, room, e);
    for (int i = 0; ok && i < ROW_COUNTS; i++) ok = time_rows(&p, row_counts[i], &t->seconds[i], e);
    if (ok && !r->n_timed) ok = time_call(r, &p, t->seconds[0], e);
    free_trial(&p);
    return ok;
}

static bool has(const struct rates *r, enum type type) {
    for (size_t i = 0; i < r->n_timed; i++)
        if (r->timed[i].type == type) return true;
    return false;
}

// As many columns as most of the type's weights have.
static size_t columns_of(const struct step *s, enum type type) {
    double most = 0;
    size_t cols = 0;
    for (size_t i = 0; i < s->n; i++) {
        const struct counted *c = &s->ops[i];
        double bytes = c->weights * (double)c->calls;
        if (c->work == WORK_PRODUCT && c->type == type && bytes > most) most = bytes, cols = c->cols;
    }
    return cols < MOST_COLUMNS ? cols : MOST_COLUMNS;
}

// Every type that the steps multiply by.
static bool time_products(struct rates *r, struct device *d, const struct step *s, size_t room, gyr_error *e) {
    for (size_t i = 0; i < s->n; i++) {
        enum type type = s->ops[i].type;
        if (s->ops[i].work != WORK_PRODUCT || has(r, type) || r->n_timed == MAX_TIMED) continue;
        struct timed t = {.type = type};
        if (!time_type(r, &t, d, columns_of(s, type), room, e)) return false;
        r->timed[r->n_timed++] = t;
    }
    return true;
}

// ------------------------------------------------------------------------------- attention

struct attention_trial {
    struct device *d;
    struct kv_cache *kv;
    struct pages pages;
    uint8_t *desk; // rows, pages and slabs, on the device
    dfloat *q, *out;
};

static size_t lines(size_t bytes) { return (bytes + 63) / 64 * 64; }

// The seats of `rows` rows of one sequence, the last of which stands at DEPTH.
static bool seat(struct attention_trial *t, struct attention *a, gyr_error *e) {
    size_t page_bytes = lines(t->pages.n * sizeof(uint32_t)), row_bytes = lines(a->rows * sizeof(struct attention_row));
    size_t slab_bytes = t->kv->n_slabs * sizeof(dslab);
    const struct device_ops *ops = t->d->ops;
    struct attention_row *rows = calloc(a->rows, sizeof *rows);
    if (t->desk) ops->free(t->d, t->desk);
    t->desk = ops->alloc(t->d, page_bytes + row_bytes + slab_bytes, e);
    if (!t->desk || !rows) {
        free(rows);
        return t->desk ? fail_memory(e, "measuring this machine") : false;
    }
    for (size_t i = 0; i < a->rows; i++) rows[i].position = (uint32_t)(DEPTH - a->rows + i);
    ops->write(t->d, t->desk, t->pages.page, t->pages.n * sizeof *t->pages.page);
    ops->write(t->d, t->desk + page_bytes, rows, a->rows * sizeof *rows);
    ops->write(t->d, t->desk + page_bytes + row_bytes, t->kv->part[0].slab, slab_bytes);
    free(rows);
    const dslab *slab = (const dslab *)(void *)(t->desk + page_bytes + row_bytes);
    a->at = (struct seats){(const drow *)(void *)(t->desk + page_bytes), (const dword *)(void *)t->desk, DEPTH};
    a->k = kv_cache_keys(t->kv, 0, slab);
    a->v = kv_cache_values(t->kv, 0, slab);
    return ops->sync(t->d, e);
}

static bool time_attention(struct attention_trial *t, struct attention *a, double *rate, gyr_error *e) {
    double times[REPEATS], ops = 0;
    if (!seat(t, a, e)) return false;
    for (size_t r = 0; r < a->rows; r++)
        ops +=
            (double)(DEPTH - a->rows + r + 1) * (double)a->heads * (2 * (double)(a->kv.key_dim + a->kv.value_dim) + 8);
    for (size_t i = 0; i < REPEATS; i++) {
        double start = now_seconds();
        for (int k = 0; k < (a->rows == 1 ? 16 : 1); k++) t->d->ops->attention(t->d, a);
        if (!t->d->ops->sync(t->d, e)) return false;
        times[i] = (now_seconds() - start) / (a->rows == 1 ? 16 : 1);
    }
    *rate = ops / median_of(times, REPEATS);
    return true;
}

// Queries and keys of as many rows, rotated and written to the cache.
static bool time_rotation(struct attention_trial *t, const struct attention *a, struct rates *r, gyr_error *e) {
    const struct device_ops *ops = t->d->ops;
    size_t q = a->heads * a->kv.key_dim, k = a->kv.heads * a->kv.key_dim, v = a->kv.heads * a->kv.value_dim;
    size_t all = q + k + v, dim = a->kv.key_dim / 2 * 2;
    dfloat *x = ops->alloc(t->d, a->rows * (all + dim) * sizeof(float), e);
    double times[REPEATS];
    bool ok = x;
    struct qkv in = {.rows = a->rows, .heads = a->heads, .kv = a->kv, .pairs = PAIRS_HALVES, .at = a->at};
    in.q_in = (struct projected){x, all, a->kv.key_dim};
    in.k_in = (struct projected){x + q, all, a->kv.key_dim};
    in.v_in = (struct projected){x + q + k, all, a->kv.value_dim};
    in.angles = dim ? x + a->rows * all : NULL;
    in.rotary_dim = dim;
    in.q = t->q;
    in.k = a->k;
    in.v = a->v;
    for (size_t i = 0; i < REPEATS && ok; i++) {
        double start = now_seconds();
        ops->qkv(t->d, &in);
        ok = ops->sync(t->d, e);
        times[i] = now_seconds() - start;
    }
    if (ok) r->rotation = median_of(times, REPEATS) / (2.0 * (double)(a->rows * all) * sizeof(float));
    if (x) ops->free(t->d, x);
    return ok;
}

// Of the shape that most of the model's layers have.
static bool time_both(struct rates *r, struct device *d, const struct hyperparameters *h, enum type type,
                      gyr_error *e) {
    struct kv_layout all = kv_cache_layout(h, type), one = {.n = {1}};
    struct attention_trial t = {.d = d};
    one.shape[0] = all.n[KV_USUAL] ? all.shape[KV_USUAL] : all.shape[KV_LOCAL];
    if (!one.shape[0].heads || !one.shape[0].value_dim || h->heads % one.shape[0].heads) return true;
    struct attention a = {.heads = h->heads, .kv = one.shape[0], .scale = 0.1f};
    size_t floats = MANY * h->heads;
    bool ok = (t.kv = kv_cache_new(d, one, e)) && kv_cache_grow(t.kv, kv_cache_pages(DEPTH), e) &&
              (kv_cache_cover(t.kv, &t.pages, DEPTH) || fail_memory(e, "measuring this machine")) &&
              (t.q = d->ops->alloc(d, floats * a.kv.key_dim * sizeof(float), e)) &&
              (t.out = d->ops->alloc(d, floats * a.kv.value_dim * sizeof(float), e));
    a.q = t.q;
    a.out = t.out;
    a.rows = 1;
    ok = ok && time_attention(&t, &a, &r->attend_one, e);
    a.rows = MANY;
    ok = ok && time_attention(&t, &a, &r->attend, e) && time_rotation(&t, &a, r, e);
    if (t.desk) d->ops->free(d, t.desk);
    if (t.q) d->ops->free(d, t.q);
    if (t.out) d->ops->free(d, t.out);
    free(t.pages.page);
    kv_cache_free(t.kv);
    return ok;
}

// ------------------------------------------------------------------------------- the rest

// Norms and activations, as the model has them: of one row, which is what an operation costs at the least, and of many.
static bool time_elements(struct rates *r, struct device *d, const struct hyperparameters *h, gyr_error *e) {
    size_t dim = h->hidden, n = MANY * dim;
    dfloat *x = d->ops->alloc(d, (2 * n + dim) * sizeof(float), e);
    double one[REPEATS], many[REPEATS], activations[REPEATS];
    bool ok = x;
    for (size_t i = 0; i < REPEATS && ok; i++) {
        double start = now_seconds();
        for (int k = 0; k < CALLS; k++) d->ops->norm(d, NORM_RMS, x, x, 1, NULL, 1e-5f, 1, dim, x + dim);
        ok = d->ops->sync(d, e);
        double first = now_seconds();
        for (int k = 0; k < 4; k++) d->ops->norm(d, NORM_RMS, x, x, 1, NULL, 1e-5f, MANY, dim, x + n);
        ok = ok && d->ops->sync(d, e);
        double second = now_seconds();
        for (int k = 0; k < 4; k++) d->ops->activate(d, h->activation, x + n, n);
        ok = ok && d->ops->sync(d, e);
        one[i] = (first - start) / CALLS;
        many[i] = (second - first) / 4;
        activations[i] = (now_seconds() - second) / 4;
    }
    if (x) d->ops->free(d, x);
    if (!ok) return false;
    double bytes = 2.0 * (double)n * sizeof(float);
    r->call = median_of(one, REPEATS);
    r->product = fmax(r->call, r->product - r->call); // it was timed with an operation in front of it
    r->stream = fmax(0, median_of(many, REPEATS) - r->call) / bytes;
    r->activation = fmax(0, median_of(activations, REPEATS) - r->call) / bytes;
    return true;
}

// What is not timed is reckoned from the processor's own limits, where it is one.
static void limits_of(struct rates *r, struct device *d) {
    struct roofs roofs;
    *r = (struct rates){.basis = BASIS_ESTIMATED, .slow = 0.8, .fast = 1.25};
    if (strcmp(d->ops->kind, "cpu")) return;
    device_cpu_roofs(d, 0.3, &roofs);
    r->read = roofs.read;
    r->quantized = roofs.int8 / 4;
    r->halves = roofs.int8 / 12;
    r->singles = roofs.fp32 / 2;
    r->attend_one = r->attend = roofs.fp32 / 4;
}

bool rates_here(struct rates *r, struct device *d, const struct checkpoint *c, const struct demand *need,
                gyr_error *e) {
    struct hyperparameters h;
    const struct family *f = family_find(c, e);
    uint64_t total, available;
    if (!f || !hyperparameters(f, c, &h, e)) return false;
    d->ops->room(d, &total, &available);
    size_t room = available / 4 < LARGE ? (size_t)available / 4 : LARGE;
    limits_of(r, d);
    if (!time_products(r, d, &need->prompt, room, e) || !time_products(r, d, &need->answer, room, e)) return false;
    if (!(r->read > 0) && r->n_timed) r->read = 1 / r->timed[0].seconds[0];
    return time_both(r, d, &h, need->kv_type, e) && time_elements(r, d, &h, e);
}
