// What the host computes beside a device, with the best instruction set that it has, or that of $GYR_ISA: the same
// bytes with each.
#ifndef DEVICE_HOST_H
#define DEVICE_HOST_H

#include <stddef.h>

// out[i] = e^((x[i] - best) / by) where x[i] >= least, else 0. An x[i] that is `best`, which may be infinite, gives 1.
typedef void host_exps(const float *x, size_t n, float best, float by, float least, float *out);

host_exps *host_exps_here(void);

#endif
