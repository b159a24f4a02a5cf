// Where the rows of a batch are in their sequences.
#ifndef DEVICE_ROWS_H
#define DEVICE_ROWS_H

#include "device/memory.h"

// One row. Rows with the same `pages` are of one sequence.
struct attention_row {
    uint32_t pages;    // where its page table begins among those of the batch: struct seats
    uint32_t position; // the row sees positions 0 .. position, its own included,
    uint32_t ahead;    // and so many after it; their keys and values are in the cache too
    dfloat *state;     // of its sequence, for layers that keep a state: recur.h
};

DEVICE_TYPE(drow, struct attention_row);

// The rows of a batch, and their sequences' page tables, one behind the other: entry i of a table is the number of the
// page of positions [i * PAGE_TOKENS, (i + 1) * PAGE_TOKENS).
struct seats {
    const drow *row; // [rows]
    const dword *pages;
    size_t longest;   // the most positions that a row sees
    size_t sequences; // rows of one sequence that lie side by side count once; 0: it is not known
};

#endif
