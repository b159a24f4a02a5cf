// The kernels as a library for the stand-ins of drivers (tests/device/gpu/fake_driver.c), which tell it how wide a warp
// is.
#include "simt.h"

__attribute__((visibility("default"))) void fake_warp(unsigned lanes);
void fake_warp(unsigned lanes) { simt_warp = lanes; }
