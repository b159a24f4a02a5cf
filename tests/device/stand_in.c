#include "stand_in.h"

#include "device/units.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { ALIGN = 64, GARBAGE = 0xa5 };
static const size_t arena_bytes = (size_t)1 << 36;

// A piece of the device's memory. Its bookkeeping is on the host.
struct piece {
    struct piece *next;
    uint8_t *at;
    size_t bytes;
    bool free;
};

struct call {
    struct call *next;
    void *own; // freed with it
    void (*run)(struct device *cpu, const struct call *c);
    union {
        struct {
            void *dst;
            const void *src;
            size_t bytes;
        } copy;
        struct {
            const struct weight *w;
            const dint *ids;
            size_t rows;
            dfloat *y;
        } embed;
        struct {
            enum norm_kind kind;
            const dfloat *x, *w, *b;
            size_t parts, rows, dim;
            float eps;
            dfloat *y;
        } norm;
        struct {
            const struct weight *w;
            const dfloat *x, *bias;
            size_t rows;
            dfloat *y;
        } matmul;
        struct {
            const struct product *list;
            size_t n;
        } products;
        struct {
            dfloat *x;
            const dfloat *y;
            enum activation kind;
            float by;
            size_t n;
        } elements;
        struct {
            const dfloat *x;
            dfloat *y;
            size_t x_row, y_row, rows, n;
        } move;
        struct head_products head_products;
        struct qkv qkv;
        struct attention attention;
        struct choice choice;
        struct conv conv;
        struct recur recur;
        struct gate gate;
        struct route route;
        struct experts experts;
        struct sum_rows sum_rows;
        struct float_sums sums;
        struct units units;
    };
};

struct stand_in {
    struct device device;
    struct device *cpu;
    uint8_t *arena;
    size_t used; // of the arena
    struct piece *pieces;
    struct call *first, **last;
    enum gyr_status failed; // what sync() is to say
    bool lost;
};

static struct {
    size_t left; // calls until one fails; 0: none does
    enum failure how;
    struct stand_in_calls calls;
} told;

void stand_in_fail(size_t n, enum failure how) {
    told.left = n;
    told.how = how;
}

struct stand_in_calls stand_in_calls(void) {
    struct stand_in_calls c = told.calls;
    told.calls = (struct stand_in_calls){.held = c.held};
    return c;
}

static struct stand_in *of(struct device *d) { return (struct stand_in *)d; }

static enum gyr_status status_of_failure(void) { return told.how == FAIL_NO_MEMORY ? GYR_NO_MEMORY : GYR_DEVICE; }

// Counts a call; whether it fails.
static bool fails(struct stand_in *s) {
    told.calls.all++;
    if (told.left && --told.left == 0) {
        if (!s->failed) s->failed = status_of_failure();
        s->lost = told.how == FAIL_LOST;
        return true;
    }
    return s->lost;
}

// The same of a call that says at once that it failed, so that sync() need not.
static bool fails_now(struct stand_in *s, gyr_error *e) {
    enum gyr_status before = s->failed;
    if (!fails(s)) return false;
    enum gyr_status status = s->lost ? GYR_DEVICE : s->failed;
    s->failed = before;
    fail(e, status, "stand-in: %s", s->lost ? "the device is lost" : "a call failed");
    return true;
}

// ------------------------------------------------------------------------------- the queue

static void free_calls(struct stand_in *s) {
    while (s->first) {
        struct call *c = s->first;
        s->first = c->next;
        free(c->own);
        free(c);
    }
    s->last = &s->first;
}

// The memory is the device's while an operation runs, and nobody's otherwise.
static void *work(void *arg) {
    struct stand_in *s = arg;
    for (struct call *c = s->first; c; c = c->next) {
        mprotect(s->arena, s->used, PROT_READ | PROT_WRITE);
        c->run(s->cpu, c);
        mprotect(s->arena, s->used, PROT_NONE);
    }
    return NULL;
}

static void run_all(struct stand_in *s) {
    pthread_t thread;
    if (s->first && !pthread_create(&thread, NULL, work, s)) pthread_join(thread, NULL);
    free_calls(s);
}

static void enqueue(struct stand_in *s, const struct call *c) {
    struct call *copy = malloc(sizeof *copy);
    if (!copy) abort();
    *copy = *c;
    copy->next = NULL;
    *s->last = copy;
    s->last = &copy->next;
}

