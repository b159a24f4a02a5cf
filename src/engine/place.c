#include "engine/place.h"

#include "device/count.h"
#include "engine/place_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// As the plan has it.
enum { USUAL_TOKENS = 4096 };

static const char automatic[] = "auto";

static const char *name_of(const gyr_model_options *o) {
    const char *name = o && o->device && *o->device ? o->device : getenv("GYR_DEVICE");
    return name ? name : "";
}

bool place_is_open(const gyr_model_options *o) { return !strcmp(name_of(o), automatic); }

bool place_is_shared(const gyr_model_options *o) { return o && (o->gpu_layers || o->cpu_experts); }

bool place_is_allowed(const gyr_model_options *o, bool ranks, const char *path, gyr_error *e) {
    const char *name = name_of(o);
    if (!o) return true;
    if (ranks && place_is_shared(o))
        return fail(e, GYR_USAGE, "%s: each rank has one device; leave out --gpu-layers and --cpu-experts", path);
    if (!ranks && place_is_shared(o) && place_is_rows(o))
        return fail(e, GYR_USAGE,
                    "%s: --split rows gives each card rows of all; leave out --gpu-layers and --cpu-experts", path);
    if (!o->no_cpu) return true;
    if (place_is_shared(o))
        return fail(e, GYR_USAGE, "%s: --no-cpu leaves the CPU nothing; leave out --gpu-layers and --cpu-experts",
                    path);
    return (*name && strcmp(name, "cpu")) || fail(e, GYR_USAGE, "%s: --no-cpu needs a card; name one, or auto", path);
}

const char *place_gigabytes(char out[16], double bytes) {
    double n = bytes / 1e9;
    snprintf(out, 16, n < 9.95 ? "%.1f" : "%.0f", n);
    return out;
}

struct use place_use(const gyr_model_options *o, size_t rows) {
    struct use use = {.sequences = o->sequences ? o->sequences : 1, .kv_type = o->kv_type, .rows = rows};
    use.tokens = o->tokens ? (size_t)o->tokens : USUAL_TOKENS * use.sequences;
    return use;
}

static bool count(double *need, const struct checkpoint *c, const gyr_model_options *o, size_t rows, gyr_error *e) {
    struct needs n;
    struct use use = place_use(o, rows);
    if (!needs_count(&n, c, &use, device_like_card(), e)) return false;
    *need = needs_bytes(&n) + BESIDE;
    return true;
}

static void alone(struct homes *on, struct device *d) {
    *on = (struct homes){.device = {d}, .sides = 1, .from = {0, UINT32_MAX}};
}

static void take_whole(struct placement *p, struct homes *on, const struct card *k, double need) {
    char a[16], b[16];
    alone(on, k->d);
    memcpy(p->device, k->device, sizeof p->device);
    p->taken = k->bit;
    snprintf(p->why, sizeof p->why, "%s, %s GB of %s GB", k->name, place_gigabytes(a, need),
             place_gigabytes(b, k->memory));
}

static void too_small(struct placement *p, const struct card *k, double need) {
    char a[16], b[16], c[16];
    bool other = k->memory >= need;
    if (*p->why) return; // the first one's word
    snprintf(p->why, sizeof p->why, "cpu: the model needs %s GB and %s has %s%s%s", place_gigabytes(a, need), k->device,
             place_gigabytes(b, k->available), other ? " free of " : "", other ? place_gigabytes(c, k->memory) : "");
}

// ------------------------------------------------------------------------------- shared out

static double split_bytes(const struct share_needs *n, struct parting s) {
    return needs_of_layers(n, s.from, n->layers, s.experts) + BESIDE;
}

bool place_fill(struct parting *s, const struct share_needs *n, double room, bool no_experts) {
    for (uint32_t x = no_experts ? n->layers : 0; n->mixtures && x <= n->layers; x++) {
        *s = (struct parting){0, x};
        if (split_bytes(n, *s) <= room) return true;
    }
    for (uint32_t i = 0; i < n->layers; i++) {
        *s = (struct parting){i, n->mixtures ? n->layers : 0};
        if (n->may[i] && split_bytes(n, *s) <= room) return true;
    }
    return false;
}

