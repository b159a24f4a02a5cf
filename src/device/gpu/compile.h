// From a source to what a card runs, by the vendor's compiler for the very chip.
#ifndef DEVICE_GPU_COMPILE_H
#define DEVICE_GPU_COMPILE_H

#include "device/gpu/api.h"
#include "device/gpu/sources.h"
#include "tensor/type.h"

#include <stdint.h>

// What is to be compiled, and for what.
struct gpu_unit {
    const struct gpu_sources *all; // headers among them
    const struct gpu_source *source;
    int type; // enum type of a typed program; -1
    const char *chip;
    int warp;
};

struct gpu_image {
    char *data; // free()
    size_t size;
};

// For people: "product.cu for q4_0".
const char *gpu_unit_name(const struct gpu_unit *u, char *name, size_t size);

bool gpu_compile(const struct gpu_api *api, const struct gpu_unit *u, struct gpu_image *out, gyr_error *e);

// The image that was compiled elsewhere, where $GYR_GPU_PROGRAMS has it; or that the cache has (keep.c); else compiled
// and then kept there. *compiled says which.
bool gpu_image_of(const struct gpu_api *api, const struct gpu_unit *u, struct gpu_image *out, bool *compiled,
                  gyr_error *e);

// Two numbers of all that an image depends on: vendor, compiler's version, chip, options, sources. Of one that is taken
// elsewhere the compiler does not count.
void gpu_unit_key(const struct gpu_api *api, const struct gpu_unit *u, bool elsewhere, uint64_t key[2]);

// $GYR_GPU_PROGRAMS; NULL: there is none.
const char *gpu_programs_folder(void);

// Puts an image where gpu_image_of() finds it as $GYR_GPU_PROGRAMS.
bool gpu_image_ship(const struct gpu_api *api, const struct gpu_unit *u, const struct gpu_image *image,
                    const char *folder, gyr_error *e);

// Looks for an image in a folder, NULL: the cache; false if there is none, or none that is whole.
bool gpu_kept_find(const char *folder, const uint64_t key[2], struct gpu_image *out);

// Keeps one there, if the folder allows it; `title` is for people.
bool gpu_kept_put(const char *folder, const uint64_t key[2], const char *title, const struct gpu_image *image);

#endif
