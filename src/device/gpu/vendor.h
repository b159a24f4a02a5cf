// Vendors of GPUs: a row each, with all in which they differ but the names of functions (functions.inc).
#ifndef DEVICE_GPU_VENDOR_H
#define DEVICE_GPU_VENDOR_H

#include <stdbool.h>
#include <stddef.h>

enum { GPU_CUDA, GPU_HIP, GPU_VENDORS };

struct gpu_vendor {
    int id;
    const char *kind;  // of device_kind: "cuda"
    const char *maker; // "NVIDIA"
    unsigned pci;      // vendor's number on the PCI bus

    // Where libraries are found: by name where the system looks, then in these folders.
    const char *const *folders, *const *driver_names, *const *compiler_names;
    const char *const *python; // and the compiler in these folders of Python's packages; NULL: not there
    const char *const *collectives, *const *collectives_python; // of the library of collectives: the same
    const char *collectives_title, *get_collectives;
    const char *version_name;          // of the driver's function that tells its version,
    int major_unit, minor_unit;        // which is major * major_unit + minor * minor_unit
    const char *compiler_version_name; // of the compiler's; NULL: it is the driver's
    const char *driver_title, *compiler_title;
    int driver_least, compiler_least; // major versions
    // A library beside the compiler's that it asks for by name, wherever it lies, with its version behind. NULL: none.
    const char *companion;
    // A compiler is of use to a driver of at least its own major version.
    bool compiler_within_driver;
    const char *get_driver, *get_compiler; // what to install

    // Numbers of attributes.
    int warp, processors, shared, threads, major, minor;
    size_t chip_at;   // of its name in what properties() fills; 0: it is made of major and minor
    void *launch_end; // of the list of a launch's extra arguments

    const char *chip_flag;    // with the chip's name behind
    const char *const *flags; // of the arithmetic (docs/arithmetic.md), and of the language
};

extern const struct gpu_vendor gpu_vendors[GPU_VENDORS];

#endif
