#include "cluster/spread.h"

#include "cluster/spread_parts.h"

#include <stdlib.h>
#include <string.h>

enum { TOGETHER = 16 }; // products in a list

static struct spread *of(struct device *d) { return d->front; }

// The rows of a matrix that rank i has.
static struct range rows_of(const struct spread *s, const struct weight *w, uint32_t i) {
    if (shares_is_whole(w)) return (struct range){0, w->rows};
    return shares_rows(&s->shares, i, w->rows);
}

static bool has_expert(const struct spread *s, uint32_t i, size_t experts, size_t expert) {
    struct range r = shares_range(&s->shares, i, experts, 1);
    return expert >= r.first && expert - r.first < r.n;
}

// What this rank has of a matrix, as a matrix.
static struct weight part_of(const struct spread *s, const struct weight *w) {
    struct weight part = *w;
    bool other = w->place >= WEIGHT_EXPERT && !has_expert(s, s->own, w->of, w->place - WEIGHT_EXPERT);
    struct range r = w->place >= WEIGHT_EXPERT ? (struct range){0, other ? 0 : w->rows} : rows_of(s, w, s->own);
    part.rows = r.n;
    part.data = (const char *)w->data + r.first * type_row_bytes(w->type, w->cols);
    return part;
}

static size_t form_bytes(struct device *d, const struct weight *w) {
    struct weight part = part_of(of(d), w);
    return part.rows ? of(d)->inner->form_bytes(d, &part) : 0;
}

static bool form_make(struct device *d, struct weight *w) {
    struct weight part = part_of(of(d), w);
    bool ok = part.rows && of(d)->inner->form_make(d, &part);
    w->own = part.own;
    w->lent = part.lent;
    return ok;
}

static bool form_give(struct device *d, const struct weight *w, size_t at, size_t bytes, void *to) {
    struct weight part = part_of(of(d), w);
    return of(d)->inner->form_give(d, &part, at, bytes, to);
}

static bool form_lock(struct device *d, const struct weight *w) {
    struct weight part = part_of(of(d), w);
    return of(d)->inner->form_lock(d, &part);
}

// ------------------------------------------------------------------------------------------------ products

struct listed {
    const struct product *list;
    size_t n;
};

static struct piece piece_of_product(const struct spread *s, void *arg, size_t k, uint32_t rank) {
    const struct product *a = ((const struct listed *)arg)->list + k;
    struct range r = shares_is_whole(a->w) ? (struct range){0, 0} : rows_of(s, a->w, rank);
    return (struct piece){a->y, a->w->rows, a->rows, r.first, r.n};
}

// This rank's part of a product, to be made at `to`; of a whole one, where it belongs.
static struct product part_of_product(const struct spread *s, const struct product *a, struct weight *part,
                                      dfloat *to) {
    *part = part_of(s, a->w);
    struct range r = rows_of(s, a->w, s->own);
    const dfloat *bias = a->bias ? a->bias + r.first : NULL;
    return (struct product){part, a->x, a->rows, bias, shares_is_whole(a->w) ? a->y : to};
}

static void some_products(struct spread *s, const struct product *list, size_t n) {
    struct weight part[TOGETHER];
    struct product own[TOGETHER];
    struct listed all = {list, n};
    size_t floats = 0, made = 0;
    bool shared = false;
    for (size_t k = 0; k < n; k++) {
        floats += list[k].rows * piece_of_product(s, &all, k, s->own).n;
        shared |= !shares_is_whole(list[k].w);
    }
    bool in_place = n == 1 && list->rows == 1; // where it belongs, it lies side by side
    if (s->failed.status || (!in_place && !spread_room(s, &s->parts, &s->room_parts, floats))) return;
    dfloat *to = in_place ? list->y + rows_of(s, list->w, s->own).first : s->parts, *from = to;
    for (size_t k = 0; k < n; k++) {
        own[made] = part_of_product(s, &list[k], &part[made], to);
        to += list[k].rows * piece_of_product(s, &all, k, s->own).n;
        made += part[made].rows > 0;
    }
    if (made) s->inner->products(s->d, own, made);
    if (shared) spread_gather(s, from, n, piece_of_product, &all);
}

static void products(struct device *d, const struct product *list, size_t n) {
    for (size_t k = 0; k < n; k += TOGETHER) some_products(of(d), list + k, n - k < TOGETHER ? n - k : TOGETHER);
}

static void matmul(struct device *d, const struct weight *w, const dfloat *x, size_t rows, const dfloat *bias,
                   dfloat *y) {
    some_products(of(d), &(struct product){w, x, rows, bias, y}, 1);
}

