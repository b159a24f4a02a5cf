// How attention is cut into tasks. Queries that share keys are taken together, to read them once: the rows of a
// sequence's prompt, the heads of a group. Where that leaves too few tasks for the threads, each span of positions is a
// task, and the parts are joined afterwards. No cut changes a result.
#include <stdatomic.h>
#include <stdlib.h>

#include "device/cpu/cpu.h"

enum { TASKS_A_THREAD = 4 };

// Multiply-adds that are worth reading a head's keys and values once more for.
enum { LEAST = 1 << 16 };

struct cut {
    struct cpu *c;
    const struct attention *a;
    size_t group, pieces, piece; // query heads of a kv head; pieces they are cut into; heads of a piece
    size_t rows, blocks;         // rows of a block, and blocks of rows
    size_t first, spans, seen;   // what any row sees, the last in positions
    bool split;                  // each span is a task
    size_t tasks;
    atomic_size_t next;
};

static size_t divide(size_t n, size_t size) { return n / size + (n % size != 0); }
static size_t min(size_t a, size_t b) { return a < b ? a : b; }

bool cpu_attention_new(struct cpu *c, gyr_error *e) {
    unsigned threads = pool_threads(c->pool);
    c->attend = aligned_alloc(64, threads * sizeof *c->attend);
    c->parts = aligned_alloc(64, threads * sizeof *c->parts * PART_FLOATS);
    return c->attend && c->parts ? true : fail_memory(e, "attention");
}

// The spans that the rows see, all together.
static void find_spans(struct cut *t) {
    size_t first = SIZE_MAX, last = 0;
    for (size_t r = 0; r < t->a->rows; r++) {
        struct sight s = sight_of(t->a, r);
        first = min(first, s.first);
        last = s.end > last ? s.end : last;
    }
    t->seen = last - first;
    t->first = first / SPAN;
    t->spans = divide(last, SPAN) - t->first;
}

// Where there are fewer tasks than threads, even by spans, the heads of a key are cut into more pieces.
static void cut_heads(struct cut *t) {
    size_t threads = pool_threads(t->c->pool), tasks = t->blocks * t->pieces * t->a->kv.heads * t->spans;
    size_t one = min(t->seen, SPAN) * (t->a->kv.key_dim + t->a->kv.value_dim);
    if (tasks >= threads || !one) return;
    size_t pieces = divide(threads, tasks) * t->pieces, piece = divide(t->group, min(pieces, t->group));
    if (piece * one < LEAST) piece = min(divide(LEAST, one), t->piece);
    t->piece = piece;
    t->pieces = divide(t->group, piece);
}

static struct cut cut(struct cpu *c, const struct attention *a) {
    struct cut t = {.c = c, .a = a, .group = a->heads / a->kv.heads};
    size_t enough = (size_t)pool_threads(c->pool) * TASKS_A_THREAD;
    find_spans(&t);
    t.pieces = divide(t.group, QUERIES);
    t.piece = divide(t.group, t.pieces);
    t.rows = a->chosen ? 1 : min(QUERIES / t.piece, a->rows); // each row has a list of its own
    while (t.rows > 1 && divide(a->rows, t.rows) * t.pieces * a->kv.heads < enough) t.rows = (t.rows + 1) / 2;
    t.blocks = divide(a->rows, t.rows);
    cut_heads(&t);
    t.tasks = t.blocks * t.pieces * a->kv.heads;
    size_t parts = a->rows * t.piece * t.pieces * a->kv.heads * t.spans;
    t.split = t.tasks < enough && t.spans > 1 && pool_threads(c->pool) > 1 &&
              parts <= pool_threads(c->pool) * (size_t)PART_FLOATS / part_floats(a);
    if (t.split) t.tasks *= t.spans;
    return t;
}

static float *out_of(const struct attention *a, size_t row, size_t head) {
    return a->out + (row * a->heads + head) * a->kv.value_dim;
}

static void close(const struct cut *t, const struct softmax *all, size_t row, size_t head) {
    const struct attention *a = t->a;
    t->c->kernels->close(all, a->sinks ? a->sinks + head : NULL, a->kv.value_dim, out_of(a, row, head));
}

// Rows from q->row on, up to `end`, that have one page table.
static size_t run_of(const struct attention *a, size_t row, size_t end) {
    size_t n = 1;
    while (row + n < end && a->at.row[row + n].pages == a->at.row[row].pages) n++;
    return n;
}

