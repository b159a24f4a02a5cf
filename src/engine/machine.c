// Facts about this machine.
#include "base/threads.h"
#include "device/read_rate.h"
#include "engine/engine.h"

#include <stdio.h>
#include <string.h>

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

size_t gyr_device_count(void) {
    size_t n = 0, index;
    while (device_at(n, &index)) n++;
    return n;
}

static void cpu_facts(const struct device *d, gyr_device_info *info) {
    cpu_name(info->name, sizeof info->name);
    snprintf(info->isa, sizeof info->isa, "%s", device_cpu_isa(d));
}

static bool open_to_see(const struct device_kind *kind, size_t index, gyr_device_info *info, gyr_error *e) {
    struct device *d = kind->open(index, 1, e);
    if (!d) return false;
    snprintf(info->name, sizeof info->name, "%s", kind->name);
    info->threads = cpu_count();
    if (!strcmp(kind->name, "cpu")) cpu_facts(d, info);
    d->ops->room(d, &info->memory_bytes, &info->memory_free);
    d->ops->close(d);
    return true;
}

static void take_facts(const struct device_facts *f, gyr_device_info *info) {
    snprintf(info->name, sizeof info->name, "%s", f->name);
    snprintf(info->isa, sizeof info->isa, "%s", f->isa);
    snprintf(info->bus, sizeof info->bus, "%s", f->bus);
    snprintf(info->driver, sizeof info->driver, "%s", f->driver);
    snprintf(info->compiler, sizeof info->compiler, "%s", f->compiler);
    info->memory_bytes = f->memory;
    info->memory_free = f->available;
    info->unusable = *f->why;
    info->untried = f->untried;
}

// The facts, and why nothing can be computed there, if that is so.
static bool look(size_t i, gyr_device_info *info, struct device_facts *f, gyr_error *e) {
    size_t index;
    const struct device_kind *kind = device_at(i, &index);
    *info = (gyr_device_info){0};
    *f = (struct device_facts){0};
    if (!kind) return fail(e, GYR_USAGE, "device %zu: this machine has %zu", i, gyr_device_count());
    snprintf(info->kind, sizeof info->kind, "%s", kind->name);
    if (!kind->look) return open_to_see(kind, index, info, e);
    kind->look(index, f);
    take_facts(f, info);
    return true;
}

gyr_status gyr_device_get_info(size_t i, gyr_device_info *info, gyr_error *e) {
    gyr_error made = {0};
    struct device_facts facts;
    return status_of(look(i, info, &facts, &made), &made, e);
}

gyr_status gyr_device_find(const char *device, size_t *i, gyr_error *e) {
    gyr_error made = {0};
    return status_of(device_find(device, i, &made), &made, e);
}

gyr_status gyr_device_check(size_t i, gyr_error *e) {
    gyr_error made = {0};
    gyr_device_info info;
    struct device_facts facts;
    bool ok = look(i, &info, &facts, &made);
    if (ok && *facts.why) ok = fail(&made, GYR_UNSUPPORTED, "%s: %s", info.kind, facts.why);
    return status_of(ok, &made, e);
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

gyr_status gyr_model_measure_read(gyr_model *m, double *rate, gyr_error *e) {
    gyr_error made = {0};
    *rate = 0;
    if (!device_has_read_rate(m->device)) return gyr_measure_bandwidth(0, 0, rate, e);
    return status_of(device_read_rate(m->device, rate, &made), &made, e);
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
