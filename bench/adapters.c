// How fast many adapters are in one batch; built on request: ninja -C build bench-adapters
//
//     build/bench-adapters MODEL ADAPTER [SESSIONS [STEPS [ROUNDS]]]
//
// SESSIONS (64) each get a token a step, STEPS (16) steps a round, ROUNDS (5) rounds of every row in turn, so that what
// the machine does meanwhile touches all rows. The adapter is opened as often as a row wants different ones: each has
// memory of its own, as different files would. Medians of tokens a second, and parts of the speed without adapters.
#include "base/clock.h"
#include "gyr.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 256, PROMPT = 16, ROUNDS = 64 };

static const struct {
    const char *name;
    size_t adapters; // different ones
    size_t every;    // of so many sessions one has one
} rows[] = {{"none", 0, 1},           {"1 adapter", 1, 1},  {"16 adapters", 16, 1},
            {"one of each", MOST, 1}, {"of half", MOST, 2}, {"of one session", 1, MOST}};
enum { ROWS = sizeof rows / sizeof *rows };

struct bench {
    gyr_model *model;
    gyr_adapter *adapters[MOST];
    gyr_session *sessions[ROWS][MOST];
    size_t n, steps, rounds;
    int32_t vocab;
    double seconds[ROWS][ROUNDS];
};

static bool feed(struct bench *b, size_t row, size_t count, size_t from, gyr_error *e) {
    static int32_t ids[MOST][PROMPT];
    gyr_input in[MOST];
    for (size_t s = 0; s < b->n; s++) {
        for (size_t i = 0; i < count; i++) ids[s][i] = (int32_t)((from + i + s) * 7919 % 20000 + 100) % b->vocab;
        in[s] = (gyr_input){.session = b->sessions[row][s], .ids = ids[s], .count = count};
    }
    return !gyr_sessions_feed(in, b->n, e);
}

static bool open_row(struct bench *b, size_t row, gyr_error *e) {
    for (size_t s = 0, next = 0; s < b->n; s++) {
        bool has = rows[row].adapters && s % rows[row].every == 0;
        gyr_session_options o = {.context = (uint32_t)(PROMPT + b->steps * b->rounds),
                                 .adapter = has ? b->adapters[next++ % rows[row].adapters] : NULL};
        if (!(b->sessions[row][s] = gyr_session_new(b->model, &o, e))) return false;
    }
    return feed(b, row, PROMPT, 0, e);
}

static bool start(struct bench *b, const char *model, const char *adapter, gyr_error *e) {
    gyr_model_info info;
    if (!(b->model = gyr_model_open(model, NULL, e))) return false;
    gyr_model_get_info(b->model, &info);
    b->vocab = (int32_t)info.vocab;
    for (size_t i = 0; i < b->n; i++)
        if (!(b->adapters[i] = gyr_adapter_open(b->model, adapter, e))) return false;
    for (size_t row = 0; row < ROWS; row++)
        if (!open_row(b, row, e)) return false;
    return true;
}

static bool go(struct bench *b, gyr_error *e) {
    for (size_t round = 0; round < b->rounds; round++)
        for (size_t row = 0; row < ROWS; row++) {
            double begin = now_seconds();
            for (size_t i = 0; i < b->steps; i++)
                if (!feed(b, row, 1, PROMPT + round * b->steps + i, e)) return false;
            b->seconds[row][round] = now_seconds() - begin;
        }
    return true;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void tell(struct bench *b) {
    double base = 0;
    printf("%zu sessions, %zu x %zu steps; an adapter takes %.1f MB\n", b->n, b->rounds, b->steps,
           (double)gyr_adapter_bytes(b->adapters[0]) / 1e6);
    for (size_t row = 0; row < ROWS; row++) {
        qsort(b->seconds[row], b->rounds, sizeof *b->seconds[row], ascending);
        double rate = (double)(b->n * b->steps) / b->seconds[row][b->rounds / 2];
        if (!row) base = rate;
        printf("%-16s %8.1f tokens/s  %5.1f %%\n", rows[row].name, rate, 100 * rate / base);
    }
}

static size_t number(int argc, char **argv, int i, size_t otherwise, size_t most) {
    size_t n = argc > i ? strtoul(argv[i], NULL, 10) : otherwise;
    return n < 1 ? 1 : n > most ? most : n;
}

int main(int argc, char **argv) {
    static struct bench b;
    gyr_error e = {0};
    if (argc < 3) {
        fprintf(stderr, "usage: bench-adapters MODEL ADAPTER [SESSIONS [STEPS [ROUNDS]]]\n");
        return 2;
    }
    b.n = number(argc, argv, 3, 64, MOST);
    b.steps = number(argc, argv, 4, 16, 1024);
    b.rounds = number(argc, argv, 5, 5, ROUNDS);
    bool ok = start(&b, argv[1], argv[2], &e) && go(&b, &e);
    if (ok)
        tell(&b);
    else
        fprintf(stderr, "%s\n", e.message);
    for (size_t row = 0; row < ROWS; row++)
        for (size_t s = 0; s < b.n; s++) gyr_session_free(b.sessions[row][s]);
    for (size_t i = 0; i < b.n; i++) gyr_adapter_close(b.adapters[i]);
    gyr_model_close(b.model);
    return ok ? 0 : 1;
}
