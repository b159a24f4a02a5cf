#include "device/count.h"
#include "base/buf.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096, MANY_ROWS = 1 << 16 };

struct counter {
    struct device device;
    struct device_ops ops; // its own, since the number of rows is one of them
    struct device *like;
    struct counted *all;
    size_t n, room;
    uint64_t held;
    bool failed;
};

static struct counter *of(struct device *d) { return (struct counter *)d; }

static bool same(const struct counted *a, const struct counted *b) {
    return a->work == b->work && a->type == b->type && a->rows == b->rows && a->cols == b->cols &&
           a->beside == b->beside && a->weights == b->weights && a->cache == b->cache && a->stream == b->stream &&
           a->ops == b->ops;
}

// Equal operations are one entry.
static void note(struct device *d, struct counted c) {
    struct counter *k = of(d);
    for (size_t i = k->n; i--;)
        if (same(&k->all[i], &c)) {
            k->all[i].calls++;
            return;
        }
    c.calls = 1;
    if (ARRAY_GROW(k->all, k->n, k->room))
        k->all[k->n++] = c;
    else
        k->failed = true;
}

// ------------------------------------------------------------------------------- memory

// Pages that nobody touches take no memory; a page in front says how many there are.
static void *alloc(struct device *d, size_t bytes, gyr_error *e) {
    size_t all = bytes < SIZE_MAX - PAGE ? bytes + PAGE : SIZE_MAX;
    void *p = mmap(NULL, all, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return fail_null(e, GYR_NO_MEMORY, "plan: %zu MiB are more than this machine can address; ask for less context",
                         bytes >> 20);
    *(size_t *)p = all;
    of(d)->held += bytes;
    return (char *)p + PAGE;
}

static void release(struct device *d, void *p) {
    if (!p) return;
    size_t *first = (size_t *)(void *)((char *)p - PAGE), all = *first;
    of(d)->held -= all - PAGE;
    munmap(first, all);
}

static void put(struct device *d, void *dst, const void *src, size_t bytes) { memcpy(dst, src, bytes); }
static void pass_over(struct device *d, void *dst, const void *src, size_t bytes) {}
static bool sync_nothing(struct device *d, gyr_error *e) { return true; }

static void room(struct device *d, uint64_t *total, uint64_t *available) { *total = *available = UINT64_MAX / 2; }

static bool bind(struct device *d, struct weight *w, gyr_error *e) { return true; }
static void unbind(struct device *d, struct weight *w) {}

static size_t form_bytes(struct device *d, const struct weight *w) {
    struct device *like = of(d)->like;
    return like ? like->ops->form_bytes(like, w) : 0;
}
static bool form_make(struct device *d, struct weight *w) { return false; }
static bool form_take(struct device *d, struct weight *w, const void *form) { return false; }
static bool form_give(struct device *d, const struct weight *w, size_t at, size_t bytes, void *to) { return false; }
static bool form_lock(struct device *d, const struct weight *w) { return true; }

static double bytes_of(struct device *d, const struct weight *w) {
    size_t form = form_bytes(d, w);
    return (double)(form ? form : w->rows * type_row_bytes(w->type, w->cols));
}

// ------------------------------------------------------------------------------- products

static double floats(double n) { return n * sizeof(float); }

static void elements_of(struct device *d, enum work work, double n, double arrays) {
    note(d, (struct counted){.work = work, .stream = floats(n * arrays), .ops = n});
}

static void count_product(struct device *d, const struct weight *w, double matrices, double rows, bool beside) {
    double per = rows / matrices, cols = (double)w->cols, outs = (double)w->rows;
    size_t each = per < 1 ? 1 : per > MANY_ROWS ? MANY_ROWS : (size_t)(per + 0.5);
    note(d, (struct counted){.work = WORK_PRODUCT,
                             .type = w->type,
                             .rows = each,
                             .cols = w->cols,
                             .beside = beside,
                             .weights = matrices * bytes_of(d, w),
                             .stream = floats(rows * (cols + outs)),
                             .ops = 2 * rows * cols * outs});
}

static void matmul(struct device *d, const struct weight *w, const dfloat *x, size_t rows, const dfloat *bias,
                   dfloat *y) {
    count_product(d, w, 1, (double)rows, false);
}

static void products(struct device *d, const struct product *list, size_t n) {
    for (size_t i = 0; i < n; i++) count_product(d, list[i].w, 1, (double)list[i].rows, i);
}

static void head_products(struct device *d, const struct head_products *a) {
    for (size_t h = 0; h < a->heads; h++) count_product(d, &a->w[h].w, 1, (double)a->rows, h);
}

// How many of n experts are asked for, if each choice is as likely as any other.
static double experts_used(const struct experts *a) {
    double n = (double)a->n, chosen = (double)a->rows * (double)a->used;
    double used = n * -expm1((double)a->rows * log1p(-(double)a->used / n));
    return a->used >= a->n || used > chosen ? fmin(n, chosen) : fmax(used, (double)a->used);
}

static void experts(struct device *d, const struct experts *a) {
    const struct linear *each[] = {&a->expert->gate, &a->expert->up, &a->expert->down};
    double used = experts_used(a), rows = (double)a->rows * (double)a->used;
    for (int i = 0; i < 3; i++) count_product(d, &each[i]->w, used, rows, i == 1);
    elements_of(d, WORK_ACTIVATION, rows * (double)a->wide, 3);
}

// ------------------------------------------------------------------------------- attention and states

struct seen {
    double all;    // positions that rows see, summed
    double shared; // those of each sequence once
};

static size_t row_sees(const struct attention_row *r, size_t window, size_t most) {
    size_t n = (size_t)r->position + 1;
    if (window && n > window) n = window;
    n += r->ahead;
    return most && n > most ? most : n;
}

static struct seen see(const struct attention_row *row, size_t rows, size_t window, size_t most) {
    struct seen s = {0};
    for (size_t r = 0; r < rows; r++) {
        size_t n = row_sees(&row[r], window, most);
        s.all += (double)n;
        bool last = r + 1 == rows || row[r + 1].pages != row[r].pages;
        if (!last) continue;
        size_t first = r;
        while (first && row[first - 1].pages == row[r].pages) first--;
        double reach = (double)n + (window ? (double)(r - first) : 0),
               whole = (double)row[r].position + 1 + row[r].ahead;
        s.shared += fmin(reach, whole);
    }
    return s;
}

static void attention(struct device *d, const struct attention *a) {
    struct seen s = see(a->at.row, a->rows, a->window, a->chosen ? a->most : 0);
    double page = (double)(kv_key_bytes(&a->kv) + kv_value_bytes(&a->kv)) / PAGE_TOKENS;
    double dims = (double)(a->kv.key_dim + a->kv.value_dim), rows = (double)a->rows, heads = (double)a->heads;
    note(d, (struct counted){.work = WORK_ATTENTION,
                             .type = a->kv.type,
                             .rows = a->rows,
                             .cache = s.shared * page,
                             .stream = floats(rows * heads * dims),
                             .ops = s.all * heads * (2 * dims + 8)}); // softmax: about eight a score
}

static void choose(struct device *d, const struct choice *a) {
    struct seen s = see(a->at.row, a->rows, 0, 0);
    double heads = (double)a->heads;
    note(d, (struct counted){.work = WORK_ATTENTION,
                             .type = a->kv.type,
                             .rows = a->rows,
                             .cache = s.shared * (double)kv_key_bytes(&a->kv) / PAGE_TOKENS,
                             .stream = floats(s.all),
                             .ops = s.all * (heads * (2 * (double)a->kv.key_dim + 3) + 2)});
}

static void elements(struct device *d, double n, double arrays) { elements_of(d, WORK_ELEMENTS, n, arrays); }

// What is read is looked through once more by who chooses a token.
static void get(struct device *d, void *dst, const void *src, size_t bytes) {
    elements(d, (double)bytes / sizeof(float), 3);
}

static void qkv(struct device *d, const struct qkv *a) {
    double rows = (double)a->rows, kv = (double)a->kv.heads * (double)(a->kv.key_dim + a->kv.value_dim);
    double written = a->k.slab ? rows * kv : 0, q = rows * (double)a->heads * (double)a->kv.key_dim;
    elements_of(d, WORK_ROTATION, q + written, 2);
}

static void conv(struct device *d, const struct conv *a) {
    double n = (double)a->rows * (double)a->channels;
    note(d, (struct counted){.work = WORK_STATE,
                             .rows = a->rows,
                             .cache = floats(2 * (double)(a->taps - 1) * (double)a->channels),
                             .stream = floats(2 * n),
                             .ops = n * 2 * (double)a->taps});
}

static void recur(struct device *d, const struct recur *a) {
    double state = (double)a->heads * (double)a->dim * (double)a->size, rows = (double)a->rows, sequences = 0;
    for (size_t r = 0; r < a->rows; r++) sequences += !r || a->row[r].state != a->row[r - 1].state;
    note(d, (struct counted){.work = WORK_STATE,
                             .rows = a->rows,
                             .cache = floats(2 * state * sequences),
                             .stream = floats(rows * 2 * (double)a->heads * (double)a->dim),
                             .ops = rows * state * (a->kind == RECUR_DELTA ? 8 : 5)});
}

// ------------------------------------------------------------------------------- elements

static void embed(struct device *d, const struct weight *table, const dint *ids, size_t rows, dfloat *y) {
    elements(d, (double)rows * (double)table->cols, 1);
}

static void norm(struct device *d, enum norm_kind kind, const dfloat *x, const dfloat *w, size_t parts, const dfloat *b,
                 float eps, size_t rows, size_t dim, dfloat *y) {
    elements(d, (double)rows * (double)dim, 2);
}

static void activate(struct device *d, enum activation kind, dfloat *x, size_t n) {
    elements_of(d, WORK_ACTIVATION, (double)n, 2);
}
static void gate(struct device *d, const struct gate *a) {
    elements_of(d, WORK_ACTIVATION, (double)a->rows * (double)a->n, 3);
}
static void route(struct device *d, const struct route *a) { elements(d, (double)a->rows * (double)a->experts, 2); }

static void sum_rows(struct device *d, const struct sum_rows *a) {
    elements(d, (double)a->rows * (double)a->n * (double)a->dim, 2);
}

static void add(struct device *d, dfloat *x, const dfloat *y, size_t n) { elements(d, (double)n, 3); }
static void move(struct device *d, const dfloat *x, size_t x_row, dfloat *y, size_t y_row, size_t rows, size_t n) {
    elements(d, (double)rows * (double)n, 2);
}
static void by_number(struct device *d, dfloat *x, float by, size_t n) { elements(d, (double)n, 2); }

// ------------------------------------------------------------------------------- opening

static void close_counter(struct device *d) {
    free(of(d)->all);
    free(d);
}

static const struct device_ops table = {
    .kind = "count",
    .close = close_counter,
    .sync = sync_nothing,
    .room = room,
    .alloc = alloc,
    .free = release,
    .write = put,
    .read = get,
    .copy = pass_over,
    .bind = bind,
    .unbind = unbind,
    .form_bytes = form_bytes,
    .form_make = form_make,
    .form_take = form_take,
    .form_give = form_give,
    .form_lock = form_lock,
    .embed = embed,
    .norm = norm,
    .matmul = matmul,
    .products = products,
    .head_products = head_products,
    .qkv = qkv,
    .attention = attention,
    .choose = choose,
    .conv = conv,
    .recur = recur,
    .activate = activate,
    .gate = gate,
    .route = route,
    .experts = experts,
    .sum_rows = sum_rows,
    .add = add,
    .move = move,
    .scale = by_number,
    .clamp = by_number,
    .cap = by_number,
};

struct device *device_count(struct device *like, size_t rows, gyr_error *e) {
    struct counter *k = calloc(1, sizeof *k);
    if (!k) return fail_memory(e, "plan"), NULL;
    k->ops = table;
    k->ops.rows = rows;
    k->like = like;
    k->device.ops = &k->ops;
    return &k->device;
}

const struct counted *device_counted(const struct device *d, size_t *n) {
    const struct counter *k = (const struct counter *)d;
    *n = k->n;
    return k->all;
}

void device_count_clear(struct device *d) { of(d)->n = 0; }
uint64_t device_count_held(const struct device *d) { return ((const struct counter *)d)->held; }
bool device_count_failed(const struct device *d) { return ((const struct counter *)d)->failed; }
