#include "base/energy.h"

#include "base/card_energy.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ZONES = 128, MAX_CARDS = 16, PATH = 512 };
static const double each_seconds = 1;
// More than a package or its memory draws. A counter that would have gone faster began anew; one that could have come
// round between two readings says nothing.
static const double most_watts = 1000, most_card_watts = 3000;

struct zone {
    char path[PATH]; // of its counter, in microjoules; of a battery, of its power in microwatts
    uint64_t last, range;
};

// Without its counter nothing is known.
struct card {
    char bus[32];
    struct card_energy *counter; // NULL: there is none
    uint64_t last;               // microjoules
};

struct energy {
    pthread_mutex_t lock;
    struct zone zones[MAX_ZONES];
    size_t n;
    bool battery;
    char battery_folder[PATH];
    struct card cards[MAX_CARDS]; // that compute
    size_t n_cards;
    bool card_missing; // one of them has no counter
    double watts;
    double joules, read; // all that was counted, when it was
    unsigned gaps;       // times of which it is not known how much it was
    bool lost;           // a counter can no longer be read
    char source[128], why[256];
};

const char *energy_basis_name(enum energy_basis b) {
    static const char *const names[] = {"unknown", "estimated", "measured"};
    return names[b];
}

// ------------------------------------------------------------------------------- files

static bool path_of(char out[PATH], const char *folder, const char *zone, const char *file) {
    return snprintf(out, PATH, "%s/%s/%s", folder, zone, file) < PATH;
}

static bool read_line(const char *folder, const char *zone, const char *file, char *line, int size) {
    char path[PATH];
    FILE *f = path_of(path, folder, zone, file) ? fopen(path, "re") : NULL;
    bool ok = f && fgets(line, size, f);
    if (f) fclose(f);
    if (ok) line[strcspn(line, "\n")] = 0;
    return ok;
}

static bool read_number(const char *path, uint64_t *value) {
    char line[32] = "", *end;
    FILE *f = fopen(path, "re");
    bool ok = f && fgets(line, sizeof line, f);
    if (f) fclose(f);
    errno = ok ? 0 : errno;
    *value = strtoull(line, &end, 10);
    return ok && *line >= '0' && *line <= '9' && (!*end || *end == '\n') && !errno;
}

// ------------------------------------------------------------------------------- a card

// "package-0, dram" becomes "card (NAME) and processor (package-0, dram)"; of several cards the first is named.
static void name_card(struct energy *e, const char *name) {
    char processor[128];
    if (e->n_cards > 1) return;
    snprintf(processor, sizeof processor, "%s", e->source);
    int used = snprintf(e->source, sizeof e->source, "card (%.48s)", name);
    if (*processor) snprintf(e->source + used, sizeof e->source - (size_t)used, " and processor (%.50s)", processor);
}

static bool has_card(const struct energy *e, const char *bus) {
    for (size_t i = 0; i < e->n_cards; i++)
        if (!strcmp(e->cards[i].bus, bus)) return true;
    return false;
}

// What a battery gives has cards in it.
static void add_card(struct energy *e, const char *kind, const char *bus, const char *name) {
    char why[CARD_WHY] = "";
    if (e->battery || e->n_cards == MAX_CARDS || has_card(e, bus)) return;
    struct card *c = &e->cards[e->n_cards++];
    snprintf(c->bus, sizeof c->bus, "%s", bus);
    e->watts = 0; // the processor's
    c->counter = card_energy_open(kind, bus, why);
    if (c->counter && card_energy_read(c->counter, &c->last)) {
        name_card(e, name);
        return;
    }
    e->card_missing = true;
    *e->source = 0;
    snprintf(e->why, sizeof e->why, "%s", why);
}

void energy_add_card(struct energy *e, const char *kind, const char *bus, const char *name) {
    if (!e) return;
    pthread_mutex_lock(&e->lock);
    add_card(e, kind, bus, name);
    pthread_mutex_unlock(&e->lock);
}

double energy_least_seconds(struct energy *e) {
    if (!e) return 0;
    pthread_mutex_lock(&e->lock);
    double least = e->n_cards ? ENERGY_CARD_SECONDS : 0;
    pthread_mutex_unlock(&e->lock);
    return least;
}

