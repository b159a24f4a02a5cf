#include "engine/place.h"

#include "device/count.h"
#include "model/needs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// As the plan has it.
enum { USUAL_TOKENS = 4096 };

// What a card's programs, and its operations on the way, take beside a model: rounded activations, spans of attention.
static const double beside = 256e6;

static const char automatic[] = "auto";

static const char *name_of(const gyr_model_options *o) {
    const char *name = o && o->device && *o->device ? o->device : getenv("GYR_DEVICE");
    return name ? name : "";
}

bool place_is_open(const gyr_model_options *o) { return !strcmp(name_of(o), automatic); }

// A figure that a person compares with another.
static const char *gigabytes(char out[16], double bytes) {
    double n = bytes / 1e9;
    snprintf(out, 16, n < 9.95 ? "%.1f" : "%.0f", n);
    return out;
}

static bool count(double *need, const struct checkpoint *c, const gyr_model_options *o, size_t rows) {
    struct needs n;
    gyr_error e;
    struct use use = {.sequences = o->sequences ? o->sequences : 1, .kv_type = o->kv_type, .rows = rows};
    use.tokens = o->tokens ? (size_t)o->tokens : USUAL_TOKENS * use.sequences;
    if (!needs_count(&n, c, &use, device_like_card(), &e)) return false;
    *need = needs_bytes(&n) + beside;
    return true;
}

static void take(struct placement *p, const struct device_facts *f, double need) {
    char a[16], b[16];
    snprintf(p->why, sizeof p->why, "%s (%s), %s GB of %s GB", p->device, f->name, gigabytes(a, need),
             gigabytes(b, (double)f->memory));
}

static void too_small(struct placement *p, const char *card, const struct device_facts *f, double need) {
    char a[16], b[16], c[16];
    bool other = (double)f->memory >= need;
    if (*p->why) return; // the first one's word
    snprintf(p->why, sizeof p->why, "cpu: the model needs %s GB and %s has %s%s%s", gigabytes(a, need), card,
             gigabytes(b, (double)f->available), other ? " free of " : "",
             other ? gigabytes(c, (double)f->memory) : "");
}

// Cards one after the other. A card is looked at once it is open, because only then it is known what is left of its
// memory; one whose driver is missing is nobody's news, one that the driver knows and that does not open is.
static struct device *find_card(struct placement *p, const struct checkpoint *c, const gyr_model_options *o) {
    const struct device_kind *kind;
    double need = 0;
    size_t index;
    for (size_t i = 0; (kind = device_at(i, &index)); i++) {
        struct device_facts f;
        char name[sizeof p->device];
        if (!kind->look) continue;
        gyr_error e = {0};
        struct device *d = kind->open(index, o->threads, &e);
        kind->look(index, &f);
        snprintf(name, sizeof name, "%s:%zu", kind->name, index);
        if (!d && f.memory && !*p->why)
            snprintf(p->why, sizeof p->why, "cpu: %s cannot be used: see gyr devices", name);
        if (!d) continue;
        if (!need && !count(&need, c, o, d->ops->rows)) return d->ops->close(d), NULL; // the CPU says what is wrong
        if (need <= (double)f.available) {
            memcpy(p->device, name, sizeof name);
            take(p, &f, need);
            return d;
        }
        too_small(p, name, &f, need);
        d->ops->close(d);
    }
    return NULL;
}

struct device *place_on_cpu(struct placement *p, const gyr_model_options *o, const gyr_error *why, gyr_error *e) {
    if (why) snprintf(p->why, sizeof p->why, "cpu: %.500s", why->message);
    snprintf(p->device, sizeof p->device, "cpu");
    return device_open("cpu", o ? o->threads : 0, e);
}

struct device *place_model(struct placement *p, const struct checkpoint *c, const gyr_model_options *o, gyr_error *e) {
    static const gyr_model_options none;
    struct device *d = find_card(p, c, o ? o : &none);
    return d ? d : place_on_cpu(p, o, NULL, e);
}

struct device *place_named(struct placement *p, const gyr_model_options *o, gyr_error *e) {
    const char *name = name_of(o);
    struct device *d = device_open(name, o ? o->threads : 0, e);
    if (!d) return NULL;
    bool whole = !*name || strchr(name, ':') || !strcmp(name, "cpu");
    snprintf(p->device, sizeof p->device, "%.24s%s", *name ? name : d->ops->kind, whole ? "" : ":0");
    return d;
}
