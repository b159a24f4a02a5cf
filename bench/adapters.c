// How fast many adapters are in one batch; built on request: ninja -C build bench-adapters
//
//     build/bench-adapters MODEL ADAPTER [SESSIONS [STEPS [ROUNDS [LOADED]]]]
//
// SESSIONS (64) each get a token a step, STEPS (16) steps a round, ROUNDS (5) rounds of every row in turn, so that what
// the machine does meanwhile touches all rows. The adapter is opened LOADED times (as often as there are sessions):
// each has memory of its own, as different files would. In the row "in turn" each step has other sessions, until every
// loaded adapter had its turn. Medians of tokens a second, and parts of the speed without adapters; what that was
// before any was loaded stands in front.
#include "base/clock.h"
#include "gyr.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 256, LOADED = 1024, PROMPT = 16, ROUNDS = 64 };

static const struct {
    const char *name;
    size_t adapters; // different ones; LOADED: all, in turn
    size_t every;    // of so many sessions one has one
} rows[] = {{"none", 0, 1},       {"1 adapter", 1, 1},         {"16 adapters", 16, 1}, {"one of each", MOST, 1},
            {"of half", MOST, 2}, {"of one session", 1, MOST}, {"in turn", LOADED, 1}};
enum { ROWS = sizeof rows / sizeof *rows };

struct bench {
    gyr_model *model;
    gyr_adapter *adapters[LOADED];
    gyr_session *sessions[ROWS][LOADED + MOST]; // of a row in turn, those of the first step, of the second, and so on
    size_t n, steps, rounds, loaded;
    int32_t vocab;
    double seconds[ROWS][ROUNDS], before[ROUNDS];
};

// Steps of a row until the sessions of the first have their turn again.
static size_t turns(const struct bench *b, size_t row) {
    return rows[row].adapters == LOADED ? (b->loaded + b->n - 1) / b->n : 1;
}

static bool feed(struct bench *b, size_t row, size_t turn, size_t count, size_t from, gyr_error *e) {
    static int32_t ids[MOST][PROMPT];
    gyr_input in[MOST];
    for (size_t s = 0; s < b->n; s++) {
        for (size_t i = 0; i < count; i++) ids[s][i] = (int32_t)((from + i + s) * 7919 % 20000 + 100) % b->vocab;
        in[s] = (gyr_input){.session = b->sessions[row][turn * b->n + s], .ids = ids[s], .count = count};
    }
    return !gyr_sessions_feed(in, b->n, e);
}

static bool open_row(struct bench *b, size_t row, gyr_error *e) {
    size_t all = turns(b, row) * b->n;
    for (size_t s = 0, next = 0; s < all; s++) {
        size_t most = rows[row].adapters < b->loaded ? rows[row].adapters : b->loaded;
        bool has = most && s % rows[row].every == 0;
        gyr_session_options o = {.context = (uint32_t)(PROMPT + b->steps * (b->rounds + !row)),
                                 .adapter = has ? b->adapters[next++ % most] : NULL};
        if (!(b->sessions[row][s] = gyr_session_new(b->model, &o, e))) return false;
    }
    for (size_t turn = 0; turn < turns(b, row); turn++)
        if (!feed(b, row, turn, PROMPT, 0, e)) return false;
    return true;
}

static bool time_row(struct bench *b, size_t row, size_t round, double *seconds, gyr_error *e) {
    double begin = now_seconds();
    for (size_t i = 0; i < b->steps; i++) {
        size_t at = round * b->steps + i;
        if (!feed(b, row, at % turns(b, row), 1, PROMPT + at, e)) return false;
    }
    *seconds = now_seconds() - begin;
    return true;
}

static void close_row(struct bench *b, size_t row) {
    for (size_t s = 0; s < LOADED + MOST; s++) {
        gyr_session_free(b->sessions[row][s]);
        b->sessions[row][s] = NULL;
    }
}

static bool start(struct bench *b, const char *model, const char *adapter, gyr_error *e) {
    gyr_model_info info;
    if (!(b->model = gyr_model_open(model, NULL, e))) return false;
    gyr_model_get_info(b->model, &info);
    b->vocab = (int32_t)info.vocab;
    if (!open_row(b, 0, e)) return false;
    for (size_t round = 0; round < b->rounds; round++)
        if (!time_row(b, 0, round, &b->before[round], e)) return false;
    close_row(b, 0);
    for (size_t i = 0; i < b->loaded; i++)
        if (!(b->adapters[i] = gyr_adapter_open(b->model, adapter, e))) return false;
    for (size_t row = 0; row < ROWS; row++)
        if (!open_row(b, row, e)) return false;
    return true;
}

static bool go(struct bench *b, gyr_error *e) {
    for (size_t round = 0; round < b->rounds; round++)
        for (size_t row = 0; row < ROWS; row++)
            if (!time_row(b, row, round, &b->seconds[row][round], e)) return false;
    return true;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double rate_of(const struct bench *b, double *seconds) {
    qsort(seconds, b->rounds, sizeof *seconds, ascending);
    return (double)(b->n * b->steps) / seconds[b->rounds / 2];
}

static void tell(struct bench *b) {
    double bytes = (double)gyr_adapter_bytes(b->adapters[0]), base = rate_of(b, b->seconds[0]);
    printf("%zu sessions, %zu x %zu steps; %zu adapters loaded, of %.1f MB each, %.2f GB in all\n", b->n, b->rounds,
           b->steps, b->loaded, bytes / 1e6, bytes * (double)b->loaded / 1e9);
    printf("%-16s %8.1f tokens/s  %5.1f %%\n", "none loaded", rate_of(b, b->before),
           100 * rate_of(b, b->before) / base);
    for (size_t row = 0; row < ROWS; row++) {
        double rate = rate_of(b, b->seconds[row]);
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
        fprintf(stderr, "usage: bench-adapters MODEL ADAPTER [SESSIONS [STEPS [ROUNDS [LOADED]]]]\n");
        return 2;
    }
    b.n = number(argc, argv, 3, 64, MOST);
    b.steps = number(argc, argv, 4, 16, 1024);
    b.rounds = number(argc, argv, 5, 5, ROUNDS);
    b.loaded = number(argc, argv, 6, b.n, LOADED);
    if (b.loaded < b.n) b.loaded = b.n;
    bool ok = start(&b, argv[1], argv[2], &e) && go(&b, &e);
    if (ok)
        tell(&b);
    else
        fprintf(stderr, "%s\n", e.message);
    for (size_t row = 0; row < ROWS; row++) close_row(&b, row);
    for (size_t i = 0; i < b.loaded; i++) gyr_adapter_close(b.adapters[i]);
    gyr_model_close(b.model);
    return ok ? 0 : 1;
}
