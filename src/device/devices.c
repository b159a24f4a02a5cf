// The kinds of devices that this program knows: a row each.
#include "device/device.h"

#include "device/gpu/cards.h"
#include "device/read_rate.h"

#include <stdlib.h>
#include <string.h>

static size_t one(void) { return 1; }

static struct device *open_cpu(size_t index, unsigned threads, gyr_error *e) { return device_cpu(threads, NULL, e); }

static const struct device_kind cpu = {"cpu", one, open_cpu};

// The ones that were registered, the last first; then those that gyr has. The first that a machine has is the default.
static const struct device_kind *kinds[MAX_KINDS] = {&cpu, &gpu_cuda, &gpu_hip};
static size_t n_kinds = 3;

bool device_register(const struct device_kind *kind) {
    if (n_kinds == MAX_KINDS) return false;
    memmove(kinds + 1, kinds, n_kinds++ * sizeof *kinds);
    kinds[0] = kind;
    return true;
}

// Whether `name` is that of one of this kind's devices: "cuda" is the first, "cuda:1" the second.
static bool is_of(const struct device_kind *k, const char *name, size_t *index) {
    size_t n = strlen(k->name);
    *index = 0;
    if (strncmp(name, k->name, n)) return false;
    if (!name[n]) return true;
    char *end;
    if (name[n] != ':' || name[n + 1] < '0' || name[n + 1] > '9') return false;
    *index = strtoul(name + n + 1, &end, 10);
    return !*end;
}

static bool not_there(const char *name, gyr_error *e) {
    char known[256] = "auto";
    for (size_t i = 0; i < n_kinds; i++) {
        strncat(known, ", ", sizeof known - strlen(known) - 1);
        strncat(known, kinds[i]->name, sizeof known - strlen(known) - 1);
    }
    return fail(e, GYR_USAGE, "device %.60s: no such device; choose one of %s", name, known);
}

const struct device_kind *device_at(size_t i, size_t *index) {
    for (size_t k = 0; k < n_kinds; i -= kinds[k++]->count())
        if (i < kinds[k]->count()) {
            *index = i;
            return kinds[k];
        }
    return NULL;
}

void *device_host_alloc(struct device *d, size_t bytes, gyr_error *e) {
    if (d->ops->host_alloc) return d->ops->host_alloc(d, bytes, e);
    void *p = malloc(bytes + !bytes);
    return p ? p : fail_null(e, GYR_NO_MEMORY, "no memory for %zu bytes", bytes);
}

void device_host_free(struct device *d, void *p) {
    if (!p || !d->ops->host_free)
        free(p);
    else
        d->ops->host_free(d, p);
}

void device_write_addresses(struct device *d, void *dst, const void *src, size_t bytes, const struct addresses *list,
                            size_t n) {
    if (d->ops->write_addresses)
        d->ops->write_addresses(d, dst, src, bytes, list, n);
    else
        d->ops->write(d, dst, src, bytes);
}

// Kinds that have memory of their own.
static const struct {
    const char *kind;
    bool (*read_rate)(struct device *d, double *rate, gyr_error *e);
} apart[] = {{"cuda", gpu_read_rate}, {"hip", gpu_read_rate}};

bool device_has_read_rate(const struct device *d) {
    for (size_t i = 0; i < sizeof apart / sizeof *apart; i++)
        if (!strcmp(apart[i].kind, d->ops->kind)) return true;
    return false;
}

// Devices that are one read at once.
static bool rate_of_all(struct device *d, double *rate, gyr_error *e) {
    size_t n;
    struct device *const *list = d->ops->parts(d, &n);
    double one, all = 0;
    for (size_t i = 0; i < n; all += one, i++)
        if (!device_read_rate(list[i], &one, e)) return false;
    *rate = all;
    return true;
}

bool device_read_rate(struct device *d, double *rate, gyr_error *e) {
    if (d->ops->parts) return rate_of_all(d, rate, e);
    for (size_t i = 0; i < sizeof apart / sizeof *apart; i++)
        if (!strcmp(apart[i].kind, d->ops->kind)) return apart[i].read_rate(d, rate, e);
    return fail(e, GYR_UNSUPPORTED, "%s: its memory is the host's", d->ops->kind);
}

bool device_find(const char *name, size_t *i, gyr_error *e) {
    size_t before = 0, index = 0;
    if (!name || !*name) name = getenv("GYR_DEVICE");
    bool any = !name || !*name;
    for (size_t k = 0; k < n_kinds; before += kinds[k++]->count())
        if ((any || is_of(kinds[k], name, &index)) && index < kinds[k]->count()) {
            *i = before + index;
            return true;
        }
    return not_there(any ? "of any kind" : name, e);
}

struct device *device_open(const char *name, unsigned threads, gyr_error *e) {
    size_t index;
    if (!name || !*name) name = getenv("GYR_DEVICE");
    for (size_t i = 0; i < n_kinds; i++) {
        if (name && *name) {
            if (!is_of(kinds[i], name, &index)) continue;
            if (kinds[i]->look || index < kinds[i]->count()) return kinds[i]->open(index, threads, e);
            return not_there(name, e), NULL;
        }
        if (kinds[i]->count()) return kinds[i]->open(0, threads, e);
    }
    return not_there(name && *name ? name : "of any kind", e), NULL;
}
