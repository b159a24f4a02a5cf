// A receipt, for the sources of this room that write and check it. docs/receipts.md describes its JSON.
#ifndef ENGINE_RECEIPT_H
#define ENGINE_RECEIPT_H

#include "engine/engine.h"
#include "format/json.h"

enum { RECEIPT_FORMAT = 1 };
#define RECEIPT_BYTES ((size_t)64 << 20) // no larger one is read

// What is known by a name in a receipt and by a number here.
struct receipt_word {
    const char *name;
    int number;
};
extern const struct receipt_word receipt_stops[], receipt_kv_types[], receipt_grammars[]; // each ends with a NULL name

// The name of a number, NULL if it has none.
const char *receipt_name(const struct receipt_word *words, int number);

struct receipt {
    json_t *json; // owns what is text
    uint64_t edition;
    struct text checksum, model;
    struct text adapter;             // its checksum; NULL: none
    int kv_type, stop, grammar_kind; // stop: gyr_stop
    uint64_t context, max_tokens, min_tokens, grammar_from;
    bool ignore_end;
    gyr_sampling sampling;
    int32_t *bias_ids, *ids, *stop_ids; // ids: [prompt + answer]
    float *bias_values;
    size_t prompt, answer, stop_id_count, stop_count;
    int32_t end;               // the token that ended the answer and is not part of it; -1: there is none
    const char **stop_strings; // [stop_count]
    struct text grammar;       // NULL: none
};

// Reads one. GYR_MALFORMED, GYR_UNSUPPORTED: another format. What it fills in is to be freed also if it fails.
bool receipt_read(struct receipt *r, const char *json, size_t size, gyr_error *e);
void receipt_free(struct receipt *r);

#endif
