// Muon (Jordan et al., 2024): a matrix is moved along its momentum made orthogonal, as far as AdamW would move it (Liu
// et al., "Muon is Scalable for LLM Training", 2025), so that learning rates are alike.
#ifndef TRAIN_MUON_H
#define TRAIN_MUON_H

#include "base/error.h"

#include <stddef.h>

struct muon_matrix {
    size_t rows, cols;
    float *numbers, *mean; // [rows][cols]: what is trained, and the moving average of its gradients
    const float *gradient;
};

// One step of a matrix, on one thread.
bool muon_step(const struct muon_matrix *m, double rate, double decay, gyr_error *e);

#endif
