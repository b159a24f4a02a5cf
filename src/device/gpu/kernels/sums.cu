// Products of matrices of floats whose sums have one order, as training needs them: each is a chain of fused
// multiply-adds in ascending order, so it is one thread's from its beginning to its end. A block has a tile of rows by
// columns, 128, 64 or 32 of each, and a thread EACH by EACH sums of it; DEPTH terms of all lie in the block's memory
// while the next ones are on their way.
#define BLOCKS 2
#include "chip.h"

#include "args.h"

enum { DEPTH = 16, AT_ONCE = 8, SIDE = 16, MOST_EACH = 8, APART = 4, PITCH = SIDE * MOST_EACH + APART };

// DEPTH terms of a tile's rows, and of its columns; where one is read the other is filled.
enum { SLOT = DEPTH * PITCH * 4 }; // bytes
struct terms {
    ALIGNED16 float x[2][DEPTH][PITCH];
    ALIGNED16 float w[2][DEPTH][PITCH];
};

// What a thread brings of a tile's rows of x, or columns of w, of which element k of number i is at[i * across + k *
// along]. Neighbouring threads bring what lies side by side: a thread brings one term of several (`turned`), or several
// terms of one.
struct operand {
    const float *at;   // its first, of the terms that come next
    size_t step, on;   // from one to the next, and from these terms to those
    room_place room;   // where its first goes
    unsigned k, place; // which its first is
    unsigned n;        // how many rows or columns there are
    bool turned;
};

FN struct operand operand(const float *x, size_t across, size_t along, unsigned first, unsigned all, unsigned each,
                          float (*room)[PITCH]) {
    struct operand o;
    o.turned = along == 1;
    o.k = o.turned ? THREAD % DEPTH : THREAD / (SIDE * each);
    o.place = o.turned ? THREAD / DEPTH : THREAD % (SIDE * each);
    o.n = all - first;
    o.at = x + (first + o.place) * across + o.k * along;
    o.step = o.turned ? SIDE * across : THREADS / (SIDE * each) * along;
    o.on = DEPTH * along;
    o.room = room_of(&room[o.k][o.place]);
    return o;
}

// Asks for terms [first, first + DEPTH), as far as there are so many. What is not there stays as it is.
FN void ask_terms(struct operand *o, unsigned each, unsigned first, unsigned n, unsigned slot) {
    const float *at = o->at;
    unsigned apart = o->turned ? SIDE * 4 : THREADS / (SIDE * each) * PITCH * 4;
    unsigned have = o->turned ? (o->n - o->place + SIDE - 1) / SIDE
                              : (n - first - o->k + THREADS / (SIDE * each) - 1) / (THREADS / (SIDE * each));
    if (o->place >= o->n || first + o->k >= n) have = 0;
    UNROLL
    for (unsigned i = 0; i < each; i++, at += o->step)
        if (i < have) copy_word_to_room(o->room + slot * SLOT + i * apart, at);
    o->at += o->on;
}

// A thread's rows, or columns: four neighbours, and four more behind those of all threads; of small tiles two.
FN unsigned unit_of(unsigned each) { return each < 4 ? each : 4; }
FN unsigned own_of(unsigned each, unsigned thread, unsigned i) {
    unsigned unit = unit_of(each);
    return thread * unit + i % unit + i / unit * SIDE * unit;
}

FN void take(unsigned each, unsigned thread, const float *room, float *to) {
    UNROLL
    for (unsigned i = 0; i < each; i += unit_of(each)) {
        const float *at = room + own_of(each, thread, i);
        if (unit_of(each) == 4) {
            struct quad q = quad_at(at);
            UNROLL
            for (unsigned k = 0; k < 4; k++) to[i + k] = float_of_bits(q.w[k]);
        } else {
            struct pair q = pair_at(at);
            to[i] = float_of_bits(q.w[0]);
            to[i + 1] = float_of_bits(q.w[1]);
        }
    }
}

FN void add_term(unsigned each, const float *x_room, const float *w_room, float *sum) {
    float x[MOST_EACH], w[MOST_EACH];
    take(each, THREAD / SIDE, x_room, x);
    take(each, THREAD % SIDE, w_room, w);
    UNROLL
    for (unsigned i = 0; i < each; i++) {
        UNROLL
        for (unsigned j = 0; j < each; j++) sum[i * each + j] = fmaf(x[i], w[j], sum[i * each + j]);
    }
}

// What is not there is not added: a sum may be -0.
FN void add_terms(unsigned each, const struct terms *t, unsigned slot, unsigned n, float *sum) {
    if (n >= DEPTH) {
        ROLLED
        for (unsigned k = 0; k < DEPTH; k += AT_ONCE) {
            UNROLL
            for (unsigned i = 0; i < AT_ONCE; i++) add_term(each, t->x[slot][k + i], t->w[slot][k + i], sum);
        }
    } else {
        ROLLED
        for (unsigned k = 0; k < n; k++) add_term(each, t->x[slot][k], t->w[slot][k], sum);
    }
}

// Which outputs a thread has: sum (i, j) is that of row row_of_sum(i) and column col_of_sum(j).
struct tile_of_sums {
    unsigned each, row, col;
};