// ------------------------------------------------------------------------------------------------ experts

// The places of a mixture, an expert's side by side, those of a rank's experts too: where each rank's begin; of each
// expert; which row a place reads; which place a choice has.
struct places {
    const struct experts *a;
    size_t *expert;         // [n + 1]
    int32_t *from, *choice; // [places]
    float *by;              // [places], the weights
};

// Which of the host's numbers the device has: one block, [from][choice][chosen] and the two of `by`.
static bool read_choice(struct spread *s, const struct experts *a, struct places *p, gyr_error *e) {
    size_t n = a->rows * a->used;
    if (n > s->room_places) {
        int32_t *chosen = reallocarray(s->chosen, 3 * n, sizeof *chosen);
        if (chosen) s->chosen = chosen;
        float *by = reallocarray(s->by, 2 * n, sizeof *by);
        if (by) s->by = by;
        if (!chosen || !by) return fail_memory(e, "experts");
        s->room_places = n;
    }
    p->from = s->chosen;
    p->choice = p->from + n;
    p->by = s->by;
    s->inner->read(s->d, p->choice + n, a->chosen, n * sizeof(int32_t));
    s->inner->read(s->d, p->by + n, a->weight, n * sizeof(float));
    return s->inner->sync(s->d, e);
}

// As the device's own experts() has them.
static bool sort(struct spread *s, struct places *p, gyr_error *e) {
    const struct experts *a = p->a;
    size_t n = a->rows * a->used;
    if (!read_choice(s, a, p, e)) return false;
    const int32_t *chosen = p->choice + n;
    p->expert = calloc(a->n + 2, sizeof *p->expert);
    if (!p->expert) return fail_memory(e, "experts");
    size_t *next = p->expert + 1; // what has come of each, which moves its beginning to its end
    for (size_t i = 0; i < n; i++) next[chosen[i] + 1]++;
    for (size_t k = 1; k <= a->n; k++) next[k] += next[k - 1];
    for (size_t i = 0; i < n; i++) {
        size_t at = next[chosen[i]]++;
        p->choice[i] = (int32_t)at;
        p->from[at] = (int32_t)(i / a->used);
        p->by[at] = p->by[n + i];
    }
    return true;
}

// The places of a rank's experts.
static struct range places_of(const struct spread *s, const struct places *p, uint32_t rank) {
    struct range r = shares_range(&s->shares, rank, p->a->n, 1);
    return (struct range){p->expert[r.first], p->expert[r.first + r.n] - p->expert[r.first]};
}

static struct piece piece_of_places(const struct spread *s, void *arg, size_t k, uint32_t rank) {
    const struct places *p = arg;
    struct range r = places_of(s, p, rank);
    size_t hidden = p->a->hidden;
    return (struct piece){p->a->given, r.n * hidden, 1, r.first * hidden, r.n * hidden};
}

// Linear maps that do not wait for each other.
struct maps {
    struct product list[TOGETHER];
    float by[TOGETHER];
    size_t n;
};

static void make(struct spread *s, struct maps *m) {
    if (m->n) s->inner->products(s->d, m->list, m->n);
    for (size_t i = 0; i < m->n; i++)
        if (m->by[i] != 1) s->inner->scale(s->d, m->list[i].y, m->by[i], m->list[i].rows * m->list[i].w->rows);
    m->n = 0;
}

static void map(struct spread *s, struct maps *m, const struct linear *l, const dfloat *x, size_t rows, dfloat *y) {
    if (m->n == TOGETHER) make(s, m);
    m->list[m->n] = (struct product){&l->w, x, rows, l->bias, y};
    m->by[m->n++] = l->by;
}

// What this rank's experts make of their places.
static void own_experts(struct spread *s, const struct places *p) {
    const struct experts *a = p->a;
    struct range all = places_of(s, p, s->own), mine = shares_range(&s->shares, s->own, a->n, 1);
    size_t hidden = a->hidden, wide = a->wide, n = a->rows * a->used;
    struct maps m = {.n = 0};
    if (!all.n) return;
    s->inner->sum_rows(s->d, &(struct sum_rows){all.n, 1, hidden, a->places + all.first,
                                                a->at_input ? a->by + all.first : NULL, a->x,
                                                a->gathered + all.first * hidden});
    for (size_t k = mine.first; k < mine.first + mine.n; k++) {
        size_t first = p->expert[k], rows = p->expert[k + 1] - first;
        const dfloat *x = a->gathered + first * hidden;
        if (rows) map(s, &m, &a->expert[k].gate, x, rows, a->gated + first * wide);
        if (rows) map(s, &m, &a->expert[k].up, x, rows, a->gated + (n + first) * wide);
    }
    make(s, &m);
    s->inner->gate(s->d,
                   &(struct gate){a->activation, all.n, wide, wide, a->gated + all.first * wide,
                                  a->gated + (n + all.first) * wide, a->inner + all.first * wide, a->limit, a->alpha});
    for (size_t k = mine.first; k < mine.first + mine.n; k++) {
        size_t first = p->expert[k], rows = p->expert[k + 1] - first;
        if (rows) map(s, &m, &a->expert[k].down, a->inner + first * wide, rows, a->given + first * hidden);
    }
    make(s, &m);
}