// What was asked for before a failure is done; what comes after it is not.
static void put(struct device *d, struct call c) {
    struct stand_in *s = of(d);
    bool before = s->failed || s->lost;
    if (!fails(s) && !before) {
        enqueue(s, &c);
        return;
    }
    free(c.own);
    if (before) return;
    run_all(s);
}

static bool sync(struct device *d, gyr_error *e) {
    struct stand_in *s = of(d);
    told.calls.syncs++;
    bool before = s->failed || s->lost;
    if (!fails(s) && !before) run_all(s);
    free_calls(s);
    enum gyr_status status = s->lost ? GYR_DEVICE : s->failed;
    s->failed = GYR_OK;
    if (!status) return true;
    return fail(e, status, "stand-in: %s",
                s->lost                   ? "the device is lost"
                : status == GYR_NO_MEMORY ? "no memory for an operation"
                                          : "an operation did not end in time");
}

// ------------------------------------------------------------------------------- memory

static void room(struct device *d, uint64_t *total, uint64_t *available) {
    of(d)->cpu->ops->room(of(d)->cpu, total, available);
}

static void run_zero(struct device *cpu, const struct call *c) { memset(c->copy.dst, 0, c->copy.bytes); }

static void *take(struct stand_in *s, size_t bytes) {
    for (struct piece *p = s->pieces; p; p = p->next)
        if (p->free && p->bytes == bytes) {
            p->free = false;
            enqueue(s, &(struct call){.run = run_zero, .copy = {p->at, NULL, bytes}});
            if (s->failed) run_all(s);
            return p->at;
        }
    struct piece *p = malloc(sizeof *p);
    if (!p || bytes > arena_bytes - s->used) {
        free(p);
        return NULL;
    }
    *p = (struct piece){s->pieces, s->arena + s->used, bytes, false};
    s->pieces = p;
    s->used += bytes;
    return p->at;
}

static void *alloc(struct device *d, size_t bytes, gyr_error *e) {
    struct stand_in *s = of(d);
    if (fails_now(s, e)) return NULL;
    size_t whole = bytes > arena_bytes ? bytes : (bytes + !bytes + 4095) / 4096 * 4096;
    void *p = take(s, whole);
    if (!p) return fail_null(e, GYR_NO_MEMORY, "stand-in: no memory for %zu bytes", bytes);
    told.calls.held += whole;
    return p;
}

static void release(struct device *d, void *at) {
    struct stand_in *s = of(d);
    told.calls.all++;
    for (struct piece *p = s->pieces; p; p = p->next)
        if (p->at == at && !p->free) {
            p->free = true;
            told.calls.held -= p->bytes;
            return;
        }
    abort(); // not of this device, or freed twice
}

static void run_copy(struct device *cpu, const struct call *c) { memcpy(c->copy.dst, c->copy.src, c->copy.bytes); }

static void write_to(struct device *d, void *dst, const void *src, size_t bytes) {
    void *own = malloc(bytes + !bytes);
    told.calls.writes++;
    if (!own) abort();
    memcpy(own, src, bytes);
    put(d, (struct call){.own = own, .run = run_copy, .copy = {dst, own, bytes}});
}

// What is read is nonsense until sync().
static void read_from(struct device *d, void *dst, const void *src, size_t bytes) {
    told.calls.reads++;
    memset(dst, GARBAGE, bytes);
    put(d, (struct call){.run = run_copy, .copy = {dst, src, bytes}});
}

static void copy_within(struct device *d, void *dst, const void *src, size_t bytes) {
    put(d, (struct call){.run = run_copy, .copy = {dst, src, bytes}});
}

// ------------------------------------------------------------------------------- weights

static bool bind(struct device *d, struct weight *w, gyr_error *e) {
    return !fails_now(of(d), e) && of(d)->cpu->ops->bind(of(d)->cpu, w, e);
}

static void unbind(struct device *d, struct weight *w) {
    told.calls.all++;
    if (!of(d)->lost) run_all(of(d));
    of(d)->cpu->ops->unbind(of(d)->cpu, w);
}

static size_t form_bytes(struct device *d, const struct weight *w) {
    return of(d)->cpu->ops->form_bytes(of(d)->cpu, w);
}

