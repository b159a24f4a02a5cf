// Rounded activations of few rows, and for how long they are good. Products of one x (queries, keys and values; gates
// and what they gate; attention and MLP side by side) need its codes once; and an operation whose result was rounded
// before, in an earlier layer or step, leaves the codes itself, so that no kernel of its own makes them.
#include <string.h>

#include "device/gpu/work.h"

// Elements of what is kept: of more, the rounding takes no time that counts.
enum { MOST_ELEMENTS = 1 << 20 };

static bool overlap(const void *a, size_t n, const void *b, size_t m) {
    uintptr_t x = (uintptr_t)a, y = (uintptr_t)b;
    return x < y ? y - x < n : x - y < m;
}

void work_wrote(struct gpu *g, const void *p, size_t bytes) {
    for (int i = 0; g->work && i < ROUNDINGS; i++) {
        struct rounded *r = &g->work->rounded[i];
        if (r->good && overlap(r->x, r->n * sizeof(float), p, bytes)) r->good = false;
    }
}

void work_wrote_anything(struct gpu *g) {
    for (int i = 0; g->work && i < ROUNDINGS; i++) g->work->rounded[i].good = false;
}

void work_writes(struct gpu *g, const void *p, size_t bytes) {
    if (work_begin(g)) g->work->writes = (struct written){true, p, bytes};
}

void work_launches(struct gpu *g) {
    if (!g->work) return;
    struct written w = g->work->writes;
    g->work->last = (struct last_product){NULL, 0, 0};
    g->work->writes = (struct written){false, NULL, 0};
    if (!w.known)
        work_wrote_anything(g);
    else if (w.bytes)
        work_wrote(g, w.at, w.bytes);
}

// Each step takes the places in the same order, so that its launches are those of the step before (record.c).
void work_step_ends(struct gpu *g) {
    work_wrote_anything(g);
    if (g->work) g->work->next_rounded = 0;
}

// A place for codes of n elements, not good yet.
static struct rounded *take(struct gpu *g, const dfloat *x, size_t n, struct round_form f) {
    unsigned i = g->work->next_rounded++ % ROUNDINGS;
    struct rounded *r = &g->work->rounded[i];
    size_t units = n / 32 * sizeof(struct group_of_row);
    dbyte *at = work_scratch(g, SCRATCH_ROUNDED + (int)i, n + units);
    *r = (struct rounded){
        x, n, f, false, {NULL, at, at ? (struct group_of_row *)(void *)(at + n) : NULL, f.cols, f.unit, f.run}};
    return at ? r : NULL;
}

// What x of n elements was last rounded to.
static struct habit *habit_of(struct gpu_work *w, const dfloat *x, size_t n) {
    for (int i = 0; i < HABITS; i++)
        if (w->habit[i].x == x && w->habit[i].n == n) return &w->habit[i];
    return NULL;
}

static void remember(struct gpu_work *w, const dfloat *x, size_t n, struct round_form f) {
    struct habit *h = habit_of(w, x, n);
    if (!h) h = &w->habit[w->next_habit++ % HABITS];
    *h = (struct habit){x, n, f};
}

static bool same(struct round_form a, struct round_form b) {
    return a.cols == b.cols && a.unit == b.unit && a.run == b.run;
}

// More than is kept goes where the next such x will go too.
static bool round_all(struct gpu *g, const dfloat *x, size_t n, struct round_form f, struct round_args *a) {
    dbyte *codes = work_scratch(g, SCRATCH_CODES, n);
    struct group_of_row *group = work_scratch(g, SCRATCH_UNITS, n / 32 * sizeof *group);
    *a = (struct round_args){x, codes, group, f.cols, f.unit, f.run};
    return codes && group;
}

bool work_round(struct gpu *g, const dfloat *x, size_t rows, struct round_form f, struct round_args *a) {
    size_t n = rows * f.cols;
    if (!work_begin(g)) return false;
    struct rounded *r = NULL;
    for (int i = 0; i < ROUNDINGS && !r; i++) {
        struct rounded *there = &g->work->rounded[i];
        if (there->good && there->x == x && there->n == n && same(there->form, f)) r = there;
    }
    if (n > MOST_ELEMENTS) {
        if (!round_all(g, x, n, f, a)) return false;
    } else {
        remember(g->work, x, n, f);
        if (r) {
            *a = r->args;
            return true;
        }
        if (!(r = take(g, x, n, f))) return false;
        *a = r->args;
        a->x = x;
    }
    work_writes(g, NULL, 0);
    work_launch(g, "round_row", rows, work_blocks(f.cols / 4, THREADS), 1, a, sizeof *a);
    if (r) r->good = true;
    return true;
}

struct rounded *work_round_along(struct gpu *g, const dfloat *x, size_t rows, size_t cols, size_t piece) {
    size_t n = rows ? rows * cols : cols;
    struct habit *h = work_begin(g) && n && n <= MOST_ELEMENTS ? habit_of(g->work, x, n) : NULL;
    if (!h || (rows && h->form.cols != cols) || piece % ((size_t)h->form.run * 32)) return NULL;
    return take(g, x, n, h->form);
}
