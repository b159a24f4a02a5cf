#include "base/card_energy.h"

#include "base/library.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Of NVML, a card is a pointer; of ROCm SMI, a number.
typedef int nvml_init(void);
typedef int nvml_find(const char *bus, void **card);
typedef int nvml_read(void *card, unsigned long long *millijoules);
typedef int rsmi_init(uint64_t flags);
typedef int rsmi_count(uint32_t *n);
typedef int rsmi_bus(uint32_t card, uint64_t *number);
typedef int rsmi_read(uint32_t card, uint64_t *count, float *unit, uint64_t *when);

struct card_energy {
    bool (*read)(struct card_energy *c, uint64_t *microjoules);
    void *card;
    uint32_t number;
    nvml_read *nvml;
    rsmi_read *rsmi;
};

static bool say(char why[CARD_WHY], const char *text) {
    snprintf(why, CARD_WHY, "%s", text);
    return false;
}

// ------------------------------------------------------------------------------- NVIDIA

static bool read_nvml(struct card_energy *c, uint64_t *microjoules) {
    unsigned long long millijoules;
    if (c->nvml(c->card, &millijoules)) return false;
    *microjoules = millijoules * 1000;
    return true;
}

static bool open_nvml(struct card_energy *c, const char *bus, char why[CARD_WHY]) {
    static const char *const names[] = {"libnvidia-ml.so.1", NULL}, *const folders[] = {"/usr/lib/wsl/lib", NULL};
    struct library_search s = {library_given(), folders};
    const char *const *from = names;
    void *library = library_next(&s, &from);
    nvml_init *init;
    nvml_find *look;
    uint64_t now;
    if (!library) return say(why, "the card's energy is not known: libnvidia-ml.so.1 of NVIDIA's driver is not there");
    if (!library_function(library, "nvmlInit_v2", &init) ||
        !library_function(library, "nvmlDeviceGetHandleByPciBusId_v2", &look) ||
        !library_function(library, "nvmlDeviceGetTotalEnergyConsumption", &c->nvml))
        return say(why, "the card's energy is not known: NVIDIA's libnvidia-ml is too old; update the driver");
    int error = init();
    if (!error) error = look(bus, &c->card);
    if (error) {
        snprintf(why, CARD_WHY, "the card's energy is not known: NVML does not find it: error %d", error);
        return false;
    }
    c->read = read_nvml;
    return read_nvml(c, &now) ||
           say(why, "the card's energy is not known: it has no counter (NVIDIA's have one since Volta; parts of "
                    "cards, MIG, have none)");
}

// ------------------------------------------------------------------------------- AMD

static bool read_rsmi(struct card_energy *c, uint64_t *microjoules) {
    uint64_t count, when;
    float unit = 0; // microjoules
    if (c->rsmi(c->number, &count, &unit, &when) || !(unit > 0)) return false;
    *microjoules = (uint64_t)((double)count * (double)unit);
    return true;
}

// As ROCm SMI writes it: domain, bus, device, function.
static bool bus_number(const char *bus, uint64_t *number) {
    unsigned domain, of_domain, device, function;
    if (sscanf(bus, "%x:%x:%x.%x", &domain, &of_domain, &device, &function) != 4) return false;
    *number = (uint64_t)domain << 32 | of_domain << 8 | device << 3 | function;
    return true;
}

static bool find_rsmi(struct card_energy *c, rsmi_count *count, rsmi_bus *look, uint64_t want) {
    uint32_t n = 0;
    uint64_t number;
    if (count(&n)) return false;
    for (c->number = 0; c->number < n; c->number++)
        // Bits 28 to 31 are those of a card's part.
        if (!look(c->number, &number) && (number & ~(uint64_t)0xf0000000) == want) return true;
    return false;
}

static bool open_rsmi(struct card_energy *c, const char *bus, char why[CARD_WHY]) {
    static const char *const names[] = {"librocm_smi64.so.8", "librocm_smi64.so.7", "librocm_smi64.so.1",
                                        "librocm_smi64.so", NULL},
                             *const folders[] = {"/opt/rocm/lib", NULL};
    struct library_search s = {library_given(), folders};
    const char *const *from = names;
    void *library = library_next(&s, &from);
    rsmi_init *init;
    rsmi_count *count;
    rsmi_bus *look;
    uint64_t want, now;
    if (!library)
        return say(why, "the card's energy is not known: librocm_smi64.so.7 is not there; install rocm-smi-lib");
    if (!library_function(library, "rsmi_init", &init) ||
        !library_function(library, "rsmi_num_monitor_devices", &count) ||
        !library_function(library, "rsmi_dev_pci_id_get", &look) ||
        !library_function(library, "rsmi_dev_energy_count_get", &c->rsmi))
        return say(why, "the card's energy is not known: librocm_smi64 is too old; update rocm-smi-lib");
    int error = init(0);
    if (error) {
        snprintf(why, CARD_WHY, "the card's energy is not known: ROCm SMI does not start: error %d", error);
        return false;
    }
    if (!bus_number(bus, &want) || !find_rsmi(c, count, look, want))
        return say(why, "the card's energy is not known: ROCm SMI does not find it");
    c->read = read_rsmi;
    return read_rsmi(c, &now) || say(why, "the card's energy is not known: it has no counter");
}

// ------------------------------------------------------------------------------- both

struct card_energy *card_energy_open(const char *kind, const char *bus, char why[CARD_WHY]) {
    struct card_energy *c = calloc(1, sizeof *c);
    bool ok = false;
    *why = 0;
    if (!c)
        say(why, "the card's energy is not known: out of memory");
    else if (!*bus)
        say(why, "the card's energy is not known: the driver does not tell its place on the bus");
    else if (!strcmp(kind, "cuda"))
        ok = open_nvml(c, bus, why);
    else if (!strcmp(kind, "hip"))
        ok = open_rsmi(c, bus, why);
    else
        say(why, "the device's energy is not known");
    if (ok) return c;
    free(c);
    return NULL;
}

void card_energy_close(struct card_energy *c) { free(c); }

bool card_energy_read(struct card_energy *c, uint64_t *microjoules) { return c->read(c, microjoules); }
