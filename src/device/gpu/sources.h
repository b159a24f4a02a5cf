// Sources of kernels, in the program: tools/gpu/pack.py makes the table of the files in kernels/.
#ifndef DEVICE_GPU_SOURCES_H
#define DEVICE_GPU_SOURCES_H

#include <stdbool.h>
#include <stddef.h>

struct gpu_source {
    const char *name; // of the file
    const char *text;
    // Of a program: its kernels, each followed by a blank; NULL: a header. A typed one is compiled for each element
    // type that a model has, and its kernels' names then end in that type's, "product_q4_0".
    const char *kernels;
    bool typed;
};

struct gpu_sources {
    const struct gpu_source *file;
    size_t n;
};

extern const struct gpu_sources gpu_sources;

#endif
