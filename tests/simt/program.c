// One program of kernels for the host.
#define GPU_ON_HOST "simt.h"
#include PROGRAM
