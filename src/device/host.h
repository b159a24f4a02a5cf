// What the host computes beside a device, with the best instruction set that it has, or that of $GYR_ISA: the same
// bytes with each.
#ifndef DEVICE_HOST_H
#define DEVICE_HOST_H

#include <stddef.h>
#include <stdint.h>

// out[i] = e^((x[i] - best) / by) where x[i] >= least, else 0. An x[i] that is `best`, which may be infinite, gives 1.
typedef void host_exps(const float *x, size_t n, float best, float by, float least, float *out);

host_exps *host_exps_here(void);

// out[i] = x[i], or minus infinity where bit i of `allowed` (NULL: all) is not set, or x[i] is a NaN; the highest of
// each HOST_BLOCK of them goes to `peak`, that of all is returned. `out` may be NULL or x.
enum { HOST_BLOCK = 64 };
typedef float host_peaks(const float *x, size_t n, const uint32_t *allowed, float *out, float *peak);

host_peaks *host_peaks_here(void);

#endif
