// Writing adapters: a GGUF file, or a folder as PEFT has it.
#ifndef FORMAT_ADAPTER_WRITE_H
#define FORMAT_ADAPTER_WRITE_H

#include "base/error.h"

// A pair whose scale is 1, of `experts` matrices stacked (1: of one).
struct adapter_matrix {
    char name[256]; // of the matrix, as a model in that format calls it
    size_t rank, cols, rows, experts;
    float *a, *b; // [experts][rank][cols], [experts][rows][rank]; malloc()
};

// The file, or the folder's two files, appear when they are whole. A folder is made if it is not there.
bool adapter_write_gguf(const char *path, const char *architecture, const struct adapter_matrix *m, size_t n,
                        gyr_error *e);
bool adapter_write_peft(const char *folder, const struct adapter_matrix *m, size_t n, gyr_error *e);

#endif
