// The same computer as several devices: every instruction set that its chip has, with some numbers of threads.
#ifndef TESTS_DEVICE_DEVICES_H
#define TESTS_DEVICE_DEVICES_H

#include "device/device.h"
#include "sets.h"

#ifdef TEST_CARD // the emulated card in place of other instruction sets (tests/simt)
#include "card.h"
#endif

enum { DEVICES = 11 };

// One thread and the portable kernels first: that one says what the others must give.
static struct device *devices[DEVICES];
static int count;

static inline bool device_has(const char *set) {
    struct device *d = device_cpu(1, set, NULL);
    if (d) d->ops->close(d);
    return d;
}

static inline void open_devices(void) {
#ifdef TEST_CARD
    devices[count++] = device_cpu(1, "scalar", NULL);
    devices[count++] = card_open();
    return;
#endif
    sets_report(device_has);
    static const struct {
        unsigned threads;
        const char *isa;
        bool too; // one of its instruction set more, which slow builds go without
    } wanted[DEVICES] = {{1, "scalar", false}, {3, "scalar", true},  {1, "avx2", true}, {2, "avx2", false},
                         {1, "avx512", true},  {8, "avx512", false}, {1, "amx", true},  {3, "amx", false},
                         {1, "neon", true},    {3, "neon", false},   {2, NULL, true}};
    for (int i = 0; i < DEVICES; i++) {
        if (TEST_SLOW && wanted[i].too) continue;
        struct device *d = device_cpu(wanted[i].threads, wanted[i].isa, NULL);
        if (d) devices[count++] = d;
    }
}

static inline void close_devices(void) {
    while (count) {
        struct device *d = devices[--count];
        d->ops->close(d);
    }
}

static inline const char *device_name(const struct device *d) {
    return strcmp(d->ops->kind, "cpu") ? d->ops->kind : device_cpu_isa(d);
}

static inline void check_same(const char *what, int device, const float *got, const float *want, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (memcmp(got + i, want + i, sizeof *got)) {
            printf("%s, %s, device %d: [%zu] is %a, not %a\n", what, device_name(devices[device]), device, i,
                   (double)got[i], (double)want[i]);
            CHECK(!"the same bytes");
            return;
        }
}

#endif
