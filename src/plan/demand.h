// What a model asks of a device: memory by part, and what each step reads and computes, found by running the pass on a
// device that counts.
#ifndef PLAN_DEMAND_H
#define PLAN_DEMAND_H

#include "device/count.h"
#include "model/needs.h"

// One step: the operations of a pass, equal ones together.
struct step {
    struct counted *ops;
    size_t n;
    double tokens; // that it computes
    bool answer;   // one of each of several sequences
};

struct demand {
    uint32_t layers;
    size_t vocab; // scores of a token
    uint64_t parameters;
    bool encoder;
    enum type kv_type;
    // Bytes. Layers are of one size on average; `rest` is what belongs to none of them.
    double layer, rest, cache, states, work;
    // Of `rest`, tables of which a device that reads from mapped files touches a few rows; of `work`, what is never
    // written.
    double tables, idle;
    double program; // on this machine: the program, its libraries, the tokenizer and what describes the model
    struct step prompt, answer;
};

// How a model is to be used.
struct usage {
    size_t users, context, prompt;
    gyr_kv_type kv_type;
    size_t rows;         // of a batch, at most
    struct device *like; // whose form weights have; NULL: the file's
};

// Context and prompt that are 0 are set to what is usual.
bool usage_settle(struct usage *u, const struct checkpoint *c, gyr_error *e);

bool demand_count(struct demand *d, const struct checkpoint *c, const struct usage *u, gyr_error *e);
void demand_free(struct demand *d);

// For this machine (1), or for a card again (-1): takes out what a device with mapped files never has in memory, and
// puts in what the program takes.
void demand_mapped(struct demand *d, double sign);

// Bytes in all.
double demand_bytes(const struct demand *d);

#endif
