// Writing adapters: a GGUF file, or a folder as PEFT has it.
#ifndef FORMAT_ADAPTER_WRITE_H
#define FORMAT_ADAPTER_WRITE_H

#include "base/error.h"

// How pairs are scaled: by alpha / rank, or alpha / sqrt(rank) (rsLoRA; Kalajdzievski, 2023). `rank` is the usual one;
// 0: by 1.
struct adapter_scaling {
    size_t rank;
    double alpha;
    bool root;
};
double adapter_scale(const struct adapter_scaling *s);

// A pair of `experts` matrices stacked (1: of one).
struct adapter_matrix {
    char name[256]; // of the matrix, as a model in that format calls it
    size_t rank, cols, rows, experts;
    float *a, *b; // [experts][rank][cols], [experts][rows][rank]; malloc()
};

// The file, or the folder's two files, appear when they are whole. A folder is made if it is not there. A GGUF file's
// pairs are scaled by 1.
bool adapter_write_gguf(const char *path, const char *architecture, const struct adapter_matrix *m, size_t n,
                        gyr_error *e);
bool adapter_write_peft(const char *folder, const struct adapter_scaling *scaling, const struct adapter_matrix *m,
                        size_t n, gyr_error *e);

#endif