FN unsigned row_of_sum(const struct tile_of_sums *t, unsigned i) { return t->row + own_of(t->each, THREAD / SIDE, i); }
FN unsigned col_of_sum(const struct tile_of_sums *t, unsigned j) { return t->col + own_of(t->each, THREAD % SIDE, j); }

FN void begin_sums(const struct sums_args *a, const struct tile_of_sums *t, float *sum) {
    const float *from = a->start == SUMS_Y ? a->y : a->bias;
    size_t step = a->start == SUMS_Y ? a->y_row : 0;
    UNROLL
    for (unsigned i = 0; i < t->each; i++) {
        unsigned row = row_of_sum(t, i);
        UNROLL
        for (unsigned j = 0; j < t->each; j++) sum[i * t->each + j] = 0;
        if (a->start == SUMS_ZERO || row >= a->rows) continue;
        UNROLL
        for (unsigned j = 0; j < t->each; j++) {
            unsigned col = col_of_sum(t, j);
            if (col < a->cols) sum[i * t->each + j] = from[row * step + col];
        }
    }
}

FN void end_sums(const struct sums_args *a, const struct tile_of_sums *t, const float *sum) {
    UNROLL
    for (unsigned i = 0; i < t->each; i++) {
        unsigned row = row_of_sum(t, i);
        float *to = a->y + row * a->y_row;
        UNROLL
        for (unsigned j = 0; j < t->each; j++) {
            unsigned col = col_of_sum(t, j);
            float y = sum[i * t->each + j];
            if (row < a->rows && col < a->cols) to[col] = a->by != 1 ? y * a->by : y;
        }
    }
}

// Where terms of row t end: with its block.
FN unsigned end_of_row(unsigned t) { return (t / CAUSAL_BLOCK + 1) * CAUSAL_BLOCK; }

// The same where rows end apart: n terms from term `first` on.
FN void add_causal(const struct tile_of_sums *t, const struct terms *room, unsigned slot, unsigned first, unsigned n,
                   float *sum) {
    ROLLED
    for (unsigned k = 0; k < n && k < DEPTH; k++) {
        float x[MOST_EACH], w[MOST_EACH];
        take(t->each, THREAD / SIDE, room->x[slot][k], x);
        take(t->each, THREAD % SIDE, room->w[slot][k], w);
        UNROLL
        for (unsigned i = 0; i < t->each; i++) {
            if (first + k >= end_of_row(row_of_sum(t, i))) continue;
            UNROLL
            for (unsigned j = 0; j < t->each; j++) sum[i * t->each + j] = fmaf(x[i], w[j], sum[i * t->each + j]);
        }
    }
}

FN unsigned less(unsigned a, unsigned b) { return a < b ? a : b; }

FN void sums_of_tile(const struct sums_args *all, unsigned each, struct terms *room) {
    struct sums_args a = *all;
    unsigned size = SIDE * each, high = (a.rows + size - 1) / size, begin = 0, n = a.n, whole = n;
    const struct tile_of_sums t = {each, BLOCK_X % high * size, BLOCK_X / high * size};
    if (a.causal == CAUSAL_SCORES && t.col >= end_of_row(t.row + size - 1)) return;
    if (a.causal == CAUSAL_SUMS) {
        n = less(n, end_of_row(t.row + size - 1));
        whole = less(n, end_of_row(t.row));
    }
    if (a.causal == CAUSAL_TURNED) begin = t.row / CAUSAL_BLOCK * CAUSAL_BLOCK;
    a.x += BLOCK_Y * a.x_each;
    a.w += (BLOCK_Y + a.first) / a.share * a.w_each;
    a.y += BLOCK_Y * a.y_each;
    struct operand x = operand(a.x + begin * a.x_step, a.x_row, a.x_step, t.row, a.rows, each, room->x[0]),
                   w = operand(a.w + begin * a.w_step, a.w_col, a.w_step, t.col, a.cols, each, room->w[0]);
    float sum[MOST_EACH * MOST_EACH];
    begin_sums(&a, &t, sum);
    ask_terms(&x, each, begin, n, 0);
    ask_terms(&w, each, begin, n, 0);
    send_copies();
    for (unsigned k = begin, slot = 0; k < n; k += DEPTH, slot ^= 1) {
        await_copies(0);
        barrier(); // all have these terms, and nobody reads the ones before any more
        if (n - k > DEPTH) {
            ask_terms(&x, each, k + DEPTH, n, slot ^ 1);
            ask_terms(&w, each, k + DEPTH, n, slot ^ 1);
            send_copies();
        }
        if (k + DEPTH <= whole || whole == n)
            add_terms(each, room, slot, n - k, sum);
        else
            add_causal(&t, room, slot, k, n - k, sum);
    }
    end_sums(&a, &t, sum);
}

KERNEL(sums128, sums_args) {
    SHARED(struct terms, room);
    sums_of_tile(&a, 8, room);
}

KERNEL(sums64, sums_args) {
    SHARED(struct terms, room);
    sums_of_tile(&a, 4, room);
}

KERNEL(sums32, sums_args) {
    SHARED(struct terms, room);
    sums_of_tile(&a, 2, room);
}