static void experts(struct device *d, const struct experts *a) {
    struct spread *s = of(d);
    struct places p = {.a = a};
    gyr_error e = {0};
    size_t n = a->rows * a->used;
    if (s->failed.status) return;
    if (!sort(s, &p, &e)) {
        spread_fail(s, &e);
        return;
    }
    s->inner->write(d, a->places, p.from, 2 * n * sizeof(int32_t)); // and which place a choice has, behind them
    s->inner->write(d, a->by, p.by, n * sizeof(float));
    own_experts(s, &p);
    spread_gather(s, a->given + places_of(s, &p, s->own).first * a->hidden, 1, piece_of_places, &p);
    const dfloat *weight = a->at_input ? NULL : a->weight;
    s->inner->sum_rows(d, &(struct sum_rows){a->rows, a->used, a->hidden, a->places + n, weight, a->given, a->out});
    free(p.expert);
}

// ----------------------------------------------------------------------------------------------------- all

static bool sync_all(struct device *d, gyr_error *e) {
    struct spread *s = of(d);
    if (!s->inner->sync(d, e)) return false;
    gyr_error made = s->failed;
    s->failed = (gyr_error){0};
    return !made.status || fail(e, made.status, "%s", made.message);
}

void spread_begin(struct spread *s, uint32_t pass, bool linked) {
    static const gyr_error gone = {GYR_DEVICE, "the cards' library is not used here any more"};
    if (!linked) spread_unlink(s);
    atomic_store(&s->pass, pass);
    s->pass_linked = linked;
    s->failed = (gyr_error){0};
    s->told = false;
    if (linked && !s->linked) spread_fail(s, &gone);
}

double spread_own(const struct spread *s) {
    const double *end = s->shares.end;
    return end[s->own] - (s->own ? end[s->own - 1] : 0);
}

static bool put_in_front(struct spread *s) {
    s->ops = *s->inner;
    s->ops.adapts_experts = false;
    s->ops.sync = sync_all;
    s->ops.form_bytes = form_bytes;
    s->ops.form_make = form_make;
    s->ops.form_give = form_give;
    s->ops.form_lock = form_lock;
    s->ops.matmul = matmul;
    s->ops.products = products;
    s->ops.adapt = NULL;
    s->ops.experts = experts;
    s->d->ops = &s->ops;
    s->d->front = s;
    return true;
}

struct spread *spread_new(struct device *d, struct ranks *ranks, const double *part, gyr_error *e) {
    struct spread *s = calloc(1, sizeof *s);
    if (s)
        *s = (struct spread){
            .d = d, .inner = d->ops, .ranks = ranks, .own = ranks_own(ranks), .count = ranks_count(ranks)};
    if (!s || !shares_new(&s->shares, s->count, part)) {
        free(s);
        return fail_memory(e, "ranks"), NULL;
    }
    bool card = d->ops->ready;
    if (card ? (s->cards = cards_of_ranks(s, part, e)) != NULL : put_in_front(s)) return s;
    spread_free(s);
    return NULL;
}

struct device *spread_device(struct spread *s) {
    return s->cards ? &s->cards->device : s->d;
}

const char *spread_way(const struct spread *s) { return s->way; }

struct device *spread_free(struct spread *s) {
    if (!s) return NULL;
    struct device *d = s->d;
    if (s->linked) s->inner->unlink(d, false); // the others may wait for what it made last
    s->linked = false;
    if (s->cards) cards_let_go(s->cards);
    s->d->ops = s->inner;
    s->d->front = NULL;
    if (s->parts) s->inner->free(s->d, s->parts);
    if (s->others) s->inner->free(s->d, s->others);
    buf_free(&s->out);
    buf_free(&s->in);
    free(s->chosen);
    free(s->by);
    shares_free(&s->shares);
    free(s->floats);
    free(s);
    return d;
}
