// Operations of layers that keep a state of fixed size for a sequence, in place of keys and values.
//
// Rows of one sequence lie side by side, in ascending positions, and are computed in that order. A sequence's state
// (attention_row.state) has a part for each layer, `state` floats from its beginning; what it holds before position 0
// counts as zeros, whatever was there.
#ifndef DEVICE_RECUR_H
#define DEVICE_RECUR_H

#include <stdbool.h>

#include "device/rows.h"

// A convolution over time of each channel by itself, and SiLU: with taps w[0] .. w[taps - 1], the last for the row's
// own x, out = silu(bias + sum of w[j] * x of (taps - 1 - j) positions before). The state is what the next taps - 1
// positions will need, [taps - 1][channels].
struct conv {
    size_t rows, channels, taps;
    const dfloat *x; // row r at x + r * x_row
    size_t x_row;
    const dfloat *w, *bias; // [taps][channels]; bias may be NULL
    dfloat *out;            // [rows][channels]
    const drow *row;
    size_t state;
};

// Linear recurrences: each head has a matrix S of `size` by `dim`. With a key and a query of `size`, a value x of
// `dim`:
// - RECUR_CHANNELS (Mamba; Gu and Dao, 2023): every element decays by exp(step * a), a matrix, the step being the
//   channel's own; heads are only how channels are cut: S is [size][heads * dim];
// - RECUR_HEADS (Mamba-2; Dao and Gu, 2024): a head decays by exp(step * a); S += key (step * x);
// - RECUR_DELTA (gated delta rule; Yang et al., 2024): S decays, then S += key (beta * (x - key S)). With `each` (Kimi
//   delta attention, 2025) every element of the key has a step, and its row of S a decay, of its own.
// The step is softplus(dt_by * dt + dt_bias), of RECUR_HEADS within [dt_least, dt_most] if dt_most is not 0. out =
// query S, + skip * x.
enum recur_kind { RECUR_NONE, RECUR_CHANNELS, RECUR_HEADS, RECUR_DELTA };

struct recur {
    enum recur_kind kind;
    size_t rows, heads, dim, size;
    size_t groups;          // of keys and queries; heads / groups neighbours share one,
    bool turns;             // or, the heads taking turns, every groups-th
    bool each;              // steps: [heads * size] of them, and as many of dt_bias
    const dfloat *x;        // [heads * dim], row r at x + r * x_row
    const dfloat *key;      // [rows][groups * size]
    const dfloat *query;    // [rows][groups * size]
    const dfloat *dt;       // [heads] (RECUR_CHANNELS: [heads * dim]), row r at dt + r * dt_row
    const dfloat *dt_bias;  // the same; NULL: none
    const dfloat *beta;     // [rows][heads], before its sigmoid
    const dfloat *a, *skip; // [heads] (RECUR_CHANNELS: [size][heads * dim], [heads * dim]); skip may be NULL
    size_t x_row, dt_row;
    float dt_by, dt_least, dt_most;
    dfloat *out; // [rows][heads * dim]
    const drow *row;
    size_t state;
};

#endif
