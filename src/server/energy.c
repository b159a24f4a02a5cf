#include "server/energy.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PACKAGES = 64, PATH = 512 };
static const double EACH_SECONDS = 1;

struct package {
    char path[PATH]; // of its counter, in microjoules
    uint64_t last, range;
};

struct energy {
    struct package packages[MAX_PACKAGES];
    size_t n;
    double joules, read;
    bool lost; // a counter can no longer be read
};

static bool read_line(const char *folder, const char *zone, const char *file, char *line, int size) {
    char path[PATH];
    if (snprintf(path, sizeof path, "%s/%s/%s", folder, zone, file) >= (int)sizeof path) return false;
    FILE *f = fopen(path, "re");
    bool ok = f && fgets(line, size, f);
    if (f) fclose(f);
    return ok;
}

static bool read_counter(const char *path, uint64_t *value) {
    FILE *f = fopen(path, "re");
    bool ok = f && fscanf(f, "%" SCNu64, value) == 1;
    if (f) fclose(f);
    return ok;
}

// Packages alone: cores are parts of them, and the platform's counter has them in it.
static bool add_zone(struct energy *e, const char *folder, const char *zone) {
    char line[64];
    struct package *p = &e->packages[e->n];
    if (!read_line(folder, zone, "name", line, sizeof line) || strncmp(line, "package", 7)) return true;
    if (!read_line(folder, zone, "max_energy_range_uj", line, sizeof line)) return false;
    p->range = strtoull(line, NULL, 10);
    if (snprintf(p->path, sizeof p->path, "%s/%s/energy_uj", folder, zone) >= (int)sizeof p->path) return false;
    if (!p->range || !read_counter(p->path, &p->last)) return false;
    e->n++;
    return true;
}

struct energy *energy_open(const char *folder) {
    if (!folder) folder = "/sys/class/powercap";
    struct energy *e = calloc(1, sizeof *e);
    DIR *zones = e ? opendir(folder) : NULL;
    bool ok = zones;
    for (struct dirent *d; ok && (d = readdir(zones)) && e->n < MAX_PACKAGES;)
        if (*d->d_name != '.') ok = add_zone(e, folder, d->d_name);
    if (zones) closedir(zones);
    if (ok && e->n) return e;
    free(e); // of a machine whose packages are not all told, the sum would be wrong
    return NULL;
}

void energy_free(struct energy *e) { free(e); }

void energy_tick(struct energy *e, double now) {
    if (!e || e->lost || now - e->read < EACH_SECONDS) return;
    e->read = now;
    for (size_t i = 0; i < e->n; i++) {
        struct package *p = &e->packages[i];
        uint64_t value;
        if (!read_counter(p->path, &value)) {
            e->lost = true;
            return;
        }
        e->joules += (double)(value >= p->last ? value - p->last : value + (p->range - p->last)) / 1e6;
        p->last = value;
    }
}

bool energy_since_start(const struct energy *e, double *joules) {
    *joules = e ? e->joules : 0;
    return e && !e->lost;
}