// Those that were asked for; where the model cannot be cut there, fewer.
static struct parting asked(const struct share_needs *n, const gyr_model_options *o) {
    struct parting s = {0, o->cpu_experts ? n->layers : 0};
    s.from = o->gpu_layers && o->gpu_layers < n->layers ? n->layers - o->gpu_layers : 0;
    while (s.from < n->layers && !n->may[s.from]) s.from++;
    return s;
}

static void say_split(struct placement *p, const struct card *k, const struct share_needs *n, struct parting s) {
    char a[16], b[16], first[48], rest[64];
    bool away = s.experts > s.from;
    snprintf(first, sizeof first, "%u%s", n->layers - s.from, s.from ? " of " : "");
    if (s.from)
        snprintf(rest, sizeof rest, "%u%s on the CPU", s.from, away ? ", and all experts," : "");
    else if (away)
        snprintf(rest, sizeof rest, "the experts of %u on the CPU", s.experts);
    else
        snprintf(rest, sizeof rest, "the embedding on the CPU");
    if (s.from) snprintf(first + strlen(first), sizeof first - strlen(first), "%u", n->layers);
    snprintf(p->why, sizeof p->why, "%s layers on %s, %s GB of %s GB; %s", first, k->name,
             place_gigabytes(a, split_bytes(n, s)), place_gigabytes(b, k->memory), rest);
    memcpy(p->device, k->device, sizeof p->device);
    p->taken = k->bit;
}

// The CPU joins the card, which *on has then too.
static bool take_split(struct placement *p, struct homes *on, const struct card *k, const struct share_needs *n,
                       struct parting s, const gyr_model_options *o, gyr_error *e) {
    struct device *cpu = device_open("cpu", o->threads, e);
    alone(on, k->d);
    if (!cpu) return false;
    *on = (struct homes){.device = {cpu, k->d}, .sides = 2, .from = {0, s.from, UINT32_MAX}, .experts = s.experts};
    say_split(p, k, n, s);
    return true;
}

static bool no_room(const struct checkpoint *c, const struct card *k, const struct share_needs *n, struct parting s,
                    const gyr_model_options *o, gyr_error *e) {
    char a[16], b[16], less[48] = "take a smaller type, or another device";
    struct parting most;
    double need = split_bytes(n, s);
    if (place_fill(&most, n, k->available, o->cpu_experts) && most.from && !most.experts == !s.experts)
        snprintf(less, sizeof less, "choose at most %u", n->layers - most.from);
    return fail(e, GYR_NO_MEMORY, "%s: %u layers need %s GB there, and %s has %s free; %s", c->path, n->layers - s.from,
                place_gigabytes(a, need), k->device, place_gigabytes(b, k->available), less);
}

// What the options say is on the card, and what is not. The card stays open in *on, or is closed.
static bool share_as_asked(struct placement *p, struct homes *on, const struct card *k, const struct checkpoint *c,
                           const gyr_model_options *o, gyr_error *e) {
    struct share_needs n;
    struct use use = place_use(o, k->rows);
    bool ok = needs_share(&n, c, &use, device_like_card(), e);
    struct parting s = ok ? asked(&n, o) : (struct parting){0};
    bool whole = ok && !s.from && !s.experts;
    if (ok && !n.layers)
        ok = fail(e, GYR_UNSUPPORTED, "%s: its tokens see those after them, and it stays on one device", c->path);
    if (ok && o->cpu_experts && !n.mixtures)
        ok = fail(e, GYR_USAGE, "%s: has no experts; leave out --cpu-experts", c->path);
    if (ok && s.from == n.layers)
        ok = fail(e, GYR_UNSUPPORTED, "%s: cannot be cut for %u layers on a card; choose more", c->path, o->gpu_layers);
    if (ok && !whole && split_bytes(&n, s) > k->available) ok = no_room(c, k, &n, s, o, e);
    if (ok && whole)
        take_whole(p, on, k, split_bytes(&n, s));
    else
        ok = ok && take_split(p, on, k, &n, s, o, e);
    if (!on->sides) k->d->ops->close(k->d);
    needs_share_free(&n);
    return ok;
}

