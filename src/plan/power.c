#include "plan/power.h"

#include "base/clock.h"
#include "base/energy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const double share_watts = 0.7;

const struct accelerator *accelerator_of_cpu(const char *cpu) {
    const struct accelerator *a;
    for (size_t i = 0; (a = accelerator_row(i)); i++) {
        char name[128];
        const char *end = strstr(a->name, " (");
        snprintf(name, sizeof name, "%.*s", end ? (int)(end - a->name) : 127, a->name);
        if (strstr(a->memory_kind, "shared") && strchr(name, ' ') && strcasestr(cpu, name)) return a;
    }
    return NULL;
}

double machine_watts(void) {
    gyr_device_info info;
    if (gyr_device_get_info(0, &info, NULL)) return 0;
    const struct accelerator *a = accelerator_of_cpu(info.name);
    return a ? a->watts * share_watts : 0;
}

// ------------------------------------------------------------------------------- gyr.h's meter

struct gyr_energy {
    struct energy *meter;
    struct energy_mark since;
    bool catalogue;
};

// Where `device` is a card.
static void add_card(struct energy *meter, const char *device) {
    size_t i;
    gyr_device_info info;
    if (gyr_device_find(device, &i, NULL) || gyr_device_get_info(i, &info, NULL)) return;
    if (!info.threads) energy_add_card(meter, info.kind, info.bus, info.name);
}

gyr_energy *gyr_energy_new(const char *device, gyr_error *err) {
    gyr_error made = {0};
    gyr_energy *e = calloc(1, sizeof *e);
    double watts = machine_watts();
    if (e && (e->meter = energy_open(NULL, watts, now_seconds()))) {
        add_card(e->meter, device);
        e->since = energy_now(e->meter, now_seconds());
        e->catalogue = watts > 0 && !*energy_source(e->meter) && !energy_least_seconds(e->meter);
        return e;
    }
    free(e);
    fail_memory(&made, "energy");
    if (err) *err = made;
    return NULL;
}

void gyr_energy_free(gyr_energy *e) {
    if (!e) return;
    energy_free(e->meter);
    free(e);
}

void gyr_energy_get_info(const gyr_energy *e, gyr_energy_info *info) {
    *info = (gyr_energy_info){0};
    snprintf(info->source, sizeof info->source, "%s", e->catalogue ? "catalogue" : energy_source(e->meter));
    snprintf(info->why, sizeof info->why, "%s", energy_why(e->meter));
}

void gyr_energy_tick(gyr_energy *e) { energy_tick(e->meter, now_seconds()); }

void gyr_energy_take(gyr_energy *e, gyr_energy_spent *spent) {
    struct energy_mark now = energy_now(e->meter, now_seconds());
    struct energy_spent s = energy_between(e->meter, &e->since, &now);
    *spent = (gyr_energy_spent){.seconds = s.seconds};
    if (s.seconds >= energy_least_seconds(e->meter)) {
        spent->joules = s.joules;
        spent->basis = (gyr_energy_basis)s.basis;
    }
    e->since = now;
}

const char *gyr_energy_basis_name(gyr_energy_basis basis) {
    return basis <= GYR_ENERGY_MEASURED ? energy_basis_name((enum energy_basis)basis) : "unknown";
}
