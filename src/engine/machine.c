// Facts about this machine.
#include "base/threads.h"
#include "engine/engine.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

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

static void cpu_name(char *out, size_t size) {
    FILE *f = fopen("/proc/cpuinfo", "re");
    char line[256];
    snprintf(out, size, "CPU");
    while (f && fgets(line, sizeof line, f)) {
        const char *value = strchr(line, ':');
        if (strncmp(line, "model name", 10) || !value || !value[1]) continue;
        snprintf(out, size, "%.*s", (int)strcspn(value + 2, "\n"), value + 2);
        break;
    }
    if (f) fclose(f);
}

size_t gyr_device_count(void) { return 1; }

gyr_status gyr_device_get_info(size_t index, gyr_device_info *info, gyr_error *e) {
    gyr_error made = {0};
    *info = (gyr_device_info){.kind = "cpu"};
    if (index >= gyr_device_count())
        return status_of(fail(&made, GYR_USAGE, "device %zu: this machine has %zu", index, gyr_device_count()), &made,
                         e);
    struct device *d = device_cpu(1, NULL, &made);
    if (!d) return status_of(false, &made, e);
    cpu_name(info->name, sizeof info->name);
    snprintf(info->isa, sizeof info->isa, "%s", device_cpu_isa(d));
    info->threads = cpu_count();
    info->memory_bytes = memory_total();
    info->memory_free = memory_available();
    d->ops->close(d);
    return GYR_OK;
}

gyr_status gyr_measure_bandwidth(uint32_t threads, double seconds, double *rate, gyr_error *e) {
    gyr_error made = {0};
    *rate = 0;
    struct device *d = device_cpu(threads, NULL, &made);
    if (!d) return status_of(false, &made, e);
    *rate = device_cpu_bandwidth(d, seconds > 0 ? seconds : 0.2);
    d->ops->close(d);
    return status_of(*rate > 0 || fail_memory(&made, "measuring this machine"), &made, e);
}

gyr_status gyr_measure_roofs(uint32_t threads, double seconds, gyr_roofs *roofs, gyr_error *e) {
    gyr_error made = {0};
    struct roofs r = {0};
    struct device *d = device_cpu(threads, NULL, &made);
    if (!d) return status_of(false, &made, e);
    device_cpu_roofs(d, seconds > 0 ? seconds : 0.4, &r);
    d->ops->close(d);
    *roofs = (gyr_roofs){.read = r.read, .int8 = r.int8, .fp32 = r.fp32};
    bool ok = r.read > 0 && r.int8 > 0 && r.fp32 > 0;
    return status_of(ok || fail_memory(&made, "measuring this machine"), &made, e);
}