// ------------------------------------------------------------------------------- the choice

// Of cards beyond the last bit, 0: they are not taken by themselves.
static uint64_t card_bit(size_t i) { return i < 64 ? (uint64_t)1 << i : 0; }

bool place_next(struct card *k, size_t *i, struct placement *p, const gyr_model_options *o) {
    const struct device_kind *kind;
    size_t index;
    while ((kind = device_at(*i, &index))) {
        struct device_facts f;
        uint64_t bit = card_bit((*i)++);
        if (!kind->look || !bit || p->avoid & bit) continue;
        gyr_error e = {0};
        *k = (struct card){.d = kind->open(index, o->threads, &e), .bit = bit};
        kind->look(index, &f);
        snprintf(k->device, sizeof k->device, "%s:%zu", kind->name, index);
        snprintf(k->name, sizeof k->name, "%s (%.120s)", k->device, f.name);
        k->memory = (double)f.memory;
        k->available = (double)f.available;
        if (k->d) k->rows = k->d->ops->rows;
        if (k->d) return true;
        if (f.memory && !*p->why) snprintf(p->why, sizeof p->why, "cpu: %s cannot be used: see gyr devices", k->device);
    }
    return false;
}

// Some layers, on the first card that has room for one.
static bool share_by_itself(struct placement *p, struct homes *on, const struct checkpoint *c,
                            const gyr_model_options *o, gyr_error *e) {
    struct card k;
    bool ok = place_hand(p, on, c, o, e);
    for (size_t i = 0; ok && !on->sides && place_next(&k, &i, p, o);) {
        struct share_needs n;
        struct use use = place_use(o, k.rows);
        struct parting s;
        gyr_error made;
        bool some = needs_share(&n, c, &use, device_like_card(), &made) && place_fill(&s, &n, k.available, false);
        if (some) ok = take_split(p, on, &k, &n, s, o, e);
        if (!on->sides) k.d->ops->close(k.d);
        needs_share_free(&n);
    }
    return ok;
}

// No card had room for all of it, and the CPU may have nothing.
static bool without_cpu(struct placement *p, struct homes *on, const struct checkpoint *c, const gyr_model_options *o,
                        gyr_error *e) {
    struct card k, most = {0};
    if (!place_hand(p, on, c, o, e)) return false;
    if (on->sides) return true;
    for (size_t i = 0; place_next(&k, &i, p, o);) {
        k.d->ops->close(k.d);
        if (!*most.device || k.available > most.available) most = k;
    }
    return place_refuse(&most, c, o, e);
}

static bool find_card(struct placement *p, struct homes *on, const struct checkpoint *c, const gyr_model_options *o,
                      gyr_error *e) {
    struct card k;
    double need = 0;
    gyr_error made = {0};
    if (place_is_rows(o) && (!place_rows(p, on, c, o, NULL, e) || on->sides)) return on->sides;
    for (size_t i = 0; place_next(&k, &i, p, o);) {
        if (place_is_shared(o)) return share_as_asked(p, on, &k, c, o, e);
        bool known = need || count(&need, c, o, k.rows, &made); // else the CPU says what is wrong
        if (known && need <= k.available) {
            take_whole(p, on, &k, need);
            return true;
        }
        if (known) too_small(p, &k, need);
        k.d->ops->close(k.d);
        if (!known) return !o->no_cpu || fail(e, made.status, "%s", made.message);
    }
    if (place_is_shared(o))
        return fail(e, GYR_UNSUPPORTED, "%s: this machine has no card to share it with; see gyr devices", c->path);
    if (o->no_cpu) return without_cpu(p, on, c, o, e);
    return !need || share_by_itself(p, on, c, o, e);
}

bool place_on_cpu(struct placement *p, struct homes *on, const gyr_model_options *o, const gyr_error *why,
                  gyr_error *e) {
    if (why) snprintf(p->why, sizeof p->why, "cpu: %.500s", why->message);
    snprintf(p->device, sizeof p->device, "cpu");
    struct device *d = device_open("cpu", o ? o->threads : 0, e);
    if (d) alone(on, d);
    return d;
}

