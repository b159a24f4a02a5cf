// Convolutions and recurrences over states: against the definition in double precision, and the same bytes with every
// instruction set, number of threads, cut of the rows, and order of the sequences.
#include "device/device.h"

#include "devices.h"
#include "random.h"
#include "test.h"

enum { SEQUENCES = 3, LENGTH = 11, ROWS = SEQUENCES * LENGTH };

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double softplus(double x) { return log1p(exp(x)); }
static bool near(float got, double want) { return fabs((double)got - want) <= 2e-5 * (1 + fabs(want)); }

// n floats in [low, low + 2 * wide].
static float *between(size_t n, float low, float wide) {
    float *x = malloc(n * sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = low + wide * (1 + random_float());
    return x;
}

// The sequences' states: so many floats each.
struct slots {
    float *data;
    size_t floats;
};

// Rows of the sequences in their order, each from `first` on, `n` of them.
static size_t put_rows(struct attention_row *row, const struct slots *states, size_t first, size_t n) {
    size_t rows = 0;
    for (uint32_t s = 0; s < SEQUENCES; s++)
        for (size_t p = first; p < first + n; p++)
            row[rows++] = (struct attention_row){.position = (uint32_t)p,
                                                 .state = states->data + (SEQUENCES - 1 - s) * states->floats};
    return rows;
}

// ------------------------------------------------------------------------------- convolution

struct conv_case {
    struct conv a;
    float *x, *w, *bias;
};

static void want_conv(const struct conv *a, size_t row, double *out) {
    for (size_t c = 0; c < a->channels; c++) {
        double sum = a->bias ? (double)a->bias[c] : 0;
        for (size_t j = 0; j < a->taps; j++) {
            size_t back = a->taps - 1 - j;
            if (back > row % LENGTH) continue;
            sum += (double)a->w[j * a->channels + c] * (double)a->x[(row - back) * a->x_row + c];
        }
        out[c] = sum * sigmoid(sum);
    }
}

// Runs the rows of all sequences in pieces; the states hold nonsense before.
static void run_conv(struct device *d, struct conv a, const struct slots *states, size_t piece, float *out) {
    struct attention_row row[ROWS];
    float *x = malloc(ROWS * a.x_row * sizeof *x), *y = malloc(ROWS * a.channels * sizeof *y);
    const float *all = a.x;
    for (size_t first = 0, n; first < LENGTH; first += n) {
        n = LENGTH - first < piece ? LENGTH - first : piece;
        a.rows = put_rows(row, states, first, n);
        for (size_t r = 0; r < a.rows; r++)
            memcpy(x + r * a.x_row, all + (r / n * LENGTH + first + r % n) * a.x_row, a.x_row * sizeof *x);
        a.row = row;
        a.x = x;
        a.out = y;
        d->ops->conv(d, &a);
        for (size_t r = 0; r < a.rows; r++)
            memcpy(out + (r / n * LENGTH + first + r % n) * a.channels, y + r * a.channels, a.channels * sizeof *y);
    }
    free(x);
    free(y);
}

static void one_conv(size_t channels, size_t taps, bool bias) {
    size_t x_row = channels + random_size(0, 9), slot = 7 + (taps - 1) * channels;
    float *x = between(ROWS * x_row, -2, 2), *w = between(taps * channels, -1, 1), *b = between(channels, -1, 1);
    float *state = between(SEQUENCES * slot, -50, 50), *want = malloc(ROWS * channels * sizeof *want),
          *got = malloc(ROWS * channels * sizeof *got);
    double *right = malloc(channels * sizeof *right);
    struct conv a = {.channels = channels, .taps = taps, .x = x, .x_row = x_row, .w = w, .bias = bias ? b : NULL};
    a.state = 7;
    const struct slots states = {state, slot};
    for (int d = 0; d < count; d++)
        for (size_t piece = 1; piece <= LENGTH; piece += 5) {
            bool first = d == 0 && piece == 1;
            run_conv(devices[d], a, &states, piece, first ? want : got);
            CHECK(first || !memcmp(want, got, ROWS * channels * sizeof *want));
        }
    for (size_t r = 0; r < ROWS; r++) {
        want_conv(&a, r, right);
        for (size_t c = 0; c < channels; c++) CHECK(near(want[r * channels + c], right[c]));
    }
    void *all[] = {x, w, b, state, want, got, right};
    for (int i = 0; i < 7; i++) free(all[i]);
}

static void convolutions(void) {
    one_conv(1, 4, true);
    one_conv(64, 2, false);
    one_conv(75, 4, true);
    one_conv(130, 13, false); // more taps than there are rows
    one_conv(33, 1, true);
}

// ------------------------------------------------------------------------------- recurrences

// The definition: one head of one sequence.
static void want_head(const struct recur *a, size_t sequence, size_t head, double *out) {
    size_t dim = a->dim, size = a->size, inner = a->heads * dim, per = a->heads / a->groups;
    size_t group = a->turns ? head % a->groups : head / per;
    bool channels = a->kind == RECUR_CHANNELS;
    double *s = calloc(size * dim, sizeof *s);
    for (size_t t = 0; t < LENGTH; t++) {
        size_t r = sequence * LENGTH + t;
        const float *key = a->key + (r * a->groups + (channels ? 0 : group)) * size;
        const float *query = a->query + (r * a->groups + (channels ? 0 : group)) * size;
        for (size_t i = 0; i < dim; i++) {
            size_t at = channels ? head * dim + i : head;
            double x = (double)a->x[r * a->x_row + head * dim + i], read = 0, sum = 0;
            double step = 0;
            for (size_t k = 0; k < size; k++) {
                size_t of = a->each ? head * size + k : at;
                step = softplus((double)a->dt_by * (double)a->dt[r * a->dt_row + of] +
                                (a->dt_bias ? (double)a->dt_bias[of] : 0));
                double rate = (double)(channels ? a->a[k * inner + at] : a->a[head]);
                s[k * dim + i] *= exp(step * rate);
                read += s[k * dim + i] * (double)key[k];
            }
            double add = a->kind == RECUR_DELTA ? sigmoid((double)a->beta[r * a->heads + head]) * (x - read) : step * x;
            for (size_t k = 0; k < size; k++) {
                s[k * dim + i] += add * (double)key[k];
                sum += s[k * dim + i] * (double)query[k];
            }
            out[t * dim + i] = sum + (a->skip ? (double)a->skip[at] * x : 0);
        }
    }
    free(s);
}

static void copy_rows(float *to, const float *from, size_t n, size_t first, size_t rows, size_t width) {
    for (size_t r = 0; r < rows; r++)
        memcpy(to + r * width, from + (r / n * LENGTH + first + r % n) * width, width * sizeof *to);
}

// The rows of all sequences in pieces.
static void run_recur(struct device *d, const struct recur *all, const struct slots *states, size_t piece, float *out) {
    size_t inner = all->heads * all->dim, keys = all->groups * all->size;
    struct attention_row row[ROWS];
    float *x = malloc(ROWS * all->x_row * sizeof *x), *dt = malloc(ROWS * all->dt_row * sizeof *dt);
    float *key = malloc(ROWS * keys * sizeof *key), *query = malloc(ROWS * keys * sizeof *query);
    float *beta = malloc(ROWS * all->heads * sizeof *beta), *y = malloc(ROWS * inner * sizeof *y);
    for (size_t first = 0, n; first < LENGTH; first += n) {
        struct recur a = *all;
        n = LENGTH - first < piece ? LENGTH - first : piece;
        a.rows = put_rows(row, states, first, n);
        copy_rows(x, all->x, n, first, a.rows, a.x_row);
        copy_rows(dt, all->dt, n, first, a.rows, a.dt_row);
        copy_rows(key, all->key, n, first, a.rows, keys);
        copy_rows(query, all->query, n, first, a.rows, keys);
        copy_rows(beta, all->beta, n, first, a.rows, a.heads);
        a.x = x;
        a.dt = dt;
        a.key = key;
        a.query = query;
        a.beta = beta;
        a.row = row;
        a.out = y;
        d->ops->recur(d, &a);
        for (size_t r = 0; r < a.rows; r++)
            memcpy(out + (r / n * LENGTH + first + r % n) * inner, y + r * inner, inner * sizeof *y);
    }
    void *mine[] = {x, dt, key, query, beta, y};
    for (int i = 0; i < 6; i++) free(mine[i]);
}

// Steps of a row.
static size_t steps_of(const struct recur *a) {
    return a->heads * (a->kind == RECUR_CHANNELS ? a->dim : a->each ? a->size : 1);
}

static void one_recur(struct recur a) {
    bool channels = a.kind == RECUR_CHANNELS;
    size_t inner = a.heads * a.dim, steps = steps_of(&a), keys = a.groups * a.size;
    size_t rates = channels ? a.size * inner : a.heads, slot = a.size * inner + 5;
    a.x_row = inner + 3;
    a.dt_row = steps + 2;
    float *x = between(ROWS * a.x_row, -1, 1), *dt = between(ROWS * a.dt_row, -4, 3), *bias = between(steps, -1, 1);
    float *key = between(ROWS * keys, -0.5f, 0.5f), *query = between(ROWS * keys, -1, 1);
    float *beta = between(ROWS * a.heads, -2, 2), *rate = between(rates, -2, 1), *skip = between(steps, -1, 1);
    float *state = between(SEQUENCES * slot, -50, 50), *want = malloc(ROWS * inner * sizeof *want),
          *got = malloc(ROWS * inner * sizeof *got);
    double *right = malloc(LENGTH * a.dim * sizeof *right);
    a.x = x;
    a.dt = dt;
    a.key = key;
    a.query = query;
    a.beta = beta;
    a.a = rate;
    a.dt_bias = a.kind == RECUR_HEADS || a.each ? bias : NULL;
    a.skip = a.kind == RECUR_DELTA ? NULL : skip;
    a.dt_by = a.kind == RECUR_HEADS ? 0.7f : 1;
    a.state = 5;
    const struct slots states = {state, slot};
    for (int d = 0; d < count; d++)
        for (size_t piece = 1; piece <= LENGTH; piece += 5) {
            bool first = d == 0 && piece == 1;
            run_recur(devices[d], &a, &states, piece, first ? want : got);
            CHECK(first || !memcmp(want, got, ROWS * inner * sizeof *want));
        }
    for (size_t s = 0; s < SEQUENCES; s++)
        for (size_t h = 0; h < a.heads; h++) {
            want_head(&a, s, h, right);
            for (size_t i = 0; i < LENGTH * a.dim; i++)
                CHECK(near(want[(s * LENGTH + i / a.dim) * inner + h * a.dim + i % a.dim], right[i]));
        }
    void *all[] = {x, dt, bias, key, query, beta, rate, skip, state, want, got, right};
    for (int i = 0; i < 12; i++) free(all[i]);
}

static void recurrences(void) {
    one_recur((struct recur){.kind = RECUR_CHANNELS, .heads = 1, .dim = 75, .size = 16, .groups = 1});
    one_recur((struct recur){.kind = RECUR_CHANNELS, .heads = 1, .dim = 3, .size = 1, .groups = 1});
    one_recur((struct recur){.kind = RECUR_HEADS, .heads = 6, .dim = 20, .size = 9, .groups = 2});
    one_recur((struct recur){.kind = RECUR_HEADS, .heads = 2, .dim = 64, .size = 32, .groups = 1});
    one_recur((struct recur){.kind = RECUR_DELTA, .heads = 6, .dim = 20, .size = 9, .groups = 3});
    one_recur((struct recur){.kind = RECUR_DELTA, .heads = 6, .dim = 17, .size = 8, .groups = 2, .turns = true});
    one_recur((struct recur){.kind = RECUR_DELTA, .heads = 3, .dim = 20, .size = 9, .groups = 3, .each = true});
    one_recur((struct recur){.kind = RECUR_DELTA, .heads = 2, .dim = 8, .size = 40, .groups = 1, .each = true});
}

int main(void) {
    open_devices();
    RUN(convolutions);
    RUN(recurrences);
    close_devices();
    return test_end();
}
