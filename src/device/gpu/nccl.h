// NCCL and RCCL, opened where a machine has them. Both have the same functions.
#ifndef DEVICE_GPU_NCCL_H
#define DEVICE_GPU_NCCL_H

#include "device/device.h"
#include "device/gpu/vendor.h"

// What ncclGetUniqueId() gives, and passes by value.
struct nccl_id {
    char bytes[LINK_TICKET];
};

enum { NCCL_IN_PROGRESS = 7, NCCL_FLOAT = 7 }; // of results; of types

struct nccl {
    int (*version)(int *version);
    const char *(*describe)(int result);
    int (*id)(struct nccl_id *id);
    int (*join)(void **comm, int count, struct nccl_id id, int own);
    int (*quit)(void *comm);
    int (*later)(void *comm, int *result);
    int (*begin)(void);
    int (*end)(void);
    int (*all_gather)(const void *from, void *to, size_t n, int type, void *comm, void *stream);
    int (*broadcast)(const void *from, void *to, size_t n, int type, int root, void *comm, void *stream);
    char name[48]; // "NCCL 2.27.3"
};

// Looks for a vendor's, in `folders` ("A:B"; may be NULL) first. It stays open for the life of the process.
bool nccl_open(struct nccl *n, const struct gpu_vendor *vendor, const char *folders, gyr_error *e);

#endif