bool place_model(struct placement *p, struct homes *on, const struct checkpoint *c, const gyr_model_options *o,
                 gyr_error *e) {
    static const gyr_model_options none;
    if (!find_card(p, on, c, o ? o : &none, e)) return false;
    return on->sides || place_on_cpu(p, on, o, NULL, e);
}

// What a card that was named says of itself.
static struct card card_of(struct device *d, const struct placement *p) {
    struct card k = {.d = d, .rows = d->ops->rows};
    struct device_facts f;
    uint64_t total, available;
    size_t i, index;
    const struct device_kind *kind = device_find(p->device, &i, NULL) ? device_at(i, &index) : NULL;
    if (kind) k.bit = card_bit(i);
    d->ops->room(d, &total, &available);
    memcpy(k.device, p->device, sizeof k.device);
    snprintf(k.name, sizeof k.name, "%s", k.device);
    if (kind && kind->look) {
        kind->look(index, &f);
        snprintf(k.name, sizeof k.name, "%s (%.120s)", k.device, f.name);
    }
    k.memory = (double)total;
    k.available = (double)available;
    return k;
}

bool place_named(struct placement *p, struct homes *on, const struct checkpoint *c, const gyr_model_options *o,
                 bool part, gyr_error *e) {
    const char *name = name_of(o);
    bool kind = *name && strcmp(name, "cpu") && !strchr(name, ':');
    if (kind && !part && place_is_rows(o) && (!place_rows(p, on, c, o, name, e) || on->sides)) return on->sides;
    struct device *d = device_open(name, o ? o->threads : 0, e);
    double need;
    if (!d) return false;
    bool whole = !*name || strchr(name, ':') || !strcmp(name, "cpu"), cpu = !strcmp(d->ops->kind, "cpu");
    snprintf(p->device, sizeof p->device, "%.24s%s", *name ? name : d->ops->kind, whole ? "" : ":0");
    struct card k = card_of(d, p);
    if (place_is_shared(o) && !cpu) return share_as_asked(p, on, &k, c, o, e);
    alone(on, d);
    if (!cpu) p->taken = k.bit;
    if (place_is_shared(o))
        return fail(e, GYR_USAGE, "%s: --gpu-layers and --cpu-experts need a card; name one, or auto", c->path);
    if (!o || !o->no_cpu || part) return true;
    return count(&need, c, o, d->ops->rows, e) && (need <= k.available || place_refuse(&k, c, o, e));
}

bool placement_ask(struct placement *p, const struct checkpoint *c, const gyr_model_options *o, gyr_error *e) {
    struct homes on = {0};
    gyr_error made = {0};
    *p = (struct placement){0};
    bool ok = place_is_allowed(o, false, c->path, &made) && find_card(p, &on, c, o, &made);
    if (!ok) *p->why = 0;
    for (uint32_t k = 0; k < on.sides; k++) on.device[k]->ops->close(on.device[k]);
    return ok || !o->no_cpu || fail(e, made.status, "%s", made.message);
}

bool place_rank(struct placement *p, struct homes *on, uint32_t number, const struct checkpoint *c,
                const gyr_model_options *o, gyr_error *e) {
    struct card k;
    uint32_t left = number;
    for (size_t i = 0; place_next(&k, &i, p, o); k.d->ops->close(k.d)) {
        if (left--) continue;
        alone(on, k.d);
        p->taken = k.bit;
        memcpy(p->device, k.device, sizeof p->device);
        return true;
    }
    if (o->no_cpu)
        return fail(e, GYR_UNSUPPORTED,
                    "%s: this machine has no card for rank %u of it; leave out --no-cpu, or start fewer", c->path,
                    number);
    return place_on_cpu(p, on, o, NULL, e);
}

bool place_rank_named(struct placement *p, struct homes *on, uint32_t number, const struct checkpoint *c,
                      const gyr_model_options *o, gyr_error *e) {
    char own[48];
    gyr_model_options named = *o;
    const char *name = name_of(o);
    if (*name && strcmp(name, "cpu") && !strchr(name, ':')) {
        snprintf(own, sizeof own, "%.32s:%u", name, number);
        named.device = own;
    }
    return place_named(p, on, c, &named, true, e);
}
