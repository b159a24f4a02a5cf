// A card whose kernels run on the CPU (simt.h): the operations of src/device/gpu as they are, on what stands for the
// driver layer. Computed as asked for, in the host's memory, which is filled with garbage where it is not zeroed.
#ifndef TESTS_SIMT_CARD_H
#define TESTS_SIMT_CARD_H

#include "device/device.h"

struct device *card_open(void);

// Launches since it was last asked, of all cards.
size_t card_launches(void);

// From now on the last launch is made only when something else is asked for, as by the driver layer (record.h); or at
// once, as at first.
void card_delay(bool delayed);

#endif
