// How many rows' sums registers hold at a time, two vectors each, beside the weights: what training sums with takes
// HOST_ROWS of them in whole blocks.
#ifndef DEVICE_CPU_STRIPS_H
#define DEVICE_CPU_STRIPS_H

#include "device/host.h"

#if defined(__AVX512F__)
enum { AT_A_TIME = 12 };
#elif defined(__AVX2__)
enum { AT_A_TIME = 6 };
#else
enum { AT_A_TIME = 4 };
#endif
_Static_assert(HOST_ROWS % AT_A_TIME == 0, "rows side by side are whole blocks");

#endif
