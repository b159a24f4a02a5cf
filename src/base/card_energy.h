// The energy counter of a card, by its vendor's management library, which is opened where the machine has it: NVIDIA's
// NVML, AMD's ROCm SMI.
#ifndef BASE_CARD_ENERGY_H
#define BASE_CARD_ENERGY_H

#include <stdbool.h>
#include <stdint.h>

enum { CARD_WHY = 200 };

struct card_energy;

// `kind` is that of device_kind, "cuda" or "hip"; `bus` the card's place on the PCI bus, "0000:41:00.0". Libraries are
// looked for in the folders of $GYR_GPU_LIBRARIES first, and stay open. NULL: there is no counter that can be read, and
// `why` says why.
struct card_energy *card_energy_open(const char *kind, const char *bus, char why[CARD_WHY]);
void card_energy_close(struct card_energy *c);

// Microjoules since some moment. False: they cannot be read any more.
bool card_energy_read(struct card_energy *c, uint64_t *microjoules);

#endif
