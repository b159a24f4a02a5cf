// Layers that keep a state (docs/arithmetic.md, "Layers that keep a state"; device/recur.h). Rows of a sequence lie
// side by side and are computed one after the other, by the blocks of the first of them.
#define BLOCKS 2 // or the compiler keeps some of its registers in memory
#include "chip.h"

#include "activation.h"
#include "args.h"

enum { MOST_SIZE = 1024 };

// Rows of the sequence that begins with this row; 0 if it begins before.
FN unsigned rows_of_sequence(const drow *row, unsigned r, unsigned rows) {
    if (r && row[r - 1].state == row[r].state) return 0;
    unsigned n = 1;
    while (r + n < rows && row[r + n].state == row[r].state) n++;
    return n;
}

// Input i of a channel, counted from the sequence's first row; before that, as the state has it.
FN float input_of(const struct conv_args *a, const float *tail, unsigned channel, int i) {
    int before = (int)a->taps - 1;
    return i < 0 ? tail[(size_t)(i + before) * a->channels + channel]
                 : a->x[(BLOCK_X + (size_t)i) * a->x_row + channel];
}

// BLOCK_X is a row; a thread has a channel.
KERNEL(conv, conv_args) {
    unsigned rows = rows_of_sequence(a.row, BLOCK_X, a.rows), c = BLOCK_Y * THREADS + THREAD;
    int before = (int)a.taps - 1;
    if (!rows || c >= a.channels) return;
    float *tail = a.row[BLOCK_X].state + a.state;
    for (int k = 0; a.row[BLOCK_X].position == 0 && k < before; k++) tail[(size_t)k * a.channels + c] = 0;
    for (unsigned r = 0; r < rows; r++) {
        float y = a.bias ? a.bias[c] : 0;
        for (unsigned j = 0; j < a.taps; j++)
            y = fmaf(a.w[(size_t)j * a.channels + c], input_of(&a, tail, c, (int)(r + j) - before), y);
        a.out[(BLOCK_X + (size_t)r) * a.channels + c] = activated(SILU, y);
    }
    for (int k = 0; k < before; k++) tail[(size_t)k * a.channels + c] = input_of(&a, tail, c, (int)rows - before + k);
}

// One row of a channel.
FN void step_channel(const struct recur_args *a, size_t row, unsigned c, float *state) {
    size_t all = (size_t)a->heads * a->dim;
    float x = a->x[row * a->x_row + c], dt = a->dt[row * a->dt_row + c], sum = 0;
    float step = softplus_f(fmaf(a->dt_by, dt, a->dt_bias ? a->dt_bias[c] : 0)), add = step * x;
    const float *key = a->key + row * a->size, *query = a->query + row * a->size;
    for (unsigned k = 0; k < a->size; k++) {
        float *cell = state + k * all + c;
        float now = fmaf(add, key[k], *cell * exp_f(step * a->a[k * all + c]));
        *cell = now;
        sum = fmaf(now, query[k], sum);
    }
    a->out[row * all + c] = a->skip ? fmaf(a->skip[c], x, sum) : sum;
}

// BLOCK_X is a row; a thread has a channel.
KERNEL(recur_channels, recur_args) {
    unsigned rows = rows_of_sequence(a.row, BLOCK_X, a.rows), c = BLOCK_Y * THREADS + THREAD;
    size_t all = (size_t)a.heads * a.dim;
    if (!rows || c >= all) return;
    float *state = a.row[BLOCK_X].state + a.state;
    for (unsigned k = 0; a.row[BLOCK_X].position == 0 && k < a.size; k++) state[k * all + c] = 0;
    for (unsigned r = 0; r < rows; r++) step_channel(&a, BLOCK_X + (size_t)r, c, state);
}

// How a head, or with `each` an element of its key, decays.
FN float decay_of(const struct recur_args *a, size_t row, unsigned head, size_t step, float *size) {
    float s = softplus_f(fmaf(a->dt_by, a->dt[row * a->dt_row + step], a->dt_bias ? a->dt_bias[step] : 0));
    if (a->dt_most > 0) s = s < a->dt_least ? a->dt_least : s > a->dt_most ? a->dt_most : s;
    *size = s;
    return exp_f(s * a->a[head]);
}

struct recur_room {
    float keep[MOST_SIZE]; // of the delta rule: each element's decay
};

// What the delta rule adds: how far the decayed state is from giving x for the key.
FN float forget(const struct recur_args *a, size_t row, unsigned head, const float *key, const float *keep,
                float *state, unsigned i) {
    float read = 0, x = a->x[row * a->x_row + (size_t)head * a->dim + i];
    float rate = 1.0f / (1.0f + exp_f(-a->beta[row * a->heads + head]));
    for (unsigned k = 0; k < a->size; k++) {
        float cell = state[(size_t)k * a->dim + i] * keep[a->each ? k : 0];
        state[(size_t)k * a->dim + i] = cell;
        read = fmaf(cell, key[k], read);
    }
    return rate * (x - read);
}

// One row of an element of a head's value.
FN void step_element(const struct recur_args *a, size_t row, unsigned head, const struct recur_room *room, float *state,
                     unsigned i) {
    unsigned group = a->turns ? head % a->groups : head / (a->heads / a->groups);
    const float *key = a->key + (row * a->groups + group) * a->size;
    const float *query = a->query + (row * a->groups + group) * a->size;
    float x = a->x[row * a->x_row + (size_t)head * a->dim + i], keep = 1, step, add, out = 0;
    if (a->delta)
        add = forget(a, row, head, key, room->keep, state, i);
    else {
        keep = decay_of(a, row, head, head, &step);
        add = step * x;
    }
    for (unsigned k = 0; k < a->size; k++) {
        float cell = fmaf(add, key[k], state[(size_t)k * a->dim + i] * keep);
        state[(size_t)k * a->dim + i] = cell;
        out = fmaf(cell, query[k], out);
    }
    a->out[(row * a->heads + head) * a->dim + i] = a->skip ? fmaf(a->skip[head], x, out) : out;
}

// BLOCK_X is a row, BLOCK_Y a head; a thread has every THREADS-th element of its value.
KERNEL(recur_heads, recur_args) {
    SHARED(struct recur_room, room);
    unsigned rows = rows_of_sequence(a.row, BLOCK_X, a.rows), head = BLOCK_Y;
    if (!rows) return;
    float *state = a.row[BLOCK_X].state + a.state + (size_t)head * a.size * a.dim, step;
    for (unsigned i = THREAD; a.row[BLOCK_X].position == 0 && i < a.dim; i += THREADS)
        for (unsigned k = 0; k < a.size; k++) state[(size_t)k * a.dim + i] = 0;
    for (unsigned r = 0; r < rows; r++) {
        size_t row = BLOCK_X + (size_t)r;
        for (unsigned k = THREAD; a.delta && k < (a.each ? a.size : 1); k += THREADS)
            room->keep[k] = decay_of(&a, row, head, a.each ? (size_t)head * a.size + k : head, &step);
        barrier();
        for (unsigned i = THREAD; i < a.dim; i += THREADS) step_element(&a, row, head, room, state, i);
        barrier();
    }
}
