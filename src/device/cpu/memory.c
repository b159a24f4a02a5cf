// How much memory the machine, and this process's limits, leave.
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "device/device.h"

// The number after `label` in a file of the kernel's; `missing` if it is not there.
static uint64_t number_in(const char *path, const char *label, uint64_t missing) {
    FILE *f = fopen(path, "re");
    char line[256];
    uint64_t v = missing;
    while (f && fgets(line, sizeof line, f)) {
        unsigned long long n;
        if (!strncmp(line, label, strlen(label)) && sscanf(line + strlen(label), "%llu", &n) == 1) {
            v = n;
            break;
        }
    }
    if (f) fclose(f);
    return v;
}

static uint64_t smaller(uint64_t a, uint64_t b) { return a < b ? a : b; }

uint64_t memory_total(void) {
    uint64_t installed = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    return smaller(installed, number_in("/sys/fs/cgroup/memory.max", "", UINT64_MAX));
}

uint64_t memory_available(void) {
    uint64_t free_kib = number_in("/proc/meminfo", "MemAvailable:", UINT64_MAX >> 10);
    uint64_t limit = number_in("/sys/fs/cgroup/memory.max", "", UINT64_MAX);
    uint64_t used = number_in("/sys/fs/cgroup/memory.current", "", 0);
    uint64_t left = limit == UINT64_MAX ? UINT64_MAX : limit > used ? limit - used : 0;
    return smaller(memory_total(), smaller(free_kib << 10, left));
}