static bool form_make(struct device *d, struct weight *w) {
    return !fails_now(of(d), NULL) && of(d)->cpu->ops->form_make(of(d)->cpu, w);
}

static bool form_take(struct device *d, struct weight *w, const void *form) {
    return !fails_now(of(d), NULL) && of(d)->cpu->ops->form_take(of(d)->cpu, w, form);
}

static bool form_give(struct device *d, const struct weight *w, size_t at, size_t bytes, void *to) {
    return of(d)->cpu->ops->form_give(of(d)->cpu, w, at, bytes, to);
}

static bool form_lock(struct device *d, const struct weight *w) { return of(d)->cpu->ops->form_lock(of(d)->cpu, w); }

// ------------------------------------------------------------------------------- operations

static void run_embed(struct device *cpu, const struct call *c) {
    cpu->ops->embed(cpu, c->embed.w, c->embed.ids, c->embed.rows, c->embed.y);
}
static void embed(struct device *d, const struct weight *w, const dint *ids, size_t rows, dfloat *y) {
    put(d, (struct call){.run = run_embed, .embed = {w, ids, rows, y}});
}

static void run_norm(struct device *cpu, const struct call *c) {
    cpu->ops->norm(cpu, c->norm.kind, c->norm.x, c->norm.w, c->norm.parts, c->norm.b, c->norm.eps, c->norm.rows,
                   c->norm.dim, c->norm.y);
}
static void norm(struct device *d, enum norm_kind kind, const dfloat *x, const dfloat *w, size_t parts, const dfloat *b,
                 float eps, size_t rows, size_t dim, dfloat *y) {
    put(d, (struct call){.run = run_norm, .norm = {kind, x, w, b, parts, rows, dim, eps, y}});
}

static void run_matmul(struct device *cpu, const struct call *c) {
    cpu->ops->matmul(cpu, c->matmul.w, c->matmul.x, c->matmul.rows, c->matmul.bias, c->matmul.y);
}
static void matmul(struct device *d, const struct weight *w, const dfloat *x, size_t rows, const dfloat *bias,
                   dfloat *y) {
    put(d, (struct call){.run = run_matmul, .matmul = {w, x, bias, rows, y}});
}

static void run_products(struct device *cpu, const struct call *c) {
    cpu->ops->products(cpu, c->products.list, c->products.n);
}
static void products(struct device *d, const struct product *list, size_t n) {
    struct product *own = malloc(n * sizeof *own);
    if (!own) abort();
    memcpy(own, list, n * sizeof *own);
    put(d, (struct call){.own = own, .run = run_products, .products = {own, n}});
}

static void run_move(struct device *cpu, const struct call *c) {
    cpu->ops->move(cpu, c->move.x, c->move.x_row, c->move.y, c->move.y_row, c->move.rows, c->move.n);
}
static void move(struct device *d, const dfloat *x, size_t x_row, dfloat *y, size_t y_row, size_t rows, size_t n) {
    put(d, (struct call){.run = run_move, .move = {x, y, x_row, y_row, rows, n}});
}