static void attend(const struct cut *t, const struct queries *q, size_t span, struct attend *s, float *parts) {
    const struct kernels *k = t->c->kernels;
    (t->a->kv.type == TYPE_Q8_0 ? k->attend_q8 : k->attend)(t->a, q, span, s, parts);
}

// All spans of a block, one after the other.
static void whole(const struct cut *t, const struct queries *q, struct attend *s, float *parts) {
    const struct attention *a = t->a;
    const struct kernels *k = t->c->kernels;
    struct softmax all[QUERIES] = {{0, 0}};
    size_t n = q->rows * q->heads;
    for (size_t span = t->first; span < t->first + t->spans; span++) {
        attend(t, q, span, s, parts);
        for (size_t i = 0; i < n; i++)
            k->join(parts + i * part_floats(a), part_cols(a), a->kv.value_dim, all + i,
                    out_of(a, q->row + i / q->heads, q->head + i % q->heads));
    }
    for (size_t i = 0; i < n; i++) close(t, all + i, q->row + i / q->heads, q->head + i % q->heads);
}

// Where the parts of a span begin for the heads of a piece: [span][kv_head][piece][row][head].
static float *parts_of(const struct cut *t, size_t span, size_t piece) {
    size_t pieces = t->pieces * t->a->kv.heads;
    return t->c->parts + (span * pieces + piece) * t->a->rows * t->piece * part_floats(t->a);
}

// Heads of a piece: `piece` counts through all kv heads.
static struct queries heads_of(const struct cut *t, size_t piece) {
    size_t first = piece % t->pieces * t->piece;
    return (struct queries){.head = piece / t->pieces * t->group + first, .heads = min(t->piece, t->group - first)};
}

static void task(const struct cut *t, size_t i, size_t worker) {
    const struct attention *a = t->a;
    size_t pieces = t->pieces * a->kv.heads, spans = t->split ? t->spans : 1;
    size_t piece = i / spans % pieces, block = i / spans / pieces, end = min((block + 1) * t->rows, a->rows);
    struct queries q = heads_of(t, piece);
    struct attend *s = t->c->attend + worker;
    for (q.row = block * t->rows; q.row < end; q.row += q.rows) {
        q.rows = run_of(a, q.row, end);
        float *parts = parts_of(t, i % spans, piece) + q.row * q.heads * part_floats(a);
        if (a->kv.type == TYPE_Q8_0) t->c->kernels->code_queries(a, &q, s);
        if (t->split)
            attend(t, &q, t->first + i % spans, s, parts);
        else
            whole(t, &q, s, t->c->parts + worker * PART_FLOATS);
    }
}

// Each worker has its own memory, so there are as many loops as workers, and each takes tasks while there are any.
static void work(void *arg, size_t worker) {
    struct cut *t = arg;
    size_t i;
    while ((i = atomic_fetch_add(&t->next, 1)) < t->tasks) task(t, i, worker);
}

static void join(void *arg, size_t i) {
    const struct cut *t = arg;
    const struct attention *a = t->a;
    size_t row = i / t->pieces / a->kv.heads, piece = i % (t->pieces * a->kv.heads);
    struct queries q = heads_of(t, piece);
    for (size_t h = 0; h < q.heads; h++) {
        struct softmax all = {0, 0};
        for (size_t span = 0; span < t->spans; span++) {
            const float *part = parts_of(t, span, piece) + (row * q.heads + h) * part_floats(a);
            t->c->kernels->join(part, part_cols(a), a->kv.value_dim, &all, out_of(a, row, q.head + h));
        }
        close(t, &all, row, q.head + h);
    }
}

static bool any_chosen(const struct attention *a) {
    for (size_t r = 0; r < a->rows; r++)
        if (chosen_of(a, r)) return true;
    return false;
}

void cpu_attention(struct device *d, const struct attention *given) {
    struct cpu *c = cpu_of(d);
    struct attention all = *given, *a = &all;
    if (!a->rows) return;
    if (!any_chosen(a)) a->chosen = NULL;
    struct cut t = cut(c, a);
    pool_run(c->pool, min(pool_threads(c->pool), t.tasks), work, &t);
    if (t.split) pool_run(c->pool, a->rows * t.pieces * a->kv.heads, join, &t);
}