// -1: it went back, as when the driver is loaded anew, or faster than a card draws.
static bool advance_card(struct card *c, double seconds, double *joules) {
    uint64_t value, before = c->last;
    if (!card_energy_read(c->counter, &value)) return false;
    c->last = value;
    *joules = (double)(value - before) / 1e6;
    if (value < before || *joules > most_card_watts * (seconds + 1)) *joules = -1;
    return true;
}

// ------------------------------------------------------------------------------- counters of the processors

static void name_source(struct energy *e, const char *name) {
    size_t used = strlen(e->source);
    if (strstr(e->source, name)) return; // "dram" of several packages
    snprintf(e->source + used, sizeof e->source - used, "%s%.40s", used ? ", " : "", name);
}

static bool denied(struct energy *e, const char *path) {
    snprintf(e->why, sizeof e->why, "%.150s: %s%s", path, errno ? strerror(errno) : "not a number",
             errno == EACCES ? "; the system shows it to root alone" : "");
    return false;
}

// Packages, and the memory beside them: cores are parts of packages, the platform's counter has them in it, and
// intel-rapl-mmio tells of the same packages once more.
static bool add_zone(struct energy *e, const char *folder, const char *zone) {
    char name[64], path[PATH];
    if (!strncmp(zone, "intel-rapl-mmio", 15) || !read_line(folder, zone, "name", name, sizeof name)) return true;
    if (strncmp(name, "package", 7) && strcmp(name, "dram")) return true;
    struct zone *z = &e->zones[e->n];
    if (!path_of(path, folder, zone, "max_energy_range_uj") || !path_of(z->path, folder, zone, "energy_uj"))
        return true;
    if (!read_number(path, &z->range) || !z->range) return denied(e, path);
    if (!read_number(z->path, &z->last) || z->last > z->range) return denied(e, z->path);
    name_source(e, name);
    e->n++;
    return true;
}

// Of a machine whose counters are not all told, the sum would be wrong.
static bool open_counters(struct energy *e, const char *root) {
    char folder[PATH];
    if (snprintf(folder, sizeof folder, "%s/class/powercap", root) >= (int)sizeof folder) return false;
    DIR *zones = opendir(folder);
    bool ok = true, packages;
    for (struct dirent *d; zones && ok && (d = readdir(zones)) && e->n < MAX_ZONES;)
        if (*d->d_name != '.') ok = add_zone(e, folder, d->d_name);
    if (zones) closedir(zones);
    packages = strstr(e->source, "package");
    if (ok && packages) return true;
    e->n = 0;
    *e->source = 0;
    if (ok) snprintf(e->why, sizeof e->why, "%.200s: no counter of a processor's energy", folder);
    return false;
}

static bool advance(struct zone *z, double seconds, double *joules) {
    uint64_t value;
    if (!read_number(z->path, &value)) return false;
    uint64_t went = value >= z->last ? value - z->last : value + (z->range - z->last);
    bool plain = value <= z->range && (double)went / 1e6 <= most_watts * (seconds + 1) &&
                 most_watts * seconds < (double)z->range / 1e6;
    *joules = plain ? (double)went / 1e6 : -1;
    z->last = value;
    return true;
}

static void read_counters(struct energy *e, double seconds) {
    double sum = 0;
    bool gap = false;
    for (size_t i = 0; i < e->n_cards + e->n; i++) {
        double joules = 0;
        if (!(i < e->n_cards ? advance_card(&e->cards[i], seconds, &joules)
                             : advance(&e->zones[i - e->n_cards], seconds, &joules))) {
            e->lost = true;
            return;
        }
        gap |= joules < 0;
        sum += joules > 0 ? joules : 0;
    }
    if (gap)
        e->gaps++;
    else
        e->joules += sum;
}

// ------------------------------------------------------------------------------- batteries

static bool discharging(const struct energy *e) {
    char line[32];
    return read_line(e->battery_folder, ".", "status", line, sizeof line) && !strcmp(line, "Discharging");
}

