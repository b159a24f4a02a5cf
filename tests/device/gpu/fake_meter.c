// A stand-in for NVML or ROCm SMI: counters of the energy of two cards, which go on by what GYR_FAKE_WATTS says (250),
// or stand where GYR_FAKE_MILLIJOULES says. GYR_FAKE_METER is the number of an error that reading them gives.
#include "fake.h"

#include <stdint.h>
#include <stdio.h>
#include <time.h>

enum { FIRST_BUS = 0x41, CARDS = 2, NOT_THERE = 6 };

static uint64_t millijoules(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    uint64_t ms = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
    return (uint64_t)fake_number("GYR_FAKE_MILLIJOULES", (long)(ms * (uint64_t)fake_number("GYR_FAKE_WATTS", 250)));
}

#ifdef FAKE_HIP
EXPORT rsmi_init(uint64_t flags) { return flags ? 1 : 0; }

EXPORT rsmi_num_monitor_devices(uint32_t *n) {
    *n = CARDS;
    return 0;
}

EXPORT rsmi_dev_pci_id_get(uint32_t card, uint64_t *number) {
    *number = (uint64_t)(FIRST_BUS + card) << 8 | 2ull << 28; // a part of the card
    return card < CARDS ? 0 : 1;
}

// In units of 1/65536 J, as cards count.
EXPORT rsmi_dev_energy_count_get(uint32_t card, uint64_t *count, float *unit, uint64_t *when) {
    *unit = 15.2587890625f;
    *count = millijoules() * 65536 / 1000;
    *when = 0;
    return card < CARDS ? (int)fake_number("GYR_FAKE_METER", 0) : 1;
}
#else
static int cards[CARDS];

EXPORT nvmlInit_v2(void) { return 0; }

EXPORT nvmlDeviceGetHandleByPciBusId_v2(const char *bus, void **card) {
    unsigned domain, number, device, function;
    if (sscanf(bus, "%x:%x:%x.%x", &domain, &number, &device, &function) != 4) return 2;
    if (domain || number < FIRST_BUS || number >= FIRST_BUS + CARDS || device || function) return NOT_THERE;
    *card = &cards[number - FIRST_BUS];
    return 0;
}

#ifdef FAKE_LACKS_ENERGY
#define nvmlDeviceGetTotalEnergyConsumption nvmlDeviceGetWhatOldOnesHave
#endif
EXPORT nvmlDeviceGetTotalEnergyConsumption(void *card, unsigned long long *energy) {
    *energy = millijoules();
    return card == &cards[0] || card == &cards[1] ? (int)fake_number("GYR_FAKE_METER", 0) : 2;
}
#endif
