// The cards that this machine has, as kinds of devices.
#ifndef DEVICE_GPU_CARDS_H
#define DEVICE_GPU_CARDS_H

#include "device/device.h"
#include "device/gpu/api.h"

extern const struct device_kind gpu_cuda, gpu_hip;

// Whether the PCI bus, as `root` tells of it ("/sys/bus/pci/devices"), has a card of a vendor's.
bool gpu_on_bus(const char *root, unsigned vendor);

// Devices that a vendor's kind has: its cards; or one, which says what is wrong, where there are cards or a driver and
// the driver is of no use.
size_t gpu_devices(const struct gpu_api *api, bool on_bus);

// Facts of a device.
void gpu_facts(const struct gpu_api *api, size_t index, struct device_facts *f);

// Bytes a second that an opened card reads from its memory, measured in some milliseconds (roof.c).
bool gpu_read_rate(struct device *d, double *rate, gyr_error *e);

#endif