static bool try_battery(struct energy *e, const char *folder, const char *name) {
    char line[32];
    uint64_t power;
    struct zone *z = &e->zones[0];
    if (!read_line(folder, name, "type", line, sizeof line) || strcmp(line, "Battery")) return false;
    if (snprintf(e->battery_folder, PATH, "%s/%s", folder, name) >= PATH || !discharging(e)) return false;
    if (!path_of(z->path, folder, name, "power_now") || !read_number(z->path, &power) || !power) return false;
    z->last = power;
    snprintf(e->source, sizeof e->source, "battery %.60s", name);
    *e->why = 0;
    return e->battery = true;
}

// What a battery gives is what the whole machine takes.
static void open_battery(struct energy *e, const char *root) {
    char folder[PATH];
    if (snprintf(folder, sizeof folder, "%s/class/power_supply", root) >= (int)sizeof folder) return;
    DIR *d = opendir(folder);
    for (struct dirent *f; d && !e->battery && (f = readdir(d));)
        if (*f->d_name != '.') try_battery(e, folder, f->d_name);
    if (d) closedir(d);
}

// Its power now and at the last reading, on average.
static void read_battery(struct energy *e, double seconds) {
    uint64_t power;
    struct zone *z = &e->zones[0];
    if (!discharging(e) || !read_number(z->path, &power) || !power) {
        e->gaps++;
        return;
    }
    e->joules += (double)(power + z->last) / 2e6 * seconds;
    z->last = power;
}

// ------------------------------------------------------------------------------- all of them

struct energy *energy_open(const char *root, double watts, double now) {
    const char *given = getenv("GYR_SYSFS");
    struct energy *e = calloc(1, sizeof *e);
    if (!e) return NULL;
    if (!root) root = given && *given ? given : "/sys";
    pthread_mutex_init(&e->lock, NULL);
    e->read = now;
    e->watts = watts;
    if (!open_counters(e, root)) open_battery(e, root);
    return e;
}

void energy_free(struct energy *e) {
    if (!e) return;
    for (size_t i = 0; i < e->n_cards; i++) card_energy_close(e->cards[i].counter);
    pthread_mutex_destroy(&e->lock);
    free(e);
}

static bool has_counters(const struct energy *e) { return !e->card_missing && (e->n || e->battery || e->n_cards); }

bool energy_counts(struct energy *e) {
    if (!e) return false;
    pthread_mutex_lock(&e->lock);
    bool counts = has_counters(e);
    pthread_mutex_unlock(&e->lock);
    return counts;
}

const char *energy_source(const struct energy *e) { return e->source; }
const char *energy_why(const struct energy *e) { return e->why; }

static bool counts(const struct energy *e) { return has_counters(e) && !e->lost; }

static void read_all(struct energy *e, double now) {
    double seconds = now > e->read ? now - e->read : 0;
    if (!counts(e) || !(seconds > 0)) return;
    (e->battery ? read_battery : read_counters)(e, seconds);
    e->read = now;
}

void energy_tick(struct energy *e, double now) {
    if (!e) return;
    pthread_mutex_lock(&e->lock);
    if (now - e->read >= each_seconds) read_all(e, now);
    pthread_mutex_unlock(&e->lock);
}

struct energy_mark energy_now(struct energy *e, double now) {
    struct energy_mark m = {.at = now};
    if (!e) return m;
    pthread_mutex_lock(&e->lock);
    read_all(e, now);
    m.joules = e->joules;
    m.gaps = e->gaps + e->lost;
    pthread_mutex_unlock(&e->lock);
    return m;
}

struct energy_spent energy_between(struct energy *e, const struct energy_mark *from, const struct energy_mark *to) {
    struct energy_spent s = {.seconds = to->at - from->at};
    if (!e || !(s.seconds > 0)) return s;
    if (from->gaps == to->gaps && to->joules > from->joules) {
        s.joules = to->joules - from->joules;
        s.basis = s.seconds >= ENERGY_SECONDS ? ENERGY_MEASURED : ENERGY_ESTIMATED;
    } else if (!energy_counts(e) && e->watts > 0) {
        s.joules = e->watts * s.seconds;
        s.basis = ENERGY_ESTIMATED;
    }
    return s;
}

bool energy_since_start(struct energy *e, double *joules) {
    *joules = 0;
    if (!e) return false;
    pthread_mutex_lock(&e->lock);
    *joules = e->joules;
    bool known = counts(e);
    pthread_mutex_unlock(&e->lock);
    return known;
}