#define STRUCT_OPERATION(op, type, member)                                                                             \
    static void run_##op(struct device *cpu, const struct call *c) { cpu->ops->op(cpu, &c->member); }                  \
    static void op(struct device *d, const struct type *a) { put(d, (struct call){.run = run_##op, .member = *a}); }

STRUCT_OPERATION(head_products, head_products, head_products)
STRUCT_OPERATION(qkv, qkv, qkv)
STRUCT_OPERATION(attention, attention, attention)
STRUCT_OPERATION(choose, choice, choice)
STRUCT_OPERATION(conv, conv, conv)
STRUCT_OPERATION(recur, recur, recur)
STRUCT_OPERATION(gate, gate, gate)
STRUCT_OPERATION(route, route, route)
STRUCT_OPERATION(experts, experts, experts)
STRUCT_OPERATION(sum_rows, sum_rows, sum_rows)

static void run_activate(struct device *cpu, const struct call *c) {
    cpu->ops->activate(cpu, c->elements.kind, c->elements.x, c->elements.n);
}
static void activate(struct device *d, enum activation kind, dfloat *x, size_t n) {
    put(d, (struct call){.run = run_activate, .elements = {x, NULL, kind, 0, n}});
}

static void run_add(struct device *cpu, const struct call *c) {
    cpu->ops->add(cpu, c->elements.x, c->elements.y, c->elements.n);
}
static void add(struct device *d, dfloat *x, const dfloat *y, size_t n) {
    put(d, (struct call){.run = run_add, .elements = {x, y, 0, 0, n}});
}

#define ELEMENTS_OPERATION(op)                                                                                         \
    static void run_##op(struct device *cpu, const struct call *c) {                                                   \
        cpu->ops->op(cpu, c->elements.x, c->elements.by, c->elements.n);                                               \
    }                                                                                                                  \
    static void op(struct device *d, dfloat *x, float by, size_t n) {                                                  \
        put(d, (struct call){.run = run_##op, .elements = {x, NULL, 0, by, n}});                                       \
    }

ELEMENTS_OPERATION(scale)
ELEMENTS_OPERATION(clamp)
ELEMENTS_OPERATION(cap)

// In place of the CPU's kernels, which have no such operation. The memory is readable while this runs.
static void run_sums(struct device *cpu, const struct call *c) {
    const struct float_sums *s = &c->sums;
    const float *x = (const void *)s->x, *w = (const void *)s->w, *bias = (const void *)s->bias;
    float *all = (void *)s->y;
    for (size_t r = 0; r < s->rows; r++)
        for (size_t i = 0; i < s->cols; i++) {
            float *y = all + r * s->y_row + i, sum = s->more ? *y : bias ? bias[i] : 0;
            for (size_t k = 0; k < s->n; k++)
                sum = fmaf(x[r * s->x_row + k * s->x_step], w[i * s->w_col + k * s->w_step], sum);
            *y = s->by != 1 ? sum * s->by : sum;
        }
}
static void sums(struct device *d, const struct float_sums *s) { put(d, (struct call){.run = run_sums, .sums = *s}); }

static void run_units(struct device *cpu, const struct call *c) {
    const struct units *u = &c->units;
    const float *gate = (const void *)u->gate, *up = (const void *)u->up, *dy = (const void *)u->dy;
    float *y = (void *)u->y, *dgate = (void *)u->dgate, *dup = (void *)u->dup;
    enum unit f = (enum unit)u->unit;
    for (size_t i = 0; i < u->n; i++) {
        if (!dy) y[i] = gate ? unit_value(f, gate[i]) * up[i] : unit_value(f, up[i]);
        if (dy) dup[i] = dy[i] * (gate ? unit_value(f, gate[i]) : unit_slope(f, up[i]));
        if (dy && gate) dgate[i] = dy[i] * up[i] * unit_slope(f, gate[i]);
    }
}
static void units(struct device *d, const struct units *u) { put(d, (struct call){.run = run_units, .units = *u}); }

// ------------------------------------------------------------------------------- opening

static void close_stand_in(struct device *d) {
    struct stand_in *s = of(d);
    free_calls(s);
    while (s->pieces) {
        struct piece *p = s->pieces;
        s->pieces = p->next;
        if (!p->free) abort(); // somebody lost it
        free(p);
    }
    munmap(s->arena, arena_bytes);
    s->cpu->ops->close(s->cpu);
    free(s);
}

static const struct device_ops ops = {
    .kind = "stand-in",
    .form = 1 << 30,
    .rows = 96,
    .adapts_experts = true,
    .close = close_stand_in,
    .sync = sync,
    .room = room,
    .alloc = alloc,
    .free = release,
    .write = write_to,
    .read = read_from,
    .copy = copy_within,
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
    .scale = scale,
    .clamp = clamp,
    .cap = cap,
    .sums = sums,
    .units = units,
};

static size_t two(void) { return 2; }

static struct device *open_stand_in(size_t index, unsigned threads, gyr_error *e) {
    struct stand_in *s = calloc(1, sizeof *s);
    if (!s) return fail_memory(e, "stand-in"), NULL;
    s->device.ops = &ops;
    s->last = &s->first;
    if (fails_now(s, e) || !(s->cpu = device_cpu(threads, NULL, e))) {
        free(s);
        return NULL;
    }
    s->arena = mmap(NULL, arena_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (s->arena != MAP_FAILED) return &s->device;
    s->cpu->ops->close(s->cpu);
    free(s);
    return fail_memory(e, "stand-in"), NULL;
}

__attribute__((constructor)) static void register_stand_in(void) {
    static const struct device_kind kind = {"stand-in", two, open_stand_in};
    device_register(&kind);
}
