// How fast a model is here, beside what this machine could do at most.
#ifndef CLI_MEASURE_H
#define CLI_MEASURE_H

#include "gyr.h"

enum { MAX_REPEATS = 99 };

struct measuring {
    size_t prompt, generate, depth; // tokens
    size_t repeats;
    uint32_t threads;
    double load; // seconds that opening took
    bool card;   // the model is on one, of which it is measured how fast it reads, and no other limit
    gyr_kv_type kv_type;
    const gyr_adapter *adapter; // NULL: none
    gyr_energy *energy;
    void (*progress)(void *user, double fraction); // of one width
    void *user;
};

// A rate, tokens per second of all sequences together.
struct rate {
    double median, low, high;
    double limit;      // what the machine would allow; 0: not known
    const char *bound; // by what: "read", "int8", "fp32"
    double joules;     // a token
    gyr_energy_basis basis;
};

// What `width` sequences together made; rates are 0 where no tokens were asked for.
struct measured {
    size_t width;
    gyr_roofs roofs; // the median of those measured before, between and after the runs
    struct rate prefill, decode;
};

// GYR_CANCELLED if a Ctrl-C came.
gyr_status measure(gyr_model *model, const struct measuring *how, size_t width, struct measured *out, gyr_error *e);

// The middle one of n numbers, which are put in order.
double median(double *values, size_t n);

#endif
